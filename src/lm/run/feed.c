/* The feed-forward part: dense, or the experts each row was sent to.  Rows are sorted by expert, so
 * that an expert's weights are read once for all its rows; a dense layer is one expert of all rows.
 */
#include "lm/run/run_int.h"

#include <string.h>

void lm_pass_route(struct lm_pass *pass, uint32_t row)
{
    struct lm_session *s = pass->s;
    const struct lm_config *c = &s->model->config;
    const float *x = s->ln + (size_t)row * s->h16;
    float p[LM_EXPERTS_MAX];
    for (uint32_t e = 0; e < c->experts; e++)
        p[e] = lm_dot(x, s->model->layer[pass->layer].router + (size_t)e * c->hidden, c->hidden);
    (void)lm_softmax_row(p, c->experts);
    lm_route(p, c->experts, c->top_k, s->chosen + (size_t)row * c->top_k,
             s->share + (size_t)row * c->top_k);
}

/* Slots by expert, rows ascending within one. */
static void sort_slots(struct lm_pass *pass)
{
    struct lm_session *s = pass->s;
    const struct lm_config *c = &s->model->config;
    pass->experts = 0;
    pass->slots = 0;
    for (uint32_t e = 0; e < c->experts; e++) {
        uint32_t before = pass->slots;
        for (uint32_t i = pass->first * c->top_k; i < pass->t * c->top_k; i++)
            if (s->chosen[i] == e)
                s->slot[i] = pass->slots++;
        if (pass->slots > before) {
            pass->expert[pass->experts] = e;
            pass->slot_from[pass->experts++] = before;
        }
    }
    pass->slot_from[pass->experts] = pass->slots;
}

static void gather(struct lm_pass *pass)
{
    struct lm_session *s = pass->s;
    uint32_t top_k = s->model->config.top_k;
    for (uint32_t i = pass->first * top_k; i < pass->t * top_k; i++)
        lm_rows_copy(&pass->gather, s->slot[i], &pass->ln, i / top_k);
}

/* w1 and the gate: a task has some pairs of blocks of one expert, for all of its rows. */
static void task_in(void *cookie, uint32_t index, uint32_t worker)
{
    const struct lm_pass *pass = cookie;
    struct lm_session *s = pass->s;
    const struct lm_config *c = &s->model->config;
    uint32_t e = index / pass->parts;
    const struct lm_packed *w1 = &s->model->layer[pass->layer].w1[pass->expert[e]];
    const struct lm_rows *rows = c->experts == 0 ? &pass->ln : &pass->gather;
    uint32_t from;
    uint32_t to;
    (void)worker;
    lm_pass_part(w1->blocks, index % pass->parts, pass->parts, &from, &to);
    for (uint32_t block = from; block < to; block += 4) {
        uint32_t pairs = to - block < 4 ? 1 : 2;
        for (uint32_t row = pass->slot_from[e]; row < pass->slot_from[e + 1]; row += LM_ROWS_TASK) {
            uint32_t left = pass->slot_from[e + 1] - row;
            uint32_t t = left < LM_ROWS_TASK ? left : LM_ROWS_TASK;
            float ag[LM_ROWS_TASK * 64];
            lm_matvec_part(w1, rows, row, t, block, block + 2 * pairs, ag, 64);
            for (uint32_t i = 0; i < t * pairs; i++)
                lm_swiglu_row(s->act + (size_t)(row + i / pairs) * s->f16 +
                                  (size_t)(block / 2 + i % pairs) * 16,
                              ag + i / pairs * 64 + i % pairs * 32, 16);
        }
    }
}

static void task_out(void *cookie, uint32_t index, uint32_t worker)
{
    const struct lm_pass *pass = cookie;
    struct lm_session *s = pass->s;
    uint32_t e = index / pass->parts;
    const struct lm_packed *w2 = &s->model->layer[pass->layer].w2[pass->expert[e]];
    uint32_t from;
    uint32_t to;
    (void)worker;
    lm_pass_part(w2->blocks, index % pass->parts, pass->parts, &from, &to);
    lm_matvec_blocks(w2, &pass->act, pass->slot_from[e],
                     pass->slot_from[e + 1] - pass->slot_from[e], from, to,
                     s->y + (size_t)pass->slot_from[e] * s->h16, s->h16);
}

static void task_fill(void *cookie, uint32_t index, uint32_t worker)
{
    const struct lm_pass *pass = cookie;
    uint32_t from = pass->slot_from[0] + index * LM_ROWS_TASK;
    uint32_t to = from + LM_ROWS_TASK < pass->slots ? from + LM_ROWS_TASK : pass->slots;
    (void)worker;
    lm_rows_fill(&pass->act, pass->s->model->dtype, from, to);
}

void lm_pass_feed(struct lm_pass *pass)
{
    if (pass->s->model->config.experts == 0) {
        pass->experts = 1;
        pass->expert[0] = 0;
        pass->slot_from[0] = pass->first;
        pass->slot_from[1] = pass->slots = pass->t;
    } else {
        sort_slots(pass);
        gather(pass);
    }
    lm_pass_tasks(pass->pool, pass->experts * pass->parts, task_in, pass);
    lm_pass_tasks(pass->pool, (pass->slots - pass->slot_from[0] + LM_ROWS_TASK - 1) / LM_ROWS_TASK,
                  task_fill, pass);
    lm_pass_tasks(pass->pool, pass->experts * pass->parts, task_out, pass);
}
