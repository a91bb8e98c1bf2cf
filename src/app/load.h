/* load: many devices at once.  Inside app. */
#ifndef AUTOMAT_APP_LOAD_H
#define AUTOMAT_APP_LOAD_H

#include "app/tool.h"
#include "loop/loop.h"

struct load_device {
    char id[ID_BYTES_MAX + 1];
    char token[TOOL_TOKEN_BYTES]; /* "": none */
};

/* What became of the messages. */
struct load_count {
    uint64_t due;     /* that the pace asked for */
    uint64_t sent;    /* given to a connection */
    uint64_t held;    /* no room: too much was unacknowledged */
    uint64_t acked;   /* told as stored (QoS 1, HTTP 200) */
    uint64_t refused; /* told no */
    uint64_t failed;  /* HTTP: no answer */
    uint64_t reconnects;
    uint32_t connected, connected_max;
    struct tool_latency latency;
};

struct load {
    const struct options *options;
    struct load_device *device;
    uint32_t device_count;
    struct load_count count;
    struct tool_bar bar;
    int64_t begin_us, end_us; /* of the sending */
    bool stopped;             /* somebody pressed ctrl-C */
};

/* Both send for --seconds, wait for what is on its way, and fill `count`. */
MUST_USE bool load_over_mqtt(struct load *load);
MUST_USE bool load_over_http(struct load *load);

/* The message that is due as number `index`: a device in turn, and a number in Celsius. */
struct load_device *load_turn(struct load *load, uint64_t index, uint32_t *ret_device);
double load_value(uint64_t index);
/* How many messages are due by now. */
uint64_t load_due(const struct load *load, int64_t now_us);
void load_show(struct load *load);

#endif
