/* Dialogues about any row of a table, asked about by its cells. */
#include "barista/corpus_int.h"

struct cells {
    const struct barista_csv *csv;
    struct str value[BARISTA_CSV_COLUMNS_MAX];
    struct str price;
};

static struct str cells_value(void *cookie, struct str column)
{
    const struct cells *cells = cookie;
    size_t at = barista_csv_column(cells->csv, column);
    if (str_equal(column, STR("price")))
        return cells->price;
    return at < cells->csv->columns ? cells->value[at] : STR_NONE;
}

/* The row itself, or one with a new name and each other cell from any row of its table (numbers
 * changed too), so that the cells must be read. */
static enum err cells_read(struct maker *maker, const struct barista_table *table, size_t row,
                           bool changed, struct cells *cells)
{
    uint64_t minor = 0;
    *cells = (struct cells){.csv = &table->csv};
    for (size_t i = 0; i < table->csv.columns; i++) {
        struct str column = table->csv.name[i];
        bool fixed = !changed || str_equal(column, STR("system")) || str_equal(column, STR("cup"));
        size_t from = fixed ? row : maker_below(maker, (uint32_t)table->csv.rows);
        cells->value[i] = barista_csv_at(&table->csv, from, i);
        if (changed && str_equal(column, STR("name"))) {
            enum err err = good_name(maker, &cells->value[i]);
            if (err != ERR_OK)
                return err;
        } else if (changed && !fixed) {
            cells->value[i] = make_numbers_change(maker, cells->value[i]);
        }
        if (str_equal(column, STR("price_minor")) && str_to_u64(cells->value[i], &minor) != ERR_OK)
            return ERR_INPUT;
    }
    cells->price = barista_price(maker->scratch, minor, STR("EUR"));
    return cells->price.at == NULL ? ERR_NOMEM : ERR_OK;
}

static void cells_bind(struct maker *maker, const struct cells *cells)
{
    static const char *const columns[] = {"name", "system", "cup", "ml", "tank", "milk", "price"};
    for (size_t i = 0; i < ARRAY_COUNT(columns); i++) {
        struct str value = cells_value((void *)(uintptr_t)cells, str_from(columns[i]));
        if (value.at != NULL)
            maker_bind(maker, columns[i], value);
    }
}

enum err make_row(struct maker *maker, const struct phrases_block *block)
{
    const struct barista_table *table = make_block_table(maker, block);
    struct make_lines lines = {.count = 0};
    struct cells cells;
    struct str ask, answer, line;
    bool changed = maker_chance(maker, 0.6);
    if (table == NULL || table->csv.rows == 0)
        return ERR_INPUT;
    size_t row = maker_below(maker, (uint32_t)table->csv.rows);
    enum err err = cells_read(maker, table, row, changed, &cells);
    if (err == ERR_OK)
        err = barista_row_text(table->text, cells_value, &cells, maker->scratch, &line);
    if (err != ERR_OK)
        return err;
    cells_bind(maker, &cells);
    err = maker_ask(maker, block, PHRASES_ASK, STR_NONE, &ask);
    if (err == ERR_OK)
        err = maker_say(maker, block, &answer);
    if (err == ERR_OK)
        err = maker_slots(maker, block);
    if (err != ERR_OK)
        return err;
    if (changed) {
        lines.row[lines.count++] = (struct barista_row){table->name, line, line, 1};
        make_noise_rows(maker, &lines);
        make_lines_shuffle(maker, &lines);
    } else {
        lines.count = maker_retrieve(maker, ask, lines.row);
        if (!make_lines_have(&lines, line))
            return ERR_AGAIN;
    }
    return maker_exchange(maker, lines.row, lines.count, ask, answer, false);
}
