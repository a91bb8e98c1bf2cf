/* Properties of 5.0 (section 2.2.2): one table for both directions. */
#include "net/mqtt/mqtt_codec_int.h"

enum property_type {
    PROP_FLAG, /* a byte that is 0 or 1, in a bool */
    PROP_BYTE, /* a byte that is 0 or 1, in a uint8_t */
    PROP_U16,
    PROP_U32,
    PROP_VARINT,
    PROP_TEXT,
    PROP_TOPIC,
    PROP_BINARY,
    PROP_PAIR, /* user property: two texts */
};

struct property {
    uint8_t id, type;
    bool zero_refused;
    uint16_t offset; /* in struct mqtt_properties */
    uint32_t places, has;
};

#define AT(member) offsetof(struct mqtt_properties, member)
#define MESSAGE    (MQTT_IN(MQTT_PUBLISH) | MQTT_IN_WILL)
#define BOTH_ENDS  (MQTT_IN(MQTT_CONNECT) | MQTT_IN(MQTT_CONNACK))
#define ACKNACK    MQTT_IN(MQTT_CONNACK)
#define AUTHS      (BOTH_ENDS | MQTT_IN(MQTT_AUTH))
#define ANSWERS                                                                                    \
    (ACKNACK | MQTT_IN(MQTT_PUBACK) | MQTT_IN(MQTT_PUBREC) | MQTT_IN(MQTT_PUBREL) |                \
     MQTT_IN(MQTT_PUBCOMP) | MQTT_IN(MQTT_SUBACK) | MQTT_IN(MQTT_UNSUBACK) |                       \
     MQTT_IN(MQTT_DISCONNECT) | MQTT_IN(MQTT_AUTH))
#define EVERYWHERE                                                                                 \
    (ANSWERS | MESSAGE | MQTT_IN(MQTT_CONNECT) | MQTT_IN(MQTT_SUBSCRIBE) |                         \
     MQTT_IN(MQTT_UNSUBSCRIBE))

/* clang-format off */
static const struct property properties_known[] = {
    {0x01, PROP_BYTE, false, AT(payload_format), MESSAGE, MQTT_HAS_PAYLOAD_FORMAT},
    {0x02, PROP_U32, false, AT(message_expiry_s), MESSAGE, MQTT_HAS_MESSAGE_EXPIRY},
    {0x03, PROP_TEXT, false, AT(content_type), MESSAGE, MQTT_HAS_CONTENT_TYPE},
    {0x08, PROP_TOPIC, false, AT(response_topic), MESSAGE, MQTT_HAS_RESPONSE_TOPIC},
    {0x09, PROP_BINARY, false, AT(correlation), MESSAGE, MQTT_HAS_CORRELATION},
    {0x0B, PROP_VARINT, true, AT(subscription_id), MQTT_IN(MQTT_PUBLISH) | MQTT_IN(MQTT_SUBSCRIBE),
     MQTT_HAS_SUBSCRIPTION_ID},
    {0x11, PROP_U32, false, AT(session_expiry_s), BOTH_ENDS | MQTT_IN(MQTT_DISCONNECT),
     MQTT_HAS_SESSION_EXPIRY},
    {0x12, PROP_TEXT, false, AT(assigned_client_id), ACKNACK, MQTT_HAS_ASSIGNED_CLIENT_ID},
    {0x13, PROP_U16, false, AT(server_keep_alive_s), ACKNACK, MQTT_HAS_SERVER_KEEP_ALIVE},
    {0x15, PROP_TEXT, false, AT(auth_method), AUTHS, MQTT_HAS_AUTH_METHOD},
    {0x16, PROP_BINARY, false, AT(auth_data), AUTHS, MQTT_HAS_AUTH_DATA},
    {0x17, PROP_FLAG, false, AT(request_problem), MQTT_IN(MQTT_CONNECT), MQTT_HAS_REQUEST_PROBLEM},
    {0x18, PROP_U32, false, AT(will_delay_s), MQTT_IN_WILL, MQTT_HAS_WILL_DELAY},
    {0x19, PROP_FLAG, false, AT(request_response), MQTT_IN(MQTT_CONNECT),
     MQTT_HAS_REQUEST_RESPONSE},
    {0x1A, PROP_TEXT, false, AT(response_info), ACKNACK, MQTT_HAS_RESPONSE_INFO},
    {0x1C, PROP_TEXT, false, AT(server_reference), ACKNACK | MQTT_IN(MQTT_DISCONNECT),
     MQTT_HAS_SERVER_REFERENCE},
    {0x1F, PROP_TEXT, false, AT(reason_string), ANSWERS, MQTT_HAS_REASON_STRING},
    {0x21, PROP_U16, true, AT(receive_max), BOTH_ENDS, MQTT_HAS_RECEIVE_MAX},
    {0x22, PROP_U16, false, AT(topic_alias_max), BOTH_ENDS, MQTT_HAS_TOPIC_ALIAS_MAX},
    {0x23, PROP_U16, true, AT(topic_alias), MQTT_IN(MQTT_PUBLISH), MQTT_HAS_TOPIC_ALIAS},
    {0x24, PROP_BYTE, false, AT(max_qos), ACKNACK, MQTT_HAS_MAX_QOS},
    {0x25, PROP_FLAG, false, AT(retain_available), ACKNACK, MQTT_HAS_RETAIN_AVAILABLE},
    {MQTT_PROP_USER, PROP_PAIR, false, AT(user), EVERYWHERE, 0},
    {0x27, PROP_U32, true, AT(max_packet_bytes), BOTH_ENDS, MQTT_HAS_MAX_PACKET},
    {0x28, PROP_FLAG, false, AT(wildcard_available), ACKNACK, MQTT_HAS_WILDCARD_AVAILABLE},
    {0x29, PROP_FLAG, false, AT(subscription_ids_available), ACKNACK,
     MQTT_HAS_SUBSCRIPTION_IDS_AVAILABLE},
    {0x2A, PROP_FLAG, false, AT(shared_available), ACKNACK, MQTT_HAS_SHARED_AVAILABLE},
};
/* clang-format on */

static const struct property *property_find(uint32_t id)
{
    for (size_t i = 0; i < ARRAY_COUNT(properties_known); i++) {
        if (properties_known[i].id == id)
            return &properties_known[i];
    }
    return NULL;
}

/* ---- reading ---- */

static enum err read_binary_byte(struct mqtt_reader *reader, uint8_t *ret_value)
{
    enum err err = mqtt_read_u8(reader, ret_value);
    if (err == ERR_OK && *ret_value > 1)
        return mqtt_fault_at(reader, MQTT_PROTOCOL_ERROR, "neither 0 nor 1");
    return err;
}

static enum err read_pair(struct mqtt_reader *reader)
{
    struct str text;
    enum err err = mqtt_read_utf8(reader, &text);
    return err == ERR_OK ? mqtt_read_utf8(reader, &text) : err;
}

/* `*ret_zero`: the value is a number, and it is 0. */
static enum err read_value(struct mqtt_reader *reader, const struct property *property, void *into,
                           bool *ret_zero)
{
    enum err err = ERR_OK;
    uint8_t byte;
    *ret_zero = false;
    switch ((enum property_type)property->type) {
    case PROP_FLAG:
        err = read_binary_byte(reader, &byte);
        if (err == ERR_OK)
            *(bool *)into = byte != 0;
        return err;
    case PROP_BYTE:
        return read_binary_byte(reader, into);
    case PROP_U16:
        err = mqtt_read_u16(reader, into);
        *ret_zero = err == ERR_OK && *(uint16_t *)into == 0;
        return err;
    case PROP_U32:
        err = mqtt_read_u32(reader, into);
        *ret_zero = err == ERR_OK && *(uint32_t *)into == 0;
        return err;
    case PROP_VARINT:
        err = mqtt_read_varint(reader, into);
        *ret_zero = err == ERR_OK && *(uint32_t *)into == 0;
        return err;
    case PROP_TEXT:
        return mqtt_read_utf8(reader, into);
    case PROP_TOPIC:
        return mqtt_read_topic(reader, into);
    case PROP_BINARY:
        return mqtt_read_binary(reader, into);
    case PROP_PAIR:
        return read_pair(reader);
    }
    return err;
}

struct reading {
    uint32_t place, user_count;
    const uint8_t *user_begin, *user_end;
};

static enum err read_property(struct mqtt_reader *reader, struct reading *reading,
                              struct mqtt_properties *properties)
{
    const uint8_t *begin = reader->at;
    uint32_t id;
    enum err err = mqtt_read_varint(reader, &id);
    if (err != ERR_OK)
        return err;
    const struct property *property = property_find(id);
    if (property == NULL)
        return mqtt_fault_at(reader, MQTT_MALFORMED, "an unknown property");
    if ((property->places & reading->place) == 0)
        return mqtt_fault_at(reader, MQTT_PROTOCOL_ERROR, "a property that does not belong here");
    bool again = (properties->has & property->has) != 0;
    /* A message that several subscriptions asked for names each of them; we keep the first. */
    bool several = id == 0x0B && reading->place == MQTT_IN(MQTT_PUBLISH);
    if (again && !several)
        return mqtt_fault_at(reader, MQTT_PROTOCOL_ERROR, "a property twice");
    uint32_t first = properties->subscription_id;
    bool zero;
    err = read_value(reader, property, (char *)properties + property->offset, &zero);
    if (err != ERR_OK)
        return err;
    if (zero && property->zero_refused)
        return mqtt_fault_at(reader, id == 0x23 ? MQTT_BAD_TOPIC_ALIAS : MQTT_PROTOCOL_ERROR,
                             "a property that may not be zero");
    if (again)
        properties->subscription_id = first;
    properties->has |= property->has;
    if (id != MQTT_PROP_USER)
        return ERR_OK;
    if (++reading->user_count > MQTT_USER_PROPERTIES_MAX)
        return mqtt_fault_at(reader, MQTT_IMPLEMENTATION_ERROR, "too many user properties");
    if (reading->user_begin == NULL)
        reading->user_begin = begin;
    reading->user_end = reader->at;
    return ERR_OK;
}

enum err mqtt_read_properties(struct mqtt_reader *reader, uint32_t place,
                              struct mqtt_properties *ret_properties)
{
    *ret_properties = (struct mqtt_properties){0};
    uint32_t len;
    enum err err = mqtt_read_varint(reader, &len);
    if (err != ERR_OK)
        return err;
    if (len > mqtt_left(reader))
        return mqtt_fault_at(reader, MQTT_MALFORMED, "properties longer than the packet");
    struct mqtt_reader inner = *reader;
    inner.end = reader->at + len;
    struct reading reading = {.place = place};
    while (inner.at != inner.end) {
        err = read_property(&inner, &reading, ret_properties);
        if (err != ERR_OK)
            return err;
    }
    if (reading.user_count != 0)
        ret_properties->user = (struct str){(const char *)reading.user_begin,
                                            (size_t)(reading.user_end - reading.user_begin)};
    reader->at = inner.end;
    if ((ret_properties->has & MQTT_HAS_AUTH_DATA) != 0 &&
        (ret_properties->has & MQTT_HAS_AUTH_METHOD) == 0)
        return mqtt_fault_at(reader, MQTT_PROTOCOL_ERROR, "authentication data without a method");
    return ERR_OK;
}

/* ---- writing ---- */

/* The user properties of a slice that may hold others between them. */
static void write_user(struct mqtt_writer *writer, struct str user)
{
    struct mqtt_reader reader = {(const uint8_t *)user.at, (const uint8_t *)user.at + user.len,
                                 (const uint8_t *)user.at, NULL};
    while (reader.at != reader.end) {
        const uint8_t *begin = reader.at;
        struct mqtt_properties ignored = {0};
        struct reading reading = {.place = UINT32_MAX};
        if (read_property(&reader, &reading, &ignored) != ERR_OK) {
            writer->failed = true;
            return;
        }
        if (reading.user_count != 0)
            mqtt_write_bytes(writer,
                             (struct str){(const char *)begin, (size_t)(reader.at - begin)});
    }
}

static void write_value(struct mqtt_writer *writer, const struct property *property,
                        const void *from)
{
    uint32_t number = 0;
    switch ((enum property_type)property->type) {
    case PROP_FLAG:
        mqtt_write_u8(writer, *(const bool *)from ? 1 : 0);
        return;
    case PROP_BYTE:
        mqtt_write_u8(writer, *(const uint8_t *)from);
        return;
    case PROP_U16:
        number = *(const uint16_t *)from;
        mqtt_write_u16(writer, number);
        break;
    case PROP_U32:
        number = *(const uint32_t *)from;
        mqtt_write_u32(writer, number);
        break;
    case PROP_VARINT:
        number = *(const uint32_t *)from;
        mqtt_write_varint(writer, number);
        break;
    case PROP_TEXT:
    case PROP_TOPIC:
    case PROP_BINARY:
        mqtt_write_binary(writer, *(const struct str *)from);
        return;
    case PROP_PAIR:
        return;
    }
    if (number == 0 && property->zero_refused)
        writer->failed = true;
}

static void write_list(struct mqtt_writer *writer, uint32_t place,
                       const struct mqtt_properties *properties)
{
    for (size_t i = 0; i < ARRAY_COUNT(properties_known); i++) {
        const struct property *property = &properties_known[i];
        if ((properties->has & property->has) == 0 || (property->places & place) == 0)
            continue;
        mqtt_write_u8(writer, property->id);
        write_value(writer, property, (const char *)properties + property->offset);
    }
    if (properties->user.len != 0)
        write_user(writer, properties->user);
}

void mqtt_write_properties(struct mqtt_writer *writer, uint32_t place,
                           const struct mqtt_properties *properties)
{
    if (properties->has == 0 && properties->user.len == 0) {
        mqtt_write_u8(writer, 0);
        return;
    }
    struct mqtt_writer count = {0};
    write_list(&count, place, properties);
    if (count.failed || count.len > MQTT_REMAINING_MAX) {
        writer->failed = true;
        return;
    }
    mqtt_write_varint(writer, (uint32_t)count.len);
    write_list(writer, place, properties);
}
