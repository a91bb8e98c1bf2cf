/* What else travels over MQTT: presence, and the two messages of the window's loop, whose field
 * names existing services know. */
#include "wire/wire_int.h"

/* ---- state ---- */

enum err wire_state_encode(const struct wire_state *state, struct text *text)
{
    struct wire_writer w;
    wire_begin(&w, text);
    wire_object(&w);
    wire_key(&w, "state");
    wire_put_text(&w, state->online ? "online" : "offline");
    if (state->step[0] != '\0') {
        wire_key(&w, "step");
        wire_put_text(&w, state->step);
    }
    if (state->sensors.at != NULL) {
        wire_key(&w, "sensors");
        wire_put_raw(&w, state->sensors);
    }
    wire_object_end(&w);
    return text->overflow ? ERR_FULL : ERR_OK;
}

enum err wire_state_decode(struct str body, struct wire_state *ret_state,
                           struct wire_fault *ret_fault)
{
    struct wire_fields fields;
    struct wire_state state = {0};
    struct wire_value value;
    char word[WIRE_NAME_BYTES];
    wire_fields_open(&fields, body);
    if (wire_field_text(&fields, "state", true, word, sizeof(word))) {
        state.online = str_equal(str_from(word), STR("online"));
        if (!state.online && !str_equal(str_from(word), STR("offline")))
            wire_fields_fail(&fields, "state", "unknown word");
    }
    (void)wire_field_text(&fields, "step", false, state.step, sizeof(state.step));
    if (wire_field(&fields, "sensors", false, WIRE_OBJECT, &value))
        state.sensors = value.raw;
    enum err err = wire_fields_end(&fields, ret_fault);
    if (err == ERR_OK)
        *ret_state = state;
    return err;
}

/* ---- control ---- */

static bool field_scaled(struct wire_fields *fields, const char *name, bool required, bool micro,
                         int64_t *ret_value)
{
    struct wire_value value;
    if (!wire_field(fields, name, required, WIRE_NUMBER, &value))
        return false;
    enum err err = micro ? wire_get_micro(value, ret_value) : wire_get_milli(value, ret_value);
    if (err != ERR_OK)
        wire_fields_fail(fields, name, "range");
    return err == ERR_OK;
}

enum err wire_control_encode(const struct wire_control *control, struct text *text)
{
    struct wire_writer w;
    wire_begin(&w, text);
    wire_object(&w);
    wire_key(&w, "position");
    wire_put_milli(&w, control->position_milli);
    if (control->has_confidence) {
        wire_key(&w, "confidence");
        wire_put_milli(&w, control->confidence_milli);
    }
    if (control->command_id != 0) {
        wire_key(&w, "command_id");
        wire_put_u64(&w, control->command_id);
    }
    if (control->request_id[0] != '\0') {
        wire_key(&w, "request_id");
        wire_put_text(&w, control->request_id);
    }
    wire_object_end(&w);
    return text->overflow ? ERR_FULL : ERR_OK;
}

enum err wire_control_decode(struct str body, struct wire_control *ret_control,
                             struct wire_fault *ret_fault)
{
    struct wire_fields fields;
    struct wire_control control = {0};
    wire_fields_open(&fields, body);
    if (field_scaled(&fields, "position", true, false, &control.position_milli) &&
        (control.position_milli < 0 || control.position_milli > 100000))
        wire_fields_fail(&fields, "position", "range");
    control.has_confidence =
        field_scaled(&fields, "confidence", false, false, &control.confidence_milli);
    if (control.has_confidence && (control.confidence_milli < 0 || control.confidence_milli > 1000))
        wire_fields_fail(&fields, "confidence", "range");
    (void)wire_field_u64(&fields, "command_id", false, INT64_MAX, &control.command_id);
    (void)wire_field_text(&fields, "request_id", false, control.request_id,
                          sizeof(control.request_id));
    enum err err = wire_fields_end(&fields, ret_fault);
    if (err == ERR_OK)
        *ret_control = control;
    return err;
}

/* ---- inference ---- */

enum err wire_inference_encode(const struct wire_inference *inference, struct text *text)
{
    struct wire_writer w;
    wire_begin(&w, text);
    wire_object(&w);
    wire_key(&w, "device_id");
    wire_put_text(&w, inference->device_id);
    wire_key(&w, "temp");
    wire_put_micro(&w, inference->temperature_micro);
    wire_key(&w, "humidity");
    wire_put_micro(&w, inference->humidity_micro);
    wire_key(&w, "sound_volume");
    wire_put_micro(&w, inference->sound_micro);
    wire_key(&w, "volume"); /* the same again, under the name older services read */
    wire_put_micro(&w, inference->sound_micro);
    wire_key(&w, "ts");
    wire_put_milli(&w, inference->at_ms);
    if (inference->request_id[0] != '\0') {
        wire_key(&w, "request_id");
        wire_put_text(&w, inference->request_id);
    }
    wire_object_end(&w);
    return text->overflow ? ERR_FULL : ERR_OK;
}

enum err wire_inference_decode(struct str body, struct wire_inference *ret_inference,
                               struct wire_fault *ret_fault)
{
    struct wire_fields fields;
    struct wire_inference inference = {0};
    wire_fields_open(&fields, body);
    (void)wire_field_text(&fields, "device_id", true, inference.device_id,
                          sizeof(inference.device_id));
    (void)field_scaled(&fields, "temp", true, true, &inference.temperature_micro);
    (void)field_scaled(&fields, "humidity", true, true, &inference.humidity_micro);
    if (!field_scaled(&fields, "sound_volume", false, true, &inference.sound_micro))
        (void)field_scaled(&fields, "volume", true, true, &inference.sound_micro);
    (void)field_scaled(&fields, "ts", false, false, &inference.at_ms);
    (void)wire_field_text(&fields, "request_id", false, inference.request_id,
                          sizeof(inference.request_id));
    enum err err = wire_fields_end(&fields, ret_fault);
    if (err == ERR_OK)
        *ret_inference = inference;
    return err;
}
