/* Inside wire: what its files share. */
#ifndef AUTOMAT_WIRE_INT_H
#define AUTOMAT_WIRE_INT_H

#include "wire/wire.h"

/* ---- json_string.c ---- */

/* Reads one character of a string's inside at `*pos`, escapes resolved, as 1..4 bytes.  False: no
 * well-formed character stands there.  The inside itself is known to be valid UTF-8 by byte. */
bool wire_string_step(struct str inside, size_t *pos, char out[4], size_t *ret_len);
/* What stands between the quotes. */
struct str wire_inside(struct wire_value string);
bool wire_same_string(struct wire_value a, struct wire_value b);

/* ---- fields.c: reading the members of a message ---- */

/* The first fault sticks; later reads then do nothing and say so. */
struct wire_fields {
    struct str body;
    struct wire_value object;
    struct wire_fault fault;
    bool bad;
};
/* `body` must be one JSON object. */
void wire_fields_open(struct wire_fields *fields, struct str body);
/* The same for an object inside it: shares nothing but the body. */
struct wire_fields wire_fields_of(const struct wire_fields *outer, struct wire_value object);
void wire_fields_fail(struct wire_fields *fields, const char *field, const char *why);
/* ERR_OK or ERR_INPUT, and the fault to the caller. */
enum err wire_fields_end(const struct wire_fields *fields, struct wire_fault *ret_fault);

/* Each returns true when the member is there (and not null) and good.  A required one that is
 * missing, or one of a wrong type, is a fault.  `ret` is untouched unless true. */
bool wire_field(struct wire_fields *fields, const char *name, bool required, enum wire_type type,
                struct wire_value *ret_value);
bool wire_field_text(struct wire_fields *fields, const char *name, bool required, char *dst,
                     size_t dst_bytes);
bool wire_field_u64(struct wire_fields *fields, const char *name, bool required, uint64_t max,
                    uint64_t *ret_value);
bool wire_field_u32(struct wire_fields *fields, const char *name, bool required, uint32_t max,
                    uint32_t *ret_value);
bool wire_field_i64(struct wire_fields *fields, const char *name, bool required, int64_t min,
                    int64_t max, int64_t *ret_value);
bool wire_field_bool(struct wire_fields *fields, const char *name, bool required, bool *ret_value);
bool wire_field_id(struct wire_fields *fields, const char *name, bool required,
                   struct id128 *ret_id);

#endif
