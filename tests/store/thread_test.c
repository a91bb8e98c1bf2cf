/* The store as the server uses it: its own threads, answers on the loop. */
#include <pthread.h>
#include <stdio.h>

#include "store/store_kit.h"

struct fixture {
    struct loop *loop;
    struct store *store;
    int waiting;
};
static struct fixture now;

static void counted_done(struct store_job *job, enum err err)
{
    note_done(job, err);
    if (--now.waiting == 0)
        loop_stop(now.loop);
}

static void begin(const char *path, uint32_t group_max)
{
    struct store_options options = {
        .path = path, .migrations = notes_migrations, .group_max = group_max};
    char why[512] = "";
    CHECK_OK(loop_create(&now.loop));
    enum err err = store_open(now.loop, &options, why, sizeof(why), &now.store);
    NOTE("%s", why);
    CHECK_OK(err);
}

static void end(void)
{
    store_close(now.store);
    loop_destroy(now.loop);
}

static void submit(struct note_job *note, const char *body, int number, int adds, enum err verdict)
{
    char name[48];
    snprintf(name, sizeof(name), "%s%d", body, number);
    note_init(note, name, adds, verdict);
    note->job.done = counted_done;
    now.waiting++;
    CHECK_OK(store_write(now.store, &note->job));
}

#define MANY 2000

static void many(const char *path, uint32_t group_max)
{
    static struct note_job notes[MANY];
    struct note_job count;
    begin(path, group_max);
    note_order = 0;
    for (int i = 0; i < MANY; i++)
        submit(&notes[i], "n", i, 1, i % 5 == 0 ? ERR_REFUSED : ERR_OK);
    loop_run(now.loop);
    for (int i = 0; i < MANY; i++) {
        CHECK_EQ(notes[i].done, 1);
        CHECK_ERR(notes[i].err, i % 5 == 0 ? ERR_REFUSED : ERR_OK);
        CHECK_EQ(notes[i].order, i + 1); /* in the order of submission */
    }
    note_init(&count, "", 0, ERR_OK);
    count.job.run = note_count_run;
    count.job.done = counted_done;
    now.waiting = 1;
    CHECK_OK(store_read(now.store, &count.job));
    loop_run(now.loop);
    CHECK_EQ(count.count, MANY - MANY / 5); /* a read sees every write that is done */
    struct store_stats stats;
    store_stats_get(now.store, &stats);
    CHECK_EQ(stats.waiting, 0);
    CHECK(stats.commits >= MANY / 256 && stats.commits <= MANY);
    end();
}

TEST(many_jobs_share_commits_on_a_file)
{
    many(kit_path(kit_tempdir(), "a.db"), 0);
    many(kit_path(kit_tempdir(), "b.db"), 1);
}

TEST(many_jobs_share_commits_in_memory)
{
    many(NULL, 0);
}

static struct note_job refused_read;
static struct note_job after;

static void read_then_write_done(struct store_job *job, enum err err)
{
    note_done(job, err);
    submit(&after, "after", 0, 1, ERR_OK);
}

TEST(the_reader_cannot_write_and_a_done_may_submit)
{
    begin(kit_path(kit_tempdir(), "a.db"), 0);
    note_init(&refused_read, "r", 1, ERR_OK);
    refused_read.job.done = read_then_write_done;
    CHECK_OK(store_read(now.store, &refused_read.job));
    loop_run(now.loop);
    CHECK_ERR(refused_read.err, ERR_DENIED);
    CHECK_OK(after.err);
    CHECK_EQ(note_count(now.store), 1);
    end();
}

TEST(close_finishes_what_waits)
{
    static struct note_job notes[50];
    const char *path = kit_path(kit_tempdir(), "a.db");
    begin(path, 4);
    for (int i = 0; i < 50; i++)
        submit(&notes[i], "n", i, 1, ERR_OK);
    now.waiting = 1000; /* nobody stops a loop that does not run */
    end();
    for (int i = 0; i < 50; i++) {
        CHECK_EQ(notes[i].done, 1);
        CHECK_OK(notes[i].err);
    }
    begin(path, 0);
    CHECK_EQ(note_count(now.store), 50);
    end();
    now.waiting = 0;
}

static enum err closed_err;
static void closed_done(struct store_job *job, enum err err)
{
    static struct note_job late;
    note_done(job, err);
    note_init(&late, "late", 1, ERR_OK);
    closed_err = store_write(now.store, &late.job);
}

TEST(nothing_new_is_taken_while_closing)
{
    struct note_job note;
    begin(kit_path(kit_tempdir(), "a.db"), 0);
    note_init(&note, "n", 1, ERR_OK);
    note.job.done = closed_done;
    CHECK_OK(store_write(now.store, &note.job));
    end();
    CHECK_EQ(note.done, 1);
    CHECK_ERR(closed_err, ERR_CLOSED);
}

TEST(crash_calls_no_done)
{
    static struct note_job notes[200];
    begin(kit_path(kit_tempdir(), "a.db"), 1);
    for (int i = 0; i < 200; i++)
        submit(&notes[i], "n", i, 1, ERR_OK);
    store_crash(now.store);
    loop_destroy(now.loop);
    for (int i = 0; i < 200; i++)
        CHECK_EQ(notes[i].done, 0);
    now.waiting = 0;
}

/* Reads and writes at once: each read sees whole jobs only. */
static struct note_job pairs[300];
static struct note_job counts[300];

TEST(a_read_sees_whole_jobs_only)
{
    begin(kit_path(kit_tempdir(), "a.db"), 0);
    for (int i = 0; i < 300; i++) {
        submit(&pairs[i], "p", i, 2, ERR_OK);
        note_init(&counts[i], "", 0, ERR_OK);
        counts[i].job.run = note_count_run;
        counts[i].job.done = counted_done;
        now.waiting++;
        CHECK_OK(store_read(now.store, &counts[i].job));
    }
    loop_run(now.loop);
    int64_t least = 0;
    for (int i = 0; i < 300; i++) {
        CHECK_OK(counts[i].err);
        CHECK_EQ(counts[i].count % 2, 0);
        CHECK(counts[i].count >= least);
        least = counts[i].count;
    }
    end();
}
