/* Classes: for each facet the labels are scored as the ways the answer could go on, the likeliest
 * is taken, and the answer goes on with it.  A confidence is the label's share among its facet's,
 * after the scores were divided by the temperature that was found on held-out dialogues. */
#include "barista/service_int.h"

#include <string.h>

#define LABELS_MAX 32

static void facet_scored(void *cookie, enum err err, const struct lm_result *result);

static enum err ids_go_on(struct barista_wait *wait, struct str text)
{
    size_t count = 0;
    enum err err = lm_tokenizer_encode(wait->weights->tokenizer, text, wait->ids + wait->id_count,
                                       wait->id_max - wait->id_count, &count);
    wait->id_count += err == ERR_OK ? (uint32_t)count : 0;
    return err;
}

/* All choices in one buffer, told apart by where each ends. */
static enum err choices_write(const struct barista_facet *facet, size_t index, struct buf *text,
                              size_t end[LABELS_MAX])
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < facet->label_count && err == ERR_OK; i++) {
        err = barista_class_choice(index, facet->label[i], text);
        end[i] = text->len;
    }
    return err;
}

enum err service_classify_next(struct barista_wait *wait)
{
    const struct barista_facet *facet;
    struct str choice[LABELS_MAX];
    size_t end[LABELS_MAX], count = barista_facets(wait->barista->facts, &facet);
    struct buf text;
    if (wait->facet >= count || facet[wait->facet].label_count > LABELS_MAX)
        return ERR_INPUT;
    facet += wait->facet;
    buf_init(&text, 16 * KIB);
    enum err err = ids_go_on(wait, barista_class_lead(wait->facet));
    if (err == ERR_OK)
        err = choices_write(facet, wait->facet, &text, end);
    for (size_t i = 0; i < facet->label_count && err == ERR_OK; i++)
        choice[i] = str_slice(buf_str(&text), i > 0 ? end[i - 1] : 0, end[i]);
    if (err == ERR_OK)
        err = service_submit(wait, &(struct lm_job){.choices = choice,
                                                    .choice_count = (uint32_t)facet->label_count,
                                                    .max_tokens = 1,
                                                    .done = facet_scored});
    buf_finish(&text);
    return err;
}

static size_t facet_choose(struct barista_wait *wait, const struct barista_facet *facet,
                           const struct lm_result *result)
{
    double share[LABELS_MAX];
    size_t best = 0;
    barista_class_confidence(result->scores, facet->label_count, wait->weights->temperature, share);
    for (size_t i = 1; i < facet->label_count; i++)
        best = share[i] > share[best] ? i : best;
    wait->class[wait->facet] = (struct barista_class){facet->name, facet->label[best], share[best]};
    return best;
}

/* The label that was chosen is part of what the next facet is asked after. */
static enum err label_add(struct barista_wait *wait, const struct barista_facet *facet,
                          size_t label)
{
    struct buf text;
    buf_init(&text, KIB);
    enum err err = barista_class_choice(wait->facet, facet->label[label], &text);
    if (err == ERR_OK)
        err = ids_go_on(wait, buf_str(&text));
    buf_finish(&text);
    return err;
}

static void sum_add(struct lm_result *sum, const struct lm_result *result, bool first)
{
    if (first) {
        sum->prompt_ids = result->prompt_ids;
        sum->queued_ms = result->queued_ms;
        sum->cached_ids = result->cached_ids;
    }
    sum->prompt_ms += result->prompt_ms;
    sum->decode_ms += result->decode_ms;
    sum->made_ids += result->made_ids;
}

static void facet_scored(void *cookie, enum err err, const struct lm_result *result)
{
    struct barista_wait *wait = cookie;
    const struct barista_facet *facet;
    size_t count = barista_facets(wait->barista->facts, &facet);
    facet += wait->facet;
    wait->request = NULL;
    if (err == ERR_OK && result->finish == LM_FINISH_CANCEL)
        err = ERR_CLOSED;
    if (err == ERR_OK && (result->scores == NULL || result->score_count != facet->label_count))
        err = ERR_TIMEOUT;
    if (err != ERR_OK || wait->left) {
        service_wait_answer(wait, err, result);
        return;
    }
    sum_add(&wait->sum, result, wait->facet == 0);
    err = label_add(wait, facet, facet_choose(wait, facet, result));
    wait->facet++;
    if (err == ERR_OK && wait->facet < count) {
        err = service_classify_next(wait);
        if (err == ERR_OK)
            return;
    }
    service_wait_answer(wait, err, &wait->sum);
}
