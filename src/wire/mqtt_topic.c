/* Topics: what stands before and after the machine's id. */
#include "wire/wire_int.h"

static const struct {
    const char *before, *after;
} parts[WIRE_TOPIC_COUNT] = {
    [WIRE_TOPIC_HELLO] = {"machines/", "/hello"},
    [WIRE_TOPIC_CLAIM] = {"machines/", "/claim"},
    [WIRE_TOPIC_REPORT] = {"machines/", "/report"},
    [WIRE_TOPIC_PROGRESS] = {"machines/", "/progress"},
    [WIRE_TOPIC_STATE] = {"machines/", "/state"},
    [WIRE_TOPIC_CONFIG] = {"machines/", "/config"},
    [WIRE_TOPIC_CLAIM_RESULT] = {"machines/", "/claim/result"},
    [WIRE_TOPIC_OFFER] = {"machines/", "/offer"},
    [WIRE_TOPIC_STOP] = {"machines/", "/stop"},
    [WIRE_TOPIC_INFERENCE] = {"ml/inference/request/", ""},
    [WIRE_TOPIC_CONTROL] = {"window/", "/control"},
    [WIRE_TOPIC_SENSOR] = {"sensor/", "/"},
};

void wire_topic_add(struct text *text, enum wire_topic topic, struct str machine_id,
                    struct str type)
{
    ASSERT((size_t)topic < WIRE_TOPIC_COUNT);
    text_add(text, str_from(parts[topic].before));
    text_add(text, machine_id);
    text_add(text, str_from(parts[topic].after));
    if (topic == WIRE_TOPIC_SENSOR)
        text_add(text, type);
}

static bool fits(struct str topic, enum wire_topic which, struct str *ret_machine_id,
                 struct str *ret_type)
{
    struct str before = str_from(parts[which].before);
    struct str after = str_from(parts[which].after);
    if (!str_starts(topic, before))
        return false;
    struct str rest = str_slice(topic, before.len, topic.len);
    size_t id_len = str_find(rest, '/');
    struct str tail = str_slice(rest, id_len, rest.len);
    *ret_machine_id = str_slice(rest, 0, id_len);
    if (!id_valid(*ret_machine_id))
        return false;
    if (which != WIRE_TOPIC_SENSOR)
        return str_equal(tail, after);
    *ret_type = str_slice(tail, after.len, tail.len);
    return tail.len > 1 && str_find(*ret_type, '/') == ret_type->len;
}

bool wire_topic_read(struct str topic, enum wire_topic *ret_topic, struct str *ret_machine_id,
                     struct str *ret_type)
{
    struct str machine_id = STR_NONE;
    struct str type = STR_NONE;
    for (unsigned i = 0; i < WIRE_TOPIC_COUNT; i++) {
        if (!fits(topic, (enum wire_topic)i, &machine_id, &type))
            continue;
        *ret_topic = (enum wire_topic)i;
        *ret_machine_id = machine_id;
        if (ret_type != NULL)
            *ret_type = type;
        return true;
    }
    return false;
}
