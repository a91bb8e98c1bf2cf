/* Packets to bytes.  The body is written by one function, which first only counts: length and
 * content cannot disagree. */
#include "net/mqtt/mqtt_codec_int.h"

static unsigned return_code(enum mqtt_reason reason)
{
    /* NOLINTNEXTLINE(bugprone-branch-clone): a table in the order of the codes */
    switch ((unsigned)reason) {
    case MQTT_SUCCESS:
        return 0;
    case MQTT_UNSUPPORTED_VERSION:
        return 1;
    case MQTT_BAD_CLIENT_ID:
        return 2;
    case MQTT_BAD_CREDENTIALS:
    case MQTT_BAD_AUTH_METHOD:
        return 4;
    case MQTT_NOT_AUTHORIZED:
    case MQTT_BANNED:
        return 5;
    default:
        return 3; /* server unavailable */
    }
}

static unsigned reason_for(enum mqtt_type type, enum mqtt_reason reason)
{
    if (mqtt_reason_fits(reason, type))
        return (unsigned)reason;
    if (type == MQTT_PUBREL || type == MQTT_PUBCOMP)
        return MQTT_PACKET_ID_NOT_FOUND;
    return MQTT_UNSPECIFIED;
}

static void write_packet_id(struct mqtt_writer *writer, uint16_t packet_id)
{
    if (packet_id == 0)
        writer->failed = true;
    mqtt_write_u16(writer, packet_id);
}

static bool nothing_said(const struct mqtt_properties *properties, uint32_t place)
{
    struct mqtt_writer count = {0};
    mqtt_write_properties(&count, place, properties);
    return count.len == 1 && !count.failed;
}

static void write_outcome(struct mqtt_writer *writer, enum mqtt_type type, enum mqtt_reason reason,
                          const struct mqtt_properties *properties)
{
    unsigned code = reason_for(type, reason);
    bool bare = nothing_said(properties, MQTT_IN(type));
    if (bare && code == MQTT_SUCCESS)
        return;
    mqtt_write_u8(writer, code);
    /* Four bytes of PUBACK say the same as three; AUTH has no short form. */
    if (!bare || type == MQTT_AUTH)
        mqtt_write_properties(writer, MQTT_IN(type), properties);
}

static void encode_connack(struct mqtt_writer *writer, enum mqtt_version version,
                           const struct mqtt_connack *connack)
{
    bool present = connack->session_present && connack->reason == MQTT_SUCCESS;
    mqtt_write_u8(writer, present ? 1 : 0);
    if (version == MQTT_V5) {
        mqtt_write_u8(writer, reason_for(MQTT_CONNACK, connack->reason));
        mqtt_write_properties(writer, MQTT_IN(MQTT_CONNACK), &connack->properties);
    } else {
        mqtt_write_u8(writer, return_code(connack->reason));
    }
}

static void encode_publish(struct mqtt_writer *writer, enum mqtt_version version,
                           const struct mqtt_publish *publish)
{
    bool alias = version == MQTT_V5 && (publish->properties.has & MQTT_HAS_TOPIC_ALIAS) != 0;
    if (publish->qos > 2 || (publish->topic.len == 0 && !alias))
        writer->failed = true;
    mqtt_write_binary(writer, publish->topic);
    if (publish->qos != 0)
        write_packet_id(writer, publish->packet_id);
    if (version == MQTT_V5)
        mqtt_write_properties(writer, MQTT_IN(MQTT_PUBLISH), &publish->properties);
    mqtt_write_bytes(writer, publish->payload);
}

static void encode_subscribe(struct mqtt_writer *writer, enum mqtt_type type,
                             enum mqtt_version version, const struct mqtt_subscribe *subscribe)
{
    if (subscribe->filter_count == 0 || subscribe->filter_count > MQTT_FILTERS_MAX) {
        writer->failed = true;
        return;
    }
    write_packet_id(writer, subscribe->packet_id);
    if (version == MQTT_V5)
        mqtt_write_properties(writer, MQTT_IN(type), &subscribe->properties);
    for (uint32_t i = 0; i < subscribe->filter_count; i++) {
        const struct mqtt_filter *filter = &subscribe->filter[i];
        if (filter->filter.len == 0 || filter->qos > 2 || filter->retain_handling > 2)
            writer->failed = true;
        mqtt_write_binary(writer, filter->filter);
        if (type == MQTT_UNSUBSCRIBE)
            continue;
        unsigned options = filter->qos;
        if (version == MQTT_V5)
            options |= (filter->no_local ? 4u : 0u) | (filter->retain_as_published ? 8u : 0u) |
                       (unsigned)filter->retain_handling << 4;
        mqtt_write_u8(writer, options);
    }
}

static void encode_suback(struct mqtt_writer *writer, enum mqtt_type type,
                          enum mqtt_version version, const struct mqtt_suback *suback)
{
    write_packet_id(writer, suback->packet_id);
    if (version == MQTT_V311 && type == MQTT_UNSUBACK)
        return;
    if (suback->reason_count == 0 || suback->reason_count > MQTT_FILTERS_MAX) {
        writer->failed = true;
        return;
    }
    if (version == MQTT_V5)
        mqtt_write_u8(writer, 0);
    for (uint32_t i = 0; i < suback->reason_count; i++) {
        uint8_t code = suback->reason[i];
        if (version == MQTT_V5)
            mqtt_write_u8(writer, reason_for(type, (enum mqtt_reason)code));
        else
            mqtt_write_u8(writer, code > 2 ? 0x80 : code);
    }
}

static void encode_disconnect(struct mqtt_writer *writer, enum mqtt_type type,
                              enum mqtt_version version, const struct mqtt_disconnect *disconnect)
{
    if (version == MQTT_V5)
        write_outcome(writer, type, disconnect->reason, &disconnect->properties);
    else if (type == MQTT_AUTH || disconnect->reason != MQTT_SUCCESS)
        writer->failed = true; /* 3.1.1 knows only the good end */
}

static void encode_body(struct mqtt_writer *writer, enum mqtt_version version,
                        const struct mqtt_packet *packet)
{
    switch (packet->type) {
    case MQTT_CONNECT:
        mqtt_encode_connect(writer, &packet->connect);
        return;
    case MQTT_CONNACK:
        encode_connack(writer, version, &packet->connack);
        return;
    case MQTT_PUBLISH:
        encode_publish(writer, version, &packet->publish);
        return;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        write_packet_id(writer, packet->ack.packet_id);
        if (version == MQTT_V5)
            write_outcome(writer, packet->type, packet->ack.reason, &packet->ack.properties);
        return;
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        encode_subscribe(writer, packet->type, version, &packet->subscribe);
        return;
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        encode_suback(writer, packet->type, version, &packet->suback);
        return;
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
        return;
    case MQTT_DISCONNECT:
    case MQTT_AUTH:
        encode_disconnect(writer, packet->type, version, &packet->disconnect);
        return;
    }
    writer->failed = true;
}

static unsigned first_byte(const struct mqtt_packet *packet)
{
    unsigned flags = 0;
    if (packet->type == MQTT_PUBLISH) {
        const struct mqtt_publish *publish = &packet->publish;
        flags = (publish->dup && publish->qos != 0 ? 8u : 0u) | (unsigned)publish->qos << 1 |
                (publish->retain ? 1u : 0u);
    } else if (packet->type == MQTT_PUBREL || packet->type == MQTT_SUBSCRIBE ||
               packet->type == MQTT_UNSUBSCRIBE) {
        flags = 2;
    }
    return (unsigned)packet->type << 4 | flags;
}

/* Bytes behind the fixed header; false: it cannot be said. */
static bool body_bytes(const struct mqtt_packet *packet, enum mqtt_version version,
                       uint32_t *ret_bytes)
{
    struct mqtt_writer count = {0};
    encode_body(&count, version, packet);
    if (count.failed || count.len > MQTT_PACKET_BYTES_MAX)
        return false;
    *ret_bytes = (uint32_t)count.len;
    return 1 + mqtt_varint_bytes(*ret_bytes) + count.len <= MQTT_PACKET_BYTES_MAX;
}

size_t mqtt_encoded_bytes(const struct mqtt_packet *packet, enum mqtt_version version)
{
    uint32_t body;
    if (!body_bytes(packet, version, &body))
        return 0;
    return 1 + mqtt_varint_bytes(body) + body;
}

size_t mqtt_encode(const struct mqtt_packet *packet, enum mqtt_version version, uint8_t *dst,
                   size_t dst_bytes)
{
    uint32_t body;
    if (!body_bytes(packet, version, &body) || 1 + mqtt_varint_bytes(body) + body > dst_bytes)
        return 0;
    struct mqtt_writer writer = {.at = dst};
    mqtt_write_u8(&writer, first_byte(packet));
    mqtt_write_varint(&writer, body);
    encode_body(&writer, version, packet);
    return writer.len;
}
