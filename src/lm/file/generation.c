/* generation.json: what suits a model. */
#include "lm/file/file_int.h"

#include <jansson.h>
#include <stdio.h>

#define GENERATION_BYTES_MAX (64 * KIB)

static const char *const sampling_names[] = {"temperature", "top_k", "top_p", "min_p",
                                             "repetition_penalty"};

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

static enum err read_count(const json_t *root, const char *name, uint32_t max,
                           struct lm_fault *fault, uint32_t *value)
{
    const json_t *found = json_object_get(root, name);
    if (found == NULL)
        return ERR_OK;
    if (!json_is_integer(found) || json_integer_value(found) < 0 || json_integer_value(found) > max)
        return lm_refuse(fault, "%s must be 0 to %u", name, max);
    *value = (uint32_t)json_integer_value(found);
    return ERR_OK;
}

static enum err from_json(const json_t *root, struct lm_fault *fault,
                          struct lm_generation *generation)
{
    struct lm_sampling *sampling = &generation->sampling;
    if (!json_is_object(root))
        return lm_refuse(fault, "the file must be a JSON object");
    for (size_t i = 0; i < ARRAY_COUNT(sampling_names); i++) {
        if (json_object_get(root, sampling_names[i]) != NULL)
            generation->has_sampling = true;
    }
    enum err err = read_count(root, "top_k", LM_VOCAB_MAX, fault, &sampling->top_k);
    if (err == ERR_OK)
        err = read_real(root, "temperature", fault, &sampling->temperature);
    if (err == ERR_OK)
        err = read_real(root, "top_p", fault, &sampling->top_p);
    if (err == ERR_OK)
        err = read_real(root, "min_p", fault, &sampling->min_p);
    if (err == ERR_OK)
        err = read_real(root, "repetition_penalty", fault, &sampling->repetition);
    if (err == ERR_OK)
        err = read_count(root, "prompt_max", LM_CONTEXT_MAX, fault, &generation->prompt_max);
    return err == ERR_OK ? lm_sampling_check(sampling, fault) : err;
}

enum err lm_generation_read(const char *path, struct lm_fault *fault,
                            struct lm_generation *ret_generation)
{
    struct lm_generation generation = {.has_sampling = false};
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
        err = from_json(root, fault, &generation);
    }
    json_decref(root);
    buf_finish(&buf);
    if (err == ERR_OK)
        *ret_generation = generation;
    return lm_blame(fault, path, err);
}

enum err lm_generation_write(const struct lm_generation *generation, const char *path)
{
    char json[512];
    const struct lm_sampling *s = &generation->sampling;
    int len = snprintf(json, sizeof(json), "{\n");
    if (generation->has_sampling)
        len += snprintf(json + len, sizeof(json) - (size_t)len,
                        "  \"temperature\": %.6g,\n  \"top_k\": %u,\n  \"top_p\": %.6g,\n"
                        "  \"min_p\": %.6g,\n  \"repetition_penalty\": %.6g,\n",
                        (double)s->temperature, s->top_k, (double)s->top_p, (double)s->min_p,
                        (double)s->repetition);
    len += snprintf(json + len, sizeof(json) - (size_t)len, "  \"prompt_max\": %u\n}\n",
                    generation->prompt_max);
    ASSERT(len > 0 && len < (int)sizeof(json));
    return lm_disk_write(path, json, (size_t)len);
}
