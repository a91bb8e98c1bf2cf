/* Inside web: what the HTTP server calls. */
#ifndef AUTOMAT_WEB_FRONT_INT_H
#define AUTOMAT_WEB_FRONT_INT_H

#include "web/web_int.h"

void web_on_request(void *cookie, struct http_request *req);
void web_on_head(void *cookie, struct http_request *req);

#endif
