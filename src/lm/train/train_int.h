/* train: what the files of this folder share. */
#ifndef AUTOMAT_LM_TRAIN_INT_H
#define AUTOMAT_LM_TRAIN_INT_H

#include "lm/file/file_int.h"
#include "lm/graph/graph_int.h"
#include "lm/kernel/kernel_int.h"
#include "lm/lm.h"
#include "lm/model/model_int.h"

/* ---- data: dialogues laid into rows of `length` tokens ----
 *
 * A row holds whole dialogues one after another, each from its own LM_BEGIN, and LM_PAD where none
 * fits any more.  None sees another, and each counts its positions from its own beginning.  One
 * that is longer than a row is cut into pieces that each fill a row: all but the first repeat at
 * least half a row of what was before, so that what is scored has that much to go by.  Every token
 * of every dialogue is predicted once an epoch, but for the quiet ones. */

struct lm_piece {
    uint32_t at;          /* first token, in the file */
    uint16_t count, skip; /* tokens; of these, first ones whose successors another piece scores */
    bool last;            /* the dialogue ends with it */
};

struct lm_data {
    const uint16_t *ids; /* borrowed from the token file */
    uint32_t length;
    uint32_t crc; /* of the ids: which file this is */
    struct lm_piece *piece;
    uint32_t piece_count;
    uint32_t *order; /* pieces in the order of the rows */
    uint32_t *row;   /* row r holds order[row[r]] .. order[row[r + 1]] */
    uint32_t row_count;
    struct rng rng; /* of the shuffle, as it was left */
};
/* ERR_INPUT: no dialogues, ids not in use, a file that does not begin with LM_BEGIN. */
MUST_USE enum err lm_data_init(struct lm_data *data, const struct lm_tokens *tokens,
                               uint32_t vocab_used, uint32_t length, struct lm_fault *fault);
void lm_data_finish(struct lm_data *data);
/* Lays the rows of one epoch; `shuffle` false: in the file's order. */
void lm_data_lay(struct lm_data *data, bool shuffle, uint64_t seed, uint64_t epoch);
/* One row: ids (length), targets (length), starts (length: where in the row the token's dialogue
 * begins).  Returns how many targets are scored. */
uint32_t lm_data_row(const struct lm_data *data, uint32_t row, uint16_t *ids, int32_t *targets,
                     uint16_t *starts);

/* ---- schedule ---- */

/* The learning rate of `step` (0 is the first) of `steps`. */
double lm_rate_at(enum lm_schedule schedule, double rate, double warmup, uint64_t step,
                  uint64_t steps);

/* ---- optimiser ---- */

#define LM_OPTIM_CHUNK 65536u

struct lm_chunk {
    uint64_t at;
    uint32_t count;
    bool decays;
};
struct lm_optim {
    struct lm_pool *pool; /* borrowed */
    struct lm_chunk *chunk;
    double *partial; /* a sum of squares a chunk */
    uint32_t chunk_count;
    float *m, *v; /* lm_floats each */
};
MUST_USE enum err lm_optim_init(struct lm_optim *optim, const struct lm_config *config,
                                struct lm_pool *pool);
void lm_optim_finish(struct lm_optim *optim);
/* Length of the gradient over all rows that are in use; not finite when one of it is not. */
double lm_optim_norm(struct lm_optim *optim, const float *grads);
struct lm_optim_step {
    uint64_t step; /* 1 is the first */
    double rate, decay, grad_scale;
};
/* One step of AdamW (0.9, 0.999, 1e-8); the gradients are zero afterwards. */
void lm_optim_apply(struct lm_optim *optim, float *weights, float *grads,
                    const struct lm_optim_step *step);

/* ---- what is told: metrics.csv, loss.svg, progress.json ---- */

#define LM_POINTS_MAX 2048
struct lm_points { /* a curve; when it is full, neighbours become one */
    uint32_t count, merged, filling;
    struct lm_point {
        double tokens, loss;
    } at[LM_POINTS_MAX];
};
void lm_points_add(struct lm_points *points, double tokens, double loss);

struct lm_report {
    const char *out_dir; /* NULL: nothing is written */
    void *csv;           /* FILE */
    int64_t told_ms;
    struct lm_points train, valid;
};
/* Opens metrics.csv; with `resume_step` above 0 rows up to it are kept (and their curve). */
MUST_USE enum err lm_report_open(struct lm_report *report, const char *out_dir,
                                 uint64_t resume_step);
void lm_report_close(struct lm_report *report);
MUST_USE enum err lm_report_step(struct lm_report *report,
                                 const struct lm_train_progress *progress);
/* At most once a second unless `now`. */
void lm_report_progress(struct lm_report *report, const struct lm_train_progress *progress,
                        const char *state, bool now);
MUST_USE enum err lm_report_picture(const struct lm_report *report, const char *name);
/* Train and validation loss over tokens as SVG. */
MUST_USE enum err lm_picture_draw(struct buf *svg, const char *name, const struct lm_points *train,
                                  const struct lm_points *valid);

/* ---- the trainer ---- */

struct lm_trainer {
    struct lm_train_options o; /* no zeros that mean a preset are left */
    struct lm_fault *fault;
    struct lm_tokens *train_file, *valid_file; /* valid: NULL when there is none */
    struct lm_data train, valid;
    struct lm_pool *pool;
    struct lm_graph *graph, *judge;
    struct lm_weights weights, grads;
    struct lm_optim optim;
    struct lm_train_state state;
    struct lm_report report;
    struct lm_train_progress progress;
    struct file_lock lock;
    uint16_t *ids, *starts; /* (accumulate, batch, length) */
    int32_t *targets;
    int64_t began_us;      /* of the steps of this process, validations left out */
    uint64_t began_tokens; /* seen before it */
    uint64_t used_us;
};
/* Presets, bounds.  ERR_INPUT. */
MUST_USE enum err lm_train_resolve(const struct lm_train_options *given,
                                   struct lm_train_options *ret_options, struct lm_fault *fault);
MUST_USE enum err lm_trainer_init(struct lm_trainer *trainer, const struct lm_train_options *given,
                                  struct lm_fault *fault);
void lm_trainer_finish(struct lm_trainer *trainer);
/* Fills ids, targets and starts for one step and moves the cursor.  Returns the scored tokens;
 * `scored` (accumulate) of each micro-step. */
uint64_t lm_trainer_fill(struct lm_trainer *trainer, uint32_t *scored);
/* Mean loss over a fixed part of the validation tokens. */
MUST_USE enum err lm_trainer_judge(struct lm_trainer *trainer, double *ret_loss);
MUST_USE enum err lm_trainer_save_best(struct lm_trainer *trainer);
MUST_USE enum err lm_trainer_save_last(struct lm_trainer *trainer);
/* out_dir/last into weights, moments and state; false in `ret_found` when there is none. */
MUST_USE enum err lm_trainer_load(struct lm_trainer *trainer, bool *ret_found);
bool lm_trainer_has_last(const struct lm_trainer *trainer);

#endif
