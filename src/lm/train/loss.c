/* The loss of a finished model, as it is served: through the kernels that decode, quantised
 * activations and all, one dialogue at a time. */
#include "lm/lm.h"

#include <stdio.h>

struct loss_work {
    struct lm_session *session;
    struct lm_pool *pool;
    uint32_t context;
    double sum;
    uint64_t scored;
    uint16_t ids[LM_CONTEXT_MAX];
};

/* ids[from..to) are quiet, or count, all of them. */
static enum err pass(struct loss_work *w, uint32_t from, uint32_t to, bool counts)
{
    double logprob = 0;
    if (!counts)
        return lm_session_feed(w->session, w->pool, w->ids + from, to - from, NULL);
    enum err err = lm_session_score(w->session, w->pool, w->ids + from, to - from, &logprob);
    if (err == ERR_OK) {
        w->sum -= logprob;
        w->scored += to - from;
    }
    return err;
}

/* What does not fit the context is left out. */
static enum err judge_dialogue(struct loss_work *w, const uint16_t *tokens, uint64_t count)
{
    uint32_t n = count < w->context ? (uint32_t)count : w->context;
    uint32_t from = 0;
    bool counts = false; /* nothing is before the first */
    enum err err = ERR_OK;
    lm_session_rewind(w->session, 0);
    for (uint32_t i = 0; i < n; i++)
        w->ids[i] = tokens[i] & (uint16_t)~LM_TOKEN_QUIET;
    for (uint32_t i = 1; err == ERR_OK && i <= n; i++) {
        bool next = i < n && (tokens[i] & LM_TOKEN_QUIET) == 0;
        if (i < n && next == counts)
            continue;
        err = pass(w, from, i, counts);
        from = i;
        counts = next;
    }
    return err;
}

static enum err judge_all(struct loss_work *w, const struct lm_tokens *tokens, uint64_t tokens_max)
{
    const uint16_t *ids = lm_tokens_at(tokens);
    uint64_t count = lm_tokens_count(tokens), begin = 0;
    enum err err = ERR_OK;
    for (uint64_t i = 1; err == ERR_OK && i <= count; i++) {
        if (i < count && (ids[i] & ~LM_TOKEN_QUIET) != LM_BEGIN)
            continue;
        if (tokens_max != 0 && i > tokens_max && begin > 0)
            break;
        err = judge_dialogue(w, ids + begin, i - begin);
        begin = i;
    }
    return err;
}

enum err lm_loss(const char *dir, const char *tokens_path, uint64_t tokens_max, enum lm_dtype dtype,
                 uint32_t threads, struct lm_fault *fault, double *ret_loss, uint64_t *ret_scored)
{
    struct lm_model_options options = {.dtype = dtype};
    struct lm_model *model = NULL;
    struct lm_tokens *tokens = NULL;
    struct loss_work *w = mem_zalloc(sizeof(*w));
    *fault = (struct lm_fault){0};
    if (w == NULL)
        return ERR_NOMEM;
    enum err err = lm_tokens_open(tokens_path, fault, &tokens);
    if (err == ERR_OK)
        err = lm_model_load(dir, &options, fault, &model);
    if (err == ERR_OK)
        err = lm_session_create(model, &w->session);
    if (err == ERR_OK)
        err = lm_pool_create(threads, &w->pool);
    if (err == ERR_OK) {
        w->context = lm_model_config(model)->context;
        err = judge_all(w, tokens, tokens_max);
        if (err == ERR_INPUT && fault->why[0] == 0)
            (void)snprintf(fault->why, sizeof(fault->why),
                           "the tokens hold an id that this model does not use");
    }
    if (err == ERR_OK) {
        *ret_loss = w->scored > 0 ? w->sum / (double)w->scored : 0;
        *ret_scored = w->scored;
    }
    lm_pool_destroy(w->pool);
    lm_session_destroy(w->session);
    lm_model_destroy(model);
    lm_tokens_close(tokens);
    mem_free(w);
    return err;
}
