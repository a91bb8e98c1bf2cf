/* Time, room and number: everything that is bounded. */
#include "mqtt_dialogue.h"

static struct house house;
static struct caller caller;

static struct mqtt_server_stats stats(void)
{
    struct mqtt_server_stats now;
    mqtt_server_stats(house.server, &now);
    return now;
}

/* ---- time: the waits are on the loop, the checks on what happened, not on how long it took ----
 */

TEST(a_client_that_says_nothing)
{
    house_open(&house, &(struct mqtt_server_options){.connect_timeout_ms = 30});
    caller_open(&house, &caller);
    caller_hear_end(&house, &caller);
    UNTIL(&house, NULL, house.gone == 1);
    CHECK_EQ(house.gone_reason, MQTT_KEEP_ALIVE_TIMEOUT);
    CHECK_EQ(stats().timeouts, 1);
    caller_close(&caller);
    house_close(&house);
}

/* Each byte in time does not help: the whole CONNECT counts. */
TEST(a_connect_that_trickles)
{
    house_open(&house, &(struct mqtt_server_options){.connect_timeout_ms = 40});
    caller_open(&house, &caller);
    caller_say(&house, &caller, "10FF7F 0004 4D515454 04 02 0000");
    while (house.gone == 0) {
        caller_say(&house, &caller, "00");
        house_turn(&house, &caller);
    }
    CHECK_EQ(house.connects, 0);
    CHECK_EQ(stats().timeouts, 1);
    caller_close(&caller);
    house_close(&house);
}

TEST(keep_alive)
{
    house_open(&house, &(struct mqtt_server_options){.connect_timeout_ms = 50});
    caller_open(&house, &caller);
    caller_say(&house, &caller, "100E 0004 4D515454 05 02 0001 00 0001 61");
    caller_hear(&house, &caller, CONNACK_5);
    int64_t begin_ms = loop_now_ms(house.loop), last_ms = begin_ms;
    while (loop_now_ms(house.loop) < begin_ms + 1600) { /* it lives as long as it speaks */
        if (loop_now_ms(house.loop) > last_ms + 700) {
            last_ms = loop_now_ms(house.loop);
            caller_say(&house, &caller, "C000");
            caller_hear(&house, &caller, "D000");
        }
        house_turn(&house, &caller);
        CHECK_EQ(house.gone, 0);
    }
    caller_hear(&house, &caller, "E001 8D");
    CHECK(loop_now_ms(house.loop) >= last_ms + 1500); /* never too early */
    caller_hear_end(&house, &caller);
    UNTIL(&house, NULL, house.gone == 1);
    CHECK_EQ(house.gone_reason, MQTT_KEEP_ALIVE_TIMEOUT);
    caller_close(&caller);
    house_close(&house);
}

/* Whom we do not listen to is not blamed for its silence. */
TEST(keep_alive_waits_while_we_pause)
{
    house_open(&house, &(struct mqtt_server_options){.connect_timeout_ms = 50});
    caller_open(&house, &caller);
    caller_say(&house, &caller, "100D 0004 4D515454 04 02 0001 0001 61");
    caller_hear(&house, &caller, CONNACK_311);
    mqtt_conn_pause(house.conn, true);
    caller_say(&house, &caller, "C000");
    int64_t begin_ms = loop_now_ms(house.loop);
    UNTIL(&house, NULL, loop_now_ms(house.loop) > begin_ms + 1700);
    CHECK_EQ(house.gone, 0);
    mqtt_conn_pause(house.conn, false);
    caller_hear(&house, &caller, "D000");
    caller_close(&caller);
    house_close(&house);
}

TEST(a_packet_that_does_not_end)
{
    house_open(&house, &(struct mqtt_server_options){.packet_timeout_ms = 40});
    caller_enter(&house, &caller, MQTT_V5);
    caller_say(&house, &caller, "3003 0001"); /* and no keep-alive */
    caller_hear(&house, &caller, "E001 8D");
    UNTIL(&house, NULL, house.gone == 1);
    caller_close(&caller);
    house_close(&house);
}

/* ---- slow readers ---- */

static enum err send_large(size_t bytes)
{
    static char payload[64 * 1024];
    struct mqtt_packet packet = {.type = MQTT_PUBLISH};
    packet.publish =
        (struct mqtt_publish){.topic = STR("t"), .payload = (struct str){payload, bytes}};
    return mqtt_conn_send(house.conn, &packet);
}

/* More than any socket buffer, until the bound is reached. */
static unsigned fill(void)
{
    unsigned taken = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK) {
        err = send_large(50000);
        if (err == ERR_OK)
            taken++;
        loop_turn(house.loop);
        CHECK(taken < 2000);
    }
    CHECK_ERR(err, ERR_FULL);
    return taken;
}

TEST(a_slow_reader_is_bounded_and_then_goes_on)
{
    house_open(&house, &(struct mqtt_server_options){.queued_bytes_max = 200000});
    caller_enter(&house, &caller, MQTT_V311);
    unsigned taken = fill();
    CHECK(mqtt_conn_queued(house.conn) <= 200000);
    CHECK(mqtt_conn_queued(house.conn) > 150000);
    CHECK_EQ(house.rooms, 0);
    size_t got = 0, want = (size_t)taken * (1 + 3 + 3 + 50000);
    while (got < want) {
        caller_read(&caller);
        CHECK(!caller.eof);
        got += caller.len;
        caller.len = 0;
        house_turn(&house, &caller);
    }
    CHECK_EQ(got, want);
    UNTIL(&house, NULL, house.rooms == 1);
    CHECK_EQ(mqtt_conn_queued(house.conn), 0);
    CHECK_OK(send_large(10));
    caller_close(&caller);
    house_close(&house);
}

TEST(a_reader_that_takes_nothing_is_dropped)
{
    house_open(&house,
               &(struct mqtt_server_options){.queued_bytes_max = 200000, .write_timeout_ms = 50});
    caller_enter(&house, &caller, MQTT_V5);
    fill();
    UNTIL(&house, NULL, house.gone == 1);
    CHECK_EQ(house.gone_reason, MQTT_QUOTA_EXCEEDED);
    CHECK_EQ(stats().timeouts, 1);
    caller_close(&caller);
    house_close(&house);
}

/* Who does not read its answers gets no more questions in. */
TEST(a_peer_that_only_writes)
{
    house_open(&house,
               &(struct mqtt_server_options){.queued_bytes_max = 100000, .write_timeout_ms = 50});
    caller_enter(&house, &caller, MQTT_V311);
    uint8_t pings[4096];
    for (size_t i = 0; i < sizeof(pings); i++)
        pings[i] = i % 2 == 0 ? 0xC0 : 0x00;
    int small = 4096; /* of the answers' way */
    setsockopt(caller.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    while (house.gone == 0) {
        for (int i = 0; i < 64; i++)
            (void)!send(caller.fd, pings, sizeof(pings), MSG_NOSIGNAL | MSG_DONTWAIT);
        house_turn(&house, NULL);
        if (house.conn != NULL)
            CHECK(mqtt_conn_queued(house.conn) <= 100000);
    }
    CHECK_EQ(house.gone_reason, MQTT_QUOTA_EXCEEDED);
    CHECK_EQ(stats().timeouts, 1);
    caller_close(&caller);
    house_close(&house);
}

/* The last words of a server that closes do not wait for ever either. */
TEST(closing_a_peer_that_takes_nothing)
{
    house_open(&house,
               &(struct mqtt_server_options){.queued_bytes_max = 200000, .write_timeout_ms = 50});
    caller_enter(&house, &caller, MQTT_V5);
    fill();
    mqtt_conn_close(house.conn, MQTT_QUOTA_EXCEEDED);
    UNTIL(&house, NULL, house.gone == 1); /* at once */
    CHECK_EQ(stats().connections, 1);
    UNTIL(&house, NULL, stats().connections == 0);
    caller_close(&caller);
    house_close(&house);
}

TEST(stop_does_not_wait_for_a_peer_that_takes_nothing)
{
    house_open(&house,
               &(struct mqtt_server_options){.queued_bytes_max = 200000, .write_timeout_ms = 50});
    caller_enter(&house, &caller, MQTT_V5);
    fill();
    mqtt_server_stop(house.server, house_stop_done, &house);
    UNTIL(&house, NULL, house.stopped);
    CHECK_EQ(house.gone, 1);
    caller_close(&caller);
    house_close(&house);
}

/* ---- number and size ---- */

TEST(connections_have_a_bound)
{
    static struct caller callers[3];
    house_open(&house, &(struct mqtt_server_options){.connections_max = 2});
    caller_enter(&house, &callers[0], MQTT_V311);
    caller_enter(&house, &callers[1], MQTT_V311);
    caller_open(&house, &callers[2]);
    caller_hear_end(&house, &callers[2]);
    caller_close(&callers[2]);
    CHECK_EQ(stats().refused, 1);
    caller_close(&callers[0]);
    UNTIL(&house, NULL, house.gone == 1);
    caller_enter(&house, &callers[2], MQTT_V311);
    caller_close(&callers[1]);
    caller_close(&callers[2]);
    house_close(&house);
}

TEST(packets_have_a_bound)
{
    house_open(&house, &(struct mqtt_server_options){.packet_bytes_max = 64});
    caller_open(&house, &caller);
    caller_say(&house, &caller, CONNECT_5);
    caller_hear(&house, &caller, "200B 00 00 08 22 0010 27 00000040");
    caller_say(&house, &caller, "303E 0001 61 00");
    uint8_t zeros[58] = {0};
    caller_say_bytes(&house, &caller, zeros, sizeof(zeros));
    UNTIL(&house, &caller, house.publishes == 1);
    caller_say(&house, &caller, "303F"); /* known before the rest comes */
    caller_hear(&house, &caller, "E001 95");
    caller_hear_end(&house, &caller);
    caller_close(&caller);
    house_close(&house);
}

/* A large packet in many reads, and the largest. */
TEST(large_packets)
{
    static uint8_t packet[MQTT_PACKET_BYTES_MAX];
    static const size_t sizes[] = {300, 65535, 65536, 65537, 200000, MQTT_PACKET_BYTES_MAX};
    house_open(&house, NULL);
    caller_enter(&house, &caller, MQTT_V311);
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        size_t size = sizes[i];
        size_t head = size - 3 < 16384 ? 3 : 4;
        size_t body = size - head;
        packet[0] = 0x32;
        for (size_t at = 1; at < head; at++, body >>= 7)
            packet[at] = (uint8_t)((body & 0x7F) | (at + 1 < head ? 0x80 : 0));
        memcpy(packet + head, "\x00\x01t\x00\x05", 5);
        caller_say_bytes(&house, &caller, packet, size);
        caller_hear(&house, &caller, "4002 0005");
        CHECK_EQ(house.publishes, i + 1);
    }
    caller_close(&caller);
    house_close(&house);
}

/* Many small packets of one read are answered in order. */
TEST(a_burst_is_answered_in_order)
{
    static uint8_t burst[8 * 6000];
    house_open(&house, NULL);
    caller_enter(&house, &caller, MQTT_V311);
    for (unsigned i = 0; i < 6000; i++) {
        uint8_t publish[8] = {0x32, 6, 0, 1, 't', (uint8_t)((i + 1) >> 8), (uint8_t)(i + 1), 'x'};
        memcpy(burst + (size_t)i * 8, publish, 8);
    }
    caller_say_bytes(&house, &caller, burst, sizeof(burst));
    caller_read(&caller);
    while (caller.len < 4u * 6000) {
        house_turn(&house, &caller);
        caller_read(&caller);
    }
    for (unsigned i = 0; i < 6000; i++) {
        uint8_t ack[4] = {0x40, 2, (uint8_t)((i + 1) >> 8), (uint8_t)(i + 1)};
        CHECK_BYTES(caller.got + (size_t)i * 4, ack, 4);
    }
    CHECK(house.batches < 6000); /* they were read together */
    caller_close(&caller);
    house_close(&house);
}

/* ---- memory ---- */

/* A visit in which the nth allocation fails: nobody is told twice, nothing leaks, the server lives.
 */
TEST(every_failed_allocation_is_survived)
{
    for (uint32_t nth = 1;; nth++) {
        house_open(&house, NULL);
        mem_fail_at(nth);
        caller_open(&house, &caller);
        caller_say(&house, &caller, CONNECT_5 "3009 0001 61 03 23 0001 3132 32");
        for (int i = 0; i < 3; i++)
            loop_turn(house.loop);
        caller_say(&house, &caller, "09 0003 612F62 000A 00 69");
        caller_say(&house, &caller, "820A 0001 03 0B 8001 0001 23 2D C000 E000");
        caller_read(&caller);
        while (!caller.eof) {
            house_turn(&house, &caller);
            caller_read(&caller);
        }
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        caller_close(&caller);
        UNTIL(&house, NULL, stats().connections == 0);
        CHECK_EQ(house.gone, stats().accepted);
        caller_enter(&house, &caller, MQTT_V311);
        caller_close(&caller);
        house_close(&house);
        if (!fired) {
            CHECK(nth > 3);
            break;
        }
    }
}

TEST(creating_survives_every_failed_allocation)
{
    struct loop *loop;
    CHECK_OK(loop_create(&loop));
    for (uint32_t nth = 1;; nth++) {
        struct mqtt_server *server;
        uint16_t port;
        mem_fail_at(nth);
        enum err err = mqtt_server_create(loop, NULL, &house_user, &house, &server);
        if (err == ERR_OK) {
            err = mqtt_server_listen(server, "127.0.0.1:0", NULL, NULL, &port);
            mqtt_server_destroy(server);
        }
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        while (loop_turn(loop))
            ;
        CHECK_ERR(err, fired ? ERR_NOMEM : ERR_OK);
        if (!fired)
            break;
    }
    loop_destroy(loop);
}
