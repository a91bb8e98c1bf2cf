/* What the loop knows of the outbox: asked for every few seconds, since rooms and the sink change
 * it on the store's thread.  Also takes the alert back when the outbox has drained. */
#include "telemetry/telemetry_room_int.h"

#define ASK_EVERY_MS 5000

struct outbox_op {
    struct telemetry_op op; /* first */
    int64_t at_ms;
    int64_t rows, bytes, dropped, oldest_ms;
    bool resolve;
};

static enum err ask_run(struct store_job *job, struct store_db *db)
{
    struct outbox_op *op = (struct outbox_op *)(void *)job;
    struct store_stmt *stmt = telemetry_sql(db, SQL_OUTBOX_STATE);
    enum err err = store_row(stmt);
    if (err != ERR_OK)
        return err;
    int64_t bytes_max = store_col_i64(stmt, 1);
    op->rows = store_col_i64(stmt, 2);
    op->bytes = store_col_i64(stmt, 3);
    op->dropped = store_col_i64(stmt, 4);
    op->resolve = store_col_i64(stmt, 5) != 0 && op->bytes < bytes_max / 2;
    stmt = telemetry_sql(db, SQL_OUTBOX_OLDEST);
    err = store_row(stmt);
    if (err == ERR_OK)
        op->oldest_ms = store_col_i64(stmt, 0);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err resolve_run(struct store_job *job, struct store_db *db)
{
    const struct outbox_op *op = (const struct outbox_op *)(const void *)job;
    struct store_stmt *stmt = telemetry_sql(db, SQL_OUTBOX_ALERTED);
    store_bind_i64(stmt, 1, 0);
    enum err err = store_exec(db, stmt, NULL);
    return err == ERR_OK
               ? record_alert_resolve(db, STR(""), STR("telemetry_outbox_full"), op->at_ms)
               : err;
}

static void resolve_done(struct store_job *job, enum err err)
{
    (void)err; /* the next answer asks for it again */
    telemetry_op_free((struct telemetry_op *)(void *)job);
}

static void resolve(struct telemetry *telemetry)
{
    struct outbox_op *op = telemetry_op_create(telemetry, sizeof(*op));
    if (op == NULL)
        return;
    op->op.job = (struct store_job){.run = resolve_run, .done = resolve_done, .again = true};
    op->at_ms = telemetry_now_ms(telemetry);
    if (store_write(telemetry->options.store, &op->op.job) != ERR_OK)
        telemetry_op_free(&op->op);
}

static void ask_done(struct store_job *job, enum err err)
{
    struct outbox_op *op = (struct outbox_op *)(void *)job;
    struct telemetry *telemetry = op->op.telemetry;
    bool is_over = err == ERR_OK && op->resolve;
    telemetry->outbox_asking = false;
    if (err == ERR_OK) {
        telemetry->outbox_rows = (uint64_t)op->rows;
        telemetry->outbox_bytes = (uint64_t)op->bytes;
        telemetry->outbox_dropped = (uint64_t)op->dropped;
        telemetry->outbox_oldest_ms = op->oldest_ms;
    }
    telemetry_op_free(&op->op);
    if (is_over)
        resolve(telemetry);
}

void telemetry_outbox_tick(struct telemetry *telemetry, int64_t mono_ms)
{
    if (!telemetry->outbox_on || telemetry->outbox_asking || mono_ms < telemetry->outbox_due_ms)
        return;
    struct outbox_op *op = telemetry_op_create(telemetry, sizeof(*op));
    if (op == NULL)
        return;
    telemetry->outbox_due_ms = mono_ms + ASK_EVERY_MS;
    op->op.job = (struct store_job){.run = ask_run, .done = ask_done};
    if (store_read(telemetry->options.store, &op->op.job) == ERR_OK)
        telemetry->outbox_asking = true;
    else
        telemetry_op_free(&op->op);
}
