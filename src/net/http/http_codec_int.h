/* Character classes and checks that the files of the codec share. */
#ifndef AUTOMAT_HTTP_CODEC_INT_H
#define AUTOMAT_HTTP_CODEC_INT_H

#include "net/http/http_codec.h"

enum http_char {
    HTTP_CHAR_TOKEN = 1, /* tchar */
    HTTP_CHAR_VALUE = 2, /* field-vchar, SP, HTAB */
    HTTP_CHAR_PATH = 4,  /* pchar and '/', but not '%' */
    HTTP_CHAR_QUERY = 8, /* what browsers leave unescaped in a query; not '%' */
    HTTP_CHAR_HOST = 16, /* of a registered name or an IPv4 address */
    HTTP_CHAR_HEX = 32,
};
extern const uint8_t http_chars[256];

static inline bool http_char_is(char c, unsigned classes)
{
    return (http_chars[(uint8_t)c] & classes) != 0;
}

int http_hex_value(char c); /* -1: no hex digit */

/* Split and check a request target.  False: malformed, or an absolute form whose authority is not
 * `host`. */
bool http_target_parse(struct http_head *head);
bool http_host_valid(struct str host);

#endif
