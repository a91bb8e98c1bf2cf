/* Sixty rounds of chance: whatever fails, and however often, every row is there once in the end. */
#include "telemetry/clickhouse_world.h"

#define ROUNDS 60

static void restart_us(struct world *world, bool power_cut)
{
    if (power_cut)
        store_crash(world->store);
    else
        store_close(world->store);
    telemetry_sink_clickhouse.destroy(world->sink);
    loop_timer_destroy(world->timer);
    loop_destroy(world->loop);
    open_world(world, CLICKHOUSE_SERVER_PASSWORD);
}

/* Until the outbox is empty, starting ClickHouse again when it was killed. */
static void settle(struct world *world)
{
    while (outbox_rows(world) > 0 || world->server->pid == 0) {
        if (world->server->pid == 0)
            clickhouse_start(world->server);
        for (int i = 0; i < 20; i++)
            (void)loop_turn_wait(world->loop);
    }
}

static void chance(uint64_t seed)
{
    static const enum proxy_fault faults[] = {PROXY_NONE,       PROXY_SWALLOW,   PROXY_CUT,
                                              PROXY_KILL_AFTER, PROXY_KILL_AMID, PROXY_LIE};
    struct rng rng;
    uint32_t count = 0;
    struct world *world = begin();
    rng_init(&rng, seed);
    clickhouse_start(world->server);
    open_world(world, CLICKHOUSE_SERVER_PASSWORD);
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t more = 10 * (1 + rng_below(&rng, 250));
        proxy_fault_next(world->proxy, faults[rng_below(&rng, ARRAY_COUNT(faults))],
                         rng_below(&rng, 40000));
        fill(world, TELEMETRY_SINK_READINGS, DAY - rng_below(&rng, 3), more);
        count += more;
        for (uint32_t turns = rng_below(&rng, 40); turns > 0; turns--)
            (void)loop_turn_wait(world->loop);
        if (rng_chance(&rng, 0.2))
            clickhouse_kill(world->server);
        if (rng_chance(&rng, 0.2))
            restart_us(world, rng_chance(&rng, 0.5));
        if (world->server->pid == 0 && rng_chance(&rng, 0.5))
            clickhouse_start(world->server);
        if (rng_chance(&rng, 0.2)) {
            settle(world);
            NOTE("seed %llu, round %d", (unsigned long long)seed, round);
            check_once(world, count);
        }
    }
    settle(world);
    check_once(world, count);
    end(world);
}

TEST(chance_makes_no_duplicates_and_loses_nothing)
{
    for (uint64_t seed = 1; seed <= 3; seed++)
        chance(seed);
}
