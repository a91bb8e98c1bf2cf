/* rooms: the rooms of the server below web, made from low to high; shared by the subcommands that
 * open a data folder. */
#ifndef AUTOMAT_APP_ROOMS_H
#define AUTOMAT_APP_ROOMS_H

#include "access/access.h"
#include "app/options.h"
#include "broker/broker.h"
#include "climate/climate.h"
#include "fleet/fleet.h"
#include "loop/loop.h"
#include "queue/queue.h"
#include "store/store.h"
#include "telemetry/telemetry.h"
#include "web/web.h"

struct rooms {
    struct loop *loop;
    struct store *store;
    struct queue *queue;
    struct fleet *fleet;
    struct access *access;
    struct broker *broker; /* these three only with rooms_open_air */
    struct telemetry *telemetry;
    struct climate *climate;
    char time_path[512]; /* where server time is kept over a restart */
    char model_folder[512];
};

/* What the queue tells, and whom. */
struct rooms_listener {
    void *cookie;
    void (*changed)(void *cookie, const struct queue_change *change);
    void (*machine_changed)(void *cookie, struct str machine_id);
};

/* False: `why` has a sentence, and rooms_close is still due. */
MUST_USE bool rooms_open(struct rooms *rooms, const struct options *options,
                         const struct rooms_listener *listener, char *why, size_t why_bytes);
/* The rooms of sensors and windows, for a server: after rooms_open.  `door` lives as long as the
 * rooms, `model` (or NULL) is the file to begin with.  False: `why` has a sentence. */
MUST_USE bool rooms_open_air(struct rooms *rooms, const struct options *options,
                             struct web_door *door, const char *model, char *why, size_t why_bytes);
/* Commits what waits; then everything but the loop is gone, in the order that lets go. */
void rooms_close_store(struct rooms *rooms);
void rooms_close(struct rooms *rooms);

/* "DIR/automat.db"; false: too long. */
MUST_USE bool rooms_database(const char *data, char *path, size_t path_bytes);

#endif
