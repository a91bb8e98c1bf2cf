/* A model's folder with eight or four bits a weight, from one with floats. */
#include "lm/file/file_int.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The parts of a file under way. */
struct quantising {
    const struct lm_weights *weights;
    enum lm_dtype dtype;
    struct lm_tensor *tensor;       /* of the model */
    struct lm_safetensors_out *out; /* at most two of each */
    char (*name)[96];
    void **block; /* what was made for them */
    size_t count, blocks;
};

static enum err part(struct quantising *work, const char *name, const char *end,
                     struct lm_safetensors_out out)
{
    (void)snprintf(work->name[work->count], sizeof(work->name[0]), "%s%s", name, end);
    out.name = work->name[work->count];
    work->out[work->count++] = out;
    return out.data != NULL ? ERR_OK : ERR_NOMEM;
}

static void *make(struct quantising *work, size_t bytes)
{
    void *block = mem_alloc(bytes);
    work->block[work->blocks++] = block;
    return block;
}

static enum err add_quantised(struct quantising *work, const struct lm_tensor *tensor)
{
    bool tok = tensor->offset == 0;
    bool eight = work->dtype == LM_INT8 || tok;
    uint32_t rows = tok ? work->weights->config.vocab_used : tensor->shape[0];
    uint32_t k = tensor->shape[1];
    uint32_t groups = lm_quant_groups(k);
    uint32_t row_bytes = eight ? k : groups * (LM_QUANT_GROUP / 2);
    const float *w = work->weights->block + tensor->offset;
    void *q = make(work, (size_t)rows * row_bytes);
    float *scale = make(work, (size_t)rows * groups * sizeof(*scale));
    if (q != NULL && scale != NULL && eight)
        lm_quant8(w, rows, k, q, scale);
    else if (q != NULL && scale != NULL)
        lm_quant4(w, rows, k, q, scale);
    enum err err = part(work, tensor->name, eight ? ".q8" : ".q4",
                        (struct lm_safetensors_out){.type = eight ? LM_STORED_I8 : LM_STORED_U8,
                                                    .rank = 2,
                                                    .shape = {rows, row_bytes},
                                                    .data = q});
    if (err != ERR_OK)
        return err;
    return part(work, tensor->name, ".scale",
                (struct lm_safetensors_out){
                    .type = LM_STORED_F32, .rank = 2, .shape = {rows, groups}, .data = scale});
}

static enum err add_tensor(struct quantising *work, const struct lm_tensor *tensor)
{
    if (lm_quant_applies(tensor->name))
        return add_quantised(work, tensor);
    return part(work, tensor->name, "",
                (struct lm_safetensors_out){.type = LM_STORED_F32,
                                            .rank = tensor->shape[1] == 0 ? 1 : 2,
                                            .shape = {tensor->shape[0], tensor->shape[1]},
                                            .data = work->weights->block + tensor->offset});
}

static enum err write_model(const char *path, const struct lm_weights *weights, enum lm_dtype dtype)
{
    const char *meta[] = {"format", dtype == LM_INT8 ? "automat-int8" : "automat-int4", NULL};
    size_t most = 2 * (size_t)lm_tensor_count(&weights->config);
    struct quantising work = {.weights = weights, .dtype = dtype};
    struct lm_tensor tensor;
    work.out = mem_zalloc(most * sizeof(*work.out));
    work.name = mem_zalloc(most * sizeof(*work.name));
    work.block = mem_zalloc(most * sizeof(*work.block));
    bool room = work.out != NULL && work.name != NULL && work.block != NULL;
    enum err err = room ? ERR_OK : ERR_NOMEM;
    for (uint32_t i = 0; err == ERR_OK && lm_tensor_at(&weights->config, i, &tensor); i++)
        err = add_tensor(&work, &tensor);
    if (err == ERR_OK)
        err = lm_safetensors_write(path, work.out, work.count, meta);
    for (size_t i = 0; i < work.blocks; i++)
        mem_free(work.block[i]);
    mem_free(work.out);
    mem_free(work.name);
    mem_free(work.block);
    return err;
}

/* Tokenizer, card and whatever else is there; not the weights, not what training remembers. */
static enum err copy_rest(const char *from_dir, const char *to_dir)
{
    static const char *const own[] = {"config.json", "model.safetensors", "state.json",
                                      "state.safetensors"};
    DIR *folder = opendir(from_dir);
    if (folder == NULL)
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    enum err err = ERR_OK;
    for (struct dirent *entry; err == ERR_OK && (entry = readdir(folder)) != NULL;) {
        char from[LM_PATH_BYTES], to[LM_PATH_BYTES];
        struct stat info;
        bool skip = entry->d_name[0] == '.';
        for (size_t i = 0; i < ARRAY_COUNT(own); i++)
            skip = skip || strcmp(entry->d_name, own[i]) == 0;
        if (skip)
            continue;
        err = lm_disk_path(from, from_dir, entry->d_name);
        if (err == ERR_OK)
            err = lm_disk_path(to, to_dir, entry->d_name);
        if (err == ERR_OK && stat(from, &info) == 0 && S_ISREG(info.st_mode))
            err = lm_disk_copy(from, to);
    }
    closedir(folder);
    return err;
}

static enum err check_folders(const char *from_dir, const char *to_dir, struct lm_fault *fault)
{
    char path[LM_PATH_BYTES];
    struct lm_safetensors *file;
    struct stat from, to;
    if (stat(from_dir, &from) == 0 && stat(to_dir, &to) == 0 && from.st_dev == to.st_dev &&
        from.st_ino == to.st_ino)
        return lm_refuse(fault, "%.200s: cannot be written onto itself", to_dir);
    enum err err = lm_disk_path(path, from_dir, "model.safetensors");
    if (err == ERR_OK)
        err = lm_safetensors_open(path, fault, &file);
    if (err != ERR_OK)
        return lm_blame(fault, path, err);
    if (str_starts(lm_safetensors_meta(file, STR("format")), STR("automat-")))
        err = lm_refuse(fault, "%.200s: is quantised already", from_dir);
    lm_safetensors_close(file);
    return err;
}

enum err lm_model_quantise(const char *from_dir, const char *to_dir, enum lm_dtype dtype,
                           struct lm_fault *fault)
{
    char path[LM_PATH_BYTES];
    struct lm_weights weights;
    *fault = (struct lm_fault){0};
    enum err err = check_folders(from_dir, to_dir, fault);
    if (err == ERR_OK)
        err = lm_weights_read(from_dir, fault, &weights);
    if (err != ERR_OK)
        return err;
    if (dtype == LM_F32 || dtype == LM_BF16) {
        err = lm_weights_write(to_dir, &weights, dtype);
    } else {
        err = lm_disk_make_dir(to_dir);
        if (err == ERR_OK)
            err = lm_disk_path(path, to_dir, "model.safetensors");
        if (err == ERR_OK)
            err = write_model(path, &weights, dtype);
        if (err == ERR_OK)
            err = lm_disk_path(path, to_dir, "config.json");
        if (err == ERR_OK)
            err = lm_config_write(&weights.config, path);
    }
    mem_free(weights.block);
    if (err == ERR_OK)
        err = copy_rest(from_dir, to_dir);
    return lm_blame(fault, to_dir, err);
}
