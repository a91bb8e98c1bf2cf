/* The program of a board against a server that behaves, and one fault at a time. */
#include "device/fake.h"

static struct fake fake; /* too big for the stack */

TEST(a_command_is_claimed_carried_out_and_reported)
{
    fake_init(&fake, 1);
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    CHECK(fake_settle(&fake, 20000));
    CHECK_EQ(command->state, FAKE_COMPLETE);
    CHECK_EQ(command->starts, 1);
    CHECK(command->volume_milli >= 3000 && command->volume_milli <= 3020);
    CHECK_EQ(fake.claims, 1);
    CHECK_EQ(fake.reports, 1);
    CHECK_EQ(fake.hellos, 1);
    CHECK_EQ(fake.configured, 1);
    CHECK(fake.samples >= 29);
    fake_run(&fake, 2000);
    CHECK_EQ(journal_find(&fake.device.journal, command->uid)->state, JOURNAL_HEARD);
    CHECK_EQ(fake.device.phase, DEVICE_POLL);
}

TEST(many_commands_in_order)
{
    fake_init(&fake, 2);
    for (int i = 0; i < 200; i++)
        (void)fake_order(&fake);
    fake_boot(&fake);
    CHECK(fake_settle(&fake, 200 * 10000));
    for (uint32_t i = 0; i < 200; i++)
        CHECK_EQ(fake.command[i].state, FAKE_COMPLETE);
    /* The newest 64 are still known; the journal went from sector to sector meanwhile. */
    CHECK(fake.device.journal.generation > 2);
    for (uint32_t i = 200 - JOURNAL_KEEP; i < 200; i++)
        CHECK(journal_find(&fake.device.journal, fake.command[i].uid) != NULL);
}

TEST(idle_polling_keeps_its_pace)
{
    fake_init(&fake, 3);
    fake_boot(&fake);
    fake_run(&fake, 100000);
    CHECK(fake.checks >= 75 && fake.checks <= 135);
    CHECK(fake.machine_progresses >= 18 && fake.machine_progresses <= 23);
    CHECK_STR(fake.last_step, "idle");
}

TEST(waits_until_staff_let_it_in)
{
    fake_init(&fake, 4);
    fake.waiting = true;
    (void)fake_order(&fake);
    fake_boot(&fake);
    fake_run(&fake, 20000);
    CHECK(fake.hellos > 10);
    CHECK_EQ(fake.checks, 0);
    CHECK_EQ(fake.machine_progresses, 0);
    fake.waiting = false;
    CHECK(fake_settle(&fake, 20000));
    CHECK_EQ(fake.command[0].state, FAKE_COMPLETE);
}

TEST(introduces_itself_again_when_its_token_is_refused)
{
    fake_init(&fake, 5);
    fake_boot(&fake);
    fake_run(&fake, 5000);
    fake.unauthorised = true;
    fake_run(&fake, 30000);
    CHECK_EQ(fake.device.phase, DEVICE_HELLO);
    fake.unauthorised = false;
    (void)fake_order(&fake);
    CHECK(fake_settle(&fake, 30000));
    CHECK(fake.hellos >= 2);
}

TEST(a_report_survives_a_revoked_token)
{
    fake_init(&fake, 6);
    (void)fake_order(&fake);
    fake_boot(&fake);
    while (!fake.acting)
        fake_turn(&fake);
    fake.unauthorised = true;
    fake_run(&fake, 20000);
    CHECK_EQ(fake.command[0].state, FAKE_RUNNING);
    fake.unauthorised = false;
    CHECK(fake_settle(&fake, 30000));
    CHECK_EQ(fake.command[0].state, FAKE_COMPLETE);
}

TEST(what_may_not_be_executed_is_left_alone)
{
    fake_init(&fake, 35);
    fake.not_allowed = true;
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    fake_run(&fake, 20000);
    CHECK_EQ(command->state, FAKE_PENDING);
    CHECK_EQ(fake.claims + fake.reports, 0);
}

TEST(a_machine_that_gives_up_by_itself_has_failed)
{
    fake_init(&fake, 36);
    fake.cancels_itself = true; /* nobody asked it to: fake_on_report refuses cancelled */
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    CHECK(fake_settle(&fake, 20000));
    CHECK_EQ(command->state, FAKE_FAILED);
    CHECK_STR(command->reason, "failed");
}

TEST(a_refusal_before_the_claim_is_named)
{
    fake_init(&fake, 7);
    (void)fake_order(&fake);
    fake.refuse = "no_glass";
    fake_boot(&fake);
    CHECK(fake_settle(&fake, 20000));
    CHECK_EQ(fake.command[0].state, FAKE_REJECTED);
    CHECK_STR(fake.command[0].reason, "no_glass");
    CHECK_EQ(fake.claims, 0);
}

TEST(what_passes_by_itself_is_waited_for)
{
    fake_init(&fake, 43);
    struct fake_command *command = fake_order(&fake);
    fake.refuse = "pump_running";
    fake.not_now = true;
    fake_boot(&fake);
    fake_run(&fake, 20000);
    CHECK_EQ(command->state, FAKE_PENDING);
    CHECK_EQ(fake.claims + fake.reports, 0);
    CHECK(fake.checks >= 12 && fake.checks <= 28); /* at the pace of polling */
    fake.refuse = NULL;
    CHECK(fake_settle(&fake, 20000));
    CHECK_EQ(command->state, FAKE_COMPLETE);
}

TEST(a_failure_is_named_and_measured)
{
    fake_init(&fake, 8);
    (void)fake_order(&fake);
    fake.fail = "pick_failed";
    fake_boot(&fake);
    CHECK(fake_settle(&fake, 20000));
    CHECK_EQ(fake.command[0].state, FAKE_FAILED);
    CHECK_STR(fake.command[0].reason, "pick_failed");
    CHECK(fake.command[0].volume_milli >= 3000);
}

TEST(a_stop_is_honoured_with_what_was_measured)
{
    fake_init(&fake, 9);
    fake.act_ms = 20000;
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    while (!fake.acting)
        fake_turn(&fake);
    fake_run(&fake, 3000);
    command->stop = true;
    CHECK(fake_settle(&fake, 10000));
    CHECK_EQ(command->state, FAKE_CANCELLED);
    CHECK(command->volume_milli > 2000 && command->volume_milli < 8000);
    CHECK_STR(command->reason, "stopped");
}

/* Stopped, and unknown before that could be said; `off`: power goes after the refusal. */
static void late_cancelled(bool off)
{
    fake_init(&fake, 45);
    fake.act_ms = 20000;
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    while (!fake.acting)
        fake_turn(&fake);
    fake_run(&fake, 3000);
    command->stop = true;
    while (fake.acting)
        fake_turn(&fake);
    command->state = FAKE_UNKNOWN;
    while (fake.reports == 0)
        fake_turn(&fake);
    CHECK_EQ(command->state, FAKE_UNKNOWN);
    fake_run(&fake, 50);
    CHECK_EQ(journal_find(&fake.device.journal, command->uid)->outcome, WIRE_FAILED);
    if (off)
        fake_power_off(&fake);
    fake_run(&fake, 10000);
    CHECK_EQ(command->state, FAKE_FAILED);
    CHECK_STR(command->reason, "stopped");
    CHECK(command->volume_milli > 2000 && command->volume_milli < 8000);
    CHECK_EQ(fake.reports, 2);
    CHECK_EQ(journal_find(&fake.device.journal, command->uid)->state, JOURNAL_HEARD);
    CHECK_EQ(fake.device.phase, DEVICE_POLL);
}

TEST(a_stop_too_late_to_cancel_is_a_failure_with_its_figures)
{
    late_cancelled(false);
    late_cancelled(true);
}

TEST(what_was_settled_meanwhile_is_not_carried_on_with)
{
    fake_init(&fake, 44);
    fake.act_ms = 40000;
    fake.settled_elsewhere = true;
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    while (!fake.acting)
        fake_turn(&fake);
    fake_run(&fake, 3000);
    command->state = FAKE_UNKNOWN; /* another board with our credentials said hello */
    fake_run(&fake, 3000);
    CHECK(fake.acting); /* nobody has decided anything yet */
    command->state = FAKE_FAILED;
    fake_run(&fake, 3000);
    CHECK(!fake.acting);
    CHECK_EQ(fake.cuts, 0); /* it came to its own end */
    CHECK_EQ(fake.device.phase, DEVICE_POLL);
    CHECK_EQ(journal_find(&fake.device.journal, command->uid)->state, JOURNAL_HEARD);
}

TEST(a_stop_before_the_grant_means_it_never_begins)
{
    fake_init(&fake, 10);
    struct fake_command *command = fake_order(&fake);
    command->stop = true;
    fake_boot(&fake);
    CHECK(fake_settle(&fake, 10000));
    CHECK_EQ(command->state, FAKE_CANCELLED);
    CHECK_EQ(command->starts, 0);
}

TEST(time_over_ends_it_as_failed)
{
    fake_init(&fake, 11);
    fake.act_ms = 100000;
    fake.max_duration_s = 10;
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    CHECK(fake_settle(&fake, 30000));
    CHECK_EQ(command->state, FAKE_FAILED);
    CHECK_STR(command->reason, "timeout");
    CHECK_EQ(fake.cuts, 0); /* it wound down by itself */
    CHECK(command->volume_milli > 9000 && command->volume_milli < 10000);
}

TEST(a_machine_that_does_not_wind_down_is_cut)
{
    fake_init(&fake, 12);
    fake.act_ms = 100000;
    fake.max_duration_s = 10;
    fake.ignores_time_over = true;
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    CHECK(fake_settle(&fake, 30000));
    CHECK_EQ(command->state, FAKE_FAILED);
    CHECK_STR(command->reason, "timeout");
    CHECK_EQ(fake.cuts, 1);
}

TEST(a_claim_by_a_clone_is_left_alone)
{
    fake_init(&fake, 13);
    fake.other_board = true;
    (void)fake_order(&fake);
    fake_boot(&fake);
    fake_run(&fake, 20000);
    CHECK_EQ(fake.command[0].state, FAKE_RUNNING);
    CHECK(fake.conflicts >= 1);
    CHECK_EQ(fake.device.stats.starts, 0);
    fake_run(&fake, 100000);
    CHECK_EQ(fake.command[0].state, FAKE_UNKNOWN);
}

/* ---- deadlines ---- */

static enum fake_fault slow_claims(struct fake *world, const struct device_exchange *exchange)
{
    (void)world;
    bool claim = exchange->body.len > 0 &&
                 memmem(exchange->body.at, exchange->body.len, "brewing", 7) != NULL;
    return claim ? FAULT_SLOW : FAULT_NONE;
}

TEST(a_grant_that_came_too_late_is_dropped)
{
    fake_init(&fake, 14);
    fake.start_within_ms = 1500; /* and the answer takes 1999 */
    fake.plan = slow_claims;
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    CHECK(fake_settle(&fake, 20000));
    CHECK_EQ(command->state, FAKE_FAILED);
    CHECK_STR(command->reason, "not_started");
    CHECK_EQ(command->starts, 0);
    CHECK_EQ(fake.device.stats.late_grants, 1);
}

TEST(a_grant_just_in_time_is_used)
{
    fake_init(&fake, 15);
    fake.start_within_ms = 2001;
    fake.plan = slow_claims;
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    CHECK(fake_settle(&fake, 20000));
    CHECK_EQ(command->state, FAKE_COMPLETE);
}

TEST(no_time_to_wind_down_is_too_late)
{
    fake_init(&fake, 16);
    fake.max_duration_s = 2; /* gone, less 200 ms, when the answer is here */
    fake.plan = slow_claims;
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    CHECK(fake_settle(&fake, 20000));
    CHECK_STR(command->reason, "not_started");
}

static enum fake_fault first_claim_lost(struct fake *world, const struct device_exchange *exchange)
{
    (void)exchange;
    return world->device.phase == DEVICE_CLAIM && world->claims == 0 ? FAULT_ANSWER_LOST
                                                                     : FAULT_NONE;
}

static void lost_claim(bool reduced)
{
    fake_init(&fake, 17);
    fake.plan = first_claim_lost;
    fake.answers_reduced = reduced;
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    CHECK(fake_settle(&fake, 20000));
    CHECK_EQ(command->state, FAKE_COMPLETE);
    CHECK_EQ(fake.claims, 2); /* the same claim id, or the second would have been 409 */
    CHECK_EQ(fake.conflicts, 0);
}

TEST(a_lost_claim_answer_is_asked_for_again)
{
    lost_claim(false);
    lost_claim(true);
}

static enum fake_fault two_claims_lost(struct fake *world, const struct device_exchange *exchange)
{
    (void)exchange;
    return world->device.phase == DEVICE_CLAIM && world->claims < 2 ? FAULT_ANSWER_LOST
                                                                    : FAULT_NONE;
}

TEST(a_lost_claim_answer_is_noticed_while_the_grant_is_good)
{
    fake_init(&fake, 46);
    fake.plan = two_claims_lost;
    fake.timeout_ms = 10000; /* of everything else */
    fake.start_within_ms = 15000;
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    CHECK(fake_settle(&fake, 40000));
    CHECK_EQ(command->state, FAKE_COMPLETE);
    CHECK_EQ(fake.claims, 3);
}

static enum fake_fault claims_lost(struct fake *world, const struct device_exchange *exchange)
{
    (void)exchange;
    return world->device.phase == DEVICE_CLAIM ? FAULT_ANSWER_LOST : FAULT_NONE;
}

TEST(a_claim_never_answered_is_accounted_for)
{
    fake_init(&fake, 18);
    fake.plan = claims_lost;
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    CHECK(fake_settle(&fake, 60000));
    CHECK_EQ(command->state, FAKE_FAILED);
    CHECK_STR(command->reason, "not_started");
    CHECK_EQ(command->starts, 0);
}

static enum fake_fault claims_vanish(struct fake *world, const struct device_exchange *exchange)
{
    (void)exchange;
    return world->device.phase == DEVICE_CLAIM && world->now_ms < 40000 ? FAULT_LOST : FAULT_NONE;
}

TEST(a_claim_that_never_arrived_is_tried_anew)
{
    fake_init(&fake, 19);
    fake.plan = claims_vanish;
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    CHECK(fake_settle(&fake, 100000));
    CHECK_EQ(command->state, FAKE_COMPLETE);
}

static enum fake_fault claims_garbled(struct fake *world, const struct device_exchange *exchange)
{
    (void)exchange;
    return world->device.phase == DEVICE_CLAIM ? FAULT_GARBAGE : FAULT_NONE;
}

TEST(a_garbled_grant_is_no_grant)
{
    fake_init(&fake, 20);
    fake.plan = claims_garbled;
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    CHECK(fake_settle(&fake, 60000));
    CHECK_STR(command->reason, "not_started");
    CHECK_EQ(command->starts, 0);
    CHECK(fake.device.stats.bad_answers > 0);
}

/* ---- a clock that runs faster ---- */

TEST(a_faster_clock_keeps_the_servers_deadlines)
{
    fake_init(&fake, 37);
    fake.speed = 20;
    fake.act_ms = 100000; /* 5 s of the server's */
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    int64_t begun_ms = fake.now_ms;
    CHECK(fake_settle(&fake, 60000));
    CHECK_EQ(command->state, FAKE_COMPLETE);
    CHECK(fake.now_ms - begun_ms < 8000);

    fake_init(&fake, 38);
    fake.speed = 20;
    fake.act_ms = 10000000;
    fake.max_duration_s = 10;
    command = fake_order(&fake);
    fake_boot(&fake);
    CHECK(fake_settle(&fake, 60000));
    CHECK_STR(command->reason, "timeout");
    CHECK(command->volume_milli > 180000 && command->volume_milli <= 200000);

    fake_init(&fake, 39);
    fake.speed = 20;
    fake.start_within_ms = 1500;
    fake.plan = slow_claims;
    command = fake_order(&fake);
    fake_boot(&fake);
    CHECK(fake_settle(&fake, 60000));
    CHECK_STR(command->reason, "not_started");
}

/* ---- long-poll ---- */

static enum fake_fault slow_checks(struct fake *world, const struct device_exchange *exchange)
{
    (void)exchange;
    return world->device.phase == DEVICE_POLL ? FAULT_SLOW : FAULT_NONE;
}

TEST(a_long_poll_is_asked_again_at_once)
{
    fake_init(&fake, 40);
    fake.wait_s = 25;
    fake.plan = slow_checks; /* 27 s, less a moment */
    fake_boot(&fake);
    fake_run(&fake, 5000);
    CHECK(strstr(fake.device.link[DEVICE_CONTROL].path, "?wait=25") != NULL);
    fake_run(&fake, 265000);
    CHECK(fake.checks >= 9 && fake.checks <= 11);
}

TEST(a_server_that_does_not_wait_is_not_hammered)
{
    fake_init(&fake, 41);
    fake.wait_s = 25;
    fake_boot(&fake);
    fake_run(&fake, 100000);
    CHECK(fake.checks >= 75 && fake.checks <= 135);
}

/* ---- the curve on a bad link ---- */

static enum fake_fault slow_progress(struct fake *world, const struct device_exchange *exchange)
{
    (void)world;
    return exchange->channel == DEVICE_PROGRESS ? FAULT_ANSWER_LOST : FAULT_NONE;
}

TEST(a_slow_link_costs_samples_and_never_time)
{
    fake_init(&fake, 42);
    fake.plan = slow_progress;
    fake.act_ms = 40000;
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    while (!fake.acting)
        fake_turn(&fake);
    int64_t begun_ms = fake.now_ms;
    while (command->endings == 0)
        fake_turn(&fake);
    CHECK(fake.now_ms - begun_ms <= 40020);
    CHECK(fake_settle(&fake, 5000)); /* the report waits a second for the curve, no longer */
    CHECK_EQ(command->state, FAKE_COMPLETE);
    CHECK(fake.device.stats.samples_dropped > 0);
    CHECK(fake.samples > 100);
}

/* ---- reports ---- */

static enum fake_fault reports_lost(struct fake *world, const struct device_exchange *exchange)
{
    (void)exchange;
    return world->device.phase == DEVICE_REPORT && world->now_ms < 60000 ? FAULT_LOST : FAULT_NONE;
}

TEST(a_report_is_repeated_until_it_is_heard)
{
    fake_init(&fake, 21);
    fake.plan = reports_lost;
    fake.max_duration_s = 600;
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    CHECK(fake_settle(&fake, 100000));
    CHECK_EQ(command->state, FAKE_COMPLETE);
    CHECK(fake.device.stats.reports_retried >= 4);
    CHECK(fake.device.stats.reports_retried <= 20); /* with growing pauses */
}

static enum fake_fault first_report_lost(struct fake *world, const struct device_exchange *exchange)
{
    (void)exchange;
    return world->device.phase == DEVICE_REPORT && world->reports == 0 ? FAULT_ANSWER_LOST
                                                                       : FAULT_NONE;
}

static enum fake_fault reports_500(struct fake *world, const struct device_exchange *exchange)
{
    (void)exchange;
    return world->device.phase == DEVICE_REPORT ? FAULT_500 : FAULT_NONE;
}

TEST(a_server_in_trouble_has_not_heard)
{
    fake_init(&fake, 34);
    fake.plan = reports_500;
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    while (command->endings == 0)
        fake_turn(&fake);
    fake_run(&fake, 15000);
    CHECK_EQ(fake.device.phase, DEVICE_REPORT);
    CHECK_EQ(journal_find(&fake.device.journal, command->uid)->state, JOURNAL_DONE);
    fake.plan = NULL;
    CHECK(fake_settle(&fake, 20000));
    CHECK_EQ(command->state, FAKE_COMPLETE);
}

static const struct {
    uint32_t status;
    const char *page;
} pages[] = {
    {200, "<html>Welcome to our network</html>"},
    {200, ""},
    {200, "{}"},
    {200, "{\"status\":\"updated\"}"},
    {200, "{\"status\":\"updated\",\"command_id\":2}"},
    {204, ""},
    {404, "<html>nginx</html>"},
    {404, ""},
    {409, "{}"},
    {409, "{\"code\":\"\"}"},
    {413, "too large"},
    {302, "moved"},
};

TEST(a_page_of_somebody_else_ends_no_report)
{
    for (size_t i = 0; i < ARRAY_COUNT(pages); i++) {
        fake_init(&fake, 50 + i);
        struct fake_command *command = fake_order(&fake);
        fake_boot(&fake);
        while (!fake.acting)
            fake_turn(&fake);
        fake.page_status = pages[i].status;
        fake.page = pages[i].page;
        fake_run(&fake, 15000);
        NOTE("%u %s", pages[i].status, pages[i].page);
        CHECK_EQ(command->endings, 1);
        CHECK_EQ(fake.device.phase, DEVICE_REPORT);
        CHECK_EQ(journal_find(&fake.device.journal, command->uid)->state, JOURNAL_DONE);
        fake.page_status = 0;
        CHECK(fake_settle(&fake, 20000));
        CHECK_EQ(command->state, FAKE_COMPLETE);
    }
}

TEST(a_page_of_somebody_else_refuses_no_claim)
{
    for (size_t i = 0; i < ARRAY_COUNT(pages); i++) {
        fake_init(&fake, 70 + i);
        struct fake_command *command = fake_order(&fake);
        fake.page_status = pages[i].status;
        fake.page = pages[i].page;
        fake_boot(&fake);
        fake_run(&fake, 3000);
        NOTE("%u %s", pages[i].status, pages[i].page);
        CHECK_EQ(fake.device.phase, DEVICE_CLAIM);
        CHECK_EQ(fake.device.stats.claims_refused, 0);
        fake.page_status = 0;
        CHECK(fake_settle(&fake, 20000));
        CHECK_EQ(command->state, FAKE_COMPLETE);
    }
}

TEST(already_settled_is_an_answer)
{
    fake_init(&fake, 22);
    fake.plan = first_report_lost;
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    CHECK(fake_settle(&fake, 20000));
    fake_run(&fake, 10000);
    CHECK_EQ(command->state, FAKE_COMPLETE);
    CHECK_EQ(fake.conflicts, 1);
    CHECK_EQ(fake.device.phase, DEVICE_POLL);
    CHECK_EQ(journal_find(&fake.device.journal, command->uid)->state, JOURNAL_HEARD);
}

TEST(the_link_may_be_gone_for_the_whole_act)
{
    fake_init(&fake, 23);
    fake.act_ms = 30000;
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    while (!fake.acting)
        fake_turn(&fake);
    fake.plan = reports_lost; /* every report */
    fake_run(&fake, 32000);
    CHECK_EQ(command->endings, 1); /* it went on by itself */
    fake.plan = NULL;
    CHECK(fake_settle(&fake, 40000));
    CHECK_EQ(command->state, FAKE_COMPLETE);
}

/* ---- power ---- */

TEST(interrupted_is_said_with_the_amount)
{
    fake_init(&fake, 24);
    fake.act_ms = 20000;
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    while (!fake.acting)
        fake_turn(&fake);
    fake_run(&fake, 7000);
    fake_power_off(&fake);
    CHECK(fake_settle(&fake, 20000));
    CHECK_EQ(command->state, FAKE_FAILED);
    CHECK_STR(command->reason, "interrupted");
    CHECK(command->volume_milli >= 4900 && command->volume_milli <= 7100);
    CHECK_EQ(command->starts, 1);
    CHECK_EQ(fake.device.stats.interrupted, 1);
}

TEST(done_but_unheard_is_said_after_a_boot)
{
    fake_init(&fake, 25);
    fake.plan = reports_lost;
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    while (command->endings == 0)
        fake_turn(&fake);
    fake_run(&fake, 500);
    fake_power_off(&fake);
    fake.plan = NULL;
    CHECK(fake_settle(&fake, 20000));
    CHECK_EQ(command->state, FAKE_COMPLETE);
    CHECK_EQ(command->starts, 1);
}

TEST(a_wiped_journal_leaves_it_unknown)
{
    fake_init(&fake, 26);
    fake.act_ms = 20000;
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    while (!fake.acting)
        fake_turn(&fake);
    struct id128 before = fake.device.journal.id;
    fake_power_off(&fake);
    memset(fake.flash.bytes, 0xff, sizeof(fake.flash.bytes));
    fake_run(&fake, 20000);
    CHECK_EQ(command->state, FAKE_UNKNOWN);
    CHECK_EQ(command->starts, 1);
    CHECK(!id128_equal(before, fake.device.journal.id));
}

/* ---- the journal ---- */

TEST(a_board_that_cannot_write_does_not_act)
{
    fake_init(&fake, 27);
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    fake.flash.write_fails = true;
    CHECK(fake_settle(&fake, 20000));
    CHECK_EQ(command->state, FAKE_FAILED);
    CHECK_STR(command->reason, "journal_failed");
    CHECK_EQ(command->starts, 0);
}

TEST(a_memory_that_forgets_is_a_memory_that_fails)
{
    fake_init(&fake, 28);
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    fake.flash.write_lies = true;
    CHECK(fake_settle(&fake, 20000));
    CHECK_STR(command->reason, "journal_failed");
    CHECK_EQ(command->starts, 0);
}

TEST(a_journal_that_cannot_be_read_is_not_formatted)
{
    fake_init(&fake, 29);
    (void)fake_order(&fake);
    fake_boot(&fake);
    CHECK(fake_settle(&fake, 20000));
    struct id128 id = fake.device.journal.id;
    fake_power_off(&fake);
    fake.flash.read_fails = true;
    struct fake_command *command = fake_order(&fake);
    fake_run(&fake, 60000);
    CHECK_EQ(fake.device.phase, DEVICE_BOOT);
    CHECK_EQ(command->state, FAKE_PENDING);
    CHECK(fake.machine_progresses > 2); /* it tells its trouble */
    fake.flash.read_fails = false;
    CHECK(fake_settle(&fake, 60000));
    CHECK_EQ(command->state, FAKE_COMPLETE);
    CHECK(id128_equal(id, fake.device.journal.id));
}

TEST(what_the_journal_knows_is_never_begun_again)
{
    fake_init(&fake, 30);
    struct fake_command *command = fake_order(&fake);
    fake_boot(&fake);
    CHECK(fake_settle(&fake, 20000));
    fake_run(&fake, 3000);
    /* The server's database came from a backup without marking it. */
    command->state = FAKE_PENDING;
    CHECK(fake_settle(&fake, 20000));
    CHECK_EQ(command->state, FAKE_REJECTED);
    CHECK_STR(command->reason, "already_done");
    CHECK_EQ(command->starts, 1);
    CHECK(command->volume_milli >= 3000);
    /* Also after a boot. */
    fake_power_off(&fake);
    command->state = FAKE_PENDING;
    CHECK(fake_settle(&fake, 20000));
    CHECK_EQ(command->state, FAKE_REJECTED);
}

/* ---- the host ---- */

TEST(a_host_that_forgets_an_exchange_is_not_waited_for)
{
    fake_init(&fake, 31);
    fake_boot(&fake);
    while (fake.device.link[DEVICE_CONTROL].exchange_id == 0)
        fake_turn(&fake);
    memset(fake.exchange, 0, sizeof(fake.exchange)); /* what was under way is never answered */
    (void)fake_order(&fake);
    CHECK(fake_settle(&fake, 40000));
    CHECK_EQ(fake.command[0].state, FAKE_COMPLETE);
}

TEST(answers_to_nothing_are_ignored)
{
    fake_init(&fake, 32);
    fake_boot(&fake);
    fake_run(&fake, 3000);
    for (uint64_t id = 0; id < 100; id++) {
        if (id == fake.device.link[0].exchange_id || id == fake.device.link[1].exchange_id)
            continue;
        device_on_response(&fake.device, id, 200, STR("{}"));
        device_on_link_error(&fake.device, id);
    }
    (void)fake_order(&fake);
    CHECK(fake_settle(&fake, 20000));
}

TEST(unusable_options_are_refused)
{
    struct device_hal hal = {.context = &fake,
                             .mono_ms = fake_mono,
                             .random = fake_random,
                             .send = fake_send,
                             .flash = {.sector_bytes = FAKE_SECTOR_BYTES,
                                       .read = fake_read,
                                       .write = fake_write,
                                       .erase = fake_erase}};
    fake_init(&fake, 33);
    struct device_options options = fake_options(&fake);
    CHECK_OK(device_init(&fake.device, &options, &hal));
    options.machine_id = "../m1";
    CHECK_ERR(device_init(&fake.device, &options, &hal), ERR_INPUT);
    options = fake_options(&fake);
    options.kind = NULL;
    CHECK_ERR(device_init(&fake.device, &options, &hal), ERR_INPUT);
    options = fake_options(&fake);
    hal.flash.sector_bytes = 4096;
    CHECK_ERR(device_init(&fake.device, &options, &hal), ERR_INPUT);
}
