/* Chunked bodies (RFC 9112, 7.1).
 *
 *   SIZE -> [EXTENSION] -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE ...
 *   a size of 0:              SIZE_LF -> LINE -> END_LF -> done
 *                                         '--> NAME -> VALUE -> VALUE_LF -> LINE    (trailers:
 * checked, dropped) */
#include "net/http/http_codec_int.h"

enum state {
    STATE_SIZE,
    STATE_EXTENSION,
    STATE_SIZE_LF,
    STATE_DATA,
    STATE_DATA_CR,
    STATE_DATA_LF,
    STATE_LINE,
    STATE_NAME,
    STATE_VALUE,
    STATE_VALUE_LF,
    STATE_END_LF,
    STATE_DONE,
};

void http_chunked_init(struct http_chunked *chunked)
{
    *chunked = (struct http_chunked){.state = STATE_SIZE};
}

static enum err step_size(struct http_chunked *chunked, char c)
{
    int digit = http_hex_value(c);
    if (digit >= 0) {
        if (++chunked->digits > 15) /* 60 bits: no sum of sizes we accept comes near */
            return ERR_INPUT;
        chunked->left = chunked->left << 4 | (uint64_t)digit;
        return ERR_OK;
    }
    if (chunked->digits == 0)
        return ERR_INPUT;
    if (c != '\r' && c != ';')
        return ERR_INPUT;
    chunked->state = c == '\r' ? STATE_SIZE_LF : STATE_EXTENSION;
    return ERR_OK;
}

static enum err step_size_line(struct http_chunked *chunked, char c)
{
    if (++chunked->line_bytes > HTTP_CHUNK_LINE_MAX)
        return ERR_INPUT;
    if (chunked->state == STATE_SIZE)
        return step_size(chunked, c);
    if (chunked->state == STATE_EXTENSION) {
        if (c == '\r')
            chunked->state = STATE_SIZE_LF;
        else if (!http_char_is(c, HTTP_CHAR_VALUE))
            return ERR_INPUT;
        return ERR_OK;
    }
    if (c != '\n')
        return ERR_INPUT;
    chunked->line_bytes = 0;
    chunked->digits = 0;
    chunked->state = chunked->left == 0 ? STATE_LINE : STATE_DATA;
    return ERR_OK;
}

static bool expect(struct http_chunked *chunked, char c, char wanted, enum state next)
{
    chunked->state = (uint8_t)next;
    return c == wanted;
}

static enum err step_trailer(struct http_chunked *chunked, char c)
{
    if (++chunked->line_bytes > HTTP_TRAILER_MAX)
        return ERR_INPUT;
    switch ((enum state)chunked->state) {
    case STATE_LINE:
        if (c == '\r')
            chunked->state = STATE_END_LF;
        else if (http_char_is(c, HTTP_CHAR_TOKEN))
            chunked->state = STATE_NAME;
        else
            return ERR_INPUT;
        return ERR_OK;
    case STATE_NAME:
        if (c == ':')
            chunked->state = STATE_VALUE;
        else if (!http_char_is(c, HTTP_CHAR_TOKEN))
            return ERR_INPUT;
        return ERR_OK;
    case STATE_VALUE:
        if (c == '\r')
            chunked->state = STATE_VALUE_LF;
        else if (!http_char_is(c, HTTP_CHAR_VALUE))
            return ERR_INPUT;
        return ERR_OK;
    case STATE_VALUE_LF:
        return expect(chunked, c, '\n', STATE_LINE) ? ERR_OK : ERR_INPUT;
    case STATE_END_LF:
        return expect(chunked, c, '\n', STATE_DONE) ? ERR_OK : ERR_INPUT;
    case STATE_SIZE:
    case STATE_EXTENSION:
    case STATE_SIZE_LF:
    case STATE_DATA:
    case STATE_DATA_CR:
    case STATE_DATA_LF:
    case STATE_DONE:
        break;
    }
    return ERR_INPUT;
}

static enum err step(struct http_chunked *chunked, char c)
{
    if (chunked->state <= STATE_SIZE_LF)
        return step_size_line(chunked, c);
    if (chunked->state == STATE_DATA_CR)
        return expect(chunked, c, '\r', STATE_DATA_LF) ? ERR_OK : ERR_INPUT;
    if (chunked->state == STATE_DATA_LF)
        return expect(chunked, c, '\n', STATE_SIZE) ? ERR_OK : ERR_INPUT;
    return step_trailer(chunked, c);
}

enum err http_chunked_decode(struct http_chunked *chunked, const char *bytes, size_t len,
                             size_t *ret_used, struct str *ret_piece)
{
    size_t at = 0;
    *ret_piece = STR_NONE;
    while (at < len) {
        if (chunked->state == STATE_DATA) {
            size_t take = len - at < chunked->left ? len - at : (size_t)chunked->left;
            *ret_piece = (struct str){bytes + at, take};
            *ret_used = at + take;
            chunked->left -= take;
            if (chunked->left == 0)
                chunked->state = STATE_DATA_CR;
            return ERR_AGAIN;
        }
        if (step(chunked, bytes[at]) != ERR_OK)
            return ERR_INPUT;
        at++;
        if (chunked->state == STATE_DONE) {
            *ret_used = at;
            return ERR_OK;
        }
    }
    *ret_used = at;
    return ERR_AGAIN;
}
