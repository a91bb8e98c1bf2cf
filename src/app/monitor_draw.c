/* The screen: drawn over itself on the terminal's second page, so that what was there before comes
 * back; every line cut to its width.  Without a terminal: one line a look. */
#include "app/monitor.h"

#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LINE_BYTES 1024

/* What others wrote may not steer the terminal: control characters are shown as '?'. */
static size_t clean(char *line)
{
    size_t columns = 0;
    for (unsigned char *at = (unsigned char *)line; *at != 0; at++) {
        bool c1 = at[0] == 0xC2 && at[1] >= 0x80 && at[1] < 0xA0;
        if (*at < 0x20 || *at == 0x7F || c1)
            *at = '?';
        columns += (*at & 0xC0) != 0x80;
    }
    return columns;
}

static void cut(char *line, unsigned width)
{
    if (!utf8_valid(str_from(line))) {
        for (char *at = line; *at != 0; at++)
            *at = (unsigned char)*at >= 0x80 ? '?' : *at;
    }
    if (clean(line) <= width)
        return;
    unsigned columns = 0;
    char *at = line;
    while (*at != 0 && columns < width) {
        do
            at++;
        while (((unsigned char)*at & 0xC0) == 0x80);
        columns++;
    }
    *at = 0;
}

struct screen {
    struct buf text;
    unsigned width, rows, used;
};

static void put(struct screen *screen, const char *format, ...) PRINTF_LIKE(2, 3);

static void put(struct screen *screen, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list values;
    if (screen->used + 1 >= screen->rows)
        return;
    va_start(values, format);
    (void)vsnprintf(line, sizeof(line), format, values);
    va_end(values);
    cut(line, screen->width);
    screen->used++;
    (void)!buf_printf(&screen->text, "%s\033[K\r\n", line);
}

/* ---- figures ---- */

struct figures {
    uint32_t machines, online, held, waiting;
    uint64_t messages;
};

static struct figures figures_of(const struct monitor *monitor)
{
    struct figures sum = {.machines = monitor->machine_count + monitor->machines_left_out};
    for (uint32_t i = 0; i < monitor->machine_count; i++) {
        const struct monitor_machine *machine = &monitor->machine[i];
        sum.online += machine->online;
        sum.held += machine->held;
        sum.waiting += machine->waiting;
        sum.messages += machine->messages;
    }
    return sum;
}

static void rate_text(const struct monitor *monitor, const struct figures *sum, char *dst,
                      size_t dst_bytes)
{
    double seconds = monitor->looks == 0 ? 0 : (double)(sys_mono_ms() - monitor->looked_ms) / 1000;
    if (monitor->mqtt != NULL && seconds > 0)
        (void)snprintf(dst, dst_bytes, "%.1f messages/s", (double)sum->messages / seconds);
    else if (monitor->has_rate)
        (void)snprintf(dst, dst_bytes, "%.1f readings/s", monitor->readings_rate);
    else
        (void)snprintf(dst, dst_bytes, "- readings/s");
}

/* ---- lines ---- */

static const char *state_of(const struct monitor_machine *machine)
{
    if (machine->waiting)
        return "waiting";
    if (machine->held)
        return "on hold";
    return machine->online ? "online" : "offline";
}

static void put_machine(struct screen *screen, const struct monitor_machine *machine)
{
    char readings[200] = "";
    struct text text;
    text_init(&text, readings, sizeof(readings));
    for (uint32_t i = 0; i < machine->reading_count; i++) {
        text_add(&text, i > 0 ? STR("  ") : STR(""));
        text_add(&text, str_from(machine->reading[i].type));
        text_add(&text, STR(" "));
        text_add(&text, str_from(machine->reading[i].value));
    }
    put(screen, "%-16.16s %-9.9s %-8s %-14.14s %3u  %s", machine->id, machine->kind,
        state_of(machine), machine->step, machine->pending, readings);
}

static void put_all(const struct monitor *monitor, struct screen *screen)
{
    char now[TIME_TEXT_BYTES], rate[64];
    struct figures sum = figures_of(monitor);
    rate_text(monitor, &sum, rate, sizeof(rate));
    time_text(sys_wall_ms(), now);
    put(screen, "automat monitor  %s  %s", monitor->options->server, now);
    put(screen, "%u machines, %u online, %u on hold, %u waiting; %s; %u alerts%s", sum.machines,
        sum.online, sum.held, sum.waiting, rate, monitor->alert_count,
        monitor->mqtt == NULL             ? ""
        : monitor_mqtt_connected(monitor) ? "; MQTT"
                                          : "; MQTT is not connected");
    if (monitor->why[0] != '\0')
        put(screen, "! %s", monitor->why);
    put(screen, "%s", "");
    put(screen, "%-16s %-9s %-8s %-14s %3s  %s", "MACHINE", "KIND", "STATE", "STEP", "DUE",
        "READINGS");
    unsigned keep =
        3 + (monitor->alert_count < MONITOR_ALERTS_MAX ? monitor->alert_count : MONITOR_ALERTS_MAX);
    uint32_t shown = 0;
    while (shown < monitor->machine_count && screen->used + keep + 1 < screen->rows)
        put_machine(screen, &monitor->machine[shown++]);
    if (shown < sum.machines)
        put(screen, "... and %u more", sum.machines - shown);
    for (uint32_t i = 0; i < monitor->alert_count && i < MONITOR_ALERTS_MAX; i++) {
        const struct monitor_alert *alert = &monitor->alert[i];
        put(screen, "[%s] %s %s", alert->severity, alert->machine_id, alert->message);
    }
    put(screen, "%s", "q: quit");
}

static unsigned rows_now(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row < 8)
        return 24;
    return size.ws_row > 300 ? 300 : size.ws_row;
}

static void draw_screen(const struct monitor *monitor)
{
    struct screen screen = {.width = tool_width(), .rows = rows_now()};
    buf_init(&screen.text, MIB);
    (void)!buf_add_str(&screen.text, STR("\033[H"));
    put_all(monitor, &screen);
    (void)!buf_add_str(&screen.text, STR("\033[J")); /* and nothing of the last look below */
    (void)fwrite(screen.text.at, 1, screen.text.len, stdout);
    (void)fflush(stdout);
    buf_finish(&screen.text);
}

static void draw_line(const struct monitor *monitor)
{
    char now[TIME_TEXT_BYTES], rate[64], line[LINE_BYTES];
    struct figures sum = figures_of(monitor);
    rate_text(monitor, &sum, rate, sizeof(rate));
    time_text(sys_wall_ms(), now);
    (void)snprintf(line, sizeof(line),
                   "%s machines %u online %u held %u waiting %u, %s, alerts %u%s%s", now,
                   sum.machines, sum.online, sum.held, sum.waiting, rate, monitor->alert_count,
                   monitor->why[0] != '\0' ? "; " : "", monitor->why);
    (void)clean(line);
    (void)printf("%s\n", line);
    (void)fflush(stdout);
}

void monitor_draw_begin(struct monitor *monitor)
{
    if (monitor->is_terminal)
        (void)fputs("\033[?1049h\033[?25l\033[H\033[J", stdout);
}

void monitor_draw(struct monitor *monitor)
{
    if (monitor->is_terminal)
        draw_screen(monitor);
    else
        draw_line(monitor);
}

void monitor_draw_end(struct monitor *monitor)
{
    if (!monitor->is_terminal)
        return;
    (void)fputs("\033[?25h\033[?1049l", stdout);
    (void)fflush(stdout);
}
