/* run: a model as decode wants it, and texts under way on it. */
#ifndef AUTOMAT_LM_RUN_INT_H
#define AUTOMAT_LM_RUN_INT_H

#include "lm/kernel/matvec_int.h"
#include "lm/model/model_int.h"

/* ---- the model ---- */

struct lm_run_layer {
    const float *ln1_w, *ln1_b, *ln2_w, *ln2_b; /* (h) */
    const float *dom, *dom_w;                   /* (domains, h) */
    const float *router;                        /* (E, h), NULL when dense */
    float gate;                                 /* sigmoid(blend) */
    struct lm_packed qkv; /* (h + 2 kv d, h): wq, wk, wv one below the other */
    struct lm_packed wo;  /* (h, h) */
    /* One a dense layer, else one an expert.  w1 (2 f16, h) has 16 rows of a, 16 of the gate, and
     * so on, f16 = f up to 16; w2 (h, f). */
    struct lm_packed *w1, *w2;
};
struct lm_model {
    struct lm_config config;
    enum lm_dtype dtype;
    uint64_t bytes;
    const float *pos, *norm_w, *norm_b;
    float *cos, *sin;     /* (context, d / 2) */
    struct lm_packed tok; /* (vocab_used, h) */
    struct lm_run_layer *layer;
    struct lm_packed *feed; /* all w1 and w2 */
    float *small;           /* what stays f32 */
    void *slab;             /* all packed matrices */
    size_t slab_bytes;
};

/* Where a tensor comes from: fills `ret_source` (n, k as asked; k = 0: a vector of n), or says what
 * is wrong.  Row counts above `n` are allowed for the embedding alone. */
struct lm_supply {
    enum err (*find)(void *cookie, const char *name, uint32_t n, uint32_t k,
                     struct lm_source *ret_source, struct lm_fault *fault);
    void *cookie;
};
MUST_USE enum err lm_model_build(const struct lm_config *config, enum lm_dtype dtype,
                                 const struct lm_supply *supply, struct lm_fault *fault,
                                 struct lm_model **ret_model);
/* From weights in memory (borrowed during the call only): tests and training's own samples. */
MUST_USE enum err lm_model_from_weights(const struct lm_weights *weights, enum lm_dtype dtype,
                                        struct lm_model **ret_model);

/* ---- a session ---- */

#define LM_CHUNK      64 /* rows of a prompt in one pass over the weights */
#define LM_ROWS_TASK  8  /* rows a task */
#define LM_ROWS_TASKS (LM_CHUNK / LM_ROWS_TASK)

struct lm_session {
    const struct lm_model *model;
    uint32_t length;
    uint16_t *ids; /* (context) */
    /* A layer's keys: [kv head][context / 16][d][16 positions]; values: [kv head][context][d16]. */
    float *keys, *values;
    size_t layer_keys, layer_values; /* floats a layer */
    uint32_t d, d16, kv, group;      /* head dim, up to 16, kv heads, query heads each */
    uint32_t h16, qkv16, f16;        /* widths up to 16 */

    float *x, *ln, *att; /* (chunk, h16) */
    float *qkv;          /* (chunk, qkv16) */
    float *y;            /* (chunk * top_k, h16) */
    float *act;          /* (chunk * top_k, f16) */
    float *gather;       /* (chunk * top_k, h16): rows by expert */
    float *scores;       /* (kv heads * row tasks, group, context16) */
    float *logits;       /* (8, vocab16) */
    void *rows_ln, *rows_att, *rows_gather, *rows_act;
    uint32_t *chosen;     /* (chunk, top_k) experts, ascending */
    float *share;         /* (chunk, top_k) */
    uint32_t *slot;       /* (chunk, top_k) */
    void *memory, *cache; /* of all that */
};

/* One pass: rows 0..t-1 at positions `at`.. ; ids are in session->ids already. */
struct lm_pass {
    struct lm_session *s;
    struct lm_pool *pool;
    uint32_t t, at;
    uint32_t first; /* rows before it only leave keys and values behind (last layer) */
    uint32_t layer;
    struct lm_rows ln, att, gather, act;
    uint32_t slots, experts; /* of this layer's feed-forward */
    uint32_t expert[LM_EXPERTS_MAX], slot_from[LM_EXPERTS_MAX + 1]; /* the experts that have rows */
    uint32_t parts;                                                 /* tasks a matrix */
};
/* Leaves the final norm of rows `wanted`.. in s->ln; wanted = t: nothing but keys and values. */
void lm_pass_run(struct lm_session *session, struct lm_pool *pool, uint32_t at, uint32_t t,
                 uint32_t wanted);
/* count <= 8 rows of s->ln -> s->logits. */
void lm_pass_logits(struct lm_session *session, struct lm_pool *pool, uint32_t row, uint32_t count);
/* Runs inline without a pool or for one task. */
void lm_pass_tasks(struct lm_pool *pool, uint32_t count,
                   void (*task)(void *cookie, uint32_t index, uint32_t worker), void *cookie);
/* Task `index` of `parts` has blocks from..to-1: whole fours but for the last, as the kernels like.
 */
void lm_pass_part(uint32_t blocks, uint32_t index, uint32_t parts, uint32_t *ret_from,
                  uint32_t *ret_to);
/* attend.c: q, k, v of the pass -> keys, values, and att of rows first..t-1. */
void lm_pass_attend(struct lm_pass *pass);
/* feed.c: y[slot] of rows first..t-1 from s->ln. */
void lm_pass_route(struct lm_pass *pass, uint32_t row);
void lm_pass_feed(struct lm_pass *pass);

#endif
