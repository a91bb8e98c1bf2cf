/* device/espresso: the espresso machine as a kind the device program can run.  The board, or the
 * twin, brings the wires: what its sensors read and what its outputs drive. */
#ifndef AUTOMAT_DEVICE_ESPRESSO_H
#define AUTOMAT_DEVICE_ESPRESSO_H

#include "device/device.h"
#include "machine/espresso/espresso.h"

/* Both are called from device_init and device_step only, and must not wait. */
struct device_espresso_wires {
    void *context;
    /* The sensors now; request and order are ignored. */
    void (*read)(void *context, struct espresso_input *ret_input);
    /* Hold these until the next call. */
    void (*drive)(void *context, const struct espresso_outputs *outputs);
    /* Water left, or ESPRESSO_UNKNOWN; NULL: no such sensor. */
    int32_t (*water_ml)(void *context);
    const char *provenance; /* "measured" or "simulated": where the figures come from */
};

/* In the caller's storage, as kind_context; read `machine`, the rest is its own business. */
struct device_espresso {
    struct espresso machine;
    struct device_espresso_wires wires;
    enum espresso_model model;
    struct espresso_calibration calibration;
    struct espresso_order order;                 /* as prepared */
    struct espresso_input input;                 /* as read last */
    enum espresso_request request, request_next; /* for this step; from the one after it on */
    bool begun;                                  /* an order was begun and has not ended */
    bool ended;                                  /* result is that of the order in hand */
    struct espresso_result result;
};

extern const struct device_kind device_espresso_kind;

void device_espresso_init(struct device_espresso *espresso, enum espresso_model model,
                          const struct device_espresso_wires *wires);

/* A brew as the server sends it.  ERR_INPUT: a field is missing or of the wrong type. */
MUST_USE enum err device_espresso_order(struct str payload, struct str instructions,
                                        struct espresso_order *ret_order);

#endif
