#include <math.h>
#include <stdio.h>
#include <string.h>

#include "store/store_kit.h"

enum { KEEP, FETCH, ADD_TWICE, CHILD, STMTS };
static const char *const sql[STMTS] = {
    [KEEP] = "INSERT INTO kept (i, f, t, b, n) VALUES (?1, ?2, ?3, ?4, ?5)",
    [FETCH] = "SELECT i, f, t, b, n, typeof(t), typeof(b), length(t) FROM kept ORDER BY kept_id",
    [ADD_TWICE] = "UPDATE kept SET i = i + 1",
    [CHILD] = "INSERT INTO child (kept_id) VALUES (?1)",
};
static struct store_statements statements = {"kept", sql, STMTS, 0};
static const struct store_migration migrations[] = {
    {1, "0001_kept.sql",
     "CREATE TABLE kept (kept_id INTEGER PRIMARY KEY, i, f, t TEXT, b BLOB, n);"
     "CREATE TABLE child (child_id INTEGER PRIMARY KEY, kept_id INTEGER NOT NULL REFERENCES kept)"},
    {0, NULL, NULL},
};

static enum err (*body)(struct store_db *db);
static enum err run(struct store_job *job, struct store_db *db)
{
    (void)job;
    return body(db);
}

static void in_store(enum err (*what)(struct store_db *db))
{
    struct store *store;
    struct store_job job = {.run = run};
    struct store_options options = {.migrations = migrations, .inline_jobs = true};
    CHECK_OK(store_open(NULL, &options, NULL, 0, &store));
    body = what;
    enum err err = store_run_now(store, &job);
    store_close(store);
    CHECK_OK(err);
}

static enum err keep(struct store_db *db, int64_t i, double f, struct str t, const void *b,
                     size_t b_len)
{
    struct store_stmt *stmt = store_prepare(db, &statements, KEEP);
    store_bind_i64(stmt, 1, i);
    store_bind_f64(stmt, 2, f);
    store_bind_text(stmt, 3, t);
    store_bind_blob(stmt, 4, b, b_len);
    store_bind_null(stmt, 5);
    return store_exec(db, stmt, NULL);
}

static enum err round_trip(struct store_db *db)
{
    static const uint8_t bytes[] = {0, 1, 0xFF, 0};
    CHECK_OK(keep(db, INT64_MIN, -0.5, STR("a\0b\xC3\xA9"), bytes, sizeof(bytes)));
    CHECK_EQ(store_last_id(db), 1);
    CHECK_OK(keep(db, INT64_MAX, 1e300, STR(""), bytes, 0));
    CHECK_OK(keep(db, 0, 0, STR_NONE, NULL, 0));
    struct store_stmt *stmt = store_prepare(db, &statements, FETCH);
    CHECK_OK(store_row(stmt));
    CHECK_EQ(store_col_i64(stmt, 0), INT64_MIN);
    CHECK_NEAR(store_col_f64(stmt, 1), -0.5, 0);
    CHECK(str_equal(store_col_text(stmt, 2), STR("a\0b\xC3\xA9")));
    CHECK_EQ(store_col_blob(stmt, 3).len, sizeof(bytes));
    CHECK_BYTES(store_col_blob(stmt, 3).at, bytes, sizeof(bytes));
    CHECK(store_col_null(stmt, 4));
    CHECK_OK(store_row(stmt));
    CHECK_EQ(store_col_i64(stmt, 0), INT64_MAX);
    CHECK(store_col_text(stmt, 2).at != NULL);
    CHECK_EQ(store_col_text(stmt, 2).len, 0);
    CHECK_SLICE(store_col_text(stmt, 5), "text");
    CHECK(store_col_blob(stmt, 3).at != NULL);
    CHECK_EQ(store_col_blob(stmt, 3).len, 0);
    CHECK_SLICE(store_col_text(stmt, 6), "blob");
    CHECK_OK(store_row(stmt));
    CHECK(store_col_text(stmt, 2).at == NULL);
    CHECK(store_col_blob(stmt, 3).at == NULL);
    CHECK(store_col_null(stmt, 2));
    CHECK_ERR(store_row(stmt), ERR_NOT_FOUND);
    CHECK_ERR(store_row(stmt), ERR_NOT_FOUND); /* and does not begin again */
    return ERR_OK;
}

TEST(values_come_back_as_they_went_in)
{
    in_store(round_trip);
}

static enum err changes(struct store_db *db)
{
    int64_t count = -1;
    CHECK_OK(store_exec(db, store_prepare(db, &statements, ADD_TWICE), &count));
    CHECK_EQ(count, 0);
    for (int i = 0; i < 3; i++)
        CHECK_OK(keep(db, i, 0, STR_NONE, NULL, 0));
    CHECK_OK(store_exec(db, store_prepare(db, &statements, ADD_TWICE), &count));
    CHECK_EQ(count, 3);
    return ERR_OK;
}

TEST(exec_says_how_many_rows_it_touched)
{
    in_store(changes);
}

static enum err rebind(struct store_db *db)
{
    CHECK_OK(keep(db, 1, 1, STR("one"), "x", 1));
    struct store_stmt *stmt = store_prepare(db, &statements, KEEP); /* everything unbound again */
    store_bind_i64(stmt, 1, 2);
    CHECK_OK(store_exec(db, stmt, NULL));
    stmt = store_prepare(db, &statements, FETCH);
    CHECK_OK(store_row(stmt));
    CHECK_SLICE(store_col_text(stmt, 2), "one");
    CHECK_OK(store_row(stmt));
    CHECK(store_col_null(stmt, 2));
    stmt = store_prepare(db, &statements, FETCH); /* from its beginning */
    CHECK_OK(store_row(stmt));
    CHECK_EQ(store_col_i64(stmt, 0), 1);
    return ERR_OK;
}

TEST(a_statement_prepared_again_is_unbound_and_at_its_beginning)
{
    in_store(rebind);
}

static enum err foreign(struct store_db *db)
{
    struct store_stmt *stmt = store_prepare(db, &statements, CHILD);
    store_bind_i64(stmt, 1, 77);
    CHECK_ERR(store_exec(db, stmt, NULL), ERR_CONFLICT);
    CHECK_OK(keep(db, 1, 1, STR("goes on"), "x", 1)); /* the job may go on */
    stmt = store_prepare(db, &statements, CHILD);
    store_bind_i64(stmt, 1, store_last_id(db));
    CHECK_OK(store_exec(db, stmt, NULL));
    return ERR_OK;
}

TEST(foreign_keys_are_kept)
{
    in_store(foreign);
}

static const char *const one_sql[] = {"SELECT 1"};
static const char *const two_sql[] = {"SELECT 2"};
static struct store_statements one = {"one", one_sql, 1, 0};
static struct store_statements two = {"two", two_sql, 1, 0};

static enum err both_lists(struct store_db *db)
{
    struct store_stmt *first = store_prepare(db, &one, 0);
    struct store_stmt *second = store_prepare(db, &two, 0);
    CHECK_OK(store_row(first));
    CHECK_OK(store_row(second));
    CHECK_EQ(store_col_i64(first, 0), 1);
    CHECK_EQ(store_col_i64(second, 0), 2);
    return ERR_OK;
}

TEST(two_lists_do_not_meet)
{
    in_store(both_lists);
    int slot = one.slot;
    in_store(both_lists); /* another connection, the same slots */
    CHECK_EQ(one.slot, slot);
    CHECK(one.slot != two.slot);
}
