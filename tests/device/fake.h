/* A board, its power, its flash, its network and its server, all in one thread on a made-up clock.
 * The server keeps the queue's rules for one machine; the network loses, delays and repeats what a
 * fault plan says; the flash tears.  After every step the rules of the design are checked. */
#ifndef AUTOMAT_TESTS_DEVICE_FAKE_H
#define AUTOMAT_TESTS_DEVICE_FAKE_H

#include <setjmp.h>
#include <string.h>

#include "device/device.h"
#include "kit/kit.h"

#define FAKE_SECTOR_BYTES  JOURNAL_SECTOR_BYTES_MIN
#define FAKE_FLASH_BYTES   (2 * FAKE_SECTOR_BYTES)
#define FAKE_COMMANDS_MAX  512
#define FAKE_EXCHANGES_MAX 16
#define FAKE_BODY_BYTES    9000

/* ---- flash ---- */

enum fake_cut { CUT_NONE, CUT_BEFORE, CUT_TORN, CUT_AFTER };

struct fake_flash {
    uint8_t bytes[FAKE_FLASH_BYTES];
    uint64_t ops;    /* writes and erasures so far */
    uint64_t cut_at; /* power goes at this one (1 is the first); 0: never */
    enum fake_cut cut;
    bool read_fails, write_fails; /* the memory is broken, the power is fine */
    bool write_lies;              /* says OK and keeps nothing */
};

/* ---- server ---- */

enum fake_state {
    FAKE_PENDING,
    FAKE_RUNNING,
    FAKE_COMPLETE,
    FAKE_FAILED,
    FAKE_REJECTED,
    FAKE_CANCELLED,
    FAKE_UNKNOWN,
};

struct fake_command {
    uint64_t command_id;
    struct id128 uid, claim_id, journal_id;
    enum fake_state state;
    int64_t claimed_ms;
    bool stop;
    char reason[WIRE_NAME_BYTES];
    int64_t volume_milli; /* as reported; -1: not */
    uint32_t starts;      /* what the machine really did */
    uint32_t endings;
};

enum fake_fault {
    FAULT_NONE,
    FAULT_LOST,        /* the request never arrives */
    FAULT_ANSWER_LOST, /* it is handled, and nobody hears */
    FAULT_500,         /* refused by a server in trouble, nothing done */
    FAULT_LATE,        /* handled long after the board gave up */
    FAULT_TWICE,       /* handled again later: somebody on the way repeated it */
    FAULT_SLOW,        /* answered just in time */
    FAULT_GARBAGE,     /* handled, and the answer is no JSON */
    FAULT_COUNT,
};

struct fake_exchange {
    bool used, handled, answered, error, garbage;
    uint64_t id;
    uint32_t boot;
    int64_t handle_ms, answer_ms, again_ms; /* again: handled a second time; 0: not */
    enum device_method method;
    char path[WIRE_PATH_BYTES];
    struct id128 journal_id;
    char body[FAKE_BODY_BYTES];
    size_t body_len;
    uint32_t status;
    char answer[2048];
};

struct fake {
    int64_t now_ms;
    uint32_t speed;   /* the board's clock runs so many times faster */
    uint32_t wait_s;  /* long-poll */
    uint32_t wait_ms; /* what the program asked for last */
    struct rng rng;
    struct fake_flash flash;
    struct device device;
    bool powered;
    uint32_t boot; /* how often it came on */
    jmp_buf power_gone;
    bool running_code; /* between setjmp and its end */

    /* the machine */
    uint32_t act_ms; /* how long one order takes */
    int64_t act_left_ms;
    bool acting, asked_to_stop, ignores_stop, ignores_time_over, cancels_itself;
    struct id128 acting_uid;
    int64_t amount_milli;
    const char *refuse; /* pre-flight says so */
    const char *fail;   /* acting ends so */
    const char *reason;
    uint32_t cuts, configured;

    /* the network */
    struct fake_exchange exchange[FAKE_EXCHANGES_MAX];
    enum fake_fault (*plan)(struct fake *fake, const struct device_exchange *exchange);
    uint64_t sent;     /* exchanges so far */
    uint64_t crash_at; /* power goes when this one is sent; 0: never */
    bool crash_unsent; /* just before, instead of just after */
    int64_t latency_ms;

    /* the server */
    struct fake_command command[FAKE_COMMANDS_MAX];
    uint32_t command_count;
    int64_t start_within_ms;
    uint32_t max_duration_s;
    bool waiting; /* staff have not let it in */
    bool unauthorised;
    bool not_allowed;     /* offers come with execute_allowed false */
    bool other_board;     /* a clone with the same credentials claims what we are offered first */
    bool metal_elsewhere; /* a twin acts, not fake_kind: starts and endings are not counted here */
    const char *command_name, *payload; /* of every offer */
    bool answers_reduced; /* a repeated claim is told what is left, not what there was */
    uint32_t hellos, checks, claims, reports, progresses, machine_progresses, samples;
    uint32_t conflicts;
    char last_step[WIRE_NAME_BYTES];
};

/* ---- power ---- */

static inline void fake_power_off(struct fake *fake)
{
    fake->powered = false;
    fake->acting = false; /* everything is de-energised; what was poured was poured */
    if (fake->running_code)
        longjmp(fake->power_gone, 1);
}

/* ---- flash ---- */

static inline enum err fake_read(void *context, uint32_t offset, void *dst, size_t len)
{
    struct fake *fake = context;
    CHECK(offset + len <= FAKE_FLASH_BYTES);
    if (fake->flash.read_fails)
        return ERR_IO;
    memcpy(dst, fake->flash.bytes + offset, len);
    return ERR_OK;
}

static inline bool fake_cut_now(struct fake *fake)
{
    fake->flash.ops++;
    return fake->flash.cut_at != 0 && fake->flash.ops == fake->flash.cut_at;
}

static inline enum err fake_write(void *context, uint32_t offset, const void *src, size_t len)
{
    struct fake *fake = context;
    struct fake_flash *flash = &fake->flash;
    CHECK(offset + len <= FAKE_FLASH_BYTES);
    for (size_t i = 0; i < len; i++)
        CHECK_EQ(flash->bytes[offset + i], 0xff); /* a byte is written once */
    bool cut = fake_cut_now(fake);
    if (cut && flash->cut == CUT_BEFORE)
        fake_power_off(fake);
    if (flash->write_fails)
        return ERR_IO;
    if (flash->write_lies)
        return ERR_OK;
    size_t kept = cut && flash->cut == CUT_TORN ? rng_below(&fake->rng, (uint32_t)len) : len;
    memcpy(flash->bytes + offset, src, kept);
    if (kept < len && rng_chance(&fake->rng, 0.5)) /* not always a clean cut */
        flash->bytes[offset + kept] = (uint8_t)rng_below(&fake->rng, 255);
    if (cut)
        fake_power_off(fake);
    return ERR_OK;
}

static inline enum err fake_erase(void *context, uint32_t sector)
{
    struct fake *fake = context;
    struct fake_flash *flash = &fake->flash;
    uint8_t *at = flash->bytes + (size_t)sector * FAKE_SECTOR_BYTES;
    CHECK(sector < 2);
    bool cut = fake_cut_now(fake);
    if (cut && flash->cut == CUT_BEFORE)
        fake_power_off(fake);
    if (flash->write_fails)
        return ERR_IO;
    size_t kept = cut && flash->cut == CUT_TORN ? rng_below(&fake->rng, FAKE_SECTOR_BYTES)
                                                : FAKE_SECTOR_BYTES;
    memset(at, 0xff, kept);
    if (cut)
        fake_power_off(fake);
    return ERR_OK;
}

/* ---- the machine: pours `act_ms` ml-thousandths, one a ms ---- */

static inline struct fake_command *fake_find(struct fake *fake, struct id128 uid)
{
    for (uint32_t i = 0; i < fake->command_count; i++) {
        if (id128_equal(fake->command[i].uid, uid))
            return &fake->command[i];
    }
    return NULL;
}

static inline void fake_kind_boot(void *kind)
{
    struct fake *fake = kind;
    fake->acting = false;
    fake->amount_milli = 0;
}

static inline void fake_kind_configure(void *kind, struct str config)
{
    struct fake *fake = kind;
    (void)config;
    CHECK(!fake->acting);
    fake->configured++;
}

static inline enum err fake_kind_prepare(void *kind, const struct device_command *command,
                                         const char **ret_reason)
{
    struct fake *fake = kind;
    CHECK(!fake->acting);
    CHECK(command->payload.at != NULL);
    fake->amount_milli = 0;
    if (fake->refuse == NULL)
        return ERR_OK;
    *ret_reason = fake->refuse;
    return ERR_REFUSED;
}

static inline void fake_kind_start(void *kind, const struct device_command *command)
{
    struct fake *fake = kind;
    struct fake_command *known = fake_find(fake, command->uid);
    CHECK(known != NULL);
    CHECK(!fake->acting);
    fake->acting = true;
    fake->asked_to_stop = false;
    fake->acting_uid = command->uid;
    fake->act_left_ms = fake->act_ms;
    fake->amount_milli = 0;
    fake->reason = "";
    known->starts++;
    CHECK_EQ(known->starts, 1); /* the rule everything here is about */
    /* Its record is on the flash before anything moves. */
    const struct journal_entry *entry = journal_find(&fake->device.journal, command->uid);
    CHECK(entry != NULL && entry->state == JOURNAL_STARTED);
}

static inline enum device_act fake_kind_step(void *kind, int64_t now_ms, uint32_t dt_ms)
{
    struct fake *fake = kind;
    (void)now_ms;
    if (!fake->acting)
        return DEVICE_IDLE;
    if ((fake->asked_to_stop && !fake->ignores_stop) || fake->cancels_itself) {
        fake->acting = false;
        return DEVICE_CANCELLED;
    }
    fake->act_left_ms -= dt_ms;
    fake->amount_milli += dt_ms;
    if (fake->act_left_ms > 0)
        return DEVICE_ACTING;
    fake->acting = false;
    fake_find(fake, fake->acting_uid)->endings++;
    fake->reason = fake->fail != NULL ? fake->fail : "";
    return fake->fail != NULL ? DEVICE_FAILED : DEVICE_COMPLETED;
}

static inline void fake_kind_stop(void *kind)
{
    struct fake *fake = kind;
    fake->asked_to_stop = true;
}

static inline void fake_kind_time_over(void *kind)
{
    struct fake *fake = kind;
    if (fake->ignores_time_over)
        return;
    fake->act_left_ms = 0;
    fake->fail = "timeout";
}

static inline void fake_kind_cut(void *kind)
{
    struct fake *fake = kind;
    fake->acting = false;
    fake->cuts++;
}

static inline void fake_kind_measure(void *kind, int64_t *ret_milli)
{
    struct fake *fake = kind;
    ret_milli[0] = fake->amount_milli;
}

static inline const char *fake_kind_reason(void *kind)
{
    struct fake *fake = kind;
    return fake->reason;
}

static inline const char *fake_kind_step_name(void *kind)
{
    struct fake *fake = kind;
    return fake->acting ? "pouring" : "idle";
}

static inline bool fake_kind_sample(void *kind, int32_t *ret_row)
{
    struct fake *fake = kind;
    if (fake->amount_milli % 100 != 0)
        return false;
    ret_row[0] = (int32_t)fake->amount_milli;
    ret_row[1] = (int32_t)fake->amount_milli;
    return true;
}

static inline void fake_kind_sensors(void *kind, struct text *text)
{
    (void)kind;
    text_add(text, STR("{\"glass\":true}"));
}

static const char *const fake_numbers[] = {"actual_volume_ml"};
static const char *const fake_columns[] = {"volume_ml"};
static const struct device_kind fake_kind = {
    .name = "fake",
    .act_period_ms = 20,
    .wind_down_ms = 200,
    .number_names = fake_numbers,
    .number_count = 1,
    .column_names = fake_columns,
    .column_count = 1,
    .boot = fake_kind_boot,
    .configure = fake_kind_configure,
    .prepare = fake_kind_prepare,
    .start = fake_kind_start,
    .step = fake_kind_step,
    .stop = fake_kind_stop,
    .time_over = fake_kind_time_over,
    .cut = fake_kind_cut,
    .measure = fake_kind_measure,
    .reason = fake_kind_reason,
    .step_name = fake_kind_step_name,
    .sample = fake_kind_sample,
    .sensors = fake_kind_sensors,
};

/* ---- the server ---- */

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

/* ---- the network ---- */

static inline enum err fake_random(void *context, void *dst, size_t len)
{
    struct fake *fake = context;
    uint8_t *at = dst;
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)rng_next(&fake->rng);
    return ERR_OK;
}

static inline int64_t fake_mono(void *context)
{
    const struct fake *fake = context;
    return fake->now_ms * (int64_t)fake->speed;
}

static inline struct fake_exchange *fake_slot(struct fake *fake)
{
    for (unsigned i = 0; i < FAKE_EXCHANGES_MAX; i++) {
        if (!fake->exchange[i].used)
            return &fake->exchange[i];
    }
    return NULL;
}

static inline void fake_schedule(struct fake *fake, struct fake_exchange *exchange,
                                 enum fake_fault fault, int64_t timeout_ms)
{
    int64_t now = fake->now_ms;
    exchange->handle_ms = now + fake->latency_ms;
    exchange->answer_ms = now + 2 * fake->latency_ms;
    switch (fault) {
    case FAULT_LOST:
    case FAULT_500:
        exchange->handle_ms = INT64_MAX;
        exchange->error = fault == FAULT_LOST;
        exchange->answer_ms = fault == FAULT_LOST ? now + timeout_ms : exchange->answer_ms;
        exchange->status = 503;
        break;
    case FAULT_ANSWER_LOST:
        exchange->error = true;
        exchange->answer_ms = now + timeout_ms;
        break;
    case FAULT_LATE:
        exchange->error = true;
        exchange->answer_ms = now + timeout_ms;
        exchange->handle_ms = now + timeout_ms + rng_below(&fake->rng, 20000);
        break;
    case FAULT_TWICE:
        exchange->again_ms = now + 3 * fake->latency_ms + rng_below(&fake->rng, 15000);
        break;
    case FAULT_SLOW:
        exchange->answer_ms = now + timeout_ms - 1;
        break;
    case FAULT_GARBAGE:
    case FAULT_NONE:
    case FAULT_COUNT:
        break;
    }
}

static inline enum err fake_send(void *context, const struct device_exchange *exchange)
{
    struct fake *fake = context;
    CHECK(exchange->body.len < FAKE_BODY_BYTES);
    CHECK(exchange->timeout_ms > 0);
    fake->sent++;
    bool crash = fake->crash_at != 0 && fake->sent == fake->crash_at;
    if (crash && fake->crash_unsent)
        fake_power_off(fake);
    struct fake_exchange *slot = fake_slot(fake);
    if (slot == NULL)
        return ERR_FULL;
    memset(slot, 0, offsetof(struct fake_exchange, body));
    slot->answer[0] = '\0';
    slot->used = true;
    slot->id = exchange->id;
    slot->boot = fake->boot;
    slot->method = exchange->method;
    CHECK_OK(str_copy(slot->path, sizeof(slot->path), str_from(exchange->path)));
    memcpy(slot->body, exchange->body.len > 0 ? exchange->body.at : "", exchange->body.len);
    slot->body_len = exchange->body.len;
    if (exchange->journal_id != NULL)
        CHECK_OK(id128_parse(str_from(exchange->journal_id), &slot->journal_id));
    enum fake_fault fault = fake->plan != NULL ? fake->plan(fake, exchange) : FAULT_NONE;
    fake_schedule(fake, slot, fault, exchange->timeout_ms);
    slot->garbage = fault == FAULT_GARBAGE;
    if (crash)
        fake_power_off(fake);
    return ERR_OK;
}

static inline void fake_answer(struct fake *fake, struct fake_exchange *exchange)
{
    exchange->answered = true;
    if (exchange->boot != fake->boot || !fake->powered)
        return; /* nobody is there to hear it */
    if (exchange->error)
        device_on_link_error(&fake->device, exchange->id);
    else if (exchange->garbage)
        device_on_response(&fake->device, exchange->id, exchange->status,
                           STR("{\"status\":\"updated\",\"start_within_ms\":"));
    else
        device_on_response(&fake->device, exchange->id, exchange->status,
                           str_from(exchange->answer));
}

static inline void fake_network(struct fake *fake)
{
    for (unsigned i = 0; i < FAKE_EXCHANGES_MAX; i++) {
        struct fake_exchange *exchange = &fake->exchange[i];
        if (!exchange->used)
            continue;
        if (!exchange->handled && exchange->handle_ms <= fake->now_ms) {
            exchange->handled = true;
            fake_handle(fake, exchange);
        }
        if (exchange->again_ms != 0 && exchange->again_ms <= fake->now_ms) {
            struct fake_exchange copy = *exchange;
            exchange->again_ms = 0;
            fake_handle(fake, &copy);
        }
        if (!exchange->answered && exchange->answer_ms <= fake->now_ms)
            fake_answer(fake, exchange);
        bool handled = exchange->handled || exchange->handle_ms == INT64_MAX;
        if (exchange->answered && handled && exchange->again_ms == 0)
            exchange->used = false;
    }
}

static inline int64_t fake_network_due(const struct fake *fake)
{
    int64_t due = INT64_MAX;
    for (unsigned i = 0; i < FAKE_EXCHANGES_MAX; i++) {
        const struct fake_exchange *exchange = &fake->exchange[i];
        if (!exchange->used)
            continue;
        if (!exchange->handled && exchange->handle_ms < due)
            due = exchange->handle_ms;
        if (!exchange->answered && exchange->answer_ms < due)
            due = exchange->answer_ms;
        if (exchange->again_ms != 0 && exchange->again_ms < due)
            due = exchange->again_ms;
    }
    return due;
}

/* ---- running ---- */

static inline void fake_init(struct fake *fake, uint64_t seed)
{
    memset(fake, 0, sizeof(*fake));
    rng_init(&fake->rng, seed);
    fake->now_ms = 1000;
    fake->command_name = "pour";
    fake->payload = "{\"amount_ml\":30}";
    fake->act_ms = 3000;
    fake->speed = 1;
    fake->latency_ms = 10;
    fake->start_within_ms = 30000;
    fake->max_duration_s = 60;
    memset(fake->flash.bytes, 0xff, sizeof(fake->flash.bytes));
}

static inline struct device_options fake_options(struct fake *fake)
{
    return (struct device_options){
        .machine_id = "m1",
        .kind = &fake_kind,
        .kind_context = fake,
        .poll_ms = 1000,
        .timeout_ms = 2000,
        .backoff_ms_max = 8000,
        .wait_s = fake->wait_s,
        .clock_speed = fake->speed,
        .seed = rng_next(&fake->rng),
    };
}

/* Power comes on.  It may go again before this is over. */
static inline void fake_boot(struct fake *fake)
{
    struct device_hal hal = {
        .context = fake,
        .mono_ms = fake_mono,
        .random = fake_random,
        .send = fake_send,
        .flash = {.sector_bytes = FAKE_SECTOR_BYTES,
                  .read = fake_read,
                  .write = fake_write,
                  .erase = fake_erase},
    };
    struct device_options options = fake_options(fake);
    memset(&fake->device, 0xA5, sizeof(fake->device)); /* RAM holds noise */
    fake->boot++;
    fake->powered = true;
    if (setjmp(fake->power_gone) == 0) {
        fake->running_code = true;
        CHECK_OK(device_init(&fake->device, &options, &hal));
    }
    fake->running_code = false;
}

static inline void fake_check_rules(struct fake *fake)
{
    if (!fake->acting)
        return;
    const struct fake_command *command = fake_find(fake, fake->acting_uid);
    /* Never late, and never while the server says it does not. */
    CHECK_EQ(command->state, FAKE_RUNNING);
    CHECK(fake->now_ms <= command->claimed_ms + (int64_t)fake->max_duration_s * 1000);
    CHECK(id128_equal(command->claim_id, fake->device.claim_id));
}

/* One turn: the network first, then the program, then on to when something happens next. */
static inline void fake_turn(struct fake *fake)
{
    fake->wait_ms = 200;
    if (setjmp(fake->power_gone) == 0) {
        fake->running_code = true;
        fake_network(fake);
        if (fake->powered)
            fake->wait_ms = device_step(&fake->device);
    }
    fake->running_code = false;
    fake_silence(fake);
    fake_check_rules(fake);
    int64_t next = fake->now_ms + fake->wait_ms / fake->speed;
    int64_t due = fake_network_due(fake);
    if (due < next)
        next = due;
    fake->now_ms = next > fake->now_ms ? next : fake->now_ms + 1;
}

static inline void fake_run(struct fake *fake, int64_t ms)
{
    int64_t until = fake->now_ms + ms;
    while (fake->now_ms < until) {
        if (!fake->powered) {
            fake->now_ms += 500;
            fake_boot(fake);
        }
        fake_turn(fake);
    }
}

/* Until every command is settled; false when that takes longer than `ms`. */
static inline bool fake_settle(struct fake *fake, int64_t ms)
{
    int64_t until = fake->now_ms + ms;
    while (fake->now_ms < until) {
        bool open = false;
        for (uint32_t i = 0; i < fake->command_count; i++)
            open = open || fake->command[i].state == FAKE_PENDING ||
                   fake->command[i].state == FAKE_RUNNING;
        if (!open)
            return true;
        fake_run(fake, 100);
    }
    return false;
}

#endif
