/* Small talk, what is outside the house's knowledge, classification, summaries. */
#include "barista/corpus_int.h"

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
    return phrases_line_says(line, slot);
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
    struct good good[3] = {{.row = SIZE_MAX}};
    char *text = arena_strdup(maker->scratch, STR(""));
    struct str part, answer = STR("");
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
