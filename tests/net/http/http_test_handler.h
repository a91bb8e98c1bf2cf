/* The routes that the dialogue tests talk to. */
#ifndef AUTOMAT_TESTS_HTTP_HANDLER_H
#define AUTOMAT_TESTS_HTTP_HANDLER_H

#include "kit/kit.h"
#include "net/http/http.h"
#include <string.h>

#define PARKED_MAX 8

struct cafe {
    struct http_request *parked[PARKED_MAX];
    size_t parked_count;
    unsigned gone, requests, room, stops, freed;
    enum err last_write;
    struct http_request *streaming;
    struct stream *stream;
    char stream_got[256];
    size_t stream_len;
    bool answer_on_stop;
    char *big;
    size_t big_bytes;
};

static inline struct http_answer words(uint16_t status, const char *text)
{
    return (struct http_answer){
        .status = status, .content_type = STR("text/plain"), .body = str_from(text)};
}

static inline void cafe_gone(void *cookie)
{
    ((struct cafe *)cookie)->gone++;
}

static inline void cafe_room(void *cookie)
{
    ((struct cafe *)cookie)->room++;
}

static const struct http_stream_user cafe_stream_user = {cafe_room, cafe_gone};

static inline void cafe_bytes(void *cookie, const uint8_t *bytes, size_t len)
{
    struct cafe *cafe = cookie;
    CHECK(cafe->stream_len + len < sizeof(cafe->stream_got));
    memcpy(cafe->stream_got + cafe->stream_len, bytes, len);
    cafe->stream_len += len;
    cafe->stream_got[cafe->stream_len] = '\0';
    CHECK_EQ(stream_write(cafe->stream, bytes, len), len);
    if (memchr(bytes, '.', len) != NULL) {
        stream_close(cafe->stream);
        cafe->stream = NULL;
    }
}

static inline void cafe_stream_gone(void *cookie, enum err why)
{
    struct cafe *cafe = cookie;
    (void)why;
    cafe->gone++;
    cafe->stream = NULL;
}

static const struct stream_user cafe_upgraded = {cafe_bytes, cafe_room, cafe_stream_gone};

static inline void big_freed(void *owner)
{
    ((struct cafe *)owner)->freed++;
}

static inline bool is(const struct http_request *req, const char *path)
{
    return str_equal(http_request_head(req)->path, str_from(path));
}

static inline void cafe_head(void *cookie, struct http_request *req)
{
    (void)cookie;
    if (is(req, "/small"))
        http_body_limit(req, 10);
    struct http_answer denied = words(401, "no");
    if (is(req, "/denied"))
        http_respond(req, &denied);
}

static inline void cafe_upgrade(struct cafe *cafe, struct http_request *req)
{
    const struct http_field field = {STR("Upgrade"), STR("echo")};
    cafe->stream = http_upgrade(req, &field, 1);
    stream_open(cafe->stream, &cafe_upgraded, cafe);
}

static inline void cafe_answer(struct cafe *cafe, struct http_request *req)
{
    const struct http_field evil = {STR("X-Evil"), STR("a\r\nSet-Cookie: b")};
    struct http_answer answer = words(200, "hello");
    if (is(req, "/echo") || is(req, "/small"))
        answer.body = http_body(req);
    else if (is(req, "/evil"))
        answer.fields = &evil, answer.field_count = 1;
    else if (is(req, "/nothing"))
        answer = (struct http_answer){.status = 204};
    else if (is(req, "/same"))
        answer = (struct http_answer){.status = 304, .body = STR("12345")};
    else if (is(req, "/end"))
        answer.close = true;
    else if (is(req, "/big"))
        answer.body = (struct str){cafe->big, cafe->big_bytes}, answer.body_free = big_freed,
        answer.body_owner = cafe;
    else if (is(req, "/big/copied"))
        answer.body = (struct str){cafe->big, cafe->big_bytes};
    else if (!is(req, "/hello"))
        answer = words(404, "what?");
    http_respond(req, &answer);
}

static inline void cafe_request(void *cookie, struct http_request *req)
{
    struct cafe *cafe = cookie;
    cafe->requests++;
    if (is(req, "/park") || is(req, "/park/regardless")) {
        CHECK(cafe->parked_count < PARKED_MAX);
        cafe->parked[cafe->parked_count++] = req;
        http_park(req, is(req, "/park") ? cafe_gone : NULL, cafe);
    } else if (is(req, "/stream")) {
        cafe->streaming = req;
        http_stream_begin(req, &(struct http_answer){.status = 200}, &cafe_stream_user, cafe);
    } else if (is(req, "/upgrade")) {
        cafe_upgrade(cafe, req);
    } else if (!is(req, "/forgotten")) {
        cafe_answer(cafe, req);
    }
}

static inline void cafe_wake(struct cafe *cafe, size_t index, const char *text)
{
    struct http_answer answer = words(200, text);
    http_respond(cafe->parked[index], &answer);
}

static inline void cafe_stop(void *cookie)
{
    struct cafe *cafe = cookie;
    cafe->stops++;
    for (size_t i = 0; cafe->answer_on_stop && i < cafe->parked_count; i++)
        http_respond(cafe->parked[i], &(struct http_answer){.status = 204});
}

#define CAFE_HANDLER                                                                               \
    {                                                                                              \
        .on_head = cafe_head, .on_request = cafe_request, .on_stop = cafe_stop                     \
    }

#endif
