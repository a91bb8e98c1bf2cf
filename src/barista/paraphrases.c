/* Questions written by hand, without looking at the phrasings: corpus/paraphrases.csv. */
#include "barista/barista_int.h"

#include <string.h>

#define SET_BYTES_MAX (4 * MIB)

struct barista_paraphrases {
    struct arena arena;
    struct barista_csv csv;
};

enum err barista_paraphrases_load(const char *corpus_dir, struct lm_fault *fault,
                                  struct barista_paraphrases **ret_set)
{
    static const char *const columns[] = {"question", "before", "answer", "system",
                                          "slots",    "refuse", "recipe"};
    struct barista_paraphrases *set = mem_zalloc(sizeof(*set));
    if (set == NULL)
        return ERR_NOMEM;
    arena_init(&set->arena, SET_BYTES_MAX);
    enum err err = barista_csv_read(corpus_dir, "paraphrases.csv", &set->arena, fault, &set->csv);
    for (size_t i = 0; i < ARRAY_COUNT(columns) && err == ERR_OK; i++) {
        if (barista_csv_column(&set->csv, str_from(columns[i])) == set->csv.columns)
            err = barista_fault(fault, "paraphrases.csv:1:1: there is no column %s", columns[i]);
    }
    if (err != ERR_OK) {
        barista_paraphrases_destroy(set);
        return err;
    }
    *ret_set = set;
    return ERR_OK;
}

void barista_paraphrases_destroy(struct barista_paraphrases *set)
{
    if (set == NULL)
        return;
    arena_finish(&set->arena);
    mem_free(set);
}

size_t barista_paraphrases_count(const struct barista_paraphrases *set)
{
    return set->csv.rows;
}

static struct str cell(const struct barista_paraphrases *set, size_t row, const char *column)
{
    return barista_csv_at(&set->csv, row, barista_csv_column(&set->csv, str_from(column)));
}

static void label_fill(const struct barista_paraphrases *set, size_t row,
                       struct barista_label *label)
{
    struct str slots = cell(set, row, "slots");
    *label = (struct barista_label){.template_id = STR("people/")};
    label->refuses = str_equal(cell(set, row, "refuse"), STR("1"));
    label->recipe = str_equal(cell(set, row, "recipe"), STR("1"));
    while (slots.len > 0 && label->slot_count < ARRAY_COUNT(label->slots)) {
        size_t end = str_find(slots, '|');
        label->slots[label->slot_count++] = str_slice(slots, 0, end);
        slots = str_slice(slots, end + 1, slots.len);
    }
}

enum err barista_paraphrases_at(const struct barista_paraphrases *set, size_t row,
                                const struct barista_facts *facts, struct str model,
                                struct arena *scratch, struct barista_dialogue *ret_dialogue)
{
    struct barista_turn messages[3];
    struct barista_row rows[BARISTA_ROWS_MAX];
    size_t count = 0, row_count;
    struct str before = cell(set, row, "before"), answer = cell(set, row, "answer");
    struct buf buf;
    if (before.len > 0) {
        bool recipe = answer.len > 0 && answer.at[0] == '{';
        messages[count++] = (struct barista_turn){BARISTA_USER, before, false};
        messages[count++] = (struct barista_turn){BARISTA_ASSISTANT, answer, recipe};
    }
    messages[count++] = (struct barista_turn){BARISTA_USER, cell(set, row, "question"), false};
    buf_init(&buf, 256);
    enum err err = barista_system_text(model, cell(set, row, "system"), 10, &buf);
    char *system = err == ERR_OK ? arena_strdup(scratch, buf_str(&buf)) : NULL;
    buf_finish(&buf);
    if (err != ERR_OK || system == NULL)
        return err != ERR_OK ? err : ERR_NOMEM;
    *ret_dialogue = (struct barista_dialogue){.task = BARISTA_CHAT};
    err = barista_turns(facts, str_from(system), messages, count, scratch, ret_dialogue->turns,
                        ARRAY_COUNT(ret_dialogue->turns) - 1, &ret_dialogue->turn_count, rows,
                        &row_count);
    if (err != ERR_OK)
        return err;
    label_fill(set, row, &ret_dialogue->label);
    ret_dialogue->turns[ret_dialogue->turn_count++] =
        (struct barista_turn){BARISTA_ASSISTANT, STR(""), ret_dialogue->label.recipe};
    return ERR_OK;
}
