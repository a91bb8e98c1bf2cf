#include "net/http/http_int.h"
#include <string.h>

static void stop_late(void *cookie);
static void server_idle(uv_idle_t *idle);

static void options_fill(struct http_options *options)
{
    const struct {
        uint32_t *value, preset;
    } presets[] = {
        {&options->connections_max, 20000},       {&options->head_timeout_ms, 10000},
        {&options->body_timeout_ms, 30000},       {&options->idle_timeout_ms, 75000},
        {&options->write_timeout_ms, 30000},      {&options->stop_timeout_ms, 5000},
        {&options->stream_queued_max, 256 * KIB}, {&options->rate_bytes_s, 8 * KIB},
    };
    for (size_t i = 0; i < ARRAY_COUNT(presets); i++) {
        if (*presets[i].value == 0)
            *presets[i].value = presets[i].preset;
    }
    if (options->body_bytes_max == 0)
        options->body_bytes_max = MIB;
}

/* At once: by the time libuv has let go of everything, loop_destroy may have taken the timers. */
static void timers_destroy(struct http_server *server)
{
    loop_timer_destroy(server->wheel_timer);
    loop_timer_destroy(server->stop_timer);
    server->wheel_timer = server->stop_timer = NULL;
}

static void server_free(struct http_server *server)
{
    http_peers_finish(&server->peers);
    mem_free(server);
}

enum err http_server_create(struct loop *loop, const struct http_options *options,
                            struct http_server **ret_server)
{
    ASSERT(options->handler.on_request != NULL);
    struct http_server *server = mem_zalloc(sizeof(*server));
    if (server == NULL)
        return ERR_NOMEM;
    server->loop = loop;
    server->options = *options;
    options_fill(&server->options);
    server->listen_fd = server->spare_fd = -1;
    server->date_s = -1;
    link_init(&server->conns);
    link_init(&server->ready);
    enum err err = ERR_OK;
    if (options->per_address_max != 0)
        err = http_peers_init(&server->peers, server->options.connections_max);
    if (err == ERR_OK)
        err = http_deadline_init(server);
    if (err == ERR_OK)
        err = loop_timer_create(loop, stop_late, server, &server->stop_timer);
    if (err == ERR_OK)
        err = http_listen(server);
    if (err != ERR_OK) {
        server->destroyed = true;
        timers_destroy(server);
        if (server->handles == 0)
            server_free(server);
        return err;
    }
    uv_idle_init(loop_uv(loop), &server->idle);
    server->idle.data = server;
    server->handles++;
    *ret_server = server;
    return ERR_OK;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

void http_server_stats(const struct http_server *server, struct http_stats *ret_stats)
{
    *ret_stats = server->stats;
}

void http_server_handle_closed(struct http_server *server)
{
    if (--server->handles == 0 && server->destroyed)
        server_free(server);
}

/* ---- the next turn
 * ------------------------------------------------------------------------------------------- */

void http_server_ready(struct http_server *server)
{
    if (server->idle_on || server->destroyed)
        return;
    server->idle_on = true;
    uv_idle_start(&server->idle, server_idle);
}

static void server_idle(uv_idle_t *idle)
{
    struct http_server *server = idle->data;
    struct http_link list;
    link_init(&list);
    while (link_linked(&server->ready)) {
        struct http_link *link = server->ready.next;
        link_remove(link);
        link_append(&list, link);
    }
    while (link_linked(&list)) {
        struct http_conn *conn = CONTAINER(list.next, struct http_conn, ready);
        link_remove(&conn->ready);
        http_conn_resume(conn);
    }
    if (server->destroyed)
        return;
    if (!link_linked(&server->ready)) {
        server->idle_on = false;
        uv_idle_stop(&server->idle);
    }
    if (server->stopping && server->stats.connections == 0 && !server->stop_told) {
        server->stop_told = true;
        loop_timer_clear(server->stop_timer);
        if (server->stop_done != NULL)
            server->stop_done(server->stop_cookie);
    }
}

void http_server_conn_ended(struct http_server *server)
{
    if (server->stopping && server->stats.connections == 0)
        http_server_ready(server);
}

/* ---- the end
 * -------------------------------------------------------------------------------------------------
 */

/* Connections leave the list in a later turn only, so that it can be walked while callbacks close
 * some of them. */
static void each_conn(struct http_server *server, void (*visit)(struct http_conn *conn))
{
    for (struct http_link *at = server->conns.next; at != &server->conns; at = at->next) {
        struct http_conn *conn = CONTAINER(at, struct http_conn, all);
        if (conn->state != CONN_CLOSED)
            visit(conn);
    }
}

static void end_idle(struct http_conn *conn)
{
    if (conn->state == CONN_IDLE && conn->in.len == 0)
        http_conn_close(conn);
}

static void end_late(struct http_conn *conn)
{
    if (conn->state == CONN_PARKED) {
        struct http_answer sorry = {.status = 503};
        conn->close_after = true;
        struct str head = http_answer_head(conn, &sorry, HTTP_BY_LENGTH);
        (void)http_out_send(conn, head, &(struct http_body){0});
    }
    http_conn_lost(conn, ERR_CLOSED);
}

static void end_now(struct http_conn *conn)
{
    http_conn_lost(conn, ERR_CLOSED);
}

static void stop_late(void *cookie)
{
    each_conn(cookie, end_late);
}

void http_server_stop(struct http_server *server, void (*done)(void *cookie), void *cookie)
{
    ASSERT(!server->stopping);
    server->stopping = true;
    server->stop_done = done;
    server->stop_cookie = cookie;
    http_listen_stop(server);
    if (server->options.handler.on_stop != NULL)
        server->options.handler.on_stop(server->options.cookie);
    each_conn(server, end_idle);
    loop_timer_set(server->stop_timer, loop_now_ms(server->loop) + server->options.stop_timeout_ms);
    http_server_conn_ended(server);
}

static void idle_closed(uv_handle_t *handle)
{
    http_server_handle_closed(handle->data);
}

void http_server_destroy(struct http_server *server)
{
    if (server == NULL || server->destroyed)
        return;
    http_listen_stop(server);
    server->stop_told = true;
    each_conn(server, end_now);
    server->destroyed = true;
    timers_destroy(server);
    uv_close((uv_handle_t *)&server->idle, idle_closed);
}
