/* Inside machine/espresso: what its files share. */
#ifndef AUTOMAT_MACHINE_ESPRESSO_INT_H
#define AUTOMAT_MACHINE_ESPRESSO_INT_H

#include "machine/espresso/espresso.h"

#define ATTEMPTS_MAX     3 /* one and two retries */
#define PRESSES_MAX      2 /* one and the double press */
#define STOP_PRESSES_MAX 2

/* ---- espresso_order.c ---- */
bool espresso_variant_equal(struct str a, struct str b);
bool espresso_order_has(const struct espresso_order *order, enum espresso_action action);
uint32_t espresso_order_slot(const struct espresso_order *order); /* 0: not said */
uint32_t espresso_order_press_ms(const struct espresso_order *order, uint32_t preset_ms);

/* ---- espresso_calibration.c ---- */
int32_t espresso_calibration_travel(const struct espresso_calibration *calibration); /* steps */

/* ---- espresso_preflight.c ---- */
bool espresso_preflight_sensors(const struct espresso *m, const struct espresso_input *in,
                                const struct espresso_order *order, uint8_t *ret_slot,
                                struct espresso_refusal *ret_refusal);
bool espresso_too_hot(const struct espresso *m, const struct espresso_input *in);
bool espresso_current_stuck(const struct espresso *m);

/* ---- espresso_step.c: moving on ---- */
void espresso_enter(struct espresso *m, enum espresso_state state);
void espresso_phase(struct espresso *m, uint8_t phase);
/* The order is over.  `code` OK: COMPLETE; STOPPED: back to IDLE; otherwise ERROR.  Everything off.
 */
void espresso_finish(struct espresso *m, enum espresso_code code);
/* Make the machine safe (eject, home), then finish with `code`. */
void espresso_make_safe(struct espresso *m, enum espresso_code code);

/* ---- espresso_watch.c ---- */
void espresso_watch(struct espresso *m, const struct espresso_input *in, uint32_t dt_ms);
uint32_t espresso_flow_nominal(const struct espresso *m);
uint32_t espresso_first_drop_ms(const struct espresso *m); /* from pump start */
uint32_t espresso_volume_ul(const struct espresso *m);

/* ---- espresso_move.c, espresso_brew.c: one function a state ---- */
void espresso_homing(struct espresso *m, const struct espresso_input *in);
void espresso_picking(struct espresso *m, const struct espresso_input *in, uint32_t dt_ms);
void espresso_inserting(struct espresso *m, const struct espresso_input *in, uint32_t dt_ms);
void espresso_closing_head(struct espresso *m, const struct espresso_input *in);
void espresso_ejecting(struct espresso *m, const struct espresso_input *in);
void espresso_pressing_button(struct espresso *m, const struct espresso_input *in);
void espresso_pouring(struct espresso *m,
                      const struct espresso_input *in); /* BREWING, MONITORING */
/* A stop was asked for: what to do in the state the machine is in. */
void espresso_stop(struct espresso *m, const struct espresso_input *in, enum espresso_code code);

#endif
