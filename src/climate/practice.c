/* Practice: what the model learned by imitation is improved by doing it.  Evolution strategies (T.
 * Salimans et al., "Evolution strategies as a scalable alternative to reinforcement learning",
 * 2017): the weights are shaken in pairs, each is judged by the comfort it keeps on some days of
 * the training seeds, and the weights go where it was better. */
#include "climate/model_int.h"
#include "climate/teach_int.h"

#include <math.h>
#include <string.h>

#define STEPS      160
#define PAIRS      12
#define DAYS_STEP  4
#define HOURS_STEP 64
#define SHAKE      0.08
#define RATE       0.03
#define EXAMINE    10 /* every so many steps the state is examined on all days, and the best kept */

/* Only what leads to the position: the spread is fitted afterwards. */
#define SHAKEN (CLIMATE_HIDDEN * CLIMATE_FEATURES + CLIMATE_HIDDEN + CLIMATE_HIDDEN + 1)

static double *shaken_at(struct model_weights *weights, size_t i)
{
    const size_t hidden = CLIMATE_HIDDEN * CLIMATE_FEATURES;
    if (i < hidden)
        return &weights->hidden[i / CLIMATE_FEATURES][i % CLIMATE_FEATURES];
    if (i < hidden + CLIMATE_HIDDEN)
        return &weights->hidden_bias[i - hidden];
    if (i < hidden + 2 * CLIMATE_HIDDEN)
        return &weights->output[0][i - hidden - CLIMATE_HIDDEN];
    return &weights->output_bias[0];
}

static double gauss(struct rng *rng)
{
    double a = fmax(rng_unit(rng), 1e-12);
    return sqrt(-2 * log(a)) * cos(6.283185307179586 * rng_unit(rng));
}

/* Single hours count twice, since a day forgives more; how far off it is breaks ties; travel and
 * heating count a little. */
static double judge(const struct climate_model *model, uint64_t first, uint32_t days,
                    uint32_t hours)
{
    struct climate_pilot pilot = {.model = model, .confidence_min = CLIMATE_ANY_CONFIDENCE};
    struct climate_controller steer = climate_pilot_controller(&pilot);
    struct climate_score day = climate_runs_judge(first, days, 24, &steer);
    struct climate_score hour = climate_runs_judge(first, hours, 1, &steer);
    return day.comfort + 2 * hour.comfort - 0.3 * (day.cost + hour.cost) - 0.0004 * day.travel -
           0.0005 * day.heating_kwh;
}

uint32_t climate_practice_steps(const struct climate_lesson_plan *plan)
{
    if (plan->practice == CLIMATE_NO_PRACTICE)
        return 0;
    return plan->practice != 0 ? plan->practice : STEPS;
}

struct practice {
    struct climate_model *model, *shaken;
    struct model_trainer trainer;
    struct rng rng;
    double noise[SHAKEN], gradient[SHAKEN];
};

static void one_pair(struct practice *practice, uint64_t first)
{
    double score[2];
    for (size_t i = 0; i < SHAKEN; i++)
        practice->noise[i] = gauss(&practice->rng);
    for (int side = 0; side < 2; side++) {
        practice->shaken->weights = practice->model->weights;
        for (size_t i = 0; i < SHAKEN; i++)
            *shaken_at(&practice->shaken->weights, i) +=
                (side == 0 ? SHAKE : -SHAKE) * practice->noise[i];
        score[side] = judge(practice->shaken, first, DAYS_STEP, HOURS_STEP);
    }
    for (size_t i = 0; i < SHAKEN; i++)
        practice->gradient[i] += (score[0] - score[1]) * practice->noise[i];
}

static void one_step(struct practice *practice, uint64_t first, double rate)
{
    struct model_weights gradient;
    memset(&gradient, 0, sizeof(gradient));
    memset(practice->gradient, 0, sizeof(practice->gradient));
    for (int pair = 0; pair < PAIRS; pair++)
        one_pair(practice, first);
    for (size_t i = 0; i < SHAKEN; i++)
        *shaken_at(&gradient, i) = -practice->gradient[i] / (2 * PAIRS * SHAKE);
    practice->trainer.rate = rate;
    climate_model_step(&practice->trainer, &practice->model->weights, &gradient, 1);
}

enum err climate_practice(struct climate_model *model, const struct climate_lesson_plan *plan,
                          uint32_t days, uint32_t done, uint32_t all)
{
    const uint32_t steps = climate_practice_steps(plan);
    struct practice *practice = mem_zalloc(sizeof(*practice));
    enum err err = practice != NULL ? climate_model_copy(model, &practice->shaken) : ERR_NOMEM;
    if (err != ERR_OK)
        goto out;
    practice->model = model;
    rng_init(&practice->rng, plan->seed ^ 0xe5);
    struct model_weights best = model->weights;
    double best_score = judge(model, CLIMATE_SEED_TRAIN, days, 8 * days);
    for (uint32_t step = 0; step < steps; step++) {
        uint64_t first = CLIMATE_SEED_TRAIN + days + rng_below(&practice->rng, 1000);
        one_step(practice, first, RATE * (1 - 0.8 * step / steps));
        if ((step + 1) % EXAMINE == 0 || step + 1 == steps) {
            double score = judge(model, CLIMATE_SEED_TRAIN, days, 8 * days);
            if (score > best_score) {
                best_score = score;
                best = model->weights;
            }
        }
        if (plan->progress != NULL &&
            !plan->progress(plan->cookie, "practising", done + PRACTICE_WEIGHT * (step + 1), all)) {
            err = ERR_CLOSED;
            break;
        }
    }
    model->weights = best;

out:
    if (practice != NULL)
        climate_model_destroy(practice->shaken);
    mem_free(practice);
    return err;
}
