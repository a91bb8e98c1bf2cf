/* Small models made of nothing but a seed, for the tests of decode. */
#ifndef AUTOMAT_TESTS_LM_RUN_KIT_H
#define AUTOMAT_TESTS_LM_RUN_KIT_H

#include "lm/graph_case.h"
#include "lm/run/run_int.h"

/* Heads of 9, rows of 36: nothing is a multiple of anything. */
static inline struct lm_config toy_config(uint32_t experts)
{
    return (struct lm_config){.name = "toy",
                              .hidden = 36,
                              .layers = 2,
                              .heads = 4,
                              .kv_heads = 2,
                              .ffn = 50,
                              .experts = experts,
                              .top_k = experts == 0 ? 0 : 2,
                              .domains = 8,
                              .context = 200,
                              .vocab = 120,
                              .vocab_used = 113,
                              .rope_theta = 10000,
                              .norm_eps = 1e-6F,
                              .aux = 0.01F};
}

static inline void toy_weights(const struct lm_config *config, struct lm_weights *weights)
{
    float *block = mem_alloc(lm_floats(config) * sizeof(float));
    CHECK(block != NULL);
    lm_weights_lay(config, block, weights);
    case_fill(config, false, block);
}

static inline void toy_ids(uint16_t *ids, uint32_t count, uint32_t vocab)
{
    for (uint32_t i = 0; i < count; i++)
        ids[i] = (uint16_t)((i * 37 + i / 7 + 5) % vocab);
}

static inline struct lm_model *toy_model(const struct lm_config *config, enum lm_dtype dtype)
{
    struct lm_weights weights;
    struct lm_model *model;
    toy_weights(config, &weights);
    CHECK_OK(lm_model_from_weights(&weights, dtype, &model));
    mem_free(weights.block);
    return model;
}

static inline double apart(const float *a, const float *b, uint32_t count)
{
    double worst = 0;
    for (uint32_t i = 0; i < count; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        worst = d > worst || isnan(d) ? d : worst;
    }
    return worst;
}

/* A reference case through sessions: each text at once and id by id. */
static inline void session_case(const char *name)
{
    struct graph_case c;
    struct lm_weights weights;
    struct lm_model *model;
    struct lm_session *session;
    struct lm_pool *pool;
    char word[16];
    case_open(name, &c);
    float *block = mem_alloc(lm_floats(&c.config) * sizeof(float));
    CHECK(block != NULL);
    lm_weights_lay(&c.config, block, &weights);
    case_fill(&c.config, c.tied_routers, block);
    CHECK_OK(lm_model_from_weights(&weights, LM_F32, &model));
    mem_free(block);
    CHECK_OK(lm_pool_create(2, &pool));
    CHECK_OK(lm_session_create(model, &session));
    uint32_t used = c.config.vocab_used;
    uint32_t rows = c.batch * c.length;
    float *logits = mem_alloc((size_t)rows * used * sizeof(float));
    float *whole = mem_alloc(used * sizeof(float));
    for (uint32_t i = 0; i < rows; i++) {
        if (i % c.length == 0)
            lm_session_rewind(session, 0);
        CHECK_OK(lm_session_feed(session, pool, c.ids + i, 1, logits + (size_t)i * used));
    }
    lm_session_rewind(session, 0);
    CHECK_OK(lm_session_feed(session, pool, c.ids, c.length, whole));
    NOTE("%s: at once and one by one", name);
    CHECK(apart(whole, logits + (size_t)(c.length - 1) * used, used) < 1e-5);
    case_expect(&c, "loss");
    (void)case_number(&c);
    case_expect(&c, "aux");
    (void)case_number(&c);
    uint32_t checked = 0;
    for (; case_word(&c, word, sizeof(word)) && strcmp(word, "logit") == 0; checked++) {
        uint32_t row = case_count(&c);
        uint32_t position = case_count(&c);
        uint32_t id = case_count(&c);
        double expected = case_number(&c);
        NOTE("%s: text %u, position %u, id %u", name, row, position, id);
        CHECK_NEAR((double)logits[(size_t)(row * c.length + position) * used + id], expected, 1e-4);
    }
    CHECK_EQ(checked, 60);
    mem_free(whole);
    mem_free(logits);
    lm_session_destroy(session);
    lm_pool_destroy(pool);
    lm_model_destroy(model);
}

#endif
