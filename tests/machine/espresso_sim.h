/* Board and physics in one loop, for the espresso tests. */
#ifndef TESTS_MACHINE_ESPRESSO_SIM_H
#define TESTS_MACHINE_ESPRESSO_SIM_H

#include <string.h>

#include "kit/kit.h"
#include "machine/espresso/espresso.h"
#include "machine/espresso/espresso_physics.h"

struct sim {
    struct espresso board;
    struct espresso_physics physics;
    struct rng rng;
    uint32_t dt_ms;
    uint64_t now_ms;

    /* for the next step */
    enum espresso_request request;
    struct espresso_order order;

    /* what was seen */
    struct espresso_input in;
    uint32_t results, samples;
    struct espresso_result result;
    uint32_t visited; /* bits of states */
    uint64_t trace;   /* a hash of all outputs and states */
};

static inline struct espresso_order sim_order(void)
{
    return (struct espresso_order){.recipe = espresso_recipe_preset()};
}

static inline void recipe_variant(struct espresso_recipe *recipe, const char *variant)
{
    memset(recipe->capsule_variant, 0, ESPRESSO_VARIANT_BYTES);
    CHECK_OK(str_copy(recipe->capsule_variant, ESPRESSO_VARIANT_BYTES, str_from(variant)));
}

/* What holds after every step, whatever happens. */
static inline void sim_rules(const struct sim *sim, const struct espresso *before)
{
    const struct espresso *m = &sim->board;
    const struct espresso_outputs *out = &m->outputs;
    if (m->state < ESPRESSO_HOMING || m->state > ESPRESSO_EJECTING)
        CHECK(espresso_outputs_off(out));
    if (sim->in.estop || sim->in.over_temperature)
        CHECK(espresso_outputs_off(out));
    if (out->picker_steps_s > 0 || out->inserter_steps_s > 0)
        CHECK(m->homed || m->state == ESPRESSO_EJECTING);
    if (out->servo_mdeg != 0) /* a press: nothing else moves */
        CHECK(out->picker_steps_s == 0 && out->inserter_steps_s == 0 && out->head == 0);
    CHECK(m->tally.button_presses <= 2 && m->stop_presses <= 2);
    CHECK(m->tally.pick_attempts <= 3 && m->tally.insert_attempts <= 3);
    CHECK(m->result_ready == (before->active && !m->active) ||
          sim->request == ESPRESSO_REQUEST_BREW);
    if (m->result_ready)
        CHECK(m->result.outcome != ESPRESSO_OUTCOME_NONE);
}

static inline void sim_hash(struct sim *sim, int32_t value)
{
    sim->trace = (sim->trace ^ (uint32_t)value) * 1099511628211ULL;
}

static inline void sim_step(struct sim *sim)
{
    espresso_physics_step(&sim->physics, &sim->board.outputs, sim->dt_ms, &sim->rng);
    sim->in = espresso_physics_read(&sim->physics);
    sim->in.request = sim->request;
    sim->in.order = &sim->order;
    struct espresso before = sim->board;
    sim->board = espresso_step(sim->board, sim->in, sim->dt_ms);
    sim_rules(sim, &before);
    sim->request = ESPRESSO_REQUEST_NONE;
    sim->now_ms += sim->dt_ms;
    sim->visited |= 1U << sim->board.state;
    if (sim->board.sample_ready)
        sim->samples++;
    if (sim->board.result_ready) {
        sim->results++;
        sim->result = sim->board.result;
    }
    const struct espresso_outputs *out = &sim->board.outputs;
    sim_hash(sim, (int32_t)sim->board.state);
    sim_hash(sim, out->picker_steps_s);
    sim_hash(sim, out->inserter_steps_s);
    sim_hash(sim, out->servo_mdeg);
    sim_hash(sim, out->head);
    sim_hash(sim, sim->in.current_ma);
    sim_hash(sim, sim->in.temperature_mc);
}

static inline void sim_run(struct sim *sim, uint64_t ms)
{
    for (uint64_t end_ms = sim->now_ms + ms; sim->now_ms < end_ms;)
        sim_step(sim);
}

/* A machine that has been on for a while, with `dt_ms` steps. */
static inline void sim_init(struct sim *sim, uint64_t seed, uint32_t dt_ms)
{
    memset(sim, 0, sizeof(*sim));
    rng_init(&sim->rng, seed);
    espresso_init(&sim->board, ESPRESSO_BOTH, NULL);
    espresso_physics_init(&sim->physics);
    sim->dt_ms = dt_ms;
    sim->order = sim_order();
    sim_run(sim, 2000);
}

static inline void sim_start(struct sim *sim)
{
    sim->request = ESPRESSO_REQUEST_BREW;
    sim->visited = sim->results = sim->samples = 0;
    sim_step(sim);
}

/* Until the order's result, or five minutes. */
static inline struct espresso_result sim_finish(struct sim *sim)
{
    for (uint64_t end_ms = sim->now_ms + 300000; sim->results == 0 && sim->now_ms < end_ms;)
        sim_step(sim);
    CHECK_EQ(sim->results, 1);
    sim_run(sim, 3000);
    CHECK_EQ(sim->results, 1);
    return sim->result;
}

static inline struct espresso_result sim_brew(struct sim *sim)
{
    sim_start(sim);
    return sim_finish(sim);
}

static inline void sim_until(struct sim *sim, enum espresso_state state)
{
    for (uint64_t end_ms = sim->now_ms + 300000; sim->board.state != state && sim->now_ms < end_ms;)
        sim_step(sim);
    CHECK_EQ(sim->board.state, state);
}

static inline void sim_expect(struct espresso_result result, enum espresso_outcome outcome,
                              enum espresso_code code)
{
    CHECK_STR(espresso_code_name(result.code), espresso_code_name(code));
    CHECK_STR(espresso_outcome_name(result.outcome), espresso_outcome_name(outcome));
}

#endif
