/* The engine over a model of the test's own: what comes next is a hash of everything that is held,
 * so a session that holds one id too many or too few shows at once.  Its feed can be stopped at a
 * gate, so that a test meets the engine at the very place it wants. */
#include "kit/kit.h"
#include "lm/talk/engine_int.h"

#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#define VOCAB   340U
#define CONTEXT 600U

/* ---- the model ---- */

struct fake_session {
    uint16_t ids[CONTEXT];
    uint32_t length;
    atomic_flag used;
};

static struct fake {
    struct lm_config config;
    atomic_uint feeds, creates, alive, misused;
    atomic_uint hold_at; /* this feed (1 is the first) waits at the gate; 0: none does */
    atomic_bool held, open;
    atomic_uint fail_create_alloc; /* fail the nth allocation after a session was made */
    atomic_bool fail_feed;
    atomic_llong now_ms;
    const uint16_t *script; /* ids to say, and then the end; NULL: random */
    uint32_t script_count, script_prompt;
    struct lm_engine *engine;
} fake;

static const struct lm_model *the_model(void)
{
    return (const struct lm_model *)(const void *)&fake;
}

static const struct lm_config *fake_config(const struct lm_model *model)
{
    (void)model;
    return &fake.config;
}

static int64_t fake_now(void)
{
    return atomic_load(&fake.now_ms);
}

static void fake_logits(const uint16_t *ids, uint32_t count, float *logits)
{
    uint32_t hash = crc32c(0, ids, count * sizeof(*ids));
    for (uint32_t id = 0; id < VOCAB; id++) {
        uint32_t one = crc32c(hash, &id, sizeof(id));
        logits[id] = (float)(one % 4096) / 512.0F;
    }
    logits[LM_END] -= 4;
    if (fake.script == NULL)
        return;
    uint32_t at = count - fake.script_prompt;
    logits[at < fake.script_count ? fake.script[at] : LM_END] += 100;
}

static enum err fake_create(const struct lm_model *model, struct lm_session **ret_session)
{
    (void)model;
    struct fake_session *session = mem_zalloc(sizeof(*session));
    if (session == NULL)
        return ERR_NOMEM;
    atomic_flag_clear(&session->used);
    atomic_fetch_add(&fake.creates, 1);
    atomic_fetch_add(&fake.alive, 1);
    *ret_session = (struct lm_session *)(void *)session;
    mem_fail_at(atomic_load(&fake.fail_create_alloc));
    return ERR_OK;
}

static void fake_destroy(struct lm_session *session)
{
    atomic_fetch_sub(&fake.alive, 1);
    mem_free(session);
}

static void fake_rewind(struct lm_session *session, uint32_t keep)
{
    struct fake_session *own = (struct fake_session *)(void *)session;
    own->length = keep < own->length ? keep : own->length;
}

static void gate(void)
{
    uint32_t nth = atomic_fetch_add(&fake.feeds, 1) + 1;
    if (nth != atomic_load(&fake.hold_at))
        return;
    atomic_store(&fake.held, true);
    while (!atomic_load(&fake.open) && !atomic_load(&fake.engine->closing))
        (void)sched_yield();
}

static enum err fake_feed(struct lm_session *session, struct lm_pool *pool, const uint16_t *ids,
                          uint32_t count, float *ret_logits)
{
    struct fake_session *own = (struct fake_session *)(void *)session;
    (void)pool;
    if (atomic_flag_test_and_set(&own->used))
        atomic_fetch_add(&fake.misused, 1);
    gate();
    enum err err = ERR_OK;
    if (atomic_load(&fake.fail_feed))
        err = ERR_NOMEM;
    else if (count == 0 || count > CONTEXT - own->length)
        err = ERR_FULL;
    if (err == ERR_OK) {
        memcpy(own->ids + own->length, ids, count * sizeof(*ids));
        own->length += count;
        if (ret_logits != NULL)
            fake_logits(own->ids, own->length, ret_logits);
    }
    atomic_flag_clear(&own->used);
    return err;
}

static enum err fake_score(struct lm_session *session, struct lm_pool *pool, const uint16_t *ids,
                           uint32_t count, double *ret_logprob)
{
    struct fake_session *own = (struct fake_session *)(void *)session;
    float logits[VOCAB];
    float weight[VOCAB];
    double sum = 0;
    (void)pool;
    if (count > CONTEXT - own->length)
        return ERR_FULL;
    for (uint32_t i = 0; i < count; i++) {
        fake_logits(own->ids, own->length, logits);
        sum += (double)logits[ids[i]] - lm_log_sum(logits, VOCAB, weight);
        own->ids[own->length++] = ids[i];
    }
    *ret_logprob = sum;
    return ERR_OK;
}

static const struct lm_engine_ops fake_ops = {.config = fake_config,
                                              .create = fake_create,
                                              .destroy = fake_destroy,
                                              .rewind = fake_rewind,
                                              .feed = fake_feed,
                                              .score = fake_score,
                                              .now_ms = fake_now};

/* ---- a stage: tokenizer, engine, bell ---- */

static struct lm_tokenizer *tokenizer;
static sem_t bell;
static atomic_uint rings;

static bool next_text(void *cookie, struct str *ret_text)
{
    int *count = cookie;
    *ret_text = STR("a coffee, a lungo and the espresso: {\"volume_ml\": 40} caf\xC3\xA9 creme");
    return (*count)++ < 20;
}

static void notify(void *cookie)
{
    (void)cookie;
    atomic_fetch_add(&rings, 1);
    (void)sem_post(&bell);
}

static struct lm_engine *stage_begin(uint32_t threads, uint32_t queue_max, uint32_t sessions_max)
{
    int count = 0;
    memset(&fake, 0, sizeof(fake));
    fake.config = (struct lm_config){.context = CONTEXT, .vocab = VOCAB, .vocab_used = VOCAB};
    CHECK_OK(lm_tokenizer_train(next_text, &count, VOCAB, &tokenizer));
    CHECK(lm_tokenizer_vocab(tokenizer) <= VOCAB);
    CHECK_EQ(sem_init(&bell, 0, 0), 0);
    atomic_store(&rings, 0);
    CHECK_OK(lm_engine_create_with(&(struct lm_engine_options){.threads = threads,
                                                               .queue_max = queue_max,
                                                               .sessions_max = sessions_max,
                                                               .notify = notify},
                                   &fake_ops, &fake.engine));
    return fake.engine;
}

static void stage_clear(void)
{
    CHECK_EQ(atomic_load(&fake.alive), 0);
    CHECK_EQ(atomic_load(&fake.misused), 0);
    lm_tokenizer_destroy(tokenizer);
    (void)sem_destroy(&bell);
}

static void stage_end(void)
{
    lm_engine_destroy(fake.engine);
    stage_clear();
}

static void await_held(void)
{
    while (!atomic_load(&fake.held))
        (void)sched_yield();
}

/* ---- a client ---- */

struct client {
    struct lm_request *request;
    struct buf text;
    uint32_t pieces, dones;
    uint32_t order; /* of its done among all */
    bool broken;    /* a piece that was no whole characters */
    bool cancel_in_piece;
    enum err err;
    struct lm_result result;
    double scores[LM_CHOICES_MAX];
};
static uint32_t done_order;

static void on_piece(void *cookie, struct str text)
{
    struct client *client = cookie;
    client->pieces++;
    client->broken = client->broken || text.len == 0 || !utf8_valid(text) || client->dones > 0 ||
                     buf_add_str(&client->text, text) != ERR_OK;
    if (client->cancel_in_piece)
        lm_engine_cancel(fake.engine, client->request);
}

static void on_done(void *cookie, enum err err, const struct lm_result *result)
{
    struct client *client = cookie;
    client->dones++;
    client->order = ++done_order;
    client->err = err;
    client->result = *result;
    for (uint32_t i = 0; i < result->score_count; i++)
        client->scores[i] = result->scores[i];
}

static const uint16_t default_prompt[] = {LM_BEGIN, LM_USER, 100, 101, 102, LM_ASSISTANT};

static struct lm_job job_of(struct client *client)
{
    *client = (struct client){.pieces = 0};
    buf_init(&client->text, 256 * KIB);
    return (struct lm_job){.model = the_model(),
                           .tokenizer = tokenizer,
                           .prompt = default_prompt,
                           .prompt_count = ARRAY_COUNT(default_prompt),
                           .max_tokens = 60,
                           .sampling = {.temperature = 1, .seed = 1},
                           .piece = on_piece,
                           .done = on_done,
                           .cookie = client};
}

static void submit(struct client *client, const struct lm_job *job)
{
    CHECK_OK(lm_engine_submit(fake.engine, job, &client->request));
}

static void await(struct client *client)
{
    while (client->dones == 0) {
        CHECK_EQ(sem_wait(&bell), 0);
        lm_engine_collect(fake.engine);
    }
    CHECK_EQ(client->dones, 1);
    CHECK(!client->broken);
}

/* What a client must get, by the plain definition. */
static struct buf reference(const struct lm_job *job, uint32_t *ret_made)
{
    struct lm_sampler sampler;
    struct lm_pick pick = {.vocab = 0};
    struct lm_emit emit;
    struct buf text;
    uint16_t ids[CONTEXT + 1];
    uint32_t count = job->prompt_count;
    memcpy(ids, job->prompt, count * sizeof(*ids));
    buf_init(&text, 256 * KIB);
    CHECK_OK(lm_pick_reserve(&pick, VOCAB));
    CHECK_OK(lm_emit_init(&emit, job->stop, job->stop_count));
    lm_sampler_init(&sampler, &job->sampling);
    lm_sampler_saw(&sampler, ids, count);
    *ret_made = 0;
    while (*ret_made < job->max_tokens && !emit.stopped) {
        float logits[VOCAB];
        double logprob;
        fake_logits(ids, count, logits);
        uint32_t id =
            lm_sampler_next(&sampler, &pick, logits, lm_tokenizer_vocab(tokenizer), NULL, &logprob);
        if (id == LM_END)
            break;
        ids[count++] = (uint16_t)id;
        (*ret_made)++;
        lm_sampler_saw(&sampler, &ids[count - 1], 1);
        CHECK_OK(lm_emit_add(&emit, lm_tokenizer_bytes(tokenizer, id), &text));
    }
    CHECK_OK(lm_emit_end(&emit, &text));
    lm_pick_finish(&pick);
    return text;
}

static void check_right(struct client *client, const struct lm_job *job)
{
    uint32_t made;
    struct buf text = reference(job, &made);
    CHECK_OK(client->err);
    CHECK_EQ(client->result.made_ids, made);
    CHECK_EQ(client->text.len, text.len);
    CHECK(text.len == 0 || memcmp(client->text.at, text.at, text.len) == 0);
    CHECK(client->result.prompt_ms >= 0 && client->result.decode_ms >= 0);
    buf_finish(&text);
    buf_finish(&client->text);
}

/* ---- right texts ---- */

TEST(one_text_is_what_the_model_says)
{
    (void)stage_begin(2, 0, 0);
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct client client;
        struct lm_job job = job_of(&client);
        job.sampling = (struct lm_sampling){
            .temperature = 1, .seed = seed, .repetition = 1.2F, .top_k = seed == 3 ? 5 : 0};
        submit(&client, &job);
        await(&client);
        CHECK(client.result.logprob < 0);
        CHECK_EQ(client.result.prompt_ids, job.prompt_count);
        check_right(&client, &job);
    }
    stage_end();
}

struct submitter {
    struct client *clients;
    struct lm_job *jobs;
    enum err *errs;
    uint32_t count;
};

static void *submit_many(void *cookie)
{
    struct submitter *own = cookie;
    for (uint32_t i = 0; i < own->count; i++)
        own->errs[i] = lm_engine_submit(fake.engine, &own->jobs[i], &own->clients[i].request);
    return NULL;
}

TEST(a_hundred_clients_at_once)
{
    static struct client clients[100];
    static struct lm_job jobs[100];
    static enum err errs[100];
    struct lm_engine *engine = stage_begin(2, 32, 8);
    atomic_store(&fake.hold_at, 1);
    struct submitter own[4];
    pthread_t threads[4];
    for (uint32_t i = 0; i < 100; i++) {
        jobs[i] = job_of(&clients[i]);
        jobs[i].sampling.seed = i;
        jobs[i].max_tokens = 10 + i % 40;
        jobs[i].prompt_count = 2 + i % 5;
    }
    /* One is held at the gate; another thread takes turns with what it may hold. */
    for (uint32_t i = 0; i < 4; i++) {
        own[i] = (struct submitter){clients + 25 * (size_t)i, jobs + 25 * (size_t)i,
                                    errs + 25 * (size_t)i, 25};
        CHECK_EQ(pthread_create(&threads[i], NULL, submit_many, &own[i]), 0);
    }
    for (uint32_t i = 0; i < 4; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    atomic_store(&fake.open, true);
    uint32_t refused = 0;
    for (uint32_t i = 0; i < 100; i++) {
        NOTE("client %u", i);
        refused += errs[i] == ERR_FULL;
        if (errs[i] == ERR_FULL) {
            CHECK_EQ(clients[i].dones, 0);
            buf_finish(&clients[i].text);
            continue;
        }
        CHECK_OK(errs[i]);
        await(&clients[i]);
        check_right(&clients[i], &jobs[i]);
    }
    struct lm_engine_load load = lm_engine_load(engine);
    CHECK_EQ(load.refused, refused);
    CHECK_EQ(load.requests, 100 - refused);
    CHECK_EQ(load.waiting, 0);
    CHECK_EQ(load.running, 0);
    CHECK(atomic_load(&fake.creates) <= 8);
    stage_end();
}

TEST(a_full_queue_refuses_and_nothing_was_begun)
{
    struct lm_engine *engine = stage_begin(1, 32, 1);
    static struct client clients[34];
    static struct lm_job jobs[34];
    atomic_store(&fake.hold_at, 1);
    jobs[0] = job_of(&clients[0]);
    submit(&clients[0], &jobs[0]);
    await_held();
    for (uint32_t i = 1; i < 33; i++) {
        jobs[i] = job_of(&clients[i]);
        jobs[i].sampling.seed = i;
        submit(&clients[i], &jobs[i]);
    }
    jobs[33] = job_of(&clients[33]);
    CHECK_ERR(lm_engine_submit(engine, &jobs[33], &clients[33].request), ERR_FULL);
    CHECK_EQ(lm_engine_load(engine).waiting, 32);
    CHECK_EQ(lm_engine_load(engine).running, 1);
    CHECK_EQ(lm_engine_load(engine).refused, 1);
    atomic_store(&fake.open, true);
    for (uint32_t i = 0; i < 33; i++) {
        await(&clients[i]);
        check_right(&clients[i], &jobs[i]);
    }
    stage_end();
}

TEST(a_long_text_does_not_hold_up_a_short_one)
{
    (void)stage_begin(1, 0, 0);
    struct client slow;
    struct client quick;
    struct lm_job slow_job = job_of(&slow);
    struct lm_job quick_job = job_of(&quick);
    slow_job.max_tokens = 400;
    slow_job.sampling.seed = 77;
    quick_job.max_tokens = 5;
    uint16_t script[400]; /* neither ends early */
    for (uint32_t i = 0; i < 400; i++)
        script[i] = (uint16_t)(100 + i % 100);
    fake.script = script;
    fake.script_count = 400;
    fake.script_prompt = slow_job.prompt_count;
    atomic_store(&fake.hold_at, 2);
    submit(&slow, &slow_job);
    await_held();
    submit(&quick, &quick_job);
    atomic_store(&fake.open, true);
    await(&quick);
    CHECK_EQ(slow.dones, 0);
    await(&slow);
    CHECK_EQ(slow.result.made_ids, 400);
    CHECK(quick.order < slow.order);
    buf_finish(&slow.text);
    buf_finish(&quick.text);
    stage_end();
}

/* ---- leaving early ---- */

static uint16_t long_prompt[400];

static void long_job(struct lm_job *job)
{
    for (uint32_t i = 0; i < ARRAY_COUNT(long_prompt); i++)
        long_prompt[i] = (uint16_t)(20 + i % 200);
    job->prompt = long_prompt; /* four pieces */
    job->prompt_count = ARRAY_COUNT(long_prompt);
    job->max_tokens = 30;
}

TEST(cancel_at_every_stage)
{
    for (uint32_t nth = 1; nth <= 12; nth++) {
        (void)stage_begin(1 + nth % 2, 0, 0);
        struct client client;
        struct client after;
        struct lm_job job = job_of(&client);
        NOTE("at feed %u", nth);
        long_job(&job);
        job.sampling.seed = 4;
        atomic_store(&fake.hold_at, nth);
        submit(&client, &job);
        await_held();
        lm_engine_collect(fake.engine);
        uint32_t pieces = client.pieces;
        lm_engine_cancel(fake.engine, client.request);
        atomic_store(&fake.open, true);
        await(&client);
        CHECK_OK(client.err);
        CHECK_EQ(client.result.finish, LM_FINISH_CANCEL);
        CHECK_EQ(client.pieces, pieces);
        buf_finish(&client.text);
        /* What it left behind is right for the next one. */
        job = job_of(&after);
        long_job(&job);
        job.sampling.seed = 5;
        submit(&after, &job);
        await(&after);
        check_right(&after, &job);
        stage_end();
    }
}

TEST(cancel_while_waiting_when_over_and_from_a_piece)
{
    (void)stage_begin(1, 0, 1);
    struct client running;
    struct client waiting;
    struct client last;
    atomic_store(&fake.hold_at, 1);
    struct lm_job job = job_of(&running);
    submit(&running, &job);
    await_held();
    job = job_of(&last);
    job.sampling.seed = 9;
    struct lm_job last_job = job;
    job = job_of(&waiting);
    submit(&waiting, &job);
    submit(&last, &last_job);
    lm_engine_cancel(fake.engine, waiting.request);
    await(&waiting); /* at once, while the other is held */
    CHECK_EQ(waiting.result.finish, LM_FINISH_CANCEL);
    CHECK_EQ(waiting.pieces, 0);
    CHECK_EQ(running.dones, 0);
    atomic_store(&fake.open, true);
    await(&last);
    CHECK_EQ(running.dones, 1);
    check_right(&last, &last_job);
    buf_finish(&running.text);

    /* Over, but not collected. */
    struct client over;
    job = job_of(&over);
    submit(&over, &job);
    while (lm_engine_load(fake.engine).running + lm_engine_load(fake.engine).waiting > 0)
        (void)sched_yield();
    lm_engine_cancel(fake.engine, over.request);
    await(&over);
    CHECK_EQ(over.pieces, 0);
    CHECK_EQ(over.result.finish, LM_FINISH_CANCEL);
    buf_finish(&over.text);

    struct client self;
    job = job_of(&self);
    job.max_tokens = 400;
    self.cancel_in_piece = true;
    submit(&self, &job);
    await(&self);
    CHECK_EQ(self.pieces, 1);
    CHECK_EQ(self.result.finish, LM_FINISH_CANCEL);
    buf_finish(&self.text);
    stage_end();
}

TEST(destroy_in_mid_generation)
{
    for (uint32_t nth = 1; nth <= 9; nth++) {
        (void)stage_begin(1 + nth % 2, 0, 2);
        struct client clients[6];
        struct lm_job jobs[6];
        NOTE("at feed %u", nth);
        atomic_store(&fake.hold_at, nth);
        for (uint32_t i = 0; i < 6; i++) {
            jobs[i] = job_of(&clients[i]);
            long_job(&jobs[i]);
            jobs[i].sampling.seed = i;
            submit(&clients[i], &jobs[i]);
        }
        await_held();
        lm_engine_destroy(fake.engine);
        for (uint32_t i = 0; i < 6; i++) {
            CHECK_EQ(clients[i].dones, 1);
            CHECK(!clients[i].broken);
            CHECK(clients[i].err == ERR_CLOSED || clients[i].result.made_ids > 0);
            buf_finish(&clients[i].text);
        }
        stage_clear();
    }
}

static void submit_again(void *cookie, enum err err, const struct lm_result *result)
{
    struct client *client = cookie;
    struct lm_job job = job_of(&(struct client){.pieces = 0});
    struct lm_request *request;
    on_done(client, err, result);
    client->err = lm_engine_submit(fake.engine, &job, &request);
}

TEST(nothing_is_taken_while_it_closes)
{
    (void)stage_begin(1, 0, 0);
    struct client client;
    struct lm_job job = job_of(&client);
    job.done = submit_again;
    atomic_store(&fake.hold_at, 1);
    submit(&client, &job);
    await_held();
    lm_engine_destroy(fake.engine);
    CHECK_EQ(client.dones, 1);
    CHECK_ERR(client.err, ERR_CLOSED);
    stage_clear();
}

TEST(deadlines_end_with_what_there_is)
{
    (void)stage_begin(1, 0, 1);
    struct client running;
    struct client waiting;
    atomic_store(&fake.now_ms, 1000);
    atomic_store(&fake.hold_at, 4);
    struct lm_job job = job_of(&running);
    job.deadline_ms = 1500;
    job.sampling.seed = 2;
    submit(&running, &job);
    await_held();
    job = job_of(&waiting);
    job.deadline_ms = 1400;
    submit(&waiting, &job);
    atomic_store(&fake.now_ms, 1500);
    atomic_store(&fake.open, true);
    await(&running);
    await(&waiting);
    CHECK_OK(running.err);
    CHECK_EQ(running.result.finish, LM_FINISH_LENGTH);
    CHECK_EQ(running.result.made_ids, 4);
    CHECK_OK(waiting.err);
    CHECK_EQ(waiting.result.finish, LM_FINISH_LENGTH);
    CHECK_EQ(waiting.result.made_ids, 0);
    buf_finish(&running.text);
    stage_end();
}

/* ---- prompts ---- */

TEST(prompts_are_checked)
{
    struct lm_engine *engine = stage_begin(1, 0, 0);
    struct client client;
    static uint16_t prompt[CONTEXT + 1];
    for (uint32_t i = 0; i <= CONTEXT; i++)
        prompt[i] = 50;
    struct lm_job job = job_of(&client);
    job.prompt_count = 0;
    CHECK_ERR(lm_engine_submit(engine, &job, &client.request), ERR_INPUT);
    uint16_t strange[] = {VOCAB};
    job.prompt = strange;
    job.prompt_count = 1;
    CHECK_ERR(lm_engine_submit(engine, &job, &client.request), ERR_INPUT);
    job.prompt = prompt;
    job.sampling.temperature = -1;
    CHECK_ERR(lm_engine_submit(engine, &job, &client.request), ERR_INPUT);
    job.sampling.temperature = 0;
    job.stop = &(struct str){"", 0};
    job.stop_count = 1;
    CHECK_ERR(lm_engine_submit(engine, &job, &client.request), ERR_INPUT);

    for (uint32_t count = CONTEXT - 1; count <= CONTEXT + 1; count++) {
        job = job_of(&client);
        job.prompt = prompt;
        job.prompt_count = count;
        job.max_tokens = 0;
        uint16_t script[] = {100, 101, 102};
        fake.script = script;
        fake.script_count = 3;
        fake.script_prompt = count;
        submit(&client, &job);
        await(&client);
        CHECK_ERR(client.err, count <= CONTEXT ? ERR_OK : ERR_INPUT);
        CHECK_EQ(client.result.finish, LM_FINISH_LENGTH);
        CHECK_EQ(client.result.made_ids, CONTEXT + 1 - count);
        buf_finish(&client.text);
    }
    fake.config.vocab_used = lm_tokenizer_vocab(tokenizer) - 1; /* another model's tokenizer */
    job = job_of(&client);
    CHECK_ERR(lm_engine_submit(engine, &job, &client.request), ERR_INPUT);
    stage_end();
}

TEST(a_prompt_that_begins_alike_is_not_read_again)
{
    struct lm_engine *engine = stage_begin(1, 0, 2);
    struct client client;
    uint16_t prompt[200];
    for (uint32_t i = 0; i < 200; i++)
        prompt[i] = (uint16_t)(20 + i);
    static const struct {
        uint16_t first;
        uint32_t count, cached;
    } turns[] = {
        {20, 100, 0},   {20, 150, 100}, /* longer: all of it but what is new */
        {20, 150, 149},                 /* the same: the last id must be read for its logits */
        {20, 90, 89},   {30, 60, 0},    /* another beginning: the second session */
        {20, 95, 90},                   /* the first is still there, up to where 90 ended */
        {40, 10, 0},                    /* a third: the one that waits longest goes */
        {30, 70, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(turns); i++) {
        NOTE("turn %zu", i);
        struct lm_job job = job_of(&client);
        prompt[0] = turns[i].first;
        job.prompt = prompt;
        job.prompt_count = turns[i].count;
        job.max_tokens = 1; /* made, not read: the session holds the prompt alone */
        submit(&client, &job);
        await(&client);
        CHECK_EQ(client.result.cached_ids, turns[i].cached);
        check_right(&client, &job);
    }
    CHECK_EQ(atomic_load(&fake.alive), 2);
    lm_engine_forget(engine, the_model());
    CHECK_EQ(atomic_load(&fake.alive), 0);
    struct lm_engine_load load = lm_engine_load(engine);
    CHECK_EQ(load.ids_cached, 100 + 149 + 89 + 90);
    CHECK_EQ(load.ids_read, 100 + 50 + 1 + 1 + 60 + 5 + 10 + 70);
    stage_end();
}

/* ---- text ---- */

TEST(stop_strings_across_ids)
{
    (void)stage_begin(1, 0, 0);
    struct client client;
    struct lm_job job = job_of(&client);
    uint16_t script[40];
    size_t count;
    CHECK_OK(lm_tokenizer_encode(tokenizer, STR("the lungo\n\nUser: and"), script, 40, &count));
    fake.script = script;
    fake.script_count = (uint32_t)count;
    fake.script_prompt = job.prompt_count;
    struct str stop[] = {STR_INIT("never"), STR_INIT("\n\nUser:")};
    job.stop = stop;
    job.stop_count = 2;
    job.sampling.temperature = 0;
    submit(&client, &job);
    await(&client);
    CHECK_EQ(client.result.finish, LM_FINISH_STOP);
    CHECK_SLICE(buf_str(&client.text), "the lungo");
    CHECK(client.result.made_ids < count);
    buf_finish(&client.text);

    job.stop_count = 1; /* held back, but it was none */
    struct client plain;
    struct lm_job other = job_of(&plain);
    other.stop = (struct str[]){STR_INIT("and so")};
    other.stop_count = 1;
    submit(&plain, &other);
    await(&plain);
    CHECK_EQ(plain.result.finish, LM_FINISH_STOP);
    CHECK_SLICE(buf_str(&plain.text), "the lungo\n\nUser: and");
    buf_finish(&plain.text);
    stage_end();
}

TEST(characters_split_over_ids_leave_whole)
{
    (void)stage_begin(1, 0, 0);
    struct client client;
    struct lm_job job = job_of(&client);
    uint16_t script[40];
    size_t count;
    struct str text = STR("\xF0\x9F\x98\x80 caf\xC3\xA9 \xE2\x98\x95");
    CHECK_OK(lm_tokenizer_encode(tokenizer, text, script, 40, &count));
    CHECK(count > 8); /* byte by byte where nothing was learned */
    fake.script = script;
    fake.script_count = (uint32_t)count;
    fake.script_prompt = job.prompt_count;
    submit(&client, &job);
    await(&client); /* a broken piece fails here */
    CHECK_SLICE(buf_str(&client.text), "\xF0\x9F\x98\x80 caf\xC3\xA9 \xE2\x98\x95");
    buf_finish(&client.text);

    job = job_of(&client); /* cut off in the middle of a character */
    job.max_tokens = 2;
    submit(&client, &job);
    await(&client);
    CHECK_EQ(client.result.finish, LM_FINISH_LENGTH);
    CHECK_SLICE(buf_str(&client.text), "\xEF\xBF\xBD");
    buf_finish(&client.text);
    stage_end();
}

TEST(the_bell_rings_once_until_it_is_answered)
{
    (void)stage_begin(1, 0, 0);
    struct client client;
    struct lm_job job = job_of(&client);
    job.max_tokens = 50;
    submit(&client, &job);
    while (lm_engine_load(fake.engine).running + lm_engine_load(fake.engine).waiting > 0)
        (void)sched_yield();
    await(&client);
    CHECK_EQ(atomic_load(&rings), 1);
    CHECK_EQ(client.pieces, 1); /* all that there was, at once */
    check_right(&client, &job);
    stage_end();
}

TEST(json_under_a_mask_is_whole_even_when_it_is_short)
{
    (void)stage_begin(2, 0, 0);
    struct lm_mask *mask;
    struct lm_fault fault;
    CHECK_OK(
        lm_mask_create(STR("{\"type\":\"object\",\"properties\":{\"note\":{\"type\":\"string\"},"
                           "\"volume_ml\":{\"type\":\"integer\",\"minimum\":15,"
                           "\"maximum\":150}}}"),
                       tokenizer, &fault, &mask));
    for (uint32_t i = 0; i < 30; i++) {
        struct client client;
        struct lm_job job = job_of(&client);
        job.mask = mask;
        job.sampling.seed = i;
        job.max_tokens = 26 + i; /* {"note":"","volume_ml":15} is 26 bytes */
        submit(&client, &job);
        await(&client);
        NOTE("%.*s", STR_ARG(buf_str(&client.text)));
        CHECK_OK(client.err);
        CHECK_EQ(client.result.finish, LM_FINISH_STOP);
        json_t *value = json_loadb(client.text.at, client.text.len, 0, NULL);
        CHECK(value != NULL);
        json_int_t volume = json_integer_value(json_object_get(value, "volume_ml"));
        CHECK(volume >= 15 && volume <= 150);
        CHECK(json_is_string(json_object_get(value, "note")));
        json_decref(value);
        buf_finish(&client.text);
    }
    lm_mask_destroy(mask);
    stage_end();
}

TEST(choices_are_scored_from_one_prompt)
{
    (void)stage_begin(2, 0, 0);
    struct client client;
    struct str choices[12];
    static const char *const texts[] = {"lungo",
                                        "espresso",
                                        "a",
                                        "the espresso, please",
                                        "b",
                                        "\xF0\x9F\x98\x80",
                                        "{\"volume_ml\": 40}"};
    for (size_t i = 0; i < ARRAY_COUNT(choices); i++)
        choices[i] = str_from(texts[i % ARRAY_COUNT(texts)]);
    struct lm_job job = job_of(&client);
    job.choices = choices;
    job.choice_count = ARRAY_COUNT(choices);
    submit(&client, &job);
    await(&client);
    CHECK_OK(client.err);
    CHECK_EQ(client.result.score_count, ARRAY_COUNT(choices));
    CHECK_EQ(client.pieces, 0);
    for (size_t i = 0; i < ARRAY_COUNT(choices); i++) {
        struct fake_session session = {.length = job.prompt_count};
        memcpy(session.ids, job.prompt, job.prompt_count * sizeof(*job.prompt));
        uint16_t ids[64];
        size_t count;
        double expected;
        CHECK_OK(lm_tokenizer_encode(tokenizer, choices[i], ids, 64, &count));
        CHECK_OK(fake_score((struct lm_session *)(void *)&session, NULL, ids, (uint32_t)count,
                            &expected));
        CHECK_NEAR(client.scores[i], expected, 1e-6);
    }
    CHECK_EQ(atomic_load(&fake.feeds), 1);
    job.choices = &(struct str){"", 0};
    job.choice_count = 1;
    CHECK_ERR(lm_engine_submit(fake.engine, &job, &client.request), ERR_INPUT);
    stage_end();
}

/* ---- bad days ---- */

TEST(a_model_that_fails_is_an_answer)
{
    (void)stage_begin(1, 0, 0);
    struct client client;
    struct lm_job job = job_of(&client);
    atomic_store(&fake.fail_feed, true);
    submit(&client, &job);
    await(&client);
    CHECK_ERR(client.err, ERR_NOMEM);
    atomic_store(&fake.fail_feed, false);
    job = job_of(&client);
    submit(&client, &job);
    await(&client);
    check_right(&client, &job);
    stage_end();
}

TEST(every_failed_allocation_of_a_submit)
{
    (void)stage_begin(1, 0, 0);
    struct client client;
    for (uint32_t nth = 1;; nth++) {
        struct lm_job job = job_of(&client);
        job.choices = (struct str[]){STR_INIT("a"), STR_INIT("b")};
        job.choice_count = 2;
        mem_fail_at(nth);
        enum err err = lm_engine_submit(fake.engine, &job, &client.request);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        if (!fired) {
            CHECK_OK(err);
            await(&client);
            break;
        }
        CHECK_ERR(err, ERR_NOMEM);
    }
    stage_end();
}

TEST(every_failed_allocation_of_a_thread)
{
    for (uint32_t nth = 1; nth <= 12; nth++) {
        (void)stage_begin(1, 0, 0);
        NOTE("allocation %u", nth);
        struct client client;
        struct lm_job job = job_of(&client);
        atomic_store(&fake.fail_create_alloc, nth);
        submit(&client, &job);
        await(&client);
        CHECK(client.err == ERR_OK || client.err == ERR_NOMEM);
        if (nth == 1)
            CHECK_ERR(client.err, ERR_NOMEM);
        buf_finish(&client.text);
        atomic_store(&fake.fail_create_alloc, 0);
        lm_engine_forget(fake.engine, the_model()); /* the next one switches it off */
        job = job_of(&client);
        submit(&client, &job);
        await(&client);
        if (client.err == ERR_OK)
            check_right(&client, &job);
        else
            buf_finish(&client.text);
        stage_end();
    }
}

TEST(every_failed_allocation_of_create)
{
    for (uint32_t nth = 1;; nth++) {
        struct lm_engine *engine = NULL;
        mem_fail_at(nth);
        enum err err =
            lm_engine_create_with(&(struct lm_engine_options){.threads = 2}, &fake_ops, &engine);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        lm_engine_destroy(engine);
        if (!fired) {
            CHECK_OK(err);
            break;
        }
        CHECK_ERR(err, ERR_NOMEM);
    }
}
