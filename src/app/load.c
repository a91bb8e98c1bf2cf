/* automat load: be many devices, send many messages, and say what became of them. */
#include "app/load.h"
#include "app/app.h"

#include <math.h>
#include <string.h>
#include <sys/resource.h>

#define TOTAL_RATE_MAX 200000u

double load_value(uint64_t index)
{
    return 20.0 + 5.0 * sin((double)(index % 10000) / 500.0);
}

struct load_device *load_turn(struct load *load, uint64_t index, uint32_t *ret_device)
{
    *ret_device = (uint32_t)(index % load->device_count);
    return &load->device[*ret_device];
}

uint64_t load_due(const struct load *load, int64_t now_us)
{
    const struct options *options = load->options;
    int64_t until_us = load->begin_us + (int64_t)options->seconds * 1000000;
    if (now_us > until_us || load->stopped)
        now_us = load->stopped ? load->end_us : until_us;
    double rate = (double)options->rate * load->device_count;
    return (uint64_t)((double)(now_us - load->begin_us) / 1e6 * rate);
}

void load_show(struct load *load)
{
    char what[80];
    const struct load_count *count = &load->count;
    (void)snprintf(what, sizeof(what), "%llu sent, %llu %s", (unsigned long long)count->sent,
                   (unsigned long long)(load->options->qos == 0 ? count->connected : count->acked),
                   load->options->qos == 0 ? "connections" : "acked");
    tool_bar_show(&load->bar, (sys_mono_us() - load->begin_us) / 1000,
                  (int64_t)load->options->seconds * 1000, what);
}

/* ---- devices ---- */

static bool make_devices(struct load *load)
{
    const char *prefix = load->options->id != NULL ? load->options->id : "load";
    load->device_count = load->options->devices;
    load->device = mem_zalloc(load->device_count * sizeof(*load->device));
    if (load->device == NULL) {
        app_complain("out of memory");
        return false;
    }
    for (uint32_t i = 0; i < load->device_count; i++) {
        struct load_device *device = &load->device[i];
        int len = load->device_count == 1 && load->options->id != NULL
                      ? snprintf(device->id, sizeof(device->id), "%s", prefix)
                      : snprintf(device->id, sizeof(device->id), "%s-%u", prefix, i + 1);
        if (len < 0 || (size_t)len >= sizeof(device->id) || !id_valid(str_from(device->id))) {
            app_complain("--id: 1 to 64 of A-Z a-z 0-9 . _ - with the number behind it");
            return false;
        }
        if (load->options->token != NULL)
            (void)snprintf(device->token, sizeof(device->token), "%.199s", load->options->token);
    }
    return true;
}

/* They stay: block or remove them in the registry. */
static bool register_devices(struct load *load, struct tool_http *http)
{
    if (load->options->admin_token == NULL || load->options->token != NULL)
        return true;
    for (uint32_t i = 0; i < load->device_count; i++) {
        struct load_device *device = &load->device[i];
        if (!tool_register(http, device->id, device->token))
            return false;
    }
    return true;
}

/* ---- the report ---- */

struct server_figures {
    bool has_cpu, has_readings;
    double cpu_s, readings;
};

static struct server_figures figures(struct tool_http *http)
{
    struct server_figures now = {0};
    now.has_cpu = tool_http_metric(http, "process_cpu_seconds_total", &now.cpu_s);
    now.has_readings = tool_http_metric(http, "automat_telemetry_readings_total", &now.readings);
    return now;
}

static void say_count(const char *what, uint64_t count)
{
    (void)printf("%-28s %llu\n", what, (unsigned long long)count);
}

static uint64_t lost(const struct load *load)
{
    const struct load_count *count = &load->count;
    bool acknowledged = load->options->qos > 0 || tool_mqtt_address(load->options) == NULL;
    return acknowledged ? count->sent - count->acked - count->refused : 0;
}

static void report(const struct load *load, const struct server_figures *before,
                   const struct server_figures *after)
{
    const struct load_count *count = &load->count;
    double seconds = (double)(load->end_us - load->begin_us) / 1e6;
    char p50[TOOL_TIME_BYTES], p99[TOOL_TIME_BYTES], most[TOOL_TIME_BYTES];
    (void)printf("devices                      %u over %s\n", load->device_count,
                 tool_mqtt_address(load->options) == NULL ? "HTTP"
                 : load->options->qos == 0                ? "MQTT, QoS 0"
                                                          : "MQTT, QoS 1");
    say_count("connected at most", count->connected_max);
    (void)printf("seconds                      %.1f\n", seconds);
    say_count("messages sent", count->sent);
    (void)printf("messages a second            %.0f\n",
                 seconds > 0 ? (double)count->sent / seconds : 0);
    if (load->options->qos > 0 || tool_mqtt_address(load->options) == NULL) {
        say_count("acknowledged", count->acked);
        say_count("refused", count->refused);
        say_count("lost", lost(load));
        (void)printf("latency to the ack           p50 %s, p99 %s, most %s (measured here)\n",
                     tool_time(tool_latency_at(&count->latency, 0.5), p50),
                     tool_time(tool_latency_at(&count->latency, 0.99), p99),
                     tool_time(count->latency.max_us, most));
    } else {
        (void)printf("acknowledged                 - (QoS 0 has no acknowledgement)\n");
    }
    say_count("held back, no room", count->held);
    say_count("reconnected", count->reconnects);
    if (before->has_readings && after->has_readings)
        (void)printf("stored, the server says      %.0f readings\n",
                     after->readings - before->readings);
    if (before->has_cpu && after->has_cpu && count->sent > 0)
        (void)printf("server CPU                   %.2f s, %.1f us a message\n",
                     after->cpu_s - before->cpu_s,
                     (after->cpu_s - before->cpu_s) * 1e6 / (double)count->sent);
    else
        (void)printf("server CPU                   not known\n");
}

/* ---- the program ---- */

static void raise_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

static bool check(const struct options *options)
{
    char host[256];
    uint16_t port;
    if (options->word_count > 0) {
        app_complain("\"%.60s\": one word too many", options->words[0]);
        return false;
    }
    if (tool_mqtt_address(options) != NULL &&
        !options_address(tool_mqtt_address(options), host, sizeof(host), &port)) {
        app_complain("--%s: this is not HOST:PORT", tool_mqtt_flag(options));
        return false;
    }
    if ((uint64_t)options->rate * options->devices > TOTAL_RATE_MAX) {
        app_complain("--rate: %u messages a second in all are the most", TOTAL_RATE_MAX);
        return false;
    }
    return true;
}

int app_load(const struct options *options)
{
    struct load load = {.options = options};
    struct tool_http http;
    if (!check(options))
        return 2;
    if (!app_log_start(options) || !tool_http_open(&http, options))
        return 1;
    raise_files();
    tool_bar_init(&load.bar);
    bool good = make_devices(&load) && register_devices(&load, &http);
    if (good) {
        struct server_figures before = figures(&http);
        good = tool_mqtt_address(options) != NULL ? load_over_mqtt(&load) : load_over_http(&load);
        tool_bar_end(&load.bar);
        if (good) {
            struct server_figures after = figures(&http);
            report(&load, &before, &after);
            good = lost(&load) == 0 && load.count.refused == 0 && load.count.sent > 0;
        }
    }
    mem_free(load.device);
    tool_http_close(&http);
    return good ? 0 : 1;
}
