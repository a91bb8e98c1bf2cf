/* One connection: how it is opened, what it is set to, the statements that frame a transaction. */
#include "store/store_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BUSY_TIMEOUT_MS 5000

static const char *const control_sql[CONTROL_COUNT] = {
    [CONTROL_BEGIN_READ] = "BEGIN",        [CONTROL_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [CONTROL_COMMIT] = "COMMIT",           [CONTROL_ROLLBACK] = "ROLLBACK",
    [CONTROL_SAVEPOINT] = "SAVEPOINT job", [CONTROL_RELEASE] = "RELEASE job",
    [CONTROL_UNDO] = "ROLLBACK TO job",
};

void store_why(char *why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, STORE_WHY_BYTES, format, args);
    va_end(args);
}

enum err store_err_from_sqlite(int code)
{
    switch (code & 0xFF) {
    case SQLITE_OK:
    case SQLITE_ROW:
        return ERR_OK;
    case SQLITE_DONE:
        return ERR_NOT_FOUND;
    case SQLITE_CONSTRAINT:
        return ERR_CONFLICT;
    case SQLITE_FULL:
        return ERR_FULL;
    case SQLITE_NOMEM:
        return ERR_NOMEM;
    default:
        return ERR_IO;
    }
}

enum err store_db_control(struct store_db *db, enum store_control which)
{
    sqlite3_stmt *stmt = db->control[which];
    int code = sqlite3_step(stmt);
    int reset = sqlite3_reset(stmt);
    if (code == SQLITE_DONE)
        return ERR_OK;
    db->failed_code = reset != SQLITE_OK ? reset : code;
    enum err err = store_err_from_sqlite(db->failed_code);
    return err == ERR_FULL || err == ERR_NOMEM ? err : ERR_IO;
}

bool store_db_in_transaction(const struct store_db *db)
{
    return sqlite3_get_autocommit(db->sql) == 0;
}

static enum err run_sql(struct store_db *db, const char *sql, char *why)
{
    int code = sqlite3_exec(db->sql, sql, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        return ERR_OK;
    store_why(why, "The database cannot be used: %s (%s).", sqlite3_errmsg(db->sql), sql);
    return store_err_from_sqlite(code) == ERR_NOMEM ? ERR_NOMEM : ERR_IO;
}

/* A commit is durable (queue rule 1) only in WAL with synchronous=FULL, so a file system that
 * cannot is refused. */
static enum err journal_set(struct store_db *db, const char *path, char *why)
{
    sqlite3_stmt *stmt;
    char mode[16] = "";
    int code = sqlite3_prepare_v2(db->sql, "PRAGMA journal_mode = WAL", -1, &stmt, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(stmt);
        if (code == SQLITE_ROW)
            snprintf(mode, sizeof(mode), "%s", (const char *)sqlite3_column_text(stmt, 0));
        int end = sqlite3_finalize(stmt);
        code = end != SQLITE_OK ? end : SQLITE_OK;
    }
    if (code == SQLITE_OK && strcmp(mode, path == NULL ? "memory" : "wal") == 0)
        return ERR_OK;
    store_why(why, "The database %s cannot be switched to WAL: %s.",
              path == NULL ? "in memory" : path,
              code == SQLITE_OK ? mode : sqlite3_errmsg(db->sql));
    return store_err_from_sqlite(code) == ERR_NOMEM ? ERR_NOMEM : ERR_IO;
}

static enum err settings(struct store_db *db, const struct store_options *options, bool reader,
                         bool alone, char *why)
{
    sqlite3_busy_timeout(db->sql, options->busy_refuse ? 0 : BUSY_TIMEOUT_MS);
    sqlite3_db_config(db->sql, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->sql, SQLITE_DBCONFIG_DQS_DML, 0, NULL); /* "x" is a name, never a text */
    sqlite3_db_config(db->sql, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    enum err err = ERR_OK;
    /* Before the first access: alone, the wal-index lives on the heap, and a VFS needs no shared
     * memory. */
    if (alone && options->path != NULL)
        err = run_sql(db, "PRAGMA locking_mode = EXCLUSIVE", why);
    if (err == ERR_OK)
        err = journal_set(db, options->path, why);
    if (err == ERR_OK)
        err = run_sql(
            db,
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;"
            "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA cache_size = -32768;"
            "PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864",
            why);
    if (err == ERR_OK && reader)
        err = run_sql(db, "PRAGMA query_only = ON", why);
    return err;
}

/* SQLite would create the file readable for all. */
static enum err file_create(const char *path, char *why)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        store_why(why, "The database %s cannot be opened for writing: %s.", path, strerror(errno));
        return ERR_IO;
    }
    close(fd);
    return ERR_OK;
}

static enum err controls_prepare(struct store_db *db, char *why)
{
    for (int i = 0; i < CONTROL_COUNT; i++) {
        int code = sqlite3_prepare_v3(db->sql, control_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                      &db->control[i], NULL);
        if (code != SQLITE_OK) {
            store_why(why, "The database cannot be used: %s.", sqlite3_errmsg(db->sql));
            return store_err_from_sqlite(code) == ERR_NOMEM ? ERR_NOMEM : ERR_IO;
        }
    }
    return ERR_OK;
}

enum err store_db_open(const struct store_options *options, bool reader, bool alone, char *why,
                       struct store_db **ret_db)
{
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    enum err err = ERR_OK;
    /* Only before the first connection: closing any descriptor of the file drops every POSIX lock
     * this process has on it, and another process that opened and closed the database would take
     * itself for the last one and delete the WAL under us. */
    if (options->path != NULL && options->vfs == NULL && !reader)
        err = file_create(options->path, why);
    if (err != ERR_OK)
        return err;
    struct store_db *db = mem_zalloc(sizeof(*db));
    if (db == NULL)
        return ERR_NOMEM;
    db->broken = (struct store_stmt){.db = db, .err = ERR_NOMEM};
    int code = sqlite3_open_v2(options->path == NULL ? ":memory:" : options->path, &db->sql, flags,
                               options->vfs);
    if (code != SQLITE_OK) {
        store_why(why, "The database %s cannot be opened: %s.",
                  options->path == NULL ? "in memory" : options->path, sqlite3_errstr(code));
        err = store_err_from_sqlite(code) == ERR_NOMEM ? ERR_NOMEM : ERR_IO;
        goto fail;
    }
    err = settings(db, options, reader, alone, why);
    if (err != ERR_OK)
        goto fail;
    err = controls_prepare(db, why);
    if (err != ERR_OK)
        goto fail;
    *ret_db = db;
    return ERR_OK;

fail:
    store_db_close(db, false);
    return err;
}

void store_db_close(struct store_db *db, bool checkpoint)
{
    if (db == NULL)
        return;
    store_stmts_finish(db);
    for (int i = 0; i < CONTROL_COUNT; i++)
        sqlite3_finalize(db->control[i]);
    if (checkpoint)
        sqlite3_wal_checkpoint_v2(db->sql, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    else if (db->sql != NULL)
        sqlite3_db_config(db->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    int code = sqlite3_close(db->sql);
    ASSERT(code == SQLITE_OK); /* a statement was left open */
    mem_free(db);
}
