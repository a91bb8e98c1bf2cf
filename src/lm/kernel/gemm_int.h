/* Between the kinds of tiles. */
#ifndef AUTOMAT_LM_GEMM_INT_H
#define AUTOMAT_LM_GEMM_INT_H

#include "lm/kernel/isa_int.h"

#include <string.h>

extern const struct lm_gemm_kind lm_gemm_kind_plain, lm_gemm_kind_neon, lm_gemm_kind_avx2,
    lm_gemm_kind_avx512, lm_gemm_kind_avx512bf16;

/* What a tile needs after its loop only; it stays out of the registers until then. */
struct lm_tile_end {
    float *c;
    size_t ldc;
    uint32_t n;
    float scale;
    bool add;
};

/* Before a loop whose bounds are known: registers must not become an array in memory. */
#if defined(__clang__)
#define LM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define LM_UNROLL _Pragma("GCC unroll 32")
#endif

/* To bf16, half to even; a NaN stays one. */
static inline uint16_t lm_bf16_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((bits >> 16) | 0x40u);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/* The same, back as a float. */
static inline float lm_bf16_round(float x)
{
    uint32_t bits = (uint32_t)lm_bf16_bits(x) << 16;
    memcpy(&x, &bits, sizeof x);
    return x;
}

#endif
