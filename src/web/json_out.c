#include "web/json_out.h"

#include <math.h>
#include <string.h>

static void add(struct json_out *out, const char *bytes, size_t len)
{
    if (out->err == ERR_OK)
        out->err = buf_add(out->buf, bytes, len);
}

static void add_char(struct json_out *out, char c)
{
    add(out, &c, 1);
}

/* A comma is due unless something was just opened. */
static void separate(struct json_out *out)
{
    if (out->buf->len == 0)
        return;
    char last = out->buf->at[out->buf->len - 1];
    if (last != '{' && last != '[' && last != ':' && last != ',')
        add_char(out, ',');
}

static void add_quoted(struct json_out *out, struct str text)
{
    static const char hex[] = "0123456789abcdef";
    add_char(out, '"');
    size_t plain = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.at[i];
        if (byte >= 0x20 && byte != '"' && byte != '\\')
            continue;
        add(out, text.at + plain, i - plain);
        plain = i + 1;
        if (byte == '"' || byte == '\\') {
            add_char(out, '\\');
            add_char(out, (char)byte);
        } else {
            char escape[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
            add(out, escape, sizeof(escape));
        }
    }
    if (text.len > plain)
        add(out, text.at + plain, text.len - plain);
    add_char(out, '"');
}

static void begin(struct json_out *out, const char *key)
{
    separate(out);
    if (key == NULL)
        return;
    add_quoted(out, str_from(key));
    add_char(out, ':');
}

void out_open(struct json_out *out, const char *key, char bracket)
{
    begin(out, key);
    add_char(out, bracket);
}

void out_close(struct json_out *out, char bracket)
{
    add_char(out, bracket);
}

void out_text(struct json_out *out, const char *key, struct str value)
{
    if (value.at == NULL) {
        out_null(out, key);
        return;
    }
    begin(out, key);
    add_quoted(out, value);
}

void out_word(struct json_out *out, const char *key, const char *value)
{
    out_text(out, key, str_from(value));
}

void out_i64(struct json_out *out, const char *key, int64_t value)
{
    char storage[24];
    struct text text;
    text_init(&text, storage, sizeof(storage));
    text_add_i64(&text, value);
    begin(out, key);
    add(out, text.at, text.len);
}

void out_u64(struct json_out *out, const char *key, uint64_t value)
{
    char storage[24];
    struct text text;
    text_init(&text, storage, sizeof(storage));
    text_add_u64(&text, value);
    begin(out, key);
    add(out, text.at, text.len);
}

void out_f64(struct json_out *out, const char *key, double value)
{
    if (!isfinite(value)) {
        out_null(out, key); /* JSON has no such number */
        return;
    }
    begin(out, key);
    if (out->err == ERR_OK)
        out->err = buf_printf(out->buf, "%.7g", value);
}

void out_bool(struct json_out *out, const char *key, bool value)
{
    begin(out, key);
    if (value)
        add(out, "true", 4);
    else
        add(out, "false", 5);
}

void out_null(struct json_out *out, const char *key)
{
    begin(out, key);
    add(out, "null", 4);
}

void out_time(struct json_out *out, const char *key, int64_t epoch_ms)
{
    if (epoch_ms == 0) {
        out_null(out, key);
        return;
    }
    char text[TIME_TEXT_BYTES];
    time_text(epoch_ms, text);
    out_text(out, key, str_from(text));
}

void out_id128(struct json_out *out, const char *key, struct id128 id)
{
    char text[ID128_TEXT_BYTES];
    id128_text(id, text);
    out_text(out, key, str_from(text));
}

void out_hex(struct json_out *out, const char *key, const uint8_t *bytes, size_t len)
{
    char text[129];
    ASSERT(len <= 64);
    hex_encode(text, bytes, len);
    out_text(out, key, str_from(text));
}

void out_raw(struct json_out *out, const char *key, struct str json, const char *otherwise)
{
    begin(out, key);
    if (json.at != NULL && json.len > 0)
        add(out, json.at, json.len);
    else
        add(out, otherwise, strlen(otherwise));
}
