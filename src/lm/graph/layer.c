/* One layer: norms, attention, the domain block, feed-forward.  What works on single rows is done
 * for a chunk of rows at once, between the matrix products. */
#include "lm/graph/graph_state_int.h"

#include <math.h>
#include <string.h>

static bool is_post(const struct lm_pass *pass)
{
    return pass->config->norm == LM_NORM_POST;
}

static float gate_of(const struct lm_pass *pass)
{
    return (float)(1 / (1 + exp(-(double)pass->w->blend[0])));
}

/* y = LN1(x), LN2(x); the stats of row i are kept. */
static void norm1(struct lm_pass *pass, uint32_t i, const float *x, float *y)
{
    float *stats = pass->kept->stats + (size_t)4 * i;
    lm_norm_row(y, x, pass->w->ln1_w, pass->w->ln1_b, pass->config->hidden, pass->config->norm_eps,
                &stats[0], &stats[1]);
}
static void norm2(struct lm_pass *pass, uint32_t i, const float *x, float *y)
{
    float *stats = pass->kept->stats + (size_t)4 * i;
    lm_norm_row(y, x, pass->w->ln2_w, pass->w->ln2_b, pass->config->hidden, pass->config->norm_eps,
                &stats[2], &stats[3]);
}

/* dx += LN1back(dy), LN2back(dy); gain and bias into the chunk's parts. */
static void norm1_back(struct lm_pass *pass, struct lm_span span, uint32_t i, const float *dy,
                       const float *x, float *dx)
{
    const float *stats = pass->kept->stats + (size_t)4 * i;
    lm_norm_row_back(dx, lm_graph_part(pass->graph, span.chunk, PART_LN1_W),
                     lm_graph_part(pass->graph, span.chunk, PART_LN1_B), dy, x, pass->w->ln1_w,
                     stats[0], stats[1], pass->config->hidden);
}
static void norm2_back(struct lm_pass *pass, struct lm_span span, uint32_t i, const float *dy,
                       const float *x, float *dx)
{
    const float *stats = pass->kept->stats + (size_t)4 * i;
    lm_norm_row_back(dx, lm_graph_part(pass->graph, span.chunk, PART_LN2_W),
                     lm_graph_part(pass->graph, span.chunk, PART_LN2_B), dy, x, pass->w->ln2_w,
                     stats[2], stats[3], pass->config->hidden);
}

/* ---- forward ---- */

static void enter_rows(struct lm_pass *pass, struct lm_span span)
{
    uint32_t h = pass->config->hidden;
    for (uint32_t i = span.from; i < span.to; i++)
        norm1(pass, i, pass->x + (size_t)i * h, pass->graph->room.n + (size_t)i * h);
}

/* mix = softmax(x1 Wd); x2 = x1 + gate * mix dom, in place. */
static void domain_row(const struct lm_pass *pass, uint32_t i, float gate, float *x)
{
    uint32_t h = pass->config->hidden;
    uint32_t domains = pass->config->domains;
    float *mix = pass->kept->mix + (size_t)i * domains;
    for (uint32_t e = 0; e < domains; e++)
        mix[e] = lm_dot(x, pass->w->dom_w + (size_t)e * h, h);
    (void)lm_softmax_row(mix, domains);
    for (uint32_t e = 0; e < domains; e++)
        lm_axpy(x, gate * mix[e], pass->w->dom + (size_t)e * h, h);
}

/* mid = x + drop(a); then on to x2 (in `next`) and n2. */
static void middle_rows(struct lm_pass *pass, struct lm_span span)
{
    const struct lm_room *room = &pass->graph->room;
    uint32_t h = pass->config->hidden;
    float gate = gate_of(pass);
    for (uint32_t i = span.from; i < span.to; i++) {
        size_t row = (size_t)i * h;
        float *mid = pass->kept->mid + row;
        float *x = pass->next + row;
        memcpy(mid, room->a + row, h * sizeof(*mid));
        lm_graph_drop(pass, LM_PLACE_ATTENTION, i, mid, h);
        lm_axpy(mid, 1, pass->x + row, h);
        if (is_post(pass))
            norm1(pass, i, mid, x);
        else
            memcpy(x, mid, h * sizeof(*x));
        domain_row(pass, i, gate, x);
        if (!is_post(pass))
            norm2(pass, i, x, room->n + row);
    }
}

/* next = x2 + drop(a), or its norm. */
static void leave_rows(struct lm_pass *pass, struct lm_span span)
{
    const struct lm_room *room = &pass->graph->room;
    uint32_t h = pass->config->hidden;
    for (uint32_t i = span.from; i < span.to; i++) {
        size_t row = (size_t)i * h;
        float *a = room->a + row;
        float *x = pass->next + row;
        lm_graph_drop(pass, LM_PLACE_FEED, i, a, h);
        lm_axpy(x, 1, a, h);
        if (!is_post(pass))
            continue;
        memcpy(pass->kept->end + row, x, h * sizeof(*x));
        norm2(pass, i, pass->kept->end + row, x);
    }
}

/* Queries, keys and values are one product: their weights lie one after the other. */
static enum err attention_in(struct lm_pass *pass, const float *n)
{
    const struct lm_graph *g = pass->graph;
    uint32_t h = pass->config->hidden;
    return lm_graph_gemm(pass, (struct lm_gemm){.m = g->rows,
                                                .n = g->qkv,
                                                .k = h,
                                                .a = n,
                                                .lda = h,
                                                .b = pass->w->wq,
                                                .ldb = h,
                                                .b_turned = true,
                                                .c = pass->kept->qkv,
                                                .ldc = g->qkv});
}

static enum err attention_out(struct lm_pass *pass)
{
    uint32_t h = pass->config->hidden;
    return lm_graph_gemm(pass, (struct lm_gemm){.m = pass->graph->rows,
                                                .n = h,
                                                .k = h,
                                                .a = pass->kept->o,
                                                .lda = h,
                                                .b = pass->w->wo,
                                                .ldb = h,
                                                .b_turned = true,
                                                .c = pass->graph->room.a,
                                                .ldc = h});
}

enum err lm_layer_forward(struct lm_pass *pass)
{
    const struct lm_graph *g = pass->graph;
    bool post = is_post(pass);
    if (!post)
        lm_graph_rows(pass, g->rows, enter_rows);
    enum err err = attention_in(pass, post ? pass->x : g->room.n);
    if (err == ERR_OK)
        err = lm_attention_forward(pass);
    if (err == ERR_OK)
        err = attention_out(pass);
    if (err != ERR_OK)
        return err;
    lm_graph_rows(pass, g->rows, middle_rows);
    const float *in = post ? pass->next : g->room.n;
    err = pass->config->experts == 0 ? lm_feed_forward(pass, in) : lm_moe_forward(pass, in);
    if (err == ERR_OK)
        lm_graph_rows(pass, g->rows, leave_rows);
    return err;
}

/* ---- back ---- */

/* x1 and x2 of row i once more. */
static void remake_row(struct lm_pass *pass, uint32_t i, float gate, float *x1, float *x2)
{
    uint32_t h = pass->config->hidden;
    const float *mix = pass->kept->mix + (size_t)i * pass->config->domains;
    const float *mid = pass->kept->mid + (size_t)i * h;
    if (is_post(pass))
        norm1(pass, i, mid, x1);
    else
        memcpy(x1, mid, h * sizeof(*x1));
    memcpy(x2, x1, h * sizeof(*x2));
    for (uint32_t e = 0; e < pass->config->domains; e++)
        lm_axpy(x2, gate * mix[e], pass->w->dom + (size_t)e * h, h);
}

/* room.dx (of `next`) -> room.da, what the feed-forward part gets; room.n and room.x2 again. */
static void leave_back_rows(struct lm_pass *pass, struct lm_span span)
{
    const struct lm_graph *g = pass->graph;
    uint32_t h = pass->config->hidden;
    float gate = gate_of(pass);
    float *spare = g->room.row + (size_t)span.worker * 2 * h;
    memset(lm_graph_part(g, span.chunk, PART_LN1_W), 0, g->part_floats * sizeof(float));
    for (uint32_t i = span.from; i < span.to; i++) {
        size_t row = (size_t)i * h;
        float *dx = g->room.dx + row;
        float *x2 = g->room.x2 + row;
        remake_row(pass, i, gate, spare, x2);
        if (is_post(pass)) {
            memcpy(spare, dx, h * sizeof(*dx));
            memset(dx, 0, h * sizeof(*dx));
            norm2_back(pass, span, i, spare, pass->kept->end + row, dx);
        } else {
            norm2(pass, i, x2, g->room.n + row);
        }
        memcpy(g->room.da + row, dx, h * sizeof(*dx));
        lm_graph_drop(pass, LM_PLACE_FEED, i, g->room.da + row, h);
    }
}

/* dx (of x2) -> dx (of x1), and the block's own gradients into the chunk's parts. */
static void domain_row_back(struct lm_pass *pass, struct lm_span span, uint32_t i, float gate,
                            const float *x1, float *dx)
{
    const struct lm_graph *g = pass->graph;
    uint32_t h = pass->config->hidden;
    uint32_t domains = pass->config->domains;
    const float *mix = pass->kept->mix + (size_t)i * domains;
    float *dom = lm_graph_part(g, span.chunk, PART_DOM);
    float *dom_w = lm_graph_part(g, span.chunk, PART_DOM_W);
    float along[64]; /* lm_config_check's bound on domains */
    float mean = 0;
    for (uint32_t e = 0; e < domains; e++) {
        along[e] = lm_dot(dx, pass->w->dom + (size_t)e * h, h);
        mean += mix[e] * along[e];
        lm_axpy(dom + (size_t)e * h, gate * mix[e], dx, h);
    }
    *lm_graph_part(g, span.chunk, PART_GATE) += mean;
    for (uint32_t e = 0; e < domains; e++) {
        float dlogit = gate * mix[e] * (along[e] - mean);
        lm_axpy(dom_w + (size_t)e * h, dlogit, x1, h);
        lm_axpy(dx, dlogit, pass->w->dom_w + (size_t)e * h, h);
    }
}

/* room.a is the gradient of n2; dx -> that of mid, room.da -> what attention gets; room.n again. */
static void middle_back_rows(struct lm_pass *pass, struct lm_span span)
{
    const struct lm_graph *g = pass->graph;
    uint32_t h = pass->config->hidden;
    float gate = gate_of(pass);
    float *spare = g->room.row + (size_t)span.worker * 2 * h;
    for (uint32_t i = span.from; i < span.to; i++) {
        size_t row = (size_t)i * h;
        float *dx = g->room.dx + row;
        const float *mid = pass->kept->mid + row;
        if (is_post(pass)) {
            lm_axpy(dx, 1, g->room.a + row, h);
            norm1(pass, i, mid, spare);
            domain_row_back(pass, span, i, gate, spare, dx);
            memcpy(spare, dx, h * sizeof(*dx));
            memset(dx, 0, h * sizeof(*dx));
            norm1_back(pass, span, i, spare, mid, dx);
        } else {
            norm2_back(pass, span, i, g->room.a + row, g->room.x2 + row, dx);
            domain_row_back(pass, span, i, gate, mid, dx);
            norm1(pass, i, pass->x + row, g->room.n + row);
        }
        memcpy(g->room.da + row, dx, h * sizeof(*dx));
        lm_graph_drop(pass, LM_PLACE_ATTENTION, i, g->room.da + row, h);
    }
}

/* room.a is the gradient of n1; dx -> that of the layer's input. */
static void enter_back_rows(struct lm_pass *pass, struct lm_span span)
{
    const struct lm_graph *g = pass->graph;
    uint32_t h = pass->config->hidden;
    for (uint32_t i = span.from; i < span.to; i++) {
        size_t row = (size_t)i * h;
        if (is_post(pass))
            lm_axpy(g->room.dx + row, 1, g->room.a + row, h);
        else
            norm1_back(pass, span, i, g->room.a + row, pass->x + row, g->room.dx + row);
    }
}

/* dwo += da^T o;  room.a = da wo */
static enum err attention_out_back(struct lm_pass *pass)
{
    const struct lm_graph *g = pass->graph;
    uint32_t h = pass->config->hidden;
    enum err err = lm_graph_gemm(pass, (struct lm_gemm){.m = h,
                                                        .n = h,
                                                        .k = g->rows,
                                                        .a = g->room.da,
                                                        .lda = h,
                                                        .a_turned = true,
                                                        .b = pass->kept->o,
                                                        .ldb = h,
                                                        .c = pass->dw->wo,
                                                        .ldc = h,
                                                        .add = true});
    if (err != ERR_OK)
        return err;
    return lm_graph_gemm(pass, (struct lm_gemm){.m = g->rows,
                                                .n = h,
                                                .k = h,
                                                .a = g->room.da,
                                                .lda = h,
                                                .b = pass->w->wo,
                                                .ldb = h,
                                                .c = g->room.a,
                                                .ldc = h});
}

/* dwq, dwk, dwv += dqkv^T n;  room.a = dqkv (wq; wk; wv) */
static enum err attention_in_back(struct lm_pass *pass, const float *n)
{
    const struct lm_graph *g = pass->graph;
    uint32_t h = pass->config->hidden;
    enum err err = lm_graph_gemm(pass, (struct lm_gemm){.m = g->qkv,
                                                        .n = h,
                                                        .k = g->rows,
                                                        .a = g->room.dqkv,
                                                        .lda = g->qkv,
                                                        .a_turned = true,
                                                        .b = n,
                                                        .ldb = h,
                                                        .c = pass->dw->wq,
                                                        .ldc = h,
                                                        .add = true});
    if (err != ERR_OK)
        return err;
    return lm_graph_gemm(pass, (struct lm_gemm){.m = g->rows,
                                                .n = h,
                                                .k = g->qkv,
                                                .a = g->room.dqkv,
                                                .lda = g->qkv,
                                                .b = pass->w->wq,
                                                .ldb = h,
                                                .c = g->room.a,
                                                .ldc = h});
}

/* One kind of part, added up over the chunks in their order. */
static void parts_task(void *cookie, uint32_t index, uint32_t worker)
{
    const struct lm_pass *pass = cookie;
    const struct lm_graph *g = pass->graph;
    uint32_t h = pass->config->hidden;
    uint32_t wide = pass->config->domains * h;
    float *const into[] = {pass->dw->ln1_w, pass->dw->ln1_b, pass->dw->ln2_w,
                           pass->dw->ln2_b, pass->dw->dom,   pass->dw->dom_w};
    (void)worker;
    if (index != PART_GATE) {
        for (uint32_t chunk = 0; chunk < g->chunks; chunk++)
            lm_axpy(into[index], 1, lm_graph_part(g, chunk, (enum lm_part)index),
                    index < PART_DOM ? h : wide);
        return;
    }
    double sum = 0;
    double gate = gate_of(pass);
    for (uint32_t chunk = 0; chunk < g->chunks; chunk++)
        sum += (double)*lm_graph_part(g, chunk, PART_GATE);
    pass->dw->blend[0] += (float)(sum * gate * (1 - gate));
}

enum err lm_layer_back(struct lm_pass *pass)
{
    const struct lm_graph *g = pass->graph;
    bool post = is_post(pass);
    lm_graph_rows(pass, g->rows, leave_back_rows);
    const float *in = post ? g->room.x2 : g->room.n;
    enum err err = pass->config->experts == 0 ? lm_feed_back(pass, in) : lm_moe_back(pass, in);
    if (err != ERR_OK)
        return err;
    lm_graph_rows(pass, g->rows, middle_back_rows);
    err = attention_out_back(pass);
    if (err == ERR_OK)
        err = lm_attention_back(pass);
    if (err == ERR_OK)
        err = attention_in_back(pass, post ? pass->x : g->room.n);
    if (err != ERR_OK)
        return err;
    lm_graph_rows(pass, g->rows, enter_back_rows);
    lm_pool_run(g->options.pool, PART_GATE + 1, parts_task, pass);
    return ERR_OK;
}
