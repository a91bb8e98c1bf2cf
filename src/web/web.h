/* web: an HTTP, WebSocket or MQTT message in, one call on a room below, the answer out.
 *
 * Promises: every route stands in one table with the right it asks for; every answer has a request
 * id and every refusal is a problem document with a stable code; a device speaks only for itself;
 * what is parked is answered when the server stops; nothing here decides about a command, the rooms
 * below do.
 *
 * Loop thread only. */
#ifndef AUTOMAT_WEB_H
#define AUTOMAT_WEB_H

#include "access/access.h"
#include "barista/barista.h"
#include "base/base.h"
#include "broker/broker.h"
#include "climate/climate.h"
#include "fleet/fleet.h"
#include "loop/loop.h"
#include "loop/stream.h"
#include "queue/queue.h"
#include "store/store.h"
#include "telemetry/telemetry.h"

struct web;

/* ---- the MQTT door ----
 *
 * The broker is made before the web and asks it who somebody is and what a message means; `web` is
 * filled in by web_create.  Until then nobody is let in and nothing is acknowledged.  The handlers
 * know nothing of the endpoint: they run behind any struct bus. */
struct web_door {
    struct web *web;
};
extern const struct bus_handler web_mqtt_handlers[]; /* their cookie: the door */
struct broker_gate web_mqtt_gate(struct web_door *door);

struct web_options {
    struct loop *loop;
    struct store *store;
    struct access *access;
    struct fleet *fleet;
    struct queue *queue;
    struct broker *broker;
    struct telemetry *telemetry;
    struct climate *climate;
    struct barista *barista; /* NULL: no assistant; outlives the web */
    struct web_door *door;
    const char *listen; /* "127.0.0.1:8000", "[::1]:0" */
    bool open;          /* a caller without credentials is admin and speaks for every device */
    const char *ui_dir; /* the built front end; NULL: a plain page of our own */
    const char *openapi_path;               /* NULL: not served */
    const char *const *cors_origins;        /* NULL-terminated, or NULL: none */
    uint32_t connections_max;               /* 0: 20,000 */
    uint32_t per_address_max;               /* connections of one address; 0: no limit */
    uint32_t parked_max;                    /* long polls; 0: 20,000 */
    uint32_t sockets_max;                   /* /ws; 0: 500 */
    const struct stream_filter_ops *filter; /* TLS, or NULL */
    void *filter_context;
    const char *data_dir;       /* whose disk /readyz looks at; NULL: none */
    const char *climate_source; /* "own", "external", "off", as shown */
    double climate_confidence;  /* as shown */
    uint32_t inactive_s;        /* 0: 300; a device whose readings stop for so long */
};

/* Listens when it returns.  ERR_CONFLICT: the address is in use; ERR_INPUT: it is none; ERR_IO: the
 * ui folder cannot be read.  Registers as the watcher of access and fleet. */
MUST_USE enum err web_create(const struct web_options *options, struct web **ret_web);
uint16_t web_port(const struct web *web);
/* The MQTT listener is open ("HOST:PORT", kept by the caller); for /readyz. */
void web_mqtt_listening(struct web *web, const char *address);
/* Every second or so: offers that nobody claimed are told again, silent sensors are noticed. */
void web_tick(struct web *web);
/* Stop accepting, answer what is parked, let answers on their way leave (the store must still run),
 * then call `done` once. */
void web_stop(struct web *web, void (*done)(void *cookie), void *cookie);
/* After done of web_stop, or at any time, which drops everybody.  NULL does nothing. */
void web_destroy(struct web *web);

/* queue_options.changed and .machine_changed with the web as listener. */
void web_command_changed(void *web, const struct queue_change *change);
void web_machine_changed(void *web, struct str machine_id);

/* The rows of the route table, for the tests: false when there is no such row. */
struct web_route_row {
    const char *method, *pattern;
    enum access_permission permission;
    bool device; /* a device's own call */
};
bool web_route_row(size_t index, struct web_route_row *ret_row);

#endif
