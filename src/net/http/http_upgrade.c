/* A connection as somebody's byte stream. */
#include "net/http/http_int.h"

static struct http_conn *conn_of(struct stream *stream)
{
    return CONTAINER(stream, struct http_conn, stream);
}

static void upgraded_open(struct stream *stream, const struct stream_user *user, void *cookie)
{
    struct http_conn *conn = conn_of(stream);
    conn->user = user;
    conn->user_cookie = cookie;
    if (conn->in.len != 0 || conn->lost)
        http_conn_later(conn);
}

static size_t upgraded_write(struct stream *stream, const uint8_t *bytes, size_t len)
{
    struct http_conn *conn = conn_of(stream);
    if (conn->state != CONN_UPGRADED || conn->lost)
        return len; /* on_gone is on its way */
    ssize_t taken = http_out_some(conn, (const char *)bytes, len);
    if (taken < 0) {
        conn->lost = true;
        http_conn_later(conn);
        return len;
    }
    if ((size_t)taken < len || http_out_pending(conn)) {
        if (conn->due_ms == HTTP_NEVER)
            http_out_deadline(conn);
        conn->want_room = (size_t)taken < len;
        http_conn_interest(conn);
    }
    return (size_t)taken;
}

static void upgraded_pause(struct stream *stream, bool paused)
{
    struct http_conn *conn = conn_of(stream);
    conn->paused = paused;
    if (!paused && conn->in.len != 0)
        http_conn_later(conn);
    http_conn_interest(conn);
}

static void upgraded_close(struct stream *stream)
{
    struct http_conn *conn = conn_of(stream);
    if (conn->state != CONN_UPGRADED)
        return;
    conn->user = NULL;
    conn->want_room = conn->paused = false;
    conn->close_after = conn->unread = true;
    conn->state = CONN_FLUSH;
    if (conn->lost) {
        http_conn_close(conn);
    } else if (http_out_pending(conn)) {
        http_out_deadline(conn);
        http_conn_interest(conn);
    } else {
        http_conn_next(conn);
        http_conn_interest(conn);
    }
}

static const struct stream_ops upgraded_ops = {upgraded_open, upgraded_write, upgraded_pause,
                                               upgraded_close};

void http_upgrade_init(struct http_conn *conn)
{
    conn->stream.ops = &upgraded_ops;
}

struct stream *http_upgrade(struct http_request *req, const struct http_field *fields,
                            size_t field_count)
{
    struct http_conn *conn = http_conn_of(req);
    ASSERT(!conn->orphaned);
    ASSERT(conn->state == CONN_HANDLER || conn->state == CONN_PARKED);
    ASSERT(req->body_here);
    struct str head = http_answer_head(
        conn, &(struct http_answer){.status = 101, .fields = fields, .field_count = field_count},
        HTTP_BY_LENGTH);
    ASSERT(head.len != 0);
    http_request_over(conn);
    conn->state = CONN_UPGRADED;
    http_deadline_clear(conn);
    if (!http_out_send(conn, head, &(struct http_body){0}))
        conn->lost = true;
    else if (http_out_pending(conn))
        http_out_deadline(conn);
    if (conn->in.len != 0)
        http_conn_later(conn);
    http_conn_interest(conn);
    return &conn->stream;
}
