/* Which instruction set the kernels use: found once, at the first question, and one table of
 * functions for it.
 *
 * Other parts with kernels of their own keep a table each and choose by lm_isa(). */
#ifndef AUTOMAT_LM_ISA_INT_H
#define AUTOMAT_LM_ISA_INT_H

#include "lm/kernel/kernel_int.h"

enum lm_isa { /* each x86 one includes those before it */
              LM_ISA_PLAIN,
              LM_ISA_NEON,
              LM_ISA_AVX2,
              LM_ISA_AVX512,     /* F, BW, VL, DQ */
              LM_ISA_AVX512VNNI, /* VPDPBUSD */
              LM_ISA_AVX512BF16, /* VDPBF16PS */
};
/* What was chosen: the best of CPU and build, or what lm_isa_limit left of it. */
enum lm_isa lm_isa(void);
bool lm_isa_has(enum lm_isa isa); /* this CPU, its operating system and this build can run it */

/* One way to multiply matrices: operands are packed into panels of `mr` rows of A and `nr` columns
 * of B, k-major, and a tile of C is the product of two panels. */
struct lm_gemm_kind {
    uint32_t mr, nr;
    uint32_t element_bytes; /* 4, or 2 for bf16 */
    uint32_t k_step;        /* panels hold K up to a multiple of this: 1, or 2 for pairs */
    /* Panels of `width`; element (i, k) of the operand is at src[i * ld + k], or, `turned`, at
     * src[k * ld + i].  The last panel is filled up with zeros.  `dst` aligned to 64.  `round`: to
     * bf16, half to even. */
    void (*pack)(void *dst, const float *src, uint32_t ld, bool turned, uint32_t width,
                 uint32_t count, uint32_t k, bool round);
    /* C (m, n) = [C +] scale * panel A (k, mr) x panel B (k, nr); 1 <= m <= mr, 1 <= n <= nr. */
    void (*tile)(const void *a, const void *b, float *c, uint32_t ldc, uint32_t m, uint32_t n,
                 uint32_t k, float scale, bool add);
};

struct lm_kernels {
    enum lm_isa isa;
    const char *name;
    /* Also for bf16 where the CPU has no instruction for it: operands are rounded, and stay 4 bytes
     * wide. */
    const struct lm_gemm_kind *f32;

    float (*dot)(const float *a, const float *b, uint32_t n);
    void (*axpy)(float *y, float alpha, const float *x, uint32_t n);
    void (*norm)(float *y, const float *x, const float *gain, const float *bias, uint32_t n,
                 float eps, float *ret_mean, float *ret_rstd);
    void (*norm_back)(float *dx, float *dgain, float *dbias, const float *dy, const float *x,
                      const float *gain, float mean, float rstd, uint32_t n);
    float (*exps)(float *x, float shift, uint32_t n);
    float (*max)(const float *x, uint32_t n);
    void (*scale)(float *x, float factor, uint32_t n);
    void (*swiglu)(float *y, const float *ag, uint32_t f);
    void (*swiglu_back)(float *dag, const float *dy, const float *ag, uint32_t f);
    void (*rope)(float *x, const float *cos_row, const float *sin_row, uint32_t half, float sign);
    void (*adam)(float *w, float *m, float *v, const float *g, const struct lm_adam *adam,
                 uint64_t n);
    /* key: two words made of seed and counter; least: elements whose 24 bits are below it go. */
    void (*dropout)(float *x, uint32_t n, uint32_t least, float factor, const uint32_t key[2]);
};
const struct lm_kernels *lm_kernels(void);

extern const struct lm_kernels lm_kernels_plain;
extern const struct lm_kernels lm_kernels_neon, lm_kernels_avx2, lm_kernels_avx512;

#endif
