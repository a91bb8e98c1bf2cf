/* mqtt: connections that speak MQTT: a listener and the server's end (what broker stands on), and a
 * client (twins, tools).  Loop thread only.
 *
 * The server's end knows packets, keep-alive, bounds and order of bytes; sessions, subscriptions
 * and rights are the broker's. */
#ifndef AUTOMAT_MQTT_H
#define AUTOMAT_MQTT_H

#include "base/base.h"
#include "loop/loop.h"
#include "loop/stream.h"
#include "net/mqtt/mqtt_codec.h"

/* ---- server ---- */

struct mqtt_server; /* the connections of all listeners */
struct mqtt_conn;   /* one client; valid until on_gone returned */

/* `conn` carries a word of the user's own (mqtt_conn_set_context).  Any of these may send on any
 * connection and may close any. */
struct mqtt_server_user {
    /* Its first packet was a valid CONNECT: answer with mqtt_conn_accept or mqtt_conn_refuse, now
     * or later (reading is paused until then).  Slices are borrowed until it returns. */
    void (*on_connect)(void *cookie, struct mqtt_conn *conn, const struct mqtt_connect *connect);
    void (*on_publish)(void *cookie, struct mqtt_conn *conn, const struct mqtt_publish *publish);
    void (*on_ack)(void *cookie, struct mqtt_conn *conn, const struct mqtt_ack *ack);
    void (*on_subscribe)(void *cookie, struct mqtt_conn *conn,
                         const struct mqtt_subscribe *subscribe);
    void (*on_unsubscribe)(void *cookie, struct mqtt_conn *conn,
                           const struct mqtt_subscribe *unsubscribe);
    /* The client says goodbye in order; on_gone follows. */
    void (*on_disconnect)(void *cookie, struct mqtt_conn *conn,
                          const struct mqtt_disconnect *disconnect);
    /* All packets of one read were handed over: a good moment to submit what they brought. */
    void (*on_batch_end)(void *cookie, struct mqtt_conn *conn);
    /* What was queued has left: there is room for more (after mqtt_conn_send said ERR_FULL, or
     * mqtt_conn_queued was above half of its bound). */
    void (*on_room)(void *cookie, struct mqtt_conn *conn);
    /* Over, exactly once, never inside a call on `conn`, also for one that was never accepted (its
     * context is then NULL).  `reason`: why, as far as known. */
    void (*on_gone)(void *cookie, struct mqtt_conn *conn, enum mqtt_reason reason);
};

struct mqtt_server_options {     /* 0 means the value in brackets */
    uint32_t connections_max;    /* [20,000] more are closed at once */
    uint32_t connect_timeout_ms; /* [10,000] until the whole CONNECT (and TLS handshake) is in */
    uint32_t write_timeout_ms;   /* [30,000] a peer that takes nothing for so long is dropped */
    uint32_t packet_timeout_ms;  /* [60,000] from a packet's first byte to its last */
    size_t packet_bytes_max;     /* [MQTT_PACKET_BYTES_MAX] a CONNECT: at most 64 KiB of it */
    size_t queued_bytes_max;     /* [1 MiB] to one client */
};
MUST_USE enum err mqtt_server_create(struct loop *loop, const struct mqtt_server_options *options,
                                     const struct mqtt_server_user *user, void *cookie,
                                     struct mqtt_server **ret_server);
/* Also listen here; several times for several ports (plain, TLS).  "HOST:PORT", port 0: the
 * kernel's choice.  Errors as http_server_create. */
MUST_USE enum err mqtt_server_listen(struct mqtt_server *server, const char *listen,
                                     const struct stream_filter_ops *filter, void *filter_context,
                                     uint16_t *ret_port);
/* A client over somebody else's stream (WebSocket: binary messages, subprotocol "mqtt").  `peer` is
 * copied.  On failure the stream is the caller's still. */
MUST_USE enum err mqtt_server_adopt(struct mqtt_server *server, struct stream *stream,
                                    const char *peer, bool tls);
/* Stop accepting; 5.0 clients are told (MQTT_SERVER_SHUTTING_DOWN); what is queued is written for
 * at most 2 s; every on_gone has been called when `done` is, in a later turn. */
void mqtt_server_stop(struct mqtt_server *server, void (*done)(void *cookie), void *cookie);
/* Drops everybody: on_gone is called for each that is left, before this returns, and nothing
 * after.  NULL does nothing. */
void mqtt_server_destroy(struct mqtt_server *server);

struct mqtt_server_stats {
    uint32_t connections, connections_max_seen;
    uint64_t accepted, refused, malformed, timeouts;
    uint64_t bytes_in, bytes_out;
    uint64_t packets_in[16], packets_out[16]; /* by enum mqtt_type */
};
void mqtt_server_stats(const struct mqtt_server *server, struct mqtt_server_stats *ret_stats);

/* CONNACK with success; `properties` (may be NULL) as the server wants them said to a 5.0 client.
 * The connection adds what it looks after itself: topic aliases (it resolves them; 16), maximum
 * packet size.  A receive maximum in `properties` is enforced.  Starts the keep-alive watch: 1.5
 * times `keep_alive_s` (0: none).  Both do nothing on a connection that does not wait for it. */
void mqtt_conn_accept(struct mqtt_conn *conn, bool session_present, uint16_t keep_alive_s,
                      const struct mqtt_properties *properties);
void mqtt_conn_refuse(struct mqtt_conn *conn, enum mqtt_reason reason); /* then closes */
/* DISCONNECT with a reason to a 5.0 client, then close what is left in order.  on_gone follows. */
void mqtt_conn_close(struct mqtt_conn *conn, enum mqtt_reason reason);

/* Queue a packet.  Small packets of one turn leave in one write.  ERR_FULL: over the client's bound
 * (or its maximum packet size: ERR_REFUSED); nothing was queued.  ERR_CLOSED. */
MUST_USE enum err mqtt_conn_send(struct mqtt_conn *conn, const struct mqtt_packet *packet);
/* PUBACK and the like, on the hot path. */
MUST_USE enum err mqtt_conn_ack(struct mqtt_conn *conn, enum mqtt_type type, uint16_t packet_id,
                                enum mqtt_reason reason);
/* Stop or go on reading from it. */
void mqtt_conn_pause(struct mqtt_conn *conn, bool paused);
size_t mqtt_conn_queued(const struct mqtt_conn *conn);
enum mqtt_version mqtt_conn_version(const struct mqtt_conn *conn);
#define MQTT_PEER_BYTES 46
const char *mqtt_conn_peer(const struct mqtt_conn *conn); /* address without port */
bool mqtt_conn_tls(const struct mqtt_conn *conn);
void mqtt_conn_set_context(struct mqtt_conn *conn, void *context);
void *mqtt_conn_context(const struct mqtt_conn *conn);

/* ---- client ---- */

struct mqtt_client;

struct mqtt_client_user {
    /* CONNACK came.  `reason` other than MQTT_SUCCESS: refused, on_gone follows. */
    void (*on_connack)(void *cookie, bool session_present, enum mqtt_reason reason);
    /* A message (QoS 1 is acknowledged after this returns; QoS 2 is handed over once). */
    void (*on_message)(void *cookie, const struct mqtt_publish *publish);
    /* A publish of ours is acknowledged (`handle` of mqtt_client_publish); `reason` from 5.0. */
    void (*on_published)(void *cookie, uint64_t handle, enum mqtt_reason reason);
    void (*on_subscribed)(void *cookie, uint16_t packet_id, const struct mqtt_suback *suback);
    /* The connection is over; the client is idle and may connect again.  What was not acknowledged
     * stays and is sent again with DUP when a session is present, and forgotten when it is not
     * (on_published is then never called for it). */
    void (*on_gone)(void *cookie, enum mqtt_reason reason);
};

struct mqtt_client_options { /* texts are copied; 0 means the value in brackets */
    const char *host;        /* name or address */
    uint16_t port;
    const char *client_id, *user, *password; /* NULL: none */
    enum mqtt_version version;               /* [MQTT_V311] */
    bool clean_start;
    uint32_t session_expiry_s;              /* 5.0 */
    uint16_t keep_alive_s;                  /* [30] */
    uint32_t inflight_max;                  /* [64] QoS 1 and 2 publishes not yet acknowledged */
    size_t queued_bytes_max;                /* [1 MiB] */
    struct mqtt_will will;                  /* copied */
    const struct stream_filter_ops *filter; /* TLS */
    void *filter_context;
};
MUST_USE enum err mqtt_client_create(struct loop *loop, const struct mqtt_client_options *options,
                                     const struct mqtt_client_user *user, void *cookie,
                                     struct mqtt_client **ret_client);
/* Begin to connect; on_connack or on_gone follows, within 10 s.  ERR_CONFLICT: it is connected. */
MUST_USE enum err mqtt_client_connect(struct mqtt_client *client);
/* DISCONNECT in order (the will is not published); on_gone follows. */
void mqtt_client_disconnect(struct mqtt_client *client);
/* Break the connection without goodbye, as a lost network would: on_gone follows. */
void mqtt_client_drop(struct mqtt_client *client);
void mqtt_client_destroy(struct mqtt_client *client);         /* NULL does nothing; no more calls */
bool mqtt_client_connected(const struct mqtt_client *client); /* CONNACK was good */

struct mqtt_message {
    struct str topic, payload;
    uint8_t qos;
    bool retain;
    uint32_t expiry_s; /* 5.0; 0: none */
};
/* Copied.  ERR_FULL: too much in flight or queued.  ERR_CLOSED: not connected.  `ret_handle` (may
 * be NULL) is never 0 and grows. */
MUST_USE enum err mqtt_client_publish(struct mqtt_client *client,
                                      const struct mqtt_message *message, uint64_t *ret_handle);
MUST_USE enum err mqtt_client_subscribe(struct mqtt_client *client, struct str filter, uint8_t qos,
                                        uint16_t *ret_packet_id);
MUST_USE enum err mqtt_client_unsubscribe(struct mqtt_client *client, struct str filter,
                                          uint16_t *ret_packet_id);
uint32_t mqtt_client_inflight(const struct mqtt_client *client);

#endif
