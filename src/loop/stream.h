/* stream: the shape of a byte stream in both directions, whoever carries it (TCP, TLS over TCP, a
 * test's memory), and of a filter that a carrier sends its bytes through (TLS).  A protocol written
 * against these tables links neither. */
#ifndef AUTOMAT_LOOP_STREAM_H
#define AUTOMAT_LOOP_STREAM_H

#include "base/base.h"

/* What the carrier tells the protocol.  Any of the three may close the stream. */
struct stream_user {
    /* Bytes from the peer, borrowed until it returns. */
    void (*on_bytes)(void *cookie, const uint8_t *bytes, size_t len);
    /* After a write was taken only in part: there is room again. */
    void (*on_room)(void *cookie);
    /* The peer left, a deadline passed or the carrier shuts down: exactly once, unless stream_close
     * came first.  The stream must not be touched any more. */
    void (*on_gone)(void *cookie, enum err why);
};

struct stream {
    const struct stream_ops *ops;
};

struct stream_ops {
    void (*open)(struct stream *stream, const struct stream_user *user, void *cookie);
    size_t (*write)(struct stream *stream, const uint8_t *bytes, size_t len);
    void (*pause)(struct stream *stream, bool paused);
    void (*close)(struct stream *stream);
};

/* Say who reads.  Calls nothing by itself; on_bytes comes later, also for what had arrived before.
 */
static inline void stream_open(struct stream *stream, const struct stream_user *user, void *cookie)
{
    stream->ops->open(stream, user, cookie);
}

/* How much of it the carrier took (all of it when the peer keeps up).  Less than `len`: on_room
 * follows.  It never calls back; a failure is told by on_gone in a later turn. */
static inline size_t stream_write(struct stream *stream, const uint8_t *bytes, size_t len)
{
    return stream->ops->write(stream, bytes, len);
}

/* Stop or go on reading: how a slow protocol slows down its peer. */
static inline void stream_pause(struct stream *stream, bool paused)
{
    stream->ops->pause(stream, paused);
}

/* Let go: what was taken is still sent (within the carrier's write deadline), then the connection
 * ends.  No call comes after this. */
static inline void stream_close(struct stream *stream)
{
    stream->ops->close(stream);
}

/* A filter between the wire and the protocol; one instance a connection.  Pure bytes: it does no
 * I/O. */
struct stream_filter_ops {
    MUST_USE enum err (*create)(void *context, void **ret_filter);
    void (*destroy)(void *filter);
    /* Bytes from the wire, borrowed until `pull` says something else than ERR_OK.  ERR_NOMEM: the
     * connection must end. */
    MUST_USE enum err (*feed)(void *filter, const uint8_t *wire, size_t len);
    /* Plain bytes out of what was fed.  ERR_AGAIN: feed more.  ERR_CLOSED: the peer ended in order.
     * Anything else: it broke the protocol; send what `drain` has (an alert), then end. */
    MUST_USE enum err (*pull)(void *filter, uint8_t *plain, size_t plain_bytes, size_t *ret_len);
    /* Plain bytes for the peer, all or none.  ERR_AGAIN: not before the handshake is done. */
    MUST_USE enum err (*push)(void *filter, const uint8_t *plain, size_t len);
    /* What must go to the wire now: a view that stays until the next call on the filter; `drained`
     * drops its front. */
    struct str (*wire)(void *filter);
    void (*drained)(void *filter, size_t len);
    /* Say goodbye: leaves an end mark for the wire. */
    void (*finish)(void *filter);
};

#endif
