/* Small things that routes need: escapes, queries, cookies, lists. */
#include "net/http/http_codec_int.h"

enum err http_percent_decode(struct str text, bool form, char *dst, size_t dst_bytes,
                             size_t *ret_len)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (form && c == '+') {
            c = ' ';
        } else if (c == '%') {
            if (text.len - i < 3)
                return ERR_INPUT;
            int high = http_hex_value(text.at[i + 1]), low = http_hex_value(text.at[i + 2]);
            if (high < 0 || low < 0)
                return ERR_INPUT;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if ((uint8_t)c < 0x20 || c == 0x7f)
            return ERR_INPUT;
        if (len + 1 >= dst_bytes)
            return ERR_FULL;
        dst[len++] = c;
    }
    if (dst_bytes == 0)
        return ERR_FULL;
    dst[len] = '\0';
    if (!utf8_valid((struct str){dst, len}))
        return ERR_INPUT;
    *ret_len = len;
    return ERR_OK;
}

/* What comes before the next `mark`; `*rest` goes on after it. */
static struct str cut(struct str *rest, char mark)
{
    size_t end = str_find(*rest, mark);
    struct str piece = str_slice(*rest, 0, end);
    *rest = end < rest->len ? str_slice(*rest, end + 1, rest->len) : STR_NONE;
    return piece;
}

static struct str trim(struct str text)
{
    while (text.len != 0 && (text.at[0] == ' ' || text.at[0] == '\t'))
        text = str_slice(text, 1, text.len);
    while (text.len != 0 && (text.at[text.len - 1] == ' ' || text.at[text.len - 1] == '\t'))
        text.len--;
    return text;
}

bool http_query_next(struct str *rest, struct str *ret_name, struct str *ret_value)
{
    while (rest->len != 0) {
        struct str pair = cut(rest, '&');
        if (pair.len == 0)
            continue;
        *ret_name = cut(&pair, '=');
        *ret_value = pair;
        return true;
    }
    return false;
}

/* Names are compared as sent: a client that escapes a plain letter in a name is not worth a second
 * reading. */
enum err http_query_find(struct str query, struct str name, struct str *ret_value)
{
    struct str found, value;
    while (http_query_next(&query, &found, &value)) {
        if (str_equal(found, name)) {
            *ret_value = value;
            return ERR_OK;
        }
    }
    return ERR_NOT_FOUND;
}

bool http_path_next(struct str *rest, struct str *ret_segment)
{
    if (rest->len == 0 || rest->at[0] != '/')
        return false;
    struct str after = str_slice(*rest, 1, rest->len);
    size_t end = str_find(after, '/');
    *ret_segment = str_slice(after, 0, end);
    *rest = str_slice(after, end, after.len);
    return true;
}

struct str http_cookie_find(struct str cookie_field, struct str name)
{
    while (cookie_field.len != 0) {
        struct str pair = trim(cut(&cookie_field, ';'));
        size_t equals = str_find(pair, '=');
        if (equals == pair.len || !str_equal(str_slice(pair, 0, equals), name))
            continue;
        return str_slice(pair, equals + 1, pair.len);
    }
    return STR_NONE;
}

bool http_etag_match(struct str if_none_match, struct str etag)
{
    if (str_equal(trim(if_none_match), STR("*")))
        return true;
    while (if_none_match.len != 0) {
        struct str item = trim(cut(&if_none_match, ',')); /* our tags hold no comma */
        if (str_starts(item, STR("W/")))
            item = str_slice(item, 2, item.len);
        if (str_equal(item, etag))
            return true;
    }
    return false;
}

/* ";q=0.5" in thousandths; malformed counts as 0, the safe reading. */
static unsigned weight_parse(struct str parameters)
{
    struct str weight = STR_NONE;
    while (parameters.len != 0) {
        struct str parameter = trim(cut(&parameters, ';'));
        if (parameter.len > 2 && (parameter.at[0] | 0x20) == 'q' && parameter.at[1] == '=')
            weight = str_slice(parameter, 2, parameter.len);
    }
    if (weight.len == 0)
        return 1000;
    if (weight.len > 5 || (weight.at[0] != '0' && weight.at[0] != '1'))
        return 0;
    unsigned value = (unsigned)(weight.at[0] - '0') * 1000, scale = 100;
    for (size_t i = 1; i < weight.len; i++) {
        char c = weight.at[i];
        if (i == 1 ? c != '.' : c < '0' || c > '9')
            return 0;
        if (i >= 2) {
            value += (unsigned)(c - '0') * scale;
            scale /= 10;
        }
    }
    return value <= 1000 ? value : 0;
}

unsigned http_accept_weight(struct str accept_encoding, struct str coding)
{
    unsigned any = 0;
    while (accept_encoding.len != 0) {
        struct str item = cut(&accept_encoding, ',');
        struct str name = trim(cut(&item, ';'));
        if (str_equal_nocase(name, coding))
            return weight_parse(item);
        if (str_equal(name, STR("*")))
            any = weight_parse(item);
    }
    return any;
}

bool http_list_has(struct str list, struct str token)
{
    while (list.len != 0) {
        if (str_equal_nocase(trim(cut(&list, ',')), token))
            return true;
    }
    return false;
}

bool http_token_valid(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!http_char_is(text.at[i], HTTP_CHAR_TOKEN))
            return false;
    }
    return text.len != 0;
}

bool http_value_valid(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!http_char_is(text.at[i], HTTP_CHAR_VALUE))
            return false;
    }
    return true;
}
