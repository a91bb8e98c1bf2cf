/* The transition table, cell by cell: every state against every event, with every relation between
 * claims. */
#include "kit/kit.h"
#include "queue/queue_int.h"

static const struct id128 claim_a = {{1}}, claim_b = {{2}}, journal_a = {{3}}, journal_b = {{4}},
                          none = {{0}};

static struct queue_command command_in(enum queue_state state, bool with_claim)
{
    struct queue_command command = {
        .command_id = 7,
        .state = state,
        .machine_id = STR("m"),
        .not_after_ms = 1000,
        .max_duration_s = 60,
    };
    if (with_claim) {
        command.has_claim = true;
        command.claim_id = claim_a;
        command.journal_id = journal_a;
    }
    return command;
}

static const struct rule_context free_machine = {.is_head = true, .now_ms = 999};

static enum queue_verdict claim(const struct queue_command *command, struct id128 claim_id)
{
    return queue_rule_claim(command, &free_machine, STR("m"), claim_id);
}

static enum queue_verdict report(const struct queue_command *command, enum queue_state outcome,
                                 struct id128 claim_id)
{
    return queue_rule_report(command, STR("m"), outcome, claim_id, journal_a, STR("pump_timeout"));
}

TEST(every_state_has_a_name_and_only_five_are_final)
{
    int finals = 0;
    for (int i = 0; i < QUEUE_STATE_COUNT; i++) {
        enum queue_state back;
        CHECK(queue_state_parse(str_from(queue_state_name((enum queue_state)i)), &back));
        CHECK_EQ(back, i);
        finals += queue_state_final((enum queue_state)i);
    }
    CHECK_EQ(finals, 5);
    enum queue_state state;
    CHECK(!queue_state_parse(STR("brewing"), &state));
    CHECK(!queue_state_parse(STR_NONE, &state));
}

TEST(only_pending_can_be_claimed)
{
    static const enum queue_verdict expected[QUEUE_STATE_COUNT] = {
        [QUEUE_HELD] = QUEUE_NOT_CLAIMABLE,     [QUEUE_PENDING] = QUEUE_DONE,
        [QUEUE_RUNNING] = QUEUE_CLAIM_MISMATCH, [QUEUE_COMPLETE] = QUEUE_SETTLED,
        [QUEUE_FAILED] = QUEUE_SETTLED,         [QUEUE_REJECTED] = QUEUE_SETTLED,
        [QUEUE_CANCELLED] = QUEUE_SETTLED,      [QUEUE_EXPIRED] = QUEUE_LATE,
        [QUEUE_UNKNOWN] = QUEUE_CLAIM_MISMATCH,
    };
    for (int i = 0; i < QUEUE_STATE_COUNT; i++) {
        struct queue_command command =
            command_in((enum queue_state)i, i != QUEUE_PENDING && i != QUEUE_HELD);
        NOTE("state %s", queue_state_name((enum queue_state)i));
        CHECK_EQ(claim(&command, claim_b), expected[i]);
        CHECK_EQ(claim(&command, none), expected[i]);
    }
}

TEST(the_same_claim_is_granted_again_only_while_it_runs)
{
    for (int i = 0; i < QUEUE_STATE_COUNT; i++) {
        struct queue_command command = command_in((enum queue_state)i, true);
        bool granted = claim(&command, claim_a) == QUEUE_DONE;
        NOTE("state %s", queue_state_name((enum queue_state)i));
        CHECK_EQ(granted, i == QUEUE_RUNNING || i == QUEUE_PENDING);
    }
}

TEST(a_device_without_claim_ids_cannot_repeat_its_claim)
{
    struct queue_command command = command_in(QUEUE_RUNNING, false);
    CHECK_EQ(claim(&command, none), QUEUE_CLAIM_MISMATCH);
    CHECK_EQ(claim(&command, claim_a), QUEUE_CLAIM_MISMATCH);
}

TEST(a_claim_waits_for_its_turn_and_its_time)
{
    struct queue_command command = command_in(QUEUE_PENDING, false);
    struct rule_context at = free_machine;
    CHECK_EQ(queue_rule_claim(&command, &at, STR("other"), claim_a), QUEUE_FOREIGN);
    at.now_ms = 1000;
    CHECK_EQ(queue_rule_claim(&command, &at, STR("m"), claim_a), QUEUE_LATE);
    at = free_machine;
    at.on_hold = true;
    CHECK_EQ(queue_rule_claim(&command, &at, STR("m"), claim_a), QUEUE_NOT_CLAIMABLE);
    at = free_machine;
    at.other_active = true;
    CHECK_EQ(queue_rule_claim(&command, &at, STR("m"), claim_a), QUEUE_NOT_CLAIMABLE);
    at = free_machine;
    at.is_head = false;
    CHECK_EQ(queue_rule_claim(&command, &at, STR("m"), claim_a), QUEUE_NOT_CLAIMABLE);
}

TEST(reports_move_only_what_the_table_says)
{
    static const enum queue_state outcomes[] = {QUEUE_COMPLETE, QUEUE_FAILED, QUEUE_REJECTED,
                                                QUEUE_CANCELLED};
    for (int i = 0; i < QUEUE_STATE_COUNT; i++) {
        for (size_t o = 0; o < ARRAY_COUNT(outcomes); o++) {
            for (int stop = 0; stop < 2; stop++) {
                bool claimed = i == QUEUE_RUNNING || i == QUEUE_UNKNOWN;
                struct queue_command command = command_in((enum queue_state)i, claimed);
                command.stop_requested = stop;
                bool ends = outcomes[o] == QUEUE_COMPLETE || outcomes[o] == QUEUE_FAILED;
                bool refuses = outcomes[o] == QUEUE_REJECTED || outcomes[o] == QUEUE_FAILED;
                bool allowed = false;
                if (i == QUEUE_RUNNING)
                    allowed = ends || (outcomes[o] == QUEUE_CANCELLED && stop);
                else if (i == QUEUE_UNKNOWN)
                    allowed = ends;
                else if (i == QUEUE_PENDING)
                    allowed = refuses;
                enum queue_verdict verdict =
                    report(&command, outcomes[o], claimed ? claim_a : none);
                NOTE("%s, reported %s, stop %d", queue_state_name((enum queue_state)i),
                     queue_state_name(outcomes[o]), stop);
                CHECK_EQ(verdict == QUEUE_DONE, allowed);
            }
        }
    }
}

TEST(a_report_needs_the_claim_it_belongs_to)
{
    struct queue_command running = command_in(QUEUE_RUNNING, true);
    CHECK_EQ(report(&running, QUEUE_COMPLETE, claim_b), QUEUE_CLAIM_MISMATCH);
    CHECK_EQ(report(&running, QUEUE_COMPLETE, none), QUEUE_CLAIM_MISMATCH);
    struct queue_command plain = command_in(QUEUE_RUNNING, false);
    CHECK_EQ(report(&plain, QUEUE_COMPLETE, none), QUEUE_DONE);
    CHECK_EQ(report(&plain, QUEUE_COMPLETE, claim_a), QUEUE_CLAIM_MISMATCH);
    struct queue_command pending = command_in(QUEUE_PENDING, false);
    CHECK_EQ(report(&pending, QUEUE_FAILED, claim_a), QUEUE_CLAIM_MISMATCH);
    CHECK_EQ(
        queue_rule_report(&running, STR("other"), QUEUE_COMPLETE, claim_a, journal_a, STR_NONE),
        QUEUE_FOREIGN);
}

TEST(an_unknown_is_settled_by_its_claim_or_its_journal_only)
{
    struct queue_command unknown = command_in(QUEUE_UNKNOWN, true);
    CHECK_EQ(queue_rule_report(&unknown, STR("m"), QUEUE_COMPLETE, claim_a, none, STR_NONE),
             QUEUE_DONE);
    CHECK_EQ(queue_rule_report(&unknown, STR("m"), QUEUE_COMPLETE, none, journal_a, STR_NONE),
             QUEUE_DONE);
    CHECK_EQ(queue_rule_report(&unknown, STR("m"), QUEUE_COMPLETE, none, journal_b, STR_NONE),
             QUEUE_CLAIM_MISMATCH);
    CHECK_EQ(queue_rule_report(&unknown, STR("m"), QUEUE_COMPLETE, none, none, STR_NONE),
             QUEUE_CLAIM_MISMATCH);
    CHECK_EQ(queue_rule_report(&unknown, STR("m"), QUEUE_COMPLETE, claim_b, journal_a, STR_NONE),
             QUEUE_CLAIM_MISMATCH);
}

TEST(only_the_journal_of_the_claim_can_say_never_started)
{
    for (int i = 0; i < 2; i++) {
        struct queue_command command = command_in(i == 0 ? QUEUE_RUNNING : QUEUE_UNKNOWN, true);
        struct str never = STR("not_started");
        CHECK_EQ(queue_rule_report(&command, STR("m"), QUEUE_FAILED, claim_a, journal_a, never),
                 QUEUE_DONE);
        CHECK_EQ(queue_rule_report(&command, STR("m"), QUEUE_FAILED, claim_a, journal_b, never),
                 QUEUE_WRONG_JOURNAL);
        CHECK_EQ(queue_rule_report(&command, STR("m"), QUEUE_FAILED, claim_a, none, never),
                 QUEUE_WRONG_JOURNAL);
    }
}

TEST(people_move_only_what_the_table_says)
{
    for (int i = 0; i < QUEUE_STATE_COUNT; i++) {
        struct queue_command command = command_in((enum queue_state)i, i == QUEUE_RUNNING);
        NOTE("state %s", queue_state_name((enum queue_state)i));
        bool cancellable = i == QUEUE_HELD || i == QUEUE_PENDING || i == QUEUE_RUNNING;
        CHECK_EQ(queue_rule_cancel(&command) == QUEUE_DONE, cancellable);
        CHECK_EQ(queue_rule_approve(&command) == QUEUE_DONE, i == QUEUE_HELD);
        for (int outcome = 0; outcome < QUEUE_STATE_COUNT; outcome++) {
            bool settles =
                i == QUEUE_UNKNOWN && (outcome == QUEUE_COMPLETE || outcome == QUEUE_FAILED);
            CHECK_EQ(queue_rule_settle(&command, (enum queue_state)outcome) == QUEUE_DONE, settles);
        }
        if (queue_state_final((enum queue_state)i))
            CHECK_EQ(queue_rule_cancel(&command), QUEUE_SETTLED);
    }
}

TEST(every_verdict_has_a_code_and_a_sentence)
{
    for (int i = QUEUE_DONE; i <= QUEUE_WRONG_JOURNAL; i++) {
        CHECK(queue_verdict_code((enum queue_verdict)i)[0] != '\0');
        CHECK(queue_verdict_text((enum queue_verdict)i)[0] != '\0');
    }
}
