/* What is too old goes, a little at a time, and never more than the policy says. */
#include "telemetry_kit.h"

/* A tick a second until nothing is left to do; how many jobs it took. */
static int tick_for(struct kit *kit, int64_t seconds)
{
    int jobs = 0;
    for (int64_t i = 0; i < seconds; i++) {
        kit->mono_ms += 1000;
        kit->now_ms += 1000;
        telemetry_tick(kit->telemetry, kit->mono_ms);
        for (uint32_t done; (done = store_step(kit->store, 0)) > 0;)
            jobs += (int)done;
    }
    return jobs;
}

static void set_policy(struct kit *kit, uint32_t raw, uint32_t minutes5, uint32_t hour,
                       uint32_t day)
{
    struct telemetry_policy policy = {raw, minutes5, hour, day};
    CHECK_OK(
        telemetry_policy_set(kit->telemetry, &policy, STR("account:eva"), "req-9", kit_done, kit));
    kit_run(kit);
    CHECK_OK(kit->err);
}

TEST(each_level_is_kept_as_long_as_it_says)
{
    struct kit kit;
    kit_open_loop(&kit, NULL);
    set_policy(&kit, 400, 400, 800, 3650);
    for (int day = 0; day < 200; day++)
        CHECK_OK(kit_send_at(&kit, "a", "temperature", day % 50, T0 - day * DAY - 1));
    kit_run(&kit);
    CHECK_EQ(kit_look(&kit, LOOK_READINGS), 200);
    set_policy(&kit, 5, 50, 100, 0);
    tick_for(&kit, 2);
    CHECK_EQ(kit_look(&kit, LOOK_READINGS), 5);
    CHECK_EQ(kit_look(&kit, LOOK_MINUTES5), 50);
    CHECK_EQ(kit_look(&kit, LOOK_HOURS), 100);
    CHECK_EQ(kit_look(&kit, LOOK_DAYS), 200);
    kit_close(&kit);
}

TEST(the_newest_reading_stays)
{
    struct kit kit = {.now_ms = T0, .mono_ms = 5000};
    const char *path = kit_path(kit_tempdir(), "a.db");
    struct store_options options = {.path = path};
    CHECK_OK(kit_try_open(&kit, &options, NULL, &telemetry_sink_null));
    CHECK_OK(kit_send_at(&kit, "quiet", "temperature", 19, T0 - 3 * DAY));
    CHECK_OK(kit_send_at(&kit, "quiet", "temperature", 20, T0 - 2 * DAY));
    CHECK_OK(kit_send_at(&kit, "loud", "temperature", 21, T0));
    kit_run(&kit);
    set_policy(&kit, 1, 90, 730, 3650);
    tick_for(&kit, 2);
    CHECK_EQ(kit_look(&kit, LOOK_READINGS), 2);
    kit_close(&kit);
    CHECK_OK(kit_try_open(&kit, &options, NULL, &telemetry_sink_null));
    CHECK(kit_latest(&kit, "quiet", "temperature").value == 20);
    CHECK_EQ(telemetry_policy_get(kit.telemetry).raw_days, 1); /* it is on disk */
    kit_close(&kit);
}

/* Many rows go in many small jobs, and a job never has more than its share. */
TEST(a_little_at_a_time)
{
    struct kit kit;
    kit_open_loop(&kit, NULL);
    enum { ROWS = 50000 };
    for (int i = 0; i < ROWS; i++) {
        CHECK_OK(kit_send_at(&kit, "a", "temperature", i % 50, T0 - 2 * DAY + i));
        if (i % 4000 == 0)
            kit_run(&kit);
    }
    CHECK_OK(kit_send_at(&kit, "a", "temperature", 1, T0));
    kit_run(&kit);
    set_policy(&kit, 1, 90, 730, 3650);
    kit.mono_ms += 1000;
    telemetry_tick(kit.telemetry, kit.mono_ms);
    int64_t before = kit_look(&kit, LOOK_READINGS);
    CHECK_EQ(store_step(kit.store, 1), 1);
    int64_t gone = before - kit_look(&kit, LOOK_READINGS);
    CHECK(gone > 1000 && gone <= 4000);
    kit_run(&kit); /* the other jobs of this tick */
    int64_t left = kit_look(&kit, LOOK_READINGS);
    CHECK(left > 10000); /* a tick is bounded too */
    tick_for(&kit, 1);
    CHECK_EQ(kit_look(&kit, LOOK_READINGS), 1);
    CHECK(tick_for(&kit, 500) <= 8); /* then it rests */
    kit_close(&kit);
}

TEST(for_ever_means_for_ever)
{
    struct kit kit;
    kit_open_loop(&kit, NULL);
    set_policy(&kit, 0, 0, 0, 0);
    for (int i = 0; i < 20; i++)
        CHECK_OK(kit_send_at(&kit, "a", "temperature", i, T0 - i * 400 * DAY));
    kit_run(&kit);
    tick_for(&kit, 3);
    CHECK_EQ(kit_look(&kit, LOOK_READINGS), 20);
    CHECK_EQ(kit_look(&kit, LOOK_DAYS), 20);
    kit_close(&kit);
}

/* A host that wakes up in the year 2097 does not clear away everything before somebody looks. */
TEST(a_clock_that_jumps_deletes_slowly)
{
    struct kit kit;
    kit_open_loop(&kit, NULL);
    for (int i = 0; i < 100; i++)
        CHECK_OK(kit_send_at(&kit, "a", "temperature", i % 50, T0 - i * HOUR));
    kit_run(&kit);
    tick_for(&kit, 1);
    kit.now_ms += 70 * 365 * DAY;
    tick_for(&kit, 3600);
    CHECK_EQ(kit_look(&kit, LOOK_READINGS), 100);
    CHECK_EQ(kit_look(&kit, LOOK_MINUTES5), 100);
    kit_close(&kit);
}

TEST(a_policy_that_makes_no_sense)
{
    static const struct telemetry_policy bad[] = {
        {14, 7, 730, 3650}, {14, 90, 30, 3650}, {14, 90, 730, 365},
        {0, 90, 730, 3650}, {14, 90, 0, 3650},  {14, 90, 730, 40000},
    };
    struct kit kit;
    kit_open(&kit);
    struct telemetry_policy policy = telemetry_policy_get(kit.telemetry);
    CHECK_EQ(policy.raw_days, 14);
    CHECK_EQ(policy.minutes5_days, 90);
    CHECK_EQ(policy.hour_days, 730);
    CHECK_EQ(policy.day_days, 3650);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        CHECK_ERR(telemetry_policy_set(kit.telemetry, &bad[i], STR("x"), NULL, kit_done, &kit),
                  ERR_INPUT);
    kit_run(&kit);
    CHECK_EQ(kit.dones, 0);
    CHECK_EQ(kit_look(&kit, LOOK_AUDIT), 0);
    set_policy(&kit, 7, 90, 0, 0);
    CHECK_EQ(kit_look(&kit, LOOK_AUDIT), 1);
    CHECK_EQ(telemetry_policy_get(kit.telemetry).raw_days, 7);
    kit_close(&kit);
}

/* A change in the middle of a pass is not forgotten for ten minutes. */
TEST(a_policy_that_changes_during_a_pass)
{
    struct kit kit;
    kit_open_loop(&kit, NULL);
    for (int i = 0; i < 200; i++) {
        char machine_id[16];
        snprintf(machine_id, sizeof(machine_id), "m%d", i);
        CHECK_OK(kit_send_at(&kit, machine_id, "temperature", 20, T0 - 3 * DAY));
        CHECK_OK(kit_send_at(&kit, machine_id, "temperature", 21, T0));
    }
    kit_run(&kit);
    telemetry_tick(kit.telemetry, kit.mono_ms += 1000);
    CHECK_EQ(store_step(kit.store, 1), 1); /* 64 series of 200 were looked at */
    struct telemetry_policy policy = {1, 90, 730, 3650};
    CHECK_OK(telemetry_policy_set(kit.telemetry, &policy, STR("x"), NULL, NULL, NULL));
    kit_run(&kit);
    tick_for(&kit, 3);
    CHECK_EQ(kit_look(&kit, LOOK_READINGS), 200);
    kit_close(&kit);
}
