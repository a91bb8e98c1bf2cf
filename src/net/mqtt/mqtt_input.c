/* From bytes to packets: mostly in place, in the server's read buffer.  A connection keeps bytes of
 * its own only for a packet that is not whole yet, and for what came behind while it was paused. */
#include "net/mqtt/mqtt_int.h"

static bool can_go(const struct mqtt_conn *conn)
{
    return (conn->state == MQTT_NEW || conn->state == MQTT_OPEN) && !conn->paused;
}

static bool over(const struct mqtt_conn *conn)
{
    return conn->state == MQTT_CLOSING || conn->state == MQTT_CLOSED;
}

/* Whoever speaks out of order is told why as far as its dialect can say it. */
void mqtt_input_broken(struct mqtt_conn *conn, enum mqtt_reason reason)
{
    if (over(conn))
        return;
    conn->server->stats.malformed++;
    bool code = reason == MQTT_UNSUPPORTED_VERSION || reason == MQTT_BAD_CLIENT_ID ||
                reason == MQTT_BAD_AUTH_METHOD;
    if (conn->state == MQTT_OPEN) {
        mqtt_conn_close(conn, reason);
    } else if (conn->version == MQTT_V5 || (conn->version == MQTT_V311 && code)) {
        conn->state = MQTT_ASKED;
        mqtt_conn_refuse(conn, reason);
    } else {
        mqtt_conn_closing(conn, reason);
    }
}

static enum err frame(const struct mqtt_conn *conn, struct str bytes, size_t *ret_whole,
                      enum mqtt_reason *ret_reason)
{
    size_t max = conn->server->options.packet_bytes_max;
    if (conn->state == MQTT_NEW) {
        if (max > MQTT_CONNECT_BYTES)
            max = MQTT_CONNECT_BYTES;
        if ((uint8_t)bytes.at[0] != MQTT_CONNECT << 4) {
            *ret_reason = MQTT_PROTOCOL_ERROR;
            return ERR_INPUT;
        }
    }
    struct mqtt_fault fault = {.reason = MQTT_MALFORMED};
    enum err err = mqtt_frame(bytes, max, ret_whole, &fault);
    if (err == ERR_INPUT || err == ERR_FULL)
        *ret_reason = fault.reason;
    return err;
}

/* Hand over whole packets; how many bytes are done with. */
static size_t consume(struct mqtt_conn *conn, struct str bytes)
{
    size_t used = 0;
    while (used < bytes.len && can_go(conn)) {
        struct str rest = {bytes.at + used, bytes.len - used};
        size_t whole;
        enum mqtt_reason reason = MQTT_MALFORMED;
        enum err err = frame(conn, rest, &whole, &reason);
        if (err == ERR_AGAIN)
            break;
        if (err != ERR_OK) {
            mqtt_input_broken(conn, reason);
            break;
        }
        mqtt_packet_in(conn, (struct str){rest.at, whole});
        used += whole;
    }
    return over(conn) ? bytes.len : used;
}

static void keep(struct mqtt_conn *conn, struct str bytes)
{
    if (bytes.len == 0 || over(conn))
        return;
    if (buf_add(&conn->in, bytes.at, bytes.len) != ERR_OK)
        mqtt_conn_close(conn, MQTT_QUOTA_EXCEEDED);
}

/* A packet began in an earlier read: bring it to its end.  What of `bytes` is behind it. */
static struct str complete(struct mqtt_conn *conn, struct str bytes)
{
    while (conn->in.len != 0 && can_go(conn)) {
        size_t whole;
        enum mqtt_reason reason = MQTT_MALFORMED;
        enum err err = frame(conn, buf_str(&conn->in), &whole, &reason);
        if (err == ERR_OK) {
            buf_consume(&conn->in, consume(conn, buf_str(&conn->in)));
        } else if (err != ERR_AGAIN) {
            mqtt_input_broken(conn, reason);
        } else if (bytes.len == 0) {
            break;
        } else {
            size_t want = whole != 0 ? whole - conn->in.len : 1;
            size_t take = want < bytes.len ? want : bytes.len;
            keep(conn, str_slice(bytes, 0, take));
            bytes = str_slice(bytes, take, bytes.len);
        }
    }
    return bytes;
}

static void batch_end(struct mqtt_conn *conn)
{
    struct mqtt_server *server = conn->server;
    conn->consuming = false;
    if (over(conn) || conn->in.len == 0)
        buf_finish(&conn->in);
    if (conn->in.len == 0 || !can_go(conn)) {
        conn->packet_ms = MQTT_NEVER;
    } else if (conn->packet_ms == MQTT_NEVER || conn->handed) {
        conn->packet_ms = mqtt_now_ms(conn);
        mqtt_watch(conn);
    }
    if (!conn->handed)
        return;
    conn->handed = false;
    if (conn->state == MQTT_OPEN)
        conn->last_ms = mqtt_now_ms(conn);
    if (!server->destroyed && server->user.on_batch_end != NULL)
        server->user.on_batch_end(server->cookie, conn);
}

void mqtt_input(struct mqtt_conn *conn, const uint8_t *bytes, size_t len)
{
    struct str rest = {(const char *)bytes, len};
    conn->server->stats.bytes_in += len;
    if (over(conn))
        return;
    ASSERT(!conn->consuming);
    conn->consuming = true;
    if (conn->in.len != 0)
        rest = complete(conn, rest);
    if (conn->in.len == 0 && rest.len != 0) {
        size_t used = consume(conn, rest);
        rest = str_slice(rest, used, rest.len);
    }
    keep(conn, rest);
    batch_end(conn);
}

void mqtt_input_kept(struct mqtt_conn *conn)
{
    if (conn->consuming || conn->in.len == 0 || !can_go(conn))
        return;
    conn->consuming = true;
    size_t used = consume(conn, buf_str(&conn->in));
    if (!over(conn))
        buf_consume(&conn->in, used);
    batch_end(conn);
}
