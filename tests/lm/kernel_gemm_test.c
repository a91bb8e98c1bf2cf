/* Products of matrices: every instruction set of this CPU against sums in double, and against
 * itself with other numbers of threads. */
#include "kit/kit.h"
#include "lm/kernel/gemm_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const isas[] = {"plain", "neon", "avx2", "avx512", "avx512-vnni", "avx512-bf16"};

struct shape {
    uint32_t m, n, k, slack; /* slack: floats after each row that belong to nobody */
};

struct product {
    struct lm_gemm gemm;
    float *a, *b, *c, *c_old;
    size_t a_count, b_count, c_count;
};

#define SENTINEL 12345.0f

static float *filled(size_t count, struct rng *rng)
{
    float *block = mem_alloc(count * sizeof *block + 4);
    CHECK(block != NULL);
    for (size_t i = 0; i < count; i++)
        block[i] = (float)(rng_unit(rng) * 2 - 1);
    return block;
}

static void product_init(struct product *p, const struct shape *shape, bool a_turned, bool b_turned,
                         struct rng *rng)
{
    struct lm_gemm *g = &p->gemm;
    memset(p, 0, sizeof *p);
    g->m = shape->m;
    g->n = shape->n;
    g->k = shape->k;
    g->a_turned = a_turned;
    g->b_turned = b_turned;
    g->lda = (a_turned ? g->m : g->k) + shape->slack;
    g->ldb = (b_turned ? g->k : g->n) + shape->slack;
    g->ldc = g->n + shape->slack;
    p->a_count = (size_t)g->lda * (a_turned ? g->k : g->m);
    p->b_count = (size_t)g->ldb * (b_turned ? g->n : g->k);
    p->c_count = (size_t)g->ldc * g->m;
    p->a = filled(p->a_count, rng);
    p->b = filled(p->b_count, rng);
    p->c = filled(p->c_count, rng);
    for (uint32_t i = 0; i < g->m; i++) {
        for (uint32_t j = g->n; j < g->ldc; j++)
            p->c[(size_t)i * g->ldc + j] = SENTINEL;
    }
    p->c_old = filled(p->c_count, rng);
    memcpy(p->c_old, p->c, p->c_count * sizeof(float));
    g->a = p->a;
    g->b = p->b;
    g->c = p->c;
}

static void product_finish(struct product *p)
{
    mem_free(p->a);
    mem_free(p->b);
    mem_free(p->c);
    mem_free(p->c_old);
}

static float operand(const float *block, uint32_t ld, bool turned, uint32_t i, uint32_t k,
                     bool bf16)
{
    float x = turned ? block[(size_t)k * ld + i] : block[(size_t)i * ld + k];
    return bf16 ? lm_bf16_round(x) : x;
}

/* Sums in double, and of their terms' sizes, which say what single precision can do. */
struct sums {
    double *sum, *size;
};

static void sums_init(struct sums *sums, const struct product *p)
{
    const struct lm_gemm *g = &p->gemm;
    bool bf16 = g->precision == LM_PRECISION_BF16;
    sums->sum = mem_zalloc((size_t)g->m * g->n * sizeof *sums->sum);
    sums->size = mem_zalloc((size_t)g->m * g->n * sizeof *sums->size);
    CHECK(sums->sum != NULL && sums->size != NULL);
    for (uint32_t i = 0; i < g->m; i++) {
        for (uint32_t k = 0; k < g->k; k++) {
            double a = (double)operand(p->a, g->lda, g->a_turned, i, k, bf16);
            for (uint32_t j = 0; j < g->n; j++) {
                double term = a * (double)operand(p->b, g->ldb, !g->b_turned, j, k, bf16);
                sums->sum[(size_t)i * g->n + j] += term;
                sums->size[(size_t)i * g->n + j] += fabs(term);
            }
        }
    }
}

static void sums_finish(struct sums *sums)
{
    mem_free(sums->sum);
    mem_free(sums->size);
}

/* True when every element is right, and the slack was left alone. */
static bool product_right(const struct product *p, const struct sums *sums)
{
    const struct lm_gemm *g = &p->gemm;
    double scale = g->scale == 0 ? 1 : (double)g->scale;
    for (uint32_t i = 0; i < g->m; i++) {
        for (uint32_t j = 0; j < g->ldc; j++) {
            size_t at = (size_t)i * g->ldc + j, nth = (size_t)i * g->n + j;
            if (j >= g->n) {
                if (p->c[at] != SENTINEL)
                    return false;
                continue;
            }
            double expected = scale * sums->sum[nth] + (g->add ? (double)p->c_old[at] : 0);
            double error = fabs((double)p->c[at] - expected);
            if (!(error <= 1e-6 + 3e-7 * sqrt(g->k) * fabs(scale) * sums->size[nth])) {
                (void)fprintf(stderr, "%s: %ux%ux%u turned %d %d at %u,%u: %g, expected %g\n",
                              lm_isa_name(), g->m, g->n, g->k, g->a_turned, g->b_turned, i, j,
                              (double)p->c[at], expected);
                return false;
            }
        }
    }
    return true;
}

/* One product, by every instruction set that is here. */
static bool product_right_everywhere(struct product *p)
{
    struct sums sums;
    sums_init(&sums, p);
    bool right = true;
    for (size_t isa = 0; right && isa < ARRAY_COUNT(isas); isa++) {
        if (!lm_isa_limit(str_from(isas[isa])))
            continue;
        memcpy(p->c, p->c_old, p->c_count * sizeof(float));
        right = lm_gemm(NULL, &p->gemm) == ERR_OK && product_right(p, &sums);
    }
    sums_finish(&sums);
    return right;
}

static void check_shape(const struct shape *shape, enum lm_precision precision)
{
    for (uint32_t form = 0; form < 8; form++) {
        struct rng rng;
        rng_init(&rng, 7 + form);
        struct product p;
        product_init(&p, shape, (form & 1) != 0, (form & 2) != 0, &rng);
        p.gemm.add = (form & 4) != 0;
        p.gemm.scale = form % 3 == 0 ? 0 : 0.375f;
        p.gemm.precision = precision;
        bool right = product_right_everywhere(&p);
        product_finish(&p);
        CHECK(right);
    }
}

static const struct shape shapes[] = {
    {1, 1, 1, 0},    {1, 97, 54, 3},   {2, 54, 97, 0},    {54, 2, 431, 1},   {97, 1, 2, 5},
    {3, 5, 7, 0},    {13, 31, 17, 2},  {14, 32, 16, 0},   {15, 33, 16, 0},   {29, 65, 97, 7},
    {64, 54, 64, 0}, {64, 64, 54, 10}, {127, 131, 54, 0}, {31, 37, 1031, 1}, {211, 101, 53, 0},
};

TEST(every_instruction_set_sums_as_double_does)
{
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++) {
        check_shape(&shapes[i], LM_PRECISION_F32);
        check_shape(&shapes[i], LM_PRECISION_BF16);
    }
}

/* Every height and width of a tile's rest. */
TEST(every_rest_of_a_tile_is_right)
{
    for (uint32_t n = 1; n <= 33; n++) {
        struct shape shape = {n % 15 + 1, n, 9, n % 2};
        check_shape(&shape, LM_PRECISION_F32);
        check_shape(&shape, LM_PRECISION_BF16);
    }
}

/* Bits of C with 1, 2, 3 threads and without a pool. */
static bool same_bits(const struct shape *shape, bool a_turned, bool b_turned,
                      enum lm_precision precision)
{
    struct rng rng;
    rng_init(&rng, 11);
    struct product p;
    product_init(&p, shape, a_turned, b_turned, &rng);
    p.gemm.precision = precision;
    float *first = filled(p.c_count, &rng);
    bool same = lm_gemm(NULL, &p.gemm) == ERR_OK;
    memcpy(first, p.c, p.c_count * sizeof(float));
    for (uint32_t threads = 1; same && threads <= 3; threads++) {
        struct lm_pool *pool = NULL;
        same = lm_pool_create(threads, &pool) == ERR_OK;
        memcpy(p.c, p.c_old, p.c_count * sizeof(float));
        same = same && lm_gemm(pool, &p.gemm) == ERR_OK &&
               memcmp(first, p.c, p.c_count * sizeof(float)) == 0;
        lm_pool_destroy(pool);
    }
    mem_free(first);
    product_finish(&p);
    return same;
}

TEST(any_number_of_threads_gives_the_same_bits)
{
    static const struct shape large[] = {
        {300, 700, 97, 0}, {97, 1100, 216, 3}, {640, 54, 600, 0}, {256, 256, 54, 54}};
    for (size_t isa = 0; isa < ARRAY_COUNT(isas); isa++) {
        if (!lm_isa_limit(str_from(isas[isa])))
            continue;
        for (size_t i = 0; i < ARRAY_COUNT(large); i++) {
            CHECK(same_bits(&large[i], false, true, LM_PRECISION_F32));
            CHECK(same_bits(&large[i], true, false, LM_PRECISION_BF16));
        }
    }
}

TEST(nothing_to_sum_clears_or_keeps)
{
    struct rng rng;
    rng_init(&rng, 5);
    struct product p;
    product_init(&p, &(struct shape){3, 4, 2, 1}, false, false, &rng);
    p.gemm.k = 0;
    p.gemm.add = true;
    CHECK_OK(lm_gemm(NULL, &p.gemm));
    bool kept = memcmp(p.c, p.c_old, p.c_count * sizeof(float)) == 0;
    p.gemm.add = false;
    CHECK_OK(lm_gemm(NULL, &p.gemm));
    bool cleared = p.c[0] == 0 && p.c[3] == 0 && p.c[4] == SENTINEL && p.c[5] == 0;
    product_finish(&p);
    CHECK(kept);
    CHECK(cleared);
}

TEST(nothing_is_touched_when_memory_is_out)
{
    for (uint32_t threads = 0; threads <= 2; threads++) {
        struct lm_pool *pool = NULL;
        if (threads > 0)
            CHECK_OK(lm_pool_create(threads, &pool));
        struct rng rng;
        rng_init(&rng, 3);
        struct product p;
        product_init(&p, &(struct shape){40, 50, 60, 0}, false, true, &rng);
        mem_fail_at(1);
        enum err err = lm_gemm(pool, &p.gemm);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        bool kept = memcmp(p.c, p.c_old, p.c_count * sizeof(float)) == 0;
        enum err again = lm_gemm(pool, &p.gemm);
        struct sums sums;
        sums_init(&sums, &p);
        bool right = product_right(&p, &sums);
        sums_finish(&sums);
        product_finish(&p);
        lm_pool_destroy(pool);
        CHECK(fired);
        CHECK_ERR(err, ERR_NOMEM);
        CHECK(kept);
        CHECK_OK(again);
        CHECK(right);
    }
}

TEST(rounding_to_bf16_is_to_the_even_half)
{
    CHECK_EQ(lm_bf16_bits(1.0f), 0x3f80);
    CHECK_EQ(lm_bf16_bits(1.00390625f), 0x3f80); /* a half: to even */
    CHECK_EQ(lm_bf16_bits(1.01171875f), 0x3f82);
    CHECK_EQ(lm_bf16_bits(1.0040f), 0x3f81);
    CHECK_EQ(lm_bf16_bits(INFINITY), 0x7f80);
    CHECK_EQ(lm_bf16_bits(-INFINITY), 0xff80);
    CHECK_EQ(lm_bf16_bits(3.4e38f), 0x7f80); /* over the largest */
    CHECK(isnan(lm_bf16_round(NAN)));
}
