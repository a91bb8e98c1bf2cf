/* The frame of the state machine: interlocks first, then requests, then the state's own step.
 *
 *   IDLE -> HOMING -> CALIBRATING -> MOVING -> SEALING -> COMPLETE -> IDLE
 *      \------- (calibrated) --------^   \----(not to 0)----^
 *
 * A stop asked for: STOPPING, then IDLE.  A pinch: BACKING_OFF, then ERROR -> IDLE after a second.
 * Estop, a dead sensor, a sash that does not follow: ERROR, everything off in this very step.
 * In IDLE, COMPLETE and ERROR every output is zero. */
#include "machine/window/window_int.h"

#define TURN_MS      300
#define ERROR_MS_MIN 1000 /* long enough for a person and a progress report to see it */

uint32_t window_state_ms_max(const struct window_calibration *calibration, enum window_state state)
{
    uint32_t travel = (uint32_t)calibration->travel_mm * 1000;
    switch (state) {
    case WINDOW_HOMING:
    case WINDOW_CALIBRATING:
        return travel / (uint32_t)calibration->home_mm_s * 5 / 4 + 5000;
    case WINDOW_MOVING:
        return travel / (uint32_t)calibration->speed_mm_s * 5 / 4 + 5000;
    case WINDOW_SEALING:
    case WINDOW_STOPPING:
        return 4000;
    case WINDOW_BACKING_OFF:
        return 8000;
    case WINDOW_COMPLETE:
        return 1000;
    case WINDOW_IDLE:
    case WINDOW_ERROR:
    case WINDOW_STATE_COUNT:
    default:
        return 0;
    }
}

bool window_outputs_off(const struct window_outputs *outputs)
{
    return !outputs->drive_on && outputs->speed_um_s == 0;
}

void window_init(struct window *window, const struct window_calibration *calibration)
{
    bool usable = calibration != NULL && window_calibration_fault(calibration) == NULL;
    *window = (struct window){
        .state = WINDOW_IDLE,
        .calibration = usable ? *calibration : window_calibration_preset(),
        .travel_um = WINDOW_UNKNOWN,
    };
}

int32_t window_position_mpct(const struct window *window)
{
    if (!window->calibrated || window->travel_um <= 0)
        return WINDOW_UNKNOWN;
    int64_t mpct = window->position_um * 100000 / window->travel_um;
    /* The edge of a switch has a width; nobody wants to read -0.1 %. */
    return (int32_t)(mpct < 0 ? 0 : mpct > 100000 ? 100000 : mpct);
}

void window_phase(struct window *w, uint8_t phase)
{
    if (w->phase == phase)
        return;
    w->phase = phase;
    w->phase_ms = 0;
}

void window_enter(struct window *w, enum window_state state)
{
    w->state = state;
    w->state_ms = w->phase_ms = 0;
    w->phase = 0;
    w->state_changed = true;
    w->outputs = (struct window_outputs){0};
    window_watch_begin(w);
}

static enum window_outcome outcome_of(enum window_code code, bool moved)
{
    if (code == WINDOW_OK)
        return WINDOW_OUTCOME_COMPLETE;
    if (code == WINDOW_STOPPED)
        return WINDOW_OUTCOME_CANCELLED;
    return moved ? WINDOW_OUTCOME_FAILED : WINDOW_OUTCOME_REJECTED;
}

/* What was learned is worth nothing once the sash may be elsewhere than the encoder says. */
static bool forgets(enum window_code code)
{
    return code == WINDOW_ESTOP || code == WINDOW_SENSOR_FAULT || code == WINDOW_POSITION_LOST ||
           code == WINDOW_ENDSTOP_STUCK || code == WINDOW_STALLED;
}

void window_finish(struct window *w, enum window_code code)
{
    struct window_result *result = &w->tally;
    result->outcome = outcome_of(code, w->state != WINDOW_IDLE);
    result->code = code;
    if (forgets(code))
        w->calibrated = false;
    result->position_mpct = window_position_mpct(w);
    result->travel_um = w->travel_um;
    result->total_ms = w->order_ms;
    w->result = *result;
    w->result_ready = true;
    w->active = false;
    if (code == WINDOW_OK)
        window_enter(w, WINDOW_COMPLETE);
    else if (code == WINDOW_STOPPED)
        window_enter(w, WINDOW_IDLE);
    else
        window_enter(w, WINDOW_ERROR);
    w->code = code == WINDOW_STOPPED ? WINDOW_OK : code;
}

void window_abort(struct window *w, enum window_code code)
{
    if (code != WINDOW_PINCHED || w->state == WINDOW_BACKING_OFF) {
        window_finish(w, w->state == WINDOW_BACKING_OFF ? w->ending : code);
        return;
    }
    int64_t back_um = (int64_t)w->calibration.pinch_back_mm * 1000;
    bool opening = w->outputs.speed_um_s > 0;
    w->ending = code;
    window_enter(w, WINDOW_BACKING_OFF);
    w->blank_ms = TURN_MS;
    window_profile_begin(w);
    int64_t target_um = w->position_um + (opening ? -back_um : back_um);
    if (w->calibrated && target_um < 0)
        target_um = 0;
    if (w->calibrated && target_um > w->travel_um)
        target_um = w->travel_um;
    window_profile_to(w, target_um);
}

/* ---- may it start ---- */

static bool refuse(struct window_refusal *ret_refusal, enum window_code code)
{
    *ret_refusal = (struct window_refusal){code, NULL, NULL};
    return false;
}

static bool sensors_sane(const struct window *w, const struct window_input *in,
                         struct window_refusal *ret_refusal)
{
    if (in->estop)
        return refuse(ret_refusal, WINDOW_ESTOP);
    if (in->closed_switch && in->open_switch)
        return refuse(ret_refusal, WINDOW_ENDSTOP_STUCK);
    /* At rest the motor draws nothing; what it draws now is not ours, or not a current. */
    if (in->current_ma >= w->calibration.pinch_ma || in->current_ma < -w->calibration.pinch_ma)
        return refuse(ret_refusal, WINDOW_SENSOR_FAULT);
    return true;
}

bool window_preflight(const struct window *window, const struct window_input *in,
                      const struct window_order *order, struct window_refusal *ret_refusal)
{
    if (!window_check(order, ret_refusal))
        return false;
    if (window->active)
        return refuse(ret_refusal, WINDOW_BUSY);
    return sensors_sane(window, in, ret_refusal);
}

/* ---- requests ---- */

static void order_begin(struct window *w, const struct window_input *in)
{
    struct window_refusal refusal;
    w->order = *in->order;
    w->active = true;
    w->ending = w->code = WINDOW_OK;
    w->order_ms = 0;
    w->sample_due_ms = 0;
    w->tally = (struct window_result){.outcome = WINDOW_OUTCOME_NONE};
    window_enter(w, WINDOW_IDLE);
    if (!window_check(&w->order, &refusal) || !sensors_sane(w, in, &refusal)) {
        window_finish(w, refusal.code);
        return;
    }
    window_enter(w, w->calibrated ? WINDOW_MOVING : WINDOW_HOMING);
    window_profile_begin(w);
    if (w->calibrated)
        window_profile_to(w, window_target_um(w, w->order.position_mpct));
}

/* A pinch that is being made good goes on: it is a stop already. */
static void order_stop(struct window *w, enum window_code code)
{
    if (!w->active || w->state == WINDOW_BACKING_OFF)
        return;
    if (w->state == WINDOW_STOPPING) {
        w->ending = code == WINDOW_TIMEOUT ? code : w->ending;
        return;
    }
    int32_t speed = w->reference_um_s;
    int64_t at_nm = w->reference_nm;
    struct window_outputs outputs = w->outputs;
    window_enter(w, WINDOW_STOPPING);
    w->outputs = outputs; /* it goes on rolling out; the next line's profile takes over */
    w->reference_um_s = speed;
    w->reference_nm = at_nm;
    w->ending = code;
    window_profile_stop(w);
}

static void request_hear(struct window *w, const struct window_input *in)
{
    switch (in->request) {
    case WINDOW_REQUEST_MOVE:
        if (!w->active && in->order != NULL)
            order_begin(w, in);
        break;
    case WINDOW_REQUEST_STOP:
        order_stop(w, WINDOW_STOPPED);
        break;
    case WINDOW_REQUEST_DEADLINE:
        order_stop(w, WINDOW_TIMEOUT);
        break;
    case WINDOW_REQUEST_NONE:
    default:
        break;
    }
}

/* ---- interlocks ---- */

static bool interlocks_trip(struct window *w, const struct window_input *in)
{
    if (!in->estop)
        return false;
    w->calibrated = false; /* hands may move the sash now */
    if (in->request == WINDOW_REQUEST_MOVE && in->order != NULL && !w->active) {
        order_begin(w, in); /* a start must not be lost without an answer: it is refused */
    } else if (w->active) {
        window_finish(w, WINDOW_ESTOP);
    } else if (w->state != WINDOW_ERROR || w->code != WINDOW_ESTOP) {
        window_enter(w, WINDOW_ERROR);
        w->code = WINDOW_ESTOP;
    }
    return true;
}

static bool state_moves(enum window_state state)
{
    return state >= WINDOW_HOMING && state <= WINDOW_BACKING_OFF;
}

static bool state_timed_out(struct window *w)
{
    uint32_t most = window_state_ms_max(&w->calibration, w->state);
    if (!w->active || most == 0 || w->state_ms < most)
        return false;
    bool finding = w->state == WINDOW_HOMING || w->state == WINDOW_CALIBRATING;
    bool ending = w->state == WINDOW_BACKING_OFF || w->state == WINDOW_STOPPING;
    window_finish(w, finding ? WINDOW_NOT_CALIBRATED : ending ? w->ending : WINDOW_TIMEOUT);
    return true;
}

static bool motion_wrong(struct window *w, const struct window_input *in, uint32_t dt_ms)
{
    if (!state_moves(w->state))
        return false;
    enum window_code code = window_watch_motion(w, in, dt_ms);
    if (code == WINDOW_PINCHED && w->state == WINDOW_CALIBRATING && window_at_open_end(w))
        code = WINDOW_ENDSTOP_STUCK; /* it ran into the end, and the switch said nothing */
    if (code != WINDOW_OK)
        window_abort(w, code);
    return code != WINDOW_OK && !state_moves(w->state);
}

/* The program was held up, and the driver's watchdog has stopped the sash meanwhile. */
static void held_up(struct window *w)
{
    if (!state_moves(w->state))
        return;
    int64_t target_nm = w->target_nm;
    window_watch_begin(w);
    w->blank_ms = TURN_MS / 2;
    window_profile_begin(w);
    w->target_nm = w->state == WINDOW_STOPPING ? w->reference_nm : target_nm;
}

/* ---- the step ---- */

static void state_run(struct window *w, const struct window_input *in, uint32_t dt_ms)
{
    switch (w->state) {
    case WINDOW_HOMING:
        window_homing(w, in, dt_ms);
        break;
    case WINDOW_CALIBRATING:
        window_calibrating(w, in, dt_ms);
        break;
    case WINDOW_MOVING:
        window_moving(w, in, dt_ms);
        break;
    case WINDOW_SEALING:
        window_sealing(w, in, dt_ms);
        break;
    case WINDOW_STOPPING:
        window_stopping(w, in, dt_ms);
        break;
    case WINDOW_BACKING_OFF:
        window_backing_off(w, in, dt_ms);
        break;
    case WINDOW_COMPLETE:
        window_enter(w, WINDOW_IDLE);
        break;
    case WINDOW_ERROR:
        if (w->state_ms >= ERROR_MS_MIN) {
            window_enter(w, WINDOW_IDLE);
            w->code = WINDOW_OK;
        }
        break;
    case WINDOW_IDLE:
    case WINDOW_STATE_COUNT:
    default:
        break;
    }
}

static void sample_take(struct window *w, const struct window_input *in)
{
    if (!w->active || w->order_ms < w->sample_due_ms)
        return;
    w->sample_due_ms = w->order_ms + WINDOW_SAMPLE_MS;
    w->sample_ready = true;
    w->sample = (struct window_sample){w->order_ms, window_position_mpct(w), in->current_ma};
}

static uint32_t add_ms(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

static void count_time(struct window *w, uint32_t dt_ms)
{
    w->state_ms = add_ms(w->state_ms, dt_ms);
    w->phase_ms = add_ms(w->phase_ms, dt_ms);
    if (w->active)
        w->order_ms = add_ms(w->order_ms, dt_ms);
    if (w->active && w->outputs.drive_on)
        w->tally.moved_ms = add_ms(w->tally.moved_ms, dt_ms);
}

struct window window_step(struct window now, struct window_input in, uint32_t dt_ms)
{
    struct window *w = &now;
    w->state_changed = w->sample_ready = w->result_ready = false;
    /* The rest of the machine knows one direction only; the wires are turned at the door. */
    if (w->calibration.invert != 0)
        w->outputs.speed_um_s = -w->outputs.speed_um_s;
    count_time(w, dt_ms);
    window_watch_read(w, &in, dt_ms);
    sample_take(w, &in);
    if (dt_ms > WINDOW_WATCHDOG_MS)
        held_up(w);
    if (!interlocks_trip(w, &in) && !state_timed_out(w)) {
        request_hear(w, &in);
        if (!motion_wrong(w, &in, dt_ms) && !w->result_ready)
            state_run(w, &in, dt_ms);
    }
    w->closed_was = in.closed_switch;
    w->open_was = in.open_switch;
    if (!state_moves(w->state))
        w->outputs = (struct window_outputs){0};
    else if (w->calibration.invert != 0)
        w->outputs.speed_um_s = -w->outputs.speed_um_s;
    return now;
}
