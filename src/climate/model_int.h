/* Inside of the window model. */
#ifndef AUTOMAT_CLIMATE_MODEL_INT_H
#define AUTOMAT_CLIMATE_MODEL_INT_H

#include "climate/climate_model.h"

#define OUTPUTS     2 /* position (before the sigmoid), log-variance */
#define PROBES      4
#define LESSONS_MAX (CLIMATE_LESSONS_TAUGHT + CLIMATE_LESSONS_PEOPLE)

/* The log-variance of a position in 0..1: a spread between 8 and 61 points.  It was taught in a
 * simulated room, so it is never as sure as that room would let it be. */
#define LOG_VARIANCE_MIN (-5.0)
#define LOG_VARIANCE_MAX (-1.0)

struct model_weights { /* only doubles: the trainer walks it as one array */
    double hidden[CLIMATE_HIDDEN][CLIMATE_FEATURES];
    double hidden_bias[CLIMATE_HIDDEN];
    double output[OUTPUTS][CLIMATE_HIDDEN];
    double output_bias[OUTPUTS];
};
#define MODEL_WEIGHTS (sizeof(struct model_weights) / sizeof(double))
static inline double *climate_model_flat(struct model_weights *weights)
{
    return (double *)(void *)weights;
}
static inline const double *climate_model_flat_const(const struct model_weights *weights)
{
    return (const double *)(const void *)weights;
}

struct model_lesson {
    double x[CLIMATE_FEATURES]; /* scaled */
    double y;                   /* position 0..1 */
    bool by_hand;
};

struct climate_model {
    struct climate_model_about about;
    double centre[CLIMATE_FEATURES], scale[CLIMATE_FEATURES];
    double reach; /* how far from a lesson still counts as known */
    struct model_weights weights;
    struct model_lesson lesson[LESSONS_MAX]; /* [0..about.lessons): taught, then by hand */
};

/* What one pass through the network gives. */
struct model_pass {
    double hidden[CLIMATE_HIDDEN];
    double mean, log_variance; /* 0..1; clamped */
    bool clamped;
};
void climate_model_raw(const struct climate_features *features, double ret_raw[CLIMATE_FEATURES]);
void climate_model_scale(const struct climate_model *model, const struct climate_features *features,
                         double ret_x[CLIMATE_FEATURES]);
void climate_model_forward(const struct model_weights *weights, const double x[CLIMATE_FEATURES],
                           struct model_pass *ret_pass);
double climate_model_distance(const double a[CLIMATE_FEATURES], const double b[CLIMATE_FEATURES]);
/* To the nearest lesson; INFINITY without lessons. */
double climate_model_strangeness(const struct climate_model *model,
                                 const double x[CLIMATE_FEATURES]);
bool climate_model_finite(const struct climate_model *model);

/* One teaching example for the trainer. */
struct model_example {
    double x[CLIMATE_FEATURES];
    double y, weight;
};
/* Adam, with the gradient of a batch clipped. */
struct model_trainer {
    struct model_weights mean, square;
    uint32_t step;
    double rate;
};
/* Adds the gradient of one example; returns |error| in points. */
double climate_model_gradient(const struct model_weights *weights,
                              const struct model_example *example, struct model_weights *gradient);
void climate_model_step(struct model_trainer *trainer, struct model_weights *weights,
                        struct model_weights *gradient, double batch_weight);

#endif
