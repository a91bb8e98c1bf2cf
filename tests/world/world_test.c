/* Eighty seeds of the world.  A breach prints its seed; replay it with world_run SEED
 * --trace. */
#include "kit/kit.h"
#include "world/world.h"

#include <stdlib.h>

TEST_KEEPS(no_seed_breaks_a_rule)
{
    struct world *world = calloc(1, sizeof(*world));
    CHECK(world != NULL);
    uint64_t starts = 0, completes = 0, unknowns = 0, crashes = 0, compactions = 0,
             flash_errors = 0, mqtt_starts = 0, resumed = 0, resent = 0, marks = 0, roads = 0;
    for (uint64_t seed = 1; seed <= 80; seed++) {
        bool good = world_run(world, &(struct world_options){.seed = seed});
        NOTE("seed %llu: %s", (unsigned long long)seed, world->breach);
        CHECK(good);
        starts += world->starts;
        completes += world->completes;
        unknowns += world->unknowns;
        crashes += world->crashes;
        compactions += world->compactions;
        flash_errors += world->flash_errors;
        mqtt_starts += world->mqtt_starts;
        resumed += world->sessions_resumed;
        resent += world->resent;
        marks += world->marks_acked;
        roads += world->road_changes;
    }
    /* A world in which nothing happens proves nothing. */
    NOTE("%llu starts, %llu over MQTT", (unsigned long long)starts,
         (unsigned long long)mqtt_starts);
    CHECK(starts > 800 && mqtt_starts > 260);
    CHECK(completes > 400);
    CHECK(unknowns > 40);
    CHECK(crashes > 200);
    CHECK(compactions > 200);
    CHECK(flash_errors > 40);
    CHECK(resumed > 330 && resent > 330);
    CHECK(marks > 6600);
    CHECK(roads > 130);
    free(world);
}

TEST_KEEPS(the_same_seed_is_the_same_world)
{
    struct world *one = calloc(1, sizeof(*one)), *two = calloc(1, sizeof(*two));
    CHECK(one != NULL && two != NULL);
    CHECK(world_run(one, &(struct world_options){.seed = 77}));
    CHECK(world_run(two, &(struct world_options){.seed = 77}));
    CHECK_EQ(one->event_number, two->event_number);
    CHECK_EQ(one->starts, two->starts);
    CHECK_EQ(one->truth_count, two->truth_count);
    free(one);
    free(two);
}
