/* Control: from nothing to tables that are ready, and every hour once more for retention.
 *
 *   policy -> version -> database -> (make it) -> tables -> columns -> TTL (new) -> expired <->
 * drop
 *
 * A failure ends the round; another follows after a growing pause.  What only retention cannot do
 * (no right to ALTER, say) is told and does not stop rows from being sent. */
#include "telemetry/clickhouse/clickhouse_int.h"

#include <string.h>

#define DROPS_MAX 10000 /* partitions in one round */

enum {
    STEP_NONE,
    STEP_POLICY,
    STEP_VERSION,
    STEP_DATABASE,
    STEP_DATABASE_MAKE,
    STEP_TABLE,
    STEP_COLUMNS,
    STEP_TTL,
    STEP_EXPIRED,
    STEP_DROP,
};

static void step_begin(struct telemetry_sink *sink, unsigned step);

/* ---- ends ---- */

static void again_in(struct telemetry_sink *sink, uint32_t first_ms, uint32_t max_ms)
{
    struct clickhouse_control *control = &sink->control;
    uint32_t wait_ms = telemetry_clickhouse_backoff(sink, control->tries, first_ms, max_ms);
    control->step = STEP_NONE;
    control->tries++;
    control->waits = true;
    sink->connected = false;
    loop_timer_set(control->timer, loop_now_ms(sink->options.loop) + wait_ms);
}

void telemetry_clickhouse_lost(struct telemetry_sink *sink, struct str why)
{
    telemetry_clickhouse_why(sink, "cannot reach it", why);
    sink->connected = false;
    if (sink->control.step == STEP_NONE && !sink->control.waits)
        again_in(sink, sink->limits.backoff_first_ms, sink->limits.backoff_max_ms);
}

static void refused(struct telemetry_sink *sink, const char *what, struct str text)
{
    telemetry_clickhouse_why(sink, what, text);
    again_in(sink, sink->limits.refused_first_ms, sink->limits.refused_max_ms);
}

static void ready(struct telemetry_sink *sink, bool clean)
{
    struct clickhouse_control *control = &sink->control;
    control->step = STEP_NONE;
    control->tries = 0;
    sink->connected = true;
    sink->upkeep_due_ms = loop_now_ms(sink->options.loop) + sink->limits.upkeep_ms;
    for (unsigned i = 0; i < TELEMETRY_SINK_TABLE_COUNT; i++)
        clean = clean && !sink->lane[i].failing;
    if (clean)
        sink->stats.why[0] = '\0';
    for (unsigned i = 0; i < TELEMETRY_SINK_TABLE_COUNT; i++)
        telemetry_clickhouse_lane_connected(&sink->lane[i]);
}

/* ---- the policy, from our own database ---- */

static struct telemetry_sink *of_job(struct store_job *job)
{
    return (struct telemetry_sink *)((char *)job - offsetof(struct telemetry_sink, control.job));
}

static enum err policy_run(struct store_job *job, struct store_db *db)
{
    return telemetry_clickhouse_keep_days(db, &of_job(job)->control.keep_days);
}

static void policy_done(struct store_job *job, enum err err)
{
    struct telemetry_sink *sink = of_job(job);
    if (sink->closing)
        return;
    if (err == ERR_OK)
        step_begin(sink, STEP_VERSION);
    else
        refused(sink, "own database", str_from(err_name(err)));
}

static void policy_begin(struct telemetry_sink *sink)
{
    struct clickhouse_control *control = &sink->control;
    control->step = STEP_POLICY;
    control->drops = 0;
    control->job.run = policy_run;
    control->job.done = policy_done;
    enum err err = store_read(sink->options.store, &control->job);
    if (err != ERR_OK)
        refused(sink, "own database", str_from(err_name(err)));
}

/* ---- steps that ask ClickHouse ---- */

static enum err step_sql(struct telemetry_sink *sink, unsigned step)
{
    struct clickhouse_control *control = &sink->control;
    struct buf *sql = &control->sql;
    switch (step) {
    case STEP_VERSION:
        return buf_add_str(sql, STR("SELECT version()"));
    case STEP_DATABASE:
        return buf_printf(sql, "SELECT count() FROM system.databases WHERE name = '%s'",
                          sink->database);
    case STEP_DATABASE_MAKE:
        return buf_printf(sql, "CREATE DATABASE IF NOT EXISTS `%s`", sink->database);
    case STEP_TABLE:
        return telemetry_clickhouse_create_sql(sql, control->table, sink->dialect,
                                               control->keep_days);
    case STEP_COLUMNS:
        return buf_add_str(sql, str_from(telemetry_clickhouse_columns_sql));
    case STEP_TTL:
        return telemetry_clickhouse_ttl_sql(sql, control->table, control->keep_days);
    case STEP_EXPIRED:
        return telemetry_clickhouse_expired_sql(sql, sink->options.wall_ms(sink->options.clock) -
                                                         control->keep_days * TELEMETRY_DAY_MS);
    default: /* STEP_DROP: its text is there already */
        return ERR_OK;
    }
}

static void step_begin(struct telemetry_sink *sink, unsigned step)
{
    struct clickhouse_control *control = &sink->control;
    struct telemetry_clickhouse_request request = {
        .channel = CLICKHOUSE_CONTROL,
        .without_database = step <= STEP_DATABASE_MAKE,
        /* The rule counts from now on; what is there already, DROP PARTITION takes. */
        .settings = step == STEP_TTL ? "&materialize_ttl_after_modify=0" : NULL,
    };
    control->step = step;
    if (step != STEP_DROP)
        control->sql.len = 0;
    enum err err = step_sql(sink, step);
    if (err == ERR_OK)
        err = buf_add(&control->sql, "", 1);
    request.sql = control->sql.at;
    if (err == ERR_OK)
        err = telemetry_clickhouse_http_send(sink->http, &request, sink->limits.timeout_ms);
    if (err != ERR_OK)
        refused(sink, "cannot ask", str_from(err_name(err)));
}

static void retention_begin(struct telemetry_sink *sink)
{
    if (sink->control.keep_days == 0)
        ready(sink, true);
    else
        step_begin(sink, STEP_EXPIRED);
}

/* Once, and when the policy changed.  The registry, the last of the tables, has no TTL. */
static void ttl_next(struct telemetry_sink *sink)
{
    struct clickhouse_control *control = &sink->control;
    if (sink->dialect == CLICKHOUSE_OLD || control->ttl_days == control->keep_days + 1)
        control->table = TELEMETRY_SINK_DEVICES;
    while (control->table < TELEMETRY_SINK_DEVICES &&
           sink->dialects[control->table] == CLICKHOUSE_OLD)
        control->table++;
    if (control->table < TELEMETRY_SINK_DEVICES) {
        step_begin(sink, STEP_TTL);
        return;
    }
    control->ttl_days = control->keep_days + 1;
    retention_begin(sink);
}

static void columns_answer(struct telemetry_sink *sink, struct str text)
{
    char why[TELEMETRY_WHY_BYTES];
    if (telemetry_clickhouse_columns_read(text, sink->dialects, why) != ERR_OK) {
        refused(sink, "its tables do not fit", str_from(why));
        return;
    }
    sink->control.table = 0;
    ttl_next(sink);
}

static void version_answer(struct telemetry_sink *sink, struct str text)
{
    text = str_slice(text, 0, str_find(text, '\n'));
    if (telemetry_clickhouse_dialect_of(text, &sink->dialect) != ERR_OK ||
        str_copy(sink->stats.version, sizeof(sink->stats.version), text) != ERR_OK) {
        refused(sink, "not ClickHouse", text);
        return;
    }
    step_begin(sink, STEP_DATABASE);
}

static void expired_answer(struct telemetry_sink *sink, struct str text)
{
    struct clickhouse_control *control = &sink->control;
    control->sql.len = 0;
    enum err err = telemetry_clickhouse_drop_sql(&control->sql, text);
    if (err == ERR_OK && control->drops++ < DROPS_MAX) {
        step_begin(sink, STEP_DROP);
        return;
    }
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        telemetry_clickhouse_why(sink, "retention", text);
    ready(sink, err == ERR_OK || err == ERR_NOT_FOUND);
}

static void step_answered(struct telemetry_sink *sink, struct str text)
{
    struct clickhouse_control *control = &sink->control;
    switch (control->step) {
    case STEP_VERSION:
        version_answer(sink, text);
        break;
    case STEP_DATABASE:
        control->table = 0;
        step_begin(sink, str_equal(text, STR("1\n")) ? STEP_TABLE : STEP_DATABASE_MAKE);
        break;
    case STEP_DATABASE_MAKE:
        step_begin(sink, STEP_TABLE);
        break;
    case STEP_TABLE:
        control->table++;
        step_begin(sink, control->table < TELEMETRY_SINK_TABLE_COUNT ? STEP_TABLE : STEP_COLUMNS);
        break;
    case STEP_COLUMNS:
        columns_answer(sink, text);
        break;
    case STEP_TTL:
        control->table++;
        ttl_next(sink);
        break;
    case STEP_EXPIRED:
        expired_answer(sink, text);
        break;
    case STEP_DROP:
        step_begin(sink, STEP_EXPIRED);
        break;
    default:
        break;
    }
}

void telemetry_clickhouse_control_answer(struct telemetry_sink *sink, enum err err, uint32_t status,
                                         struct str text)
{
    struct clickhouse_control *control = &sink->control;
    if (err == ERR_OK && status == 200) {
        step_answered(sink, text);
        return;
    }
    if (err == ERR_OK && control->step == STEP_TTL && control->keep_days == 0) {
        step_answered(sink, STR_NONE); /* there was none to take away */
        return;
    }
    if (err == ERR_OK && control->step >= STEP_TTL) {
        telemetry_clickhouse_why(sink, "retention", text);
        ready(sink, false);
        return;
    }
    if (err == ERR_OK || err == ERR_FULL) {
        refused(sink, "it says no", text);
        return;
    }
    telemetry_clickhouse_why(sink, "cannot reach it", text);
    again_in(sink, sink->limits.backoff_first_ms, sink->limits.backoff_max_ms);
}

void telemetry_clickhouse_connect(struct telemetry_sink *sink)
{
    if (sink->control.step == STEP_NONE && !sink->control.waits && !sink->closing)
        policy_begin(sink);
}

void telemetry_clickhouse_control_fire(void *cookie)
{
    struct telemetry_sink *sink = cookie;
    sink->control.waits = false;
    telemetry_clickhouse_connect(sink);
}
