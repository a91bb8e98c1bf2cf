/* What may be ordered: limits, capsules, and the one check of an order that server, board and twin
 * share. */
#include "machine/espresso/espresso.h"

#include "machine/espresso/espresso_int.h"

const struct limit espresso_limits[ESPRESSO_LIMIT_COUNT] = {
    [ESPRESSO_LIMIT_VOLUME_ORIGINAL] = {"recipe.volume_ml", "ml", 15, 150, 40, true},
    [ESPRESSO_LIMIT_VOLUME_VERTUO] = {"recipe.volume_ml", "ml", 40, 550, 230, true},
    [ESPRESSO_LIMIT_TEMPERATURE] = {"recipe.temperature_c", "C", 60, 96, 92, false},
    [ESPRESSO_LIMIT_PRE_INFUSION] = {"recipe.pre_infusion_ms", "ms", 0, 10000, 300, true},
    [ESPRESSO_LIMIT_SLOT] = {"accessory_instructions.capsule_slot", "", 1, ESPRESSO_SLOT_COUNT, 1,
                             true},
    [ESPRESSO_LIMIT_STEPS_PER_ML] = {"accessory_instructions.motor_steps_per_ml", "steps/ml", 1,
                                     1000, 10, true},
    [ESPRESSO_LIMIT_SEQUENCE_SLOT] = {"accessory_instructions.insert_sequence.params.slot", "", 1,
                                      ESPRESSO_SLOT_COUNT, 1, true},
    [ESPRESSO_LIMIT_PRESS_DURATION] = {"accessory_instructions.insert_sequence.params.duration_ms",
                                       "ms", 50, 2000, 200, true},
};

/* Guidance.  The sources give 355 to 535 ml for the two largest; the usual volume is then the lower
 * end of each. */
const struct espresso_capsule espresso_capsules[] = {
    {ESPRESSO_ORIGINAL, "ristretto", 25, 25},     {ESPRESSO_ORIGINAL, "espresso", 40, 40},
    {ESPRESSO_ORIGINAL, "lungo", 110, 110},       {ESPRESSO_VERTUO, "espresso", 40, 40},
    {ESPRESSO_VERTUO, "double_espresso", 80, 80}, {ESPRESSO_VERTUO, "gran_lungo", 150, 150},
    {ESPRESSO_VERTUO, "mug", 230, 230},           {ESPRESSO_VERTUO, "alto", 355, 535},
    {ESPRESSO_VERTUO, "carafe", 535, 535},
};
const size_t espresso_capsule_count = ARRAY_COUNT(espresso_capsules);

struct espresso_recipe espresso_recipe_preset(void)
{
    struct espresso_recipe recipe = {
        .volume_ml = (uint32_t)espresso_limits[ESPRESSO_LIMIT_VOLUME_ORIGINAL].preset,
        .temperature_mc = espresso_limits[ESPRESSO_LIMIT_TEMPERATURE].preset * 1000,
        .pre_infusion_ms = (uint32_t)espresso_limits[ESPRESSO_LIMIT_PRE_INFUSION].preset,
        .capsule_type = ESPRESSO_ORIGINAL,
        .capsule_variant = "espresso",
    };
    return recipe;
}

/* "Double Espresso", "double-espresso" and "double_espresso" are one capsule to people, so they are
 * to us. */
static char variant_fold(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return c == ' ' || c == '-' ? '_' : c;
}

bool espresso_variant_equal(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (variant_fold(a.at[i]) != variant_fold(b.at[i]))
            return false;
    }
    return true;
}

const struct espresso_capsule *espresso_capsule_find(enum espresso_capsule_type type,
                                                     struct str variant)
{
    for (size_t i = 0; i < espresso_capsule_count; i++) {
        const struct espresso_capsule *row = &espresso_capsules[i];
        if (row->type == type && espresso_variant_equal(variant, str_from(row->variant)))
            return row;
    }
    return NULL;
}

bool espresso_volume_unusual(const struct espresso_recipe *recipe,
                             const struct espresso_capsule **ret_capsule)
{
    const struct espresso_capsule *capsule =
        espresso_capsule_find(recipe->capsule_type, str_from(recipe->capsule_variant));
    if (!capsule)
        return false;
    uint32_t low = capsule->volume_ml - capsule->volume_ml / 10;
    uint32_t high = capsule->volume_ml_max + capsule->volume_ml_max / 10;
    if (recipe->volume_ml >= low && recipe->volume_ml <= high)
        return false;
    *ret_capsule = capsule;
    return true;
}

/* ---- the check ---- */

static bool refuse(struct espresso_refusal *ret_refusal, enum espresso_code code, const char *field)
{
    *ret_refusal = (struct espresso_refusal){code, field, NULL};
    return false;
}

/* `scale`: how many of the value's units make one of the limit's. */
static bool within(enum espresso_limit which, int64_t value, int32_t scale,
                   struct espresso_refusal *ret_refusal)
{
    const struct limit *limit = &espresso_limits[which];
    if (value >= (int64_t)limit->min * scale && value <= (int64_t)limit->max * scale)
        return true;
    *ret_refusal = (struct espresso_refusal){ESPRESSO_OUT_OF_LIMITS, limit->field, limit};
    return false;
}

static bool variant_valid(const char variant[ESPRESSO_VARIANT_BYTES])
{
    for (size_t i = 0; i < ESPRESSO_VARIANT_BYTES; i++) {
        char c = variant_fold(variant[i]);
        if (c == '\0')
            return true;
        bool letter = c >= 'a' && c <= 'z';
        bool digit = c >= '0' && c <= '9';
        if (!letter && !digit && c != '_')
            return false;
    }
    return false; /* no NUL */
}

/* A variant that only the other system knows ("mug" in an Original machine) cannot be what the
 * person meant. */
static bool variant_fits(const struct espresso_recipe *recipe)
{
    struct str variant = str_from(recipe->capsule_variant);
    enum espresso_capsule_type other =
        recipe->capsule_type == ESPRESSO_ORIGINAL ? ESPRESSO_VERTUO : ESPRESSO_ORIGINAL;
    return espresso_capsule_find(recipe->capsule_type, variant) ||
           !espresso_capsule_find(other, variant);
}

static bool check_recipe(const struct espresso_recipe *recipe, enum espresso_model model,
                         struct espresso_refusal *ret_refusal)
{
    if (recipe->capsule_type != ESPRESSO_ORIGINAL && recipe->capsule_type != ESPRESSO_VERTUO)
        return refuse(ret_refusal, ESPRESSO_CAPSULE_MISMATCH, "recipe.capsule_type");
    if (recipe->capsule_type == ESPRESSO_VERTUO && model != ESPRESSO_BOTH)
        return refuse(ret_refusal, ESPRESSO_CAPSULE_MISMATCH, "recipe.capsule_type");
    if (!variant_valid(recipe->capsule_variant) || !variant_fits(recipe))
        return refuse(ret_refusal, ESPRESSO_CAPSULE_MISMATCH, "recipe.capsule_variant");
    enum espresso_limit volume = recipe->capsule_type == ESPRESSO_ORIGINAL
                                     ? ESPRESSO_LIMIT_VOLUME_ORIGINAL
                                     : ESPRESSO_LIMIT_VOLUME_VERTUO;
    return within(volume, recipe->volume_ml, 1, ret_refusal) &&
           within(ESPRESSO_LIMIT_TEMPERATURE, recipe->temperature_mc, 1000, ret_refusal) &&
           within(ESPRESSO_LIMIT_PRE_INFUSION, recipe->pre_infusion_ms, 1, ret_refusal);
}

/* Each action at most once and in the order of the enum; pick and insert only together, with a
 * latch before the press, and a press at the end: anything less leaves a capsule hanging or brews
 * nothing. */
static bool sequence_valid(const struct espresso_instructions *instructions)
{
    uint32_t seen = 0;
    for (uint32_t i = 0; i < instructions->sequence_count; i++) {
        uint32_t action = (uint32_t)instructions->sequence[i].action;
        if (action > ESPRESSO_PRESS_BUTTON || seen >> action != 0)
            return false; /* unknown, repeated, or out of order */
        seen |= 1U << action;
    }
    bool pick = seen & 1U << ESPRESSO_PICK, insert = seen & 1U << ESPRESSO_INSERT;
    bool latch = seen & 1U << ESPRESSO_LATCH, press = seen & 1U << ESPRESSO_PRESS_BUTTON;
    return press && pick == insert && (!pick || latch);
}

static bool check_instructions(const struct espresso_instructions *instructions,
                               struct espresso_refusal *ret_refusal)
{
    if (instructions->capsule_slot != 0 &&
        !within(ESPRESSO_LIMIT_SLOT, instructions->capsule_slot, 1, ret_refusal))
        return false;
    if (instructions->motor_steps_per_ml != 0 &&
        !within(ESPRESSO_LIMIT_STEPS_PER_ML, instructions->motor_steps_per_ml, 1, ret_refusal))
        return false;
    if (instructions->sequence_count > ESPRESSO_SEQUENCE_COUNT_MAX)
        return refuse(ret_refusal, ESPRESSO_BAD_SEQUENCE, "accessory_instructions.insert_sequence");
    for (uint32_t i = 0; i < instructions->sequence_count; i++) {
        const struct espresso_sequence_item *item = &instructions->sequence[i];
        if (item->slot != 0 && !within(ESPRESSO_LIMIT_SEQUENCE_SLOT, item->slot, 1, ret_refusal))
            return false;
        if (item->duration_ms != 0 &&
            !within(ESPRESSO_LIMIT_PRESS_DURATION, item->duration_ms, 1, ret_refusal))
            return false;
        if (item->slot != 0 &&
            (item->action != ESPRESSO_PICK ||
             (instructions->capsule_slot != 0 && item->slot != instructions->capsule_slot)))
            return refuse(ret_refusal, ESPRESSO_BAD_SEQUENCE,
                          "accessory_instructions.insert_sequence.params.slot");
        if (item->duration_ms != 0 && item->action != ESPRESSO_PRESS_BUTTON)
            return refuse(ret_refusal, ESPRESSO_BAD_SEQUENCE,
                          "accessory_instructions.insert_sequence.params.duration_ms");
    }
    if (instructions->sequence_count != 0 && !sequence_valid(instructions))
        return refuse(ret_refusal, ESPRESSO_BAD_SEQUENCE, "accessory_instructions.insert_sequence");
    return true;
}

bool espresso_check(const struct espresso_order *order, enum espresso_model model,
                    struct espresso_refusal *ret_refusal)
{
    return check_recipe(&order->recipe, model, ret_refusal) &&
           check_instructions(&order->instructions, ret_refusal);
}

/* ---- reading an order, for the steps ---- */

static const struct espresso_sequence_item *sequence_find(const struct espresso_order *order,
                                                          enum espresso_action action)
{
    const struct espresso_instructions *instructions = &order->instructions;
    for (uint32_t i = 0; i < instructions->sequence_count && i < ESPRESSO_SEQUENCE_COUNT_MAX; i++) {
        if (instructions->sequence[i].action == action)
            return &instructions->sequence[i];
    }
    return NULL;
}

bool espresso_order_has(const struct espresso_order *order, enum espresso_action action)
{
    return order->instructions.sequence_count == 0 || sequence_find(order, action) != NULL;
}

uint32_t espresso_order_slot(const struct espresso_order *order)
{
    const struct espresso_sequence_item *pick = sequence_find(order, ESPRESSO_PICK);
    if (pick && pick->slot != 0)
        return pick->slot;
    return order->instructions.capsule_slot;
}

uint32_t espresso_order_press_ms(const struct espresso_order *order, uint32_t preset_ms)
{
    const struct espresso_sequence_item *press = sequence_find(order, ESPRESSO_PRESS_BUTTON);
    return press && press->duration_ms != 0 ? press->duration_ms : preset_ms;
}
