/* Connections over a network that breaks, and the board's end of MQTT: as much of a client as a
 * small board has.  Bytes of one connection arrive in order or not at all; it may die loudly, or in
 * silence, and each side finds out at its own time.  A board that boots has forgotten what it had
 * not heard acknowledged, and begins again at packet id 1; the server's session has not. */
#include "world/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 5000

struct line {
    struct stream stream; /* the server's end; first */
    const struct stream_user *user;
    void *cookie;
    struct world *world;
    struct line *next;
    uint32_t board, boots;
    bool server_open, server_paused, client_open;
    bool dead; /* nothing arrives any more, and nobody knows yet */
    int64_t up_ms, down_ms;
    struct buf in, held;
};

struct segment {
    struct line *line;
    bool up;
    size_t len;
    char bytes[];
};

static void end_break(struct board *board);
static void connect_later(struct board *board);
static void forget(struct mqtt_end *end);

static struct board *board_of(const struct line *line)
{
    return &line->world->board[line->board];
}

static bool is_mine(const struct line *line)
{
    const struct board *board = board_of(line);
    return board->alive && board->boots == line->boots && board->end.line == line;
}

/* ---- bytes ---- */

static void feed_server(struct line *line, const char *bytes, size_t len)
{
    if (!line->server_open || line->user == NULL)
        return;
    if (line->server_paused) {
        if (buf_add(&line->held, bytes, len) != ERR_OK)
            abort();
        return;
    }
    /* In two reads, as it may come. */
    size_t first = len > 1 ? (size_t)world_between(line->world, 1, (int64_t)len) : len;
    line->user->on_bytes(line->cookie, (const uint8_t *)bytes, first);
    if (len > first && line->server_open)
        line->user->on_bytes(line->cookie, (const uint8_t *)bytes + first, len - first);
    server_plan_step(line->world);
    bus_pump(line->world);
}

static void take_bytes(struct board *board, void *data);

struct piece {
    struct line *line;
    struct str bytes;
};

static void arrive(struct world *world, void *data)
{
    struct segment *segment = data;
    struct line *line = segment->line;
    if (world->server.disk == NULL || line->dead) {
        free(segment);
        return;
    }
    if (segment->up) {
        if (world->server.up)
            feed_server(line, segment->bytes, segment->len);
    } else if (is_mine(line)) {
        struct piece piece = {line, {segment->bytes, segment->len}};
        (void)board_run(board_of(line), take_bytes, &piece);
    }
    free(segment);
}

/* What neither side has noticed yet. */
static void silence_over(struct world *world, void *data)
{
    struct line *line = data;
    if (world->server.disk != NULL && is_mine(line))
        end_break(board_of(line));
}

static void server_notices(struct world *world, void *data)
{
    struct line *line = data;
    if (world->server.disk == NULL || !world->server.up || !line->server_open)
        return;
    line->server_open = false;
    line->user->on_gone(line->cookie, ERR_CLOSED);
    server_plan_step(world);
    bus_pump(world);
}

static void die_silently(struct line *line)
{
    struct world *world = line->world;
    if (line->dead)
        return;
    world_trace(world, "b%u: the connection dies", line->board);
    line->dead = true;
    world->lost++;
    world_after(world, world_between(world, 500, 15000), silence_over, line);
    world_after(world, world_between(world, 500, 20000), server_notices, line);
}

static void send_bytes(struct line *line, bool up, const void *bytes, size_t len)
{
    struct world *world = line->world;
    int64_t *last_ms = up ? &line->up_ms : &line->down_ms;
    if (line->dead)
        return;
    if (world_chance(world, 0.015)) {
        die_silently(line);
        return;
    }
    struct segment *segment = malloc(sizeof(*segment) + len);
    if (segment == NULL)
        abort();
    segment->line = line;
    segment->up = up;
    segment->len = len;
    memcpy(segment->bytes, bytes, len);
    int64_t due_ms = world->now_ms + world_net_delay(world) / (world_chance(world, 0.9) ? 1 : 4);
    if (due_ms < *last_ms)
        due_ms = *last_ms; /* in order */
    *last_ms = due_ms;
    world_after(world, due_ms - world->now_ms, arrive, segment);
}

/* ---- the server's end ---- */

static void line_opened(struct stream *stream, const struct stream_user *user, void *cookie)
{
    struct line *line = (struct line *)(void *)stream;
    line->user = user;
    line->cookie = cookie;
}

static size_t line_write(struct stream *stream, const uint8_t *bytes, size_t len)
{
    struct line *line = (struct line *)(void *)stream;
    if (line->client_open)
        send_bytes(line, false, bytes, len);
    return len;
}

static void unpaused(struct world *world, void *data)
{
    struct line *line = data;
    if (world->server.disk == NULL || !world->server.up || line->server_paused ||
        !line->server_open || line->held.len == 0)
        return;
    struct buf bytes = line->held;
    buf_init(&line->held, MIB);
    feed_server(line, bytes.at, bytes.len);
    buf_finish(&bytes);
}

static void line_paused(struct stream *stream, bool paused)
{
    struct line *line = (struct line *)(void *)stream;
    line->server_paused = paused;
    if (!paused)
        world_after(line->world, 0, unpaused, line);
}

static void client_notices(struct world *world, void *data)
{
    silence_over(world, data);
}

static void line_closed(struct stream *stream)
{
    struct line *line = (struct line *)(void *)stream;
    line->server_open = false;
    if (line->client_open && !line->dead)
        world_after(line->world, world_between(line->world, 1, 200), client_notices, line);
}

static const struct stream_ops line_ops = {line_opened, line_write, line_paused, line_closed};

/* ---- the board's end ---- */

static void send_packet(struct board *board, const struct mqtt_packet *packet)
{
    static uint8_t bytes[DEVICE_PROGRESS_BYTES + 1024];
    struct mqtt_end *end = &board->end;
    size_t len = mqtt_encode(packet, end->version, bytes, sizeof(bytes));
    if (len == 0)
        world_breach(board->world, "a packet of the board's cannot be said");
    if (end->line != NULL && len > 0)
        send_bytes(end->line, true, bytes, len);
}

/* A clone may even have the same name; then the two take the session from each other, and packet
 * ids of the one mean nothing to the other. */
static bool own_name(const struct board *board)
{
    return board->clone && board->index % 2 != 0;
}

static bool shares_session(const struct board *board)
{
    const struct world *world = board->world;
    for (uint32_t i = 0; i < world->board_count; i++) {
        const struct board *other = &world->board[i];
        if (other != board && other->machine == board->machine && other->has_mqtt &&
            own_name(other) == own_name(board))
            return true;
    }
    return false;
}

static void send_connect(struct board *board)
{
    struct world *world = board->world;
    char client_id[8], user[4] = {'m', (char)('0' + board->machine), 0};
    (void)snprintf(client_id, sizeof(client_id), "%s%s", user, own_name(board) ? "-b" : "");
    struct mqtt_packet packet = {.type = MQTT_CONNECT};
    packet.connect =
        (struct mqtt_connect){.version = board->end.version,
                              .clean_start = world_chance(world, 0.04),
                              .client_id = str_from(client_id),
                              .has_user = true,
                              .has_password = true,
                              .user = str_from(user),
                              .password = str_from(world->server.token[board->machine])};
    world_trace(world, "b%u connects as %s%s", board->index, client_id,
                packet.connect.clean_start ? ", clean" : "");
    board->end.clean = packet.connect.clean_start && board->end.version != MQTT_V5;
    if (packet.connect.clean_start)
        forget(&board->end); /* both sides do, and this one now: the CONNACK may not come */
    if (board->end.version == MQTT_V5) {
        packet.connect.properties.has = MQTT_HAS_SESSION_EXPIRY;
        /* Longer than any jump of the clock: who is told "new" by a CONNACK that is lost, and then
         * "there", cannot know that its session is another. */
        packet.connect.properties.session_expiry_s = 7 * 86400;
    }
    send_packet(board, &packet);
}

static void connected(struct world *world, void *data)
{
    struct line *line = data;
    if (world->server.disk == NULL || !is_mine(line))
        return;
    if (!world->server.up || mqtt_server_adopt(broker_server(world->server.broker), &line->stream,
                                               "127.0.0.1", false) != ERR_OK) {
        end_break(board_of(line));
        return;
    }
    line->server_open = true;
    world->mqtt_connects++;
    send_connect(board_of(line));
}

static void begin_connect(struct board *board)
{
    struct world *world = board->world;
    struct line *line = calloc(1, sizeof(*line));
    if (line == NULL)
        abort();
    *line = (struct line){.stream = {&line_ops},
                          .world = world,
                          .next = world->lines,
                          .board = board->index,
                          .boots = board->boots,
                          .client_open = true};
    buf_init(&line->in, MIB);
    buf_init(&line->held, MIB);
    world->lines = line;
    board->end.line = line;
    world_after(world, world_between(world, 1, 100), connected, line);
}

struct attempt {
    uint32_t board, boots, number;
};

static void attempt_due(struct world *world, void *data)
{
    struct attempt *attempt = data;
    struct board *board = &world->board[attempt->board];
    bool due = world->server.disk != NULL && board->alive && board->boots == attempt->boots &&
               board->end.attempts == attempt->number && board->end.line == NULL;
    free(attempt);
    if (due)
        begin_connect(board);
}

static void connect_later(struct board *board)
{
    struct attempt *attempt = malloc(sizeof(*attempt));
    if (attempt == NULL)
        abort();
    *attempt = (struct attempt){board->index, board->boots, ++board->end.attempts};
    world_after(board->world, world_between(board->world, 100, 3000), attempt_due, attempt);
}

static void change_road(struct board *board, bool to_mqtt)
{
    if (board->on_mqtt == to_mqtt)
        return;
    world_trace(board->world, "b%u: road is %s", board->index, to_mqtt ? "mqtt" : "http");
    board->world->road_changes++;
    board->on_mqtt = to_mqtt;
    device_mqtt_release(&board->road);
    device_road_switch(&board->device);
}

static void forget(struct mqtt_end *end)
{
    for (size_t i = 0; i < WORLD_INFLIGHT; i++) {
        if (end->publish[i].used)
            free(end->publish[i].payload);
        end->publish[i].used = false;
    }
}

static void lost(struct board *board, void *data)
{
    (void)data;
    device_mqtt_on_lost(&board->road);
    if (board->has_http)
        change_road(board, false);
}

static void end_break(struct board *board)
{
    struct line *line = board->end.line;
    struct world *world = board->world;
    if (line == NULL)
        return;
    line->client_open = false;
    line->dead = true;
    board->end.line = NULL;
    board->end.open = false;
    if (board->end.clean)
        forget(&board->end);
    buf_finish(&line->in);
    world_after(world, world_chance(world, 0.5) ? world_between(world, 0, 10000) : 1,
                server_notices, line);
    if (!board->alive)
        return;
    connect_later(board);
    if (board_run(board, lost, NULL))
        board_step_soon(board);
}

/* ---- publishing ---- */

static struct publish *publish_free(struct mqtt_end *end)
{
    for (size_t i = 0; i < WORLD_INFLIGHT; i++) {
        if (!end->publish[i].used)
            return &end->publish[i];
    }
    return NULL;
}

static uint16_t next_packet_id(struct mqtt_end *end)
{
    for (;;) {
        bool taken = false;
        end->packet_id = end->packet_id == UINT16_MAX ? 1 : (uint16_t)(end->packet_id + 1);
        for (size_t i = 0; i < WORLD_INFLIGHT; i++)
            taken = taken || (end->publish[i].used && end->publish[i].packet_id == end->packet_id);
        if (!taken)
            return end->packet_id;
    }
}

static void send_publish(struct board *board, const struct publish *publish, uint8_t qos, bool dup)
{
    struct mqtt_packet packet = {.type = MQTT_PUBLISH};
    world_trace(board->world, "b%u publishes %u%s: %s %.*s", board->index, publish->packet_id,
                dup ? " again" : "", publish->topic,
                (int)publish->len < 60 ? (int)publish->len : 60, publish->payload);
    packet.publish = (struct mqtt_publish){.dup = dup,
                                           .retain = publish->retain,
                                           .qos = qos,
                                           .packet_id = publish->packet_id,
                                           .topic = str_from(publish->topic),
                                           .payload = {publish->payload, publish->len}};
    send_packet(board, &packet);
}

static enum err say(struct board *board, struct str topic, struct str payload, uint8_t qos,
                    bool retain, int32_t mark, uint64_t *ret_handle)
{
    struct mqtt_end *end = &board->end;
    if (!end->open)
        return ERR_CLOSED;
    struct publish now = {.retain = retain, .mark = mark};
    struct publish *publish = qos > 0 ? publish_free(end) : &now;
    if (publish == NULL)
        return ERR_FULL;
    *publish = now;
    if (str_copy(publish->topic, sizeof(publish->topic), topic) != ERR_OK)
        return ERR_FULL;
    publish->payload = malloc(payload.len + 1);
    if (publish->payload == NULL)
        abort();
    memcpy(publish->payload, payload.at, payload.len);
    publish->len = payload.len;
    if (qos > 0) {
        publish->used = true;
        publish->packet_id = next_packet_id(end);
        publish->handle = ++end->handle;
        *ret_handle = publish->handle;
    }
    send_publish(board, publish, qos, false);
    if (qos == 0)
        free(publish->payload);
    return ERR_OK;
}

static enum err host_publish(void *context, struct str topic, struct str payload, uint8_t qos,
                             bool retain, uint64_t *ret_handle)
{
    struct board *board = context;
    board_maybe_cut(board);
    enum err err = say(board, topic, payload, qos, retain, -1, ret_handle);
    board_maybe_cut(board);
    return err;
}

static enum err host_subscribe(void *context, struct str filter)
{
    struct board *board = context;
    struct mqtt_packet packet = {.type = MQTT_SUBSCRIBE};
    packet.subscribe.packet_id = next_packet_id(&board->end);
    packet.subscribe.filter_count = 1;
    packet.subscribe.filter[0] = (struct mqtt_filter){.filter = filter, .qos = 1};
    send_packet(board, &packet);
    return ERR_OK;
}

/* ---- packets from the server ---- */

static void on_connack(struct board *board, const struct mqtt_connack *connack)
{
    struct mqtt_end *end = &board->end;
    if (connack->reason != MQTT_SUCCESS)
        return; /* the end of the connection follows */
    end->open = true;
    world_trace(board->world, "b%u: session%s", board->index,
                connack->session_present ? " is there" : " is new");
    if (!connack->session_present)
        forget(end);
    board->world->sessions_resumed += connack->session_present;
    for (size_t i = 0; i < WORLD_INFLIGHT; i++) {
        if (!end->publish[i].used)
            continue;
        board->world->resent++;
        send_publish(board, &end->publish[i], 1, true);
    }
    device_mqtt_on_connected(&board->road);
}

static void on_puback(struct board *board, const struct mqtt_ack *ack)
{
    struct world *world = board->world;
    struct mqtt_end *end = &board->end;
    for (size_t i = 0; i < WORLD_INFLIGHT; i++) {
        struct publish *publish = &end->publish[i];
        if (!publish->used || publish->packet_id != ack->packet_id)
            continue;
        uint64_t handle = publish->handle;
        publish->used = false;
        free(publish->payload);
        if (publish->mark >= 0) {
            if (ack->reason >= MQTT_UNSPECIFIED)
                world_breach(world, "reading %d is refused", publish->mark);
            world->mark[publish->mark].acked = true;
            world->marks_acked++;
        }
        device_mqtt_on_published(&board->road, handle, (uint8_t)ack->reason);
        return;
    }
}

static void on_publish(struct board *board, const struct mqtt_publish *publish)
{
    device_mqtt_on_message(&board->road, publish->topic, publish->payload);
    if (publish->qos == 0)
        return;
    struct mqtt_packet packet = {.type = MQTT_PUBACK};
    packet.ack = (struct mqtt_ack){.type = MQTT_PUBACK, .packet_id = publish->packet_id};
    send_packet(board, &packet);
}

static void on_packet(struct board *board, const struct mqtt_packet *packet)
{
    if (packet->type == MQTT_CONNACK) {
        on_connack(board, &packet->connack);
    } else if (packet->type == MQTT_PUBLISH) {
        on_publish(board, &packet->publish);
    } else if (packet->type == MQTT_PUBACK) {
        on_puback(board, &packet->ack);
    } else if (packet->type == MQTT_SUBACK) {
        uint8_t reason = packet->suback.reason[0];
        bool granted = packet->suback.reason_count == 1 && reason < 0x80;
        if (reason == MQTT_NOT_AUTHORIZED)
            world_breach(board->world, "a board may not hear its own topics");
        if (!granted) /* the disk fails: another day */
            world_after(board->world, 0, silence_over, board->end.line);
        if (device_mqtt_on_subscribed(&board->road, granted) && board->on_mqtt)
            device_road_switch(&board->device);
    }
}

static void take_bytes(struct board *board, void *data)
{
    const struct piece *piece = data;
    struct line *line = piece->line;
    size_t bytes;
    struct mqtt_fault fault;
    struct mqtt_packet packet;
    if (buf_add(&line->in, piece->bytes.at, piece->bytes.len) != ERR_OK)
        abort();
    while (board->end.line == line &&
           mqtt_frame(buf_str(&line->in), MIB, &bytes, &fault) == ERR_OK) {
        static char copy[MQTT_PACKET_BYTES_MAX]; /* a power cut must not leave half a packet */
        memcpy(copy, line->in.at, bytes);
        buf_consume(&line->in, bytes);
        if (mqtt_decode((struct str){copy, bytes}, board->end.version, &packet, &fault) != ERR_OK)
            world_breach(board->world, "the server sent what is no packet: %s", fault.why);
        else
            on_packet(board, &packet);
    }
    board_step_soon(board);
}

/* ---- life ---- */

struct sample {
    uint32_t board, boots;
};

static void sample_due(struct world *world, void *data)
{
    struct sample *sample = data;
    struct board *board = &world->board[sample->board];
    char payload[32];
    if (world->server.disk == NULL || !board->alive || board->boots != sample->boots) {
        free(sample);
        return;
    }
    char topic[] = "sensor/m0/mark";
    topic[8] = (char)('0' + board->machine);
    uint64_t handle;
    if (board->end.open && world->mark_count < WORLD_MARKS_MAX) {
        int len = snprintf(payload, sizeof(payload), "%u", world->mark_count);
        if (say(board, str_from(topic), (struct str){payload, (size_t)len}, 1, false,
                (int32_t)world->mark_count, &handle) == ERR_OK)
            world->mark[world->mark_count++] =
                (struct mark){.board = board->index, .shared = shares_session(board)};
    }
    world_after(world, world_between(world, 300, 4000), sample_due, sample);
}

void end_power_on(struct board *board)
{
    const struct device_mqtt_host host = {board, host_publish, host_subscribe};
    char id[2] = {'m', (char)('0' + board->machine)};
    struct world *world = board->world;
    if (!board->has_mqtt)
        return;
    board->end = (struct mqtt_end){.version = board->index % 3 == 0 ? MQTT_V311 : MQTT_V5,
                                   .attempts = board->end.attempts,
                                   .begun_ms = world->now_ms};
    board->on_mqtt = true;
    if (device_mqtt_init(&board->road, &board->device, (struct str){id, 2}, &host) != ERR_OK)
        world_breach(world, "device_mqtt_init refuses its options");
    struct sample *sample = malloc(sizeof(*sample));
    if (sample == NULL)
        abort();
    *sample = (struct sample){board->index, board->boots};
    world_after(world, world_between(world, 300, 4000), sample_due, sample);
    connect_later(board);
}

void end_power_off(struct board *board)
{
    if (!board->has_mqtt)
        return;
    forget(&board->end);
    end_break(board); /* alive is false by now: nobody is told */
}

void end_step(struct board *board)
{
    struct world *world = board->world;
    if (!board->has_mqtt)
        return;
    device_mqtt_step(&board->road);
    if (!board->has_http || board->device.phase == DEVICE_CLAIM)
        return;
    bool ready = board->road.phase == DEVICE_MQTT_READY;
    if (board->on_mqtt && !ready && world->now_ms - board->end.begun_ms > PATIENCE_MS)
        change_road(board, false);
    else if (!board->on_mqtt && ready && !world_chance(world, 0.3))
        change_road(board, true);
    else if (board->on_mqtt && world_chance(world, 0.01))
        change_road(board, false); /* somebody turned it round */
}

enum err end_send(struct board *board, const struct device_exchange *exchange)
{
    return device_mqtt_send(&board->road, exchange);
}

void lines_finish(struct world *world)
{
    while (world->lines != NULL) {
        struct line *line = world->lines;
        world->lines = line->next;
        buf_finish(&line->in);
        buf_finish(&line->held);
        free(line);
    }
    for (uint32_t i = 0; i < world->board_count; i++)
        forget(&world->board[i].end);
}
