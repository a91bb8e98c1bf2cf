#include "lm/talk/engine_int.h"

#include <math.h>
#include <string.h>

#define PROMPT_PIECE  128U /* ids of a prompt read in one turn */
#define DECODE_PIECE  8U   /* ids made in one turn */
#define CHOICES_PIECE 4U   /* choices scored in one turn */

static bool over(struct lm_request *request, enum err err, enum lm_finish finish)
{
    request->err = err;
    request->result.finish = finish;
    return true;
}

/* Cancelled, closed or too late?  Looked at before each id and each piece of a prompt. */
static bool interrupted(const struct lm_worker *worker, struct lm_request *request)
{
    if (atomic_load(&request->cancelled))
        return over(request, ERR_OK, LM_FINISH_CANCEL);
    if (atomic_load(&worker->engine->closing))
        return over(request, ERR_CLOSED, LM_FINISH_CANCEL);
    int64_t deadline_ms = request->job.deadline_ms;
    if (deadline_ms != 0 && worker->engine->ops->now_ms() >= deadline_ms)
        return over(request, ERR_OK, LM_FINISH_LENGTH);
    return false;
}

static enum err reserve(struct lm_worker *worker, uint32_t vocab)
{
    if (worker->logits_max < vocab) {
        float *logits = mem_realloc(worker->logits, vocab * sizeof(*logits));
        if (logits == NULL)
            return ERR_NOMEM;
        worker->logits = logits;
        worker->logits_max = vocab;
    }
    return lm_pick_reserve(&worker->pick, vocab);
}

/* The slot holds these ids when feeding them went well; nothing when it is not known. */
static enum err feed(const struct lm_worker *worker, struct lm_request *request,
                     struct lm_pool *pool, const uint16_t *ids, uint32_t count, float *ret_logits)
{
    struct lm_slot *slot = request->slot;
    enum err err = worker->engine->ops->feed(slot->session, pool, ids, count, ret_logits);
    if (err != ERR_OK) {
        worker->engine->ops->rewind(slot->session, 0);
        slot->count = 0;
        return err;
    }
    memcpy(slot->ids + slot->count, ids, count * sizeof(*ids));
    slot->count += count;
    return ERR_OK;
}

static enum err begin(const struct lm_worker *worker, struct lm_request *request)
{
    const struct lm_engine_ops *ops = worker->engine->ops;
    struct lm_slot *slot = request->slot;
    if (slot->session == NULL) {
        const struct lm_config *config = ops->config(request->job.model);
        slot->count = 0;
        slot->ids = mem_alloc(config->context * sizeof(*slot->ids));
        if (slot->ids == NULL)
            return ERR_NOMEM;
        enum err err = ops->create(request->job.model, &slot->session);
        if (err != ERR_OK) {
            mem_free(slot->ids);
            slot->ids = NULL;
            return err;
        }
    }
    /* At least the last id is read again: its logits are not kept. */
    uint32_t most = request->job.prompt_count - 1;
    uint32_t same = 0;
    while (same < most && same < slot->count && slot->ids[same] == request->prompt[same])
        same++;
    ops->rewind(slot->session, same);
    slot->count = same;
    request->at = same;
    request->result.cached_ids = same;
    request->phase = LM_PHASE_PROMPT;
    return ERR_OK;
}

/* Chooses the next id from the worker's logits; true when the text ends with it. */
static bool choose(struct lm_worker *worker, struct lm_request *request, uint32_t vocab)
{
    const struct lm_mask *mask = request->job.mask;
    uint32_t left = request->limit - request->result.made_ids;
    const uint64_t *allowed = NULL;
    if (mask != NULL)
        allowed = lm_mask_allowed(mask, request->mask_state, left, worker->mask_words);
    double logprob;
    uint32_t id =
        lm_sampler_next(&request->sampler, &worker->pick, worker->logits, vocab, allowed, &logprob);
    request->result.logprob += logprob;
    if (id == LM_END)
        return over(request, ERR_OK, LM_FINISH_STOP);
    request->last = (uint16_t)id;
    request->result.made_ids++;
    lm_sampler_saw(&request->sampler, &request->last, 1);
    bool is_complete = false;
    bool is_valid = false; /* as JSON: a text that may end here has not been cut off */
    if (mask != NULL) {
        request->mask_state = lm_mask_step(mask, request->mask_state, id);
        ASSERT(request->mask_state != LM_NO_STATE);
        is_valid = lm_mask_accepts(mask, request->mask_state);
        is_complete = lm_mask_complete(mask, request->mask_state);
    }
    worker->text.len = 0;
    enum err err =
        lm_emit_add(&request->emit, lm_tokenizer_bytes(request->job.tokenizer, id), &worker->text);
    if (err == ERR_OK)
        err = lm_engine_publish(worker->engine, request, buf_str(&worker->text));
    if (err != ERR_OK)
        return over(request, err, LM_FINISH_LENGTH);
    if (request->emit.stopped || is_complete)
        return over(request, ERR_OK, LM_FINISH_STOP);
    if (request->result.made_ids == request->limit)
        return over(request, ERR_OK, is_valid ? LM_FINISH_STOP : LM_FINISH_LENGTH);
    return false;
}

/* Choices of one id need nothing but the logits after the prompt, over all of the model's rows as
 * lm_session_score has it. */
static void score_short(struct lm_worker *worker, struct lm_request *request)
{
    uint32_t vocab = worker->engine->ops->config(request->job.model)->vocab_used;
    double log_sum = lm_log_sum(worker->logits, vocab, worker->pick.weight);
    for (uint32_t i = 0; i < request->job.choice_count; i++) {
        size_t count;
        enum err err = lm_tokenizer_encode(request->job.tokenizer, request->choices[i], worker->ids,
                                           LM_CONTEXT_MAX, &count);
        request->scores[i] = NAN;
        if (err == ERR_OK && count == 1)
            request->scores[i] = (double)worker->logits[worker->ids[0]] - log_sum;
    }
}

static bool score_some(struct lm_worker *worker, struct lm_request *request, struct lm_pool *pool)
{
    const struct lm_engine_ops *ops = worker->engine->ops;
    struct lm_slot *slot = request->slot;
    uint32_t turns = 0;
    while (request->choice_at < request->job.choice_count && turns < CHOICES_PIECE) {
        double *score = &request->scores[request->choice_at];
        if (!isnan(*score)) {
            request->choice_at++;
            continue;
        }
        if (interrupted(worker, request))
            return true;
        size_t count;
        enum err err =
            lm_tokenizer_encode(request->job.tokenizer, request->choices[request->choice_at],
                                worker->ids, LM_CONTEXT_MAX, &count);
        if (err == ERR_OK)
            err = ops->score(slot->session, pool, worker->ids, (uint32_t)count, score);
        ops->rewind(slot->session, slot->count); /* to the end of the prompt */
        if (err != ERR_OK) /* too long for the context is the caller's matter */
            return over(request, err == ERR_FULL ? ERR_INPUT : err, LM_FINISH_LENGTH);
        request->choice_at++;
        turns++;
    }
    if (request->choice_at < request->job.choice_count)
        return false;
    request->result.scores = request->scores;
    request->result.score_count = request->job.choice_count;
    return over(request, ERR_OK, LM_FINISH_STOP);
}

static bool read_prompt(struct lm_worker *worker, struct lm_request *request, struct lm_pool *pool,
                        uint32_t vocab)
{
    uint32_t count = request->job.prompt_count - request->at;
    bool is_last = count <= PROMPT_PIECE;
    if (!is_last)
        count = PROMPT_PIECE;
    enum err err = feed(worker, request, pool, request->prompt + request->at, count,
                        is_last ? worker->logits : NULL);
    if (err != ERR_OK)
        return over(request, err, LM_FINISH_LENGTH);
    request->at += count;
    if (!is_last)
        return false;
    request->decode_us = sys_mono_us();
    if (request->job.choice_count > 0) {
        score_short(worker, request);
        request->phase = LM_PHASE_SCORE;
        return false;
    }
    request->phase = LM_PHASE_DECODE;
    return choose(worker, request, vocab);
}

static bool decode_some(struct lm_worker *worker, struct lm_request *request, struct lm_pool *pool,
                        uint32_t vocab)
{
    for (uint32_t i = 0; i < DECODE_PIECE; i++) {
        if (interrupted(worker, request))
            return true;
        enum err err = feed(worker, request, pool, &request->last, 1, worker->logits);
        if (err != ERR_OK)
            return over(request, err, LM_FINISH_LENGTH);
        if (choose(worker, request, vocab))
            return true;
    }
    return false;
}

static bool turn(struct lm_worker *worker, struct lm_request *request, struct lm_pool *pool)
{
    /* Rows beyond the tokenizer's are never trained: they have no say. */
    uint32_t vocab = lm_tokenizer_vocab(request->job.tokenizer);
    if (interrupted(worker, request))
        return true;
    enum err err = reserve(worker, worker->engine->ops->config(request->job.model)->vocab_used);
    if (err == ERR_OK && request->phase == LM_PHASE_BEGIN)
        err = begin(worker, request);
    if (err != ERR_OK)
        return over(request, err, LM_FINISH_LENGTH);
    switch (request->phase) {
    case LM_PHASE_BEGIN:
    case LM_PHASE_PROMPT:
        return read_prompt(worker, request, pool, vocab);
    case LM_PHASE_SCORE:
        return score_some(worker, request, pool);
    case LM_PHASE_DECODE:
        break;
    }
    return decode_some(worker, request, pool, vocab);
}

bool lm_request_step(struct lm_worker *worker, struct lm_request *request, struct lm_pool *pool)
{
    if (!turn(worker, request, pool))
        return false;
    int64_t now_us = sys_mono_us();
    if (request->decode_us == 0)
        request->decode_us = now_us;
    request->result.queued_ms = (double)(request->begin_us - request->submit_us) / 1e3;
    request->result.prompt_ms = (double)(request->decode_us - request->begin_us) / 1e3;
    request->result.decode_ms = (double)(now_us - request->decode_us) / 1e3;
    if (request->err != ERR_OK || request->result.finish == LM_FINISH_CANCEL)
        return true;
    worker->text.len = 0;
    request->err = lm_emit_end(&request->emit, &worker->text);
    if (request->err == ERR_OK)
        request->err = lm_engine_publish(worker->engine, request, buf_str(&worker->text));
    return true;
}
