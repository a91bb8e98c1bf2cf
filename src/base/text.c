#include "base/base.h"

void text_init(struct text *text, char *storage, size_t bytes)
{
    ASSERT(bytes > 0);
    *text = (struct text){.at = storage, .cap = bytes};
    text->at[0] = '\0';
}

/* A piece that does not fit is left out whole, and nothing follows it: half a number would be a
 * wrong number. */
void text_add(struct text *text, struct str add)
{
    if (text->overflow || add.len > text->cap - 1 - text->len) {
        text->overflow = true;
        return;
    }
    base_copy(text->at + text->len, add.at, add.len);
    text->len += add.len;
    text->at[text->len] = '\0';
}

void text_add_char(struct text *text, char c)
{
    text_add(text, (struct str){&c, 1});
}

/* value / 10 in shifts and adds: a 32-bit board has no 64-bit division without its compiler's
 * library. */
static uint64_t tenth(uint64_t value)
{
    uint64_t q = (value >> 1) + (value >> 2);
    q += q >> 4;
    q += q >> 8;
    q += q >> 16;
    q += q >> 32;
    q >>= 3;
    uint64_t rest = value - ((q << 3) + (q << 1));
    return q + (rest > 9);
}

#define DIGITS_MAX 20 /* of 2^64 - 1 */

/* Digits at the end of `storage`, at least `least` of them. */
static struct str digits_of(uint64_t value, unsigned least, char storage[DIGITS_MAX])
{
    size_t at = DIGITS_MAX;
    unsigned count = 0;
    while (value > 0 || count < least) {
        uint64_t q = tenth(value);
        storage[--at] = (char)('0' + (int)(value - ((q << 3) + (q << 1))));
        value = q;
        count++;
    }
    return (struct str){storage + at, DIGITS_MAX - at};
}

static uint64_t magnitude(int64_t value)
{
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

void text_add_u64(struct text *text, uint64_t value)
{
    char storage[DIGITS_MAX];
    text_add(text, digits_of(value, 1, storage));
}

void text_add_i64(struct text *text, int64_t value)
{
    text_add_fixed(text, value, 0);
}

void text_add_fixed(struct text *text, int64_t value, unsigned digits)
{
    char storage[DIGITS_MAX];
    char whole[DIGITS_MAX + 2]; /* sign, digits, point */
    size_t len = 0;
    ASSERT(digits < DIGITS_MAX);
    struct str number = digits_of(magnitude(value), digits + 1, storage);
    size_t before = number.len - digits;
    if (value < 0)
        whole[len++] = '-';
    base_copy(whole + len, number.at, before);
    len += before;
    if (digits > 0) {
        whole[len++] = '.';
        base_copy(whole + len, number.at + before, digits);
        len += digits;
    }
    text_add(text, (struct str){whole, len});
}
