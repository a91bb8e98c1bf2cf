/* store: SQL behind one header (SQLite now).  One writer thread owns the writing connection; all
 * jobs that wait become one transaction, each in a savepoint of its own, and their `done` is called
 * after the commit is on disk (WAL, synchronous=FULL).  A second connection reads.  SQL text lives
 * in the rooms that own the tables. */
#ifndef AUTOMAT_STORE_H
#define AUTOMAT_STORE_H

#include "base/base.h"
#include "loop/loop.h"
#include "sys/sys.h"

struct store;    /* loop thread only */
struct store_db; /* one connection, inside a job's run() only */

/* ---- migrations: numbered, applied at open in one transaction each, recorded in schema_migrations
 * ---- */
struct store_migration {
    int number; /* 1, 2, 3, ...; 0 ends the table */
    const char *name;
    const char *sql;
};
extern const struct store_migration
    store_migrations_all[]; /* made by the build from src/ROOM/migrations */

struct store_options {
    const char *path; /* database file; NULL: in memory */
    const char
        *vfs; /* SQLite VFS name (store_fault.h), with inline_jobs only; NULL: the system's */
    const struct store_migration *migrations; /* NULL: none */
    uint32_t group_max; /* jobs in one transaction at most; 0: 256.  1 switches group commit off
                           (bench) */
    uint32_t queue_max; /* jobs submitted and not yet done at most, then ERR_FULL; 0: 65,536 */
    bool inline_jobs;   /* tests/world: no thread; jobs wait until store_step.  `loop` may then be
                           NULL */
    bool busy_refuse; /* fail at once, instead of after 5 s, when a tool holds the database's write
                         lock */
};
/* In memory and with inline_jobs there is one connection: reads take their place among the writes,
 * in order of submission, and are part of the group.  Otherwise they run beside the writer, on a
 * connection of their own. ERR_VERSION: the database was made by a newer program.  ERR_CONFLICT:
 * another process (or store) has it open. ERR_IO: cannot open or migrate; the migrations before the
 * one that failed stay.  ERR_NOMEM. `why` (may be NULL) receives a sentence for people. */
MUST_USE enum err store_open(struct loop *loop, const struct store_options *options, char *why,
                             size_t why_bytes, struct store **ret_store);
/* Finish every waiting job (commit, then done, called from here), then close.  Not from inside a
 * done.  NULL does nothing. */
void store_close(struct store *store);
/* Tests: drop everything uncommitted and every waiting job without calling done, as a power cut
 * would.  (A group that a thread has in hand is finished first, its dones are not called either.)
 */
void store_crash(struct store *store);

/* ---- jobs ---- */

/* Embedded in the caller's own struct, which lives until `done` returns.
 * run:  on the writer (or reader) thread, inside the transaction.  Touches the database and the
 * job's own data, nothing else.  Anything but ERR_OK rolls back this job's savepoint only.  May run
 * once only; is not run at all when the transaction cannot begin (done then says ERR_IO). done: on
 * the loop, exactly once, in the order of submission for writers, when the result is durable. `err`
 * is run's result, or ERR_IO when the store failed (a statement or the commit: disk full, I/O,
 * memory): then nothing of it happened.  (One exception, which no database can close: power lost
 * right after a commit that failed in its last sync may bring the change back after all.  "ERR_IO"
 * may be asked again, never assumed.) */
struct store_job {
    enum err (*run)(struct store_job *job, struct store_db *db);
    void (*done)(struct store_job *job, enum err err);
    /* run may be called a second time, its first run undone as if it had never been: then a group
     * of such jobs needs no savepoints, which cost more than the changes themselves.  false: once
     * only. */
    bool again;
    struct store_job *next; /* store's */
    enum err err;           /* store's */
    bool reads;             /* store's */
};
/* ERR_FULL when queue_max wait, ERR_CLOSED when closing: then done is not called. */
MUST_USE enum err store_write(struct store *store, struct store_job *job);
MUST_USE enum err store_read(struct store *store,
                             struct store_job *job); /* sees the last commit; may not write */

/* Something small that one room asks another to write inside that one's job, so that both are on
 * disk together or not at all.  Copied by value; `word` is the asking room's own. */
struct store_rider {
    enum err (*write)(struct store_db *db, const struct store_rider *rider); /* NULL: nothing */
    uint64_t word[3];
};
static inline enum err store_ride(struct store_db *db, const struct store_rider *rider)
{
    return rider->write != NULL ? rider->write(db, rider) : ERR_OK;
}

/* inline_jobs: run what waits as one transaction, commit, and call the dones.  Number of jobs
 * handled. `run_only` of them at most (0: group_max). */
uint32_t store_step(struct store *store, uint32_t run_only);

/* Run one job now, in a transaction of its own, on the calling thread, before the loop runs
 * (start-up: loading what memory holds).  `done` is not called. */
MUST_USE enum err store_run_now(struct store *store, struct store_job *job);

struct store_stats {
    uint64_t jobs, commits, commit_failures;
    uint64_t commit_us_total; /* time inside COMMIT */
    uint32_t waiting, waiting_max;
    bool failing; /* the last commit failed (disk full?); cleared by the next good one */
};
void store_stats_get(const struct store *store, struct store_stats *ret_stats);

/* ---- statements: a room's closed list; prepared once a connection, reused ---- */

struct store_statements {
    const char *room;
    const char *const *sql; /* [index] */
    int count;
    int slot; /* store's: 0 at birth */
};

struct store_stmt; /* a prepared statement, reset and unbound, valid until the next store_prepare of
                      the same index */

/* Never NULL: a preparation that fails is remembered and store_row returns it as ERR_IO.  A list
 * belongs to one room and is static; one program has at most 64 lists. */
struct store_stmt *store_prepare(struct store_db *db, struct store_statements *statements,
                                 int index);
/* Positions count from 1, as in SQL ?1.  Text and blobs are copied, and may have zero bytes inside.
 */
void store_bind_i64(struct store_stmt *stmt, int position, int64_t value);
void store_bind_f64(struct store_stmt *stmt, int position, double value);
void store_bind_text(struct store_stmt *stmt, int position,
                     struct str text); /* at == NULL: SQL NULL */
void store_bind_blob(struct store_stmt *stmt, int position, const void *bytes,
                     size_t len); /* NULL: SQL NULL */
void store_bind_null(struct store_stmt *stmt, int position);
/* ERR_OK: a row is there.  ERR_NOT_FOUND: no (more) rows; for INSERT/UPDATE/DELETE the normal end.
 * ERR_CONFLICT: a constraint; the statement did nothing, the job may go on.  ERR_DENIED: a change
 * asked for in a read. ERR_FULL: disk full.  ERR_IO: the rest.  After these two the job fails with
 * ERR_IO whatever its run returns. */
MUST_USE enum err store_row(struct store_stmt *stmt);
/* Run a statement that gives no rows; `ret_changes` (may be NULL) is the number of rows it touched.
 */
MUST_USE enum err store_exec(struct store_db *db, struct store_stmt *stmt, int64_t *ret_changes);
int64_t store_last_id(struct store_db *db);
/* Columns count from 0; text lives until the next store_row or store_prepare of this statement. */
int64_t store_col_i64(struct store_stmt *stmt, int column);
double store_col_f64(struct store_stmt *stmt, int column);
struct str store_col_text(struct store_stmt *stmt, int column); /* STR_NONE for NULL */
struct str store_col_blob(struct store_stmt *stmt, int column);
bool store_col_null(struct store_stmt *stmt, int column);

#endif
