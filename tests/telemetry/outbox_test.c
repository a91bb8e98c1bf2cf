/* What waits for the column store: in the readings' transaction, whole, bounded. */
#include "telemetry_kit.h"

/* A sink that only counts its calls. */
static int kicks;
static enum err count_create(const struct telemetry_sink_options *options,
                             struct telemetry_sink **ret_sink)
{
    (void)options;
    *ret_sink = NULL;
    kicks = 0;
    return ERR_OK;
}
static void count_kick(struct telemetry_sink *sink)
{
    (void)sink;
    kicks++;
}
static void count_tick(struct telemetry_sink *sink, int64_t mono_ms)
{
    (void)sink;
    (void)mono_ms;
}
static void count_stats(const struct telemetry_sink *sink, struct telemetry_sink_stats *ret_stats)
{
    (void)sink;
    *ret_stats = (struct telemetry_sink_stats){.up = true, .version = "18.16.1", .rows = 7};
}
static void count_destroy(struct telemetry_sink *sink)
{
    (void)sink;
}
static const struct telemetry_sink_ops count_ops = {count_create, count_kick, count_tick,
                                                    count_stats, count_destroy};

static void open_with_sink(struct kit *kit, const struct telemetry_options *bounds)
{
    *kit = (struct kit){.now_ms = T0, .mono_ms = 5000};
    CHECK_OK(loop_create(&kit->loop));
    CHECK_OK(kit_try_open(kit, &(struct store_options){.path = NULL}, bounds, &count_ops));
}

static void check_sums(struct kit *kit)
{
    CHECK_EQ(kit_look(kit, LOOK_STATE_ROWS), kit_look(kit, LOOK_OUTBOX_ROWS));
    CHECK_EQ(kit_look(kit, LOOK_STATE_BYTES), kit_look(kit, LOOK_OUTBOX_BYTES));
}

/* ---- reading it back ---- */

enum { OUTBOX_ALL, OUTBOX_BATCH, OUTBOX_FIRST, OUTBOX_SQL_COUNT };
static const char *const outbox_sql[OUTBOX_SQL_COUNT] = {
    [OUTBOX_ALL] = "SELECT sink_table, day, row_count, bytes FROM telemetry_outbox",
    [OUTBOX_BATCH] = "INSERT INTO telemetry_batch (token, sink_table, day, first_outbox_id, "
                     "last_outbox_id, row_count, state, at) SELECT 'x', sink_table, day, "
                     "min(outbox_id), min(outbox_id), 1, 0, 0 FROM telemetry_outbox",
    [OUTBOX_FIRST] = "SELECT min(outbox_id), sink_table, day FROM telemetry_outbox",
};
static struct store_statements outbox_statements = {"outbox", outbox_sql, OUTBOX_SQL_COUNT, 0};

struct content {
    struct store_job job;
    int rows, days;
    double sum;
    int64_t day;
};

static enum err read_run(struct store_job *job, struct store_db *db)
{
    struct content *content = (struct content *)(void *)job;
    struct store_stmt *stmt = store_prepare(db, &outbox_statements, OUTBOX_ALL);
    enum err err;
    while ((err = store_row(stmt)) == ERR_OK) {
        enum telemetry_sink_table table = (enum telemetry_sink_table)store_col_i64(stmt, 0);
        struct str bytes = store_col_blob(stmt, 3);
        struct telemetry_outbox_row row;
        int64_t rows = 0;
        content->days += store_col_i64(stmt, 1) != content->day;
        content->day = store_col_i64(stmt, 1);
        while ((err = telemetry_outbox_decode(&bytes, table, &row)) == ERR_OK) {
            rows++;
            if (table == TELEMETRY_SINK_READINGS) {
                content->sum += row.of.reading.value;
                if (row.of.reading.at_ms / TELEMETRY_DAY_MS != content->day)
                    return ERR_INPUT;
            }
        }
        if (err != ERR_NOT_FOUND || rows != store_col_i64(stmt, 2))
            return ERR_INPUT;
        content->rows += (int)rows;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static struct content read_all(struct kit *kit)
{
    struct content content = {.job = {.run = read_run}};
    CHECK_OK(store_run_now(kit->store, &content.job));
    return content;
}

TEST(readings_go_there_in_the_same_transaction)
{
    struct kit kit;
    open_with_sink(&kit, NULL);
    for (int i = 0; i < 100; i++)
        CHECK_OK(
            kit_send_at(&kit, i % 2 == 0 ? "a" : "b", "temperature", i % 50, T0 - (i % 3) * DAY));
    kit_run(&kit);
    struct content content = read_all(&kit);
    CHECK_EQ(content.rows, 100);
    CHECK_EQ(content.days, 3);
    CHECK(content.sum == 2 * 49 * 50 / 2);
    CHECK_EQ(kit_look(&kit, LOOK_OUTBOX), 3); /* one row a day, not one a reading */
    CHECK_EQ(kicks, 1);
    check_sums(&kit);
    struct telemetry_stats stats;
    telemetry_tick(kit.telemetry, kit.mono_ms);
    kit_run(&kit);
    telemetry_stats_get(kit.telemetry, &stats);
    CHECK(stats.sink_configured && stats.sink_up);
    CHECK_STR(stats.sink_version, "18.16.1");
    CHECK_EQ(stats.outbox_rows, 100);
    CHECK_EQ(stats.outbox_oldest_ms, T0);
    kit_close(&kit);
}

TEST(a_big_batch_is_cut)
{
    struct kit kit;
    open_with_sink(&kit, NULL);
    static const char machine_id[] =
        "a-very-long-machine-id-of-sixty-four-characters-is-what-this-is0";
    for (int i = 0; i < 4000; i++)
        CHECK_OK(kit_send_at(&kit, machine_id, "a_type_with_a_rather_long_name_", i, T0 - i));
    kit_run(&kit);
    CHECK(kit_look(&kit, LOOK_OUTBOX) > 1);
    CHECK_EQ(read_all(&kit).rows, 4000);
    check_sums(&kit);
    kit_close(&kit);
}

/* ---- other rooms' rows ---- */

static const struct telemetry_action action = {.machine_id = STR_INIT("w"),
                                               .source = STR_INIT("model"),
                                               .command_id = 77,
                                               .at_ms = T0,
                                               .position_pct = 40,
                                               .requested_pct = 41,
                                               .confidence = 0.8,
                                               .temperature_c = 21,
                                               .humidity_pct = 50,
                                               .sound_volume = 0.25,
                                               .state = STR_INIT("complete"),
                                               .said_pct = 55,
                                               .said_confidence = 0.7,
                                               .said_version = STR_INIT("model-3")};
static const struct telemetry_device device = {.machine_id = STR_INIT("w"),
                                               .kind = STR_INIT("window"),
                                               .name = STR_INIT("Fenster \xC3\xA4"),
                                               .firmware = STR_INIT("1.2"),
                                               .admission = STR_INIT("allowed"),
                                               .at_ms = T0,
                                               .created_at_ms = T0 - 1,
                                               .last_seen_at_ms = T0 - 2,
                                               .online = true};
static const struct telemetry_prediction prediction = {.machine_id = STR_INIT("w"),
                                                 .model_version = STR_INIT("3"),
                                                 .decision = STR_INIT("moved"),
                                                 .request_id = STR_INIT("r"),
                                                 .at_ms = T0,
                                                 .temperature_c = 1,
                                                 .humidity_pct = 2,
                                                 .sound_volume = 3,
                                                 .position_pct = 4,
                                                 .confidence = 5,
                                                 .latency_ms = 6};

static enum err write_run(struct store_job *job, struct store_db *db)
{
    (void)job;
    enum err err = telemetry_write_action(db, &action);
    if (err == ERR_OK)
        err = telemetry_write_prediction(db, &prediction);
    return err == ERR_OK ? telemetry_write_device(db, &device) : err;
}

TEST(rows_of_other_rooms)
{
    struct kit kit;
    struct store_job job = {.run = write_run};
    open_with_sink(&kit, NULL);
    CHECK_OK(store_run_now(kit.store, &job));
    CHECK_EQ(kit_look(&kit, LOOK_OUTBOX), 3);
    CHECK_EQ(read_all(&kit).rows, 3);
    check_sums(&kit);
    kit_close(&kit);
    kit_open(&kit); /* no column store: nothing is written */
    CHECK_OK(store_run_now(kit.store, &job));
    CHECK_EQ(kit_look(&kit, LOOK_OUTBOX), 0);
    CHECK_OK(kit_send(&kit, "a", "temperature", "1"));
    kit_run(&kit);
    CHECK_EQ(kit_look(&kit, LOOK_OUTBOX), 0);
    kit_close(&kit);
}

static void check_text(struct str a, struct str b)
{
    CHECK(str_equal(a, b));
}

TEST(what_is_encoded_is_read_back)
{
    struct buf buf;
    struct telemetry_outbox_row rows[] = {
        {TELEMETRY_SINK_READINGS,
         {.reading = {T0, T0 + 5, TELEMETRY_ESTIMATED, -0.125, STR("m"), STR("t")}}},
        {TELEMETRY_SINK_ACTIONS, {.action = action}},
        {TELEMETRY_SINK_PREDICTIONS, {.prediction = prediction}},
        {TELEMETRY_SINK_DEVICES, {.device = device}},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        buf_init(&buf, TELEMETRY_OUTBOX_BYTES_MAX);
        CHECK_OK(telemetry_outbox_encode(&buf, &rows[i]));
        CHECK_OK(telemetry_outbox_encode(&buf, &rows[i]));
        struct telemetry_outbox_row row;
        /* Every prefix says so, and reads nothing beyond. */
        for (size_t len = 1; len < buf.len / 2; len++) {
            char *copy = kit_guard_page(buf.at, len);
            struct str cut = {copy, len};
            CHECK_ERR(telemetry_outbox_decode(&cut, rows[i].table, &row), ERR_INPUT);
            kit_free_guard(copy);
        }
        struct str bytes = buf_str(&buf);
        CHECK_OK(telemetry_outbox_decode(&bytes, rows[i].table, &row));
        CHECK_EQ(row.table, rows[i].table);
        switch (row.table) {
        case TELEMETRY_SINK_READINGS:
            CHECK_EQ(row.of.reading.received_at_ms, T0 + 5);
            CHECK_EQ(row.of.reading.provenance, TELEMETRY_ESTIMATED);
            CHECK(row.of.reading.value == -0.125);
            check_text(row.of.reading.type, STR("t"));
            break;
        case TELEMETRY_SINK_ACTIONS:
            CHECK_EQ(row.of.action.command_id, 77);
            CHECK(row.of.action.sound_volume == 0.25 && row.of.action.requested_pct == 41);
            check_text(row.of.action.state, action.state);
            CHECK(row.of.action.said_pct == 55 && row.of.action.said_confidence == 0.7);
            check_text(row.of.action.said_version, action.said_version);
            break;
        case TELEMETRY_SINK_PREDICTIONS:
            CHECK(row.of.prediction.latency_ms == 6);
            check_text(row.of.prediction.request_id, prediction.request_id);
            break;
        case TELEMETRY_SINK_DEVICES:
            CHECK(row.of.device.online);
            CHECK_EQ(row.of.device.last_seen_at_ms, T0 - 2);
            check_text(row.of.device.name, device.name);
            check_text(row.of.device.admission, device.admission);
            break;
        case TELEMETRY_SINK_TABLE_COUNT:
        default:
            kit_not_true("a table", __FILE__, __LINE__);
        }
        CHECK_OK(telemetry_outbox_decode(&bytes, rows[i].table, &row));
        CHECK_ERR(telemetry_outbox_decode(&bytes, rows[i].table, &row), ERR_NOT_FOUND);
        buf_finish(&buf);
    }
}

/* A text that is too long is cut between two characters. */
TEST(long_texts_are_cut)
{
    char name[300];
    struct buf buf;
    struct telemetry_outbox_row row = {TELEMETRY_SINK_DEVICES, {.device = device}};
    name[0] = 'x';
    for (size_t i = 1; i + 1 < sizeof(name); i += 2)
        memcpy(name + i, "\xC3\xA4", 2);
    row.of.device.name = (struct str){name, 299};
    buf_init(&buf, TELEMETRY_OUTBOX_BYTES_MAX);
    CHECK_OK(telemetry_outbox_encode(&buf, &row));
    struct str bytes = buf_str(&buf);
    CHECK_OK(telemetry_outbox_decode(&bytes, TELEMETRY_SINK_DEVICES, &row));
    CHECK_EQ(row.of.device.name.len, 255);
    CHECK(utf8_valid(row.of.device.name));
    name[0] = '\xC3';
    name[1] = '\xA4';
    for (size_t i = 2; i + 1 < sizeof(name); i += 2)
        memcpy(name + i, "\xC3\xA4", 2);
    row.of.device.name = (struct str){name, 298};
    buf.len = 0;
    CHECK_OK(telemetry_outbox_encode(&buf, &row));
    bytes = buf_str(&buf);
    CHECK_OK(telemetry_outbox_decode(&bytes, TELEMETRY_SINK_DEVICES, &row));
    CHECK_EQ(row.of.device.name.len, 254);
    buf_finish(&buf);
}

/* ---- the bound ---- */

static enum err batch_run(struct store_job *job, struct store_db *db)
{
    (void)job;
    return store_exec(db, store_prepare(db, &outbox_statements, OUTBOX_BATCH), NULL);
}

static void fill_outbox(struct kit *kit, int messages)
{
    for (int i = 0; i < messages; i++) {
        for (int r = 0; r < 100; r++)
            CHECK_OK(kit_send_at(kit, "a", "temperature", r % 50, T0 - r));
        kit_run(kit);
    }
}

static int64_t first_outbox_id;
static enum err first_run(struct store_job *job, struct store_db *db)
{
    (void)job;
    struct store_stmt *stmt = store_prepare(db, &outbox_statements, OUTBOX_FIRST);
    enum err err = store_row(stmt);
    if (err == ERR_OK)
        first_outbox_id = store_col_i64(stmt, 0);
    return err;
}

static enum err remove_run(struct store_job *job, struct store_db *db)
{
    (void)job;
    return telemetry_outbox_remove(db, TELEMETRY_SINK_READINGS, T0 / TELEMETRY_DAY_MS, 0,
                                   INT64_MAX);
}

TEST(the_oldest_gives_way)
{
    struct kit kit;
    struct telemetry_stats stats;
    open_with_sink(&kit, &(struct telemetry_options){.outbox_bytes_max = 64 * 1024});
    fill_outbox(&kit, 1);
    struct store_job batch = {.run = batch_run};
    CHECK_OK(store_run_now(kit.store, &batch)); /* the first is on its way */
    fill_outbox(&kit, 60);
    CHECK_EQ(kit.failures, 0);
    CHECK(kit_look(&kit, LOOK_OUTBOX_BYTES) <= 64 * 1024);
    check_sums(&kit);
    int64_t dropped = kit_look(&kit, LOOK_STATE_DROPPED);
    CHECK(dropped > 0);
    CHECK_EQ(dropped + kit_look(&kit, LOOK_OUTBOX_ROWS), 6100);
    CHECK_EQ(kit_look(&kit, LOOK_READINGS), 6100); /* never the series */
    CHECK_EQ(kit_look(&kit, LOOK_ALERTS_OPEN), 1);
    struct store_job first = {.run = first_run};
    CHECK_OK(store_run_now(kit.store, &first));
    CHECK_EQ(first_outbox_id, 1); /* what is on its way stays */
    telemetry_tick(kit.telemetry, kit.mono_ms);
    kit_run(&kit);
    telemetry_stats_get(kit.telemetry, &stats);
    CHECK_EQ(stats.sink_dropped_rows, dropped);
    /* The column store is back: the outbox drains, the alert goes. */
    struct store_job remove_all = {.run = remove_run};
    CHECK_OK(store_run_now(kit.store, &remove_all));
    CHECK_EQ(kit_look(&kit, LOOK_STATE_ROWS), 0);
    CHECK_EQ(kit_look(&kit, LOOK_STATE_BYTES), 0);
    telemetry_tick(kit.telemetry, kit.mono_ms += 6000);
    kit_run(&kit);
    CHECK_EQ(kit_look(&kit, LOOK_ALERTS_OPEN), 0);
    kit_close(&kit);
}
