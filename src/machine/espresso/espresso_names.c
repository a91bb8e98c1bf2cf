/* The words of an espresso machine: reasons, states, actions. */
#include "machine/espresso/espresso.h"

const struct espresso_code_row espresso_codes[ESPRESSO_CODE_COUNT] = {
    [ESPRESSO_OK] = {"ok", "All is well.", false, false},
    [ESPRESSO_OUT_OF_LIMITS] = {"out_of_limits", "A value is outside what the machine allows.",
                                false, false},
    [ESPRESSO_CAPSULE_MISMATCH] = {"capsule_mismatch",
                                   "The machine has no place, or no slot, for this capsule.", true,
                                   false},
    [ESPRESSO_BAD_SEQUENCE] = {"bad_sequence",
                               "These actions, in this order, do not make a coffee.", false, false},
    [ESPRESSO_BUSY] = {"busy", "The machine is carrying out another order.", false, false},
    [ESPRESSO_MAGAZINE_EMPTY] = {"magazine_empty", "The capsule slot is empty; please refill it.",
                                 true, false},
    [ESPRESSO_WATER_LOW] = {"water_low", "The water tank is nearly empty; please refill it.", true,
                            false},
    [ESPRESSO_HEAD_OPEN] = {"head_open", "The machine head does not close, or not open.", true,
                            true},
    [ESPRESSO_CAPSULE_IN_PATH] = {"capsule_in_path",
                                  "A capsule lies in the carriage; please take it out.", true,
                                  false},
    [ESPRESSO_PUMP_RUNNING] = {"pump_running", "Somebody is brewing by hand.", false, false},
    [ESPRESSO_SENSOR_FAULT] = {"sensor_fault",
                               "A sensor gives readings that cannot be; please check the wiring.",
                               true, true},
    [ESPRESSO_ESTOP] = {"estop", "The emergency stop is pressed.", true, true},
    [ESPRESSO_OVER_TEMPERATURE] = {"over_temperature",
                                   "The thermal cutout opened; please let the machine cool down.",
                                   true, true},
    [ESPRESSO_NOT_HOME] = {"not_home", "An axis does not find its home position.", true, true},
    [ESPRESSO_PICK_FAILED] = {"pick_failed", "No capsule was picked in three attempts.", true,
                              true},
    [ESPRESSO_INSERT_FAILED] = {"insert_failed", "The capsule did not go in, in three attempts.",
                                true, true},
    [ESPRESSO_BUTTON_FAILED] = {"button_failed",
                                "The pump did not start, even after a second press.", true, true},
    [ESPRESSO_PUMP_TIMEOUT] = {"pump_timeout", "The pump ran too long, or moved no water.", true,
                               true},
    [ESPRESSO_SHORT_VOLUME] = {"short_volume", "The pump stopped long before the cup was full.",
                               true, false},
    [ESPRESSO_EJECT_FAILED] = {"eject_failed",
                               "The used capsule may still be in the machine; please look.", true,
                               true},
    [ESPRESSO_TIMEOUT] = {"timeout", "It took longer than it may.", true, false},
    [ESPRESSO_STOPPED] = {"stopped", "Stopped on request.", false, false},
    [ESPRESSO_INTERRUPTED] = {"interrupted", "The board lost power while it was at work.", true,
                              false},
    [ESPRESSO_NOT_STARTED] = {"not_started", "The board took the order but never began.", false,
                              false},
    [ESPRESSO_JOURNAL_FAILED] = {"journal_failed",
                                 "The board cannot write its journal, so it does not act.", true,
                                 true},
};

static const char *const state_names[ESPRESSO_STATE_COUNT] = {
    [ESPRESSO_IDLE] = "idle",
    [ESPRESSO_POLLING] = "polling",
    [ESPRESSO_VALIDATING] = "validating",
    [ESPRESSO_PRE_FLIGHT] = "pre_flight",
    [ESPRESSO_HOMING] = "homing",
    [ESPRESSO_PICKING] = "picking",
    [ESPRESSO_INSERTING] = "inserting",
    [ESPRESSO_CLOSING_HEAD] = "closing_head",
    [ESPRESSO_PRESSING_BUTTON] = "pressing_button",
    [ESPRESSO_BREWING] = "brewing",
    [ESPRESSO_MONITORING] = "monitoring",
    [ESPRESSO_EJECTING] = "ejecting",
    [ESPRESSO_COMPLETE] = "complete",
    [ESPRESSO_ERROR] = "error",
};

static const char *const outcome_names[] = {"none", "complete", "failed", "rejected", "cancelled"};
static const char *const type_names[] = {"original", "vertuo"};
static const char *const action_names[] = {"pick", "insert", "latch", "press_button"};
static const char *const model_names[] = {"original_only", "both"};

/* Position of `name`, or `count`. */
static size_t word_find(const char *const *words, size_t count, struct str name)
{
    size_t i = 0;
    while (i < count && !str_equal(name, str_from(words[i])))
        i++;
    return i;
}

const char *espresso_code_name(enum espresso_code code)
{
    return (uint32_t)code < ESPRESSO_CODE_COUNT ? espresso_codes[code].code : "unknown_code";
}

enum espresso_code espresso_code_from(struct str name)
{
    uint32_t i = 0;
    while (i < ESPRESSO_CODE_COUNT && !str_equal(name, str_from(espresso_codes[i].code)))
        i++;
    return (enum espresso_code)i;
}

const char *espresso_state_name(enum espresso_state state)
{
    return (uint32_t)state < ESPRESSO_STATE_COUNT ? state_names[state] : "unknown_state";
}

const char *espresso_outcome_name(enum espresso_outcome outcome)
{
    return (uint32_t)outcome < ARRAY_COUNT(outcome_names) ? outcome_names[outcome] : "unknown";
}

const char *espresso_capsule_type_name(enum espresso_capsule_type type)
{
    return (uint32_t)type < ARRAY_COUNT(type_names) ? type_names[type] : "unknown";
}

enum err espresso_capsule_type_from(struct str text, enum espresso_capsule_type *ret_type)
{
    size_t i = word_find(type_names, ARRAY_COUNT(type_names), text);
    if (i == ARRAY_COUNT(type_names))
        return ERR_INPUT;
    *ret_type = (enum espresso_capsule_type)i;
    return ERR_OK;
}

const char *espresso_action_name(enum espresso_action action)
{
    return (uint32_t)action < ARRAY_COUNT(action_names) ? action_names[action] : "unknown";
}

enum err espresso_action_from(struct str text, enum espresso_action *ret_action)
{
    size_t i = word_find(action_names, ARRAY_COUNT(action_names), text);
    if (i == ARRAY_COUNT(action_names))
        return ERR_INPUT;
    *ret_action = (enum espresso_action)i;
    return ERR_OK;
}

const char *espresso_model_name(enum espresso_model model)
{
    return (uint32_t)model < ARRAY_COUNT(model_names) ? model_names[model] : "unknown";
}

enum err espresso_model_from(struct str text, enum espresso_model *ret_model)
{
    size_t i = word_find(model_names, ARRAY_COUNT(model_names), text);
    if (i == ARRAY_COUNT(model_names))
        return ERR_INPUT;
    *ret_model = (enum espresso_model)i;
    return ERR_OK;
}
