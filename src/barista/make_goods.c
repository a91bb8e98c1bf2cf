/* Dialogues about capsules: one, or two; and what no row says. */
#include "barista/corpus_int.h"

#include <string.h>

#define REAL_SHARE    0.35 /* of dialogues whose rows the real retrieval chooses */
#define CHANGED_SHARE 0.15 /* real names with other values */
#define MORE_SHARE    0.35 /* of dialogues that go on */

void make_bind_good(struct maker *maker, const struct good *good)
{
    maker_bind(maker, "name", good->name);
    maker_bind(maker, "system", good->system);
    maker_bind(maker, "cup", good->cup);
    maker_bind(maker, "notes", good->notes);
    maker_bind(maker, "note1", good->note[0]);
    maker_bind(maker, "note2", good->note[1]);
    maker_bind(maker, "roast", good->roast);
    maker_bind(maker, "origin", good->origin);
    maker_bind(maker, "decaf", good->decaf);
    maker_bind(maker, "price", good->price);
    maker_bind_number(maker, "ml", good->ml);
    maker_bind_number(maker, "intensity", good->intensity);
}

/* ---- the shelf: what the prompt's rows show ---- */

static struct barista_row good_row(const struct good *good)
{
    return (struct barista_row){STR("capsules"), good->name, good->line, 1};
}

enum err make_shelf_exchange(struct maker *maker, const struct make_shelf *shelf, struct str ask,
                             struct str answer)
{
    struct barista_row rows[BARISTA_ROWS_MAX];
    size_t count = 0;
    if (shelf->real)
        count = maker_retrieve(maker, ask, rows);
    else
        for (; count < shelf->count; count++)
            rows[count] = good_row(&shelf->good[count]);
    return maker_exchange(maker, rows, count, ask, answer, false);
}

static bool named(const struct make_shelf *shelf, struct str name)
{
    for (size_t i = 0; i < shelf->count; i++) {
        if (str_equal_nocase(shelf->good[i].name, name))
            return true;
    }
    return false;
}

static enum err shelf_add(struct maker *maker, struct make_shelf *shelf)
{
    struct good good;
    for (int tries = 0; tries < 20; tries++) {
        enum err err = good_invent(maker, &good);
        if (err != ERR_OK)
            return err;
        if (!named(shelf, good.name)) {
            shelf->good[shelf->count++] = good;
            return ERR_OK;
        }
    }
    return ERR_AGAIN;
}

/* The pair of product and question is held out as a whole. */
static bool pair_fits(const struct maker *maker, const struct phrases_block *block, struct str name)
{
    enum barista_split split = good_split(name);
    char pair[96];
    struct text text;
    if (split != BARISTA_TRAIN)
        return split == maker->corpus->split;
    text_init(&text, pair, sizeof(pair));
    text_add(&text, name);
    text_add(&text, STR("/"));
    text_add(&text, block->name);
    return good_split((struct str){pair, text.len}) == maker->corpus->split;
}

/* A product of the real catalogue that this split may be asked about. */
static enum err real_good(struct maker *maker, const struct phrases_block *block,
                          struct good *ret_good)
{
    const struct barista_table *table = barista_table_find(maker->corpus->facts, STR("capsules"));
    for (int tries = 0; tries < 200 && table != NULL && table->csv.rows > 0; tries++) {
        size_t row = table->first + maker_below(maker, (uint32_t)table->csv.rows);
        if (good_read(maker, row, ret_good) && pair_fits(maker, block, ret_good->name))
            return ERR_OK;
    }
    return ERR_AGAIN;
}

void make_shelf_shuffle(struct maker *maker, struct make_shelf *shelf)
{
    for (size_t i = shelf->count; i > 1; i--) {
        size_t k = maker_below(maker, (uint32_t)i);
        struct good swap = shelf->good[i - 1];
        shelf->good[i - 1] = shelf->good[k];
        shelf->good[k] = swap;
    }
}

/* `wanted` goods to speak of, put first; and others beside them. */
enum err make_shelf_fill(struct maker *maker, const struct phrases_block *block, size_t wanted,
                         size_t others, struct make_shelf *shelf)
{
    double dice = rng_unit(maker->rng);
    enum err err = ERR_OK;
    shelf->count = 0;
    shelf->real = dice < REAL_SHARE;
    for (size_t i = 0; i < wanted && err == ERR_OK; i++) {
        if (!shelf->real && (dice > REAL_SHARE + CHANGED_SHARE || i > 0)) {
            err = shelf_add(maker, shelf);
            continue;
        }
        struct good good;
        err = real_good(maker, block, &good);
        if (err == ERR_OK && !shelf->real)
            err = good_change(maker, &good);
        if (err == ERR_OK && named(shelf, good.name))
            err = ERR_AGAIN;
        if (err == ERR_OK)
            shelf->good[shelf->count++] = good;
    }
    for (size_t i = 0; i < others && !shelf->real && err == ERR_OK; i++)
        err = shelf_add(maker, shelf);
    return err;
}

bool make_row_shows(const struct maker *maker, struct str line)
{
    for (size_t i = 0; i < maker->dialogue->turn_count; i++) {
        const struct barista_turn *turn = &maker->dialogue->turns[i];
        for (size_t k = 0; turn->role == BARISTA_FACTS && k + line.len <= turn->text.len; k++) {
            if (memcmp(turn->text.at + k, line.at, line.len) == 0)
                return true;
        }
    }
    return false;
}

/* ---- more questions about the one that was spoken of ---- */

enum err make_more(struct maker *maker, const struct make_shelf *shelf, const struct good *good)
{
    const struct phrases *phrases = maker->corpus->phrases;
    struct str ask, answer;
    while (maker_chance(maker, MORE_SHARE) && maker->message_count + 2 <= MAKER_MESSAGES_MAX) {
        const struct phrases_block *block =
            &phrases->block[maker_below(maker, (uint32_t)phrases->block_count)];
        if (!str_equal(block->kind, STR("product")) ||
            maker_line(maker, block, PHRASES_MORE, STR_NONE) == NULL)
            continue;
        if (good->row != SIZE_MAX && !pair_fits(maker, block, good->name))
            continue;
        make_bind_good(maker, good);
        maker->dialogue->label.refuses = false;
        enum err err = maker_ask(maker, block, PHRASES_MORE, STR_NONE, &ask);
        if (err == ERR_OK)
            err = maker_say(maker, block, &answer);
        if (err == ERR_OK)
            err = maker_slots(maker, block);
        if (err == ERR_OK)
            err = make_shelf_exchange(maker, shelf, ask, answer);
        if (err == ERR_OK && !make_row_shows(maker, good->line))
            err = ERR_AGAIN;
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static enum err make_product(struct maker *maker, const struct phrases_block *block)
{
    struct make_shelf shelf;
    struct str ask, answer;
    enum err err = make_shelf_fill(maker, block, 1, maker_below(maker, 4), &shelf);
    if (err != ERR_OK)
        return err;
    struct good good = shelf.good[0];
    make_shelf_shuffle(maker, &shelf);
    make_bind_good(maker, &good);
    err = maker_ask(maker, block, PHRASES_ASK, STR_NONE, &ask);
    if (err == ERR_OK)
        err = maker_say(maker, block, &answer);
    if (err == ERR_OK)
        err = maker_slots(maker, block);
    if (err == ERR_OK)
        err = make_shelf_exchange(maker, &shelf, ask, answer);
    if (err == ERR_OK && !make_row_shows(maker, good.line))
        err = ERR_AGAIN; /* retrieval missed it: no answer could be supported */
    return err == ERR_OK ? make_more(maker, &shelf, &good) : err;
}

/* ---- two ---- */

static uint32_t measure(const struct good *good, struct str by)
{
    return str_equal(by, STR("price"))       ? good->price_minor
           : str_equal(by, STR("intensity")) ? good->intensity
                                             : good->ml;
}

static enum err make_compare(struct maker *maker, const struct phrases_block *block)
{
    struct make_shelf shelf;
    struct str ask, answer;
    enum err err = make_shelf_fill(maker, block, 2, maker_below(maker, 2), &shelf);
    if (err != ERR_OK)
        return err;
    struct good a = shelf.good[0], b = shelf.good[1];
    bool low = str_equal(block->op, STR("low"));
    uint32_t of_a = measure(&a, block->by), of_b = measure(&b, block->by);
    if (of_a == of_b)
        return ERR_AGAIN;
    const struct good *winner = (of_a > of_b) != low ? &a : &b;
    const struct good *other = winner == &a ? &b : &a;
    make_shelf_shuffle(maker, &shelf);
    make_bind_good(maker, winner);
    maker_bind(maker, "a", a.name);
    maker_bind(maker, "b", b.name);
    maker_bind(maker, "other", other->name);
    maker_bind(maker, "price2", other->price);
    maker_bind_number(maker, "intensity2", other->intensity);
    maker_bind_number(maker, "ml2", other->ml);
    err = maker_ask(maker, block, PHRASES_ASK, STR_NONE, &ask);
    if (err == ERR_OK)
        err = maker_say(maker, block, &answer);
    if (err == ERR_OK)
        err = maker_slots(maker, block);
    if (err == ERR_OK)
        err = make_shelf_exchange(maker, &shelf, ask, answer);
    if (err == ERR_OK && (!make_row_shows(maker, a.line) || !make_row_shows(maker, b.line)))
        err = ERR_AGAIN;
    return err == ERR_OK ? make_more(maker, &shelf, winner) : err;
}

/* ---- what no row says ---- */

/* A capsule is there, but not what was asked of it (caffeine, stock, ...). */
static enum err make_missing(struct maker *maker, const struct phrases_block *block)
{
    maker->dialogue->label.refuses = true;
    return make_product(maker, block);
}

/* A question about a name that no row has. */
static enum err make_unknown(struct maker *maker, const struct phrases_block *block)
{
    const struct phrases *phrases = maker->corpus->phrases;
    const struct phrases_block *other = NULL;
    struct make_shelf shelf;
    struct good good;
    struct str ask, answer;
    for (int tries = 0; tries < 100 && other == NULL; tries++) {
        other = &phrases->block[maker_below(maker, (uint32_t)phrases->block_count)];
        other = str_equal(other->kind, STR("product")) ? other : NULL;
    }
    enum err err = other == NULL ? ERR_AGAIN : good_invent(maker, &good);
    if (err != ERR_OK)
        return err;
    make_bind_good(maker, &good);
    err = maker_ask(maker, other, PHRASES_ASK, STR_NONE, &ask);
    if (err == ERR_OK)
        err = maker_say(maker, block, &answer);
    if (err == ERR_OK)
        err = make_shelf_fill(maker, block, 0, maker_below(maker, 4), &shelf);
    if (err == ERR_OK && (named(&shelf, good.name) || !barista_says(ask, good.name)))
        err = ERR_AGAIN;
    maker->dialogue->label.refuses = true;
    return err == ERR_OK ? make_shelf_exchange(maker, &shelf, ask, answer) : err;
}

enum err make_goods(struct maker *maker, const struct phrases_block *block)
{
    if (str_equal(block->kind, STR("compare")))
        return make_compare(maker, block);
    if (str_equal(block->kind, STR("missing")))
        return make_missing(maker, block);
    if (str_equal(block->kind, STR("unknown")))
        return make_unknown(maker, block);
    return make_product(maker, block);
}
