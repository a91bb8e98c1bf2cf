/* Inside of climate: what its files share. */
#ifndef AUTOMAT_CLIMATE_INT_H
#define AUTOMAT_CLIMATE_INT_H

#include "climate/climate.h"
#include "climate/climate_model.h"
#include "climate/climate_trigger.h"
#include "record/record.h"

#include <stddef.h>

#define WINDOWS_MAX        4096
#define VERSIONS_MAX       8 /* files kept beside the one that speaks */
#define ERRORS_RING        50
#define SAMPLES_MEMORY_MAX CLIMATE_SAMPLES_LEARN_MAX
#define SAMPLES_KEPT       8192
#define PREDICTION_DAYS    400
#define ACTOR_BYTES        96
#define REQUEST_ID_BYTES   65
#define VERSION_TEXT_BYTES 32
#define PATH_BYTES         512
#define READ_ROWS_MAX      500

struct op;
struct ask_op;

/* ---- one window ---- */
struct watched {
    char machine_id[ID_BYTES_MAX + 1];
    bool present; /* a machine of the kind exists; else only what SQL remembers of it */
    enum climate_mode mode;
    int64_t hold_until_ms;
    struct climate_trigger trigger;
    int64_t trigger_us; /* receipt of the reading that made the question due; 0: none did */
    char trigger_request[REQUEST_ID_BYTES];
    char asked_request[REQUEST_ID_BYTES]; /* of the newest question */
    int64_t reading_us; /* the same of the message that is being looked at; 0: none is */
    const char *reading_request;

    struct ask_op *question; /* waits for an answer from outside */
    uint64_t ask_count;      /* so that an old command's verdict does not overwrite a newer one */
    bool has_answer;
    struct climate_answer answer;
    uint64_t answer_version;
    int64_t asked_at_ms, answered_at_ms;
    const char *decision, *asked_because; /* constants */
    struct climate_features asked_features;
    uint64_t command_id;

    double position_pct; /* NAN: not known */
    bool has_target;     /* a command is on its way */
    uint64_t target_id;  /* 0: not yet on disk */
    double target_pct;
    /* What the sensors said when a person made the command with this number. */
    uint64_t person_id;
    bool person_has_features;
    struct climate_features person_features;
};

struct version {
    uint64_t version;
    int64_t adopted_at_ms;
    bool current;
};

struct memory_sample {
    struct climate_sample sample;
    uint64_t learned_in;
};

struct learn_job;
struct climate {
    struct climate_options options;
    double confidence_min;
    struct loop_timer *timer; /* NULL without a loop */
    struct watched **window;  /* sorted by id */
    uint32_t window_count, window_cap;
    int64_t due_ms; /* server time; INT64_MAX: nothing is due before something arrives */

    struct climate_model *model; /* never NULL */
    const char *origin;
    int64_t adopted_at_ms;
    uint64_t preset_version; /* 0: none */
    struct version versions[VERSIONS_MAX];
    uint32_t version_count;
    uint64_t rolled_back_highest;
    uint64_t version_highest; /* ever given out */
    bool model_changing;      /* an adoption or a rollback is on its way to the disk */

    struct memory_sample *sample; /* oldest first */
    uint32_t sample_count;
    uint64_t people_count; /* all together */
    double error[ERRORS_RING];
    uint32_t error_count, error_next;
    struct learn_job *learning; /* one at a time */
    bool learn_again;

    struct op *ops;
    struct climate_stats stats;
    void (*changed)(void *cookie, struct str machine_id);
    void *changed_cookie;
};

int64_t climate_now_ms(const struct climate *climate);
int64_t climate_now_us(const struct climate *climate);
struct watched *climate_window_find(const struct climate *climate, struct str machine_id);
/* The one, present or not; NULL: no room, or out of memory. */
struct watched *climate_window_ensure(struct climate *climate, struct str machine_id);
void climate_window_changed(struct climate *climate, const struct watched *window);
/* Something about this window may have become due: ask, or plan when. */
void climate_window_consider(struct climate *climate, struct watched *window);
void climate_plan(struct climate *climate, int64_t due_ms);
void climate_version_text(uint64_t version, char dst[VERSION_TEXT_BYTES]);

/* ---- ask.c: a question and its answer ---- */
struct answered {
    struct climate_answer answer;
    uint64_t version;   /* ours; 0: somebody else's */
    const char *source; /* "own", "external" */
    const char *actor;
};
void climate_ask(struct climate *climate, struct watched *window, enum climate_because because);
void climate_answered(struct ask_op *ask, const struct answered *answered);
/* The question that waits is over: nobody answered. */
void climate_ask_expire(struct climate *climate, struct watched *window);
void climate_ask_drop(struct watched *window);

/* ---- a change on its way through the store (op.c) ---- */
struct op {
    struct store_job job;
    struct climate *climate;
    struct op *next, *prev;
    void (*undo)(struct op *op); /* when it ends without done having been called; may be NULL */
    void *owned;                 /* mem_free'd with the op */
    struct climate_model *model; /* destroyed with the op */
    struct arena arena;
    char machine_id[ID_BYTES_MAX + 1];
    char actor[ACTOR_BYTES];
    char request_id[REQUEST_ID_BYTES];
    int64_t now_ms;
    void *cookie;
};
void *climate_op_create(struct climate *climate, size_t bytes, struct str machine_id,
                        struct str actor, const char *request_id);
void climate_op_free(struct op *op);
MUST_USE enum err climate_op_submit(struct op *op); /* on failure the op is gone */
MUST_USE enum err climate_op_read(struct op *op);
MUST_USE enum err climate_op_audit(const struct op *op, struct store_db *db, const char *action,
                                   const char *subject, const char *detail);

struct ask_op {
    struct op op;
    uint64_t ask_number;
    int64_t asked_us, trigger_us;
    const char *because, *decision, *source;
    const char *provenance; /* of the features; NULL: not all are known */
    bool has_features, has_answer;
    struct climate_features features;
    struct climate_answer answer;
    uint64_t version;
    char version_text[VERSION_TEXT_BYTES];
    double latency_ms;
    uint64_t command_id;
    int64_t answer_until_ms;
};

/* decide.c: what becomes of an answer, and the record of it */
void climate_decide(struct ask_op *ask);
void climate_decided(struct ask_op *ask, const char *decision);

/* follow.c: a number from 0 to 100 in a JSON object by name, or NAN */
double climate_json_number(struct str text, const char *name);

/* ---- learn.c ---- */
void climate_learn(struct climate *climate);
void climate_learn_abandon(struct climate *climate);
void climate_sample_add(struct climate *climate, const struct climate_sample *sample, double said,
                        bool has_said);

/* ---- versions.c ---- */
void climate_version_path(const struct climate *climate, uint64_t version, char dst[PATH_BYTES]);
uint64_t climate_version_previous(const struct climate *climate);
/* After the commit: this model speaks from now on. */
void climate_version_speak(struct climate *climate, struct climate_model *model, const char *origin,
                           int64_t at_ms);

/* ---- load.c: at start ---- */
MUST_USE enum err climate_load(struct climate *climate);
MUST_USE enum err climate_choose_model(struct climate *climate, char *why, size_t why_bytes);

/* ---- statements (sql.c) ---- */
enum climate_statement {
    SQL_WINDOWS_ALL,
    SQL_WINDOW_MODE,
    SQL_WINDOW_POSITION,
    SQL_WINDOW_HOLD,
    SQL_PREDICTION_INSERT,
    SQL_PREDICTION_ACTUAL,
    SQL_PREDICTION_LAST,
    SQL_PREDICTION_PRUNE,
    SQL_PREDICTIONS,
    SQL_PREDICTIONS_MACHINE,
    SQL_SAMPLE_INSERT,
    SQL_SAMPLE_PRUNE,
    SQL_SAMPLES_ALL,
    SQL_SAMPLES_COUNT,
    SQL_SAMPLES_LEARNED,
    SQL_SAMPLES_RETIRE,
    SQL_ERRORS,
    SQL_MODELS_ALL,
    SQL_MODEL_INSERT,
    SQL_MODEL_UNSEAT,
    SQL_MODEL_SEAT,
    SQL_MODEL_ROLLED_BACK,
    SQL_MODEL_PRUNE,
    SQL_COUNT
};
struct store_stmt *climate_sql(struct store_db *db, enum climate_statement index);
/* NAN becomes NULL. */
void climate_bind_number(struct store_stmt *stmt, int position, double value);
double climate_col_number(struct store_stmt *stmt, int column);

#endif
