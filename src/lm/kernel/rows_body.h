/* The rows, written once for vectors of any width; rows_avx2.c, rows_avx512.c and rows_neon.c
 * include this after they have said what a vector is:
 *
 *     LANES                  floats in a vector
 *     vf, vu                 a vector of floats, of 32-bit unsigned
 *     v_load, v_store        anywhere in memory
 *     v_load_part, v_store_part   the first n < LANES; the other lanes are zero, are not written
 *     v_set, v_fma, v_max, v_min, v_sqrt, v_sum
 *     KERNELS, KERNELS_ISA, KERNELS_NAME, KERNELS_F32
 *
 * and of which v_min and v_max give the second operand when one is not a number. */
#include <math.h>
#include <string.h>

/* Runs the block for each vector of n floats, with `i` where it begins and `c` its floats: LANES,
 * known to the compiler, and once what is left. */
#define EACH(n, ...)                                                                               \
    do {                                                                                           \
        size_t i = 0;                                                                              \
        for (; i + LANES <= (n); i += LANES) {                                                     \
            const uint32_t c = LANES;                                                              \
            __VA_ARGS__                                                                            \
        }                                                                                          \
        if (i < (n)) {                                                                             \
            const uint32_t c = (uint32_t)((n)-i);                                                  \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    } while (0)
#define GET(p)    (c == LANES ? v_load((p) + i) : v_load_part((p) + i, c))
#define PUT(p, v) (c == LANES ? v_store((p) + i, (v)) : v_store_part((p) + i, (v), c))

static inline vu v_bits(vf x)
{
    vu bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline vf v_from_bits(vu bits)
{
    vf x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline vu vu_set(uint32_t word)
{
    return v_bits(v_set(0)) + word;
}

/* The first c lanes of x, and `other` in the rest. */
static inline vf v_first(vf x, uint32_t c, float other)
{
    static const uint32_t window[2 * LANES] = {
        ~0u,
        ~0u,
        ~0u,
        ~0u,
#if LANES > 4
        ~0u,
        ~0u,
        ~0u,
        ~0u,
#endif
#if LANES > 8
        ~0u,
        ~0u,
        ~0u,
        ~0u,
        ~0u,
        ~0u,
        ~0u,
        ~0u,
#endif
    };
    vu mask;
    memcpy(&mask, window + (LANES - c), sizeof mask);
    return v_from_bits((v_bits(x) & mask) | (v_bits(v_set(other)) & ~mask));
}

/* e^x with a relative error of at most 2^-22: x = n ln 2 + r, a polynomial for e^r, n into the
 * exponent.  Below the smallest normal result it is 0; from 88.37 on it stays what it is there. */
static inline vf v_exp(vf x)
{
    const vf low = v_set(-87.33f), high = v_set(88.37f), magic = v_set(12582912.0f);
    vu under = (vu)(x < low);
    x = v_min(high, v_max(low, x));
    vf t = v_fma(x, v_set(1.44269504f), magic); /* n stands in the low bits */
    vf n = t - magic;
    vf r = v_fma(n, v_set(-0.693359375f), x);
    r = v_fma(n, v_set(2.12194440e-4f), r);
    vf p = v_set(1.9875691500e-4f);
    p = v_fma(p, r, v_set(1.3981999507e-3f));
    p = v_fma(p, r, v_set(8.3334519073e-3f));
    p = v_fma(p, r, v_set(4.1665795894e-2f));
    p = v_fma(p, r, v_set(1.6666665459e-1f));
    p = v_fma(p, r, v_set(5.0000001201e-1f));
    p = v_fma(p * r, r, r) + 1.0f;
    vf power = v_from_bits((v_bits(t) << 23) + 0x3f800000u);
    return v_from_bits(v_bits(p * power) & ~under);
}

static inline vf v_sigmoid(vf x)
{
    return v_set(1.0f) / (v_exp(-x) + 1.0f);
}

static float dot(const float *a, const float *b, uint32_t n)
{
    vf s0 = v_set(0), s1 = s0, s2 = s0, s3 = s0;
    uint32_t most = n - n % (4 * LANES);
    for (uint32_t i = 0; i < most; i += 4 * LANES) {
        s0 = v_fma(v_load(a + i), v_load(b + i), s0);
        s1 = v_fma(v_load(a + i + LANES), v_load(b + i + LANES), s1);
        s2 = v_fma(v_load(a + i + 2 * LANES), v_load(b + i + 2 * LANES), s2);
        s3 = v_fma(v_load(a + i + 3 * LANES), v_load(b + i + 3 * LANES), s3);
    }
    a += most;
    b += most;
    EACH(n - most, { s0 = v_fma(GET(a), GET(b), s0); });
    return v_sum((s0 + s1) + (s2 + s3));
}

static void axpy(float *y, float alpha, const float *x, uint32_t n)
{
    const vf factor = v_set(alpha);
    EACH(n, { PUT(y, v_fma(factor, GET(x), GET(y))); });
}

static void norm(float *y, const float *x, const float *gain, const float *bias, uint32_t n,
                 float eps, float *ret_mean, float *ret_rstd)
{
    vf sum = v_set(0), squares = v_set(0);
    EACH(n, { sum += GET(x); });
    const float mean = v_sum(sum) / (float)n;
    const vf middle = v_set(mean);
    EACH(n, {
        vf d = GET(x) - middle;
        d = c == LANES ? d : v_first(d, c, 0);
        squares = v_fma(d, d, squares);
    });
    const float rstd = 1.0f / sqrtf(v_sum(squares) / (float)n + eps);
    const vf unit = v_set(rstd);
    EACH(n, { PUT(y, v_fma((GET(x) - middle) * unit, GET(gain), GET(bias))); });
    *ret_mean = mean;
    *ret_rstd = rstd;
}

static void norm_back(float *dx, float *dgain, float *dbias, const float *dy, const float *x,
                      const float *gain, float mean, float rstd, uint32_t n)
{
    const vf middle = v_set(mean), unit = v_set(rstd);
    vf sum = v_set(0), sum_x = v_set(0);
    EACH(n, {
        vf out = GET(dy);
        vf place = (GET(x) - middle) * unit;
        vf d = out * GET(gain); /* zero in lanes that do not count */
        sum += d;
        sum_x = v_fma(d, place, sum_x);
        PUT(dgain, v_fma(out, place, GET(dgain)));
        PUT(dbias, out + GET(dbias));
    });
    const vf mean_d = v_set(v_sum(sum) / (float)n), mean_x = v_set(v_sum(sum_x) / (float)n);
    EACH(n, {
        vf place = (GET(x) - middle) * unit;
        vf d = GET(dy) * GET(gain) - mean_d - place * mean_x;
        PUT(dx, v_fma(unit, d, GET(dx)));
    });
}

static float exps(float *x, float shift, uint32_t n)
{
    const vf back = v_set(shift);
    vf sum = v_set(0);
    EACH(n, {
        vf e = v_exp(GET(x) - back);
        e = c == LANES ? e : v_first(e, c, 0);
        sum += e;
        PUT(x, e);
    });
    return v_sum(sum);
}

static float max(const float *x, uint32_t n)
{
    vf m0 = v_set(-INFINITY), m1 = m0, m2 = m0, m3 = m0;
    uint32_t most = n - n % (4 * LANES);
    for (uint32_t i = 0; i < most; i += 4 * LANES) {
        m0 = v_max(v_load(x + i), m0);
        m1 = v_max(v_load(x + i + LANES), m1);
        m2 = v_max(v_load(x + i + 2 * LANES), m2);
        m3 = v_max(v_load(x + i + 3 * LANES), m3);
    }
    x += most;
    EACH(n - most, { m0 = v_max(c == LANES ? GET(x) : v_first(GET(x), c, -INFINITY), m0); });
    m0 = v_max(v_max(m0, m1), v_max(m2, m3));
    float lane[LANES], largest = -INFINITY;
    v_store(lane, m0);
    for (uint32_t i = 0; i < LANES; i++)
        largest = lane[i] > largest ? lane[i] : largest;
    return largest;
}

static void scale(float *x, float factor, uint32_t n)
{
    const vf by = v_set(factor);
    EACH(n, { PUT(x, GET(x) * by); });
}

static void swiglu(float *y, const float *ag, uint32_t f)
{
    const float *gate = ag + f;
    EACH(f, {
        vf g = GET(gate);
        PUT(y, GET(ag) * g * v_sigmoid(g));
    });
}

static void swiglu_back(float *dag, const float *dy, const float *ag, uint32_t f)
{
    const float *gate = ag + f;
    float *dgate = dag + f;
    EACH(f, {
        vf out = GET(dy), a = GET(ag), g = GET(gate), s = v_sigmoid(g);
        PUT(dag, out * g * s);
        PUT(dgate, out * a * s * v_fma(g, 1.0f - s, v_set(1.0f)));
    });
}

static void rope(float *x, const float *cos_row, const float *sin_row, uint32_t half, float sign)
{
    float *other = x + half;
    const vf turn = v_set(sign);
    EACH(half, {
        vf a = GET(x), b = GET(other), cosine = GET(cos_row), sine = GET(sin_row) * turn;
        PUT(x, v_fma(a, cosine, -(b * sine)));
        PUT(other, v_fma(b, cosine, a * sine));
    });
}

static void adam(float *w, float *m, float *v, const float *g, const struct lm_adam *adam,
                 uint64_t n)
{
    const vf keep = v_set(1.0f - adam->rate * adam->decay);
    const vf step = v_set(-(adam->rate / adam->c1)), root = v_set(1.0f / sqrtf(adam->c2));
    const vf beta1 = v_set(adam->beta1), beta2 = v_set(adam->beta2);
    const vf new1 = v_set(1.0f - adam->beta1), new2 = v_set(1.0f - adam->beta2);
    const vf eps = v_set(adam->eps), factor = v_set(adam->grad_scale);
    EACH(n, {
        vf grad = GET(g) * factor;
        vf first = v_fma(beta1, GET(m), new1 * grad);
        vf second = v_fma(beta2, GET(v), new2 * grad * grad);
        PUT(m, first);
        PUT(v, second);
        vf change = first / v_fma(v_sqrt(second), root, c == LANES ? eps : v_first(eps, c, 1.0f));
        PUT(w, v_fma(step, change, GET(w) * keep));
    });
}

static void dropout(float *x, uint32_t n, uint32_t least, float factor, const uint32_t key[2])
{
    vu count;
    for (uint32_t i = 0; i < LANES; i++)
        count[i] = i * 0x9e3779b9u + key[0];
    const vf by = v_set(factor);
    const vf bound = v_set((float)least); /* 24 bits: exact */
    EACH(n, {
        vu word = count;
        word = (word ^ (word >> 16)) * 0x7feb352du;
        word = (word ^ (word >> 15)) * 0x846ca68bu;
        word ^= (word >> 16) ^ key[1];
        word *= 0x7feb352du;
        word = (word ^ (word >> 15)) * 0x846ca68bu;
        word = (word ^ (word >> 16)) >> 8;
        vu gone = (vu)(v_from_u24(word) < bound);
        PUT(x, v_from_bits(v_bits(GET(x) * by) & ~gone));
        count += LANES * 0x9e3779b9u;
    });
}

const struct lm_kernels KERNELS = {
    .isa = KERNELS_ISA,
    .name = KERNELS_NAME,
    .f32 = &KERNELS_F32,
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
