#include "access/access_int.h"
#include "kit/kit.h"

#include <stdio.h>
#include <string.h>

TEST(a_burst_then_an_even_pace)
{
    struct access_rate *rate = NULL;
    int64_t retry_ms = 0;
    CHECK_OK(
        access_rate_create((struct access_rate_limit){.burst = 3, .per_minute = 60}, 16, &rate));
    for (int i = 0; i < 3; i++)
        CHECK(access_rate_take(rate, STR("a"), 1000, &retry_ms));
    CHECK(!access_rate_take(rate, STR("a"), 1000, &retry_ms));
    CHECK_EQ(retry_ms, 1000);
    CHECK(!access_rate_take(rate, STR("a"), 1999, &retry_ms));
    CHECK_EQ(retry_ms, 1);
    CHECK(access_rate_take(rate, STR("a"), 2000, &retry_ms));
    CHECK(!access_rate_take(rate, STR("a"), 2000, &retry_ms));
    /* a refusal costs nothing, and another key is another bucket */
    CHECK(access_rate_take(rate, STR("b"), 2000, &retry_ms));
    /* after a long silence it is a burst again, and no more than one */
    for (int i = 0; i < 3; i++)
        CHECK(access_rate_take(rate, STR("a"), 100000, &retry_ms));
    CHECK(!access_rate_take(rate, STR("a"), 100000, &retry_ms));
    access_rate_destroy(rate);
}

TEST(the_retry_it_names_is_enough)
{
    struct access_rate *rate = NULL;
    int64_t retry_ms = 0;
    CHECK_OK(
        access_rate_create((struct access_rate_limit){.burst = 2, .per_minute = 7}, 16, &rate));
    int64_t now_ms = 0;
    int taken = 0;
    for (int i = 0; i < 200; i++) {
        if (access_rate_take(rate, STR("a"), now_ms, &retry_ms)) {
            taken++;
            continue;
        }
        CHECK(retry_ms >= 1);
        int64_t due_ms = now_ms + retry_ms;
        CHECK(!access_rate_take(rate, STR("a"), due_ms - 1, &retry_ms));
        now_ms = due_ms;
        CHECK(access_rate_take(rate, STR("a"), now_ms, &retry_ms));
        taken++;
    }
    CHECK(taken <= 2 + (int)(now_ms * 7 / 60000) + 1);
    access_rate_destroy(rate);
}

TEST(the_table_is_bounded_and_the_oldest_gives_way)
{
    struct access_rate *rate = NULL;
    int64_t retry_ms = 0;
    char key[32];
    CHECK_OK(
        access_rate_create((struct access_rate_limit){.burst = 1, .per_minute = 1}, 64, &rate));
    CHECK(access_rate_take(rate, STR("first"), 0, &retry_ms));
    CHECK(!access_rate_take(rate, STR("first"), 0, &retry_ms));
    for (int i = 0; i < 10000; i++) {
        (void)snprintf(key, sizeof(key), "k%d", i);
        CHECK(access_rate_take(rate, str_from(key), 0, &retry_ms));
        CHECK(access_rate_keys(rate) <= 64);
        if (i == 30) /* asked about again: stays */
            CHECK(!access_rate_take(rate, STR("first"), 0, &retry_ms));
        if (i == 90)
            CHECK(!access_rate_take(rate, STR("first"), 0, &retry_ms));
    }
    CHECK_EQ(access_rate_keys(rate), 64);
    CHECK(access_rate_take(rate, STR("first"), 0, &retry_ms)); /* long forgotten */
    (void)snprintf(key, sizeof(key), "k%d", 9999);
    CHECK(!access_rate_take(rate, str_from(key), 0, &retry_ms));
    access_rate_destroy(rate);
}

TEST(extreme_limits_do_not_overflow)
{
    struct access_rate *rate = NULL;
    int64_t retry_ms = 0;
    CHECK_OK(access_rate_create(
        (struct access_rate_limit){.burst = UINT32_MAX, .per_minute = UINT32_MAX}, 1, &rate));
    for (int i = 0; i < 1000; i++)
        CHECK(access_rate_take(rate, STR("a"), INT64_C(4000000000000), &retry_ms));
    access_rate_destroy(rate);
    CHECK_OK(access_rate_create((struct access_rate_limit){.burst = UINT32_MAX, .per_minute = 1}, 1,
                                &rate));
    for (int i = 0; i < 1000; i++)
        CHECK(access_rate_take(rate, STR("a"), 0, &retry_ms));
    access_rate_destroy(rate);
    CHECK_ERR(access_rate_create((struct access_rate_limit){.burst = 0, .per_minute = 1}, 1, &rate),
              ERR_INPUT);
    CHECK_ERR(access_rate_create((struct access_rate_limit){.burst = 1, .per_minute = 1}, 0, &rate),
              ERR_INPUT);
}

TEST(addresses)
{
    static const char *const table[][2] = {
        {"192.0.2.7", "192.0.2.7"},
        {"::ffff:192.0.2.7", "192.0.2.7"},
        {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
        {"2001:db8:1:2::9", "2001:db8:1:2::/64"},
        {"fe80::1%eth0", "fe80::/64"},
        {"::1", "::/64"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff::/64"},
        {"", "-"},
        {"cafe", "-"},
        {"1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20.21.22.23.24.25.26.27.28", "-"},
    };
    char key[ACCESS_ADDRESS_BYTES];
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        access_address_key(str_from(table[i][0]), key);
        CHECK_STR(key, table[i][1]);
    }
}

TEST(back_off_doubles_to_a_quarter_of_an_hour)
{
    struct lru lru;
    struct str key = STR("198.51.100.1|alice");
    int64_t now_ms = 1000000;
    int64_t retry_ms = 0;
    CHECK_OK(access_lru_init(&lru, 16));
    for (int i = 0; i < 3; i++)
        CHECK(access_backoff_try(&lru, key, now_ms, &retry_ms));
    static const int64_t waits_s[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900};
    for (size_t i = 0; i < ARRAY_COUNT(waits_s); i++) {
        CHECK(!access_backoff_try(&lru, key, now_ms, &retry_ms));
        CHECK_EQ(retry_ms, waits_s[i] * 1000);
        CHECK(!access_backoff_try(&lru, key, now_ms + retry_ms - 1, &retry_ms));
        CHECK_EQ(retry_ms, 1);
        now_ms += waits_s[i] * 1000;
        CHECK(access_backoff_try(&lru, STR("203.0.113.5|alice"), now_ms, &retry_ms) || i >= 3);
        CHECK(access_backoff_try(&lru, key, now_ms, &retry_ms));
    }
    /* an hour of peace after the last wait forgets */
    now_ms += 900 * 1000 + 3600 * 1000 + 1;
    for (int i = 0; i < 3; i++)
        CHECK(access_backoff_try(&lru, key, now_ms, &retry_ms));
    CHECK(!access_backoff_try(&lru, key, now_ms, &retry_ms));
    access_backoff_forget(&lru, key);
    CHECK(access_backoff_try(&lru, key, now_ms, &retry_ms));
    access_lru_finish(&lru);
}

TEST(what_could_not_be_told_does_not_count)
{
    struct lru lru;
    int64_t retry_ms = 0;
    CHECK_OK(access_lru_init(&lru, 16));
    for (int i = 0; i < 100; i++) {
        CHECK(access_backoff_try(&lru, STR("k"), 5000, &retry_ms));
        access_backoff_undo(&lru, STR("k"));
    }
    access_lru_finish(&lru);
}

TEST(map_survives_failed_allocations)
{
    for (uint32_t nth = 1;; nth++) {
        struct access_rate *rate = NULL;
        mem_fail_at(nth);
        enum err err = access_rate_create((struct access_rate_limit){1, 1}, 8, &rate);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        if (!fired) {
            CHECK_OK(err);
            access_rate_destroy(rate);
            break;
        }
        CHECK_ERR(err, ERR_NOMEM);
    }
}
