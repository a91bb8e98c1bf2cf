/* Log-probabilities to confidences that mean what they say: one temperature, fitted on dialogues
 * that were not trained on.  C. Guo et al., "On Calibration of Modern Neural Networks", 2017. */
#include "barista/barista_int.h"

#include <jansson.h>
#include <math.h>

#define TEMPERATURE_MIN 0.05
#define TEMPERATURE_MAX 20.0
#define STEPS           48

void barista_class_confidence(const double *logprob, size_t count, double temperature,
                              double *ret_confidence)
{
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < count; i++)
        most = logprob[i] > most ? logprob[i] : most;
    for (size_t i = 0; i < count; i++) {
        ret_confidence[i] = exp((logprob[i] - most) / temperature);
        sum += ret_confidence[i];
    }
    for (size_t i = 0; i < count; i++)
        ret_confidence[i] /= sum;
}

/* Mean log-loss of the right labels at one temperature. */
static double loss_at(const struct barista_judged *judged, size_t count, double temperature)
{
    double sum = 0, confidence[BARISTA_LABELS_MAX];
    for (size_t i = 0; i < count; i++) {
        barista_class_confidence(judged[i].logprob, judged[i].count, temperature, confidence);
        sum -= log(confidence[judged[i].right] + 1e-12);
    }
    return sum;
}

/* The loss has one minimum over log temperature: golden section. */
double barista_calibration_fit(const struct barista_judged *judged, size_t count)
{
    double low = log(TEMPERATURE_MIN), high = log(TEMPERATURE_MAX), gold = (sqrt(5) - 1) / 2;
    for (int i = 0; i < STEPS && count > 0; i++) {
        double a = high - gold * (high - low), b = low + gold * (high - low);
        if (loss_at(judged, count, exp(a)) < loss_at(judged, count, exp(b)))
            high = b;
        else
            low = a;
    }
    return count == 0 ? 1 : exp((low + high) / 2);
}

static char *calibration_path(const char *model_dir, struct arena *arena)
{
    return arena_printf(arena, "%s/calibration.json", model_dir);
}

double barista_calibration_read(const char *model_dir)
{
    struct arena arena;
    json_error_t error;
    arena_init(&arena, 64 * KIB);
    char *path = calibration_path(model_dir, &arena);
    json_t *root = path == NULL ? NULL : json_load_file(path, 0, &error);
    double temperature = json_number_value(json_object_get(root, "class_temperature"));
    json_decref(root);
    arena_finish(&arena);
    bool usable = temperature >= TEMPERATURE_MIN && temperature <= TEMPERATURE_MAX;
    return usable ? temperature : 1;
}

enum err barista_calibration_write(const char *model_dir, double temperature, size_t judged)
{
    struct arena arena;
    arena_init(&arena, 64 * KIB);
    char *path = calibration_path(model_dir, &arena);
    char *text = arena_printf(&arena, "{\"class_temperature\": %.6f, \"fitted_on\": %zu}\n",
                              temperature, judged);
    enum err err = path == NULL || text == NULL
                       ? ERR_NOMEM
                       : file_write_atomic(path, text, str_from(text).len, 0644);
    arena_finish(&arena);
    return err;
}
