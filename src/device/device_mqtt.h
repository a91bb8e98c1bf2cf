/* device_mqtt: the MQTT road of a board.  The program (device.h) asks and is answered; here its
 * questions become messages, and what comes becomes answers.
 *
 * Freestanding C11, no heap, pure: the connection is the host's (a client on the board, net/mqtt in
 * the twin, a fake one in tests).  One thread.  Losing power is throwing the struct away.
 *
 *   program asks       published (QoS)        answered by
 *   hello              hello (1)              config that names this boot: 200, waiting: 202
 *   check              -                      the newest offer held, now or when it comes; 204 when
 *                                             the wait is over
 *   claim              claim (1)              claim/result that names this claim and this command
 *   report             report (1)             PUBACK: 200; a refusal in it (MQTT 5): 409
 *   progress           progress (0)           at once
 *
 * The guarantees are the program's and the server's, as over HTTP (queue rules 2 to 6): a claim may
 * arrive twice or late, since its id makes it one; only a plain grant of this attempt, with both
 * deadlines, is handed on as one; a report is repeated until it is acknowledged, and an
 * acknowledgement means on disk. */
#ifndef AUTOMAT_DEVICE_MQTT_H
#define AUTOMAT_DEVICE_MQTT_H

#include "device/device.h"

#define DEVICE_MQTT_OFFER_BYTES 8192 /* a longer offer cannot be held and is not seen */
#define DEVICE_MQTT_FILTERS     4

/* What is said about a publish that was acknowledged: MQTT's reason code, 0 from a 3.1.1 server. */
enum {
    DEVICE_MQTT_TAKEN = 0x00,
    DEVICE_MQTT_REFUSED = 0x80, /* this and above */
    DEVICE_MQTT_NOT_AUTHORIZED = 0x87,
    DEVICE_MQTT_QUOTA = 0x97,
    DEVICE_MQTT_BAD_PAYLOAD = 0x99,
};

/* The connection.  Neither calls back from inside. */
struct device_mqtt_host {
    void *context;
    /* Copies.  QoS 1: `*ret_handle` comes back in device_mqtt_on_published, at most once.  Not
     * ERR_OK: nothing was sent. */
    enum err (*publish)(void *context, struct str topic, struct str payload, uint8_t qos,
                        bool retain, uint64_t *ret_handle);
    /* QoS 1; device_mqtt_on_subscribed for each. */
    enum err (*subscribe)(void *context, struct str filter);
};

enum device_mqtt_phase {
    DEVICE_MQTT_OFF,         /* no connection: nothing can be asked */
    DEVICE_MQTT_SUBSCRIBING, /* answers could be missed yet: nothing is asked */
    DEVICE_MQTT_READY,
};

enum device_mqtt_call {
    DEVICE_MQTT_NOTHING,
    DEVICE_MQTT_HELLO,
    DEVICE_MQTT_CHECK,
    DEVICE_MQTT_CLAIM,
    DEVICE_MQTT_REPORT,
    DEVICE_MQTT_PROGRESS,
};

struct device_mqtt_ask { /* what the program waits for on one channel */
    enum device_mqtt_call call;
    uint64_t exchange_id;
    int64_t due_ms; /* then it is over: no answer, or for a check nothing to do */
    uint64_t command_id;
    struct id128 uid, claim_id;
    uint64_t handle; /* report: of its publish */
    bool cancelled;  /* report: of a cancellation */
};

struct device_mqtt_stats {
    uint32_t published, offers, offers_dropped, results_foreign, bad_messages, timeouts;
};

/* In the caller's storage.  Read phase and stats. */
struct device_mqtt {
    enum device_mqtt_phase phase;
    struct device_mqtt_stats stats;
    struct device *device;
    struct device_mqtt_host host;
    char machine_id[ID_BYTES_MAX + 1];
    uint32_t subscribed; /* filters acknowledged */
    struct device_mqtt_ask ask[DEVICE_CHANNEL_COUNT];
    bool offer_held;
    uint64_t offer_command_id;
    struct id128 offer_uid;
    size_t offer_len;
    struct id128 settled_uid; /* what was reported last: offers of it are old news */
    struct id128 denied_uid;  /* whose report was not authorised */
    bool welcomed;            /* a hello was answered with admission since then */
    int64_t greeted_ms;       /* when a configuration last made us introduce ourselves */
    bool greeted;
    int64_t state_ms; /* state not before */
    char state_step[WIRE_NAME_BYTES];
    char offer[DEVICE_MQTT_OFFER_BYTES];
    char body[DEVICE_PROGRESS_BYTES + 64];
};

/* `device` need not be initialised yet, but outlives this; its hal.send hands exchanges to
 * device_mqtt_send.  ERR_INPUT: no machine id. */
MUST_USE enum err device_mqtt_init(struct device_mqtt *mqtt, struct device *device,
                                   struct str machine_id, const struct device_mqtt_host *host);

/* What to leave with the server for the day the connection breaks: topic and payload, QoS 1,
 * retained. */
void device_mqtt_will(struct str machine_id, struct text *topic, struct text *payload);

/* The program asks.  ERR_CLOSED: there is no road now. */
MUST_USE enum err device_mqtt_send(struct device_mqtt *mqtt,
                                   const struct device_exchange *exchange);

/* Events of the connection.  Call device_mqtt_step and device_step soon after each. */
void device_mqtt_on_connected(struct device_mqtt *mqtt); /* subscribes, also with a session */
/* True: the last of them is granted, and the road can be used from now on (device_road_switch).
 * Not granted: the phase stays, and the host should break the connection. */
bool device_mqtt_on_subscribed(struct device_mqtt *mqtt, bool granted);
void device_mqtt_on_lost(struct device_mqtt *mqtt);
void device_mqtt_on_message(struct device_mqtt *mqtt, struct str topic, struct str payload);
void device_mqtt_on_published(struct device_mqtt *mqtt, uint64_t handle, uint8_t reason);

/* Forget what was asked here: the program goes on by another road (device_road_switch). */
void device_mqtt_release(struct device_mqtt *mqtt);

/* Answers what is due; call it before device_step. */
void device_mqtt_step(struct device_mqtt *mqtt);
/* After device_step: in how many ms (of hal.mono_ms) both want to be called again, if this is less
 * than device_step said. */
uint32_t device_mqtt_wait(const struct device_mqtt *mqtt);

#endif
