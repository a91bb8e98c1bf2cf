/* Sending: at once what the socket takes, the rest from a queue when it takes more. */
#include "net/http/http_int.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define IOV_MAX_PIECES 16

bool http_out_pending(const struct http_conn *conn)
{
    if (conn->out != NULL)
        return true;
    return conn->filter != NULL && conn->server->options.filter->wire(conn->filter).len != 0;
}

/* Bytes the kernel took; 0: none now; -1: broken. */
static ssize_t send_some(struct http_conn *conn, struct iovec *iov, size_t count)
{
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};
    /* One piece is what nearly every answer is; send() spares the kernel the copy of the vector. */
    ssize_t sent = count == 1 ? send(conn->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL)
                              : sendmsg(conn->fd, &message, MSG_NOSIGNAL);
    if (sent >= 0) {
        conn->server->stats.bytes_out += (uint64_t)sent;
        return sent;
    }
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

void http_out_deadline(struct http_conn *conn)
{
    size_t waits = conn->out_bytes;
    if (conn->filter != NULL)
        waits += conn->server->options.filter->wire(conn->filter).len;
    http_deadline_set(conn, http_now_ms(conn) + conn->server->options.write_timeout_ms +
                                http_rate_ms(conn, waits));
}

static void piece_free(struct http_piece *piece)
{
    if (piece->body_free != NULL)
        piece->body_free(piece->owner);
    mem_free(piece);
}

static void out_sent(struct http_conn *conn, size_t sent)
{
    conn->out_bytes -= sent;
    while (sent != 0) {
        struct http_piece *piece = conn->out;
        ASSERT(piece != NULL); /* no more was sent than waited */
        size_t take = sent < piece->len ? sent : piece->len;
        piece->at += take;
        piece->len -= take;
        sent -= take;
        if (piece->len != 0)
            return;
        conn->out = piece->next;
        if (conn->out == NULL)
            conn->out_tail = &conn->out;
        piece_free(piece);
    }
}

void http_out_drop(struct http_conn *conn)
{
    while (conn->out != NULL) {
        struct http_piece *piece = conn->out;
        conn->out = piece->next;
        piece_free(piece);
    }
    conn->out_tail = &conn->out;
    conn->out_bytes = 0;
}

static bool queue(struct http_conn *conn, const char *bytes, size_t len,
                  const struct http_body *keep)
{
    struct http_piece *piece = mem_alloc(sizeof(*piece) + (keep == NULL ? len : 0));
    if (piece == NULL)
        return false;
    *piece = (struct http_piece){.at = bytes, .len = len};
    if (keep == NULL) {
        memcpy(piece->copy, bytes, len);
        piece->at = piece->copy;
    } else {
        piece->body_free = keep->body_free;
        piece->owner = keep->owner;
    }
    *conn->out_tail = piece;
    conn->out_tail = &piece->next;
    conn->out_bytes += len;
    return true;
}

/* ---- through a filter
 * ---------------------------------------------------------------------------------------- */

/* False: broken.  `*ret_stuck`: the socket takes no more now. */
static bool wire_flush(struct http_conn *conn, bool *ret_stuck)
{
    const struct stream_filter_ops *filter = conn->server->options.filter;
    *ret_stuck = false;
    for (;;) {
        struct str wire = filter->wire(conn->filter);
        if (wire.len == 0)
            return true;
        struct iovec iov = {(void *)(uintptr_t)wire.at, wire.len};
        ssize_t sent = send_some(conn, &iov, 1);
        if (sent < 0)
            return false;
        filter->drained(conn->filter, (size_t)sent);
        if ((size_t)sent < wire.len) {
            *ret_stuck = true;
            return true;
        }
    }
}

static bool flush_filtered(struct http_conn *conn)
{
    const struct stream_filter_ops *filter = conn->server->options.filter;
    for (;;) {
        bool stuck;
        if (!wire_flush(conn, &stuck))
            return false;
        struct http_piece *piece = conn->out;
        if (stuck || piece == NULL)
            return true;
        size_t take = piece->len < HTTP_RECORD_BYTES ? piece->len : HTTP_RECORD_BYTES;
        if (filter->push(conn->filter, (const uint8_t *)piece->at, take) != ERR_OK)
            return false;
        out_sent(conn, take);
    }
}

bool http_out_flush(struct http_conn *conn)
{
    if (conn->filter != NULL)
        return flush_filtered(conn);
    while (conn->out != NULL) {
        struct iovec iov[IOV_MAX_PIECES];
        size_t count = 0, bytes = 0;
        for (struct http_piece *piece = conn->out; piece != NULL && count < IOV_MAX_PIECES;
             piece = piece->next) {
            iov[count++] = (struct iovec){(void *)(uintptr_t)piece->at, piece->len};
            bytes += piece->len;
        }
        ssize_t sent = send_some(conn, iov, count);
        if (sent < 0)
            return false;
        out_sent(conn, (size_t)sent);
        if ((size_t)sent < bytes)
            return true;
    }
    return true;
}

/* ---- answers
 * -------------------------------------------------------------------------------------------------
 */

static void body_done(const struct http_body *body)
{
    if (body->body_free != NULL)
        body->body_free(body->owner);
}

static bool queue_rest(struct http_conn *conn, struct str head, const struct http_body *body)
{
    bool keep = body->stays || body->body_free != NULL;
    if (head.len != 0 && !queue(conn, head.at, head.len, NULL))
        goto broken;
    if (body->bytes.len == 0) {
        body_done(body);
        return true;
    }
    if (!queue(conn, body->bytes.at, body->bytes.len, keep ? body : NULL))
        goto broken;
    return true;

broken:
    body_done(body);
    return false;
}

bool http_out_send(struct http_conn *conn, struct str head, const struct http_body *body)
{
    if (conn->filter != NULL) {
        struct http_server *server = conn->server;
        struct http_body rest = *body;
        /* One record for the head and a small body.  The head mostly lies in `scratch` already. */
        if (head.at == server->scratch && head.len + body->bytes.len <= sizeof(server->scratch) &&
            body->bytes.len != 0 && conn->out == NULL) {
            memcpy(server->scratch + head.len, body->bytes.at, body->bytes.len);
            head.len += body->bytes.len;
            rest.bytes.len = 0;
        }
        if (conn->out == NULL && head.len <= HTTP_RECORD_BYTES) {
            if (server->options.filter->push(conn->filter, (const uint8_t *)head.at, head.len) !=
                ERR_OK) {
                body_done(body);
                return false;
            }
            head.len = 0;
        }
        return queue_rest(conn, head, &rest) && flush_filtered(conn);
    }
    size_t sent = 0;
    if (conn->out == NULL) {
        struct iovec iov[2] = {{(void *)(uintptr_t)head.at, head.len},
                               {(void *)(uintptr_t)body->bytes.at, body->bytes.len}};
        ssize_t took = send_some(conn, iov, body->bytes.len != 0 ? 2 : 1);
        if (took < 0) {
            body_done(body);
            return false;
        }
        sent = (size_t)took;
    }
    struct http_body rest = *body;
    size_t head_sent = sent < head.len ? sent : head.len;
    rest.bytes = str_slice(body->bytes, sent - head_sent, body->bytes.len);
    return queue_rest(conn, str_slice(head, head_sent, head.len), &rest);
}

ssize_t http_out_some(struct http_conn *conn, const char *bytes, size_t len)
{
    if (!http_out_flush(conn))
        return -1;
    if (http_out_pending(conn))
        return 0;
    if (conn->filter == NULL) {
        struct iovec iov = {(void *)(uintptr_t)bytes, len};
        return send_some(conn, &iov, 1);
    }
    size_t taken = 0;
    while (taken < len) {
        bool stuck;
        size_t take = len - taken < HTTP_RECORD_BYTES ? len - taken : HTTP_RECORD_BYTES;
        if (conn->server->options.filter->push(conn->filter, (const uint8_t *)bytes + taken,
                                               take) != ERR_OK)
            return -1;
        taken += take;
        if (!wire_flush(conn, &stuck))
            return -1;
        if (stuck)
            break;
    }
    return (ssize_t)taken;
}
