/* The types we know, and the names of things. */
#include "telemetry/telemetry_parse_int.h"

#include <string.h>

/* Ranges: what the sensors that people use can say (temperature, humidity, pressure: DHT22 and
 * BME280 together; co2: SCD30, MH-Z19; current: ACS712-30A; illuminance: BH1750 and sunlight). */
static const struct telemetry_type types[] = {
    {"temperature", "C", -40, 85, 1},
    {"humidity", "%", 0, 100, 1},
    {"sound_volume", "FS", 0, 1, 4},
    {"sound_dbfs", "dBFS", -144, 0, 1},
    {"pressure", "hPa", 300, 1100, 1},
    {"co2", "ppm", 0, 40000, 0},
    {"voc_index", "", 0, 500, 0},
    {"pm25", "ug/m3", 0, 1000, 1},
    {"illuminance", "lx", 0, 200000, 0},
    {"position", "%", 0, 100, 1},
    {"target", "%", 0, 100, 1},
    {"current", "mA", -30000, 30000, 0},
    {"voltage", "V", -1000, 1000, 2},
    {"power", "W", -100000, 100000, 1},
    {"energy", "Wh", 0, 1e9, 1},
    {"battery", "%", 0, 100, 0},
    {"rssi", "dBm", -150, 20, 0},
    {"people", "", 0, 1000, 0},
    {"presence", "", 0, 1, 0},
    {"outside_temperature", "C", -60, 60, 1},
    {"outside_humidity", "%", 0, 100, 1},
    {"wind", "m/s", 0, 120, 1},
    {"rain", "mm/h", 0, 500, 1},
    {"heating", "%", 0, 100, 0},
    {"motor_temperature", "C", -40, 200, 1},
    {"uptime", "s", 0, 1e10, 0},
};

const struct telemetry_type *telemetry_type_at(size_t index)
{
    return index < ARRAY_COUNT(types) ? &types[index] : NULL;
}

const struct telemetry_type *telemetry_type_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_COUNT(types) && name.len > 0; i++)
        if (types[i].name[0] == name.at[0] && strlen(types[i].name) == name.len &&
            memcmp(types[i].name, name.at, name.len) == 0)
            return &types[i];
    return NULL;
}

const char *telemetry_provenance_name(enum telemetry_provenance provenance)
{
    switch (provenance) {
    case TELEMETRY_MEASURED:
        return "measured";
    case TELEMETRY_SIMULATED:
        return "simulated";
    case TELEMETRY_ESTIMATED:
        return "estimated";
    default:
        return "unknown";
    }
}

const char *telemetry_refusal_code(enum telemetry_refusal refusal)
{
    static const char *const code[TELEMETRY_REFUSAL_COUNT] = {
        [TELEMETRY_ACCEPTED] = "accepted",         [TELEMETRY_BAD_TYPE] = "bad_type",
        [TELEMETRY_BAD_NUMBER] = "bad_number",     [TELEMETRY_BAD_JSON] = "bad_json",
        [TELEMETRY_OUT_OF_RANGE] = "out_of_range", [TELEMETRY_FUTURE] = "from_the_future",
        [TELEMETRY_TOO_OLD] = "too_old",           [TELEMETRY_BAD_AUDIO] = "bad_audio",
        [TELEMETRY_TOO_MANY] = "too_many_series",
    };
    return (unsigned)refusal < TELEMETRY_REFUSAL_COUNT ? code[refusal] : "unknown";
}

static const char *const resolution_names[] = {
    [TELEMETRY_AUTO] = "auto", [TELEMETRY_RAW] = "raw", [TELEMETRY_5MIN] = "5m",
    [TELEMETRY_HOUR] = "1h",   [TELEMETRY_DAY] = "1d",
};

const char *telemetry_resolution_name(enum telemetry_resolution resolution)
{
    return (unsigned)resolution < ARRAY_COUNT(resolution_names) ? resolution_names[resolution]
                                                                : "unknown";
}

bool telemetry_resolution_parse(struct str text, enum telemetry_resolution *ret_resolution)
{
    for (size_t i = 0; i < ARRAY_COUNT(resolution_names); i++)
        if (str_equal(text, str_from(resolution_names[i]))) {
            *ret_resolution = (enum telemetry_resolution)i;
            return true;
        }
    return false;
}
