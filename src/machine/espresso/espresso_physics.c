/* The metal: axes with limit switches, carriage, head, servo and button.  Water and heat are in
 * espresso_physics_brew.c. */
#include "machine/espresso/espresso_physics.h"

#include "machine/espresso/espresso_physics_int.h"

#define SUBSTEP_MS       5
#define PICKER_STEPS_MAX 1300.0
#define INSERTER_END     592.0
#define INSERTER_MAX     606.0
#define INSERTER_BLOCKED 480.0 /* a capsule in the chamber, or a shut head */
#define SWITCH_STEPS     3.0
#define SLOT_TOLERANCE   6.0
#define HANDOVER_STEPS   40.0
#define HEAD_MS          1300.0
#define SERVO_MDEG_MS    180.0
#define BUTTON_MDEG      30000.0
#define TANK_LOW_ML      60.0

static const struct {
    const char *name;
    enum espresso_fault fault;
} faults[ESPRESSO_FAULT_COUNT] = {
    {"jam_pick", ESPRESSO_FAULT_JAM_PICK},
    {"jam_insert", ESPRESSO_FAULT_JAM_INSERT},
    {"head_open", ESPRESSO_FAULT_HEAD_OPEN},
    {"button_dead", ESPRESSO_FAULT_BUTTON_DEAD},
    {"magazine_empty", ESPRESSO_FAULT_MAGAZINE_EMPTY},
    {"water_low", ESPRESSO_FAULT_WATER_LOW},
    {"sensor_stuck", ESPRESSO_FAULT_SENSOR_STUCK},
    {"pump_timeout", ESPRESSO_FAULT_PUMP_TIMEOUT},
    {"estop", ESPRESSO_FAULT_ESTOP},
    {"over_temperature", ESPRESSO_FAULT_OVER_TEMPERATURE},
};

const char *espresso_fault_name(enum espresso_fault fault)
{
    for (size_t i = 0; i < ARRAY_COUNT(faults); i++) {
        if (faults[i].fault == fault)
            return faults[i].name;
    }
    return NULL;
}

uint32_t espresso_fault_from(struct str name)
{
    for (size_t i = 0; i < ARRAY_COUNT(faults); i++) {
        if (str_equal(name, str_from(faults[i].name)))
            return (uint32_t)faults[i].fault;
    }
    return 0;
}

bool espresso_physics_faulty(const struct espresso_physics *p, enum espresso_fault fault)
{
    return (p->faults & (uint32_t)fault) != 0;
}

static void slot_load(struct espresso_slot *slot, enum espresso_capsule_type type,
                      const char *variant)
{
    base_zero(slot, sizeof(*slot));
    slot->loaded = true;
    slot->type = type;
    slot->count = 30;
    struct str text = str_from(variant);
    ASSERT(text.len < sizeof(slot->variant));
    base_copy(slot->variant, text.at, text.len);
}

void espresso_physics_init(struct espresso_physics *physics)
{
    base_zero(physics, sizeof(*physics));
    physics->flow_meter = true;
    physics->picker_steps = 120.0; /* wherever it was left: a board has to find home first */
    physics->inserter_steps = 30.0;
    physics->ambient_c = 22.0;
    physics->block_c = physics->setpoint_c = physics->pid_last_c = ESPRESSO_STANDBY_C;
    physics->pid_integral = ESPRESSO_STANDBY_W;
    physics->tank_ml = 1000.0;
    static const char *const original[] = {"ristretto", "espresso", "lungo", "espresso"};
    static const char *const vertuo[] = {"espresso", "double_espresso", "gran_lungo", "mug"};
    for (size_t i = 0; i < ARRAY_COUNT(original); i++) {
        slot_load(&physics->magazine.slot[i], ESPRESSO_ORIGINAL, original[i]);
        slot_load(&physics->magazine.slot[i + 4], ESPRESSO_VERTUO, vertuo[i]);
    }
    physics->magazine_read = physics->magazine;
}

/* ---- axes ---- */

static double clamp(double value, double low, double high)
{
    if (value < low)
        return low;
    return value > high ? high : value;
}

/* A jam is rolled once a travel, when the carriage has left its switch; going home frees it. */
static bool jam_roll(double position, bool *away, bool *jam, double chance, struct rng *rng)
{
    if (position <= SWITCH_STEPS) {
        *away = *jam = false;
    } else if (!*away) {
        *away = true;
        *jam = chance > 0.0 && rng_chance(rng, chance);
    }
    return *jam;
}

static void picker_move(struct espresso_physics *p, double speed, double dt_s, struct rng *rng)
{
    bool jam = jam_roll(p->picker_steps, &p->picker_away, &p->jam_picker, p->jam_chance, rng);
    if (speed > 0 && (jam || espresso_physics_faulty(p, ESPRESSO_FAULT_JAM_PICK)))
        return;
    p->picker_steps = clamp(p->picker_steps + speed * dt_s, 0.0, PICKER_STEPS_MAX);
}

static void inserter_move(struct espresso_physics *p, double speed, double dt_s, struct rng *rng)
{
    bool jam = jam_roll(p->inserter_steps, &p->inserter_away, &p->jam_inserter, p->jam_chance, rng);
    if (speed > 0 && (jam || espresso_physics_faulty(p, ESPRESSO_FAULT_JAM_INSERT)))
        return;
    bool blocked = p->head > 0.3 || (p->chamber_loaded && p->carriage_loaded);
    double limit =
        blocked && p->inserter_steps <= INSERTER_BLOCKED ? INSERTER_BLOCKED : INSERTER_MAX;
    p->inserter_steps = clamp(p->inserter_steps + speed * dt_s, 0.0, limit);
}

/* A capsule drops into the carriage when it stands still under a slot. */
static void capsule_pick(struct espresso_physics *p)
{
    if (p->carriage_loaded || espresso_physics_faulty(p, ESPRESSO_FAULT_MAGAZINE_EMPTY))
        return;
    struct espresso_calibration preset = espresso_calibration_preset();
    for (int32_t i = 0; i < ESPRESSO_SLOT_COUNT; i++) {
        double off = p->picker_steps - (preset.pick_steps + i * preset.pitch_steps);
        struct espresso_slot *slot = &p->magazine.slot[i];
        if (off < -SLOT_TOLERANCE || off > SLOT_TOLERANCE || !slot->loaded || slot->count == 0)
            continue;
        slot->count--;
        p->carriage_loaded = true;
        p->carriage_type = slot->type;
        p->capsules_picked++;
        return;
    }
}

static void capsule_insert(struct espresso_physics *p)
{
    double off = p->picker_steps - HANDOVER_STEPS;
    if (!p->carriage_loaded || p->chamber_loaded || p->inserter_steps < INSERTER_END ||
        off < -SLOT_TOLERANCE || off > SLOT_TOLERANCE)
        return;
    p->carriage_loaded = false;
    p->chamber_loaded = true;
    p->chamber_pierced = false;
    p->chamber_type = p->carriage_type;
    p->capsules_inserted++;
}

/* ---- head, servo, button ---- */

static void head_move(struct espresso_physics *p, int direction, double dt_ms)
{
    double high = 1.0;
    if (espresso_physics_faulty(p, ESPRESSO_FAULT_HEAD_OPEN))
        high = 0.6;
    if (p->inserter_steps > 60.0)
        high = 0.2; /* its arm is in the way */
    double head = p->head + direction * dt_ms / HEAD_MS;
    p->head = clamp(head, 0.0, p->head > high ? p->head : high);
    if (p->head >= 0.97 && p->chamber_loaded)
        p->chamber_pierced = true;
    if (p->head <= 0.03 && p->chamber_loaded && p->chamber_pierced) {
        p->chamber_loaded = false;
        p->used_capsule_count++;
        p->capsules_ejected++;
    }
}

/* Returns true in the moment the button goes down. */
static bool servo_move(struct espresso_physics *p, const struct espresso_outputs *out, bool powered,
                       double dt_ms)
{
    double target = powered && out->servo_on ? out->servo_mdeg : 0.0; /* a spring brings it back */
    double way = clamp(target - p->servo_mdeg, -SERVO_MDEG_MS * dt_ms, SERVO_MDEG_MS * dt_ms);
    p->servo_mdeg += way;
    bool was = p->button_down;
    p->button_down =
        p->servo_mdeg >= BUTTON_MDEG && !espresso_physics_faulty(p, ESPRESSO_FAULT_BUTTON_DEAD);
    return p->button_down && !was;
}

static void metal_step(struct espresso_physics *p, const struct espresso_outputs *out, double dt_ms,
                       struct rng *rng)
{
    /* The emergency stop is in series with the supplies: whatever the board says, nothing has
     * power. */
    bool estop = espresso_physics_faulty(p, ESPRESSO_FAULT_ESTOP);
    if (out->rail_12v && !estop) {
        picker_move(p, out->picker_steps_s, dt_ms / 1000.0, rng);
        inserter_move(p, out->inserter_steps_s, dt_ms / 1000.0, rng);
        head_move(p, out->head, dt_ms);
        if (out->picker_steps_s == 0)
            capsule_pick(p);
        capsule_insert(p);
    }
    if (servo_move(p, out, !estop, dt_ms)) {
        p->button_presses++;
        espresso_physics_button(p, out);
    }
}

void espresso_physics_step(struct espresso_physics *physics, const struct espresso_outputs *outputs,
                           uint32_t dt_ms, struct rng *rng)
{
    for (uint32_t done = 0; done < dt_ms;) {
        uint32_t slice = dt_ms - done < SUBSTEP_MS ? dt_ms - done : SUBSTEP_MS;
        metal_step(physics, outputs, slice, rng);
        espresso_physics_water(physics, outputs, slice);
        done += slice;
    }
    espresso_physics_current(physics, rng);
    physics->now_ms += dt_ms;
    physics->magazine_read = physics->magazine;
    if (espresso_physics_faulty(physics, ESPRESSO_FAULT_MAGAZINE_EMPTY)) {
        for (size_t i = 0; i < ESPRESSO_SLOT_COUNT; i++)
            physics->magazine_read.slot[i].count = 0;
    }
}

static int32_t milli(double value)
{
    return (int32_t)(value * 1000.0 + (value < 0 ? -0.5 : 0.5));
}

struct espresso_input espresso_physics_read(const struct espresso_physics *p)
{
    return (struct espresso_input){
        .magazine = &p->magazine_read,
        .estop = espresso_physics_faulty(p, ESPRESSO_FAULT_ESTOP),
        .over_temperature = espresso_physics_faulty(p, ESPRESSO_FAULT_OVER_TEMPERATURE),
        .picker_home = p->picker_steps <= SWITCH_STEPS,
        .inserter_home = p->inserter_steps <= SWITCH_STEPS,
        .inserter_end = p->inserter_steps >= INSERTER_END,
        .capsule_seen = p->carriage_loaded,
        .head_closed = p->head >= 0.97,
        .water_low =
            p->tank_ml < TANK_LOW_ML || espresso_physics_faulty(p, ESPRESSO_FAULT_WATER_LOW),
        .current_ma = p->current_ma,
        .temperature_mc = milli(p->block_c),
        .pressure_mbar = milli(p->pressure_bar),
        .flow_uls = p->flow_meter ? milli(p->flow_mls) : ESPRESSO_UNKNOWN,
    };
}
