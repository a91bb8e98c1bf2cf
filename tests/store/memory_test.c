/* SQLite's own memory running out in the middle of things. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/store_kit.h"

/* Begun before the store can switch SQLite's counting of memory off, which the limit below needs.
 */
__attribute__((constructor)) static void count_memory(void)
{
    if (sqlite3_initialize() != SQLITE_OK)
        abort();
}

TEST(a_job_without_memory_fails_whole_and_the_next_one_works)
{
    const char *path = kit_path(kit_tempdir(), "a.db");
    struct store *store;
    struct store_options options = {
        .path = path, .migrations = notes_migrations, .inline_jobs = true};
    CHECK_OK(store_open(NULL, &options, NULL, 0, &store));
    log_init(LOG_ERROR + 1, true);
    int64_t rows = 0;
    int failed = 0;
    int worked = 0;
    for (int more = 0; more < 300; more++) {
        struct note_job notes[3];
        NOTE("%d bytes", more * 512);
        for (int i = 0; i < 3; i++) {
            char body[32];
            snprintf(body, sizeof(body), "m%d.%d", more, i);
            note_init(&notes[i], body, 20, i == 1 ? ERR_REFUSED : ERR_OK);
            CHECK_OK(store_write(store, &notes[i].job));
        }
        sqlite3_hard_heap_limit64(sqlite3_memory_used() + more * 512);
        store_step(store, 0);
        sqlite3_hard_heap_limit64(0);
        for (int i = 0; i < 3; i++) {
            CHECK_EQ(notes[i].done, 1);
            CHECK(notes[i].err == ERR_OK || notes[i].err == ERR_IO ||
                  (i == 1 && notes[i].err == ERR_REFUSED));
            rows += notes[i].err == ERR_OK ? 20 : 0;
            failed += notes[i].err == ERR_IO;
            worked += notes[i].err == ERR_OK;
        }
        CHECK_EQ(note_count(store), rows);
    }
    CHECK(failed > 0);
    CHECK(worked > 0);
    store_close(store);
    log_init(LOG_INFO, true);
    CHECK_OK(store_open(NULL, &options, NULL, 0, &store));
    CHECK_EQ(note_count(store), rows);
    store_close(store);
}

TEST(opening_without_memory_fails_and_leaves_nothing)
{
    const char *path = kit_path(kit_tempdir(), "a.db");
    struct store_options options = {
        .path = path, .migrations = notes_migrations, .inline_jobs = true};
    struct store *store;
    int failed = 0;
    log_init(LOG_ERROR + 1, true);
    for (int more = 0; more < 400; more++) {
        char why[512] = "";
        NOTE("%d bytes", more * 512);
        sqlite3_hard_heap_limit64(sqlite3_memory_used() + more * 512 + 1);
        enum err err = store_open(NULL, &options, why, sizeof(why), &store);
        sqlite3_hard_heap_limit64(0);
        if (err == ERR_OK) {
            store_close(store);
            continue;
        }
        failed++;
        CHECK(err == ERR_NOMEM || err == ERR_IO);
        CHECK(why[0] != '\0');
    }
    log_init(LOG_INFO, true);
    CHECK(failed > 0);
    CHECK_OK(store_open(NULL, &options, NULL, 0, &store));
    CHECK_EQ(note_count(store), 0);
    store_close(store);
}
