/* 512-bit vectors. */
#include <immintrin.h>

#define LANES          16
#define VF             __m512
#define VI             __m512i
#define F_LOAD(p)      _mm512_loadu_ps(p)
#define F_STORE(p, v)  _mm512_storeu_ps(p, v)
#define F_SET1(x)      _mm512_set1_ps(x)
#define F_ZERO         _mm512_setzero_ps()
#define F_FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define F_MUL(a, b)    _mm512_mul_ps(a, b)
#define I_LOAD(p)      _mm512_loadu_si512(p)
#define I_SET1(x)      _mm512_set1_epi32(x)
#define I_TO_F(v)      _mm512_cvtepi32_ps(v)
/* Widened to 16 bits, even and odd bytes apart: VPMADDUBSW would saturate with bytes up to 255. */
#define I_DOT(s, w, x)                                                                             \
    _mm512_add_epi32(                                                                              \
        _mm512_add_epi32(s, _mm512_madd_epi16(_mm512_and_si512(w, _mm512_set1_epi16(255)),         \
                                              _mm512_srai_epi16(_mm512_slli_epi16(x, 8), 8))),     \
        _mm512_madd_epi16(_mm512_srli_epi16(w, 8), _mm512_srai_epi16(x, 8)))
/* At most 2 * 15 * 127 a pair. */
#define I_DOT4(s, w, x)                                                                            \
    _mm512_add_epi32(s, _mm512_madd_epi16(_mm512_maddubs_epi16(w, x), _mm512_set1_epi16(1)))
#define I_LOW(v)    _mm512_and_si512(v, _mm512_set1_epi8(15))
#define I_HIGH(v)   _mm512_and_si512(_mm512_srli_epi16(v, 4), _mm512_set1_epi8(15))
#define BF_EVEN(v)  _mm512_castsi512_ps(_mm512_slli_epi32(v, 16))
#define BF_ODD(v)   _mm512_castsi512_ps(_mm512_and_si512(v, _mm512_set1_epi32(-65536)))
#define PREFETCH(p) _mm_prefetch(p, _MM_HINT_T0)
#define F_ROWS      8
#define F_BLOCKS    2
#define I_ROWS      4
#define I_BLOCKS    2
#define SET         lm_matvec_avx512
#define SET_NAME    "avx512"

#include "lm/kernel/matvec_body.h"
