/* The pool: every index once, whatever the number of threads, run after run. */
#include "kit/kit.h"
#include "lm/kernel/pool_int.h"

#include <stdatomic.h>
#include <string.h>

#define COUNT 257

struct tally {
    _Atomic uint32_t times[COUNT];
    _Atomic uint32_t strangers; /* workers out of range */
    uint32_t threads;
    uint32_t plain[COUNT]; /* not atomic: written by one task, read after the run */
    uint32_t round;
};

static void count_task(void *cookie, uint32_t index, uint32_t worker)
{
    struct tally *tally = cookie;
    atomic_fetch_add_explicit(&tally->times[index], 1, memory_order_relaxed);
    if (worker >= tally->threads)
        atomic_fetch_add_explicit(&tally->strangers, 1, memory_order_relaxed);
    tally->plain[index] = tally->round + index;
}

TEST(every_index_runs_once)
{
    static struct tally tally;
    for (uint32_t threads = 1; threads <= 5; threads++) {
        struct lm_pool *pool = NULL;
        CHECK_OK(lm_pool_create(threads, &pool));
        CHECK_EQ(lm_pool_threads(pool), threads);
        memset(&tally, 0, sizeof tally);
        tally.threads = threads;
        bool right = true;
        for (uint32_t round = 0; round < 2000; round++) {
            uint32_t count = round % COUNT;
            tally.round = round * 3;
            lm_pool_run(pool, count, count_task, &tally);
            for (uint32_t i = 0; i < count; i++)
                right = right && tally.plain[i] == round * 3 + i;
        }
        for (uint32_t i = 0; i < COUNT; i++) {
            uint32_t expected = 0;
            for (uint32_t round = 0; round < 2000; round++)
                expected += round % COUNT > i;
            right = right && tally.times[i] == expected;
        }
        lm_pool_destroy(pool);
        CHECK(right);
        CHECK_EQ(tally.strangers, 0);
    }
}

TEST(no_pool_runs_here)
{
    static struct tally tally;
    tally.threads = 1;
    lm_pool_run(NULL, 10, count_task, &tally);
    CHECK_EQ(tally.times[9], 1);
    CHECK_EQ(tally.times[10], 0);
    CHECK_EQ(tally.strangers, 0);
    CHECK_EQ(lm_pool_threads(NULL), 1);
    lm_pool_destroy(NULL);
}

/* Tasks of very different length, fewer and more than there are threads. */
static void uneven_task(void *cookie, uint32_t index, uint32_t worker)
{
    (void)worker;
    _Atomic uint64_t *sum = cookie;
    uint64_t x = index + 1;
    for (uint32_t i = 0; i < (index % 7) * 2000; i++)
        x = x * 6364136223846793005u + 1442695040888963407u;
    atomic_fetch_add(sum, (x | 1) != 0 ? index : 0);
}

TEST(uneven_tasks_are_all_waited_for)
{
    struct lm_pool *pool = NULL;
    CHECK_OK(lm_pool_create(3, &pool));
    bool right = true;
    for (uint32_t round = 0; round < 300; round++) {
        _Atomic uint64_t sum = 0;
        uint32_t count = round % 23;
        lm_pool_run(pool, count, uneven_task, (void *)&sum);
        right = right && sum == (uint64_t)count * (count - (count > 0)) / 2;
    }
    lm_pool_destroy(pool);
    CHECK(right);
}

/* More threads than cores, so helpers sleep between the runs and are woken in the middle. */
TEST(sleepers_are_woken_and_left_alone)
{
    static struct tally tally;
    memset(&tally, 0, sizeof tally);
    tally.threads = LM_POOL_THREADS_MAX;
    struct lm_pool *pool = NULL;
    CHECK_OK(lm_pool_create(1000, &pool)); /* cut to the most there can be */
    uint32_t threads = lm_pool_threads(pool);
    for (uint32_t round = 0; round < 100; round++)
        lm_pool_run(pool, 2 + round % 3, count_task, &tally);
    lm_pool_destroy(pool);
    CHECK_EQ(threads, LM_POOL_THREADS_MAX);
    CHECK_EQ(tally.times[0], 100);
    CHECK_EQ(tally.times[1], 100);
    CHECK_EQ(tally.times[4], 0);
    CHECK_EQ(tally.strangers, 0);
}

TEST(a_pool_that_never_runs_ends)
{
    for (uint32_t i = 0; i < 50; i++) {
        struct lm_pool *pool = NULL;
        CHECK_OK(lm_pool_create(i % 4, &pool));
        CHECK(lm_pool_threads(pool) >= 1);
        lm_pool_destroy(pool);
    }
}

TEST(scratch_grows_and_is_aligned)
{
    struct lm_pool *pool = NULL;
    CHECK_OK(lm_pool_create(1, &pool));
    unsigned char *small = lm_pool_scratch(pool, 100);
    bool aligned = small != NULL && ((uintptr_t)small & 63) == 0;
    bool same = lm_pool_scratch(pool, 50) == small;
    mem_fail_at(1);
    bool refused = lm_pool_scratch(pool, 5000) == NULL;
    mem_fail_at(0);
    bool kept = lm_pool_scratch(pool, 100) == small;
    unsigned char *large = lm_pool_scratch(pool, 5000);
    bool grown = large != NULL && ((uintptr_t)large & 63) == 0;
    if (large != NULL)
        memset(large, 1, 5000);
    lm_pool_destroy(pool);
    CHECK(aligned);
    CHECK(same);
    CHECK(refused);
    CHECK(kept);
    CHECK(grown);
}

TEST(no_memory_makes_no_pool)
{
    struct lm_pool *pool = NULL;
    mem_fail_at(1);
    enum err err = lm_pool_create(3, &pool);
    mem_fail_at(0);
    CHECK_ERR(err, ERR_NOMEM);
    CHECK(pool == NULL);
}
