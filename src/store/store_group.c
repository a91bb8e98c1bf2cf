/* Group commit: the jobs that wait become one transaction.
 *
 *   BEGIN --- job 1 --- job 2 --- ... --- COMMIT      each job that fails is undone to where it
 * began; |         |         |                 |         when the transaction itself is lost (disk
 * full may do that in
 *     +---------+---------+-----------------+         the middle), every job in it so far is lost,
 * and what has not every job so far: ERR_IO              run yet starts a new one. */
#include "store/store_int.h"

struct group {
    struct store_job *first,
        *end; /* those run in this transaction: from first up to, not including, end */
    uint32_t count;
    int64_t changes_before, commit_us;
    bool wrote; /* a commit that wrote nothing says nothing about the disk */
    bool alone; /* one job: the transaction is its savepoint */
    bool plain; /* jobs that may run again, without savepoints */
    bool retry; /* one of them failed after it had changed something */
};

static void group_lost(const struct group *group)
{
    /* Also those that were refused: what they were refused for may have been another job of the
     * group. */
    for (struct store_job *job = group->first; job != group->end; job = job->next)
        job->err = ERR_IO;
}

static void rollback(struct store_db *db)
{
    if (store_db_in_transaction(db) && store_db_control(db, CONTROL_ROLLBACK) != ERR_OK)
        log_line(LOG_ERROR, "store", "rollback", "%s", sqlite3_errstr(db->failed_code), NULL);
}

/* Take back what this job did.  False when that took the whole transaction. */
static bool job_undo(struct store_db *db, bool alone)
{
    if (!store_db_in_transaction(db))
        return false;
    if (alone) {
        rollback(db);
        return true; /* nobody else was in it */
    }
    if (db->savepoint != SAVEPOINT_OPEN)
        return true;
    if (store_db_control(db, CONTROL_UNDO) == ERR_OK &&
        store_db_control(db, CONTROL_RELEASE) == ERR_OK)
        return true;
    rollback(db);
    return false;
}

static bool job_run(struct store_lane *lane, struct store_job *job, struct group *group)
{
    struct store_db *db = lane->db;
    int64_t changes_before = sqlite3_total_changes64(db->sql);
    bool bare = group->alone || group->plain || lane->reader;
    db->failed = ERR_OK;
    db->reading = job->reads;
    db->savepoint = bare ? SAVEPOINT_NONE : SAVEPOINT_WANTED;
    job->err = job->run(job, db);
    store_stmts_reset(db);
    if (db->failed != ERR_OK)
        job->err = ERR_IO;
    if (job->err != ERR_OK && group->plain &&
        (db->failed != ERR_OK || sqlite3_total_changes64(db->sql) != changes_before)) {
        group->retry = true;
        return false;
    }
    if (job->err != ERR_OK)
        return job_undo(db, group->alone);
    if (db->savepoint == SAVEPOINT_OPEN && store_db_control(db, CONTROL_RELEASE) != ERR_OK) {
        rollback(db);
        return false;
    }
    return store_db_in_transaction(db);
}

/* Health, and what it costs; says once when the disk fails and once when it is back. */
static void note_commit(struct store_lane *lane, const struct group *group, bool good)
{
    struct store *store = lane->store;
    if (lane->reader)
        return;
    pthread_mutex_lock(&store->mutex);
    bool was_failing = store->stats.failing;
    bool now_failing = !good || (was_failing && !group->wrote);
    store->stats.failing = now_failing;
    store->stats.jobs += group->count;
    store->stats.commits += good && group->wrote;
    store->stats.commit_failures += !good;
    store->stats.commit_us_total += (uint64_t)group->commit_us;
    pthread_mutex_unlock(&store->mutex);
    if (now_failing && !was_failing)
        log_line(LOG_ERROR, "store", "commit", "%s", sqlite3_errstr(lane->db->failed_code), NULL);
    else if (!now_failing && was_failing)
        log_line(LOG_WARN, "store", "commit", "%s", "works again", NULL);
}

static bool group_begin(struct store_lane *lane)
{
    struct store_db *db = lane->db;
    rollback(db); /* only after a rollback that failed */
    return store_db_control(db, lane->reader ? CONTROL_BEGIN_READ : CONTROL_BEGIN_WRITE) == ERR_OK;
}

static bool group_commit(struct store_lane *lane, struct group *group)
{
    struct store_db *db = lane->db;
    group->wrote = sqlite3_total_changes64(db->sql) != group->changes_before;
    if (!store_db_in_transaction(db)) {
        group->wrote = false; /* its only job was refused and undone */
        return true;
    }
    int64_t began_us = sys_mono_us();
    bool good = store_db_control(db, CONTROL_COMMIT) == ERR_OK;
    group->commit_us = sys_mono_us() - began_us;
    if (!good)
        rollback(db);
    return good;
}

/* A savepoint copies every page its job touches.  Jobs that may run a second time do without:
 * should one of them fail after a change, all are taken back and run once more, each in a savepoint
 * of its own. */
static bool may_run_plain(const struct store_job *head)
{
    const struct store_job *job = head;
    while (job != NULL && job->again)
        job = job->next;
    return job == NULL;
}

static bool group_jobs(struct store_lane *lane, struct group *group)
{
    bool good = group_begin(lane);
    if (!good) {
        for (struct store_job *job = group->end; job != NULL; job = job->next)
            group->count++;
        group->end = NULL;
    }
    while (good && group->end != NULL) {
        struct store_job *job = group->end;
        group->end = job->next;
        group->count++;
        good = job_run(lane, job, group);
    }
    return good;
}

/* One transaction; returns the first job that is not in it. */
static struct store_job *group_one(struct store_lane *lane, struct store_job *head,
                                   uint32_t *ret_count)
{
    struct group group = {
        .first = head,
        .end = head,
        .changes_before = sqlite3_total_changes64(lane->db->sql),
        .alone = head->next == NULL,
    };
    group.plain = !group.alone && !lane->reader && may_run_plain(head);
    bool good = group_jobs(lane, &group);
    if (group.retry) {
        rollback(lane->db);
        group.end = head;
        group.count = 0;
        group.plain = group.retry = false;
        good = group_jobs(lane, &group);
    }
    if (good)
        good = group_commit(lane, &group);
    if (!good)
        group_lost(&group);
    note_commit(lane, &group, good);
    *ret_count += group.count;
    return group.end;
}

uint32_t store_group_run(struct store_lane *lane, struct store_job *head)
{
    uint32_t count = 0;
    while (head != NULL)
        head = group_one(lane, head, &count);
    return count;
}
