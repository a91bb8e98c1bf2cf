/* machine/window room: the cafe room behind the window, and the weather before it, for the twin,
 * for tests, and for judging controllers.
 *
 * Pure and deterministic: the same seed, openings and steps give the same room, on every target.
 * Freestanding; doubles inside.  Everything it says is simulated and must be shown as such.
 *
 * One air node with moisture and CO2, one node for what is heavy (walls, floor, furniture), sound
 * as a sum of levels.  Formulas and where they come from are numbered in docs/window.md and named
 * in window_room.c.  Times: ms since midnight of day 0; the clock on the wall is local time. */
#ifndef AUTOMAT_MACHINE_WINDOW_ROOM_H
#define AUTOMAT_MACHINE_WINDOW_ROOM_H

#include "base/base.h"

#define WINDOW_HOUR_MS 3600000ULL
#define WINDOW_DAY_MS  (24 * WINDOW_HOUR_MS)
/* RMS 1.0 of the microphone's full scale is this level: 94 dB is the usual calibrator. */
#define WINDOW_ROOM_FULL_SCALE_DB 94.0

/* ---- weather: a function of seed and time, so that any hour can be asked in any order ---- */

struct window_weather {
    uint64_t seed;
    uint32_t day_of_year; /* of day 0: 0 is 1 January; 365 days a year */
};
/* The seed chooses the day of the year too, evenly: 0, 1, 2, ... are independent of each other, so
 * a range of seeds to train on and another to test on is an honest split. */
void window_weather_init(struct window_weather *weather, uint64_t seed);
/* The same weather pattern on a day of one's choice (taken modulo 365). */
void window_weather_init_day(struct window_weather *weather, uint64_t seed, uint32_t day_of_year);

struct window_outside {
    double temperature_c, humidity_pct;
    double wind_m_s;
    double cloud;    /* 0 clear .. 1 overcast */
    double sun_w_m2; /* on a horizontal square metre */
    bool rain;
    double street_db; /* before the facade, dB(A), without single passers-by */
};
struct window_outside window_weather_at(const struct window_weather *weather, uint64_t now_ms);

/* ---- the room ---- */

/* Zero means the value in brackets. */
struct window_room_options {
    double volume_m3;       /* [240] 80 m2, 3 m high */
    double window_m2;       /* [2.0] free area at 100 % */
    double window_height_m; /* [1.2] of the opening */
    double envelope_w_k;    /* [110] transmission, walls and glass */
    double air_j_k;         /* [1.2e6] air and what is light */
    double mass_j_k;        /* [2.4e7] what is heavy */
    double mass_w_k;        /* [700] between the two */
    double glass_m2;        /* [4] times the pane's g-value: what the sun comes in by */
    double infiltration_h;  /* [0.3] air changes an hour with the window shut */
    double moisture_buffer; /* [3] how much more vapour than the air alone the room takes up */
    double equipment_w;     /* [1,000] machines and lamps while open; a tenth at night */
    double heater_w_max;    /* [6,000] */
    double setpoint_c;      /* [21.5] from an hour before opening; 17 at night */
    double absorption_m2;   /* [90] of sound */
    uint32_t capacity;      /* [30] people */
    uint32_t open_hour, close_hour; /* [7, 19] */
    double crowd; /* [by seed, 0.6..1.4] how busy against the usual day; below 0: nobody */
};

/* In the caller's storage; copyable.  Read what is above the line. */
struct window_room {
    uint64_t now_ms;
    double opening;       /* 0..1, in the last step */
    double temperature_c; /* air */
    double mass_c;        /* what is heavy */
    double humidity_pct;  /* relative */
    double co2_ppm;
    double sound_db;     /* dB(A), everything together, mean of the last step */
    double sound_volume; /* the same as RMS of the microphone's full scale, 0..1 */
    double street_in_db; /* the street's part of it */
    uint32_t people;
    bool open;       /* the cafe: only then comfort counts */
    double air_m3_s; /* exchanged with outside */
    double heating_w;
    struct window_outside outside;
    /* since the start */
    double heating_j;      /* by the heater alone */
    double heat_in_j;      /* all heat into air and mass, less what left: equals what they store */
    double moisture_in_kg; /* the same for vapour, after what condensed */
    /* ---- */
    struct window_room_options options;
    struct window_weather weather;
    struct rng rng;
    double vapour; /* kg vapour a kg dry air */
    double heat_start_j;
    double machine_s;  /* how long a coffee machine will be heard */
    double passing_db; /* somebody, or something, passes in the street */
    double passing_s;
};

/* Starts at `hour` (0..23) of day 0, after a night with the window shut: everything in balance
 * enough that the first hour is no artefact.  `options` NULL: all presets. */
void window_room_init(struct window_room *room, const struct window_weather *weather, uint64_t seed,
                      uint32_t hour, const struct window_room_options *options);
/* `opening` (0..1, share of the free area) is held for `dt_ms`; any length, at most 10 s at once
 * inside. */
void window_room_step(struct window_room *room, double opening, uint32_t dt_ms);

/* Air through the opening, m3/s: what leaks when shut, and what the open part adds. */
double window_room_air_m3_s(const struct window_room_options *options, double opening,
                            double wind_m_s, double difference_k);
/* Relative humidity, %, of air that holds `vapour` kg a kg dry air; and back. */
double window_room_humidity(double temperature_c, double vapour);
double window_room_vapour(double temperature_c, double humidity_pct);

/* What the sensors of the board would say: noise of usual cheap ones, seeded by the caller. */
struct window_sense {
    double temperature_c; /* +-0.05 */
    double humidity_pct;  /* +-0.5 */
    double sound_volume;  /* RMS, 0..1 */
};
struct window_sense window_room_sense(const struct window_room *room, struct rng *rng);

/* ---- comfort ---- */

/* In comfort: 20.5-24 C, 30-60 % relative humidity, less than 1,000 ppm CO2, less than 70 dB(A). */
#define WINDOW_COMFORT_MIN_C    20.5
#define WINDOW_COMFORT_MAX_C    24.0
#define WINDOW_COMFORT_MIN_PCT  30.0
#define WINDOW_COMFORT_MAX_PCT  60.0
#define WINDOW_COMFORT_CO2_PPM  1000.0
#define WINDOW_COMFORT_SOUND_DB 70.0

struct window_comfort {
    bool counts; /* the cafe is open; nobody minds at night */
    bool temperature, humidity, co2, sound, all;
    /* 0: all within; 1: as bad as we count.  0.40 temperature (full at 3 K outside), 0.10 humidity
     * (20 points), 0.35 CO2 (1,000 ppm), 0.15 sound (10 dB). */
    double cost;
};
struct window_comfort window_room_comfort(const struct window_room *room);

/* A whole judgement: add after every step. */
struct window_comfort_total {
    double counted_s, all_s, temperature_s, humidity_s, co2_s, sound_s;
    double cost_s; /* cost times seconds */
};
void window_comfort_add(struct window_comfort_total *total, const struct window_room *room,
                        uint32_t dt_ms);
/* Share of the counted time with everything in comfort, 0..1; 0 when nothing was counted. */
double window_comfort_share(const struct window_comfort_total *total);

/* ---- sound of a room as samples ---- */

/* 16-bit PCM, noise with the spectrum of a room (low frequencies stronger), whose RMS is
 * `sound_volume` within a few per cent.  Copyable: a copy makes the same samples again. */
struct window_audio {
    uint64_t seed;
    double scale, low, lower; /* filter's memory */
    uint32_t left;            /* samples still to come */
    uint8_t pending[3];       /* bytes that wait for a whole group of base64 */
    uint8_t pending_len;
};
#define WINDOW_AUDIO_RATE_HZ    16000
#define WINDOW_AUDIO_SAMPLES    32000 /* 2 s */
#define WINDOW_AUDIO_TEXT_BYTES ((WINDOW_AUDIO_SAMPLES * 2 + 2) / 3 * 4)
void window_audio_init(struct window_audio *audio, double sound_volume, uint64_t seed);
int16_t window_audio_next(struct window_audio *audio); /* 0 after the last */
/* Base64 of little-endian samples, in pieces: the next bytes, a multiple of four, 0 after the last.
 * `dst_bytes` at least 4. */
size_t window_audio_base64(struct window_audio *audio, char *dst, size_t dst_bytes);

#endif
