#include "lm/kernel/kernel_int.h"
#include "lm/talk/talk_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Beyond this a logit says nothing that a number could; infinities are brought back to it. */
#define LOGIT_MAX 1e30F
/* Weights are added up in blocks of this many, each in LANES sums: one fixed order. */
#define BLOCK 512U
#define LANES 8U

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

/* What can be chosen at all: allowed, a number, and no special but LM_END. */
static uint32_t gather(struct lm_candidate *candidate, const float *logits, uint32_t vocab,
                       const uint64_t *allowed)
{
    uint32_t count = 0;
    for (uint32_t id = 0; id < LM_SPECIALS && id < vocab; id++) {
        if (id != LM_END || (allowed != NULL && (allowed[0] >> id & 1) == 0))
            continue;
        candidate[count] = (struct lm_candidate){fminf(logits[id], LOGIT_MAX), id};
        count += logits[id] > -LOGIT_MAX;
    }
    if (allowed == NULL) {
        for (uint32_t id = LM_SPECIALS; id < vocab; id++) {
            candidate[count] = (struct lm_candidate){fminf(logits[id], LOGIT_MAX), id};
            count += logits[id] > -LOGIT_MAX; /* false for what is not a number */
        }
        return count;
    }
    for (uint32_t word = 0; word * 64 < vocab; word++) {
        uint64_t bits = allowed[word];
        for (; bits != 0; bits &= bits - 1) {
            uint32_t id = word * 64 + (uint32_t)__builtin_ctzll(bits);
            if (id < LM_SPECIALS || id >= vocab)
                continue;
            candidate[count] = (struct lm_candidate){fminf(logits[id], LOGIT_MAX), id};
            count += logits[id] > -LOGIT_MAX;
        }
    }
    return count;
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

/* How far below the best the cut lies at most: the first of a few steps above which there are
 * `count_min` candidates and `mass_min` of weight.  Two cheap passes spare a heap of everything. */
static float cut_below(const struct lm_candidate *candidate, const float *weight, uint32_t count,
                       float best, uint32_t count_min, double mass_min)
{
    for (float step = 2.0F; step < 40.0F; step *= 2.0F) {
        float least = best - step;
        uint32_t above = 0;
        float mass = 0;
        for (uint32_t i = 0; i < count; i++) {
            bool is_above = candidate[i].value >= least;
            above += is_above;
            mass += is_above ? weight[i] : 0.0F;
        }
        /* A hair more than asked, so that rounding of the sum cannot cut too much. */
        if (above >= count_min && (double)mass >= mass_min * 1.0001)
            return least;
    }
    return -INFINITY;
}

/* top-k and top-p: the best ones come to the front in order, taken from a heap one by one and only
 * as many as are kept.  Returns how many. */
static uint32_t keep_best(const struct lm_sampling *how, struct lm_candidate *candidate,
                          float *weight, uint32_t count, float best)
{
    bool by_mass = how->top_p > 0.0F && how->top_p < 1.0F;
    uint32_t most = how->top_k > 0 && how->top_k < count ? how->top_k : count;
    if (!by_mass && most == count)
        return count;
    for (uint32_t i = 0; i < count; i++)
        weight[i] = candidate[i].value;
    double total = (double)lm_exp_row(weight, best, count);
    bool only_mass = most == count;
    float least = cut_below(candidate, weight, count, best, only_mass ? 1 : most,
                            only_mass ? total * (double)how->top_p : 0);
    uint32_t left = 0;
    for (uint32_t i = 0; i < count; i++)
        if (candidate[i].value >= least)
            candidate[left++] = candidate[i];
    for (uint32_t i = left / 2; i-- > 0;)
        sift(candidate, left, i);
    /* The heap shrinks from its end, so what leaves it is put there and turned round after. */
    uint32_t heap = left;
    double mass = 0;
    double mass_max = only_mass ? total * (double)how->top_p : INFINITY;
    while (heap > 0 && left - heap < most && mass < mass_max) {
        struct lm_candidate top = candidate[0];
        candidate[0] = candidate[--heap];
        candidate[heap] = top;
        sift(candidate, heap, 0);
        mass += exp((double)top.value - (double)best);
    }
    uint32_t kept = left - heap;
    for (uint32_t i = 0; i < kept / 2; i++) {
        struct lm_candidate swap = candidate[heap + i];
        candidate[heap + i] = candidate[left - 1 - i];
        candidate[left - 1 - i] = swap;
    }
    memmove(candidate, candidate + heap, kept * sizeof(*candidate));
    if (!by_mass || only_mass)
        return kept;
    /* Both: the share is one of what top-k left. */
    double part = 0;
    for (uint32_t i = 0; i < kept; i++) {
        part += exp((double)candidate[i].value - (double)best);
        if (part >= mass * (double)how->top_p)
            return i + 1;
    }
    return kept;
}

static uint32_t keep_likely(float min_p, struct lm_candidate *candidate, uint32_t count, float best)
{
    if (min_p <= 0.0F)
        return count;
    float least = best + logf(min_p);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++)
        if (candidate[i].value >= least)
            candidate[kept++] = candidate[i];
    return kept;
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

static uint32_t draw(struct lm_sampler *sampler, const struct lm_candidate *candidate,
                     float *weight, uint32_t count, float best)
{
    float temperature = sampler->how.temperature;
    for (uint32_t i = 0; i < count; i++)
        weight[i] = fmaxf((candidate[i].value - best) / temperature, -80.0F);
    (void)lm_exp_row(weight, 0.0F, count);
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
    for (uint32_t i = b * BLOCK; i < count && i < (b + 1) * BLOCK; i++) {
        if (weight[i] <= 0.0F)
            continue;
        chosen = i; /* also what is left when rounding ran past the end */
        target -= (double)weight[i];
        if (target < 0)
            break;
    }
    return candidate[chosen].id;
}

double lm_log_sum(const float *logits, uint32_t vocab, float *weight)
{
    float best = -INFINITY;
    for (uint32_t i = 0; i < vocab; i++) {
        float value = fminf(logits[i], LOGIT_MAX);
        weight[i] = logits[i] > -LOGIT_MAX ? value : -LOGIT_MAX;
        best = weight[i] > best ? weight[i] : best;
    }
    for (uint32_t i = 0; i < vocab; i++)
        weight[i] = fmaxf(weight[i] - best, -80.0F);
    (void)lm_exp_row(weight, 0.0F, vocab);
    double total = 0;
    for (uint32_t i = 0; i < vocab; i += BLOCK)
        total += block_sum(weight + i, vocab - i < BLOCK ? vocab - i : BLOCK);
    return (double)best + log(total);
}

uint32_t lm_sampler_next(struct lm_sampler *sampler, struct lm_pick *pick, float *logits,
                         uint32_t vocab, const uint64_t *allowed, double *ret_logprob)
{
    double log_sum = lm_log_sum(logits, vocab, pick->weight);
    struct lm_candidate *candidate = pick->candidate;
    uint32_t chosen = LM_END;
    float raw[LM_RECENT]; /* the model's own value, should the chosen one have been punished */
    uint32_t recent = sampler->recent_count < LM_RECENT ? sampler->recent_count : LM_RECENT;
    for (uint32_t i = 0; i < recent; i++)
        raw[i] = sampler->recent[i] < vocab ? logits[sampler->recent[i]] : 0.0F;
    punish(sampler, logits, vocab);
    uint32_t count = gather(candidate, logits, vocab, allowed);
    if (count > 0) {
        struct lm_candidate best = candidate[0];
        for (uint32_t i = 1; i < count; i++)
            best = before(candidate[i], best) ? candidate[i] : best;
        chosen = best.id;
        if (sampler->how.temperature > 0.0F && count > 1) {
            count = keep_best(&sampler->how, candidate, pick->weight, count, best.value);
            count = keep_likely(sampler->how.min_p, candidate, count, best.value);
            chosen = draw(sampler, candidate, pick->weight, count, best.value);
        }
    } else if (allowed != NULL) { /* the model has no opinion: the first that may follow */
        uint32_t word = 0;
        while (word * 64 < vocab && allowed[word] == 0)
            word++;
        if (word * 64 < vocab)
            chosen = word * 64 + (uint32_t)__builtin_ctzll(allowed[word]);
    }
    float value = chosen < vocab ? logits[chosen] : 0.0F;
    for (uint32_t i = 0; i < recent; i++)
        if (sampler->recent[i] == chosen)
            value = raw[i];
    double logprob = (double)value - log_sum;
    *ret_logprob = isfinite(logprob) ? logprob : 0.0;
    return chosen;
}
