/* Looking around in a document that wire_open has accepted. */
#include "wire/wire_int.h"

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static struct str skip(struct str text, size_t count)
{
    return str_slice(text, count, text.len);
}

/* Also over the comma between two values and the colon behind a key. */
static struct str skip_between(struct str text)
{
    size_t i = 0;
    while (i < text.len && (is_space(text.at[i]) || text.at[i] == ',' || text.at[i] == ':'))
        i++;
    return skip(text, i);
}

static size_t string_length(struct str text)
{
    size_t i = 1;
    while (i < text.len && text.at[i] != '"')
        i += text.at[i] == '\\' ? 2 : 1;
    return i + 1;
}

/* Brackets are balanced, so counting them is enough; those inside strings do not count. */
static size_t container_length(struct str text)
{
    size_t open = 0;
    size_t i = 0;
    while (i < text.len) {
        char byte = text.at[i];
        if (byte == '"') {
            i += string_length(skip(text, i));
            continue;
        }
        i++;
        if (byte == '{' || byte == '[')
            open++;
        else if ((byte == '}' || byte == ']') && --open == 0)
            break;
    }
    return i;
}

static size_t scalar_length(struct str text)
{
    size_t i = 0;
    while (i < text.len && !is_space(text.at[i]) && text.at[i] != ',' && text.at[i] != '}' &&
           text.at[i] != ']')
        i++;
    return i;
}

/* Takes one value off the front. */
static bool take(struct str *rest, struct wire_value *ret_value)
{
    *rest = skip_between(*rest);
    if (rest->len == 0 || rest->at[0] == '}' || rest->at[0] == ']')
        return false;
    size_t len;
    switch (rest->at[0]) {
    case '"':
        ret_value->type = WIRE_STRING;
        len = string_length(*rest);
        break;
    case '{':
    case '[':
        ret_value->type = rest->at[0] == '{' ? WIRE_OBJECT : WIRE_ARRAY;
        len = container_length(*rest);
        break;
    default:
        ret_value->type = rest->at[0] == 't' || rest->at[0] == 'f' ? WIRE_BOOL
                          : rest->at[0] == 'n'                     ? WIRE_NULL
                                                                   : WIRE_NUMBER;
        len = scalar_length(*rest);
        break;
    }
    ret_value->raw = str_slice(*rest, 0, len);
    *rest = skip(*rest, len);
    return true;
}

struct wire_walk wire_walk(struct wire_value container)
{
    if (container.type != WIRE_OBJECT && container.type != WIRE_ARRAY)
        return (struct wire_walk){0};
    return (struct wire_walk){.rest = str_slice(container.raw, 1, container.raw.len - 1),
                              .object = container.type == WIRE_OBJECT};
}

bool wire_walk_next(struct wire_walk *walk, struct wire_value *ret_key,
                    struct wire_value *ret_value)
{
    if (walk->object && !take(&walk->rest, ret_key))
        return false;
    return take(&walk->rest, ret_value);
}

bool wire_find(struct wire_value object, const char *name, struct wire_value *ret_value)
{
    if (object.type != WIRE_OBJECT)
        return false;
    struct wire_walk walk = wire_walk(object);
    struct wire_value key = {.type = WIRE_NULL};
    struct wire_value value;
    while (wire_walk_next(&walk, &key, &value)) {
        if (wire_is(key, str_from(name))) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

enum err wire_get_bool(struct wire_value value, bool *ret_value)
{
    if (value.type != WIRE_BOOL)
        return ERR_INPUT;
    *ret_value = value.raw.at[0] == 't';
    return ERR_OK;
}

enum err wire_get_u64(struct wire_value value, uint64_t *ret_value)
{
    /* str_to_u64 takes digits alone, so a sign, a fraction or an exponent is refused by it. */
    if (value.type != WIRE_NUMBER)
        return ERR_INPUT;
    return str_to_u64(value.raw, ret_value);
}

enum err wire_get_u32(struct wire_value value, uint32_t *ret_value)
{
    uint64_t wide;
    if (wire_get_u64(value, &wide) != ERR_OK || wide > UINT32_MAX)
        return ERR_INPUT;
    *ret_value = (uint32_t)wide;
    return ERR_OK;
}

enum err wire_get_i64(struct wire_value value, int64_t *ret_value)
{
    if (value.type != WIRE_NUMBER)
        return ERR_INPUT;
    bool negative = value.raw.at[0] == '-';
    uint64_t magnitude;
    if (str_to_u64(skip(value.raw, negative ? 1 : 0), &magnitude) != ERR_OK)
        return ERR_INPUT;
    if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return ERR_INPUT;
    *ret_value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return ERR_OK;
}

/* ---- fixed point ---- */

#define MILLI_MAX    UINT64_C(9000000000000000)
#define MANTISSA_MAX UINT64_C(100000000000000000) /* one more digit still fits in 64 bits */
#define EXPONENT_MAX 1000

struct decimal { /* mantissa * 10^exponent */
    uint64_t mantissa;
    int32_t exponent;
};

/* Digits beyond the mantissa's room cannot change a result that is in range. */
static size_t read_digits(struct str raw, size_t at, struct decimal *decimal, bool fraction)
{
    for (; at < raw.len && raw.at[at] >= '0' && raw.at[at] <= '9'; at++) {
        if (decimal->mantissa < MANTISSA_MAX) {
            decimal->mantissa = decimal->mantissa * 10 + (uint64_t)(raw.at[at] - '0');
            decimal->exponent -= fraction ? 1 : 0;
        } else if (!fraction && decimal->exponent < EXPONENT_MAX) {
            decimal->exponent++;
        }
    }
    return at;
}

static int32_t read_exponent(struct str raw, size_t at)
{
    bool negative = raw.at[at] == '-';
    int32_t exponent = 0;
    if (raw.at[at] == '-' || raw.at[at] == '+')
        at++;
    for (; at < raw.len && exponent < EXPONENT_MAX; at++)
        exponent = exponent * 10 + (raw.at[at] - '0');
    return negative ? -exponent : exponent;
}

static bool decimal_scale(struct decimal decimal, uint64_t *ret_value)
{
    uint64_t value = decimal.mantissa;
    unsigned last = 0;
    for (; decimal.exponent > 0 && value != 0; decimal.exponent--) {
        if (value > MILLI_MAX)
            return false;
        value *= 10;
    }
    for (; decimal.exponent < 0 && (value != 0 || last != 0); decimal.exponent++) {
        last = (unsigned)(value % 10);
        value /= 10;
    }
    *ret_value = value + (last >= 5);
    return *ret_value <= MILLI_MAX;
}

static enum err get_fixed(struct wire_value value, int32_t digits, int64_t *ret_fixed)
{
    if (value.type != WIRE_NUMBER)
        return ERR_INPUT;
    struct str raw = value.raw;
    struct decimal decimal = {.exponent = digits};
    bool negative = raw.at[0] == '-';
    size_t at = read_digits(raw, negative ? 1 : 0, &decimal, false);
    if (at < raw.len && raw.at[at] == '.')
        at = read_digits(raw, at + 1, &decimal, true);
    if (at < raw.len)
        decimal.exponent += read_exponent(raw, at + 1);
    uint64_t fixed;
    if (!decimal_scale(decimal, &fixed))
        return ERR_INPUT;
    *ret_fixed = negative ? -(int64_t)fixed : (int64_t)fixed;
    return ERR_OK;
}

enum err wire_get_milli(struct wire_value value, int64_t *ret_milli)
{
    return get_fixed(value, 3, ret_milli);
}

enum err wire_get_micro(struct wire_value value, int64_t *ret_micro)
{
    return get_fixed(value, 6, ret_micro);
}
