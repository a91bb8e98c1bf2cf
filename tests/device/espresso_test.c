/* The espresso machine as a kind, over its physics, without the program around it. */
#include "device/device_espresso.h"
#include "kit/kit.h"
#include "machine/espresso/espresso_physics.h"

#include <string.h>

#define RECIPE                                                                                     \
    "{\"volume_ml\":40,\"temperature_c\":92.5,\"pre_infusion_ms\":300,"                            \
    "\"capsule_type\":\"original\",\"capsule_variant\":\"espresso\"}"

static struct espresso_physics physics;
static struct espresso_outputs outputs;
static struct device_espresso espresso;
static struct rng rng;
static int64_t now_ms;
static const struct device_kind *const kind = &device_espresso_kind;

static void read_wires(void *context, struct espresso_input *ret_input)
{
    (void)context;
    *ret_input = espresso_physics_read(&physics);
}

static void drive_wires(void *context, const struct espresso_outputs *driven)
{
    (void)context;
    outputs = *driven;
}

static void power_on(void)
{
    const struct device_espresso_wires wires = {.read = read_wires, .drive = drive_wires};
    rng_init(&rng, 3);
    espresso_physics_init(&physics);
    outputs = (struct espresso_outputs){0};
    now_ms = 0;
    device_espresso_init(&espresso, ESPRESSO_ORIGINAL_ONLY, &wires);
    kind->boot(&espresso);
}

static enum device_act step(void)
{
    espresso_physics_step(&physics, &outputs, 20, &rng);
    now_ms += 20;
    return kind->step(&espresso, now_ms, 20);
}

static struct device_command command_of(const char *payload)
{
    return (struct device_command){
        .command_id = 1, .name = STR("brew"), .payload = str_from(payload)};
}

static void begin(void)
{
    const struct device_command command = command_of(RECIPE);
    const char *reason = NULL;
    for (int i = 0; i < 50; i++)
        CHECK_EQ(step(), DEVICE_IDLE);
    CHECK_OK(kind->prepare(&espresso, &command, &reason));
    CHECK(espresso_outputs_off(&outputs));
    kind->start(&espresso, &command);
}

static enum device_act run_to_end(int64_t limit_ms)
{
    enum device_act act = DEVICE_ACTING;
    int64_t until = now_ms + limit_ms;
    while (act == DEVICE_ACTING && now_ms < until)
        act = step();
    return act;
}

static int64_t measured(unsigned index)
{
    int64_t number[JOURNAL_NUMBERS_MAX];
    kind->measure(&espresso, number);
    return number[index];
}

TEST(a_recipe_is_read_as_the_server_writes_it)
{
    struct espresso_order order;
    CHECK_OK(device_espresso_order(
        STR(RECIPE),
        STR("{\"capsule_slot\":2,\"motor_steps_per_ml\":10,\"insert_sequence\":["
            "{\"action\":\"pick\",\"params\":{\"slot\":2}},{\"action\":\"insert\",\"params\":{}},"
            "{\"action\":\"latch\"},{\"action\":\"press_button\",\"params\":{\"duration_ms\":200}}"
            "]}"),
        &order));
    CHECK_EQ(order.recipe.volume_ml, 40);
    CHECK_EQ(order.recipe.temperature_mc, 92500);
    CHECK_EQ(order.recipe.pre_infusion_ms, 300);
    CHECK_EQ(order.recipe.capsule_type, ESPRESSO_ORIGINAL);
    CHECK_STR(order.recipe.capsule_variant, "espresso");
    CHECK_EQ(order.instructions.capsule_slot, 2);
    CHECK_EQ(order.instructions.sequence_count, 4);
    CHECK_EQ(order.instructions.sequence[0].slot, 2);
    CHECK_EQ(order.instructions.sequence[3].duration_ms, 200);
}

TEST(a_recipe_inside_a_payload_is_read_too)
{
    struct espresso_order order;
    CHECK_OK(device_espresso_order(
        STR("{\"recipe\":{\"volume_ml\":25},\"accessory_instructions\":{\"capsule_slot\":3}}"),
        STR_NONE, &order));
    CHECK_EQ(order.recipe.volume_ml, 25);
    CHECK_EQ(order.recipe.temperature_mc, 92000); /* the preset */
    CHECK_STR(order.recipe.capsule_variant, "");
    CHECK_EQ(order.instructions.capsule_slot, 3);
}

TEST(a_recipe_with_a_wrong_type_is_not_guessed_at)
{
    static const char *const bad[] = {
        "{}",
        "[]",
        "{\"volume_ml\":\"lots\"}",
        "{\"volume_ml\":40.5}",
        "{\"volume_ml\":-40}",
        "{\"volume_ml\":40,\"temperature_c\":\"hot\"}",
        "{\"volume_ml\":40,\"temperature_c\":1e9}",
        "{\"volume_ml\":40,\"pre_infusion_ms\":true}",
        "{\"volume_ml\":40,\"capsule_type\":\"pod\"}",
        "{\"volume_ml\":40,\"capsule_type\":1}",
        "{\"volume_ml\":40,\"capsule_variant\":\"a name that is far longer than there is room\"}",
        "{\"recipe\":[]}",
        "{\"volume_ml\":40,\"accessory_instructions\":5}",
        "{\"volume_ml\":40,\"accessory_instructions\":{\"capsule_slot\":\"two\"}}",
        "{\"volume_ml\":40,\"accessory_instructions\":{\"insert_sequence\":{}}}",
        "{\"volume_ml\":40,\"accessory_instructions\":{\"insert_sequence\":[{}]}}",
        "{\"volume_ml\":40,\"actuator_sequence\":{\"insert_sequence\":[{\"action\":\"x\"}]}}",
    };
    struct espresso_order order;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        NOTE("%s", bad[i]);
        CHECK_ERR(device_espresso_order(str_from(bad[i]), STR_NONE, &order), ERR_INPUT);
    }
}

TEST(a_brew_runs_to_its_end)
{
    power_on();
    begin();
    CHECK_EQ(run_to_end(120000), DEVICE_COMPLETED);
    CHECK_EQ(physics.pump_starts, 1);
    CHECK(measured(0) > 36000 && measured(0) < 44000);
    CHECK(measured(1) > 5000000);
    CHECK_STR(kind->reason(&espresso), "");
    CHECK_EQ(step(), DEVICE_IDLE); /* an ending is told once */
    CHECK_EQ(run_to_end(1000), DEVICE_IDLE);
}

TEST(refusals_before_anything_moves)
{
    static const struct {
        const char *payload, *reason;
        uint32_t faults;
    } cases[] = {
        {"{\"volume_ml\":4000}", "out_of_limits", 0},
        {"{\"volume_ml\":\"x\"}", "bad_payload", 0},
        {"{\"volume_ml\":150,\"capsule_type\":\"vertuo\"}", "capsule_mismatch", 0},
        {RECIPE, "water_low", ESPRESSO_FAULT_WATER_LOW},
        {RECIPE, "magazine_empty", ESPRESSO_FAULT_MAGAZINE_EMPTY},
        {RECIPE, "estop", ESPRESSO_FAULT_ESTOP},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct device_command command = command_of(cases[i].payload);
        const char *reason = "";
        NOTE("%s, faults %x", cases[i].payload, (unsigned)cases[i].faults);
        power_on();
        physics.faults = cases[i].faults;
        for (int n = 0; n < 50; n++)
            (void)step();
        CHECK(kind->prepare(&espresso, &command, &reason) != ERR_OK);
        CHECK_STR(reason, cases[i].reason);
        CHECK(espresso_outputs_off(&outputs));
    }
    power_on();
    struct device_command command = command_of(RECIPE);
    const char *reason = "";
    command.name = STR("dance");
    CHECK_ERR(kind->prepare(&espresso, &command, &reason), ERR_REFUSED);
    CHECK_STR(reason, "unknown_command");
}

TEST(a_stop_ends_it_with_what_was_poured)
{
    power_on();
    begin();
    while (!physics.pump_on || physics.volume_ml < 5)
        CHECK_EQ(step(), DEVICE_ACTING);
    kind->stop(&espresso);
    CHECK_EQ(run_to_end(30000), DEVICE_CANCELLED);
    CHECK(measured(0) > 3000 && measured(0) < 30000);
    CHECK(!physics.pump_on);
}

TEST(a_stop_before_the_first_step)
{
    power_on();
    begin();
    kind->stop(&espresso);
    CHECK_EQ(run_to_end(30000), DEVICE_CANCELLED);
    CHECK_EQ(physics.pump_starts, 0);
}

TEST(time_over_winds_down_in_time)
{
    power_on();
    begin();
    while (!physics.pump_on)
        CHECK_EQ(step(), DEVICE_ACTING);
    int64_t told_ms = now_ms;
    kind->time_over(&espresso);
    CHECK_EQ(run_to_end(60000), DEVICE_FAILED);
    CHECK_STR(kind->reason(&espresso), "timeout");
    CHECK(now_ms - told_ms <= (int64_t)kind->wind_down_ms);
    CHECK(!physics.pump_on);
}

TEST(a_cut_leaves_nothing_energised)
{
    power_on();
    begin();
    while (!physics.pump_on)
        CHECK_EQ(step(), DEVICE_ACTING);
    kind->cut(&espresso);
    CHECK(espresso_outputs_off(&outputs));
    for (int i = 0; i < 50; i++)
        CHECK_EQ(step(), DEVICE_IDLE);
    CHECK(espresso_outputs_off(&outputs));
    /* The coffee machine itself goes on for a while: the next order waits, it is not refused. */
    const struct device_command command = command_of(RECIPE);
    const char *reason = "";
    CHECK(physics.pump_on);
    CHECK_ERR(kind->prepare(&espresso, &command, &reason), ERR_AGAIN);
    CHECK_STR(reason, "pump_running");
}

TEST(configuration_is_taken_where_it_makes_sense)
{
    power_on();
    kind->configure(&espresso, STR("{\"model\":\"both\",\"calibration\":{\"press_ms\":250,"
                                   "\"unheard_of\":5,\"pick_steps\":\"x\"}}"));
    CHECK_EQ(espresso.model, ESPRESSO_BOTH);
    CHECK_EQ(espresso.machine.model, ESPRESSO_BOTH);
    CHECK_EQ(espresso.calibration.press_ms, 250);
    kind->configure(&espresso, STR("no json"));
    CHECK_EQ(espresso.model, ESPRESSO_BOTH);
    kind->configure(&espresso, STR("{\"model\":\"huge\"}"));
    CHECK_EQ(espresso.model, ESPRESSO_ORIGINAL_ONLY);
}

TEST(sensors_say_where_they_come_from)
{
    char storage[DEVICE_SENSORS_BYTES];
    struct text text;
    struct wire_value root;
    struct wire_value value;
    power_on();
    text_init(&text, storage, sizeof(storage));
    kind->sensors(&espresso, &text);
    CHECK(!text.overflow);
    CHECK_OK(wire_open((struct str){text.at, text.len}, &root, NULL));
    CHECK(wire_find(root, "provenance", &value) && wire_is(value, STR("measured")));
    CHECK(wire_find(root, "magazine_count", &value));
    CHECK(wire_find(root, "estop", &value));
}
