/* The batch in SQL.  It is recorded, with its token, before any of it leaves; so what is sent again
 * after a crash of either side is the same rows under the same numbers. */
#include "telemetry/clickhouse/clickhouse_int.h"

#define STATE_MAYBE_SENT 1
#define PIECES_MAX       4096 /* outbox rows in one batch */

enum { WAITING, KNOWN, OLDEST, PIECES, RECORD, LOAD, FORGET, KEEP_DAYS, STATEMENT_COUNT };

static const char *const sql[STATEMENT_COUNT] = {
    [WAITING] = "SELECT 1 FROM telemetry_outbox WHERE sink_table = ?1 LIMIT 1",
    [KNOWN] = "SELECT batch_id, token, day, first_outbox_id, last_outbox_id FROM telemetry_batch "
              "WHERE sink_table = ?1 ORDER BY batch_id LIMIT 1",
    [OLDEST] = "SELECT day FROM telemetry_outbox WHERE sink_table = ?1 "
               "ORDER BY day, outbox_id LIMIT 1",
    [PIECES] = "SELECT outbox_id, row_count, LENGTH(bytes) FROM telemetry_outbox "
               "WHERE sink_table = ?1 AND day = ?2 ORDER BY outbox_id LIMIT ?3",
    [RECORD] = "INSERT INTO telemetry_batch (token, sink_table, day, first_outbox_id, "
               "last_outbox_id, row_count, state, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [LOAD] = "SELECT row_count, bytes FROM telemetry_outbox WHERE sink_table = ?1 AND day = ?2 "
             "AND outbox_id BETWEEN ?3 AND ?4 ORDER BY outbox_id",
    [FORGET] = "DELETE FROM telemetry_batch WHERE batch_id = ?1",
    [KEEP_DAYS] = "SELECT hour_days FROM telemetry_policy WHERE only_row = 1",
};
static struct store_statements statements = {"telemetry clickhouse", sql, STATEMENT_COUNT, 0};

static bool has_row(struct store_db *db, int index, enum telemetry_sink_table table, enum err *err)
{
    struct store_stmt *stmt = store_prepare(db, &statements, index);
    store_bind_i64(stmt, 1, table);
    enum err found = store_row(stmt);
    if (found != ERR_OK && found != ERR_NOT_FOUND)
        *err = found;
    return found == ERR_OK;
}

enum err telemetry_clickhouse_batch_look(struct store_db *db, uint32_t *ret_tables)
{
    enum err err = ERR_OK;
    uint32_t found = 0;
    for (unsigned i = 0; err == ERR_OK && i < TELEMETRY_SINK_TABLE_COUNT; i++) {
        enum telemetry_sink_table table = (enum telemetry_sink_table)i;
        if (has_row(db, WAITING, table, &err) || has_row(db, KNOWN, table, &err))
            found |= 1U << i;
    }
    if (err == ERR_OK)
        *ret_tables = found;
    return err;
}

static enum err find_known(struct store_db *db, struct telemetry_clickhouse_batch *batch)
{
    struct store_stmt *stmt = store_prepare(db, &statements, KNOWN);
    store_bind_i64(stmt, 1, batch->table);
    enum err err = store_row(stmt);
    if (err != ERR_OK)
        return err;
    batch->batch_id = store_col_i64(stmt, 0);
    err = id128_parse(store_col_text(stmt, 1), &batch->token);
    batch->day = store_col_i64(stmt, 2);
    batch->first_outbox_id = store_col_i64(stmt, 3);
    batch->last_outbox_id = store_col_i64(stmt, 4);
    batch->resumed = true;
    batch->full = true; /* not known: look again afterwards */
    return err == ERR_OK ? ERR_OK : ERR_IO;
}

/* How far a batch goes: whole outbox rows of the oldest day, at least one. */
static enum err choose(struct store_db *db, struct telemetry_clickhouse_batch *batch,
                       uint32_t rows_max, size_t bytes_max, int64_t *ret_rows)
{
    int64_t rows = 0;
    size_t bytes = 0;
    int pieces = 0;
    struct store_stmt *stmt = store_prepare(db, &statements, OLDEST);
    store_bind_i64(stmt, 1, batch->table);
    enum err err = store_row(stmt);
    if (err != ERR_OK)
        return err;
    batch->day = store_col_i64(stmt, 0);
    stmt = store_prepare(db, &statements, PIECES);
    store_bind_i64(stmt, 1, batch->table);
    store_bind_i64(stmt, 2, batch->day);
    store_bind_i64(stmt, 3, PIECES_MAX);
    while ((err = store_row(stmt)) == ERR_OK) {
        int64_t more = store_col_i64(stmt, 1);
        size_t more_bytes = (size_t)store_col_i64(stmt, 2);
        batch->full =
            pieces > 0 && (rows + more > (int64_t)rows_max || bytes + more_bytes > bytes_max);
        if (batch->full)
            break;
        if (pieces == 0)
            batch->first_outbox_id = store_col_i64(stmt, 0);
        batch->last_outbox_id = store_col_i64(stmt, 0);
        rows += more;
        bytes += more_bytes;
        batch->full = ++pieces == PIECES_MAX;
    }
    *ret_rows = rows;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err telemetry_clickhouse_batch_open(struct store_db *db, enum telemetry_sink_table table,
                                         int64_t now_ms, uint32_t rows_max, size_t bytes_max,
                                         struct telemetry_clickhouse_batch *ret_batch)
{
    int64_t rows = 0;
    char token[ID128_TEXT_BYTES];
    struct telemetry_clickhouse_batch batch = {.table = table};
    enum err err = find_known(db, &batch);
    if (err == ERR_NOT_FOUND) {
        err = choose(db, &batch, rows_max, bytes_max, &rows);
        /* Random, not counted: a database that starts anew must not take another's rows for its
         * own. */
        if (err == ERR_OK)
            err = sys_random_id(&batch.token);
        if (err != ERR_OK)
            return err;
        struct store_stmt *stmt = store_prepare(db, &statements, RECORD);
        id128_text(batch.token, token);
        store_bind_text(stmt, 1, str_from(token));
        store_bind_i64(stmt, 2, table);
        store_bind_i64(stmt, 3, batch.day);
        store_bind_i64(stmt, 4, batch.first_outbox_id);
        store_bind_i64(stmt, 5, batch.last_outbox_id);
        store_bind_i64(stmt, 6, rows);
        store_bind_i64(stmt, 7, STATE_MAYBE_SENT);
        store_bind_i64(stmt, 8, now_ms);
        err = store_exec(db, stmt, NULL);
        batch.batch_id = store_last_id(db);
    }
    if (err == ERR_OK)
        *ret_batch = batch;
    return err;
}

/* The rows of one outbox row; what cannot be read is counted and left out, the same every time. */
static enum err load_piece(struct telemetry_clickhouse_batch *batch, struct str bytes,
                           int64_t row_count, enum telemetry_clickhouse_dialect dialect,
                           uint32_t from, struct buf *body)
{
    struct telemetry_outbox_row row;
    int64_t read = 0;
    while (telemetry_outbox_decode(&bytes, batch->table, &row) == ERR_OK) {
        if (batch->row_count >= from) {
            enum err err =
                telemetry_clickhouse_row(body, &row, dialect, batch->token, batch->row_count);
            if (err != ERR_OK)
                return err;
        }
        batch->row_count++;
        read++;
    }
    if (read < row_count)
        batch->unreadable_rows += (uint32_t)(row_count - read);
    return ERR_OK;
}

enum err telemetry_clickhouse_batch_load(struct store_db *db,
                                         struct telemetry_clickhouse_batch *batch,
                                         enum telemetry_clickhouse_dialect dialect, uint32_t from,
                                         struct buf *body)
{
    enum err err;
    body->len = 0;
    batch->row_count = 0;
    batch->unreadable_rows = 0;
    struct store_stmt *stmt = store_prepare(db, &statements, LOAD);
    store_bind_i64(stmt, 1, batch->table);
    store_bind_i64(stmt, 2, batch->day);
    store_bind_i64(stmt, 3, batch->first_outbox_id);
    store_bind_i64(stmt, 4, batch->last_outbox_id);
    while ((err = store_row(stmt)) == ERR_OK) {
        err =
            load_piece(batch, store_col_blob(stmt, 1), store_col_i64(stmt, 0), dialect, from, body);
        if (err != ERR_OK)
            return err;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err telemetry_clickhouse_batch_close(struct store_db *db,
                                          const struct telemetry_clickhouse_batch *batch)
{
    struct store_stmt *stmt = store_prepare(db, &statements, FORGET);
    store_bind_i64(stmt, 1, batch->batch_id);
    enum err err = store_exec(db, stmt, NULL);
    return err == ERR_OK ? telemetry_outbox_remove(db, batch->table, batch->day,
                                                   batch->first_outbox_id, batch->last_outbox_id)
                         : err;
}

enum err telemetry_clickhouse_keep_days(struct store_db *db, uint32_t *ret_days)
{
    struct store_stmt *stmt = store_prepare(db, &statements, KEEP_DAYS);
    enum err err = store_row(stmt);
    if (err == ERR_OK)
        *ret_days = (uint32_t)store_col_i64(stmt, 0);
    return err == ERR_NOT_FOUND ? ERR_IO : err;
}
