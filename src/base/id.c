#include "base/base.h"

void hex_encode(char *dst, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        dst[2 * i] = digits[bytes[i] >> 4];
        dst[2 * i + 1] = digits[bytes[i] & 15];
    }
    dst[2 * len] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

enum err hex_decode(uint8_t *dst, size_t dst_bytes, struct str text)
{
    if (dst_bytes > SIZE_MAX / 2 || text.len != 2 * dst_bytes)
        return ERR_INPUT;
    /* Look at everything first: on failure dst is untouched. */
    for (size_t i = 0; i < text.len; i++) {
        if (hex_value(text.at[i]) < 0)
            return ERR_INPUT;
    }
    for (size_t i = 0; i < dst_bytes; i++)
        dst[i] = (uint8_t)(hex_value(text.at[2 * i]) << 4 | hex_value(text.at[2 * i + 1]));
    return ERR_OK;
}

bool id_valid(struct str text)
{
    if (text.len == 0 || text.len > ID_BYTES_MAX || text.at[0] == '.')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        bool digit = c >= '0' && c <= '9';
        if (!letter && !digit && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

bool id128_equal(struct id128 a, struct id128 b)
{
    return base_equal(a.byte, b.byte, sizeof(a.byte));
}

bool id128_is_zero(struct id128 id)
{
    uint8_t any = 0;
    for (size_t i = 0; i < sizeof(id.byte); i++)
        any |= id.byte[i];
    return any == 0;
}

void id128_text(struct id128 id, char dst[ID128_TEXT_BYTES])
{
    hex_encode(dst, id.byte, sizeof(id.byte));
}

enum err id128_parse(struct str text, struct id128 *ret_id)
{
    return hex_decode(ret_id->byte, sizeof(ret_id->byte), text);
}
