/* The window as a kind, over its physics: alone, and with the whole program around it. */
#include "device/device_window.h"
#include "device/fake.h"
#include "machine/window/window_physics.h"

static struct fake fake;
static struct window_physics physics;
static struct window_outputs outputs;
static struct device_window window;
static struct rng rng;
static int64_t now_ms, physics_ms;
static const struct device_kind *const kind = &device_window_kind;

/* With the program around it, the metal lives by the program's clock. */
static void read_wires(void *context, struct window_input *ret_input)
{
    if (context != NULL && fake.now_ms > physics_ms) {
        window_physics_step(&physics, &outputs, (uint32_t)(fake.now_ms - physics_ms), &rng);
        physics_ms = fake.now_ms;
    }
    *ret_input = window_physics_read(&physics);
}

static void drive_wires(void *context, const struct window_outputs *driven)
{
    (void)context;
    outputs = *driven;
}

static void metal_init(void)
{
    rng_init(&rng, 3);
    window_physics_init(&physics);
    outputs = (struct window_outputs){0};
    now_ms = 0;
}

static void power_on(void)
{
    const struct device_window_wires wires = {.read = read_wires, .drive = drive_wires};
    metal_init();
    device_window_init(&window, &wires);
    kind->boot(&window);
}

static enum device_act step(void)
{
    window_physics_step(&physics, &outputs, 10, &rng);
    now_ms += 10;
    return kind->step(&window, now_ms, 10);
}

static struct device_command command_of(const char *payload)
{
    return (struct device_command){
        .command_id = 1, .name = STR("set_position"), .payload = str_from(payload)};
}

static void begin(const char *payload)
{
    const struct device_command command = command_of(payload);
    const char *reason = NULL;
    for (int i = 0; i < 120; i++)
        CHECK_EQ(step(), DEVICE_IDLE);
    CHECK_OK(kind->prepare(&window, &command, &reason));
    CHECK(window_outputs_off(&outputs));
    kind->start(&window, &command);
}

static enum device_act run_to_end(int64_t limit_ms)
{
    enum device_act act = DEVICE_ACTING;
    int64_t until = now_ms + limit_ms;
    while (act == DEVICE_ACTING && now_ms < until)
        act = step();
    return act;
}

static int64_t measured(const char *name)
{
    int64_t number[JOURNAL_NUMBERS_MAX];
    kind->measure(&window, number);
    for (uint32_t i = 0; i < kind->number_count; i++) {
        if (strcmp(kind->number_names[i], name) == 0)
            return number[i];
    }
    return -1;
}

/* ---- messages ---- */

TEST(a_position_is_read_as_the_server_writes_it)
{
    struct window_order order;
    CHECK_OK(device_window_order(STR("{\"position\":40}"), &order));
    CHECK_EQ(order.position_mpct, 40000);
    CHECK_OK(device_window_order(STR("{\"position\":33.333,\"why\":\"warm\"}"), &order));
    CHECK_EQ(order.position_mpct, 33333);
    static const char *const bad[] = {"{}",
                                      "[]",
                                      "",
                                      "{\"position\":\"40\"}",
                                      "{\"position\":null}",
                                      "{\"position\":1e30}",
                                      "{\"position\":{}}"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        NOTE("%s", bad[i]);
        CHECK_ERR(device_window_order(str_from(bad[i]), &order), ERR_INPUT);
    }
}

TEST(orders_are_refused_by_name_and_move_nothing)
{
    static const struct {
        const char *name, *payload, *reason;
        uint32_t faults;
    } cases[] = {
        {"brew", "{}", "unknown_command", 0},
        {"set_position", "{}", "bad_payload", 0},
        {"set_position", "{\"position\":101}", "out_of_limits", 0},
        {"set_position", "{\"position\":-0.001}", "out_of_limits", 0},
        {"set_position", "{\"position\":50}", "estop", WINDOW_FAULT_ESTOP},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const char *reason = NULL;
        power_on();
        physics.faults = cases[i].faults;
        struct device_command command = command_of(cases[i].payload);
        command.name = str_from(cases[i].name);
        CHECK(kind->prepare(&window, &command, &reason) != ERR_OK);
        CHECK_STR(reason, cases[i].reason);
        CHECK_EQ(physics.travels, 0);
    }
}

TEST(an_order_while_one_is_carried_out_waits)
{
    const char *reason = NULL;
    const struct device_command other = command_of("{\"position\":10}");
    power_on();
    begin("{\"position\":90}");
    (void)step();
    CHECK_ERR(kind->prepare(&window, &other, &reason), ERR_AGAIN);
}

/* ---- acting ---- */

TEST(a_move_is_complete_with_what_was_measured)
{
    power_on();
    CHECK_EQ(measured("position"), JOURNAL_NO_NUMBER); /* nobody knows it yet */
    begin("{\"position\":40}");
    CHECK_EQ(run_to_end(30000), DEVICE_COMPLETED);
    CHECK_NEAR((double)measured("position"), 40000.0, 300.0);
    CHECK_NEAR((double)measured("travel_mm"), 404000.0, 1000.0);
    CHECK(measured("peak_current_a") > 300);
    CHECK(measured("moved_ms") > 1000000);
    CHECK_STR(kind->reason(&window), "");
    CHECK_EQ(step(), DEVICE_IDLE);
    CHECK(window_outputs_off(&outputs));
}

TEST(the_curve_begins_when_there_is_a_position)
{
    int32_t row[1 + WIRE_COLUMNS_MAX];
    unsigned rows = 0;
    power_on();
    begin("{\"position\":40}");
    while (step() == DEVICE_ACTING) {
        if (!kind->sample(&window, row))
            continue;
        CHECK(window.machine.calibrated);
        CHECK(row[1] >= 0 && row[1] <= 100000);
        rows++;
    }
    CHECK(rows > 20);
}

TEST(a_pinch_is_reported_with_its_place)
{
    power_on();
    begin("{\"position\":80}");
    CHECK_EQ(run_to_end(30000), DEVICE_COMPLETED);
    physics.faults = WINDOW_FAULT_OBSTACLE;
    begin("{\"position\":0}");
    CHECK_EQ(run_to_end(30000), DEVICE_FAILED);
    CHECK_STR(kind->reason(&window), "pinched");
    CHECK_NEAR((double)measured("position"), 100000.0 * window_physics_opening(&physics), 500.0);
    CHECK(measured("peak_current_a") >= 800);
}

TEST(a_stop_is_honoured)
{
    power_on();
    begin("{\"position\":40}");
    CHECK_EQ(run_to_end(30000), DEVICE_COMPLETED);
    begin("{\"position\":100}");
    for (int i = 0; i < 100; i++)
        CHECK_EQ(step(), DEVICE_ACTING);
    kind->stop(&window);
    kind->stop(&window);
    CHECK_EQ(run_to_end(1500), DEVICE_CANCELLED);
    CHECK_STR(kind->reason(&window), "stopped");
    CHECK(measured("position") > 42000 && measured("position") < 80000);
}

TEST(time_over_is_a_failure_and_cut_is_at_once)
{
    power_on();
    begin("{\"position\":100}");
    for (int i = 0; i < 100; i++)
        (void)step();
    kind->time_over(&window);
    CHECK_EQ(run_to_end(kind->wind_down_ms), DEVICE_FAILED);
    CHECK_STR(kind->reason(&window), "timeout");
    begin("{\"position\":100}");
    for (int i = 0; i < 100; i++)
        (void)step();
    CHECK(!window_outputs_off(&outputs));
    kind->cut(&window);
    CHECK(window_outputs_off(&outputs));
    CHECK_STR(kind->reason(&window), "timeout");
    CHECK_EQ(step(), DEVICE_IDLE);
}

TEST(power_loss_forgets_the_ends)
{
    const struct device_window_wires wires = {.read = read_wires, .drive = drive_wires};
    power_on();
    begin("{\"position\":40}");
    CHECK_EQ(run_to_end(30000), DEVICE_COMPLETED);
    window_physics_power(&physics);
    device_window_init(&window, &wires);
    kind->boot(&window);
    CHECK(!window.machine.calibrated);
    CHECK_EQ(measured("position"), JOURNAL_NO_NUMBER);
    begin("{\"position\":60}");
    CHECK_EQ(run_to_end(30000), DEVICE_COMPLETED);
    CHECK_NEAR(100.0 * window_physics_opening(&physics), 60.0, 0.5);
}

/* ---- configuration ---- */

TEST(a_configuration_is_taken_over)
{
    power_on();
    CHECK_EQ(window.sensors.interval_s, 5);
    kind->configure(&window, STR("{\"sensors\":{\"interval_s\":20,\"audio_s\":0},"
                                 "\"calibration\":{\"speed_mm_s\":55,\"pinch_ma\":700}}"));
    CHECK_EQ(window.sensors.interval_s, 20);
    CHECK_EQ(window.sensors.audio_s, 0);
    CHECK_EQ(window.machine.calibration.speed_mm_s, 55);
    CHECK_EQ(window.machine.calibration.pinch_ma, 700);
    /* What is out of range, or of another time, leaves the preset. */
    kind->configure(&window, STR("{\"sensors\":{\"interval_s\":0,\"audio_s\":99999},"
                                 "\"calibration\":{\"pinch_ma\":1,\"wings\":2},\"new\":[1]}"));
    CHECK_EQ(window.sensors.interval_s, 5);
    CHECK_EQ(window.sensors.audio_s, 30);
    CHECK_EQ(window.machine.calibration.pinch_ma, 800);
    kind->configure(&window, STR("{\"calibration\":{\"home_mm_s\":5}}")); /* not with the rest */
    CHECK_EQ(window.machine.calibration.home_mm_s, 50);
    kind->configure(&window, STR("not json"));
}

TEST(a_hello_does_not_make_it_forget_the_ends)
{
    power_on();
    begin("{\"position\":40}");
    CHECK_EQ(run_to_end(30000), DEVICE_COMPLETED);
    kind->configure(&window, STR("{\"sensors\":{\"interval_s\":7}}"));
    CHECK(window.machine.calibrated);
    kind->configure(&window, STR("{\"calibration\":{\"counts_per_cm\":210}}"));
    CHECK(!window.machine.calibrated); /* it was measured with another ruler */
}

TEST(sensors_are_json_without_a_position_nobody_knows)
{
    char storage[DEVICE_SENSORS_BYTES];
    struct text text;
    struct wire_value root, value;
    power_on();
    text_init(&text, storage, sizeof(storage));
    kind->sensors(&window, &text);
    CHECK_OK(wire_open((struct str){text.at, text.len}, &root, NULL));
    CHECK(!wire_find(root, "position", &value));
    begin("{\"position\":40}");
    CHECK_EQ(run_to_end(30000), DEVICE_COMPLETED);
    text_init(&text, storage, sizeof(storage));
    kind->sensors(&window, &text);
    CHECK_OK(wire_open((struct str){text.at, text.len}, &root, NULL));
    CHECK(wire_find(root, "position", &value));
    CHECK(wire_find(root, "calibrated", &value));
}

/* ---- with the program around it ---- */

static void program_boot(void)
{
    const struct device_window_wires wires = {
        .context = &fake, .read = read_wires, .drive = drive_wires};
    struct device_options options = fake_options(&fake);
    const struct device_hal hal = {
        .context = &fake,
        .mono_ms = fake_mono,
        .random = fake_random,
        .send = fake_send,
        .flash = {.sector_bytes = FAKE_SECTOR_BYTES,
                  .read = fake_read,
                  .write = fake_write,
                  .erase = fake_erase},
    };
    options.kind = kind;
    options.kind_context = &window;
    outputs = (struct window_outputs){0}; /* no power, no motion */
    window_physics_power(&physics);
    device_window_init(&window, &wires);
    memset(&fake.device, 0xA5, sizeof(fake.device));
    fake.boot++;
    fake.powered = true;
    CHECK_OK(device_init(&fake.device, &options, &hal));
}

static void program_start(uint64_t seed, const char *payload)
{
    fake_init(&fake, seed);
    metal_init();
    physics_ms = fake.now_ms;
    fake.metal_elsewhere = true;
    fake.command_name = "set_position";
    fake.payload = payload;
    fake.max_duration_s = 30;
    program_boot();
}

TEST(an_order_from_the_server_and_back)
{
    program_start(1, "{\"position\":35}");
    struct fake_command *command = fake_order(&fake);
    CHECK(fake_settle(&fake, 60000));
    CHECK_EQ(command->state, FAKE_COMPLETE);
    CHECK_NEAR(100.0 * window_physics_opening(&physics), 35.0, 0.5);
    CHECK(fake.samples > 20);
}

TEST(a_late_calibration_ends_within_its_time)
{
    program_start(2, "{\"position\":0}");
    physics.x_mm = WINDOW_PHYSICS_TRAVEL_MM;
    struct fake_command *command = fake_order(&fake);
    CHECK(fake_settle(&fake, 60000));
    CHECK_EQ(command->state, FAKE_COMPLETE);
    program_start(3, "{\"position\":0}");
    physics.x_mm = WINDOW_PHYSICS_TRAVEL_MM;
    fake.max_duration_s = 10; /* too short for a first order: it ends safe, and says so */
    command = fake_order(&fake);
    CHECK(fake_settle(&fake, 60000));
    CHECK_EQ(command->state, FAKE_FAILED);
    CHECK_STR(command->reason, "timeout");
    CHECK(window_outputs_off(&outputs));
}

/* The board's memory goes at any time of a move; nothing is begun again, and the window is no
 * further than it was. */
TEST(power_goes_in_mid_move)
{
    for (int64_t at_ms = 500; at_ms < 16000; at_ms += 1100) {
        NOTE("after %d ms", (int)at_ms);
        program_start(4, "{\"position\":35}");
        struct fake_command *command = fake_order(&fake);
        while (command->state == FAKE_PENDING)
            fake_turn(&fake);
        int64_t until = fake.now_ms + at_ms;
        while (fake.now_ms < until)
            fake_turn(&fake);
        if (command->state != FAKE_RUNNING)
            continue;
        uint32_t travels = physics.travels;
        program_boot();
        CHECK(fake_settle(&fake, 60000));
        CHECK_EQ(command->state, FAKE_FAILED);
        CHECK_STR(command->reason, "interrupted");
        CHECK_EQ(physics.travels, travels);
    }
}

static enum fake_fault bad_link(struct fake *about, const struct device_exchange *exchange)
{
    (void)exchange;
    uint32_t draw = rng_below(&about->rng, 10);
    return draw < 2 ? FAULT_LOST : draw < 4 ? FAULT_ANSWER_LOST : FAULT_NONE;
}

TEST(a_bad_link_moves_it_once)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        NOTE("seed %u", (unsigned)seed);
        program_start(seed + 10, "{\"position\":35}");
        fake.plan = bad_link;
        struct fake_command *command = fake_order(&fake);
        CHECK(fake_settle(&fake, 300000));
        CHECK(command->state == FAKE_COMPLETE || command->state == FAKE_UNKNOWN ||
              (command->state == FAKE_FAILED && strcmp(command->reason, "not_started") == 0));
        if (command->state == FAKE_COMPLETE)
            CHECK_EQ(fake.device.stats.starts, 1);
    }
}
