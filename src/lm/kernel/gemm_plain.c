/* Tiles in plain C: the reference for the others.  Panels of 4 rows and 8 columns. */
#include "lm/kernel/gemm_int.h"

#define MR 4
#define NR 8

static void pack(void *dst, const float *src, uint32_t ld, bool turned, uint32_t width,
                 uint32_t count, uint32_t k, bool round)
{
    float *to = dst;
    for (uint32_t first = 0; first < count; first += width) {
        for (uint32_t p = 0; p < k; p++) {
            for (uint32_t i = first; i < first + width; i++) {
                float x = 0;
                if (i < count)
                    x = turned ? src[(size_t)p * ld + i] : src[(size_t)i * ld + p];
                *to++ = round ? lm_bf16_round(x) : x;
            }
        }
    }
}

static void tile(const void *a, const void *b, float *c, uint32_t ldc, uint32_t m, uint32_t n,
                 uint32_t k, float scale, bool add)
{
    const float *pa = a, *pb = b;
    float sum[MR][NR] = {{0}};
    for (uint32_t p = 0; p < k; p++, pa += MR, pb += NR) {
        for (uint32_t i = 0; i < MR; i++) {
            for (uint32_t j = 0; j < NR; j++)
                sum[i][j] += pa[i] * pb[j];
        }
    }
    for (uint32_t i = 0; i < m; i++) {
        float *row = c + (size_t)i * ldc;
        for (uint32_t j = 0; j < n; j++)
            row[j] = (add ? row[j] : 0) + scale * sum[i][j];
    }
}

const struct lm_gemm_kind lm_gemm_kind_plain = {
    .mr = MR,
    .nr = NR,
    .element_bytes = 4,
    .k_step = 1,
    .pack = pack,
    .tile = tile,
};
