/* graph: the forward and backward pass over a batch, for training and for judging numbers. */
#ifndef AUTOMAT_LM_GRAPH_INT_H
#define AUTOMAT_LM_GRAPH_INT_H

#include "lm/model/model_int.h"

struct lm_graph; /* activations for one batch shape; one thread drives it, its pool helps */

struct lm_graph_options {
    struct lm_config config;
    uint32_t batch, length; /* B, T; length <= context */
    enum lm_precision precision;
    struct lm_pool *pool;             /* kept by the caller */
    float dropout, dropout_attention; /* 0 for judging */
    bool forward_only;                /* keeps no activations for the way back */
};
MUST_USE enum err lm_graph_create(const struct lm_graph_options *options,
                                  struct lm_graph **ret_graph);
void lm_graph_destroy(struct lm_graph *graph);
uint64_t lm_graph_bytes(const struct lm_graph *graph);

struct lm_graph_batch {
    const uint16_t *ids;    /* (B, T) */
    const int32_t *targets; /* (B, T); below 0: not scored.  Must be < vocab_used */
    /* (B, T) or NULL: where in its row the text begins that a token belongs to.  Attention sees
     * [start, t] and positions count from there, so that several texts in one row are what each
     * would be alone. */
    const uint16_t *starts;
    uint64_t seed, step; /* of dropout */
    double scale;        /* of the gradients: dloss/dw * scale is added; usually 1/accumulate */
};
struct lm_graph_loss {
    double sum; /* nats over the scored tokens, without aux */
    uint64_t scored;
    double aux; /* weighted load-balancing loss, mean over layers */
};
/* Loss of the batch = sum / scored + aux.  With `grads` (laid like the weights) its gradients are
 * added to them; NULL: forward alone.  Logits never exist whole: head and cross-entropy go in
 * chunks of tokens.  ERR_NOMEM; ERR_INPUT for an id, target or start out of its bounds. */
MUST_USE enum err lm_graph_run(struct lm_graph *graph, const struct lm_weights *weights,
                               const struct lm_graph_batch *batch, struct lm_weights *grads,
                               struct lm_graph_loss *ret_loss);
/* After a run: logits of one position (vocab_used floats). */
void lm_graph_logits(const struct lm_graph *graph, const struct lm_weights *weights, uint32_t row,
                     uint32_t position, float *ret_logits);

#endif
