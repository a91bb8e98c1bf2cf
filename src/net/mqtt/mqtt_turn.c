/* The next turn: who is told of an end, who goes on, and what is written before the loop waits. */
#include "net/mqtt/mqtt_int.h"
#include <sys/socket.h>

static void server_idle(uv_idle_t *idle);
static void flush_before_wait(uv_prepare_t *prepare);
static void flush_after_wait(uv_check_t *check);

void mqtt_ready_start(struct mqtt_server *server)
{
    if (server->idle_on || server->destroyed)
        return;
    server->idle_on = true;
    uv_idle_start(&server->idle, server_idle);
}

void mqtt_ready(struct mqtt_conn *conn)
{
    if (mqtt_linked(&conn->ready))
        return;
    mqtt_link_append(&conn->server->ready, &conn->ready);
    mqtt_ready_start(conn->server);
}

void mqtt_dirty(struct mqtt_conn *conn)
{
    struct mqtt_server *server = conn->server;
    if (mqtt_linked(&conn->dirty))
        return;
    mqtt_link_append(&server->dirty, &conn->dirty);
    if (server->dirty_on || server->destroyed)
        return;
    server->dirty_on = true;
    uv_prepare_start(&server->prepare, flush_before_wait);
    uv_check_start(&server->check, flush_after_wait);
}

static void flush_all(struct mqtt_server *server)
{
    struct mqtt_link list;
    mqtt_link_take(&server->dirty, &list);
    while (mqtt_linked(&list))
        mqtt_out_flush(MQTT_CONTAINER(list.next, struct mqtt_conn, dirty));
    if (mqtt_linked(&server->dirty))
        return;
    server->dirty_on = false;
    uv_prepare_stop(&server->prepare);
    uv_check_stop(&server->check);
}

static void flush_before_wait(uv_prepare_t *prepare)
{
    flush_all(prepare->data);
}

static void flush_after_wait(uv_check_t *check)
{
    flush_all(check->data);
}

/* ---- who is ready ---- */

/* Everything has left: say that nothing follows, and wait for the peer to see it. */
static void shut(struct mqtt_conn *conn)
{
    if (conn->stream != NULL || conn->goodbye) {
        mqtt_conn_end(conn, (enum mqtt_reason)conn->reason);
        return;
    }
    conn->shut = true;
    if (conn->filter != NULL) {
        conn->filter_ops->finish(conn->filter);
        mqtt_out_flush(conn); /* a courtesy */
    }
    if (conn->state != MQTT_CLOSED)
        shutdown(conn->fd, SHUT_WR);
}

static void close_further(struct mqtt_conn *conn)
{
    if (conn->state == MQTT_CLOSING && mqtt_linked(&conn->dirty))
        mqtt_out_flush(conn);
    if (conn->state == MQTT_CLOSING && conn->out == NULL && !conn->blocked && !conn->shut)
        shut(conn);
    mqtt_carrier_interest(conn);
}

static void go_on(struct mqtt_conn *conn)
{
    struct mqtt_server *server = conn->server;
    mqtt_input_kept(conn);
    if (conn->want_room && conn->state == MQTT_OPEN &&
        conn->out_bytes <= server->options.queued_bytes_max / 4) {
        conn->want_room = false;
        if (server->user.on_room != NULL)
            server->user.on_room(server->cookie, conn);
    }
    if (mqtt_linked(&conn->dirty))
        mqtt_out_flush(conn);
    mqtt_carrier_interest(conn);
}

static void resume(struct mqtt_conn *conn)
{
    bool closed = conn->state == MQTT_CLOSED;
    if (!closed && conn->state != MQTT_CLOSING) {
        go_on(conn);
        return;
    }
    mqtt_conn_tell(conn);
    if (!closed) /* else it may be freed */
        close_further(conn);
}

static void server_idle(uv_idle_t *idle)
{
    struct mqtt_server *server = idle->data;
    struct mqtt_link list;
    mqtt_link_take(&server->ready, &list);
    while (mqtt_linked(&list)) {
        struct mqtt_conn *conn = MQTT_CONTAINER(list.next, struct mqtt_conn, ready);
        mqtt_link_remove(&conn->ready);
        resume(conn);
    }
    if (server->destroyed)
        return;
    if (!mqtt_linked(&server->ready)) {
        server->idle_on = false;
        uv_idle_stop(&server->idle);
    }
    if (server->stopping && !mqtt_linked(&server->conns) && !server->stop_told) {
        server->stop_told = true;
        loop_timer_clear(server->stop_timer);
        if (server->stop_done != NULL)
            server->stop_done(server->stop_cookie);
    }
}

/* ---- handles ---- */

static void handle_closed(uv_handle_t *handle)
{
    mqtt_server_released(handle->data);
}

void mqtt_turn_init(struct mqtt_server *server)
{
    uv_loop_t *uv = loop_uv(server->loop);
    uv_idle_init(uv, &server->idle);
    uv_prepare_init(uv, &server->prepare);
    uv_check_init(uv, &server->check);
    server->idle.data = server->prepare.data = server->check.data = server;
    server->handles += 3;
}

void mqtt_turn_close(struct mqtt_server *server)
{
    uv_close((uv_handle_t *)&server->idle, handle_closed);
    uv_close((uv_handle_t *)&server->prepare, handle_closed);
    uv_close((uv_handle_t *)&server->check, handle_closed);
}
