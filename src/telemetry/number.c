/* Decimal numbers as JSON spells them.  strtod would follow the locale, and take "nan", "0x1p3" and
 * " 1". */
#include "telemetry/telemetry_parse_int.h"

#include <float.h>

#define MANTISSA_DIGITS 19 /* always fit into 64 bits */
#define EXPONENT_MAX    400

struct decimal {
    uint64_t mantissa;
    int64_t exponent; /* of ten */
    uint32_t digits;  /* in the mantissa, leading zeros not counted */
    bool negative;
};

static bool is_digit(struct str text, size_t at)
{
    return at < text.len && text.at[at] >= '0' && text.at[at] <= '9';
}

/* Digits from *at on; how many there were. */
static size_t take_digits(struct decimal *decimal, struct str text, size_t *at, bool fraction)
{
    size_t count = 0;
    for (; is_digit(text, *at); (*at)++, count++) {
        if (decimal->digits < MANTISSA_DIGITS) {
            decimal->mantissa = decimal->mantissa * 10 + (uint64_t)(text.at[*at] - '0');
            decimal->digits += decimal->mantissa != 0;
            decimal->exponent -= fraction;
        } else {
            decimal->exponent += !fraction; /* too fine to matter, but it holds a place */
        }
    }
    return count;
}

static bool take_exponent(struct decimal *decimal, struct str text, size_t *at)
{
    if (*at == text.len || (text.at[*at] != 'e' && text.at[*at] != 'E'))
        return true;
    (*at)++;
    bool negative = *at < text.len && text.at[*at] == '-';
    if (negative || (*at < text.len && text.at[*at] == '+'))
        (*at)++;
    int64_t value = 0;
    size_t first = *at;
    for (; is_digit(text, *at); (*at)++)
        if (value < 1000000)
            value = value * 10 + (text.at[*at] - '0');
    decimal->exponent += negative ? -value : value;
    return *at > first;
}

static bool take(struct decimal *decimal, struct str text)
{
    size_t at = 0;
    if (at < text.len && text.at[at] == '-') {
        decimal->negative = true;
        at++;
    }
    bool zero_first = at < text.len && text.at[at] == '0';
    size_t whole = take_digits(decimal, text, &at, false);
    if (whole == 0 || (zero_first && whole > 1))
        return false;
    if (at < text.len && text.at[at] == '.') {
        at++;
        if (take_digits(decimal, text, &at, true) == 0)
            return false;
    }
    return take_exponent(decimal, text, &at) && at == text.len;
}

/* A mantissa below 2^53 and a power of ten below 10^23 are doubles themselves, so one operation on
 * them is rounded once: the nearest double.  Every reading of a sensor goes this way. */
static bool scale_exact(const struct decimal *decimal, double *ret_value)
{
    static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (decimal->mantissa > ((uint64_t)1 << DBL_MANT_DIG) || decimal->exponent < -22 ||
        decimal->exponent > 22)
        return false;
    double mantissa = (double)decimal->mantissa;
    *ret_value = decimal->exponent < 0 ? mantissa / power[-decimal->exponent]
                                       : mantissa * power[decimal->exponent];
    return true;
}

/* The rest: within a unit in the last place. */
static bool scale_wide(const struct decimal *decimal, double *ret_value)
{
    long double value = (long double)decimal->mantissa;
    int64_t exponent = decimal->exponent;
    if (exponent < -EXPONENT_MAX)
        exponent = -EXPONENT_MAX; /* nothing is left of it anyway */
    if (exponent > EXPONENT_MAX)
        return false;
    for (; exponent >= 10; exponent -= 10)
        value *= 1e10L;
    for (; exponent > 0; exponent--)
        value *= 10.0L;
    for (; exponent <= -10; exponent += 10)
        value /= 1e10L;
    for (; exponent < 0; exponent++)
        value /= 10.0L;
    if (value > (long double)DBL_MAX)
        return false;
    *ret_value = (double)value;
    return true;
}

enum telemetry_number telemetry_number_parse(struct str text, double *ret_value)
{
    struct decimal decimal = {0};
    double value = 0;
    if (!take(&decimal, text))
        return TELEMETRY_NUMBER_MALFORMED;
    if (decimal.mantissa != 0 && !scale_exact(&decimal, &value) && !scale_wide(&decimal, &value))
        return TELEMETRY_NUMBER_TOO_LARGE;
    *ret_value = decimal.negative && value > 0 ? -value : value;
    return TELEMETRY_NUMBER_OK;
}
