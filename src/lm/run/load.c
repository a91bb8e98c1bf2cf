/* A model from a folder: config.json says what must be in model.safetensors, and each tensor is
 * packed straight from the mapping, which is read once. */
#include "lm/file/file_int.h"
#include "lm/run/run_int.h"

#include <stdio.h>
#include <string.h>

static bool find_as(const struct lm_safetensors *file, const char *name, const char *suffix,
                    struct lm_safetensor *ret_tensor)
{
    char full[128];
    int len = snprintf(full, sizeof(full), "%s%s", name, suffix);
    return lm_safetensors_find(file, (struct str){full, (size_t)len}, ret_tensor);
}

static enum err misfit(const char *name, const struct lm_safetensor *tensor, uint64_t n, uint64_t k,
                       struct lm_fault *fault)
{
    char is[64] = "";
    size_t len = 0;
    for (uint32_t i = 0; i < tensor->rank && i < 4 && len < sizeof(is); i++)
        len += (size_t)snprintf(is + len, sizeof(is) - len, "%s%llu", i == 0 ? "" : ", ",
                                (unsigned long long)tensor->shape[i]);
    if (k == 0)
        (void)snprintf(fault->why, sizeof(fault->why),
                       "tensor %s is (%s) where config.json says (%llu): weights of another model?",
                       name, is, (unsigned long long)n);
    else
        (void)snprintf(
            fault->why, sizeof(fault->why),
            "tensor %s is (%s) where config.json says (%llu, %llu): weights of another model?",
            name, is, (unsigned long long)n, (unsigned long long)k);
    return ERR_INPUT;
}

struct folder {
    const struct lm_safetensors *file;
    uint32_t vocab; /* the embedding may have this many rows, too */
};

/* k = 0: one dimension.  The embedding's unused rows may be there or not. */
static bool fits(const struct folder *folder, const struct lm_safetensor *tensor, const char *name,
                 uint64_t n, uint64_t k)
{
    if (tensor->rank != (k == 0 ? 1U : 2U) || (k != 0 && tensor->shape[1] != k))
        return false;
    return tensor->shape[0] == n ||
           (strcmp(name, "tok.weight") == 0 && tensor->shape[0] == folder->vocab);
}

static enum err plain_source(const struct lm_safetensor *tensor, const char *name,
                             struct lm_source *source, struct lm_fault *fault)
{
    switch (tensor->type) {
    case LM_STORED_F32:
        source->type = LM_SOURCE_F32;
        break;
    case LM_STORED_BF16:
        source->type = LM_SOURCE_BF16;
        break;
    case LM_STORED_F16:
        source->type = LM_SOURCE_F16;
        break;
    case LM_STORED_I8:
    case LM_STORED_U8:
    case LM_STORED_I64:
    default:
        (void)snprintf(fault->why, sizeof(fault->why), "tensor %s is not of floating point", name);
        return ERR_INPUT;
    }
    source->data = tensor->data;
    return ERR_OK;
}

static enum err folder_find(void *cookie, const char *name, uint32_t n, uint32_t k,
                            struct lm_source *ret_source, struct lm_fault *fault)
{
    const struct folder *folder = cookie;
    struct lm_safetensor tensor;
    struct lm_safetensor scale;
    uint64_t groups = (k + LM_QUANT_GROUP - 1) / LM_QUANT_GROUP;
    *ret_source = (struct lm_source){.n = n, .k = k == 0 ? 1 : k};
    if (find_as(folder->file, name, "", &tensor)) {
        if (!fits(folder, &tensor, name, n, k))
            return misfit(name, &tensor, n, k, fault);
        return plain_source(&tensor, name, ret_source, fault);
    }
    bool q8 = find_as(folder->file, name, ".q8", &tensor);
    if (k == 0 || (!q8 && !find_as(folder->file, name, ".q4", &tensor))) {
        (void)snprintf(fault->why, sizeof(fault->why),
                       "model.safetensors has no tensor %s: weights of another model?", name);
        return ERR_INPUT;
    }
    if (!fits(folder, &tensor, name, n, q8 ? k : groups * 32) ||
        tensor.type != (q8 ? LM_STORED_I8 : LM_STORED_U8))
        return misfit(name, &tensor, n, q8 ? k : groups * 32, fault);
    if (!find_as(folder->file, name, ".scale", &scale) || scale.type != LM_STORED_F32 ||
        !fits(folder, &scale, name, n, groups)) {
        (void)snprintf(fault->why, sizeof(fault->why), "tensor %s.scale is missing or misshapen",
                       name);
        return ERR_INPUT;
    }
    ret_source->type = q8 ? LM_SOURCE_Q8 : LM_SOURCE_Q4;
    ret_source->data = tensor.data;
    ret_source->scale = scale.data;
    return ERR_OK;
}

/* What the file computes with as it is, told by the first matrix of the layers. */
static enum lm_dtype stored_dtype(const struct lm_safetensors *file)
{
    static const char name[] = "blocks.0.wq.weight";
    struct lm_safetensor tensor;
    if (find_as(file, name, "", &tensor))
        return tensor.type == LM_STORED_BF16 ? LM_BF16 : LM_F32;
    if (find_as(file, name, ".q8", &tensor))
        return LM_INT8;
    return find_as(file, name, ".q4", &tensor) ? LM_INT4 : LM_F32;
}

static enum err choose_dtype(const struct lm_safetensors *file,
                             const struct lm_model_options *options, struct lm_fault *fault,
                             enum lm_dtype *ret_dtype)
{
    enum lm_dtype stored = stored_dtype(file);
    bool quantised = stored == LM_INT8 || stored == LM_INT4;
    *ret_dtype = options->as_stored ? stored : options->dtype;
    if (quantised && *ret_dtype < stored) { /* the enum goes from much to little */
        (void)snprintf(fault->why, sizeof(fault->why),
                       "the weights are stored as %s and cannot be loaded as %s",
                       lm_dtype_name(stored), lm_dtype_name(*ret_dtype));
        return ERR_INPUT;
    }
    return ERR_OK;
}

static bool known(const struct lm_config *config, struct str name)
{
    static const struct str ends[] = {STR_INIT(".q8"), STR_INIT(".q4"), STR_INIT(".scale"),
                                      STR_INIT("")};
    struct lm_tensor tensor;
    for (uint32_t i = 0; lm_tensor_at(config, i, &tensor); i++) {
        struct str plain = str_from(tensor.name);
        if (!str_starts(name, plain))
            continue;
        for (size_t end = 0; end < ARRAY_COUNT(ends); end++)
            if (str_equal(str_slice(name, plain.len, name.len), ends[end]))
                return true;
    }
    return false;
}

/* Tensors that config.json does not ask for: a larger model's weights, most likely. */
static enum err check_surplus(const struct lm_config *config, const struct lm_safetensors *file,
                              struct lm_fault *fault)
{
    struct lm_tensor tensor;
    struct lm_safetensor found;
    size_t used = 0;
    for (uint32_t i = 0; lm_tensor_at(config, i, &tensor); i++) {
        bool plain = find_as(file, tensor.name, "", &found);
        used += plain || find_as(file, tensor.name, ".q8", &found) ||
                find_as(file, tensor.name, ".q4", &found);
        used += !plain && find_as(file, tensor.name, ".scale", &found);
    }
    if (used == lm_safetensors_count(file))
        return ERR_OK;
    for (size_t i = 0; i < lm_safetensors_count(file); i++) {
        found = lm_safetensors_at(file, i);
        if (known(config, found.name))
            continue;
        return lm_refuse(
            fault, "tensor %.*s is none of the model in config.json: weights of another model?",
            (int)(found.name.len < 80 ? found.name.len : 80), found.name.at);
    }
    return lm_refuse(fault, "the file holds tensors twice, in two precisions");
}

enum err lm_model_load(const char *dir, const struct lm_model_options *options,
                       struct lm_fault *fault, struct lm_model **ret_model)
{
    char path[4096];
    struct lm_config config;
    struct lm_safetensors *file;
    enum lm_dtype dtype;
    *fault = (struct lm_fault){0};
    int len = snprintf(path, sizeof(path), "%s/model.safetensors", dir);
    if (len < 0 || (size_t)len >= sizeof(path)) {
        (void)snprintf(fault->why, sizeof(fault->why), "the folder's name is too long");
        return ERR_INPUT;
    }
    (void)snprintf(path, sizeof(path), "%s/config.json", dir);
    enum err err = lm_config_read(path, fault, &config);
    if (err != ERR_OK)
        return err;
    err = lm_config_check(&config, fault);
    if (err != ERR_OK)
        return err;
    (void)snprintf(path, sizeof(path), "%s/model.safetensors", dir);
    err = lm_safetensors_open(path, fault, &file);
    if (err != ERR_OK)
        return err;
    struct folder folder = {.file = file, .vocab = config.vocab};
    err = choose_dtype(file, options, fault, &dtype);
    if (err == ERR_OK)
        err = check_surplus(&config, file, fault);
    if (err == ERR_OK)
        err = lm_model_build(&config, dtype,
                             &(struct lm_supply){.find = folder_find, .cookie = &folder}, fault,
                             ret_model);
    lm_safetensors_close(file);
    return err;
}
