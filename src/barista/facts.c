/* Tables into rows: corpus/tables.csv says which tables there are and how a row reads. */
#include "barista/barista_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FACTS_BYTES_MAX (64 * MIB)
#define ROW_BYTES_MAX   512

const struct barista_table *barista_table_find(const struct barista_facts *facts, struct str name)
{
    for (size_t i = 0; i < facts->table_count; i++) {
        if (str_equal(facts->table[i].name, name))
            return &facts->table[i];
    }
    return NULL;
}

struct str barista_cell(const struct barista_table *table, size_t row, const char *column)
{
    return barista_csv_at(&table->csv, row, barista_csv_column(&table->csv, str_from(column)));
}

struct str barista_price(struct arena *arena, uint64_t minor, struct str currency)
{
    char *text = arena_printf(arena, "%llu.%02llu %.*s", (unsigned long long)(minor / 100),
                              (unsigned long long)(minor % 100), STR_ARG(currency));
    return str_from(text);
}

enum err barista_row_text(struct str layout, struct str (*value)(void *cookie, struct str column),
                          void *cookie, struct arena *arena, struct str *ret_text)
{
    char line[ROW_BYTES_MAX];
    struct text text;
    text_init(&text, line, sizeof(line));
    for (size_t i = 0; i < layout.len; i++) {
        size_t end = layout.at[i] == '{' ? i + str_find(str_slice(layout, i, layout.len), '}') : i;
        if (end == i || end >= layout.len) {
            text_add_char(&text, layout.at[i]);
            continue;
        }
        struct str cell = value(cookie, str_slice(layout, i + 1, end));
        if (cell.at == NULL)
            return ERR_INPUT;
        text_add(&text, cell);
        i = end;
    }
    if (text.overflow)
        return ERR_FULL;
    char *copy = arena_strdup(arena, (struct str){line, text.len});
    *ret_text = (struct str){copy, text.len};
    return copy != NULL ? ERR_OK : ERR_NOMEM;
}

struct cell_of {
    const struct barista_table *table;
    size_t row;
    struct arena *arena;
};

static struct str cell_value(void *cookie, struct str column)
{
    const struct cell_of *of = cookie;
    const struct barista_csv *csv = &of->table->csv;
    uint64_t minor;
    if (!str_equal(column, STR("price")))
        return barista_csv_at(csv, of->row, barista_csv_column(csv, column));
    if (str_to_u64(barista_cell(of->table, of->row, "price_minor"), &minor) != ERR_OK)
        return STR_NONE;
    return barista_price(of->arena, minor, barista_cell(of->table, of->row, "currency"));
}

static enum err table_rows(struct barista_facts *facts, size_t index, struct lm_fault *fault)
{
    const struct barista_table *table = &facts->table[index];
    for (size_t i = 0; i < table->csv.rows; i++) {
        struct barista_row *row = &facts->row[table->first + i];
        struct cell_of of = {table, i, &facts->arena};
        row->table = table->name;
        row->id = barista_cell(table, i, "id");
        for (size_t k = 0; k < i; k++) {
            if (str_equal(facts->row[table->first + k].id, row->id))
                return barista_fault(fault, "facts/%.*s.csv:%zu:1: id \"%.*s\" stands twice",
                                     STR_ARG(table->name), i + 2, STR_ARG(row->id));
        }
        enum err err = row->id.len == 0 ? ERR_INPUT
                                        : barista_row_text(table->text, cell_value, &of,
                                                           &facts->arena, &row->text);
        if (err == ERR_INPUT || err == ERR_FULL)
            return barista_fault(fault,
                                 "facts/%.*s.csv:%zu:1: the row lacks what tables.csv shows of it, "
                                 "or is too long",
                                 STR_ARG(table->name), i + 2);
        if (err != ERR_OK)
            return err;
        facts->row_table[table->first + i] = (uint16_t)index;
    }
    return ERR_OK;
}

static enum err tables_read(const char *dir, struct barista_facts *facts, struct lm_fault *fault)
{
    struct barista_csv list;
    enum err err = barista_csv_read(dir, "tables.csv", &facts->arena, fault, &list);
    if (err != ERR_OK)
        return err;
    size_t name = barista_csv_column(&list, STR("table"));
    size_t text = barista_csv_column(&list, STR("text"));
    size_t heavy = barista_csv_column(&list, STR("heavy"));
    if (list.rows > BARISTA_TABLES_MAX || name == list.columns || text == list.columns ||
        heavy == list.columns)
        return barista_fault(fault, "tables.csv:1:1: at most 16 rows of table, text, heavy");
    for (size_t i = 0; i < list.rows; i++) {
        struct barista_table *table = &facts->table[i];
        char file[64];
        table->name = barista_csv_at(&list, i, name);
        table->text = barista_csv_at(&list, i, text);
        table->heavy = barista_csv_at(&list, i, heavy);
        if (!id_valid(table->name) || table->name.len > 40)
            return barista_fault(fault, "tables.csv:%zu:1: not a table's name", i + 2);
        (void)snprintf(file, sizeof(file), "facts/%.*s.csv", STR_ARG(table->name));
        err = barista_csv_read(dir, file, &facts->arena, fault, &table->csv);
        if (err != ERR_OK)
            return err;
        table->first = facts->row_count;
        facts->row_count += table->csv.rows;
    }
    facts->table_count = list.rows;
    return ERR_OK;
}

static int synonym_order(const void *a, const void *b)
{
    struct str left = ((const struct barista_synonym *)a)->word;
    struct str right = ((const struct barista_synonym *)b)->word;
    size_t len = left.len < right.len ? left.len : right.len;
    int order = len > 0 ? memcmp(left.at, right.at, len) : 0;
    return order != 0 ? order : (left.len > right.len) - (left.len < right.len);
}

static enum err synonyms_read(const char *dir, struct barista_facts *facts, struct lm_fault *fault)
{
    struct barista_csv csv;
    enum err err = barista_csv_read(dir, "synonyms.csv", &facts->arena, fault, &csv);
    if (err != ERR_OK)
        return err;
    facts->synonym = arena_alloc(&facts->arena, sizeof(*facts->synonym) * (csv.rows + 1));
    if (facts->synonym == NULL)
        return ERR_NOMEM;
    if (csv.columns != 2)
        return barista_fault(fault, "synonyms.csv:1:1: two columns are needed: word, means");
    for (size_t i = 0; i < csv.rows; i++) {
        struct barista_word word;
        size_t at = 0;
        if (!barista_word_next(barista_csv_at(&csv, i, 0), &at, &word))
            return barista_fault(fault, "synonyms.csv:%zu:1: no word", i + 2);
        char *copy = arena_strdup(&facts->arena, (struct str){word.at, word.len});
        if (copy == NULL)
            return ERR_NOMEM;
        facts->synonym[facts->synonym_count++] =
            (struct barista_synonym){{copy, word.len}, barista_csv_at(&csv, i, 1)};
    }
    qsort(facts->synonym, facts->synonym_count, sizeof(*facts->synonym), synonym_order);
    return ERR_OK;
}

struct str barista_synonym_find(const struct barista_facts *facts, struct str word, bool *ret_found)
{
    struct barista_synonym key = {word, STR_NONE};
    const struct barista_synonym *found =
        facts->synonym_count == 0
            ? NULL
            : bsearch(&key, facts->synonym, facts->synonym_count, sizeof(key), synonym_order);
    *ret_found = found != NULL;
    return found != NULL ? found->means : STR_NONE;
}

static enum err facts_fill(const char *dir, struct barista_facts *facts, struct lm_fault *fault)
{
    enum err err = tables_read(dir, facts, fault);
    if (err != ERR_OK)
        return err;
    facts->row = arena_alloc(&facts->arena, sizeof(*facts->row) * (facts->row_count + 1));
    facts->row_table = arena_alloc(&facts->arena, sizeof(uint16_t) * (facts->row_count + 1));
    facts->row_words = arena_alloc(&facts->arena, sizeof(float) * (facts->row_count + 1));
    if (facts->row == NULL || facts->row_table == NULL || facts->row_words == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < facts->table_count && err == ERR_OK; i++)
        err = table_rows(facts, i, fault);
    if (err == ERR_OK)
        err = synonyms_read(dir, facts, fault);
    if (err == ERR_OK)
        err = barista_classes_load(dir, facts, fault);
    return err == ERR_OK ? barista_index_build(facts) : err;
}

enum err barista_facts_load(const char *corpus_dir, struct lm_fault *fault,
                            struct barista_facts **ret_facts)
{
    struct barista_facts *facts = mem_zalloc(sizeof(*facts));
    if (facts == NULL)
        return ERR_NOMEM;
    arena_init(&facts->arena, FACTS_BYTES_MAX);
    enum err err = facts_fill(corpus_dir, facts, fault);
    if (err != ERR_OK) {
        barista_facts_destroy(facts);
        return err;
    }
    *ret_facts = facts;
    return ERR_OK;
}

void barista_facts_destroy(struct barista_facts *facts)
{
    if (facts == NULL)
        return;
    arena_finish(&facts->arena);
    mem_free(facts);
}

size_t barista_facts_count(const struct barista_facts *facts)
{
    return facts->row_count;
}
