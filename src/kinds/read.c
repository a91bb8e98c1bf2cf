#include "kinds/kinds.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* "prefix.name", cut where it would be too long: a field name from outside may have any length. */
static void field_set(struct kinds_refusal *refusal, const char *prefix, const char *name)
{
    struct text text;
    text_init(&text, refusal->field, sizeof(refusal->field));
    if (prefix[0] != 0 && name[0] != 0) {
        text_add(&text, str_from(prefix));
        text_add_char(&text, '.');
    } else if (prefix[0] != 0) {
        text_add(&text, str_from(prefix));
    }
    for (const char *at = name; *at != 0; at++) {
        unsigned char byte = (unsigned char)*at;
        text_add_char(&text, byte < 0x20 || byte > 0x7e ? '?' : *at);
    }
}

void kinds_read_fault(struct kinds_reader *reader, const char *code, const char *field,
                      const char *format, ...)
{
    if (reader->object == NULL)
        return;
    reader->object = NULL;
    reader->refusal->code = code;
    field_set(reader->refusal, reader->prefix, field);
    va_list values;
    va_start(values, format);
    (void)vsnprintf(reader->refusal->sentence, sizeof(reader->refusal->sentence), format, values);
    va_end(values);
}

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a text";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        return "null";
    default:
        return "something else";
    }
}

static void wrong_type(struct kinds_reader *reader, const char *name, const char *wanted,
                       const json_t *value)
{
    kinds_read_fault(reader, "wrong_type", name, "Here must be %s, not %s.", wanted,
                     type_name(value));
}

void kinds_read_begin(struct kinds_reader *reader, const json_t *value, const char *prefix,
                      struct kinds_refusal *refusal)
{
    *reader = (struct kinds_reader){.object = value, .prefix = prefix, .refusal = refusal};
    if (!json_is_object(value))
        wrong_type(reader, "", "an object", value);
}

bool kinds_read_ok(const struct kinds_reader *reader)
{
    return reader->object != NULL;
}

const json_t *kinds_read_any(struct kinds_reader *reader, const char *name, bool required)
{
    if (reader->object == NULL)
        return NULL;
    ASSERT(reader->name_count < KINDS_READER_NAMES_MAX);
    reader->names[reader->name_count++] = name;
    const json_t *value = json_object_get(reader->object, name);
    if (value == NULL && required)
        kinds_read_fault(reader, "missing_field", name, "This field is required.");
    if (value == NULL || (json_is_null(value) && !required))
        return NULL;
    return value;
}

const json_t *kinds_read_object(struct kinds_reader *reader, const char *name, bool required)
{
    const json_t *value = kinds_read_any(reader, name, required);
    if (value == NULL || json_is_object(value))
        return value;
    wrong_type(reader, name, "an object", value);
    return NULL;
}

const json_t *kinds_read_array(struct kinds_reader *reader, const char *name, bool required)
{
    const json_t *value = kinds_read_any(reader, name, required);
    if (value == NULL || json_is_array(value))
        return value;
    wrong_type(reader, name, "a list", value);
    return NULL;
}

void kinds_read_text(struct kinds_reader *reader, const char *name, bool required, size_t bytes_max,
                     struct str *ret_text)
{
    const json_t *value = kinds_read_any(reader, name, required);
    if (value == NULL)
        return;
    if (!json_is_string(value)) {
        wrong_type(reader, name, "a text", value);
        return;
    }
    struct str text = {json_string_value(value), json_string_length(value)};
    if (text.len > bytes_max)
        kinds_read_fault(reader, "bad_value", name, "This text may have %zu bytes at most.",
                         bytes_max);
    else if (text.len == 0 && required)
        kinds_read_fault(reader, "bad_value", name, "This text may not be empty.");
    else
        *ret_text = text;
}

void kinds_read_bool(struct kinds_reader *reader, const char *name, bool required, bool *ret_value)
{
    const json_t *value = kinds_read_any(reader, name, required);
    if (value == NULL)
        return;
    if (json_is_boolean(value))
        *ret_value = json_is_true(value);
    else
        wrong_type(reader, name, "true or false", value);
}

bool kinds_read_i64(struct kinds_reader *reader, const char *name, bool required, int64_t min,
                    int64_t max, int64_t *ret_value)
{
    const json_t *value = kinds_read_any(reader, name, required);
    if (value == NULL)
        return false;
    if (!json_is_number(value)) {
        wrong_type(reader, name, "a whole number", value);
        return false;
    }
    double real = json_number_value(value);
    /* As a double first: a real may lie outside what an int64_t holds. */
    if (real < (double)min || real > (double)max) {
        kinds_read_fault(reader, "out_of_limits", name, "This must be from %lld to %lld.",
                         (long long)min, (long long)max);
        return false;
    }
    if (json_is_real(value) && (double)(int64_t)real != real) {
        kinds_read_fault(reader, "wrong_type", name, "Here must be a whole number.");
        return false;
    }
    *ret_value = json_is_integer(value) ? (int64_t)json_integer_value(value) : (int64_t)real;
    return true;
}

bool kinds_read_milli(struct kinds_reader *reader, const char *name, bool required, int64_t min,
                      int64_t max, int64_t *ret_value)
{
    const json_t *value = kinds_read_any(reader, name, required);
    if (value == NULL)
        return false;
    if (!json_is_number(value)) {
        wrong_type(reader, name, "a number", value);
        return false;
    }
    double milli = json_number_value(value) * 1000.0;
    if (milli < (double)min || milli > (double)max) {
        kinds_read_fault(reader, "out_of_limits", name, "This must be from %g to %g.",
                         (double)min / 1000.0, (double)max / 1000.0);
        return false;
    }
    *ret_value = (int64_t)(milli < 0 ? milli - 0.5 : milli + 0.5);
    return true;
}

void kinds_read_id128(struct kinds_reader *reader, const char *name, bool required,
                      struct id128 *ret_id)
{
    struct str text = STR_NONE;
    kinds_read_text(reader, name, required, 64, &text);
    if (text.at == NULL)
        return;
    struct id128 id;
    if (id128_parse(text, &id) != ERR_OK || id128_is_zero(id))
        kinds_read_fault(reader, "bad_value", name, "Here must be 32 hexadecimal digits.");
    else
        *ret_id = id;
}

static bool name_known(const struct kinds_reader *reader, const char *name)
{
    for (size_t i = 0; i < reader->name_count; i++) {
        if (strcmp(reader->names[i], name) == 0)
            return true;
    }
    return false;
}

bool kinds_read_end(struct kinds_reader *reader)
{
    if (reader->object == NULL)
        return false;
    const char *name;
    const json_t *value;
    /* jansson's iterator wants a mutable object, though it only looks. */
    json_object_foreach((json_t *)(uintptr_t)reader->object, name, value)
    {
        (void)value;
        if (!name_known(reader, name)) {
            kinds_read_fault(reader, "unknown_field", name, "There is no such field.");
            return false;
        }
    }
    return true;
}
