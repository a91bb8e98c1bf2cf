/* Inside web: JSON text, written field by field into a buffer.  The first failure stays; commas
 * look after themselves.  `key` is NULL inside a list. */
#ifndef AUTOMAT_WEB_JSON_OUT_H
#define AUTOMAT_WEB_JSON_OUT_H

#include "base/base.h"
#include "sys/sys.h"

struct json_out {
    struct buf *buf;
    enum err err;
};

void out_open(struct json_out *out, const char *key, char bracket);     /* '{' or '[' */
void out_close(struct json_out *out, char bracket);                     /* '}' or ']' */
void out_text(struct json_out *out, const char *key, struct str value); /* at == NULL: null */
void out_word(struct json_out *out, const char *key, const char *value);
void out_i64(struct json_out *out, const char *key, int64_t value);
void out_u64(struct json_out *out, const char *key, uint64_t value);
void out_f64(struct json_out *out, const char *key, double value);
void out_bool(struct json_out *out, const char *key, bool value);
void out_null(struct json_out *out, const char *key);
void out_time(struct json_out *out, const char *key, int64_t epoch_ms); /* 0: null */
void out_id128(struct json_out *out, const char *key, struct id128 id);
void out_hex(struct json_out *out, const char *key, const uint8_t *bytes, size_t len); /* <= 64 */
/* Valid JSON text as it is; none: `otherwise`, also JSON text. */
void out_raw(struct json_out *out, const char *key, struct str json, const char *otherwise);

#endif
