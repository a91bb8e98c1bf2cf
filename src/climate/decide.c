/* What becomes of an answer.  It is a proposal: never more than a command in the queue, and that
 * only when it is sure, worth a move, and nobody else has decided (README rule 4). */
#include "climate/climate_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MS_PER_DAY 86400000.0

/* ---- the record: a row for people, a row for the column store ---- */

static enum err record_run(struct store_job *job, struct store_db *db)
{
    const struct ask_op *ask = (struct ask_op *)(void *)job;
    const struct climate_features *features = &ask->features;
    struct store_stmt *stmt = climate_sql(db, SQL_PREDICTION_INSERT);
    store_bind_text(stmt, 1, str_from(ask->op.machine_id));
    store_bind_i64(stmt, 2, ask->op.now_ms);
    climate_bind_number(stmt, 3, features->temperature_c);
    climate_bind_number(stmt, 4, features->humidity_pct);
    climate_bind_number(stmt, 5, features->sound_volume);
    climate_bind_number(stmt, 6, ask->answer.position_pct);
    climate_bind_number(stmt, 7, ask->answer.spread_pct);
    climate_bind_number(stmt, 8, ask->answer.confidence);
    store_bind_text(stmt, 9, str_from(ask->decision));
    store_bind_text(stmt, 10, str_from(ask->because));
    store_bind_text(stmt, 11, str_from(ask->source));
    store_bind_text(stmt, 12, str_from(ask->version_text));
    store_bind_f64(stmt, 13, ask->latency_ms);
    store_bind_i64(stmt, 14, (int64_t)ask->command_id);
    store_bind_text(stmt, 15, str_from(ask->op.request_id));
    if (ask->provenance != NULL)
        store_bind_text(stmt, 16, str_from(ask->provenance));
    else
        store_bind_null(stmt, 16);
    enum err err = store_exec(db, stmt, NULL);
    if (err != ERR_OK)
        return err;
    if (store_last_id(db) % 64 == 0) { /* what is too old goes as fast as new comes */
        stmt = climate_sql(db, SQL_PREDICTION_PRUNE);
        store_bind_i64(stmt, 1, ask->op.now_ms - (int64_t)(PREDICTION_DAYS * MS_PER_DAY));
        err = store_exec(db, stmt, NULL);
    }
    if (err != ERR_OK)
        return err;
    return telemetry_write_prediction(
        db, &(struct telemetry_prediction){.machine_id = str_from(ask->op.machine_id),
                                           .model_version = str_from(ask->version_text),
                                           .decision = str_from(ask->decision),
                                           .request_id = str_from(ask->op.request_id),
                                           .at_ms = ask->op.now_ms,
                                           .temperature_c = features->temperature_c,
                                           .humidity_pct = features->humidity_pct,
                                           .sound_volume = features->sound_volume,
                                           .position_pct = ask->answer.position_pct,
                                           .confidence = ask->answer.confidence,
                                           .latency_ms = ask->latency_ms});
}

static void record_done(struct store_job *job, enum err err)
{
    struct ask_op *ask = (struct ask_op *)(void *)job;
    if (err != ERR_OK)
        ask->op.climate->stats.unrecorded++;
    climate_op_free(&ask->op);
}

static void record_undo(struct op *op)
{
    op->climate->stats.unrecorded++;
}

void climate_decided(struct ask_op *ask, const char *decision)
{
    struct climate *climate = ask->op.climate;
    struct watched *window = climate_window_find(climate, str_from(ask->op.machine_id));
    ask->decision = decision;
    if (window != NULL && window->ask_count == ask->ask_number) {
        window->decision = decision;
        window->command_id = ask->command_id;
        climate_window_changed(climate, window);
    }
    ask->op.undo = record_undo;
    ask->op.job = (struct store_job){.run = record_run, .done = record_done, .again = true};
    enum err err = climate_op_submit(&ask->op);
    (void)err; /* counted by record_undo: a lost record stops no window */
}

/* ---- the command ---- */

static void submitted(void *cookie, enum err err, enum queue_verdict verdict, uint64_t command_id)
{
    struct ask_op *ask = cookie;
    struct climate *climate = ask->op.climate;
    struct watched *window = climate_window_find(climate, str_from(ask->op.machine_id));
    bool made = err == ERR_OK && verdict == QUEUE_DONE;
    if (!made) {
        if (window != NULL && window->has_target && window->target_id == 0)
            window->has_target = false;
        climate->stats.refused++;
        climate_decided(ask, "refused");
        return;
    }
    ask->command_id = command_id;
    climate->stats.commands++;
    metrics_observe(&climate->stats.sensor_to_command_s,
                    (double)(climate_now_us(climate) - ask->trigger_us) / 1e6);
    climate_decided(ask, "commanded");
}

static enum err submit(struct ask_op *ask, double position_pct)
{
    struct climate *climate = ask->op.climate;
    char payload[64], meta[256];
    const struct queue_kind *kind = queue_kind_find(climate->options.queue, STR("window"));
    if (kind == NULL)
        return ERR_REFUSED;
    (void)snprintf(payload, sizeof(payload), "{\"position\":%d}", (int)position_pct);
    (void)snprintf(meta, sizeof(meta),
                   "{\"confidence\":%.3f,\"model_version\":\"%s\",\"request_id\":\"%s\"}",
                   ask->answer.confidence, ask->version_text, ask->op.request_id);
    return queue_submit(climate->options.queue,
                        &(struct queue_new){.kind = kind,
                                            .machine_id = str_from(ask->op.machine_id),
                                            .command = STR("set_position"),
                                            .payload = str_from(payload),
                                            .meta = str_from(meta),
                                            .execute_allowed = true,
                                            .actor = str_from(ask->op.actor),
                                            .request_id = str_from(ask->op.request_id)},
                        submitted, ask);
}

static bool on_hold(const struct climate *climate, const struct watched *window)
{
    struct queue_machine machine;
    return queue_machine_get(climate->options.queue, str_from(window->machine_id), &machine) &&
           machine.on_hold;
}

/* Where it stands, or will: a command on its way counts, also one that an earlier run of this
 * program or a person made.  NAN: not known. */
static double bound_for(const struct climate *climate, const struct watched *window)
{
    struct queue_machine machine;
    if (window->has_target)
        return window->target_pct;
    if (!queue_machine_get(climate->options.queue, str_from(window->machine_id), &machine))
        return window->position_pct;
    const struct queue_command *command = machine.head != NULL ? machine.head : machine.active;
    return command != NULL ? climate_json_number(command->payload, "position")
                           : window->position_pct;
}

/* NULL: nothing speaks against a command. */
static const char *objection(struct climate *climate, const struct watched *window,
                             const struct ask_op *ask, double position_pct)
{
    double now_pct = bound_for(climate, window);
    if (!(ask->answer.confidence >= climate->confidence_min)) {
        climate->stats.held_low_confidence++;
        return "held_low_confidence";
    }
    if (isfinite(now_pct) && fabs(position_pct - now_pct) < climate_rules.deadband_pct) {
        climate->stats.no_change++;
        return "no_change";
    }
    if (window->mode == CLIMATE_MANUAL || climate_now_ms(climate) < window->hold_until_ms) {
        climate->stats.held_manual++;
        return "held_manual";
    }
    if (on_hold(climate, window)) { /* it could only expire */
        climate->stats.refused++;
        return "refused";
    }
    return NULL;
}

void climate_decide(struct ask_op *ask)
{
    struct climate *climate = ask->op.climate;
    struct watched *window = climate_window_find(climate, str_from(ask->op.machine_id));
    ASSERT(window != NULL && ask->has_answer);
    double position_pct = round(ask->answer.position_pct);
    const char *why_not = objection(climate, window, ask, position_pct);
    if (why_not != NULL) {
        climate_decided(ask, why_not);
        return;
    }
    window->has_target = true;
    window->target_id = 0;
    window->target_pct = position_pct;
    enum err err = submit(ask, position_pct);
    if (err != ERR_OK) {
        window->has_target = false;
        climate->stats.refused++;
        climate_decided(ask, "refused");
    }
}
