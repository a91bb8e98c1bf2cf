/* Motion: home, pick, insert, close, eject.  No axis moves away from its home before both have been
 * there. */
#include "machine/espresso/espresso_int.h"

#define PICK_SETTLE_MS   400 /* the optical sensor has until then to see a capsule */
#define INSERT_SETTLE_MS 250
#define RELIEF_MS        800 /* pressure leaves the chamber before the head opens */
#define RELIEF_MS_MAX    6000

/* ---- one axis ---- */

static int32_t home_speed(const struct espresso *m)
{
    return -(m->calibration.steps_per_s / 2);
}

/* The longest way back of either axis, a quarter on top, and a second. */
static uint32_t home_ms_max(const struct espresso *m)
{
    int32_t steps = espresso_calibration_travel(&m->calibration);
    return (uint32_t)((int64_t)steps * 1250 / -home_speed(m)) + 1000;
}

/* True when the switch is reached; the position is then 0 by definition. */
static bool picker_to_home(struct espresso *m, const struct espresso_input *in)
{
    m->outputs.picker_steps_s = in->picker_home ? 0 : home_speed(m);
    if (in->picker_home)
        m->picker_msteps = 0;
    return in->picker_home;
}

static bool inserter_to_home(struct espresso *m, const struct espresso_input *in)
{
    m->outputs.inserter_steps_s = in->inserter_home ? 0 : home_speed(m);
    if (in->inserter_home)
        m->inserter_msteps = 0;
    return in->inserter_home;
}

/* The speed that gets to `target_steps` without passing it within one step of `dt_ms`; 0 when
 * there. */
static int32_t speed_to(const struct espresso *m, int64_t position_msteps, int32_t target_steps,
                        uint32_t dt_ms)
{
    int64_t left = (int64_t)target_steps * 1000 - position_msteps;
    if (left > -1000 && left < 1000)
        return 0;
    int64_t speed =
        left / (int64_t)(dt_ms != 0 ? dt_ms : 1); /* millisteps per ms are steps per s */
    int32_t limit = m->calibration.steps_per_s;
    if (speed == 0)
        speed = left > 0 ? 1 : -1;
    if (speed > limit)
        return limit;
    return speed < -limit ? -limit : (int32_t)speed;
}

static bool picker_to(struct espresso *m, int32_t target_steps, uint32_t dt_ms)
{
    m->outputs.picker_steps_s = speed_to(m, m->picker_msteps, target_steps, dt_ms);
    return m->outputs.picker_steps_s == 0;
}

static bool inserter_to(struct espresso *m, int32_t target_steps, uint32_t dt_ms)
{
    m->outputs.inserter_steps_s = speed_to(m, m->inserter_msteps, target_steps, dt_ms);
    return m->outputs.inserter_steps_s == 0;
}

static void axes_hold(struct espresso *m)
{
    m->outputs.picker_steps_s = 0;
    m->outputs.inserter_steps_s = 0;
}

/* Where an order goes after homing, or after a part of the sequence that it leaves out. */
static void enter_first(struct espresso *m)
{
    if (espresso_order_has(&m->order, ESPRESSO_PICK))
        espresso_enter(m, ESPRESSO_PICKING);
    else if (espresso_order_has(&m->order, ESPRESSO_LATCH))
        espresso_enter(m, ESPRESSO_CLOSING_HEAD);
    else
        espresso_enter(m, ESPRESSO_PRESSING_BUTTON);
}

/* ---- HOMING: head up if a capsule is to go in, then inserter, then picker ---- */

enum { HOME_HEAD, HOME_INSERTER, HOME_PICKER };

void espresso_homing(struct espresso *m, const struct espresso_input *in)
{
    switch (m->phase) {
    case HOME_HEAD: {
        bool open_wanted = espresso_order_has(&m->order, ESPRESSO_PICK);
        /* Unhomed, the head may stand half-way, where its contact says "not closed" too: give it
         * the whole travel. */
        bool opened = !in->head_closed && (m->homed || m->phase_ms >= m->calibration.latch_ms);
        m->outputs.head = open_wanted && !opened ? -1 : 0;
        if (!open_wanted || opened)
            espresso_phase(m, HOME_INSERTER);
        else if (m->phase_ms > 3 * m->calibration.latch_ms)
            espresso_finish(m, ESPRESSO_HEAD_OPEN);
        break;
    }
    case HOME_INSERTER:
        if (inserter_to_home(m, in))
            espresso_phase(m, HOME_PICKER);
        else if (m->phase_ms > home_ms_max(m))
            espresso_finish(m, ESPRESSO_NOT_HOME);
        break;
    case HOME_PICKER:
    default:
        if (picker_to_home(m, in)) {
            m->homed = true;
            enter_first(m);
        } else if (m->phase_ms > home_ms_max(m)) {
            espresso_finish(m, ESPRESSO_NOT_HOME);
        }
        break;
    }
}

/* ---- PICKING: out to the slot, wait for the sensor, back to the hand-over ---- */

enum { PICK_BEGIN, PICK_OUT, PICK_SETTLE, PICK_BACK, PICK_AGAIN };

static int32_t slot_steps(const struct espresso *m)
{
    return m->calibration.pick_steps + (m->tally.slot - 1) * m->calibration.pitch_steps;
}

static void pick_begin(struct espresso *m)
{
    if (m->stopping) {
        espresso_make_safe(m, m->ending); /* the carriage turned out to be empty */
        return;
    }
    m->tally.pick_attempts++;
    espresso_phase(m, PICK_OUT);
}

/* An attempt failed: find home again, since steps may have been lost. */
static void pick_retry(struct espresso *m)
{
    axes_hold(m);
    m->homed = false;
    espresso_phase(m, PICK_AGAIN);
}

static void pick_again(struct espresso *m, const struct espresso_input *in)
{
    bool home = picker_to_home(m, in);
    if (!home && m->phase_ms <= home_ms_max(m))
        return;
    m->homed = home;
    if (m->tally.pick_attempts >= ATTEMPTS_MAX)
        espresso_finish(m, ESPRESSO_PICK_FAILED);
    else if (home)
        espresso_phase(m, PICK_BEGIN);
    else {
        m->tally.pick_attempts++; /* finding home again was this attempt */
        espresso_phase(m, PICK_AGAIN);
    }
}

void espresso_picking(struct espresso *m, const struct espresso_input *in, uint32_t dt_ms)
{
    switch (m->phase) {
    case PICK_BEGIN:
        pick_begin(m);
        break;
    case PICK_OUT:
        if (picker_to(m, slot_steps(m), dt_ms))
            espresso_phase(m, PICK_SETTLE);
        break;
    case PICK_SETTLE:
        axes_hold(m);
        if (in->capsule_seen)
            espresso_phase(m, PICK_BACK);
        else if (m->phase_ms >= PICK_SETTLE_MS)
            pick_retry(m);
        break;
    case PICK_BACK:
        if (!picker_to(m, m->calibration.idle_steps, dt_ms))
            break;
        if (in->capsule_seen)
            espresso_enter(m, ESPRESSO_INSERTING);
        else
            pick_retry(m); /* dropped on the way */
        break;
    case PICK_AGAIN:
    default:
        pick_again(m, in);
        break;
    }
}

/* ---- INSERTING: push to the end switch, see that the carriage is empty, pull back ---- */

enum { INSERT_BEGIN, INSERT_OUT, INSERT_SETTLE, INSERT_BACK, INSERT_AGAIN };

static void insert_retry(struct espresso *m)
{
    axes_hold(m);
    espresso_phase(m, INSERT_AGAIN);
}

static void insert_again(struct espresso *m, const struct espresso_input *in)
{
    bool home = inserter_to_home(m, in);
    if (!home && m->phase_ms <= home_ms_max(m))
        return;
    m->homed = home; /* the picker has not moved since it was home */
    if (m->tally.insert_attempts >= ATTEMPTS_MAX)
        espresso_finish(m, ESPRESSO_INSERT_FAILED);
    else if (home)
        espresso_phase(m, INSERT_BEGIN);
    else {
        m->tally.insert_attempts++;
        espresso_phase(m, INSERT_AGAIN);
    }
}

static void insert_back(struct espresso *m, const struct espresso_input *in)
{
    if (inserter_to_home(m, in)) {
        m->capsule_inside = true;
        espresso_enter(m, ESPRESSO_CLOSING_HEAD);
    } else if (m->phase_ms > home_ms_max(m)) {
        m->homed = false;
        espresso_finish(m, ESPRESSO_NOT_HOME);
    }
}

void espresso_inserting(struct espresso *m, const struct espresso_input *in, uint32_t dt_ms)
{
    switch (m->phase) {
    case INSERT_BEGIN:
        m->tally.insert_attempts++;
        espresso_phase(m, INSERT_OUT);
        break;
    case INSERT_OUT:
        if (inserter_to(m, m->calibration.insert_steps, dt_ms) || in->inserter_end) {
            axes_hold(m);
            espresso_phase(m, INSERT_SETTLE);
        }
        break;
    case INSERT_SETTLE:
        axes_hold(m);
        if (in->inserter_end && !in->capsule_seen)
            espresso_phase(m, INSERT_BACK);
        else if (m->phase_ms >= INSERT_SETTLE_MS)
            insert_retry(m);
        break;
    case INSERT_BACK:
        insert_back(m, in);
        break;
    case INSERT_AGAIN:
    default:
        insert_again(m, in);
        break;
    }
}

/* ---- CLOSING_HEAD ---- */

void espresso_closing_head(struct espresso *m, const struct espresso_input *in)
{
    if (in->head_closed) {
        if (m->stopping)
            espresso_make_safe(m, m->ending); /* closed only so that the capsule can be ejected */
        else
            espresso_enter(m, ESPRESSO_PRESSING_BUTTON);
    } else if (m->state_ms > 2 * m->calibration.latch_ms) {
        espresso_make_safe(m, ESPRESSO_HEAD_OPEN);
    } else {
        m->outputs.head = 1;
    }
}

/* ---- EJECTING: make safe, whatever came before ---- */

enum { EJECT_RELIEF, EJECT_OPEN, EJECT_INSERTER, EJECT_PICKER };

static void eject_open(struct espresso *m, const struct espresso_input *in)
{
    bool opened = !in->head_closed && m->phase_ms >= m->calibration.latch_ms;
    m->outputs.head = opened ? 0 : -1;
    if (opened) {
        m->capsule_inside = false;
        espresso_phase(m, EJECT_INSERTER);
    } else if (m->phase_ms > 2 * m->calibration.latch_ms) {
        m->outputs.head = 0;
        m->tally.warning = ESPRESSO_EJECT_FAILED;
        espresso_phase(m, EJECT_INSERTER);
    }
}

static void eject_relief(struct espresso *m, const struct espresso_input *in)
{
    bool needed = m->capsule_inside || in->head_closed || m->tally.button_presses > 0;
    if (!needed) {
        espresso_phase(m, EJECT_INSERTER);
    } else if (m->pump_on) {
        /* Never open the head under pressure.  The capsule stays; somebody has to come. */
        if (m->phase_ms > RELIEF_MS_MAX) {
            m->tally.warning = ESPRESSO_EJECT_FAILED;
            espresso_finish(m, ESPRESSO_PUMP_TIMEOUT);
        }
    } else if (m->phase_ms >= RELIEF_MS) {
        espresso_phase(m, EJECT_OPEN);
    }
}

void espresso_ejecting(struct espresso *m, const struct espresso_input *in)
{
    if (in->inserter_home)
        picker_to_home(m, in); /* meanwhile; the inserter is not in its way */
    switch (m->phase) {
    case EJECT_RELIEF:
        eject_relief(m, in);
        break;
    case EJECT_OPEN:
        eject_open(m, in);
        break;
    case EJECT_INSERTER:
        if (inserter_to_home(m, in) || m->phase_ms > home_ms_max(m)) {
            m->outputs.inserter_steps_s = 0;
            espresso_phase(m, EJECT_PICKER);
        }
        break;
    case EJECT_PICKER:
    default:
        if (picker_to_home(m, in) || m->phase_ms > home_ms_max(m)) {
            m->homed = in->picker_home && in->inserter_home && m->tally.warning == ESPRESSO_OK;
            espresso_finish(m, m->ending);
        }
        break;
    }
}
