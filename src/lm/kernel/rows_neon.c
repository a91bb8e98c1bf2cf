/* Rows for NEON (AArch64). */
#include "lm/kernel/gemm_int.h"

#include <arm_neon.h>

#define LANES        4
#define KERNELS      lm_kernels_neon
#define KERNELS_ISA  LM_ISA_NEON
#define KERNELS_NAME "neon"
#define KERNELS_F32  lm_gemm_kind_neon

typedef float vf __attribute__((vector_size(16)));
typedef uint32_t vu __attribute__((vector_size(16)));

static inline vf v_load(const float *p)
{
    return (vf)vld1q_f32(p);
}

static inline void v_store(float *p, vf x)
{
    vst1q_f32(p, (float32x4_t)x);
}

static inline vf v_load_part(const float *p, uint32_t n)
{
    float lane[LANES] = {0};
    for (uint32_t i = 0; i < n && i < LANES; i++)
        lane[i] = p[i];
    return v_load(lane);
}

static inline void v_store_part(float *p, vf x, uint32_t n)
{
    float lane[LANES];
    v_store(lane, x);
    for (uint32_t i = 0; i < n && i < LANES; i++)
        p[i] = lane[i];
}

static inline vf v_set(float x)
{
    return (vf)vdupq_n_f32(x);
}

static inline vf v_fma(vf a, vf b, vf c)
{
    return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}

static inline vf v_max(vf a, vf b)
{
    return (vf)vmaxq_f32((float32x4_t)a, (float32x4_t)b);
}

static inline vf v_min(vf a, vf b)
{
    return (vf)vminq_f32((float32x4_t)a, (float32x4_t)b);
}

static inline vf v_sqrt(vf x)
{
    return (vf)vsqrtq_f32((float32x4_t)x);
}

static inline float v_sum(vf x)
{
    return vaddvq_f32((float32x4_t)x);
}

static inline vf v_from_u24(vu x)
{
    return (vf)vcvtq_f32_u32((uint32x4_t)x);
}

#include "lm/kernel/rows_body.h"
