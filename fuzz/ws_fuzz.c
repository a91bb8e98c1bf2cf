/* rooms: net/ws */
/* A WebSocket client's bytes.  The first byte of the input says in what pieces they come, the
 * second how much room there is for the answers. */
#include "net/ws/ws.h"
#include <stdlib.h>
#include <string.h>

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
    size_t room;
    bool closed;
    unsigned gone;
};

static void line_open(struct stream *stream, const struct stream_user *user, void *cookie)
{
    ((struct line *)stream)->user = user;
    ((struct line *)stream)->cookie = cookie;
}

static size_t line_write(struct stream *stream, const uint8_t *bytes, size_t len)
{
    struct line *line = (struct line *)stream;
    must(!line->closed);
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
    (void)stream;
    (void)paused;
}

static void line_close(struct stream *stream)
{
    struct line *line = (struct line *)stream;
    must(!line->closed);
    line->closed = true;
}

static const struct stream_ops ops = {line_open, line_write, line_pause, line_close};

static void on_message(void *cookie, struct ws *ws, bool text, struct str message)
{
    (void)cookie;
    must(message.len <= 4096);
    must(!text || utf8_valid(message));
    (void)!ws_send(ws, text, message);
}

static void on_gone(void *cookie, struct ws *ws, uint16_t code)
{
    struct line *line = cookie;
    (void)ws;
    must(code >= 1000 && code < 5000);
    line->gone++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ws_user user = {on_message, on_gone};
    const struct ws_options options = {
        .message_bytes_max = 4096, .queued_bytes_max = 8192, .queued_count_max = 16};
    struct loop *loop;
    struct ws *ws;
    if (size < 2 || loop_create(&loop) != ERR_OK)
        return 0;
    struct line line = {.stream.ops = &ops, .room = (size_t)data[1] * 64};
    size_t step = 1 + data[0] % 64;
    if (ws_create(loop, &line.stream, &options, &user, &line, &ws) != ERR_OK)
        abort();
    for (size_t at = 2; at < size && !line.closed; at += step) {
        size_t give = size - at < step ? size - at : step;
        line.user->on_bytes(line.cookie, data + at, give);
    }
    if (!line.closed) {
        line.room = SIZE_MAX;
        line.user->on_room(line.cookie);
    }
    if (line.closed) {
        while (line.gone == 0 && loop_turn(loop))
            ;
        must(line.gone == 1);
    } else {
        line.user->on_gone(line.cookie, ERR_CLOSED);
        must(line.gone == 1);
    }
    loop_destroy(loop);
    return 0;
}
