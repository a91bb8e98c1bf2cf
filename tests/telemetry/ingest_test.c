/* In: one job a turn, dones after the commit, nothing twice, nothing lost, refusals in sight. */
#include "telemetry_kit.h"

TEST(stored_before_it_is_said)
{
    struct kit kit;
    kit_open(&kit);
    CHECK_OK(kit_send(&kit, "window-1", "temperature", "21.5"));
    CHECK_EQ(kit.dones, 0);
    CHECK(isnan(kit_latest(&kit, "window-1", "temperature").value));
    kit_run(&kit);
    CHECK_EQ(kit.dones, 1);
    CHECK_OK(kit.err);
    CHECK_EQ(kit.messages, 1);
    CHECK_STR(kit.machine_id, "window-1");
    CHECK_STR(kit.request_id, "req-1");
    CHECK_STR(kit.seen[0].type, "temperature");
    struct telemetry_latest latest = kit_latest(&kit, "window-1", "temperature");
    CHECK(latest.value == 21.5);
    CHECK_EQ(latest.at_ms, T0);
    CHECK_EQ(latest.received_at_ms, T0);
    CHECK_EQ(kit_look(&kit, LOOK_READINGS), 1);
    CHECK_EQ(kit_look(&kit, LOOK_MINUTES5), 1);
    CHECK_EQ(kit_look(&kit, LOOK_DAYS), 1);
    kit_close(&kit);
}

TEST(a_turn_is_one_job)
{
    struct kit kit;
    struct store_stats before;
    struct store_stats after;
    kit_open_loop(&kit, NULL);
    store_stats_get(kit.store, &before);
    for (int i = 0; i < 100; i++)
        CHECK_OK(kit_send_at(&kit, i % 2 == 0 ? "a" : "b", "temperature", i % 80, T0 - i));
    CHECK_EQ(store_step(kit.store, 0), 0); /* the turn is not over */
    loop_turn(kit.loop);
    CHECK_EQ(store_step(kit.store, 0), 1);
    store_stats_get(kit.store, &after);
    CHECK_EQ(after.jobs - before.jobs, 1);
    CHECK_EQ(kit.dones, 100);
    CHECK_EQ(kit.failures, 0);
    CHECK_EQ(kit_look(&kit, LOOK_READINGS), 100);
    CHECK_EQ(kit_look(&kit, LOOK_SERIES), 2);
    kit_close(&kit);
}

/* Two batches are at the store; what comes meanwhile is the third, however many turns it takes. */
TEST(under_load_batches_grow)
{
    struct kit kit;
    kit_open_loop(&kit, NULL);
    for (int i = 0; i < 10; i++) {
        CHECK_OK(kit_send_at(&kit, "a", "temperature", i, T0));
        loop_turn(kit.loop);
    }
    CHECK_EQ(kit.telemetry->in_flight, 2);
    CHECK_EQ(store_step(kit.store, 0), 2);
    CHECK_EQ(kit.dones, 2);
    CHECK_EQ(store_step(kit.store, 0), 1);
    CHECK_EQ(kit.dones, 10);
    CHECK_EQ(kit_look(&kit, LOOK_READINGS), 10);
    kit_close(&kit);
}

TEST(every_reading_of_a_millisecond_is_kept)
{
    struct kit kit;
    kit_open_loop(&kit, NULL);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5; i++)
            CHECK_OK(kit_send_at(&kit, "a", "temperature", 10 * round + i, T0));
        kit_run(&kit);
    }
    CHECK_EQ(kit_look(&kit, LOOK_READINGS), 15);
    CHECK_OK(kit_range(&kit, "a", "temperature", T0, T0 + 1, TELEMETRY_RAW, 0));
    CHECK_EQ(kit.points, 1);
    CHECK_EQ(kit.point[0].count, 15);
    CHECK(kit.point[0].min == 0 && kit.point[0].max == 24 && kit.point[0].avg == 12);
    CHECK(kit_latest(&kit, "a", "temperature").value == 24); /* of equals the last that came */
    CHECK_EQ(kit_look(&kit, LOOK_WRONG_MINUTES5), 0);
    kit_close(&kit);
}

TEST(late_readings_are_stored_and_not_the_latest)
{
    struct kit kit;
    kit_open(&kit);
    CHECK_OK(kit_send_at(&kit, "a", "temperature", 20, T0));
    CHECK_OK(kit_send_at(&kit, "a", "temperature", 10, T0 - HOUR));
    kit_run(&kit);
    CHECK(kit_latest(&kit, "a", "temperature").value == 20);
    CHECK_EQ(kit_look(&kit, LOOK_READINGS), 2);
    kit_close(&kit);
}

/* Server time that stood wrong: what came then does not hide what comes now. */
TEST(a_reading_from_a_wrong_clock_does_not_stay_the_latest)
{
    struct kit kit;
    kit_open(&kit);
    kit.now_ms = T0 + 400 * DAY;
    CHECK_OK(kit_send(&kit, "a", "temperature", "20"));
    kit_run(&kit);
    kit.now_ms = T0;
    CHECK_OK(kit_send(&kit, "a", "temperature", "21"));
    kit_run(&kit);
    CHECK(kit_latest(&kit, "a", "temperature").value == 21);
    kit_close(&kit);
}

/* ---- the receipt ---- */

enum { RECEIPT_TABLE, RECEIPT_ADD, RECEIPT_COUNT };
static const char *const receipt_sql[RECEIPT_COUNT] = {
    [RECEIPT_TABLE] = "CREATE TABLE test_receipts (id INTEGER PRIMARY KEY)",
    [RECEIPT_ADD] = "INSERT INTO test_receipts (id) VALUES (?1)",
};
static struct store_statements receipt_statements = {"receipt", receipt_sql, RECEIPT_COUNT, 0};

static enum err table_run(struct store_job *job, struct store_db *db)
{
    (void)job;
    return store_exec(db, store_prepare(db, &receipt_statements, RECEIPT_TABLE), NULL);
}

static enum err receipt_write(struct store_db *db, const struct store_rider *rider)
{
    struct store_stmt *stmt = store_prepare(db, &receipt_statements, RECEIPT_ADD);
    if (rider->word[1] != 0)
        return ERR_NOMEM;
    store_bind_i64(stmt, 1, (int64_t)rider->word[0]);
    return store_exec(db, stmt, NULL);
}

static enum err send_with_receipt(struct kit *kit, uint64_t id, bool fails, const char *payload)
{
    struct telemetry_input input = {
        .machine_id = STR("a"),
        .type = STR("readings"),
        .payload = str_from(payload),
        .receipt = {.write = receipt_write, .word = {id, fails}},
    };
    return telemetry_ingest(kit->telemetry, &input, kit_done, kit, &kit->refusal, kit->why);
}

TEST(a_message_that_comes_again_is_stored_once)
{
    struct kit kit;
    struct telemetry_stats stats;
    kit_open_loop(&kit, NULL);
    struct store_job job = {.run = table_run};
    CHECK_OK(store_run_now(kit.store, &job));
    CHECK_OK(send_with_receipt(&kit, 1, false, "{\"temperature\":20,\"humidity\":40}"));
    kit_run(&kit);
    /* Again, beside a new one and one that is twice in the same batch. */
    CHECK_OK(send_with_receipt(&kit, 1, false, "{\"temperature\":20,\"humidity\":40}"));
    CHECK_OK(send_with_receipt(&kit, 2, false, "{\"temperature\":21}"));
    CHECK_OK(send_with_receipt(&kit, 2, false, "{\"temperature\":21}"));
    kit_run(&kit);
    CHECK_EQ(kit.dones, 4);
    CHECK_EQ(kit.failures, 0); /* acknowledged all the same */
    CHECK_EQ(kit.messages, 2); /* but nobody is told twice */
    CHECK_EQ(kit_look(&kit, LOOK_READINGS), 3);
    CHECK_EQ(kit_look(&kit, LOOK_RECEIPTS), 2);
    CHECK_EQ(kit_look(&kit, LOOK_WRONG_MINUTES5), 0);
    telemetry_stats_get(kit.telemetry, &stats);
    CHECK_EQ(stats.duplicates, 2);
    CHECK_EQ(stats.messages, 2);
    CHECK_EQ(stats.readings, 3);
    kit_close(&kit);
}

TEST(a_receipt_that_cannot_be_written_stores_nothing)
{
    struct kit kit;
    kit_open_loop(&kit, NULL);
    struct store_job job = {.run = table_run};
    CHECK_OK(store_run_now(kit.store, &job));
    CHECK_OK(send_with_receipt(&kit, 1, false, "{\"temperature\":20}"));
    CHECK_OK(send_with_receipt(&kit, 2, true, "{\"temperature\":21}"));
    kit_run(&kit);
    CHECK_EQ(kit.dones, 2);
    CHECK_EQ(kit.failures, 2);
    CHECK_ERR(kit.err, ERR_IO);
    CHECK_EQ(kit.messages, 0);
    CHECK_EQ(kit_look(&kit, LOOK_READINGS), 0);
    CHECK_EQ(kit_look(&kit, LOOK_RECEIPTS), 0);
    CHECK_EQ(kit_look(&kit, LOOK_SERIES), 0);
    CHECK(isnan(kit_latest(&kit, "a", "temperature").value));
    /* The series is written by the next one that goes well. */
    CHECK_OK(send_with_receipt(&kit, 3, false, "{\"temperature\":22}"));
    kit_run(&kit);
    CHECK_EQ(kit_look(&kit, LOOK_SERIES), 1);
    CHECK_EQ(kit_look(&kit, LOOK_READINGS), 1);
    CHECK_EQ(kit.telemetry->pending, 0);
    kit_close(&kit);
}

/* ---- bounds ---- */

TEST(too_much_waits)
{
    struct kit kit;
    kit_open_loop(&kit, &(struct telemetry_options){.pending_max = 10});
    for (int i = 0; i < 10; i++)
        CHECK_OK(kit_send_at(&kit, "a", "temperature", i, T0));
    CHECK_ERR(kit_send_at(&kit, "a", "temperature", 10, T0), ERR_FULL);
    kit_run(&kit);
    CHECK_EQ(kit.dones, 10);
    CHECK_OK(kit_send_at(&kit, "a", "temperature", 10, T0));
    kit_run(&kit);
    CHECK_EQ(kit_look(&kit, LOOK_READINGS), 11);
    kit_close(&kit);
}

TEST(more_than_a_batch_holds)
{
    struct kit kit;
    kit_open_loop(&kit, NULL);
    for (int i = 0; i < 3 * BATCH_ROWS_MAX + 7; i++)
        CHECK_OK(kit_send_at(&kit, "a", "temperature", i % 80, T0 - i));
    kit_run(&kit);
    CHECK_EQ(kit.dones, 3 * BATCH_ROWS_MAX + 7);
    CHECK_EQ(kit.failures, 0);
    CHECK_EQ(kit_look(&kit, LOOK_READINGS), 3 * BATCH_ROWS_MAX + 7);
    CHECK_EQ(kit_look(&kit, LOOK_WRONG_MINUTES5), 0);
    kit_close(&kit);
}

TEST(a_machine_has_room_for_so_many_types)
{
    struct kit kit;
    kit_open_bounded(&kit,
                     &(struct telemetry_options){.series_per_machine_max = 2, .series_max = 3});
    CHECK_OK(kit_send(&kit, "a", "t1", "1"));
    CHECK_OK(kit_send(&kit, "a", "t2", "1"));
    CHECK_ERR(kit_send(&kit, "a", "t3", "1"), ERR_INPUT);
    CHECK_EQ(kit.refusal, TELEMETRY_TOO_MANY);
    CHECK_OK(kit_send(&kit, "a", "t1", "2"));
    CHECK_OK(kit_send(&kit, "b", "t1", "1"));
    CHECK_ERR(kit_send(&kit, "c", "t1", "1"), ERR_INPUT);
    CHECK_EQ(kit.refusal, TELEMETRY_TOO_MANY);
    kit_run(&kit);
    CHECK_EQ(kit_look(&kit, LOOK_SERIES), 3);
    kit_close(&kit);
}

static void full_done(void *cookie, enum err err)
{
    *(enum err *)cookie = err;
}

/* The store takes no more jobs: the message is told so, later, and forgotten. */
TEST(the_store_is_full)
{
    struct kit kit = {.now_ms = T0, .mono_ms = 5000};
    CHECK_OK(loop_create(&kit.loop));
    CHECK_OK(
        kit_try_open(&kit, &(struct store_options){.queue_max = 1}, NULL, &telemetry_sink_null));
    struct telemetry_policy policy = telemetry_policy_get(kit.telemetry);
    CHECK_OK(telemetry_policy_set(kit.telemetry, &policy, STR("test"), NULL, NULL, NULL));
    enum err told = ERR_OK;
    struct telemetry_reading reading = {.type = "temperature", .value = 1, .at_ms = T0};
    CHECK_OK(
        telemetry_ingest_readings(kit.telemetry, STR("a"), &reading, 1, NULL, full_done, &told));
    CHECK_OK(told);
    telemetry_flush(kit.telemetry);
    CHECK_ERR(told, ERR_FULL);
    CHECK_EQ(kit.telemetry->pending, 0);
    kit_run(&kit);
    CHECK_EQ(kit_look(&kit, LOOK_READINGS), 0);
    kit_close(&kit);
}

/* ---- refusals ---- */

struct refused {
    int rows;
    uint64_t count;
    char code[32], machine_id[65];
};

static bool see_refused(void *cookie, const struct telemetry_refused *refused)
{
    struct refused *seen = cookie;
    seen->rows++;
    seen->count += refused->count;
    snprintf(seen->code, sizeof(seen->code), "%s", refused->code);
    snprintf(seen->machine_id, sizeof(seen->machine_id), "%s", refused->machine_id);
    CHECK(refused->why[0] != '\0');
    return true;
}

TEST(refusals_are_counted_and_seen)
{
    struct kit kit;
    struct refused seen = {0};
    struct telemetry_stats stats;
    kit_open(&kit);
    CHECK_ERR(kit_send(&kit, "a", "temperature", "warm"), ERR_INPUT);
    CHECK_EQ(kit.refusal, TELEMETRY_BAD_NUMBER);
    CHECK(kit.why[0] != '\0');
    CHECK_ERR(kit_send(&kit, "a", "temperature", "nan"), ERR_INPUT);
    CHECK_ERR(kit_send(&kit, "b", "temperature", "400"), ERR_INPUT);
    CHECK_ERR(kit_send_at(&kit, "b", "temperature", NAN, T0), ERR_INPUT);
    CHECK_ERR(kit_send_at(&kit, "b", "temperature", 20, T0 + 6 * MINUTE), ERR_INPUT);
    CHECK_ERR(kit_send_at(&kit, "b", "temperature", 20, T0 - 15 * DAY), ERR_INPUT);
    CHECK_ERR(kit_send(&kit, "../b", "temperature", "20"), ERR_INPUT);
    CHECK_OK(kit_send_at(&kit, "b", "temperature", 20, T0 + 5 * MINUTE));
    CHECK_OK(kit_send_at(&kit, "b", "temperature", 20, T0 - 14 * DAY));
    telemetry_refused_each(kit.telemetry, see_refused, &seen);
    CHECK_EQ(seen.rows, 6);
    CHECK_EQ(seen.count, 7);
    telemetry_stats_get(kit.telemetry, &stats);
    CHECK_EQ(stats.refused[TELEMETRY_BAD_NUMBER], 3);
    CHECK_EQ(stats.refused[TELEMETRY_OUT_OF_RANGE], 1);
    CHECK_EQ(stats.refused[TELEMETRY_FUTURE], 1);
    CHECK_EQ(stats.refused[TELEMETRY_TOO_OLD], 1);
    CHECK_EQ(kit.dones, 0); /* not for refused ones */
    kit_run(&kit);
    CHECK_EQ(kit.dones, 2);
    CHECK_EQ(kit_look(&kit, LOOK_ALERTS_OPEN), 0);
    kit_close(&kit);
}

TEST(a_machine_that_goes_on_raises_an_alert)
{
    struct kit kit;
    kit_open(&kit);
    for (int i = 0; i < 9; i++)
        CHECK_ERR(kit_send(&kit, "a", "temperature", "x"), ERR_INPUT);
    kit_run(&kit);
    CHECK_EQ(kit_look(&kit, LOOK_ALERTS_OPEN), 0);
    for (int i = 0; i < 500; i++)
        CHECK_ERR(kit_send(&kit, "a", "temperature", "x"), ERR_INPUT);
    CHECK_EQ(store_step(kit.store, 0), 1); /* one job, not five hundred */
    CHECK_EQ(kit_look(&kit, LOOK_ALERTS_OPEN), 1);
    kit.now_ms += 11 * MINUTE; /* it stopped */
    for (int i = 0; i < 5; i++)
        telemetry_tick(kit.telemetry, kit.mono_ms += 1000);
    kit_run(&kit);
    CHECK_EQ(kit_look(&kit, LOOK_ALERTS_OPEN), 0);
    kit_close(&kit);
}

/* More liars than the table has rows for: the rest is counted by reason only. */
TEST(the_table_of_refusals_is_bounded)
{
    struct kit kit;
    struct telemetry_stats stats;
    struct refused seen = {0};
    kit_open(&kit);
    for (unsigned i = 0; i < REFUSED_MAX + 100; i++) {
        char machine_id[32];
        snprintf(machine_id, sizeof(machine_id), "m%u", i);
        CHECK_ERR(kit_send(&kit, machine_id, "temperature", "x"), ERR_INPUT);
    }
    telemetry_refused_each(kit.telemetry, see_refused, &seen);
    CHECK_EQ(seen.rows, REFUSED_MAX);
    telemetry_stats_get(kit.telemetry, &stats);
    CHECK_EQ(stats.refused[TELEMETRY_BAD_NUMBER], REFUSED_MAX + 100);
    kit_close(&kit);
}

/* ---- looking ---- */

struct order {
    int count;
    char last[128];
};

static bool in_order(void *cookie, const struct telemetry_latest *latest)
{
    struct order *order = cookie;
    char now[128];
    snprintf(now, sizeof(now), "%s %s", latest->machine_id, latest->type);
    CHECK(strcmp(order->last, now) < 0);
    memcpy(order->last, now, sizeof(now));
    return ++order->count < 5;
}

TEST(latest_in_order)
{
    struct kit kit;
    kit_open(&kit);
    static const char *const machines[] = {"c", "a", "b"};
    for (size_t i = 0; i < ARRAY_COUNT(machines); i++)
        CHECK_OK(kit_send(&kit, machines[i], "readings",
                          "{\"temperature\":1,\"co2\":2,\"provenance\":\"simulated\"}"));
    kit_run(&kit);
    struct order order = {0};
    telemetry_latest_each(kit.telemetry, STR_NONE, in_order, &order);
    CHECK_EQ(order.count, 5); /* it stops when told so */
    order = (struct order){0};
    telemetry_latest_each(kit.telemetry, STR("b"), in_order, &order);
    CHECK_EQ(order.count, 2);
    CHECK_EQ(kit_latest(&kit, "b", "co2").provenance, TELEMETRY_SIMULATED);
    order = (struct order){0};
    telemetry_latest_each(kit.telemetry, STR("nobody"), in_order, &order);
    CHECK_EQ(order.count, 0);
    kit_close(&kit);
}

TEST(after_a_restart_it_is_known_again)
{
    struct kit kit = {.now_ms = T0, .mono_ms = 5000};
    const char *path = kit_path(kit_tempdir(), "a.db");
    struct store_options options = {.path = path};
    CHECK_OK(kit_try_open(&kit, &options, NULL, &telemetry_sink_null));
    CHECK_OK(kit_send(&kit, "a", "temperature",
                      "{\"value\":21.5,\"at\":1799999990,\"provenance\":\"estimated\"}"));
    CHECK_OK(kit_send(&kit, "a", "temperature", "{\"value\":20,\"at\":1799999980}"));
    CHECK_OK(kit_send(&kit, "b", "humidity", "40"));
    kit_run(&kit);
    kit_close(&kit);
    kit.now_ms += HOUR;
    CHECK_OK(kit_try_open(&kit, &options, NULL, &telemetry_sink_null));
    struct telemetry_latest latest = kit_latest(&kit, "a", "temperature");
    CHECK(latest.value == 21.5);
    CHECK_EQ(latest.at_ms, T0 - 10000);
    CHECK_EQ(latest.received_at_ms, T0);
    CHECK_EQ(latest.provenance, TELEMETRY_ESTIMATED);
    /* New series do not take the numbers of old ones. */
    CHECK_OK(kit_send(&kit, "c", "co2", "400"));
    CHECK_OK(kit_send(&kit, "a", "temperature", "22"));
    kit_run(&kit);
    CHECK_EQ(kit_look(&kit, LOOK_SERIES), 3);
    CHECK_EQ(kit_look(&kit, LOOK_READINGS), 5);
    CHECK(kit_latest(&kit, "c", "co2").value == 400);
    kit_close(&kit);
}

/* Closing the store finishes what was handed to it; without a flush the rest was never said to be
 * stored. */
TEST(closing_with_messages_on_their_way)
{
    struct kit kit;
    kit_open_loop(&kit, NULL);
    CHECK_OK(kit_send(&kit, "a", "temperature", "20"));
    telemetry_flush(kit.telemetry);
    CHECK_OK(kit_send(&kit, "a", "temperature", "21"));
    kit_close(&kit);
    CHECK_EQ(kit.dones, 2);
    CHECK_EQ(kit.failures, 1);
}
