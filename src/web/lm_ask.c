/* A question under way: begun, told piece by piece, left, stopped. */
#include "web/lm_int.h"

#include <string.h>

/* ---- its life ---- */

static struct lm_ask *ask_create(struct web_call *call, const struct lm_manner *manner,
                                 const struct lm_wish *wish)
{
    struct web *web = call->web;
    struct lm_ask *ask = mem_zalloc(sizeof(*ask));
    if (ask == NULL)
        return NULL;
    ask->web = web;
    ask->manner = manner;
    ask->call = call;
    ask->stream = wish->stream;
    ask->stream_usage = wish->stream_usage;
    ask->recipe = wish->ask.recipe;
    ask->begun_us = sys_mono_us();
    ask->created_s = web_now_ms(web) / 1000;
    memcpy(ask->request_id, call->request_id, sizeof(ask->request_id));
    if (str_copy(ask->model, sizeof(ask->model), wish->ask.model) != ERR_OK)
        ask->model[0] = 0;
    buf_init(&ask->json, 2 * MIB);
    buf_init(&ask->pending, LM_PENDING_BYTES);
    ask->next = web->asks;
    if (web->asks != NULL)
        web->asks->prev = ask;
    web->asks = ask;
    return ask;
}

static void ask_free(struct lm_ask *ask)
{
    if (ask->wait != NULL)
        barista_cancel(ask->wait);
    if (ask->prev != NULL)
        ask->prev->next = ask->next;
    else
        ask->web->asks = ask->next;
    if (ask->next != NULL)
        ask->next->prev = ask->prev;
    buf_finish(&ask->json);
    buf_finish(&ask->pending);
    mem_free(ask);
}

/* ---- the stream ---- */

/* What the client takes now; the rest waits for room. */
static void stream_push(struct lm_ask *ask)
{
    if (ask->pending.len > 0) {
        enum err err = http_stream_write(ask->req, buf_str(&ask->pending));
        if (err != ERR_OK)
            return; /* ERR_FULL: called again.  ERR_CLOSED: gone is on its way */
        buf_consume(&ask->pending, ask->pending.len);
    }
    if (!ask->ended)
        return;
    http_stream_end(ask->req);
    ask_free(ask);
}

static void stream_room(void *cookie)
{
    stream_push(cookie);
}

static void stream_gone(void *cookie)
{
    struct lm_ask *ask = cookie;
    ask->req = NULL;
    ask_free(ask);
}

static const struct http_stream_user stream_user = {stream_room, stream_gone};

static void event_begin(struct lm_ask *ask, struct json_out *out)
{
    ask->json.len = 0;
    *out = (struct json_out){&ask->json, ERR_OK};
}

static enum err event_end(struct lm_ask *ask, const struct json_out *out)
{
    enum err err = out->err;
    if (err == ERR_OK)
        err = buf_add_str(&ask->pending, STR("data: "));
    if (err == ERR_OK)
        err = buf_add(&ask->pending, ask->json.at, ask->json.len);
    return err == ERR_OK ? buf_add_str(&ask->pending, STR("\n\n")) : err;
}

/* The client takes too little, or memory ran out: it sees that something is missing. */
static void stream_break(struct lm_ask *ask)
{
    struct http_request *req = ask->req;
    ask->req = NULL;
    ask_free(ask);
    if (req != NULL)
        http_stream_abort(req);
}

/* The call ends here: the rest of the answer is the stream's. */
static bool stream_begin(struct lm_ask *ask)
{
    struct web_call *call = ask->call;
    struct http_field fields[WEB_FIELDS_MAX + 1];
    struct json_out out;
    if (ask->req != NULL)
        return true;
    size_t count = web_fields_common(ask->web, call->request_id, call->origin, false, fields);
    fields[count++] = (struct http_field){STR("X-Accel-Buffering"), STR("no")};
    ask->req = call->req;
    ask->call = NULL;
    call->gone = NULL;
    http_stream_begin(ask->req,
                      &(struct http_answer){.status = 200,
                                            .content_type = STR("text/event-stream"),
                                            .fields = fields,
                                            .field_count = count},
                      &stream_user, ask);
    web_call_streams(call);
    if (ask->manner->first == NULL)
        return true;
    event_begin(ask, &out);
    ask->manner->first(ask, &out);
    if (event_end(ask, &out) == ERR_OK)
        return true;
    stream_break(ask);
    return false;
}

static void stream_finish(struct lm_ask *ask, enum err err)
{
    if (err == ERR_OK && ask->manner->done_mark)
        err = buf_add_str(&ask->pending, STR("data: [DONE]\n\n"));
    if (err != ERR_OK) {
        stream_break(ask);
        return;
    }
    ask->ended = true;
    stream_push(ask);
}

static void stream_fault(struct lm_ask *ask, const struct web_problem *problem)
{
    struct json_out out;
    event_begin(ask, &out);
    ask->manner->fault(ask, problem, &out);
    stream_finish(ask, event_end(ask, &out));
}

static void stream_answer(struct lm_ask *ask, const struct barista_answer *answer)
{
    struct json_out out;
    event_begin(ask, &out);
    ask->manner->last(ask, answer, &out);
    enum err err = event_end(ask, &out);
    if (err == ERR_OK && ask->manner->usage != NULL) {
        event_begin(ask, &out);
        if (ask->manner->usage(ask, answer, &out))
            err = event_end(ask, &out);
    }
    stream_finish(ask, err);
}

/* ---- what the model says ---- */

static struct web_problem problem_of(const struct lm_ask *ask, enum err err,
                                     const struct lm_fault *fault);

static void observe(struct lm_ask *ask, bool first)
{
    struct web_metrics *metrics = &ask->web->metrics;
    double seconds = (double)(sys_mono_us() - ask->begun_us) / 1e6;
    metrics_observe(first ? &metrics->lm_first_s : &metrics->lm_answer_s, seconds);
}

static void model_piece(void *cookie, struct str text)
{
    struct lm_ask *ask = cookie;
    struct json_out out;
    if (!ask->first_told) {
        ask->first_told = true;
        observe(ask, true);
    }
    if (!ask->stream || !stream_begin(ask))
        return;
    event_begin(ask, &out);
    ask->manner->piece(ask, text, &out);
    if (event_end(ask, &out) == ERR_OK)
        stream_push(ask);
    else
        stream_break(ask);
}

/* The call is answered as a whole, and with it the ask is over. */
static void answer_call(struct lm_ask *ask, const struct barista_answer *answer)
{
    struct web_call *call = ask->call;
    call->gone = NULL;
    ask->manner->whole(ask, answer, &call->out);
    ask_free(ask);
    web_reply_json(call, 200);
}

static void answer_problem(struct lm_ask *ask, const struct web_problem *problem)
{
    struct web_call *call = ask->call;
    call->gone = NULL;
    ask_free(ask);
    web_reply_problem(call, problem);
}

static void model_done(void *cookie, enum err err, const struct barista_answer *answer)
{
    struct lm_ask *ask = cookie;
    ask->wait = NULL;
    if (err == ERR_OK)
        observe(ask, false);
    if (err != ERR_OK) {
        struct web_problem problem = problem_of(ask, err, NULL);
        if (ask->req != NULL)
            stream_fault(ask, &problem);
        else
            answer_problem(ask, &problem);
    } else if (!ask->stream) {
        answer_call(ask, answer);
    } else if (stream_begin(ask)) {
        stream_answer(ask, answer);
    }
}

/* ---- who asked left, or the server stops ---- */

static void call_gone(struct web_call *call)
{
    struct lm_ask *ask = call->more;
    call->gone = NULL;
    ask_free(ask);
    web_call_left(call);
}

void web_asks_stop(struct web *web)
{
    static const struct web_problem stopping = {
        .status = 503, .code = "stopping", .detail = "The server is shutting down."};
    struct lm_ask *next;
    for (struct lm_ask *ask = web->asks; ask != NULL; ask = next) {
        next = ask->next;
        if (ask->wait != NULL)
            barista_cancel(ask->wait);
        ask->wait = NULL;
        if (ask->ended)
            continue;
        if (ask->req != NULL)
            stream_fault(ask, &stopping);
        else
            answer_problem(ask, &stopping);
    }
}

void web_asks_drop(struct web *web)
{
    while (web->asks != NULL)
        ask_free(web->asks);
}

/* ---- begun ---- */

bool lm_needed(struct web_call *call)
{
    if (call->web->stopping) {
        web_reply_err(call, ERR_CLOSED);
        return false;
    }
    if (call->web->barista != NULL)
        return true;
    web_reply_code(call, 503, "model_not_trained", "This server was started without an assistant.");
    return false;
}

/* As clients of the OpenAI layout know it. */
static struct web_problem problem_v1(struct web_problem problem)
{
    if (strcmp(problem.code, "unknown_model") == 0) {
        problem.status = 404;
        problem.code = "model_not_found";
    } else if (strcmp(problem.code, "prompt_too_long") == 0) {
        problem.status = 400;
        problem.code = "context_length_exceeded";
    } else if (strcmp(problem.code, "bad_value") == 0) {
        problem.code = "invalid_value";
    }
    return problem;
}

static struct web_problem lm_problem(const struct lm_endpoint *endpoint, enum err err,
                                     const struct lm_fault *fault)
{
    const char *text_field = endpoint->text_field != NULL ? endpoint->text_field : "messages";
    switch (err) {
    case ERR_NOT_FOUND:
        return (struct web_problem){.status = 422,
                                    .code = "unknown_model",
                                    .detail = "The models are tanka, villanelle and ode.",
                                    .field = "model"};
    case ERR_CLOSED:
        return (struct web_problem){.status = 503,
                                    .code = "model_not_trained",
                                    .detail = fault != NULL && fault->why[0] != 0
                                                  ? fault->why
                                                  : "This model is not trained.",
                                    .retry_after_s = LM_UNTRAINED_RETRY_S};
    case ERR_REFUSED:
        return (struct web_problem){.status = 422,
                                    .code = "unsupported_task",
                                    .detail = "This model does not do this; villanelle and ode do.",
                                    .field = "model"};
    case ERR_INPUT:
        if (fault == NULL || str_starts(str_from(fault->why), STR("prompt:")))
            return (struct web_problem){.status = 422,
                                        .code = "prompt_too_long",
                                        .detail = "This is longer than what the model can hold "
                                                  "beside an answer.",
                                        .field = text_field};
        return (struct web_problem){.status = 400,
                                    .code = "bad_value",
                                    .detail = fault->why,
                                    .field = endpoint == &lm_completions ? "response_format"
                                                                         : "machine_system"};
    case ERR_FULL:
        return (struct web_problem){.status = 503,
                                    .code = "overloaded",
                                    .detail = "Too many questions wait; come again later."};
    case ERR_TIMEOUT:
        return (struct web_problem){.status = 503,
                                    .code = "overloaded",
                                    .detail = "Its turn did not come in time; come again later."};
    case ERR_OK:
    case ERR_AGAIN:
    case ERR_NOMEM:
    case ERR_IO:
    case ERR_CONFLICT:
    case ERR_DENIED:
    case ERR_VERSION:
    default:
        return (struct web_problem){.status = 503,
                                    .code = "overloaded",
                                    .detail = "The model gave no answer; come again later."};
    }
}

static struct web_problem problem_of(const struct lm_ask *ask, enum err err,
                                     const struct lm_fault *fault)
{
    struct web_problem problem = lm_problem(ask->manner->endpoint, err, fault);
    return ask->manner->done_mark ? problem_v1(problem) : problem;
}

void lm_ask_begin(struct web_call *call, const struct lm_manner *manner, const struct lm_wish *wish)
{
    struct lm_fault fault = {0};
    struct lm_ask *ask = ask_create(call, manner, wish);
    if (ask == NULL) {
        web_reply_err(call, ERR_NOMEM);
        return;
    }
    call->more = ask;
    call->gone = call_gone;
    enum err err = barista_begin(call->web->barista, &wish->ask, &fault, model_piece, model_done,
                                 ask, &ask->wait);
    if (err == ERR_OK) {
        if (ask->stream && stream_begin(ask)) /* its turn may be some way off */
            stream_push(ask);
        return;
    }
    struct web_problem problem = problem_of(ask, err, &fault);
    answer_problem(ask, &problem);
}
