/* The room on a database in memory (or a file); the test takes every step. */
#ifndef AUTOMAT_TESTS_TELEMETRY_KIT_H
#define AUTOMAT_TESTS_TELEMETRY_KIT_H

#include "kit/kit.h"
#include "record/record.h"
#include "telemetry/telemetry.h"
#include "telemetry/telemetry_room_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define T0     ((int64_t)1800000000000) /* 2027-01-15T08:00:00Z */
#define MINUTE ((int64_t)60000)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

struct kit {
    struct loop *loop; /* NULL: every message is a job of its own */
    struct store *store;
    struct telemetry *telemetry;
    const struct store_migration *migrations;
    int64_t now_ms, mono_ms;
    /* what the dones said */
    int dones, failures;
    enum err err;
    /* what the watcher saw */
    int messages, readings;
    char machine_id[ID_BYTES_MAX + 1], request_id[REQUEST_ID_BYTES];
    struct telemetry_reading seen[TELEMETRY_READINGS_MAX];
    /* what was refused */
    enum telemetry_refusal refusal;
    char why[TELEMETRY_WHY_BYTES];
    /* what a range read gave */
    int ranges;
    enum telemetry_resolution resolution;
    struct telemetry_point point[5001];
    size_t points;
    bool more;
};

/* Only the tables this room needs, so that another room's cannot fail its tests. */
static inline const struct store_migration *kit_tables(void)
{
    static struct store_migration table[3];
    table[0] = (struct store_migration){
        1, "0001_record.sql",
        kit_read_file(AUTOMAT_SOURCE_DIR "/src/record/migrations/0001_record.sql", NULL)};
    table[1] = (struct store_migration){
        2, "0007_telemetry.sql",
        kit_read_file(AUTOMAT_SOURCE_DIR "/src/telemetry/migrations/0007_telemetry.sql", NULL)};
    return table;
}

static inline int64_t kit_wall_ms(void *clock)
{
    return ((const struct kit *)clock)->now_ms;
}

static inline void kit_watch(void *cookie, struct str machine_id,
                             const struct telemetry_reading *readings, uint32_t count,
                             const char *request_id)
{
    struct kit *kit = cookie;
    kit->messages++;
    kit->readings += (int)count;
    snprintf(kit->machine_id, sizeof(kit->machine_id), "%.*s", STR_ARG(machine_id));
    snprintf(kit->request_id, sizeof(kit->request_id), "%s", request_id != NULL ? request_id : "");
    memcpy(kit->seen, readings, count * sizeof(*readings));
}

static inline void kit_done(void *cookie, enum err err)
{
    struct kit *kit = cookie;
    kit->dones++;
    kit->failures += err != ERR_OK;
    kit->err = err;
}

static inline struct telemetry_options kit_options(struct kit *kit)
{
    return (struct telemetry_options){
        .loop = kit->loop, .store = kit->store, .wall_ms = kit_wall_ms, .clock = kit};
}

/* `bounds`: series_max and so on, or NULL. */
static inline enum err kit_try_open(struct kit *kit, const struct store_options *store_options,
                                    const struct telemetry_options *bounds,
                                    const struct telemetry_sink_ops *sink)
{
    char why[512] = "";
    struct store_options opening = *store_options;
    opening.inline_jobs = true;
    if (kit->migrations == NULL)
        kit->migrations = kit_tables();
    opening.migrations = kit->migrations;
    enum err err = store_open(NULL, &opening, why, sizeof(why), &kit->store);
    NOTE("%s", why);
    if (err != ERR_OK)
        return err;
    struct telemetry_options options = kit_options(kit);
    if (bounds != NULL) {
        options.series_max = bounds->series_max;
        options.series_per_machine_max = bounds->series_per_machine_max;
        options.pending_max = bounds->pending_max;
        options.outbox_bytes_max = bounds->outbox_bytes_max;
    }
    err = telemetry_create_with(&options, sink, &kit->telemetry);
    if (err == ERR_OK)
        CHECK_OK(telemetry_watch(kit->telemetry, kit_watch, kit));
    return err;
}

static inline void kit_open_bounded(struct kit *kit, const struct telemetry_options *bounds)
{
    *kit = (struct kit){.now_ms = T0, .mono_ms = 5000};
    CHECK_OK(
        kit_try_open(kit, &(struct store_options){.path = NULL}, bounds, &telemetry_sink_null));
}

static inline void kit_open(struct kit *kit)
{
    kit_open_bounded(kit, NULL);
}

/* With a loop: the messages of a turn are one job. */
static inline void kit_open_loop(struct kit *kit, const struct telemetry_options *bounds)
{
    *kit = (struct kit){.now_ms = T0, .mono_ms = 5000};
    CHECK_OK(loop_create(&kit->loop));
    CHECK_OK(
        kit_try_open(kit, &(struct store_options){.path = NULL}, bounds, &telemetry_sink_null));
}

static inline void kit_close(struct kit *kit)
{
    store_close(kit->store);
    telemetry_destroy(kit->telemetry);
    if (kit->loop != NULL)
        loop_destroy(kit->loop);
    kit->store = NULL;
    kit->telemetry = NULL;
    kit->loop = NULL;
}

/* End the turn, commit, call back, until nothing waits. */
static inline void kit_run(struct kit *kit)
{
    for (;;) {
        if (kit->loop != NULL)
            telemetry_flush(kit->telemetry);
        if (store_step(kit->store, 0) == 0)
            return;
    }
}

static inline enum err kit_send(struct kit *kit, const char *machine_id, const char *type,
                                const char *payload)
{
    struct telemetry_input input = {.machine_id = str_from(machine_id),
                                    .type = str_from(type),
                                    .payload = str_from(payload),
                                    .request_id = "req-1",
                                    .actor = STR("test")};
    return telemetry_ingest(kit->telemetry, &input, kit_done, kit, &kit->refusal, kit->why);
}

/* One reading with a time. */
static inline enum err kit_send_at(struct kit *kit, const char *machine_id, const char *type,
                                   double value, int64_t at_ms)
{
    struct telemetry_reading reading = {.value = value, .at_ms = at_ms};
    snprintf(reading.type, sizeof(reading.type), "%s", type);
    return telemetry_ingest_readings(kit->telemetry, str_from(machine_id), &reading, 1, NULL,
                                     kit_done, kit);
}

static inline struct telemetry_latest kit_latest(struct kit *kit, const char *machine_id,
                                                 const char *type)
{
    struct telemetry_latest latest = {.value = NAN};
    (void)telemetry_latest_get(kit->telemetry, str_from(machine_id), str_from(type), &latest);
    return latest;
}

static inline void kit_range_done(void *cookie, enum err err, enum telemetry_resolution resolution,
                                  const struct telemetry_point *points, size_t count, bool more)
{
    struct kit *kit = cookie;
    kit->ranges++;
    kit->err = err;
    kit->resolution = resolution;
    kit->points = count;
    kit->more = more;
    if (count > 0)
        memcpy(kit->point, points, count * sizeof(*points));
}

static inline enum err kit_range(struct kit *kit, const char *machine_id, const char *type,
                                 int64_t from_ms, int64_t to_ms,
                                 enum telemetry_resolution resolution, uint32_t points_max)
{
    struct telemetry_range range = {.machine_id = str_from(machine_id),
                                    .type = str_from(type),
                                    .from_ms = from_ms,
                                    .to_ms = to_ms,
                                    .resolution = resolution,
                                    .points_max = points_max};
    CHECK_OK(telemetry_range_read(kit->telemetry, &range, kit_range_done, kit));
    kit_run(kit);
    return kit->err;
}

/* ---- looking into the tables ---- */

enum kit_look {
    LOOK_READINGS,
    LOOK_MINUTES5,
    LOOK_HOURS,
    LOOK_DAYS,
    LOOK_SERIES,
    LOOK_OUTBOX,
    LOOK_OUTBOX_ROWS,
    LOOK_OUTBOX_BYTES,
    LOOK_STATE_ROWS,
    LOOK_STATE_BYTES,
    LOOK_STATE_DROPPED,
    LOOK_AUDIT,
    LOOK_ALERTS_OPEN,
    LOOK_RECEIPTS,
    LOOK_WRONG_MINUTES5,
    LOOK_WRONG_HOURS,
    LOOK_WRONG_DAYS,
    LOOK_COUNT
};
/* Buckets that are not what the raw readings say, counted from both sides. */
#define LOOK_WRONG(table, ms)                                                                      \
    "SELECT (SELECT count(*) FROM " table " AS b WHERE NOT EXISTS (SELECT 1 FROM (SELECT "         \
    "count(*) AS c, sum(value) AS s, min(value) AS l, max(value) AS h FROM telemetry_readings AS " \
    "r WHERE r.series_id = b.series_id AND r.at >= b.at AND r.at < b.at + " ms                     \
    ") WHERE c = b.count AND abs(s - b.sum) <= 1e-9 * (1 + abs(s)) AND l = b.min AND h = b.max)) " \
    "+ (SELECT count(*) FROM telemetry_readings AS r WHERE NOT EXISTS (SELECT 1 FROM " table       \
    " AS b WHERE b.series_id = r.series_id AND b.at = r.at - r.at % " ms "))"

static const char *const kit_look_sql[LOOK_COUNT] = {
    [LOOK_READINGS] = "SELECT count(*) FROM telemetry_readings",
    [LOOK_MINUTES5] = "SELECT count(*) FROM telemetry_minutes5",
    [LOOK_HOURS] = "SELECT count(*) FROM telemetry_hours",
    [LOOK_DAYS] = "SELECT count(*) FROM telemetry_days",
    [LOOK_SERIES] = "SELECT count(*) FROM telemetry_series",
    [LOOK_OUTBOX] = "SELECT count(*) FROM telemetry_outbox",
    [LOOK_OUTBOX_ROWS] = "SELECT coalesce(sum(row_count), 0) FROM telemetry_outbox",
    [LOOK_OUTBOX_BYTES] = "SELECT coalesce(sum(length(bytes)), 0) FROM telemetry_outbox",
    [LOOK_STATE_ROWS] = "SELECT row_count FROM telemetry_outbox_state",
    [LOOK_STATE_BYTES] = "SELECT byte_count FROM telemetry_outbox_state",
    [LOOK_STATE_DROPPED] = "SELECT dropped_rows FROM telemetry_outbox_state",
    [LOOK_AUDIT] = "SELECT count(*) FROM audit WHERE action = 'telemetry.policy'",
    [LOOK_ALERTS_OPEN] = "SELECT count(*) FROM alerts WHERE resolved_at IS NULL",
    [LOOK_RECEIPTS] = "SELECT count(*) FROM test_receipts",
    [LOOK_WRONG_MINUTES5] = LOOK_WRONG("telemetry_minutes5", "300000"),
    [LOOK_WRONG_HOURS] = LOOK_WRONG("telemetry_hours", "3600000"),
    [LOOK_WRONG_DAYS] = LOOK_WRONG("telemetry_days", "86400000"),
};
static struct store_statements kit_look_statements = {"look", kit_look_sql, LOOK_COUNT, 0};

struct kit_looking {
    struct store_job job;
    enum kit_look what;
    int64_t value;
};

static inline enum err kit_look_run(struct store_job *job, struct store_db *db)
{
    struct kit_looking *looking = (struct kit_looking *)(void *)job;
    struct store_stmt *stmt = store_prepare(db, &kit_look_statements, (int)looking->what);
    enum err err = store_row(stmt);
    if (err == ERR_OK)
        looking->value = store_col_i64(stmt, 0);
    return err;
}

static inline int64_t kit_look(struct kit *kit, enum kit_look what)
{
    struct kit_looking looking = {.job = {.run = kit_look_run}, .what = what};
    CHECK_OK(store_run_now(kit->store, &looking.job));
    return looking.value;
}

#endif
