/* The pool.  A run is open from lm_pool_run's start until the caller has found no index left and
 * every helper that came in has gone out.
 *
 *     helper: asleep <-> spinning -> inside (takes indices) -> spinning -> asleep
 *
 * `round` is odd while a run is open.  A helper counts itself in before it looks whether the round
 * is open; the caller closes the round before it looks at the count.  Both are sequentially
 * consistent, so either the caller sees the helper and waits, or the helper sees the closed round
 * and stays out.  A helper that sleeps is not waited for: a short run costs no wake-up's latency.
 */
#include "lm/kernel/pool_int.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define SPIN_MAX 3000 /* pauses, 50 to 200 us: longer than the gaps between a token's layers */

struct pool_helper {
    struct lm_pool *pool;
    pthread_t thread;
    uint32_t worker;
};

struct lm_pool {
    uint32_t threads;
    uint32_t spin;
    void *scratch;
    size_t scratch_bytes;
    /* Of the open run; written while no helper is inside. */
    void (*task)(void *cookie, uint32_t index, uint32_t worker);
    void *cookie;
    uint32_t count;
    /* What is written often stands in a cache line of its own. */
    char gap_0[64];
    _Atomic uint32_t round, sleepers;
    _Atomic bool caller_sleeps, stop;
    char gap_1[64];
    _Atomic uint32_t next;
    char gap_2[64];
    _Atomic uint32_t inside;
    char gap_3[64];
    pthread_mutex_t mutex;
    pthread_cond_t work, done;
    struct pool_helper helper[LM_POOL_THREADS_MAX];
};

static inline void spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

static void take_indices(struct lm_pool *pool, uint32_t worker)
{
    for (;;) {
        uint32_t index = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (index >= pool->count)
            return;
        pool->task(pool->cookie, index, worker);
    }
}

static bool has_work(struct lm_pool *pool, uint32_t seen)
{
    uint32_t round = atomic_load(&pool->round);
    return ((round & 1) != 0 && round != seen) || atomic_load(&pool->stop);
}

static void helper_wait(struct lm_pool *pool, uint32_t seen)
{
    for (uint32_t spin = 0; spin < pool->spin; spin++) {
        if (has_work(pool, seen))
            return;
        spin_pause();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    while (!has_work(pool, seen))
        pthread_cond_wait(&pool->work, &pool->mutex);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
}

static void *helper_main(void *cookie)
{
    struct pool_helper *self = cookie;
    struct lm_pool *pool = self->pool;
    uint32_t seen = 0;
    for (;;) {
        helper_wait(pool, seen);
        if (atomic_load(&pool->stop))
            return NULL;
        atomic_fetch_add(&pool->inside, 1);
        uint32_t round = atomic_load(&pool->round);
        if ((round & 1) != 0) {
            seen = round;
            take_indices(pool, self->worker);
        }
        if (atomic_fetch_sub(&pool->inside, 1) == 1 && atomic_load(&pool->caller_sleeps)) {
            pthread_mutex_lock(&pool->mutex);
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->mutex);
        }
    }
}

static void wait_outside(struct lm_pool *pool)
{
    for (uint32_t spin = 0; spin < pool->spin; spin++) {
        if (atomic_load(&pool->inside) == 0)
            return;
        spin_pause();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->caller_sleeps, true);
    while (atomic_load(&pool->inside) != 0)
        pthread_cond_wait(&pool->done, &pool->mutex);
    atomic_store(&pool->caller_sleeps, false);
    pthread_mutex_unlock(&pool->mutex);
}

void lm_pool_run(struct lm_pool *pool, uint32_t count,
                 void (*task)(void *cookie, uint32_t index, uint32_t worker), void *cookie)
{
    if (pool == NULL || pool->threads == 1 || count <= 1) {
        for (uint32_t index = 0; index < count; index++)
            task(cookie, index, 0);
        return;
    }
    ASSERT(count <= UINT32_MAX - LM_POOL_THREADS_MAX);
    ASSERT((atomic_load(&pool->round) & 1) == 0); /* not from inside a task */
    pool->task = task;
    pool->cookie = cookie;
    pool->count = count;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    atomic_fetch_add(&pool->round, 1);
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->work);
        pthread_mutex_unlock(&pool->mutex);
    }
    take_indices(pool, 0);
    atomic_fetch_add(&pool->round, 1);
    wait_outside(pool);
}

static uint32_t cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (uint32_t)CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
}

/* Signals are for the program's own threads. */
static bool helper_start(struct pool_helper *helper)
{
    sigset_t all, old;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &old) != 0)
        return false;
    bool started = pthread_create(&helper->thread, NULL, helper_main, helper) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return started;
}

enum err lm_pool_create(uint32_t threads, struct lm_pool **ret_pool)
{
    uint32_t here = cores();
    if (threads == 0)
        threads = here < 16 ? here : 16;
    if (threads > LM_POOL_THREADS_MAX)
        threads = LM_POOL_THREADS_MAX;
    struct lm_pool *pool = mem_zalloc(sizeof *pool);
    if (pool == NULL)
        return ERR_NOMEM;
    pool->threads = 1;
    pool->spin = threads <= here ? SPIN_MAX : 0; /* nobody to wait for but ourselves */
    if (pthread_mutex_init(&pool->mutex, NULL) != 0)
        goto undo_pool;
    if (pthread_cond_init(&pool->work, NULL) != 0)
        goto undo_mutex;
    if (pthread_cond_init(&pool->done, NULL) != 0)
        goto undo_work;
    for (; pool->threads < threads; pool->threads++) {
        struct pool_helper *helper = &pool->helper[pool->threads];
        helper->pool = pool;
        helper->worker = pool->threads;
        if (!helper_start(helper))
            goto undo_helpers;
    }
    *ret_pool = pool;
    return ERR_OK;

undo_helpers:
    lm_pool_destroy(pool);
    return ERR_NOMEM;
undo_work:
    pthread_cond_destroy(&pool->work);
undo_mutex:
    pthread_mutex_destroy(&pool->mutex);
undo_pool:
    mem_free(pool);
    return ERR_NOMEM;
}

void lm_pool_destroy(struct lm_pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->stop, true);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
    for (uint32_t i = 1; i < pool->threads; i++)
        pthread_join(pool->helper[i].thread, NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->mutex);
    mem_free(pool->scratch);
    mem_free(pool);
}

uint32_t lm_pool_threads(const struct lm_pool *pool)
{
    return pool == NULL ? 1 : pool->threads;
}

void *lm_pool_scratch(struct lm_pool *pool, size_t bytes)
{
    if (bytes > pool->scratch_bytes) {
        void *larger = mem_alloc(bytes + 64);
        if (larger == NULL)
            return NULL;
        mem_free(pool->scratch);
        pool->scratch = larger;
        pool->scratch_bytes = bytes;
    }
    return (void *)(((uintptr_t)pool->scratch + 63) & ~(uintptr_t)63);
}
