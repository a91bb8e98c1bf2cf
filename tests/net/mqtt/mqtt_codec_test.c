/* Every packet in both versions, byte for byte, and what its fields say. */
#include "mqtt_vectors.h"

static struct mqtt_packet packet;
static struct mqtt_fault fault;
static uint8_t bytes[1024];

static void read_hex(const char *hex, enum mqtt_version version)
{
    size_t len = bytes_of(hex, bytes, sizeof(bytes));
    enum err err = mqtt_decode((struct str){(const char *)bytes, len}, version, &packet, &fault);
    if (err != ERR_OK)
        NOTE("%s at %zu", fault.why, fault.at_byte);
    CHECK_OK(err);
}

static void read_vector(const char *name, enum mqtt_version version, enum mqtt_type type)
{
    for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
        if (vectors[i].version == version && vectors[i].type == type &&
            strcmp(vectors[i].name, name) == 0) {
            read_hex(vectors[i].hex, version);
            return;
        }
    }
    NOTE("no vector %s", name);
    CHECK(false);
}

TEST(every_vector_is_read_and_written_byte_for_byte)
{
    for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
        const struct vector *vector = &vectors[i];
        uint8_t out[1024];
        NOTE("%s %d", vector->name, vector->version);
        size_t len = bytes_of(vector->hex, bytes, sizeof(bytes));
        struct str whole = {(const char *)bytes, len};
        size_t measured;
        CHECK_OK(mqtt_frame(whole, 1024, &measured, &fault));
        CHECK_EQ(measured, len);
        enum err err = mqtt_decode(whole, vector->version, &packet, &fault);
        if (err != ERR_OK)
            NOTE("%s %d: %s at %zu", vector->name, vector->version, fault.why, fault.at_byte);
        CHECK_OK(err);
        CHECK_EQ(packet.type, vector->type);
        CHECK_EQ(mqtt_encoded_bytes(&packet, vector->version), len);
        CHECK_EQ(mqtt_encode(&packet, vector->version, out, len - 1), 0);
        CHECK_EQ(mqtt_encode(&packet, vector->version, out, sizeof(out)), len);
        CHECK_BYTES(out, bytes, len);
    }
}

TEST(connect_of_311)
{
    read_vector("CONNECT full", MQTT_V311, MQTT_CONNECT);
    const struct mqtt_connect *connect = &packet.connect;
    CHECK_EQ(connect->version, MQTT_V311);
    CHECK(!connect->clean_start);
    CHECK_EQ(connect->keep_alive_s, 10);
    CHECK_SLICE(connect->client_id, "id");
    CHECK(connect->will.present && connect->will.retain);
    CHECK_EQ(connect->will.qos, 1);
    CHECK_SLICE(connect->will.topic, "t/w");
    CHECK_EQ(connect->will.payload.len, 2);
    CHECK(connect->has_user && connect->has_password);
    CHECK_SLICE(connect->user, "u");
    CHECK_SLICE(connect->password, "pw");
    read_vector("CONNECT", MQTT_V311, MQTT_CONNECT);
    CHECK(connect->clean_start && !connect->will.present && !connect->has_user);
    CHECK(!connect->has_password);
    CHECK_EQ(connect->keep_alive_s, 60);
}

TEST(connect_of_5)
{
    read_vector("CONNECT full", MQTT_V5, MQTT_CONNECT);
    const struct mqtt_properties *properties = &packet.connect.properties;
    CHECK_EQ(packet.connect.version, MQTT_V5);
    CHECK(packet.connect.clean_start);
    CHECK_EQ(properties->session_expiry_s, 120);
    CHECK_SLICE(properties->auth_method, "pwd");
    CHECK_BYTES(properties->auth_data.at, "\xAB\xCD", 2);
    CHECK((properties->has & MQTT_HAS_REQUEST_PROBLEM) != 0 && !properties->request_problem);
    CHECK(properties->request_response);
    CHECK_EQ(properties->receive_max, 20);
    CHECK_EQ(properties->topic_alias_max, 10);
    CHECK_EQ(properties->max_packet_bytes, 65536);
    CHECK_EQ(properties->user.len, 15);
    const struct mqtt_will *will = &packet.connect.will;
    CHECK_EQ(will->properties.payload_format, 1);
    CHECK_EQ(will->properties.message_expiry_s, 10);
    CHECK_SLICE(will->properties.content_type, "tx");
    CHECK_SLICE(will->properties.response_topic, "r/t");
    CHECK_EQ(will->properties.correlation.len, 2);
    CHECK_EQ(will->properties.will_delay_s, 5);
    CHECK_EQ(will->properties.user.len, 7);
    CHECK_SLICE(will->payload, "hi");
}

TEST(connack)
{
    static const struct {
        const char *name;
        enum mqtt_reason reason;
    } codes[] = {
        {"CONNACK", MQTT_SUCCESS},
        {"CONNACK bad version", MQTT_UNSUPPORTED_VERSION},
        {"CONNACK bad client id", MQTT_BAD_CLIENT_ID},
        {"CONNACK unavailable", MQTT_SERVER_UNAVAILABLE},
        {"CONNACK bad credentials", MQTT_BAD_CREDENTIALS},
        {"CONNACK not authorized", MQTT_NOT_AUTHORIZED},
    };
    for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
        read_vector(codes[i].name, MQTT_V311, MQTT_CONNACK);
        CHECK_EQ(packet.connack.reason, codes[i].reason);
        CHECK(!packet.connack.session_present);
    }
    read_vector("CONNACK session", MQTT_V311, MQTT_CONNACK);
    CHECK(packet.connack.session_present);
    read_vector("CONNACK full", MQTT_V5, MQTT_CONNACK);
    const struct mqtt_properties *properties = &packet.connack.properties;
    CHECK_SLICE(properties->assigned_client_id, "a");
    CHECK_EQ(properties->server_keep_alive_s, 30);
    CHECK_SLICE(properties->response_info, "i");
    CHECK_SLICE(properties->server_reference, "s");
    CHECK_SLICE(properties->reason_string, "r");
    CHECK_EQ(properties->max_qos, 1);
    CHECK(properties->retain_available && properties->wildcard_available);
    CHECK(!properties->subscription_ids_available && !properties->shared_available);
}

/* What 3.1.1 has no code for becomes the nearest. */
TEST(connack_is_translated_for_311)
{
    static const struct {
        enum mqtt_reason reason;
        uint8_t code;
    } rows[] = {
        {MQTT_SUCCESS, 0},         {MQTT_UNSUPPORTED_VERSION, 1}, {MQTT_BAD_CLIENT_ID, 2},
        {MQTT_SERVER_BUSY, 3},     {MQTT_QUOTA_EXCEEDED, 3},      {MQTT_BAD_CREDENTIALS, 4},
        {MQTT_BAD_AUTH_METHOD, 4}, {MQTT_NOT_AUTHORIZED, 5},      {MQTT_BANNED, 5},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct mqtt_packet answer = {.type = MQTT_CONNACK};
        answer.connack = (struct mqtt_connack){true, rows[i].reason, {0}};
        answer.connack.properties.has = MQTT_HAS_RECEIVE_MAX;
        CHECK_EQ(mqtt_encode(&answer, MQTT_V311, bytes, sizeof(bytes)), 4);
        CHECK_EQ(bytes[2], rows[i].code == 0); /* no session with a refusal */
        CHECK_EQ(bytes[3], rows[i].code);
    }
}

TEST(publish)
{
    read_vector("PUBLISH QoS 2 again", MQTT_V311, MQTT_PUBLISH);
    const struct mqtt_publish *publish = &packet.publish;
    CHECK(publish->dup && publish->retain);
    CHECK_EQ(publish->qos, 2);
    CHECK_EQ(publish->packet_id, 65535);
    CHECK_EQ(publish->payload.len, 0);
    read_vector("PUBLISH full", MQTT_V5, MQTT_PUBLISH);
    CHECK(!publish->dup && publish->retain);
    CHECK_SLICE(publish->topic, "a/b");
    CHECK_SLICE(publish->payload, "{}");
    CHECK_EQ(publish->properties.topic_alias, 2);
    CHECK_EQ(publish->properties.subscription_id, 1);
    CHECK_SLICE(publish->properties.response_topic, "r");
    read_vector("PUBLISH alias", MQTT_V5, MQTT_PUBLISH);
    CHECK_EQ(publish->topic.len, 0);
    struct mqtt_publish same;
    size_t len = bytes_of("3209 0003 612F62 000A 6869", bytes, sizeof(bytes));
    CHECK_OK(mqtt_decode_publish((struct str){(const char *)bytes, len}, MQTT_V311, &same, NULL));
    CHECK_SLICE(same.topic, "a/b");
    CHECK_SLICE(same.payload, "hi");
    CHECK_EQ(same.packet_id, 10);
}

TEST(acknowledgements)
{
    read_vector("PUBACK refused, why", MQTT_V5, MQTT_PUBACK);
    CHECK_EQ(packet.ack.packet_id, 0x1234);
    CHECK_EQ(packet.ack.reason, MQTT_BAD_PAYLOAD);
    CHECK_SLICE(packet.ack.properties.reason_string, "x");
    /* The long form of nothing is read, too. */
    read_hex("4004 1234 00 00", MQTT_V5);
    CHECK_EQ(packet.ack.reason, MQTT_SUCCESS);
    read_hex("4003 1234 00", MQTT_V5);
    read_hex("E002 00 00", MQTT_V5);
    /* A refusal is an acknowledgement to a 3.1.1 client, which knows no other. */
    packet.type = MQTT_PUBACK;
    packet.ack = (struct mqtt_ack){MQTT_PUBACK, 1, MQTT_NOT_AUTHORIZED, {0}};
    CHECK_EQ(mqtt_encode(&packet, MQTT_V311, bytes, sizeof(bytes)), 4);
    CHECK_BYTES(bytes, "\x40\x02\x00\x01", 4);
    /* A reason that does not fit is said as an unspecified one. */
    packet.ack.reason = MQTT_SESSION_TAKEN_OVER;
    CHECK_EQ(mqtt_encode(&packet, MQTT_V5, bytes, sizeof(bytes)), 5);
    CHECK_EQ(bytes[4], MQTT_UNSPECIFIED);
    packet.type = packet.ack.type = MQTT_PUBCOMP;
    CHECK_EQ(mqtt_encode(&packet, MQTT_V5, bytes, sizeof(bytes)), 5);
    CHECK_EQ(bytes[4], MQTT_PACKET_ID_NOT_FOUND);
}

TEST(subscriptions)
{
    read_vector("SUBSCRIBE", MQTT_V311, MQTT_SUBSCRIBE);
    CHECK_EQ(packet.subscribe.filter_count, 2);
    CHECK_SLICE(packet.subscribe.filter[0].filter, "#");
    CHECK_EQ(packet.subscribe.filter[0].qos, 1);
    CHECK_SLICE(packet.subscribe.filter[1].filter, "+/");
    read_vector("SUBSCRIBE", MQTT_V5, MQTT_SUBSCRIBE);
    const struct mqtt_filter *filter = &packet.subscribe.filter[0];
    CHECK_EQ(packet.subscribe.properties.subscription_id, 128);
    CHECK_EQ(filter->qos, 1);
    CHECK(filter->no_local && filter->retain_as_published);
    CHECK_EQ(filter->retain_handling, 2);
    read_vector("SUBACK", MQTT_V5, MQTT_SUBACK);
    CHECK_EQ(packet.suback.reason_count, 3);
    CHECK_EQ(packet.suback.reason[2], MQTT_SHARED_NOT_SUPPORTED);
    /* 3.1.1 has one way to say no. */
    CHECK_EQ(mqtt_encode(&packet, MQTT_V311, bytes, sizeof(bytes)), 7);
    CHECK_BYTES(bytes, "\x90\x05\x00\x01\x01\x80\x80", 7);
}

/* ---- what cannot be said ---- */

static size_t said(const struct mqtt_packet *what, enum mqtt_version version)
{
    size_t counted = mqtt_encoded_bytes(what, version);
    CHECK_EQ(mqtt_encode(what, version, bytes, sizeof(bytes)),
             counted <= sizeof(bytes) ? counted : 0);
    return counted;
}

TEST(what_cannot_be_said)
{
    static char large[MQTT_PACKET_BYTES_MAX];
    memset(large, 'x', sizeof(large));
    struct mqtt_packet out = {.type = MQTT_AUTH};
    CHECK_EQ(said(&out, MQTT_V311), 0);
    out.type = MQTT_DISCONNECT;
    CHECK_EQ(said(&out, MQTT_V311), 2);
    out.disconnect.reason = MQTT_SERVER_BUSY;
    CHECK_EQ(said(&out, MQTT_V311), 0);
    CHECK_EQ(said(&out, MQTT_V5), 3);
    memset(&out, 0, sizeof(out));
    CHECK_EQ(said(&out, MQTT_V5), 0); /* type 0 */
    out.type = MQTT_PUBLISH;
    CHECK_EQ(said(&out, MQTT_V5), 0); /* no topic */
    out.publish.topic = STR("t");
    CHECK_EQ(said(&out, MQTT_V5), 6);
    out.publish.qos = 1;
    CHECK_EQ(said(&out, MQTT_V5), 0); /* no packet id */
    out.publish.packet_id = 1;
    CHECK_EQ(said(&out, MQTT_V5), 8);
    out.publish.qos = 3;
    CHECK_EQ(said(&out, MQTT_V5), 0);
    out.publish.qos = 0;
    out.publish.payload = (struct str){large, sizeof(large) - 7};
    CHECK_EQ(said(&out, MQTT_V311), sizeof(large)); /* 1 + 3 of the header, 3 of the topic */
    out.publish.payload.len++;
    CHECK_EQ(said(&out, MQTT_V311), 0);
    out.publish.payload.len = 0;
    out.publish.topic = (struct str){large, 65536};
    CHECK_EQ(said(&out, MQTT_V311), 0); /* a text too long for its length */
    out.publish.topic = STR("t");
    out.publish.properties.user = STR("\x26\x00");
    CHECK_EQ(said(&out, MQTT_V5), 0); /* user properties that are none */
    CHECK_EQ(said(&out, MQTT_V311), 5);
    out.publish.properties.user = STR_NONE;
    out.publish.properties.has = MQTT_HAS_SUBSCRIPTION_ID;
    CHECK_EQ(said(&out, MQTT_V5), 0); /* number 0 */
    memset(&out, 0, sizeof(out));
    out.type = MQTT_SUBSCRIBE;
    out.subscribe.packet_id = 1;
    CHECK_EQ(said(&out, MQTT_V5), 0); /* no filter */
    memset(&out, 0, sizeof(out));
    out.type = MQTT_CONNECT;
    CHECK_EQ(said(&out, MQTT_V5), 0); /* no version */
    out.connect.version = MQTT_V311;
    CHECK_EQ(said(&out, MQTT_V311), 0); /* a lasting session of nobody */
    out.connect.clean_start = true;
    CHECK_EQ(said(&out, MQTT_V311), 14);
    out.connect.has_password = true;
    CHECK_EQ(said(&out, MQTT_V311), 0);
    out.connect.version = MQTT_V5;
    CHECK_EQ(said(&out, MQTT_V5), 17);
}

/* Others' properties between user properties do not travel with them. */
TEST(user_properties_are_passed_on_alone)
{
    read_hex("301B 0001 74 16 26 0001 61 0001 62 02 0000003C 01 01 26 0001 63 0002 6465 7A",
             MQTT_V5);
    CHECK_EQ(packet.publish.properties.user.len, 22);
    struct mqtt_packet out = {.type = MQTT_PUBLISH};
    out.publish = (struct mqtt_publish){.topic = STR("t")};
    out.publish.properties.user = packet.publish.properties.user;
    uint8_t wire[64];
    size_t len = mqtt_encode(&out, MQTT_V5, wire, sizeof(wire));
    uint8_t expected[64];
    CHECK_EQ(len, bytes_of("3013 0001 74 0F 26 0001 61 0001 62 26 0001 63 0002 6465", expected,
                           sizeof(expected)));
    CHECK_BYTES(wire, expected, len);
}

TEST(several_subscription_ids_are_allowed_to_a_client)
{
    read_hex("3009 0001 74 05 0B 01 0B 8101", MQTT_V5);
    CHECK_EQ(packet.publish.properties.subscription_id, 1);
}

TEST(names)
{
    CHECK_STR(mqtt_type_name(MQTT_CONNECT), "CONNECT");
    CHECK_STR(mqtt_type_name(MQTT_AUTH), "AUTH");
    CHECK_STR(mqtt_type_name((enum mqtt_type)0), "unknown");
    CHECK_STR(mqtt_type_name((enum mqtt_type)16), "unknown");
    CHECK_STR(mqtt_reason_text(MQTT_KEEP_ALIVE_TIMEOUT), "keep-alive timeout");
    CHECK_STR(mqtt_reason_text((enum mqtt_reason)0x42), "unknown reason");
}
