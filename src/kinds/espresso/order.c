/* What a brew must look like, and a machine's configuration.  JSON is read here; whether the order
 * may be carried out is decided by machine/espresso, as on the board. */
#include "kinds/espresso/espresso_int.h"

#include <stdio.h>
#include <string.h>

static bool read_whole(struct kinds_reader *reader, const char *name, bool required,
                       enum espresso_limit which, uint32_t *ret_value)
{
    const struct limit *limit = &espresso_limits[which];
    int64_t value = 0;
    if (!kinds_read_i64(reader, name, required, limit->min, limit->max, &value))
        return false;
    *ret_value = (uint32_t)value;
    return true;
}

static void read_capsule(struct kinds_reader *reader, struct espresso_recipe *recipe)
{
    struct str text = STR_NONE;
    kinds_read_text(reader, "capsule_type", false, 32, &text);
    if (text.at != NULL && espresso_capsule_type_from(text, &recipe->capsule_type) != ERR_OK)
        kinds_read_fault(reader, "out_of_limits", "capsule_type",
                         "A capsule is \"original\" or \"vertuo\".");
    text = STR_NONE;
    kinds_read_text(reader, "capsule_variant", false, ESPRESSO_VARIANT_BYTES - 1, &text);
    if (text.at == NULL)
        return;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.at[i];
        /* The name goes to boards that know no UTF-8, and into file and topic names later. */
        if (byte < 0x20 || byte > 0x7e || byte == '"' || byte == '\\') {
            kinds_read_fault(reader, "out_of_limits", "capsule_variant",
                             "A variant is written with plain letters, digits and signs.");
            return;
        }
        recipe->capsule_variant[i] = (char)(byte >= 'A' && byte <= 'Z' ? byte - 'A' + 'a' : byte);
    }
    recipe->capsule_variant[text.len] = 0;
}

static bool read_recipe(const struct kinds_order *order, struct espresso_recipe *ret_recipe,
                        struct kinds_refusal *refusal)
{
    struct espresso_recipe recipe = espresso_recipe_preset();
    recipe.capsule_variant[0] = 0; /* not said: any capsule of the type will do */
    struct kinds_reader reader;
    kinds_read_begin(&reader, order->payload, order->payload_name, refusal);
    read_capsule(&reader, &recipe);
    (void)read_whole(&reader, "volume_ml", true,
                     recipe.capsule_type == ESPRESSO_VERTUO ? ESPRESSO_LIMIT_VOLUME_VERTUO
                                                            : ESPRESSO_LIMIT_VOLUME_ORIGINAL,
                     &recipe.volume_ml);
    const struct limit *limit = &espresso_limits[ESPRESSO_LIMIT_TEMPERATURE];
    int64_t milli = 0;
    if (kinds_read_milli(&reader, "temperature_c", false, (int64_t)limit->min * 1000,
                         (int64_t)limit->max * 1000, &milli))
        recipe.temperature_mc = (int32_t)milli;
    (void)read_whole(&reader, "pre_infusion_ms", false, ESPRESSO_LIMIT_PRE_INFUSION,
                     &recipe.pre_infusion_ms);
    if (!kinds_read_end(&reader))
        return false;
    *ret_recipe = recipe;
    return true;
}

static bool read_item(const json_t *value, const char *prefix, struct espresso_sequence_item *item,
                      struct kinds_refusal *refusal)
{
    struct kinds_reader reader;
    kinds_read_begin(&reader, value, prefix, refusal);
    struct str action = STR_NONE;
    kinds_read_text(&reader, "action", true, 32, &action);
    if (action.at != NULL && espresso_action_from(action, &item->action) != ERR_OK)
        kinds_read_fault(&reader, "bad_sequence", "action", "There is no such action.");
    const json_t *params = kinds_read_object(&reader, "params", false);
    if (!kinds_read_end(&reader))
        return false;
    if (params == NULL)
        return true;
    char inner[KINDS_FIELD_BYTES + 8];
    (void)snprintf(inner, sizeof(inner), "%s.params", prefix);
    kinds_read_begin(&reader, params, inner, refusal);
    if (item->action == ESPRESSO_PICK)
        (void)read_whole(&reader, "slot", false, ESPRESSO_LIMIT_SEQUENCE_SLOT, &item->slot);
    if (item->action == ESPRESSO_PRESS_BUTTON)
        (void)read_whole(&reader, "duration_ms", false, ESPRESSO_LIMIT_PRESS_DURATION,
                         &item->duration_ms);
    return kinds_read_end(&reader);
}

static bool read_instructions(const struct kinds_order *order,
                              struct espresso_instructions *instructions,
                              struct kinds_refusal *refusal)
{
    struct kinds_reader reader;
    kinds_read_begin(&reader, order->instructions, order->instructions_name, refusal);
    (void)read_whole(&reader, "capsule_slot", false, ESPRESSO_LIMIT_SLOT,
                     &instructions->capsule_slot);
    (void)read_whole(&reader, "motor_steps_per_ml", false, ESPRESSO_LIMIT_STEPS_PER_ML,
                     &instructions->motor_steps_per_ml);
    const json_t *sequence = kinds_read_array(&reader, "insert_sequence", false);
    size_t count = json_array_size(sequence);
    if (count > ESPRESSO_SEQUENCE_COUNT_MAX)
        kinds_read_fault(&reader, "bad_sequence", "insert_sequence", "At most %d actions.",
                         ESPRESSO_SEQUENCE_COUNT_MAX);
    if (sequence != NULL && count == 0)
        kinds_read_fault(&reader, "bad_sequence", "insert_sequence",
                         "A sequence has at least one action.");
    if (!kinds_read_end(&reader))
        return false;
    for (size_t i = 0; i < count; i++) {
        char prefix[KINDS_FIELD_BYTES];
        (void)snprintf(prefix, sizeof(prefix), "%s.insert_sequence[%zu]", order->instructions_name,
                       i);
        if (!read_item(json_array_get(sequence, i), prefix, &instructions->sequence[i], refusal))
            return false;
    }
    instructions->sequence_count = (uint32_t)count;
    return true;
}

/* machine/espresso names its fields as in the documented body; show them as this body had them. */
static void rename_field(const struct kinds_order *order, const char *field,
                         struct kinds_refusal *refusal)
{
    const char *dot = field != NULL ? strchr(field, '.') : NULL;
    const char *top = field == NULL                                ? ""
                      : strncmp(field, "recipe", 6) == 0           ? order->payload_name
                      : strncmp(field, "accessory_instr", 15) == 0 ? order->instructions_name
                                                                   : NULL;
    if (top == NULL)
        (void)snprintf(refusal->field, sizeof(refusal->field), "%s", field);
    else
        (void)snprintf(refusal->field, sizeof(refusal->field), "%s%s", top, dot != NULL ? dot : "");
}

static enum espresso_model config_model(const json_t *config)
{
    enum espresso_model model = ESPRESSO_ORIGINAL_ONLY;
    const char *name = json_string_value(json_object_get(config, "model"));
    if (name != NULL && espresso_model_from(str_from(name), &model) != ERR_OK)
        model = ESPRESSO_ORIGINAL_ONLY;
    return model;
}

/* 92000 is "92", 92500 is "92.5". */
static void add_milli(struct text *text, int64_t milli)
{
    unsigned digits = 3;
    while (digits > 0 && milli % 10 == 0) {
        milli /= 10;
        digits--;
    }
    text_add_fixed(text, milli, digits);
}

static enum err write_recipe(const struct espresso_recipe *recipe, struct arena *scratch,
                             struct str *ret_json)
{
    char storage[256];
    struct text text;
    text_init(&text, storage, sizeof(storage));
    text_add(&text, STR("{\"volume_ml\":"));
    text_add_u64(&text, recipe->volume_ml);
    text_add(&text, STR(",\"temperature_c\":"));
    add_milli(&text, recipe->temperature_mc);
    text_add(&text, STR(",\"pre_infusion_ms\":"));
    text_add_u64(&text, recipe->pre_infusion_ms);
    text_add(&text, STR(",\"capsule_type\":\""));
    text_add(&text, str_from(espresso_capsule_type_name(recipe->capsule_type)));
    if (recipe->capsule_variant[0] != 0) {
        text_add(&text, STR("\",\"capsule_variant\":\""));
        text_add(&text, str_from(recipe->capsule_variant));
    }
    text_add(&text, STR("\"}"));
    ASSERT(!text.overflow);
    char *json = arena_strdup(scratch, (struct str){text.at, text.len});
    if (json == NULL)
        return ERR_NOMEM;
    *ret_json = (struct str){json, text.len};
    return ERR_OK;
}

/* As the body had it: everything in it was read and found good. */
static enum err write_instructions(const json_t *instructions, struct arena *scratch,
                                   struct str *ret_json)
{
    size_t bytes = json_dumpb(instructions, NULL, 0, JSON_COMPACT);
    char *json = bytes > 0 ? arena_alloc(scratch, bytes + 1) : NULL;
    if (json == NULL || json_dumpb(instructions, json, bytes, JSON_COMPACT) != bytes)
        return ERR_NOMEM;
    *ret_json = (struct str){json, bytes};
    return ERR_OK;
}

static void warn_volume(const struct espresso_recipe *recipe, struct arena *scratch,
                        struct kinds_accepted *accepted)
{
    const struct espresso_capsule *capsule = NULL;
    if (!espresso_volume_unusual(recipe, &capsule) || capsule == NULL)
        return;
    const char *sentence =
        arena_printf(scratch, "%u ml is unusual for %s, which is made for %u ml.",
                     recipe->volume_ml, capsule->variant, capsule->volume_ml);
    if (sentence != NULL)
        accepted->warnings[accepted->warning_count++] = sentence;
}

/* What the reader found malformed is 400, what a named rule forbids is 422. */
static enum err refusal_kind(const struct kinds_refusal *refusal)
{
    static const char *const malformed[] = {"wrong_type", "missing_field", "unknown_field",
                                            "bad_value"};
    for (size_t i = 0; i < ARRAY_COUNT(malformed); i++) {
        if (strcmp(refusal->code, malformed[i]) == 0)
            return ERR_INPUT;
    }
    return ERR_REFUSED;
}

enum err espresso_order_check(const struct kinds_order *order, struct arena *scratch,
                              struct kinds_accepted *ret_accepted,
                              struct kinds_refusal *ret_refusal)
{
    struct espresso_order brew;
    memset(&brew, 0, sizeof(brew));
    if (!read_recipe(order, &brew.recipe, ret_refusal))
        return refusal_kind(ret_refusal);
    if (order->instructions != NULL && !read_instructions(order, &brew.instructions, ret_refusal))
        return refusal_kind(ret_refusal);

    struct espresso_refusal found;
    if (!espresso_check(&brew, config_model(order->config), &found)) {
        ret_refusal->code = espresso_code_name(found.code);
        rename_field(order, found.field, ret_refusal);
        (void)snprintf(ret_refusal->sentence, sizeof(ret_refusal->sentence), "%s",
                       espresso_codes[found.code].sentence);
        return ERR_REFUSED;
    }
    struct kinds_accepted accepted = {.instructions = STR_NONE};
    enum err err = write_recipe(&brew.recipe, scratch, &accepted.payload);
    if (err == ERR_OK && order->instructions != NULL)
        err = write_instructions(order->instructions, scratch, &accepted.instructions);
    if (err != ERR_OK)
        return err;
    warn_volume(&brew.recipe, scratch, &accepted);
    *ret_accepted = accepted;
    return ERR_OK;
}

/* ---- configuration ---- */

static bool check_calibration(const json_t *value, struct kinds_refusal *refusal)
{
    struct kinds_reader reader;
    kinds_read_begin(&reader, value, "calibration", refusal);
    struct espresso_calibration calibration = espresso_calibration_preset();
    const char *name;
    const json_t *number;
    json_object_foreach((json_t *)(uintptr_t)value, name, number)
    {
        if (!kinds_read_ok(&reader))
            return false;
        json_int_t whole = json_integer_value(number);
        if (!json_is_integer(number)) {
            kinds_read_fault(&reader, "wrong_type", name, "Here must be a whole number.");
            return false;
        }
        enum err err = whole < INT32_MIN || whole > INT32_MAX
                           ? ERR_INPUT
                           : espresso_calibration_set(&calibration, str_from(name), (int32_t)whole);
        if (err == ERR_NOT_FOUND)
            kinds_read_fault(&reader, "unknown_field", name, "There is no such calibration value.");
        else if (err != ERR_OK)
            kinds_read_fault(&reader, "out_of_limits", name, "Outside this value's range.");
    }
    const char *fault = kinds_read_ok(&reader) ? espresso_calibration_fault(&calibration) : NULL;
    if (fault != NULL)
        kinds_read_fault(&reader, "out_of_limits", fault, "Does not go with the other values.");
    return kinds_read_ok(&reader);
}

static bool check_slot(const json_t *value, size_t index, struct kinds_refusal *refusal)
{
    char prefix[KINDS_FIELD_BYTES];
    (void)snprintf(prefix, sizeof(prefix), "magazine[%zu]", index);
    struct kinds_reader reader;
    kinds_read_begin(&reader, value, prefix, refusal);
    int64_t number = 0;
    (void)kinds_read_i64(&reader, "slot", true, 1, ESPRESSO_SLOT_COUNT, &number);
    (void)kinds_read_i64(&reader, "count", true, 0, 1000, &number);
    struct espresso_recipe recipe = espresso_recipe_preset();
    read_capsule(&reader, &recipe);
    return kinds_read_end(&reader);
}

enum err espresso_config_check(const json_t *config, struct kinds_refusal *ret_refusal)
{
    struct kinds_reader reader;
    kinds_read_begin(&reader, config, "", ret_refusal);
    struct str text = STR_NONE;
    enum espresso_model model;
    kinds_read_text(&reader, "model", false, 32, &text);
    if (text.at != NULL && espresso_model_from(text, &model) != ERR_OK)
        kinds_read_fault(&reader, "out_of_limits", "model",
                         "A model is \"original_only\" or \"both\".");
    const json_t *calibration = kinds_read_object(&reader, "calibration", false);
    const json_t *magazine = kinds_read_array(&reader, "magazine", false);
    if (json_array_size(magazine) > ESPRESSO_SLOT_COUNT)
        kinds_read_fault(&reader, "out_of_limits", "magazine", "At most %d slots.",
                         ESPRESSO_SLOT_COUNT);
    bool good = kinds_read_end(&reader);
    if (good && calibration != NULL)
        good = check_calibration(calibration, ret_refusal);
    for (size_t i = 0; good && i < json_array_size(magazine); i++)
        good = check_slot(json_array_get(magazine, i), i, ret_refusal);
    return good ? ERR_OK : refusal_kind(ret_refusal);
}
