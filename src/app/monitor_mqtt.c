/* Readings and presence as they are published: what HTTP shows at each look, this counts. */
#include "app/app.h"
#include "app/monitor.h"
#include "net/mqtt/mqtt.h"
#include "wire/wire.h"

#include <unistd.h>

#define AGAIN_MS 2000

struct monitor_mqtt {
    struct monitor *monitor;
    struct mqtt_client *client;
    struct loop_timer *timer;
    struct tool_mqtt server;
};

static void on_connack(void *cookie, bool session_present, enum mqtt_reason reason)
{
    struct monitor_mqtt *mqtt = cookie;
    (void)session_present;
    if (reason != MQTT_SUCCESS)
        return;
    mqtt->monitor->reached = true;
    if (mqtt_client_subscribe(mqtt->client, STR("sensor/#"), 0, NULL) != ERR_OK ||
        mqtt_client_subscribe(mqtt->client, STR("machines/+/state"), 0, NULL) != ERR_OK)
        mqtt_client_drop(mqtt->client);
}

/* A plain number, or the value of an object; anything else (sound) is counted and not shown. */
static struct str value_of(struct str payload)
{
    struct wire_value root, value;
    if (payload.len > 512 || wire_open(payload, &root, NULL) != ERR_OK)
        return STR_NONE;
    if (root.type == WIRE_NUMBER)
        return root.raw;
    return wire_find(root, "value", &value) && value.type == WIRE_NUMBER ? value.raw : STR_NONE;
}

static void on_message(void *cookie, const struct mqtt_publish *publish)
{
    struct monitor_mqtt *mqtt = cookie;
    enum wire_topic topic;
    struct str id, type = STR_NONE;
    struct wire_state state;
    if (!wire_topic_read(publish->topic, &topic, &id, &type))
        return;
    struct monitor_machine *machine = monitor_machine(mqtt->monitor, id);
    if (machine == NULL)
        return;
    if (topic == WIRE_TOPIC_SENSOR) {
        struct str value = value_of(publish->payload);
        machine->messages++;
        if (value.at != NULL)
            monitor_reading_set(machine, type, value);
    } else if (topic == WIRE_TOPIC_STATE &&
               wire_state_decode(publish->payload, &state, NULL) == ERR_OK) {
        machine->online = state.online;
        if (state.step[0] != '\0')
            (void)snprintf(machine->step, sizeof(machine->step), "%.24s", state.step);
    }
}

static void on_gone(void *cookie, enum mqtt_reason reason)
{
    struct monitor_mqtt *mqtt = cookie;
    (void)reason;
    loop_timer_set(mqtt->timer, loop_now_ms(mqtt->monitor->loop) + AGAIN_MS);
}

static void again(void *cookie)
{
    struct monitor_mqtt *mqtt = cookie;
    if (mqtt_client_connect(mqtt->client) == ERR_NOMEM)
        loop_timer_set(mqtt->timer, loop_now_ms(mqtt->monitor->loop) + AGAIN_MS);
}

bool monitor_mqtt_open(struct monitor *monitor)
{
    static const struct mqtt_client_user user = {
        .on_connack = on_connack, .on_message = on_message, .on_gone = on_gone};
    char client_id[40];
    struct monitor_mqtt *mqtt = mem_zalloc(sizeof(*mqtt));
    if (mqtt == NULL)
        return false;
    monitor->mqtt = mqtt;
    mqtt->monitor = monitor;
    (void)snprintf(client_id, sizeof(client_id), "monitor-%ld", (long)getpid());
    struct mqtt_client_options options = {.client_id = client_id,
                                          .user = tool_token(monitor->options) != NULL ? client_id
                                                                                       : NULL,
                                          .password = tool_token(monitor->options),
                                          .version = MQTT_V5,
                                          .clean_start = true};
    if (!tool_mqtt_open(&mqtt->server, monitor->options))
        return false;
    tool_mqtt_use(&mqtt->server, &options);
    if (loop_timer_create(monitor->loop, again, mqtt, &mqtt->timer) != ERR_OK ||
        mqtt_client_create(monitor->loop, &options, &user, mqtt, &mqtt->client) != ERR_OK)
        return false;
    loop_timer_set(mqtt->timer, 0);
    return true;
}

void monitor_mqtt_close(struct monitor *monitor)
{
    if (monitor->mqtt == NULL)
        return;
    mqtt_client_destroy(monitor->mqtt->client);
    loop_timer_destroy(monitor->mqtt->timer);
    tool_mqtt_close(&monitor->mqtt->server);
    mem_free(monitor->mqtt);
    monitor->mqtt = NULL;
}

bool monitor_mqtt_connected(const struct monitor *monitor)
{
    return monitor->mqtt != NULL && mqtt_client_connected(monitor->mqtt->client);
}
