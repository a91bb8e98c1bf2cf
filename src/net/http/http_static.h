/* http_static: the files of a web page, loaded at start and served from memory.
 *
 * A request can only name what is in the table, so no path leads out of the folder.  A file x with
 * x.br or x.gz beside it is served in the coding that the client likes best. */
#ifndef AUTOMAT_HTTP_STATIC_H
#define AUTOMAT_HTTP_STATIC_H

#include "net/http/http.h"

struct http_static; /* immutable once loaded */

struct http_static_options { /* 0 means the value in brackets */
    size_t bytes_max;        /* [64 MiB] of all files together */
    uint32_t files_max;      /* [4,096] */
};

/* Load every file below `dir`.  Dot files and links are left out.
 * ERR_NOT_FOUND: no such folder. ERR_FULL: more than the options allow. */
MUST_USE enum err http_static_load(const char *dir, const struct http_static_options *options,
                                   struct http_static **ret_files);
/* After the server that answers from it.  NULL does nothing. */
void http_static_destroy(struct http_static *files);

/* Is `path` (still percent-encoded) one of them?  "/" and a path that ends in '/' name its
 * index.html. */
bool http_static_has(const struct http_static *files, struct str path);
/* Answer a GET or HEAD for `path`: 200 or 304 (never 406: the plain file always will do).
 * False: no such file, and the request is not answered.  A single-page application asks again with
 * "/index.html". `fields` (security headers, at most 8) are added to every answer. */
bool http_static_answer(const struct http_static *files, struct http_request *req, struct str path,
                        const struct http_field *fields, size_t field_count);

#endif
