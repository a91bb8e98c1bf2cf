/* Tiles for NEON (AArch64): 8 rows of 12 columns, 24 of the 32 registers hold sums. */
#include "lm/kernel/gemm_int.h"

#include <arm_neon.h>

#define MR 8
#define NR 12

/* Two vectors of A, three of B; each lane of A times each of B. */
#define STEP(x, lane, row)                                                                         \
    sum[row][0] = vfmaq_laneq_f32(sum[row][0], b0, x, lane);                                       \
    sum[row][1] = vfmaq_laneq_f32(sum[row][1], b1, x, lane);                                       \
    sum[row][2] = vfmaq_laneq_f32(sum[row][2], b2, x, lane)

static void tile(const void *a, const void *b, float *c, uint32_t ldc, uint32_t m, uint32_t n,
                 uint32_t k, float scale, bool add)
{
    const float *pa = a, *pb = b;
    float32x4_t sum[MR][3];
    LM_UNROLL
    for (int i = 0; i < MR; i++) {
        sum[i][0] = vdupq_n_f32(0);
        sum[i][1] = vdupq_n_f32(0);
        sum[i][2] = vdupq_n_f32(0);
    }
    for (uint32_t p = 0; p < k; p++, pa += MR, pb += NR) {
        float32x4_t a0 = vld1q_f32(pa), a1 = vld1q_f32(pa + 4);
        float32x4_t b0 = vld1q_f32(pb), b1 = vld1q_f32(pb + 4), b2 = vld1q_f32(pb + 8);
        STEP(a0, 0, 0);
        STEP(a0, 1, 1);
        STEP(a0, 2, 2);
        STEP(a0, 3, 3);
        STEP(a1, 0, 4);
        STEP(a1, 1, 5);
        STEP(a1, 2, 6);
        STEP(a1, 3, 7);
    }
    float out[MR][NR];
    LM_UNROLL
    for (int i = 0; i < MR; i++) {
        vst1q_f32(out[i], sum[i][0]);
        vst1q_f32(out[i] + 4, sum[i][1]);
        vst1q_f32(out[i] + 8, sum[i][2]);
    }
    for (uint32_t i = 0; i < m; i++) {
        float *row = c + (size_t)i * ldc;
        for (uint32_t j = 0; j < n; j++)
            row[j] = (add ? row[j] : 0) + scale * out[i][j];
    }
}

static inline float32x4_t rounded(float32x4_t x, bool round)
{
    if (!round)
        return x;
    uint32x4_t bits = vreinterpretq_u32_f32(x);
    uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    uint32x4_t up = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
    uint32x4_t kept = vbslq_u32(vceqq_f32(x, x), up, quiet);
    return vreinterpretq_f32_u32(vandq_u32(kept, vdupq_n_u32(0xffff0000u)));
}

static inline float32x4_t load_part(const float *p, uint32_t n)
{
    float lane[4] = {0};
    memcpy(lane, p, n * sizeof *p);
    return vld1q_f32(lane);
}

/* `count` (at most 4) rows of `k` columns become k lines of 4 (the rest zero), lines `width` apart;
 * widths are multiples of 4. */
static void pack_across(float *dst, const float *src, uint32_t ld, uint32_t width, uint32_t count,
                        uint32_t lanes, uint32_t k, bool round)
{
    (void)lanes;
    for (uint32_t p = 0; p < k; p += 4) {
        uint32_t left = k - p < 4 ? k - p : 4;
        float32x4_t r[4];
        LM_UNROLL
        for (uint32_t i = 0; i < 4; i++) {
            r[i] = vdupq_n_f32(0);
            if (i < count) {
                const float *from = src + (size_t)i * ld + p;
                r[i] = left == 4 ? vld1q_f32(from) : load_part(from, left);
            }
        }
        float32x4x2_t low = vtrnq_f32(r[0], r[1]), high = vtrnq_f32(r[2], r[3]);
        r[0] = vcombine_f32(vget_low_f32(low.val[0]), vget_low_f32(high.val[0]));
        r[1] = vcombine_f32(vget_low_f32(low.val[1]), vget_low_f32(high.val[1]));
        r[2] = vcombine_f32(vget_high_f32(low.val[0]), vget_high_f32(high.val[0]));
        r[3] = vcombine_f32(vget_high_f32(low.val[1]), vget_high_f32(high.val[1]));
        LM_UNROLL
        for (uint32_t i = 0; i < 4; i++) {
            if (i < left)
                vst1q_f32(dst + (size_t)(p + i) * width, rounded(r[i], round));
        }
    }
}

/* Lines of the operand are lines of the panel. */
static void pack_along(float *dst, const float *src, uint32_t ld, uint32_t width, uint32_t count,
                       uint32_t lanes, uint32_t k, bool round)
{
    (void)lanes;
    for (uint32_t p = 0; p < k; p++) {
        const float *from = src + (size_t)p * ld;
        float32x4_t x = count == 4 ? vld1q_f32(from) : load_part(from, count);
        vst1q_f32(dst + (size_t)p * width, rounded(x, round));
    }
}

#define PACK_LANES 4
#include "lm/kernel/gemm_pack_body.h"

const struct lm_gemm_kind lm_gemm_kind_neon = {
    .mr = MR,
    .nr = NR,
    .element_bytes = 4,
    .k_step = 1,
    .pack = pack,
    .tile = tile,
};
