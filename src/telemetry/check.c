/* What every reading must be, wherever it came from. */
#include "telemetry/telemetry_parse_int.h"

#include <math.h>
#include <stdio.h>

void telemetry_why(char why[TELEMETRY_WHY_BYTES], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, TELEMETRY_WHY_BYTES, format, args);
    va_end(args);
    for (char *c = why; *c != '\0'; c++)
        if (*c < 0x20 || *c > 0x7E)
            *c = '?';
}

enum telemetry_refusal telemetry_type_check(struct str type, char why[TELEMETRY_WHY_BYTES])
{
    bool good = type.len > 0 && type.len < TELEMETRY_TYPE_BYTES;
    for (size_t i = 0; good && i < type.len; i++) {
        char c = type.at[i];
        good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    }
    if (good)
        return TELEMETRY_ACCEPTED;
    int shown = (int)(type.len < 40 ? type.len : 40);
    telemetry_why(why, "'%.*s' is no type: 1 to 32 of a-z, 0-9 and _.", shown,
                  type.len > 0 ? type.at : "");
    return TELEMETRY_BAD_TYPE;
}

static enum telemetry_refusal check_number(const struct telemetry_reading *reading,
                                           char why[TELEMETRY_WHY_BYTES])
{
    if (!isfinite(reading->value)) {
        telemetry_why(why, "%s is not a finite number.", reading->type);
        return TELEMETRY_BAD_NUMBER;
    }
    const struct telemetry_type *type = telemetry_type_find(str_from(reading->type));
    double min = type != NULL ? type->min : -TELEMETRY_VALUE_MAX;
    double max = type != NULL ? type->max : TELEMETRY_VALUE_MAX;
    if (reading->value >= min && reading->value <= max)
        return TELEMETRY_ACCEPTED;
    telemetry_why(why, "%s is %.6g%s%s; it can be %.6g to %.6g.", reading->type, reading->value,
                  type != NULL ? " " : "", type != NULL ? type->unit : "", min, max);
    return TELEMETRY_OUT_OF_RANGE;
}

enum telemetry_refusal telemetry_value_check(const struct telemetry_reading *reading,
                                             int64_t now_ms, char why[TELEMETRY_WHY_BYTES])
{
    struct str type = str_from(reading->type);
    enum telemetry_refusal refusal = telemetry_type_check(type, why);
    if (refusal == TELEMETRY_ACCEPTED &&
        (str_equal(type, STR("readings")) || str_equal(type, STR("audio")))) {
        telemetry_why(why, "'%s' is the name of a message, not of a reading.", reading->type);
        refusal = TELEMETRY_BAD_TYPE;
    }
    if (refusal == TELEMETRY_ACCEPTED)
        refusal = check_number(reading, why);
    if (refusal != TELEMETRY_ACCEPTED)
        return refusal;
    if (reading->at_ms > now_ms + TELEMETRY_FUTURE_MS) {
        char at[TIME_TEXT_BYTES];
        time_text(reading->at_ms, at);
        telemetry_why(why, "at is %s, more than 5 min after the server's time.", at);
        return TELEMETRY_FUTURE;
    }
    if (reading->at_ms < 0) {
        telemetry_why(why, "at is before 1970.");
        return TELEMETRY_TOO_OLD;
    }
    return TELEMETRY_ACCEPTED;
}
