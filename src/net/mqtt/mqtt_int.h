/* What the files of the server share.
 *
 * The life of a connection:
 *
 *   NEW -> ASKED -> OPEN -> CLOSING -> CLOSED
 *
 * NEW      its CONNECT is not here yet
 * ASKED    on_connect was called; the user has not answered; nothing is read
 * OPEN     CONNACK is queued
 * CLOSING  ends in order: what is queued still leaves, what still comes is dropped, so that no
 * reset overtakes the last packet; for at most MQTT_LINGER_MS CLOSED   waiting for libuv to let go
 * of the handle
 *
 * No function here calls the user, but those that run a turn (mqtt_turn.c) or hand over packets
 * (mqtt_packet.c); so whatever a callback does to any connection, the memory below it stays: it is
 * freed when on_gone has returned and libuv has let go. */
#ifndef AUTOMAT_MQTT_INT_H
#define AUTOMAT_MQTT_INT_H

#include "net/mqtt/mqtt.h"
#include <uv.h>

#define MQTT_READ_BYTES    (64 * KIB) /* one read; shared by all connections */
#define MQTT_CONNECT_BYTES (64 * KIB) /* of the first packet, from somebody unknown */
#define MQTT_RECORD_BYTES  (16 * KIB) /* what is encrypted at once */
#define MQTT_FLUSH_BYTES   (64 * KIB) /* queued in one turn: written at once */
#define MQTT_LINGER_MS     2000
#define MQTT_ACCEPTS_TURN  64
#define MQTT_LISTENERS_MAX 8
#define MQTT_WHEEL_SLOTS   256
#define MQTT_ALIASES_MAX   16
#define MQTT_NEVER         INT64_MAX

struct mqtt_link {
    struct mqtt_link *prev, *next;
};

static inline void mqtt_link_init(struct mqtt_link *link)
{
    link->prev = link->next = link;
}

static inline bool mqtt_linked(const struct mqtt_link *link)
{
    return link->next != link;
}

static inline void mqtt_link_remove(struct mqtt_link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    mqtt_link_init(link);
}

static inline void mqtt_link_append(struct mqtt_link *list, struct mqtt_link *link)
{
    link->prev = list->prev;
    link->next = list;
    list->prev->next = link;
    list->prev = link;
}

/* Take all of `from`, so that what is appended meanwhile waits for the next round. */
static inline void mqtt_link_take(struct mqtt_link *from, struct mqtt_link *ret_list)
{
    mqtt_link_init(ret_list);
    if (!mqtt_linked(from))
        return;
    *ret_list = *from;
    ret_list->next->prev = ret_list->prev->next = ret_list;
    mqtt_link_init(from);
}

#define MQTT_CONTAINER(pointer, type, member)                                                      \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

enum mqtt_state { MQTT_NEW, MQTT_ASKED, MQTT_OPEN, MQTT_CLOSING, MQTT_CLOSED };

/* A piece of what waits to leave. */
struct mqtt_block {
    struct mqtt_block *next;
    uint32_t begin, end, cap;
    uint8_t bytes[];
};

/* Topics by alias (5.0, section 3.3.2.3.4). */
struct mqtt_aliases {
    char *topic[MQTT_ALIASES_MAX];
    uint16_t len[MQTT_ALIASES_MAX];
};

struct mqtt_conn {
    union { /* first: libuv hands its address back */
        uv_handle_t any;
        uv_poll_t poll; /* a socket */
        uv_idle_t idle; /* an adopted stream: only so that its end, too, comes in a later turn */
    } handle;
    struct mqtt_server *server;
    struct mqtt_link all;   /* server->conns */
    struct mqtt_link wheel; /* a slot of the server's wheel */
    struct mqtt_link ready; /* server->ready: something to do in the next turn */
    struct mqtt_link dirty; /* server->dirty: queued, not yet written */
    void *context;
    const struct stream_filter_ops *filter_ops;
    void *filter;
    struct stream *stream; /* adopted; NULL: a socket */
    struct buf in;         /* what was read and could not be handed over yet */
    struct mqtt_block *out, *out_last;
    size_t out_bytes;
    struct mqtt_aliases *aliases;
    int64_t last_ms;   /* the last packet; NEW: the beginning; CLOSING: the end's beginning */
    int64_t packet_ms; /* when the packet at hand began, or MQTT_NEVER */
    int64_t write_ms;  /* since when the peer takes nothing, or MQTT_NEVER */
    int64_t slot_ms;   /* when its slot of the wheel is looked at */
    uint32_t keep_alive_ms;
    uint32_t peer_packet_max;
    uint16_t receive_max, receive_used, alias_max;
    int fd;
    uint8_t state, version, events, reason;
    bool told;     /* on_gone was called */
    bool released; /* libuv let go */
    bool consuming;
    bool handed; /* packets were handed over since the last on_batch_end */
    bool paused; /* by the user */
    bool stream_paused;
    bool want_room;
    bool blocked; /* the carrier takes no more now */
    bool shut;    /* our half is closed */
    bool goodbye; /* the peer said DISCONNECT: it waits for nothing */
    bool tls;
    bool session_ends; /* its session ends with the connection (5.0, section 3.14.2.2.2) */
    char peer[MQTT_PEER_BYTES];
};

struct mqtt_listener {
    uv_poll_t poll; /* first */
    struct mqtt_server *server;
    const struct stream_filter_ops *filter;
    void *filter_context;
    int fd;
};

struct mqtt_pool {
    struct mqtt_block *free;
    uint32_t count;
};

struct mqtt_server {
    struct loop *loop;
    struct mqtt_server_options options;
    struct mqtt_server_user user;
    void *cookie;
    struct mqtt_listener *listeners[MQTT_LISTENERS_MAX];
    uint32_t listener_count;
    int spare_fd;
    uv_idle_t idle;       /* runs while somebody is in `ready` */
    uv_prepare_t prepare; /* both run while somebody is in `dirty` */
    uv_check_t check;
    bool idle_on, dirty_on;
    uint32_t handles; /* libuv's, not let go yet */
    struct mqtt_link conns, ready, dirty;
    struct mqtt_pool small, large;

    struct mqtt_link wheel[MQTT_WHEEL_SLOTS];
    uint32_t wheel_count;
    int64_t wheel_tick_ms, wheel_at; /* `wheel_at`: number of the next tick to look at */
    struct loop_timer *wheel_timer;
    bool wheel_on;

    bool stopping, stop_told, destroyed;
    void (*stop_done)(void *cookie);
    void *stop_cookie;
    struct loop_timer *stop_timer;
    struct mqtt_server_stats stats;
    uint8_t read[MQTT_READ_BYTES];
    uint8_t plain[MQTT_READ_BYTES];
};

static inline int64_t mqtt_now_ms(const struct mqtt_conn *conn)
{
    return loop_now_ms(conn->server->loop);
}

/* How long an end in order may take. */
static inline uint32_t mqtt_linger_ms(const struct mqtt_server *server)
{
    uint32_t write_ms = server->options.write_timeout_ms;
    return write_ms < MQTT_LINGER_MS ? write_ms : MQTT_LINGER_MS;
}

/* mqtt_listen.c */
void mqtt_listeners_close(struct mqtt_server *server);

/* mqtt_turn.c */
void mqtt_ready_start(struct mqtt_server *server);
void mqtt_ready(struct mqtt_conn *conn);
void mqtt_dirty(struct mqtt_conn *conn);
void mqtt_turn_init(struct mqtt_server *server);
void mqtt_turn_close(struct mqtt_server *server);
void mqtt_server_released(struct mqtt_server *server); /* libuv let go of one handle */

/* mqtt_conn.c */
MUST_USE enum err mqtt_conn_open(struct mqtt_listener *listener, int fd, const char *peer);
void mqtt_conn_end(struct mqtt_conn *conn, enum mqtt_reason reason);     /* at once */
void mqtt_conn_closing(struct mqtt_conn *conn, enum mqtt_reason reason); /* in order */
void mqtt_conn_tell(struct mqtt_conn *conn);                             /* on_gone */
void mqtt_conn_expired(struct mqtt_conn *conn);

/* mqtt_carrier.c */
bool mqtt_carrier_reads(const struct mqtt_conn *conn);
void mqtt_carrier_interest(struct mqtt_conn *conn);
extern const struct stream_user mqtt_stream_user;

/* mqtt_input.c */
void mqtt_input(struct mqtt_conn *conn, const uint8_t *bytes, size_t len);
void mqtt_input_kept(struct mqtt_conn *conn);
void mqtt_input_broken(struct mqtt_conn *conn, enum mqtt_reason reason);

/* mqtt_packet.c */
void mqtt_packet_in(struct mqtt_conn *conn, struct str packet);

/* mqtt_out.c */
/* Room for `bytes` in one piece at the end of the queue; used when mqtt_out_commit is called. */
MUST_USE enum err mqtt_out_reserve(struct mqtt_conn *conn, size_t bytes, uint8_t **ret_at);
void mqtt_out_commit(struct mqtt_conn *conn, size_t bytes);
/* Write now what the carrier takes; what breaks ends the connection. */
void mqtt_out_flush(struct mqtt_conn *conn);
void mqtt_out_drop(struct mqtt_conn *conn);
void mqtt_pools_free(struct mqtt_server *server);

/* mqtt_alias.c */
/* Learn or look up the topic of `publish`; false: no such alias. */
MUST_USE enum err mqtt_alias_resolve(struct mqtt_conn *conn, struct mqtt_publish *publish);
void mqtt_alias_free(struct mqtt_conn *conn);

/* mqtt_watch.c */
MUST_USE enum err mqtt_watch_init(struct mqtt_server *server);
void mqtt_watch(struct mqtt_conn *conn); /* its deadline may have come nearer */
void mqtt_watch_remove(struct mqtt_conn *conn);

#endif
