/* The window kind: what a position must look like, a machine's configuration, and what a page is
 * told.  JSON is read here; whether the order may be carried out is decided by machine/window, as
 * on the board. */
#include "kinds/kinds_int.h"
#include "machine/window/window.h"

#include <string.h>

static const char *const columns[] = {"t_ms", "position", "current_a", NULL};

/* The way of an order that goes well, and where it ends otherwise. */
static const char *const steps[] = {
    "idle",     "homing",      "calibrating", "moving", "sealing",
    "stopping", "backing_off", "complete",    "error",  NULL,
};

static const struct kinds_command commands[] = {{WINDOW_COMMAND, WINDOW_WORD}};

/* Sensors of the room, in a machine's configuration. */
static const struct limit sensor_limits[] = {
    {"interval_s", "s", 1, 3600, 5, true},
    {"audio_s", "s", 0, 3600, 30, true},
};

static const struct window_code_row *code_row(struct str reason)
{
    enum window_code code = window_code_from(reason);
    return code == WINDOW_CODE_COUNT ? NULL : &window_codes[code];
}

static bool reason_mechanical(void *context, struct str reason)
{
    (void)context;
    const struct window_code_row *row = code_row(reason);
    return row != NULL && row->holds;
}

static bool reason_needs_hands(void *context, struct str reason)
{
    (void)context;
    const struct window_code_row *row = code_row(reason);
    return row != NULL && row->needs_hands;
}

/* ---- orders ---- */

/* What is out of a range is refused by a named rule; everything else is malformed. */
static enum err refusal_kind(const struct kinds_refusal *refusal)
{
    return strcmp(refusal->code, "out_of_limits") == 0 ? ERR_REFUSED : ERR_INPUT;
}

static enum err write_payload(const struct window_order *order, struct arena *scratch,
                              struct str *ret_payload)
{
    char storage[64];
    struct text text;
    text_init(&text, storage, sizeof(storage));
    text_add(&text, STR("{\"position\":"));
    text_add_fixed(&text, order->position_mpct, 3);
    /* 40 and not 40.000: it is read by people, too. */
    while (text.at[text.len - 1] == '0')
        text.len--;
    if (text.at[text.len - 1] == '.')
        text.len--;
    text_add_char(&text, '}');
    char *copy = arena_strdup(scratch, (struct str){text.at, text.len});
    if (copy == NULL)
        return ERR_NOMEM;
    *ret_payload = (struct str){copy, text.len};
    return ERR_OK;
}

static enum err order_check(const struct kinds_order *order, struct arena *scratch,
                            struct kinds_accepted *ret_accepted, struct kinds_refusal *ret_refusal)
{
    struct kinds_reader reader;
    struct window_order position = {0};
    struct window_refusal refusal;
    struct kinds_accepted accepted = {.payload = STR_NONE, .instructions = STR_NONE};
    const struct limit *limit = &window_limits[WINDOW_LIMIT_POSITION];
    int64_t milli = 0;
    kinds_read_begin(&reader, order->payload, order->payload_name, ret_refusal);
    if (kinds_read_milli(&reader, limit->field, true, (int64_t)limit->min * 1000,
                         (int64_t)limit->max * 1000, &milli))
        position.position_mpct = (int32_t)milli;
    if (!kinds_read_end(&reader))
        return refusal_kind(ret_refusal);
    if (order->instructions != NULL) {
        kinds_read_begin(&reader, order->payload, "", ret_refusal);
        kinds_read_fault(&reader, "unknown_field", order->instructions_name,
                         "A window takes no instructions.");
        return ERR_INPUT;
    }
    ASSERT(window_check(&position, &refusal)); /* the reader kept to the same limits */
    enum err err = write_payload(&position, scratch, &accepted.payload);
    if (err == ERR_OK)
        *ret_accepted = accepted;
    return err;
}

/* ---- configuration ---- */

static bool check_calibration(const json_t *value, struct kinds_refusal *refusal)
{
    struct kinds_reader reader;
    struct window_calibration calibration = window_calibration_preset();
    kinds_read_begin(&reader, value, "calibration", refusal);
    for (size_t i = 0; i < window_calibration_limit_count; i++) {
        const struct limit *row = &window_calibration_limits[i];
        int64_t whole;
        if (kinds_read_i64(&reader, row->field, false, row->min, row->max, &whole) &&
            window_calibration_set(&calibration, str_from(row->field), (int32_t)whole) != ERR_OK)
            kinds_read_fault(&reader, "out_of_limits", row->field, "Outside this value's range.");
    }
    if (!kinds_read_end(&reader))
        return false;
    const char *fault = window_calibration_fault(&calibration);
    if (fault != NULL)
        kinds_read_fault(&reader, "out_of_limits", fault, "Does not go with the other values.");
    return kinds_read_ok(&reader);
}

static bool check_sensors(const json_t *value, struct kinds_refusal *refusal)
{
    struct kinds_reader reader;
    int64_t whole;
    kinds_read_begin(&reader, value, "sensors", refusal);
    for (size_t i = 0; i < ARRAY_COUNT(sensor_limits); i++) {
        const struct limit *row = &sensor_limits[i];
        (void)kinds_read_i64(&reader, row->field, false, row->min, row->max, &whole);
    }
    return kinds_read_end(&reader);
}

static enum err config_check(const json_t *config, struct kinds_refusal *ret_refusal)
{
    struct kinds_reader reader;
    kinds_read_begin(&reader, config, "", ret_refusal);
    const json_t *calibration = kinds_read_object(&reader, "calibration", false);
    const json_t *sensors = kinds_read_object(&reader, "sensors", false);
    bool good = kinds_read_end(&reader);
    if (good && calibration != NULL)
        good = check_calibration(calibration, ret_refusal);
    if (good && sensors != NULL)
        good = check_sensors(sensors, ret_refusal);
    return good ? ERR_OK : refusal_kind(ret_refusal);
}

/* ---- what a page is told ---- */

static json_t *describe_limits(const struct limit *limits, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; array != NULL && i < count; i++) {
        if (json_array_append_new(array, kinds_describe_limit(&limits[i])) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *describe_refusals(void)
{
    json_t *array = json_array();
    for (size_t i = WINDOW_OK + 1; array != NULL && i < WINDOW_CODE_COUNT; i++) {
        const struct window_code_row *row = &window_codes[i];
        if (json_array_append_new(array, json_pack("{s:s, s:s, s:b}", "code", row->code, "text",
                                                   row->sentence, "needs_hands",
                                                   (int)row->needs_hands)) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *describe(void)
{
    /* o steals, also when packing fails. */
    return json_pack(
        "{s:[{s:s, s:s, s:o, s:o}], s:o, s:{s:o, s:o}}", "commands", "command", commands[0].name,
        "word", commands[0].word, "limits", describe_limits(window_limits, WINDOW_LIMIT_COUNT),
        "columns", kinds_describe_names(columns), "refusals", describe_refusals(), "config",
        "calibration", describe_limits(window_calibration_limits, window_calibration_limit_count),
        "sensors", describe_limits(sensor_limits, ARRAY_COUNT(sensor_limits)));
}

static enum err curve_read(struct store_db *db, uint64_t command_id, struct buf *ret_json)
{
    return kinds_curve_read(&kinds_window, db, command_id, ret_json);
}

const struct kinds_kind kinds_window = {
    .name = "window",
    .commands = commands,
    .command_count = ARRAY_COUNT(commands),
    .queue = {.name = "window",
              .not_after_s = WINDOW_NOT_AFTER_S,
              .max_duration_s = WINDOW_MAX_DURATION_S,
              .coalesce = true,
              .reason_mechanical = reason_mechanical,
              .reason_needs_hands = reason_needs_hands},
    .columns = columns,
    .steps = steps,
    .check = order_check,
    .check_config = config_check,
    .describe = describe,
    .curve_append = kinds_curve_append,
    .curve_read = curve_read,
};
