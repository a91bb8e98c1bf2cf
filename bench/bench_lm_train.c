/* bench_lm_train: training steps of one of the three models on random tokens, through lm_train
 * itself.
 *
 *     bench_lm_train --model tanka --precision f32 --steps 4 --vocab-used 30000 --threads 2 --dir
 * SCRATCH
 *
 * Prints one line of JSON: tokens/s from the end of the first step to the end of the last, and the
 * peak resident memory of the whole process.  Dropout is on, as for the peer. */
#include "lm/lm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

struct clock_of {
    double first_s, last_s;
    uint64_t first_tokens, last_tokens;
    double loss;
};

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void stepped(void *cookie, const struct lm_train_progress *progress)
{
    struct clock_of *clock = cookie;
    if (progress->step == progress->steps)
        return; /* after the last step the run is judged and saved, which is not training */
    if (clock->first_tokens == 0) {
        clock->first_s = now_s();
        clock->first_tokens = progress->tokens;
    }
    clock->last_s = now_s();
    clock->last_tokens = progress->tokens;
    clock->loss = progress->loss;
}

/* Dialogues of 255 random ids, each beginning with LM_BEGIN, every token scored. */
static enum err random_tokens(const char *path, uint32_t vocab_used, uint32_t dialogues)
{
    struct lm_tokens_writer *writer;
    struct rng rng;
    enum err err = lm_tokens_writer_create(path, vocab_used, &writer);
    if (err != ERR_OK)
        return err;
    rng_init(&rng, 7);
    for (uint32_t d = 0; d < dialogues; d++) {
        uint16_t ids[257] = {LM_BEGIN};
        for (uint32_t i = 1; i < 257; i++)
            ids[i] = (uint16_t)(LM_SPECIALS + rng_below(&rng, vocab_used - LM_SPECIALS));
        err = lm_tokens_writer_add(writer, ids, 257);
        if (err != ERR_OK) {
            lm_tokens_writer_destroy(writer);
            return err;
        }
    }
    return lm_tokens_writer_finish(writer);
}

static const char *argument(int argc, char **argv, const char *name, const char *preset)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    }
    return preset;
}

static long peak_kib(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

int main(int argc, char **argv)
{
    const char *dir = argument(argc, argv, "--dir", ".");
    const char *name = argument(argc, argv, "--model", "tanka");
    uint32_t steps = (uint32_t)strtoul(argument(argc, argv, "--steps", "4"), NULL, 10);
    struct lm_fault fault = {0};
    struct clock_of clock = {0};
    char path[512];
    struct lm_train_options options = {
        .out_dir = dir,
        .steps_max = steps + 1,
        .epochs = 1000,
        .batch = 8,
        .length = 256,
        .weight_decay = -1,
        .warmup = -1,
        .dropout = -1,
        .learning_rate = 1e-4,
        .validate_every = 1000000,
        .save_every = 1000000,
        .patience = UINT32_MAX,
        .threads = (uint32_t)strtoul(argument(argc, argv, "--threads", "2"), NULL, 10),
        .precision = strcmp(argument(argc, argv, "--precision", "f32"), "bf16") == 0
                         ? LM_PRECISION_BF16
                         : LM_PRECISION_F32,
        .progress = stepped,
        .cookie = &clock,
    };
    if (!lm_config_named(str_from(name), &options.config) || steps < 2) {
        (void)fprintf(stderr, "bench_lm_train: --model tanka|villanelle|ode, --steps 2..\n");
        return 2;
    }
    options.config.vocab_used =
        (uint32_t)strtoul(argument(argc, argv, "--vocab-used", "30000"), NULL, 10);
    (void)snprintf(path, sizeof(path), "%s/random.tok", dir);
    enum err err = random_tokens(path, options.config.vocab_used, 64);
    options.train_path = options.valid_path = path;
    enum lm_train_end end = LM_TRAIN_DONE;
    struct lm_train_progress last;
    if (err == ERR_OK)
        err = lm_train(&options, &fault, &end, &last);
    if (err != ERR_OK || clock.last_tokens == clock.first_tokens) {
        (void)fprintf(stderr, "bench_lm_train: %s: %s\n", err_name(err), fault.why);
        return 1;
    }
    (void)printf("{\"what\":\"train\",\"model\":\"%s\",\"precision\":\"%s\",\"vocab\":%u,"
                 "\"threads\":%u,\"tok_s\":%.1f,\"loss\":%.4f,\"peak_mib\":%.0f,\"isa\":\"%s\"}\n",
                 name, options.precision == LM_PRECISION_BF16 ? "bf16" : "f32",
                 options.config.vocab_used, options.threads,
                 (double)(clock.last_tokens - clock.first_tokens) / (clock.last_s - clock.first_s),
                 clock.loss, (double)peak_kib() / 1024, lm_isa_name());
    return 0;
}
