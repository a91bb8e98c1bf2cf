/* A store with the record's tables alone, and a way to run a function as a job. */
#ifndef AUTOMAT_TESTS_RECORD_KIT_H
#define AUTOMAT_TESTS_RECORD_KIT_H

#include "kit/kit.h"
#include "record/record.h"

struct record_job {
    struct store_job job;
    enum err (*body)(struct store_db *db, void *cookie);
    void *cookie;
};

static inline enum err record_job_run(struct store_job *job, struct store_db *db)
{
    struct record_job *self = (struct record_job *)job;
    return self->body(db, self->cookie);
}

static inline enum err in_job(struct store *store,
                              enum err (*body)(struct store_db *db, void *cookie), void *cookie)
{
    struct record_job job = {.job = {.run = record_job_run}, .body = body, .cookie = cookie};
    return store_run_now(store, &job.job);
}

static inline struct store *record_store_at(const char *path)
{
    struct store *store = NULL;
    char why[512] = "";
    const char *sql =
        kit_read_file(AUTOMAT_SOURCE_DIR "/src/record/migrations/0001_record.sql", NULL);
    const struct store_migration migrations[] = {{1, "0001_record.sql", sql}, {0, NULL, NULL}};
    struct store_options options = {.path = path, .migrations = migrations, .inline_jobs = true};
    enum err err = store_open(NULL, &options, why, sizeof(why), &store);
    NOTE("%s", why);
    CHECK_OK(err);
    return store;
}

#endif
