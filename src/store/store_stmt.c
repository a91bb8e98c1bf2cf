/* Prepared statements: one array a room and connection, filled as they are first used. */
#include "store/store_int.h"

static pthread_mutex_t slot_lock = PTHREAD_MUTEX_INITIALIZER;
static int slot_count;

/* Rooms share nothing else, so that two connections may meet a list for the first time at once. */
static int slot_of(struct store_statements *statements)
{
    int slot = __atomic_load_n(&statements->slot, __ATOMIC_ACQUIRE);
    if (slot != 0)
        return slot;
    pthread_mutex_lock(&slot_lock);
    slot = statements->slot;
    if (slot == 0) {
        ASSERT(slot_count < STORE_ROOMS_MAX);
        slot = ++slot_count;
        __atomic_store_n(&statements->slot, slot, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&slot_lock);
    return slot;
}

/* A store failure inside a job: the job is lost, whatever it makes of it. */
static enum err job_failed(struct store_db *db, enum err err)
{
    if (db->failed == ERR_OK)
        db->failed = err;
    return err;
}

static struct store_stmt *room_stmt(struct store_db *db, struct store_statements *statements,
                                    int index)
{
    int slot = slot_of(statements);
    ASSERT(index >= 0 && index < statements->count);
    if (db->rooms[slot] == NULL) {
        db->rooms[slot] = mem_zalloc((size_t)statements->count * sizeof(struct store_stmt));
        if (db->rooms[slot] == NULL)
            return NULL;
        db->room_counts[slot] = statements->count;
    }
    return &db->rooms[slot][index];
}

/* Failed preparations are tried again next time: no memory, or a file that could not be read, may
 * have passed. */
static enum err prepare_sql(struct store_db *db, const char *text, struct store_stmt *stmt)
{
    int code = sqlite3_prepare_v3(db->sql, text, -1, SQLITE_PREPARE_PERSISTENT, &stmt->sql, NULL);
    if (code == SQLITE_OK && stmt->sql != NULL) {
        stmt->readonly = sqlite3_stmt_readonly(stmt->sql) != 0;
        return ERR_OK;
    }
    /* The text is a constant of ours: unless the disk or memory failed, this is a mistake to be
     * seen at once. */
    log_line(LOG_ERROR, "store", "sql", "%s", text, "error", "%s", sqlite3_errmsg(db->sql), NULL);
    return store_err_from_sqlite(code) == ERR_NOMEM ? ERR_NOMEM : ERR_IO;
}

struct store_stmt *store_prepare(struct store_db *db, struct store_statements *statements,
                                 int index)
{
    struct store_stmt *stmt = room_stmt(db, statements, index);
    if (stmt == NULL)
        return &db->broken;
    if (!stmt->active) {
        stmt->active = true;
        stmt->next_active = db->active;
        db->active = stmt;
    } else if (stmt->sql != NULL) {
        sqlite3_reset(stmt->sql);
    }
    stmt->db = db;
    stmt->ended = false;
    stmt->err = ERR_OK;
    if (stmt->sql == NULL)
        stmt->err = prepare_sql(db, statements->sql[index], stmt);
    else
        sqlite3_clear_bindings(stmt->sql);
    return stmt;
}

void store_stmts_reset(struct store_db *db)
{
    while (db->active != NULL) {
        struct store_stmt *stmt = db->active;
        db->active = stmt->next_active;
        stmt->active = false;
        if (stmt->sql != NULL)
            sqlite3_reset(stmt->sql);
    }
}

void store_stmts_finish(struct store_db *db)
{
    db->active = NULL;
    for (int slot = 0; slot <= STORE_ROOMS_MAX; slot++) {
        for (int i = 0; i < db->room_counts[slot]; i++)
            sqlite3_finalize(db->rooms[slot][i].sql);
        mem_free(db->rooms[slot]);
    }
}

/* A position outside the statement, or a bind after the first row, is our own mistake; memory may
 * really run out. */
static void bound(struct store_stmt *stmt, int code)
{
    ASSERT(code != SQLITE_RANGE && code != SQLITE_MISUSE);
    if (code != SQLITE_OK && stmt->err == ERR_OK)
        stmt->err = code == SQLITE_NOMEM ? ERR_NOMEM : ERR_IO;
}

void store_bind_i64(struct store_stmt *stmt, int position, int64_t value)
{
    if (stmt->sql != NULL)
        bound(stmt, sqlite3_bind_int64(stmt->sql, position, value));
}

void store_bind_f64(struct store_stmt *stmt, int position, double value)
{
    if (stmt->sql != NULL)
        bound(stmt, sqlite3_bind_double(stmt->sql, position, value));
}

void store_bind_text(struct store_stmt *stmt, int position, struct str text)
{
    if (stmt->sql == NULL)
        return;
    if (text.at == NULL)
        bound(stmt, sqlite3_bind_null(stmt->sql, position));
    else
        bound(stmt, sqlite3_bind_text64(stmt->sql, position, text.at, text.len, SQLITE_TRANSIENT,
                                        SQLITE_UTF8));
}

void store_bind_blob(struct store_stmt *stmt, int position, const void *bytes, size_t len)
{
    if (stmt->sql == NULL)
        return;
    if (bytes == NULL)
        bound(stmt, sqlite3_bind_null(stmt->sql, position));
    else
        bound(stmt, sqlite3_bind_blob64(stmt->sql, position, bytes, len, SQLITE_TRANSIENT));
}

void store_bind_null(struct store_stmt *stmt, int position)
{
    if (stmt->sql != NULL)
        bound(stmt, sqlite3_bind_null(stmt->sql, position));
}

static enum err before_step(struct store_stmt *stmt)
{
    struct store_db *db = stmt->db;
    if (stmt->err != ERR_OK)
        return job_failed(db, ERR_IO);
    if (stmt->readonly)
        return ERR_OK;
    if (db->reading)
        return ERR_DENIED;
    if (db->savepoint == SAVEPOINT_WANTED) {
        enum err err = store_db_control(db, CONTROL_SAVEPOINT);
        if (err != ERR_OK)
            return job_failed(db, err);
        db->savepoint = SAVEPOINT_OPEN;
    }
    return ERR_OK;
}

enum err store_row(struct store_stmt *stmt)
{
    if (stmt->ended)
        return ERR_NOT_FOUND; /* SQLite would run it again */
    enum err err = before_step(stmt);
    if (err != ERR_OK)
        return err;
    int code = sqlite3_step(stmt->sql);
    if (code == SQLITE_ROW)
        return ERR_OK;
    stmt->ended = true;
    if (code == SQLITE_DONE)
        return ERR_NOT_FOUND;
    err = store_err_from_sqlite(code);
    if (err == ERR_CONFLICT)
        return err;
    stmt->db->failed_code = code;
    return job_failed(stmt->db, err == ERR_FULL ? ERR_FULL : ERR_IO);
}

enum err store_exec(struct store_db *db, struct store_stmt *stmt, int64_t *ret_changes)
{
    enum err err = store_row(stmt);
    ASSERT(err != ERR_OK); /* it gave a row: that is for store_row */
    if (err != ERR_NOT_FOUND)
        return err;
    if (ret_changes != NULL)
        *ret_changes = sqlite3_changes64(db->sql);
    return ERR_OK;
}

int64_t store_last_id(struct store_db *db)
{
    return sqlite3_last_insert_rowid(db->sql);
}

int64_t store_col_i64(struct store_stmt *stmt, int column)
{
    return sqlite3_column_int64(stmt->sql, column);
}

double store_col_f64(struct store_stmt *stmt, int column)
{
    return sqlite3_column_double(stmt->sql, column);
}

bool store_col_null(struct store_stmt *stmt, int column)
{
    return sqlite3_column_type(stmt->sql, column) == SQLITE_NULL;
}

struct str store_col_text(struct store_stmt *stmt, int column)
{
    if (store_col_null(stmt, column))
        return STR_NONE;
    const char *at = (const char *)sqlite3_column_text(stmt->sql, column);
    if (at == NULL) { /* the conversion had no memory */
        (void)job_failed(stmt->db, ERR_NOMEM);
        return STR("");
    }
    return (struct str){at, (size_t)sqlite3_column_bytes(stmt->sql, column)};
}

struct str store_col_blob(struct store_stmt *stmt, int column)
{
    if (store_col_null(stmt, column))
        return STR_NONE;
    const char *at = sqlite3_column_blob(stmt->sql, column);
    if (at == NULL) { /* an empty one, or no memory */
        if ((sqlite3_errcode(stmt->db->sql) & 0xFF) == SQLITE_NOMEM)
            (void)job_failed(stmt->db, ERR_NOMEM);
        return STR("");
    }
    return (struct str){at, (size_t)sqlite3_column_bytes(stmt->sql, column)};
}
