/* Inside of the room on a fast clock. */
#ifndef AUTOMAT_CLIMATE_TEACH_INT_H
#define AUTOMAT_CLIMATE_TEACH_INT_H

#include "climate/climate_teach.h"

#define SENSE_MS    ((uint32_t)CLIMATE_SENSE_S * 1000)
#define SPEED_PCT_S 4.0 /* of the window */

struct sim {
    struct window_room room;
    struct rng sense;
    double position_pct, target_pct;
    uint64_t end_ms;
    uint32_t moves;
    double travel_pct;
};
int64_t climate_sim_now_ms(const struct sim *sim); /* for the trigger's rules */
void climate_sim_begin(struct sim *sim, uint64_t seed, uint32_t hours);
bool climate_sim_over(const struct sim *sim);
struct climate_features climate_sim_sense(struct sim *sim);
/* Move and live for CLIMATE_SENSE_S seconds. */
void climate_sim_step(struct sim *sim, double target_pct, struct window_comfort_total *total);

/* practice.c */
#define PRACTICE_WEIGHT                                                                            \
    100 /* a step takes as long as so many days of watching, for the progress                      \
         */
uint32_t climate_practice_steps(const struct climate_lesson_plan *plan);
MUST_USE enum err climate_practice(struct climate_model *model,
                                   const struct climate_lesson_plan *plan, uint32_t days,
                                   uint32_t done, uint32_t all);

/* model_train.c: only the spread is learned anew, around a mean that practice moved. */
MUST_USE enum err climate_model_refit_spread(struct climate_model *model,
                                             const struct climate_sample *samples, size_t count,
                                             uint64_t seed);

#endif
