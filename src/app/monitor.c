/* automat monitor: a look at the server every so often, in the terminal or as a line. */
#include "app/monitor.h"
#include "app/app.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define KEYS_MS 100

struct monitor_machine *monitor_machine(struct monitor *monitor, struct str id)
{
    for (uint32_t i = 0; i < monitor->machine_count; i++) {
        if (str_equal(str_from(monitor->machine[i].id), id))
            return &monitor->machine[i];
    }
    if (monitor->machine_count == MONITOR_MACHINES_MAX || !id_valid(id)) {
        monitor->machines_left_out++;
        return NULL;
    }
    struct monitor_machine *machine = &monitor->machine[monitor->machine_count++];
    *machine = (struct monitor_machine){.online = false};
    return str_copy(machine->id, sizeof(machine->id), id) == ERR_OK ? machine : NULL;
}

void monitor_reading_set(struct monitor_machine *machine, struct str type, struct str value)
{
    uint32_t i = 0;
    while (i < machine->reading_count && !str_equal(str_from(machine->reading[i].type), type))
        i++;
    if (i == MONITOR_READINGS_MAX)
        return;
    struct monitor_reading *reading = &machine->reading[i];
    size_t len = value.len < sizeof(reading->value) - 1 ? value.len : sizeof(reading->value) - 1;
    if (str_copy(reading->type, sizeof(reading->type), type) != ERR_OK ||
        str_copy(reading->value, sizeof(reading->value), str_slice(value, 0, len)) != ERR_OK)
        return;
    if (i == machine->reading_count)
        machine->reading_count++;
}

/* ---- turns ---- */

static bool q_pressed(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char key;
    while (poll(&in, 1, 0) == 1 && (in.revents & POLLIN) != 0) {
        if (read(STDIN_FILENO, &key, 1) != 1)
            return false;
        if (key == 'q' || key == 'Q' || key == 3)
            return true;
    }
    return false;
}

static void tick(void *cookie)
{
    struct monitor *monitor = cookie;
    int64_t now_ms = sys_mono_ms();
    int64_t interval_ms = (int64_t)monitor->options->interval_s * 1000;
    if (monitor->is_terminal && q_pressed()) {
        loop_stop(monitor->loop);
        return;
    }
    if (monitor->looks == 0 || now_ms - monitor->looked_ms >= interval_ms) {
        monitor_look(monitor);
        monitor_draw(monitor);
        monitor->looked_ms = now_ms;
        monitor->looks++;
        for (uint32_t i = 0; i < monitor->machine_count; i++)
            monitor->machine[i].messages = 0;
        if (monitor->options->count != 0 && monitor->looks >= monitor->options->count) {
            loop_stop(monitor->loop);
            return;
        }
    }
    int64_t wait_ms = monitor->looked_ms + interval_ms - now_ms;
    if (monitor->is_terminal && wait_ms > KEYS_MS)
        wait_ms = KEYS_MS;
    loop_timer_set(monitor->timer, loop_now_ms(monitor->loop) + (wait_ms > 1 ? wait_ms : 1));
}

static void caught(void *cookie, int signal)
{
    (void)signal;
    loop_stop(cookie);
}

/* ---- the terminal: keys one by one, and as it was when we leave ---- */

static struct termios before;

static bool keys_begin(void)
{
    struct termios now;
    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return false;
    now = before;
    now.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
    now.c_cc[VMIN] = 0;
    now.c_cc[VTIME] = 0;
    return tcsetattr(STDIN_FILENO, TCSANOW, &now) == 0;
}

static void keys_end(void)
{
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

static bool run(struct monitor *monitor)
{
    if (loop_create(&monitor->loop) != ERR_OK ||
        loop_timer_create(monitor->loop, tick, monitor, &monitor->timer) != ERR_OK ||
        loop_signal(monitor->loop, SIGINT, caught, monitor->loop) != ERR_OK ||
        loop_signal(monitor->loop, SIGTERM, caught, monitor->loop) != ERR_OK)
        return false;
    if (tool_mqtt_address(monitor->options) != NULL && !monitor_mqtt_open(monitor))
        return false;
    monitor->is_terminal = isatty(STDOUT_FILENO) != 0 && isatty(STDIN_FILENO) != 0 && keys_begin();
    monitor_draw_begin(monitor);
    loop_timer_set(monitor->timer, 0);
    loop_run(monitor->loop);
    monitor_draw_end(monitor);
    if (monitor->is_terminal)
        keys_end();
    return true;
}

int app_monitor(const struct options *options)
{
    if (options->word_count > 0) {
        app_complain("\"%.60s\": one word too many", options->words[0]);
        return 2;
    }
    struct monitor *monitor = mem_zalloc(sizeof(*monitor));
    bool good = monitor != NULL && app_log_start(options);
    if (good) {
        monitor->options = options;
        good = tool_http_open(&monitor->http, options);
    }
    if (good && !run(monitor)) {
        app_complain("the monitor cannot start");
        good = false;
    }
    if (monitor == NULL)
        return 1;
    if (good && !monitor->reached) {
        app_complain("%s: %s", options->server, monitor->why);
        good = false;
    }
    monitor_mqtt_close(monitor);
    loop_timer_destroy(monitor->timer);
    loop_destroy(monitor->loop);
    if (monitor->http.curl != NULL)
        tool_http_close(&monitor->http);
    mem_free(monitor);
    return good ? 0 : 1;
}
