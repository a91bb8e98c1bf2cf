#include "base/base.h"

struct str str_from(const char *text)
{
    size_t len = 0;
    if (text == NULL)
        return STR_NONE;
    while (text[len] != '\0')
        len++;
    return (struct str){text, len};
}

bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && base_equal(a.at, b.at, a.len);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool str_equal_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.at[i]) != lower(b.at[i]))
            return false;
    }
    return true;
}

bool str_starts(struct str text, struct str prefix)
{
    return text.len >= prefix.len && base_equal(text.at, prefix.at, prefix.len);
}

size_t str_find(struct str text, char byte)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == byte)
            return i;
    }
    return text.len;
}

struct str str_slice(struct str text, size_t from, size_t to)
{
    if (to > text.len)
        to = text.len;
    if (from > to)
        from = to;
    if (text.at == NULL)
        return STR_NONE;
    return (struct str){text.at + from, to - from};
}

enum err str_to_u64(struct str text, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (text.len == 0)
        return ERR_INPUT;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c < '0' || c > '9')
            return ERR_INPUT;
        uint64_t digit = (uint64_t)(c - '0');
        if (value > UINT64_MAX / 10 || (value == UINT64_MAX / 10 && digit > UINT64_MAX % 10))
            return ERR_INPUT;
        value = value * 10 + digit;
    }
    *ret_value = value;
    return ERR_OK;
}

enum err str_copy(char *dst, size_t dst_bytes, struct str text)
{
    ASSERT(dst_bytes > 0);
    dst[0] = '\0';
    if (text.len >= dst_bytes)
        return ERR_FULL;
    /* A NUL inside would make the copy a different, shorter name than the one that was checked. */
    if (str_find(text, '\0') != text.len)
        return ERR_INPUT;
    base_copy(dst, text.at, text.len);
    dst[text.len] = '\0';
    return ERR_OK;
}
