/* Checkpoints of a run: last/ holds all that it takes to go on, best/ the weights alone. */
#include "lm/train/train_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PATH_BYTES    4096
#define TOKENIZER_MAX (64 * MIB)

static enum err unsaved(struct lm_trainer *t, enum err err, const char *path)
{
    if (err != ERR_OK)
        (void)snprintf(t->fault->why, sizeof(t->fault->why),
                       "%.120s could not be written (%s); the checkpoint before it is kept", path,
                       err_name(err));
    return err;
}

/* Whoever loads the weights needs the tokenizer that they were trained with. */
static enum err copy_tokenizer(struct lm_trainer *t, const char *dir)
{
    char path[PATH_BYTES];
    struct buf bytes, there;
    if (t->o.tokenizer_path == NULL)
        return ERR_OK;
    (void)snprintf(path, sizeof(path), "%s/tokenizer.json", dir);
    enum err err = file_read(t->o.tokenizer_path, TOKENIZER_MAX, &bytes);
    if (err != ERR_OK)
        return unsaved(t, err, t->o.tokenizer_path);
    bool same = false; /* best/ may be of a run before this one */
    if (file_read(path, TOKENIZER_MAX, &there) == ERR_OK) {
        same = str_equal(buf_str(&there), buf_str(&bytes));
        buf_finish(&there);
    }
    if (!same)
        err = file_write_atomic(path, bytes.at, bytes.len, 0644);
    buf_finish(&bytes);
    return unsaved(t, err, path);
}

enum err lm_trainer_save_best(struct lm_trainer *t)
{
    char dir[PATH_BYTES];
    if (t->o.out_dir == NULL)
        return ERR_OK;
    (void)snprintf(dir, sizeof(dir), "%s/best", t->o.out_dir);
    enum err err = lm_weights_write(dir, &t->weights, LM_F32);
    return err == ERR_OK ? copy_tokenizer(t, dir) : unsaved(t, err, dir);
}

enum err lm_trainer_save_last(struct lm_trainer *t)
{
    char dir[PATH_BYTES];
    if (t->o.out_dir == NULL)
        return ERR_OK;
    (void)snprintf(dir, sizeof(dir), "%s/last", t->o.out_dir);
    enum err err = lm_checkpoint_write(dir, &t->weights, t->optim.m, t->optim.v, &t->state);
    return err == ERR_OK ? copy_tokenizer(t, dir) : unsaved(t, err, dir);
}

/* What another shape would make of the steps that are left is another run. */
static const char *difference(const struct lm_train_shape *a, const struct lm_train_shape *b)
{
    return a->steps != b->steps                   ? "steps (epochs)"
           : a->batch != b->batch                 ? "batch"
           : a->length != b->length               ? "length"
           : a->accumulate != b->accumulate       ? "accumulate"
           : a->learning_rate != b->learning_rate ? "learning rate"
           : a->weight_decay != b->weight_decay   ? "weight decay"
           : a->warmup != b->warmup               ? "warm-up"
           : a->clip != b->clip                   ? "clip"
           : a->dropout != b->dropout             ? "dropout"
           : a->schedule != b->schedule           ? "schedule"
           : a->precision != b->precision         ? "precision"
                                                  : NULL;
}

static enum err refuse(struct lm_trainer *t, const char *what)
{
    (void)snprintf(t->fault->why, sizeof(t->fault->why),
                   "the run in this folder has another %s: go on with the same, or begin anew",
                   what);
    return ERR_INPUT;
}

enum err lm_trainer_load(struct lm_trainer *t, bool *ret_found)
{
    char dir[PATH_BYTES];
    struct lm_train_state state;
    *ret_found = false;
    if (t->o.out_dir == NULL)
        return ERR_OK;
    (void)snprintf(dir, sizeof(dir), "%s/last", t->o.out_dir);
    enum err err = lm_checkpoint_read(dir, t->fault, &t->weights, t->optim.m, t->optim.v, &state);
    if (err == ERR_NOT_FOUND) {
        *t->fault = (struct lm_fault){0};
        return ERR_OK;
    }
    if (err != ERR_OK)
        return err;
    const char *other = difference(&state.shape, &t->state.shape);
    if (state.seed != t->state.seed)
        other = "seed";
    if (other != NULL)
        return refuse(t, other);
    lm_data_lay(&t->train, true, t->o.seed, state.epoch);
    if (memcmp(state.rng, t->train.rng.state, sizeof(state.rng)) != 0)
        return refuse(t, "file of training tokens");
    if (state.cursor > t->train.row_count || state.step > state.shape.steps)
        return refuse(t, "place to go on from");
    t->state = state;
    *ret_found = true;
    return copy_tokenizer(t, dir); /* a crash may have come between the two */
}

bool lm_trainer_has_last(const struct lm_trainer *t)
{
    char path[PATH_BYTES], aside[PATH_BYTES];
    if (t->o.out_dir == NULL)
        return false;
    (void)snprintf(path, sizeof(path), "%s/last", t->o.out_dir);
    /* A crash while it was replaced leaves it aside, and --resume puts it back. */
    (void)snprintf(aside, sizeof(aside), "%s/last.replaced", t->o.out_dir);
    return path_exists(path) || path_exists(aside);
}
