/* Answers: their heads, and what becomes of the connection after them. */
#include "net/http/http_int.h"
#include <string.h>
#include <time.h>

const char *http_reason(uint16_t status)
{
    static const struct {
        uint16_t status;
        const char *reason;
    } table[] = {
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {205, "Reset Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        if (table[i].status == status)
            return table[i].reason;
    }
    return "Status";
}

static struct str date_text(struct http_server *server)
{
    int64_t now_s = loop_wall_ms(server->loop) / 1000;
    if (now_s != server->date_s) {
        struct tm tm;
        time_t when = (time_t)now_s;
        gmtime_r(&when, &tm);
        strftime(server->date, sizeof(server->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        server->date_s = now_s;
    }
    return str_from(server->date);
}

static bool bodiless(uint16_t status)
{
    return status < 200 || status == 204 || status == 304;
}

static void add_field(struct text *text, struct str name, struct str value)
{
    text_add(text, name);
    text_add(text, STR(": "));
    text_add(text, value);
    text_add(text, STR("\r\n"));
}

static void add_framing(struct http_conn *conn, const struct http_answer *answer,
                        enum http_framing framing, struct text *text)
{
    if (answer->status == 101) {
        text_add(text, STR("Connection: Upgrade\r\n"));
        return;
    }
    if (framing == HTTP_BY_CHUNKS) {
        text_add(text, STR("Transfer-Encoding: chunked\r\n"));
    } else if (framing == HTTP_BY_CLOSE) {
        /* nothing to say */
    } else if (!bodiless(answer->status) || (answer->status == 304 && answer->body.len != 0)) {
        text_add(text, STR("Content-Length: "));
        text_add_u64(text, answer->body.len);
        text_add(text, STR("\r\n"));
    }
    if (conn->close_after)
        text_add(text, STR("Connection: close\r\n"));
    else if (conn->request.old)
        text_add(text, STR("Connection: keep-alive\r\n"));
}

struct str http_answer_head(struct http_conn *conn, const struct http_answer *answer,
                            enum http_framing framing)
{
    struct http_server *server = conn->server;
    struct text text;
    text_init(&text, server->scratch, HTTP_ANSWER_HEAD_MAX);
    text_add(&text, STR("HTTP/1.1 "));
    text_add_u64(&text, answer->status);
    text_add_char(&text, ' ');
    text_add(&text, str_from(http_reason(answer->status)));
    text_add(&text, STR("\r\n"));
    add_field(&text, STR("Date"), date_text(server));
    if (answer->content_type.len != 0) {
        if (!http_value_valid(answer->content_type))
            return STR_NONE;
        add_field(&text, STR("Content-Type"), answer->content_type);
    }
    for (size_t i = 0; i < answer->field_count; i++) {
        const struct http_field *field = &answer->fields[i];
        if (!http_token_valid(field->name) || !http_value_valid(field->value))
            return STR_NONE;
        add_field(&text, field->name, field->value);
    }
    add_framing(conn, answer, framing, &text);
    text_add(&text, STR("\r\n"));
    return text.overflow ? STR_NONE : (struct str){text.at, text.len};
}

void http_request_over(struct http_conn *conn)
{
    if (conn->state == CONN_PARKED)
        conn->server->stats.parked--;
    conn->request.on_gone = NULL;
    conn->request.stream_user = NULL;
    conn->want_room = false;
}

static void answer_free(const struct http_answer *answer)
{
    if (answer->body_free != NULL)
        answer->body_free(answer->body_owner);
}

/* Send a whole answer; the connection goes on or ends as `close_after` says. */
static void answer_send(struct http_conn *conn, const struct http_answer *answer)
{
    struct http_body body = {.bytes = answer->body,
                             .stays = answer->body_stays,
                             .body_free = answer->body_free,
                             .owner = answer->body_owner};
    struct str head = http_answer_head(conn, answer, HTTP_BY_LENGTH);
    if (head.len == 0) {
        answer_free(answer);
        body = (struct http_body){0};
        head = http_answer_head(conn, &(struct http_answer){.status = 500}, HTTP_BY_LENGTH);
    }
    if (conn->request.head_only || bodiless(answer->status))
        body.bytes = STR_NONE;
    bool sent = http_out_send(conn, head, &body);
    http_request_over(conn);
    if (!sent) {
        conn->state = CONN_FLUSH; /* answered: nobody is to be told */
        http_conn_close(conn);
    } else if (http_out_pending(conn)) {
        conn->state = CONN_FLUSH;
        http_out_deadline(conn);
        http_conn_interest(conn);
    } else {
        conn->state = CONN_FLUSH;
        http_conn_next(conn);
    }
}

void http_respond(struct http_request *req, const struct http_answer *answer)
{
    struct http_conn *conn = http_conn_of(req);
    if (conn->orphaned) {
        answer_free(answer);
        conn->orphaned = false;
        if (conn->freed)
            mem_free(conn);
        return;
    }
    ASSERT(conn->state == CONN_HANDLER || conn->state == CONN_PARKED);
    ASSERT(answer->status >= 200 && answer->status <= 599);
    conn->unread = !req->body_here;
    conn->close_after = answer->close || !req->keep_alive || conn->unread || conn->server->stopping;
    answer_send(conn, answer);
}

/* ---- refusals
 * ------------------------------------------------------------------------------------------------
 */

static const char *fault_code(uint16_t status)
{
    switch (status) {
    case 408:
        return "timeout";
    case 413:
        return "body_too_large";
    case 414:
        return "target_too_long";
    case 417:
        return "expectation_failed";
    case 431:
        return "head_too_large";
    case 501:
        return "method_unknown";
    case 505:
        return "version_unknown";
    default:
        return "malformed";
    }
}

/* What the server itself has to say: the request never reached its handler, or has no end that we
 * can trust. */
void http_refuse(struct http_conn *conn, const struct http_fault *fault)
{
    char storage[384];
    struct text text;
    text_init(&text, storage, sizeof(storage));
    text_add(&text, STR("{\"type\":\"about:blank\",\"title\":\""));
    text_add(&text, str_from(http_reason(fault->status)));
    text_add(&text, STR("\",\"status\":"));
    text_add_u64(&text, fault->status);
    text_add(&text, STR(",\"code\":\""));
    text_add(&text, str_from(fault_code(fault->status)));
    text_add(&text, STR("\",\"detail\":\""));
    text_add(&text, str_from(fault->why));
    text_add(&text, STR("\"}"));
    ASSERT(!text.overflow);
    if (conn->state == CONN_HEAD) /* what the request before it was says nothing about this one */
        conn->request = (struct http_request){0};
    conn->unread = conn->close_after = true;
    answer_send(conn, &(struct http_answer){.status = fault->status,
                                            .content_type = STR("application/problem+json"),
                                            .body = {text.at, text.len}});
}
