/* A connection's life:
 *
 *   OPEN -> CLOSING (our close is queued; the peer's half is awaited) -> OVER (told by on_gone)
 *      '------------ the peer left, answered its close, or broke the protocol ------^
 *
 * Frames from the peer go through wslay, which also makes pongs and close frames.  What we send is
 * encoded here, once for all who get it, and waits in one queue of shared frames. */
#include "net/ws/ws.h"
#include "sys/sys.h"
#include <limits.h>
#include <string.h>
#include <wslay/wslay.h>

#define CONTROL_BYTES_MAX (128 * KIB) /* the pongs for one read full of pings */

enum ws_state { WS_STATE_OPEN, WS_STATE_CLOSING, WS_STATE_OVER };

struct ws_frame {
    uint32_t refs;
    size_t len;
    uint8_t bytes[];
};

struct waiting {
    struct waiting *next;
    struct ws_frame *frame;
};

struct ws {
    struct stream *stream; /* NULL: gone */
    struct loop *loop;
    struct loop_timer *timer;
    struct ws_options options;
    const struct ws_user *user;
    void *cookie;
    wslay_event_context_ptr wslay;
    const uint8_t *in;
    size_t in_len;
    struct buf control; /* what wslay wants to send */
    struct waiting *head, **tail;
    size_t head_sent; /* of the first frame */
    size_t queued_bytes;
    uint32_t queued_count;
    enum ws_state state;
    uint16_t code;
    bool heard;     /* something came since the last ping */
    bool pinged;    /* a ping waits for that */
    bool paused;    /* by the user: it is not read from */
    bool busy;      /* inside a callback: destroying waits */
    bool destroyed; /* by the user, while busy */
};

/* ---- frames
 * --------------------------------------------------------------------------------------------------
 */

static size_t frame_header(uint8_t *dst, uint8_t opcode, size_t len)
{
    dst[0] = (uint8_t)(0x80 | opcode);
    if (len < 126) {
        dst[1] = (uint8_t)len;
        return 2;
    }
    unsigned bytes = len <= 0xffff ? 2 : 8;
    dst[1] = bytes == 2 ? 126 : 127;
    for (unsigned i = 0; i < bytes; i++)
        dst[2 + i] = (uint8_t)((uint64_t)len >> (8 * (bytes - 1 - i)));
    return 2 + bytes;
}

static struct ws_frame *frame_raw(const void *bytes, size_t len, size_t header_bytes)
{
    struct ws_frame *frame = mem_alloc(sizeof(*frame) + header_bytes + len);
    if (frame == NULL)
        return NULL;
    frame->refs = 1;
    frame->len = header_bytes + len;
    if (len != 0)
        memcpy(frame->bytes + header_bytes, bytes, len);
    return frame;
}

enum err ws_frame_create(bool text, struct str message, struct ws_frame **ret_frame)
{
    uint8_t header[10];
    size_t header_bytes =
        frame_header(header, text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME, message.len);
    struct ws_frame *frame = frame_raw(message.at, message.len, header_bytes);
    if (frame == NULL)
        return ERR_NOMEM;
    memcpy(frame->bytes, header, header_bytes);
    *ret_frame = frame;
    return ERR_OK;
}

void ws_frame_unref(struct ws_frame *frame)
{
    if (frame != NULL && --frame->refs == 0)
        mem_free(frame);
}

/* ---- queue
 * ---------------------------------------------------------------------------------------------------
 */

/* Takes over the reference. */
static enum err queue_add(struct ws *ws, struct ws_frame *frame)
{
    struct waiting *waiting = mem_alloc(sizeof(*waiting));
    if (waiting == NULL) {
        ws_frame_unref(frame);
        return ERR_NOMEM;
    }
    *waiting = (struct waiting){.frame = frame};
    *ws->tail = waiting;
    ws->tail = &waiting->next;
    ws->queued_bytes += frame->len;
    ws->queued_count++;
    return ERR_OK;
}

static void queue_pop(struct ws *ws)
{
    struct waiting *first = ws->head;
    ws->head = first->next;
    if (ws->head == NULL)
        ws->tail = &ws->head;
    ws->queued_bytes -= first->frame->len;
    ws->queued_count--;
    ws->head_sent = 0;
    ws_frame_unref(first->frame);
    mem_free(first);
}

/* Drop what has not begun to leave: a frame that was cut short would break the protocol. */
static void queue_drop(struct ws *ws)
{
    struct waiting *begun = NULL;
    if (ws->head_sent != 0) {
        begun = ws->head;
        ws->head = begun->next;
    }
    size_t sent = ws->head_sent;
    while (ws->head != NULL)
        queue_pop(ws);
    ws->head_sent = sent;
    ws->tail = &ws->head;
    if (begun != NULL) {
        begun->next = NULL;
        ws->head = begun;
        ws->tail = &begun->next;
    }
}

static void flush(struct ws *ws)
{
    while (ws->head != NULL && ws->stream != NULL) {
        struct ws_frame *frame = ws->head->frame;
        size_t left = frame->len - ws->head_sent;
        size_t taken = stream_write(ws->stream, frame->bytes + ws->head_sent, left);
        if (taken < left) {
            ws->head_sent += taken;
            return; /* on_room calls again */
        }
        queue_pop(ws);
    }
}

/* ---- the end
 * -------------------------------------------------------------------------------------------------
 */

static void ws_free(struct ws *ws)
{
    ws->head_sent = 0;
    queue_drop(ws);
    buf_finish(&ws->control);
    wslay_event_context_free(ws->wslay);
    loop_timer_destroy(ws->timer);
    mem_free(ws);
}

static void tell_gone(struct ws *ws)
{
    ws->busy = true;
    if (!ws->destroyed)
        ws->user->on_gone(ws->cookie, ws, ws->code);
    ws_free(ws);
}

/* Let go of the stream; on_gone comes in a later turn, by the timer. */
static void over(struct ws *ws, uint16_t code)
{
    if (ws->state == WS_STATE_OVER)
        return;
    ws->state = WS_STATE_OVER;
    ws->code = code;
    if (ws->stream != NULL)
        stream_close(ws->stream);
    ws->stream = NULL;
    loop_timer_set(ws->timer, loop_now_ms(ws->loop));
}

static uint16_t final_code(const struct ws *ws)
{
    if (wslay_event_get_close_received(ws->wslay))
        return wslay_event_get_status_code_received(ws->wslay);
    return wslay_event_get_status_code_sent(ws->wslay);
}

/* Send what wslay has to say (pongs, closes) behind what is queued already. */
static void pump(struct ws *ws)
{
    if (ws->state == WS_STATE_OVER)
        return;
    while (wslay_event_want_write(ws->wslay)) {
        if (wslay_event_send(ws->wslay) != 0) {
            over(ws, WS_INTERNAL);
            return;
        }
    }
    if (ws->control.len != 0) {
        struct ws_frame *frame = frame_raw(ws->control.at, ws->control.len, 0);
        buf_finish(&ws->control);
        if (frame == NULL || queue_add(ws, frame) != ERR_OK) {
            over(ws, WS_INTERNAL);
            return;
        }
    }
    flush(ws);
    bool sent = wslay_event_get_close_sent(ws->wslay) != 0;
    bool reads = wslay_event_get_read_enabled(ws->wslay) != 0;
    if (ws->head == NULL && sent && (!reads || wslay_event_get_close_received(ws->wslay) != 0)) {
        over(ws, final_code(ws));
    } else if (sent && ws->state == WS_STATE_OPEN) {
        ws->state = WS_STATE_CLOSING;
        loop_timer_set(ws->timer, loop_now_ms(ws->loop) + ws->options.close_timeout_ms);
    }
}

void ws_pause(struct ws *ws, bool paused)
{
    if (ws->stream == NULL || ws->paused == paused || (paused && ws->state != WS_STATE_OPEN))
        return;
    ws->paused = paused;
    ws->heard = true; /* since then nothing could be */
    stream_pause(ws->stream, paused);
}

void ws_close(struct ws *ws, enum ws_close_code code, struct str reason)
{
    if (ws->state != WS_STATE_OPEN)
        return;
    if (reason.len > 122)
        reason.len = 122;
    if (wslay_event_queue_close(ws->wslay, (uint16_t)code, (const uint8_t *)reason.at,
                                reason.len) != 0) {
        over(ws, WS_INTERNAL);
        return;
    }
    ws->state = WS_STATE_CLOSING;
    ws_pause(ws, false); /* to see the peer's half */
    loop_timer_set(ws->timer, loop_now_ms(ws->loop) + ws->options.close_timeout_ms);
    if (!ws->busy) /* inside wslay's own callbacks, its turn comes after them */
        pump(ws);
}

void ws_destroy(struct ws *ws)
{
    if (ws == NULL)
        return;
    if (ws->stream != NULL)
        stream_close(ws->stream);
    ws->stream = NULL;
    ws->state = WS_STATE_OVER;
    ws->destroyed = true;
    if (!ws->busy)
        ws_free(ws);
}

/* ---- wslay's callbacks
 * --------------------------------------------------------------------------------------- */

static ssize_t take_bytes(wslay_event_context_ptr wslay, uint8_t *dst, size_t dst_bytes, int flags,
                          void *cookie)
{
    struct ws *ws = cookie;
    (void)flags;
    if (ws->in_len == 0 || ws->state == WS_STATE_OVER) {
        wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    size_t take = ws->in_len < dst_bytes ? ws->in_len : dst_bytes;
    memcpy(dst, ws->in, take);
    ws->in += take;
    ws->in_len -= take;
    return (ssize_t)take;
}

static ssize_t give_bytes(wslay_event_context_ptr wslay, const uint8_t *bytes, size_t len,
                          int flags, void *cookie)
{
    struct ws *ws = cookie;
    (void)flags;
    if (buf_add(&ws->control, bytes, len) != ERR_OK) {
        wslay_event_set_error(wslay, WSLAY_ERR_CALLBACK_FAILURE);
        return -1;
    }
    return (ssize_t)len;
}

static void take_message(wslay_event_context_ptr wslay,
                         const struct wslay_event_on_msg_recv_arg *message, void *cookie)
{
    struct ws *ws = cookie;
    (void)wslay;
    if (ws->state != WS_STATE_OPEN || wslay_is_ctrl_frame(message->opcode))
        return;
    ws->user->on_message(ws->cookie, ws, message->opcode == WSLAY_TEXT_FRAME,
                         (struct str){(const char *)message->msg, message->msg_length});
}

/* ---- the stream's callbacks
 * ---------------------------------------------------------------------------------- */

static bool still_here(struct ws *ws)
{
    ws->busy = false;
    if (!ws->destroyed)
        return true;
    ws_free(ws);
    return false;
}

/* A frame that cannot be one.  The close that wslay has queued for it does not say why; this one
 * does. */
static void breach(struct ws *ws, uint16_t code)
{
    const uint8_t bytes[] = {0x80 | WSLAY_CONNECTION_CLOSE, 2, (uint8_t)(code >> 8), (uint8_t)code};
    struct ws_frame *frame = frame_raw(bytes, sizeof(bytes), 0);
    if (wslay_event_get_close_sent(ws->wslay) != 0)
        ws_frame_unref(frame);
    else if (frame != NULL && queue_add(ws, frame) == ERR_OK)
        flush(ws);
    over(ws, code);
}

static void stream_bytes(void *cookie, const uint8_t *bytes, size_t len)
{
    struct ws *ws = cookie;
    ws->heard = true;
    ws->in = bytes;
    ws->in_len = len;
    ws->busy = true;
    int failed = 0;
    while (failed == 0 && ws->in_len != 0 && wslay_event_want_read(ws->wslay) &&
           ws->state != WS_STATE_OVER) {
        size_t before = ws->in_len;
        failed = wslay_event_recv(ws->wslay);
        if (ws->in_len == before)
            break;
    }
    ws->in_len = 0;
    if (!still_here(ws))
        return;
    if (failed != 0)
        breach(ws, failed == WSLAY_ERR_NOMEM ? WS_INTERNAL : WS_PROTOCOL);
    pump(ws);
    /* Pings whose pongs nobody reads pile up like anything else. */
    if (ws->queued_count > ws->options.queued_count_max + 8 ||
        ws->queued_bytes > ws->options.queued_bytes_max + CONTROL_BYTES_MAX)
        over(ws, WS_TRY_LATER);
}

static void stream_room(void *cookie)
{
    pump(cookie);
}

static void stream_gone(void *cookie, enum err why)
{
    struct ws *ws = cookie;
    (void)why;
    ws->stream = NULL;
    bool in_order = wslay_event_get_close_received(ws->wslay) != 0;
    if (ws->state != WS_STATE_OVER) {
        ws->state = WS_STATE_OVER;
        ws->code = in_order ? final_code(ws) : WS_LOST;
    }
    tell_gone(ws);
}

static const struct stream_user stream_callbacks = {stream_bytes, stream_room, stream_gone};

/* ---- time
 * ----------------------------------------------------------------------------------------------------
 */

static void timer_fired(void *cookie)
{
    struct ws *ws = cookie;
    int64_t now_ms = loop_now_ms(ws->loop);
    if (ws->state == WS_STATE_OVER) {
        tell_gone(ws);
        return;
    }
    if (ws->state == WS_STATE_CLOSING) {
        over(ws, final_code(ws));
        return;
    }
    if (ws->pinged && !ws->heard && !ws->paused) {
        over(ws, WS_LOST);
        return;
    }
    if (ws->pinged) { /* answered in time: the next ping is due when this one was, plus the interval
                       */
        ws->pinged = false;
        loop_timer_set(ws->timer, now_ms + ws->options.ping_every_ms);
        return;
    }
    const struct wslay_event_msg ping = {.opcode = WSLAY_PING};
    ws->pinged = true;
    ws->heard = false;
    loop_timer_set(ws->timer, now_ms + ws->options.pong_timeout_ms);
    if (wslay_event_queue_msg(ws->wslay, &ping) != 0)
        over(ws, WS_INTERNAL);
    else
        pump(ws);
}

/* ---- create and send
 * ----------------------------------------------------------------------------------------- */

static void options_fill(struct ws_options *options)
{
    if (options->message_bytes_max == 0)
        options->message_bytes_max = 64 * KIB;
    if (options->queued_bytes_max == 0)
        options->queued_bytes_max = MIB;
    if (options->queued_count_max == 0)
        options->queued_count_max = 1024;
    if (options->ping_every_ms == 0)
        options->ping_every_ms = 25000;
    if (options->pong_timeout_ms == 0)
        options->pong_timeout_ms = 10000;
    if (options->close_timeout_ms == 0)
        options->close_timeout_ms = 5000;
}

enum err ws_create(struct loop *loop, struct stream *stream, const struct ws_options *options,
                   const struct ws_user *user, void *cookie, struct ws **ret_ws)
{
    static const struct wslay_event_callbacks callbacks = {.recv_callback = take_bytes,
                                                           .send_callback = give_bytes,
                                                           .on_msg_recv_callback = take_message};
    struct ws *ws = mem_zalloc(sizeof(*ws));
    if (ws == NULL)
        return ERR_NOMEM;
    ws->loop = loop;
    ws->stream = stream;
    ws->user = user;
    ws->cookie = cookie;
    ws->tail = &ws->head;
    if (options != NULL)
        ws->options = *options;
    options_fill(&ws->options);
    buf_init(&ws->control, CONTROL_BYTES_MAX);
    enum err err = loop_timer_create(loop, timer_fired, ws, &ws->timer);
    if (err != ERR_OK)
        goto undo_ws;
    err = ERR_NOMEM;
    if (wslay_event_context_server_init(&ws->wslay, &callbacks, ws) != 0)
        goto undo_timer;
    wslay_event_config_set_max_recv_msg_length(ws->wslay, ws->options.message_bytes_max);
    loop_timer_set(ws->timer, loop_now_ms(loop) + ws->options.ping_every_ms);
    stream_open(stream, &stream_callbacks, ws);
    *ret_ws = ws;
    return ERR_OK;

undo_timer:
    loop_timer_destroy(ws->timer);
undo_ws:
    mem_free(ws);
    return err;
}

enum err ws_send_frame(struct ws *ws, struct ws_frame *frame)
{
    if (ws->state != WS_STATE_OPEN)
        return ERR_CLOSED;
    if (ws->queued_bytes + frame->len > ws->options.queued_bytes_max ||
        ws->queued_count >= ws->options.queued_count_max) {
        queue_drop(ws);
        ws_close(ws, WS_TRY_LATER, STR("too slow"));
        return ERR_FULL;
    }
    frame->refs++;
    enum err err = queue_add(ws, frame);
    if (err == ERR_OK)
        flush(ws);
    return err;
}

enum err ws_send(struct ws *ws, bool text, struct str message)
{
    struct ws_frame *frame;
    enum err err = ws_frame_create(text, message, &frame);
    if (err != ERR_OK)
        return err;
    err = ws_send_frame(ws, frame);
    ws_frame_unref(frame);
    return err;
}

size_t ws_queued_bytes(const struct ws *ws)
{
    return ws->queued_bytes - ws->head_sent;
}
