/* A session: its memory, what it holds, feeding and scoring. */
#include "lm/run/run_int.h"

#include <string.h>

static uint32_t up16(uint32_t n)
{
    return (n + 15) & ~15U;
}

/* One piece of the session's memory, aligned to 64; with `at` NULL only counted. */
static void *piece(unsigned char *at, size_t *used, size_t bytes)
{
    void *here = at == NULL ? NULL : at + *used;
    *used += (bytes + 63) & ~(size_t)63;
    return here;
}

static size_t lay_work(struct lm_session *s, unsigned char *at)
{
    const struct lm_config *c = &s->model->config;
    enum lm_dtype dtype = s->model->dtype;
    /* The logits may be int8 where the layers are int4: rows of the same size. */
    uint32_t slots = LM_CHUNK * (c->experts == 0 ? 1 : c->top_k);
    uint32_t choices = LM_CHUNK * (c->top_k == 0 ? 1 : c->top_k);
    size_t used = 0;
    s->x = piece(at, &used, (size_t)LM_CHUNK * s->h16 * sizeof(float));
    s->ln = piece(at, &used, (size_t)LM_CHUNK * s->h16 * sizeof(float));
    s->att = piece(at, &used, (size_t)LM_CHUNK * s->h16 * sizeof(float));
    s->qkv = piece(at, &used, (size_t)LM_CHUNK * s->qkv16 * sizeof(float));
    s->y = piece(at, &used, (size_t)slots * s->h16 * sizeof(float));
    s->act = piece(at, &used, (size_t)slots * s->f16 * sizeof(float));
    s->gather = piece(at, &used, c->experts == 0 ? 64 : (size_t)slots * s->h16 * sizeof(float));
    s->scores =
        piece(at, &used, (size_t)LM_ROWS_TASKS * c->heads * up16(c->context) * sizeof(float));
    s->logits = piece(at, &used, (size_t)LM_ROWS_TASK * up16(c->vocab_used) * sizeof(float));
    s->rows_ln = piece(at, &used, lm_rows_bytes(dtype, LM_CHUNK, c->hidden));
    s->rows_att = piece(at, &used, lm_rows_bytes(dtype, LM_CHUNK, c->hidden));
    s->rows_gather = piece(at, &used, c->experts == 0 ? 0 : lm_rows_bytes(dtype, slots, c->hidden));
    s->rows_act = piece(at, &used, lm_rows_bytes(dtype, slots, c->ffn));
    s->chosen = piece(at, &used, choices * sizeof(uint32_t));
    s->share = piece(at, &used, choices * sizeof(float));
    s->slot = piece(at, &used, choices * sizeof(uint32_t));
    s->ids = piece(at, &used, c->context * sizeof(uint16_t));
    return used;
}

static unsigned char *align64(void *memory)
{
    return (unsigned char *)memory + (64 - ((uintptr_t)memory & 63)) % 64;
}

enum err lm_session_create(const struct lm_model *model, struct lm_session **ret_session)
{
    const struct lm_config *c = &model->config;
    struct lm_session *s = mem_zalloc(sizeof(*s));
    if (s == NULL)
        return ERR_NOMEM;
    s->model = model;
    s->d = c->hidden / c->heads;
    s->d16 = up16(s->d);
    s->kv = c->kv_heads;
    s->group = c->heads / c->kv_heads;
    s->h16 = up16(c->hidden);
    s->qkv16 = up16(c->hidden + 2 * s->kv * s->d);
    s->f16 = up16(c->ffn);
    s->layer_keys = (size_t)s->kv * up16(c->context) * s->d;
    s->layer_values = (size_t)s->kv * c->context * s->d16;
    s->memory = mem_zalloc(lay_work(s, NULL) + 64);
    s->cache = mem_zalloc(c->layers * (s->layer_keys + s->layer_values) * sizeof(float) + 64);
    if (s->memory == NULL || s->cache == NULL) {
        lm_session_destroy(s);
        return ERR_NOMEM;
    }
    (void)lay_work(s, align64(s->memory));
    s->keys = (float *)(void *)align64(s->cache);
    s->values = s->keys + c->layers * s->layer_keys;
    *ret_session = s;
    return ERR_OK;
}

void lm_session_destroy(struct lm_session *session)
{
    if (session == NULL)
        return;
    mem_free(session->memory);
    mem_free(session->cache);
    mem_free(session);
}

uint32_t lm_session_length(const struct lm_session *session)
{
    return session->length;
}

void lm_session_rewind(struct lm_session *session, uint32_t keep)
{
    if (keep < session->length)
        session->length = keep;
}

uint32_t lm_session_reuse(struct lm_session *session, const uint16_t *ids, uint32_t count)
{
    uint32_t same = 0;
    while (same + 1 < count && same < session->length && session->ids[same] == ids[same])
        same++;
    session->length = same;
    return same;
}

static enum err admit(const struct lm_session *s, const uint16_t *ids, uint32_t count)
{
    const struct lm_config *c = &s->model->config;
    if (count == 0)
        return ERR_INPUT;
    if (count > c->context - s->length)
        return ERR_FULL;
    for (uint32_t i = 0; i < count; i++)
        if (ids[i] >= c->vocab_used)
            return ERR_INPUT;
    return ERR_OK;
}

enum err lm_session_feed(struct lm_session *s, struct lm_pool *pool, const uint16_t *ids,
                         uint32_t count, float *ret_logits)
{
    enum err err = admit(s, ids, count);
    if (err != ERR_OK)
        return err;
    memcpy(s->ids + s->length, ids, count * sizeof(*ids));
    for (uint32_t done = 0; done < count;) {
        uint32_t t = count - done < LM_CHUNK ? count - done : LM_CHUNK;
        bool last = done + t == count && ret_logits != NULL;
        lm_pass_run(s, pool, s->length + done, t, last ? t - 1 : t);
        if (last)
            lm_pass_logits(s, pool, t - 1, 1);
        done += t;
    }
    s->length += count;
    if (ret_logits != NULL)
        memcpy(ret_logits, s->logits, s->model->config.vocab_used * sizeof(float));
    return ERR_OK;
}

struct scoring {
    struct lm_session *s;
    const uint16_t *next;
    double logprob[LM_ROWS_TASK];
};

static void task_score(void *cookie, uint32_t index, uint32_t worker)
{
    struct scoring *scoring = cookie;
    const struct lm_session *s = scoring->s;
    float *logits = s->logits + (size_t)index * s->model->tok.blocks * 16;
    uint32_t n = s->model->config.vocab_used;
    (void)worker;
    float chosen = logits[scoring->next[index]];
    scoring->logprob[index] = (double)chosen - (double)lm_softmax_row(logits, n);
}

/* Log-probabilities of next[0..count-1] after rows row.. of the pass just run. */
static double score_rows(struct lm_session *s, struct lm_pool *pool, uint32_t row,
                         const uint16_t *next, uint32_t count)
{
    double sum = 0;
    for (uint32_t done = 0; done < count; done += LM_ROWS_TASK) {
        uint32_t t = count - done < LM_ROWS_TASK ? count - done : LM_ROWS_TASK;
        struct scoring scoring = {.s = s, .next = next + done};
        lm_pass_logits(s, pool, row + done, t);
        lm_pass_tasks(pool, t, task_score, &scoring);
        for (uint32_t i = 0; i < t; i++)
            sum += scoring.logprob[i];
    }
    return sum;
}

enum err lm_session_score(struct lm_session *s, struct lm_pool *pool, const uint16_t *ids,
                          uint32_t count, double *ret_logprob)
{
    double sum = 0;
    enum err err = admit(s, ids, count);
    if (err != ERR_OK)
        return err;
    memcpy(s->ids + s->length, ids, count * sizeof(*ids));
    /* What predicts ids[0] was not kept: its row is run again. */
    uint32_t back = s->length > 0 ? 1 : 0;
    uint32_t end = s->length + count;
    for (uint32_t at = s->length - back; at < end;) {
        uint32_t t = end - at < LM_CHUNK ? end - at : LM_CHUNK;
        uint32_t scored = at + t < end ? t : t - 1;
        lm_pass_run(s, pool, at, t, 0);
        sum += score_rows(s, pool, 0, s->ids + at + 1, scored);
        at += t;
    }
    s->length = end;
    *ret_logprob = sum;
    return ERR_OK;
}
