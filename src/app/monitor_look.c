/* What the server says of itself. */
#include "app/monitor.h"

#include <string.h>

#define PAGES_MAX 10

static void copy_word(char *dst, size_t dst_bytes, const json_t *value)
{
    struct str text = str_from(json_string_value(value));
    text = str_slice(text, 0, dst_bytes - 1);
    if (str_copy(dst, dst_bytes, text) != ERR_OK)
        dst[0] = '\0';
}

static void take_machine(struct monitor *monitor, const json_t *item)
{
    const char *id = json_string_value(json_object_get(item, "machine_id"));
    struct monitor_machine *machine = id != NULL ? monitor_machine(monitor, str_from(id)) : NULL;
    if (machine == NULL)
        return;
    const char *admission = json_string_value(json_object_get(item, "admission"));
    machine->online = json_is_true(json_object_get(item, "online"));
    machine->held = json_is_true(json_object_get(json_object_get(item, "hold"), "held"));
    machine->waiting = admission != NULL && strcmp(admission, "admitted") != 0;
    machine->pending = (uint32_t)json_integer_value(json_object_get(item, "pending_count"));
    copy_word(machine->kind, sizeof(machine->kind), json_object_get(item, "kind"));
    copy_word(machine->step, sizeof(machine->step), json_object_get(item, "step"));
}

static void look_machines(struct monitor *monitor)
{
    char path[200] = "/api/machines?limit=100";
    for (int page = 0; page < PAGES_MAX; page++) {
        json_t *answer = tool_http_get(&monitor->http, path);
        size_t i;
        const json_t *item;
        if (answer == NULL) {
            (void)snprintf(monitor->why, sizeof(monitor->why), "%s", monitor->http.why);
            return;
        }
        monitor->reached = true;
        json_array_foreach(json_object_get(answer, "items"), i, item) take_machine(monitor, item);
        const char *next = json_string_value(json_object_get(answer, "next"));
        bool more = next != NULL;
        if (more)
            (void)snprintf(path, sizeof(path), "/api/machines?limit=100&cursor=%.120s", next);
        json_decref(answer);
        if (!more)
            return;
    }
}

static void look_readings(struct monitor *monitor)
{
    json_t *answer = tool_http_get(&monitor->http, "/api/telemetry/latest");
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(answer, "items"), i, item)
    {
        const char *id = json_string_value(json_object_get(item, "machine_id"));
        const char *type = json_string_value(json_object_get(item, "type"));
        struct monitor_machine *machine =
            id != NULL ? monitor_machine(monitor, str_from(id)) : NULL;
        char value[24];
        if (machine == NULL || type == NULL)
            continue;
        (void)snprintf(value, sizeof(value), "%.5g",
                       json_number_value(json_object_get(item, "value")));
        monitor_reading_set(machine, str_from(type), str_from(value));
    }
    json_decref(answer);
}

static void look_alerts(struct monitor *monitor)
{
    json_t *answer = tool_http_get(&monitor->http, "/api/alerts?state=open&limit=100");
    size_t i;
    const json_t *item;
    monitor->alert_count = 0;
    json_array_foreach(json_object_get(answer, "items"), i, item)
    {
        struct monitor_alert *alert = &monitor->alert[monitor->alert_count];
        if (monitor->alert_count++ >= MONITOR_ALERTS_MAX)
            continue;
        copy_word(alert->machine_id, sizeof(alert->machine_id),
                  json_object_get(item, "machine_id"));
        copy_word(alert->severity, sizeof(alert->severity), json_object_get(item, "severity"));
        copy_word(alert->message, sizeof(alert->message), json_object_get(item, "message"));
    }
    json_decref(answer);
}

static void look_rate(struct monitor *monitor)
{
    double total = 0;
    int64_t since_ms = sys_mono_ms() - monitor->looked_ms;
    bool has = tool_http_metric(&monitor->http, "automat_telemetry_readings_total", &total);
    monitor->has_rate = has && monitor->has_total && since_ms > 0;
    if (monitor->has_rate)
        monitor->readings_rate = (total - monitor->readings_total) * 1000 / (double)since_ms;
    if (monitor->readings_rate < 0)
        monitor->readings_rate = 0; /* it was started again */
    monitor->has_total = has;
    monitor->readings_total = total;
}

void monitor_look(struct monitor *monitor)
{
    monitor->why[0] = '\0';
    monitor->machines_left_out = 0;
    look_machines(monitor);
    if (monitor->why[0] != '\0')
        return; /* one sentence is enough */
    look_readings(monitor);
    look_alerts(monitor);
    look_rate(monitor);
}
