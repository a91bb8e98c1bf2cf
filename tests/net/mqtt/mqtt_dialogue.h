/* A server whose user writes down what it is told, and clients that speak raw bytes: over real
 * sockets or over a stream in memory, all on one loop.  Every wait is a wait on the loop, with one
 * deadline that only a broken server reaches. */
#ifndef AUTOMAT_TESTS_MQTT_DIALOGUE_H
#define AUTOMAT_TESTS_MQTT_DIALOGUE_H

#include "mqtt_vectors.h"
#include "net/mqtt/mqtt.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#define PATIENCE_MS 20000

/* ---- the server's user ---- */

struct house {
    struct loop *loop;
    struct mqtt_server *server;
    uint16_t port;
    struct loop_timer *patience;
    bool impatient, stopped;
    /* how it behaves */
    bool later;           /* answers CONNECT only when told */
    bool pause;           /* pauses a connection at each message */
    bool silent;          /* acknowledges nothing */
    uint16_t receive_max; /* said in CONNACK; 0: none */
    enum mqtt_reason refuse;
    void (*at_publish)(struct house *house, struct mqtt_conn *conn);
    /* what it saw */
    struct mqtt_conn *conn; /* the last that connected */
    unsigned connects, publishes, acks, subscribes, unsubscribes, disconnects, batches, rooms, gone;
    enum mqtt_reason gone_reason, disconnect_reason;
    char seen[4096]; /* "topic=payload;" of each message */
    size_t seen_len;
    struct mqtt_ack ack;
    uint16_t keep_alive_s;
    bool bad_order; /* something after on_gone */
};

static inline void house_connect(void *cookie, struct mqtt_conn *conn,
                                 const struct mqtt_connect *connect)
{
    struct house *house = cookie;
    house->connects++;
    house->conn = conn;
    house->keep_alive_s = connect->keep_alive_s;
    mqtt_conn_set_context(conn, house);
    struct mqtt_properties properties = {0};
    if (house->receive_max != 0) {
        properties.has = MQTT_HAS_RECEIVE_MAX;
        properties.receive_max = house->receive_max;
    }
    if (house->refuse != MQTT_SUCCESS)
        mqtt_conn_refuse(conn, house->refuse);
    else if (!house->later)
        mqtt_conn_accept(conn, false, connect->keep_alive_s, &properties);
}

static inline void house_publish(void *cookie, struct mqtt_conn *conn,
                                 const struct mqtt_publish *publish)
{
    struct house *house = cookie;
    house->publishes++;
    if (mqtt_conn_context(conn) != house)
        house->bad_order = true;
    int len =
        snprintf(house->seen + house->seen_len, sizeof(house->seen) - house->seen_len, "%.*s=%.*s;",
                 STR_ARG(publish->topic),
                 (int)(publish->payload.len < 64 ? publish->payload.len : 64), publish->payload.at);
    if (len > 0 && (size_t)len < sizeof(house->seen) - house->seen_len)
        house->seen_len += (size_t)len;
    if (publish->qos != 0 && !house->silent)
        (void)!mqtt_conn_ack(conn, publish->qos == 1 ? MQTT_PUBACK : MQTT_PUBREC,
                             publish->packet_id, MQTT_SUCCESS);
    if (house->pause)
        mqtt_conn_pause(conn, true);
    if (house->at_publish != NULL)
        house->at_publish(house, conn);
}

static inline void house_ack(void *cookie, struct mqtt_conn *conn, const struct mqtt_ack *ack)
{
    struct house *house = cookie;
    house->acks++;
    house->ack = *ack;
    if (ack->type == MQTT_PUBREL)
        (void)!mqtt_conn_ack(conn, MQTT_PUBCOMP, ack->packet_id, MQTT_SUCCESS);
}

static inline void house_answer(struct mqtt_conn *conn, enum mqtt_type type,
                                const struct mqtt_subscribe *subscribe)
{
    struct mqtt_packet packet = {.type = type};
    packet.suback = (struct mqtt_suback){
        .type = type, .packet_id = subscribe->packet_id, .reason_count = subscribe->filter_count};
    for (uint32_t i = 0; type == MQTT_SUBACK && i < subscribe->filter_count; i++)
        packet.suback.reason[i] = subscribe->filter[i].qos;
    (void)!mqtt_conn_send(conn, &packet);
}

static inline void house_subscribe(void *cookie, struct mqtt_conn *conn,
                                   const struct mqtt_subscribe *subscribe)
{
    ((struct house *)cookie)->subscribes++;
    house_answer(conn, MQTT_SUBACK, subscribe);
}

static inline void house_unsubscribe(void *cookie, struct mqtt_conn *conn,
                                     const struct mqtt_subscribe *subscribe)
{
    ((struct house *)cookie)->unsubscribes++;
    house_answer(conn, MQTT_UNSUBACK, subscribe);
}

static inline void house_disconnect(void *cookie, struct mqtt_conn *conn,
                                    const struct mqtt_disconnect *disconnect)
{
    struct house *house = cookie;
    (void)conn;
    house->disconnects++;
    house->disconnect_reason = disconnect->reason;
}

static inline void house_batch_end(void *cookie, struct mqtt_conn *conn)
{
    (void)conn;
    ((struct house *)cookie)->batches++;
}

static inline void house_room(void *cookie, struct mqtt_conn *conn)
{
    (void)conn;
    ((struct house *)cookie)->rooms++;
}

static inline void house_gone(void *cookie, struct mqtt_conn *conn, enum mqtt_reason reason)
{
    struct house *house = cookie;
    house->gone++;
    house->gone_reason = reason;
    if (house->conn == conn)
        house->conn = NULL;
}

static inline void house_impatient(void *cookie)
{
    ((struct house *)cookie)->impatient = true;
}

static const struct mqtt_server_user house_user = {
    house_connect,    house_publish,   house_ack,  house_subscribe, house_unsubscribe,
    house_disconnect, house_batch_end, house_room, house_gone,
};

static inline void house_open(struct house *house, const struct mqtt_server_options *options)
{
    *house = (struct house){0};
    CHECK_OK(loop_create(&house->loop));
    CHECK_OK(loop_timer_create(house->loop, house_impatient, house, &house->patience));
    loop_timer_set(house->patience, loop_now_ms(house->loop) + PATIENCE_MS);
    CHECK_OK(mqtt_server_create(house->loop, options, &house_user, house, &house->server));
    CHECK_OK(mqtt_server_listen(house->server, "127.0.0.1:0", NULL, NULL, &house->port));
}

static inline void house_close(struct house *house)
{
    mqtt_server_destroy(house->server);
    loop_timer_destroy(house->patience);
    loop_destroy(house->loop);
    CHECK(!house->bad_order);
}

static inline void house_stop_done(void *cookie)
{
    ((struct house *)cookie)->stopped = true;
}

/* ---- raw clients ---- */

struct caller {
    int fd;
    uint8_t got[256 * 1024];
    size_t len;
    bool eof;
};

/* Let the loop work until it or this client has something to do, and do it. */
static inline void house_turn(struct house *house, struct caller *caller)
{
    uv_loop_t *uv = loop_uv(house->loop);
    struct pollfd fds[2] = {{.fd = uv_backend_fd(uv), .events = POLLIN}, {.fd = -1}};
    if (caller != NULL)
        fds[1] = (struct pollfd){.fd = caller->fd, .events = POLLIN};
    /* The first turn may already bring what the caller waits for: so a short wait only. */
    loop_turn(house->loop);
    int wait_ms = uv_backend_timeout(uv);
    poll(fds, 2, wait_ms < 0 || wait_ms > 5 ? 5 : wait_ms);
    loop_turn(house->loop);
    CHECK(!house->impatient);
}

#define UNTIL(house_, caller_, fact)                                                               \
    do {                                                                                           \
        while (!(fact))                                                                            \
            house_turn((house_), (caller_));                                                       \
    } while (0)

static inline void caller_open(struct house *house, struct caller *caller)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(house->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    caller->len = 0;
    caller->eof = false;
    caller->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(caller->fd >= 0);
    CHECK_EQ(connect(caller->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK(fcntl(caller->fd, F_SETFL, O_NONBLOCK) == 0);
}

static inline void caller_close(struct caller *caller)
{
    if (caller->fd >= 0)
        close(caller->fd);
    caller->fd = -1;
}

static inline void caller_say_bytes(struct house *house, struct caller *caller, const void *bytes,
                                    size_t len)
{
    size_t sent = 0;
    while (sent < len) {
        ssize_t took =
            send(caller->fd, (const char *)bytes + sent, len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (took < 0 && errno != EAGAIN)
            return; /* the server has closed; the test sees it when it reads */
        if (took > 0)
            sent += (size_t)took;
        else
            house_turn(house, NULL);
    }
}

static inline void caller_say(struct house *house, struct caller *caller, const char *hex)
{
    uint8_t bytes[1024];
    size_t len = bytes_of(hex, bytes, sizeof(bytes));
    caller_say_bytes(house, caller, bytes, len);
}

static inline void caller_read(struct caller *caller)
{
    while (caller->len < sizeof(caller->got)) {
        ssize_t len = recv(caller->fd, caller->got + caller->len, sizeof(caller->got) - caller->len,
                           MSG_DONTWAIT);
        if (len > 0) {
            caller->len += (size_t)len;
            continue;
        }
        caller->eof = caller->eof || len == 0 || (errno != EAGAIN && errno != EINTR);
        return;
    }
}

/* Wait for exactly these bytes and take them. */
static inline void caller_hear(struct house *house, struct caller *caller, const char *hex)
{
    uint8_t bytes[1024];
    size_t len = bytes_of(hex, bytes, sizeof(bytes));
    caller_read(caller);
    while (caller->len < len && !caller->eof) {
        house_turn(house, caller);
        caller_read(caller);
    }
    NOTE("%zu bytes, expected %s", caller->len, hex);
    CHECK(caller->len >= len);
    CHECK_BYTES(caller->got, bytes, len);
    memmove(caller->got, caller->got + len, caller->len - len);
    caller->len -= len;
}

static inline void caller_hear_end(struct house *house, struct caller *caller)
{
    caller_read(caller);
    while (!caller->eof) {
        house_turn(house, caller);
        caller_read(caller);
    }
    CHECK_EQ(caller->len, 0);
}

/* 64 KiB more than what `connect` says in CONNACK is the server's own business. */
#define CONNECT_311 "100D 0004 4D515454 04 02 0000 0001 61"
#define CONNECT_5   "100E 0004 4D515454 05 02 0000 00 0001 61"
#define CONNACK_311 "2002 00 00"
#define CONNACK_5   "200B 00 00 08 22 0010 27 00040000"

static inline void caller_enter(struct house *house, struct caller *caller,
                                enum mqtt_version version)
{
    caller_open(house, caller);
    caller_say(house, caller, version == MQTT_V5 ? CONNECT_5 : CONNECT_311);
    caller_hear(house, caller, version == MQTT_V5 ? CONNACK_5 : CONNACK_311);
}

#endif
