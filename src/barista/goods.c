/* Capsules of the real catalogue, of a changed one and of invented ones.  Prices and notes must
 * come from the prompt, so in training they are rarely what they are in the cafe. */
#include "barista/corpus_int.h"

#include <string.h>

#define SPLIT_OF 12 /* one name in twelve is for test, one for valid */

enum barista_split good_split(struct str name)
{
    uint32_t nth = phrases_hash(name) % SPLIT_OF;
    return nth == 0 ? BARISTA_TEST : nth == 1 ? BARISTA_VALID : BARISTA_TRAIN;
}

static struct str good_value(void *cookie, struct str column)
{
    const struct good *good = cookie;
    const struct {
        const char *column;
        struct str value;
    } values[] = {
        {"name", good->name},   {"system", good->system}, {"cup", good->cup},
        {"notes", good->notes}, {"roast", good->roast},   {"origin", good->origin},
        {"decaf", good->decaf}, {"price", good->price},
    };
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        if (str_equal(column, str_from(values[i].column)))
            return values[i].value;
    }
    return STR_NONE;
}

struct good_numbers {
    const struct good *good;
    struct str ml, intensity;
};

static struct str good_cell(void *cookie, struct str column)
{
    struct good_numbers *numbers = cookie;
    struct good copy = *numbers->good;
    if (str_equal(column, STR("ml")))
        return numbers->ml;
    if (str_equal(column, STR("intensity")))
        return numbers->intensity;
    return good_value(&copy, column);
}

/* Price and row line out of the rest. */
static enum err good_finish(struct maker *maker, struct good *good)
{
    const struct barista_table *table = barista_table_find(maker->corpus->facts, STR("capsules"));
    struct good_numbers numbers = {.good = good};
    if (table == NULL)
        return ERR_INPUT;
    good->price = barista_price(maker->scratch, good->price_minor, good->currency);
    numbers.ml = str_from(arena_printf(maker->scratch, "%u", good->ml));
    numbers.intensity = str_from(arena_printf(maker->scratch, "%u", good->intensity));
    if (good->price.at == NULL || numbers.ml.at == NULL || numbers.intensity.at == NULL)
        return ERR_NOMEM;
    return barista_row_text(table->text, good_cell, &numbers, maker->scratch, &good->line);
}

/* "cocoa and toast" */
static void notes_split(struct good *good)
{
    struct str notes = good->notes;
    for (size_t i = 0; i + 5 <= notes.len; i++) {
        if (memcmp(notes.at + i, " and ", 5) == 0) {
            good->note[0] = str_slice(notes, 0, i);
            good->note[1] = str_slice(notes, i + 5, notes.len);
            return;
        }
    }
    good->note[0] = good->note[1] = notes;
}

static bool cell_number(const struct barista_table *table, size_t row, const char *column,
                        uint32_t *ret_value)
{
    uint64_t value;
    if (str_to_u64(barista_cell(table, row, column), &value) != ERR_OK || value > 1000000)
        return false;
    *ret_value = (uint32_t)value;
    return true;
}

bool good_read(struct maker *maker, size_t row, struct good *ret_good)
{
    const struct barista_facts *facts = maker->corpus->facts;
    const struct barista_table *table = barista_table_find(facts, STR("capsules"));
    if (table == NULL || row < table->first || row >= table->first + table->csv.rows)
        return false;
    size_t local = row - table->first;
    struct good good = {
        .name = barista_cell(table, local, "name"),
        .system = barista_cell(table, local, "system"),
        .cup = barista_cell(table, local, "cup"),
        .notes = barista_cell(table, local, "notes"),
        .roast = barista_cell(table, local, "roast"),
        .origin = barista_cell(table, local, "origin"),
        .decaf = barista_cell(table, local, "decaf"),
        .currency = barista_cell(table, local, "currency"),
        .line = facts->row[row].text,
        .row = row,
    };
    if (!cell_number(table, local, "ml", &good.ml) ||
        !cell_number(table, local, "intensity", &good.intensity) ||
        !cell_number(table, local, "price_minor", &good.price_minor))
        return false;
    good.price = barista_price(maker->scratch, good.price_minor, good.currency);
    notes_split(&good);
    *ret_good = good;
    return good.price.at != NULL;
}

/* A filled cell of a column of names.csv or notes.csv. */
static struct str any_cell(struct maker *maker, const struct barista_csv *csv, const char *column)
{
    size_t at = barista_csv_column(csv, str_from(column));
    for (int tries = 0; tries < 64; tries++) {
        struct str cell = barista_csv_at(csv, maker_below(maker, (uint32_t)csv->rows), at);
        if (cell.len > 0)
            return cell;
    }
    return STR("Nameless");
}

enum err good_name(struct maker *maker, struct str *ret_name)
{
    const struct barista_csv *names = &maker->corpus->names;
    for (int tries = 0; tries < 400; tries++) {
        bool words = maker_chance(maker, 0.6);
        struct str begin = any_cell(maker, names, words ? "first" : "start");
        struct str end = any_cell(maker, names, words ? "second" : "end");
        struct str middle = words                      ? STR(" ")
                            : maker_chance(maker, 0.4) ? any_cell(maker, names, "start")
                                                       : STR("");
        char *name = arena_printf(maker->scratch, "%.*s%.*s%.*s", STR_ARG(begin), STR_ARG(middle),
                                  STR_ARG(end));
        if (name != NULL && name[0] >= 'a')
            name[0] = (char)(name[0] - 'a' + 'A');
        if (name == NULL)
            return ERR_NOMEM;
        *ret_name = str_from(name);
        if (good_split(*ret_name) == maker->corpus->split)
            return ERR_OK;
    }
    return ERR_AGAIN;
}

static enum err good_draw(struct maker *maker, struct good *good)
{
    static const struct {
        const char *system, *cup;
        uint32_t ml;
    } cups[] = {
        {"original", "espresso", 40},  {"original", "espresso", 40},
        {"original", "ristretto", 25}, {"original", "lungo", 110},
        {"vertuo", "espresso", 40},    {"vertuo", "double espresso", 80},
        {"vertuo", "gran lungo", 150}, {"vertuo", "mug", 230},
        {"vertuo", "mug", 230},
    };
    static const char *const roasts[] = {"light", "medium", "dark"};
    uint32_t cup = maker_below(maker, ARRAY_COUNT(cups));
    good->system = str_from(cups[cup].system);
    good->cup = str_from(cups[cup].cup);
    good->ml = maker_chance(maker, 0.7) ? cups[cup].ml : 20 + 5 * maker_below(maker, 60);
    good->intensity = 1 + maker_below(maker, 13);
    good->price_minor =
        maker_chance(maker, 0.8) ? 30 + maker_below(maker, 70) : 100 + maker_below(maker, 200);
    good->roast = str_from(roasts[maker_below(maker, ARRAY_COUNT(roasts))]);
    good->origin = any_cell(maker, &maker->corpus->names, "origin");
    good->decaf = maker_chance(maker, 0.2) ? STR("decaf") : STR("regular");
    good->currency = STR("EUR");
    good->note[0] = any_cell(maker, &maker->corpus->notes, "note");
    do {
        good->note[1] = any_cell(maker, &maker->corpus->notes, "note");
    } while (str_equal(good->note[0], good->note[1]));
    good->notes = str_from(arena_printf(maker->scratch, "%.*s and %.*s", STR_ARG(good->note[0]),
                                        STR_ARG(good->note[1])));
    return good->notes.at == NULL ? ERR_NOMEM : good_finish(maker, good);
}

enum err good_change(struct maker *maker, struct good *good)
{
    good->row = SIZE_MAX;
    return good_draw(maker, good);
}

enum err good_invent(struct maker *maker, struct good *ret_good)
{
    *ret_good = (struct good){.row = SIZE_MAX};
    enum err err = good_name(maker, &ret_good->name);
    return err != ERR_OK ? err : good_draw(maker, ret_good);
}
