/* The sink against a real ClickHouse, with a network and a power supply that fail.  After every
 * disaster the rows are there exactly once. */
#include "telemetry/clickhouse/clickhouse_int.h"

#include "kit/kit_store.h"
#include "telemetry/clickhouse_proxy.h"

#define DAY       INT64_C(20400) /* 2025-11-08 */
#define DAY_MS    (DAY * TELEMETRY_DAY_MS)
#define COUNT_SQL "SELECT count(), uniqExact(at_ms, value), sum(value) FROM sensor_readings"
#define LATE_MS   (23 * 3600000LL) /* in UTC still this day, in Tokyo the next one */

struct world {
    struct clickhouse_server *server;
    struct proxy *proxy;
    struct loop *loop;
    struct loop_timer *timer;
    struct store *store;
    struct telemetry_sink *sink;
    const char *path;
    int64_t wall_ms;
    uint32_t next_value;
    char url[64];
};

static int64_t wall_ms(void *clock)
{
    return ((struct world *)clock)->wall_ms;
}

static void turn(void *cookie)
{
    struct world *world = cookie;
    telemetry_sink_clickhouse.tick(world->sink, loop_now_ms(world->loop));
    loop_timer_set(world->timer, loop_now_ms(world->loop) + 10);
}

static const char *const sql[] = {
    "SELECT (SELECT COUNT(*) FROM telemetry_outbox) + (SELECT COUNT(*) FROM telemetry_batch)",
    "UPDATE telemetry_outbox_state SET configured = 1, bytes_max = 100000000",
};
static struct store_statements statements = {"test", sql, ARRAY_COUNT(sql), 0};

static enum err configure_run(struct store_job *job, struct store_db *db)
{
    (void)job;
    return store_exec(db, store_prepare(db, &statements, 1), NULL);
}

struct look {
    struct store_job job;
    int64_t rows;
    bool done;
};
static enum err look_run(struct store_job *job, struct store_db *db)
{
    struct store_stmt *stmt = store_prepare(db, &statements, 0);
    enum err err = store_row(stmt);
    ((struct look *)job)->rows = err == ERR_OK ? store_col_i64(stmt, 0) : -1;
    return ERR_OK;
}
static void look_done(struct store_job *job, enum err err)
{
    (void)err;
    ((struct look *)job)->done = true;
}
static int64_t outbox_rows(struct world *world)
{
    struct look look = {.job = {.run = look_run, .done = look_done}};
    CHECK_OK(store_read(world->store, &look.job));
    while (!look.done)
        (void)loop_turn_wait(world->loop);
    return look.rows;
}

static void open_world(struct world *world, const char *password)
{
    struct store_options options = {.path = world->path,
                                    .migrations = kit_migrations(AUTOMAT_SOURCE_DIR)};
    CHECK_OK(loop_create(&world->loop));
    CHECK_OK(store_open(world->loop, &options, NULL, 0, &world->store));
    struct store_job configure = {.run = configure_run};
    CHECK_OK(store_run_now(world->store, &configure));
    struct telemetry_sink_options given = {.loop = world->loop,
                                           .store = world->store,
                                           .wall_ms = wall_ms,
                                           .clock = world,
                                           .url = world->url,
                                           .user = "automat",
                                           .password = password};
    CHECK_OK(telemetry_sink_clickhouse.create(&given, &world->sink));
    world->sink->limits.timeout_ms = 2000;
    world->sink->limits.backoff_first_ms = 20;
    world->sink->limits.backoff_max_ms = 200;
    world->sink->limits.refused_first_ms = 20;
    world->sink->limits.refused_max_ms = 100;
    world->sink->limits.batch_rows_max = 1000;
    world->sink->limits.upkeep_ms = 50;
    CHECK_OK(loop_timer_create(world->loop, turn, world, &world->timer));
    turn(world);
}

static void close_world(struct world *world)
{
    store_close(world->store);
    telemetry_sink_clickhouse.destroy(world->sink);
    loop_timer_destroy(world->timer);
    loop_destroy(world->loop);
}

static struct world *begin(void)
{
    static struct world world;
    memset(&world, 0, sizeof(world));
    world.wall_ms = DAY_MS + LATE_MS;
    world.path = kit_path(kit_tempdir(), "automat.db");
    world.server = clickhouse_make();
    world.proxy = proxy_make(world.server);
    (void)snprintf(world.url, sizeof(world.url), "http://127.0.0.1:%u/", world.proxy->port);
    return &world;
}

static void end(struct world *world)
{
    close_world(world);
    proxy_end(world->proxy);
    clickhouse_end(world->server);
}

static struct telemetry_sink_stats stats(struct world *world)
{
    struct telemetry_sink_stats now;
    telemetry_sink_clickhouse.stats(world->sink, &now);
    NOTE("up %d, why '%s', rows %llu, retries %llu", now.up, now.why, (unsigned long long)now.rows,
         (unsigned long long)now.retries);
    return now;
}

/* ---- rows into the outbox ---- */

struct fill {
    struct store_job job;
    struct world *world;
    enum telemetry_sink_table table;
    uint32_t count;
    int64_t day;
    bool done;
    enum err err;
};

static void row_make(const struct fill *fill, uint32_t number, struct telemetry_outbox_row *row)
{
    int64_t at_ms = fill->day * TELEMETRY_DAY_MS + LATE_MS + number % 1000;
    *row = (struct telemetry_outbox_row){.table = fill->table};
    if (fill->table == TELEMETRY_SINK_READINGS)
        row->of.reading = (struct telemetry_outbox_reading){
            at_ms, at_ms + 1, TELEMETRY_MEASURED, number, STR("window-1"), STR("temperature")};
    else if (fill->table == TELEMETRY_SINK_ACTIONS)
        row->of.action = (struct telemetry_action){.machine_id = STR("window-1"),
                                                   .source = STR("model"),
                                                   .at_ms = at_ms,
                                                   .command_id = number,
                                                   .position_pct = 40,
                                                   .state = STR("complete")};
    else if (fill->table == TELEMETRY_SINK_PREDICTIONS)
        row->of.prediction = (struct telemetry_prediction){.machine_id = STR("window-1"),
                                                           .model_version = STR("3"),
                                                           .decision = STR("commanded"),
                                                           .request_id = STR("r"),
                                                           .at_ms = at_ms,
                                                           .position_pct = 40,
                                                           .confidence = 0.9};
    else
        row->of.device =
            (struct telemetry_device){STR("window-1"), STR("window"),  STR("W\xc3\xbcrzburg"),
                                      STR("1.0"),      STR("allowed"), at_ms,
                                      at_ms - 1,       at_ms,          true};
}

/* Ten rows in each outbox row. */
static enum err fill_run(struct store_job *job, struct store_db *db)
{
    struct fill *fill = (struct fill *)job;
    enum err err = ERR_OK;
    for (uint32_t done = 0; err == ERR_OK && done < fill->count; done += 10) {
        struct buf bytes;
        buf_init(&bytes, TELEMETRY_OUTBOX_BYTES_MAX);
        for (uint32_t i = 0; err == ERR_OK && i < 10; i++) {
            struct telemetry_outbox_row row;
            row_make(fill, fill->world->next_value + done + i, &row);
            err = telemetry_outbox_encode(&bytes, &row);
        }
        if (err == ERR_OK)
            err = telemetry_outbox_add(db, fill->table, fill->day, 10, buf_str(&bytes),
                                       fill->world->wall_ms);
        buf_finish(&bytes);
    }
    return err;
}

static void fill_done(struct store_job *job, enum err err)
{
    struct fill *fill = (struct fill *)job;
    fill->done = true;
    fill->err = err;
}

static void fill(struct world *world, enum telemetry_sink_table table, int64_t day, uint32_t count)
{
    struct fill fill = {.job = {.run = fill_run, .done = fill_done},
                        .world = world,
                        .table = table,
                        .count = count,
                        .day = day};
    CHECK_OK(store_write(world->store, &fill.job));
    while (!fill.done)
        (void)loop_turn_wait(world->loop);
    CHECK_OK(fill.err);
    world->next_value += count;
    telemetry_sink_clickhouse.kick(world->sink);
}

/* ---- waiting for what must come (ctest bounds it) ---- */

static void until_rows(struct world *world, uint64_t rows)
{
    while (stats(world).rows < rows)
        (void)loop_turn_wait(world->loop);
    CHECK_EQ(stats(world).rows, rows);
}

static void until_fault(struct world *world)
{
    while (world->proxy->done == 0)
        (void)loop_turn_wait(world->loop);
}

static void until_why(struct world *world, const char *part)
{
    while (strstr(stats(world).why, part) == NULL)
        (void)loop_turn_wait(world->loop);
    CHECK(!stats(world).up);
}

/* Values are 0..count-1 in the order of filling: each once. */
static void check_once(struct world *world, uint32_t count)
{
    char expected[64];
    (void)snprintf(expected, sizeof(expected), "%u\t%u\t%llu", count, count,
                   (unsigned long long)count * (count - 1) / 2);
    CHECK_STR(clickhouse_ask(world->server, COUNT_SQL), expected);
}

/* ---- tests ---- */

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

/* A row of ours has 67 bytes here; the server takes whole rows without a word, although the length
 * that was promised is not reached. */
TEST(a_connection_cut_between_rows_is_sent_from_there_on)
{
    survives(PROXY_CUT, (size_t)67 * 100, false, 2);
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
