/* Retrieval and a fixed sentence: what answers where no model is trained, and what a model must
 * beat.  It reads rows, not questions: the words of the question only choose which part of a
 * capsule's row is said. */
#include "barista/barista_int.h"

#include <string.h>

enum wish { WISH_ALL, WISH_PRICE, WISH_STRENGTH, WISH_TASTE, WISH_SIZE, WISH_ORIGIN, WISH_ROAST };

static enum wish wish_of(struct str question)
{
    static const struct {
        const char *word;
        enum wish wish;
    } words[] = {
        {"price", WISH_PRICE},      {"cost", WISH_PRICE},      {"much", WISH_PRICE},
        {"pay", WISH_PRICE},        {"strong", WISH_STRENGTH}, {"intensity", WISH_STRENGTH},
        {"intense", WISH_STRENGTH}, {"taste", WISH_TASTE},     {"note", WISH_TASTE},
        {"flavour", WISH_TASTE},    {"ml", WISH_SIZE},         {"big", WISH_SIZE},
        {"size", WISH_SIZE},        {"origin", WISH_ORIGIN},   {"country", WISH_ORIGIN},
        {"from", WISH_ORIGIN},      {"roast", WISH_ROAST},     {"roasted", WISH_ROAST},
    };
    struct barista_word word;
    for (size_t at = 0; barista_word_next(question, &at, &word);) {
        for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
            if (str_equal((struct str){word.at, word.len}, str_from(words[i].word)))
                return words[i].wish;
        }
    }
    return WISH_ALL;
}

/* The part of "Name: original espresso 40 ml, intensity 10, cocoa and toast, dark roast, Brazil,
 * regular, 0.46 EUR" after `nth` commas. */
static struct str part(struct str line, size_t nth)
{
    while (nth-- > 0)
        line = str_slice(line, str_find(line, ',') + 2, line.len);
    return str_slice(line, 0, str_find(line, ','));
}

static enum err say_capsule(struct str line, enum wish wish, struct buf *ret_answer)
{
    static const size_t nth[] = {
        [WISH_PRICE] = 6,  [WISH_STRENGTH] = 1, [WISH_TASTE] = 2,
        [WISH_ORIGIN] = 4, [WISH_ROAST] = 3,
    };
    size_t colon = str_find(line, ':');
    struct str name = str_slice(line, 0, colon), rest = str_slice(line, colon + 2, line.len);
    if (wish == WISH_ALL)
        return buf_printf(ret_answer, "%.*s: %.*s.", STR_ARG(name), STR_ARG(rest));
    struct str said = wish == WISH_SIZE ? part(rest, 0) : part(rest, nth[wish]);
    return buf_printf(ret_answer, "%.*s: %.*s.", STR_ARG(name), STR_ARG(said));
}

enum err barista_plain_rows(const struct barista_row *rows, size_t count, struct str question,
                            struct buf *ret_answer)
{
    if (count == 0)
        return buf_add_str(ret_answer, STR("I don't know that. Ask me about our capsules, brewing, "
                                           "machines or the cafe."));
    if (str_equal(rows[0].table, STR("capsules")))
        return say_capsule(rows[0].text, wish_of(question), ret_answer);
    if (!str_equal(rows[0].table, STR("science")))
        return buf_printf(ret_answer, "%.*s.", STR_ARG(rows[0].text));
    /* Bodies differ: all that speak of the same thing. */
    struct str topic = str_slice(rows[0].text, 0, str_find(rows[0].text, ':'));
    enum err err = ERR_OK;
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        if (str_equal(rows[i].table, rows[0].table) && str_starts(rows[i].text, topic))
            err = buf_printf(ret_answer, "%s%.*s.", i == 0 ? "" : " ", STR_ARG(rows[i].text));
    }
    return err;
}

/* ---- the same over a dialogue's own rows ---- */

static size_t overlap(struct str line, struct str question)
{
    struct barista_word word;
    size_t count = 0;
    for (size_t at = 0; barista_word_next(question, &at, &word);) {
        struct str text = {word.at, word.len};
        count += text.len > 2 && barista_says(line, text);
    }
    return count;
}

static struct str table_of(const struct barista_facts *facts, struct str line)
{
    for (size_t i = 0; i < facts->row_count; i++) {
        if (str_equal(facts->row[i].text, line))
            return facts->row[i].table;
    }
    return barista_says(line, STR("intensity")) ? STR("capsules") : STR("invented");
}

enum err barista_plain_dialogue(const struct barista_facts *facts,
                                const struct barista_dialogue *dialogue, struct buf *ret_answer)
{
    struct barista_row rows[2 * BARISTA_ROWS_MAX];
    struct str question = STR("");
    size_t count = 0, best = 0, most = 0;
    for (size_t i = 0; i + 1 < dialogue->turn_count; i++) {
        struct str text = dialogue->turns[i].text;
        if (dialogue->turns[i].role == BARISTA_USER)
            question = text;
        while (dialogue->turns[i].role == BARISTA_FACTS && text.len > 0 &&
               count < ARRAY_COUNT(rows)) {
            struct str line = str_slice(text, 0, str_find(text, '\n'));
            rows[count++] = (struct barista_row){table_of(facts, line), line, line, 1};
            text = str_slice(text, line.len + 1, text.len);
        }
    }
    for (size_t i = 0; i < count; i++) {
        size_t now = overlap(rows[i].text, question);
        if (now > most) {
            most = now;
            best = i;
        }
    }
    return barista_plain_rows(rows + best, count - best, question, ret_answer);
}

enum err barista_plain_answer(const struct barista_facts *facts, struct str question,
                              struct str before, struct buf *ret_answer)
{
    struct barista_row rows[BARISTA_ROWS_MAX];
    size_t count = barista_retrieve(facts, question, before, rows, BARISTA_ROWS_MAX);
    return barista_plain_rows(rows, count, question, ret_answer);
}
