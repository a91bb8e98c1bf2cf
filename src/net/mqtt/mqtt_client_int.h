/* What the files of the client share.
 *
 *   IDLE -> LOOKUP -> REACH -> GREET -> OPEN -> PARTING -> (on_gone) IDLE
 *
 * LOOKUP   the host's name is being resolved
 * REACH    a TCP connection is being made, to one address after the other
 * GREET    CONNECT is sent (behind the handshake of a filter); CONNACK is awaited
 * OPEN     CONNACK was good
 * PARTING  DISCONNECT leaves; our half is closed then, and the peer's is awaited
 * OVER     on_gone is due in the next turn
 *
 * Every state but IDLE and OPEN has a deadline.  The user is called only out of the loop's calls
 * (mqtt_client_enter ... leave), where destroying the client is put off to the end. */
#ifndef AUTOMAT_MQTT_CLIENT_INT_H
#define AUTOMAT_MQTT_CLIENT_INT_H

#include "net/mqtt/mqtt.h"
#include <netinet/in.h>
#include <uv.h>

#define MQTT_CLIENT_READ_BYTES    (16 * KIB)
#define MQTT_CLIENT_CONNECT_MS    10000
#define MQTT_CLIENT_PART_MS       2000
#define MQTT_CLIENT_ADDRESSES     4
#define MQTT_CLIENT_SUBSCRIBE_MAX 32 /* SUBSCRIBE and UNSUBSCRIBE not yet answered */

enum mqtt_client_state {
    CLIENT_IDLE,
    CLIENT_LOOKUP,
    CLIENT_REACH,
    CLIENT_GREET,
    CLIENT_OPEN,
    CLIENT_PARTING,
    CLIENT_OVER,
};

/* One connection.  It outlives its client until libuv lets go. */
struct mqtt_line {
    uv_poll_t poll; /* first */
    struct mqtt_client *client;
    int fd, events;
};

struct mqtt_lookup {
    uv_getaddrinfo_t request; /* first */
    struct mqtt_client *client;
};

/* A message of QoS 1 or 2 until it is acknowledged. */
struct mqtt_pending {
    struct mqtt_pending *next;
    uint64_t handle;
    uint16_t packet_id;
    bool released; /* QoS 2: PUBREC came, PUBREL is sent */
    uint32_t len;
    uint8_t packet[];
};

struct mqtt_client {
    struct loop *loop;
    struct mqtt_client_options options; /* its texts are `texts` */
    struct mqtt_client_user user;
    void *cookie;
    char *texts;
    enum mqtt_client_state state;
    enum mqtt_reason reason; /* of on_gone */
    uint32_t busy;           /* calls out of the loop that are under way */
    bool destroyed, flush_due;
    struct loop_timer *deadline; /* of the state; OPEN: keep-alive */
    struct loop_timer *soon;     /* the next turn: flush, on_gone */

    struct sockaddr_in6 addresses[MQTT_CLIENT_ADDRESSES]; /* or sockaddr_in within */
    uint32_t address_count, address_next;
    struct mqtt_lookup *lookup;
    struct mqtt_line *line;
    void *filter;
    bool blocked, shut, ping_due;
    struct buf in, out;
    size_t out_begin;
    int64_t sent_ms, heard_ms, reach_ms;
    uint32_t keep_alive_ms;

    uint32_t server_receive_max, server_packet_max;
    uint8_t server_qos_max;
    bool server_retains;
    uint16_t packet_id; /* the last one given */
    uint64_t handle;
    struct mqtt_pending *pending, **pending_tail;
    uint32_t pending_count;
    size_t pending_bytes;
    uint16_t subscribing[MQTT_CLIENT_SUBSCRIBE_MAX]; /* packet ids; 0: free */
    uint8_t *received; /* a bit for each packet id of QoS 2 between PUBLISH and PUBREL */
};

static inline void mqtt_client_enter(struct mqtt_client *client)
{
    client->busy++;
}
void mqtt_client_leave(struct mqtt_client *client);

/* mqtt_client.c */
void mqtt_client_over(struct mqtt_client *client, enum mqtt_reason reason);

/* mqtt_client_line.c */
void mqtt_line_start(struct mqtt_client *client); /* LOOKUP or REACH */
void mqtt_line_close(struct mqtt_client *client);
void mqtt_line_flush(struct mqtt_client *client);
MUST_USE enum err mqtt_line_send(struct mqtt_client *client, const struct mqtt_packet *packet);

/* mqtt_client_packet.c */
void mqtt_client_greet(struct mqtt_client *client);
void mqtt_client_input(struct mqtt_client *client, const uint8_t *bytes, size_t len);

/* mqtt_client_pending.c */
uint16_t mqtt_client_packet_id(struct mqtt_client *client);
void mqtt_client_acked(struct mqtt_client *client, const struct mqtt_ack *ack);
void mqtt_client_resume(struct mqtt_client *client, bool session_present);
void mqtt_client_forget(struct mqtt_client *client);

#endif
