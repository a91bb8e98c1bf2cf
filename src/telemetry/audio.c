/* Sound from a microphone: 2 s of 16-bit little-endian PCM in base64, of which only its loudness is
 * kept.
 *
 * Volume is the root of the mean square of the samples, full scale (32,768) being 1.
 * dBFS = 20 log10(volume): a full-scale square wave is 0, a full-scale sine -3.01 dBFS.  (AES17 and
 * IEC 61606 put the sine at 0; to get theirs add 3.01.)  Silence has no logarithm: what is below
 * 20 log10(2^-16) = -96.33 dBFS, the range of 16 bits, is shown as that. */
#include "telemetry/telemetry_parse_int.h"

#include <math.h>

#define AUDIO_S         2u
#define RATE_MIN        4000u
#define RATE_MAX        48000u
#define DBFS_FLOOR      (-96.329598612473987)
#define CHUNK_CHARS     1024u /* of base64: 768 bytes, so whole samples */
#define CHUNK_BYTES     768u
#define NO              255
#define SAMPLE_FULL     32768.0
#define BYTES_PER_FRAME 2u

static const uint8_t value_of[128] = {
    /* clang-format off */
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, 62, NO, NO, NO, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, NO, NO, NO, NO, NO, NO,
    NO, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, NO, NO, NO, NO, NO,
    NO, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, NO, NO, NO, NO, NO,
    /* clang-format on */
};

static uint8_t value(char c)
{
    unsigned char byte = (unsigned char)c;
    return byte < 128 ? value_of[byte] : NO;
}

/* Four characters at a time, the last group with up to two '='.  How many bytes, or -1. */
static int decode(const char *chars, size_t len, uint8_t *dst, bool last)
{
    int count = 0;
    for (size_t at = 0; at < len; at += 4) {
        bool final = last && at + 4 == len;
        unsigned pad = final && chars[at + 3] == '=' ? (chars[at + 2] == '=' ? 2u : 1u) : 0u;
        uint32_t bits = 0;
        for (size_t i = 0; i < 4; i++) {
            uint8_t six = i >= 4 - pad ? 0 : value(chars[at + i]);
            if (six == NO)
                return -1;
            bits = bits << 6 | six;
        }
        if ((pad == 1 && (bits & 0xFF) != 0) || (pad == 2 && (bits & 0xFFFF) != 0))
            return -1; /* bits that belong to nothing */
        dst[count++] = (uint8_t)(bits >> 16);
        if (pad < 2)
            dst[count++] = (uint8_t)(bits >> 8);
        if (pad < 1)
            dst[count++] = (uint8_t)bits;
    }
    return count;
}

static int64_t squares(const uint8_t *bytes, size_t len)
{
    int64_t sum = 0;
    for (size_t at = 0; at + 1 < len; at += 2) {
        int32_t sample = (int16_t)(uint16_t)(bytes[at] | bytes[at + 1] << 8);
        sum += (int64_t)sample * sample;
    }
    return sum;
}

/* The next characters of base64 into `chunk`, "\/" as "/".  How many. */
static size_t next_chunk(struct str base64, bool escaped, size_t *at, char chunk[CHUNK_CHARS])
{
    size_t count = 0;
    while (count < CHUNK_CHARS && *at < base64.len) {
        char c = base64.at[(*at)++];
        if (escaped && c == '\\' && *at < base64.len && base64.at[*at] == '/')
            c = base64.at[(*at)++];
        chunk[count++] = c;
    }
    return count;
}

static size_t escapes(struct str base64)
{
    size_t count = 0;
    for (size_t i = 0; i + 1 < base64.len; i++)
        count += base64.at[i] == '\\' && base64.at[i + 1] == '/';
    return count;
}

/* From its length alone, before a byte is decoded. */
static enum telemetry_refusal check_length(struct str base64, size_t chars, uint32_t rate_hz,
                                           char why[TELEMETRY_WHY_BYTES])
{
    if (rate_hz < RATE_MIN || rate_hz > RATE_MAX) {
        telemetry_why(why, "The rate is %u Hz; it must be %u to %u.", rate_hz, RATE_MIN, RATE_MAX);
        return TELEMETRY_BAD_AUDIO;
    }
    if (chars == 0 || chars % 4 != 0) {
        telemetry_why(why, "%zu characters are no base64: it comes in fours.", chars);
        return TELEMETRY_BAD_AUDIO;
    }
    size_t pad = base64.at[base64.len - 1] != '=' ? 0 : base64.at[base64.len - 2] != '=' ? 1 : 2;
    size_t bytes = chars / 4 * 3 - pad;
    size_t needed = (size_t)rate_hz * AUDIO_S * BYTES_PER_FRAME;
    if (bytes % BYTES_PER_FRAME != 0) {
        telemetry_why(why, "%zu bytes are no whole number of 16-bit samples.", bytes);
        return TELEMETRY_BAD_AUDIO;
    }
    if (bytes != needed) {
        telemetry_why(why, "%zu bytes are %.3f s at %u Hz; 2 s are %zu bytes.", bytes,
                      (double)bytes / BYTES_PER_FRAME / rate_hz, rate_hz, needed);
        return TELEMETRY_BAD_AUDIO;
    }
    return TELEMETRY_ACCEPTED;
}

enum telemetry_refusal telemetry_audio_measure(struct str base64, bool escaped, uint32_t rate_hz,
                                               double *ret_volume, double *ret_dbfs,
                                               char why[TELEMETRY_WHY_BYTES])
{
    size_t chars = base64.len - (escaped ? escapes(base64) : 0);
    enum telemetry_refusal refusal = check_length(base64, chars, rate_hz, why);
    if (refusal != TELEMETRY_ACCEPTED)
        return refusal;
    int64_t sum = 0;
    size_t at = 0;
    while (at < base64.len) {
        char chunk[CHUNK_CHARS] = {0};
        uint8_t bytes[CHUNK_BYTES];
        size_t first = at;
        size_t count = next_chunk(base64, escaped, &at, chunk);
        int len = decode(chunk, count, bytes, at == base64.len);
        if (len < 0) {
            telemetry_why(why, "No base64 in the %zu characters from %zu on.", count, first);
            return TELEMETRY_BAD_AUDIO;
        }
        sum += squares(bytes, (size_t)len);
    }
    double samples = (double)rate_hz * AUDIO_S;
    double volume = sqrt((double)sum / samples) / SAMPLE_FULL;
    double dbfs = volume > 0 ? 20.0 * log10(volume) : DBFS_FLOOR;
    *ret_volume = volume;
    *ret_dbfs = dbfs > DBFS_FLOOR ? dbfs : DBFS_FLOOR;
    return TELEMETRY_ACCEPTED;
}
