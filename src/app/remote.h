/* remote: one call to a server, as an admin. */
#ifndef AUTOMAT_APP_REMOTE_H
#define AUTOMAT_APP_REMOTE_H

#include "app/options.h"

#include <jansson.h>

/* `body` NULL: GET, else POST.  The answer's object in `ret_answer` (a new reference).  False: what
 * went wrong was said on stderr. */
MUST_USE bool remote_call(const struct options *options, const char *path, const json_t *body,
                          json_t **ret_answer);

#endif
