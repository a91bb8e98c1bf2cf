/* What the server says to the client. */
#include "net/mqtt/mqtt_client_int.h"

void mqtt_client_greet(struct mqtt_client *client)
{
    const struct mqtt_client_options *options = &client->options;
    struct mqtt_packet packet = {.type = MQTT_CONNECT};
    packet.connect = (struct mqtt_connect){
        .version = options->version,
        .clean_start = options->clean_start,
        .keep_alive_s = options->keep_alive_s,
        .client_id = str_from(options->client_id),
        .has_user = options->user != NULL,
        .has_password = options->password != NULL,
        .user = str_from(options->user),
        .password = str_from(options->password),
        .will = options->will,
    };
    if (options->session_expiry_s != 0) {
        packet.connect.properties.has = MQTT_HAS_SESSION_EXPIRY;
        packet.connect.properties.session_expiry_s = options->session_expiry_s;
    }
    if (mqtt_line_send(client, &packet) != ERR_OK)
        mqtt_client_over(client, MQTT_IMPLEMENTATION_ERROR);
}

static void broken(struct mqtt_client *client, enum mqtt_reason reason)
{
    mqtt_client_over(client, reason);
}

static void connack_in(struct mqtt_client *client, const struct mqtt_connack *connack)
{
    const struct mqtt_properties *properties = &connack->properties;
    if (connack->reason != MQTT_SUCCESS) {
        client->user.on_connack(client->cookie, false, connack->reason);
        mqtt_client_over(client, connack->reason);
        return;
    }
    if ((properties->has & MQTT_HAS_RECEIVE_MAX) != 0)
        client->server_receive_max = properties->receive_max;
    if ((properties->has & MQTT_HAS_MAX_PACKET) != 0)
        client->server_packet_max = properties->max_packet_bytes;
    if ((properties->has & MQTT_HAS_MAX_QOS) != 0)
        client->server_qos_max = properties->max_qos;
    if ((properties->has & MQTT_HAS_RETAIN_AVAILABLE) != 0)
        client->server_retains = properties->retain_available;
    client->keep_alive_ms = client->options.keep_alive_s * 1000u;
    if ((properties->has & MQTT_HAS_SERVER_KEEP_ALIVE) != 0)
        client->keep_alive_ms = properties->server_keep_alive_s * 1000u;
    client->state = CLIENT_OPEN;
    if (client->keep_alive_ms != 0)
        loop_timer_set(client->deadline, loop_now_ms(client->loop) + client->keep_alive_ms);
    else
        loop_timer_clear(client->deadline);
    mqtt_client_resume(client, connack->session_present);
    if (client->state == CLIENT_OPEN)
        client->user.on_connack(client->cookie, connack->session_present, MQTT_SUCCESS);
}

/* ---- messages ---- */

/* True: it was there already. */
static bool received_set(struct mqtt_client *client, uint16_t packet_id, bool there)
{
    uint8_t *byte = &client->received[packet_id >> 3];
    uint8_t bit = (uint8_t)(1u << (packet_id & 7));
    bool before = (*byte & bit) != 0;
    *byte = (uint8_t)(there ? *byte | bit : *byte & ~bit);
    return before;
}

static void answer(struct mqtt_client *client, enum mqtt_type type, uint16_t packet_id,
                   enum mqtt_reason reason)
{
    struct mqtt_packet packet = {.type = type};
    packet.ack = (struct mqtt_ack){.type = type, .packet_id = packet_id, .reason = reason};
    if (client->state == CLIENT_OPEN && mqtt_line_send(client, &packet) != ERR_OK)
        broken(client, MQTT_QUOTA_EXCEEDED);
}

static void publish_in(struct mqtt_client *client, const struct mqtt_publish *publish)
{
    if ((publish->properties.has & MQTT_HAS_TOPIC_ALIAS) != 0) { /* we allowed none */
        broken(client, MQTT_BAD_TOPIC_ALIAS);
        return;
    }
    bool known = false;
    if (publish->qos == 2) {
        if (client->received == NULL)
            client->received = mem_zalloc(8 * KIB);
        if (client->received == NULL) {
            broken(client, MQTT_QUOTA_EXCEEDED);
            return;
        }
        known = received_set(client, publish->packet_id, true);
    }
    if (!known && client->user.on_message != NULL)
        client->user.on_message(client->cookie, publish);
    if (publish->qos != 0)
        answer(client, publish->qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, publish->packet_id,
               MQTT_SUCCESS);
}

static void release_in(struct mqtt_client *client, uint16_t packet_id)
{
    bool known = client->received != NULL && received_set(client, packet_id, false);
    answer(client, MQTT_PUBCOMP, packet_id, known ? MQTT_SUCCESS : MQTT_PACKET_ID_NOT_FOUND);
}

static void suback_in(struct mqtt_client *client, const struct mqtt_suback *suback)
{
    for (size_t i = 0; i < MQTT_CLIENT_SUBSCRIBE_MAX; i++) {
        if (client->subscribing[i] != suback->packet_id)
            continue;
        client->subscribing[i] = 0;
        if (client->user.on_subscribed != NULL)
            client->user.on_subscribed(client->cookie, suback->packet_id, suback);
        return;
    }
    broken(client, MQTT_PROTOCOL_ERROR); /* it answers what nobody asked */
}

static void packet_in(struct mqtt_client *client, const struct mqtt_packet *packet)
{
    switch (packet->type) {
    case MQTT_PUBLISH:
        publish_in(client, &packet->publish);
        return;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBCOMP:
        mqtt_client_acked(client, &packet->ack);
        return;
    case MQTT_PUBREL:
        release_in(client, packet->ack.packet_id);
        return;
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        suback_in(client, &packet->suback);
        return;
    case MQTT_PINGRESP:
        return;
    case MQTT_DISCONNECT:
        broken(client, client->options.version == MQTT_V5 ? packet->disconnect.reason
                                                          : MQTT_PROTOCOL_ERROR);
        return;
    case MQTT_CONNECT: /* a server says none of these, or not again */
    case MQTT_CONNACK:
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
    case MQTT_PINGREQ:
    case MQTT_AUTH:
        break;
    }
    broken(client, MQTT_PROTOCOL_ERROR);
}

/* ---- bytes ---- */

static void one(struct mqtt_client *client, struct str bytes)
{
    struct mqtt_packet packet;
    struct mqtt_fault fault;
    if (mqtt_decode(bytes, client->options.version, &packet, &fault) != ERR_OK)
        broken(client, fault.reason);
    else if (client->state == CLIENT_OPEN)
        packet_in(client, &packet);
    else if (client->state == CLIENT_GREET && packet.type == MQTT_CONNACK)
        connack_in(client, &packet.connack);
    else if (client->state == CLIENT_GREET)
        broken(client, MQTT_PROTOCOL_ERROR);
}

static size_t consume(struct mqtt_client *client, struct str bytes)
{
    size_t used = 0;
    while (used < bytes.len && client->line != NULL) {
        struct str rest = str_slice(bytes, used, bytes.len);
        struct mqtt_fault fault;
        size_t whole;
        enum err err = mqtt_frame(rest, MQTT_PACKET_BYTES_MAX, &whole, &fault);
        if (err == ERR_AGAIN)
            break;
        if (err != ERR_OK) {
            broken(client, fault.reason);
            break;
        }
        one(client, str_slice(rest, 0, whole));
        used += whole;
    }
    return used;
}

void mqtt_client_input(struct mqtt_client *client, const uint8_t *bytes, size_t len)
{
    struct str rest = {(const char *)bytes, len};
    client->ping_due = false;
    if (client->state == CLIENT_PARTING)
        return;
    while (client->in.len != 0 && rest.len != 0 && client->line != NULL) {
        struct mqtt_fault fault;
        size_t whole = 0;
        enum err err = mqtt_frame(buf_str(&client->in), MQTT_PACKET_BYTES_MAX, &whole, &fault);
        if (err != ERR_AGAIN) {
            broken(client, fault.reason);
            return;
        }
        size_t want = whole != 0 ? whole - client->in.len : 1;
        size_t take = want < rest.len ? want : rest.len;
        if (buf_add(&client->in, rest.at, take) != ERR_OK) {
            broken(client, MQTT_QUOTA_EXCEEDED);
            return;
        }
        rest = str_slice(rest, take, rest.len);
        if (consume(client, buf_str(&client->in)) != 0 || client->line == NULL)
            buf_finish(&client->in);
    }
    if (rest.len == 0 || client->line == NULL)
        return;
    rest = str_slice(rest, consume(client, rest), rest.len);
    if (client->line != NULL && rest.len != 0 && buf_add(&client->in, rest.at, rest.len) != ERR_OK)
        broken(client, MQTT_QUOTA_EXCEEDED);
}
