/* Tiles for AVX2: 6 rows of 16 columns, 12 of the 16 registers hold sums. */
#include "lm/kernel/gemm_int.h"

#include <immintrin.h>

#define MR 6
#define NR 16

static inline __m256i first_lanes(uint32_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline void tile_store(const struct lm_tile_end *end, uint32_t i, uint32_t j, __m256 sum)
{
    if (end->n <= j)
        return;
    __m256i mask = first_lanes(end->n - j < 8 ? end->n - j : 8);
    float *to = end->c + i * end->ldc + j;
    __m256 old = end->add ? _mm256_maskload_ps(to, mask) : _mm256_setzero_ps();
    _mm256_maskstore_ps(to, mask, _mm256_fmadd_ps(sum, _mm256_set1_ps(end->scale), old));
}

static inline __attribute__((always_inline)) void tile_rows(const float *a, const float *b,
                                                            uint32_t k,
                                                            const struct lm_tile_end *end,
                                                            const int rows, const int vectors)
{
    __m256 sum[MR][2];
    LM_UNROLL
    for (int i = 0; i < rows; i++) {
        sum[i][0] = _mm256_setzero_ps();
        sum[i][1] = _mm256_setzero_ps();
    }
    for (uint32_t p = 0; p < k; p++, a += MR, b += NR) {
        __m256 b0 = _mm256_load_ps(b), b1 = b0;
        if (vectors == 2)
            b1 = _mm256_load_ps(b + 8);
        LM_UNROLL
        for (int i = 0; i < rows; i++) {
            __m256 x = _mm256_broadcast_ss(a + i);
            sum[i][0] = _mm256_fmadd_ps(x, b0, sum[i][0]);
            if (vectors == 2)
                sum[i][1] = _mm256_fmadd_ps(x, b1, sum[i][1]);
        }
    }
    LM_UNROLL
    for (int i = 0; i < rows; i++) {
        tile_store(end, (uint32_t)i, 0, sum[i][0]);
        if (vectors == 2)
            tile_store(end, (uint32_t)i, 8, sum[i][1]);
    }
}

#define TILE(rows)                                                                                 \
    static void tile_##rows(const float *a, const float *b, uint32_t k,                            \
                            const struct lm_tile_end *end)                                         \
    {                                                                                              \
        if (end->n > 8)                                                                            \
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

static void tile(const void *a, const void *b, float *c, uint32_t ldc, uint32_t m, uint32_t n,
                 uint32_t k, float scale, bool add)
{
    ASSERT(m >= 1 && m <= MR);
    static void (*const tiles[MR])(const float *, const float *, uint32_t,
                                   const struct lm_tile_end *) = {tile_1, tile_2, tile_3,
                                                                  tile_4, tile_5, tile_6};
    const struct lm_tile_end end = {.c = c, .ldc = ldc, .n = n, .scale = scale, .add = add};
    for (uint32_t i = 0; i < m; i++)
        _mm_prefetch((const char *)(c + (size_t)i * ldc), _MM_HINT_T0);
    tiles[m - 1](a, b, k, &end);
}

/* Half to even by adding half of the last kept bit's unit; a NaN stays one. */
static inline __m256 rounded(__m256 x, bool round)
{
    if (!round)
        return x;
    __m256i bits = _mm256_castps_si256(x);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    __m256 nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
    __m256 kept = _mm256_blendv_ps(_mm256_castsi256_ps(up), _mm256_castsi256_ps(quiet), nan);
    return _mm256_and_ps(kept, _mm256_castsi256_ps(_mm256_set1_epi32((int)0xffff0000u)));
}

static inline __attribute__((always_inline)) void transpose(__m256 r[8])
{
    __m256 t[8];
    LM_UNROLL
    for (int i = 0; i < 8; i += 4) {
        __m256 a = _mm256_unpacklo_ps(r[i], r[i + 1]), b = _mm256_unpackhi_ps(r[i], r[i + 1]);
        __m256 c = _mm256_unpacklo_ps(r[i + 2], r[i + 3]);
        __m256 d = _mm256_unpackhi_ps(r[i + 2], r[i + 3]);
        t[i] = _mm256_shuffle_ps(a, c, 0x44);
        t[i + 1] = _mm256_shuffle_ps(a, c, 0xee);
        t[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
        t[i + 3] = _mm256_shuffle_ps(b, d, 0xee);
    }
    LM_UNROLL
    for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x31);
    }
}

/* `count` (at most 8) rows of `k` columns become k lines of `count` (the rest of `lanes` zero),
 * lines `width` apart. */
static void pack_across(float *dst, const float *src, uint32_t ld, uint32_t width, uint32_t count,
                        uint32_t lanes, uint32_t k, bool round)
{
    __m256i write = first_lanes(lanes);
    for (uint32_t p = 0; p < k; p += 8) {
        uint32_t left = k - p < 8 ? k - p : 8;
        __m256i read = first_lanes(left);
        __m256 r[8];
        LM_UNROLL
        for (uint32_t i = 0; i < 8; i++) {
            r[i] = i < count ? _mm256_maskload_ps(src + (size_t)i * ld + p, read)
                             : _mm256_setzero_ps();
        }
        transpose(r);
        LM_UNROLL
        for (uint32_t i = 0; i < 8; i++) {
            if (i < left)
                _mm256_maskstore_ps(dst + (size_t)(p + i) * width, write, rounded(r[i], round));
        }
    }
}

/* Lines of the operand are lines of the panel. */
static void pack_along(float *dst, const float *src, uint32_t ld, uint32_t width, uint32_t count,
                       uint32_t lanes, uint32_t k, bool round)
{
    __m256i write = first_lanes(lanes), read = first_lanes(count);
    for (uint32_t p = 0; p < k; p++) {
        __m256 x = _mm256_maskload_ps(src + (size_t)p * ld, read);
        _mm256_maskstore_ps(dst + (size_t)p * width, write, rounded(x, round));
    }
}

#define PACK_LANES 8
#include "lm/kernel/gemm_pack_body.h"

const struct lm_gemm_kind lm_gemm_kind_avx2 = {
    .mr = MR,
    .nr = NR,
    .element_bytes = 4,
    .k_step = 1,
    .pack = pack,
    .tile = tile,
};
