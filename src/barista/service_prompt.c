/* From a question to the ids that the model reads: the rows that may answer it, the turns, the mark
 * after which the model speaks. */
#include "barista/barista_int.h"
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
    const struct barista_space space = {
        .context = context, .room = room, .taught = wait->weights->generation.prompt_max};
    const struct lm_tokenizer *tokenizer = wait->weights->tokenizer;
    enum err err = task == BARISTA_CHAT ? barista_prompt_taught(tokenizer, turns, count, &space,
                                                                wait->ids, wait->id_max, &made)
                                        : barista_prompt(tokenizer, task, turns, count, context,
                                                         room, wait->ids, wait->id_max, &made);
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

/* User turns that were left out, and their rows with them. */
static size_t turns_left_out(const struct barista_wait *wait, const struct barista_turn *turns,
                             size_t count)
{
    size_t wanted = 0, there = 0;
    for (size_t i = 0; i < count; i++)
        wanted += turns[i].role == BARISTA_USER ? 1 : 0;
    for (uint32_t i = 0; i < wait->id_count; i++)
        there += wait->ids[i] == LM_USER ? 1 : 0;
    return there < wanted ? wanted - there : 0;
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

/* As many exchanges less as hold so many questions; `count` when there is none to leave out. */
static size_t messages_without(const struct barista_turn *messages, size_t count, size_t from,
                               size_t questions)
{
    size_t at = from;
    while (questions > 0) {
        size_t next = messages_after(messages, count, at);
        if (next >= count)
            break;
        for (; at < next; at++)
            questions -= questions > 0 && messages[at].role == BARISTA_USER ? 1 : 0;
    }
    return at > from ? at : count;
}

/* Where the exchanges begin whose words alone, without rows, may fit: nothing is looked up for
 * those before. */
static size_t messages_that_fit(struct barista_wait *wait, const struct barista_ask *ask,
                                uint32_t room)
{
    uint32_t context = lm_model_config(wait->weights->model)->context;
    size_t left = context > room ? context - room : 0, at = ask->turn_count, from = 0;
    left = left < wait->id_max ? left : wait->id_max;
    for (size_t ids = 0; at > 0; at--) {
        enum err err = lm_tokenizer_encode(wait->weights->tokenizer, ask->turns[at - 1].text,
                                           wait->ids, left, &ids);
        if (err != ERR_OK || ids + 1 > left) /* its mark */
            break;
        left -= ids + 1;
    }
    while (from < at) {
        size_t next = messages_after(ask->turns, ask->turn_count, from);
        if (next >= ask->turn_count)
            break;
        from = next;
    }
    return from;
}

static enum err chat_from(struct barista_wait *wait, const struct barista_ask *ask, size_t from,
                          uint32_t room, struct barista_kept *kept, struct lm_fault *fault,
                          size_t *ret_left_out)
{
    struct arena scratch;
    struct buf system;
    size_t count = 0;
    arena_init(&scratch, SCRATCH_BYTES);
    buf_init(&system, KIB);
    struct barista_turn *turn = arena_alloc(&scratch, (TURNS_MAX + 1) * sizeof(*turn));
    enum err err = turn == NULL ? ERR_NOMEM : ERR_OK;
    if (err == ERR_OK)
        err = barista_system_text(ask->model, ask->machine_system, -1, &system);
    if (err == ERR_OK)
        err = barista_turns_kept(wait->barista->facts, buf_str(&system), ask->turns + from,
                                 ask->turn_count - from, &scratch, kept + from, turn, TURNS_MAX,
                                 &count, wait->row, &wait->row_count);
    if (err == ERR_OK && ask->recipe)
        turn[count++] = (struct barista_turn){.role = BARISTA_ASSISTANT, .recipe = true};
    if (err == ERR_OK)
        err = prompt_make(wait, BARISTA_CHAT, turn, count, room, fault);
    *ret_left_out = err == ERR_OK ? turns_left_out(wait, turn, count) : 0;
    buf_finish(&system);
    arena_finish(&scratch);
    return err;
}

/* All of it runs on the loop's thread: rows are looked for once a message, and only for messages
 * that may fit. */
static enum err prompt_chat(struct barista_wait *wait, const struct barista_ask *ask, uint32_t room,
                            struct lm_fault *fault)
{
    struct barista_kept *kept = mem_zalloc((ask->turn_count + 1) * sizeof(*kept));
    size_t from = messages_that_fit(wait, ask, room), left_out = 0;
    enum err err = ERR_NOMEM;
    while (kept != NULL && from < ask->turn_count) {
        err = chat_from(wait, ask, from, room, kept, fault, &left_out);
        if (err != ERR_OK || left_out == 0)
            break;
        from = messages_without(ask->turns, ask->turn_count, from, left_out);
    }
    mem_free(kept);
    return err;
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
