/* Tokens and positions, going in. */
#include "lm/graph/graph_state_int.h"

#include <string.h>

static size_t position_of(const struct lm_pass *pass, uint32_t row)
{
    return row % pass->graph->options.length - lm_graph_start(pass, row);
}

/* x (N, h) = drop(tok[id] + pos[t]) */
static void embed_rows(struct lm_pass *pass, struct lm_span span)
{
    const struct lm_graph *g = pass->graph;
    uint32_t h = pass->config->hidden;
    for (uint32_t i = span.from; i < span.to; i++) {
        float *x = g->x[0] + (size_t)i * h;
        memcpy(x, pass->weights->tok + (size_t)pass->batch->ids[i] * h, h * sizeof(*x));
        lm_axpy(x, 1, pass->weights->pos + position_of(pass, i) * h, h);
        lm_graph_drop(pass, LM_PLACE_EMBED, i, x, h);
    }
}

void lm_embed_forward(struct lm_pass *pass)
{
    lm_graph_rows(pass, pass->graph->rows, embed_rows);
}

static void drop_rows(struct lm_pass *pass, struct lm_span span)
{
    uint32_t h = pass->config->hidden;
    for (uint32_t i = span.from; i < span.to; i++)
        lm_graph_drop(pass, LM_PLACE_EMBED, i, pass->graph->room.dx + (size_t)i * h, h);
}

#define STRIP 64 /* columns a task: a token may occur in any row, so rows are not shared out */

static void embed_strip(void *cookie, uint32_t index, uint32_t worker)
{
    const struct lm_pass *pass = cookie;
    const struct lm_graph *g = pass->graph;
    uint32_t h = pass->config->hidden;
    uint32_t from = index * STRIP;
    uint32_t n = h - from < STRIP ? h - from : STRIP;
    (void)worker;
    for (uint32_t i = 0; i < g->rows; i++) {
        const float *dx = g->room.dx + (size_t)i * h + from;
        lm_axpy(pass->grads->tok + (size_t)pass->batch->ids[i] * h + from, 1, dx, n);
        lm_axpy(pass->grads->pos + position_of(pass, i) * h + from, 1, dx, n);
    }
}

/* dtok[id] += dx, dpos[t] += dx, in the order of the rows. */
void lm_embed_back(struct lm_pass *pass)
{
    uint32_t h = pass->config->hidden;
    pass->layer = 0;
    if (pass->graph->options.dropout > 0)
        lm_graph_rows(pass, pass->graph->rows, drop_rows);
    lm_pool_run(pass->graph->options.pool, (h + STRIP - 1) / STRIP, embed_strip, pass);
}
