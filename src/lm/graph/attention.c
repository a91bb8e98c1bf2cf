/* Causal attention, several query heads to one head of keys and values.  A task is one head of one
 * text forward, one head of keys and values back (its queries' heads add to the same gradients).
 * Scores exist for one block of queries at a time, in the worker's own memory; the way back makes
 * them again from the kept sums. */
#include "lm/graph/graph_state_int.h"

#include <math.h>
#include <string.h>

/* One block of queries of one head: rows first..first+count-1 of text `text`, which see some of the
 * keys from..from+seen-1. */
struct window {
    struct lm_pass *pass;
    const struct lm_graph *g;
    const struct lm_config *c;
    uint32_t text, head, first, count, from, seen;
    float *p, *dp, *dropped; /* (count, seen) each, stride T */
    float *dot;              /* (count) */
};

static struct window window_make(struct lm_pass *pass, uint32_t text, uint32_t worker)
{
    const struct lm_graph *g = pass->graph;
    size_t each = (size_t)g->block * g->options.length;
    float *scores = g->room.scores + worker * 3 * each;
    return (struct window){.pass = pass,
                           .g = g,
                           .c = pass->config,
                           .text = text,
                           .p = scores,
                           .dp = scores + each,
                           .dropped = scores + 2 * each,
                           .dot = g->room.dot + (size_t)worker * g->block};
}

static size_t row_of(const struct window *w, uint32_t t)
{
    return (size_t)w->text * w->g->options.length + t;
}

/* What the query at t sees: its own text, up to itself. */
static uint32_t start_of(const struct window *w, uint32_t t)
{
    return lm_graph_start(w->pass, row_of(w, t));
}

static void window_move(struct window *w, uint32_t first)
{
    uint32_t left = w->g->options.length - first;
    w->first = first;
    w->count = left < w->g->block ? left : w->g->block;
    w->from = first;
    for (uint32_t t = first; t < first + w->count; t++)
        w->from = start_of(w, t) < w->from ? start_of(w, t) : w->from;
    w->seen = first + w->count - w->from;
}

/* Columns of one head in a row of qkv. */
static uint32_t query_at(const struct window *w)
{
    return w->head * w->g->head;
}
static uint32_t key_at(const struct window *w)
{
    return w->c->hidden + w->head / (w->c->heads / w->c->kv_heads) * w->g->head;
}
static uint32_t value_at(const struct window *w)
{
    return key_at(w) + w->c->kv_heads * w->g->head;
}

static const float *kept_at(const struct window *w, uint32_t t, uint32_t column)
{
    return w->pass->kept->qkv + row_of(w, t) * w->g->qkv + column;
}
static float *grad_at(const struct window *w, uint32_t t, uint32_t column)
{
    return w->g->room.dqkv + row_of(w, t) * w->g->qkv + column;
}

static void product(const struct window *w, struct lm_gemm gemm)
{
    gemm.precision = LM_PRECISION_F32; /* small beside the weights' products, and sensitive */
    if (lm_gemm(NULL, &gemm) != ERR_OK)
        atomic_store(&w->pass->graph->starved, true);
}

/* p (count, seen) = q k^T / sqrt(d) */
static void score(const struct window *w)
{
    product(w, (struct lm_gemm){.m = w->count,
                                .n = w->seen,
                                .k = w->g->head,
                                .a = kept_at(w, w->first, query_at(w)),
                                .lda = w->g->qkv,
                                .b = kept_at(w, w->from, key_at(w)),
                                .ldb = w->g->qkv,
                                .b_turned = true,
                                .c = w->p,
                                .ldc = w->g->options.length,
                                .scale = 1 / sqrtf((float)w->g->head)});
}

static uint32_t mask_row(const struct window *w, uint32_t t)
{
    return (w->text * w->c->heads + w->head) * w->g->options.length + t;
}

static float *log_sum_at(const struct window *w, uint32_t t)
{
    return w->pass->kept->log_sum + mask_row(w, t);
}

/* The part of a row of scores that its query sees; the rest is set to 0. */
struct sight {
    uint32_t from, end;
};

static struct sight sight_of(const struct window *w, uint32_t t)
{
    return (struct sight){start_of(w, t) - w->from, t + 1 - w->from};
}

static void hide_others(const struct window *w, float *row, struct sight sight)
{
    memset(row, 0, sight.from * sizeof(*row));
    memset(row + sight.end, 0, (w->seen - sight.end) * sizeof(*row));
}

static void block_forward(const struct window *w)
{
    uint32_t stride = w->g->options.length;
    score(w);
    for (uint32_t i = 0; i < w->count; i++) {
        uint32_t t = w->first + i;
        float *row = w->p + (size_t)i * stride;
        struct sight sight = sight_of(w, t);
        *log_sum_at(w, t) = lm_softmax_row(row + sight.from, sight.end - sight.from);
        lm_graph_drop(w->pass, LM_PLACE_SCORES, mask_row(w, t), row, sight.end);
        hide_others(w, row, sight);
    }
    product(w, (struct lm_gemm){.m = w->count,
                                .n = w->g->head,
                                .k = w->seen,
                                .a = w->p,
                                .lda = stride,
                                .b = kept_at(w, w->from, value_at(w)),
                                .ldb = w->g->qkv,
                                .c = w->pass->kept->o + row_of(w, w->first) * w->c->hidden +
                                     query_at(w),
                                .ldc = w->c->hidden});
}

static void forward_task(void *cookie, uint32_t index, uint32_t worker)
{
    struct lm_pass *pass = cookie;
    struct window w = window_make(pass, index / pass->config->heads, worker);
    w.head = index % pass->config->heads;
    for (uint32_t first = 0; first < w.g->options.length; first += w.count) {
        window_move(&w, first);
        block_forward(&w);
    }
}

/* Rotates the heads in columns 0..heads + kv_heads of a row. */
static void rotate_row(const struct lm_graph *g, float *row, uint32_t t, bool back)
{
    const struct lm_config *c = &g->options.config;
    size_t at = (size_t)t * (g->head / 2);
    for (uint32_t i = 0; i < c->heads + c->kv_heads; i++)
        lm_rope_row(row + (size_t)i * g->head, g->cos_table + at, g->sin_table + at, g->head, back);
}

static void rotate_rows(struct lm_pass *pass, struct lm_span span)
{
    const struct lm_graph *g = pass->graph;
    for (uint32_t i = span.from; i < span.to; i++)
        rotate_row(g, pass->kept->qkv + (size_t)i * g->qkv, i % g->options.length, false);
}

static enum err outcome(const struct lm_pass *pass)
{
    return atomic_load(&pass->graph->starved) ? ERR_NOMEM : ERR_OK;
}

enum err lm_attention_forward(struct lm_pass *pass)
{
    const struct lm_graph *g = pass->graph;
    lm_graph_rows(pass, g->rows, rotate_rows);
    lm_pool_run(g->options.pool, g->options.batch * pass->config->heads, forward_task, pass);
    return outcome(pass);
}

/* ---- back ---- */

/* The probabilities again (p), what dropout left of them (the return value), and do . o. */
static const float *remake(const struct window *w, const float *dout)
{
    uint32_t stride = w->g->options.length;
    bool drops = w->g->options.dropout_attention > 0;
    score(w);
    for (uint32_t i = 0; i < w->count; i++) {
        uint32_t t = w->first + i;
        size_t at = row_of(w, t) * w->c->hidden + query_at(w);
        float *row = w->p + (size_t)i * stride;
        struct sight sight = sight_of(w, t);
        (void)lm_exp_row(row + sight.from, *log_sum_at(w, t), sight.end - sight.from);
        hide_others(w, row, sight);
        w->dot[i] = lm_dot(dout + at, w->pass->kept->o + at, w->g->head);
        if (!drops)
            continue;
        float *left = w->dropped + (size_t)i * stride;
        memcpy(left, row, w->seen * sizeof(*row));
        lm_graph_drop(w->pass, LM_PLACE_SCORES, mask_row(w, t), left, sight.end);
    }
    return drops ? w->dropped : w->p;
}

/* dp (count, seen) = gradient of the scores, sqrt(d) not yet in it: p * (do v^T - do . o) */
static void score_back(const struct window *w, const float *dout)
{
    uint32_t stride = w->g->options.length;
    product(w, (struct lm_gemm){.m = w->count,
                                .n = w->seen,
                                .k = w->g->head,
                                .a = dout + row_of(w, w->first) * w->c->hidden + query_at(w),
                                .lda = w->c->hidden,
                                .b = kept_at(w, w->from, value_at(w)),
                                .ldb = w->g->qkv,
                                .b_turned = true,
                                .c = w->dp,
                                .ldc = stride});
    for (uint32_t i = 0; i < w->count; i++) {
        uint32_t t = w->first + i;
        float *dp = w->dp + (size_t)i * stride;
        const float *p = w->p + (size_t)i * stride;
        lm_graph_drop(w->pass, LM_PLACE_SCORES, mask_row(w, t), dp, sight_of(w, t).end);
        for (uint32_t j = 0; j < w->seen; j++)
            dp[j] = p[j] * (dp[j] - w->dot[i]); /* p is 0 where others are */
    }
}

static void block_back(const struct window *w)
{
    const float *dout = w->g->room.a;
    uint32_t stride = w->g->options.length;
    float scale = 1 / sqrtf((float)w->g->head);
    const float *left = remake(w, dout);
    struct lm_gemm to_keys = {.m = w->seen, /* dv += left^T do */
                              .n = w->g->head,
                              .k = w->count,
                              .a = left,
                              .lda = stride,
                              .a_turned = true,
                              .b = dout + row_of(w, w->first) * w->c->hidden + query_at(w),
                              .ldb = w->c->hidden,
                              .c = grad_at(w, w->from, value_at(w)),
                              .ldc = w->g->qkv,
                              .add = true};
    product(w, to_keys);
    score_back(w, dout);
    to_keys.a = w->dp; /* dk += dp^T q / sqrt(d) */
    to_keys.b = kept_at(w, w->first, query_at(w));
    to_keys.ldb = w->g->qkv;
    to_keys.c = grad_at(w, w->from, key_at(w));
    to_keys.scale = scale;
    product(w, to_keys);
    product(w, (struct lm_gemm){.m = w->count, /* dq = dp k / sqrt(d) */
                                .n = w->g->head,
                                .k = w->seen,
                                .a = w->dp,
                                .lda = stride,
                                .b = kept_at(w, w->from, key_at(w)),
                                .ldb = w->g->qkv,
                                .c = grad_at(w, w->first, query_at(w)),
                                .ldc = w->g->qkv,
                                .scale = scale});
}

static void clear_grads(const struct window *w)
{
    for (uint32_t t = 0; t < w->g->options.length; t++) {
        memset(grad_at(w, t, key_at(w)), 0, w->g->head * sizeof(float));
        memset(grad_at(w, t, value_at(w)), 0, w->g->head * sizeof(float));
    }
}

static void back_task(void *cookie, uint32_t index, uint32_t worker)
{
    struct lm_pass *pass = cookie;
    uint32_t group = pass->config->heads / pass->config->kv_heads;
    struct window w = window_make(pass, index / pass->config->kv_heads, worker);
    w.head = index % pass->config->kv_heads * group;
    clear_grads(&w);
    for (uint32_t i = 0; i < group; i++, w.head++) {
        for (uint32_t first = 0; first < w.g->options.length; first += w.count) {
            window_move(&w, first);
            block_back(&w);
        }
    }
}

static void rotate_back_rows(struct lm_pass *pass, struct lm_span span)
{
    const struct lm_graph *g = pass->graph;
    for (uint32_t i = span.from; i < span.to; i++)
        rotate_row(g, g->room.dqkv + (size_t)i * g->qkv, i % g->options.length, true);
}

enum err lm_attention_back(struct lm_pass *pass)
{
    const struct lm_graph *g = pass->graph;
    lm_pool_run(g->options.pool, g->options.batch * pass->config->kv_heads, back_task, pass);
    lm_graph_rows(pass, g->rows, rotate_back_rows);
    return outcome(pass);
}
