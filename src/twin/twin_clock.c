/* Two clocks.  The board's runs `speed` times faster than the real one and is never behind it for
 * long: what the program counts on it are also the server's deadlines, and a clock that lags would
 * make it late without knowing. */
#include "twin/twin_int.h"

#define SLICE_MS       10  /* of the board's clock: finer than any control step */
#define BEHIND_REAL_MS 250 /* further behind than this, the program misses the time in between */
#define PHYSICS_MS     20  /* outputs are held so long at most in one go */
#define PHYSICS_MAX_MS 120000

static int64_t clock_target(const struct twin *twin)
{
    return (sys_mono_ms() - twin->real_start_ms) * (int64_t)twin->speed;
}

/* The metal holds what it was last told. */
static void physics_catch_up(struct twin *twin)
{
    if (twin->clock_ms - twin->physics_ms > PHYSICS_MAX_MS)
        twin->physics_ms = twin->clock_ms - PHYSICS_MAX_MS;
    while (twin->physics_ms < twin->clock_ms) {
        int64_t dt = twin->clock_ms - twin->physics_ms;
        if (dt > PHYSICS_MS)
            dt = PHYSICS_MS;
        twin->kind->step(twin->metal, (uint32_t)dt, &twin->rng);
        twin->physics_ms += dt;
        twin_record_starts(twin);
    }
}

void twin_clock_wait(struct twin *twin)
{
    int64_t target = clock_target(twin);
    if (target > twin->clock_ms)
        twin->clock_ms = target;
}

void twin_clock_run(struct twin *twin)
{
    int64_t target = clock_target(twin);
    int64_t behind_max = (int64_t)BEHIND_REAL_MS * twin->speed;
    if (target - twin->clock_ms > behind_max) {
        /* We were suspended, or this host is too slow.  The board sees the hole, as a board would
         * that was held up. */
        twin->clock_ms = target - behind_max;
        physics_catch_up(twin);
        twin_board_step(twin);
    }
    while (twin->clock_ms < target) {
        int64_t next = twin->clock_ms + SLICE_MS;
        if (twin->due_ms > twin->clock_ms && twin->due_ms < next)
            next = twin->due_ms;
        twin->clock_ms = next < target ? next : target;
        physics_catch_up(twin);
        if (twin->clock_ms >= twin->due_ms)
            twin_board_step(twin);
    }
    twin_sensors_run(twin);
}

void twin_clock_arm(struct twin *twin)
{
    int64_t wait_ms = (twin->due_ms - twin->clock_ms) / (int64_t)twin->speed;
    if (wait_ms < 1)
        wait_ms = 1;
    /* The physics must not fall too far behind, or catching up would hold up the loop. */
    if (wait_ms > 1000 / (int64_t)twin->speed + 1)
        wait_ms = 1000 / (int64_t)twin->speed + 1;
    loop_timer_set(twin->timer, loop_now_ms(twin->loop) + wait_ms);
}
