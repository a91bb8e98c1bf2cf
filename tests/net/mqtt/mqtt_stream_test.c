/* A client over somebody else's stream (WebSocket), here one in memory; and behind a filter. */
#include "mqtt_dialogue.h"

static struct house house;

struct line {
    struct stream stream; /* first */
    const struct stream_user *user;
    void *cookie;
    size_t room;
    uint8_t out[4096];
    size_t out_len;
    bool closed, paused;
};

static void line_open(struct stream *stream, const struct stream_user *user, void *cookie)
{
    ((struct line *)stream)->user = user;
    ((struct line *)stream)->cookie = cookie;
}

static size_t line_write(struct stream *stream, const uint8_t *bytes, size_t len)
{
    struct line *line = (struct line *)stream;
    size_t take = len < line->room ? len : line->room;
    CHECK(!line->closed && line->out_len + take <= sizeof(line->out));
    memcpy(line->out + line->out_len, bytes, take);
    line->out_len += take;
    line->room -= take;
    return take;
}

static void line_pause(struct stream *stream, bool paused)
{
    ((struct line *)stream)->paused = paused;
}

static void line_close(struct stream *stream)
{
    CHECK(!((struct line *)stream)->closed);
    ((struct line *)stream)->closed = true;
}

static const struct stream_ops line_ops = {line_open, line_write, line_pause, line_close};

static void line_begin(struct line *line)
{
    *line = (struct line){.stream.ops = &line_ops, .room = SIZE_MAX / 2};
    CHECK_OK(mqtt_server_adopt(house.server, &line->stream, "192.0.2.7", true));
}

static void line_say(struct line *line, const char *hex)
{
    uint8_t bytes[1024];
    size_t len = bytes_of(hex, bytes, sizeof(bytes));
    line->user->on_bytes(line->cookie, bytes, len);
}

static void line_hear(struct line *line, const char *hex)
{
    uint8_t bytes[1024];
    size_t len = bytes_of(hex, bytes, sizeof(bytes));
    while (line->out_len < len)
        house_turn(&house, NULL);
    CHECK_EQ(line->out_len, len);
    CHECK_BYTES(line->out, bytes, len);
    line->out_len = 0;
}

TEST(a_visit_over_a_stream)
{
    struct line line;
    house_open(&house, NULL);
    line_begin(&line);
    line_say(&line, CONNECT_311);
    CHECK_STR(mqtt_conn_peer(house.conn), "192.0.2.7");
    CHECK(mqtt_conn_tls(house.conn));
    line_hear(&line, CONNACK_311);
    line_say(&line, "3207 0001");
    line_say(&line, "61 0001 3132 C0"); /* packets need not end where messages do */
    line_hear(&line, "4002 0001");
    line_say(&line, "00");
    line_hear(&line, "D000");
    CHECK_STR(house.seen, "a=12;");
    line_say(&line, "E000");
    CHECK_EQ(house.gone, 0);
    UNTIL(&house, NULL, house.gone == 1);
    CHECK(line.closed);
    CHECK_EQ(house.gone_reason, MQTT_SUCCESS);
    house_close(&house);
}

TEST(a_stream_that_goes)
{
    struct line line;
    house_open(&house, NULL);
    line_begin(&line);
    line_say(&line, CONNECT_5);
    line_hear(&line, CONNACK_5);
    line.user->on_gone(line.cookie, ERR_CLOSED);
    CHECK_EQ(house.gone, 0);
    UNTIL(&house, NULL, house.gone == 1);
    CHECK(!line.closed); /* it must not be touched any more */
    house_close(&house);
}

TEST(a_stream_without_room)
{
    struct line line;
    house_open(&house, NULL);
    line_begin(&line);
    line.room = 1;
    line_say(&line, CONNECT_311);
    CHECK_EQ(line.out_len, 1);
    line_say(&line, "C000");
    line.room = 2;
    line.user->on_room(line.cookie);
    CHECK_EQ(line.out_len, 3);
    line.room = 100;
    line.user->on_room(line.cookie);
    line_hear(&line, CONNACK_311 "D000");
    mqtt_conn_close(house.conn, MQTT_ADMINISTRATIVE);
    UNTIL(&house, NULL, house.gone == 1);
    CHECK(line.closed);
    house_close(&house);
}

/* A stream may bring bytes also after it was asked to pause. */
TEST(a_stream_is_paused)
{
    struct line line;
    house_open(&house, NULL);
    house.later = true;
    line_begin(&line);
    CHECK(!line.paused);
    line_say(&line, CONNECT_311);
    CHECK(line.paused);
    line_say(&line, "3004 0001 61 31 30");
    line_say(&line, "04 0001 61 32");
    CHECK_EQ(house.publishes, 0);
    mqtt_conn_accept(house.conn, false, 0, NULL);
    UNTIL(&house, NULL, house.publishes == 2);
    CHECK(!line.paused);
    CHECK_STR(house.seen, "a=1;a=2;");
    house_close(&house);
    CHECK(line.closed);
}

TEST(a_flood_against_a_pause_ends)
{
    static uint8_t flood[64 * 1024];
    struct line line;
    house_open(&house, NULL);
    house.later = true;
    line_begin(&line);
    line_say(&line, CONNECT_311);
    for (int i = 0; i < 20 && !line.closed; i++) {
        line.user->on_bytes(line.cookie, flood, sizeof(flood));
        house_turn(&house, NULL);
    }
    CHECK(line.closed);
    CHECK_EQ(house.gone, 1);
    house_close(&house);
}

TEST(adopting_has_its_bounds)
{
    struct line lines[2] = {{.stream.ops = &line_ops}};
    house_open(&house, &(struct mqtt_server_options){.connections_max = 1});
    line_begin(&lines[1]);
    CHECK_ERR(mqtt_server_adopt(house.server, &lines[0].stream, "x", false), ERR_FULL);
    mqtt_server_stop(house.server, house_stop_done, &house);
    CHECK_ERR(mqtt_server_adopt(house.server, &lines[0].stream, "x", false), ERR_CLOSED);
    UNTIL(&house, NULL, house.stopped);
    CHECK(lines[1].closed && !lines[0].closed);
    house_close(&house);
    house_open(&house, NULL);
    mem_fail_at(1);
    CHECK_ERR(mqtt_server_adopt(house.server, &lines[0].stream, "x", false), ERR_NOMEM);
    mem_fail_at(0);
    house_close(&house);
    CHECK(!lines[0].closed && lines[0].user == NULL);
}

/* ---- a filter: a greeting of three bytes each way, then everything turned around ---- */

struct mask {
    bool greeted, ended;
    unsigned greeting;
    const uint8_t *in;
    size_t in_len;
    struct buf out;
};

static enum err mask_create(void *context, void **ret_filter)
{
    struct mask *mask = mem_zalloc(sizeof(*mask));
    (void)context;
    if (mask == NULL)
        return ERR_NOMEM;
    buf_init(&mask->out, MIB);
    CHECK_OK(buf_add(&mask->out, "HEY", 3));
    *ret_filter = mask;
    return ERR_OK;
}

static void mask_destroy(void *filter)
{
    buf_finish(&((struct mask *)filter)->out);
    mem_free(filter);
}

static enum err mask_feed(void *filter, const uint8_t *wire, size_t len)
{
    struct mask *mask = filter;
    CHECK_EQ(mask->in_len, 0);
    mask->in = wire;
    mask->in_len = len;
    return ERR_OK;
}

static enum err mask_pull(void *filter, uint8_t *plain, size_t plain_bytes, size_t *ret_len)
{
    struct mask *mask = filter;
    while (mask->in_len != 0 && mask->greeting < 3) {
        if (*mask->in != (uint8_t) "HEY"[mask->greeting])
            return ERR_INPUT;
        mask->in++;
        mask->in_len--;
        mask->greeted = ++mask->greeting == 3;
    }
    if (mask->in_len == 0)
        return ERR_AGAIN;
    size_t take = mask->in_len < plain_bytes ? mask->in_len : plain_bytes;
    for (size_t i = 0; i < take; i++)
        plain[i] = (uint8_t)~mask->in[i];
    mask->in += take;
    mask->in_len -= take;
    *ret_len = take;
    return ERR_OK;
}

static enum err mask_push(void *filter, const uint8_t *plain, size_t len)
{
    struct mask *mask = filter;
    if (!mask->greeted)
        return ERR_AGAIN;
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = (uint8_t)~plain[i];
        CHECK_OK(buf_add(&mask->out, &byte, 1));
    }
    return ERR_OK;
}

static struct str mask_wire(void *filter)
{
    return buf_str(&((struct mask *)filter)->out);
}

static void mask_drained(void *filter, size_t len)
{
    buf_consume(&((struct mask *)filter)->out, len);
}

static void mask_finish(void *filter)
{
    ((struct mask *)filter)->ended = true;
}

static const struct stream_filter_ops mask_ops = {mask_create,  mask_destroy, mask_feed,
                                                  mask_pull,    mask_push,    mask_wire,
                                                  mask_drained, mask_finish};

static void turned(const char *hex, uint8_t *bytes, size_t *ret_len)
{
    *ret_len = bytes_of(hex, bytes, 256);
    for (size_t i = 0; i < *ret_len; i++)
        bytes[i] = (uint8_t)~bytes[i];
}

static void open_masked(struct caller *caller)
{
    house_open(&house, NULL);
    CHECK_OK(mqtt_server_listen(house.server, "127.0.0.1:0", &mask_ops, NULL, &house.port));
    caller_open(&house, caller);
}

TEST(a_visit_behind_a_filter)
{
    static struct caller caller;
    uint8_t bytes[256], expected[256];
    size_t len, expected_len;
    open_masked(&caller);
    caller_say_bytes(&house, &caller, "HE", 2);
    loop_turn(house.loop);
    turned(CONNECT_311 "3206 0001 61 0001 31", bytes + 1, &len);
    bytes[0] = 'Y';
    caller_say_bytes(&house, &caller, bytes, len + 1);
    caller_hear(&house, &caller, "484559");
    turned(CONNACK_311 "4002 0001", expected, &expected_len);
    caller_read(&caller);
    while (caller.len < expected_len) {
        house_turn(&house, &caller);
        caller_read(&caller);
    }
    CHECK_BYTES(caller.got, expected, expected_len);
    CHECK(mqtt_conn_tls(house.conn));
    CHECK_STR(house.seen, "a=1;");
    caller_close(&caller);
    house_close(&house);
}

TEST(a_filter_that_refuses)
{
    static struct caller caller;
    open_masked(&caller);
    caller_say_bytes(&house, &caller, "MQTT", 4);
    caller_hear(&house, &caller, "484559");
    UNTIL(&house, NULL, house.gone == 1);
    CHECK_EQ(house.connects, 0);
    caller_close(&caller);
    house_close(&house);
}

/* The client goes through the same kind of filter. */
struct guest {
    unsigned connacks, published, gone;
};

static void guest_connack(void *cookie, bool session_present, enum mqtt_reason reason)
{
    (void)session_present;
    CHECK_EQ(reason, MQTT_SUCCESS);
    ((struct guest *)cookie)->connacks++;
}

static void guest_published(void *cookie, uint64_t handle, enum mqtt_reason reason)
{
    (void)handle;
    (void)reason;
    ((struct guest *)cookie)->published++;
}

static void guest_gone(void *cookie, enum mqtt_reason reason)
{
    (void)reason;
    ((struct guest *)cookie)->gone++;
}

TEST(a_client_behind_a_filter)
{
    static const struct mqtt_client_user user = {
        .on_connack = guest_connack, .on_published = guest_published, .on_gone = guest_gone};
    struct guest guest = {0};
    struct mqtt_client *client;
    house_open(&house, NULL);
    CHECK_OK(mqtt_server_listen(house.server, "127.0.0.1:0", &mask_ops, NULL, &house.port));
    struct mqtt_client_options options = {.host = "127.0.0.1",
                                          .port = house.port,
                                          .client_id = "c",
                                          .clean_start = true,
                                          .filter = &mask_ops};
    CHECK_OK(mqtt_client_create(house.loop, &options, &user, &guest, &client));
    CHECK_OK(mqtt_client_connect(client));
    UNTIL(&house, NULL, guest.connacks == 1);
    struct mqtt_message message = {.topic = STR("a"), .payload = STR("hi"), .qos = 1};
    CHECK_OK(mqtt_client_publish(client, &message, NULL));
    UNTIL(&house, NULL, guest.published == 1);
    CHECK_STR(house.seen, "a=hi;");
    mqtt_client_disconnect(client);
    UNTIL(&house, NULL, guest.gone == 1 && house.gone == 1);
    CHECK_EQ(house.disconnects, 1);
    mqtt_client_destroy(client);
    house_close(&house);
}
