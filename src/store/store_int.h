/* Inside room store only. */
#ifndef AUTOMAT_STORE_INT_H
#define AUTOMAT_STORE_INT_H

#include <pthread.h>
#include <sqlite3.h>

#include "store/store.h"

#define STORE_ROOMS_MAX 64
#define STORE_WHY_BYTES 512

enum store_control {
    CONTROL_BEGIN_READ,
    CONTROL_BEGIN_WRITE,
    CONTROL_COMMIT,
    CONTROL_ROLLBACK,
    CONTROL_SAVEPOINT,
    CONTROL_RELEASE,
    CONTROL_UNDO,
    CONTROL_COUNT
};

struct store_stmt {
    struct store_db *db;
    sqlite3_stmt *sql;
    struct store_stmt *next_active; /* prepared since the job began */
    enum err err;                   /* why it can't run: preparing or binding failed */
    bool active, ended, readonly;
};

/* Whether the job that runs needs a way back of its own, and has it.  Opened before its first
 * change, so that a job that only looks and refuses costs no savepoint. */
enum store_savepoint { SAVEPOINT_NONE, SAVEPOINT_WANTED, SAVEPOINT_OPEN };

struct store_db {
    sqlite3 *sql;
    sqlite3_stmt *control[CONTROL_COUNT];
    struct store_stmt *rooms[STORE_ROOMS_MAX + 1]; /* by slot; slots count from 1 */
    int room_counts[STORE_ROOMS_MAX + 1];
    struct store_stmt *active;
    struct store_stmt broken; /* what store_prepare gives when there's no memory for the list */
    enum store_savepoint savepoint;
    int failed_code; /* SQLite's, of the newest failure of the store */
    enum err failed; /* the store failed the running job: overrides what its run says */
    bool reading;    /* the running job may not change anything */
};

/* What a thread (or store_step) works off: a connection and a queue. */
struct store_lane {
    struct store *store;
    struct store_db *db;
    struct store_job *head, *tail;
    uint32_t group_max;
    pthread_t thread;
    pthread_cond_t changed;
    pthread_mutex_t db_lock; /* held while db is in use: the thread's group, or store_run_now */
    bool reader, running;
};

struct store {
    struct loop_wake *wake; /* NULL: inline */
    struct file_lock lock;
    struct store_lane
        lanes[2]; /* writer, reader; the reader's db is NULL when there's one connection */
    uint32_t queue_max;
    bool is_inline, in_done;

    pthread_mutex_t mutex; /* guards what follows, and the lanes' queues */
    struct store_job *done_head, *done_tail;
    struct store_stats stats;
    bool closing;  /* nothing new is taken */
    bool dropping; /* threads leave without working off their queues */
};

/* ---- store_db.c ---- */
MUST_USE enum err store_db_open(const struct store_options *options, bool reader, bool alone,
                                char *why, struct store_db **ret_db);
void store_db_close(struct store_db *db, bool checkpoint);
/* ERR_OK, ERR_FULL, ERR_NOMEM or ERR_IO. */
MUST_USE enum err store_db_control(struct store_db *db, enum store_control which);
bool store_db_in_transaction(const struct store_db *db);
enum err store_err_from_sqlite(int code);
void store_why(char *why, const char *format, ...) PRINTF_LIKE(2, 3);

/* ---- store_stmt.c ---- */
/* Reset what the job prepared, so that no read stays open behind it. */
void store_stmts_reset(struct store_db *db);
void store_stmts_finish(struct store_db *db);

/* ---- store_migrate.c ---- */
MUST_USE enum err store_migrate(struct store_db *db, const struct store_migration *migrations,
                                char *why);

/* ---- store_group.c ---- */
/* Run the list as one transaction (several, when one is lost on the way) and set each job's err.
 * Returns how many. */
uint32_t store_group_run(struct store_lane *lane, struct store_job *head);

/* ---- store_lane.c ---- */
MUST_USE enum err store_lane_start(struct store_lane *lane);
void store_lane_stop(
    struct store_lane *lane); /* joins; with store->closing set under the mutex before */
/* Both with the mutex held (inline: there is nobody else). */
struct store_job *store_lane_take(struct store_lane *lane, uint32_t max);
void store_dones_add(struct store *store, struct store_job *head);

#endif
