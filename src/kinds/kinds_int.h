/* Inside kinds only: one line a kind. */
#ifndef AUTOMAT_KINDS_INT_H
#define AUTOMAT_KINDS_INT_H

#include "kinds/kinds.h"

extern const struct kinds_kind kinds_espresso;

/* Both: a new reference or NULL. */
json_t *kinds_describe_names(const char *const *list);
json_t *kinds_describe_limit(const struct limit *limit);

#endif
