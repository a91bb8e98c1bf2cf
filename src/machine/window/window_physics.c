/* One mass (sash and, through the gear, rotor), a driver that regulates speed within a current
 * limit, friction of gear and seals, ends and obstacles as springs. */
#include "machine/window/window_physics.h"

#define MASS_KG        60.0
#define N_PER_MA       0.1
#define FORCE_MAX_N    150.0 /* the driver's current limit: 1.5 A */
#define FRICTION_N     30.0
#define SEAL_N         15.0 /* more of it over the last millimetres */
#define SEAL_MM        10.0
#define VISCOUS_N_S_MM 0.1
#define LOCK_N         250.0 /* a worm gear without drive */
#define DRIVER_N_S_MM  6.0
#define DRIVER_N_MM    60.0
#define END_N_MM       200.0
#define HAND_N_MM      10.0
#define HAND_MM        120.0
#define HAND_FITS_MM   60.0
#define COUNTS_PER_MM  20.0
#define SUBSTEP_MS     1

static const struct {
    const char *name;
    enum window_fault fault;
} faults[WINDOW_FAULT_COUNT] = {
    {"obstacle", WINDOW_FAULT_OBSTACLE},         {"endstop_stuck", WINDOW_FAULT_ENDSTOP_STUCK},
    {"motor_dead", WINDOW_FAULT_MOTOR_DEAD},     {"encoder_slip", WINDOW_FAULT_ENCODER_SLIP},
    {"sensor_stuck", WINDOW_FAULT_SENSOR_STUCK}, {"estop", WINDOW_FAULT_ESTOP},
};

const char *window_fault_name(enum window_fault fault)
{
    for (size_t i = 0; i < ARRAY_COUNT(faults); i++) {
        if (faults[i].fault == fault)
            return faults[i].name;
    }
    return NULL;
}

uint32_t window_fault_from(struct str name)
{
    for (size_t i = 0; i < ARRAY_COUNT(faults); i++) {
        if (str_equal(name, str_from(faults[i].name)))
            return (uint32_t)faults[i].fault;
    }
    return 0;
}

static bool faulty(const struct window_physics *p, enum window_fault fault)
{
    return (p->faults & (uint32_t)fault) != 0;
}

void window_physics_init(struct window_physics *physics)
{
    base_zero(physics, sizeof(*physics));
    physics->x_mm = 95.0;
    physics->obstacle_mm = -1.0;
}

void window_physics_power(struct window_physics *physics)
{
    physics->counts = 0.0;
}

static double clamp(double value, double low, double high)
{
    if (value < low)
        return low;
    return value > high ? high : value;
}

static double absolute(double value)
{
    return value < 0.0 ? -value : value;
}

/* Somebody reaches into the gap when it is wide enough for a hand, not into a shut window. */
static void hand(struct window_physics *p)
{
    if (!faulty(p, WINDOW_FAULT_OBSTACLE))
        p->obstacle_mm = -1.0;
    else if (p->obstacle_mm < 0.0 && p->x_mm > HAND_FITS_MM)
        p->obstacle_mm = p->x_mm - 5.0 < HAND_MM ? p->x_mm - 5.0 : HAND_MM;
}

static double springs(struct window_physics *p)
{
    double force = 0.0;
    double low = -WINDOW_PHYSICS_OVER_MM;
    double high = WINDOW_PHYSICS_TRAVEL_MM + WINDOW_PHYSICS_OVER_MM;
    if (p->x_mm < low)
        force = (low - p->x_mm) * END_N_MM;
    else if (p->x_mm > high)
        force = (high - p->x_mm) * END_N_MM;
    if (absolute(force) > p->end_n_max)
        p->end_n_max = absolute(force);
    if (p->x_mm < p->obstacle_mm) {
        double push = (p->obstacle_mm - p->x_mm) * HAND_N_MM;
        force += push;
        if (push > p->pinch_n_max)
            p->pinch_n_max = push;
    }
    return force;
}

/* A driver with a speed loop of its own, as they are sold; its current limit bounds every force. */
static double drive(struct window_physics *p, const struct window_outputs *out, bool powered,
                    double dt_s)
{
    if (!out->drive_on || !powered) {
        p->integral_n = 0.0;
        return 0.0;
    }
    double error = out->speed_um_s / 1000.0 - p->v_mm_s;
    p->integral_n = clamp(p->integral_n + DRIVER_N_MM * error * dt_s, -FORCE_MAX_N, FORCE_MAX_N);
    return clamp(DRIVER_N_S_MM * error + p->integral_n, -FORCE_MAX_N, FORCE_MAX_N);
}

static double friction_n(const struct window_physics *p, bool driven)
{
    double friction = FRICTION_N + (p->x_mm < SEAL_MM ? SEAL_N : 0.0);
    return friction + VISCOUS_N_S_MM * absolute(p->v_mm_s) + (driven ? 0.0 : LOCK_N);
}

/* Dry friction holds what is at rest and never turns a motion round. */
static void slide(struct window_physics *p, double force, double friction, double dt_s)
{
    double v = p->v_mm_s + force / MASS_KG * 1000.0 * dt_s;
    double lost = friction / MASS_KG * 1000.0 * dt_s;
    if (absolute(v) <= lost)
        v = 0.0;
    else
        v += v > 0.0 ? -lost : lost;
    p->v_mm_s = v;
    double way = v * dt_s;
    p->x_mm += way;
    /* The encoder sits on the motor; slipping, it misses what the sash does on the way open. */
    bool slips = faulty(p, WINDOW_FAULT_ENCODER_SLIP) && way > 0.0;
    p->counts += way * COUNTS_PER_MM * (slips ? 5.0 / 6.0 : 1.0);
}

static void substep(struct window_physics *p, const struct window_outputs *out, double dt_s)
{
    bool powered = !faulty(p, WINDOW_FAULT_ESTOP) && !faulty(p, WINDOW_FAULT_MOTOR_DEAD);
    bool driven = out->drive_on && powered;
    hand(p);
    p->force_n = drive(p, out, powered, dt_s);
    slide(p, p->force_n + springs(p), friction_n(p, driven), dt_s);
}

void window_physics_step(struct window_physics *physics, const struct window_outputs *outputs,
                         uint32_t dt_ms, struct rng *rng)
{
    bool driven = outputs->drive_on && outputs->speed_um_s != 0 &&
                  !faulty(physics, WINDOW_FAULT_ESTOP) && !faulty(physics, WINDOW_FAULT_MOTOR_DEAD);
    if (driven && !physics->driven_was)
        physics->travels++;
    physics->driven_was = driven;
    for (uint32_t done = 0; done < dt_ms; done += SUBSTEP_MS)
        substep(physics, outputs, SUBSTEP_MS / 1000.0);
    if (!faulty(physics, WINDOW_FAULT_SENSOR_STUCK)) {
        double current = absolute(physics->force_n) / N_PER_MA;
        double noise = driven ? 24.0 * (rng_unit(rng) - 0.5) : 0.0;
        physics->current_ma = (int32_t)clamp(current + noise, 0.0, 5000.0);
    }
    physics->now_ms += dt_ms;
}

struct window_input window_physics_read(const struct window_physics *p)
{
    return (struct window_input){
        .estop = faulty(p, WINDOW_FAULT_ESTOP),
        .closed_switch = p->x_mm <= 0.0 || faulty(p, WINDOW_FAULT_ENDSTOP_STUCK),
        .open_switch = p->x_mm >= WINDOW_PHYSICS_TRAVEL_MM,
        .encoder = (int32_t)p->counts,
        .current_ma = p->current_ma,
    };
}

double window_physics_opening(const struct window_physics *physics)
{
    return clamp(physics->x_mm / WINDOW_PHYSICS_TRAVEL_MM, 0.0, 1.0);
}
