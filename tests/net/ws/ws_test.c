/* WebSocket over a stream in memory: the test is the client, byte for byte. */
#include "kit/kit.h"
#include "net/ws/ws.h"
#include <string.h>

/* ---- handshake --------------------------------------------------------------------------------
 */

TEST(handshake)
{
    static const struct ws_request good = {
        .get = true,
        .upgrade = {"websocket", 9},
        .connection = {"keep-alive, Upgrade", 19},
        .version = {"13", 2},
        .key = {"dGhlIHNhbXBsZSBub25jZQ==", 24}, /* RFC 6455, 1.3 */
    };
    char accept[WS_ACCEPT_BYTES];
    CHECK_OK(ws_handshake(&good, accept));
    CHECK_STR(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    struct ws_request bad = good;
    bad.get = false;
    CHECK_ERR(ws_handshake(&bad, accept), ERR_INPUT);
    bad = good;
    bad.upgrade = STR("h2c");
    CHECK_ERR(ws_handshake(&bad, accept), ERR_INPUT);
    bad = good;
    bad.upgrade = STR("h2c, WebSocket");
    CHECK_OK(ws_handshake(&bad, accept));
    bad = good;
    bad.connection = STR("close");
    CHECK_ERR(ws_handshake(&bad, accept), ERR_INPUT);
    bad = good;
    bad.version = STR("8");
    CHECK_ERR(ws_handshake(&bad, accept), ERR_VERSION);
    bad.version = STR_NONE;
    CHECK_ERR(ws_handshake(&bad, accept), ERR_VERSION);
    static const char *const keys[] = {"", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ===",
                                       "dGhlIHNhbXBsZSBub25j!Q==", "dGhlIHNhbXBsZSBub25jZQAA"};
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        bad = good;
        bad.key = str_from(keys[i]);
        CHECK_ERR(ws_handshake(&bad, accept), ERR_INPUT);
    }
}

/* ---- a stream in memory, and both of its ends --------------------------------------------------
 */

struct line {
    struct stream stream; /* first */
    struct loop *loop;
    struct ws *ws;
    const struct stream_user *user;
    void *user_cookie;
    size_t room; /* how much it takes before it is full */
    uint8_t out[256 * 1024];
    size_t out_len, out_at; /* what the server said; how far the client has read */
    bool closed;
    /* what the server's user saw */
    char message[128 * 1024];
    size_t message_len;
    unsigned messages, gone;
    bool text, echo, close_back, destroy_back;
    uint16_t code;
};

static void line_open(struct stream *stream, const struct stream_user *user, void *cookie)
{
    struct line *line = (struct line *)stream;
    line->user = user;
    line->user_cookie = cookie;
}

static size_t line_write(struct stream *stream, const uint8_t *bytes, size_t len)
{
    struct line *line = (struct line *)stream;
    size_t take = len < line->room ? len : line->room;
    CHECK(!line->closed);
    CHECK(line->out_len + take <= sizeof(line->out));
    memcpy(line->out + line->out_len, bytes, take);
    line->out_len += take;
    line->room -= take;
    return take;
}

static void line_pause(struct stream *stream, bool paused)
{
    (void)stream;
    (void)paused;
}

static void line_close(struct stream *stream)
{
    struct line *line = (struct line *)stream;
    CHECK(!line->closed);
    line->closed = true;
    line->user = NULL;
}

static const struct stream_ops line_ops = {line_open, line_write, line_pause, line_close};

static void see_message(void *cookie, struct ws *ws, bool text, struct str message)
{
    struct line *line = cookie;
    line->messages++;
    line->text = text;
    memcpy(line->message, message.at != NULL ? message.at : "", message.len);
    line->message_len = message.len;
    if (line->echo)
        CHECK_OK(ws_send(ws, text, message));
    if (line->close_back)
        ws_close(ws, WS_NORMAL, STR("enough"));
    if (line->destroy_back)
        ws_destroy(ws);
}

static void see_gone(void *cookie, struct ws *ws, uint16_t code)
{
    struct line *line = cookie;
    CHECK(ws == line->ws);
    line->gone++;
    line->code = code;
    line->ws = NULL;
}

static const struct ws_user seer = {see_message, see_gone};
static struct line line; /* large */

static void start(const struct ws_options *options)
{
    line.stream.ops = &line_ops;
    line.room = SIZE_MAX;
    line.out_len = line.out_at = line.message_len = 0;
    line.messages = line.gone = 0;
    line.closed = line.echo = line.close_back = line.destroy_back = false;
    line.code = 0;
    CHECK_OK(loop_create(&line.loop));
    CHECK_OK(ws_create(line.loop, &line.stream, options, &seer, &line, &line.ws));
}

static void finish(void)
{
    ws_destroy(line.ws);
    line.ws = NULL;
    loop_destroy(line.loop);
}

static void wait_gone(uint16_t code)
{
    while (line.gone == 0 && loop_turn_wait(line.loop))
        ;
    CHECK_EQ(line.gone, 1);
    CHECK_EQ(line.code, code);
}

/* A frame as a client sends it. */
static size_t frame_make(uint8_t *dst, unsigned first, bool masked, const void *payload, size_t len)
{
    static const uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
    size_t at = 0;
    dst[at++] = (uint8_t)first;
    unsigned masked_bit = masked ? 0x80 : 0;
    if (len < 126) {
        dst[at++] = (uint8_t)(masked_bit | len);
    } else if (len <= 0xffff) {
        dst[at++] = (uint8_t)(masked_bit | 126);
        dst[at++] = (uint8_t)(len >> 8);
        dst[at++] = (uint8_t)len;
    } else {
        dst[at++] = (uint8_t)(masked_bit | 127);
        for (int i = 7; i >= 0; i--)
            dst[at++] = (uint8_t)((uint64_t)len >> (8 * i));
    }
    if (masked) {
        memcpy(dst + at, mask, 4);
        at += 4;
    }
    for (size_t i = 0; i < len; i++)
        dst[at + i] = (uint8_t)(((const uint8_t *)payload)[i] ^ (masked ? mask[i % 4] : 0));
    return at + len;
}

static void give(const void *bytes, size_t len)
{
    char *guarded = kit_guard_page(bytes, len);
    if (line.user != NULL)
        line.user->on_bytes(line.user_cookie, (const uint8_t *)guarded, len);
    kit_free_guard(guarded);
}

static void say(unsigned first, const void *payload, size_t len)
{
    static uint8_t frame[256 * 1024];
    give(frame, frame_make(frame, first, true, payload, len));
}

/* The next frame from the server: its first byte, and its payload. */
static unsigned hear(const uint8_t **ret_payload, size_t *ret_len)
{
    const uint8_t *at = line.out + line.out_at;
    size_t left = line.out_len - line.out_at;
    CHECK(left >= 2);
    CHECK((at[1] & 0x80) == 0); /* a server never masks */
    size_t len = at[1], header = 2;
    if (len >= 126) {
        header = len == 126 ? 4 : 10;
        len = 0;
        for (size_t i = 2; i < header; i++)
            len = len << 8 | at[i];
    }
    CHECK(left >= header + len);
    line.out_at += header + len;
    *ret_payload = at + header;
    *ret_len = len;
    return at[0];
}

static void expect_frame(unsigned first, const void *payload, size_t len)
{
    const uint8_t *got;
    size_t got_len;
    CHECK_EQ(hear(&got, &got_len), first);
    CHECK_EQ(got_len, len);
    CHECK_BYTES(got, payload, len);
}

static void expect_close(unsigned code)
{
    const uint8_t *got;
    size_t got_len;
    CHECK_EQ(hear(&got, &got_len), 0x88);
    CHECK(got_len >= 2);
    CHECK_EQ(got[0] << 8 | got[1], code);
    CHECK_EQ(line.out_at, line.out_len);
}

/* ---- messages ----------------------------------------------------------------------------------
 */

TEST(echo_of_every_length_class)
{
    static const size_t lengths[] = {0, 1, 125, 126, 127, 65535, 65536};
    static uint8_t payload[65536];
    memset(payload, 'x', sizeof(payload));
    start(NULL);
    line.echo = true;
    for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
        say(i % 2 == 0 ? 0x81 : 0x82, payload, lengths[i]);
        CHECK_EQ(line.messages, i + 1);
        CHECK_EQ(line.text, i % 2 == 0);
        expect_frame(i % 2 == 0 ? 0x81 : 0x82, payload, lengths[i]);
    }
    finish();
}

TEST(byte_by_byte_and_all_at_once)
{
    uint8_t bytes[64];
    size_t len = frame_make(bytes, 0x81, true, "one", 3);
    len += frame_make(bytes + len, 0x82, true, "two", 3);
    start(NULL);
    line.echo = true;
    give(bytes, len);
    CHECK_EQ(line.messages, 2);
    expect_frame(0x81, "one", 3);
    expect_frame(0x82, "two", 3);
    for (size_t i = 0; i < len; i++)
        give(bytes + i, 1);
    CHECK_EQ(line.messages, 4);
    expect_frame(0x81, "one", 3);
    expect_frame(0x82, "two", 3);
    finish();
}

TEST(fragments_with_a_ping_between_them)
{
    start(NULL);
    say(0x01, "hel", 3);
    say(0x89, "are you there", 13);
    expect_frame(0x8a, "are you there", 13);
    say(0x00, "lo ", 3);
    CHECK_EQ(line.messages, 0);
    say(0x80, "world", 5);
    CHECK_EQ(line.messages, 1);
    CHECK(line.text);
    CHECK_EQ(line.message_len, 11);
    CHECK_BYTES(line.message, "hello world", 11);
    finish();
}

/* ---- what breaks the rules ---------------------------------------------------------------------
 */

TEST(every_breach_is_closed_with_its_code)
{
    static const struct {
        const char *name;
        unsigned first;
        uint16_t code;
        bool unmasked;
        const char *payload;
        size_t len;
    } table[] = {
        {"reserved opcode 3", 0x83, WS_PROTOCOL, false, "x", 1},
        {"reserved control opcode", 0x8b, WS_PROTOCOL, false, "x", 1},
        {"reserved bit 1", 0xc1, WS_PROTOCOL, false, "x", 1},
        {"reserved bit 3", 0x91, WS_PROTOCOL, false, "x", 1},
        {"fragmented ping", 0x09, WS_PROTOCOL, false, "x", 1},
        {"long ping", 0x89, WS_PROTOCOL, false,
         "0123456789012345678901234567890123456789012345678901234567890123456789"
         "0123456789012345678901234567890123456789012345678901234567890123456789",
         126},
        {"continuation of nothing", 0x80, WS_PROTOCOL, false, "x", 1},
        {"not masked", 0x81, WS_PROTOCOL, true, "x", 1},
        {"text that is no UTF-8", 0x81, WS_BAD_DATA, false, "\xff\xfe", 2},
        {"text cut in a letter", 0x81, WS_BAD_DATA, false, "\xc3", 1},
        {"close with a code of nobody", 0x88, WS_PROTOCOL, false, "\x03\xed", 2},
        {"close reason no UTF-8", 0x88, WS_BAD_DATA, false, "\x03\xe8\xff", 3},
        {"too big", 0x82, WS_TOO_BIG, false, NULL, 1025},
    };
    static const char zeros[2048];
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        uint8_t frame[4096];
        NOTE("%s", table[i].name);
        start(&(struct ws_options){.message_bytes_max = 1024});
        size_t len = frame_make(frame, table[i].first, !table[i].unmasked,
                                table[i].payload != NULL ? table[i].payload : zeros, table[i].len);
        give(frame, len);
        CHECK_EQ(line.messages, 0);
        expect_close(table[i].code);
        CHECK(line.closed);
        wait_gone(table[i].code);
        finish();
    }
}

TEST(too_big_in_small_pieces)
{
    static const char zeros[512];
    start(&(struct ws_options){.message_bytes_max = 1024});
    say(0x02, zeros, 512);
    say(0x00, zeros, 512);
    CHECK(!line.closed);
    say(0x80, zeros, 1);
    expect_close(WS_TOO_BIG);
    wait_gone(WS_TOO_BIG);
    finish();
}

TEST(a_frame_header_that_promises_the_world)
{
    static const uint8_t huge[] = {0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t negative[] = {0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                       0xff, 0xff, 0xff, 0,    0,    0,    0};
    start(NULL);
    give(huge, sizeof(huge));
    give("\0\0\0\0x", 5);
    expect_close(WS_TOO_BIG);
    wait_gone(WS_TOO_BIG);
    finish();
    start(NULL);
    give(negative, sizeof(negative));
    expect_close(WS_PROTOCOL);
    wait_gone(WS_PROTOCOL);
    finish();
}

/* ---- the end -----------------------------------------------------------------------------------
 */

TEST(the_client_says_goodbye)
{
    start(NULL);
    say(0x88, "\x03\xe9gone", 6);
    expect_close(1001);
    CHECK(line.closed);
    CHECK_ERR(ws_send(line.ws, true, STR("late")), ERR_CLOSED);
    wait_gone(1001);
    finish();

    for (size_t len = 0; len < 2; len++) { /* no code, or half of one */
        start(NULL);
        say(0x88, "\x03", len);
        expect_frame(0x88, "", 0);
        wait_gone(WS_NO_STATUS);
        finish();
    }
}

TEST(we_say_goodbye)
{
    start(NULL);
    ws_close(line.ws, WS_GOING_AWAY, STR("bye"));
    const uint8_t *payload;
    size_t len;
    CHECK_EQ(hear(&payload, &len), 0x88);
    CHECK_EQ(len, 5);
    CHECK_BYTES(payload,
                "\x03\xe9"
                "bye",
                5);
    CHECK(!line.closed);
    say(0x81, "one more", 8); /* was under way: ignored */
    CHECK_EQ(line.messages, 0);
    say(0x88, "\x03\xe9", 2);
    CHECK(line.closed);
    CHECK_EQ(line.gone, 0); /* never inside a call */
    wait_gone(1001);
    finish();
}

TEST(a_goodbye_without_an_answer)
{
    start(&(struct ws_options){.close_timeout_ms = 10});
    ws_close(line.ws, WS_GOING_AWAY, STR(""));
    wait_gone(WS_GOING_AWAY);
    CHECK(line.closed);
    finish();
}

TEST(close_and_destroy_inside_a_message)
{
    start(NULL);
    line.close_back = true;
    say(0x81, "x", 1);
    expect_close(WS_NORMAL);
    say(0x88, "\x03\xe8", 2);
    wait_gone(WS_NORMAL);
    finish();

    start(NULL);
    line.destroy_back = true;
    say(0x81, "x", 1);
    CHECK(line.closed);
    line.ws = NULL;
    finish();
    CHECK_EQ(line.gone, 0);
}

TEST(the_line_breaks)
{
    start(NULL);
    line.user->on_gone(line.user_cookie, ERR_CLOSED);
    CHECK_EQ(line.gone, 1);
    CHECK_EQ(line.code, WS_LOST);
    finish();
}

/* ---- time --------------------------------------------------------------------------------------
 */

TEST(a_silent_peer_is_pinged_then_given_up)
{
    const uint8_t *payload;
    size_t len;
    start(&(struct ws_options){.ping_every_ms = 5, .pong_timeout_ms = 5});
    for (int i = 0; i < 3; i++) {
        while (line.out_len == line.out_at)
            CHECK(loop_turn_wait(line.loop));
        CHECK_EQ(hear(&payload, &len), 0x89);
        say(0x8a, payload, len);
        CHECK_EQ(line.gone, 0);
    }
    while (line.out_len == line.out_at)
        CHECK(loop_turn_wait(line.loop));
    wait_gone(WS_LOST); /* this ping stays unanswered */
    CHECK(line.closed);
    finish();
}

/* ---- slow peers and broadcasts -----------------------------------------------------------------
 */

TEST(a_full_line_waits_and_goes_on_in_the_middle_of_a_frame)
{
    start(NULL);
    line.room = 4;
    CHECK_OK(ws_send(line.ws, true, STR("hello")));
    CHECK_OK(ws_send(line.ws, true, STR("world")));
    CHECK_EQ(line.out_len, 4);
    CHECK_EQ(ws_queued_bytes(line.ws), 10);
    line.room = 1;
    line.user->on_room(line.user_cookie);
    CHECK_EQ(line.out_len, 5);
    line.room = SIZE_MAX;
    line.user->on_room(line.user_cookie);
    expect_frame(0x81, "hello", 5);
    expect_frame(0x81, "world", 5);
    CHECK_EQ(ws_queued_bytes(line.ws), 0);
    finish();
}

TEST(a_peer_that_is_too_slow_is_closed)
{
    static char lump[1000];
    start(&(struct ws_options){.queued_bytes_max = 5000, .close_timeout_ms = 10});
    line.room = 10;
    enum err err;
    unsigned taken = 0;
    while ((err = ws_send(line.ws, false, (struct str){lump, sizeof(lump)})) == ERR_OK)
        taken++;
    CHECK_ERR(err, ERR_FULL);
    CHECK_EQ(taken, 4);
    CHECK_ERR(ws_send(line.ws, false, STR("x")), ERR_CLOSED);
    CHECK(ws_queued_bytes(line.ws) < 1100); /* only what had begun to leave, and the close */
    line.room = SIZE_MAX;
    line.user->on_room(line.user_cookie);
    expect_frame(0x82, lump, sizeof(lump));
    expect_close(WS_TRY_LATER);
    wait_gone(WS_TRY_LATER);
    finish();

    start(&(struct ws_options){.queued_count_max = 3, .close_timeout_ms = 10});
    line.room = 0;
    for (int i = 0; i < 3; i++)
        CHECK_OK(ws_send(line.ws, true, STR("x")));
    CHECK_ERR(ws_send(line.ws, true, STR("x")), ERR_FULL);
    wait_gone(WS_TRY_LATER); /* it does not even take the close */
    finish();
}

TEST(pings_that_nobody_reads_the_pongs_of)
{
    start(&(struct ws_options){.queued_count_max = 4});
    line.room = 0;
    for (int i = 0; i < 100 && line.user != NULL; i++)
        say(0x89, "x", 1);
    CHECK(line.closed);
    wait_gone(WS_TRY_LATER);
    finish();
}

TEST(one_frame_for_many)
{
    struct ws_frame *frame;
    start(NULL);
    CHECK_OK(ws_frame_create(true, STR("news"), &frame));
    int64_t live = mem_live();
    CHECK_OK(ws_send_frame(line.ws, frame));
    CHECK_EQ(mem_live(), live); /* sent at once: nothing kept */
    line.room = 0;
    CHECK_OK(ws_send_frame(line.ws, frame));
    CHECK_OK(ws_send_frame(line.ws, frame));
    CHECK_EQ(mem_live(), live + 2); /* two places in the queue, no copy of the frame */
    ws_frame_unref(frame);
    line.room = SIZE_MAX;
    line.user->on_room(line.user_cookie);
    for (int i = 0; i < 3; i++)
        expect_frame(0x81, "news", 4);
    finish();
}

TEST(every_failed_allocation)
{
    for (uint32_t nth = 1;; nth++) {
        line.stream.ops = &line_ops;
        line.user = NULL;
        line.room = 3;
        line.out_len = line.out_at = 0;
        line.gone = 0;
        line.closed = false;
        line.ws = NULL;
        CHECK_OK(loop_create(&line.loop));
        mem_fail_at(nth);
        enum err err = ws_create(line.loop, &line.stream, NULL, &seer, &line, &line.ws);
        if (err == ERR_OK) {
            err = ws_send(line.ws, true, STR("hello"));
            say(0x89, "x", 1);
            say(0x81, "x", 1);
            if (line.user != NULL) {
                line.room = SIZE_MAX;
                line.user->on_room(line.user_cookie);
            }
        }
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        CHECK(err == ERR_OK || err == ERR_NOMEM);
        finish();
        if (!fired)
            break;
    }
}
