/* safetensors out: the header first, then the data, wide numbers before narrow ones so that each
 * stands aligned. */
#include "lm/file/file_int.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN 64

static const uint32_t width[] = {8, 4, 2, 1};

static bool bytes_of(const struct lm_safetensors_out *tensor, uint64_t *ret_bytes)
{
    uint64_t bytes = lm_stored_bytes(tensor->type);
    for (uint32_t i = 0; i < tensor->rank; i++) {
        if (__builtin_mul_overflow(bytes, tensor->shape[i], &bytes))
            return false;
    }
    *ret_bytes = bytes;
    return bytes <= INT64_MAX;
}

static enum err describe(json_t *root, const struct lm_safetensors_out *tensor, uint64_t *offset)
{
    uint64_t bytes;
    if (!bytes_of(tensor, &bytes) || *offset > (uint64_t)INT64_MAX - bytes)
        return ERR_INPUT;
    json_int_t from = (json_int_t)*offset;
    *offset += bytes;
    json_int_t to = (json_int_t)*offset;
    json_t *shape = json_array();
    for (uint32_t i = 0; i < tensor->rank; i++) {
        if (json_array_append_new(shape, json_integer((json_int_t)tensor->shape[i])) != 0) {
            json_decref(shape);
            return ERR_NOMEM;
        }
    }
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", lm_stored_name(tensor->type).at,
                              "shape", shape, "data_offsets", from, to);
    return json_object_set_new(root, tensor->name, entry) == 0 ? ERR_OK : ERR_NOMEM;
}

/* `text` is the caller's to free(). */
static enum err head_of(const struct lm_safetensors_out *tensors, size_t count,
                        const char *const *meta_pairs, char **ret_text)
{
    json_t *root = json_object();
    json_t *meta = json_object();
    uint64_t offset = 0;
    enum err err = root != NULL && meta != NULL ? ERR_OK : ERR_NOMEM;
    for (size_t i = 0; err == ERR_OK && meta_pairs != NULL && meta_pairs[i] != NULL; i += 2) {
        if (json_object_set_new(meta, meta_pairs[i], json_string(meta_pairs[i + 1])) != 0)
            err = ERR_NOMEM;
    }
    if (err == ERR_OK && json_object_size(meta) > 0 &&
        json_object_set(root, "__metadata__", meta) != 0)
        err = ERR_NOMEM;
    for (size_t w = 0; w < ARRAY_COUNT(width); w++) {
        for (size_t i = 0; err == ERR_OK && i < count; i++) {
            if (lm_stored_bytes(tensors[i].type) == width[w])
                err = describe(root, &tensors[i], &offset);
        }
    }
    if (err == ERR_OK) {
        *ret_text = json_dumps(root, JSON_COMPACT);
        err = *ret_text != NULL ? ERR_OK : ERR_NOMEM;
    }
    json_decref(meta);
    json_decref(root);
    return err;
}

/* Length, text, and spaces up to where the data may begin. */
static enum err add_head(struct lm_disk_out *out, const char *text)
{
    static const char spaces[ALIGN] = "                                                          "
                                      "      ";
    uint8_t length[8];
    size_t len = strlen(text);
    size_t fill = (ALIGN - (8 + len) % ALIGN) % ALIGN;
    if (len + fill > LM_SAFETENSORS_HEAD_MAX)
        return ERR_FULL;
    for (unsigned i = 0; i < 8; i++)
        length[i] = (uint8_t)((uint64_t)(len + fill) >> (8 * i));
    enum err err = lm_disk_add(out, length, sizeof(length));
    if (err == ERR_OK)
        err = lm_disk_add(out, text, len);
    if (err == ERR_OK)
        err = lm_disk_add(out, spaces, fill);
    return err;
}

enum err lm_safetensors_write(const char *path, const struct lm_safetensors_out *tensors,
                              size_t count, const char *const *meta_pairs)
{
    struct lm_disk_out out;
    char *text = NULL;
    enum err err = head_of(tensors, count, meta_pairs, &text);
    if (err != ERR_OK)
        return err;
    err = lm_disk_begin(&out, path);
    if (err == ERR_OK)
        err = add_head(&out, text);
    free(text);
    for (size_t w = 0; w < ARRAY_COUNT(width); w++) {
        for (size_t i = 0; err == ERR_OK && i < count; i++) {
            uint64_t bytes = 0;
            if (lm_stored_bytes(tensors[i].type) == width[w] && bytes_of(&tensors[i], &bytes))
                err = lm_disk_add(&out, tensors[i].data, (size_t)bytes);
        }
    }
    if (err == ERR_OK)
        return lm_disk_commit(&out);
    lm_disk_abort(&out);
    return err;
}
