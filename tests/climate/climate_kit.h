/* The room on a database in memory (or a file), with the real telemetry and the real queue; the
 * test takes every step and is the clock, the bus and the board. */
#ifndef AUTOMAT_TESTS_CLIMATE_KIT_H
#define AUTOMAT_TESTS_CLIMATE_KIT_H

#include "climate/climate.h"
#include "climate/climate_model.h"
#include "climate/climate_trigger.h"
#include "kit/kit.h"
#include "queue/queue.h"
#include "record/record.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define T0     ((int64_t)1800000000000)
#define SECOND ((int64_t)1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define W1     STR("window-1")

struct kit {
    struct bus bus; /* first: the bus is the kit */
    const struct store_migration *migrations;
    const char *path, *folder;
    struct loop *loop; /* NULL: everything inline */
    struct store *store;
    struct queue *queue;
    struct telemetry *telemetry;
    struct climate *climate;
    struct climate_options options;
    char why[512];
    int64_t now_ms, lag_us;
    uint64_t ids;
    /* what was published */
    int published;
    char topic[128], payload[512];
    /* what the watcher and callbacks saw */
    int changes, calls;
    enum err err;
    /* commands as the queue's listener saw them */
    uint64_t command_id;
    int created, completed;
    char command_payload[128], command_meta[256], command_by[96], command_request[96];
    /* rows read */
    struct climate_prediction row[32];
    char row_decision[32][24], row_because[32][16], row_version[32][24], row_provenance[32][16];
    size_t rows;
    bool more;
    struct climate_error_point point[32];
    size_t points;
};

static inline uint32_t kit_publish(struct bus *bus, const struct bus_out *message)
{
    struct kit *kit = (struct kit *)(void *)bus;
    kit->published++;
    CHECK_EQ(message->qos, 1);
    CHECK(!message->retain);
    CHECK_OK(str_copy(kit->topic, sizeof(kit->topic), message->topic));
    CHECK_OK(str_copy(kit->payload, sizeof(kit->payload), message->payload));
    return 1;
}
static const struct bus_ops kit_bus_ops = {kit_publish};

static inline int64_t kit_wall_ms(void *clock)
{
    return ((const struct kit *)clock)->now_ms;
}
static inline int64_t kit_mono_us(void *clock)
{
    const struct kit *kit = clock;
    return kit->now_ms * 1000 + kit->lag_us;
}
static inline void kit_random_id(void *random, struct id128 *ret_id)
{
    struct kit *kit = random;
    *ret_id = (struct id128){.byte = {1}};
    kit->ids++;
    memcpy(&ret_id->byte[8], &kit->ids, sizeof(kit->ids));
}

static inline void kit_command_changed(void *listener, const struct queue_change *change)
{
    struct kit *kit = listener;
    if (change->created) {
        kit->created++;
        kit->command_id = change->command->command_id;
        CHECK_OK(
            str_copy(kit->command_payload, sizeof(kit->command_payload), change->command->payload));
        CHECK_OK(str_copy(kit->command_meta, sizeof(kit->command_meta), change->command->meta));
        CHECK_OK(str_copy(kit->command_by, sizeof(kit->command_by), change->command->created_by));
        CHECK_OK(str_copy(kit->command_request, sizeof(kit->command_request),
                          change->command->request_id));
    }
    if (change->command->state == QUEUE_COMPLETE && change->old_state != QUEUE_COMPLETE)
        kit->completed++;
    if (kit->climate != NULL)
        climate_command_changed(kit->climate, change);
}

static inline void kit_window_changed(void *cookie, struct str machine_id)
{
    struct kit *kit = cookie;
    (void)machine_id;
    kit->changes++;
}

static const struct queue_kind kit_kind = {
    .name = "window", .not_after_s = 60, .max_duration_s = 30, .coalesce = true};
static const struct queue_kind *const kit_kinds[] = {&kit_kind, NULL};

/* Only the tables this room needs, so that another room's cannot fail its tests. */
static inline const struct store_migration *kit_tables(void)
{
    static struct store_migration table[6];
    static const char *const name[] = {
        "record/migrations/0001_record.sql", "queue/migrations/0004_queue.sql",
        "telemetry/migrations/0007_telemetry.sql", "climate/migrations/0008_climate.sql",
        "climate/migrations/0011_climate_provenance.sql"};
    for (int i = 0; i < 5; i++)
        table[i] = (struct store_migration){
            i + 1, name[i], kit_read_file(kit_path(AUTOMAT_SOURCE_DIR "/src", name[i]), NULL)};
    return table;
}

static inline enum err kit_try_open(struct kit *kit)
{
    struct store_options store_options = {
        .path = kit->path, .migrations = kit->migrations, .inline_jobs = kit->loop == NULL};
    enum err err = store_open(kit->loop, &store_options, kit->why, sizeof(kit->why), &kit->store);
    if (err == ERR_OK)
        err = queue_create(&(struct queue_options){.store = kit->store,
                                                   .kinds = kit_kinds,
                                                   .clock = kit,
                                                   .mono_ms = kit_wall_ms,
                                                   .wall_ms = kit_wall_ms,
                                                   .random = kit,
                                                   .random_id = kit_random_id,
                                                   .listener = kit,
                                                   .changed = kit_command_changed},
                           &kit->queue);
    if (err == ERR_OK)
        err = telemetry_create(
            &(struct telemetry_options){.store = kit->store, .wall_ms = kit_wall_ms, .clock = kit},
            &kit->telemetry);
    if (err != ERR_OK)
        return err;
    struct climate_options options = kit->options;
    options.loop = kit->loop;
    options.store = kit->store;
    options.queue = kit->queue;
    options.telemetry = kit->telemetry;
    options.bus = &kit->bus;
    options.wall_ms = kit_wall_ms;
    options.mono_us = kit_mono_us;
    options.clock = kit;
    options.random = kit;
    options.random_id = kit_random_id;
    options.model_folder = kit->folder;
    err = climate_create(&options, kit->why, sizeof(kit->why), &kit->climate);
    if (err == ERR_OK)
        climate_watch(kit->climate, kit_window_changed, kit);
    return err;
}

/* `options` says what differs: source, preset, confidence. */
static inline void kit_open(struct kit *kit, const struct climate_options *options)
{
    *kit = (struct kit){.bus = {&kit_bus_ops}, .now_ms = T0};
    if (options != NULL)
        kit->options = *options;
    kit->migrations = kit_tables();
    kit->folder = kit_tempdir();
    enum err err = kit_try_open(kit);
    NOTE("%s", kit->why);
    CHECK_OK(err);
}

static inline void kit_close(struct kit *kit)
{
    if (kit->store != NULL)
        store_close(kit->store);
    climate_destroy(kit->climate);
    telemetry_destroy(kit->telemetry);
    queue_destroy(kit->queue);
    kit->store = NULL;
    kit->climate = NULL;
    kit->telemetry = NULL;
    kit->queue = NULL;
}

/* Until nothing waits. */
static inline void kit_settle(struct kit *kit)
{
    while (store_step(kit->store, 0) > 0)
        continue;
}

/* Let time pass, with a tick at its end, as the server's timer would. */
static inline void kit_pass(struct kit *kit, int64_t ms)
{
    kit->now_ms += ms;
    (void)climate_tick(kit->climate, kit->now_ms);
    (void)queue_tick(kit->queue);
    kit_settle(kit);
}

static inline void kit_reading(struct kit *kit, const char *type, double value)
{
    struct telemetry_reading reading = {.value = value, .at_ms = kit->now_ms};
    CHECK_OK(str_copy(reading.type, sizeof(reading.type), str_from(type)));
    CHECK_OK(telemetry_ingest_readings(kit->telemetry, W1, &reading, 1, NULL, NULL, NULL));
    kit_settle(kit);
}

/* One message with all three. */
static inline void kit_readings(struct kit *kit, double temperature, double humidity, double sound)
{
    struct telemetry_reading reading[3] = {{.type = "temperature", .value = temperature},
                                           {.type = "humidity", .value = humidity},
                                           {.type = "sound_volume", .value = sound}};
    for (int i = 0; i < 3; i++)
        reading[i].at_ms = kit->now_ms;
    CHECK_OK(telemetry_ingest_readings(kit->telemetry, W1, reading, 3, "reading-7", NULL, NULL));
    kit_settle(kit);
}

static inline struct climate_window kit_window(const struct kit *kit)
{
    struct climate_window window;
    CHECK(climate_window_get(kit->climate, W1, &window));
    return window;
}

static inline const struct climate_stats *kit_stats(const struct kit *kit)
{
    return climate_stats_get(kit->climate);
}

/* ---- the board ---- */

static inline void kit_claimed(void *cookie, enum err err, enum queue_verdict verdict,
                               const struct queue_grant *grant)
{
    struct kit *kit = cookie;
    (void)grant;
    CHECK_OK(err);
    CHECK_EQ(verdict, QUEUE_DONE);
    kit->calls++;
}
static inline void kit_reported(void *cookie, enum err err, enum queue_verdict verdict,
                                const struct queue_command *command)
{
    struct kit *kit = cookie;
    (void)command;
    CHECK_OK(err);
    CHECK_EQ(verdict, QUEUE_DONE);
    kit->calls++;
}

/* Carries out what is offered and reports `outcome`; false: nothing is. */
static inline bool kit_board_says(struct kit *kit, enum queue_state outcome, struct str meta)
{
    bool own = false;
    const struct queue_command *command = queue_check(kit->queue, W1, (struct id128){{0}}, &own);
    if (command == NULL)
        return false;
    uint64_t command_id = command->command_id;
    struct id128 claim = {{9, 9}}, journal = {{7}};
    CHECK_OK(queue_claim(kit->queue,
                         &(struct queue_claim){.command_id = command_id,
                                               .machine_id = W1,
                                               .claim_id = claim,
                                               .journal_id = journal,
                                               .actor = STR("machine:window-1")},
                         kit_claimed, kit));
    kit_settle(kit);
    CHECK_OK(queue_report(kit->queue,
                          &(struct queue_report){.command_id = command_id,
                                                 .machine_id = W1,
                                                 .outcome = outcome,
                                                 .claim_id = claim,
                                                 .journal_id = journal,
                                                 .meta = meta,
                                                 .actor = STR("machine:window-1")},
                          kit_reported, kit));
    kit_settle(kit);
    return true;
}
static inline bool kit_board(struct kit *kit, enum queue_state outcome)
{
    return kit_board_says(kit, outcome, STR_NONE);
}

/* ---- people ---- */

static inline void kit_ordered(void *cookie, enum err err, enum queue_verdict verdict,
                               uint64_t command_id)
{
    struct kit *kit = cookie;
    (void)command_id;
    CHECK_OK(err);
    CHECK_EQ(verdict, QUEUE_DONE);
    kit->calls++;
}

/* A person sets the window, and the board does it. */
static inline void kit_set_by_hand(struct kit *kit, int position_pct)
{
    char payload[64];
    (void)snprintf(payload, sizeof(payload), "{\"position\":%d}", position_pct);
    CHECK_OK(queue_submit(kit->queue,
                          &(struct queue_new){.kind = &kit_kind,
                                              .machine_id = W1,
                                              .command = STR("set_position"),
                                              .payload = str_from(payload),
                                              .execute_allowed = true,
                                              .actor = STR("account:alice")},
                          kit_ordered, kit));
    kit_settle(kit);
    CHECK(kit_board(kit, QUEUE_COMPLETE));
}

static inline void kit_done(void *cookie, enum err err)
{
    struct kit *kit = cookie;
    kit->calls++;
    kit->err = err;
}

/* ---- looking ---- */

static inline void kit_rows(void *cookie, enum err err, const struct climate_prediction *rows,
                            size_t count, bool more)
{
    struct kit *kit = cookie;
    CHECK_OK(err);
    CHECK(count <= 32);
    kit->rows = count;
    kit->more = more;
    for (size_t i = 0; i < count; i++) {
        kit->row[i] = rows[i];
        CHECK_OK(str_copy(kit->row_decision[i], 24, rows[i].decision));
        CHECK_OK(str_copy(kit->row_because[i], 16, rows[i].asked_because));
        CHECK_OK(str_copy(kit->row_version[i], 24, rows[i].model_version));
        CHECK_OK(str_copy(kit->row_provenance[i], 16, rows[i].provenance));
    }
}
static inline void kit_predictions(struct kit *kit, uint64_t before_id, uint32_t limit)
{
    CHECK_OK(climate_predictions_read(kit->climate, W1, 0, 0, before_id, limit, kit_rows, kit));
    kit_settle(kit);
}

/* How often something was written in the audit. */
struct kit_audit_job {
    struct store_job job;
    const char *action;
    struct arena scratch;
    int count;
    char detail[512];
};
static inline enum err kit_audit_run(struct store_job *job, struct store_db *db)
{
    struct kit_audit_job *audit = (struct kit_audit_job *)(void *)job;
    struct record_row *rows;
    size_t count;
    enum err err =
        record_audit_list(db, 0, 1000, STR_NONE, STR_NONE, &audit->scratch, &rows, &count);
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        if (!str_equal(rows[i].entry.action, str_from(audit->action)))
            continue;
        if (audit->count++ == 0)
            err = str_copy(audit->detail, sizeof(audit->detail), rows[i].entry.detail);
    }
    return err;
}
static inline int kit_audit_count(struct kit *kit, const char *action)
{
    struct kit_audit_job audit = {.job = {.run = kit_audit_run}, .action = action};
    arena_init(&audit.scratch, 8 * MIB);
    CHECK_OK(store_run_now(kit->store, &audit.job));
    arena_finish(&audit.scratch);
    NOTE("%s", audit.detail);
    return audit.count;
}

/* ---- models ---- */

/* A model that was taught one thing: the warmer the wider, around its centre. */
static inline struct climate_model *kit_model(uint64_t version)
{
    struct climate_model *model;
    static struct climate_sample sample[600];
    struct rng rng;
    rng_init(&rng, 5);
    CHECK_OK(climate_model_create(3, &model));
    for (size_t i = 0; i < ARRAY_COUNT(sample); i++) {
        struct climate_features *f = &sample[i].features;
        *f = (struct climate_features){18 + 8 * rng_unit(&rng), 30 + 30 * rng_unit(&rng),
                                       0.005 + 0.05 * rng_unit(&rng)};
        sample[i].position_pct = fmin(fmax((f->temperature_c - 19) * 18, 0), 100);
    }
    CHECK_OK(climate_model_fit(model, sample, ARRAY_COUNT(sample),
                               &(struct climate_fit){.epochs = 80, .seed = 1}));
    struct climate_model_about about = climate_model_about_get(model);
    about.version = version;
    about.origin = CLIMATE_SHIPPED;
    about.trained_at_ms = T0;
    climate_model_about_set(model, &about);
    return model;
}

/* The same as a file; the path lives as long as the test. */
static inline const char *kit_preset(void)
{
    const char *path = kit_path(kit_tempdir(), "preset.bin");
    struct climate_model *model = kit_model(1);
    CHECK_OK(climate_model_save(model, path));
    climate_model_destroy(model);
    return path;
}

#endif
