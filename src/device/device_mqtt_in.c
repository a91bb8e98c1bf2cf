/* Messages in: which of them answer what was asked. */
#include "device/device_mqtt_int.h"

/* ---- answers ---- */

/* Takes the question off its channel before the program hears, for it may ask again at once. */
static void answer(struct device_mqtt *mqtt, enum device_channel channel, uint32_t status,
                   struct str body)
{
    uint64_t exchange_id = mqtt->ask[channel].exchange_id;
    mqtt->ask[channel].call = DEVICE_MQTT_NOTHING;
    device_on_response(mqtt->device, exchange_id, status, body);
}

static void answer_problem(struct device_mqtt *mqtt, uint32_t status, const char *code)
{
    char storage[160];
    struct text text;
    struct wire_problem problem = {{0}};
    if (str_copy(problem.code, sizeof(problem.code), str_from(code)) != ERR_OK)
        problem.code[0] = '\0';
    text_init(&text, storage, sizeof(storage));
    if (wire_problem_encode(&problem, status, &text) == ERR_OK)
        answer(mqtt, DEVICE_CONTROL, status, (struct str){text.at, text.len});
}

static struct device_mqtt_ask *asked(struct device_mqtt *mqtt, enum device_mqtt_call call)
{
    struct device_mqtt_ask *ask = &mqtt->ask[DEVICE_CONTROL];
    return ask->call == call ? ask : NULL;
}

/* ---- config ---- */

/* Told unasked: staff let us in, or changed what we are.  The program takes its configuration with
 * a hello, when nothing is in hand; and a server that says so again and again is not obeyed at its
 * own speed. */
static void greet(struct device_mqtt *mqtt)
{
    int64_t now = device_now(mqtt->device);
    if (mqtt->greeted && now - mqtt->greeted_ms < device_scaled(mqtt->device, DEVICE_MQTT_GREET_MS))
        return;
    mqtt->greeted = true;
    mqtt->greeted_ms = now;
    device_greet(mqtt->device);
}

static void on_config(struct device_mqtt *mqtt, struct str payload)
{
    struct wire_welcome welcome;
    const struct device_mqtt_ask *ask = asked(mqtt, DEVICE_MQTT_HELLO);
    if (wire_welcome_decode(payload, &welcome, NULL) != ERR_OK) {
        mqtt->stats.bad_messages++;
        return;
    }
    if (id128_is_zero(welcome.boot_id)) {
        greet(mqtt);
    } else if (ask != NULL && id128_equal(welcome.boot_id, ask->uid)) {
        mqtt->welcomed = welcome.admission == WIRE_ADMITTED;
        answer(mqtt, DEVICE_CONTROL, welcome.admission == WIRE_WAITING ? 202 : 200, payload);
    }
}

/* ---- offers ---- */

static void drop_offer_of(struct device_mqtt *mqtt, struct id128 uid)
{
    if (mqtt->offer_held && id128_equal(mqtt->offer_uid, uid))
        mqtt->offer_held = false;
}

/* The newest is the one that counts, also when it is shown again. */
static void give_offer(struct device_mqtt *mqtt)
{
    if (asked(mqtt, DEVICE_MQTT_CHECK) != NULL)
        answer(mqtt, DEVICE_CONTROL, 200, (struct str){mqtt->offer, mqtt->offer_len});
}

static void on_offer(struct device_mqtt *mqtt, struct str payload)
{
    struct wire_offer offer;
    if (payload.len > sizeof(mqtt->offer) || wire_offer_decode(payload, &offer, NULL) != ERR_OK) {
        mqtt->stats.bad_messages++;
        return;
    }
    /* A running command is for the board whose journal claimed it; any other learns nothing (queue
     * rule 2). */
    bool foreign = offer.running && !id128_is_zero(offer.journal_id) &&
                   !id128_equal(offer.journal_id, mqtt->device->journal.id);
    if (foreign || id128_equal(offer.uid, mqtt->settled_uid)) {
        mqtt->stats.offers_dropped++;
        return;
    }
    mqtt->stats.offers++;
    mqtt->offer_held = true;
    mqtt->offer_command_id = offer.command_id;
    mqtt->offer_uid = offer.uid;
    mqtt->offer_len = payload.len;
    base_copy(mqtt->offer, payload.at, payload.len);
    device_hurry(mqtt->device);
    give_offer(mqtt);
}

/* ---- claims ---- */

/* As the program would have heard it over HTTP. */
static void grant(struct device_mqtt *mqtt, const struct wire_claim_result *result)
{
    char storage[256];
    struct text text;
    const struct wire_answer body = {
        .command_id = result->command_id,
        .granted = true,
        .start_within_ms = result->start_within_ms,
        .max_duration_s = result->max_duration_s,
        .stop = result->stop,
    };
    text_init(&text, storage, sizeof(storage));
    if (wire_answer_encode(&body, &text) == ERR_OK)
        answer(mqtt, DEVICE_CONTROL, 200, (struct str){text.at, text.len});
}

/* Refusals that pass by themselves; every other is about the command. */
static uint32_t status_of(const char *code)
{
    static const struct {
        const char *code;
        uint32_t status;
    } known[] = {
        {"store_unavailable", 503}, {"full", 503},         {"overloaded", 503},
        {"disk_full", 503},         {"unauthorized", 401}, {"foreign_command", 403},
        {"no_command", 404},
    };
    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        if (str_equal(str_from(code), str_from(known[i].code)))
            return known[i].status;
    }
    return 409;
}

static void on_claim_result(struct device_mqtt *mqtt, struct str payload)
{
    struct wire_claim_result result;
    const struct device_mqtt_ask *ask = asked(mqtt, DEVICE_MQTT_CLAIM);
    if (wire_claim_result_decode(payload, &result, NULL) != ERR_OK) {
        mqtt->stats.bad_messages++;
        return;
    }
    /* Of another attempt, another board, or another life: no permission of ours. */
    if (ask == NULL || !id128_equal(result.claim_id, ask->claim_id) ||
        !id128_equal(result.uid, ask->uid) || result.command_id != ask->command_id) {
        mqtt->stats.results_foreign++;
        return;
    }
    uint32_t status = result.granted ? 200 : status_of(result.code);
    if (status < 500)
        drop_offer_of(mqtt, ask->uid);
    if (result.granted)
        grant(mqtt, &result);
    else
        answer_problem(mqtt, status, result.code);
}

/* ---- stop ---- */

static void on_stop(struct device_mqtt *mqtt, struct str payload)
{
    struct wire_stop stop;
    if (wire_stop_decode(payload, &stop, NULL) == ERR_OK)
        device_stop(mqtt->device, stop.command_id, stop.uid, stop.claim_id);
    else
        mqtt->stats.bad_messages++;
}

void device_mqtt_on_message(struct device_mqtt *mqtt, struct str topic, struct str payload)
{
    enum wire_topic which;
    struct str machine_id;
    if (!wire_topic_read(topic, &which, &machine_id, NULL) ||
        !str_equal(machine_id, str_from(mqtt->machine_id)))
        return;
    switch (which) {
    case WIRE_TOPIC_CONFIG:
        on_config(mqtt, payload);
        break;
    case WIRE_TOPIC_OFFER:
        on_offer(mqtt, payload);
        break;
    case WIRE_TOPIC_CLAIM_RESULT:
        on_claim_result(mqtt, payload);
        break;
    case WIRE_TOPIC_STOP:
        on_stop(mqtt, payload);
        break;
    case WIRE_TOPIC_HELLO:
    case WIRE_TOPIC_CLAIM:
    case WIRE_TOPIC_REPORT:
    case WIRE_TOPIC_PROGRESS:
    case WIRE_TOPIC_STATE:
    case WIRE_TOPIC_INFERENCE:
    case WIRE_TOPIC_CONTROL:
    case WIRE_TOPIC_SENSOR:
    case WIRE_TOPIC_COUNT:
        break;
    }
}

/* ---- reports ---- */

/* Not authorised may mean that staff have not let us in, or took that back: then the outcome is
 * kept, and a hello finds out.  Said again to a board that has been let in since, it is about the
 * report. */
static bool is_denied(struct device_mqtt *mqtt, struct id128 uid)
{
    if (id128_equal(mqtt->denied_uid, uid) && mqtt->welcomed)
        return false;
    mqtt->denied_uid = uid;
    mqtt->welcomed = false;
    return true;
}

/* A refusal does not say why; but the one the program can do something about is that a command
 * which became unknown takes no cancellation any more, and asking once more as a failure does no
 * harm where it was something else. */
static void report_refused(struct device_mqtt *mqtt, const struct device_mqtt_ask *ask,
                           uint8_t reason)
{
    if (reason == DEVICE_MQTT_BAD_PAYLOAD)
        answer_problem(mqtt, 400, "bad_payload");
    else
        answer_problem(mqtt, 409, ask->cancelled ? "wrong_transition" : "refused");
}

static void report_taken(struct device_mqtt *mqtt, const struct device_mqtt_ask *ask)
{
    char storage[128];
    struct text text;
    const struct wire_answer body = {.command_id = ask->command_id};
    text_init(&text, storage, sizeof(storage));
    if (wire_answer_encode(&body, &text) == ERR_OK)
        answer(mqtt, DEVICE_CONTROL, 200, (struct str){text.at, text.len});
}

void device_mqtt_on_published(struct device_mqtt *mqtt, uint64_t handle, uint8_t reason)
{
    struct device_mqtt_ask *ask = asked(mqtt, DEVICE_MQTT_REPORT);
    if (ask == NULL || handle == 0 || ask->handle != handle)
        return; /* a hello's or a claim's: their answers are messages */
    const struct device_mqtt_ask report = *ask;
    if (reason == DEVICE_MQTT_QUOTA) {
        answer(mqtt, DEVICE_CONTROL, 503, STR_NONE);
        return;
    }
    if (reason == DEVICE_MQTT_NOT_AUTHORIZED && is_denied(mqtt, report.uid)) {
        answer(mqtt, DEVICE_CONTROL, 403, STR_NONE);
        return;
    }
    mqtt->settled_uid = report.uid;
    drop_offer_of(mqtt, report.uid);
    if (reason >= DEVICE_MQTT_REFUSED)
        report_refused(mqtt, &report, reason);
    else
        report_taken(mqtt, &report);
}

/* ---- what is due ---- */

static void end_ask(struct device_mqtt *mqtt, enum device_channel channel)
{
    struct device_mqtt_ask *ask = &mqtt->ask[channel];
    switch (ask->call) {
    case DEVICE_MQTT_PROGRESS:
        answer(mqtt, channel, 200, STR("{\"status\":\"noted\"}"));
        break;
    case DEVICE_MQTT_CHECK:
        answer(mqtt, channel, 204, STR_NONE);
        break;
    case DEVICE_MQTT_HELLO:
    case DEVICE_MQTT_CLAIM:
    case DEVICE_MQTT_REPORT:
        mqtt->stats.timeouts++;
        ask->call = DEVICE_MQTT_NOTHING;
        device_on_link_error(mqtt->device, ask->exchange_id);
        break;
    case DEVICE_MQTT_NOTHING:
        break;
    }
}

void device_mqtt_step(struct device_mqtt *mqtt)
{
    int64_t now = device_now(mqtt->device);
    if (mqtt->offer_held)
        give_offer(mqtt);
    for (unsigned i = 0; i < DEVICE_CHANNEL_COUNT; i++) {
        if (mqtt->ask[i].call != DEVICE_MQTT_NOTHING && now >= mqtt->ask[i].due_ms)
            end_ask(mqtt, (enum device_channel)i);
    }
}

uint32_t device_mqtt_wait(const struct device_mqtt *mqtt)
{
    int64_t now = device_now(mqtt->device);
    int64_t due = now + 60000;
    for (unsigned i = 0; i < DEVICE_CHANNEL_COUNT; i++) {
        const struct device_mqtt_ask *ask = &mqtt->ask[i];
        if (ask->call == DEVICE_MQTT_CHECK && mqtt->offer_held)
            return 1;
        if (ask->call != DEVICE_MQTT_NOTHING && ask->due_ms < due)
            due = ask->due_ms;
    }
    return due <= now ? 1 : (uint32_t)(due - now);
}
