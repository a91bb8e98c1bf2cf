/* rooms: net/http */
/* An HTTP request as a client might send it: head, then body.  The first byte of the input says in
 * what pieces it comes. */
#include "net/http/http_codec.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool fact)
{
    if (!fact)
        abort();
}

static void inside(struct str part, const char *bytes, size_t len)
{
    must(part.len == 0 || (part.at >= bytes && part.at + part.len <= bytes + len));
}

static void check_head(const struct http_head *head, const char *bytes, size_t len)
{
    inside(head->target, bytes, len);
    inside(head->query, bytes, len);
    inside(head->host, bytes, len);
    must(head->path.len != 0 && (head->path.at[0] == '/' || head->method == HTTP_OPTIONS));
    must(!(head->chunked && head->content_length != 0));
    must(head->minor == 0 || head->host.len != 0);
    for (size_t i = 0; i < head->field_count; i++) {
        inside(head->fields[i].name, bytes, len);
        inside(head->fields[i].value, bytes, len);
        must(http_token_valid(head->fields[i].name));
        must(http_value_valid(head->fields[i].value));
    }
}

static void use_head(const struct http_head *head)
{
    char plain[64];
    size_t len;
    struct str rest = head->query, name, value;
    while (http_query_next(&rest, &name, &value)) {
        if (http_percent_decode(value, true, plain, sizeof(plain), &len) == ERR_OK)
            must(len < sizeof(plain) && plain[len] == '\0' && strlen(plain) == len);
    }
    rest = head->path;
    while (http_path_next(&rest, &name)) {
        if (http_percent_decode(name, false, plain, sizeof(plain), &len) == ERR_OK)
            must(utf8_valid((struct str){plain, len}));
    }
    for (size_t i = 0; i < head->field_count; i++) {
        value = head->fields[i].value;
        must(http_accept_weight(value, STR("br")) <= 1000);
        (void)http_etag_match(value, STR("\"a\""));
        (void)http_cookie_find(value, STR("a"));
    }
}

static void decode_body(const char *bytes, size_t len, size_t step)
{
    struct http_chunked chunked;
    size_t at = 0;
    http_chunked_init(&chunked);
    while (at < len) {
        size_t give = len - at < step ? len - at : step, used;
        struct str piece;
        enum err err = http_chunked_decode(&chunked, bytes + at, give, &used, &piece);
        if (err == ERR_INPUT)
            return;
        must(used <= give && (used != 0 || err == ERR_OK));
        inside(piece, bytes + at, used);
        at += used;
        if (err == ERR_OK)
            return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_head head, again;
    struct http_fault fault = {0};
    if (size == 0)
        return 0;
    const char *bytes = (const char *)data + 1;
    size_t len = size - 1, step = 1 + data[0] % 64, scanned = 0, head_bytes = 0, have = 0;
    enum err err = ERR_AGAIN;
    while (err == ERR_AGAIN && have < len) {
        have = len - have < step ? len : have + step;
        err = http_head_scan(bytes, have, &scanned, &head_bytes, &fault);
    }
    size_t whole_scanned = 0, whole_bytes = 0;
    enum err whole = http_head_scan(bytes, len, &whole_scanned, &whole_bytes, &fault);
    must(whole == err || err == ERR_INPUT ||
         whole == ERR_INPUT); /* a bound may be met on the way */
    if (err != ERR_OK)
        return 0;
    must(head_bytes <= have && head_bytes <= HTTP_HEAD_BYTES_MAX);
    err = http_head_parse(bytes, head_bytes, &head, &fault);
    must(err == http_head_parse(bytes, head_bytes, &again, &fault));
    if (err == ERR_OK) {
        check_head(&head, bytes, head_bytes);
        use_head(&head);
        decode_body(bytes + head_bytes, len - head_bytes, step);
    } else {
        must(err == ERR_INPUT && fault.status >= 400 && fault.status < 600 && fault.why != NULL);
    }
    return 0;
}
