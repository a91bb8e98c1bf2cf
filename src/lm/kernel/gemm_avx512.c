/* Tiles for AVX-512: 14 rows of 32 columns, 28 of the 32 registers hold sums.  Each step of k loads
 * two vectors of B and spreads 14 numbers of A. */
#include "lm/kernel/gemm_int.h"

#include <immintrin.h>

#define MR 14
#define NR 32

/* Steps of k that B is asked for ahead: the first rows of a block read it from the shared cache. */
#define AHEAD 32
/* Lines of C are asked for one at a time, every fourth step, so that they do not stand in B's way.
 */
#define C_EVERY 4

static inline __attribute__((always_inline)) void
step(const float *a, const float *b, __m512 sum[MR][2], const int rows, const int vectors)
{
    __m512 b0 = _mm512_load_ps(b), b1 = b0;
    if (vectors == 2)
        b1 = _mm512_load_ps(b + 16);
    _mm_prefetch((const char *)(b + (size_t)AHEAD * NR), _MM_HINT_T0);
    if (vectors == 2)
        _mm_prefetch((const char *)(b + (size_t)AHEAD * NR + 16), _MM_HINT_T0);
    LM_UNROLL
    for (int i = 0; i < rows; i++) {
        __m512 x = _mm512_set1_ps(a[i]);
        sum[i][0] = _mm512_fmadd_ps(x, b0, sum[i][0]);
        if (vectors == 2)
            sum[i][1] = _mm512_fmadd_ps(x, b1, sum[i][1]);
    }
}

static inline __attribute__((always_inline)) void tile_rows(const float *a, const float *b,
                                                            uint32_t k,
                                                            const struct lm_tile_end *end,
                                                            const int rows, const int vectors)
{
    __m512 sum[MR][2];
    LM_UNROLL
    for (int i = 0; i < rows; i++) {
        sum[i][0] = _mm512_setzero_ps();
        sum[i][1] = _mm512_setzero_ps();
    }
    uint32_t p = 0;
    const float *line = end->c;
    for (; p < k && p < C_EVERY * (uint32_t)rows; p++, a += MR, b += NR) {
        if (p % C_EVERY == 0) {
            _mm_prefetch((const char *)line, _MM_HINT_T0);
            if (vectors == 2)
                _mm_prefetch((const char *)(line + 16), _MM_HINT_T0);
            line += end->ldc;
        }
        step(a, b, sum, rows, vectors);
    }
    for (; p < k; p++, a += MR, b += NR)
        step(a, b, sum, rows, vectors);
    __mmask16 mask[2] = {0xffff, 0xffff};
    mask[vectors - 1] = (__mmask16)(0xffffu >> (16u * (uint32_t)vectors - end->n));
    __m512 factor = _mm512_set1_ps(end->scale);
    LM_UNROLL
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < vectors; j++) {
            float *to = end->c + (size_t)i * end->ldc + (size_t)j * 16;
            __m512 old = end->add ? _mm512_maskz_loadu_ps(mask[j], to) : _mm512_setzero_ps();
            _mm512_mask_storeu_ps(to, mask[j], _mm512_fmadd_ps(sum[i][j], factor, old));
        }
    }
}

#define TILE(rows)                                                                                 \
    static void tile_##rows(const float *a, const float *b, uint32_t k,                            \
                            const struct lm_tile_end *end)                                         \
    {                                                                                              \
        if (end->n > 16)                                                                           \
            tile_rows(a, b, k, end, rows, 2);                                                      \
        else                                                                                       \
            tile_rows(a, b, k, end, rows, 1);                                                      \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
TILE(7)
TILE(8)
TILE(9)
TILE(10)
TILE(11)
TILE(12)
TILE(13)
TILE(14)

static void tile(const void *a, const void *b, float *c, uint32_t ldc, uint32_t m, uint32_t n,
                 uint32_t k, float scale, bool add)
{
    ASSERT(m >= 1 && m <= MR);
    static void (*const tiles[MR])(const float *, const float *, uint32_t,
                                   const struct lm_tile_end *) = {
        tile_1, tile_2, tile_3,  tile_4,  tile_5,  tile_6,  tile_7,
        tile_8, tile_9, tile_10, tile_11, tile_12, tile_13, tile_14};
    const struct lm_tile_end end = {.c = c, .ldc = ldc, .n = n, .scale = scale, .add = add};
    tiles[m - 1](a, b, k, &end);
}

/* Half to even by adding half of the last kept bit's unit; a NaN stays one. */
static inline __m512 rounded(__m512 x, bool round)
{
    if (!round)
        return x;
    __m512i bits = _mm512_castps_si512(x);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    up = _mm512_mask_or_epi32(up, nan, bits, _mm512_set1_epi32(0x400000));
    return _mm512_castsi512_ps(_mm512_and_si512(up, _mm512_set1_epi32((int)0xffff0000u)));
}

/* 16 vectors become their transpose. */
static inline __attribute__((always_inline)) void transpose(__m512 r[16])
{
    __m512 t[16];
    LM_UNROLL
    for (int i = 0; i < 16; i += 4) {
        __m512 a = _mm512_unpacklo_ps(r[i], r[i + 1]), b = _mm512_unpackhi_ps(r[i], r[i + 1]);
        __m512 c = _mm512_unpacklo_ps(r[i + 2], r[i + 3]);
        __m512 d = _mm512_unpackhi_ps(r[i + 2], r[i + 3]);
        t[i] = _mm512_shuffle_ps(a, c, 0x44);
        t[i + 1] = _mm512_shuffle_ps(a, c, 0xee);
        t[i + 2] = _mm512_shuffle_ps(b, d, 0x44);
        t[i + 3] = _mm512_shuffle_ps(b, d, 0xee);
    }
    LM_UNROLL
    for (int i = 0; i < 4; i++) {
        __m512 a = _mm512_shuffle_f32x4(t[i], t[i + 4], 0x88);
        __m512 b = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0x88);
        __m512 c = _mm512_shuffle_f32x4(t[i], t[i + 4], 0xdd);
        __m512 d = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0xdd);
        r[i] = _mm512_shuffle_f32x4(a, b, 0x88);
        r[i + 8] = _mm512_shuffle_f32x4(a, b, 0xdd);
        r[i + 4] = _mm512_shuffle_f32x4(c, d, 0x88);
        r[i + 12] = _mm512_shuffle_f32x4(c, d, 0xdd);
    }
}

/* `count` (at most 16) rows of `k` columns become k lines of `count` (the rest of `lanes` zero),
 * lines `width` apart. */
static void pack_across(float *dst, const float *src, uint32_t ld, uint32_t width, uint32_t count,
                        uint32_t lanes, uint32_t k, bool round)
{
    __mmask16 write = (__mmask16)(0xffffu >> (16u - lanes));
    for (uint32_t p = 0; p < k; p += 16) {
        uint32_t left = k - p < 16 ? k - p : 16;
        __mmask16 read = (__mmask16)(0xffffu >> (16u - left));
        __m512 r[16];
        LM_UNROLL
        for (uint32_t i = 0; i < 16; i++) {
            r[i] = i < count ? _mm512_maskz_loadu_ps(read, src + (size_t)i * ld + p)
                             : _mm512_setzero_ps();
        }
        transpose(r);
        LM_UNROLL
        for (uint32_t i = 0; i < 16; i++) {
            if (i < left)
                _mm512_mask_storeu_ps(dst + (size_t)(p + i) * width, write, rounded(r[i], round));
        }
    }
}

/* Lines of the operand are lines of the panel. */
static void pack_along(float *dst, const float *src, uint32_t ld, uint32_t width, uint32_t count,
                       uint32_t lanes, uint32_t k, bool round)
{
    __mmask16 write = (__mmask16)(0xffffu >> (16u - lanes));
    __mmask16 read = (__mmask16)(0xffffu >> (16u - count));
    for (uint32_t p = 0; p < k; p++) {
        __m512 x = _mm512_maskz_loadu_ps(read, src + (size_t)p * ld);
        _mm512_mask_storeu_ps(dst + (size_t)p * width, write, rounded(x, round));
    }
}

#define PACK_LANES 16
#include "lm/kernel/gemm_pack_body.h"

const struct lm_gemm_kind lm_gemm_kind_avx512 = {
    .mr = MR,
    .nr = NR,
    .element_bytes = 4,
    .k_step = 1,
    .pack = pack,
    .tile = tile,
};
