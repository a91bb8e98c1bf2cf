/* From a question to the ids that the model reads: the rows that may answer it, the turns, the mark
 * after which the model speaks. */
#include "barista/service_int.h"

#include <string.h>

#define TURNS_MAX     160
#define SCRATCH_BYTES (512 * KIB)

static enum err prompt_make(struct barista_wait *wait, enum barista_task task,
                            const struct barista_turn *turns, size_t count, uint32_t room,
                            struct lm_fault *fault)
{
    size_t made = 0;
    uint32_t context = lm_model_config(wait->weights->model)->context;
    enum err err = barista_prompt(wait->weights->tokenizer, task, turns, count, context, room,
                                  wait->ids, wait->id_max, &made);
    if (err == ERR_FULL) {
        service_fault(fault,
                      "prompt: it is longer than the %u tokens that this model can hold beside an "
                      "answer",
                      context);
        return ERR_INPUT;
    }
    wait->id_count = err == ERR_OK ? (uint32_t)made : 0;
    return err;
}

/* Old turns were left out, and their rows with them. */
static bool turns_left_out(const struct barista_wait *wait, const struct barista_turn *turns,
                           size_t count)
{
    size_t wanted = 0, there = 0;
    for (size_t i = 0; i < count; i++)
        wanted += turns[i].role == BARISTA_USER ? 1 : 0;
    for (uint32_t i = 0; i < wait->id_count; i++)
        there += wait->ids[i] == LM_USER ? 1 : 0;
    return there < wanted;
}

/* One exchange less; `count` when only the last question is left. */
static size_t messages_after(const struct barista_turn *messages, size_t count, size_t from)
{
    while (from + 1 < count) {
        if (messages[from++].role == BARISTA_ASSISTANT)
            return from;
    }
    return count;
}

static enum err chat_from(struct barista_wait *wait, const struct barista_ask *ask, size_t from,
                          uint32_t room, struct arena *scratch, struct lm_fault *fault,
                          bool *ret_cut)
{
    struct barista_turn turn[TURNS_MAX + 1];
    struct buf system;
    size_t count = 0;
    buf_init(&system, KIB);
    enum err err = barista_system_text(ask->model, ask->machine_system, -1, &system);
    if (err == ERR_OK)
        err = barista_turns(wait->barista->facts, buf_str(&system), ask->turns + from,
                            ask->turn_count - from, scratch, turn, TURNS_MAX, &count, wait->row,
                            &wait->row_count);
    if (err == ERR_OK && ask->recipe)
        turn[count++] = (struct barista_turn){.role = BARISTA_ASSISTANT, .recipe = true};
    if (err == ERR_OK)
        err = prompt_make(wait, BARISTA_CHAT, turn, count, room, fault);
    if (err == ERR_OK)
        *ret_cut = turns_left_out(wait, turn, count);
    buf_finish(&system);
    return err;
}

static enum err prompt_chat(struct barista_wait *wait, const struct barista_ask *ask, uint32_t room,
                            struct lm_fault *fault)
{
    struct arena scratch;
    size_t from = 0;
    enum err err;
    for (;;) {
        bool cut = false;
        arena_init(&scratch, SCRATCH_BYTES);
        err = chat_from(wait, ask, from, room, &scratch, fault, &cut);
        arena_finish(&scratch);
        size_t next = messages_after(ask->turns, ask->turn_count, from);
        if (err != ERR_OK || !cut || next >= ask->turn_count)
            return err;
        from = next;
    }
}

enum err service_prompt(struct barista_wait *wait, const struct barista_ask *ask, uint32_t room,
                        struct lm_fault *fault)
{
    static const enum barista_task tasks[] = {[BARISTA_ASK_GENERATE] = BARISTA_TEXT,
                                              [BARISTA_ASK_CHAT] = BARISTA_CHAT,
                                              [BARISTA_ASK_SUMMARIZE] = BARISTA_SUMMARIZE,
                                              [BARISTA_ASK_CLASSIFY] = BARISTA_CLASSIFY};
    if (ask->kind == BARISTA_ASK_CHAT)
        return prompt_chat(wait, ask, room, fault);
    struct barista_turn turn = {.role = BARISTA_USER, .text = ask->text};
    return prompt_make(wait, tasks[ask->kind], &turn, 1, room, fault);
}
