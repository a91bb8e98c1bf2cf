/* Names, shapes and numbers of parameters; what a configuration may be; routing. */
#include "kit/kit.h"
#include "lm/model/model_int.h"

#include <math.h>
#include <string.h>

static struct lm_config named(const char *name)
{
    struct lm_config config;
    CHECK(lm_config_named(str_from(name), &config));
    return config;
}

TEST(model_sizes_are_as_published)
{
    static const struct {
        const char *name;
        uint64_t total, active;
    } sizes[] = {
        {"tanka", 28486951, 28486951},
        {"villanelle", 64230825, 45305769},
        {"ode", 96908440, 53551768},
    };
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct lm_config config = named(sizes[i].name);
        struct lm_fault fault;
        CHECK_OK(lm_config_check(&config, &fault));
        CHECK_EQ(lm_config_count(&config).total, sizes[i].total);
        CHECK_EQ(lm_config_count(&config).active, sizes[i].active);
        CHECK_EQ(lm_floats(&config), sizes[i].total);
    }
}

TEST(model_other_names_are_not_known)
{
    struct lm_config config;
    CHECK(!lm_config_named(STR("haiku"), &config));
    CHECK(!lm_config_named(STR("Tanka"), &config));
    CHECK(!lm_config_named(STR(""), &config));
}

TEST(model_tensors_follow_each_other)
{
    static const char *const names[] = {"tanka", "villanelle", "ode"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct lm_config config = named(names[i]);
        struct lm_tensor tensor;
        uint64_t floats = 0;
        uint32_t index = 0;
        for (; lm_tensor_at(&config, index, &tensor); index++) {
            CHECK_EQ(tensor.offset, floats);
            CHECK_EQ(tensor.count,
                     (uint64_t)tensor.shape[0] * (tensor.shape[1] == 0 ? 1 : tensor.shape[1]));
            CHECK_EQ(tensor.decays, tensor.shape[1] != 0);
            floats += tensor.count;
        }
        CHECK_EQ(index, lm_tensor_count(&config));
        CHECK_EQ(floats, lm_floats(&config));
        CHECK(!lm_tensor_at(&config, index + 100, &tensor));
    }
}

/* Every tensor is named once, and the pointers lie where the names say. */
TEST(model_pointers_are_where_the_names_are)
{
    struct lm_config config = named("villanelle");
    static float origin[1];
    struct lm_weights w;
    struct lm_tensor tensor;
    uint32_t seen = 0;
    lm_weights_lay(&config, origin, &w); /* never followed */
    struct lm_layer_weights *last = &w.layer[config.layers - 1];
    const struct {
        const char *name;
        const float *at;
    } places[] = {
        {"tok.weight", w.tok},
        {"pos.weight", w.pos},
        {"norm.weight", w.norm_w},
        {"norm.bias", w.norm_b},
        {"blocks.8.dom", last->dom},
        {"blocks.8.blend", last->blend},
        {"blocks.8.ln1.weight", last->ln1_w},
        {"blocks.8.ln1.bias", last->ln1_b},
        {"blocks.8.ln2.weight", last->ln2_w},
        {"blocks.8.ln2.bias", last->ln2_b},
        {"blocks.8.wq.weight", last->wq},
        {"blocks.8.wk.weight", last->wk},
        {"blocks.8.wv.weight", last->wv},
        {"blocks.8.wo.weight", last->wo},
        {"blocks.8.dom_w.weight", last->dom_w},
        {"blocks.8.ff.router.weight", last->router},
        {"blocks.8.ff.experts.0.w1.weight", last->w1[0]},
        {"blocks.8.ff.experts.3.w1.weight", last->w1[3]},
        {"blocks.8.ff.experts.3.w2.weight", last->w2[3]},
    };
    for (uint32_t i = 0; lm_tensor_at(&config, i, &tensor); i++) {
        for (size_t p = 0; p < ARRAY_COUNT(places); p++) {
            if (strcmp(tensor.name, places[p].name) != 0)
                continue;
            CHECK_EQ((uintptr_t)places[p].at, (uintptr_t)origin + tensor.offset * sizeof(float));
            seen++;
        }
    }
    CHECK_EQ(seen, ARRAY_COUNT(places));
}

TEST(model_random_weights_are_as_the_reference_draws_them)
{
    struct lm_config config = named("tanka");
    config.vocab = config.vocab_used = 500;
    float *block = mem_alloc(lm_floats(&config) * sizeof(*block));
    float *again = mem_alloc(lm_floats(&config) * sizeof(*again));
    struct lm_weights w;
    struct lm_tensor tensor;
    CHECK(block != NULL && again != NULL);
    lm_weights_lay(&config, again, &w);
    lm_weights_random(&w, 5);
    lm_weights_lay(&config, block, &w);
    lm_weights_random(&w, 5);
    CHECK(memcmp(block, again, lm_floats(&config) * sizeof(*block)) == 0);
    for (uint32_t i = 0; lm_tensor_at(&config, i, &tensor); i++) {
        const float *t = block + tensor.offset;
        double sum = 0;
        double squares = 0;
        for (uint64_t n = 0; n < tensor.count; n++) {
            sum += (double)t[n];
            squares += (double)t[n] * (double)t[n];
        }
        double mean = sum / (double)tensor.count;
        double deviation = sqrt(squares / (double)tensor.count);
        NOTE("%s: mean %g, deviation %g", tensor.name, mean, deviation);
        bool out = strstr(tensor.name, "wo.") != NULL || strstr(tensor.name, "w2.") != NULL;
        if (tensor.decays)
            CHECK_NEAR(deviation, out ? 0.02 / sqrt(14) : 0.02, 0.001);
        else
            CHECK_NEAR(mean, strstr(tensor.name, ".weight") == NULL ? 0 : 1, 0);
    }
    lm_weights_random(&w, 6);
    CHECK(memcmp(block, again, lm_floats(&config) * sizeof(*block)) != 0);
    mem_free(block);
    mem_free(again);
}

TEST(model_bounds_of_a_configuration_are_named)
{
    struct lm_config good = named("ode");
    struct lm_fault fault;
    static const struct {
        size_t at;
        uint32_t value;
        const char *named;
    } wrong[] = {
        {offsetof(struct lm_config, hidden), 0, "hidden_size"},
        {offsetof(struct lm_config, hidden), 777, "hidden_size"},
        {offsetof(struct lm_config, hidden), UINT32_MAX, "hidden_size"},
        {offsetof(struct lm_config, hidden), 8, "num_attention_heads"},
        {offsetof(struct lm_config, layers), 0, "num_hidden_layers"},
        {offsetof(struct lm_config, layers), LM_LAYERS_MAX + 1, "num_hidden_layers"},
        {offsetof(struct lm_config, heads), 0, "num_attention_heads"},
        {offsetof(struct lm_config, kv_heads), 3, "num_key_value_heads"},
        {offsetof(struct lm_config, kv_heads), 16, "num_key_value_heads"},
        {offsetof(struct lm_config, ffn), 0, "intermediate_size"},
        {offsetof(struct lm_config, experts), LM_EXPERTS_MAX + 1, "num_local_experts"},
        {offsetof(struct lm_config, top_k), 0, "num_experts_per_tok"},
        {offsetof(struct lm_config, top_k), 9, "num_experts_per_tok"},
        {offsetof(struct lm_config, domains), 65, "domains"},
        {offsetof(struct lm_config, context), LM_CONTEXT_MAX + 1, "max_position_embeddings"},
        {offsetof(struct lm_config, vocab), LM_VOCAB_MAX + 1, "vocab_size"},
        {offsetof(struct lm_config, vocab_used), 30001, "vocab_used"},
        {offsetof(struct lm_config, vocab_used), 0, "vocab_used"},
    };
    CHECK_OK(lm_config_check(&good, &fault));
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct lm_config bad = good;
        memcpy((char *)&bad + wrong[i].at, &wrong[i].value, sizeof(wrong[i].value));
        CHECK_ERR(lm_config_check(&bad, &fault), ERR_INPUT);
        NOTE("%s", fault.why);
        CHECK(strncmp(fault.why, wrong[i].named, strlen(wrong[i].named)) == 0);
    }
    good.norm_eps = NAN;
    CHECK_ERR(lm_config_check(&good, &fault), ERR_INPUT);
    CHECK(strstr(fault.why, "layer_norm_eps") != NULL);
}

TEST(model_rotation_turns_by_position)
{
    struct lm_config config = named("ode");
    uint32_t half = 48; /* of 97: the last dimension has no partner */
    float *cos_table = mem_alloc((size_t)config.context * half * sizeof(float));
    float *sin_table = mem_alloc((size_t)config.context * half * sizeof(float));
    CHECK(cos_table != NULL && sin_table != NULL);
    lm_rope_fill(&config, cos_table, sin_table);
    CHECK_NEAR(cos_table[0], 1, 0);
    CHECK_NEAR(sin_table[0], 0, 0);
    CHECK_NEAR(cos_table[(size_t)1000 * half], cos(1000.0), 1e-7);
    CHECK_NEAR(sin_table[(size_t)1535 * half + 47], sin(1535 * pow(10000, -47.0 / 48)), 1e-7);
    mem_free(cos_table);
    mem_free(sin_table);
}

/* What torch.topk takes of equal values, E experts, k of them: found by running it. */
TEST(model_routing_breaks_ties_as_the_reference)
{
    static const struct {
        uint32_t experts, k;
        float p[8];
        uint32_t chosen[3];
    } cases[] = {
        {4, 2, {.25F, .25F, .25F, .25F}, {2, 3}},
        {4, 1, {.25F, .25F, .25F, .25F}, {2}},
        {4, 3, {.25F, .25F, .25F, .25F}, {0, 2, 3}},
        {5, 2, {.2F, .2F, .2F, .2F, .2F}, {2, 4}},
        {8, 2, {.125F, .125F, .125F, .125F, .125F, .125F, .125F, .125F}, {5, 6}},
        {8, 3, {.125F, .125F, .125F, .125F, .125F, .125F, .125F, .125F}, {4, 5, 6}},
        {3, 2, {.4F, .4F, .2F}, {0, 1}},
        {4, 2, {.1F, .4F, .2F, .3F}, {1, 3}},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        uint32_t expert[LM_EXPERTS_MAX];
        float share[LM_EXPERTS_MAX];
        float sum = 0;
        lm_route(cases[i].p, cases[i].experts, cases[i].k, expert, share);
        NOTE("case %zu: %u", i, expert[0]);
        for (uint32_t j = 0; j < cases[i].k; j++) {
            CHECK_EQ(expert[j], cases[i].chosen[j]);
            sum += share[j];
        }
        CHECK_NEAR(sum, 1, 1e-6);
    }
}

/* Against picking the greatest one after the other, where no two are equal. */
TEST(model_routing_takes_the_greatest)
{
    struct rng rng;
    rng_init(&rng, 3);
    for (uint32_t round = 0; round < 3000; round++) {
        uint32_t experts = 1 + rng_below(&rng, LM_EXPERTS_MAX);
        uint32_t k = 1 + rng_below(&rng, experts);
        float p[LM_EXPERTS_MAX];
        float share[LM_EXPERTS_MAX];
        uint32_t expert[LM_EXPERTS_MAX];
        for (uint32_t e = 0; e < experts; e++)
            p[e] = (float)rng_unit(&rng);
        lm_route(p, experts, k, expert, share);
        NOTE("round %u: %u of %u", round, k, experts);
        for (uint32_t i = 0; i < k; i++) {
            uint32_t greater = 0;
            for (uint32_t e = 0; e < experts; e++)
                greater += p[e] > p[expert[i]];
            CHECK(greater < k);
            CHECK(i == 0 || expert[i] > expert[i - 1]);
        }
    }
}

TEST(model_routing_survives_what_is_not_a_number)
{
    float p[LM_EXPERTS_MAX];
    float share[LM_EXPERTS_MAX];
    uint32_t expert[LM_EXPERTS_MAX];
    for (uint32_t bad = 0; bad <= 8; bad++) {
        for (uint32_t e = 0; e < 8; e++)
            p[e] = e < bad ? NAN : 0.1F;
        lm_route(p, 8, 2, expert, share);
        CHECK(expert[0] < expert[1] && expert[1] < 8);
    }
}
