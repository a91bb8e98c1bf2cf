/* Matrix products.  Around every kind of tile (isa_int.h) stand the same loops:
 *
 *     for columns of B, at most NC:             so that the packed part stays in the shared cache
 *         for K, in even steps of at most KC:   C is updated once a step
 *             pack B (K, NC)                    tasks of some panels each
 *             for blocks of C (MC, NT):         one task each; packs its A (MC, K) if the worker
 *                                               did not do so for the block before
 *                 for panels of A, for panels of B: one tile
 *
 * One element of C is a sum over k in steps of KC, and in each in the order of k: neither the
 * number of threads nor the bounds of the blocks change a bit of it. */
#include "lm/kernel/gemm_int.h"
#include "lm/kernel/pool_int.h"

#include <string.h>

#define KC       512           /* of A and B in one tile: the panel of A stays in the first cache */
#define A_FLOATS (96 * 1024)   /* one worker's A: a third of the second cache */
#define B_FLOATS (2048 * 1024) /* the shared B */
#define NT       256           /* columns of a task: with K they fill half of the second cache */
#define TASKS    8             /* smaller blocks rather than fewer tasks than this ... */
#define BLOCK    4096          /* ... but none smaller than so many elements of C */

struct gemm_run {
    const struct lm_gemm *gemm;
    const struct lm_gemm_kind *kind;
    float scale;
    bool round;          /* to bf16 */
    uint32_t mc, nt;     /* multiples of the kind's */
    uint32_t rows, cols; /* blocks of C in this pass */
    uint32_t n0, n;      /* columns of this pass */
    uint32_t k0, k;
    bool add;
    uint32_t k_packed;
    size_t a_bytes; /* a worker's */
    unsigned char *b, *a;
    uint32_t *a_row; /* a worker's packed block of rows, UINT32_MAX: none */
};

static uint32_t up_to(uint32_t n, uint32_t step)
{
    return (n + step - 1) / step * step;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Even parts of at most `most`, each a multiple of `step`. */
static uint32_t even_part(uint32_t n, uint32_t most, uint32_t step)
{
    most = most < step ? step : most / step * step;
    uint32_t parts = (n + most - 1) / most;
    return up_to((n + parts - 1) / parts, step);
}

static void pack_b_task(void *cookie, uint32_t index, uint32_t worker)
{
    (void)worker;
    const struct gemm_run *run = cookie;
    const struct lm_gemm *g = run->gemm;
    uint32_t from = index * run->nt;
    uint32_t count = least(run->nt, run->n - from);
    size_t at = g->b_turned ? (size_t)(run->n0 + from) * g->ldb + run->k0
                            : (size_t)run->k0 * g->ldb + run->n0 + from;
    run->kind->pack(run->b + (size_t)from * run->k_packed * run->kind->element_bytes, g->b + at,
                    g->ldb, !g->b_turned, run->kind->nr, count, run->k, run->round);
}

static void pack_a(const struct gemm_run *run, uint32_t row, uint32_t count, unsigned char *dst)
{
    const struct lm_gemm *g = run->gemm;
    size_t at = g->a_turned ? (size_t)run->k0 * g->lda + row : (size_t)row * g->lda + run->k0;
    run->kind->pack(dst, g->a + at, g->lda, g->a_turned, run->kind->mr, count, run->k, run->round);
}

static void block_task(void *cookie, uint32_t index, uint32_t worker)
{
    const struct gemm_run *run = cookie;
    const struct lm_gemm *g = run->gemm;
    const struct lm_gemm_kind *kind = run->kind;
    uint32_t block = index / run->cols;
    uint32_t row = block * run->mc, rows = least(run->mc, g->m - row);
    uint32_t col = index % run->cols * run->nt, cols = least(run->nt, run->n - col);
    unsigned char *a = run->a + worker * run->a_bytes;
    if (run->a_row[worker] != block) {
        pack_a(run, row, rows, a);
        run->a_row[worker] = block;
    }
    size_t line = (size_t)run->k_packed * kind->element_bytes; /* bytes of a panel's one row */
    for (uint32_t i = 0; i < rows; i += kind->mr) {
        for (uint32_t j = 0; j < cols; j += kind->nr)
            kind->tile(a + i * line, run->b + (col + j) * line,
                       g->c + (size_t)(row + i) * g->ldc + run->n0 + col + j, g->ldc,
                       least(kind->mr, rows - i), least(kind->nr, cols - j), run->k_packed,
                       run->scale, run->add);
    }
}

static void pass(struct lm_pool *pool, struct gemm_run *run)
{
    uint32_t threads = lm_pool_threads(pool);
    run->k_packed = up_to(run->k, run->kind->k_step);
    run->cols = (run->n + run->nt - 1) / run->nt;
    for (uint32_t worker = 0; worker < threads; worker++)
        run->a_row[worker] = UINT32_MAX;
    lm_pool_run(pool, run->cols, pack_b_task, run);
    lm_pool_run(pool, run->rows * run->cols, block_task, run);
}

/* C without a product: K = 0. */
static void clear(const struct lm_gemm *g)
{
    for (uint32_t i = 0; !g->add && i < g->m; i++)
        memset(g->c + (size_t)i * g->ldc, 0, g->n * sizeof(float));
}

/* Bounds of the blocks; they depend on the shape and the kind alone. */
static void cut(struct gemm_run *run, uint32_t kc)
{
    const struct lm_gemm *g = run->gemm;
    const struct lm_gemm_kind *kind = run->kind;
    run->nt = even_part(g->n, NT, kind->nr);
    run->mc = even_part(g->m, A_FLOATS / kc, kind->mr);
    while ((size_t)((g->m + run->mc - 1) / run->mc) * ((g->n + run->nt - 1) / run->nt) < TASKS &&
           (size_t)run->mc * run->nt > BLOCK && run->mc > kind->mr)
        run->mc = up_to(run->mc / 2, kind->mr);
    run->rows = (g->m + run->mc - 1) / run->mc;
}

static unsigned char *aligned(void *block)
{
    return (unsigned char *)(((uintptr_t)block + 63) & ~(uintptr_t)63);
}

/* Room for the packed operands: B, one A a worker, and what each worker has packed.  What is to be
 * freed afterwards comes back in `ret_own` (NULL: it is the pool's). */
static enum err room(struct lm_pool *pool, struct gemm_run *run, uint32_t nc, uint32_t kc,
                     void **ret_own)
{
    size_t threads = lm_pool_threads(pool);
    size_t b_bytes = up_to(nc * kc * run->kind->element_bytes, 64);
    run->a_bytes = up_to(run->mc * kc * run->kind->element_bytes, 64) + 64;
    size_t bytes = b_bytes + threads * (run->a_bytes + sizeof run->a_row[0]);
    *ret_own = pool == NULL ? mem_alloc(bytes + 64) : NULL;
    void *block = pool == NULL ? *ret_own : lm_pool_scratch(pool, bytes);
    if (block == NULL)
        return ERR_NOMEM;
    run->b = aligned(block);
    run->a = run->b + b_bytes;
    run->a_row = (uint32_t *)(void *)(run->a + threads * run->a_bytes);
    return ERR_OK;
}

enum err lm_gemm(struct lm_pool *pool, const struct lm_gemm *gemm)
{
    ASSERT(gemm->lda >= (gemm->a_turned ? gemm->m : gemm->k));
    ASSERT(gemm->ldb >= (gemm->b_turned ? gemm->k : gemm->n));
    ASSERT(gemm->ldc >= gemm->n);
    if (gemm->m == 0 || gemm->n == 0 || gemm->k == 0) {
        clear(gemm);
        return ERR_OK;
    }
    struct gemm_run run = {
        .gemm = gemm,
        .kind = lm_kernels()->f32,
        .scale = gemm->scale == 0 ? 1.0f : gemm->scale,
        .round = gemm->precision == LM_PRECISION_BF16,
    };
#ifdef LM_BUILT_AVX512BF16
    if (run.round && lm_isa() == LM_ISA_AVX512BF16)
        run.kind = &lm_gemm_kind_avx512bf16;
#endif
    uint32_t kc = even_part(gemm->k, KC, run.kind->k_step);
    cut(&run, kc);
    uint32_t nc = even_part(up_to(gemm->n, run.nt), B_FLOATS / kc, run.nt);
    void *own = NULL;
    enum err err = room(pool, &run, nc, kc, &own);
    if (err != ERR_OK)
        return err;
    for (run.n0 = 0; run.n0 < gemm->n; run.n0 += nc) {
        run.n = least(nc, gemm->n - run.n0);
        for (run.k0 = 0; run.k0 < gemm->k; run.k0 += kc) {
            run.k = least(kc, gemm->k - run.k0);
            run.add = gemm->add || run.k0 > 0;
            pass(pool, &run);
        }
    }
    mem_free(own);
    return ERR_OK;
}
