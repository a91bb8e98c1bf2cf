/* Packing, by vectors of PACK_LANES: included after pack_along and pack_across. */

static void pack(void *dst, const float *src, uint32_t ld, bool turned, uint32_t width,
                 uint32_t count, uint32_t k, bool round)
{
    float *to = dst;
    for (uint32_t first = 0; first < count; first += width, to += (size_t)width * k) {
        for (uint32_t part = 0; part < width; part += PACK_LANES) {
            uint32_t lanes = width - part < PACK_LANES ? width - part : PACK_LANES;
            uint32_t from = first + part;
            uint32_t left = from >= count ? 0 : count - from;
            if (left == 0) {
                for (uint32_t p = 0; p < k; p++)
                    memset(to + (size_t)p * width + part, 0, lanes * sizeof(float));
            } else if (turned) {
                pack_along(to + part, src + from, ld, width, left < lanes ? left : lanes, lanes, k,
                           round);
            } else {
                pack_across(to + part, src + (size_t)from * ld, ld, width,
                            left < lanes ? left : lanes, lanes, k, round);
            }
        }
    }
}
