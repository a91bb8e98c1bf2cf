/* rooms: net/mqtt */
/* A client's bytes through the server's end.  The first byte of the input says in what pieces they
 * come, the second how much room there is for the answers, the third what the server's user does:
 * answer later, pause, close. */
#include "net/mqtt/mqtt.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool fact)
{
    if (!fact)
        abort();
}

struct line {
    struct stream stream; /* first */
    const struct stream_user *user;
    void *cookie;
    struct mqtt_conn *waiting; /* for its answer to CONNECT */
    struct mqtt_conn *paused;
    size_t room;
    uint8_t habit;
    unsigned connects, calls, gone;
    bool closed;
};

static void line_open(struct stream *stream, const struct stream_user *user, void *cookie)
{
    ((struct line *)stream)->user = user;
    ((struct line *)stream)->cookie = cookie;
}

static size_t line_write(struct stream *stream, const uint8_t *bytes, size_t len)
{
    struct line *line = (struct line *)stream;
    must(!line->closed && len != 0);
    size_t take = len < line->room ? len : line->room;
    uint8_t sum = 0;
    for (size_t i = 0; i < take; i++)
        sum = (uint8_t)(sum ^ bytes[i]);
    (void)sum;
    line->room -= take;
    return take;
}

static void line_pause(struct stream *stream, bool paused)
{
    (void)paused;
    must(!((struct line *)stream)->closed);
}

static void line_close(struct stream *stream)
{
    must(!((struct line *)stream)->closed);
    ((struct line *)stream)->closed = true;
}

static const struct stream_ops ops = {line_open, line_write, line_pause, line_close};

static void on_connect(void *cookie, struct mqtt_conn *conn, const struct mqtt_connect *connect)
{
    struct line *line = cookie;
    must(++line->connects == 1);
    if ((line->habit & 1) != 0)
        line->waiting = conn;
    else
        mqtt_conn_accept(conn, false, connect->keep_alive_s, NULL);
}

static void called(struct line *line, struct mqtt_conn *conn)
{
    must(line->connects == 1 && line->gone == 0);
    line->calls++;
    if ((line->habit & 2) != 0 && line->calls % 2 == 0) {
        mqtt_conn_pause(conn, true);
        line->paused = conn;
    }
    if ((line->habit & 4) != 0 && line->calls == 3)
        mqtt_conn_close(conn, MQTT_ADMINISTRATIVE);
}

static void on_publish(void *cookie, struct mqtt_conn *conn, const struct mqtt_publish *publish)
{
    must(publish->topic.len != 0 && mqtt_topic_valid(publish->topic));
    must((publish->properties.has & MQTT_HAS_TOPIC_ALIAS) == 0);
    if (publish->qos != 0)
        (void)!mqtt_conn_ack(conn, publish->qos == 1 ? MQTT_PUBACK : MQTT_PUBREC,
                             publish->packet_id, MQTT_SUCCESS);
    struct mqtt_packet echo = {.type = MQTT_PUBLISH};
    echo.publish = *publish;
    (void)!mqtt_conn_send(conn, &echo);
    called(cookie, conn);
}

static void on_ack(void *cookie, struct mqtt_conn *conn, const struct mqtt_ack *ack)
{
    if (ack->type == MQTT_PUBREL)
        (void)!mqtt_conn_ack(conn, MQTT_PUBCOMP, ack->packet_id, MQTT_PACKET_ID_NOT_FOUND);
    called(cookie, conn);
}

static void on_subscribe(void *cookie, struct mqtt_conn *conn,
                         const struct mqtt_subscribe *subscribe)
{
    struct mqtt_packet packet = {.type = MQTT_SUBACK};
    packet.suback = (struct mqtt_suback){.type = MQTT_SUBACK,
                                         .packet_id = subscribe->packet_id,
                                         .reason_count = subscribe->filter_count};
    (void)!mqtt_conn_send(conn, &packet);
    called(cookie, conn);
}

static void on_gone(void *cookie, struct mqtt_conn *conn, enum mqtt_reason reason)
{
    struct line *line = cookie;
    (void)reason;
    must(++line->gone == 1);
    if (line->waiting == conn)
        line->waiting = NULL;
    line->paused = NULL;
}

/* What waits for its turn, and for its user. */
static void turn(struct loop *loop, struct line *line)
{
    loop_turn(loop);
    if (line->waiting != NULL)
        mqtt_conn_accept(line->waiting, true, 0, NULL);
    line->waiting = NULL;
    if (line->paused != NULL)
        mqtt_conn_pause(line->paused, false);
    line->paused = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mqtt_server_user user = {.on_connect = on_connect,
                                                 .on_publish = on_publish,
                                                 .on_ack = on_ack,
                                                 .on_subscribe = on_subscribe,
                                                 .on_unsubscribe = on_subscribe,
                                                 .on_gone = on_gone};
    const struct mqtt_server_options options = {.packet_bytes_max = 1024, .queued_bytes_max = 2048};
    struct loop *loop;
    struct mqtt_server *server;
    if (size < 3 || loop_create(&loop) != ERR_OK)
        return 0;
    struct line line = {.stream.ops = &ops, .room = (size_t)data[1] * 16, .habit = data[2]};
    if (mqtt_server_create(loop, &options, &user, &line, &server) != ERR_OK ||
        mqtt_server_adopt(server, &line.stream, "fuzz", false) != ERR_OK)
        abort();
    size_t step = 1 + data[0] % 64;
    for (size_t at = 3; at < size && !line.closed; at += step) {
        size_t give = size - at < step ? size - at : step;
        line.user->on_bytes(line.cookie, data + at, give);
        if (data[0] >= 64)
            turn(loop, &line);
    }
    if (!line.closed) {
        line.room = SIZE_MAX / 2;
        line.user->on_room(line.cookie);
    }
    for (int i = 0; i < 3; i++)
        turn(loop, &line);
    if (!line.closed)
        line.user->on_gone(line.cookie, ERR_CLOSED);
    loop_turn(loop);
    loop_turn(loop);
    mqtt_server_destroy(server);
    must(line.gone == 1);
    loop_destroy(loop);
    must(mem_live() == 0);
    return 0;
}
