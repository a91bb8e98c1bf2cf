/* Following the commands of a window, ours and everybody's: where it stands, what the column store
 * is told, and what a person's own setting teaches. */
#include "climate/climate_int.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

double climate_json_number(struct str text, const char *name)
{
    double value = NAN;
    if (text.len == 0)
        return value;
    json_t *object = json_loadb(text.at, text.len, 0, NULL);
    const json_t *member = json_object_get(object, name);
    if (json_is_number(member))
        value = json_number_value(member);
    json_decref(object);
    return value >= 0 && value <= 100 ? value : (double)NAN;
}

static const char *source_of(struct str actor)
{
    if (str_equal(actor, STR("climate:external")))
        return "external";
    if (str_starts(actor, STR("climate:")))
        return "model";
    return str_starts(actor, STR("server")) ? "rule" : "person";
}

struct follow_op {
    struct op op;
    uint64_t command_id;
    int64_t finished_at_ms;
    const char *source, *state;
    double position_pct, requested_pct, confidence;
    bool completed, is_sample, has_features;
    struct climate_features features;
    /* of a person's: what the model had told about this window before it was ordered */
    int64_t ordered_at_ms;
    double told_pct, told_confidence;
    char told_version[VERSION_TEXT_BYTES];
    /* of a sample */
    char uid[ID128_TEXT_BYTES];
    double said_pct;
    uint64_t version, sample_id;
};

static enum err write_sample(struct follow_op *follow, struct store_db *db)
{
    struct store_stmt *stmt = climate_sql(db, SQL_SAMPLE_INSERT);
    store_bind_text(stmt, 1, str_from(follow->op.machine_id));
    store_bind_i64(stmt, 2, follow->finished_at_ms);
    store_bind_f64(stmt, 3, follow->features.temperature_c);
    store_bind_f64(stmt, 4, follow->features.humidity_pct);
    store_bind_f64(stmt, 5, follow->features.sound_volume);
    store_bind_f64(stmt, 6, follow->position_pct);
    climate_bind_number(stmt, 7, follow->said_pct);
    store_bind_i64(stmt, 8, (int64_t)follow->version);
    store_bind_text(stmt, 9, str_from(follow->uid));
    enum err err = store_exec(db, stmt, NULL);
    if (err == ERR_CONFLICT) { /* a setting is a sample once */
        follow->is_sample = false;
        return ERR_OK;
    }
    if (err != ERR_OK)
        return err;
    follow->sample_id = (uint64_t)store_last_id(db);
    stmt = climate_sql(db, SQL_SAMPLE_PRUNE);
    store_bind_i64(stmt, 1, (int64_t)follow->sample_id - SAMPLES_KEPT);
    return store_exec(db, stmt, NULL);
}

static enum err write_actual(const struct follow_op *follow, struct store_db *db)
{
    struct store_stmt *stmt = climate_sql(db, SQL_PREDICTION_ACTUAL);
    store_bind_text(stmt, 1, str_from(follow->op.machine_id));
    store_bind_f64(stmt, 2, follow->position_pct);
    store_bind_i64(stmt, 3, follow->finished_at_ms - climate_rules.person_ms);
    store_bind_i64(stmt, 4, follow->finished_at_ms);
    return store_exec(db, stmt, NULL);
}

/* The last answer before the order.  A row of the column store is never changed, so what was said
 * goes with what was set. */
static enum err read_told(struct follow_op *follow, struct store_db *db)
{
    struct store_stmt *stmt = climate_sql(db, SQL_PREDICTION_LAST);
    store_bind_text(stmt, 1, str_from(follow->op.machine_id));
    store_bind_i64(stmt, 2, follow->ordered_at_ms - climate_rules.person_ms);
    store_bind_i64(stmt, 3, follow->ordered_at_ms);
    follow->told_pct = NAN;
    follow->told_confidence = NAN;
    follow->told_version[0] = '\0';
    enum err err = store_row(stmt);
    if (err != ERR_OK)
        return err == ERR_NOT_FOUND ? ERR_OK : err;
    follow->told_pct = climate_col_number(stmt, 0);
    follow->told_confidence = climate_col_number(stmt, 1);
    return str_copy(follow->told_version, sizeof(follow->told_version), store_col_text(stmt, 2));
}

static enum err write_position(const struct follow_op *follow, struct store_db *db)
{
    struct store_stmt *stmt = climate_sql(db, SQL_WINDOW_POSITION);
    store_bind_text(stmt, 1, str_from(follow->op.machine_id));
    store_bind_f64(stmt, 2, follow->position_pct);
    store_bind_i64(stmt, 3, follow->finished_at_ms);
    return store_exec(db, stmt, NULL);
}

static enum err follow_run(struct store_job *job, struct store_db *db)
{
    struct follow_op *follow = (struct follow_op *)(void *)job;
    enum err err = ERR_OK;
    if (isfinite(follow->position_pct))
        err = write_position(follow, db);
    if (err == ERR_OK && follow->completed && strcmp(follow->source, "person") == 0 &&
        isfinite(follow->position_pct)) {
        err = read_told(follow, db);
        if (err == ERR_OK)
            err = write_actual(follow, db);
    }
    if (err == ERR_OK && follow->is_sample)
        err = write_sample(follow, db);
    if (err != ERR_OK)
        return err;
    return telemetry_write_action(
        db, &(struct telemetry_action){.machine_id = str_from(follow->op.machine_id),
                                       .source = str_from(follow->source),
                                       .command_id = follow->command_id,
                                       .at_ms = follow->finished_at_ms,
                                       .position_pct = follow->position_pct,
                                       .requested_pct = follow->requested_pct,
                                       .confidence = follow->confidence,
                                       .temperature_c = follow->features.temperature_c,
                                       .humidity_pct = follow->features.humidity_pct,
                                       .sound_volume = follow->features.sound_volume,
                                       .state = str_from(follow->state),
                                       .said_pct = follow->told_pct,
                                       .said_confidence = follow->told_confidence,
                                       .said_version = str_from(follow->told_version)});
}

static void follow_done(struct store_job *job, enum err err)
{
    struct follow_op *follow = (struct follow_op *)(void *)job;
    struct climate *climate = follow->op.climate;
    if (err != ERR_OK) {
        climate->stats.unrecorded++;
    } else if (follow->is_sample) {
        climate_sample_add(climate,
                           &(struct climate_sample){.sample_id = follow->sample_id,
                                                    .features = follow->features,
                                                    .position_pct = follow->position_pct},
                           follow->said_pct, isfinite(follow->said_pct));
        climate_learn(climate);
    }
    climate_op_free(&follow->op);
}

static void follow_undo(struct op *op)
{
    op->climate->stats.unrecorded++;
}

static void fill_sample(struct follow_op *follow, const struct watched *window,
                        const struct queue_command *command)
{
    struct climate *climate = follow->op.climate;
    /* What the person felt when they asked for it; the air moves while the window does. */
    if (window->person_id == command->command_id && window->person_has_features) {
        follow->features = window->person_features;
        follow->has_features = true;
    }
    follow->is_sample = follow->completed && follow->has_features &&
                        isfinite(follow->position_pct) && strcmp(follow->source, "person") == 0;
    if (!follow->is_sample)
        return;
    id128_text(command->uid, follow->uid);
    follow->version = climate_model_version(climate->model);
    follow->said_pct = climate_model_about_get(climate->model).origin == CLIMATE_UNTRAINED
                           ? (double)NAN
                           : climate_model_ask(climate->model, &follow->features).position_pct;
}

static void record_action(struct climate *climate, struct watched *window,
                          const struct queue_command *command, bool completed)
{
    struct follow_op *follow =
        climate_op_create(climate, sizeof(*follow), command->machine_id, command->created_by, NULL);
    if (follow == NULL) {
        climate->stats.unrecorded++;
        return;
    }
    follow->op.undo = follow_undo;
    follow->op.job = (struct store_job){.run = follow_run, .done = follow_done, .again = true};
    follow->command_id = command->command_id;
    follow->finished_at_ms =
        command->finished_at_ms != 0 ? command->finished_at_ms : follow->op.now_ms;
    follow->source = source_of(command->created_by);
    follow->state = queue_state_name(command->state);
    follow->requested_pct = climate_json_number(command->payload, "position");
    follow->confidence = climate_json_number(command->meta, "confidence");
    follow->completed = completed;
    follow->ordered_at_ms = command->created_at_ms;
    follow->told_pct = NAN;
    follow->told_confidence = NAN;
    follow->position_pct = climate_json_number(command->meta, "position");
    if (completed && !isfinite(follow->position_pct))
        follow->position_pct = follow->requested_pct;
    follow->said_pct = NAN;
    follow->has_features =
        climate_trigger_features(&window->trigger, follow->op.now_ms, &follow->features);
    if (!follow->has_features)
        follow->features = (struct climate_features){NAN, NAN, NAN};
    fill_sample(follow, window, command);
    /* Also where a failure left it, if it was measured there; if not, it may be anywhere. */
    if (isfinite(follow->position_pct) || command->state == QUEUE_FAILED)
        window->position_pct = follow->position_pct;
    enum err err = climate_op_submit(&follow->op);
    (void)err; /* counted by follow_undo */
}

/* ---- a person decided: proposals wait ---- */

struct hold_op {
    struct op op;
    int64_t until_ms;
};

static enum err hold_run(struct store_job *job, struct store_db *db)
{
    const struct hold_op *hold = (struct hold_op *)(void *)job;
    struct store_stmt *stmt = climate_sql(db, SQL_WINDOW_HOLD);
    store_bind_text(stmt, 1, str_from(hold->op.machine_id));
    store_bind_i64(stmt, 2, hold->until_ms);
    return store_exec(db, stmt, NULL);
}

static void hold_done(struct store_job *job, enum err err)
{
    (void)err; /* memory knows; only a restart would forget it */
    climate_op_free(&((struct hold_op *)(void *)job)->op);
}

static void person_decided(struct climate *climate, struct watched *window,
                           const struct queue_command *command)
{
    int64_t now_ms = climate_now_ms(climate);
    window->hold_until_ms = now_ms + climate_rules.person_ms;
    window->person_id = command->command_id;
    window->person_has_features =
        climate_trigger_features(&window->trigger, now_ms, &window->person_features);
    struct hold_op *hold =
        climate_op_create(climate, sizeof(*hold), command->machine_id, command->created_by, NULL);
    if (hold == NULL)
        return;
    hold->until_ms = window->hold_until_ms;
    hold->op.job = (struct store_job){.run = hold_run, .done = hold_done, .again = true};
    enum err err = climate_op_submit(&hold->op);
    (void)err;
}

static bool ours(const struct queue_command *command)
{
    return str_equal(command->kind, STR("window")) &&
           str_equal(command->command, STR("set_position"));
}

void climate_command_changed(struct climate *climate, const struct queue_change *change)
{
    const struct queue_command *command = change->command;
    struct watched *window = climate_window_find(climate, command->machine_id);
    if (!ours(command) || window == NULL)
        return;
    bool ended = queue_state_final(command->state);
    if (change->created && !ended) {
        window->has_target = true;
        window->target_id = command->command_id;
        window->target_pct = climate_json_number(command->payload, "position");
        if (strcmp(source_of(command->created_by), "person") == 0)
            person_decided(climate, window, command);
        return;
    }
    if (change->old_state == command->state || !(ended || command->state == QUEUE_UNKNOWN))
        return;
    if (window->target_id == command->command_id)
        window->has_target = false;
    if (command->state == QUEUE_UNKNOWN) { /* it may stand anywhere */
        window->position_pct = NAN;
        return;
    }
    record_action(climate, window, command, command->state == QUEUE_COMPLETE);
    climate_window_changed(climate, window);
}
