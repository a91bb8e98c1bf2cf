/* The MQTT door in the test's own process: a board that talks to a whole server over a socket. */
#include "web/web_kit.h"

#include "net/mqtt/mqtt.h"
#include "web/mqtt_int.h"

struct board {
    struct server *server;
    struct mqtt_client *client;
    bool up, gone;
    enum mqtt_reason reason;
    uint64_t published; /* handle acknowledged last */
    int granted, denied;
    struct heard {
        char topic[64], payload[4096];
    } heard[8]; /* the last of each topic */
};

static void on_connack(void *cookie, bool session_present, enum mqtt_reason reason)
{
    struct board *board = cookie;
    (void)session_present;
    board->up = true;
    board->reason = reason;
}

static void on_message(void *cookie, const struct mqtt_publish *publish)
{
    struct board *board = cookie;
    size_t at = 0;
    while (board->heard[at].topic[0] != 0 &&
           !str_equal(str_from(board->heard[at].topic), publish->topic))
        at++;
    CHECK(at < ARRAY_COUNT(board->heard));
    CHECK_OK(str_copy(board->heard[at].topic, sizeof(board->heard[at].topic), publish->topic));
    CHECK_OK(
        str_copy(board->heard[at].payload, sizeof(board->heard[at].payload), publish->payload));
}

static void on_published(void *cookie, uint64_t handle, enum mqtt_reason reason)
{
    struct board *board = cookie;
    board->published = handle;
    board->reason = reason;
}

static void on_subscribed(void *cookie, uint16_t packet_id, const struct mqtt_suback *suback)
{
    struct board *board = cookie;
    (void)packet_id;
    for (uint32_t i = 0; i < suback->reason_count; i++)
        *(suback->reason[i] < 0x80 ? &board->granted : &board->denied) += 1;
}

static void on_gone(void *cookie, enum mqtt_reason reason)
{
    struct board *board = cookie;
    (void)reason;
    board->gone = true;
}

static const struct mqtt_client_user user = {on_connack, on_message, on_published, on_subscribed,
                                             on_gone};

static void turn(struct board *board)
{
    (void)loop_turn_wait(board->server->loop);
}

static void board_open(struct board *board, struct server *server, const char *name,
                       const char *token)
{
    *board = (struct board){.server = server};
    struct mqtt_client_options options = {.host = "127.0.0.1",
                                          .port = server->mqtt_port,
                                          .client_id = "board",
                                          .user = name,
                                          .password = token,
                                          .version = MQTT_V5,
                                          .clean_start = true};
    CHECK_OK(mqtt_client_create(server->loop, &options, &user, board, &board->client));
    CHECK_OK(mqtt_client_connect(board->client));
    while (!board->up)
        turn(board);
}

static void board_close(struct board *board)
{
    if (!board->gone)
        mqtt_client_drop(board->client);
    mqtt_client_destroy(board->client);
}

/* What the PUBACK said. */
static enum mqtt_reason say(struct board *board, const char *topic, const char *payload)
{
    uint64_t handle = 0;
    struct mqtt_message message = {
        .topic = str_from(topic), .payload = str_from(payload), .qos = 1};
    CHECK_OK(mqtt_client_publish(board->client, &message, &handle));
    while (board->published != handle) {
        CHECK(!board->gone);
        turn(board);
    }
    return board->reason;
}

static void listen_to(struct board *board, const char *filter)
{
    int before = board->granted + board->denied;
    CHECK_OK(mqtt_client_subscribe(board->client, str_from(filter), 1, NULL));
    while (board->granted + board->denied == before)
        turn(board);
}

/* Until something came on this topic. */
static const char *hear(struct board *board, const char *topic)
{
    for (int turns = 0; turns < 10000; turns++) {
        for (size_t i = 0; i < ARRAY_COUNT(board->heard); i++) {
            if (strcmp(board->heard[i].topic, topic) == 0)
                return board->heard[i].payload;
        }
        turn(board);
    }
    CHECK(false);
    return "";
}

static void token_of(const char fields[128], char token[64])
{
    CHECK_EQ(sscanf(fields, "X-Device-Token: %63s", token), 1);
}

#define HELLO                                                                                      \
    "{\"boot_id\":\"00000000000000000000000000000001\","                                           \
    "\"journal_id\":\"00000000000000000000000000000002\"}"

TEST(a_board_from_hello_to_report)
{
    struct server server;
    struct board board;
    char fields[128], token[64], body[512];
    server_start(&server, (struct web_options){0});
    int fd = client_open(&server);
    machine_add(&server, fd, "m-1", fields);
    token_of(fields, token);
    board_open(&board, &server, "m-1", token);
    CHECK_EQ(board.reason, MQTT_SUCCESS);
    listen_to(&board, "machines/m-1/#");
    listen_to(&board, "machines/m-2/#");
    CHECK_EQ(board.granted, 1);
    CHECK_EQ(board.denied, 1);
    CHECK_EQ(say(&board, "machines/m-1/hello", HELLO), MQTT_SUCCESS);
    CHECK(strstr(hear(&board, "machines/m-1/config"), "\"admission\":\"admitted\"") != NULL);

    client_send(fd, "POST", "/api/commands/create", AS_ADMIN,
                "{\"machine_id\":\"m-1\",\"recipe\":{\"volume_ml\":40,\"temperature_c\":92,"
                "\"pre_infusion_ms\":300,\"capsule_type\":\"original\",\"capsule_variant\":"
                "\"espresso\"}}");
    struct reply reply = client_read(&server, fd);
    CHECK_EQ(reply.status, 201);
    const char *offer = hear(&board, "machines/m-1/offer");
    char uid[33];
    CHECK_EQ(sscanf(strstr(offer, "\"uid\":\""), "\"uid\":\"%32[0-9a-f]", uid), 1);
    (void)snprintf(body, sizeof(body),
                   "{\"command_id\":1,\"uid\":\"%s\",\"claim_id\":"
                   "\"00000000000000000000000000000003\",\"journal_id\":"
                   "\"00000000000000000000000000000002\"}",
                   uid);
    CHECK_EQ(say(&board, "machines/m-1/claim", body), MQTT_SUCCESS);
    CHECK(strstr(hear(&board, "machines/m-1/claim/result"), "\"granted\":true") != NULL);
    (void)snprintf(body, sizeof(body),
                   "{\"command_id\":1,\"uid\":\"%s\",\"claim_id\":"
                   "\"00000000000000000000000000000003\",\"status\":\"complete\"}",
                   uid);
    CHECK_EQ(say(&board, "machines/m-1/report", body), MQTT_SUCCESS);
    /* Again: refused for good, and a 5.0 client learns it. */
    (void)strcpy(strstr(body, "complete"), "failed\"}");
    CHECK_EQ(say(&board, "machines/m-1/report", body), MQTT_NOT_AUTHORIZED);
    CHECK_EQ(say(&board, "machines/m-1/report", "{\"status\":\"complete\"}"), MQTT_BAD_PAYLOAD);
    CHECK_EQ(say(&board, "machines/m-1/hello", "{"), MQTT_BAD_PAYLOAD);
    CHECK_EQ(say(&board, "sensor/m-1/temperature", "21.5"), MQTT_SUCCESS);
    CHECK_EQ(say(&board, "sensor/m-1/temperature", "warm"), MQTT_BAD_PAYLOAD);
    CHECK_EQ(say(&board, "sensor/m-2/temperature", "21.5"), MQTT_NOT_AUTHORIZED);
    board_close(&board);
    (void)close(fd);
    server_stop(&server);
}

TEST(a_message_that_cannot_be_stored_is_not_acknowledged)
{
    struct server server;
    struct board board;
    char fields[128], token[64];
    server_start(&server, (struct web_options){0});
    int fd = client_open(&server);
    machine_add(&server, fd, "m-1", fields);
    token_of(fields, token);
    board_open(&board, &server, "m-1", token);
    server.door.web = NULL; /* as before the server is whole, or when it is going */
    uint64_t handle = 0;
    struct mqtt_message message = {
        .topic = STR("sensor/m-1/temperature"), .payload = STR("21.5"), .qos = 1};
    CHECK_OK(mqtt_client_publish(board.client, &message, &handle));
    while (!board.gone)
        turn(&board);
    CHECK(board.published != handle);
    server.door.web = server.web;
    board_close(&board);
    (void)close(fd);
    server_stop(&server);
}

TEST(nobody_is_let_in_before_there_is_a_web)
{
    struct web_door door = {NULL};
    struct broker_gate gate = web_mqtt_gate(&door);
    struct broker_credentials credentials = {.user = STR("m-1"),
                                             .password = STR("x"),
                                             .has_user = true,
                                             .has_password = true,
                                             .peer = "127.0.0.1"};
    struct broker_identity identity = {.role = BUS_ADMIN};
    CHECK_EQ(gate.authenticate(&door, &credentials, &identity), MQTT_SERVER_UNAVAILABLE);
    CHECK_EQ(identity.role, BUS_NOBODY);
    gate.presence(&door, STR("m-1"), true, false, false);
    gate.subscribed(&door, &(struct bus_from){.role = BUS_OPEN}, STR("#"));
}

TEST(who_speaks_for_a_machine)
{
    CHECK(web_mqtt_speaks(&(struct bus_from){.role = BUS_DEVICE, .machine_id = STR("m-1")},
                          STR("m-1")));
    CHECK(!web_mqtt_speaks(&(struct bus_from){.role = BUS_DEVICE, .machine_id = STR("m-1")},
                           STR("m-2")));
    CHECK(web_mqtt_speaks(&(struct bus_from){.role = BUS_OPEN}, STR("m-2")));
    CHECK(!web_mqtt_speaks(&(struct bus_from){.role = BUS_ADMIN}, STR("m-2")));
    CHECK(!web_mqtt_speaks(&(struct bus_from){.role = BUS_STAFF}, STR("m-2")));
    CHECK(!web_mqtt_speaks(&(struct bus_from){.role = BUS_NOBODY}, STR("m-2")));
}

/* A word that begins a command is no outcome, in any case and of every kind. */
TEST(words_that_claim)
{
    static const char *const claims[] = {"brewing", "BREWING", "running", "in_progress", "moving"};
    static const char *const others[] = {"complete", "failed", "", "nonsense", "pending"};
    for (size_t i = 0; i < ARRAY_COUNT(claims); i++) {
        NOTE("%s", claims[i]);
        CHECK(web_status_claims(str_from(claims[i])));
    }
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        NOTE("%s", others[i]);
        CHECK(!web_status_claims(str_from(others[i])));
    }
}

/* The numbers of tokens of people and of devices are never one. */
TEST(credentials_of_two_rooms)
{
    for (int64_t id = 0; id < 1000; id++)
        CHECK(web_credential_of_token(id) < 0);
}
