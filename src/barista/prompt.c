/* The one layout of a prompt.  Training and asking both come here, so that a model is never asked
 * in a form it has not seen:
 *
 *     <|begin|><|system|>tanka original morning
 *     <|facts|>row\nrow<|user|>question<|assistant|>answer<|end|>
 *     <|facts|>rows not shown yet<|user|>question<|assistant|> */
#include "barista/barista_int.h"

#include <string.h>

#define ROWS_SHOWN 4 /* more rows cost time and seldom hold the answer */

struct out {
    const struct lm_tokenizer *tokenizer;
    uint16_t *ids;
    size_t count, max;
    bool full;
};

static void put(struct out *out, uint16_t id)
{
    if (out->count == out->max)
        out->full = true;
    else
        out->ids[out->count++] = id;
}

/* `quiet`: LM_TOKEN_QUIET or 0. */
static enum err put_text(struct out *out, struct str text, uint16_t quiet)
{
    size_t count = 0;
    enum err err = lm_tokenizer_encode(out->tokenizer, text, out->ids + out->count,
                                       out->max - out->count, &count);
    if (err == ERR_FULL) {
        out->full = true;
        return ERR_OK;
    }
    if (err != ERR_OK)
        return err;
    for (size_t i = 0; i < count; i++)
        out->ids[out->count + i] |= quiet;
    out->count += count;
    return ERR_OK;
}

static uint16_t role_mark(enum barista_role role)
{
    static const uint16_t mark[] = {
        [BARISTA_SYSTEM] = LM_SYSTEM,
        [BARISTA_FACTS] = LM_FACTS,
        [BARISTA_USER] = LM_USER,
        [BARISTA_ASSISTANT] = LM_ASSISTANT,
    };
    return mark[role];
}

static uint16_t task_mark(enum barista_task task, enum barista_role role)
{
    if (role == BARISTA_USER && task == BARISTA_CLASSIFY)
        return LM_CLASSIFY;
    if (role == BARISTA_USER && task == BARISTA_SUMMARIZE)
        return LM_SUMMARIZE;
    return role_mark(role);
}

/* `quiet` for what others say; what the assistant says is scored when quiet is set at all. */
static enum err put_turn(struct out *out, enum barista_task task, const struct barista_turn *turn,
                         uint16_t quiet)
{
    put(out, task_mark(task, turn->role) | quiet);
    if (turn->role != BARISTA_ASSISTANT)
        return put_text(out, turn->text, quiet);
    if (turn->recipe)
        put(out, LM_RECIPE);
    if (turn->text.len == 0)
        return ERR_OK; /* the mark after which the model speaks */
    enum err err = put_text(out, turn->text, 0);
    put(out, LM_END);
    return err;
}

static bool turn_open(const struct barista_turn *turn)
{
    return turn->role == BARISTA_ASSISTANT && turn->text.len == 0;
}

/* All turns but those in [gap_from, gap_to). */
static enum err put_prompt(struct out *out, enum barista_task task,
                           const struct barista_turn *turns, size_t count, size_t gap_from,
                           size_t gap_to)
{
    put(out, LM_BEGIN);
    for (size_t i = 0; i < count && !out->full; i++) {
        if (i >= gap_from && i < gap_to)
            continue;
        enum err err = put_turn(out, task, &turns[i], 0);
        if (err != ERR_OK)
            return err;
    }
    if (count == 0 || !turn_open(&turns[count - 1]))
        put(out, LM_ASSISTANT);
    return ERR_OK;
}

/* Where the exchange after the one at `from` begins: after the next answer; the last user turn and
 * its facts are never stepped over. */
static size_t exchange_next(const struct barista_turn *turns, size_t count, size_t from)
{
    for (size_t i = from; i < count; i++) {
        if (turns[i].role == BARISTA_ASSISTANT && !turn_open(&turns[i]))
            return i + 1;
    }
    return from;
}

enum err barista_prompt(const struct lm_tokenizer *tokenizer, enum barista_task task,
                        const struct barista_turn *turns, size_t count, uint32_t context,
                        uint32_t room, uint16_t *ids, size_t ids_max, size_t *ret_count)
{
    size_t from = count > 0 && turns[0].role == BARISTA_SYSTEM ? 1 : 0, to = from;
    size_t max = context > room ? context - room : 0;
    max = max < ids_max ? max : ids_max;
    for (;;) {
        struct out out = {tokenizer, ids, 0, max, false};
        enum err err = put_prompt(&out, task, turns, count, from, to);
        if (err != ERR_OK)
            return err;
        if (!out.full) {
            *ret_count = out.count;
            return ERR_OK;
        }
        size_t next = exchange_next(turns, count, to);
        if (next == to)
            return ERR_FULL;
        to = next;
    }
}

enum err barista_dialogue_ids(const struct lm_tokenizer *tokenizer,
                              const struct barista_dialogue *dialogue, uint16_t *ids,
                              size_t ids_max, size_t *ret_count)
{
    struct out out = {tokenizer, ids, 0, ids_max, false};
    put(&out, LM_BEGIN | LM_TOKEN_QUIET);
    for (size_t i = 0; i < dialogue->turn_count; i++) {
        enum err err = put_turn(&out, dialogue->task, &dialogue->turns[i], LM_TOKEN_QUIET);
        if (err != ERR_OK)
            return err;
    }
    *ret_count = out.count;
    return out.full ? ERR_FULL : ERR_OK;
}

enum err barista_dialogue_text(const struct barista_dialogue *dialogue, struct buf *ret)
{
    static const char *const said[] = {
        [BARISTA_SYSTEM] = "",
        [BARISTA_FACTS] = "",
        [BARISTA_USER] = "> ",
        [BARISTA_ASSISTANT] = "< ",
    };
    for (size_t i = 0; i < dialogue->turn_count; i++) {
        const struct barista_turn *turn = &dialogue->turns[i];
        enum err err = buf_printf(ret, "%s%.*s\n", said[turn->role], STR_ARG(turn->text));
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* ---- turns out of messages ---- */

enum err barista_system_text(struct str model, struct str machine_system, int hour,
                             struct buf *ret_text)
{
    const char *part = hour < 0    ? ""
                       : hour < 5  ? " night"
                       : hour < 11 ? " morning"
                       : hour < 18 ? " day"
                       : hour < 22 ? " evening"
                                   : " night";
    return buf_printf(ret_text, "%.*s%s%.*s%s", STR_ARG(model), machine_system.len > 0 ? " " : "",
                      STR_ARG(machine_system), part);
}

static bool shown(const struct barista_turn *turns, size_t count, struct str row)
{
    for (size_t i = 0; i < count; i++) {
        struct str text = turns[i].text;
        if (turns[i].role != BARISTA_FACTS)
            continue;
        while (text.len > 0) {
            size_t end = str_find(text, '\n');
            if (str_equal(str_slice(text, 0, end), row))
                return true;
            text = str_slice(text, end + 1, text.len);
        }
    }
    return false;
}

struct str barista_facts_turn(const struct barista_turn *turns, size_t count,
                              const struct barista_row *rows, size_t row_count,
                              struct arena *scratch)
{
    struct str text = STR("");
    for (size_t i = 0; i < row_count && text.at != NULL; i++) {
        if (shown(turns, count, rows[i].text))
            continue;
        char *more = arena_printf(scratch, "%.*s%s%.*s", STR_ARG(text), text.len > 0 ? "\n" : "",
                                  STR_ARG(rows[i].text));
        text = str_from(more);
    }
    return text;
}

struct str barista_before(const struct barista_turn *messages, size_t count, struct arena *scratch)
{
    struct str before = STR("");
    size_t from = count > 2 ? count - 2 : 0; /* the last exchange */
    for (size_t i = from; i < count; i++) {
        if (messages[i].recipe || before.at == NULL)
            continue; /* words of JSON are no words of the guest */
        before = str_from(
            arena_printf(scratch, "%.*s %.*s", STR_ARG(before), STR_ARG(messages[i].text)));
    }
    return before;
}

/* The machine that stands there is weaker than any word of the guest, and alone it asks nothing. */
size_t barista_rows(const struct barista_facts *facts, struct str question, struct str before,
                    struct str machine_system, struct arena *scratch, struct barista_row *ret_rows)
{
    size_t count = barista_retrieve(facts, question, before, ret_rows, ROWS_SHOWN);
    if (count == 0 || machine_system.len == 0)
        return count;
    char *more = arena_printf(scratch, "%.*s %.*s", STR_ARG(before), STR_ARG(machine_system));
    return more == NULL ? count
                        : barista_retrieve(facts, question, str_from(more), ret_rows, ROWS_SHOWN);
}

/* "tanka original morning" -> "original" */
static struct str system_machine(struct str system)
{
    struct barista_word word;
    for (size_t at = 0; barista_word_next(system, &at, &word);) {
        struct str text = {word.at, word.len};
        if (str_equal(text, STR("original")))
            return STR("original");
        if (str_equal(text, STR("vertuo")))
            return STR("vertuo");
    }
    return STR("");
}

/* The rows for message i, as found before if as much stood before it then. */
static size_t rows_for(const struct barista_facts *facts, struct str system,
                       const struct barista_turn *messages, size_t i, struct arena *scratch,
                       struct barista_kept *kept, struct barista_row *ret_rows)
{
    size_t before = i < 2 ? i : 2;
    if (kept == NULL || !kept->found || kept->before != before) {
        size_t count = barista_rows(facts, messages[i].text, barista_before(messages, i, scratch),
                                    system_machine(system), scratch, ret_rows);
        if (kept == NULL)
            return count;
        *kept = (struct barista_kept){.found = true, .before = before, .count = count};
        memcpy(kept->row, ret_rows, count * sizeof(*ret_rows));
    }
    memcpy(ret_rows, kept->row, kept->count * sizeof(*ret_rows));
    return kept->count;
}

enum err barista_turns_kept(const struct barista_facts *facts, struct str system,
                            const struct barista_turn *messages, size_t count,
                            struct arena *scratch, struct barista_kept *kept,
                            struct barista_turn *ret_turns, size_t turns_max, size_t *ret_count,
                            struct barista_row *ret_rows, size_t *ret_row_count)
{
    size_t made = 0;
    *ret_row_count = 0;
    if (turns_max < 2 * count + 1)
        return ERR_FULL;
    if (system.len > 0)
        ret_turns[made++] = (struct barista_turn){BARISTA_SYSTEM, system, false};
    for (size_t i = 0; i < count; i++) {
        if (messages[i].role == BARISTA_USER && facts != NULL) {
            *ret_row_count = rows_for(facts, system, messages, i, scratch,
                                      kept != NULL ? &kept[i] : NULL, ret_rows);
            struct str rows =
                barista_facts_turn(ret_turns, made, ret_rows, *ret_row_count, scratch);
            if (rows.at == NULL)
                return ERR_NOMEM;
            if (rows.len > 0)
                ret_turns[made++] = (struct barista_turn){BARISTA_FACTS, rows, false};
        }
        ret_turns[made++] = messages[i];
    }
    *ret_count = made;
    return ERR_OK;
}

enum err barista_turns(const struct barista_facts *facts, struct str system,
                       const struct barista_turn *messages, size_t count, struct arena *scratch,
                       struct barista_turn *ret_turns, size_t turns_max, size_t *ret_count,
                       struct barista_row *ret_rows, size_t *ret_row_count)
{
    return barista_turns_kept(facts, system, messages, count, scratch, NULL, ret_turns, turns_max,
                              ret_count, ret_rows, ret_row_count);
}
