/* Rows of floats: what is the same for every instruction set. */
#include "lm/kernel/isa_int.h"

#include <math.h>

float lm_dot(const float *a, const float *b, uint32_t n)
{
    return lm_kernels()->dot(a, b, n);
}

void lm_axpy(float *y, float alpha, const float *x, uint32_t n)
{
    lm_kernels()->axpy(y, alpha, x, n);
}

void lm_norm_row(float *y, const float *x, const float *gain, const float *bias, uint32_t n,
                 float eps, float *ret_mean, float *ret_rstd)
{
    lm_kernels()->norm(y, x, gain, bias, n, eps, ret_mean, ret_rstd);
}

void lm_norm_row_back(float *dx, float *dgain, float *dbias, const float *dy, const float *x,
                      const float *gain, float mean, float rstd, uint32_t n)
{
    lm_kernels()->norm_back(dx, dgain, dbias, dy, x, gain, mean, rstd, n);
}

float lm_softmax_row(float *x, uint32_t n)
{
    const struct lm_kernels *kernels = lm_kernels();
    float most = kernels->max(x, n);
    float sum = kernels->exps(x, most, n);
    kernels->scale(x, 1.0f / sum, n);
    return most + logf(sum);
}

float lm_exp_row(float *x, float shift, uint32_t n)
{
    return lm_kernels()->exps(x, shift, n);
}

float lm_max_row(const float *x, uint32_t n)
{
    return lm_kernels()->max(x, n);
}

void lm_swiglu_row(float *y, const float *ag, uint32_t f)
{
    lm_kernels()->swiglu(y, ag, f);
}

void lm_swiglu_row_back(float *dag, const float *dy, const float *ag, uint32_t f)
{
    lm_kernels()->swiglu_back(dag, dy, ag, f);
}

void lm_rope_row(float *x, const float *cos_row, const float *sin_row, uint32_t d, bool back)
{
    lm_kernels()->rope(x, cos_row, sin_row, d / 2, back ? -1.0f : 1.0f);
}

void lm_adam_row(float *w, float *m, float *v, const float *g, const struct lm_adam *adam,
                 uint64_t n)
{
    lm_kernels()->adam(w, m, v, g, adam, n);
}

/* The finishing steps of splitmix64. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

void lm_dropout_row(float *x, uint32_t n, float p, uint64_t seed, uint64_t counter)
{
    ASSERT(p >= 0 && p < 1);
    uint64_t word = mix(mix(seed + 0x9e3779b97f4a7c15u) + (counter + 1) * 0x9e3779b97f4a7c15u);
    const uint32_t key[2] = {(uint32_t)word, (uint32_t)(word >> 32)};
    uint32_t least = (uint32_t)(p * 16777216.0f);
    lm_kernels()->dropout(x, n, least, 1.0f / (1.0f - p), key);
}
