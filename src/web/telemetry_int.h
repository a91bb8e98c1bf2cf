/* Inside web: what the routes about readings and rooms share. */
#ifndef AUTOMAT_WEB_TELEMETRY_INT_H
#define AUTOMAT_WEB_TELEMETRY_INT_H

#include "web/routes_int.h"

#include <stdlib.h>

/* machine_id, type, from, to, resolution of the query.  False: answered. */
MUST_USE bool web_range_read(struct web_call *call, struct telemetry_range *ret_range);
/* RFC 3339; absent: as it was.  False: answered. */
MUST_USE bool web_time_parameter(struct web_call *call, const char *name, int64_t *ret_ms);
/* Answers 400; always false. */
bool web_bad_parameter(struct web_call *call, const char *name);
/* type, unit, value, at, received_at, provenance of an open object. */
void show_reading(struct json_out *out, const struct telemetry_latest *latest);
/* A window of the climate room, into an open object. */
void show_window(struct json_out *out, const struct web *web, const struct climate_window *window);

#endif
