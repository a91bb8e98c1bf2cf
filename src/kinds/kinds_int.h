/* Inside kinds only: one line a kind. */
#ifndef AUTOMAT_KINDS_INT_H
#define AUTOMAT_KINDS_INT_H

#include "kinds/kinds.h"

extern const struct kinds_kind kinds_espresso;
extern const struct kinds_kind kinds_window;

/* Both: a new reference or NULL. */
json_t *kinds_describe_names(const char *const *list);
json_t *kinds_describe_limit(const struct limit *limit);

/* ---- curve.c: what kinds_kind.curve_append and .curve_read do for a kind that has nothing of its
 * own to add ---- */
enum err kinds_curve_append(struct store_db *db, uint64_t command_id,
                            const struct kinds_samples *samples, int64_t at_ms);
enum err kinds_curve_read(const struct kinds_kind *kind, struct store_db *db, uint64_t command_id,
                          struct buf *ret_json);

#endif
