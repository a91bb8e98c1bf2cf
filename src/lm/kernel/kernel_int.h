/* kernel: what costs time.  Each function has a plain C form, which is the reference and stays, and
 * faster ones in files named for their instruction set, chosen once at run time (lm_isa_limit).
 *
 * Same result with any number of threads: work is cut into tasks whose bounds do not depend on the
 * thread count, and every sum has one fixed order.  Results may differ between instruction sets in
 * the last bits. */
#ifndef AUTOMAT_LM_KERNEL_INT_H
#define AUTOMAT_LM_KERNEL_INT_H

#include "lm/lm.h"

/* ---- the pool ---- */

/* Calls task(cookie, index, worker) for every index 0..count-1, each once, on the pool's threads
 * and the caller's; returns when all are done.  worker is 0..threads-1, for scratch memory.  Idle
 * threads spin for a bounded time, then sleep.  The pool may be NULL (the caller's thread alone);
 * a task must not run its own pool again. */
void lm_pool_run(struct lm_pool *pool, uint32_t count,
                 void (*task)(void *cookie, uint32_t index, uint32_t worker), void *cookie);

/* ---- matrix products for training and long prompts ---- */

/* C (M,N) = [C +] op(A) (M,K) op(B) (K,N), row-major, strides in floats.
 *   a_turned false: A is stored (M,K), lda >= K;  true: stored (K,M), lda >= M
 *   b_turned true:  B is stored (N,K), ldb >= K (a weight: y = x W^T);  false: stored (K,N)
 * The pool may be NULL (this thread alone; used inside tasks). */
struct lm_gemm {
    uint32_t m, n, k;
    const float *a, *b;
    float *c;
    uint32_t lda, ldb, ldc;
    bool a_turned, b_turned;
    bool add; /* C += instead of C = */
    enum lm_precision precision;
    float scale; /* 0: 1.  Of the product */
};
/* ERR_NOMEM when the packing buffers (bounded, kept per thread of the pool) cannot be had. */
MUST_USE enum err lm_gemm(struct lm_pool *pool, const struct lm_gemm *gemm);

/* ---- vectors: rows of n floats; one thread; callers cut the work ---- */

float lm_dot(const float *a, const float *b, uint32_t n);
void lm_axpy(float *y, float alpha, const float *x, uint32_t n); /* y += alpha x */
/* y (n) = LN(x) * gain + bias; keeps mean and 1/sqrt(var + eps) for the way back. */
void lm_norm_row(float *y, const float *x, const float *gain, const float *bias, uint32_t n,
                 float eps, float *ret_mean, float *ret_rstd);
/* dx (n) += ...; dgain, dbias (n) += ... */
void lm_norm_row_back(float *dx, float *dgain, float *dbias, const float *dy, const float *x,
                      const float *gain, float mean, float rstd, uint32_t n);
/* In place; returns the natural log of the sum of exponentials (max included): x - log_sum = log p.
 */
float lm_softmax_row(float *x, uint32_t n);
/* x' = exp(x - shift) in place, returns the sum.  Relative error at most 2^-22, here and where else
 * an exponential is; x - shift below -87.33 may give 0; NaN stays NaN. */
float lm_exp_row(float *x, float shift, uint32_t n);
float lm_max_row(const float *x, uint32_t n);
/* y (f) = a * silu(g); ag holds a (f) then g (f). */
void lm_swiglu_row(float *y, const float *ag, uint32_t f);
/* dag (2f) = gradients from dy (f). */
void lm_swiglu_row_back(float *dag, const float *dy, const float *ag, uint32_t f);
/* Rotates one head of d floats in place; cos, sin of its position (d / 2); `back`: by the negative
 * angle.  Half-split layout; an odd last dimension passes through. */
void lm_rope_row(float *x, const float *cos_row, const float *sin_row, uint32_t d, bool back);
/* AdamW on n floats (decoupled decay, bias correction by the caller's c1 = 1 - beta1^t, c2). */
struct lm_adam {
    float rate, beta1, beta2, eps, decay, c1, c2, grad_scale;
};
void lm_adam_row(float *w, float *m, float *v, const float *g, const struct lm_adam *adam,
                 uint64_t n);
/* Keep-mask of dropout: bit-exact from (seed, counter), independent of threads.  y = x * keep / (1
 * - p) in place.  Row `counter` of n floats. */
void lm_dropout_row(float *x, uint32_t n, float p, uint64_t seed, uint64_t counter);

/* ---- matrix times few vectors, for decode: weights packed once ---- */

/* One matrix W (n rows, k columns) in the kernels' own layout; K is padded (to 64) with zeros. */
struct lm_packed;
MUST_USE enum err lm_pack_f32(const float *w, uint32_t n, uint32_t k, enum lm_dtype dtype,
                              struct lm_packed **ret_packed);
/* From the stored tensors of a quantised file (see file/quant_int.h); shares nothing with them. */
MUST_USE enum err lm_pack_q8(const int8_t *q, const float *scale, uint32_t n, uint32_t k,
                             uint32_t group, struct lm_packed **ret_packed);
MUST_USE enum err lm_pack_q4(const uint8_t *q, const float *scale, uint32_t n, uint32_t k,
                             struct lm_packed **ret_packed);
void lm_packed_destroy(struct lm_packed *packed);
uint64_t lm_packed_bytes(const struct lm_packed *packed);

/* Y (t, n) = X (t, k) W^T; t >= 1; row strides in floats.  int8/int4: each row of X is quantised to
 * 8 bits with a scale a group of 64 first (in `scratch`, lm_matvec_scratch bytes).  The pool may be
 * NULL. */
size_t lm_matvec_scratch(const struct lm_packed *w, uint32_t t);
void lm_matvec(struct lm_pool *pool, const struct lm_packed *w, const float *x, uint32_t ldx,
               uint32_t t, float *y, uint32_t ldy, void *scratch);

#endif
