/* Recipes, small talk, what is outside the house's knowledge, classification, summaries. */
#include "barista/corpus_int.h"
#include "machine/espresso/espresso.h"

#include <string.h>

#define TEMPERATURE_STEP_MC 2000
#define VOLUME_STEP_ML      10
#define SOAK_STEP_MS        300
#define CHANGED_SHARE       0.4
#define AGAIN_SHARE         0.6

/* ---- recipes ---- */

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

static bool line_says(const struct phrases_line *line, const char *mark)
{
    size_t len = strlen(mark);
    for (size_t i = 0; i + len <= line->text.len; i++) {
        if (memcmp(line->text.at + i, mark, len) == 0)
            return true;
    }
    return false;
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
    if (line_says(line, "{ml}"))
        recipe->volume_ml = 20 + 5 * maker_below(maker, 27);
    if (line_says(line, "{degrees}"))
        recipe->temperature_mc = 1000 * (80 + (int32_t)maker_below(maker, 17));
    if (line_says(line, "{soak}"))
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

/* ---- talk, and what is outside ---- */

enum err make_talk(struct maker *maker, const struct phrases_block *block)
{
    struct barista_row rows[BARISTA_ROWS_MAX];
    const struct barista_csv *names = &maker->corpus->names;
    struct str ask, answer;
    size_t count = 0;
    maker->dialogue->label.refuses = str_equal(block->kind, STR("outside"));
    maker_bind(maker, "place", barista_csv_at(names, maker_below(maker, 18), 4));
    maker_bind_number(maker, "number", 2 + maker_below(maker, 90));
    enum err err = maker_ask(maker, block, PHRASES_ASK, STR_NONE, &ask);
    const struct phrases_block *says = block;
    if (block->line_count[PHRASES_SAY] == 0)
        says = maker_block(maker, "outside");
    if (err == ERR_OK)
        err = says == NULL ? ERR_INPUT : maker_say(maker, says, &answer);
    if (err != ERR_OK)
        return err;
    count = maker_retrieve(maker, ask, rows);
    if (count == 0 && maker->dialogue->label.refuses && maker_chance(maker, 0.25)) {
        const struct barista_facts *facts = maker->corpus->facts;
        rows[0] = facts->row[maker_below(maker, (uint32_t)facts->row_count)];
        count = str_equal(rows[0].table, STR("capsules")) ? 0 : 1; /* held out ones stay unseen */
    }
    return maker_exchange(maker, rows, count, ask, answer, false);
}

/* ---- classes ---- */

static bool ask_has(const struct phrases_line *line, const char *slot)
{
    return line_says(line, slot);
}

static struct str coffee_type(struct str cup)
{
    static const struct {
        const char *cup, *label;
    } types[] = {
        {"espresso", "espresso"},
        {"double espresso", "espresso"},
        {"ristretto", "ristretto"},
        {"lungo", "lungo"},
        {"gran lungo", "lungo"},
        {"mug", "mug"},
        {"alto", "mug"},
        {"carafe", "mug"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        if (str_equal(cup, str_from(types[i].cup)))
            return str_from(types[i].label);
    }
    return STR("none");
}

/* "slow_flow" names the row "slow flow". */
static bool row_named(struct str given, struct str row)
{
    bool equal = given.len == row.len;
    for (size_t i = 0; i < row.len && equal; i++)
        equal = given.at[i] == row.at[i] || (given.at[i] == '_' && row.at[i] == ' ');
    return equal;
}

/* Labels that the block gives, then those that the words of the question give. */
static void classes_label(struct maker *maker, const struct phrases_block *block,
                          const struct phrases_line *line)
{
    const struct barista_facts *facts = maker->corpus->facts;
    struct str *label = maker->dialogue->label.classes;
    for (size_t i = 0; i < facts->facet_count; i++) {
        struct str name = facts->facet[i].name;
        label[i] = STR("none");
        for (size_t k = 0; k < block->class_count; k++) {
            struct str given = block->class_name[k];
            /* a pair named after a row of the table gives that row's problem */
            if (str_equal(given, name))
                label[i] = block->class_label[k];
            else if (row_named(given, line->row))
                label[i] = str_equal(name, STR("problem")) ? block->class_label[k] : label[i];
        }
        if (str_equal(name, STR("coffee_type")) && ask_has(line, "{cup}"))
            label[i] = coffee_type(maker_value(maker, STR("cup")));
        if (str_equal(name, STR("brewing_method")) && ask_has(line, "{system}"))
            label[i] = maker_value(maker, STR("system"));
        if (str_equal(name, STR("roast")) && ask_has(line, "{roast}"))
            label[i] = maker_value(maker, STR("roast"));
    }
}

static enum err classes_answer(struct maker *maker, struct str *ret_text)
{
    const struct barista_facts *facts = maker->corpus->facts;
    char *text = arena_strdup(maker->scratch, STR(""));
    for (size_t i = 0; i < facts->facet_count && text != NULL; i++)
        text = arena_printf(maker->scratch, "%s%s%.*s", text, i == 0 ? "" : ", ",
                            STR_ARG(maker->dialogue->label.classes[i]));
    *ret_text = str_from(text);
    return text == NULL ? ERR_NOMEM : ERR_OK;
}

/* Values for every slot that a question can have, of an invented catalogue. */
static enum err classes_bind(struct maker *maker)
{
    struct good a, b;
    enum err err = good_invent(maker, &a);
    if (err == ERR_OK)
        err = good_invent(maker, &b);
    if (err != ERR_OK)
        return err;
    maker_bind(maker, "name", a.name);
    maker_bind(maker, "a", a.name);
    maker_bind(maker, "b", b.name);
    maker_bind(maker, "cup", a.cup);
    maker_bind(maker, "system", a.system);
    maker_bind(maker, "roast", a.roast);
    maker_bind(maker, "note", a.note[0]);
    maker_bind(maker, "group", barista_csv_at(&maker->corpus->notes, maker_below(maker, 30), 1));
    maker_bind(maker, "budget", a.price);
    maker_bind(maker, "place", a.origin);
    maker_bind_number(maker, "ml", a.ml);
    maker_bind_number(maker, "degrees", 80 + maker_below(maker, 17));
    maker_bind_number(maker, "soak", 100 * maker_below(maker, 31));
    maker_bind_number(maker, "number", 2 + maker_below(maker, 90));
    return ERR_OK;
}

enum err make_classes(struct maker *maker)
{
    const struct phrases *phrases = maker->corpus->phrases;
    const struct phrases_block *block =
        &phrases->block[maker_below(maker, (uint32_t)phrases->block_count)];
    const struct phrases_line *line = maker_line(maker, block, PHRASES_ASK, STR_NONE);
    struct str text, answer;
    if (line == NULL || block->class_count == 0)
        return ERR_AGAIN;
    enum err err = classes_bind(maker);
    maker_bind(maker, "topic", line->row);
    if (err == ERR_OK)
        err = maker_fill(maker, line->text, &text);
    if (err == ERR_OK)
        err = maker_noise(maker, text, &text);
    if (err != ERR_OK)
        return err;
    char *id = arena_printf(maker->scratch, "%.*s/%u", STR_ARG(block->name), line->number);
    maker->dialogue->task = BARISTA_CLASSIFY;
    maker->dialogue->label.template_id = str_from(id);
    classes_label(maker, block, line);
    err = classes_answer(maker, &answer);
    maker->dialogue->turns[0] = (struct barista_turn){BARISTA_USER, text, false};
    maker->dialogue->turns[1] = (struct barista_turn){BARISTA_ASSISTANT, answer, false};
    maker->dialogue->turn_count = 2;
    return err;
}

/* ---- summaries ---- */

/* A longer text about one capsule or a few; its gist is the block's answer. */
enum err make_summary(struct maker *maker, const struct phrases_block *block)
{
    struct good good[3];
    char *text = arena_strdup(maker->scratch, STR(""));
    struct str part, answer;
    size_t count = 2 + maker_below(maker, 2);
    for (size_t i = 0; i < count; i++) {
        enum err err = good_invent(maker, &good[i]);
        if (err != ERR_OK)
            return err;
        maker_bind(maker, "name", good[i].name);
        maker_bind(maker, "notes", good[i].notes);
        maker_bind(maker, "roast", good[i].roast);
        maker_bind(maker, "origin", good[i].origin);
        maker_bind(maker, "cup", good[i].cup);
        maker_bind(maker, "price", good[i].price);
        maker_bind_number(maker, "intensity", good[i].intensity);
        err = maker_ask(maker, block, PHRASES_ASK, STR_NONE, &part);
        if (err != ERR_OK)
            return err;
        if (!barista_says(part, good[i].name)) /* a slip went into the name */
            return ERR_AGAIN;
        text = arena_printf(maker->scratch, "%s%s%.*s", text == NULL ? "" : text, i == 0 ? "" : " ",
                            STR_ARG(part));
    }
    const struct good *strong = &good[0], *mild = &good[0];
    for (size_t i = 1; i < count; i++) {
        if (good[i].intensity == strong->intensity || good[i].intensity == mild->intensity)
            return ERR_AGAIN;
        strong = good[i].intensity > strong->intensity ? &good[i] : strong;
        mild = good[i].intensity < mild->intensity ? &good[i] : mild;
    }
    maker_bind(maker, "strong", strong->name);
    maker_bind(maker, "mild", mild->name);
    maker_bind_number(maker, "most", strong->intensity);
    maker_bind_number(maker, "least", mild->intensity);
    maker_slot(maker, strong->name);
    maker_slot(maker, mild->name);
    enum err err = maker_say(maker, block, &answer);
    maker->dialogue->task = BARISTA_SUMMARIZE;
    maker->dialogue->turns[0] = (struct barista_turn){BARISTA_USER, str_from(text), false};
    maker->dialogue->turns[1] = (struct barista_turn){BARISTA_ASSISTANT, answer, false};
    maker->dialogue->turn_count = 2;
    return text == NULL ? ERR_NOMEM : err;
}
