/* Names, and which reason code may stand in which packet (section 2.4). */
#include "net/mqtt/mqtt_codec_int.h"

const char *mqtt_type_name(enum mqtt_type type)
{
    static const char *const names[] = {
        [MQTT_CONNECT] = "CONNECT",   [MQTT_CONNACK] = "CONNACK",
        [MQTT_PUBLISH] = "PUBLISH",   [MQTT_PUBACK] = "PUBACK",
        [MQTT_PUBREC] = "PUBREC",     [MQTT_PUBREL] = "PUBREL",
        [MQTT_PUBCOMP] = "PUBCOMP",   [MQTT_SUBSCRIBE] = "SUBSCRIBE",
        [MQTT_SUBACK] = "SUBACK",     [MQTT_UNSUBSCRIBE] = "UNSUBSCRIBE",
        [MQTT_UNSUBACK] = "UNSUBACK", [MQTT_PINGREQ] = "PINGREQ",
        [MQTT_PINGRESP] = "PINGRESP", [MQTT_DISCONNECT] = "DISCONNECT",
        [MQTT_AUTH] = "AUTH",
    };
    if ((unsigned)type >= ARRAY_COUNT(names) || names[type] == NULL)
        return "unknown";
    return names[type];
}

#define CA MQTT_IN(MQTT_CONNACK)
#define PA (MQTT_IN(MQTT_PUBACK) | MQTT_IN(MQTT_PUBREC))
#define PC (MQTT_IN(MQTT_PUBREL) | MQTT_IN(MQTT_PUBCOMP))
#define SA MQTT_IN(MQTT_SUBACK)
#define UA MQTT_IN(MQTT_UNSUBACK)
#define DI MQTT_IN(MQTT_DISCONNECT)
#define AU MQTT_IN(MQTT_AUTH)

struct reason_row {
    uint8_t code;
    uint16_t places;
    const char *text;
};

static const struct reason_row reasons[] = {
    {0x00, CA | PA | PC | SA | UA | DI | AU, "success"},
    {0x01, SA, "granted QoS 1"},
    {0x02, SA, "granted QoS 2"},
    {MQTT_DISCONNECT_WITH_WILL, DI, "disconnect with will"},
    {MQTT_NO_MATCHING_SUBSCRIBERS, PA, "no matching subscribers"},
    {MQTT_NO_SUBSCRIPTION_EXISTED, UA, "no subscription existed"},
    {MQTT_CONTINUE_AUTHENTICATION, AU, "continue authentication"},
    {MQTT_REAUTHENTICATE, AU, "authenticate again"},
    {MQTT_UNSPECIFIED, CA | PA | SA | UA | DI, "unspecified error"},
    {MQTT_MALFORMED, CA | DI, "malformed packet"},
    {MQTT_PROTOCOL_ERROR, CA | DI, "protocol error"},
    {MQTT_IMPLEMENTATION_ERROR, CA | PA | SA | UA | DI, "implementation specific error"},
    {MQTT_UNSUPPORTED_VERSION, CA, "unsupported protocol version"},
    {MQTT_BAD_CLIENT_ID, CA, "client identifier not valid"},
    {MQTT_BAD_CREDENTIALS, CA, "bad user name or password"},
    {MQTT_NOT_AUTHORIZED, CA | PA | SA | UA | DI, "not authorized"},
    {MQTT_SERVER_UNAVAILABLE, CA, "server unavailable"},
    {MQTT_SERVER_BUSY, CA | DI, "server busy"},
    {MQTT_BANNED, CA, "banned"},
    {MQTT_SERVER_SHUTTING_DOWN, DI, "server shutting down"},
    {MQTT_BAD_AUTH_METHOD, CA | DI, "bad authentication method"},
    {MQTT_KEEP_ALIVE_TIMEOUT, DI, "keep-alive timeout"},
    {MQTT_SESSION_TAKEN_OVER, DI, "session taken over"},
    {MQTT_BAD_FILTER, SA | UA | DI, "topic filter invalid"},
    {MQTT_BAD_TOPIC, CA | PA | DI, "topic name invalid"},
    {MQTT_PACKET_ID_IN_USE, PA | SA | UA, "packet identifier in use"},
    {MQTT_PACKET_ID_NOT_FOUND, PC, "packet identifier not found"},
    {MQTT_RECEIVE_MAX_EXCEEDED, DI, "receive maximum exceeded"},
    {MQTT_BAD_TOPIC_ALIAS, DI, "topic alias invalid"},
    {MQTT_PACKET_TOO_LARGE, CA | DI, "packet too large"},
    {MQTT_RATE_TOO_HIGH, DI, "message rate too high"},
    {MQTT_QUOTA_EXCEEDED, CA | PA | SA | DI, "quota exceeded"},
    {MQTT_ADMINISTRATIVE, DI, "administrative action"},
    {MQTT_BAD_PAYLOAD, CA | PA | DI, "payload format invalid"},
    {MQTT_RETAIN_NOT_SUPPORTED, CA | DI, "retain not supported"},
    {MQTT_QOS_NOT_SUPPORTED, CA | DI, "QoS not supported"},
    {MQTT_USE_ANOTHER_SERVER, CA | DI, "use another server"},
    {MQTT_SERVER_MOVED, CA | DI, "server moved"},
    {MQTT_SHARED_NOT_SUPPORTED, SA | DI, "shared subscriptions not supported"},
    {MQTT_CONNECTION_RATE, CA | DI, "connection rate exceeded"},
    {MQTT_MAXIMUM_CONNECT_TIME, DI, "maximum connect time"},
    {MQTT_SUBSCRIPTION_IDS_NOT_SUPPORTED, SA | DI, "subscription identifiers not supported"},
    {MQTT_WILDCARD_NOT_SUPPORTED, SA | DI, "wildcard subscriptions not supported"},
};

static const struct reason_row *reason_find(unsigned code)
{
    for (size_t i = 0; i < ARRAY_COUNT(reasons); i++) {
        if (reasons[i].code == code)
            return &reasons[i];
    }
    return NULL;
}

const char *mqtt_reason_text(enum mqtt_reason reason)
{
    const struct reason_row *row = reason_find((unsigned)reason);
    return row != NULL ? row->text : "unknown reason";
}

bool mqtt_reason_fits(enum mqtt_reason reason, enum mqtt_type type)
{
    const struct reason_row *row = reason_find((unsigned)reason);
    return row != NULL && (row->places & MQTT_IN(type)) != 0;
}
