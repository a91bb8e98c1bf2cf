/* What is pure in clickhouse/: the statements, and the bytes of a row. */
#include "telemetry/clickhouse/clickhouse_int.h"

#include "kit/kit.h"
#include <math.h>
#include <string.h>

static const struct id128 batch_id = {{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99,
                                       0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}};

TEST(a_version_decides_how_tables_are_made)
{
    enum telemetry_clickhouse_dialect dialect;
    CHECK_OK(telemetry_clickhouse_dialect_of(STR("18.16.1"), &dialect));
    CHECK_EQ(dialect, CLICKHOUSE_OLD);
    CHECK_OK(telemetry_clickhouse_dialect_of(STR("21.8.15.7"), &dialect));
    CHECK_EQ(dialect, CLICKHOUSE_OLD);
    CHECK_OK(telemetry_clickhouse_dialect_of(STR("26.7.2.1"), &dialect));
    CHECK_EQ(dialect, CLICKHOUSE_NEW);
    CHECK_ERR(telemetry_clickhouse_dialect_of(STR(""), &dialect), ERR_INPUT);
    CHECK_ERR(telemetry_clickhouse_dialect_of(STR("<html>."), &dialect), ERR_INPUT);
    CHECK_ERR(telemetry_clickhouse_dialect_of(STR("26"), &dialect), ERR_INPUT);
}

static bool has(const struct buf *sql, const char *part)
{
    return memmem(sql->at, sql->len, part, strlen(part)) != NULL;
}

TEST(the_old_dialect_has_nothing_that_18_16_lacks)
{
    for (unsigned i = 0; i < TELEMETRY_SINK_TABLE_COUNT; i++) {
        struct buf sql;
        buf_init(&sql, 8 * KIB);
        CHECK_OK(telemetry_clickhouse_create_sql(&sql, (enum telemetry_sink_table)i, CLICKHOUSE_OLD,
                                                 30));
        CHECK(!has(&sql, "TTL") && !has(&sql, "CODEC") && !has(&sql, "LowCardinality"));
        CHECK(!has(&sql, "DateTime64") && !has(&sql, "deduplication"));
        CHECK(has(&sql, "batch UUID") && has(&sql, "row UInt32") && has(&sql, "at_ms UInt16"));
        buf_finish(&sql);
    }
}

TEST(the_new_dialect_ages_all_but_the_registry)
{
    for (unsigned i = 0; i < TELEMETRY_SINK_TABLE_COUNT; i++) {
        enum telemetry_sink_table table = (enum telemetry_sink_table)i;
        struct buf sql;
        buf_init(&sql, 8 * KIB);
        CHECK_OK(telemetry_clickhouse_create_sql(&sql, table, CLICKHOUSE_NEW, 30));
        CHECK_EQ(has(&sql, "TTL toDateTime(at) + INTERVAL 30 DAY"),
                 table != TELEMETRY_SINK_DEVICES);
        CHECK(has(&sql, "DateTime64(3, 'UTC')") && has(&sql, "LowCardinality(String)"));
        sql.len = 0;
        CHECK_OK(telemetry_clickhouse_create_sql(&sql, table, CLICKHOUSE_NEW, 0));
        CHECK(!has(&sql, "TTL to"));
        buf_finish(&sql);
    }
}

TEST(insert_names_the_columns_that_are_sent)
{
    struct buf sql;
    buf_init(&sql, 8 * KIB);
    CHECK_OK(telemetry_clickhouse_insert_sql(&sql, TELEMETRY_SINK_READINGS, CLICKHOUSE_OLD));
    CHECK_SLICE(buf_str(&sql),
                "INSERT INTO sensor_readings (at, at_ms, received_at, machine_id, type, value, "
                "provenance, batch, row) FORMAT RowBinary");
    sql.len = 0;
    CHECK_OK(telemetry_clickhouse_insert_sql(&sql, TELEMETRY_SINK_DEVICES, CLICKHOUSE_NEW));
    CHECK_SLICE(buf_str(&sql),
                "INSERT INTO device_registry (at, machine_id, kind, name, firmware, admission, "
                "created_at, last_seen_at, online, batch, row) FORMAT RowBinary");
    buf_finish(&sql);
}

TEST(a_reading_in_row_binary)
{
    static const uint8_t expected[] = {
        0x00, 0xf1, 0x53, 0x65, 0x7b, 0x00, /* 1700000000 s, 123 ms */
        0x01, 0xf1, 0x53, 0x65,             /* received a second later */
        3,    'm',  '-',  '1',  4,    't',  'e',  'm',  'p', 0,   0,    0,
        0,    0,    0,    0xf8, 0x3f, /* 1.5 */
        9,    's',  'i',  'm',  'u',  'l',  'a',  't',  'e', 'd', 0x77, 0x66,
        0x55, 0x44, 0x33, 0x22, 0x11, 0x00, /* the two halves of the UUID */
        0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88, 7,   0,   0,    0};
    struct telemetry_outbox_row row = {.table = TELEMETRY_SINK_READINGS};
    struct buf bytes;
    row.of.reading = (struct telemetry_outbox_reading){.at_ms = 1700000000123,
                                                       .received_at_ms = 1700000001000,
                                                       .provenance = TELEMETRY_SIMULATED,
                                                       .value = 1.5,
                                                       .machine_id = STR("m-1"),
                                                       .type = STR("temp")};
    buf_init(&bytes, 1 * KIB);
    CHECK_OK(telemetry_clickhouse_row(&bytes, &row, CLICKHOUSE_OLD, batch_id, 7));
    CHECK_EQ(bytes.len, sizeof(expected));
    CHECK_BYTES(bytes.at, expected, sizeof(expected));
    bytes.len = 0;
    CHECK_OK(telemetry_clickhouse_row(&bytes, &row, CLICKHOUSE_NEW, batch_id, 7));
    CHECK_EQ(bytes.len, sizeof(expected) - 10 + 16); /* two DateTime64 for 4 + 2 and 4 bytes */
    CHECK_BYTES(bytes.at, "\x7b\x68\xe5\xcf\x8b\x01\x00\x00", 8);
    buf_finish(&bytes);
}

TEST(what_is_missing_is_null_and_long_texts_fit)
{
    char longest[255];
    struct telemetry_outbox_row row = {.table = TELEMETRY_SINK_ACTIONS};
    struct buf bytes;
    memset(longest, 'x', sizeof(longest));
    struct str text = {longest, sizeof(longest)};
    row.of.action = (struct telemetry_action){.machine_id = text,
                                              .source = text,
                                              .state = text,
                                              .at_ms = -5,
                                              .position_pct = NAN,
                                              .requested_pct = 40,
                                              .confidence = INFINITY,
                                              .temperature_c = NAN,
                                              .humidity_pct = NAN,
                                              .sound_volume = NAN,
                                              .said_pct = NAN,
                                              .said_confidence = NAN};
    buf_init(&bytes, 4 * KIB);
    CHECK_OK(telemetry_clickhouse_row(&bytes, &row, CLICKHOUSE_OLD, batch_id, 0));
    CHECK_EQ(bytes.len, 6 + 3 * (2 + 255) + 8 + 5 + 9 + 1 + 1 + 1 + 20);
    CHECK_BYTES(bytes.at, "\0\0\0\0\0\0\xff\x01x", 9); /* before 1970 is 1970; 255 as a varint */
    row.table = TELEMETRY_SINK_PREDICTIONS;
    row.of.prediction = (struct telemetry_prediction){
        .machine_id = text, .model_version = text, .decision = text, .request_id = text};
    CHECK_OK(telemetry_clickhouse_row(&bytes, &row, CLICKHOUSE_NEW, batch_id, 0));
    row.table = TELEMETRY_SINK_DEVICES;
    row.of.device = (struct telemetry_device){text, text, text, text, text, INT64_MAX, 0, 0, true};
    CHECK_OK(telemetry_clickhouse_row(&bytes, &row, CLICKHOUSE_OLD, batch_id, UINT32_MAX));
    struct buf small;
    buf_init(&small, 100);
    CHECK_ERR(telemetry_clickhouse_row(&small, &row, CLICKHOUSE_OLD, batch_id, 0), ERR_FULL);
    CHECK_EQ(small.len, 0);
    buf_finish(&small);
    buf_finish(&bytes);
}

TEST(a_table_that_does_not_fit_is_named)
{
    enum telemetry_clickhouse_dialect dialects[TELEMETRY_SINK_TABLE_COUNT];
    char why[TELEMETRY_WHY_BYTES] = "";
    CHECK_ERR(telemetry_clickhouse_columns_read(STR(""), dialects, why), ERR_INPUT);
    CHECK_STR(why, "table sensor_readings: column at is , not DateTime('UTC')");
    CHECK_ERR(telemetry_clickhouse_columns_read(
                  STR("sensor_readings\tat\tDateTime64(3, \\'UTC\\')\nsensor_readings\t"
                      "received_at\tDateTime64(3, \\'UTC\\')\nsensor_readings\tmachine_id\tUUID\n"),
                  dialects, why),
              ERR_INPUT);
    CHECK_STR(why, "table sensor_readings: column machine_id is UUID, not LowCardinality(String)");
}

TEST(only_our_own_tables_lose_partitions)
{
    struct buf sql;
    buf_init(&sql, 4 * KIB);
    CHECK_OK(telemetry_clickhouse_expired_sql(&sql, 1700000000000)); /* 2023-11-14 */
    CHECK(has(&sql, "BETWEEN 19700101 AND 20231114 - 1"));
    CHECK(has(&sql, "BETWEEN 197001 AND 202311 - 1"));
    sql.len = 0;
    CHECK_OK(telemetry_clickhouse_drop_sql(&sql, STR("sensor_readings\t20231101\n")));
    CHECK_SLICE(buf_str(&sql), "ALTER TABLE sensor_readings DROP PARTITION 20231101");
    sql.len = 0;
    CHECK_ERR(telemetry_clickhouse_drop_sql(&sql, STR("")), ERR_NOT_FOUND);
    CHECK_ERR(telemetry_clickhouse_drop_sql(&sql, STR("device_registry\t202311\n")), ERR_INPUT);
    CHECK_ERR(telemetry_clickhouse_drop_sql(&sql, STR("sensor_readings\tall OR 1\n")), ERR_INPUT);
    CHECK_ERR(telemetry_clickhouse_drop_sql(&sql, STR("<html>")), ERR_INPUT);
    buf_finish(&sql);
}
