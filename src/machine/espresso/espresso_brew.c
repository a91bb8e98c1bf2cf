/* The button and the pour.  A press toggles the machine's pump, so a press is counted like money:
 * at most two to start (the second only when the current sensor is alive and saw nothing), at most
 * two to stop. */
#include "machine/espresso/espresso_int.h"

#define WARM_MS_MAX      60000
#define STOP_WAIT_MS     3000
#define DRY_MS_MAX       8000
#define HEAD_OPEN_MS_MAX 300
#define STOP_MARGIN_MS   1500

static void servo_push(struct espresso *m)
{
    m->outputs.servo_on = true;
    m->outputs.servo_mdeg = m->calibration.button_mdeg;
}

/* Held at rest by the servo itself until the arm is surely back. */
static void servo_release(struct espresso *m)
{
    m->outputs.servo_on = true;
    m->outputs.servo_mdeg = 0;
}

static void servo_off(struct espresso *m)
{
    m->outputs.servo_on = false;
    m->outputs.servo_mdeg = 0;
}

static uint32_t push_ms(const struct espresso *m)
{
    return m->calibration.servo_travel_ms +
           espresso_order_press_ms(&m->order, m->calibration.press_ms);
}

/* ---- PRESSING_BUTTON ---- */

enum { PRESS_WARM, PRESS_PUSH, PRESS_RELEASE, PRESS_CONFIRM };

static void press_begin(struct espresso *m)
{
    m->tally.button_presses++;
    servo_push(m);
    espresso_phase(m, PRESS_PUSH);
}

static void press_warm(struct espresso *m, const struct espresso_input *in)
{
    int32_t ready_mc = m->order.recipe.temperature_mc - m->calibration.ready_below_mc;
    if (espresso_current_stuck(m))
        espresso_make_safe(m, ESPRESSO_SENSOR_FAULT); /* not pressed yet: opening is safe */
    else if (m->pump_on)
        espresso_finish(m, ESPRESSO_PUMP_RUNNING); /* somebody pressed first: hands off */
    else if (!in->head_closed)
        espresso_make_safe(m, ESPRESSO_HEAD_OPEN);
    else if (in->temperature_mc == ESPRESSO_UNKNOWN || in->temperature_mc >= ready_mc)
        press_begin(m);
    else if (m->phase_ms > WARM_MS_MAX)
        espresso_make_safe(m, ESPRESSO_TIMEOUT);
}

static void press_push(struct espresso *m)
{
    /* The pump came to life late, while the arm was on its way a second time: take the finger back.
     */
    bool late = m->pump_on && m->tally.button_presses > 1 &&
                m->phase_ms < m->calibration.servo_travel_ms / 2;
    if (!late && m->phase_ms < push_ms(m))
        return;
    servo_release(m);
    espresso_phase(m, PRESS_RELEASE);
}

static void press_confirm(struct espresso *m)
{
    if (m->pump_on)
        espresso_enter(m, ESPRESSO_BREWING);
    else if (espresso_current_stuck(m))
        espresso_finish(m, ESPRESSO_SENSOR_FAULT); /* it may be pouring: touch nothing */
    else if (m->phase_ms < m->calibration.pump_confirm_ms)
        return;
    else if (m->stopping)
        espresso_make_safe(m, m->ending);
    else if (m->tally.button_presses < PRESSES_MAX)
        press_begin(m);
    else
        espresso_make_safe(m, ESPRESSO_BUTTON_FAILED);
}

void espresso_pressing_button(struct espresso *m, const struct espresso_input *in)
{
    switch (m->phase) {
    case PRESS_WARM:
        press_warm(m, in);
        break;
    case PRESS_PUSH:
        press_push(m);
        break;
    case PRESS_RELEASE:
        if (m->phase_ms >= m->calibration.servo_travel_ms) {
            servo_off(m);
            espresso_phase(m, PRESS_CONFIRM);
        }
        break;
    case PRESS_CONFIRM:
    default:
        press_confirm(m);
        break;
    }
}

/* ---- BREWING, MONITORING ---- */

enum { POUR_RUN, POUR_STOP_PUSH, POUR_STOP_RELEASE, POUR_STOP_WAIT };

/* Longest a pump may run for this order: the time it should take, a third on top, and ten seconds.
 */
static uint32_t pour_ms_max(const struct espresso *m)
{
    uint64_t pour_ms = (uint64_t)m->order.recipe.volume_ml * 1000 * 1000 / espresso_flow_nominal(m);
    return espresso_first_drop_ms(m) + (uint32_t)(pour_ms + pour_ms / 3) + 10000;
}

static uint32_t target_ul(const struct espresso *m)
{
    return m->order.recipe.volume_ml * 1000;
}

/* So near its end that a stop press could come just after the pump stopped by itself, and start it
 * again. */
static bool nearly_done(const struct espresso *m)
{
    uint64_t margin_ul = (uint64_t)espresso_flow_nominal(m) * STOP_MARGIN_MS / 1000;
    if (!m->tally.volume_measured)
        margin_ul += target_ul(m) / 5; /* what an estimate may be off by */
    return espresso_volume_ul(m) + margin_ul >= target_ul(m);
}

/* Press once more to stop the pump, with `code` as the reason.  A second request changes nothing.
 */
static void stop_begin(struct espresso *m, enum espresso_code code)
{
    if (m->phase != POUR_RUN)
        return;
    m->ending = code;
    m->stop_presses++;
    servo_push(m);
    espresso_phase(m, POUR_STOP_PUSH);
}

/* The pump is idle: what was it? */
static void pour_judge(struct espresso *m, const struct espresso_input *in)
{
    enum espresso_code code = m->ending;
    bool is_short = (uint64_t)espresso_volume_ul(m) * 10 < (uint64_t)target_ul(m) * 6;
    bool on_request = code == ESPRESSO_STOPPED || code == ESPRESSO_TIMEOUT;
    bool full = (uint64_t)espresso_volume_ul(m) * 20 >= (uint64_t)target_ul(m) * 19;
    if (m->stop_presses == 0 || (on_request && full)) {
        code = ESPRESSO_OK; /* a stop that came too late to be honoured does not spoil a full cup */
        if (is_short)
            code = in->water_low ? ESPRESSO_WATER_LOW : ESPRESSO_SHORT_VOLUME;
    }
    espresso_make_safe(m, code);
}

static void pour_run(struct espresso *m, const struct espresso_input *in)
{
    uint32_t volume_ul = espresso_volume_ul(m);
    if (!m->pump_on)
        pour_judge(m, in);
    else if (m->pump_below_ms > 0)
        return; /* perhaps ending right now: no press into that */
    else if (m->head_open_ms > HEAD_OPEN_MS_MAX)
        stop_begin(m, ESPRESSO_HEAD_OPEN);
    else if (m->tally.brew_ms > pour_ms_max(m) ||
             (m->dry_ms > DRY_MS_MAX && m->tally.brew_ms > espresso_first_drop_ms(m)) ||
             volume_ul > target_ul(m) + target_ul(m) / 5 + 8000)
        stop_begin(m, ESPRESSO_PUMP_TIMEOUT);
    else if (m->stopping && !nearly_done(m))
        stop_begin(m, m->ending);
    else if (m->state == ESPRESSO_BREWING && m->tally.brew_ms >= espresso_first_drop_ms(m))
        espresso_enter(m, ESPRESSO_MONITORING);
}

static void stop_push(struct espresso *m)
{
    /* The current fell while the arm was still on its way: the pump ended by itself, take the
     * finger back. */
    bool late = m->pump_below_ms > 0 && m->phase_ms < m->calibration.servo_travel_ms / 2;
    if (!late && m->phase_ms < push_ms(m))
        return;
    servo_release(m);
    espresso_phase(m, POUR_STOP_RELEASE);
}

static void stop_wait(struct espresso *m, const struct espresso_input *in)
{
    if (!m->pump_on) {
        pour_judge(m, in);
    } else if (m->phase_ms > STOP_WAIT_MS) {
        espresso_phase(m, POUR_RUN);
        if (m->stop_presses < STOP_PRESSES_MAX)
            stop_begin(m, m->ending);
        else
            espresso_finish(m, ESPRESSO_PUMP_TIMEOUT); /* it obeys nobody; the head stays shut */
    }
}

void espresso_pouring(struct espresso *m, const struct espresso_input *in)
{
    if (espresso_current_stuck(m)) {
        espresso_finish(m, ESPRESSO_SENSOR_FAULT); /* blind: no press, and the head stays shut */
        return;
    }
    switch (m->phase) {
    case POUR_RUN:
        pour_run(m, in);
        break;
    case POUR_STOP_PUSH:
        stop_push(m);
        break;
    case POUR_STOP_RELEASE:
        if (m->phase_ms >= m->calibration.servo_travel_ms) {
            servo_off(m);
            espresso_phase(m, POUR_STOP_WAIT);
        }
        break;
    case POUR_STOP_WAIT:
    default:
        stop_wait(m, in);
        break;
    }
}

/* ---- stop ---- */

static void stop_early(struct espresso *m, const struct espresso_input *in)
{
    /* A capsule in the carriage or half-way has one clean way out: through the machine, unbrewed.
     */
    if (m->state == ESPRESSO_INSERTING || m->state == ESPRESSO_CLOSING_HEAD || in->capsule_seen)
        return; /* the states look at m->stopping */
    /* Standing at the slot, a capsule may be falling into the carriage this very moment: let the
     * state find out. */
    if (m->state == ESPRESSO_PICKING && m->outputs.picker_steps_s == 0 && m->state_ms > 0)
        return;
    espresso_make_safe(m, m->ending);
}

void espresso_stop(struct espresso *m, const struct espresso_input *in, enum espresso_code code)
{
    if (m->state == ESPRESSO_EJECTING || m->stop_presses > 0)
        return; /* already on its way out */
    if (!m->stopping) {
        m->stopping = true;
        m->ending = code;
    }
    switch (m->state) {
    case ESPRESSO_VALIDATING:
    case ESPRESSO_PRE_FLIGHT:
        espresso_finish(m, m->ending);
        break;
    case ESPRESSO_HOMING:
    case ESPRESSO_PICKING:
    case ESPRESSO_INSERTING:
    case ESPRESSO_CLOSING_HEAD:
        stop_early(m, in);
        break;
    case ESPRESSO_PRESSING_BUTTON:
        if (m->tally.button_presses == 0)
            espresso_make_safe(m, m->ending);
        break;
    case ESPRESSO_BREWING:
    case ESPRESSO_MONITORING: /* pour_run() presses when it may */
    case ESPRESSO_IDLE:
    case ESPRESSO_POLLING:
    case ESPRESSO_EJECTING:
    case ESPRESSO_COMPLETE:
    case ESPRESSO_ERROR:
    case ESPRESSO_STATE_COUNT:
    default:
        break;
    }
}
