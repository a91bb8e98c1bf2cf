/* config.json: Hugging Face's names, and ours where it has none. */
#include "lm/file/file_int.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_BYTES_MAX (1 * MIB)

/* What a field must be when the file leaves it out. */
enum absent { REQUIRED, OPTIONAL };

struct whole {
    const char *name;
    uint32_t *value; /* holds the preset */
    enum absent absent;
};
struct real {
    const char *name;
    float *value;
};

static enum err read_whole(const json_t *root, const struct whole *field, struct lm_fault *fault)
{
    const json_t *value = json_object_get(root, field->name);
    if (value == NULL && field->absent == OPTIONAL)
        return ERR_OK;
    if (value == NULL)
        return lm_refuse(fault, "%s is missing", field->name);
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > INT32_MAX)
        return lm_refuse(fault, "%s must be a whole number from 0 on", field->name);
    *field->value = (uint32_t)json_integer_value(value);
    return ERR_OK;
}

static enum err read_real(const json_t *root, const struct real *field, struct lm_fault *fault)
{
    const json_t *value = json_object_get(root, field->name);
    if (value == NULL)
        return ERR_OK;
    if (!json_is_number(value) || !(fabs(json_number_value(value)) <= 1e30))
        return lm_refuse(fault, "%s must be a number", field->name);
    *field->value = (float)json_number_value(value);
    return ERR_OK;
}

static enum err read_texts(const json_t *root, struct lm_config *c, struct lm_fault *fault)
{
    const char *norm = json_string_value(json_object_get(root, "norm"));
    const json_t *act = json_object_get(root, "hidden_act");
    const json_t *name = json_object_get(root, "model_type");
    if (json_object_get(root, "norm") != NULL) {
        if (norm == NULL || (strcmp(norm, "pre") != 0 && strcmp(norm, "post") != 0))
            return lm_refuse(fault, "norm must be \"pre\" or \"post\"");
        c->norm = strcmp(norm, "post") == 0 ? LM_NORM_POST : LM_NORM_PRE;
    }
    if (act != NULL && (!json_is_string(act) || strcmp(json_string_value(act), "silu") != 0))
        return lm_refuse(fault, "hidden_act must be \"silu\"");
    if (json_is_false(json_object_get(root, "tie_word_embeddings")))
        return lm_refuse(fault, "tie_word_embeddings must be true");
    if (name == NULL)
        return ERR_OK;
    struct str text = {json_string_value(name), json_string_length(name)};
    if (!json_is_string(name) || str_copy(c->name, sizeof(c->name), text) != ERR_OK)
        return lm_refuse(fault, "model_type must be a text of at most %zu bytes",
                         sizeof(c->name) - 1);
    return ERR_OK;
}

static enum err from_json(const json_t *root, struct lm_fault *fault, struct lm_config *c)
{
    const struct whole wholes[] = {
        {"vocab_size", &c->vocab, REQUIRED},
        {"hidden_size", &c->hidden, REQUIRED},
        {"num_hidden_layers", &c->layers, REQUIRED},
        {"num_attention_heads", &c->heads, REQUIRED},
        {"num_key_value_heads", &c->kv_heads, REQUIRED},
        {"intermediate_size", &c->ffn, REQUIRED},
        {"max_position_embeddings", &c->context, REQUIRED},
        {"num_local_experts", &c->experts, OPTIONAL},
        {"num_experts_per_tok", &c->top_k, OPTIONAL},
        {"domains", &c->domains, OPTIONAL},
        {"vocab_used", &c->vocab_used, OPTIONAL},
    };
    const struct real reals[] = {
        {"rope_theta", &c->rope_theta},    {"layer_norm_eps", &c->norm_eps},
        {"dropout", &c->dropout},          {"attention_dropout", &c->dropout_attention},
        {"router_aux_loss_coef", &c->aux},
    };
    *c = (struct lm_config){.top_k = 2,
                            .domains = 8,
                            .rope_theta = 10000,
                            .norm_eps = 1e-6F,
                            .dropout = 0.1F,
                            .aux = 0.01F,
                            .norm = LM_NORM_PRE};
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < ARRAY_COUNT(wholes); i++)
        err = read_whole(root, &wholes[i], fault);
    if (err == ERR_OK && json_object_get(root, "vocab_used") == NULL)
        c->vocab_used = c->vocab;
    for (size_t i = 0; err == ERR_OK && i < ARRAY_COUNT(reals); i++)
        err = read_real(root, &reals[i], fault);
    if (err == ERR_OK)
        err = read_texts(root, c, fault);
    return err != ERR_OK ? err : lm_config_check(c, fault);
}

enum err lm_config_parse(struct str json, struct lm_fault *fault, struct lm_config *ret_config)
{
    json_error_t error;
    struct lm_config config;
    *fault = (struct lm_fault){0};
    json_t *root =
        json_loadb(json.at != NULL ? json.at : "", json.len, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        fault->at_byte = (size_t)(error.position > 0 ? error.position : 0);
        return lm_refuse(fault, "line %d, column %d: %.160s", error.line, error.column, error.text);
    }
    enum err err = json_is_object(root) ? from_json(root, fault, &config)
                                        : lm_refuse(fault, "the file must be a JSON object");
    json_decref(root);
    if (err == ERR_OK)
        *ret_config = config;
    return err;
}

enum err lm_config_read(const char *path, struct lm_fault *fault, struct lm_config *ret_config)
{
    struct buf buf;
    *fault = (struct lm_fault){0};
    enum err err = file_read(path, CONFIG_BYTES_MAX, &buf);
    if (err == ERR_OK)
        err = lm_config_parse(buf_str(&buf), fault, ret_config);
    buf_finish(&buf);
    return lm_blame(fault, path, err);
}

/* The fewest digits that read back as the same float. */
static void shortest(char *dst, size_t bytes, float value)
{
    for (int digits = 1; digits <= 9; digits++) {
        (void)snprintf(dst, bytes, "%.*g", digits, (double)value);
        if (strtof(dst, NULL) == value)
            return;
    }
}

static enum err add_real(struct buf *buf, const char *name, float value)
{
    char text[32];
    shortest(text, sizeof(text), value);
    return buf_printf(buf, "  \"%s\": %s,\n", name, text);
}

/* A name may hold anything that was valid in a file. */
static enum err add_name(struct buf *buf, const char *name)
{
    json_t *value = json_string(name);
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    json_decref(value);
    if (text == NULL)
        return ERR_NOMEM;
    enum err err = buf_printf(buf, "{\n  \"model_type\": %s,\n", text);
    free(text);
    return err;
}

enum err lm_config_json(const struct lm_config *c, struct buf *buf)
{
    const struct {
        const char *name;
        uint32_t value;
    } wholes[] = {
        {"vocab_size", c->vocab},
        {"vocab_used", c->vocab_used},
        {"hidden_size", c->hidden},
        {"num_hidden_layers", c->layers},
        {"num_attention_heads", c->heads},
        {"num_key_value_heads", c->kv_heads},
        {"intermediate_size", c->ffn},
        {"num_local_experts", c->experts},
        {"num_experts_per_tok", c->top_k},
        {"domains", c->domains},
        {"max_position_embeddings", c->context},
    };
    enum err err = add_name(buf, c->name);
    for (size_t i = 0; err == ERR_OK && i < ARRAY_COUNT(wholes); i++)
        err = buf_printf(buf, "  \"%s\": %u,\n", wholes[i].name, wholes[i].value);
    if (err == ERR_OK)
        err = add_real(buf, "rope_theta", c->rope_theta);
    if (err == ERR_OK)
        err = add_real(buf, "layer_norm_eps", c->norm_eps);
    if (err == ERR_OK)
        err = add_real(buf, "dropout", c->dropout);
    if (err == ERR_OK)
        err = add_real(buf, "attention_dropout", c->dropout_attention);
    if (err == ERR_OK)
        err = add_real(buf, "router_aux_loss_coef", c->aux);
    if (err == ERR_OK)
        err = buf_printf(buf,
                         "  \"norm\": \"%s\",\n  \"hidden_act\": \"silu\",\n"
                         "  \"tie_word_embeddings\": true\n}\n",
                         c->norm == LM_NORM_POST ? "post" : "pre");
    return err;
}

enum err lm_config_write(const struct lm_config *config, const char *path)
{
    struct buf buf;
    buf_init(&buf, 16 * KIB);
    enum err err = lm_config_json(config, &buf);
    if (err == ERR_OK)
        err = lm_disk_write(path, buf.at, buf.len);
    buf_finish(&buf);
    return err;
}
