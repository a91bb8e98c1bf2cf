/* The generator's parts: phrasings, goods of real and invented catalogues, one dialogue under way.
 */
#ifndef AUTOMAT_BARISTA_CORPUS_INT_H
#define AUTOMAT_BARISTA_CORPUS_INT_H

#include "barista/barista_int.h"

/* ---- phrases.c: corpus/phrases/ *.txt, whose form corpus/README.md describes ---- */

#define PHRASES_BLOCKS_MAX 96
#define PHRASES_LIST_MAX   6 /* values of one directive */
#define PHRASES_CLASS_MAX  16

enum phrases_list { PHRASES_ASK, PHRASES_MORE, PHRASES_SAY, PHRASES_LISTS };

struct phrases_line {
    struct str text;
    struct str row;           /* what the question is about, where the table's rows differ */
    enum barista_split split; /* of questions; answers are all BARISTA_TRAIN */
    uint32_t number;          /* in its block, from 1: the template's id is "block/number" */
    char who;                 /* 't', 'v', 'o': only this persona; 0: all */
};
struct phrases_block {
    struct str name, kind, table, by, op;
    struct str field[PHRASES_LIST_MAX], want[PHRASES_LIST_MAX];
    size_t field_count, want_count;
    struct str class_name[PHRASES_CLASS_MAX], class_label[PHRASES_CLASS_MAX];
    size_t class_count;
    uint32_t weight;
    struct str models; /* letters, e.g. "vo"; empty: all */
    struct phrases_line *line[PHRASES_LISTS];
    size_t line_count[PHRASES_LISTS];
};
struct phrases {
    struct arena arena;
    struct phrases_block block[PHRASES_BLOCKS_MAX];
    size_t block_count;
};
/* ERR_INPUT with file and line in `fault`: unknown directives, doubled questions, braces that do
 * not close. */
MUST_USE enum err phrases_read(const char *corpus_dir, struct lm_fault *fault,
                               struct phrases **ret_phrases);
MUST_USE enum err phrases_parse(struct phrases *phrases, const char *file, struct str text,
                                struct lm_fault *fault);
/* Deals the questions out to the splits and refuses doubled ones; after the last parse. */
MUST_USE enum err phrases_deal(struct phrases *phrases, struct lm_fault *fault);
void phrases_destroy(struct phrases *phrases);
/* Whether the template has this in it, "{ml}". */
bool phrases_line_says(const struct phrases_line *line, const char *mark);
uint32_t phrases_hash(struct str text); /* stable between hosts: splits hang on it */

/* ---- goods.c: capsules ---- */

struct good {
    struct str name, system, cup, notes, roast, origin, decaf, currency, price, line;
    struct str note[2];
    uint32_t ml, intensity, price_minor;
    size_t row; /* of the facts; SIZE_MAX: invented or changed */
};
struct maker;
/* The capsule that stands in row `row` of the table; false when it is not one (any more). */
bool good_read(struct maker *maker, size_t row, struct good *ret_good);
/* A new one; the name is one of the split's own. */
MUST_USE enum err good_invent(struct maker *maker, struct good *ret_good);
/* The same name with other numbers, notes and price. */
MUST_USE enum err good_change(struct maker *maker, struct good *good);
MUST_USE enum err good_name(struct maker *maker, struct str *ret_name);
enum barista_split good_split(struct str name);

/* ---- one dialogue under way ---- */

#define MAKER_BINDS_MAX    40
#define MAKER_MESSAGES_MAX 16
#define MAKER_GOODS_MAX    6

struct maker_bind {
    const char *name;
    struct str value;
};
struct barista_corpus {
    const struct barista_facts *facts;
    struct phrases *phrases;
    struct arena arena;
    struct barista_csv notes, names; /* corpus/notes.csv, corpus/names.csv */
    struct rng rng;
    enum barista_split split;
    struct str model;
    uint32_t weight_sum;
};
struct maker {
    struct barista_corpus *corpus;
    struct rng *rng;
    struct arena *scratch;
    struct barista_dialogue *dialogue;
    struct barista_turn message[MAKER_MESSAGES_MAX]; /* without system and facts */
    size_t message_count;
    struct str system; /* machine of the system turn, or empty */
    struct maker_bind bind[MAKER_BINDS_MAX];
    size_t bind_count;
};

/* ERR_AGAIN from a maker: this draw did not work out, draw anew. */
MUST_USE enum err make_goods(struct maker *maker, const struct phrases_block *block);
MUST_USE enum err make_facts(struct maker *maker, const struct phrases_block *block);
MUST_USE enum err make_row(struct maker *maker, const struct phrases_block *block);
MUST_USE enum err make_pick(struct maker *maker, const struct phrases_block *block);
MUST_USE enum err make_recipe(struct maker *maker, const struct phrases_block *block);
MUST_USE enum err make_talk(struct maker *maker, const struct phrases_block *block);
MUST_USE enum err make_classes(struct maker *maker);
MUST_USE enum err make_summary(struct maker *maker, const struct phrases_block *block);

/* What the makers share: rows of a prompt. */
struct make_lines {
    struct barista_row row[BARISTA_ROWS_MAX];
    size_t count;
};
/* Other numbers of the same form: "90.5 to 96.1 C" -> "83.2 to 71.9 C".  at NULL: no memory. */
struct str make_numbers_change(struct maker *maker, struct str text);
/* Rows that have nothing to do with it. */
void make_noise_rows(struct maker *maker, struct make_lines *lines);
void make_lines_shuffle(struct maker *maker, struct make_lines *lines);
bool make_lines_have(const struct make_lines *lines, struct str text);
const struct barista_table *make_block_table(const struct maker *maker,
                                             const struct phrases_block *block);

/* Capsules: what the prompt's rows show. */
struct make_shelf {
    struct good good[MAKER_GOODS_MAX];
    size_t count;
    bool real; /* the rows are those that retrieval finds */
};
/* `wanted` goods to speak of, put first; and others beside them. */
MUST_USE enum err make_shelf_fill(struct maker *maker, const struct phrases_block *block,
                                  size_t wanted, size_t others, struct make_shelf *shelf);
void make_shelf_shuffle(struct maker *maker, struct make_shelf *shelf);
void make_bind_good(struct maker *maker, const struct good *good);
MUST_USE enum err make_shelf_exchange(struct maker *maker, const struct make_shelf *shelf,
                                      struct str ask, struct str answer);
/* Whether a facts turn shows this line. */
bool make_row_shows(const struct maker *maker, struct str line);
/* More questions about the one that was spoken of. */
MUST_USE enum err make_more(struct maker *maker, const struct make_shelf *shelf,
                            const struct good *good);

/* ---- fill.c: templates to texts, and what guests do to them ---- */

void maker_bind(struct maker *maker, const char *name, struct str value);
void maker_bind_number(struct maker *maker, const char *name, uint64_t value);
struct str maker_value(const struct maker *maker, struct str name);
/* A line of the list that fits split and persona (and `row`, when not empty); NULL: none. */
const struct phrases_line *maker_line(struct maker *maker, const struct phrases_block *block,
                                      enum phrases_list list, struct str row);
/* One of (a|b) and the values of {name}; {Name} begins with a capital. */
MUST_USE enum err maker_fill(struct maker *maker, struct str text, struct str *ret_text);
/* Case, lost marks, slips of the finger. */
MUST_USE enum err maker_noise(struct maker *maker, struct str text, struct str *ret_text);
/* A question of the block, filled and disturbed; names the dialogue's template. */
MUST_USE enum err maker_ask(struct maker *maker, const struct phrases_block *block,
                            enum phrases_list list, struct str row, struct str *ret_text);
MUST_USE enum err maker_say(struct maker *maker, const struct phrases_block *block,
                            struct str *ret_text);
const struct phrases_block *maker_block(const struct maker *maker, const char *name);

/* ---- turns ---- */

/* Question, rows that no earlier turn shows, answer. */
MUST_USE enum err maker_exchange(struct maker *maker, const struct barista_row *rows,
                                 size_t row_count, struct str ask, struct str answer, bool recipe);
/* Rows as they would be retrieved, without those that another split holds. */
size_t maker_retrieve(struct maker *maker, struct str ask, struct barista_row *ret_rows);
void maker_slot(struct maker *maker, struct str value);
MUST_USE enum err maker_slots(struct maker *maker, const struct phrases_block *block);
bool maker_chance(struct maker *maker, double probability);
uint32_t maker_below(struct maker *maker, uint32_t bound);

#endif
