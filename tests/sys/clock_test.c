#include "kit/kit.h"

#define YEAR_MS ((int64_t)31536000000)

TEST(server_time_follows_a_wall_clock_that_runs)
{
    struct sys_time time;
    sys_time_init(&time, 1000000, 50, 0);
    CHECK_EQ(sys_time_now(&time, 1000000, 50), 1000000);
    CHECK_EQ(sys_time_now(&time, 1000100, 150), 1000100);
    CHECK(!time.behind);
}

TEST(a_wall_clock_set_back_does_not_take_server_time_along)
{
    struct sys_time time;
    sys_time_init(&time, 1000000, 0, 0);
    CHECK_EQ(sys_time_now(&time, 1000000 - YEAR_MS, 100), 1000100);
    CHECK(time.behind);
    CHECK_EQ(sys_time_now(&time, 1000000 - YEAR_MS + 400, 500),
             1000500); /* goes on with the monotonic clock */
    CHECK_EQ(sys_time_now(&time, 1001600, 1500), 1001600);
    CHECK(!time.behind);
}

TEST(a_wall_clock_set_forward_takes_server_time_along)
{
    struct sys_time time;
    sys_time_init(&time, 1000000, 0, 0);
    CHECK_EQ(sys_time_now(&time, 1000000 + YEAR_MS, 10), 1000000 + YEAR_MS);
    CHECK(!time.behind);
    CHECK_EQ(sys_time_now(&time, 1000030, 30), 1000000 + YEAR_MS + 20);
    CHECK(time.behind);
}

TEST(server_time_starts_no_earlier_than_what_is_persisted)
{
    struct sys_time time;
    sys_time_init(&time, 1000000, 0, 5000000);
    CHECK(time.behind);
    CHECK_EQ(sys_time_now(&time, 1000010, 10), 5000010);
    sys_time_init(&time, 5000000, 0, 1000000);
    CHECK(!time.behind);
    CHECK_EQ(sys_time_now(&time, 5000000, 0), 5000000);
}

TEST(a_slow_wall_clock_is_behind_only_after_a_second)
{
    struct sys_time time;
    sys_time_init(&time, 1000000, 0, 0);
    CHECK_EQ(sys_time_now(&time, 1000000, 1000), 1001000);
    CHECK(!time.behind);
    CHECK_EQ(sys_time_now(&time, 1000000, 1001), 1001001);
    CHECK(time.behind);
}

TEST(server_time_never_goes_back_and_never_runs_slow_whatever_the_clocks_do)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct rng rng;
        struct sys_time time;
        rng_init(&rng, seed);
        NOTE("seed %llu", (unsigned long long)seed);
        int64_t wall_ms = 1700000000000;
        int64_t mono_ms = (int64_t)rng_below(&rng, 1000000);
        sys_time_init(&time, wall_ms, mono_ms, (int64_t)(rng_next(&rng) % 3400000000000u));
        int64_t last_ms = time.last_ms;
        int64_t first_ms = last_ms;
        int64_t first_mono_ms = mono_ms;
        int64_t best_wall_ms = wall_ms;
        for (int step = 0; step < 500; step++) {
            int64_t passed_ms = rng_below(&rng, 5) == 0 ? 0 : (int64_t)rng_below(&rng, 3000);
            mono_ms += passed_ms;
            wall_ms += passed_ms;
            if (rng_below(&rng, 10) == 0)
                wall_ms += (int64_t)rng_below(&rng, 2000000000) - 1000000000;
            if (wall_ms > best_wall_ms)
                best_wall_ms = wall_ms;
            int64_t now_ms = sys_time_now(&time, wall_ms, mono_ms);
            CHECK(now_ms >= last_ms + passed_ms);
            CHECK(now_ms >= wall_ms);
            CHECK(now_ms == wall_ms ||
                  now_ms == last_ms + passed_ms); /* it never runs ahead by itself */
            CHECK(now_ms - first_ms >= mono_ms - first_mono_ms);
            CHECK_EQ(time.behind, wall_ms < now_ms - 1000);
            last_ms = now_ms;
        }
    }
}

TEST(a_monotonic_clock_that_jumps_back_is_no_time_passed)
{
    struct sys_time time;
    sys_time_init(&time, 1000000, 500, 0);
    CHECK_EQ(sys_time_now(&time, 1000000, 400), 1000000);
    CHECK_EQ(sys_time_now(&time, 1000000, 500), 1000000);
    CHECK_EQ(sys_time_now(&time, 1000000, 600), 1000100);
}

TEST(raw_clocks)
{
    int64_t mono_ms = sys_mono_ms();
    int64_t mono_us = sys_mono_us();
    CHECK(mono_us / 1000 >= mono_ms);
    CHECK(sys_mono_ms() >= mono_ms);
    CHECK(sys_wall_ms() > 1700000000000); /* not 0, not seconds */
}

TEST(random_bytes_are_not_the_same_twice)
{
    struct id128 a;
    struct id128 b;
    uint8_t bytes[300] = {0};
    CHECK_OK(sys_random_id(&a));
    CHECK_OK(sys_random_id(&b));
    CHECK(!id128_equal(a, b));
    CHECK_OK(sys_random(bytes, sizeof(bytes)));
    CHECK_OK(sys_random(bytes, 0));
    int zeros = 0;
    for (size_t i = 0; i < sizeof(bytes); i++)
        zeros += bytes[i] == 0;
    CHECK(zeros < 30);
}
