/* A brew's JSON as an order.  Whether it may be carried out is machine/espresso's to say. */
#include "device/device_espresso.h"

static enum err text_of(struct wire_value object, const char *name, char *dst, size_t dst_bytes,
                        bool *ret_found)
{
    struct wire_value value;
    *ret_found = wire_find(object, name, &value) && value.type != WIRE_NULL;
    return *ret_found ? wire_get_text(value, dst, dst_bytes) : ERR_OK;
}

static enum err whole_of(struct wire_value object, const char *name, uint32_t *value)
{
    struct wire_value number;
    if (!wire_find(object, name, &number) || number.type == WIRE_NULL)
        return ERR_OK;
    return wire_get_u32(number, value);
}

static enum err temperature_of(struct wire_value object, int32_t *ret_mc)
{
    struct wire_value number;
    int64_t milli;
    if (!wire_find(object, "temperature_c", &number) || number.type == WIRE_NULL)
        return ERR_OK;
    if (wire_get_milli(number, &milli) != ERR_OK || milli < INT32_MIN || milli > INT32_MAX)
        return ERR_INPUT;
    *ret_mc = (int32_t)milli;
    return ERR_OK;
}

static enum err read_recipe(struct wire_value object, struct espresso_recipe *ret_recipe)
{
    struct espresso_recipe recipe = espresso_recipe_preset();
    struct wire_value value;
    char word[ESPRESSO_VARIANT_BYTES];
    bool found;
    recipe.capsule_variant[0] = '\0';
    /* How much is the one thing nobody may guess. */
    if (!wire_find(object, "volume_ml", &value) || wire_get_u32(value, &recipe.volume_ml) != ERR_OK)
        return ERR_INPUT;
    if (temperature_of(object, &recipe.temperature_mc) != ERR_OK ||
        whole_of(object, "pre_infusion_ms", &recipe.pre_infusion_ms) != ERR_OK)
        return ERR_INPUT;
    if (text_of(object, "capsule_type", word, sizeof(word), &found) != ERR_OK)
        return ERR_INPUT;
    if (found && espresso_capsule_type_from(str_from(word), &recipe.capsule_type) != ERR_OK)
        return ERR_INPUT;
    if (text_of(object, "capsule_variant", recipe.capsule_variant, sizeof(recipe.capsule_variant),
                &found) != ERR_OK)
        return ERR_INPUT;
    *ret_recipe = recipe;
    return ERR_OK;
}

static enum err read_item(struct wire_value value, struct espresso_sequence_item *ret_item)
{
    struct espresso_sequence_item item = {.slot = 0};
    struct wire_value params;
    char word[ESPRESSO_VARIANT_BYTES];
    bool found;
    if (value.type != WIRE_OBJECT ||
        text_of(value, "action", word, sizeof(word), &found) != ERR_OK || !found ||
        espresso_action_from(str_from(word), &item.action) != ERR_OK)
        return ERR_INPUT;
    if (wire_find(value, "params", &params) && params.type != WIRE_NULL) {
        if (params.type != WIRE_OBJECT || whole_of(params, "slot", &item.slot) != ERR_OK ||
            whole_of(params, "duration_ms", &item.duration_ms) != ERR_OK)
            return ERR_INPUT;
    }
    *ret_item = item;
    return ERR_OK;
}

static enum err read_instructions(struct wire_value object,
                                  struct espresso_instructions *ret_instructions)
{
    struct espresso_instructions instructions = {0};
    struct wire_value list;
    struct wire_value item;
    struct wire_value none;
    if (whole_of(object, "capsule_slot", &instructions.capsule_slot) != ERR_OK ||
        whole_of(object, "motor_steps_per_ml", &instructions.motor_steps_per_ml) != ERR_OK)
        return ERR_INPUT;
    if (wire_find(object, "insert_sequence", &list) && list.type != WIRE_NULL) {
        if (list.type != WIRE_ARRAY)
            return ERR_INPUT;
        struct wire_walk walk = wire_walk(list);
        while (wire_walk_next(&walk, &none, &item)) {
            if (instructions.sequence_count == ESPRESSO_SEQUENCE_COUNT_MAX ||
                read_item(item, &instructions.sequence[instructions.sequence_count]) != ERR_OK)
                return ERR_INPUT;
            instructions.sequence_count++;
        }
    }
    *ret_instructions = instructions;
    return ERR_OK;
}

enum err device_espresso_order(struct str payload, struct str instructions,
                               struct espresso_order *ret_order)
{
    struct espresso_order order = {.instructions = {0}};
    struct wire_value root;
    struct wire_value inner;
    if (wire_open(payload, &root, NULL) != ERR_OK || root.type != WIRE_OBJECT)
        return ERR_INPUT;
    /* Either the recipe itself, or {recipe, accessory_instructions?}. */
    struct wire_value recipe = root;
    if (wire_find(root, "recipe", &inner))
        recipe = inner;
    if (recipe.type != WIRE_OBJECT || read_recipe(recipe, &order.recipe) != ERR_OK)
        return ERR_INPUT;
    struct wire_value around = {.type = WIRE_NULL};
    if (instructions.at != NULL) {
        if (wire_open(instructions, &around, NULL) != ERR_OK)
            return ERR_INPUT;
    } else if (wire_find(root, "accessory_instructions", &inner) ||
               wire_find(root, "actuator_sequence", &inner)) {
        around = inner;
    }
    if (around.type != WIRE_NULL &&
        (around.type != WIRE_OBJECT || read_instructions(around, &order.instructions) != ERR_OK))
        return ERR_INPUT;
    *ret_order = order;
    return ERR_OK;
}
