/* Rows for AVX-512. */
#include "lm/kernel/gemm_int.h"

#include <immintrin.h>

#define LANES        16
#define KERNELS      lm_kernels_avx512
#define KERNELS_ISA  LM_ISA_AVX512
#define KERNELS_NAME "avx512"
#define KERNELS_F32  lm_gemm_kind_avx512

typedef float vf __attribute__((vector_size(64)));
typedef uint32_t vu __attribute__((vector_size(64)));

static inline vf v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

static inline void v_store(float *p, vf x)
{
    _mm512_storeu_ps(p, x);
}

static inline vf v_load_part(const float *p, uint32_t n)
{
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1u), p);
}

static inline void v_store_part(float *p, vf x, uint32_t n)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1u), x);
}

static inline vf v_set(float x)
{
    return _mm512_set1_ps(x);
}

static inline vf v_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}

static inline vf v_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}

static inline vf v_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}

static inline vf v_sqrt(vf x)
{
    return _mm512_sqrt_ps(x);
}

static inline float v_sum(vf x)
{
    return _mm512_reduce_add_ps(x);
}

static inline vf v_from_u24(vu x)
{
    return _mm512_cvtepi32_ps((__m512i)x);
}

#include "lm/kernel/rows_body.h"
