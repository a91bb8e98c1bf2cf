/* 128-bit NEON, without the dot-product extension. */
#include <arm_neon.h>

#include <stdint.h>

#define LANES           4
#define VF              float32x4_t
#define VI              int32x4_t
#define F_LOAD(p)       vld1q_f32(p)
#define F_STORE(p, v)   vst1q_f32(p, v)
#define F_SET1(x)       vdupq_n_f32(x)
#define F_ZERO          vdupq_n_f32(0)
#define F_FMA(a, b, c)  vfmaq_f32(c, a, b)
#define F_MUL(a, b)     vmulq_f32(a, b)
#define I_LOAD(p)       vreinterpretq_s32_u8(vld1q_u8((const uint8_t *)(p)))
#define I_SET1(x)       vdupq_n_s32(x)
#define I_TO_F(v)       vcvtq_f32_s32(v)
#define I_DOT(s, w, x)  neon_dot(s, w, x)
#define I_DOT4(s, w, x) neon_dot(s, w, x)
#define I_LOW(v)        vandq_s32(v, vreinterpretq_s32_u8(vdupq_n_u8(15)))
#define I_HIGH(v)       vreinterpretq_s32_u8(vshrq_n_u8(vreinterpretq_u8_s32(v), 4))
#define BF_EVEN(v)      vreinterpretq_f32_s32(vshlq_n_s32(v, 16))
#define BF_ODD(v)       vreinterpretq_f32_s32(vandq_s32(v, vdupq_n_s32(-65536)))
#define PREFETCH(p)     __builtin_prefetch(p)
#define F_ROWS          4
#define F_BLOCKS        1
#define I_ROWS          2
#define I_BLOCKS        1
#define SET             lm_matvec_neon
#define SET_NAME        "neon"

/* Unsigned times signed bytes, widened to 16 bits; a product is at most 255 * 127, so pairs are
 * added in 32 bits. */
static inline int32x4_t neon_dot(int32x4_t sum, int32x4_t w, int32x4_t x)
{
    uint8x16_t bytes = vreinterpretq_u8_s32(w);
    int8x16_t values = vreinterpretq_s8_s32(x);
    int16x8_t w_low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(bytes)));
    int16x8_t w_high = vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(bytes)));
    int32x4_t low = vpaddlq_s16(vmulq_s16(w_low, vmovl_s8(vget_low_s8(values))));
    int32x4_t high = vpaddlq_s16(vmulq_s16(w_high, vmovl_s8(vget_high_s8(values))));
    return vaddq_s32(sum, vpaddq_s32(low, high));
}

#include "lm/kernel/matvec_body.h"
