/* /ws: what changes, pushed to the browsers that watch.  Each client has its own numbers, so that a
 * gap means a lost event and not one it may not see.  Nothing waits here: a client that does not
 * read is closed by ws, and asks for everything anew when it comes back. */
#include "net/ws/ws.h"
#include "web/hub_int.h"

#include <string.h>

#define SOCKETS_EACH_MAX 20  /* of one caller */
#define MACHINE_DELAY_MS 30  /* several changes of one machine in a row are shown once */
#define RECORDS_DELAY_MS 100 /* likewise alerts and audit, which are read from the database */
#define EVENT_BYTES_MAX  (512 * KIB)

static bool may(const struct hub_client *client, enum access_permission permission)
{
    return access_allows(client->role, permission);
}

static void client_send(struct hub_client *client, struct str event)
{
    struct buf text;
    buf_init(&text, EVENT_BYTES_MAX + 64);
    uint64_t seq = client->seq++;
    enum err err = buf_printf(&text, "{\"seq\":%llu,", (unsigned long long)seq);
    if (err == ERR_OK)
        err = buf_add(&text, event.at + 1, event.len - 1);
    if (err == ERR_OK)
        err = ws_send(client->ws, true, buf_str(&text));
    (void)err; /* the number is spent: the client sees the gap */
    buf_finish(&text);
}

/* To everybody with this right, and where `owner` is given to whoever that is. */
void hub_broadcast(struct web_hub *hub, enum access_permission everybody, struct str owner,
                   const struct json_out *event)
{
    if (event->err != ERR_OK)
        return;
    struct hub_client *next;
    for (struct hub_client *client = hub->clients; client != NULL; client = next) {
        next = client->next;
        bool own = owner.len > 0 && str_equal(str_from(client->actor), owner);
        if (may(client, everybody) || own)
            client_send(client, buf_str(event->buf));
    }
}

static void event_begin(struct json_out *out, struct buf *buf, const char *type)
{
    buf_init(buf, EVENT_BYTES_MAX);
    *out = (struct json_out){buf, ERR_OK};
    out_open(out, NULL, '{');
    out_word(out, "type", type);
}

void web_hub_command(struct web_hub *hub, const struct queue_command *command)
{
    if (hub->clients == NULL)
        return;
    struct buf buf;
    struct json_out out;
    event_begin(&out, &buf, "command");
    show_command(&out, "command", command);
    out_close(&out, '}');
    hub_broadcast(hub, ACCESS_EVENTS_WATCH_ALL, command->created_by, &out);
    buf_finish(&buf);
}

static void add_samples(struct json_out *out, const struct kinds_samples *samples)
{
    out_open(out, "samples", '[');
    for (size_t i = 0; i < samples->row_count; i++) {
        char line[512];
        size_t bytes = json_dumpb(json_array_get(samples->rows, i), line, sizeof(line),
                                  JSON_COMPACT | JSON_REAL_PRECISION(7));
        if (bytes > 0 && bytes <= sizeof(line))
            out_raw(out, NULL, (struct str){line, bytes}, "null");
    }
    out_close(out, ']');
}

void web_hub_progress(struct web_hub *hub, uint64_t command_id, struct str machine_id,
                      struct str created_by, const struct kinds_kind *kind,
                      const struct kinds_samples *samples)
{
    if (hub->clients == NULL)
        return;
    struct buf buf;
    struct json_out out;
    event_begin(&out, &buf, "progress");
    out_u64(&out, "command_id", command_id);
    out_text(&out, "machine_id", machine_id);
    if (samples->step.len > 0)
        out_text(&out, "step", samples->step);
    out_open(&out, "columns", '[');
    for (const char *const *at = kind->columns; *at != NULL; at++)
        out_word(&out, NULL, *at);
    out_close(&out, ']');
    add_samples(&out, samples);
    out_close(&out, '}');
    hub_broadcast(hub, ACCESS_EVENTS_WATCH_ALL, created_by, &out);
    buf_finish(&buf);
}

/* ---- machines ---- */

/* Staff get the whole machine, everybody else what is not somebody's. */
static void machine_tell(struct web_hub *hub, const struct fleet_machine *machine, bool whole)
{
    struct buf buf;
    struct json_out out;
    struct hub_client *next;
    event_begin(&out, &buf, "machine");
    show_machine(&out, "machine", hub->web, machine, whole);
    out_close(&out, '}');
    for (struct hub_client *client = hub->clients; out.err == ERR_OK && client != NULL;
         client = next) {
        next = client->next;
        if (may(client, ACCESS_MACHINE_READ) && may(client, ACCESS_EVENTS_WATCH_ALL) == whole)
            client_send(client, buf_str(&buf));
    }
    buf_finish(&buf);
}

static void machines_flush(void *cookie)
{
    struct web_hub *hub = cookie;
    size_t count = hub->dirty_count;
    hub->dirty_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct fleet_machine *machine = fleet_find(hub->web->fleet, str_from(hub->dirty[i]));
        if (machine == NULL)
            continue;
        machine_tell(hub, machine, true);
        machine_tell(hub, machine, false);
    }
}

void web_hub_machine(struct web_hub *hub, struct str machine_id)
{
    if (hub->clients == NULL)
        return;
    for (size_t i = 0; i < hub->dirty_count; i++) {
        if (str_equal(str_from(hub->dirty[i]), machine_id))
            return;
    }
    if (hub->dirty_count == HUB_DIRTY_MAX)
        machines_flush(hub);
    if (str_copy(hub->dirty[hub->dirty_count], sizeof(hub->dirty[0]), machine_id) == ERR_OK)
        hub->dirty_count++;
    if (hub->dirty_count == 1)
        loop_timer_set(hub->machines_due, web_mono_ms(hub->web) + MACHINE_DELAY_MS);
}

void web_hub_records(struct web_hub *hub)
{
    if (hub->clients == NULL || hub->records_set)
        return;
    hub->records_set = true;
    loop_timer_set(hub->records_due, web_mono_ms(hub->web) + RECORDS_DELAY_MS);
}

/* ---- clients ---- */

static void client_gone(void *cookie, struct ws *ws, uint16_t code)
{
    struct hub_client *client = cookie;
    struct web_hub *hub = client->hub;
    (void)ws;
    log_line(LOG_DEBUG, "socket_closed", "actor", "%s", client->actor, "code", "%d", (int)code,
             NULL);
    if (client->prev != NULL)
        client->prev->next = client->next;
    else
        hub->clients = client->next;
    if (client->next != NULL)
        client->next->prev = client->prev;
    hub->client_count--;
    if (hub->clients == NULL)
        hub->scan_known = false;
    mem_free(client);
}

static void client_message(void *cookie, struct ws *ws, bool text, struct str message)
{
    (void)cookie;
    (void)ws;
    (void)text;
    (void)message; /* events go one way; what a page wants it asks for over HTTP */
}

static const struct ws_user client_user = {.on_message = client_message, .on_gone = client_gone};

static void welcome(struct hub_client *client)
{
    struct buf buf;
    struct json_out out;
    event_begin(&out, &buf, "welcome");
    out_id128(&out, "server_id", client->hub->web->server_id);
    out_close(&out, '}');
    if (out.err == ERR_OK)
        client_send(client, buf_str(&buf));
    buf_finish(&buf);
}

static struct hub_client *client_create(struct web_hub *hub, const struct web_front *front)
{
    struct hub_client *client = mem_zalloc(sizeof(*client));
    if (client == NULL)
        return NULL;
    client->hub = hub;
    client->role = front->caller.role;
    web_actor(&front->caller, client->actor);
    if (front->caller.kind == WEB_PERSON) {
        client->via = front->caller.person.via;
        client->credential_id = front->caller.person.credential_id;
    }
    return client;
}

static void client_add(struct web_hub *hub, struct hub_client *client)
{
    client->next = hub->clients;
    if (hub->clients != NULL)
        hub->clients->prev = client;
    hub->clients = client;
    hub->client_count++;
    if (!hub->scan_known && hub->client_count == 1) {
        hub->since_ms = web_now_ms(hub->web);
        web_hub_records(hub); /* learn what is old, so that only what is new is told */
    }
}

/* One caller must not keep the others from watching. */
static uint32_t sockets_of(const struct web_hub *hub, const struct web_front *front)
{
    char actor[WEB_ACTOR_BYTES];
    uint32_t count = 0;
    web_actor(&front->caller, actor);
    for (const struct hub_client *client = hub->clients; client != NULL; client = client->next)
        count += str_equal(str_from(client->actor), str_from(actor));
    return count;
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
    uint32_t sockets_max = web->options.sockets_max != 0 ? web->options.sockets_max : 500;
    enum err err = ws_handshake(&request, accept);
    /* A page of another site may open a socket with our cookie: only its Origin gives it away. */
    if (!access_origin_ok(origin, head->host) && !web_origin_allowed(web, origin))
        problem = (struct web_problem){
            .status = 403, .code = "bad_origin", .detail = "This page is not one of ours."};
    else if (err == ERR_VERSION || (err != ERR_OK && request.upgrade.len == 0))
        problem = (struct web_problem){.status = 426,
                                       .code = "upgrade_required",
                                       .detail = "Here only WebSocket, version 13, is spoken."};
    else if (err == ERR_OK && sockets_of(web->hub, front) >= SOCKETS_EACH_MAX)
        problem = (struct web_problem){
            .status = 429, .code = "rate_limited", .detail = "You watch from too many pages."};
    else if (err == ERR_OK && (web->stopping || web->hub->client_count >= sockets_max))
        problem = (struct web_problem){
            .status = 503, .code = "overloaded", .detail = "Too many browsers watch."};
    else if (err == ERR_OK)
        return true;
    web_problem_now(web, req, front, &problem);
    return false;
}

void web_ws(struct web *web, struct http_request *req, struct web_front *front)
{
    char accept[WS_ACCEPT_BYTES];
    if (!handshake(web, req, front, accept))
        return;
    struct hub_client *client = client_create(web->hub, front);
    if (client == NULL) {
        web_problem_now(
            web, req, front,
            &(struct web_problem){.status = 503, .code = "overloaded", .detail = "Out of memory."});
        return;
    }
    struct http_field fields[] = {{STR("Upgrade"), STR("websocket")},
                                  {STR("Sec-WebSocket-Accept"), str_from(accept)},
                                  {STR("X-Request-Id"), str_from(front->request_id)}};
    web_log_request(web, front->request_id, "/ws", 101, front->begun_us, true, client->actor);
    struct stream *stream = http_upgrade(req, fields, ARRAY_COUNT(fields));
    /* A browser that does not say goodbye back has left already. */
    struct ws_options options = {.message_bytes_max = 4 * KIB, .close_timeout_ms = 1500};
    if (stream == NULL)
        mem_free(client);
    else if (ws_create(web->loop, stream, &options, &client_user, client, &client->ws) != ERR_OK) {
        stream_close(stream);
        mem_free(client);
    } else {
        client_add(web->hub, client);
        welcome(client);
    }
}

void web_hub_session_gone(struct web_hub *hub, enum access_via via, int64_t credential_id)
{
    struct hub_client *next;
    for (struct hub_client *client = hub->clients; client != NULL; client = next) {
        next = client->next;
        if (client->via == via && client->credential_id == credential_id)
            ws_close(client->ws, WS_POLICY, STR("signed out"));
    }
}

/* ---- the hub ---- */

static void records_fire(void *cookie)
{
    struct web_hub *hub = cookie;
    hub->records_set = false;
    hub_scan(hub);
}

enum err web_hub_create(struct web *web, struct web_hub **ret_hub)
{
    struct web_hub *hub = mem_zalloc(sizeof(*hub));
    if (hub == NULL)
        return ERR_NOMEM;
    hub->web = web;
    *ret_hub = hub; /* web_destroy takes it from here, also when the rest fails */
    enum err err = loop_timer_create(web->loop, machines_flush, hub, &hub->machines_due);
    if (err != ERR_OK)
        return err;
    return loop_timer_create(web->loop, records_fire, hub, &hub->records_due);
}

void web_hub_stop(struct web_hub *hub)
{
    struct hub_client *next;
    for (struct hub_client *client = hub->clients; client != NULL; client = next) {
        next = client->next;
        ws_close(client->ws, WS_GOING_AWAY, STR("server stops"));
    }
}

uint32_t web_hub_count(const struct web_hub *hub)
{
    return hub->client_count;
}

void web_hub_destroy(struct web_hub *hub)
{
    if (hub == NULL)
        return;
    while (hub->clients != NULL) {
        struct hub_client *client = hub->clients;
        hub->clients = client->next;
        ws_destroy(client->ws);
        mem_free(client);
    }
    hub_scan_finish(hub);
    loop_timer_destroy(hub->machines_due);
    loop_timer_destroy(hub->records_due);
    mem_free(hub);
}
