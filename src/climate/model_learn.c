/* Learning from people without forgetting: every setting by hand is replayed among what the model
 * was taught before (A. Robins, "Catastrophic forgetting, rehearsal and pseudorehearsal", 1995: the
 * lessons carry the answers the shipped model gave, so drift does not add up over versions).  A new
 * model is adopted only when it passes the gate. */
#include "climate/model_int.h"

#include <math.h>
#include <string.h>

#define LEARN_STEPS   2000
#define LEARN_CHUNK   20 /* after so many it is looked whether it forgets */
#define LEARN_BATCH   24
#define LEARN_RATE    0.006
#define TAUGHT_WEIGHT 2 /* against a setting by hand */
/* A lesson this near (scaled) to a setting by hand gives way to it; further out it counts fully. */
#define GIVE_WAY 1.8
/* Points that a new version may be worse. */
#define WORSE_TAUGHT   6.0
#define WORSE_HELD_OUT 1.0
#define DRIFT_MAX      9.0 /* from the lessons, over all versions */

const char *climate_verdict_text(enum climate_verdict verdict)
{
    switch (verdict) {
    case CLIMATE_ADOPT:
        return "adopted";
    case CLIMATE_WORSE_ON_TAUGHT:
        return "discarded: it forgot too much of what it was taught before";
    case CLIMATE_WORSE_ON_HELD_OUT:
        return "discarded: it does worse on settings by hand that it was not shown";
    case CLIMATE_NOT_LEARNED:
        return "discarded: it fits the settings by hand no better than before";
    case CLIMATE_NOT_FINITE:
        return "discarded: training did not end in numbers";
    }
    return "discarded";
}

struct learn_run {
    struct climate_model *model;
    struct model_example person[CLIMATE_SAMPLES_LEARN_MAX], taught[CLIMATE_LESSONS_TAUGHT];
    struct climate_sample held_out[CLIMATE_SAMPLES_LEARN_MAX];
    struct climate_sample shown[CLIMATE_SAMPLES_LEARN_MAX];
    size_t person_count, taught_count, held_out_count;
};

static bool examines(const struct climate_sample *sample)
{
    return sample->sample_id % CLIMATE_VALIDATE_EVERY == 0;
}

static void take_samples(struct learn_run *run, const struct climate_sample *samples, size_t count)
{
    size_t from = count > CLIMATE_SAMPLES_LEARN_MAX ? count - CLIMATE_SAMPLES_LEARN_MAX : 0;
    for (size_t n = from; n < count; n++) {
        if (!climate_features_valid(&samples[n].features) ||
            !(samples[n].position_pct >= 0 && samples[n].position_pct <= 100))
            continue;
        if (examines(&samples[n])) {
            run->held_out[run->held_out_count++] = samples[n];
            continue;
        }
        struct model_example *example = &run->person[run->person_count];
        run->shown[run->person_count++] = samples[n];
        climate_model_scale(run->model, &samples[n].features, example->x);
        example->y = samples[n].position_pct / 100;
        example->weight = 1;
    }
}

static void take_lessons(struct learn_run *run)
{
    for (uint32_t i = 0; i < run->model->about.lessons; i++) {
        const struct model_lesson *lesson = &run->model->lesson[i];
        double nearest = INFINITY;
        if (lesson->by_hand)
            continue;
        for (size_t n = 0; n < run->person_count; n++)
            nearest = fmin(nearest, climate_model_distance(lesson->x, run->person[n].x));
        struct model_example *example = &run->taught[run->taught_count++];
        memcpy(example->x, lesson->x, sizeof(example->x));
        example->y = lesson->y;
        example->weight = TAUGHT_WEIGHT * (1 - exp(-(nearest / GIVE_WAY) * (nearest / GIVE_WAY)));
    }
}

/* What was set by hand is known from now on: the newest of it takes the place of the older. */
static void keep_by_hand(struct learn_run *run)
{
    struct climate_model *model = run->model;
    uint32_t taught = 0;
    while (taught < model->about.lessons && !model->lesson[taught].by_hand)
        taught++;
    size_t from =
        run->person_count > CLIMATE_LESSONS_PEOPLE ? run->person_count - CLIMATE_LESSONS_PEOPLE : 0;
    model->about.lessons = taught;
    for (size_t n = from; n < run->person_count; n++) {
        struct model_lesson *lesson = &model->lesson[model->about.lessons++];
        memcpy(lesson->x, run->person[n].x, sizeof(lesson->x));
        lesson->y = run->person[n].y;
        lesson->by_hand = true;
    }
}

/* Weighted by how far each lesson is from what people set. */
static double taught_error(const struct learn_run *run, const struct climate_model *model)
{
    double sum = 0, weight = 0;
    for (size_t n = 0; n < run->taught_count; n++) {
        struct model_pass pass;
        climate_model_forward(&model->weights, run->taught[n].x, &pass);
        sum += run->taught[n].weight * fabs(pass.mean - run->taught[n].y) * 100;
        weight += run->taught[n].weight;
    }
    return weight > 1e-9 ? sum / weight : (double)NAN;
}

static void learn_chunk(struct learn_run *run, struct model_trainer *trainer, struct rng *rng)
{
    struct model_weights gradient;
    for (uint32_t step = 0; step < LEARN_CHUNK; step++) {
        double weight = 0;
        memset(&gradient, 0, sizeof(gradient));
        for (uint32_t n = 0; n < LEARN_BATCH; n++) {
            const struct model_example *example;
            if (n % 3 == 0 || run->taught_count == 0)
                example = &run->person[rng_below(rng, (uint32_t)run->person_count)];
            else
                example = &run->taught[rng_below(rng, (uint32_t)run->taught_count)];
            weight += example->weight;
            (void)climate_model_gradient(&run->model->weights, example, &gradient);
        }
        climate_model_step(trainer, &run->model->weights, &gradient, weight);
    }
}

/* As far as it goes without forgetting more than `taught_most`. */
static void train(struct learn_run *run, double taught_most, uint64_t seed)
{
    struct model_trainer trainer = {.rate = LEARN_RATE};
    struct model_weights best = run->model->weights;
    double best_error = INFINITY;
    struct rng rng;
    rng_init(&rng, seed);
    for (uint32_t step = 0; step < LEARN_STEPS; step += LEARN_CHUNK) {
        /* Gently at first: before Adam knows the slopes its steps are as long as they may be. */
        double warm = fmin(1, (step + LEARN_CHUNK) / (0.1 * LEARN_STEPS));
        trainer.rate = LEARN_RATE * warm * (1 - 0.9 * step / LEARN_STEPS);
        learn_chunk(run, &trainer, &rng);
        double error = climate_model_error(run->model, run->shown, run->person_count);
        bool forgets = taught_error(run, run->model) > taught_most;
        /* The first is kept in any case: there must be something to judge. */
        if (step > 0 && (forgets || !(error < best_error)))
            continue;
        best = run->model->weights;
        best_error = forgets ? INFINITY : error;
    }
    run->model->weights = best;
}

static enum climate_verdict judge(const struct climate_gate *gate,
                                  const struct climate_model *model)
{
    if (!climate_model_finite(model))
        return CLIMATE_NOT_FINITE;
    /* A comparison with NaN (none of the kind) is false: nothing to object to. */
    if (gate->taught_after > gate->taught_before + WORSE_TAUGHT || gate->taught_after > DRIFT_MAX)
        return CLIMATE_WORSE_ON_TAUGHT;
    if (gate->held_out_after > gate->held_out_before + WORSE_HELD_OUT)
        return CLIMATE_WORSE_ON_HELD_OUT;
    if (gate->shown_after > gate->shown_before + 0.5)
        return CLIMATE_NOT_LEARNED;
    return CLIMATE_ADOPT;
}

enum err climate_model_learn(const struct climate_model *model,
                             const struct climate_sample *samples, size_t count, uint64_t seed,
                             struct climate_gate *ret_gate, struct climate_model **ret_model)
{
    struct climate_model *candidate = NULL;
    struct learn_run *run = mem_zalloc(sizeof(*run));
    enum err err = run != NULL ? climate_model_copy(model, &candidate) : ERR_NOMEM;
    if (err != ERR_OK)
        goto out;
    run->model = candidate;
    take_samples(run, samples, count);
    if (run->person_count == 0) {
        err = ERR_AGAIN;
        goto out;
    }
    take_lessons(run);
    struct climate_gate gate = {
        .shown_before = climate_model_error(model, run->shown, run->person_count),
        .held_out_before = climate_model_error(model, run->held_out, run->held_out_count),
        .taught_before = taught_error(run, model)};
    train(run, fmin(fmax(gate.taught_before, 0) + WORSE_TAUGHT, DRIFT_MAX), seed);
    gate.shown_after = climate_model_error(candidate, run->shown, run->person_count);
    gate.held_out_after = climate_model_error(candidate, run->held_out, run->held_out_count);
    gate.taught_after = taught_error(run, candidate);
    keep_by_hand(run);
    gate.verdict = judge(&gate, candidate);
    *ret_gate = gate;
    *ret_model = candidate;
    candidate = NULL;

out:
    climate_model_destroy(candidate);
    mem_free(run);
    return err;
}
