/* The frame of the state machine: interlocks first, then requests, then the state's own step.
 *
 *   IDLE -> VALIDATING -> PRE_FLIGHT -> HOMING -> PICKING -> INSERTING -> CLOSING_HEAD ->
 * PRESSING_BUTTON
 *                                                                                             |
 *   IDLE <- COMPLETE <- EJECTING <- MONITORING <- BREWING <-----------------------------------+
 *
 * In any state: estop, over-temperature or a dead sensor that matters -> ERROR (everything off in
 * this very step). A failure that leaves the machine able to move -> EJECTING (make safe) -> ERROR
 * -> IDLE. In IDLE, POLLING, VALIDATING, PRE_FLIGHT, COMPLETE and ERROR every output is zero. */
#include "machine/espresso/espresso_int.h"

#define ERROR_MS_MIN 1000 /* long enough for a person and a progress report to see it */

static const uint32_t state_ms_max[ESPRESSO_STATE_COUNT] = {
    [ESPRESSO_VALIDATING] = 1000,       [ESPRESSO_PRE_FLIGHT] = 1000,
    [ESPRESSO_HOMING] = 45000,          [ESPRESSO_PICKING] = 60000,
    [ESPRESSO_INSERTING] = 60000,       [ESPRESSO_CLOSING_HEAD] = 12000,
    [ESPRESSO_PRESSING_BUTTON] = 90000, [ESPRESSO_BREWING] = 40000,
    [ESPRESSO_MONITORING] = 240000,     [ESPRESSO_EJECTING] = 45000,
    [ESPRESSO_COMPLETE] = 1000,
};

uint32_t espresso_state_ms_max(enum espresso_state state)
{
    return (uint32_t)state < ESPRESSO_STATE_COUNT ? state_ms_max[state] : 0;
}

bool espresso_outputs_off(const struct espresso_outputs *outputs)
{
    return !outputs->rail_12v && outputs->picker_steps_s == 0 && outputs->inserter_steps_s == 0 &&
           outputs->servo_mdeg == 0 && !outputs->servo_on && outputs->head == 0 &&
           outputs->setpoint_mc == 0;
}

void espresso_init(struct espresso *machine, enum espresso_model model,
                   const struct espresso_calibration *calibration)
{
    *machine = (struct espresso){
        .state = ESPRESSO_IDLE,
        .model = model,
        .calibration = calibration && !espresso_calibration_fault(calibration)
                           ? *calibration
                           : espresso_calibration_preset(),
        .current_last_ma = ESPRESSO_UNKNOWN,
    };
}

void espresso_phase(struct espresso *m, uint8_t phase)
{
    m->phase = phase;
    m->phase_ms = 0;
}

/* Each state begins with all outputs off and switches on what it needs. */
void espresso_enter(struct espresso *m, enum espresso_state state)
{
    m->state = state;
    m->state_ms = 0;
    m->state_changed = true;
    m->outputs = (struct espresso_outputs){0};
    espresso_phase(m, 0);
}

static enum espresso_outcome outcome_of(const struct espresso *m, enum espresso_code code)
{
    if (code == ESPRESSO_OK)
        return ESPRESSO_OUTCOME_COMPLETE;
    if (code == ESPRESSO_STOPPED)
        return ESPRESSO_OUTCOME_CANCELLED;
    if (m->state == ESPRESSO_VALIDATING || m->state == ESPRESSO_PRE_FLIGHT)
        return ESPRESSO_OUTCOME_REJECTED; /* nothing has moved yet */
    return ESPRESSO_OUTCOME_FAILED;
}

void espresso_finish(struct espresso *m, enum espresso_code code)
{
    struct espresso_result *result = &m->tally;
    result->outcome = outcome_of(m, code);
    result->code = code;
    result->volume_ul = espresso_volume_ul(m);
    result->total_ms = m->order_ms;
    result->temperature_mc = m->temperature_ms != 0
                                 ? (int32_t)(m->temperature_sum / (int64_t)m->temperature_ms)
                                 : ESPRESSO_UNKNOWN;
    m->result = *result;
    m->result_ready = true;
    m->active = false;
    m->stopping = false;
    if (code == ESPRESSO_OK)
        espresso_enter(m, ESPRESSO_COMPLETE);
    else if (code == ESPRESSO_STOPPED)
        espresso_enter(m, ESPRESSO_IDLE);
    else
        espresso_enter(m, ESPRESSO_ERROR);
    m->code = code == ESPRESSO_STOPPED ? ESPRESSO_OK : code;
}

void espresso_make_safe(struct espresso *m, enum espresso_code code)
{
    m->ending = code;
    espresso_enter(m, ESPRESSO_EJECTING);
}

/* ---- interlocks ---- */

/* Everything off, now.  Where the axes and the capsule are is no longer known: hands may have been
 * in there. */
static void trip(struct espresso *m, enum espresso_code code)
{
    m->homed = false;
    if (m->active) {
        espresso_finish(m, code);
    } else if (m->state != ESPRESSO_ERROR || m->code != code) {
        espresso_enter(m, ESPRESSO_ERROR);
        m->code = code;
    }
}

static bool interlocks_trip(struct espresso *m, const struct espresso_input *in)
{
    if (in->estop) {
        trip(m, ESPRESSO_ESTOP);
        return true;
    }
    if (espresso_too_hot(m, in)) {
        trip(m, ESPRESSO_OVER_TEMPERATURE);
        return true;
    }
    return false;
}

/* A state that outlives its time.  Motion ends here without more motion: what is stuck must not be
 * pushed. */
static bool state_timed_out(struct espresso *m)
{
    uint32_t limit_ms = espresso_state_ms_max(m->state);
    if (!m->active || limit_ms == 0 || m->state_ms < limit_ms)
        return false;
    enum espresso_code code = ESPRESSO_TIMEOUT;
    if (m->state == ESPRESSO_HOMING)
        code = ESPRESSO_NOT_HOME;
    if (m->state == ESPRESSO_BREWING || m->state == ESPRESSO_MONITORING)
        code = ESPRESSO_PUMP_TIMEOUT;
    if (m->state == ESPRESSO_EJECTING) {
        m->tally.warning = ESPRESSO_EJECT_FAILED;
        code = m->ending;
    }
    m->homed = false;
    espresso_finish(m, code);
    return true;
}

/* ---- requests ---- */

static void order_begin(struct espresso *m, const struct espresso_order *order)
{
    m->order = *order;
    m->active = true;
    m->stopping = false;
    m->ending = ESPRESSO_OK;
    m->code = ESPRESSO_OK;
    m->order_ms = 0;
    m->stop_presses = 0;
    m->capsule_inside = false;
    m->tally = (struct espresso_result){.volume_measured = true};
    m->dry_ms = m->head_open_ms = 0;
    m->volume_nl = 0;
    m->temperature_sum = 0;
    m->temperature_ms = 0;
    m->sample_t_ms = m->sample_due_ms = 0;
    espresso_enter(m, ESPRESSO_VALIDATING);
}

static void request_hear(struct espresso *m, const struct espresso_input *in)
{
    switch (in->request) {
    case ESPRESSO_REQUEST_BREW:
        if (!m->active && in->order)
            order_begin(m, in->order);
        break;
    case ESPRESSO_REQUEST_STOP:
        if (m->active)
            espresso_stop(m, in, ESPRESSO_STOPPED);
        break;
    case ESPRESSO_REQUEST_DEADLINE:
        if (m->active)
            espresso_stop(m, in, ESPRESSO_TIMEOUT);
        break;
    case ESPRESSO_REQUEST_NONE:
    default:
        break;
    }
}

/* ---- the states without motion ---- */

static void validating(struct espresso *m)
{
    struct espresso_refusal refusal;
    if (espresso_check(&m->order, m->model, &refusal)) {
        espresso_enter(m, ESPRESSO_PRE_FLIGHT);
        return;
    }
    m->tally.field = refusal.field;
    espresso_finish(m, refusal.code);
}

static void pre_flight(struct espresso *m, const struct espresso_input *in)
{
    struct espresso_refusal refusal;
    if (espresso_preflight_sensors(m, in, &m->order, &m->tally.slot, &refusal)) {
        espresso_enter(m, ESPRESSO_HOMING);
        return;
    }
    m->tally.field = refusal.field;
    espresso_finish(m, refusal.code);
}

static void state_run(struct espresso *m, const struct espresso_input *in, uint32_t dt_ms)
{
    switch (m->state) {
    case ESPRESSO_VALIDATING:
        validating(m);
        break;
    case ESPRESSO_PRE_FLIGHT:
        pre_flight(m, in);
        break;
    case ESPRESSO_HOMING:
        espresso_homing(m, in);
        break;
    case ESPRESSO_PICKING:
        espresso_picking(m, in, dt_ms);
        break;
    case ESPRESSO_INSERTING:
        espresso_inserting(m, in, dt_ms);
        break;
    case ESPRESSO_CLOSING_HEAD:
        espresso_closing_head(m, in);
        break;
    case ESPRESSO_PRESSING_BUTTON:
        espresso_pressing_button(m, in);
        break;
    case ESPRESSO_BREWING:
    case ESPRESSO_MONITORING:
        espresso_pouring(m, in);
        break;
    case ESPRESSO_EJECTING:
        espresso_ejecting(m, in);
        break;
    case ESPRESSO_COMPLETE:
        espresso_enter(m, ESPRESSO_IDLE);
        break;
    case ESPRESSO_ERROR:
        if (m->state_ms >= ERROR_MS_MIN) {
            espresso_enter(m, ESPRESSO_IDLE);
            m->code = ESPRESSO_OK;
        }
        break;
    case ESPRESSO_IDLE:
    case ESPRESSO_POLLING:
    case ESPRESSO_STATE_COUNT:
    default:
        break;
    }
}

static bool state_energised(enum espresso_state state)
{
    return state >= ESPRESSO_HOMING && state <= ESPRESSO_EJECTING;
}

/* What the machine's own controller is told, as long as the order may still want hot water. */
static void setpoints(struct espresso *m)
{
    if (m->state < ESPRESSO_HOMING || m->state > ESPRESSO_MONITORING)
        return;
    const struct espresso_recipe *recipe = &m->order.recipe;
    m->outputs.setpoint_mc = recipe->temperature_mc;
    m->outputs.setpoint_ml = recipe->volume_ml;
    m->outputs.setpoint_pre_infusion_ms = recipe->pre_infusion_ms;
    m->outputs.setpoint_type = recipe->capsule_type;
}

static uint32_t add_ms(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

struct espresso espresso_step(struct espresso now, struct espresso_input in, uint32_t dt_ms)
{
    struct espresso *m = &now;
    m->state_changed = m->sample_ready = m->result_ready = false;
    m->picker_msteps += (int64_t)m->outputs.picker_steps_s * dt_ms;
    m->inserter_msteps += (int64_t)m->outputs.inserter_steps_s * dt_ms;
    m->state_ms = add_ms(m->state_ms, dt_ms);
    m->phase_ms = add_ms(m->phase_ms, dt_ms);
    if (m->active)
        m->order_ms = add_ms(m->order_ms, dt_ms);
    espresso_watch(m, &in, dt_ms);

    if (interlocks_trip(m, &in)) {
        /* A start asked for in this very step must not be lost without an answer. */
        if (in.request == ESPRESSO_REQUEST_BREW && in.order && !m->active && !m->result_ready) {
            enum espresso_code code = m->code;
            order_begin(m, in.order);
            espresso_finish(m, code);
        }
        return now;
    }
    enum espresso_state before = m->state;
    if (!state_timed_out(m)) {
        request_hear(m, &in);
        /* Making safe begins at once: an axis that stands still by a slot may be given a capsule.
         */
        if (m->state == before || m->state == ESPRESSO_EJECTING)
            state_run(m, &in, dt_ms);
    }
    if (state_energised(m->state))
        m->outputs.rail_12v = true;
    else
        m->outputs = (struct espresso_outputs){0};
    setpoints(m);
    return now;
}
