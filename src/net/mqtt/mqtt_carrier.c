/* What carries a connection: a socket, perhaps behind a filter, or an adopted stream. */
#include "net/mqtt/mqtt_int.h"
#include <errno.h>
#include <sys/socket.h>

static void conn_polled(uv_poll_t *poll, int status, int events);

/* A peer that takes no answers gets no further questions in. */
bool mqtt_carrier_reads(const struct mqtt_conn *conn)
{
    if (conn->state == MQTT_CLOSING)
        return true; /* to see its end */
    if (conn->out_bytes > conn->server->options.queued_bytes_max / 2)
        return false;
    bool asks = conn->state == MQTT_NEW || conn->state == MQTT_OPEN;
    return asks && !conn->paused;
}

void mqtt_carrier_interest(struct mqtt_conn *conn)
{
    if (conn->state == MQTT_CLOSED)
        return;
    bool reading = mqtt_carrier_reads(conn);
    if (conn->stream != NULL) {
        if (conn->stream_paused != !reading)
            stream_pause(conn->stream, !reading);
        conn->stream_paused = !reading;
        return;
    }
    int events = (reading ? UV_READABLE : 0) | (conn->blocked ? UV_WRITABLE : 0);
    if (events == conn->events)
        return;
    conn->events = (uint8_t)events;
    if (events == 0)
        uv_poll_stop(&conn->handle.poll);
    else
        uv_poll_start(&conn->handle.poll, events, conn_polled);
}

/* ---- a socket ---- */

static void lost(struct mqtt_conn *conn)
{
    mqtt_conn_end(conn, MQTT_UNSPECIFIED);
}

static void take_filtered(struct mqtt_conn *conn, const uint8_t *bytes, size_t len)
{
    struct mqtt_server *server = conn->server;
    const struct stream_filter_ops *filter = conn->filter_ops;
    if (filter->feed(conn->filter, bytes, len) != ERR_OK) {
        lost(conn);
        return;
    }
    for (;;) {
        size_t plain_len;
        enum err err = filter->pull(conn->filter, server->plain, sizeof(server->plain), &plain_len);
        if (err == ERR_OK) {
            mqtt_input(conn, server->plain, plain_len);
            if (conn->state == MQTT_CLOSED)
                return;
            continue;
        }
        mqtt_out_flush(conn); /* a step of the handshake, or an alert */
        if (err != ERR_AGAIN)
            lost(conn);
        return;
    }
}

static void conn_readable(struct mqtt_conn *conn)
{
    struct mqtt_server *server = conn->server;
    ssize_t len = recv(conn->fd, server->read, sizeof(server->read), 0);
    if (len < 0) {
        if (errno != EAGAIN && errno != EINTR)
            lost(conn);
        return;
    }
    if (len == 0) {
        lost(conn);
        return;
    }
    if (conn->filter != NULL)
        take_filtered(conn, server->read, (size_t)len);
    else
        mqtt_input(conn, server->read, (size_t)len);
}

static void conn_polled(uv_poll_t *poll, int status, int events)
{
    struct mqtt_conn *conn = poll->data;
    if (status < 0) {
        lost(conn);
        return;
    }
    if ((events & UV_WRITABLE) != 0)
        mqtt_out_flush(conn);
    if (conn->state != MQTT_CLOSED && (events & UV_READABLE) != 0)
        conn_readable(conn);
    if (mqtt_linked(&conn->dirty))
        mqtt_out_flush(conn); /* all acknowledgements of one read in one write */
    mqtt_carrier_interest(conn);
}

/* ---- an adopted stream ---- */

static void stream_bytes(void *cookie, const uint8_t *bytes, size_t len)
{
    struct mqtt_conn *conn = cookie;
    mqtt_input(conn, bytes, len);
    if (mqtt_linked(&conn->dirty))
        mqtt_out_flush(conn);
    mqtt_carrier_interest(conn);
}

static void stream_room(void *cookie)
{
    mqtt_out_flush(cookie);
}

static void stream_gone(void *cookie, enum err why)
{
    struct mqtt_conn *conn = cookie;
    (void)why;
    conn->stream = NULL;
    lost(conn);
}

const struct stream_user mqtt_stream_user = {stream_bytes, stream_room, stream_gone};
