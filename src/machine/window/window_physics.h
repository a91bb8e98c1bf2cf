/* machine/window physics: motor, gear, sash, end switches and what may get in the way, for the twin
 * and for tests.  The room behind it is window_room.h.
 *
 * Deterministic: the same seed, outputs and steps give the same readings.  Freestanding; doubles
 * inside, whole units at the door.  What it measures is simulated and must be shown as such. */
#ifndef AUTOMAT_MACHINE_WINDOW_PHYSICS_H
#define AUTOMAT_MACHINE_WINDOW_PHYSICS_H

#include "machine/window/window.h"

/* Faults, as bits.  Set and cleared at any time in `faults`. */
enum window_fault {
    WINDOW_FAULT_OBSTACLE = 1 << 0, /* "obstacle": a hand in the gap, while it is wide enough */
    WINDOW_FAULT_ENDSTOP_STUCK = 1 << 1, /* "endstop_stuck": the closed switch stays pressed */
    WINDOW_FAULT_MOTOR_DEAD = 1 << 2,    /* "motor_dead": no current, no movement */
    WINDOW_FAULT_ENCODER_SLIP =
        1 << 3, /* "encoder_slip": every sixth count is lost on the way open */
    WINDOW_FAULT_SENSOR_STUCK = 1 << 4, /* "sensor_stuck": current, and the sensors of the room,
                                           repeat their last reading */
    WINDOW_FAULT_ESTOP = 1 << 5,        /* "estop" */
};
#define WINDOW_FAULT_COUNT 6
const char *window_fault_name(enum window_fault fault); /* NULL for anything but one of the bits */
uint32_t window_fault_from(struct str name);            /* 0: not one of ours */

struct window_physics {
    uint32_t faults; /* bits of enum window_fault */

    double x_mm, v_mm_s; /* sash; 0 at the edge of the closed switch */
    double force_n;      /* of the drive, along the travel, opening positive */
    double integral_n;   /* the driver's */
    double obstacle_mm;  /* what is in the gap ends here; below 0: nothing */
    double counts;       /* encoder since power-up */
    int32_t current_ma;
    bool estop_was;

    /* what really happened; for tests and for the record */
    double pinch_n_max; /* the hardest push against the obstacle */
    double end_n_max;   /* ... against an end of the travel */
    uint32_t travels;   /* motions that physically began */
    bool driven_was;
    uint64_t now_ms;
};

#define WINDOW_PHYSICS_TRAVEL_MM 404.0 /* between the edges: not quite what is expected */
#define WINDOW_PHYSICS_OVER_MM   4.0   /* from an edge to the end itself */

/* At rest, wherever it was left: a board has to find the ends first. */
void window_physics_init(struct window_physics *physics);
/* Power comes on: the encoder counts from zero. */
void window_physics_power(struct window_physics *physics);
/* `outputs` are held for `dt_ms`. */
void window_physics_step(struct window_physics *physics, const struct window_outputs *outputs,
                         uint32_t dt_ms, struct rng *rng);
/* What the board's sensors read now; request and order are left empty. */
struct window_input window_physics_read(const struct window_physics *physics);
/* Share of the free area, 0..1, for the room. */
double window_physics_opening(const struct window_physics *physics);

#endif
