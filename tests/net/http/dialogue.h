/* A server and its clients on one loop: clients speak raw bytes over real sockets, and every wait
 * for an answer is a wait on the loop, with one deadline that only a broken server reaches. */
#ifndef AUTOMAT_TESTS_HTTP_DIALOGUE_H
#define AUTOMAT_TESTS_HTTP_DIALOGUE_H

#include "kit/kit.h"
#include "net/http/http.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#define DIALOGUE_PATIENCE_MS 20000

struct client {
    int fd;
    char got[64 * 1024];
    size_t len;
    bool eof;
};

struct dialogue {
    struct loop *loop;
    struct http_server *server;
    struct loop_timer *patience;
    bool impatient;
    bool stopped;
};

static inline void dialogue_impatient(void *cookie)
{
    ((struct dialogue *)cookie)->impatient = true;
}

/* Let the loop work until it or this client has something to do, and do it. */
static inline void dialogue_turn(struct dialogue *dialogue, int client_fd)
{
    uv_loop_t *uv = loop_uv(dialogue->loop);
    struct pollfd fds[2] = {{.fd = uv_backend_fd(uv), .events = POLLIN},
                            {.fd = client_fd, .events = POLLIN}};
    /* The first turn may already bring what the caller waits for: so a short wait only. */
    loop_turn(dialogue->loop);
    int wait_ms = uv_backend_timeout(uv);
    poll(fds, client_fd >= 0 ? 2 : 1, wait_ms < 0 || wait_ms > 5 ? 5 : wait_ms);
    loop_turn(dialogue->loop);
    CHECK(!dialogue->impatient);
}

static inline void dialogue_open(struct dialogue *dialogue, const struct http_options *options)
{
    struct http_options filled = *options;
    if (filled.listen == NULL)
        filled.listen = "127.0.0.1:0";
    *dialogue = (struct dialogue){0};
    CHECK_OK(loop_create(&dialogue->loop));
    CHECK_OK(http_server_create(dialogue->loop, &filled, &dialogue->server));
    CHECK_OK(loop_timer_create(dialogue->loop, dialogue_impatient, dialogue, &dialogue->patience));
    loop_timer_set(dialogue->patience, loop_now_ms(dialogue->loop) + DIALOGUE_PATIENCE_MS);
}

static inline void dialogue_close(struct dialogue *dialogue)
{
    http_server_destroy(dialogue->server);
    loop_timer_destroy(dialogue->patience);
    loop_destroy(dialogue->loop);
}

static inline int dialogue_connect(const struct dialogue *dialogue)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(http_server_port(dialogue->server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_EQ(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0); /* into the backlog */
    CHECK_EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static inline void client_open(const struct dialogue *dialogue, struct client *client)
{
    client->len = 0;
    client->got[0] = '\0';
    client->eof = false;
    client->fd = dialogue_connect(dialogue);
}

static inline void client_close(struct client *client)
{
    close(client->fd);
    client->fd = -1;
}

/* False: the server has closed. */
static inline bool client_send_bytes(struct dialogue *dialogue, struct client *client,
                                     const char *bytes, size_t len)
{
    while (len != 0) {
        ssize_t sent = send(client->fd, bytes, len, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return false;
        if (sent > 0) {
            bytes += sent;
            len -= (size_t)sent;
        }
        loop_turn(dialogue->loop);
        CHECK(!dialogue->impatient);
    }
    return true;
}

static inline bool client_send(struct dialogue *dialogue, struct client *client, const char *text)
{
    return client_send_bytes(dialogue, client, text, strlen(text));
}

static inline void client_receive(struct client *client)
{
    while (!client->eof && client->len < sizeof(client->got) - 1) {
        ssize_t got =
            recv(client->fd, client->got + client->len, sizeof(client->got) - 1 - client->len, 0);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0)
            client->eof = true;
        else
            client->len += (size_t)got;
        client->got[client->len] = '\0';
    }
}

/* Forget all but the last `keep` bytes; how many were forgotten. */
static inline size_t client_forget(struct client *client, size_t keep)
{
    size_t drop = client->len > keep ? client->len - keep : 0;
    memmove(client->got, client->got + drop, client->len - drop + 1);
    client->len -= drop;
    return drop;
}

/* Wait until the client has this text, then forget everything up to its end. */
static inline void client_expect(struct dialogue *dialogue, struct client *client, const char *text)
{
    char *found;
    client_receive(client);
    while ((found = strstr(client->got, text)) == NULL) {
        NOTE("waiting for \"%s\"; so far \"%s\"%s", text, client->got,
             client->eof ? ", closed" : "");
        CHECK(!client->eof);
        dialogue_turn(dialogue, client->fd);
        client_receive(client);
    }
    size_t used = (size_t)(found - client->got) + strlen(text);
    memmove(client->got, client->got + used, client->len - used + 1);
    client->len -= used;
}

/* Wait until the server has closed, having said nothing more. */
static inline void client_expect_end(struct dialogue *dialogue, struct client *client)
{
    client_receive(client);
    while (!client->eof) {
        NOTE("waiting for the end; so far \"%s\"", client->got);
        dialogue_turn(dialogue, client->fd);
        client_receive(client);
    }
    NOTE("at the end");
    CHECK_STR(client->got, "");
    client_close(client);
}

#endif
