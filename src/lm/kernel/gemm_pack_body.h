/* Packing, by vectors of PACK_LANES: included after pack_along and pack_across. */

/* A turned operand is read in runs of so many lines: one page each, few enough to stay known. */
#define PACK_LINES 32

/* Columns `part`.. of the panel that begins at `first`, for lines p..p + k - 1. */
static void pack_part(float *to, const float *src, uint32_t ld, bool turned, uint32_t width,
                      uint32_t left, uint32_t lanes, uint32_t k, bool round)
{
    uint32_t count = left < lanes ? left : lanes;
    if (count == 0) {
        for (uint32_t p = 0; p < k; p++)
            memset(to + (size_t)p * width, 0, lanes * sizeof(float));
    } else if (turned) {
        pack_along(to, src, ld, width, count, lanes, k, round);
    } else {
        pack_across(to, src, ld, width, count, lanes, k, round);
    }
}

static void pack(void *dst, const float *src, uint32_t ld, bool turned, uint32_t width,
                 uint32_t count, uint32_t k, bool round)
{
    uint32_t step = turned ? PACK_LINES : k;
    for (uint32_t p = 0; p < k; p += step) {
        uint32_t lines = k - p < step ? k - p : step;
        float *to = (float *)dst + (size_t)p * width;
        for (uint32_t first = 0; first < count; first += width, to += (size_t)width * k) {
            for (uint32_t part = 0; part < width; part += PACK_LANES) {
                uint32_t from = first + part < count ? first + part : count;
                uint32_t lanes = width - part < PACK_LANES ? width - part : PACK_LANES;
                size_t at = turned ? (size_t)p * ld + from : (size_t)from * ld;
                pack_part(to + part, from == count ? src : src + at, ld, turned, width,
                          count - from, lanes, lines, round);
            }
        }
    }
}
