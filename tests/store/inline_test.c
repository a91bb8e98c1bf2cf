#include <stdio.h>

#include "store/store_kit.h"

static struct store *open_memory(uint32_t group_max)
{
    struct store *store;
    struct store_options options = {
        .migrations = notes_migrations, .inline_jobs = true, .group_max = group_max};
    char why[512] = "";
    enum err err = store_open(NULL, &options, why, sizeof(why), &store);
    NOTE("%s", why);
    CHECK_OK(err);
    return store;
}

TEST(a_job_waits_for_the_step_and_is_done_once)
{
    struct store *store = open_memory(0);
    struct note_job note;
    note_init(&note, "a", 2, ERR_OK);
    CHECK_OK(store_write(store, &note.job));
    CHECK_EQ(note.done, 0);
    CHECK_EQ(store_step(store, 0), 1);
    CHECK_EQ(note.done, 1);
    CHECK_OK(note.err);
    CHECK_EQ(store_step(store, 0), 0);
    CHECK_EQ(note_count(store), 2);
    store_close(store);
}

TEST(a_failed_job_takes_back_only_its_own_changes)
{
    struct store *store = open_memory(0);
    struct note_job notes[4];
    note_init(&notes[0], "a", 1, ERR_OK);
    note_init(&notes[1], "b", 2, ERR_REFUSED);
    note_init(&notes[2], "a", 1, ERR_OK); /* the same body: a constraint */
    note_init(&notes[3], "c", 3, ERR_OK);
    for (int i = 0; i < 4; i++)
        CHECK_OK(store_write(store, &notes[i].job));
    CHECK_EQ(store_step(store, 0), 4);
    CHECK_OK(notes[0].err);
    CHECK_ERR(notes[1].err, ERR_REFUSED);
    CHECK_ERR(notes[2].err, ERR_CONFLICT);
    CHECK_OK(notes[3].err);
    CHECK_EQ(note_count(store), 4);
    struct store_stats stats;
    store_stats_get(store, &stats);
    CHECK_EQ(stats.commits, 1);
    for (int i = 1; i < 4; i++)
        CHECK(notes[i].order == notes[i - 1].order + 1);
    store_close(store);
}

TEST(jobs_that_may_run_again_do_when_one_of_them_fails)
{
    struct store *store = open_memory(0);
    struct note_job notes[4];
    for (int round = 0; round < 2; round++) { /* then the same with a plain neighbour: savepoints */
        for (int i = 0; i < 4; i++) {
            char body[32];
            snprintf(body, sizeof(body), "r%d.%d", round, i);
            note_init(&notes[i], body, 3, i == 2 ? ERR_REFUSED : ERR_OK);
            notes[i].job.again = round == 0 || i != 1;
            CHECK_OK(store_write(store, &notes[i].job));
        }
        store_step(store, 0);
        for (int i = 0; i < 4; i++) {
            CHECK_EQ(notes[i].done, 1);
            CHECK_ERR(notes[i].err, i == 2 ? ERR_REFUSED : ERR_OK);
        }
        CHECK_EQ(note_count(store), 9 * (round + 1));
    }
    store_close(store);
}

TEST(a_failed_job_alone_takes_back_its_changes)
{
    struct store *store = open_memory(1);
    struct note_job notes[2];
    note_init(&notes[0], "a", 2, ERR_REFUSED);
    note_init(&notes[1], "b", 2, ERR_OK);
    CHECK_OK(store_write(store, &notes[0].job));
    CHECK_OK(store_write(store, &notes[1].job));
    CHECK_EQ(store_step(store, 0), 1);
    CHECK_ERR(notes[0].err, ERR_REFUSED);
    CHECK_EQ(notes[1].done, 0);
    CHECK_EQ(note_count(store), 0);
    CHECK_EQ(store_step(store, 0), 1);
    CHECK_OK(notes[1].err);
    CHECK_EQ(note_count(store), 2);
    store_close(store);
}

TEST(step_handles_no_more_than_asked)
{
    struct store *store = open_memory(0);
    struct note_job notes[5];
    for (int i = 0; i < 5; i++) {
        char body[16];
        snprintf(body, sizeof(body), "n%d", i);
        note_init(&notes[i], body, 1, ERR_OK);
        CHECK_OK(store_write(store, &notes[i].job));
    }
    CHECK_EQ(store_step(store, 2), 2);
    CHECK_EQ(notes[1].done, 1);
    CHECK_EQ(notes[2].done, 0);
    struct store_stats stats;
    store_stats_get(store, &stats);
    CHECK_EQ(stats.waiting, 3);
    CHECK_EQ(stats.waiting_max, 5);
    CHECK_EQ(store_step(store, 0), 3);
    store_close(store);
}

TEST(the_queue_has_an_end)
{
    struct store *store;
    struct note_job notes[3];
    struct store_options options = {
        .migrations = notes_migrations, .inline_jobs = true, .queue_max = 2};
    CHECK_OK(store_open(NULL, &options, NULL, 0, &store));
    for (int i = 0; i < 3; i++)
        note_init(&notes[i], i == 0 ? "a" : i == 1 ? "b" : "c", 1, ERR_OK);
    CHECK_OK(store_write(store, &notes[0].job));
    CHECK_OK(store_write(store, &notes[1].job));
    CHECK_ERR(store_write(store, &notes[2].job), ERR_FULL);
    CHECK_ERR(store_read(store, &notes[2].job), ERR_FULL);
    store_step(store, 0);
    CHECK_EQ(notes[2].done, 0);
    CHECK_OK(store_write(store, &notes[2].job));
    store_close(store); /* finishes what waits */
    CHECK_EQ(notes[2].done, 1);
    CHECK_OK(notes[2].err);
}

TEST(a_read_sees_what_was_written_before_it_and_may_not_write)
{
    struct store *store = open_memory(0);
    struct note_job write;
    struct note_job count;
    struct note_job wrong;
    note_init(&write, "a", 3, ERR_OK);
    note_init(&count, "", 0, ERR_OK);
    count.job.run = note_count_run;
    note_init(&wrong, "b", 1, ERR_OK);
    CHECK_OK(store_write(store, &write.job));
    CHECK_OK(store_read(store, &count.job));
    CHECK_OK(store_read(store, &wrong.job));
    CHECK_EQ(store_step(store, 0), 3);
    CHECK_EQ(count.count, 3);
    CHECK_ERR(wrong.err, ERR_DENIED);
    CHECK_EQ(note_count(store), 3);
    store_close(store);
}

static enum err dirty_run(struct store_job *job, struct store_db *db)
{
    (void)job;
    (void)note_add(db, "dirty", 0);
    struct store_stmt *stmt = store_prepare(db, &note_statements, NOTE_ODD);
    CHECK_ERR(store_row(stmt), ERR_IO);
    CHECK_ERR(store_row(stmt), ERR_IO);
    return ERR_OK; /* it overlooks the failure; the store does not */
}

TEST(a_statement_that_cannot_be_prepared_fails_its_job)
{
    struct store *store = open_memory(0);
    struct note_job bad;
    struct note_job good;
    note_init(&bad, "", 0, ERR_OK);
    bad.job.run = dirty_run;
    note_init(&good, "good", 1, ERR_OK);
    CHECK_OK(store_write(store, &bad.job));
    CHECK_OK(store_write(store, &good.job));
    uint64_t logged = log_count(LOG_ERROR);
    CHECK_EQ(store_step(store, 0), 2);
    CHECK(log_count(LOG_ERROR) > logged);
    CHECK_ERR(bad.err, ERR_IO);
    CHECK_OK(good.err);
    CHECK_EQ(note_count(store), 1);
    store_close(store);
}

static struct note_job chained;
static struct store *chained_store;

static void chain_done(struct store_job *job, enum err err)
{
    note_done(job, err);
    note_init(&chained, "second", 1, ERR_OK);
    CHECK_OK(store_write(chained_store, &chained.job));
}

TEST(a_done_may_submit_the_next_job)
{
    struct note_job first;
    chained_store = open_memory(0);
    note_init(&first, "first", 1, ERR_OK);
    first.job.done = chain_done;
    CHECK_OK(store_write(chained_store, &first.job));
    CHECK_EQ(store_step(chained_store, 0), 1);
    CHECK_EQ(chained.done, 0);
    CHECK_EQ(store_step(chained_store, 0), 1);
    CHECK_EQ(chained.done, 1);
    store_close(chained_store);
}

static enum err half_read_run(struct store_job *job, struct store_db *db)
{
    struct store_stmt *stmt = store_prepare(db, &note_statements, NOTE_FIND);
    (void)job;
    return store_row(stmt); /* and leaves the rest unread */
}

TEST(an_unfinished_read_does_not_hold_up_the_next_transaction)
{
    struct store *store = open_memory(1);
    struct note_job note;
    note_init(&note, "a", 5, ERR_OK);
    CHECK_OK(store_run_now(store, &note.job));
    note_init(&note, "", 0, ERR_OK);
    note.job.run = half_read_run;
    CHECK_OK(store_run_now(store, &note.job));
    CHECK_EQ(note.done, 0); /* store_run_now calls no done */
    note_init(&note, "b", 5, ERR_REFUSED);
    CHECK_ERR(store_run_now(store, &note.job), ERR_REFUSED);
    CHECK_EQ(note_count(store), 5);
    store_close(store);
}

TEST(crash_drops_what_waits_without_done)
{
    const char *path = kit_path(kit_tempdir(), "a.db");
    struct store *store;
    struct store_options options = {
        .path = path, .migrations = notes_migrations, .inline_jobs = true};
    struct note_job notes[2];
    CHECK_OK(store_open(NULL, &options, NULL, 0, &store));
    note_init(&notes[0], "a", 1, ERR_OK);
    note_init(&notes[1], "b", 1, ERR_OK);
    CHECK_OK(store_write(store, &notes[0].job));
    store_step(store, 0);
    CHECK_OK(store_write(store, &notes[1].job));
    store_crash(store);
    CHECK_EQ(notes[1].done, 0);
    CHECK_OK(store_open(NULL, &options, NULL, 0, &store));
    CHECK_EQ(note_count(store), 1);
    store_close(store);
}
