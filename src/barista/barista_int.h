/* What the files of barista share: tables, words, the generator's parts. */
#ifndef AUTOMAT_BARISTA_INT_H
#define AUTOMAT_BARISTA_INT_H

#include "barista/barista.h"

/* ---- csv.c: strict comma-separated tables ---- */

#define BARISTA_CSV_COLUMNS_MAX 32
#define BARISTA_CSV_ROWS_MAX    4096
#define BARISTA_FILE_BYTES_MAX  MIB

/* The first record names the columns and is not counted.  Cells borrow from an arena. */
struct barista_csv {
    const struct str *name; /* columns */
    const struct str *cell; /* rows x columns */
    size_t columns, rows;
};
/* RFC 4180 with LF or CRLF, UTF-8, every record as long as the first, no empty or doubled column
 * name, no quote inside a bare cell.  `file` is for the fault only. */
MUST_USE enum err barista_csv_parse(const char *file, struct str text, struct arena *arena,
                                    struct lm_fault *fault, struct barista_csv *ret_csv);
/* columns when there is none of that name. */
size_t barista_csv_column(const struct barista_csv *csv, struct str name);
struct str barista_csv_at(const struct barista_csv *csv, size_t row, size_t column);
/* DIR/name read into the arena and parsed. */
MUST_USE enum err barista_csv_read(const char *dir, const char *name, struct arena *arena,
                                   struct lm_fault *fault, struct barista_csv *ret_csv);
MUST_USE enum err barista_file_read(const char *dir, const char *name, struct arena *arena,
                                    struct lm_fault *fault, struct str *ret_text);

/* ---- words.c: text to terms ---- */

#define BARISTA_WORD_BYTES 32
struct barista_word {
    char at[BARISTA_WORD_BYTES];
    size_t len;
};
/* The next word of letters and digits from *at on, lower case, without an English plural s; false
 * at the end.  "90.5" is one word; longer words are cut. */
bool barista_word_next(struct str text, size_t *at, struct barista_word *ret_word);
/* Shared trigrams of both words with their ends marked, as Dice's coefficient 0..1. */
double barista_word_likeness(struct str a, struct str b);

/* ---- facts.c ---- */

#define BARISTA_TABLES_MAX 16

struct barista_table {
    struct str name, text, heavy; /* layout of a row's line; the column that names it */
    struct barista_csv csv;
    size_t first; /* of its rows among all */
};
struct barista_synonym {
    struct str word, means; /* means empty: says nothing */
};
struct barista_posting {
    uint32_t row;
    float weight;
};
struct barista_term {
    struct str text;
    uint32_t first, count; /* postings */
    float idf;
};
struct barista_facts {
    struct arena arena;
    struct barista_table table[BARISTA_TABLES_MAX];
    size_t table_count;
    struct barista_row *row; /* score 0 */
    uint16_t *row_table;
    float *row_words; /* weighted length */
    size_t row_count;
    double words_mean;
    struct barista_synonym *synonym; /* sorted by word */
    size_t synonym_count;
    struct barista_term *term; /* sorted by text */
    size_t term_count;
    struct barista_posting *posting;
    struct barista_facet facet[BARISTA_FACETS_MAX];
    size_t facet_count;
};
/* From texts instead of files, for tests: files in pairs of name and content. */
const struct barista_table *barista_table_find(const struct barista_facts *facts, struct str name);
/* A row's cell by column name; empty when there is no such column. */
struct str barista_cell(const struct barista_table *table, size_t row, const char *column);
/* The line of a row whose cells are handed out by `value` ("price" is asked for too). */
MUST_USE enum err barista_row_text(struct str layout,
                                   struct str (*value)(void *cookie, struct str column),
                                   void *cookie, struct arena *arena, struct str *ret_text);
/* "0.46 EUR" */
struct str barista_price(struct arena *arena, uint64_t minor, struct str currency);
/* Words to terms and their lists of rows; after all rows are there. */
MUST_USE enum err barista_index_build(struct barista_facts *facts);
MUST_USE enum err barista_classes_load(const char *dir, struct barista_facts *facts,
                                       struct lm_fault *fault);
struct str barista_synonym_find(const struct barista_facts *facts, struct str word,
                                bool *ret_found);

/* ---- prompt.c ---- */

/* Rows joined by line ends, without those that a facts turn shows already.  at NULL: no memory. */
struct str barista_facts_turn(const struct barista_turn *turns, size_t count,
                              const struct barista_row *rows, size_t row_count,
                              struct arena *scratch);
/* What retrieval is told of the turns before: the last exchange. */
struct str barista_before(const struct barista_turn *messages, size_t count, struct arena *scratch);

/* barista_retrieve for a machine that takes "original" or "vertuo" capsules, or for none (""). */
size_t barista_rows(const struct barista_facts *facts, struct str question, struct str before,
                    struct str machine_system, struct arena *scratch, struct barista_row *ret_rows);

/* What was found for one message, when the last `before` messages stood before it. */
struct barista_kept {
    struct barista_row row[BARISTA_ROWS_MAX];
    size_t count, before;
    bool found;
};
/* barista_turns for one who asks again without the oldest messages: `kept` has one for each message
 * (zeros at first), and what was found is not looked for again.  NULL: nothing is kept. */
MUST_USE enum err barista_turns_kept(const struct barista_facts *facts, struct str system,
                                     const struct barista_turn *messages, size_t count,
                                     struct arena *scratch, struct barista_kept *kept,
                                     struct barista_turn *ret_turns, size_t turns_max,
                                     size_t *ret_count, struct barista_row *ret_rows,
                                     size_t *ret_row_count);

/* ---- recipe.c ---- */

struct espresso_recipe;
MUST_USE enum err barista_recipe_text(const struct espresso_recipe *recipe, struct buf *ret_text);
MUST_USE enum err barista_recipe_parse(struct str json, struct lm_fault *fault,
                                       struct espresso_recipe *ret_recipe);

/* ---- plain.c ---- */

MUST_USE enum err barista_plain_rows(const struct barista_row *rows, size_t count,
                                     struct str question, struct buf *ret_answer);

MUST_USE enum err barista_fault(struct lm_fault *fault, const char *format, ...)
    PRINTF_LIKE(2, 3); /* ERR_INPUT */

#endif
