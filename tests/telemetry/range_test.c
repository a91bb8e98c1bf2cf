/* Rollups are what the raw readings say; questions get the finest answer that fits. */
#include "telemetry_kit.h"

static void send_spread(struct kit *kit, struct rng *rng, int count, int64_t spread_ms)
{
    static const char *const types[] = {"temperature", "humidity", "custom"};
    static const char *const machines[] = {"a", "b"};
    for (int i = 0; i < count; i++) {
        double value = (double)rng_below(rng, 8000) / 100.0;
        int64_t at_ms = kit->now_ms - (int64_t)rng_below(rng, (uint32_t)spread_ms);
        if (rng_chance(rng, 0.2))
            at_ms -= at_ms % (5 * MINUTE); /* on the edge of a bucket */
        CHECK_OK(
            kit_send_at(kit, machines[rng_below(rng, 2)], types[rng_below(rng, 3)], value, at_ms));
    }
}

/* Out of order, on edges, twice in a millisecond, in batches of any size. */
TEST(rollups_are_what_the_readings_say)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct kit kit;
        struct rng rng;
        NOTE("seed %d", (int)seed);
        rng_init(&rng, seed);
        kit_open_loop(&kit, NULL);
        for (int round = 0; round < 20; round++) {
            send_spread(&kit, &rng, (int)rng_below(&rng, 60) + 1,
                        round % 2 == 0 ? 2 * MINUTE : 3 * DAY);
            kit_run(&kit);
            kit.now_ms += (int64_t)rng_below(&rng, (uint32_t)(10 * MINUTE));
        }
        CHECK_EQ(kit.failures, 0);
        CHECK_EQ(kit_look(&kit, LOOK_READINGS), kit.dones);
        CHECK_EQ(kit_look(&kit, LOOK_WRONG_MINUTES5), 0);
        CHECK_EQ(kit_look(&kit, LOOK_WRONG_HOURS), 0);
        CHECK_EQ(kit_look(&kit, LOOK_WRONG_DAYS), 0);
        CHECK(kit_look(&kit, LOOK_MINUTES5) > kit_look(&kit, LOOK_HOURS));
        kit_close(&kit);
    }
}

static void fill(struct kit *kit, int count, int64_t every_ms)
{
    for (int i = 0; i < count; i++) {
        CHECK_OK(kit_send_at(kit, "a", "temperature", i % 50, T0 - (count - 1 - i) * every_ms));
        if (i % 2000 == 1999)
            kit_run(kit);
    }
    kit_run(kit);
}

TEST(raw_points_in_order)
{
    struct kit kit;
    kit_open_loop(&kit, NULL);
    fill(&kit, 100, 1000);
    CHECK_OK(kit_range(&kit, "a", "temperature", T0 - 10000, T0, TELEMETRY_RAW, 0));
    CHECK_EQ(kit.points, 10); /* T0 itself is outside */
    CHECK_EQ(kit.point[0].at_ms, T0 - 10000);
    CHECK_EQ(kit.point[9].at_ms, T0 - 1000);
    CHECK(!kit.more);
    CHECK_EQ(kit.resolution, TELEMETRY_RAW);
    CHECK(kit.point[0].min == kit.point[0].max && kit.point[0].avg == kit.point[0].min);
    kit_close(&kit);
}

TEST(page_by_page)
{
    struct kit kit;
    kit_open_loop(&kit, NULL);
    fill(&kit, 100, 60000);
    for (int i = TELEMETRY_RAW; i <= TELEMETRY_HOUR; i++) {
        enum telemetry_resolution resolution = (enum telemetry_resolution)i;
        int64_t from_ms = 0;
        int64_t last_ms = -1;
        uint32_t readings = 0;
        do {
            CHECK_OK(kit_range(&kit, "a", "temperature", from_ms, T0 + 1, resolution, 7));
            CHECK(kit.points > 0 && kit.points <= 7);
            for (size_t p = 0; p < kit.points; p++) {
                CHECK(kit.point[p].at_ms > last_ms);
                last_ms = kit.point[p].at_ms;
                readings += kit.point[p].count;
            }
            from_ms = last_ms + 1;
        } while (kit.more);
        CHECK_EQ(readings, 100);
    }
    kit_close(&kit);
}

TEST(the_finest_that_fits)
{
    struct kit kit;
    kit_open_loop(&kit, NULL);
    fill(&kit, 2880, 60000); /* two days of minutes */
    static const struct {
        uint32_t points_max;
        enum telemetry_resolution resolution;
    } rows[] = {
        {5000, TELEMETRY_RAW}, {2880, TELEMETRY_RAW}, {2879, TELEMETRY_5MIN}, {578, TELEMETRY_5MIN},
        {500, TELEMETRY_HOUR}, {50, TELEMETRY_HOUR},  {20, TELEMETRY_DAY},    {1, TELEMETRY_DAY},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        NOTE("%u points", rows[i].points_max);
        CHECK_OK(kit_range(&kit, "a", "temperature", T0 - 3 * DAY, T0 + 1, TELEMETRY_AUTO,
                           rows[i].points_max));
        CHECK_EQ(kit.resolution, rows[i].resolution);
        CHECK(kit.points <= rows[i].points_max);
        CHECK_EQ(kit.more, rows[i].points_max == 1);
    }
    CHECK_OK(kit_range(&kit, "a", "temperature", 0, 1, TELEMETRY_AUTO, 0));
    CHECK_EQ(kit.points, 0); /* nothing there, and that is no error */
    kit_close(&kit);
}

TEST(buckets_begin_in_utc_and_gaps_stay_gaps)
{
    struct kit kit;
    kit_open(&kit);
    CHECK_OK(kit_send_at(&kit, "a", "temperature", 10, T0 - 2 * DAY));
    CHECK_OK(kit_send_at(&kit, "a", "temperature", 20, T0 - 1));
    CHECK_OK(kit_send_at(&kit, "a", "temperature", 30, T0));
    kit_run(&kit);
    int64_t midnight_ms = T0 - 8 * HOUR; /* T0 is 08:00 UTC */
    CHECK_OK(kit_range(&kit, "a", "temperature", 0, T0 + 1, TELEMETRY_DAY, 0));
    CHECK_EQ(kit.points, 2); /* the day between has none */
    CHECK_EQ(kit.point[0].at_ms, midnight_ms - 2 * DAY);
    CHECK_EQ(kit.point[1].at_ms, midnight_ms);
    CHECK_EQ(kit.point[1].count, 2);
    CHECK(kit.point[1].avg == 25 && kit.point[1].min == 20 && kit.point[1].max == 30);
    CHECK_OK(kit_range(&kit, "a", "temperature", 0, T0 + 1, TELEMETRY_HOUR, 0));
    CHECK_EQ(kit.points, 3);
    CHECK_EQ(kit.point[1].at_ms, T0 - HOUR);
    CHECK_EQ(kit.point[2].at_ms, T0);
    kit_close(&kit);
}

/* A range that begins before the raw readings that are kept is answered from what reaches there. */
TEST(a_range_reaches_back_as_far_as_something_is_kept)
{
    struct kit kit;
    kit_open_loop(&kit, NULL);
    struct telemetry_policy policy = {
        .raw_days = 1, .minutes5_days = 30, .hour_days = 365, .day_days = 3650};
    kit.now_ms = T0 - 10 * DAY;
    CHECK_OK(kit_send_at(&kit, "a", "temperature", 10, kit.now_ms));
    kit_run(&kit);
    kit.now_ms = T0;
    CHECK_OK(kit_send_at(&kit, "a", "temperature", 20, T0));
    CHECK_OK(telemetry_policy_set(kit.telemetry, &policy, STR("test"), NULL, NULL, NULL));
    kit_run(&kit);
    CHECK_OK(kit_range(&kit, "a", "temperature", T0 - 11 * DAY, T0 + 1, TELEMETRY_AUTO, 0));
    CHECK_EQ(kit.resolution, TELEMETRY_5MIN);
    CHECK_EQ(kit.points, 2);
    CHECK_OK(kit_range(&kit, "a", "temperature", T0 - HOUR, T0 + 1, TELEMETRY_AUTO, 0));
    CHECK_EQ(kit.resolution, TELEMETRY_RAW);
    CHECK_OK(kit_range(&kit, "a", "temperature", T0 - 5 * DAY, T0 + 1, TELEMETRY_AUTO, 0));
    CHECK_EQ(kit.resolution, TELEMETRY_RAW); /* nothing was there: raw says it all */
    kit_close(&kit);
}

TEST(questions_that_make_no_sense)
{
    struct kit kit;
    kit_open(&kit);
    struct telemetry_range range = {.machine_id = STR("a"), .type = STR("t"), .to_ms = 1};
    range.points_max = 5001;
    CHECK_ERR(telemetry_range_read(kit.telemetry, &range, kit_range_done, &kit), ERR_INPUT);
    range.points_max = 10;
    range.from_ms = 2;
    CHECK_ERR(telemetry_range_read(kit.telemetry, &range, kit_range_done, &kit), ERR_INPUT);
    range.from_ms = -1;
    CHECK_ERR(telemetry_range_read(kit.telemetry, &range, kit_range_done, &kit), ERR_INPUT);
    range.from_ms = 0;
    CHECK_OK(telemetry_range_read(kit.telemetry, &range, kit_range_done, &kit));
    CHECK_EQ(kit.ranges, 0);
    kit_run(&kit);
    CHECK_EQ(kit.ranges, 1);
    CHECK_ERR(kit.err, ERR_NOT_FOUND);
    kit_close(&kit);
}
