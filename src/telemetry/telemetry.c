/* The room: made, asked, ticked, ended. */
#include "telemetry/telemetry.h"
#include "telemetry/telemetry_room_int.h"

#include <stdio.h>
#include <string.h>

#define SERIES_MAX         100000u
#define SERIES_MACHINE     64u
#define PENDING_MAX        50000u
#define OUTBOX_BYTES_MAX   ((uint64_t)256 * 1024 * 1024)
#define OUTBOX_BYTES_LEAST ((uint64_t)64 * 1024)

static void set_presets(struct telemetry_options *options)
{
    if (options->series_max == 0)
        options->series_max = SERIES_MAX;
    if (options->series_per_machine_max == 0)
        options->series_per_machine_max = SERIES_MACHINE;
    if (options->pending_max == 0)
        options->pending_max = PENDING_MAX;
    if (options->outbox_bytes_max == 0)
        options->outbox_bytes_max = OUTBOX_BYTES_MAX;
    if (options->outbox_bytes_max < OUTBOX_BYTES_LEAST)
        options->outbox_bytes_max = OUTBOX_BYTES_LEAST;
}

static enum err create_sink(struct telemetry *telemetry)
{
    const struct telemetry_options *options = &telemetry->options;
    return telemetry->sink_ops->create(
        &(struct telemetry_sink_options){
            .loop = options->loop,
            .store = options->store,
            .wall_ms = options->wall_ms,
            .clock = options->clock,
            .url = options->clickhouse_url,
            .user = options->clickhouse_user,
            .password = options->clickhouse_password,
            .database = options->clickhouse_database,
        },
        &telemetry->sink);
}

/* The caller's texts do not outlive its call. */
static void forget_texts(struct telemetry_options *options)
{
    options->clickhouse_url = options->clickhouse_user = NULL;
    options->clickhouse_password = options->clickhouse_database = NULL;
}

enum err telemetry_create_with(const struct telemetry_options *options,
                               const struct telemetry_sink_ops *sink_ops,
                               struct telemetry **ret_telemetry)
{
    struct telemetry *telemetry = mem_zalloc(sizeof(*telemetry));
    if (telemetry == NULL)
        return ERR_NOMEM;
    telemetry->options = *options;
    set_presets(&telemetry->options);
    telemetry->sink_ops = &telemetry_sink_null;
    telemetry->outbox_on = sink_ops != &telemetry_sink_null;
    enum err err = telemetry_load(telemetry);
    if (err == ERR_OK && options->loop != NULL)
        err = loop_timer_create(options->loop, telemetry_batch_fire, telemetry, &telemetry->turn);
    if (err != ERR_OK)
        goto fail;
    telemetry->sink_ops = sink_ops;
    err = create_sink(telemetry);
    forget_texts(&telemetry->options);
    if (err != ERR_OK)
        goto fail;
    *ret_telemetry = telemetry;
    return ERR_OK;

fail:
    telemetry->sink_ops = &telemetry_sink_null;
    telemetry_destroy(telemetry);
    return err;
}

enum err telemetry_create(const struct telemetry_options *options, struct telemetry **ret_telemetry)
{
    bool named = options->clickhouse_url != NULL && options->clickhouse_url[0] != '\0';
    if (named && options->loop == NULL)
        return ERR_INPUT;
    return telemetry_create_with(options, named ? &telemetry_sink_clickhouse : &telemetry_sink_null,
                                 ret_telemetry);
}

void telemetry_destroy(struct telemetry *telemetry)
{
    if (telemetry == NULL)
        return;
    telemetry->sink_ops->destroy(telemetry->sink);
    loop_timer_destroy(telemetry->turn);
    telemetry_batches_finish(telemetry);
    telemetry_ops_finish(telemetry);
    telemetry_refused_finish(&telemetry->refused);
    telemetry_registry_finish(&telemetry->registry);
    mem_free(telemetry);
}

void telemetry_tick(struct telemetry *telemetry, int64_t mono_ms)
{
    telemetry_retention_tick(telemetry, mono_ms);
    telemetry_refused_tick(telemetry);
    telemetry_outbox_tick(telemetry, mono_ms);
    telemetry->sink_ops->tick(telemetry->sink, mono_ms);
}

enum err telemetry_watch(struct telemetry *telemetry, telemetry_watch_fn *stored, void *cookie)
{
    if (telemetry->watcher_count == WATCHERS_MAX)
        return ERR_FULL;
    telemetry->watcher[telemetry->watcher_count].stored = stored;
    telemetry->watcher[telemetry->watcher_count++].cookie = cookie;
    return ERR_OK;
}

/* ---- in ---- */

/* Older than raw readings are kept: it would be stored and cleared away at once. */
static enum telemetry_refusal check_age(const struct telemetry *telemetry, int64_t at_ms,
                                        int64_t now_ms, char why[TELEMETRY_WHY_BYTES])
{
    uint32_t days = telemetry->policy.raw_days;
    if (days == 0 || at_ms >= now_ms - (int64_t)days * TELEMETRY_DAY_MS)
        return TELEMETRY_ACCEPTED;
    char at[TIME_TEXT_BYTES];
    time_text(at_ms, at);
    telemetry_why(why, "at is %s, older than the %u days that readings are kept.", at, days);
    return TELEMETRY_TOO_OLD;
}

static enum err add(struct telemetry *telemetry, struct str machine_id,
                    const struct telemetry_reading *readings, uint32_t count,
                    const struct telemetry_message *message, enum telemetry_refusal *ret_refusal,
                    char why[TELEMETRY_WHY_BYTES])
{
    for (uint32_t i = 0; i < count; i++) {
        enum telemetry_refusal refusal =
            check_age(telemetry, readings[i].at_ms, message->received_at_ms, why);
        if (refusal != TELEMETRY_ACCEPTED) {
            *ret_refusal = refusal;
            return ERR_INPUT;
        }
    }
    enum err err =
        telemetry_batch_add(telemetry, machine_id, readings, count, message, ret_refusal);
    if (err == ERR_INPUT)
        telemetry_why(why, "The machine has %u series, and the server room for %u: no more.",
                      telemetry->options.series_per_machine_max, telemetry->options.series_max);
    return err;
}

static void set_request(struct telemetry_message *message, const char *request_id)
{
    if (request_id != NULL)
        (void)snprintf(message->request_id, sizeof(message->request_id), "%s", request_id);
}

static enum err check_machine(struct str machine_id, enum telemetry_refusal *ret_refusal,
                              char why[TELEMETRY_WHY_BYTES])
{
    if (id_valid(machine_id))
        return ERR_OK;
    telemetry_why(why, "No machine has such an id.");
    *ret_refusal = TELEMETRY_BAD_TYPE;
    return ERR_INPUT;
}

enum err telemetry_ingest(struct telemetry *telemetry, const struct telemetry_input *input,
                          void (*done)(void *cookie, enum err err), void *cookie,
                          enum telemetry_refusal *ret_refusal, char why[TELEMETRY_WHY_BYTES])
{
    struct telemetry_reading readings[TELEMETRY_READINGS_MAX];
    uint32_t count = 0;
    struct telemetry_message message = {
        .receipt = input->receipt,
        .done = done,
        .cookie = cookie,
        .received_at_ms = telemetry_now_ms(telemetry),
    };
    set_request(&message, input->request_id);
    enum telemetry_refusal refusal = TELEMETRY_ACCEPTED;
    enum err err = check_machine(input->machine_id, &refusal, why);
    if (err == ERR_OK) {
        refusal = telemetry_parse(input->type, input->payload, message.received_at_ms, readings,
                                  &count, why);
        err = refusal == TELEMETRY_ACCEPTED ? ERR_OK : ERR_INPUT;
    }
    if (err == ERR_OK)
        err = add(telemetry, input->machine_id, readings, count, &message, &refusal, why);
    if (err == ERR_INPUT) {
        telemetry_refuse(telemetry, id_valid(input->machine_id) ? input->machine_id : STR(""),
                         refusal, why);
        *ret_refusal = refusal;
    }
    return err;
}

enum err telemetry_ingest_readings(struct telemetry *telemetry, struct str machine_id,
                                   const struct telemetry_reading *readings, uint32_t count,
                                   const char *request_id, void (*done)(void *cookie, enum err err),
                                   void *cookie)
{
    struct telemetry_reading copy[TELEMETRY_READINGS_MAX];
    char why[TELEMETRY_WHY_BYTES] = "";
    struct telemetry_message message = {
        .done = done,
        .cookie = cookie,
        .received_at_ms = telemetry_now_ms(telemetry),
    };
    set_request(&message, request_id);
    if (count == 0 || count > TELEMETRY_READINGS_MAX)
        return ERR_INPUT;
    enum telemetry_refusal refusal = TELEMETRY_ACCEPTED;
    enum err err = check_machine(machine_id, &refusal, why);
    for (uint32_t i = 0; err == ERR_OK && i < count; i++) {
        copy[i] = readings[i];
        copy[i].at_ms = readings[i].at_ms != 0 ? readings[i].at_ms : message.received_at_ms;
        refusal = telemetry_value_check(&copy[i], message.received_at_ms, why);
        if (refusal != TELEMETRY_ACCEPTED)
            err = ERR_INPUT;
    }
    if (err == ERR_OK)
        err = add(telemetry, machine_id, copy, count, &message, &refusal, why);
    if (err == ERR_INPUT)
        telemetry_refuse(telemetry, id_valid(machine_id) ? machine_id : STR(""), refusal, why);
    return err;
}

/* ---- figures ---- */

void telemetry_stats_get(const struct telemetry *telemetry, struct telemetry_stats *ret_stats)
{
    struct telemetry_sink_stats sink = {0};
    telemetry->sink_ops->stats(telemetry->sink, &sink);
    *ret_stats = (struct telemetry_stats){
        .messages = telemetry->messages,
        .readings = telemetry->readings,
        .duplicates = telemetry->duplicates,
        .series = telemetry->registry.series_count,
        .pending = telemetry->pending,
        .sink_configured = telemetry->outbox_on,
        .sink_up = sink.up,
        .sink_rows = sink.rows,
        .sink_batches = sink.batches,
        .sink_retries = sink.retries,
        .sink_dropped_rows = sink.dropped_rows + telemetry->outbox_dropped,
        .outbox_rows = telemetry->outbox_rows,
        .outbox_bytes = telemetry->outbox_bytes,
        .outbox_oldest_ms = telemetry->outbox_oldest_ms,
    };
    memcpy(ret_stats->sink_version, sink.version, sizeof(sink.version));
    memcpy(ret_stats->sink_why, sink.why, sizeof(sink.why));
    memcpy(ret_stats->refused, telemetry->refused.by_reason, sizeof(ret_stats->refused));
}
