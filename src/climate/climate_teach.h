/* climate_teach: the cafe room on a fast clock, to train the window model in, and to judge it and
 * others by.  Deterministic: the same seeds, the same figures, on one target.  Everything here is
 * simulated.
 *
 * One loop: the room (machine/window) is sensed every CLIMATE_SENSE_S seconds with a cheap sensor's
 * noise, a controller says where the window should be, and the window moves there at its speed. */
#ifndef AUTOMAT_CLIMATE_TEACH_H
#define AUTOMAT_CLIMATE_TEACH_H

#include "climate/climate_model.h"
#include "climate/climate_trigger.h"
#include "machine/window/window_room.h"

#define CLIMATE_SENSE_S 10
/* Weather and guests: seeds to teach with begin here, those to examine with there; and those that
 * nobody looks at before a model is finished. */
#define CLIMATE_SEED_TRAIN 1
#define CLIMATE_SEED_TEST  1000001
#define CLIMATE_SEED_FRESH 2000001

/* ---- judging ---- */
struct climate_controller {
    /* What the sensors say at `now_ms`, and where the window is bound for (0..100): where it shall
     * go. */
    double (*position)(void *self, const struct climate_features *features, int64_t now_ms,
                       double target_pct);
    void (*begin)(void *self); /* a new run */
    void *self;
};
struct climate_run {
    uint64_t seed;
    uint32_t hours; /* 24: from 6:00, a whole day of guests; else from an opening hour by seed */
};
struct climate_score {
    double comfort;                                 /* share of the counted time, 0..1 */
    double temperature, humidity, air, sound, cost; /* shares of the same; mean cost */
    uint32_t moves;
    double travel; /* of the window, in whole ways */
    double heating_kwh;
};
struct climate_score climate_run_judge(const struct climate_run *run,
                                       const struct climate_controller *controller);
/* Mean over `count` seeds from `first`. */
struct climate_score climate_runs_judge(uint64_t first, uint32_t count, uint32_t hours,
                                        const struct climate_controller *controller);

#define CLIMATE_ANY_CONFIDENCE 1e-9
/* The model, asked by the rules of climate_trigger.h, with low confidence and small moves held. */
struct climate_pilot {
    const struct climate_model *model;
    double confidence_min; /* 0: 0.6 */
    struct climate_trigger trigger;
    uint32_t questions, held;
};
struct climate_controller climate_pilot_controller(struct climate_pilot *pilot);

/* A thermostat: opens to `open_pct` above one threshold, shuts below the other. */
struct climate_thermostat {
    double open_above_c, shut_below_c, open_pct;
    bool is_open;
};
struct climate_controller climate_thermostat_controller(struct climate_thermostat *thermostat);
/* The best thresholds and opening for these seeds, by trying all of a grid. */
struct climate_thermostat climate_thermostat_tune(uint64_t first, uint32_t count, uint32_t hours,
                                                  bool (*progress)(void *cookie, const char *what,
                                                                   uint32_t done, uint32_t all),
                                                  void *cookie);

/* ---- teaching ---- */
struct climate_lesson_plan {
    uint32_t seeds;    /* days to learn from; 0: 40 */
    uint32_t practice; /* steps; 0: 160; CLIMATE_NO_PRACTICE: none */
    uint64_t seed;
    /* `what` is a constant; false stops: ERR_CLOSED.  May be NULL. */
    bool (*progress)(void *cookie, const char *what, uint32_t done, uint32_t all);
    void *cookie;
};
#define CLIMATE_NO_PRACTICE UINT32_MAX
/* Teaches `model` from the ground, in minutes: it imitates a thermostat, which gives it a start; it
 * practises, which lets it use humidity and sound, and be gentler; and it compares what it says at
 * one moment with what it says over ten minutes, which is its spread. */
MUST_USE enum err climate_teach(struct climate_model *model,
                                const struct climate_lesson_plan *plan);

#endif
