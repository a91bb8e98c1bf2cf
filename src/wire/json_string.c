/* Strings as JSON writes them. */
#include "wire/wire_int.h"

static bool hex4(struct str inside, size_t at, uint32_t *ret_value)
{
    if (at > inside.len || inside.len - at < 4)
        return false;
    uint8_t bytes[2];
    if (hex_decode(bytes, 2, (struct str){inside.at + at, 4}) != ERR_OK)
        return false;
    *ret_value = (uint32_t)bytes[0] << 8 | bytes[1];
    return true;
}

static size_t utf8_put(uint32_t point, char out[4])
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xC0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3F));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xE0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 0x3F));
        out[2] = (char)(0x80 | (point & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 0x3F));
    out[2] = (char)(0x80 | (point >> 6 & 0x3F));
    out[3] = (char)(0x80 | (point & 0x3F));
    return 4;
}

/* `*pos` stands on the first of four hex digits.  A high surrogate needs its low one right behind
 * it; a low one alone is no character. */
static bool unicode_escape(struct str inside, size_t *pos, char out[4], size_t *ret_len)
{
    uint32_t point;
    uint32_t low;
    if (!hex4(inside, *pos, &point))
        return false;
    *pos += 4;
    if (point >= 0xDC00 && point <= 0xDFFF)
        return false;
    if (point >= 0xD800 && point <= 0xDBFF) {
        if (inside.len - *pos < 6 || inside.at[*pos] != '\\' || inside.at[*pos + 1] != 'u' ||
            !hex4(inside, *pos + 2, &low) || low < 0xDC00 || low > 0xDFFF)
            return false;
        *pos += 6;
        point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
    }
    *ret_len = utf8_put(point, out);
    return true;
}

bool wire_string_step(struct str inside, size_t *pos, char out[4], size_t *ret_len)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    char byte = inside.at[(*pos)++];
    out[0] = byte;
    *ret_len = 1;
    if (byte != '\\')
        return (unsigned char)byte >= 0x20 && byte != '"';
    if (*pos == inside.len)
        return false;
    byte = inside.at[(*pos)++];
    if (byte == 'u')
        return unicode_escape(inside, pos, out, ret_len);
    for (size_t i = 0; i < sizeof(from) - 1; i++) {
        if (byte == from[i]) {
            out[0] = to[i];
            return true;
        }
    }
    return false;
}

struct str wire_inside(struct wire_value string)
{
    ASSERT(string.type == WIRE_STRING && string.raw.len >= 2);
    return (struct str){string.raw.at + 1, string.raw.len - 2};
}

/* Reads the next byte of the resolved string; false at its end. */
struct resolved {
    struct str inside;
    size_t pos;
    char held[4];
    size_t held_at, held_len;
};

static bool resolved_next(struct resolved *string, char *ret_byte)
{
    if (string->held_at == string->held_len) {
        if (string->pos >= string->inside.len ||
            !wire_string_step(string->inside, &string->pos, string->held, &string->held_len))
            return false;
        string->held_at = 0;
    }
    *ret_byte = string->held[string->held_at++];
    return true;
}

bool wire_same_string(struct wire_value a, struct wire_value b)
{
    struct resolved left = {.inside = wire_inside(a)};
    struct resolved right = {.inside = wire_inside(b)};
    for (;;) {
        char x = 0;
        char y = 0;
        bool more = resolved_next(&left, &x);
        if (more != resolved_next(&right, &y))
            return false;
        if (!more)
            return true;
        if (x != y)
            return false;
    }
}

bool wire_is(struct wire_value value, struct str text)
{
    if (value.type != WIRE_STRING)
        return false;
    struct resolved string = {.inside = wire_inside(value)};
    char byte;
    size_t i = 0;
    while (resolved_next(&string, &byte)) {
        if (i == text.len || text.at[i] != byte)
            return false;
        i++;
    }
    return i == text.len;
}

enum err wire_get_text(struct wire_value value, char *dst, size_t dst_bytes)
{
    if (value.type != WIRE_STRING || dst_bytes == 0)
        return ERR_INPUT;
    struct resolved string = {.inside = wire_inside(value)};
    char byte;
    size_t len = 0;
    /* Once to look, once to write: a refused value leaves `dst` alone. */
    while (resolved_next(&string, &byte)) {
        if (byte == '\0')
            return ERR_INPUT;
        len++;
    }
    if (len >= dst_bytes)
        return ERR_FULL;
    string = (struct resolved){.inside = wire_inside(value)};
    for (size_t i = 0; i < len && resolved_next(&string, &byte); i++)
        dst[i] = byte;
    dst[len] = '\0';
    return ERR_OK;
}

enum err wire_get_id(struct wire_value value, struct id128 *ret_id)
{
    char text[ID128_TEXT_BYTES];
    if (wire_get_text(value, text, sizeof(text)) != ERR_OK)
        return ERR_INPUT;
    return id128_parse(str_from(text), ret_id);
}
