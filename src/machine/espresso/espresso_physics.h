/* machine/espresso physics: a capsule accessory and the coffee machine behind it, for the twin and
 * for tests.
 *
 * Deterministic: the same seed, outputs and steps give the same readings.  Freestanding; doubles
 * inside, whole units at the door.  What it measures is simulated and must be shown as such. */
#ifndef AUTOMAT_MACHINE_ESPRESSO_PHYSICS_H
#define AUTOMAT_MACHINE_ESPRESSO_PHYSICS_H

#include "machine/espresso/espresso.h"

/* Faults, as bits.  Set and cleared at any time in `faults`. */
enum espresso_fault {
    ESPRESSO_FAULT_JAM_PICK =
        1 << 0, /* "jam_pick": the picker's carriage does not get away from home */
    ESPRESSO_FAULT_JAM_INSERT = 1 << 1,     /* "jam_insert" */
    ESPRESSO_FAULT_HEAD_OPEN = 1 << 2,      /* "head_open": the head does not close */
    ESPRESSO_FAULT_BUTTON_DEAD = 1 << 3,    /* "button_dead" */
    ESPRESSO_FAULT_MAGAZINE_EMPTY = 1 << 4, /* "magazine_empty" */
    ESPRESSO_FAULT_WATER_LOW = 1 << 5,      /* "water_low" */
    ESPRESSO_FAULT_SENSOR_STUCK =
        1 << 6, /* "sensor_stuck": the current sensor repeats its last reading */
    ESPRESSO_FAULT_PUMP_TIMEOUT = 1 << 7,     /* "pump_timeout": the pump does not stop by itself */
    ESPRESSO_FAULT_ESTOP = 1 << 8,            /* "estop" */
    ESPRESSO_FAULT_OVER_TEMPERATURE = 1 << 9, /* "over_temperature" */
};
#define ESPRESSO_FAULT_COUNT 10
const char *
espresso_fault_name(enum espresso_fault fault); /* NULL for anything but one of the bits */
/* 0 when the name is not one of ours (it may be the device's or the network's). */
uint32_t espresso_fault_from(struct str name);

struct espresso_physics {
    uint32_t faults;   /* bits of enum espresso_fault */
    double jam_chance; /* per pick and per insertion, 0..1; 0 by default */
    bool flow_meter;   /* true by default */

    /* where things are */
    double picker_steps, inserter_steps;
    double head; /* 0 open, 1 closed */
    double servo_mdeg;
    bool button_down;
    bool carriage_loaded, chamber_loaded;
    enum espresso_capsule_type carriage_type, chamber_type;
    bool chamber_pierced;
    bool jam_picker, jam_inserter; /* this travel got stuck */
    uint32_t used_capsule_count;
    struct espresso_magazine magazine;
    struct espresso_magazine magazine_read; /* what the sensors say of it: empty under that fault */
    bool picker_away, inserter_away; /* since the travel began; a jam is rolled once a travel */

    /* thermal block and water */
    double block_c, ambient_c, setpoint_c;
    double pid_integral, pid_last_c, heater_w;
    double tank_ml;
    bool pump_on;
    double pump_ms, pre_infusion_ms, target_ml;
    double pressure_bar, flow_mls; /* into the cup */
    double volume_ml;              /* in the cup, this brew */
    double puck_ml;                /* what the coffee has soaked up */
    double energy_j;
    int32_t current_ma;

    /* what really happened; for tests and for the record */
    uint32_t pump_starts;   /* brews that physically began */
    uint64_t pump_total_ms; /* time the pump ran */
    uint32_t button_presses, capsules_picked, capsules_inserted, capsules_ejected;

    uint64_t now_ms;
};

/* Axes at rest away from nothing, head open, block warm at 92 C, tank full, slots loaded with the
 * usual capsules. */
void espresso_physics_init(struct espresso_physics *physics);
/* `outputs` are held for `dt_ms`. */
void espresso_physics_step(struct espresso_physics *physics, const struct espresso_outputs *outputs,
                           uint32_t dt_ms, struct rng *rng);
/* What the board's sensors read now; request and order are left empty.  `magazine` points into
 * `physics`. */
struct espresso_input espresso_physics_read(const struct espresso_physics *physics);

#endif
