/* People and sound.
 *
 * (5) People come as a Poisson process whose rate follows the hour, and each stays an exponential
 *     time, 40 min in the mean
 * (6) Speech of a room full of people, who talk louder the more talk (Rindel 2010):
 *         L = 93 - 20 lg(g A / N) dB, g = 3.5 people a speaker, A absorption in m2, N people
 * (7) The street comes in through the facade: 30 dB less with the window shut, 10 dB less with it
 *     wide open, between them by open area: 15 dB at a third, as WHO's guidelines for community
 * noise count with for a window that is slightly open */
#include "machine/window/window_math_int.h"
#include "machine/window/window_room_int.h"

#define STAY_S        2400.0
#define STAY_CLOSED_S 300.0
#define SHUT_DB       30.0
#define OPEN_DB       10.0
#define MACHINE_DB    62.0
#define MACHINE_S     25.0
#define QUIET_DB      34.0 /* refrigerators */
#define GROUP         3.5

/* Guests an hour on a usual day. */
static const double arrivals_h[24] = {0,  0,  0,  0,  0,  0,  0, 12, 22, 17, 14, 13,
                                      20, 21, 16, 18, 18, 13, 6, 0,  0,  0,  0,  0};

static double level_power(double db)
{
    return window_math_exp(db * 0.23025850929940457); /* 10^(db/10) */
}

static double power_level(double power)
{
    return power > 1e-12 ? window_math_log(power) / 0.23025850929940457 : -120.0;
}

void window_room_people(struct window_room *room, double dt_s)
{
    double hour = (double)(room->now_ms % WINDOW_DAY_MS) / (double)WINDOW_HOUR_MS;
    uint32_t at = (uint32_t)hour;
    bool open = at >= room->options.open_hour && at < room->options.close_hour;
    double crowd = room->options.crowd > 0.0 ? room->options.crowd : 0.0;
    double rate_s = open ? arrivals_h[at % 24] * crowd / 3600.0 : 0.0;
    if (!(dt_s > 0.0)) { /* as many as the hour has in the mean */
        room->people = (uint32_t)(rate_s * STAY_S + 0.5);
        return;
    }
    uint32_t leaving = 0;
    double leave = 1.0 - window_math_exp(-dt_s / (open ? STAY_S : STAY_CLOSED_S));
    for (uint32_t i = 0; i < room->people; i++)
        leaving += rng_chance(&room->rng, leave) ? 1 : 0;
    room->people -= leaving;
    /* More than one within a step of some seconds is rare enough to leave to the next one. */
    if (rng_chance(&room->rng, 1.0 - window_math_exp(-rate_s * dt_s)) &&
        room->people < room->options.capacity) {
        room->people++;
        room->machine_s += MACHINE_S;
    }
    room->machine_s = room->machine_s > dt_s ? room->machine_s - dt_s : 0.0;
}

/* A lorry, a tram, a group that laughs. */
static void street_passing(struct window_room *room, double dt_s)
{
    if (room->passing_s > 0.0) {
        room->passing_s -= dt_s;
        return;
    }
    room->passing_db = 0.0;
    if (!rng_chance(&room->rng, 1.0 - window_math_exp(-dt_s / 180.0)))
        return;
    room->passing_db = 4.0 + 8.0 * rng_unit(&room->rng);
    room->passing_s = 4.0 + 12.0 * rng_unit(&room->rng);
}

static double speech_db(const struct window_room *room)
{
    double speakers_m2 = GROUP * room->options.absorption_m2 / (double)room->people;
    double db = 93.0 - 20.0 * power_level(speakers_m2) / 10.0;
    return db > 30.0 ? db : 30.0;
}

void window_room_sound(struct window_room *room, double dt_s)
{
    street_passing(room, dt_s);
    double shut = level_power(-SHUT_DB);
    double through = shut + (level_power(-OPEN_DB) - shut) * room->opening;
    room->street_in_db = room->outside.street_db + room->passing_db + power_level(through);
    double power = level_power(QUIET_DB) + level_power(room->street_in_db);
    if (room->people > 0)
        power += level_power(speech_db(room) + 2.0 * (rng_unit(&room->rng) - 0.5));
    if (room->machine_s > 0.0)
        power += level_power(MACHINE_DB);
    room->sound_db = power_level(power);
    double volume =
        window_math_exp((room->sound_db - WINDOW_ROOM_FULL_SCALE_DB) * 0.11512925464970229);
    room->sound_volume = volume < 1.0 ? volume : 1.0;
}

struct window_sense window_room_sense(const struct window_room *room, struct rng *rng)
{
    return (struct window_sense){
        .temperature_c = room->temperature_c + 0.1 * (rng_unit(rng) - 0.5),
        .humidity_pct =
            window_math_clamp(room->humidity_pct + 1.0 * (rng_unit(rng) - 0.5), 0.0, 100.0),
        .sound_volume =
            window_math_clamp(room->sound_volume * (1.0 + 0.06 * (rng_unit(rng) - 0.5)), 0.0, 1.0),
    };
}
