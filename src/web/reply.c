/* Answers: the fields every one has, and problem documents. */
#include "web/web_int.h"

#include <string.h>

/* Scripts, styles and pictures of our own only; no frame anywhere; sockets and calls to us. */
#define PAGE_POLICY                                                                                \
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' "     \
    "data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; " \
    "form-action 'self'; frame-ancestors 'none'"

#define STATUS_LEFT 499 /* in the log only: the client did not wait for an answer */

const char *web_status_title(uint16_t status)
{
    static const struct {
        uint16_t status;
        const char *title;
    } titles[] = {
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {503, "Service Unavailable"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(titles); i++) {
        if (titles[i].status == status)
            return titles[i].title;
    }
    return "Internal Server Error";
}

size_t web_fields_common(struct web *web, const char *request_id, struct str origin, bool page,
                         struct http_field *fields)
{
    size_t count = 0;
    fields[count++] = (struct http_field){STR("X-Request-Id"), str_from(request_id)};
    fields[count++] = (struct http_field){STR("X-Content-Type-Options"), STR("nosniff")};
    if (page) {
        fields[count++] = (struct http_field){STR("Content-Security-Policy"), STR(PAGE_POLICY)};
        fields[count++] = (struct http_field){STR("Referrer-Policy"), STR("no-referrer")};
        fields[count++] =
            (struct http_field){STR("Cross-Origin-Opener-Policy"), STR("same-origin")};
        return count;
    }
    fields[count++] = (struct http_field){STR("Cache-Control"), STR("no-store")};
    if (web->options.cors_origins != NULL)
        fields[count++] = (struct http_field){STR("Vary"), STR("Origin")};
    if (origin.at != NULL) {
        fields[count++] = (struct http_field){STR("Access-Control-Allow-Origin"), origin};
        fields[count++] = (struct http_field){STR("Access-Control-Expose-Headers"),
                                              STR("X-Request-Id, Retry-After")};
    }
    return count;
}

static const char *level_key(uint16_t status)
{
    return status >= 500 ? "failed" : "request";
}

void web_log_request(struct web *web, const char *request_id, const char *route, uint16_t status,
                     int64_t begun_us, bool poll, const char *actor)
{
    web->metrics.by_class[status / 100 < 6 ? status / 100 : 5]++;
    int64_t us = sys_mono_us() - begun_us;
    metrics_observe(&web->metrics.request_s, (double)us / 1e6);
    enum log_level level = status >= 500 ? LOG_WARN : poll ? LOG_DEBUG : LOG_INFO;
    log_line(level, level_key(status), "request_id", "%s", request_id, "route", "%s", route,
             "status", "%d", (int)status, "actor", "%s", actor, "us", "%lld", (long long)us, NULL);
}

static void problem_json(struct json_out *out, const char *request_id,
                         const struct web_problem *problem)
{
    out_open(out, NULL, '{');
    out_word(out, "type", "about:blank");
    out_word(out, "title", web_status_title(problem->status));
    out_i64(out, "status", problem->status);
    out_word(out, "code", problem->code);
    out_word(out, "detail", problem->detail);
    if (problem->field != NULL && problem->field[0] != 0)
        out_word(out, "field", problem->field);
    out_word(out, "request_id", request_id);
    if (problem->checks.len > 0)
        out_raw(out, "checks", problem->checks, "[]");
    out_close(out, '}');
}

bool web_path_v1(struct str path)
{
    return str_starts(path, STR("/v1/"));
}

/* {"error": {"message", "type", "param", "code"}} */
void web_problem_v1(struct json_out *out, const struct web_problem *problem)
{
    bool named = problem->field != NULL && problem->field[0] != 0;
    const char *type = problem->status == 401   ? "authentication_error"
                       : problem->status == 403 ? "permission_error"
                       : problem->status == 429 ? "rate_limit_error"
                       : problem->status >= 500 ? "server_error"
                                                : "invalid_request_error";
    out_open(out, NULL, '{');
    out_open(out, "error", '{');
    out_word(out, "message", problem->detail);
    out_word(out, "type", type);
    out_text(out, "param", named ? str_from(problem->field) : STR_NONE);
    out_word(out, "code", problem->code);
    out_close(out, '}');
    out_close(out, '}');
}

/* What a problem's status asks for beside the document. */
static size_t problem_fields(const struct web_problem *problem, char retry[16],
                             struct http_field *fields)
{
    size_t count = 0;
    if (problem->status == 401)
        fields[count++] =
            (struct http_field){STR("WWW-Authenticate"), STR("Bearer realm=\"automat\"")};
    uint32_t seconds = problem->retry_after_s;
    if (seconds == 0 && (problem->status == 503 || problem->status == 429))
        seconds = WEB_RETRY_AFTER_S;
    if (seconds > 0) {
        struct text text;
        text_init(&text, retry, 16);
        text_add_u64(&text, seconds);
        fields[count++] = (struct http_field){STR("Retry-After"), {text.at, text.len}};
    }
    return count;
}

void web_problem_now(struct web *web, struct http_request *req, const struct web_front *front,
                     const struct web_problem *problem)
{
    struct http_field fields[WEB_FIELDS_MAX];
    char retry[16];
    struct str origin = http_header(req, STR("Origin"));
    if (!web_origin_allowed(web, origin))
        origin = STR_NONE;
    size_t count = web_fields_common(web, front->request_id, origin, false, fields);
    count += problem_fields(problem, retry, fields + count);
    char allow[64];
    if (problem->status == 405) {
        web_route_allow(http_request_head(req)->path, allow, sizeof(allow));
        fields[count++] = (struct http_field){STR("Allow"), str_from(allow)};
    }
    struct buf body;
    buf_init(&body, 4 * KIB);
    struct json_out out = {&body, ERR_OK};
    bool v1 = web_path_v1(http_request_head(req)->path);
    if (v1)
        web_problem_v1(&out, problem);
    else
        problem_json(&out, front->request_id, problem);
    web_log_request(web, front->request_id,
                    front->match.route != NULL ? front->match.route->pattern : "-", problem->status,
                    front->begun_us, false, problem->code);
    http_respond(req, &(struct http_answer){.status = problem->status,
                                            .content_type = v1 ? STR("application/json")
                                                               : STR("application/problem+json"),
                                            .fields = fields,
                                            .field_count = count,
                                            .body = buf_str(&body)});
    buf_finish(&body);
}

/* ---- answers to a call ---- */

static void call_free(struct web_call *call)
{
    struct web *web = call->web;
    if (call->prev != NULL)
        call->prev->next = call->next;
    else
        web->calls = call->next;
    if (call->next != NULL)
        call->next->prev = call->prev;
    web->call_count--;
    json_decref(call->body);
    buf_finish(&call->answer);
    arena_finish(&call->scratch);
    mem_free(call);
    web_stop_check(web);
}

void web_calls_drop(struct web *web)
{
    while (web->calls != NULL)
        call_free(web->calls);
}

/* A call that came as a message: its own log line, since it is no HTTP answer. */
static void respond_message(struct web_call *call, uint16_t status, struct str body)
{
    enum log_level level = status >= 500 ? LOG_WARN : call->quiet ? LOG_DEBUG : LOG_INFO;
    log_line(level, level_key(status), "request_id", "%s", call->request_id, "route", "%s",
             call->route->pattern, "status", "%d", (int)status, "actor", "%s", call->actor, "us",
             "%lld", (long long)(sys_mono_us() - call->begun_us), NULL);
    call->answered(call, status, body);
    call_free(call);
}

static void respond(struct web_call *call, uint16_t status, struct str content_type,
                    struct str body, const struct http_field *more, size_t more_count)
{
    if (call->answered != NULL) {
        respond_message(call, status, body);
        return;
    }
    struct http_field fields[WEB_FIELDS_MAX + 4];
    size_t count = web_fields_common(call->web, call->request_id, call->origin, false, fields);
    for (size_t i = 0; i < more_count; i++)
        fields[count++] = more[i];
    web_log_request(call->web, call->request_id, call->route->pattern, status, call->begun_us,
                    call->quiet, call->actor);
    if (call->req != NULL) {
        struct http_request *req = call->req;
        call->req = NULL;
        http_respond(req, &(struct http_answer){.status = status,
                                                .content_type = content_type,
                                                .fields = fields,
                                                .field_count = count,
                                                .body = body});
    }
    call_free(call);
}

void web_call_left(struct web_call *call)
{
    web_log_request(call->web, call->request_id, call->route->pattern, STATUS_LEFT, call->begun_us,
                    call->quiet, call->actor);
    call_free(call);
}

void web_call_streams(struct web_call *call)
{
    web_log_request(call->web, call->request_id, call->route->pattern, 200, call->begun_us,
                    call->quiet, call->actor);
    call->req = NULL;
    call_free(call);
}

void web_reply(struct web_call *call, const struct web_reply *reply)
{
    struct http_field field = {STR("Set-Cookie"), reply->set_cookie};
    respond(call, reply->status, reply->content_type, reply->body, &field,
            reply->set_cookie.at != NULL ? 1 : 0);
}

void web_reply_json(struct web_call *call, uint16_t status)
{
    if (call->out.err != ERR_OK) {
        web_reply_err(call, call->out.err);
        return;
    }
    respond(call, status, STR("application/json"), buf_str(&call->answer), NULL, 0);
}

void web_reply_empty(struct web_call *call, uint16_t status)
{
    respond(call, status, STR_NONE, STR_NONE, NULL, 0);
}

void web_reply_problem(struct web_call *call, const struct web_problem *problem)
{
    struct http_field more[3];
    char retry[16];
    size_t count = problem_fields(problem, retry, more);
    call->answer.len = 0; /* an answer that was begun is not this one */
    call->out.err = ERR_OK;
    bool v1 = web_path_v1(str_from(call->route->pattern));
    if (v1)
        web_problem_v1(&call->out, problem);
    else
        problem_json(&call->out, call->request_id, problem);
    call->quiet = false;
    respond(call, problem->status, v1 ? STR("application/json") : STR("application/problem+json"),
            buf_str(&call->answer), more, count);
}

void web_reply_code(struct web_call *call, uint16_t status, const char *code, const char *detail)
{
    web_reply_problem(call,
                      &(struct web_problem){.status = status, .code = code, .detail = detail});
}

static bool code_is_malformed(const char *code)
{
    static const char *const codes[] = {"wrong_type", "missing_field", "unknown_field", "bad_value",
                                        "bad_request"};
    for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
        if (strcmp(codes[i], code) == 0)
            return true;
    }
    return false;
}

void web_reply_refusal(struct web_call *call, const struct kinds_refusal *refusal)
{
    web_reply_problem(call,
                      &(struct web_problem){.status = code_is_malformed(refusal->code) ? 400 : 422,
                                            .code = refusal->code,
                                            .detail = refusal->sentence,
                                            .field = refusal->field});
}

void web_reply_err(struct web_call *call, enum err err)
{
    switch (err) {
    case ERR_FULL:
    case ERR_NOMEM:
        web_reply_code(call, 503, "overloaded", "Too much is waiting; come again later.");
        return;
    case ERR_IO:
        web_reply_code(call, 503, "store_failed",
                       "The database could not be written; nothing was changed.");
        return;
    case ERR_CLOSED:
        web_reply_code(call, 503, "stopping", "The server is shutting down.");
        return;
    case ERR_NOT_FOUND:
        web_reply_code(call, 404, "not_found", "There is no such thing.");
        return;
    case ERR_DENIED:
        web_reply_code(call, 403, "forbidden", "Not with these rights.");
        return;
    case ERR_INPUT:
        web_reply_code(call, 400, "bad_value", "A value cannot be meant.");
        return;
    case ERR_OK:
    case ERR_AGAIN:
    case ERR_REFUSED:
    case ERR_CONFLICT:
    case ERR_TIMEOUT:
    case ERR_VERSION:
    default:
        log_line(LOG_ERROR, "unexpected", "request_id", "%s", call->request_id, "err", "%s",
                 err_name(err), NULL);
        web_reply_code(call, 500, "internal", "The server made a mistake.");
        return;
    }
}

void web_reply_verdict(struct web_call *call, enum queue_verdict verdict)
{
    uint16_t status = verdict == QUEUE_NO_COMMAND ? 404 : verdict == QUEUE_FOREIGN ? 403 : 409;
    web_reply_code(call, status, queue_verdict_code(verdict), queue_verdict_text(verdict));
}
