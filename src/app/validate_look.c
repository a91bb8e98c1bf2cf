/* Looking for the marks where they must be by now. */
#include "app/validate.h"

#include <math.h>
#include <string.h>

#define SLACK_MS 60000 /* how far the server's clock may be from ours */

static bool same(double a, double b)
{
    return fabs(a - b) <= fabs(a) * 3e-7; /* shown with seven digits */
}

/* ---- the store ---- */

static void find_rows(struct validate *validate, const char *type, const json_t *rows)
{
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row)
    {
        /* Readings of one millisecond are one row: its mean, its lowest, its highest. */
        double mean = json_number_value(json_array_get(row, 1));
        double low = json_number_value(json_array_get(row, 2));
        double high = json_number_value(json_array_get(row, 3));
        bool several = json_integer_value(json_array_get(row, 4)) > 2;
        for (uint32_t r = 0; r < validate->reading_count; r++) {
            struct validate_reading *reading = &validate->reading[r];
            if (reading->seen_us == 0 && strcmp(reading->type, type) == 0 &&
                (same(reading->value, mean) || same(reading->value, low) ||
                 same(reading->value, high) ||
                 (several && reading->value > low && reading->value < high)))
                reading->seen_us = sys_mono_us();
        }
    }
}

static bool is_missing(const struct validate *validate, const char *type)
{
    for (uint32_t r = 0; r < validate->reading_count; r++) {
        if (validate->reading[r].seen_us == 0 && strcmp(validate->reading[r].type, type) == 0)
            return true;
    }
    return false;
}

void validate_look_store(struct validate *validate)
{
    static const char *const types[] = {"temperature", "humidity", "sound_volume"};
    char from[TIME_TEXT_BYTES], to[TIME_TEXT_BYTES], path[400];
    time_text(validate->begin_wall_ms - SLACK_MS, from);
    time_text(sys_wall_ms() + SLACK_MS, to);
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        if (!is_missing(validate, types[i]))
            continue;
        (void)snprintf(path, sizeof(path),
                       "/api/telemetry/series?machine_id=%s&type=%s&from=%s&to=%s"
                       "&resolution=raw&points=5000",
                       validate->id, types[i], from, to);
        json_t *answer = tool_http_get(&validate->http, path);
        if (answer == NULL)
            (void)snprintf(validate->why, sizeof(validate->why), "%s", validate->http.why);
        else
            validate->why[0] = '\0';
        find_rows(validate, types[i], json_object_get(answer, "rows"));
        json_decref(answer);
    }
}

/* ---- predictions ---- */

static bool is_ours(const struct validate *validate, const char *type, const json_t *value)
{
    for (uint32_t r = 0; r < validate->reading_count; r++) {
        if (strcmp(validate->reading[r].type, type) == 0 &&
            same(validate->reading[r].value, json_number_value(value)))
            return true;
    }
    return false;
}

static void copy_word(char *dst, size_t dst_bytes, const json_t *value)
{
    struct str text = str_from(json_string_value(value));
    if (str_copy(dst, dst_bytes, str_slice(text, 0, dst_bytes - 1)) != ERR_OK)
        dst[0] = '\0';
}

/* Nobody answered: that is not the answer 0. */
static double number_or_none(const json_t *value)
{
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static void take_prediction(struct validate *validate, const json_t *item)
{
    validate->has_prediction = true;
    validate->prediction_id = (uint64_t)json_integer_value(json_object_get(item, "prediction_id"));
    validate->command_id = (uint64_t)json_integer_value(json_object_get(item, "command_id"));
    validate->position = number_or_none(json_object_get(item, "position"));
    validate->confidence = number_or_none(json_object_get(item, "confidence"));
    validate->latency_ms = number_or_none(json_object_get(item, "latency_ms"));
    copy_word(validate->decision, sizeof(validate->decision), json_object_get(item, "decision"));
    copy_word(validate->model, sizeof(validate->model), json_object_get(item, "model_version"));
}

/* The one that led to a command, if there is one: later answers say "no_change". */
void validate_look_prediction(struct validate *validate)
{
    char path[160];
    size_t i;
    const json_t *item;
    (void)snprintf(path, sizeof(path), "/api/climate/%s/predictions?limit=50", validate->id);
    json_t *answer = tool_http_get(&validate->http, path);
    if (answer == NULL)
        (void)snprintf(validate->why, sizeof(validate->why), "%s", validate->http.why);
    json_array_foreach(json_object_get(answer, "items"), i, item)
    {
        bool ours = is_ours(validate, "temperature", json_object_get(item, "temperature")) &&
                    is_ours(validate, "humidity", json_object_get(item, "humidity")) &&
                    is_ours(validate, "sound_volume", json_object_get(item, "sound_volume"));
        if (ours && (!validate->has_prediction || validate->command_id == 0))
            take_prediction(validate, item);
    }
    json_decref(answer);
}

/* ---- the command ---- */

void validate_look_command(struct validate *validate)
{
    char path[80];
    if (!validate_command_due(validate))
        return;
    (void)snprintf(path, sizeof(path), "/api/commands/%llu",
                   (unsigned long long)validate->command_id);
    json_t *answer = tool_http_get(&validate->http, path);
    copy_word(validate->command_state, sizeof(validate->command_state),
              json_object_get(answer, "state"));
    json_decref(answer);
}
