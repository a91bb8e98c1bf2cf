/* Training runs of a toy: what they reach, how they end, and that one which was interrupted ends in
 * the same bytes as one which was not. */
#include "train_kit.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

TEST(a_run_learns)
{
    const char *dir = kit_tempdir();
    struct lm_train_options o = toy_options(dir, "out");
    o.steps_max = 80;
    o.validate_every = 40;
    o.threads = 2;
    struct toy_result result = toy_run(&o);
    CHECK_EQ(result.end, LM_TRAIN_DONE);
    CHECK_EQ(result.last.steps, 80);
    CHECK_EQ(result.last.tokens, 80 * 2 * 2 * 48);
    NOTE("loss %g", result.last.best_valid_loss);
    CHECK(result.last.best_valid_loss < 2.4); /* log 31 = 3.4 would be a guess */
    CHECK(strstr(kit_read_file(kit_path(o.out_dir, "loss.svg"), NULL), "polyline") != NULL);
    const char *told = kit_read_file(kit_path(o.out_dir, "progress.json"), NULL);
    CHECK(strstr(told, "\"state\": \"done\"") != NULL);
    CHECK(strstr(told, "\"step\": 80, \"steps\": 80, \"tokens\": 15360") != NULL);
    CHECK(strstr(told, "\"best\": ") != NULL);
}

TEST(two_threads_do_what_one_does)
{
    const char *dir = kit_tempdir();
    struct lm_train_options one = toy_options(dir, "one"), two = toy_options(dir, "two");
    two.threads = 2;
    (void)toy_run(&one);
    (void)toy_run(&two);
    same_run(one.out_dir, two.out_dir);
}

struct stopper {
    uint64_t after;
    uint64_t step;
};

static void stop_progress(void *cookie, const struct lm_train_progress *progress)
{
    ((struct stopper *)cookie)->step = progress->step;
}

static bool stop_now(void *cookie)
{
    struct stopper *stopper = cookie;
    return stopper->step + 1 >= stopper->after;
}

TEST(stopped_and_resumed_is_the_same)
{
    const char *dir = kit_tempdir();
    struct lm_train_options whole = toy_options(dir, "whole");
    (void)toy_run(&whole);
    static const uint64_t at[] = {5, 6};
    for (size_t i = 0; i < ARRAY_COUNT(at); i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "stop%d", (int)at[i]);
        struct lm_train_options o = toy_options(dir, name);
        struct stopper stopper = {.after = at[i]};
        o.progress = stop_progress;
        o.stop = stop_now;
        o.cookie = &stopper;
        struct toy_result result = toy_run(&o);
        CHECK_EQ(result.end, LM_TRAIN_STOPPED);
        CHECK_EQ(result.last.step, at[i]);
        const char *told = kit_read_file(kit_path(o.out_dir, "progress.json"), NULL);
        CHECK(strstr(told, "\"state\": \"stopped\"") != NULL);
        resume_to_the_end(o, whole.out_dir);
    }
}

/* ---- killed ---- */

static void die_at(void *cookie, const struct lm_train_progress *progress)
{
    if (progress->step == *(const uint64_t *)cookie)
        (void)kill(getpid(), SIGKILL);
}

TEST(killed_after_a_step_and_resumed_is_the_same)
{
    const char *dir = kit_tempdir();
    struct lm_train_options whole = toy_options(dir, "whole");
    (void)toy_run(&whole);
    static const uint64_t at[] = {6, 13};
    for (size_t i = 0; i < ARRAY_COUNT(at); i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "kill%d", (int)at[i]);
        struct lm_train_options o = toy_options(dir, name);
        uint64_t step = at[i];
        o.progress = die_at;
        o.cookie = &step;
        CHECK(run_child(&o, 0));
        resume_to_the_end(o, whole.out_dir);
    }
}

/* Killed again and again by the clock, each time a little later: sooner or later in the middle of a
 * step, of a validation, of a checkpoint.  Wherever it hits, the end is the same. */
TEST(killed_at_any_moment_and_resumed_is_the_same)
{
    const char *dir = kit_tempdir();
    struct lm_train_options whole = toy_options(dir, "whole");
    whole.save_every = 1;
    (void)toy_run(&whole);
    struct lm_train_options o = toy_options(dir, "killed");
    o.save_every = 1;
    o.resume = true;
    int kills = 0;
    for (int us = 1500; run_child(&o, us); us += 1500 + us / 2)
        kills++;
    NOTE("%d kills", kills);
    CHECK(kills > 1);
    resume_to_the_end(o, whole.out_dir);
}

/* Before a change on the disk, in the checkpoint that replaces another.  train_kill_slow.c tries
 * all of them. */
static long changes_left;

static void die_on_disk(void)
{
    if (--changes_left == 0)
        (void)kill(getpid(), SIGKILL);
}

TEST(killed_in_a_checkpoint_and_resumed_is_the_same)
{
    const char *dir = kit_tempdir();
    struct lm_train_options whole = toy_options(dir, "whole");
    whole.steps_max = 2;
    whole.validate_every = 1;
    (void)toy_run(&whole);
    long kills = 0;
    for (bool killed = true; killed; kills += killed) {
        char name[32];
        (void)snprintf(name, sizeof(name), "disk%ld", kills);
        struct lm_train_options o = whole;
        o.out_dir = kit_path(dir, name);
        changes_left = 3 + 19 * kills;
        lm_disk_step = die_on_disk;
        killed = run_child(&o, 0);
        lm_disk_step = NULL;
        if (killed)
            resume_to_the_end(o, whole.out_dir);
    }
    NOTE("%ld kills", kills);
    CHECK(kills > 1);
}

/* ---- how runs end ---- */

TEST(early_when_nothing_gets_better)
{
    const char *dir = kit_tempdir();
    struct lm_train_options o = toy_options(dir, "out");
    o.learning_rate = 1e-30; /* nothing is learned: no validation is better than the first */
    o.weight_decay = 0;
    o.validate_every = 2;
    o.patience = 3;
    struct toy_result result = toy_run(&o);
    CHECK_EQ(result.end, LM_TRAIN_EARLY);
    CHECK_EQ(result.last.step, 2 * (1 + 3));
    o.resume = true; /* it is over */
    result = toy_run(&o);
    CHECK_EQ(result.end, LM_TRAIN_EARLY);
    CHECK_EQ(result.last.step, 8);
}

/* What was on disk after the last turn that was good. */
struct keeper {
    const char *out;
    const char *bytes[3];
    size_t len[3];
    uint64_t step;
};

static const char *const kept_files[3] = {"last/model.safetensors", "last/state.safetensors",
                                          "best/model.safetensors"};

static void keeper_progress(void *cookie, const struct lm_train_progress *p)
{
    struct keeper *keeper = cookie;
    if (!isfinite(p->loss) || !isfinite(p->grad_norm) || !isfinite(p->valid_loss))
        return;
    keeper->step = p->step;
    for (size_t i = 0; i < ARRAY_COUNT(kept_files); i++)
        keeper->bytes[i] = kit_read_file(kit_path(keeper->out, kept_files[i]), &keeper->len[i]);
}

static void same_as_kept(const struct keeper *keeper)
{
    for (size_t i = 0; i < ARRAY_COUNT(kept_files); i++) {
        size_t len;
        const char *now = kit_read_file(kit_path(keeper->out, kept_files[i]), &len);
        NOTE("%s after step %llu", kept_files[i], (unsigned long long)keeper->step);
        CHECK_EQ(len, keeper->len[i]);
        CHECK(memcmp(now, keeper->bytes[i], len) == 0);
    }
}

/* Weights that grow ninefold a step learn for a while, and then are too large to be numbers. */
TEST(not_a_number_stops_and_keeps_the_last_good)
{
    const char *dir = kit_tempdir();
    struct lm_train_options o = toy_options(dir, "out");
    struct keeper keeper = {.out = o.out_dir};
    o.learning_rate = 1;
    o.weight_decay = 10;
    o.warmup = 0;
    o.save_every = 1;
    o.validate_every = 1;
    o.steps_max = 2000;
    o.progress = keeper_progress;
    o.cookie = &keeper;
    struct toy_result result = toy_run(&o);
    CHECK_EQ(result.end, LM_TRAIN_NAN);
    CHECK(keeper.step >= 3 && keeper.step < 2000);
    same_as_kept(&keeper);
    const char *told = kit_read_file(kit_path(o.out_dir, "progress.json"), NULL);
    CHECK(strstr(told, "\"state\": \"nan\"") != NULL);
    CHECK(strstr(told, "nan,") == NULL);
    o.resume = true; /* and once more from there */
    result = toy_run(&o);
    CHECK_EQ(result.end, LM_TRAIN_NAN);
    same_as_kept(&keeper);
    struct lm_weights weights;
    struct lm_fault fault;
    CHECK_OK(lm_weights_read(kit_path(o.out_dir, "last"), &fault, &weights));
    mem_free(weights.block);
}

TEST(a_new_run_brings_its_own_tokenizer)
{
    const char *dir = kit_tempdir();
    struct lm_train_options o = toy_options(dir, "out");
    CHECK_OK(file_write_atomic(kit_path(dir, "one.json"), "one", 3, 0600));
    CHECK_OK(file_write_atomic(kit_path(dir, "other.json"), "other", 5, 0600));
    o.steps_max = 2;
    o.validate_every = 1;
    o.tokenizer_path = kit_path(dir, "one.json");
    (void)toy_run(&o);
    CHECK_STR(kit_read_file(kit_path(o.out_dir, "best/tokenizer.json"), NULL), "one");
    CHECK_OK(lm_disk_remove_dir(kit_path(o.out_dir, "last")));
    o.tokenizer_path = kit_path(dir, "other.json");
    (void)toy_run(&o);
    CHECK_STR(kit_read_file(kit_path(o.out_dir, "best/tokenizer.json"), NULL), "other");
    CHECK_STR(kit_read_file(kit_path(o.out_dir, "last/tokenizer.json"), NULL), "other");
}

TEST(clip_bounds_what_a_step_does)
{
    const char *dir = kit_tempdir();
    struct lm_train_options a = toy_options(dir, "a"), b = toy_options(dir, "b");
    a.steps_max = b.steps_max = 1;
    a.clip = 1e30;
    b.clip = 1e-3;
    struct toy_result loose = toy_run(&a), tight = toy_run(&b);
    CHECK(loose.last.grad_norm == tight.last.grad_norm); /* what is told is the length before */
    CHECK(loose.last.grad_norm > 1e-3);
    struct lm_config config = toy_config();
    size_t floats = (size_t)lm_floats(&config);
    struct lm_weights w;
    struct lm_train_state state;
    struct lm_fault fault;
    float *memory = mem_alloc(3 * floats * sizeof(float));
    lm_weights_lay(&config, memory, &w);
    double length[2];
    const char *const out[2] = {a.out_dir, b.out_dir};
    for (int i = 0; i < 2; i++) {
        CHECK_OK(lm_checkpoint_read(kit_path(out[i], "last"), &fault, &w, memory + floats,
                                    memory + 2 * floats, &state));
        length[i] = 0;
        for (size_t j = floats; j < 2 * floats; j++) /* m = 0.1 g after one step */
            length[i] += (double)memory[j] * (double)memory[j];
        CHECK_EQ(state.step, 1);
    }
    CHECK_NEAR(sqrt(length[0]), 0.1 * loose.last.grad_norm, 1e-6);
    CHECK_NEAR(sqrt(length[1]), 0.1 * 1e-3, 1e-8);
    mem_free(memory);
}

TEST(accumulated_micro_steps_are_one_larger_step)
{
    const char *dir = kit_tempdir();
    struct lm_train_options a = toy_options(dir, "a"), b = toy_options(dir, "b");
    a.dropout = b.dropout = 0;
    a.steps_max = b.steps_max = 3;
    b.batch = a.batch * a.accumulate;
    b.accumulate = 1;
    struct toy_result parts = toy_run(&a), whole = toy_run(&b);
    CHECK_NEAR(parts.last.loss, whole.last.loss, 1e-5);
    CHECK_NEAR(parts.last.valid_loss, whole.last.valid_loss, 1e-4);
}

/* ---- bad days ---- */

static void refused(const struct lm_train_options *o, enum err expected, const char *why)
{
    struct lm_fault fault;
    enum lm_train_end end;
    struct lm_train_progress last;
    enum err err = lm_train(o, &fault, &end, &last);
    NOTE("%s", fault.why);
    CHECK_ERR(err, expected);
    CHECK(strstr(fault.why, why) != NULL);
}

TEST(a_run_is_gone_on_with_as_it_was)
{
    const char *dir = kit_tempdir();
    struct lm_train_options o = toy_options(dir, "out");
    (void)toy_run(&o);
    refused(&o, ERR_CONFLICT, "there is a run in");
    o.resume = true;
    struct lm_train_options other = o;
    other.batch = 4;
    refused(&other, ERR_INPUT, "another batch");
    other = o;
    other.seed = 8;
    refused(&other, ERR_INPUT, "another seed");
    other = o;
    other.steps_max = 25;
    refused(&other, ERR_INPUT, "another steps");
    other = o;
    other.schedule = LM_SCHEDULE_LINEAR;
    refused(&other, ERR_INPUT, "another schedule");
    other = o;
    other.train_path = toy_tokens(dir, "other.tok", 5, 200);
    refused(&other, ERR_INPUT, "another file of training tokens");
    other = o;
    other.config.ffn = 40;
    struct lm_fault fault;
    enum lm_train_end end;
    struct lm_train_progress last;
    CHECK_ERR(lm_train(&other, &fault, &end, &last), ERR_INPUT);
    CHECK_EQ(toy_run(&o).end, LM_TRAIN_DONE); /* and nothing was harmed */
}

TEST(options_that_are_none)
{
    const char *dir = kit_tempdir();
    struct lm_train_options good = toy_options(dir, NULL), o = good;
    o.length = 65;
    refused(&o, ERR_INPUT, "length");
    o = good;
    o.learning_rate = NAN;
    refused(&o, ERR_INPUT, "learning rate");
    o = good;
    o.learning_rate = -1;
    refused(&o, ERR_INPUT, "learning rate");
    o = good;
    o.warmup = 1.5;
    refused(&o, ERR_INPUT, "warm-up");
    o = good;
    o.dropout = 1;
    refused(&o, ERR_INPUT, "dropout");
    o = good;
    o.clip = -1;
    refused(&o, ERR_INPUT, "clip");
    o = good;
    o.steps_max = 0;
    refused(&o, ERR_INPUT, "epochs");
    o = good;
    o.config.heads = 5;
    refused(&o, ERR_INPUT, "hidden_size");
    o = good;
    o.train_path = kit_path(dir, "none.tok");
    refused(&o, ERR_NOT_FOUND, "none.tok");
    o = good;
    o.config.vocab_used = 40; /* the files use more */
    refused(&o, ERR_INPUT, "");
}

TEST(epochs_are_passes_over_the_tokens)
{
    const char *dir = kit_tempdir();
    struct lm_train_options o = toy_options(dir, NULL);
    o.steps_max = 0;
    o.epochs = 0.5;
    o.valid_path = NULL;
    struct toy_result half = toy_run(&o);
    o.epochs = 1.5;
    struct toy_result more = toy_run(&o);
    CHECK(more.last.step <= 3 * half.last.step && more.last.step + 3 > 3 * half.last.step);
    CHECK_EQ(more.last.valid_loss, 0);
}

TEST(without_validation_the_newest_is_best)
{
    const char *dir = kit_tempdir();
    struct lm_train_options o = toy_options(dir, "out");
    o.valid_path = NULL;
    CHECK_EQ(toy_run(&o).end, LM_TRAIN_DONE);
    struct lm_weights a, b;
    struct lm_fault fault;
    CHECK_OK(lm_weights_read(kit_path(o.out_dir, "best"), &fault, &a));
    CHECK_OK(lm_weights_read(kit_path(o.out_dir, "last"), &fault, &b));
    CHECK_BYTES(a.block, b.block, lm_floats(&a.config) * sizeof(float));
    mem_free(a.block);
    mem_free(b.block);
}

TEST(one_run_at_a_time_in_a_folder)
{
    const char *dir = kit_tempdir();
    struct lm_train_options o = toy_options(dir, "out");
    struct file_lock lock;
    CHECK_OK(dir_make(o.out_dir, 0755));
    CHECK_OK(file_lock(kit_path(o.out_dir, "lock"), &lock));
    refused(&o, ERR_CONFLICT, "another training");
    file_unlock(&lock);
}

/* A disk that is full for everything above a few kilobytes, from the second half on. */
static void fill_disk(void *cookie, const struct lm_train_progress *progress)
{
    (void)cookie;
    if (progress->step == 12) {
        struct rlimit limit = {8192, 8192};
        (void)signal(SIGXFSZ, SIG_IGN);
        (void)setrlimit(RLIMIT_FSIZE, &limit);
    }
}

TEST(full_disk_leaves_the_checkpoint_before)
{
    const char *dir = kit_tempdir();
    struct lm_train_options whole = toy_options(dir, "whole"), o = toy_options(dir, "full");
    (void)toy_run(&whole);
    o.progress = fill_disk;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        struct lm_fault fault;
        enum lm_train_end end;
        struct lm_train_progress last;
        enum err err = lm_train(&o, &fault, &end, &last);
        bool said = strstr(fault.why, "could not be written") != NULL;
        _exit(err == ERR_OK ? 2 : said ? 0 : 3);
    }
    int status = 0;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(WEXITSTATUS(status), 0);
    resume_to_the_end(o, whole.out_dir);
}

TEST(every_failed_allocation_is_an_answer)
{
    const char *dir = kit_tempdir();
    struct lm_train_options o = toy_options(dir, NULL);
    o.steps_max = 1;
    o.batch = o.accumulate = 1;
    o.length = 16;
    o.valid_path = NULL;
    for (uint32_t nth = 1;; nth++) {
        struct lm_fault fault;
        enum lm_train_end end;
        struct lm_train_progress last;
        int64_t live = mem_live();
        mem_fail_at(nth);
        enum err err = lm_train(&o, &fault, &end, &last);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        NOTE("allocation %u: %s", nth, fault.why);
        CHECK_EQ(mem_live(), live);
        if (!fired)
            break;
        CHECK_ERR(err, ERR_NOMEM);
    }
}
