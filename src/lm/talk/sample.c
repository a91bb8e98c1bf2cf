#include "lm/kernel/kernel_int.h"
#include "lm/talk/talk_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Beyond this a logit says nothing that a number could; infinities are brought back to it. */
#define LOGIT_MAX 1e30F
/* Weights are added up in blocks of this many, each in LANES sums: one fixed order. */
#define BLOCK 512U
/* exp of this is nothing beside 1, and still a number in every kernel. */
#define FAINT (-80.0F)
#define LANES 16U

/* Not fminf and fmaxf, which are calls: these are one instruction for sixteen values.  What is not
 * a number becomes the bound. */
static inline float at_most(float value, float high)
{
    return value < high ? value : high;
}

static inline float at_least(float value, float low)
{
    return value > low ? value : low;
}

static bool in_range(float value, float low, float high)
{
    return value >= low && value <= high; /* false for what is not a number */
}

enum err lm_sampling_check(const struct lm_sampling *sampling, struct lm_fault *fault)
{
    const char *why = NULL;
    if (!in_range(sampling->temperature, 0.0F, 10.0F))
        why = "temperature: 0 to 10";
    else if (!in_range(sampling->top_p, 0.0F, 1.0F))
        why = "top_p: 0 to 1";
    else if (!in_range(sampling->min_p, 0.0F, 1.0F))
        why = "min_p: 0 to 1";
    else if (!in_range(sampling->repetition, 0.0F, 10.0F))
        why = "repetition: 0 to 10";
    else if (sampling->repetition > 0.0F && sampling->repetition < 0.1F)
        why = "repetition: 0, or 0.1 to 10";
    if (why == NULL)
        return ERR_OK;
    if (fault != NULL) {
        *fault = (struct lm_fault){.at_byte = 0};
        (void)snprintf(fault->why, sizeof(fault->why), "%s", why);
    }
    return ERR_INPUT;
}

enum err lm_pick_reserve(struct lm_pick *pick, uint32_t vocab)
{
    if (vocab <= pick->vocab)
        return ERR_OK;
    struct lm_candidate *candidate = mem_alloc(vocab * sizeof(*candidate));
    float *weight = mem_alloc(vocab * sizeof(*weight));
    if (candidate == NULL || weight == NULL) {
        mem_free(candidate);
        mem_free(weight);
        return ERR_NOMEM;
    }
    lm_pick_finish(pick);
    *pick = (struct lm_pick){.candidate = candidate, .weight = weight, .vocab = vocab};
    return ERR_OK;
}

void lm_pick_finish(struct lm_pick *pick)
{
    mem_free(pick->candidate);
    mem_free(pick->weight);
    *pick = (struct lm_pick){.vocab = 0};
}

void lm_sampler_init(struct lm_sampler *sampler, const struct lm_sampling *how)
{
    *sampler = (struct lm_sampler){.how = *how};
    rng_init(&sampler->rng, how->seed);
}

void lm_sampler_saw(struct lm_sampler *sampler, const uint16_t *ids, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        sampler->recent[sampler->recent_count++ % LM_RECENT] = ids[i];
    /* The count only says where the ring goes on once it is full. */
    if (sampler->recent_count >= 2 * LM_RECENT)
        sampler->recent_count = LM_RECENT + sampler->recent_count % LM_RECENT;
}

/* Each id once, however often it was seen: what is positive is divided, what is negative multiplied
 * (Keskar et al. 2019, as llama.cpp and Hugging Face have it). */
static void punish(const struct lm_sampler *sampler, float *logits, uint32_t vocab)
{
    float by = sampler->how.repetition;
    if (by <= 0.0F || by == 1.0F)
        return;
    uint32_t count = sampler->recent_count < LM_RECENT ? sampler->recent_count : LM_RECENT;
    uint64_t seen[(LM_VOCAB_MAX + 63) / 64] = {0};
    for (uint32_t i = 0; i < count; i++) {
        uint32_t id = sampler->recent[i];
        uint64_t bit = 1ULL << (id % 64);
        if (id >= vocab || id >= LM_VOCAB_MAX || (seen[id / 64] & bit) != 0)
            continue;
        seen[id / 64] |= bit;
        logits[id] = logits[id] > 0.0F ? logits[id] / by : logits[id] * by;
    }
}

static void forbid(float *logits, uint32_t from, uint32_t to)
{
    for (uint32_t id = from; id < to; id++)
        logits[id] = -INFINITY;
}

/* What can be chosen stays: allowed, a number, and no special but LM_END.  The rest is minus
 * infinity. */
static void prepare(float *logits, uint32_t vocab, const uint64_t *allowed)
{
    for (uint32_t id = 0; id < vocab; id++) {
        float value = at_most(logits[id], LOGIT_MAX);
        logits[id] = logits[id] > -LOGIT_MAX ? value : -INFINITY;
    }
    uint32_t specials = vocab < LM_SPECIALS ? vocab : LM_SPECIALS;
    forbid(logits, 0, specials < LM_END ? specials : LM_END);
    forbid(logits, LM_END + 1, specials);
    for (uint32_t from = 0; allowed != NULL && from < vocab; from += 64) {
        uint32_t to = vocab - from < 64 ? vocab : from + 64;
        uint64_t bits = allowed[from / 64];
        if (bits == 0)
            forbid(logits, from, to);
        else
            for (uint32_t id = from; id < to; id++)
                logits[id] = (bits >> (id - from) & 1) != 0 ? logits[id] : -INFINITY;
    }
}

static bool before(struct lm_candidate a, struct lm_candidate b)
{
    return a.value > b.value || (a.value == b.value && a.id < b.id);
}

static void sift(struct lm_candidate *heap, uint32_t count, uint32_t at)
{
    struct lm_candidate moved = heap[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= count)
            break;
        if (child + 1 < count && before(heap[child + 1], heap[child]))
            child++;
        if (!before(heap[child], moved))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

static double block_sum(const float *weight, uint32_t count)
{
    float lane[LANES] = {0};
    uint32_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (uint32_t j = 0; j < LANES; j++)
            lane[j] += weight[i + j];
    double sum = 0;
    for (; i < count; i++)
        sum += (double)weight[i];
    for (uint32_t j = 0; j < LANES; j++)
        sum += (double)lane[j];
    return sum;
}

static double mass_above(const float *weight, uint32_t count, float least)
{
    float lane[LANES] = {0};
    uint32_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (uint32_t j = 0; j < LANES; j++)
            lane[j] += weight[i + j] >= least ? weight[i + j] : 0.0F;
    double sum = 0;
    for (; i < count; i++)
        sum += weight[i] >= least ? (double)weight[i] : 0.0;
    for (uint32_t j = 0; j < LANES; j++)
        sum += (double)lane[j];
    return sum;
}

/* A value below which nothing is kept: the first of a few steps down from the best above which
 * there is enough (`count_min` candidates, or that much mass of `weight`).  A cheap pass or two
 * spare a heap of everything.  `weight`: values, or exp(value - best) when it is by mass. */
static float cut_below(const float *weight, uint32_t count, float best, uint32_t count_min,
                       double mass_min)
{
    for (unsigned doubled = 0; doubled < 6; doubled++) {
        float step = (float)(1U << doubled);
        if (count_min == 0) {
            /* A hair more than asked, so that rounding of the sum cannot cut too much. */
            float least = expf(-step);
            if (mass_above(weight, count, least * 1.001F) >= mass_min * 1.0001)
                return best - step;
            continue;
        }
        uint32_t above = 0;
        for (uint32_t i = 0; i < count; i++)
            above += weight[i] >= best - step;
        if (above >= count_min)
            return best - step;
    }
    return -INFINITY;
}

/* The best come to the front in order, taken from a heap one by one and only as many as are kept:
 * at most `most`, until they weigh `mass_max`.  Returns how many; `ret_mass` is what they weigh. */
static uint32_t take_best(struct lm_candidate *candidate, uint32_t count, uint32_t most,
                          double mass_max, float best, double *ret_mass)
{
    for (uint32_t i = count / 2; i-- > 0;)
        sift(candidate, count, i);
    /* The heap shrinks from its end: what leaves it is put there and turned round after. */
    uint32_t heap = count;
    double mass = 0;
    while (heap > 0 && count - heap < most && mass < mass_max) {
        struct lm_candidate top = candidate[0];
        candidate[0] = candidate[--heap];
        candidate[heap] = top;
        sift(candidate, heap, 0);
        mass += exp((double)top.value - (double)best);
    }
    uint32_t kept = count - heap;
    for (uint32_t i = 0; i < kept / 2; i++) {
        struct lm_candidate swap = candidate[heap + i];
        candidate[heap + i] = candidate[count - 1 - i];
        candidate[count - 1 - i] = swap;
    }
    memmove(candidate, candidate + heap, kept * sizeof(*candidate));
    *ret_mass = mass;
    return kept;
}

/* top-k, top-p and min-p: who may be drawn. */
static uint32_t gather(const struct lm_sampling *how, struct lm_pick *pick, const float *logits,
                       uint32_t vocab, float best)
{
    struct lm_candidate *candidate = pick->candidate;
    bool by_mass = how->top_p > 0.0F && how->top_p < 1.0F;
    bool by_count = how->top_k > 0 && how->top_k < vocab;
    float likely = how->min_p > 0.0F ? best + logf(how->min_p) : -INFINITY;
    float least = likely;
    double mass = 0;
    if (by_count) {
        least = cut_below(logits, vocab, best, how->top_k, 0);
    } else if (by_mass) {
        for (uint32_t i = 0; i < vocab; i++)
            pick->weight[i] = at_least(logits[i] - best, FAINT);
        mass = (double)lm_exp_row(pick->weight, 0.0F, vocab) * (double)how->top_p;
        least = cut_below(pick->weight, vocab, best, 0, mass);
    }
    uint32_t count = 0;
    for (uint32_t id = 0; id < vocab; id++)
        if (logits[id] >= least && logits[id] > -INFINITY)
            candidate[count++] = (struct lm_candidate){logits[id], id};
    if (by_count)
        count = take_best(candidate, count, how->top_k, INFINITY, best, &mass);
    else if (by_mass)
        count = take_best(candidate, count, count, mass, best, &mass);
    if (by_count && by_mass) { /* the share is one of what top-k left */
        double part = 0;
        uint32_t kept = 0;
        while (kept < count && part < mass * (double)how->top_p)
            part += exp((double)candidate[kept++].value - (double)best);
        count = kept;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++)
        if (candidate[i].value >= likely)
            candidate[kept++] = candidate[i];
    return kept;
}

/* One of `count` values, each as likely as exp of it over the temperature. */
static uint32_t draw(struct lm_sampler *sampler, const float *weight, uint32_t count)
{
    double block[(LM_VOCAB_MAX + BLOCK - 1) / BLOCK];
    double total = 0;
    uint32_t blocks = (count + BLOCK - 1) / BLOCK;
    for (uint32_t b = 0; b < blocks; b++) {
        uint32_t size = count - b * BLOCK < BLOCK ? count - b * BLOCK : BLOCK;
        block[b] = block_sum(weight + (size_t)b * BLOCK, size);
        total += block[b];
    }
    double target = rng_unit(&sampler->rng) * total;
    uint32_t b = 0;
    while (b + 1 < blocks && target >= block[b])
        target -= block[b++];
    uint32_t chosen = b * BLOCK;
    float heaviest = 0;
    for (uint32_t i = b * BLOCK; i < count && i < (b + 1) * BLOCK; i++) {
        target -= (double)weight[i];
        if (target < 0)
            return i;
        if (weight[i] > heaviest) { /* when rounding runs past the end */
            heaviest = weight[i];
            chosen = i;
        }
    }
    return chosen;
}

static float scaled(const struct lm_sampler *sampler, float value, float best)
{
    float scale = at_most(1.0F / sampler->how.temperature, LOGIT_MAX);
    return at_least((value - best) * scale, FAINT);
}

static uint32_t choose(struct lm_sampler *sampler, struct lm_pick *pick, const float *logits,
                       uint32_t vocab, float best)
{
    const struct lm_sampling *how = &sampler->how;
    float *weight = pick->weight;
    if (how->temperature == 0.0F) {
        uint32_t id = 0;
        while (logits[id] < best)
            id++;
        return id;
    }
    bool is_cut = how->top_k > 0 || how->min_p > 0.0F || (how->top_p > 0.0F && how->top_p < 1.0F);
    uint32_t count = is_cut ? gather(how, pick, logits, vocab, best) : vocab;
    for (uint32_t i = 0; i < count; i++)
        weight[i] = scaled(sampler, is_cut ? pick->candidate[i].value : logits[i], best);
    (void)lm_exp_row(weight, 0.0F, count);
    if (!is_cut) /* what is forbidden weighs nothing at all */
        for (uint32_t i = 0; i < count; i++)
            weight[i] = logits[i] > -INFINITY ? weight[i] : 0.0F;
    uint32_t at = draw(sampler, weight, count);
    return is_cut ? pick->candidate[at].id : at;
}

double lm_log_sum(const float *logits, uint32_t vocab, float *weight)
{
    for (uint32_t i = 0; i < vocab; i++) {
        float value = at_most(logits[i], LOGIT_MAX);
        weight[i] = logits[i] > -LOGIT_MAX ? value : -LOGIT_MAX;
    }
    float best = lm_max_row(weight, vocab);
    for (uint32_t i = 0; i < vocab; i++)
        weight[i] = at_least(weight[i] - best, FAINT);
    return (double)best + log((double)lm_exp_row(weight, 0.0F, vocab));
}

/* The model had no opinion: the first that may follow, or the end. */
static uint32_t first_allowed(const uint64_t *allowed, uint32_t vocab)
{
    for (uint32_t word = 0; allowed != NULL && word * 64 < vocab; word++)
        if (allowed[word] != 0)
            return word * 64 + (uint32_t)__builtin_ctzll(allowed[word]);
    return LM_END;
}

uint32_t lm_sampler_next(struct lm_sampler *sampler, struct lm_pick *pick, float *logits,
                         uint32_t vocab, const uint64_t *allowed, double *ret_logprob)
{
    double log_sum = lm_log_sum(logits, vocab, pick->weight);
    float raw[LM_RECENT]; /* the model's own value, should the chosen one have been punished */
    uint32_t recent = sampler->recent_count < LM_RECENT ? sampler->recent_count : LM_RECENT;
    for (uint32_t i = 0; i < recent; i++)
        raw[i] = sampler->recent[i] < vocab ? logits[sampler->recent[i]] : 0.0F;
    punish(sampler, logits, vocab);
    prepare(logits, vocab, allowed);
    float best = lm_max_row(logits, vocab);
    uint32_t chosen = best > -INFINITY ? choose(sampler, pick, logits, vocab, best)
                                       : first_allowed(allowed, vocab);
    float value = chosen < vocab ? logits[chosen] : 0.0F;
    for (uint32_t i = 0; i < recent; i++)
        if (sampler->recent[i] == chosen)
            value = raw[i];
    double logprob = (double)value - log_sum;
    *ret_logprob = isfinite(logprob) ? logprob : 0.0;
    return chosen;
}
