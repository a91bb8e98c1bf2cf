/* Tiles of bf16 pairs: 14 rows of 32 columns.  A panel's line p holds, for each row or column, the
 * numbers of k = 2p (low half) and 2p + 1 (high half) in one 32-bit word; one instruction adds both
 * products to a sum.
 *
 * Included by gemm_avx512bf16.c, and by its test on a CPU without that instruction; both say what
 *     bf16_dot(sum, a, b)   sum + a.high * b.high + a.low * b.low, in each of 16 lanes
 * is before. */
#include "lm/kernel/gemm_int.h"

#include <immintrin.h>

#define MR    14
#define NR    32
#define AHEAD 32 /* lines that B is asked for ahead */

static inline __attribute__((always_inline)) void tile_rows(const uint32_t *a, const uint32_t *b,
                                                            uint32_t lines,
                                                            const struct lm_tile_end *end,
                                                            const int rows, const int vectors)
{
    __m512 sum[MR][2];
    LM_UNROLL
    for (int i = 0; i < rows; i++) {
        sum[i][0] = _mm512_setzero_ps();
        sum[i][1] = _mm512_setzero_ps();
        _mm_prefetch((const char *)(end->c + (size_t)i * end->ldc), _MM_HINT_T0);
    }
    for (uint32_t p = 0; p < lines; p++, a += MR, b += NR) {
        __m512i b0 = _mm512_load_si512(b), b1 = b0;
        if (vectors == 2)
            b1 = _mm512_load_si512(b + 16);
        _mm_prefetch((const char *)(b + (size_t)AHEAD * NR), _MM_HINT_T0);
        if (vectors == 2)
            _mm_prefetch((const char *)(b + (size_t)AHEAD * NR + 16), _MM_HINT_T0);
        LM_UNROLL
        for (int i = 0; i < rows; i++) {
            __m512i x = _mm512_set1_epi32((int)a[i]);
            sum[i][0] = bf16_dot(sum[i][0], x, b0);
            if (vectors == 2)
                sum[i][1] = bf16_dot(sum[i][1], x, b1);
        }
    }
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
    static void tile_##rows(const uint32_t *a, const uint32_t *b, uint32_t lines,                  \
                            const struct lm_tile_end *end)                                         \
    {                                                                                              \
        if (end->n > 16)                                                                           \
            tile_rows(a, b, lines, end, rows, 2);                                                  \
        else                                                                                       \
            tile_rows(a, b, lines, end, rows, 1);                                                  \
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
    static void (*const tiles[MR])(const uint32_t *, const uint32_t *, uint32_t,
                                   const struct lm_tile_end *) = {
        tile_1, tile_2, tile_3,  tile_4,  tile_5,  tile_6,  tile_7,
        tile_8, tile_9, tile_10, tile_11, tile_12, tile_13, tile_14};
    const struct lm_tile_end end = {.c = c, .ldc = ldc, .n = n, .scale = scale, .add = add};
    tiles[m - 1](a, b, k / 2, &end);
}

/* The bits of bf16 in the high half of each word, half to even; a NaN stays one. */
static inline __m512i rounded(__m512 x)
{
    __m512i bits = _mm512_castps_si512(x);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    return _mm512_mask_or_epi32(up, nan, bits, _mm512_set1_epi32(0x400000));
}

static inline __m512i paired(__m512 low, __m512 high)
{
    __m512i top = _mm512_set1_epi32((int)0xffff0000u);
    return _mm512_or_si512(_mm512_srli_epi32(rounded(low), 16),
                           _mm512_and_si512(rounded(high), top));
}

/* 16 consecutive k of each of up to 16 rows, from `p` on, as 8 lines of pairs. */
static inline void pack_across(uint32_t *dst, const float *src, uint32_t ld, uint32_t width,
                               uint32_t count, __mmask16 write, uint32_t k)
{
    __m512i index =
        _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                           _mm512_set1_epi32((int)ld));
    __mmask16 read = (__mmask16)(0xffffu >> (16u - count));
    for (uint32_t p = 0; p < k; p += 2) {
        __m512 low = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), read, index, src + p, 4);
        __m512 high = _mm512_setzero_ps();
        if (p + 1 < k)
            high = _mm512_mask_i32gather_ps(high, read, index, src + p + 1, 4);
        _mm512_mask_storeu_epi32(dst + (size_t)(p / 2) * width, write, paired(low, high));
    }
}

static inline void pack_along(uint32_t *dst, const float *src, uint32_t ld, uint32_t width,
                              uint32_t count, __mmask16 write, uint32_t k)
{
    __mmask16 read = (__mmask16)(0xffffu >> (16u - count));
    for (uint32_t p = 0; p < k; p += 2) {
        __m512 low = _mm512_maskz_loadu_ps(read, src + (size_t)p * ld);
        __m512 high = _mm512_setzero_ps();
        if (p + 1 < k)
            high = _mm512_maskz_loadu_ps(read, src + (size_t)(p + 1) * ld);
        _mm512_mask_storeu_epi32(dst + (size_t)(p / 2) * width, write, paired(low, high));
    }
}

static void pack(void *dst, const float *src, uint32_t ld, bool turned, uint32_t width,
                 uint32_t count, uint32_t k, bool round)
{
    (void)round; /* always */
    uint32_t lines = (k + 1) / 2;
    uint32_t *to = dst;
    for (uint32_t first = 0; first < count; first += width, to += (size_t)width * lines) {
        for (uint32_t part = 0; part < width; part += 16) {
            uint32_t lanes = width - part < 16 ? width - part : 16;
            __mmask16 write = (__mmask16)(0xffffu >> (16u - lanes));
            uint32_t from = first + part;
            uint32_t left = from >= count ? 0 : count - from;
            uint32_t here = left < lanes ? left : lanes;
            if (here == 0) {
                for (uint32_t p = 0; p < lines; p++)
                    memset(to + (size_t)p * width + part, 0, lanes * sizeof *to);
            } else if (turned) {
                pack_along(to + part, src + from, ld, width, here, write, k);
            } else {
                pack_across(to + part, src + (size_t)from * ld, ld, width, here, write, k);
            }
        }
    }
}
