/* The sink against a real ClickHouse, with a network and a power supply that fail.  After every
 * disaster the rows are there exactly once. */
#include "telemetry/clickhouse_world.h"

TEST(every_table_gets_its_rows_in_batches_of_one_day)
{
    struct world *world = begin();
    clickhouse_start(world->server);
    open_world(world, CLICKHOUSE_SERVER_PASSWORD);
    fill(world, TELEMETRY_SINK_READINGS, DAY, 2500);
    fill(world, TELEMETRY_SINK_READINGS, DAY - 1, 100);
    fill(world, TELEMETRY_SINK_ACTIONS, DAY, 20);
    fill(world, TELEMETRY_SINK_PREDICTIONS, DAY, 30);
    fill(world, TELEMETRY_SINK_DEVICES, DAY, 10);
    until_rows(world, 2660);
    check_once(world, 2600);
    CHECK_STR(clickhouse_ask(world->server,
                             "SELECT max(n) <= 1000, max(d), uniqExact(batch) >= 4 FROM (SELECT "
                             "batch, count() AS n, uniqExact(toYYYYMMDD(at)) AS d FROM "
                             "sensor_readings GROUP BY batch)"),
              "1\t1\t1");
    CHECK_STR(clickhouse_ask(world->server,
                             "SELECT at, at_ms, received_at, machine_id, type, value, provenance, "
                             "row FROM sensor_readings WHERE value = 7"),
              "2025-11-08 23:00:00\t7\t2025-11-08 23:00:00\twindow-1\ttemperature\t7\tmeasured\t7");
    CHECK_STR(clickhouse_ask(world->server, "SELECT count(), any(source), any(position_pct), "
                                            "any(confidence), any(state) FROM window_actions"),
              "20\tmodel\t40\t0\tcomplete");
    CHECK_STR(clickhouse_ask(world->server, "SELECT count(), any(decision), any(confidence), "
                                            "any(request_id) FROM ml_predictions"),
              "30\tcommanded\t0.9\tr");
    CHECK_STR(clickhouse_ask(world->server, "SELECT count(), any(name), any(online), "
                                            "any(last_seen_at) FROM device_registry"),
              "10\tW\xc3\xbcrzburg\t1\t2025-11-08 23:00:00");
    CHECK_EQ(outbox_rows(world), 0);
    CHECK(stats(world).up);
    CHECK_STR(stats(world).why, "");
    CHECK_STR(stats(world).version, "18.16.1");
    CHECK_EQ(stats(world).retries, 0);
    CHECK_EQ(stats(world).dropped_rows, 0);
    end(world);
}

/* One INSERT meets a fault; what `again` does then brings all to a good end. */
static void survives(enum proxy_fault fault, size_t cut, bool restarts, uint64_t inserts)
{
    struct world *world = begin();
    clickhouse_start(world->server);
    open_world(world, CLICKHOUSE_SERVER_PASSWORD);
    proxy_fault_next(world->proxy, fault, cut);
    fill(world, TELEMETRY_SINK_READINGS, DAY, 500);
    until_fault(world);
    if (restarts)
        clickhouse_start(world->server);
    until_rows(world, 500);
    check_once(world, 500);
    CHECK_EQ(outbox_rows(world), 0);
    CHECK_EQ(world->proxy->inserts, inserts);
    fill(world, TELEMETRY_SINK_READINGS, DAY, 500);
    until_rows(world, 1000);
    check_once(world, 1000);
    CHECK_STR(stats(world).why, "");
    end(world);
}

TEST(a_lost_answer_makes_no_duplicates)
{
    survives(PROXY_SWALLOW, 0, false, 1); /* it looked, and needed not send again */
}

TEST(an_answer_that_never_comes_is_waited_for_no_longer_than_allowed)
{
    survives(PROXY_HOLD, 0, false, 2);
}

TEST(a_connection_cut_amid_a_row_leaves_nothing_and_is_sent_again)
{
    survives(PROXY_CUT, 1000, false, 2);
}

/* A row of ours has 68 bytes here; the server takes whole rows without a word, although the length
 * that was promised is not reached. */
TEST(a_connection_cut_between_rows_is_sent_from_there_on)
{
    survives(PROXY_CUT, (size_t)68 * 100, false, 2);
}

TEST(somebody_elses_page_is_no_answer)
{
    survives(PROXY_LIE, 0, false, 2);
}

TEST(killed_after_it_stored_them)
{
    survives(PROXY_KILL_AFTER, 0, true, 1);
}

TEST(killed_amid_an_insert)
{
    struct world *world = begin();
    uint32_t count = 0;
    clickhouse_start(world->server);
    open_world(world, CLICKHOUSE_SERVER_PASSWORD);
    for (int round = 0; round < 3; round++) { /* it may have stored them or not: both are right */
        NOTE("round %d", round);
        proxy_fault_next(world->proxy, PROXY_KILL_AMID, 0);
        count += 900;
        fill(world, TELEMETRY_SINK_READINGS, DAY, 900);
        until_fault(world);
        clickhouse_start(world->server);
        until_rows(world, count);
        check_once(world, count);
    }
    CHECK_EQ(outbox_rows(world), 0);
    end(world);
}

TEST(away_from_the_start_and_for_long)
{
    struct world *world = begin();
    open_world(world, CLICKHOUSE_SERVER_PASSWORD);
    for (int i = 0; i < 20; i++)
        fill(world, TELEMETRY_SINK_READINGS, DAY, 500);
    until_why(world, "cannot reach it");
    CHECK(outbox_rows(world) >= 1000);
    clickhouse_start(world->server);
    until_rows(world, 10000);
    check_once(world, 10000);
    CHECK_EQ(outbox_rows(world), 0);
    end(world);
}

/* An INSERT that was still under way when we had looked, and arrived after we sent it again. */
TEST(a_copy_that_came_late_goes_when_parts_are_merged)
{
    struct world *world = begin();
    clickhouse_start(world->server);
    open_world(world, CLICKHOUSE_SERVER_PASSWORD);
    fill(world, TELEMETRY_SINK_READINGS, DAY, 500);
    until_rows(world, 500);
    (void)clickhouse_ask(world->server,
                         "INSERT INTO sensor_readings SELECT * FROM sensor_readings");
    CHECK_STR(clickhouse_ask(world->server, COUNT_SQL), "1000\t500\t249500");
    (void)clickhouse_ask(world->server, "OPTIMIZE TABLE sensor_readings FINAL");
    check_once(world, 500);
    end(world);
}

/* We die between their INSERT and our bookkeeping. */
TEST(our_own_restart_finds_the_batch_and_looks_first)
{
    struct world *world = begin();
    clickhouse_start(world->server);
    open_world(world, CLICKHOUSE_SERVER_PASSWORD);
    proxy_fault_next(world->proxy, PROXY_SWALLOW, 0);
    fill(world, TELEMETRY_SINK_READINGS, DAY, 700);
    until_fault(world); /* stored there; here nobody knows */
    close_world(world);
    open_world(world, CLICKHOUSE_SERVER_PASSWORD);
    until_rows(world, 700);
    check_once(world, 700);
    CHECK_EQ(world->proxy->inserts, 1);
    CHECK_EQ(outbox_rows(world), 0);
    end(world);
}

TEST(a_wrong_password_is_said_and_nothing_is_lost)
{
    struct world *world = begin();
    clickhouse_start(world->server);
    open_world(world, "wrong");
    fill(world, TELEMETRY_SINK_READINGS, DAY, 100);
    until_why(world, "it says no");
    CHECK(strstr(stats(world).why, "wrong") == NULL);
    close_world(world);
    open_world(world, CLICKHOUSE_SERVER_PASSWORD);
    until_rows(world, 100);
    check_once(world, 100);
    end(world);
}

TEST(another_program_behind_that_port_is_recognised)
{
    struct world *world = begin();
    clickhouse_start(world->server);
    world->proxy->page = 30;
    open_world(world, CLICKHOUSE_SERVER_PASSWORD);
    fill(world, TELEMETRY_SINK_READINGS, DAY, 100);
    until_why(world, "not ClickHouse: xxxxx");
    world->proxy->page = 70000; /* more than any answer that is asked for */
    until_why(world, "it says no");
    CHECK_EQ(world->proxy->inserts, 0);
    world->proxy->page = 0;
    until_rows(world, 100);
    check_once(world, 100);
    end(world);
}

TEST(a_table_of_another_shape_is_named_and_left_alone)
{
    struct world *world = begin();
    clickhouse_start(world->server);
    CHECK_EQ(clickhouse_try(world->server, "default", "CREATE DATABASE automat"), 200);
    CHECK_STR(clickhouse_ask(world->server, "CREATE TABLE sensor_readings (at DateTime, n UInt8) "
                                            "ENGINE = MergeTree ORDER BY at"),
              "");
    open_world(world, CLICKHOUSE_SERVER_PASSWORD);
    fill(world, TELEMETRY_SINK_READINGS, DAY, 100);
    until_why(world, "table sensor_readings: column at is DateTime, not DateTime('UTC')");
    (void)clickhouse_ask(world->server, "DROP TABLE sensor_readings");
    until_rows(world, 100);
    check_once(world, 100);
    end(world);
}

TEST(a_dropped_table_comes_back_and_only_its_rows_wait)
{
    struct world *world = begin();
    clickhouse_start(world->server);
    open_world(world, CLICKHOUSE_SERVER_PASSWORD);
    world->sink->limits.upkeep_ms = 3600000; /* no round of upkeep makes it anew */
    fill(world, TELEMETRY_SINK_READINGS, DAY, 100);
    until_rows(world, 100);
    (void)clickhouse_ask(world->server, "DROP TABLE window_actions");
    fill(world, TELEMETRY_SINK_ACTIONS, DAY, 50);
    fill(world, TELEMETRY_SINK_READINGS, DAY, 100);
    until_rows(world, 250);
    CHECK_STR(clickhouse_ask(world->server, "SELECT count() FROM window_actions"), "50");
    CHECK_STR(clickhouse_ask(world->server, "SELECT count() FROM sensor_readings"), "200");
    CHECK(stats(world).up);
    end(world);
}

TEST(what_is_older_than_the_policy_is_dropped)
{
    struct world *world = begin();
    clickhouse_start(world->server);
    open_world(world, CLICKHOUSE_SERVER_PASSWORD);
    fill(world, TELEMETRY_SINK_READINGS, DAY, 100);
    fill(world, TELEMETRY_SINK_READINGS, DAY - 3, 100);
    fill(world, TELEMETRY_SINK_ACTIONS, DAY - 60, 10);
    fill(world, TELEMETRY_SINK_DEVICES, DAY - 60, 10);
    until_rows(world, 220);
    world->wall_ms += 728 * TELEMETRY_DAY_MS; /* 730 are kept: DAY - 3 is over, DAY is not */
    while (strcmp(clickhouse_ask(world->server, COUNT_SQL), "100\t100\t4950") != 0 ||
           strcmp(clickhouse_ask(world->server, "SELECT count() FROM window_actions"), "0") != 0)
        (void)loop_turn_wait(world->loop);
    CHECK_STR(clickhouse_ask(world->server, "SELECT count() FROM device_registry"), "10");
    end(world);
}

TEST(bad_options_are_refused)
{
    struct telemetry_sink *sink = NULL;
    static const char *const urls[] = {"ftp://127.0.0.1", "http://user:word@127.0.0.1:8123",
                                       "127.0.0.1:8123", "http://127.0.0.1/?x=1"};
    struct loop *loop;
    CHECK_OK(loop_create(&loop));
    struct telemetry_sink_options options = {.loop = loop, .wall_ms = wall_ms};
    for (size_t i = 0; i < ARRAY_COUNT(urls); i++) {
        options.url = urls[i];
        CHECK_ERR(telemetry_sink_clickhouse.create(&options, &sink), ERR_INPUT);
    }
    options.url = "http://127.0.0.1:8123";
    options.database = "x; DROP TABLE y";
    CHECK_ERR(telemetry_sink_clickhouse.create(&options, &sink), ERR_INPUT);
    options.database = NULL;
    options.password = "a\r\nb";
    CHECK_ERR(telemetry_sink_clickhouse.create(&options, &sink), ERR_INPUT);
    loop_destroy(loop);
}
