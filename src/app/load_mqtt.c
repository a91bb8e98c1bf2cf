/* Every device a connection of its own; one clock says whose turn it is. */
#include "app/app.h"
#include "app/load.h"
#include "net/mqtt/mqtt.h"
#include "wire/wire.h"

#include <signal.h>
#include <string.h>

#define INFLIGHT_MAX   64u
#define TICK_MS        5
#define CONNECTS_TICK  50 /* connections begun in one tick */
#define CONNECT_MS_MAX 60000
#define DRAIN_MS_MAX   10000
#define PUBLISHES_TICK 4000

struct sender {
    struct sending *sending;
    struct mqtt_client *client;
    int64_t sent_us[INFLIGHT_MAX]; /* by handle */
    uint64_t first_handle[INFLIGHT_MAX];
    bool begun, open;
};

enum stage { CONNECTING, SENDING, DRAINING };

struct sending {
    struct load *load;
    struct loop *loop;
    struct loop_timer *timer;
    struct sender *sender;
    enum stage stage;
    uint32_t begun;
    uint64_t index; /* of the next message */
    int64_t until_ms;
    uint32_t refused;
    enum mqtt_reason reason;
    struct tool_mqtt mqtt;
};

/* ---- one connection ---- */

static void on_connack(void *cookie, bool session_present, enum mqtt_reason reason)
{
    struct sender *sender = cookie;
    struct load_count *count = &sender->sending->load->count;
    (void)session_present;
    if (reason != MQTT_SUCCESS) {
        sender->sending->refused++;
        sender->sending->reason = reason;
        return;
    }
    sender->open = true;
    count->connected++;
    if (count->connected > count->connected_max)
        count->connected_max = count->connected;
}

static void on_message(void *cookie, const struct mqtt_publish *publish)
{
    (void)cookie;
    (void)publish;
}

static void on_published(void *cookie, uint64_t handle, enum mqtt_reason reason)
{
    struct sender *sender = cookie;
    struct load_count *count = &sender->sending->load->count;
    unsigned slot = (unsigned)(handle % INFLIGHT_MAX);
    if (sender->first_handle[slot] == handle)
        tool_latency_add(&count->latency, sys_mono_us() - sender->sent_us[slot]);
    if (reason >= MQTT_UNSPECIFIED)
        count->refused++;
    else
        count->acked++;
}

static void on_gone(void *cookie, enum mqtt_reason reason)
{
    struct sender *sender = cookie;
    struct sending *sending = sender->sending;
    if (sender->open) {
        sending->load->count.connected--;
        sending->load->count.reconnects += sending->stage == SENDING;
    }
    sender->open = false;
    if (sending->reason == MQTT_SUCCESS)
        sending->reason = reason;
    /* What was not acknowledged is sent again on the next connection. */
    if (sending->stage != CONNECTING && mqtt_client_connect(sender->client) != ERR_OK)
        sending->load->count.failed++;
}

static bool begin_one(struct sending *sending, uint32_t i)
{
    static const struct mqtt_client_user user = {.on_connack = on_connack,
                                                 .on_message = on_message,
                                                 .on_published = on_published,
                                                 .on_gone = on_gone};
    struct sender *sender = &sending->sender[i];
    const struct load_device *device = &sending->load->device[i];
    struct mqtt_client_options options = {
        .client_id = device->id,
        .user = device->id,
        .password = device->token[0] != '\0' ? device->token : NULL,
        .version = MQTT_V5,
        .session_expiry_s = 60, /* a lost connection does not lose what it carried */
        .keep_alive_s = 60,
        .inflight_max = INFLIGHT_MAX,
        .queued_bytes_max = 256 * KIB,
    };
    tool_mqtt_use(&sending->mqtt, &options);
    sender->sending = sending;
    sender->begun = true;
    return mqtt_client_create(sending->loop, &options, &user, sender, &sender->client) == ERR_OK &&
           mqtt_client_connect(sender->client) == ERR_OK;
}

/* ---- stages ---- */

static void connect_some(struct sending *sending)
{
    struct load *load = sending->load;
    for (uint32_t i = 0; i < CONNECTS_TICK && sending->begun < load->device_count; i++) {
        if (!begin_one(sending, sending->begun++))
            loop_stop(sending->loop);
    }
    bool late = loop_now_ms(sending->loop) >= sending->until_ms;
    if (load->count.connected < load->device_count && !late && sending->refused == 0)
        return;
    if (load->count.connected < load->device_count) {
        app_complain("%s: %u of %u devices are connected (reason 0x%02x%s%s)",
                     tool_mqtt_address(load->options), load->count.connected, load->device_count,
                     (unsigned)sending->reason,
                     tool_mqtt_why(&sending->mqtt)[0] != '\0' ? ", " : "",
                     tool_mqtt_why(&sending->mqtt));
        if (load->count.connected == 0) {
            loop_stop(sending->loop);
            return;
        }
    }
    sending->stage = SENDING;
    load->begin_us = sys_mono_us();
}

static void publish_one(struct sending *sending, uint64_t index)
{
    uint32_t i;
    char topic[WIRE_TOPIC_BYTES], payload[32];
    uint64_t handle = 0;
    struct load *load = sending->load;
    const struct load_device *device = load_turn(load, index, &i);
    struct sender *sender = &sending->sender[i];
    struct text name;
    text_init(&name, topic, sizeof(topic));
    wire_topic_add(&name, WIRE_TOPIC_SENSOR, str_from(device->id), STR("temperature"));
    int len = snprintf(payload, sizeof(payload), "%.3f", load_value(index));
    const struct mqtt_message message = {.topic = {name.at, name.len},
                                         .payload = {payload, (size_t)len},
                                         .qos = (uint8_t)load->options->qos};
    load->count.due++;
    if (!sender->open || mqtt_client_publish(sender->client, &message, &handle) != ERR_OK) {
        load->count.held++;
        return;
    }
    load->count.sent++;
    sender->first_handle[handle % INFLIGHT_MAX] = handle;
    sender->sent_us[handle % INFLIGHT_MAX] = sys_mono_us();
}

static void send_some(struct sending *sending)
{
    struct load *load = sending->load;
    int64_t now_us = sys_mono_us();
    uint64_t due = load_due(load, now_us);
    for (uint32_t i = 0; i < PUBLISHES_TICK && sending->index < due; i++)
        publish_one(sending, sending->index++);
    load_show(load);
    bool over = now_us - load->begin_us >= (int64_t)load->options->seconds * 1000000;
    if ((!over || sending->index < due) && !load->stopped)
        return;
    load->end_us = now_us;
    sending->stage = DRAINING;
    sending->until_ms = loop_now_ms(sending->loop) + DRAIN_MS_MAX;
}

/* What is left to acknowledge, or to leave at all. */
static bool drained(const struct sending *sending)
{
    const struct load_count *count = &sending->load->count;
    if (sending->load->options->qos == 0)
        return loop_now_ms(sending->loop) >= sending->until_ms - DRAIN_MS_MAX + 500;
    return count->acked + count->refused >= count->sent;
}

static void tick(void *cookie)
{
    struct sending *sending = cookie;
    loop_timer_set(sending->timer, loop_now_ms(sending->loop) + TICK_MS);
    switch (sending->stage) {
    case CONNECTING:
        connect_some(sending);
        break;
    case SENDING:
        send_some(sending);
        break;
    case DRAINING:
        if (drained(sending) || loop_now_ms(sending->loop) >= sending->until_ms)
            loop_stop(sending->loop);
        break;
    }
}

static void interrupted(void *cookie, int signal)
{
    struct sending *sending = cookie;
    (void)signal;
    if (sending->stage != SENDING)
        loop_stop(sending->loop);
    sending->load->stopped = true;
    sending->load->end_us = sys_mono_us();
}

/* ---- the whole ---- */

static bool prepare(struct sending *sending)
{
    struct load *load = sending->load;
    sending->sender = mem_zalloc(load->device_count * sizeof(*sending->sender));
    if (sending->sender == NULL || loop_create(&sending->loop) != ERR_OK)
        return false;
    sending->until_ms = loop_now_ms(sending->loop) + CONNECT_MS_MAX;
    return loop_timer_create(sending->loop, tick, sending, &sending->timer) == ERR_OK &&
           loop_signal(sending->loop, SIGINT, interrupted, sending) == ERR_OK;
}

bool load_over_mqtt(struct load *load)
{
    struct sending sending = {.load = load};
    if (!tool_mqtt_open(&sending.mqtt, load->options))
        return false;
    bool good = prepare(&sending);
    if (good) {
        loop_timer_set(sending.timer, 0);
        loop_run(sending.loop);
    } else {
        app_complain("out of memory");
    }
    for (uint32_t i = 0; sending.sender != NULL && i < load->device_count; i++)
        mqtt_client_destroy(sending.sender[i].client);
    loop_timer_destroy(sending.timer);
    loop_destroy(sending.loop);
    tool_mqtt_close(&sending.mqtt);
    mem_free(sending.sender);
    return good && sending.stage != CONNECTING;
}
