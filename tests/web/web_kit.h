/* A whole server in the test's own process, and a client on a socket that turns its loop. */
#ifndef AUTOMAT_TESTS_WEB_KIT_H
#define AUTOMAT_TESTS_WEB_KIT_H

#include "kinds/kinds.h"
#include "kit/kit_store.h"
#include "web/web_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define ADMIN "kit-admin-token-0123456789"

struct server {
    struct loop *loop;
    struct store *store;
    struct queue *queue;
    struct fleet *fleet;
    struct access *access;
    struct broker *broker;
    struct telemetry *telemetry;
    struct climate *climate;
    struct web_door door;
    struct web *web;
    uint16_t mqtt_port;
    char climate_folder[512];
    bool stopped, broker_stopped;
};

static inline int64_t kit_mono(void *clock)
{
    return loop_now_ms(clock);
}

static inline int64_t kit_wall(void *clock)
{
    return loop_wall_ms(clock);
}

static inline void kit_random(void *random, struct id128 *ret_id)
{
    (void)random;
    CHECK_OK(sys_random_id(ret_id));
}

static inline void kit_changed(void *listener, const struct queue_change *change)
{
    struct server *server = listener;
    if (server->climate != NULL)
        climate_command_changed(server->climate, change);
    if (server->web != NULL)
        web_command_changed(server->web, change);
}

static inline void kit_machine_changed(void *listener, struct str machine_id)
{
    struct server *server = listener;
    if (server->web != NULL)
        web_machine_changed(server->web, machine_id);
}

static inline void server_air(struct server *server)
{
    struct broker_options broker = {.loop = server->loop,
                                    .store = server->store,
                                    .wall_ms = kit_wall,
                                    .clock = server->loop,
                                    .gate = web_mqtt_gate(&server->door),
                                    .handlers = web_mqtt_handlers,
                                    .handler_cookie = &server->door};
    CHECK_OK(broker_create(&broker, &server->broker));
    struct telemetry_options telemetry = {
        .loop = server->loop, .store = server->store, .wall_ms = kit_wall, .clock = server->loop};
    CHECK_OK(telemetry_create(&telemetry, &server->telemetry));
    (void)snprintf(server->climate_folder, sizeof(server->climate_folder), "%s/climate",
                   kit_tempdir());
    CHECK_OK(dir_make(server->climate_folder, 0700));
    char why[300];
    struct climate_options climate = {.loop = server->loop,
                                      .store = server->store,
                                      .queue = server->queue,
                                      .telemetry = server->telemetry,
                                      .bus = broker_bus(server->broker),
                                      .wall_ms = kit_wall,
                                      .clock = server->loop,
                                      .random_id = kit_random,
                                      .model_folder = server->climate_folder};
    CHECK_OK(climate_create(&climate, why, sizeof(why), &server->climate));
}

/* `options` holds what is not the preset; rooms and address are filled in here. */
static inline void server_start(struct server *server, struct web_options options)
{
    *server = (struct server){0};
    log_init(LOG_ERROR, true);
    CHECK_OK(loop_create(&server->loop));
    CHECK_OK(store_open(server->loop,
                        &(struct store_options){.migrations = kit_migrations(AUTOMAT_SOURCE_DIR)},
                        NULL, 0, &server->store));
    struct queue_options queue = {.store = server->store,
                                  .kinds = kinds_queue_table(),
                                  .clock = server->loop,
                                  .mono_ms = kit_mono,
                                  .wall_ms = kit_wall,
                                  .random_id = kit_random,
                                  .listener = server,
                                  .changed = kit_changed,
                                  .machine_changed = kit_machine_changed};
    CHECK_OK(queue_create(&queue, &server->queue));
    CHECK_OK(fleet_create(server->loop, server->store, &(struct fleet_options){0}, &server->fleet));
    CHECK_OK(access_create(server->loop, server->store,
                           &(struct access_options){.preset_admin_token = STR(ADMIN)},
                           loop_wall_ms(server->loop), &server->access));
    server_air(server);
    options.broker = server->broker;
    options.telemetry = server->telemetry;
    options.climate = server->climate;
    options.door = &server->door;
    options.loop = server->loop;
    options.store = server->store;
    options.access = server->access;
    options.fleet = server->fleet;
    options.queue = server->queue;
    options.listen = "127.0.0.1:0";
    CHECK_OK(web_create(&options, &server->web));
    CHECK_OK(mqtt_server_listen(broker_server(server->broker), "127.0.0.1:0", NULL, NULL,
                                &server->mqtt_port));
}

static inline void kit_stopped(void *cookie)
{
    ((struct server *)cookie)->stopped = true;
}

static inline void kit_broker_stopped(void *cookie)
{
    ((struct server *)cookie)->broker_stopped = true;
}

static inline void server_stop(struct server *server)
{
    broker_stop(server->broker, kit_broker_stopped, server);
    if (!server->web->stopping)
        web_stop(server->web, kit_stopped, server);
    while (!server->stopped || !server->broker_stopped)
        (void)loop_turn_wait(server->loop);
    telemetry_flush(server->telemetry);
    store_close(server->store);
    web_destroy(server->web);
    climate_destroy(server->climate);
    telemetry_destroy(server->telemetry);
    broker_destroy(server->broker);
    access_destroy(server->access);
    fleet_destroy(server->fleet);
    queue_destroy(server->queue);
    loop_destroy(server->loop);
}

static inline int client_open(const struct server *server)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(web_port(server->web)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_EQ(connect(fd, (const struct sockaddr *)(const void *)&address, sizeof(address)), 0);
    return fd;
}

struct reply {
    int status;
    char head[2048], body[8192];
    size_t body_len;
};

/* What has come so far is a whole reply: its parts. */
static inline bool reply_whole(const char *bytes, size_t len, struct reply *reply)
{
    const char *end = strstr(bytes, "\r\n\r\n");
    if (end == NULL)
        return false;
    const char *length = strstr(bytes, "Content-Length: ");
    reply->body_len = length != NULL && length < end ? strtoul(length + 16, NULL, 10) : 0;
    size_t head_len = (size_t)(end + 4 - bytes);
    if (len < head_len + reply->body_len)
        return false;
    CHECK(head_len < sizeof(reply->head) && reply->body_len < sizeof(reply->body));
    memcpy(reply->head, bytes, head_len);
    reply->head[head_len] = 0;
    memcpy(reply->body, bytes + head_len, reply->body_len);
    reply->body[reply->body_len] = 0;
    CHECK_EQ(sscanf(bytes, "HTTP/1.1 %d", &reply->status), 1);
    return true;
}

static inline struct reply client_read(struct server *server, int fd)
{
    struct reply reply = {0};
    char bytes[16384];
    size_t len = 0;
    for (;;) {
        ssize_t got = recv(fd, bytes + len, sizeof(bytes) - 1 - len, MSG_DONTWAIT);
        if (got > 0) {
            len += (size_t)got;
            bytes[len] = 0;
            if (reply_whole(bytes, len, &reply))
                return reply;
        } else {
            CHECK(got < 0 && errno == EAGAIN);
            (void)loop_turn_wait(server->loop);
        }
    }
}

/* `fields`: whole lines, each with its CRLF. */
static inline void client_send(int fd, const char *method, const char *path, const char *fields,
                               const char *body)
{
    char text[4096];
    int len = snprintf(
        text, sizeof(text),
        "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s%sContent-Length: %zu\r\n\r\n%s", method, path,
        fields, body[0] != 0 ? "Content-Type: application/json\r\n" : "", strlen(body), body);
    CHECK(len > 0 && (size_t)len < sizeof(text));
    CHECK_EQ(send(fd, text, (size_t)len, MSG_NOSIGNAL), len);
}

static inline struct reply client_ask(struct server *server, int fd, const char *method,
                                      const char *path, const char *fields, const char *body)
{
    client_send(fd, method, path, fields, body);
    return client_read(server, fd);
}

#define AS_ADMIN "Authorization: Bearer " ADMIN "\r\n"

/* Registers an espresso machine; its header line is written to `fields`. */
static inline void machine_add(struct server *server, int fd, const char *machine_id,
                               char fields[128])
{
    char body[128];
    (void)snprintf(body, sizeof(body), "{\"machine_id\":\"%s\",\"kind\":\"espresso\"}", machine_id);
    struct reply reply = client_ask(server, fd, "POST", "/api/machines", AS_ADMIN, body);
    CHECK_EQ(reply.status, 201);
    const char *token = strstr(reply.body, "\"token\":\"");
    CHECK(token != NULL);
    (void)snprintf(fields, 128, "X-Device-Token: %.46s\r\n", token + 9);
}

#endif
