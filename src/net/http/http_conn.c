/* The life of a connection: see the diagram in http_int.h. */
#include "net/http/http_int.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void conn_polled(uv_poll_t *poll, int status, int events);

enum err http_conn_open(struct http_server *server, int fd, const struct in6_addr *peer,
                        struct http_conn **ret_conn)
{
    struct http_conn *conn = mem_zalloc(sizeof(*conn));
    if (conn == NULL)
        return ERR_NOMEM;
    const struct http_options *options = &server->options;
    enum err err = ERR_OK;
    if (options->filter != NULL)
        err = options->filter->create(options->filter_context, &conn->filter);
    if (err != ERR_OK)
        goto undo_conn;
    err = ERR_IO;
    if (uv_poll_init(loop_uv(server->loop), &conn->poll, fd) != 0)
        goto undo_filter;
    conn->server = server;
    conn->fd = fd;
    conn->peer = *peer;
    conn->tls = options->filter != NULL;
    conn->due_ms = HTTP_NEVER;
    conn->out_tail = &conn->out;
    link_init(&conn->all);
    link_init(&conn->wheel);
    link_init(&conn->ready);
    link_init(&conn->same);
    http_upgrade_init(conn);
    link_append(&server->conns, &conn->all);
    server->handles++;
    http_conn_interest(conn);
    *ret_conn = conn;
    return ERR_OK;

undo_filter:
    if (options->filter != NULL)
        options->filter->destroy(conn->filter);
undo_conn:
    mem_free(conn);
    return err;
}

static void conn_closed(uv_handle_t *handle)
{
    struct http_conn *conn = (struct http_conn *)handle;
    struct http_server *server = conn->server;
    http_out_drop(conn);
    buf_finish(&conn->in);
    if (conn->filter != NULL)
        server->options.filter->destroy(conn->filter);
    link_remove(&conn->all);
    conn->server = NULL;
    if (conn->orphaned)
        conn->freed = true; /* its answer will free it */
    else
        mem_free(conn);
    http_server_handle_closed(server);
}

void http_conn_close(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    if (conn->state == CONN_CLOSED)
        return;
    if (conn->state == CONN_LINGER && !conn->counted && server->refusals > 0)
        server->refusals--;
    http_request_over(conn);
    conn->state = CONN_CLOSED;
    http_deadline_remove(conn);
    link_remove(&conn->ready);
    link_remove(&conn->same);
    /* Buffers live until libuv lets go: a handler further up the stack may still look at its
     * request. */
    uv_close((uv_handle_t *)&conn->poll, conn_closed);
    close(conn->fd);
    if (conn->counted) {
        server->stats.connections--;
        http_server_conn_ended(server);
    }
}

/* The peer is gone, or must go: whoever still wants to answer is told. */
void http_conn_lost(struct http_conn *conn, enum err why)
{
    struct http_request *req = &conn->request;
    void (*on_gone)(void *) = NULL;
    void *cookie = req->cookie;
    const struct stream_user *user = NULL;
    if (conn->state == CONN_PARKED) {
        on_gone = req->on_gone;
        conn->orphaned = on_gone == NULL;
    } else if (conn->state == CONN_STREAM && req->stream_user != NULL) {
        on_gone = req->stream_user->on_gone;
    } else if (conn->state == CONN_UPGRADED) {
        user = conn->user;
    }
    void *user_cookie = conn->user_cookie;
    conn->user = NULL;
    http_conn_close(conn);
    if (on_gone != NULL)
        on_gone(cookie);
    if (user != NULL)
        user->on_gone(user_cookie, why);
}

void http_conn_linger(struct http_conn *conn)
{
    if (conn->filter != NULL) {
        conn->server->options.filter->finish(conn->filter);
        (void)http_out_flush(conn); /* a courtesy */
    }
    shutdown(conn->fd, SHUT_WR);
    conn->state = CONN_LINGER;
    http_deadline_set(conn, http_now_ms(conn) + HTTP_LINGER_MS);
    if (conn->eof)
        http_conn_close(conn);
}

void http_conn_next(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    if (conn->close_after || server->stopping) {
        if (conn->unread || conn->filter != NULL)
            http_conn_linger(conn);
        else
            http_conn_close(conn);
        return;
    }
    conn->state = CONN_IDLE;
    conn->begun_ms = 0;
    http_deadline_set(conn, http_now_ms(conn) + server->options.idle_timeout_ms);
    if (!conn->consuming && (conn->in.len != 0 || conn->eof || conn->paused))
        http_conn_later(conn);
}

void http_conn_later(struct http_conn *conn)
{
    if (link_linked(&conn->ready))
        return;
    link_append(&conn->server->ready, &conn->ready);
    http_server_ready(conn->server);
}

void http_conn_resume(struct http_conn *conn)
{
    if (conn->lost) {
        http_conn_lost(conn, ERR_CLOSED);
        return;
    }
    http_read_kept(conn);
    if (conn->state == CONN_IDLE && conn->eof)
        http_conn_close(conn);
    http_conn_interest(conn);
}

/* ---- what libuv tells
 * ---------------------------------------------------------------------------------------- */

static bool reads(const struct http_conn *conn)
{
    if (conn->eof || conn->paused)
        return false;
    bool answering =
        conn->state == CONN_PARKED || conn->state == CONN_STREAM || conn->state == CONN_FLUSH;
    return !(answering && conn->in.len >= HTTP_PIPELINE_MAX);
}

void http_conn_interest(struct http_conn *conn)
{
    if (conn->state == CONN_CLOSED)
        return;
    int events = conn->eof ? 0 : UV_DISCONNECT;
    if (reads(conn))
        events |= UV_READABLE;
    if (conn->want_room || http_out_pending(conn))
        events |= UV_WRITABLE;
    if (events == conn->events)
        return;
    conn->events = (uint8_t)events;
    if (events == 0)
        uv_poll_stop(&conn->poll);
    else
        uv_poll_start(&conn->poll, events, conn_polled);
}

static void conn_eof(struct http_conn *conn)
{
    conn->eof = true;
    switch ((enum conn_state)conn->state) {
    case CONN_FLUSH: /* it has closed its half, but may still read the answer */
        return;
    case CONN_PARKED:
    case CONN_STREAM:
    case CONN_UPGRADED:
        http_conn_lost(conn, ERR_CLOSED);
        return;
    case CONN_IDLE:
    case CONN_HEAD:
    case CONN_BODY:
    case CONN_HANDLER:
    case CONN_LINGER:
    case CONN_CLOSED:
        http_conn_close(conn);
        return;
    }
}

static void take_filtered(struct http_conn *conn, const char *bytes, size_t len)
{
    struct http_server *server = conn->server;
    const struct stream_filter_ops *filter = server->options.filter;
    if (!conn->greeted) { /* the first head's time includes the handshake */
        conn->greeted = true;
        conn->begun_ms = http_now_ms(conn);
        http_deadline_set(conn, conn->begun_ms + server->options.head_timeout_ms);
    }
    if (filter->feed(conn->filter, (const uint8_t *)bytes, len) != ERR_OK) {
        http_conn_lost(conn, ERR_NOMEM);
        return;
    }
    for (;;) {
        size_t plain_len;
        enum err err =
            filter->pull(conn->filter, (uint8_t *)server->plain, sizeof(server->plain), &plain_len);
        if (err == ERR_OK) {
            http_read_bytes(conn, server->plain, plain_len);
            if (conn->state == CONN_CLOSED)
                return;
            continue;
        }
        if (!http_out_flush(conn) || (err != ERR_AGAIN && err != ERR_CLOSED))
            http_conn_lost(conn, err == ERR_AGAIN ? ERR_CLOSED : err);
        else if (err == ERR_CLOSED)
            conn_eof(conn);
        return;
    }
}

static void conn_readable(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    ssize_t len = recv(conn->fd, server->read, sizeof(server->read), 0);
    if (len < 0) {
        if (errno != EAGAIN && errno != EINTR)
            http_conn_lost(conn, ERR_CLOSED);
    } else if (len == 0) {
        conn_eof(conn);
    } else {
        server->stats.bytes_in += (uint64_t)len;
        if (conn->state == CONN_LINGER)
            return;
        if (conn->filter != NULL)
            take_filtered(conn, server->read, (size_t)len);
        else
            http_read_bytes(conn, server->read, (size_t)len);
    }
}

static void stream_room(struct http_conn *conn)
{
    const struct http_stream_user *user = conn->request.stream_user;
    if (!conn->want_room)
        return;
    conn->want_room = false;
    if (user != NULL && user->on_room != NULL)
        user->on_room(conn->request.cookie);
}

static void conn_writable(struct http_conn *conn)
{
    if (!http_out_flush(conn)) {
        http_conn_lost(conn, ERR_CLOSED);
        return;
    }
    if (http_out_pending(conn))
        return;
    if (conn->state != CONN_LINGER && conn->state != CONN_IDLE)
        http_deadline_clear(conn);
    if (conn->state == CONN_FLUSH) {
        http_conn_next(conn);
    } else if (conn->state == CONN_STREAM) {
        stream_room(conn);
    } else if (conn->state == CONN_UPGRADED && conn->want_room) {
        conn->want_room = false;
        if (conn->user != NULL)
            conn->user->on_room(conn->user_cookie);
    } else {
        conn->want_room = false;
    }
}

static void conn_polled(uv_poll_t *poll, int status, int events)
{
    struct http_conn *conn = (struct http_conn *)poll;
    if (status < 0) {
        http_conn_lost(conn, ERR_CLOSED);
        return;
    }
    if ((events & UV_WRITABLE) != 0)
        conn_writable(conn);
    if (conn->state != CONN_CLOSED && (events & UV_READABLE) != 0)
        conn_readable(conn);
    else if (conn->state != CONN_CLOSED && (events & UV_DISCONNECT) != 0)
        conn_eof(conn);
    http_conn_interest(conn);
}

void http_conn_expired(struct http_conn *conn)
{
    static const struct http_fault head_late = {408, 0, "the header took too long"};
    static const struct http_fault body_late = {408, 0, "the body took too long"};
    conn->due_ms = HTTP_NEVER;
    if (conn->state == CONN_HEAD || conn->state == CONN_BODY) {
        conn->server->stats.timeouts++;
        http_refuse(conn, conn->state == CONN_HEAD ? &head_late : &body_late);
        http_conn_interest(conn);
    } else if (conn->state == CONN_IDLE || conn->state == CONN_LINGER) {
        http_conn_close(conn);
    } else {
        conn->server->stats.timeouts++;
        http_conn_lost(conn, ERR_TIMEOUT);
    }
}
