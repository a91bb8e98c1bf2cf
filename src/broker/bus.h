/* bus: what the server's own message handlers see of MQTT, whoever carries it: the endpoint in this
 * process (broker.h), a test, or one day a client on an existing broker.  A handler is a row of a
 * table; it never sees a connection.  Loop thread only. */
#ifndef AUTOMAT_BUS_H
#define AUTOMAT_BUS_H

#include "base/base.h"
#include "store/store.h"

/* Who published. */
enum bus_role {
    BUS_NOBODY, /* may do nothing */
    BUS_DEVICE, /* a machine's own board: `machine_id` */
    BUS_STAFF,  /* a person's or program's API token of role staff */
    BUS_ADMIN,
    BUS_OPEN,   /* --open without credentials: admin, and every device */
    BUS_SERVER, /* this server */
};
struct bus_from {
    enum bus_role role;
    struct str machine_id; /* BUS_DEVICE only */
    struct str actor;      /* "machine:window-1", "token:ml", "open", "server": for the record */
    struct str client_id;
    bool waiting; /* a device that staff has not let in yet: only hello is listened to */
};

struct bus_message {
    struct str topic, payload; /* borrowed until handle returns */
    struct bus_from from;
    uint8_t qos;
    bool retain, dup;
    struct str response_topic, correlation; /* 5.0, or empty */
    /* Which publish of which persistent session this is.  Written (store_ride) in the same
     * transaction as what the message brought, it keeps a redelivery (DUP) from being stored twice.
     */
    struct store_rider receipt;
    const char *request_id; /* of this message, for logs and records; borrowed, too */
};

/* Outcome of a handled message, as the publisher is told (5.0; to a 3.1.1 client everything but
 * BUS_LATER is a PUBACK). */
enum bus_verdict {
    BUS_OK,
    BUS_REFUSED,     /* understood and refused: do not send it again (PUBACK 0x87/0x80) */
    BUS_BAD_PAYLOAD, /* not what this topic carries (PUBACK 0x99) */
    BUS_LATER,       /* it could not be stored now (disk full, queue full): no PUBACK; the
                        connection is closed, so that the client sends it again */
};

struct bus_pending; /* a message that waits for its outcome */
/* Exactly once for every `pending` that a handler was given, now (inside handle) or later, also
 * when the publisher is gone.  NULL (a volatile topic) does nothing. */
void bus_done(struct bus_pending *pending, enum bus_verdict verdict);

struct bus_handler {
    const char *filter; /* "sensor/+/+" */
    /* The topic is volatile: acknowledged at once, `pending` is NULL.  Settings may declare further
     * topics volatile, so that every handler must be able to do without. */
    bool is_volatile;
    /* Eaten: not passed on to subscribers (a proposal that is not a fact). */
    bool consumed;
    void (*handle)(void *cookie, const struct bus_message *message, struct bus_pending *pending);
};

struct bus_out {
    struct str topic, payload;
    uint8_t qos;
    bool retain;
    uint32_t expiry_s; /* 0: none.  After it the message is no longer delivered */
    /* Told once for each subscriber that acknowledged (QoS 1) or was written to (QoS 0); may be
     * NULL.  `handed_cookie` must live for expiry_s.  Not told after a restart of the server, for
     * what a persistent session got only then. */
    void (*handed)(void *cookie, struct str client_id, bool acknowledged);
    void *handed_cookie;
};

struct bus;
struct bus_ops {
    /* Hand a message of the server's to every subscriber that may see it.  How many there are now
     * (connected, or with a persistent session) is returned. */
    uint32_t (*publish)(struct bus *bus, const struct bus_out *message);
};
struct bus {
    const struct bus_ops *ops;
};
static inline uint32_t bus_publish(struct bus *bus, const struct bus_out *message)
{
    return bus->ops->publish(bus, message);
}

#endif
