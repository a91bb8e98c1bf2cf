/* Where training data comes from, and how a run is described. */
#include "app/lm.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

const char *app_lm_path(char dst[APP_LM_PATH_BYTES], const char *dir, const char *name)
{
    (void)snprintf(dst, APP_LM_PATH_BYTES, "%s/%s", dir, name);
    return dst;
}

static bool has(const char *dir, const char *name)
{
    char path[APP_LM_PATH_BYTES];
    return path_exists(app_lm_path(path, dir, name));
}

static bool take(const char *dir, struct app_lm_data *ret)
{
    struct lm_fault fault = {0};
    struct lm_tokenizer *tokenizer = NULL;
    (void)app_lm_path(ret->train, dir, "train.tok");
    (void)app_lm_path(ret->valid, dir, "valid.tok");
    (void)app_lm_path(ret->tokenizer, dir, "tokenizer.json");
    ret->has_valid = path_exists(ret->valid);
    enum err err = lm_tokenizer_read(ret->tokenizer, &fault, &tokenizer);
    if (err != ERR_OK) {
        (void)app_lm_failed(ret->tokenizer, err, &fault);
        return false;
    }
    ret->vocab_used = lm_tokenizer_vocab(tokenizer);
    lm_tokenizer_destroy(tokenizer);
    return true;
}

bool app_lm_data_find(const struct options *options, const char *name, const char *dir,
                      const char *made_dir, bool keep, struct app_lm_data *ret_data)
{
    if (has(dir, "train.tok"))
        return take(dir, ret_data);
    if (keep && has(made_dir, "train.tok") && has(made_dir, "tokenizer.json"))
        return take(made_dir, ret_data);
    bool corpus = has(dir, "facts") && has(dir, "phrases");
    if (corpus ? !app_lm_corpus_make(options, name, dir, made_dir)
               : !app_lm_text_make(options, name, dir, made_dir))
        return false;
    return take(made_dir, ret_data);
}

bool app_lm_config(const struct options *options, struct lm_config *ret_config)
{
    char path[APP_LM_PATH_BYTES];
    struct lm_fault fault = {0};
    const char *name = app_lm_word(options);
    if (name != NULL && lm_config_named(str_from(name), ret_config))
        return true;
    if (options->lm.model == NULL) {
        app_complain(
            "a model is needed: tanka, villanelle, ode, or --model DIR with a config.json%s%s",
            name != NULL ? "; there is no " : "", name != NULL ? name : "");
        return false;
    }
    if (lm_config_named(str_from(options->lm.model), ret_config))
        return true;
    enum err err =
        lm_config_read(app_lm_path(path, options->lm.model, "config.json"), &fault, ret_config);
    if (err != ERR_OK)
        (void)app_lm_failed(path, err, &fault);
    return err == ERR_OK;
}

uint64_t app_lm_seed(const struct options *options)
{
    return options->seed != 0 ? options->seed : 1;
}

bool app_lm_train_options(const struct options *options, struct lm_train_options *ret)
{
    const struct options_lm *o = &options->lm;
    *ret = (struct lm_train_options){
        .epochs = options_real(o->epochs, 1),
        .steps_max = o->steps,
        .batch = o->batch,
        .length = o->length,
        .accumulate = o->accumulate,
        .learning_rate = options_real(o->learning_rate, 0),
        .weight_decay = options_real(o->weight_decay, -1),
        .warmup = options_real(o->warmup, -1),
        .clip = options_real(o->clip, 0),
        .dropout = options_real(o->dropout, -1),
        .seed = app_lm_seed(options),
        .threads = o->threads,
        .validate_every = o->validate_every,
        .save_every = o->save_every,
        .patience = o->patience,
        .resume = o->resume,
    };
    if (strcmp(o->schedule, "linear") == 0)
        ret->schedule = LM_SCHEDULE_LINEAR;
    else if (strcmp(o->schedule, "cosine") != 0) {
        app_complain("--schedule (AUTOMAT_SCHEDULE): cosine or linear, not \"%.40s\"", o->schedule);
        return false;
    }
    if (strcmp(o->precision, "bf16") == 0)
        ret->precision = LM_PRECISION_BF16;
    else if (strcmp(o->precision, "f32") != 0) {
        app_complain("--precision (AUTOMAT_PRECISION): f32 or bf16, not \"%.40s\"", o->precision);
        return false;
    }
    return app_lm_config(options, &ret->config);
}

/* ---- being asked to stop ---- */

static volatile sig_atomic_t stop_asked;

static void note_stop(int number)
{
    (void)number;
    stop_asked = 1;
}

void app_lm_catch_stop(void)
{
    struct sigaction action = {.sa_handler = note_stop, .sa_flags = (int)SA_RESETHAND};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

bool app_lm_stop_wanted(void *cookie)
{
    (void)cookie;
    return stop_asked != 0;
}
