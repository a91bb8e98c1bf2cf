/* Rows in plain C: the reference for the others. */
#include "lm/kernel/gemm_int.h"
#include "lm/kernel/rows_int.h"

#include <math.h>

static float dot(const float *a, const float *b, uint32_t n)
{
    float sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void axpy(float *y, float alpha, const float *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        y[i] += alpha * x[i];
}

static void norm(float *y, const float *x, const float *gain, const float *bias, uint32_t n,
                 float eps, float *ret_mean, float *ret_rstd)
{
    float sum = 0, squares = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += x[i];
    float mean = sum / (float)n;
    for (uint32_t i = 0; i < n; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    float rstd = 1.0f / sqrtf(squares / (float)n + eps);
    for (uint32_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) * rstd * gain[i] + bias[i];
    *ret_mean = mean;
    *ret_rstd = rstd;
}

/* With x^ = (x - mean) rstd and d = dy gain:  dx += rstd (d - mean(d) - x^ mean(d x^)). */
static void norm_back(float *dx, float *dgain, float *dbias, const float *dy, const float *x,
                      const float *gain, float mean, float rstd, uint32_t n)
{
    float sum = 0, sum_x = 0;
    for (uint32_t i = 0; i < n; i++) {
        float unit = (x[i] - mean) * rstd;
        sum += dy[i] * gain[i];
        sum_x += dy[i] * gain[i] * unit;
        dgain[i] += dy[i] * unit;
        dbias[i] += dy[i];
    }
    sum /= (float)n;
    sum_x /= (float)n;
    for (uint32_t i = 0; i < n; i++)
        dx[i] += rstd * (dy[i] * gain[i] - sum - (x[i] - mean) * rstd * sum_x);
}

static float exps(float *x, float shift, uint32_t n)
{
    float sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        x[i] = expf(x[i] - shift);
        sum += x[i];
    }
    return sum;
}

static float max(const float *x, uint32_t n)
{
    float most = -INFINITY;
    for (uint32_t i = 0; i < n; i++)
        most = x[i] > most ? x[i] : most;
    return most;
}

static void scale(float *x, float factor, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        x[i] *= factor;
}

static void swiglu(float *y, const float *ag, uint32_t f)
{
    for (uint32_t i = 0; i < f; i++)
        y[i] = ag[i] * ag[f + i] / (1.0f + expf(-ag[f + i]));
}

/* y = a g s(g); dy/da = g s, dy/dg = a (s + g s (1 - s)). */
static void swiglu_back(float *dag, const float *dy, const float *ag, uint32_t f)
{
    for (uint32_t i = 0; i < f; i++) {
        float a = ag[i], g = ag[f + i], s = 1.0f / (1.0f + expf(-g));
        dag[i] = dy[i] * g * s;
        dag[f + i] = dy[i] * a * s * (1.0f + g * (1.0f - s));
    }
}

static void rope(float *x, const float *cos_row, const float *sin_row, uint32_t half, float sign)
{
    for (uint32_t i = 0; i < half; i++) {
        float a = x[i], b = x[half + i], s = sign * sin_row[i];
        x[i] = a * cos_row[i] - b * s;
        x[half + i] = b * cos_row[i] + a * s;
    }
}

static void adam(float *w, float *m, float *v, const float *g, const struct lm_adam *adam,
                 uint64_t n)
{
    float keep = 1.0f - adam->rate * adam->decay, step = adam->rate / adam->c1;
    float root = 1.0f / sqrtf(adam->c2);
    for (uint64_t i = 0; i < n; i++) {
        float grad = g[i] * adam->grad_scale;
        m[i] = adam->beta1 * m[i] + (1.0f - adam->beta1) * grad;
        v[i] = adam->beta2 * v[i] + (1.0f - adam->beta2) * grad * grad;
        w[i] = w[i] * keep - step * m[i] / (sqrtf(v[i]) * root + adam->eps);
    }
}

static void dropout(float *x, uint32_t n, uint32_t least, float factor, const uint32_t key[2])
{
    for (uint32_t i = 0; i < n; i++)
        x[i] = lm_dropout_word(i, key) >> 8 < least ? 0 : x[i] * factor;
}

const struct lm_kernels lm_kernels_plain = {
    .isa = LM_ISA_PLAIN,
    .name = "plain",
    .f32 = &lm_gemm_kind_plain,
    .dot = dot,
    .axpy = axpy,
    .norm = norm,
    .norm_back = norm_back,
    .exps = exps,
    .max = max,
    .scale = scale,
    .swiglu = swiglu,
    .swiglu_back = swiglu_back,
    .rope = rope,
    .adam = adam,
    .dropout = dropout,
};
