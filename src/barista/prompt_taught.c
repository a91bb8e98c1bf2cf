/* A model's positions are only as good as the dialogues it learned from were long: a talk that is
 * longer loses its old turns before it reaches positions that were never trained. */
#include "barista/barista_int.h"

#include <string.h>

/* Where the last exchange begins: after the last answer that stands there. */
static size_t last_exchange(const struct barista_turn *turns, size_t count)
{
    size_t from = 0;
    for (size_t i = 0; i < count; i++) {
        if (turns[i].role == BARISTA_ASSISTANT && turns[i].text.len > 0)
            from = i + 1;
    }
    return from;
}

/* The system turn and the last exchange, with all the context. */
static enum err prompt_last(const struct lm_tokenizer *tokenizer, const struct barista_turn *turns,
                            size_t count, const struct barista_space *space, uint16_t *ids,
                            size_t ids_max, size_t *ret_count)
{
    size_t from = last_exchange(turns, count), kept = 0;
    struct barista_turn *left = mem_alloc((count - from + 1) * sizeof(*left));
    if (left == NULL)
        return ERR_NOMEM;
    if (from > 0 && turns[0].role == BARISTA_SYSTEM)
        left[kept++] = turns[0];
    memcpy(left + kept, turns + from, (count - from) * sizeof(*left));
    enum err err = barista_prompt(tokenizer, BARISTA_CHAT, left, kept + count - from,
                                  space->context, space->room, ids, ids_max, ret_count);
    mem_free(left);
    return err;
}

enum err barista_prompt_taught(const struct lm_tokenizer *tokenizer,
                               const struct barista_turn *turns, size_t count,
                               const struct barista_space *space, uint16_t *ids, size_t ids_max,
                               size_t *ret_count)
{
    bool all = space->taught == 0 || space->taught + space->room >= space->context;
    uint32_t context = all ? space->context : space->taught + space->room;
    enum err err = barista_prompt(tokenizer, BARISTA_CHAT, turns, count, context, space->room, ids,
                                  ids_max, ret_count);
    if (err != ERR_FULL || all)
        return err;
    return prompt_last(tokenizer, turns, count, space, ids, ids_max, ret_count);
}
