/* Subcommands that open a data folder themselves: audit verify, backup, restore, demo remove. */
#include "app/app.h"
#include "app/demo.h"
#include "app/remote.h"
#include "app/rooms.h"
#include "record/record.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct rooms_listener nobody = {NULL, NULL, NULL};

/* ---- audit verify ---- */

struct walk_job {
    struct store_job job;
    struct record_walk walk;
    enum err err;
};

static enum err walk_run(struct store_job *job, struct store_db *db)
{
    struct walk_job *walk = (struct walk_job *)(void *)job;
    return record_audit_verify(db, 10000, &walk->walk);
}

static void walk_done(struct store_job *job, enum err err)
{
    ((struct walk_job *)(void *)job)->err = err;
}

static int say_verdict(bool intact, uint64_t entries, uint64_t broken, const char *why)
{
    if (intact)
        (void)printf("intact: %llu entries\n", (unsigned long long)entries);
    else
        (void)printf("broken at entry %llu: %s\n", (unsigned long long)broken, why);
    return intact ? 0 : 1;
}

static int audit_offline(const struct options *options)
{
    struct rooms rooms;
    char why[512];
    struct walk_job walk = {.job = {.run = walk_run, .done = walk_done}};
    bool opened = rooms_open(&rooms, options, &nobody, why, sizeof(why));
    enum err err = opened ? ERR_OK : ERR_IO;
    while (err == ERR_OK && !walk.walk.finished && walk.walk.broken_id == 0)
        err = store_run_now(rooms.store, &walk.job);
    rooms_close(&rooms);
    if (err == ERR_OK)
        return say_verdict(walk.walk.broken_id == 0, walk.walk.entries, walk.walk.broken_id,
                           walk.walk.why);
    app_complain("%s", opened ? "the audit cannot be read" : why);
    return 1;
}

int app_audit(const struct options *options)
{
    json_t *answer = NULL;
    if (options->word_count != 1 || strcmp(options->words[0], "verify") != 0) {
        app_complain("usage: automat audit verify --data DIR | --server URL");
        return 2;
    }
    if (options->server == NULL)
        return audit_offline(options);
    if (!remote_call(options, "/api/audit/verify", NULL, &answer))
        return 1;
    const char *why = json_string_value(json_object_get(answer, "why"));
    int status = say_verdict(json_is_true(json_object_get(answer, "intact")),
                             (uint64_t)json_integer_value(json_object_get(answer, "entries")),
                             (uint64_t)json_integer_value(json_object_get(answer, "first_broken")),
                             why != NULL ? why : "");
    json_decref(answer);
    return status;
}

/* ---- backup and restore ---- */

/* A consistent copy, also of a database that a server is writing to. */
static int copy_database(const char *from, const char *to, const char **ret_why)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_open_v2(from, &db, SQLITE_OPEN_READWRITE, NULL);
    if (code == SQLITE_OK) /* a server may be at work in it: its log is not ours to clear away */
        code = sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_busy_timeout(db, 10000);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(db, "VACUUM INTO ?1", -1, &stmt, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(stmt, 1, to, -1, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_step(stmt) == SQLITE_DONE ? SQLITE_OK : sqlite3_errcode(db);
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(db);
    *ret_why = sqlite3_errstr(code);
    return code == SQLITE_OK ? 0 : 1;
}

int app_backup(const struct options *options)
{
    char path[512];
    const char *why;
    if (options->to == NULL || options->word_count > 0) {
        app_complain("usage: automat backup --data DIR --to FILE");
        return 2;
    }
    if (!rooms_database(options->data, path, sizeof(path)) || !path_exists(path)) {
        app_complain("--data (AUTOMAT_DATA): there is no database in \"%s\"", options->data);
        return 1;
    }
    if (path_exists(options->to)) {
        app_complain("--to (AUTOMAT_TO): \"%s\" is there already", options->to);
        return 1;
    }
    if (copy_database(path, options->to, &why) == 0)
        return 0;
    app_complain("the copy failed: %s", why);
    return 1;
}

/* One rename, and what was beside it is cleared away. */
static bool put_in_place(const char *folder, const char *copy, const char *data, const char *path)
{
    static const char *const left_overs[] = {"-wal", "-shm", ".lock"};
    char name[600];
    if (rename(copy, path) != 0)
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(left_overs); i++) {
        (void)snprintf(name, sizeof(name), "%s%s", copy, left_overs[i]);
        (void)unlink(name);
    }
    (void)snprintf(name, sizeof(name), "%s/time", folder);
    (void)unlink(name);
    (void)rmdir(folder); /* something else in it is no harm */
    int fd = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool durable = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        (void)close(fd);
    return durable;
}

/* What was asked for since the copy was made is not in it: so nothing in it may simply go on (queue
 * rule 5). */
int app_restore(const struct options *options)
{
    char path[512], reason[512];
    const char *why;
    if (options->from == NULL || options->word_count > 0) {
        app_complain("usage: automat restore --from FILE --data DIR");
        return 2;
    }
    if (!path_exists(options->from)) {
        app_complain("--from (AUTOMAT_FROM): there is no \"%s\"", options->from);
        return 1;
    }
    if (!rooms_database(options->data, path, sizeof(path)) || path_exists(path) ||
        dir_make(options->data, 0700) != ERR_OK) {
        app_complain("--data (AUTOMAT_DATA): \"%s\" must be a folder without a database",
                     options->data);
        return 1;
    }
    /* Beside its place first: were this cut short, a server must not find a copy in which commands
     * wait. */
    char folder[512], copy[512];
    struct options beside = *options;
    (void)snprintf(folder, sizeof(folder), "%.490s/restoring", options->data);
    beside.data = folder;
    if (dir_make(folder, 0700) != ERR_OK || !rooms_database(folder, copy, sizeof(copy)) ||
        (unlink(copy) != 0 && errno != ENOENT)) {
        app_complain("--data (AUTOMAT_DATA): \"%s\" cannot be used", folder);
        return 1;
    }
    if (copy_database(options->from, copy, &why) != 0) {
        app_complain("the copy failed: %s", why);
        return 1;
    }
    struct rooms rooms;
    uint32_t held = 0, unknown = 0;
    bool good = rooms_open(&rooms, &beside, &nobody, reason, sizeof(reason));
    if (good && queue_restored(rooms.queue, STR("restore"), &held, &unknown) != ERR_OK) {
        (void)snprintf(reason, sizeof(reason), "its commands cannot be held");
        good = false;
    }
    rooms_close(&rooms);
    if (good && !put_in_place(folder, copy, options->data, path)) {
        (void)snprintf(reason, sizeof(reason), "the copy cannot be put in its place: %s",
                       strerror(errno));
        good = false;
    }
    if (good)
        (void)printf("restored: %u commands are held, %u are unknown\n", held, unknown);
    else
        app_complain("%s", reason);
    return good ? 0 : 1;
}
