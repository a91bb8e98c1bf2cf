/* Answers in pieces. */
#include "net/http/http_int.h"
#include <string.h>

void http_stream_begin(struct http_request *req, const struct http_answer *head,
                       const struct http_stream_user *user, void *cookie)
{
    struct http_conn *conn = http_conn_of(req);
    ASSERT(!conn->orphaned); /* a request that will be streamed is parked with on_gone */
    ASSERT(conn->state == CONN_HANDLER || conn->state == CONN_PARKED);
    struct http_answer answer = *head;
    answer.body = STR_NONE;
    answer.body_free = NULL;
    http_request_over(conn);
    conn->unread = !req->body_here;
    conn->close_after =
        head->close || !req->keep_alive || conn->unread || req->old || conn->server->stopping;
    req->stream_chunked = !req->old;
    req->stream_user = user;
    req->cookie = cookie;
    conn->state = CONN_STREAM;
    http_deadline_clear(conn);
    enum http_framing framing = req->stream_chunked ? HTTP_BY_CHUNKS : HTTP_BY_CLOSE;
    struct str text = http_answer_head(conn, &answer, framing);
    if (text.len == 0) {
        answer = (struct http_answer){.status = 500};
        text = http_answer_head(conn, &answer, framing);
    }
    if (!http_out_send(conn, text, &(struct http_body){0})) {
        conn->lost = true;
        http_conn_later(conn);
    } else if (http_out_pending(conn)) {
        http_out_deadline(conn);
    }
    http_conn_interest(conn);
}

static enum err stream_send(struct http_conn *conn, struct str frame)
{
    bool waited = http_out_pending(conn);
    if (!http_out_send(conn, frame, &(struct http_body){0})) {
        conn->lost = true;
        http_conn_later(conn);
        return ERR_CLOSED;
    }
    if (!waited && http_out_pending(conn)) {
        http_out_deadline(conn);
        http_conn_interest(conn);
    }
    return ERR_OK;
}

enum err http_stream_write(struct http_request *req, struct str bytes)
{
    struct http_conn *conn = http_conn_of(req);
    struct http_server *server = conn->server;
    if (conn->state != CONN_STREAM || conn->lost)
        return ERR_CLOSED;
    if (bytes.len == 0 || req->head_only)
        return ERR_OK;
    if (conn->out_bytes != 0 && conn->out_bytes + bytes.len > server->options.stream_queued_max) {
        conn->want_room = true;
        return ERR_FULL;
    }
    if (!req->stream_chunked)
        return stream_send(conn, bytes);
    /* Size line and bytes leave in one write where they fit beside each other. */
    static const char digits[] = "0123456789abcdef";
    char line[20];
    size_t at = sizeof(line);
    line[--at] = '\n';
    line[--at] = '\r';
    for (size_t left = bytes.len; left != 0; left >>= 4)
        line[--at] = digits[left & 15];
    struct str size = {line + at, sizeof(line) - at};
    if (size.len + bytes.len + 2 <= sizeof(server->scratch)) {
        memcpy(server->scratch, size.at, size.len);
        memcpy(server->scratch + size.len, bytes.at, bytes.len);
        memcpy(server->scratch + size.len + bytes.len, "\r\n", 2);
        return stream_send(conn, (struct str){server->scratch, size.len + bytes.len + 2});
    }
    enum err err = stream_send(conn, size);
    if (err == ERR_OK)
        err = stream_send(conn, bytes);
    return err == ERR_OK ? stream_send(conn, STR("\r\n")) : err;
}

void http_stream_end(struct http_request *req)
{
    struct http_conn *conn = http_conn_of(req);
    ASSERT(conn->state == CONN_STREAM);
    if (!conn->lost && req->stream_chunked && !req->head_only)
        (void)stream_send(conn, STR("0\r\n\r\n"));
    http_request_over(conn);
    conn->state = CONN_FLUSH;
    if (conn->lost) {
        http_conn_close(conn);
    } else if (http_out_pending(conn)) {
        http_out_deadline(conn);
        http_conn_interest(conn);
    } else {
        http_deadline_clear(conn);
        http_conn_next(conn);
    }
}

void http_stream_abort(struct http_request *req)
{
    struct http_conn *conn = http_conn_of(req);
    ASSERT(conn->state == CONN_STREAM);
    http_conn_close(conn);
}
