/* Ten thousand seeds; WORLD_FIRST chooses where they begin, so that another night tries others. */
#include "kit/kit.h"
#include "world/world.h"

#include <stdio.h>
#include <stdlib.h>

TEST_KEEPS(no_seed_of_ten_thousand_breaks_a_rule)
{
    struct world *world = calloc(1, sizeof(*world));
    CHECK(world != NULL);
    const char *first_text = getenv("WORLD_FIRST");
    uint64_t first = 1;
    if (first_text != NULL)
        CHECK_OK(str_to_u64(str_from(first_text), &first));
    for (uint64_t seed = first; seed < first + 10000; seed++) {
        bool good = world_run(world, &(struct world_options){.seed = seed});
        NOTE("seed %llu: %s", (unsigned long long)seed, world->breach);
        CHECK(good);
        if ((seed - first) % 500 == 499)
            fprintf(stderr, "world: %llu of 10000 seeds\n", (unsigned long long)(seed - first + 1));
    }
    free(world);
}
