/* MQTT over WebSocket: GET /mqtt with the subprotocol "mqtt".  A pipe makes the stream that an MQTT
 * connection reads from out of the binary messages of a socket; where one message ends means
 * nothing. */
#include "net/ws/ws.h"
#include "web/web_int.h"

#include <string.h>

#define PIPE_QUEUED_MAX  (256 * KIB) /* to a slow client; then the MQTT side waits */
#define PIPE_HELD_MAX    (512 * KIB) /* was read when the MQTT side stopped reading */
#define PIPE_MESSAGE_MAX (300 * KIB)
#define PIPE_LOOK_MS     20

struct web_pipe {
    struct stream stream; /* first: what the MQTT side holds */
    struct web_pipe *prev, *next;
    struct web *web;
    struct ws *ws;
    struct loop_timer *look;
    const struct stream_user *user; /* NULL: not opened yet, or closed */
    void *cookie;
    struct buf held; /* came while paused */
    bool paused, blocked, closed;
};

static void pipe_free(struct web_pipe *pipe)
{
    if (pipe->prev != NULL)
        pipe->prev->next = pipe->next;
    else
        pipe->web->pipes = pipe->next;
    if (pipe->next != NULL)
        pipe->next->prev = pipe->prev;
    loop_timer_destroy(pipe->look);
    buf_finish(&pipe->held);
    mem_free(pipe);
}

/* ---- the MQTT side ---- */

static struct web_pipe *pipe_of(struct stream *stream)
{
    return (struct web_pipe *)(void *)stream;
}

static void pipe_open(struct stream *stream, const struct stream_user *user, void *cookie)
{
    struct web_pipe *pipe = pipe_of(stream);
    pipe->user = user;
    pipe->cookie = cookie;
}

static size_t pipe_write(struct stream *stream, const uint8_t *bytes, size_t len)
{
    struct web_pipe *pipe = pipe_of(stream);
    size_t queued = ws_queued_bytes(pipe->ws);
    size_t room = queued < PIPE_QUEUED_MAX ? PIPE_QUEUED_MAX - queued : 0;
    size_t taken = len < room ? len : room;
    if (taken > 0 && ws_send(pipe->ws, false, (struct str){(const char *)bytes, taken}) != ERR_OK)
        return len; /* it is over: on_gone is on its way, and nobody waits for room */
    if (taken < len) {
        pipe->blocked = true;
        loop_timer_set(pipe->look, loop_now_ms(pipe->web->loop) + PIPE_LOOK_MS);
    }
    return taken;
}

static void pipe_pause(struct stream *stream, bool paused)
{
    struct web_pipe *pipe = pipe_of(stream);
    pipe->paused = paused;
    if (paused || pipe->held.len == 0)
        ws_pause(pipe->ws, paused);
    else
        loop_timer_set(pipe->look, loop_now_ms(pipe->web->loop));
}

static void pipe_close(struct stream *stream)
{
    struct web_pipe *pipe = pipe_of(stream);
    pipe->user = NULL;
    pipe->closed = true;
    loop_timer_clear(pipe->look);
    ws_close(pipe->ws, WS_NORMAL, STR_NONE);
}

static const struct stream_ops pipe_ops = {pipe_open, pipe_write, pipe_pause, pipe_close};

/* ---- the socket's side ---- */

static void look_fire(void *cookie)
{
    struct web_pipe *pipe = cookie;
    if (pipe->user != NULL && !pipe->paused && pipe->held.len > 0) {
        struct buf held = pipe->held;
        buf_init(&pipe->held, PIPE_HELD_MAX);
        pipe->user->on_bytes(pipe->cookie, (const uint8_t *)held.at, held.len);
        buf_finish(&held);
        if (pipe->user != NULL && !pipe->paused)
            ws_pause(pipe->ws, false);
    }
    if (pipe->user == NULL || !pipe->blocked)
        return;
    if (ws_queued_bytes(pipe->ws) > PIPE_QUEUED_MAX / 2) {
        loop_timer_set(pipe->look, loop_now_ms(pipe->web->loop) + PIPE_LOOK_MS);
        return;
    }
    pipe->blocked = false;
    pipe->user->on_room(pipe->cookie);
}

static void on_message(void *cookie, struct ws *ws, bool text, struct str message)
{
    struct web_pipe *pipe = cookie;
    if (text) {
        ws_close(ws, WS_UNSUPPORTED, STR("MQTT is binary"));
        return;
    }
    if (pipe->closed)
        return;
    if (pipe->user != NULL && !pipe->paused && pipe->held.len == 0) {
        pipe->user->on_bytes(pipe->cookie, (const uint8_t *)message.at, message.len);
        return;
    }
    if (buf_add_str(&pipe->held, message) != ERR_OK)
        ws_close(ws, WS_TRY_LATER, STR("too much at once"));
}

static void on_gone(void *cookie, struct ws *ws, uint16_t code)
{
    struct web_pipe *pipe = cookie;
    const struct stream_user *user = pipe->user;
    void *user_cookie = pipe->cookie;
    (void)ws;
    pipe->user = NULL;
    pipe_free(pipe);
    if (user != NULL)
        user->on_gone(user_cookie,
                      code == WS_NORMAL || code == WS_GOING_AWAY ? ERR_CLOSED : ERR_IO);
}

static const struct ws_user pipe_user = {on_message, on_gone};

/* ---- the handshake ---- */

/* "mqtt" among the words of the list. */
static bool speaks_mqtt(struct str protocols)
{
    while (protocols.len > 0) {
        size_t comma = str_find(protocols, ',');
        struct str one = str_slice(protocols, 0, comma);
        while (one.len > 0 && (one.at[0] == ' ' || one.at[0] == '\t'))
            one = str_slice(one, 1, one.len);
        while (one.len > 0 && (one.at[one.len - 1] == ' ' || one.at[one.len - 1] == '\t'))
            one = str_slice(one, 0, one.len - 1);
        if (str_equal(one, STR("mqtt")))
            return true;
        protocols = str_slice(protocols, comma + 1, protocols.len);
    }
    return false;
}

static bool handshake(struct web *web, struct http_request *req, const struct web_front *front,
                      char accept[WS_ACCEPT_BYTES])
{
    const struct http_head *head = http_request_head(req);
    struct str origin = http_header(req, STR("Origin"));
    struct ws_request request = {.get = head->method == HTTP_GET && head->minor == 1,
                                 .upgrade = http_header(req, STR("Upgrade")),
                                 .connection = http_header(req, STR("Connection")),
                                 .version = http_header(req, STR("Sec-WebSocket-Version")),
                                 .key = http_header(req, STR("Sec-WebSocket-Key"))};
    struct web_problem problem = {
        .status = 400, .code = "bad_request", .detail = "This is not a WebSocket handshake."};
    enum err err = ws_handshake(&request, accept);
    /* A page of another site, too, can open a socket to this computer. */
    if (!access_origin_ok(origin, head->host) && !web_origin_allowed(web, origin))
        problem = (struct web_problem){
            .status = 403, .code = "bad_origin", .detail = "This page is not one of ours."};
    else if (err == ERR_VERSION || (err != ERR_OK && request.upgrade.len == 0))
        problem = (struct web_problem){.status = 426,
                                       .code = "upgrade_required",
                                       .detail = "Here only WebSocket, version 13, is spoken."};
    else if (err == ERR_OK && !speaks_mqtt(http_header(req, STR("Sec-WebSocket-Protocol"))))
        problem = (struct web_problem){
            .status = 400, .code = "bad_request", .detail = "The subprotocol here is mqtt."};
    else if (err == ERR_OK && web->stopping)
        problem = (struct web_problem){
            .status = 503, .code = "stopping", .detail = "The server is shutting down."};
    else if (err == ERR_OK)
        return true;
    web_problem_now(web, req, front, &problem);
    return false;
}

static struct web_pipe *pipe_create(struct web *web)
{
    struct web_pipe *pipe = mem_zalloc(sizeof(*pipe));
    if (pipe == NULL)
        return NULL;
    pipe->stream.ops = &pipe_ops;
    pipe->web = web;
    buf_init(&pipe->held, PIPE_HELD_MAX);
    pipe->next = web->pipes;
    if (pipe->next != NULL)
        pipe->next->prev = pipe;
    web->pipes = pipe;
    if (loop_timer_create(web->loop, look_fire, pipe, &pipe->look) == ERR_OK)
        return pipe;
    pipe_free(pipe);
    return NULL;
}

void web_mqtt_ws(struct web *web, struct http_request *req, struct web_front *front)
{
    char accept[WS_ACCEPT_BYTES], peer[HTTP_PEER_BYTES];
    if (!handshake(web, req, front, accept))
        return;
    struct web_pipe *pipe = pipe_create(web);
    if (pipe == NULL) {
        web_problem_now(
            web, req, front,
            &(struct web_problem){.status = 503, .code = "overloaded", .detail = "Out of memory."});
        return;
    }
    http_peer(req, peer);
    bool tls = http_is_tls(req);
    struct http_field fields[] = {{STR("Upgrade"), STR("websocket")},
                                  {STR("Sec-WebSocket-Accept"), str_from(accept)},
                                  {STR("Sec-WebSocket-Protocol"), STR("mqtt")},
                                  {STR("X-Request-Id"), str_from(front->request_id)}};
    web_log_request(web, front->request_id, "/mqtt", 101, front->begun_us, true, "-");
    struct stream *stream = http_upgrade(req, fields, ARRAY_COUNT(fields));
    struct ws_options options = {.message_bytes_max = PIPE_MESSAGE_MAX, .close_timeout_ms = 1500};
    if (stream == NULL) {
        pipe_free(pipe);
    } else if (ws_create(web->loop, stream, &options, &pipe_user, pipe, &pipe->ws) != ERR_OK) {
        stream_close(stream);
        pipe_free(pipe);
    } else if (mqtt_server_adopt(broker_server(web->broker), &pipe->stream, peer, tls) != ERR_OK) {
        pipe->closed = true;
        ws_close(pipe->ws, WS_TRY_LATER, STR("too many connections"));
    }
}

/* The MQTT side is told that its streams are gone; sockets are dropped. */
void web_mqtt_ws_finish(struct web *web)
{
    while (web->pipes != NULL) {
        struct web_pipe *pipe = web->pipes;
        const struct stream_user *user = pipe->user;
        void *cookie = pipe->cookie;
        ws_destroy(pipe->ws);
        pipe_free(pipe);
        if (user != NULL)
            user->on_gone(cookie, ERR_CLOSED);
    }
}
