/* http: an HTTP/1.1 server that can stand on the open internet and hold many thousand parked
 * requests.
 *
 * One connection has one request at a time: the next one (pipelined or not) is looked at when this
 * one is answered, so answers leave in order.  Loop thread only.  The handler is called on the
 * loop; every function below may be called inside it. */
#ifndef AUTOMAT_HTTP_H
#define AUTOMAT_HTTP_H

#include "base/base.h"
#include "loop/loop.h"
#include "loop/stream.h"
#include "net/http/http_codec.h"

struct http_server;
struct http_request; /* opaque; part of its connection: valid until answered, or until on_gone */

/* ---- server
 * --------------------------------------------------------------------------------------------------
 */

struct http_handler {
    /* The head is in, the body may not be.  Here a route sets http_body_limit, or answers at once
     * (401, 404, 413: the body is then not read).  NULL: not needed. */
    void (*on_head)(void *cookie, struct http_request *req);
    /* The request is whole.  The handler answers now (http_respond, http_stream_begin,
     * http_upgrade) or calls http_park and answers later.  Returning without any of these is a bug
     * of the handler: 500. */
    void (*on_request)(void *cookie, struct http_request *req);
    /* The server stops: answer what is parked, soon.  NULL: not needed.  Parked requests that are
     * not answered within stop_timeout_ms get 503. */
    void (*on_stop)(void *cookie);
};

struct http_options {
    const char *listen; /* "127.0.0.1:8000", "[::1]:0"; port 0 lets the kernel choose */
    struct http_handler handler;
    void *cookie; /* for the handler */

    /* 0 means the value in brackets */
    uint32_t connections_max;  /* [20,000] more get 503 and Retry-After */
    uint32_t per_address_max;  /* [no limit] connections from one IPv4 address or IPv6 /64 */
    uint64_t body_bytes_max;   /* [1 MiB] where the handler sets none */
    uint32_t head_timeout_ms;  /* [10,000] from its first byte, TLS handshake included */
    uint32_t body_timeout_ms;  /* [30,000] plus its length at rate_bytes_s */
    uint32_t idle_timeout_ms;  /* [75,000] between requests */
    uint32_t write_timeout_ms; /* [30,000] plus what waits at rate_bytes_s, to a peer not reading */
    uint32_t rate_bytes_s;     /* [8 KiB] the slowest peer we wait for */
    uint32_t stop_timeout_ms;  /* [5,000] */
    uint32_t stream_queued_max; /* [256 KiB] bytes a streamed answer may hold back */

    /* TLS: tls_filter_ops and a struct tls_context.  NULL: plain. */
    const struct stream_filter_ops *filter;
    void *filter_context;
};

/* Bind and listen.  ERR_INPUT: `listen` is not an address.  ERR_CONFLICT: it is in use. ERR_DENIED:
 * no right to it. Raises the soft limit of open files to the hard one. */
MUST_USE enum err http_server_create(struct loop *loop, const struct http_options *options,
                                     struct http_server **ret_server);
uint16_t http_server_port(const struct http_server *server);
/* Stop accepting, call on_stop, answer what comes in the meantime with "Connection: close", end
 * idle connections, wait for answers that are being written (at most stop_timeout_ms), end the
 * rest, then call `done` once, in a later turn. */
void http_server_stop(struct http_server *server, void (*done)(void *cookie), void *cookie);
/* After `done`; or at any time, which drops every connection (on_gone is called for parked
 * requests).  NULL does nothing.  Its last memory is freed by a later turn of the loop or by
 * loop_destroy. */
void http_server_destroy(struct http_server *server);

struct http_stats {
    uint32_t connections, parked;
    uint64_t accepted, refused; /* refused: over a limit */
    uint64_t requests, malformed, timeouts;
    uint64_t bytes_in, bytes_out;
};
void http_server_stats(const struct http_server *server, struct http_stats *ret_stats);

/* ---- request: valid inside on_head and on_request; after http_park only what says so
 * ------------------------- */

const struct http_head *http_request_head(const struct http_request *req); /* not after park */
struct str http_header(const struct http_request *req,
                       struct str name);              /* not after park; STR_NONE: absent */
struct str http_body(const struct http_request *req); /* on_request only, not after park */

/* The peer's address without its port ("127.0.0.1", "2001:db8::1").  Also after park. */
#define HTTP_PEER_BYTES 46
void http_peer(const struct http_request *req, char dst[HTTP_PEER_BYTES]);
bool http_is_tls(const struct http_request *req);
/* A word of the handler's own; NULL at first.  Also after park. */
void http_request_set_context(struct http_request *req, void *context);
void *http_request_context(const struct http_request *req);

/* In on_head: the largest body this request may have (0: none).  Larger is answered with 413, at
 * once when the length is declared. */
void http_body_limit(struct http_request *req, uint64_t bytes_max);

/* Answer later.  Head and body are released: copy first what is still needed.  `on_gone(cookie)` is
 * called when the client left before the answer; the request must not be touched after it.  With
 * on_gone NULL the request stays valid until it is answered, whether or not anybody is still there.
 */
void http_park(struct http_request *req, void (*on_gone)(void *cookie), void *cookie);

/* ---- answers: exactly one of them a request
 * ------------------------------------------------------------------ */

struct http_answer {
    uint16_t status;         /* 200..599 */
    struct str content_type; /* empty: no such field */
    const struct http_field
        *fields; /* further fields; not Content-Length, Date, Connection, Transfer-Encoding */
    size_t field_count;
    struct str body;                /* copied as far as it cannot be sent at once, but for: */
    bool body_stays;                /* it outlives the server (constants, static files) */
    void (*body_free)(void *owner); /* takes ownership: called once when the body is no longer
                                       needed, maybe at once */
    void *body_owner;
    bool close; /* end the connection after it */
};

/* Answer.  HEAD, 204 and 304 are sent without the body (HEAD and 304 with its length).  A field
 * that may not go on the wire (control bytes) turns the answer into a bare 500.  The request is
 * over when this returns. */
void http_respond(struct http_request *req, const struct http_answer *answer);

/* Answer in pieces: exports, server-sent events.  The request stays valid until http_stream_end or
 * on_gone. */
struct http_stream_user {
    void (*on_room)(void *cookie); /* after ERR_FULL: write again.  May be NULL */
    void (*on_gone)(
        void *cookie); /* the client left, or the server ended it; not after http_stream_end */
};
void http_stream_begin(struct http_request *req, const struct http_answer *head,
                       const struct http_stream_user *user, void *cookie);
/* ERR_FULL: nothing was taken, the client is slow.  ERR_CLOSED: on_gone is on its way. */
MUST_USE enum err http_stream_write(struct http_request *req, struct str bytes);
void http_stream_end(struct http_request *req);
/* End the connection without the final chunk, so that the client sees that something is missing. */
void http_stream_abort(struct http_request *req);

/* Answer 101 with these fields (Connection: Upgrade is added) and hand over the connection as a
 * stream.  The request is over.  The new owner calls stream_open before it returns to the loop. */
struct stream *http_upgrade(struct http_request *req, const struct http_field *fields,
                            size_t field_count);

#endif
