/* Questions out.
 *
 *   OFF ──connected──> SUBSCRIBING ──every filter granted──> READY ──lost──> OFF
 *
 * In OFF and SUBSCRIBING nothing is asked: an answer could not be heard.  In READY each channel
 * has at most one question, as the program promises.  When the connection is lost every question
 * ends as a link error, so that the program asks again; the session may bring the answer all the
 * same, and then it belongs to nothing and is dropped. */
#include "device/device_mqtt_int.h"

static const enum wire_topic filters[DEVICE_MQTT_FILTERS] = {
    WIRE_TOPIC_CONFIG, WIRE_TOPIC_CLAIM_RESULT, WIRE_TOPIC_OFFER, WIRE_TOPIC_STOP};

enum err device_mqtt_init(struct device_mqtt *mqtt, struct device *device, struct str machine_id,
                          const struct device_mqtt_host *host)
{
    base_zero(mqtt, sizeof(*mqtt));
    mqtt->device = device;
    mqtt->host = *host;
    if (!id_valid(machine_id) || host->publish == NULL || host->subscribe == NULL)
        return ERR_INPUT;
    return str_copy(mqtt->machine_id, sizeof(mqtt->machine_id), machine_id);
}

static void topic_of(struct str machine_id, enum wire_topic topic, struct text *text)
{
    wire_topic_add(text, topic, machine_id, STR_NONE);
}

void device_mqtt_will(struct str machine_id, struct text *topic, struct text *payload)
{
    const struct wire_state offline = {.online = false};
    topic_of(machine_id, WIRE_TOPIC_STATE, topic);
    if (wire_state_encode(&offline, payload) != ERR_OK)
        payload->overflow = true;
}

static enum err publish(struct device_mqtt *mqtt, enum wire_topic topic, const struct text *payload,
                        uint8_t qos, uint64_t *ret_handle)
{
    char storage[WIRE_TOPIC_BYTES];
    struct text name;
    uint64_t handle = 0;
    if (payload->overflow)
        return ERR_FULL;
    text_init(&name, storage, sizeof(storage));
    topic_of(str_from(mqtt->machine_id), topic, &name);
    enum err err = mqtt->host.publish(mqtt->host.context, (struct str){name.at, name.len},
                                      (struct str){payload->at, payload->len}, qos,
                                      topic == WIRE_TOPIC_STATE, &handle);
    if (err != ERR_OK)
        return err;
    mqtt->stats.published++;
    if (ret_handle != NULL)
        *ret_handle = handle;
    return ERR_OK;
}

/* ---- what each question becomes ---- */

static enum err publish_body(struct device_mqtt *mqtt, enum wire_topic topic, struct str body,
                             uint64_t command_id, uint8_t qos, uint64_t *ret_handle)
{
    struct text text;
    text_init(&text, mqtt->body, sizeof(mqtt->body));
    if (command_id == 0)
        text_add(&text, body);
    else if (wire_add_command_id(body, command_id, &text) != ERR_OK)
        return ERR_FULL;
    return publish(mqtt, topic, &text, qos, ret_handle);
}

static enum err send_claim(struct device_mqtt *mqtt, const struct wire_report *report,
                           uint64_t command_id, struct device_mqtt_ask *ask)
{
    const struct wire_claim claim = {
        .command_id = command_id,
        .uid = report->uid,
        .claim_id = report->claim_id,
        .journal_id = report->journal_id,
        .sensors = report->sensors,
    };
    struct text text;
    text_init(&text, mqtt->body, sizeof(mqtt->body));
    if (wire_claim_encode(&claim, &text) != ERR_OK)
        return ERR_FULL;
    ask->call = DEVICE_MQTT_CLAIM;
    return publish(mqtt, WIRE_TOPIC_CLAIM, &text, 1, NULL);
}

static enum err send_update(struct device_mqtt *mqtt, const struct device_exchange *exchange,
                            uint64_t command_id, struct device_mqtt_ask *ask)
{
    struct wire_report report;
    if (wire_report_decode(exchange->body, &report, NULL) != ERR_OK)
        return ERR_INPUT;
    ask->command_id = command_id;
    ask->uid = report.uid;
    ask->claim_id = report.claim_id;
    if (report.status == WIRE_CLAIM)
        return send_claim(mqtt, &report, command_id, ask);
    ask->call = DEVICE_MQTT_REPORT;
    ask->cancelled = report.status == WIRE_CANCELLED;
    return publish_body(mqtt, WIRE_TOPIC_REPORT, exchange->body, command_id, 1, &ask->handle);
}

static void say_state(struct device_mqtt *mqtt, const char *step, struct str sensors)
{
    struct wire_state state = {.online = true, .sensors = sensors};
    struct text text;
    if (str_copy(state.step, sizeof(state.step), str_from(step)) != ERR_OK)
        state.step[0] = '\0';
    text_init(&text, mqtt->body, sizeof(mqtt->body));
    if (wire_state_encode(&state, &text) != ERR_OK ||
        publish(mqtt, WIRE_TOPIC_STATE, &text, 1, NULL) != ERR_OK)
        return;
    base_copy(mqtt->state_step, state.step, sizeof(mqtt->state_step));
}

/* The retained word about this machine follows its step, but not its every twitch. */
static void follow_state(struct device_mqtt *mqtt, struct str body)
{
    struct wire_machine machine;
    int64_t now = device_now(mqtt->device);
    if (now < mqtt->state_ms || wire_machine_decode(body, &machine, NULL) != ERR_OK ||
        str_equal(str_from(mqtt->state_step), str_from(machine.step)))
        return;
    mqtt->state_ms = now + device_scaled(mqtt->device, DEVICE_MQTT_STATE_MS);
    say_state(mqtt, machine.step, machine.sensors);
}

static enum err send_machine(struct device_mqtt *mqtt, const struct device_exchange *exchange,
                             struct device_mqtt_ask *ask)
{
    ask->call = DEVICE_MQTT_PROGRESS;
    enum err err = publish_body(mqtt, WIRE_TOPIC_PROGRESS, exchange->body, 0, 0, NULL);
    if (err == ERR_OK)
        follow_state(mqtt, exchange->body);
    return err;
}

static enum err send_hello(struct device_mqtt *mqtt, const struct device_exchange *exchange,
                           struct device_mqtt_ask *ask)
{
    struct wire_hello hello;
    if (wire_hello_decode(exchange->body, &hello, NULL) != ERR_OK)
        return ERR_INPUT;
    ask->call = DEVICE_MQTT_HELLO;
    ask->uid = hello.boot_id;
    return publish_body(mqtt, WIRE_TOPIC_HELLO, exchange->body, 0, 1, NULL);
}

/* ---- which question it is ---- */

static bool number_after(struct str path, struct str before, uint64_t *ret_number)
{
    return str_starts(path, before) &&
           str_to_u64(str_slice(path, before.len, path.len), ret_number) == ERR_OK;
}

static bool ends(struct str path, struct str tail)
{
    return path.len > tail.len && str_equal(str_slice(path, path.len - tail.len, path.len), tail);
}

static enum err ask_check(const struct device_mqtt *mqtt, struct str query,
                          struct device_mqtt_ask *ask)
{
    uint64_t wait_s = 0;
    (void)number_after(query, STR("?wait="), &wait_s);
    ask->call = DEVICE_MQTT_CHECK;
    ask->due_ms = device_now(mqtt->device) + device_scaled(mqtt->device, (int64_t)wait_s * 1000);
    return ERR_OK;
}

static enum err dispatch(struct device_mqtt *mqtt, const struct device_exchange *exchange,
                         struct device_mqtt_ask *ask)
{
    struct str path = str_from(exchange->path);
    size_t question = str_find(path, '?');
    struct str query = str_slice(path, question, path.len);
    uint64_t command_id;
    path = str_slice(path, 0, question);
    if (str_starts(path, STR("/api/commands/check/")))
        return ask_check(mqtt, query, ask);
    if (number_after(path, STR("/api/commands/update/"), &command_id))
        return send_update(mqtt, exchange, command_id, ask);
    if (number_after(path, STR("/api/commands/progress/"), &command_id)) {
        ask->call = DEVICE_MQTT_PROGRESS;
        return publish_body(mqtt, WIRE_TOPIC_PROGRESS, exchange->body, command_id, 0, NULL);
    }
    if (ends(path, STR("/hello")))
        return send_hello(mqtt, exchange, ask);
    if (ends(path, STR("/progress")))
        return send_machine(mqtt, exchange, ask);
    return ERR_NOT_FOUND;
}

enum err device_mqtt_send(struct device_mqtt *mqtt, const struct device_exchange *exchange)
{
    struct device_mqtt_ask ask = {.exchange_id = exchange->id};
    if (mqtt->phase != DEVICE_MQTT_READY)
        return ERR_CLOSED;
    mqtt->ask[exchange->channel] = (struct device_mqtt_ask){.call = DEVICE_MQTT_NOTHING};
    ask.due_ms =
        device_now(mqtt->device) + device_scaled(mqtt->device, (int64_t)exchange->timeout_ms);
    enum err err = dispatch(mqtt, exchange, &ask);
    if (err != ERR_OK)
        return err;
    if (ask.call == DEVICE_MQTT_PROGRESS)
        ask.due_ms = INT64_MIN; /* answered at the next step: never from inside this call */
    mqtt->ask[exchange->channel] = ask;
    return ERR_OK;
}

/* ---- the connection ---- */

void device_mqtt_on_connected(struct device_mqtt *mqtt)
{
    mqtt->phase = DEVICE_MQTT_SUBSCRIBING;
    mqtt->subscribed = 0;
    mqtt->state_step[0] = '\0';
    mqtt->state_ms = INT64_MIN;
    for (unsigned i = 0; i < DEVICE_MQTT_FILTERS; i++) {
        char storage[WIRE_TOPIC_BYTES];
        struct text text;
        text_init(&text, storage, sizeof(storage));
        topic_of(str_from(mqtt->machine_id), filters[i], &text);
        if (mqtt->host.subscribe(mqtt->host.context, (struct str){text.at, text.len}) != ERR_OK)
            return; /* it stays unready, and the host sees that */
    }
}

bool device_mqtt_on_subscribed(struct device_mqtt *mqtt, bool granted)
{
    if (mqtt->phase != DEVICE_MQTT_SUBSCRIBING || !granted)
        return false;
    mqtt->subscribed++;
    if (mqtt->subscribed < DEVICE_MQTT_FILTERS)
        return false;
    mqtt->phase = DEVICE_MQTT_READY;
    say_state(mqtt, "", STR_NONE); /* the will of the last connection may stand there */
    return true;
}

void device_mqtt_on_lost(struct device_mqtt *mqtt)
{
    mqtt->phase = DEVICE_MQTT_OFF;
    mqtt->offer_held = false; /* it is sent again after we have subscribed again */
    for (unsigned i = 0; i < DEVICE_CHANNEL_COUNT; i++) {
        if (mqtt->ask[i].call == DEVICE_MQTT_NOTHING)
            continue;
        mqtt->ask[i].call = DEVICE_MQTT_NOTHING;
        device_on_link_error(mqtt->device, mqtt->ask[i].exchange_id);
    }
}

void device_mqtt_release(struct device_mqtt *mqtt)
{
    for (unsigned i = 0; i < DEVICE_CHANNEL_COUNT; i++)
        mqtt->ask[i].call = DEVICE_MQTT_NOTHING;
    mqtt->offer_held = false;
}
