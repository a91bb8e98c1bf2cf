/* The clock of the world: events in order of time, then of birth.  The seed decides everything
 * else. */
#include "world/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool earlier(const struct event *a, const struct event *b)
{
    return a->due_ms < b->due_ms || (a->due_ms == b->due_ms && a->number < b->number);
}

static void swap(struct event *a, struct event *b)
{
    struct event keep = *a;
    *a = *b;
    *b = keep;
}

void world_after(struct world *world, int64_t delay_ms,
                 void (*fire)(struct world *world, void *data), void *data)
{
    if (world->heap_count == world->heap_cap) {
        world->heap_cap = world->heap_cap == 0 ? 256 : world->heap_cap * 2;
        world->heap = realloc(world->heap, world->heap_cap * sizeof(*world->heap));
        if (world->heap == NULL)
            abort();
    }
    size_t at = world->heap_count++;
    world->heap[at] = (struct event){world->now_ms + delay_ms, world->event_number++, fire, data};
    while (at > 0 && earlier(&world->heap[at], &world->heap[(at - 1) / 2])) {
        swap(&world->heap[at], &world->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static struct event take(struct world *world)
{
    struct event first = world->heap[0];
    world->heap[0] = world->heap[--world->heap_count];
    size_t at = 0;
    for (;;) {
        size_t left = 2 * at + 1, right = left + 1, least = at;
        if (left < world->heap_count && earlier(&world->heap[left], &world->heap[least]))
            least = left;
        if (right < world->heap_count && earlier(&world->heap[right], &world->heap[least]))
            least = right;
        if (least == at)
            return first;
        swap(&world->heap[at], &world->heap[least]);
        at = least;
    }
}

int64_t world_between(struct world *world, int64_t least, int64_t most)
{
    return least + (int64_t)rng_below(&world->rng, (uint32_t)(most - least + 1));
}

bool world_chance(struct world *world, double probability)
{
    return !world->calm && rng_chance(&world->rng, probability);
}

void world_breach(struct world *world, const char *format, ...)
{
    if (world->breach[0] != '\0')
        return;
    int used =
        snprintf(world->breach, sizeof(world->breach), "at %.3f s: ", (double)world->now_ms / 1000);
    va_list args;
    va_start(args, format);
    vsnprintf(world->breach + used, sizeof(world->breach) - (size_t)used, format, args);
    va_end(args);
}

void world_trace(struct world *world, const char *format, ...)
{
    if (!world->options.trace)
        return;
    fprintf(stderr, "%10.3f ", (double)world->now_ms / 1000);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

void world_disk_heal(struct world *world)
{
    world->server.disk_ailing = false;
    store_fault_fail_after(world->server.disk, 1, STORE_FAULT_NONE, false);
}

/* ---- what goes wrong during the storm ---- */

static void server_back(struct world *world, void *data)
{
    (void)data;
    if (!world->server.up && !server_start(world))
        world_breach(world, "the server does not start again");
}

static void crash_now(struct world *world, void *data)
{
    (void)data;
    if (world->server.disk == NULL || world->calm)
        return;
    if (world->server.up) {
        world->crashes++;
        server_crash(world);
        world_after(world, world_between(world, 50, world_chance(world, 0.2) ? 40000 : 3000),
                    server_back, NULL);
    }
}

static void crash_event(struct world *world, void *data)
{
    (void)data;
    if (world->calm)
        return;
    if (world->server.up && rng_chance(&world->rng, 0.5)) { /* in the middle of a commit */
        world->server.disk_ailing = world->server.power_going = true;
        store_fault_fail_after(world->server.disk, (uint64_t)world_between(world, 1, 12),
                               STORE_FAULT_POWER, true);
        world_after(world, world_between(world, 5, 3000), crash_now, NULL);
    } else {
        crash_now(world, NULL);
    }
    world_after(world, world_between(world, 2000, 60000), crash_event, NULL);
}

static void board_back(struct world *world, void *data)
{
    struct board *board = data;
    if (!board->alive)
        board_power_on(world, board);
}

static void reboot_event(struct world *world, void *data)
{
    (void)data;
    if (world->calm)
        return;
    struct board *board = &world->board[rng_below(&world->rng, world->board_count)];
    switch (rng_below(&world->rng, 4)) {
    case 0: /* in the middle of a flash operation */
        board->cut_in = (int32_t)world_between(world, 0, 3);
        break;
    case 1: /* in the middle of anything else */
        board->cut_at_call = (int32_t)world_between(world, 0, 12);
        break;
    default:
        if (board->alive) {
            world->reboots++;
            board_power_off(world, board);
            if (rng_chance(&world->rng, 0.15)) {
                world->wipes++;
                board_wipe(world, board);
            }
            world_after(world, world_between(world, 100, world_chance(world, 0.2) ? 60000 : 5000),
                        board_back, board);
        }
        break;
    }
    world_after(world, world_between(world, 1000, 25000), reboot_event, NULL);
}

static void jump_event(struct world *world, void *data)
{
    (void)data;
    if (world->calm)
        return;
    static const int64_t jumps[] = {-3600000, 3600000, -5000, 5000, -86400000, 0};
    world->jumps++;
    world->server.wall_jump_ms = jumps[rng_below(&world->rng, ARRAY_COUNT(jumps))];
    world_trace(world, "wall clock wrong by %lld s", (long long)world->server.wall_jump_ms / 1000);
    world_after(world, world_between(world, 20000, 120000), jump_event, NULL);
}

static void disk_event(struct world *world, void *data)
{
    (void)data;
    if (world->calm) {
        world_disk_heal(world);
        return;
    }
    if (world->server.power_going) {
        /* the disk is about to lose its power: nothing else can happen to it before */
    } else if (rng_chance(&world->rng, 0.5)) {
        static const enum store_fault faults[] = {STORE_FAULT_FULL, STORE_FAULT_WRITE,
                                                  STORE_FAULT_SYNC};
        world_trace(world, "disk begins to fail");
        world->server.disk_ailing = true;
        store_fault_fail_after(world->server.disk, (uint64_t)world_between(world, 1, 40),
                               faults[rng_below(&world->rng, ARRAY_COUNT(faults))],
                               rng_chance(&world->rng, 0.7));
    } else {
        world_disk_heal(world);
    }
    world_after(world, world_between(world, 3000, 30000), disk_event, NULL);
}

static void calm_down(struct world *world, void *data)
{
    (void)data;
    world_trace(world, "calm");
    world->calm = true;
    if (world->server.up && world->server.power_going)
        server_crash(world); /* a power cut that was planned may have begun already */
    world_disk_heal(world);
    if (!world->server.up && !server_start(world))
        world_breach(world, "the server does not start again");
    for (uint32_t i = 0; i < world->board_count; i++) {
        world->board[i].cut_in = world->board[i].cut_at_call = -1;
        if (!world->board[i].alive)
            board_power_on(world, &world->board[i]);
    }
}

/* ---- one run ---- */

static void begin(struct world *world)
{
    rng_init(&world->rng, world->options.seed);
    world->machine_count = (uint32_t)world_between(world, 1, WORLD_MACHINES_MAX);
    world->server.world = world;
    if (store_fault_disk_create(rng_next(&world->rng), &world->server.disk) != ERR_OK)
        abort();
    if (!server_start(world)) {
        world_breach(world, "the server does not start");
        return;
    }
    for (uint32_t m = 0; m < world->machine_count; m++) {
        uint32_t boards =
            world->board_count < WORLD_BOARDS_MAX - 1 && rng_chance(&world->rng, 0.25) ? 2 : 1;
        for (uint32_t b = 0; b < boards; b++) {
            struct board *board = &world->board[world->board_count];
            *board = (struct board){
                .world = world, .index = world->board_count++, .machine = m, .clone = b > 0};
            board->cut_in = board->cut_at_call = -1;
            board->has_mqtt = rng_chance(&world->rng, 0.6);
            board->has_http = !board->has_mqtt || rng_chance(&world->rng, 0.5);
            board->flash = malloc(2 * JOURNAL_SECTOR_BYTES_MIN);
            if (board->flash == NULL)
                abort();
            board_wipe(world, board);
            if (rng_chance(&world->rng, 0.6))
                board_age(world, board);
            board_power_on(world, board);
        }
    }
    people_begin(world);
    world_after(world, world_between(world, 1000, 40000), crash_event, NULL);
    world_after(world, world_between(world, 1000, 20000), reboot_event, NULL);
    world_after(world, world_between(world, 5000, 90000), jump_event, NULL);
    world_after(world, world_between(world, 5000, 60000), disk_event, NULL);
    world_after(world, world->options.storm_ms, calm_down, NULL);
}

static void finish(struct world *world)
{
    if (world->server.up)
        server_stop(world);
    store_fault_disk_destroy(world->server.disk);
    for (uint32_t i = 0; i < world->board_count; i++)
        board_finish(&world->board[i]);
    /* What is still under way owns its data: run it against a world without server and boards. */
    world->server.disk = NULL;
    while (world->heap_count > 0) {
        struct event event = take(world);
        if (event.data != NULL && event.fire != board_back)
            event.fire(world, event.data);
    }
    free(world->heap);
    world->heap = NULL;
    lines_finish(world);
    loop_destroy(world->server.loop);
    world->server.loop = NULL;
}

bool world_run(struct world *world, const struct world_options *options)
{
    memset(world, 0, sizeof(*world));
    log_init(world->options.trace ? LOG_ERROR : (enum log_level)(LOG_ERROR + 1),
             true); /* failing disks are the point here */
    world->options = *options;
    if (world->options.storm_ms == 0)
        world->options.storm_ms = 240000;
    /* After the storm everything that waits must come to its end: start deadline, duration, grace,
     * staff, reports. */
    int64_t end_ms = world->options.storm_ms + 6 * 60 * 1000;
    begin(world);
    while (world->breach[0] == '\0' && world->heap_count > 0 && world->heap[0].due_ms <= end_ms) {
        struct event event = take(world);
        world->now_ms = event.due_ms;
        event.fire(world, event.data);
        oracle_step(world);
    }
    if (world->breach[0] == '\0')
        oracle_final(world);
    world->calm = true;
    bool good = world->breach[0] == '\0';
    finish(world);
    return good;
}
