/* The tables, once for each dialect.  One list of columns drives CREATE, INSERT, the check of what
 * is there, and (with rows.c) the order of the bytes. */
#include "telemetry/clickhouse/clickhouse_int.h"

#include <stdio.h>
#include <string.h>

#define COLUMNS_MAX 20

struct column {
    const char *name, *type_old, *type_new; /* type NULL: not in this dialect */
    const char *extra_new;                  /* codec or ALIAS, new dialect */
};
struct table {
    const char *name, *partition, *order_old, *order_new, *settings_new;
    bool ages; /* its rows go when they are too old */
    struct column columns[COLUMNS_MAX];
};

/* UTC whatever the server's own zone is: a batch is of one UTC day and must stay in one partition.
 * An ALIAS lets the same queries run on both dialects. */
#define DATETIME(name)                                                                             \
    {                                                                                              \
        name, "DateTime('UTC')", "DateTime64(3, 'UTC')", "CODEC(DoubleDelta, ZSTD(1))"             \
    }
#define ALIAS_MS " ALIAS toUInt16(toUnixTimestamp64Milli(at) % 1000)"
#define AT_MS                                                                                      \
    {                                                                                              \
        "at_ms", "UInt16", NULL, NULL                                                              \
    }
#define WORD(name)                                                                                 \
    {                                                                                              \
        name, "String", "LowCardinality(String)", ""                                               \
    }
#define TEXT(name)                                                                                 \
    {                                                                                              \
        name, "String", "String", "CODEC(ZSTD(1))"                                                 \
    }
#define NUMBER(name)                                                                               \
    {                                                                                              \
        name, "Nullable(Float64)", "Nullable(Float64)", "CODEC(ZSTD(1))"                           \
    }
/* Last in every table: which batch brought the row, and its number there.  They say what has
 * arrived, and make a row that arrived twice vanish again when parts are merged. */
#define BATCH                                                                                      \
    {"batch", "UUID", "UUID", "CODEC(ZSTD(1))"},                                                   \
    {                                                                                              \
        "row", "UInt32", "UInt32", "CODEC(Delta, ZSTD(1))"                                         \
    }

static const struct table tables[TELEMETRY_SINK_TABLE_COUNT] = {
    [TELEMETRY_SINK_READINGS] = {"sensor_readings",
                                 "toYYYYMMDD(at)",
                                 "machine_id, type, at, at_ms, batch, row",
                                 "machine_id, type, at, batch, row",
                                 ", ttl_only_drop_parts = 1",
                                 true,
                                 {DATETIME("at"),
                                  AT_MS,
                                  DATETIME("received_at"),
                                  WORD("machine_id"),
                                  WORD("type"),
                                  {"value", "Float64", "Float64", "CODEC(ZSTD(1))"},
                                  WORD("provenance"),
                                  BATCH}},
    [TELEMETRY_SINK_ACTIONS] = {"window_actions",
                                "toYYYYMM(at)",
                                "machine_id, at, at_ms, batch, row",
                                "machine_id, at, batch, row",
                                "",
                                true,
                                {DATETIME("at"),
                                 AT_MS,
                                 WORD("machine_id"),
                                 WORD("source"),
                                 {"command_id", "UInt64", "UInt64", "CODEC(Delta, ZSTD(1))"},
                                 NUMBER("position_pct"),
                                 NUMBER("requested_pct"),
                                 NUMBER("confidence"),
                                 NUMBER("temperature_c"),
                                 NUMBER("humidity_pct"),
                                 NUMBER("sound_volume"),
                                 WORD("state"),
                                 NUMBER("said_pct"),
                                 NUMBER("said_confidence"),
                                 WORD("said_version"),
                                 BATCH}},
    [TELEMETRY_SINK_PREDICTIONS] = {"ml_predictions",
                                    "toYYYYMM(at)",
                                    "machine_id, at, at_ms, batch, row",
                                    "machine_id, at, batch, row",
                                    "",
                                    true,
                                    {DATETIME("at"), AT_MS, WORD("machine_id"),
                                     WORD("model_version"), WORD("decision"), TEXT("request_id"),
                                     NUMBER("temperature_c"), NUMBER("humidity_pct"),
                                     NUMBER("sound_volume"), NUMBER("position_pct"),
                                     NUMBER("confidence"), NUMBER("latency_ms"), BATCH}},
    /* Every change of a line; the last known line of a machine that fell silent must stay. */
    [TELEMETRY_SINK_DEVICES] = {"device_registry",
                                "toYYYYMM(at)",
                                "machine_id, at, at_ms, batch, row",
                                "machine_id, at, batch, row",
                                "",
                                false,
                                {DATETIME("at"),
                                 AT_MS,
                                 WORD("machine_id"),
                                 WORD("kind"),
                                 TEXT("name"),
                                 WORD("firmware"),
                                 WORD("admission"),
                                 DATETIME("created_at"),
                                 DATETIME("last_seen_at"),
                                 {"online", "UInt8", "UInt8", ""},
                                 BATCH}},
};

enum err telemetry_clickhouse_dialect_of(struct str version,
                                         enum telemetry_clickhouse_dialect *ret_dialect)
{
    uint64_t major;
    size_t dot = str_find(version, '.');
    if (dot == version.len || version.len > 30 ||
        str_to_u64(str_slice(version, 0, dot), &major) != ERR_OK)
        return ERR_INPUT;
    *ret_dialect = major >= 22 ? CLICKHOUSE_NEW : CLICKHOUSE_OLD;
    return ERR_OK;
}

const char *telemetry_clickhouse_table_name(enum telemetry_sink_table table)
{
    return tables[table].name;
}

static enum err column_sql(struct buf *dst, const struct column *column,
                           enum telemetry_clickhouse_dialect dialect)
{
    if (dialect == CLICKHOUSE_OLD)
        return buf_printf(dst, "%s %s", column->name, column->type_old);
    if (column->type_new == NULL)
        return buf_printf(dst, "%s %s%s", column->name, column->type_old, ALIAS_MS);
    return buf_printf(dst, "%s %s %s", column->name, column->type_new, column->extra_new);
}

enum err telemetry_clickhouse_create_sql(struct buf *dst, enum telemetry_sink_table table,
                                         enum telemetry_clickhouse_dialect dialect,
                                         uint32_t keep_days)
{
    const struct table *made = &tables[table];
    enum err err = buf_printf(dst, "CREATE TABLE IF NOT EXISTS %s (", made->name);
    for (size_t i = 0; err == ERR_OK && i < COLUMNS_MAX && made->columns[i].name != NULL; i++) {
        if (i > 0)
            err = buf_add_str(dst, STR(", "));
        if (err == ERR_OK)
            err = column_sql(dst, &made->columns[i], dialect);
    }
    /* Replacing: the last line of defence.  An INSERT that was still on the network when we looked,
     * and arrived after we had sent it again, leaves rows that are equal in all of the key. */
    if (err == ERR_OK)
        err = buf_printf(dst, ") ENGINE = ReplacingMergeTree() PARTITION BY %s ORDER BY (%s)",
                         made->partition,
                         dialect == CLICKHOUSE_OLD ? made->order_old : made->order_new);
    if (err == ERR_OK && dialect == CLICKHOUSE_NEW && made->ages && keep_days > 0)
        err = buf_printf(dst, " TTL toDateTime(at) + INTERVAL %u DAY", keep_days);
    if (err == ERR_OK)
        err = buf_add_str(dst, STR(" SETTINGS index_granularity = 8192"));
    if (err == ERR_OK && dialect == CLICKHOUSE_NEW)
        err = buf_printf(dst, ", non_replicated_deduplication_window = 1000%s", made->settings_new);
    return err;
}

enum err telemetry_clickhouse_ttl_sql(struct buf *dst, enum telemetry_sink_table table,
                                      uint32_t keep_days)
{
    const struct table *made = &tables[table];
    if (keep_days == 0 || !made->ages)
        return buf_printf(dst, "ALTER TABLE %s REMOVE TTL", made->name);
    return buf_printf(dst, "ALTER TABLE %s MODIFY TTL toDateTime(at) + INTERVAL %u DAY", made->name,
                      keep_days);
}

static bool is_sent(const struct column *column, enum telemetry_clickhouse_dialect dialect)
{
    return column->name != NULL && (dialect == CLICKHOUSE_OLD || column->type_new != NULL);
}

enum err telemetry_clickhouse_insert_sql(struct buf *dst, enum telemetry_sink_table table,
                                         enum telemetry_clickhouse_dialect dialect)
{
    const struct table *made = &tables[table];
    enum err err = buf_printf(dst, "INSERT INTO %s (", made->name);
    for (size_t i = 0; err == ERR_OK && i < COLUMNS_MAX; i++) {
        if (is_sent(&made->columns[i], dialect))
            err = buf_printf(dst, "%s%s", i > 0 ? ", " : "", made->columns[i].name);
    }
    return err == ERR_OK ? buf_add_str(dst, STR(") FORMAT RowBinary")) : err;
}

/* ---- what is there ---- */

const char telemetry_clickhouse_columns_sql[] =
    "SELECT table, name, type FROM system.columns WHERE database = currentDatabase() AND table IN "
    "('sensor_readings', 'window_actions', 'ml_predictions', 'device_registry') FORMAT "
    "TabSeparated";

/* A field of a line in TabSeparated; quotes inside a type come as \'. */
static bool field_is(struct str field, const char *text)
{
    size_t at = 0;
    for (size_t i = 0; i < field.len; i++) {
        if (field.at[i] == '\\')
            continue;
        if (text[at] == '\0' || text[at] != field.at[i])
            return false;
        at++;
    }
    return text[at] == '\0';
}

static struct str cut(struct str *rest, char at)
{
    size_t len = str_find(*rest, at);
    struct str head = str_slice(*rest, 0, len);
    *rest = str_slice(*rest, len + 1, rest->len);
    return head;
}

/* The type of a column, or none. */
static struct str type_of(struct str answer, const char *table, const char *column)
{
    while (answer.len > 0) {
        struct str line = cut(&answer, '\n');
        struct str of_table = cut(&line, '\t');
        struct str name = cut(&line, '\t');
        if (field_is(of_table, table) && field_is(name, column))
            return line;
    }
    return STR_NONE;
}

static enum err fits(struct str answer, const struct table *table,
                     enum telemetry_clickhouse_dialect dialect, char why[TELEMETRY_WHY_BYTES])
{
    for (size_t i = 0; i < COLUMNS_MAX; i++) {
        const struct column *column = &table->columns[i];
        if (!is_sent(column, dialect))
            continue;
        const char *wanted = dialect == CLICKHOUSE_OLD ? column->type_old : column->type_new;
        struct str type = type_of(answer, table->name, column->name);
        if (field_is(type, wanted))
            continue;
        (void)snprintf(why, TELEMETRY_WHY_BYTES, "table %s: column %s is %.*s, not %s", table->name,
                       column->name, type.len > 40 ? 40 : (int)type.len,
                       type.len > 0 ? type.at : "", wanted);
        return ERR_INPUT;
    }
    return ERR_OK;
}

enum err telemetry_clickhouse_columns_read(
    struct str answer, enum telemetry_clickhouse_dialect ret_dialects[TELEMETRY_SINK_TABLE_COUNT],
    char why[TELEMETRY_WHY_BYTES])
{
    enum telemetry_clickhouse_dialect found[TELEMETRY_SINK_TABLE_COUNT];
    for (size_t i = 0; i < TELEMETRY_SINK_TABLE_COUNT; i++) {
        /* A table outlives the version that made it. */
        struct str at = type_of(answer, tables[i].name, "at");
        found[i] = str_starts(at, STR("DateTime64")) ? CLICKHOUSE_NEW : CLICKHOUSE_OLD;
        enum err err = fits(answer, &tables[i], found[i], why);
        if (err != ERR_OK)
            return err;
    }
    memcpy(ret_dialects, found, sizeof(found));
    return ERR_OK;
}

/* ---- what is too old ---- */

enum err telemetry_clickhouse_expired_sql(struct buf *dst, int64_t before_ms)
{
    char text[TIME_TEXT_BYTES]; /* 2026-11-20T... */
    time_text(before_ms, text);
    /* The whole day, or month, is older; a partition with another sort of key gives 0. */
    return buf_printf(dst,
                      "SELECT table, partition FROM system.parts WHERE active AND "
                      "database = currentDatabase() AND ((table = 'sensor_readings' AND "
                      "toUInt32OrZero(partition) BETWEEN 19700101 AND %.4s%.2s%.2s - 1) OR "
                      "(table IN ('window_actions', 'ml_predictions') AND "
                      "toUInt32OrZero(partition) BETWEEN 197001 AND %.4s%.2s - 1)) "
                      "ORDER BY table, partition LIMIT 1 FORMAT TabSeparated",
                      text, text + 5, text + 8, text, text + 5);
}

enum err telemetry_clickhouse_drop_sql(struct buf *dst, struct str answer)
{
    uint64_t number;
    if (answer.len == 0)
        return ERR_NOT_FOUND;
    struct str partition = cut(&answer, '\n');
    struct str table = cut(&partition, '\t');
    if (str_to_u64(partition, &number) != ERR_OK)
        return ERR_INPUT;
    for (size_t i = 0; i < TELEMETRY_SINK_TABLE_COUNT; i++) {
        if (tables[i].ages && str_equal(table, str_from(tables[i].name)))
            return buf_printf(dst, "ALTER TABLE %s DROP PARTITION %llu", tables[i].name,
                              (unsigned long long)number);
    }
    return ERR_INPUT;
}
