/* What the tests of training share: a toy model, a toy language, a run. */
#ifndef AUTOMAT_TESTS_LM_TRAIN_KIT_H
#define AUTOMAT_TESTS_LM_TRAIN_KIT_H

#include "kit/kit.h"
#include "lm/train/train_int.h"

#include <stdio.h>
#include <string.h>

#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOY_USED 48u

static inline struct lm_config toy_config(void)
{
    return (struct lm_config){.name = "toy",
                              .hidden = 32,
                              .layers = 2,
                              .heads = 4,
                              .kv_heads = 2,
                              .ffn = 48,
                              .top_k = 2,
                              .domains = 8,
                              .context = 64,
                              .vocab = 64,
                              .vocab_used = TOY_USED,
                              .rope_theta = 10000,
                              .norm_eps = 1e-6F,
                              .dropout = 0.1F,
                              .aux = 0.01F};
}

/* A dialogue of a language that can be learned: a quiet start, then each token is the one before
 * plus a stride that the start names. */
static inline size_t toy_dialogue(struct rng *rng, uint16_t ids[40])
{
    uint32_t stride = 1 + rng_below(rng, 3), count = 8 + rng_below(rng, 24),
             at = rng_below(rng, 30);
    ids[0] = LM_BEGIN | LM_TOKEN_QUIET;
    ids[1] = (uint16_t)((LM_SPECIALS + stride) | LM_TOKEN_QUIET);
    for (uint32_t i = 2; i < count; i++, at = (at + stride) % 30)
        ids[i] = (uint16_t)(LM_SPECIALS + 1 + at);
    ids[count] = LM_END;
    return count + 1;
}

static inline const char *toy_tokens(const char *dir, const char *name, uint64_t seed,
                                     uint32_t dialogues)
{
    const char *path = kit_path(dir, name);
    struct lm_tokens_writer *writer;
    struct rng rng;
    rng_init(&rng, seed);
    CHECK_OK(lm_tokens_writer_create(path, TOY_USED, &writer));
    for (uint32_t i = 0; i < dialogues; i++) {
        uint16_t ids[40];
        CHECK_OK(lm_tokens_writer_add(writer, ids, toy_dialogue(&rng, ids)));
    }
    CHECK_OK(lm_tokens_writer_finish(writer));
    return path;
}

/* 24 steps, with a validation and a checkpoint every 6. */
static inline struct lm_train_options toy_options(const char *dir, const char *out)
{
    return (struct lm_train_options){
        .config = toy_config(),
        .train_path = toy_tokens(dir, "train.tok", 1, 200),
        .valid_path = toy_tokens(dir, "valid.tok", 2, 20),
        .out_dir = out != NULL ? kit_path(dir, out) : NULL,
        .steps_max = 24,
        .batch = 2,
        .length = 48,
        .accumulate = 2,
        .learning_rate = 3e-3,
        .weight_decay = 0.1,
        .warmup = 0.1,
        .dropout = -1,
        .seed = 7,
        .threads = 1,
        .validate_every = 6,
        .patience = UINT32_MAX,
    };
}

struct toy_result {
    enum lm_train_end end;
    struct lm_train_progress last;
    struct lm_fault fault;
};

static inline struct toy_result toy_run(const struct lm_train_options *options)
{
    struct toy_result result = {.end = LM_TRAIN_STOPPED};
    enum err err = lm_train(options, &result.fault, &result.end, &result.last);
    NOTE("%s", result.fault.why);
    CHECK_OK(err);
    return result;
}

static inline void same_file(const char *a_dir, const char *b_dir, const char *name)
{
    size_t a_len, b_len;
    const char *a = kit_read_file(kit_path(a_dir, name), &a_len);
    const char *b = kit_read_file(kit_path(b_dir, name), &b_len);
    NOTE("%s of %s and of %s", name, a_dir, b_dir);
    CHECK_EQ(a_len, b_len);
    CHECK(memcmp(a, b, a_len) == 0);
}

/* metrics.csv without its last column, which is a speed. */
static inline void same_metrics(const char *a_dir, const char *b_dir)
{
    size_t len;
    struct str a = {kit_read_file(kit_path(a_dir, "metrics.csv"), &len), 0};
    a.len = len;
    struct str b = {kit_read_file(kit_path(b_dir, "metrics.csv"), &len), 0};
    b.len = len;
    for (int line = 0; a.len > 0 || b.len > 0; line++) {
        size_t a_end = str_find(a, '\n'), b_end = str_find(b, '\n');
        size_t a_cut = a_end, b_cut = b_end;
        while (a_cut > 0 && a.at[a_cut - 1] != ',')
            a_cut--;
        while (b_cut > 0 && b.at[b_cut - 1] != ',')
            b_cut--;
        NOTE("line %d: %.*s", line, (int)b_cut, b.at);
        CHECK_EQ(a_cut, b_cut);
        CHECK(memcmp(a.at, b.at, a_cut) == 0);
        a = str_slice(a, a_end + 1, a.len);
        b = str_slice(b, b_end + 1, b.len);
    }
}

static inline void same_run(const char *a_dir, const char *b_dir)
{
    static const char *const files[] = {"best/config.json", "best/model.safetensors",
                                        "last/config.json", "last/model.safetensors",
                                        "last/state.json",  "last/state.safetensors"};
    for (size_t i = 0; i < ARRAY_COUNT(files); i++)
        same_file(a_dir, b_dir, files[i]);
    same_metrics(a_dir, b_dir);
}

static inline void resume_to_the_end(struct lm_train_options o, const char *whole_dir)
{
    o.resume = true;
    o.progress = NULL;
    o.stop = NULL;
    struct toy_result result = toy_run(&o);
    CHECK_EQ(result.end, LM_TRAIN_DONE);
    CHECK_EQ(result.last.step, o.steps_max);
    same_run(whole_dir, o.out_dir);
}

/* Runs in a child; true: it was killed. */
static inline bool run_child(const struct lm_train_options *o, int timer_us)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        struct lm_fault fault;
        enum lm_train_end end;
        struct lm_train_progress last;
        struct itimerval timer = {.it_value = {.tv_usec = timer_us}};
        (void)signal(SIGALRM, SIG_DFL); /* as final as SIGKILL, and comes from the clock */
        if (timer_us > 0)
            (void)setitimer(ITIMER_REAL, &timer, NULL);
        enum err err = lm_train(o, &fault, &end, &last);
        _exit(err == ERR_OK ? 0 : 1);
    }
    int status = 0;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

#endif
