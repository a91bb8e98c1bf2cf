/* device: the program of a board.  It asks for work, claims it, journals it, acts once, and reports
 * until somebody heard it (design section 2; README.md numbers what this room keeps of it).
 *
 * Freestanding C11: no heap, no globals, no I/O but the table of functions the host brings.  One
 * thread.  A board, the twin and the tests run the same code; losing power is throwing the struct
 * away and calling device_init again with the same journal. */
#ifndef AUTOMAT_DEVICE_H
#define AUTOMAT_DEVICE_H

#include "base/base.h"
#include "device/journal.h"
#include "wire/wire.h"

/* ---- what the host brings ---- */

enum device_channel {
    DEVICE_CONTROL,  /* hello, check, claim, report */
    DEVICE_PROGRESS, /* what is only nice to know: never waited for */
    DEVICE_CHANNEL_COUNT,
};

enum device_method {
    DEVICE_GET,
    DEVICE_POST,
};

/* One request.  At most one a channel is under way.  Everything in it lives until it is answered,
 * or until the next one on its channel is sent, which calls the old one off. */
struct device_exchange {
    uint64_t id; /* of this boot; never twice */
    enum device_channel channel;
    enum device_method method;
    const char *path;       /* "/api/..." */
    const char *journal_id; /* header X-Journal-Id; NULL: leave it out */
    struct str body;        /* application/json; empty for GET */
    uint32_t timeout_ms;    /* of the server's time (see clock_speed): then report a link error */
};

struct device_hal {
    void *context; /* handed to every function */
    /* Monotonic.  It may run faster than the server's: see clock_speed. */
    int64_t (*mono_ms)(void *context);
    /* Bits nobody can guess or repeat, also not after a reboot: ids are made of them. */
    enum err (*random)(void *context, void *dst, size_t len);
    /* Start an exchange.  Not ERR_OK: it was not sent, and no answer will come.  The answer comes
     * later, never from inside this call: device_on_response or device_on_link_error. */
    enum err (*send)(void *context, const struct device_exchange *exchange);
    struct device_flash flash; /* journal memory */
};

/* ---- what a kind of machine brings ---- */

#define DEVICE_SENSORS_BYTES 1024

/* The command that is being looked at or carried out; strings live for the call only. */
struct device_command {
    uint64_t command_id;
    struct id128 uid;
    struct str name;         /* "brew" */
    struct str payload;      /* JSON object, well-formed */
    struct str instructions; /* JSON object or none (at NULL) */
};

enum device_act {
    DEVICE_IDLE,      /* nothing is being carried out */
    DEVICE_ACTING,    /* call me again */
    DEVICE_COMPLETED, /* these four end it: everything is safe now, and `measure` and `reason` tell
                         the rest */
    DEVICE_FAILED,
    DEVICE_CANCELLED, /* a stop was honoured */
    DEVICE_REFUSED,   /* nothing moved */
};

/* Functions may be NULL where it says so.  `kind` is the host's own struct. */
struct device_kind {
    const char *name;        /* "espresso" */
    uint32_t act_period_ms;  /* between steps while acting */
    uint32_t idle_period_ms; /* between steps while idle; 0: none */
    uint32_t wind_down_ms;   /* how long before max_duration_s is over `time_over` is called */
    const char *const *number_names; /* measured figures, as in a report's meta; at most
                                        JOURNAL_NUMBERS_MAX */
    uint32_t number_count;
    const char *const *column_names; /* of the live curve, without t_ms; at most WIRE_COLUMNS_MAX */
    uint32_t column_count;
    /* Power came on.  Drive everything to the safe side.  Whatever ran is forgotten. */
    void (*boot)(void *kind);
    /* Configuration from the server (a JSON object).  Never called while acting.  May be NULL. */
    void (*configure)(void *kind, struct str config);
    /* May this be done now?  Reads the message, checks limits, looks at sensors, moves nothing, and
     * keeps what `start` will need.  ERR_OK; ERR_AGAIN: not at this moment, and it will pass by
     * itself: the command stays pending and is looked at again.  Anything else refuses it, and
     * `*ret_reason` names why, static. */
    enum err (*prepare)(void *kind, const struct device_command *command, const char **ret_reason);
    /* Begin what `prepare` accepted last.  Its journal entry is on disk. */
    void (*start)(void *kind, const struct device_command *command);
    /* One control step.  An ending is returned once, and DEVICE_IDLE after that. */
    enum device_act (*step)(void *kind, int64_t now_ms, uint32_t dt_ms);
    /* Somebody asked to stop; may be honoured.  May be NULL. */
    void (*stop)(void *kind);
    /* Time is nearly over: come to a safe end as failed/timeout.  May be NULL. */
    void (*time_over)(void *kind);
    /* Time is over, or power is better off: de-energise everything inside this call and forget the
     * order. */
    void (*cut)(void *kind);
    /* Figures so far, in thousandths, number_count of them; JOURNAL_NO_NUMBER: not known.  Between
     * `prepare` and `start`: what is true of an order that has not begun. */
    void (*measure)(void *kind, int64_t *ret_milli);
    /* Why the last order ended as it did, static; NULL or "": nothing to say. */
    const char *(*reason)(void *kind);
    const char *(*warning)(void *kind);   /* likewise, beside any outcome; may be NULL */
    const char *(*step_name)(void *kind); /* static: "idle", "picking", ... */
    /* A row of the curve since the last call: t_ms, then columns in thousandths.  May be NULL. */
    bool (*sample)(void *kind, int32_t *ret_row);
    /* The sensors as a JSON object.  May be NULL. */
    void (*sensors)(void *kind, struct text *text);
};

/* ---- options ---- */

/* Times are of the server's clock.  Zero means the default in brackets. */
struct device_options {
    const char *machine_id;   /* id_valid; lives as long as the device */
    const char *firmware;     /* NULL: "automat-device/1" */
    const char *capabilities; /* JSON object, NULL: {} */
    const struct device_kind *kind;
    void *kind_context;
    uint32_t poll_ms;    /* between checks (5,000), with a quarter of jitter either way */
    uint32_t wait_s;     /* long-poll: check?wait=; 0: plain polling */
    uint32_t timeout_ms; /* of an exchange (10,000); a long-poll's is this and wait_s, a claim's at
                            most 4,000 */
    uint32_t
        claim_retry_ms;  /* how long a claim may be asked again, from its first sending (14,000) */
    uint32_t backoff_ms; /* first pause after a failed exchange (500), doubled each time ... */
    uint32_t backoff_ms_max; /* ... up to this (60,000) */
    uint32_t machine_ms;     /* machine progress at least so often (5,000) */
    uint32_t note_ms; /* while acting, journal the figures so often if they changed (2,000 ms of
                         hal.mono_ms: what is lost with the power is what moved since) */
    /* How many ms of hal.mono_ms pass in one ms of the server's (1): 20 in a twin whose time runs
     * twenty times faster.  Every time above but note_ms, and both deadlines of a
     * grant, are multiplied by it.
     */
    uint32_t clock_speed;
    uint64_t seed; /* of the jitter; 0: from hal.random */
};

/* ---- the device ---- */

enum device_phase {
    DEVICE_BOOT,   /* the journal cannot be read yet */
    DEVICE_HELLO,  /* introducing itself */
    DEVICE_POLL,   /* nothing to do */
    DEVICE_CLAIM,  /* claimed, not yet granted */
    DEVICE_ACT,    /* carrying out */
    DEVICE_REPORT, /* outcome not yet heard */
    DEVICE_PHASE_COUNT,
};
const char *device_phase_name(enum device_phase phase);

#define DEVICE_CONTROL_BYTES  4096
#define DEVICE_PROGRESS_BYTES 8192
#define DEVICE_SAMPLES_MAX    100 /* rows that wait; the oldest make room */

struct device_link {      /* one channel */
    uint64_t exchange_id; /* 0: idle */
    int64_t give_up_ms;   /* when the host owes us an answer no longer */
    char path[WIRE_PATH_BYTES];
};

struct device_outcome { /* what has to be reported now */
    bool open;
    bool journalled; /* mark it there once heard */
    bool claimed;    /* false: refused before a claim */
    bool acted;      /* fresh from the machine: ask for more work at once when it is heard */
    uint64_t command_id;
    struct id128 uid, claim_id;
    enum wire_status status;
    char reason[JOURNAL_REASON_BYTES], warning[JOURNAL_REASON_BYTES];
    int64_t duration_ms;
    uint32_t number_count;
    int64_t number[JOURNAL_NUMBERS_MAX];
};

struct device_stats {
    uint32_t starts, late_grants, interrupted, reports, reports_retried, claims, claims_retried,
        claims_refused, duplicates, link_errors, bad_answers, samples_dropped, journal_errors;
};

/* In the caller's storage.  Read phase, stats, uid, journal.id; the rest is its own business. */
struct device {
    enum device_phase phase;
    uint32_t failures; /* in a row on the control channel, for the backoff */
    bool acting;       /* the kind has an order in hand */
    bool admitted;     /* staff let us in */
    bool claim_sent;
    bool greet; /* say hello again when nothing is in hand */
    bool stop_told, time_over_told;
    bool progress_command_last; /* the two sorts of progress take turns */
    struct device_stats stats;
    struct device_options options;
    struct device_hal hal;
    struct journal journal;
    struct rng rng;
    struct id128 boot_id;
    uint64_t exchange_next;
    struct device_link link[DEVICE_CHANNEL_COUNT];
    int64_t due_ms;   /* control channel: not before */
    int64_t asked_ms; /* when the check under way was sent */

    /* the command in hand: CLAIM and ACT */
    uint64_t command_id;
    struct id128 uid, claim_id;
    int64_t claim_first_ms; /* first sending; both deadlines count from here */
    int64_t start_by_ms, end_by_ms;
    int64_t started_ms;
    char command_name[WIRE_NAME_BYTES];

    struct device_outcome outcome;

    /* control */
    int64_t step_last_ms;
    int64_t note_due_ms;
    int64_t noted[JOURNAL_NUMBERS_MAX];

    /* progress */
    uint64_t progress_command_id; /* what the exchange under way is about; 0: the machine */
    int64_t command_progress_ms, machine_progress_ms; /* not before */
    int64_t quiet_ms;                                 /* nothing at all before: the link is bad */
    int64_t machine_change_ms;                        /* nor, for a change of step, before */
    int64_t flush_by_ms; /* the report lets the last samples go first until then */
    const char *step_sent;
    uint32_t sample_first, sample_count;
    int32_t sample[DEVICE_SAMPLES_MAX][1 + WIRE_COLUMNS_MAX];

    char journal_text[ID128_TEXT_BYTES];
    char control_body[DEVICE_CONTROL_BYTES];
    char progress_body[DEVICE_PROGRESS_BYTES];
    char sensors[DEVICE_SENSORS_BYTES];
};

/* Power comes on: outputs safe, journal read (formatted when it was never used), nothing sent yet.
 * `hal` and `options` are copied; what they point to must outlive the device.  ERR_INPUT: an option
 * is unusable.  A journal that cannot be read is no error: the device does not act until it can. */
MUST_USE enum err device_init(struct device *device, const struct device_options *options,
                              const struct device_hal *hal);

/* Do what is due now; never waits.  Returns in how many ms (of hal.mono_ms) it wants to be called
 * again; earlier does no harm. */
uint32_t device_step(struct device *device);

/* The answer to an exchange; `status` is HTTP's.  Answers to an exchange that is no longer under
 * way are ignored.  Call device_step soon afterwards. */
void device_on_response(struct device *device, uint64_t exchange_id, uint32_t status,
                        struct str body);
/* It was not sent, not answered in time, or the answer got lost. */
void device_on_link_error(struct device *device, uint64_t exchange_id);

/* ---- what a road may add that pushes (device_mqtt.h); call device_step soon afterwards ---- */

/* There may be work: a pause after an empty check ends. */
void device_hurry(struct device *device);
/* Introduce ourselves again, when nothing is in hand and every outcome is heard. */
void device_greet(struct device *device);
/* Somebody asks this command to stop.  Does nothing unless it is the one being carried out, under
 * this claim.  `uid` zero: not said. */
void device_stop(struct device *device, uint64_t command_id, struct id128 uid,
                 struct id128 claim_id);
/* Exchanges go another way from now on.  What is under way counts as lost and is asked again there
 * under its old claim or report, pauses that failures on the old road made are over, and the server
 * hears a hello.  Ids of exchanges go on. */
void device_road_switch(struct device *device);

#endif
