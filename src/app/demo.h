/* demo: the demo cafe: machines that are marked, a way to sign in, and a twin for each machine as a
 * process of its own that talks to the server over a real socket. */
#ifndef AUTOMAT_APP_DEMO_H
#define AUTOMAT_APP_DEMO_H

#include "app/rooms.h"

struct demo;

/* `mqtt`: "HOST:PORT", or "" for none.  Seeds what is missing, prints a sign-in link to stderr,
 * starts the twins.  Trouble is logged: the server serves without its demo.  NULL: out of memory.
 */
struct demo *demo_start(struct rooms *rooms, const struct options *options, const char *url,
                        const char *mqtt);
/* About once a second: starts a twin again that ended.  NULL does nothing. */
void demo_beat(struct demo *demo, int64_t now_ms);
/* The twins shall end. */
void demo_stop(struct demo *demo);
/* They have ended.  NULL does nothing. */
void demo_destroy(struct demo *demo);

#define DEMO_ACCOUNT "demo"

#endif
