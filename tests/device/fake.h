/* A board, its power, its flash, its network and its server, all in one thread on a made-up clock.
 * The server keeps the queue's rules for one machine; the network loses, delays and repeats what a
 * fault plan says; the flash tears.  After every step the rules of the design are checked. */
#ifndef AUTOMAT_TESTS_DEVICE_FAKE_H
#define AUTOMAT_TESTS_DEVICE_FAKE_H

#include "device/fake_server.h"

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
    fake->timeout_ms = 2000;
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
        .timeout_ms = fake->timeout_ms,
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
    CHECK(command->state == FAKE_RUNNING || fake->settled_elsewhere);
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
