/* The lessons: a thermostat shows how it is done, practice makes it better, and at last the model
 * learns how far its own word may be trusted.
 *
 * A teacher with foresight (one that tries every position in a copy of the room) was tried and is
 * not here: it keeps the room better than anything else, but for reasons that temperature, humidity
 * and sound do not show, and a student that imitates it without seeing them does worse than a
 * thermostat.  See docs/window-model.md. */
#include "climate/teach_int.h"

#include <math.h>
#include <string.h>

#define DAYS          40
#define SAMPLE_STEPS  6  /* one sample a minute */
#define MEAN_STEPS    60 /* a lesson is the mean of the next ten minutes */
#define DAY_STEPS     (14 * 3600 / CLIMATE_SENSE_S)
#define DAY_SAMPLES   (DAY_STEPS / SAMPLE_STEPS)
#define SLIP_CHANCE   0.004
#define SLIP_STEPS    40
#define LESSON_EPOCHS 25

struct school {
    const struct climate_lesson_plan *plan;
    struct climate_sample *sample;
    size_t count, most;
    struct rng rng;
    uint32_t done, all;
    struct climate_features features[DAY_STEPS]; /* of the day in hand */
    double said[DAY_STEPS];
    uint32_t steps;
};

static bool report(struct school *school, const char *what)
{
    school->done++;
    return school->plan->progress == NULL ||
           school->plan->progress(school->plan->cookie, what, school->done, school->all);
}

/* One day, steered by `controller`; now and then the window stands anywhere for a while, so that
 * more of the room is seen than one who steers well ever sees. */
static void live_day(struct school *school, uint64_t seed,
                     const struct climate_controller *controller, bool slips)
{
    struct sim sim;
    uint32_t slip = 0;
    double anywhere = 0, said = 0;
    climate_sim_begin(&sim, seed, 24);
    controller->begin(controller->self);
    for (school->steps = 0; !climate_sim_over(&sim) && school->steps < DAY_STEPS; school->steps++) {
        struct climate_features features = climate_sim_sense(&sim);
        said = controller->position(controller->self, &features, climate_sim_now_ms(&sim), said);
        school->features[school->steps] = features;
        school->said[school->steps] = said;
        if (slips && slip == 0 && rng_chance(&school->rng, SLIP_CHANCE)) {
            slip = SLIP_STEPS;
            anywhere = 100 * rng_unit(&school->rng);
        }
        climate_sim_step(&sim, slip > 0 ? anywhere : said, NULL);
        slip -= slip > 0;
    }
}

/* What was said in the ten minutes from a moment on is the answer for that moment: the share of
 * time a thermostat has the window open becomes how far it is open. */
static void note_day(struct school *school)
{
    for (uint32_t at = 0; at + MEAN_STEPS < school->steps; at += SAMPLE_STEPS) {
        double sum = 0;
        for (uint32_t i = 0; i < MEAN_STEPS; i++)
            sum += school->said[at + i];
        if (school->count < school->most)
            school->sample[school->count++] = (struct climate_sample){
                .features = school->features[at], .position_pct = sum / MEAN_STEPS};
    }
}

static enum err live_days(struct school *school, const struct climate_controller *controller,
                          uint32_t days, bool slips, const char *what)
{
    school->count = 0;
    for (uint32_t day = 0; day < days; day++) {
        live_day(school, CLIMATE_SEED_TRAIN + day, controller, slips);
        note_day(school);
        if (!report(school, what))
            return ERR_CLOSED;
    }
    return ERR_OK;
}

static enum err attend(struct school *school, struct climate_model *model, uint32_t days)
{
    uint32_t practice = climate_practice_steps(school->plan);
    struct climate_thermostat thermostat = {21.3, 21.1, 100, false};
    struct climate_controller shows = climate_thermostat_controller(&thermostat);
    struct climate_pilot pilot = {.model = model, .confidence_min = CLIMATE_ANY_CONFIDENCE};
    struct climate_controller itself = climate_pilot_controller(&pilot);
    enum err err = live_days(school, &shows, days, true, "watching a thermostat");
    if (err == ERR_OK)
        err = climate_model_fit(
            model, school->sample, school->count,
            &(struct climate_fit){.epochs = LESSON_EPOCHS, .seed = school->plan->seed});
    if (err == ERR_OK && practice > 0)
        err = climate_practice(model, school->plan, days, school->done, school->all);
    school->done += PRACTICE_WEIGHT * practice;
    if (err == ERR_OK)
        err = live_days(school, &itself, days, false, "examining itself");
    if (err == ERR_OK)
        err = climate_model_refit_spread(model, school->sample, school->count, school->plan->seed);
    return err;
}

enum err climate_teach(struct climate_model *model, const struct climate_lesson_plan *plan)
{
    uint32_t days = plan->seeds != 0 ? plan->seeds : DAYS;
    struct school *school = mem_zalloc(sizeof(*school));
    if (school == NULL)
        return ERR_NOMEM;
    school->plan = plan;
    school->most = (size_t)days * DAY_SAMPLES;
    school->all = 2 * days + PRACTICE_WEIGHT * climate_practice_steps(plan);
    school->sample = mem_alloc(school->most * sizeof(*school->sample));
    rng_init(&school->rng, plan->seed);
    enum err err = school->sample != NULL ? attend(school, model, days) : ERR_NOMEM;
    mem_free(school->sample);
    mem_free(school);
    return err;
}
