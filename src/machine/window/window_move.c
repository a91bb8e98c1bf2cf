/* The states that move the sash.
 *
 * HOMING and CALIBRATING each: approach at home speed until the end switch is pressed, brake, creep
 * back until it lets go.  That edge is the end: it is found at creeping speed, always from the same
 * side. */
#include "machine/window/window_int.h"

#define CREEP_UM_S     8000
#define BRAKE_MS       150   /* the driver's brake has stopped it by then */
#define RELEASE_UM_MAX 15000 /* a switch that is pressed longer than this sticks */
#define SEAL_UM_MAX    12000 /* beyond 0 without the closed switch: the count is wrong */
#define TRAVEL_OFF_PCT 15    /* from what is expected */
#define SETTLED_UM     400
#define OFF_UM_MAX     4000 /* at rest, this far off is not where it was sent */
#define SETTLE_MS      600
#define FAR_UM         10000000

enum { APPROACH, BRAKE, RELEASE };
enum { TRAVEL, SETTLE };

static void brake(struct window *w)
{
    w->outputs = (struct window_outputs){.drive_on = true};
}

/* Where the sash is now becomes `um`. */
static void origin_here(struct window *w, int64_t um)
{
    w->counts = um * w->calibration.counts_per_cm / 10000;
    w->position_um = window_counts_um(w, w->counts);
    window_profile_begin(w);
}

/* Looks for an end in `direction`.  True once its edge is under the sash. */
static bool find_end(struct window *w, bool pressed, int64_t direction, uint32_t dt_ms)
{
    int64_t moved_um;
    switch (w->phase) {
    case APPROACH:
        if (pressed) {
            window_profile_begin(w);
            brake(w);
            window_phase(w, BRAKE);
            return false;
        }
        window_profile_to(w, w->position_um + direction * FAR_UM);
        (void)window_profile_step(w, w->calibration.home_mm_s * 1000, dt_ms);
        return false;
    case BRAKE:
        brake(w);
        if (w->phase_ms < BRAKE_MS)
            return false;
        window_profile_begin(w);
        window_profile_to(w, w->position_um - direction * RELEASE_UM_MAX);
        window_watch_begin(w);
        window_phase(w, RELEASE);
        return false;
    case RELEASE:
    default:
        if (!pressed)
            return true;
        moved_um = w->target_nm / 1000 - w->position_um;
        if (window_profile_step(w, CREEP_UM_S, dt_ms) && moved_um < SETTLED_UM &&
            moved_um > -SETTLED_UM)
            window_abort(w, WINDOW_ENDSTOP_STUCK);
        return false;
    }
}

void window_homing(struct window *w, const struct window_input *in, uint32_t dt_ms)
{
    if (!find_end(w, in->closed_switch, -1, dt_ms))
        return;
    window_enter(w, WINDOW_CALIBRATING);
    origin_here(w, 0);
}

static void move_begin(struct window *w)
{
    window_enter(w, WINDOW_MOVING);
    window_profile_begin(w);
    window_profile_to(w, window_target_um(w, w->order.position_mpct));
    window_watch_begin(w);
}

static int64_t travel_um_off(const struct window *w, int32_t off_pct)
{
    return (int64_t)w->calibration.travel_mm * 10 * (100 + off_pct);
}

bool window_at_open_end(const struct window *w)
{
    return w->position_um >= travel_um_off(w, -TRAVEL_OFF_PCT);
}

void window_calibrating(struct window *w, const struct window_input *in, uint32_t dt_ms)
{
    if (w->position_um > travel_um_off(w, TRAVEL_OFF_PCT)) {
        window_abort(w, WINDOW_NOT_CALIBRATED);
        return;
    }
    if (in->open_switch && !window_at_open_end(w)) {
        /* Where it was pressed all along it sticks; where it came too early the travel is not ours.
         */
        window_abort(w, w->open_was ? WINDOW_ENDSTOP_STUCK : WINDOW_NOT_CALIBRATED);
        return;
    }
    if (!find_end(w, in->open_switch, 1, dt_ms))
        return;
    w->travel_um = (int32_t)w->position_um;
    w->calibrated = true;
    move_begin(w);
}

void window_moving(struct window *w, const struct window_input *in, uint32_t dt_ms)
{
    int64_t off_um = w->target_nm / 1000 - w->position_um;
    bool near = off_um <= SETTLED_UM && off_um >= -SETTLED_UM;
    bool arrived = window_profile_step(w, w->calibration.speed_mm_s * 1000, dt_ms);
    /* On the way to an end its switch may come first, by as much as an edge is off. */
    bool at_end = (in->closed_switch && w->order.position_mpct == 0) ||
                  (in->open_switch && w->order.position_mpct == 100000);
    if (at_end && off_um < WINDOW_NEAR_UM && off_um > -WINDOW_NEAR_UM)
        arrived = near = true;
    if (!arrived) {
        window_phase(w, TRAVEL);
        return;
    }
    if (w->phase == TRAVEL)
        window_phase(w, SETTLE);
    if (w->order.position_mpct == 0) {
        window_enter(w, WINDOW_SEALING);
        window_profile_begin(w);
        window_profile_to(w, w->position_um - SEAL_UM_MAX - SETTLED_UM);
        return;
    }
    if (near)
        window_finish(w, WINDOW_OK);
    else if (w->phase_ms >= SETTLE_MS)
        window_finish(w, off_um > OFF_UM_MAX || off_um < -OFF_UM_MAX ? WINDOW_STALLED : WINDOW_OK);
}

/* Shut means on the switch, and where that is, is zero again: what the encoder has drifted by since
 * calibration ends here. */
void window_sealing(struct window *w, const struct window_input *in, uint32_t dt_ms)
{
    if (in->closed_switch) {
        origin_here(w, 0);
        window_finish(w, WINDOW_OK);
        return;
    }
    if (window_profile_step(w, CREEP_UM_S, dt_ms))
        window_abort(w, WINDOW_POSITION_LOST);
}

/* Without calibration nobody knows how far the end is, so its switch ends the rolling out. */
void window_stopping(struct window *w, const struct window_input *in, uint32_t dt_ms)
{
    bool at_end = w->target_nm > w->reference_nm ? in->open_switch : in->closed_switch;
    if (window_profile_step(w, w->calibration.speed_mm_s * 1000, dt_ms) || at_end)
        window_finish(w, w->ending);
}

/* What was pinched gets room; a second pinch while driving back ends it where it is. */
void window_backing_off(struct window *w, const struct window_input *in, uint32_t dt_ms)
{
    bool at_end = w->target_nm > w->reference_nm ? in->open_switch : in->closed_switch;
    bool arrived = window_profile_step(w, w->calibration.home_mm_s * 1000, dt_ms);
    if (arrived || at_end)
        window_finish(w, w->ending);
}
