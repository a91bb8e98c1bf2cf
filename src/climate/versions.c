/* Which model speaks: versions, their files, and the way back. */
#include "climate/climate_int.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void climate_version_text(uint64_t version, char dst[VERSION_TEXT_BYTES])
{
    (void)snprintf(dst, VERSION_TEXT_BYTES, "model-%llu", (unsigned long long)version);
}

void climate_version_path(const struct climate *climate, uint64_t version, char dst[PATH_BYTES])
{
    int len = snprintf(dst, PATH_BYTES, "%s/model-%04llu.bin", climate->options.model_folder,
                       (unsigned long long)version);
    if (len < 0 || len >= PATH_BYTES)
        dst[0] = '\0'; /* no file has this name: opening it fails, as it should */
}

uint64_t climate_version_previous(const struct climate *climate)
{
    uint64_t now = climate_model_version(climate->model);
    uint64_t previous = climate->preset_version < now ? climate->preset_version : 0;
    for (uint32_t i = 0; i < climate->version_count; i++) {
        uint64_t version = climate->versions[i].version;
        if (version < now && version > previous)
            previous = version;
    }
    return previous;
}

void climate_version_speak(struct climate *climate, struct climate_model *model, const char *origin,
                           int64_t at_ms)
{
    climate_model_destroy(climate->model);
    climate->model = model;
    climate->origin = origin;
    climate->adopted_at_ms = at_ms;
    uint64_t version = climate_model_version(model);
    if (version > climate->version_highest)
        climate->version_highest = version;
    for (uint32_t i = 0; i < climate->version_count; i++)
        climate->versions[i].current = climate->versions[i].version == version;
}

struct climate_model_info climate_model_info_get(const struct climate *climate)
{
    struct climate_model_about about = climate_model_about_get(climate->model);
    struct climate_model_info info = {
        .version = about.version,
        .previous_version = climate_version_previous(climate),
        .trained_at_ms = about.trained_at_ms,
        .samples = about.samples,
        .samples_people = about.samples_people,
        .error_pct = (double)__builtin_nan(""),
        .origin = climate->origin,
    };
    double sum = 0;
    for (uint32_t i = 0; i < climate->error_count; i++)
        sum += climate->error[i];
    if (climate->error_count > 0)
        info.error_pct = sum / climate->error_count;
    return info;
}

/* ---- rollback ---- */

struct rollback_op {
    struct op op;
    uint64_t from, to;
    char path[PATH_BYTES];
    void (*done)(void *cookie, enum err err);
};

static enum err run_for_version(struct store_db *db, enum climate_statement index, uint64_t version)
{
    struct store_stmt *stmt = climate_sql(db, index);
    store_bind_i64(stmt, 1, (int64_t)version);
    return store_exec(db, stmt, NULL);
}

static enum err rollback_run(struct store_job *job, struct store_db *db)
{
    struct rollback_op *rollback = (struct rollback_op *)(void *)job;
    char why[CLIMATE_MODEL_WHY_BYTES], detail[96], subject[VERSION_TEXT_BYTES];
    enum err err = climate_model_load(rollback->path, why, sizeof(why), &rollback->op.model);
    if (err != ERR_OK)
        return err == ERR_NOMEM ? err : ERR_NOT_FOUND;
    err = run_for_version(db, SQL_MODEL_ROLLED_BACK, rollback->from);
    if (err == ERR_OK)
        err = run_for_version(db, SQL_MODEL_SEAT, rollback->to);
    if (err == ERR_OK)
        err = run_for_version(db, SQL_SAMPLES_RETIRE, rollback->to);
    if (err != ERR_OK)
        return err;
    climate_version_text(rollback->from, subject);
    (void)snprintf(detail, sizeof(detail), "{\"from\":%llu,\"to\":%llu}",
                   (unsigned long long)rollback->from, (unsigned long long)rollback->to);
    return climate_op_audit(&rollback->op, db, "climate.model.rollback", subject, detail);
}

static void forget_version(struct climate *climate, uint64_t version)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < climate->version_count; i++) {
        if (climate->versions[i].version != version)
            climate->versions[kept++] = climate->versions[i];
    }
    climate->version_count = kept;
}

/* What the version that goes had learned is retired with it, or the next one would learn it again.
 */
static void forget_samples(struct climate *climate, uint64_t learned_after)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < climate->sample_count; i++) {
        if (climate->sample[i].learned_in <= learned_after)
            climate->sample[kept++] = climate->sample[i];
    }
    climate->sample_count = kept;
}

static void rollback_undo(struct op *op)
{
    op->climate->model_changing = false;
}

static void rollback_done(struct store_job *job, enum err err)
{
    struct rollback_op *rollback = (struct rollback_op *)(void *)job;
    struct climate *climate = rollback->op.climate;
    climate->model_changing = false;
    if (err == ERR_OK) {
        struct climate_model *model = rollback->op.model;
        rollback->op.model = NULL;
        forget_version(climate, rollback->from);
        climate_version_path(climate, rollback->from, rollback->path);
        (void)unlink(rollback->path); /* nothing returns to it */
        forget_samples(climate, rollback->to);
        climate_version_speak(climate, model, "rolled back", rollback->op.now_ms);
        climate->stats.rollbacks++;
    }
    rollback->done(rollback->op.cookie, err);
    climate_op_free(&rollback->op);
}

enum err climate_rollback(struct climate *climate, struct str actor, const char *request_id,
                          void (*done)(void *cookie, enum err err), void *cookie)
{
    uint64_t to = climate_version_previous(climate);
    if (to == 0)
        return ERR_NOT_FOUND;
    if (climate->model_changing)
        return ERR_CONFLICT;
    struct rollback_op *rollback =
        climate_op_create(climate, sizeof(*rollback), STR_NONE, actor, request_id);
    if (rollback == NULL)
        return ERR_NOMEM;
    rollback->op.job = (struct store_job){.run = rollback_run, .done = rollback_done};
    rollback->op.undo = rollback_undo;
    rollback->op.cookie = cookie;
    rollback->from = climate_model_version(climate->model);
    rollback->to = to;
    rollback->done = done;
    if (to == climate->preset_version)
        (void)snprintf(rollback->path, sizeof(rollback->path), "%s", climate->options.model_preset);
    else
        climate_version_path(climate, to, rollback->path);
    climate->model_changing = true;
    return climate_op_submit(&rollback->op);
}
