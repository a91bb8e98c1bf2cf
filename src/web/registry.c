/* Two things that follow the fleet: its copy in the column store, a row for each machine that
 * changed; and the alert for a device that is there but whose readings have stopped. */
#include "web/web_int.h"

#include <stdio.h>
#include <string.h>

#define ROWS_MAX       64   /* in one transaction; the rest comes with the next */
#define DIRTY_MAX      4096 /* names waiting; beyond it all are written */
#define SILENT_MAX     256
#define SILENT_LOOK_MS 5000

struct registry_row {
    char machine_id[FLEET_ID_BYTES], kind[FLEET_ID_BYTES], name[FLEET_NAME_BYTES];
    char firmware[FLEET_ID_BYTES];
    const char *admission;
    int64_t created_at_ms, last_seen_at_ms;
    bool online;
};

struct registry_silence {
    char machine_id[FLEET_ID_BYTES];
    bool ends;
    int64_t since_ms;
};

struct registry_job {
    struct store_job job;
    struct web_registry *registry;
    int64_t at_ms;
    uint32_t row_count, silence_count;
    struct registry_row row[ROWS_MAX];
    struct registry_silence silence[ROWS_MAX];
};

struct web_registry {
    struct web *web;
    struct registry_job *job; /* on its way */
    char (*dirty)[FLEET_ID_BYTES];
    uint32_t dirty_count;
    bool copies; /* there is a column store */
    int64_t silent_look_mono_ms, begun_ms;
    char silent[SILENT_MAX][FLEET_ID_BYTES]; /* whose alert stands, as far as we know */
    uint32_t silent_count;
};

static enum err row_write(struct store_db *db, const struct registry_job *job,
                          const struct registry_row *row)
{
    struct telemetry_device device = {.machine_id = str_from(row->machine_id),
                                      .kind = str_from(row->kind),
                                      .name = str_from(row->name),
                                      .firmware = str_from(row->firmware),
                                      .admission = str_from(row->admission),
                                      .at_ms = job->at_ms,
                                      .created_at_ms = row->created_at_ms,
                                      .last_seen_at_ms = row->last_seen_at_ms,
                                      .online = row->online};
    return telemetry_write_device(db, &device);
}

static enum err silence_write(struct store_db *db, const struct registry_job *job,
                              const struct registry_silence *silence)
{
    struct str machine_id = str_from(silence->machine_id), code = STR("telemetry_silent");
    if (silence->ends)
        return record_alert_resolve(db, machine_id, code, job->at_ms);
    char at[TIME_TEXT_BYTES], message[140];
    time_text(silence->since_ms, at);
    (void)snprintf(message, sizeof(message),
                   "This machine is there, but has sent no reading since %s.", at);
    return record_alert_raise(db,
                              &(struct record_alert){.machine_id = machine_id,
                                                     .code = code,
                                                     .message = str_from(message),
                                                     .severity = RECORD_WARNING,
                                                     .raised_at_ms = job->at_ms,
                                                     .last_at_ms = job->at_ms,
                                                     .count = 1},
                              NULL);
}

static enum err job_run(struct store_job *store_job, struct store_db *db)
{
    const struct registry_job *job = (const struct registry_job *)(void *)store_job;
    enum err err = ERR_OK;
    for (uint32_t i = 0; err == ERR_OK && i < job->row_count; i++)
        err = row_write(db, job, &job->row[i]);
    for (uint32_t i = 0; err == ERR_OK && i < job->silence_count; i++)
        err = silence_write(db, job, &job->silence[i]);
    return err;
}

static void job_done(struct store_job *store_job, enum err err)
{
    struct registry_job *job = (struct registry_job *)(void *)store_job;
    struct web_registry *registry = job->registry;
    registry->job = NULL;
    if (err != ERR_OK)
        log_line(LOG_WARN, "registry", "err", "%s", err_name(err), NULL);
    else if (job->silence_count > 0)
        web_hub_records(registry->web->hub);
    mem_free(job);
}

/* ---- machines that changed ---- */

void web_registry_changed(struct web_registry *registry, const struct fleet_machine *machine)
{
    if (!registry->copies)
        return;
    for (uint32_t i = 0; i < registry->dirty_count; i++) {
        if (strcmp(registry->dirty[i], machine->machine_id) == 0)
            return;
    }
    if (registry->dirty_count < DIRTY_MAX)
        memcpy(registry->dirty[registry->dirty_count++], machine->machine_id, FLEET_ID_BYTES);
}

static void rows_take(struct web_registry *registry, struct registry_job *job)
{
    while (registry->dirty_count > 0 && job->row_count < ROWS_MAX) {
        const char *machine_id = registry->dirty[--registry->dirty_count];
        const struct fleet_machine *machine =
            fleet_find(registry->web->fleet, str_from(machine_id));
        if (machine == NULL)
            continue;
        struct registry_row *row = &job->row[job->row_count++];
        memcpy(row->machine_id, machine->machine_id, sizeof(row->machine_id));
        memcpy(row->kind, machine->kind, sizeof(row->kind));
        memcpy(row->name, machine->name, sizeof(row->name));
        memcpy(row->firmware, machine->firmware, sizeof(row->firmware));
        row->admission = fleet_admission_name(machine->admission);
        row->created_at_ms = machine->created_at_ms;
        row->last_seen_at_ms = machine->last_seen_at_ms;
        row->online = machine->online;
    }
}

/* ---- readings that stopped ---- */

struct newest {
    int64_t at_ms;
};

static bool newest_each(void *cookie, const struct telemetry_latest *latest)
{
    struct newest *newest = cookie;
    if (latest->received_at_ms > newest->at_ms)
        newest->at_ms = latest->received_at_ms;
    return true;
}

static int silent_index(const struct web_registry *registry, const char *machine_id)
{
    for (uint32_t i = 0; i < registry->silent_count; i++) {
        if (strcmp(registry->silent[i], machine_id) == 0)
            return (int)i;
    }
    return -1;
}

static void silence_note(struct web_registry *registry, struct registry_job *job,
                         const struct fleet_machine *machine)
{
    struct newest newest = {0};
    int64_t inactive_s = registry->web->options.inactive_s;
    int64_t limit_ms = (inactive_s != 0 ? inactive_s : 300) * 1000;
    telemetry_latest_each(registry->web->telemetry, str_from(machine->machine_id), newest_each,
                          &newest);
    if (newest.at_ms == 0 || job->silence_count == ROWS_MAX)
        return; /* it never sent any */
    int64_t since_ms = newest.at_ms > registry->begun_ms ? newest.at_ms : registry->begun_ms;
    bool silent = machine->active && job->at_ms - since_ms >= limit_ms;
    int index = silent_index(registry, machine->machine_id);
    if (silent == (index >= 0) || (silent && registry->silent_count == SILENT_MAX))
        return;
    struct registry_silence *silence = &job->silence[job->silence_count++];
    memcpy(silence->machine_id, machine->machine_id, sizeof(silence->machine_id));
    silence->ends = !silent;
    silence->since_ms = newest.at_ms;
    if (silent)
        memcpy(registry->silent[registry->silent_count++], machine->machine_id, FLEET_ID_BYTES);
    else
        memmove(registry->silent[index], registry->silent[--registry->silent_count],
                FLEET_ID_BYTES);
}

static void silences_look(struct web_registry *registry, struct registry_job *job)
{
    const struct fleet *fleet = registry->web->fleet;
    const struct fleet_machine *machine = fleet_next(fleet, STR(""));
    for (; machine != NULL; machine = fleet_next(fleet, str_from(machine->machine_id)))
        silence_note(registry, job, machine);
}

void web_registry_tick(struct web_registry *registry)
{
    struct web *web = registry->web;
    bool look = web_mono_ms(web) >= registry->silent_look_mono_ms;
    if (registry->job != NULL || (!look && registry->dirty_count == 0))
        return;
    struct registry_job *job = mem_zalloc(sizeof(*job));
    if (job == NULL)
        return; /* the next tick finds the same */
    job->job = (struct store_job){.run = job_run, .done = job_done};
    job->registry = registry;
    job->at_ms = web_now_ms(web);
    rows_take(registry, job);
    if (look) {
        registry->silent_look_mono_ms = web_mono_ms(web) + SILENT_LOOK_MS;
        silences_look(registry, job);
    }
    bool nothing = job->row_count == 0 && job->silence_count == 0;
    if (nothing || store_write(web->store, &job->job) != ERR_OK)
        mem_free(job);
    else
        registry->job = job;
}

/* Alerts of an earlier life, so that they end when the readings come back. */
struct registry_load {
    struct store_job job;
    struct web_registry *registry;
};

static enum err load_run(struct store_job *job, struct store_db *db)
{
    struct web_registry *registry = ((struct registry_load *)(void *)job)->registry;
    struct record_alert *alerts = NULL;
    size_t count = 0;
    struct arena scratch;
    arena_init(&scratch, MIB);
    enum err err = record_alert_list(db, true, 0, RECORD_LIST_MAX, &scratch, &alerts, &count);
    for (size_t i = 0; err == ERR_OK && i < count && registry->silent_count < SILENT_MAX; i++) {
        char *place = registry->silent[registry->silent_count];
        if (str_equal(alerts[i].code, STR("telemetry_silent")) &&
            str_copy(place, FLEET_ID_BYTES, alerts[i].machine_id) == ERR_OK)
            registry->silent_count++;
    }
    arena_finish(&scratch);
    return err;
}

enum err web_registry_create(struct web *web, struct web_registry **ret_registry)
{
    struct web_registry *registry = mem_zalloc(sizeof(*registry));
    if (registry == NULL)
        return ERR_NOMEM;
    registry->web = web;
    registry->begun_ms = web_now_ms(web);
    registry->silent_look_mono_ms = web_mono_ms(web) + SILENT_LOOK_MS;
    *ret_registry = registry; /* web_destroy takes it from here */
    registry->dirty = mem_zalloc((size_t)DIRTY_MAX * FLEET_ID_BYTES);
    if (registry->dirty == NULL)
        return ERR_NOMEM;
    struct telemetry_stats stats;
    telemetry_stats_get(web->telemetry, &stats);
    registry->copies = stats.sink_configured;
    struct registry_load load = {.job = {.run = load_run}, .registry = registry};
    return store_run_now(web->store, &load.job);
}

/* The store is closed by now: a job that was cut off in a test is all that may be left. */
void web_registry_destroy(struct web_registry *registry)
{
    if (registry == NULL)
        return;
    mem_free(registry->job);
    mem_free(registry->dirty);
    mem_free(registry);
}
