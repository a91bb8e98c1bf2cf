/* Many parked requests at once: what they cost, and that each gets its own answer.  The clients
 * live in a child, so that both ends do not share one limit of open files. */
#ifndef AUTOMAT_TESTS_HTTP_PARKING_H
#define AUTOMAT_TESTS_HTTP_PARKING_H

#include "dialogue.h"
#include "net/http/http_int.h"
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

struct lot {
    struct http_request **parked;
    size_t count, gone;
};

static inline void lot_gone(void *cookie)
{
    ((struct lot *)cookie)->gone++;
}

static inline void lot_request(void *cookie, struct http_request *req)
{
    struct lot *lot = cookie;
    lot->parked[lot->count++] = req;
    http_park(req, lot_gone, lot);
}

/* The child: park `count` requests, read every answer ("<number>"), leave.  Exit code 0. */
static inline int lot_clients(uint16_t port, size_t count)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    static const char request[] =
        "GET /api/commands/check/tap-1?wait=30 HTTP/1.1\r\nHost: cafe.example\r\n"
        "Authorization: Bearer 0123456789012345678901234567890123456789\r\n\r\n";
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    int *fds = calloc(count, sizeof(*fds));
    if (fds == NULL)
        return 1;
    for (size_t i = 0; i < count; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (fds[i] < 0 || connect(fds[i], (struct sockaddr *)&address, sizeof(address)) != 0 ||
            send(fds[i], request, sizeof(request) - 1, MSG_NOSIGNAL) != sizeof(request) - 1)
            return 2;
    }
    for (size_t i = 0; i < count; i++) {
        char got[512];
        ssize_t len = recv(fds[i], got, sizeof(got) - 1, 0);
        if (len <= 0)
            return 4;
        got[len] = '\0';
        if (strncmp(got, "HTTP/1.1 200 OK\r\n", 17) != 0 || strstr(got, "\r\n\r\nparked ") == NULL)
            return 5;
    }
    free(fds);
    return 0;
}

static inline bool files_enough(size_t count)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max > count + 100;
}

static inline void park_many(size_t count)
{
    struct lot lot = {.parked = calloc(count, sizeof(struct http_request *))};
    struct dialogue dialogue;
    dialogue_open(&dialogue,
                  &(struct http_options){.handler = {.on_request = lot_request}, .cookie = &lot});
    loop_timer_set(dialogue.patience, loop_now_ms(dialogue.loop) + 120000);
    int64_t live = mem_live();
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(lot_clients(http_server_port(dialogue.server), count));
    while (lot.count < count)
        dialogue_turn(&dialogue, -1);
    struct http_stats stats;
    http_server_stats(dialogue.server, &stats);
    CHECK_EQ(stats.parked, count);
    /* One block each, and that below 1 KiB with what malloc adds. */
    CHECK_EQ(mem_live() - live, count);
    CHECK(sizeof(struct http_conn) + 16 < 1024);
    for (size_t i = 0; i < count; i++) {
        char text[32];
        snprintf(text, sizeof(text), "parked %zu", i);
        http_respond(lot.parked[i], &(struct http_answer){.status = 200, .body = str_from(text)});
    }
    do { /* they leave one after the other */
        dialogue_turn(&dialogue, -1);
        http_server_stats(dialogue.server, &stats);
    } while (stats.connections != 0);
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
    CHECK_EQ(lot.gone, 0);
    CHECK_EQ(mem_live(), live);
    free(lot.parked);
    dialogue_close(&dialogue);
}

#endif
