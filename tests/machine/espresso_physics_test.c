/* The metal by itself: bounds, interlocks of its own, determinism, faults by name. */
#include "machine/espresso_sim.h"

TEST(faults_have_names)
{
    for (uint32_t i = 0; i < ESPRESSO_FAULT_COUNT; i++) {
        const char *name = espresso_fault_name((enum espresso_fault)(1U << i));
        CHECK(name != NULL);
        CHECK_EQ(espresso_fault_from(str_from(name)), 1U << i);
    }
    CHECK(espresso_fault_name((enum espresso_fault)(1U << ESPRESSO_FAULT_COUNT)) == NULL);
    CHECK_EQ(espresso_fault_from(STR("reboot_at")), 0); /* the device's own */
}

static void bounded(const struct espresso_physics *p, double energy_before)
{
    CHECK(p->block_c > 0.0 && p->block_c < 130.0);
    CHECK(p->pressure_bar >= 0.0 && p->pressure_bar <= 19.0);
    CHECK(p->flow_mls >= 0.0 && p->flow_mls < 40.0);
    CHECK(p->tank_ml >= 0.0 && p->tank_ml <= 1000.0);
    CHECK(p->head >= 0.0 && p->head <= 1.0);
    CHECK(p->picker_steps >= 0.0 && p->picker_steps < 1400.0);
    CHECK(p->inserter_steps >= 0.0 && p->inserter_steps < 700.0);
    CHECK(p->heater_w >= 0.0 && p->heater_w <= 1500.0);
    CHECK(p->energy_j >= energy_before);
}

/* Whatever the outputs, the world stays one. */
TEST(garbage_outputs_leave_the_physics_bounded)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        NOTE("seed %u", (unsigned)seed);
        struct rng rng;
        rng_init(&rng, seed);
        struct espresso_physics physics;
        espresso_physics_init(&physics);
        physics.jam_chance = 0.1;
        struct espresso_outputs out = {0};
        for (uint32_t i = 0; i < 2000; i++) {
            if (rng_chance(&rng, 0.05)) {
                out.rail_12v = rng_chance(&rng, 0.8);
                out.picker_steps_s = (int32_t)rng_below(&rng, 20000) - 10000;
                out.inserter_steps_s = (int32_t)rng_below(&rng, 20000) - 10000;
                out.servo_on = rng_chance(&rng, 0.8);
                out.servo_mdeg = (int32_t)rng_below(&rng, 400000) - 200000;
                out.head = (int8_t)(int)(rng_below(&rng, 3) - 1);
                out.setpoint_mc = (int32_t)rng_below(&rng, 97) * 1000;
                out.setpoint_ml = rng_below(&rng, 600);
                out.setpoint_pre_infusion_ms = rng_below(&rng, 10001);
                physics.faults =
                    rng_chance(&rng, 0.2) ? rng_below(&rng, 1U << ESPRESSO_FAULT_COUNT) : 0;
            }
            double energy = physics.energy_j;
            espresso_physics_step(&physics, &out, 1 + rng_below(&rng, 100), &rng);
            bounded(&physics, energy);
            CHECK(physics.capsules_inserted <= physics.capsules_picked);
            CHECK(physics.capsules_ejected <= physics.capsules_inserted);
        }
    }
}

TEST(the_block_keeps_92_degrees)
{
    struct sim sim;
    sim_init(&sim, 1, 20);
    sim.physics.block_c = 22.0;
    double highest = 0;
    for (uint32_t i = 0; i < 60000 / 20; i++) {
        sim_step(&sim);
        if (sim.physics.block_c > highest)
            highest = sim.physics.block_c;
    }
    CHECK_NEAR(sim.physics.block_c, 92.0, 1.0);
    CHECK(highest < 95.0);
    CHECK(sim.physics.energy_j > 30000.0);
}

TEST(pressure_is_that_of_an_espresso)
{
    struct sim sim;
    sim_init(&sim, 1, 10);
    sim_start(&sim);
    sim_until(&sim, ESPRESSO_MONITORING);
    sim_run(&sim, 10000);
    CHECK_NEAR(sim.physics.pressure_bar, 10.0, 1.5);
    CHECK_NEAR(sim.board.sample.pressure_mbar / 1000.0, 10.0, 1.5);
    CHECK_NEAR(sim.board.sample.flow_uls / 1000.0, 1.35, 0.15);
    CHECK(sim.board.sample.current_ma > 80);
}

/* Two step sizes, one world: the pour takes the same time and gives the same cup. */
TEST(step_size_does_not_change_the_cup)
{
    double volume[2];
    uint32_t brew_ms[2];
    for (uint32_t i = 0; i < 2; i++) {
        struct sim sim;
        sim_init(&sim, 1, i == 0 ? 1 : 100);
        brew_ms[i] = sim_brew(&sim).brew_ms;
        volume[i] = sim.physics.volume_ml;
    }
    CHECK_NEAR(volume[0], volume[1], 0.2);
    CHECK_NEAR(brew_ms[0], brew_ms[1], 300);
}

TEST(estop_cuts_power_whatever_the_board_says)
{
    struct espresso_physics physics;
    espresso_physics_init(&physics);
    struct rng rng;
    rng_init(&rng, 1);
    physics.faults = ESPRESSO_FAULT_ESTOP;
    struct espresso_outputs out = {.rail_12v = true,
                                   .picker_steps_s = 500,
                                   .inserter_steps_s = 500,
                                   .head = 1,
                                   .servo_on = true,
                                   .servo_mdeg = 35000};
    double picker = physics.picker_steps;
    espresso_physics_step(&physics, &out, 1000, &rng);
    CHECK(physics.picker_steps == picker && physics.head == 0.0);
    CHECK_EQ(physics.button_presses, 0);
    CHECK(physics.heater_w == 0.0);
}

TEST(without_the_rail_nothing_moves)
{
    struct espresso_physics physics;
    espresso_physics_init(&physics);
    struct rng rng;
    rng_init(&rng, 1);
    struct espresso_outputs out = {.picker_steps_s = 500, .inserter_steps_s = 500, .head = 1};
    double picker = physics.picker_steps;
    espresso_physics_step(&physics, &out, 1000, &rng);
    CHECK(physics.picker_steps == picker && physics.head == 0.0);
}
