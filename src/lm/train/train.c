/* The training run.
 *
 *   begin -> step -> (validate) -> (save) -> step ... -> done
 *
 * What a step does follows from the state alone (step, epoch, cursor, weights, moments) and from
 * what never changes in a run.  A checkpoint is taken only after all that is due at its step, so
 * whoever goes on from it does exactly what the interrupted run would have done: the files in the
 * end are the same bytes.  Chance is drawn from the seed and the step's number, never from a
 * generator that runs along. */
#include "lm/train/train_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static enum err forward_backward(struct lm_trainer *t, double *ret_loss)
{
    uint32_t scored[4096] = {0};
    uint64_t all = lm_trainer_fill(t, scored);
    size_t tokens = (size_t)t->o.batch * t->o.length;
    double sum = 0;
    for (uint32_t micro = 0; micro < t->o.accumulate; micro++) {
        struct lm_graph_loss loss;
        struct lm_graph_batch batch = {
            .ids = t->ids + micro * tokens,
            .targets = t->targets + micro * tokens,
            .starts = t->starts + micro * tokens,
            .seed = t->o.seed,
            .step = t->state.step * t->o.accumulate + micro,
            /* The mean over all tokens of the step, however they fell into micro-steps. */
            .scale = all > 0 ? (double)scored[micro] / (double)all : 0,
        };
        enum err err = lm_graph_run(t->graph, &t->weights, &batch, &t->grads, &loss);
        if (err != ERR_OK)
            return err;
        sum += loss.sum;
    }
    *ret_loss = all > 0 ? sum / (double)all : 0;
    return ERR_OK;
}

static void count_time(struct lm_trainer *t)
{
    struct lm_train_progress *p = &t->progress;
    double spent_s = (double)t->used_us / 1e6;
    p->tokens_per_s = spent_s > 0 ? (double)(p->tokens - t->began_tokens) / spent_s : 0;
    double left = (double)(p->steps - p->step) * t->o.accumulate * t->o.batch * t->o.length;
    p->eta_s = p->tokens_per_s > 0 ? left / p->tokens_per_s : 0;
}

/* False in `ret_good`: not a number; nothing was changed. */
static enum err step(struct lm_trainer *t, bool *ret_good)
{
    struct lm_train_progress *p = &t->progress;
    const struct lm_train_shape *shape = &t->state.shape;
    int64_t began_us = sys_mono_us();
    double loss = 0;
    enum err err = forward_backward(t, &loss);
    if (err != ERR_OK)
        return err;
    double norm = lm_optim_norm(&t->optim, t->grads.block);
    double rate =
        lm_rate_at(t->o.schedule, shape->learning_rate, shape->warmup, t->state.step, shape->steps);
    *ret_good = isfinite(loss) && isfinite(norm);
    if (*ret_good) {
        struct lm_optim_step update = {
            .step = t->state.step + 1,
            .rate = rate,
            .decay = shape->weight_decay,
            .grad_scale = norm > shape->clip ? shape->clip / norm : 1,
        };
        lm_optim_apply(&t->optim, t->weights.block, t->grads.block, &update);
        t->state.step++;
    }
    t->used_us += (uint64_t)(sys_mono_us() - began_us);
    p->step = t->state.step;
    p->tokens = t->state.tokens;
    p->loss = loss;
    p->learning_rate = rate;
    p->grad_norm = norm;
    p->validated = false;
    count_time(t);
    return ERR_OK;
}

/* True in `ret_good` unless the loss is not a number. */
static enum err validate(struct lm_trainer *t, bool *ret_good)
{
    double loss = 0;
    *ret_good = true;
    if (t->valid_file == NULL)
        return ERR_OK;
    enum err err = lm_trainer_judge(t, &loss);
    if (err != ERR_OK)
        return err;
    t->progress.valid_loss = loss;
    t->progress.validated = true;
    *ret_good = isfinite(loss);
    if (!*ret_good)
        return ERR_OK;
    if (loss < t->state.best_valid_loss) {
        t->state.best_valid_loss = loss;
        t->state.bad_validations = 0;
        err = lm_trainer_save_best(t);
    } else {
        t->state.bad_validations++;
    }
    t->progress.best_valid_loss = t->state.best_valid_loss;
    return err;
}

static bool due(const struct lm_trainer *t, uint32_t every)
{
    return t->state.step % every == 0 || t->state.step == t->state.shape.steps;
}

static bool stop_wanted(const struct lm_trainer *t)
{
    return t->o.stop != NULL && t->o.stop(t->o.cookie);
}

static bool patience_gone(const struct lm_trainer *t)
{
    return t->o.patience != UINT32_MAX && t->state.bad_validations >= t->o.patience;
}

/* One turn: a step and all that is due after it.  `ret_going` false: the run ends as `ret_end`. */
static enum err turn(struct lm_trainer *t, bool *ret_going, enum lm_train_end *ret_end)
{
    bool good = true, saved = false;
    enum err err = step(t, &good);
    if (err == ERR_OK && good && due(t, t->o.validate_every))
        err = validate(t, &good);
    *ret_going = good;
    *ret_end = LM_TRAIN_NAN;
    if (err != ERR_OK || !good)
        return err;
    err = lm_report_step(&t->report, &t->progress);
    bool stopping = stop_wanted(t) || patience_gone(t);
    if (err == ERR_OK && (due(t, t->o.save_every) || stopping)) {
        err = lm_trainer_save_last(t);
        saved = true;
    }
    if (err == ERR_OK && saved)
        err = lm_report_picture(&t->report, t->o.config.name);
    if (err == ERR_OK && t->valid_file == NULL && saved)
        err = lm_trainer_save_best(t); /* nothing to judge by: the newest is the best */
    *ret_end = patience_gone(t) ? LM_TRAIN_EARLY : LM_TRAIN_STOPPED;
    *ret_going = !stopping;
    return err;
}

static enum err loop(struct lm_trainer *t, enum lm_train_end *ret_end)
{
    enum err err = ERR_OK;
    bool going = !patience_gone(t);
    *ret_end = LM_TRAIN_EARLY;
    while (err == ERR_OK && going) {
        if (t->state.step == t->state.shape.steps) {
            *ret_end = LM_TRAIN_DONE;
            break;
        }
        err = turn(t, &going, ret_end);
        lm_report_progress(&t->report, &t->progress, "running", false);
        if (t->o.progress != NULL && err == ERR_OK)
            t->o.progress(t->o.cookie, &t->progress);
    }
    return err;
}

static enum err start(struct lm_trainer *t)
{
    bool found = false;
    if (t->o.resume) {
        enum err err = lm_trainer_load(t, &found);
        if (err != ERR_OK)
            return err;
    }
    if (!found && lm_trainer_has_last(t)) {
        (void)snprintf(t->fault->why, sizeof(t->fault->why),
                       "there is a run in %.120s already: go on with it, or choose another folder",
                       t->o.out_dir);
        return ERR_CONFLICT;
    }
    if (!found)
        lm_weights_random(&t->weights, t->o.seed);
    t->began_tokens = t->state.tokens;
    t->progress = (struct lm_train_progress){
        .step = t->state.step,
        .steps = t->state.shape.steps,
        .tokens = t->state.tokens,
        .best_valid_loss = isfinite(t->state.best_valid_loss) ? t->state.best_valid_loss : 0,
    };
    enum err err = lm_report_open(&t->report, t->o.out_dir, t->state.step);
    if (err != ERR_OK && t->fault->why[0] == 0)
        (void)snprintf(t->fault->why, sizeof(t->fault->why), "metrics.csv cannot be written (%s)",
                       err_name(err));
    if (err == ERR_OK)
        lm_report_progress(&t->report, &t->progress, "running", true);
    return err;
}

static const char *end_name(enum err err, enum lm_train_end end)
{
    static const char *const names[] = {"done", "early", "stopped", "nan"};
    return err != ERR_OK ? "failed" : names[end];
}

enum err lm_train(const struct lm_train_options *options, struct lm_fault *fault,
                  enum lm_train_end *ret_end, struct lm_train_progress *ret_last)
{
    struct lm_trainer *t = mem_alloc(sizeof(*t));
    enum lm_train_end end = LM_TRAIN_STOPPED;
    if (t == NULL)
        return ERR_NOMEM;
    enum err err = lm_trainer_init(t, options, fault);
    if (err != ERR_OK)
        goto out;
    err = start(t);
    if (err == ERR_OK)
        err = loop(t, &end);
    lm_report_progress(&t->report, &t->progress, end_name(err, end), true);
    if (err != ERR_OK && fault->why[0] == 0)
        (void)snprintf(fault->why, sizeof(fault->why), "training stopped at step %llu: %s",
                       (unsigned long long)t->state.step, err_name(err));
    if (err == ERR_OK) {
        *ret_end = end;
        *ret_last = t->progress;
    }
    lm_trainer_finish(t);
out:
    mem_free(t);
    return err;
}
