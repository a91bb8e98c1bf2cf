/* How a window moves when all is well, and when it is asked to stop. */
#include "machine/window_sim.h"

TEST(the_first_order_finds_both_ends)
{
    struct sim sim;
    sim_init(&sim, 1, 10);
    CHECK_EQ(window_position_mpct(&sim.board), WINDOW_UNKNOWN);
    struct window_result result = sim_move(&sim, 40000);
    sim_expect(result, WINDOW_OUTCOME_COMPLETE, WINDOW_OK);
    CHECK(sim.visited >> WINDOW_HOMING & 1);
    CHECK(sim.visited >> WINDOW_CALIBRATING & 1);
    CHECK_NEAR(result.travel_um / 1000.0, WINDOW_PHYSICS_TRAVEL_MM, 1.0);
    CHECK_NEAR(result.position_mpct / 1000.0, 40.0, 0.3);
    CHECK_NEAR(100.0 * window_physics_opening(&sim.physics), 40.0, 0.5);
    CHECK(result.total_ms < WINDOW_MAX_DURATION_S * 1000 - 4000);
    CHECK_EQ(sim.physics.travels > 0, 1);
}

TEST(later_orders_go_straight_there)
{
    static const int32_t positions[] = {0, 100000, 10000, 10100, 0, 33333, 99900, 500};
    struct sim sim;
    sim_calibrated(&sim, 2);
    for (size_t i = 0; i < ARRAY_COUNT(positions); i++) {
        NOTE("to %d", positions[i]);
        struct window_result result = sim_move(&sim, positions[i]);
        sim_expect(result, WINDOW_OUTCOME_COMPLETE, WINDOW_OK);
        CHECK_EQ(sim.visited >> WINDOW_HOMING & 1, 0);
        CHECK_NEAR(result.position_mpct / 1000.0, positions[i] / 1000.0, 0.3);
        CHECK_NEAR(100.0 * window_physics_opening(&sim.physics), positions[i] / 1000.0, 0.5);
    }
    CHECK(sim.physics.end_n_max < 1.0); /* the ends themselves were never touched */
}

TEST(the_longest_first_order_has_time_enough)
{
    struct sim sim;
    sim_init(&sim, 3, 10);
    sim.physics.x_mm = WINDOW_PHYSICS_TRAVEL_MM;
    struct window_result result = sim_move(&sim, 0);
    sim_expect(result, WINDOW_OUTCOME_COMPLETE, WINDOW_OK);
    CHECK(result.total_ms < WINDOW_MAX_DURATION_S * 1000 - 2000);
}

TEST(a_window_left_on_its_closed_switch_is_found)
{
    struct sim sim;
    sim_init(&sim, 4, 10);
    sim.physics.x_mm = -3.0;
    sim_expect(sim_move(&sim, 20000), WINDOW_OUTCOME_COMPLETE, WINDOW_OK);
    CHECK_NEAR(100.0 * window_physics_opening(&sim.physics), 20.0, 0.5);
}

/* One direction of motion, no overshoot: seen in the metal, not only in the reference. */
TEST(it_never_overshoots)
{
    struct sim sim;
    sim_calibrated(&sim, 5);
    for (int32_t target = 5000; target <= 95000; target += 18000) {
        double from = sim.physics.x_mm;
        double to = target / 100000.0 * WINDOW_PHYSICS_TRAVEL_MM;
        sim.x_min = sim.x_max = from;
        sim_expect(sim_move(&sim, target), WINDOW_OUTCOME_COMPLETE, WINDOW_OK);
        CHECK(sim.x_min >= least(from, to) - 1.2);
        CHECK(sim.x_max <= most(from, to) + 1.2);
    }
}

TEST(a_stop_comes_to_rest_soon_and_says_where)
{
    struct sim sim;
    sim_calibrated(&sim, 6);
    sim_start(&sim, 100000);
    sim_run(&sim, 1500);
    CHECK(sim.physics.v_mm_s > 50.0);
    sim.request = WINDOW_REQUEST_STOP;
    uint64_t asked_ms = sim.now_ms;
    struct window_result result = sim_finish(&sim);
    sim_expect(result, WINDOW_OUTCOME_CANCELLED, WINDOW_STOPPED);
    CHECK(result.total_ms < 1500 + 700);
    CHECK_NEAR(result.position_mpct / 1000.0, 100.0 * window_physics_opening(&sim.physics), 0.6);
    CHECK(sim.board.calibrated);
    (void)asked_ms;
    sim_expect(sim_move(&sim, 0), WINDOW_OUTCOME_COMPLETE, WINDOW_OK);
}

TEST(a_stop_in_every_state_ends_safely)
{
    static const enum window_state states[] = {WINDOW_HOMING, WINDOW_CALIBRATING, WINDOW_MOVING,
                                               WINDOW_SEALING};
    for (size_t i = 0; i < ARRAY_COUNT(states); i++) {
        for (uint32_t later_ms = 0; later_ms < 3000; later_ms += 170) {
            struct sim sim;
            NOTE("state %s, %u ms later", window_state_name(states[i]), later_ms);
            sim_init(&sim, 7, 10);
            sim_start(&sim, 0);
            sim_until(&sim, states[i]);
            for (uint32_t t = 0; t < later_ms && sim.board.state == states[i]; t += 10)
                sim_step(&sim);
            if (sim.results > 0)
                continue;
            sim.request = WINDOW_REQUEST_STOP;
            struct window_result result = sim_finish(&sim);
            CHECK(result.outcome == WINDOW_OUTCOME_CANCELLED ||
                  result.outcome == WINDOW_OUTCOME_COMPLETE);
            CHECK(sim.physics.end_n_max < 1.0);
            CHECK_EQ(result.position_mpct == WINDOW_UNKNOWN, !sim.board.calibrated);
        }
    }
}

TEST(a_deadline_is_a_stop_that_failed)
{
    struct sim sim;
    sim_calibrated(&sim, 8);
    sim_start(&sim, 0);
    sim_run(&sim, 800);
    sim.request = WINDOW_REQUEST_DEADLINE;
    sim_expect(sim_finish(&sim), WINDOW_OUTCOME_FAILED, WINDOW_TIMEOUT);
    sim_start(&sim, 100000);
    sim_run(&sim, 800);
    sim.request = WINDOW_REQUEST_STOP;
    sim_step(&sim);
    sim.request = WINDOW_REQUEST_DEADLINE; /* it overrules the stop that is under way */
    sim_expect(sim_finish(&sim), WINDOW_OUTCOME_FAILED, WINDOW_TIMEOUT);
}

TEST(wires_the_other_way_round)
{
    struct sim sim;
    struct window_calibration calibration = window_calibration_preset();
    sim_init(&sim, 9, 10);
    calibration.invert = 1;
    window_init(&sim.board, &calibration);
    /* The metal is unchanged: turning its wires is turning what it is told and what it says. */
    sim.request = WINDOW_REQUEST_MOVE;
    sim.order.position_mpct = 30000;
    sim.results = 0;
    for (uint32_t t = 0; t < 30000 && sim.results == 0; t += 10) {
        struct window_outputs turned = sim.board.outputs;
        turned.speed_um_s = -turned.speed_um_s;
        window_physics_step(&sim.physics, &turned, 10, &sim.rng);
        sim.in = window_physics_read(&sim.physics);
        sim.in.encoder = -sim.in.encoder;
        sim.in.request = sim.request;
        sim.in.order = &sim.order;
        sim.request = WINDOW_REQUEST_NONE;
        sim.board = window_step(sim.board, sim.in, 10);
        sim.results += sim.board.result_ready;
        if (sim.board.result_ready)
            sim_expect(sim.board.result, WINDOW_OUTCOME_COMPLETE, WINDOW_OK);
    }
    CHECK_EQ(sim.results, 1);
    CHECK_NEAR(100.0 * window_physics_opening(&sim.physics), 30.0, 0.5);
}

TEST(an_encoder_may_wrap)
{
    struct sim sim;
    sim_calibrated(&sim, 10);
    /* 2^32 counts are 215 km of sash; the counter is brought near its end instead. */
    double jump = 2147483000.0 - sim.physics.counts;
    sim.physics.counts += jump;
    sim.board.encoder_last += (int32_t)jump;
    for (int i = 0; i < 200; i++) {
        struct window_outputs off = {0};
        window_physics_step(&sim.physics, &off, 10, &sim.rng);
    }
    sim_start(&sim, 90000);
    for (uint32_t t = 0; t < 20000 && sim.results == 0; t += 10) {
        window_physics_step(&sim.physics, &sim.board.outputs, 10, &sim.rng);
        struct window_input in = window_physics_read(&sim.physics);
        in.encoder = (int32_t)(uint32_t)(int64_t)sim.physics.counts;
        sim.board = window_step(sim.board, in, 10);
        sim.results += sim.board.result_ready;
    }
    CHECK_STR(window_code_name(sim.board.result.code), "ok");
    CHECK_NEAR(100.0 * window_physics_opening(&sim.physics), 90.0, 0.5);
}

TEST(samples_are_ten_a_second)
{
    struct sim sim;
    sim_calibrated(&sim, 11);
    struct window_result result = sim_move(&sim, 0);
    CHECK(sim.samples >= result.total_ms / 100 && sim.samples <= result.total_ms / 100 + 2);
}

/* The program is held up now and then, and the driver's watchdog stops the sash meanwhile: no false
 * alarm comes of it, and the sash arrives. */
TEST(a_program_that_is_held_up_starts_again_from_rest)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct sim sim;
        struct window_outputs off = {0};
        NOTE("seed %u", (unsigned)seed);
        sim_init(&sim, seed, 10);
        sim_start(&sim, (int32_t)(seed * 5000));
        for (uint32_t t = 0; t < 60000 && sim.results == 0; t += 10) {
            if (rng_chance(&sim.rng, 0.01)) {
                uint32_t gap_ms = 100 + rng_below(&sim.rng, 400);
                window_physics_step(&sim.physics, &sim.board.outputs, WINDOW_WATCHDOG_MS, &sim.rng);
                window_physics_step(&sim.physics, &off, gap_ms, &sim.rng);
                sim.in = window_physics_read(&sim.physics);
                sim.board = window_step(sim.board, sim.in, 100);
                sim.result = sim.board.result_ready ? sim.board.result : sim.result;
                sim.results += sim.board.result_ready;
            } else {
                sim_step(&sim);
            }
        }
        CHECK_EQ(sim.results, 1);
        sim_expect(sim.result, WINDOW_OUTCOME_COMPLETE, WINDOW_OK);
        CHECK(sim.physics.end_n_max < 1.0);
    }
}

/* Steps of any length up to the watchdog's: the sash goes on meanwhile, and that is no alarm. */
TEST(uneven_steps_are_no_alarm)
{
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct sim sim;
        NOTE("seed %u", (unsigned)seed);
        sim_init(&sim, seed, 10);
        for (int32_t order = 0; order < 3; order++) {
            sim_start(&sim, (int32_t)rng_below(&sim.rng, 100001));
            for (uint64_t end_ms = sim.now_ms + 60000; sim.results == 0 && sim.now_ms < end_ms;) {
                sim.dt_ms = rng_chance(&sim.rng, 0.1)
                                ? 10 + rng_below(&sim.rng, WINDOW_WATCHDOG_MS - 9)
                                : 10;
                sim_step(&sim);
            }
            CHECK_EQ(sim.results, 1);
            sim_expect(sim.result, WINDOW_OUTCOME_COMPLETE, WINDOW_OK);
            CHECK(sim.physics.end_n_max < 1.0);
        }
    }
}

/* ---- what may be ordered ---- */

TEST(orders_outside_the_limits_are_refused)
{
    struct window_refusal refusal;
    CHECK(window_check(&(struct window_order){0}, &refusal));
    CHECK(window_check(&(struct window_order){100000}, &refusal));
    CHECK(!window_check(&(struct window_order){100001}, &refusal));
    CHECK_STR(refusal.field, "position");
    CHECK_EQ(refusal.code, WINDOW_OUT_OF_LIMITS);
    CHECK(!window_check(&(struct window_order){-1}, &refusal));
    struct sim sim;
    sim_init(&sim, 12, 10);
    sim_expect(sim_move(&sim, 100001), WINDOW_OUTCOME_REJECTED, WINDOW_OUT_OF_LIMITS);
    CHECK_EQ(sim.physics.travels, 0);
}

TEST(one_order_at_a_time)
{
    struct sim sim;
    struct window_refusal refusal;
    struct window_order other = {10000};
    sim_calibrated(&sim, 13);
    CHECK(window_preflight(&sim.board, &sim.in, &other, &refusal));
    sim_start(&sim, 90000);
    CHECK(!window_preflight(&sim.board, &sim.in, &other, &refusal));
    CHECK_EQ(refusal.code, WINDOW_BUSY);
    sim.request = WINDOW_REQUEST_MOVE;
    sim.order = other;
    struct window_result result = sim_finish(&sim);
    CHECK_NEAR(result.position_mpct / 1000.0, 90.0, 0.3);
}

TEST(calibration_values_by_name)
{
    struct window_calibration calibration = window_calibration_preset();
    CHECK(window_calibration_fault(&calibration) == NULL);
    CHECK_OK(window_calibration_set(&calibration, STR("pinch_ma"), 900));
    CHECK_EQ(calibration.pinch_ma, 900);
    CHECK_ERR(window_calibration_set(&calibration, STR("pinch_ma"), 9), ERR_INPUT);
    CHECK_ERR(window_calibration_set(&calibration, STR("pinch"), 900), ERR_NOT_FOUND);
    calibration.home_mm_s = 10; /* both ends would take longer than an order may */
    CHECK_STR(window_calibration_fault(&calibration), "travel_mm");
    calibration = window_calibration_preset();
    calibration.speed_mm_s = 20;
    CHECK_STR(window_calibration_fault(&calibration), "home_mm_s");
    for (size_t i = 0; i < window_calibration_limit_count; i++) {
        const struct limit *row = &window_calibration_limits[i];
        CHECK(row->min <= row->preset && row->preset <= row->max);
    }
}

TEST(words)
{
    for (int i = 0; i < WINDOW_CODE_COUNT; i++) {
        const char *name = window_code_name((enum window_code)i);
        CHECK_EQ(window_code_from(str_from(name)), i);
        CHECK(window_codes[i].sentence[0] != '\0');
    }
    CHECK_EQ(window_code_from(STR("nothing")), WINDOW_CODE_COUNT);
    for (int i = 0; i < WINDOW_FAULT_COUNT; i++)
        CHECK_EQ(window_fault_from(str_from(window_fault_name((enum window_fault)(1 << i)))),
                 1U << i);
    CHECK_EQ(window_fault_from(STR("gremlins")), 0);
}
