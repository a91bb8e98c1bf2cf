/* A twin over real sockets, against a small server on the same loop. */
#include "twin/twin_server.h"

/* ---- helpers ---- */

static struct twin_options preset(void)
{
    return (struct twin_options){
        .id = "m1",
        .server_url = server_url,
        .token = "secret",
        .speed = 100,
        .poll_s = 1,
        .seed = 7,
        .journal_file = kit_path(dir, "journal"),
        .actuations_file = kit_path(dir, "actuations"),
    };
}

/* ---- tests ---- */

TEST(a_brew_from_order_to_report)
{
    server_start();
    struct fake_command *command = fake_order(&fake);
    struct twin_options options = preset();
    options.speed = 20; /* a host that is held up for a moment is held up for less of the brew */
    struct twin *twin = start(&options);
    run_until_settled(command);
    CHECK_EQ(command->state, FAKE_COMPLETE);
    CHECK(command->volume_milli > 36000 && command->volume_milli < 52000);
    CHECK_EQ(recorded("\"motion\""), 1);
    CHECK_EQ(recorded("\"pump\""), 1);
    CHECK(fake.samples > 100);
    CHECK_STR(seen_authorization, "Bearer secret");
    CHECK_EQ(twin_status_get(twin).starts, 1);
    finish(twin);
}

TEST(several_brews_on_one_machine)
{
    server_start();
    for (int i = 0; i < 4; i++)
        (void)fake_order(&fake);
    struct twin_options options = preset();
    options.journal_file = NULL; /* in memory is enough here */
    struct twin *twin = start(&options);
    run_until_settled(&fake.command[3]);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(fake.command[i].state, FAKE_COMPLETE);
    CHECK_EQ(recorded("\"pump\""), 4);
    finish(twin);
}

TEST(power_goes_in_every_step_of_a_brew)
{
    static const char *const steps[] = {"validating", "pre_flight",   "homing",          "picking",
                                        "inserting",  "closing_head", "pressing_button", "brewing",
                                        "monitoring", "ejecting"};
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        char fault[64];
        NOTE("step %s", steps[i]);
        server_start();
        (void)snprintf(fault, sizeof(fault), "reboot_at=%s:once", steps[i]);
        struct fake_command *command = fake_order(&fake);
        struct twin_options options = preset();
        options.faults[0] = fault;
        options.fault_count = 1;
        struct twin *twin = start(&options);
        run_until_settled(command);
        CHECK_EQ(command->state, FAKE_FAILED);
        CHECK_STR(command->reason, "interrupted");
        CHECK(command->volume_milli >= 0);
        CHECK(recorded("\"motion\"") <= 1);
        CHECK(recorded("\"pump\"") <= 1);
        CHECK_EQ(twin_status_get(twin).boots, 2);
        finish(twin);
    }
}

/* SIGKILL takes memory and nothing else: destroying the twin does the same to its board. */
TEST(a_killed_twin_remembers_from_its_file)
{
    server_start();
    struct fake_command *command = fake_order(&fake);
    struct twin_options options = preset();
    struct twin *twin = start(&options);
    while (twin_status_get(twin).pump_starts == 0)
        CHECK(loop_turn_wait(loop));
    twin_destroy(twin);
    twin = start(&options);
    run_until_settled(command);
    CHECK_EQ(command->state, FAKE_FAILED);
    CHECK_STR(command->reason, "interrupted");
    CHECK_EQ(recorded("\"pump\""), 1);
    finish(twin);
}

TEST(a_wiped_journal_leaves_it_unknown)
{
    server_start();
    struct fake_command *command = fake_order(&fake);
    struct twin_options options = preset();
    options.faults[0] = "reboot_at=brewing:once";
    options.faults[1] = "journal_lost";
    options.fault_count = 2;
    struct twin *twin = start(&options);
    run_until_settled(command);
    CHECK_EQ(command->state, FAKE_UNKNOWN);
    CHECK_EQ(recorded("\"pump\"") <= 1, 1);
    finish(twin);
}

TEST(a_bad_link_changes_nothing)
{
    server_start();
    struct fake_command *command = fake_order(&fake);
    struct twin_options options = preset();
    options.faults[0] = "link_loss:once";
    options.fault_count = 1;
    struct twin *twin = start(&options);
    run_until_settled(command);
    CHECK(command->state == FAKE_COMPLETE ||
          (command->state == FAKE_FAILED && strcmp(command->reason, "not_started") == 0));
    CHECK_EQ(recorded("\"pump\""), command->state == FAKE_COMPLETE);
    CHECK(twin_status_get(twin).link_errors > 0);
    finish(twin);
}

TEST(faults_of_the_machine_have_their_names)
{
    static const struct {
        const char *fault, *reason;
        enum fake_state state;
    } cases[] = {
        {"jam_pick:once", "pick_failed", FAKE_FAILED},
        {"button_dead:once", "button_failed", FAKE_FAILED},
        {"water_low", "water_low", FAKE_REJECTED},
        {"magazine_empty", "magazine_empty", FAKE_REJECTED},
        {"estop", "estop", FAKE_REJECTED},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        NOTE("fault %s", cases[i].fault);
        server_start();
        struct fake_command *command = fake_order(&fake);
        struct twin_options options = preset();
        options.faults[0] = cases[i].fault;
        options.fault_count = 1;
        struct twin *twin = start(&options);
        run_until_settled(command);
        CHECK_EQ(command->state, cases[i].state);
        CHECK_STR(command->reason, cases[i].reason);
        CHECK_EQ(recorded("\"pump\""), 0);
        finish(twin);
    }
}

TEST(a_stop_presses_the_button_again)
{
    server_start();
    struct fake_command *command = fake_order(&fake);
    struct twin_options options = preset();
    options.speed = 20;
    struct twin *twin = start(&options);
    while (twin_status_get(twin).pump_starts == 0)
        CHECK(loop_turn_wait(loop));
    command->stop = true;
    run_until_settled(command);
    /* The brew may have been over before the stop came through. */
    CHECK(command->state == FAKE_CANCELLED || command->state == FAKE_COMPLETE);
    finish(twin);
}

TEST(a_token_of_its_own_outlives_the_process)
{
    char first[256];
    struct stat status;
    server_start();
    fake.waiting = true;
    struct twin_options options = preset();
    options.token = "auto";
    struct twin *twin = start(&options);
    while (fake.hellos == 0)
        CHECK(loop_turn_wait(loop));
    memcpy(first, seen_authorization, sizeof(first));
    CHECK_EQ(strlen(first), strlen("Bearer ") + 64);
    CHECK_EQ(stat(kit_path(dir, "journal.token"), &status), 0);
    CHECK_EQ(status.st_mode & 0777, 0600);
    twin_destroy(twin);
    fake.waiting = false;
    struct fake_command *command = fake_order(&fake);
    twin = start(&options);
    run_until_settled(command);
    CHECK_STR(seen_authorization, first);
    finish(twin);
}

TEST(two_twins_cannot_share_a_journal)
{
    char why[128];
    struct twin *second;
    server_start();
    struct twin_options options = preset();
    struct twin *twin = start(&options);
    CHECK_ERR(twin_create(loop, &options, why, sizeof(why), &second), ERR_CONFLICT);
    CHECK_STR(why, "journal: another process is this board");
    finish(twin);
}

TEST(somebody_elses_file_is_not_overwritten)
{
    char why[128];
    struct twin *twin;
    server_start();
    struct twin_options options = preset();
    CHECK_OK(file_write_atomic(options.journal_file, "my notes", 8, 0600));
    CHECK_ERR(twin_create(loop, &options, why, sizeof(why), &twin), ERR_INPUT);
    size_t len;
    CHECK_STR(kit_read_file(options.journal_file, &len), "my notes");
    loop_destroy(loop);
}

TEST(unusable_options_are_named)
{
    char why[128];
    struct twin *twin;
    server_start();
    struct twin_options options = preset();
    options.id = "a/b";
    CHECK_ERR(twin_create(loop, &options, why, sizeof(why), &twin), ERR_INPUT);
    options = preset();
    options.kind = "toaster";
    CHECK_ERR(twin_create(loop, &options, why, sizeof(why), &twin), ERR_INPUT);
    CHECK(strstr(why, "toaster") != NULL);
    options = preset();
    options.server_url = "ftp://x";
    CHECK_ERR(twin_create(loop, &options, why, sizeof(why), &twin), ERR_INPUT);
    options = preset();
    options.faults[0] = "gremlins";
    options.fault_count = 1;
    CHECK_ERR(twin_create(loop, &options, why, sizeof(why), &twin), ERR_INPUT);
    CHECK(strstr(why, "gremlins") != NULL);
    options.faults[0] = "reboot_at=nowhere";
    CHECK_ERR(twin_create(loop, &options, why, sizeof(why), &twin), ERR_INPUT);
    options = preset();
    options.token = "a\r\nX-Evil: 1";
    CHECK_ERR(twin_create(loop, &options, why, sizeof(why), &twin), ERR_INPUT);
    loop_destroy(loop);
}

/* A server that is not there is a link error and nothing else. */
TEST(no_server_is_only_a_link_error)
{
    server_start();
    struct twin_options options = preset();
    options.server_url = "https://127.0.0.1:1";
    struct twin *twin = start(&options);
    while (twin_status_get(twin).link_errors < 2)
        CHECK(loop_turn_wait(loop));
    CHECK_STR(twin_status_get(twin).phase, "hello");
    finish(twin);
}
