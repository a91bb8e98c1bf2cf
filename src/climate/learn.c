/* A person's setting arrives: a new version is trained on the pool, judged, written to its file,
 * and speaks once the database says so.  Or it is discarded, and the record says why. */
#include "climate/climate_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct learn_job {
    struct loop_job job;
    struct climate *climate; /* NULL: the room is gone */
    struct climate_model *base, *result;
    struct climate_sample *sample;
    uint32_t sample_count;
    uint64_t version, sample_last, people;
    int64_t now_ms;
    struct climate_gate gate;
    enum err err, saved;
    char path[PATH_BYTES];
};

static void learn_free(struct learn_job *learn)
{
    climate_model_destroy(learn->base);
    climate_model_destroy(learn->result);
    mem_free(learn->sample);
    mem_free(learn);
}

void climate_sample_add(struct climate *climate, const struct climate_sample *sample, double said,
                        bool has_said)
{
    if (climate->sample_count == SAMPLES_MEMORY_MAX) {
        climate->sample_count--;
        memmove(&climate->sample[0], &climate->sample[1],
                climate->sample_count * sizeof(climate->sample[0]));
    }
    climate->sample[climate->sample_count++] = (struct memory_sample){.sample = *sample};
    climate->people_count++;
    climate->stats.samples_people++;
    if (!has_said)
        return;
    climate->error[climate->error_next] = fabs(said - sample->position_pct);
    climate->error_next = (climate->error_next + 1) % ERRORS_RING;
    if (climate->error_count < ERRORS_RING)
        climate->error_count++;
}

/* ---- on the pool ---- */

static void learn_run(struct loop_job *job)
{
    struct learn_job *learn = (struct learn_job *)(void *)job;
    learn->err = climate_model_learn(learn->base, learn->sample, learn->sample_count,
                                     learn->version, &learn->gate, &learn->result);
    if (learn->err != ERR_OK || learn->gate.verdict != CLIMATE_ADOPT)
        return;
    struct climate_model_about about = climate_model_about_get(learn->base);
    about.parent = about.version;
    about.version = learn->version;
    about.trained_at_ms = learn->now_ms;
    about.samples += learn->people - about.samples_people;
    about.samples_people = learn->people;
    about.origin = CLIMATE_LEARNED;
    climate_model_about_set(learn->result, &about);
    learn->saved = climate_model_save(learn->result, learn->path);
}

/* ---- back on the loop ---- */

struct verdict_op {
    struct op op;
    struct climate_gate gate;
    uint64_t version, parent, sample_last, pruned_below;
    uint64_t pruned[VERSIONS_MAX];
    uint32_t pruned_count;
    bool adopt, unsaved;
};

static void add_number(struct text *text, const char *name, double value)
{
    char number[32];
    (void)snprintf(number, sizeof(number), isfinite(value) ? "%.2f" : "null", value);
    text_add(text, STR(",\""));
    text_add(text, str_from(name));
    text_add(text, STR("\":"));
    text_add(text, str_from(number));
}

static enum err verdict_audit(const struct verdict_op *verdict, struct store_db *db)
{
    char subject[VERSION_TEXT_BYTES], storage[512];
    struct text text;
    text_init(&text, storage, sizeof(storage));
    text_add(&text, STR("{\"verdict\":\""));
    text_add(&text, verdict->unsaved ? STR("discarded: its file could not be written")
                                     : str_from(climate_verdict_text(verdict->gate.verdict)));
    text_add(&text, STR("\""));
    add_number(&text, "shown_before", verdict->gate.shown_before);
    add_number(&text, "shown_after", verdict->gate.shown_after);
    add_number(&text, "held_out_before", verdict->gate.held_out_before);
    add_number(&text, "held_out_after", verdict->gate.held_out_after);
    add_number(&text, "taught_before", verdict->gate.taught_before);
    add_number(&text, "taught_after", verdict->gate.taught_after);
    text_add(&text, STR("}"));
    climate_version_text(verdict->version, subject);
    return climate_op_audit(&verdict->op, db,
                            verdict->adopt ? "climate.model.adopt" : "climate.model.discard",
                            subject, text.at);
}

static enum err verdict_alert(const struct verdict_op *verdict, struct store_db *db)
{
    return record_alert_raise(
        db,
        &(struct record_alert){
            .code = STR("model_not_saved"),
            .message = STR("A new version of the window model could not be written to the data "
                           "folder, so the old one goes on."),
            .severity = RECORD_WARNING,
            .raised_at_ms = verdict->op.now_ms,
            .last_at_ms = verdict->op.now_ms,
            .count = 1,
        },
        NULL);
}

static enum err adopt_rows(const struct verdict_op *verdict, struct store_db *db)
{
    enum err err = store_exec(db, climate_sql(db, SQL_MODEL_UNSEAT), NULL);
    if (err != ERR_OK)
        return err;
    struct store_stmt *stmt = climate_sql(db, SQL_MODEL_INSERT);
    store_bind_i64(stmt, 1, (int64_t)verdict->version);
    store_bind_i64(stmt, 2, (int64_t)verdict->parent);
    store_bind_i64(stmt, 3, verdict->op.now_ms);
    err = store_exec(db, stmt, NULL);
    if (err != ERR_OK)
        return err;
    stmt = climate_sql(db, SQL_SAMPLES_LEARNED);
    store_bind_i64(stmt, 1, (int64_t)verdict->version);
    store_bind_i64(stmt, 2, (int64_t)verdict->sample_last);
    err = store_exec(db, stmt, NULL);
    if (err != ERR_OK || verdict->pruned_below == 0)
        return err;
    stmt = climate_sql(db, SQL_MODEL_PRUNE);
    store_bind_i64(stmt, 1, (int64_t)verdict->pruned_below);
    return store_exec(db, stmt, NULL);
}

static enum err verdict_run(struct store_job *job, struct store_db *db)
{
    const struct verdict_op *verdict = (struct verdict_op *)(void *)job;
    enum err err = verdict->adopt ? adopt_rows(verdict, db) : ERR_OK;
    if (err == ERR_OK && verdict->unsaved)
        err = verdict_alert(verdict, db);
    return err == ERR_OK ? verdict_audit(verdict, db) : err;
}

static void keep_version(struct climate *climate, const struct verdict_op *verdict)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < climate->version_count; i++) {
        char path[PATH_BYTES];
        if (climate->versions[i].version >= verdict->pruned_below) {
            climate->versions[kept++] = climate->versions[i];
            continue;
        }
        climate_version_path(climate, climate->versions[i].version, path);
        (void)unlink(path); /* one that stays is only a file too many */
    }
    ASSERT(kept < VERSIONS_MAX);
    climate->versions[kept++] = (struct version){verdict->version, verdict->op.now_ms, true};
    climate->version_count = kept;
    for (uint32_t i = 0; i < climate->sample_count; i++) {
        struct memory_sample *sample = &climate->sample[i];
        if (sample->learned_in == 0 && sample->sample.sample_id <= verdict->sample_last)
            sample->learned_in = verdict->version;
    }
}

static void verdict_undo(struct op *op)
{
    op->climate->model_changing = false;
}

static void verdict_done(struct store_job *job, enum err err)
{
    struct verdict_op *verdict = (struct verdict_op *)(void *)job;
    struct climate *climate = verdict->op.climate;
    if (verdict->adopt) {
        climate->model_changing = false;
        if (err == ERR_OK) {
            struct climate_model *model = verdict->op.model;
            verdict->op.model = NULL;
            keep_version(climate, verdict);
            climate_version_speak(climate, model, "learned", verdict->op.now_ms);
            climate->stats.models_adopted++;
        }
    }
    climate_op_free(&verdict->op);
    if (climate->learn_again)
        climate_learn(climate);
}

/* The oldest gives way when there are too many. */
static uint64_t prune_below(const struct climate *climate)
{
    uint64_t oldest = UINT64_MAX;
    if (climate->version_count < VERSIONS_MAX - 1)
        return 0;
    for (uint32_t i = 0; i < climate->version_count; i++) {
        if (!climate->versions[i].current && climate->versions[i].version < oldest)
            oldest = climate->versions[i].version;
    }
    return oldest + 1;
}

static void conclude(struct climate *climate, struct learn_job *learn)
{
    if (learn->err != ERR_OK)
        return; /* out of memory, or nothing to learn from yet: the next setting tries again */
    if (climate_model_version(learn->base) != climate_model_version(climate->model) ||
        climate->model_changing) {
        climate->learn_again = true; /* rolled back meanwhile */
        return;
    }
    struct verdict_op *verdict =
        climate_op_create(climate, sizeof(*verdict), STR_NONE, STR("server"), NULL);
    if (verdict == NULL)
        return;
    bool good = learn->gate.verdict == CLIMATE_ADOPT;
    verdict->op.job = (struct store_job){.run = verdict_run, .done = verdict_done};
    verdict->op.model = learn->result;
    learn->result = NULL;
    verdict->gate = learn->gate;
    verdict->version = learn->version;
    verdict->parent = climate_model_version(climate->model);
    verdict->sample_last = learn->sample_last;
    verdict->adopt = good && learn->saved == ERR_OK;
    verdict->unsaved = good && learn->saved != ERR_OK;
    if (verdict->unsaved)
        climate->stats.models_unsaved++;
    else if (!verdict->adopt)
        climate->stats.models_discarded++;
    if (verdict->adopt) {
        verdict->pruned_below = prune_below(climate);
        verdict->op.undo = verdict_undo;
        climate->model_changing = true;
    }
    enum err err = climate_op_submit(&verdict->op);
    (void)err; /* the old model goes on; the samples are kept and learned with the next */
}

static void learn_done(struct loop_job *job)
{
    struct learn_job *learn = (struct learn_job *)(void *)job;
    struct climate *climate = learn->climate;
    if (climate != NULL) {
        climate->learning = NULL;
        conclude(climate, learn);
    }
    learn_free(learn);
    if (climate != NULL && climate->learn_again && !climate->model_changing)
        climate_learn(climate);
}

static struct learn_job *learn_create(struct climate *climate)
{
    struct learn_job *learn = mem_zalloc(sizeof(*learn));
    if (learn == NULL)
        return NULL;
    learn->job = (struct loop_job){.run = learn_run, .done = learn_done};
    learn->climate = climate;
    learn->sample = mem_alloc(climate->sample_count * sizeof(*learn->sample));
    if (learn->sample == NULL || climate_model_copy(climate->model, &learn->base) != ERR_OK) {
        learn_free(learn);
        return NULL;
    }
    for (uint32_t i = 0; i < climate->sample_count; i++)
        learn->sample[i] = climate->sample[i].sample;
    learn->sample_count = climate->sample_count;
    learn->sample_last = climate->sample[climate->sample_count - 1].sample.sample_id;
    learn->people = climate->people_count;
    learn->version = ++climate->version_highest;
    learn->now_ms = climate_now_ms(climate);
    climate_version_path(climate, learn->version, learn->path);
    return learn;
}

void climate_learn(struct climate *climate)
{
    climate->learn_again = climate->learning != NULL || climate->model_changing;
    if (climate->learn_again || climate->sample_count == 0)
        return;
    struct learn_job *learn = learn_create(climate);
    if (learn == NULL)
        return; /* out of memory: the next setting tries again */
    climate->learning = learn;
    if (climate->options.loop == NULL) {
        learn_run(&learn->job);
        learn_done(&learn->job);
    } else if (loop_work(climate->options.loop, &learn->job) != ERR_OK) {
        climate->learning = NULL;
        learn_free(learn);
    }
}

void climate_learn_abandon(struct climate *climate)
{
    if (climate->learning != NULL)
        climate->learning->climate = NULL; /* it frees itself when the pool is done with it */
    climate->learning = NULL;
}
