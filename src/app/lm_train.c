/* automat lm train: teaches a model, shows how far it is, and goes on where it was stopped. */
#include "app/lm.h"
#include "app/tool.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- the bar: one line that is redrawn on a terminal, plain lines elsewhere ---- */

#define PAUSE_MS_TERMINAL 200
#define PAUSE_MS_LINES    10000

struct bar {
    bool is_terminal;
    int64_t told_ms;
    double valid_loss;
};

/* "2 h 05 min", "12 s" */
static void time_left(double s, char *dst, size_t dst_bytes)
{
    uint64_t whole = s > 0 && s < 1e9 ? (uint64_t)s : 0;
    if (whole >= 3600)
        (void)snprintf(dst, dst_bytes, "%" PRIu64 " h %02" PRIu64 " min", whole / 3600,
                       whole / 60 % 60);
    else if (whole >= 60)
        (void)snprintf(dst, dst_bytes, "%" PRIu64 " min %02" PRIu64 " s", whole / 60, whole % 60);
    else
        (void)snprintf(dst, dst_bytes, "%" PRIu64 " s", whole);
}

static void bar_show(void *cookie, const struct lm_train_progress *p)
{
    static const char full[] = "####################", empty[] = "....................";
    struct bar *bar = cookie;
    char left[40], valid[40] = "";
    int64_t now_ms = sys_mono_ms();
    int64_t pause_ms = bar->is_terminal ? PAUSE_MS_TERMINAL : PAUSE_MS_LINES;
    if (p->validated)
        bar->valid_loss = p->valid_loss;
    if (now_ms - bar->told_ms < pause_ms && !p->validated && p->step != p->steps)
        return;
    bar->told_ms = now_ms;
    if (bar->valid_loss > 0)
        (void)snprintf(valid, sizeof(valid), ", valid %.4f", bar->valid_loss);
    time_left(p->eta_s, left, sizeof(left));
    int part = p->steps > 0 ? (int)(p->step * 20 / p->steps) : 20;
    (void)fprintf(stderr,
                  "%s[%.*s%.*s] step %" PRIu64 " of %" PRIu64 ", loss %.4f%s, %.0f tokens/s, %s "
                  "left%s",
                  bar->is_terminal ? "\r" : "", part, full, 20 - part, empty, p->step, p->steps,
                  p->loss, valid, p->tokens_per_s, left, bar->is_terminal ? "\033[K" : "\n");
    (void)fflush(stderr);
}

static void bar_end(const struct bar *bar)
{
    if (bar->is_terminal && bar->told_ms != 0)
        (void)fputc('\n', stderr);
}

/* ---- the run ---- */

static void print_end(const struct lm_train_options *o, enum lm_train_end end,
                      const struct lm_train_progress *p)
{
    static const char *const how[] = {
        "done",
        "ended early: no better for as long as --patience says",
        "stopped; --resume goes on",
    };
    if (end == LM_TRAIN_NAN) {
        app_complain("the loss is not a number after step %" PRIu64
                     ": the checkpoint before it, if "
                     "there is one, is kept; a lower --learning-rate helps",
                     p->step);
        return;
    }
    (void)printf("%s\nstep %" PRIu64 " of %" PRIu64 ", %" PRIu64 " tokens seen\n", how[end],
                 p->step, p->steps, p->tokens);
    if (p->best_valid_loss > 0)
        (void)printf("best validation loss %.4f, perplexity %.2f\n", p->best_valid_loss,
                     exp(p->best_valid_loss));
    if (o->out_dir != NULL)
        (void)printf("%s/best holds the model, %s/last what --resume needs\n", o->out_dir,
                     o->out_dir);
}

static int run(struct lm_train_options *o)
{
    struct bar bar = {.is_terminal = isatty(STDERR_FILENO) != 0};
    struct lm_fault fault = {0};
    struct lm_train_progress last = {0};
    enum lm_train_end end = LM_TRAIN_DONE;
    o->progress = bar_show;
    o->stop = app_lm_stop_wanted;
    o->cookie = &bar;
    enum err err = lm_train(o, &fault, &end, &last);
    bar_end(&bar);
    if (err == ERR_CONFLICT) {
        app_complain("%s (--resume, --out)", fault.why);
        return 1;
    }
    if (err != ERR_OK)
        return app_lm_failed("training", err, &fault);
    print_end(o, end, &last);
    return end == LM_TRAIN_NAN ? 1 : 0;
}

/* Looks before any data is made: the data of a run that is there, or at work, is never touched. */
static bool claim(const char *out, bool resume, struct file_lock *ret_lock)
{
    char path[APP_LM_PATH_BYTES], aside[APP_LM_PATH_BYTES];
    enum err err = dir_make(out, 0755);
    if (err == ERR_OK)
        err = file_lock(app_lm_path(path, out, "lock"), ret_lock);
    if (err == ERR_CONFLICT) {
        app_complain("another training is at work in this folder (%s) (--out)", out);
        return false;
    }
    if (err != ERR_OK) {
        (void)app_lm_failed(out, err, NULL);
        return false;
    }
    if (resume || (!path_exists(app_lm_path(path, out, "last")) &&
                   !path_exists(app_lm_path(aside, out, "last.replaced"))))
        return true;
    app_complain("there is a run in %s already: go on with it, or choose another folder "
                 "(--resume, --out)",
                 out);
    file_unlock(ret_lock);
    return false;
}

int app_lm_train(const struct options *options)
{
    struct file_lock lock = {.fd = -1};
    struct lm_train_options o;
    struct app_lm_data *data = NULL;
    char out[APP_LM_PATH_BYTES], made[APP_LM_PATH_BYTES];
    if (!app_lm_train_options(options, &o))
        return 2;
    const char *name = o.config.name;
    const char *dir = options->data != NULL ? options->data : options->lm.corpus;
    if (options->out != NULL)
        (void)snprintf(out, sizeof(out), "%s", options->out);
    else
        (void)snprintf(out, sizeof(out), "data/training/%s", name);
    data = mem_zalloc(sizeof(*data));
    if (data == NULL)
        return app_lm_failed("training", ERR_NOMEM, NULL);
    int status = 1;
    app_lm_catch_stop();
    /* The data of a run that goes on is the data it began with. */
    bool found =
        claim(out, o.resume, &lock) &&
        app_lm_data_find(options, name, dir, app_lm_path(made, out, "data"), o.resume, data);
    file_unlock(&lock); /* lm_train takes it again, and looks again */
    if (found) {
        o.train_path = data->train;
        o.valid_path = data->has_valid ? data->valid : NULL;
        o.tokenizer_path = data->tokenizer;
        o.config.vocab_used = data->vocab_used;
        o.out_dir = out;
        status = run(&o);
    }
    mem_free(data);
    return status;
}
