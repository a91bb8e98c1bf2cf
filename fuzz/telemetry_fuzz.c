/* rooms: telemetry sys base */
/* A payload of sensor/{machine}/{type}: the first line of the input is the type.  What is accepted
 * must be what the store may keep; what is refused says why in printable words. */
#include "telemetry/telemetry_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NOW ((int64_t)1800000000000)

static void must(bool fact)
{
    if (!fact)
        abort();
}

static void check_accepted(const struct telemetry_reading *readings, uint32_t count)
{
    must(count > 0 && count <= TELEMETRY_READINGS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const struct telemetry_type *type = telemetry_type_find(str_from(readings[i].type));
        must(isfinite(readings[i].value));
        must(type == NULL || (readings[i].value >= type->min && readings[i].value <= type->max));
        must(readings[i].at_ms >= 0 && readings[i].at_ms <= NOW + 5 * 60000);
        must(strlen(readings[i].type) > 0);
    }
}

static void check_rows(const uint8_t *bytes, size_t len)
{
    for (int table = 0; table < TELEMETRY_SINK_TABLE_COUNT; table++) {
        struct str left = {(const char *)bytes, len};
        struct telemetry_outbox_row row;
        while (telemetry_outbox_decode(&left, (enum telemetry_sink_table)table, &row) == ERR_OK)
            ;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct str input = {(const char *)bytes, len};
    struct telemetry_reading readings[TELEMETRY_READINGS_MAX];
    uint32_t count = 0;
    char why[TELEMETRY_WHY_BYTES];
    size_t line = str_find(input, '\n');
    struct str type = str_slice(input, 0, line);
    struct str payload = str_slice(input, line + 1, len);
    enum telemetry_refusal refusal = telemetry_parse(type, payload, NOW, readings, &count, why);
    if (refusal == TELEMETRY_ACCEPTED)
        check_accepted(readings, count);
    else
        must(why[0] != '\0' && utf8_valid(str_from(why)));
    check_rows(bytes, len);
    return 0;
}
