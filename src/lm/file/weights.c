/* A model's folder and a block of floats. */
#include "lm/file/file_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- reading ---- */

static void widen(const struct lm_safetensor *tensor, float *to, uint64_t count)
{
    const char *from = tensor->data;
    if (tensor->type == LM_STORED_F32) {
        memcpy(to, from, (size_t)count * sizeof(*to));
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint16_t bits;
        memcpy(&bits, from + 2 * i, sizeof(bits));
        to[i] = tensor->type == LM_STORED_BF16 ? lm_from_bf16(bits) : lm_from_f16(bits);
    }
}

/* Rows that the file may have of this tensor: all of them, or the used ones of the embedding. */
static bool rows_fit(const struct lm_config *c, const struct lm_tensor *tensor, uint64_t rows)
{
    return rows == tensor->shape[0] || (tensor->offset == 0 && rows == c->vocab_used);
}

static bool all_finite(const float *w, uint64_t count)
{
    float sum = 0; /* 0 * x is 0 unless x is not finite */
    for (uint64_t i = 0; i < count; i++)
        sum += 0.0F * w[i];
    return sum == 0;
}

static enum err read_plain(const struct lm_config *c, const struct lm_tensor *want,
                           const struct lm_safetensor *tensor, struct lm_fault *fault, float *to)
{
    uint32_t rank = want->shape[1] == 0 ? 1 : 2;
    uint64_t row = rank == 1 ? 1 : want->shape[1];
    if (tensor->type != LM_STORED_F32 && tensor->type != LM_STORED_BF16 &&
        tensor->type != LM_STORED_F16)
        return lm_refuse(fault, "tensor %s: is %s; it must be F32, BF16 or F16", want->name,
                         lm_stored_name(tensor->type).at);
    if (tensor->rank != rank || !rows_fit(c, want, tensor->shape[0]) ||
        (rank == 2 && tensor->shape[1] != row))
        return lm_refuse(fault, "tensor %s: its shape is not that of config.json's model, (%u, %u)",
                         want->name, want->shape[0], rank == 2 ? want->shape[1] : 1);
    widen(tensor, to, tensor->shape[0] * row);
    memset(to + tensor->shape[0] * row, 0,
           (size_t)(want->count - tensor->shape[0] * row) * sizeof(*to));
    return ERR_OK;
}

static enum err read_one(const struct lm_config *c, const struct lm_safetensors *file,
                         const struct lm_tensor *want, struct lm_fault *fault, float *to,
                         size_t *used)
{
    struct lm_safetensor tensor;
    enum err err;
    if (lm_safetensors_find(file, str_from(want->name), &tensor)) {
        err = read_plain(c, want, &tensor, fault, to);
        *used += 1;
    } else {
        err = lm_quant_widen(c, file, want, fault, to);
        *used += 2;
    }
    if (err == ERR_OK && !all_finite(to, want->count))
        err = lm_refuse(fault, "tensor %s: holds something that is not a number", want->name);
    return err;
}

/* The first tensor of the file that the configuration does not have. */
static enum err blame_extra(const struct lm_config *c, const struct lm_safetensors *file,
                            struct lm_fault *fault)
{
    for (size_t i = 0; i < lm_safetensors_count(file); i++) {
        struct lm_safetensor tensor = lm_safetensors_at(file, i);
        struct lm_tensor want;
        bool known = false;
        for (uint32_t at = 0; !known && lm_tensor_at(c, at, &want); at++) {
            size_t len = strlen(want.name);
            struct str stem = str_slice(tensor.name, 0, len);
            struct str end = str_slice(tensor.name, len, tensor.name.len);
            known = str_equal(stem, str_from(want.name)) &&
                    (end.len == 0 || str_equal(end, STR(".q8")) || str_equal(end, STR(".q4")) ||
                     str_equal(end, STR(".scale")));
        }
        if (!known)
            return lm_refuse(fault, "tensor %.64s: config.json's model does not have it",
                             tensor.name.at);
    }
    return lm_refuse(fault, "a tensor is there twice, plain and quantised");
}

static enum err read_block(const struct lm_config *c, const struct lm_safetensors *file,
                           struct lm_fault *fault, float *block)
{
    struct lm_tensor want;
    size_t used = 0;
    for (uint32_t i = 0; lm_tensor_at(c, i, &want); i++) {
        enum err err = read_one(c, file, &want, fault, block + want.offset, &used);
        if (err != ERR_OK)
            return err;
    }
    return used == lm_safetensors_count(file) ? ERR_OK : blame_extra(c, file, fault);
}

enum err lm_weights_fill(const char *dir, const struct lm_config *config, struct lm_fault *fault,
                         float *block)
{
    char path[LM_PATH_BYTES];
    struct lm_safetensors *file;
    enum err err = lm_disk_path(path, dir, "model.safetensors");
    if (err == ERR_OK)
        err = lm_safetensors_open(path, fault, &file);
    if (err != ERR_OK)
        return lm_blame(fault, dir, err);
    err = read_block(config, file, fault, block);
    lm_safetensors_close(file);
    return lm_blame(fault, path, err);
}

enum err lm_weights_read(const char *dir, struct lm_fault *fault, struct lm_weights *ret_weights)
{
    char path[LM_PATH_BYTES];
    struct lm_config config;
    *fault = (struct lm_fault){0};
    enum err err = lm_disk_path(path, dir, "config.json");
    if (err == ERR_OK)
        err = lm_config_read(path, fault, &config);
    if (err != ERR_OK)
        return lm_blame(fault, dir, err);
    float *block = mem_alloc((size_t)lm_floats(&config) * sizeof(*block));
    err = block != NULL ? lm_weights_fill(dir, &config, fault, block) : ERR_NOMEM;
    if (err != ERR_OK) {
        mem_free(block);
        return lm_blame(fault, dir, err);
    }
    lm_weights_lay(&config, block, ret_weights);
    return ERR_OK;
}

/* ---- writing ---- */

static void *narrow(const float *from, uint64_t count)
{
    uint16_t *to = mem_alloc((size_t)count * sizeof(*to));
    for (uint64_t i = 0; to != NULL && i < count; i++)
        to[i] = lm_to_bf16(from[i]);
    return to;
}

static enum err write_tensors(const char *path, const struct lm_weights *weights,
                              enum lm_dtype dtype)
{
    static const char *const meta[] = {"format", "pt", NULL};
    const struct lm_config *c = &weights->config;
    uint32_t count = lm_tensor_count(c);
    struct lm_tensor *tensors = mem_zalloc(count * sizeof(*tensors));
    struct lm_safetensors_out *out = mem_zalloc(count * sizeof(*out));
    uint16_t *narrowed = dtype == LM_BF16 ? narrow(weights->block, lm_floats(c)) : NULL;
    enum err err = ERR_NOMEM;
    if (tensors == NULL || out == NULL || (dtype == LM_BF16 && narrowed == NULL))
        goto done;
    for (uint32_t i = 0; lm_tensor_at(c, i, &tensors[i]); i++) {
        const struct lm_tensor *tensor = &tensors[i];
        out[i] = (struct lm_safetensors_out){
            .name = tensor->name,
            .type = dtype == LM_BF16 ? LM_STORED_BF16 : LM_STORED_F32,
            .rank = tensor->shape[1] == 0 ? 1 : 2,
            .shape = {tensor->shape[0], tensor->shape[1]},
            .data = dtype == LM_BF16 ? (const void *)(narrowed + tensor->offset)
                                     : (const void *)(weights->block + tensor->offset)};
        if (i + 1 == count)
            break;
    }
    err = lm_safetensors_write(path, out, count, meta);
done:
    mem_free(tensors);
    mem_free(out);
    mem_free(narrowed);
    return err;
}

enum err lm_weights_write(const char *dir, const struct lm_weights *weights, enum lm_dtype dtype)
{
    char path[LM_PATH_BYTES];
    if (dtype != LM_F32 && dtype != LM_BF16)
        return ERR_INPUT;
    enum err err = lm_disk_make_dir(dir);
    if (err == ERR_OK)
        err = lm_disk_path(path, dir, "model.safetensors");
    if (err == ERR_OK)
        err = write_tensors(path, weights, dtype);
    if (err == ERR_OK)
        err = lm_disk_path(path, dir, "config.json");
    return err != ERR_OK ? err : lm_config_write(&weights->config, path);
}
