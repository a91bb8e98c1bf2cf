/* The client against a server of raw bytes that the test plays itself, and against ours. */
#include "mqtt_dialogue.h"

/* ---- the other end, played by hand ---- */

struct bar {
    struct loop *loop;
    struct loop_timer *patience;
    bool impatient;
    int listen_fd, fd;
    uint16_t port;
    struct mqtt_client *client;
    uint8_t got[64 * 1024];
    size_t len;
    bool eof;
    /* what the client's user saw */
    unsigned connacks, messages, published, subscribed, gone;
    bool session_present, again, destroy;
    enum mqtt_reason connack_reason, gone_reason, published_reason;
    uint64_t handle;
    uint16_t subscribed_id;
    uint8_t granted;
    char message[256];
};

static struct bar bar;

static void on_connack(void *cookie, bool session_present, enum mqtt_reason reason)
{
    struct bar *b = cookie;
    b->connacks++;
    b->session_present = session_present;
    b->connack_reason = reason;
}

static void on_message(void *cookie, const struct mqtt_publish *publish)
{
    struct bar *b = cookie;
    b->messages++;
    snprintf(b->message, sizeof(b->message), "%.*s=%.*s", STR_ARG(publish->topic),
             STR_ARG(publish->payload));
    if (b->destroy) {
        mqtt_client_destroy(b->client);
        b->client = NULL;
    }
}

static void on_published(void *cookie, uint64_t handle, enum mqtt_reason reason)
{
    struct bar *b = cookie;
    b->published++;
    b->handle = handle;
    b->published_reason = reason;
}

static void on_subscribed(void *cookie, uint16_t packet_id, const struct mqtt_suback *suback)
{
    struct bar *b = cookie;
    b->subscribed++;
    b->subscribed_id = packet_id;
    b->granted = suback->reason_count != 0 ? suback->reason[0] : 0;
}

static void on_gone(void *cookie, enum mqtt_reason reason)
{
    struct bar *b = cookie;
    b->gone++;
    b->gone_reason = reason;
    if (b->again)
        CHECK_OK(mqtt_client_connect(b->client));
}

static const struct mqtt_client_user user = {on_connack, on_message, on_published, on_subscribed,
                                             on_gone};

static void bar_impatient(void *cookie)
{
    ((struct bar *)cookie)->impatient = true;
}

static void bar_open(const struct mqtt_client_options *options)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    bar = (struct bar){.fd = -1};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_OK(loop_create(&bar.loop));
    CHECK_OK(loop_timer_create(bar.loop, bar_impatient, &bar, &bar.patience));
    loop_timer_set(bar.patience, loop_now_ms(bar.loop) + PATIENCE_MS);
    bar.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK_EQ(bind(bar.listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_EQ(listen(bar.listen_fd, 8), 0);
    CHECK_EQ(getsockname(bar.listen_fd, (struct sockaddr *)&address, &len), 0);
    bar.port = ntohs(address.sin_port);
    struct mqtt_client_options filled = *options;
    filled.host = filled.host != NULL ? filled.host : "127.0.0.1";
    filled.port = bar.port;
    CHECK_OK(mqtt_client_create(bar.loop, &filled, &user, &bar, &bar.client));
}

static void bar_turn(void)
{
    uv_loop_t *uv = loop_uv(bar.loop);
    struct pollfd fds[2] = {{.fd = uv_backend_fd(uv), .events = POLLIN},
                            {.fd = bar.fd >= 0 ? bar.fd : bar.listen_fd, .events = POLLIN}};
    loop_turn(bar.loop);
    int wait_ms = uv_backend_timeout(uv);
    poll(fds, 2, wait_ms < 0 || wait_ms > 5 ? 5 : wait_ms);
    loop_turn(bar.loop);
    CHECK(!bar.impatient);
}

#define BAR_UNTIL(fact)                                                                            \
    do {                                                                                           \
        while (!(fact))                                                                            \
            bar_turn();                                                                            \
    } while (0)

static void bar_accept(void)
{
    if (bar.fd >= 0)
        close(bar.fd);
    bar.fd = -1;
    bar.len = 0;
    bar.eof = false;
    while (bar.fd < 0) {
        int fd = accept4(bar.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            bar_turn();
        bar.fd = fd;
    }
}

static void bar_read(void)
{
    ssize_t len = recv(bar.fd, bar.got + bar.len, sizeof(bar.got) - bar.len, MSG_DONTWAIT);
    if (len > 0)
        bar.len += (size_t)len;
    else if (len == 0 || (errno != EAGAIN && errno != EINTR))
        bar.eof = true;
}

static void bar_hear(const char *hex)
{
    uint8_t bytes[1024];
    size_t len = bytes_of(hex, bytes, sizeof(bytes));
    bar_read();
    while (bar.len < len && !bar.eof) {
        bar_turn();
        bar_read();
    }
    NOTE("%zu bytes, expected %s", bar.len, hex);
    CHECK(bar.len >= len);
    CHECK_BYTES(bar.got, bytes, len);
    memmove(bar.got, bar.got + len, bar.len - len);
    bar.len -= len;
}

static void bar_hear_end(void)
{
    bar_read();
    while (!bar.eof) {
        bar_turn();
        bar_read();
    }
    CHECK_EQ(bar.len, 0);
}

static void bar_say(const char *hex)
{
    uint8_t bytes[1024];
    size_t len = bytes_of(hex, bytes, sizeof(bytes));
    CHECK_EQ(send(bar.fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void bar_close(void)
{
    mqtt_client_destroy(bar.client);
    loop_timer_destroy(bar.patience);
    loop_destroy(bar.loop);
    if (bar.fd >= 0)
        close(bar.fd);
    close(bar.listen_fd);
}

#define HELLO_311 "100D 0004 4D515454 04 00 001E 0001 63"
static const struct mqtt_client_options plain = {.client_id = "c"};

static void bar_enter(const struct mqtt_client_options *options)
{
    bar_open(options);
    CHECK_OK(mqtt_client_connect(bar.client));
    CHECK_ERR(mqtt_client_connect(bar.client), ERR_CONFLICT);
    CHECK(!mqtt_client_connected(bar.client));
    bar_accept();
    bar_hear(HELLO_311);
    bar_say("2002 00 00");
    BAR_UNTIL(bar.connacks == 1);
    CHECK(mqtt_client_connected(bar.client));
}

static enum err publish(const char *payload, uint8_t qos, uint64_t *ret_handle)
{
    struct mqtt_message message = {.topic = STR("t"), .payload = str_from(payload), .qos = qos};
    return mqtt_client_publish(bar.client, &message, ret_handle);
}

/* ---- tests ---- */

TEST(connect_says_everything)
{
    struct mqtt_client_options options = {
        .client_id = "id",
        .user = "u",
        .password = "pw",
        .version = MQTT_V5,
        .clean_start = true,
        .session_expiry_s = 120,
        .keep_alive_s = 10,
        .will = {.present = true, .qos = 1, .retain = true, .topic = STR("w"), .payload = STR("x")},
    };
    bar_open(&options);
    memset(&options, 0, sizeof(options)); /* it has copies */
    CHECK_OK(mqtt_client_connect(bar.client));
    bar_accept();
    bar_hear("1022 0004 4D515454 05 EE 000A 05 11 00000078 0002 6964 00 0001 77 0001 78 0001 75"
             " 0002 7077");
    bar_say("2003 00 87 00");
    bar_hear_end();
    BAR_UNTIL(bar.gone == 1);
    CHECK_EQ(bar.connacks, 1);
    CHECK_EQ(bar.connack_reason, MQTT_NOT_AUTHORIZED);
    CHECK_EQ(bar.gone_reason, MQTT_NOT_AUTHORIZED);
    CHECK_ERR(publish("x", 0, NULL), ERR_CLOSED);
    bar_close();
}

TEST(messages_both_ways)
{
    uint64_t first, second, third;
    bar_enter(&plain);
    CHECK_OK(publish("a", 0, &first));
    CHECK_OK(publish("b", 1, &second));
    CHECK_OK(publish("c", 2, &third));
    CHECK(first != 0 && second > first && third > second);
    bar_hear("3004 0001 74 61 3206 0001 74 0001 62 3406 0001 74 0002 63");
    CHECK_EQ(mqtt_client_inflight(bar.client), 2);
    bar_say("4002 0001");
    BAR_UNTIL(bar.published == 1);
    CHECK_EQ(bar.handle, second);
    bar_say("5002 0002");
    bar_hear("6202 0002");
    CHECK_EQ(bar.published, 1);
    bar_say("7002 0002");
    BAR_UNTIL(bar.published == 2);
    CHECK_EQ(bar.handle, third);
    CHECK_EQ(mqtt_client_inflight(bar.client), 0);

    uint16_t packet_id;
    CHECK_OK(mqtt_client_subscribe(bar.client, STR("#"), 1, &packet_id));
    CHECK_EQ(packet_id, 3);
    bar_hear("8206 0003 0001 23 01");
    bar_say("9003 0003 01");
    BAR_UNTIL(bar.subscribed == 1);
    CHECK_EQ(bar.subscribed_id, 3);
    CHECK_EQ(bar.granted, 1);
    bar_say("3004 0001 61 31");
    BAR_UNTIL(bar.messages == 1);
    CHECK_STR(bar.message, "a=1");
    bar_say("3206 0001 61 0009 32");
    bar_hear("4002 0009");
    CHECK_STR(bar.message, "a=2");
    bar_say("3406 0001 61 0009 33");
    bar_hear("5002 0009");
    bar_say("3C06 0001 61 0009 33"); /* again: handed over once */
    bar_hear("5002 0009");
    CHECK_EQ(bar.messages, 3);
    bar_say("6202 0009");
    bar_hear("7002 0009");
    bar_say("3406 0001 61 0009 34"); /* a new one with the same id */
    bar_hear("5002 0009");
    CHECK_EQ(bar.messages, 4);
    CHECK_OK(mqtt_client_unsubscribe(bar.client, STR("#"), &packet_id));
    bar_hear("A205 0004 0001 23");
    bar_say("B002 0004");
    BAR_UNTIL(bar.subscribed == 2);
    mqtt_client_disconnect(bar.client);
    CHECK_EQ(bar.gone, 0);
    bar_hear("E000");
    bar_hear_end();
    close(bar.fd);
    bar.fd = -1;
    BAR_UNTIL(bar.gone == 1);
    CHECK_EQ(bar.gone_reason, MQTT_SUCCESS);
    bar_close();
}

/* What was not settled goes out again in its order, with DUP; what was half settled goes on. */
TEST(a_session_goes_on)
{
    bar_enter(&plain);
    CHECK_OK(publish("a", 1, NULL));
    CHECK_OK(publish("b", 2, NULL));
    CHECK_OK(publish("c", 1, NULL));
    CHECK_OK(publish("d", 2, NULL));
    bar_hear("3206 0001 74 0001 61 3406 0001 74 0002 62 3206 0001 74 0003 63 3406 0001 74 0004 64");
    bar_say("4002 0001 5002 0002");
    bar_hear("6202 0002");
    mqtt_client_drop(bar.client);
    CHECK_EQ(bar.gone, 0);
    BAR_UNTIL(bar.gone == 1);
    CHECK_EQ(bar.gone_reason, MQTT_UNSPECIFIED);
    CHECK_EQ(mqtt_client_inflight(bar.client), 3);
    CHECK_ERR(publish("e", 1, NULL), ERR_CLOSED);
    CHECK_OK(mqtt_client_connect(bar.client));
    bar_accept();
    bar_hear(HELLO_311);
    bar_say("2002 01 00");
    bar_hear("6202 0002 3A06 0001 74 0003 63 3C06 0001 74 0004 64");
    CHECK(bar.session_present);
    CHECK_OK(publish("e", 1, NULL)); /* not with an id that is taken */
    bar_hear("3206 0001 74 0005 65");
    bar_say("7002 0002 4002 0003 5002 0004 4002 0005");
    bar_hear("6202 0004");
    bar_say("7002 0004");
    BAR_UNTIL(bar.published == 5);
    CHECK_EQ(mqtt_client_inflight(bar.client), 0);
    bar_close();
}

TEST(without_a_session_it_is_forgotten)
{
    bar_enter(&plain);
    CHECK_OK(publish("a", 1, NULL));
    bar_hear("3206 0001 74 0001 61");
    close(bar.fd);
    bar.fd = -1;
    bar.again = true; /* connects out of on_gone */
    BAR_UNTIL(bar.gone == 1);
    bar_accept();
    bar_hear(HELLO_311);
    bar_say("2002 00 00");
    BAR_UNTIL(bar.connacks == 2);
    CHECK_EQ(mqtt_client_inflight(bar.client), 0);
    CHECK_OK(publish("b", 0, NULL));
    bar_hear("3004 0001 74 62");
    CHECK_EQ(bar.published, 0);
    bar.again = false;
    bar_close();
}

TEST(bounds)
{
    bar_enter(&(struct mqtt_client_options){
        .client_id = "c", .inflight_max = 2, .queued_bytes_max = 200});
    CHECK_OK(publish("a", 1, NULL));
    CHECK_OK(publish("b", 2, NULL));
    CHECK_ERR(publish("c", 1, NULL), ERR_FULL);
    CHECK_OK(publish("d", 0, NULL));
    static char large[300];
    memset(large, 'x', sizeof(large) - 1);
    CHECK_ERR(publish(large, 0, NULL), ERR_FULL);
    large[100] = '\0';
    CHECK_OK(publish(large, 0, NULL));
    CHECK_ERR(publish(large, 0, NULL), ERR_FULL);
    CHECK_ERR(publish("x", 3, NULL), ERR_INPUT);
    struct mqtt_message message = {.topic = STR("a/#")};
    CHECK_ERR(mqtt_client_publish(bar.client, &message, NULL), ERR_INPUT);
    CHECK_ERR(mqtt_client_subscribe(bar.client, STR("a#"), 0, NULL), ERR_INPUT);
    bar_close();
}

TEST(limits_of_a_5_server)
{
    bar_open(&(struct mqtt_client_options){.client_id = "c", .version = MQTT_V5});
    CHECK_OK(mqtt_client_connect(bar.client));
    bar_accept();
    bar_hear("100E 0004 4D515454 05 00 001E 00 0001 63");
    bar_say("200F 00 00 0C 21 0001 24 01 25 00 27 00000014");
    BAR_UNTIL(bar.connacks == 1);
    CHECK_OK(publish("a", 1, NULL));
    CHECK_ERR(publish("a", 1, NULL), ERR_FULL);
    CHECK_ERR(publish("a", 2, NULL), ERR_REFUSED);
    struct mqtt_message message = {.topic = STR("t"), .retain = true};
    CHECK_ERR(mqtt_client_publish(bar.client, &message, NULL), ERR_REFUSED);
    CHECK_OK(publish("0123456789abcd", 0, NULL));
    CHECK_ERR(publish("0123456789abcdef", 0, NULL), ERR_REFUSED);
    bar_hear("3207 0001 74 0001 00 61 3012 0001 74 00 3031323334353637383961626364");
    bar_say("4003 0001 97");
    BAR_UNTIL(bar.published == 1);
    CHECK_EQ(bar.published_reason, MQTT_QUOTA_EXCEEDED);
    bar_say("E001 8B");
    BAR_UNTIL(bar.gone == 1);
    CHECK_EQ(bar.gone_reason, MQTT_SERVER_SHUTTING_DOWN);
    bar_close();
}

TEST(a_bad_server_is_left)
{
    static const struct {
        const char *say;
        enum mqtt_reason reason;
    } rows[] = {
        {"C000", MQTT_PROTOCOL_ERROR},
        {"2002 00 00", MQTT_PROTOCOL_ERROR},
        {"9003 0001 00", MQTT_PROTOCOL_ERROR}, /* nobody asked */
        {"8206 0003 0001 23 01", MQTT_PROTOCOL_ERROR},
        {"3006 0001", MQTT_MALFORMED},
        {"0000", MQTT_MALFORMED},
        {"30FFFFFF7F", MQTT_PACKET_TOO_LARGE},
        {"E000", MQTT_PROTOCOL_ERROR}, /* a 3.1.1 server does not */
        {"3604 0001 61 00", MQTT_MALFORMED},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        bar_enter(&plain);
        bar_say(rows[i].say);
        if (i == 4)
            bar_say("00000000");
        NOTE("%s", rows[i].say);
        bar_hear_end();
        BAR_UNTIL(bar.gone == 1);
        CHECK_EQ(bar.gone_reason, rows[i].reason);
        CHECK_EQ(bar.messages, 0);
        bar_close();
    }
    bar_open(&plain); /* the first packet is CONNACK */
    CHECK_OK(mqtt_client_connect(bar.client));
    bar_accept();
    bar_say("3004 0001 61 31");
    BAR_UNTIL(bar.gone == 1);
    CHECK_EQ(bar.connacks + bar.messages, 0);
    bar_close();
}

/* An acknowledgement of another kind than the message asked for. */
TEST(a_wrong_acknowledgement)
{
    bar_enter(&plain);
    CHECK_OK(publish("a", 1, NULL));
    bar_hear("3206 0001 74 0001 61");
    bar_say("4002 0063"); /* unknown: of an earlier life, perhaps */
    bar_say("5002 0063");
    bar_hear("6202 0063");
    bar_say("5002 0001");
    BAR_UNTIL(bar.gone == 1);
    CHECK_EQ(bar.gone_reason, MQTT_PROTOCOL_ERROR);
    CHECK_EQ(bar.published, 0);
    bar_close();
}

TEST(nobody_there)
{
    bar_open(&plain);
    close(bar.listen_fd);
    bar.listen_fd = -1;
    CHECK_OK(mqtt_client_connect(bar.client));
    CHECK_EQ(bar.gone, 0);
    while (bar.gone == 0) {
        loop_turn_wait(bar.loop);
        CHECK(!bar.impatient);
    }
    CHECK_EQ(bar.gone_reason, MQTT_SERVER_UNAVAILABLE);
    CHECK_EQ(bar.connacks, 0);
    bar_close();
}

TEST(a_name_is_looked_up)
{
    bar_open(&(struct mqtt_client_options){.client_id = "c", .host = "localhost"});
    CHECK_OK(mqtt_client_connect(bar.client));
    bar_accept(); /* also where the name's first address is another one */
    bar_hear(HELLO_311);
    mqtt_client_drop(bar.client);
    BAR_UNTIL(bar.gone == 1);
    CHECK_OK(mqtt_client_connect(bar.client));
    bar_close(); /* in the middle of the look-up */
}

TEST(keep_alive_of_the_client)
{
    bar_open(&(struct mqtt_client_options){.client_id = "c", .keep_alive_s = 1});
    CHECK_OK(mqtt_client_connect(bar.client));
    bar_accept();
    bar_hear("100D 0004 4D515454 04 00 0001 0001 63");
    bar_say("2002 00 00");
    bar_hear("C000"); /* and no answer */
    BAR_UNTIL(bar.gone == 1);
    CHECK_EQ(bar.gone_reason, MQTT_KEEP_ALIVE_TIMEOUT);
    bar_close();
}

TEST(a_callback_may_destroy_the_client)
{
    bar_enter(&plain);
    bar.destroy = true;
    bar_say("3206 0001 61 0001 31 3004 0001 61 32");
    BAR_UNTIL(bar.messages == 1);
    bar_hear_end();
    CHECK_EQ(bar.messages, 1);
    CHECK_EQ(bar.gone, 0);
    bar_close();
}

TEST(pieces_do_not_matter_to_the_client)
{
    bar_enter(&plain);
    uint8_t bytes[64];
    size_t len = bytes_of("3206 0001 61 0001 31 3005 0001 62 3232 D000", bytes, sizeof(bytes));
    for (size_t i = 0; i < len; i++) {
        CHECK_EQ(send(bar.fd, bytes + i, 1, MSG_NOSIGNAL), 1);
        loop_turn(bar.loop);
    }
    bar_hear("4002 0001");
    BAR_UNTIL(bar.messages == 2);
    CHECK_STR(bar.message, "b=22");
    bar_close();
}

TEST(creating_a_client_survives_every_failed_allocation)
{
    struct loop *loop;
    CHECK_OK(loop_create(&loop));
    for (uint32_t nth = 1;; nth++) {
        struct mqtt_client *client = NULL;
        struct mqtt_client_options options = {.host = "127.0.0.1", .port = 1, .client_id = "c"};
        bar = (struct bar){.fd = -1};
        mem_fail_at(nth);
        enum err err = mqtt_client_create(loop, &options, &user, &bar, &client);
        if (err == ERR_OK)
            err = mqtt_client_connect(client);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        for (int i = 0; i < 3; i++)
            loop_turn(loop);
        mqtt_client_destroy(client);
        if (!fired) {
            CHECK_OK(err);
            break;
        }
        CHECK(err == ERR_NOMEM || bar.gone == 1);
    }
    loop_destroy(loop);
    mqtt_client_destroy(NULL);
}

/* ---- against our own server ---- */

static struct house house;

TEST(client_and_server)
{
    struct mqtt_client *client;
    house_open(&house, NULL);
    bar = (struct bar){.fd = -1};
    for (int version = MQTT_V311; version <= MQTT_V5; version++) {
        struct mqtt_client_options options = {.host = "127.0.0.1",
                                              .port = house.port,
                                              .version = (enum mqtt_version)version,
                                              .clean_start = true,
                                              .inflight_max = 1000};
        unsigned before = house.publishes, gone = house.gone;
        bar.connacks = bar.published = bar.gone = bar.subscribed = bar.messages = 0;
        CHECK_OK(mqtt_client_create(house.loop, &options, &user, &bar, &client));
        CHECK_OK(mqtt_client_connect(client));
        UNTIL(&house, NULL, bar.connacks == 1);
        CHECK_OK(mqtt_client_subscribe(client, STR("#"), 0, NULL));
        for (unsigned i = 0; i < 900; i++) {
            struct mqtt_message message = {
                .topic = STR("a"), .payload = STR("x"), .qos = (uint8_t)(i % 3), .expiry_s = 60};
            CHECK_OK(mqtt_client_publish(client, &message, NULL));
        }
        UNTIL(&house, NULL, bar.published == 600 && bar.subscribed == 1);
        CHECK_EQ(house.publishes - before, 900);
        struct mqtt_packet packet = {.type = MQTT_PUBLISH};
        packet.publish = (struct mqtt_publish){.topic = STR("back"), .payload = STR("y")};
        CHECK_OK(mqtt_conn_send(house.conn, &packet));
        UNTIL(&house, NULL, bar.messages == 1);
        CHECK_STR(bar.message, "back=y");
        mqtt_client_disconnect(client);
        UNTIL(&house, NULL, bar.gone == 1 && house.gone == gone + 1);
        CHECK_EQ(house.gone_reason, MQTT_SUCCESS);
        mqtt_client_destroy(client);
    }
    house_close(&house);
}
