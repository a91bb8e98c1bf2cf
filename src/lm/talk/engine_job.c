#include "lm/talk/engine_int.h"

#include <string.h>

static enum err copy_choices(const struct lm_job *job, struct lm_request *request)
{
    if (job->choice_count == 0)
        return ERR_OK;
    size_t bytes = 0;
    for (uint32_t i = 0; i < job->choice_count; i++) {
        if (job->choices[i].len == 0 || job->choices[i].len > 64 * KIB)
            return ERR_INPUT;
        bytes += job->choices[i].len;
    }
    request->choices = mem_alloc(job->choice_count * sizeof(*request->choices));
    request->scores = mem_zalloc(job->choice_count * sizeof(*request->scores));
    request->choice_bytes = mem_alloc(bytes);
    if (request->choices == NULL || request->scores == NULL || request->choice_bytes == NULL)
        return ERR_NOMEM;
    char *at = request->choice_bytes;
    for (uint32_t i = 0; i < job->choice_count; i++) {
        memcpy(at, job->choices[i].at, job->choices[i].len);
        request->choices[i] = (struct str){at, job->choices[i].len};
        at += job->choices[i].len;
    }
    request->job.choices = request->choices;
    return ERR_OK;
}

static enum err check(const struct lm_job *job, const struct lm_config *config)
{
    if (job->prompt_count == 0 || job->choice_count > LM_CHOICES_MAX)
        return ERR_INPUT;
    /* A tokenizer that knows ids which the model does not have belongs to another model. */
    if (lm_tokenizer_vocab(job->tokenizer) > config->vocab_used)
        return ERR_INPUT;
    for (uint32_t i = 0; i < job->prompt_count; i++)
        if (job->prompt[i] >= config->vocab_used)
            return ERR_INPUT;
    return lm_sampling_check(&job->sampling, NULL);
}

static enum err fill(const struct lm_job *job, const struct lm_config *config,
                     struct lm_request *request)
{
    request->job = *job;
    request->job.stop = NULL;
    buf_init(&request->fresh, 4 * MIB);
    atomic_init(&request->cancelled, false);
    lm_sampler_init(&request->sampler, &job->sampling);
    enum err err = lm_emit_init(&request->emit, job->stop, job->stop_count);
    if (err != ERR_OK)
        return err;
    err = copy_choices(job, request);
    if (err != ERR_OK)
        return err;
    request->result.prompt_ids = job->prompt_count;
    request->mask_state = job->mask != NULL ? lm_mask_start(job->mask) : LM_NO_STATE;
    if (job->prompt_count > config->context) { /* an answer like any other, but at once */
        request->err = ERR_INPUT;
        request->result.finish = LM_FINISH_LENGTH;
        return ERR_OK;
    }
    /* The last id that is made need not be read any more: one more than there is room for. */
    request->limit = config->context - job->prompt_count + 1;
    if (job->max_tokens != 0 && job->max_tokens < request->limit)
        request->limit = job->max_tokens;
    request->prompt = mem_alloc(job->prompt_count * sizeof(*request->prompt));
    if (request->prompt == NULL)
        return ERR_NOMEM;
    memcpy(request->prompt, job->prompt, job->prompt_count * sizeof(*request->prompt));
    request->job.prompt = request->prompt;
    lm_sampler_saw(&request->sampler, request->prompt, job->prompt_count);
    return ERR_OK;
}

enum err lm_request_create(const struct lm_job *job, const struct lm_engine_ops *ops,
                           struct lm_request **ret_request)
{
    const struct lm_config *config = ops->config(job->model);
    enum err err = check(job, config);
    if (err != ERR_OK)
        return err;
    struct lm_request *request = mem_zalloc(sizeof(*request));
    if (request == NULL)
        return ERR_NOMEM;
    err = fill(job, config, request);
    if (err != ERR_OK) {
        lm_request_destroy(request);
        return err;
    }
    *ret_request = request;
    return ERR_OK;
}

void lm_request_destroy(struct lm_request *request)
{
    mem_free(request->prompt);
    mem_free(request->choices);
    mem_free(request->choice_bytes);
    mem_free(request->scores);
    buf_finish(&request->fresh);
    mem_free(request);
}
