/* A question to a model: begun, answered piece by piece, or left. */
#include "barista/service_int.h"

#include <string.h>

#define TOKENS_PRESET 128
#define CLASSES_ROOM  128 /* ids of a label for each facet, even when each byte is one */

void service_wait_free(struct barista_wait *wait)
{
    struct barista *barista = wait->barista;
    if (wait->prev != NULL)
        wait->prev->next = wait->next;
    else
        barista->waits = wait->next;
    if (wait->next != NULL)
        wait->next->prev = wait->prev;
    barista->wait_count--;
    wait->engine->waits--;
    lm_mask_destroy(wait->mask);
    service_weights_unref(wait->weights);
    buf_finish(&wait->text);
    mem_free(wait->ids);
    mem_free(wait);
}

void service_wait_answer(struct barista_wait *wait, enum err err, const struct lm_result *result)
{
    struct barista_answer answer = {.text = wait->text.len > 0 ? buf_str(&wait->text) : STR(""),
                                    .result = result,
                                    .rows = wait->row,
                                    .row_count = wait->row_count,
                                    .classes = wait->class,
                                    .class_count = wait->facet};
    for (size_t i = 0; i < wait->facet; i++) {
        if (str_equal(wait->class[i].facet, STR("intent")))
            answer.confidence = wait->class[i].confidence;
    }
    if (!wait->left)
        wait->done(wait->cookie, err, err == ERR_OK ? &answer : NULL);
    service_wait_free(wait);
}

static void text_piece(void *cookie, struct str text)
{
    struct barista_wait *wait = cookie;
    if (wait->left)
        return;
    if (wait->text_err == ERR_OK)
        wait->text_err = buf_add_str(&wait->text, text);
    if (wait->piece != NULL)
        wait->piece(wait->cookie, text);
}

static void text_done(void *cookie, enum err err, const struct lm_result *result)
{
    struct barista_wait *wait = cookie;
    wait->request = NULL;
    /* A text that nobody stopped has an id at least, unless its time was over before. */
    if (err == ERR_OK && result->finish == LM_FINISH_LENGTH && result->made_ids == 0)
        err = ERR_TIMEOUT;
    service_wait_answer(wait, err == ERR_OK ? wait->text_err : err, result);
}

static struct barista_wait *wait_create(struct barista *barista, struct service_engine *engine,
                                        struct service_weights *weights)
{
    struct barista_wait *wait = mem_zalloc(sizeof(*wait));
    if (wait == NULL)
        return NULL;
    wait->id_max = lm_model_config(weights->model)->context + 64;
    wait->ids = mem_alloc(wait->id_max * sizeof(*wait->ids));
    if (wait->ids == NULL) {
        mem_free(wait);
        return NULL;
    }
    buf_init(&wait->text, SERVICE_ANSWER_MAX);
    wait->barista = barista;
    wait->engine = engine;
    wait->weights = weights;
    weights->refs++;
    engine->waits++;
    barista->wait_count++;
    wait->next = barista->waits;
    if (barista->waits != NULL)
        barista->waits->prev = wait;
    barista->waits = wait;
    return wait;
}

/* A recipe's rules are the machine's, and the same for every question: made once. */
static enum err recipe_mask(struct service_weights *weights, struct str system,
                            struct lm_fault *fault, const struct lm_mask **ret_mask)
{
    char schema[8192];
    size_t index = str_equal(system, STR("vertuo")) ? 1 : 0;
    if (index == 0 && system.len > 0 && !str_equal(system, STR("original"))) {
        service_fault(fault, "machine_system: original or vertuo");
        return ERR_INPUT;
    }
    if (weights->recipe[index] == NULL) {
        enum err err = barista_recipe_schema(index == 1 ? STR("vertuo") : STR("original"), schema,
                                             sizeof(schema));
        if (err == ERR_OK)
            err = lm_mask_create(str_from(schema), weights->tokenizer, fault,
                                 &weights->recipe[index]);
        if (err != ERR_OK)
            return err;
    }
    *ret_mask = weights->recipe[index];
    return ERR_OK;
}

static enum err mask_find(struct barista_wait *wait, const struct barista_ask *ask,
                          struct lm_fault *fault, const struct lm_mask **ret_mask)
{
    *ret_mask = NULL;
    if (ask->recipe)
        return recipe_mask(wait->weights, ask->machine_system, fault, ret_mask);
    if (ask->schema.len == 0)
        return ERR_OK;
    struct lm_fault why = {0};
    enum err err = lm_mask_create(ask->schema, wait->weights->tokenizer, &why, &wait->mask);
    if (err == ERR_INPUT)
        service_fault(fault, "schema: %.200s", why.why);
    *ret_mask = wait->mask;
    return err;
}

enum err service_submit(struct barista_wait *wait, struct lm_job *job)
{
    struct barista *barista = wait->barista;
    job->model = wait->weights->model;
    job->tokenizer = wait->weights->tokenizer;
    job->prompt = wait->ids;
    job->prompt_count = wait->id_count;
    job->deadline_ms = sys_mono_ms() + (int64_t)barista->deadline_s * 1000;
    job->cookie = wait;
    enum err err = lm_engine_submit(wait->engine->engine, job, &wait->request);
    if (err == ERR_FULL)
        barista->refused++;
    return err;
}

static enum err submit_text(struct barista_wait *wait, const struct barista_ask *ask,
                            struct lm_fault *fault)
{
    uint32_t context = lm_model_config(wait->weights->model)->context;
    struct lm_job job = {.max_tokens = ask->max_tokens != 0 ? ask->max_tokens : TOKENS_PRESET,
                         .sampling = ask->sampling,
                         .stop = ask->stop,
                         .stop_count = ask->stop_count,
                         .piece = text_piece,
                         .done = text_done};
    uint32_t room = job.max_tokens < context / 2 ? job.max_tokens : context / 2;
    enum err err = service_prompt(wait, ask, room, fault);
    if (err == ERR_OK)
        err = mask_find(wait, ask, fault, &job.mask);
    return err == ERR_OK ? service_submit(wait, &job) : err;
}

static enum err submit_classify(struct barista_wait *wait, const struct barista_ask *ask,
                                struct lm_fault *fault)
{
    if (wait->barista->facts == NULL) {
        service_fault(fault, "there are no classes: %.200s", wait->barista->facts_why);
        return ERR_CLOSED;
    }
    enum err err = service_prompt(wait, ask, CLASSES_ROOM, fault);
    return err == ERR_OK ? service_classify_next(wait) : err;
}

enum err barista_begin(struct barista *barista, const struct barista_ask *ask,
                       struct lm_fault *fault, void (*piece)(void *cookie, struct str text),
                       void (*done)(void *cookie, enum err err,
                                    const struct barista_answer *answer),
                       void *cookie, struct barista_wait **ret_wait)
{
    struct service_engine *engine;
    fault->why[0] = 0;
    struct service_model *model = service_model_find(barista, ask->model);
    if (model == NULL)
        return ERR_NOT_FOUND;
    if (ask->kind == BARISTA_ASK_SUMMARIZE && !model->summarizes)
        return ERR_REFUSED;
    enum err err = lm_sampling_check(&ask->sampling, fault);
    if (err != ERR_OK)
        return err;
    if (model->weights == NULL || barista->ending) {
        service_fault(fault, "%s is not trained: %.200s", model->name, model->why);
        return ERR_CLOSED;
    }
    err = service_engine_get(barista, &engine);
    if (err != ERR_OK)
        return err;
    struct barista_wait *wait = wait_create(barista, engine, model->weights);
    if (wait == NULL)
        return ERR_NOMEM;
    wait->piece = piece;
    wait->done = done;
    wait->cookie = cookie;
    err = ask->kind == BARISTA_ASK_CLASSIFY ? submit_classify(wait, ask, fault)
                                            : submit_text(wait, ask, fault);
    if (err != ERR_OK) {
        service_wait_free(wait);
        return err;
    }
    *ret_wait = wait;
    return ERR_OK;
}

void barista_cancel(struct barista_wait *wait)
{
    if (wait->left)
        return;
    wait->left = true;
    wait->barista->cancelled++;
    if (wait->request != NULL)
        lm_engine_cancel(wait->engine->engine, wait->request); /* done is on its way */
}
