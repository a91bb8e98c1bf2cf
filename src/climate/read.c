/* Looking: predictions, and how wrong they were. */
#include "climate/climate_int.h"

#include <math.h>

struct predictions_op {
    struct op op;
    int64_t from_ms, to_ms;
    uint64_t before_id;
    uint32_t limit;
    struct climate_prediction *row;
    size_t count;
    bool more;
    climate_predictions_done *done;
};

static enum err take_text(struct op *op, struct store_stmt *stmt, int column, struct str *ret_text)
{
    struct str text = store_col_text(stmt, column);
    char *copy = arena_strdup(&op->arena, text);
    if (copy == NULL)
        return ERR_NOMEM;
    *ret_text = (struct str){copy, text.len};
    return ERR_OK;
}

static enum err take_prediction(struct op *op, struct store_stmt *stmt,
                                struct climate_prediction *row)
{
    row->prediction_id = (uint64_t)store_col_i64(stmt, 0);
    struct str *text[] = {&row->machine_id, &row->decision, &row->asked_because, &row->source,
                          &row->model_version};
    for (int i = 0; i < (int)ARRAY_COUNT(text); i++) {
        enum err err = take_text(op, stmt, i + 1, text[i]);
        if (err != ERR_OK)
            return err;
    }
    row->at_ms = store_col_i64(stmt, 6);
    row->features = (struct climate_features){
        climate_col_number(stmt, 7), climate_col_number(stmt, 8), climate_col_number(stmt, 9)};
    row->position_pct = climate_col_number(stmt, 10);
    row->confidence = climate_col_number(stmt, 11);
    row->latency_ms = store_col_f64(stmt, 12);
    row->command_id = (uint64_t)store_col_i64(stmt, 13);
    row->has_actual = !store_col_null(stmt, 14);
    row->actual_pct = climate_col_number(stmt, 14);
    return store_col_null(stmt, 15) ? ERR_OK : take_text(op, stmt, 15, &row->provenance);
}

static enum err predictions_run(struct store_job *job, struct store_db *db)
{
    struct predictions_op *read = (struct predictions_op *)(void *)job;
    bool all = read->op.machine_id[0] == '\0';
    struct store_stmt *stmt = climate_sql(db, all ? SQL_PREDICTIONS : SQL_PREDICTIONS_MACHINE);
    read->row = arena_alloc(&read->op.arena, read->limit * sizeof(*read->row));
    if (read->row == NULL)
        return ERR_NOMEM;
    if (!all)
        store_bind_text(stmt, 1, str_from(read->op.machine_id));
    store_bind_i64(stmt, 2, read->from_ms);
    store_bind_i64(stmt, 3, read->to_ms);
    store_bind_i64(stmt, 4, read->before_id != 0 ? (int64_t)read->before_id : INT64_MAX);
    store_bind_i64(stmt, 5, (int64_t)read->limit + 1);
    enum err err;
    while ((err = store_row(stmt)) == ERR_OK) {
        if (read->count == read->limit) {
            read->more = true;
            return ERR_OK;
        }
        err = take_prediction(&read->op, stmt, &read->row[read->count]);
        if (err != ERR_OK)
            return err;
        read->count++;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static void predictions_done(struct store_job *job, enum err err)
{
    struct predictions_op *read = (struct predictions_op *)(void *)job;
    bool good = err == ERR_OK;
    read->done(read->op.cookie, err, good ? read->row : NULL, good ? read->count : 0,
               good && read->more);
    climate_op_free(&read->op);
}

static uint32_t limit_of(uint32_t asked)
{
    if (asked == 0)
        return 50;
    return asked < READ_ROWS_MAX ? asked : READ_ROWS_MAX;
}

enum err climate_predictions_read(struct climate *climate, struct str machine_id, int64_t from_ms,
                                  int64_t to_ms, uint64_t before_id, uint32_t limit,
                                  climate_predictions_done *done, void *cookie)
{
    if (machine_id.len > ID_BYTES_MAX)
        return ERR_NOT_FOUND;
    struct predictions_op *read =
        climate_op_create(climate, sizeof(*read), machine_id, STR_NONE, NULL);
    if (read == NULL)
        return ERR_NOMEM;
    read->op.job = (struct store_job){.run = predictions_run, .done = predictions_done};
    read->op.cookie = cookie;
    read->from_ms = from_ms;
    read->to_ms = to_ms > 0 ? to_ms : INT64_MAX;
    read->before_id = before_id < INT64_MAX ? before_id : 0;
    read->limit = limit_of(limit);
    read->done = done;
    return climate_op_read(&read->op);
}

/* ---- error over time ---- */

struct errors_op {
    struct op op;
    int64_t from_ms, to_ms;
    uint32_t limit;
    struct climate_error_point *point;
    size_t count;
    climate_errors_done *done;
};

static enum err errors_run(struct store_job *job, struct store_db *db)
{
    struct errors_op *read = (struct errors_op *)(void *)job;
    struct store_stmt *stmt = climate_sql(db, SQL_ERRORS);
    read->point = arena_alloc(&read->op.arena, read->limit * sizeof(*read->point));
    if (read->point == NULL)
        return ERR_NOMEM;
    store_bind_i64(stmt, 1, read->from_ms);
    store_bind_i64(stmt, 2, read->to_ms);
    store_bind_i64(stmt, 3, read->limit);
    enum err err = ERR_OK;
    while (read->count < read->limit && (err = store_row(stmt)) == ERR_OK)
        read->point[read->count++] = (struct climate_error_point){
            .at_ms = store_col_i64(stmt, 0),
            .version = (uint64_t)store_col_i64(stmt, 1),
            .error_pct = fabs(store_col_f64(stmt, 2) - store_col_f64(stmt, 3))};
    for (size_t i = 0; i < read->count / 2; i++) { /* the newest were taken; a curve runs forward */
        struct climate_error_point swap = read->point[i];
        read->point[i] = read->point[read->count - 1 - i];
        read->point[read->count - 1 - i] = swap;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static void errors_done(struct store_job *job, enum err err)
{
    struct errors_op *read = (struct errors_op *)(void *)job;
    read->done(read->op.cookie, err, err == ERR_OK ? read->point : NULL,
               err == ERR_OK ? read->count : 0);
    climate_op_free(&read->op);
}

enum err climate_errors_read(struct climate *climate, int64_t from_ms, int64_t to_ms,
                             uint32_t limit, climate_errors_done *done, void *cookie)
{
    struct errors_op *read = climate_op_create(climate, sizeof(*read), STR_NONE, STR_NONE, NULL);
    if (read == NULL)
        return ERR_NOMEM;
    read->op.job = (struct store_job){.run = errors_run, .done = errors_done};
    read->op.cookie = cookie;
    read->from_ms = from_ms;
    read->to_ms = to_ms > 0 ? to_ms : INT64_MAX;
    read->limit = limit_of(limit);
    read->done = done;
    return climate_op_read(&read->op);
}
