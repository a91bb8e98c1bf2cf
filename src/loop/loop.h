/* loop: libuv behind one header.  One loop thread owns all mutable state of the server; blocking
 * work goes to the pool as a job that owns its data and comes back as a callback on the loop.  Loop
 * thread only, but for loop_wake_post. */
#ifndef AUTOMAT_LOOP_H
#define AUTOMAT_LOOP_H

#include "base/base.h"
#include "sys/sys.h"

struct loop;       /* one per process (tests: one per test) */
struct loop_timer; /* opaque, owned by its creator */

MUST_USE enum err loop_create(struct loop **ret_loop);
/* After loop_run returned: waits for jobs that are still on a pool thread (their done is called),
 * then frees everything still open.  NULL does nothing. */
void loop_destroy(struct loop *loop);

/* Run until loop_stop, or until nothing keeps it alive. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* Handle what is ready and due now, without waiting; false when nothing is alive.  For tests. */
bool loop_turn(struct loop *loop);
/* The same, but waits for something to be ready or due.  For tests. */
bool loop_turn_wait(struct loop *loop);

/* Time of this turn: monotonic ms, and server time in epoch ms (sys_time, fed once a turn). */
int64_t loop_now_ms(const struct loop *loop);
int64_t loop_wall_ms(struct loop *loop);
/* The newest time found in the database, once, before the first loop_wall_ms. */
void loop_time_persisted(struct loop *loop, int64_t persisted_ms);

/* One-shot timer: calls `fire(cookie)` once, at or after `due_ms` (loop_now_ms scale).  A set timer
 * may be set again or cleared; neither call fails.  After loop_timer_clear it does not fire. */
MUST_USE enum err loop_timer_create(struct loop *loop, void (*fire)(void *cookie), void *cookie,
                                    struct loop_timer **ret_timer);
void loop_timer_set(struct loop_timer *timer, int64_t due_ms);
void loop_timer_clear(struct loop_timer *timer);
void loop_timer_destroy(
    struct loop_timer *timer); /* NULL does nothing; allowed inside its own fire */

/* Blocking work: `run(job)` on a pool thread, then `done(job)` on the loop, exactly once.  Embedded
 * in the caller's own struct, which lives until done returns.  ERR_FULL when `LOOP_JOBS_MAX` are
 * waiting. */
#define LOOP_JOBS_MAX 256
struct loop_job {
    void (*run)(struct loop_job *job);
    void (*done)(struct loop_job *job);
    void *internal;
};
MUST_USE enum err loop_work(struct loop *loop, struct loop_job *job);

/* From any thread: wake the loop, which then calls `wake(cookie)` on its own thread.  Wakes
 * coalesce. */
struct loop_wake;
MUST_USE enum err loop_wake_create(struct loop *loop, void (*wake)(void *cookie), void *cookie,
                                   struct loop_wake **ret_wake);
void loop_wake_post(struct loop_wake *wake); /* any thread */
void loop_wake_destroy(struct loop_wake *wake);

/* Call `caught(cookie, signal)` on the loop for this signal (SIGTERM, SIGINT, SIGHUP). */
MUST_USE enum err loop_signal(struct loop *loop, int signal,
                              void (*caught)(void *cookie, int signal), void *cookie);

/* The uv_loop_t, for net/ and twin/ only, which do their I/O with libuv's own types. */
void *loop_uv(struct loop *loop);

#endif
