/* One run over a batch: embedding, layers, head; then the same way back.  And the memory it needs.
 */
#include "lm/graph/graph_state_int.h"

#include <string.h>

/* ---- memory: one block, cut up twice: first to measure it, then to hand it out ---- */

#define LINE 64 /* bytes; every array begins at one */

struct cut {
    unsigned char *base; /* NULL: measuring */
    uint64_t used;
};

static void *cut_bytes(struct cut *cut, uint64_t count, uint64_t each)
{
    void *at = cut->base == NULL ? NULL : cut->base + cut->used;
    cut->used += (count * each + LINE - 1) / LINE * LINE;
    return at;
}

static float *cut_floats(struct cut *cut, uint64_t rows, uint64_t columns)
{
    return cut_bytes(cut, rows * columns, sizeof(float));
}

static uint32_t *cut_words(struct cut *cut, uint64_t count)
{
    return cut_bytes(cut, count, sizeof(uint32_t));
}

static void cut_kept(const struct lm_graph *g, struct cut *cut, struct lm_kept *kept)
{
    const struct lm_config *c = &g->options.config;
    uint64_t n = g->rows;
    kept->qkv = cut_floats(cut, n, g->qkv);
    kept->log_sum = cut_floats(cut, n, c->heads);
    kept->o = cut_floats(cut, n, c->hidden);
    kept->mid = cut_floats(cut, n, c->hidden);
    kept->mix = cut_floats(cut, n, c->domains);
    kept->stats = cut_floats(cut, n, 4);
    kept->ag = cut_floats(cut, g->feed_rows, 2 * (uint64_t)c->ffn);
    if (c->norm == LM_NORM_POST)
        kept->end = cut_floats(cut, n, c->hidden);
    if (c->experts == 0)
        return;
    kept->chance = cut_floats(cut, n, c->experts);
    kept->share = cut_floats(cut, n, c->top_k);
    kept->pick = cut_words(cut, n * c->top_k);
    kept->place = cut_words(cut, n * c->top_k);
    kept->token = cut_words(cut, g->feed_rows);
    kept->first = cut_words(cut, (uint64_t)c->experts + 1);
}

static void cut_room(struct lm_graph *g, struct cut *cut)
{
    const struct lm_config *c = &g->options.config;
    struct lm_room *room = &g->room;
    uint64_t n = g->rows;
    uint64_t m = g->feed_rows;
    uint64_t threads = lm_pool_threads(g->options.pool);
    room->n = cut_floats(cut, n, c->hidden);
    room->a = cut_floats(cut, n, c->hidden);
    room->y = cut_floats(cut, m, c->ffn);
    room->row = cut_floats(cut, threads, 2 * (uint64_t)c->hidden);
    room->scores = cut_floats(cut, threads * 3 * g->block, g->options.length);
    room->dot = cut_floats(cut, threads, g->block);
    room->logits = cut_floats(cut, g->head_rows, c->vocab_used);
    room->head_in = cut_floats(cut, g->head_rows, c->hidden);
    room->head_stats = cut_floats(cut, n, 2);
    room->nats = cut_bytes(cut, n, sizeof(double));
    room->scored = cut_words(cut, n);
    if (c->experts != 0) {
        room->in = cut_floats(cut, m, c->hidden);
        room->out = cut_floats(cut, m, c->hidden);
    }
    if (g->options.forward_only)
        return;
    room->x2 = cut_floats(cut, n, c->hidden);
    room->dx = cut_floats(cut, n, c->hidden);
    room->da = cut_floats(cut, n, c->hidden);
    room->dqkv = cut_floats(cut, n, g->qkv);
    room->dy = cut_floats(cut, m, c->ffn);
    room->dag = cut_floats(cut, m, 2 * (uint64_t)c->ffn);
    room->parts = cut_floats(cut, g->chunks, g->part_floats);
    if (c->experts != 0) {
        room->dout = cut_floats(cut, m, c->hidden);
        room->dshare = cut_floats(cut, n, c->top_k);
        room->dchance = cut_floats(cut, n, c->experts);
    }
}

static void cut_all(struct lm_graph *g, struct cut *cut)
{
    const struct lm_config *c = &g->options.config;
    uint32_t half = g->head / 2;
    bool keeps = !g->options.forward_only;
    g->cos_table = cut_floats(cut, c->context, half);
    g->sin_table = cut_floats(cut, c->context, half);
    for (uint32_t i = 0; i <= c->layers; i++)
        g->x[i] = keeps || i < 2 ? cut_floats(cut, g->rows, c->hidden) : g->x[i % 2];
    for (uint32_t i = 0; i < c->layers; i++) {
        if (keeps || i == 0)
            cut_kept(g, cut, &g->kept[i]);
        else
            g->kept[i] = g->kept[0];
    }
    cut_room(g, cut);
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

#define CHUNK_ROWS  16  /* at least, so that a task is worth handing out */
#define CHUNKS_MAX  128 /* each has sums of its own */
#define BLOCK_ROWS  128
#define LOGIT_BYTES (64 * MIB) /* of one piece of the head */
#define HEAD_ROWS   512

static void measure(struct lm_graph *g)
{
    const struct lm_config *c = &g->options.config;
    g->rows = g->options.batch * g->options.length;
    g->head = c->hidden / c->heads;
    g->qkv = c->hidden + 2 * c->kv_heads * g->head;
    g->feed_rows = c->experts == 0 ? g->rows : g->rows * c->top_k;
    g->chunk = (g->rows + CHUNKS_MAX - 1) / CHUNKS_MAX;
    if (g->chunk < CHUNK_ROWS)
        g->chunk = CHUNK_ROWS;
    g->chunks = (g->rows + g->chunk - 1) / g->chunk;
    g->block = least(BLOCK_ROWS, g->options.length);
    g->head_rows = least(least(HEAD_ROWS, g->rows),
                         (uint32_t)(LOGIT_BYTES / sizeof(float) / c->vocab_used) + 1);
    g->part_floats = (4 + 2 * (uint64_t)c->domains) * c->hidden + LINE / sizeof(float);
}

enum err lm_graph_create(const struct lm_graph_options *options, struct lm_graph **ret_graph)
{
    struct cut cut = {0};
    struct lm_graph *g;
    ASSERT(options->batch > 0 && options->length > 0);
    ASSERT(options->length <= options->config.context && options->pool != NULL);
    ASSERT(options->batch <= UINT32_MAX / options->length / LM_EXPERTS_MAX);
    g = mem_zalloc(sizeof(*g));
    if (g == NULL)
        return ERR_NOMEM;
    g->options = *options;
    measure(g);
    cut_all(g, &cut);
    g->bytes = cut.used + LINE;
    g->memory = g->bytes > SIZE_MAX / 2 ? NULL : mem_alloc((size_t)g->bytes);
    if (g->memory == NULL) {
        mem_free(g);
        return ERR_NOMEM;
    }
    cut.used = 0;
    cut.base = (unsigned char *)g->memory + (LINE - (uintptr_t)g->memory % LINE);
    cut_all(g, &cut);
    lm_rope_fill(&g->options.config, g->cos_table, g->sin_table);
    *ret_graph = g;
    return ERR_OK;
}

void lm_graph_destroy(struct lm_graph *graph)
{
    if (graph == NULL)
        return;
    mem_free(graph->memory);
    mem_free(graph);
}

uint64_t lm_graph_bytes(const struct lm_graph *graph)
{
    return graph->bytes + sizeof(*graph);
}

/* ---- what every step uses ---- */

struct rows_job {
    struct lm_pass *pass;
    uint32_t rows;
    void (*work)(struct lm_pass *pass, struct lm_span span);
};

static void rows_task(void *cookie, uint32_t index, uint32_t worker)
{
    const struct rows_job *job = cookie;
    uint32_t chunk = job->pass->graph->chunk;
    uint32_t from = index * chunk;
    job->work(job->pass, (struct lm_span){from, least(from + chunk, job->rows), index, worker});
}

void lm_graph_rows(struct lm_pass *pass, uint32_t rows,
                   void (*work)(struct lm_pass *pass, struct lm_span span))
{
    struct rows_job job = {pass, rows, work};
    const struct lm_graph *g = pass->graph;
    lm_pool_run(g->options.pool, (rows + g->chunk - 1) / g->chunk, rows_task, &job);
}

enum err lm_graph_gemm(struct lm_pass *pass, struct lm_gemm gemm)
{
    gemm.precision = pass->graph->options.precision;
    if (gemm.m == 0 || gemm.n == 0 || gemm.k == 0)
        return ERR_OK;
    return lm_gemm(pass->graph->options.pool, &gemm);
}

static uint64_t mix64(uint64_t x)
{
    x += 0x9E3779B97F4A7C15U;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
    return x ^ (x >> 31);
}

void lm_graph_drop(const struct lm_pass *pass, enum lm_place place, uint32_t row, float *x,
                   uint32_t n)
{
    const struct lm_graph_options *options = &pass->graph->options;
    float p = place == LM_PLACE_SCORES ? options->dropout_attention : options->dropout;
    if (p <= 0)
        return;
    uint64_t seed = mix64(mix64(pass->batch->seed) ^ pass->batch->step);
    seed = mix64(seed ^ (4 * (uint64_t)pass->layer + (uint64_t)place));
    lm_dropout_row(x, n, p, seed, row);
}

float *lm_graph_part(const struct lm_graph *g, uint32_t chunk, enum lm_part part)
{
    uint64_t h = g->options.config.hidden;
    uint64_t at = part <= PART_DOM ? part * h
                                   : (PART_DOM + (part - PART_DOM) * g->options.config.domains) * h;
    return g->room.parts + chunk * g->part_floats + at;
}

/* ---- a run ---- */

static void pass_at(struct lm_pass *pass, uint32_t layer)
{
    pass->layer = layer;
    pass->w = &pass->weights->layer[layer];
    pass->dw = pass->grads == NULL ? NULL : &pass->grads->layer[layer];
    pass->kept = &pass->graph->kept[layer];
    pass->x = pass->graph->x[layer];
    pass->next = pass->graph->x[layer + 1];
}

static enum err check_batch(const struct lm_graph *g, const struct lm_graph_batch *batch)
{
    uint32_t used = g->options.config.vocab_used;
    for (uint32_t i = 0; i < g->rows; i++) {
        if (batch->ids[i] >= used || batch->targets[i] >= (int32_t)used)
            return ERR_INPUT;
        if (batch->starts != NULL && batch->starts[i] > i % g->options.length)
            return ERR_INPUT;
    }
    return ERR_OK;
}

static uint32_t list_scored(struct lm_graph *g, const struct lm_graph_batch *batch)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < g->rows; i++)
        if (batch->targets[i] >= 0)
            g->room.scored[count++] = i;
    return count;
}

static enum err run_forward(struct lm_pass *pass, double *ret_aux)
{
    const struct lm_config *c = pass->config;
    double aux = 0;
    pass_at(pass, 0);
    lm_embed_forward(pass);
    for (uint32_t i = 0; i < c->layers; i++) {
        pass_at(pass, i);
        enum err err = lm_layer_forward(pass);
        if (err != ERR_OK)
            return err;
        if (c->experts != 0)
            aux += lm_moe_aux(pass);
    }
    *ret_aux = (double)c->aux * aux / c->layers;
    return ERR_OK;
}

static enum err run_back(struct lm_pass *pass)
{
    for (uint32_t i = pass->config->layers; i-- > 0;) {
        pass_at(pass, i);
        enum err err = lm_layer_back(pass);
        if (err != ERR_OK)
            return err;
    }
    lm_embed_back(pass);
    return ERR_OK;
}

enum err lm_graph_run(struct lm_graph *g, const struct lm_weights *weights,
                      const struct lm_graph_batch *batch, struct lm_weights *grads,
                      struct lm_graph_loss *ret_loss)
{
    struct lm_graph_loss loss = {0};
    struct lm_pass pass = {.graph = g,
                           .config = &g->options.config,
                           .weights = weights,
                           .grads = grads,
                           .batch = batch};
    ASSERT(grads == NULL || !g->options.forward_only);
    enum err err = check_batch(g, batch);
    if (err != ERR_OK)
        return err;
    loss.scored = pass.scored = list_scored(g, batch);
    atomic_store(&g->starved, false);
    err = run_forward(&pass, &loss.aux);
    if (err == ERR_OK)
        err = lm_head_run(&pass, &loss.sum);
    if (err == ERR_OK && grads != NULL)
        err = run_back(&pass);
    if (err == ERR_OK)
        *ret_loss = loss;
    return err;
}
