/* Clients that do not behave: too much, too slow, too many, gone; and the end of the server. */
#include "dialogue.h"
#include "http_test_handler.h"
#include <stdlib.h>

static struct client client, other, third;

#define HOST "Host: cafe.example\r\n"

TEST(a_hostile_head_gets_its_status_and_the_end)
{
    static const struct {
        const char *request, *status;
    } table[] = {
        {"POST /echo HTTP/1.1\r\n" HOST
         "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "HTTP/1.1 400 Bad Request\r\n"},
        {"BREW /pot HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 501 Not Implemented\r\n"},
        {"GET / HTTP/3.0\r\n" HOST "\r\n", "HTTP/1.1 505 "},
        {"GET / HTTP/1.1\n", "HTTP/1.1 400 "},
        {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
         "HTTP/1.1 400 "},
        {"GET /hello HTTP/1.1\r\n" HOST "\r\nGARBAGE\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
    };
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER, .cookie = &cafe});
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        client_open(&dialogue, &client);
        client_send(&dialogue, &client, table[i].request);
        client_expect(&dialogue, &client, table[i].status);
        if (i == ARRAY_COUNT(table) - 1)
            client_expect(&dialogue, &client, "helloHTTP/1.1 400 Bad Request\r\n");
        client_expect(&dialogue, &client, "Content-Type: application/problem+json\r\n");
        client_expect(&dialogue, &client, "Connection: close\r\n\r\n{\"type\":\"about:blank\",");
        client_expect(&dialogue, &client, "\"}");
        client_expect_end(&dialogue, &client);
    }
    CHECK_EQ(cafe.requests, 1);
    dialogue_close(&dialogue);
}

static void fill(char *text, size_t bytes, const char *begin)
{
    memset(text, 'a', bytes);
    text[bytes - 1] = '\0';
    memcpy(text, begin, strlen(begin));
}

TEST(heads_that_never_end)
{
    static char text[HTTP_HEAD_BYTES_MAX + 64];
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER, .cookie = &cafe});
    fill(text, HTTP_TARGET_BYTES_MAX + 200, "GET /");
    client_open(&dialogue, &client);
    client_send(&dialogue, &client, text);
    client_expect(&dialogue, &client, "HTTP/1.1 414 URI Too Long\r\n");
    client_expect(&dialogue, &client, "\"}");
    client_expect_end(&dialogue, &client);
    fill(text, sizeof(text), "GET / HTTP/1.1\r\nX: ");
    client_open(&dialogue, &client);
    client_send(&dialogue, &client, text);
    client_expect(&dialogue, &client, "HTTP/1.1 431 ");
    client_expect(&dialogue, &client, "\"}");
    client_expect_end(&dialogue, &client);
    dialogue_close(&dialogue);
}

TEST(bodies_over_the_limit)
{
    static const struct {
        const char *request;
        const char *status;
    } table[] = {
        {"POST /small HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n0123456789", "HTTP/1.1 200"},
        {"POST /small HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\n", "HTTP/1.1 413"},
        {"POST /small HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\n0123456789a", "HTTP/1.1 413"},
        {"POST /small HTTP/1.1\r\n" HOST
         "Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n",
         "HTTP/1.1 200"},
        {"POST /small HTTP/1.1\r\n" HOST
         "Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n1\r\na",
         "HTTP/1.1 413"},
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1048577\r\n\r\n", "HTTP/1.1 413"},
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551615\r\n\r\n",
         "HTTP/1.1 413"},
        /* Refused by its route before the body came: the rest is not taken for a request. */
        {"POST /denied HTTP/1.1\r\n" HOST "Content-Length: 99\r\n\r\nGET /hello HTTP/1.1\r\n" HOST
         "\r\n",
         "HTTP/1.1 401"},
    };
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER, .cookie = &cafe});
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        NOTE("%s", table[i].request);
        client_open(&dialogue, &client);
        client_send(&dialogue, &client, table[i].request);
        client_expect(&dialogue, &client, table[i].status);
        if (strstr(table[i].status, "200") != NULL) {
            client_close(&client);
            continue;
        }
        client_expect(&dialogue, &client, "Connection: close\r\n\r\n");
        client_expect(&dialogue, &client, strstr(table[i].status, "413") != NULL ? "\"}" : "no");
        client_expect_end(&dialogue, &client);
    }
    CHECK_EQ(cafe.requests, 2);
    /* Refused when its whole body had come: that is skipped, and the connection goes on. */
    client_open(&dialogue, &client);
    client_send(&dialogue, &client,
                "POST /denied HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\nGET /hello "
                "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &client, "Content-Length: 2\r\n\r\nno");
    client_expect(&dialogue, &client, "Content-Length: 5\r\n\r\nhello");
    CHECK_EQ(cafe.requests, 3);
    client_close(&client);
    dialogue_close(&dialogue);
}

/* A reset would tell the client nothing: it may go on sending for a while, and then reads why not.
 */
TEST(a_refused_upload_is_not_cut_off)
{
    static char lump[200 * 1024];
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER, .cookie = &cafe});
    client_open(&dialogue, &client);
    client_send(&dialogue, &client,
                "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1048577\r\n\r\n");
    client_expect(&dialogue, &client, "HTTP/1.1 413 Content Too Large\r\n");
    for (int i = 0; i < 3; i++)
        CHECK(client_send_bytes(&dialogue, &client, lump, sizeof(lump)));
    client_expect(&dialogue, &client, "\"}");
    client_expect_end(&dialogue, &client);
    dialogue_close(&dialogue);
}

TEST(a_megabyte_is_taken_as_it_comes)
{
    static char text[MIB + 256];
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER, .cookie = &cafe});
    fill(text, sizeof(text), "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1048576\r\n\r\n");
    size_t head = (size_t)(strstr(text, "\r\n\r\n") - text) + 4;
    client_open(&dialogue, &client);
    client_send_bytes(&dialogue, &client, text, head + MIB);
    client_expect(&dialogue, &client, "HTTP/1.1 200 OK\r\n");
    client_expect(&dialogue, &client, "Content-Length: 1048576\r\n\r\n");
    client_close(&client);
    dialogue_close(&dialogue);
}

/* The header comes byte by byte and would never end: an idle timer would never fire either. */
TEST(a_trickled_head_is_closed_on_time)
{
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){
                                 .handler = CAFE_HANDLER, .cookie = &cafe, .head_timeout_ms = 60});
    client_open(&dialogue, &client);
    CHECK(client_send(&dialogue, &client, "GET /hello HTTP/1.1\r\n" HOST "X-Slow: "));
    do {
        if (client.len == 0)
            (void)send(client.fd, "a", 1, MSG_NOSIGNAL);
        struct pollfd fd = {.fd = client.fd, .events = POLLIN};
        poll(&fd, 1, 1);
        loop_turn(dialogue.loop);
        client_receive(&client);
        CHECK(!dialogue.impatient);
    } while (client.len == 0);
    client_expect(&dialogue, &client, "HTTP/1.1 408 Request Timeout\r\n");
    client_expect(&dialogue, &client, "\"}");
    client_expect_end(&dialogue, &client);
    struct http_stats stats;
    http_server_stats(dialogue.server, &stats);
    CHECK_EQ(stats.timeouts, 1);
    dialogue_close(&dialogue);
}

TEST(a_body_that_stays_away_and_a_client_that_says_nothing)
{
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER,
                                                    .cookie = &cafe,
                                                    .body_timeout_ms = 50,
                                                    .idle_timeout_ms = 50});
    client_open(&dialogue, &client);
    client_send(&dialogue, &client, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nab");
    client_expect(&dialogue, &client, "HTTP/1.1 408 Request Timeout\r\n");
    client_expect(&dialogue, &client, "\"}");
    client_expect_end(&dialogue, &client);

    client_open(&dialogue, &client);
    client_send(&dialogue, &client,
                "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    client_expect(&dialogue, &client, "HTTP/1.1 408 Request Timeout\r\n");
    client_close(&client);

    client_open(&dialogue, &client);
    client_expect_end(&dialogue, &client); /* never spoke: no answer either */

    client_open(&dialogue, &client);
    client_send(&dialogue, &client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &client, "\r\n\r\nhello");
    client_expect_end(&dialogue, &client); /* spoke, then was silent */
    dialogue_close(&dialogue);
}

TEST(a_parked_request_has_no_deadline_here)
{
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER,
                                                    .cookie = &cafe,
                                                    .head_timeout_ms = 50,
                                                    .body_timeout_ms = 50,
                                                    .write_timeout_ms = 50,
                                                    .idle_timeout_ms = 50});
    client_open(&dialogue, &client);
    client_send(&dialogue, &client, "GET /park HTTP/1.1\r\n" HOST "\r\n");
    client_open(&dialogue, &other);
    client_expect_end(&dialogue, &other); /* so long that the idle one is gone */
    client_open(&dialogue, &other);
    client_expect_end(&dialogue, &other);
    CHECK_EQ(cafe.parked_count, 1);
    CHECK_EQ(cafe.gone, 0);
    cafe_wake(&cafe, 0, "woken");
    client_expect(&dialogue, &client, "\r\n\r\nwoken");
    client_close(&client);
    dialogue_close(&dialogue);
}

TEST(a_reader_that_does_not_read_is_dropped)
{
    struct cafe cafe = {.big_bytes = 20 * MIB};
    cafe.big = mem_zalloc(cafe.big_bytes);
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER,
                                                    .cookie = &cafe,
                                                    .write_timeout_ms = 50,
                                                    .rate_bytes_s = 1024 * MIB});
    client_open(&dialogue, &client);
    client_send(&dialogue, &client, "GET /big HTTP/1.1\r\n" HOST "\r\n");
    client_open(&dialogue, &other);
    client_send(&dialogue, &other, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &other, "\r\n\r\n");
    while (http_stream_write(cafe.streaming, (struct str){cafe.big, MIB}) == ERR_OK)
        ;
    while (cafe.freed == 0 || cafe.gone == 0)
        dialogue_turn(&dialogue, -1);
    struct http_stats stats;
    http_server_stats(dialogue.server, &stats);
    CHECK_EQ(stats.connections, 0);
    CHECK_EQ(stats.timeouts, 2);
    client_close(&client);
    client_close(&other);
    dialogue_close(&dialogue);
    mem_free(cafe.big);
}

TEST(parked_clients_that_leave)
{
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER, .cookie = &cafe});
    client_open(&dialogue, &client);
    client_send(&dialogue, &client, "GET /park HTTP/1.1\r\n" HOST "\r\n");
    while (cafe.parked_count == 0)
        dialogue_turn(&dialogue, -1);
    struct http_stats stats;
    http_server_stats(dialogue.server, &stats);
    CHECK_EQ(stats.parked, 1);
    client_close(&client);
    while (cafe.gone == 0)
        dialogue_turn(&dialogue, -1);
    CHECK_EQ(cafe.gone, 1);
    http_server_stats(dialogue.server, &stats);
    CHECK_EQ(stats.parked, 0);
    CHECK_EQ(stats.connections, 0);

    /* One whose handler does not want to hear of it: its request stays valid. */
    for (int turns = 0; turns < 2; turns++) {
        client_open(&dialogue, &client);
        client_send(&dialogue, &client, "GET /park/regardless HTTP/1.1\r\n" HOST "\r\n");
        size_t index = cafe.parked_count;
        while (cafe.parked_count == index)
            dialogue_turn(&dialogue, -1);
        client_close(&client);
        do {
            dialogue_turn(&dialogue, -1);
            http_server_stats(dialogue.server, &stats);
        } while (stats.connections != 0);
        if (turns == 0)
            loop_turn(dialogue.loop);
        char peer[HTTP_PEER_BYTES];
        http_peer(cafe.parked[index], peer);
        CHECK_STR(peer, "127.0.0.1");
        cafe_wake(&cafe, index, "to nobody");
    }
    CHECK_EQ(cafe.gone, 1);

    /* By reset. */
    client_open(&dialogue, &client);
    client_send(&dialogue, &client, "GET /park HTTP/1.1\r\n" HOST "\r\n");
    size_t parked_before = cafe.parked_count;
    while (cafe.parked_count == parked_before)
        dialogue_turn(&dialogue, -1);
    setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    client_close(&client);
    while (cafe.gone == 1)
        dialogue_turn(&dialogue, -1);
    dialogue_close(&dialogue);
}

/* What a client pipelines behind a parked request is kept only up to a bound, and its leaving is
 * noticed all the same. */
TEST(a_flood_behind_a_parked_request)
{
    static char flood[64 * 1024];
    memset(flood, 'G', sizeof(flood));
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER, .cookie = &cafe});
    client_open(&dialogue, &client);
    client_send(&dialogue, &client, "GET /park HTTP/1.1\r\n" HOST "\r\n");
    size_t sent = 0;
    for (int idle = 0; idle < 50;) {
        ssize_t took = send(client.fd, flood, sizeof(flood), MSG_NOSIGNAL);
        idle = took > 0 ? 0 : idle + 1;
        sent += took > 0 ? (size_t)took : 0;
        loop_turn(dialogue.loop);
    }
    struct http_stats stats;
    http_server_stats(dialogue.server, &stats);
    CHECK(stats.bytes_in < 256 * KIB);
    CHECK(sent > stats.bytes_in);
    /* Its half-close would wait behind all those bytes; a reset does not. */
    setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    client_close(&client);
    while (cafe.gone == 0)
        dialogue_turn(&dialogue, -1);
    dialogue_close(&dialogue);
}

TEST(too_many_connections)
{
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){
                                 .handler = CAFE_HANDLER, .cookie = &cafe, .connections_max = 2});
    client_open(&dialogue, &client);
    client_send(&dialogue, &client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_open(&dialogue, &other);
    client_send(&dialogue, &other, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &other, "hello");
    client_open(&dialogue, &third);
    client_send(&dialogue, &third, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &third, "HTTP/1.1 503 Service Unavailable\r\n");
    client_expect(&dialogue, &third, "Retry-After: 5\r\nConnection: close\r\n\r\n{");
    client_expect(&dialogue, &third, "\"overloaded\"}");
    client_expect_end(&dialogue, &third);
    client_close(&other);
    struct http_stats stats;
    do {
        dialogue_turn(&dialogue, -1);
        http_server_stats(dialogue.server, &stats);
    } while (stats.connections == 2);
    CHECK_EQ(stats.refused, 1);
    client_open(&dialogue, &third);
    client_send(&dialogue, &third, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &third, "\r\n\r\nhello");
    client_close(&third);
    client_close(&client);
    dialogue_close(&dialogue);
}

TEST(too_many_from_one_address)
{
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){
                                 .handler = CAFE_HANDLER, .cookie = &cafe, .per_address_max = 1});
    client_open(&dialogue, &client);
    client_send(&dialogue, &client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &client, "hello");
    client_open(&dialogue, &other);
    client_expect_end(&dialogue, &other);
    client_send(&dialogue, &client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &client, "hello");
    client_close(&client);
    struct http_stats stats;
    do {
        dialogue_turn(&dialogue, -1);
        http_server_stats(dialogue.server, &stats);
    } while (stats.connections != 0);
    client_open(&dialogue, &other);
    client_send(&dialogue, &other, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &other, "hello");
    client_close(&other);
    dialogue_close(&dialogue);
}

/* ---- the end
 * -------------------------------------------------------------------------------------------------
 */

static void note_stopped(void *cookie)
{
    ((struct dialogue *)cookie)->stopped = true;
}

TEST(stopping_answers_what_is_parked_and_lets_what_is_half_sent_finish)
{
    struct cafe cafe = {.answer_on_stop = true};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER, .cookie = &cafe});
    client_open(&dialogue, &client);
    client_send(&dialogue, &client, "GET /park HTTP/1.1\r\n" HOST "\r\n");
    client_open(&dialogue, &other);
    client_send(&dialogue, &other, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\na");
    client_open(&dialogue, &third);
    client_send(&dialogue, &third, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &third, "hello");
    while (cafe.parked_count == 0)
        dialogue_turn(&dialogue, -1);
    http_server_stop(dialogue.server, note_stopped, &dialogue);
    CHECK_EQ(cafe.stops, 1);
    CHECK(!dialogue.stopped);
    client_expect(&dialogue, &client, "HTTP/1.1 204 No Content\r\n");
    client_expect(&dialogue, &client, "Connection: close\r\n\r\n");
    client_expect_end(&dialogue, &client);
    client_expect_end(&dialogue, &third); /* was idle */
    CHECK(!dialogue.stopped);
    client_send(&dialogue, &other, "bc");
    client_expect(&dialogue, &other, "Connection: close\r\n\r\nabc");
    client_expect_end(&dialogue, &other);
    while (!dialogue.stopped)
        dialogue_turn(&dialogue, -1);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(http_server_port(dialogue.server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0);
    close(fd);
    CHECK_EQ(cafe.gone, 0);
    dialogue_close(&dialogue);
}

TEST(stopping_does_not_wait_for_ever)
{
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){
                                 .handler = CAFE_HANDLER, .cookie = &cafe, .stop_timeout_ms = 30});
    client_open(&dialogue, &client);
    client_send(&dialogue, &client, "GET /park HTTP/1.1\r\n" HOST "\r\n");
    client_open(&dialogue, &other);
    client_send(&dialogue, &other, "GET /hello HT");
    client_open(&dialogue, &third);
    client_send(&dialogue, &third, "GET /upgrade HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&dialogue, &third, "\r\n\r\n");
    while (cafe.parked_count == 0)
        dialogue_turn(&dialogue, -1);
    http_server_stop(dialogue.server, note_stopped, &dialogue);
    while (!dialogue.stopped)
        dialogue_turn(&dialogue, -1);
    CHECK_EQ(cafe.gone, 2); /* the parked one and the stream */
    client_expect(&dialogue, &client, "HTTP/1.1 503 Service Unavailable\r\n");
    client_expect(&dialogue, &client, "Connection: close\r\n\r\n");
    client_expect_end(&dialogue, &client);
    client_expect_end(&dialogue, &other);
    client_expect_end(&dialogue, &third);
    dialogue_close(&dialogue);
}

TEST(stopping_an_idle_server_and_destroying_a_busy_one)
{
    struct cafe cafe = {0};
    struct dialogue dialogue;
    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER, .cookie = &cafe});
    http_server_stop(dialogue.server, note_stopped, &dialogue);
    CHECK(!dialogue.stopped); /* never inside the call */
    while (!dialogue.stopped)
        dialogue_turn(&dialogue, -1);
    dialogue_close(&dialogue);

    dialogue_open(&dialogue, &(struct http_options){.handler = CAFE_HANDLER, .cookie = &cafe});
    client_open(&dialogue, &client);
    client_send(&dialogue, &client, "GET /park HTTP/1.1\r\n" HOST "\r\n");
    while (cafe.parked_count < 1)
        dialogue_turn(&dialogue, -1);
    client_open(&dialogue, &other);
    client_send(&dialogue, &other, "GET /park/regardless HTTP/1.1\r\n" HOST "\r\n");
    while (cafe.parked_count < 2)
        dialogue_turn(&dialogue, -1);
    dialogue_close(&dialogue);
    CHECK_EQ(cafe.gone, 1);
    cafe_wake(&cafe, 1, "after the end"); /* its request outlives even the loop */
    client_close(&client);
    client_close(&other);
}
