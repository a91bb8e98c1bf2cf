/* The outbox in SQL: rows in with what they tell, the oldest out when it is full. */
#include "telemetry/telemetry_room_int.h"

#include <inttypes.h>
#include <stdio.h>

#define GIVE_WAY_MAX   4096 /* outbox rows in one call */
#define ALERT_EVERY_MS ((int64_t)60000)

struct state {
    bool configured;
    int64_t bytes_max, rows, bytes, dropped, alerted_at_ms;
};

static enum err state_show(struct store_db *db, struct state *ret_state)
{
    struct store_stmt *stmt = telemetry_sql(db, SQL_OUTBOX_STATE);
    enum err err = store_row(stmt);
    if (err != ERR_OK)
        return err == ERR_NOT_FOUND ? ERR_IO : err;
    *ret_state = (struct state){
        .configured = store_col_i64(stmt, 0) != 0,
        .bytes_max = store_col_i64(stmt, 1),
        .rows = store_col_i64(stmt, 2),
        .bytes = store_col_i64(stmt, 3),
        .dropped = store_col_i64(stmt, 4),
        .alerted_at_ms = store_col_i64(stmt, 5),
    };
    return ERR_OK;
}

static enum err state_add(struct store_db *db, int64_t rows, int64_t bytes, int64_t dropped)
{
    struct store_stmt *stmt = telemetry_sql(db, SQL_OUTBOX_STATE_ADD);
    store_bind_i64(stmt, 1, rows);
    store_bind_i64(stmt, 2, bytes);
    store_bind_i64(stmt, 3, dropped);
    return store_exec(db, stmt, NULL);
}

enum err telemetry_outbox_configured(struct store_db *db, bool *ret_configured)
{
    struct state state;
    enum err err = state_show(db, &state);
    if (err == ERR_OK)
        *ret_configured = state.configured;
    return err;
}

static enum err insert(struct store_db *db, enum telemetry_sink_table table, int64_t day,
                       uint32_t row_count, struct str bytes, int64_t at_ms)
{
    struct store_stmt *stmt = telemetry_sql(db, SQL_OUTBOX_ADD);
    store_bind_i64(stmt, 1, table);
    store_bind_i64(stmt, 2, day);
    store_bind_i64(stmt, 3, row_count);
    store_bind_blob(stmt, 4, bytes.at, bytes.len);
    store_bind_i64(stmt, 5, at_ms);
    return store_exec(db, stmt, NULL);
}

/* The oldest above *after_id that is not on its way; it becomes *after_id.  ERR_NOT_FOUND: all are.
 */
static enum err drop_oldest(struct store_db *db, int64_t *after_id, int64_t *ret_rows,
                            int64_t *ret_bytes)
{
    struct store_stmt *stmt = telemetry_sql(db, SQL_OUTBOX_OLDEST_FREE);
    store_bind_i64(stmt, 1, *after_id);
    enum err err = store_row(stmt);
    if (err != ERR_OK)
        return err;
    int64_t outbox_id = store_col_i64(stmt, 0);
    *after_id = outbox_id;
    *ret_rows = store_col_i64(stmt, 1);
    *ret_bytes = store_col_i64(stmt, 2);
    stmt = telemetry_sql(db, SQL_OUTBOX_DELETE);
    store_bind_i64(stmt, 1, outbox_id);
    return store_exec(db, stmt, NULL);
}

static enum err alert(struct store_db *db, const struct state *state, int64_t dropped,
                      int64_t at_ms)
{
    char message[200];
    if (state->alerted_at_ms != 0 && at_ms - state->alerted_at_ms < ALERT_EVERY_MS)
        return ERR_OK;
    (void)snprintf(message, sizeof(message),
                   "The column store is away and its outbox is full: %" PRId64
                   " rows gave way so far. Nothing of the embedded series is lost.",
                   state->dropped + dropped);
    enum err err = record_alert_raise(db,
                                      &(struct record_alert){
                                          .machine_id = STR(""),
                                          .code = STR("telemetry_outbox_full"),
                                          .message = str_from(message),
                                          .severity = RECORD_WARNING,
                                          .raised_at_ms = at_ms,
                                      },
                                      NULL);
    if (err != ERR_OK)
        return err;
    struct store_stmt *stmt = telemetry_sql(db, SQL_OUTBOX_ALERTED);
    store_bind_i64(stmt, 1, at_ms);
    return store_exec(db, stmt, NULL);
}

/* Until what was added fits. */
static enum err give_way(struct store_db *db, const struct state *state, int64_t added_bytes,
                         int64_t at_ms)
{
    int64_t dropped_rows = 0;
    int64_t dropped_bytes = 0;
    int64_t after_id = 0;
    enum err err = ERR_OK;
    for (int i = 0;
         i < GIVE_WAY_MAX && state->bytes + added_bytes - dropped_bytes > state->bytes_max; i++) {
        int64_t rows = 0;
        int64_t bytes = 0;
        err = drop_oldest(db, &after_id, &rows, &bytes);
        if (err != ERR_OK)
            break;
        dropped_rows += rows;
        dropped_bytes += bytes;
    }
    if (err == ERR_NOT_FOUND)
        err = ERR_OK;
    if (err == ERR_OK && dropped_rows > 0)
        err = state_add(db, -dropped_rows, -dropped_bytes, dropped_rows);
    return err == ERR_OK && dropped_rows > 0 ? alert(db, state, dropped_rows, at_ms) : err;
}

enum err telemetry_outbox_add(struct store_db *db, enum telemetry_sink_table table, int64_t day,
                              uint32_t row_count, struct str bytes, int64_t at_ms)
{
    struct state state;
    enum err err = state_show(db, &state);
    if (err == ERR_OK)
        err = insert(db, table, day, row_count, bytes, at_ms);
    if (err == ERR_OK)
        err = state_add(db, row_count, (int64_t)bytes.len, 0);
    if (err == ERR_OK && state.bytes + (int64_t)bytes.len > state.bytes_max)
        err = give_way(db, &state, (int64_t)bytes.len, at_ms);
    return err;
}

static struct store_stmt *span(struct store_db *db, enum telemetry_statement index,
                               enum telemetry_sink_table table, int64_t day, int64_t first,
                               int64_t last)
{
    struct store_stmt *stmt = telemetry_sql(db, index);
    store_bind_i64(stmt, 1, first);
    store_bind_i64(stmt, 2, last);
    store_bind_i64(stmt, 3, table);
    store_bind_i64(stmt, 4, day);
    return stmt;
}

enum err telemetry_outbox_remove(struct store_db *db, enum telemetry_sink_table table, int64_t day,
                                 int64_t first_outbox_id, int64_t last_outbox_id)
{
    struct store_stmt *stmt = span(db, SQL_OUTBOX_SUM, table, day, first_outbox_id, last_outbox_id);
    enum err err = store_row(stmt);
    if (err != ERR_OK)
        return err == ERR_NOT_FOUND ? ERR_IO : err;
    if (store_col_i64(stmt, 0) == 0)
        return ERR_OK;
    int64_t rows = store_col_i64(stmt, 1);
    int64_t bytes = store_col_i64(stmt, 2);
    err = store_exec(
        db, span(db, SQL_OUTBOX_DELETE_SPAN, table, day, first_outbox_id, last_outbox_id), NULL);
    return err == ERR_OK ? state_add(db, -rows, -bytes, 0) : err;
}

/* ---- other rooms' rows, in their transactions ---- */

static enum err write_row(struct store_db *db, const struct telemetry_outbox_row *row,
                          int64_t at_ms)
{
    struct buf encoded;
    bool configured = false;
    enum err err = telemetry_outbox_configured(db, &configured);
    if (err != ERR_OK || !configured)
        return err;
    buf_init(&encoded, TELEMETRY_OUTBOX_ROW_BYTES);
    err = telemetry_outbox_encode(&encoded, row);
    if (err == ERR_OK)
        err = telemetry_outbox_add(db, row->table, at_ms / TELEMETRY_DAY_MS, 1, buf_str(&encoded),
                                   at_ms);
    buf_finish(&encoded);
    return err;
}

enum err telemetry_write_action(struct store_db *db, const struct telemetry_action *row)
{
    return write_row(
        db, &(struct telemetry_outbox_row){.table = TELEMETRY_SINK_ACTIONS, .of.action = *row},
        row->at_ms);
}

enum err telemetry_write_prediction(struct store_db *db, const struct telemetry_prediction *row)
{
    return write_row(
        db,
        &(struct telemetry_outbox_row){.table = TELEMETRY_SINK_PREDICTIONS, .of.prediction = *row},
        row->at_ms);
}

enum err telemetry_write_device(struct store_db *db, const struct telemetry_device *row)
{
    return write_row(
        db, &(struct telemetry_outbox_row){.table = TELEMETRY_SINK_DEVICES, .of.device = *row},
        row->at_ms);
}
