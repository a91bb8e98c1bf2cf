/* The sink's table of functions, and what its two state machines share.  Both are on the loop. */
#include "telemetry/clickhouse/clickhouse_int.h"

#include <stdio.h>
#include <string.h>

const struct telemetry_clickhouse_limits telemetry_clickhouse_limits = {
    .timeout_ms = 30000,
    .backoff_first_ms = 500,
    .backoff_max_ms = 60000,
    .refused_first_ms = 5000,
    .refused_max_ms = 300000,
    .batch_rows_max = 50000,
    .batch_bytes_max = 2 * MIB,
    .upkeep_ms = 3600000,
};

/* Doubling, with a quarter of jitter either way, so that many servers do not knock together. */
uint32_t telemetry_clickhouse_backoff(struct telemetry_sink *sink, uint32_t tries,
                                      uint32_t first_ms, uint32_t max_ms)
{
    uint64_t wait_ms = (uint64_t)first_ms << (tries < 20 ? tries : 20);
    if (wait_ms > max_ms)
        wait_ms = max_ms;
    return (uint32_t)(wait_ms * 3 / 4 + rng_below(&sink->rng, (uint32_t)(wait_ms / 2) + 1));
}

/* One line of plain text, whatever a server answered. */
void telemetry_clickhouse_why(struct telemetry_sink *sink, const char *what, struct str text)
{
    char line[TELEMETRY_WHY_BYTES];
    size_t len = text.len < sizeof(line) - 1 ? text.len : sizeof(line) - 1;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        line[i] = c >= 0x20 && c < 0x7f ? (char)c : ' ';
    }
    while (len > 0 && line[len - 1] == ' ')
        len--;
    (void)snprintf(sink->stats.why, sizeof(sink->stats.why), "%.40s%s%.*s", what,
                   len > 0 ? ": " : "", (int)(len < 110 ? len : 110), line);
}

static void on_answer(void *cookie, unsigned channel, enum err err, uint32_t status,
                      struct str text)
{
    struct telemetry_sink *sink = cookie;
    if (channel == CLICKHOUSE_CONTROL)
        telemetry_clickhouse_control_answer(sink, err, status, text);
    else
        telemetry_clickhouse_lane_answer(&sink->lane[channel], err, status, text);
}

/* ---- looking for work ---- */

static enum err look_run(struct store_job *job, struct store_db *db)
{
    struct telemetry_sink *sink =
        (struct telemetry_sink *)((char *)job - offsetof(struct telemetry_sink, look));
    return telemetry_clickhouse_batch_look(db, &sink->look_tables);
}

static void look_done(struct store_job *job, enum err err)
{
    struct telemetry_sink *sink =
        (struct telemetry_sink *)((char *)job - offsetof(struct telemetry_sink, look));
    sink->looking = false;
    if (err != ERR_OK)
        sink->dirty = true;
    if (err != ERR_OK || sink->closing)
        return;
    for (unsigned i = 0; i < TELEMETRY_SINK_TABLE_COUNT; i++) {
        if ((sink->look_tables >> i & 1U) != 0)
            telemetry_clickhouse_lane_start(&sink->lane[i]);
    }
}

static void look(struct telemetry_sink *sink)
{
    sink->look.run = look_run;
    sink->look.done = look_done;
    sink->looking = true;
    sink->dirty = false;
    if (store_read(sink->options.store, &sink->look) != ERR_OK) {
        sink->looking = false;
        sink->dirty = true;
    }
}

static void sink_kick(struct telemetry_sink *sink)
{
    sink->dirty = true; /* the next tick gathers what a second brought into one batch */
}

static void sink_tick(struct telemetry_sink *sink, int64_t mono_ms)
{
    (void)mono_ms; /* our deadlines are on the loop's clock */
    if (!sink->connected || loop_now_ms(sink->options.loop) >= sink->upkeep_due_ms)
        telemetry_clickhouse_connect(sink);
    if (sink->connected && sink->dirty && !sink->looking)
        look(sink);
}

static void sink_stats(const struct telemetry_sink *sink, struct telemetry_sink_stats *ret_stats)
{
    *ret_stats = sink->stats;
    ret_stats->up = sink->connected;
    for (unsigned i = 0; i < TELEMETRY_SINK_TABLE_COUNT; i++)
        ret_stats->up = ret_stats->up && !sink->lane[i].failing;
    if (ret_stats->up)
        ret_stats->why[0] = '\0';
}

/* ---- making ---- */

static void sink_destroy(struct telemetry_sink *sink)
{
    if (sink == NULL)
        return;
    sink->closing = true;
    telemetry_clickhouse_http_destroy(sink->http);
    for (unsigned i = 0; i < TELEMETRY_SINK_TABLE_COUNT; i++) {
        loop_timer_destroy(sink->lane[i].timer);
        buf_finish(&sink->lane[i].body);
    }
    loop_timer_destroy(sink->control.timer);
    buf_finish(&sink->control.sql);
    mem_free(sink);
}

static enum err open_parts(struct telemetry_sink *sink,
                           const struct telemetry_sink_options *options)
{
    enum err err = loop_timer_create(options->loop, telemetry_clickhouse_control_fire, sink,
                                     &sink->control.timer);
    for (unsigned i = 0; err == ERR_OK && i < TELEMETRY_SINK_TABLE_COUNT; i++) {
        struct clickhouse_lane *lane = &sink->lane[i];
        lane->sink = sink;
        lane->table = (enum telemetry_sink_table)i;
        err = loop_timer_create(options->loop, telemetry_clickhouse_lane_fire, lane, &lane->timer);
    }
    return err == ERR_OK ? telemetry_clickhouse_http_create(options, on_answer, sink, &sink->http)
                         : err;
}

/* It goes into SQL and URLs as it is. */
static bool database_valid(struct str name)
{
    bool valid = name.len > 0 && name.len <= 64 && !(name.at[0] >= '0' && name.at[0] <= '9');
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        valid = valid && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '_');
    }
    return valid;
}

static enum err sink_create(const struct telemetry_sink_options *given,
                            struct telemetry_sink **ret_sink)
{
    uint64_t seed = 0;
    struct telemetry_sink_options options = *given;
    if (options.database == NULL || options.database[0] == '\0')
        options.database = "automat";
    if (options.url == NULL || !database_valid(str_from(options.database)))
        return ERR_INPUT;
    struct telemetry_sink *sink = mem_zalloc(sizeof(*sink));
    if (sink == NULL)
        return ERR_NOMEM;
    sink->options = options;
    sink->limits = telemetry_clickhouse_limits;
    sink->dirty = true; /* what waits since the last run */
    buf_init(&sink->control.sql, 4 * KIB);
    for (unsigned i = 0; i < TELEMETRY_SINK_TABLE_COUNT; i++)
        buf_init(&sink->lane[i].body, CLICKHOUSE_GROWTH * sink->limits.batch_bytes_max);
    telemetry_clickhouse_why(sink, "not connected yet", STR_NONE);
    enum err err = str_copy(sink->database, sizeof(sink->database), str_from(options.database));
    if (err == ERR_OK)
        err = sys_random(&seed, sizeof(seed));
    if (err == ERR_OK) {
        rng_init(&sink->rng, seed);
        err = open_parts(sink, &options);
    }
    if (err != ERR_OK) {
        sink_destroy(sink);
        return err;
    }
    *ret_sink = sink;
    return ERR_OK;
}

const struct telemetry_sink_ops telemetry_sink_clickhouse = {
    .create = sink_create,
    .kick = sink_kick,
    .tick = sink_tick,
    .stats = sink_stats,
    .destroy = sink_destroy,
};
