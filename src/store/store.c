/* Opening, submission and the way back to the loop. */
#include "store/store_int.h"

#include <stdio.h>
#include <string.h>

#define GROUP_MAX      256
#define READ_GROUP_MAX 16 /* a reader's snapshot holds up the checkpoint: keep it short */
#define QUEUE_MAX      65536
#define DONES_A_WAKE   1024

enum { WRITER, READER };

static struct store_job *done_take(struct store *store)
{
    pthread_mutex_lock(&store->mutex);
    struct store_job *job = store->done_head;
    if (job != NULL) {
        store->done_head = job->next;
        if (store->done_head == NULL)
            store->done_tail = NULL;
        store->stats.waiting--;
    }
    pthread_mutex_unlock(&store->mutex);
    return job;
}

/* At most `max` dones; true when there may be more. */
static bool dones_call(struct store *store, uint32_t max)
{
    store->in_done = true;
    uint32_t called = 0;
    for (; called < max; called++) {
        struct store_job *job = done_take(store);
        if (job == NULL)
            break;
        job->next = NULL;
        job->done(job, job->err); /* the job may be gone after this */
    }
    store->in_done = false;
    return called == max;
}

static void wake(void *cookie)
{
    struct store *store = cookie;
    if (dones_call(store, DONES_A_WAKE))
        loop_wake_post(store->wake);
}

/* ---- open and close ---- */

static void lane_init(struct store *store, int which, uint32_t group_max)
{
    struct store_lane *lane = &store->lanes[which];
    *lane = (struct store_lane){.store = store, .group_max = group_max, .reader = which == READER};
    pthread_cond_init(&lane->changed, NULL);
    pthread_mutex_init(&lane->db_lock, NULL);
}

static struct store *store_new(const struct store_options *options)
{
    struct store *store = mem_zalloc(sizeof(*store));
    if (store == NULL)
        return NULL;
    store->lock.fd = -1;
    store->is_inline = options->inline_jobs;
    store->queue_max = options->queue_max == 0 ? QUEUE_MAX : options->queue_max;
    pthread_mutex_init(&store->mutex, NULL);
    uint32_t group_max = options->group_max == 0 ? GROUP_MAX : options->group_max;
    lane_init(store, WRITER, group_max);
    lane_init(store, READER, group_max < READ_GROUP_MAX ? group_max : READ_GROUP_MAX);
    return store;
}

static void store_free(struct store *store, bool checkpoint)
{
    if (store->wake != NULL)
        loop_wake_destroy(store->wake);
    store_db_close(store->lanes[READER].db,
                   false); /* the writer's, which closes last, cleans the WAL up */
    store_db_close(store->lanes[WRITER].db, checkpoint);
    file_unlock(&store->lock);
    for (int i = 0; i < 2; i++) {
        pthread_cond_destroy(&store->lanes[i].changed);
        pthread_mutex_destroy(&store->lanes[i].db_lock);
    }
    pthread_mutex_destroy(&store->mutex);
    mem_free(store);
}

/* SQLite would let two processes take turns; but what a server holds in memory is true only while
 * it is alone. */
static enum err lock_take(struct store *store, const char *path, char *why)
{
    char lock_path[4096];
    int len = snprintf(lock_path, sizeof(lock_path), "%s.lock", path);
    if (len < 0 || (size_t)len >= sizeof(lock_path)) {
        store_why(why, "The path of the database is too long.");
        return ERR_IO;
    }
    enum err err = file_lock(lock_path, &store->lock);
    if (err == ERR_CONFLICT)
        store_why(why, "The database %s is in use by another process, which holds %s.", path,
                  lock_path);
    else if (err != ERR_OK)
        store_why(why, "The lock %s cannot be taken (%s).", lock_path, err_name(err));
    return err == ERR_OK || err == ERR_CONFLICT || err == ERR_NOMEM ? err : ERR_IO;
}

static enum err open_connections(struct store *store, const struct store_options *options,
                                 char *why)
{
    bool alone = options->inline_jobs || options->path == NULL;
    enum err err = ERR_OK;
    if (options->path != NULL && options->vfs == NULL)
        err = lock_take(store, options->path, why);
    if (err == ERR_OK)
        err = store_db_open(options, false, alone, why, &store->lanes[WRITER].db);
    if (err == ERR_OK && options->migrations != NULL)
        err = store_migrate(store->lanes[WRITER].db, options->migrations, why);
    if (err == ERR_OK && !alone)
        err = store_db_open(options, true, alone, why, &store->lanes[READER].db);
    return err;
}

static void threads_stop(struct store *store, bool drop)
{
    pthread_mutex_lock(&store->mutex);
    store->closing = true;
    store->dropping = drop;
    pthread_mutex_unlock(&store->mutex);
    store_lane_stop(&store->lanes[READER]);
    store_lane_stop(&store->lanes[WRITER]);
}

static enum err threads_start(struct store *store, struct loop *loop)
{
    enum err err = loop_wake_create(loop, wake, store, &store->wake);
    if (err == ERR_OK)
        err = store_lane_start(&store->lanes[WRITER]);
    if (err == ERR_OK && store->lanes[READER].db != NULL)
        err = store_lane_start(&store->lanes[READER]);
    return err;
}

static void sqlite_without_counts(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/* Without this every malloc of SQLite's takes a lock of the whole process, to count what nobody
 * asks for.  Too late (something used SQLite before) it does nothing. */
static void sqlite_configure(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, sqlite_without_counts);
}

enum err store_open(struct loop *loop, const struct store_options *options, char *why,
                    size_t why_bytes, struct store **ret_store)
{
    sqlite_configure();
    char sentence[STORE_WHY_BYTES] = "";
    ASSERT(loop != NULL || options->inline_jobs);
    ASSERT(options->vfs == NULL || options->inline_jobs);
    struct store *store = store_new(options);
    enum err err = store == NULL ? ERR_NOMEM : open_connections(store, options, sentence);
    if (err == ERR_OK && !options->inline_jobs)
        err = threads_start(store, loop);
    if (err == ERR_OK) {
        *ret_store = store;
        return ERR_OK;
    }
    if (err == ERR_NOMEM && sentence[0] == '\0')
        store_why(sentence, "There is not enough memory to open the database.");
    if (why != NULL && why_bytes > 0)
        snprintf(why, why_bytes, "%s", sentence);
    if (store != NULL) {
        threads_stop(store, true);
        store_free(store, false);
    }
    return err;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    ASSERT(!store->in_done);
    threads_stop(store, false);
    while (store->is_inline && store_step(store, 0) > 0)
        continue;
    dones_call(store, UINT32_MAX);
    store_free(store, true);
}

void store_crash(struct store *store)
{
    threads_stop(store, true);
    store_free(store, false);
}

/* ---- jobs ---- */

static enum err submit(struct store *store, struct store_job *job, bool reads)
{
    struct store_lane *lane =
        &store->lanes[reads && store->lanes[READER].db != NULL ? READER : WRITER];
    enum err err = ERR_OK;
    job->next = NULL;
    job->err = ERR_OK;
    job->reads = reads;
    pthread_mutex_lock(&store->mutex);
    if (store->closing) {
        err = ERR_CLOSED;
    } else if (store->stats.waiting >= store->queue_max) {
        err = ERR_FULL;
    } else {
        if (lane->tail == NULL)
            lane->head = job;
        else
            lane->tail->next = job;
        lane->tail = job;
        if (++store->stats.waiting > store->stats.waiting_max)
            store->stats.waiting_max = store->stats.waiting;
        if (lane->head == job)
            pthread_cond_signal(&lane->changed);
    }
    pthread_mutex_unlock(&store->mutex);
    return err;
}

enum err store_write(struct store *store, struct store_job *job)
{
    return submit(store, job, false);
}

enum err store_read(struct store *store, struct store_job *job)
{
    return submit(store, job, true);
}

uint32_t store_step(struct store *store, uint32_t run_only)
{
    struct store_lane *lane = &store->lanes[WRITER];
    ASSERT(store->is_inline && !store->in_done);
    uint32_t max = run_only == 0 || run_only > lane->group_max ? lane->group_max : run_only;
    struct store_job *head = store_lane_take(lane, max);
    if (head == NULL)
        return 0;
    uint32_t count = store_group_run(lane, head);
    store_dones_add(store, head);
    dones_call(store, UINT32_MAX);
    return count;
}

enum err store_run_now(struct store *store, struct store_job *job)
{
    struct store_lane *lane = &store->lanes[WRITER];
    job->next = NULL;
    job->reads = false;
    pthread_mutex_lock(&lane->db_lock);
    store_group_run(lane, job);
    pthread_mutex_unlock(&lane->db_lock);
    return job->err;
}

void store_stats_get(const struct store *store, struct store_stats *ret_stats)
{
    pthread_mutex_t *mutex =
        (pthread_mutex_t *)&store->mutex; /* reading takes the lock, and changes nothing else */
    pthread_mutex_lock(mutex);
    *ret_stats = store->stats;
    pthread_mutex_unlock(mutex);
}
