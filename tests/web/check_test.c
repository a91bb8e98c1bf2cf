/* Polls: what they cost, who wakes them, and how they end. */
#include "web_kit.h"

static void create(struct server *server, int fd, const char *machine_id)
{
    char body[128];
    (void)snprintf(body, sizeof(body), "{\"machine_id\":\"%s\",\"recipe\":{\"volume_ml\":40}}",
                   machine_id);
    CHECK_EQ(client_ask(server, fd, "POST", "/api/commands/create", AS_ADMIN, body).status, 201);
}

static void wait_parked(struct server *server, uint32_t count)
{
    while (server->web->parking.count != count)
        (void)loop_turn_wait(server->loop);
}

TEST(a_poll_that_finds_nothing_allocates_nothing)
{
    struct server server;
    char device[128];
    server_start(&server, (struct web_options){0});
    int fd = client_open(&server);
    machine_add(&server, fd, "m-1", device);
    /* The first one makes what stays: its rate bucket. */
    CHECK_EQ(client_ask(&server, fd, "GET", "/api/commands/check/m-1", device, "").status, 204);
    for (int i = 0; i < 3; i++) {
        mem_fail_at(1);
        struct reply reply = client_ask(&server, fd, "GET", "/api/commands/check/m-1", device, "");
        bool allocated = mem_fail_fired();
        mem_fail_at(0);
        CHECK_EQ(reply.status, 204);
        CHECK(!allocated);
        CHECK(strstr(reply.head, "X-Request-Id: ") != NULL);
    }
    close(fd);
    server_stop(&server);
}

TEST(a_parked_poll_is_small_and_is_woken)
{
    struct server server;
    char device[128];
    server_start(&server, (struct web_options){0});
    int fd = client_open(&server), waiting[3];
    machine_add(&server, fd, "m-1", device);
    for (size_t i = 0; i < ARRAY_COUNT(waiting); i++) {
        waiting[i] = client_open(&server);
        client_send(waiting[i], "GET", "/api/commands/check/m-1?wait=60", device, "");
    }
    wait_parked(&server, 3);
    create(&server, fd, "m-1");
    /* A look takes nothing: all three boards of that name are shown the command. */
    for (size_t i = 0; i < ARRAY_COUNT(waiting); i++) {
        struct reply reply = client_read(&server, waiting[i]);
        CHECK_EQ(reply.status, 200);
        CHECK(strstr(reply.body, "\"command_id\":1,") != NULL);
        CHECK(strstr(reply.body, "claim_id") == NULL);
        close(waiting[i]);
    }
    CHECK_EQ(server.web->parking.count, 0);
    close(fd);
    server_stop(&server);
}

TEST(a_client_that_leaves_is_forgotten)
{
    struct server server;
    char device[128];
    server_start(&server, (struct web_options){0});
    int fd = client_open(&server), waiting = client_open(&server);
    machine_add(&server, fd, "m-1", device);
    client_send(waiting, "GET", "/api/commands/check/m-1?wait=60", device, "");
    wait_parked(&server, 1);
    close(waiting);
    wait_parked(&server, 0);
    create(&server, fd, "m-1"); /* and nobody is woken who is not there */
    close(fd);
    server_stop(&server);
}

TEST(stopping_answers_who_is_parked)
{
    struct server server;
    char device[128];
    server_start(&server, (struct web_options){0});
    int fd = client_open(&server), waiting = client_open(&server);
    machine_add(&server, fd, "m-1", device);
    client_send(waiting, "GET", "/api/commands/check/m-1?wait=60", device, "");
    wait_parked(&server, 1);
    close(fd);
    web_stop(server.web, kit_stopped, &server);
    CHECK_EQ(client_read(&server, waiting).status, 204);
    close(waiting);
    server_stop(&server);
}

TEST(a_revoked_token_waits_for_nothing)
{
    struct server server;
    char device[128];
    server_start(&server, (struct web_options){0});
    int fd = client_open(&server), waiting = client_open(&server);
    machine_add(&server, fd, "m-1", device);
    client_send(waiting, "GET", "/api/commands/check/m-1?wait=60", device, "");
    wait_parked(&server, 1);
    CHECK_EQ(client_ask(&server, fd, "DELETE", "/api/machines/m-1/tokens/1", AS_ADMIN, "").status,
             204);
    CHECK_EQ(client_read(&server, waiting).status, 204);
    CHECK_EQ(client_ask(&server, waiting, "GET", "/api/commands/check/m-1", device, "").status,
             401);
    close(waiting);
    close(fd);
    server_stop(&server);
}

TEST(more_than_may_wait_are_refused)
{
    struct server server;
    char device[128];
    server_start(&server, (struct web_options){.parked_max = 1});
    int fd = client_open(&server), waiting = client_open(&server);
    machine_add(&server, fd, "m-1", device);
    client_send(waiting, "GET", "/api/commands/check/m-1?wait=60", device, "");
    wait_parked(&server, 1);
    struct reply reply =
        client_ask(&server, fd, "GET", "/api/commands/check/m-1?wait=60", device, "");
    CHECK_EQ(reply.status, 503);
    CHECK(strstr(reply.head, "Retry-After: ") != NULL);
    CHECK_EQ(client_ask(&server, fd, "GET", "/api/commands/check/m-1", device, "").status, 204);
    close(waiting);
    close(fd);
    server_stop(&server);
}
