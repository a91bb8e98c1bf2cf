/* Long random lives on the fault disk: groups of all sizes, small rows and rows of many pages (so
 * that the automatic checkpoint runs), faults of every kind at any moment, power cuts, orderly
 * restarts.  A model knows what must be there: after every restart the database is compared with
 * it. */
#include <stdio.h>
#include <stdlib.h>

#include "kit/kit.h"
#include "store/store.h"
#include "store/store_fault.h"

#define JOBS_MAX  4000
#define GROUP_MAX 12

static const struct store_migration migrations[] = {
    {1, "0001_rows.sql",
     "CREATE TABLE rows (job INTEGER NOT NULL, row INTEGER NOT NULL, bytes BLOB,"
     " PRIMARY KEY (job, row))"},
    {0, NULL, NULL},
};
enum { ADD, LIST, SOUND, STMTS };
static const char *const sql[STMTS] = {
    [ADD] = "INSERT INTO rows (job, row, bytes) VALUES (?1, ?2, zeroblob(?3))",
    [LIST] = "SELECT job, count(*) FROM rows GROUP BY job ORDER BY job",
    [SOUND] = "PRAGMA integrity_check",
};
static struct store_statements statements = {"rows", sql, STMTS, 0};

enum fate {
    FATE_NONE,   /* never submitted */
    FATE_OPEN,   /* submitted, no answer */
    FATE_ABSENT, /* must not be there */
    FATE_THERE,  /* must be there */
    FATE_FAILED, /* ERR_IO: must not be there, but a power cut may bring it back */
};

struct work {
    struct store_job job;
    int number, rows, bytes;
    bool refused;
};

struct life {
    struct rng rng;
    struct store_fault_disk *disk;
    struct store *store;
    struct work works[GROUP_MAX];
    enum fate fates[JOBS_MAX];
    int rows[JOBS_MAX];
    int jobs;
    int bytes_max;
    bool crashed; /* since the last look */
};
static struct life *alive;

static enum err work_run(struct store_job *job, struct store_db *db)
{
    struct work *work = (struct work *)job;
    for (int i = 0; i < work->rows; i++) {
        struct store_stmt *stmt = store_prepare(db, &statements, ADD);
        store_bind_i64(stmt, 1, work->number);
        store_bind_i64(stmt, 2, i);
        store_bind_i64(stmt, 3, work->bytes);
        enum err err = store_exec(db, stmt, NULL);
        if (err != ERR_OK)
            return err;
    }
    return work->refused ? ERR_REFUSED : ERR_OK;
}

static void work_done(struct store_job *job, enum err err)
{
    struct work *work = (struct work *)job;
    enum fate *fate = &alive->fates[work->number];
    CHECK_EQ(*fate, FATE_OPEN);
    CHECK(err == ERR_OK || err == ERR_IO || (err == ERR_REFUSED && work->refused));
    *fate = err == ERR_OK                         ? FATE_THERE
            : err == ERR_REFUSED || work->refused ? FATE_ABSENT
                                                  : FATE_FAILED;
}

static enum err look_run(struct store_job *job, struct store_db *db)
{
    static int found[JOBS_MAX];
    struct life *life = alive;
    (void)job;
    for (int i = 0; i < life->jobs; i++)
        found[i] = 0;
    struct store_stmt *stmt = store_prepare(db, &statements, LIST);
    enum err err;
    while ((err = store_row(stmt)) == ERR_OK)
        found[store_col_i64(stmt, 0)] = (int)store_col_i64(stmt, 1);
    CHECK_ERR(err, ERR_NOT_FOUND);
    for (int i = 0; i < life->jobs; i++) {
        enum fate *fate = &life->fates[i];
        CHECK(found[i] == 0 || found[i] == life->rows[i]); /* whole or not at all */
        CHECK(*fate != FATE_THERE || found[i] > 0);
        CHECK(*fate != FATE_ABSENT || found[i] == 0);
        CHECK(*fate != FATE_FAILED || found[i] == 0 || life->crashed);
        if (life->crashed && (*fate == FATE_OPEN || *fate == FATE_FAILED))
            *fate = found[i] > 0 ? FATE_THERE : FATE_ABSENT; /* decided now, and for good */
    }
    stmt = store_prepare(db, &statements, SOUND);
    CHECK_OK(store_row(stmt));
    CHECK_SLICE(store_col_text(stmt, 0), "ok");
    return ERR_OK;
}

static void look(struct life *life)
{
    struct store_job job = {.run = look_run};
    CHECK_OK(store_run_now(life->store, &job));
    life->crashed = false;
}

static enum err life_open(struct life *life)
{
    struct store_options options = {.path = "a.db",
                                    .vfs = store_fault_vfs_name(life->disk),
                                    .migrations = migrations,
                                    .inline_jobs = true};
    life->store = NULL;
    return store_open(NULL, &options, NULL, 0, &life->store);
}

static void group(struct life *life)
{
    int count = 1 + (int)rng_below(&life->rng, GROUP_MAX);
    for (int i = 0; i < count && life->jobs < JOBS_MAX; i++) {
        struct work *work = &life->works[i];
        *work = (struct work){.job = {.run = work_run, .done = work_done},
                              .number = life->jobs,
                              .rows = 1 + (int)rng_below(&life->rng, 4),
                              .bytes = (int)rng_below(&life->rng, (uint32_t)life->bytes_max),
                              .refused = rng_chance(&life->rng, 0.2)};
        life->rows[life->jobs] = work->rows;
        life->fates[life->jobs++] = FATE_OPEN;
        CHECK_OK(store_write(life->store, &work->job));
    }
    while (store_step(life->store, rng_chance(&life->rng, 0.2) ? 2 : 0) > 0)
        continue;
}

static void power_cut(struct life *life)
{
    if (life->store != NULL)
        store_crash(life->store);
    store_fault_crash(life->disk);
    life->crashed = true;
    while (rng_chance(&life->rng, 0.3)) { /* and again while it comes back */
        store_fault_fail_after(life->disk, 1 + rng_below(&life->rng, 10), STORE_FAULT_POWER, true);
        if (life_open(life) == ERR_OK)
            store_crash(life->store);
        store_fault_crash(life->disk);
    }
    CHECK_OK(life_open(life));
    look(life);
}

static void step(struct life *life)
{
    static const enum store_fault kinds[] = {STORE_FAULT_FULL, STORE_FAULT_WRITE, STORE_FAULT_SYNC,
                                             STORE_FAULT_POWER};
    uint32_t draw = rng_below(&life->rng, 100);
    if (draw < 70) {
        group(life);
    } else if (draw < 85) {
        enum store_fault kind = kinds[rng_below(&life->rng, ARRAY_COUNT(kinds))];
        store_fault_fail_after(life->disk, 1 + rng_below(&life->rng, 60), kind,
                               rng_chance(&life->rng, 0.5));
    } else if (draw < 92) {
        power_cut(life);
    } else if (draw < 96) {
        store_fault_fail_after(life->disk, 0, STORE_FAULT_NONE, false);
    } else {
        store_close(life->store);
        if (life_open(life) != ERR_OK)
            power_cut(life);
    }
}

static void live(uint64_t seed, int steps, int bytes_max)
{
    struct life *life = calloc(1, sizeof(*life));
    CHECK(life != NULL);
    alive = life;
    rng_init(&life->rng, seed);
    life->bytes_max = bytes_max;
    NOTE("seed %llu", (unsigned long long)seed);
    CHECK_OK(store_fault_disk_create(rng_next(&life->rng), &life->disk));
    CHECK_OK(life_open(life));
    for (int i = 0; i < steps; i++)
        step(life);
    power_cut(life);
    store_close(life->store);
    store_fault_disk_destroy(life->disk);
    free(life);
}

TEST(random_lives_with_small_rows)
{
    log_init(LOG_ERROR + 1, true);
    for (uint64_t seed = 1; seed <= 600; seed++)
        live(seed, 150, 200);
}

TEST(random_lives_with_large_rows)
{
    log_init(LOG_ERROR + 1, true);
    for (uint64_t seed = 1; seed <= 30; seed++)
        live(seed, 120, 60000);
}
