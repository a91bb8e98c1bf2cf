/* device/window: the window as a kind the device program can run.  The board, or the twin, brings
 * the wires: what its sensors read and what its outputs drive. */
#ifndef AUTOMAT_DEVICE_WINDOW_H
#define AUTOMAT_DEVICE_WINDOW_H

#include "device/device.h"
#include "machine/window/window.h"

/* Both are called from device_init and device_step only, and must not wait. */
struct device_window_wires {
    void *context;
    /* The sensors now; request and order are ignored. */
    void (*read)(void *context, struct window_input *ret_input);
    /* Hold these until the next call. */
    void (*drive)(void *context, const struct window_outputs *outputs);
    const char *provenance; /* "measured" or "simulated": where the figures come from */
};

/* How often the sensors of the room are read and sent; the host does both, this is the
 * configuration.  Seconds of the server's time. */
struct device_window_sensors {
    uint32_t interval_s; /* 5 */
    uint32_t audio_s;    /* 30; 0: never */
};

/* In the caller's storage, as kind_context; read `machine` and `sensors`, the rest is its own
 * business. */
struct device_window {
    struct window machine;
    struct device_window_sensors sensors;
    struct device_window_wires wires;
    struct window_calibration calibration;
    struct window_order order;                 /* as prepared */
    struct window_input input;                 /* as read last */
    enum window_request request, request_next; /* for this step; from the one after it on */
    bool begun;                                /* an order was begun and has not ended */
    bool ended;                                /* result is that of the order in hand */
    struct window_result result;
};

extern const struct device_kind device_window_kind;

void device_window_init(struct device_window *window, const struct device_window_wires *wires);

/* A payload as the server sends it, {"position": 40}.  ERR_INPUT: missing, or no number. */
MUST_USE enum err device_window_order(struct str payload, struct window_order *ret_order);

#endif
