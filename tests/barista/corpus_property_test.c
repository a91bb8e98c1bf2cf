/* What every generated dialogue promises. */
#include "barista/corpus_int.h"
#include "kit/kit.h"

#include <stdlib.h>
#include <string.h>

#define CORPUS    AUTOMAT_SOURCE_DIR "/corpus"
#define DIALOGUES 350

static const char *const models[] = {"tanka", "villanelle", "ode"};

struct world {
    struct barista_facts *facts;
    struct barista_corpus *corpus;
    struct arena scratch;
};

static struct world world_open(const char *model, enum barista_split split, uint64_t seed)
{
    struct world world = {.facts = NULL};
    struct lm_fault fault = {.at_byte = 0};
    struct barista_corpus_options options = {str_from(model), split, seed};
    arena_init(&world.scratch, MIB);
    CHECK_OK(barista_facts_load(CORPUS, &fault, &world.facts));
    enum err err = barista_corpus_create(CORPUS, world.facts, &options, &fault, &world.corpus);
    NOTE("%s", fault.why);
    CHECK_OK(err);
    return world;
}

static void world_close(struct world *world)
{
    barista_corpus_destroy(world->corpus);
    barista_facts_destroy(world->facts);
    arena_finish(&world->scratch);
}

static void next(struct world *world, struct barista_dialogue *dialogue)
{
    arena_reset(&world->scratch);
    CHECK_OK(barista_corpus_next(world->corpus, &world->scratch, dialogue));
    CHECK(dialogue->turn_count >= 2);
    CHECK_EQ(dialogue->turns[dialogue->turn_count - 1].role, BARISTA_ASSISTANT);
    CHECK(dialogue->label.template_id.len > 0);
}

static struct str answer_of(const struct barista_dialogue *dialogue)
{
    return dialogue->turns[dialogue->turn_count - 1].text;
}

static bool shown(const struct barista_dialogue *dialogue, struct str value)
{
    for (size_t i = 0; i + 1 < dialogue->turn_count; i++) {
        if (barista_says(dialogue->turns[i].text, value))
            return true;
    }
    return false;
}

static void check_answer(const struct barista_dialogue *dialogue)
{
    struct str answer = answer_of(dialogue);
    struct lm_fault fault = {.at_byte = 0};
    NOTE("%.*s: %.*s", STR_ARG(dialogue->label.template_id), STR_ARG(answer));
    CHECK(answer.len > 0 && answer.len < 260);
    for (size_t i = 0; i < dialogue->label.slot_count; i++)
        CHECK(barista_says(answer, dialogue->label.slots[i]));
    if (dialogue->label.recipe) {
        CHECK(dialogue->turns[dialogue->turn_count - 1].recipe);
        CHECK_OK(barista_recipe_check(answer, &fault));
        return;
    }
    CHECK_EQ(barista_refuses(answer), dialogue->label.refuses);
    CHECK(!barista_unsupported(dialogue, answer));
    for (size_t i = 0; i < dialogue->label.slot_count; i++)
        CHECK(shown(dialogue, dialogue->label.slots[i]));
}

static void check_classes(const struct world *world, const struct barista_dialogue *dialogue)
{
    const struct barista_facet *facet;
    size_t count = barista_facets(world->facts, &facet);
    struct barista_score score = {0};
    for (size_t i = 0; i < count; i++) {
        bool known = false;
        for (size_t k = 0; k < facet[i].label_count; k++)
            known = known || str_equal(facet[i].label[k], dialogue->label.classes[i]);
        NOTE("%.*s: %.*s", STR_ARG(facet[i].name), STR_ARG(dialogue->label.classes[i]));
        CHECK(known);
    }
    barista_score_add(dialogue, answer_of(dialogue), &score);
    CHECK_EQ(score.classes, count);
    CHECK_EQ(score.classes_found, count);
}

TEST(every_answer_is_supported_by_its_prompt)
{
    for (size_t m = 0; m < ARRAY_COUNT(models); m++) {
        for (int split = BARISTA_TRAIN; split <= BARISTA_TEST; split++) {
            struct world world = world_open(models[m], (enum barista_split)split, 11);
            for (int i = 0; i < DIALOGUES; i++) {
                struct barista_dialogue dialogue;
                next(&world, &dialogue);
                if (dialogue.task == BARISTA_CHAT)
                    check_answer(&dialogue);
                else if (dialogue.task == BARISTA_CLASSIFY)
                    check_classes(&world, &dialogue);
            }
            world_close(&world);
        }
    }
}

/* Each assistant turn of a dialogue is learned, not only the last. */
TEST(earlier_answers_are_supported_too)
{
    struct world world = world_open("tanka", BARISTA_TRAIN, 12);
    for (int i = 0; i < 3 * DIALOGUES; i++) {
        struct barista_dialogue dialogue;
        next(&world, &dialogue);
        size_t all = dialogue.turn_count;
        for (size_t k = 0; k < all && dialogue.task == BARISTA_CHAT; k++) {
            if (dialogue.turns[k].role != BARISTA_ASSISTANT || dialogue.turns[k].recipe)
                continue;
            dialogue.turn_count = k + 1;
            NOTE("%.*s", STR_ARG(dialogue.turns[k].text));
            CHECK(!barista_unsupported(&dialogue, dialogue.turns[k].text));
        }
    }
    world_close(&world);
}

TEST(a_refusal_has_no_row_that_answers)
{
    struct world world = world_open("tanka", BARISTA_TRAIN, 13);
    uint32_t refusals = 0;
    for (int i = 0; i < 4 * DIALOGUES; i++) {
        struct barista_dialogue dialogue;
        next(&world, &dialogue);
        if (!dialogue.label.refuses)
            continue;
        refusals++;
        CHECK_EQ(dialogue.label.slot_count, 0);
        struct str id = dialogue.label.template_id;
        if (!str_starts(id, STR("price/")) && !str_starts(id, STR("about/")))
            continue; /* a name that is on no row: the question's names stand in none of them */
        struct str question = dialogue.turns[dialogue.turn_count - 2].text;
        for (size_t t = 0; t < dialogue.turn_count; t++) {
            struct str text = dialogue.turns[t].text;
            while (dialogue.turns[t].role == BARISTA_FACTS && text.len > 0) {
                struct str line = str_slice(text, 0, str_find(text, '\n'));
                NOTE("%.*s / %.*s", STR_ARG(question), STR_ARG(line));
                CHECK(!barista_says(question, str_slice(line, 0, str_find(line, ':'))));
                text = str_slice(text, line.len + 1, text.len);
            }
        }
    }
    CHECK(refusals > 100);
    world_close(&world);
}

TEST(the_same_seed_gives_the_same_dialogues)
{
    struct world one = world_open("ode", BARISTA_TRAIN, 3);
    struct world two = world_open("ode", BARISTA_TRAIN, 3);
    struct world other = world_open("ode", BARISTA_TRAIN, 4);
    uint32_t differ = 0;
    for (int i = 0; i < 200; i++) {
        struct barista_dialogue a, b, c;
        next(&one, &a);
        next(&two, &b);
        next(&other, &c);
        CHECK_EQ(a.turn_count, b.turn_count);
        for (size_t k = 0; k < a.turn_count; k++)
            CHECK(str_equal(a.turns[k].text, b.turns[k].text));
        differ += !str_equal(answer_of(&a), answer_of(&c));
    }
    CHECK(differ > 100);
    world_close(&one);
    world_close(&two);
    world_close(&other);
}

/* ---- splits ---- */

static int hash_order(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* The phrasings of every question of a split, as they stand in the files. */
TEST(no_phrasing_is_in_two_splits)
{
    struct world world = world_open("villanelle", BARISTA_TRAIN, 1);
    const struct phrases *phrases = world.corpus->phrases;
    uint32_t *hash[3] = {NULL}, count[3] = {0};
    for (int s = 0; s < 3; s++)
        hash[s] = mem_alloc(sizeof(uint32_t) * 8192);
    for (size_t b = 0; b < phrases->block_count; b++) {
        for (int list = PHRASES_ASK; list <= PHRASES_MORE; list++) {
            for (size_t k = 0; k < phrases->block[b].line_count[list]; k++) {
                const struct phrases_line *line = &phrases->block[b].line[list][k];
                hash[line->split][count[line->split]++] = phrases_hash(line->text);
            }
        }
    }
    CHECK(count[BARISTA_TRAIN] > 500);
    CHECK(count[BARISTA_VALID] > 100);
    CHECK(count[BARISTA_TEST] > 100);
    for (int s = 0; s < 3; s++)
        qsort(hash[s], count[s], sizeof(uint32_t), hash_order);
    for (uint32_t i = 0; i < count[BARISTA_TEST]; i++) {
        const uint32_t *one = &hash[BARISTA_TEST][i];
        CHECK(bsearch(one, hash[BARISTA_TRAIN], count[BARISTA_TRAIN], 4, hash_order) == NULL);
        CHECK(bsearch(one, hash[BARISTA_VALID], count[BARISTA_VALID], 4, hash_order) == NULL);
    }
    for (int s = 0; s < 3; s++)
        mem_free(hash[s]);
    world_close(&world);
}

/* A capsule that is held out is never in a training prompt. */
TEST(held_out_products_stay_out_of_training)
{
    struct world world = world_open("tanka", BARISTA_TRAIN, 21);
    const struct barista_table *table = barista_table_find(world.facts, STR("capsules"));
    uint32_t held = 0;
    for (size_t i = 0; i < table->csv.rows; i++)
        held += good_split(barista_cell(table, i, "name")) != BARISTA_TRAIN;
    CHECK(held >= 2);
    CHECK(held <= table->csv.rows / 3);
    for (int i = 0; i < 4 * DIALOGUES; i++) {
        struct barista_dialogue dialogue;
        next(&world, &dialogue);
        for (size_t k = 0; k < table->csv.rows; k++) {
            struct str name = barista_cell(table, k, "name");
            if (good_split(name) == BARISTA_TRAIN)
                continue;
            for (size_t t = 0; t < dialogue.turn_count; t++) {
                NOTE("%.*s in %.*s", STR_ARG(name), STR_ARG(dialogue.turns[t].text));
                CHECK(dialogue.turns[t].role != BARISTA_FACTS ||
                      !barista_says(dialogue.turns[t].text, name));
            }
        }
    }
    world_close(&world);
}

TEST(most_dialogues_are_of_one_kind_only_once)
{
    struct world world = world_open("tanka", BARISTA_TRAIN, 31);
    uint32_t count = 6000, distinct = 1, *hash = mem_alloc(sizeof(*hash) * 6000);
    for (uint32_t i = 0; i < count; i++) {
        struct barista_dialogue dialogue;
        struct buf text;
        next(&world, &dialogue);
        buf_init(&text, 64 * KIB);
        CHECK_OK(barista_dialogue_text(&dialogue, &text));
        hash[i] = phrases_hash(buf_str(&text));
        buf_finish(&text);
    }
    qsort(hash, count, sizeof(*hash), hash_order);
    for (uint32_t i = 1; i < count; i++)
        distinct += hash[i] != hash[i - 1];
    mem_free(hash);
    NOTE("%u of %u", distinct, count);
    CHECK(distinct > count * 8 / 10);
    world_close(&world);
}

TEST(a_persona_of_another_name_is_refused)
{
    struct lm_fault fault = {.at_byte = 0};
    struct barista_facts *facts;
    struct barista_corpus *corpus = NULL;
    struct barista_corpus_options options = {STR("haiku"), BARISTA_TRAIN, 1};
    CHECK_OK(barista_facts_load(CORPUS, &fault, &facts));
    CHECK_ERR(barista_corpus_create(CORPUS, facts, &options, &fault, &corpus), ERR_INPUT);
    CHECK(corpus == NULL);
    barista_facts_destroy(facts);
}

TEST(a_corpus_survives_every_failed_allocation)
{
    struct lm_fault fault = {.at_byte = 0};
    struct barista_facts *facts;
    struct barista_corpus_options options = {STR("ode"), BARISTA_TRAIN, 1};
    CHECK_OK(barista_facts_load(CORPUS, &fault, &facts));
    for (uint32_t nth = 1;; nth += nth < 40 ? 1 : 17) {
        struct barista_corpus *corpus = NULL;
        struct barista_dialogue dialogue;
        struct arena scratch;
        int64_t live = mem_live();
        mem_fail_at(nth);
        enum err err = barista_corpus_create(CORPUS, facts, &options, &fault, &corpus);
        arena_init(&scratch, MIB);
        for (int i = 0; i < 4 && err == ERR_OK; i++) {
            arena_reset(&scratch);
            err = barista_corpus_next(corpus, &scratch, &dialogue);
        }
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        arena_finish(&scratch);
        barista_corpus_destroy(corpus);
        CHECK_EQ(mem_live(), live);
        if (!fired)
            break;
        CHECK(err == ERR_NOMEM || err == ERR_OK); /* retrieval goes on without rows */
    }
    barista_facts_destroy(facts);
}
