/* Any packet that the codec writes, it reads again, and writes the same. */
#include "kit/kit.h"
#include "net/mqtt/mqtt_codec.h"
#include <string.h>

#define ROUNDS 20000

static struct rng rng;
static char pool[4096]; /* where texts are taken from */

static void pool_fill(void)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789 _-.:{}";
    for (size_t i = 0; i < sizeof(pool); i++)
        pool[i] = alphabet[rng_below(&rng, sizeof(alphabet) - 1)];
    for (size_t i = 0; i + 2 < sizeof(pool); i += 61) /* two-byte characters here and there */
        memcpy(pool + i, "\xC3\xA9", 2);
}

static struct str text(size_t len_max)
{
    size_t len = rng_below(&rng, (uint32_t)len_max + 1);
    size_t from = rng_below(&rng, (uint32_t)(sizeof(pool) - len));
    while (len != 0 && ((uint8_t)pool[from] & 0xC0) == 0x80) {
        from++;
        len--;
    }
    while (len != 0 && (uint8_t)pool[from + len - 1] == 0xC3)
        len--;
    return (struct str){pool + from, len};
}

static struct str topic(void)
{
    struct str name = text(40);
    return name.len != 0 ? name : STR("t");
}

static struct str user_properties(void)
{
    static char wire[MQTT_USER_PROPERTIES_MAX * 64 * 4];
    static size_t used; /* several of one packet */
    if (used + 1024 > sizeof(wire))
        used = 0;
    size_t begin = used;
    for (uint32_t n = rng_below(&rng, 4); n > 0; n--) {
        wire[used++] = 0x26;
        for (int half = 0; half < 2; half++) {
            struct str part = text(20);
            wire[used++] = 0;
            wire[used++] = (char)part.len;
            memcpy(wire + used, part.at, part.len);
            used += part.len;
        }
    }
    return (struct str){wire + begin, used - begin};
}

/* Everything at once: the codec leaves out what does not belong into the packet. */
static struct mqtt_properties properties(void)
{
    struct mqtt_properties all = {
        .has = (uint32_t)rng_next(&rng) & ((MQTT_HAS_SERVER_REFERENCE << 1) - 1),
        .message_expiry_s = (uint32_t)rng_next(&rng),
        .session_expiry_s = (uint32_t)rng_next(&rng),
        .will_delay_s = (uint32_t)rng_next(&rng),
        .max_packet_bytes = (uint32_t)rng_next(&rng) | 1,
        .subscription_id = 1 + rng_below(&rng, 268435455),
        .receive_max = (uint16_t)(1 + rng_below(&rng, 65535)),
        .topic_alias_max = (uint16_t)rng_next(&rng),
        .topic_alias = (uint16_t)(1 + rng_below(&rng, 65535)),
        .server_keep_alive_s = (uint16_t)rng_next(&rng),
        .payload_format = (uint8_t)rng_below(&rng, 2),
        .max_qos = (uint8_t)rng_below(&rng, 2),
        .retain_available = rng_chance(&rng, 0.5),
        .wildcard_available = rng_chance(&rng, 0.5),
        .subscription_ids_available = rng_chance(&rng, 0.5),
        .shared_available = rng_chance(&rng, 0.5),
        .request_problem = rng_chance(&rng, 0.5),
        .request_response = rng_chance(&rng, 0.5),
        .content_type = text(20),
        .response_topic = topic(),
        .correlation = text(20),
        .assigned_client_id = text(20),
        .auth_method = text(8),
        .reason_string = text(20),
        .auth_data = text(20),
        .response_info = text(20),
        .server_reference = text(20),
        .user = user_properties(),
    };
    all.has |= MQTT_HAS_AUTH_METHOD; /* AUTH and authentication data need it */
    return all;
}

static struct mqtt_connect connect_of(enum mqtt_version version)
{
    struct mqtt_connect connect = {
        .version = version,
        .clean_start = true,
        .keep_alive_s = (uint16_t)rng_next(&rng),
        .client_id = text(MQTT_CLIENT_ID_MAX),
        .has_user = rng_chance(&rng, 0.5),
        .user = text(20),
        .password = text(20),
        .properties = properties(),
    };
    connect.has_password = connect.has_user && rng_chance(&rng, 0.5);
    if (rng_chance(&rng, 0.5))
        connect.will = (struct mqtt_will){.present = true,
                                          .retain = rng_chance(&rng, 0.5),
                                          .qos = (uint8_t)rng_below(&rng, 3),
                                          .topic = topic(),
                                          .payload = text(100),
                                          .properties = properties()};
    return connect;
}

static uint8_t any_of(const uint8_t *codes, size_t count)
{
    return codes[rng_below(&rng, (uint32_t)count)];
}

static struct mqtt_packet any_packet(enum mqtt_version version)
{
    static const uint8_t granted[] = {0, 1, 2, 0x80};
    static const uint8_t reasons[] = {0x00, 0x10, 0x80, 0x87, 0x97};
    uint16_t packet_id = (uint16_t)(1 + rng_below(&rng, 65535));
    struct mqtt_packet packet = {.type = (enum mqtt_type)(1 + rng_below(&rng, 15))};
    enum mqtt_type type = packet.type;
    switch (type) {
    case MQTT_CONNECT:
        packet.connect = connect_of(version);
        break;
    case MQTT_CONNACK:
        packet.connack.session_present = rng_chance(&rng, 0.3);
        packet.connack.reason = packet.connack.session_present ? MQTT_SUCCESS : MQTT_NOT_AUTHORIZED;
        packet.connack.properties = properties();
        break;
    case MQTT_PUBLISH:
        packet.publish = (struct mqtt_publish){.qos = (uint8_t)rng_below(&rng, 3),
                                               .retain = rng_chance(&rng, 0.5),
                                               .topic = topic(),
                                               .payload = text(1000),
                                               .properties = properties()};
        packet.publish.dup = packet.publish.qos != 0 && rng_chance(&rng, 0.5);
        packet.publish.packet_id = packet.publish.qos != 0 ? packet_id : 0;
        break;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
        packet.ack = (struct mqtt_ack){
            type, packet_id, (enum mqtt_reason)any_of(reasons, ARRAY_COUNT(reasons)), properties()};
        break;
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        packet.ack = (struct mqtt_ack){type, packet_id, MQTT_PACKET_ID_NOT_FOUND, properties()};
        break;
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        packet.subscribe.packet_id = packet_id;
        packet.subscribe.properties = properties();
        packet.subscribe.filter_count = 1 + rng_below(&rng, MQTT_FILTERS_MAX);
        for (uint32_t i = 0; i < packet.subscribe.filter_count; i++)
            packet.subscribe.filter[i] =
                (struct mqtt_filter){topic(), (uint8_t)rng_below(&rng, 3), rng_chance(&rng, 0.5),
                                     rng_chance(&rng, 0.5), (uint8_t)rng_below(&rng, 3)};
        break;
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        packet.suback.type = type;
        packet.suback.packet_id = packet_id;
        packet.suback.reason_count = 1 + rng_below(&rng, MQTT_FILTERS_MAX);
        for (uint32_t i = 0; i < packet.suback.reason_count; i++)
            packet.suback.reason[i] =
                type == MQTT_SUBACK ? any_of(granted, ARRAY_COUNT(granted)) : 0x11;
        break;
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
        break;
    case MQTT_DISCONNECT:
        packet.disconnect.reason = version == MQTT_V5 ? MQTT_SERVER_BUSY : MQTT_SUCCESS;
        packet.disconnect.properties = properties();
        break;
    case MQTT_AUTH:
        packet.disconnect.reason = MQTT_CONTINUE_AUTHENTICATION;
        packet.disconnect.properties = properties();
        break;
    }
    return packet;
}

TEST(what_is_written_is_read_and_written_the_same)
{
    static uint8_t first[64 * 1024], second[64 * 1024];
    for (uint64_t seed = 1; seed <= 4; seed++) {
        rng_init(&rng, seed);
        pool_fill();
        for (uint32_t round = 0; round < ROUNDS / 4; round++) {
            enum mqtt_version version = rng_chance(&rng, 0.5) ? MQTT_V5 : MQTT_V311;
            struct mqtt_packet packet = any_packet(version), back;
            struct mqtt_fault fault = {0, "", MQTT_SUCCESS};
            NOTE("seed %d round %u %s", (int)seed, round, mqtt_type_name(packet.type));
            size_t len = mqtt_encode(&packet, version, first, sizeof(first));
            CHECK_EQ(mqtt_encoded_bytes(&packet, version), len);
            if (version == MQTT_V311 && packet.type == MQTT_AUTH) {
                CHECK_EQ(len, 0);
                continue;
            }
            CHECK(len != 0);
            char *guarded = kit_guard_page(first, len);
            enum err err = mqtt_decode((struct str){guarded, len}, version, &back, &fault);
            NOTE("seed %d round %u %s: %s at %zu", (int)seed, round, mqtt_type_name(packet.type),
                 fault.why, fault.at_byte);
            CHECK_OK(err);
            CHECK_EQ(back.type, packet.type);
            CHECK_EQ(mqtt_encode(&back, version, second, sizeof(second)), len);
            CHECK_BYTES(second, first, len);
            if (packet.type == MQTT_PUBLISH) {
                CHECK(str_equal(back.publish.topic, packet.publish.topic));
                CHECK(str_equal(back.publish.payload, packet.publish.payload));
                CHECK_EQ(back.publish.packet_id, packet.publish.packet_id);
                CHECK(version == MQTT_V311 ||
                      str_equal(back.publish.properties.user, packet.publish.properties.user));
            }
            kit_free_guard(guarded);
        }
    }
}
