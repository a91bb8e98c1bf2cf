/* One batch in SQL, on the store's thread: receipts, series, readings, rollups, outbox. */
#include "telemetry/telemetry_room_int.h"

#include <stdlib.h>

#define ROLLUPS 3

static const int64_t bucket_ms[ROLLUPS] = {300000, 3600000, TELEMETRY_DAY_MS};

struct rollup {
    int64_t series_id, at_ms;
    int64_t count; /* 0: nothing gathered */
    double sum, min, max;
};

/* A walk over the rows by series and time. */
struct walk {
    struct store_db *db;
    const struct telemetry_batch *batch;
    const struct telemetry_row *last; /* the row before, or NULL */
    int64_t n;                        /* its n */
    struct rollup rollup[ROLLUPS];
};

/* By series, then time, then arrival. */
static int by_series(const void *a, const void *b)
{
    const struct telemetry_row *left = *(const struct telemetry_row *const *)a;
    const struct telemetry_row *right = *(const struct telemetry_row *const *)b;
    int64_t of_left = left->series->series_id;
    int64_t of_right = right->series->series_id;
    if (of_left == of_right) {
        of_left = left->at_ms;
        of_right = right->at_ms;
    }
    if (of_left == of_right)
        return left < right ? -1 : left > right;
    return of_left < of_right ? -1 : 1;
}

/* A receipt that is there already: the same message, sent again.  It goes first, so that nothing of
 * it is written a second time. */
static enum err ride(struct telemetry_batch *batch, struct store_db *db)
{
    for (uint32_t i = 0; i < batch->message_count; i++) {
        struct telemetry_message *message = &batch->messages[i];
        enum err err = store_ride(db, &message->receipt);
        if (err != ERR_OK && err != ERR_CONFLICT)
            return err;
        message->duplicate = err == ERR_CONFLICT;
    }
    return ERR_OK;
}

static uint32_t sort(struct telemetry_batch *batch)
{
    uint32_t count = 0;
    bool sorted = true;
    for (uint32_t i = 0; i < batch->row_count; i++) {
        const struct telemetry_row *row = &batch->rows[i];
        if (batch->messages[row->message].duplicate)
            continue;
        batch->order[count++] = row;
        sorted = sorted &&
                 (count == 1 || by_series(&batch->order[count - 2], &batch->order[count - 1]) < 0);
    }
    if (!sorted)
        qsort((void *)batch->order, count, sizeof(void *), by_series);
    return count;
}

static enum err add_series(struct walk *walk, const struct telemetry_row *row)
{
    struct store_stmt *stmt = telemetry_sql(walk->db, SQL_SERIES_ADD);
    store_bind_i64(stmt, 1, row->series->series_id);
    store_bind_text(stmt, 2, telemetry_machine_id(row->series->machine));
    store_bind_text(stmt, 3, telemetry_series_type(row->series));
    store_bind_i64(stmt, 4, walk->batch->submitted_ms);
    return store_exec(walk->db, stmt, NULL);
}

static enum err add_reading(const struct walk *walk, const struct telemetry_row *row, int64_t n)
{
    struct store_stmt *stmt = telemetry_sql(walk->db, SQL_READING_ADD);
    store_bind_i64(stmt, 1, row->series->series_id);
    store_bind_i64(stmt, 2, row->at_ms);
    store_bind_i64(stmt, 3, n);
    store_bind_f64(stmt, 4, row->value);
    store_bind_i64(stmt, 5, row->provenance);
    store_bind_i64(stmt, 6, walk->batch->messages[row->message].received_at_ms - row->at_ms);
    return store_exec(walk->db, stmt, NULL);
}

/* Readings of one series in one millisecond are all kept (telemetry rule 3).  Mostly there is one,
 * so n is 0 until the database says otherwise. */
static enum err keep_reading(struct walk *walk, const struct telemetry_row *row)
{
    bool same =
        walk->last != NULL && walk->last->series == row->series && walk->last->at_ms == row->at_ms;
    walk->n = same ? walk->n + 1 : 0;
    enum err err = add_reading(walk, row, walk->n);
    if (err != ERR_CONFLICT)
        return err;
    struct store_stmt *stmt = telemetry_sql(walk->db, SQL_READING_NEXT);
    store_bind_i64(stmt, 1, row->series->series_id);
    store_bind_i64(stmt, 2, row->at_ms);
    err = store_row(stmt);
    if (err != ERR_OK)
        return err;
    walk->n = store_col_i64(stmt, 0);
    return add_reading(walk, row, walk->n);
}

static enum err flush_rollup(struct walk *walk, unsigned level)
{
    struct rollup *rollup = &walk->rollup[level];
    if (rollup->count == 0)
        return ERR_OK;
    struct store_stmt *stmt = telemetry_sql(walk->db, telemetry_sql_level(SQL_MINUTES5_ADD, level));
    store_bind_i64(stmt, 1, rollup->series_id);
    store_bind_i64(stmt, 2, rollup->at_ms);
    store_bind_i64(stmt, 3, rollup->count);
    store_bind_f64(stmt, 4, rollup->sum);
    store_bind_f64(stmt, 5, rollup->min);
    store_bind_f64(stmt, 6, rollup->max);
    rollup->count = 0;
    return store_exec(walk->db, stmt, NULL);
}

static void gather(struct rollup *rollup, const struct telemetry_row *row, int64_t at_ms)
{
    double value = row->value;
    if (rollup->count == 0)
        *rollup = (struct rollup){
            .series_id = row->series->series_id, .at_ms = at_ms, .min = value, .max = value};
    rollup->count++;
    rollup->sum += value;
    rollup->min = value < rollup->min ? value : rollup->min;
    rollup->max = value > rollup->max ? value : rollup->max;
}

static enum err roll_up(struct walk *walk, const struct telemetry_row *row)
{
    for (unsigned level = 0; level < ROLLUPS; level++) {
        struct rollup *rollup = &walk->rollup[level];
        int64_t at_ms = row->at_ms - row->at_ms % bucket_ms[level];
        enum err err = ERR_OK;
        if (rollup->series_id != row->series->series_id || rollup->at_ms != at_ms)
            err = flush_rollup(walk, level);
        if (err != ERR_OK)
            return err;
        gather(rollup, row, at_ms);
    }
    return ERR_OK;
}

static enum err write_rows(struct walk *walk, uint32_t count)
{
    enum err err = ERR_OK;
    for (uint32_t i = 0; err == ERR_OK && i < count; i++) {
        const struct telemetry_row *row = walk->batch->order[i];
        if (row->series_new && (walk->last == NULL || walk->last->series != row->series))
            err = add_series(walk, row);
        if (err == ERR_OK)
            err = roll_up(walk, row);
        if (err == ERR_OK)
            err = keep_reading(walk, row);
        walk->last = row;
    }
    for (unsigned level = 0; err == ERR_OK && level < ROLLUPS; level++)
        err = flush_rollup(walk, level);
    return err;
}

/* ---- for the column store: the same rows, day by day ---- */

static enum err outbox_flush(struct telemetry_batch *batch, struct store_db *db, int64_t day,
                             uint32_t *row_count)
{
    if (*row_count == 0)
        return ERR_OK;
    enum err err = telemetry_outbox_add(db, TELEMETRY_SINK_READINGS, day, *row_count,
                                        buf_str(&batch->encoded), batch->submitted_ms);
    batch->encoded.len = 0;
    *row_count = 0;
    return err;
}

static enum err outbox_row(struct telemetry_batch *batch, const struct telemetry_row *row)
{
    return telemetry_outbox_encode(
        &batch->encoded, &(struct telemetry_outbox_row){
                             .table = TELEMETRY_SINK_READINGS,
                             .of.reading = {
                                 .at_ms = row->at_ms,
                                 .received_at_ms = batch->messages[row->message].received_at_ms,
                                 .provenance = (enum telemetry_provenance)row->provenance,
                                 .value = row->value,
                                 .machine_id = telemetry_machine_id(row->series->machine),
                                 .type = telemetry_series_type(row->series),
                             }});
}

/* All rows of one day. */
static enum err outbox_day(struct telemetry_batch *batch, struct store_db *db, uint32_t count,
                           int64_t day)
{
    uint32_t row_count = 0;
    enum err err = ERR_OK;
    for (uint32_t i = 0; err == ERR_OK && i < count; i++) {
        const struct telemetry_row *row = batch->order[i];
        if (row->at_ms / TELEMETRY_DAY_MS != day)
            continue;
        err = outbox_row(batch, row);
        if (err == ERR_FULL) {
            err = outbox_flush(batch, db, day, &row_count);
            if (err == ERR_OK)
                err = outbox_row(batch, row);
        }
        row_count++;
    }
    return err == ERR_OK ? outbox_flush(batch, db, day, &row_count) : err;
}

static enum err write_outbox(struct telemetry_batch *batch, struct store_db *db, uint32_t count)
{
    int64_t day = -1;
    batch->encoded.len = 0;
    for (;;) {
        int64_t next = INT64_MAX;
        for (uint32_t i = 0; i < count; i++) {
            int64_t of_row = batch->order[i]->at_ms / TELEMETRY_DAY_MS;
            if (of_row > day && of_row < next)
                next = of_row;
        }
        if (next == INT64_MAX)
            return ERR_OK;
        day = next;
        enum err err = outbox_day(batch, db, count, day);
        if (err != ERR_OK)
            return err;
    }
}

enum err telemetry_batch_run(struct store_job *job, struct store_db *db)
{
    struct telemetry_batch *batch = (struct telemetry_batch *)(void *)job;
    struct walk walk = {.db = db, .batch = batch};
    enum err err = ride(batch, db);
    if (err != ERR_OK)
        return err;
    uint32_t count = sort(batch);
    err = write_rows(&walk, count);
    if (err == ERR_OK && batch->outbox)
        err = write_outbox(batch, db, count);
    return err;
}
