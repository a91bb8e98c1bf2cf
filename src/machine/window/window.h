/* machine/window: what a motor-driven window can be asked, what it refuses, and how it acts.
 *
 * Freestanding C11: no heap, no I/O, no clock.  Server, board and twin share every function here.
 * Units: thousandths of a per cent of the travel, micrometres, milliampere, milliseconds, encoder
 * counts.  0 is shut, at the edge of the closed end switch; 100 % is the edge of the other one.
 * Nothing here keeps a pointer it was given beyond the call, except the static texts it hands out.
 */
#ifndef AUTOMAT_MACHINE_WINDOW_H
#define AUTOMAT_MACHINE_WINDOW_H

#include "base/base.h"

#define WINDOW_COMMAND        "set_position"
#define WINDOW_NOT_AFTER_S    60
#define WINDOW_MAX_DURATION_S 30
#define WINDOW_WORD           "moving"  /* what people call a running command */
#define WINDOW_SAMPLE_MS      100       /* the live curve's step */
#define WINDOW_UNKNOWN        INT32_MIN /* a position before calibration */

/* ---- orders ---- */

struct window_order {
    int32_t position_mpct; /* 40 % is 40000 */
};

enum window_limit {
    WINDOW_LIMIT_POSITION, /* field position, % */
    WINDOW_LIMIT_COUNT,
};
extern const struct limit window_limits[WINDOW_LIMIT_COUNT];

/* ---- reasons: one table for refusals, failures and what a stop leaves ---- */

enum window_code {
    WINDOW_OK,
    WINDOW_OUT_OF_LIMITS, /* "out_of_limits": refused at create */
    WINDOW_BUSY,          /* "busy": an order is being carried out */
    WINDOW_ESTOP,         /* "estop" */
    WINDOW_SENSOR_FAULT,  /* "sensor_fault": current or encoder says what cannot be */
    WINDOW_PINCHED,       /* "pinched": something was in the way; stopped and drove back a little */
    WINDOW_STALLED,       /* "stalled": the sash does not follow the motor */
    WINDOW_MOTOR_DEAD,    /* "motor_dead": no movement and no current */
    WINDOW_ENDSTOP_STUCK, /* "endstop_stuck": an end switch says what cannot be */
    WINDOW_POSITION_LOST, /* "position_lost": the end is not where the encoder has it */
    WINDOW_NOT_CALIBRATED, /* "not_calibrated": the ends were not found, or too far from expected */
    WINDOW_TIMEOUT,        /* "timeout": too long in one state, or past max_duration_s */
    WINDOW_STOPPED,        /* "stopped": a stop request was honoured */
    WINDOW_INTERRUPTED,    /* "interrupted": power went in mid-order (device program) */
    WINDOW_NOT_STARTED,    /* "not_started": claimed, never begun (device program) */
    WINDOW_JOURNAL_FAILED, /* "journal_failed": no journal, so no act (device program) */
    WINDOW_CODE_COUNT,
};

struct window_code_row {
    const char *code;     /* stable snake_case */
    const char *sentence; /* for people */
    bool needs_hands;     /* raises an alert: somebody has to come */
    bool holds;           /* a mechanical failure: the machine goes on hold (queue rule 12) */
};
extern const struct window_code_row window_codes[WINDOW_CODE_COUNT];

const char *window_code_name(enum window_code code); /* never NULL */
/* WINDOW_CODE_COUNT when no row has that name. */
enum window_code window_code_from(struct str name);

struct window_refusal {
    enum window_code code;
    const char *field;         /* "position"; NULL when no field is at fault.  Static. */
    const struct limit *limit; /* for out_of_limits, else NULL */
};

/* The one check of an order that server, board and twin share.  True: may be carried out, and
 * `*ret_refusal` is untouched. */
bool window_check(const struct window_order *order, struct window_refusal *ret_refusal);

/* ---- calibration: a board's configuration.  What is learned from the end stops is not in here
 * ----
 */

struct window_calibration {
    int32_t travel_mm;       /* expected between the edges of the end switches */
    int32_t counts_per_cm;   /* of the encoder */
    int32_t speed_mm_s;      /* cruising */
    int32_t accel_mm_s2;     /* both ways */
    int32_t home_mm_s;       /* while looking for the ends */
    int32_t pinch_ma;        /* so much current in motion means that something is in the way */
    int32_t pinch_back_mm;   /* how far to drive back then */
    int32_t sensor_stuck_ms; /* a current without any noise for so long is a dead sensor */
    int32_t invert;          /* 1: motor and encoder are wired the other way round */
};
struct window_calibration window_calibration_preset(void);
/* NULL when usable, otherwise the name of the field at fault. */
const char *window_calibration_fault(const struct window_calibration *calibration);
/* A value by name: ERR_NOT_FOUND for an unknown name, ERR_INPUT out of its row's range.  Only
 * `*calibration` changes, and only on success. */
MUST_USE enum err window_calibration_set(struct window_calibration *calibration, struct str name,
                                         int32_t value);
extern const struct limit window_calibration_limits[];
extern const size_t window_calibration_limit_count;

/* ---- control ---- */

enum window_state {
    WINDOW_IDLE,
    WINDOW_HOMING,      /* closing, to find the closed end */
    WINDOW_CALIBRATING, /* opening, to learn the travel */
    WINDOW_MOVING,
    WINDOW_SEALING,     /* the last millimetres, on to the closed end switch */
    WINDOW_STOPPING,    /* coming to rest as a stop asked for */
    WINDOW_BACKING_OFF, /* after a pinch */
    WINDOW_COMPLETE,
    WINDOW_ERROR,
    WINDOW_STATE_COUNT,
};
const char *window_state_name(enum window_state state); /* "idle", "homing", ... */
/* How long a state may last; 0: no limit. */
uint32_t window_state_ms_max(const struct window_calibration *calibration, enum window_state state);

enum window_request {
    WINDOW_REQUEST_NONE,
    WINDOW_REQUEST_MOVE, /* carry out *order; ignored without one, or while an order is active */
    WINDOW_REQUEST_STOP, /* somebody asked; may be repeated */
    WINDOW_REQUEST_DEADLINE, /* max_duration_s is over: as a stop, but failed/timeout */
};

/* What the board reads once a step. */
struct window_input {
    enum window_request request;
    const struct window_order *order; /* for REQUEST_MOVE; copied */
    bool estop;
    bool closed_switch, open_switch; /* pressed */
    int32_t encoder;                 /* counts since power-up, opening counts up; it may wrap */
    int32_t current_ma;              /* of the motor, never below zero but for noise */
};

/* What the board drives until the next step.  All zero: de-energised; the gear holds by itself. */
struct window_outputs {
    bool drive_on;
    int32_t speed_um_s; /* opening is positive; 0 with drive_on: brake as hard as the driver can */
};

struct window_sample {
    uint32_t t_ms;         /* since the order began */
    int32_t position_mpct; /* or WINDOW_UNKNOWN */
    int32_t current_ma;
};

enum window_outcome {
    WINDOW_OUTCOME_NONE,
    WINDOW_OUTCOME_COMPLETE,
    WINDOW_OUTCOME_FAILED,
    WINDOW_OUTCOME_REJECTED,  /* nothing moved */
    WINDOW_OUTCOME_CANCELLED, /* a stop was honoured */
};
const char *window_outcome_name(enum window_outcome outcome); /* "complete", "failed", ... */

struct window_result {
    enum window_outcome outcome;
    enum window_code code; /* OK when complete, STOPPED when cancelled */
    int32_t position_mpct; /* as measured when it came to rest, or WINDOW_UNKNOWN */
    int32_t travel_um;     /* learned, or WINDOW_UNKNOWN */
    int32_t peak_current_ma;
    uint32_t moved_ms, total_ms; /* driven; from the order on */
};

/* The machine's memory.  Read `state`, `code`, `outputs`, the events and what is measured; the rest
 * is its own business.  Copyable, no pointers to anything but static texts. */
struct window {
    enum window_state state;
    enum window_code code; /* why it is in ERROR; OK otherwise */
    struct window_calibration calibration;
    struct window_outputs outputs;

    /* events of the step just made */
    bool state_changed;
    bool sample_ready; /* at 10 Hz while an order is active */
    struct window_sample sample;
    bool result_ready; /* exactly once an order */
    struct window_result result;

    /* measured */
    bool calibrated;     /* both ends were found in this life of the board */
    int32_t travel_um;   /* learned */
    int64_t position_um; /* from the closed edge; before calibration from wherever it began */

    bool active;
    struct window_order order;
    uint8_t phase; /* inside a state */
    uint32_t state_ms, phase_ms, order_ms;
    enum window_code ending; /* what the order will end with once the sash is at rest */
    struct window_result tally;

    /* encoder */
    bool encoder_known;
    int32_t encoder_last;
    int64_t counts;   /* since the origin */
    int64_t moved_um; /* in this step, measured */

    /* profile */
    int64_t target_nm, reference_nm;
    int32_t reference_um_s;

    /* watch */
    uint32_t pinch_ms, blank_ms, still_ms, behind_ms;
    int32_t current_last_ma;
    uint32_t current_same_ms;
    bool closed_was, open_was;
    uint32_t sample_due_ms;
};

/* A window that has not moved yet: IDLE, not calibrated.  An unusable calibration is replaced by
 * the preset.  NULL: the preset. */
void window_init(struct window *window, const struct window_calibration *calibration);

/* May an order be started right now?  Looks at sensors and state; nothing moves.  window_step()
 * asks again before it moves. */
bool window_preflight(const struct window *window, const struct window_input *in,
                      const struct window_order *order, struct window_refusal *ret_refusal);

/* The motor's driver has to stop the sash by itself when it hears nothing for so long: a program
 * that is held up must not leave it driving.  After a longer step the window starts anew from rest.
 */
#define WINDOW_WATCHDOG_MS 60

/* One control step, `dt_ms` after the one before (1..100 in practice).  Pure. */
struct window window_step(struct window now, struct window_input in, uint32_t dt_ms);

/* Measured position, or WINDOW_UNKNOWN before calibration. */
int32_t window_position_mpct(const struct window *window);
bool window_outputs_off(const struct window_outputs *outputs);

#endif
