/* Every statement of this room. */
#include "climate/climate_int.h"

#include <math.h>

#define PREDICTION_COLUMNS                                                                         \
    "SELECT prediction_id, machine_id, decision, asked_because, source, model_version, at_ms, "    \
    "temperature, humidity, sound_volume, position, confidence, latency_ms, command_id, actual, "  \
    "provenance "                                                                                  \
    "FROM climate_prediction "

static const char *const statements[SQL_COUNT] = {
    [SQL_WINDOWS_ALL] = "SELECT machine_id, mode, position, hold_until FROM climate_window",
    [SQL_WINDOW_MODE] =
        "INSERT INTO climate_window (machine_id, mode, hold_until) VALUES (?1, ?2, 0) "
        "ON CONFLICT (machine_id) DO UPDATE SET mode = ?2, hold_until = 0",
    [SQL_WINDOW_POSITION] =
        "INSERT INTO climate_window (machine_id, position, position_at) VALUES (?1, ?2, ?3) "
        "ON CONFLICT (machine_id) DO UPDATE SET position = ?2, position_at = ?3",
    [SQL_WINDOW_HOLD] = "INSERT INTO climate_window (machine_id, hold_until) VALUES (?1, ?2) "
                        "ON CONFLICT (machine_id) DO UPDATE SET hold_until = ?2",
    [SQL_PREDICTION_INSERT] =
        "INSERT INTO climate_prediction (machine_id, at_ms, temperature, humidity, sound_volume, "
        "position, spread, confidence, decision, asked_because, source, model_version, latency_ms, "
        "command_id, request_id, provenance) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    [SQL_PREDICTION_ACTUAL] =
        "UPDATE climate_prediction SET actual = ?2 WHERE machine_id = ?1 AND actual IS NULL "
        "AND at_ms >= ?3 AND at_ms <= ?4 AND prediction_id > "
        "(SELECT COALESCE(MAX(prediction_id), 0) - 1000 FROM climate_prediction)",
    [SQL_PREDICTION_LAST] =
        "SELECT position, confidence, model_version FROM climate_prediction WHERE machine_id = ?1 "
        "AND position IS NOT NULL AND at_ms >= ?2 AND at_ms <= ?3 "
        "AND NOT (asked_because = 'unasked' AND decision = 'refused') "
        "ORDER BY prediction_id DESC LIMIT 1",
    [SQL_PREDICTION_PRUNE] =
        "DELETE FROM climate_prediction WHERE prediction_id IN (SELECT prediction_id "
        "FROM climate_prediction WHERE at_ms < ?1 ORDER BY at_ms LIMIT 64)",
    [SQL_PREDICTIONS] = PREDICTION_COLUMNS "WHERE at_ms >= ?2 AND at_ms < ?3 "
                                           "AND prediction_id < ?4 "
                                           "ORDER BY prediction_id DESC LIMIT ?5",
    [SQL_PREDICTIONS_MACHINE] =
        PREDICTION_COLUMNS "WHERE machine_id = ?1 AND at_ms >= ?2 AND at_ms < ?3 "
                           "AND prediction_id < ?4 ORDER BY prediction_id DESC LIMIT ?5",
    [SQL_SAMPLE_INSERT] =
        "INSERT INTO climate_sample (machine_id, at_ms, temperature, humidity, sound_volume, "
        "position, said, version, command_uid) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [SQL_SAMPLE_PRUNE] = "DELETE FROM climate_sample WHERE sample_id <= ?1",
    [SQL_SAMPLES_ALL] =
        "SELECT sample_id, temperature, humidity, sound_volume, position, learned_in "
        "FROM climate_sample WHERE retired = 0 ORDER BY sample_id DESC LIMIT ?1",
    [SQL_SAMPLES_COUNT] = "SELECT COUNT(*) FROM climate_sample",
    [SQL_SAMPLES_LEARNED] =
        "UPDATE climate_sample SET learned_in = ?1 WHERE learned_in = 0 AND sample_id <= ?2",
    [SQL_SAMPLES_RETIRE] = "UPDATE climate_sample SET retired = 1 WHERE learned_in > ?1",
    [SQL_ERRORS] = "SELECT at_ms, version, position, said FROM climate_sample "
                   "WHERE said IS NOT NULL AND at_ms >= ?1 AND at_ms < ?2 "
                   "ORDER BY sample_id DESC LIMIT ?3",
    [SQL_MODELS_ALL] = "SELECT version, adopted_at, standing FROM climate_model "
                       "ORDER BY version DESC",
    [SQL_MODEL_INSERT] = "INSERT INTO climate_model (version, parent, adopted_at, standing) "
                         "VALUES (?1, ?2, ?3, 'current')",
    [SQL_MODEL_UNSEAT] = "UPDATE climate_model SET standing = 'kept' WHERE standing = 'current'",
    [SQL_MODEL_SEAT] = "UPDATE climate_model SET standing = 'current' WHERE version = ?1",
    [SQL_MODEL_ROLLED_BACK] =
        "UPDATE climate_model SET standing = 'rolled_back' WHERE version = ?1",
    [SQL_MODEL_PRUNE] = "DELETE FROM climate_model WHERE standing = 'kept' AND version < ?1",
};

static struct store_statements climate_statements = {
    .room = "climate",
    .sql = statements,
    .count = SQL_COUNT,
};

struct store_stmt *climate_sql(struct store_db *db, enum climate_statement index)
{
    return store_prepare(db, &climate_statements, (int)index);
}

void climate_bind_number(struct store_stmt *stmt, int position, double value)
{
    if (isfinite(value))
        store_bind_f64(stmt, position, value);
    else
        store_bind_null(stmt, position);
}

double climate_col_number(struct store_stmt *stmt, int column)
{
    return store_col_null(stmt, column) ? (double)NAN : store_col_f64(stmt, column);
}
