/* The codec: which heads are read and what is read from them, and every hostile shape with its
 * verdict. */
#include "kit/kit.h"
#include "net/http/http_codec.h"
#include <stdio.h>
#include <string.h>

/* As the server does it: 0, or the status of the refusal; 1 when it waits for more. */
static int verdict(const char *bytes, size_t len, struct http_head *head)
{
    struct http_fault fault = {0};
    size_t scanned = 0, head_bytes;
    enum err err = http_head_scan(bytes, len, &scanned, &head_bytes, &fault);
    if (err == ERR_AGAIN)
        return 1;
    if (err == ERR_OK)
        err = http_head_parse(bytes, head_bytes, head, &fault);
    if (err == ERR_OK)
        return 0;
    CHECK_ERR(err, ERR_INPUT);
    CHECK(fault.why != NULL);
    return fault.status;
}

static struct http_head head; /* too large for a stack frame in a loop */

#define H "Host: cafe.example\r\n"

TEST(a_plain_request_is_read)
{
    const char text[] =
        "POST /api/commands/create?a=1&b=%20 HTTP/1.1\r\nHost: cafe.example:8000\r\n"
        "Content-Type:application/json\r\nContent-Length:  12 \t\r\nX-Empty:\r\n\r\n";
    CHECK_EQ(verdict(text, sizeof(text) - 1, &head), 0);
    CHECK_EQ(head.method, HTTP_POST);
    CHECK_EQ(head.minor, 1);
    CHECK_SLICE(head.path, "/api/commands/create");
    CHECK_SLICE(head.query, "a=1&b=%20");
    CHECK_SLICE(head.host, "cafe.example:8000");
    CHECK_EQ(head.content_length, 12);
    CHECK(!head.chunked);
    CHECK(head.keep_alive);
    CHECK_EQ(head.field_count, 4);
    CHECK_SLICE(http_field_find(&head, STR("content-type")), "application/json");
    CHECK_SLICE(http_field_find(&head, STR("CONTENT-LENGTH")), "12");
    CHECK_EQ(http_field_find(&head, STR("x-empty")).len, 0);
    CHECK(http_field_find(&head, STR("x-empty")).at != NULL);
    CHECK(http_field_find(&head, STR("x-none")).at == NULL);
}

struct shape {
    const char *name;
    int status; /* 0: accepted, 1: incomplete */
    const char *text;
    size_t len; /* 0: strlen */
};
#define SHAPE(name, status, text)                                                                  \
    {                                                                                              \
        name, status, text, sizeof(text) - 1                                                       \
    }

static const struct shape shapes[] = {
    /* framing */
    SHAPE("two lengths that differ", 400,
          "POST / HTTP/1.1\r\n" H "Content-Length: 2\r\nContent-Length: 3\r\n\r\n"),
    SHAPE("two lengths that agree", 400,
          "POST / HTTP/1.1\r\n" H "Content-Length: 2\r\nContent-Length: 2\r\n\r\n"),
    SHAPE("a list of lengths", 400, "POST / HTTP/1.1\r\n" H "Content-Length: 2, 2\r\n\r\n"),
    SHAPE("length and chunked", 400,
          "POST / HTTP/1.1\r\n" H "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"),
    SHAPE("chunked and length", 400,
          "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n"),
    SHAPE("length with plus", 400, "POST / HTTP/1.1\r\n" H "Content-Length: +2\r\n\r\n"),
    SHAPE("length with minus", 400, "POST / HTTP/1.1\r\n" H "Content-Length: -2\r\n\r\n"),
    SHAPE("length with space inside", 400, "POST / HTTP/1.1\r\n" H "Content-Length: 1 2\r\n\r\n"),
    SHAPE("length in hex", 400, "POST / HTTP/1.1\r\n" H "Content-Length: 0x10\r\n\r\n"),
    SHAPE("length empty", 400, "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n"),
    SHAPE("length overflows 64 bits", 400,
          "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551616\r\n\r\n"),
    SHAPE("length of many digits", 400,
          "POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999999999999999\r\n\r\n"),
    SHAPE("gzip before chunked", 400,
          "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n"),
    SHAPE("chunked before identity", 400,
          "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, identity\r\n\r\n"),
    SHAPE("encoding identity", 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n"),
    SHAPE("encoding xchunked", 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n"),
    SHAPE("encoding empty", 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n"),
    SHAPE("two encodings", 400,
          "POST / HTTP/1.1\r\n" H
          "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
    SHAPE("chunked with vertical tab", 400,
          "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \vchunked\r\n\r\n"),
    SHAPE("HTTP/1.0 with chunked", 400,
          "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n"),
    SHAPE("Chunked in any case", 0, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n"),
    SHAPE("length zero", 0, "POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n"),
    /* fields */
    SHAPE("space before colon", 400, "GET / HTTP/1.1\r\n" H "X-A : b\r\n\r\n"),
    SHAPE("tab before colon", 400, "GET / HTTP/1.1\r\n" H "X-A\t: b\r\n\r\n"),
    SHAPE("length with space before colon", 400,
          "POST / HTTP/1.1\r\n" H "Content-Length : 2\r\n\r\n"),
    SHAPE("no colon", 400, "GET / HTTP/1.1\r\n" H "X-A b\r\n\r\n"),
    SHAPE("empty name", 400, "GET / HTTP/1.1\r\n" H ": b\r\n\r\n"),
    SHAPE("folded line", 400, "GET / HTTP/1.1\r\n" H "X-A: b\r\n c\r\n\r\n"),
    SHAPE("folded with tab", 400, "GET / HTTP/1.1\r\n" H "X-A: b\r\n\tc\r\n\r\n"),
    SHAPE("first line folded", 400, "GET / HTTP/1.1\r\n " H "\r\n"),
    SHAPE("bare LF after a field", 400, "GET / HTTP/1.1\r\n" H "X-A: b\n\r\n"),
    SHAPE("bare LF only", 400, "GET / HTTP/1.1\nHost: x\n\n"),
    SHAPE("bare LF ends the head", 400, "GET / HTTP/1.1\r\n" H "\n"),
    SHAPE("bare CR in a value", 400, "GET / HTTP/1.1\r\n" H "X-A: b\rc\r\n\r\n"),
    SHAPE("bare CR as line end", 400, "GET / HTTP/1.1\r\n" H "X-A: b\rX-C: d\r\n\r\n"),
    SHAPE("two CR", 400, "GET / HTTP/1.1\r\n" H "X-A: b\r\r\n\r\n"),
    SHAPE("NUL in a value", 400, "GET / HTTP/1.1\r\n" H "X-A: b\0c\r\n\r\n"),
    SHAPE("NUL in a name", 400, "GET / HTTP/1.1\r\n" H "X\0A: b\r\n\r\n"),
    SHAPE("escape in a value", 400, "GET / HTTP/1.1\r\n" H "X-A: \x1b[31m\r\n\r\n"),
    SHAPE("DEL in a value", 400, "GET / HTTP/1.1\r\n" H "X-A: \x7f\r\n\r\n"),
    SHAPE("non-ASCII name", 400, "GET / HTTP/1.1\r\n" H "X-\xc3\xa4: b\r\n\r\n"),
    SHAPE("bracket in a name", 400, "GET / HTTP/1.1\r\n" H "X(A): b\r\n\r\n"),
    SHAPE("non-ASCII value", 0, "GET / HTTP/1.1\r\n" H "X-A: \xc3\xa4\r\n\r\n"),
    SHAPE("tab in a value", 0, "GET / HTTP/1.1\r\n" H "X-A: b\tc\r\n\r\n"),
    SHAPE("expectation unknown", 417, "POST / HTTP/1.1\r\n" H "Expect: tea\r\n\r\n"),
    /* Host */
    SHAPE("no Host", 400, "GET / HTTP/1.1\r\n\r\n"),
    SHAPE("no Host in 1.0", 0, "GET / HTTP/1.0\r\n\r\n"),
    SHAPE("two Hosts", 400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    SHAPE("two equal Hosts", 400, "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"),
    SHAPE("two Hosts in 1.0", 400, "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
    SHAPE("empty Host", 400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    SHAPE("Host with user", 400, "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"),
    SHAPE("Host with path", 400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    SHAPE("Host with space", 400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    SHAPE("Host list", 400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    SHAPE("Host port no number", 400, "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"),
    SHAPE("Host port empty", 400, "GET / HTTP/1.1\r\nHost: a:\r\n\r\n"),
    SHAPE("Host port too large", 400, "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"),
    SHAPE("Host port only", 400, "GET / HTTP/1.1\r\nHost: :80\r\n\r\n"),
    SHAPE("Host IPv6", 0, "GET / HTTP/1.1\r\nHost: [2001:db8::1]:8000\r\n\r\n"),
    SHAPE("Host IPv6 open", 400, "GET / HTTP/1.1\r\nHost: [2001:db8::1\r\n\r\n"),
    SHAPE("Host IPv6 zone", 400, "GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n"),
    /* request line */
    SHAPE("method unknown", 501, "BREW / HTTP/1.1\r\n" H "\r\n"),
    SHAPE("method in lower case", 501, "get / HTTP/1.1\r\n" H "\r\n"),
    SHAPE("CONNECT", 501, "CONNECT a:1 HTTP/1.1\r\n" H "\r\n"),
    SHAPE("TRACE", 501, "TRACE / HTTP/1.1\r\n" H "\r\n"),
    SHAPE("method with bracket", 400, "G(T / HTTP/1.1\r\n" H "\r\n"),
    SHAPE("method empty", 400, " / HTTP/1.1\r\n" H "\r\n"),
    SHAPE("two spaces before target", 400, "GET  / HTTP/1.1\r\n" H "\r\n"),
    SHAPE("two spaces after target", 400, "GET /  HTTP/1.1\r\n" H "\r\n"),
    SHAPE("tab in request line", 400, "GET\t/ HTTP/1.1\r\n" H "\r\n"),
    SHAPE("space after version", 400, "GET / HTTP/1.1 \r\n" H "\r\n"),
    SHAPE("no version", 400, "GET /\r\n" H "\r\n"),
    SHAPE("version in lower case", 400, "GET / http/1.1\r\n" H "\r\n"),
    SHAPE("HTTP/2.0", 505, "GET / HTTP/2.0\r\n" H "\r\n"),
    SHAPE("HTTP/1.2", 505, "GET / HTTP/1.2\r\n" H "\r\n"),
    SHAPE("HTTP/0.9", 505, "GET / HTTP/0.9\r\n" H "\r\n"),
    SHAPE("HTTP/1.10", 400, "GET / HTTP/1.10\r\n" H "\r\n"),
    SHAPE("HTTP/11", 400, "GET / HTTP/11\r\n" H "\r\n"),
    SHAPE("HTTP/1,1", 400, "GET / HTTP/1,1\r\n" H "\r\n"),
    SHAPE("the HTTP/2 preface", 501, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    SHAPE("a TLS hello", 400, "\x16\x03\x01\x02\x00\x01\x00"),
    SHAPE("one empty line before", 0, "\r\nGET / HTTP/1.1\r\n" H "\r\n"),
    SHAPE("two empty lines before", 400, "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n"),
    /* target */
    SHAPE("relative target", 400, "GET a/b HTTP/1.1\r\n" H "\r\n"),
    SHAPE("bad escape", 400, "GET /%zz HTTP/1.1\r\n" H "\r\n"),
    SHAPE("cut escape", 400, "GET /%4 HTTP/1.1\r\n" H "\r\n"),
    SHAPE("bad escape in query", 400, "GET /?a=%q HTTP/1.1\r\n" H "\r\n"),
    SHAPE("fragment", 400, "GET /a#b HTTP/1.1\r\n" H "\r\n"),
    SHAPE("backslash in path", 400, "GET /a\\b HTTP/1.1\r\n" H "\r\n"),
    SHAPE("non-ASCII in path", 400, "GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n"),
    SHAPE("control byte in path", 400, "GET /\x01 HTTP/1.1\r\n" H "\r\n"),
    SHAPE("NUL in path", 400, "GET /\0 HTTP/1.1\r\n" H "\r\n"),
    SHAPE("quote in query", 400, "GET /?a=\" HTTP/1.1\r\n" H "\r\n"),
    SHAPE("brackets in query", 0, "GET /?a[]={x|y} HTTP/1.1\r\n" H "\r\n"),
    SHAPE("star with OPTIONS", 0, "OPTIONS * HTTP/1.1\r\n" H "\r\n"),
    SHAPE("star with GET", 400, "GET * HTTP/1.1\r\n" H "\r\n"),
    SHAPE("absolute form", 0, "GET http://cafe.example/a HTTP/1.1\r\n" H "\r\n"),
    SHAPE("absolute form without path", 0, "GET http://cafe.example HTTP/1.1\r\n" H "\r\n"),
    SHAPE("absolute form with query", 0, "GET http://cafe.example?a HTTP/1.1\r\n" H "\r\n"),
    SHAPE("absolute form, any case", 0, "GET HTTP://CAFE.example/ HTTP/1.1\r\n" H "\r\n"),
    SHAPE("absolute form, other host", 400, "GET http://evil.example/ HTTP/1.1\r\n" H "\r\n"),
    SHAPE("absolute form, other port", 400, "GET http://cafe.example:81/ HTTP/1.1\r\n" H "\r\n"),
    SHAPE("absolute form, user", 400, "GET http://a@cafe.example/ HTTP/1.1\r\n" H "\r\n"),
    SHAPE("absolute form, no host", 400, "GET http:///a HTTP/1.1\r\n" H "\r\n"),
    SHAPE("absolute form, other scheme", 400, "GET ftp://cafe.example/ HTTP/1.1\r\n" H "\r\n"),
    /* not yet */
    SHAPE("nothing", 1, ""),
    SHAPE("half a line", 1, "GET / HT"),
    SHAPE("no empty line", 1, "GET / HTTP/1.1\r\n" H),
};

TEST(every_shape_has_its_verdict)
{
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++) {
        NOTE("%s", shapes[i].name);
        char *guarded = kit_guard_page(shapes[i].text, shapes[i].len);
        CHECK_EQ(verdict(guarded, shapes[i].len, &head), shapes[i].status);
        kit_free_guard(guarded);
    }
}

TEST(every_prefix_waits_or_refuses_and_reads_no_further)
{
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++) {
        for (size_t len = 0; len < shapes[i].len; len++) {
            NOTE("%s, %zu bytes", shapes[i].name, len);
            char *guarded = kit_guard_page(shapes[i].text, len);
            int got = verdict(guarded, len, &head);
            if (shapes[i].status == 0)
                CHECK_EQ(got, 1); /* no proper prefix of a good head is a head */
            else
                CHECK(got == 1 || got >= 400);
            kit_free_guard(guarded);
        }
    }
}

/* Byte by byte, as a trickling client sends it, the scan must come to the same end, and look at
 * each byte but once. */
TEST(trickle_finds_the_same_end)
{
    const char text[] = "\r\nPOST /a HTTP/1.1\r\n" H "X-A: b\r\n\r\nbody";
    struct http_fault fault;
    size_t scanned = 0, head_bytes = 0;
    for (size_t len = 0; len <= sizeof(text) - 1; len++) {
        enum err err = http_head_scan(text, len, &scanned, &head_bytes, &fault);
        if (err == ERR_OK)
            break;
        CHECK_ERR(err, ERR_AGAIN);
        CHECK_EQ(scanned, len);
    }
    CHECK_EQ(head_bytes, sizeof(text) - 1 - 4);
    CHECK_OK(http_head_parse(text, head_bytes, &head, &fault));
}

TEST(heads_have_ceilings)
{
    struct buf buf;
    buf_init(&buf, MIB);
    CHECK_OK(buf_add_str(&buf, STR("GET / HTTP/1.1\r\n" H)));
    for (int i = 0; i < HTTP_FIELDS_MAX - 1; i++)
        CHECK_OK(buf_printf(&buf, "X-%d: v\r\n", i));
    size_t full = buf.len;
    CHECK_OK(buf_add_str(&buf, STR("\r\n")));
    CHECK_EQ(verdict(buf.at, buf.len, &head), 0);
    CHECK_EQ(head.field_count, HTTP_FIELDS_MAX);
    buf.len = full;
    CHECK_OK(buf_add_str(&buf, STR("One: more\r\n\r\n")));
    CHECK_EQ(verdict(buf.at, buf.len, &head), 431);

    buf.len = 0;
    CHECK_OK(buf_add_str(&buf, STR("GET / HTTP/1.1\r\n" H "X-A: ")));
    while (buf.len < HTTP_HEAD_BYTES_MAX - 4)
        CHECK_OK(buf_add_str(&buf, STR("a")));
    CHECK_OK(buf_add_str(&buf, STR("\r\n\r\n")));
    CHECK_EQ(buf.len, HTTP_HEAD_BYTES_MAX);
    CHECK_EQ(verdict(buf.at, buf.len, &head), 0);
    buf.len -= 4;
    CHECK_OK(buf_add_str(&buf, STR("a\r\n\r\n")));
    CHECK_EQ(verdict(buf.at, buf.len, &head), 431);
    CHECK_EQ(verdict(buf.at, buf.len - 1, &head), 1);
    for (int i = 0; i < 100; i++)
        CHECK_OK(buf_add_str(&buf, STR("a")));
    buf.at[buf.len - 102] = buf.at[buf.len - 101] = 'a'; /* never an end */
    buf.at[buf.len - 103] = buf.at[buf.len - 104] = 'a';
    CHECK_EQ(verdict(buf.at, buf.len, &head), 431);

    buf.len = 0;
    CHECK_OK(buf_add_str(&buf, STR("GET /")));
    while (buf.len < 4 + HTTP_TARGET_BYTES_MAX)
        CHECK_OK(buf_add_str(&buf, STR("a")));
    size_t target_full = buf.len;
    CHECK_OK(buf_add_str(&buf, STR(" HTTP/1.1\r\n" H "\r\n")));
    CHECK_EQ(verdict(buf.at, buf.len, &head), 0);
    buf.len = target_full;
    CHECK_OK(buf_add_str(&buf, STR("a HTTP/1.1\r\n" H "\r\n")));
    CHECK_EQ(verdict(buf.at, buf.len, &head), 414);
    buf.len = target_full;
    while (buf.len < HTTP_TARGET_BYTES_MAX + 200)
        CHECK_OK(buf_add_str(&buf, STR("a")));
    CHECK_EQ(verdict(buf.at, buf.len, &head), 414); /* not even its end is waited for */
    buf_finish(&buf);
}

TEST(connection_says_who_stays)
{
    static const struct {
        const char *version, *connection;
        bool keep_alive, upgrade;
    } table[] = {
        {"1.1", "", true, false},
        {"1.1", "Connection: close\r\n", false, false},
        {"1.1", "Connection: CLOSE\r\n", false, false},
        {"1.1", "Connection: keep-alive\r\n", true, false},
        {"1.1", "Connection: keep-alive, Upgrade\r\n", true, true},
        {"1.1", "Connection: upgrade\r\nConnection: close\r\n", false, true},
        {"1.1", "Connection: keep-alive\r\nConnection: close\r\n", false, false},
        {"1.1", "Connection: closed\r\n", true, false},
        {"1.0", "", false, false},
        {"1.0", "Connection: keep-alive\r\n", true, false},
        {"1.0", "Connection: keep-alive, close\r\n", false, false},
        {"1.0", "Connection: upgrade\r\n", false, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        char text[256];
        int len = snprintf(text, sizeof(text), "GET / HTTP/%s\r\n" H "%s\r\n", table[i].version,
                           table[i].connection);
        NOTE("%s %s", table[i].version, table[i].connection);
        CHECK_EQ(verdict(text, (size_t)len, &head), 0);
        CHECK_EQ(head.keep_alive, table[i].keep_alive);
        CHECK_EQ(head.upgrade, table[i].upgrade);
    }
}

/* ---- chunked bodies
 * ------------------------------------------------------------------------------------------ */

/* All of it, in pieces of `step`; the decoded bytes, how much was used, and the verdict. */
static enum err decode(const char *text, size_t len, size_t step, char *dst, size_t *ret_len,
                       size_t *ret_used)
{
    struct http_chunked chunked;
    http_chunked_init(&chunked);
    size_t at = 0, out = 0;
    while (at < len) {
        size_t give = len - at < step ? len - at : step, used;
        struct str piece;
        char *guarded = kit_guard_page(text + at, give);
        enum err err = http_chunked_decode(&chunked, guarded, give, &used, &piece);
        if (err != ERR_INPUT) {
            memcpy(dst + out, piece.at != NULL ? piece.at : "", piece.len);
            out += piece.len;
            at += used;
        }
        kit_free_guard(guarded);
        *ret_len = out;
        *ret_used = at;
        if (err != ERR_AGAIN)
            return err;
    }
    return ERR_AGAIN;
}

static const struct {
    const char *text;
    enum err err;
    const char *body;
    size_t after; /* bytes behind the body that it must leave alone */
} chunks[] = {
    {"0\r\n\r\n", ERR_OK, "", 0},
    {"5\r\nhello\r\n0\r\n\r\n", ERR_OK, "hello", 0},
    {"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET ", ERR_OK, "hello world", 4},
    {"A\r\n0123456789\r\n00\r\n\r\n", ERR_OK, "0123456789", 0},
    {"a;name=value;q=\"x y\"\r\n0123456789\r\n0;last\r\n\r\n", ERR_OK, "0123456789", 0},
    {"1\r\na\r\n0\r\nX-Sum: 1\r\nX-B:\r\n\r\n", ERR_OK, "a", 0},
    {"\r\n\r\n", ERR_INPUT, "", 0},
    {"g\r\n", ERR_INPUT, "", 0},
    {"+5\r\nhello\r\n0\r\n\r\n", ERR_INPUT, "", 0},
    {"-1\r\n", ERR_INPUT, "", 0},
    {" 5\r\nhello\r\n0\r\n\r\n", ERR_INPUT, "", 0},
    {"5 \r\nhello\r\n0\r\n\r\n", ERR_INPUT, "", 0},
    {"0x5\r\nhello\r\n0\r\n\r\n", ERR_INPUT, "", 0},
    {"5\nhello\n0\n\n", ERR_INPUT, "", 0},
    {"5\rhello", ERR_INPUT, "", 0},
    {"5;a\nhello", ERR_INPUT, "", 0},
    {"5;a\x01\r\nhello\r\n0\r\n\r\n", ERR_INPUT, "", 0},
    {"5\r\nhelloX\r\n0\r\n\r\n", ERR_INPUT, "hello", 0},
    {"5\r\nhell\r\n0\r\n\r\n", ERR_INPUT, "hell\r", 0},
    {"5\r\nhello\n0\r\n\r\n", ERR_INPUT, "hello", 0},
    {"ffffffffffffffff\r\n", ERR_INPUT, "", 0},
    {"1000000000000000000\r\n", ERR_INPUT, "", 0},
    {"0\r\n X: folded\r\n\r\n", ERR_INPUT, "", 0},
    {"0\r\nNo colon\r\n\r\n", ERR_INPUT, "", 0},
    {"0\r\nX: a\n\r\n", ERR_INPUT, "", 0},
    {"0\r\n\n", ERR_INPUT, "", 0},
    {"5\r\nhel", ERR_AGAIN, "hel", 0},
    {"5\r\nhello\r\n", ERR_AGAIN, "hello", 0},
    {"0\r\n", ERR_AGAIN, "", 0},
};

TEST(chunked_bodies_in_pieces_of_any_size)
{
    for (size_t i = 0; i < ARRAY_COUNT(chunks); i++) {
        size_t len = strlen(chunks[i].text);
        for (size_t step = 1; step <= len; step++) {
            char body[64];
            size_t body_len = 0, used = 0;
            NOTE("%s in pieces of %zu", chunks[i].text, step);
            CHECK_ERR(decode(chunks[i].text, len, step, body, &body_len, &used), chunks[i].err);
            CHECK_EQ(body_len, strlen(chunks[i].body));
            CHECK_BYTES(body, chunks[i].body, body_len);
            if (chunks[i].err == ERR_OK)
                CHECK_EQ(used, len - chunks[i].after);
        }
    }
}

TEST(chunk_lines_and_trailers_have_ceilings)
{
    char text[HTTP_TRAILER_MAX + 64], body[8];
    size_t body_len, used;
    memset(text, 'a', sizeof(text));
    text[0] = '0';
    text[1] = ';';
    CHECK_ERR(decode(text, HTTP_CHUNK_LINE_MAX, 7, body, &body_len, &used), ERR_AGAIN);
    CHECK_ERR(decode(text, HTTP_CHUNK_LINE_MAX + 1, 7, body, &body_len, &used), ERR_INPUT);
    static const char trailer[5] = {'0', '\r', '\n', 'X', ':'};
    memcpy(text, trailer, sizeof(trailer));
    CHECK_ERR(decode(text, HTTP_TRAILER_MAX + 3, 4096, body, &body_len, &used), ERR_AGAIN);
    CHECK_ERR(decode(text, HTTP_TRAILER_MAX + 4, 4096, body, &body_len, &used), ERR_INPUT);
}

/* ---- small things
 * -------------------------------------------------------------------------------------------- */

TEST(escapes)
{
    static const struct {
        const char *in;
        bool form;
        enum err err;
        const char *out;
    } table[] = {
        {"plain", false, ERR_OK, "plain"},
        {"a%20b", false, ERR_OK, "a b"},
        {"a+b", false, ERR_OK, "a+b"},
        {"a+b", true, ERR_OK, "a b"},
        {"%C3%a4", false, ERR_OK, "\u00e4"},
        {"%2e%2E%2f", false, ERR_OK, "../"},
        {"", false, ERR_OK, ""},
        {"%", false, ERR_INPUT, ""},
        {"%4", false, ERR_INPUT, ""},
        {"%4g", false, ERR_INPUT, ""},
        {"%00", false, ERR_INPUT, ""},
        {"%0a", false, ERR_INPUT, ""},
        {"%7f", false, ERR_INPUT, ""},
        {"%ff", false, ERR_INPUT, ""},
        {"%c3", false, ERR_INPUT, ""},
        {"123456789012345", false, ERR_OK, "123456789012345"},
        {"1234567890123456", false, ERR_FULL, ""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        char dst[16];
        size_t len;
        NOTE("%s", table[i].in);
        char *guarded = kit_guard_page(table[i].in, strlen(table[i].in));
        CHECK_ERR(http_percent_decode((struct str){guarded, strlen(table[i].in)}, table[i].form,
                                      dst, sizeof(dst), &len),
                  table[i].err);
        if (table[i].err == ERR_OK) {
            CHECK_STR(dst, table[i].out);
            CHECK_EQ(len, strlen(table[i].out));
        }
        kit_free_guard(guarded);
    }
}

TEST(queries_paths_and_cookies)
{
    struct str value, rest = STR("&a=1&&b&c=x=y&a=2");
    CHECK_OK(http_query_find(rest, STR("a"), &value));
    CHECK_SLICE(value, "1");
    CHECK_OK(http_query_find(rest, STR("b"), &value));
    CHECK_EQ(value.len, 0);
    CHECK_OK(http_query_find(rest, STR("c"), &value));
    CHECK_SLICE(value, "x=y");
    CHECK_ERR(http_query_find(rest, STR("d"), &value), ERR_NOT_FOUND);
    CHECK_ERR(http_query_find(STR_NONE, STR("d"), &value), ERR_NOT_FOUND);

    struct str path = STR("/api/x//"), segment;
    const char *expected[] = {"api", "x", "", ""};
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++) {
        CHECK(http_path_next(&path, &segment));
        CHECK_SLICE(segment, expected[i]);
    }
    CHECK(!http_path_next(&path, &segment));

    CHECK_SLICE(http_cookie_find(STR("a=1; session=abc=; sessions=x"), STR("session")), "abc=");
    CHECK(http_cookie_find(STR("asession=1; session"), STR("session")).at == NULL);
}

TEST(etags_and_codings)
{
    CHECK(http_etag_match(STR("\"a\""), STR("\"a\"")));
    CHECK(http_etag_match(STR("\"b\" , W/\"a\""), STR("\"a\"")));
    CHECK(http_etag_match(STR(" * "), STR("\"a\"")));
    CHECK(!http_etag_match(STR("\"ab\""), STR("\"a\"")));
    CHECK(!http_etag_match(STR("a"), STR("\"a\"")));
    CHECK(!http_etag_match(STR(""), STR("\"a\"")));

    CHECK_EQ(http_accept_weight(STR("gzip, deflate, br"), STR("br")), 1000);
    CHECK_EQ(http_accept_weight(STR("gzip;q=0.5, br;q=0.001"), STR("gzip")), 500);
    CHECK_EQ(http_accept_weight(STR("gzip;q=0.5, br;q=0.001"), STR("br")), 1);
    CHECK_EQ(http_accept_weight(STR("gzip; q=0"), STR("gzip")), 0);
    CHECK_EQ(http_accept_weight(STR("*;q=0.3"), STR("br")), 300);
    CHECK_EQ(http_accept_weight(STR("*, br;q=0"), STR("br")), 0);
    CHECK_EQ(http_accept_weight(STR(""), STR("br")), 0);
    CHECK_EQ(http_accept_weight(STR("br;q=2"), STR("br")), 0);
    CHECK_EQ(http_accept_weight(STR("br;q=x"), STR("br")), 0);
    CHECK_EQ(http_accept_weight(STR("br;q=1.001"), STR("br")), 0);
    CHECK_EQ(http_accept_weight(STR("xbr"), STR("br")), 0);
}
