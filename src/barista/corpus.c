/* Dialogues without end from a seed. */
#include "barista/corpus_int.h"

#include <string.h>

#define CORPUS_BYTES_MAX (4 * MIB)
#define CLASSES_SHARE    0.08
#define MACHINE_SHARE    0.6 /* of dialogues in which a machine stands there */
#define TRIES_MAX        400

/* ---- turns ---- */

static bool turn_add(struct maker *maker, enum barista_role role, struct str text, bool recipe)
{
    struct barista_dialogue *dialogue = maker->dialogue;
    if (dialogue->turn_count == ARRAY_COUNT(dialogue->turns))
        return false;
    dialogue->turns[dialogue->turn_count++] = (struct barista_turn){role, text, recipe};
    return true;
}

enum err maker_exchange(struct maker *maker, const struct barista_row *rows, size_t row_count,
                        struct str ask, struct str answer, bool recipe)
{
    struct barista_dialogue *dialogue = maker->dialogue;
    struct str facts =
        barista_facts_turn(dialogue->turns, dialogue->turn_count, rows, row_count, maker->scratch);
    if (facts.at == NULL)
        return ERR_NOMEM;
    if (maker->message_count + 2 > MAKER_MESSAGES_MAX)
        return ERR_AGAIN;
    maker->message[maker->message_count++] = (struct barista_turn){BARISTA_USER, ask, false};
    maker->message[maker->message_count++] =
        (struct barista_turn){BARISTA_ASSISTANT, answer, recipe};
    bool added = (facts.len == 0 || turn_add(maker, BARISTA_FACTS, facts, false)) &&
                 turn_add(maker, BARISTA_USER, ask, false) &&
                 turn_add(maker, BARISTA_ASSISTANT, answer, recipe);
    return added ? ERR_OK : ERR_AGAIN;
}

static bool row_allowed(const struct maker *maker, const struct barista_row *row)
{
    if (!str_equal(row->table, STR("capsules")))
        return true;
    struct str name = str_slice(row->text, 0, str_find(row->text, ':'));
    enum barista_split split = good_split(name);
    return split == BARISTA_TRAIN || split == maker->corpus->split;
}

size_t maker_retrieve(struct maker *maker, struct str ask, struct barista_row *ret_rows)
{
    struct barista_row rows[BARISTA_ROWS_MAX];
    struct str before = barista_before(maker->message, maker->message_count, maker->scratch);
    size_t count =
               barista_rows(maker->corpus->facts, ask, before, maker->system, maker->scratch, rows),
           kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (row_allowed(maker, &rows[i]))
            ret_rows[kept++] = rows[i];
    }
    return kept;
}

void maker_slot(struct maker *maker, struct str value)
{
    struct barista_label *label = &maker->dialogue->label;
    if (label->slot_count < ARRAY_COUNT(label->slots))
        label->slots[label->slot_count++] = value;
}

enum err maker_slots(struct maker *maker, const struct phrases_block *block)
{
    maker->dialogue->label.slot_count = 0;
    for (size_t i = 0; i < block->field_count; i++) {
        struct str value = maker_value(maker, block->field[i]);
        if (value.at == NULL)
            return ERR_INPUT;
        maker_slot(maker, value);
    }
    return ERR_OK;
}

/* ---- one dialogue ---- */

static bool for_model(const struct phrases_block *block, struct str model)
{
    return block->models.len == 0 || str_find(block->models, model.at[0]) < block->models.len;
}

static const struct phrases_block *block_draw(struct barista_corpus *corpus)
{
    uint32_t nth = rng_below(&corpus->rng, corpus->weight_sum);
    for (size_t i = 0; i < corpus->phrases->block_count; i++) {
        const struct phrases_block *block = &corpus->phrases->block[i];
        uint32_t weight = for_model(block, corpus->model) ? block->weight : 0;
        if (nth < weight)
            return block;
        nth -= weight;
    }
    return NULL;
}

static enum err make(struct maker *maker, const struct phrases_block *block)
{
    static const struct {
        const char *kind;
        enum err (*make)(struct maker *maker, const struct phrases_block *block);
    } kinds[] = {
        {"product", make_goods},   {"compare", make_goods}, {"pick", make_pick},
        {"missing", make_goods},   {"unknown", make_goods}, {"fact", make_facts},
        {"row", make_row},         {"science", make_facts}, {"trouble", make_facts},
        {"recipe", make_recipe},   {"talk", make_talk},     {"outside", make_talk},
        {"summary", make_summary},
    };
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        if (str_equal(block->kind, str_from(kinds[i].kind)))
            return kinds[i].make(maker, block);
    }
    return ERR_AGAIN; /* "say": answers that other blocks use */
}

static enum err system_turn(struct maker *maker)
{
    static const char *const systems[] = {"original", "vertuo"};
    struct buf buf;
    int hour = maker_chance(maker, 0.8) ? (int)maker_below(maker, 24) : -1;
    maker->system = STR("");
    if (maker_chance(maker, MACHINE_SHARE))
        maker->system = str_from(systems[maker_below(maker, 2)]);
    buf_init(&buf, 256);
    enum err err = barista_system_text(maker->corpus->model, maker->system, hour, &buf);
    char *copy = err == ERR_OK ? arena_strdup(maker->scratch, buf_str(&buf)) : NULL;
    bool added =
        copy != NULL && turn_add(maker, BARISTA_SYSTEM, (struct str){copy, buf.len}, false);
    buf_finish(&buf);
    return added ? ERR_OK : ERR_NOMEM;
}

static enum err dialogue_try(struct barista_corpus *corpus, struct arena *scratch,
                             struct barista_dialogue *ret_dialogue)
{
    struct maker maker = {
        .corpus = corpus, .rng = &corpus->rng, .scratch = scratch, .dialogue = ret_dialogue};
    *ret_dialogue = (struct barista_dialogue){.task = BARISTA_CHAT};
    if (maker_chance(&maker, CLASSES_SHARE))
        return make_classes(&maker);
    const struct phrases_block *block = block_draw(corpus);
    enum err err = system_turn(&maker);
    return err != ERR_OK ? err : make(&maker, block);
}

enum err barista_corpus_next(struct barista_corpus *corpus, struct arena *scratch,
                             struct barista_dialogue *ret_dialogue)
{
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        enum err err = dialogue_try(corpus, scratch, ret_dialogue);
        if (err != ERR_AGAIN)
            return err;
    }
    return ERR_NOT_FOUND;
}

/* ---- life ---- */

static enum err corpus_fill(struct barista_corpus *corpus, const char *dir, struct lm_fault *fault)
{
    enum err err = phrases_read(dir, fault, &corpus->phrases);
    if (err == ERR_OK)
        err = barista_csv_read(dir, "notes.csv", &corpus->arena, fault, &corpus->notes);
    if (err == ERR_OK)
        err = barista_csv_read(dir, "names.csv", &corpus->arena, fault, &corpus->names);
    if (err != ERR_OK)
        return err;
    if (corpus->notes.rows < 30 || corpus->notes.columns != 2 || corpus->names.rows < 18 ||
        corpus->names.columns != 5)
        return barista_fault(fault, "notes.csv: note, group (30 rows and more); names.csv: first, "
                                    "second, start, end, origin (18 rows and more)");
    for (size_t i = 0; i < corpus->phrases->block_count; i++) {
        if (for_model(&corpus->phrases->block[i], corpus->model))
            corpus->weight_sum += corpus->phrases->block[i].weight;
    }
    return corpus->weight_sum > 0 ? ERR_OK : barista_fault(fault, "phrases: no block has a weight");
}

enum err barista_corpus_create(const char *corpus_dir, const struct barista_facts *facts,
                               const struct barista_corpus_options *options, struct lm_fault *fault,
                               struct barista_corpus **ret_corpus)
{
    static const char *const models[] = {"tanka", "villanelle", "ode"};
    struct barista_corpus *corpus = mem_zalloc(sizeof(*corpus));
    if (corpus == NULL)
        return ERR_NOMEM;
    arena_init(&corpus->arena, CORPUS_BYTES_MAX);
    corpus->facts = facts;
    corpus->split = options->split;
    for (size_t i = 0; i < ARRAY_COUNT(models); i++) {
        if (str_equal(options->model, str_from(models[i])))
            corpus->model = str_from(models[i]);
    }
    rng_init(&corpus->rng, options->seed * 4 + (uint64_t)options->split);
    enum err err = corpus->model.len == 0
                       ? barista_fault(fault, "a persona is tanka, villanelle or ode")
                       : corpus_fill(corpus, corpus_dir, fault);
    if (err != ERR_OK) {
        barista_corpus_destroy(corpus);
        return err;
    }
    *ret_corpus = corpus;
    return ERR_OK;
}

void barista_corpus_destroy(struct barista_corpus *corpus)
{
    if (corpus == NULL)
        return;
    phrases_destroy(corpus->phrases);
    arena_finish(&corpus->arena);
    mem_free(corpus);
}
