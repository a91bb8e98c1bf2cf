/* Inside web: questions to a language model, and who hears the answer. */
#ifndef AUTOMAT_WEB_LM_INT_H
#define AUTOMAT_WEB_LM_INT_H

#include "web/routes_int.h"

#define LM_MESSAGES_MAX      64
#define LM_STOPS_MAX         8
#define LM_STOP_BYTES        64
#define LM_PENDING_BYTES     MIB /* events that a slow client has not taken */
#define LM_UNTRAINED_RETRY_S 60

/* One endpoint: what it is asked with, its limits, and what its answer is called. */
struct lm_endpoint {
    const char *text_field;   /* "prompt", "text"; NULL: "messages" */
    const char *answer_field; /* "generated_text", "response", "summary" */
    enum barista_ask_kind kind;
    uint32_t tokens_preset, tokens_max; /* max_length */
    uint32_t temperature_milli;         /* preset */
};
extern const struct lm_endpoint lm_generate, lm_chat, lm_summarize, lm_classify, lm_completions;

/* What was read of a body; texts live as long as the call. */
struct lm_wish {
    struct barista_ask ask;
    struct str stop[LM_STOPS_MAX];
    struct barista_turn *turn; /* room for LM_MESSAGES_MAX */
    bool stream, stream_usage;
};
/* Every limit and preset of an endpoint is set before its body is read.  NULL: answered with 503.
 */
struct lm_wish *lm_wish_make(struct web_call *call, const struct lm_endpoint *endpoint);

/* Once the model is read and before the rest: what its folder says goes before the endpoint's. */
void lm_wish_suit(const struct web_call *call, struct lm_wish *wish);

struct lm_ask;
/* How an answer is written.  Each writes one JSON value. */
struct lm_manner {
    const struct lm_endpoint *endpoint;
    bool done_mark; /* the stream ends with "data: [DONE]" */
    void (*whole)(struct lm_ask *ask, const struct barista_answer *answer, struct json_out *out);
    void (*first)(struct lm_ask *ask, struct json_out *out); /* or NULL: no event of its own */
    void (*piece)(struct lm_ask *ask, struct str text, struct json_out *out);
    void (*last)(struct lm_ask *ask, const struct barista_answer *answer, struct json_out *out);
    /* A second event at the end, or NULL; false: none after all. */
    bool (*usage)(struct lm_ask *ask, const struct barista_answer *answer, struct json_out *out);
    void (*fault)(struct lm_ask *ask, const struct web_problem *problem, struct json_out *out);
};

/* A question under way:
 *
 *     asked: call set, req NULL  ->  answered: gone
 *         |  first piece or end, with stream
 *         v
 *     streaming: call NULL, req set, wait set or ended  ->  all events taken: gone
 */
struct lm_ask {
    struct lm_ask *prev, *next; /* of web->asks */
    struct web *web;
    const struct lm_manner *manner;
    struct web_call *call;
    struct http_request *req;
    struct barista_wait *wait; /* NULL: the model is done with it */
    struct buf json, pending;
    bool stream, stream_usage, recipe, ended, first_told;
    char model[32], request_id[WEB_REQUEST_ID_BYTES];
    int64_t begun_us, created_s;
};

/* Takes the call: it is answered now, later or in pieces. */
void lm_ask_begin(struct web_call *call, const struct lm_manner *manner,
                  const struct lm_wish *wish);
/* ---- what the answers share ---- */

const char *lm_finish_word(const struct barista_answer *answer); /* "stop", "length" */
void lm_show_usage(struct json_out *out, const struct barista_answer *answer);
void lm_show_sources(struct json_out *out, const struct barista_answer *answer);

/* ---- reading, as our own endpoints and /v1 do ---- */

/* temperature, top_k, ..., stop, stream: the fields that all share. */
void lm_read_common(struct kinds_reader *reader, const struct lm_endpoint *endpoint,
                    struct lm_wish *wish);
/* False: answered with 503, this server has no assistant. */
MUST_USE bool lm_needed(struct web_call *call);

#endif
