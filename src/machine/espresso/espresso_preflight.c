/* May an order start now?  Sensors, magazine, and the machine's own state; nothing moves. */
#include "machine/espresso/espresso_int.h"

#define CURRENT_MA_MAX    5000 /* the sensor's range; beyond it the reading is not a current */
#define STUCK_COUNT_MIN   8
#define TEMPERATURE_MC_LO (-20000) /* below: a broken thermistor, not a kitchen */

static bool refuse(struct espresso_refusal *ret_refusal, enum espresso_code code, const char *field)
{
    *ret_refusal = (struct espresso_refusal){code, field, NULL};
    return false;
}

bool espresso_too_hot(const struct espresso *m, const struct espresso_input *in)
{
    return in->over_temperature || (in->temperature_mc != ESPRESSO_UNKNOWN &&
                                    in->temperature_mc > m->calibration.cutoff_mc);
}

bool espresso_current_stuck(const struct espresso *m)
{
    return m->current_same_ms >= m->calibration.sensor_stuck_ms &&
           m->current_same_count >= STUCK_COUNT_MIN;
}

static bool sensors_sane(const struct espresso *m, const struct espresso_input *in)
{
    if (in->inserter_home && in->inserter_end)
        return false;
    if (in->current_ma > CURRENT_MA_MAX || in->current_ma < -CURRENT_MA_MAX)
        return false;
    if (in->temperature_mc != ESPRESSO_UNKNOWN && in->temperature_mc < TEMPERATURE_MC_LO)
        return false;
    return !espresso_current_stuck(m);
}

static bool slot_fits(const struct espresso_slot *slot, const struct espresso_recipe *recipe)
{
    struct str wanted = str_from(recipe->capsule_variant);
    return slot->loaded && slot->type == recipe->capsule_type &&
           (wanted.len == 0 || espresso_variant_equal(wanted, str_from(slot->variant)));
}

static bool slot_named(const struct espresso_magazine *magazine, const struct espresso_order *order,
                       uint8_t number, struct espresso_refusal *ret_refusal)
{
    const struct espresso_slot *slot = &magazine->slot[number - 1];
    const char *field = "accessory_instructions.capsule_slot";
    if (slot->loaded && !slot_fits(slot, &order->recipe))
        return refuse(ret_refusal, ESPRESSO_CAPSULE_MISMATCH, field);
    if (!slot->loaded || slot->count == 0)
        return refuse(ret_refusal, ESPRESSO_MAGAZINE_EMPTY, field);
    return true;
}

static bool slot_choose(const struct espresso_magazine *magazine,
                        const struct espresso_order *order, uint8_t *ret_slot,
                        struct espresso_refusal *ret_refusal)
{
    bool fits = false;
    for (uint8_t i = 0; i < ESPRESSO_SLOT_COUNT; i++) {
        const struct espresso_slot *slot = &magazine->slot[i];
        if (!slot_fits(slot, &order->recipe))
            continue;
        fits = true;
        if (slot->count > 0) {
            *ret_slot = (uint8_t)(i + 1);
            return true;
        }
    }
    return refuse(ret_refusal, fits ? ESPRESSO_MAGAZINE_EMPTY : ESPRESSO_CAPSULE_MISMATCH,
                  fits ? NULL : "recipe.capsule_variant");
}

static bool slot_find(const struct espresso_input *in, const struct espresso_order *order,
                      uint8_t *ret_slot, struct espresso_refusal *ret_refusal)
{
    uint8_t number = (uint8_t)espresso_order_slot(order); /* checked: 0 or 1..ESPRESSO_SLOT_COUNT */
    if (!in->magazine) {
        *ret_slot = number != 0 ? number : 1;
        return true;
    }
    if (number == 0)
        return slot_choose(in->magazine, order, ret_slot, ret_refusal);
    if (!slot_named(in->magazine, order, number, ret_refusal))
        return false;
    *ret_slot = number;
    return true;
}

bool espresso_preflight_sensors(const struct espresso *m, const struct espresso_input *in,
                                const struct espresso_order *order, uint8_t *ret_slot,
                                struct espresso_refusal *ret_refusal)
{
    if (in->estop)
        return refuse(ret_refusal, ESPRESSO_ESTOP, NULL);
    if (espresso_too_hot(m, in))
        return refuse(ret_refusal, ESPRESSO_OVER_TEMPERATURE, NULL);
    if (!sensors_sane(m, in))
        return refuse(ret_refusal, ESPRESSO_SENSOR_FAULT, NULL);
    if (m->pump_on || in->current_ma >= m->calibration.pump_on_ma)
        return refuse(ret_refusal, ESPRESSO_PUMP_RUNNING, NULL);
    if (in->water_low)
        return refuse(ret_refusal, ESPRESSO_WATER_LOW, NULL);
    if (!espresso_order_has(order, ESPRESSO_PICK)) {
        /* Somebody put the capsule in; without a latch action they must have closed the head as
         * well. */
        if (!espresso_order_has(order, ESPRESSO_LATCH) && !in->head_closed)
            return refuse(ret_refusal, ESPRESSO_HEAD_OPEN, NULL);
        *ret_slot = 0;
        return true;
    }
    if (in->capsule_seen)
        return refuse(ret_refusal, ESPRESSO_CAPSULE_IN_PATH, NULL);
    return slot_find(in, order, ret_slot, ret_refusal);
}

bool espresso_preflight(const struct espresso *machine, const struct espresso_input *in,
                        const struct espresso_order *order, uint8_t *ret_slot,
                        struct espresso_refusal *ret_refusal)
{
    if (!espresso_check(order, machine->model, ret_refusal))
        return false;
    if (machine->active)
        return refuse(ret_refusal, ESPRESSO_BUSY, NULL);
    return espresso_preflight_sensors(machine, in, order, ret_slot, ret_refusal);
}
