/* What can go wrong with a sash, and what it is called. */
#include "machine/window_sim.h"

#define HAND_N_MAX 150.0 /* what EN 12453 allows to stay on somebody */

TEST(a_hand_is_let_go)
{
    struct sim sim;
    sim_calibrated(&sim, 1);
    sim.physics.faults = WINDOW_FAULT_OBSTACLE;
    struct window_result result = sim_move(&sim, 0);
    sim_expect(result, WINDOW_OUTCOME_FAILED, WINDOW_PINCHED);
    CHECK(sim.physics.pinch_n_max > 10.0); /* it was felt */
    CHECK(sim.physics.pinch_n_max < HAND_N_MAX);
    CHECK(sim.physics.x_mm > sim.physics.obstacle_mm + 20.0); /* and is free */
    CHECK_NEAR(result.position_mpct / 1000.0, 100.0 * window_physics_opening(&sim.physics), 0.5);
    CHECK(sim.board.calibrated); /* it knows where it is */
    sim.physics.faults = 0;
    sim_expect(sim_move(&sim, 0), WINDOW_OUTCOME_COMPLETE, WINDOW_OK);
}

/* Wherever it lies, and however coarse the steps are. */
TEST(the_force_on_a_hand_is_bounded)
{
    static const uint32_t steps_ms[] = {1, 5, 10, 20, 33};
    for (size_t s = 0; s < ARRAY_COUNT(steps_ms); s++) {
        for (int32_t from = 20000; from <= 100000; from += 8000) {
            struct sim sim;
            NOTE("from %d, steps of %u ms", from, steps_ms[s]);
            sim_calibrated(&sim, 2);
            sim_expect(sim_move(&sim, from), WINDOW_OUTCOME_COMPLETE, WINDOW_OK);
            sim.dt_ms = steps_ms[s];
            sim.physics.faults = WINDOW_FAULT_OBSTACLE;
            sim_expect(sim_move(&sim, 0), WINDOW_OUTCOME_FAILED, WINDOW_PINCHED);
            CHECK(sim.physics.pinch_n_max < HAND_N_MAX);
            CHECK(sim.physics.x_mm > sim.physics.obstacle_mm);
        }
    }
}

TEST(a_hand_while_looking_for_the_ends)
{
    struct sim sim;
    sim_init(&sim, 3, 10);
    sim.physics.faults = WINDOW_FAULT_OBSTACLE;
    struct window_result result = sim_move(&sim, 40000);
    sim_expect(result, WINDOW_OUTCOME_FAILED, WINDOW_PINCHED);
    CHECK_EQ(result.position_mpct, WINDOW_UNKNOWN); /* nobody knows yet */
    CHECK(sim.physics.pinch_n_max < HAND_N_MAX);
    sim.physics.faults = 0;
    sim_expect(sim_move(&sim, 40000), WINDOW_OUTCOME_COMPLETE, WINDOW_OK);
}

TEST(the_emergency_stop_wins_everywhere)
{
    static const enum window_state states[] = {WINDOW_HOMING,   WINDOW_CALIBRATING,
                                               WINDOW_MOVING,   WINDOW_SEALING,
                                               WINDOW_STOPPING, WINDOW_BACKING_OFF};
    for (size_t i = 0; i < ARRAY_COUNT(states); i++) {
        struct sim sim;
        NOTE("state %s", window_state_name(states[i]));
        sim_init(&sim, 4, 10);
        if (states[i] == WINDOW_BACKING_OFF)
            sim.physics.faults = WINDOW_FAULT_OBSTACLE;
        sim_start(&sim, 0);
        if (states[i] == WINDOW_STOPPING) {
            sim_until(&sim, WINDOW_MOVING);
            sim_run(&sim, 1000);
            sim.request = WINDOW_REQUEST_STOP;
        }
        sim_until(&sim, states[i]);
        sim.physics.faults |= WINDOW_FAULT_ESTOP;
        sim_step(&sim);
        CHECK(window_outputs_off(&sim.board.outputs));
        CHECK_EQ(sim.results, 1);
        sim_expect(sim.result, WINDOW_OUTCOME_FAILED, WINDOW_ESTOP);
        CHECK(!sim.board.calibrated);
        double rest = sim.physics.x_mm;
        sim_run(&sim, 1000);
        CHECK_NEAR(sim.physics.x_mm, rest, 8.0); /* the gear locks */
        sim_expect(sim_move(&sim, 10000), WINDOW_OUTCOME_REJECTED, WINDOW_ESTOP);
        sim.physics.faults = 0;
        sim_run(&sim, 1500);
        sim_expect(sim_move(&sim, 10000), WINDOW_OUTCOME_COMPLETE, WINDOW_OK);
    }
}

TEST(a_dead_motor_is_named)
{
    struct sim sim;
    sim_calibrated(&sim, 5);
    sim.physics.faults = WINDOW_FAULT_MOTOR_DEAD;
    struct window_result result = sim_move(&sim, 0);
    sim_expect(result, WINDOW_OUTCOME_FAILED, WINDOW_MOTOR_DEAD);
    CHECK(result.total_ms < 3000);
    CHECK_NEAR(result.position_mpct / 1000.0, 50.0, 0.3);
    sim_init(&sim, 5, 10);
    sim.physics.faults = WINDOW_FAULT_MOTOR_DEAD;
    sim_expect(sim_move(&sim, 0), WINDOW_OUTCOME_FAILED, WINDOW_MOTOR_DEAD);
}

TEST(a_switch_that_sticks_is_named)
{
    struct sim sim;
    sim_calibrated(&sim, 6);
    sim.physics.faults = WINDOW_FAULT_ENDSTOP_STUCK;
    sim_run(&sim, 100);
    sim_expect(sim_move(&sim, 20000), WINDOW_OUTCOME_FAILED, WINDOW_ENDSTOP_STUCK);
    sim_init(&sim, 6, 10);
    sim.physics.faults = WINDOW_FAULT_ENDSTOP_STUCK;
    sim_expect(sim_move(&sim, 20000), WINDOW_OUTCOME_FAILED, WINDOW_ENDSTOP_STUCK);
    CHECK(sim.physics.end_n_max < 1.0);
}

/* The encoder misses counts on the way open: the end comes before the board expects it. */
TEST(lost_counts_are_noticed_at_an_end)
{
    struct sim sim;
    sim_calibrated(&sim, 7);
    sim.physics.faults = WINDOW_FAULT_ENCODER_SLIP;
    struct window_result result = sim_move(&sim, 100000);
    sim_expect(result, WINDOW_OUTCOME_FAILED, WINDOW_POSITION_LOST);
    CHECK_EQ(result.position_mpct, WINDOW_UNKNOWN);
    CHECK(sim.physics.end_n_max < 150.0);
    sim.physics.faults = 0;
    sim_expect(sim_move(&sim, 30000), WINDOW_OUTCOME_COMPLETE, WINDOW_OK); /* the ends anew */
    CHECK_NEAR(100.0 * window_physics_opening(&sim.physics), 30.0, 0.5);
    /* And the other way: it believes to be shut and is not. */
    sim.physics.faults = WINDOW_FAULT_ENCODER_SLIP;
    (void)sim_move(&sim, 70000);
    sim.physics.faults = 0;
    result = sim_move(&sim, 0);
    sim_expect(result, WINDOW_OUTCOME_FAILED, WINDOW_POSITION_LOST);
}

TEST(a_small_drift_ends_when_it_is_shut)
{
    struct sim sim;
    sim_calibrated(&sim, 8);
    sim.physics.counts += 60.0; /* 3 mm */
    sim_expect(sim_move(&sim, 0), WINDOW_OUTCOME_COMPLETE, WINDOW_OK);
    CHECK_NEAR(sim.physics.x_mm, 0.0, 1.0);
    sim_expect(sim_move(&sim, 50000), WINDOW_OUTCOME_COMPLETE, WINDOW_OK);
    CHECK_NEAR(100.0 * window_physics_opening(&sim.physics), 50.0, 0.4);
}

/* Without the current sensor nobody would feel a hand. */
TEST(blind_means_still)
{
    struct sim sim;
    sim_calibrated(&sim, 9);
    sim_start(&sim, 0);
    sim_run(&sim, 500);
    sim.physics.faults = WINDOW_FAULT_SENSOR_STUCK;
    struct window_result result = sim_finish(&sim);
    sim_expect(result, WINDOW_OUTCOME_FAILED, WINDOW_SENSOR_FAULT);
    CHECK(result.total_ms < 500 + 600);
}

TEST(an_encoder_that_stands_still_is_named)
{
    struct sim sim;
    sim_calibrated(&sim, 10);
    sim_start(&sim, 100000);
    double counts = sim.physics.counts;
    for (uint32_t t = 0; t < 5000 && sim.results == 0; t += 10) {
        sim_step(&sim);
        sim.physics.counts = counts;
    }
    CHECK_EQ(sim.results, 1);
    sim_expect(sim.result, WINDOW_OUTCOME_FAILED, WINDOW_SENSOR_FAULT);
}

TEST(readings_that_cannot_be_refuse_the_start)
{
    struct sim sim;
    struct window_refusal refusal;
    struct window_order order = {10000};
    sim_init(&sim, 11, 10);
    struct window_input in = sim.in;
    in.closed_switch = in.open_switch = true;
    CHECK(!window_preflight(&sim.board, &in, &order, &refusal));
    CHECK_EQ(refusal.code, WINDOW_ENDSTOP_STUCK);
    in = sim.in;
    in.current_ma = 3000;
    CHECK(!window_preflight(&sim.board, &in, &order, &refusal));
    CHECK_EQ(refusal.code, WINDOW_SENSOR_FAULT);
    in = sim.in;
    in.estop = true;
    CHECK(!window_preflight(&sim.board, &in, &order, &refusal));
    CHECK_EQ(refusal.code, WINDOW_ESTOP);
}

/* A travel that is not the configured one: somebody put the wrong window on this board. */
TEST(a_travel_that_is_not_expected_is_refused)
{
    struct sim sim;
    struct window_calibration calibration = window_calibration_preset();
    sim_init(&sim, 12, 10);
    calibration.travel_mm = 300;
    window_init(&sim.board, &calibration);
    sim_expect(sim_move(&sim, 50000), WINDOW_OUTCOME_FAILED, WINDOW_NOT_CALIBRATED);
    sim_init(&sim, 12, 10);
    calibration.travel_mm = 500;
    window_init(&sim.board, &calibration);
    sim_expect(sim_move(&sim, 50000), WINDOW_OUTCOME_FAILED, WINDOW_NOT_CALIBRATED);
    CHECK(!sim.board.calibrated);
}
