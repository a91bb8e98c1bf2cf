/* The live curve of a command, of any kind: batches in, one list out. */
#include "kinds/kinds_int.h"

#include <stdlib.h>
#include <string.h>

#define CHUNKS_MAX 2000 /* a command: a board that sends one sample a batch stays bounded, too */

enum { STMT_LAST, STMT_INSERT, STMT_ALL, STMT_COUNT };

static const char *const sql[STMT_COUNT] = {
    [STMT_LAST] = "SELECT chunk, sample_total, last_t_ms, step FROM command_curves "
                  "WHERE command_id = ?1 ORDER BY chunk DESC LIMIT 1",
    [STMT_INSERT] = "INSERT INTO command_curves (command_id, chunk, step, sample_total, "
                    "last_t_ms, samples, received_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [STMT_ALL] = "SELECT step, samples, last_t_ms FROM command_curves WHERE command_id = ?1 "
                 "ORDER BY chunk",
};
static struct store_statements statements = {.room = "kinds", .sql = sql, .count = STMT_COUNT};

struct tail {
    int64_t chunk, total, last_t_ms; /* -1, 0, -1: nothing yet */
    bool step_new;
};

static enum err tail_read(struct store_db *db, uint64_t command_id, struct str step,
                          struct tail *ret_tail)
{
    struct tail tail = {.chunk = -1, .last_t_ms = -1, .step_new = step.at != NULL};
    struct store_stmt *stmt = store_prepare(db, &statements, STMT_LAST);
    store_bind_i64(stmt, 1, (int64_t)command_id);
    enum err err = store_row(stmt);
    if (err == ERR_OK) {
        tail.chunk = store_col_i64(stmt, 0);
        tail.total = store_col_i64(stmt, 1);
        tail.last_t_ms = store_col_i64(stmt, 2);
        tail.step_new = step.at != NULL && !str_equal(store_col_text(stmt, 3), step);
    }
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    *ret_tail = tail;
    return ERR_OK;
}

static int64_t row_time(const json_t *rows, size_t index)
{
    return (int64_t)json_integer_value(json_array_get(json_array_get(rows, index), 0));
}

/* Rows from..to as JSON text, without copying the numbers. */
static enum err rows_write(const json_t *rows, size_t from, size_t to, struct buf *out)
{
    enum err err = buf_add_str(out, STR("["));
    for (size_t i = from; err == ERR_OK && i < to; i++) {
        char line[512];
        size_t bytes = json_dumpb(json_array_get(rows, i), line, sizeof(line),
                                  JSON_COMPACT | JSON_REAL_PRECISION(7));
        if (bytes == 0 || bytes > sizeof(line))
            return ERR_INPUT;
        if (i > from)
            err = buf_add_str(out, STR(","));
        if (err == ERR_OK)
            err = buf_add(out, line, bytes);
    }
    return err == ERR_OK ? buf_add_str(out, STR("]")) : err;
}

enum err kinds_curve_append(struct store_db *db, uint64_t command_id,
                            const struct kinds_samples *samples, int64_t at_ms)
{
    struct tail tail = {0};
    enum err err = tail_read(db, command_id, samples->step, &tail);
    if (err != ERR_OK)
        return err;
    size_t from = 0, to = samples->row_count;
    while (from < to && row_time(samples->rows, from) <= tail.last_t_ms)
        from++;
    if ((int64_t)(to - from) > KINDS_SAMPLES_TOTAL_MAX - tail.total)
        to = from + (size_t)(KINDS_SAMPLES_TOTAL_MAX - tail.total);
    if ((from == to && !tail.step_new) || tail.chunk + 1 >= CHUNKS_MAX)
        return ERR_OK;

    struct buf text;
    buf_init(&text, 128 * KIB);
    err = rows_write(samples->rows, from, to, &text);
    if (err == ERR_OK) {
        struct store_stmt *stmt = store_prepare(db, &statements, STMT_INSERT);
        store_bind_i64(stmt, 1, (int64_t)command_id);
        store_bind_i64(stmt, 2, tail.chunk + 1);
        store_bind_text(stmt, 3, samples->step);
        store_bind_i64(stmt, 4, tail.total + (int64_t)(to - from));
        store_bind_i64(stmt, 5, to > from ? row_time(samples->rows, to - 1) : tail.last_t_ms);
        store_bind_text(stmt, 6, buf_str(&text));
        store_bind_i64(stmt, 7, at_ms);
        err = store_exec(db, stmt, NULL);
    }
    buf_finish(&text);
    return err;
}

/* One stored batch: its samples to `samples`, a step that begins with it to `steps`. */
static enum err chunk_add(struct store_stmt *stmt, int64_t begin_ms, struct buf *samples,
                          struct buf *steps, char last_step[40])
{
    struct str rows = store_col_text(stmt, 1);
    enum err err = ERR_OK;
    if (rows.len > 2) {
        if (samples->len > 0)
            err = buf_add_str(samples, STR(","));
        if (err == ERR_OK)
            err = buf_add_str(samples, str_slice(rows, 1, rows.len - 1));
    }
    struct str step = store_col_text(stmt, 0);
    if (err != ERR_OK || step.at == NULL || str_equal(step, str_from(last_step)))
        return err;
    if (str_copy(last_step, 40, step) != ERR_OK)
        return ERR_OK;
    json_t *name = json_stringn(step.at, step.len);
    char quoted[256];
    size_t bytes = json_dumpb(name, quoted, sizeof(quoted), JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    json_decref(name);
    if (bytes == 0 || bytes > sizeof(quoted))
        return ERR_NOMEM;
    return buf_printf(steps, "%s{\"step\":%.*s,\"t_ms\":%lld}", steps->len > 0 ? "," : "",
                      (int)bytes, quoted, (long long)(begin_ms < 0 ? 0 : begin_ms));
}

static enum err columns_add(const char *const *columns, struct buf *out)
{
    enum err err = buf_add_str(out, STR("{\"columns\":["));
    for (const char *const *at = columns; err == ERR_OK && *at != NULL; at++)
        err = buf_printf(out, "%s\"%s\"", at == columns ? "" : ",", *at);
    return err == ERR_OK ? buf_add_str(out, STR("],\"samples\":[")) : err;
}

enum err kinds_curve_read(const struct kinds_kind *kind, struct store_db *db, uint64_t command_id,
                          struct buf *ret_json)
{
    struct buf samples, steps;
    buf_init(&samples, MIB);
    buf_init(&steps, 64 * KIB);
    struct store_stmt *stmt = store_prepare(db, &statements, STMT_ALL);
    store_bind_i64(stmt, 1, (int64_t)command_id);
    int64_t begin_ms = -1;
    char last_step[40] = "";
    enum err err;
    while ((err = store_row(stmt)) == ERR_OK) {
        err = chunk_add(stmt, begin_ms, &samples, &steps, last_step);
        if (err != ERR_OK)
            break;
        begin_ms = store_col_i64(stmt, 2);
    }
    if (err == ERR_NOT_FOUND)
        err = columns_add(kind->columns, ret_json);
    if (err == ERR_OK)
        err = buf_add_str(ret_json, buf_str(&samples));
    if (err == ERR_OK)
        err = buf_add_str(ret_json, STR("],\"steps\":["));
    if (err == ERR_OK)
        err = buf_add_str(ret_json, buf_str(&steps));
    if (err == ERR_OK)
        err = buf_add_str(ret_json, STR("]}"));
    buf_finish(&steps);
    buf_finish(&samples);
    return err;
}
