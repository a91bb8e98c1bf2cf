/* People: guests who press buttons and press again when nobody answers; staff who approve, cancel,
 * look and release. */
#include "world/world.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char *const machine_ids[WORLD_MACHINES_MAX] = {"m0", "m1", "m2", "m3"};

static void press_again(struct world *world, void *data)
{
    if (world->server.disk != NULL)
        people_press(world, (uint32_t)(uintptr_t)data - 1);
}

static struct world
    *the_world; /* one world a process runs at a time; callbacks of queue_submit carry the press */

static void pressed(void *cookie, enum err err, enum queue_verdict verdict, uint64_t command_id)
{
    struct world *world = the_world;
    uint32_t index = (uint32_t)(uintptr_t)cookie;
    struct press *press = &world->press[index];
    if (err != ERR_OK)
        return; /* 503: the guest's own timer presses again */
    if (verdict != QUEUE_DONE && verdict != QUEUE_REPEATED) {
        world_breach(world, "press %u was answered %s", index, queue_verdict_code(verdict));
        return;
    }
    if (world_chance(world, 0.1)) {
        world->lost++; /* stored, but the answer got lost */
        return;
    }
    if (press->acked && press->command_id != command_id)
        world_breach(world, "press %u got command %llu and then %llu (rule 8)", index,
                     (unsigned long long)press->command_id, (unsigned long long)command_id);
    press->acked = true;
    press->command_id = command_id;
}

void people_press(struct world *world, uint32_t index)
{
    struct press *press = &world->press[index];
    if (press->acked || !world->server.up) {
        if (!press->acked)
            world_after(world, 1000, press_again, (void *)(uintptr_t)(index + 1));
        return;
    }
    char key[16];
    snprintf(key, sizeof(key), "press-%u", index);
    struct queue_new new = {.kind = &world_kind,
                            .machine_id = str_from(machine_ids[press->machine]),
                            .command = STR("go"),
                            .payload = STR("{\"n\":1}"),
                            .execute_allowed = !press->held,
                            .actor = STR("account:guest"),
                            .key_scope = STR("account:guest"),
                            .key = str_from(key)};
    if (queue_submit(world->server.queue, &new, pressed, (void *)(uintptr_t)index) == ERR_OK)
        server_plan_step(world);
    world_after(world, world_between(world, 500, 4000), press_again,
                (void *)(uintptr_t)(index + 1));
}

static void guest(struct world *world, void *data)
{
    (void)data;
    if (world->server.disk == NULL || world->press_count == WORLD_KEYS_MAX)
        return;
    if (world->calm && world->now_ms > world->options.storm_ms + 60000)
        return; /* the cafe closes; what was ordered must come to its end */
    uint32_t index = world->press_count++;
    world->press[index] = (struct press){
        .used = true,
        .machine = rng_below(&world->rng, world->machine_count),
        .held = world_chance(world, 0.15),
    };
    people_press(world, index);
    world_after(world, world_between(world, 500, 12000), guest, NULL);
}

static void ordered(void *cookie, enum err err, enum queue_verdict verdict,
                    const struct queue_command *command)
{
    (void)cookie;
    (void)err;
    (void)verdict;
    (void)command;
}

/* Staff looks at the machine: was it done?  Never while it still moves. */
static void settle(struct world *world, struct truth *truth)
{
    struct queue_order order = {.command_id = truth->command_id,
                                .outcome = truth->finished ? QUEUE_COMPLETE : QUEUE_FAILED,
                                .note = STR("looked at the machine"),
                                .actor = STR("account:staff")};
    if (truth->acting == 0 && queue_settle(world->server.queue, &order, ordered, NULL) == ERR_OK)
        server_plan_step(world);
}

static void staff_machine(struct world *world, uint32_t index)
{
    struct queue_machine machine;
    if (!queue_machine_get(world->server.queue, str_from(machine_ids[index]), &machine))
        return;
    if (machine.active != NULL && machine.active->state == QUEUE_UNKNOWN) {
        struct truth *truth = oracle_find(world, machine.active->uid);
        if (truth != NULL && (world->calm || rng_chance(&world->rng, 0.3)))
            settle(world, truth);
        return;
    }
    if (machine.on_hold && (world->calm || rng_chance(&world->rng, 0.5))) {
        struct queue_order order = {.machine_id = str_from(machine_ids[index]),
                                    .actor = STR("account:staff")};
        if (queue_release(world->server.queue, &order, ordered, NULL) == ERR_OK)
            server_plan_step(world);
    }
}

static void staff_command(struct world *world)
{
    if (world->truth_count == 0)
        return;
    uint32_t back = rng_below(&world->rng, world->truth_count < 12 ? world->truth_count : 12);
    struct truth *truth = &world->truth[world->truth_count - 1 - back];
    struct queue_order order = {.command_id = truth->command_id, .actor = STR("account:staff")};
    enum err err = ERR_OK;
    if (truth->state == QUEUE_HELD)
        err = queue_approve(world->server.queue, &order, ordered, NULL);
    else if (world_chance(world, 0.25))
        err = queue_cancel(world->server.queue, &order, ordered, NULL);
    if (err == ERR_OK)
        server_plan_step(world);
}

static void staff(struct world *world, void *data)
{
    (void)data;
    if (world->server.disk == NULL)
        return;
    if (world->server.up) {
        for (uint32_t m = 0; m < world->machine_count; m++)
            staff_machine(world, m);
        staff_command(world);
    }
    world_after(world, world_between(world, 2000, 8000), staff, NULL);
}

void people_begin(struct world *world)
{
    the_world = world;
    world_after(world, 500, guest, NULL);
    world_after(world, 3000, staff, NULL);
}
