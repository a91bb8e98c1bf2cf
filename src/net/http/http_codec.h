/* http_codec: HTTP/1.1 messages as bytes, after RFC 9112, strict: where two readers could disagree
 * about where a message ends, or what it says, it is refused.  Pure: no allocation, no I/O, no
 * clock.  Slices point into the caller's bytes. */
#ifndef AUTOMAT_HTTP_CODEC_H
#define AUTOMAT_HTTP_CODEC_H

#include "base/base.h"

#define HTTP_FIELDS_MAX       100
#define HTTP_HEAD_BYTES_MAX   (16 * KIB)
#define HTTP_TARGET_BYTES_MAX (8 * KIB)
#define HTTP_CHUNK_LINE_MAX   256 /* a chunk size with its extensions */
#define HTTP_TRAILER_MAX      (4 * KIB)

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_METHOD_COUNT,
};
const char *http_method_name(enum http_method method); /* "GET", ... */

struct http_field {
    struct str name, value; /* value without the white space around it */
};

/* A request's head that has been checked in full. */
struct http_head {
    enum http_method method;
    unsigned minor;    /* HTTP/1.minor: 0 or 1 */
    struct str target; /* as sent */
    struct str path;   /* starts with '/', still percent-encoded; "*" only with OPTIONS */
    struct str query;  /* what follows '?', still encoded; empty without */
    struct str host;   /* the Host field; empty only in HTTP/1.0 */
    uint64_t content_length;
    bool chunked;
    bool keep_alive;      /* what the client wants, with the version's default */
    bool expect_continue; /* it waits for 100 before it sends the body */
    bool upgrade;         /* Connection names "upgrade" */
    size_t field_count;
    struct http_field fields[HTTP_FIELDS_MAX];
};

/* Where and why a message is refused, and with which status. */
struct http_fault {
    uint16_t status; /* 400, 408, 413, 414, 417, 431, 501, 505 */
    size_t at_byte;
    const char *why; /* constant words, fit for people */
};

/* Look for the end of a head that arrives in pieces.  `*scanned` is 0 at first and remembers how
 * far earlier calls came, so that a head that trickles in costs no more than one that comes whole.
 * ERR_OK: the head takes `*ret_head_bytes` bytes.  ERR_AGAIN: not there yet.  ERR_INPUT: no good
 * can come of it. */
MUST_USE enum err http_head_scan(const char *bytes, size_t len, size_t *scanned,
                                 size_t *ret_head_bytes, struct http_fault *ret_fault);
/* Parse a head that http_head_scan found to be whole.  ERR_INPUT: `*ret_fault` says why;
 * `*ret_head` is then garbage. */
MUST_USE enum err http_head_parse(const char *bytes, size_t head_bytes, struct http_head *ret_head,
                                  struct http_fault *ret_fault);

/* First field of that name (any case), or STR_NONE. */
struct str http_field_find(const struct http_head *head, struct str name);
/* True when it comes more than once (only then do lists need http_field_find's caller to look
 * further). */
bool http_field_repeats(const struct http_head *head, struct str name);

/* ---- chunked bodies
 * ------------------------------------------------------------------------------------------ */

struct http_chunked {
    uint8_t state;
    uint64_t left;       /* of the chunk at hand */
    uint32_t line_bytes; /* of the size line or the trailers at hand */
    uint32_t digits;
};
void http_chunked_init(struct http_chunked *chunked);
/* Take some bytes.  Each call gives at most one piece of the body, as a slice of `bytes`; call
 * again with what is left. ERR_OK: the body ended with these `*ret_used` bytes.  ERR_AGAIN: not
 * ended; the bytes that follow `*ret_used` are next. ERR_INPUT: malformed. */
MUST_USE enum err http_chunked_decode(struct http_chunked *chunked, const char *bytes, size_t len,
                                      size_t *ret_used, struct str *ret_piece);

/* ---- small things that routes need
 * --------------------------------------------------------------------------- */

/* "%41" to "A"; with `form` also '+' to ' '.  Adds a NUL.  ERR_INPUT: a bad escape, a NUL or
 * control byte, or not UTF-8. ERR_FULL: does not fit. */
MUST_USE enum err http_percent_decode(struct str text, bool form, char *dst, size_t dst_bytes,
                                      size_t *ret_len);
/* First parameter of that (plain) name, still encoded.  ERR_NOT_FOUND: none. */
MUST_USE enum err http_query_find(struct str query, struct str name, struct str *ret_value);
/* The next parameter and its value, both still encoded; false at the end.  `*rest` is the query at
 * first. */
bool http_query_next(struct str *rest, struct str *ret_name, struct str *ret_value);
/* The next segment of a path ("/a/b": "a", then "b"), still encoded; false at the end. */
bool http_path_next(struct str *rest, struct str *ret_segment);
/* A cookie's value out of a Cookie field, or STR_NONE. */
struct str http_cookie_find(struct str cookie_field, struct str name);
/* Does an If-None-Match field name this entity tag (given with its quotes)?  Weak comparison; "*"
 * names all. */
bool http_etag_match(struct str if_none_match, struct str etag);
/* Thousandths of the weight an Accept-Encoding field gives to a coding; 0 is "not acceptable". */
unsigned http_accept_weight(struct str accept_encoding, struct str coding);
/* One token of a comma list, any case ("keep-alive, Upgrade"). */
bool http_list_has(struct str list, struct str token);
bool http_token_valid(struct str text);
/* May these bytes be a field's value on the wire? (No control bytes but tab.) */
bool http_value_valid(struct str text);

#endif
