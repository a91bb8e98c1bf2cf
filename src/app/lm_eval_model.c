/* A model that is judged: its answers, its choices, its loss. */
#include "app/lm_eval.h"

#include <stdio.h>
#include <string.h>

enum err lm_eval_open(const char *dir, const struct lm_model_options *options,
                      struct lm_tokenizer *tokenizer, struct lm_pool *pool, struct lm_fault *fault,
                      struct lm_eval_model *ret_model)
{
    *ret_model = (struct lm_eval_model){.tokenizer = tokenizer, .pool = pool};
    enum err err = lm_model_load(dir, options, fault, &ret_model->model);
    if (err == ERR_OK)
        err = lm_session_create(ret_model->model, &ret_model->session);
    if (err == ERR_OK) {
        uint32_t vocab = lm_model_config(ret_model->model)->vocab_used;
        ret_model->logits = mem_alloc(sizeof(float) * vocab);
        err = ret_model->logits == NULL ? ERR_NOMEM : ERR_OK;
        if (err == ERR_OK && vocab < lm_tokenizer_vocab(tokenizer)) {
            err = ERR_INPUT;
            (void)snprintf(fault->why, sizeof(fault->why),
                           "tokenizer.json has %u ids, the model %u: it is another model's",
                           lm_tokenizer_vocab(tokenizer), vocab);
        }
    }
    if (err != ERR_OK)
        lm_eval_close(ret_model);
    return err;
}

void lm_eval_close(struct lm_eval_model *model)
{
    mem_free(model->logits);
    lm_session_destroy(model->session);
    lm_model_destroy(model->model);
    model->logits = NULL;
    model->session = NULL;
    model->model = NULL;
}

static uint16_t likeliest(const float *logits, uint32_t vocab)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < vocab; i++)
        best = logits[i] > logits[best] ? i : best;
    return (uint16_t)best;
}

enum err lm_eval_answer(struct lm_eval_model *model, const struct barista_dialogue *dialogue,
                        struct buf *ret_answer)
{
    const struct lm_config *config = lm_model_config(model->model);
    size_t count;
    enum err err =
        barista_prompt(model->tokenizer, dialogue->task, dialogue->turns, dialogue->turn_count - 1,
                       config->context, LM_EVAL_ANSWER_MAX, model->ids, LM_EVAL_IDS_MAX, &count);
    lm_session_rewind(model->session, 0);
    if (err == ERR_OK)
        err = lm_session_feed(model->session, model->pool, model->ids, (uint32_t)count,
                              model->logits);
    for (uint32_t made = 0; made < LM_EVAL_ANSWER_MAX && err == ERR_OK; made++) {
        uint16_t id = likeliest(model->logits, config->vocab_used);
        if (id < LM_SPECIALS && (id != LM_RECIPE || made > 0))
            break;
        err = buf_add_str(ret_answer, lm_tokenizer_bytes(model->tokenizer, id));
        if (err == ERR_OK)
            err = lm_session_feed(model->session, model->pool, &id, 1, model->logits);
    }
    return err;
}

/* Ids of `text` behind those that are there. */
static enum err append(struct lm_eval_model *model, struct str text, size_t *count)
{
    size_t more = 0;
    enum err err = lm_tokenizer_encode(model->tokenizer, text, model->ids + *count,
                                       LM_EVAL_IDS_MAX - *count, &more);
    *count += err == ERR_OK ? more : 0;
    return err;
}

static enum err choice_score(struct lm_eval_model *model, size_t facet, struct str label,
                             size_t base, double *ret_logprob)
{
    struct buf text;
    size_t count = base;
    buf_init(&text, 256);
    enum err err = barista_class_choice(facet, label, &text);
    if (err == ERR_OK)
        err = append(model, buf_str(&text), &count);
    buf_finish(&text);
    lm_session_rewind(model->session, (uint32_t)base);
    if (err == ERR_OK)
        err = lm_session_score(model->session, model->pool, model->ids + base,
                               (uint32_t)(count - base), ret_logprob);
    return err;
}

static enum err facet_score(struct lm_eval_model *model, const struct barista_facet *facet,
                            size_t index, struct str right, size_t *count,
                            struct barista_judged *ret_judged)
{
    size_t from = *count;
    enum err err = append(model, barista_class_lead(index), count);
    if (err == ERR_OK && *count > from)
        err = lm_session_feed(model->session, model->pool, model->ids + from,
                              (uint32_t)(*count - from), NULL);
    ret_judged->count =
        facet->label_count < BARISTA_LABELS_MAX ? facet->label_count : BARISTA_LABELS_MAX;
    for (size_t i = 0; i < ret_judged->count && err == ERR_OK; i++) {
        err = choice_score(model, index, facet->label[i], *count, &ret_judged->logprob[i]);
        if (str_equal(facet->label[i], right))
            ret_judged->right = i;
    }
    if (err != ERR_OK)
        return err;
    struct buf text; /* and on from the right label */
    buf_init(&text, 256);
    from = *count;
    lm_session_rewind(model->session, (uint32_t)from);
    err = barista_class_choice(index, right, &text);
    if (err == ERR_OK)
        err = append(model, buf_str(&text), count);
    buf_finish(&text);
    return err != ERR_OK ? err
                         : lm_session_feed(model->session, model->pool, model->ids + from,
                                           (uint32_t)(*count - from), NULL);
}

enum err lm_eval_classes(struct lm_eval_model *model, const struct barista_facts *facts,
                         const struct barista_dialogue *dialogue, struct barista_judged *ret_judged,
                         size_t *ret_count)
{
    const struct barista_facet *facet;
    size_t facets = barista_facets(facts, &facet), count = 0;
    enum err err = barista_prompt(model->tokenizer, BARISTA_CLASSIFY, dialogue->turns, 1,
                                  lm_model_config(model->model)->context, LM_EVAL_ANSWER_MAX,
                                  model->ids, LM_EVAL_IDS_MAX, &count);
    lm_session_rewind(model->session, 0);
    if (err == ERR_OK)
        err = lm_session_feed(model->session, model->pool, model->ids, (uint32_t)count, NULL);
    for (size_t i = 0; i < facets && err == ERR_OK; i++)
        err = facet_score(model, &facet[i], i, dialogue->label.classes[i], &count, &ret_judged[i]);
    *ret_count = facets;
    return err;
}

enum err lm_eval_loss(struct lm_eval_model *model, const struct barista_dialogue *dialogue,
                      double *sum, uint64_t *count)
{
    size_t ids;
    enum err err =
        barista_dialogue_ids(model->tokenizer, dialogue, model->ids, LM_EVAL_IDS_MAX, &ids);
    if (err != ERR_OK || ids > lm_model_config(model->model)->context)
        return err == ERR_FULL ? ERR_OK : err; /* too long to be asked, so not judged either */
    lm_session_rewind(model->session, 0);
    for (size_t from = 0; from < ids && err == ERR_OK;) {
        bool quiet = (model->ids[from] & LM_TOKEN_QUIET) != 0;
        size_t to = from;
        double logprob = 0;
        while (to < ids && ((model->ids[to] & LM_TOKEN_QUIET) != 0) == quiet)
            model->ids[to++] &= (uint16_t)~LM_TOKEN_QUIET;
        uint32_t len = (uint32_t)(to - from);
        err = quiet
                  ? lm_session_feed(model->session, model->pool, model->ids + from, len, NULL)
                  : lm_session_score(model->session, model->pool, model->ids + from, len, &logprob);
        *sum += logprob;
        *count += quiet ? 0 : len;
        from = to;
    }
    return err;
}
