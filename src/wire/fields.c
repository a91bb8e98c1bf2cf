/* Reading the members of a message: strict about what it knows, silent about the rest. */
#include "wire/wire_int.h"

void wire_fields_fail(struct wire_fields *fields, const char *field, const char *why)
{
    if (fields->bad)
        return;
    fields->bad = true;
    fields->fault = (struct wire_fault){.why = why, .field = field};
}

static void fail_at(struct wire_fields *fields, const char *field, const char *why,
                    struct wire_value value)
{
    if (fields->bad)
        return;
    wire_fields_fail(fields, field, why);
    fields->fault.at_byte = (size_t)(value.raw.at - fields->body.at);
}

void wire_fields_open(struct wire_fields *fields, struct str body)
{
    *fields = (struct wire_fields){.body = body};
    fields->bad = wire_open(body, &fields->object, &fields->fault) != ERR_OK;
    if (!fields->bad && fields->object.type != WIRE_OBJECT)
        wire_fields_fail(fields, NULL, "no object");
}

struct wire_fields wire_fields_of(const struct wire_fields *outer, struct wire_value object)
{
    return (struct wire_fields){.body = outer->body, .object = object};
}

enum err wire_fields_end(const struct wire_fields *fields, struct wire_fault *ret_fault)
{
    if (!fields->bad)
        return ERR_OK;
    if (ret_fault != NULL)
        *ret_fault = fields->fault;
    return ERR_INPUT;
}

bool wire_field(struct wire_fields *fields, const char *name, bool required, enum wire_type type,
                struct wire_value *ret_value)
{
    struct wire_value value;
    if (fields->bad)
        return false;
    bool found = wire_find(fields->object, name, &value);
    if (!found || value.type == WIRE_NULL) {
        if (required)
            wire_fields_fail(fields, name, "missing");
        return false;
    }
    if (value.type != type) {
        fail_at(fields, name, "type", value);
        return false;
    }
    *ret_value = value;
    return true;
}

bool wire_field_text(struct wire_fields *fields, const char *name, bool required, char *dst,
                     size_t dst_bytes)
{
    struct wire_value value;
    if (!wire_field(fields, name, required, WIRE_STRING, &value))
        return false;
    if (wire_get_text(value, dst, dst_bytes) != ERR_OK) {
        fail_at(fields, name, "text", value);
        return false;
    }
    return true;
}

bool wire_field_u64(struct wire_fields *fields, const char *name, bool required, uint64_t max,
                    uint64_t *ret_value)
{
    struct wire_value value;
    uint64_t number;
    if (!wire_field(fields, name, required, WIRE_NUMBER, &value))
        return false;
    if (wire_get_u64(value, &number) != ERR_OK || number > max) {
        fail_at(fields, name, "range", value);
        return false;
    }
    *ret_value = number;
    return true;
}

bool wire_field_u32(struct wire_fields *fields, const char *name, bool required, uint32_t max,
                    uint32_t *ret_value)
{
    uint64_t wide;
    if (!wire_field_u64(fields, name, required, max, &wide))
        return false;
    *ret_value = (uint32_t)wide;
    return true;
}

bool wire_field_i64(struct wire_fields *fields, const char *name, bool required, int64_t min,
                    int64_t max, int64_t *ret_value)
{
    struct wire_value value;
    int64_t number;
    if (!wire_field(fields, name, required, WIRE_NUMBER, &value))
        return false;
    if (wire_get_i64(value, &number) != ERR_OK || number < min || number > max) {
        fail_at(fields, name, "range", value);
        return false;
    }
    *ret_value = number;
    return true;
}

bool wire_field_bool(struct wire_fields *fields, const char *name, bool required, bool *ret_value)
{
    struct wire_value value;
    return wire_field(fields, name, required, WIRE_BOOL, &value) &&
           wire_get_bool(value, ret_value) == ERR_OK;
}

bool wire_field_id(struct wire_fields *fields, const char *name, bool required,
                   struct id128 *ret_id)
{
    struct wire_value value;
    if (!wire_field(fields, name, required, WIRE_STRING, &value))
        return false;
    if (wire_get_id(value, ret_id) != ERR_OK) {
        fail_at(fields, name, "id", value);
        return false;
    }
    return true;
}
