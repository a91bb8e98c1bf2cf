/* The engine over real sessions of a toy model: what it says must be what a session fed by hand
 * says, alone and beside others, from a fresh session and from a remembered prompt. */
#include "kit/kit.h"
#include "lm/file/file_int.h"
#include "lm/talk/talk_int.h"

#include <math.h>
#include <semaphore.h>
#include <string.h>

#define TEXTS 12U

struct stage {
    struct lm_tokenizer *tokenizer;
    struct lm_model *model;
    struct lm_engine *engine;
    sem_t bell;
};

static bool next_text(void *cookie, struct str *ret_text)
{
    int *count = cookie;
    *ret_text = STR("a coffee, a lungo and the espresso: {\"volume_ml\": 40} caf\xC3\xA9 creme");
    return (*count)++ < 20;
}

static void notify(void *cookie)
{
    (void)sem_post(cookie);
}

static void stage_begin(struct stage *stage, enum lm_dtype dtype, uint32_t experts)
{
    int count = 0;
    struct lm_fault fault;
    struct lm_config config = {.name = "toy",
                               .hidden = 36,
                               .layers = 2,
                               .heads = 4,
                               .kv_heads = 2,
                               .ffn = 48,
                               .experts = experts,
                               .top_k = experts == 0 ? 0 : 2,
                               .domains = 8,
                               .context = 320,
                               .vocab = 320,
                               .vocab_used = 320,
                               .rope_theta = 10000,
                               .norm_eps = 1e-6F,
                               .aux = 0.01F};
    struct lm_weights weights;
    float *block = mem_alloc(lm_floats(&config) * sizeof(*block));
    CHECK(block != NULL);
    lm_weights_lay(&config, block, &weights);
    lm_weights_random(&weights, 3);
    for (uint64_t i = 0; i < lm_floats(&config); i++)
        block[i] *= 8; /* so that it has opinions */
    const char *dir = kit_path(kit_tempdir(), "toy");
    CHECK_OK(lm_weights_write(dir, &weights, LM_F32));
    mem_free(block);
    CHECK_OK(lm_model_load(dir, &(struct lm_model_options){.dtype = dtype}, &fault, &stage->model));
    CHECK_OK(lm_tokenizer_train(next_text, &count, 320, &stage->tokenizer));
    CHECK_EQ(sem_init(&stage->bell, 0, 0), 0);
    CHECK_OK(lm_engine_create(
        &(struct lm_engine_options){.threads = 2, .notify = notify, .cookie = &stage->bell},
        &stage->engine));
}

static void stage_end(struct stage *stage)
{
    lm_engine_destroy(stage->engine);
    lm_tokenizer_destroy(stage->tokenizer);
    lm_model_destroy(stage->model);
    (void)sem_destroy(&stage->bell);
}

struct client {
    struct lm_request *request;
    uint16_t prompt[160];
    struct buf text;
    uint32_t dones;
    enum err err;
    struct lm_result result;
    double scores[4];
};

static void on_piece(void *cookie, struct str text)
{
    struct client *client = cookie;
    if (buf_add_str(&client->text, text) != ERR_OK)
        client->err = ERR_FULL;
}

static void on_done(void *cookie, enum err err, const struct lm_result *result)
{
    struct client *client = cookie;
    client->dones++;
    client->err = err;
    client->result = *result;
    for (uint32_t i = 0; i < result->score_count; i++)
        client->scores[i] = result->scores[i];
}

static struct lm_job job_of(struct stage *stage, struct client *client, uint32_t nth)
{
    *client = (struct client){.dones = 0};
    buf_init(&client->text, 64 * KIB);
    uint32_t count = 5 + nth * 37 % 145;
    for (uint32_t i = 0; i < count; i++) /* some begin alike */
        client->prompt[i] = (uint16_t)(16 + (i * 7 + (i < 20 ? nth % 3 : nth) * 31) % 280);
    return (struct lm_job){.model = stage->model,
                           .tokenizer = stage->tokenizer,
                           .prompt = client->prompt,
                           .prompt_count = count,
                           .max_tokens = 24,
                           .sampling = {.temperature = 0.9F, .seed = nth, .repetition = 1.1F},
                           .piece = on_piece,
                           .done = on_done,
                           .cookie = client};
}

static void await(struct stage *stage, struct client *client)
{
    while (client->dones == 0) {
        CHECK_EQ(sem_wait(&stage->bell), 0);
        lm_engine_collect(stage->engine);
    }
    CHECK_EQ(client->dones, 1);
    CHECK_OK(client->err);
}

/* The same by hand: one session, one feed for the prompt, one for each id. */
static struct buf by_hand(struct stage *stage, const struct lm_job *job)
{
    struct lm_session *session;
    struct lm_sampler sampler;
    struct lm_pick pick = {.vocab = 0};
    struct lm_emit emit;
    struct buf text;
    float logits[320];
    CHECK_OK(lm_session_create(stage->model, &session));
    CHECK_OK(lm_pick_reserve(&pick, 320));
    CHECK_OK(lm_emit_init(&emit, NULL, 0));
    buf_init(&text, 64 * KIB);
    lm_sampler_init(&sampler, &job->sampling);
    lm_sampler_saw(&sampler, job->prompt, job->prompt_count);
    CHECK_OK(lm_session_feed(session, NULL, job->prompt, job->prompt_count, logits));
    for (uint32_t made = 0;;) {
        double logprob;
        uint16_t id = (uint16_t)lm_sampler_next(
            &sampler, &pick, logits, lm_tokenizer_vocab(stage->tokenizer), NULL, &logprob);
        if (id == LM_END)
            break;
        lm_sampler_saw(&sampler, &id, 1);
        CHECK_OK(lm_emit_add(&emit, lm_tokenizer_bytes(stage->tokenizer, id), &text));
        if (++made == job->max_tokens)
            break;
        CHECK_OK(lm_session_feed(session, NULL, &id, 1, logits));
    }
    CHECK_OK(lm_emit_end(&emit, &text));
    lm_session_destroy(session);
    lm_pick_finish(&pick);
    return text;
}

static void check_same(struct stage *stage, struct client *client, const struct lm_job *job)
{
    struct buf text = by_hand(stage, job);
    CHECK_EQ(client->text.len, text.len);
    if (text.len > 0)
        CHECK_BYTES(client->text.at, text.at, text.len);
    buf_finish(&text);
    buf_finish(&client->text);
}

static void check_texts(enum lm_dtype dtype, uint32_t experts)
{
    static struct client clients[TEXTS];
    static struct lm_job jobs[TEXTS];
    struct stage stage;
    stage_begin(&stage, dtype, experts);
    for (uint32_t i = 0; i < TEXTS; i++) { /* all at once, sessions taken over from each other */
        jobs[i] = job_of(&stage, &clients[i], i);
        CHECK_OK(lm_engine_submit(stage.engine, &jobs[i], &clients[i].request));
    }
    uint32_t made = 0;
    for (uint32_t i = 0; i < TEXTS; i++) {
        NOTE("%s, %u experts, text %u", lm_dtype_name(dtype), experts, i);
        await(&stage, &clients[i]);
        made += clients[i].result.made_ids;
        check_same(&stage, &clients[i], &jobs[i]);
    }
    CHECK(made > TEXTS * 6);
    for (uint32_t i = 0; i < 4; i++) { /* and alone, all threads on one; each prompt twice */
        NOTE("%s, %u experts, alone %u", lm_dtype_name(dtype), experts, i);
        jobs[i] = job_of(&stage, &clients[i], i / 2 * 5);
        CHECK_OK(lm_engine_submit(stage.engine, &jobs[i], &clients[i].request));
        await(&stage, &clients[i]);
        if (i % 2 == 1)
            CHECK_EQ(clients[i].result.cached_ids, jobs[i].prompt_count - 1);
        check_same(&stage, &clients[i], &jobs[i]);
    }
    stage_end(&stage);
}

TEST(texts_in_f32_are_those_of_a_session_by_hand)
{
    check_texts(LM_F32, 0);
}

TEST(texts_in_int8_are_those_of_a_session_by_hand)
{
    check_texts(LM_INT8, 0);
}

TEST(texts_with_experts_are_those_of_a_session_by_hand)
{
    check_texts(LM_F32, 4);
}

TEST(scores_are_log_probabilities_after_the_prompt)
{
    struct stage stage;
    struct client client;
    stage_begin(&stage, LM_F32, 0);
    struct lm_job job = job_of(&stage, &client, 3);
    struct str choices[] = {STR_INIT("lungo"), STR_INIT("a"),
                            STR_INIT("the espresso and a \xC3\xA9"), STR_INIT("zzz")};
    job.choices = choices;
    job.choice_count = ARRAY_COUNT(choices);
    CHECK_OK(lm_engine_submit(stage.engine, &job, &client.request));
    await(&stage, &client);
    CHECK_EQ(client.result.score_count, ARRAY_COUNT(choices));
    for (size_t i = 0; i < ARRAY_COUNT(choices); i++) {
        struct lm_session *session;
        uint16_t ids[64];
        size_t count;
        float logits[320];
        float weight[320];
        double expected = 0;
        CHECK_OK(lm_session_create(stage.model, &session));
        CHECK_OK(lm_tokenizer_encode(stage.tokenizer, choices[i], ids, 64, &count));
        CHECK_OK(lm_session_feed(session, NULL, job.prompt, job.prompt_count, logits));
        for (size_t j = 0; j < count; j++) {
            expected += (double)logits[ids[j]] - lm_log_sum(logits, 320, weight);
            CHECK_OK(lm_session_feed(session, NULL, &ids[j], 1, logits));
        }
        NOTE("choice %zu of %zu ids", i, count);
        CHECK_NEAR(client.scores[i], expected, 1e-4);
        lm_session_destroy(session);
    }
    buf_finish(&client.text);
    stage_end(&stage);
}
