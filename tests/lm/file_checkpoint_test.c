/* Checkpoints: exact, whole or absent, and only for the model that they are of. */
#include "kit/kit.h"
#include "lm/file/file_int.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct run {
    struct lm_weights weights;
    float *m, *v;
    struct lm_train_state state;
};

static void run_make(struct run *run, uint64_t step)
{
    struct lm_config config = {.name = "toy",
                               .hidden = 16,
                               .layers = 1,
                               .heads = 2,
                               .kv_heads = 1,
                               .ffn = 8,
                               .top_k = 2,
                               .domains = 2,
                               .context = 8,
                               .vocab = 40,
                               .vocab_used = 30,
                               .rope_theta = 10000,
                               .norm_eps = 1e-6F};
    size_t floats = lm_floats(&config);
    float *block = mem_zalloc(3 * floats * sizeof(*block));
    CHECK(block != NULL);
    lm_weights_lay(&config, block, &run->weights);
    run->m = block + floats;
    run->v = run->m + floats;
    lm_weights_random(&run->weights, step);
    for (size_t i = 0; i < floats; i++) {
        run->m[i] = (float)(step + i);
        run->v[i] = 1 / (float)(step + i + 1);
    }
    run->state = (struct lm_train_state){.step = step,
                                         .cursor = 77,
                                         .epoch = 1,
                                         .tokens = 123456789012u,
                                         .seed = 0xFFFFFFFFFFFFFFFFu,
                                         .rng = {1, 0x8000000000000000u, 3, 0xDEADBEEFCAFEF00Du},
                                         .best_valid_loss = step == 1 ? INFINITY : 1 / 3.0,
                                         .bad_validations = 2,
                                         .shape = {.steps = 1000,
                                                   .batch = 8,
                                                   .length = 256,
                                                   .accumulate = 2,
                                                   .learning_rate = 6e-4,
                                                   .weight_decay = 0.01,
                                                   .warmup = 0.02,
                                                   .clip = 1,
                                                   .dropout = 0.1,
                                                   .schedule = 1,
                                                   .precision = 1}};
}

static void run_finish(struct run *run)
{
    mem_free(run->weights.block);
}

static enum err run_write(const char *dir, const struct run *run)
{
    return lm_checkpoint_write(dir, &run->weights, run->m, run->v, &run->state);
}

static bool same_state(const struct lm_train_state *a, const struct lm_train_state *b)
{
    struct buf left, right;
    buf_init(&left, 64 * KIB);
    buf_init(&right, 64 * KIB);
    CHECK_OK(lm_state_json(a, &left));
    CHECK_OK(lm_state_json(b, &right));
    bool same = str_equal(buf_str(&left), buf_str(&right)) && a->seed == b->seed &&
                memcmp(a->rng, b->rng, sizeof(a->rng)) == 0 &&
                memcmp(&a->best_valid_loss, &b->best_valid_loss, sizeof(double)) == 0 &&
                memcmp(&a->shape.learning_rate, &b->shape.learning_rate, sizeof(double)) == 0;
    buf_finish(&left);
    buf_finish(&right);
    return same;
}

/* What is in `dir` is this run, to the bit. */
static bool holds(const char *dir, const struct run *run)
{
    struct run read;
    struct lm_fault fault;
    size_t bytes = 3 * lm_floats(&run->weights.config) * sizeof(float);
    run_make(&read, 99);
    enum err err = lm_checkpoint_read(dir, &fault, &read.weights, read.m, read.v, &read.state);
    NOTE("%s %s", err_name(err), fault.why);
    bool same = err == ERR_OK && memcmp(read.weights.block, run->weights.block, bytes) == 0 &&
                same_state(&read.state, &run->state);
    run_finish(&read);
    return same;
}

TEST(everything_comes_back_to_the_bit)
{
    struct run one, two;
    const char *dir = kit_path(kit_tempdir(), "last");
    run_make(&one, 1);
    run_make(&two, 2);
    CHECK_OK(run_write(dir, &one));
    CHECK(holds(dir, &one));
    CHECK_OK(run_write(kit_path(dir, ""), &two)); /* a slash at the end is the same folder */
    CHECK(holds(dir, &two));
    CHECK(!path_exists(kit_path(dir, "../last.saving")));
    CHECK(!path_exists(kit_path(dir, "../last.replaced")));
    run_finish(&one);
    run_finish(&two);
}

TEST(what_lies_beside_the_weights_stays)
{
    struct run one;
    const char *dir = kit_path(kit_tempdir(), "last");
    size_t len;
    run_make(&one, 1);
    CHECK_OK(run_write(dir, &one));
    CHECK_OK(file_write_atomic(kit_path(dir, "tokenizer.json"), "{1}", 3, 0600));
    CHECK_OK(run_write(dir, &one));
    CHECK_STR(kit_read_file(kit_path(dir, "tokenizer.json"), &len), "{1}");
    run_finish(&one);
}

static uint32_t steps_left;

static void die_at_zero(void)
{
    if (steps_left-- == 0)
        _exit(7);
}

/* A child writes `run` and dies before its nth change on the disk; true when it did die. */
static bool crash_at(const char *dir, const struct run *run, uint32_t nth)
{
    int status = 0;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        steps_left = nth;
        lm_disk_step = die_at_zero;
        _exit(run_write(dir, run) == ERR_OK ? 0 : 1);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) != 1);
    return WEXITSTATUS(status) == 7;
}

TEST(a_crash_at_any_step_leaves_the_old_or_the_new)
{
    struct run old, new;
    uint32_t nth = 0, olds = 0, news = 0;
    run_make(&old, 1);
    run_make(&new, 2);
    const char *dir = kit_path(kit_tempdir(), "last");
    CHECK_OK(run_write(dir, &old));
    for (bool died = true; died; nth++) {
        died = crash_at(dir, &new, nth);
        /* Between the renames: a second crash while the first is put right. */
        for (uint32_t again = 0; !path_exists(dir) && again < 4; again++)
            (void)crash_at(dir, &old, again);
        bool is_old = holds(dir, &old);
        bool is_new = holds(dir, &new);
        NOTE("crash before change %u", nth);
        CHECK(is_old || is_new);
        olds += is_old;
        news += is_new;
        if (nth % 8 == 0 || is_new) {
            CHECK_OK(run_write(dir, &old)); /* and the next save works */
            CHECK(holds(dir, &old));
            CHECK(!path_exists(kit_path(dir, "../last.saving")));
        }
        CHECK_OK(lm_disk_remove_dir(kit_path(dir, "../last.saving"))); /* each begins alike */
        CHECK_OK(lm_disk_remove_dir(kit_path(dir, "../last.replaced")));
    }
    CHECK(nth > 20);
    CHECK(olds > 10);
    CHECK(news > 0);
    run_finish(&old);
    run_finish(&new);
}

TEST(a_crash_in_the_first_save_leaves_none_or_it)
{
    struct run one;
    struct run read;
    struct lm_fault fault;
    run_make(&one, 1);
    run_make(&read, 2);
    bool died = true;
    for (uint32_t nth = 0; died; nth++) {
        const char *dir = kit_path(kit_tempdir(), "last");
        died = crash_at(dir, &one, nth);
        enum err err = lm_checkpoint_read(dir, &fault, &read.weights, read.m, read.v, &read.state);
        CHECK(err == ERR_NOT_FOUND || holds(dir, &one));
        if (nth % 8 != 0)
            continue;
        CHECK_OK(run_write(dir, &one));
        CHECK(holds(dir, &one));
    }
    run_finish(&one);
    run_finish(&read);
}

TEST(a_full_disk_keeps_the_old_checkpoint)
{
    struct run old, new;
    struct rlimit before, tight;
    const char *dir = kit_path(kit_tempdir(), "last");
    run_make(&old, 1);
    run_make(&new, 2);
    CHECK_OK(run_write(dir, &old));
    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    for (rlim_t bytes = 0; bytes < 24000; bytes += 2997) {
        tight = (struct rlimit){bytes, before.rlim_max};
        CHECK_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
        enum err err = run_write(dir, &new);
        CHECK_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
        NOTE("%u bytes", (unsigned)bytes);
        if (err == ERR_OK)
            break;
        CHECK_ERR(err, ERR_IO);
        CHECK(holds(dir, &old));
        CHECK(!path_exists(kit_path(dir, "../last.saving")));
    }
    (void)signal(SIGXFSZ, handler);
    run_finish(&old);
    run_finish(&new);
}

static void check_other(const char *dir, struct run *read, const char *field)
{
    struct lm_fault fault;
    CHECK_ERR(lm_checkpoint_read(dir, &fault, &read->weights, read->m, read->v, &read->state),
              ERR_INPUT);
    NOTE("%s", fault.why);
    CHECK(strstr(fault.why, field) != NULL);
}

TEST(another_models_checkpoint_is_refused_by_the_fields_name)
{
    struct run one, read;
    const char *dir = kit_path(kit_tempdir(), "last");
    run_make(&one, 1);
    CHECK_OK(run_write(dir, &one));
    run_make(&read, 2);
    struct lm_config *config = &read.weights.config;
    config->hidden = 18;
    check_other(dir, &read, "hidden_size is 16 in the checkpoint and 18 here");
    config->hidden = 16;
    config->layers = 2;
    check_other(dir, &read, "num_hidden_layers");
    config->layers = 1;
    config->vocab_used = 31;
    check_other(dir, &read, "vocab_used");
    config->vocab_used = 30;
    config->norm = LM_NORM_POST;
    check_other(dir, &read, "norm");
    config->norm = LM_NORM_PRE;
    CHECK(holds(dir, &one));
    run_finish(&one);
    run_finish(&read);
}

TEST(a_folder_that_is_not_whole_is_not_the_same_as_none)
{
    static const char *const parts[] = {"config.json", "model.safetensors", "state.json",
                                        "state.safetensors"};
    struct run one;
    run_make(&one, 1);
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        const char *dir = kit_path(kit_tempdir(), "last");
        CHECK_OK(run_write(dir, &one));
        CHECK_EQ(unlink(kit_path(dir, parts[i])), 0);
        check_other(dir, &one, parts[i]);
    }
    run_finish(&one);
}

TEST(a_wrong_state_is_refused_by_name)
{
    struct run one;
    struct buf buf;
    struct lm_fault fault;
    struct lm_train_state state;
    run_make(&one, 2);
    buf_init(&buf, 64 * KIB);
    CHECK_OK(lm_state_json(&one.state, &buf));
    for (size_t len = 0; len + 1 < buf.len; len++) {
        char *copy = kit_guard_page(buf.at, len);
        CHECK_ERR(lm_state_parse((struct str){copy, len}, &fault, &state), ERR_INPUT);
        kit_free_guard(copy);
    }
    CHECK_OK(lm_state_parse(buf_str(&buf), &fault, &state));
    CHECK_ERR(lm_state_parse(STR("{}"), &fault, &state), ERR_INPUT);
    CHECK(strstr(fault.why, "step") != NULL);
    CHECK_ERR(lm_state_parse(STR("[]"), &fault, &state), ERR_INPUT);
    buf_finish(&buf);
    run_finish(&one);
}

TEST(saving_survives_failed_allocations)
{
    struct run old, new;
    const char *dir = kit_path(kit_tempdir(), "last");
    run_make(&old, 1);
    run_make(&new, 2);
    CHECK_OK(run_write(dir, &old));
    for (uint32_t nth = 1;; nth++) {
        mem_fail_at(nth);
        enum err err = run_write(dir, &new);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        if (!fired)
            break;
        CHECK_ERR(err, ERR_NOMEM);
        CHECK(holds(dir, &old));
    }
    CHECK(holds(dir, &new));
    run_finish(&old);
    run_finish(&new);
}
