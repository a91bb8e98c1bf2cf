/* Readings over HTTP: what boards without MQTT send, and what people look at. */
#include "web/telemetry_int.h"

#include <math.h>
#include <string.h>

/* ---- a board's readings ---- */

#define READINGS_EACH_MAX 16 /* entries of one body */

static void readings_stored(void *cookie, enum err err)
{
    struct web_call *call = cookie;
    if (err != ERR_OK) {
        web_reply_err(call, err);
        return;
    }
    call->quiet = true;
    out_open(&call->out, NULL, '{');
    out_word(&call->out, "status", "stored");
    out_u64(&call->out, "count", call->number);
    out_close(&call->out, '}');
    web_reply_json(call, 200);
}

/* The refusal is counted where all of them are: by the room itself. */
static void refused(struct web_call *call, size_t index, struct str type, struct str payload)
{
    struct telemetry_input input = {.machine_id = str_from(call->machine_id),
                                    .type = type,
                                    .payload = payload,
                                    .request_id = call->request_id,
                                    .actor = str_from(call->actor)};
    enum telemetry_refusal refusal = TELEMETRY_BAD_JSON;
    char why[TELEMETRY_WHY_BYTES] = "This reading cannot be stored.";
    char field[40];
    enum err err = telemetry_ingest(call->web->telemetry, &input, NULL, NULL, &refusal, why);
    (void)snprintf(field, sizeof(field), "readings[%zu]", index);
    if (err != ERR_INPUT && err != ERR_OK) {
        web_reply_err(call, err);
        return;
    }
    web_reply_problem(call, &(struct web_problem){.status = 422,
                                                  .code = telemetry_refusal_code(refusal),
                                                  .detail = why,
                                                  .field = field});
}

/* An entry without its type is the payload of that type's topic. */
static bool entry_read(struct web_call *call, size_t index, const json_t *entry,
                       struct telemetry_reading *readings, uint32_t *count)
{
    const char *name = json_string_value(json_object_get(entry, "type"));
    if (!json_is_object(entry) || name == NULL) {
        web_reply_problem(call,
                          &(struct web_problem){.status = 400,
                                                .code = "missing_field",
                                                .detail = "A reading is an object with a type.",
                                                .field = "readings"});
        return false;
    }
    json_t *payload = (json_copy)((json_t *)(uintptr_t)entry);
    char *text = NULL;
    if (payload != NULL && json_object_del(payload, "type") == 0)
        text = json_dumps(payload, JSON_COMPACT | JSON_REAL_PRECISION(15));
    json_decref(payload);
    if (text == NULL) {
        web_reply_err(call, ERR_NOMEM);
        return false;
    }
    struct telemetry_reading parsed[TELEMETRY_READINGS_MAX];
    uint32_t parsed_count = 0;
    char why[TELEMETRY_WHY_BYTES];
    enum telemetry_refusal refusal = telemetry_parse(
        str_from(name), str_from(text), web_now_ms(call->web), parsed, &parsed_count, why);
    bool fits = *count + parsed_count <= TELEMETRY_READINGS_MAX;
    if (refusal != TELEMETRY_ACCEPTED)
        refused(call, index, str_from(name), str_from(text));
    else if (!fits)
        web_reply_code(call, 413, "too_large", "A call carries at most 16 readings.");
    free(text);
    if (refusal != TELEMETRY_ACCEPTED || !fits)
        return false;
    memcpy(readings + *count, parsed, parsed_count * sizeof(*parsed));
    *count += parsed_count;
    return true;
}

/* All of them or none. */
static void readings_take(struct web_call *call, const struct fleet_machine *machine)
{
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    struct telemetry_reading readings[TELEMETRY_READINGS_MAX];
    uint32_t count = 0;
    web_read_body(call, &reader, &refusal);
    const json_t *entries = kinds_read_array(&reader, "readings", true);
    if (kinds_read_ok(&reader) &&
        (json_array_size(entries) == 0 || json_array_size(entries) > READINGS_EACH_MAX))
        kinds_read_fault(&reader, "bad_value", "readings", "A call carries 1 to 16 readings.");
    if (!web_read_end(call, &reader))
        return;
    for (size_t i = 0; i < json_array_size(entries); i++) {
        if (!entry_read(call, i, json_array_get(entries, i), readings, &count))
            return;
    }
    fleet_presence_seen(call->web->fleet, str_from(machine->machine_id), web_now_ms(call->web),
                        web_mono_ms(call->web));
    call->number = count;
    enum err err =
        telemetry_ingest_readings(call->web->telemetry, str_from(call->machine_id), readings, count,
                                  call->request_id, readings_stored, call);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

void web_readings_add(struct web_call *call)
{
    if (web_speaks_for(call, str_from(call->machine_id)))
        web_machine_needed(call, STR("window"), readings_take);
}

/* ---- the latest ---- */

void show_reading(struct json_out *out, const struct telemetry_latest *latest)
{
    const struct telemetry_type *known = telemetry_type_find(str_from(latest->type));
    out_word(out, "type", latest->type);
    if (known != NULL)
        out_word(out, "unit", known->unit);
    else
        out_null(out, "unit");
    out_f64(out, "value", latest->value);
    out_time(out, "at", latest->at_ms);
    out_time(out, "received_at", latest->received_at_ms);
    out_word(out, "provenance", telemetry_provenance_name(latest->provenance));
}

static bool latest_show(void *cookie, const struct telemetry_latest *latest)
{
    struct json_out *out = cookie;
    out_open(out, NULL, '{');
    out_word(out, "machine_id", latest->machine_id);
    show_reading(out, latest);
    out_close(out, '}');
    return out->err == ERR_OK;
}

static bool machine_parameter(struct web_call *call, bool required, struct str *ret_machine_id)
{
    if (!web_read_query(call, "machine_id", ret_machine_id))
        return false;
    bool given = ret_machine_id->at != NULL;
    if (given ? id_valid(*ret_machine_id) : !required)
        return true;
    return web_bad_parameter(call, "machine_id");
}

void web_telemetry_latest(struct web_call *call)
{
    struct str machine_id;
    if (!machine_parameter(call, false, &machine_id))
        return;
    out_open(&call->out, NULL, '{');
    out_open(&call->out, "items", '[');
    telemetry_latest_each(call->web->telemetry, machine_id, latest_show, &call->out);
    out_close(&call->out, ']');
    out_null(&call->out, "next");
    out_close(&call->out, '}');
    call->quiet = true;
    web_reply_json(call, 200);
}

/* ---- a range ---- */

bool web_bad_parameter(struct web_call *call, const char *name)
{
    web_reply_problem(call, &(struct web_problem){.status = 400,
                                                  .code = "bad_value",
                                                  .detail = "This parameter cannot be meant.",
                                                  .field = name});
    return false;
}

bool web_time_parameter(struct web_call *call, const char *name, int64_t *ret_ms)
{
    struct str text;
    if (!web_read_query(call, name, &text))
        return false;
    if (text.at != NULL && time_parse(text, ret_ms) != ERR_OK)
        return web_bad_parameter(call, name);
    return true;
}

bool web_range_read(struct web_call *call, struct telemetry_range *ret_range)
{
    struct str resolution;
    int64_t now_ms = web_now_ms(call->web);
    *ret_range = (struct telemetry_range){.from_ms = INT64_MIN, .to_ms = now_ms + 1};
    if (!machine_parameter(call, true, &ret_range->machine_id) ||
        !web_read_query(call, "type", &ret_range->type) ||
        !web_read_query(call, "resolution", &resolution) ||
        !web_time_parameter(call, "from", &ret_range->from_ms) ||
        !web_time_parameter(call, "to", &ret_range->to_ms))
        return false;
    if (ret_range->from_ms == INT64_MIN)
        ret_range->from_ms = ret_range->to_ms - 86400000; /* a day, unless it is said otherwise */
    if (ret_range->type.len == 0 || ret_range->type.len >= TELEMETRY_TYPE_BYTES)
        return web_bad_parameter(call, "type");
    if (ret_range->from_ms >= ret_range->to_ms)
        return web_bad_parameter(call, "from");
    if (resolution.at != NULL && !str_equal(resolution, STR("auto")) &&
        !telemetry_resolution_parse(resolution, &ret_range->resolution))
        return web_bad_parameter(call, "resolution");
    return true;
}

static void show_row(struct json_out *out, const struct telemetry_point *point)
{
    out_open(out, NULL, '[');
    out_i64(out, NULL, point->at_ms);
    out_f64(out, NULL, point->avg);
    out_f64(out, NULL, point->min);
    out_f64(out, NULL, point->max);
    out_u64(out, NULL, point->count);
    out_close(out, ']');
}

static void series_done(void *cookie, enum err err, enum telemetry_resolution resolution,
                        const struct telemetry_point *points, size_t count, bool more)
{
    static const char *const columns[] = {"t_ms", "avg", "min", "max", "count"};
    struct web_call *call = cookie;
    const struct telemetry_range *range = call->more;
    struct json_out *out = &call->out;
    if (err == ERR_NOT_FOUND) {
        web_reply_code(call, 404, "unknown_series", "Nothing of this type was ever stored.");
        return;
    }
    if (err != ERR_OK) {
        web_reply_err(call, err);
        return;
    }
    char type[TELEMETRY_TYPE_BYTES];
    const struct telemetry_type *known = str_copy(type, sizeof(type), range->type) == ERR_OK
                                             ? telemetry_type_find(range->type)
                                             : NULL;
    out_open(out, NULL, '{');
    out_text(out, "machine_id", range->machine_id);
    out_text(out, "type", range->type);
    if (known != NULL)
        out_word(out, "unit", known->unit);
    else
        out_null(out, "unit");
    out_word(out, "resolution", telemetry_resolution_name(resolution));
    out_open(out, "columns", '[');
    for (size_t i = 0; i < ARRAY_COUNT(columns); i++)
        out_word(out, NULL, columns[i]);
    out_close(out, ']');
    out_open(out, "rows", '[');
    for (size_t i = 0; i < count; i++)
        show_row(out, &points[i]);
    out_close(out, ']');
    out_bool(out, "more", more);
    out_close(out, '}');
    web_reply_json(call, 200);
}

void web_telemetry_series(struct web_call *call)
{
    struct telemetry_range *range = arena_alloc(&call->scratch, sizeof(*range));
    struct str points;
    uint64_t points_max = 500;
    if (range == NULL) {
        web_reply_err(call, ERR_NOMEM);
        return;
    }
    call->more = range;
    if (!web_range_read(call, range) || !web_read_query(call, "points", &points))
        return;
    if (points.at != NULL &&
        (str_to_u64(points, &points_max) != ERR_OK || points_max < 1 || points_max > 5000)) {
        (void)web_bad_parameter(call, "points");
        return;
    }
    range->points_max = (uint32_t)points_max;
    enum err err = telemetry_range_read(call->web->telemetry, range, series_done, call);
    if (err == ERR_NOT_FOUND)
        series_done(call, err, TELEMETRY_AUTO, NULL, 0, false);
    else if (err != ERR_OK)
        web_reply_err(call, err);
}

/* ---- what was refused, and how long readings are kept ---- */

static bool refusal_show(void *cookie, const struct telemetry_refused *refused)
{
    struct json_out *out = cookie;
    out_open(out, NULL, '{');
    out_word(out, "machine_id", refused->machine_id);
    out_word(out, "code", refused->code);
    out_word(out, "why", refused->why);
    out_u64(out, "count", refused->count);
    out_time(out, "last_at", refused->last_at_ms);
    out_close(out, '}');
    return out->err == ERR_OK;
}

void web_telemetry_refusals(struct web_call *call)
{
    out_open(&call->out, NULL, '{');
    out_open(&call->out, "items", '[');
    telemetry_refused_each(call->web->telemetry, refusal_show, &call->out);
    out_close(&call->out, ']');
    out_null(&call->out, "next");
    out_close(&call->out, '}');
    web_reply_json(call, 200);
}

void web_telemetry_policy_show(struct web_call *call)
{
    struct telemetry_policy policy = telemetry_policy_get(call->web->telemetry);
    out_open(&call->out, NULL, '{');
    out_u64(&call->out, "raw_days", policy.raw_days);
    out_u64(&call->out, "minutes5_days", policy.minutes5_days);
    out_u64(&call->out, "hour_days", policy.hour_days);
    out_u64(&call->out, "day_days", policy.day_days);
    out_close(&call->out, '}');
    web_reply_json(call, 200);
}

static void policy_set(void *cookie, enum err err)
{
    struct web_call *call = cookie;
    if (err == ERR_OK) {
        web_hub_records(call->web->hub);
        web_telemetry_policy_show(call);
    } else {
        web_reply_err(call, err);
    }
}

void web_telemetry_policy_set(struct web_call *call)
{
    static const char *const names[] = {"raw_days", "minutes5_days", "hour_days", "day_days"};
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    int64_t days[ARRAY_COUNT(names)] = {0};
    web_read_body(call, &reader, &refusal);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        (void)kinds_read_i64(&reader, names[i], true, 0, 36500, &days[i]);
    if (!web_read_end(call, &reader))
        return;
    struct telemetry_policy policy = {(uint32_t)days[0], (uint32_t)days[1], (uint32_t)days[2],
                                      (uint32_t)days[3]};
    enum err err = telemetry_policy_set(call->web->telemetry, &policy, str_from(call->actor),
                                        call->request_id, policy_set, call);
    if (err != ERR_OK)
        web_reply_err(call, err);
}
