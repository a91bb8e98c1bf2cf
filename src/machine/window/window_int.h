/* Inside machine/window: what the state machine's files share. */
#ifndef AUTOMAT_MACHINE_WINDOW_INT_H
#define AUTOMAT_MACHINE_WINDOW_INT_H

#include "machine/window/window.h"

#define WINDOW_NEAR_UM 8000 /* of an end: where its switch may be pressed */

/* ---- window_limits.c ---- */
int64_t window_counts_um(const struct window *w, int64_t counts);

/* ---- window_profile.c: an acceleration-limited reference ---- */
void window_profile_begin(struct window *w); /* at rest, where the sash is */
void window_profile_to(struct window *w, int64_t target_um);
/* The nearest place where it can come to rest. */
void window_profile_stop(struct window *w);
/* One step; true once the reference is at the target.  Drives the outputs: reference speed and what
 * the sash is behind. */
bool window_profile_step(struct window *w, int32_t speed_um_s, uint32_t dt_ms);
int64_t window_target_um(const struct window *w, int32_t position_mpct);

/* ---- window_watch.c ---- */
void window_watch_read(struct window *w, const struct window_input *in, uint32_t dt_ms);
void window_watch_begin(struct window *w); /* a motion begins */
bool window_current_stuck(const struct window *w);
/* What is wrong with this motion, in the direction it is driven; WINDOW_OK: nothing. */
enum window_code window_watch_motion(struct window *w, const struct window_input *in,
                                     uint32_t dt_ms);

/* ---- window_step.c: moving on ---- */
void window_enter(struct window *w, enum window_state state);
void window_phase(struct window *w, uint8_t phase);
/* The order is over; everything off.  OK: COMPLETE; STOPPED: IDLE; otherwise ERROR. */
void window_finish(struct window *w, enum window_code code);
/* Something is wrong with the motion: drive back from a pinch, otherwise stop here and now. */
void window_abort(struct window *w, enum window_code code);

/* ---- window_move.c: one function a state ---- */
void window_homing(struct window *w, const struct window_input *in, uint32_t dt_ms);
bool window_at_open_end(const struct window *w); /* by what is expected */
void window_calibrating(struct window *w, const struct window_input *in, uint32_t dt_ms);
void window_moving(struct window *w, const struct window_input *in, uint32_t dt_ms);
void window_sealing(struct window *w, const struct window_input *in, uint32_t dt_ms);
void window_stopping(struct window *w, const struct window_input *in, uint32_t dt_ms);
void window_backing_off(struct window *w, const struct window_input *in, uint32_t dt_ms);

#endif
