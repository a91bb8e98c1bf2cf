/* A window twin over real sockets: orders, faults, power, and the readings of its room. */
#include "twin/twin_server.h"

static void window_start(const char *payload)
{
    server_start();
    fake.command_name = "set_position";
    fake.payload = payload;
    fake.max_duration_s = 30;
}

static struct twin_options preset(void)
{
    return (struct twin_options){
        .kind = "window",
        .id = "m1",
        .server_url = server_url,
        .token = "secret",
        .speed = 50,
        .poll_s = 1,
        .seed = 7,
        .actuations_file = kit_path(dir, "actuations"),
        .sensor_s = UINT32_MAX,
        .audio_s = UINT32_MAX,
    };
}

TEST(an_order_from_the_server_moves_it)
{
    window_start("{\"position\":40}");
    struct fake_command *command = fake_order(&fake);
    struct twin_options options = preset();
    options.speed = 20;
    struct twin *twin = start(&options);
    run_until_settled(command);
    CHECK_EQ(command->state, FAKE_COMPLETE);
    CHECK_EQ(recorded("\"motion\""), 1);
    CHECK(recorded("\"travel\"") >= 1);
    CHECK(fake.samples > 10);
    CHECK_EQ(twin_status_get(twin).starts, 1);
    CHECK_EQ(readings_posts, 0);
    finish(twin);
}

TEST(faults_of_the_window_have_their_names)
{
    static const struct {
        const char *fault, *reason;
        enum fake_state state;
    } cases[] = {
        {"obstacle:once", "pinched", FAKE_FAILED},
        {"endstop_stuck", "endstop_stuck", FAKE_FAILED},
        {"motor_dead:once", "motor_dead", FAKE_FAILED},
        {"sensor_stuck", "sensor_fault", FAKE_FAILED},
        {"estop", "estop", FAKE_REJECTED},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        NOTE("fault %s", cases[i].fault);
        window_start("{\"position\":40}");
        struct fake_command *command = fake_order(&fake);
        struct twin_options options = preset();
        options.faults[0] = cases[i].fault;
        options.fault_count = 1;
        struct twin *twin = start(&options);
        run_until_settled(command);
        CHECK_EQ(command->state, cases[i].state);
        CHECK_STR(command->reason, cases[i].reason);
        finish(twin);
    }
}

TEST(a_fault_of_another_kind_is_none)
{
    char why[128];
    struct twin *twin;
    window_start("{\"position\":40}");
    struct twin_options options = preset();
    options.faults[0] = "jam_pick";
    options.fault_count = 1;
    CHECK_ERR(twin_create(loop, &options, why, sizeof(why), &twin), ERR_INPUT);
    CHECK(strstr(why, "jam_pick") != NULL);
    options.faults[0] = "reboot_at=brewing";
    CHECK_ERR(twin_create(loop, &options, why, sizeof(why), &twin), ERR_INPUT);
    loop_destroy(loop);
}

TEST(power_goes_in_every_step_of_a_move)
{
    static const char *const steps[] = {"homing", "calibrating", "moving", "sealing"};
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        char fault[64];
        NOTE("step %s", steps[i]);
        window_start("{\"position\":0}");
        (void)snprintf(fault, sizeof(fault), "reboot_at=%s:once", steps[i]);
        struct fake_command *command = fake_order(&fake);
        struct twin_options options = preset();
        options.faults[0] = fault;
        options.fault_count = 1;
        struct twin *twin = start(&options);
        run_until_settled(command);
        CHECK_EQ(command->state, FAKE_FAILED);
        CHECK_STR(command->reason, "interrupted");
        CHECK(recorded("\"motion\"") <= 1);
        CHECK_EQ(twin_status_get(twin).boots, 2);
        finish(twin);
    }
}

/* ---- the room ---- */

TEST(readings_leave_by_themselves)
{
    window_start("{\"position\":40}");
    struct twin_options options = preset();
    options.sensor_s = 1;
    struct twin *twin = start(&options);
    while (readings_posts < 2)
        CHECK(loop_turn_wait(loop));
    CHECK(strstr(readings_body, "{\"readings\":[{\"type\":\"temperature\",\"value\":") != NULL);
    CHECK(strstr(readings_body, "{\"type\":\"humidity\",\"value\":") != NULL);
    CHECK(strstr(readings_body, "{\"type\":\"co2\",\"value\":") != NULL);
    CHECK(strstr(readings_body, "\"provenance\":\"simulated\"") != NULL);
    CHECK(strstr(readings_body, "audio") == NULL);
    CHECK(twin_status_get(twin).published >= 6);
    finish(twin);
}

TEST(a_position_is_told_once_it_is_known)
{
    window_start("{\"position\":40}");
    struct twin_options options = preset();
    options.sensor_s = 1;
    options.speed = 20;
    struct twin *twin = start(&options);
    while (readings_posts < 1)
        CHECK(loop_turn_wait(loop));
    CHECK(strstr(readings_body, "position") == NULL); /* the ends are not found yet */
    run_until_settled(fake_order(&fake));
    unsigned before = readings_posts;
    while (readings_posts < before + 2)
        CHECK(loop_turn_wait(loop));
    CHECK(strstr(readings_body, "{\"type\":\"position\",\"value\":40") != NULL ||
          strstr(readings_body, "{\"type\":\"position\",\"value\":39.9") != NULL);
    finish(twin);
}

TEST(sound_leaves_as_two_seconds_of_samples)
{
    window_start("{\"position\":40}");
    struct twin_options options = preset();
    options.audio_s = 1;
    struct twin *twin = start(&options);
    while (readings_posts == 0)
        CHECK(loop_turn_wait(loop));
    static const char head[] = "{\"readings\":[{\"type\":\"audio\",\"rate\":16000,"
                               "\"provenance\":\"simulated\",\"pcm\":\"";
    CHECK(strncmp(readings_body, head, sizeof(head) - 1) == 0);
    const char *pcm = readings_body + sizeof(head) - 1;
    size_t len = strcspn(pcm, "\"");
    CHECK_EQ(len, (2 * 16000 * 2 + 2) / 3 * 4);
    CHECK_STR(pcm + len, "\"}]}");
    finish(twin);
}

/* The configured intervals hold when no option says otherwise. */
TEST(a_board_that_waits_for_staff_says_nothing)
{
    window_start("{\"position\":40}");
    fake.waiting = true;
    struct twin_options options = preset();
    options.sensor_s = options.audio_s = 0;
    struct twin *twin = start(&options);
    while (fake.hellos == 0)
        CHECK(loop_turn_wait(loop));
    for (int i = 0; i < 20; i++)
        CHECK(loop_turn_wait(loop));
    CHECK_EQ(readings_posts, 0);
    fake.waiting = false;
    while (readings_posts == 0)
        CHECK(loop_turn_wait(loop));
    finish(twin);
}

/* Temperature and CO2 of the last body. */
static double reading(const char *type)
{
    char key[64];
    double value = -1.0;
    (void)snprintf(key, sizeof(key), "\"type\":\"%s\",\"value\":", type);
    const char *at = strstr(readings_body, key);
    CHECK(at != NULL);
    CHECK_EQ(sscanf(at + strlen(key), "%lf", &value), 1);
    return value;
}

/* The loop is closed: people use up the air of a room whose window is opened too little to matter,
 * and an open window brings it back. */
TEST(opening_it_changes_the_room)
{
    double co2[2];
    for (int open = 0; open < 2; open++) {
        window_start(open != 0 ? "{\"position\":100}" : "{\"position\":0}");
        struct fake_command *command = fake_order(&fake);
        struct twin_options options = preset();
        options.speed = 100; /* a second is more than a minute and a half of the room */
        options.sensor_s = 1;
        struct twin *twin = start(&options);
        run_until_settled(command);
        CHECK_EQ(command->state, FAKE_COMPLETE);
        unsigned before = readings_posts;
        while (readings_posts < before + 4)
            CHECK(loop_turn_wait(loop));
        co2[open] = reading("co2");
        CHECK(reading("temperature") > 0.0 && reading("temperature") < 40.0);
        finish(twin);
    }
    CHECK(co2[1] < co2[0]);
}
