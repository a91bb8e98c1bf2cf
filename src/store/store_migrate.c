#include "store/store_int.h"

#include <string.h>

enum { STMT_LIST, STMT_ADD, STMT_FOREIGN, STMT_COUNT };
static const char *const sql_text[STMT_COUNT] = {
    [STMT_LIST] = "SELECT number, name FROM schema_migrations ORDER BY number",
    [STMT_ADD] = "INSERT INTO schema_migrations (number, name, applied_at) VALUES (?1, ?2, ?3)",
    [STMT_FOREIGN] = "PRAGMA foreign_key_check",
};
static struct store_statements statements = {"store", sql_text, STMT_COUNT, 0};

static int migrations_newest(const struct store_migration *migrations)
{
    int newest = 0;
    for (; migrations->number != 0; migrations++) {
        ASSERT(migrations->number == newest + 1);
        newest = migrations->number;
    }
    return newest;
}

/* What the database has must be what this program would have done; finds the newest number. */
static enum err applied_check(struct store_db *db, const struct store_migration *migrations,
                              char *why, int *ret_newest)
{
    int known = migrations_newest(migrations);
    int newest = 0;
    int first_other = 0;
    struct store_stmt *stmt = store_prepare(db, &statements, STMT_LIST);
    enum err err;
    while ((err = store_row(stmt)) == ERR_OK) {
        int64_t number = store_col_i64(stmt, 0);
        newest = (int)number;
        if (number < 1 || number > known || first_other != 0)
            continue;
        if (!str_equal(store_col_text(stmt, 1), str_from(migrations[number - 1].name)))
            first_other = (int)number;
    }
    store_stmts_reset(db);
    if (err != ERR_NOT_FOUND) {
        store_why(why, "The database's list of migrations cannot be read: %s.",
                  sqlite3_errmsg(db->sql));
        return ERR_IO;
    }
    if (newest > known) {
        store_why(why,
                  "The database was made by a newer program: it has migration %d, this program "
                  "knows %d at most. "
                  "Start the newer program, or restore a backup from before the upgrade.",
                  newest, known);
        return ERR_VERSION;
    }
    if (first_other != 0) {
        store_why(
            why,
            "The database was made by another program: its migration %d is not this program's %s.",
            first_other, migrations[first_other - 1].name);
        return ERR_VERSION;
    }
    *ret_newest = newest;
    return ERR_OK;
}

static enum err migration_note(struct store_db *db, const struct store_migration *migration)
{
    struct store_stmt *stmt = store_prepare(db, &statements, STMT_ADD);
    store_bind_i64(stmt, 1, migration->number);
    store_bind_text(stmt, 2, str_from(migration->name));
    store_bind_i64(stmt, 3, sys_wall_ms());
    enum err err = store_exec(db, stmt, NULL);
    if (err == ERR_OK) {
        stmt = store_prepare(db, &statements, STMT_FOREIGN);
        err = store_row(stmt);
        err = err == ERR_NOT_FOUND ? ERR_OK : err == ERR_OK ? ERR_CONFLICT : err;
    }
    store_stmts_reset(db);
    return err;
}

static enum err migration_apply(struct store_db *db, const struct store_migration *migration,
                                char *why)
{
    enum err err = store_db_control(db, CONTROL_BEGIN_WRITE);
    if (err == ERR_OK && sqlite3_exec(db->sql, migration->sql, NULL, NULL, NULL) != SQLITE_OK)
        err = ERR_IO;
    if (err == ERR_OK && !store_db_in_transaction(db)) {
        store_why(why, "Migration %d (%s) ends its own transaction.", migration->number,
                  migration->name);
        return ERR_IO;
    }
    if (err == ERR_OK)
        err = migration_note(db, migration);
    if (err == ERR_OK)
        err = store_db_control(db, CONTROL_COMMIT);
    if (err == ERR_OK)
        return ERR_OK;
    store_why(why, "Migration %d (%s) failed: %s.", migration->number, migration->name,
              err == ERR_CONFLICT ? "it would leave rows that refer to nothing"
                                  : sqlite3_errmsg(db->sql));
    if (store_db_in_transaction(db) && store_db_control(db, CONTROL_ROLLBACK) != ERR_OK)
        store_why(why, "Migration %d (%s) failed and could not be undone.", migration->number,
                  migration->name);
    return ERR_IO;
}

static enum err foreign_keys(struct store_db *db, bool on)
{
    const char *sql = on ? "PRAGMA foreign_keys = ON" : "PRAGMA foreign_keys = OFF";
    return sqlite3_exec(db->sql, sql, NULL, NULL, NULL) == SQLITE_OK ? ERR_OK : ERR_IO;
}

enum err store_migrate(struct store_db *db, const struct store_migration *migrations, char *why)
{
    int newest = 0;
    const char *table =
        "CREATE TABLE IF NOT EXISTS schema_migrations ("
        "number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)";
    if (sqlite3_exec(db->sql, table, NULL, NULL, NULL) != SQLITE_OK) {
        store_why(why, "The database cannot be changed: %s.", sqlite3_errmsg(db->sql));
        return ERR_IO;
    }
    enum err err = applied_check(db, migrations, why, &newest);
    /* A table is rebuilt by dropping the old one, which must not empty those that refer to it; so
     * they are off while migrating, and every row is checked before each commit instead. */
    if (err == ERR_OK)
        err = foreign_keys(db, false);
    for (int i = newest; err == ERR_OK && migrations[i].number != 0; i++)
        err = migration_apply(db, &migrations[i], why);
    if (err == ERR_OK)
        err = foreign_keys(db, true);
    return err;
}
