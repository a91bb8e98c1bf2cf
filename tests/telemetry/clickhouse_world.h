/* What the tests of the sink share: a ClickHouse, a network in front of it, our own store and loop,
 * and rows to put into the outbox. */
#ifndef AUTOMAT_TESTS_CLICKHOUSE_WORLD_H
#define AUTOMAT_TESTS_CLICKHOUSE_WORLD_H

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

static inline int64_t wall_ms(void *clock)
{
    return ((struct world *)clock)->wall_ms;
}

static inline void turn(void *cookie)
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

static inline enum err configure_run(struct store_job *job, struct store_db *db)
{
    (void)job;
    return store_exec(db, store_prepare(db, &statements, 1), NULL);
}

struct look {
    struct store_job job;
    int64_t rows;
    bool done;
};
static inline enum err look_run(struct store_job *job, struct store_db *db)
{
    struct store_stmt *stmt = store_prepare(db, &statements, 0);
    enum err err = store_row(stmt);
    ((struct look *)job)->rows = err == ERR_OK ? store_col_i64(stmt, 0) : -1;
    return ERR_OK;
}
static inline void look_done(struct store_job *job, enum err err)
{
    (void)err;
    ((struct look *)job)->done = true;
}
static inline int64_t outbox_rows(struct world *world)
{
    struct look look = {.job = {.run = look_run, .done = look_done}};
    CHECK_OK(store_read(world->store, &look.job));
    while (!look.done)
        (void)loop_turn_wait(world->loop);
    return look.rows;
}

static inline void open_world(struct world *world, const char *password)
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

static inline void close_world(struct world *world)
{
    store_close(world->store);
    telemetry_sink_clickhouse.destroy(world->sink);
    loop_timer_destroy(world->timer);
    loop_destroy(world->loop);
}

static inline struct world *begin(void)
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

static inline void end(struct world *world)
{
    close_world(world);
    proxy_end(world->proxy);
    clickhouse_end(world->server);
}

static inline struct telemetry_sink_stats stats(struct world *world)
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

static inline void row_make(const struct fill *fill, uint32_t number,
                            struct telemetry_outbox_row *row)
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
static inline enum err fill_run(struct store_job *job, struct store_db *db)
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

static inline void fill_done(struct store_job *job, enum err err)
{
    struct fill *fill = (struct fill *)job;
    fill->done = true;
    fill->err = err;
}

static inline void fill(struct world *world, enum telemetry_sink_table table, int64_t day,
                        uint32_t count)
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

static inline void until_rows(struct world *world, uint64_t rows)
{
    while (stats(world).rows < rows)
        (void)loop_turn_wait(world->loop);
    CHECK_EQ(stats(world).rows, rows);
}

static inline void until_fault(struct world *world)
{
    while (world->proxy->done == 0)
        (void)loop_turn_wait(world->loop);
}

static inline void until_why(struct world *world, const char *part)
{
    while (strstr(stats(world).why, part) == NULL)
        (void)loop_turn_wait(world->loop);
    CHECK(!stats(world).up);
}

/* Values are 0..count-1 in the order of filling: each once. */
static inline void check_once(struct world *world, uint32_t count)
{
    char expected[64];
    (void)snprintf(expected, sizeof(expected), "%u\t%u\t%llu", count, count,
                   (unsigned long long)count * (count - 1) / 2);
    CHECK_STR(clickhouse_ask(world->server, COUNT_SQL), expected);
}

#endif
