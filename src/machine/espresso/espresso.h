/* machine/espresso: what an espresso machine with a capsule accessory can be asked, what it
 * refuses, and how it acts.
 *
 * Freestanding C11: no heap, no I/O, no clock.  Server, board and twin share every function here.
 * Units: milli-degrees Celsius, microlitres, milliseconds, millibar, milliampere, motor steps.
 * Nothing here keeps a pointer it was given beyond the call, except the static texts it hands out.
 */
#ifndef AUTOMAT_MACHINE_ESPRESSO_H
#define AUTOMAT_MACHINE_ESPRESSO_H

#include "base/base.h"

#define ESPRESSO_SLOT_COUNT         8 /* magazine slots, numbered from 1 */
#define ESPRESSO_SEQUENCE_COUNT_MAX 8
#define ESPRESSO_VARIANT_BYTES      32 /* with NUL */
#define ESPRESSO_NOT_AFTER_S        600
#define ESPRESSO_MAX_DURATION_S     180
#define ESPRESSO_WORD               "brewing" /* what people call a running command */
#define ESPRESSO_SAMPLE_MS          100       /* the live curve's step */
#define ESPRESSO_UNKNOWN            INT32_MIN /* a sensor this machine does not have */

/* ---- orders ---- */

enum espresso_capsule_type {
    ESPRESSO_ORIGINAL,
    ESPRESSO_VERTUO,
};

enum espresso_model {
    ESPRESSO_ORIGINAL_ONLY, /* refuses Vertuo */
    ESPRESSO_BOTH,
};

struct espresso_recipe {
    uint32_t volume_ml;
    int32_t temperature_mc; /* 92 C is 92000 */
    uint32_t pre_infusion_ms;
    enum espresso_capsule_type capsule_type;
    char capsule_variant[ESPRESSO_VARIANT_BYTES]; /* lower case, NUL-terminated; "" takes any
                                                     capsule of the type */
};

enum espresso_action {
    ESPRESSO_PICK,
    ESPRESSO_INSERT,
    ESPRESSO_LATCH,
    ESPRESSO_PRESS_BUTTON,
};

struct espresso_sequence_item {
    enum espresso_action action;
    uint32_t slot;        /* pick only; 0: not said */
    uint32_t duration_ms; /* press_button only; 0: not said */
};

/* accessory_instructions, or actuator_sequence, which is the same thing.  All zero: none were
 * given. */
struct espresso_instructions {
    uint32_t capsule_slot;       /* 0: the machine chooses */
    uint32_t motor_steps_per_ml; /* 0: not said; only for an accessory that meters water itself */
    uint32_t sequence_count;     /* 0: pick, insert, latch, press_button */
    struct espresso_sequence_item sequence[ESPRESSO_SEQUENCE_COUNT_MAX];
};

struct espresso_order {
    struct espresso_recipe recipe;
    struct espresso_instructions instructions;
};

/* Words of the JSON message: "original", "vertuo"; "pick", "insert", "latch", "press_button";
 * models "original_only", "both".  From text: ERR_INPUT for any other word. */
const char *espresso_capsule_type_name(enum espresso_capsule_type type);
MUST_USE enum err espresso_capsule_type_from(struct str text, enum espresso_capsule_type *ret_type);
const char *espresso_action_name(enum espresso_action action);
MUST_USE enum err espresso_action_from(struct str text, enum espresso_action *ret_action);
const char *espresso_model_name(enum espresso_model model);
MUST_USE enum err espresso_model_from(struct str text, enum espresso_model *ret_model);

/* What a form shows first: 40 ml at 92 C, 300 ms, original espresso. */
struct espresso_recipe espresso_recipe_preset(void);

/* ---- limits: one table; `unit` is the message's unit, so temperatures are whole degrees here ----
 */

enum espresso_limit {
    ESPRESSO_LIMIT_VOLUME_ORIGINAL, /* field recipe.volume_ml when capsule_type is original */
    ESPRESSO_LIMIT_VOLUME_VERTUO,   /* the same field when it is vertuo */
    ESPRESSO_LIMIT_TEMPERATURE,
    ESPRESSO_LIMIT_PRE_INFUSION,
    ESPRESSO_LIMIT_SLOT,
    ESPRESSO_LIMIT_STEPS_PER_ML,
    ESPRESSO_LIMIT_SEQUENCE_SLOT,
    ESPRESSO_LIMIT_PRESS_DURATION,
    ESPRESSO_LIMIT_COUNT,
};
extern const struct limit espresso_limits[ESPRESSO_LIMIT_COUNT];

/* ---- canonical capsule volumes: guidance, they only warn ---- */

struct espresso_capsule {
    enum espresso_capsule_type type;
    const char *variant;
    uint32_t volume_ml;     /* the usual one */
    uint32_t volume_ml_max; /* where the system publishes a range; otherwise equal to volume_ml */
};
extern const struct espresso_capsule espresso_capsules[];
extern const size_t espresso_capsule_count;

/* NULL when the pair is not in the table. */
const struct espresso_capsule *espresso_capsule_find(enum espresso_capsule_type type,
                                                     struct str variant);
/* True when the volume is off the capsule's own by more than a tenth; the capsule is then written.
 */
bool espresso_volume_unusual(const struct espresso_recipe *recipe,
                             const struct espresso_capsule **ret_capsule);

/* ---- reasons: one table for refusals, failures and what a stop leaves ---- */

enum espresso_code {
    ESPRESSO_OK,
    ESPRESSO_OUT_OF_LIMITS,    /* "out_of_limits": refused at create */
    ESPRESSO_CAPSULE_MISMATCH, /* "capsule_mismatch": refused at create or before anything moved */
    ESPRESSO_BAD_SEQUENCE,     /* "bad_sequence" */
    ESPRESSO_BUSY,             /* "busy": an order is being carried out */
    ESPRESSO_MAGAZINE_EMPTY,   /* "magazine_empty" */
    ESPRESSO_WATER_LOW,        /* "water_low" */
    ESPRESSO_HEAD_OPEN,        /* "head_open": the head does not close, or opened in mid-brew */
    ESPRESSO_CAPSULE_IN_PATH,  /* "capsule_in_path": something lies where the next capsule has to go
                                */
    ESPRESSO_PUMP_RUNNING,     /* "pump_running": somebody is brewing by hand */
    ESPRESSO_SENSOR_FAULT,     /* "sensor_fault" */
    ESPRESSO_ESTOP,            /* "estop" */
    ESPRESSO_OVER_TEMPERATURE, /* "over_temperature" */
    ESPRESSO_NOT_HOME,         /* "not_home" */
    ESPRESSO_PICK_FAILED,      /* "pick_failed" */
    ESPRESSO_INSERT_FAILED,    /* "insert_failed" */
    ESPRESSO_BUTTON_FAILED,    /* "button_failed" */
    ESPRESSO_PUMP_TIMEOUT,     /* "pump_timeout": the pump ran too long or moved no water */
    ESPRESSO_SHORT_VOLUME,     /* "short_volume": the pump stopped long before the cup was full */
    ESPRESSO_EJECT_FAILED,     /* "eject_failed": only ever a warning beside another outcome */
    ESPRESSO_TIMEOUT,          /* "timeout": too long in one state, or past max_duration_s */
    ESPRESSO_STOPPED,          /* "stopped": a stop request was honoured */
    ESPRESSO_INTERRUPTED, /* "interrupted": the board lost power in mid-order (said by the device
                             program) */
    ESPRESSO_NOT_STARTED, /* "not_started": claimed but never begun (said by the device program) */
    ESPRESSO_JOURNAL_FAILED, /* "journal_failed": the board cannot write, so it does not act (device
                                program) */
    ESPRESSO_CODE_COUNT,
};

struct espresso_code_row {
    const char *code;     /* stable snake_case */
    const char *sentence; /* for people */
    bool needs_hands;     /* raises an alert: somebody has to come */
    bool holds;           /* a mechanical failure: the machine goes on hold (queue rule 12) */
};
extern const struct espresso_code_row espresso_codes[ESPRESSO_CODE_COUNT];

/* Never NULL. */
const char *espresso_code_name(enum espresso_code code);
/* ESPRESSO_CODE_COUNT when no row has that name. */
enum espresso_code espresso_code_from(struct str name);

struct espresso_refusal {
    enum espresso_code code;
    const char *field; /* "recipe.temperature_c"; NULL when no field is at fault.  Static. */
    const struct limit *limit; /* for out_of_limits, else NULL */
};

/* The one check of an order that server, board and twin share.  True: may be carried out, and
 * `*ret_refusal` is untouched.  False: `*ret_refusal` names code and field. */
bool espresso_check(const struct espresso_order *order, enum espresso_model model,
                    struct espresso_refusal *ret_refusal);

/* ---- calibration: a board's configuration ---- */

struct espresso_calibration {
    /* picker: along the magazine, 0 at its home switch */
    int32_t pick_steps;  /* slot 1 */
    int32_t pitch_steps; /* from slot to slot */
    int32_t idle_steps;  /* where it rests and hands the capsule over; reachable from home */
    /* inserter: into the chamber, 0 at its home switch */
    int32_t insert_steps;
    int32_t steps_per_s; /* both axes */
    /* head and button */
    uint32_t latch_ms; /* full travel of the head's actuator */
    int32_t button_mdeg;
    uint32_t servo_travel_ms;
    uint32_t press_ms; /* when the order does not say */
    /* pump, as its current shows it */
    int32_t pump_on_ma;
    int32_t pump_off_ma;
    uint32_t pump_idle_ms;      /* current that long below pump_off_ma: the brew is over */
    uint32_t pump_confirm_ms;   /* after a press: no current by then, the press failed */
    uint32_t sensor_stuck_ms;   /* a reading without any noise for so long is a dead sensor; <
                                   pump_confirm_ms */
    uint32_t flow_original_uls; /* ul a second once pressure has built up */
    uint32_t flow_vertuo_uls;
    uint32_t build_up_original_ms; /* from pump start at full power to the first drop */
    uint32_t build_up_vertuo_ms;
    /* temperature */
    int32_t ready_below_mc; /* pressing waits until the block is this close below the recipe */
    int32_t cutoff_mc;      /* above: over_temperature */
};

struct espresso_calibration espresso_calibration_preset(void);
/* NULL when usable, otherwise the name of the field at fault. */
const char *espresso_calibration_fault(const struct espresso_calibration *calibration);

/* A configuration by name, for a board that is sent {"calibration": {"pick_steps": 400, ...}}:
 * ERR_NOT_FOUND for an unknown name, ERR_INPUT for a value out of its row's range.  Only
 * `*calibration` changes, and only on success. */
MUST_USE enum err espresso_calibration_set(struct espresso_calibration *calibration,
                                           struct str name, int32_t value);
extern const struct limit espresso_calibration_limits[];
extern const size_t espresso_calibration_limit_count;

/* ---- control ---- */

/* Design and seed names.  POLLING is shown by the device program while it asks the server; the
 * machine itself is then IDLE. */
enum espresso_state {
    ESPRESSO_IDLE,
    ESPRESSO_POLLING,
    ESPRESSO_VALIDATING,
    ESPRESSO_PRE_FLIGHT,
    ESPRESSO_HOMING,
    ESPRESSO_PICKING,
    ESPRESSO_INSERTING,
    ESPRESSO_CLOSING_HEAD,
    ESPRESSO_PRESSING_BUTTON,
    ESPRESSO_BREWING,
    ESPRESSO_MONITORING,
    ESPRESSO_EJECTING,
    ESPRESSO_COMPLETE,
    ESPRESSO_ERROR,
    ESPRESSO_STATE_COUNT,
};
const char *
espresso_state_name(enum espresso_state state); /* "idle", "pre_flight", "closing_head", ... */
/* How long a state may last; 0: no limit (idle, error).  For MONITORING the recipe decides, this is
 * its ceiling. */
uint32_t espresso_state_ms_max(enum espresso_state state);

struct espresso_slot {
    bool loaded; /* assigned to a capsule, though perhaps empty */
    enum espresso_capsule_type type;
    char variant[ESPRESSO_VARIANT_BYTES];
    uint32_t count;
};

struct espresso_magazine {
    struct espresso_slot slot[ESPRESSO_SLOT_COUNT]; /* slot[0] is number 1 */
};

enum espresso_request {
    ESPRESSO_REQUEST_NONE,
    ESPRESSO_REQUEST_BREW, /* carry out *order; ignored without one, or while an order is active */
    ESPRESSO_REQUEST_STOP, /* somebody asked; may be repeated */
    ESPRESSO_REQUEST_DEADLINE, /* max_duration_s is over: as a stop, but the outcome is
                                  failed/timeout */
};

/* What the board reads once a step. */
struct espresso_input {
    enum espresso_request request;
    const struct espresso_order *order;       /* for REQUEST_BREW; copied */
    const struct espresso_magazine *magazine; /* NULL: not known, then not checked */
    bool estop;
    bool over_temperature; /* the thermal cutout's contact */
    bool picker_home;
    bool inserter_home;
    bool inserter_end; /* the far limit switch */
    bool capsule_seen; /* optical, at the carriage */
    bool head_closed;
    bool water_low;
    int32_t current_ma;     /* mean over whole mains periods (README rule 9) */
    int32_t temperature_mc; /* or ESPRESSO_UNKNOWN */
    int32_t pressure_mbar;  /* or ESPRESSO_UNKNOWN */
    int32_t flow_uls; /* ul/s from a flow meter, or ESPRESSO_UNKNOWN: then volume is estimated */
};

/* What the board drives until the next step.  All zero: everything is de-energised. */
struct espresso_outputs {
    bool rail_12v;          /* motors and head actuator */
    int32_t picker_steps_s; /* signed: away from home is positive */
    int32_t inserter_steps_s;
    int32_t servo_mdeg; /* 0 is rest */
    bool servo_on;
    int8_t head; /* +1 closing, -1 opening, 0 off */
    /* What a machine with a data line is told; a closed one ignores it. */
    uint32_t setpoint_ml;
    int32_t setpoint_mc;
    uint32_t setpoint_pre_infusion_ms;
    enum espresso_capsule_type setpoint_type;
};

struct espresso_sample {
    uint32_t t_ms; /* since the button was first pressed */
    int32_t temperature_mc;
    int32_t pressure_mbar;
    int32_t flow_uls;
    int32_t current_ma;
    uint32_t volume_ul;
};

enum espresso_outcome {
    ESPRESSO_OUTCOME_NONE,
    ESPRESSO_OUTCOME_COMPLETE,
    ESPRESSO_OUTCOME_FAILED,
    ESPRESSO_OUTCOME_REJECTED,  /* nothing moved */
    ESPRESSO_OUTCOME_CANCELLED, /* a stop was honoured */
};
const char *espresso_outcome_name(enum espresso_outcome outcome); /* "complete", "failed", ... */

struct espresso_result {
    enum espresso_outcome outcome;
    enum espresso_code code;    /* OK when complete, STOPPED when cancelled */
    enum espresso_code warning; /* EJECT_FAILED or OK */
    const char *field;          /* for a rejection, or NULL */
    uint32_t volume_ul;
    bool volume_measured; /* false: estimated from pump time */
    bool poured;          /* the pump was seen running: the capsule is spent */
    uint32_t brew_ms;     /* pump on to pump off */
    uint32_t total_ms;
    int32_t temperature_mc; /* mean while water flowed, or ESPRESSO_UNKNOWN */
    uint8_t slot;           /* 0: none was used */
    uint8_t pick_attempts, insert_attempts, button_presses;
};

/* The machine's memory.  Read `state`, `code`, `outputs`, the events and the counters; the rest is
 * its own business. Copyable, no pointers to anything but static texts. */
struct espresso {
    enum espresso_state state;
    enum espresso_code code; /* why it is in ERROR; OK otherwise */
    enum espresso_model model;
    struct espresso_calibration calibration;
    struct espresso_outputs outputs;

    /* events of the step just made */
    bool state_changed;
    bool sample_ready; /* at 10 Hz from the first press until the pump is idle */
    struct espresso_sample sample;
    bool result_ready; /* exactly once an order */
    struct espresso_result result;

    bool active; /* an order is being carried out */
    bool homed;
    struct espresso_order order;
    uint8_t phase; /* inside a state */
    uint32_t state_ms, phase_ms, order_ms;
    int64_t picker_msteps, inserter_msteps; /* thousandths of a step */
    enum espresso_code ending; /* what the order will end with once the machine is safe */
    bool stopping;
    bool capsule_inside;
    uint8_t stop_presses;
    struct espresso_result tally;

    /* pump watch */
    bool pump_on;
    int32_t current_last_ma;
    uint32_t current_same_ms, current_same_count;
    uint32_t pump_above_ms, pump_below_ms, dry_ms, head_open_ms;
    uint64_t volume_nl; /* nanolitres */
    int64_t temperature_sum;
    uint32_t temperature_ms;
    uint32_t sample_t_ms, sample_due_ms;
};

/* A machine that has not moved yet: IDLE, not homed.  An unusable calibration is replaced by the
 * preset (check it first with espresso_calibration_fault). */
void espresso_init(struct espresso *machine, enum espresso_model model,
                   const struct espresso_calibration *calibration);

/* May `order` be started right now?  Looks at sensors, magazine and the machine's own state;
 * nothing moves.  To be called before the claim; espresso_step() asks again before it moves.  True:
 * yes, and `*ret_slot` is the slot that would be used (0 when the order picks none). */
bool espresso_preflight(const struct espresso *machine, const struct espresso_input *in,
                        const struct espresso_order *order, uint8_t *ret_slot,
                        struct espresso_refusal *ret_refusal);

/* One control step, `dt_ms` after the one before (1..100 in practice).  Pure. */
struct espresso espresso_step(struct espresso now, struct espresso_input in, uint32_t dt_ms);

/* True when no actuator is energised. */
bool espresso_outputs_off(const struct espresso_outputs *outputs);

#endif
