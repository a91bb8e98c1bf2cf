/* The packed layout of decode, shared by packing, the plain kernels and the fast ones.
 *
 * 16 rows of W form a block, a block is one run of memory, and a lane of a vector is a row: sums
 * never cross lanes, and all reading is one forward stream a block.
 *
 *   f32   k groups of [16 floats]                                        k_pad = k
 *   bf16  k / 2 groups of [16 x (k even, k odd)]                         k_pad = k up to 2
 *   int8  k / 64 groups of [16 scales (f32)][16 x (16 rows x 4 k)]       k_pad = k up to 64
 *   int4  k / 64 groups of [16 scales (f32)][ 8 x (16 rows x 4 k)]       k_pad = k up to 64;
 *         vector p of a group has k 8p..8p+3 in the low nibbles and 8p+4..8p+7 in the high ones
 *
 * Quantised weights are kept unsigned (value + 128, nibble = value + 8), as VPDPBUSD wants one
 * unsigned side; a row of X knows the sum of each of its groups, and the sum starts at minus offset
 * times that, so the correction costs nothing in the loop. */
#ifndef AUTOMAT_LM_MATVEC_INT_H
#define AUTOMAT_LM_MATVEC_INT_H

#include "lm/kernel/kernel_int.h"

#define LM_PACK_ROWS  16
#define LM_PACK_GROUP 64
#define LM_QUIET      1e-30F /* a group of X with nothing louder is nothing */

struct lm_rows;
struct lm_packed;

/* One instruction set's kernels: Y (t, 16 a block) = X (t, k) W^T for blocks from..to-1; y points
 * at the first block's columns, its rows are ldy apart. */
typedef void lm_block_fn(const struct lm_packed *w, uint32_t from, uint32_t to,
                         const struct lm_rows *x, uint32_t row, uint32_t t, float *y, size_t ldy);
struct lm_matvec_set {
    const char *name;
    lm_block_fn *f32, *bf16, *int8, *int4;
    /* q (64 * groups) and scale, sum (groups) of one row of k floats. */
    void (*quantise)(const float *x, uint32_t k, int8_t *q, float *scale, int32_t *sum);
    /* scores (heads, ld) = q (heads, d) times the keys of positions 0..count-1, which lie as
     * [count / 16][d][16]; whole groups of 16 are written. */
    void (*scores)(float *scores, size_t ld, const float *q, uint32_t heads, uint32_t d,
                   const float *keys, uint32_t count);
    /* out (heads, d) = p (heads, ld) times values (count, d16). */
    void (*values)(float *out, const float *p, size_t ld, uint32_t heads, uint32_t d,
                   const float *values, uint32_t d16, uint32_t count);
};
extern const struct lm_matvec_set lm_matvec_plain;
extern const struct lm_matvec_set lm_matvec_avx2, lm_matvec_avx512, lm_matvec_avx512vnni,
    lm_matvec_neon;
const struct lm_matvec_set *lm_matvec_set(void); /* what lm_isa_name allows */

struct lm_packed {
    enum lm_dtype dtype;
    uint32_t n, k;   /* as asked for */
    uint32_t blocks; /* of 16 rows; rows past n are zero */
    uint32_t groups; /* int8, int4: of 64 columns; else 0 */
    size_t block_bytes;
    unsigned char *data; /* aligned to 64 */
    void *owned;         /* what to free, or NULL */
    const struct lm_matvec_set *set;
};

/* A matrix as it comes from a file: row-major. */
enum lm_source_type { LM_SOURCE_F32, LM_SOURCE_BF16, LM_SOURCE_F16, LM_SOURCE_Q8, LM_SOURCE_Q4 };
struct lm_source {
    enum lm_source_type type;
    const void *data;   /* f32, bf16, f16: (n, k); q8: (n, k) int8; q4: (n, groups * 32) */
    const float *scale; /* q8, q4: (n, groups) */
    uint32_t n, k;
};

size_t lm_packed_data_bytes(uint32_t n, uint32_t k, enum lm_dtype dtype);
/* A matrix of zeros in `memory` (lm_packed_data_bytes, aligned to 64, zeroed, kept by the caller).
 */
void lm_packed_lay(struct lm_packed *packed, uint32_t n, uint32_t k, enum lm_dtype dtype,
                   void *memory);
/* Row `from` of the source becomes row `row`.  A quantised source keeps its numbers when the dtype
 * is its own; int8 also takes int4 values as they are.  `scratch`: k + 64 floats. */
void lm_packed_set(struct lm_packed *packed, uint32_t row, const struct lm_source *source,
                   uint32_t from, float *scratch);
/* What a row stands for: k floats. */
void lm_packed_row(const struct lm_packed *packed, uint32_t row, float *ret_row);
void lm_source_row(const struct lm_source *source, uint32_t row, float *ret_row);

/* X as the kernels of a dtype want it. */
struct lm_rows {
    float *x; /* (t, ldx); read only but for lm_rows_copy */
    uint32_t ldx, k, groups;
    int8_t *q;    /* (t, groups * 64), int8 and int4 */
    float *scale; /* (t, groups) */
    int32_t *sum; /* (t, groups) */
};
/* Bytes that lm_rows_lay takes for t rows; multiple of 64. */
size_t lm_rows_bytes(enum lm_dtype dtype, uint32_t t, uint32_t k);
void lm_rows_lay(struct lm_rows *rows, enum lm_dtype dtype, uint32_t t, uint32_t k, float *x,
                 uint32_t ldx, void *memory);
/* Quantise rows from..to-1 (nothing to do for f32 and bf16). */
void lm_rows_fill(const struct lm_rows *rows, enum lm_dtype dtype, uint32_t from, uint32_t to);

/* Row `from` of one becomes row `to` of the other (filled already; of the same k). */
void lm_rows_copy(const struct lm_rows *rows, uint32_t to, const struct lm_rows *other,
                  uint32_t from);

/* Blocks from..to-1 of Y (t, n) = X[row .. row + t - 1] W^T; y's first row is X's `row`.  Writes
 * whole blocks, so a row of y has room for blocks * 16 floats. */
void lm_matvec_blocks(const struct lm_packed *w, const struct lm_rows *x, uint32_t row, uint32_t t,
                      uint32_t from, uint32_t to, float *y, size_t ldy);

/* The same, but y points at the first block's columns: 16 (to - from) wide. */
void lm_matvec_part(const struct lm_packed *w, const struct lm_rows *x, uint32_t row, uint32_t t,
                    uint32_t from, uint32_t to, float *y, size_t ldy);

#endif
