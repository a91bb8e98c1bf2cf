/* The table of reasons, and all words. */
#include "machine/window/window_int.h"

const struct window_code_row window_codes[WINDOW_CODE_COUNT] = {
    [WINDOW_OK] = {"ok", "Done.", false, false},
    [WINDOW_OUT_OF_LIMITS] = {"out_of_limits", "This value is outside what the window can do.",
                              false, false},
    [WINDOW_BUSY] = {"busy", "The window is moving already.", false, false},
    [WINDOW_ESTOP] = {"estop", "The emergency stop is pressed.", true, true},
    [WINDOW_SENSOR_FAULT] = {"sensor_fault",
                             "A sensor gives readings that cannot be; please check the wiring.",
                             true, true},
    /* Not a fault of the machine: it did what it is for.  Three in a row hold it all the same. */
    [WINDOW_PINCHED] = {"pinched",
                        "Something was in the way; the window stopped and drove back a little.",
                        true, false},
    [WINDOW_STALLED] = {"stalled", "The sash does not follow its motor.", true, true},
    [WINDOW_MOTOR_DEAD] = {"motor_dead", "The motor does not move and draws no current.", true,
                           true},
    [WINDOW_ENDSTOP_STUCK] = {"endstop_stuck", "An end switch does not say what it has to.", true,
                              true},
    /* The next order looks for the ends again; three in a row hold it. */
    [WINDOW_POSITION_LOST] = {"position_lost",
                              "The end of the travel is not where the encoder has it.", true,
                              false},
    [WINDOW_NOT_CALIBRATED] = {"not_calibrated",
                               "The ends of the travel were not found where they are expected.",
                               true, true},
    [WINDOW_TIMEOUT] = {"timeout", "It took longer than it may.", true, false},
    [WINDOW_STOPPED] = {"stopped", "Stopped on request.", false, false},
    [WINDOW_INTERRUPTED] = {"interrupted", "The board lost power while it was at work.", true,
                            false},
    [WINDOW_NOT_STARTED] = {"not_started", "The board took the order but never began.", false,
                            false},
    [WINDOW_JOURNAL_FAILED] = {"journal_failed",
                               "The board cannot write its journal, so it does not act.", true,
                               true},
};

static const char *const state_names[WINDOW_STATE_COUNT] = {
    [WINDOW_IDLE] = "idle",
    [WINDOW_HOMING] = "homing",
    [WINDOW_CALIBRATING] = "calibrating",
    [WINDOW_MOVING] = "moving",
    [WINDOW_SEALING] = "sealing",
    [WINDOW_STOPPING] = "stopping",
    [WINDOW_BACKING_OFF] = "backing_off",
    [WINDOW_COMPLETE] = "complete",
    [WINDOW_ERROR] = "error",
};

static const char *const outcome_names[] = {"none", "complete", "failed", "rejected", "cancelled"};

const char *window_code_name(enum window_code code)
{
    return (uint32_t)code < WINDOW_CODE_COUNT ? window_codes[code].code : "unknown_code";
}

enum window_code window_code_from(struct str name)
{
    uint32_t i = 0;
    while (i < WINDOW_CODE_COUNT && !str_equal(name, str_from(window_codes[i].code)))
        i++;
    return (enum window_code)i;
}

const char *window_state_name(enum window_state state)
{
    return (uint32_t)state < WINDOW_STATE_COUNT ? state_names[state] : "unknown_state";
}

const char *window_outcome_name(enum window_outcome outcome)
{
    return (uint32_t)outcome < ARRAY_COUNT(outcome_names) ? outcome_names[outcome] : "unknown";
}
