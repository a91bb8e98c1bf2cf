/* The feed-forward layer as experts: each token goes to its k most likely, with shares that sum
 * to 1.
 *
 * Rows are copied into one block an expert (a token k times), so that an expert is a few matrix
 * products; a token's results are added in the order of its experts.  The gradient of a share needs
 * do . out, which is (do w2) . y: so the experts' results need not be kept. */
#include "lm/graph/graph_state_int.h"

#include <string.h>

/* ---- routing ---- */

static void route_rows(struct lm_pass *pass, struct lm_span span)
{
    const struct lm_config *c = pass->config;
    const float *in = pass->config->norm == LM_NORM_POST ? pass->next : pass->graph->room.n;
    for (uint32_t i = span.from; i < span.to; i++) {
        float *chance = pass->kept->chance + (size_t)i * c->experts;
        for (uint32_t e = 0; e < c->experts; e++)
            chance[e] = lm_dot(in + (size_t)i * c->hidden, pass->w->router + (size_t)e * c->hidden,
                               c->hidden);
        (void)lm_softmax_row(chance, c->experts);
        lm_route(chance, c->experts, c->top_k, pass->kept->pick + (size_t)i * c->top_k,
                 pass->kept->share + (size_t)i * c->top_k);
    }
}

/* Gives every pick its row: experts one after the other, each with its tokens in order. */
static void sort_picks(struct lm_pass *pass)
{
    const struct lm_config *c = pass->config;
    const struct lm_kept *kept = pass->kept;
    uint32_t picks = pass->graph->feed_rows;
    uint32_t free_row[LM_EXPERTS_MAX];
    memset(kept->first, 0, ((size_t)c->experts + 1) * sizeof(*kept->first));
    for (uint32_t i = 0; i < picks; i++)
        kept->first[kept->pick[i] + 1]++;
    for (uint32_t e = 0; e < c->experts; e++) {
        free_row[e] = kept->first[e];
        kept->first[e + 1] += kept->first[e];
    }
    for (uint32_t i = 0; i < picks; i++) {
        uint32_t row = free_row[kept->pick[i]]++;
        kept->place[i] = row;
        kept->token[row] = i / c->top_k;
    }
}

/* How often an expert was chosen, as a share of all picks. */
static double frequency(const struct lm_pass *pass, uint32_t e)
{
    const struct lm_kept *kept = pass->kept;
    return (kept->first[e + 1] - kept->first[e]) / (double)pass->graph->feed_rows;
}

double lm_moe_aux(const struct lm_pass *pass)
{
    uint32_t experts = pass->config->experts;
    uint32_t rows = pass->graph->rows;
    double aux = 0;
    for (uint32_t e = 0; e < experts; e++) {
        double chance = 0;
        for (uint32_t i = 0; i < rows; i++)
            chance += (double)pass->kept->chance[(size_t)i * experts + e];
        aux += frequency(pass, e) * chance / rows;
    }
    return experts * aux;
}

/* ---- forward ---- */

struct gather {
    struct lm_pass *pass;
    const float *from; /* (N, h) */
    float *to;         /* (M, h) */
};

static void gather_task(void *cookie, uint32_t index, uint32_t worker)
{
    const struct gather *job = cookie;
    const struct lm_graph *g = job->pass->graph;
    uint32_t h = job->pass->config->hidden;
    (void)worker;
    for (uint32_t row = index * g->chunk; row < g->feed_rows && row < (index + 1) * g->chunk; row++)
        memcpy(job->to + (size_t)row * h, job->from + (size_t)job->pass->kept->token[row] * h,
               h * sizeof(float));
}

static void gather(struct lm_pass *pass, const float *from, float *to)
{
    const struct lm_graph *g = pass->graph;
    struct gather job = {pass, from, to};
    lm_pool_run(g->options.pool, (g->feed_rows + g->chunk - 1) / g->chunk, gather_task, &job);
}

static void gate_rows(struct lm_pass *pass, struct lm_span span)
{
    uint32_t f = pass->config->ffn;
    for (uint32_t i = span.from; i < span.to; i++)
        lm_swiglu_row(pass->graph->room.y + (size_t)i * f, pass->kept->ag + (size_t)i * 2 * f, f);
}

/* room.a = sum of share * out over a token's experts */
static void combine_rows(struct lm_pass *pass, struct lm_span span)
{
    const struct lm_room *room = &pass->graph->room;
    uint32_t h = pass->config->hidden;
    uint32_t k = pass->config->top_k;
    for (uint32_t i = span.from; i < span.to; i++) {
        float *a = room->a + (size_t)i * h;
        memset(a, 0, h * sizeof(*a));
        for (size_t j = (size_t)i * k; j < ((size_t)i + 1) * k; j++)
            lm_axpy(a, pass->kept->share[j], room->out + (size_t)pass->kept->place[j] * h, h);
    }
}

static enum err experts_up(struct lm_pass *pass)
{
    const struct lm_kept *kept = pass->kept;
    size_t h = pass->config->hidden;
    size_t f = pass->config->ffn;
    enum err err = ERR_OK;
    for (uint32_t e = 0; e < pass->config->experts && err == ERR_OK; e++)
        err = lm_graph_gemm(pass, (struct lm_gemm){.m = kept->first[e + 1] - kept->first[e],
                                                   .n = (uint32_t)(2 * f),
                                                   .k = (uint32_t)h,
                                                   .a = pass->graph->room.in + kept->first[e] * h,
                                                   .lda = (uint32_t)h,
                                                   .b = pass->w->w1[e],
                                                   .ldb = (uint32_t)h,
                                                   .b_turned = true,
                                                   .c = kept->ag + kept->first[e] * 2 * f,
                                                   .ldc = (uint32_t)(2 * f)});
    return err;
}

static enum err experts_down(struct lm_pass *pass)
{
    const struct lm_kept *kept = pass->kept;
    size_t h = pass->config->hidden;
    size_t f = pass->config->ffn;
    enum err err = ERR_OK;
    for (uint32_t e = 0; e < pass->config->experts && err == ERR_OK; e++)
        err = lm_graph_gemm(pass, (struct lm_gemm){.m = kept->first[e + 1] - kept->first[e],
                                                   .n = (uint32_t)h,
                                                   .k = (uint32_t)f,
                                                   .a = pass->graph->room.y + kept->first[e] * f,
                                                   .lda = (uint32_t)f,
                                                   .b = pass->w->w2[e],
                                                   .ldb = (uint32_t)f,
                                                   .b_turned = true,
                                                   .c = pass->graph->room.out + kept->first[e] * h,
                                                   .ldc = (uint32_t)h});
    return err;
}

enum err lm_moe_forward(struct lm_pass *pass, const float *in)
{
    const struct lm_graph *g = pass->graph;
    lm_graph_rows(pass, g->rows, route_rows);
    sort_picks(pass);
    gather(pass, in, g->room.in);
    enum err err = experts_up(pass);
    if (err != ERR_OK)
        return err;
    lm_graph_rows(pass, g->feed_rows, gate_rows);
    err = experts_down(pass);
    if (err == ERR_OK)
        lm_graph_rows(pass, g->rows, combine_rows);
    return err;
}

/* ---- back ---- */

/* Row of the M: y again and dy (= do w2, without the share) -> the share's gradient (in `dot`, by
 * row), dag, and y times its share, as dw2 wants it. */
static void gate_back_rows(struct lm_pass *pass, struct lm_span span)
{
    const struct lm_graph *g = pass->graph;
    const struct lm_kept *kept = pass->kept;
    uint32_t f = pass->config->ffn;
    uint32_t k = pass->config->top_k;
    for (uint32_t row = span.from; row < span.to; row++) {
        const float *ag = kept->ag + (size_t)row * 2 * f;
        float *y = g->room.y + (size_t)row * f;
        float *dy = g->room.dy + (size_t)row * f;
        size_t j = (size_t)kept->token[row] * k;
        while (kept->place[j] != row)
            j++;
        lm_swiglu_row(y, ag, f);
        g->room.dshare[j] = lm_dot(dy, y, f);
        for (uint32_t i = 0; i < f; i++) {
            dy[i] *= kept->share[j];
            y[i] *= kept->share[j];
        }
        lm_swiglu_row_back(g->room.dag + (size_t)row * 2 * f, dy, ag, f);
    }
}

/* Through the renormalisation and the softmax, with the load-balancing loss (where how often an
 * expert is chosen counts as given): dchance (E) of the logits. */
static void route_row_back(struct lm_pass *pass, uint32_t i, const double *even)
{
    const struct lm_config *c = pass->config;
    const float *chance = pass->kept->chance + (size_t)i * c->experts;
    float *dchance = pass->graph->room.dchance + (size_t)i * c->experts;
    double d[LM_EXPERTS_MAX];
    double chosen = 0; /* probability of all chosen experts */
    double mean = 0;   /* of the shares' gradients */
    double sum = 0;
    memcpy(d, even, c->experts * sizeof(*d));
    for (size_t j = (size_t)i * c->top_k; j < ((size_t)i + 1) * c->top_k; j++) {
        chosen += (double)chance[pass->kept->pick[j]];
        mean += (double)pass->graph->room.dshare[j] * (double)pass->kept->share[j];
    }
    for (size_t j = (size_t)i * c->top_k; j < ((size_t)i + 1) * c->top_k; j++)
        d[pass->kept->pick[j]] += ((double)pass->graph->room.dshare[j] - mean) / chosen;
    for (uint32_t e = 0; e < c->experts; e++)
        sum += d[e] * (double)chance[e];
    for (uint32_t e = 0; e < c->experts; e++)
        dchance[e] = (float)((double)chance[e] * (d[e] - sum));
}

/* room.a (N, h) = a token's gradients by all its experts and by the router. */
static void spread_rows(struct lm_pass *pass, struct lm_span span)
{
    const struct lm_graph *g = pass->graph;
    const struct lm_config *c = pass->config;
    double even[LM_EXPERTS_MAX];
    for (uint32_t e = 0; e < c->experts; e++)
        even[e] = pass->batch->scale * (double)c->aux / c->layers * c->experts *
                  frequency(pass, e) / g->rows;
    for (uint32_t i = span.from; i < span.to; i++) {
        float *a = g->room.a + (size_t)i * c->hidden;
        memset(a, 0, c->hidden * sizeof(*a));
        for (size_t j = (size_t)i * c->top_k; j < ((size_t)i + 1) * c->top_k; j++)
            lm_axpy(a, 1, g->room.out + (size_t)pass->kept->place[j] * c->hidden, c->hidden);
        route_row_back(pass, i, even);
        for (uint32_t e = 0; e < c->experts; e++)
            lm_axpy(a, g->room.dchance[(size_t)i * c->experts + e],
                    pass->w->router + (size_t)e * c->hidden, c->hidden);
    }
}

/* dy = do w2 */
static enum err experts_down_back(struct lm_pass *pass)
{
    const struct lm_kept *kept = pass->kept;
    size_t h = pass->config->hidden;
    size_t f = pass->config->ffn;
    enum err err = ERR_OK;
    for (uint32_t e = 0; e < pass->config->experts && err == ERR_OK; e++)
        err = lm_graph_gemm(pass, (struct lm_gemm){.m = kept->first[e + 1] - kept->first[e],
                                                   .n = (uint32_t)f,
                                                   .k = (uint32_t)h,
                                                   .a = pass->graph->room.dout + kept->first[e] * h,
                                                   .lda = (uint32_t)h,
                                                   .b = pass->w->w2[e],
                                                   .ldb = (uint32_t)f,
                                                   .c = pass->graph->room.dy + kept->first[e] * f,
                                                   .ldc = (uint32_t)f});
    return err;
}

/* dw2 += do^T (share y), dw1 += dag^T in, room.out = dag w1 */
static enum err expert_back(struct lm_pass *pass, uint32_t e)
{
    const struct lm_room *room = &pass->graph->room;
    uint32_t first = pass->kept->first[e];
    uint32_t count = pass->kept->first[e + 1] - first;
    uint32_t h = pass->config->hidden;
    uint32_t f = pass->config->ffn;
    const float *dag = room->dag + (size_t)first * 2 * f;
    enum err err = lm_graph_gemm(pass, (struct lm_gemm){.m = h,
                                                        .n = f,
                                                        .k = count,
                                                        .a = room->dout + (size_t)first * h,
                                                        .lda = h,
                                                        .a_turned = true,
                                                        .b = room->y + (size_t)first * f,
                                                        .ldb = f,
                                                        .c = pass->dw->w2[e],
                                                        .ldc = f,
                                                        .add = true});
    if (err != ERR_OK)
        return err;
    err = lm_graph_gemm(pass, (struct lm_gemm){.m = 2 * f,
                                               .n = h,
                                               .k = count,
                                               .a = dag,
                                               .lda = 2 * f,
                                               .a_turned = true,
                                               .b = room->in + (size_t)first * h,
                                               .ldb = h,
                                               .c = pass->dw->w1[e],
                                               .ldc = h,
                                               .add = true});
    if (err != ERR_OK)
        return err;
    return lm_graph_gemm(pass, (struct lm_gemm){.m = count,
                                                .n = h,
                                                .k = 2 * f,
                                                .a = dag,
                                                .lda = 2 * f,
                                                .b = pass->w->w1[e],
                                                .ldb = h,
                                                .c = room->out + (size_t)first * h,
                                                .ldc = h});
}

/* drouter += dchance^T in */
static enum err router_back(struct lm_pass *pass, const float *in)
{
    const struct lm_config *c = pass->config;
    return lm_graph_gemm(pass, (struct lm_gemm){.m = c->experts,
                                                .n = c->hidden,
                                                .k = pass->graph->rows,
                                                .a = pass->graph->room.dchance,
                                                .lda = c->experts,
                                                .a_turned = true,
                                                .b = in,
                                                .ldb = c->hidden,
                                                .c = pass->dw->router,
                                                .ldc = c->hidden,
                                                .add = true});
}

enum err lm_moe_back(struct lm_pass *pass, const float *in)
{
    const struct lm_graph *g = pass->graph;
    gather(pass, in, g->room.in);
    gather(pass, g->room.da, g->room.dout);
    enum err err = experts_down_back(pass);
    if (err != ERR_OK)
        return err;
    lm_graph_rows(pass, g->feed_rows, gate_back_rows);
    for (uint32_t e = 0; e < pass->config->experts && err == ERR_OK; e++)
        err = expert_back(pass, e);
    if (err != ERR_OK)
        return err;
    lm_graph_rows(pass, g->rows, spread_rows);
    return router_back(pass, in);
}
