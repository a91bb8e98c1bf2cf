/* Dialogues in which a capsule is wished for: the first row that meets all wishes. */
#include "barista/corpus_int.h"

#define BUDGETS 14

struct wish {
    struct str group, note, cup, roast, system;
    uint32_t budget_minor;
    bool strong, mild, decaf, evening, milk;
};

static struct str group_of(const struct maker *maker, struct str note)
{
    const struct barista_csv *notes = &maker->corpus->notes;
    for (size_t i = 0; i < notes->rows; i++) {
        if (str_equal(barista_csv_at(notes, i, 0), note))
            return barista_csv_at(notes, i, 1);
    }
    return STR_NONE;
}

static bool fits(const struct maker *maker, const struct wish *wish, const struct good *good)
{
    if (wish->system.len > 0 && !str_equal(good->system, wish->system))
        return false;
    if (wish->group.len > 0 && !str_equal(group_of(maker, good->note[0]), wish->group) &&
        !str_equal(group_of(maker, good->note[1]), wish->group))
        return false;
    if (wish->note.len > 0 && !str_equal(good->note[0], wish->note) &&
        !str_equal(good->note[1], wish->note))
        return false;
    if ((wish->cup.len > 0 && !str_equal(good->cup, wish->cup)) ||
        (wish->roast.len > 0 && !str_equal(good->roast, wish->roast)))
        return false;
    if ((wish->strong || wish->milk) && good->intensity < 9)
        return false;
    if (wish->mild && good->intensity > 5)
        return false;
    if ((wish->decaf || wish->evening) && !str_equal(good->decaf, STR("decaf")))
        return false;
    return wish->budget_minor == 0 || good->price_minor < wish->budget_minor;
}

/* Wishes that `like` would meet; all of them are bound for the question. */
static enum err wish_read(struct maker *maker, const struct phrases_block *block,
                          const struct good *like, struct wish *wish)
{
    struct str note = like->note[maker_below(maker, 2)];
    for (size_t i = 0; i < block->want_count; i++) {
        struct str want = block->want[i];
        if (str_equal(want, STR("group"))) {
            wish->group = group_of(maker, note);
            if (wish->group.len == 0)
                return ERR_INPUT;
            maker_bind(maker, "group", wish->group);
        } else if (str_equal(want, STR("note"))) {
            maker_bind(maker, "note", wish->note = note);
        } else if (str_equal(want, STR("cup"))) {
            maker_bind(maker, "cup", wish->cup = like->cup);
        } else if (str_equal(want, STR("roast"))) {
            maker_bind(maker, "roast", wish->roast = like->roast);
        } else if (str_equal(want, STR("system"))) {
            maker_bind(maker, "system", wish->system = like->system);
        } else if (str_equal(want, STR("budget"))) {
            wish->budget_minor = like->price_minor + 1 + maker_below(maker, BUDGETS);
            wish->budget_minor += 5 - wish->budget_minor % 5;
            maker_bind(maker, "budget",
                       barista_price(maker->scratch, wish->budget_minor, like->currency));
        } else {
            bool *flag = str_equal(want, STR("strong"))    ? &wish->strong
                         : str_equal(want, STR("mild"))    ? &wish->mild
                         : str_equal(want, STR("decaf"))   ? &wish->decaf
                         : str_equal(want, STR("evening")) ? &wish->evening
                         : str_equal(want, STR("milk"))    ? &wish->milk
                                                           : NULL;
            if (flag == NULL)
                return ERR_INPUT;
            *flag = true;
        }
    }
    return ERR_OK;
}

/* The rows that would be retrieved, as goods; rows of other tables are not on the shelf. */
static void shelf_retrieve(struct maker *maker, struct str ask, struct make_shelf *shelf)
{
    struct barista_row rows[BARISTA_ROWS_MAX];
    size_t count = maker_retrieve(maker, ask, rows);
    shelf->count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct barista_facts *facts = maker->corpus->facts;
        for (size_t row = 0; row < facts->row_count; row++) {
            if (facts->row[row].text.at == rows[i].text.at &&
                good_read(maker, row, &shelf->good[shelf->count]))
                shelf->count++;
        }
    }
}

static enum err answer_pick(struct maker *maker, const struct phrases_block *block,
                            const struct make_shelf *shelf, const struct good *found,
                            struct str ask)
{
    struct str answer;
    if (found == NULL) {
        const struct phrases_block *nothing = maker_block(maker, "nothing");
        maker->dialogue->label.refuses = true;
        enum err err = nothing == NULL ? ERR_INPUT : maker_say(maker, nothing, &answer);
        return err != ERR_OK ? err : make_shelf_exchange(maker, shelf, ask, answer);
    }
    make_bind_good(maker, found);
    enum err err = maker_say(maker, block, &answer);
    if (err == ERR_OK)
        err = maker_slots(maker, block);
    if (err == ERR_OK)
        err = make_shelf_exchange(maker, shelf, ask, answer);
    if (err == ERR_OK && !make_row_shows(maker, found->line))
        err = ERR_AGAIN;
    return err == ERR_OK ? make_more(maker, shelf, found) : err;
}

enum err make_pick(struct maker *maker, const struct phrases_block *block)
{
    struct make_shelf shelf;
    struct wish wish = {.system = maker->system};
    struct str ask;
    enum err err = make_shelf_fill(maker, block, 1, 1 + maker_below(maker, 4), &shelf);
    if (err != ERR_OK)
        return err;
    struct good like = shelf.good[0];
    err = wish_read(maker, block, &like, &wish);
    if (err == ERR_OK)
        err = maker_ask(maker, block, PHRASES_ASK, STR_NONE, &ask);
    if (err != ERR_OK)
        return err;
    if (shelf.real)
        shelf_retrieve(maker, ask, &shelf);
    else
        make_shelf_shuffle(maker, &shelf);
    const struct good *found = NULL; /* the first that fits: the nearest to the question */
    for (size_t i = 0; i < shelf.count && found == NULL; i++)
        found = fits(maker, &wish, &shelf.good[i]) ? &shelf.good[i] : NULL;
    if (found == NULL && !maker_chance(maker, 0.3))
        return ERR_AGAIN;
    return answer_pick(maker, block, &shelf, found, ask);
}
