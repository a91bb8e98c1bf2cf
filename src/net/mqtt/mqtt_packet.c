/* What a client's packet means to its connection; the rest is handed over. */
#include "net/mqtt/mqtt_int.h"

static void publish_in(struct mqtt_conn *conn, struct str packet)
{
    struct mqtt_server *server = conn->server;
    struct mqtt_publish publish;
    struct mqtt_fault fault;
    if (mqtt_decode_publish(packet, (enum mqtt_version)conn->version, &publish, &fault) != ERR_OK) {
        mqtt_input_broken(conn, fault.reason);
        return;
    }
    if (conn->version == MQTT_V5) {
        if ((publish.properties.has & MQTT_HAS_SUBSCRIPTION_ID) != 0) {
            mqtt_input_broken(conn, MQTT_PROTOCOL_ERROR); /* only servers say which one matched */
            return;
        }
        if ((publish.properties.has & MQTT_HAS_TOPIC_ALIAS) != 0) {
            enum err err = mqtt_alias_resolve(conn, &publish);
            if (err != ERR_OK) {
                mqtt_input_broken(conn,
                                  err == ERR_INPUT ? MQTT_BAD_TOPIC_ALIAS : MQTT_QUOTA_EXCEEDED);
                return;
            }
        }
        if (publish.qos != 0 && conn->receive_used++ >= conn->receive_max) {
            mqtt_input_broken(conn, MQTT_RECEIVE_MAX_EXCEEDED);
            return;
        }
    }
    server->user.on_publish(server->cookie, conn, &publish);
}

static void connect_in(struct mqtt_conn *conn, const struct mqtt_connect *connect)
{
    struct mqtt_server *server = conn->server;
    uint32_t has = connect->properties.has;
    conn->version = (uint8_t)connect->version;
    if ((has & MQTT_HAS_AUTH_METHOD) != 0) { /* we have none (section 4.12) */
        mqtt_input_broken(conn, MQTT_BAD_AUTH_METHOD);
        return;
    }
    conn->peer_packet_max =
        (has & MQTT_HAS_MAX_PACKET) != 0 ? connect->properties.max_packet_bytes : UINT32_MAX;
    conn->session_ends =
        (has & MQTT_HAS_SESSION_EXPIRY) == 0 || connect->properties.session_expiry_s == 0;
    conn->state = MQTT_ASKED;
    mqtt_watch_remove(conn);
    server->user.on_connect(server->cookie, conn, connect);
}

static void disconnect_in(struct mqtt_conn *conn, const struct mqtt_disconnect *disconnect)
{
    struct mqtt_server *server = conn->server;
    if (conn->session_ends && (disconnect->properties.has & MQTT_HAS_SESSION_EXPIRY) != 0 &&
        disconnect->properties.session_expiry_s != 0) {
        mqtt_input_broken(conn, MQTT_PROTOCOL_ERROR);
        return;
    }
    conn->goodbye = true;
    if (server->user.on_disconnect != NULL)
        server->user.on_disconnect(server->cookie, conn, disconnect);
    if (conn->state == MQTT_OPEN)
        mqtt_conn_closing(conn, disconnect->reason);
}

static void pong(struct mqtt_conn *conn)
{
    uint8_t *at;
    if (mqtt_out_reserve(conn, 2, &at) != ERR_OK) {
        mqtt_conn_end(conn, MQTT_QUOTA_EXCEEDED);
        return;
    }
    at[0] = MQTT_PINGRESP << 4;
    at[1] = 0;
    mqtt_out_commit(conn, 2);
    conn->server->stats.packets_out[MQTT_PINGRESP]++;
}

static void dispatch(struct mqtt_conn *conn, const struct mqtt_packet *packet)
{
    const struct mqtt_server_user *user = &conn->server->user;
    void *cookie = conn->server->cookie;
    switch (packet->type) {
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        user->on_ack(cookie, conn, &packet->ack);
        return;
    case MQTT_SUBSCRIBE:
        user->on_subscribe(cookie, conn, &packet->subscribe);
        return;
    case MQTT_UNSUBSCRIBE:
        user->on_unsubscribe(cookie, conn, &packet->subscribe);
        return;
    case MQTT_PINGREQ:
        pong(conn);
        return;
    case MQTT_DISCONNECT:
        disconnect_in(conn, &packet->disconnect);
        return;
    case MQTT_CONNECT: /* only once */
    case MQTT_CONNACK: /* these three only servers say */
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
    case MQTT_PINGRESP:
    case MQTT_AUTH:    /* never without a method in CONNECT */
    case MQTT_PUBLISH: /* not here */
        break;
    }
    mqtt_input_broken(conn, MQTT_PROTOCOL_ERROR);
}

static void other_in(struct mqtt_conn *conn, struct str bytes)
{
    struct mqtt_packet packet;
    struct mqtt_fault fault;
    enum err err = mqtt_decode(bytes, (enum mqtt_version)conn->version, &packet, &fault);
    if (err != ERR_OK) {
        if (conn->state == MQTT_NEW)
            conn->version = (uint8_t)packet.connect.version;
        mqtt_input_broken(conn, fault.reason);
    } else if (conn->state == MQTT_NEW) {
        connect_in(conn, &packet.connect);
    } else {
        dispatch(conn, &packet);
    }
}

void mqtt_packet_in(struct mqtt_conn *conn, struct str packet)
{
    unsigned type = (uint8_t)packet.at[0] >> 4;
    conn->handed = true;
    conn->server->stats.packets_in[type]++;
    if (type == MQTT_PUBLISH)
        publish_in(conn, packet);
    else
        other_in(conn, packet);
}
