#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store_kit.h"

static enum err open_at(const char *path, const struct store_migration *migrations, char why[512],
                        struct store **ret_store)
{
    struct store_options options = {.path = path, .migrations = migrations, .inline_jobs = true};
    why[0] = '\0';
    return store_open(NULL, &options, why, 512, ret_store);
}

static const struct store_migration two_migrations[] = {
    {1, "0001_notes.sql",
     "CREATE TABLE notes (note_id INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE, round INTEGER)"},
    {2, "0002_more.sql",
     "CREATE TABLE more (more_id INTEGER PRIMARY KEY, note_id INTEGER REFERENCES notes (note_id));"
     "INSERT INTO notes (body, round) VALUES ('from 2', 2)"},
    {0, NULL, NULL},
};

TEST(migrations_are_applied_once_and_in_order)
{
    const char *path = kit_path(kit_tempdir(), "a.db");
    char why[512];
    struct store *store;
    const struct store_migration first_only[] = {two_migrations[0], {0, NULL, NULL}};
    CHECK_OK(open_at(path, first_only, why, &store));
    CHECK_EQ(note_count(store), 0);
    store_close(store);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(open_at(path, two_migrations, why, &store));
        CHECK_EQ(note_count(store), 1);
        store_close(store);
    }
}

TEST(a_newer_database_is_refused_with_both_numbers)
{
    const char *path = kit_path(kit_tempdir(), "a.db");
    char why[512];
    struct store *store;
    CHECK_OK(open_at(path, two_migrations, why, &store));
    store_close(store);
    const struct store_migration first_only[] = {two_migrations[0], {0, NULL, NULL}};
    CHECK_ERR(open_at(path, first_only, why, &store), ERR_VERSION);
    CHECK(strstr(why, "migration 2") != NULL);
    CHECK(strstr(why, "knows 1") != NULL);
    CHECK_OK(open_at(path, two_migrations, why, &store)); /* and is left as it was */
    store_close(store);
}

TEST(a_database_with_other_migrations_is_refused)
{
    const char *path = kit_path(kit_tempdir(), "a.db");
    char why[512];
    struct store *store;
    CHECK_OK(open_at(path, two_migrations, why, &store));
    store_close(store);
    const struct store_migration renamed[] = {
        two_migrations[0], {2, "0002_other.sql", "SELECT 1"}, {0, NULL, NULL}};
    CHECK_ERR(open_at(path, renamed, why, &store), ERR_VERSION);
    CHECK(strstr(why, "0002_other.sql") != NULL);
}

TEST(a_migration_that_fails_leaves_the_ones_before_it)
{
    static const char *const broken[] = {
        "CREATE TABLE half (a INTEGER); SELEC nonsense",
        "CREATE TABLE half (a INTEGER); COMMIT; CREATE TABLE rest (a INTEGER)",
        "CREATE TABLE half (a INTEGER REFERENCES notes (note_id)); INSERT INTO half VALUES (99)",
    };
    for (size_t i = 0; i < 2 + 1; i++) {
        const char *path = kit_path(kit_tempdir(), "a.db");
        char why[512];
        struct store *store;
        const struct store_migration bad[] = {
            two_migrations[0], {2, "0002_bad.sql", broken[i]}, {0, NULL, NULL}};
        NOTE("%s", broken[i]);
        CHECK_ERR(open_at(path, bad, why, &store), ERR_IO);
        CHECK(strstr(why, "0002_bad.sql") != NULL);
        if (i == 1)
            continue; /* it ended its transaction itself; all we can do is to say so and stop */
        const struct store_migration good[] = {
            two_migrations[0],
            {2, "0002_good.sql", "CREATE TABLE half (b INTEGER)"},
            {0, NULL, NULL}};
        CHECK_OK(open_at(path, good, why, &store));
        store_close(store);
    }
}

TEST(a_file_that_is_no_database_is_refused)
{
    const char *path = kit_path(kit_tempdir(), "a.db");
    char why[512];
    struct store *store;
    char text[4096];
    memset(text, 'x', sizeof(text));
    CHECK_OK(file_write_atomic(path, text, sizeof(text), 0600));
    CHECK_ERR(open_at(path, two_migrations, why, &store), ERR_IO);
    CHECK(strstr(why, "not a database") != NULL);
    size_t len;
    CHECK_BYTES(kit_read_file(path, &len), text, sizeof(text));
    CHECK_EQ(len, sizeof(text));
    CHECK_ERR(open_at(kit_path(kit_tempdir(), "no/such/folder.db"), two_migrations, why, &store),
              ERR_IO);
    CHECK(why[0] != '\0');
}

TEST(only_the_owner_can_read_a_new_database)
{
    const char *path = kit_path(kit_tempdir(), "a.db");
    char why[512];
    struct store *store;
    struct stat info;
    CHECK_OK(open_at(path, two_migrations, why, &store));
    CHECK_EQ(stat(path, &info), 0);
    CHECK_EQ(info.st_mode & 0777, 0600);
    store_close(store);
}

TEST(a_second_store_on_one_database_is_refused)
{
    const char *path = kit_path(kit_tempdir(), "a.db");
    char why[512];
    struct store *store;
    struct store *second;
    CHECK_OK(open_at(path, two_migrations, why, &store));
    CHECK_ERR(open_at(path, two_migrations, why, &second), ERR_CONFLICT);
    CHECK(strstr(why, "in use by another process") != NULL);
    store_close(store);
    CHECK_OK(open_at(path, two_migrations, why, &store));
    store_close(store);
}

/* In a child: open, say so, and wait to be killed. */
static void hold_open(const char *path, int say)
{
    char why[512];
    struct store *store;
    char sign = open_at(path, two_migrations, why, &store) == ERR_OK ? 'y' : 'n';
    if (write(say, &sign, 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

TEST(a_second_process_is_refused_until_the_first_is_dead)
{
    const char *path = kit_path(kit_tempdir(), "a.db");
    char why[512];
    char sign = 0;
    int pipes[2];
    struct store *store;
    CHECK_EQ(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0)
        hold_open(path, pipes[1]);
    CHECK_EQ(read(pipes[0], &sign, 1), 1);
    enum err while_alive = open_at(path, two_migrations, why, &store);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    CHECK_EQ(sign, 'y');
    CHECK_ERR(while_alive, ERR_CONFLICT);
    CHECK(strstr(why, "in use by another process") != NULL);
    CHECK_OK(open_at(path, two_migrations, why, &store));
    store_close(store);
    close(pipes[0]);
    close(pipes[1]);
}

TEST(close_leaves_no_log_behind)
{
    const char *path = kit_path(kit_tempdir(), "a.db");
    char why[512];
    struct store *store;
    struct note_job note;
    char wal[600];
    CHECK_OK(open_at(path, notes_migrations, why, &store));
    note_init(&note, "a", 3, ERR_OK);
    CHECK_OK(store_run_now(store, &note.job));
    store_close(store);
    snprintf(wal, sizeof(wal), "%s-wal", path);
    CHECK(!path_exists(wal));
    CHECK_OK(open_at(path, notes_migrations, why, &store));
    CHECK_EQ(note_count(store), 3);
    store_close(store);
}

TEST(open_and_a_job_survive_every_failed_allocation)
{
    for (uint32_t nth = 1;; nth++) {
        struct store *store = NULL;
        struct note_job note;
        int64_t before = mem_live();
        struct store_options options = {.migrations = notes_migrations, .inline_jobs = true};
        NOTE("allocation %u", nth);
        note_init(&note, "a", 1, ERR_OK);
        mem_fail_at(nth);
        enum err err = store_open(NULL, &options, NULL, 0, &store);
        if (err == ERR_OK) {
            enum err job_err = store_run_now(store, &note.job);
            bool fired = mem_fail_fired();
            mem_fail_at(0);
            CHECK_ERR(job_err, fired ? ERR_IO : ERR_OK);
            CHECK_EQ(note_count(store), fired ? 0 : 1);
            store_close(store);
            CHECK_EQ(mem_live(), before);
            if (!fired)
                break;
            continue;
        }
        CHECK(mem_fail_fired());
        CHECK(err == ERR_NOMEM || err == ERR_IO); /* IO: a migration's statement had no memory */
        CHECK_EQ(mem_live(), before);
    }
}
