/* An espresso machine: wires to its physics. */
#include "twin/twin_int.h"

#include "device/device_espresso.h"
#include "machine/espresso/espresso_physics.h"

struct metal {
    struct twin *twin;
    struct device_espresso espresso;
    struct espresso_physics physics;
    struct espresso_outputs outputs; /* as driven now */
};

static void read_wires(void *context, struct espresso_input *ret_input)
{
    const struct metal *metal = context;
    *ret_input = espresso_physics_read(&metal->physics);
}

static void drive_wires(void *context, const struct espresso_outputs *outputs)
{
    struct metal *metal = context;
    if (!espresso_outputs_off(outputs))
        twin_record_motion(metal->twin);
    metal->outputs = *outputs;
}

static int32_t read_water(void *context)
{
    const struct metal *metal = context;
    return (int32_t)metal->physics.tank_ml;
}

static void init(void *context, struct twin *twin, uint64_t seed)
{
    struct metal *metal = context;
    (void)seed;
    metal->twin = twin;
    espresso_physics_init(&metal->physics);
}

static void *boot(void *context)
{
    struct metal *metal = context;
    const struct device_espresso_wires wires = {
        .context = metal,
        .read = read_wires,
        .drive = drive_wires,
        .water_ml = read_water,
        .provenance = "simulated",
    };
    device_espresso_init(&metal->espresso, ESPRESSO_ORIGINAL_ONLY, &wires);
    return &metal->espresso;
}

static void off(void *context)
{
    struct metal *metal = context;
    metal->outputs = (struct espresso_outputs){0};
}

static void step(void *context, uint32_t dt_ms, struct rng *rng)
{
    struct metal *metal = context;
    espresso_physics_step(&metal->physics, &metal->outputs, dt_ms, rng);
}

static uint32_t *faults(void *context)
{
    struct metal *metal = context;
    return &metal->physics.faults;
}

static const char *step_at(unsigned index)
{
    return index < ESPRESSO_STATE_COUNT ? espresso_state_name((enum espresso_state)index) : NULL;
}

static const char *step_name(const void *context)
{
    const struct metal *metal = context;
    return espresso_state_name(metal->espresso.machine.state);
}

static uint32_t starts(const void *context)
{
    const struct metal *metal = context;
    return metal->physics.pump_starts;
}

const struct twin_kind twin_espresso = {
    .device = &device_espresso_kind,
    .capabilities = "{\"kind\":\"espresso\",\"commands\":[\"brew\"],\"claims\":true,"
                    "\"journal\":true,\"progress\":true,\"simulated\":true}",
    .metal_bytes = sizeof(struct metal),
    .init = init,
    .boot = boot,
    .off = off,
    .step = step,
    .fault_from = espresso_fault_from,
    .faults = faults,
    .step_at = step_at,
    .step_name = step_name,
    .starts = starts,
    .start_word = "pump",
};
