/* The claim and its answer over MQTT, where no answer comes back on the same connection's turn: so
 * each names the attempt it belongs to.  And the request to stop. */
#include "wire/wire_int.h"

enum err wire_claim_encode(const struct wire_claim *claim, struct text *text)
{
    struct wire_writer w;
    wire_begin(&w, text);
    wire_object(&w);
    wire_key(&w, "command_id");
    wire_put_u64(&w, claim->command_id);
    wire_key(&w, "uid");
    wire_put_id(&w, claim->uid);
    wire_key(&w, "claim_id");
    wire_put_id(&w, claim->claim_id);
    wire_key(&w, "journal_id");
    wire_put_id(&w, claim->journal_id);
    if (claim->sensors.at != NULL) {
        wire_key(&w, "sensors");
        wire_put_raw(&w, claim->sensors);
    }
    wire_object_end(&w);
    return text->overflow ? ERR_FULL : ERR_OK;
}

enum err wire_claim_decode(struct str body, struct wire_claim *ret_claim,
                           struct wire_fault *ret_fault)
{
    struct wire_fields fields;
    struct wire_claim claim = {0};
    struct wire_value value;
    wire_fields_open(&fields, body);
    (void)wire_field_u64(&fields, "command_id", true, INT64_MAX, &claim.command_id);
    (void)wire_field_id(&fields, "uid", true, &claim.uid);
    (void)wire_field_id(&fields, "claim_id", true, &claim.claim_id);
    (void)wire_field_id(&fields, "journal_id", true, &claim.journal_id);
    if (wire_field(&fields, "sensors", false, WIRE_OBJECT, &value))
        claim.sensors = value.raw;
    enum err err = wire_fields_end(&fields, ret_fault);
    if (err == ERR_OK)
        *ret_claim = claim;
    return err;
}

static void put_verdict(struct wire_writer *w, const struct wire_claim_result *result)
{
    wire_key(w, "granted");
    wire_put_bool(w, result->granted);
    if (!result->granted) {
        wire_key(w, "code");
        wire_put_text(w, result->code);
        return;
    }
    wire_key(w, "start_within_ms");
    wire_put_i64(w, result->start_within_ms);
    wire_key(w, "max_duration_s");
    wire_put_u64(w, result->max_duration_s);
    if (result->stop) {
        wire_key(w, "stop");
        wire_put_bool(w, true);
    }
}

enum err wire_claim_result_encode(const struct wire_claim_result *result, struct text *text)
{
    struct wire_writer w;
    wire_begin(&w, text);
    wire_object(&w);
    wire_key(&w, "command_id");
    wire_put_u64(&w, result->command_id);
    wire_key(&w, "uid");
    wire_put_id(&w, result->uid);
    wire_key(&w, "claim_id");
    wire_put_id(&w, result->claim_id);
    put_verdict(&w, result);
    wire_object_end(&w);
    return text->overflow ? ERR_FULL : ERR_OK;
}

enum err wire_claim_result_decode(struct str body, struct wire_claim_result *ret_result,
                                  struct wire_fault *ret_fault)
{
    struct wire_fields fields;
    struct wire_claim_result result = {0};
    wire_fields_open(&fields, body);
    (void)wire_field_u64(&fields, "command_id", true, INT64_MAX, &result.command_id);
    (void)wire_field_id(&fields, "uid", true, &result.uid);
    (void)wire_field_id(&fields, "claim_id", true, &result.claim_id);
    (void)wire_field_bool(&fields, "granted", false, &result.granted);
    (void)wire_field_bool(&fields, "stop", false, &result.stop);
    (void)wire_field_text(&fields, "code", false, result.code, sizeof(result.code));
    /* A grant says until when it is good, both ways, or it is none. */
    (void)wire_field_i64(&fields, "start_within_ms", result.granted, INT64_MIN / 4, INT64_MAX / 4,
                         &result.start_within_ms);
    (void)wire_field_u32(&fields, "max_duration_s", result.granted, WIRE_SECONDS_MAX,
                         &result.max_duration_s);
    enum err err = wire_fields_end(&fields, ret_fault);
    if (err == ERR_OK)
        *ret_result = result;
    return err;
}

enum err wire_stop_encode(const struct wire_stop *stop, struct text *text)
{
    struct wire_writer w;
    wire_begin(&w, text);
    wire_object(&w);
    wire_key(&w, "command_id");
    wire_put_u64(&w, stop->command_id);
    if (!id128_is_zero(stop->uid)) {
        wire_key(&w, "uid");
        wire_put_id(&w, stop->uid);
    }
    if (!id128_is_zero(stop->claim_id)) {
        wire_key(&w, "claim_id");
        wire_put_id(&w, stop->claim_id);
    }
    wire_object_end(&w);
    return text->overflow ? ERR_FULL : ERR_OK;
}

enum err wire_stop_decode(struct str body, struct wire_stop *ret_stop, struct wire_fault *ret_fault)
{
    struct wire_fields fields;
    struct wire_stop stop = {0};
    wire_fields_open(&fields, body);
    (void)wire_field_u64(&fields, "command_id", true, INT64_MAX, &stop.command_id);
    (void)wire_field_id(&fields, "uid", false, &stop.uid);
    (void)wire_field_id(&fields, "claim_id", false, &stop.claim_id);
    enum err err = wire_fields_end(&fields, ret_fault);
    if (err == ERR_OK)
        *ret_stop = stop;
    return err;
}

enum err wire_add_command_id(struct str object, uint64_t command_id, struct text *text)
{
    ASSERT(object.len >= 2 && object.at[0] == '{');
    text_add(text, STR("{\"command_id\":"));
    text_add_u64(text, command_id);
    if (object.len > 2)
        text_add_char(text, ',');
    text_add(text, str_slice(object, 1, object.len));
    return text->overflow ? ERR_FULL : ERR_OK;
}
