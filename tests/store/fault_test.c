/* Power cuts, full and failing disks at every write and sync of a small life of a store: opened and
 * migrated, groups of jobs, closed (which checkpoints) and opened again.  After each: what was
 * acknowledged is there, whole; what was not is there whole or not at all; and the database is
 * sound. */
#include <stdio.h>

#include "store/store_fault.h"
#include "store/store_kit.h"

#define JOBS       24
#define ROWS       3
#define GROUP      5
#define REOPEN_AT  10
#define REFUSED(i) ((i) % 7 == 3)

enum { LOOK_ROWS, LOOK_SOUND, LOOK_COUNT };
static const char *const look_sql[LOOK_COUNT] = {
    [LOOK_ROWS] = "SELECT count(*) FROM notes WHERE body IN (?1, ?2, ?3)",
    [LOOK_SOUND] = "PRAGMA integrity_check",
};
static struct store_statements look_statements = {"look", look_sql, LOOK_COUNT, 0};

struct look {
    struct store_job job;
    int number;
    int64_t rows;
    bool sound;
};

static enum err look_run(struct store_job *job, struct store_db *db)
{
    struct look *look = (struct look *)job;
    struct store_stmt *stmt = store_prepare(db, &look_statements, LOOK_ROWS);
    for (int i = 0; i < ROWS; i++) {
        char body[32];
        snprintf(body, sizeof(body), "j%d/%d", look->number, i);
        store_bind_text(stmt, i + 1, str_from(body));
    }
    enum err err = store_row(stmt);
    if (err != ERR_OK)
        return err;
    look->rows = store_col_i64(stmt, 0);
    stmt = store_prepare(db, &look_statements, LOOK_SOUND);
    err = store_row(stmt);
    look->sound = err == ERR_OK && str_equal(store_col_text(stmt, 0), STR("ok"));
    return err;
}

static int64_t rows_of(struct store *store, int number)
{
    struct look look = {.job = {.run = look_run}, .number = number};
    CHECK_OK(store_run_now(store, &look.job));
    CHECK(look.sound);
    CHECK(look.rows == 0 || look.rows == ROWS);
    return look.rows;
}

struct life {
    struct store_fault_disk *disk;
    struct store *store;
    struct note_job jobs[JOBS];
};

static enum err life_open(struct life *life)
{
    struct store_options options = {.path = "cafe.db",
                                    .vfs = store_fault_vfs_name(life->disk),
                                    .migrations = notes_migrations,
                                    .inline_jobs = true};
    life->store = NULL;
    return store_open(NULL, &options, NULL, 0, &life->store);
}

/* One group at a time, as a server under load would; goes on after failures, as a server would. */
static void life_run(struct life *life, int from, int to)
{
    for (int i = from; i < to; i++) {
        char body[16];
        snprintf(body, sizeof(body), "j%d", i);
        note_init(&life->jobs[i], body, ROWS, REFUSED(i) ? ERR_REFUSED : ERR_OK);
        CHECK_OK(store_write(life->store, &life->jobs[i].job));
        if (i % GROUP == GROUP - 1 || i == to - 1)
            store_step(life->store, 0);
    }
}

static void life_whole(struct life *life)
{
    if (life_open(life) != ERR_OK)
        return;
    life_run(life, 0, REOPEN_AT);
    store_close(life->store);
    if (life_open(life) == ERR_OK)
        life_run(life, REOPEN_AT, JOBS);
}

static void life_check(struct life *life, bool crashed)
{
    for (int i = 0; i < JOBS; i++) {
        const struct note_job *note = &life->jobs[i];
        int64_t rows = rows_of(life->store, i);
        CHECK(note->done <= 1);
        if (note->done == 1 && note->err == ERR_OK)
            CHECK_EQ(rows, ROWS);
        else if (REFUSED(i) || note->done == 0 || !crashed)
            CHECK_EQ(rows,
                     0); /* what a failed last sync left may only come back through a power cut */
    }
}

static void life_begin(struct life *life, uint64_t seed)
{
    *life = (struct life){.disk = NULL};
    CHECK_OK(store_fault_disk_create(seed, &life->disk));
}

static void life_end(struct life *life)
{
    if (life->store != NULL)
        store_close(life->store);
    store_fault_disk_destroy(life->disk);
}

static uint64_t ops_of_a_life(void)
{
    struct life life;
    life_begin(&life, 1);
    life_whole(&life);
    life_check(&life, false);
    uint64_t ops = store_fault_op_count(life.disk);
    life_end(&life);
    return ops;
}

TEST(a_power_cut_at_every_write_and_sync_loses_nothing_acknowledged)
{
    uint64_t ops = ops_of_a_life();
    CHECK(ops > 50);
    log_init(LOG_ERROR + 1, true); /* failing is the point here */
    for (uint64_t seed = 1; seed <= 6; seed++) {
        for (uint64_t nth = 1; nth <= ops; nth++) {
            struct life life;
            NOTE("seed %llu, power cut at %llu of %llu", (unsigned long long)seed,
                 (unsigned long long)nth, (unsigned long long)ops);
            life_begin(&life, seed * 1000 + nth);
            store_fault_fail_after(life.disk, nth, STORE_FAULT_POWER, true);
            life_whole(&life);
            CHECK(store_fault_fired(life.disk));
            if (life.store != NULL)
                store_crash(life.store);
            store_fault_crash(life.disk);
            CHECK_OK(life_open(&life));
            life_check(&life, true);
            life_end(&life);
        }
    }
    log_init(LOG_INFO, true);
}

TEST(a_power_cut_while_recovering_from_one_loses_nothing_either)
{
    uint64_t ops = ops_of_a_life();
    log_init(LOG_ERROR + 1, true);
    for (uint64_t nth = 3; nth <= ops; nth += 4) {
        for (uint64_t second = 1; second <= 12; second++) {
            struct life life;
            NOTE("power cuts at %llu and %llu", (unsigned long long)nth,
                 (unsigned long long)second);
            life_begin(&life, nth * 100 + second);
            store_fault_fail_after(life.disk, nth, STORE_FAULT_POWER, true);
            life_whole(&life);
            if (life.store != NULL)
                store_crash(life.store);
            store_fault_crash(life.disk);
            store_fault_fail_after(life.disk, second, STORE_FAULT_POWER, true);
            if (life_open(&life) == ERR_OK)
                store_close(life.store); /* checkpoints what was recovered */
            store_fault_crash(life.disk);
            CHECK_OK(life_open(&life));
            life_check(&life, true);
            life_end(&life);
        }
    }
    log_init(LOG_INFO, true);
}

static void fails_once_at_every(enum store_fault kind)
{
    uint64_t ops = ops_of_a_life();
    log_init(LOG_ERROR + 1, true);
    for (uint64_t nth = 1; nth <= ops; nth++) {
        struct life life;
        NOTE("fault %d, once, at %llu", (int)kind, (unsigned long long)nth);
        life_begin(&life, nth);
        store_fault_fail_after(life.disk, nth, kind, false);
        life_whole(&life);
        bool fired = store_fault_fired(life.disk);
        store_fault_fail_after(life.disk, 0, STORE_FAULT_NONE, false);
        if (life.store == NULL)
            CHECK_OK(life_open(&life));
        life_check(&life, false);
        life_end(&life);
        if (!fired)
            break;
    }
    log_init(LOG_INFO, true);
}

TEST(a_write_that_fails_once_fails_only_its_group)
{
    fails_once_at_every(STORE_FAULT_WRITE);
    fails_once_at_every(STORE_FAULT_FULL);
}

TEST(a_sync_that_fails_once_fails_only_its_group)
{
    fails_once_at_every(STORE_FAULT_SYNC);
}

static void full_then_space(enum store_fault kind)
{
    struct life life;
    struct store_stats stats;
    life_begin(&life, 7);
    CHECK_OK(life_open(&life));
    life_run(&life, 0, 5);
    log_init(LOG_ERROR + 1, true);
    store_fault_fail_after(life.disk, 1, kind, true);
    life_run(&life, 5, 15);
    log_init(LOG_INFO, true);
    store_stats_get(life.store, &stats);
    CHECK(stats.failing);
    CHECK_EQ(stats.commit_failures, 2);
    for (int i = 5; i < 15; i++)
        CHECK_ERR(life.jobs[i].err, ERR_IO);
    CHECK_EQ(rows_of(life.store, 0), ROWS); /* reading goes on */
    store_fault_fail_after(life.disk, 0, STORE_FAULT_NONE, false);
    life_run(&life, 15, JOBS);
    store_stats_get(life.store, &stats);
    CHECK(!stats.failing);
    life_check(&life, false);
    store_close(life.store);
    CHECK_OK(life_open(&life));
    life_check(&life, false);
    life_end(&life);
}

TEST(a_full_disk_refuses_until_there_is_space_again)
{
    full_then_space(STORE_FAULT_FULL);
    full_then_space(STORE_FAULT_WRITE);
    full_then_space(STORE_FAULT_SYNC);
}

TEST(the_same_seed_meets_the_same_fate)
{
    int64_t rows[2] = {0, 0};
    log_init(LOG_ERROR + 1, true);
    for (int i = 0; i < 2; i++) {
        struct life life;
        life_begin(&life, 99);
        store_fault_fail_after(life.disk, 60, STORE_FAULT_POWER, true);
        life_whole(&life);
        if (life.store != NULL)
            store_crash(life.store);
        store_fault_crash(life.disk);
        CHECK_OK(life_open(&life));
        rows[i] = note_count(life.store);
        life_end(&life);
    }
    log_init(LOG_INFO, true);
    CHECK_EQ(rows[0], rows[1]);
}
