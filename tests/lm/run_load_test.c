/* Models from folders: what loads, what is refused and in which words. */
#include "lm/file/file_int.h"
#include "lm/run_kit.h"

#include <unistd.h>

#define USED 113

/* A folder with a model in it. */
static const char *folder(uint32_t experts, enum lm_dtype dtype)
{
    struct lm_config config = toy_config(experts);
    struct lm_weights weights;
    const char *dir = kit_path(kit_tempdir(), "model");
    CHECK_OK(dir_make(dir, 0755));
    toy_weights(&config, &weights);
    CHECK_OK(lm_weights_write(dir, &weights, dtype));
    CHECK_OK(lm_config_write(&config, kit_path(dir, "config.json")));
    mem_free(weights.block);
    return dir;
}

static void logits_of(const struct lm_model *model, float *logits)
{
    struct lm_session *session;
    uint16_t ids[30];
    toy_ids(ids, 30, USED);
    CHECK_OK(lm_session_create(model, &session));
    CHECK_OK(lm_session_feed(session, NULL, ids, 30, logits));
    lm_session_destroy(session);
}

static void refused(const char *dir, const struct lm_model_options *options, enum err expected,
                    const char *word)
{
    struct lm_fault fault = {0};
    struct lm_model *model;
    CHECK_ERR(lm_model_load(dir, options, &fault, &model), expected);
    NOTE("it said: %s", fault.why);
    CHECK(word == NULL || strstr(fault.why, word) != NULL);
}

TEST(load_gives_the_same_model)
{
    for (uint32_t experts = 0; experts <= 5; experts += 5) {
        for (enum lm_dtype dtype = LM_F32; dtype <= LM_INT4; dtype++) {
            struct lm_fault fault;
            struct lm_config config = toy_config(experts);
            struct lm_model *loaded;
            struct lm_model *made = toy_model(&config, dtype);
            float logits[2][USED];
            CHECK_OK(lm_model_load(folder(experts, LM_F32),
                                   &(struct lm_model_options){.dtype = dtype}, &fault, &loaded));
            CHECK_EQ(lm_model_dtype(loaded), dtype);
            CHECK_EQ(lm_model_config(loaded)->vocab_used, USED);
            CHECK_EQ(lm_model_bytes(loaded), lm_model_bytes(made));
            logits_of(made, logits[0]);
            logits_of(loaded, logits[1]);
            CHECK_BYTES(logits[0], logits[1], sizeof(logits[0]));
            lm_model_destroy(made);
            lm_model_destroy(loaded);
        }
    }
}

TEST(load_takes_what_is_stored)
{
    struct lm_fault fault;
    struct lm_model *model;
    const char *dir = folder(0, LM_BF16);
    struct lm_model_options stored = {.as_stored = true};
    CHECK_OK(lm_model_load(dir, &stored, &fault, &model));
    CHECK_EQ(lm_model_dtype(model), LM_BF16);
    lm_model_destroy(model);
    CHECK_OK(lm_model_load(folder(0, LM_F32), &stored, &fault, &model));
    CHECK_EQ(lm_model_dtype(model), LM_F32);
    lm_model_destroy(model);
}

/* Quantised beforehand or while loading: the same numbers; and never back to more. */
TEST(load_quantised_folder_is_as_quantised_here)
{
    for (enum lm_dtype dtype = LM_INT8; dtype <= LM_INT4; dtype++) {
        struct lm_fault fault;
        struct lm_model *stored;
        struct lm_model *here;
        float logits[2][USED];
        const char *dir = folder(5, LM_F32);
        const char *small = kit_path(kit_tempdir(), "small");
        CHECK_OK(lm_model_quantise(dir, small, dtype, &fault));
        CHECK_OK(
            lm_model_load(small, &(struct lm_model_options){.as_stored = true}, &fault, &stored));
        CHECK_EQ(lm_model_dtype(stored), dtype);
        CHECK_OK(lm_model_load(dir, &(struct lm_model_options){.dtype = dtype}, &fault, &here));
        logits_of(stored, logits[0]);
        logits_of(here, logits[1]);
        CHECK_BYTES(logits[0], logits[1], sizeof(logits[0]));
        lm_model_destroy(stored);
        lm_model_destroy(here);
        refused(small, &(struct lm_model_options){.dtype = LM_F32}, ERR_INPUT,
                lm_dtype_name(dtype));
        refused(small, &(struct lm_model_options){.dtype = LM_BF16}, ERR_INPUT, "bf16");
        if (dtype == LM_INT8) { /* less is possible */
            CHECK_OK(
                lm_model_load(small, &(struct lm_model_options){.dtype = LM_INT4}, &fault, &here));
            lm_model_destroy(here);
        }
    }
}

TEST(load_says_what_is_missing)
{
    struct lm_model_options f32 = {.dtype = LM_F32};
    const char *dir = folder(0, LM_F32);
    refused(kit_path(dir, "nowhere"), &f32, ERR_NOT_FOUND, NULL);
    CHECK_EQ(unlink(kit_path(dir, "model.safetensors")), 0);
    refused(dir, &f32, ERR_NOT_FOUND, NULL);
    char *endless = mem_alloc(5001);
    memset(endless, 'a', 5000);
    endless[5000] = '\0';
    refused(endless, &f32, ERR_INPUT, "too long");
    mem_free(endless);
}

/* config.json of one model, weights of another. */
TEST(load_refuses_weights_of_another_model)
{
    struct lm_model_options f32 = {.dtype = LM_F32};
    static const struct {
        size_t field;
        uint32_t value;
        const char *word;
    } changes[] = {
        {offsetof(struct lm_config, hidden), 40, "weights of another model"},
        {offsetof(struct lm_config, ffn), 49, "w1.weight"},
        {offsetof(struct lm_config, layers), 3, "blocks.2"},
        {offsetof(struct lm_config, layers), 1, "blocks.1"},
        {offsetof(struct lm_config, kv_heads), 1, "wk.weight"},
        {offsetof(struct lm_config, domains), 7, "dom"},
        {offsetof(struct lm_config, context), 100, "pos.weight"},
        {offsetof(struct lm_config, vocab), 119, "tok.weight"},
        {offsetof(struct lm_config, experts), 4, "another model"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
        const char *dir = folder(0, LM_F32);
        struct lm_config config = toy_config(0);
        memcpy((char *)&config + changes[i].field, &changes[i].value, sizeof(uint32_t));
        if (config.experts != 0)
            config.top_k = 2;
        CHECK_OK(lm_config_write(&config, kit_path(dir, "config.json")));
        refused(dir, &f32, ERR_INPUT, changes[i].word);
    }
}

TEST(load_survives_every_failed_allocation)
{
    const char *dir = folder(5, LM_F32);
    struct lm_model_options int8 = {.dtype = LM_INT8};
    for (uint32_t nth = 1;; nth++) {
        struct lm_fault fault;
        struct lm_model *model;
        mem_fail_at(nth);
        enum err err = lm_model_load(dir, &int8, &fault, &model);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        if (err == ERR_OK)
            lm_model_destroy(model);
        if (!fired) {
            CHECK_OK(err);
            break;
        }
        CHECK_ERR(err, ERR_NOMEM);
        CHECK(nth < 2000);
    }
}
