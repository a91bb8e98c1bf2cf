/* Schedule, length of the gradient, AdamW, and the curve that is drawn. */
#include "train_kit.h"

#include <math.h>

TEST(rate_rises_and_falls)
{
    /* 100 steps, 10 of them rising: 1/11, 2/11 ... 10/11, then from 1 down. */
    CHECK_NEAR(lm_rate_at(LM_SCHEDULE_COSINE, 1, 0.1, 0, 100), 1.0 / 11, 1e-12);
    CHECK_NEAR(lm_rate_at(LM_SCHEDULE_COSINE, 1, 0.1, 9, 100), 10.0 / 11, 1e-12);
    CHECK_NEAR(lm_rate_at(LM_SCHEDULE_COSINE, 1, 0.1, 10, 100), 1, 1e-12);
    CHECK_NEAR(lm_rate_at(LM_SCHEDULE_COSINE, 1, 0.1, 55, 100), 0.5, 1e-12);
    CHECK_NEAR(lm_rate_at(LM_SCHEDULE_COSINE, 1, 0.1, 40, 100), 0.75, 1e-12);
    CHECK_NEAR(lm_rate_at(LM_SCHEDULE_COSINE, 1, 0.1, 100, 100), 0, 1e-12);
    CHECK_NEAR(lm_rate_at(LM_SCHEDULE_LINEAR, 2, 0.1, 55, 100), 1, 1e-12);
    CHECK_NEAR(lm_rate_at(LM_SCHEDULE_LINEAR, 2, 0.1, 40, 100), 2.0 * 2 / 3, 1e-12);
    CHECK_NEAR(lm_rate_at(LM_SCHEDULE_LINEAR, 2, 0, 0, 100), 2, 1e-12);
    CHECK_NEAR(lm_rate_at(LM_SCHEDULE_COSINE, 3, 0, 0, 1), 3, 1e-12);
    CHECK(isfinite(lm_rate_at(LM_SCHEDULE_LINEAR, 2, 1, 99, 100)));
}

struct bench {
    struct lm_config config;
    struct lm_optim optim;
    size_t floats;
    float *w, *g;
};

static void bench_make(struct bench *b, struct lm_pool *pool)
{
    struct rng rng;
    b->config = toy_config();
    b->floats = (size_t)lm_floats(&b->config);
    b->w = mem_alloc(b->floats * sizeof(float));
    b->g = mem_alloc(b->floats * sizeof(float));
    rng_init(&rng, 11);
    for (size_t i = 0; i < b->floats; i++) {
        b->w[i] = (float)rng_unit(&rng) - 0.5F;
        b->g[i] = (float)rng_unit(&rng) - 0.5F;
    }
    CHECK_OK(lm_optim_init(&b->optim, &b->config, pool));
}

static void bench_end(struct bench *b)
{
    lm_optim_finish(&b->optim);
    mem_free(b->w);
    mem_free(b->g);
}

static bool is_unused(const struct bench *b, size_t i)
{
    return i >= (size_t)TOY_USED * b->config.hidden &&
           i < (size_t)b->config.vocab * b->config.hidden;
}

TEST(norm_is_of_what_is_in_use)
{
    struct bench b;
    double sum = 0;
    bench_make(&b, NULL);
    for (size_t i = 0; i < b.floats; i++) {
        if (is_unused(&b, i))
            b.g[i] = NAN; /* nobody looks there */
        else
            sum += (double)b.g[i] * (double)b.g[i];
    }
    CHECK_NEAR(lm_optim_norm(&b.optim, b.g), sqrt(sum), 1e-9);
    b.g[b.floats - 1] = INFINITY;
    CHECK(!isfinite(lm_optim_norm(&b.optim, b.g)));
    bench_end(&b);
}

/* Three steps beside the textbook's formulas in double. */
TEST(steps_are_adamw)
{
    struct bench b;
    bench_make(&b, NULL);
    double *w = mem_alloc(b.floats * sizeof(double));
    double *m = mem_zalloc(b.floats * sizeof(double)), *v = mem_zalloc(b.floats * sizeof(double));
    float *g = mem_alloc(b.floats * sizeof(float));
    bool *decays = mem_zalloc(b.floats);
    struct lm_tensor tensor;
    memcpy(g, b.g, b.floats * sizeof(float));
    for (uint32_t i = 0; lm_tensor_at(&b.config, i, &tensor); i++)
        memset(decays + tensor.offset, tensor.decays, tensor.count);
    for (size_t i = 0; i < b.floats; i++)
        w[i] = (double)b.w[i];
    for (uint64_t step = 1; step <= 3; step++) {
        struct lm_optim_step s = {.step = step, .rate = 0.01, .decay = 0.1, .grad_scale = 0.5};
        memcpy(b.g, g, b.floats * sizeof(float));
        lm_optim_apply(&b.optim, b.w, b.g, &s);
        for (size_t i = 0; i < b.floats; i++) {
            double grad = (double)g[i] * 0.5;
            if (is_unused(&b, i))
                continue;
            m[i] = 0.9 * m[i] + 0.1 * grad;
            v[i] = 0.999 * v[i] + 0.001 * grad * grad;
            w[i] -= decays[i] ? 0.01 * 0.1 * w[i] : 0;
            w[i] -= 0.01 * (m[i] / (1 - pow(0.9, (double)step))) /
                    (sqrt(v[i] / (1 - pow(0.999, (double)step))) + 1e-8);
        }
    }
    for (size_t i = 0; i < b.floats; i++) {
        NOTE("weight %zu", i);
        CHECK_NEAR(b.w[i], w[i], 2e-6);
        CHECK(is_unused(&b, i) || b.g[i] == 0);
    }
    mem_free(w);
    mem_free(m);
    mem_free(v);
    mem_free(g);
    mem_free(decays);
    bench_end(&b);
}

TEST(threads_change_nothing)
{
    struct bench a, b;
    struct lm_pool *pool;
    CHECK_OK(lm_pool_create(3, &pool));
    bench_make(&a, NULL);
    bench_make(&b, pool);
    struct lm_optim_step s = {.step = 1, .rate = 0.01, .decay = 0.1, .grad_scale = 1};
    CHECK(lm_optim_norm(&a.optim, a.g) == lm_optim_norm(&b.optim, b.g));
    lm_optim_apply(&a.optim, a.w, a.g, &s);
    lm_optim_apply(&b.optim, b.w, b.g, &s);
    CHECK_BYTES(a.w, b.w, a.floats * sizeof(float));
    bench_end(&a);
    bench_end(&b);
    lm_pool_destroy(pool);
}

TEST(curve_stays_bounded)
{
    struct lm_points *points = mem_zalloc(sizeof(*points));
    for (uint32_t i = 0; i < 10 * LM_POINTS_MAX; i++)
        lm_points_add(points, i, i < 5 * LM_POINTS_MAX ? 1 : 3);
    CHECK(points->count <= LM_POINTS_MAX);
    CHECK(points->count >= LM_POINTS_MAX / 2);
    double last = -1, sum = 0;
    for (uint32_t i = 0; i < points->count; i++) {
        CHECK(points->at[i].tokens > last);
        last = points->at[i].tokens;
        sum += points->at[i].loss;
    }
    CHECK_NEAR(sum / points->count, 2, 0.01);
    mem_free(points);
}

TEST(picture_is_drawn_of_any_run)
{
    struct lm_points *train = mem_zalloc(sizeof(*train)), *valid = mem_zalloc(sizeof(*valid));
    struct buf svg;
    for (int points = 0; points < 3; points++) {
        buf_init(&svg, MIB);
        CHECK_OK(lm_picture_draw(&svg, "toy <&> \"x\"", train, valid));
        CHECK_OK(buf_add(&svg, "", 1));
        CHECK(strstr(svg.at, "tokens seen") != NULL);
        CHECK(strstr(svg.at, "loss (nats a token), toy ___") != NULL);
        CHECK(strstr(svg.at, "nan") == NULL && strstr(svg.at, "inf") == NULL);
        CHECK(strstr(svg.at, "</svg>") != NULL);
        buf_finish(&svg);
        lm_points_add(train, 1000 * points, points == 1 ? NAN : 2); /* also one without a number */
        lm_points_add(valid, 1000 * points, 2);
    }
    mem_free(train);
    mem_free(valid);
}
