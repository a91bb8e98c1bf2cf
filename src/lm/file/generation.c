/* generation.json: the presets of sampling that suit a model, under Hugging Face's names. */
#include "lm/file/file_int.h"

#include <jansson.h>
#include <stdio.h>

#define GENERATION_BYTES_MAX (64 * KIB)

static enum err read_real(const json_t *root, const char *name, struct lm_fault *fault,
                          float *value)
{
    const json_t *found = json_object_get(root, name);
    if (found == NULL)
        return ERR_OK;
    if (!json_is_number(found))
        return lm_refuse(fault, "%s must be a number", name);
    *value = (float)json_number_value(found);
    return ERR_OK;
}

static enum err from_json(const json_t *root, struct lm_fault *fault, struct lm_sampling *sampling)
{
    const json_t *top_k = json_object_get(root, "top_k");
    if (!json_is_object(root))
        return lm_refuse(fault, "the file must be a JSON object");
    if (top_k != NULL && (!json_is_integer(top_k) || json_integer_value(top_k) < 0 ||
                          json_integer_value(top_k) > LM_VOCAB_MAX))
        return lm_refuse(fault, "top_k must be 0 to %u", LM_VOCAB_MAX);
    sampling->top_k = (uint32_t)json_integer_value(top_k);
    enum err err = read_real(root, "temperature", fault, &sampling->temperature);
    if (err == ERR_OK)
        err = read_real(root, "top_p", fault, &sampling->top_p);
    if (err == ERR_OK)
        err = read_real(root, "min_p", fault, &sampling->min_p);
    if (err == ERR_OK)
        err = read_real(root, "repetition_penalty", fault, &sampling->repetition);
    return err == ERR_OK ? lm_sampling_check(sampling, fault) : err;
}

enum err lm_sampling_read(const char *path, struct lm_fault *fault,
                          struct lm_sampling *ret_sampling)
{
    struct lm_sampling sampling = {.temperature = 0};
    struct buf buf;
    json_error_t error = {0};
    *fault = (struct lm_fault){0};
    enum err err = file_read(path, GENERATION_BYTES_MAX, &buf);
    if (err != ERR_OK)
        return lm_blame(fault, path, err);
    json_t *root =
        json_loadb(buf.at != NULL ? buf.at : "", buf.len, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        fault->at_byte = (size_t)(error.position > 0 ? error.position : 0);
        err = lm_refuse(fault, "line %d, column %d: %.160s", error.line, error.column, error.text);
    } else {
        err = from_json(root, fault, &sampling);
    }
    json_decref(root);
    buf_finish(&buf);
    if (err == ERR_OK)
        *ret_sampling = sampling;
    return lm_blame(fault, path, err);
}

enum err lm_sampling_write(const struct lm_sampling *s, const char *path)
{
    char json[512];
    int len = snprintf(json, sizeof(json),
                       "{\n  \"temperature\": %.6g,\n  \"top_k\": %u,\n  \"top_p\": %.6g,\n"
                       "  \"min_p\": %.6g,\n  \"repetition_penalty\": %.6g\n}\n",
                       (double)s->temperature, s->top_k, (double)s->top_p, (double)s->min_p,
                       (double)s->repetition);
    ASSERT(len > 0 && len < (int)sizeof(json));
    return lm_disk_write(path, json, (size_t)len);
}
