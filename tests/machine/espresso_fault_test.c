/* Each fault of the metal: the right name, the right number of attempts, everything off, and what
 * may follow. */
#include "machine/espresso_sim.h"

static struct espresso_result fault_from_start(struct sim *sim, uint32_t fault, uint32_t dt_ms)
{
    sim_init(sim, 31, dt_ms);
    sim->physics.faults = fault;
    struct espresso_result result = sim_brew(sim);
    CHECK(espresso_outputs_off(&sim->board.outputs));
    CHECK(!sim->physics.pump_on);
    return result;
}

static struct espresso_result fault_in(struct sim *sim, enum espresso_state state, uint32_t fault,
                                       uint32_t later_ms)
{
    sim_init(sim, 37, 10);
    sim_start(sim);
    sim_until(sim, state);
    sim_run(sim, later_ms);
    sim->physics.faults = fault;
    return sim_finish(sim);
}

TEST(jam_pick_is_tried_three_times)
{
    const uint32_t sizes[] = {1, 10, 100};
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct sim sim;
        struct espresso_result result = fault_from_start(&sim, ESPRESSO_FAULT_JAM_PICK, sizes[i]);
        sim_expect(result, ESPRESSO_OUTCOME_FAILED, ESPRESSO_PICK_FAILED);
        CHECK_EQ(result.pick_attempts, 3);
        CHECK_EQ(result.insert_attempts, 0);
        CHECK_EQ(sim.physics.pump_starts, 0);
        CHECK(espresso_codes[result.code].holds && espresso_codes[result.code].needs_hands);
    }
}

TEST(jam_pick_that_clears_is_a_brew_with_a_retry)
{
    struct sim sim;
    sim_init(&sim, 31, 10);
    sim.physics.faults = ESPRESSO_FAULT_JAM_PICK;
    sim_start(&sim);
    while (sim.board.tally.pick_attempts < 2)
        sim_step(&sim);
    sim.physics.faults = 0;
    struct espresso_result result = sim_finish(&sim);
    sim_expect(result, ESPRESSO_OUTCOME_COMPLETE, ESPRESSO_OK);
    CHECK_EQ(result.pick_attempts, 2);
    CHECK_EQ(sim.physics.capsules_picked, 1);
}

TEST(jam_insert_is_tried_three_times)
{
    struct sim sim;
    struct espresso_result result = fault_from_start(&sim, ESPRESSO_FAULT_JAM_INSERT, 10);
    sim_expect(result, ESPRESSO_OUTCOME_FAILED, ESPRESSO_INSERT_FAILED);
    CHECK_EQ(result.pick_attempts, 1);
    CHECK_EQ(result.insert_attempts, 3);
    CHECK_EQ(sim.physics.pump_starts, 0);
    CHECK_EQ(sim.physics.capsules_picked, 1);
    /* The capsule still lies in the carriage; the machine says so instead of picking another. */
    sim.physics.faults = 0;
    sim_expect(sim_brew(&sim), ESPRESSO_OUTCOME_REJECTED, ESPRESSO_CAPSULE_IN_PATH);
}

TEST(a_head_that_does_not_close_is_opened_again)
{
    struct sim sim;
    struct espresso_result result = fault_from_start(&sim, ESPRESSO_FAULT_HEAD_OPEN, 10);
    sim_expect(result, ESPRESSO_OUTCOME_FAILED, ESPRESSO_HEAD_OPEN);
    CHECK(sim.visited >> ESPRESSO_EJECTING & 1);
    CHECK_EQ(result.button_presses, 0);
    CHECK(sim.physics.head < 0.05);
}

TEST(a_dead_button_gets_one_double_press)
{
    struct sim sim;
    struct espresso_result result = fault_from_start(&sim, ESPRESSO_FAULT_BUTTON_DEAD, 10);
    sim_expect(result, ESPRESSO_OUTCOME_FAILED, ESPRESSO_BUTTON_FAILED);
    CHECK_EQ(result.button_presses, 2);
    CHECK(!result.poured);
    CHECK_EQ(result.volume_ul, 0);
    CHECK_EQ(sim.physics.capsules_ejected, 1); /* after a failure too */
}

TEST(a_button_that_answers_the_second_press_brews_once)
{
    struct sim sim;
    sim_init(&sim, 31, 10);
    sim.physics.faults = ESPRESSO_FAULT_BUTTON_DEAD;
    sim_start(&sim);
    while (sim.board.tally.button_presses < 2)
        sim_step(&sim);
    sim.physics.faults = 0;
    struct espresso_result result = sim_finish(&sim);
    sim_expect(result, ESPRESSO_OUTCOME_COMPLETE, ESPRESSO_OK);
    CHECK_EQ(result.button_presses, 2);
    CHECK_EQ(sim.physics.pump_starts, 1);
}

TEST(a_pump_without_end_is_stopped)
{
    for (uint32_t meter = 0; meter < 2; meter++) {
        struct sim sim;
        sim_init(&sim, 31, 10);
        sim.physics.flow_meter = meter != 0;
        sim.physics.faults = ESPRESSO_FAULT_PUMP_TIMEOUT;
        struct espresso_result result = sim_brew(&sim);
        sim_expect(result, ESPRESSO_OUTCOME_FAILED, ESPRESSO_PUMP_TIMEOUT);
        CHECK(!sim.physics.pump_on);
        CHECK_EQ(sim.physics.pump_starts, 1);
        CHECK_EQ(sim.physics.button_presses, 2); /* start and stop */
        CHECK_EQ(sim.physics.capsules_ejected, 1);
        CHECK(sim.physics.volume_ml < (meter ? 60.0 : 85.0));
    }
}

TEST(a_pump_that_obeys_nobody_keeps_the_head_shut)
{
    struct sim sim;
    struct espresso_result result = fault_in(
        &sim, ESPRESSO_MONITORING, ESPRESSO_FAULT_PUMP_TIMEOUT | ESPRESSO_FAULT_BUTTON_DEAD, 1000);
    sim_expect(result, ESPRESSO_OUTCOME_FAILED, ESPRESSO_PUMP_TIMEOUT);
    CHECK_EQ(sim.board.stop_presses, 2);
    CHECK(sim.physics.head > 0.97);
    CHECK(espresso_codes[result.code].holds);
}

TEST(a_dry_pump_is_stopped)
{
    struct sim sim;
    sim_init(&sim, 31, 10);
    sim_start(&sim);
    sim_until(&sim, ESPRESSO_MONITORING);
    sim.physics.tank_ml = 0.0;
    struct espresso_result result = sim_finish(&sim);
    sim_expect(result, ESPRESSO_OUTCOME_FAILED, ESPRESSO_PUMP_TIMEOUT);
    CHECK(result.volume_ul < 10000 && result.volume_measured && result.poured);
    CHECK(result.brew_ms < 20000); /* long before the pump's own limit */
    CHECK_EQ(sim.physics.pump_starts, 1);
}

TEST(somebody_else_stops_the_pump)
{
    struct sim sim;
    sim_init(&sim, 31, 10);
    sim_start(&sim);
    sim_until(&sim, ESPRESSO_MONITORING);
    sim_run(&sim, 2000);
    sim.physics.pump_on = false;
    struct espresso_result result = sim_finish(&sim);
    sim_expect(result, ESPRESSO_OUTCOME_FAILED, ESPRESSO_SHORT_VOLUME);
    CHECK(result.poured && result.volume_ul > 0);

    sim_init(&sim, 31, 10);
    sim_start(&sim);
    sim_until(&sim, ESPRESSO_MONITORING);
    sim.physics.pump_on = false;
    sim.physics.faults = ESPRESSO_FAULT_WATER_LOW;
    sim_expect(sim_finish(&sim), ESPRESSO_OUTCOME_FAILED, ESPRESSO_WATER_LOW);
}

TEST(water_that_runs_low_late_does_not_spoil_the_cup)
{
    struct sim sim;
    struct espresso_result result =
        fault_in(&sim, ESPRESSO_MONITORING, ESPRESSO_FAULT_WATER_LOW, 0);
    sim_expect(result, ESPRESSO_OUTCOME_COMPLETE, ESPRESSO_OK);
}

TEST(a_head_opened_in_mid_brew_stops_the_pump)
{
    struct sim sim;
    sim_init(&sim, 31, 10);
    sim_start(&sim);
    sim_until(&sim, ESPRESSO_MONITORING);
    sim.physics.head = 0.8;
    struct espresso_result result = sim_finish(&sim);
    sim_expect(result, ESPRESSO_OUTCOME_FAILED, ESPRESSO_HEAD_OPEN);
    CHECK(!sim.physics.pump_on);
    CHECK_EQ(sim.physics.pump_starts, 1);
}

/* A dead current sensor at any moment: the pump never starts twice, and nobody opens a head that
 * may be under pressure. */
TEST(sensor_stuck_at_any_moment)
{
    for (uint32_t at_ms = 0; at_ms < 42000; at_ms += 137) {
        NOTE("stuck at %u ms", (unsigned)at_ms);
        struct sim sim;
        sim_init(&sim, at_ms, 10);
        sim_start(&sim);
        for (uint32_t ms = 0; ms < at_ms && sim.results == 0; ms += sim.dt_ms) {
            sim_step(&sim);
            CHECK(sim.physics.pressure_bar < 2.0 || sim.board.outputs.head == 0);
        }
        sim.physics.faults = ESPRESSO_FAULT_SENSOR_STUCK;
        uint64_t end_ms = sim.now_ms + 120000;
        while (sim.results == 0 && sim.now_ms < end_ms) {
            sim_step(&sim);
            CHECK(sim.physics.pressure_bar < 2.0 || sim.board.outputs.head == 0);
        }
        CHECK_EQ(sim.results, 1);
        CHECK(sim.result.code == ESPRESSO_SENSOR_FAULT || sim.result.code == ESPRESSO_OK);
        sim_run(&sim, 60000);
        CHECK(sim.physics.pump_starts <= 1);
    }
}

TEST(not_home_is_named)
{
    struct sim sim;
    sim_init(&sim, 31, 10);
    sim_start(&sim);
    for (uint32_t i = 0; i < 3000 && sim.results == 0; i++) {
        sim.physics.picker_steps = 120.0; /* the belt slips */
        sim_step(&sim);
    }
    sim_expect(sim.result, ESPRESSO_OUTCOME_FAILED, ESPRESSO_NOT_HOME);
    CHECK_EQ(sim.physics.capsules_picked, 0);
}

TEST(both_end_switches_at_once_are_a_sensor_fault)
{
    struct sim sim;
    sim_init(&sim, 31, 10);
    struct espresso_input in = sim.in;
    in.inserter_home = in.inserter_end = true;
    uint8_t slot;
    struct espresso_refusal refusal;
    CHECK(!espresso_preflight(&sim.board, &in, &sim.order, &slot, &refusal));
    CHECK_EQ(refusal.code, ESPRESSO_SENSOR_FAULT);
    in = sim.in;
    in.current_ma = 6000;
    CHECK(!espresso_preflight(&sim.board, &in, &sim.order, &slot, &refusal));
    CHECK_EQ(refusal.code, ESPRESSO_SENSOR_FAULT);
    in = sim.in;
    in.magazine = NULL; /* not known: the machine goes by what it was told */
    CHECK(espresso_preflight(&sim.board, &in, &sim.order, &slot, &refusal));
    CHECK_EQ(slot, 1);
}

TEST(a_machine_that_never_gets_hot_times_out)
{
    struct sim sim;
    sim_init(&sim, 31, 10);
    sim_start(&sim);
    for (uint32_t i = 0; i < 12000 && sim.results == 0; i++) {
        sim.physics.block_c = 50.0;
        sim_step(&sim);
    }
    sim_expect(sim.result, ESPRESSO_OUTCOME_FAILED, ESPRESSO_TIMEOUT);
    CHECK_EQ(sim.physics.pump_starts, 0);
    CHECK_EQ(sim.physics.capsules_ejected, 1);
}

TEST(a_capsule_dropped_on_the_way_is_picked_again)
{
    struct sim sim;
    sim_init(&sim, 31, 10);
    sim_start(&sim);
    sim_until(&sim, ESPRESSO_PICKING);
    while (!sim.physics.carriage_loaded)
        sim_step(&sim);
    sim_run(&sim, 50);
    sim.physics.carriage_loaded = false;
    struct espresso_result result = sim_finish(&sim);
    sim_expect(result, ESPRESSO_OUTCOME_COMPLETE, ESPRESSO_OK);
    CHECK_EQ(result.pick_attempts, 2);
}

/* The board forgets everything; the metal does not. */
TEST(a_reboot_in_mid_brew_starts_nothing)
{
    struct sim sim;
    sim_init(&sim, 31, 10);
    sim_start(&sim);
    sim_until(&sim, ESPRESSO_MONITORING);
    espresso_init(&sim.board, ESPRESSO_BOTH, NULL);
    sim_run(&sim, 1000);
    CHECK_EQ(sim.board.state, ESPRESSO_IDLE);
    CHECK(sim.physics.pump_on); /* the coffee machine finishes its cup */
    sim_expect(sim_brew(&sim), ESPRESSO_OUTCOME_REJECTED, ESPRESSO_PUMP_RUNNING);
    sim_run(&sim, 60000);
    sim_expect(sim_brew(&sim), ESPRESSO_OUTCOME_COMPLETE, ESPRESSO_OK);
    CHECK_EQ(sim.physics.pump_starts, 2); /* one an order */
    CHECK_EQ(sim.physics.capsules_ejected, 2);
}

/* A capsule that sticks in the carriage is not inside, whatever the end switch says. */
TEST(a_capsule_that_sticks_is_not_inserted)
{
    struct sim sim;
    sim_init(&sim, 31, 10);
    sim_start(&sim);
    sim_until(&sim, ESPRESSO_INSERTING);
    while (sim.results == 0) {
        sim.physics.picker_steps = 100.0; /* beside the hand-over */
        sim_step(&sim);
    }
    sim_expect(sim.result, ESPRESSO_OUTCOME_FAILED, ESPRESSO_INSERT_FAILED);
    CHECK_EQ(sim.result.insert_attempts, 3);
}

/* Somebody presses the button by hand while we are about to eject. */
TEST(the_head_stays_shut_while_a_pump_runs)
{
    struct sim sim;
    sim_init(&sim, 31, 10);
    sim_start(&sim);
    sim_until(&sim, ESPRESSO_EJECTING);
    sim.physics.pump_on = true;
    sim.physics.target_ml = 200.0;
    while (sim.results == 0) {
        sim_step(&sim);
        CHECK_EQ(sim.board.outputs.head, 0);
    }
    sim_expect(sim.result, ESPRESSO_OUTCOME_FAILED, ESPRESSO_PUMP_TIMEOUT);
    CHECK_EQ(sim.result.warning, ESPRESSO_EJECT_FAILED);
    CHECK(sim.result.volume_ul > 38000); /* what is in the cup is still told */
}

/* The pump ends by itself while the arm is on its way to stop it: the finger is taken back. */
TEST(a_stop_press_is_taken_back_when_the_pump_ends)
{
    for (uint32_t later_ms = 10; later_ms <= 90; later_ms += 10) {
        NOTE("pump ends %u ms after the arm started", (unsigned)later_ms);
        struct sim sim;
        sim_init(&sim, 31, 10);
        sim_start(&sim);
        sim_until(&sim, ESPRESSO_MONITORING);
        while (sim.board.sample.volume_ul < 37700)
            sim_step(&sim);
        sim.request = ESPRESSO_REQUEST_STOP;
        sim_run(&sim, later_ms);
        CHECK_EQ(sim.board.stop_presses, 1);
        sim.physics.pump_on = false;
        sim.physics.volume_ml = sim.physics.target_ml;
        struct espresso_result result = sim_finish(&sim);
        CHECK_EQ(sim.physics.pump_starts, 1);
        if (result.volume_ul >= 38000)
            sim_expect(result, ESPRESSO_OUTCOME_COMPLETE, ESPRESSO_OK);
        else
            sim_expect(result, ESPRESSO_OUTCOME_CANCELLED, ESPRESSO_STOPPED);
    }
}
