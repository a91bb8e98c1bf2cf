/* rooms: wire */
/* Any bytes as any message or topic of the MQTT road.  What decodes must encode again, and decode
 * to the same. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char storage[64 * 1024];
static struct text text;

static void must(bool fact)
{
    if (!fact)
        abort();
}

static struct text *fresh(void)
{
    text_init(&text, storage, sizeof(storage));
    return &text;
}

static struct str written(void)
{
    return (struct str){text.at, text.len};
}

static void try_topic(struct str topic)
{
    enum wire_topic which;
    struct str machine_id;
    struct str type = STR_NONE;
    if (!wire_topic_read(topic, &which, &machine_id, &type))
        return;
    wire_topic_add(fresh(), which, machine_id, type);
    must(text.overflow || str_equal(written(), topic));
}

static void try_claim(struct str body)
{
    struct wire_claim claim;
    struct wire_claim back;
    if (wire_claim_decode(body, &claim, NULL) != ERR_OK ||
        wire_claim_encode(&claim, fresh()) != ERR_OK)
        return;
    must(wire_claim_decode(written(), &back, NULL) == ERR_OK);
    must(back.command_id == claim.command_id && id128_equal(back.uid, claim.uid) &&
         id128_equal(back.claim_id, claim.claim_id) &&
         id128_equal(back.journal_id, claim.journal_id));
}

static void try_result(struct str body)
{
    struct wire_claim_result result;
    struct wire_claim_result back;
    if (wire_claim_result_decode(body, &result, NULL) != ERR_OK ||
        wire_claim_result_encode(&result, fresh()) != ERR_OK)
        return;
    must(wire_claim_result_decode(written(), &back, NULL) == ERR_OK);
    must(back.granted == result.granted && back.command_id == result.command_id);
    if (result.granted)
        must(back.start_within_ms == result.start_within_ms &&
             back.max_duration_s == result.max_duration_s && back.stop == result.stop);
}

static void try_rest(struct str body)
{
    struct wire_stop stop;
    struct wire_state state;
    struct wire_control control;
    struct wire_control control_back;
    struct wire_inference inference;
    (void)!wire_state_decode(body, &state, NULL);
    if (wire_stop_decode(body, &stop, NULL) == ERR_OK)
        must(wire_stop_encode(&stop, fresh()) == ERR_OK);
    if (wire_control_decode(body, &control, NULL) == ERR_OK) {
        must(wire_control_encode(&control, fresh()) == ERR_OK);
        must(wire_control_decode(written(), &control_back, NULL) == ERR_OK);
        must(control_back.position_milli == control.position_milli &&
             control_back.command_id == control.command_id);
    }
    if (wire_inference_decode(body, &inference, NULL) == ERR_OK)
        must(wire_inference_encode(&inference, fresh()) == ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str body = {(const char *)data, size};
    try_topic(body);
    try_claim(body);
    try_result(body);
    try_rest(body);
    return 0;
}
