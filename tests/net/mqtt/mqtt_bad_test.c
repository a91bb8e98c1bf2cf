/* What is not MQTT: cut short, in the wrong order, with wrong flags, too much of it. */
#include "mqtt_vectors.h"

static struct mqtt_packet packet;

/* The first bytes of every packet are told apart from all of it, and nobody looks behind the end.
 */
TEST(every_prefix_ends_at_an_unreadable_page)
{
    for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
        const struct vector *vector = &vectors[i];
        uint8_t bytes[1024];
        size_t len = bytes_of(vector->hex, bytes, sizeof(bytes));
        NOTE("%s %d", vector->name, vector->version);
        for (size_t part = 0; part <= len; part++) {
            char *guarded = kit_guard_page(bytes, part);
            size_t whole;
            struct mqtt_fault fault;
            struct str prefix = {guarded, part};
            CHECK_ERR(mqtt_frame(prefix, 1024, &whole, &fault), part < len ? ERR_AGAIN : ERR_OK);
            CHECK_EQ(whole, part < 2 ? 0 : len);
            CHECK_ERR(mqtt_decode(prefix, vector->version, &packet, &fault),
                      part < len ? ERR_INPUT : ERR_OK);
            kit_free_guard(guarded);
        }
    }
}

/* The same, with a header that claims the shorter length: the fields end too early. */
TEST(every_packet_cut_short_is_refused_or_another_packet)
{
    for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
        const struct vector *vector = &vectors[i];
        uint8_t bytes[1024];
        size_t len = bytes_of(vector->hex, bytes, sizeof(bytes));
        for (size_t part = 2; part < len; part++) {
            bytes[1] = (uint8_t)(part - 2);
            char *guarded = kit_guard_page(bytes, part);
            struct mqtt_fault fault = {SIZE_MAX, NULL, MQTT_SUCCESS};
            NOTE("%s %d cut to %zu", vector->name, vector->version, part);
            enum err err =
                mqtt_decode((struct str){guarded, part}, vector->version, &packet, &fault);
            if (err != ERR_OK) {
                CHECK_ERR(err, ERR_INPUT);
                CHECK(fault.why != NULL && fault.at_byte <= part);
                CHECK(fault.reason >= MQTT_UNSPECIFIED);
            }
            bool shorter = vector->type == MQTT_PUBLISH || vector->type == MQTT_SUBACK ||
                           vector->type == MQTT_UNSUBACK || vector->type == MQTT_SUBSCRIBE ||
                           vector->type == MQTT_UNSUBSCRIBE || vector->version == MQTT_V5;
            CHECK(err != ERR_OK || shorter);
            CHECK(err != ERR_OK || vector->type != MQTT_CONNECT);
            kit_free_guard(guarded);
        }
    }
}

/* ---- the table ---- */

struct bad {
    const char *what;
    enum mqtt_version version;
    const char *hex;
    enum mqtt_reason reason;
};

static const struct bad bad[] = {
    /* the fixed header */
    {"type 0", MQTT_V311, "0000", MQTT_MALFORMED},
    {"AUTH in 3.1.1", MQTT_V311, "F000", MQTT_PROTOCOL_ERROR},
    {"CONNECT flags", MQTT_V311, "110C 0004 4D515454 04 02 0000 0000", MQTT_MALFORMED},
    {"CONNACK flags", MQTT_V311, "2102 00 00", MQTT_MALFORMED},
    {"PUBACK flags", MQTT_V311, "4202 0001", MQTT_MALFORMED},
    {"PUBREC flags", MQTT_V311, "5102 0001", MQTT_MALFORMED},
    {"PUBREL flags", MQTT_V311, "6002 0001", MQTT_MALFORMED},
    {"PUBREL flags", MQTT_V311, "6302 0001", MQTT_MALFORMED},
    {"PUBCOMP flags", MQTT_V311, "7802 0001", MQTT_MALFORMED},
    {"SUBSCRIBE flags", MQTT_V311, "8006 0001 0001 23 00", MQTT_MALFORMED},
    {"SUBACK flags", MQTT_V311, "9203 0001 00", MQTT_MALFORMED},
    {"UNSUBSCRIBE flags", MQTT_V311, "A005 0001 0001 23", MQTT_MALFORMED},
    {"UNSUBACK flags", MQTT_V311, "B202 0001", MQTT_MALFORMED},
    {"PINGREQ flags", MQTT_V311, "C100", MQTT_MALFORMED},
    {"PINGRESP flags", MQTT_V311, "D400", MQTT_MALFORMED},
    {"DISCONNECT flags", MQTT_V311, "E800", MQTT_MALFORMED},
    {"AUTH flags", MQTT_V5, "F100", MQTT_MALFORMED},
    {"length of five bytes", MQTT_V311, "30FFFFFFFF7F", MQTT_MALFORMED},
    {"length with a zero too many", MQTT_V5, "C08000", MQTT_MALFORMED},
    {"PINGREQ with a body", MQTT_V311, "C001 00", MQTT_MALFORMED},
    {"PINGRESP with a body", MQTT_V5, "D001 00", MQTT_MALFORMED},
    /* CONNECT */
    {"wrong name", MQTT_V311, "100C 0004 4D515458 04 02 0000 0000", MQTT_MALFORMED},
    {"name of another length", MQTT_V311, "100B 0003 4D5154 04 02 0000 0000", MQTT_MALFORMED},
    {"3.1", MQTT_V311, "100E 0006 4D5149736470 03 02 0000 0000", MQTT_UNSUPPORTED_VERSION},
    {"level 3", MQTT_V311, "100C 0004 4D515454 03 02 0000 0000", MQTT_UNSUPPORTED_VERSION},
    {"level 6", MQTT_V311, "100C 0004 4D515454 06 02 0000 0000", MQTT_UNSUPPORTED_VERSION},
    {"reserved flag", MQTT_V311, "100C 0004 4D515454 04 03 0000 0000", MQTT_MALFORMED},
    {"will QoS without will", MQTT_V311, "100C 0004 4D515454 04 0A 0000 0000", MQTT_MALFORMED},
    {"will retain without will", MQTT_V311, "100C 0004 4D515454 04 22 0000 0000", MQTT_MALFORMED},
    {"will QoS 3", MQTT_V311, "1011 0004 4D515454 04 1E 0000 0000 0001 61 0000", MQTT_MALFORMED},
    {"password without user", MQTT_V311, "100F 0004 4D515454 04 42 0000 0000 0001 61",
     MQTT_MALFORMED},
    {"session of nobody", MQTT_V311, "100C 0004 4D515454 04 00 0000 0000", MQTT_BAD_CLIENT_ID},
    {"client id with NUL", MQTT_V311, "100D 0004 4D515454 04 02 0000 0001 00", MQTT_MALFORMED},
    {"client id not UTF-8", MQTT_V311, "100D 0004 4D515454 04 02 0000 0001 FF", MQTT_MALFORMED},
    {"will topic with wildcard", MQTT_V311, "1011 0004 4D515454 04 06 0000 0000 0001 23 0000",
     MQTT_BAD_TOPIC},
    {"will topic empty", MQTT_V311, "1010 0004 4D515454 04 06 0000 0000 0000 0000", MQTT_BAD_TOPIC},
    {"user not UTF-8", MQTT_V311, "1010 0004 4D515454 04 82 0000 0000 0002 C3 28", MQTT_MALFORMED},
    {"bytes behind", MQTT_V311, "100D 0004 4D515454 04 02 0000 0000 00", MQTT_MALFORMED},
    {"user missing", MQTT_V311, "100C 0004 4D515454 04 82 0000 0000", MQTT_MALFORMED},
    {"receive maximum 0", MQTT_V5, "1010 0004 4D515454 05 02 0000 03 21 0000 0000",
     MQTT_PROTOCOL_ERROR},
    {"maximum packet 0", MQTT_V5, "1012 0004 4D515454 05 02 0000 05 27 00000000 0000",
     MQTT_PROTOCOL_ERROR},
    {"expiry twice", MQTT_V5, "1017 0004 4D515454 05 02 0000 0A 11 00000001 11 00000001 0000",
     MQTT_PROTOCOL_ERROR},
    {"a message's property", MQTT_V5, "100F 0004 4D515454 05 02 0000 02 01 00 0000",
     MQTT_PROTOCOL_ERROR},
    {"request flag 2", MQTT_V5, "100F 0004 4D515454 05 02 0000 02 19 02 0000", MQTT_PROTOCOL_ERROR},
    {"data without method", MQTT_V5, "1010 0004 4D515454 05 02 0000 03 16 0000 0000",
     MQTT_PROTOCOL_ERROR},
    {"properties too long", MQTT_V5, "100D 0004 4D515454 05 02 0000 03 0000", MQTT_MALFORMED},
    {"property cut off", MQTT_V5, "100F 0004 4D515454 05 02 0000 02 11 00 0000", MQTT_MALFORMED},
    {"four-byte property of three", MQTT_V5, "1011 0004 4D515454 05 02 0000 04 11 000000 0000",
     MQTT_MALFORMED},
    {"two-byte property of one", MQTT_V5, "100F 0004 4D515454 05 02 0000 02 22 00 0000",
     MQTT_MALFORMED},
    {"unknown property", MQTT_V5, "100F 0004 4D515454 05 02 0000 02 7F 00 0000", MQTT_MALFORMED},
    {"will delay outside the will", MQTT_V5, "1012 0004 4D515454 05 02 0000 05 18 00000001 0000",
     MQTT_PROTOCOL_ERROR},
    /* CONNACK */
    {"CONNACK reserved", MQTT_V311, "2002 02 00", MQTT_MALFORMED},
    {"CONNACK code", MQTT_V311, "2002 00 06", MQTT_MALFORMED},
    {"CONNACK refused with session", MQTT_V311, "2002 01 05", MQTT_PROTOCOL_ERROR},
    {"CONNACK short", MQTT_V311, "2001 00", MQTT_MALFORMED},
    {"CONNACK long", MQTT_V311, "2003 00 00 00", MQTT_MALFORMED},
    {"CONNACK reason", MQTT_V5, "2003 00 8B 00", MQTT_PROTOCOL_ERROR},
    {"CONNACK without properties", MQTT_V5, "2002 00 00", MQTT_MALFORMED},
    {"CONNACK QoS 2", MQTT_V5, "2005 00 00 02 24 02", MQTT_PROTOCOL_ERROR},
    /* PUBLISH */
    {"QoS 3", MQTT_V311, "3605 0001 61 0001", MQTT_MALFORMED},
    {"DUP at QoS 0", MQTT_V311, "3803 0001 61", MQTT_MALFORMED},
    {"no topic", MQTT_V311, "3002 0000", MQTT_MALFORMED},
    {"no topic", MQTT_V5, "3003 0000 00", MQTT_PROTOCOL_ERROR},
    {"wildcard", MQTT_V311, "3003 0001 2B", MQTT_BAD_TOPIC},
    {"topic with NUL", MQTT_V311, "3003 0001 00", MQTT_MALFORMED},
    {"topic not UTF-8", MQTT_V311, "3005 0003 EDA080", MQTT_MALFORMED},
    {"topic longer than packet", MQTT_V311, "3003 0002 61", MQTT_MALFORMED},
    {"packet id 0", MQTT_V311, "3205 0001 61 0000", MQTT_PROTOCOL_ERROR},
    {"packet id missing", MQTT_V311, "3203 0001 61", MQTT_MALFORMED},
    {"alias 0", MQTT_V5, "3006 0000 03 23 0000", MQTT_BAD_TOPIC_ALIAS},
    {"alias twice", MQTT_V5, "3009 0000 06 23 0001 23 0001", MQTT_PROTOCOL_ERROR},
    {"payload format 2", MQTT_V5, "3006 0001 61 02 01 02", MQTT_PROTOCOL_ERROR},
    {"response topic with wildcard", MQTT_V5, "3008 0001 61 04 08 0001 23", MQTT_BAD_TOPIC},
    {"user property cut off", MQTT_V5, "3009 0001 61 05 26 0001 6B 00", MQTT_MALFORMED},
    {"user property not UTF-8", MQTT_V5, "300B 0001 61 07 26 0001 FF 0001 76", MQTT_MALFORMED},
    {"property length cut off", MQTT_V5, "3004 0001 61 80", MQTT_MALFORMED},
    {"property length too wide", MQTT_V5, "3005 0001 61 8000", MQTT_MALFORMED},
    {"property length of five bytes", MQTT_V5, "3008 0001 61 8080808001", MQTT_MALFORMED},
    {"subscription id 0", MQTT_V5, "3006 0001 61 02 0B 00", MQTT_PROTOCOL_ERROR},
    {"session expiry", MQTT_V5, "3009 0001 61 05 11 00000000", MQTT_PROTOCOL_ERROR},
    /* acknowledgements */
    {"PUBACK id 0", MQTT_V311, "4002 0000", MQTT_PROTOCOL_ERROR},
    {"PUBACK short", MQTT_V311, "4001 00", MQTT_MALFORMED},
    {"PUBACK long", MQTT_V311, "4003 0001 00", MQTT_MALFORMED},
    {"PUBACK reason", MQTT_V5, "4003 0001 81", MQTT_PROTOCOL_ERROR},
    {"PUBREC reason", MQTT_V5, "5003 0001 92", MQTT_PROTOCOL_ERROR},
    {"PUBREL reason", MQTT_V5, "6203 0001 80", MQTT_PROTOCOL_ERROR},
    {"PUBCOMP reason", MQTT_V5, "7003 0001 10", MQTT_PROTOCOL_ERROR},
    {"PUBACK behind its properties", MQTT_V5, "4005 0001 00 00 00", MQTT_MALFORMED},
    {"PUBACK property", MQTT_V5, "4009 0001 00 05 02 00000001", MQTT_PROTOCOL_ERROR},
    {"reason string twice", MQTT_V5, "400A 0001 00 06 1F 0000 1F 0000", MQTT_PROTOCOL_ERROR},
    /* subscriptions */
    {"no filter", MQTT_V311, "8202 0001", MQTT_PROTOCOL_ERROR},
    {"no filter", MQTT_V5, "8203 0001 00", MQTT_PROTOCOL_ERROR},
    {"no filter", MQTT_V311, "A202 0001", MQTT_PROTOCOL_ERROR},
    {"id 0", MQTT_V311, "8206 0000 0001 23 00", MQTT_PROTOCOL_ERROR},
    {"QoS 3", MQTT_V311, "8206 0001 0001 23 03", MQTT_MALFORMED},
    {"reserved bits", MQTT_V311, "8206 0001 0001 23 04", MQTT_MALFORMED},
    {"reserved bits", MQTT_V5, "8207 0001 00 0001 23 40", MQTT_MALFORMED},
    {"retain handling 3", MQTT_V5, "8207 0001 00 0001 23 30", MQTT_PROTOCOL_ERROR},
    {"options missing", MQTT_V311, "8205 0001 0001 23", MQTT_MALFORMED},
    {"empty filter", MQTT_V311, "8205 0001 0000 00", MQTT_BAD_FILTER},
    {"wildcard inside", MQTT_V311, "8207 0001 0002 6123 00", MQTT_BAD_FILTER},
    {"filter not UTF-8", MQTT_V311, "8206 0001 0001 FF 00", MQTT_MALFORMED},
    {"bad filter", MQTT_V311, "A206 0001 0002 232F", MQTT_BAD_FILTER},
    {"share without filter", MQTT_V5, "820F 0001 00 0009 2473686172652F672F 00", MQTT_BAD_FILTER},
    {"share without name", MQTT_V5, "820F 0001 00 0009 2473686172652F2F61 00", MQTT_BAD_FILTER},
    {"share not for itself", MQTT_V5, "8210 0001 00 000A 2473686172652F672F61 04",
     MQTT_PROTOCOL_ERROR},
    {"subscription id twice", MQTT_V5, "820B 0001 04 0B 01 0B 01 0001 23 00", MQTT_PROTOCOL_ERROR},
    {"SUBACK without answers", MQTT_V311, "9002 0001", MQTT_PROTOCOL_ERROR},
    {"SUBACK answer", MQTT_V311, "9003 0001 03", MQTT_PROTOCOL_ERROR},
    {"SUBACK answer", MQTT_V5, "9004 0001 00 81", MQTT_PROTOCOL_ERROR},
    {"UNSUBACK with a body", MQTT_V311, "B003 0001 00", MQTT_MALFORMED},
    {"UNSUBACK answer", MQTT_V5, "B004 0001 00 01", MQTT_PROTOCOL_ERROR},
    /* DISCONNECT and AUTH */
    {"DISCONNECT with a body", MQTT_V311, "E001 00", MQTT_MALFORMED},
    {"DISCONNECT reason", MQTT_V5, "E001 01", MQTT_PROTOCOL_ERROR},
    {"DISCONNECT property cut off", MQTT_V5, "E006 00 04 11 000000", MQTT_MALFORMED},
    {"DISCONNECT property", MQTT_V5, "E005 00 03 21 0001", MQTT_PROTOCOL_ERROR},
    {"AUTH reason", MQTT_V5, "F001 80", MQTT_PROTOCOL_ERROR},
    {"AUTH without method", MQTT_V5, "F002 18 00", MQTT_PROTOCOL_ERROR},
};

TEST(the_table_is_refused_with_its_reasons)
{
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        uint8_t bytes[256];
        size_t len = bytes_of(bad[i].hex, bytes, sizeof(bytes));
        struct mqtt_fault fault = {0, NULL, MQTT_SUCCESS};
        char *guarded = kit_guard_page(bytes, len);
        NOTE("%s (%s)", bad[i].what, bad[i].hex);
        CHECK(bytes[1] > 127 || bytes[1] + 2u == len); /* the row itself is well measured */
        CHECK_ERR(mqtt_decode((struct str){guarded, len}, bad[i].version, &packet, &fault),
                  ERR_INPUT);
        NOTE("%s (%s): %s at %zu", bad[i].what, bad[i].hex, fault.why, fault.at_byte);
        CHECK_EQ(fault.reason, bad[i].reason);
        CHECK(fault.why != NULL && fault.at_byte <= len);
        CHECK_ERR(mqtt_decode((struct str){guarded, len}, bad[i].version, &packet, NULL),
                  ERR_INPUT);
        kit_free_guard(guarded);
    }
}

/* A refusal can be said in the client's own dialect. */
TEST(a_bad_connect_says_its_version)
{
    static const struct {
        const char *hex;
        int version;
    } rows[] = {
        {"100C 0004 4D515454 04 03 0000 0000", MQTT_V311},
        {"100C 0004 4D515454 05 03 0000 0000", MQTT_V5},
        {"100C 0004 4D515454 06 02 0000 0000", MQTT_V5},
        {"100C 0004 4D515454 03 02 0000 0000", MQTT_V311},
        {"100E 0006 4D5149736470 03 02 0000 0000", MQTT_V311},
        {"100C 0004 48545450 04 02 0000 0000", 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        uint8_t bytes[64];
        size_t len = bytes_of(rows[i].hex, bytes, sizeof(bytes));
        memset(&packet, 0xAA, sizeof(packet));
        CHECK_ERR(mqtt_decode((struct str){(const char *)bytes, len}, MQTT_V311, &packet, NULL),
                  ERR_INPUT);
        CHECK_EQ(packet.type, MQTT_CONNECT);
        CHECK_EQ(packet.connect.version, rows[i].version);
    }
}

TEST(oversize)
{
    static const uint8_t head[] = {0x30, 0x80, 0x01}; /* 128 bytes follow */
    struct mqtt_fault fault;
    size_t whole;
    struct str bytes = {(const char *)head, sizeof(head)};
    CHECK_ERR(mqtt_frame(bytes, 131, &whole, &fault), ERR_AGAIN);
    CHECK_EQ(whole, 131);
    CHECK_ERR(mqtt_frame(bytes, 130, &whole, &fault), ERR_FULL);
    CHECK_EQ(fault.reason, MQTT_PACKET_TOO_LARGE);
    static const uint8_t huge[] = {0x30, 0xFF, 0xFF, 0xFF, 0x7F};
    bytes = (struct str){(const char *)huge, sizeof(huge)};
    CHECK_ERR(mqtt_frame(bytes, MQTT_PACKET_BYTES_MAX, &whole, &fault), ERR_FULL);
    bytes.len = 4; /* not known before the last byte of the length */
    CHECK_ERR(mqtt_frame(bytes, MQTT_PACKET_BYTES_MAX, &whole, &fault), ERR_AGAIN);
}

/* Small clients write the length in a fixed size; 3.1.1 does not forbid it. */
TEST(a_padded_length_is_tolerated_in_311)
{
    CHECK_OK(mqtt_decode(STR("\xC0\x80\x00"), MQTT_V311, &packet, NULL));
    CHECK_OK(mqtt_decode(STR("\x30\x83\x80\x80\x00\x00\x01t"), MQTT_V311, &packet, NULL));
    CHECK_SLICE(packet.publish.topic, "t");
}

TEST(too_many)
{
    uint8_t bytes[1024] = {0x82, 0, 0, 0, 1};
    size_t len = 5;
    for (size_t i = 0; i <= MQTT_FILTERS_MAX; i++) {
        memcpy(bytes + len, "\x00\x01\x23\x00", 4);
        len += 4;
        bytes[1] = (uint8_t)((len - 3) | 0x80);
        bytes[2] = (uint8_t)((len - 3) >> 7);
        struct mqtt_fault fault;
        enum err err =
            mqtt_decode((struct str){(const char *)bytes, len}, MQTT_V311, &packet, &fault);
        CHECK_ERR(err, i < MQTT_FILTERS_MAX ? ERR_OK : ERR_INPUT);
        if (err != ERR_OK)
            CHECK_EQ(fault.reason, MQTT_QUOTA_EXCEEDED);
    }
    for (size_t count = 15; count <= 17; count++) {
        size_t props = count * 5;
        uint8_t publish[256] = {0x30, (uint8_t)(4 + props), 0, 1, 't', (uint8_t)props};
        for (size_t i = 0; i < count; i++)
            publish[6 + i * 5] = 0x26;
        CHECK_ERR(
            mqtt_decode((struct str){(const char *)publish, 6 + props}, MQTT_V5, &packet, NULL),
            count <= MQTT_USER_PROPERTIES_MAX ? ERR_OK : ERR_INPUT);
    }
    uint8_t connect[256] = {0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0};
    for (size_t id_len = MQTT_CLIENT_ID_MAX; id_len <= MQTT_CLIENT_ID_MAX + 1; id_len++) {
        size_t body = 12 + id_len;
        uint8_t wide[256];
        wide[0] = 0x10;
        wide[1] = (uint8_t)(body | 0x80);
        wide[2] = (uint8_t)(body >> 7);
        memcpy(wide + 3, connect + 2, 10);
        wide[13] = 0;
        wide[14] = (uint8_t)id_len;
        memset(wide + 15, 'c', id_len);
        struct mqtt_fault fault;
        enum err err =
            mqtt_decode((struct str){(const char *)wide, 3 + body}, MQTT_V311, &packet, &fault);
        CHECK_ERR(err, id_len <= MQTT_CLIENT_ID_MAX ? ERR_OK : ERR_INPUT);
        if (err != ERR_OK)
            CHECK_EQ(fault.reason, MQTT_BAD_CLIENT_ID);
    }
}

TEST(not_one_packet)
{
    CHECK_ERR(mqtt_decode(STR_NONE, MQTT_V311, &packet, NULL), ERR_INPUT);
    CHECK_ERR(mqtt_decode(STR("\xC0"), MQTT_V311, &packet, NULL), ERR_INPUT);
    CHECK_ERR(mqtt_decode(STR("\xC0\x00\xC0\x00"), MQTT_V311, &packet, NULL), ERR_INPUT);
    struct mqtt_publish publish;
    CHECK_ERR(mqtt_decode_publish(STR("\xC0\x00"), MQTT_V311, &publish, NULL), ERR_INPUT);
}
