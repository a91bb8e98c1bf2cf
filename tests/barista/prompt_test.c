/* One layout for training and for asking. */
#include "barista/barista_int.h"
#include "kit/kit.h"

#include <string.h>

#define CORPUS AUTOMAT_SOURCE_DIR "/corpus"

struct texts {
    uint32_t left;
};

static bool some_text(void *cookie, struct str *ret_text)
{
    struct texts *texts = cookie;
    *ret_text = STR("How much is Ember Quay? Ember Quay is 0.46 EUR. tanka original morning");
    return texts->left-- > 0;
}

static struct lm_tokenizer *tokenizer_make(void)
{
    struct texts texts = {8};
    struct lm_tokenizer *tokenizer = NULL;
    CHECK_OK(lm_tokenizer_train(some_text, &texts, 320, &tokenizer));
    return tokenizer;
}

static size_t count_of(const uint16_t *ids, size_t count, uint16_t id)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += (ids[i] & ~LM_TOKEN_QUIET) == id;
    return found;
}

TEST(marks_stand_where_they_belong)
{
    struct lm_tokenizer *tokenizer = tokenizer_make();
    struct barista_dialogue dialogue = {.task = BARISTA_CHAT, .turn_count = 6};
    uint16_t ids[512];
    size_t count;
    dialogue.turns[0] = (struct barista_turn){BARISTA_SYSTEM, STR("tanka"), false};
    dialogue.turns[1] = (struct barista_turn){BARISTA_FACTS, STR("a"), false};
    dialogue.turns[2] = (struct barista_turn){BARISTA_USER, STR("b"), false};
    dialogue.turns[3] = (struct barista_turn){BARISTA_ASSISTANT, STR("c"), false};
    dialogue.turns[4] = (struct barista_turn){BARISTA_USER, STR("d"), false};
    dialogue.turns[5] = (struct barista_turn){BARISTA_ASSISTANT, STR("{}"), true};
    CHECK_OK(barista_dialogue_ids(tokenizer, &dialogue, ids, 512, &count));
    CHECK_EQ(ids[0], LM_BEGIN | LM_TOKEN_QUIET);
    CHECK_EQ(ids[1], LM_SYSTEM | LM_TOKEN_QUIET);
    CHECK_EQ(ids[count - 1], LM_END);
    CHECK_EQ(count_of(ids, count, LM_END), 2);
    CHECK_EQ(count_of(ids, count, LM_ASSISTANT), 2);
    CHECK_EQ(count_of(ids, count, LM_FACTS), 1);
    bool scored = false; /* from after an assistant mark to its end mark, both 2 times */
    for (size_t i = 0; i < count; i++) {
        uint16_t id = ids[i] & (uint16_t)~LM_TOKEN_QUIET;
        CHECK_EQ((ids[i] & LM_TOKEN_QUIET) == 0, scored);
        scored = (scored && id != LM_END) || id == LM_ASSISTANT;
        if (id == LM_RECIPE)
            CHECK_EQ(ids[i], LM_RECIPE);
    }
    CHECK_EQ(count_of(ids, count, LM_RECIPE), 1);
    for (size_t max = 0; max < count; max++) {
        size_t got;
        CHECK_ERR(barista_dialogue_ids(tokenizer, &dialogue, ids, max, &got), ERR_FULL);
    }
    lm_tokenizer_destroy(tokenizer);
}

/* The ids a model is asked with are the beginning of the ids it was trained on. */
TEST(a_prompt_is_the_beginning_of_its_dialogue)
{
    struct lm_tokenizer *tokenizer = tokenizer_make();
    struct lm_fault fault;
    struct barista_facts *facts;
    struct barista_corpus *corpus;
    struct barista_corpus_options options = {STR("ode"), BARISTA_TRAIN, 2};
    struct arena scratch;
    static uint16_t whole[4096], prompt[4096];
    CHECK_OK(barista_facts_load(CORPUS, &fault, &facts));
    CHECK_OK(barista_corpus_create(CORPUS, facts, &options, &fault, &corpus));
    arena_init(&scratch, MIB);
    for (int i = 0; i < 300; i++) {
        struct barista_dialogue dialogue;
        size_t whole_count, count;
        arena_reset(&scratch);
        CHECK_OK(barista_corpus_next(corpus, &scratch, &dialogue));
        CHECK_OK(barista_dialogue_ids(tokenizer, &dialogue, whole, 4096, &whole_count));
        CHECK_OK(barista_prompt(tokenizer, dialogue.task, dialogue.turns, dialogue.turn_count - 1,
                                4096, 0, prompt, 4096, &count));
        CHECK(count < whole_count);
        for (size_t k = 0; k < count; k++)
            CHECK_EQ(prompt[k], whole[k] & ~LM_TOKEN_QUIET);
        CHECK_EQ(prompt[count - 1], LM_ASSISTANT);
        CHECK((whole[count] & LM_TOKEN_QUIET) == 0);
    }
    barista_corpus_destroy(corpus);
    barista_facts_destroy(facts);
    arena_finish(&scratch);
    lm_tokenizer_destroy(tokenizer);
}

/* What a server builds from the words alone is what the generator made of them. */
TEST(turns_are_rebuilt_as_the_corpus_made_them)
{
    struct lm_fault fault;
    struct barista_facts *facts;
    struct barista_corpus *corpus;
    struct barista_corpus_options options = {STR("tanka"), BARISTA_TEST, 4};
    struct arena scratch;
    uint32_t same = 0, real = 0;
    CHECK_OK(barista_facts_load(CORPUS, &fault, &facts));
    CHECK_OK(barista_corpus_create(CORPUS, facts, &options, &fault, &corpus));
    arena_init(&scratch, MIB);
    for (int i = 0; i < 600; i++) {
        struct barista_dialogue dialogue;
        struct barista_turn messages[16], turns[33];
        struct barista_row rows[BARISTA_ROWS_MAX];
        size_t count = 0, turn_count, row_count;
        arena_reset(&scratch);
        CHECK_OK(barista_corpus_next(corpus, &scratch, &dialogue));
        if (!str_starts(dialogue.label.template_id, STR("cafe/")) ||
            dialogue.turns[0].role != BARISTA_SYSTEM)
            continue;
        for (size_t k = 0; k < dialogue.turn_count; k++) {
            if (dialogue.turns[k].role == BARISTA_USER ||
                dialogue.turns[k].role == BARISTA_ASSISTANT)
                messages[count++] = dialogue.turns[k];
        }
        CHECK_OK(barista_turns(facts, dialogue.turns[0].text, messages, count, &scratch, turns,
                               ARRAY_COUNT(turns), &turn_count, rows, &row_count));
        bool equal = turn_count == dialogue.turn_count;
        for (size_t k = 0; equal && k < turn_count; k++)
            equal = str_equal(turns[k].text, dialogue.turns[k].text);
        real++;
        same += equal;
    }
    NOTE("%u of %u", same, real);
    CHECK(real > 10);
    CHECK(same * 3 > real); /* the others have changed rows on purpose */
    barista_corpus_destroy(corpus);
    barista_facts_destroy(facts);
    arena_finish(&scratch);
}

TEST(old_turns_are_left_out_first)
{
    struct lm_tokenizer *tokenizer = tokenizer_make();
    struct barista_turn turns[] = {
        {BARISTA_SYSTEM, STR_INIT("s"), false},  {BARISTA_FACTS, STR_INIT("aaaa"), false},
        {BARISTA_USER, STR_INIT("bbbb"), false}, {BARISTA_ASSISTANT, STR_INIT("cccc"), false},
        {BARISTA_USER, STR_INIT("dd"), false},   {BARISTA_ASSISTANT, STR_INIT("ee"), false},
        {BARISTA_FACTS, STR_INIT("ff"), false},  {BARISTA_USER, STR_INIT("gg"), false},
        {BARISTA_ASSISTANT, STR_INIT(""), true},
    };
    uint16_t ids[256];
    size_t whole, count, last = SIZE_MAX;
    CHECK_OK(barista_prompt(tokenizer, BARISTA_CHAT, turns, ARRAY_COUNT(turns), 256, 0, ids, 256,
                            &whole));
    CHECK_EQ(ids[whole - 1], LM_RECIPE);
    CHECK_EQ(ids[whole - 2], LM_ASSISTANT);
    for (uint32_t context = (uint32_t)whole; context > 0; context--) {
        enum err err = barista_prompt(tokenizer, BARISTA_CHAT, turns, ARRAY_COUNT(turns),
                                      context + 5, 5, ids, 256, &count);
        if (err != ERR_OK) {
            CHECK_ERR(err, ERR_FULL);
            break;
        }
        CHECK(count <= context);
        CHECK(count <= last);
        last = count;
        CHECK_EQ(ids[1], LM_SYSTEM);
        CHECK_EQ(ids[count - 1], LM_RECIPE);
        CHECK(count_of(ids, count, LM_FACTS) >= 1); /* of the last question */
    }
    CHECK(last < whole);
    CHECK_EQ(count_of(ids, count, LM_USER), 1);
    lm_tokenizer_destroy(tokenizer);
}

TEST(a_row_is_shown_once)
{
    struct lm_fault fault;
    struct barista_facts *facts;
    struct arena scratch;
    struct barista_turn turns[16];
    struct barista_row rows[BARISTA_ROWS_MAX];
    size_t count, row_count;
    const struct barista_turn messages[] = {
        {BARISTA_USER, STR_INIT("How much is Ember Quay?"), false},
        {BARISTA_ASSISTANT, STR_INIT("Ember Quay is 0.46 EUR."), false},
        {BARISTA_USER, STR_INIT("and how strong is it?"), false},
    };
    CHECK_OK(barista_facts_load(CORPUS, &fault, &facts));
    arena_init(&scratch, MIB);
    CHECK_OK(barista_turns(facts, STR("tanka original"), messages, 3, &scratch, turns, 16, &count,
                           rows, &row_count));
    CHECK_EQ(count, 5);
    CHECK_EQ(turns[1].role, BARISTA_FACTS);
    CHECK_SLICE(rows[0].id, "ember-quay"); /* cited though shown before */
    CHECK_ERR(barista_turns(facts, STR("tanka"), messages, 3, &scratch, turns, 6, &count, rows,
                            &row_count),
              ERR_FULL);
    CHECK_OK(
        barista_turns(NULL, STR(""), messages, 3, &scratch, turns, 16, &count, rows, &row_count));
    CHECK_EQ(count, 3);
    CHECK_EQ(row_count, 0);
    arena_finish(&scratch);
    barista_facts_destroy(facts);
}

TEST(the_system_turn_is_short)
{
    struct buf buf;
    buf_init(&buf, 64);
    CHECK_OK(barista_system_text(STR("tanka"), STR("original"), 8, &buf));
    CHECK_SLICE(buf_str(&buf), "tanka original morning");
    buf.len = 0;
    CHECK_OK(barista_system_text(STR("ode"), STR(""), -1, &buf));
    CHECK_SLICE(buf_str(&buf), "ode");
    buf.len = 0;
    CHECK_OK(barista_system_text(STR("ode"), STR(""), 23, &buf));
    CHECK_SLICE(buf_str(&buf), "ode night");
    buf_finish(&buf);
}

/* Asked again without its oldest messages, a chat is not looked through again. */
TEST(rows_are_looked_for_once_a_message)
{
    struct lm_fault fault;
    struct barista_facts *facts;
    struct arena scratch;
    struct barista_turn turns[16];
    struct barista_row rows[BARISTA_ROWS_MAX];
    struct barista_kept kept[5] = {{.found = false}};
    size_t count, row_count;
    const struct barista_turn messages[] = {
        {BARISTA_USER, STR_INIT("How much is Ember Quay?"), false},
        {BARISTA_ASSISTANT, STR_INIT("0.46 EUR."), false},
        {BARISTA_USER, STR_INIT("How strong is Night Ferry?"), false},
        {BARISTA_ASSISTANT, STR_INIT("11."), false},
        {BARISTA_USER, STR_INIT("And Tin Roof?"), false},
    };
    CHECK_OK(barista_facts_load(CORPUS, &fault, &facts));
    arena_init(&scratch, MIB);
    CHECK_OK(barista_turns_kept(facts, STR("tanka"), messages, 5, &scratch, kept, turns, 16, &count,
                                rows, &row_count));
    CHECK(kept[0].found && kept[2].found && kept[4].found && !kept[1].found);
    CHECK_EQ(kept[4].count, row_count);
    CHECK_SLICE(kept[4].row[0].id, "tin-roof");
    for (size_t i = 0; i < 5; i++) { /* a mark that no search would find */
        kept[i].count = 1;
        kept[i].row[0].text = STR("what was kept");
    }
    CHECK_OK(barista_turns_kept(facts, STR("tanka"), messages + 2, 3, &scratch, kept + 2, turns, 16,
                                &count, rows, &row_count));
    CHECK_EQ(turns[1].role, BARISTA_FACTS);
    CHECK(!str_equal(turns[1].text, STR("what was kept"))); /* nothing stands before it now */
    CHECK_EQ(row_count, 1);
    CHECK_SLICE(rows[0].text, "what was kept");
    arena_finish(&scratch);
    barista_facts_destroy(facts);
}
