/* Attention over the cache: query heads of one group share their keys and values. */
#include "lm/run/run_int.h"

#include <math.h>
#include <string.h>

/* Turned keys and values of row `row` into the cache of kv head g. */
static void keep_row(const struct lm_pass *pass, uint32_t g, uint32_t row)
{
    struct lm_session *s = pass->s;
    const struct lm_config *c = &s->model->config;
    uint32_t d = s->d;
    uint32_t position = pass->at + row;
    uint32_t context16 = (c->context + 15) & ~15U;
    float *qkv = s->qkv + (size_t)row * s->qkv16;
    float *k = qkv + c->hidden + (size_t)g * d;
    const float *v = qkv + c->hidden + (size_t)(s->kv + g) * d;
    float *keys = s->keys + pass->layer * s->layer_keys + (size_t)g * context16 * d +
                  (size_t)(position / 16) * d * 16 + position % 16;
    float *values =
        s->values + pass->layer * s->layer_values + ((size_t)g * c->context + position) * s->d16;
    lm_rope_row(k, s->model->cos + (size_t)position * (d / 2),
                s->model->sin + (size_t)position * (d / 2), d, false);
    for (uint32_t i = 0; i < d; i++)
        keys[(size_t)i * 16] = k[i];
    memcpy(values, v, d * sizeof(float));
    memset(values + d, 0, (s->d16 - d) * sizeof(float));
}

static void attend_row(const struct lm_pass *pass, uint32_t g, uint32_t row, float *scores)
{
    struct lm_session *s = pass->s;
    const struct lm_config *c = &s->model->config;
    uint32_t d = s->d;
    uint32_t position = pass->at + row;
    uint32_t context16 = (c->context + 15) & ~15U;
    const float *cos_row = s->model->cos + (size_t)position * (d / 2);
    const float *sin_row = s->model->sin + (size_t)position * (d / 2);
    const float *keys = s->keys + pass->layer * s->layer_keys + (size_t)g * context16 * d;
    const float *values =
        s->values + pass->layer * s->layer_values + (size_t)g * c->context * s->d16;
    float *q = s->qkv + (size_t)row * s->qkv16 + (size_t)g * s->group * d;
    float *out = s->att + (size_t)row * s->h16 + (size_t)g * s->group * d;
    float scale = 1.0F / sqrtf((float)d);
    for (uint32_t head = 0; head < s->group; head++) {
        lm_rope_row(q + (size_t)head * d, cos_row, sin_row, d, false);
        for (uint32_t i = 0; i < d; i++)
            q[(size_t)head * d + i] *= scale;
    }
    const struct lm_matvec_set *set = lm_matvec_set();
    set->scores(scores, context16, q, s->group, d, keys, position + 1);
    for (uint32_t head = 0; head < s->group; head++)
        (void)lm_softmax_row(scores + (size_t)head * context16, position + 1);
    set->values(out, scores, context16, s->group, d, values, s->d16, position + 1);
}

static float *scores_of(const struct lm_pass *pass, uint32_t index)
{
    const struct lm_session *s = pass->s;
    uint32_t context16 = (s->model->config.context + 15) & ~15U;
    return s->scores + (size_t)index * s->group * context16;
}

/* One token: its key, its value and its answer in one go, a kv head a task. */
static void task_one(void *cookie, uint32_t index, uint32_t worker)
{
    const struct lm_pass *pass = cookie;
    (void)worker;
    keep_row(pass, index, 0);
    if (pass->first == 0)
        attend_row(pass, index, 0, scores_of(pass, index));
}

static void task_keep(void *cookie, uint32_t index, uint32_t worker)
{
    const struct lm_pass *pass = cookie;
    (void)worker;
    for (uint32_t row = 0; row < pass->t; row++)
        keep_row(pass, index, row);
}

static void task_attend(void *cookie, uint32_t index, uint32_t worker)
{
    const struct lm_pass *pass = cookie;
    uint32_t g = index % pass->s->kv;
    uint32_t from = pass->first + index / pass->s->kv * LM_ROWS_TASK;
    (void)worker;
    for (uint32_t row = from; row < from + LM_ROWS_TASK && row < pass->t; row++)
        attend_row(pass, g, row, scores_of(pass, index));
}

void lm_pass_attend(struct lm_pass *pass)
{
    uint32_t kv = pass->s->kv;
    uint32_t groups = (pass->t - pass->first + LM_ROWS_TASK - 1) / LM_ROWS_TASK;
    if (pass->t == 1) {
        lm_pass_tasks(pass->pool, kv, task_one, pass);
        return;
    }
    lm_pass_tasks(pass->pool, kv, task_keep, pass);
    lm_pass_tasks(pass->pool, kv * groups, task_attend, pass);
}
