#include <pthread.h>
#include <string.h>

#include "kit/kit.h"

TEST(live_counts_blocks)
{
    int64_t before = mem_live();
    char *a = mem_alloc(10);
    char *b = mem_zalloc(1000);
    char *c = mem_strdup(STR("hello"));
    CHECK_EQ(mem_live(), before + 3);
    CHECK_STR(c, "hello");
    for (int i = 0; i < 1000; i++)
        CHECK_EQ(b[i], 0);
    a = mem_realloc(a, 5000);
    CHECK(a != NULL);
    CHECK_EQ(mem_live(), before + 3);
    char *d = mem_realloc(NULL, 8);
    CHECK_EQ(mem_live(), before + 4);
    mem_free(a);
    mem_free(b);
    mem_free(c);
    mem_free(d);
    mem_free(NULL);
    CHECK_EQ(mem_live(), before);
}

TEST(the_nth_allocation_fails_once)
{
    for (uint32_t nth = 1; nth <= 4; nth++) {
        mem_fail_at(nth);
        for (uint32_t i = 1; i <= 5; i++) {
            CHECK_EQ(mem_fail_fired(), i > nth);
            void *block = i % 2 == 0 ? mem_alloc(1) : mem_zalloc(1);
            CHECK_EQ(block == NULL, i == nth);
            mem_free(block);
        }
        CHECK(mem_fail_fired());
    }
    mem_fail_at(2);
    mem_fail_at(0);
    CHECK(!mem_fail_fired());
    for (int i = 0; i < 5; i++) {
        char *text = mem_strdup(STR("x"));
        CHECK(text != NULL);
        mem_free(text);
    }
}

TEST(a_failed_realloc_leaves_the_old_block)
{
    char *block = mem_strdup(STR("kept"));
    mem_fail_at(1);
    CHECK(mem_realloc(block, 1000) == NULL);
    CHECK_STR(block, "kept");
    mem_fail_at(1);
    CHECK(mem_strdup(STR("x")) == NULL);
    mem_free(block);
}

static void *allocate_elsewhere(void *cookie)
{
    void *block = mem_alloc(1);
    *(bool *)cookie = block != NULL;
    mem_free(block);
    return NULL;
}

TEST(failing_is_for_one_thread_only)
{
    pthread_t thread;
    bool worked = false;
    mem_fail_at(1);
    CHECK_EQ(pthread_create(&thread, NULL, allocate_elsewhere, &worked), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK(worked);
    CHECK(!mem_fail_fired());
    CHECK(mem_alloc(1) == NULL);
}

/* ---- arena ---- */

TEST(arena_gives_zeroed_aligned_pieces_that_do_not_overlap)
{
    struct arena arena;
    unsigned char *pieces[300];
    arena_init(&arena, MIB);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
            size_t bytes = i * 7 % 900;
            pieces[i] = arena_alloc(&arena, bytes);
            CHECK(pieces[i] != NULL);
            CHECK_EQ((uintptr_t)pieces[i] % 16, 0);
            for (size_t j = 0; j < bytes; j++)
                CHECK_EQ(pieces[i][j], 0);
            memset(pieces[i], (int)(i % 251 + 1), bytes);
        }
        for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
            for (size_t j = 0; j < i * 7 % 900; j++)
                CHECK_EQ(pieces[i][j], i % 251 + 1);
        }
        arena_reset(&arena);
        CHECK_EQ(arena.used, 0);
    }
    arena_finish(&arena);
    CHECK(arena.head == NULL);
    arena_finish(&arena); /* twice is fine, and it may be used again */
    CHECK(arena_alloc(&arena, 1) != NULL);
    arena_finish(&arena);
}

TEST(arena_keeps_to_its_bound)
{
    struct arena arena;
    arena_init(&arena, 1024);
    for (int i = 0; i < 64; i++)
        CHECK(arena_alloc(&arena, 16) != NULL);
    CHECK(arena_alloc(&arena, 1) == NULL);
    CHECK(arena_alloc(&arena, 0) == NULL); /* even nothing has an address of its own */
    arena_reset(&arena);
    CHECK(arena_alloc(&arena, 1025) == NULL);
    CHECK(arena_alloc(&arena, SIZE_MAX) == NULL);
    CHECK(arena_alloc(&arena, SIZE_MAX - 8) == NULL);
    CHECK(arena_alloc(&arena, 1024) != NULL);
    CHECK(arena_alloc(&arena, 1) == NULL);
    arena_finish(&arena);
    arena_init(&arena, 0);
    CHECK(arena_alloc(&arena, 1) == NULL);
    arena_finish(&arena);
    arena_init(&arena, SIZE_MAX);
    CHECK(arena_alloc(&arena, SIZE_MAX - 3) == NULL);
    arena_finish(&arena);
}

TEST(arena_survives_an_allocation_that_fails)
{
    struct arena arena;
    arena_init(&arena, MIB);
    mem_fail_at(1);
    CHECK(arena_alloc(&arena, 10) == NULL);
    CHECK_EQ(arena.used, 0);
    CHECK(arena_alloc(&arena, 10) != NULL);
    mem_fail_at(1);
    CHECK(arena_alloc(&arena, 100000) == NULL);
    CHECK(arena_strdup(&arena, STR("still")) != NULL);
    arena_finish(&arena);
}

TEST(arena_texts)
{
    struct arena arena;
    arena_init(&arena, 4096);
    CHECK_STR(arena_strdup(&arena, STR("hello")), "hello");
    CHECK_STR(arena_strdup(&arena, STR_NONE), "");
    CHECK_STR(arena_printf(&arena, "%d-%s", 7, "x"), "7-x");
    CHECK(arena_printf(&arena, "%5000d", 1) == NULL);
    arena_finish(&arena);
}

/* ---- buf ---- */

TEST(buf_grows_to_its_ceiling_and_no_further)
{
    struct buf buf;
    buf_init(&buf, 1000);
    for (int i = 0; i < 1000; i++)
        CHECK_OK(buf_add(&buf, "x", 1));
    CHECK_ERR(buf_add(&buf, "y", 1), ERR_FULL);
    CHECK_ERR(buf_add(&buf, "y", SIZE_MAX), ERR_FULL);
    CHECK_ERR(buf_printf(&buf, "y"), ERR_FULL);
    CHECK_EQ(buf.len, 1000);
    CHECK_OK(buf_add(&buf, NULL, 0));
    for (size_t i = 0; i < 1000; i++)
        CHECK_EQ(buf.at[i], 'x');
    buf_consume(&buf, 999);
    CHECK_OK(buf_add_str(&buf, STR("tail")));
    CHECK_SLICE(buf_str(&buf), "xtail");
    buf_consume(&buf, 5);
    CHECK_EQ(buf.len, 0);
    buf_finish(&buf);
    CHECK_EQ(buf.bytes_max, 1000);
    CHECK_OK(buf_add_str(&buf, STR("again")));
    buf_finish(&buf);
}

TEST(buf_printf_may_fill_the_last_byte)
{
    struct buf buf;
    buf_init(&buf, 6);
    CHECK_OK(buf_printf(&buf, "%s", "123456"));
    CHECK_SLICE(buf_str(&buf), "123456");
    CHECK_ERR(buf_printf(&buf, "%d", 7), ERR_FULL);
    CHECK_SLICE(buf_str(&buf), "123456");
    buf_finish(&buf);
}

TEST(buf_is_unchanged_when_memory_fails)
{
    struct buf buf;
    char kilobyte[1024] = {0};
    buf_init(&buf, MIB);
    mem_fail_at(1);
    CHECK_ERR(buf_add(&buf, "x", 1), ERR_NOMEM);
    CHECK_EQ(buf.len, 0);
    CHECK_OK(buf_add_str(&buf, STR("kept")));
    mem_fail_at(1);
    CHECK_ERR(buf_add(&buf, kilobyte, sizeof(kilobyte)), ERR_NOMEM);
    CHECK_SLICE(buf_str(&buf), "kept");
    mem_fail_at(1);
    CHECK_ERR(buf_printf(&buf, "%2000d", 1), ERR_NOMEM);
    CHECK_SLICE(buf_str(&buf), "kept");
    buf_finish(&buf);
}

TEST(buf_reserve_makes_room)
{
    struct buf buf;
    buf_init(&buf, 5000);
    CHECK_OK(buf_reserve(&buf, 4000));
    CHECK(buf.cap >= 4000);
    CHECK_EQ(buf.len, 0);
    memset(buf.at, 'a', 4000);
    buf.len = 4000;
    CHECK_ERR(buf_reserve(&buf, 1001), ERR_FULL);
    CHECK_OK(buf_reserve(&buf, 1000));
    CHECK_EQ(buf.at[3999], 'a');
    buf_finish(&buf);
}

TEST(buf_consume_moves_what_is_left)
{
    struct buf buf;
    buf_init(&buf, 100);
    CHECK_OK(buf_add_str(&buf, STR("hello world")));
    buf_consume(&buf, 0);
    buf_consume(&buf, 6);
    CHECK_SLICE(buf_str(&buf), "world");
    buf_finish(&buf);
    buf_consume(&buf, 0);
}
