/* Weather of a temperate town as smooth noise around the year and the day.  Not a forecast of any
 * place: it has the ranges, the rhythm and the persistence that a window has to cope with. */
#include "machine/window/window_math_int.h"
#include "machine/window/window_room.h"

enum channel { DAY, SYNOPTIC, SYNOPTIC_FINE, CLOUD, CLOUD_FINE, DEW, WIND, WIND_FINE, STREET };

/* Mean of the year and half its swing: about Frankfurt or Vienna. */
#define YEAR_MEAN_C  10.5
#define YEAR_SWING_C 9.5
#define COLDEST_DAY  18
#define LATITUDE_RAD (50.0 * WINDOW_PI / 180.0)

/* splitmix64: any (seed, channel, index) has its own draw, without a state. */
static double draw(uint64_t seed, enum channel channel, int64_t index)
{
    uint64_t z = seed * 0x9e3779b97f4a7c15ULL + (uint64_t)channel * 0xd1b54a32d192ed03ULL +
                 (uint64_t)index * 0x8cb92ba72f3d8dd7ULL + 0x632be59bd9b4e019ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    z ^= z >> 31;
    return (double)(z >> 11) / 9007199254740992.0; /* [0, 1) */
}

/* Smooth noise in -1..1 that forgets after `period_ms`. */
static double noise(uint64_t seed, enum channel channel, uint64_t now_ms, uint64_t period_ms)
{
    int64_t index = (int64_t)(now_ms / period_ms);
    double part = (double)(now_ms % period_ms) / (double)period_ms;
    double a = 2.0 * draw(seed, channel, index) - 1.0;
    double b = 2.0 * draw(seed, channel, index + 1) - 1.0;
    double s = part * part * (3.0 - 2.0 * part);
    return a + (b - a) * s;
}

void window_weather_init(struct window_weather *weather, uint64_t seed)
{
    window_weather_init_day(weather, seed, (uint32_t)(draw(seed, DAY, 0) * 365.0));
}

void window_weather_init_day(struct window_weather *weather, uint64_t seed, uint32_t day_of_year)
{
    weather->seed = seed;
    weather->day_of_year = day_of_year % 365;
}

static double day_of(const struct window_weather *weather, uint64_t now_ms)
{
    return weather->day_of_year + (double)now_ms / (double)WINDOW_DAY_MS;
}

/* Solar elevation: declination by Cooper (1969), hour angle from local time. */
static double sun_sine(double day, double hour)
{
    double declination =
        23.45 * WINDOW_PI / 180.0 * window_math_sin(2.0 * WINDOW_PI * (284.0 + day) / 365.0);
    double angle = (hour - 12.5) * WINDOW_PI / 12.0;
    double sine =
        window_math_sin(LATITUDE_RAD) * window_math_sin(declination) +
        window_math_cos(LATITUDE_RAD) * window_math_cos(declination) * window_math_cos(angle);
    return sine > 0.0 ? sine : 0.0;
}

/* Kasten and Czeplak (1980): clear sky 910 sin h - 30, less three quarters under full cloud. */
static double sun_w_m2(double sine, double cloud)
{
    double clear = 910.0 * sine - 30.0;
    return clear > 0.0 ? clear * (1.0 - 0.75 * window_math_pow(cloud, 3.4)) : 0.0;
}

/* A street with traffic: quiet at night, loudest when people go to work and come home. */
static double street_db(uint64_t seed, uint64_t now_ms, double hour, bool rain)
{
    static const double level[24] = {52, 50, 49, 49, 51, 56, 62, 66, 68, 66, 65, 65,
                                     66, 66, 65, 66, 68, 69, 67, 64, 62, 60, 57, 54};
    uint32_t at = (uint32_t)hour % 24;
    double part = hour - (double)(uint32_t)hour;
    double db = level[at] + (level[(at + 1) % 24] - level[at]) * part;
    db += 3.0 * noise(seed, STREET, now_ms, WINDOW_HOUR_MS / 3);
    return rain ? db + 2.0 : db;
}

struct window_outside window_weather_at(const struct window_weather *weather, uint64_t now_ms)
{
    uint64_t seed = weather->seed;
    double day = day_of(weather, now_ms);
    double hour = (double)(now_ms % WINDOW_DAY_MS) / (double)WINDOW_HOUR_MS;
    double warm = -window_math_cos(2.0 * WINDOW_PI * (day - COLDEST_DAY) / 365.0); /* -1..1 */
    struct window_outside out = {.rain = false};

    out.cloud = window_math_clamp(0.55 + 0.6 * noise(seed, CLOUD, now_ms, 20 * WINDOW_HOUR_MS) +
                                      0.25 * noise(seed, CLOUD_FINE, now_ms, 3 * WINDOW_HOUR_MS),
                                  0.0, 1.0);
    /* Warmest at 15 h; clear days swing more, and summer's more than winter's. */
    double swing = (2.5 + 2.0 * (warm + 1.0) / 2.0) * (1.35 - 0.7 * out.cloud);
    out.temperature_c = YEAR_MEAN_C + YEAR_SWING_C * warm +
                        5.0 * noise(seed, SYNOPTIC, now_ms, 60 * WINDOW_HOUR_MS) +
                        1.2 * noise(seed, SYNOPTIC_FINE, now_ms, 7 * WINDOW_HOUR_MS) +
                        swing * window_math_cos((hour - 15.0) * WINDOW_PI / 12.0);
    /* The air's vapour follows the day's mean, not its hour: the dew point stays while it warms. */
    double dew_c = YEAR_MEAN_C + YEAR_SWING_C * warm +
                   5.0 * noise(seed, SYNOPTIC, now_ms, 60 * WINDOW_HOUR_MS) - 4.5 - 1.5 * warm +
                   3.0 * noise(seed, DEW, now_ms, 30 * WINDOW_HOUR_MS);
    double vapour = window_room_vapour(dew_c, 100.0);
    out.humidity_pct =
        window_math_clamp(window_room_humidity(out.temperature_c, vapour), 15.0, 100.0);
    out.wind_m_s = window_math_clamp(2.6 + 2.2 * noise(seed, WIND, now_ms, 18 * WINDOW_HOUR_MS) +
                                         1.0 * noise(seed, WIND_FINE, now_ms, WINDOW_HOUR_MS / 4) +
                                         0.7 * window_math_cos((hour - 14.0) * WINDOW_PI / 12.0),
                                     0.2, 12.0);
    out.sun_w_m2 = sun_w_m2(sun_sine(day, hour), out.cloud);
    out.rain = out.cloud > 0.9 && out.humidity_pct > 70.0;
    out.street_db = street_db(seed, now_ms, hour, out.rain);
    return out;
}
