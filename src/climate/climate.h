/* climate: when to ask for a window position, the model that answers, and learning from what people
 * set by hand.
 *
 * A proposal, ours or an external service's, is never more than a command in the queue; low
 * confidence holds the position.  Loop thread only. */
#ifndef AUTOMAT_CLIMATE_H
#define AUTOMAT_CLIMATE_H

#include "base/base.h"
#include "broker/bus.h"
#include "loop/loop.h"
#include "queue/queue.h"
#include "store/store.h"
#include "telemetry/metrics.h"
#include "telemetry/telemetry.h"

/* ---- the model: pure; doubles; no heap ---- */

#define CLIMATE_FEATURES 3 /* temperature C, humidity %, sound volume RMS 0..1 */
#define CLIMATE_HIDDEN   16

struct climate_features {
    double temperature_c, humidity_pct, sound_volume;
};
struct climate_answer {
    double position_pct; /* 0..100 */
    double spread_pct;   /* one standard deviation as the model sees it */
    double confidence;   /* 0..1, from the spread and the distance to what it was taught */
};
struct climate_model; /* opaque; climate_model.h describes the file */

MUST_USE enum err climate_model_create(uint64_t seed, struct climate_model **ret_model);
void climate_model_destroy(struct climate_model *model);
/* Pure: the same model and features, the same answer. */
struct climate_answer climate_model_ask(const struct climate_model *model,
                                        const struct climate_features *features);
/* A versioned file with a checksum; validated at load: shape, finite weights, scaling, and a probe
 * whose answer is stored with it.  ERR_INPUT with a sentence in `why`. */
MUST_USE enum err climate_model_load(const char *path, char *why, size_t why_bytes,
                                     struct climate_model **ret_model);
MUST_USE enum err climate_model_save(const struct climate_model *model, const char *path);
uint64_t climate_model_version(const struct climate_model *model);

/* ---- the room ---- */

struct climate;

enum climate_source {
    CLIMATE_OWN,      /* the model above answers */
    CLIMATE_EXTERNAL, /* a service on MQTT answers on window/{id}/control */
    CLIMATE_OFF,      /* nobody is asked */
};
enum climate_mode {
    CLIMATE_AUTO,   /* proposals become commands */
    CLIMATE_MANUAL, /* proposals are recorded, people decide */
};

struct climate_options {
    struct loop *loop;
    struct store *store;
    struct queue *queue;
    struct telemetry *telemetry;
    struct bus *bus;
    int64_t (*wall_ms)(void *clock);
    int64_t (*mono_us)(void *clock); /* for latencies; NULL: as fine as wall_ms */
    void *clock;
    void *random;
    void (*random_id)(void *random, struct id128 *ret_id);
    const char *model_folder; /* DATA/climate: model-NNNN.bin; SQL says which of them speaks */
    const char *model_preset; /* the file that ships with the program; NULL: none */
    enum climate_source source;
    double confidence_min; /* 0: 0.6; below it the position is held */
};
/* `loop` may be NULL in tests: then model work is done inside the call, and climate_tick is the
 * only clock.  The texts of the options live as long as the room. Chooses the newest model that
 * validates; falls back to the previous, then to the preset, then to one that was taught nothing
 * and therefore is never confident; says what it did in `why` (also on success, may be empty). */
MUST_USE enum err climate_create(const struct climate_options *options, char *why, size_t why_bytes,
                                 struct climate **ret_climate);
void climate_destroy(struct climate *climate); /* after store_close; NULL does nothing */
/* Returns the mono ms when it wants to be called again.  With a loop it also calls itself, so that
 * a call a second is plenty. */
int64_t climate_tick(struct climate *climate, int64_t mono_ms);

/* A machine of kind window exists / is gone: only those are asked for. */
MUST_USE enum err climate_window_add(struct climate *climate, struct str machine_id);
void climate_window_remove(struct climate *climate, struct str machine_id);

/* queue_options.changed: a person's own setting that completed is a sample; our own commands are
 * followed. */
void climate_command_changed(struct climate *climate, const struct queue_change *change);
/* What `window/{id}/control` from outside says.  Counts only with CLIMATE_EXTERNAL and from a role
 * that may: ERR_REFUSED.  ERR_INPUT: position or confidence out of range.  ERR_NOT_FOUND.
 * `answers` is the request_id of the question it says it answers, "" when it does not say.
 * ERR_CONFLICT: not the newest question; recorded as unasked and refused, and nothing moves. */
MUST_USE enum err climate_propose(struct climate *climate, struct str machine_id,
                                  double position_pct, double confidence,
                                  const struct bus_from *from, const char *answers,
                                  const char *request_id);

/* What a window is doing, for people.  Texts live until the loop's next turn. */
struct climate_window {
    const char *machine_id;
    enum climate_mode mode;
    bool has_features;
    struct climate_features features;
    int64_t features_at_ms[CLIMATE_FEATURES];
    bool has_answer;
    struct climate_answer answer;
    uint64_t answer_version;
    int64_t asked_at_ms, answered_at_ms;
    const char *decision; /* "commanded", "held_low_confidence", "held_manual" (mode manual, or a
                             person set it less than half an hour ago), "no_change",
                             "no_answer", "refused"; NULL: none yet */
    uint64_t command_id;  /* that it led to, or 0 */
    double position_pct;  /* as last confirmed by a completed command, NAN: not known */
    const char *asked_because; /* "change", "age", "start", "unasked" (a service spoke by itself) */
};
bool climate_window_get(const struct climate *climate, struct str machine_id,
                        struct climate_window *ret_window);
void climate_window_each(const struct climate *climate,
                         bool (*each)(void *cookie, const struct climate_window *window),
                         void *cookie);
/* Changed: a new answer, decision or mode.  One watcher. */
void climate_watch(struct climate *climate, void (*changed)(void *cookie, struct str machine_id),
                   void *cookie);
MUST_USE enum err climate_mode_set(struct climate *climate, struct str machine_id,
                                   enum climate_mode mode, struct str actor, const char *request_id,
                                   void (*done)(void *cookie, enum err err), void *cookie);

struct climate_prediction {
    uint64_t prediction_id;
    struct str machine_id, decision, asked_because, source, model_version;
    int64_t at_ms;
    struct climate_features features;
    struct str provenance; /* of the three together; none: not noted */
    double position_pct, confidence, latency_ms;
    uint64_t command_id;
    bool has_actual; /* a person set the window within 30 min after it */
    double actual_pct;
};
typedef void climate_predictions_done(void *cookie, enum err err,
                                      const struct climate_prediction *predictions, size_t count,
                                      bool more);
/* Newest first, ids below before_id (0: newest). */
MUST_USE enum err climate_predictions_read(struct climate *climate, struct str machine_id,
                                           int64_t from_ms, int64_t to_ms, uint64_t before_id,
                                           uint32_t limit, climate_predictions_done *done,
                                           void *cookie);

struct climate_model_info {
    uint64_t version, previous_version; /* 0: none */
    int64_t trained_at_ms;
    uint64_t samples;        /* learned from, all together */
    uint64_t samples_people; /* of them set by hand */
    double error_pct;   /* mean absolute error over the last 50 settings by hand, before each was
                           learned; NAN: none yet */
    const char *origin; /* "shipped", "learned", "rolled back" */
};
struct climate_model_info climate_model_info_get(const struct climate *climate);
struct climate_error_point { /* for "error over time" */
    int64_t at_ms;
    uint64_t version;
    double error_pct; /* |said - set| of one setting by hand */
};
typedef void climate_errors_done(void *cookie, enum err err,
                                 const struct climate_error_point *points, size_t count);
MUST_USE enum err climate_errors_read(struct climate *climate, int64_t from_ms, int64_t to_ms,
                                      uint32_t limit, climate_errors_done *done, void *cookie);
/* Back to the previous version, and what the newer one had learned is not learned again.
 * ERR_NOT_FOUND: there is none (or, through done, its file does not validate); ERR_CONFLICT:
 * another change of the model is on its way. */
MUST_USE enum err climate_rollback(struct climate *climate, struct str actor,
                                   const char *request_id, void (*done)(void *cookie, enum err err),
                                   void *cookie);

struct climate_stats {
    uint64_t requests, answers, answers_external, commands, held_low_confidence, no_change,
        no_answer, missing_values, samples_people, refused, held_manual;
    uint64_t unrecorded; /* records (not commands) that could not be stored */
    uint64_t models_adopted, models_discarded, models_unsaved, rollbacks;
    struct metrics_histogram latency_s;  /* request to answer */
    struct metrics_histogram confidence; /* of answers */
    /* automat_sensor_to_command: from the receipt of the reading that made the question due to the
     * commit of the command.  A question put off by the minimum interval counts from its end. */
    struct metrics_histogram sensor_to_command_s;
};
const struct climate_stats *climate_stats_get(const struct climate *climate);

#endif
