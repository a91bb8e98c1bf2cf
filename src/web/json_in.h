/* Inside web: a JSON body, strictly. */
#ifndef AUTOMAT_WEB_JSON_IN_H
#define AUTOMAT_WEB_JSON_IN_H

#include "base/base.h"

#include <jansson.h>

#define JSON_DEPTH_MAX 32

struct json_fault {
    unsigned line, column; /* from 1; 0: the text as a whole */
    char why[192];
};

/* One object, UTF-8, no name twice, no deeper than JSON_DEPTH_MAX (looked at before the parser's
 * recursion begins), no NUL in a text.  A new reference, or ERR_INPUT with the fault, or ERR_NOMEM.
 */
MUST_USE enum err json_in(struct str text, json_t **ret_object, struct json_fault *ret_fault);

#endif
