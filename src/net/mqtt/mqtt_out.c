/* What waits to leave: blocks that an idle connection does not hold, and the way to the carrier. */
#include "net/mqtt/mqtt_int.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define IOV_COUNT   16
#define SMALL_BYTES ((size_t)1024)
#define LARGE_BYTES (16 * KIB)
#define SMALL_KEPT  256 /* free blocks that are kept for the next turn */
#define LARGE_KEPT  32

/* ---- blocks ---- */

static struct mqtt_block *block_take(struct mqtt_pool *pool, size_t bytes)
{
    struct mqtt_block *block = pool->free;
    if (block != NULL) {
        pool->free = block->next;
        pool->count--;
    } else {
        block = mem_alloc(bytes);
        if (block == NULL)
            return NULL;
        block->cap = (uint32_t)(bytes - sizeof(*block));
    }
    block->next = NULL;
    block->begin = block->end = 0;
    return block;
}

/* Most connections have a few acknowledgements to get; who has more, mostly has a lot more. */
static struct mqtt_block *block_create(struct mqtt_conn *conn, size_t room)
{
    struct mqtt_server *server = conn->server;
    if (conn->out == NULL && room <= SMALL_BYTES - sizeof(struct mqtt_block))
        return block_take(&server->small, SMALL_BYTES);
    if (room <= LARGE_BYTES - sizeof(struct mqtt_block))
        return block_take(&server->large, LARGE_BYTES);
    struct mqtt_block *block = mem_alloc(sizeof(*block) + room);
    if (block != NULL)
        *block = (struct mqtt_block){.cap = (uint32_t)room};
    return block;
}

static void block_free(struct mqtt_server *server, struct mqtt_block *block)
{
    struct mqtt_pool *pool = NULL;
    if (block->cap == SMALL_BYTES - sizeof(*block) && server->small.count < SMALL_KEPT)
        pool = &server->small;
    else if (block->cap == LARGE_BYTES - sizeof(*block) && server->large.count < LARGE_KEPT)
        pool = &server->large;
    if (pool == NULL) {
        mem_free(block);
        return;
    }
    block->next = pool->free;
    pool->free = block;
    pool->count++;
}

static void pool_free(struct mqtt_pool *pool)
{
    while (pool->free != NULL) {
        struct mqtt_block *block = pool->free;
        pool->free = block->next;
        mem_free(block);
    }
    pool->count = 0;
}

void mqtt_pools_free(struct mqtt_server *server)
{
    pool_free(&server->small);
    pool_free(&server->large);
}

void mqtt_out_drop(struct mqtt_conn *conn)
{
    while (conn->out != NULL) {
        struct mqtt_block *block = conn->out;
        conn->out = block->next;
        block_free(conn->server, block);
    }
    conn->out_last = NULL;
    conn->out_bytes = 0;
}

/* ---- queueing ---- */

enum err mqtt_out_reserve(struct mqtt_conn *conn, size_t bytes, uint8_t **ret_at)
{
    if (conn->out_bytes >= MQTT_FLUSH_BYTES && !conn->blocked) {
        mqtt_out_flush(conn);
        if (conn->state == MQTT_CLOSED)
            return ERR_CLOSED;
    }
    if (conn->out_bytes + bytes > conn->server->options.queued_bytes_max) {
        conn->want_room = true;
        return ERR_FULL;
    }
    struct mqtt_block *last = conn->out_last;
    if (last == NULL || last->cap - last->end < bytes) {
        struct mqtt_block *fresh = block_create(conn, bytes);
        if (fresh == NULL)
            return ERR_NOMEM;
        if (last == NULL)
            conn->out = fresh;
        else
            last->next = fresh;
        conn->out_last = last = fresh;
    }
    *ret_at = last->bytes + last->end;
    return ERR_OK;
}

void mqtt_out_commit(struct mqtt_conn *conn, size_t bytes)
{
    conn->out_last->end += (uint32_t)bytes;
    conn->out_bytes += bytes;
    if (conn->out_bytes > conn->server->options.queued_bytes_max / 2)
        conn->want_room = true;
    if (!conn->blocked)
        mqtt_dirty(conn);
}

static void out_sent(struct mqtt_conn *conn, size_t sent)
{
    conn->out_bytes -= sent;
    while (conn->out != NULL) {
        struct mqtt_block *block = conn->out;
        size_t left = block->end - block->begin;
        if (sent < left) {
            block->begin += (uint32_t)sent;
            return;
        }
        sent -= left;
        conn->out = block->next;
        block_free(conn->server, block);
    }
    conn->out_last = NULL;
    ASSERT(sent == 0); /* no more was sent than waited */
}

/* ---- carriers: how many bytes were taken, or -1 when it is broken ---- */

static ssize_t send_some(struct mqtt_conn *conn, struct iovec *iov, size_t count)
{
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};
    /* One piece is the rule; send() spares the kernel the copy of the vector. */
    ssize_t sent = count == 1 ? send(conn->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL)
                              : sendmsg(conn->fd, &message, MSG_NOSIGNAL);
    if (sent >= 0) {
        conn->server->stats.bytes_out += (uint64_t)sent;
        return sent;
    }
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

static bool flush_socket(struct mqtt_conn *conn)
{
    while (conn->out != NULL) {
        struct iovec iov[IOV_COUNT];
        size_t count = 0, bytes = 0;
        for (struct mqtt_block *at = conn->out; at != NULL && count < IOV_COUNT; at = at->next) {
            iov[count++] = (struct iovec){at->bytes + at->begin, at->end - at->begin};
            bytes += at->end - at->begin;
        }
        ssize_t sent = send_some(conn, iov, count);
        if (sent < 0)
            return false;
        out_sent(conn, (size_t)sent);
        if ((size_t)sent < bytes) {
            conn->blocked = true;
            return true;
        }
    }
    return true;
}

static bool flush_wire(struct mqtt_conn *conn)
{
    for (;;) {
        struct str wire = conn->filter_ops->wire(conn->filter);
        if (wire.len == 0)
            return true;
        struct iovec iov = {(void *)(uintptr_t)wire.at, wire.len};
        ssize_t sent = send_some(conn, &iov, 1);
        if (sent < 0)
            return false;
        conn->filter_ops->drained(conn->filter, (size_t)sent);
        if ((size_t)sent < wire.len) {
            conn->blocked = true;
            return true;
        }
    }
}

static bool flush_filtered(struct mqtt_conn *conn)
{
    while (flush_wire(conn)) {
        struct mqtt_block *block = conn->out;
        if (conn->blocked || block == NULL)
            return true;
        size_t left = block->end - block->begin;
        size_t take = left < MQTT_RECORD_BYTES ? left : MQTT_RECORD_BYTES;
        if (conn->filter_ops->push(conn->filter, block->bytes + block->begin, take) != ERR_OK)
            return false;
        out_sent(conn, take);
    }
    return false;
}

static bool flush_stream(struct mqtt_conn *conn)
{
    while (conn->out != NULL) {
        struct mqtt_block *block = conn->out;
        size_t left = block->end - block->begin;
        size_t took = stream_write(conn->stream, block->bytes + block->begin, left);
        conn->server->stats.bytes_out += took;
        out_sent(conn, took);
        if (took < left) {
            conn->blocked = true;
            return true;
        }
    }
    return true;
}

static void after_flush(struct mqtt_conn *conn, size_t before)
{
    if (!conn->blocked)
        conn->write_ms = MQTT_NEVER;
    else if (conn->write_ms == MQTT_NEVER || conn->out_bytes < before)
        conn->write_ms = mqtt_now_ms(conn);
    if (conn->blocked)
        mqtt_watch(conn);
    bool room = conn->want_room && conn->out_bytes <= conn->server->options.queued_bytes_max / 4;
    if (room || (conn->state == MQTT_CLOSING && !conn->blocked))
        mqtt_ready(conn);
    mqtt_carrier_interest(conn);
}

void mqtt_out_flush(struct mqtt_conn *conn)
{
    mqtt_link_remove(&conn->dirty);
    if (conn->state == MQTT_CLOSED)
        return;
    size_t before = conn->out_bytes;
    conn->blocked = false;
    bool good = conn->stream != NULL   ? flush_stream(conn)
                : conn->filter != NULL ? flush_filtered(conn)
                                       : flush_socket(conn);
    if (good)
        after_flush(conn, before);
    else
        mqtt_conn_end(conn, MQTT_UNSPECIFIED);
}
