/* Packets from bytes: all but CONNECT (mqtt_connect.c) and SUBSCRIBE with its answers
 * (mqtt_subscribe.c). */
#include "net/mqtt/mqtt_codec_int.h"

static bool has_alias(const struct mqtt_publish *publish)
{
    return (publish->properties.has & MQTT_HAS_TOPIC_ALIAS) != 0;
}

static enum err publish_flags(const struct mqtt_reader *reader, struct mqtt_publish *publish)
{
    uint8_t first = reader->begin[0];
    publish->dup = (first & 8) != 0;
    publish->qos = first >> 1 & 3;
    publish->retain = (first & 1) != 0;
    if (publish->qos > 2)
        return mqtt_fault_at(reader, MQTT_MALFORMED, "QoS 3");
    if (publish->dup && publish->qos == 0)
        return mqtt_fault_at(reader, MQTT_MALFORMED, "DUP at QoS 0");
    return ERR_OK;
}

static enum err publish_rest(struct mqtt_reader *reader, enum mqtt_version version,
                             struct mqtt_publish *publish)
{
    enum err err = publish_flags(reader, publish);
    if (err == ERR_OK)
        err = mqtt_read_binary(reader, &publish->topic);
    if (err != ERR_OK)
        return err;
    if (publish->topic.len != 0 && !mqtt_topic_valid(publish->topic))
        return mqtt_fault_at(reader,
                             mqtt_text_valid(publish->topic) ? MQTT_BAD_TOPIC : MQTT_MALFORMED,
                             "no topic is named so");
    if (publish->qos != 0)
        err = mqtt_read_packet_id(reader, &publish->packet_id);
    if (err == ERR_OK && version == MQTT_V5)
        err = mqtt_read_properties(reader, MQTT_IN(MQTT_PUBLISH), &publish->properties);
    if (err != ERR_OK)
        return err;
    if (publish->topic.len == 0 && !has_alias(publish))
        return mqtt_fault_at(reader, version == MQTT_V5 ? MQTT_PROTOCOL_ERROR : MQTT_MALFORMED,
                             "neither topic nor alias");
    publish->payload = (struct str){(const char *)reader->at, mqtt_left(reader)};
    return ERR_OK;
}

enum err mqtt_decode_publish(struct str packet, enum mqtt_version version,
                             struct mqtt_publish *ret_publish, struct mqtt_fault *ret_fault)
{
    struct mqtt_reader reader;
    enum err err = mqtt_reader_open(packet, version, ret_fault, &reader);
    if (err != ERR_OK)
        return err;
    if (reader.begin[0] >> 4 != MQTT_PUBLISH)
        return mqtt_fault_at(&reader, MQTT_PROTOCOL_ERROR, "not a PUBLISH");
    *ret_publish = (struct mqtt_publish){0};
    return publish_rest(&reader, version, ret_publish);
}

static enum err read_reason(struct mqtt_reader *reader, enum mqtt_type type,
                            enum mqtt_reason *ret_reason)
{
    uint8_t code;
    enum err err = mqtt_read_u8(reader, &code);
    if (err != ERR_OK)
        return err;
    if (!mqtt_reason_fits((enum mqtt_reason)code, type))
        return mqtt_fault_at(reader, MQTT_PROTOCOL_ERROR, "a reason that does not belong here");
    *ret_reason = (enum mqtt_reason)code;
    return ERR_OK;
}

/* A reason and properties, either of which may be left out at the end (5.0 only). */
static enum err read_outcome(struct mqtt_reader *reader, enum mqtt_type type,
                             enum mqtt_version version, enum mqtt_reason *ret_reason,
                             struct mqtt_properties *ret_properties)
{
    *ret_reason = MQTT_SUCCESS;
    enum err err = ERR_OK;
    if (version == MQTT_V5 && mqtt_left(reader) != 0)
        err = read_reason(reader, type, ret_reason);
    if (err == ERR_OK && version == MQTT_V5 && mqtt_left(reader) != 0)
        err = mqtt_read_properties(reader, MQTT_IN(type), ret_properties);
    return err == ERR_OK ? mqtt_read_end(reader) : err;
}

static enum err decode_ack(struct mqtt_reader *reader, enum mqtt_type type,
                           enum mqtt_version version, struct mqtt_ack *ret_ack)
{
    *ret_ack = (struct mqtt_ack){.type = type};
    enum err err = mqtt_read_packet_id(reader, &ret_ack->packet_id);
    if (err != ERR_OK)
        return err;
    return read_outcome(reader, type, version, &ret_ack->reason, &ret_ack->properties);
}

/* Return codes of 3.1.1, in their order (section 3.2.2.3 there). */
static const uint8_t return_codes[] = {MQTT_SUCCESS,         MQTT_UNSUPPORTED_VERSION,
                                       MQTT_BAD_CLIENT_ID,   MQTT_SERVER_UNAVAILABLE,
                                       MQTT_BAD_CREDENTIALS, MQTT_NOT_AUTHORIZED};

static enum err decode_connack(struct mqtt_reader *reader, enum mqtt_version version,
                               struct mqtt_connack *ret_connack)
{
    *ret_connack = (struct mqtt_connack){0};
    uint8_t flags, code;
    enum err err = mqtt_read_u8(reader, &flags);
    if (err == ERR_OK && flags > 1)
        return mqtt_fault_at(reader, MQTT_MALFORMED, "reserved flags");
    if (err != ERR_OK)
        return err;
    ret_connack->session_present = flags == 1;
    if (version == MQTT_V5) {
        err = read_reason(reader, MQTT_CONNACK, &ret_connack->reason);
        if (err == ERR_OK)
            err = mqtt_read_properties(reader, MQTT_IN(MQTT_CONNACK), &ret_connack->properties);
    } else {
        err = mqtt_read_u8(reader, &code);
        if (err == ERR_OK && code >= ARRAY_COUNT(return_codes))
            return mqtt_fault_at(reader, MQTT_MALFORMED, "an unknown return code");
        if (err == ERR_OK)
            ret_connack->reason = (enum mqtt_reason)return_codes[code];
    }
    if (err == ERR_OK && ret_connack->session_present && ret_connack->reason != MQTT_SUCCESS)
        return mqtt_fault_at(reader, MQTT_PROTOCOL_ERROR, "refused with a session");
    return err == ERR_OK ? mqtt_read_end(reader) : err;
}

static enum err decode_disconnect(struct mqtt_reader *reader, enum mqtt_type type,
                                  enum mqtt_version version, struct mqtt_disconnect *ret_disconnect)
{
    *ret_disconnect = (struct mqtt_disconnect){0};
    bool empty = mqtt_left(reader) == 0;
    enum err err =
        read_outcome(reader, type, version, &ret_disconnect->reason, &ret_disconnect->properties);
    if (err == ERR_OK && type == MQTT_AUTH && !empty &&
        (ret_disconnect->properties.has & MQTT_HAS_AUTH_METHOD) == 0)
        return mqtt_fault_at(reader, MQTT_PROTOCOL_ERROR, "AUTH without a method");
    return err;
}

enum err mqtt_decode(struct str packet, enum mqtt_version version, struct mqtt_packet *ret_packet,
                     struct mqtt_fault *ret_fault)
{
    struct mqtt_reader reader;
    ret_packet->type = MQTT_CONNECT;
    ret_packet->connect.version = (enum mqtt_version)0;
    bool connect = packet.len != 0 && (uint8_t)packet.at[0] >> 4 == MQTT_CONNECT;
    enum err err = mqtt_reader_open(packet, connect ? MQTT_V311 : version, ret_fault, &reader);
    if (err != ERR_OK)
        return err;
    enum mqtt_type type = (enum mqtt_type)(reader.begin[0] >> 4);
    ret_packet->type = type;
    switch (type) {
    case MQTT_CONNECT:
        return mqtt_decode_connect(&reader, &ret_packet->connect);
    case MQTT_CONNACK:
        return decode_connack(&reader, version, &ret_packet->connack);
    case MQTT_PUBLISH:
        ret_packet->publish = (struct mqtt_publish){0};
        return publish_rest(&reader, version, &ret_packet->publish);
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        return decode_ack(&reader, type, version, &ret_packet->ack);
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        return mqtt_decode_subscribe(&reader, type, version, &ret_packet->subscribe);
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        return mqtt_decode_suback(&reader, type, version, &ret_packet->suback);
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
        return mqtt_read_end(&reader);
    case MQTT_AUTH:
        if (version != MQTT_V5)
            return mqtt_fault_at(&reader, MQTT_PROTOCOL_ERROR, "3.1.1 has no AUTH");
        return decode_disconnect(&reader, type, version, &ret_packet->disconnect);
    case MQTT_DISCONNECT:
        return decode_disconnect(&reader, type, version, &ret_packet->disconnect);
    }
    return mqtt_fault_at(&reader, MQTT_MALFORMED, "no such packet");
}
