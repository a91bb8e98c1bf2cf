/* 512-bit vectors with VPDPBUSD for the integers. */
#include <immintrin.h>

#define LANES           16
#define VF              __m512
#define VI              __m512i
#define F_LOAD(p)       _mm512_loadu_ps(p)
#define F_STORE(p, v)   _mm512_storeu_ps(p, v)
#define F_SET1(x)       _mm512_set1_ps(x)
#define F_ZERO          _mm512_setzero_ps()
#define F_FMA(a, b, c)  _mm512_fmadd_ps(a, b, c)
#define F_MUL(a, b)     _mm512_mul_ps(a, b)
#define I_LOAD(p)       _mm512_loadu_si512(p)
#define I_SET1(x)       _mm512_set1_epi32(x)
#define I_TO_F(v)       _mm512_cvtepi32_ps(v)
#define I_DOT(s, w, x)  dot_bytes(s, w, x)
#define I_DOT4(s, w, x) dot_bytes(s, w, x)
#define I_LOW(v)        _mm512_and_si512(v, _mm512_set1_epi8(15))
#define I_HIGH(v)       _mm512_and_si512(_mm512_srli_epi16(v, 4), _mm512_set1_epi8(15))
#define BF_EVEN(v)      _mm512_castsi512_ps(_mm512_slli_epi32(v, 16))
#define BF_ODD(v)       _mm512_castsi512_ps(_mm512_and_si512(v, _mm512_set1_epi32(-65536)))
#define PREFETCH(p)     _mm_prefetch(p, _MM_HINT_T0)
#define F_ROWS          8
#define F_BLOCKS        2
#define I_ROWS          4
#define I_BLOCKS        2
#define SET             lm_matvec_avx512vnni
#define SET_NAME        "avx512-vnni"

/* As _mm512_dpbusd_epi32; but around that one gcc 12 copies each sum twice a step, which took as
 * long as the products. */
static inline __attribute__((always_inline)) __m512i dot_bytes(__m512i sum, __m512i w, __m512i x)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));
    return sum;
}

#include "lm/kernel/matvec_body.h"
