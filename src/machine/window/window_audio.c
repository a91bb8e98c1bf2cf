/* Sound as samples: white noise through two low passes, so that it sounds like a room next door and
 * not like rain.  Made sample by sample, so that a board needs no buffer for two seconds. */
#include "machine/window/window_math_int.h"
#include "machine/window/window_room.h"

#define LOW_KEEP   0.80 /* first pass: about 570 Hz */
#define LOWER_KEEP 0.98 /* second: about 50 Hz */
#define LOWER_GAIN 3.0
/* RMS of the filtered noise when the white noise is even in -1..1: measured once over 10^7 samples,
 * held by a test. */
#define FILTER_RMS 0.3228

void window_audio_init(struct window_audio *audio, double sound_volume, uint64_t seed)
{
    base_zero(audio, sizeof(*audio));
    audio->seed = seed * 0x9e3779b97f4a7c15ULL + 0x632be59bd9b4e019ULL;
    audio->scale = 32767.0 * window_math_clamp(sound_volume, 0.0, 1.0) / FILTER_RMS;
    audio->left = WINDOW_AUDIO_SAMPLES;
}

static double white(struct window_audio *audio)
{
    audio->seed += 0x9e3779b97f4a7c15ULL;
    uint64_t z = audio->seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    z ^= z >> 31;
    return (double)(z >> 11) / 4503599627370496.0 - 1.0; /* [-1, 1) */
}

int16_t window_audio_next(struct window_audio *audio)
{
    if (audio->left == 0)
        return 0;
    audio->left--;
    double noise = white(audio);
    audio->low = LOW_KEEP * audio->low + (1.0 - LOW_KEEP) * noise;
    audio->lower = LOWER_KEEP * audio->lower + (1.0 - LOWER_KEEP) * noise;
    double value = audio->scale * (audio->low + LOWER_GAIN * audio->lower);
    return (int16_t)window_math_clamp(value, -32768.0, 32767.0);
}

static void put_group(char *dst, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = (uint32_t)bytes[0] << 16;
    bits |= len > 1 ? (uint32_t)bytes[1] << 8 : 0;
    bits |= len > 2 ? (uint32_t)bytes[2] : 0;
    dst[0] = digits[bits >> 18 & 63];
    dst[1] = digits[bits >> 12 & 63];
    dst[2] = len > 1 ? digits[bits >> 6 & 63] : '=';
    dst[3] = len > 2 ? digits[bits & 63] : '=';
}

size_t window_audio_base64(struct window_audio *audio, char *dst, size_t dst_bytes)
{
    size_t len = 0;
    while (len + 4 <= dst_bytes) {
        uint8_t group[4];
        uint8_t count = audio->pending_len;
        base_copy(group, audio->pending, count);
        while (count < 3 && audio->left > 0) {
            uint16_t sample = (uint16_t)window_audio_next(audio);
            group[count] = (uint8_t)(sample & 0xff);
            group[count + 1] = (uint8_t)(sample >> 8);
            count = (uint8_t)(count + 2);
        }
        if (count == 0)
            break;
        put_group(dst + len, group, count < 3 ? count : 3);
        audio->pending_len = (uint8_t)(count > 3 ? 1 : 0);
        audio->pending[0] = group[3];
        len += 4;
    }
    return len;
}
