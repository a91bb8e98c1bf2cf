/* Packed matrices times few vectors: the plain kernels against sums in double, every instruction
 * set of this CPU against the plain ones. */
#include "kit/kit.h"
#include "lm/file/file_int.h"
#include "lm/kernel/isa_int.h"
#include "lm/kernel/matvec_int.h"

#include <math.h>
#include <string.h>

#define T_MAX 11

static const struct shape {
    uint32_t n, k;
} shapes[] = {{1, 1}, {16, 64}, {17, 63}, {70, 97}, {128, 130}, {45, 432}, {32, 3}};
static const enum lm_dtype dtypes[] = {LM_F32, LM_BF16, LM_INT8, LM_INT4};

static const struct lm_matvec_set *set_of(enum lm_isa isa)
{
    static const char *const names[] = {
        [LM_ISA_PLAIN] = "plain",
        [LM_ISA_NEON] = "neon",
        [LM_ISA_AVX2] = "avx2",
        [LM_ISA_AVX512] = "avx512",
        [LM_ISA_AVX512VNNI] = "avx512-vnni",
        [LM_ISA_AVX512BF16] = "avx512-bf16",
    };
    struct str best = str_from(lm_isa_name());
    if (!lm_isa_limit(str_from(names[isa])))
        return NULL;
    const struct lm_matvec_set *set = lm_matvec_set();
    CHECK(lm_isa_limit(best));
    return set;
}

static void fill(struct rng *rng, float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] = (float)(rng_unit(rng) * 2 - 1) * (i % 5 == 0 ? 3 : 1);
}

/* One matrix, some rows, and both results. */
struct product {
    struct lm_packed *packed;
    float *w, *x, *y, *expected;
    void *memory;
    struct lm_rows rows;
    uint32_t n16;
};

static void product_open(struct product *p, struct shape shape, enum lm_dtype dtype, uint64_t seed)
{
    struct rng rng;
    rng_init(&rng, seed);
    p->n16 = (shape.n + 15) & ~15U;
    p->w = mem_alloc((size_t)shape.n * shape.k * sizeof(float));
    p->x = mem_alloc((size_t)T_MAX * shape.k * sizeof(float));
    p->y = mem_zalloc((size_t)T_MAX * p->n16 * sizeof(float));
    p->expected = mem_zalloc((size_t)T_MAX * p->n16 * sizeof(float));
    p->memory = mem_alloc(lm_rows_bytes(dtype, T_MAX, shape.k) + 64);
    fill(&rng, p->w, (size_t)shape.n * shape.k);
    fill(&rng, p->x, (size_t)T_MAX * shape.k);
    CHECK_OK(lm_pack_f32(p->w, shape.n, shape.k, dtype, &p->packed));
    lm_rows_lay(&p->rows, dtype, T_MAX, shape.k, p->x, shape.k,
                (unsigned char *)p->memory + (64 - ((uintptr_t)p->memory & 63)) % 64);
    lm_rows_fill(&p->rows, dtype, 0, T_MAX);
}

static void product_close(struct product *p)
{
    lm_packed_destroy(p->packed);
    mem_free(p->w);
    mem_free(p->x);
    mem_free(p->y);
    mem_free(p->expected);
    mem_free(p->memory);
}

/* What X means to the kernels: quantised where they quantise. */
static double x_at(const struct product *p, uint32_t row, uint32_t i)
{
    size_t group = (size_t)row * p->rows.groups + i / 64;
    if (p->rows.groups == 0)
        return (double)p->x[(size_t)row * p->packed->k + i];
    return (double)p->rows.q[group * 64 + i % 64] * (double)p->rows.scale[group];
}

static void check_plain(struct shape shape, enum lm_dtype dtype)
{
    struct product p;
    float *row = mem_alloc(shape.k * sizeof(float));
    product_open(&p, shape, dtype, shape.n * 31 + shape.k);
    p.packed->set = &lm_matvec_plain;
    lm_matvec_blocks(p.packed, &p.rows, 0, T_MAX, 0, p.packed->blocks, p.y, p.n16);
    for (uint32_t n = 0; n < shape.n; n++) {
        lm_packed_row(p.packed, n, row);
        for (uint32_t t = 0; t < T_MAX; t++) {
            double sum = 0;
            double size = 0;
            for (uint32_t i = 0; i < shape.k; i++) {
                sum += (double)row[i] * x_at(&p, t, i);
                size += fabs((double)row[i] * x_at(&p, t, i));
            }
            NOTE("%s %u x %u, row %u of X, column %u", lm_dtype_name(dtype), shape.n, shape.k, t,
                 n);
            CHECK_NEAR((double)p.y[(size_t)t * p.n16 + n], sum, 1e-6 * size + 1e-7);
        }
    }
    product_close(&p);
    mem_free(row);
}

TEST(matvec_plain_is_the_sum)
{
    for (size_t s = 0; s < ARRAY_COUNT(shapes); s++)
        for (size_t d = 0; d < ARRAY_COUNT(dtypes); d++)
            check_plain(shapes[s], dtypes[d]);
}

static void check_set(const struct lm_matvec_set *set, struct shape shape, enum lm_dtype dtype)
{
    struct product p;
    product_open(&p, shape, dtype, 7);
    for (uint32_t t = 1; t <= T_MAX - 1; t++) {
        p.packed->set = &lm_matvec_plain;
        lm_matvec_blocks(p.packed, &p.rows, 1, t, 0, p.packed->blocks, p.expected, p.n16);
        p.packed->set = set;
        lm_matvec_blocks(p.packed, &p.rows, 1, t, 0, p.packed->blocks, p.y, p.n16);
        for (uint32_t i = 0; i < t * p.n16; i++) {
            NOTE("%s %s %u x %u, %u rows, %u", set->name, lm_dtype_name(dtype), shape.n, shape.k, t,
                 i);
            CHECK_NEAR((double)p.y[i], (double)p.expected[i], 2e-6 * (double)shape.k + 1e-6);
        }
    }
    product_close(&p);
}

TEST(matvec_every_set_is_as_plain)
{
    for (enum lm_isa isa = LM_ISA_NEON; isa <= LM_ISA_AVX512BF16; isa++)
        for (size_t s = 0; s < ARRAY_COUNT(shapes) && set_of(isa) != NULL; s++)
            for (size_t d = 0; d < ARRAY_COUNT(dtypes); d++)
                check_set(set_of(isa), shapes[s], dtypes[d]);
}

/* The largest bytes that there are: sums of products must not saturate anywhere. */
static void check_extremes(const struct lm_matvec_set *set, bool nibbles)
{
    enum { K = 128, N = 16 };
    int8_t q8[N * K];
    uint8_t q4[N * K / 2];
    float scale[N * 2];
    float x[K];
    float y[N];
    unsigned char memory[512];
    struct lm_rows rows;
    struct lm_packed *packed;
    for (uint32_t i = 0; i < N * K; i++)
        q8[i] = i / K % 2 == 0 ? 127 : -127;
    for (uint32_t i = 0; i < N * K / 2; i++)
        q4[i] = i / (K / 2) % 2 == 0 ? 0xff : 0;
    for (uint32_t i = 0; i < N * 2; i++)
        scale[i] = 1;
    for (uint32_t i = 0; i < K; i++)
        x[i] = 127;
    if (nibbles)
        CHECK_OK(lm_pack_q4(q4, scale, N, K, &packed));
    else
        CHECK_OK(lm_pack_q8(q8, scale, N, K, LM_PACK_GROUP, &packed));
    lm_rows_lay(&rows, packed->dtype, 1, K, x, K, memory + (64 - ((uintptr_t)memory & 63)) % 64);
    CHECK(lm_rows_bytes(packed->dtype, 1, K) + 64 <= sizeof(memory));
    lm_rows_fill(&rows, packed->dtype, 0, 1);
    packed->set = set;
    lm_matvec_blocks(packed, &rows, 0, 1, 0, 1, y, N);
    for (uint32_t n = 0; n < N; n++) {
        double most = nibbles ? 7 : 127;
        double least = nibbles ? -8 : -127;
        NOTE("%s, row %u", set->name, n);
        CHECK_NEAR((double)y[n], (n % 2 == 0 ? most : least) * 127 * K, 0.5);
    }
    lm_packed_destroy(packed);
}

TEST(matvec_the_largest_bytes_do_not_saturate)
{
    check_extremes(&lm_matvec_plain, false);
    check_extremes(&lm_matvec_plain, true);
    for (enum lm_isa isa = LM_ISA_NEON; isa <= LM_ISA_AVX512BF16; isa++) {
        if (set_of(isa) == NULL)
            continue;
        check_extremes(set_of(isa), false);
        check_extremes(set_of(isa), true);
    }
}

static void check_quantise(const struct lm_matvec_set *set, const float *x, uint32_t k)
{
    int8_t q[2][256];
    float scale[2][4];
    int32_t sum[2][4];
    memset(q, 0x55, sizeof(q));
    lm_matvec_plain.quantise(x, k, q[0], scale[0], sum[0]);
    set->quantise(x, k, q[1], scale[1], sum[1]);
    CHECK_BYTES(q[0], q[1], sizeof(q[0]));
    for (uint32_t g = 0; g < (k + 63) / 64; g++) {
        CHECK_EQ(sum[0][g], sum[1][g]);
        CHECK(scale[0][g] == scale[1][g] || (isnan(scale[0][g]) && isnan(scale[1][g])));
        if (isfinite(scale[0][g]))
            for (uint32_t i = g * 64; i < k && i < g * 64 + 64; i++)
                CHECK_NEAR((double)q[0][i] * (double)scale[0][g], (double)x[i],
                           (double)scale[0][g] * 0.5001 + 1e-30);
    }
}

TEST(matvec_rows_become_bytes_alike)
{
    struct rng rng;
    float x[256];
    rng_init(&rng, 3);
    for (enum lm_isa isa = LM_ISA_PLAIN; isa <= LM_ISA_AVX512BF16; isa++) {
        const struct lm_matvec_set *set = set_of(isa);
        if (set == NULL)
            continue;
        for (uint32_t k = 1; k <= 256; k += 15) {
            fill(&rng, x, 256);
            check_quantise(set, x, k);
        }
        memset(x, 0, sizeof(x));
        check_quantise(set, x, 256);
        x[3] = 1e-38F;
        check_quantise(set, x, 256);
        x[70] = INFINITY;
        check_quantise(set, x, 256);
        x[130] = NAN;
        check_quantise(set, x, 256);
    }
}

/* A broken number is not hidden by quantising it. */
TEST(matvec_nan_stays_visible)
{
    struct product p;
    product_open(&p, (struct shape){20, 70}, LM_INT8, 1);
    p.x[69] = NAN;
    lm_rows_fill(&p.rows, LM_INT8, 0, 1);
    lm_matvec_blocks(p.packed, &p.rows, 0, 2, 0, 2, p.y, p.n16);
    CHECK(isnan(p.y[0]) && isnan(p.y[19]));
    CHECK(isfinite(p.y[p.n16]));
    product_close(&p);
}

static void check_attention(const struct lm_matvec_set *set, uint32_t heads, uint32_t d,
                            uint32_t count)
{
    struct rng rng;
    uint32_t d16 = (d + 15) & ~15U;
    uint32_t count16 = (count + 15) & ~15U;
    size_t q_floats = (size_t)heads * d;
    size_t score_floats = (size_t)heads * count16;
    float *q = mem_alloc(q_floats * sizeof(float));
    float *keys = mem_alloc((size_t)count16 * d * sizeof(float));
    float *values = mem_alloc((size_t)count * d16 * sizeof(float));
    float *scores = mem_zalloc(2 * score_floats * sizeof(float));
    float *out = mem_zalloc(2 * q_floats * sizeof(float));
    rng_init(&rng, 5);
    fill(&rng, q, q_floats);
    fill(&rng, keys, (size_t)count16 * d);
    fill(&rng, values, (size_t)count * d16);
    lm_matvec_plain.scores(scores, count16, q, heads, d, keys, count);
    set->scores(scores + score_floats, count16, q, heads, d, keys, count);
    for (size_t i = 0; i < score_floats; i++)
        CHECK_NEAR((double)scores[i], (double)scores[score_floats + i], 1e-4);
    lm_matvec_plain.values(out, scores, count16, heads, d, values, d16, count);
    set->values(out + q_floats, scores, count16, heads, d, values, d16, count);
    for (size_t i = 0; i < q_floats; i++)
        CHECK_NEAR((double)out[i], (double)out[q_floats + i], 1e-3);
    mem_free(q);
    mem_free(keys);
    mem_free(values);
    mem_free(scores);
    mem_free(out);
}

TEST(matvec_attention_of_every_set_is_as_plain)
{
    static const uint32_t dims[] = {2, 9, 16, 54, 74, 97};
    for (enum lm_isa isa = LM_ISA_NEON; isa <= LM_ISA_AVX512BF16; isa++)
        for (size_t i = 0; i < ARRAY_COUNT(dims) && set_of(isa) != NULL; i++)
            for (uint32_t heads = 1; heads <= 7; heads++)
                check_attention(set_of(isa), heads, dims[i], 37);
}

TEST(matvec_threads_do_not_change_the_result)
{
    for (size_t d = 0; d < ARRAY_COUNT(dtypes); d++) {
        struct product p;
        struct lm_pool *pool;
        uint32_t n = 517;
        uint32_t ld = 520;
        float *y = mem_alloc(2 * (size_t)T_MAX * ld * sizeof(float));
        product_open(&p, (struct shape){n, 130}, dtypes[d], 9);
        CHECK_OK(lm_pool_create(2, &pool));
        void *scratch = mem_alloc(lm_matvec_scratch(p.packed, T_MAX));
        for (uint32_t i = 0; i < 2 * T_MAX * ld; i++)
            y[i] = 77;
        lm_matvec(NULL, p.packed, p.x, 130, T_MAX, y, ld, scratch);
        lm_matvec(pool, p.packed, p.x, 130, T_MAX, y + (size_t)T_MAX * ld, ld, scratch);
        CHECK_BYTES(y, y + (size_t)T_MAX * ld, T_MAX * ld * sizeof(float));
        CHECK(y[n] == 77 && y[ld + n + 2] == 77); /* beyond the row nothing was touched */
        CHECK(y[n - 1] != 77);
        mem_free(scratch);
        mem_free(y);
        lm_pool_destroy(pool);
        product_close(&p);
    }
}

/* A row alone and the same row among others: the same bits, so that a cached prompt and a fresh one
 * give one text. */
TEST(matvec_a_row_does_not_depend_on_its_neighbours)
{
    for (size_t d = 0; d < ARRAY_COUNT(dtypes); d++) {
        struct product p;
        product_open(&p, (struct shape){130, 200}, dtypes[d], 11);
        lm_matvec_blocks(p.packed, &p.rows, 0, T_MAX, 0, p.packed->blocks, p.expected, p.n16);
        for (uint32_t t = 0; t < T_MAX; t++)
            lm_matvec_blocks(p.packed, &p.rows, t, 1, 0, p.packed->blocks, p.y + t * p.n16, p.n16);
        CHECK_BYTES(p.y, p.expected, (size_t)T_MAX * p.n16 * sizeof(float));
        product_close(&p);
    }
}

TEST(matvec_stored_numbers_are_packed_as_they_are)
{
    enum { N = 19, K = 100, GROUPS = 2 };
    float w[N * K];
    float row[K];
    int8_t q8[N * K];
    uint8_t q4[N * GROUPS * 32];
    float scale[N * GROUPS];
    struct rng rng;
    struct lm_packed *packed;
    rng_init(&rng, 2);
    fill(&rng, w, N * K);
    lm_quant8(w, N, K, q8, scale);
    CHECK_OK(lm_pack_q8(q8, scale, N, K, LM_PACK_GROUP, &packed));
    for (uint32_t n = 0; n < N; n++) {
        lm_packed_row(packed, n, row);
        for (uint32_t i = 0; i < K; i++)
            CHECK(row[i] == (float)q8[n * K + i] * scale[n * GROUPS + i / 64]);
    }
    lm_packed_destroy(packed);
    lm_quant4(w, N, K, q4, scale);
    CHECK_OK(lm_pack_q4(q4, scale, N, K, &packed));
    for (uint32_t n = 0; n < N; n++) {
        lm_packed_row(packed, n, row);
        for (uint32_t i = 0; i < K; i++) {
            int nibble = (q4[n * GROUPS * 32 + i / 2] >> (i % 2 * 4) & 15) - 8;
            CHECK(row[i] == (float)nibble * scale[n * GROUPS + i / 64]);
        }
    }
    lm_packed_destroy(packed);
    CHECK_OK(lm_pack_f32(w, N, K, LM_F32, &packed));
    for (uint32_t n = 0; n < N; n++) {
        lm_packed_row(packed, n, row);
        CHECK_BYTES(row, w + n * K, sizeof(row));
    }
    lm_packed_destroy(packed);
}

TEST(matvec_packing_survives_every_failed_allocation)
{
    float w[20 * 70] = {1};
    for (uint32_t nth = 1;; nth++) {
        struct lm_packed *packed;
        mem_fail_at(nth);
        enum err err = lm_pack_f32(w, 20, 70, LM_INT4, &packed);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        if (!fired) {
            CHECK_OK(err);
            lm_packed_destroy(packed);
            break;
        }
        CHECK_ERR(err, ERR_NOMEM);
    }
}
