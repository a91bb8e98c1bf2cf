/* kinds: the server's half of every machine kind: what an order for it must look like, what it is
 * called, which numbers its machines publish, and its own tables.  One folder a kind, one line each
 * in the table of kinds.c; nothing else in the program names a kind.
 *
 * Functions that take a `struct store_db *` run inside a store job; the rest is pure and may be
 * called on any thread.  Texts in results live in `scratch` or are constants. */
#ifndef AUTOMAT_KINDS_H
#define AUTOMAT_KINDS_H

#include "base/base.h"
#include "queue/queue.h"
#include "store/store.h"
#include "sys/sys.h"

#include <jansson.h>

/* ---- why an order is refused ---- */

#define KINDS_FIELD_BYTES    96
#define KINDS_SENTENCE_BYTES 240

struct kinds_refusal {
    const char *code;                    /* stable: "unknown_field", "out_of_limits", ... */
    char field[KINDS_FIELD_BYTES];       /* "recipe.temperature_c"; "" when none is at fault */
    char sentence[KINDS_SENTENCE_BYTES]; /* for people */
};

/* ---- reading an object with exact faults: web reads its bodies with this, too ----
 *
 *     struct kinds_reader reader;
 *     kinds_read_begin(&reader, body, "recipe", &refusal);
 *     kinds_read_u32(&reader, "volume_ml", true, &volume_ml);
 *     if (!kinds_read_end(&reader))
 *         return ERR_INPUT;
 *
 * The first fault counts; after it every read does nothing.  A value that is absent, or null where
 * it is not required, leaves its target as it was. */

#define KINDS_READER_NAMES_MAX 24

struct kinds_reader {
    const json_t *object; /* NULL after a fault */
    const char *prefix;   /* name of the object itself; "" for the body */
    struct kinds_refusal *refusal;
    const char *names[KINDS_READER_NAMES_MAX]; /* what was asked for */
    size_t name_count;
};

/* Faults: "wrong_type" when `value` is not an object. */
void kinds_read_begin(struct kinds_reader *reader, const json_t *value, const char *prefix,
                      struct kinds_refusal *refusal);
/* False when there was a fault, "unknown_field" for a name nobody asked for included. */
MUST_USE bool kinds_read_end(struct kinds_reader *reader);
bool kinds_read_ok(const struct kinds_reader *reader);

/* NULL when absent (and not required), null, or after a fault.  Borrowed from the object. */
const json_t *kinds_read_any(struct kinds_reader *reader, const char *name, bool required);
const json_t *kinds_read_object(struct kinds_reader *reader, const char *name, bool required);
const json_t *kinds_read_array(struct kinds_reader *reader, const char *name, bool required);
/* No longer than `bytes_max`, at least one byte when required; else "bad_value". */
void kinds_read_text(struct kinds_reader *reader, const char *name, bool required, size_t bytes_max,
                     struct str *ret_text);
void kinds_read_bool(struct kinds_reader *reader, const char *name, bool required, bool *ret_value);
/* A whole number (40 or 40.0); "out_of_limits" outside min..max. */
bool kinds_read_i64(struct kinds_reader *reader, const char *name, bool required, int64_t min,
                    int64_t max, int64_t *ret_value);
/* A number in thousandths, rounded; "out_of_limits" outside min..max (thousandths as well). */
bool kinds_read_milli(struct kinds_reader *reader, const char *name, bool required, int64_t min,
                      int64_t max, int64_t *ret_value);
/* 32 hex digits. */
void kinds_read_id128(struct kinds_reader *reader, const char *name, bool required,
                      struct id128 *ret_id);
/* Report a fault found by the caller; `field` is relative to the reader's prefix. */
void kinds_read_fault(struct kinds_reader *reader, const char *code, const char *field,
                      const char *format, ...) PRINTF_LIKE(4, 5);

/* ---- a kind ---- */

struct kinds_command {
    const char *name; /* "brew" */
    const char *word; /* what people call it while it runs: "brewing" */
};

struct kinds_order {
    const struct kinds_command *command;
    const json_t *payload;      /* object; for a brew the recipe */
    const json_t *instructions; /* object or NULL */
    const json_t *config;       /* the machine's configuration, object or NULL */
    const char *payload_name;   /* how the body called them, for `field` */
    const char *instructions_name;
};

#define KINDS_WARNINGS_MAX 2

struct kinds_accepted {
    struct str payload;                       /* JSON, every field written out */
    struct str instructions;                  /* JSON or none */
    const char *warnings[KINDS_WARNINGS_MAX]; /* sentences; guidance only */
    size_t warning_count;
};

/* A batch of curve samples, checked. */
struct kinds_samples {
    struct str step;    /* state machine's step, or none */
    const json_t *rows; /* array of arrays of numbers, as many as the kind has columns */
    size_t row_count;
};
#define KINDS_SAMPLES_BATCH_MAX 200
#define KINDS_SAMPLES_TOTAL_MAX 6000 /* a command; later ones are dropped */

struct kinds_kind {
    const char *name;
    const struct kinds_command *commands;
    size_t command_count;
    struct queue_kind queue;
    const char *const *columns; /* of the live curve, the first is t_ms; NULL-terminated */
    const char *const *steps;   /* of the state machine; NULL-terminated */

    /* ERR_OK; ERR_INPUT: malformed (400); ERR_REFUSED: a named rule (422); ERR_NOMEM. */
    enum err (*check)(const struct kinds_order *order, struct arena *scratch,
                      struct kinds_accepted *ret_accepted, struct kinds_refusal *ret_refusal);
    /* A machine's configuration as staff write it: ERR_OK, ERR_INPUT, ERR_REFUSED. */
    enum err (*check_config)(const json_t *config, struct kinds_refusal *ret_refusal);
    /* Limits, refusals, capsules: what a page needs to build its forms.  A new reference or NULL.
     */
    json_t *(*describe)(void);
    /* Curve of a command.  Samples no newer than the last stored one are left out, so that a batch
     * whose answer was lost may be sent again. */
    enum err (*curve_append)(struct store_db *db, uint64_t command_id,
                             const struct kinds_samples *samples, int64_t at_ms);
    /* {"columns", "samples", "steps"} as JSON text; an unknown command has an empty one. */
    enum err (*curve_read)(struct store_db *db, uint64_t command_id, struct buf *ret_json);
};

/* NULL-terminated; lives as long as the program. */
const struct kinds_kind *const *kinds_all(void);
/* For queue_options.kinds. */
const struct queue_kind *const *kinds_queue_table(void);

const struct kinds_kind *kinds_find(struct str name); /* NULL: no such kind */
/* In any case, as factories write them; NULL: the kind has no such command. */
const struct kinds_command *kinds_command_find(const struct kinds_kind *kind, struct str name);
/* The word people know for a command in this state: "brewing" for a running brew. */
const char *kinds_status_word(struct str kind, struct str command, enum queue_state state);
/* Does this word mean "I begin now" for some command of the kind?  Any case. */
bool kinds_word_running(const struct kinds_kind *kind, struct str word);

/* A batch as a device sends it: the body's `step`, `columns` (optional; must be the kind's own) and
 * `samples`.  False: refusal is filled. */
bool kinds_samples_read(const struct kinds_kind *kind, struct kinds_reader *reader,
                        struct kinds_samples *ret_samples);

/* A kind as GET /api/kinds shows it; a new reference or NULL when out of memory. */
json_t *kinds_describe(const struct kinds_kind *kind);

#endif
