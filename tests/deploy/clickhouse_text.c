/* What the sink says to ClickHouse, written into files for the tests of deploy/: the statements of
 * a dialect, and a day of rows in RowBinary.  clickhouse_text old|new NOW_MS FOLDER And how it
 * reads what ClickHouse says of its columns: clickhouse_text columns FILE */
#include "telemetry/clickhouse/clickhouse_int.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOURS     24
#define STEP_MS   ((int64_t)5 * 60 * 1000)
#define STEPS     (HOURS * 12)
#define KEEP_DAYS 30

struct out {
    const char *folder;
    enum telemetry_clickhouse_dialect dialect;
    struct buf rows[TELEMETRY_SINK_TABLE_COUNT];
    uint32_t count[TELEMETRY_SINK_TABLE_COUNT];
};

static void must(enum err err)
{
    if (err != ERR_OK) {
        (void)fprintf(stderr, "clickhouse_text: %s\n", err_name(err));
        exit(1);
    }
}

static void write_file(const struct out *out, const char *name, const char *kind,
                       const struct buf *bytes)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s.%s", out->folder, name, kind);
    must(file_write_atomic(path, bytes->at, bytes->len, 0644));
}

static void row(struct out *out, const struct telemetry_outbox_row *row)
{
    struct id128 batch = {
        {0xab, 0xcd, 0xef, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, (uint8_t)row->table}};
    must(telemetry_clickhouse_row(&out->rows[row->table], row, out->dialect, batch,
                                  out->count[row->table]++));
}

static void reading(struct out *out, int64_t at_ms, const char *machine, const char *type,
                    double value)
{
    struct telemetry_outbox_row made = {.table = TELEMETRY_SINK_READINGS};
    made.of.reading = (struct telemetry_outbox_reading){
        at_ms, at_ms + 40, TELEMETRY_SIMULATED, value, str_from(machine), str_from(type)};
    row(out, &made);
}

static void climate(struct out *out, int64_t at_ms, const char *machine, double temperature,
                    double wave, int step)
{
    static const char *const decisions[] = {"commanded", "held_low_confidence", "no_change",
                                            "held_manual", "no_answer"};
    bool answered = step % 5 != 4;
    static const char *const sources[] = {"model", "person"};
    double position = 50 + 40 * wave;
    struct telemetry_outbox_row made = {.table = TELEMETRY_SINK_PREDICTIONS};
    made.of.prediction = (struct telemetry_prediction){
        .machine_id = str_from(machine),
        .model_version = step < STEPS / 2 ? STR("1") : STR("2"),
        .decision = str_from(decisions[step % 5]),
        .request_id = STR("req-1"),
        .at_ms = at_ms,
        .temperature_c = temperature,
        .humidity_pct = 50 + 8 * wave,
        .sound_volume = 0.05 + 0.04 * (step % 5),
        .position_pct = answered ? position : NAN,
        .confidence = answered ? 0.5 + 0.4 * wave * wave : NAN,
        .latency_ms = answered ? 0.2 + 0.01 * (step % 7) : 2000,
    };
    row(out, &made);
    made.table = TELEMETRY_SINK_ACTIONS;
    made.of.action = (struct telemetry_action){
        .machine_id = str_from(machine),
        .source = str_from(sources[step % 2]),
        .command_id = (uint64_t)step,
        .at_ms = at_ms + 50,
        .position_pct = position,
        .requested_pct = position + 1,
        .confidence = step % 2 == 0 ? 0.8 : NAN,
        .temperature_c = temperature,
        .humidity_pct = 50,
        .sound_volume = 0.1,
        .state = STR("complete"),
        /* As the server writes it: with what a person set, and only there. */
        .said_pct = step % 2 == 1 ? position + step % 17 - 8 : NAN,
        .said_confidence = step % 2 == 1 ? 0.7 : NAN,
        .said_version = step % 2 == 0      ? STR("")
                        : step < STEPS / 2 ? STR("1")
                                           : STR("2"),
    };
    if (step % 3 == 0)
        row(out, &made);
}

static void device(struct out *out, int64_t at_ms, const char *machine, bool online)
{
    struct telemetry_outbox_row made = {.table = TELEMETRY_SINK_DEVICES};
    made.of.device = (struct telemetry_device){.machine_id = str_from(machine),
                                               .kind = STR("window"),
                                               .name = STR("by the door"),
                                               .firmware = STR("1.4.0"),
                                               .admission = STR("allowed"),
                                               .at_ms = at_ms,
                                               .created_at_ms = at_ms - TELEMETRY_DAY_MS,
                                               .last_seen_at_ms = at_ms,
                                               .online = online};
    row(out, &made);
}

static void fill(struct out *out, int64_t now_ms)
{
    static const char *const machines[] = {"window-1", "window-2", "o'hara"};
    for (int step = 0; step <= STEPS; step++) {
        int64_t at_ms = now_ms - (STEPS - step) * STEP_MS;
        for (int i = 0; i < 3; i++) {
            double wave = sin(step / 20.0 + i);
            reading(out, at_ms, machines[i], "temperature", 22 + 3 * wave);
            reading(out, at_ms, machines[i], "humidity", 50 + 10 * wave);
            reading(out, at_ms, machines[i], "sound_volume", 0.1 + 0.05 * wave);
            reading(out, at_ms, machines[i], "sound_dbfs", -30 + 6 * wave);
            climate(out, at_ms, machines[i], 22 + 3 * wave, wave, step);
            if (step % 40 == 0)
                device(out, at_ms, machines[i], step % 80 == 0);
        }
    }
}

static void statements(struct out *out, enum telemetry_sink_table table)
{
    struct buf sql;
    const char *name = telemetry_clickhouse_table_name(table);
    buf_init(&sql, 8 * KIB);
    must(telemetry_clickhouse_create_sql(&sql, table, out->dialect, KEEP_DAYS));
    write_file(out, name, "create", &sql);
    sql.len = 0;
    must(telemetry_clickhouse_insert_sql(&sql, table, out->dialect));
    write_file(out, name, "insert", &sql);
    sql.len = 0;
    must(telemetry_clickhouse_ttl_sql(&sql, table, 2 * KEEP_DAYS));
    write_file(out, name, "ttl", &sql);
    write_file(out, name, "rows", &out->rows[table]);
    buf_finish(&sql);
}

/* "new" or "old" for each table, or why not. */
static int read_columns(const char *path)
{
    struct buf answer;
    char why[TELEMETRY_WHY_BYTES];
    enum telemetry_clickhouse_dialect dialects[TELEMETRY_SINK_TABLE_COUNT];
    must(file_read(path, 64 * KIB, &answer));
    if (telemetry_clickhouse_columns_read(buf_str(&answer), dialects, why) != ERR_OK) {
        (void)puts(why);
    } else {
        for (size_t i = 0; i < TELEMETRY_SINK_TABLE_COUNT; i++)
            (void)puts(dialects[i] == CLICKHOUSE_NEW ? "new" : "old");
    }
    buf_finish(&answer);
    return 0;
}

int main(int argc, char **argv)
{
    struct out out;
    struct buf sql;
    if (argc == 3 && strcmp(argv[1], "columns") == 0)
        return read_columns(argv[2]);
    if (argc != 4) {
        (void)fprintf(stderr, "clickhouse_text old|new NOW_MS FOLDER\n");
        return 2;
    }
    int64_t now_ms = strtoll(argv[2], NULL, 10);
    memset(&out, 0, sizeof(out));
    out.dialect = strcmp(argv[1], "new") == 0 ? CLICKHOUSE_NEW : CLICKHOUSE_OLD;
    out.folder = argv[3];
    for (size_t i = 0; i < TELEMETRY_SINK_TABLE_COUNT; i++)
        buf_init(&out.rows[i], 16 * MIB);
    fill(&out, now_ms);
    for (unsigned i = 0; i < TELEMETRY_SINK_TABLE_COUNT; i++) {
        statements(&out, (enum telemetry_sink_table)i);
        buf_finish(&out.rows[i]);
    }
    buf_init(&sql, 8 * KIB);
    must(buf_add_str(&sql, str_from(telemetry_clickhouse_columns_sql)));
    write_file(&out, "columns", "select", &sql);
    sql.len = 0;
    must(telemetry_clickhouse_expired_sql(&sql, now_ms));
    write_file(&out, "expired", "select", &sql);
    buf_finish(&sql);
    return 0;
}
