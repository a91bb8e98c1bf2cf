/* Many seeds, many faults, and readings that make no sense: what must hold, holds (sim_rules()
 * after every step). */
#include "machine/window_sim.h"

#define SEEDS 120

TEST(faults_come_and_go)
{
    uint32_t outcomes[5] = {0};
    uint32_t codes = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct rng chaos;
        struct sim sim;
        NOTE("seed %u", (unsigned)seed);
        rng_init(&chaos, seed + 1000);
        sim_init(&sim, seed, 1 + rng_below(&chaos, 30));
        sim.physics.x_mm = WINDOW_PHYSICS_TRAVEL_MM * rng_unit(&chaos);
        double faults_s = seed % 3 == 0 ? 0.0 : 0.1; /* expected a second */
        for (uint32_t order = 0; order < 6; order++) {
            sim_start(&sim, (int32_t)rng_below(&chaos, 100001));
            uint64_t end_ms = sim.now_ms + 60000;
            while (sim.results == 0 && sim.now_ms < end_ms) {
                if (rng_chance(&chaos, faults_s * sim.dt_ms / 1000.0))
                    sim.physics.faults =
                        rng_chance(&chaos, 0.5) ? 0 : 1U << rng_below(&chaos, WINDOW_FAULT_COUNT);
                if (rng_chance(&chaos, 0.02 * sim.dt_ms / 1000.0))
                    sim.request =
                        rng_chance(&chaos, 0.8) ? WINDOW_REQUEST_STOP : WINDOW_REQUEST_DEADLINE;
                sim_step(&sim);
            }
            CHECK_EQ(sim.results, 1); /* every order ends, once */
            outcomes[sim.result.outcome]++;
            codes |= 1U << sim.result.code;
            sim_run(&sim, 3000);
            CHECK_EQ(sim.results, 1);
            CHECK(size_of(sim.physics.v_mm_s) < 1e-9); /* and leaves nothing in motion */
            /* Beyond an end is only the give of the stop itself. */
            CHECK(sim.x_min > -WINDOW_PHYSICS_OVER_MM - 1.5);
            CHECK(sim.x_max < WINDOW_PHYSICS_TRAVEL_MM + WINDOW_PHYSICS_OVER_MM + 1.5);
            CHECK(sim.physics.pinch_n_max < 150.0);
            if (sim.result.outcome == WINDOW_OUTCOME_COMPLETE && faults_s == 0.0)
                CHECK_NEAR(100.0 * window_physics_opening(&sim.physics),
                           sim.order.position_mpct / 1000.0, 0.6);
        }
    }
    for (uint32_t i = 1; i < ARRAY_COUNT(outcomes); i++)
        CHECK(outcomes[i] > 0); /* the chaos reached every kind of end */
    CHECK(codes >> WINDOW_PINCHED & 1);
    CHECK(codes >> WINDOW_MOTOR_DEAD & 1);
    CHECK(codes >> WINDOW_ENDSTOP_STUCK & 1);
    CHECK(codes >> WINDOW_SENSOR_FAULT & 1);
}

/* Sensors that lie about everything: the rules of the outputs still hold, and every order ends. */
TEST(garbage_readings_break_no_rule)
{
    uint64_t results = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim sim;
        NOTE("seed %u", (unsigned)seed);
        sim_init(&sim, seed, 10);
        uint32_t active_ms = 0;
        for (uint32_t i = 0; i < 6000; i++) {
            sim.dt_ms = 1 + rng_below(&sim.rng, 30);
            window_physics_step(&sim.physics, &sim.board.outputs, sim.dt_ms, &sim.rng);
            sim.in = window_physics_read(&sim.physics);
            if (i % 97 < 1 + seed % 4) { /* a stretch of lies */
                sim.in.closed_switch = rng_chance(&sim.rng, 0.2);
                sim.in.open_switch = rng_chance(&sim.rng, 0.2);
                sim.in.encoder = (int32_t)rng_next(&sim.rng);
                sim.in.current_ma = (int32_t)rng_next(&sim.rng);
                sim.in.estop = rng_chance(&sim.rng, 0.05);
            }
            sim.order.position_mpct = (int32_t)rng_next(&sim.rng);
            sim.in.order = &sim.order;
            sim.in.request = rng_chance(&sim.rng, 0.02)
                                 ? (enum window_request)rng_below(&sim.rng, 4)
                                 : WINDOW_REQUEST_NONE;
            if (rng_chance(&sim.rng, 0.9))
                sim.order.position_mpct = (int32_t)rng_below(&sim.rng, 100001);
            struct window before = sim.board;
            sim.board = window_step(sim.board, sim.in, sim.dt_ms);
            sim_rules(&sim, &before);
            results += sim.board.result_ready;
            active_ms = sim.board.active ? active_ms + sim.dt_ms : 0;
            CHECK(active_ms < 60000);
        }
    }
    CHECK(results > 500);
}

static uint64_t trace(uint64_t seed)
{
    struct sim sim;
    uint64_t hash = 1469598103934665603ULL;
    sim_init(&sim, seed, 10);
    sim_start(&sim, 70000);
    while (sim.results == 0) {
        sim_step(&sim);
        hash = (hash ^ (uint32_t)sim.board.outputs.speed_um_s) * 1099511628211ULL;
        hash = (hash ^ (uint32_t)sim.in.current_ma) * 1099511628211ULL;
    }
    return hash;
}

TEST(the_same_seed_is_the_same_motion)
{
    CHECK_EQ(trace(5) == trace(5), 1);
    CHECK_EQ(trace(5) == trace(6), 0);
}
