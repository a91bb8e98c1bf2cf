/* Request targets and hosts (RFC 9112, 3.2; RFC 3986). */
#include "net/http/http_codec_int.h"

int http_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool chars_valid(struct str text, unsigned classes)
{
    for (size_t i = 0; i < text.len; i++) {
        if (http_char_is(text.at[i], classes))
            continue;
        if (text.at[i] != '%' || text.len - i < 3 || !http_char_is(text.at[i + 1], HTTP_CHAR_HEX) ||
            !http_char_is(text.at[i + 2], HTTP_CHAR_HEX))
            return false;
        i += 2;
    }
    return true;
}

static bool port_valid(struct str port)
{
    uint64_t number;
    return port.len <= 5 && str_to_u64(port, &number) == ERR_OK && number <= 65535;
}

/* "[" IPv6 "]": its letters are checked, not its grammar; it is only ever compared or shown. */
static bool literal_valid(struct str host, size_t *ret_end)
{
    size_t end = str_find(host, ']');
    if (end == host.len || end < 3)
        return false;
    for (size_t i = 1; i < end; i++) {
        if (!http_char_is(host.at[i], HTTP_CHAR_HEX) && host.at[i] != ':' && host.at[i] != '.')
            return false;
    }
    *ret_end = end + 1;
    return true;
}

bool http_host_valid(struct str host)
{
    size_t end = 0;
    if (host.len == 0 || host.len > 255 + 6)
        return false;
    if (host.at[0] == '[') {
        if (!literal_valid(host, &end))
            return false;
    } else {
        while (end < host.len && http_char_is(host.at[end], HTTP_CHAR_HOST))
            end++;
    }
    if (end == 0)
        return false;
    if (end == host.len)
        return true;
    return host.at[end] == ':' && port_valid(str_slice(host, end + 1, host.len));
}

static bool origin_form(struct http_head *head, struct str target)
{
    size_t mark = str_find(target, '?');
    head->path = str_slice(target, 0, mark);
    head->query = mark < target.len ? str_slice(target, mark + 1, target.len) : STR_NONE;
    return head->path.len != 0 && head->path.at[0] == '/' &&
           chars_valid(head->path, HTTP_CHAR_PATH) && chars_valid(head->query, HTTP_CHAR_QUERY);
}

/* "http://host/path": only where the authority says the same as Host, so that nobody behind or
 * before us can think that the request was for another. */
static bool absolute_form(struct http_head *head)
{
    struct str target = head->target;
    size_t scheme;
    if (target.len > 7 && str_equal_nocase(str_slice(target, 0, 7), STR("http://")))
        scheme = 7;
    else if (target.len > 8 && str_equal_nocase(str_slice(target, 0, 8), STR("https://")))
        scheme = 8;
    else
        return false;
    size_t end = scheme;
    while (end < target.len && target.at[end] != '/' && target.at[end] != '?')
        end++;
    struct str authority = str_slice(target, scheme, end);
    if (!http_host_valid(authority) || !str_equal_nocase(authority, head->host))
        return false;
    if (end == target.len || target.at[end] == '?') {
        head->path = STR("/");
        head->query = end == target.len ? STR_NONE : str_slice(target, end + 1, target.len);
        return chars_valid(head->query, HTTP_CHAR_QUERY);
    }
    return origin_form(head, str_slice(target, end, target.len));
}

bool http_target_parse(struct http_head *head)
{
    if (head->target.at[0] == '/')
        return origin_form(head, head->target);
    if (head->target.len == 1 && head->target.at[0] == '*') {
        head->path = head->target;
        return head->method == HTTP_OPTIONS;
    }
    return absolute_form(head);
}
