/* Calls that change something: memory that runs out, clients that leave, answers that are whole. */
#include "web_kit.h"

/* Each allocation on the loop's thread fails once: the answer is 201 or 503 (a commit whose answer
 * found no memory is 503 as well: that is what the key is for), and nothing leaks (the kit looks).
 */
TEST(a_create_survives_every_failed_allocation)
{
    struct server server;
    char device[128];
    server_start(&server, (struct web_options){0});
    int fd = client_open(&server);
    machine_add(&server, fd, "m-1", device);
    int refused = 0;
    for (uint32_t nth = 1; nth < 200; nth++) {
        char key[128];
        (void)snprintf(key, sizeof(key), AS_ADMIN "Idempotency-Key: k-%u\r\n", nth);
        static const char body[] = "{\"machine_id\":\"m-1\",\"recipe\":{\"volume_ml\":40}}";
        client_send(fd, "POST", "/api/commands/create", key, body);
        mem_fail_at(nth);
        char bytes[4096];
        ssize_t got = -1;
        while (got < 0) {
            (void)loop_turn_wait(server.loop);
            got = recv(fd, bytes, sizeof(bytes) - 1, MSG_DONTWAIT);
        }
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        bytes[got] = 0;
        NOTE("allocation %u: %s", nth, bytes);
        if (got == 0 || strstr(bytes, "Connection: close") != NULL) { /* the connection's own */
            CHECK(fired);
            close(fd);
            fd = client_open(&server);
            refused++;
            continue;
        }
        bool made = strncmp(bytes, "HTTP/1.1 201", 12) == 0;
        CHECK(made || strncmp(bytes, "HTTP/1.1 503", 12) == 0);
        refused += made ? 0 : 1;
        if (!fired) {
            CHECK(made);
            break;
        }
    }
    CHECK(refused > 3);
    close(fd);
    server_stop(&server);
}

TEST(a_client_that_leaves_changes_nothing_about_its_call)
{
    struct server server;
    char device[128];
    server_start(&server, (struct web_options){0});
    int fd = client_open(&server);
    machine_add(&server, fd, "m-1", device);
    for (int i = 0; i < 20; i++) {
        int gone = client_open(&server);
        client_send(gone, "POST", "/api/commands/create", AS_ADMIN,
                    "{\"machine_id\":\"m-1\",\"recipe\":{\"volume_ml\":40}}");
        close(gone);
    }
    struct queue_machine machine;
    do {
        (void)loop_turn_wait(server.loop);
    } while (!queue_machine_get(server.queue, STR("m-1"), &machine) ||
             machine.pending_count != 20 || server.web->call_count != 0);
    close(fd);
    server_stop(&server);
}

TEST(every_answer_says_who_it_is)
{
    struct server server;
    server_start(&server, (struct web_options){0});
    int fd = client_open(&server);
    struct reply reply =
        client_ask(&server, fd, "GET", "/healthz", "X-Request-Id: mine-17\r\n", "");
    CHECK_EQ(reply.status, 200);
    CHECK(strstr(reply.head, "X-Request-Id: mine-17\r\n") != NULL);
    reply = client_ask(&server, fd, "GET", "/healthz", "X-Request-Id: not<good>\r\n", "");
    CHECK(strstr(reply.head, "not<good>") == NULL);
    CHECK(strstr(reply.head, "X-Request-Id: ") != NULL);
    reply = client_ask(&server, fd, "GET", "/api/nothing", "X-Request-Id: mine-18\r\n", "");
    CHECK_EQ(reply.status, 404);
    CHECK(strstr(reply.body, "\"request_id\":\"mine-18\"") != NULL);
    CHECK(strstr(reply.body, "\"code\":\"not_found\"") != NULL);
    close(fd);
    server_stop(&server);
}

TEST(a_refusal_is_noted_and_makes_nothing)
{
    struct server server;
    char device[128];
    server_start(&server, (struct web_options){0});
    int fd = client_open(&server);
    machine_add(&server, fd, "m-1", device);
    struct reply reply =
        client_ask(&server, fd, "POST", "/api/commands/create", AS_ADMIN,
                   "{\"machine_id\":\"m-1\",\"recipe\":{\"volume_ml\":40,\"temperature_c\":500}}");
    CHECK_EQ(reply.status, 422);
    CHECK(strstr(reply.body, "\"field\":\"recipe.temperature_c\"") != NULL);
    CHECK(strstr(client_ask(&server, fd, "GET", "/api/commands", AS_ADMIN, "").body,
                 "\"items\":[]") != NULL);
    reply = client_ask(&server, fd, "GET", "/api/audit?limit=1", AS_ADMIN, "");
    CHECK(strstr(reply.body, "out_of_limits") != NULL);
    close(fd);
    server_stop(&server);
}

TEST(a_foreign_origin_gets_no_permission)
{
    static const char *const origins[] = {"https://shop.example", NULL};
    struct server server;
    server_start(&server, (struct web_options){.cors_origins = origins});
    int fd = client_open(&server);
    struct reply reply =
        client_ask(&server, fd, "OPTIONS", "/api/commands/create",
                   "Origin: https://shop.example\r\nAccess-Control-Request-Method: POST\r\n", "");
    CHECK_EQ(reply.status, 204);
    CHECK(strstr(reply.head, "Access-Control-Allow-Origin: https://shop.example\r\n") != NULL);
    CHECK(strstr(reply.head, "Access-Control-Allow-Methods: POST, OPTIONS\r\n") != NULL);
    reply = client_ask(&server, fd, "OPTIONS", "/api/commands/create",
                       "Origin: https://elsewhere.example\r\n", "");
    CHECK_EQ(reply.status, 204);
    CHECK(strstr(reply.head, "Access-Control-Allow-Origin") == NULL);
    CHECK(strstr(reply.head, "Vary: Origin\r\n") != NULL);
    close(fd);
    server_stop(&server);
}
