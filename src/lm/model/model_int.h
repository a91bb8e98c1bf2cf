/* The tensors of a model: names, shapes and where each lies in one block of floats.  Weights,
 * gradients and both moments share this layout, which is the order of the reference's state_dict.
 */
#ifndef AUTOMAT_LM_MODEL_INT_H
#define AUTOMAT_LM_MODEL_INT_H

#include "lm/lm.h"

struct lm_tensor {
    char name[64];     /* "blocks.3.ff.experts.1.w1.weight" */
    uint32_t shape[2]; /* shape[1] = 0: one dimension */
    uint64_t offset;   /* floats from the block's start */
    uint64_t count;    /* floats */
    bool decays;       /* two dimensions: weight decay applies */
};

/* Tensors in order of index 0..; false past the last one. */
bool lm_tensor_at(const struct lm_config *config, uint32_t index, struct lm_tensor *ret_tensor);
uint32_t lm_tensor_count(const struct lm_config *config);
uint64_t lm_floats(const struct lm_config *config); /* of the whole block = parameters */

/* Borrowed pointers into one block.  (out, in) row-major, y = x W^T, as torch.nn.Linear has it. */
struct lm_layer_weights {
    float *ln1_w, *ln1_b, *ln2_w, *ln2_b; /* (h) */
    float *wq;                            /* (h, h) */
    float *wk, *wv;                       /* (kv * d, h) */
    float *wo;                            /* (h, h) */
    float *dom;                           /* (domains, h) */
    float *dom_w;                         /* (domains, h) */
    float *blend;                         /* (1), before the sigmoid */
    float *router;                        /* (E, h), NULL when dense */
    float *w1[LM_EXPERTS_MAX];            /* (2f, h): rows 0..f-1 are a, f..2f-1 the gate g */
    float *w2[LM_EXPERTS_MAX];            /* (h, f) */
};
struct lm_weights {
    struct lm_config config;
    float *block;
    float *tok;             /* (V, h), tied with the output */
    float *pos;             /* (context, h) */
    float *norm_w, *norm_b; /* (h) */
    struct lm_layer_weights layer[LM_LAYERS_MAX];
};
/* Points `ret_weights` into `block` (lm_floats floats, kept by the caller). */
void lm_weights_lay(const struct lm_config *config, float *block, struct lm_weights *ret_weights);
/* As the reference initialises: normal 0.02, wo and w2 divided by sqrt(2 L); LayerNorm 1 and 0;
 * blend 0.  Deterministic from the seed. */
void lm_weights_random(struct lm_weights *weights, uint64_t seed);

/* Rotation tables: cos and sin, (context, floor(d / 2)) each, as the reference computes them (in
 * double, rounded once). */
void lm_rope_fill(const struct lm_config *config, float *cos_table, float *sin_table);

/* The `top_k` experts of one token, by index, and what share each has: probabilities p (experts)
 * brought to sum 1 over the chosen.  Equal probabilities are chosen among as the reference does. */
void lm_route(const float *p, uint32_t experts, uint32_t top_k, uint32_t *ret_expert,
              float *ret_weight);

#endif
