/* What may be ordered. */
#include "machine/espresso_sim.h"

static struct espresso_order good(void)
{
    return (struct espresso_order){.recipe = espresso_recipe_preset()};
}

static void refused(const struct espresso_order *order, enum espresso_model model,
                    enum espresso_code code, const char *field)
{
    struct espresso_refusal refusal = {0};
    CHECK(!espresso_check(order, model, &refusal));
    CHECK_STR(espresso_code_name(refusal.code), espresso_code_name(code));
    CHECK_STR(refusal.field, field);
    CHECK_EQ(refusal.limit != NULL, code == ESPRESSO_OUT_OF_LIMITS);
}

static void taken(const struct espresso_order *order)
{
    struct espresso_refusal refusal = {.field = "untouched"};
    CHECK(espresso_check(order, ESPRESSO_BOTH, &refusal));
    CHECK_STR(refusal.field, "untouched");
}

TEST(preset_is_taken)
{
    struct espresso_order order = good();
    taken(&order);
    CHECK_EQ(order.recipe.volume_ml, 40);
    CHECK_EQ(order.recipe.temperature_mc, 92000);
}

TEST(volume_edges_of_both_systems)
{
    struct espresso_order order = good();
    order.recipe.volume_ml = 15;
    taken(&order);
    order.recipe.volume_ml = 150;
    taken(&order);
    order.recipe.volume_ml = 14;
    refused(&order, ESPRESSO_BOTH, ESPRESSO_OUT_OF_LIMITS, "recipe.volume_ml");
    order.recipe.volume_ml = 151;
    refused(&order, ESPRESSO_BOTH, ESPRESSO_OUT_OF_LIMITS, "recipe.volume_ml");
    order.recipe.volume_ml = UINT32_MAX;
    refused(&order, ESPRESSO_BOTH, ESPRESSO_OUT_OF_LIMITS, "recipe.volume_ml");
    order.recipe.capsule_type = ESPRESSO_VERTUO;
    order.recipe.volume_ml = 40;
    taken(&order);
    order.recipe.volume_ml = 550;
    taken(&order);
    order.recipe.volume_ml = 39;
    refused(&order, ESPRESSO_BOTH, ESPRESSO_OUT_OF_LIMITS, "recipe.volume_ml");
    order.recipe.volume_ml = 551;
    refused(&order, ESPRESSO_BOTH, ESPRESSO_OUT_OF_LIMITS, "recipe.volume_ml");
}

TEST(temperature_edges_to_the_thousandth)
{
    struct espresso_order order = good();
    order.recipe.temperature_mc = 60000;
    taken(&order);
    order.recipe.temperature_mc = 96000;
    taken(&order);
    const int32_t wrong[] = {59999, 96001, 0, -1, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        order.recipe.temperature_mc = wrong[i];
        refused(&order, ESPRESSO_BOTH, ESPRESSO_OUT_OF_LIMITS, "recipe.temperature_c");
    }
}

TEST(pre_infusion_edges)
{
    struct espresso_order order = good();
    order.recipe.pre_infusion_ms = 0;
    taken(&order);
    order.recipe.pre_infusion_ms = 10000;
    taken(&order);
    order.recipe.pre_infusion_ms = 10001;
    refused(&order, ESPRESSO_BOTH, ESPRESSO_OUT_OF_LIMITS, "recipe.pre_infusion_ms");
}

TEST(original_only_refuses_vertuo)
{
    struct espresso_order order = good();
    order.recipe.capsule_type = ESPRESSO_VERTUO;
    taken(&order);
    refused(&order, ESPRESSO_ORIGINAL_ONLY, ESPRESSO_CAPSULE_MISMATCH, "recipe.capsule_type");
    order.recipe.capsule_type = (enum espresso_capsule_type)7;
    refused(&order, ESPRESSO_BOTH, ESPRESSO_CAPSULE_MISMATCH, "recipe.capsule_type");
}

TEST(variants_are_words_that_fit_the_system)
{
    struct espresso_order order = good();
    static const char *const fine[] = {"", "espresso", "Ristretto", "house blend 7", "decaf-lungo"};
    for (size_t i = 0; i < ARRAY_COUNT(fine); i++) {
        recipe_variant(&order.recipe, fine[i]);
        taken(&order);
    }
    static const char *const wrong[] = {"mug", "Double Espresso", "gran-lungo", "a\nb",
                                        "caf\xc3\xa9"};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        recipe_variant(&order.recipe, wrong[i]);
        refused(&order, ESPRESSO_BOTH, ESPRESSO_CAPSULE_MISMATCH, "recipe.capsule_variant");
    }
    memset(order.recipe.capsule_variant, 'a', ESPRESSO_VARIANT_BYTES); /* no NUL */
    refused(&order, ESPRESSO_BOTH, ESPRESSO_CAPSULE_MISMATCH, "recipe.capsule_variant");
}

TEST(instruction_edges)
{
    struct espresso_order order = good();
    order.instructions.capsule_slot = ESPRESSO_SLOT_COUNT;
    taken(&order);
    order.instructions.capsule_slot = ESPRESSO_SLOT_COUNT + 1;
    refused(&order, ESPRESSO_BOTH, ESPRESSO_OUT_OF_LIMITS, "accessory_instructions.capsule_slot");
    order.instructions.capsule_slot = 0;
    order.instructions.motor_steps_per_ml = 1000;
    taken(&order);
    order.instructions.motor_steps_per_ml = 1001;
    refused(&order, ESPRESSO_BOTH, ESPRESSO_OUT_OF_LIMITS,
            "accessory_instructions.motor_steps_per_ml");
}

/* The documented example: slot 2, all four actions, a 200 ms press. */
static struct espresso_order full(void)
{
    struct espresso_order order = good();
    order.instructions = (struct espresso_instructions){
        .capsule_slot = 2,
        .motor_steps_per_ml = 10,
        .sequence_count = 4,
        .sequence = {{ESPRESSO_PICK, 2, 0},
                     {ESPRESSO_INSERT, 0, 0},
                     {ESPRESSO_LATCH, 0, 0},
                     {ESPRESSO_PRESS_BUTTON, 0, 200}},
    };
    return order;
}

TEST(parameters_belong_to_their_action)
{
    struct espresso_order order = full();
    taken(&order);
    const char *slot = "accessory_instructions.insert_sequence.params.slot";
    const char *duration = "accessory_instructions.insert_sequence.params.duration_ms";
    order.instructions.sequence[0].slot = 3; /* not the slot above */
    refused(&order, ESPRESSO_BOTH, ESPRESSO_BAD_SEQUENCE, slot);
    order.instructions.sequence[0].slot = 9;
    refused(&order, ESPRESSO_BOTH, ESPRESSO_OUT_OF_LIMITS, slot);
    order = full();
    order.instructions.sequence[1].slot = 2;
    refused(&order, ESPRESSO_BOTH, ESPRESSO_BAD_SEQUENCE, slot);
    order = full();
    order.instructions.sequence[2].duration_ms = 200;
    refused(&order, ESPRESSO_BOTH, ESPRESSO_BAD_SEQUENCE, duration);
    order = full();
    order.instructions.sequence[3].duration_ms = 49;
    refused(&order, ESPRESSO_BOTH, ESPRESSO_OUT_OF_LIMITS, duration);
    order.instructions.sequence[3].duration_ms = 2001;
    refused(&order, ESPRESSO_BOTH, ESPRESSO_OUT_OF_LIMITS, duration);
    order.instructions.sequence[3].duration_ms = 2000;
    taken(&order);
    order.instructions.sequence_count = ESPRESSO_SEQUENCE_COUNT_MAX + 1;
    refused(&order, ESPRESSO_BOTH, ESPRESSO_BAD_SEQUENCE, "accessory_instructions.insert_sequence");
}

/* Of all 4^1 + ... + 4^5 sequences, exactly three make a coffee. */
TEST(only_sequences_that_make_a_coffee)
{
    uint32_t taken_count = 0;
    for (uint32_t len = 1; len <= 5; len++) {
        for (uint32_t code = 0; code < 1U << (2 * len); code++) {
            struct espresso_order order = good();
            order.instructions.sequence_count = len;
            for (uint32_t i = 0; i < len; i++)
                order.instructions.sequence[i].action = (enum espresso_action)(code >> (2 * i) & 3);
            struct espresso_refusal refusal;
            if (espresso_check(&order, ESPRESSO_BOTH, &refusal))
                taken_count++;
            else
                CHECK_EQ(refusal.code, ESPRESSO_BAD_SEQUENCE);
        }
    }
    CHECK_EQ(taken_count, 3);

    struct espresso_order order = full();
    taken(&order); /* pick, insert, latch, press */
    order.instructions.sequence[0] = (struct espresso_sequence_item){.action = ESPRESSO_LATCH};
    order.instructions.sequence[1] =
        (struct espresso_sequence_item){.action = ESPRESSO_PRESS_BUTTON};
    order.instructions.sequence_count = 2;
    taken(&order); /* latch, press: the capsule was put in by hand */
    order.instructions.sequence[0] = order.instructions.sequence[1];
    order.instructions.sequence_count = 1;
    taken(&order); /* press alone */
    order.instructions.sequence[0].action = (enum espresso_action)4;
    refused(&order, ESPRESSO_BOTH, ESPRESSO_BAD_SEQUENCE, "accessory_instructions.insert_sequence");
}

TEST(guidance_warns_and_never_refuses)
{
    const struct espresso_capsule *capsule = NULL;
    struct espresso_order order = good();
    CHECK(!espresso_volume_unusual(&order.recipe, &capsule));
    order.recipe.volume_ml = 44;
    CHECK(!espresso_volume_unusual(&order.recipe, &capsule));
    order.recipe.volume_ml = 50; /* the documented example's own: it warns and is taken */
    CHECK(espresso_volume_unusual(&order.recipe, &capsule));
    CHECK_EQ(capsule->volume_ml, 40);
    taken(&order);
    recipe_variant(&order.recipe, "unheard of");
    CHECK(!espresso_volume_unusual(&order.recipe, &capsule));
    order.recipe.capsule_type = ESPRESSO_VERTUO;
    recipe_variant(&order.recipe, "Alto");
    order.recipe.volume_ml = 535;
    CHECK(!espresso_volume_unusual(&order.recipe, &capsule));
    order.recipe.volume_ml = 300;
    CHECK(espresso_volume_unusual(&order.recipe, &capsule));
}

TEST(canonical_volumes_are_within_limits)
{
    for (size_t i = 0; i < espresso_capsule_count; i++) {
        struct espresso_order order = good();
        order.recipe.capsule_type = espresso_capsules[i].type;
        recipe_variant(&order.recipe, espresso_capsules[i].variant);
        order.recipe.volume_ml = espresso_capsules[i].volume_ml;
        taken(&order);
        order.recipe.volume_ml = espresso_capsules[i].volume_ml_max;
        taken(&order);
    }
}

TEST(tables_are_whole)
{
    for (uint32_t i = 0; i < ESPRESSO_CODE_COUNT; i++) {
        CHECK(espresso_codes[i].code != NULL && espresso_codes[i].sentence != NULL);
        CHECK_EQ(espresso_code_from(str_from(espresso_codes[i].code)), i); /* so names are unique */
        CHECK(!espresso_codes[i].holds || espresso_codes[i].needs_hands);
    }
    CHECK_EQ(espresso_code_from(STR("no_such")), ESPRESSO_CODE_COUNT);
    for (uint32_t i = 0; i < ESPRESSO_STATE_COUNT; i++)
        CHECK(espresso_state_name((enum espresso_state)i) != NULL);
    CHECK_STR(espresso_state_name((enum espresso_state)99), "unknown_state");
    for (uint32_t i = 0; i < ESPRESSO_LIMIT_COUNT; i++) {
        const struct limit *limit = &espresso_limits[i];
        CHECK(limit->field != NULL && limit->min <= limit->preset && limit->preset <= limit->max);
    }
}

TEST(words_go_there_and_back)
{
    enum espresso_capsule_type type;
    enum espresso_action action;
    enum espresso_model model;
    CHECK_OK(espresso_capsule_type_from(STR("vertuo"), &type));
    CHECK_STR(espresso_capsule_type_name(type), "vertuo");
    CHECK_ERR(espresso_capsule_type_from(STR("Vertuo"), &type), ERR_INPUT);
    CHECK_ERR(espresso_capsule_type_from(STR(""), &type), ERR_INPUT);
    CHECK_OK(espresso_action_from(STR("press_button"), &action));
    CHECK_STR(espresso_action_name(action), "press_button");
    CHECK_ERR(espresso_action_from(STR("press"), &action), ERR_INPUT);
    CHECK_OK(espresso_model_from(STR("original_only"), &model));
    CHECK_STR(espresso_model_name(model), "original_only");
    CHECK_ERR(espresso_model_from(STR("three"), &model), ERR_INPUT);
}

TEST(calibration_by_name_and_in_range)
{
    struct espresso_calibration calibration = espresso_calibration_preset();
    CHECK(espresso_calibration_fault(&calibration) == NULL);
    for (size_t i = 0; i < espresso_calibration_limit_count; i++) {
        const struct limit *limit = &espresso_calibration_limits[i];
        struct str name = str_from(limit->field);
        CHECK(limit->min >= 0);
        CHECK_OK(espresso_calibration_set(&calibration, name, limit->preset));
        CHECK_ERR(espresso_calibration_set(&calibration, name, limit->min - 1), ERR_INPUT);
        CHECK_ERR(espresso_calibration_set(&calibration, name, limit->max + 1), ERR_INPUT);
    }
    CHECK_ERR(espresso_calibration_set(&calibration, STR("volts"), 5), ERR_NOT_FOUND);
    CHECK(espresso_calibration_fault(&calibration) == NULL);
    CHECK_EQ(calibration.pick_steps, 200);
    CHECK_OK(espresso_calibration_set(&calibration, STR("pick_steps"), 400));
    CHECK_EQ(calibration.pick_steps, 400);
}

TEST(calibration_faults_have_names)
{
    struct espresso_calibration calibration = espresso_calibration_preset();
    calibration.pump_off_ma = calibration.pump_on_ma;
    CHECK_STR(espresso_calibration_fault(&calibration), "pump_off_ma");
    calibration = espresso_calibration_preset();
    calibration.sensor_stuck_ms = calibration.pump_confirm_ms;
    CHECK_STR(espresso_calibration_fault(&calibration), "sensor_stuck_ms");
    calibration = espresso_calibration_preset();
    calibration.idle_steps = calibration.pick_steps;
    CHECK_STR(espresso_calibration_fault(&calibration), "idle_steps");
    calibration = espresso_calibration_preset();
    calibration.insert_steps = 20000;
    CHECK_STR(espresso_calibration_fault(&calibration), "steps_per_s");
    calibration = (struct espresso_calibration){0};
    CHECK_STR(espresso_calibration_fault(&calibration), "pick_steps");

    struct espresso machine; /* an unusable one is not used */
    espresso_init(&machine, ESPRESSO_BOTH, &calibration);
    CHECK_EQ(machine.calibration.pick_steps, 200);
}
