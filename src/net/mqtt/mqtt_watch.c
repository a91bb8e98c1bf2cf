/* Deadlines of all connections: one timer and a wheel of lists.
 *
 * A packet only notes its time in the connection; when a slot of the wheel is due, the connection
 * is moved on to where its deadline lies by then.  So the hot path touches no list. */
#include "net/mqtt/mqtt_int.h"

static void wheel_turn(void *cookie);

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

enum err mqtt_watch_init(struct mqtt_server *server)
{
    const struct mqtt_server_options *options = &server->options;
    int64_t shortest = least(options->connect_timeout_ms,
                             least(options->write_timeout_ms, options->packet_timeout_ms));
    server->wheel_tick_ms = shortest / 10 > 500 ? 500 : shortest / 10 < 5 ? 5 : shortest / 10;
    for (size_t i = 0; i < MQTT_WHEEL_SLOTS; i++)
        mqtt_link_init(&server->wheel[i]);
    return loop_timer_create(server->loop, wheel_turn, server, &server->wheel_timer);
}

static int64_t after(int64_t from_ms, uint32_t wait_ms)
{
    return from_ms == MQTT_NEVER ? MQTT_NEVER : from_ms + wait_ms;
}

static int64_t deadline(const struct mqtt_conn *conn)
{
    const struct mqtt_server_options *options = &conn->server->options;
    int64_t due_ms = after(conn->write_ms, options->write_timeout_ms);
    switch ((enum mqtt_state)conn->state) {
    case MQTT_NEW:
        return after(conn->last_ms, options->connect_timeout_ms);
    case MQTT_ASKED:
        return due_ms;
    case MQTT_OPEN:
        due_ms = least(due_ms, after(conn->packet_ms, options->packet_timeout_ms));
        if (conn->keep_alive_ms != 0)
            due_ms = least(due_ms, after(conn->last_ms, conn->keep_alive_ms));
        return due_ms;
    case MQTT_CLOSING:
        return after(conn->last_ms, mqtt_linger_ms(conn->server));
    case MQTT_CLOSED:
        break;
    }
    return MQTT_NEVER;
}

static void wheel_insert(struct mqtt_conn *conn, int64_t due_ms)
{
    struct mqtt_server *server = conn->server;
    int64_t tick_ms = server->wheel_tick_ms;
    if (!server->wheel_on) {
        server->wheel_at = loop_now_ms(server->loop) / tick_ms;
        server->wheel_on = true;
        loop_timer_set(server->wheel_timer, (server->wheel_at + 1) * tick_ms);
    }
    int64_t last = server->wheel_at + MQTT_WHEEL_SLOTS - 1;
    int64_t tick = least(due_ms / tick_ms + 1, last); /* the first that is not too early */
    if (tick < server->wheel_at)
        tick = server->wheel_at;
    conn->slot_ms = tick * tick_ms;
    mqtt_link_append(&server->wheel[(uint64_t)tick % MQTT_WHEEL_SLOTS], &conn->wheel);
    server->wheel_count++;
}

void mqtt_watch_remove(struct mqtt_conn *conn)
{
    if (!mqtt_linked(&conn->wheel))
        return;
    mqtt_link_remove(&conn->wheel);
    conn->server->wheel_count--;
}

void mqtt_watch(struct mqtt_conn *conn)
{
    int64_t due_ms = deadline(conn);
    if (due_ms == MQTT_NEVER || (mqtt_linked(&conn->wheel) && conn->slot_ms <= due_ms))
        return;
    mqtt_watch_remove(conn);
    wheel_insert(conn, due_ms);
}

static void slot_turn(struct mqtt_server *server, struct mqtt_link *slot, int64_t now_ms)
{
    struct mqtt_link list;
    mqtt_link_take(slot, &list);
    while (mqtt_linked(&list)) {
        struct mqtt_conn *conn = MQTT_CONTAINER(list.next, struct mqtt_conn, wheel);
        mqtt_link_remove(&conn->wheel);
        server->wheel_count--;
        if (conn->state == MQTT_OPEN && !mqtt_carrier_reads(conn))
            conn->last_ms = now_ms; /* whom we do not hear cannot show that it lives */
        int64_t due_ms = deadline(conn);
        if (due_ms <= now_ms)
            mqtt_conn_expired(conn);
        else if (due_ms != MQTT_NEVER)
            wheel_insert(conn, due_ms);
    }
}

static void wheel_turn(void *cookie)
{
    struct mqtt_server *server = cookie;
    int64_t now_ms = loop_now_ms(server->loop);
    int64_t now_tick = now_ms / server->wheel_tick_ms;
    if (now_tick - server->wheel_at >= MQTT_WHEEL_SLOTS) /* asleep for long: each slot once */
        server->wheel_at = now_tick - MQTT_WHEEL_SLOTS + 1;
    while (server->wheel_at <= now_tick) {
        struct mqtt_link *slot = &server->wheel[(uint64_t)server->wheel_at % MQTT_WHEEL_SLOTS];
        server->wheel_at++;
        slot_turn(server, slot, now_ms);
    }
    server->wheel_on = server->wheel_count != 0;
    if (server->wheel_on)
        loop_timer_set(server->wheel_timer, server->wheel_at * server->wheel_tick_ms);
}
