/* The form of corpus/phrases/. */
#include "barista/corpus_int.h"
#include "kit/kit.h"

#include <string.h>

static enum err parse(struct phrases *phrases, const char *text, struct lm_fault *fault)
{
    memset(phrases, 0, sizeof(*phrases));
    arena_init(&phrases->arena, MIB);
    enum err err = phrases_parse(phrases, "p.txt", str_from(text), fault);
    return err == ERR_OK ? phrases_deal(phrases, fault) : err;
}

TEST(blocks_hold_their_lines)
{
    struct lm_fault fault;
    struct phrases *phrases = mem_alloc(sizeof(*phrases));
    CHECK_OK(parse(phrases,
                   "# words\n== price product\nweight 6\nfield price name\n"
                   "class intent=price\nask How much is {name}?\nask And {name}?\n"
                   "say.v It is (about|) {price}.\n\n== more fact\ntable cafe\nrow a b\nask x\n",
                   &fault));
    CHECK_EQ(phrases->block_count, 2);
    const struct phrases_block *block = &phrases->block[0];
    CHECK_SLICE(block->name, "price");
    CHECK_SLICE(block->kind, "product");
    CHECK_EQ(block->weight, 6);
    CHECK_EQ(block->field_count, 2);
    CHECK_EQ(block->line_count[PHRASES_ASK], 2);
    CHECK_EQ(block->line[PHRASES_SAY][0].who, 'v');
    CHECK_SLICE(phrases->block[1].line[PHRASES_ASK][0].row, "a b");
    arena_finish(&phrases->arena);
    mem_free(phrases);
}

TEST(wrong_lines_are_named)
{
    static const struct {
        const char *text, *why;
    } wrong[] = {
        {"ask x\n", "p.txt:1"},
        {"== a\n", "p.txt:1"},
        {"== a product\nask\n", "p.txt:2"},
        {"== a product\nask {name\n", "p.txt:2"},
        {"== a product\nask (x|{name)}\n", "p.txt:2"},
        {"== a product\nask ((x))\n", "p.txt:2"},
        {"== a product\nweight heavy\n", "p.txt:2"},
        {"== a product\nclass intent\n", "p.txt:2"},
        {"== a product\n\nfoo bar\n", "p.txt:3"},
        {"== a product\nfield a b c d e f g\n", "p.txt:2"},
        {"== a product\nask How much?\nask how MUCH\n", "twice"},
    };
    struct phrases *phrases = mem_alloc(sizeof(*phrases));
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct lm_fault fault = {.at_byte = 0};
        CHECK_ERR(parse(phrases, wrong[i].text, &fault), ERR_INPUT);
        NOTE("case %zu: %s", i, fault.why);
        CHECK(strstr(fault.why, wrong[i].why) != NULL);
        arena_finish(&phrases->arena);
    }
    mem_free(phrases);
}

TEST(every_large_group_gives_to_all_splits)
{
    char text[600];
    struct text out;
    struct lm_fault fault;
    struct phrases *phrases = mem_alloc(sizeof(*phrases));
    uint32_t count[3] = {0};
    text_init(&out, text, sizeof(text));
    text_add(&out, STR("== a product\n"));
    for (uint32_t i = 0; i < 18; i++) {
        text_add(&out, STR("ask question "));
        text_add_u64(&out, i);
        text_add(&out, STR("\n"));
    }
    CHECK_OK(parse(phrases, text, &fault));
    for (size_t i = 0; i < 18; i++)
        count[phrases->block[0].line[PHRASES_ASK][i].split]++;
    CHECK_EQ(count[BARISTA_TRAIN], 12);
    CHECK_EQ(count[BARISTA_VALID], 3);
    CHECK_EQ(count[BARISTA_TEST], 3);
    arena_finish(&phrases->arena);
    mem_free(phrases);
}
