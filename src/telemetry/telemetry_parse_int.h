/* Inside of telemetry: reading a payload.  Pure; no heap; any thread. */
#ifndef AUTOMAT_TELEMETRY_PARSE_INT_H
#define AUTOMAT_TELEMETRY_PARSE_INT_H

#include "telemetry/telemetry.h"

/* ---- number.c: decimal as in JSON, whatever the locale ---- */
enum telemetry_number {
    TELEMETRY_NUMBER_OK,
    TELEMETRY_NUMBER_MALFORMED,
    TELEMETRY_NUMBER_TOO_LARGE, /* no double is as large */
};
enum telemetry_number telemetry_number_parse(struct str text, double *ret_value);

/* ---- json.c: one flat object, member by member; strict (RFC 8259), without a tree ---- */
enum telemetry_json_kind {
    TELEMETRY_JSON_STRING, /* text: between the quotes, escapes as they stand */
    TELEMETRY_JSON_NUMBER, /* text: as it stands */
    TELEMETRY_JSON_NULL,
    TELEMETRY_JSON_BOOL,
};
struct telemetry_json {
    struct str text;
    size_t at;
    uint32_t members;
    const char *why; /* what is wrong at `at`; NULL: nothing so far */
};
struct telemetry_member {
    struct str key; /* escapes as they stand: no name we know has one */
    enum telemetry_json_kind kind;
    struct str text;
    size_t at_byte; /* of the value */
};
enum telemetry_json_step { TELEMETRY_JSON_MEMBER, TELEMETRY_JSON_END, TELEMETRY_JSON_BROKEN };
void telemetry_json_init(struct telemetry_json *json, struct str text);
enum telemetry_json_step telemetry_json_next(struct telemetry_json *json,
                                             struct telemetry_member *ret_member);

/* ---- audio.c ---- */
#define TELEMETRY_AUDIO_RATE 16000u /* Hz, when the message names none */
/* 2 s of PCM in base64; `escaped`: it stood in a JSON string, where '/' may be "\/".  `why` as in
 * telemetry_parse. */
enum telemetry_refusal telemetry_audio_measure(struct str base64, bool escaped, uint32_t rate_hz,
                                               double *ret_volume, double *ret_dbfs,
                                               char why[TELEMETRY_WHY_BYTES]);

/* ---- check.c: what every reading must be, wherever it came from ---- */
#define TELEMETRY_FUTURE_MS ((int64_t)5 * 60000)
#define TELEMETRY_VALUE_MAX 1e18 /* of a type we do not know: sums of it stay finite */
enum telemetry_refusal telemetry_type_check(struct str type, char why[TELEMETRY_WHY_BYTES]);
enum telemetry_refusal telemetry_value_check(const struct telemetry_reading *reading,
                                             int64_t now_ms, char why[TELEMETRY_WHY_BYTES]);
/* A sentence about outside bytes, with what is not printable ASCII shown as '?'. */
void telemetry_why(char why[TELEMETRY_WHY_BYTES], const char *format, ...) PRINTF_LIKE(2, 3);

#endif
