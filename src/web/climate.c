/* Windows: what they are doing and why, predictions, the model. */
#include "web/telemetry_int.h"

#include <math.h>
#include <string.h>

static void number_or_null(struct json_out *out, const char *key, double value)
{
    if (isfinite(value))
        out_f64(out, key, value);
    else
        out_null(out, key);
}

static void text_or_null(struct json_out *out, const char *key, struct str text)
{
    if (text.len > 0)
        out_text(out, key, text);
    else
        out_null(out, key);
}

static void word_or_null(struct json_out *out, const char *key, const char *word)
{
    text_or_null(out, key, word != NULL ? str_from(word) : STR_NONE);
}

static void number_of(struct json_out *out, const char *key, uint64_t number)
{
    if (number != 0)
        out_u64(out, key, number);
    else
        out_null(out, key);
}

static void show_features(struct json_out *out, const struct web *web,
                          const struct climate_window *window)
{
    struct telemetry_latest latest;
    const double values[CLIMATE_FEATURES] = {window->features.temperature_c,
                                             window->features.humidity_pct,
                                             window->features.sound_volume};
    static const char *const names[CLIMATE_FEATURES] = {"temperature", "humidity", "sound_volume"};
    out_open(out, "features", '{');
    for (size_t i = 0; i < CLIMATE_FEATURES; i++) {
        if (window->features_at_ms[i] == 0)
            continue;
        out_open(out, names[i], '{');
        number_or_null(out, "value", values[i]);
        out_time(out, "at", window->features_at_ms[i]);
        if (telemetry_latest_get(web->telemetry, str_from(window->machine_id), str_from(names[i]),
                                 &latest))
            out_word(out, "provenance", telemetry_provenance_name(latest.provenance));
        out_close(out, '}');
    }
    out_close(out, '}');
}

static void show_answer(struct json_out *out, const struct climate_window *window)
{
    if (!window->has_answer) {
        out_null(out, "answer");
        return;
    }
    out_open(out, "answer", '{');
    number_or_null(out, "position", window->answer.position_pct);
    number_or_null(out, "spread", window->answer.spread_pct);
    number_or_null(out, "confidence", window->answer.confidence);
    number_of(out, "model_version", window->answer_version);
    out_time(out, "at", window->answered_at_ms);
    out_close(out, '}');
}

struct standing {
    double value; /* NAN: nobody knows */
    int64_t at_ms;
    const char *provenance;
};

/* What the machine itself says in its state. */
static bool standing_said(const struct web *web, struct str machine_id, struct standing *standing)
{
    const struct fleet_machine *machine = fleet_find(web->fleet, machine_id);
    json_t *sensors =
        machine != NULL && machine->sensors != NULL ? json_loads(machine->sensors, 0, NULL) : NULL;
    const json_t *position = json_object_get(sensors, "position");
    const char *word = json_string_value(json_object_get(sensors, "provenance"));
    bool said = machine != NULL && json_is_number(position);
    if (said) {
        standing->value = json_number_value(position);
        standing->at_ms = machine->sensors_at_ms;
        standing->provenance = "measured";
        for (int i = TELEMETRY_MEASURED; i <= TELEMETRY_ESTIMATED; i++) {
            const char *name = telemetry_provenance_name((enum telemetry_provenance)i);
            if (word != NULL && strcmp(word, name) == 0)
                standing->provenance = name;
        }
    }
    json_decref(sensors);
    return said;
}

/* Where it stands: as the machine said itself last, in its state or as a reading; otherwise as its
 * last command left it, which is a guess. */
static void show_position(struct json_out *out, const struct web *web,
                          const struct climate_window *window)
{
    struct telemetry_latest latest;
    struct str machine_id = str_from(window->machine_id);
    struct standing standing = {window->position_pct, 0, "estimated"};
    bool said = standing_said(web, machine_id, &standing);
    if (telemetry_latest_get(web->telemetry, machine_id, STR("position"), &latest) &&
        (!said || latest.at_ms > standing.at_ms))
        standing = (struct standing){latest.value, latest.at_ms,
                                     telemetry_provenance_name(latest.provenance)};
    if (!isfinite(standing.value)) {
        out_null(out, "position");
        return;
    }
    out_open(out, "position", '{');
    out_f64(out, "value", standing.value);
    out_time(out, "at", standing.at_ms);
    out_word(out, "provenance", standing.provenance);
    out_close(out, '}');
}

/* What it was told last and has not done yet, or NULL. */
static void show_target(struct json_out *out, const struct web *web,
                        const struct climate_window *window)
{
    struct queue_machine queued = {0};
    (void)queue_machine_get(web->queue, str_from(window->machine_id), &queued);
    const struct queue_command *command = queued.head != NULL ? queued.head : queued.active;
    json_t *payload =
        command != NULL ? json_loadb(command->payload.at, command->payload.len, 0, NULL) : NULL;
    const json_t *position = json_object_get(payload, "position");
    if (json_is_number(position))
        out_f64(out, "target", json_number_value(position));
    else
        out_null(out, "target");
    json_decref(payload);
}

void show_window(struct json_out *out, const struct web *web, const struct climate_window *window)
{
    out_word(out, "machine_id", window->machine_id);
    out_word(out, "mode", window->mode == CLIMATE_AUTO ? "auto" : "manual");
    show_position(out, web, window);
    show_target(out, web, window);
    show_features(out, web, window);
    show_answer(out, window);
    word_or_null(out, "decision", window->decision);
    out_time(out, "asked_at", window->asked_at_ms);
    word_or_null(out, "asked_because", window->asked_because);
    number_of(out, "command_id", window->command_id);
}

/* ---- windows ---- */

struct showing {
    struct json_out *out;
    const struct web *web;
};

static bool window_each(void *cookie, const struct climate_window *window)
{
    const struct showing *showing = cookie;
    out_open(showing->out, NULL, '{');
    show_window(showing->out, showing->web, window);
    out_close(showing->out, '}');
    return showing->out->err == ERR_OK;
}

void web_climate_show(struct web_call *call)
{
    const struct web_options *options = &call->web->options;
    struct showing showing = {&call->out, call->web};
    out_open(&call->out, NULL, '{');
    out_word(&call->out, "source",
             options->climate_source != NULL ? options->climate_source : "own");
    out_f64(&call->out, "confidence_min",
            options->climate_confidence > 0 ? options->climate_confidence : 0.6);
    out_open(&call->out, "items", '[');
    climate_window_each(call->web->climate, window_each, &showing);
    out_close(&call->out, ']');
    out_close(&call->out, '}');
    call->quiet = true;
    web_reply_json(call, 200);
}

static bool window_find(struct web_call *call, struct climate_window *window)
{
    if (climate_window_get(call->web->climate, str_from(call->machine_id), window))
        return true;
    web_reply_code(call, 404, "unknown_window", "There is no window of this name.");
    return false;
}

static void mode_set(void *cookie, enum err err)
{
    struct web_call *call = cookie;
    struct climate_window window;
    if (err != ERR_OK) {
        web_reply_err(call, err);
        return;
    }
    web_hub_records(call->web->hub);
    if (!window_find(call, &window))
        return;
    out_open(&call->out, NULL, '{');
    show_window(&call->out, call->web, &window);
    out_close(&call->out, '}');
    web_reply_json(call, 200);
}

void web_climate_mode(struct web_call *call)
{
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    struct climate_window window;
    struct str word = STR_NONE;
    web_read_body(call, &reader, &refusal);
    kinds_read_text(&reader, "mode", true, 16, &word);
    bool manual = str_equal(word, STR("manual"));
    if (word.at != NULL && !manual && !str_equal(word, STR("auto")))
        kinds_read_fault(&reader, "bad_value", "mode", "A window is auto or manual.");
    if (!web_read_end(call, &reader) || !window_find(call, &window))
        return;
    enum err err = climate_mode_set(call->web->climate, str_from(call->machine_id),
                                    manual ? CLIMATE_MANUAL : CLIMATE_AUTO, str_from(call->actor),
                                    call->request_id, mode_set, call);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

/* ---- predictions ---- */

static void show_prediction(struct json_out *out, const struct climate_prediction *prediction)
{
    out_open(out, NULL, '{');
    out_u64(out, "prediction_id", prediction->prediction_id);
    out_text(out, "machine_id", prediction->machine_id);
    out_time(out, "at", prediction->at_ms);
    number_or_null(out, "temperature", prediction->features.temperature_c);
    number_or_null(out, "humidity", prediction->features.humidity_pct);
    number_or_null(out, "sound_volume", prediction->features.sound_volume);
    text_or_null(out, "provenance", prediction->provenance);
    number_or_null(out, "position", prediction->position_pct);
    number_or_null(out, "confidence", prediction->confidence);
    text_or_null(out, "decision", prediction->decision);
    text_or_null(out, "asked_because", prediction->asked_because);
    text_or_null(out, "source", prediction->source);
    text_or_null(out, "model_version", prediction->model_version);
    number_or_null(out, "latency_ms", prediction->latency_ms);
    number_of(out, "command_id", prediction->command_id);
    if (prediction->has_actual)
        number_or_null(out, "actual", prediction->actual_pct);
    else
        out_null(out, "actual");
    out_close(out, '}');
}

static void predictions_done(void *cookie, enum err err,
                             const struct climate_prediction *predictions, size_t count, bool more)
{
    struct web_call *call = cookie;
    if (err != ERR_OK) {
        web_reply_err(call, err);
        return;
    }
    out_open(&call->out, NULL, '{');
    out_open(&call->out, "items", '[');
    for (size_t i = 0; i < count; i++)
        show_prediction(&call->out, &predictions[i]);
    out_close(&call->out, ']');
    if (more && count > 0)
        out_word(&call->out, "next",
                 arena_printf(&call->scratch, "%llu",
                              (unsigned long long)predictions[count - 1].prediction_id));
    else
        out_null(&call->out, "next");
    out_close(&call->out, '}');
    web_reply_json(call, 200);
}

void web_climate_predictions(struct web_call *call)
{
    struct climate_window window;
    struct str cursor;
    uint32_t limit;
    uint64_t before_id = 0;
    int64_t from_ms = 0, to_ms = INT64_MAX;
    if (!web_read_page(call, &limit, &cursor) || !web_time_parameter(call, "from", &from_ms) ||
        !web_time_parameter(call, "to", &to_ms))
        return;
    if (cursor.at != NULL && (str_to_u64(cursor, &before_id) != ERR_OK || before_id == 0)) {
        (void)web_bad_parameter(call, "cursor");
        return;
    }
    if (!window_find(call, &window))
        return;
    enum err err = climate_predictions_read(call->web->climate, str_from(call->machine_id), from_ms,
                                            to_ms, before_id, limit, predictions_done, call);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

/* ---- the model ---- */

static void model_show(struct web_call *call)
{
    struct climate_model_info info = climate_model_info_get(call->web->climate);
    struct json_out *out = &call->out;
    out_open(out, NULL, '{');
    number_of(out, "version", info.version);
    number_of(out, "previous_version", info.previous_version);
    out_time(out, "trained_at", info.trained_at_ms);
    out_u64(out, "samples", info.samples);
    out_u64(out, "samples_people", info.samples_people);
    number_or_null(out, "error", info.error_pct);
    word_or_null(out, "origin", info.origin);
    /* All begin with the one that ships with the program. */
    word_or_null(out, "taught_in",
                 info.version == 0         ? NULL
                 : info.samples_people > 0 ? "simulation, then by people"
                                           : "simulation");
    out_word(out, "source",
             call->web->options.climate_source != NULL ? call->web->options.climate_source : "own");
    out_close(out, '}');
    web_reply_json(call, 200);
}

void web_climate_model(struct web_call *call)
{
    model_show(call);
}

static void errors_done(void *cookie, enum err err, const struct climate_error_point *points,
                        size_t count)
{
    struct web_call *call = cookie;
    if (err != ERR_OK) {
        web_reply_err(call, err);
        return;
    }
    out_open(&call->out, NULL, '{');
    out_open(&call->out, "items", '[');
    for (size_t i = 0; i < count; i++) {
        out_open(&call->out, NULL, '{');
        out_time(&call->out, "at", points[i].at_ms);
        number_of(&call->out, "version", points[i].version);
        number_or_null(&call->out, "error", points[i].error_pct);
        out_close(&call->out, '}');
    }
    out_close(&call->out, ']');
    out_close(&call->out, '}');
    web_reply_json(call, 200);
}

#define ERRORS_MAX 5000

void web_climate_model_errors(struct web_call *call)
{
    int64_t from_ms = 0, to_ms = INT64_MAX;
    if (!web_time_parameter(call, "from", &from_ms) || !web_time_parameter(call, "to", &to_ms))
        return;
    enum err err =
        climate_errors_read(call->web->climate, from_ms, to_ms, ERRORS_MAX, errors_done, call);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

static void rolled_back(void *cookie, enum err err)
{
    struct web_call *call = cookie;
    if (err == ERR_OK) {
        web_hub_records(call->web->hub);
        model_show(call);
    } else if (err == ERR_NOT_FOUND) {
        web_reply_code(call, 409, "no_previous_model", "There is no version to go back to.");
    } else {
        web_reply_err(call, err);
    }
}

void web_climate_rollback(struct web_call *call)
{
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    web_read_body(call, &reader, &refusal);
    if (!web_read_end(call, &reader))
        return;
    enum err err = climate_rollback(call->web->climate, str_from(call->actor), call->request_id,
                                    rolled_back, call);
    if (err != ERR_OK)
        rolled_back(call, err);
}
