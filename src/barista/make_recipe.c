/* Dialogues about recipes: an order in words, then hotter, cooler, longer, shorter. */
#include "barista/corpus_int.h"
#include "machine/espresso/espresso.h"

#include <string.h>

#define TEMPERATURE_STEP_MC 2000
#define VOLUME_STEP_ML      10
#define SOAK_STEP_MS        300
#define CHANGED_SHARE       0.4
#define AGAIN_SHARE         0.6

/* Variants and usual volumes of the system, as rows; changed ones now and then. */
struct cups {
    struct barista_row row[BARISTA_ROWS_MAX];
    struct str cup[BARISTA_ROWS_MAX], variant[BARISTA_ROWS_MAX];
    uint32_t ml[BARISTA_ROWS_MAX];
    size_t count;
};

struct cup_cells {
    const struct barista_table *table;
    size_t row;
    struct str ml;
};

static struct str cup_value(void *cookie, struct str column)
{
    const struct cup_cells *cells = cookie;
    if (str_equal(column, STR("ml")))
        return cells->ml;
    return barista_csv_at(&cells->table->csv, cells->row,
                          barista_csv_column(&cells->table->csv, column));
}

static enum err cups_read(struct maker *maker, struct str system, bool changed, struct cups *cups)
{
    const struct barista_table *table = barista_table_find(maker->corpus->facts, STR("volumes"));
    enum err err = table == NULL ? ERR_INPUT : ERR_OK;
    for (size_t row = 0; err == ERR_OK && row < table->csv.rows; row++) {
        uint64_t ml;
        if (!str_equal(barista_cell(table, row, "system"), system))
            continue;
        if (str_to_u64(barista_cell(table, row, "ml"), &ml) != ERR_OK || ml > 1000 ||
            cups->count == BARISTA_ROWS_MAX)
            return ERR_INPUT;
        struct barista_row *line = &cups->row[cups->count];
        *line = maker->corpus->facts->row[table->first + row];
        if (changed) {
            ml = 40 + 10 * maker_below(maker, 10); /* inside the limits of both systems */
            struct cup_cells cells = {
                table, row, str_from(arena_printf(maker->scratch, "%llu", (unsigned long long)ml))};
            err = barista_row_text(table->text, cup_value, &cells, maker->scratch, &line->text);
        }
        cups->cup[cups->count] = barista_cell(table, row, "cup");
        cups->variant[cups->count] = barista_cell(table, row, "variant");
        cups->ml[cups->count++] = (uint32_t)ml;
    }
    return err == ERR_OK && cups->count == 0 ? ERR_INPUT : err;
}

static enum err recipe_answer(struct maker *maker, const struct espresso_recipe *recipe,
                              struct str *ret_text)
{
    struct buf buf;
    struct lm_fault fault;
    buf_init(&buf, 1024);
    enum err err = barista_recipe_text(recipe, &buf);
    char *copy = err == ERR_OK ? arena_strdup(maker->scratch, buf_str(&buf)) : NULL;
    *ret_text = (struct str){copy, buf.len};
    buf_finish(&buf);
    if (err == ERR_OK && copy == NULL)
        err = ERR_NOMEM;
    /* Past a limit: this draw was not to be. */
    return err == ERR_OK && barista_recipe_check(*ret_text, &fault) != ERR_OK ? ERR_AGAIN : err;
}

/* Every value of the recipe must be in the answer. */
static enum err recipe_slots(struct maker *maker, const struct espresso_recipe *recipe)
{
    struct arena *arena = maker->scratch;
    char *slot[] = {
        arena_printf(arena, "\"capsule_variant\":\"%s\"", recipe->capsule_variant),
        arena_printf(arena, "\"volume_ml\":%u", recipe->volume_ml),
        arena_printf(arena, "\"temperature_c\":%d", (int)(recipe->temperature_mc / 1000)),
        arena_printf(arena, "\"pre_infusion_ms\":%u", recipe->pre_infusion_ms),
    };
    maker->dialogue->label.slot_count = 0;
    maker->dialogue->label.recipe = true;
    for (size_t i = 0; i < ARRAY_COUNT(slot); i++) {
        if (slot[i] == NULL)
            return ERR_NOMEM;
        maker_slot(maker, str_from(slot[i]));
    }
    return ERR_OK;
}

static void recipe_change(struct str op, struct espresso_recipe *recipe)
{
    if (str_equal(op, STR("hotter")))
        recipe->temperature_mc += TEMPERATURE_STEP_MC;
    else if (str_equal(op, STR("cooler")))
        recipe->temperature_mc -= TEMPERATURE_STEP_MC;
    else if (str_equal(op, STR("longer")))
        recipe->volume_ml += VOLUME_STEP_ML;
    else if (str_equal(op, STR("shorter")))
        recipe->volume_ml -= VOLUME_STEP_ML;
    else
        recipe->pre_infusion_ms += SOAK_STEP_MS;
}

static enum err recipe_again(struct maker *maker, struct espresso_recipe *recipe)
{
    const struct phrases *phrases = maker->corpus->phrases;
    struct barista_row rows[BARISTA_ROWS_MAX];
    struct str ask, answer;
    const struct phrases_block *block = NULL;
    for (int tries = 0; tries < 100 && block == NULL; tries++) {
        block = &phrases->block[maker_below(maker, (uint32_t)phrases->block_count)];
        block = str_equal(block->kind, STR("adjust")) ? block : NULL;
    }
    if (block == NULL)
        return ERR_AGAIN;
    recipe_change(block->op, recipe);
    enum err err = maker_ask(maker, block, PHRASES_MORE, STR_NONE, &ask);
    if (err == ERR_OK)
        err = recipe_answer(maker, recipe, &answer);
    if (err == ERR_OK)
        err = recipe_slots(maker, recipe);
    size_t count = err == ERR_OK ? maker_retrieve(maker, ask, rows) : 0;
    return err == ERR_OK ? maker_exchange(maker, rows, count, ask, answer, true) : err;
}

/* What the question does not say is the cup's usual volume and the form's own numbers. */
static enum err recipe_first(struct maker *maker, const struct phrases_block *block,
                             const struct cups *cups, size_t nth, struct espresso_recipe *recipe,
                             struct str *ret_ask)
{
    const struct phrases_line *line = maker_line(maker, block, PHRASES_ASK, STR_NONE);
    struct str text;
    if (line == NULL)
        return ERR_AGAIN;
    *recipe = espresso_recipe_preset();
    enum err err = espresso_capsule_type_from(maker->system, &recipe->capsule_type);
    if (err == ERR_OK)
        err =
            str_copy(recipe->capsule_variant, sizeof(recipe->capsule_variant), cups->variant[nth]);
    recipe->volume_ml = cups->ml[nth];
    if (phrases_line_says(line, "{ml}"))
        recipe->volume_ml = 20 + 5 * maker_below(maker, 27);
    if (phrases_line_says(line, "{degrees}"))
        recipe->temperature_mc = 1000 * (80 + (int32_t)maker_below(maker, 17));
    if (phrases_line_says(line, "{soak}"))
        recipe->pre_infusion_ms = 100 * maker_below(maker, 31);
    maker_bind(maker, "cup", cups->cup[nth]);
    maker_bind_number(maker, "ml", recipe->volume_ml);
    maker_bind_number(maker, "degrees", (uint64_t)(recipe->temperature_mc / 1000));
    maker_bind_number(maker, "soak", recipe->pre_infusion_ms);
    if (err == ERR_OK)
        err = maker_fill(maker, line->text, &text);
    char *id = arena_printf(maker->scratch, "%.*s/%u", STR_ARG(block->name), line->number);
    maker->dialogue->label.template_id = str_from(id);
    return err == ERR_OK ? maker_noise(maker, text, ret_ask) : err;
}

enum err make_recipe(struct maker *maker, const struct phrases_block *block)
{
    struct espresso_recipe recipe;
    struct cups cups = {.count = 0};
    struct str ask, answer;
    bool changed = maker_chance(maker, CHANGED_SHARE);
    if (maker->system.len == 0)
        return ERR_AGAIN; /* a recipe is for the machine that stands there */
    enum err err = cups_read(maker, maker->system, changed, &cups);
    if (err != ERR_OK)
        return err;
    size_t nth = maker_below(maker, (uint32_t)cups.count);
    err = recipe_first(maker, block, &cups, nth, &recipe, &ask);
    if (err == ERR_OK)
        err = recipe_answer(maker, &recipe, &answer);
    if (err == ERR_OK)
        err = recipe_slots(maker, &recipe);
    if (err != ERR_OK)
        return err;
    if (!changed) {
        struct str line = cups.row[nth].text;
        bool found = false;
        cups.count = maker_retrieve(maker, ask, cups.row);
        for (size_t i = 0; i < cups.count; i++)
            found = found || str_equal(cups.row[i].text, line);
        if (!found)
            return ERR_AGAIN;
    }
    err = maker_exchange(maker, cups.row, cups.count, ask, answer, true);
    while (err == ERR_OK && maker->message_count + 2 <= 6 && maker_chance(maker, AGAIN_SHARE))
        err = recipe_again(maker, &recipe);
    return err;
}
