/* check and the answers to update and progress. */
#include "wire/wire_int.h"

enum err wire_offer_encode(const struct wire_offer *offer, struct text *text)
{
    struct wire_writer w;
    wire_begin(&w, text);
    wire_object(&w);
    wire_key(&w, "command_id");
    wire_put_u64(&w, offer->command_id);
    wire_key(&w, "uid");
    wire_put_id(&w, offer->uid);
    wire_key(&w, "command");
    wire_put_text(&w, offer->command);
    wire_key(&w, "payload");
    wire_put_raw(&w, offer->payload.at != NULL ? offer->payload : STR("{}"));
    if (offer->instructions.at != NULL) {
        wire_key(&w, "accessory_instructions");
        wire_put_raw(&w, offer->instructions);
    }
    wire_key(&w, "execute_allowed");
    wire_put_bool(&w, offer->execute_allowed);
    wire_key(&w, "state");
    wire_put_text(&w, offer->running ? "running" : "pending");
    if (offer->has_claim) {
        wire_key(&w, "claim_id");
        wire_put_id(&w, offer->claim_id);
    }
    if (offer->max_duration_s != 0) {
        wire_key(&w, "max_duration_s");
        wire_put_u64(&w, offer->max_duration_s);
    }
    if (!id128_is_zero(offer->journal_id)) {
        wire_key(&w, "journal_id");
        wire_put_id(&w, offer->journal_id);
    }
    wire_object_end(&w);
    return text->overflow ? ERR_FULL : ERR_OK;
}

static void read_payload(struct wire_fields *fields, struct wire_offer *offer)
{
    struct wire_value value;
    if (wire_field(fields, "payload", false, WIRE_OBJECT, &value) ||
        wire_field(fields, "recipe", false, WIRE_OBJECT, &value))
        offer->payload = value.raw;
    else
        wire_fields_fail(fields, "payload", "missing");
    if (wire_field(fields, "accessory_instructions", false, WIRE_OBJECT, &value) ||
        wire_field(fields, "actuator_sequence", false, WIRE_OBJECT, &value))
        offer->instructions = value.raw;
}

enum err wire_offer_decode(struct str body, struct wire_offer *ret_offer,
                           struct wire_fault *ret_fault)
{
    struct wire_fields fields;
    struct wire_offer offer = {.execute_allowed = true};
    char state[WIRE_NAME_BYTES] = "pending";
    wire_fields_open(&fields, body);
    (void)wire_field_u64(&fields, "command_id", true, INT64_MAX, &offer.command_id);
    (void)wire_field_id(&fields, "uid", true, &offer.uid);
    (void)wire_field_text(&fields, "command", true, offer.command, sizeof(offer.command));
    read_payload(&fields, &offer);
    (void)wire_field_bool(&fields, "execute_allowed", false, &offer.execute_allowed);
    (void)wire_field_text(&fields, "state", false, state, sizeof(state));
    offer.has_claim = wire_field_id(&fields, "claim_id", false, &offer.claim_id);
    (void)wire_field_u32(&fields, "max_duration_s", false, WIRE_SECONDS_MAX, &offer.max_duration_s);
    (void)wire_field_id(&fields, "journal_id", false, &offer.journal_id);
    /* Anything but a plain offer must not be taken for one. */
    offer.running = offer.has_claim || !str_equal(str_from(state), STR("pending"));
    enum err err = wire_fields_end(&fields, ret_fault);
    if (err == ERR_OK)
        *ret_offer = offer;
    return err;
}

enum err wire_answer_encode(const struct wire_answer *answer, struct text *text)
{
    struct wire_writer w;
    wire_begin(&w, text);
    wire_object(&w);
    wire_key(&w, "status");
    wire_put_text(&w, answer->command_id != 0 ? "updated" : "noted");
    if (answer->command_id != 0) {
        wire_key(&w, "command_id");
        wire_put_u64(&w, answer->command_id);
    }
    if (answer->granted) {
        wire_key(&w, "start_within_ms");
        wire_put_i64(&w, answer->start_within_ms);
        wire_key(&w, "max_duration_s");
        wire_put_u64(&w, answer->max_duration_s);
    }
    if (answer->stop) {
        wire_key(&w, "stop");
        wire_put_bool(&w, true);
    }
    wire_object_end(&w);
    return text->overflow ? ERR_FULL : ERR_OK;
}

enum err wire_answer_decode(struct str body, struct wire_answer *ret_answer,
                            struct wire_fault *ret_fault)
{
    struct wire_fields fields;
    struct wire_answer answer = {0};
    char status[WIRE_NAME_BYTES];
    wire_fields_open(&fields, body);
    (void)wire_field_text(&fields, "status", true, status, sizeof(status));
    (void)wire_field_u64(&fields, "command_id", false, INT64_MAX, &answer.command_id);
    bool within = wire_field_i64(&fields, "start_within_ms", false, INT64_MIN / 4, INT64_MAX / 4,
                                 &answer.start_within_ms);
    bool lasts =
        wire_field_u32(&fields, "max_duration_s", false, WIRE_SECONDS_MAX, &answer.max_duration_s);
    (void)wire_field_bool(&fields, "stop", false, &answer.stop);
    answer.granted = within && lasts;
    enum err err = wire_fields_end(&fields, ret_fault);
    if (err == ERR_OK)
        *ret_answer = answer;
    return err;
}
