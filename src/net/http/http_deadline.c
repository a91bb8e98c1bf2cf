/* Deadlines of all connections: one timer and a wheel of lists.
 *
 * A later deadline is only noted in the connection: its slot is looked at first, and moves it on.
 * So the common case (an answer, then 75 s more) touches no list. */
#include "net/http/http_int.h"

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void wheel_turn(void *cookie);

enum err http_deadline_init(struct http_server *server)
{
    const struct http_options *options = &server->options;
    uint32_t shortest = least(least(options->head_timeout_ms, options->body_timeout_ms),
                              least(options->idle_timeout_ms, options->write_timeout_ms));
    server->wheel_tick_ms = shortest / 10 > 100 ? 100 : shortest / 10 < 5 ? 5 : shortest / 10;
    for (size_t i = 0; i < HTTP_WHEEL_SLOTS; i++)
        link_init(&server->wheel[i]);
    return loop_timer_create(server->loop, wheel_turn, server, &server->wheel_timer);
}

static void wheel_insert(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    int64_t tick_ms = server->wheel_tick_ms;
    if (!server->wheel_on) {
        server->wheel_at = loop_now_ms(server->loop) / tick_ms;
        server->wheel_on = true;
        loop_timer_set(server->wheel_timer, (server->wheel_at + 1) * tick_ms);
    }
    int64_t tick = conn->due_ms / tick_ms + 1; /* the first that is not too early */
    int64_t last = server->wheel_at + HTTP_WHEEL_SLOTS - 1;
    if (tick > last)
        tick = last;
    if (tick < server->wheel_at)
        tick = server->wheel_at;
    conn->slot_ms = tick * tick_ms;
    link_append(&server->wheel[(uint64_t)tick % HTTP_WHEEL_SLOTS], &conn->wheel);
    server->wheel_count++;
}

void http_deadline_remove(struct http_conn *conn)
{
    if (link_linked(&conn->wheel)) {
        link_remove(&conn->wheel);
        conn->server->wheel_count--;
    }
    conn->due_ms = HTTP_NEVER;
}

void http_deadline_set(struct http_conn *conn, int64_t due_ms)
{
    bool linked = link_linked(&conn->wheel);
    conn->due_ms = due_ms;
    if (linked && conn->slot_ms <= due_ms)
        return;
    if (linked) {
        link_remove(&conn->wheel);
        conn->server->wheel_count--;
    }
    wheel_insert(conn);
}

void http_deadline_clear(struct http_conn *conn)
{
    conn->due_ms = HTTP_NEVER; /* its slot will drop it */
}

static void slot_turn(struct http_server *server, struct http_link *slot, int64_t now_ms)
{
    struct http_link list;
    link_init(&list);
    while (link_linked(slot)) {
        struct http_link *link = slot->next;
        link_remove(link);
        link_append(&list, link);
    }
    while (link_linked(&list)) {
        struct http_conn *conn = CONTAINER(list.next, struct http_conn, wheel);
        link_remove(&conn->wheel);
        server->wheel_count--;
        if (conn->due_ms <= now_ms)
            http_conn_expired(conn);
        else if (conn->due_ms != HTTP_NEVER)
            wheel_insert(conn);
    }
}

static void wheel_turn(void *cookie)
{
    struct http_server *server = cookie;
    int64_t now_ms = loop_now_ms(server->loop);
    int64_t now_tick = now_ms / server->wheel_tick_ms;
    if (now_tick - server->wheel_at >= HTTP_WHEEL_SLOTS) /* asleep for long: each slot once */
        server->wheel_at = now_tick - HTTP_WHEEL_SLOTS + 1;
    while (server->wheel_at <= now_tick) {
        struct http_link *slot = &server->wheel[(uint64_t)server->wheel_at % HTTP_WHEEL_SLOTS];
        server->wheel_at++;
        slot_turn(server, slot, now_ms);
    }
    server->wheel_on = server->wheel_count != 0;
    if (server->wheel_on)
        loop_timer_set(server->wheel_timer, server->wheel_at * server->wheel_tick_ms);
}
