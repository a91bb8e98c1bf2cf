/* state.json: what training must remember beside weights and moments.  Numbers of 64 bits that are
 * no counts are hexadecimal texts, and fractions have the digits that give the same double. */
#include "lm/file/file_int.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct count {
    const char *name;
    void *value; /* 64 bits or 32 */
    bool wide;
};
struct fraction {
    const char *name;
    double *value;
};

/* ---- reading ---- */

static enum err read_count(const json_t *from, const struct count *count, struct lm_fault *fault)
{
    const json_t *value = json_object_get(from, count->name);
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || (!count->wide && number > UINT32_MAX))
        return lm_refuse(fault, "%s must be a whole number", count->name);
    if (count->wide)
        *(uint64_t *)count->value = (uint64_t)number;
    else
        *(uint32_t *)count->value = (uint32_t)number;
    return ERR_OK;
}

static enum err read_fraction(const json_t *from, const struct fraction *fraction,
                              struct lm_fault *fault)
{
    const json_t *value = json_object_get(from, fraction->name);
    const char *text = json_string_value(value);
    if (text != NULL && strcmp(text, "inf") == 0)
        *fraction->value = INFINITY;
    else if (json_is_number(value))
        *fraction->value = json_number_value(value);
    else
        return lm_refuse(fault, "%s must be a number", fraction->name);
    return ERR_OK;
}

static enum err read_hex(const json_t *value, const char *name, struct lm_fault *fault,
                         uint64_t *ret_bits)
{
    uint8_t bytes[8];
    uint64_t bits = 0;
    struct str text = {json_string_value(value), json_string_length(value)};
    if (!json_is_string(value) || hex_decode(bytes, sizeof(bytes), text) != ERR_OK)
        return lm_refuse(fault, "%s must be 16 hexadecimal digits", name);
    for (unsigned i = 0; i < 8; i++)
        bits = bits << 8 | bytes[i];
    *ret_bits = bits;
    return ERR_OK;
}

static enum err read_shape(const json_t *from, struct lm_train_shape *shape, struct lm_fault *fault)
{
    const struct count counts[] = {
        {"steps", &shape->steps, true},        {"batch", &shape->batch, false},
        {"length", &shape->length, false},     {"accumulate", &shape->accumulate, false},
        {"schedule", &shape->schedule, false}, {"precision", &shape->precision, false},
    };
    const struct fraction fractions[] = {
        {"learning_rate", &shape->learning_rate},
        {"weight_decay", &shape->weight_decay},
        {"warmup", &shape->warmup},
        {"clip", &shape->clip},
        {"dropout", &shape->dropout},
    };
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < ARRAY_COUNT(counts); i++)
        err = read_count(from, &counts[i], fault);
    for (size_t i = 0; err == ERR_OK && i < ARRAY_COUNT(fractions); i++)
        err = read_fraction(from, &fractions[i], fault);
    return err;
}

static enum err read_state(const json_t *root, struct lm_train_state *state, struct lm_fault *fault)
{
    const struct count counts[] = {
        {"step", &state->step, true},
        {"cursor", &state->cursor, true},
        {"epoch", &state->epoch, true},
        {"tokens", &state->tokens, true},
        {"bad_validations", &state->bad_validations, false},
    };
    const struct fraction best = {"best_valid_loss", &state->best_valid_loss};
    const json_t *rng = json_object_get(root, "rng");
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < ARRAY_COUNT(counts); i++)
        err = read_count(root, &counts[i], fault);
    if (err == ERR_OK)
        err = read_fraction(root, &best, fault);
    if (err == ERR_OK)
        err = read_hex(json_object_get(root, "seed"), "seed", fault, &state->seed);
    for (size_t i = 0; err == ERR_OK && i < ARRAY_COUNT(state->rng); i++)
        err = read_hex(json_array_get(rng, i), "rng", fault, &state->rng[i]);
    return err == ERR_OK ? read_shape(json_object_get(root, "shape"), &state->shape, fault) : err;
}

enum err lm_state_parse(struct str json, struct lm_fault *fault, struct lm_train_state *ret_state)
{
    json_error_t error;
    struct lm_train_state state = {0};
    *fault = (struct lm_fault){0};
    json_t *root =
        json_loadb(json.at != NULL ? json.at : "", json.len, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        fault->at_byte = (size_t)(error.position > 0 ? error.position : 0);
        return lm_refuse(fault, "line %d, column %d: %.160s", error.line, error.column, error.text);
    }
    enum err err = read_state(root, &state, fault);
    json_decref(root);
    if (err == ERR_OK)
        *ret_state = state;
    return err;
}

/* ---- writing ---- */

static enum err add_fraction(struct buf *buf, const char *name, double value)
{
    if (isnan(value))
        return ERR_INPUT;
    if (isinf(value))
        return buf_printf(buf, "  \"%s\": \"inf\",\n", name);
    return buf_printf(buf, "  \"%s\": %.17g,\n", name, value);
}

static enum err add_shape(struct buf *buf, const struct lm_train_shape *shape)
{
    const struct {
        const char *name;
        double value;
    } fractions[] = {
        {"learning_rate", shape->learning_rate},
        {"weight_decay", shape->weight_decay},
        {"warmup", shape->warmup},
        {"clip", shape->clip},
        {"dropout", shape->dropout},
    };
    enum err err = buf_add_str(buf, STR("  \"shape\": {\n"));
    for (size_t i = 0; err == ERR_OK && i < ARRAY_COUNT(fractions); i++)
        err = add_fraction(buf, fractions[i].name, fractions[i].value);
    if (err != ERR_OK)
        return err;
    return buf_printf(buf,
                      "  \"steps\": %llu,\n  \"batch\": %u,\n  \"length\": %u,\n"
                      "  \"accumulate\": %u,\n  \"schedule\": %u,\n  \"precision\": %u\n  }\n}\n",
                      (unsigned long long)shape->steps, shape->batch, shape->length,
                      shape->accumulate, shape->schedule, shape->precision);
}

enum err lm_state_json(const struct lm_train_state *state, struct buf *buf)
{
    if (state->step > INT64_MAX || state->cursor > INT64_MAX || state->epoch > INT64_MAX ||
        state->tokens > INT64_MAX || state->shape.steps > INT64_MAX)
        return ERR_INPUT;
    enum err err = buf_printf(
        buf,
        "{\n  \"step\": %llu,\n  \"cursor\": %llu,\n  \"epoch\": %llu,\n  \"tokens\": %llu,\n"
        "  \"bad_validations\": %u,\n  \"seed\": \"%016llx\",\n"
        "  \"rng\": [\"%016llx\", \"%016llx\", \"%016llx\", \"%016llx\"],\n",
        (unsigned long long)state->step, (unsigned long long)state->cursor,
        (unsigned long long)state->epoch, (unsigned long long)state->tokens, state->bad_validations,
        (unsigned long long)state->seed, (unsigned long long)state->rng[0],
        (unsigned long long)state->rng[1], (unsigned long long)state->rng[2],
        (unsigned long long)state->rng[3]);
    if (err == ERR_OK)
        err = add_fraction(buf, "best_valid_loss", state->best_valid_loss);
    return err == ERR_OK ? add_shape(buf, &state->shape) : err;
}
