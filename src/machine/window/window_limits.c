/* What may be ordered, and a board's calibration: presets, ranges, values by name. */
#include "machine/window/window_int.h"

const struct limit window_limits[WINDOW_LIMIT_COUNT] = {
    [WINDOW_LIMIT_POSITION] = {"position", "%", 0, 100, 0, false},
};

bool window_check(const struct window_order *order, struct window_refusal *ret_refusal)
{
    const struct limit *limit = &window_limits[WINDOW_LIMIT_POSITION];
    if (order->position_mpct >= limit->min * 1000 && order->position_mpct <= limit->max * 1000)
        return true;
    *ret_refusal = (struct window_refusal){WINDOW_OUT_OF_LIMITS, limit->field, limit};
    return false;
}

/* ---- calibration ---- */

/* One row a field, in the order of the struct. */
const struct limit window_calibration_limits[] = {
    {"travel_mm", "mm", 50, 1000, 400, true},
    {"counts_per_cm", "counts/cm", 10, 10000, 200, true},
    {"speed_mm_s", "mm/s", 5, 100, 60, true},
    {"accel_mm_s2", "mm/s2", 20, 500, 120, true},
    {"home_mm_s", "mm/s", 5, 60, 50, true},
    {"pinch_ma", "mA", 200, 5000, 800, true},
    {"pinch_back_mm", "mm", 5, 200, 40, true},
    {"sensor_stuck_ms", "ms", 200, 4000, 400, true},
    {"invert", "", 0, 1, 0, true},
};
const size_t window_calibration_limit_count = ARRAY_COUNT(window_calibration_limits);
_Static_assert(sizeof(struct window_calibration) ==
                   ARRAY_COUNT(window_calibration_limits) * sizeof(int32_t),
               "every field has a row");

#define FINDING_MS_MAX 22000 /* both ends, so that there is time left to move in max_duration_s */

static int32_t value_get(const struct window_calibration *calibration, size_t row)
{
    int32_t value;
    base_copy(&value, (const char *)calibration + row * sizeof(int32_t), sizeof(value));
    return value;
}

static void value_put(struct window_calibration *calibration, size_t row, int32_t value)
{
    base_copy((char *)calibration + row * sizeof(int32_t), &value, sizeof(value));
}

struct window_calibration window_calibration_preset(void)
{
    struct window_calibration calibration;
    for (size_t i = 0; i < window_calibration_limit_count; i++)
        value_put(&calibration, i, window_calibration_limits[i].preset);
    return calibration;
}

const char *window_calibration_fault(const struct window_calibration *calibration)
{
    for (size_t i = 0; i < window_calibration_limit_count; i++) {
        const struct limit *row = &window_calibration_limits[i];
        int32_t value = value_get(calibration, i);
        if (value < row->min || value > row->max)
            return row->field;
    }
    if (calibration->home_mm_s > calibration->speed_mm_s)
        return "home_mm_s";
    if (calibration->pinch_back_mm * 2 > calibration->travel_mm)
        return "pinch_back_mm";
    if (2 * calibration->travel_mm * 1000 / calibration->home_mm_s > FINDING_MS_MAX)
        return "travel_mm";
    return NULL;
}

enum err window_calibration_set(struct window_calibration *calibration, struct str name,
                                int32_t value)
{
    for (size_t i = 0; i < window_calibration_limit_count; i++) {
        const struct limit *row = &window_calibration_limits[i];
        if (!str_equal(name, str_from(row->field)))
            continue;
        if (value < row->min || value > row->max)
            return ERR_INPUT;
        value_put(calibration, i, value);
        return ERR_OK;
    }
    return ERR_NOT_FOUND;
}

int64_t window_counts_um(const struct window *w, int64_t counts)
{
    return counts * 10000 / w->calibration.counts_per_cm;
}
