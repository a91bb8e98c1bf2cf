/* What the kernels reach beside what this machine can do: one JSON object a line.
 *
 *     bench_lm_kernel [ISA]
 *
 * Peaks are measured, too: sums of products in registers for arithmetic, one pass over a block for
 * memory. */
#include "lm/kernel/gemm_int.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS     5
#define LEAST_US 60000 /* one measurement takes at least so long */

/* Vectors of the widest kind that the chosen instruction set has. */
#define PEAK(name, target_, bytes, lanes)                                                          \
    typedef float v_##name __attribute__((vector_size(bytes)));                                    \
    __attribute__((target(target_), noinline)) static float peak_##name(uint64_t rounds)           \
    {                                                                                              \
        v_##name sum[12], x, y;                                                                    \
        for (int j = 0; j < (lanes); j++) {                                                        \
            x[j] = 0.999f;                                                                         \
            y[j] = 1e-6f;                                                                          \
        }                                                                                          \
        LM_UNROLL                                                                                  \
        for (int i = 0; i < 12; i++)                                                               \
            sum[i] = x * (float)(rounds + (uint64_t)i);                                            \
        for (uint64_t r = 0; r < rounds; r++) {                                                    \
            LM_UNROLL                                                                              \
            for (int i = 0; i < 12; i++)                                                           \
                sum[i] = FMA_##name(sum[i], x, y);                                                 \
        }                                                                                          \
        float all = 0;                                                                             \
        LM_UNROLL                                                                                  \
        for (int i = 0; i < 12; i++)                                                               \
            all += sum[i][0];                                                                      \
        return all;                                                                                \
    }
#if defined(__x86_64__)
#include <immintrin.h>
#define FMA_avx2(a, b, c)   _mm256_fmadd_ps(a, b, c)
#define FMA_avx512(a, b, c) _mm512_fmadd_ps(a, b, c)
PEAK(avx2, "avx2,fma", 32, 8)
PEAK(avx512, "avx512f", 64, 16)
#elif defined(__aarch64__)
#include <arm_neon.h>
#define FMA_neon(a, b, c) vfmaq_f32(c, a, b)
PEAK(neon, "+simd", 16, 4)
#endif
#define FMA_plain(a, b, c) ((a) * (b) + (c))
typedef float v_plain __attribute__((vector_size(16)));
__attribute__((noinline)) static float peak_plain(uint64_t rounds)
{
    v_plain sum[12], x = {0.999f, 0.999f, 0.999f, 0.999f}, y = {1e-6f, 1e-6f, 1e-6f, 1e-6f};
    LM_UNROLL
    for (int i = 0; i < 12; i++)
        sum[i] = x * (float)(rounds + (uint64_t)i);
    for (uint64_t r = 0; r < rounds; r++) {
        LM_UNROLL
        for (int i = 0; i < 12; i++)
            sum[i] = FMA_plain(sum[i], x, y);
    }
    float all = 0;
    LM_UNROLL
    for (int i = 0; i < 12; i++)
        all += sum[i][0];
    return all;
}

static volatile float sink;

struct work {
    float (*peak)(uint64_t rounds);
    uint64_t rounds;
    const float *block;
    size_t floats; /* of each thread's part */
};

static void peak_task(void *cookie, uint32_t index, uint32_t worker)
{
    const struct work *work = cookie;
    (void)index;
    (void)worker;
    sink = work->peak(work->rounds);
}

static void read_task(void *cookie, uint32_t index, uint32_t worker)
{
    const struct work *work = cookie;
    (void)worker;
    sink = lm_max_row(work->block + index * work->floats, (uint32_t)work->floats);
}

/* Seconds of the fastest run. */
static double fastest(struct lm_pool *pool, uint32_t count,
                      void (*task)(void *cookie, uint32_t index, uint32_t worker), void *cookie)
{
    double best = 1e30;
    for (int run = 0; run < RUNS; run++) {
        int64_t before = sys_mono_us(), now;
        uint32_t times = 0;
        do {
            lm_pool_run(pool, count, task, cookie);
            times++;
            now = sys_mono_us();
        } while (now - before < LEAST_US);
        best = fmin(best, (double)(now - before) * 1e-6 / times);
    }
    return best;
}

static double print_peak(struct lm_pool *pool, uint32_t threads)
{
    struct work work = {.peak = peak_plain, .rounds = 400000};
    double lanes = 4;
#if defined(__x86_64__)
    if (lm_isa() >= LM_ISA_AVX512) {
        work.peak = peak_avx512;
        lanes = 16;
    } else if (lm_isa() == LM_ISA_AVX2) {
        work.peak = peak_avx2;
        lanes = 8;
    }
#elif defined(__aarch64__)
    if (lm_isa() == LM_ISA_NEON)
        work.peak = peak_neon;
#endif
    double seconds = fastest(pool, threads, peak_task, &work);
    double gflops = 2 * 12 * lanes * (double)work.rounds * threads / seconds * 1e-9;
    printf("{\"what\": \"peak\", \"isa\": \"%s\", \"threads\": %u, \"gflops\": %.1f}\n",
           lm_isa_name(), threads, gflops);
    return gflops;
}

static void print_read(struct lm_pool *pool, uint32_t threads, const float *block, size_t mib)
{
    struct work work = {.block = block, .floats = mib * MIB / sizeof(float) / threads};
    double seconds = fastest(pool, threads, read_task, &work);
    printf("{\"what\": \"read\", \"mib\": %zu, \"threads\": %u, \"gb_per_s\": %.1f}\n", mib,
           threads, (double)(mib * MIB) / seconds * 1e-9);
}

struct shape {
    const char *what;
    uint32_t m, n, k;
    bool a_turned, b_turned, add;
};
static const struct shape shapes[] = {
    {"x W1^T", 2048, 2592, 432, false, true, false},
    {"y W2^T", 2048, 432, 1296, false, true, false},
    {"k, v", 2048, 108, 432, false, true, false},
    {"dy W1", 2048, 432, 2592, false, false, false},
    {"dy^T x", 2592, 432, 2048, true, false, true},
    {"logits 128", 128, 30000, 432, false, true, false},
    {"logits 512", 512, 30000, 432, false, true, false},
    {"dlogits E", 512, 432, 30000, false, false, false},
    {"dlogits^T x", 30000, 432, 512, true, false, true},
    {"square", 2048, 2048, 2048, false, false, false},
    {"prompt 128", 128, 2592, 432, false, true, false},
    {"scores", 256, 256, 54, false, true, false},
    {"mix", 256, 54, 256, false, false, false},
    {"dscores", 256, 54, 256, true, false, true},
};

static void gemm_once(struct lm_pool *pool, const struct lm_gemm *gemm)
{
    if (lm_gemm(pool, gemm) != ERR_OK) {
        (void)fprintf(stderr, "out of memory\n");
        exit(1);
    }
}

static void print_gemm(struct lm_pool *pool, const struct shape *s, enum lm_precision precision,
                       double peak, const float *a, const float *b, float *c)
{
    struct lm_gemm gemm = {
        .m = s->m,
        .n = s->n,
        .k = s->k,
        .a = a,
        .b = b,
        .c = c,
        .lda = s->a_turned ? s->m : s->k,
        .ldb = s->b_turned ? s->k : s->n,
        .ldc = s->n,
        .a_turned = s->a_turned,
        .b_turned = s->b_turned,
        .add = s->add,
        .precision = precision,
    };
    double best = 1e30;
    gemm_once(pool, &gemm);
    for (int run = 0; run < RUNS; run++) {
        int64_t before = sys_mono_us(), now;
        uint32_t times = 0;
        do {
            gemm_once(pool, &gemm);
            times++;
            now = sys_mono_us();
        } while (now - before < LEAST_US);
        best = fmin(best, (double)(now - before) * 1e-6 / times);
    }
    double gflops = 2.0 * s->m * s->n * s->k / best * 1e-9;
    printf("{\"what\": \"gemm\", \"shape\": \"%s\", \"m\": %u, \"n\": %u, \"k\": %u, "
           "\"precision\": \"%s\", \"threads\": %u, \"gflops\": %.1f, \"of_f32_peak\": %.2f}\n",
           s->what, s->m, s->n, s->k, precision == LM_PRECISION_BF16 ? "bf16" : "f32",
           lm_pool_threads(pool), gflops, gflops / peak);
}

static float *block_of(size_t floats)
{
    float *block = mem_alloc(floats * sizeof *block);
    if (block == NULL) {
        (void)fprintf(stderr, "out of memory\n");
        exit(1);
    }
    for (size_t i = 0; i < floats; i++)
        block[i] = (float)((i * 2654435761u) >> 8 & 0xffff) / 65536.0f - 0.5f;
    return block;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !lm_isa_limit(str_from(argv[1]))) {
        (void)fprintf(stderr, "this CPU or build has no %s\n", argv[1]);
        return 2;
    }
    size_t floats = (size_t)30000 * 2592;
    float *a = block_of(floats), *b = block_of(floats), *c = block_of(floats);
    for (uint32_t threads = 1; threads <= 2; threads++) {
        struct lm_pool *pool = NULL;
        if (lm_pool_create(threads, &pool) != ERR_OK)
            return 1;
        double peak = print_peak(pool, threads);
        static const size_t sizes[] = {1, 8, 16, 32, 64, 256};
        for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
            print_read(pool, threads, a, sizes[i]);
        for (size_t i = 0; i < ARRAY_COUNT(shapes); i++) {
            print_gemm(pool, &shapes[i], LM_PRECISION_F32, peak, a, b, c);
            print_gemm(pool, &shapes[i], LM_PRECISION_BF16, peak, a, b, c);
        }
        lm_pool_destroy(pool);
    }
    mem_free(a);
    mem_free(b);
    mem_free(c);
    return 0;
}
