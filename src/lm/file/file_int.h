/* file: safetensors in and out, checkpoints, quantised tensors. */
#ifndef AUTOMAT_LM_FILE_INT_H
#define AUTOMAT_LM_FILE_INT_H

#include "lm/model/model_int.h"

/* ---- writing so that a crash leaves the old or the new, never half ---- */

#define LM_PATH_BYTES 4096
/* Tests: called before every change on the disk (a test's own ends the process there).  NULL. */
extern void (*lm_disk_step)(void);
/* "A/B" or "AB"; ERR_FULL when longer than LM_PATH_BYTES - 1. */
MUST_USE enum err lm_disk_path(char dst[LM_PATH_BYTES], const char *dir, const char *name);

/* One file on its way: PATH.tmp until it is committed. */
struct lm_disk_out {
    int fd;
    char path[LM_PATH_BYTES], tmp[LM_PATH_BYTES];
};
MUST_USE enum err lm_disk_begin(struct lm_disk_out *out, const char *path);
MUST_USE enum err lm_disk_add(struct lm_disk_out *out, const void *bytes, size_t len);
/* At a place that was written before. */
MUST_USE enum err lm_disk_again(struct lm_disk_out *out, uint64_t at, const void *bytes,
                                size_t len);
/* Syncs, renames, syncs the folder.  After a failure nothing is left of it. */
MUST_USE enum err lm_disk_commit(struct lm_disk_out *out);
void lm_disk_abort(struct lm_disk_out *out);
MUST_USE enum err lm_disk_write(const char *path, const void *bytes, size_t len);
MUST_USE enum err lm_disk_copy(const char *from, const char *to);   /* ERR_NOT_FOUND: no `from` */
MUST_USE enum err lm_disk_make_dir(const char *dir);                /* with parents */
MUST_USE enum err lm_disk_rename(const char *from, const char *to); /* and syncs the folder */
/* A folder of files (no folders inside); none there is fine. */
MUST_USE enum err lm_disk_remove_dir(const char *dir);

/* A whole file, mapped read only.  Whoever shortens a mapped file in place (nothing here does: a
 * file is always replaced by another) ends the reader with SIGBUS, so a mapping is kept no longer
 * than its bytes are needed. */
struct lm_map {
    const char *at; /* NULL when empty */
    size_t len;
};
MUST_USE enum err lm_map_open(const char *path, struct lm_map *ret_map);
void lm_map_close(struct lm_map *map);

/* A refusal: fills `why`, gives ERR_INPUT. */
MUST_USE enum err lm_refuse(struct lm_fault *fault, const char *format, ...) PRINTF_LIKE(2, 3);
/* Fills `why` with path and error unless it says something already; gives `err`. */
MUST_USE enum err lm_blame(struct lm_fault *fault, const char *path, enum err err);

/* ---- numbers of two bytes ---- */

uint16_t lm_to_bf16(float value); /* to the nearest, of two the even */
float lm_from_bf16(uint16_t bits);
float lm_from_f16(uint16_t bits);

/* ---- safetensors ---- */

#define LM_TENSORS_MAX          65536u
#define LM_SAFETENSORS_HEAD_MAX (16 * MIB)

enum lm_stored {
    LM_STORED_F32,
    LM_STORED_BF16,
    LM_STORED_F16,
    LM_STORED_I8,
    LM_STORED_U8,
    LM_STORED_I64
};

struct str lm_stored_name(enum lm_stored type); /* "F32", ends in NUL */
uint32_t lm_stored_bytes(enum lm_stored type);  /* of one number */

struct lm_safetensor {
    struct str name;
    enum lm_stored type;
    uint32_t rank;
    uint64_t shape[4];
    const void *data; /* in the mapping; aligned to the number's size */
    uint64_t bytes;
};
struct lm_safetensors; /* a mapped file, read only, checked whole: overlaps, gaps, ranges, names */
MUST_USE enum err lm_safetensors_open(const char *path, struct lm_fault *fault,
                                      struct lm_safetensors **ret_file);
/* The same over bytes in memory (kept by the caller), for tests and fuzzing. */
MUST_USE enum err lm_safetensors_parse(struct str bytes, struct lm_fault *fault,
                                       struct lm_safetensors **ret_file);
void lm_safetensors_close(struct lm_safetensors *file);
size_t lm_safetensors_count(const struct lm_safetensors *file);
struct lm_safetensor lm_safetensors_at(const struct lm_safetensors *file, size_t index);
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

MUST_USE enum err lm_config_parse(struct str json, struct lm_fault *fault,
                                  struct lm_config *ret_config);
MUST_USE enum err lm_config_json(const struct lm_config *config, struct buf *buf);
/* Over bytes in memory (kept by the caller, aligned to 2). */
MUST_USE enum err lm_tokens_parse(struct str bytes, struct lm_fault *fault,
                                  struct lm_tokens **ret_tokens);

/* DIR/config.json and DIR/model.safetensors (f32, bf16 or f16) -> a block of floats (mem_alloc'd,
 * the caller frees ret_weights->block).  Quantised files are widened, so that they can be judged
 * too. */
MUST_USE enum err lm_weights_read(const char *dir, struct lm_fault *fault,
                                  struct lm_weights *ret_weights);
/* model.safetensors alone, into a block for this configuration; what it holds after a failure is
 * not said. */
MUST_USE enum err lm_weights_fill(const char *dir, const struct lm_config *config,
                                  struct lm_fault *fault, float *block);
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
/* The largest of each group becomes 127. */
void lm_quant8(const float *w, uint32_t n, uint32_t k, int8_t *q, float *scale);
/* The scale, which may be negative (then the largest becomes -8), is the one of a search that
 * leaves the least squared error. */
void lm_quant4(const float *w, uint32_t n, uint32_t k, uint8_t *q, float *scale);
uint32_t lm_quant_groups(uint32_t k); /* ceil(k / 64) */
/* Matrices of layers and the embedding; the rest stays F32. */
bool lm_quant_applies(const char *name);
/* NAME.q8 or NAME.q4 with NAME.scale, checked and widened to want->count floats. */
MUST_USE enum err lm_quant_widen(const struct lm_config *config, const struct lm_safetensors *file,
                                 const struct lm_tensor *want, struct lm_fault *fault, float *to);

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
/* DIR is replaced whole: DIR.saving is written and synced, DIR becomes DIR.replaced, DIR.saving
 * becomes DIR, DIR.replaced goes.  A failure leaves what was there.  tokenizer.json and
 * generation.json of the DIR before stay in it.  m, v: lm_floats floats each. */
MUST_USE enum err lm_checkpoint_write(const char *dir, const struct lm_weights *weights,
                                      const float *m, const float *v,
                                      const struct lm_train_state *state);
/* `weights` is laid out and says which model is expected: another is refused by the name of the
 * first field that differs (ERR_INPUT).  ERR_NOT_FOUND: there is no folder; one in which a file is
 * missing is ERR_INPUT.  After a failure the blocks hold anything. */
MUST_USE enum err lm_checkpoint_read(const char *dir, struct lm_fault *fault,
                                     struct lm_weights *weights, float *m, float *v,
                                     struct lm_train_state *ret_state);
/* After a crash between the two renames DIR is missing: puts it in its place.  Called by the two
 * above; for those who only read the weights. */
MUST_USE enum err lm_checkpoint_recover(const char *dir);
MUST_USE enum err lm_state_json(const struct lm_train_state *state, struct buf *buf);
MUST_USE enum err lm_state_parse(struct str json, struct lm_fault *fault,
                                 struct lm_train_state *ret_state);

#endif
