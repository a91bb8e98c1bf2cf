/* Sessions: what is held, what is forgotten, what is refused, and what quantising costs. */
#include "lm/run_kit.h"

#define USED 113

struct toy {
    struct lm_model *model;
    struct lm_session *session;
    uint16_t ids[201];
    float logits[USED], other[USED];
};

static void toy_open(struct toy *toy, uint32_t experts, enum lm_dtype dtype)
{
    struct lm_config config = toy_config(experts);
    toy->model = toy_model(&config, dtype);
    CHECK_OK(lm_session_create(toy->model, &toy->session));
    toy_ids(toy->ids, ARRAY_COUNT(toy->ids), USED);
}

static void toy_close(struct toy *toy)
{
    lm_session_destroy(toy->session);
    lm_model_destroy(toy->model);
}

/* Prompts of one row, of less and more than a chunk of rows, and of the whole context. */
TEST(session_at_once_is_as_one_by_one)
{
    static const uint32_t lengths[] = {1, 2, 7, 8, 9, 63, 64, 65, 129, 200};
    for (uint32_t experts = 0; experts <= 5; experts += 5) {
        for (enum lm_dtype dtype = LM_F32; dtype <= LM_INT4; dtype++) {
            struct toy toy;
            toy_open(&toy, experts, dtype);
            uint32_t next = 0;
            for (uint32_t i = 0; i < 200 && next < ARRAY_COUNT(lengths); i++) {
                lm_session_rewind(toy.session, i);
                CHECK_OK(lm_session_feed(toy.session, NULL, toy.ids + i, 1, toy.logits));
                if (i + 1 != lengths[next])
                    continue;
                next++;
                struct lm_session *whole;
                CHECK_OK(lm_session_create(toy.model, &whole));
                CHECK_OK(lm_session_feed(whole, NULL, toy.ids, i + 1, toy.other));
                NOTE("%s, %u experts, %u ids", lm_dtype_name(dtype), experts, i + 1);
                CHECK(apart(toy.logits, toy.other, USED) < 1e-5);
                lm_session_destroy(whole);
            }
            CHECK_EQ(next, ARRAY_COUNT(lengths));
            toy_close(&toy);
        }
    }
}

TEST(session_threads_do_not_change_the_result)
{
    for (uint32_t experts = 0; experts <= 5; experts += 5) {
        for (enum lm_dtype dtype = LM_F32; dtype <= LM_INT4; dtype++) {
            struct toy toy;
            struct lm_pool *pool;
            toy_open(&toy, experts, dtype);
            CHECK_OK(lm_pool_create(2, &pool));
            CHECK_OK(lm_session_feed(toy.session, NULL, toy.ids, 80, toy.logits));
            CHECK_OK(lm_session_feed(toy.session, NULL, toy.ids + 80, 1, toy.logits));
            lm_session_rewind(toy.session, 0);
            CHECK_OK(lm_session_feed(toy.session, pool, toy.ids, 80, toy.other));
            CHECK_OK(lm_session_feed(toy.session, pool, toy.ids + 80, 1, toy.other));
            CHECK_BYTES(toy.logits, toy.other, sizeof(toy.logits));
            lm_pool_destroy(pool);
            toy_close(&toy);
        }
    }
}

TEST(session_reuse_keeps_the_common_front)
{
    struct toy toy;
    uint16_t other[50];
    toy_open(&toy, 0, LM_F32);
    CHECK_EQ(lm_session_reuse(toy.session, toy.ids, 50), 0);
    CHECK_OK(lm_session_feed(toy.session, NULL, toy.ids, 50, toy.logits));
    CHECK_EQ(lm_session_length(toy.session), 50);
    memcpy(other, toy.ids, sizeof(other));
    other[30] = (uint16_t)((other[30] + 1) % USED);
    CHECK_EQ(lm_session_reuse(toy.session, other, 50), 30);
    CHECK_EQ(lm_session_length(toy.session), 30);
    CHECK_OK(lm_session_feed(toy.session, NULL, other + 30, 20, toy.logits));
    struct lm_session *fresh;
    CHECK_OK(lm_session_create(toy.model, &fresh));
    CHECK_OK(lm_session_feed(fresh, NULL, other, 50, toy.other));
    CHECK_BYTES(toy.logits, toy.other, sizeof(toy.logits));
    /* The same text again: something must be left to feed. */
    CHECK_EQ(lm_session_reuse(toy.session, other, 50), 49);
    CHECK_OK(lm_session_feed(toy.session, NULL, other + 49, 1, toy.logits));
    CHECK(apart(toy.logits, toy.other, USED) < 1e-5);
    lm_session_destroy(fresh);
    toy_close(&toy);
}

TEST(session_rewind_forgets_only_what_follows)
{
    struct toy toy;
    toy_open(&toy, 5, LM_INT8);
    CHECK_OK(lm_session_feed(toy.session, NULL, toy.ids, 40, NULL));
    CHECK_OK(lm_session_feed(toy.session, NULL, toy.ids + 40, 1, toy.logits));
    CHECK_OK(lm_session_feed(toy.session, NULL, toy.ids + 90, 30, NULL));
    lm_session_rewind(toy.session, 500); /* nothing to forget */
    CHECK_EQ(lm_session_length(toy.session), 71);
    lm_session_rewind(toy.session, 40);
    CHECK_OK(lm_session_feed(toy.session, NULL, toy.ids + 40, 1, toy.other));
    CHECK_BYTES(toy.logits, toy.other, sizeof(toy.logits));
    toy_close(&toy);
}

TEST(session_refuses_and_stays_as_it_was)
{
    struct toy toy;
    double logprob = 5;
    toy_open(&toy, 0, LM_F32);
    CHECK_ERR(lm_session_feed(toy.session, NULL, toy.ids, 201, toy.logits), ERR_FULL);
    CHECK_EQ(lm_session_length(toy.session), 0);
    CHECK_OK(lm_session_feed(toy.session, NULL, toy.ids, 150, NULL));
    CHECK_ERR(lm_session_feed(toy.session, NULL, toy.ids, 51, toy.logits), ERR_FULL);
    CHECK_ERR(lm_session_feed(toy.session, NULL, toy.ids, UINT32_MAX, toy.logits), ERR_FULL);
    CHECK_ERR(lm_session_score(toy.session, NULL, toy.ids, 51, &logprob), ERR_FULL);
    CHECK_ERR(lm_session_feed(toy.session, NULL, toy.ids, 0, toy.logits), ERR_INPUT);
    uint16_t unused[3] = {1, USED, 2}; /* a row of the embedding that no token has */
    CHECK_ERR(lm_session_feed(toy.session, NULL, unused, 3, toy.logits), ERR_INPUT);
    CHECK_ERR(lm_session_score(toy.session, NULL, unused, 3, &logprob), ERR_INPUT);
    CHECK(logprob == 5);
    CHECK_EQ(lm_session_length(toy.session), 150);
    CHECK_OK(lm_session_feed(toy.session, NULL, toy.ids + 150, 50, toy.logits)); /* just fits */
    CHECK_ERR(lm_session_feed(toy.session, NULL, toy.ids, 1, toy.logits), ERR_FULL);
    CHECK_EQ(lm_session_length(toy.session), 200);
    struct lm_session *fresh;
    CHECK_OK(lm_session_create(toy.model, &fresh));
    CHECK_OK(lm_session_feed(fresh, NULL, toy.ids, 200, toy.other));
    CHECK(apart(toy.logits, toy.other, USED) < 1e-5);
    lm_session_destroy(fresh);
    toy_close(&toy);
}

static double log_of(const float *logits, uint32_t id)
{
    double sum = 0;
    for (uint32_t i = 0; i < USED; i++)
        sum += exp((double)logits[i]);
    return (double)logits[id] - log(sum);
}

TEST(session_score_is_the_sum_of_log_probabilities)
{
    for (uint32_t experts = 0; experts <= 5; experts += 5) {
        struct toy toy;
        double expected[101] = {0};
        toy_open(&toy, experts, LM_F32);
        for (uint32_t i = 0; i < 100; i++) {
            CHECK_OK(lm_session_feed(toy.session, NULL, toy.ids + i, 1, toy.logits));
            expected[i + 1] = expected[i] + log_of(toy.logits, toy.ids[i + 1]);
        }
        double logprob;
        lm_session_rewind(toy.session, 0);
        CHECK_OK(lm_session_score(toy.session, NULL, toy.ids, 70, &logprob));
        CHECK_NEAR(logprob, expected[69], 1e-3);
        CHECK_EQ(lm_session_length(toy.session), 70);
        CHECK_OK(lm_session_score(toy.session, NULL, toy.ids + 70, 31, &logprob));
        CHECK_NEAR(logprob, expected[100] - expected[69], 1e-3);
        lm_session_rewind(toy.session, 0);
        CHECK_OK(lm_session_score(toy.session, NULL, toy.ids, 1, &logprob));
        CHECK(logprob == 0);
        CHECK_OK(lm_session_score(toy.session, NULL, toy.ids + 1, 1, &logprob));
        CHECK_NEAR(logprob, expected[1], 1e-4);
        /* What was scored is held like what was fed. */
        CHECK_OK(lm_session_feed(toy.session, NULL, toy.ids + 2, 1, toy.logits));
        CHECK_NEAR(log_of(toy.logits, toy.ids[3]), expected[3] - expected[2], 1e-4);
        toy_close(&toy);
    }
}

/* How far the mean log-probability of a text moves, against f32. */
static double drift(uint32_t experts, enum lm_dtype dtype)
{
    double logprob[2];
    for (int i = 0; i < 2; i++) {
        struct toy toy;
        toy_open(&toy, experts, i == 0 ? LM_F32 : dtype);
        CHECK_OK(lm_session_score(toy.session, NULL, toy.ids, 200, &logprob[i]));
        toy_close(&toy);
    }
    return fabs(logprob[0] - logprob[1]) / 199;
}

/* A drift of d nats moves perplexity by exp(d). */
TEST(session_quantised_models_drift_little)
{
    for (uint32_t experts = 0; experts <= 5; experts += 5) {
        double bf16 = drift(experts, LM_BF16);
        double int8 = drift(experts, LM_INT8);
        double int4 = drift(experts, LM_INT4);
        NOTE("%u experts: bf16 %g, int8 %g, int4 %g nats", experts, bf16, int8, int4);
        CHECK(bf16 > 0 && bf16 < 0.003);
        CHECK(int8 > 0 && int8 < 0.01);
        CHECK(int4 > 0 && int4 < 0.03);
    }
}

TEST(session_and_model_survive_every_failed_allocation)
{
    struct lm_config config = toy_config(5);
    struct lm_weights weights;
    toy_weights(&config, &weights);
    for (uint32_t nth = 1;; nth++) {
        struct lm_model *model = NULL;
        struct lm_session *session = NULL;
        mem_fail_at(nth);
        enum err err = lm_model_from_weights(&weights, LM_INT8, &model);
        if (err == ERR_OK) {
            err = lm_session_create(model, &session);
            if (err == ERR_OK)
                lm_session_destroy(session);
            lm_model_destroy(model);
        }
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        CHECK_ERR(err, fired ? ERR_NOMEM : ERR_OK);
        if (!fired)
            break;
        CHECK(nth < 100);
    }
    mem_free(weights.block);
}

/* One bad number in what every token passes through would spoil every text: refused at load. */
TEST(session_model_with_nan_is_refused)
{
    struct lm_config config = toy_config(5);
    struct lm_weights weights;
    struct lm_model *model;
    toy_weights(&config, &weights);
    weights.layer[1].router[3] = NAN;
    CHECK_ERR(lm_model_from_weights(&weights, LM_F32, &model), ERR_INPUT);
    mem_free(weights.block);
}

/* A model broken elsewhere is decoded all the same: no crash, no endless loop. */
TEST(session_nan_in_a_matrix_does_not_crash)
{
    for (enum lm_dtype dtype = LM_F32; dtype <= LM_INT4; dtype++) {
        struct lm_config config = toy_config(5);
        struct lm_weights weights;
        struct lm_model *model;
        struct lm_session *session;
        uint16_t ids[20];
        float logits[USED];
        toy_ids(ids, 20, USED);
        toy_weights(&config, &weights);
        weights.layer[0].wq[3] = NAN;
        weights.layer[1].w2[0][5] = INFINITY;
        CHECK_OK(lm_model_from_weights(&weights, dtype, &model));
        CHECK_OK(lm_session_create(model, &session));
        CHECK_OK(lm_session_feed(session, NULL, ids, 20, logits));
        CHECK_OK(lm_session_feed(session, NULL, ids, 1, logits));
        lm_session_destroy(session);
        lm_model_destroy(model);
        mem_free(weights.block);
    }
}
