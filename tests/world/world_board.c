/* Boards: flash that tears, power that goes at any moment, a network that loses, repeats and
 * reorders; and the toy that the device program drives. */
#include "world/world.h"

#include <stdlib.h>
#include <string.h>

static struct board *board_of(void *context)
{
    return context;
}

/* Power goes now, in the middle of whatever runs. */
static void cut(struct board *board)
{
    world_trace(board->world, "board %u: power cut", board->index);
    board->world->reboots++;
    longjmp(board->world->power_cut, 1);
}

void board_maybe_cut(struct board *board)
{
    if (board->world->running == board && board->cut_at_call >= 0 && board->cut_at_call-- == 0)
        cut(board);
}

/* ---- what the device program asks of its host ---- */

static int64_t host_mono_ms(void *context)
{
    return board_of(context)->world->now_ms;
}

static enum err host_random(void *context, void *dst, size_t len)
{
    struct world *world = board_of(context)->world;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)dst)[i] = (uint8_t)rng_next(&world->rng);
    return ERR_OK;
}

struct in_flight {
    uint32_t board, boots;
    struct device_exchange exchange;
    char path[WIRE_PATH_BYTES], journal_id[ID128_TEXT_BYTES];
    char *body;
};

static void arrive(struct world *world, void *data)
{
    struct in_flight *packet = data;
    if (world->server.disk != NULL)
        server_request(world, packet->board, packet->boots, &packet->exchange);
    free(packet->body);
    free(packet);
}

static struct in_flight *packet_make(struct board *board, const struct device_exchange *exchange)
{
    struct in_flight *packet = calloc(1, sizeof(*packet));
    if (packet == NULL)
        abort();
    packet->board = board->index;
    packet->boots = board->boots;
    packet->exchange = *exchange;
    strncpy(packet->path, exchange->path, sizeof(packet->path) - 1);
    packet->exchange.path = packet->path;
    if (exchange->journal_id != NULL) {
        strncpy(packet->journal_id, exchange->journal_id, sizeof(packet->journal_id) - 1);
        packet->exchange.journal_id = packet->journal_id;
    }
    packet->body = malloc(exchange->body.len + 1);
    if (packet->body == NULL)
        abort();
    if (exchange->body.len > 0)
        memcpy(packet->body, exchange->body.at, exchange->body.len);
    packet->exchange.body.at = packet->body;
    return packet;
}

int64_t world_net_delay(struct world *world)
{
    if (world_chance(world, 0.03))
        return world_between(world, 1000, 40000); /* a packet that took the long way */
    return world_between(world, 1, 120);
}

static enum err host_send(void *context, const struct device_exchange *exchange)
{
    struct board *board = board_of(context);
    struct world *world = board->world;
    board_maybe_cut(board);
    if (board->on_mqtt)
        return end_send(board, exchange);
    if (world_chance(world, 0.01))
        return ERR_IO;
    if (world_chance(world, 0.05)) {
        world->lost++;
        return ERR_OK; /* lost on the way: nobody will answer */
    }
    world_after(world, world_net_delay(world), arrive, packet_make(board, exchange));
    if (world_chance(world, 0.04)) /* and once more, later */
        world_after(world, world_net_delay(world) + world_between(world, 0, 20000), arrive,
                    packet_make(board, exchange));
    return ERR_OK;
}

/* ---- flash ---- */

static bool flash_cut(struct board *board)
{
    return board->world->running == board && board->cut_in >= 0 && board->cut_in-- == 0;
}

/* The memory itself fails now and then; it may all the same have done what it was told. */
static enum err flash_fails(struct board *board, double probability)
{
    if (!world_chance(board->world, probability))
        return ERR_OK;
    board->world->flash_errors++;
    return ERR_IO;
}

static enum err flash_read(void *context, uint32_t offset, void *dst, size_t len)
{
    struct board *board = board_of(context);
    memcpy(dst, board->flash + offset, len);
    return flash_fails(board, 0.0003);
}

static enum err flash_write(void *context, uint32_t offset, const void *src, size_t len)
{
    struct board *board = board_of(context);
    const uint8_t *bytes = src;
    board_maybe_cut(board);
    bool torn = flash_cut(board);
    for (size_t i = 0; i < len; i++) {
        if (torn && rng_chance(&board->world->rng, 0.5))
            continue; /* torn: any part of it */
        board->flash[offset + i] &= bytes[i];
    }
    if (torn)
        cut(board);
    board_maybe_cut(board);
    return flash_fails(board, 0.002);
}

static enum err flash_erase(void *context, uint32_t sector)
{
    struct board *board = board_of(context);
    uint8_t *at = board->flash + (size_t)sector * JOURNAL_SECTOR_BYTES_MIN;
    board_maybe_cut(board);
    bool torn = flash_cut(board), fails = flash_fails(board, 0.05) != ERR_OK;
    board->world->compactions += board->device.journal.ready; /* formatting comes before that */
    for (size_t i = 0; i < JOURNAL_SECTOR_BYTES_MIN; i++)
        if (!(torn || fails) || rng_chance(&board->world->rng, 0.5))
            at[i] = 0xff;
    if (torn)
        cut(board);
    board_maybe_cut(board);
    return fails ? ERR_IO : ERR_OK;
}

/* ---- the toy ---- */

static void toy_boot(void *kind)
{
    struct toy *toy = kind;
    toy->acting = false;
}

static enum err toy_prepare(void *kind, const struct device_command *command,
                            const char **ret_reason)
{
    struct toy *toy = kind;
    (void)command;
    if (!world_chance(toy->world, 0.03))
        return ERR_OK;
    *ret_reason = "magazine_empty";
    return ERR_REFUSED;
}

static void toy_start(void *kind, const struct device_command *command)
{
    struct toy *toy = kind;
    struct world *world = toy->world;
    board_maybe_cut(toy->board);
    toy->uid = command->uid;
    toy->acting = true;
    toy->stopping = toy->over = false;
    toy->begin_ms = world->now_ms;
    toy->measured_milli = 0;
    toy->slow = world_chance(world, 0.05);
    toy->end_ms = world->now_ms + (toy->slow ? 10 * 60 * 1000 : world_between(world, 500, 20000));
    toy->reason = NULL;
    oracle_start(world, command->uid, toy->board->index);
    board_maybe_cut(toy->board);
}

static void toy_end(struct toy *toy, bool finished)
{
    if (toy->acting)
        oracle_end(toy->world, toy->uid, finished);
    toy->acting = false;
}

static enum device_act toy_step(void *kind, int64_t now_ms, uint32_t dt_ms)
{
    struct toy *toy = kind;
    (void)dt_ms;
    if (!toy->acting)
        return DEVICE_IDLE;
    toy->measured_milli = now_ms - toy->begin_ms;
    if (toy->stopping) {
        toy_end(toy, false);
        toy->reason = "stopped";
        return DEVICE_CANCELLED;
    }
    if (toy->over) {
        toy_end(toy, false);
        toy->reason = "timeout";
        return DEVICE_FAILED;
    }
    if (now_ms < toy->end_ms)
        return DEVICE_ACTING;
    if (world_chance(toy->world, 0.1)) {
        toy_end(toy, false);
        toy->reason = rng_chance(&toy->world->rng, 0.5) ? "pick_failed" : "pump_timeout";
        return DEVICE_FAILED;
    }
    toy_end(toy, true);
    return DEVICE_COMPLETED;
}

static void toy_stop(void *kind)
{
    ((struct toy *)kind)->stopping = true;
}

static void toy_over(void *kind)
{
    ((struct toy *)kind)->over = true;
}

static void toy_cut(void *kind)
{
    toy_end(kind, false);
}

static void toy_measure(void *kind, int64_t *ret_milli)
{
    ret_milli[0] = ((struct toy *)kind)->measured_milli;
}

static const char *toy_reason(void *kind)
{
    return ((struct toy *)kind)->reason;
}

static const char *toy_step_name(void *kind)
{
    return ((struct toy *)kind)->acting ? "acting" : "idle";
}

static const char *const toy_numbers[] = {"actual_volume_ml"};
static const struct device_kind toy_kind = {
    .name = "toy",
    .act_period_ms = 200,
    .wind_down_ms = 2000,
    .number_names = toy_numbers,
    .number_count = 1,
    .boot = toy_boot,
    .prepare = toy_prepare,
    .start = toy_start,
    .step = toy_step,
    .stop = toy_stop,
    .time_over = toy_over,
    .cut = toy_cut,
    .measure = toy_measure,
    .reason = toy_reason,
    .step_name = toy_step_name,
};

/* ---- power ---- */

bool board_run(struct board *board, void (*piece)(struct board *board, void *data), void *data)
{
    struct world *world = board->world;
    world->running = board;
    if (setjmp(world->power_cut) == 0) {
        piece(board, data);
        world->running = NULL;
        return true;
    }
    world->running = NULL;
    board_power_off(world, board);
    board_power_on(world, board);
    return false;
}

struct turn {
    uint32_t board, boots;
    uint64_t number;
};

static void board_turn(struct world *world, void *data);

/* The next step, instead of the one that was planned. */
static void plan_turn(struct board *board, int64_t delay_ms)
{
    struct turn *turn = malloc(sizeof(*turn));
    if (turn == NULL)
        abort();
    *turn = (struct turn){board->index, board->boots, ++board->turn};
    world_after(board->world, delay_ms, board_turn, turn);
}

static void step(struct board *board, void *data)
{
    (void)data;
    end_step(board);
    uint32_t again_ms = device_step(&board->device);
    if (board->has_mqtt && device_mqtt_wait(&board->road) < again_ms)
        again_ms = device_mqtt_wait(&board->road);
    plan_turn(board, again_ms > 0 ? again_ms : 1);
}

static void board_turn(struct world *world, void *data)
{
    struct turn *turn = data;
    struct board *board = &world->board[turn->board];
    bool current = world->server.disk != NULL && board->alive && board->boots == turn->boots &&
                   board->turn == turn->number;
    free(turn);
    if (current)
        (void)board_run(board, step, NULL);
}

void board_step_soon(struct board *board)
{
    plan_turn(board, 0);
}

void board_power_off(struct world *world, struct board *board)
{
    if (!board->alive)
        return;
    world_trace(world, "board %u: off", board->index);
    toy_end(&board->toy, false); /* without power nothing moves */
    world->late_grants += board->device.stats.late_grants;
    board->alive = false;
    board->cut_in = board->cut_at_call = -1;
    end_power_off(board);
}

void board_wipe(struct world *world, struct board *board)
{
    world_trace(world, "board %u: journal wiped", board->index);
    memset(board->flash, 0xff, 2 * JOURNAL_SECTOR_BYTES_MIN);
}

void board_age(struct world *world, struct board *board)
{
    struct journal journal;
    struct device_flash flash = {JOURNAL_SECTOR_BYTES_MIN, flash_read, flash_write, flash_erase};
    struct id128 id = {{0}};
    (void)host_random(board, &id, sizeof(id));
    if (journal_open(&journal, &flash, board, id) != ERR_OK)
        return; /* the memory failed: it is as good as new */
    int64_t served = world_between(world, JOURNAL_KEEP, JOURNAL_KEEP + 30);
    for (int64_t i = 0; i < served; i++) {
        struct journal_entry entry = {
            .state = JOURNAL_HEARD, .outcome = WIRE_COMPLETE, .command_id = (uint64_t)i + 1};
        (void)host_random(board, &entry.uid, sizeof(entry.uid));
        (void)host_random(board, &entry.claim_id, sizeof(entry.claim_id));
        if (journal_put(&journal, &entry) != ERR_OK)
            return;
    }
}

void board_power_on(struct world *world, struct board *board)
{
    static const char *const machine_ids[WORLD_MACHINES_MAX] = {"m0", "m1", "m2", "m3"};
    struct device_options options = {
        .machine_id = machine_ids[board->machine],
        .kind = &toy_kind,
        .kind_context = &board->toy,
        .poll_ms = 2000,
        .wait_s = board->index % 2 == 0 ? 10 : 0,
        .timeout_ms = 4000,
        .backoff_ms_max = 8000,
        .note_ms = 500, /* so that sectors fill */
        .seed = rng_next(&world->rng) | 1,
    };
    struct device_hal hal = {
        .context = board,
        .mono_ms = host_mono_ms,
        .random = host_random,
        .send = host_send,
        .flash = {JOURNAL_SECTOR_BYTES_MIN, flash_read, flash_write, flash_erase},
    };
    board->boots++;
    board->alive = true;
    board->toy = (struct toy){.world = world, .board = board};
    world_trace(world, "board %u: boot %u of m%u", board->index, board->boots, board->machine);
    if (device_init(&board->device, &options, &hal) != ERR_OK)
        world_breach(world, "device_init refuses its options");
    end_power_on(board);
    plan_turn(board, 1);
}

void board_finish(struct board *board)
{
    free(board->flash);
    board->flash = NULL;
    board->alive = false;
}

/* ---- answers on their way back ---- */

struct answer {
    uint32_t board, boots;
    uint64_t exchange_id;
    uint32_t status; /* 0: the connection broke */
    char *body;
    size_t len;
};

static void hear(struct board *board, void *data)
{
    const struct answer *answer = data;
    if (answer->status == 0)
        device_on_link_error(&board->device, answer->exchange_id);
    else
        device_on_response(&board->device, answer->exchange_id, answer->status,
                           (struct str){answer->body, answer->len});
    step(board, NULL);
}

static void answer_arrives(struct world *world, void *data)
{
    struct answer *answer = data;
    struct board *board = &world->board[answer->board];
    if (world->server.disk != NULL && board->alive && board->boots == answer->boots)
        (void)board_run(board, hear, answer);
    free(answer->body);
    free(answer);
}

static void answer_send(struct world *world, const struct answer *what)
{
    struct answer *answer = malloc(sizeof(*answer));
    if (answer == NULL)
        abort();
    *answer = *what;
    answer->body = malloc(what->len + 1);
    if (answer->body == NULL)
        abort();
    if (what->len > 0)
        memcpy(answer->body, what->body, what->len);
    world_after(world, world_net_delay(world), answer_arrives, answer);
}

void board_answer(struct world *world, uint32_t board, uint32_t boots, uint64_t exchange_id,
                  uint32_t status, const char *body, size_t len)
{
    struct answer answer = {board, boots, exchange_id, status, (char *)(uintptr_t)body, len};
    if (world_chance(world, 0.05)) {
        world->lost++;
        if (world_chance(world, 0.5))
            return;
        answer.status = 0;
        answer.len = 0;
    }
    answer_send(world, &answer);
    if (world_chance(world, 0.03))
        answer_send(world, &answer);
}
