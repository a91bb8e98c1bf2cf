/* The queue's rules for one machine, and what a board may never say. */
#ifndef AUTOMAT_TESTS_DEVICE_FAKE_SERVER_H
#define AUTOMAT_TESTS_DEVICE_FAKE_SERVER_H

#include "device/fake_board.h"

static inline struct fake_command *fake_order(struct fake *fake)
{
    CHECK(fake->command_count < FAKE_COMMANDS_MAX);
    struct fake_command *command = &fake->command[fake->command_count++];
    *command = (struct fake_command){.command_id = fake->command_count, .volume_milli = -1};
    for (unsigned i = 0; i < 16; i++)
        command->uid.byte[i] = (uint8_t)rng_next(&fake->rng);
    return command;
}

static inline struct fake_command *fake_head(struct fake *fake, struct id128 journal_id)
{
    for (uint32_t i = 0; i < fake->command_count; i++) {
        struct fake_command *command = &fake->command[i];
        if (command->state == FAKE_RUNNING)
            return id128_equal(command->journal_id, journal_id) ? command : NULL;
        if (command->state == FAKE_UNKNOWN)
            return NULL;
    }
    for (uint32_t i = 0; i < fake->command_count; i++) {
        if (fake->command[i].state == FAKE_PENDING)
            return &fake->command[i];
    }
    return NULL;
}

static inline uint32_t fake_problem(struct fake *fake, uint32_t status, const char *code,
                                    struct text *answer)
{
    struct wire_problem problem = {.code = ""};
    fake->conflicts += status == 409;
    CHECK_OK(str_copy(problem.code, sizeof(problem.code), str_from(code)));
    CHECK_OK(wire_problem_encode(&problem, status, answer));
    return status;
}

static inline uint32_t fake_on_check(struct fake *fake, const struct fake_exchange *exchange,
                                     struct text *answer)
{
    struct fake_command *command = fake_head(fake, exchange->journal_id);
    fake->checks++;
    if (command == NULL)
        return 204;
    struct wire_offer offer = {
        .command_id = command->command_id,
        .uid = command->uid,
        .payload = str_from(fake->payload),
        .execute_allowed = !fake->not_allowed,
        .running = command->state == FAKE_RUNNING,
        .has_claim = command->state == FAKE_RUNNING,
        .claim_id = command->claim_id,
    };
    CHECK_OK(str_copy(offer.command, sizeof(offer.command), str_from(fake->command_name)));
    CHECK_OK(wire_offer_encode(&offer, answer));
    if (fake->other_board && command->state == FAKE_PENDING) {
        command->state = FAKE_RUNNING; /* the clone was quicker */
        command->claim_id.byte[0] = 0xCC;
        command->journal_id.byte[0] = 0xCC;
        command->claimed_ms = fake->now_ms;
        command->starts++;
    }
    return 200;
}

static inline uint32_t fake_grant(struct fake *fake, const struct fake_command *command,
                                  struct text *answer)
{
    int64_t gone = fake->answers_reduced ? fake->now_ms - command->claimed_ms : 0;
    struct wire_answer grant = {
        .command_id = command->command_id,
        .granted = true,
        .start_within_ms = fake->start_within_ms - gone,
        .max_duration_s = fake->max_duration_s - (uint32_t)((gone + 999) / 1000),
        .stop = command->stop,
    };
    CHECK_OK(wire_answer_encode(&grant, answer));
    return 200;
}

static inline uint32_t fake_on_claim(struct fake *fake, struct fake_command *command,
                                     const struct wire_report *report, struct text *answer)
{
    fake->claims++;
    CHECK(report->has_claim && !id128_is_zero(report->claim_id));
    if (command->state == FAKE_RUNNING && id128_equal(command->claim_id, report->claim_id))
        return fake_grant(fake, command, answer);
    if (command->state != FAKE_PENDING)
        return fake_problem(fake, 409, "claim_mismatch", answer);
    for (uint32_t i = 0; i < fake->command_count; i++) {
        enum fake_state state = fake->command[i].state;
        if (state == FAKE_RUNNING || state == FAKE_UNKNOWN)
            return fake_problem(fake, 409, "not_claimable", answer);
    }
    command->state = FAKE_RUNNING;
    command->claim_id = report->claim_id;
    command->journal_id = report->journal_id;
    command->claimed_ms = fake->now_ms;
    return fake_grant(fake, command, answer);
}

static inline uint32_t fake_settled(struct fake_command *command, enum fake_state state,
                                    const struct wire_report *report, struct text *answer)
{
    struct wire_answer noted = {.command_id = command->command_id};
    command->state = state;
    memcpy(command->reason, report->reason, sizeof(command->reason));
    for (uint32_t i = 0; i < report->number_count; i++) {
        if (strcmp(report->number[i].name, "actual_volume_ml") == 0)
            command->volume_milli = report->number[i].milli;
    }
    CHECK_OK(wire_answer_encode(&noted, answer));
    return 200;
}

static inline uint32_t fake_on_report(struct fake *fake, struct fake_command *command,
                                      const struct wire_report *report, struct text *answer)
{
    bool own = report->has_claim && id128_equal(report->claim_id, command->claim_id);
    bool active = command->state == FAKE_RUNNING || command->state == FAKE_UNKNOWN;
    fake->reports++;
    if (report->status == WIRE_REJECTED && command->state == FAKE_PENDING)
        return fake_settled(command, FAKE_REJECTED, report, answer);
    if (!active)
        return fake_problem(fake, 409, "already_settled", answer);
    if (!own)
        return fake_problem(fake, 409, "claim_mismatch", answer);
    if (strcmp(report->reason, "not_started") == 0) {
        if (!id128_equal(report->journal_id, command->journal_id))
            return fake_problem(fake, 409, "wrong_journal", answer);
        CHECK_EQ(command->starts, 0); /* nobody may say "never started" of what was */
    }
    if (command->state == FAKE_UNKNOWN && report->status == WIRE_CANCELLED)
        return fake_problem(fake, 409, "wrong_transition", answer);
    switch (report->status) {
    case WIRE_COMPLETE:
        CHECK(command->endings == 1 ||
              fake->metal_elsewhere); /* complete is said only of what ran to its end */
        return fake_settled(command, FAKE_COMPLETE, report, answer);
    case WIRE_FAILED:
        return fake_settled(command, FAKE_FAILED, report, answer);
    case WIRE_CANCELLED:
        CHECK(command->stop);
        return fake_settled(command, FAKE_CANCELLED, report, answer);
    case WIRE_REJECTED:
    case WIRE_CLAIM:
    default:
        return fake_problem(fake, 409, "wrong_transition", answer);
    }
}

static inline uint32_t fake_on_update(struct fake *fake, const struct fake_exchange *exchange,
                                      uint64_t command_id, struct text *answer)
{
    struct wire_report report;
    CHECK_OK(wire_report_decode((struct str){exchange->body, exchange->body_len}, &report, NULL));
    if (command_id == 0 || command_id > fake->command_count)
        return fake_problem(fake, 404, "unknown_command", answer);
    struct fake_command *command = &fake->command[command_id - 1];
    if (!id128_equal(report.uid, command->uid))
        return fake_problem(fake, 404, "unknown_command", answer);
    return report.status == WIRE_CLAIM ? fake_on_claim(fake, command, &report, answer)
                                       : fake_on_report(fake, command, &report, answer);
}

static inline uint32_t fake_on_hello(struct fake *fake, const struct fake_exchange *exchange,
                                     struct text *answer)
{
    struct wire_hello hello;
    struct wire_welcome welcome = {.config = STR("{\"model\":\"both\"}")};
    fake->hellos++;
    CHECK_OK(wire_hello_decode((struct str){exchange->body, exchange->body_len}, &hello, NULL));
    welcome.admission = fake->waiting ? WIRE_WAITING : WIRE_ADMITTED;
    for (uint32_t i = 0; i < fake->command_count && !fake->waiting; i++) {
        struct fake_command *command = &fake->command[i];
        if (command->state != FAKE_RUNNING)
            continue;
        if (!id128_equal(command->journal_id, hello.journal_id))
            command->state = FAKE_UNKNOWN; /* rule 4: another journal cannot account for it */
    }
    CHECK_OK(wire_welcome_encode(&welcome, answer));
    return fake->waiting ? 202 : 200;
}

static inline uint32_t fake_on_progress(struct fake *fake, const struct fake_exchange *exchange,
                                        uint64_t command_id, struct text *answer)
{
    struct wire_progress progress;
    int32_t storage[WIRE_SAMPLES_MAX * (1 + WIRE_COLUMNS_MAX)];
    fake->progresses++;
    CHECK_OK(wire_progress_decode((struct str){exchange->body, exchange->body_len}, storage,
                                  ARRAY_COUNT(storage), &progress, NULL));
    CHECK(command_id > 0 && command_id <= fake->command_count);
    const struct fake_command *command = &fake->command[command_id - 1];
    if (command->state == FAKE_COMPLETE || command->state == FAKE_FAILED)
        return fake_problem(fake, 409, "already_settled", answer);
    if (command->state != FAKE_RUNNING || !id128_equal(command->claim_id, progress.claim_id))
        return fake_problem(fake, 409, "claim_mismatch", answer);
    fake->samples += progress.sample_count;
    struct wire_answer noted = {.stop = command->stop};
    CHECK_OK(wire_answer_encode(&noted, answer));
    return 200;
}

static inline uint64_t fake_number_at(const char *path, const char *prefix)
{
    uint64_t number = 0;
    CHECK_OK(str_to_u64(str_from(path + strlen(prefix)), &number));
    return number;
}

static inline bool fake_begins(const char *path, const char *prefix)
{
    return strncmp(path, prefix, strlen(prefix)) == 0;
}

static inline void fake_handle(struct fake *fake, struct fake_exchange *exchange)
{
    struct text answer;
    const char *path = exchange->path;
    text_init(&answer, exchange->answer, sizeof(exchange->answer));
    if (fake->unauthorised) {
        exchange->status = fake_problem(fake, 401, "unauthorised", &answer);
    } else if (fake_begins(path, "/api/commands/check/m1")) {
        CHECK_EQ(exchange->method, DEVICE_GET);
        exchange->status = fake_on_check(fake, exchange, &answer);
    } else if (fake->page_status != 0 && fake_begins(path, "/api/commands/update/")) {
        text_add(&answer, str_from(fake->page));
        exchange->status = fake->page_status;
    } else if (fake_begins(path, "/api/commands/update/")) {
        exchange->status =
            fake_on_update(fake, exchange, fake_number_at(path, "/api/commands/update/"), &answer);
    } else if (fake_begins(path, "/api/commands/progress/")) {
        exchange->status = fake_on_progress(
            fake, exchange, fake_number_at(path, "/api/commands/progress/"), &answer);
    } else if (strcmp(path, "/api/machines/m1/hello") == 0) {
        exchange->status = fake_on_hello(fake, exchange, &answer);
    } else {
        struct wire_machine machine;
        CHECK_STR(path, "/api/machines/m1/progress");
        CHECK_OK(
            wire_machine_decode((struct str){exchange->body, exchange->body_len}, &machine, NULL));
        memcpy(fake->last_step, machine.step, sizeof(fake->last_step));
        fake->machine_progresses++;
        text_add(&answer, STR("{\"status\":\"noted\"}"));
        exchange->status = 200;
    }
    CHECK(!answer.overflow);
}

/* The server's own clock: silence past max_duration_s and a grace is unknown, never earlier. */
static inline void fake_silence(struct fake *fake)
{
    for (uint32_t i = 0; i < fake->command_count; i++) {
        struct fake_command *command = &fake->command[i];
        if (command->state == FAKE_RUNNING &&
            fake->now_ms > command->claimed_ms + (int64_t)fake->max_duration_s * 1000 + 30000)
            command->state = FAKE_UNKNOWN;
    }
}

#endif
