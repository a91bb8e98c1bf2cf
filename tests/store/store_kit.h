/* What the tests of room store share: one small table, and jobs on it. */
#ifndef AUTOMAT_TESTS_STORE_KIT_H
#define AUTOMAT_TESTS_STORE_KIT_H

#include "kit/kit.h"
#include "store/store.h"

static const struct store_migration notes_migrations[] = {
    {1, "0001_notes.sql",
     "CREATE TABLE notes (note_id INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE, round INTEGER "
     "NOT NULL)"},
    {0, NULL, NULL},
};

enum { NOTE_ADD, NOTE_COUNT, NOTE_HAS, NOTE_FIND, NOTE_ODD, NOTE_STMTS };
static const char *const note_sql[NOTE_STMTS] = {
    [NOTE_ADD] = "INSERT INTO notes (body, round) VALUES (?1, ?2)",
    [NOTE_COUNT] = "SELECT count(*) FROM notes",
    [NOTE_HAS] = "SELECT 1 FROM notes WHERE body = ?1",
    [NOTE_FIND] = "SELECT note_id, body FROM notes ORDER BY note_id",
    [NOTE_ODD] = "SELEC broken",
};
static struct store_statements note_statements = {"notes", note_sql, NOTE_STMTS, 0};

struct note_job {
    struct store_job job;
    char body[64];
    int adds;         /* rows: body, body+1, ... */
    enum err verdict; /* what run says after its inserts */
    enum err err;
    int64_t count; /* out: rows in the table */
    uint32_t order;
    int done;
};
static uint32_t note_order;

static enum err note_add(struct store_db *db, const char *body, int number)
{
    char text[80];
    snprintf(text, sizeof(text), "%s/%d", body, number);
    struct store_stmt *stmt = store_prepare(db, &note_statements, NOTE_ADD);
    store_bind_text(stmt, 1, str_from(text));
    store_bind_i64(stmt, 2, number);
    return store_exec(db, stmt, NULL);
}

static inline enum err note_write_run(struct store_job *job, struct store_db *db)
{
    struct note_job *note = (struct note_job *)job;
    for (int i = 0; i < note->adds; i++) {
        enum err err = note_add(db, note->body, i);
        if (err != ERR_OK)
            return err;
    }
    return note->verdict;
}

static inline enum err note_count_run(struct store_job *job, struct store_db *db)
{
    struct note_job *note = (struct note_job *)job;
    struct store_stmt *stmt = store_prepare(db, &note_statements, NOTE_COUNT);
    enum err err = store_row(stmt);
    if (err == ERR_OK)
        note->count = store_col_i64(stmt, 0);
    return err;
}

static inline void note_done(struct store_job *job, enum err err)
{
    struct note_job *note = (struct note_job *)job;
    note->err = err;
    note->done++;
    note->order = ++note_order;
}

static inline void note_init(struct note_job *note, const char *body, int adds, enum err verdict)
{
    *note = (struct note_job){.adds = adds, .verdict = verdict};
    note->job = (struct store_job){.run = note_write_run, .done = note_done};
    snprintf(note->body, sizeof(note->body), "%s", body);
}

static inline int64_t note_count(struct store *store)
{
    struct note_job note = {.count = -1};
    note.job = (struct store_job){.run = note_count_run, .done = note_done};
    CHECK_OK(store_run_now(store, &note.job));
    return note.count;
}

#endif
