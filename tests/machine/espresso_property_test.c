/* Many seeds, many faults, and readings that make no sense: what must hold, holds (sim_rules()
 * after every step). */
#include "machine/espresso_sim.h"

#define SEEDS 60

static void fault_toggle(struct sim *sim, struct rng *chaos)
{
    if (rng_chance(chaos, 0.5))
        sim->physics.faults = 0;
    else
        sim->physics.faults ^= 1U << rng_below(chaos, ESPRESSO_FAULT_COUNT);
}

/* Faults come and go, stops come at any time: an order still has one result and at most one pump
 * start. */
TEST(one_order_one_pump_start)
{
    uint32_t outcomes[5] = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        NOTE("seed %u", (unsigned)seed);
        struct rng chaos;
        rng_init(&chaos, seed + 1000);
        struct sim sim;
        sim_init(&sim, seed, 1 + rng_below(&chaos, 100));
        sim.physics.jam_chance = rng_chance(&chaos, 0.3) ? 0.3 : 0.0;
        sim.physics.flow_meter = rng_chance(&chaos, 0.5);
        double faults_s = seed % 3 == 0 ? 0.0 : 0.02; /* expected a second */
        for (uint32_t order = 0; order < 3; order++) {
            uint32_t starts = sim.physics.pump_starts;
            sim_start(&sim);
            uint64_t end_ms = sim.now_ms + 400000;
            while (sim.results == 0 && sim.now_ms < end_ms) {
                if (rng_chance(&chaos, faults_s * sim.dt_ms / 1000.0))
                    fault_toggle(&sim, &chaos);
                if (rng_chance(&chaos, 0.01 * sim.dt_ms / 1000.0))
                    sim.request =
                        rng_chance(&chaos, 0.8) ? ESPRESSO_REQUEST_STOP : ESPRESSO_REQUEST_DEADLINE;
                sim_step(&sim);
            }
            CHECK_EQ(sim.results, 1);
            outcomes[sim.result.outcome]++;
            sim_run(&sim, 5000);
            CHECK_EQ(sim.results, 1);
            CHECK(sim.physics.pump_starts - starts <= 1);
            if (sim.result.outcome == ESPRESSO_OUTCOME_COMPLETE)
                CHECK_EQ(sim.physics.pump_starts - starts, 1);
            if (sim.result.outcome == ESPRESSO_OUTCOME_REJECTED)
                CHECK_EQ(sim.physics.pump_starts - starts, 0);
        }
    }
    for (uint32_t i = 1; i < ARRAY_COUNT(outcomes); i++)
        CHECK(outcomes[i] > 0); /* the chaos reached every kind of end */
}

static struct espresso_input garbage(struct rng *rng, const struct espresso_magazine *magazine,
                                     const struct espresso_order *order)
{
    struct espresso_input in = {
        .request = (enum espresso_request)rng_below(rng, 4),
        .order = order,
        .magazine = rng_chance(rng, 0.5) ? magazine : NULL,
        .estop = rng_chance(rng, 0.001),
        .over_temperature = rng_chance(rng, 0.001),
        .picker_home = rng_chance(rng, 0.5),
        .inserter_home = rng_chance(rng, 0.5),
        .inserter_end = rng_chance(rng, 0.2),
        .capsule_seen = rng_chance(rng, 0.5),
        .head_closed = rng_chance(rng, 0.5),
        .water_low = rng_chance(rng, 0.01),
        .current_ma = (int32_t)rng_below(rng, 300) - 100,
        .temperature_mc = rng_chance(rng, 0.1) ? ESPRESSO_UNKNOWN : (int32_t)rng_below(rng, 100000),
        .pressure_mbar = (int32_t)rng_next(rng),
        .flow_uls = rng_chance(rng, 0.5) ? ESPRESSO_UNKNOWN : (int32_t)rng_next(rng),
    };
    if (in.request != ESPRESSO_REQUEST_BREW && rng_chance(rng, 0.9995))
        in.request = ESPRESSO_REQUEST_NONE;
    return in;
}

/* Sensors that lie about everything: the rules of the outputs still hold, and every order ends. */
TEST(garbage_readings_break_no_rule)
{
    uint64_t results = 0, states = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        NOTE("seed %u", (unsigned)seed);
        struct sim sim;
        memset(&sim, 0, sizeof(sim));
        rng_init(&sim.rng, seed);
        espresso_init(&sim.board, ESPRESSO_BOTH, NULL);
        espresso_physics_init(&sim.physics);
        sim.order = sim_order();
        uint32_t presses = 0;
        for (uint32_t i = 0; i < 5000; i++) {
            uint32_t dt_ms = 1 + rng_below(&sim.rng, 100);
            struct espresso_input in = garbage(&sim.rng, &sim.physics.magazine, &sim.order);
            if (sim.board.result_ready) /* somebody clears what the lies have left behind */
                sim.physics.carriage_loaded = sim.physics.chamber_loaded = false;
            espresso_physics_step(&sim.physics, &sim.board.outputs, dt_ms, &sim.rng);
            /* Mostly the truth, or no order would get far; every now and then a stretch of lies. */
            if (i % 397 > 1 + seed % 8) {
                enum espresso_request request = in.request;
                in = espresso_physics_read(&sim.physics);
                in.request = request;
                in.order = &sim.order;
            }
            sim.in = in;
            sim.request = in.request;
            struct espresso before = sim.board;
            sim.board = espresso_step(sim.board, in, dt_ms);
            sim_rules(&sim, &before);
            states |= 1ULL << sim.board.state;
            if (!before.active && sim.board.active)
                presses = 0;
            if (before.outputs.servo_mdeg == 0 && sim.board.outputs.servo_mdeg != 0)
                presses++;
            CHECK(presses <= 4); /* two to start, two to stop */
            results += sim.board.result_ready;
            CHECK(sim.board.state_ms <= 2 * 240000 || !sim.board.active);
        }
    }
    CHECK(results > 100);
    for (uint32_t i = ESPRESSO_VALIDATING; i < ESPRESSO_STATE_COUNT; i++)
        CHECK(states >> i & 1);
}
