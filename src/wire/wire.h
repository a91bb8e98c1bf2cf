/* wire: what boards and the server say to each other, as bytes.  A strict bounded JSON reader, a
 * JSON writer over struct text, and the device messages as structs.
 *
 * Freestanding C11: no heap, no I/O, no clock.  Readers borrow the caller's bytes and never write
 * to them; what they hand out points into those bytes and lives as long.  Any thread. */
#ifndef AUTOMAT_WIRE_H
#define AUTOMAT_WIRE_H

#include "base/base.h"

/* ---- reading JSON ---- */

#define WIRE_DEPTH_MAX   16  /* arrays and objects inside each other */
#define WIRE_MEMBERS_MAX 128 /* of one object */

enum wire_type {
    WIRE_NULL,
    WIRE_BOOL,
    WIRE_NUMBER,
    WIRE_STRING,
    WIRE_ARRAY,
    WIRE_OBJECT,
};

/* One value of a document that wire_open has accepted. */
struct wire_value {
    enum wire_type type;
    struct str raw; /* as written, quotes and brackets included */
};

/* Where and why a message was refused.  All zero when it was not. */
struct wire_fault {
    size_t at_byte;
    const char *why;   /* "depth", "utf8", "duplicate key", "type", ...; static */
    const char *field; /* the message's field at fault, static; NULL: the JSON itself */
};

/* Checks a whole document (RFC 8259, no extensions): well-formed, valid UTF-8, nothing after it, no
 * key twice in one object, at most WIRE_DEPTH_MAX deep and WIRE_MEMBERS_MAX members wide.
 * ERR_INPUT, with `*ret_fault` filled (may be NULL), otherwise. */
MUST_USE enum err wire_open(struct str text, struct wire_value *ret_root,
                            struct wire_fault *ret_fault);

/* Walks the members of an object or the elements of an array, in order; false at the end, and for
 * any other value. */
struct wire_walk {
    struct str rest;
    bool object;
};
struct wire_walk wire_walk(struct wire_value container);
bool wire_walk_next(struct wire_walk *walk, struct wire_value *ret_key,
                    struct wire_value *ret_value);
/* A member by its (unescaped) name; false when `object` has none, or is no object. */
bool wire_find(struct wire_value object, const char *name, struct wire_value *ret_value);
/* Whether a string value is exactly this text once its escapes are read. */
bool wire_is(struct wire_value value, struct str text);

/* One value as a C type.  ERR_INPUT: another type, or out of range; the result is then untouched.
 */
MUST_USE enum err wire_get_bool(struct wire_value value, bool *ret_value);
/* Whole numbers only: no fraction, no exponent. */
MUST_USE enum err wire_get_i64(struct wire_value value, int64_t *ret_value);
MUST_USE enum err wire_get_u64(struct wire_value value, uint64_t *ret_value);
MUST_USE enum err wire_get_u32(struct wire_value value, uint32_t *ret_value);
/* Any number, in thousandths, rounded half away from zero; at most 9e15 either way. */
MUST_USE enum err wire_get_milli(struct wire_value value, int64_t *ret_milli);
/* The same in millionths; at most 9e15 of them. */
MUST_USE enum err wire_get_micro(struct wire_value value, int64_t *ret_micro);
/* Escapes read, NUL-terminated.  ERR_FULL: does not fit; ERR_INPUT: no string, or a NUL inside. */
MUST_USE enum err wire_get_text(struct wire_value value, char *dst, size_t dst_bytes);
/* 32 hex digits. */
MUST_USE enum err wire_get_id(struct wire_value value, struct id128 *ret_id);

/* ---- writing JSON ---- */

/* Commas are put by the writer.  Check text->overflow once, at the end. */
struct wire_writer {
    struct text *text;
    bool follows; /* a value stands before, so a comma comes next */
};
void wire_begin(struct wire_writer *writer, struct text *text);
void wire_object(struct wire_writer *writer); /* { */
void wire_object_end(struct wire_writer *writer);
void wire_array(struct wire_writer *writer); /* [ */
void wire_array_end(struct wire_writer *writer);
void wire_key(struct wire_writer *writer, const char *name);
void wire_put_str(struct wire_writer *writer,
                  struct str text); /* bytes that are no UTF-8: U+FFFD */
void wire_put_text(struct wire_writer *writer, const char *text);
void wire_put_u64(struct wire_writer *writer, uint64_t value);
void wire_put_i64(struct wire_writer *writer, int64_t value);
void wire_put_milli(struct wire_writer *writer, int64_t milli); /* 92500 is 92.5 */
void wire_put_micro(struct wire_writer *writer, int64_t micro);
void wire_put_bool(struct wire_writer *writer, bool value);
void wire_put_null(struct wire_writer *writer);
void wire_put_id(struct wire_writer *writer, struct id128 id);
void wire_put_raw(struct wire_writer *writer, struct str json); /* the caller vouches for it */

/* ---- messages ----
 *
 * x_encode appends to `text`: ERR_FULL when it does not fit (the text is then useless).
 * x_decode: ERR_INPUT with `*ret_fault` (may be NULL); the result is then untouched.  Fields it
 * does not know are skipped, so that a newer server may say more; those it knows are strict. */

#define WIRE_NAME_BYTES  48 /* reasons, steps, names of numbers, with NUL */
#define WIRE_NUMBERS_MAX 8
#define WIRE_JOURNAL_MAX 8
#define WIRE_COLUMNS_MAX 8
#define WIRE_SAMPLES_MAX 200
#define WIRE_PATH_BYTES  160
#define WIRE_SECONDS_MAX 86400u

enum wire_status {             /* what a board reports; words of POST /api/commands/update */
                   WIRE_CLAIM, /* "brewing" */
                   WIRE_COMPLETE,
                   WIRE_FAILED,
                   WIRE_REJECTED,
                   WIRE_CANCELLED,
};
const char *wire_status_name(enum wire_status status);
MUST_USE enum err wire_status_from(struct str text, enum wire_status *ret_status);

/* GET check, 200. */
struct wire_offer {
    uint64_t command_id;
    struct id128 uid;
    char command[WIRE_NAME_BYTES];
    struct str payload;      /* JSON object ("payload", or "recipe" where there is none) */
    struct str instructions; /* JSON object ("accessory_instructions", or its alias
                                "actuator_sequence"); at NULL: none */
    bool execute_allowed;
    bool running; /* not an offer: the command this board's own claim is running */
    bool has_claim;
    struct id128 claim_id;   /* only then */
    uint32_t max_duration_s; /* 0: not said */
    /* MQTT, where every board of a machine hears it: whose claim is running; zero: not said */
    struct id128 journal_id;
};
MUST_USE enum err wire_offer_encode(const struct wire_offer *offer, struct text *text);
MUST_USE enum err wire_offer_decode(struct str body, struct wire_offer *ret_offer,
                                    struct wire_fault *ret_fault);

struct wire_number { /* one measured figure of a report: {"actual_volume_ml": 41.2} */
    char name[WIRE_NAME_BYTES];
    int64_t milli;
};

/* POST update: a claim (status WIRE_CLAIM) or the outcome. */
struct wire_report {
    enum wire_status status;
    bool has_claim;
    struct id128 claim_id;
    struct id128 journal_id;       /* zero: none */
    struct id128 uid;              /* of the command meant, beside its number; zero: not said */
    char reason[WIRE_NAME_BYTES];  /* meta.error; "": none */
    char warning[WIRE_NAME_BYTES]; /* meta.warning; "": none */
    int64_t duration_ms;           /* meta.duration_ms; -1: not known */
    uint32_t number_count;
    struct wire_number number[WIRE_NUMBERS_MAX]; /* into meta */
    struct str sensors;                          /* meta.sensors, a JSON object; at NULL: none */
    uint64_t command_id;                         /* MQTT, where no path says it; 0: not said */
    struct str meta; /* decoded only: the whole object as written; at NULL: none */
};
MUST_USE enum err wire_report_encode(const struct wire_report *report, struct text *text);
MUST_USE enum err wire_report_decode(struct str body, struct wire_report *ret_report,
                                     struct wire_fault *ret_fault);

/* The answer to update and to progress. */
struct wire_answer {
    uint64_t command_id; /* 0: not said */
    bool granted;        /* both deadlines are there: a claim's answer */
    int64_t start_within_ms;
    uint32_t max_duration_s;
    bool stop;
};
MUST_USE enum err wire_answer_encode(const struct wire_answer *answer, struct text *text);
MUST_USE enum err wire_answer_decode(struct str body, struct wire_answer *ret_answer,
                                     struct wire_fault *ret_fault);

struct wire_journal_entry {
    struct id128 uid, claim_id;
    uint64_t command_id;
    bool done; /* "done", otherwise "started" */
};

/* POST hello. */
struct wire_hello {
    struct id128 boot_id, journal_id;
    char firmware[WIRE_NAME_BYTES];
    struct str capabilities; /* JSON object; at NULL: {} */
    uint32_t entry_count;
    struct wire_journal_entry entry[WIRE_JOURNAL_MAX]; /* open ones */
};
MUST_USE enum err wire_hello_encode(const struct wire_hello *hello, struct text *text);
MUST_USE enum err wire_hello_decode(struct str body, struct wire_hello *ret_hello,
                                    struct wire_fault *ret_fault);

enum wire_admission {
    WIRE_ADMITTED,
    WIRE_WAITING,
    WIRE_BLOCKED,
};

/* The answer to hello, 200 or 202. */
struct wire_welcome {
    enum wire_admission admission;
    struct str config; /* JSON object; at NULL: none */
    bool has_running;
    uint64_t running_command_id;
    struct id128 running_uid, running_claim_id; /* claim zero: not told */
    struct id128 boot_id; /* MQTT: of the hello that this answers; zero: told unasked */
};
MUST_USE enum err wire_welcome_encode(const struct wire_welcome *welcome, struct text *text);
MUST_USE enum err wire_welcome_decode(struct str body, struct wire_welcome *ret_welcome,
                                      struct wire_fault *ret_fault);

/* POST commands/progress: the step, and rows of the live curve, all in thousandths but t_ms
 * (whole). */
struct wire_progress {
    struct id128 claim_id;
    char step[WIRE_NAME_BYTES];
    uint32_t column_count; /* without t_ms, which is always the first */
    char column[WIRE_COLUMNS_MAX][WIRE_NAME_BYTES];
    uint32_t sample_count;
    /* sample_count rows of 1 + column_count numbers: t_ms, then the columns; the caller's array */
    const int32_t *samples;
    uint64_t command_id; /* MQTT, where no path says it; 0: not said */
};
MUST_USE enum err wire_progress_encode(const struct wire_progress *progress, struct text *text);
/* `storage` keeps the rows; ERR_FULL when `storage_count` numbers are not enough. */
MUST_USE enum err wire_progress_decode(struct str body, int32_t *storage, size_t storage_count,
                                       struct wire_progress *ret_progress,
                                       struct wire_fault *ret_fault);

/* POST machines/progress: what the machine is now. */
struct wire_machine {
    char step[WIRE_NAME_BYTES];
    struct str sensors; /* JSON object; at NULL: {} */
    struct str faults;  /* JSON array; at NULL: none */
};
MUST_USE enum err wire_machine_encode(const struct wire_machine *machine, struct text *text);
MUST_USE enum err wire_machine_decode(struct str body, struct wire_machine *ret_machine,
                                      struct wire_fault *ret_fault);

/* RFC 9457 problem document: only its stable code is for machines. */
struct wire_problem {
    char code[WIRE_NAME_BYTES]; /* "" when it has none */
};
MUST_USE enum err wire_problem_encode(const struct wire_problem *problem, uint32_t status,
                                      struct text *text);
MUST_USE enum err wire_problem_decode(struct str body, struct wire_problem *ret_problem,
                                      struct wire_fault *ret_fault);

/* ---- messages of the MQTT road (hello, config, offer, report and progress are those above) ----
 */

/* machines/{id}/claim */
struct wire_claim {
    uint64_t command_id;
    struct id128 uid, claim_id, journal_id;
    struct str sensors; /* as the machine stood; a JSON object, at NULL: none */
};
MUST_USE enum err wire_claim_encode(const struct wire_claim *claim, struct text *text);
MUST_USE enum err wire_claim_decode(struct str body, struct wire_claim *ret_claim,
                                    struct wire_fault *ret_fault);

/* machines/{id}/claim/result.  Granted only with both deadlines; a decoder takes anything else for
 * a refusal (README rule 5), or for malformed. */
struct wire_claim_result {
    uint64_t command_id;
    struct id128 uid, claim_id; /* of the claim that this answers */
    bool granted;
    int64_t start_within_ms;
    uint32_t max_duration_s;
    bool stop;
    char code[WIRE_NAME_BYTES]; /* when refused: a problem's code */
};
MUST_USE enum err wire_claim_result_encode(const struct wire_claim_result *result,
                                           struct text *text);
MUST_USE enum err wire_claim_result_decode(struct str body, struct wire_claim_result *ret_result,
                                           struct wire_fault *ret_fault);

/* machines/{id}/stop */
struct wire_stop {
    uint64_t command_id;
    struct id128 uid, claim_id; /* uid zero: not said; claim zero: claimed without one */
};
MUST_USE enum err wire_stop_encode(const struct wire_stop *stop, struct text *text);
MUST_USE enum err wire_stop_decode(struct str body, struct wire_stop *ret_stop,
                                   struct wire_fault *ret_fault);

/* machines/{id}/state, retained; offline is the will. */
struct wire_state {
    bool online;
    char step[WIRE_NAME_BYTES]; /* "": not said */
    struct str sensors;         /* JSON object; at NULL: none */
};
MUST_USE enum err wire_state_encode(const struct wire_state *state, struct text *text);
MUST_USE enum err wire_state_decode(struct str body, struct wire_state *ret_state,
                                    struct wire_fault *ret_fault);

/* window/{id}/control: where to move, and how sure the model is. */
struct wire_control {
    int64_t position_milli; /* of percent */
    bool has_confidence;
    int64_t confidence_milli; /* of 1 */
    uint64_t command_id;      /* 0: a proposal, not a command */
    /* Of a proposal: the question it answers; "": it does not say. */
    char request_id[WIRE_NAME_BYTES];
};
MUST_USE enum err wire_control_encode(const struct wire_control *control, struct text *text);
MUST_USE enum err wire_control_decode(struct str body, struct wire_control *ret_control,
                                      struct wire_fault *ret_fault);

/* ml/inference/request/{id}.  Measured figures in millionths: loudness is a small number. */
struct wire_inference {
    char device_id[ID_BYTES_MAX + 1];
    int64_t temperature_micro, humidity_micro, sound_micro; /* C, %, RMS of full scale */
    int64_t at_ms;                                          /* "ts": epoch seconds, a fraction */
    char request_id[WIRE_NAME_BYTES];                       /* "": none */
};
MUST_USE enum err wire_inference_encode(const struct wire_inference *inference, struct text *text);
MUST_USE enum err wire_inference_decode(struct str body, struct wire_inference *ret_inference,
                                        struct wire_fault *ret_fault);

/* A JSON object with "command_id" put in front of its members, which must not have one: what a path
 * says over HTTP. */
MUST_USE enum err wire_add_command_id(struct str object, uint64_t command_id, struct text *text);

/* ---- topics ---- */

enum wire_topic {
    WIRE_TOPIC_HELLO, /* machines/{id}/...: a device publishes this and the next four */
    WIRE_TOPIC_CLAIM,
    WIRE_TOPIC_REPORT,
    WIRE_TOPIC_PROGRESS,
    WIRE_TOPIC_STATE,
    WIRE_TOPIC_CONFIG, /* the server publishes this and the next three */
    WIRE_TOPIC_CLAIM_RESULT,
    WIRE_TOPIC_OFFER,
    WIRE_TOPIC_STOP,
    WIRE_TOPIC_INFERENCE, /* ml/inference/request/{id} */
    WIRE_TOPIC_CONTROL,   /* window/{id}/control */
    WIRE_TOPIC_SENSOR,    /* sensor/{id}/{type} */
    WIRE_TOPIC_COUNT,
};
#define WIRE_TOPIC_BYTES 160 /* the longest of them, with NUL */

/* Appended to `text`.  `machine_id` is checked by the caller, or "+" for a filter; so is `type`,
 * which only WIRE_TOPIC_SENSOR has. */
void wire_topic_add(struct text *text, enum wire_topic topic, struct str machine_id,
                    struct str type);
/* False: none of these, or its id is none.  `ret_type` (may be NULL) is set for WIRE_TOPIC_SENSOR:
 * not empty, otherwise as it came. */
MUST_USE bool wire_topic_read(struct str topic, enum wire_topic *ret_topic,
                              struct str *ret_machine_id, struct str *ret_type);

/* ---- paths: appended to `text`; ids are checked by the caller (id_valid), so nothing needs
 * escaping ---- */

void wire_path_check(struct text *text, struct str machine_id, uint32_t wait_s); /* 0: no wait */
void wire_path_update(struct text *text, uint64_t command_id);
void wire_path_progress(struct text *text, uint64_t command_id);
void wire_path_hello(struct text *text, struct str machine_id);
void wire_path_machine(struct text *text, struct str machine_id);

#endif
