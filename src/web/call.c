/* A call: a request on its way through the rooms. */
#include "web/json_in.h"
#include "web/web_int.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define SCRATCH_BYTES_MAX (512 * KIB)

int64_t web_now_ms(const struct web *web)
{
    return loop_wall_ms(web->loop);
}

int64_t web_mono_ms(const struct web *web)
{
    return loop_now_ms(web->loop);
}

struct access_by web_access_by(const struct web_call *call)
{
    return (struct access_by){str_from(call->actor), str_from(call->request_id),
                              web_now_ms(call->web)};
}

struct fleet_by web_fleet_by(const struct web_call *call)
{
    return (struct fleet_by){str_from(call->actor), str_from(call->request_id),
                             web_now_ms(call->web)};
}

static void call_gone(void *cookie)
{
    struct web_call *call = cookie;
    call->req = NULL;
    if (call->gone != NULL)
        call->gone(call);
}

static struct str copy(struct web_call *call, struct str text)
{
    if (text.len == 0)
        return STR_NONE;
    char *at = arena_strdup(&call->scratch, text);
    return at == NULL ? STR_NONE : (struct str){at, text.len};
}

/* "application/json", perhaps with a charset that is UTF-8. */
static bool content_type_good(struct str field)
{
    size_t end = str_find(field, ';');
    struct str type = str_slice(field, 0, end);
    while (type.len > 0 && type.at[type.len - 1] == ' ')
        type = str_slice(type, 0, type.len - 1);
    if (!str_equal_nocase(type, STR("application/json")))
        return false;
    struct str parameters = str_slice(field, end + 1, field.len);
    while (parameters.len > 0 && parameters.at[0] == ' ')
        parameters = str_slice(parameters, 1, parameters.len);
    return parameters.len == 0 || str_equal_nocase(parameters, STR("charset=utf-8")) ||
           str_equal_nocase(parameters, STR("charset=\"utf-8\""));
}

static bool body_read(struct web_call *call, struct str text, struct str content_type)
{
    if (call->route->body == WEB_BODY_NONE ||
        (call->route->body == WEB_BODY_OPTIONAL && text.len == 0))
        return true;
    if (!content_type_good(content_type)) {
        web_reply_code(call, 415, "bad_content_type", "The body must be application/json.");
        return false;
    }
    struct json_fault fault;
    enum err err = json_in(text, &call->body, &fault);
    if (err == ERR_OK)
        return true;
    if (err != ERR_INPUT) {
        web_reply_err(call, err);
        return false;
    }
    char detail[280];
    if (fault.line > 0)
        (void)snprintf(detail, sizeof(detail), "Line %u, column %u: %s", fault.line, fault.column,
                       fault.why);
    else
        (void)snprintf(detail, sizeof(detail), "The body cannot be read: %s", fault.why);
    web_reply_code(call, 400, "bad_json", detail);
    return false;
}

/* Most values are small: written once, where a first pass for the length would cost as much again.
 */
static struct str json_write(struct web_call *call, const json_t *value, size_t flags)
{
    char small[1024];
    size_t bytes = json_dumpb(value, small, sizeof(small), flags);
    char *text = bytes > 0 ? arena_alloc(&call->scratch, bytes + 1) : NULL;
    if (text == NULL)
        return STR_NONE;
    if (bytes <= sizeof(small))
        memcpy(text, small, bytes);
    else
        (void)json_dumpb(value, text, bytes, flags);
    return (struct str){text, bytes};
}

/* 1 to 255 visible characters; hashed is the body in one fixed form, so that a client that writes
 * its fields in another order when it asks again is still understood. */
static bool key_read(struct web_call *call, struct str key)
{
    if (key.at == NULL || call->body == NULL)
        return true;
    bool good = key.len >= 1 && key.len <= 255;
    for (size_t i = 0; good && i < key.len; i++)
        good = key.at[i] > 0x20 && key.at[i] < 0x7f;
    if (!good) {
        web_reply_code(call, 400, "bad_request",
                       "Idempotency-Key must be 1 to 255 visible characters.");
        return false;
    }
    call->idempotency_key = copy(call, key);
    struct str text = json_write(call, call->body, JSON_COMPACT | JSON_SORT_KEYS);
    if (text.at == NULL || call->idempotency_key.at == NULL) {
        web_reply_err(call, ERR_NOMEM);
        return false;
    }
    (void)crypto_generichash(call->body_hash, sizeof(call->body_hash), (const uint8_t *)text.at,
                             text.len, NULL, 0);
    return true;
}

static void call_fill(struct web_call *call, struct http_request *req,
                      const struct web_front *front)
{
    const struct http_head *head = http_request_head(req);
    call->route = front->match.route;
    call->caller = front->caller;
    call->caller.machine = NULL; /* good for this turn only */
    call->caller.token = STR_NONE;
    memcpy(call->request_id, front->request_id, sizeof(call->request_id));
    web_actor(&front->caller, call->actor);
    /* The route's match has checked it. */
    if (front->match.machine_id.at != NULL &&
        str_copy(call->machine_id, sizeof(call->machine_id), front->match.machine_id) != ERR_OK)
        call->machine_id[0] = 0;
    call->number = front->match.number;
    call->begun_us = front->begun_us;
    call->query = copy(call, head->query);
    struct str origin = http_header(req, STR("Origin"));
    if (web_origin_allowed(call->web, origin))
        call->origin = copy(call, origin);
    call->cookie_token = copy(call, access_cookie_find(http_header(req, STR("Cookie"))));
    call->announced_token = copy(call, front->caller.token);
    http_peer(req, call->peer);
    call->tls = http_is_tls(req);
}

static bool journal_read(struct web_call *call, struct str field)
{
    if (field.at == NULL || id128_parse(field, &call->journal_id) == ERR_OK)
        return true;
    web_reply_code(call, 400, "bad_request", "X-Journal-Id must be 32 hexadecimal digits.");
    return false;
}

static struct web_call *call_create(struct web *web)
{
    struct web_call *call = mem_zalloc(sizeof(*call));
    if (call == NULL)
        return NULL;
    call->web = web;
    arena_init(&call->scratch, SCRATCH_BYTES_MAX);
    buf_init(&call->answer, WEB_ANSWER_BYTES_MAX);
    call->out = (struct json_out){&call->answer, ERR_OK};
    call->next = web->calls;
    if (web->calls != NULL)
        web->calls->prev = call;
    web->calls = call;
    web->call_count++;
    return call;
}

static void copy_cut(char *dst, size_t dst_bytes, struct str text)
{
    if (str_copy(dst, dst_bytes, str_slice(text, 0, dst_bytes - 1)) != ERR_OK)
        dst[0] = 0;
}

struct web_call *web_call_message(struct web *web, const struct web_message *message)
{
    struct web_call *call = call_create(web);
    if (call == NULL) {
        json_decref(message->body);
        return NULL;
    }
    call->route = message->route;
    call->caller = message->caller;
    call->caller.machine = NULL;
    call->announced_token = copy(call, message->caller.token);
    call->caller.token = STR_NONE;
    call->number = message->number;
    call->body = message->body;
    call->begun_us = sys_mono_us();
    call->answered = message->answered;
    call->answered_cookie = message->cookie;
    copy_cut(call->request_id, sizeof(call->request_id), str_from(message->request_id));
    copy_cut(call->actor, sizeof(call->actor), message->actor);
    copy_cut(call->machine_id, sizeof(call->machine_id), message->machine_id);
    return call;
}

struct web_call *web_call_begin(struct web *web, struct http_request *req,
                                const struct web_front *front)
{
    struct web_call *call = call_create(web);
    if (call == NULL) {
        web_problem_now(web, req, front,
                        &(struct web_problem){.status = 503,
                                              .code = "overloaded",
                                              .detail = "Out of memory; come again later."});
        return NULL;
    }
    call->req = req;
    call_fill(call, req, front);
    /* Everything the request holds is read before it is parked. */
    if (!body_read(call, http_body(req), http_header(req, STR("Content-Type"))) ||
        !key_read(call, http_header(req, STR("Idempotency-Key"))) ||
        !journal_read(call, http_header(req, STR("X-Journal-Id"))))
        return NULL;
    http_park(req, call_gone, call);
    return call;
}

/* ---- reading what a call carries ---- */

void web_read_body(struct web_call *call, struct kinds_reader *reader,
                   struct kinds_refusal *refusal)
{
    kinds_read_begin(reader, call->body != NULL ? call->body : call->web->empty, "", refusal);
}

bool web_read_end(struct web_call *call, struct kinds_reader *reader)
{
    if (kinds_read_end(reader))
        return true;
    web_reply_refusal(call, reader->refusal);
    return false;
}

bool web_read_query(struct web_call *call, const char *name, struct str *ret_value)
{
    struct str value;
    *ret_value = STR_NONE;
    if (http_query_find(call->query, str_from(name), &value) != ERR_OK)
        return true;
    char *decoded = arena_alloc(&call->scratch, value.len + 1);
    size_t len = 0;
    if (decoded == NULL ||
        http_percent_decode(value, true, decoded, value.len + 1, &len) != ERR_OK) {
        web_reply_problem(call, &(struct web_problem){.status = 400,
                                                      .code = "bad_request",
                                                      .detail = "This parameter cannot be read.",
                                                      .field = name});
        return false;
    }
    *ret_value = (struct str){decoded, len};
    return true;
}

bool web_read_page(struct web_call *call, uint32_t *ret_limit, struct str *ret_cursor)
{
    struct str limit;
    uint64_t value = 50;
    if (!web_read_query(call, "limit", &limit) || !web_read_query(call, "cursor", ret_cursor))
        return false;
    if (limit.at != NULL && (str_to_u64(limit, &value) != ERR_OK || value < 1 || value > 200)) {
        web_reply_problem(call, &(struct web_problem){.status = 400,
                                                      .code = "bad_value",
                                                      .detail = "A page has 1 to 200 entries.",
                                                      .field = "limit"});
        return false;
    }
    *ret_limit = (uint32_t)value;
    return true;
}

struct str web_json_text(struct web_call *call, const json_t *value)
{
    /* 15 digits give a decimal fraction back as it came: 0.007, not 0.0070000000000000001. */
    return value == NULL ? STR_NONE
                         : json_write(call, value, JSON_COMPACT | JSON_REAL_PRECISION(15));
}

/* ---- machines at first mention ---- */

struct needed {
    struct web_call *call;
    void (*next)(struct web_call *call, const struct fleet_machine *machine);
};

static void machine_made(void *cookie, enum err err, const struct fleet_machine *machine)
{
    struct needed *needed = cookie;
    struct web_call *call = needed->call;
    if (err == ERR_OK)
        needed->next(call, machine);
    else
        web_reply_err(call, err);
}

void web_machine_needed(struct web_call *call, struct str kind,
                        void (*next)(struct web_call *call, const struct fleet_machine *machine))
{
    struct web *web = call->web;
    const struct fleet_machine *machine = fleet_find(web->fleet, str_from(call->machine_id));
    if (machine != NULL) {
        next(call, machine);
        return;
    }
    if (!call->caller.open) {
        web_reply_code(call, 404, "unknown_machine", "There is no machine of this name.");
        return;
    }
    struct needed *needed = arena_alloc(&call->scratch, sizeof(*needed));
    enum err err = ERR_NOMEM;
    if (needed != NULL) {
        *needed = (struct needed){call, next};
        err = fleet_machine_ensure(web->fleet, web_fleet_by(call), str_from(call->machine_id), kind,
                                   machine_made, needed);
    }
    if (err != ERR_OK)
        web_reply_err(call, err);
}

bool web_speaks_for(struct web_call *call, struct str machine_id)
{
    if (call->caller.open || str_equal(str_from(call->caller.machine_id), machine_id))
        return true;
    web_reply_code(call, 403, "foreign_machine", "This token belongs to another machine.");
    return false;
}
