/* What the sensors tell while a step passes: is the pump running, how much has flowed, how hot was
 * it. */
#include "machine/espresso/espresso_int.h"

#define PUMP_ON_MS      60    /* above the threshold that long: it runs, it is no spike */
#define FLOW_ULS_MAX    20000 /* no pump here moves more; beyond it the meter is wrong */
#define WETTING_PERCENT 45    /* what pre-infusion does towards the first drop, of full power */
#define HEAD_OPEN_CAP   60000

uint32_t espresso_flow_nominal(const struct espresso *m)
{
    return m->order.recipe.capsule_type == ESPRESSO_VERTUO ? m->calibration.flow_vertuo_uls
                                                           : m->calibration.flow_original_uls;
}

uint32_t espresso_first_drop_ms(const struct espresso *m)
{
    uint32_t build_up_ms = m->order.recipe.capsule_type == ESPRESSO_VERTUO
                               ? m->calibration.build_up_vertuo_ms
                               : m->calibration.build_up_original_ms;
    uint32_t pre_ms = m->order.recipe.pre_infusion_ms;
    uint32_t wetted_ms = pre_ms * WETTING_PERCENT / 100;
    return pre_ms + (build_up_ms > wetted_ms ? build_up_ms - wetted_ms : 0);
}

uint32_t espresso_volume_ul(const struct espresso *m)
{
    uint64_t ul = m->volume_nl / 1000;
    return ul > UINT32_MAX ? UINT32_MAX : (uint32_t)ul;
}

/* A living ACS712 is never still: the same number over and over is a dead sensor. */
static void watch_stuck(struct espresso *m, int32_t current_ma, uint32_t dt_ms)
{
    if (current_ma != m->current_last_ma) {
        m->current_last_ma = current_ma;
        m->current_same_ms = 0;
        m->current_same_count = 0;
        return;
    }
    if (m->current_same_ms < UINT32_MAX / 2) {
        m->current_same_ms += dt_ms;
        m->current_same_count++;
    }
}

static void watch_pump(struct espresso *m, int32_t current_ma, uint32_t dt_ms)
{
    const struct espresso_calibration *c = &m->calibration;
    m->pump_above_ms = current_ma >= c->pump_on_ma ? m->pump_above_ms + dt_ms : 0;
    m->pump_below_ms = current_ma < c->pump_off_ma ? m->pump_below_ms + dt_ms : 0;
    if (m->pump_above_ms >= PUMP_ON_MS)
        m->pump_on = true;
    if (m->pump_below_ms >= c->pump_idle_ms)
        m->pump_on = false;
    if (m->pump_above_ms > UINT32_MAX / 2)
        m->pump_above_ms = PUMP_ON_MS;
    if (m->pump_below_ms > UINT32_MAX / 2)
        m->pump_below_ms = c->pump_idle_ms;
}

/* The order whose water this is: from the first press until the machine is opened. */
static bool pour_watched(const struct espresso *m)
{
    return m->active && m->tally.button_presses > 0 && m->state >= ESPRESSO_PRESSING_BUTTON &&
           m->state <= ESPRESSO_EJECTING;
}

static int32_t flow_now(const struct espresso *m, const struct espresso_input *in,
                        bool *ret_measured)
{
    if (in->flow_uls != ESPRESSO_UNKNOWN) {
        *ret_measured = true;
        if (in->flow_uls < 0)
            return 0;
        return in->flow_uls > FLOW_ULS_MAX ? FLOW_ULS_MAX : in->flow_uls;
    }
    *ret_measured = false;
    bool flows =
        m->pump_on && m->pump_below_ms == 0 && m->tally.brew_ms >= espresso_first_drop_ms(m);
    return flows ? (int32_t)espresso_flow_nominal(m) : 0;
}

static void watch_pour(struct espresso *m, const struct espresso_input *in, uint32_t dt_ms)
{
    bool measured;
    int32_t flow_uls = flow_now(m, in, &measured);
    m->volume_nl += (uint64_t)flow_uls * dt_ms; /* ul/s times ms are nl */
    if (!measured)
        m->tally.volume_measured = false;
    if (m->pump_on) {
        m->tally.poured = true;
        if (m->pump_below_ms == 0)
            m->tally.brew_ms += dt_ms;
    }
    if (flow_uls > 0 && in->temperature_mc != ESPRESSO_UNKNOWN) {
        m->temperature_sum += (int64_t)in->temperature_mc * dt_ms;
        m->temperature_ms += dt_ms;
    }
    bool dry = measured && m->pump_on && flow_uls < 50;
    m->dry_ms = dry ? m->dry_ms + dt_ms : 0;
    m->head_open_ms =
        !in->head_closed && m->head_open_ms < HEAD_OPEN_CAP ? m->head_open_ms + dt_ms : 0;

    m->sample_t_ms += dt_ms;
    if (m->sample_t_ms < m->sample_due_ms || m->state == ESPRESSO_EJECTING)
        return;
    m->sample_due_ms = m->sample_t_ms - m->sample_t_ms % ESPRESSO_SAMPLE_MS + ESPRESSO_SAMPLE_MS;
    m->sample_ready = true;
    m->sample = (struct espresso_sample){
        .t_ms = m->sample_t_ms,
        .temperature_mc = in->temperature_mc,
        .pressure_mbar = in->pressure_mbar,
        .flow_uls = flow_uls,
        .current_ma = in->current_ma,
        .volume_ul = espresso_volume_ul(m),
    };
}

void espresso_watch(struct espresso *m, const struct espresso_input *in, uint32_t dt_ms)
{
    watch_stuck(m, in->current_ma, dt_ms);
    watch_pump(m, in->current_ma, dt_ms);
    if (pour_watched(m))
        watch_pour(m, in, dt_ms);
}
