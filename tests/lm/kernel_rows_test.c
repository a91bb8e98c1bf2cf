/* Rows: every instruction set of this CPU against formulas in double, at lengths around and far
 * from the width of a vector. */
#include "kit/kit.h"
#include "lm/kernel/isa_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const isas[] = {"plain", "neon", "avx2", "avx512", "avx512-vnni", "avx512-bf16"};
static const uint32_t lengths[] = {1,  2,  3,  4,  5,  7,  8,  9,   15,  16,  17,
                                   31, 33, 54, 63, 64, 65, 97, 127, 431, 1031};

#define N 1031
#define F (2 * N)

struct block {
    float x[F], y[F], z[F], u[F], old[F];
};

static void fill(float *row, uint32_t n, struct rng *rng, double size)
{
    for (uint32_t i = 0; i < n; i++)
        row[i] = (float)((rng_unit(rng) * 2 - 1) * size);
}

static bool near(double a, double b, double tolerance)
{
    bool ok = fabs(a - b) <= tolerance * (1 + fabs(b));
    if (!ok)
        (void)fprintf(stderr, "%s: %.9g, expected %.9g\n", lm_isa_name(), a, b);
    return ok;
}

/* Runs `check` for every instruction set and length on a block of fresh numbers; what lies after
 * the row must stay. */
static void each(bool (*check)(struct block *block, uint32_t n))
{
    struct block *block = mem_zalloc(sizeof *block);
    CHECK(block != NULL);
    bool right = true;
    for (size_t isa = 0; right && isa < ARRAY_COUNT(isas); isa++) {
        if (!lm_isa_limit(str_from(isas[isa])))
            continue;
        for (size_t i = 0; right && i < ARRAY_COUNT(lengths); i++) {
            struct rng rng;
            rng_init(&rng, 100 + i);
            fill(block->x, F, &rng, 3);
            fill(block->y, F, &rng, 3);
            fill(block->z, F, &rng, 3);
            fill(block->u, F, &rng, 3);
            memcpy(block->old, block->x, sizeof block->old);
            right = check(block, lengths[i]);
            if (!right)
                (void)fprintf(stderr, "%s at length %u\n", isas[isa], lengths[i]);
        }
    }
    mem_free(block);
    CHECK(right);
}

static bool rest_kept(const struct block *b, uint32_t n)
{
    return memcmp(b->x + n, b->old + n, (F - n) * sizeof(float)) == 0;
}

static bool dot_and_axpy(struct block *b, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (double)b->x[i] * (double)b->y[i];
    bool right = near(lm_dot(b->x, b->y, n), sum, 2e-5);
    lm_axpy(b->x, 0.7f, b->y, n);
    for (uint32_t i = 0; i < n; i++)
        right = right && near(b->x[i], (double)b->old[i] + 0.7 * (double)b->y[i], 1e-6);
    return right && rest_kept(b, n);
}

TEST(dot_and_axpy_are_right)
{
    each(dot_and_axpy);
}

static void norm_stats(const float *x, uint32_t n, double *ret_mean, double *ret_rstd)
{
    double mean = 0, squares = 0;
    for (uint32_t i = 0; i < n; i++)
        mean += (double)x[i] / n;
    for (uint32_t i = 0; i < n; i++)
        squares += ((double)x[i] - mean) * ((double)x[i] - mean) / n;
    *ret_mean = mean;
    *ret_rstd = 1 / sqrt(squares + 1e-2);
}

static bool norm(struct block *b, uint32_t n)
{
    double mean, rstd;
    float mean_f = 0, rstd_f = 0;
    norm_stats(b->y, n, &mean, &rstd);
    lm_norm_row(b->x, b->y, b->z, b->u, n, 1e-2f, &mean_f, &rstd_f);
    bool right = near(mean_f, mean, 1e-6) && near(rstd_f, rstd, 1e-5);
    for (uint32_t i = 0; i < n; i++) {
        double y = ((double)b->y[i] - mean) * rstd * (double)b->z[i] + (double)b->u[i];
        right = right && near(b->x[i], y, 1e-4);
    }
    return right && rest_kept(b, n);
}

TEST(norm_is_right)
{
    each(norm);
}

static bool norm_back(struct block *b, uint32_t n)
{
    static float gain[F], bias[F];
    double mean, rstd, sum = 0, sum_x = 0;
    norm_stats(b->y, n, &mean, &rstd);
    for (uint32_t i = 0; i < F; i++) {
        gain[i] = 0.5f;
        bias[i] = 0.25f;
    }
    lm_norm_row_back(b->x, gain, bias, b->z, b->y, b->u, (float)mean, (float)rstd, n);
    for (uint32_t i = 0; i < n; i++) {
        double d = (double)b->z[i] * (double)b->u[i];
        sum += d / n;
        sum_x += d * ((double)b->y[i] - mean) * rstd / n;
    }
    bool right = rest_kept(b, n) && gain[n] == 0.5f && bias[n] == 0.25f;
    for (uint32_t i = 0; i < n; i++) {
        double place = ((double)b->y[i] - mean) * rstd;
        double d = (double)b->z[i] * (double)b->u[i];
        right = right &&
                near(b->x[i], (double)b->old[i] + rstd * (d - sum - place * sum_x), 1e-3) &&
                near(gain[i], 0.5 + (double)b->z[i] * place, 1e-4) &&
                near(bias[i], 0.25 + (double)b->z[i], 1e-6);
    }
    return right;
}

TEST(way_back_through_norm_is_right)
{
    each(norm_back);
}

static bool softmax(struct block *b, uint32_t n)
{
    double most = -1e30, sum = 0;
    for (uint32_t i = 0; i < n; i++)
        most = fmax(most, (double)b->x[i]);
    bool right = lm_max_row(b->x, n) == (float)most;
    for (uint32_t i = 0; i < n; i++)
        sum += exp((double)b->x[i] - most);
    right = near(lm_softmax_row(b->x, n), most + log(sum), 1e-6) && right;
    for (uint32_t i = 0; i < n; i++)
        right = right && near(b->x[i], exp((double)b->old[i] - most) / sum, 1e-6);
    return right && rest_kept(b, n);
}

TEST(softmax_is_right)
{
    each(softmax);
}

static bool softmax_far(struct block *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        b->x[i] = i % 3 == 1 ? -INFINITY : (i % 3 == 2 ? -20000.0f : 30000.0f);
    uint32_t count = (n + 2) / 3;
    bool right = near(lm_softmax_row(b->x, n), 30000 + log(count), 1e-6);
    for (uint32_t i = 0; i < n; i++)
        right = right && near(b->x[i], i % 3 == 0 ? 1.0 / count : 0, 1e-6) && b->x[i] >= 0;
    return right;
}

TEST(softmax_of_far_and_infinite_numbers_is_right)
{
    each(softmax_far);
}

static bool exps_nan(struct block *b, uint32_t n)
{
    b->x[n / 2] = NAN;
    float sum = lm_exp_row(b->x, 0, n);
    return isnan(b->x[n / 2]) && isnan(sum) && (n == 1 || !isnan(b->x[n - 1 - (n > 2 ? 0 : 1)]));
}

TEST(what_is_not_a_number_stays_so)
{
    each(exps_nan);
}

/* The bound that rows_body.h states, over the whole range. */
TEST(exponential_keeps_its_bound)
{
    static float x[4096];
    for (size_t isa = 0; isa < ARRAY_COUNT(isas); isa++) {
        if (!lm_isa_limit(str_from(isas[isa])))
            continue;
        double worst = 0;
        for (uint32_t part = 0; part < 64; part++) {
            double at[ARRAY_COUNT(x)];
            for (uint32_t i = 0; i < ARRAY_COUNT(x); i++) {
                x[i] = (float)(-87.3 + (87.3 + 88.3) * (part * 4096.0 + i) / (64 * 4096.0));
                at[i] = (double)x[i];
            }
            (void)lm_exp_row(x, 0, ARRAY_COUNT(x));
            for (uint32_t i = 0; i < ARRAY_COUNT(x); i++)
                worst = fmax(worst, fabs((double)x[i] / exp(at[i]) - 1));
        }
        CHECK(worst <= ldexp(1, -22));
        float edge[4] = {0, -87.4f, -1000, -INFINITY};
        (void)lm_exp_row(edge, 0, 4);
        CHECK(edge[0] == 1.0f);
        CHECK(edge[1] < 1.2e-38f && edge[2] == 0 && edge[3] == 0);
    }
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static bool swiglu(struct block *b, uint32_t n)
{
    b->y[n] = 60; /* gates far out */
    b->y[2 * n - 1] = n > 1 ? -110 : 60;
    lm_swiglu_row(b->x, b->y, n);
    bool right = rest_kept(b, n);
    for (uint32_t i = 0; i < n; i++) {
        double g = (double)b->y[n + i];
        right = right && near(b->x[i], (double)b->y[i] * g * sigmoid(g), 1e-6);
    }
    return right;
}

static bool swiglu_back(struct block *b, uint32_t n)
{
    b->y[n] = 60;
    lm_swiglu_row_back(b->x, b->z, b->y, n);
    bool right = rest_kept(b, 2 * n);
    for (uint32_t i = 0; i < n; i++) {
        double a = (double)b->y[i], g = (double)b->y[n + i], s = sigmoid(g), d = (double)b->z[i];
        right = right && near(b->x[i], d * g * s, 2e-6) &&
                near(b->x[n + i], d * a * s * (1 + g * (1 - s)), 1e-5);
    }
    return right;
}

TEST(gated_unit_is_right_both_ways)
{
    each(swiglu);
    each(swiglu_back);
}

static bool rope(struct block *b, uint32_t n)
{
    uint32_t half = n / 2;
    lm_rope_row(b->x, b->y, b->z, n, false);
    bool right = rest_kept(b, 2 * half);
    for (uint32_t i = 0; i < half; i++) {
        double p = (double)b->old[i], q = (double)b->old[half + i];
        double c = (double)b->y[i], s = (double)b->z[i];
        right = right && near(b->x[i], p * c - q * s, 1e-5) &&
                near(b->x[half + i], q * c + p * s, 1e-5);
    }
    memcpy(b->x, b->old, sizeof b->x);
    for (uint32_t i = 0; i < half; i++) {
        b->y[i] = cosf((float)i);
        b->z[i] = sinf((float)i);
    }
    lm_rope_row(b->x, b->y, b->z, n, false);
    lm_rope_row(b->x, b->y, b->z, n, true);
    for (uint32_t i = 0; i < n; i++)
        right = right && near(b->x[i], b->old[i], 1e-5);
    return right;
}

TEST(rotation_is_right_and_goes_back)
{
    each(rope);
}

static bool adam(struct block *b, uint32_t n)
{
    const struct lm_adam step = {.rate = 1e-2f,
                                 .beta1 = 0.9f,
                                 .beta2 = 0.99f,
                                 .eps = 1e-8f,
                                 .decay = 0.1f,
                                 .c1 = 0.19f,
                                 .c2 = 0.0199f,
                                 .grad_scale = 0.5f};
    for (uint32_t i = 0; i < n; i++)
        b->z[i] = fabsf(b->z[i]);
    float m_after = b->y[n], v_after = b->z[n], m0 = b->y[0], v0 = b->z[0];
    float *m = b->y, *v = b->z;
    lm_adam_row(b->x, m, v, b->u, &step, n);
    bool right = rest_kept(b, n) && m[n] == m_after && v[n] == v_after;
    double g0 = 0.5 * (double)b->u[0];
    right = right && near(m[0], 0.9 * (double)m0 + 0.1 * g0, 1e-5) &&
            near(v[0], 0.99 * (double)v0 + 0.01 * g0 * g0, 1e-5);
    for (uint32_t i = 0; i < n; i++) {
        double w = (double)b->old[i] * (1 - 1e-3) -
                   1e-2 * ((double)m[i] / 0.19) / (sqrt((double)v[i] / 0.0199) + 1e-8);
        right = right && near(b->x[i], w, 1e-5);
    }
    return right;
}

TEST(optimiser_steps_as_its_formula_says)
{
    each(adam);
}

static bool dropout(struct block *b, uint32_t n)
{
    static float plain[F];
    memcpy(plain, b->old, sizeof plain);
    const char *isa = lm_isa_name();
    lm_dropout_row(b->x, n, 0.1f, 42, n);
    (void)lm_isa_limit(STR("plain"));
    lm_dropout_row(plain, n, 0.1f, 42, n);
    (void)lm_isa_limit(str_from(isa));
    bool same = true;
    for (uint32_t i = 0; i < F; i++)
        same = same && plain[i] == b->x[i];
    return same;
}

TEST(the_same_elements_are_dropped_everywhere)
{
    each(dropout);
}

TEST(dropout_keeps_its_share_and_differs_by_row)
{
    static float x[20000], y[20000];
    for (size_t isa = 0; isa < ARRAY_COUNT(isas); isa++) {
        if (!lm_isa_limit(str_from(isas[isa])))
            continue;
        uint32_t gone = 0, both = 0;
        for (uint32_t i = 0; i < ARRAY_COUNT(x); i++)
            x[i] = y[i] = 1;
        lm_dropout_row(x, ARRAY_COUNT(x), 0.1f, 7, 1);
        lm_dropout_row(y, ARRAY_COUNT(y), 0.1f, 7, 2);
        for (uint32_t i = 0; i < ARRAY_COUNT(x); i++) {
            CHECK(x[i] == 0 || fabsf(x[i] - 1 / 0.9f) < 1e-6f);
            gone += x[i] == 0;
            both += x[i] == 0 && y[i] == 0;
        }
        CHECK(gone > 1800 && gone < 2200); /* 2000, standard deviation 42 */
        CHECK(both > 130 && both < 275);   /* 200, standard deviation 14 */
        lm_dropout_row(x, ARRAY_COUNT(x), 0, 7, 1);
        lm_dropout_row(y, ARRAY_COUNT(y), 0, 7, 2);
        CHECK(x[0] != 0 || x[1] != 0 || x[2] != 0);
    }
}

TEST(only_what_cpu_and_build_have_can_be_chosen)
{
    CHECK(lm_isa_limit(STR("plain")));
    CHECK_STR(lm_isa_name(), "plain");
    CHECK(lm_kernels() == &lm_kernels_plain);
    CHECK(!lm_isa_limit(STR("abacus")));
    CHECK_STR(lm_isa_name(), "plain");
    for (size_t isa = 0; isa < ARRAY_COUNT(isas); isa++)
        CHECK_EQ(lm_isa_limit(str_from(isas[isa])), lm_isa_has((enum lm_isa)isa));
}
