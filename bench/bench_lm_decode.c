/* How fast a text is read and made: one JSON object.
 *
 *     bench_lm_decode --model tanka|villanelle|ode [--dtype f32|bf16|int8|int4] [--vocab-used N]
 *                     [--threads N] [--prompt N] [--tokens N] [--isa NAME] [--dir DIR]
 *
 * Random weights unless DIR holds a model.  A prompt of 128 ids, then 64 more, one by one, each
 * chosen from all logits by the engine's own sampling at temperature 0.8; the best of three rounds.
 */
#include "lm/run/run_int.h"
#include "lm/talk/talk_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define ROUNDS 3 /* the peer reads and makes as often; both keep their best */

struct setting {
    const char *model, *dtype, *isa, *dir;
    uint32_t vocab_used, threads, prompt, tokens;
};

static bool take(struct setting *setting, const char *name, const char *value)
{
    const struct {
        const char *name;
        const char **text;
        uint32_t *number;
    } rows[] = {
        {"--model", &setting->model, NULL},
        {"--dtype", &setting->dtype, NULL},
        {"--isa", &setting->isa, NULL},
        {"--dir", &setting->dir, NULL},
        {"--vocab-used", NULL, &setting->vocab_used},
        {"--threads", NULL, &setting->threads},
        {"--prompt", NULL, &setting->prompt},
        {"--tokens", NULL, &setting->tokens},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        uint64_t number = 0;
        if (strcmp(name, rows[i].name) != 0)
            continue;
        if (rows[i].text != NULL)
            *rows[i].text = value;
        else if (str_to_u64(str_from(value), &number) == ERR_OK && number <= LM_VOCAB_MAX)
            *rows[i].number = (uint32_t)number;
        else
            return false;
        return true;
    }
    return false;
}

static enum err model_make(const struct setting *setting, enum lm_dtype dtype, double *ret_load_ms,
                           struct lm_model **ret_model)
{
    struct lm_config config;
    struct lm_weights weights;
    struct lm_fault fault = {0};
    int64_t begin_us = sys_mono_us();
    enum err err;
    if (setting->dir != NULL) {
        err = lm_model_load(setting->dir, &(struct lm_model_options){.dtype = dtype}, &fault,
                            ret_model);
        if (err != ERR_OK)
            (void)fprintf(stderr, "bench_lm_decode: %s: %s\n", setting->dir, fault.why);
    } else {
        if (!lm_config_named(str_from(setting->model), &config))
            return ERR_INPUT;
        config.vocab_used = setting->vocab_used;
        if (lm_config_check(&config, &fault) != ERR_OK)
            return ERR_INPUT;
        float *block = mem_alloc(lm_floats(&config) * sizeof(float));
        if (block == NULL)
            return ERR_NOMEM;
        lm_weights_lay(&config, block, &weights);
        lm_weights_random(&weights, 1);
        begin_us = sys_mono_us();
        err = lm_model_from_weights(&weights, dtype, ret_model);
        mem_free(block);
    }
    *ret_load_ms = (double)(sys_mono_us() - begin_us) / 1e3;
    return err;
}

struct figures {
    double prompt_tok_s, decode_tok_s;
};

static enum err measure(const struct setting *setting, struct lm_session *session,
                        struct lm_pool *pool, uint32_t vocab, struct figures *figures)
{
    struct lm_sampler sampler;
    struct lm_pick pick = {0};
    float *logits = mem_alloc(vocab * sizeof(float));
    uint16_t *ids = mem_alloc(setting->prompt * sizeof(uint16_t));
    enum err err = ERR_NOMEM;
    if (logits == NULL || ids == NULL)
        goto out;
    err = lm_pick_reserve(&pick, vocab);
    if (err != ERR_OK)
        goto out;
    for (uint32_t i = 0; i < setting->prompt; i++)
        ids[i] = (uint16_t)((i * 7919U + 13) % vocab);
    /* As the peer: the whole distribution at 0.8, nothing cut off. */
    lm_sampler_init(&sampler, &(struct lm_sampling){.temperature = 0.8F, .seed = 1});
    lm_session_rewind(session, 0);
    int64_t begin_us = sys_mono_us();
    err = lm_session_feed(session, pool, ids, setting->prompt, logits);
    int64_t middle_us = sys_mono_us();
    for (uint32_t i = 0; i < setting->tokens && err == ERR_OK; i++) {
        double logprob;
        uint16_t next = (uint16_t)lm_sampler_next(&sampler, &pick, logits, vocab, NULL, &logprob);
        lm_sampler_saw(&sampler, &next, 1);
        err = lm_session_feed(session, pool, &next, 1, logits);
    }
    int64_t end_us = sys_mono_us();
    double prompt = setting->prompt * 1e6 / (double)(middle_us - begin_us);
    double decode = setting->tokens * 1e6 / (double)(end_us - middle_us);
    figures->prompt_tok_s = prompt > figures->prompt_tok_s ? prompt : figures->prompt_tok_s;
    figures->decode_tok_s = decode > figures->decode_tok_s ? decode : figures->decode_tok_s;
out:
    lm_pick_finish(&pick);
    mem_free(ids);
    mem_free(logits);
    return err;
}

int main(int argc, char **argv)
{
    struct setting setting = {
        .model = "tanka", .dtype = "int8", .vocab_used = 30000, .prompt = 128, .tokens = 64};
    struct figures figures = {0};
    struct lm_pool *pool = NULL;
    struct lm_model *model = NULL;
    struct lm_session *session = NULL;
    enum lm_dtype dtype;
    double load_ms = 0;
    for (int i = 1; i + 1 < argc; i += 2)
        if (!take(&setting, argv[i], argv[i + 1]))
            argc = 0;
    if (argc % 2 == 0 || !lm_dtype_parse(str_from(setting.dtype), &dtype) || setting.prompt == 0 ||
        setting.tokens == 0 || (setting.isa != NULL && !lm_isa_limit(str_from(setting.isa)))) {
        (void)fprintf(stderr, "bench_lm_decode: look at the comment at its top\n");
        return 2;
    }
    enum err err = model_make(&setting, dtype, &load_ms, &model);
    if (err == ERR_OK)
        err = lm_pool_create(setting.threads, &pool);
    if (err == ERR_OK)
        err = lm_session_create(model, &session);
    for (int round = 0; round < ROUNDS && err == ERR_OK; round++)
        err = measure(&setting, session, pool, lm_model_config(model)->vocab_used, &figures);
    if (err == ERR_OK) {
        struct rusage usage;
        (void)getrusage(RUSAGE_SELF, &usage);
        printf("{\"model\": \"%s\", \"dtype\": \"%s\", \"isa\": \"%s\", \"threads\": %u, "
               "\"vocab_used\": %u, \"prompt\": %u, \"tokens\": %u, \"prompt_tok_s\": %.1f, "
               "\"decode_tok_s\": %.1f, \"weight_bytes\": %llu, \"load_ms\": %.1f, "
               "\"peak_mib\": %.1f}\n",
               lm_model_config(model)->name, lm_dtype_name(dtype), lm_isa_name(),
               lm_pool_threads(pool), lm_model_config(model)->vocab_used, setting.prompt,
               setting.tokens, figures.prompt_tok_s, figures.decode_tok_s,
               (unsigned long long)lm_model_bytes(model), load_ms, (double)usage.ru_maxrss / 1024);
    } else {
        (void)fprintf(stderr, "bench_lm_decode: %s\n", err_name(err));
    }
    lm_session_destroy(session);
    lm_pool_destroy(pool);
    lm_model_destroy(model);
    return err == ERR_OK ? 0 : 1;
}
