#include "wire/wire_int.h"

void wire_begin(struct wire_writer *writer, struct text *text)
{
    *writer = (struct wire_writer){.text = text};
}

static void before(struct wire_writer *writer)
{
    if (writer->follows)
        text_add_char(writer->text, ',');
    writer->follows = true;
}

static void opening(struct wire_writer *writer, char bracket)
{
    before(writer);
    text_add_char(writer->text, bracket);
    writer->follows = false;
}

static void closing(struct wire_writer *writer, char bracket)
{
    text_add_char(writer->text, bracket);
    writer->follows = true;
}

void wire_object(struct wire_writer *writer)
{
    opening(writer, '{');
}

void wire_object_end(struct wire_writer *writer)
{
    closing(writer, '}');
}

void wire_array(struct wire_writer *writer)
{
    opening(writer, '[');
}

void wire_array_end(struct wire_writer *writer)
{
    closing(writer, ']');
}

void wire_key(struct wire_writer *writer, const char *name)
{
    wire_put_text(writer, name);
    text_add_char(writer->text, ':');
    writer->follows = false;
}

static void put_control(struct text *text, unsigned char byte)
{
    char hex[3];
    hex_encode(hex, &byte, 1);
    text_add(text, STR("\\u00"));
    text_add(text, (struct str){hex, 2});
}

/* Length of the well-formed character at the front; 0: none begins there. */
static size_t character(struct str text)
{
    for (size_t len = 1; len <= 4 && len <= text.len; len++) {
        if (utf8_valid(str_slice(text, 0, len)))
            return len;
    }
    return 0;
}

void wire_put_str(struct wire_writer *writer, struct str text)
{
    struct text *out = writer->text;
    before(writer);
    text_add_char(out, '"');
    while (text.len > 0) {
        size_t len = character(text);
        if (len == 0) {
            text_add(out, STR("\xEF\xBF\xBD"));
            len = 1;
        } else if (text.at[0] == '"' || text.at[0] == '\\') {
            text_add_char(out, '\\');
            text_add_char(out, text.at[0]);
        } else if ((unsigned char)text.at[0] < 0x20) {
            put_control(out, (unsigned char)text.at[0]);
        } else {
            text_add(out, str_slice(text, 0, len));
        }
        text = str_slice(text, len, text.len);
    }
    text_add_char(out, '"');
}

void wire_put_text(struct wire_writer *writer, const char *text)
{
    wire_put_str(writer, str_from(text));
}

void wire_put_u64(struct wire_writer *writer, uint64_t value)
{
    before(writer);
    text_add_u64(writer->text, value);
}

void wire_put_i64(struct wire_writer *writer, int64_t value)
{
    before(writer);
    text_add_i64(writer->text, value);
}

static void put_fixed(struct wire_writer *writer, int64_t value, unsigned digits)
{
    while (digits > 0 && value % 10 == 0) {
        value /= 10;
        digits--;
    }
    before(writer);
    text_add_fixed(writer->text, value, digits);
}

void wire_put_milli(struct wire_writer *writer, int64_t milli)
{
    put_fixed(writer, milli, 3);
}

void wire_put_micro(struct wire_writer *writer, int64_t micro)
{
    put_fixed(writer, micro, 6);
}

void wire_put_bool(struct wire_writer *writer, bool value)
{
    before(writer);
    text_add(writer->text, value ? STR("true") : STR("false"));
}

void wire_put_null(struct wire_writer *writer)
{
    before(writer);
    text_add(writer->text, STR("null"));
}

void wire_put_id(struct wire_writer *writer, struct id128 id)
{
    char text[ID128_TEXT_BYTES];
    id128_text(id, text);
    wire_put_text(writer, text);
}

void wire_put_raw(struct wire_writer *writer, struct str json)
{
    before(writer);
    text_add(writer->text, json);
}
