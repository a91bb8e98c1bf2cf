/* automat lm tune: which learning rate and weight decay to train with.  Successive halving: all
 * pairs of a grid get a few steps, the better half twice as many from the beginning, and so on.
 * The schedule of each run is as long as the run, so that what is compared is what will be done. */
#include "app/lm.h"
#include "app/tool.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_PRESET 20u

static const double rates[] = {2e-4, 4e-4, 8e-4, 1.6e-3, 3.2e-3};
static const double decays[] = {0.01, 0.1};
#define PAIRS (ARRAY_COUNT(rates) * ARRAY_COUNT(decays))

struct pair {
    double rate, decay, loss;
    uint64_t steps;
};

struct tuning {
    struct tool_bar bar;
    int64_t began_ms;
    uint64_t done, all; /* steps */
};

static void show(void *cookie, const struct lm_train_progress *p)
{
    struct tuning *tuning = cookie;
    char what[64];
    uint64_t done = tuning->done + p->step;
    int64_t spent_ms = sys_mono_ms() - tuning->began_ms;
    (void)snprintf(what, sizeof(what), "step %llu of %llu", (unsigned long long)done,
                   (unsigned long long)tuning->all);
    tool_bar_show(&tuning->bar, spent_ms,
                  (int64_t)((double)spent_ms * (double)tuning->all / (double)done), what);
}

/* The lower loss first; what is not a number last; equals by rate and decay, so that the order is
 * one and the same everywhere. */
static int by_loss(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    if (x->loss != y->loss)
        return x->loss < y->loss ? -1 : 1;
    if (x->rate != y->rate)
        return x->rate < y->rate ? -1 : 1;
    return x->decay < y->decay ? -1 : x->decay > y->decay;
}

static enum err try_pair(struct tuning *tuning, struct lm_train_options *o, struct pair *pair,
                         struct lm_fault *fault)
{
    struct lm_train_progress last = {0};
    enum lm_train_end end = LM_TRAIN_DONE;
    o->learning_rate = pair->rate;
    o->weight_decay = pair->decay;
    enum err err = lm_train(o, fault, &end, &last);
    if (err != ERR_OK)
        return err;
    if (end == LM_TRAIN_STOPPED)
        return ERR_CLOSED;
    tuning->done += o->steps_max;
    pair->steps = o->steps_max;
    pair->loss = end == LM_TRAIN_NAN     ? INFINITY
                 : o->valid_path != NULL ? last.valid_loss
                                         : last.loss;
    return ERR_OK;
}

/* pair: sorted, the best first. */
static enum err halve(struct lm_train_options *o, struct pair pair[PAIRS], struct lm_fault *fault)
{
    struct tuning tuning = {.began_ms = sys_mono_ms()};
    uint64_t steps = o->steps_max;
    enum err err = ERR_OK;
    tool_bar_init(&tuning.bar);
    for (size_t left = PAIRS, turn = 0; left > 0; left /= 2, turn++)
        tuning.all += left * (steps << turn);
    o->progress = show;
    o->cookie = &tuning;
    for (size_t left = PAIRS; err == ERR_OK && left > 0; left /= 2) {
        o->validate_every = (uint32_t)o->steps_max; /* once, in the end */
        for (size_t i = 0; err == ERR_OK && i < left; i++)
            err = try_pair(&tuning, o, &pair[i], fault);
        if (err == ERR_OK)
            qsort(pair, left, sizeof(*pair), by_loss);
        o->steps_max *= 2;
    }
    tool_bar_end(&tuning.bar);
    return err;
}

static void print_table(const struct pair pair[PAIRS], bool held_out)
{
    (void)printf("| learning rate | weight decay | steps | %s loss |\n|---|---|---|---|\n",
                 held_out ? "validation" : "training");
    for (size_t i = 0; i < PAIRS; i++) {
        if (pair[i].steps > 0)
            (void)printf("| %g | %g | %llu | %.4f |\n", pair[i].rate, pair[i].decay,
                         (unsigned long long)pair[i].steps, pair[i].loss);
    }
}

static int tune(struct lm_train_options *o)
{
    struct pair pair[PAIRS];
    struct lm_fault fault = {0};
    for (size_t i = 0; i < PAIRS; i++)
        pair[i] = (struct pair){.rate = rates[i / ARRAY_COUNT(decays)],
                                .decay = decays[i % ARRAY_COUNT(decays)]};
    enum err err = halve(o, pair, &fault);
    if (err != ERR_OK && err != ERR_CLOSED)
        return app_lm_failed("tuning", err, &fault);
    print_table(pair, o->valid_path != NULL);
    if (err == ERR_CLOSED) {
        (void)printf("\nstopped before the end\n");
        return 1;
    }
    (void)printf("\nbest: --learning-rate %g --weight-decay %g\n", pair[0].rate, pair[0].decay);
    return 0;
}

int app_lm_tune(const struct options *options)
{
    struct lm_train_options o;
    char made[APP_LM_PATH_BYTES];
    if (!app_lm_train_options(options, &o))
        return 2;
    const char *dir = options->data != NULL ? options->data : options->lm.corpus;
    if (options->out != NULL)
        (void)snprintf(made, sizeof(made), "%s", options->out);
    else
        (void)snprintf(made, sizeof(made), "data/training/%s/data", o.config.name);
    struct app_lm_data *data = mem_zalloc(sizeof(*data));
    if (data == NULL)
        return app_lm_failed("tuning", ERR_NOMEM, NULL);
    int status = 1;
    app_lm_catch_stop();
    if (app_lm_data_find(options, o.config.name, dir, made, true, data)) {
        o.train_path = data->train;
        o.valid_path = data->has_valid ? data->valid : NULL;
        o.config.vocab_used = data->vocab_used;
        o.steps_max = o.steps_max != 0 ? o.steps_max : STEPS_PRESET;
        o.patience = UINT32_MAX;
        o.resume = false;
        o.stop = app_lm_stop_wanted;
        status = tune(&o);
    }
    mem_free(data);
    return status;
}
