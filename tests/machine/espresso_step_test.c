/* Orders that go well, stops, refusals before motion, and the interlocks in every state. */
#include "machine/espresso_sim.h"

static const enum espresso_state road[] = {
    ESPRESSO_VALIDATING, ESPRESSO_PRE_FLIGHT,   ESPRESSO_HOMING,          ESPRESSO_PICKING,
    ESPRESSO_INSERTING,  ESPRESSO_CLOSING_HEAD, ESPRESSO_PRESSING_BUTTON, ESPRESSO_BREWING,
    ESPRESSO_MONITORING, ESPRESSO_EJECTING,
};

TEST(brews_40_ml_at_any_step_size)
{
    const uint32_t sizes[] = {1, 2, 5, 7, 10, 20, 33, 50, 100};
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        NOTE("dt %u", (unsigned)sizes[i]);
        struct sim sim;
        sim_init(&sim, 7, sizes[i]);
        struct espresso_result result = sim_brew(&sim);
        sim_expect(result, ESPRESSO_OUTCOME_COMPLETE, ESPRESSO_OK);
        CHECK_EQ(result.warning, ESPRESSO_OK);
        CHECK(result.total_ms > 25000 && result.total_ms < 47000);
        CHECK(result.brew_ms > 30000 && result.brew_ms < 40000);
        CHECK(result.volume_measured && result.poured);
        CHECK(result.volume_ul > 39000 && result.volume_ul < 42000);
        CHECK(result.temperature_mc > 90000 && result.temperature_mc < 94000);
        CHECK_EQ(result.slot, 2);
        CHECK_EQ(result.pick_attempts, 1);
        CHECK_EQ(result.insert_attempts, 1);
        CHECK_EQ(result.button_presses, 1);
        CHECK_EQ(sim.physics.pump_starts, 1);
        CHECK_EQ(sim.physics.capsules_ejected, 1);
        CHECK_EQ(sim.physics.magazine.slot[1].count, 29);
        CHECK_EQ(sim.board.state, ESPRESSO_IDLE);
        for (size_t k = 1; k < ARRAY_COUNT(road); k++)
            CHECK(sim.visited >> road[k] & 1);
        CHECK(sim.visited >> ESPRESSO_COMPLETE & 1);
        uint32_t samples = result.brew_ms / ESPRESSO_SAMPLE_MS; /* 10 Hz */
        CHECK(sim.samples >= samples * 9 / 10 && sim.samples <= samples + 20);
    }
}

TEST(volume_is_estimated_without_a_meter)
{
    static const struct {
        uint32_t ml, pre_infusion_ms;
        enum espresso_capsule_type type;
        const char *variant;
    } cases[] = {
        {40, 300, ESPRESSO_ORIGINAL, "espresso"}, {25, 0, ESPRESSO_ORIGINAL, "ristretto"},
        {110, 1000, ESPRESSO_ORIGINAL, "lungo"},  {15, 10000, ESPRESSO_ORIGINAL, ""},
        {150, 10000, ESPRESSO_ORIGINAL, "lungo"}, {40, 300, ESPRESSO_VERTUO, "espresso"},
        {230, 300, ESPRESSO_VERTUO, "mug"},       {550, 300, ESPRESSO_VERTUO, "mug"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        NOTE("case %zu", i);
        struct sim sim;
        sim_init(&sim, i, 20);
        sim.physics.flow_meter = false;
        sim.order.recipe.volume_ml = cases[i].ml;
        sim.order.recipe.pre_infusion_ms = cases[i].pre_infusion_ms;
        sim.order.recipe.capsule_type = cases[i].type;
        recipe_variant(&sim.order.recipe, cases[i].variant);
        struct espresso_result result = sim_brew(&sim);
        sim_expect(result, ESPRESSO_OUTCOME_COMPLETE, ESPRESSO_OK);
        CHECK(!result.volume_measured);
        CHECK_NEAR(result.volume_ul / 1000.0, sim.physics.volume_ml, 0.1 * cases[i].ml);
        CHECK_NEAR(sim.physics.volume_ml, cases[i].ml, 1.0);
        CHECK(result.total_ms < ESPRESSO_MAX_DURATION_S * 1000);
    }
}

TEST(brews_again_and_again_and_counts_down)
{
    struct sim sim;
    sim_init(&sim, 3, 20);
    sim.physics.magazine.slot[1].count = 2;
    sim.physics.magazine.slot[3].count = 1; /* the second slot with espresso */
    for (uint32_t i = 0; i < 3; i++)
        sim_expect(sim_brew(&sim), ESPRESSO_OUTCOME_COMPLETE, ESPRESSO_OK);
    CHECK_EQ(sim.physics.pump_starts, 3);
    CHECK_EQ(sim.result.slot, 4);
    struct espresso_result result = sim_brew(&sim);
    sim_expect(result, ESPRESSO_OUTCOME_REJECTED, ESPRESSO_MAGAZINE_EMPTY);
    CHECK_EQ(sim.physics.pump_starts, 3);
}

TEST(same_seed_same_trace)
{
    uint64_t trace[3];
    for (size_t i = 0; i < 3; i++) {
        struct sim sim;
        sim_init(&sim, i == 2 ? 12 : 11, 10);
        sim_brew(&sim);
        trace[i] = sim.trace;
    }
    CHECK(trace[0] == trace[1]);
    CHECK(trace[0] != trace[2]);
}

TEST(sequences_for_a_capsule_put_in_by_hand)
{
    struct sim sim;
    sim_init(&sim, 5, 10);
    sim.order.instructions.sequence_count = 2;
    sim.order.instructions.sequence[0].action = ESPRESSO_LATCH;
    sim.order.instructions.sequence[1] =
        (struct espresso_sequence_item){.action = ESPRESSO_PRESS_BUTTON, .duration_ms = 400};
    sim.physics.chamber_loaded = true;
    struct espresso_result result = sim_brew(&sim);
    sim_expect(result, ESPRESSO_OUTCOME_COMPLETE, ESPRESSO_OK);
    CHECK_EQ(result.slot, 0);
    CHECK_EQ(result.pick_attempts, 0);
    CHECK(!(sim.visited >> ESPRESSO_PICKING & 1));
    CHECK_EQ(sim.physics.capsules_ejected, 1);

    /* press alone: only with the head closed */
    sim.order.instructions.sequence_count = 1;
    sim.order.instructions.sequence[0] =
        (struct espresso_sequence_item){.action = ESPRESSO_PRESS_BUTTON};
    sim_expect(sim_brew(&sim), ESPRESSO_OUTCOME_REJECTED, ESPRESSO_HEAD_OPEN);
    sim.physics.chamber_loaded = true;
    sim.physics.head = 1.0;
    sim_expect(sim_brew(&sim), ESPRESSO_OUTCOME_COMPLETE, ESPRESSO_OK);
    CHECK_EQ(sim.physics.pump_starts, 2);
}

TEST(a_cold_machine_is_waited_for)
{
    struct sim sim;
    sim_init(&sim, 5, 10);
    sim.physics.block_c = 40.0;
    struct espresso_result result = sim_brew(&sim);
    sim_expect(result, ESPRESSO_OUTCOME_COMPLETE, ESPRESSO_OK);
    CHECK(result.temperature_mc > 89000);
    CHECK_EQ(result.button_presses, 1);
}

TEST(what_check_refuses_the_machine_refuses)
{
    struct sim sim;
    sim_init(&sim, 5, 10);
    sim.order.recipe.temperature_mc = 97000;
    struct espresso_result result = sim_brew(&sim);
    sim_expect(result, ESPRESSO_OUTCOME_REJECTED, ESPRESSO_OUT_OF_LIMITS);
    CHECK_STR(result.field, "recipe.temperature_c");
    CHECK(!(sim.visited >> ESPRESSO_PRE_FLIGHT & 1));
    sim.order = sim_order();
    sim.order.recipe.capsule_type = ESPRESSO_VERTUO;
    sim.order.recipe.volume_ml = 80;
    espresso_init(&sim.board, ESPRESSO_ORIGINAL_ONLY, NULL);
    sim_run(&sim, 2000);
    sim_expect(sim_brew(&sim), ESPRESSO_OUTCOME_REJECTED, ESPRESSO_CAPSULE_MISMATCH);
    CHECK_EQ(sim.physics.capsules_picked, 0);
}

/* Asked before the claim and again by the machine: the same answer, and nothing moves. */
static void pre_flight_refuses(struct sim *sim, enum espresso_code code, const char *field)
{
    double picker = sim->physics.picker_steps, head = sim->physics.head;
    uint8_t slot = 0;
    struct espresso_refusal refusal = {0};
    CHECK(!espresso_preflight(&sim->board, &sim->in, &sim->order, &slot, &refusal));
    CHECK_STR(espresso_code_name(refusal.code), espresso_code_name(code));
    CHECK_STR(refusal.field, field);
    struct espresso_result result = sim_brew(sim);
    sim_expect(result, ESPRESSO_OUTCOME_REJECTED, code);
    CHECK_EQ(result.total_ms <= 2 * sim->dt_ms, 1);
    CHECK(sim->physics.picker_steps == picker && sim->physics.head == head);
    CHECK_EQ(sim->physics.button_presses, 0);
}

TEST(pre_flight_names_what_is_wrong)
{
    static const struct {
        uint32_t fault;
        enum espresso_code code;
    } cases[] = {
        {ESPRESSO_FAULT_ESTOP, ESPRESSO_ESTOP},
        {ESPRESSO_FAULT_OVER_TEMPERATURE, ESPRESSO_OVER_TEMPERATURE},
        {ESPRESSO_FAULT_MAGAZINE_EMPTY, ESPRESSO_MAGAZINE_EMPTY},
        {ESPRESSO_FAULT_WATER_LOW, ESPRESSO_WATER_LOW},
        {ESPRESSO_FAULT_SENSOR_STUCK, ESPRESSO_SENSOR_FAULT},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        NOTE("case %zu", i);
        struct sim sim;
        sim_init(&sim, i, 10);
        sim.physics.faults = cases[i].fault;
        sim_run(&sim, 2000);
        pre_flight_refuses(&sim, cases[i].code, NULL);
        sim.physics.faults = 0; /* and when it is over, it brews */
        sim_run(&sim, 2000);
        sim_expect(sim_brew(&sim), ESPRESSO_OUTCOME_COMPLETE, ESPRESSO_OK);
    }
}

TEST(pre_flight_looks_at_slots)
{
    struct sim sim;
    sim_init(&sim, 1, 10);
    sim.order.instructions.capsule_slot = 3; /* lungo */
    pre_flight_refuses(&sim, ESPRESSO_CAPSULE_MISMATCH, "accessory_instructions.capsule_slot");
    sim.order.instructions.capsule_slot = 4;
    sim.physics.magazine.slot[3].count = 0;
    sim_run(&sim, 10);
    pre_flight_refuses(&sim, ESPRESSO_MAGAZINE_EMPTY, "accessory_instructions.capsule_slot");
    sim.order.instructions.capsule_slot = 0;
    recipe_variant(&sim.order.recipe, "decaf");
    pre_flight_refuses(&sim, ESPRESSO_CAPSULE_MISMATCH, "recipe.capsule_variant");
    sim.order = sim_order();
    sim.physics.carriage_loaded = true;
    sim_run(&sim, 10);
    pre_flight_refuses(&sim, ESPRESSO_CAPSULE_IN_PATH, NULL);
}

TEST(hands_off_while_somebody_brews)
{
    struct sim sim;
    sim_init(&sim, 1, 10);
    sim.physics.head = 1.0;
    sim.physics.pump_on = true;
    sim.physics.target_ml = 1000;
    sim_run(&sim, 500);
    pre_flight_refuses(&sim, ESPRESSO_PUMP_RUNNING, NULL);
    CHECK(sim.physics.pump_on);
}

TEST(one_order_at_a_time)
{
    struct sim sim;
    sim_init(&sim, 1, 10);
    sim_start(&sim);
    sim_until(&sim, ESPRESSO_PICKING);
    uint8_t slot;
    struct espresso_refusal refusal;
    CHECK(!espresso_preflight(&sim.board, &sim.in, &sim.order, &slot, &refusal));
    CHECK_EQ(refusal.code, ESPRESSO_BUSY);
    sim.request = ESPRESSO_REQUEST_BREW; /* not heard */
    sim_expect(sim_finish(&sim), ESPRESSO_OUTCOME_COMPLETE, ESPRESSO_OK);
    CHECK_EQ(sim.physics.pump_starts, 1);
}

/* ---- stop ---- */

static void stop_in(enum espresso_state state, enum espresso_request request, uint32_t later_ms)
{
    NOTE("stop in %s", espresso_state_name(state));
    struct sim sim;
    sim_init(&sim, 21, 10);
    sim_start(&sim);
    sim_until(&sim, state);
    sim_run(&sim, later_ms);
    sim.request = request;
    struct espresso_result result = sim_finish(&sim);
    enum espresso_outcome outcome =
        request == ESPRESSO_REQUEST_STOP ? ESPRESSO_OUTCOME_CANCELLED : ESPRESSO_OUTCOME_FAILED;
    enum espresso_code code =
        request == ESPRESSO_REQUEST_STOP ? ESPRESSO_STOPPED : ESPRESSO_TIMEOUT;
    if (state == ESPRESSO_EJECTING) { /* too late */
        outcome = ESPRESSO_OUTCOME_COMPLETE;
        code = ESPRESSO_OK;
    } else if (request == ESPRESSO_REQUEST_DEADLINE && state <= ESPRESSO_PRE_FLIGHT) {
        outcome = ESPRESSO_OUTCOME_REJECTED;
    }
    sim_expect(result, outcome, code);
    CHECK_EQ(result.warning, ESPRESSO_OK);
    bool poured = state >= ESPRESSO_PRESSING_BUTTON && sim.physics.button_presses > 0;
    CHECK_EQ(sim.physics.pump_starts, poured);
    CHECK_EQ(result.poured, poured);
    CHECK(!sim.physics.pump_on);
    /* No capsule is left hanging, and the next order is carried out. */
    CHECK(!sim.physics.carriage_loaded && !sim.physics.chamber_loaded);
    CHECK_EQ(sim.physics.capsules_ejected, sim.physics.capsules_picked);
    if (later_ms > 5000)
        CHECK(result.volume_ul > 5000 && result.volume_ul < 20000);
    sim_expect(sim_brew(&sim), ESPRESSO_OUTCOME_COMPLETE, ESPRESSO_OK);
}

TEST(stop_is_honoured_in_every_state)
{
    for (size_t i = 0; i < ARRAY_COUNT(road); i++) {
        stop_in(road[i], ESPRESSO_REQUEST_STOP, 0);
        stop_in(road[i], ESPRESSO_REQUEST_DEADLINE, 0);
    }
    for (uint32_t ms = 10; ms < 700; ms += 10) {
        stop_in(ESPRESSO_PICKING, ESPRESSO_REQUEST_STOP, ms);
        stop_in(ESPRESSO_PRESSING_BUTTON, ESPRESSO_REQUEST_STOP, ms);
    }
    stop_in(ESPRESSO_MONITORING, ESPRESSO_REQUEST_STOP, 7000);
}

/* However late a stop comes, the pump never starts a second time. */
TEST(a_stop_near_the_end_starts_nothing)
{
    for (uint32_t meter = 0; meter < 2; meter++) {
        for (uint32_t ms = 24000; ms < 31000; ms += 50) {
            NOTE("meter %u at %u ms", (unsigned)meter, (unsigned)ms);
            struct sim sim;
            sim_init(&sim, ms, 10);
            sim.physics.flow_meter = meter != 0;
            sim_start(&sim);
            sim_until(&sim, ESPRESSO_MONITORING);
            sim_run(&sim, ms);
            sim.request = ESPRESSO_REQUEST_STOP;
            struct espresso_result result = sim_finish(&sim);
            CHECK_EQ(sim.physics.pump_starts, 1);
            CHECK(result.outcome == ESPRESSO_OUTCOME_COMPLETE ||
                  result.outcome == ESPRESSO_OUTCOME_CANCELLED);
        }
    }
}

/* ---- interlocks ---- */

static void trip_in(enum espresso_state state, uint32_t fault, enum espresso_code code)
{
    NOTE("%s in %s", espresso_code_name(code), espresso_state_name(state));
    struct sim sim;
    sim_init(&sim, 23, 10);
    sim_start(&sim);
    sim_until(&sim, state);
    sim.physics.faults = fault;
    sim_step(&sim); /* the very next step: sim_rules() sees all outputs off */
    CHECK_EQ(sim.results, 1);
    CHECK_EQ(sim.board.state, ESPRESSO_ERROR);
    CHECK(espresso_outputs_off(&sim.board.outputs));
    enum espresso_outcome outcome =
        state <= ESPRESSO_PRE_FLIGHT ? ESPRESSO_OUTCOME_REJECTED : ESPRESSO_OUTCOME_FAILED;
    sim_expect(sim.result, outcome, code);
    CHECK(!sim.physics.pump_on);
    sim_run(&sim, 5000);
    CHECK_EQ(sim.board.state, ESPRESSO_ERROR); /* as long as it lasts */
    sim.physics.faults = 0;
    sim_run(&sim, 5000);
    CHECK_EQ(sim.board.state, ESPRESSO_IDLE);
    CHECK(!sim.board.homed);
    CHECK_EQ(sim.results, 1);
    CHECK(sim.physics.pump_starts <= 1);
}

TEST(estop_and_cutout_in_every_state)
{
    for (size_t i = 0; i < ARRAY_COUNT(road); i++) {
        trip_in(road[i], ESPRESSO_FAULT_ESTOP, ESPRESSO_ESTOP);
        trip_in(road[i], ESPRESSO_FAULT_OVER_TEMPERATURE, ESPRESSO_OVER_TEMPERATURE);
    }
}

TEST(estop_without_an_order_is_shown_and_gives_no_result)
{
    struct sim sim;
    sim_init(&sim, 2, 10);
    sim.physics.faults = ESPRESSO_FAULT_ESTOP;
    sim_run(&sim, 100);
    CHECK_EQ(sim.board.state, ESPRESSO_ERROR);
    CHECK_EQ(sim.board.code, ESPRESSO_ESTOP);
    CHECK_EQ(sim.results, 0);
    sim.physics.faults = ESPRESSO_FAULT_OVER_TEMPERATURE;
    sim_run(&sim, 100);
    CHECK_EQ(sim.board.code, ESPRESSO_OVER_TEMPERATURE);
    sim.physics.faults = 0;
    sim_run(&sim, 2000);
    CHECK_EQ(sim.board.state, ESPRESSO_IDLE);
    CHECK_EQ(sim.board.code, ESPRESSO_OK);
}

TEST(a_hot_block_is_a_cutout_too)
{
    struct sim sim;
    sim_init(&sim, 2, 10);
    sim_start(&sim);
    sim_until(&sim, ESPRESSO_PICKING);
    sim.physics.block_c = 120.0;
    sim_step(&sim);
    sim_expect(sim.result, ESPRESSO_OUTCOME_FAILED, ESPRESSO_OVER_TEMPERATURE);
}
