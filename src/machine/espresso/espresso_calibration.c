/* A board's calibration: presets, ranges, and values by name. */
#include "machine/espresso/espresso_int.h"

#define TRAVEL_S_MAX 4 /* of the longest way at full speed */

/* One row a field; `at` finds it.  The offsets are those of 32-bit members, signed or not: every
 * range is within 0..INT32_MAX, so one reader serves both. */
static const size_t offsets[] = {
    offsetof(struct espresso_calibration, pick_steps),
    offsetof(struct espresso_calibration, pitch_steps),
    offsetof(struct espresso_calibration, idle_steps),
    offsetof(struct espresso_calibration, insert_steps),
    offsetof(struct espresso_calibration, steps_per_s),
    offsetof(struct espresso_calibration, latch_ms),
    offsetof(struct espresso_calibration, button_mdeg),
    offsetof(struct espresso_calibration, servo_travel_ms),
    offsetof(struct espresso_calibration, press_ms),
    offsetof(struct espresso_calibration, pump_on_ma),
    offsetof(struct espresso_calibration, pump_off_ma),
    offsetof(struct espresso_calibration, pump_idle_ms),
    offsetof(struct espresso_calibration, pump_confirm_ms),
    offsetof(struct espresso_calibration, sensor_stuck_ms),
    offsetof(struct espresso_calibration, flow_original_uls),
    offsetof(struct espresso_calibration, flow_vertuo_uls),
    offsetof(struct espresso_calibration, build_up_original_ms),
    offsetof(struct espresso_calibration, build_up_vertuo_ms),
    offsetof(struct espresso_calibration, ready_below_mc),
    offsetof(struct espresso_calibration, cutoff_mc),
};

const struct limit espresso_calibration_limits[] = {
    {"pick_steps", "steps", 10, 20000, 200, true},
    {"pitch_steps", "steps", 10, 5000, 150, true},
    {"idle_steps", "steps", 0, 20000, 40, true},
    {"insert_steps", "steps", 10, 20000, 600, true},
    {"steps_per_s", "steps/s", 50, 20000, 800, true},
    {"latch_ms", "ms", 200, 5000, 1500, true},
    {"button_mdeg", "mdeg", 5000, 120000, 35000, true},
    {"servo_travel_ms", "ms", 50, 1000, 250, true},
    {"press_ms", "ms", 50, 2000, 200, true},
    {"pump_on_ma", "mA", 5, 3000, 60, true},
    {"pump_off_ma", "mA", 2, 2900, 35, true},
    {"pump_idle_ms", "ms", 200, 3000, 600, true},
    {"pump_confirm_ms", "ms", 500, 5000, 1500, true},
    {"sensor_stuck_ms", "ms", 200, 4000, 1000, true},
    {"flow_original_uls", "ul/s", 100, 10000, 1350, true},
    {"flow_vertuo_uls", "ul/s", 100, 20000, 3950, true},
    {"build_up_original_ms", "ms", 0, 15000, 4000, true},
    {"build_up_vertuo_ms", "ms", 0, 15000, 2300, true},
    {"ready_below_mc", "mC", 100, 20000, 2000, true},
    {"cutoff_mc", "mC", 97000, 150000, 115000, true},
};
const size_t espresso_calibration_limit_count = ARRAY_COUNT(espresso_calibration_limits);
_Static_assert(ARRAY_COUNT(espresso_calibration_limits) == ARRAY_COUNT(offsets), "a row a field");
_Static_assert(sizeof(struct espresso_calibration) == ARRAY_COUNT(offsets) * sizeof(int32_t),
               "every field has a row");

static int32_t value_get(const struct espresso_calibration *calibration, size_t row)
{
    int32_t value;
    base_copy(&value, (const char *)calibration + offsets[row], sizeof(value));
    return value;
}

static void value_put(struct espresso_calibration *calibration, size_t row, int32_t value)
{
    base_copy((char *)calibration + offsets[row], &value, sizeof(value));
}

struct espresso_calibration espresso_calibration_preset(void)
{
    struct espresso_calibration calibration = {0};
    for (size_t i = 0; i < espresso_calibration_limit_count; i++)
        value_put(&calibration, i, espresso_calibration_limits[i].preset);
    return calibration;
}

int32_t espresso_calibration_travel(const struct espresso_calibration *calibration)
{
    int32_t picker = calibration->pick_steps + (ESPRESSO_SLOT_COUNT - 1) * calibration->pitch_steps;
    return picker > calibration->insert_steps ? picker : calibration->insert_steps;
}

const char *espresso_calibration_fault(const struct espresso_calibration *calibration)
{
    for (size_t i = 0; i < espresso_calibration_limit_count; i++) {
        const struct limit *limit = &espresso_calibration_limits[i];
        int32_t value = value_get(calibration, i);
        if (value < limit->min || value > limit->max)
            return limit->field;
    }
    if (calibration->idle_steps >= calibration->pick_steps)
        return "idle_steps"; /* the hand-over lies before the first slot */
    if (espresso_calibration_travel(calibration) / TRAVEL_S_MAX > calibration->steps_per_s)
        return "steps_per_s"; /* too slow for the states' time limits */
    if (calibration->pump_off_ma >= calibration->pump_on_ma)
        return "pump_off_ma"; /* no hysteresis left */
    /* A dead current sensor must be recognised before a second press could be considered (rule 6).
     */
    if (calibration->sensor_stuck_ms >= calibration->pump_confirm_ms)
        return "sensor_stuck_ms";
    return NULL;
}

enum err espresso_calibration_set(struct espresso_calibration *calibration, struct str name,
                                  int32_t value)
{
    for (size_t i = 0; i < espresso_calibration_limit_count; i++) {
        const struct limit *limit = &espresso_calibration_limits[i];
        if (!str_equal(name, str_from(limit->field)))
            continue;
        if (value < limit->min || value > limit->max)
            return ERR_INPUT;
        value_put(calibration, i, value);
        return ERR_OK;
    }
    return ERR_NOT_FOUND;
}
