/* Everything a talk needs, and its end. */
#include "app/lm_chat.h"

#include <stdio.h>

#define MEMORY_BYTES (4 * MIB)
#define ANSWER_BYTES (256 * KIB)

static bool load_facts(struct chat *chat)
{
    struct lm_fault fault = {.why = ""};
    const char *dir = chat->options->lm.corpus;
    if (dir == NULL || !path_exists(dir))
        return true;
    enum err err = barista_facts_load(dir, &fault, &chat->facts);
    if (err == ERR_OK)
        return true;
    (void)app_lm_failed(dir, err, &fault);
    return false;
}

/* What was given, else what the model's folder says, else presets of our own. */
static enum err sampling_of(struct chat *chat, const char *dir, struct lm_fault *fault)
{
    char path[1100];
    const struct options_lm *given = &chat->options->lm;
    struct lm_sampling own = {.temperature = 0.5F, .min_p = 0.05F};
    struct lm_generation suits = {.has_sampling = false};
    (void)snprintf(path, sizeof(path), "%s/generation.json", dir);
    enum err err = lm_generation_read(path, fault, &suits);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    if (suits.has_sampling)
        own = suits.sampling;
    chat->prompt_max = suits.prompt_max;
    chat->sampling = (struct lm_sampling){
        .temperature = (float)options_real(given->temperature, (double)own.temperature),
        .top_k = given->top_k != 0 ? given->top_k : own.top_k,
        .top_p = (float)options_real(given->top_p, (double)own.top_p),
        .min_p = (float)options_real(given->min_p, (double)own.min_p),
        .repetition = (float)options_real(given->repetition, (double)own.repetition),
        .seed = chat->options->seed,
    };
    return lm_sampling_check(&chat->sampling, fault);
}

static bool load_model(struct chat *chat)
{
    char space[1024];
    char path[1100];
    struct lm_fault fault = {.why = ""};
    const struct options_lm *given = &chat->options->lm;
    struct lm_model_options how = {.as_stored = given->dtype == NULL};
    const char *dir = app_lm_model_dir(chat->options, space, sizeof(space));
    if (dir == NULL)
        return false;
    if (given->dtype != NULL && !lm_dtype_parse(str_from(given->dtype), &how.dtype)) {
        app_complain("--dtype (AUTOMAT_DTYPE): f32, bf16, int8 or int4, not \"%.40s\"",
                     given->dtype);
        return false;
    }
    enum err err = lm_model_load(dir, &how, &fault, &chat->model);
    (void)snprintf(path, sizeof(path), "%s/tokenizer.json", dir);
    if (err == ERR_OK)
        err = lm_tokenizer_read(path, &fault, &chat->tokenizer);
    if (err != ERR_OK) {
        (void)app_lm_failed(chat->model == NULL ? dir : path, err, &fault);
        return false;
    }
    err = sampling_of(chat, dir, &fault);
    if (err != ERR_OK) {
        (void)app_lm_failed(dir, err, &fault);
        return false;
    }
    if (lm_tokenizer_vocab(chat->tokenizer) <= lm_model_config(chat->model)->vocab_used)
        return true;
    app_complain("%s: it belongs to another model", path);
    return false;
}

static bool open_engine(struct chat *chat, void (*notify)(void *cookie))
{
    struct lm_fault fault = {.why = ""};
    const struct options_lm *given = &chat->options->lm;
    enum err err = lm_engine_create(
        &(struct lm_engine_options){.threads = given->threads, .sessions_max = 1, .notify = notify},
        &chat->engine);
    if (err == ERR_OK)
        return true;
    (void)app_lm_failed("lm chat", err, &fault);
    return false;
}

bool chat_load(struct chat *chat, const struct options *options, void (*notify)(void *cookie))
{
    chat->options = options;
    arena_init(&chat->memory, MEMORY_BYTES);
    arena_init(&chat->scratch, MEMORY_BYTES);
    buf_init(&chat->answer, ANSWER_BYTES);
    chat->message = mem_zalloc((CHAT_MESSAGES + CHAT_TURNS) * sizeof(*chat->message));
    if (chat->message == NULL)
        return app_lm_failed("lm chat", ERR_NOMEM, NULL) == 0;
    chat->turn = chat->message + CHAT_MESSAGES;
    return load_model(chat) && load_facts(chat) && open_engine(chat, notify);
}

void chat_unload(struct chat *chat)
{
    lm_engine_destroy(chat->engine);
    lm_mask_destroy(chat->recipe);
    barista_facts_destroy(chat->facts);
    lm_tokenizer_destroy(chat->tokenizer);
    lm_model_destroy(chat->model);
    buf_finish(&chat->answer);
    arena_finish(&chat->scratch);
    arena_finish(&chat->memory);
    mem_free(chat->message);
}
