/* Dialogues about what is written down: brewing numbers with whose they are, words of the tongue,
 * the house's rules, and what to do step by step when something is wrong. */
#include "barista/corpus_int.h"

#include <string.h>

#define SWAP_SHARE                                                                                 \
    0.4 /* of dialogues: other texts under the same topics, so that rows are read                  \
         */
#define NOISE_SHARE 0.35
#define STEPS_MAX   6
#define SOURCES_MAX 3

struct over { /* a row's cells with one of them changed */
    const struct barista_table *table;
    size_t row;
    const char *column;
    struct str value;
};

static struct str over_value(void *cookie, struct str column)
{
    const struct over *over = cookie;
    if (str_equal(column, str_from(over->column)))
        return over->value;
    return barista_csv_at(&over->table->csv, over->row,
                          barista_csv_column(&over->table->csv, column));
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Other numbers of the same form: "90.5 to 96.1 C" -> "83.2 to 71.9 C". */
struct str make_numbers_change(struct maker *maker, struct str text)
{
    char *copy = arena_strdup(maker->scratch, text);
    for (size_t i = 0; copy != NULL && i < text.len; i++) {
        bool leads = i == 0 || !digit(copy[i - 1]);
        if (digit(copy[i]))
            copy[i] = (char)('0' + (leads ? 1 + maker_below(maker, 9) : maker_below(maker, 10)));
    }
    return (struct str){copy, copy == NULL ? 0 : text.len};
}

static enum err swapped_row(struct maker *maker, const struct barista_table *table, size_t row,
                            struct str text, struct barista_row *ret_row)
{
    struct over over = {table, row, "text", text};
    ret_row->table = table->name;
    ret_row->id = barista_cell(table, row, "id");
    ret_row->score = 1;
    return text.at == NULL
               ? ERR_NOMEM
               : barista_row_text(table->text, over_value, &over, maker->scratch, &ret_row->text);
}

void make_noise_rows(struct maker *maker, struct make_lines *lines)
{
    const struct barista_facts *facts = maker->corpus->facts;
    while (lines->count < BARISTA_ROWS_MAX && maker_chance(maker, NOISE_SHARE)) {
        const struct barista_row *row = &facts->row[maker_below(maker, (uint32_t)facts->row_count)];
        bool doubled = str_equal(row->table, STR("capsules")); /* held out ones stay unseen */
        for (size_t i = 0; i < lines->count; i++)
            doubled = doubled || (str_equal(lines->row[i].id, row->id) &&
                                  str_equal(lines->row[i].table, row->table));
        if (!doubled)
            lines->row[lines->count++] = *row;
    }
}

void make_lines_shuffle(struct maker *maker, struct make_lines *lines)
{
    for (size_t i = lines->count; i > 1; i--) {
        size_t k = maker_below(maker, (uint32_t)i);
        struct barista_row swap = lines->row[i - 1];
        lines->row[i - 1] = lines->row[k];
        lines->row[k] = swap;
    }
}

bool make_lines_have(const struct make_lines *lines, struct str text)
{
    for (size_t i = 0; i < lines->count; i++) {
        if (str_equal(lines->row[i].text, text))
            return true;
    }
    return false;
}

const struct barista_table *make_block_table(const struct maker *maker,
                                             const struct phrases_block *block)
{
    return barista_table_find(maker->corpus->facts, block->table);
}

/* The `row` of a question that this split has; NULL: none. */
static const struct phrases_line *any_ask(struct maker *maker, const struct phrases_block *block)
{
    return maker_line(maker, block, PHRASES_ASK, STR_NONE);
}

/* ---- one row: a rule of the house, a word of the tongue ---- */

static size_t row_of(const struct barista_table *table, const char *column, struct str value)
{
    size_t row = 0;
    while (row < table->csv.rows && !str_equal(barista_cell(table, row, column), value))
        row++;
    return row;
}

static enum err make_fact(struct maker *maker, const struct phrases_block *block)
{
    const struct barista_table *table = make_block_table(maker, block);
    const struct phrases_line *about = any_ask(maker, block);
    struct make_lines lines = {.count = 0};
    struct str ask, answer;
    if (about == NULL || table == NULL)
        return table == NULL ? ERR_INPUT : ERR_AGAIN;
    size_t row = row_of(table, "id", about->row);
    if (row == table->csv.rows)
        return ERR_INPUT;
    struct str text = barista_cell(table, row, "text");
    maker_bind(maker, "topic", barista_cell(table, row, "topic"));
    enum err err = maker_ask(maker, block, PHRASES_ASK, about->row, &ask);
    if (err != ERR_OK)
        return err;
    if (maker_chance(maker, SWAP_SHARE)) {
        text = make_numbers_change(
            maker, barista_cell(table, maker_below(maker, (uint32_t)table->csv.rows), "text"));
        err = swapped_row(maker, table, row, text, &lines.row[lines.count++]);
        make_noise_rows(maker, &lines);
        make_lines_shuffle(maker, &lines);
    } else {
        lines.count = maker_retrieve(maker, ask, lines.row);
        if (!make_lines_have(&lines, maker->corpus->facts->row[table->first + row].text))
            err = ERR_AGAIN;
    }
    maker_bind(maker, "text", text);
    if (err == ERR_OK)
        err = maker_say(maker, block, &answer);
    maker_slot(maker, text);
    return err == ERR_OK ? maker_exchange(maker, lines.row, lines.count, ask, answer, false) : err;
}

/* ---- numbers of bodies that differ ---- */

struct sources {
    struct str text[SOURCES_MAX], source[SOURCES_MAX];
    size_t count;
};

static enum err science_answer(struct maker *maker, const struct phrases_block *block,
                               const struct sources *sources, struct str *ret_answer)
{
    static const char *const kinds[] = {"", "one", "two", "three"};
    static const char *const texts[] = {"text", "text2", "text3"};
    static const char *const names[] = {"source", "source2", "source3"};
    for (size_t i = 0; i < sources->count; i++) {
        maker_bind(maker, texts[i], sources->text[i]);
        maker_bind(maker, names[i], sources->source[i]);
        maker_slot(maker, sources->text[i]);
        maker_slot(maker, sources->source[i]);
    }
    char name[64];
    struct text text;
    text_init(&text, name, sizeof(name));
    text_add(&text, block->name);
    text_add(&text, STR("_"));
    text_add(&text, str_from(kinds[sources->count]));
    const struct phrases_block *says = maker_block(maker, name);
    return says == NULL ? ERR_INPUT : maker_say(maker, says, ret_answer);
}

static enum err make_science(struct maker *maker, const struct phrases_block *block)
{
    const struct barista_table *table = make_block_table(maker, block);
    const struct phrases_line *about = any_ask(maker, block);
    struct sources sources = {.count = 0};
    struct make_lines lines = {.count = 0};
    struct str ask, answer;
    if (about == NULL || table == NULL)
        return table == NULL ? ERR_INPUT : ERR_AGAIN;
    maker_bind(maker, "topic", about->row);
    enum err err = maker_ask(maker, block, PHRASES_ASK, about->row, &ask);
    bool changed = maker_chance(maker, SWAP_SHARE);
    if (err == ERR_OK && !changed)
        lines.count = maker_retrieve(maker, ask, lines.row);
    for (size_t row = 0; row < table->csv.rows && err == ERR_OK; row++) {
        if (!str_equal(barista_cell(table, row, "topic"), about->row))
            continue;
        struct str text = barista_cell(table, row, "text");
        if (changed) {
            text = make_numbers_change(maker, text);
            err = swapped_row(maker, table, row, text, &lines.row[lines.count++]);
        } else if (!make_lines_have(&lines, maker->corpus->facts->row[table->first + row].text)) {
            err = ERR_AGAIN;
        }
        if (sources.count == SOURCES_MAX)
            return ERR_INPUT;
        sources.text[sources.count] = text;
        sources.source[sources.count++] = barista_cell(table, row, "source");
    }
    if (err != ERR_OK || sources.count == 0)
        return err != ERR_OK ? err : ERR_INPUT;
    if (changed)
        make_noise_rows(maker, &lines);
    err = science_answer(maker, block, &sources, &answer);
    return err == ERR_OK ? maker_exchange(maker, lines.row, lines.count, ask, answer, false) : err;
}

/* ---- trouble, a step a turn ---- */

struct steps {
    struct str text[STEPS_MAX], line[STEPS_MAX];
    size_t count;
    bool changed;
};

static enum err steps_read(struct maker *maker, const struct barista_table *table,
                           struct str problem, struct steps *steps)
{
    enum err err = ERR_OK;
    steps->changed = maker_chance(maker, SWAP_SHARE);
    for (size_t row = 0; row < table->csv.rows && err == ERR_OK; row++) {
        if (!str_equal(barista_cell(table, row, "problem"), problem))
            continue;
        if (steps->count == STEPS_MAX)
            return ERR_INPUT;
        struct barista_row line = maker->corpus->facts->row[table->first + row];
        struct str text = barista_cell(table, row, "text");
        if (steps->changed) { /* what another trouble says in its place */
            text = barista_cell(table, maker_below(maker, (uint32_t)table->csv.rows), "text");
            err = swapped_row(maker, table, row, text, &line);
        }
        steps->text[steps->count] = text;
        steps->line[steps->count++] = line.text;
    }
    return err == ERR_OK && steps->count == 0 ? ERR_INPUT : err;
}

static enum err step_answer(struct maker *maker, const struct phrases_block *block, size_t step,
                            const struct steps *steps, struct str *ret_answer)
{
    const char *suffix = step == 0 ? "_first" : step + 1 == steps->count ? "_last" : "_next";
    char name[64];
    struct text text;
    text_init(&text, name, sizeof(name));
    text_add(&text, block->name);
    text_add(&text, str_from(suffix));
    const struct phrases_block *says = maker_block(maker, name);
    maker_bind(maker, "text", steps->text[step]);
    maker->dialogue->label.slot_count = 0;
    maker_slot(maker, steps->text[step]);
    return says == NULL ? ERR_INPUT : maker_say(maker, says, ret_answer);
}

/* The first question brings all steps; the rows of later turns are then shown already. */
static enum err steps_lines(struct maker *maker, const struct steps *steps, struct str ask,
                            struct make_lines *lines)
{
    lines->count = 0;
    if (!steps->changed) {
        lines->count = maker_retrieve(maker, ask, lines->row);
        for (size_t i = 0; i < steps->count && maker->message_count == 0; i++) {
            if (!make_lines_have(lines, steps->line[i]))
                return ERR_AGAIN;
        }
        return ERR_OK;
    }
    if (maker->message_count > 0)
        return ERR_OK;
    for (size_t i = 0; i < steps->count; i++)
        lines->row[lines->count++] =
            (struct barista_row){STR("trouble"), steps->line[i], steps->line[i], 1};
    make_noise_rows(maker, lines);
    make_lines_shuffle(maker, lines);
    return ERR_OK;
}

static enum err make_trouble(struct maker *maker, const struct phrases_block *block)
{
    const struct barista_table *table = make_block_table(maker, block);
    const struct phrases_line *about = any_ask(maker, block);
    struct steps steps = {.count = 0};
    struct make_lines lines;
    struct str ask, answer;
    if (about == NULL || table == NULL)
        return table == NULL ? ERR_INPUT : ERR_AGAIN;
    struct str problem = about->row;
    enum err err = steps_read(maker, table, problem, &steps);
    size_t turns = 1 + maker_below(maker, (uint32_t)steps.count + (steps.count == 0));
    maker_bind(maker, "problem", problem);
    for (size_t i = 0; i < turns && err == ERR_OK; i++) {
        err = i == 0 ? maker_ask(maker, block, PHRASES_ASK, problem, &ask)
                     : maker_ask(maker, block, PHRASES_MORE, STR("still"), &ask);
        if (err == ERR_OK)
            err = steps_lines(maker, &steps, ask, &lines);
        if (err == ERR_OK)
            err = step_answer(maker, block, i, &steps, &answer);
        if (err == ERR_OK)
            err = maker_exchange(maker, lines.row, lines.count, ask, answer, false);
    }
    return err;
}

enum err make_facts(struct maker *maker, const struct phrases_block *block)
{
    if (str_equal(block->kind, STR("science")))
        return make_science(maker, block);
    if (str_equal(block->kind, STR("trouble")))
        return make_trouble(maker, block);
    return make_fact(maker, block);
}
