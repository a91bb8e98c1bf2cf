/* What the files of the graph share: the activations of a batch and the pass under way.
 *
 * Shapes: B texts of T tokens, N = B T rows; h hidden; H heads of d floats, K heads of keys and
 * values; f the width of a feed-forward layer or expert; E experts, k of them a token; M = N rows
 * of the feed-forward part when dense, N k (sorted by expert) otherwise; D domains.
 *
 * One layer (norm pre):                            (norm post):
 *   n1 = LN1(x)                                      n1 = x
 *   mid = x + drop(attention(n1))                    mid = x + drop(attention(n1))
 *   x1 = mid                                         x1 = LN1(mid)
 *   x2 = x1 + gate * softmax(x1 Wd) dom              x2 = x1 + gate * softmax(x1 Wd) dom
 *   n2 = LN2(x2)                                     n2 = x2
 *   next = x2 + drop(feed(n2))                       end = x2 + drop(feed(n2)); next = LN2(end)
 *
 * Kept for the way back is what cannot be made again by one pass over a row. */
#ifndef AUTOMAT_LM_GRAPH_STATE_INT_H
#define AUTOMAT_LM_GRAPH_STATE_INT_H

#include "lm/graph/graph_int.h"
#include "lm/kernel/kernel_int.h"

#include <stdatomic.h>

/* One layer's activations.  Judging alone keeps one set for all layers. */
struct lm_kept {
    float *qkv;      /* (N, h + 2 K d): queries and keys rotated, values */
    float *log_sum;  /* (B, H, T) of the scores' exponentials */
    float *o;        /* (N, h) what the heads say */
    float *mid;      /* (N, h) */
    float *mix;      /* (N, D) softmax over the domains */
    float *end;      /* (N, h), post only */
    float *ag;       /* (M, 2 f) */
    float *stats;    /* (N, 4): mean and 1/deviation of LN1, then of LN2 */
    float *chance;   /* (N, E) the router's probabilities */
    float *share;    /* (N, k) weights of the chosen experts */
    uint32_t *pick;  /* (N, k) the chosen experts, ascending */
    uint32_t *place; /* (N, k) their rows among the M */
    uint32_t *token; /* (M) back again: the token of a row */
    uint32_t *first; /* (E + 1) first row of each expert */
};

/* Memory of passes, reused by every layer. */
struct lm_room {
    float *n;          /* (N, h) what a matrix product reads: n1, n2 */
    float *a;          /* (N, h) what one gives */
    float *x2;         /* (N, h), way back */
    float *dx;         /* (N, h), way back: gradient of the layer's result, then of its input */
    float *da;         /* (N, h), way back */
    float *dqkv;       /* (N, h + 2 K d), way back */
    float *y;          /* (M, f) */
    float *dy;         /* (M, f), way back */
    float *dag;        /* (M, 2 f), way back */
    float *in;         /* (M, h), experts only: n2 gathered */
    float *out;        /* (M, h), experts only */
    float *dout;       /* (M, h), experts only, way back */
    float *dshare;     /* (N, k), experts only, way back */
    float *dchance;    /* (N, E), experts only, way back: of the router's logits */
    float *parts;      /* (chunks, part_floats), way back */
    float *row;        /* (threads, 2 h) */
    float *scores;     /* (threads, 3, block, T) */
    float *dot;        /* (threads, block) */
    float *logits;     /* (head_rows, vocab_used) */
    float *head_in;    /* (head_rows, h) */
    float *head_stats; /* (N, 2) of the last norm, by scored row */
    double *nats;      /* (N), by scored row */
    uint32_t *scored;  /* rows with a target */
};

/* Sums over all rows that a chunk of rows has for itself; added up in order of chunks. */
enum lm_part { PART_LN1_W, PART_LN1_B, PART_LN2_W, PART_LN2_B, PART_DOM, PART_DOM_W, PART_GATE };

struct lm_graph {
    struct lm_graph_options options;
    uint32_t rows;          /* N */
    uint32_t head;          /* d */
    uint32_t qkv;           /* h + 2 K d */
    uint32_t feed_rows;     /* M */
    uint32_t chunk, chunks; /* rows a task, tasks over N; whatever the threads */
    uint32_t block;         /* queries at once in attention */
    uint32_t head_rows;     /* tokens at once in the output head */
    uint64_t part_floats;
    void *memory; /* everything below lies in it */
    uint64_t bytes;
    float *cos_table, *sin_table;
    float *x[LM_LAYERS_MAX + 1]; /* (N, h): input of each layer, result of the last */
    struct lm_kept kept[LM_LAYERS_MAX];
    struct lm_room room;
    atomic_bool starved; /* a task found no memory */
};

/* One run, and the layer it is at. */
struct lm_pass {
    struct lm_graph *graph;
    const struct lm_config *config;
    const struct lm_weights *weights;
    struct lm_weights *grads; /* NULL: no way back */
    const struct lm_graph_batch *batch;
    uint64_t scored;
    uint32_t layer;
    const struct lm_layer_weights *w;
    struct lm_layer_weights *dw;
    struct lm_kept *kept;
    float *x, *next;
};

/* Rows from..to-1 are chunk `chunk`, done by `worker`. */
struct lm_span {
    uint32_t from, to, chunk, worker;
};
/* work() over all chunks of `rows` rows, in the pool. */
void lm_graph_rows(struct lm_pass *pass, uint32_t rows,
                   void (*work)(struct lm_pass *pass, struct lm_span span));
MUST_USE enum err lm_graph_gemm(struct lm_pass *pass, struct lm_gemm gemm);

/* Where the text of a row of the batch begins, in its own T; 0 unless the batch says. */
static inline uint32_t lm_graph_start(const struct lm_pass *pass, size_t row)
{
    return pass->batch->starts != NULL ? pass->batch->starts[row] : 0;
}

/* Where dropout happens; each place and row has a mask of its own. */
enum lm_place { LM_PLACE_EMBED, LM_PLACE_ATTENTION, LM_PLACE_FEED, LM_PLACE_SCORES };
/* In place; the same again on the way back. */
void lm_graph_drop(const struct lm_pass *pass, enum lm_place place, uint32_t row, float *x,
                   uint32_t n);

float *lm_graph_part(const struct lm_graph *graph, uint32_t chunk, enum lm_part part);

/* Each of these is one step of a run; `back` adds to pass->grads. */
void lm_embed_forward(struct lm_pass *pass);
void lm_embed_back(struct lm_pass *pass);
MUST_USE enum err lm_layer_forward(struct lm_pass *pass);
MUST_USE enum err lm_layer_back(struct lm_pass *pass);
/* room.n -> kept.o over room.n (or x) through kept.qkv; back: room.da -> room.dqkv. */
MUST_USE enum err lm_attention_forward(struct lm_pass *pass);
MUST_USE enum err lm_attention_back(struct lm_pass *pass);
/* `in` (N, h) -> room.a; back: room.da -> room.a, with the same `in`. */
MUST_USE enum err lm_feed_forward(struct lm_pass *pass, const float *in);
MUST_USE enum err lm_feed_back(struct lm_pass *pass, const float *in);
MUST_USE enum err lm_moe_forward(struct lm_pass *pass, const float *in);
MUST_USE enum err lm_moe_back(struct lm_pass *pass, const float *in);
double lm_moe_aux(const struct lm_pass *pass); /* of one layer, unweighted: 1 when even */
/* Sum of nats; with grads, room.dx becomes the gradient of the last layer's result. */
MUST_USE enum err lm_head_run(struct lm_pass *pass, double *ret_sum);

#endif
