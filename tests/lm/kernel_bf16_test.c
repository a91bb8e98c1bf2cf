/* The tiles of VDPBF16PS on a CPU without it: the same body around an emulation of what the
 * instruction computes, against sums in double.  Needs AVX-512; passes as not applicable without.
 */
#include "kit/kit.h"
#include "lm/kernel/gemm_int.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>
#include <stdio.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq"))),        \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq")
#endif

/* As the manual has it: the odd pair first, then the even one; each a multiplication and an
 * addition rounded once. */
static inline __attribute__((always_inline)) __m512 bf16_dot(__m512 sum, __m512i a, __m512i b)
{
    __m512i top = _mm512_set1_epi32((int)0xffff0000u);
    sum = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(a, top)),
                          _mm512_castsi512_ps(_mm512_and_si512(b, top)), sum);
    return _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(a, 16)),
                           _mm512_castsi512_ps(_mm512_slli_epi32(b, 16)), sum);
}

#include "lm/kernel/gemm_bf16_body.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#define KIND_COLUMNS (NR * 2)
#define K_MAX        70

static float a_numbers[(MR + 2) * (K_MAX + 3)], b_numbers[KIND_COLUMNS * (K_MAX + 3)];
static float c_numbers[MR * (NR + 1)], c_old[MR * (NR + 1)];
static _Alignas(64) uint32_t a_panel[MR * K_MAX], b_panel[KIND_COLUMNS * K_MAX + 1024];

static double operand(const float *block, uint32_t ld, bool turned, uint32_t i, uint32_t k)
{
    return (double)lm_bf16_round(turned ? block[(size_t)k * ld + i] : block[(size_t)i * ld + k]);
}

static bool tile_right(uint32_t m, uint32_t n, uint32_t k, bool a_turned, bool b_turned, bool add)
{
    uint32_t lda = (a_turned ? m : k) + 2, ldb = (b_turned ? k : n) + 3, ldc = NR + 1;
    memset(a_panel, 0x7f, sizeof a_panel); /* not zero where packing forgets */
    memset(b_panel, 0x7f, sizeof b_panel);
    memcpy(c_numbers, c_old, sizeof c_numbers);
    pack(a_panel, a_numbers, lda, a_turned, MR, m, k, true);
    pack(b_panel, b_numbers, ldb, !b_turned, NR, n, k, true);
    tile(a_panel, b_panel, c_numbers, ldc, m, n, (k + 1) / 2 * 2, 0.5f, add);
    for (uint32_t i = 0; i < MR; i++) {
        for (uint32_t j = 0; j < ldc; j++) {
            double expected = (double)c_old[i * ldc + j];
            if (i < m && j < n) {
                double sum = 0;
                for (uint32_t p = 0; p < k; p++)
                    sum += operand(a_numbers, lda, a_turned, i, p) *
                           operand(b_numbers, ldb, !b_turned, j, p);
                expected = 0.5 * sum + (add ? expected : 0);
            }
            if (!(fabs((double)c_numbers[i * ldc + j] - expected) <= 1e-5)) {
                (void)fprintf(stderr, "%ux%ux%u at %u,%u: %g, expected %g\n", m, n, k, i, j,
                              (double)c_numbers[i * ldc + j], expected);
                return false;
            }
        }
    }
    return true;
}

TEST(tiles_of_pairs_are_right)
{
    if (!lm_isa_has(LM_ISA_AVX512))
        return;
    static const uint32_t depths[] = {1, 2, 3, 16, 31, 54, 69};
    struct rng rng;
    rng_init(&rng, 9);
    for (size_t i = 0; i < ARRAY_COUNT(a_numbers); i++)
        a_numbers[i] = (float)(rng_unit(&rng) * 2 - 1);
    for (size_t i = 0; i < ARRAY_COUNT(b_numbers); i++)
        b_numbers[i] = (float)(rng_unit(&rng) * 2 - 1);
    for (size_t i = 0; i < ARRAY_COUNT(c_old); i++)
        c_old[i] = (float)rng_unit(&rng);
    for (uint32_t form = 0; form < 8; form++) {
        for (size_t d = 0; d < ARRAY_COUNT(depths); d++) {
            for (uint32_t n = 1; n <= NR; n++)
                CHECK(tile_right(n % MR + 1, n, depths[d], (form & 1) != 0, (form & 2) != 0,
                                 (form & 4) != 0));
        }
    }
}

/* Two panels of columns, the second one not full: pairs stand where the tile looks for them. */
TEST(pairs_stand_low_and_high)
{
    if (!lm_isa_has(LM_ISA_AVX512))
        return;
    static float src[(NR + 3) * 3];
    for (uint32_t i = 0; i < NR + 3; i++) {
        for (uint32_t k = 0; k < 3; k++)
            src[i * 3 + k] = (float)(i * 4 + k);
    }
    pack(b_panel, src, 3, false, NR, NR + 3, 3, true);
    for (uint32_t i = 0; i < (uint32_t)KIND_COLUMNS; i++) {
        const uint32_t *line = b_panel + (i / NR) * (NR * 2) + i % NR;
        uint32_t k0 = lm_bf16_bits((float)(i * 4)), k1 = lm_bf16_bits((float)(i * 4 + 1));
        uint32_t k2 = lm_bf16_bits((float)(i * 4 + 2));
        CHECK_EQ(line[0], i < NR + 3 ? k0 | k1 << 16 : 0);
        CHECK_EQ(line[NR], i < NR + 3 ? k2 : 0);
    }
}

#else

TEST(not_for_this_processor)
{
    CHECK(!lm_isa_has(LM_ISA_AVX512BF16));
}

#endif
