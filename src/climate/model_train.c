/* The network backward, and training from nothing. */
#include "climate/model_int.h"
#include "climate/teach_int.h"

#include <math.h>
#include <string.h>

#define BATCH        32
#define EPOCHS       60
#define RATE         0.01
#define SAMPLES_MIN  16
#define GRADIENT_MAX 4.0

/* The mean learns by squared error, the variance by the likelihood of a Gaussian given that mean.
 * Letting the likelihood train both makes the network call hard regions noisy instead of learning
 * them (M. Seitzer et al., "On the pitfalls of heteroscedastic uncertainty estimation", 2022). */
double climate_model_gradient(const struct model_weights *weights,
                              const struct model_example *example, struct model_weights *gradient)
{
    struct model_pass pass;
    double out[OUTPUTS];
    climate_model_forward(weights, example->x, &pass);
    double error = pass.mean - example->y;
    double precision = exp(-pass.log_variance);
    out[0] = example->weight * 8 * error * pass.mean * (1 - pass.mean);
    out[1] = example->weight * 0.5 * (1 - error * error * precision);
    /* Beyond its clamp the variance may come back, not go further. */
    if (pass.clamped && (pass.log_variance <= LOG_VARIANCE_MIN) == (out[1] > 0))
        out[1] = 0;
    for (size_t j = 0; j < CLIMATE_HIDDEN; j++) {
        double back = 0;
        for (size_t k = 0; k < OUTPUTS; k++) {
            gradient->output[k][j] += out[k] * pass.hidden[j];
            back += out[k] * weights->output[k][j];
        }
        back *= 1 - pass.hidden[j] * pass.hidden[j];
        gradient->hidden_bias[j] += back;
        for (size_t i = 0; i < CLIMATE_FEATURES; i++)
            gradient->hidden[j][i] += back * example->x[i];
    }
    for (size_t k = 0; k < OUTPUTS; k++)
        gradient->output_bias[k] += out[k];
    return fabs(error) * 100;
}

void climate_model_step(struct model_trainer *trainer, struct model_weights *weights,
                        struct model_weights *gradient, double batch_weight)
{
    double *w = climate_model_flat(weights), *g = climate_model_flat(gradient);
    double *mean = climate_model_flat(&trainer->mean);
    double *square = climate_model_flat(&trainer->square);
    double norm = 0;
    for (size_t i = 0; i < MODEL_WEIGHTS; i++) {
        g[i] /= fmax(batch_weight, 1e-9);
        norm += g[i] * g[i];
    }
    norm = sqrt(norm);
    double shrink = norm > GRADIENT_MAX ? GRADIENT_MAX / norm : 1;
    trainer->step++;
    double mean_full = 1 - pow(0.9, trainer->step), square_full = 1 - pow(0.999, trainer->step);
    for (size_t i = 0; i < MODEL_WEIGHTS; i++) {
        double slope = g[i] * shrink;
        mean[i] += 0.1 * (slope - mean[i]);
        square[i] += 0.001 * (slope * slope - square[i]);
        w[i] -= trainer->rate * (mean[i] / mean_full) / (sqrt(square[i] / square_full) + 1e-8);
    }
}

/* ---- scaling and lessons ---- */

static void fit_scale(struct climate_model *model, const struct climate_sample *samples,
                      size_t count)
{
    double sum[CLIMATE_FEATURES] = {0}, square[CLIMATE_FEATURES] = {0}, raw[CLIMATE_FEATURES];
    for (size_t n = 0; n < count; n++) {
        climate_model_raw(&samples[n].features, raw);
        for (size_t i = 0; i < CLIMATE_FEATURES; i++)
            sum[i] += raw[i];
    }
    for (size_t i = 0; i < CLIMATE_FEATURES; i++)
        model->centre[i] = sum[i] / (double)count;
    for (size_t n = 0; n < count; n++) {
        climate_model_raw(&samples[n].features, raw);
        for (size_t i = 0; i < CLIMATE_FEATURES; i++)
            square[i] += (raw[i] - model->centre[i]) * (raw[i] - model->centre[i]);
    }
    for (size_t i = 0; i < CLIMATE_FEATURES; i++)
        model->scale[i] = fmax(sqrt(square[i] / (double)count), 1e-3);
}

/* Each next lesson is the sample furthest from those chosen so far (T. Gonzalez, "Clustering to
 * minimize the maximum intercluster distance", 1985): few points that leave no sample far away. */
static void choose_lessons(struct climate_model *model, const struct climate_sample *samples,
                           size_t count, double *distance)
{
    size_t chosen = 0;
    for (size_t n = 0; n < count; n++)
        distance[n] = INFINITY;
    model->about.lessons = 0;
    while (model->about.lessons < CLIMATE_LESSONS_TAUGHT) {
        struct model_lesson *lesson = &model->lesson[model->about.lessons++];
        double x[CLIMATE_FEATURES];
        climate_model_scale(model, &samples[chosen].features, lesson->x);
        lesson->by_hand = false;
        size_t furthest = 0;
        for (size_t n = 0; n < count; n++) {
            climate_model_scale(model, &samples[n].features, x);
            distance[n] = fmin(distance[n], climate_model_distance(x, lesson->x));
            furthest = distance[n] > distance[furthest] ? n : furthest;
        }
        model->reach = distance[furthest];
        chosen = furthest;
        if (model->reach <= 0)
            break; /* fewer different samples than lessons */
    }
}

/* ---- the loop ---- */

struct fit_run {
    struct climate_model *model;
    struct model_example *example;
    size_t count;
    struct model_trainer trainer;
    struct rng rng;
};

static double fit_epoch(struct fit_run *run)
{
    struct model_weights gradient;
    double error = 0, weight = 0;
    for (size_t n = run->count - 1; n > 0; n--) {
        size_t other = rng_below(&run->rng, (uint32_t)n + 1);
        struct model_example swap = run->example[n];
        run->example[n] = run->example[other];
        run->example[other] = swap;
    }
    memset(&gradient, 0, sizeof(gradient));
    for (size_t n = 0; n < run->count; n++) {
        error += climate_model_gradient(&run->model->weights, &run->example[n], &gradient);
        weight += run->example[n].weight;
        if ((n + 1) % BATCH != 0 && n + 1 != run->count)
            continue;
        climate_model_step(&run->trainer, &run->model->weights, &gradient, weight);
        memset(&gradient, 0, sizeof(gradient));
        weight = 0;
    }
    return error / (double)run->count;
}

static enum err fit_all(struct fit_run *run, const struct climate_fit *fit)
{
    uint32_t epochs = fit->epochs != 0 ? fit->epochs : EPOCHS;
    double rate = fit->rate > 0 ? fit->rate : RATE;
    for (uint32_t epoch = 0; epoch < epochs; epoch++) {
        run->trainer.rate = rate * pow(0.05, (double)epoch / epochs);
        double error = fit_epoch(run);
        if (fit->progress != NULL && !fit->progress(fit->cookie, epoch + 1, epochs, error))
            return ERR_CLOSED;
    }
    return climate_model_finite(run->model) ? ERR_OK : ERR_INPUT;
}

static void take_examples(const struct climate_model *model, const struct climate_sample *samples,
                          size_t count, struct model_example *ret_example)
{
    for (size_t n = 0; n < count; n++) {
        climate_model_scale(model, &samples[n].features, ret_example[n].x);
        ret_example[n].y = samples[n].position_pct / 100;
        ret_example[n].weight = 1;
    }
}

/* What a lesson teaches later is what the finished model says there. */
static void answer_lessons(struct climate_model *model)
{
    for (uint32_t i = 0; i < model->about.lessons; i++) {
        struct model_pass pass;
        climate_model_forward(&model->weights, model->lesson[i].x, &pass);
        model->lesson[i].y = pass.mean;
    }
}

enum err climate_model_refit_spread(struct climate_model *model,
                                    const struct climate_sample *samples, size_t count,
                                    uint64_t seed)
{
    struct model_weights kept = model->weights;
    struct fit_run run = {.model = model, .count = count, .trainer = {.rate = 0.01}};
    run.example = mem_alloc(count * sizeof(*run.example));
    if (run.example == NULL)
        return ERR_NOMEM;
    rng_init(&run.rng, seed);
    take_examples(model, samples, count, run.example);
    for (uint32_t epoch = 0; epoch < EPOCHS / 3; epoch++) {
        (void)fit_epoch(&run);
        /* Everything but the way to the spread goes back to what it was. */
        memcpy(kept.output[1], model->weights.output[1], sizeof(kept.output[1]));
        kept.output_bias[1] = model->weights.output_bias[1];
        model->weights = kept;
    }
    answer_lessons(model);
    mem_free(run.example);
    return climate_model_finite(model) ? ERR_OK : ERR_INPUT;
}

enum err climate_model_fit(struct climate_model *model, const struct climate_sample *samples,
                           size_t count, const struct climate_fit *fit)
{
    if (count < SAMPLES_MIN || count > UINT32_MAX / 2)
        return ERR_INPUT;
    for (size_t n = 0; n < count; n++) {
        if (!climate_features_valid(&samples[n].features) ||
            !(samples[n].position_pct >= 0 && samples[n].position_pct <= 100))
            return ERR_INPUT;
    }
    struct fit_run run = {.model = model, .count = count};
    double *distance = mem_alloc(count * sizeof(*distance));
    run.example = mem_alloc(count * sizeof(*run.example));
    enum err err = distance != NULL && run.example != NULL ? ERR_OK : ERR_NOMEM;
    if (err == ERR_OK) {
        rng_init(&run.rng, fit->seed);
        fit_scale(model, samples, count);
        choose_lessons(model, samples, count, distance);
        take_examples(model, samples, count, run.example);
        err = fit_all(&run, fit);
    }
    if (err == ERR_OK)
        answer_lessons(model);
    model->about.samples = count;
    mem_free(distance);
    mem_free(run.example);
    return err;
}
