/* The room behind the window: what is conserved, which way things go, and that a seed is a room. */
#include <string.h>

#include "kit/kit.h"
#include "machine/window/window_room.h"

static double size_of(double value)
{
    return value < 0.0 ? -value : value;
}

static double between(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

static const struct window_room_options nobody = {.crowd = -1.0};

static struct window_room room_at(uint64_t seed, uint32_t day, uint32_t hour,
                                  const struct window_room_options *options)
{
    struct window_weather weather;
    struct window_room room;
    window_weather_init_day(&weather, seed, day);
    window_room_init(&room, &weather, seed, hour, options);
    return room;
}

static void run(struct window_room *room, double opening, uint32_t minutes)
{
    for (uint32_t i = 0; i < minutes * 6; i++)
        window_room_step(room, opening, 10000);
}

/* ---- conservation ---- */

TEST(heat_that_came_in_is_heat_that_is_there)
{
    for (uint64_t seed = 0; seed < 12; seed++) {
        NOTE("seed %u", (unsigned)seed);
        struct window_room room = room_at(seed, (uint32_t)seed * 30, 9, NULL);
        struct window_room before = room;
        for (uint32_t i = 0; i < 500; i++)
            window_room_step(&room, (double)(i % 11) / 10.0, 1 + i % 10000);
        double stored = room.options.air_j_k * (room.temperature_c - before.temperature_c) +
                        room.options.mass_j_k * (room.mass_c - before.mass_c);
        CHECK_NEAR((room.heat_in_j - before.heat_in_j) / 1e6, stored / 1e6, 1e-6);
        double air_kg = 1.2 * room.options.volume_m3 * room.options.moisture_buffer;
        CHECK_NEAR(room.moisture_in_kg - before.moisture_in_kg,
                   air_kg * (room.vapour - before.vapour), 1e-9);
    }
}

/* ---- which way things go ---- */

TEST(an_open_window_brings_the_outside_in)
{
    for (uint32_t day = 0; day < 365; day += 30) {
        NOTE("day %u", day);
        struct window_room open = room_at(3, day, 22, &nobody);
        struct window_room shut = open;
        run(&open, 1.0, 60);
        run(&shut, 0.0, 60);
        double outside = open.outside.temperature_c;
        CHECK(size_of(open.temperature_c - outside) <= size_of(shut.temperature_c - outside));
        CHECK(open.air_m3_s > 5.0 * shut.air_m3_s);
        CHECK(open.co2_ppm <= shut.co2_ppm);
        CHECK_NEAR(open.co2_ppm, 420.0, 15.0);
        double vapour_out =
            window_room_vapour(open.outside.temperature_c, open.outside.humidity_pct);
        CHECK(size_of(open.vapour - vapour_out) <= size_of(shut.vapour - vapour_out) + 1e-6);
        CHECK(open.sound_db > shut.sound_db + 3.0); /* the street comes in */
    }
}

TEST(more_open_is_more_air)
{
    struct window_room_options options = room_at(1, 0, 8, NULL).options;
    for (double wind = 0.0; wind < 10.0; wind += 2.5) {
        for (double difference = 0.0; difference < 30.0; difference += 7.0) {
            double last = 0.0;
            for (int i = 0; i <= 10; i++) {
                double air = window_room_air_m3_s(&options, i / 10.0, wind, -difference);
                CHECK(air > last);
                last = air;
            }
            CHECK(window_room_air_m3_s(&options, 0.5, wind + 1.0, difference) >
                  window_room_air_m3_s(&options, 0.5, wind, difference));
            CHECK(window_room_air_m3_s(&options, 0.5, wind, difference + 1.0) >
                  window_room_air_m3_s(&options, 0.5, wind, difference));
        }
    }
    /* de Gids and Phaff by hand: 2 m2, 1.2 m, 3 m/s, 10 K: 1 * sqrt(0.009 + 0.042 + 0.01) */
    double leak = options.infiltration_h * options.volume_m3 / 3600.0;
    CHECK_NEAR(window_room_air_m3_s(&options, 1.0, 3.0, 10.0) - leak, 0.24698, 1e-4);
}

TEST(people_in_a_shut_room_use_up_the_air)
{
    struct window_room room = room_at(5, 100, 12, NULL);
    CHECK(room.people > 0);
    double before = room.co2_ppm;
    double vapour = room.vapour;
    run(&room, 0.0, 60);
    CHECK(room.co2_ppm > before + 400.0);
    CHECK(room.vapour > vapour);
    CHECK(room.co2_ppm < 10000.0);
    run(&room, 1.0, 40);
    CHECK(room.co2_ppm < 1000.0);
}

TEST(more_people_are_louder_warmer_and_use_more_air)
{
    struct window_room few = room_at(6, 100, 12, &(struct window_room_options){.crowd = 0.2});
    struct window_room many = room_at(6, 100, 12, &(struct window_room_options){.crowd = 1.6});
    CHECK(many.people > few.people + 5);
    double loud_few = 0.0, loud_many = 0.0;
    for (uint32_t i = 0; i < 360; i++) {
        window_room_step(&few, 0.3, 10000);
        window_room_step(&many, 0.3, 10000);
        loud_few += few.sound_db / 360.0;
        loud_many += many.sound_db / 360.0;
    }
    CHECK(loud_many > loud_few + 6.0);
    CHECK(many.co2_ppm > few.co2_ppm + 200.0);
}

TEST(the_heater_holds_the_room_in_winter)
{
    struct window_room room = room_at(7, 15, 6, &nobody);
    run(&room, 0.0, 240);
    CHECK(room.temperature_c > 20.5 && room.temperature_c < 22.5);
    CHECK(room.heating_j > 1e6);
    struct window_room cold = room_at(7, 15, 6, &nobody);
    run(&cold, 1.0, 240);
    CHECK(cold.heating_j > 1.25 * room.heating_j); /* an open window costs */
    CHECK(cold.temperature_c < room.temperature_c);
}

TEST(nobody_is_there_at_night)
{
    struct window_room room = room_at(8, 200, 18, NULL);
    run(&room, 0.2, 240);
    CHECK_EQ(room.people, 0);
    CHECK(!room.open);
    CHECK(!window_room_comfort(&room).counts);
}

TEST(a_long_step_is_many_short_ones)
{
    struct window_room a = room_at(9, 60, 9, &nobody);
    struct window_room b = a;
    window_room_step(&a, 0.4, 3600000);
    for (int i = 0; i < 360; i++)
        window_room_step(&b, 0.4, 10000);
    CHECK_NEAR(a.temperature_c, b.temperature_c, 1e-12);
    CHECK_EQ(a.now_ms == b.now_ms, 1);
    window_room_step(&a, 0.4, 0);
    CHECK_EQ(a.now_ms == b.now_ms, 1);
}

TEST(everything_stays_within_what_can_be)
{
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct window_weather weather;
        struct window_room room;
        struct rng chaos;
        NOTE("seed %u", (unsigned)seed);
        rng_init(&chaos, seed);
        window_weather_init(&weather, seed);
        window_room_init(&room, &weather, seed, 6, NULL);
        for (uint32_t i = 0; i < 24 * 60; i++) {
            window_room_step(&room, 3.0 * rng_unit(&chaos) - 1.0, 60000);
            CHECK(room.temperature_c > -25.0 && room.temperature_c < 45.0);
            CHECK(room.humidity_pct > 0.0 && room.humidity_pct <= 100.0 + 1e-9);
            CHECK(room.co2_ppm > 400.0 && room.co2_ppm < 15000.0);
            CHECK(room.sound_db > 20.0 && room.sound_db < 100.0);
            CHECK(room.sound_volume > 0.0 && room.sound_volume <= 1.0);
            CHECK(room.people <= room.options.capacity);
            CHECK(room.outside.temperature_c > -30.0 && room.outside.temperature_c < 45.0);
            CHECK(room.outside.wind_m_s >= 0.0 && room.outside.sun_w_m2 >= 0.0);
            CHECK(room.outside.humidity_pct >= 15.0 && room.outside.humidity_pct <= 100.0);
        }
    }
}

/* Against tables: saturation pressure over water, Pa. */
TEST(vapour_is_that_of_the_tables)
{
    static const struct {
        double temperature_c, saturation_pa;
    } rows[] = {{-10.0, 286.5}, {0.0, 611.2}, {10.0, 1227.9}, {20.0, 2338.8}, {30.0, 4245.2}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        double pa = rows[i].saturation_pa;
        double vapour = window_room_vapour(rows[i].temperature_c, 100.0);
        CHECK_NEAR(vapour, 0.622 * pa / (101325.0 - pa), 0.006 * vapour);
        for (double humidity = 5.0; humidity < 100.0; humidity += 19.0)
            CHECK_NEAR(window_room_humidity(rows[i].temperature_c,
                                            window_room_vapour(rows[i].temperature_c, humidity)),
                       humidity, 1e-9);
    }
}

/* Twelve people are 3.5 in a group of speakers each: 93 - 20 lg(3.5 * 90 / 12) = 64.6 dB. */
TEST(talk_has_the_level_of_the_formula)
{
    struct window_room room = room_at(4, 100, 3, &nobody);
    for (int i = 0; i < 200; i++) { /* no steam, no lorry at this moment */
        window_room_step(&room, 0.0, 1000);
        CHECK(room.sound_db < 50.0);
    }
    double sum = 0.0;
    room = room_at(4, 100, 12, NULL);
    room.machine_s = 0.0;
    room.people = 12;
    for (int i = 0; i < 50; i++) {
        struct window_room now = room;
        rng_init(&now.rng, (uint64_t)i);
        window_room_step(&now, 0.0, 1);
        sum += now.people == 12 && now.machine_s <= 0.0 ? now.sound_db : 64.6;
    }
    CHECK_NEAR(sum / 50.0, 64.6, 0.5);
}

/* ---- weather ---- */

TEST(summer_is_warmer_than_winter_and_noon_brighter_than_night)
{
    double winter = 0.0, summer = 0.0, noon = 0.0, night = 0.0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct window_weather weather;
        window_weather_init_day(&weather, seed, 18);
        winter += window_weather_at(&weather, 12 * WINDOW_HOUR_MS).temperature_c / 40.0;
        window_weather_init_day(&weather, seed, 200);
        summer += window_weather_at(&weather, 12 * WINDOW_HOUR_MS).temperature_c / 40.0;
        noon += window_weather_at(&weather, 12 * WINDOW_HOUR_MS).sun_w_m2 / 40.0;
        night += window_weather_at(&weather, WINDOW_HOUR_MS).sun_w_m2 / 40.0;
    }
    CHECK(winter > -5.0 && winter < 6.0);
    CHECK(summer > 18.0 && summer < 27.0);
    CHECK(noon > 300.0 && night < 1.0);
}

TEST(weather_is_smooth_and_can_be_asked_in_any_order)
{
    struct window_weather weather;
    window_weather_init(&weather, 77);
    struct window_outside late = window_weather_at(&weather, 40 * WINDOW_HOUR_MS);
    double last = window_weather_at(&weather, 0).temperature_c;
    for (uint64_t t = 0; t < 72 * WINDOW_HOUR_MS; t += 60000) {
        double now = window_weather_at(&weather, t).temperature_c;
        CHECK(size_of(now - last) < 0.2);
        last = now;
    }
    CHECK_NEAR(window_weather_at(&weather, 40 * WINDOW_HOUR_MS).temperature_c, late.temperature_c,
               0.0);
}

TEST(seeds_are_independent_of_each_other)
{
    uint32_t months[12] = {0};
    for (uint64_t seed = 0; seed < 1200; seed++) {
        struct window_weather weather;
        window_weather_init(&weather, seed);
        CHECK(weather.day_of_year < 365);
        months[weather.day_of_year * 12 / 365]++;
    }
    for (int i = 0; i < 12; i++)
        CHECK(months[i] > 60 && months[i] < 140); /* 100 each, with chance */
}

TEST(the_same_seed_is_the_same_room)
{
    struct window_room a = room_at(11, 40, 7, NULL);
    struct window_room b = room_at(11, 40, 7, NULL);
    struct window_room c = room_at(12, 40, 7, NULL);
    run(&a, 0.3, 300);
    run(&b, 0.3, 300);
    run(&c, 0.3, 300);
    CHECK_EQ(memcmp(&a.rng, &b.rng, sizeof(a.rng)), 0);
    CHECK_NEAR(a.temperature_c, b.temperature_c, 0.0);
    CHECK_NEAR(a.sound_db, b.sound_db, 0.0);
    CHECK(size_of(a.temperature_c - c.temperature_c) > 1e-6);
}

/* ---- comfort ---- */

TEST(comfort_has_its_edges)
{
    struct window_room room = room_at(13, 100, 10, NULL);
    room.temperature_c = 22.0;
    room.humidity_pct = 45.0;
    room.co2_ppm = 800.0;
    room.sound_db = 60.0;
    struct window_comfort comfort = window_room_comfort(&room);
    CHECK(comfort.counts && comfort.all);
    CHECK_NEAR(comfort.cost, 0.0, 0.0);
    room.temperature_c = 24.01;
    CHECK(!window_room_comfort(&room).temperature);
    room.temperature_c = 20.49;
    comfort = window_room_comfort(&room);
    CHECK(!comfort.temperature && !comfort.all && comfort.cost > 0.0);
    room.temperature_c = -5.0;
    room.humidity_pct = 100.0;
    room.co2_ppm = 9000.0;
    room.sound_db = 99.0;
    CHECK_NEAR(window_room_comfort(&room).cost, 1.0, 1e-12);
}

TEST(a_total_counts_only_when_the_cafe_is_open)
{
    struct window_comfort_total total = {0};
    struct window_room room = room_at(14, 100, 17, NULL);
    for (uint32_t i = 0; i < 6 * 60 * 4; i++) { /* 17 to 21 h */
        window_room_step(&room, 0.4, 10000);
        window_comfort_add(&total, &room, 10000);
    }
    CHECK_NEAR(total.counted_s, 2 * 3600.0, 11.0);
    CHECK(total.all_s <= total.temperature_s && total.all_s <= total.co2_s);
    CHECK(window_comfort_share(&total) >= 0.0 && window_comfort_share(&total) <= 1.0);
    CHECK_NEAR(window_comfort_share(&(struct window_comfort_total){0}), 0.0, 0.0);
}

/* The room is a fair task: neither shut nor open nor half-way is good, and what looks at people and
 * temperature is better than all of them. */
TEST(no_fixed_opening_is_good_enough)
{
    double share[4];
    for (int how = 0; how < 4; how++) {
        struct window_comfort_total total = {0};
        for (uint64_t seed = 500; seed < 520; seed++) {
            struct window_weather weather;
            struct window_room room;
            window_weather_init(&weather, seed);
            window_room_init(&room, &weather, seed, 7, NULL);
            double opening = how * 0.5;
            for (uint32_t i = 0; i < 12 * 120; i++) {
                if (how == 3)
                    opening = room.temperature_c > 23.5
                                  ? 1.0
                                  : between((room.co2_ppm - 700.0) / 300.0, 0.0, 0.8);
                window_room_step(&room, opening, 30000);
                window_comfort_add(&total, &room, 30000);
            }
        }
        share[how] = window_comfort_share(&total);
    }
    for (int how = 0; how < 3; how++)
        CHECK(share[3] > share[how] + 0.05);
}

/* ---- what the sensors say, and sound ---- */

TEST(sensors_are_near_the_truth)
{
    struct window_room room = room_at(15, 100, 10, NULL);
    struct rng rng;
    rng_init(&rng, 1);
    for (int i = 0; i < 1000; i++) {
        struct window_sense sense = window_room_sense(&room, &rng);
        CHECK_NEAR(sense.temperature_c, room.temperature_c, 0.051);
        CHECK_NEAR(sense.humidity_pct, room.humidity_pct, 0.51);
        CHECK_NEAR(sense.sound_volume, room.sound_volume, 0.04 * room.sound_volume);
    }
}

TEST(sound_has_the_level_it_is_asked_for)
{
    static const double volumes[] = {0.001, 0.01, 0.03, 0.1, 0.2};
    for (size_t v = 0; v < ARRAY_COUNT(volumes); v++) {
        for (uint64_t seed = 0; seed < 5; seed++) {
            struct window_audio audio;
            double sum = 0.0;
            NOTE("volume %g", volumes[v]);
            window_audio_init(&audio, volumes[v], seed);
            for (uint32_t i = 0; i < WINDOW_AUDIO_SAMPLES; i++) {
                double sample = window_audio_next(&audio) / 32768.0;
                sum += sample * sample;
            }
            CHECK_EQ(audio.left, 0);
            /* Power, so twice what the level may be off. */
            double power = volumes[v] * volumes[v];
            CHECK_NEAR(sum / WINDOW_AUDIO_SAMPLES, power, 0.16 * power);
        }
    }
}

static unsigned digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = strchr(digits, c);
    CHECK(at != NULL && c != '\0');
    return (unsigned)(at - digits);
}

/* In pieces of any size the text is the same, and decodes to the samples. */
TEST(base64_in_pieces)
{
    static char whole[WINDOW_AUDIO_TEXT_BYTES + 8];
    static char parts[WINDOW_AUDIO_TEXT_BYTES + 8];
    struct window_audio audio;
    window_audio_init(&audio, 0.05, 9);
    size_t len = window_audio_base64(&audio, whole, sizeof(whole));
    CHECK_EQ(len, WINDOW_AUDIO_TEXT_BYTES);
    CHECK_EQ(window_audio_base64(&audio, parts, sizeof(parts)), 0);
    for (size_t piece = 4; piece < 700; piece += 61) {
        size_t got = 0;
        size_t bytes;
        window_audio_init(&audio, 0.05, 9);
        while ((bytes = window_audio_base64(&audio, parts + got, piece)) > 0)
            got += bytes;
        CHECK_EQ(got, len);
        CHECK_BYTES(parts, whole, len);
    }
    window_audio_init(&audio, 0.05, 9);
    uint8_t bytes[3];
    size_t out = 0;
    for (size_t i = 0; i + 4 <= len; i += 4) {
        unsigned group = digit(whole[i]) << 18 | digit(whole[i + 1]) << 12;
        group |= whole[i + 2] != '=' ? digit(whole[i + 2]) << 6 : 0;
        group |= whole[i + 3] != '=' ? digit(whole[i + 3]) : 0;
        bytes[0] = (uint8_t)(group >> 16);
        bytes[1] = (uint8_t)(group >> 8);
        bytes[2] = (uint8_t)group;
        size_t count = whole[i + 2] == '=' ? 1 : whole[i + 3] == '=' ? 2 : 3;
        for (size_t b = 0; b < count; b++, out++) {
            static int16_t sample;
            if (out % 2 == 0)
                sample = window_audio_next(&audio);
            CHECK_EQ(bytes[b], (uint8_t)((uint16_t)sample >> (out % 2 * 8)));
        }
    }
    CHECK_EQ(out, WINDOW_AUDIO_SAMPLES * 2);
}
