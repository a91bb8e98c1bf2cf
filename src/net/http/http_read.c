/* From bytes to requests. */
#include "net/http/http_int.h"
#include <string.h>

/* What is being looked at: a piece of the shared read buffer, or what the connection keeps in `in`.
 * `at` is the first byte that no request has used up. */
struct input {
    char *at;
    size_t len;
};

static void input_use(struct input *input, size_t len)
{
    input->at += len;
    input->len -= len;
}

static const struct http_head *head_parse_again(struct http_conn *conn, const char *at)
{
    struct http_server *server = conn->server;
    struct http_fault fault;
    if (server->head_owner != conn || server->head_at != at) {
        enum err err = http_head_parse(at, conn->head_bytes, &server->head, &fault);
        ASSERT(err == ERR_OK); /* it was checked when it came */
        server->head_owner = conn;
        server->head_at = at;
    }
    return &server->head;
}

static void request_begin(struct http_conn *conn, const struct http_head *head, size_t here_bytes)
{
    struct http_server *server = conn->server;
    struct http_request *req = &conn->request;
    *req = (struct http_request){
        .body_bytes_max = server->options.body_bytes_max,
        .content_length = head->content_length,
        .head_only = head->method == HTTP_HEAD,
        .old = head->minor == 0,
        .keep_alive = head->keep_alive,
        .chunked = head->chunked,
        .body_here = !head->chunked && here_bytes - conn->head_bytes >= head->content_length,
    };
    conn->body_bytes = 0;
    server->stats.requests++;
    conn->state = CONN_HANDLER;
    if (server->options.handler.on_head != NULL)
        server->options.handler.on_head(server->options.cookie, req);
}

static void body_begin(struct http_conn *conn, const struct http_head *head)
{
    static const struct http_fault too_large = {413, 0, "the body is too large"};
    struct http_request *req = &conn->request;
    struct http_server *server = conn->server;
    conn->state = CONN_BODY;
    http_chunked_init(&conn->chunked);
    if (req->content_length > req->body_bytes_max) {
        http_refuse(conn, &too_large);
        return;
    }
    if (req->body_here)
        return;
    if (head->expect_continue &&
        !http_out_send(conn, STR("HTTP/1.1 100 Continue\r\n\r\n"), &(struct http_body){0})) {
        http_conn_close(conn);
        return;
    }
    conn->begun_ms = http_now_ms(conn);
    http_deadline_set(conn, conn->begun_ms + server->options.body_timeout_ms +
                                http_rate_ms(conn, req->content_length));
}

/* True: something was used up, or the state has changed. */
static bool consume_head(struct http_conn *conn, struct input *input)
{
    struct http_server *server = conn->server;
    struct http_fault fault;
    size_t head_bytes;
    enum err err = http_head_scan(input->at, input->len, &conn->scanned, &head_bytes, &fault);
    if (err == ERR_AGAIN)
        return false;
    if (err == ERR_OK) {
        server->head_owner = NULL;
        err = http_head_parse(input->at, head_bytes, &server->head, &fault);
    }
    if (err != ERR_OK) {
        server->stats.malformed++;
        http_refuse(conn, &fault);
        return true;
    }
    server->head_owner = conn;
    server->head_at = input->at;
    conn->head_bytes = head_bytes;
    request_begin(conn, &server->head, input->len);
    if (conn->state == CONN_HANDLER)
        body_begin(conn, &server->head);
    else if (conn->request.body_here) /* answered before its body was looked at */
        input_use(input, head_bytes + (size_t)conn->request.content_length);
    return true;
}

static void request_whole(struct http_conn *conn, struct input *input, struct str body, size_t used)
{
    struct http_server *server = conn->server;
    struct http_request *req = &conn->request;
    head_parse_again(conn, input->at);
    req->body = body;
    req->body_here = true;
    http_deadline_clear(conn);
    conn->state = CONN_HANDLER;
    server->options.handler.on_request(server->options.cookie, req);
    server->head_owner = NULL;
    if (conn->state == CONN_HANDLER) /* neither answered nor parked */
        http_respond(req, &(struct http_answer){.status = 500});
    input_use(input, used);
}

/* Chunked: the decoded bytes move down to the end of the head, over the framing. */
static bool consume_chunks(struct http_conn *conn, struct input *input)
{
    static const struct http_fault malformed = {400, 0, "the chunked body is malformed"};
    static const struct http_fault too_large = {413, 0, "the body is too large"};
    struct http_request *req = &conn->request;
    char *body = input->at + conn->head_bytes;
    size_t raw = conn->head_bytes + conn->body_bytes;
    for (;;) {
        size_t used;
        struct str piece;
        enum err err =
            http_chunked_decode(&conn->chunked, input->at + raw, input->len - raw, &used, &piece);
        if (err == ERR_INPUT || conn->body_bytes + piece.len > req->body_bytes_max) {
            conn->server->stats.malformed += err == ERR_INPUT;
            http_refuse(conn, err == ERR_INPUT ? &malformed : &too_large);
            return true;
        }
        if (piece.len != 0)
            memmove(body + conn->body_bytes, piece.at, piece.len);
        conn->body_bytes += piece.len;
        raw += used;
        if (err == ERR_OK) {
            request_whole(conn, input, (struct str){body, conn->body_bytes}, raw);
            return true;
        }
        if (raw == input->len)
            break;
    }
    input->len = conn->head_bytes + conn->body_bytes;
    http_deadline_set(conn, conn->begun_ms + conn->server->options.body_timeout_ms +
                                http_rate_ms(conn, conn->body_bytes));
    return false;
}

static bool consume_body(struct http_conn *conn, struct input *input)
{
    if (conn->request.chunked)
        return consume_chunks(conn, input);
    size_t length = (size_t)conn->request.content_length;
    if (input->len - conn->head_bytes < length)
        return false;
    request_whole(conn, input, (struct str){input->at + conn->head_bytes, length},
                  conn->head_bytes + length);
    return true;
}

static void consume(struct http_conn *conn, struct input *input)
{
    conn->consuming = true;
    for (bool more = true; more;) {
        if (conn->state == CONN_IDLE && input->len != 0) {
            conn->state = CONN_HEAD;
            conn->scanned = 0;
        }
        if (conn->state == CONN_HEAD)
            more = consume_head(conn, input);
        else if (conn->state == CONN_BODY)
            more = consume_body(conn, input);
        else
            more = false;
    }
    conn->consuming = false;
    if (conn->state == CONN_HEAD && conn->begun_ms == 0) {
        conn->begun_ms = http_now_ms(conn);
        http_deadline_set(conn, conn->begun_ms + conn->server->options.head_timeout_ms);
    }
}

static bool keeps_input(const struct http_conn *conn)
{
    return conn->state != CONN_LINGER && conn->state != CONN_CLOSED;
}

static void keep(struct http_conn *conn, const char *bytes, size_t len)
{
    if (conn->in.cap == 0 && conn->in.len == 0)
        buf_init(&conn->in, 0);
    uint64_t body = conn->state == CONN_BODY ? conn->request.body_bytes_max : 0;
    conn->in.bytes_max =
        HTTP_HEAD_BYTES_MAX + HTTP_PIPELINE_MAX + 2 * HTTP_READ_BYTES + (size_t)body;
    if (buf_add(&conn->in, bytes, len) != ERR_OK)
        http_conn_lost(conn, ERR_NOMEM);
}

void http_read_kept(struct http_conn *conn)
{
    if (conn->in.len == 0)
        return;
    if (conn->state == CONN_UPGRADED) {
        if (conn->user == NULL || conn->paused)
            return;
        struct buf in = conn->in;
        conn->in = (struct buf){0};
        conn->user->on_bytes(conn->user_cookie, (const uint8_t *)in.at, in.len);
        buf_finish(&in);
        return;
    }
    struct input input = {conn->in.at, conn->in.len};
    consume(conn, &input);
    if (!keeps_input(conn))
        return;
    size_t used = (size_t)(input.at - conn->in.at);
    conn->in.len = used + input.len; /* chunked framing may have gone from its end */
    if (input.len == 0) {
        /* An idle or parked connection holds no buffer. */
        buf_finish(&conn->in);
        conn->in = (struct buf){0};
    } else {
        buf_consume(&conn->in, used);
    }
}

void http_read_bytes(struct http_conn *conn, char *bytes, size_t len)
{
    if (!keeps_input(conn))
        return;
    if (conn->state == CONN_UPGRADED && conn->in.len == 0 && conn->user != NULL && !conn->paused) {
        conn->user->on_bytes(conn->user_cookie, (const uint8_t *)bytes, len);
        return;
    }
    if (conn->in.len != 0) {
        keep(conn, bytes, len);
        http_read_kept(conn);
    } else {
        struct input input = {bytes, len};
        consume(conn, &input);
        if (input.len != 0 && keeps_input(conn))
            keep(conn, input.at, input.len);
    }
    if (conn->state == CONN_UPGRADED && conn->in.len != 0)
        http_conn_later(conn);
}
