/* The life of a connection: see the diagram in mqtt_int.h. */
#include "net/mqtt/mqtt_int.h"
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct mqtt_conn *conn_create(struct mqtt_server *server, const char *peer)
{
    struct mqtt_conn *conn = mem_zalloc(sizeof(*conn));
    if (conn == NULL)
        return NULL;
    conn->server = server;
    conn->fd = -1;
    conn->peer_packet_max = UINT32_MAX;
    conn->last_ms = mqtt_now_ms(conn);
    conn->packet_ms = conn->write_ms = MQTT_NEVER;
    if (str_copy(conn->peer, sizeof(conn->peer), str_from(peer)) != ERR_OK)
        conn->peer[0] = '\0';
    buf_init(&conn->in, server->options.packet_bytes_max + 2 * MQTT_READ_BYTES);
    mqtt_link_init(&conn->all);
    mqtt_link_init(&conn->wheel);
    mqtt_link_init(&conn->ready);
    mqtt_link_init(&conn->dirty);
    return conn;
}

/* From here on it ends only with on_gone. */
static void begin(struct mqtt_conn *conn)
{
    struct mqtt_server_stats *stats = &conn->server->stats;
    conn->handle.any.data = conn;
    conn->server->handles++;
    mqtt_link_append(&conn->server->conns, &conn->all);
    stats->accepted++;
    if (++stats->connections > stats->connections_max_seen)
        stats->connections_max_seen = stats->connections;
    mqtt_watch(conn);
    mqtt_carrier_interest(conn);
}

enum err mqtt_conn_open(struct mqtt_listener *listener, int fd, const char *peer)
{
    struct mqtt_server *server = listener->server;
    struct mqtt_conn *conn = conn_create(server, peer);
    if (conn == NULL)
        return ERR_NOMEM;
    enum err err = ERR_OK;
    if (listener->filter != NULL)
        err = listener->filter->create(listener->filter_context, &conn->filter);
    if (err != ERR_OK)
        goto undo_conn;
    err = ERR_IO;
    if (uv_poll_init(loop_uv(server->loop), &conn->handle.poll, fd) != 0)
        goto undo_filter;
    conn->fd = fd;
    conn->filter_ops = listener->filter;
    conn->tls = listener->filter != NULL;
    begin(conn);
    return ERR_OK;

undo_filter:
    if (listener->filter != NULL)
        listener->filter->destroy(conn->filter);
undo_conn:
    mem_free(conn);
    return err;
}

enum err mqtt_server_adopt(struct mqtt_server *server, struct stream *stream, const char *peer,
                           bool tls)
{
    if (server->stopping || server->destroyed)
        return ERR_CLOSED;
    if (server->stats.connections >= server->options.connections_max) {
        server->stats.refused++;
        return ERR_FULL;
    }
    struct mqtt_conn *conn = conn_create(server, peer);
    if (conn == NULL)
        return ERR_NOMEM;
    uv_idle_init(loop_uv(server->loop), &conn->handle.idle);
    conn->stream = stream;
    conn->tls = tls;
    stream_open(stream, &mqtt_stream_user, conn);
    begin(conn);
    return ERR_OK;
}

/* ---- the end ---- */

static void conn_free(struct mqtt_conn *conn)
{
    struct mqtt_server *server = conn->server;
    mqtt_out_drop(conn);
    mqtt_alias_free(conn);
    buf_finish(&conn->in);
    if (conn->filter != NULL)
        conn->filter_ops->destroy(conn->filter);
    mqtt_link_remove(&conn->all);
    mqtt_link_remove(&conn->ready);
    mem_free(conn);
    mqtt_server_released(server);
}

static void conn_released(uv_handle_t *handle)
{
    struct mqtt_conn *conn = handle->data;
    conn->released = true;
    if (conn->told)
        conn_free(conn);
}

void mqtt_conn_tell(struct mqtt_conn *conn)
{
    struct mqtt_server *server = conn->server;
    if (conn->told)
        return;
    conn->told = true;
    server->user.on_gone(server->cookie, conn, (enum mqtt_reason)conn->reason);
    if (conn->released)
        conn_free(conn);
}

void mqtt_conn_end(struct mqtt_conn *conn, enum mqtt_reason reason)
{
    if (conn->state == MQTT_CLOSED)
        return;
    if (conn->state != MQTT_CLOSING)
        conn->reason = (uint8_t)reason;
    conn->state = MQTT_CLOSED;
    mqtt_watch_remove(conn);
    mqtt_link_remove(&conn->dirty);
    struct stream *stream = conn->stream;
    conn->stream = NULL;
    if (stream != NULL)
        stream_close(stream);
    /* Buffers live until libuv lets go: a callback further up the stack may still look at its
     * packet. */
    uv_close(&conn->handle.any, conn_released);
    if (conn->fd >= 0)
        close(conn->fd);
    conn->server->stats.connections--;
    mqtt_ready(conn);
}

void mqtt_conn_closing(struct mqtt_conn *conn, enum mqtt_reason reason)
{
    if (conn->state == MQTT_CLOSING || conn->state == MQTT_CLOSED)
        return;
    conn->reason = (uint8_t)reason;
    conn->state = MQTT_CLOSING;
    conn->last_ms = mqtt_now_ms(conn);
    mqtt_watch(conn);
    mqtt_ready(conn);
}

void mqtt_conn_expired(struct mqtt_conn *conn)
{
    int64_t now_ms = mqtt_now_ms(conn);
    const struct mqtt_server_options *options = &conn->server->options;
    if (conn->state == MQTT_CLOSING) {
        mqtt_conn_end(conn, (enum mqtt_reason)conn->reason);
        return;
    }
    conn->server->stats.timeouts++;
    if (conn->write_ms != MQTT_NEVER && conn->write_ms + options->write_timeout_ms <= now_ms)
        mqtt_conn_end(conn, MQTT_QUOTA_EXCEEDED);
    else if (conn->state == MQTT_NEW)
        mqtt_conn_end(conn, MQTT_KEEP_ALIVE_TIMEOUT);
    else
        mqtt_conn_close(conn, MQTT_KEEP_ALIVE_TIMEOUT);
}
