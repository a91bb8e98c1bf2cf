/* The front door: from a request to its route. */
#include "web/front_int.h"

#include <string.h>

static bool id_sane(struct str id)
{
    if (id.len == 0 || id.len >= WEB_REQUEST_ID_BYTES)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.at[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_' || c == '.';
        if (!good)
            return false;
    }
    return true;
}

/* The caller's own id when it is a harmless word, so that its log and ours can be laid side by
 * side; otherwise a new one.  Unique, not secret. */
static void request_id_set(struct web *web, const struct http_request *req,
                           char dst[WEB_REQUEST_ID_BYTES])
{
    struct str given = http_header(req, STR("X-Request-Id"));
    if (id_sane(given)) {
        memcpy(dst, given.at, given.len);
        dst[given.len] = 0;
        return;
    }
    uint64_t x = web->request_salt + ++web->request_count * UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 31; /* a bijection: two counts never give one id */
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(x >> (56 - 8 * i));
    hex_encode(dst, bytes, sizeof(bytes));
}

static bool is_api(struct str path)
{
    return str_starts(path, STR("/api/")) || str_equal(path, STR("/api")) || web_path_v1(path);
}

/* What a browser asks before another origin's page may call, and what a path takes. */
static void options_answer(struct web *web, struct http_request *req, struct web_front *front)
{
    struct http_field fields[WEB_FIELDS_MAX + 4];
    struct str origin = http_header(req, STR("Origin"));
    if (!web_origin_allowed(web, origin))
        origin = STR_NONE;
    size_t count = web_fields_common(web, front->request_id, origin, false, fields);
    char allow[80];
    web_route_allow(http_request_head(req)->path, allow, sizeof(allow));
    fields[count++] = (struct http_field){STR("Allow"), str_from(allow)};
    if (origin.at != NULL) {
        fields[count++] = (struct http_field){STR("Access-Control-Allow-Methods"), str_from(allow)};
        fields[count++] = (struct http_field){
            STR("Access-Control-Allow-Headers"),
            STR("Authorization, Content-Type, Idempotency-Key, X-CSRF-Token, X-Device-Token, "
                "X-Journal-Id, X-Request-Id")};
        fields[count++] = (struct http_field){STR("Access-Control-Max-Age"), STR("600")};
    }
    web_log_request(web, front->request_id, "OPTIONS", 204, front->begun_us, true, "-");
    http_respond(req, &(struct http_answer){.status = 204, .fields = fields, .field_count = count});
}

static void no_route(struct web *web, struct http_request *req, struct web_front *front)
{
    const struct http_head *head = http_request_head(req);
    bool reads = head->method == HTTP_GET || head->method == HTTP_HEAD;
    struct web_problem problem = {
        .status = 404, .code = "not_found", .detail = "There is nothing at this path."};
    if (head->method == HTTP_OPTIONS) {
        options_answer(web, req, front);
        return;
    }
    bool elsewhere = !is_api(head->path) && !reads; /* files are only read */
    if (front->match.path_known || (elsewhere && !front->match.argument_bad))
        problem = (struct web_problem){.status = 405,
                                       .code = "method_not_allowed",
                                       .detail = "This path does not take this method."};
    else if (front->match.argument_bad)
        problem = (struct web_problem){.status = 400,
                                       .code = "bad_request",
                                       .detail = "The path has no readable name or number."};
    else if (!is_api(head->path) && web_page(web, req, front))
        return;
    web_problem_now(web, req, front, &problem);
}

void web_on_request(void *cookie, struct http_request *req)
{
    struct web *web = cookie;
    struct web_front front;
    struct web_problem problem;
    const struct http_head *head = http_request_head(req);
    front.begun_us = sys_mono_us();
    request_id_set(web, req, front.request_id);
    web_route_match(head->method, head->path, &front.match);
    if (front.match.route == NULL) {
        no_route(web, req, &front);
        return;
    }
    if (!web_identify(web, req, front.match.route, &front.caller, &problem) ||
        !web_authorise(web, req, &front, &problem)) {
        web_problem_now(web, req, &front, &problem);
        return;
    }
    char name[WEB_PARAMETER_BYTES];
    if (head->query.len > 0 && !web_route_query(front.match.route, head->query, name)) {
        problem = (struct web_problem){.status = 400,
                                       .code = "bad_request",
                                       .detail = "There is no such parameter here, or it is given "
                                                 "twice.",
                                       .field = name};
        web_problem_now(web, req, &front, &problem);
        return;
    }
    if (front.match.route->quick != NULL) {
        front.match.route->quick(web, req, &front);
        return;
    }
    struct web_call *call = web_call_begin(web, req, &front);
    if (call != NULL)
        front.match.route->handle(call);
}

/* Two seconds of sound are more than any other body. */
static bool carries_sound(struct str path)
{
    struct str end = STR("/readings");
    return str_starts(path, STR("/api/machines/")) && path.len > end.len &&
           str_equal(str_slice(path, path.len - end.len, path.len), end);
}

/* A body that is said to be too large is refused before it is sent. */
void web_on_head(void *cookie, struct http_request *req)
{
    struct web *web = cookie;
    size_t bytes_max =
        carries_sound(http_request_head(req)->path) ? WEB_READINGS_BYTES_MAX : WEB_BODY_BYTES_MAX;
    http_body_limit(req, bytes_max);
    if (http_request_head(req)->content_length <= bytes_max)
        return;
    struct web_front front = {.begun_us = sys_mono_us()};
    request_id_set(web, req, front.request_id);
    web_problem_now(web, req, &front,
                    &(struct web_problem){.status = 413,
                                          .code = "too_large",
                                          .detail = "A body has 65536 bytes at most; one "
                                                    "with readings 196608."});
}
