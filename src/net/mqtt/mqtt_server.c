#include "net/mqtt/mqtt_int.h"
#include <unistd.h>

static void stop_late(void *cookie);

static void options_fill(struct mqtt_server_options *options)
{
    const struct {
        uint32_t *value, preset;
    } presets[] = {
        {&options->connections_max, 20000},
        {&options->connect_timeout_ms, 10000},
        {&options->write_timeout_ms, 30000},
        {&options->packet_timeout_ms, 60000},
    };
    for (size_t i = 0; i < ARRAY_COUNT(presets); i++) {
        if (*presets[i].value == 0)
            *presets[i].value = presets[i].preset;
    }
    if (options->packet_bytes_max == 0 || options->packet_bytes_max > MQTT_PACKET_BYTES_MAX)
        options->packet_bytes_max = MQTT_PACKET_BYTES_MAX;
    if (options->queued_bytes_max == 0)
        options->queued_bytes_max = MIB;
}

/* At once: by the time libuv has let go of everything, loop_destroy may have taken the timers. */
static void timers_destroy(struct mqtt_server *server)
{
    loop_timer_destroy(server->wheel_timer);
    loop_timer_destroy(server->stop_timer);
    server->wheel_timer = server->stop_timer = NULL;
}

enum err mqtt_server_create(struct loop *loop, const struct mqtt_server_options *options,
                            const struct mqtt_server_user *user, void *cookie,
                            struct mqtt_server **ret_server)
{
    ASSERT(user->on_connect != NULL && user->on_publish != NULL && user->on_ack != NULL &&
           user->on_subscribe != NULL && user->on_unsubscribe != NULL && user->on_gone != NULL);
    struct mqtt_server *server = mem_zalloc(sizeof(*server));
    if (server == NULL)
        return ERR_NOMEM;
    server->loop = loop;
    if (options != NULL)
        server->options = *options;
    options_fill(&server->options);
    server->user = *user;
    server->cookie = cookie;
    server->spare_fd = -1;
    mqtt_link_init(&server->conns);
    mqtt_link_init(&server->ready);
    mqtt_link_init(&server->dirty);
    enum err err = mqtt_watch_init(server);
    if (err == ERR_OK)
        err = loop_timer_create(loop, stop_late, server, &server->stop_timer);
    if (err != ERR_OK) {
        timers_destroy(server);
        mem_free(server);
        return err;
    }
    mqtt_turn_init(server);
    *ret_server = server;
    return ERR_OK;
}

void mqtt_server_stats(const struct mqtt_server *server, struct mqtt_server_stats *ret_stats)
{
    *ret_stats = server->stats;
}

void mqtt_server_released(struct mqtt_server *server)
{
    server->handles--;
    if (server->destroyed && server->handles == 0) {
        mqtt_pools_free(server);
        mem_free(server);
    } else if (server->stopping && !mqtt_linked(&server->conns) && !server->stop_told) {
        mqtt_ready_start(server);
    }
}

/* ---- the end ---- */

/* Connections leave the list in a later turn only, so it can be walked while they are closed. */
static void stop_late(void *cookie)
{
    struct mqtt_server *server = cookie;
    for (struct mqtt_link *at = server->conns.next; at != &server->conns; at = at->next)
        mqtt_conn_end(MQTT_CONTAINER(at, struct mqtt_conn, all), MQTT_SERVER_SHUTTING_DOWN);
}

void mqtt_server_stop(struct mqtt_server *server, void (*done)(void *cookie), void *cookie)
{
    ASSERT(!server->stopping);
    server->stopping = true;
    server->stop_done = done;
    server->stop_cookie = cookie;
    mqtt_listeners_close(server);
    for (struct mqtt_link *at = server->conns.next; at != &server->conns; at = at->next)
        mqtt_conn_close(MQTT_CONTAINER(at, struct mqtt_conn, all), MQTT_SERVER_SHUTTING_DOWN);
    loop_timer_set(server->stop_timer, loop_now_ms(server->loop) + mqtt_linger_ms(server));
    mqtt_ready_start(server);
}

void mqtt_server_destroy(struct mqtt_server *server)
{
    if (server == NULL || server->destroyed)
        return;
    mqtt_listeners_close(server);
    server->stopping = server->stop_told = true;
    stop_late(server);
    struct mqtt_link *next;
    for (struct mqtt_link *at = server->conns.next; at != &server->conns; at = next) {
        next = at->next; /* only this one may go with the call */
        mqtt_conn_tell(MQTT_CONTAINER(at, struct mqtt_conn, all));
    }
    server->destroyed = true;
    timers_destroy(server);
    mqtt_turn_close(server);
}
