/* Board and physics in one loop, for the window tests.  The rules that always hold are checked
 * after every step. */
#ifndef TESTS_MACHINE_WINDOW_SIM_H
#define TESTS_MACHINE_WINDOW_SIM_H

#include <string.h>

#include "kit/kit.h"
#include "machine/window/window.h"
#include "machine/window/window_physics.h"

/* The room links no mathematics, and neither do its tests. */
static inline double size_of(double value)
{
    return value < 0.0 ? -value : value;
}

static inline double least(double a, double b)
{
    return a < b ? a : b;
}

static inline double most(double a, double b)
{
    return a > b ? a : b;
}

struct sim {
    struct window board;
    struct window_physics physics;
    struct rng rng;
    uint32_t dt_ms;
    uint64_t now_ms;

    /* for the next step */
    enum window_request request;
    struct window_order order;

    /* what was seen */
    struct window_input in;
    uint32_t results, samples;
    struct window_result result;
    uint32_t visited; /* bits of states */
    double speed_max; /* of the sash, mm/s, while MOVING */
    double x_min, x_max;
};

static inline void sim_rules(const struct sim *sim, const struct window *before)
{
    const struct window *w = &sim->board;
    bool moves = w->state >= WINDOW_HOMING && w->state <= WINDOW_BACKING_OFF;
    if (!moves || sim->in.estop)
        CHECK(window_outputs_off(&w->outputs));
    if (w->state == WINDOW_MOVING || w->state == WINDOW_SEALING)
        CHECK(w->calibrated); /* nothing is sent anywhere before the ends are known */
    int32_t fastest = w->calibration.speed_mm_s * 1200;
    CHECK(w->outputs.speed_um_s <= fastest && w->outputs.speed_um_s >= -fastest);
    int32_t limit = w->calibration.speed_mm_s * 1000;
    CHECK(w->reference_um_s <= limit && w->reference_um_s >= -limit);
    if (before->state == w->state && w->state == WINDOW_MOVING) {
        int32_t change = w->reference_um_s - before->reference_um_s;
        int32_t gain = w->calibration.accel_mm_s2 * (int32_t)sim->dt_ms;
        CHECK(change <= gain + 1 && change >= -gain - 1);
    }
    if (w->result_ready)
        CHECK(w->result.outcome != WINDOW_OUTCOME_NONE && !w->active);
    CHECK(!(w->result_ready && before->active == w->active && before->active));
}

static inline void sim_step(struct sim *sim)
{
    window_physics_step(&sim->physics, &sim->board.outputs, sim->dt_ms, &sim->rng);
    sim->in = window_physics_read(&sim->physics);
    sim->in.request = sim->request;
    sim->in.order = &sim->order;
    struct window before = sim->board;
    sim->board = window_step(sim->board, sim->in, sim->dt_ms);
    sim->request = WINDOW_REQUEST_NONE;
    sim->now_ms += sim->dt_ms;
    sim->visited |= 1U << sim->board.state;
    sim->samples += sim->board.sample_ready;
    if (sim->board.result_ready) {
        sim->results++;
        sim->result = sim->board.result;
    }
    if (sim->board.state == WINDOW_MOVING && size_of(sim->physics.v_mm_s) > sim->speed_max)
        sim->speed_max = size_of(sim->physics.v_mm_s);
    sim->x_min = least(sim->x_min, sim->physics.x_mm);
    sim->x_max = most(sim->x_max, sim->physics.x_mm);
    sim_rules(sim, &before);
}

static inline void sim_run(struct sim *sim, uint64_t ms)
{
    for (uint64_t end_ms = sim->now_ms + ms; sim->now_ms < end_ms;)
        sim_step(sim);
}

static inline void sim_init(struct sim *sim, uint64_t seed, uint32_t dt_ms)
{
    memset(sim, 0, sizeof(*sim));
    rng_init(&sim->rng, seed);
    window_init(&sim->board, NULL);
    window_physics_init(&sim->physics);
    sim->dt_ms = dt_ms;
    sim->x_min = 1e9;
    sim->x_max = -1e9;
    sim_run(sim, 100);
}

static inline void sim_start(struct sim *sim, int32_t position_mpct)
{
    sim->request = WINDOW_REQUEST_MOVE;
    sim->order.position_mpct = position_mpct;
    sim->visited = sim->results = sim->samples = 0;
    sim_step(sim);
}

/* Until the order's result, or a minute; then the sash comes to rest. */
static inline struct window_result sim_finish(struct sim *sim)
{
    for (uint64_t end_ms = sim->now_ms + 60000; sim->results == 0 && sim->now_ms < end_ms;)
        sim_step(sim);
    CHECK_EQ(sim->results, 1);
    sim_run(sim, 2000);
    CHECK_EQ(sim->results, 1);
    return sim->result;
}

static inline struct window_result sim_move(struct sim *sim, int32_t position_mpct)
{
    sim_start(sim, position_mpct);
    return sim_finish(sim);
}

static inline void sim_until(struct sim *sim, enum window_state state)
{
    for (uint64_t end_ms = sim->now_ms + 60000; sim->board.state != state && sim->now_ms < end_ms;)
        sim_step(sim);
    CHECK_EQ(sim->board.state, state);
}

static inline void sim_expect(struct window_result result, enum window_outcome outcome,
                              enum window_code code)
{
    CHECK_STR(window_code_name(result.code), window_code_name(code));
    CHECK_STR(window_outcome_name(result.outcome), window_outcome_name(outcome));
}

/* A window that has been to 50 %. */
static inline void sim_calibrated(struct sim *sim, uint64_t seed)
{
    sim_init(sim, seed, 10);
    sim_expect(sim_move(sim, 50000), WINDOW_OUTCOME_COMPLETE, WINDOW_OK);
}

#endif
