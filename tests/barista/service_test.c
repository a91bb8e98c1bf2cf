/* The service over a toy model: asked, left, loaded again, ended in the middle; what paths it
 * takes; jobs of a program that is a script. */
#include "barista/service_int.h"
#include "kit/kit.h"
#include "lm/file/file_int.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The one folder of a test. */
static const char *folder(void)
{
    static char path[200];
    if (path[0] == 0 || !path_exists(path))
        CHECK_OK(str_copy(path, sizeof(path), str_from(kit_tempdir())));
    return path;
}

/* ---- a toy ---- */

static const char *top; /* this test's folder */

static bool no_text(void *cookie, struct str *ret_text)
{
    int *left = cookie;
    *ret_text = STR("what is a lungo? a lungo is long. ");
    return (*left)-- > 0;
}

static void toy_write(const char *models, const char *name)
{
    struct lm_config config = {.hidden = 16,
                               .layers = 1,
                               .heads = 2,
                               .kv_heads = 1,
                               .ffn = 16,
                               .top_k = 2,
                               .domains = 8,
                               .context = 128,
                               .rope_theta = 10000,
                               .norm_eps = 1e-6F,
                               .norm = LM_NORM_PRE};
    struct lm_tokenizer *tokenizer;
    int left = 2;
    const char *dir = kit_path(models, name);
    CHECK_OK(dir_make(dir, 0700));
    CHECK_OK(str_copy(config.name, sizeof(config.name), str_from(name)));
    CHECK_OK(lm_tokenizer_train(no_text, &left, 280, &tokenizer));
    config.vocab = config.vocab_used = lm_tokenizer_vocab(tokenizer);
    CHECK_OK(lm_tokenizer_write(tokenizer, kit_path(dir, "tokenizer.json")));
    lm_tokenizer_destroy(tokenizer);
    struct lm_weights weights;
    float *block = mem_alloc(lm_floats(&config) * sizeof(float));
    CHECK(block != NULL);
    lm_weights_lay(&config, block, &weights);
    lm_weights_random(&weights, 5);
    CHECK_OK(lm_weights_write(dir, &weights, LM_F32));
    mem_free(block);
}

/* ---- one service ---- */

struct asked {
    struct loop *loop;
    struct barista *barista;
    int pieces, dones;
    enum err err;
    uint32_t made, prompt;
    size_t text_len, class_count;
};

static void begin_with(struct asked *asked, const struct barista_options *options)
{
    *asked = (struct asked){0};
    log_init(LOG_ERROR, true);
    CHECK_OK(loop_create(&asked->loop));
    struct barista_options with = *options;
    with.loop = asked->loop;
    with.threads = 1;
    CHECK_OK(barista_create(&with, &asked->barista));
}

static void finish(struct asked *asked)
{
    barista_destroy(asked->barista);
    loop_destroy(asked->loop);
}

static void piece(void *cookie, struct str text)
{
    struct asked *asked = cookie;
    asked->pieces++;
    CHECK(text.len > 0);
}

static void done(void *cookie, enum err err, const struct barista_answer *answer)
{
    struct asked *asked = cookie;
    asked->dones++;
    asked->err = err;
    if (err != ERR_OK)
        return;
    asked->made = answer->result->made_ids;
    asked->prompt = answer->result->prompt_ids;
    asked->text_len = answer->text.len;
    asked->class_count = answer->class_count;
}

static enum err ask(struct asked *asked, const struct barista_ask *what,
                    struct barista_wait **ret_wait)
{
    struct lm_fault fault;
    return barista_begin(asked->barista, what, &fault, piece, done, asked, ret_wait);
}

static void until_done(struct asked *asked, int dones)
{
    while (asked->dones < dones)
        CHECK(loop_turn_wait(asked->loop));
}

static const struct barista_ask go_on = {.kind = BARISTA_ASK_GENERATE,
                                         .model = STR_INIT("tanka"),
                                         .text = STR_INIT("a lungo"),
                                         .max_tokens = 12,
                                         .sampling = {.temperature = 1, .seed = 3}};

TEST(a_question_is_answered_once)
{
    top = folder();
    struct asked asked;
    struct barista_wait *wait;
    toy_write(top, "tanka");
    begin_with(&asked, &(struct barista_options){.models_dir = top});
    CHECK_OK(ask(&asked, &go_on, &wait));
    CHECK_EQ(asked.dones, 0);
    until_done(&asked, 1);
    CHECK_OK(asked.err);
    CHECK(asked.made > 0 && asked.made <= 12);
    struct barista_stats stats = barista_stats_get(asked.barista);
    CHECK_EQ(stats.load.requests, 1);
    CHECK_EQ(stats.under_way, 0);
    CHECK_EQ(stats.models, 1);
    finish(&asked);
    CHECK_EQ(asked.dones, 1);
}

TEST(who_cannot_answer_says_why)
{
    top = folder();
    struct asked asked;
    struct barista_wait *wait;
    struct barista_ask other = go_on;
    begin_with(&asked, &(struct barista_options){.models_dir = top});
    CHECK_ERR(ask(&asked, &other, &wait), ERR_CLOSED);
    other.model = STR("gpt");
    CHECK_ERR(ask(&asked, &other, &wait), ERR_NOT_FOUND);
    other.model = STR("tanka");
    other.kind = BARISTA_ASK_SUMMARIZE;
    CHECK_ERR(ask(&asked, &other, &wait), ERR_REFUSED);
    struct barista_model_info info;
    CHECK(barista_model_find(asked.barista, STR("ode"), &info));
    CHECK(!info.trained);
    CHECK_STR(info.why, "no file");
    CHECK(barista_facts_why(asked.barista) != NULL);
    finish(&asked);
}

TEST(a_text_that_does_not_fit_is_refused)
{
    top = folder();
    struct asked asked;
    struct barista_wait *wait;
    char text[2000];
    struct barista_ask other = go_on;
    memset(text, 'q', sizeof(text));
    other.text = (struct str){text, sizeof(text)};
    toy_write(top, "tanka");
    begin_with(&asked, &(struct barista_options){.models_dir = top});
    CHECK_ERR(ask(&asked, &other, &wait), ERR_INPUT);
    finish(&asked);
    CHECK_EQ(asked.dones, 0);
}

TEST(who_leaves_hears_nothing)
{
    top = folder();
    struct asked asked;
    struct barista_wait *wait[3];
    toy_write(top, "tanka");
    begin_with(&asked, &(struct barista_options){.models_dir = top});
    for (int i = 0; i < 3; i++)
        CHECK_OK(ask(&asked, &go_on, &wait[i]));
    barista_cancel(wait[0]);
    barista_cancel(wait[2]);
    until_done(&asked, 1);
    while (barista_stats_get(asked.barista).under_way > 0)
        CHECK(loop_turn_wait(asked.loop));
    CHECK_EQ(asked.dones, 1);
    CHECK_EQ(barista_stats_get(asked.barista).cancelled, 2);
    finish(&asked);
}

/* The kit looks for what was not given back. */
TEST(it_may_end_in_the_middle)
{
    top = folder();
    struct asked asked;
    struct barista_wait *wait;
    toy_write(top, "tanka");
    begin_with(&asked, &(struct barista_options){.models_dir = top});
    for (int i = 0; i < 8; i++)
        CHECK_OK(ask(&asked, &go_on, &wait));
    CHECK_OK(barista_reload(asked.barista, STR("tanka"), NULL, NULL));
    finish(&asked);
    CHECK_EQ(asked.dones, 0);
}

static void loaded(void *cookie, enum err err, const struct lm_fault *fault)
{
    (void)fault;
    *(enum err *)cookie = err;
}

static enum err reload(struct asked *asked)
{
    enum err err = ERR_AGAIN;
    CHECK_OK(barista_reload(asked->barista, STR("tanka"), loaded, &err));
    CHECK_ERR(barista_reload(asked->barista, STR("tanka"), loaded, &err), ERR_CONFLICT);
    while (err == ERR_AGAIN)
        CHECK(loop_turn_wait(asked->loop));
    return err;
}

TEST(newer_weights_are_taken_while_the_old_ones_answer)
{
    top = folder();
    struct asked asked;
    struct barista_wait *wait;
    toy_write(top, "tanka");
    begin_with(&asked, &(struct barista_options){.models_dir = top});
    for (int i = 0; i < 4; i++)
        CHECK_OK(ask(&asked, &go_on, &wait));
    CHECK_OK(reload(&asked));
    CHECK_OK(ask(&asked, &go_on, &wait));
    until_done(&asked, 5);
    CHECK_OK(asked.err);
    while (barista_stats_get(asked.barista).under_way > 0)
        CHECK(loop_turn_wait(asked.loop));
    CHECK_EQ(barista_stats_get(asked.barista).load.requests, 5);
    /* What cannot be loaded takes nothing away. */
    CHECK_EQ(unlink(kit_path(kit_path(top, "tanka"), "tokenizer.json")), 0);
    CHECK_ERR(reload(&asked), ERR_INPUT);
    CHECK_OK(ask(&asked, &go_on, &wait));
    until_done(&asked, 6);
    CHECK_OK(asked.err);
    finish(&asked);
}

TEST(memory_that_runs_out_is_an_answer)
{
    top = folder();
    struct asked asked;
    struct barista_wait *wait;
    toy_write(top, "tanka");
    begin_with(&asked, &(struct barista_options){.models_dir = top});
    CHECK_OK(ask(&asked, &go_on, &wait)); /* the engine's own first */
    until_done(&asked, 1);
    for (uint32_t nth = 1;; nth++) {
        NOTE("allocation %u", nth);
        mem_fail_at(nth);
        enum err err = ask(&asked, &go_on, &wait);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        if (!fired) {
            CHECK_OK(err);
            break;
        }
        CHECK(err == ERR_NOMEM);
        CHECK_EQ(barista_stats_get(asked.barista).under_way, 0);
    }
    until_done(&asked, 2);
    finish(&asked);
}

/* With no time at all it is too late before it can begin. */
TEST(a_question_whose_turn_never_came_has_no_answer)
{
    top = folder();
    struct asked asked;
    struct barista_wait *wait;
    toy_write(top, "tanka");
    begin_with(&asked, &(struct barista_options){.models_dir = top});
    asked.barista->deadline_s = 0;
    CHECK_OK(ask(&asked, &go_on, &wait));
    until_done(&asked, 1);
    CHECK_ERR(asked.err, ERR_TIMEOUT);
    CHECK_EQ(asked.pieces, 0);
    asked.barista->deadline_s = 600;
    CHECK_OK(ask(&asked, &go_on, &wait));
    until_done(&asked, 2);
    CHECK_OK(asked.err);
    finish(&asked);
}

/* ---- what suits a model ---- */

static void suits(const char *json)
{
    const char *path = kit_path(kit_path(folder(), "tanka"), "generation.json");
    CHECK_OK(file_write_atomic(path, json, strlen(json), 0600));
}

static uint32_t prompt_of(const char *json, const struct barista_turn *turns, size_t count)
{
    struct asked asked;
    struct barista_wait *wait;
    suits(json);
    begin_with(&asked, &(struct barista_options){.models_dir = folder()});
    CHECK_OK(ask(&asked,
                 &(struct barista_ask){.kind = BARISTA_ASK_CHAT,
                                       .model = STR("tanka"),
                                       .turns = turns,
                                       .turn_count = count,
                                       .max_tokens = 4},
                 &wait));
    until_done(&asked, 1);
    CHECK_OK(asked.err);
    finish(&asked);
    return asked.prompt;
}

TEST(a_talk_gives_way_before_positions_that_were_not_trained)
{
    struct barista_turn *turn = mem_alloc(9 * sizeof(*turn));
    CHECK(turn != NULL);
    toy_write(folder(), "tanka");
    for (size_t i = 0; i < 9; i++)
        turn[i] = (struct barista_turn){.role = i % 2 == 0 ? BARISTA_USER : BARISTA_ASSISTANT,
                                        .text = STR("qz qz qz")};
    uint32_t whole = prompt_of("{}", turn, 9);
    CHECK(whole > 80);
    CHECK_EQ(prompt_of("{\"prompt_max\": 5000}", turn, 9), whole);
    uint32_t cut = prompt_of("{\"prompt_max\": 50}", turn, 9);
    CHECK(cut > 25 && cut <= 50);
    /* The last question is asked, however long. */
    turn[8].text = STR("qz qz qz qz qz qz qz qz qz qz qz qz qz qz qz qz qz qz qz qz qz qz qz");
    uint32_t alone = prompt_of("{\"prompt_max\": 50}", turn + 8, 1);
    CHECK(alone > 50);
    CHECK_EQ(prompt_of("{\"prompt_max\": 50}", turn, 9), alone);
    mem_free(turn);
}

TEST(what_suits_a_model_is_known_or_refused)
{
    struct asked asked;
    struct barista_model_info info;
    toy_write(folder(), "tanka");
    suits("{\"temperature\": 0.25, \"prompt_max\": 64}");
    begin_with(&asked, &(struct barista_options){.models_dir = folder()});
    CHECK(barista_model_find(asked.barista, STR("tanka"), &info));
    CHECK(info.generation->has_sampling);
    CHECK_NEAR(info.generation->sampling.temperature, 0.25, 0);
    CHECK_EQ(info.generation->prompt_max, 64);
    finish(&asked);
    suits("{\"temperature\": -1}");
    begin_with(&asked, &(struct barista_options){.models_dir = folder()});
    CHECK(barista_model_find(asked.barista, STR("tanka"), &info));
    CHECK(!info.trained);
    CHECK(strstr(info.why, "temperature") != NULL);
    finish(&asked);
}

/* ---- paths ---- */

TEST(a_job_reads_inside_only)
{
    top = folder();
    struct asked asked;
    struct lm_fault fault;
    char path[SERVICE_PATH_BYTES];
    CHECK_OK(dir_make(kit_path(top, "corpus/facts"), 0700));
    CHECK_OK(dir_make(kit_path(top, "data/texts"), 0700));
    CHECK_OK(dir_make(kit_path(top, "corpus-2"), 0700));
    CHECK_EQ(symlink(kit_path(top, "corpus-2"), kit_path(top, "data/link")), 0);
    begin_with(&asked, &(struct barista_options){.corpus_dir = kit_path(top, "corpus"),
                                                 .data_dir = kit_path(top, "data")});
    static const struct {
        const char *given;
        enum err err;
    } rows[] = {{"", ERR_OK},
                {"corpus", ERR_OK},
                {"corpus/", ERR_OK},
                {"facts", ERR_OK},
                {"texts", ERR_OK},
                {"./texts", ERR_OK},
                {"link", ERR_DENIED},
                {"corpus-2", ERR_DENIED},
                {"..", ERR_DENIED},
                {"texts/..", ERR_DENIED},
                {"texts/../../corpus-2", ERR_DENIED},
                {"/", ERR_DENIED},
                {"none", ERR_NOT_FOUND}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        NOTE("%s", rows[i].given);
        CHECK_ERR(service_data_path(asked.barista, str_from(rows[i].given), &fault, path),
                  rows[i].err);
        if (rows[i].err == ERR_OK)
            CHECK(path[0] == '/');
    }
    finish(&asked);
}

TEST(saving_writes_names_in_its_folder_only)
{
    top = folder();
    struct asked asked;
    struct lm_fault fault;
    char path[SERVICE_PATH_BYTES], name[64], inside[SERVICE_PATH_BYTES + 8];
    CHECK_OK(dir_make(kit_path(top, "models/window"), 0700));
    CHECK_EQ(symlink(top, kit_path(top, "models/link")), 0);
    toy_write(kit_path(top, "models"), "tanka");
    begin_with(&asked, &(struct barista_options){.models_dir = kit_path(top, "models")});
    (void)snprintf(inside, sizeof(inside), "%s/new", asked.barista->models_dir);
    const struct {
        const char *given, *name;
    } rows[] = {{"new", "new"},       {"models/new", "new"}, {"./models/new", "new"},
                {inside, "new"},      {"tanka", "tanka"},    {"", NULL},
                {".", NULL},          {"..", NULL},          {".hidden", NULL},
                {"a/b", NULL},        {"../new", NULL},      {"models/../new", NULL},
                {"models/a/b", NULL}, {"/new", NULL},        {"new/", NULL},
                {"window", NULL},     {"link", NULL},        {"a b", NULL}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        NOTE("%s", rows[i].given);
        enum err err =
            service_save_path(asked.barista, str_from(rows[i].given), &fault, name, path);
        CHECK_ERR(err, rows[i].name != NULL ? ERR_OK : ERR_DENIED);
        if (err == ERR_OK)
            CHECK_STR(name, rows[i].name);
    }
    finish(&asked);
}

/* ---- jobs ---- */

/* A trainer that does as the script says; $out is its folder. */
static const char *script(const char *what)
{
    char text[1024];
    const char *path = kit_path(top, "trainer");
    int len = snprintf(text, sizeof(text),
                       "#!/bin/sh\nwhile [ \"$1\" != --out ]; do shift; done\nout=$2\n%s\n", what);
    CHECK(len > 0 && (size_t)len < sizeof(text));
    CHECK_OK(file_write_atomic(path, text, (size_t)len, 0700));
    return path;
}

static void jobs_begin(struct asked *asked, const char *what)
{
    CHECK_OK(dir_make(kit_path(top, "data/texts"), 0700));
    begin_with(asked, &(struct barista_options){.data_dir = kit_path(top, "data"),
                                                .program = script(what)});
}

static const struct barista_train lesson = {
    .model = STR_INIT("tanka"), .data_path = STR_INIT("texts"), .epochs = 1, .at_ms = 1000};

static struct barista_job job_ended(struct asked *asked, uint64_t job_id)
{
    struct barista_job job;
    do {
        barista_tick(asked->barista, 2000);
        CHECK_OK(barista_train_get(asked->barista, job_id, &job));
        (void)sched_yield();
    } while (job.state == BARISTA_JOB_RUNNING);
    return job;
}

TEST(a_job_ends_as_its_process_does)
{
    top = folder();
    static const struct {
        const char *script;
        enum barista_job_state state;
        const char *why;
    } rows[] = {{"exit 0", BARISTA_JOB_COMPLETE, ""},
                {"echo no data here >&2; exit 1", BARISTA_JOB_FAILED, "no data here"},
                {"exit 3", BARISTA_JOB_FAILED, "it ended without a word"},
                {"kill -9 $$", BARISTA_JOB_FAILED, "it was ended by signal 9"}};
    struct lm_fault fault;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct asked asked;
        uint64_t job_id = 0;
        jobs_begin(&asked, rows[i].script);
        CHECK_OK(barista_train_start(asked.barista, &lesson, &fault, &job_id));
        CHECK_EQ(job_id, i + 1); /* the jobs before are remembered */
        struct barista_job job = job_ended(&asked, job_id);
        NOTE("%s", rows[i].script);
        CHECK_EQ(job.state, rows[i].state);
        CHECK_STR(job.why, rows[i].why);
        CHECK_EQ(job.ended_at_ms, 2000);
        finish(&asked);
    }
}

TEST(a_job_is_watched_cancelled_and_remembered)
{
    top = folder();
    struct asked asked;
    struct lm_fault fault;
    struct barista_job job;
    uint64_t job_id = 0, other = 0;
    jobs_begin(&asked, "trap 'exit 0' TERM\n"
                       "echo '{\"step\": 3, \"steps\": 9, \"loss\": 2.5, \"eta_s\": 60}' > $out/p\n"
                       "mv $out/p $out/progress.json\nwhile :; do sleep 0.01; done");
    CHECK_OK(barista_train_start(asked.barista, &lesson, &fault, &job_id));
    CHECK_ERR(barista_train_start(asked.barista, &lesson, &fault, &other), ERR_CONFLICT);
    CHECK_EQ(other, job_id);
    do {
        CHECK_OK(barista_train_get(asked.barista, job_id, &job));
    } while (!job.progress_known);
    CHECK_EQ(job.progress.step, 3);
    CHECK_EQ(job.progress.steps, 9);
    CHECK_NEAR(job.progress.loss, 2.5, 1e-9);
    CHECK(barista_stats_get(asked.barista).training);
    CHECK_OK(barista_train_cancel(asked.barista, job_id));
    CHECK_EQ(job_ended(&asked, job_id).state, BARISTA_JOB_CANCELLED);
    CHECK_ERR(barista_train_cancel(asked.barista, job_id), ERR_CONFLICT);
    CHECK_ERR(barista_train_cancel(asked.barista, 77), ERR_NOT_FOUND);
    CHECK_OK(barista_train_start(asked.barista, &lesson, &fault, &other));
    finish(&asked); /* while the second runs */
    jobs_begin(&asked, "exit 0");
    CHECK_OK(barista_train_get(asked.barista, job_id, &job));
    CHECK_EQ(job.state, BARISTA_JOB_CANCELLED);
    CHECK_OK(barista_train_get(asked.barista, other, &job));
    CHECK_EQ(job.state, BARISTA_JOB_INTERRUPTED);
    CHECK_EQ(barista_train_before(asked.barista, 0), other);
    CHECK_EQ(barista_train_before(asked.barista, other), job_id);
    CHECK_EQ(barista_train_before(asked.barista, job_id), 0);
    finish(&asked);
}

TEST(old_jobs_do_not_fill_the_disk)
{
    struct asked asked;
    struct lm_fault fault;
    char name[64];
    const char *jobs = kit_path(folder(), "data/models/jobs");
    jobs_begin(&asked, "for d in last data best; do mkdir $out/$d; echo x > $out/$d/f; done");
    for (uint64_t i = 1; i <= SERVICE_JOBS_BEST + 2; i++) {
        uint64_t job_id = 0;
        CHECK_OK(barista_train_start(asked.barista, &lesson, &fault, &job_id));
        CHECK_EQ(job_id, i);
        CHECK_EQ(job_ended(&asked, job_id).state, BARISTA_JOB_COMPLETE);
        (void)snprintf(name, sizeof(name), "%llu/last/f", (unsigned long long)i);
        CHECK(path_exists(kit_path(jobs, name)));
    }
    for (uint64_t i = 1; i <= SERVICE_JOBS_BEST + 2; i++) {
        NOTE("job %llu", (unsigned long long)i);
        static const char *const parts[] = {"last", "data", "best", "job.json", "log"};
        const bool there[] = {i == SERVICE_JOBS_BEST + 2, i == SERVICE_JOBS_BEST + 2, i > 2, true,
                              true};
        for (size_t j = 0; j < ARRAY_COUNT(parts); j++) {
            (void)snprintf(name, sizeof(name), "%llu/%s", (unsigned long long)i, parts[j]);
            CHECK_EQ(path_exists(kit_path(jobs, name)), there[j]);
        }
    }
    finish(&asked);
}

/* ---- saving ---- */

static void saved(void *cookie, enum err err, const struct lm_fault *fault, const char *path)
{
    struct asked *asked = cookie;
    (void)path;
    asked->dones++;
    asked->err = err;
    CHECK(err == ERR_OK || fault->why[0] != 0);
}

/* What the weights of a model are made of. */
static void weights_read(const char *name, struct buf *ret_bytes)
{
    const char *path = kit_path(kit_path(kit_path(top, "models"), name), "model.safetensors");
    CHECK_OK(file_read(path, MIB, ret_bytes));
}

static void check_weights(const char *name, const struct buf *bytes)
{
    struct buf now;
    weights_read(name, &now);
    CHECK(str_equal(buf_str(&now), buf_str(bytes)));
    buf_finish(&now);
}

/* A trainer that leaves the weights of villanelle, changed as `best` says. */
static void saving_begin(struct asked *asked, const char *best)
{
    char what[600];
    CHECK_OK(dir_make(kit_path(top, "models"), 0700));
    CHECK_OK(dir_make(kit_path(top, "data/texts"), 0700));
    toy_write(kit_path(top, "models"), "tanka");
    toy_write(kit_path(top, "models"), "villanelle");
    (void)snprintf(what, sizeof(what), "cp -r %s/models/villanelle $out/best\n%s", top, best);
    begin_with(asked, &(struct barista_options){.models_dir = kit_path(top, "models"),
                                                .data_dir = kit_path(top, "data"),
                                                .program = script(what)});
}

static enum err save(struct asked *asked, const char *path, const enum lm_dtype *dtype)
{
    struct lm_fault fault;
    int dones = asked->dones;
    enum err err =
        barista_save(asked->barista, STR("tanka"), str_from(path), dtype, &fault, saved, asked);
    if (err != ERR_OK)
        return err;
    until_done(asked, dones + 1);
    return asked->err;
}

TEST(no_model_is_saved_over_another)
{
    top = folder();
    struct asked asked;
    struct buf before;
    saving_begin(&asked, "");
    weights_read("villanelle", &before);
    const char *config = kit_path(top, "models/villanelle/config.json");
    CHECK_ERR(save(&asked, "villanelle", NULL), ERR_DENIED);
    CHECK_ERR(save(&asked, "models/villanelle", NULL), ERR_DENIED);
    CHECK_ERR(save(&asked, "ode", NULL), ERR_DENIED);
    CHECK(!path_exists(kit_path(top, "models/ode")));
    check_weights("villanelle", &before);
    buf_finish(&before);
    CHECK_OK(file_read(config, MIB, &before));
    CHECK(strstr(before.at, "villanelle") != NULL);
    buf_finish(&before);
    CHECK_OK(save(&asked, "copy", NULL));
    finish(&asked);
}

TEST(what_cannot_be_loaded_replaces_nothing)
{
    top = folder();
    static const char *const best[] = {
        "", /* weights of villanelle */
        "cp ${0%/*}/models/tanka/config.json $out/best\nrm $out/best/tokenizer.json",
        "cp ${0%/*}/models/tanka/config.json $out/best\necho x > $out/best/model.safetensors"};
    for (size_t i = 0; i < ARRAY_COUNT(best); i++) {
        struct asked asked;
        struct lm_fault fault;
        struct buf before;
        uint64_t job_id = 0;
        NOTE("%s", best[i]);
        saving_begin(&asked, best[i]);
        weights_read("tanka", &before);
        CHECK_OK(barista_train_start(asked.barista, &lesson, &fault, &job_id));
        CHECK_EQ(job_ended(&asked, job_id).state, BARISTA_JOB_COMPLETE);
        CHECK_ERR(save(&asked, "tanka", NULL), ERR_INPUT);
        check_weights("tanka", &before);
        CHECK(!path_exists(kit_path(top, "models/.tanka.new")));
        buf_finish(&before);
        finish(&asked);
    }
}

/* The kit looks for what was not given back. */
TEST(it_may_end_while_what_was_saved_is_loaded)
{
    top = folder();
    struct asked asked;
    struct lm_fault fault;
    uint64_t job_id = 0;
    saving_begin(&asked, "cp ${0%/*}/models/tanka/* $out/best");
    CHECK_OK(barista_train_start(asked.barista, &lesson, &fault, &job_id));
    CHECK_EQ(job_ended(&asked, job_id).state, BARISTA_JOB_COMPLETE);
    CHECK_OK(barista_save(asked.barista, STR("tanka"), STR("tanka"), NULL, &fault, saved, &asked));
    while (asked.barista->model[0].load == NULL)
        CHECK(loop_turn_wait(asked.loop));
    finish(&asked);
    CHECK_EQ(asked.dones, 0);
}

TEST(what_suits_a_model_outlives_its_weights)
{
    struct asked asked;
    struct lm_fault fault;
    uint64_t job_id = 0;
    const char *json = "{\"prompt_max\": 64}\n";
    const char *path = kit_path(folder(), "models/tanka/generation.json");
    saving_begin(&asked, "cp ${0%/*}/models/tanka/[cmt]* $out/best");
    CHECK_OK(file_write_atomic(path, json, strlen(json), 0600));
    CHECK_OK(barista_train_start(asked.barista, &lesson, &fault, &job_id));
    CHECK_EQ(job_ended(&asked, job_id).state, BARISTA_JOB_COMPLETE);
    CHECK_OK(save(&asked, "tanka", NULL));
    CHECK(path_exists(path));
    CHECK_EQ(asked.barista->model[0].weights->generation.prompt_max, 64);
    finish(&asked);
}

TEST(what_is_quantised_is_not_made_whole_again)
{
    top = folder();
    struct asked asked;
    const enum lm_dtype small = LM_INT8, whole = LM_F32;
    saving_begin(&asked, "");
    CHECK_OK(save(&asked, "tanka", &small));
    CHECK_ERR(save(&asked, "tanka", &whole), ERR_INPUT);
    finish(&asked);
}
