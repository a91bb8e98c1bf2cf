/* The network forward, and what an answer is worth. */
#include "climate/model_int.h"

#include "climate/climate_trigger.h"

#include <math.h>
#include <string.h>

#define SCALED_MAX   20.0 /* further out is not further away; keeps squares finite */
#define UNKNOWN_FADE 0.75 /* standard deviations beyond the reach until nothing is left of it */

enum err climate_model_create(uint64_t seed, struct climate_model **ret_model)
{
    static const double centre[CLIMATE_FEATURES] = {22, 45, -35};
    static const double scale[CLIMATE_FEATURES] = {3, 15, 10};
    struct climate_model *model = mem_zalloc(sizeof(*model));
    struct rng rng;
    if (model == NULL)
        return ERR_NOMEM;
    rng_init(&rng, seed);
    memcpy(model->centre, centre, sizeof(centre));
    memcpy(model->scale, scale, sizeof(scale));
    /* Uniform, with the variance that keeps tanh in its middle. */
    for (size_t j = 0; j < CLIMATE_HIDDEN; j++) {
        for (size_t i = 0; i < CLIMATE_FEATURES; i++)
            model->weights.hidden[j][i] = (2 * rng_unit(&rng) - 1);
        model->weights.hidden_bias[j] = (2 * rng_unit(&rng) - 1);
        for (size_t k = 0; k < OUTPUTS; k++)
            model->weights.output[k][j] = (2 * rng_unit(&rng) - 1) * 0.3;
    }
    model->weights.output_bias[1] = -3; /* a spread of about 22 points, to begin with */
    model->reach = 0.5;
    *ret_model = model;
    return ERR_OK;
}

void climate_model_destroy(struct climate_model *model)
{
    mem_free(model);
}

enum err climate_model_copy(const struct climate_model *model, struct climate_model **ret_model)
{
    struct climate_model *copy = mem_alloc(sizeof(*copy));
    if (copy == NULL)
        return ERR_NOMEM;
    *copy = *model;
    *ret_model = copy;
    return ERR_OK;
}

uint64_t climate_model_version(const struct climate_model *model)
{
    return model->about.version;
}

struct climate_model_about climate_model_about_get(const struct climate_model *model)
{
    return model->about;
}

void climate_model_about_set(struct climate_model *model, const struct climate_model_about *about)
{
    uint32_t lessons = model->about.lessons;
    model->about = *about;
    model->about.lessons = lessons;
}

bool climate_features_valid(const struct climate_features *features)
{
    return isfinite(features->temperature_c) && features->temperature_c > -60 &&
           features->temperature_c < 100 && isfinite(features->humidity_pct) &&
           features->humidity_pct >= 0 && features->humidity_pct <= 100 &&
           isfinite(features->sound_volume) && features->sound_volume >= 0 &&
           features->sound_volume <= 1;
}

static double clamp(double value, double least, double most)
{
    if (value < least)
        return least;
    return value > most ? most : value;
}

/* Loudness is heard, and grows with the number of people, in dB. */
void climate_model_raw(const struct climate_features *features, double ret_raw[CLIMATE_FEATURES])
{
    ret_raw[0] = features->temperature_c;
    ret_raw[1] = features->humidity_pct;
    ret_raw[2] = climate_decibel(features->sound_volume);
}

void climate_model_scale(const struct climate_model *model, const struct climate_features *features,
                         double ret_x[CLIMATE_FEATURES])
{
    double raw[CLIMATE_FEATURES];
    climate_model_raw(features, raw);
    for (size_t i = 0; i < CLIMATE_FEATURES; i++)
        ret_x[i] = clamp((raw[i] - model->centre[i]) / model->scale[i], -SCALED_MAX, SCALED_MAX);
}

void climate_model_forward(const struct model_weights *weights, const double x[CLIMATE_FEATURES],
                           struct model_pass *ret_pass)
{
    double out[OUTPUTS] = {weights->output_bias[0], weights->output_bias[1]};
    for (size_t j = 0; j < CLIMATE_HIDDEN; j++) {
        double sum = weights->hidden_bias[j];
        for (size_t i = 0; i < CLIMATE_FEATURES; i++)
            sum += weights->hidden[j][i] * x[i];
        ret_pass->hidden[j] = tanh(sum);
        for (size_t k = 0; k < OUTPUTS; k++)
            out[k] += weights->output[k][j] * ret_pass->hidden[j];
    }
    ret_pass->mean = 1 / (1 + exp(-clamp(out[0], -40, 40)));
    ret_pass->log_variance = clamp(out[1], LOG_VARIANCE_MIN, LOG_VARIANCE_MAX);
    ret_pass->clamped = out[1] != ret_pass->log_variance;
}

double climate_model_distance(const double a[CLIMATE_FEATURES], const double b[CLIMATE_FEATURES])
{
    double sum = 0;
    for (size_t i = 0; i < CLIMATE_FEATURES; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sqrt(sum);
}

double climate_model_strangeness(const struct climate_model *model,
                                 const double x[CLIMATE_FEATURES])
{
    double nearest = INFINITY;
    for (uint32_t i = 0; i < model->about.lessons; i++)
        nearest = fmin(nearest, climate_model_distance(x, model->lesson[i].x));
    return nearest;
}

/* How far an answer may be relied on: the probability, as the model sees it, that the right
 * position lies within CLIMATE_TOLERANCE_PCT of it, times how near the question is to anything it
 * was taught. */
struct climate_answer climate_model_ask(const struct climate_model *model,
                                        const struct climate_features *features)
{
    struct climate_answer answer = {.position_pct = 50, .spread_pct = 100};
    double x[CLIMATE_FEATURES];
    struct model_pass pass;
    if (!climate_features_valid(features))
        return answer;
    climate_model_scale(model, features, x);
    climate_model_forward(&model->weights, x, &pass);
    double beyond = climate_model_strangeness(model, x) - model->reach;
    double near = beyond <= 0 ? 1 : exp(-(beyond / UNKNOWN_FADE) * (beyond / UNKNOWN_FADE));
    answer.position_pct = 100 * pass.mean;
    answer.spread_pct = 100 * exp(pass.log_variance / 2);
    answer.confidence = near * erf(CLIMATE_TOLERANCE_PCT / (answer.spread_pct * sqrt(2)));
    return answer;
}

bool climate_model_finite(const struct climate_model *model)
{
    const double *weight = climate_model_flat_const(&model->weights);
    for (size_t i = 0; i < MODEL_WEIGHTS; i++) {
        if (!isfinite(weight[i]) || fabs(weight[i]) > 1e6)
            return false;
    }
    for (size_t i = 0; i < CLIMATE_FEATURES; i++) {
        if (!isfinite(model->centre[i]) || !isfinite(model->scale[i]) || model->scale[i] < 1e-6)
            return false;
    }
    for (uint32_t i = 0; i < model->about.lessons; i++) {
        const struct model_lesson *lesson = &model->lesson[i];
        for (size_t k = 0; k < CLIMATE_FEATURES; k++) {
            if (!isfinite(lesson->x[k]))
                return false;
        }
        if (!(lesson->y >= 0 && lesson->y <= 1))
            return false;
    }
    return isfinite(model->reach) && model->reach >= 0;
}

double climate_model_error(const struct climate_model *model, const struct climate_sample *samples,
                           size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += fabs(climate_model_ask(model, &samples[i].features).position_pct -
                    samples[i].position_pct);
    return count > 0 ? sum / (double)count : (double)NAN;
}
