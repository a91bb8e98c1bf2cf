/* Loudness against values computed another way, and audio that is none. */
#include "kit/kit.h"
#include "telemetry/telemetry_parse_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NOW     ((int64_t)1800000000000)
#define SAMPLES 32000 /* 2 s at 16 kHz */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The caller frees it. */
static char *base64(const uint8_t *bytes, size_t len)
{
    char *text = mem_alloc((len + 2) / 3 * 4 + 1);
    size_t at = 0;
    CHECK(text != NULL);
    for (size_t i = 0; i < len; i += 3) {
        uint32_t bits = (uint32_t)bytes[i] << 16;
        if (i + 1 < len)
            bits |= (uint32_t)bytes[i + 1] << 8;
        if (i + 2 < len)
            bits |= bytes[i + 2];
        text[at++] = alphabet[bits >> 18];
        text[at++] = alphabet[bits >> 12 & 63];
        text[at++] = i + 1 < len ? alphabet[bits >> 6 & 63] : '=';
        text[at++] = i + 2 < len ? alphabet[bits & 63] : '=';
    }
    text[at] = '\0';
    return text;
}

static char *base64_samples(const int16_t *samples, size_t count)
{
    uint8_t *bytes = mem_alloc(2 * count + 1);
    CHECK(bytes != NULL);
    for (size_t i = 0; i < count; i++) {
        bytes[2 * i] = (uint8_t)((uint16_t)samples[i] & 0xFF);
        bytes[2 * i + 1] = (uint8_t)((uint16_t)samples[i] >> 8);
    }
    char *text = base64(bytes, 2 * count);
    mem_free(bytes);
    return text;
}

static enum telemetry_refusal parse(const char *payload, size_t len, double *ret_volume,
                                    double *ret_dbfs, char why[TELEMETRY_WHY_BYTES])
{
    struct telemetry_reading reading[TELEMETRY_READINGS_MAX];
    uint32_t count = 0;
    char *copy = kit_guard_page(payload, len);
    enum telemetry_refusal refusal =
        telemetry_parse(STR("audio"), (struct str){copy, len}, NOW, reading, &count, why);
    kit_free_guard(copy);
    if (refusal != TELEMETRY_ACCEPTED)
        return refusal;
    CHECK_EQ(count, 2);
    CHECK_STR(reading[0].type, "sound_volume");
    CHECK_STR(reading[1].type, "sound_dbfs");
    *ret_volume = reading[0].value;
    *ret_dbfs = reading[1].value;
    return refusal;
}

static enum telemetry_refusal measure(const int16_t *samples, size_t count, double *ret_volume,
                                      double *ret_dbfs)
{
    char why[TELEMETRY_WHY_BYTES];
    char *text = base64_samples(samples, count);
    enum telemetry_refusal refusal = parse(text, strlen(text), ret_volume, ret_dbfs, why);
    mem_free(text);
    return refusal;
}

static int16_t sound[SAMPLES + 2];

TEST(silence_is_the_floor)
{
    double volume = -1;
    double dbfs = 1;
    memset(sound, 0, sizeof(sound));
    CHECK_EQ(measure(sound, SAMPLES, &volume, &dbfs), TELEMETRY_ACCEPTED);
    CHECK(volume == 0);
    CHECK_NEAR(dbfs, -96.3296, 0.0001);
    sound[17] = 1; /* one step in two seconds: still below the range of 16 bits */
    CHECK_EQ(measure(sound, SAMPLES, &volume, &dbfs), TELEMETRY_ACCEPTED);
    CHECK_NEAR(volume, 1.0 / 32768 / sqrt(SAMPLES), 1e-12);
    CHECK_NEAR(dbfs, -96.3296, 0.0001);
}

TEST(square_and_sine)
{
    double volume = -1;
    double dbfs = 1;
    for (int i = 0; i < SAMPLES; i++)
        sound[i] = INT16_MIN;
    CHECK_EQ(measure(sound, SAMPLES, &volume, &dbfs), TELEMETRY_ACCEPTED);
    CHECK(volume == 1.0);
    CHECK(dbfs == 0.0);
    for (int i = 0; i < SAMPLES; i++)
        sound[i] = i % 2 == 0 ? 1 : -1;
    CHECK_EQ(measure(sound, SAMPLES, &volume, &dbfs), TELEMETRY_ACCEPTED);
    CHECK_NEAR(volume, 1.0 / 32768, 1e-12);
    CHECK_NEAR(dbfs, -90.3090, 0.0001);
    for (int i = 0; i < SAMPLES; i++)
        sound[i] = (int16_t)lrint(32767 * sin(2 * acos(-1.0) * 440 * i / 16000));
    CHECK_EQ(measure(sound, SAMPLES, &volume, &dbfs), TELEMETRY_ACCEPTED);
    CHECK_NEAR(volume, sqrt(0.5), 1e-4);
    CHECK_NEAR(dbfs, -3.0103, 0.001);
}

TEST(noise_against_a_plain_sum)
{
    struct rng rng;
    double volume = -1;
    double dbfs = 1;
    long double sum = 0;
    rng_init(&rng, 3);
    for (int i = 0; i < SAMPLES; i++) {
        sound[i] = (int16_t)((int32_t)rng_below(&rng, 65536) - 32768);
        sum += (long double)sound[i] * sound[i];
    }
    double expected = (double)sqrtl(sum / SAMPLES) / 32768;
    CHECK_EQ(measure(sound, SAMPLES, &volume, &dbfs), TELEMETRY_ACCEPTED);
    CHECK_NEAR(volume, expected, 1e-12);
    CHECK_NEAR(dbfs, 20 * log10(expected), 1e-9);
}

TEST(two_seconds_and_no_sample_more)
{
    double volume = -1;
    double dbfs = 1;
    memset(sound, 0, sizeof(sound));
    CHECK_EQ(measure(sound, SAMPLES - 1, &volume, &dbfs), TELEMETRY_BAD_AUDIO);
    CHECK_EQ(measure(sound, SAMPLES + 1, &volume, &dbfs), TELEMETRY_BAD_AUDIO);
    CHECK_EQ(measure(sound, 1, &volume, &dbfs), TELEMETRY_BAD_AUDIO);
    CHECK_EQ(measure(sound, 0, &volume, &dbfs), TELEMETRY_BAD_AUDIO);
    char why[TELEMETRY_WHY_BYTES];
    static uint8_t odd[SAMPLES * 2 + 1];
    char *text = base64(odd, sizeof(odd) - 2); /* 63,999 bytes: one sample is half */
    CHECK_EQ(parse(text, strlen(text), &volume, &dbfs, why), TELEMETRY_BAD_AUDIO);
    CHECK(strstr(why, "whole number") != NULL);
    mem_free(text);
    text = base64(odd, sizeof(odd));
    CHECK_EQ(parse(text, strlen(text), &volume, &dbfs, why), TELEMETRY_BAD_AUDIO);
    mem_free(text);
}

TEST(base64_is_strict)
{
    char why[TELEMETRY_WHY_BYTES];
    double volume = -1;
    double dbfs = 1;
    memset(sound, 0x55, sizeof(sound));
    char *text = base64_samples(sound, SAMPLES);
    size_t len = strlen(text);
    CHECK(text[len - 1] == '=' && text[len - 2] == '='); /* 64,000 bytes leave one over */
    CHECK_EQ(parse(text, len, &volume, &dbfs, why), TELEMETRY_ACCEPTED);
    static const char wrong[] = {'!', '=', '\n', '-', '_', '\0', '\x80', ' '};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        static const size_t places[] = {1, 1023, 1024, 40000};
        for (size_t p = 0; p < ARRAY_COUNT(places); p++) {
            char was = text[places[p]];
            text[places[p]] = wrong[i];
            CHECK_EQ(parse(text, len, &volume, &dbfs, why), TELEMETRY_BAD_AUDIO);
            text[places[p]] = was;
        }
    }
    for (size_t cut = 1; cut < 9; cut++)
        CHECK_EQ(parse(text, len - cut, &volume, &dbfs, why), TELEMETRY_BAD_AUDIO);
    char was = text[len - 3];
    text[len - 3] = '/'; /* bits beyond the last byte */
    CHECK_EQ(parse(text, len, &volume, &dbfs, why), TELEMETRY_BAD_AUDIO);
    text[len - 3] = was;
    mem_free(text);
}

/* {"pcm": ..., "rate": ...}, also from an encoder that escapes '/'. */
static enum telemetry_refusal wrapped(const char *before, const char *text, const char *after,
                                      bool escape, double *ret_volume)
{
    char why[TELEMETRY_WHY_BYTES];
    double dbfs;
    struct buf buf;
    buf_init(&buf, MIB);
    CHECK_OK(buf_add_str(&buf, str_from(before)));
    for (const char *c = text; *c != '\0'; c++) {
        if (escape && *c == '/')
            CHECK_OK(buf_add_str(&buf, STR("\\")));
        CHECK_OK(buf_add(&buf, c, 1));
    }
    CHECK_OK(buf_add_str(&buf, str_from(after)));
    enum telemetry_refusal refusal = parse(buf.at, buf.len, ret_volume, &dbfs, why);
    NOTE("%s", why);
    buf_finish(&buf);
    return refusal;
}

TEST(objects_with_a_rate)
{
    double volume = 0;
    for (int i = 0; i < SAMPLES; i++)
        sound[i] = i % 2 == 0 ? -1 : 16384; /* many '/' in base64 */
    char *text = base64_samples(sound, SAMPLES);
    char *slow = base64_samples(sound, 2 * 8000);
    double expected = sqrt((1.0 + 16384.0 * 16384.0) / 2) / 32768;
    CHECK(strchr(text, '/') != NULL);
    CHECK_EQ(wrapped("{\"pcm\":\"", text, "\"}", false, &volume), TELEMETRY_ACCEPTED);
    CHECK_NEAR(volume, expected, 1e-12);
    CHECK_EQ(wrapped("{\"pcm\":\"", text, "\"}", true, &volume), TELEMETRY_ACCEPTED);
    CHECK_NEAR(volume, expected, 1e-12);
    CHECK_EQ(wrapped("{\"rate\":8000,\"pcm\":\"", slow, "\",\"provenance\":\"simulated\"}", true,
                     &volume),
             TELEMETRY_ACCEPTED);
    CHECK_EQ(wrapped("{\"rate\":8000,\"pcm\":\"", text, "\"}", false, &volume),
             TELEMETRY_BAD_AUDIO);
    CHECK_EQ(wrapped("{\"rate\":16000.5,\"pcm\":\"", text, "\"}", false, &volume),
             TELEMETRY_BAD_AUDIO);
    CHECK_EQ(wrapped("{\"rate\":-1,\"pcm\":\"", text, "\"}", false, &volume), TELEMETRY_BAD_AUDIO);
    CHECK_EQ(wrapped("{\"rate\":1,\"pcm\":\"", text, "\"}", false, &volume), TELEMETRY_BAD_AUDIO);
    CHECK_EQ(wrapped("{\"rate\":96000,\"pcm\":\"", text, "\"}", false, &volume),
             TELEMETRY_BAD_AUDIO);
    CHECK_EQ(wrapped("{\"rate\":16000,\"rate\":8000,\"pcm\":\"", text, "\"}", false, &volume),
             TELEMETRY_BAD_JSON);
    CHECK_EQ(wrapped("{\"pcm\":1,\"x\":\"", text, "\"}", false, &volume), TELEMETRY_BAD_JSON);
    CHECK_EQ(wrapped("{\"rate\":16000", "", "}", false, &volume), TELEMETRY_BAD_JSON);
    CHECK_EQ(wrapped("{\"pcm\":\"", "", "\"}", false, &volume), TELEMETRY_BAD_AUDIO);
    CHECK_EQ(wrapped("{\"pcm\":\"\\\\", text, "\"}", true, &volume), TELEMETRY_BAD_AUDIO);
    mem_free(text);
    mem_free(slow);
}
