/* world_run SEED [--trace] | world_run FIRST COUNT: replay, or search for a breach.  Exit 1 when
 * one was found. */
#include "world/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: world_run SEED [--trace] | world_run FIRST COUNT\n");
        return 2;
    }
    uint64_t first = strtoull(argv[1], NULL, 10), count = 1;
    bool trace = argc == 3 && strcmp(argv[2], "--trace") == 0;
    if (argc == 3 && !trace)
        count = strtoull(argv[2], NULL, 10);
    struct world *world = calloc(1, sizeof(*world));
    if (world == NULL)
        return 2;
    for (uint64_t seed = first; seed < first + count; seed++) {
        bool good = world_run(world, &(struct world_options){.seed = seed, .trace = trace});
        if (!good) {
            printf("seed %llu breaks a rule, %s\n", (unsigned long long)seed, world->breach);
            free(world);
            return 1;
        }
        if (count == 1)
            printf(
                "seed %llu: %u commands, %u starts, %u complete, %u unknown, %u expired, %u "
                "crashes, %u reboots, "
                "%u wipes, %u clock jumps, %u packets lost, %u commits failed, %u late grants, "
                "%u compactions, %u flash errors; over MQTT %u starts, %u connections, %u sessions "
                "resumed, %u messages sent again, %u readings acknowledged, %u changes of road; "
                "%llu events\n",
                (unsigned long long)seed, world->truth_count, world->starts, world->completes,
                world->unknowns, world->expired, world->crashes, world->reboots, world->wipes,
                world->jumps, world->lost, world->commits_failed, world->late_grants,
                world->compactions, world->flash_errors, world->mqtt_starts, world->mqtt_connects,
                world->sessions_resumed, world->resent, world->marks_acked, world->road_changes,
                (unsigned long long)world->event_number);
    }
    printf("%llu seeds, no rule broken\n", (unsigned long long)count);
    free(world);
    return 0;
}
