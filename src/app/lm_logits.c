/* automat lm logits: what a model says after some ids, as numbers, so that anyone can compare them
 * with another program over the same file. */
#include "app/lm.h"

#include <stdio.h>
#include <string.h>

/* "5,17,3" -> ids.  False: said on stderr what is wrong. */
static bool read_ids(const char *text, const struct lm_config *config, uint16_t *ids,
                     uint32_t *ret_count)
{
    struct str rest = str_from(text);
    uint32_t count = 0;
    if (rest.len == 0) {
        app_complain("--ids (AUTOMAT_IDS): numbers with commas between them are needed");
        return false;
    }
    for (size_t at = 0; at <= rest.len;) {
        struct str tail = str_slice(rest, at, rest.len);
        struct str word = str_slice(tail, 0, str_find(tail, ','));
        uint64_t id;
        if (str_to_u64(word, &id) != ERR_OK) {
            app_complain("--ids (AUTOMAT_IDS): \"%.*s\" is not a number", STR_ARG(word));
            return false;
        }
        if (id >= config->vocab_used) {
            app_complain("--ids (AUTOMAT_IDS): %llu is out of range; this model uses 0 to %u",
                         (unsigned long long)id, config->vocab_used - 1);
            return false;
        }
        if (count == config->context) {
            app_complain("--ids (AUTOMAT_IDS): more than %u ids, this model's context",
                         config->context);
            return false;
        }
        ids[count++] = (uint16_t)id;
        at += word.len + 1;
    }
    *ret_count = count;
    return true;
}

static void print_logits(const float *logits, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        (void)printf("%s%.9g", i == 0 ? "[" : ",", (double)logits[i]);
    (void)printf("]\n");
}

static int show(const struct options *options, const struct lm_model *model)
{
    const struct lm_config *config = lm_model_config(model);
    struct lm_pool *pool = NULL;
    struct lm_session *session = NULL;
    uint32_t count = 0;
    int status = 1;
    enum err err = ERR_NOMEM;
    float *logits = mem_alloc(config->vocab_used * sizeof(*logits));
    uint16_t *ids = mem_alloc(config->context * sizeof(*ids));
    if (logits == NULL || ids == NULL)
        goto failed;
    if (!read_ids(options->lm.ids, config, ids, &count))
        goto out;
    err = lm_pool_create(options->lm.threads, &pool);
    if (err != ERR_OK)
        goto failed;
    err = lm_session_create(model, &session);
    if (err != ERR_OK)
        goto failed;
    err = lm_session_feed(session, pool, ids, count, logits);
    if (err != ERR_OK)
        goto failed;
    print_logits(logits, config->vocab_used);
    status = fflush(stdout) == 0 ? 0 : app_lm_failed("stdout", ERR_IO, NULL);
    goto out;
failed:
    status = app_lm_failed("logits", err, NULL);
out:
    lm_session_destroy(session);
    lm_pool_destroy(pool);
    mem_free(ids);
    mem_free(logits);
    return status;
}

int app_lm_logits(const struct options *options)
{
    char dir[1024];
    struct lm_model_options how = {.as_stored = options->lm.dtype == NULL};
    struct lm_fault fault = {0};
    struct lm_model *model;
    if (options->lm.ids == NULL) {
        app_complain("--ids (AUTOMAT_IDS): the ids to begin with are needed, as in 5,17,3");
        return 2;
    }
    if (options->lm.dtype != NULL && !lm_dtype_parse(str_from(options->lm.dtype), &how.dtype)) {
        app_complain("--dtype (AUTOMAT_DTYPE): it is f32, bf16, int8 or int4, not \"%.20s\"",
                     options->lm.dtype);
        return 2;
    }
    if (app_lm_model_dir(options, dir, sizeof(dir)) == NULL)
        return 1;
    enum err err = lm_model_load(dir, &how, &fault, &model);
    if (err != ERR_OK)
        return app_lm_failed(dir, err, &fault);
    int status = show(options, model);
    lm_model_destroy(model);
    return status;
}
