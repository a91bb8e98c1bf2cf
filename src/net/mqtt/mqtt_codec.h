/* mqtt codec: MQTT 3.1.1 (OASIS 2014) and 5.0 (OASIS 2019) control packets, bytes in and struct
 * out, and back.  Pure: no I/O, no heap, no clock.  Slices in results point into the caller's
 * bytes.
 *
 * Both directions are here: the server decodes what clients send and encodes what servers send, the
 * client the other way round, and tests hold one against the other. */
#ifndef AUTOMAT_MQTT_CODEC_H
#define AUTOMAT_MQTT_CODEC_H

#include "base/base.h"

enum mqtt_type {
    MQTT_CONNECT = 1,
    MQTT_CONNACK,
    MQTT_PUBLISH,
    MQTT_PUBACK,
    MQTT_PUBREC,
    MQTT_PUBREL,
    MQTT_PUBCOMP,
    MQTT_SUBSCRIBE,
    MQTT_SUBACK,
    MQTT_UNSUBSCRIBE,
    MQTT_UNSUBACK,
    MQTT_PINGREQ,
    MQTT_PINGRESP,
    MQTT_DISCONNECT,
    MQTT_AUTH,
};
const char *mqtt_type_name(enum mqtt_type type); /* "PUBLISH" */

enum mqtt_version { MQTT_V311 = 4, MQTT_V5 = 5 };

/* Reason codes of MQTT 5.0 (section 2.4).  Towards a 3.1.1 client the few it has are translated. */
enum mqtt_reason {
    MQTT_SUCCESS = 0x00, /* also: normal disconnection, granted QoS 0 */
    MQTT_DISCONNECT_WITH_WILL = 0x04,
    MQTT_NO_MATCHING_SUBSCRIBERS = 0x10,
    MQTT_NO_SUBSCRIPTION_EXISTED = 0x11,
    MQTT_CONTINUE_AUTHENTICATION = 0x18,
    MQTT_REAUTHENTICATE = 0x19,
    MQTT_UNSPECIFIED = 0x80,
    MQTT_MALFORMED = 0x81,
    MQTT_PROTOCOL_ERROR = 0x82,
    MQTT_IMPLEMENTATION_ERROR = 0x83,
    MQTT_UNSUPPORTED_VERSION = 0x84,
    MQTT_BAD_CLIENT_ID = 0x85,
    MQTT_BAD_CREDENTIALS = 0x86,
    MQTT_NOT_AUTHORIZED = 0x87,
    MQTT_SERVER_UNAVAILABLE = 0x88,
    MQTT_SERVER_BUSY = 0x89,
    MQTT_BANNED = 0x8A,
    MQTT_SERVER_SHUTTING_DOWN = 0x8B,
    MQTT_BAD_AUTH_METHOD = 0x8C,
    MQTT_KEEP_ALIVE_TIMEOUT = 0x8D,
    MQTT_SESSION_TAKEN_OVER = 0x8E,
    MQTT_BAD_FILTER = 0x8F,
    MQTT_BAD_TOPIC = 0x90,
    MQTT_PACKET_ID_IN_USE = 0x91,
    MQTT_PACKET_ID_NOT_FOUND = 0x92,
    MQTT_RECEIVE_MAX_EXCEEDED = 0x93,
    MQTT_BAD_TOPIC_ALIAS = 0x94,
    MQTT_PACKET_TOO_LARGE = 0x95,
    MQTT_RATE_TOO_HIGH = 0x96,
    MQTT_QUOTA_EXCEEDED = 0x97,
    MQTT_ADMINISTRATIVE = 0x98,
    MQTT_BAD_PAYLOAD = 0x99,
    MQTT_RETAIN_NOT_SUPPORTED = 0x9A,
    MQTT_QOS_NOT_SUPPORTED = 0x9B,
    MQTT_USE_ANOTHER_SERVER = 0x9C,
    MQTT_SERVER_MOVED = 0x9D,
    MQTT_SHARED_NOT_SUPPORTED = 0x9E,
    MQTT_CONNECTION_RATE = 0x9F,
    MQTT_MAXIMUM_CONNECT_TIME = 0xA0,
    MQTT_SUBSCRIPTION_IDS_NOT_SUPPORTED = 0xA1,
    MQTT_WILDCARD_NOT_SUPPORTED = 0xA2,
};
const char *mqtt_reason_text(enum mqtt_reason reason); /* a short phrase for logs */

/* What is wrong with a packet: where (offset into the packet) and why (constant text). */
struct mqtt_fault {
    size_t at_byte;
    const char *why;
    enum mqtt_reason reason; /* MQTT_MALFORMED, MQTT_PROTOCOL_ERROR, ... */
};

#define MQTT_PACKET_BYTES_MAX                                                                      \
    ((size_t)256 * 1024)             /* of one packet, unless the listener sets less */
#define MQTT_TOPIC_BYTES_MAX     512 /* of a topic name or filter */
#define MQTT_TOPIC_LEVELS_MAX    16
#define MQTT_CLIENT_ID_MAX       128
#define MQTT_FILTERS_MAX         32 /* of one SUBSCRIBE or UNSUBSCRIBE */
#define MQTT_USER_PROPERTIES_MAX 16

/* Properties (5.0 only).  `has` says which are there: bit MQTT_HAS_x. */
enum {
    MQTT_HAS_PAYLOAD_FORMAT = 1 << 0,
    MQTT_HAS_MESSAGE_EXPIRY = 1 << 1,
    MQTT_HAS_CONTENT_TYPE = 1 << 2,
    MQTT_HAS_RESPONSE_TOPIC = 1 << 3,
    MQTT_HAS_CORRELATION = 1 << 4,
    MQTT_HAS_SUBSCRIPTION_ID = 1 << 5,
    MQTT_HAS_SESSION_EXPIRY = 1 << 6,
    MQTT_HAS_ASSIGNED_CLIENT_ID = 1 << 7,
    MQTT_HAS_SERVER_KEEP_ALIVE = 1 << 8,
    MQTT_HAS_AUTH_METHOD = 1 << 9,
    MQTT_HAS_WILL_DELAY = 1 << 10,
    MQTT_HAS_REASON_STRING = 1 << 11,
    MQTT_HAS_RECEIVE_MAX = 1 << 12,
    MQTT_HAS_TOPIC_ALIAS_MAX = 1 << 13,
    MQTT_HAS_TOPIC_ALIAS = 1 << 14,
    MQTT_HAS_MAX_QOS = 1 << 15,
    MQTT_HAS_RETAIN_AVAILABLE = 1 << 16,
    MQTT_HAS_MAX_PACKET = 1 << 17,
    MQTT_HAS_WILDCARD_AVAILABLE = 1 << 18,
    MQTT_HAS_SUBSCRIPTION_IDS_AVAILABLE = 1 << 19,
    MQTT_HAS_SHARED_AVAILABLE = 1 << 20,
    MQTT_HAS_REQUEST_PROBLEM = 1 << 21,
    MQTT_HAS_REQUEST_RESPONSE = 1 << 22,
    MQTT_HAS_AUTH_DATA = 1 << 23,
    MQTT_HAS_RESPONSE_INFO = 1 << 24,
    MQTT_HAS_SERVER_REFERENCE = 1 << 25,
};
struct mqtt_properties {
    uint32_t has;
    uint32_t message_expiry_s, session_expiry_s, will_delay_s, max_packet_bytes, subscription_id;
    uint16_t receive_max, topic_alias_max, topic_alias, server_keep_alive_s;
    uint8_t payload_format, max_qos;
    bool retain_available, wildcard_available, subscription_ids_available, shared_available;
    bool request_problem, request_response;
    struct str content_type, response_topic, correlation, assigned_client_id, auth_method,
        reason_string, auth_data, response_info, server_reference;
    /* User properties in wire form (checked), to be passed on as they came; empty: none.  From the
     * first to the end of the last: other properties in between are left out when it is encoded. */
    struct str user;
};

struct mqtt_will {
    bool present, retain;
    uint8_t qos;
    struct str topic, payload;
    struct mqtt_properties properties;
};

struct mqtt_connect {
    enum mqtt_version version;
    bool clean_start; /* 3.1.1: clean session */
    uint16_t keep_alive_s;
    struct str client_id; /* may be empty */
    bool has_user, has_password;
    struct str user, password;
    struct mqtt_will will;
    struct mqtt_properties properties;
};

struct mqtt_connack {
    bool session_present;
    enum mqtt_reason reason; /* written as the nearest return code to a 3.1.1 client */
    struct mqtt_properties properties;
};

struct mqtt_publish {
    bool dup, retain;
    uint8_t qos;
    uint16_t packet_id; /* 0 for QoS 0 */
    struct str topic;   /* empty with a topic alias only */
    struct str payload;
    struct mqtt_properties properties;
};

struct mqtt_ack { /* PUBACK, PUBREC, PUBREL, PUBCOMP */
    enum mqtt_type type;
    uint16_t packet_id;
    enum mqtt_reason reason;
    struct mqtt_properties properties; /* reason string */
};

struct mqtt_filter {
    struct str filter;
    uint8_t qos; /* SUBSCRIBE only, as the three below */
    bool no_local, retain_as_published;
    uint8_t retain_handling; /* 0: send retained, 1: only for a new subscription, 2: never */
};
struct mqtt_subscribe { /* SUBSCRIBE, UNSUBSCRIBE */
    uint16_t packet_id;
    uint32_t filter_count;
    struct mqtt_filter filter[MQTT_FILTERS_MAX];
    struct mqtt_properties properties;
};
struct mqtt_suback { /* SUBACK, UNSUBACK */
    enum mqtt_type type;
    uint16_t packet_id;
    uint32_t reason_count;
    uint8_t reason[MQTT_FILTERS_MAX]; /* 0..2 granted QoS, or >= 0x80 */
};
struct mqtt_disconnect { /* DISCONNECT, AUTH */
    enum mqtt_reason reason;
    struct mqtt_properties properties; /* session expiry, reason string */
};

struct mqtt_packet {
    enum mqtt_type type;
    union {
        struct mqtt_connect connect;
        struct mqtt_connack connack;
        struct mqtt_publish publish;
        struct mqtt_ack ack;
        struct mqtt_subscribe subscribe;
        struct mqtt_suback suback;
        struct mqtt_disconnect disconnect;
    };
};

/* Measure the packet that `bytes` begins with.  ERR_OK: all `*ret_bytes` of it are here, header
 * included.  ERR_AGAIN: not yet; `*ret_bytes` is its length when that much is known, 0 else.
 * ERR_INPUT: malformed.  ERR_FULL: longer than `packet_bytes_max`. */
MUST_USE enum err mqtt_frame(struct str bytes, size_t packet_bytes_max, size_t *ret_bytes,
                             struct mqtt_fault *ret_fault);
/* One whole packet, as mqtt_frame measured it.  `version` is the connection's (for CONNECT the
 * packet's own counts: `ret_packet->connect.version` is set, when it could be read, also on
 * failure; 0 else).  `ret_fault` may be NULL.  Every rule of the standard that a packet alone can
 * break is checked here: flags, lengths, UTF-8, topic names and filters, duplicate and misplaced
 * properties.  ERR_INPUT.
 */
MUST_USE enum err mqtt_decode(struct str packet, enum mqtt_version version,
                              struct mqtt_packet *ret_packet, struct mqtt_fault *ret_fault);
/* The same for PUBLISH only, on the hot path. */
MUST_USE enum err mqtt_decode_publish(struct str packet, enum mqtt_version version,
                                      struct mqtt_publish *ret_publish,
                                      struct mqtt_fault *ret_fault);

/* Length of the encoded packet, or 0 when it cannot be said in this version or is over
 * MQTT_PACKET_BYTES_MAX; then encode into at least that many bytes.  To a 3.1.1 peer properties and
 * reasons are left out; a reason that the packet cannot carry becomes MQTT_UNSPECIFIED. */
size_t mqtt_encoded_bytes(const struct mqtt_packet *packet, enum mqtt_version version);
size_t mqtt_encode(const struct mqtt_packet *packet, enum mqtt_version version, uint8_t *dst,
                   size_t dst_bytes); /* bytes written; 0: does not fit */

/* ---- topics (section 4.7) ---- */
/* UTF-8 without NUL, 1..MQTT_TOPIC_BYTES_MAX bytes, at most MQTT_TOPIC_LEVELS_MAX levels. */
bool mqtt_topic_valid(struct str topic);   /* no wildcard */
bool mqtt_filter_valid(struct str filter); /* wildcards stand alone in their level, # is last */
/* A filter that begins with a wildcard does not match a topic that begins with '$'. */
bool mqtt_filter_matches(struct str filter, struct str topic);
/* Level `index` of a topic; STR_NONE when there are fewer. */
struct str mqtt_topic_level(struct str topic, uint32_t index);

#endif
