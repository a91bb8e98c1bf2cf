/* The dense feed-forward layer: y = a * silu(g) of [a|g] = in w1^T, out = y w2^T. */
#include "lm/graph/graph_state_int.h"

static void gate_rows(struct lm_pass *pass, struct lm_span span)
{
    uint32_t f = pass->config->ffn;
    for (uint32_t i = span.from; i < span.to; i++)
        lm_swiglu_row(pass->graph->room.y + (size_t)i * f, pass->kept->ag + (size_t)i * 2 * f, f);
}

enum err lm_feed_forward(struct lm_pass *pass, const float *in)
{
    const struct lm_graph *g = pass->graph;
    uint32_t h = pass->config->hidden;
    uint32_t f = pass->config->ffn;
    enum err err = lm_graph_gemm(pass, (struct lm_gemm){.m = g->rows,
                                                        .n = 2 * f,
                                                        .k = h,
                                                        .a = in,
                                                        .lda = h,
                                                        .b = pass->w->w1[0],
                                                        .ldb = h,
                                                        .b_turned = true,
                                                        .c = pass->kept->ag,
                                                        .ldc = 2 * f});
    if (err != ERR_OK)
        return err;
    lm_graph_rows(pass, g->rows, gate_rows);
    return lm_graph_gemm(pass, (struct lm_gemm){.m = g->rows,
                                                .n = h,
                                                .k = f,
                                                .a = g->room.y,
                                                .lda = f,
                                                .b = pass->w->w2[0],
                                                .ldb = f,
                                                .b_turned = true,
                                                .c = g->room.a,
                                                .ldc = h});
}

static void gate_back_rows(struct lm_pass *pass, struct lm_span span)
{
    const struct lm_graph *g = pass->graph;
    uint32_t f = pass->config->ffn;
    for (uint32_t i = span.from; i < span.to; i++) {
        const float *ag = pass->kept->ag + (size_t)i * 2 * f;
        lm_swiglu_row(g->room.y + (size_t)i * f, ag, f);
        lm_swiglu_row_back(g->room.dag + (size_t)i * 2 * f, g->room.dy + (size_t)i * f, ag, f);
    }
}

/* dy = da w2, dw2 += da^T y */
static enum err down_back(struct lm_pass *pass)
{
    const struct lm_graph *g = pass->graph;
    uint32_t h = pass->config->hidden;
    uint32_t f = pass->config->ffn;
    enum err err = lm_graph_gemm(pass, (struct lm_gemm){.m = g->rows,
                                                        .n = f,
                                                        .k = h,
                                                        .a = g->room.da,
                                                        .lda = h,
                                                        .b = pass->w->w2[0],
                                                        .ldb = f,
                                                        .c = g->room.dy,
                                                        .ldc = f});
    if (err != ERR_OK)
        return err;
    lm_graph_rows(pass, g->rows, gate_back_rows);
    return lm_graph_gemm(pass, (struct lm_gemm){.m = h,
                                                .n = f,
                                                .k = g->rows,
                                                .a = g->room.da,
                                                .lda = h,
                                                .a_turned = true,
                                                .b = g->room.y,
                                                .ldb = f,
                                                .c = pass->dw->w2[0],
                                                .ldc = f,
                                                .add = true});
}

/* dw1 += dag^T in, room.a = dag w1 */
enum err lm_feed_back(struct lm_pass *pass, const float *in)
{
    const struct lm_graph *g = pass->graph;
    uint32_t h = pass->config->hidden;
    uint32_t f = pass->config->ffn;
    enum err err = down_back(pass);
    if (err != ERR_OK)
        return err;
    err = lm_graph_gemm(pass, (struct lm_gemm){.m = 2 * f,
                                               .n = h,
                                               .k = g->rows,
                                               .a = g->room.dag,
                                               .lda = 2 * f,
                                               .a_turned = true,
                                               .b = in,
                                               .ldb = h,
                                               .c = pass->dw->w1[0],
                                               .ldc = h,
                                               .add = true});
    if (err != ERR_OK)
        return err;
    return lm_graph_gemm(pass, (struct lm_gemm){.m = g->rows,
                                                .n = h,
                                                .k = 2 * f,
                                                .a = g->room.dag,
                                                .lda = 2 * f,
                                                .b = pass->w->w1[0],
                                                .ldb = h,
                                                .c = g->room.a,
                                                .ldc = h});
}
