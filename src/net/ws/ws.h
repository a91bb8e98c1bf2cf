/* ws: the server's side of WebSocket (RFC 6455) over any struct stream.  Loop thread only.
 *
 * Who may connect (Origin, session) is the caller's business, before the upgrade. */
#ifndef AUTOMAT_WS_H
#define AUTOMAT_WS_H

#include "base/base.h"
#include "loop/loop.h"
#include "loop/stream.h"

/* ---- handshake
 * ------------------------------------------------------------------------------------------------
 */

struct ws_request {
    bool get;           /* the method is GET, the version HTTP/1.1 */
    struct str upgrade; /* fields of the request; empty: absent */
    struct str connection;
    struct str version; /* Sec-WebSocket-Version */
    struct str key;     /* Sec-WebSocket-Key */
};
#define WS_ACCEPT_BYTES 29 /* with NUL */
/* ERR_OK: upgrade, with "Upgrade: websocket" and "Sec-WebSocket-Accept: <ret_accept>".
 * ERR_VERSION: answer 426 with "Sec-WebSocket-Version: 13".  ERR_INPUT: answer 400. */
MUST_USE enum err ws_handshake(const struct ws_request *request, char ret_accept[WS_ACCEPT_BYTES]);

/* ---- connection
 * -----------------------------------------------------------------------------------------------
 */

struct ws; /* owned by its creator until on_gone */

enum ws_close_code {
    WS_NORMAL = 1000,
    WS_GOING_AWAY = 1001,
    WS_PROTOCOL = 1002,
    WS_UNSUPPORTED = 1003,
    WS_NO_STATUS = 1005, /* never on the wire: the peer gave no code */
    WS_LOST = 1006,      /* never on the wire: the connection broke */
    WS_BAD_DATA = 1007,
    WS_POLICY = 1008,
    WS_TOO_BIG = 1009,
    WS_INTERNAL = 1011,
    WS_TRY_LATER = 1013, /* too slow, or the server is full */
};

struct ws_user {
    /* A whole message, borrowed.  Text has been checked to be UTF-8.  May send, and may call
     * ws_close. */
    void (*on_message)(void *cookie, struct ws *ws, bool text, struct str message);
    /* The connection is over: exactly once, never inside a call on `ws`, also after ws_close.  `ws`
     * is freed when it returns.  Not called after ws_destroy. */
    void (*on_gone)(void *cookie, struct ws *ws, uint16_t code);
};

struct ws_options {            /* 0 means the value in brackets */
    size_t message_bytes_max;  /* [64 KiB] from the peer; larger: closed with 1009 */
    size_t queued_bytes_max;   /* [1 MiB] to the peer; more: it is too slow, closed with 1013 */
    uint32_t queued_count_max; /* [1,024] messages to the peer; likewise */
    uint32_t ping_every_ms;    /* [25,000] */
    uint32_t pong_timeout_ms;  /* [10,000] after a ping without any answer: the peer is gone */
    uint32_t close_timeout_ms; /* [5,000] for the peer's half of a close */
};

/* Take over `stream`.  On failure the stream is the caller's still. */
MUST_USE enum err ws_create(struct loop *loop, struct stream *stream,
                            const struct ws_options *options, const struct ws_user *user,
                            void *cookie, struct ws **ret_ws);
/* Say goodbye (reason at most 123 bytes of UTF-8) and wait for the peer's answer; on_gone follows.
 */
void ws_close(struct ws *ws, enum ws_close_code code, struct str reason);
/* Drop it at once, without on_gone.  NULL does nothing. */
void ws_destroy(struct ws *ws);

/* Queue a message (copied).  ERR_CLOSED: closing or closed.  ERR_FULL: too slow; it is being closed
 * with 1013. */
MUST_USE enum err ws_send(struct ws *ws, bool text, struct str message);

/* One message for many: encoded once, shared by all queues. */
struct ws_frame;
MUST_USE enum err ws_frame_create(bool text, struct str message, struct ws_frame **ret_frame);
void ws_frame_unref(struct ws_frame *frame); /* NULL does nothing */
MUST_USE enum err ws_send_frame(struct ws *ws,
                                struct ws_frame *frame); /* takes a reference of its own */

size_t ws_queued_bytes(const struct ws *ws);
/* Stop or go on reading from the peer.  What was read already still comes: up to 64 KiB, and the
 * message that it ends.  Meanwhile its silence means nothing. */
void ws_pause(struct ws *ws, bool paused);

#endif
