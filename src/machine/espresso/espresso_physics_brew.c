/* The coffee machine: thermal block with PID, pump, puck, cup, and the current all this draws. */
#include "machine/espresso/espresso_physics_int.h"

/* thermal block */
#define BLOCK_J_K    500.0
#define LOSS_W_K     1.2
#define HEATER_W_MAX 1500.0
#define WATER_J_MLK  4.18
#define TANK_C       20.0
#define PID_P        60.0
#define PID_I        0.5
#define PID_I_BAND_K 3.0
#define PID_D        40.0

/* pump and puck.  A vibration pump gives less the more it has to push: at 19 bar nothing. */
#define STALL_BAR       19.0
#define SPACE_ML_BAR    0.25 /* hose and head take that much per bar */
#define PRE_INFUSION    0.4  /* of the pump's power while it wets the puck */
#define PUMP_W          48.0
#define VALVE_BAR_MS    0.02 /* relief valve, once the pump stops */
#define BREW_MS_DEFAULT 300.0
#define BREW_ML_DEFAULT 40.0

struct puck {
    double pump_mls;    /* the pump's flow without resistance */
    double bar_per_mls; /* resistance */
    double soak_ml;     /* taken up before the first drop */
};

static const struct puck pucks[] = {
    [ESPRESSO_ORIGINAL] = {3.0, 7.7, 4.5},
    /* Spun, not pressed: much flow, little pressure. */
    [ESPRESSO_VERTUO] = {4.6, 0.6, 9.0},
};
static const struct puck puck_none = {3.0, 0.4, 0.0};

static const struct puck *puck_of(const struct espresso_physics *p)
{
    return p->chamber_loaded ? &pucks[p->chamber_type] : &puck_none;
}

/* The button toggles: it starts an idle pump and stops a running one. */
void espresso_physics_button(struct espresso_physics *p, const struct espresso_outputs *out)
{
    if (p->pump_on) {
        p->pump_on = false;
        return;
    }
    bool cut = espresso_physics_faulty(p, ESPRESSO_FAULT_OVER_TEMPERATURE);
    if (cut || p->head < 0.97)
        return; /* the machine's own interlocks */
    p->pump_on = true;
    p->pump_starts++;
    p->pump_ms = 0.0;
    p->volume_ml = 0.0;
    p->puck_ml = 0.0;
    p->target_ml = out->setpoint_ml != 0 ? out->setpoint_ml : BREW_ML_DEFAULT;
    p->pre_infusion_ms = out->setpoint_ml != 0 ? out->setpoint_pre_infusion_ms : BREW_MS_DEFAULT;
}

/* ---- heat ---- */

static void heat_step(struct espresso_physics *p, const struct espresso_outputs *out,
                      double inflow_mls, double dt_s)
{
    p->setpoint_c = out->setpoint_mc != 0 ? out->setpoint_mc / 1000.0 : ESPRESSO_STANDBY_C;
    double error = p->setpoint_c - p->block_c;
    double slope = (p->block_c - p->pid_last_c) / dt_s;
    p->pid_last_c = p->block_c;
    /* What the inflowing water will take is known from the pump, so it is given before it is
     * missed. */
    double forward = inflow_mls * WATER_J_MLK * (p->setpoint_c - TANK_C);
    double power = PID_P * error + p->pid_integral - PID_D * slope + forward;
    if (error < PID_I_BAND_K && error > -PID_I_BAND_K) /* farther off it would only wind up */
        p->pid_integral += PID_I * error * dt_s;
    if (power > HEATER_W_MAX)
        power = HEATER_W_MAX;
    bool dead = espresso_physics_faulty(p, ESPRESSO_FAULT_OVER_TEMPERATURE) ||
                espresso_physics_faulty(p, ESPRESSO_FAULT_ESTOP);
    p->heater_w = dead || power < 0.0 ? 0.0 : power;
    double out_w =
        LOSS_W_K * (p->block_c - p->ambient_c) + inflow_mls * WATER_J_MLK * (p->block_c - TANK_C);
    p->block_c += (p->heater_w - out_w) * dt_s / BLOCK_J_K;
    p->energy_j += p->heater_w * dt_s;
}

/* ---- water ---- */

static double pump_inflow(const struct espresso_physics *p, const struct puck *puck)
{
    if (!p->pump_on || p->tank_ml <= 0.0)
        return 0.0;
    double power = p->pump_ms < p->pre_infusion_ms ? PRE_INFUSION : 1.0;
    double rest = 1.0 - p->pressure_bar / (STALL_BAR * power);
    return rest > 0.0 ? puck->pump_mls * power * rest : 0.0;
}

/* Through the puck: first it soaks, then it drips. */
static void puck_step(struct espresso_physics *p, const struct puck *puck, double inflow_mls,
                      double dt_s)
{
    double through_mls = p->pressure_bar / puck->bar_per_mls;
    p->pressure_bar += (inflow_mls - through_mls) * dt_s / SPACE_ML_BAR;
    if (p->pressure_bar < 0.0)
        p->pressure_bar = 0.0;
    p->flow_mls = 0.0;
    if (p->puck_ml < puck->soak_ml) {
        p->puck_ml += through_mls * dt_s;
    } else if (p->head >= 0.97) {
        p->flow_mls = through_mls;
        p->volume_ml += through_mls * dt_s;
    }
}

static void pump_limits(struct espresso_physics *p)
{
    bool endless = espresso_physics_faulty(p, ESPRESSO_FAULT_PUMP_TIMEOUT);
    bool dead = espresso_physics_faulty(p, ESPRESSO_FAULT_OVER_TEMPERATURE) ||
                espresso_physics_faulty(p, ESPRESSO_FAULT_ESTOP);
    if (dead || (p->volume_ml >= p->target_ml && !endless))
        p->pump_on = false; /* and it does not start again when the power comes back */
}

void espresso_physics_water(struct espresso_physics *p, const struct espresso_outputs *out,
                            double dt_ms)
{
    const struct puck *puck = puck_of(p);
    double dt_s = dt_ms / 1000.0;
    pump_limits(p);
    double inflow_mls = pump_inflow(p, puck);
    if (p->pump_on) {
        p->pump_ms += dt_ms;
        p->pump_total_ms += (uint64_t)dt_ms;
        p->tank_ml -= inflow_mls * dt_s;
        if (p->tank_ml < 0.0)
            p->tank_ml = 0.0;
        p->energy_j += PUMP_W * dt_s;
    } else {
        double relief = VALVE_BAR_MS * dt_ms;
        p->pressure_bar = p->pressure_bar > relief ? p->pressure_bar - relief : 0.0;
    }
    if (p->head < 0.97)
        p->pressure_bar = 0.0; /* nothing holds it */
    puck_step(p, puck, inflow_mls, dt_s);
    heat_step(p, out, inflow_mls, dt_s);
}

/* Mean current over whole mains periods.  A vibration pump has a diode in series and draws
 * half-waves, which leave a mean; the heater's symmetric current leaves none.  So one sensor in the
 * feed tells the pump from the heater. */
void espresso_physics_current(struct espresso_physics *p, struct rng *rng)
{
    double noise = rng_unit(rng) + rng_unit(rng) + rng_unit(rng) + rng_unit(rng) - 2.0;
    if (espresso_physics_faulty(p, ESPRESSO_FAULT_SENSOR_STUCK))
        return;
    double current_ma = 0.0;
    if (p->pump_on) {
        double power = p->pump_ms < p->pre_infusion_ms ? 0.65 : 1.0;
        current_ma = (155.0 - 2.5 * p->pressure_bar) * power;
    }
    current_ma += noise * 10.0;
    p->current_ma = (int32_t)(current_ma + (current_ma < 0 ? -0.5 : 0.5));
}
