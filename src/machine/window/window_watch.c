/* Is the sash doing what the motor is told?  Every motion is watched in every step. */
#include "machine/window/window_int.h"

#define PINCH_MS       20    /* so long above pinch_ma: two steps, a spike of noise is not enough */
#define DEAD_MA        60    /* a living motor that is driven draws more */
#define BEHIND_UM      25000 /* behind the reference: it does not follow */
#define STILL_UM       300   /* less than this in ... */
#define STILL_MS       900   /* ... so long, while driven faster than ... */
#define STILL_SPEED    4000  /* ... this, is standing still */
#define CURRENT_MA_MAX 20000
#define DRIVEN_UM_S    1000

void window_watch_begin(struct window *w)
{
    w->pinch_ms = w->blank_ms = w->still_ms = w->behind_ms = 0;
    w->current_same_ms = 0;
}

static void read_encoder(struct window *w, const struct window_input *in)
{
    int32_t raw = in->encoder;
    /* A counter that wraps: the difference is right all the same. */
    int32_t delta = (int32_t)((uint32_t)raw - (uint32_t)w->encoder_last);
    if (!w->encoder_known)
        delta = 0;
    w->encoder_known = true;
    w->encoder_last = raw;
    int64_t before_um = w->position_um;
    w->counts += w->calibration.invert != 0 ? -(int64_t)delta : delta;
    w->position_um = window_counts_um(w, w->counts);
    w->moved_um = w->position_um - before_um;
}

void window_watch_read(struct window *w, const struct window_input *in, uint32_t dt_ms)
{
    read_encoder(w, in);
    bool driven = w->outputs.drive_on && w->outputs.speed_um_s != 0;
    /* A motor at rest, or a dead one, draws nothing, and that without noise; one that turns never
     * does. */
    bool turns = driven && (in->current_ma >= DEAD_MA || w->moved_um != 0);
    w->current_same_ms =
        turns && in->current_ma == w->current_last_ma ? w->current_same_ms + dt_ms : 0;
    w->current_last_ma = in->current_ma;
    if (w->active && in->current_ma > w->tally.peak_current_ma)
        w->tally.peak_current_ma = in->current_ma;
}

bool window_current_stuck(const struct window *w)
{
    return w->current_same_ms >= (uint32_t)w->calibration.sensor_stuck_ms;
}

/* With the ends known, a switch that is pressed in the middle is wrong: either it sticks, or the
 * encoder has lost count on the way to it. */
static enum window_code switches(const struct window *w, const struct window_input *in,
                                 int64_t direction)
{
    if (in->closed_switch && in->open_switch)
        return WINDOW_ENDSTOP_STUCK;
    if (!w->calibrated)
        return WINDOW_OK;
    if (in->closed_switch && w->position_um > WINDOW_NEAR_UM)
        return direction < 0 && !w->closed_was ? WINDOW_POSITION_LOST : WINDOW_ENDSTOP_STUCK;
    if (in->open_switch && w->position_um < w->travel_um - WINDOW_NEAR_UM)
        return direction > 0 && !w->open_was ? WINDOW_POSITION_LOST : WINDOW_ENDSTOP_STUCK;
    return WINDOW_OK;
}

/* Standing still although driven: current tells why. */
static enum window_code following(struct window *w, const struct window_input *in, int64_t speed,
                                  uint32_t dt_ms)
{
    bool fast = speed > STILL_SPEED || speed < -STILL_SPEED;
    int64_t moved = w->moved_um < 0 ? -w->moved_um : w->moved_um;
    bool still = fast && moved * STILL_MS < (int64_t)STILL_UM * dt_ms;
    int64_t behind = w->reference_nm / 1000 - w->position_um;
    w->still_ms = still ? w->still_ms + dt_ms : 0;
    w->behind_ms = behind > BEHIND_UM || behind < -BEHIND_UM ? w->behind_ms + dt_ms : 0;
    if (w->still_ms >= STILL_MS) {
        if (in->current_ma < DEAD_MA)
            return WINDOW_MOTOR_DEAD;
        /* It draws what a moving motor draws, so it moves: the encoder is what stands still. */
        return in->current_ma < w->calibration.pinch_ma * 3 / 4 ? WINDOW_SENSOR_FAULT
                                                                : WINDOW_STALLED;
    }
    return w->behind_ms >= STILL_MS ? WINDOW_STALLED : WINDOW_OK;
}

enum window_code window_watch_motion(struct window *w, const struct window_input *in,
                                     uint32_t dt_ms)
{
    int64_t speed = w->outputs.drive_on ? w->outputs.speed_um_s : 0;
    if (in->current_ma > CURRENT_MA_MAX || in->current_ma < -CURRENT_MA_MAX ||
        window_current_stuck(w))
        return WINDOW_SENSOR_FAULT; /* blind means still: the pinch stop needs this sensor */
    /* Braking draws current, too: only a sash that is driven can pinch, and one that turns round
     * after a pinch, or was held up, first has to brake. */
    bool driven = speed > DRIVEN_UM_S || speed < -DRIVEN_UM_S;
    bool blank = w->blank_ms > 0;
    w->blank_ms = w->blank_ms > dt_ms ? w->blank_ms - dt_ms : 0;
    w->pinch_ms =
        driven && !blank && in->current_ma >= w->calibration.pinch_ma ? w->pinch_ms + dt_ms : 0;
    if (w->pinch_ms >= PINCH_MS)
        return WINDOW_PINCHED;
    enum window_code code = switches(w, in, speed);
    return code != WINDOW_OK ? code : following(w, in, speed, dt_ms);
}
