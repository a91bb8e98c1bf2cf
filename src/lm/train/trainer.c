/* A training run's parts: made, filled for a step, taken apart. */
#include "lm/train/train_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PATH_BYTES 4096

static enum err say(struct lm_fault *fault, enum err err, const char *what)
{
    if (fault->why[0] == 0)
        (void)snprintf(fault->why, sizeof(fault->why), "%.160s: %s", what, err_name(err));
    return err;
}

/* Which of the files it was, before what was wrong with it. */
static enum err say_file(struct lm_fault *fault, enum err err, const char *path)
{
    char why[sizeof(fault->why)];
    (void)snprintf(why, sizeof(why), "%s", fault->why[0] != 0 ? fault->why : err_name(err));
    if (strstr(why, path) == NULL)
        (void)snprintf(fault->why, sizeof(fault->why), "%.100s: %.150s", path, why);
    return err;
}

/* One run at a time in a folder: two would undo each other's checkpoints. */
static enum err claim(struct lm_trainer *t)
{
    char path[PATH_BYTES];
    if (t->o.out_dir == NULL)
        return ERR_OK;
    enum err err = dir_make(t->o.out_dir, 0755);
    if (err != ERR_OK)
        return say(t->fault, err, t->o.out_dir);
    (void)snprintf(path, sizeof(path), "%s/lock", t->o.out_dir);
    err = file_lock(path, &t->lock);
    if (err == ERR_CONFLICT)
        (void)snprintf(t->fault->why, sizeof(t->fault->why),
                       "another training is at work in this folder (%.120s)", t->o.out_dir);
    return say(t->fault, err, path);
}

static enum err open_data(struct lm_trainer *t)
{
    enum err err = lm_tokens_open(t->o.train_path, t->fault, &t->train_file);
    if (err != ERR_OK)
        return say_file(t->fault, err, t->o.train_path);
    err = lm_data_init(&t->train, t->train_file, t->o.config.vocab_used, t->o.length, t->fault);
    if (err != ERR_OK)
        return say_file(t->fault, err, t->o.train_path);
    lm_data_lay(&t->train, true, t->o.seed, 0);
    if (t->o.valid_path == NULL)
        return ERR_OK;
    err = lm_tokens_open(t->o.valid_path, t->fault, &t->valid_file);
    if (err == ERR_OK)
        err = lm_data_init(&t->valid, t->valid_file, t->o.config.vocab_used, t->o.length, t->fault);
    if (err != ERR_OK)
        return say_file(t->fault, err, t->o.valid_path);
    lm_data_lay(&t->valid, false, 0, 0);
    return ERR_OK;
}

static enum err make_graphs(struct lm_trainer *t)
{
    struct lm_graph_options options = {
        .config = t->o.config,
        .batch = t->o.batch,
        .length = t->o.length,
        .precision = t->o.precision,
        .pool = t->pool,
        .dropout = (float)t->o.dropout,
        .dropout_attention = t->o.config.dropout_attention,
    };
    enum err err = lm_graph_create(&options, &t->graph);
    if (err != ERR_OK || t->valid_file == NULL)
        return err;
    options.dropout = 0;
    options.dropout_attention = 0;
    options.forward_only = true;
    return lm_graph_create(&options, &t->judge);
}

static enum err make_memory(struct lm_trainer *t)
{
    size_t bytes = (size_t)lm_floats(&t->o.config) * sizeof(float);
    size_t tokens = (size_t)t->o.accumulate * t->o.batch * t->o.length;
    float *weights = mem_alloc(bytes), *grads = mem_zalloc(bytes);
    t->weights.block = weights;
    t->grads.block = grads;
    t->ids = mem_alloc(tokens * sizeof(*t->ids));
    t->starts = mem_alloc(tokens * sizeof(*t->starts));
    t->targets = mem_alloc(tokens * sizeof(*t->targets));
    if (weights == NULL || grads == NULL || t->ids == NULL || t->starts == NULL ||
        t->targets == NULL)
        return ERR_NOMEM;
    lm_weights_lay(&t->o.config, weights, &t->weights);
    lm_weights_lay(&t->o.config, grads, &t->grads);
    return lm_optim_init(&t->optim, &t->o.config, t->pool);
}

static void begin(struct lm_trainer *t)
{
    const struct lm_train_options *o = &t->o;
    double rows = (double)o->batch * o->accumulate;
    uint64_t steps = o->steps_max;
    if (steps == 0)
        steps = (uint64_t)ceil(o->epochs * t->train.row_count / rows);
    if (t->o.validate_every == 0)
        t->o.validate_every = steps < 20 ? 1 : (uint32_t)(steps / 20);
    if (t->o.save_every == 0)
        t->o.save_every = t->o.validate_every;
    t->state = (struct lm_train_state){
        .seed = o->seed,
        .best_valid_loss = INFINITY,
        .shape = {.steps = steps,
                  .batch = o->batch,
                  .length = o->length,
                  .accumulate = o->accumulate,
                  .learning_rate = o->learning_rate,
                  .weight_decay = o->weight_decay,
                  .warmup = o->warmup,
                  .clip = o->clip,
                  .dropout = o->dropout,
                  .schedule = (uint32_t)o->schedule,
                  .precision = (uint32_t)o->precision},
    };
    memcpy(t->state.rng, t->train.rng.state, sizeof(t->state.rng));
}

enum err lm_trainer_init(struct lm_trainer *t, const struct lm_train_options *given,
                         struct lm_fault *fault)
{
    *fault = (struct lm_fault){0};
    memset(t, 0, sizeof(*t));
    t->fault = fault;
    t->lock.fd = -1;
    enum err err = lm_train_resolve(given, &t->o, fault);
    if (err == ERR_OK)
        err = claim(t);
    if (err == ERR_OK)
        err = open_data(t);
    if (err == ERR_OK)
        err = lm_pool_create(t->o.threads, &t->pool);
    if (err == ERR_OK)
        err = make_graphs(t);
    if (err == ERR_OK)
        err = make_memory(t);
    if (err != ERR_OK) {
        lm_trainer_finish(t);
        return say(fault, err, "training could not be prepared");
    }
    begin(t);
    return ERR_OK;
}

void lm_trainer_finish(struct lm_trainer *t)
{
    lm_report_close(&t->report);
    lm_optim_finish(&t->optim);
    mem_free(t->ids);
    mem_free(t->starts);
    mem_free(t->targets);
    mem_free(t->weights.block);
    mem_free(t->grads.block);
    lm_graph_destroy(t->graph);
    lm_graph_destroy(t->judge);
    lm_pool_destroy(t->pool);
    lm_data_finish(&t->train);
    lm_data_finish(&t->valid);
    lm_tokens_close(t->train_file);
    lm_tokens_close(t->valid_file);
    if (t->lock.fd >= 0)
        file_unlock(&t->lock);
    t->lock.fd = -1;
}

uint64_t lm_trainer_fill(struct lm_trainer *t, uint32_t *scored)
{
    uint64_t all = 0;
    size_t at = 0;
    for (uint32_t micro = 0; micro < t->o.accumulate; micro++) {
        scored[micro] = 0;
        for (uint32_t b = 0; b < t->o.batch; b++, at += t->o.length) {
            if (t->state.cursor == t->train.row_count) {
                t->state.cursor = 0;
                t->state.epoch++;
                lm_data_lay(&t->train, true, t->o.seed, t->state.epoch);
                memcpy(t->state.rng, t->train.rng.state, sizeof(t->state.rng));
            }
            scored[micro] += lm_data_row(&t->train, (uint32_t)t->state.cursor++, t->ids + at,
                                         t->targets + at, t->starts + at);
        }
        all += scored[micro];
    }
    t->state.tokens += at;
    return all;
}
