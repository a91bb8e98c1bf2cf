/* Every statement of the room. */
#include "telemetry/telemetry_room_int.h"

#define ROLLUP_ADD(table)                                                                          \
    "INSERT INTO " table " (series_id, at, count, sum, min, max) "                                 \
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (series_id, at) DO UPDATE SET "                   \
    "count = count + excluded.count, sum = sum + excluded.sum, "                                   \
    "min = min(min, excluded.min), max = max(max, excluded.max)"
/* How many points a range has, counted no further than ?4. */
#define ROLLUP_COUNT(table)                                                                        \
    "SELECT count(*) FROM (SELECT 1 FROM " table                                                   \
    " WHERE series_id = ?1 AND at >= ?2 AND at < ?3 LIMIT ?4)"
#define ROLLUP_RANGE(table)                                                                        \
    "SELECT at, sum / count, min, max, count FROM " table                                          \
    " WHERE series_id = ?1 AND at >= ?2 AND at < ?3 ORDER BY at LIMIT ?4"
/* The row that a bounded delete goes up to. */
#define OLD(table)                                                                                 \
    "SELECT at FROM " table " WHERE series_id = ?1 AND at < ?2 ORDER BY at LIMIT 1 OFFSET ?3"
#define DELETE(table) "DELETE FROM " table " WHERE series_id = ?1 AND at < ?2"

/* clang-format off */
static const char *const statements[SQL_COUNT] = {
    [SQL_SERIES_ALL] = "SELECT series_id, machine_id, type FROM telemetry_series ORDER BY series_id",
    [SQL_SERIES_ADD] = "INSERT INTO telemetry_series (series_id, machine_id, type, created_at) "
                       "VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
    [SQL_SERIES_FIND] = "SELECT series_id FROM telemetry_series WHERE machine_id = ?1 AND type = ?2",
    [SQL_LATEST] = "SELECT at, value, provenance, lag_ms FROM telemetry_readings "
                   "WHERE series_id = ?1 ORDER BY at DESC, n DESC LIMIT 1",
    [SQL_READING_ADD] = "INSERT INTO telemetry_readings (series_id, at, n, value, provenance, lag_ms) "
                        "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [SQL_READING_NEXT] = "SELECT max(n) + 1 FROM telemetry_readings WHERE series_id = ?1 AND at = ?2",
    [SQL_MINUTES5_ADD] = ROLLUP_ADD("telemetry_minutes5"),
    [SQL_HOURS_ADD] = ROLLUP_ADD("telemetry_hours"),
    [SQL_DAYS_ADD] = ROLLUP_ADD("telemetry_days"),
    [SQL_RAW_COUNT] = "SELECT count(*) FROM (SELECT 1 FROM telemetry_readings "
                      "WHERE series_id = ?1 AND at >= ?2 AND at < ?3 GROUP BY at LIMIT ?4)",
    [SQL_MINUTES5_COUNT] = ROLLUP_COUNT("telemetry_minutes5"),
    [SQL_HOURS_COUNT] = ROLLUP_COUNT("telemetry_hours"),
    [SQL_DAYS_COUNT] = ROLLUP_COUNT("telemetry_days"),
    [SQL_RAW_RANGE] = "SELECT at, avg(value), min(value), max(value), count(*) FROM telemetry_readings "
                      "WHERE series_id = ?1 AND at >= ?2 AND at < ?3 GROUP BY at ORDER BY at LIMIT ?4",
    [SQL_MINUTES5_RANGE] = ROLLUP_RANGE("telemetry_minutes5"),
    [SQL_HOURS_RANGE] = ROLLUP_RANGE("telemetry_hours"),
    [SQL_DAYS_RANGE] = ROLLUP_RANGE("telemetry_days"),
    [SQL_RAW_OLD] = OLD("telemetry_readings"),
    [SQL_MINUTES5_OLD] = OLD("telemetry_minutes5"),
    [SQL_HOURS_OLD] = OLD("telemetry_hours"),
    [SQL_DAYS_OLD] = OLD("telemetry_days"),
    [SQL_RAW_DELETE] = DELETE("telemetry_readings"),
    [SQL_MINUTES5_DELETE] = DELETE("telemetry_minutes5"),
    [SQL_HOURS_DELETE] = DELETE("telemetry_hours"),
    [SQL_DAYS_DELETE] = DELETE("telemetry_days"),
    [SQL_POLICY_SHOW] = "SELECT raw_days, minutes5_days, hour_days, day_days FROM telemetry_policy",
    [SQL_POLICY_SET] = "UPDATE telemetry_policy SET raw_days = ?1, minutes5_days = ?2, "
                       "hour_days = ?3, day_days = ?4",
    [SQL_OUTBOX_CONFIGURE] = "UPDATE telemetry_outbox_state SET configured = ?1, bytes_max = ?2",
    [SQL_OUTBOX_STATE] = "SELECT configured, bytes_max, row_count, byte_count, dropped_rows, alerted_at "
                         "FROM telemetry_outbox_state",
    [SQL_OUTBOX_STATE_ADD] = "UPDATE telemetry_outbox_state SET row_count = row_count + ?1, "
                             "byte_count = byte_count + ?2, dropped_rows = dropped_rows + ?3",
    [SQL_OUTBOX_ALERTED] = "UPDATE telemetry_outbox_state SET alerted_at = ?1",
    [SQL_OUTBOX_ADD] = "INSERT INTO telemetry_outbox (sink_table, day, row_count, bytes, at) "
                       "VALUES (?1, ?2, ?3, ?4, ?5)",
    [SQL_OUTBOX_OLDEST] = "SELECT at FROM telemetry_outbox ORDER BY outbox_id LIMIT 1",
    [SQL_OUTBOX_OLDEST_FREE] =
        "SELECT outbox_id, row_count, length(bytes) FROM telemetry_outbox AS o "
        "WHERE outbox_id > ?1 AND NOT EXISTS (SELECT 1 FROM telemetry_batch AS b WHERE b.sink_table = o.sink_table AND b.day = o.day "
        "AND o.outbox_id >= b.first_outbox_id AND o.outbox_id <= b.last_outbox_id) "
        "ORDER BY outbox_id LIMIT 1",
    [SQL_OUTBOX_DELETE] = "DELETE FROM telemetry_outbox WHERE outbox_id = ?1",
    [SQL_OUTBOX_SUM] = "SELECT count(*), coalesce(sum(row_count), 0), coalesce(sum(length(bytes)), 0) "
                       "FROM telemetry_outbox WHERE outbox_id >= ?1 AND outbox_id <= ?2 "
                       "AND sink_table = ?3 AND day = ?4",
    [SQL_OUTBOX_DELETE_SPAN] = "DELETE FROM telemetry_outbox WHERE outbox_id >= ?1 AND outbox_id <= ?2 "
                               "AND sink_table = ?3 AND day = ?4",
};
/* clang-format on */

static struct store_statements telemetry_statements = {
    .room = "telemetry",
    .sql = statements,
    .count = SQL_COUNT,
};

struct store_stmt *telemetry_sql(struct store_db *db, enum telemetry_statement index)
{
    return store_prepare(db, &telemetry_statements, (int)index);
}
