/* climate_model: the window model itself: its file, its training, its learning from people.  Pure
 * (but for climate_model_load and _save): no clock, no randomness but a seed, any thread as long as
 * a model is not changed meanwhile.
 *
 * A network 3-16-2: scaled features in, tanh, and two numbers out: where the window should be and
 * how sure that is (a log-variance), after D. A. Nix and A. S. Weigend, "Estimating the mean and
 * variance of the target probability distribution", ICNN 1994.  Beside it lies a short list of what
 * the model was taught: inputs far from all of it are strange, and strange means not confident,
 * whatever the network says.
 *
 * File model-NNNN.bin, little-endian, no padding, f64 = IEEE 754 binary64:
 *
 *     "AMWINDOW"  8 bytes      u32 format (1)      u32 bytes of the whole file
 *     u64 version, u64 parent, i64 trained at (epoch ms), u64 samples, u64 samples of people,
 *     u32 origin (enum climate_origin), u32 features (3), u32 hidden (16), u32 lessons
 *     f64 centre[3], f64 scale[3], f64 reach      (sound in dB of full scale)
 *     f64 hidden weights [16][3], hidden biases [16], output weights [2][16], output biases [2]
 *     lessons: f64 scaled features[3], f64 position 0..1, f64 by hand (0 or 1)
 *     4 probes: f64 features[3], f64 position, f64 spread, f64 confidence
 *     u32 CRC-32C of everything before it */
#ifndef AUTOMAT_CLIMATE_MODEL_H
#define AUTOMAT_CLIMATE_MODEL_H

#include "climate/climate.h"

#define CLIMATE_MODEL_BYTES_MAX   (64 * KIB)
#define CLIMATE_MODEL_WHY_BYTES   160
#define CLIMATE_LESSONS_TAUGHT    128 /* from training */
#define CLIMATE_LESSONS_PEOPLE    64  /* set by hand, the newest */
#define CLIMATE_TOLERANCE_PCT     20.0
#define CLIMATE_VALIDATE_EVERY    5 /* each fifth setting by hand is never trained on */
#define CLIMATE_SAMPLES_LEARN_MAX 1024

enum climate_origin { CLIMATE_UNTRAINED, CLIMATE_SHIPPED, CLIMATE_LEARNED };

struct climate_sample {
    uint64_t sample_id; /* its last digit decides whether it teaches or examines */
    struct climate_features features;
    double position_pct;
};

struct climate_model_about {
    uint64_t version, parent;
    int64_t trained_at_ms;
    uint64_t samples, samples_people;
    enum climate_origin origin;
    uint32_t lessons;
};
struct climate_model_about climate_model_about_get(const struct climate_model *model);
void climate_model_about_set(struct climate_model *model, const struct climate_model_about *about);
MUST_USE enum err climate_model_copy(const struct climate_model *model,
                                     struct climate_model **ret_model);

/* ERR_INPUT with a sentence in `why`; ERR_NOMEM. */
MUST_USE enum err climate_model_decode(struct str bytes, char *why, size_t why_bytes,
                                       struct climate_model **ret_model);
/* ERR_NOMEM.  `buf` is initialised by the caller. */
MUST_USE enum err climate_model_encode(const struct climate_model *model, struct buf *buf);

/* Finite, and inside what a sensor can say at all. */
bool climate_features_valid(const struct climate_features *features);

/* ---- training from nothing (automat climate train) ---- */
struct climate_fit {
    uint32_t epochs; /* 0: 60 */
    uint64_t seed;
    double rate; /* 0: 0.01, falling to a twentieth */
    bool (*progress)(void *cookie, uint32_t epoch, uint32_t epochs, double error_pct);
    void *cookie; /* progress may be NULL; false stops: ERR_CLOSED */
};
/* Scaling, weights and lessons from `samples`.  ERR_INPUT: fewer than 16, or not finite. */
MUST_USE enum err climate_model_fit(struct climate_model *model,
                                    const struct climate_sample *samples, size_t count,
                                    const struct climate_fit *fit);
/* Mean absolute error in points of position. */
double climate_model_error(const struct climate_model *model, const struct climate_sample *samples,
                           size_t count);

/* ---- learning from people ---- */
enum climate_verdict {
    CLIMATE_ADOPT,
    CLIMATE_WORSE_ON_TAUGHT,   /* it forgot what it was taught elsewhere */
    CLIMATE_WORSE_ON_HELD_OUT, /* settings by hand that it was not shown */
    CLIMATE_NOT_LEARNED,       /* it does not even fit what it was shown better */
    CLIMATE_NOT_FINITE,
};
const char *climate_verdict_text(enum climate_verdict verdict); /* a sentence for people */
struct climate_gate {
    enum climate_verdict verdict;
    double shown_before, shown_after; /* mean absolute errors in points; NAN: none of the kind */
    double held_out_before, held_out_after;
    double taught_before, taught_after;
};
/* A new model (version and about are the caller's to set) that learned from `samples` (oldest
 * first, the last is the new one), replayed among the lessons of `model`.  A bounded number of
 * steps.  ERR_OK also when the verdict is not to adopt it: the caller then destroys it.  ERR_AGAIN:
 * none of the samples is for teaching.  ERR_NOMEM. */
MUST_USE enum err climate_model_learn(const struct climate_model *model,
                                      const struct climate_sample *samples, size_t count,
                                      uint64_t seed, struct climate_gate *ret_gate,
                                      struct climate_model **ret_model);

#endif
