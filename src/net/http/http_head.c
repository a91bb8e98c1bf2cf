/* A request's head: request line and fields. */
#include "net/http/http_codec_int.h"
#include <string.h>

static const char *const method_names[HTTP_METHOD_COUNT] = {
    [HTTP_GET] = "GET",         [HTTP_HEAD] = "HEAD",   [HTTP_POST] = "POST",
    [HTTP_PUT] = "PUT",         [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE",
    [HTTP_OPTIONS] = "OPTIONS",
};

const char *http_method_name(enum http_method method)
{
    ASSERT((unsigned)method < HTTP_METHOD_COUNT);
    return method_names[method];
}

static enum err fault_set(struct http_fault *fault, uint16_t status, size_t at_byte,
                          const char *why)
{
    *fault = (struct http_fault){.status = status, .at_byte = at_byte, .why = why};
    return ERR_INPUT;
}

/* ---- scan
 * ----------------------------------------------------------------------------------------------------
 */

/* One empty line before a request is forgiven (RFC 9112, 2.2). */
static size_t lead_bytes(const char *bytes, size_t len)
{
    return len >= 2 && bytes[0] == '\r' && bytes[1] == '\n' ? 2 : 0;
}

static enum err scan_unfinished(const char *bytes, size_t len, struct http_fault *fault)
{
    if (len > HTTP_HEAD_BYTES_MAX)
        return fault_set(fault, 431, HTTP_HEAD_BYTES_MAX, "the head is too large");
    size_t lead = lead_bytes(bytes, len);
    if (len - lead > HTTP_TARGET_BYTES_MAX + 64 && memchr(bytes + lead, '\n', len - lead) == NULL)
        return fault_set(fault, 414, HTTP_TARGET_BYTES_MAX, "the request target is too long");
    return ERR_AGAIN;
}

enum err http_head_scan(const char *bytes, size_t len, size_t *scanned, size_t *ret_head_bytes,
                        struct http_fault *ret_fault)
{
    if (len != 0 && bytes[0] != '\r' && !http_char_is(bytes[0], HTTP_CHAR_TOKEN))
        return fault_set(ret_fault, 400, 0, "not an HTTP request");
    size_t at = *scanned;
    while (at < len) {
        const char *newline = memchr(bytes + at, '\n', len - at);
        if (newline == NULL)
            break;
        at = (size_t)(newline - bytes);
        if (at == 0 || bytes[at - 1] != '\r')
            return fault_set(ret_fault, 400, at, "a line ends without CR");
        at++;
        if (at >= 4 && bytes[at - 3] == '\n') {
            if (at > HTTP_HEAD_BYTES_MAX)
                return fault_set(ret_fault, 431, HTTP_HEAD_BYTES_MAX, "the head is too large");
            *ret_head_bytes = at;
            return ERR_OK;
        }
        *scanned = at;
    }
    *scanned = len;
    return scan_unfinished(bytes, len, ret_fault);
}

/* ---- parse
 * ---------------------------------------------------------------------------------------------------
 */

/* What has been seen of the fields that decide where the message ends and for whom it is. */
struct parse {
    const char *start, *at, *end;
    struct http_head *head;
    struct http_fault *fault;
    bool host_seen, length_seen, close, keep_alive;
};

static enum err refuse(struct parse *parse, uint16_t status, const char *why)
{
    return fault_set(parse->fault, status, (size_t)(parse->at - parse->start), why);
}

static bool method_find(struct str text, enum http_method *ret_method)
{
    for (unsigned i = 0; i < HTTP_METHOD_COUNT; i++) {
        if (str_equal(text, str_from(method_names[i]))) {
            *ret_method = (enum http_method)i;
            return true;
        }
    }
    return false;
}

static struct str take_while(struct parse *parse, unsigned classes)
{
    const char *from = parse->at;
    while (parse->at < parse->end && http_char_is(*parse->at, classes))
        parse->at++;
    return (struct str){from, (size_t)(parse->at - from)};
}

static bool take_char(struct parse *parse, char c)
{
    if (parse->at == parse->end || *parse->at != c)
        return false;
    parse->at++;
    return true;
}

static bool take_line_end(struct parse *parse)
{
    return take_char(parse, '\r') && take_char(parse, '\n');
}

static enum err parse_version(struct parse *parse)
{
    static const char prefix[] = "HTTP/";
    for (size_t i = 0; i < sizeof(prefix) - 1; i++) {
        if (!take_char(parse, prefix[i]))
            return refuse(parse, 400, "the request line has no HTTP version");
    }
    if (parse->end - parse->at < 3 || parse->at[0] < '0' || parse->at[0] > '9' ||
        parse->at[1] != '.' || parse->at[2] < '0' || parse->at[2] > '9')
        return refuse(parse, 400, "the HTTP version is malformed");
    if (parse->at[0] != '1' || parse->at[2] > '1')
        return refuse(parse, 505, "this HTTP version is not spoken here");
    parse->head->minor = (unsigned)(parse->at[2] - '0');
    parse->at += 3;
    if (!take_line_end(parse))
        return refuse(parse, 400, "the request line does not end after the version");
    return ERR_OK;
}

static enum err parse_request_line(struct parse *parse)
{
    struct http_head *head = parse->head;
    struct str method = take_while(parse, HTTP_CHAR_TOKEN);
    if (method.len == 0 || !take_char(parse, ' '))
        return refuse(parse, 400, "the method is malformed");
    if (!method_find(method, &head->method))
        return refuse(parse, 501, "this method is not known here");
    const char *target = parse->at;
    while (parse->at<parse->end && * parse->at> ' ' && *parse->at != 0x7f)
        parse->at++;
    head->target = (struct str){target, (size_t)(parse->at - target)};
    if (head->target.len == 0 || !take_char(parse, ' '))
        return refuse(parse, 400, "the request target is malformed");
    if (head->target.len > HTTP_TARGET_BYTES_MAX)
        return refuse(parse, 414, "the request target is too long");
    return parse_version(parse);
}

static enum err field_host(struct parse *parse, struct str value)
{
    if (parse->host_seen)
        return refuse(parse, 400, "more than one Host");
    if (!http_host_valid(value))
        return refuse(parse, 400, "the Host is malformed");
    parse->host_seen = true;
    parse->head->host = value;
    return ERR_OK;
}

static enum err field_content_length(struct parse *parse, struct str value)
{
    if (parse->length_seen)
        return refuse(parse, 400, "more than one Content-Length");
    if (str_to_u64(value, &parse->head->content_length) != ERR_OK)
        return refuse(parse, 400, "the Content-Length is not a number");
    parse->length_seen = true;
    return ERR_OK;
}

static enum err field_transfer_encoding(struct parse *parse, struct str value)
{
    if (parse->head->chunked || !str_equal_nocase(value, STR("chunked")))
        return refuse(parse, 400, "Transfer-Encoding is not exactly chunked");
    if (parse->head->minor == 0)
        return refuse(parse, 400, "HTTP/1.0 has no Transfer-Encoding");
    parse->head->chunked = true;
    return ERR_OK;
}

static enum err field_connection(struct parse *parse, struct str value)
{
    parse->close |= http_list_has(value, STR("close"));
    parse->keep_alive |= http_list_has(value, STR("keep-alive"));
    parse->head->upgrade |= parse->head->minor == 1 && http_list_has(value, STR("upgrade"));
    return ERR_OK;
}

static enum err field_expect(struct parse *parse, struct str value)
{
    if (!str_equal_nocase(value, STR("100-continue")))
        return refuse(parse, 417, "this expectation cannot be met");
    parse->head->expect_continue = parse->head->minor == 1;
    return ERR_OK;
}

static enum err field_known(struct parse *parse, const struct http_field *field)
{
    static const struct {
        struct str name;
        enum err (*take)(struct parse *parse, struct str value);
    } known[] = {
        {{"host", 4}, field_host},
        {{"content-length", 14}, field_content_length},
        {{"transfer-encoding", 17}, field_transfer_encoding},
        {{"connection", 10}, field_connection},
        {{"expect", 6}, field_expect},
    };
    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        if (field->name.len == known[i].name.len && str_equal_nocase(field->name, known[i].name))
            return known[i].take(parse, field->value);
    }
    return ERR_OK;
}

static struct str trim(struct str value)
{
    while (value.len != 0 && (value.at[0] == ' ' || value.at[0] == '\t'))
        value = str_slice(value, 1, value.len);
    while (value.len != 0 && (value.at[value.len - 1] == ' ' || value.at[value.len - 1] == '\t'))
        value.len--;
    return value;
}

static enum err parse_field(struct parse *parse)
{
    struct http_head *head = parse->head;
    if (head->field_count == HTTP_FIELDS_MAX)
        return refuse(parse, 431, "too many header fields");
    struct http_field *field = &head->fields[head->field_count];
    field->name = take_while(parse, HTTP_CHAR_TOKEN);
    if (field->name.len == 0)
        return refuse(parse, 400, "a header line does not begin with a name");
    if (!take_char(parse, ':'))
        return refuse(parse, 400, "a header name does not end in a colon");
    field->value = trim(take_while(parse, HTTP_CHAR_VALUE));
    if (!take_line_end(parse))
        return refuse(parse, 400, "a header value has a control byte");
    head->field_count++;
    return field_known(parse, field);
}

static enum err check_whole(struct parse *parse)
{
    struct http_head *head = parse->head;
    if (head->minor == 1 && !parse->host_seen)
        return refuse(parse, 400, "no Host");
    if (head->chunked && parse->length_seen)
        return refuse(parse, 400, "Content-Length beside Transfer-Encoding");
    if (!http_target_parse(head))
        return refuse(parse, 400, "the request target is malformed");
    head->keep_alive = !parse->close && (head->minor == 1 || parse->keep_alive);
    return ERR_OK;
}

enum err http_head_parse(const char *bytes, size_t head_bytes, struct http_head *ret_head,
                         struct http_fault *ret_fault)
{
    size_t lead = lead_bytes(bytes, head_bytes);
    struct parse parse = {.start = bytes,
                          .at = bytes + lead,
                          .end = bytes + head_bytes,
                          .head = ret_head,
                          .fault = ret_fault};
    /* The field table is left as it is: 3 KiB that need no clearing. */
    memset(ret_head, 0, offsetof(struct http_head, fields));
    enum err err = parse_request_line(&parse);
    while (err == ERR_OK && parse.end - parse.at > 2)
        err = parse_field(&parse);
    if (err != ERR_OK)
        return err;
    if (!take_line_end(&parse) || parse.at != parse.end)
        return refuse(&parse, 400, "the head does not end in an empty line");
    return check_whole(&parse);
}

struct str http_field_find(const struct http_head *head, struct str name)
{
    for (size_t i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        if (field->name.len == name.len && str_equal_nocase(field->name, name))
            return field->value;
    }
    return STR_NONE;
}

bool http_field_repeats(const struct http_head *head, struct str name)
{
    unsigned count = 0;
    for (size_t i = 0; i < head->field_count; i++)
        count += str_equal_nocase(head->fields[i].name, name);
    return count > 1;
}
