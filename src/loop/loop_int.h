/* What the files of loop/ share. */
#ifndef AUTOMAT_LOOP_INT_H
#define AUTOMAT_LOOP_INT_H

#include "loop/loop.h"
#include <uv.h>

struct loop {
    uv_loop_t uv;
    struct sys_time time;
    bool time_started;
    int64_t time_persisted_ms;
    int64_t wall_ms, wall_turn_ms; /* server time of the turn that began at wall_turn_ms */
    uint32_t jobs_waiting;
    struct loop_timer *timers; /* all that are not destroyed: loop_destroy frees them */
    struct loop_wake *wakes;
    struct loop_signal_watch *signals;
};

/* Close and free everything of one sort that is still open. */
void loop_timers_close(struct loop *loop);
void loop_wakes_close(struct loop *loop);
void loop_signals_close(struct loop *loop);

#endif
