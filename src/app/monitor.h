/* monitor: what the server knows now, gathered and drawn.  Inside app. */
#ifndef AUTOMAT_APP_MONITOR_H
#define AUTOMAT_APP_MONITOR_H

#include "app/tool.h"
#include "loop/loop.h"

#define MONITOR_MACHINES_MAX 1000
#define MONITOR_READINGS_MAX 4
#define MONITOR_ALERTS_MAX   5
#define MONITOR_WORD_BYTES   25

struct monitor_reading {
    char type[MONITOR_WORD_BYTES], value[16];
};

struct monitor_machine {
    char id[ID_BYTES_MAX + 1];
    char kind[MONITOR_WORD_BYTES], step[MONITOR_WORD_BYTES];
    bool online, held, waiting;
    uint32_t pending;
    struct monitor_reading reading[MONITOR_READINGS_MAX];
    uint32_t reading_count;
    uint64_t messages; /* over MQTT, since the last look */
};

struct monitor_alert {
    char machine_id[ID_BYTES_MAX + 1], severity[MONITOR_WORD_BYTES], message[120];
};

struct monitor {
    const struct options *options;
    struct tool_http http;
    struct loop *loop;
    struct loop_timer *timer;
    struct monitor_mqtt *mqtt; /* NULL: HTTP only */
    struct monitor_machine machine[MONITOR_MACHINES_MAX];
    uint32_t machine_count, machines_left_out;
    struct monitor_alert alert[MONITOR_ALERTS_MAX];
    uint32_t alert_count; /* all of them; the first few are kept */
    bool reached;         /* somebody answered, ever */
    bool is_terminal;
    char why[256]; /* what is wrong with the server now; "": nothing */
    double readings_total, readings_rate;
    bool has_total, has_rate;
    int64_t looked_ms; /* when the last look was */
    uint32_t looks;
};

/* A machine by its id; made when there is none.  NULL: no room. */
struct monitor_machine *monitor_machine(struct monitor *monitor, struct str id);
void monitor_reading_set(struct monitor_machine *machine, struct str type, struct str value);

/* ---- monitor_look.c: over HTTP ---- */
void monitor_look(struct monitor *monitor);

/* ---- monitor_mqtt.c: what is published, as it comes ---- */
MUST_USE bool monitor_mqtt_open(struct monitor *monitor);
void monitor_mqtt_close(struct monitor *monitor);
bool monitor_mqtt_connected(const struct monitor *monitor);

/* ---- monitor_draw.c ---- */
void monitor_draw_begin(struct monitor *monitor);
void monitor_draw(struct monitor *monitor);
void monitor_draw_end(struct monitor *monitor);

#endif
