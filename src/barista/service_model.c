/* A model's folder: weights, tokenizer, calibration and card, read together and let go together. */
#include "barista/service_int.h"

#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

/* Its own weights, not another's: the three have shapes that fit nowhere else. */
static enum err name_check(const struct lm_config *config, const char *name, struct lm_fault *fault)
{
    struct lm_config known;
    if (strcmp(config->name, name) == 0 || !lm_config_named(str_from(config->name), &known))
        return ERR_OK;
    service_fault(fault, "these are the weights of %s, not of %s", config->name, name);
    return ERR_INPUT;
}

static enum err tokenizer_load(const char *dir, struct service_weights *weights,
                               struct lm_fault *fault)
{
    char path[SERVICE_PATH_BYTES];
    if (!service_join(path, sizeof(path), dir, "tokenizer.json"))
        return ERR_INPUT;
    enum err err = lm_tokenizer_read(path, fault, &weights->tokenizer);
    if (err == ERR_NOT_FOUND) {
        service_fault(fault, "there is no tokenizer.json");
        return ERR_INPUT; /* weights without it are no model */
    }
    if (err != ERR_OK)
        return err;
    uint32_t ids = lm_tokenizer_vocab(weights->tokenizer);
    uint32_t used = lm_model_config(weights->model)->vocab_used;
    if (ids == used)
        return ERR_OK;
    service_fault(fault, "tokenizer.json has %u ids, the weights have %u", ids, used);
    return ERR_INPUT;
}

static enum err generation_load(const char *dir, struct service_weights *weights,
                                struct lm_fault *fault)
{
    char path[SERVICE_PATH_BYTES];
    if (!service_join(path, sizeof(path), dir, "generation.json"))
        return ERR_INPUT;
    enum err err = lm_generation_read(path, fault, &weights->generation);
    if (err != ERR_NOT_FOUND)
        return err;
    *fault = (struct lm_fault){0};
    return ERR_OK;
}

/* Passed on as it is, so it has to be an object. */
static void card_read(struct service_weights *weights, const char *dir)
{
    char path[SERVICE_PATH_BYTES];
    struct buf text;
    if (!service_join(path, sizeof(path), dir, "card.json") ||
        file_read(path, SERVICE_CARD_BYTES, &text) != ERR_OK)
        return;
    json_t *value = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES, NULL);
    char *compact = json_is_object(value) ? json_dumps(value, JSON_COMPACT) : NULL;
    if (compact != NULL && buf_add_str(&weights->card, str_from(compact)) != ERR_OK)
        weights->card.len = 0;
    free(compact);
    json_decref(value);
    buf_finish(&text);
}

enum err service_weights_load(const char *dir, const char *name, struct lm_fault *fault,
                              struct service_weights **ret_weights)
{
    char path[SERVICE_PATH_BYTES];
    struct stat about;
    if (!service_join(path, sizeof(path), dir, "model.safetensors"))
        return ERR_INPUT;
    if (stat(path, &about) != 0) {
        service_fault(fault, "there is no model.safetensors");
        return ERR_NOT_FOUND;
    }
    struct service_weights *weights = mem_zalloc(sizeof(*weights));
    if (weights == NULL)
        return ERR_NOMEM;
    weights->refs = 1;
    weights->file_bytes = (uint64_t)about.st_size;
    buf_init(&weights->card, SERVICE_CARD_BYTES);
    enum err err =
        lm_model_load(dir, &(struct lm_model_options){.as_stored = true}, fault, &weights->model);
    if (err == ERR_OK)
        err = name_check(lm_model_config(weights->model), name, fault);
    if (err == ERR_OK)
        err = tokenizer_load(dir, weights, fault);
    if (err == ERR_OK)
        err = generation_load(dir, weights, fault);
    if (err != ERR_OK) {
        if (fault->why[0] == 0)
            service_fault(fault, "%s", err_name(err));
        service_weights_unref(weights);
        return err;
    }
    weights->temperature = barista_calibration_read(dir);
    card_read(weights, dir);
    *ret_weights = weights;
    return ERR_OK;
}

void service_weights_unref(struct service_weights *weights)
{
    if (weights == NULL || --weights->refs > 0)
        return;
    for (size_t i = 0; i < SERVICE_SYSTEMS; i++)
        lm_mask_destroy(weights->recipe[i]);
    lm_tokenizer_destroy(weights->tokenizer);
    lm_model_destroy(weights->model);
    buf_finish(&weights->card);
    mem_free(weights);
}
