/* What the files of the server share.
 *
 * The life of a connection:
 *
 *   IDLE -> HEAD -> BODY -> HANDLER -+-> (answered) FLUSH -> IDLE, or LINGER -> CLOSED
 *             (a whole request in    +-> PARKED   -> answered, or the client leaves
 *              one read passes       +-> STREAM   -> answered, or the client leaves
 *              through at once)      +-> UPGRADED -> closed by its owner, or the peer leaves
 *
 * IDLE      between requests; nothing of the next one is here; no buffer is held
 * HEAD      part of a head is in `in`
 * BODY      the head was checked; it and part of the body are in `in`
 * HANDLER   inside on_head or on_request
 * PARKED    the handler answers later; `in` holds at most what was pipelined behind
 * STREAM    an answer in pieces has begun
 * UPGRADED  the connection is somebody's byte stream
 * FLUSH     answered; part of the answer still waits in `out`
 * LINGER    the answer is out and our half closed; what still comes is dropped, so that no reset
 * overtakes the answer CLOSED    waiting for libuv to let go of the handle */
#ifndef AUTOMAT_HTTP_INT_H
#define AUTOMAT_HTTP_INT_H

#include "net/http/http.h"
#include <netinet/in.h>
#include <sys/uio.h>
#include <uv.h>

#define HTTP_READ_BYTES (64 * KIB) /* one read; shared by all connections */
#define HTTP_PIPELINE_MAX                                                                          \
    (16 * KIB) /* kept while a request is being answered; then reading pauses */
#define HTTP_ANSWER_HEAD_MAX (8 * KIB)
#define HTTP_SCRATCH_BYTES   (24 * KIB) /* an answer's head, and a small body behind it */
#define HTTP_RECORD_BYTES    (16 * KIB) /* what is encrypted at once */
#define HTTP_LINGER_MS       2000
#define HTTP_ACCEPTS_A_TURN  64
#define HTTP_REFUSALS_MAX    256 /* connections over the limit that are told so at one time */
#define HTTP_WHEEL_SLOTS     256
#define HTTP_NEVER           INT64_MAX

struct http_link {
    struct http_link *prev, *next;
};

static inline void link_init(struct http_link *link)
{
    link->prev = link->next = link;
}

static inline bool link_linked(const struct http_link *link)
{
    return link->next != link;
}

static inline void link_remove(struct http_link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link_init(link);
}

static inline void link_append(struct http_link *list, struct http_link *link)
{
    link->prev = list->prev;
    link->next = list;
    list->prev->next = link;
    list->prev = link;
}

#define CONTAINER(pointer, type, member)                                                           \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

enum conn_state {
    CONN_IDLE,
    CONN_HEAD,
    CONN_BODY,
    CONN_HANDLER,
    CONN_PARKED,
    CONN_STREAM,
    CONN_UPGRADED,
    CONN_FLUSH,
    CONN_LINGER,
    CONN_CLOSED,
};

struct http_request {
    void *context;
    void (*on_gone)(void *cookie);
    const struct http_stream_user *stream_user;
    void *cookie;    /* of on_gone or stream_user */
    struct str body; /* inside on_request */
    uint64_t body_bytes_max;
    uint64_t content_length;
    bool head_only; /* HEAD */
    bool old;       /* HTTP/1.0 */
    bool keep_alive;
    bool chunked;
    bool body_here; /* its last byte has arrived: the connection can go on after the answer */
    bool stream_chunked;
};

/* A piece of an answer that the socket did not take at once. */
struct http_piece {
    struct http_piece *next;
    const char *at;
    size_t len;
    void (*body_free)(void *owner);
    void *owner;
    char copy[];
};

struct http_conn {
    uv_poll_t poll; /* first: libuv hands its address back */
    struct http_server *server;
    struct http_link all;   /* server->conns */
    struct http_link wheel; /* a slot of the server's wheel */
    struct http_link ready; /* server->ready: something to do in the next turn */
    struct http_link same;  /* connections of one address */
    int64_t due_ms;         /* deadline of the present state, or HTTP_NEVER */
    int64_t slot_ms;        /* when its slot of the wheel is looked at */
    int64_t begun_ms;       /* when the head or body at hand began; 0: not yet */
    struct http_request request;
    struct buf in;
    struct http_piece *out, **out_tail;
    size_t out_bytes;
    void *filter;
    struct stream stream;
    const struct stream_user *user;
    void *user_cookie;
    struct http_chunked chunked;
    size_t scanned, head_bytes, body_bytes;
    struct in6_addr peer;
    int fd;
    uint8_t state, events;
    bool consuming;   /* inside consume(): what is left of the input is looked at there */
    bool eof;         /* the peer has closed its half */
    bool close_after; /* end when the answer is out */
    bool unread;      /* something the peer sent will never be read: linger */
    bool want_room;
    bool paused;
    bool lost;     /* found out while writing; told in the next turn */
    bool orphaned; /* gone, but its handler will still answer: the memory stays */
    bool freed;    /* orphaned, and libuv let go */
    bool tls;
    bool greeted; /* the first byte under TLS has come */
    bool counted; /* among server->stats.connections */
};

struct http_peers {
    struct http_link *buckets; /* of connections, by address */
    uint32_t mask;
};

struct http_server {
    struct loop *loop;
    struct http_options options;
    uv_poll_t listener;
    uv_idle_t idle; /* runs while somebody is in `ready` or `done` is due */
    bool idle_on, listening;
    int listen_fd, spare_fd;
    uint16_t port;
    struct http_link conns, ready;
    uint32_t handles; /* libuv's, not let go yet */
    uint32_t refusals;
    bool destroyed;

    struct http_link wheel[HTTP_WHEEL_SLOTS];
    uint32_t wheel_count;
    int64_t wheel_tick_ms, wheel_at; /* `wheel_at`: number of the next tick to look at */
    struct loop_timer *wheel_timer;
    bool wheel_on;

    struct http_peers peers;

    bool stopping, stop_told;
    void (*stop_done)(void *cookie);
    void *stop_cookie;
    struct loop_timer *stop_timer;

    int64_t date_s;
    char date[32]; /* "Sun, 06 Nov 1994 08:49:37 GMT" */
    struct http_stats stats;

    const struct http_conn *head_owner; /* whose head is in `head`, parsed from `head_at` */
    const char *head_at;
    struct http_head head;
    char scratch[HTTP_SCRATCH_BYTES];
    char read[HTTP_READ_BYTES];
    char plain[HTTP_READ_BYTES];
};

/* http_listen.c */
MUST_USE enum err http_listen(struct http_server *server);
void http_listen_stop(struct http_server *server);
/* http_server.c */
void http_server_ready(struct http_server *server); /* run the idle handle next turn */
void http_server_handle_closed(struct http_server *server);
void http_server_conn_ended(struct http_server *server);

/* http_conn.c */
MUST_USE enum err http_conn_open(struct http_server *server, int fd, const struct in6_addr *peer,
                                 struct http_conn **ret_conn);
void http_conn_close(struct http_conn *conn);
void http_conn_lost(struct http_conn *conn, enum err why);
void http_conn_linger(struct http_conn *conn);
void http_conn_next(struct http_conn *conn); /* the answer is out */
void http_conn_later(struct http_conn *conn);
void http_conn_resume(struct http_conn *conn); /* its turn of `ready` */
void http_conn_interest(struct http_conn *conn);
void http_conn_expired(struct http_conn *conn);

/* http_read.c */
void http_read_bytes(struct http_conn *conn, char *bytes, size_t len);
void http_read_kept(struct http_conn *conn); /* look at what is in `in` */

/* http_out.c */
struct http_body {
    struct str bytes;
    bool stays;
    void (*body_free)(void *owner);
    void *owner;
};
/* Send now what the socket takes, keep the rest.  False: the connection is broken (the body is
 * freed all the same). */
bool http_out_send(struct http_conn *conn, struct str head, const struct http_body *body);
/* False: broken. */
bool http_out_flush(struct http_conn *conn);
bool http_out_pending(const struct http_conn *conn);
void http_out_drop(struct http_conn *conn);
/* Send some of it, keep nothing: how many bytes were taken, or -1 when the connection is broken. */
ssize_t http_out_some(struct http_conn *conn, const char *bytes, size_t len);
void http_out_deadline(struct http_conn *conn);

/* http_respond.c */
/* Build an answer's head in server->scratch; empty: a field may not go on the wire, or it is too
 * large. */
enum http_framing {
    HTTP_BY_LENGTH,
    HTTP_BY_CHUNKS,
    HTTP_BY_CLOSE, /* HTTP/1.0: the end of the connection is the end of the answer */
};
struct str http_answer_head(struct http_conn *conn, const struct http_answer *answer,
                            enum http_framing framing);
void http_refuse(struct http_conn *conn, const struct http_fault *fault);
const char *http_reason(uint16_t status);
void http_request_over(struct http_conn *conn); /* no longer parked or streaming */

/* http_upgrade.c */
void http_upgrade_init(struct http_conn *conn);

/* http_deadline.c */
MUST_USE enum err http_deadline_init(struct http_server *server);
void http_deadline_set(struct http_conn *conn, int64_t due_ms);
void http_deadline_clear(struct http_conn *conn);
void http_deadline_remove(struct http_conn *conn);

/* http_peers.c */
MUST_USE enum err http_peers_init(struct http_peers *peers, uint32_t connections_max);
void http_peers_finish(struct http_peers *peers);
/* False: this address has `max` already. */
bool http_peers_add(struct http_peers *peers, struct http_conn *conn, uint32_t max);

/* How long the slowest peer that we wait for takes for so many bytes. */
static inline int64_t http_rate_ms(const struct http_conn *conn, uint64_t bytes)
{
    return (int64_t)(bytes * 1000 / conn->server->options.rate_bytes_s);
}

static inline int64_t http_now_ms(const struct http_conn *conn)
{
    return loop_now_ms(conn->server->loop);
}

static inline struct http_conn *http_conn_of(struct http_request *req)
{
    return CONTAINER(req, struct http_conn, request);
}

#endif
