/* A safetensors file: eight bytes of length, a JSON header, data.  The data must be covered by the
 * tensors exactly: nothing twice, nothing left over. */
#include "lm/file/file_int.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct lm_safetensors {
    struct lm_map map; /* when it was opened by path */
    json_t *root;      /* owns the names */
    struct lm_safetensor *tensor;
    size_t count;
};

static const struct {
    struct str name;
    uint32_t bytes;
} types[] = {
    [LM_STORED_F32] = {STR_INIT("F32"), 4}, [LM_STORED_BF16] = {STR_INIT("BF16"), 2},
    [LM_STORED_F16] = {STR_INIT("F16"), 2}, [LM_STORED_I8] = {STR_INIT("I8"), 1},
    [LM_STORED_U8] = {STR_INIT("U8"), 1},   [LM_STORED_I64] = {STR_INIT("I64"), 8},
};

struct str lm_stored_name(enum lm_stored type)
{
    return types[type].name;
}

uint32_t lm_stored_bytes(enum lm_stored type)
{
    return types[type].bytes;
}

static bool type_of(const json_t *value, enum lm_stored *ret_type)
{
    struct str name = {json_string_value(value), json_string_length(value)};
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        if (json_is_string(value) && str_equal(name, types[i].name)) {
            *ret_type = (enum lm_stored)i;
            return true;
        }
    }
    return false;
}

static bool natural(const json_t *value, uint64_t *ret_number)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *ret_number = (uint64_t)json_integer_value(value);
    return true;
}

static enum err read_shape(const json_t *shape, struct lm_safetensor *tensor,
                           struct lm_fault *fault)
{
    size_t rank = json_array_size(shape);
    uint64_t bytes = types[tensor->type].bytes;
    if (!json_is_array(shape) || rank > ARRAY_COUNT(tensor->shape))
        return lm_refuse(fault, "tensor %.64s: shape must be an array of at most %zu",
                         tensor->name.at, ARRAY_COUNT(tensor->shape));
    for (size_t i = 0; i < rank; i++) {
        if (!natural(json_array_get(shape, i), &tensor->shape[i]))
            return lm_refuse(fault, "tensor %.64s: shape[%zu] is not a whole number",
                             tensor->name.at, i);
        if (__builtin_mul_overflow(bytes, tensor->shape[i], &bytes))
            return lm_refuse(fault, "tensor %.64s: its shape overflows", tensor->name.at);
    }
    tensor->rank = (uint32_t)rank;
    tensor->bytes = bytes;
    return ERR_OK;
}

/* `data`: what follows the header; `data_at`: where that is in the file. */
static enum err read_tensor(const json_t *entry, struct str data, uint64_t data_at,
                            struct lm_safetensor *tensor, struct lm_fault *fault)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *type = json_object_get(entry, "dtype");
    uint64_t from, to;
    if (!json_is_object(entry))
        return lm_refuse(fault, "tensor %.64s: not an object", tensor->name.at);
    if (!type_of(type, &tensor->type))
        return lm_refuse(fault, "tensor %.64s: dtype %.20s is not one of F32 BF16 F16 I8 U8 I64",
                         tensor->name.at,
                         json_is_string(type) ? json_string_value(type) : "(missing)");
    enum err err = read_shape(json_object_get(entry, "shape"), tensor, fault);
    if (err != ERR_OK)
        return err;
    if (json_array_size(offsets) != 2 || !natural(json_array_get(offsets, 0), &from) ||
        !natural(json_array_get(offsets, 1), &to) || from > to)
        return lm_refuse(fault, "tensor %.64s: data_offsets must be two rising whole numbers",
                         tensor->name.at);
    if (to > data.len) {
        fault->at_byte = (size_t)(data_at + data.len);
        return lm_refuse(fault, "tensor %.64s: ends at byte %llu of %zu (is the file cut short?)",
                         tensor->name.at, (unsigned long long)to, data.len);
    }
    fault->at_byte = (size_t)(data_at + from);
    if (to - from != tensor->bytes)
        return lm_refuse(fault, "tensor %.64s: has %llu bytes, its shape needs %llu",
                         tensor->name.at, (unsigned long long)(to - from),
                         (unsigned long long)tensor->bytes);
    if ((data_at + from) % types[tensor->type].bytes != 0)
        return lm_refuse(fault, "tensor %.64s: not aligned to its numbers", tensor->name.at);
    fault->at_byte = 0;
    tensor->data = data.at + from;
    return ERR_OK;
}

static int by_place(const void *a, const void *b)
{
    const struct lm_safetensor *left = a, *right = b;
    if (left->data != right->data)
        return (const char *)left->data < (const char *)right->data ? -1 : 1;
    return left->bytes < right->bytes ? -1 : left->bytes > right->bytes;
}

static int by_name(const void *a, const void *b)
{
    const struct lm_safetensor *left = a, *right = b;
    return strcmp(left->name.at, right->name.at);
}

/* In order of place each must begin where the one before it ended. */
static enum err check_cover(const struct lm_safetensors *file, struct str data, uint64_t data_at,
                            struct lm_fault *fault)
{
    const char *end = data.at;
    for (size_t i = 0; i < file->count; i++) {
        const struct lm_safetensor *tensor = &file->tensor[i];
        const char *at = tensor->data;
        fault->at_byte = (size_t)(data_at + (uint64_t)(end - data.at));
        if (at != end)
            return lm_refuse(fault, "tensor %.64s: %s", tensor->name.at,
                             at < end ? "shares bytes with another"
                                      : "there are unused bytes before it");
        end = at + tensor->bytes;
    }
    fault->at_byte = (size_t)(data_at + (uint64_t)(end - data.at));
    if (end != data.at + data.len)
        return lm_refuse(fault, "%zu bytes after the last tensor",
                         (size_t)(data.at + data.len - end));
    fault->at_byte = 0;
    return ERR_OK;
}

static enum err check_meta(const json_t *meta, struct lm_fault *fault)
{
    const char *key;
    json_t *value;
    if (meta != NULL && !json_is_object(meta))
        return lm_refuse(fault, "__metadata__: must be an object of texts");
    json_object_foreach((json_t *)(uintptr_t)meta, key, value)
    {
        if (!json_is_string(value))
            return lm_refuse(fault, "__metadata__.%.64s: must be a text", key);
    }
    return ERR_OK;
}

static enum err read_tensors(struct lm_safetensors *file, struct str data, uint64_t data_at,
                             struct lm_fault *fault)
{
    const char *name;
    json_t *entry;
    size_t room = json_object_size(file->root);
    if (room > LM_TENSORS_MAX)
        return lm_refuse(fault, "more than %u tensors", LM_TENSORS_MAX);
    enum err err = check_meta(json_object_get(file->root, "__metadata__"), fault);
    if (err != ERR_OK)
        return err;
    file->tensor = mem_zalloc((room + 1) * sizeof(*file->tensor));
    if (file->tensor == NULL)
        return ERR_NOMEM;
    json_object_foreach(file->root, name, entry)
    {
        struct lm_safetensor *tensor = &file->tensor[file->count];
        if (strcmp(name, "__metadata__") == 0)
            continue;
        tensor->name = str_from(name);
        err = read_tensor(entry, data, data_at, tensor, fault);
        if (err != ERR_OK)
            return err;
        file->count++;
    }
    qsort(file->tensor, file->count, sizeof(*file->tensor), by_place);
    err = check_cover(file, data, data_at, fault);
    qsort(file->tensor, file->count, sizeof(*file->tensor), by_name);
    return err;
}

static enum err read_head(struct str bytes, struct lm_fault *fault, uint64_t *ret_head)
{
    uint64_t head = 0;
    if (bytes.len < 8)
        return lm_refuse(fault, "%zu bytes: too short for safetensors", bytes.len);
    for (unsigned i = 0; i < 8; i++)
        head |= (uint64_t)(uint8_t)bytes.at[i] << (8 * i);
    if (head > LM_SAFETENSORS_HEAD_MAX)
        return lm_refuse(fault, "the header's length is %llu, more than %zu",
                         (unsigned long long)head, (size_t)LM_SAFETENSORS_HEAD_MAX);
    if (head > bytes.len - 8) {
        fault->at_byte = bytes.len;
        return lm_refuse(fault, "the header's length is %llu, the file has %zu bytes after it",
                         (unsigned long long)head, bytes.len - 8);
    }
    if (head == 0 || bytes.at[8] != '{') {
        fault->at_byte = 8;
        return lm_refuse(fault, "the header does not begin with {");
    }
    *ret_head = head;
    return ERR_OK;
}

enum err lm_safetensors_parse(struct str bytes, struct lm_fault *fault,
                              struct lm_safetensors **ret_file)
{
    json_error_t error;
    uint64_t head = 0;
    *fault = (struct lm_fault){0};
    enum err err = read_head(bytes, fault, &head);
    if (err != ERR_OK)
        return err;
    struct lm_safetensors *file = mem_zalloc(sizeof(*file));
    if (file == NULL)
        return ERR_NOMEM;
    file->root = json_loadb(bytes.at + 8, (size_t)head, JSON_REJECT_DUPLICATES, &error);
    if (file->root == NULL) {
        fault->at_byte = 8 + (size_t)(error.position > 0 ? error.position : 0);
        err = lm_refuse(fault, "header: %.160s", error.text);
    } else {
        err = read_tensors(file, str_slice(bytes, 8 + (size_t)head, bytes.len), 8 + head, fault);
    }
    if (err != ERR_OK) {
        lm_safetensors_close(file);
        return err;
    }
    *ret_file = file;
    return ERR_OK;
}

enum err lm_safetensors_open(const char *path, struct lm_fault *fault,
                             struct lm_safetensors **ret_file)
{
    struct lm_map map;
    *fault = (struct lm_fault){0};
    enum err err = lm_map_open(path, &map);
    if (err != ERR_OK)
        return lm_blame(fault, path, err);
    err = lm_safetensors_parse((struct str){map.at, map.len}, fault, ret_file);
    if (err != ERR_OK) {
        lm_map_close(&map);
        return err;
    }
    (*ret_file)->map = map;
    return ERR_OK;
}

void lm_safetensors_close(struct lm_safetensors *file)
{
    if (file == NULL)
        return;
    json_decref(file->root);
    mem_free(file->tensor);
    lm_map_close(&file->map);
    mem_free(file);
}

size_t lm_safetensors_count(const struct lm_safetensors *file)
{
    return file->count;
}

struct lm_safetensor lm_safetensors_at(const struct lm_safetensors *file, size_t index)
{
    return file->tensor[index];
}

bool lm_safetensors_find(const struct lm_safetensors *file, struct str name,
                         struct lm_safetensor *ret_tensor)
{
    size_t from = 0, to = file->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        struct str here = file->tensor[middle].name;
        size_t least = here.len < name.len ? here.len : name.len;
        int order = least > 0 ? memcmp(name.at, here.at, least) : 0;
        if (order == 0 && here.len == name.len) {
            *ret_tensor = file->tensor[middle];
            return true;
        }
        if (order < 0 || (order == 0 && name.len < here.len))
            to = middle;
        else
            from = middle + 1;
    }
    return false;
}

struct str lm_safetensors_meta(const struct lm_safetensors *file, struct str key)
{
    const json_t *meta = json_object_get(file->root, "__metadata__");
    return str_from(json_string_value(json_object_getn(meta, key.at, key.len)));
}
