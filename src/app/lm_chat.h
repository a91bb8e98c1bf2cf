/* lm_chat: what a talk in the terminal consists of. */
#ifndef AUTOMAT_APP_LM_CHAT_H
#define AUTOMAT_APP_LM_CHAT_H

#include "app/lm.h"
#include "barista/barista.h"

#define CHAT_MESSAGES 64                      /* older ones are forgotten */
#define CHAT_TURNS    (2 * CHAT_MESSAGES + 2) /* of one prompt */

/* One talk.  Zeros are a good start for chat_load. */
struct chat {
    const struct options *options;
    struct lm_model *model;
    struct lm_tokenizer *tokenizer;
    struct barista_facts *facts; /* NULL: none */
    struct lm_engine *engine;
    struct lm_mask *recipe; /* made when it is first asked for */
    bool is_terminal;       /* both ends */
    struct lm_sampling sampling;
    uint32_t prompt_max; /* ids of a prompt that the model was taught with; 0: any */
    uint64_t answers; /* each has a seed of its own */

    struct barista_turn *message; /* CHAT_MESSAGES */
    struct barista_turn *turn;    /* CHAT_TURNS: of one prompt */
    size_t message_count;
    struct arena memory, scratch; /* what was said; what one prompt needs */
    struct barista_row row[BARISTA_ROWS_MAX];
    size_t row_count;

    struct lm_request *request;
    struct buf answer;
    bool is_done;
    enum err err;
    struct lm_result result;
};

/* Model, tokenizer, facts, presets, engine; `notify` as the engine has it.  False: it said why on
 * stderr; chat_unload is due in any case. */
MUST_USE bool chat_load(struct chat *chat, const struct options *options,
                        void (*notify)(void *cookie));
void chat_unload(struct chat *chat);

#endif
