/* file: safetensors in and out, checkpoints, quantised tensors. */
#ifndef AUTOMAT_LM_FILE_INT_H
#define AUTOMAT_LM_FILE_INT_H

#include "lm/model/model_int.h"

enum lm_stored {
    LM_STORED_F32,
    LM_STORED_BF16,
    LM_STORED_F16,
    LM_STORED_I8,
    LM_STORED_U8,
    LM_STORED_I64
};

struct lm_safetensor {
    struct str name;
    enum lm_stored type;
    uint32_t rank;
    uint64_t shape[4];
    const void *data; /* in the mapping */
    uint64_t bytes;
};
struct lm_safetensors; /* a mapped file, read only, checked whole: overlaps, gaps, ranges, names */
MUST_USE enum err lm_safetensors_open(const char *path, struct lm_fault *fault,
                                      struct lm_safetensors **ret_file);
/* The same over bytes in memory (kept by the caller), for tests and fuzzing. */
MUST_USE enum err lm_safetensors_parse(struct str bytes, struct lm_fault *fault,
                                       struct lm_safetensors **ret_file);
void lm_safetensors_close(struct lm_safetensors *file);
bool lm_safetensors_find(const struct lm_safetensors *file, struct str name,
                         struct lm_safetensor *ret_tensor);
/* A value of "__metadata__"; empty when absent. */
struct str lm_safetensors_meta(const struct lm_safetensors *file, struct str key);

/* Written to PATH.tmp in one pass, synced, renamed, folder synced. */
struct lm_safetensors_out {
    const char *name;
    enum lm_stored type;
    uint32_t rank;
    uint64_t shape[4];
    const void *data;
};
MUST_USE enum err lm_safetensors_write(const char *path, const struct lm_safetensors_out *tensors,
                                       size_t count, const char *const *meta_pairs);

/* DIR/config.json and DIR/model.safetensors (f32, bf16 or f16) -> a block of floats (mem_alloc'd,
 * the caller frees ret_weights->block).  Quantised files are widened, so that they can be judged
 * too. */
MUST_USE enum err lm_weights_read(const char *dir, struct lm_fault *fault,
                                  struct lm_weights *ret_weights);
/* Makes DIR. dtype LM_F32 or LM_BF16. */
MUST_USE enum err lm_weights_write(const char *dir, const struct lm_weights *weights,
                                   enum lm_dtype dtype);

/* Quantised tensors in model.safetensors: NAME.q8 I8 (n, k) with NAME.scale F32 (n, ceil(k / 64)),
 * or NAME.q4 U8 (n, ceil(k / 64) * 32) with the same scales; a group of 64 columns has one scale;
 * the last group may be short and is filled up with zeros in q4.  q4: low nibble = column 2i, high
 * = 2i + 1 of the pair order, value nibble - 8.  Norms, positions, router, domain block stay F32
 * under their own names. tok.weight has vocab_used rows only.  Metadata "format": "automat-int8" or
 * "automat-int4". */
#define LM_QUANT_GROUP 64
void lm_quant8(const float *w, uint32_t n, uint32_t k, int8_t *q, float *scale);
void lm_quant4(const float *w, uint32_t n, uint32_t k, uint8_t *q, float *scale);

/* What training must remember, beside the weights in the same folder. */
struct lm_train_state {
    uint64_t step, cursor, epoch, tokens, seed, rng[4];
    double best_valid_loss;
    uint32_t bad_validations;
    struct lm_train_shape { /* of the run: resuming with another is refused by name */
        uint64_t steps;
        uint32_t batch, length, accumulate;
        double learning_rate, weight_decay, warmup, clip, dropout;
        uint32_t schedule, precision;
    } shape;
};
/* DIR is replaced whole: written beside it, synced, renamed.  m, v: lm_floats floats each. */
MUST_USE enum err lm_checkpoint_write(const char *dir, const struct lm_weights *weights,
                                      const float *m, const float *v,
                                      const struct lm_train_state *state);
MUST_USE enum err lm_checkpoint_read(const char *dir, struct lm_fault *fault,
                                     struct lm_weights *weights, float *m, float *v,
                                     struct lm_train_state *ret_state);

#endif
