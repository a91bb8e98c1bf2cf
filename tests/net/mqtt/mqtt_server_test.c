/* The server's end over real sockets: order, refusals, acknowledgements, the end. */
#include "mqtt_dialogue.h"

static struct house house;
static struct caller caller;

TEST(a_whole_visit)
{
    house_open(&house, NULL);
    caller_open(&house, &caller);
    caller_say(&house, &caller, "100D 0004 4D515454 04 02 003C 0001 61");
    caller_hear(&house, &caller, CONNACK_311);
    CHECK_EQ(house.keep_alive_s, 60);
    CHECK_STR(mqtt_conn_peer(house.conn), "127.0.0.1");
    CHECK_EQ(mqtt_conn_version(house.conn), MQTT_V311);
    CHECK(!mqtt_conn_tls(house.conn));
    caller_say(&house, &caller, "8206 0001 0001 23 01");
    caller_hear(&house, &caller, "9003 0001 01");
    caller_say(&house, &caller, "3007 0003 612F62 6869");
    caller_say(&house, &caller, "3209 0003 612F62 000A 6869");
    caller_hear(&house, &caller, "4002 000A");
    caller_say(&house, &caller, "3407 0003 612F62 000B");
    caller_hear(&house, &caller, "5002 000B");
    caller_say(&house, &caller, "6202 000B");
    caller_hear(&house, &caller, "7002 000B");
    caller_say(&house, &caller, "A205 0002 0001 23");
    caller_hear(&house, &caller, "B002 0002");
    caller_say(&house, &caller, "C000");
    caller_hear(&house, &caller, "D000");
    CHECK_STR(house.seen, "a/b=hi;a/b=hi;a/b=;");
    caller_say(&house, &caller, "E000");
    caller_hear_end(&house, &caller);
    UNTIL(&house, NULL, house.gone == 1);
    CHECK_EQ(house.disconnects, 1);
    CHECK_EQ(house.gone_reason, MQTT_SUCCESS);
    struct mqtt_server_stats stats;
    mqtt_server_stats(house.server, &stats);
    CHECK_EQ(stats.connections, 0);
    CHECK_EQ(stats.connections_max_seen, 1);
    CHECK_EQ(stats.packets_in[MQTT_PUBLISH], 3);
    CHECK_EQ(stats.packets_out[MQTT_PUBACK], 1);
    CHECK_EQ(stats.packets_out[MQTT_CONNACK], 1);
    CHECK_EQ(stats.packets_out[MQTT_PINGRESP], 1);
    CHECK_EQ(stats.malformed, 0);
    CHECK_EQ(stats.bytes_out, 4 + 5 + 4 + 4 + 4 + 4 + 2);
    caller_close(&caller);
    house_close(&house);
}

/* All of a visit in one piece, and then byte by byte: the same is seen. */
TEST(pieces_do_not_matter)
{
    static const char visit[] = CONNECT_311 "3209 0003 612F62 000A 6869 3005 0001 63 6464 C000";
    uint8_t bytes[256];
    size_t len = bytes_of(visit, bytes, sizeof(bytes));
    for (size_t step = 1; step <= len; step++) {
        house_open(&house, NULL);
        caller_open(&house, &caller);
        for (size_t at = 0; at < len; at += step) {
            caller_say_bytes(&house, &caller, bytes + at, len - at < step ? len - at : step);
            loop_turn(house.loop);
        }
        NOTE("step %zu", step);
        caller_hear(&house, &caller, CONNACK_311 "4002 000A D000");
        CHECK_STR(house.seen, "a/b=hi;c=dd;");
        caller_close(&caller);
        UNTIL(&house, NULL, house.gone == 1);
        house_close(&house);
    }
}

/* What a client sends behind its CONNECT waits for the answer. */
TEST(an_answer_may_come_later)
{
    house_open(&house, NULL);
    house.later = true;
    caller_open(&house, &caller);
    caller_say(&house, &caller, CONNECT_311 "3007 0003 612F62 6869 E000");
    UNTIL(&house, &caller, house.connects == 1);
    for (int i = 0; i < 5; i++)
        loop_turn(house.loop);
    CHECK_EQ(house.publishes, 0);
    mqtt_conn_accept(house.conn, true, 0, NULL);
    mqtt_conn_accept(house.conn, true, 0, NULL); /* only once */
    CHECK_EQ(house.publishes, 0);                /* never inside the call */
    caller_hear(&house, &caller, "2002 01 00");
    caller_hear_end(&house, &caller);
    UNTIL(&house, NULL, house.gone == 1);
    CHECK_EQ(house.publishes, 1);
    CHECK_EQ(house.disconnects, 1);
    caller_close(&caller);
    house_close(&house);
}

TEST(the_first_packet_is_connect)
{
    static const char *const others[] = {"C000",      "3003 0001 61", "E000",
                                         "2002 0000", "F000",         "00",
                                         "16030100",  "474554202F",   "8206 0001 0001 23 00"};
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        house_open(&house, NULL);
        caller_open(&house, &caller);
        caller_say(&house, &caller, others[i]);
        NOTE("%s", others[i]);
        caller_hear_end(&house, &caller);
        UNTIL(&house, NULL, house.gone == 1);
        CHECK_EQ(house.gone_reason, MQTT_PROTOCOL_ERROR);
        CHECK_EQ(house.connects + house.publishes, 0);
        caller_close(&caller);
        house_close(&house);
    }
}

TEST(refusals_of_connect)
{
    static const struct {
        const char *say, *hear;
    } rows[] = {
        {"100C 0004 4D515454 03 02 0000 0000", "2002 00 01"},
        {"100E 0006 4D5149736470 03 02 0000 0000", "2002 00 01"},
        {"100C 0004 4D515454 07 02 0000 0000", "2003 00 84 00"},
        {"100C 0004 4D515454 04 00 0000 0000", "2002 00 02"},
        {"100C 0004 4D515454 04 03 0000 0000", ""}, /* 3.1.1 has no code for it */
        {"100D 0004 4D515454 05 03 0000 00 0000", "2003 00 81 00"},
        {"100C 0004 48545450 04 02 0000 0000", ""},
        {"1011 0004 4D515454 05 02 0000 04 15 0001 6D 0000", "2003 00 8C 00"},
        {"10FFFF7F", ""}, /* far too long */
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        house_open(&house, NULL);
        caller_open(&house, &caller);
        caller_say(&house, &caller, rows[i].say);
        caller_hear(&house, &caller, rows[i].hear);
        caller_hear_end(&house, &caller);
        UNTIL(&house, NULL, house.gone == 1);
        CHECK_EQ(house.connects, 0);
        struct mqtt_server_stats stats;
        mqtt_server_stats(house.server, &stats);
        CHECK_EQ(stats.malformed, 1);
        caller_close(&caller);
        house_close(&house);
    }
}

TEST(the_user_refuses)
{
    static const struct {
        enum mqtt_version version;
        enum mqtt_reason reason;
        const char *hear;
    } rows[] = {
        {MQTT_V311, MQTT_BAD_CREDENTIALS, "2002 00 04"},
        {MQTT_V311, MQTT_NOT_AUTHORIZED, "2002 00 05"},
        {MQTT_V311, MQTT_SERVER_BUSY, "2002 00 03"},
        {MQTT_V5, MQTT_BANNED, "2003 00 8A 00"},
        {MQTT_V5, MQTT_SERVER_SHUTTING_DOWN, "2003 00 88 00"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        house_open(&house, NULL);
        house.refuse = rows[i].reason;
        caller_open(&house, &caller);
        caller_say(&house, &caller, rows[i].version == MQTT_V5 ? CONNECT_5 : CONNECT_311);
        caller_say(&house, &caller, "3003 0001 61"); /* too early */
        caller_hear(&house, &caller, rows[i].hear);
        caller_hear_end(&house, &caller);
        UNTIL(&house, NULL, house.gone == 1);
        CHECK_EQ(house.gone_reason, rows[i].reason);
        CHECK_EQ(house.publishes, 0);
        caller_close(&caller);
        house_close(&house);
    }
}

/* ---- breaches after CONNECT: a 5.0 client is told which ---- */

TEST(breaches)
{
    static const struct {
        const char *say;
        enum mqtt_reason reason;
    } rows[] = {
        {CONNECT_5, MQTT_PROTOCOL_ERROR}, /* twice */
        {"2003 00 00 00", MQTT_PROTOCOL_ERROR},
        {"9004 0001 00 00", MQTT_PROTOCOL_ERROR},
        {"D000", MQTT_PROTOCOL_ERROR},
        {"F000", MQTT_PROTOCOL_ERROR},
        {"0000", MQTT_MALFORMED},
        {"3004 0001 2B 00", MQTT_BAD_TOPIC},
        {"3604 0001 61 00", MQTT_MALFORMED},
        {"8203 0001 00", MQTT_PROTOCOL_ERROR},
        {"3006 0001 61 02 0B 01", MQTT_PROTOCOL_ERROR},    /* a server's property */
        {"3006 0000 03 23 0001", MQTT_BAD_TOPIC_ALIAS},    /* never learnt */
        {"3007 0001 61 03 23 0011", MQTT_BAD_TOPIC_ALIAS}, /* over the sixteen allowed */
        {"30FFFF7F", MQTT_PACKET_TOO_LARGE},
        {"E007 00 05 11 00000001", MQTT_PROTOCOL_ERROR}, /* no session to keep */
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char hear[16];
        house_open(&house, NULL);
        caller_enter(&house, &caller, MQTT_V5);
        caller_say(&house, &caller, rows[i].say);
        caller_say(&house, &caller, "3004 0001 61 00"); /* comes too late */
        snprintf(hear, sizeof(hear), "E001%02X", (unsigned)rows[i].reason);
        caller_hear(&house, &caller, hear);
        caller_hear_end(&house, &caller);
        UNTIL(&house, NULL, house.gone == 1);
        CHECK_EQ(house.gone_reason, rows[i].reason);
        CHECK_EQ(house.publishes, 0);
        CHECK_EQ(house.disconnects, 0);
        caller_close(&caller);
        house_close(&house);
    }
    house_open(&house, NULL); /* a 3.1.1 client is not */
    caller_enter(&house, &caller, MQTT_V311);
    caller_say(&house, &caller, CONNECT_311);
    caller_hear_end(&house, &caller);
    UNTIL(&house, NULL, house.gone == 1);
    caller_close(&caller);
    house_close(&house);
}

TEST(topic_aliases)
{
    house_open(&house, NULL);
    caller_enter(&house, &caller, MQTT_V5);
    caller_say(&house, &caller, "3009 0001 61 03 23 0001 31 00"); /* one byte too many is payload */
    caller_say(&house, &caller, "3008 0001 62 03 23 0010 32");
    caller_say(&house, &caller, "3007 0000 03 23 0001 33");
    caller_say(&house, &caller, "3007 0000 03 23 0010 34");
    caller_say(&house, &caller, "300A 0003 632F64 03 23 0001 35"); /* learnt anew */
    caller_say(&house, &caller, "3007 0000 03 23 0001 36");
    UNTIL(&house, &caller, house.publishes == 6);
    CHECK_STR(house.seen, "a=1;b=2;a=3;b=4;c/d=5;c/d=6;");
    caller_close(&caller);
    house_close(&house);
}

TEST(receive_maximum)
{
    house_open(&house, NULL);
    house.receive_max = 2;
    caller_open(&house, &caller);
    caller_say(&house, &caller, CONNECT_5);
    caller_hear(&house, &caller, "200E 00 00 0B 21 0002 22 0010 27 00040000");
    for (int i = 0; i < 4; i++) { /* acknowledged ones do not count */
        caller_say(&house, &caller, "3206 0001 61 0001 00");
        caller_hear(&house, &caller, "4002 0001");
    }
    caller_say(&house, &caller, "3406 0001 61 0002 00"); /* PUBREC leaves its place taken */
    caller_hear(&house, &caller, "5002 0002");
    house.silent = true;
    caller_say(&house, &caller, "3206 0001 61 0003 00");
    UNTIL(&house, &caller, house.publishes == 6);
    caller_say(&house, &caller, "6202 0002");
    caller_hear(&house, &caller, "7002 0002");
    caller_say(&house, &caller, "3206 0001 61 0004 00");
    UNTIL(&house, &caller, house.publishes == 7);
    caller_say(&house, &caller, "3206 0001 61 0005 00");
    caller_hear(&house, &caller, "E001 93");
    caller_hear_end(&house, &caller);
    UNTIL(&house, NULL, house.gone == 1);
    CHECK_EQ(house.publishes, 7);
    caller_close(&caller);
    house_close(&house);
}

TEST(acknowledgements_carry_reasons)
{
    house_open(&house, NULL);
    caller_enter(&house, &caller, MQTT_V5);
    CHECK_OK(mqtt_conn_ack(house.conn, MQTT_PUBACK, 7, MQTT_NOT_AUTHORIZED));
    CHECK_OK(mqtt_conn_ack(house.conn, MQTT_PUBREL, 8, MQTT_SUCCESS));
    caller_hear(&house, &caller, "4003 0007 87 6202 0008");
    caller_say(&house, &caller, "4003 0009 97");
    UNTIL(&house, &caller, house.acks == 1);
    CHECK_EQ(house.ack.type, MQTT_PUBACK);
    CHECK_EQ(house.ack.packet_id, 9);
    CHECK_EQ(house.ack.reason, MQTT_QUOTA_EXCEEDED);
    caller_close(&caller);
    UNTIL(&house, NULL, house.gone == 1);
    caller_enter(&house, &caller, MQTT_V311);
    CHECK_OK(mqtt_conn_ack(house.conn, MQTT_PUBACK, 7, MQTT_NOT_AUTHORIZED));
    caller_hear(&house, &caller, "4002 0007");
    caller_close(&caller);
    house_close(&house);
}

/* A client's own maximum packet size holds for what the server sends. */
TEST(maximum_packet_of_the_client)
{
    house_open(&house, NULL);
    caller_open(&house, &caller);
    caller_say(&house, &caller, "1013 0004 4D515454 05 02 0000 05 27 00000014 0001 61");
    caller_hear(&house, &caller, CONNACK_5);
    struct mqtt_packet packet = {.type = MQTT_PUBLISH};
    packet.publish = (struct mqtt_publish){.topic = STR("t"), .payload = STR("0123456789abcde")};
    CHECK_ERR(mqtt_conn_send(house.conn, &packet), ERR_REFUSED); /* 21 bytes */
    packet.publish.payload.len--;
    CHECK_OK(mqtt_conn_send(house.conn, &packet));
    caller_hear(&house, &caller, "3012 0001 74 00 3031323334353637383961626364");
    packet.type = (enum mqtt_type)0;
    CHECK_ERR(mqtt_conn_send(house.conn, &packet), ERR_REFUSED);
    caller_close(&caller);
    house_close(&house);
}

/* ---- pausing ---- */

TEST(a_paused_connection_is_not_read)
{
    house_open(&house, NULL);
    caller_enter(&house, &caller, MQTT_V311);
    house.pause = true;
    caller_say(&house, &caller, "3004 0001 61 31 3004 0001 61 32 3004 0001 61 33 30");
    UNTIL(&house, &caller, house.publishes == 1);
    for (int i = 0; i < 5; i++)
        loop_turn(house.loop);
    CHECK_EQ(house.publishes, 1);
    mqtt_conn_pause(house.conn, false);
    CHECK_EQ(house.publishes, 1);
    UNTIL(&house, &caller, house.publishes == 2);
    caller_say(&house, &caller, "04 0001 61 34");
    house.pause = false;
    mqtt_conn_pause(house.conn, false);
    UNTIL(&house, &caller, house.publishes == 4);
    CHECK_STR(house.seen, "a=1;a=2;a=3;a=4;");
    caller_close(&caller);
    house_close(&house);
}

/* ---- the end ---- */

TEST(a_lost_client_is_not_a_good_end)
{
    house_open(&house, NULL);
    caller_enter(&house, &caller, MQTT_V5);
    caller_close(&caller);
    UNTIL(&house, NULL, house.gone == 1);
    CHECK_EQ(house.disconnects, 0);
    CHECK_EQ(house.gone_reason, MQTT_UNSPECIFIED);
    caller_open(&house, &caller); /* also one that never said anything is told */
    caller_close(&caller);
    UNTIL(&house, NULL, house.gone == 2);
    house_close(&house);
}

TEST(with_will_is_told)
{
    house_open(&house, NULL);
    caller_enter(&house, &caller, MQTT_V5);
    caller_say(&house, &caller, "E001 04");
    caller_hear_end(&house, &caller);
    UNTIL(&house, NULL, house.gone == 1);
    CHECK_EQ(house.disconnect_reason, MQTT_DISCONNECT_WITH_WILL);
    caller_close(&caller);
    house_close(&house);
}

TEST(close_tells_a_5_client_and_only_once)
{
    house_open(&house, NULL);
    caller_enter(&house, &caller, MQTT_V5);
    struct mqtt_conn *conn = house.conn;
    CHECK_OK(mqtt_conn_ack(conn, MQTT_PUBACK, 7, MQTT_SUCCESS));
    mqtt_conn_close(conn, MQTT_SESSION_TAKEN_OVER);
    CHECK_EQ(house.gone, 0); /* never inside the call */
    mqtt_conn_close(conn, MQTT_ADMINISTRATIVE);
    CHECK_ERR(mqtt_conn_ack(conn, MQTT_PUBACK, 8, MQTT_SUCCESS), ERR_CLOSED);
    caller_hear(&house, &caller, "4002 0007 E001 8E");
    caller_hear_end(&house, &caller);
    CHECK_EQ(house.gone, 1);
    CHECK_EQ(house.gone_reason, MQTT_SESSION_TAKEN_OVER);
    caller_close(&caller);
    house_close(&house);
}

static void close_self(struct house *h, struct mqtt_conn *conn)
{
    (void)h;
    mqtt_conn_close(conn, MQTT_ADMINISTRATIVE);
}

TEST(a_callback_may_close_its_own_connection)
{
    house_open(&house, NULL);
    caller_enter(&house, &caller, MQTT_V5);
    house.at_publish = close_self;
    caller_say(&house, &caller, "3004 0001 61 00 3004 0001 61 00");
    caller_hear(&house, &caller, "E001 98");
    caller_hear_end(&house, &caller);
    CHECK_EQ(house.publishes, 1);
    CHECK(house.batches >= 1);
    caller_close(&caller);
    house_close(&house);
}

static struct mqtt_conn *other;

static void close_other(struct house *h, struct mqtt_conn *conn)
{
    (void)h;
    (void)conn;
    mqtt_conn_close(other, MQTT_ADMINISTRATIVE);
}

TEST(a_callback_may_close_another_connection)
{
    static struct caller second;
    house_open(&house, NULL);
    caller_enter(&house, &second, MQTT_V5);
    other = house.conn;
    caller_enter(&house, &caller, MQTT_V5);
    house.at_publish = close_other;
    /* Both have something to say in the same turn. */
    caller_say(&house, &caller, "3004 0001 61 00 C000");
    caller_say(&house, &second, "C000");
    caller_hear(&house, &caller, "D000");
    caller_read(&second);
    UNTIL(&house, &second, house.gone == 1);
    CHECK_EQ(house.publishes, 1);
    caller_close(&second);
    caller_close(&caller);
    house_close(&house);
}

static void destroy_all(struct house *h, struct mqtt_conn *conn)
{
    (void)conn;
    mqtt_server_destroy(h->server);
    h->server = NULL;
}

TEST(a_callback_may_destroy_the_server)
{
    house_open(&house, NULL);
    caller_enter(&house, &caller, MQTT_V311);
    house.at_publish = destroy_all;
    caller_say(&house, &caller, "3003 0001 61 3003 0001 61");
    UNTIL(&house, &caller, house.gone == 1);
    CHECK_EQ(house.publishes, 1);
    caller_close(&caller);
    house_close(&house);
}

TEST(stop)
{
    static struct caller callers[4];
    house_open(&house, NULL);
    caller_open(&house, &callers[0]); /* says nothing */
    caller_enter(&house, &callers[1], MQTT_V311);
    caller_enter(&house, &callers[2], MQTT_V5);
    house.later = true;
    caller_open(&house, &callers[3]);
    caller_say(&house, &callers[3], CONNECT_5);
    UNTIL(&house, NULL, house.connects == 3);
    mqtt_server_stop(house.server, house_stop_done, &house);
    CHECK_EQ(house.gone, 0);
    CHECK(!house.stopped);
    caller_hear(&house, &callers[2], "E001 8B");
    caller_hear(&house, &callers[3], "2003 00 88 00");
    for (size_t i = 0; i < ARRAY_COUNT(callers); i++) {
        caller_hear_end(&house, &callers[i]);
        caller_close(&callers[i]);
    }
    UNTIL(&house, NULL, house.stopped);
    CHECK_EQ(house.gone, 4);
    CHECK_EQ(house.gone_reason, MQTT_SERVER_SHUTTING_DOWN);
    house_close(&house);
    CHECK_EQ(house.gone, 4);
}

TEST(stop_with_nobody)
{
    house_open(&house, NULL);
    mqtt_server_stop(house.server, house_stop_done, &house);
    CHECK(!house.stopped);
    UNTIL(&house, NULL, house.stopped);
    uint16_t port;
    CHECK_ERR(mqtt_server_listen(house.server, "127.0.0.1:0", NULL, NULL, &port), ERR_CLOSED);
    house_close(&house);
}

TEST(destroy_drops_everybody)
{
    house_open(&house, NULL);
    caller_enter(&house, &caller, MQTT_V5);
    mqtt_server_destroy(house.server);
    house.server = NULL;
    CHECK_EQ(house.gone, 1);
    house_close(&house);
    CHECK_EQ(house.gone, 1);
    caller_close(&caller);
    mqtt_server_destroy(NULL);
}

TEST(addresses)
{
    uint16_t port, again;
    house_open(&house, NULL);
    CHECK_ERR(mqtt_server_listen(house.server, "nonsense", NULL, NULL, &port), ERR_INPUT);
    CHECK_ERR(mqtt_server_listen(house.server, "127.0.0.1", NULL, NULL, &port), ERR_INPUT);
    CHECK_ERR(mqtt_server_listen(house.server, "127.0.0.1:65536", NULL, NULL, &port), ERR_INPUT);
    CHECK_ERR(mqtt_server_listen(house.server, "host.example:1", NULL, NULL, &port), ERR_INPUT);
    CHECK_OK(mqtt_server_listen(house.server, "localhost:0", NULL, NULL, &port));
    CHECK(port != house.port);
    char taken[32];
    snprintf(taken, sizeof(taken), "127.0.0.1:%u", port);
    CHECK_ERR(mqtt_server_listen(house.server, taken, NULL, NULL, &again), ERR_CONFLICT);
    house.port = port; /* both are served */
    caller_enter(&house, &caller, MQTT_V311);
    caller_close(&caller);
    house_close(&house);
}
