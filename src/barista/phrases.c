/* Phrasings: what people ask and what is answered, as lines with slots.
 *
 *     == price product        a block: its name and its kind
 *     weight 6
 *     field price             directives
 *     ask How much is {name}?
 *     say {Name} costs {price}. */
#include "barista/corpus_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PHRASES_BYTES_MAX (16 * MIB)
#define LINES_MAX         4096 /* of one block and list */
#define HELD_SHARE        6    /* every sixth question of a group is for valid, another for test */
#define GROUP_MIN         4    /* smaller groups are for training only */

uint32_t phrases_hash(struct str text)
{
    uint32_t hash = 2166136261U; /* FNV-1a */
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (uint8_t)text.at[i]) * 16777619U;
    hash ^= hash >> 15;
    return hash * 2654435761U >> 3;
}

bool phrases_line_says(const struct phrases_line *line, const char *mark)
{
    size_t len = strlen(mark);
    for (size_t i = 0; i + len <= line->text.len; i++) {
        if (memcmp(line->text.at + i, mark, len) == 0)
            return true;
    }
    return false;
}

struct source {
    struct phrases *phrases;
    const char *file;
    size_t line;
    struct lm_fault *fault;
    struct phrases_block *block;
    struct str row;
};

static enum err fail(const struct source *source, const char *why)
{
    return barista_fault(source->fault, "phrases/%.80s:%zu:1: %s", source->file, source->line, why);
}

static struct str word(struct str *rest)
{
    size_t end = str_find(*rest, ' ');
    struct str first = str_slice(*rest, 0, end);
    while (end < rest->len && rest->at[end] == ' ')
        end++;
    *rest = str_slice(*rest, end, rest->len);
    return first;
}

static enum err block_begin(struct source *source, struct str rest)
{
    struct phrases *phrases = source->phrases;
    if (phrases->block_count == PHRASES_BLOCKS_MAX)
        return fail(source, "more than 96 blocks");
    struct phrases_block *block = &phrases->block[phrases->block_count++];
    *block = (struct phrases_block){.weight = 1};
    block->name = word(&rest);
    block->kind = word(&rest);
    source->block = block;
    source->row = STR_NONE;
    return block->kind.len > 0 ? ERR_OK : fail(source, "a block is == NAME KIND");
}

/* Braces and brackets close, in order, and do not nest but {x} inside (a|b). */
static bool marks_close(struct str text)
{
    bool brace = false, bracket = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if ((c == '{' && brace) || (c == '}' && !brace) || (c == '(' && (bracket || brace)) ||
            (c == ')' && (!bracket || brace)))
            return false;
        brace = c == '{' || (brace && c != '}');
        bracket = c == '(' || (bracket && c != ')');
    }
    return !brace && !bracket;
}

static enum err line_add(struct source *source, enum phrases_list list, char who, struct str text)
{
    struct phrases_block *block = source->block;
    size_t count = block->line_count[list];
    if (text.len == 0 || !marks_close(text))
        return fail(source, "an empty line, or marks that do not close");
    if (count == LINES_MAX)
        return fail(source, "too many lines in a block");
    if (count % 64 == 0) {
        struct phrases_line *more =
            arena_alloc(&source->phrases->arena, sizeof(*more) * (count + 64));
        if (more == NULL)
            return ERR_NOMEM;
        if (count > 0)
            memcpy(more, block->line[list], sizeof(*more) * count);
        block->line[list] = more;
    }
    block->line[list][block->line_count[list]++] =
        (struct phrases_line){text, list == PHRASES_SAY ? STR_NONE : source->row, BARISTA_TRAIN,
                              (uint32_t)count + 1, who};
    return ERR_OK;
}

static enum err class_add(const struct source *source, struct str rest)
{
    struct phrases_block *block = source->block;
    while (rest.len > 0) {
        struct str pair = word(&rest);
        size_t at = str_find(pair, '=');
        if (at == pair.len || block->class_count == PHRASES_CLASS_MAX)
            return fail(source, "class FACET=LABEL ...");
        block->class_name[block->class_count] = str_slice(pair, 0, at);
        block->class_label[block->class_count++] = str_slice(pair, at + 1, pair.len);
    }
    return ERR_OK;
}

static enum err list_add(const struct source *source, struct str rest, struct str *list,
                         size_t *count)
{
    while (rest.len > 0) {
        if (*count == PHRASES_LIST_MAX)
            return fail(source, "more than 6 values");
        list[(*count)++] = word(&rest);
    }
    return ERR_OK;
}

static enum err directive(struct source *source, struct str key, struct str rest)
{
    struct phrases_block *block = source->block;
    uint64_t number;
    if (str_equal(key, STR("weight"))) {
        if (str_to_u64(rest, &number) != ERR_OK || number > 10000)
            return fail(source, "weight is a number to 10000");
        block->weight = (uint32_t)number;
        return ERR_OK;
    }
    if (str_equal(key, STR("field")))
        return list_add(source, rest, block->field, &block->field_count);
    if (str_equal(key, STR("want")))
        return list_add(source, rest, block->want, &block->want_count);
    if (str_equal(key, STR("class")))
        return class_add(source, rest);
    struct str *one = str_equal(key, STR("table"))    ? &block->table
                      : str_equal(key, STR("by"))     ? &block->by
                      : str_equal(key, STR("op"))     ? &block->op
                      : str_equal(key, STR("models")) ? &block->models
                      : str_equal(key, STR("row"))    ? &source->row
                                                      : NULL;
    if (one == NULL)
        return fail(source, "an unknown word at the start of the line");
    *one = rest;
    return ERR_OK;
}

static enum err line_parse(struct source *source, struct str rest)
{
    static const struct {
        const char *key;
        enum phrases_list list;
        char who;
    } lists[] = {
        {"ask", PHRASES_ASK, 0},     {"more", PHRASES_MORE, 0},   {"say", PHRASES_SAY, 0},
        {"say.t", PHRASES_SAY, 't'}, {"say.v", PHRASES_SAY, 'v'}, {"say.o", PHRASES_SAY, 'o'},
    };
    struct str key = word(&rest);
    if (str_equal(key, STR("==")))
        return block_begin(source, rest);
    if (source->block == NULL)
        return fail(source, "a line before the first block");
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        if (str_equal(key, str_from(lists[i].key)))
            return line_add(source, lists[i].list, lists[i].who, rest);
    }
    return directive(source, key, rest);
}

enum err phrases_parse(struct phrases *phrases, const char *file, struct str text,
                       struct lm_fault *fault)
{
    struct source source = {phrases, file, 0, fault, NULL, STR_NONE};
    enum err err = ERR_OK;
    if (!utf8_valid(text))
        return fail(&source, "the file is not text in UTF-8");
    while (text.len > 0 && err == ERR_OK) {
        size_t end = str_find(text, '\n'), len = end;
        source.line++;
        while (len > 0 && (text.at[len - 1] == ' ' || text.at[len - 1] == '\r'))
            len--;
        struct str line = str_slice(text, 0, len);
        if (line.len > 0 && line.at[0] != '#')
            err = line_parse(&source, line);
        text = str_slice(text, end < text.len ? end + 1 : end, text.len);
    }
    return err;
}

/* ---- splits ---- */

struct card {
    uint32_t hash;
    struct phrases_line *line;
};

static int card_order(const void *a, const void *b)
{
    const struct card *left = a, *right = b;
    if (left->hash != right->hash)
        return left->hash < right->hash ? -1 : 1;
    return (left->line->number > right->line->number) - (left->line->number < right->line->number);
}

/* Questions about one row (or of one block) in the order of their hashes: a sixth to valid, a
 * sixth to test, at least one each; the rest is for training. */
static void group_deal(struct card *card, size_t count)
{
    size_t held = count / HELD_SHARE > 0 ? count / HELD_SHARE : 1;
    qsort(card, count, sizeof(*card), card_order);
    if (count < GROUP_MIN)
        return;
    for (size_t i = 0; i < held; i++) {
        card[i].line->split = BARISTA_TEST;
        card[held + i].line->split = BARISTA_VALID;
    }
}

static enum err list_deal(struct phrases_block *block, enum phrases_list list)
{
    size_t count = block->line_count[list];
    struct phrases_line *line = block->line[list];
    struct card *card = count == 0 ? NULL : mem_alloc(sizeof(*card) * count);
    if (card == NULL)
        return count == 0 ? ERR_OK : ERR_NOMEM;
    for (size_t from = 0; from < count;) {
        size_t to = from;
        for (; to < count && str_equal(line[to].row, line[from].row); to++)
            card[to - from] = (struct card){phrases_hash(line[to].text), &line[to]};
        group_deal(card, to - from);
        from = to;
    }
    mem_free(card);
    return ERR_OK;
}

/* Letters and digits only, folded: what is left of a phrasing when noise has been at it. */
static uint32_t bare_hash(struct str text)
{
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        c = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '{' || c == '}' || c == '|')
            hash = (hash ^ (uint8_t)c) * 16777619U;
    }
    return hash;
}

static int hash_order(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static size_t hashes_of(const struct phrases *phrases, uint32_t *hashes)
{
    size_t count = 0;
    for (size_t i = 0; i < phrases->block_count; i++) {
        const struct phrases_block *block = &phrases->block[i];
        for (size_t list = PHRASES_ASK; list <= PHRASES_MORE; list++) {
            for (size_t k = 0; k < block->line_count[list]; k++) {
                if (hashes != NULL)
                    hashes[count] = bare_hash(block->line[list][k].text);
                count++;
            }
        }
    }
    return count;
}

static enum err doubles_refuse(const struct phrases *phrases, const uint32_t *hashes, size_t count,
                               struct lm_fault *fault)
{
    for (size_t i = 1; i < count; i++) {
        if (hashes[i] != hashes[i - 1])
            continue;
        for (size_t b = 0; b < phrases->block_count; b++) {
            const struct phrases_block *block = &phrases->block[b];
            for (size_t list = PHRASES_ASK; list <= PHRASES_MORE; list++) {
                for (size_t k = 0; k < block->line_count[list]; k++) {
                    struct str text = block->line[list][k].text;
                    if (bare_hash(text) == hashes[i])
                        return barista_fault(fault, "phrases: a question stands twice: %.*s",
                                             (int)(text.len < 120 ? text.len : 120), text.at);
                }
            }
        }
    }
    return ERR_OK;
}

enum err phrases_deal(struct phrases *phrases, struct lm_fault *fault)
{
    size_t count = hashes_of(phrases, NULL);
    uint32_t *hashes = mem_alloc(sizeof(*hashes) * (count + 1));
    if (hashes == NULL)
        return ERR_NOMEM;
    (void)hashes_of(phrases, hashes);
    qsort(hashes, count, sizeof(*hashes), hash_order);
    enum err err = doubles_refuse(phrases, hashes, count, fault);
    mem_free(hashes);
    for (size_t i = 0; i < phrases->block_count && err == ERR_OK; i++) {
        err = list_deal(&phrases->block[i], PHRASES_ASK);
        if (err == ERR_OK)
            err = list_deal(&phrases->block[i], PHRASES_MORE);
    }
    return err;
}

enum err phrases_read(const char *corpus_dir, struct lm_fault *fault, struct phrases **ret_phrases)
{
    static const char *const files[] = {"goods.txt", "facts.txt", "recipes.txt", "talk.txt",
                                        "outside.txt"};
    struct phrases *phrases = mem_zalloc(sizeof(*phrases));
    enum err err = ERR_OK;
    if (phrases == NULL)
        return ERR_NOMEM;
    arena_init(&phrases->arena, PHRASES_BYTES_MAX);
    for (size_t i = 0; i < ARRAY_COUNT(files) && err == ERR_OK; i++) {
        char name[64];
        struct str text;
        (void)snprintf(name, sizeof(name), "phrases/%s", files[i]);
        err = barista_file_read(corpus_dir, name, &phrases->arena, fault, &text);
        if (err == ERR_OK)
            err = phrases_parse(phrases, files[i], text, fault);
    }
    if (err == ERR_OK)
        err = phrases_deal(phrases, fault);
    if (err != ERR_OK) {
        phrases_destroy(phrases);
        return err;
    }
    *ret_phrases = phrases;
    return ERR_OK;
}

void phrases_destroy(struct phrases *phrases)
{
    if (phrases == NULL)
        return;
    arena_finish(&phrases->arena);
    mem_free(phrases);
}
