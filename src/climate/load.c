/* At start: what SQL remembers, and which model may speak. */
#include "climate/climate_int.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define FOLDER_TRIES 8

struct load_job {
    struct store_job job;
    struct climate *climate;
    bool rolled_back_above; /* a newer version than the current one was rolled back */
    uint64_t current, rolled_back_highest;
};

static enum err load_windows(struct climate *climate, struct store_db *db)
{
    struct store_stmt *stmt = climate_sql(db, SQL_WINDOWS_ALL);
    enum err err;
    while ((err = store_row(stmt)) == ERR_OK) {
        struct watched *window = climate_window_ensure(climate, store_col_text(stmt, 0));
        if (window == NULL)
            return ERR_NOMEM;
        window->mode =
            str_equal(store_col_text(stmt, 1), STR("manual")) ? CLIMATE_MANUAL : CLIMATE_AUTO;
        window->position_pct = climate_col_number(stmt, 2);
        window->hold_until_ms = store_col_i64(stmt, 3);
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err load_samples(struct climate *climate, struct store_db *db)
{
    struct store_stmt *stmt = climate_sql(db, SQL_SAMPLES_COUNT);
    enum err err = store_row(stmt);
    if (err != ERR_OK)
        return err;
    climate->people_count = (uint64_t)store_col_i64(stmt, 0);
    stmt = climate_sql(db, SQL_SAMPLES_ALL);
    store_bind_i64(stmt, 1, SAMPLES_MEMORY_MAX);
    while ((err = store_row(stmt)) == ERR_OK) {
        struct memory_sample *sample = &climate->sample[climate->sample_count++];
        sample->sample.sample_id = (uint64_t)store_col_i64(stmt, 0);
        sample->sample.features = (struct climate_features){
            store_col_f64(stmt, 1), store_col_f64(stmt, 2), store_col_f64(stmt, 3)};
        sample->sample.position_pct = store_col_f64(stmt, 4);
        sample->learned_in = (uint64_t)store_col_i64(stmt, 5);
    }
    for (uint32_t i = 0; i < climate->sample_count / 2; i++) { /* they came newest first */
        struct memory_sample swap = climate->sample[i];
        climate->sample[i] = climate->sample[climate->sample_count - 1 - i];
        climate->sample[climate->sample_count - 1 - i] = swap;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err load_errors(struct climate *climate, struct store_db *db)
{
    struct store_stmt *stmt = climate_sql(db, SQL_ERRORS);
    enum err err;
    store_bind_i64(stmt, 1, INT64_MIN);
    store_bind_i64(stmt, 2, INT64_MAX);
    store_bind_i64(stmt, 3, ERRORS_RING);
    /* Newest first: fill the ring from its end, so that the oldest is overwritten first. */
    while ((err = store_row(stmt)) == ERR_OK)
        climate->error[ERRORS_RING - 1 - climate->error_count++] =
            fabs(store_col_f64(stmt, 2) - store_col_f64(stmt, 3));
    memmove(&climate->error[0], &climate->error[ERRORS_RING - climate->error_count],
            climate->error_count * sizeof(climate->error[0]));
    climate->error_next = climate->error_count % ERRORS_RING;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err load_versions(struct load_job *load, struct store_db *db)
{
    struct climate *climate = load->climate;
    struct store_stmt *stmt = climate_sql(db, SQL_MODELS_ALL);
    enum err err;
    while ((err = store_row(stmt)) == ERR_OK) {
        struct version version = {.version = (uint64_t)store_col_i64(stmt, 0),
                                  .adopted_at_ms = store_col_i64(stmt, 1)};
        struct str standing = store_col_text(stmt, 2);
        version.current = str_equal(standing, STR("current"));
        if (version.version > climate->version_highest)
            climate->version_highest = version.version;
        if (str_equal(standing, STR("rolled_back"))) {
            if (version.version > load->rolled_back_highest)
                load->rolled_back_highest = version.version;
        } else if (climate->version_count < VERSIONS_MAX - 1) {
            climate->versions[climate->version_count++] = version;
        }
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err load_run(struct store_job *job, struct store_db *db)
{
    struct load_job *load = (struct load_job *)(void *)job;
    enum err err = load_windows(load->climate, db);
    if (err == ERR_OK)
        err = load_samples(load->climate, db);
    if (err == ERR_OK)
        err = load_errors(load->climate, db);
    if (err == ERR_OK)
        err = load_versions(load, db);
    return err;
}

enum err climate_load(struct climate *climate)
{
    struct load_job load = {.job = {.run = load_run}, .climate = climate};
    enum err err = store_run_now(climate->options.store, &load.job);
    climate->rolled_back_highest = load.rolled_back_highest;
    return err;
}

/* ---- the model ---- */

struct sentences {
    char *at;
    size_t bytes, len;
};

static void say(struct sentences *why, const char *name, const char *reason)
{
    size_t room = why->bytes - why->len;
    int len = room > 1 ? snprintf(why->at + why->len, room, "%s%s: %s", why->len > 0 ? "; " : "",
                                  name, reason)
                       : 0;
    if (len > 0)
        why->len += (size_t)len < room ? (size_t)len : room - 1;
}

/* True when it speaks now.  Out of memory is no reason to take an older one: `ret_err`. */
static bool try_file(struct climate *climate, const char *path, const char *name,
                     struct sentences *why, enum err *ret_err)
{
    char reason[CLIMATE_MODEL_WHY_BYTES] = "";
    struct climate_model *model = NULL;
    enum err err = climate_model_load(path, reason, sizeof(reason), &model);
    if (err == ERR_OK) {
        climate_model_destroy(climate->model);
        climate->model = model;
        return true;
    }
    if (err == ERR_NOMEM)
        *ret_err = err;
    say(why, name, reason);
    return false;
}

static bool try_versions(struct climate *climate, bool current, struct sentences *why,
                         enum err *ret_err)
{
    for (uint32_t i = 0; i < climate->version_count;) {
        char path[PATH_BYTES], name[VERSION_TEXT_BYTES];
        struct version *version = &climate->versions[i];
        if (version->current != current) {
            i++;
            continue;
        }
        climate_version_path(climate, version->version, path);
        climate_version_text(version->version, name);
        if (try_file(climate, path, name, why, ret_err)) {
            climate->adopted_at_ms = version->adopted_at_ms;
            version->current = true;
            return true;
        }
        if (*ret_err != ERR_OK)
            return false;
        /* Neither to speak nor to go back to. */
        climate->version_count--;
        memmove(version, version + 1, (climate->version_count - i) * sizeof(*version));
    }
    return false;
}

/* The database is new, the folder is not: the newest file that validates. */
static bool try_folder(struct climate *climate, struct sentences *why, enum err *ret_err)
{
    uint64_t below = UINT64_MAX;
    for (int i = 0; i < FOLDER_TRIES && *ret_err == ERR_OK; i++) {
        DIR *folder = opendir(climate->options.model_folder);
        uint64_t newest = 0;
        if (folder == NULL)
            return false;
        for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
            struct str name = str_from(entry->d_name);
            uint64_t version;
            if (name.len > 10 && str_starts(name, STR("model-")) &&
                str_equal(str_slice(name, name.len - 4, name.len), STR(".bin")) &&
                str_to_u64(str_slice(name, 6, name.len - 4), &version) == ERR_OK &&
                version > newest && version < below && version < UINT32_MAX)
                newest = version;
        }
        (void)closedir(folder);
        if (newest == 0)
            return false;
        char path[PATH_BYTES], text[VERSION_TEXT_BYTES];
        climate_version_path(climate, newest, path);
        climate_version_text(newest, text);
        if (newest > climate->version_highest)
            climate->version_highest = newest;
        if (try_file(climate, path, text, why, ret_err))
            return true;
        below = newest;
    }
    return false;
}

static const char *origin_of(const struct climate *climate)
{
    if (climate->rolled_back_highest > climate_model_version(climate->model))
        return "rolled back";
    switch (climate_model_about_get(climate->model).origin) {
    case CLIMATE_SHIPPED:
        return "shipped";
    case CLIMATE_LEARNED:
        return "learned";
    case CLIMATE_UNTRAINED:
        break;
    }
    return "untrained";
}

/* A preset that cannot be used is no way back either. */
static bool try_preset(struct climate *climate, struct sentences *why, enum err *ret_err)
{
    char reason[CLIMATE_MODEL_WHY_BYTES] = "";
    struct climate_model *model = NULL;
    if (climate->options.model_preset == NULL)
        return false;
    enum err err =
        climate_model_load(climate->options.model_preset, reason, sizeof(reason), &model);
    if (err != ERR_OK) {
        if (err == ERR_NOMEM)
            *ret_err = err;
        say(why, "the model shipped with the program", reason);
        return false;
    }
    climate->preset_version = climate_model_version(model);
    if (climate->preset_version > climate->version_highest)
        climate->version_highest = climate->preset_version;
    climate_model_destroy(climate->model);
    climate->model = model;
    return true;
}

enum err climate_choose_model(struct climate *climate, char *why, size_t why_bytes)
{
    struct sentences say_to = {why, why_bytes, 0};
    enum err err = ERR_OK;
    bool is_new = climate->version_count == 0 && climate->rolled_back_highest == 0;
    if (why_bytes > 0)
        why[0] = '\0';
    /* First, so that it is there to go back to; what speaks later replaces it. */
    bool found = try_preset(climate, &say_to, &err);
    if (climate->options.model_folder != NULL && err == ERR_OK) {
        if (try_versions(climate, true, &say_to, &err) ||
            (err == ERR_OK && try_versions(climate, false, &say_to, &err)) ||
            (err == ERR_OK && is_new && try_folder(climate, &say_to, &err)))
            found = true;
    }
    if (err != ERR_OK)
        return err;
    if (!found)
        say(&say_to, "window model",
            "there is none that can be used, so nothing is proposed with confidence");
    climate->origin = origin_of(climate);
    return ERR_OK;
}
