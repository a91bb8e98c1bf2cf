/* What is older than the policy goes, a little at a time: each job looks at a few series and
 * deletes a bounded number of rows, so the writer is never held for long.
 *
 * The newest reading of a series stays whatever its age (telemetry rule 7): it is what "last seen"
 * is read from after a restart.  Deletion goes by a clock of its own, which follows server time at
 * most CLOCK_FASTER times as fast: a host that wakes up in the wrong year does not lose its past
 * before somebody has looked at it. */
#include "telemetry/telemetry_room_int.h"

#define JOB_SERIES   64u
#define JOB_ROWS     4000
#define TICK_JOBS    8u
#define PASS_MS      ((int64_t)10 * 60000)
#define CLOCK_FASTER 60

struct item {
    int64_t series_id, newest_at_ms;
};
struct retention_op {
    struct telemetry_op op; /* first */
    struct item item[JOB_SERIES];
    uint32_t item_count;
    int64_t cutoff_ms[RETENTION_LEVELS]; /* INT64_MIN: everything is kept */
    uint32_t items_done;                 /* the job's finding */
};

/* Deletes at most about `rows_max`; false: there may be more. */
static enum err prune(struct store_db *db, unsigned level, int64_t series_id, int64_t cutoff_ms,
                      int64_t rows_max, int64_t *ret_deleted)
{
    struct store_stmt *stmt = telemetry_sql(db, telemetry_sql_level(SQL_RAW_OLD, level));
    store_bind_i64(stmt, 1, series_id);
    store_bind_i64(stmt, 2, cutoff_ms);
    store_bind_i64(stmt, 3, rows_max - 1);
    enum err err = store_row(stmt);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    if (err == ERR_OK)
        cutoff_ms = store_col_i64(stmt, 0) + 1;
    stmt = telemetry_sql(db, telemetry_sql_level(SQL_RAW_DELETE, level));
    store_bind_i64(stmt, 1, series_id);
    store_bind_i64(stmt, 2, cutoff_ms);
    return store_exec(db, stmt, ret_deleted);
}

static enum err retention_run(struct store_job *job, struct store_db *db)
{
    struct retention_op *op = (struct retention_op *)(void *)job;
    int64_t rows_left = JOB_ROWS;
    op->items_done = 0;
    for (uint32_t i = 0; i < op->item_count; i++) {
        for (unsigned level = 0; level < RETENTION_LEVELS; level++) {
            int64_t cutoff_ms = op->cutoff_ms[level];
            int64_t deleted = 0;
            if (level == 0 && cutoff_ms > op->item[i].newest_at_ms)
                cutoff_ms = op->item[i].newest_at_ms;
            if (cutoff_ms == INT64_MIN)
                continue;
            enum err err = prune(db, level, op->item[i].series_id, cutoff_ms, rows_left, &deleted);
            if (err != ERR_OK)
                return err;
            rows_left -= deleted;
            if (rows_left <= 0)
                return ERR_OK; /* this series is looked at again */
        }
        op->items_done = i + 1;
    }
    return ERR_OK;
}

static void submit(struct telemetry *telemetry);

static void retention_done(struct store_job *job, enum err err)
{
    struct retention_op *op = (struct retention_op *)(void *)job;
    struct telemetry *telemetry = op->op.telemetry;
    telemetry->retention.running = false;
    if (err == ERR_OK)
        telemetry->retention.series_next += op->items_done;
    else
        telemetry->retention.jobs_left = 0; /* the disk is in trouble: not before the next tick */
    telemetry_op_free(&op->op);
    submit(telemetry);
}

static void fill(struct retention_op *op, const struct telemetry *telemetry)
{
    const struct telemetry_registry *registry = &telemetry->registry;
    const struct telemetry_policy *policy = &telemetry->policy;
    const uint32_t days[RETENTION_LEVELS] = {policy->raw_days, policy->minutes5_days,
                                             policy->hour_days, policy->day_days};
    for (unsigned level = 0; level < RETENTION_LEVELS; level++)
        op->cutoff_ms[level] = days[level] == 0 ? INT64_MIN
                                                : telemetry->retention.clock_ms -
                                                      (int64_t)days[level] * TELEMETRY_DAY_MS;
    uint32_t next = telemetry->retention.series_next;
    for (; next < registry->series_count && op->item_count < JOB_SERIES; next++) {
        const struct telemetry_series *series = registry->series[next];
        op->item[op->item_count++] = (struct item){
            .series_id = series->series_id,
            .newest_at_ms = series->has_latest ? series->at_ms : INT64_MIN,
        };
    }
}

/* One job at a time, TICK_JOBS a tick. */
static void submit(struct telemetry *telemetry)
{
    struct telemetry_retention *retention = &telemetry->retention;
    if (retention->series_next >= telemetry->registry.series_count) {
        retention->series_next = 0;
        retention->jobs_left = 0;
        retention->pass_due_ms = retention->clock_mono_ms + PASS_MS;
    }
    if (retention->jobs_left == 0)
        return;
    struct retention_op *op = telemetry_op_create(telemetry, sizeof(*op));
    if (op == NULL)
        return; /* the next tick tries again */
    op->op.job = (struct store_job){.run = retention_run, .done = retention_done, .again = true};
    fill(op, telemetry);
    retention->jobs_left--;
    if (store_write(telemetry->options.store, &op->op.job) == ERR_OK)
        retention->running = true;
    else
        telemetry_op_free(&op->op);
}

/* What is in the database says how late it was when the program last ran. */
static int64_t newest_received(const struct telemetry *telemetry)
{
    int64_t newest_ms = 0;
    for (uint32_t i = 0; i < telemetry->registry.series_count; i++) {
        const struct telemetry_series *series = telemetry->registry.series[i];
        if (series->has_latest && series->received_at_ms > newest_ms)
            newest_ms = series->received_at_ms;
    }
    return newest_ms;
}

static void follow_clock(struct telemetry *telemetry, int64_t mono_ms)
{
    struct telemetry_retention *retention = &telemetry->retention;
    int64_t now_ms = telemetry_now_ms(telemetry);
    if (retention->clock_ms == 0) {
        int64_t newest_ms = newest_received(telemetry);
        retention->clock_ms = newest_ms > 0 && newest_ms < now_ms ? newest_ms : now_ms;
    } else {
        int64_t most_ms = retention->clock_ms + (mono_ms - retention->clock_mono_ms) * CLOCK_FASTER;
        if (now_ms > retention->clock_ms)
            retention->clock_ms = now_ms < most_ms ? now_ms : most_ms;
    }
    retention->clock_mono_ms = mono_ms;
}

void telemetry_retention_tick(struct telemetry *telemetry, int64_t mono_ms)
{
    struct telemetry_retention *retention = &telemetry->retention;
    follow_clock(telemetry, mono_ms);
    if (retention->running)
        return;
    if (retention->again && retention->series_next == 0)
        retention->again = false; /* the pass that begins here knows it */
    else if (!retention->again && mono_ms < retention->pass_due_ms)
        return;
    retention->jobs_left = TICK_JOBS;
    submit(telemetry);
}
