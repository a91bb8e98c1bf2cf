/* One pass of some rows through the layers.  The stages of a layer, each a set of tasks:
 *
 *   enter   x += what the layer before said; norm; rows made ready
 *   qkv     one matrix                                             \
 *   attend  keys and values kept, answers of each group of heads    | each ends with a barrier
 *   wo                                                              |
 *   middle  x += ; domain block; norm; router; rows made ready      |
 *   feed    w1 and gate, w2                                        /
 *
 * With one row (decode) what is done by rows is done by the caller alone: five barriers a layer. */
#include "lm/run/run_int.h"

#include <string.h>

void lm_pass_tasks(struct lm_pool *pool, uint32_t count,
                   void (*task)(void *cookie, uint32_t index, uint32_t worker), void *cookie)
{
    if (pool != NULL && count > 1) {
        lm_pool_run(pool, count, task, cookie);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        task(cookie, i, 0);
}

/* ---- by rows ---- */

static void norm(const struct lm_session *s, float *y, const float *x, const float *gain,
                 const float *bias)
{
    float mean;
    float rstd;
    const struct lm_config *c = &s->model->config;
    lm_norm_row(y, x, gain, bias, c->hidden, c->norm_eps, &mean, &rstd);
}

/* x += the feed-forward answers of the layer before, from its slots, experts ascending. */
static void add_feed(const struct lm_pass *pass, uint32_t row)
{
    struct lm_session *s = pass->s;
    const struct lm_config *c = &s->model->config;
    float *x = s->x + (size_t)row * s->h16;
    if (c->experts == 0) {
        lm_axpy(x, 1.0F, s->y + (size_t)row * s->h16, c->hidden);
        return;
    }
    for (uint32_t i = row * c->top_k; i < (row + 1) * c->top_k; i++)
        lm_axpy(x, s->share[i], s->y + (size_t)s->slot[i] * s->h16, c->hidden);
}

static void embed(const struct lm_pass *pass, uint32_t row)
{
    struct lm_session *s = pass->s;
    const struct lm_model *model = s->model;
    uint32_t position = pass->at + row;
    float *x = s->x + (size_t)row * s->h16;
    lm_packed_row(&model->tok, s->ids[position], x);
    lm_axpy(x, 1.0F, model->pos + (size_t)position * model->config.hidden, model->config.hidden);
}

/* Into layer `pass->layer`, or past the last one. */
static void enter_row(const struct lm_pass *pass, uint32_t row)
{
    struct lm_session *s = pass->s;
    const struct lm_config *c = &s->model->config;
    bool past = pass->layer == c->layers;
    float *x = s->x + (size_t)row * s->h16;
    float *ln = s->ln + (size_t)row * s->h16;
    if (pass->layer == 0) {
        embed(pass, row);
    } else {
        add_feed(pass, row);
        if (c->norm == LM_NORM_POST)
            norm(s, x, x, s->model->layer[pass->layer - 1].ln2_w,
                 s->model->layer[pass->layer - 1].ln2_b);
    }
    if (past)
        norm(s, ln, x, s->model->norm_w, s->model->norm_b);
    else if (c->norm == LM_NORM_PRE)
        norm(s, ln, x, s->model->layer[pass->layer].ln1_w, s->model->layer[pass->layer].ln1_b);
    else
        memcpy(ln, x, c->hidden * sizeof(float));
    if (!past)
        lm_rows_fill(&pass->ln, s->model->dtype, row, row + 1);
}

static void add_domain(const struct lm_session *s, const struct lm_run_layer *layer, float *x)
{
    const struct lm_config *c = &s->model->config;
    float share[64];
    for (uint32_t i = 0; i < c->domains; i++)
        share[i] = lm_dot(x, layer->dom_w + (size_t)i * c->hidden, c->hidden);
    (void)lm_softmax_row(share, c->domains);
    for (uint32_t i = 0; i < c->domains; i++)
        lm_axpy(x, layer->gate * share[i], layer->dom + (size_t)i * c->hidden, c->hidden);
}

static void middle_row(struct lm_pass *pass, uint32_t row)
{
    struct lm_session *s = pass->s;
    const struct lm_config *c = &s->model->config;
    const struct lm_run_layer *layer = &s->model->layer[pass->layer];
    float *x = s->x + (size_t)row * s->h16;
    float *ln = s->ln + (size_t)row * s->h16;
    lm_axpy(x, 1.0F, s->y + (size_t)row * s->h16, c->hidden);
    if (c->norm == LM_NORM_POST)
        norm(s, x, x, layer->ln1_w, layer->ln1_b);
    add_domain(s, layer, x);
    if (c->norm == LM_NORM_PRE)
        norm(s, ln, x, layer->ln2_w, layer->ln2_b);
    else
        memcpy(ln, x, c->hidden * sizeof(float));
    if (c->experts != 0)
        lm_pass_route(pass, row);
    lm_rows_fill(&pass->ln, s->model->dtype, row, row + 1);
}

static void task_enter(void *cookie, uint32_t index, uint32_t worker)
{
    const struct lm_pass *pass = cookie;
    uint32_t from = pass->first + index * LM_ROWS_TASK;
    (void)worker;
    for (uint32_t row = from; row < from + LM_ROWS_TASK && row < pass->t; row++)
        enter_row(pass, row);
}

static void task_answer(void *cookie, uint32_t index, uint32_t worker)
{
    const struct lm_pass *pass = cookie;
    uint32_t from = pass->first + index * LM_ROWS_TASK;
    uint32_t to = from + LM_ROWS_TASK < pass->t ? from + LM_ROWS_TASK : pass->t;
    (void)worker;
    lm_rows_fill(&pass->att, pass->s->model->dtype, from, to);
}

static void task_middle(void *cookie, uint32_t index, uint32_t worker)
{
    struct lm_pass *pass = cookie;
    uint32_t from = pass->first + index * LM_ROWS_TASK;
    (void)worker;
    for (uint32_t row = from; row < from + LM_ROWS_TASK && row < pass->t; row++)
        middle_row(pass, row);
}

/* ---- by blocks of a matrix ---- */

void lm_pass_part(uint32_t blocks, uint32_t index, uint32_t parts, uint32_t *ret_from,
                  uint32_t *ret_to)
{
    uint64_t units = (blocks + 3) / 4;
    uint32_t to = (uint32_t)(units * (index + 1) / parts) * 4;
    *ret_from = (uint32_t)(units * index / parts) * 4;
    *ret_to = to < blocks ? to : blocks;
}

static void task_qkv(void *cookie, uint32_t index, uint32_t worker)
{
    const struct lm_pass *pass = cookie;
    struct lm_session *s = pass->s;
    const struct lm_packed *w = &s->model->layer[pass->layer].qkv;
    uint32_t from;
    uint32_t to;
    (void)worker;
    lm_pass_part(w->blocks, index, pass->parts, &from, &to);
    lm_matvec_blocks(w, &pass->ln, 0, pass->t, from, to, s->qkv, s->qkv16);
}

static void task_wo(void *cookie, uint32_t index, uint32_t worker)
{
    const struct lm_pass *pass = cookie;
    struct lm_session *s = pass->s;
    const struct lm_packed *w = &s->model->layer[pass->layer].wo;
    uint32_t from;
    uint32_t to;
    (void)worker;
    lm_pass_part(w->blocks, index, pass->parts, &from, &to);
    lm_matvec_blocks(w, &pass->att, pass->first, pass->t - pass->first, from, to,
                     s->y + (size_t)pass->first * s->h16, s->h16);
}

void lm_pass_run(struct lm_session *s, struct lm_pool *pool, uint32_t at, uint32_t t,
                 uint32_t wanted)
{
    const struct lm_config *c = &s->model->config;
    enum lm_dtype dtype = s->model->dtype;
    uint32_t slots = LM_CHUNK * (c->experts == 0 ? 1 : c->top_k);
    struct lm_pass pass = {.s = s, .pool = pool, .t = t, .at = at, .parts = 8};
    lm_rows_lay(&pass.ln, dtype, LM_CHUNK, c->hidden, s->ln, s->h16, s->rows_ln);
    lm_rows_lay(&pass.att, dtype, LM_CHUNK, c->hidden, s->att, s->h16, s->rows_att);
    lm_rows_lay(&pass.gather, dtype, slots, c->hidden, s->gather, s->h16, s->rows_gather);
    lm_rows_lay(&pass.act, dtype, slots, c->ffn, s->act, s->f16, s->rows_act);
    for (; pass.layer < c->layers; pass.layer++) {
        lm_pass_tasks(pool, (t + LM_ROWS_TASK - 1) / LM_ROWS_TASK, task_enter, &pass);
        lm_pass_tasks(pool, pass.parts, task_qkv, &pass);
        if (pass.layer + 1 == c->layers)
            pass.first = wanted;
        lm_pass_attend(&pass);
        if (pass.first == t)
            return;
        uint32_t groups = (t - pass.first + LM_ROWS_TASK - 1) / LM_ROWS_TASK;
        lm_pass_tasks(pool, groups, task_answer, &pass);
        lm_pass_tasks(pool, pass.parts, task_wo, &pass);
        lm_pass_tasks(pool, groups, task_middle, &pass);
        lm_pass_feed(&pass);
    }
    lm_pass_tasks(pool, (t - pass.first + LM_ROWS_TASK - 1) / LM_ROWS_TASK, task_enter, &pass);
}

struct head {
    struct lm_session *s;
    struct lm_rows rows;
    uint32_t count, ld, tasks;
};

static void task_logits(void *cookie, uint32_t index, uint32_t worker)
{
    const struct head *head = cookie;
    const struct lm_packed *tok = &head->s->model->tok;
    uint32_t from;
    uint32_t to;
    (void)worker;
    lm_pass_part(tok->blocks, index, head->tasks, &from, &to);
    lm_matvec_blocks(tok, &head->rows, 0, head->count, from, to, head->s->logits, head->ld);
}

void lm_pass_logits(struct lm_session *s, struct lm_pool *pool, uint32_t row, uint32_t count)
{
    const struct lm_packed *tok = &s->model->tok;
    struct head head = {.s = s, .count = count, .ld = tok->blocks * 16, .tasks = 16};
    ASSERT(count <= LM_ROWS_TASK && count > 0);
    lm_rows_lay(&head.rows, tok->dtype, LM_CHUNK, tok->k, s->ln + (size_t)row * s->h16, s->h16,
                s->rows_ln);
    lm_rows_fill(&head.rows, tok->dtype, 0, count);
    lm_pass_tasks(pool, head.tasks, task_logits, &head);
}
