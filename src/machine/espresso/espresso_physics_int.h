/* Inside the physics: what its two files share. */
#ifndef AUTOMAT_MACHINE_ESPRESSO_PHYSICS_INT_H
#define AUTOMAT_MACHINE_ESPRESSO_PHYSICS_INT_H

#include "machine/espresso/espresso_physics.h"

#define ESPRESSO_STANDBY_C 92.0 /* what the machine keeps by itself */
#define ESPRESSO_STANDBY_W 84.0 /* what that takes in a room of 22 C */

bool espresso_physics_faulty(const struct espresso_physics *p, enum espresso_fault fault);

/* ---- espresso_physics_brew.c ---- */
void espresso_physics_button(struct espresso_physics *p, const struct espresso_outputs *out);
void espresso_physics_water(struct espresso_physics *p, const struct espresso_outputs *out,
                            double dt_ms);
void espresso_physics_current(struct espresso_physics *p, struct rng *rng);

#endif
