/* The judge is judged: what counts as said, refused, made up; shares, intervals, calibration. */
#include "barista/barista_int.h"
#include "kit/kit.h"

#include <math.h>

TEST(said_means_said_as_a_whole)
{
    CHECK(barista_says(STR("It is 0.46 EUR."), STR("0.46 EUR")));
    CHECK(barista_says(STR("Intensity 5."), STR("5")));
    CHECK(!barista_says(STR("Intensity 15."), STR("5")));
    CHECK(!barista_says(STR("It is 0.55 EUR"), STR("0.5")));
    CHECK(!barista_says(STR("It is 1.5 ml"), STR("5")));
    CHECK(!barista_says(STR("It is 5.1 ml"), STR("5")));
    CHECK(barista_says(STR("EMBER quay it is"), STR("Ember Quay")));
    CHECK(!barista_says(STR("Emberly"), STR("Ember")));
    CHECK(!barista_says(STR("anything"), STR("")));
    CHECK(!barista_says(STR(""), STR("x")));
}

static struct barista_dialogue dialogue_of(const char *rows, const char *question)
{
    struct barista_dialogue dialogue = {.task = BARISTA_CHAT, .turn_count = 3};
    dialogue.turns[0] = (struct barista_turn){BARISTA_FACTS, str_from(rows), false};
    dialogue.turns[1] = (struct barista_turn){BARISTA_USER, str_from(question), false};
    dialogue.turns[2] = (struct barista_turn){BARISTA_ASSISTANT, STR(""), false};
    return dialogue;
}

TEST(names_and_numbers_out_of_nowhere_are_unsupported)
{
    struct barista_dialogue dialogue =
        dialogue_of("Ember Quay: intensity 10, 0.46 EUR", "How much is ember quay?");
    CHECK(!barista_unsupported(&dialogue, STR("Ember Quay is 0.46 EUR.")));
    CHECK(!barista_unsupported(&dialogue, STR("That is 0.46 EUR. Anything else?")));
    CHECK(barista_unsupported(&dialogue, STR("Ember Quay is 0.47 EUR.")));
    CHECK(barista_unsupported(&dialogue, STR("It is 0.46 EUR, as is Night Ferry.")));
    CHECK(barista_unsupported(&dialogue, STR("It is 46.")));
    CHECK(!barista_unsupported(&dialogue, STR("")));
}

TEST(shares_are_of_what_they_say)
{
    struct barista_dialogue dialogue = dialogue_of("Ember Quay: intensity 10, 0.46 EUR", "?");
    struct barista_score score = {0};
    dialogue.label.slots[0] = STR("10");
    dialogue.label.slots[1] = STR("0.46 EUR");
    dialogue.label.slot_count = 2;
    barista_score_add(&dialogue, STR("Intensity 10 for 0.46 EUR."), &score);
    barista_score_add(&dialogue, STR("Intensity 10 for 0.99 EUR."), &score);
    barista_score_add(&dialogue, STR("I don't know."), &score);
    dialogue.label.slot_count = 0;
    dialogue.label.refuses = true;
    barista_score_add(&dialogue, STR("I only know coffee."), &score);
    barista_score_add(&dialogue, STR("Certainly."), &score);
    barista_score_end(&score);
    CHECK_NEAR(score.slot_exact, 3.0 / 6, 1e-12);
    CHECK_NEAR(score.all_exact, 1.0 / 3, 1e-12);
    CHECK_NEAR(score.unsupported, 1.0 / 5, 1e-12);
    CHECK_NEAR(score.refusal_right, 1.0 / 2, 1e-12);
    CHECK_NEAR(score.refusal_wrong, 1.0 / 3, 1e-12);
    CHECK_EQ(score.dialogues, 5);
}

TEST(facets_are_compared_in_order)
{
    struct barista_dialogue dialogue = {.task = BARISTA_CLASSIFY, .turn_count = 2};
    struct barista_score score = {0};
    dialogue.label.classes[0] = STR("espresso");
    dialogue.label.classes[1] = STR("none");
    dialogue.label.classes[2] = STR("price");
    barista_score_add(&dialogue, STR("espresso, none, price"), &score);
    barista_score_add(&dialogue, STR("espresso, price"), &score);
    barista_score_end(&score);
    CHECK_EQ(score.classes, 6);
    CHECK_EQ(score.classes_found, 4);
}

TEST(intervals_are_wilsons)
{
    double low, high;
    barista_interval(10, 10, &low, &high);
    CHECK_NEAR(low, 0.7225, 1e-3);
    CHECK_NEAR(high, 1, 1e-9);
    barista_interval(50, 100, &low, &high);
    CHECK_NEAR(low, 0.4038, 1e-3);
    CHECK_NEAR(high, 0.5962, 1e-3);
    barista_interval(0, 0, &low, &high);
    CHECK_NEAR(low, 0, 1e-12);
    CHECK_NEAR(high, 1, 1e-12);
}

/* Scores drawn at a known temperature: the fit finds it again, and the confidences then mean what
 * they say. */
TEST(the_temperature_is_found_again)
{
    enum { COUNT = 4000, LABELS = 4 };
    struct barista_judged *judged = mem_alloc(sizeof(*judged) * COUNT);
    struct barista_score raw = {0}, fitted = {0};
    struct rng rng;
    rng_init(&rng, 9);
    for (size_t i = 0; i < COUNT; i++) {
        double logit[LABELS], share[LABELS], dice = rng_unit(&rng);
        for (size_t k = 0; k < LABELS; k++)
            logit[k] = 2 * rng_unit(&rng);
        barista_class_confidence(logit, LABELS, 1, share);
        judged[i] = (struct barista_judged){.count = LABELS};
        for (size_t k = 0; k < LABELS; k++)
            judged[i].logprob[k] = 3 * logit[k]; /* three times too sure */
        while (judged[i].right + 1 < LABELS && dice > share[judged[i].right])
            dice -= share[judged[i].right++];
    }
    double temperature = barista_calibration_fit(judged, COUNT);
    CHECK_NEAR(temperature, 3, 0.5);
    for (size_t i = 0; i < COUNT; i++) {
        for (int side = 0; side < 2; side++) {
            double share[LABELS];
            size_t best = 0;
            barista_class_confidence(judged[i].logprob, LABELS, side == 0 ? 1 : temperature, share);
            for (size_t k = 1; k < LABELS; k++)
                best = share[k] > share[best] ? k : best;
            barista_score_class(share[best], best == judged[i].right, side == 0 ? &raw : &fitted);
        }
    }
    barista_score_end(&raw);
    barista_score_end(&fitted);
    CHECK(raw.class_calibration > 0.15);
    CHECK(fitted.class_calibration < 0.05);
    CHECK_NEAR(barista_calibration_fit(judged, 0), 1, 1e-12);
    mem_free(judged);
}

TEST(calibration_is_kept_beside_the_model)
{
    const char *dir = kit_tempdir();
    CHECK_NEAR(barista_calibration_read(dir), 1, 1e-12);
    CHECK_OK(barista_calibration_write(dir, 1.75, 600));
    CHECK_NEAR(barista_calibration_read(dir), 1.75, 1e-9);
    CHECK_OK(file_write_atomic(kit_path(dir, "calibration.json"), "{", 1, 0644));
    CHECK_NEAR(barista_calibration_read(dir), 1, 1e-12);
    CHECK_OK(file_write_atomic(kit_path(dir, "calibration.json"), "{\"class_temperature\": 1e9}",
                               27, 0644));
    CHECK_NEAR(barista_calibration_read(dir), 1, 1e-12);
}

TEST(without_a_model_there_is_an_answer)
{
    static const struct {
        const char *question, *says;
    } asked[] = {
        {"How much is Ember Quay?", "0.46 EUR"},
        {"How strong is Ember Quay?", "intensity 10"},
        {"What does Ember Quay taste like?", "cocoa and toast"},
        {"Where is Ember Quay from?", "Brazil"},
        {"What roast is Ember Quay?", "dark roast"},
        {"Tell me about Ember Quay", "0.46 EUR"},
        {"what is crema", "fine foam"},
        {"How hot should water for espresso be?", "86 to 90 C"},
        {"What is the capital of France?", "don't know"},
    };
    struct lm_fault fault;
    struct barista_facts *facts;
    CHECK_OK(barista_facts_load(AUTOMAT_SOURCE_DIR "/corpus", &fault, &facts));
    for (size_t i = 0; i < ARRAY_COUNT(asked); i++) {
        struct buf answer;
        buf_init(&answer, 4096);
        CHECK_OK(barista_plain_answer(facts, str_from(asked[i].question), STR(""), &answer));
        NOTE("%s -> %.*s", asked[i].question, STR_ARG(buf_str(&answer)));
        CHECK(barista_says(buf_str(&answer), str_from(asked[i].says)));
        buf_finish(&answer);
    }
    barista_facts_destroy(facts);
}
