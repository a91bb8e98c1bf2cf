/* What the server says to clients that behave. */
#include "dialogue.h"
#include "http_test_handler.h"
#include <stdlib.h>

static struct client client, other;

#define HOST "Host: cafe.example\r\n"

TEST(one_connection_many_requests)
{
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER, .cookie = &cafe});
    client_open(&dialogue, &client);
    for (int i = 0; i < 3; i++) {
        client_send(&dialogue, &client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
        client_expect(&dialogue, &client, "HTTP/1.1 200 OK\r\nDate: ");
        client_expect(&dialogue, &client,
                      " GMT\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello");
        CHECK_STR(client.got, "");
    }
    struct http_stats stats;
    http_server_stats(dialogue.server, &stats);
    CHECK_EQ(stats.connections, 1);
    CHECK_EQ(stats.accepted, 1);
    CHECK_EQ(stats.requests, 3);
    client_close(&client);
    dialogue_close(&dialogue);
}

TEST(pipelined_requests_are_answered_in_order_also_behind_a_parked_one)
{
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER, .cookie = &cafe});
    client_open(&dialogue, &client);
    client_send(&dialogue, &client,
                "GET /hello HTTP/1.1\r\n" HOST "\r\n"
                "GET /park HTTP/1.1\r\n" HOST "\r\n"
                "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
                "GET /nothing HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &client, "\r\n\r\nhello");
    CHECK_EQ(cafe.requests, 2);
    CHECK_STR(client.got, "");
    cafe_wake(&cafe, 0, "woken");
    CHECK_EQ(cafe.requests, 2); /* the next one is looked at in a later turn */
    client_expect(&dialogue, &client, "\r\n\r\nwoken");
    client_expect(&dialogue, &client, "\r\n\r\nabc");
    client_expect(&dialogue, &client, "HTTP/1.1 204 No Content\r\n");
    CHECK_EQ(cafe.requests, 4);
    client_close(&client);
    dialogue_close(&dialogue);
}

TEST(a_thousand_pipelined_requests)
{
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER, .cookie = &cafe});
    client_open(&dialogue, &client);
    for (int i = 0; i < 50; i++) {
        for (int j = 0; j < 20; j++)
            client_send(&dialogue, &client, "GET /nothing HTTP/1.1\r\n" HOST "\r\n");
        for (int j = 0; j < 20; j++)
            client_expect(&dialogue, &client, "204 No Content\r\n");
    }
    CHECK_EQ(cafe.requests, 1000);
    client_close(&client);
    dialogue_close(&dialogue);
}

TEST(head_and_bodiless_answers)
{
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER, .cookie = &cafe});
    client_open(&dialogue, &client);
    client_send(&dialogue, &client, "HEAD /hello HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &client, "Content-Length: 5\r\n\r\n");
    client_send(&dialogue, &client, "GET /same HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &client, "HTTP/1.1 304 Not Modified\r\n");
    client_expect(&dialogue, &client, "Content-Length: 5\r\n\r\n");
    client_send(&dialogue, &client, "GET /nothing HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &client, "HTTP/1.1 204 No Content\r\n");
    client_expect(&dialogue, &client, " GMT\r\n\r\n");
    CHECK_STR(client.got, "");
    client_close(&client);
    dialogue_close(&dialogue);
}

TEST(who_closes)
{
    static const struct {
        const char *request;
        bool stays;
        const char *says;
    } table[] = {
        {"GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", false,
         "Connection: close\r\n"},
        {"GET /end HTTP/1.1\r\n" HOST "\r\n", false, "Connection: close\r\n"},
        {"GET /hello HTTP/1.0\r\n\r\n", false, "Connection: close\r\n"},
        {"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true,
         "Connection: keep-alive\r\n"},
    };
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER, .cookie = &cafe});
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        client_open(&dialogue, &client);
        client_send(&dialogue, &client, table[i].request);
        client_expect(&dialogue, &client, "HTTP/1.1 200 OK\r\n");
        client_expect(&dialogue, &client, table[i].says);
        client_expect(&dialogue, &client, "\r\nhello");
        if (table[i].stays) {
            client_send(&dialogue, &client, table[i].request);
            client_expect(&dialogue, &client, "\r\nhello");
            client_close(&client);
        } else {
            client_expect_end(&dialogue, &client);
        }
    }
    dialogue_close(&dialogue);
}

TEST(bodies_in_pieces)
{
    static const char *const requests[] = {
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\nhello world",
        "POST /echo HTTP/1.1\r\n" HOST
        "Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n4;x\r\nello\r\n6\r\n world\r\n0\r\nX: "
        "y\r\n\r\n",
    };
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER, .cookie = &cafe});
    client_open(&dialogue, &client);
    for (size_t i = 0; i < ARRAY_COUNT(requests); i++) {
        size_t len = strlen(requests[i]);
        for (size_t step = 1; step <= len; step += step < 8 ? 1 : 17) {
            NOTE("request %zu in pieces of %zu", i, step);
            for (size_t at = 0; at < len; at += step) {
                size_t give = len - at < step ? len - at : step;
                client_send_bytes(&dialogue, &client, requests[i] + at, give);
            }
            client_expect(&dialogue, &client, "Content-Length: 11\r\n\r\nhello world");
        }
        /* And twice at once, so that one ends where the next begins. */
        client_send(&dialogue, &client, requests[i]);
        client_send(&dialogue, &client, requests[i]);
        client_expect(&dialogue, &client, "\r\n\r\nhello world");
        client_expect(&dialogue, &client, "\r\n\r\nhello world");
    }
    client_close(&client);
    dialogue_close(&dialogue);
}

TEST(continue_is_said_only_to_those_who_wait)
{
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER, .cookie = &cafe});
    client_open(&dialogue, &client);
    client_send(&dialogue, &client,
                "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    client_expect(&dialogue, &client, "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(&dialogue, &client, "abc");
    client_expect(&dialogue, &client, "HTTP/1.1 200 OK\r\n");
    client_expect(&dialogue, &client, "\r\n\r\nabc");
    client_send(&dialogue, &client,
                "POST /echo HTTP/1.1\r\n" HOST
                "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc");
    client_expect(&dialogue, &client, "HTTP/1.1 ");
    CHECK_EQ(strncmp(client.got, "200", 3), 0);
    client_expect(&dialogue, &client, "\r\n\r\nabc");
    client_send(&dialogue, &client,
                "POST /denied HTTP/1.1\r\n" HOST
                "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    client_expect(&dialogue, &client, "HTTP/1.1 401");
    client_expect(&dialogue, &client, "\r\n\r\nno");
    client_expect_end(&dialogue, &client);
    dialogue_close(&dialogue);
}

TEST(a_handler_that_forgets_and_a_field_that_lies)
{
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER, .cookie = &cafe});
    client_open(&dialogue, &client);
    client_send(&dialogue, &client, "GET /forgotten HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &client, "HTTP/1.1 500 ");
    client_expect(&dialogue, &client, "\r\n\r\n");
    client_send(&dialogue, &client, "GET /evil HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &client, "HTTP/1.1 500 ");
    CHECK(strstr(client.got, "Set-Cookie") == NULL);
    client_close(&client);
    dialogue_close(&dialogue);
}

static void take_big(struct dialogue *dialogue, const char *path, char *big, size_t bytes)
{
    char request[128];
    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n" HOST "\r\n", path);
    client_open(dialogue, &client);
    client_send(dialogue, &client, request);
    client_expect(dialogue, &client, "\r\n\r\n");
    size_t at = 0;
    for (;;) {
        CHECK_EQ(memcmp(client.got, big + at, client.len), 0);
        at += client.len;
        client.len = 0;
        if (at == bytes)
            break;
        CHECK(!client.eof);
        dialogue_turn(dialogue, client.fd);
        ssize_t got = recv(client.fd, client.got, sizeof(client.got) - 1, 0);
        client.len = got > 0 ? (size_t)got : 0;
        CHECK(got != 0);
    }
    client.got[0] = '\0';
    client_send(dialogue, &client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_expect(dialogue, &client, "\r\n\r\nhello");
    client_close(&client);
}

TEST(an_answer_larger_than_any_socket_buffer)
{
    struct cafe cafe = {.big_bytes = 20 * MIB};
    struct rng rng;
    rng_init(&rng, 1);
    cafe.big = mem_alloc(cafe.big_bytes);
    CHECK(cafe.big != NULL);
    for (size_t i = 0; i < cafe.big_bytes; i += 8) {
        uint64_t word = rng_next(&rng);
        memcpy(cafe.big + i, &word, 8);
    }
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER, .cookie = &cafe});
    take_big(&dialogue, "/big", cafe.big, cafe.big_bytes);
    CHECK_EQ(cafe.freed, 1);
    take_big(&dialogue, "/big/copied", cafe.big, cafe.big_bytes);
    CHECK_EQ(cafe.freed, 1);
    /* Left in the middle: the body is given back all the same. */
    client_open(&dialogue, &client);
    client_send(&dialogue, &client, "GET /big HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &client, "\r\n\r\n");
    client_close(&client);
    while (cafe.freed == 1)
        dialogue_turn(&dialogue, -1);
    CHECK_EQ(cafe.freed, 2);
    dialogue_close(&dialogue);
    mem_free(cafe.big);
}

TEST(streams_have_back_pressure)
{
    static char lump[100 * 1024];
    memset(lump, 'x', sizeof(lump));
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER, .cookie = &cafe});
    client_open(&dialogue, &client);
    client_send(&dialogue, &client, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &client, "Transfer-Encoding: chunked\r\n\r\n");
    CHECK_OK(http_stream_write(cafe.streaming, STR("one")));
    CHECK_OK(http_stream_write(cafe.streaming, STR("")));
    CHECK_OK(http_stream_write(cafe.streaming, STR("twotwotwotwotwotwo")));
    client_expect(&dialogue, &client, "3\r\none\r\n12\r\ntwotwotwotwotwotwo\r\n");
    size_t lumps = 0;
    enum err err;
    while ((err = http_stream_write(cafe.streaming, (struct str){lump, sizeof(lump)})) == ERR_OK)
        CHECK(++lumps < 1000);
    CHECK_ERR(err, ERR_FULL);
    CHECK_EQ(cafe.room, 0);
    size_t seen = 0;
    while (cafe.room == 0) {
        dialogue_turn(&dialogue, client.fd);
        client_receive(&client);
        seen += client_forget(&client, 5);
    }
    http_stream_end(cafe.streaming);
    size_t total = lumps * (sizeof(lump) + sizeof("19000\r\n\r\n") - 1) + sizeof("0\r\n\r\n") - 1;
    while (seen < total - 5) {
        dialogue_turn(&dialogue, client.fd);
        client_receive(&client);
        seen += client_forget(&client, 5);
    }
    CHECK_EQ(seen + 5, total);
    CHECK_STR(client.got, "0\r\n\r\n");
    client.len = 0;
    client_send(&dialogue, &client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &client, "\r\n\r\nhello");
    CHECK_EQ(cafe.gone, 0);
    client_close(&client);
    dialogue_close(&dialogue);
}

TEST(streams_for_old_clients_for_head_and_for_those_who_leave)
{
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER, .cookie = &cafe});
    client_open(&dialogue, &client);
    client_send(&dialogue, &client, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    client_expect(&dialogue, &client, "Connection: close\r\n\r\n");
    CHECK_OK(http_stream_write(cafe.streaming, STR("bare")));
    http_stream_end(cafe.streaming);
    client_expect(&dialogue, &client, "bare");
    client_expect_end(&dialogue, &client);

    client_open(&dialogue, &client);
    client_send(&dialogue, &client, "HEAD /stream HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &client, "\r\n\r\n");
    CHECK_OK(http_stream_write(cafe.streaming, STR("never seen")));
    http_stream_end(cafe.streaming);
    client_send(&dialogue, &client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &client, "HTTP/1.1 200 OK");
    client_close(&client);

    client_open(&dialogue, &client);
    client_send(&dialogue, &client, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &client, "\r\n\r\n");
    client_close(&client);
    while (cafe.gone == 0)
        dialogue_turn(&dialogue, -1);
    CHECK_EQ(cafe.gone, 1);

    client_open(&dialogue, &client);
    client_send(&dialogue, &client, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &client, "\r\n\r\n");
    http_stream_abort(cafe.streaming);
    client_expect_end(&dialogue, &client); /* no final chunk */
    CHECK_EQ(cafe.gone, 1);
    dialogue_close(&dialogue);
}

TEST(upgrade_hands_over_every_byte)
{
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER, .cookie = &cafe});
    client_open(&dialogue, &client);
    client_send(&dialogue, &client,
                "GET /upgrade HTTP/1.1\r\n" HOST
                "Connection: Upgrade\r\nUpgrade: echo\r\n\r\nearly");
    client_expect(&dialogue, &client, "HTTP/1.1 101 Switching Protocols\r\n");
    client_expect(&dialogue, &client, "Upgrade: echo\r\nConnection: Upgrade\r\n\r\nearly");
    client_send(&dialogue, &client, " later");
    client_expect(&dialogue, &client, " later");
    CHECK_STR(cafe.stream_got, "early later");
    stream_pause(cafe.stream, true);
    client_send(&dialogue, &client, " paused");
    loop_turn(dialogue.loop);
    loop_turn(dialogue.loop);
    CHECK_STR(cafe.stream_got, "early later");
    stream_pause(cafe.stream, false);
    client_expect(&dialogue, &client, " paused");
    client_send(&dialogue, &client, "bye.");
    client_expect(&dialogue, &client, "bye.");
    client_expect_end(&dialogue, &client);
    CHECK_EQ(cafe.gone, 0); /* closed by its owner: not told */

    client_open(&dialogue, &client);
    client_send(&dialogue, &client, "GET /upgrade HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &client, "\r\n\r\n");
    client_close(&client);
    while (cafe.gone == 0)
        dialogue_turn(&dialogue, -1);
    CHECK(cafe.stream == NULL);
    dialogue_close(&dialogue);
}

TEST(listen_addresses)
{
    static const struct {
        const char *listen;
        enum err err;
    } table[] = {
        {"127.0.0.1:0", ERR_OK},
        {"localhost:0", ERR_OK},
        {"0.0.0.0:0", ERR_OK},
        {"127.0.0.1", ERR_INPUT},
        {":80", ERR_INPUT},
        {"", ERR_INPUT},
        {"127.0.0.1:x", ERR_INPUT},
        {"127.0.0.1:65536", ERR_INPUT},
        {"cafe.example:80", ERR_INPUT},
        {"[::1", ERR_INPUT},
        {"[::1]", ERR_INPUT},
        {"::1:80", ERR_INPUT},
    };
    struct loop *loop;
    CHECK_OK(loop_create(&loop));
    struct http_options options = {.handler = CAFE_HANDLER};
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        struct http_server *server = NULL;
        options.listen = table[i].listen;
        NOTE("%s", table[i].listen);
        CHECK_ERR(http_server_create(loop, &options, &server), table[i].err);
        if (table[i].err == ERR_OK)
            CHECK(http_server_port(server) != 0);
        http_server_destroy(server);
    }
    loop_destroy(loop);

    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER});
    char taken[32];
    snprintf(taken, sizeof(taken), "127.0.0.1:%u", http_server_port(dialogue.server));
    options.listen = taken;
    struct http_server *second;
    CHECK_ERR(http_server_create(dialogue.loop, &options, &second), ERR_CONFLICT);
    dialogue_close(&dialogue);
}

static void exchange(struct dialogue *dialogue, const char *request)
{
    client_open(dialogue, &client);
    client_send(dialogue, &client, request);
    shutdown(client.fd, SHUT_WR);
    while (!client.eof) { /* answered or dropped, but never left alone */
        dialogue_turn(dialogue, client.fd);
        client_receive(&client);
    }
    client_close(&client);
}

TEST(every_failed_allocation_costs_one_connection_at_most)
{
    static const char request[] =
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
        "GET /hello HTTP/1.1\r\n" HOST "\r\nGET /big/copied HTTP/1.1\r\n" HOST
        "Connection: close\r\n\r\n";
    struct cafe cafe = {.big_bytes = 30 * KIB};
    cafe.big = mem_zalloc(cafe.big_bytes);
    for (uint32_t nth = 1;; nth++) {
        NOTE("allocation %u fails", nth);
        struct dialogue dialogue = {0};
        const struct http_options options = {
            .listen = "127.0.0.1:0", .handler = CAFE_HANDLER, .cookie = &cafe};
        mem_fail_at(nth);
        enum err err = loop_create(&dialogue.loop);
        if (err == ERR_OK)
            err = http_server_create(dialogue.loop, &options, &dialogue.server);
        if (err == ERR_OK)
            exchange(&dialogue, request);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        if (err == ERR_OK) {
            exchange(&dialogue, request); /* it goes on as if nothing had been */
            CHECK(cafe.requests > 0);
        }
        dialogue_close(&dialogue);
        if (!fired)
            break;
        CHECK(err == ERR_OK || err == ERR_NOMEM);
    }
    mem_free(cafe.big);
}

TEST(every_cut_request_is_survived)
{
    static const char request[] =
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc";
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER, .cookie = &cafe});
    for (size_t len = 0; len < sizeof(request); len++) {
        char cut[sizeof(request)];
        memcpy(cut, request, len);
        cut[len] = '\0';
        exchange(&dialogue, cut);
    }
    struct http_stats stats;
    http_server_stats(dialogue.server, &stats);
    CHECK_EQ(stats.connections, 0);
    client_open(&dialogue, &other);
    client_send(&dialogue, &other, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &other, "hello");
    client_close(&other);
    dialogue_close(&dialogue);
}
