/* A lane carries the rows of one table, one batch at a time.
 *
 *   idle -> opening -> loading -> sending -> closing -> idle
 *                        ^  |        |          |
 *                        |  v        v          v
 *   look stored <- look running <- unsure <-----+
 *
 * Unsure: the batch may have arrived or not (no answer, a no, a restart of ours, our own database
 * failed).  Nothing is sent again before we asked twice: is an INSERT of this name still running,
 * and which of its rows are there?  The order matters: one that ends between the two questions is
 * seen by the second. */
#include "telemetry/clickhouse/clickhouse_int.h"

#include <stdio.h>
#include <string.h>

static void send_rows(struct clickhouse_lane *lane);
static void load(struct clickhouse_lane *lane, uint32_t from);
static void look_running(struct clickhouse_lane *lane);

/* ---- when something failed ---- */

static void unsure(struct clickhouse_lane *lane, uint32_t first_ms, uint32_t max_ms)
{
    struct telemetry_sink *sink = lane->sink;
    uint32_t wait_ms = telemetry_clickhouse_backoff(sink, lane->tries, first_ms, max_ms);
    lane->state = LANE_UNSURE;
    lane->unsure = true;
    lane->tries++;
    lane->waits = true;
    loop_timer_set(lane->timer, loop_now_ms(sink->options.loop) + wait_ms);
}

/* It answered, and the answer was a no: this table's rows wait, the others go on. */
static void refused(struct clickhouse_lane *lane, const char *what, struct str text)
{
    struct telemetry_sink *sink = lane->sink;
    lane->failing = true;
    telemetry_clickhouse_why(sink, what, text);
    unsure(lane, sink->limits.refused_first_ms, sink->limits.refused_max_ms);
}

static void own_failure(struct clickhouse_lane *lane, enum err err)
{
    if (err == ERR_CLOSED || lane->sink->closing)
        return; /* the end; the batch is on record */
    refused(lane, "own database", str_from(err_name(err)));
}

static void failed(struct clickhouse_lane *lane, enum err err, uint32_t status, struct str text)
{
    char what[48];
    if (err == ERR_OK) {
        (void)snprintf(what, sizeof(what), "%s: status %u",
                       telemetry_clickhouse_table_name(lane->table), status);
        refused(lane, what, text);
        return;
    }
    lane->state = LANE_UNSURE; /* goes on when we are connected again */
    lane->unsure = true;
    telemetry_clickhouse_lost(lane->sink, text);
}

/* ---- jobs ---- */

static struct clickhouse_lane *of_job(struct store_job *job)
{
    return (struct clickhouse_lane *)((char *)job - offsetof(struct clickhouse_lane, job));
}

static enum err open_run(struct store_job *job, struct store_db *db)
{
    struct clickhouse_lane *lane = of_job(job);
    const struct telemetry_sink *sink = lane->sink;
    return telemetry_clickhouse_batch_open(
        db, lane->table, sink->options.wall_ms(sink->options.clock), sink->limits.batch_rows_max,
        sink->limits.batch_bytes_max, &lane->batch);
}

static void open_done(struct store_job *job, enum err err)
{
    struct clickhouse_lane *lane = of_job(job);
    lane->state = LANE_IDLE;
    if (lane->sink->closing || err == ERR_NOT_FOUND)
        return;
    if (err != ERR_OK) {
        lane->sink->dirty = true;
        return;
    }
    lane->unsure = lane->batch.resumed;
    load(lane, 0);
}

void telemetry_clickhouse_lane_start(struct clickhouse_lane *lane)
{
    if (lane->state != LANE_IDLE || !lane->sink->connected)
        return;
    lane->job = (struct store_job){.run = open_run, .done = open_done};
    lane->state = LANE_OPENING;
    lane->loaded = false;
    if (store_write(lane->sink->options.store, &lane->job) != ERR_OK) {
        lane->state = LANE_IDLE;
        lane->sink->dirty = true;
    }
}

static enum err close_run(struct store_job *job, struct store_db *db)
{
    return telemetry_clickhouse_batch_close(db, &of_job(job)->batch);
}

static void close_done(struct store_job *job, enum err err)
{
    struct clickhouse_lane *lane = of_job(job);
    struct telemetry_sink *sink = lane->sink;
    if (err != ERR_OK) {
        own_failure(lane, err);
        return;
    }
    sink->stats.batches++;
    sink->stats.rows += lane->batch.row_count;
    sink->stats.dropped_rows += lane->batch.unreadable_rows;
    lane->state = LANE_IDLE;
    lane->tries = 0;
    if (lane->failing && sink->connected)
        sink->stats.why[0] = '\0';
    lane->failing = false;
    buf_finish(&lane->body);
    buf_init(&lane->body, CLICKHOUSE_GROWTH * sink->limits.batch_bytes_max);
    sink->dirty = true; /* another day may wait */
    if (lane->batch.full && !sink->closing)
        telemetry_clickhouse_lane_start(lane);
}

static void close_batch(struct clickhouse_lane *lane)
{
    lane->job = (struct store_job){.run = close_run, .done = close_done};
    lane->state = LANE_CLOSING;
    enum err err = store_write(lane->sink->options.store, &lane->job);
    if (err != ERR_OK)
        own_failure(lane, err);
}

static enum err load_run(struct store_job *job, struct store_db *db)
{
    struct clickhouse_lane *lane = of_job(job);
    return telemetry_clickhouse_batch_load(db, &lane->batch, lane->sink->dialects[lane->table],
                                           lane->from, &lane->body);
}

static void load_done(struct store_job *job, enum err err)
{
    struct clickhouse_lane *lane = of_job(job);
    if (err != ERR_OK) {
        own_failure(lane, err);
        return;
    }
    lane->loaded = true;
    if (lane->sink->closing)
        lane->state = LANE_UNSURE;
    else if (lane->batch.row_count == 0)
        close_batch(lane); /* nothing in it that can be read */
    else if (lane->unsure)
        look_running(lane);
    else
        send_rows(lane);
}

static void load(struct clickhouse_lane *lane, uint32_t from)
{
    lane->job = (struct store_job){.run = load_run, .done = load_done};
    lane->state = LANE_LOADING;
    lane->loaded = false;
    lane->from = from;
    enum err err = store_read(lane->sink->options.store, &lane->job);
    if (err != ERR_OK)
        own_failure(lane, err);
}

/* ---- requests ---- */

static void ask(struct clickhouse_lane *lane, enum clickhouse_lane_state state,
                const struct telemetry_clickhouse_request *request)
{
    struct telemetry_sink *sink = lane->sink;
    lane->state = state;
    enum err err = telemetry_clickhouse_http_send(sink->http, request, sink->limits.timeout_ms);
    if (err != ERR_OK)
        refused(lane, "cannot ask", str_from(err_name(err)));
}

static void send_rows(struct clickhouse_lane *lane)
{
    struct telemetry_sink *sink = lane->sink;
    struct buf sql;
    char token[ID128_TEXT_BYTES];
    char settings[512];
    if (!sink->connected) {
        lane->state = LANE_UNSURE;
        return;
    }
    id128_text(lane->batch.token, token);
    /* All rows are one block, and with one day that is one part: there at once, or not at all. */
    int len = snprintf(settings, sizeof(settings),
                       "&query_id=%s&max_insert_block_size=1048576"
                       "&min_insert_block_size_rows=1048576&min_insert_block_size_bytes=268435456",
                       token);
    if (sink->dialect == CLICKHOUSE_NEW)
        (void)snprintf(settings + len, sizeof(settings) - (size_t)len,
                       "&async_insert=0&insert_deduplicate=1&insert_deduplication_token=%s-%u",
                       token, lane->from);
    buf_init(&sql, 2 * KIB);
    enum err err = telemetry_clickhouse_insert_sql(&sql, lane->table, sink->dialects[lane->table]);
    if (err == ERR_OK)
        err = buf_add(&sql, "", 1);
    if (err == ERR_OK)
        ask(lane, LANE_SENDING,
            &(struct telemetry_clickhouse_request){.channel = lane->table,
                                                   .sql = sql.at,
                                                   .rows = buf_str(&lane->body),
                                                   .settings = settings});
    else
        refused(lane, "cannot ask", str_from(err_name(err)));
    buf_finish(&sql);
}

static void look_running(struct clickhouse_lane *lane)
{
    char sql[160];
    char token[ID128_TEXT_BYTES];
    if (!lane->sink->connected) {
        lane->state = LANE_UNSURE;
        return;
    }
    id128_text(lane->batch.token, token);
    (void)snprintf(sql, sizeof(sql), "SELECT count() FROM system.processes WHERE query_id = '%s'",
                   token);
    ask(lane, LANE_LOOK_RUNNING,
        &(struct telemetry_clickhouse_request){.channel = lane->table, .sql = sql});
}

static void look_stored(struct clickhouse_lane *lane)
{
    char sql[320];
    char t[ID128_TEXT_BYTES];
    int64_t day_s = lane->batch.day * (TELEMETRY_DAY_MS / 1000);
    int64_t next_s = day_s + TELEMETRY_DAY_MS / 1000;
    id128_text(lane->batch.token, t);
    (void)snprintf(sql, sizeof(sql),
                   "SELECT uniqExact(row), max(row) FROM %s WHERE batch = "
                   "toUUID('%.8s-%.4s-%.4s-%.4s-%s') AND at >= toDateTime(%lld, 'UTC') AND "
                   "at < toDateTime(%lld, 'UTC') FORMAT TabSeparated",
                   telemetry_clickhouse_table_name(lane->table), t, t + 8, t + 12, t + 16, t + 20,
                   (long long)day_s, (long long)next_s);
    ask(lane, LANE_LOOK_STORED,
        &(struct telemetry_clickhouse_request){.channel = lane->table, .sql = sql});
}

/* ---- answers ---- */

static void running_answer(struct clickhouse_lane *lane, struct str text)
{
    if (str_equal(text, STR("0\n"))) {
        look_stored(lane);
        return;
    }
    if (text.len > 1 && text.len < 6) /* a number: it is still at it */
        unsure(lane, lane->sink->limits.backoff_first_ms, lane->sink->limits.backoff_max_ms);
    else
        refused(lane, "not an answer", text);
}

static void stored_answer(struct clickhouse_lane *lane, struct str text)
{
    uint64_t rows, last;
    size_t tab = str_find(text, '\t');
    struct str tail = str_slice(text, tab + 1, text.len);
    if (str_to_u64(str_slice(text, 0, tab), &rows) != ERR_OK ||
        str_to_u64(str_slice(tail, 0, str_find(tail, '\n')), &last) != ERR_OK) {
        refused(lane, "not an answer", text);
        return;
    }
    lane->unsure = false;
    if (rows >= lane->batch.row_count) {
        close_batch(lane);
        return;
    }
    /* An INSERT whose connection broke at the edge of a row left its first rows.  Anything else
     * with holes (rows that aged away meanwhile) is sent whole: what is there twice then is equal
     * in all of the key, and merges into one. */
    uint32_t from = rows > 0 && last + 1 == rows ? (uint32_t)rows : 0;
    lane->sink->stats.retries++;
    if (lane->loaded && lane->from == from)
        send_rows(lane);
    else
        load(lane, from);
}

void telemetry_clickhouse_lane_answer(struct clickhouse_lane *lane, enum err err, uint32_t status,
                                      struct str text)
{
    if (err != ERR_OK || status != 200) {
        failed(lane, err, status, text);
        return;
    }
    if (lane->state == LANE_SENDING && text.len == 0)
        close_batch(lane);
    else if (lane->state == LANE_LOOK_RUNNING)
        running_answer(lane, text);
    else if (lane->state == LANE_LOOK_STORED)
        stored_answer(lane, text);
    else
        refused(lane, "not an answer", text); /* somebody else's 200 */
}

/* ---- going on ---- */

void telemetry_clickhouse_lane_connected(struct clickhouse_lane *lane)
{
    if (lane->state != LANE_UNSURE || lane->waits)
        return;
    if (lane->loaded)
        look_running(lane);
    else
        load(lane, lane->from);
}

/* Connect anew first: perhaps somebody dropped the table, or the server became another. */
void telemetry_clickhouse_lane_fire(void *cookie)
{
    struct clickhouse_lane *lane = cookie;
    lane->waits = false;
    if (lane->sink->connected)
        telemetry_clickhouse_connect(lane->sink);
}
