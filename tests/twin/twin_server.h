/* A small server over real sockets that keeps the queue's rules (device/fake.h): HTTP/1.1, one
 * request after the other on each connection. */
#ifndef TESTS_TWIN_TWIN_SERVER_H
#define TESTS_TWIN_TWIN_SERVER_H

#include "device/fake.h"
#include "twin/twin.h"

#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#define CLIENTS_MAX 8

struct client {
    uv_tcp_t tcp;
    uv_write_t write;
    bool used;
    char in[256 * 1024], out[4 * 1024];
    size_t in_len;
};

static struct fake fake;
/* Bodies of POST .../readings: how many, and the last one. */
static unsigned readings_posts;
static char readings_body[256 * 1024];
static struct loop *loop;
static uv_tcp_t listener;
static struct client clients[CLIENTS_MAX];
static char server_url[64];
static char seen_authorization[256];
static const char *dir;

static inline void client_closed(uv_handle_t *handle)
{
    ((struct client *)handle->data)->used = false;
}

static inline const char *header(const char *in, const char *name)
{
    const char *at = strcasestr(in, name);
    return at != NULL ? at + strlen(name) : NULL;
}

static inline void read_request(struct client *client, size_t head_len, size_t body_len,
                                struct fake_exchange *exchange)
{
    char method[8];
    char path[WIRE_PATH_BYTES];
    memset(exchange, 0, sizeof(*exchange));
    client->in[head_len - 1] = '\0';
    CHECK_EQ(sscanf(client->in, "%7s %159s HTTP/1.1", method, path), 2);
    exchange->method = strcmp(method, "GET") == 0 ? DEVICE_GET : DEVICE_POST;
    memcpy(exchange->path, path, sizeof(path));
    const char *journal = header(client->in, "\r\nX-Journal-Id: ");
    if (journal != NULL)
        CHECK_OK(id128_parse((struct str){journal, 32}, &exchange->journal_id));
    const char *authorization = header(client->in, "\r\nAuthorization: ");
    CHECK(authorization != NULL);
    CHECK_EQ(sscanf(authorization, "%255[^\r]", seen_authorization), 1);
    CHECK(body_len < FAKE_BODY_BYTES);
    memcpy(exchange->body, client->in + head_len, body_len);
    exchange->body_len = body_len;
}

static inline bool take_readings(struct client *client, size_t head_len, size_t body_len,
                                 struct fake_exchange *exchange)
{
    static const char line[] = "POST /api/machines/m1/readings HTTP/1.1\r\n";
    if (strncmp(client->in, line, sizeof(line) - 1) != 0)
        return false;
    readings_posts++;
    memcpy(readings_body, client->in + head_len, body_len);
    readings_body[body_len] = '\0';
    exchange->status = 200;
    memcpy(exchange->answer, "{}", 3);
    return true;
}

static inline void answer(struct client *client)
{
    static struct fake_exchange exchange;
    char *end = memmem(client->in, client->in_len, "\r\n\r\n", 4);
    if (end == NULL)
        return;
    size_t head_len = (size_t)(end - client->in) + 4;
    unsigned long body_len = 0;
    const char *length = header(client->in, "\r\nContent-Length: ");
    if (length != NULL && length < end)
        CHECK_EQ(sscanf(length, "%lu", &body_len), 1);
    if (client->in_len < head_len + body_len)
        return;
    if (!take_readings(client, head_len, body_len, &exchange)) {
        read_request(client, head_len, body_len, &exchange);
        fake.now_ms = sys_mono_ms();
        fake_handle(&fake, &exchange);
    }
    int len = snprintf(client->out, sizeof(client->out),
                       "HTTP/1.1 %u Status\r\nContent-Length: %zu\r\n\r\n%s", exchange.status,
                       strlen(exchange.answer), exchange.answer);
    CHECK(len > 0 && (size_t)len < sizeof(client->out));
    client->in_len -= head_len + body_len;
    CHECK_EQ(client->in_len, 0); /* nobody pipelines here */
    memset(client->in, 0, sizeof(client->in));
    uv_buf_t buf = uv_buf_init(client->out, (unsigned)len);
    CHECK_EQ(uv_write(&client->write, (uv_stream_t *)&client->tcp, &buf, 1, NULL), 0);
}

static inline void room(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
    struct client *client = handle->data;
    (void)wanted;
    *buf = uv_buf_init(client->in + client->in_len,
                       (unsigned)(sizeof(client->in) - 1 - client->in_len));
}

static inline void bytes(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct client *client = stream->data;
    (void)buf;
    if (count < 0) {
        uv_close((uv_handle_t *)stream, client_closed);
        return;
    }
    client->in_len += (size_t)count;
    answer(client);
}

static inline void connected(uv_stream_t *stream, int status)
{
    CHECK_EQ(status, 0);
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = &clients[i];
        if (client->used)
            continue;
        memset(client, 0, sizeof(*client));
        client->used = true;
        CHECK_EQ(uv_tcp_init(loop_uv(loop), &client->tcp), 0);
        client->tcp.data = client;
        CHECK_EQ(uv_accept(stream, (uv_stream_t *)&client->tcp), 0);
        CHECK_EQ(uv_read_start((uv_stream_t *)&client->tcp, room, bytes), 0);
        return;
    }
    CHECK(false);
}

static inline void server_start(void)
{
    struct sockaddr_in address;
    int len = sizeof(address);
    fake_init(&fake, 1);
    readings_posts = 0;
    memset(clients, 0, sizeof(clients)); /* those of the loop before went with it */
    fake.metal_elsewhere = true;
    fake.max_duration_s = 180;
    fake.start_within_ms = 600000;
    fake.command_name = "brew";
    fake.payload = "{\"volume_ml\":40,\"temperature_c\":92,\"pre_infusion_ms\":300,"
                   "\"capsule_type\":\"original\",\"capsule_variant\":\"espresso\"}";
    dir = kit_tempdir();
    CHECK_OK(loop_create(&loop));
    CHECK_EQ(uv_tcp_init(loop_uv(loop), &listener), 0);
    CHECK_EQ(uv_ip4_addr("127.0.0.1", 0, &address), 0);
    CHECK_EQ(uv_tcp_bind(&listener, (const struct sockaddr *)&address, 0), 0);
    CHECK_EQ(uv_listen((uv_stream_t *)&listener, 8, connected), 0);
    CHECK_EQ(uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(server_url, sizeof(server_url), "http://127.0.0.1:%u", ntohs(address.sin_port));
}

/* ---- helpers ---- */

static inline struct twin *start(const struct twin_options *options)
{
    struct twin *twin;
    char why[128];
    CHECK_OK(twin_create(loop, options, why, sizeof(why), &twin));
    return twin;
}

static inline void run_until_settled(struct fake_command *command)
{
    while (command->state == FAKE_PENDING || command->state == FAKE_RUNNING)
        CHECK(loop_turn_wait(loop));
}

static inline void finish(struct twin *twin)
{
    twin_destroy(twin);
    loop_destroy(loop);
}

/* Lines with this word in the record of what the metal did. */
static inline unsigned recorded(const char *what)
{
    size_t len;
    unsigned count = 0;
    if (!path_exists(kit_path(dir, "actuations")))
        return 0;
    const char *at = kit_read_file(kit_path(dir, "actuations"), &len);
    while ((at = strstr(at, what)) != NULL) {
        count++;
        at++;
    }
    return count;
}

#endif
