/* The rows of a question, and none where nothing fits. */
#include "barista/barista_int.h"
#include "kit/kit.h"

#define CORPUS AUTOMAT_SOURCE_DIR "/corpus"

static struct barista_facts *load(void)
{
    struct lm_fault fault = {.at_byte = 0};
    struct barista_facts *facts = NULL;
    CHECK_OK(barista_facts_load(CORPUS, &fault, &facts));
    return facts;
}

static bool finds(const struct barista_facts *facts, const char *question, const char *before,
                  const char *id)
{
    struct barista_row rows[BARISTA_ROWS_MAX];
    size_t count =
        barista_retrieve(facts, str_from(question), str_from(before), rows, BARISTA_ROWS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (str_equal(rows[i].id, str_from(id)))
            return true;
    }
    return false;
}

TEST(questions_find_their_rows)
{
    static const struct {
        const char *question, *id;
    } known[] = {
        {"How much is Ember Quay?", "ember-quay"},
        {"EMBER QUAY", "ember-quay"},
        {"whats the prize of embr quay", "ember-quay"},
        {"Which is stronger, Night Ferry or Tin Roof?", "night-ferry"},
        {"Which is stronger, Night Ferry or Tin Roof?", "tin-roof"},
        {"Do I get a larger drink from Feast Day or from Tall Ship?", "feast-day"},
        {"How hot should water for espresso be?", "espresso-temperature-sca"},
        {"How hot should water for espresso be?", "espresso-temperature-csa"},
        {"the machine is leaking", "leak-1"},
        {"my capsule is jammed", "stuck-capsule-1"},
        {"what does crema mean", "crema"},
        {"is there wifi", "wifi"},
        {"a decaf for the evening", "low-door"},
        {"how many ml is a vertuo mug", "vertuo-mug"},
        {"tell me about the Dory machine", "dory"},
    };
    struct barista_facts *facts = load();
    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        NOTE("%s -> %s", known[i].question, known[i].id);
        CHECK(finds(facts, known[i].question, "", known[i].id));
    }
    barista_facts_destroy(facts);
}

TEST(what_the_house_does_not_know_finds_nothing)
{
    static const char *const outside[] = {
        "What is the capital of France?",
        "who won the world cup in 1998",
        "tell me a joke",
        "book me a flight to Rome",
        "write a poem",
        "how much is Zorblax",
        "",
        "?!",
        "hello",
        "thank you very much",
    };
    struct barista_facts *facts = load();
    struct barista_row rows[BARISTA_ROWS_MAX];
    for (size_t i = 0; i < ARRAY_COUNT(outside); i++) {
        NOTE("%s", outside[i]);
        CHECK_EQ(barista_retrieve(facts, str_from(outside[i]), STR(""), rows, BARISTA_ROWS_MAX), 0);
    }
    barista_facts_destroy(facts);
}

TEST(a_question_that_names_nothing_takes_up_the_turns_before)
{
    struct barista_facts *facts = load();
    CHECK(finds(facts, "and how strong is it?", "How much is Ember Quay? It is 0.46 EUR.",
                "ember-quay"));
    CHECK(finds(facts, "and how much is it?", "Tell me about Ember Quay", "ember-quay"));
    CHECK(!finds(facts, "and how much is it?", "", "ember-quay"));
    CHECK(!finds(facts, "who is the president of France", "How much is Ember Quay?", "ember-quay"));
    barista_facts_destroy(facts);
}

TEST(rows_come_best_first_and_always_the_same)
{
    struct barista_facts *facts = load();
    struct barista_row first[BARISTA_ROWS_MAX], second[BARISTA_ROWS_MAX];
    struct str question = STR("something fruity with peach for my vertuo");
    size_t count = barista_retrieve(facts, question, STR(""), first, BARISTA_ROWS_MAX);
    CHECK(count > 1);
    CHECK_EQ(barista_retrieve(facts, question, STR(""), second, BARISTA_ROWS_MAX), count);
    for (size_t i = 0; i < count; i++) {
        CHECK(first[i].text.at == second[i].text.at);
        CHECK(i == 0 || first[i].score <= first[i - 1].score);
    }
    CHECK_EQ(barista_retrieve(facts, question, STR(""), first, 1), 1);
    barista_facts_destroy(facts);
}

TEST(any_bytes_are_a_question)
{
    struct barista_facts *facts = load();
    struct barista_row rows[BARISTA_ROWS_MAX];
    char bytes[300];
    struct rng rng;
    rng_init(&rng, 5);
    for (int round = 0; round < 200; round++) {
        size_t len = rng_below(&rng, sizeof(bytes));
        for (size_t i = 0; i < len; i++)
            bytes[i] = (char)rng_below(&rng, 256);
        char *copy = kit_guard_page(bytes, len);
        CHECK(barista_retrieve(facts, (struct str){copy, len}, (struct str){copy, len}, rows,
                               BARISTA_ROWS_MAX) <= BARISTA_ROWS_MAX);
        kit_free_guard(copy);
    }
    barista_facts_destroy(facts);
}

TEST(words_are_folded)
{
    struct barista_word word;
    size_t at = 0;
    struct str text = STR("Notes: 90.5 C, glass... caf\xc3\xa9s");
    static const char *const expected[] = {"note", "90.5", "c", "glass", "caf\xc3\xa9"};
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++) {
        CHECK(barista_word_next(text, &at, &word));
        CHECK_SLICE(((struct str){word.at, word.len}), expected[i]);
    }
    CHECK(!barista_word_next(text, &at, &word));
    CHECK_NEAR(barista_word_likeness(STR("ember"), STR("ember")), 1, 1e-12);
    CHECK(barista_word_likeness(STR("ember"), STR("embr")) >
          barista_word_likeness(STR("ember"), STR("amber")) - 0.2);
    CHECK_NEAR(barista_word_likeness(STR("abc"), STR("xyz")), 0, 1e-12);
}

TEST(questions_written_by_hand_find_what_answers_them)
{
    struct barista_facts *facts = load();
    struct barista_paraphrases *set;
    struct lm_fault fault;
    struct arena scratch;
    uint32_t asked = 0, found = 0;
    CHECK_OK(barista_paraphrases_load(CORPUS, &fault, &set));
    CHECK(barista_paraphrases_count(set) >= 80);
    arena_init(&scratch, MIB);
    for (size_t i = 0; i < barista_paraphrases_count(set); i++) {
        struct barista_dialogue dialogue;
        bool all = true;
        arena_reset(&scratch);
        CHECK_OK(barista_paraphrases_at(set, i, facts, STR("tanka"), &scratch, &dialogue));
        if (dialogue.label.refuses || dialogue.label.recipe || dialogue.label.slot_count == 0)
            continue;
        for (size_t k = 0; k < dialogue.label.slot_count; k++) {
            bool shown = false;
            for (size_t t = 0; t < dialogue.turn_count; t++)
                shown = shown || (dialogue.turns[t].role == BARISTA_FACTS &&
                                  barista_says(dialogue.turns[t].text, dialogue.label.slots[k]));
            all = all && shown;
        }
        asked++;
        found += all;
    }
    NOTE("%u of %u", found, asked);
    CHECK(found * 10 >= asked * 9);
    arena_finish(&scratch);
    barista_paraphrases_destroy(set);
    barista_facts_destroy(facts);
}

static void words_add(struct buf *text, const char *word, int count)
{
    for (int i = 0; i < count; i++)
        CHECK_OK(buf_printf(text, "%s ", word));
}

/* What is looked up of a long question is bounded, and it is the newest of it. */
TEST(of_a_long_question_the_end_is_looked_at)
{
    struct barista_facts *facts = load();
    struct buf text;
    buf_init(&text, 64 * KIB);
    words_add(&text, "the", 3000);
    CHECK_OK(buf_printf(&text, "how much is Ember Quay?"));
    CHECK_OK(buf_add(&text, "", 1));
    CHECK(finds(facts, text.at, "", "ember-quay"));
    text.len = 0;
    words_add(&text, "the", 100);
    CHECK_OK(buf_printf(&text, "Ember Quay "));
    words_add(&text, "the", 43);
    CHECK_OK(buf_add(&text, "", 1));
    CHECK(finds(facts, text.at, "", "ember-quay"));
    text.len = 0;
    CHECK_OK(buf_printf(&text, "Ember Quay "));
    words_add(&text, "the", 60);
    CHECK_OK(buf_add(&text, "", 1));
    CHECK(!finds(facts, text.at, "", "ember-quay"));
    buf_finish(&text);
    barista_facts_destroy(facts);
}
