/* 256-bit vectors. */
#include <immintrin.h>

#define LANES          8
#define VF             __m256
#define VI             __m256i
#define F_LOAD(p)      _mm256_loadu_ps(p)
#define F_STORE(p, v)  _mm256_storeu_ps(p, v)
#define F_SET1(x)      _mm256_set1_ps(x)
#define F_ZERO         _mm256_setzero_ps()
#define F_FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define F_MUL(a, b)    _mm256_mul_ps(a, b)
#define I_LOAD(p)      _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define I_SET1(x)      _mm256_set1_epi32(x)
#define I_TO_F(v)      _mm256_cvtepi32_ps(v)
/* Widened to 16 bits, even and odd bytes apart: VPMADDUBSW would saturate with bytes up to 255. */
#define I_DOT(s, w, x)                                                                             \
    _mm256_add_epi32(                                                                              \
        _mm256_add_epi32(s, _mm256_madd_epi16(_mm256_and_si256(w, _mm256_set1_epi16(255)),         \
                                              _mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8))),     \
        _mm256_madd_epi16(_mm256_srli_epi16(w, 8), _mm256_srai_epi16(x, 8)))
/* At most 2 * 15 * 127 a pair. */
#define I_DOT4(s, w, x)                                                                            \
    _mm256_add_epi32(s, _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1)))
#define I_LOW(v)    _mm256_and_si256(v, _mm256_set1_epi8(15))
#define I_HIGH(v)   _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15))
#define BF_EVEN(v)  _mm256_castsi256_ps(_mm256_slli_epi32(v, 16))
#define BF_ODD(v)   _mm256_castsi256_ps(_mm256_and_si256(v, _mm256_set1_epi32(-65536)))
#define PREFETCH(p) _mm_prefetch(p, _MM_HINT_T0)
#define F_ROWS      4
#define F_BLOCKS    1
#define I_ROWS      2
#define I_BLOCKS    1
#define SET         lm_matvec_avx2
#define SET_NAME    "avx2"

#include "lm/kernel/matvec_body.h"
