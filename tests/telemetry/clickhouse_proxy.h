/* A thread between the sink and ClickHouse that does what networks do to the next INSERT. */
#ifndef AUTOMAT_TESTS_CLICKHOUSE_PROXY_H
#define AUTOMAT_TESTS_CLICKHOUSE_PROXY_H

#include <pthread.h>

#include "telemetry/clickhouse_server.h"

/* What happens to the next INSERT that passes; afterwards everything passes again. */
enum proxy_fault {
    PROXY_NONE,
    PROXY_SWALLOW,    /* it arrives, its answer does not */
    PROXY_CUT,        /* only the first `cut` bytes of its body arrive */
    PROXY_KILL_AFTER, /* the server answers, and is killed before anybody hears it */
    PROXY_KILL_AMID,  /* the server is killed when it has been given the last byte */
    PROXY_LIE,        /* it does not arrive, and the answer is somebody's page */
    PROXY_HOLD,       /* it does not arrive, and nobody says anything */
};

struct proxy {
    struct clickhouse_server *server;
    int listener;
    unsigned port;
    pthread_t thread;
    atomic_bool stop;
    atomic_int fault, done, inserts;
    atomic_size_t cut;
    atomic_size_t page; /* not 0: whatever is asked, the answer is a page of so many bytes */
};

#define PROXY_PAIRS 16
struct proxy_pair {
    int client, server; /* -1: none */
    char head[64 * 1024];
    size_t head_len, body_left;
    bool insert; /* the request that passes is one, with a fault on it */
    enum proxy_fault fault;
};

static inline void proxy_close(struct proxy_pair *pair)
{
    if (pair->client >= 0)
        close(pair->client);
    if (pair->server >= 0)
        close(pair->server);
    *pair = (struct proxy_pair){.client = -1, .server = -1};
}

static inline bool proxy_put(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t put = send(fd, bytes, len, MSG_NOSIGNAL);
        if (put <= 0)
            return false;
        bytes += put;
        len -= (size_t)put;
    }
    return true;
}

static inline int proxy_dial(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* A whole head of a request is in pair->head: what is it, and what happens to it? */
static inline void proxy_judge(struct proxy *proxy, struct proxy_pair *pair, const char *end)
{
    const char *length = strstr(pair->head, "Content-Length: ");
    pair->body_left = length != NULL && length < end ? strtoul(length + 16, NULL, 10) : 0;
    pair->insert = strstr(pair->head, "query=INSERT") != NULL;
    pair->fault = PROXY_NONE;
    if (pair->insert) {
        proxy->inserts++;
        pair->fault = (enum proxy_fault)atomic_exchange(&proxy->fault, PROXY_NONE);
        if (pair->fault == PROXY_CUT)
            pair->body_left = proxy->cut;
    }
    if (proxy->page > 0)
        pair->fault = PROXY_LIE;
}

static inline void proxy_happened(struct proxy *proxy, struct proxy_pair *pair)
{
    if (pair->fault == PROXY_KILL_AFTER || pair->fault == PROXY_KILL_AMID)
        clickhouse_kill(proxy->server);
    proxy->done++;
    proxy_close(pair);
}

static inline void proxy_page(struct proxy_pair *pair, size_t len)
{
    char head[128];
    int head_len =
        snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len);
    bool goes = proxy_put(pair->client, head, (size_t)head_len);
    for (size_t i = 0; goes && i < len; i++)
        goes = proxy_put(pair->client, "x", 1);
}

/* Bytes of a body go on; false when the pair is over. */
static inline bool proxy_body(struct proxy *proxy, struct proxy_pair *pair, const char *bytes,
                              size_t len)
{
    size_t take = len < pair->body_left ? len : pair->body_left;
    bool kept = pair->fault == PROXY_LIE || pair->fault == PROXY_HOLD;
    if (!kept && !proxy_put(pair->server, bytes, take)) {
        proxy_close(pair);
        return false;
    }
    pair->body_left -= take;
    if (pair->body_left > 0)
        return true;
    if (pair->fault == PROXY_LIE)
        proxy_page(pair, proxy->page > 0 ? proxy->page : 5);
    if (pair->fault == PROXY_CUT || pair->fault == PROXY_KILL_AMID || pair->fault == PROXY_LIE) {
        proxy_happened(proxy, pair);
        return false;
    }
    if (pair->fault == PROXY_HOLD)
        proxy->done++;
    return true;
}

static inline void proxy_from_client(struct proxy *proxy, struct proxy_pair *pair)
{
    char bytes[16 * 1024];
    ssize_t got = recv(pair->client, bytes, sizeof(bytes), 0);
    if (got <= 0) {
        proxy_close(pair);
        return;
    }
    if (pair->body_left > 0) {
        (void)proxy_body(proxy, pair, bytes, (size_t)got);
        return;
    }
    if ((size_t)got > sizeof(pair->head) - 1 - pair->head_len) {
        proxy_close(pair);
        return;
    }
    memcpy(pair->head + pair->head_len, bytes, (size_t)got);
    pair->head_len += (size_t)got;
    pair->head[pair->head_len] = '\0';
    char *end = memmem(pair->head, pair->head_len, "\r\n\r\n", 4);
    if (end == NULL)
        return;
    end += 4;
    size_t head_len = (size_t)(end - pair->head);
    size_t rest = pair->head_len - head_len;
    pair->head_len = 0;
    proxy_judge(proxy, pair, end);
    bool kept = pair->fault == PROXY_LIE || pair->fault == PROXY_HOLD;
    if (!kept && !proxy_put(pair->server, pair->head, head_len)) {
        proxy_close(pair);
        return;
    }
    if (rest > 0 || pair->body_left == 0) {
        static char copy[64 * 1024]; /* one thread */
        memcpy(copy, end, rest);
        (void)proxy_body(proxy, pair, copy, rest);
    }
}

static inline void proxy_from_server(struct proxy *proxy, struct proxy_pair *pair)
{
    char bytes[16 * 1024];
    ssize_t got = recv(pair->server, bytes, sizeof(bytes), 0);
    if (got > 0 && (pair->fault == PROXY_SWALLOW || pair->fault == PROXY_KILL_AFTER))
        proxy_happened(proxy, pair);
    else if (got <= 0 || !proxy_put(pair->client, bytes, (size_t)got))
        proxy_close(pair);
}

static inline void proxy_accept(struct proxy *proxy, struct proxy_pair *pairs)
{
    int client = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC);
    for (unsigned i = 0; client >= 0 && i < PROXY_PAIRS; i++) {
        if (pairs[i].client >= 0)
            continue;
        pairs[i].client = client;
        pairs[i].server = proxy_dial(proxy->server->port);
        if (pairs[i].server < 0)
            proxy_close(&pairs[i]);
        return;
    }
    if (client >= 0)
        close(client);
}

static inline void *proxy_run(void *cookie)
{
    static struct proxy_pair pairs[PROXY_PAIRS];
    struct proxy *proxy = cookie;
    for (unsigned i = 0; i < PROXY_PAIRS; i++)
        pairs[i] = (struct proxy_pair){.client = -1, .server = -1};
    while (!proxy->stop) {
        struct pollfd fds[1 + 2 * PROXY_PAIRS];
        fds[0] = (struct pollfd){.fd = proxy->listener, .events = POLLIN};
        for (unsigned i = 0; i < PROXY_PAIRS; i++) {
            fds[1 + 2 * i] = (struct pollfd){.fd = pairs[i].client, .events = POLLIN};
            fds[2 + 2 * i] = (struct pollfd){.fd = pairs[i].server, .events = POLLIN};
        }
        if (poll(fds, ARRAY_COUNT(fds), 20) <= 0)
            continue;
        for (unsigned i = 0; i < PROXY_PAIRS; i++) {
            if (fds[1 + 2 * i].revents != 0 && pairs[i].client >= 0)
                proxy_from_client(proxy, &pairs[i]);
            if (fds[2 + 2 * i].revents != 0 && pairs[i].server >= 0)
                proxy_from_server(proxy, &pairs[i]);
        }
        if (fds[0].revents != 0)
            proxy_accept(proxy, pairs);
    }
    for (unsigned i = 0; i < PROXY_PAIRS; i++)
        proxy_close(&pairs[i]);
    return NULL;
}

static inline struct proxy *proxy_make(struct clickhouse_server *server)
{
    static struct proxy proxy;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    memset(&proxy, 0, sizeof(proxy));
    proxy.server = server;
    proxy.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(proxy.listener >= 0);
    CHECK_EQ(bind(proxy.listener, (struct sockaddr *)&address, len), 0);
    CHECK_EQ(getsockname(proxy.listener, (struct sockaddr *)&address, &len), 0);
    CHECK_EQ(listen(proxy.listener, 16), 0);
    proxy.port = ntohs(address.sin_port);
    CHECK_EQ(pthread_create(&proxy.thread, NULL, proxy_run, &proxy), 0);
    return &proxy;
}

static inline void proxy_fault_next(struct proxy *proxy, enum proxy_fault fault, size_t cut)
{
    proxy->cut = cut;
    proxy->done = 0;
    proxy->fault = (int)fault;
}

static inline void proxy_end(struct proxy *proxy)
{
    proxy->stop = true;
    pthread_join(proxy->thread, NULL);
    close(proxy->listener);
}

#endif
