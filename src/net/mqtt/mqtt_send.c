/* What the user says to a connection. */
#include "net/mqtt/mqtt_int.h"
#include "net/mqtt/mqtt_codec_int.h"

static enum err queue(struct mqtt_conn *conn, const struct mqtt_packet *packet)
{
    enum mqtt_version version = (enum mqtt_version)conn->version;
    size_t bytes = mqtt_encoded_bytes(packet, version);
    if (bytes == 0 || bytes > conn->peer_packet_max)
        return ERR_REFUSED;
    uint8_t *at;
    enum err err = mqtt_out_reserve(conn, bytes, &at);
    if (err != ERR_OK)
        return err;
    size_t written = mqtt_encode(packet, version, at, bytes);
    ASSERT(written == bytes);
    mqtt_out_commit(conn, bytes);
    conn->server->stats.packets_out[packet->type]++;
    return ERR_OK;
}

enum err mqtt_conn_send(struct mqtt_conn *conn, const struct mqtt_packet *packet)
{
    return conn->state == MQTT_OPEN ? queue(conn, packet) : ERR_CLOSED;
}

/* Its place in the client's receive maximum is free again. */
static void settled(struct mqtt_conn *conn, enum mqtt_type type, enum mqtt_reason reason)
{
    bool last = type == MQTT_PUBACK || type == MQTT_PUBCOMP ||
                (type == MQTT_PUBREC && reason >= MQTT_UNSPECIFIED);
    if (last && conn->receive_used != 0)
        conn->receive_used--;
}

enum err mqtt_conn_ack(struct mqtt_conn *conn, enum mqtt_type type, uint16_t packet_id,
                       enum mqtt_reason reason)
{
    ASSERT(type >= MQTT_PUBACK && type <= MQTT_PUBCOMP);
    if (conn->state != MQTT_OPEN)
        return ERR_CLOSED;
    if (conn->version == MQTT_V5 && reason != MQTT_SUCCESS) {
        struct mqtt_packet packet = {.type = type};
        packet.ack = (struct mqtt_ack){.type = type, .packet_id = packet_id, .reason = reason};
        enum err err = mqtt_conn_send(conn, &packet);
        if (err == ERR_OK)
            settled(conn, type, reason);
        return err;
    }
    uint8_t *at;
    enum err err = mqtt_out_reserve(conn, 4, &at);
    if (err != ERR_OK)
        return err;
    at[0] = (uint8_t)(type << 4 | (type == MQTT_PUBREL ? 2 : 0));
    at[1] = 2;
    at[2] = (uint8_t)(packet_id >> 8);
    at[3] = (uint8_t)packet_id;
    mqtt_out_commit(conn, 4);
    conn->server->stats.packets_out[type]++;
    settled(conn, type, reason);
    return ERR_OK;
}

/* ---- the answer to CONNECT ---- */

static void own_limits(struct mqtt_conn *conn, struct mqtt_properties *properties)
{
    if ((properties->has & MQTT_HAS_TOPIC_ALIAS_MAX) == 0 ||
        properties->topic_alias_max > MQTT_ALIASES_MAX)
        properties->topic_alias_max = MQTT_ALIASES_MAX;
    conn->alias_max = properties->topic_alias_max;
    conn->receive_max =
        (properties->has & MQTT_HAS_RECEIVE_MAX) != 0 ? properties->receive_max : UINT16_MAX;
    if ((properties->has & MQTT_HAS_MAX_PACKET) == 0)
        properties->max_packet_bytes = (uint32_t)conn->server->options.packet_bytes_max;
    properties->has |= MQTT_HAS_TOPIC_ALIAS_MAX | MQTT_HAS_MAX_PACKET;
}

void mqtt_conn_accept(struct mqtt_conn *conn, bool session_present, uint16_t keep_alive_s,
                      const struct mqtt_properties *properties)
{
    if (conn->state != MQTT_ASKED)
        return;
    struct mqtt_packet packet = {.type = MQTT_CONNACK};
    packet.connack = (struct mqtt_connack){.session_present = session_present};
    if (properties != NULL)
        packet.connack.properties = *properties;
    own_limits(conn, &packet.connack.properties);
    enum err err = queue(conn, &packet);
    if (err != ERR_OK) {
        mqtt_conn_end(conn, MQTT_PACKET_TOO_LARGE);
        return;
    }
    conn->state = MQTT_OPEN;
    conn->last_ms = mqtt_now_ms(conn);
    conn->keep_alive_ms = keep_alive_s * 1500u;
    mqtt_watch(conn);
    mqtt_ready(conn); /* what it sent behind its CONNECT */
}

void mqtt_conn_refuse(struct mqtt_conn *conn, enum mqtt_reason reason)
{
    if (conn->state != MQTT_ASKED)
        return;
    struct mqtt_packet packet = {.type = MQTT_CONNACK};
    packet.connack = (struct mqtt_connack){
        .reason = mqtt_reason_fits(reason, MQTT_CONNACK) ? reason : MQTT_SERVER_UNAVAILABLE};
    conn->server->stats.refused++;
    (void)!queue(conn, &packet); /* a courtesy */
    mqtt_conn_closing(conn, reason);
}

void mqtt_conn_close(struct mqtt_conn *conn, enum mqtt_reason reason)
{
    switch ((enum mqtt_state)conn->state) {
    case MQTT_NEW:
        mqtt_conn_end(conn, reason);
        return;
    case MQTT_ASKED:
        mqtt_conn_refuse(conn, reason);
        return;
    case MQTT_OPEN:
        if (conn->version == MQTT_V5) {
            struct mqtt_packet packet = {.type = MQTT_DISCONNECT};
            packet.disconnect = (struct mqtt_disconnect){.reason = reason};
            (void)!mqtt_conn_send(conn, &packet); /* a courtesy */
        }
        mqtt_conn_closing(conn, reason);
        return;
    case MQTT_CLOSING:
    case MQTT_CLOSED:
        return;
    }
}

/* ---- small things ---- */

void mqtt_conn_pause(struct mqtt_conn *conn, bool paused)
{
    if (conn->paused == paused)
        return;
    conn->paused = paused;
    if (conn->state == MQTT_CLOSED)
        return;
    if (!paused) {
        conn->last_ms = conn->state == MQTT_OPEN ? mqtt_now_ms(conn) : conn->last_ms;
        mqtt_ready(conn);
    } else {
        mqtt_carrier_interest(conn);
    }
}

size_t mqtt_conn_queued(const struct mqtt_conn *conn)
{
    return conn->out_bytes;
}

enum mqtt_version mqtt_conn_version(const struct mqtt_conn *conn)
{
    return (enum mqtt_version)conn->version;
}

const char *mqtt_conn_peer(const struct mqtt_conn *conn)
{
    return conn->peer;
}

bool mqtt_conn_tls(const struct mqtt_conn *conn)
{
    return conn->tls;
}

void mqtt_conn_set_context(struct mqtt_conn *conn, void *context)
{
    conn->context = context;
}

void *mqtt_conn_context(const struct mqtt_conn *conn)
{
    return conn->context;
}
