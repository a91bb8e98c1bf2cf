/* Choosing the next id, against the plain definition: sort everything, cut, renormalise. */
#include "kit/kit.h"
#include "lm/talk/talk_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VOCAB 600U

static int by_value(const void *a, const void *b)
{
    const struct lm_candidate *one = a;
    const struct lm_candidate *two = b;
    if (one->value != two->value)
        return one->value > two->value ? -1 : 1;
    return one->id < two->id ? -1 : 1;
}

/* What may be drawn, with its probability, by the definition.  Logits are numbers here. */
static uint32_t expected(const struct lm_sampling *how, const float *logits, double *ret_p)
{
    struct lm_candidate all[VOCAB];
    uint32_t count = 0;
    for (uint32_t id = 0; id < VOCAB; id++) {
        ret_p[id] = 0;
        if (id >= LM_SPECIALS || id == LM_END)
            all[count++] = (struct lm_candidate){logits[id], id};
    }
    qsort(all, count, sizeof(*all), by_value);
    if (how->top_k > 0 && how->top_k < count)
        count = how->top_k;
    double total = 0;
    double best = (double)all[0].value;
    for (uint32_t i = 0; i < count; i++)
        total += exp((double)all[i].value - best);
    if (how->top_p > 0 && how->top_p < 1) {
        double mass = 0;
        uint32_t kept = 0;
        while (kept < count && mass < total * (double)how->top_p)
            mass += exp((double)all[kept++].value - best);
        count = kept;
    }
    uint32_t kept = 0;
    while (kept < count && exp((double)all[kept].value - best) >= (double)how->min_p * 0.9999999)
        kept++;
    count = kept;
    total = 0;
    for (uint32_t i = 0; i < count; i++)
        total += exp(((double)all[i].value - best) / (double)how->temperature);
    for (uint32_t i = 0; i < count; i++)
        ret_p[all[i].id] = exp(((double)all[i].value - best) / (double)how->temperature) / total;
    return count;
}

static void random_logits(struct rng *rng, float *logits, double spread)
{
    for (uint32_t id = 0; id < VOCAB; id++) {
        double normal = 0;
        for (int i = 0; i < 6; i++)
            normal += rng_unit(rng) - 0.5;
        logits[id] = (float)(normal * spread);
    }
}

static void check_draws(const struct lm_sampling *how, const float *logits, uint32_t draws)
{
    double p[VOCAB];
    uint32_t seen[VOCAB] = {0};
    struct lm_sampler sampler;
    struct lm_pick pick = {.vocab = 0};
    float work[VOCAB];
    uint32_t count = expected(how, logits, p);
    CHECK_OK(lm_pick_reserve(&pick, VOCAB));
    lm_sampler_init(&sampler, how);
    for (uint32_t i = 0; i < draws; i++) {
        double logprob;
        memcpy(work, logits, sizeof(work));
        uint32_t id = lm_sampler_next(&sampler, &pick, work, VOCAB, NULL, &logprob);
        CHECK(id < VOCAB && p[id] > 0);
        seen[id]++;
    }
    double chi = 0;
    for (uint32_t id = 0; id < VOCAB; id++) {
        double want = p[id] * draws;
        double off = (double)seen[id] - want;
        chi += want > 5 ? off * off / want : 0;
        CHECK(fabs(off) <= 6 * sqrt(want) + 6);
    }
    CHECK(chi < count + 8 * sqrt(2.0 * count) + 20);
    lm_pick_finish(&pick);
}

TEST(draws_follow_the_definition)
{
    static const struct lm_sampling how[] = {
        {.temperature = 1},
        {.temperature = 0.7F, .top_k = 40},
        {.temperature = 1.3F, .top_k = 1},
        {.temperature = 1, .top_p = 0.9F},
        {.temperature = 0.8F, .top_p = 0.01F},
        {.temperature = 1, .min_p = 0.1F},
        {.temperature = 2, .top_k = 50, .top_p = 0.8F, .min_p = 0.02F},
        {.temperature = 0.5F, .top_k = 599, .top_p = 0.999F},
        {.temperature = 1, .top_p = 0.9999F, .min_p = 1},
    };
    struct rng rng;
    rng_init(&rng, 7);
    for (size_t i = 0; i < ARRAY_COUNT(how); i++) {
        for (unsigned spread = 0; spread < 3; spread++) {
            float logits[VOCAB];
            struct lm_sampling one = how[i];
            NOTE("case %zu, spread %u", i, spread);
            one.seed = i * 10 + spread;
            random_logits(&rng, logits, spread == 0 ? 0.01 : spread * 4.0);
            check_draws(&one, logits, 1000);
        }
    }
}

TEST(equal_logits_are_cut_by_id)
{
    float logits[VOCAB] = {0};
    check_draws(&(struct lm_sampling){.temperature = 1, .top_k = 5}, logits, 500);
    check_draws(&(struct lm_sampling){.temperature = 1, .top_p = 0.5F}, logits, 500);
}

static uint32_t once(const struct lm_sampling *how, const float *logits, const uint64_t *allowed,
                     const uint16_t *recent, uint32_t recent_count, double *ret_logprob)
{
    struct lm_sampler sampler;
    struct lm_pick pick = {.vocab = 0};
    float work[VOCAB];
    CHECK_OK(lm_pick_reserve(&pick, VOCAB));
    memcpy(work, logits, sizeof(work));
    lm_sampler_init(&sampler, how);
    lm_sampler_saw(&sampler, recent, recent_count);
    uint32_t id = lm_sampler_next(&sampler, &pick, work, VOCAB, allowed, ret_logprob);
    lm_pick_finish(&pick);
    return id;
}

TEST(greedy_takes_the_best_and_the_smallest_of_equals)
{
    struct lm_sampling greedy = {.temperature = 0};
    float logits[VOCAB] = {0};
    double logprob;
    CHECK_EQ(once(&greedy, logits, NULL, NULL, 0, &logprob), LM_END);
    CHECK_NEAR(logprob, -log(VOCAB), 1e-4);
    logits[300] = 2;
    logits[200] = 2;
    logits[LM_USER] = 9; /* no special but the end */
    CHECK_EQ(once(&greedy, logits, NULL, NULL, 0, &logprob), 200);
}

TEST(repetition_makes_what_was_seen_less_likely_once)
{
    struct lm_sampling how = {.repetition = 2};
    float logits[VOCAB];
    double logprob;
    for (uint32_t id = 0; id < VOCAB; id++)
        logits[id] = -10;
    logits[100] = 3;
    logits[101] = 1.6F;
    CHECK_EQ(once(&how, logits, NULL, NULL, 0, &logprob), 100);
    double before = logprob;
    uint16_t recent[] = {100, 100, 100};
    CHECK_EQ(once(&how, logits, NULL, recent, 3, &logprob), 101); /* 1.5, not 0.375 */
    logits[101] = 1.4F;
    CHECK_EQ(once(&how, logits, NULL, recent, 3, &logprob), 100);
    CHECK_NEAR(logprob, before, 0.05); /* of the model, not of the punished one */
    logits[100] = -1;
    logits[101] = -1.9F;
    CHECK_EQ(once(&how, logits, NULL, recent, 3, &logprob), 101); /* -2 */
    /* Forgotten after 256 others. */
    uint16_t many[257];
    for (uint16_t i = 0; i < 257; i++)
        many[i] = i == 0 ? 100 : (uint16_t)(150 + i);
    CHECK_EQ(once(&how, logits, NULL, many, 257, &logprob), 100);
    CHECK_EQ(once(&how, logits, NULL, many, 256, &logprob), 101);
}

TEST(recent_ids_are_right_over_thousands)
{
    struct lm_sampler sampler;
    lm_sampler_init(&sampler, &(struct lm_sampling){.repetition = 2});
    for (uint32_t i = 0; i < 5000; i++) {
        uint16_t id = (uint16_t)i;
        lm_sampler_saw(&sampler, &id, 1);
        bool found[LM_RECENT] = {false};
        for (uint32_t j = 0; j < LM_RECENT && i >= LM_RECENT; j++) {
            uint32_t age = i - sampler.recent[j];
            CHECK(age < LM_RECENT && !found[age]);
            found[age] = true;
        }
    }
}

TEST(what_is_no_number_is_never_chosen)
{
    float logits[VOCAB];
    double logprob;
    static const struct lm_sampling how[] = {{.temperature = 0},
                                             {.temperature = 1},
                                             {.temperature = 1, .top_k = 3},
                                             {.temperature = 1, .top_p = 0.5F},
                                             {.temperature = 1e-30F, .min_p = 0.5F}};
    for (size_t i = 0; i < ARRAY_COUNT(how); i++) {
        NOTE("case %zu", i);
        for (uint32_t id = 0; id < VOCAB; id++)
            logits[id] = id % 2 == 0 ? NAN : -INFINITY;
        CHECK_EQ(once(&how[i], logits, NULL, NULL, 0, &logprob), LM_END);
        CHECK(isfinite(logprob));
        logits[77] = -5000;
        CHECK_EQ(once(&how[i], logits, NULL, NULL, 0, &logprob), 77);
        CHECK_NEAR(logprob, 0, 1e-6);
        logits[78] = INFINITY;
        CHECK_EQ(once(&how[i], logits, NULL, NULL, 0, &logprob), 78);
        CHECK(isfinite(logprob));
        logits[79] = 3e38F;
        (void)once(&how[i], logits, NULL, NULL, 0, &logprob);
        uint64_t allowed[(VOCAB + 63) / 64] = {0};
        allowed[5] = 2; /* 321, without an opinion of the model */
        CHECK_EQ(once(&how[i], logits, allowed, NULL, 0, &logprob), 321);
        CHECK(isfinite(logprob));
    }
}

TEST(only_allowed_ids_are_drawn)
{
    float logits[VOCAB];
    struct rng rng;
    rng_init(&rng, 3);
    for (uint32_t i = 0; i < 200; i++) {
        double logprob;
        uint64_t allowed[(VOCAB + 63) / 64] = {0};
        random_logits(&rng, logits, 8);
        for (uint32_t j = 0; j < 5; j++) {
            uint32_t id = 16 + rng_below(&rng, VOCAB - 16);
            allowed[id / 64] |= 1ULL << (id % 64);
        }
        if (i % 2 == 0)
            allowed[0] |= 1ULL << LM_END;
        struct lm_sampling how = {.temperature = 5, .top_k = i % 7, .seed = i};
        uint32_t id = once(&how, logits, allowed, NULL, 0, &logprob);
        CHECK(id < VOCAB && (allowed[id / 64] >> (id % 64) & 1) != 0);
    }
}

TEST(same_seed_same_draws)
{
    float logits[VOCAB];
    struct rng rng;
    rng_init(&rng, 5);
    random_logits(&rng, logits, 3);
    uint32_t differ = 0;
    for (uint32_t seed = 0; seed < 50; seed++) {
        double logprob;
        struct lm_sampling how = {.temperature = 1, .seed = seed};
        uint32_t one = once(&how, logits, NULL, NULL, 0, &logprob);
        CHECK_EQ(one, once(&how, logits, NULL, NULL, 0, &logprob));
        how.seed++;
        differ += one != once(&how, logits, NULL, NULL, 0, &logprob);
    }
    CHECK(differ > 25);
}

TEST(sampling_is_checked_by_name)
{
    struct lm_fault fault;
    CHECK_OK(lm_sampling_check(&(struct lm_sampling){.temperature = 0}, &fault));
    CHECK_OK(lm_sampling_check(
        &(struct lm_sampling){
            .temperature = 0.8F, .top_k = 40, .top_p = 0.95F, .min_p = 0.05F, .repetition = 1.1F},
        &fault));
    CHECK_ERR(lm_sampling_check(&(struct lm_sampling){.temperature = NAN}, &fault), ERR_INPUT);
    CHECK(strstr(fault.why, "temperature") != NULL);
    CHECK_ERR(lm_sampling_check(&(struct lm_sampling){.temperature = -1}, NULL), ERR_INPUT);
    CHECK_ERR(lm_sampling_check(&(struct lm_sampling){.top_p = 1.01F}, &fault), ERR_INPUT);
    CHECK(strstr(fault.why, "top_p") != NULL);
    CHECK_ERR(lm_sampling_check(&(struct lm_sampling){.min_p = -0.1F}, &fault), ERR_INPUT);
    CHECK(strstr(fault.why, "min_p") != NULL);
    CHECK_ERR(lm_sampling_check(&(struct lm_sampling){.repetition = INFINITY}, &fault), ERR_INPUT);
    CHECK_ERR(lm_sampling_check(&(struct lm_sampling){.repetition = 1e-9F}, &fault), ERR_INPUT);
    CHECK(strstr(fault.why, "repetition") != NULL);
}

TEST(every_failed_allocation_is_an_answer)
{
    for (uint32_t nth = 1;; nth++) {
        struct lm_pick pick = {.vocab = 0};
        CHECK_OK(lm_pick_reserve(&pick, 10));
        mem_fail_at(nth);
        enum err err = lm_pick_reserve(&pick, VOCAB);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        CHECK_EQ(pick.vocab, err == ERR_OK ? VOCAB : 10);
        lm_pick_finish(&pick);
        if (!fired)
            break;
        CHECK_ERR(err, ERR_NOMEM);
    }
}
