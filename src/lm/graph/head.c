/* The last norm, the tied output and the cross-entropy, a few hundred tokens at a time: the logits
 * of a piece become their own gradient where they lie, and are used for dx and dE at once.  Only
 * tokens that are scored take part. */
#include "lm/graph/graph_state_int.h"

#include <math.h>
#include <string.h>

/* Gradient of the loss by a logit, per unit of (probability - truth). */
static float logit_scale(const struct lm_pass *pass)
{
    return (float)(pass->batch->scale / (double)pass->scored);
}

/* One piece of scored rows under way. */
struct piece {
    struct lm_pass *pass;
    uint32_t first, count; /* into room.scored */
};

static void norm_task(void *cookie, uint32_t index, uint32_t worker)
{
    const struct piece *piece = cookie;
    const struct lm_pass *pass = piece->pass;
    const struct lm_room *room = &pass->graph->room;
    uint32_t h = pass->config->hidden;
    uint32_t at = piece->first + index;
    const float *x = pass->graph->x[pass->config->layers] + (size_t)room->scored[at] * h;
    float *stats = room->head_stats + (size_t)2 * at;
    (void)worker;
    lm_norm_row(room->head_in + (size_t)index * h, x, pass->weights->norm_w, pass->weights->norm_b,
                h, pass->config->norm_eps, &stats[0], &stats[1]);
}

/* logits (vocab_used) -> nats, and in place their gradient. */
static void loss_task(void *cookie, uint32_t index, uint32_t worker)
{
    const struct piece *piece = cookie;
    const struct lm_pass *pass = piece->pass;
    const struct lm_room *room = &pass->graph->room;
    uint32_t v = pass->config->vocab_used;
    uint32_t at = piece->first + index;
    int32_t target = pass->batch->targets[room->scored[at]];
    float *x = room->logits + (size_t)index * v;
    float truth = x[target];
    float most = lm_max_row(x, v);
    float sum = lm_exp_row(x, most, v);
    (void)worker;
    room->nats[at] = log((double)sum) + (double)most - (double)truth;
    if (pass->grads == NULL)
        return;
    float scale = logit_scale(pass);
    float unit = scale / sum;
    for (uint32_t i = 0; i < v; i++)
        x[i] *= unit;
    x[target] -= scale;
}

/* room.a (scored, h) = dlogits tok;  dtok += dlogits^T head_in */
static enum err piece_back(const struct piece *piece)
{
    struct lm_pass *pass = piece->pass;
    const struct lm_room *room = &pass->graph->room;
    uint32_t h = pass->config->hidden;
    uint32_t v = pass->config->vocab_used;
    enum err err = lm_graph_gemm(pass, (struct lm_gemm){.m = piece->count,
                                                        .n = h,
                                                        .k = v,
                                                        .a = room->logits,
                                                        .lda = v,
                                                        .b = pass->weights->tok,
                                                        .ldb = h,
                                                        .c = room->a + (size_t)piece->first * h,
                                                        .ldc = h});
    if (err != ERR_OK)
        return err;
    return lm_graph_gemm(pass, (struct lm_gemm){.m = v,
                                                .n = h,
                                                .k = piece->count,
                                                .a = room->logits,
                                                .lda = v,
                                                .a_turned = true,
                                                .b = room->head_in,
                                                .ldb = h,
                                                .c = pass->grads->tok,
                                                .ldc = h,
                                                .add = true});
}

static enum err piece_run(struct piece *piece)
{
    struct lm_pass *pass = piece->pass;
    const struct lm_room *room = &pass->graph->room;
    struct lm_pool *pool = pass->graph->options.pool;
    uint32_t h = pass->config->hidden;
    uint32_t v = pass->config->vocab_used;
    lm_pool_run(pool, piece->count, norm_task, piece);
    enum err err = lm_graph_gemm(pass, (struct lm_gemm){.m = piece->count,
                                                        .n = v,
                                                        .k = h,
                                                        .a = room->head_in,
                                                        .lda = h,
                                                        .b = pass->weights->tok,
                                                        .ldb = h,
                                                        .b_turned = true,
                                                        .c = room->logits,
                                                        .ldc = v});
    if (err != ERR_OK)
        return err;
    lm_pool_run(pool, piece->count, loss_task, piece);
    return pass->grads == NULL ? ERR_OK : piece_back(piece);
}

/* room.dx = LNback(room.a) for scored rows; the norm's own gradients into the chunk's parts. */
static void norm_back_rows(struct lm_pass *pass, struct lm_span span)
{
    const struct lm_graph *g = pass->graph;
    uint32_t h = pass->config->hidden;
    float *gain = lm_graph_part(g, span.chunk, PART_LN1_W);
    float *bias = lm_graph_part(g, span.chunk, PART_LN1_B);
    memset(gain, 0, h * sizeof(*gain));
    memset(bias, 0, h * sizeof(*bias));
    for (uint32_t i = span.from; i < span.to; i++) {
        size_t row = (size_t)g->room.scored[i] * h;
        const float *stats = g->room.head_stats + (size_t)2 * i;
        lm_norm_row_back(g->room.dx + row, gain, bias, g->room.a + (size_t)i * h,
                         g->x[pass->config->layers] + row, pass->weights->norm_w, stats[0],
                         stats[1], h);
    }
}

static void head_back(struct lm_pass *pass)
{
    const struct lm_graph *g = pass->graph;
    uint32_t h = pass->config->hidden;
    uint32_t scored = (uint32_t)pass->scored;
    memset(g->room.dx, 0, (size_t)g->rows * h * sizeof(float));
    lm_graph_rows(pass, scored, norm_back_rows);
    for (uint32_t chunk = 0; chunk * g->chunk < scored; chunk++) {
        lm_axpy(pass->grads->norm_w, 1, lm_graph_part(g, chunk, PART_LN1_W), h);
        lm_axpy(pass->grads->norm_b, 1, lm_graph_part(g, chunk, PART_LN1_B), h);
    }
}

enum err lm_head_run(struct lm_pass *pass, double *ret_sum)
{
    const struct lm_graph *g = pass->graph;
    uint32_t scored = (uint32_t)pass->scored;
    struct piece piece = {.pass = pass};
    double sum = 0;
    for (; piece.first < scored; piece.first += piece.count) {
        piece.count = scored - piece.first < g->head_rows ? scored - piece.first : g->head_rows;
        enum err err = piece_run(&piece);
        if (err != ERR_OK)
            return err;
    }
    for (uint32_t i = 0; i < scored; i++)
        sum += g->room.nats[i];
    if (pass->grads != NULL)
        head_back(pass);
    *ret_sum = sum;
    return ERR_OK;
}

void lm_graph_logits(const struct lm_graph *g, const struct lm_weights *weights, uint32_t row,
                     uint32_t position, float *ret_logits)
{
    const struct lm_config *c = &g->options.config;
    float mean;
    float rstd;
    size_t at = (size_t)row * g->options.length + position;
    ASSERT(row < g->options.batch && position < g->options.length);
    lm_norm_row(g->room.head_in, g->x[c->layers] + at * c->hidden, weights->norm_w, weights->norm_b,
                c->hidden, c->norm_eps, &mean, &rstd);
    for (uint32_t i = 0; i < c->vocab_used; i++)
        ret_logits[i] = lm_dot(g->room.head_in, weights->tok + (size_t)i * c->hidden, c->hidden);
}
