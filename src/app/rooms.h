/* rooms: the rooms of the server below web, made from low to high; shared by the subcommands that
 * open a data folder. */
#ifndef AUTOMAT_APP_ROOMS_H
#define AUTOMAT_APP_ROOMS_H

#include "access/access.h"
#include "app/options.h"
#include "fleet/fleet.h"
#include "loop/loop.h"
#include "queue/queue.h"
#include "store/store.h"

struct rooms {
    struct loop *loop;
    struct store *store;
    struct queue *queue;
    struct fleet *fleet;
    struct access *access;
    char time_path[512]; /* where server time is kept over a restart */
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
/* Commits what waits; then everything but the loop is gone, in the order that lets go. */
void rooms_close_store(struct rooms *rooms);
void rooms_close(struct rooms *rooms);

/* "DIR/automat.db"; false: too long. */
MUST_USE bool rooms_database(const char *data, char *path, size_t path_bytes);

#endif
