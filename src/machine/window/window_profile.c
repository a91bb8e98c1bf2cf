/* A reference that starts and ends at rest, never faster than it may be and never harder on the
 * brake or the throttle than accel_mm_s2, for any length of step.
 *
 * Invariant after every step: v * v / (2 a) <= distance to the target, so the next step can always
 * brake in time, and the reference never overshoots. */
#include "machine/window/window_int.h"

#define FOLLOW_PER_S 6 /* how fast the sash catches up with the reference */
#define SNAP_NM      2000
#define LAG_UM_MAX   60000 /* what is asked to be caught up at most */

static int64_t isqrt(int64_t value)
{
    uint64_t rest = (uint64_t)value;
    uint64_t root = 0;
    uint64_t bit = 1ULL << 62;
    if (value <= 0)
        return 0;
    while (bit > rest)
        bit >>= 2;
    for (; bit != 0; bit >>= 2) {
        if (rest >= root + bit) {
            rest -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return (int64_t)root;
}

static int64_t accel_um_s2(const struct window *w)
{
    return (int64_t)w->calibration.accel_mm_s2 * 1000;
}

void window_profile_begin(struct window *w)
{
    w->reference_nm = w->target_nm = w->position_um * 1000;
    w->reference_um_s = 0;
}

void window_profile_to(struct window *w, int64_t target_um)
{
    w->target_nm = target_um * 1000;
}

void window_profile_stop(struct window *w)
{
    int64_t v = w->reference_um_s;
    int64_t way_nm = v * v * 1000 / (2 * accel_um_s2(w)) + 1000;
    w->target_nm = w->reference_nm + (v < 0 ? -way_nm : v > 0 ? way_nm : 0);
}

int64_t window_target_um(const struct window *w, int32_t position_mpct)
{
    return (int64_t)w->travel_um * position_mpct / 100000;
}

/* The fastest from which it can still stop: v dt + v^2 / 2a = d. */
static int64_t speed_allowed(int64_t distance_um, int64_t accel, uint32_t dt_ms)
{
    int64_t gain = accel * dt_ms / 1000;
    return isqrt(gain * gain + 2 * accel * distance_um) - gain;
}

static void reference_step(struct window *w, int32_t speed_um_s, uint32_t dt_ms)
{
    int64_t left_nm = w->target_nm - w->reference_nm;
    int64_t sign = left_nm < 0 ? -1 : 1;
    int64_t distance_nm = left_nm * sign;
    int64_t gain = accel_um_s2(w) * dt_ms / 1000;
    int64_t now = w->reference_um_s * sign; /* below zero: still going the other way */
    int64_t allowed = speed_allowed(distance_nm / 1000, accel_um_s2(w), dt_ms);
    if (allowed > speed_um_s)
        allowed = speed_um_s;
    int64_t next = allowed;
    if (next > now + gain)
        next = now + gain;
    if (next < now - gain)
        next = now - gain;
    if (distance_nm <= SNAP_NM && next <= gain) {
        w->reference_nm = w->target_nm;
        w->reference_um_s = 0;
        return;
    }
    w->reference_nm += next * sign * (int64_t)dt_ms;
    w->reference_um_s = (int32_t)(next * sign);
}

bool window_profile_step(struct window *w, int32_t speed_um_s, uint32_t dt_ms)
{
    reference_step(w, speed_um_s, dt_ms);
    int64_t behind_um = w->reference_nm / 1000 - w->position_um;
    if (behind_um > LAG_UM_MAX)
        behind_um = LAG_UM_MAX;
    if (behind_um < -LAG_UM_MAX)
        behind_um = -LAG_UM_MAX;
    int64_t speed = w->reference_um_s + behind_um * FOLLOW_PER_S;
    int64_t most = (int64_t)speed_um_s + speed_um_s / 5;
    speed = speed > most ? most : speed < -most ? -most : speed;
    w->outputs.drive_on = true;
    w->outputs.speed_um_s = (int32_t)speed;
    return w->reference_nm == w->target_nm && w->reference_um_s == 0;
}
