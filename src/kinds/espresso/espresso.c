/* The espresso kind: names, tables, and what a page is told about it. */
#include "kinds/espresso/espresso_int.h"

const char *const espresso_curve_columns[] = {
    "t_ms", "temperature_c", "pressure_bar", "flow_ml_s", "current_a", "volume_ml", NULL,
};

/* The way of an order that goes well, and where it ends otherwise. */
static const char *const steps[] = {
    "idle",      "validating",   "pre_flight",      "homing",  "picking",
    "inserting", "closing_head", "pressing_button", "brewing", "monitoring",
    "ejecting",  "complete",     "error",           NULL,
};

static const struct kinds_command commands[] = {{"brew", ESPRESSO_WORD}};

static const struct espresso_code_row *code_row(struct str reason)
{
    enum espresso_code code = espresso_code_from(reason);
    return code == ESPRESSO_CODE_COUNT ? NULL : &espresso_codes[code];
}

static bool reason_mechanical(void *context, struct str reason)
{
    (void)context;
    const struct espresso_code_row *row = code_row(reason);
    return row != NULL && row->holds;
}

static bool reason_needs_hands(void *context, struct str reason)
{
    (void)context;
    const struct espresso_code_row *row = code_row(reason);
    return row != NULL && row->needs_hands;
}

static json_t *describe_limits(void)
{
    json_t *array = json_array();
    for (size_t i = 0; array != NULL && i < ESPRESSO_LIMIT_COUNT; i++) {
        json_t *row = kinds_describe_limit(&espresso_limits[i]);
        const char *type = i == ESPRESSO_LIMIT_VOLUME_ORIGINAL ? "original"
                           : i == ESPRESSO_LIMIT_VOLUME_VERTUO ? "vertuo"
                                                               : NULL;
        if (row != NULL && type != NULL &&
            json_object_set_new(row, "capsule_type", json_string(type)) != 0) {
            json_decref(row);
            row = NULL;
        }
        if (json_array_append_new(array, row) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *describe_refusals(void)
{
    json_t *array = json_array();
    for (size_t i = ESPRESSO_OK + 1; array != NULL && i < ESPRESSO_CODE_COUNT; i++) {
        const struct espresso_code_row *row = &espresso_codes[i];
        if (json_array_append_new(array, json_pack("{s:s, s:s, s:b}", "code", row->code, "text",
                                                   row->sentence, "needs_hands",
                                                   (int)row->needs_hands)) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *describe_capsules(void)
{
    json_t *array = json_array();
    for (size_t i = 0; array != NULL && i < espresso_capsule_count; i++) {
        const struct espresso_capsule *row = &espresso_capsules[i];
        if (json_array_append_new(array,
                                  json_pack("{s:s, s:s, s:i}", "capsule_type",
                                            espresso_capsule_type_name(row->type), "variant",
                                            row->variant, "volume_ml", (int)row->volume_ml)) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

json_t *espresso_describe(void)
{
    /* o steals, also when packing fails. */
    return json_pack("{s:[{s:s, s:s, s:o, s:o}], s:o, s:o}", "commands", "command",
                     commands[0].name, "word", commands[0].word, "limits", describe_limits(),
                     "columns", kinds_describe_names(espresso_curve_columns), "refusals",
                     describe_refusals(), "capsules", describe_capsules());
}

static enum err curve_read(struct store_db *db, uint64_t command_id, struct buf *ret_json)
{
    return kinds_curve_read(&kinds_espresso, db, command_id, ret_json);
}

const struct kinds_kind kinds_espresso = {
    .name = "espresso",
    .commands = commands,
    .command_count = ARRAY_COUNT(commands),
    .queue = {.name = "espresso",
              .not_after_s = ESPRESSO_NOT_AFTER_S,
              .max_duration_s = ESPRESSO_MAX_DURATION_S,
              .reason_mechanical = reason_mechanical,
              .reason_needs_hands = reason_needs_hands},
    .columns = espresso_curve_columns,
    .steps = steps,
    .check = espresso_order_check,
    .check_config = espresso_config_check,
    .describe = espresso_describe,
    .curve_append = kinds_curve_append,
    .curve_read = curve_read,
};
