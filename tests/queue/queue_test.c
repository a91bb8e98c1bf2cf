/* The queue on a real database in memory, stepped by hand: what each call does, what memory shows
 * afterwards. */
#include "kit/kit.h"
#include "queue/queue.h"
#include "record/record.h"

static int64_t mono_ms, wall_ms;
static uint64_t id_counter;

static int64_t mono_now(void *clock)
{
    (void)clock;
    return mono_ms;
}

static int64_t wall_now(void *clock)
{
    (void)clock;
    return wall_ms;
}

static void next_id(void *random, struct id128 *ret_id)
{
    (void)random;
    *ret_id = (struct id128){{0}};
    id_counter++;
    base_copy(ret_id->byte, &id_counter, sizeof(id_counter));
}

static bool mechanical(void *context, struct str reason)
{
    (void)context;
    return str_equal(reason, STR("pick_failed"));
}

static bool needs_hands(void *context, struct str reason)
{
    (void)context;
    return str_equal(reason, STR("magazine_empty")) || str_equal(reason, STR("interrupted"));
}

static enum err hook_result;
static int hook_calls;
static enum err on_change(void *context, struct store_db *db, const struct queue_change *change)
{
    (void)context;
    (void)db;
    (void)change;
    hook_calls++;
    return hook_result;
}

static const struct queue_kind brewer = {.name = "espresso",
                                         .not_after_s = 600,
                                         .max_duration_s = 180,
                                         .reason_mechanical = mechanical,
                                         .reason_needs_hands = needs_hands,
                                         .on_change = on_change};
static const struct queue_kind tap = {
    .name = "tap", .not_after_s = 30, .max_duration_s = 60, .busy = true};
static const struct queue_kind window = {
    .name = "window", .not_after_s = 60, .max_duration_s = 30, .coalesce = true};
static const struct queue_kind *const kinds[] = {&brewer, &tap, &window, NULL};

static struct store *store;
static struct queue *queue;
static int changes_told;

static void told(void *listener, const struct queue_change *change)
{
    (void)listener;
    (void)change;
    changes_told++;
}

static struct queue_options options(void)
{
    return (struct queue_options){.store = store,
                                  .kinds = kinds,
                                  .mono_ms = mono_now,
                                  .wall_ms = wall_now,
                                  .random_id = next_id,
                                  .changed = told};
}

static void open_queue(void)
{
    struct store_options store_options = {.migrations = store_migrations_all, .inline_jobs = true};
    char why[256] = "";
    mono_ms = 1000;
    wall_ms = 1700000000000;
    changes_told = hook_calls = 0;
    hook_result = ERR_OK;
    CHECK_OK(store_open(NULL, &store_options, why, sizeof(why), &store));
    struct queue_options all = options();
    CHECK_OK(queue_create(&all, &queue));
}

static void close_queue(void)
{
    store_close(store);
    queue_destroy(queue);
}

/* ---- answers, kept for the checks ---- */

static struct {
    int calls;
    enum err err;
    enum queue_verdict verdict;
    uint64_t command_id;
    struct queue_grant grant;
    enum queue_state state;
    bool stop_requested, has_command;
} answer;

static void created(void *cookie, enum err err, enum queue_verdict verdict, uint64_t command_id)
{
    (void)cookie;
    answer.calls++;
    answer.err = err;
    answer.verdict = verdict;
    answer.command_id = command_id;
}

static void claimed(void *cookie, enum err err, enum queue_verdict verdict,
                    const struct queue_grant *grant)
{
    (void)cookie;
    answer.calls++;
    answer.err = err;
    answer.verdict = verdict;
    answer.grant = *grant;
}

static void done(void *cookie, enum err err, enum queue_verdict verdict,
                 const struct queue_command *command)
{
    (void)cookie;
    answer.calls++;
    answer.err = err;
    answer.verdict = verdict;
    answer.has_command = command != NULL;
    if (command != NULL) {
        answer.state = command->state;
        answer.stop_requested = command->stop_requested;
    }
}

static void settle_store(void)
{
    while (store_step(store, 0) > 0)
        continue;
}

static uint64_t create_as(const struct queue_kind *kind, const char *machine, bool allowed,
                          const char *key, uint8_t body)
{
    struct queue_new new = {.kind = kind,
                            .machine_id = str_from(machine),
                            .command = STR("go"),
                            .payload = STR("{\"volume_ml\":40}"),
                            .execute_allowed = allowed,
                            .actor = STR("account:alice"),
                            .key_scope = key != NULL ? STR("account:alice") : STR_NONE,
                            .key = str_from(key)};
    new.body_hash[0] = body;
    answer.calls = 0;
    CHECK_OK(queue_submit(queue, &new, created, NULL));
    CHECK_EQ(answer.calls, 0); /* never before the commit (rule 1) */
    settle_store();
    CHECK_EQ(answer.calls, 1);
    CHECK_OK(answer.err);
    return answer.command_id;
}

static uint64_t create(const char *machine)
{
    return create_as(&brewer, machine, true, NULL, 0);
}

static const struct id128 claim_a = {{0xa}}, claim_b = {{0xb}}, journal_a = {{0x1a}},
                          journal_b = {{0x1b}}, none = {{0}};

static enum queue_verdict claim_for(uint64_t id, const char *machine, struct id128 claim,
                                    struct id128 journal)
{
    struct queue_claim ask = {.command_id = id,
                              .machine_id = str_from(machine),
                              .claim_id = claim,
                              .journal_id = journal,
                              .actor = STR("machine:m")};
    answer.calls = 0;
    CHECK_OK(queue_claim(queue, &ask, claimed, NULL));
    settle_store();
    CHECK_EQ(answer.calls, 1);
    CHECK_OK(answer.err);
    return answer.verdict;
}

static enum queue_verdict report_for(uint64_t id, const char *machine, enum queue_state outcome,
                                     struct id128 claim, const char *reason)
{
    struct queue_report say = {.command_id = id,
                               .machine_id = str_from(machine),
                               .outcome = outcome,
                               .claim_id = claim,
                               .journal_id = journal_a,
                               .reason = str_from(reason),
                               .meta = STR("{\"actual_volume_ml\":41}"),
                               .actor = STR("machine:m")};
    answer.calls = 0;
    CHECK_OK(queue_report(queue, &say, done, NULL));
    settle_store();
    CHECK_EQ(answer.calls, 1);
    CHECK_OK(answer.err);
    return answer.verdict;
}

typedef enum err order_call(struct queue *, const struct queue_order *, queue_done *, void *);
static enum queue_verdict order(order_call *call, uint64_t id, const char *machine,
                                enum queue_state outcome)
{
    struct queue_order ask = {.command_id = id,
                              .machine_id = str_from(machine),
                              .outcome = outcome,
                              .note = STR("looked"),
                              .actor = STR("account:staff")};
    answer.calls = 0;
    CHECK_OK(call(queue, &ask, done, NULL));
    settle_store();
    CHECK_EQ(answer.calls, 1);
    CHECK_OK(answer.err);
    return answer.verdict;
}

static uint64_t offered(const char *machine, struct id128 journal)
{
    bool own;
    const struct queue_command *command = queue_check(queue, str_from(machine), journal, &own);
    return command != NULL ? command->command_id : 0;
}

static void tick(int64_t ms)
{
    mono_ms += ms;
    wall_ms += ms;
    (void)queue_tick(queue);
    settle_store();
}

/* ---- tests ---- */

TEST(a_command_goes_from_button_to_cup)
{
    open_queue();
    uint64_t id = create("m");
    CHECK_EQ(offered("m", none), id);
    CHECK_EQ(offered("m", none), id); /* rule 2: a look changes nothing */
    CHECK_EQ(claim_for(id, "m", claim_a, journal_a), QUEUE_DONE);
    CHECK_EQ(answer.grant.start_within_ms, 15000);
    CHECK_EQ(answer.grant.max_duration_s, 180);
    CHECK_EQ(offered("m", none), 0);
    CHECK_EQ(offered("m", journal_b), 0);
    CHECK_EQ(offered("m", journal_a), id); /* its own claim, so that it can account for it */
    CHECK_EQ(report_for(id, "m", QUEUE_COMPLETE, claim_a, NULL), QUEUE_DONE);
    CHECK_EQ(offered("m", journal_a), 0);
    CHECK_EQ(changes_told, 3);
    CHECK_EQ(hook_calls, 3);
    CHECK_EQ(report_for(id, "m", QUEUE_COMPLETE, claim_a, NULL), QUEUE_SETTLED);
    close_queue();
}

TEST(commands_come_one_at_a_time_in_order)
{
    open_queue();
    uint64_t first = create("m"), second = create("m"), other = create("n");
    CHECK_EQ(offered("m", none), first);
    CHECK_EQ(offered("n", none), other);
    CHECK_EQ(claim_for(second, "m", claim_b, journal_a), QUEUE_NOT_CLAIMABLE);
    CHECK_EQ(claim_for(first, "m", claim_a, journal_a), QUEUE_DONE);
    CHECK_EQ(claim_for(second, "m", claim_b, journal_a), QUEUE_NOT_CLAIMABLE);
    CHECK_EQ(claim_for(first, "n", claim_b, journal_b), QUEUE_FOREIGN);
    CHECK_EQ(report_for(first, "m", QUEUE_COMPLETE, claim_a, NULL), QUEUE_DONE);
    CHECK_EQ(offered("m", none), second);
    close_queue();
}

TEST(a_held_command_blocks_nobody_and_its_deadline_begins_at_the_approval)
{
    open_queue();
    uint64_t held = create_as(&brewer, "m", false, NULL, 0);
    uint64_t next = create("m");
    CHECK_EQ(offered("m", none), next);
    CHECK_EQ(claim_for(held, "m", claim_a, journal_a), QUEUE_NOT_CLAIMABLE);
    CHECK_EQ(order(queue_cancel, next, NULL, QUEUE_HELD), QUEUE_DONE);
    CHECK_EQ(answer.state, QUEUE_CANCELLED);
    tick(700000); /* longer than not_after_s: a held command does not expire */
    CHECK_EQ(order(queue_approve, held, NULL, QUEUE_HELD), QUEUE_DONE);
    CHECK_EQ(offered("m", none), held);
    tick(599999);
    CHECK_EQ(offered("m", none), held);
    tick(1);
    CHECK_EQ(offered("m", none), 0);
    CHECK_EQ(claim_for(held, "m", claim_a, journal_a), QUEUE_LATE);
    CHECK_EQ(order(queue_approve, held, NULL, QUEUE_HELD), QUEUE_SETTLED);
    close_queue();
}

TEST(a_late_command_expires_and_the_next_is_offered)
{
    open_queue();
    uint64_t first = create("m");
    tick(300000);
    uint64_t second = create("m");
    wall_ms += 300000;
    mono_ms += 300000;
    CHECK_EQ(offered("m", none), 0); /* before any tick ran: never offered late */
    CHECK_EQ(claim_for(first, "m", claim_a, journal_a), QUEUE_LATE);
    tick(0);
    CHECK_EQ(offered("m", none), second);
    CHECK_EQ(claim_for(first, "m", claim_a, journal_a), QUEUE_LATE);
    close_queue();
}

TEST(a_repeated_claim_gets_what_is_left_of_both_deadlines)
{
    open_queue();
    uint64_t id = create("m");
    CHECK_EQ(claim_for(id, "m", claim_a, journal_a), QUEUE_DONE);
    tick(10500);
    CHECK_EQ(claim_for(id, "m", claim_a, journal_a), QUEUE_DONE);
    CHECK(answer.grant.repeated);
    CHECK_EQ(answer.grant.start_within_ms, 15000 - 10500);
    CHECK_EQ(answer.grant.max_duration_s, 180 - 11);
    CHECK_EQ(claim_for(id, "m", claim_b, journal_a), QUEUE_CLAIM_MISMATCH);
    close_queue();
}

TEST(silence_becomes_unknown_holds_the_machine_and_staff_settle_it)
{
    open_queue();
    uint64_t id = create("m"), next = create("m");
    CHECK_EQ(claim_for(id, "m", claim_a, journal_a), QUEUE_DONE);
    tick(180000 + 30000 - 1);
    CHECK_EQ(offered("m", journal_a), id);
    tick(1);
    CHECK_EQ(offered("m", journal_a), 0);
    struct queue_machine machine;
    CHECK(queue_machine_get(queue, STR("m"), &machine));
    CHECK(machine.on_hold);
    CHECK_EQ(machine.active->state, QUEUE_UNKNOWN);
    CHECK_EQ(order(queue_release, 0, "m", QUEUE_HELD), QUEUE_DONE);
    CHECK_EQ(offered("m", none), 0); /* released, but the unknown still blocks (rule 2) */
    CHECK_EQ(order(queue_settle, id, NULL, QUEUE_COMPLETE), QUEUE_DONE);
    CHECK_EQ(offered("m", none), next);
    CHECK_EQ(order(queue_settle, id, NULL, QUEUE_FAILED), QUEUE_SETTLED);
    close_queue();
}

TEST(a_late_report_by_its_claim_settles_an_unknown)
{
    open_queue();
    uint64_t id = create("m");
    CHECK_EQ(claim_for(id, "m", claim_a, journal_a), QUEUE_DONE);
    tick(300000);
    CHECK_EQ(report_for(id, "m", QUEUE_COMPLETE, claim_b, NULL), QUEUE_CLAIM_MISMATCH);
    CHECK_EQ(report_for(id, "m", QUEUE_COMPLETE, claim_a, NULL), QUEUE_DONE);
    CHECK_EQ(answer.state, QUEUE_COMPLETE);
    close_queue();
}

TEST(a_boot_with_another_journal_makes_the_running_command_unknown)
{
    open_queue();
    uint64_t id = create("m");
    CHECK_EQ(claim_for(id, "m", claim_a, journal_a), QUEUE_DONE);
    CHECK_OK(queue_hello(queue, STR("m"), journal_a, STR("machine:m"), done, NULL));
    settle_store();
    CHECK_EQ(answer.state, QUEUE_RUNNING);
    CHECK_OK(queue_hello(queue, STR("m"), journal_b, STR("machine:m"), done, NULL));
    settle_store();
    CHECK_EQ(answer.state, QUEUE_UNKNOWN);
    CHECK_EQ(offered("m", journal_b), 0);
    close_queue();
}

TEST(staff_cannot_settle_while_a_board_may_still_begin)
{
    open_queue();
    uint64_t id = create("m");
    CHECK_EQ(claim_for(id, "m", claim_a, journal_a), QUEUE_DONE);
    CHECK_OK(queue_hello(queue, STR("m"), journal_b, STR("machine:m"), done, NULL));
    settle_store();
    CHECK_EQ(answer.state, QUEUE_UNKNOWN);
    CHECK_EQ(order(queue_settle, id, NULL, QUEUE_FAILED), QUEUE_TOO_EARLY);
    wall_ms += 3600000; /* the wall clock proves nothing */
    CHECK_EQ(order(queue_settle, id, NULL, QUEUE_FAILED), QUEUE_TOO_EARLY);
    tick(14999);
    CHECK_EQ(order(queue_settle, id, NULL, QUEUE_FAILED), QUEUE_TOO_EARLY);
    tick(1);
    CHECK_EQ(order(queue_settle, id, NULL, QUEUE_FAILED), QUEUE_DONE);
    close_queue();
}

TEST(a_grant_is_never_good_past_the_start_deadline)
{
    open_queue();
    uint64_t id = create("m");
    tick(595000);
    CHECK_EQ(claim_for(id, "m", claim_a, journal_a), QUEUE_DONE);
    CHECK_EQ(answer.grant.start_within_ms, 5000);
    tick(6000);
    CHECK_EQ(claim_for(id, "m", claim_a, journal_a), QUEUE_DONE);
    CHECK_EQ(answer.grant.start_within_ms, 0);
    close_queue();
}

TEST(a_stop_request_is_honoured_by_the_claim_only)
{
    open_queue();
    uint64_t id = create("m");
    CHECK_EQ(claim_for(id, "m", claim_a, journal_a), QUEUE_DONE);
    CHECK_EQ(report_for(id, "m", QUEUE_CANCELLED, claim_a, "stopped"), QUEUE_WRONG_STATE);
    CHECK_EQ(order(queue_cancel, id, NULL, QUEUE_HELD), QUEUE_DONE);
    CHECK_EQ(answer.state, QUEUE_RUNNING);
    CHECK(answer.stop_requested);
    bool stop;
    CHECK_EQ(queue_progress(queue, id, STR("m"), claim_b, &stop), QUEUE_CLAIM_MISMATCH);
    CHECK_EQ(queue_progress(queue, id, STR("m"), claim_a, &stop), QUEUE_DONE);
    CHECK(stop);
    CHECK_EQ(report_for(id, "m", QUEUE_CANCELLED, claim_a, "stopped"), QUEUE_DONE);
    CHECK_EQ(order(queue_cancel, id, NULL, QUEUE_HELD), QUEUE_SETTLED);
    close_queue();
}

TEST(a_mechanical_failure_holds_at_once_and_three_others_in_a_row_do_too)
{
    open_queue();
    struct queue_machine machine;
    uint64_t id = create("m");
    CHECK_EQ(claim_for(id, "m", claim_a, journal_a), QUEUE_DONE);
    CHECK_EQ(report_for(id, "m", QUEUE_FAILED, claim_a, "pick_failed"), QUEUE_DONE);
    CHECK(queue_machine_get(queue, STR("m"), &machine));
    CHECK(machine.on_hold);
    CHECK_SLICE(machine.hold_reason, "pick_failed");
    for (int i = 0; i < 3; i++) {
        CHECK(!queue_machine_get(queue, STR("n"), &machine) || !machine.on_hold);
        id = create("n");
        CHECK_EQ(claim_for(id, "n", claim_a, journal_a), QUEUE_DONE);
        CHECK_EQ(report_for(id, "n", QUEUE_FAILED, claim_a, "pump_timeout"), QUEUE_DONE);
    }
    CHECK(queue_machine_get(queue, STR("n"), &machine));
    CHECK(machine.on_hold);
    CHECK_EQ(machine.failures_in_row, 3);
    uint64_t waits = create("n");
    CHECK_EQ(offered("n", none), 0);
    CHECK_EQ(claim_for(waits, "n", claim_b, journal_a), QUEUE_NOT_CLAIMABLE);
    CHECK_EQ(order(queue_release, 0, "n", QUEUE_HELD), QUEUE_DONE);
    CHECK_EQ(offered("n", none), waits);
    CHECK(queue_machine_get(queue, STR("n"), &machine));
    CHECK_EQ(machine.failures_in_row, 0);
    close_queue();
}

TEST(a_success_forgives_earlier_failures)
{
    open_queue();
    struct queue_machine machine;
    for (int i = 0; i < 5; i++) {
        uint64_t id = create("m");
        CHECK_EQ(claim_for(id, "m", claim_a, journal_a), QUEUE_DONE);
        bool fails = i % 3 != 2;
        CHECK_EQ(report_for(id, "m", fails ? QUEUE_FAILED : QUEUE_COMPLETE, claim_a,
                            fails ? "pump_timeout" : NULL),
                 QUEUE_DONE);
    }
    CHECK(queue_machine_get(queue, STR("m"), &machine));
    CHECK(!machine.on_hold);
    CHECK_EQ(machine.failures_in_row, 2);
    close_queue();
}

TEST(a_refusal_before_the_claim_rejects_and_does_not_hold)
{
    open_queue();
    uint64_t id = create("m"), next = create("m");
    CHECK_EQ(report_for(id, "m", QUEUE_REJECTED, none, "magazine_empty"), QUEUE_DONE);
    CHECK_EQ(offered("m", none), next);
    struct queue_machine machine;
    CHECK(queue_machine_get(queue, STR("m"), &machine));
    CHECK(!machine.on_hold);
    close_queue();
}

static size_t open_alerts;
static enum err alerts_run(struct store_job *job, struct store_db *db)
{
    struct arena scratch;
    struct record_alert *alerts = NULL;
    (void)job;
    arena_init(&scratch, 1 * MIB);
    enum err err = record_alert_list(db, true, 0, 200, &scratch, &alerts, &open_alerts);
    arena_finish(&scratch);
    return err;
}

static size_t alerts_open(void)
{
    struct store_job job = {.run = alerts_run};
    CHECK_OK(store_run_now(store, &job));
    return open_alerts;
}

TEST(an_unknown_settled_by_its_own_claim_answers_its_alert)
{
    open_queue();
    uint64_t id = create("m");
    CHECK_EQ(claim_for(id, "m", claim_a, journal_a), QUEUE_DONE);
    tick(300000);
    CHECK_EQ(alerts_open(), 1);
    CHECK_EQ(report_for(id, "m", QUEUE_COMPLETE, claim_a, NULL), QUEUE_DONE);
    CHECK_EQ(alerts_open(), 0);
    close_queue();
}

TEST(a_persons_hold_keeps_its_reason_when_the_machine_fails_too)
{
    open_queue();
    struct queue_machine machine;
    uint64_t id = create("m");
    CHECK_EQ(claim_for(id, "m", claim_a, journal_a), QUEUE_DONE);
    CHECK_EQ(order(queue_hold, 0, "m", QUEUE_HELD), QUEUE_DONE); /* "looked" */
    CHECK_EQ(report_for(id, "m", QUEUE_FAILED, claim_a, "pick_failed"), QUEUE_DONE);
    CHECK(queue_machine_get(queue, STR("m"), &machine));
    CHECK_SLICE(machine.hold_reason, "looked");
    CHECK_EQ(machine.failures_in_row, 1);
    CHECK_EQ(alerts_open(), 1);
    CHECK_EQ(order(queue_release, 0, "m", QUEUE_HELD), QUEUE_DONE);
    CHECK_EQ(alerts_open(), 0);
    close_queue();
}

TEST(a_failure_that_needs_a_hand_says_so_without_a_hold)
{
    open_queue();
    struct queue_machine machine;
    uint64_t id = create("m");
    CHECK_EQ(claim_for(id, "m", claim_a, journal_a), QUEUE_DONE);
    CHECK_EQ(report_for(id, "m", QUEUE_FAILED, claim_a, "interrupted"), QUEUE_DONE);
    CHECK_EQ(alerts_open(), 1);
    CHECK(queue_machine_get(queue, STR("m"), &machine));
    CHECK(!machine.on_hold);
    close_queue();
}

TEST(releasing_leaves_the_alerts_that_need_a_hand)
{
    open_queue();
    uint64_t id = create("m");
    CHECK_EQ(report_for(id, "m", QUEUE_REJECTED, none, "magazine_empty"), QUEUE_DONE);
    CHECK_EQ(order(queue_hold, 0, "m", QUEUE_HELD), QUEUE_DONE);
    CHECK_EQ(order(queue_release, 0, "m", QUEUE_HELD), QUEUE_DONE);
    CHECK_EQ(alerts_open(), 1);
    close_queue();
}

TEST(many_big_late_commands_expire_all_the_same)
{
    open_queue();
    char *meta = mem_alloc(60000);
    CHECK(meta != NULL);
    struct text text;
    text_init(&text, meta, 60000);
    text_add(&text, STR("{\"a\":\""));
    for (int i = 0; i < 59000; i++)
        text_add_char(&text, 'x');
    text_add(&text, STR("\"}"));
    struct queue_new new = {.kind = &brewer,
                            .machine_id = STR("m"),
                            .command = STR("go"),
                            .payload = STR("{}"),
                            .meta = {text.at, text.len},
                            .execute_allowed = true,
                            .actor = STR("a")};
    for (int i = 0; i < 70; i++) {
        CHECK_OK(queue_submit(queue, &new, created, NULL));
        settle_store();
    }
    for (int i = 0; i < 20; i++)
        tick(i == 0 ? 600000 : 1000);
    struct queue_machine machine;
    CHECK(queue_machine_get(queue, STR("m"), &machine));
    CHECK_EQ(machine.pending_count, 0);
    CHECK_EQ(offered("m", none), 0);
    uint64_t fresh = create("m");
    CHECK_EQ(offered("m", none), fresh);
    mem_free(meta);
    close_queue();
}

TEST(held_positions_are_replaced_by_newer_ones_and_replace_none)
{
    open_queue();
    uint64_t pending = create_as(&window, "w", true, NULL, 0);
    uint64_t held = create_as(&window, "w", false, NULL, 0);
    CHECK_EQ(offered("w", none), pending);
    uint64_t newest = create_as(&window, "w", true, NULL, 0);
    CHECK_EQ(offered("w", none), newest);
    CHECK_EQ(order(queue_approve, held, NULL, QUEUE_HELD), QUEUE_SETTLED);
    uint64_t again = create_as(&window, "w", false, NULL, 0);
    CHECK_EQ(order(queue_approve, again, NULL, QUEUE_HELD), QUEUE_DONE);
    CHECK_EQ(offered("w", none), again);
    close_queue();
}

TEST(held_commands_count_towards_the_limit)
{
    open_queue();
    for (int i = 0; i < 1000; i++)
        create_as(&brewer, "m", false, NULL, 0);
    create_as(&brewer, "m", false, NULL, 0);
    CHECK_EQ(answer.verdict, QUEUE_TOO_MANY);
    close_queue();
}

TEST(the_number_of_another_database_is_no_command)
{
    open_queue();
    uint64_t id = create("m");
    struct queue_claim ask = {.command_id = id,
                              .machine_id = STR("m"),
                              .claim_id = claim_a,
                              .journal_id = journal_a,
                              .uid = {{0xff, 0xff}},
                              .actor = STR("machine:m")};
    CHECK_OK(queue_claim(queue, &ask, claimed, NULL));
    settle_store();
    CHECK_EQ(answer.verdict, QUEUE_NO_COMMAND);
    CHECK_EQ(offered("m", none), id);
    close_queue();
}

TEST(settling_in_the_very_group_of_the_claim_is_too_early)
{
    open_queue();
    uint64_t id = create("m");
    struct queue_claim ask = {.command_id = id,
                              .machine_id = STR("m"),
                              .claim_id = claim_a,
                              .journal_id = journal_a,
                              .actor = STR("machine:m")};
    struct queue_order say = {
        .command_id = id, .outcome = QUEUE_FAILED, .note = STR("x"), .actor = STR("s")};
    CHECK_OK(queue_claim(queue, &ask, claimed, NULL));
    CHECK_OK(queue_hello(queue, STR("m"), journal_b, STR("machine:m"), done, NULL));
    CHECK_OK(queue_settle(queue, &say, done, NULL));
    settle_store();
    CHECK_EQ(answer.verdict, QUEUE_TOO_EARLY);
    close_queue();
}

TEST(memory_that_runs_out_after_the_commit_harms_nobody)
{
    for (uint32_t nth = 1; nth < 60; nth++) {
        open_queue();
        uint64_t first = create("m");
        struct queue_claim ask = {.command_id = first,
                                  .machine_id = STR("m"),
                                  .claim_id = claim_a,
                                  .journal_id = journal_a,
                                  .actor = STR("machine:m")};
        answer.calls = 0;
        CHECK_OK(queue_claim(queue, &ask, claimed, NULL));
        mem_fail_at(nth);
        settle_store();
        mem_fail_at(0);
        CHECK_EQ(answer.calls, 1);
        bool granted = answer.err == ERR_OK && answer.verdict == QUEUE_DONE;
        uint64_t second = create("m");
        if (granted) {
            CHECK_EQ(claim_for(second, "m", claim_b, journal_b), QUEUE_NOT_CLAIMABLE);
            tick(210000);
            tick(2000);
            CHECK_EQ(report_for(first, "m", QUEUE_COMPLETE, claim_a, NULL), QUEUE_DONE);
            CHECK_EQ(order(queue_release, 0, "m", QUEUE_HELD), QUEUE_DONE);
            CHECK_EQ(offered("m", none), second);
        } else {
            CHECK_EQ(claim_for(first, "m", claim_a, journal_a), QUEUE_DONE);
        }
        close_queue();
    }
}

TEST(asked_twice_is_ordered_once)
{
    open_queue();
    uint64_t id = create_as(&brewer, "m", true, "press-1", 1);
    CHECK_EQ(create_as(&brewer, "m", true, "press-1", 1), id);
    CHECK_EQ(answer.verdict, QUEUE_REPEATED);
    create_as(&brewer, "m", true, "press-1", 2);
    CHECK_EQ(answer.verdict, QUEUE_KEY_MISMATCH);
    CHECK_EQ(claim_for(id, "m", claim_a, journal_a), QUEUE_DONE);
    CHECK_EQ(report_for(id, "m", QUEUE_COMPLETE, claim_a, NULL), QUEUE_DONE);
    CHECK_EQ(create_as(&brewer, "m", true, "press-1", 1), id); /* also long after */
    CHECK(create_as(&brewer, "m", true, "press-2", 1) != id);
    close_queue();
}

TEST(the_same_key_ten_times_in_one_group_makes_one_command)
{
    open_queue();
    struct queue_new new = {.kind = &brewer,
                            .machine_id = STR("m"),
                            .command = STR("go"),
                            .payload = STR("{}"),
                            .execute_allowed = true,
                            .actor = STR("a"),
                            .key_scope = STR("a"),
                            .key = STR("k")};
    answer.calls = 0;
    for (int i = 0; i < 10; i++)
        CHECK_OK(queue_submit(queue, &new, created, NULL));
    settle_store();
    CHECK_EQ(answer.calls, 10);
    struct queue_machine machine;
    CHECK(queue_machine_get(queue, STR("m"), &machine));
    CHECK_EQ(machine.pending_count, 1);
    close_queue();
}

TEST(a_tap_is_busy_and_a_window_takes_the_newest)
{
    open_queue();
    uint64_t pour = create_as(&tap, "t", true, NULL, 0);
    create_as(&tap, "t", true, NULL, 0);
    CHECK_EQ(answer.verdict, QUEUE_BUSY);
    CHECK_EQ(claim_for(pour, "t", claim_a, journal_a), QUEUE_DONE);
    create_as(&tap, "t", true, NULL, 0);
    CHECK_EQ(answer.verdict, QUEUE_BUSY);
    uint64_t older = create_as(&window, "w", true, NULL, 0);
    uint64_t newer = create_as(&window, "w", true, NULL, 0);
    CHECK(newer != older);
    CHECK_EQ(offered("w", none), newer);
    struct queue_machine machine;
    CHECK(queue_machine_get(queue, STR("w"), &machine));
    CHECK_EQ(machine.pending_count, 1);
    close_queue();
}

TEST(the_queue_of_one_machine_is_bounded)
{
    open_queue();
    for (int i = 0; i < 1000; i++)
        create("m");
    create("m");
    CHECK_EQ(answer.verdict, QUEUE_TOO_MANY);
    create("n");
    CHECK_EQ(answer.verdict, QUEUE_DONE);
    close_queue();
}

TEST(a_hook_that_fails_undoes_the_transition)
{
    open_queue();
    hook_result = ERR_IO;
    struct queue_new new = {.kind = &brewer,
                            .machine_id = STR("m"),
                            .command = STR("go"),
                            .payload = STR("{}"),
                            .execute_allowed = true,
                            .actor = STR("a")};
    answer.calls = 0;
    CHECK_OK(queue_submit(queue, &new, created, NULL));
    settle_store();
    CHECK_EQ(answer.calls, 1);
    CHECK_ERR(answer.err, ERR_IO);
    CHECK_EQ(offered("m", none), 0);
    hook_result = ERR_OK;
    CHECK_EQ(create("m"), 1);
    close_queue();
}

static int woken;
static void wake(struct queue_wait *wait)
{
    (void)wait;
    woken++;
}

TEST(a_parked_check_is_woken_when_there_is_something_to_claim)
{
    open_queue();
    struct queue_wait wait = {.wake = wake}, gone = {.wake = wake};
    woken = 0;
    CHECK_OK(queue_wait_add(queue, STR("m"), &wait));
    CHECK_OK(queue_wait_add(queue, STR("m"), &gone));
    queue_wait_remove(&gone);
    create("n");
    CHECK_EQ(woken, 0);
    uint64_t id = create("m");
    CHECK_EQ(woken, 1);
    CHECK(wait.machine == NULL);
    CHECK_OK(queue_wait_add(queue, STR("m"), &wait));
    CHECK_EQ(claim_for(id, "m", claim_a, journal_a), QUEUE_DONE);
    create("m");
    CHECK_EQ(woken, 1); /* one runs: nothing to claim */
    CHECK_EQ(report_for(id, "m", QUEUE_COMPLETE, claim_a, NULL), QUEUE_DONE);
    CHECK_EQ(woken, 2);
    close_queue();
}

TEST(memory_is_rebuilt_from_sql)
{
    open_queue();
    uint64_t running = create("m"), waiting = create("m"), late = create("n");
    CHECK_EQ(claim_for(running, "m", claim_a, journal_a), QUEUE_DONE);
    CHECK_EQ(order(queue_hold, 0, "o", QUEUE_HELD), QUEUE_DONE);
    queue_destroy(queue);
    wall_ms += 600000;
    mono_ms = 5; /* another boot of the host */
    struct queue_options all = options();
    CHECK_OK(queue_create(&all, &queue));
    CHECK_EQ(offered("m", journal_a), running);
    CHECK_EQ(offered("m", none), 0);
    CHECK_EQ(offered("n", none), 0);
    struct queue_machine machine;
    CHECK(queue_machine_get(queue, STR("o"), &machine));
    CHECK(machine.on_hold);
    tick(0);
    CHECK_EQ(claim_for(late, "n", claim_b, journal_a), QUEUE_LATE);
    (void)waiting;
    tick(209999);
    CHECK_EQ(offered("m", journal_a), running); /* silence is counted anew: longer is safe */
    tick(1);
    CHECK_EQ(offered("m", journal_a), 0);
    close_queue();
}

TEST(a_restored_database_starts_nothing)
{
    open_queue();
    uint64_t running = create("m");
    create("m");
    create("n");
    CHECK_EQ(claim_for(running, "m", claim_a, journal_a), QUEUE_DONE);
    uint32_t held = 0, unknown = 0;
    CHECK_OK(queue_restored(queue, STR("account:admin"), &held, &unknown));
    CHECK_EQ(held, 2);
    CHECK_EQ(unknown, 1);
    CHECK_EQ(offered("m", none), 0);
    CHECK_EQ(offered("m", journal_a), 0);
    CHECK_EQ(offered("n", none), 0);
    struct queue_machine machine;
    CHECK(queue_machine_get(queue, STR("m"), &machine));
    CHECK(machine.on_hold);
    close_queue();
}

static enum err verify_run(struct store_job *job, struct store_db *db)
{
    (void)job;
    struct record_walk walk = {0};
    while (!walk.finished && walk.broken_id == 0) {
        enum err err = record_audit_verify(db, 10, &walk);
        if (err != ERR_OK)
            return err;
    }
    CHECK_EQ(walk.broken_id, 0);
    CHECK(walk.entries > 0);
    return ERR_OK;
}

TEST(every_transition_is_in_the_audit_chain)
{
    open_queue();
    uint64_t id = create("m");
    CHECK_EQ(claim_for(id, "m", claim_a, journal_a), QUEUE_DONE);
    CHECK_EQ(report_for(id, "m", QUEUE_FAILED, claim_a, "pick_failed"), QUEUE_DONE);
    queue_note_refusal(queue, STR("m"), STR("account:eve"), STR("out_of_limits"),
                       STR("recipe.volume_ml"), STR_NONE);
    settle_store();
    struct store_job job = {.run = verify_run};
    CHECK_OK(store_run_now(store, &job));
    close_queue();
}

TEST(every_failed_allocation_leaves_the_queue_usable)
{
    for (uint32_t nth = 1;; nth++) {
        open_queue();
        uint64_t first = create("m");
        mem_fail_at(nth);
        struct queue_new new = {.kind = &brewer,
                                .machine_id = STR("n"),
                                .command = STR("go"),
                                .payload = STR("{}"),
                                .meta = STR("{\"a\":1}"),
                                .execute_allowed = true,
                                .actor = STR("a")};
        answer.calls = 0;
        enum err err = queue_submit(queue, &new, created, NULL);
        settle_store();
        CHECK_EQ(answer.calls, err == ERR_OK ? 1 : 0);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        CHECK_EQ(claim_for(first, "m", claim_a, journal_a), QUEUE_DONE);
        close_queue();
        if (!fired)
            break;
    }
}
