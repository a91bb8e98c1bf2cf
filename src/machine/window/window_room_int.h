/* Inside machine/window: the room's files. */
#ifndef AUTOMAT_MACHINE_WINDOW_ROOM_INT_H
#define AUTOMAT_MACHINE_WINDOW_ROOM_INT_H

#include "machine/window/window_room.h"

/* Who comes and goes in `dt_s`; 0: who is there when the room begins. */
void window_room_people(struct window_room *room, double dt_s);
void window_room_sound(struct window_room *room, double dt_s);

#endif
