/* The page: files of the built front end, or a plain one of our own when it was not built. */
#include "web/web_int.h"

static const char plain_page[] =
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>Automat</title>\n"
    "<style>body{font:1.1rem/1.6 Georgia,serif;max-width:34rem;margin:12vh auto;padding:0 "
    "1.5rem;color:#2b211b;background:#faf6f0}code{font-size:.95em}</style>\n"
    "<h1>Automat is running</h1>\n"
    "<p>The server answers under <code>/api</code>; what it understands is described in "
    "<a href=\"/api/openapi.yaml\">openapi.yaml</a>.</p>\n"
    "<p>This plain page is shown because the front end has not been built. "
    "<code>make build</code> builds it, <code>--ui DIR</code> says where it is.</p>\n</html>\n";

/* A person followed a link inside the application: its paths are the script's, not files. */
static bool wants_page(const struct http_request *req)
{
    struct str accept = http_header(req, STR("Accept"));
    for (size_t i = 0; i + 9 <= accept.len; i++) {
        if (str_equal(str_slice(accept, i, i + 9), STR("text/html")))
            return true;
    }
    return false;
}

bool web_page(struct web *web, struct http_request *req, const struct web_front *front)
{
    struct str path = http_request_head(req)->path;
    struct http_field fields[WEB_FIELDS_MAX];
    size_t count = web_fields_common(web, front->request_id, STR_NONE, true, fields);
    if (http_is_tls(req))
        fields[count++] =
            (struct http_field){STR("Strict-Transport-Security"), STR("max-age=31536000")};
    if (web->files != NULL) {
        /* net/http says nosniff of every file by itself; it stands second in our fields. */
        fields[1] = fields[--count];
        bool there = http_static_has(web->files, path);
        if (!there && !wants_page(req))
            return false;
        web_log_request(web, front->request_id, "page", 200, front->begun_us, true, "-");
        return http_static_answer(web->files, req, there ? path : STR("/index.html"), fields,
                                  count);
    }
    if (!str_equal(path, STR("/")) && !wants_page(req))
        return false;
    web_log_request(web, front->request_id, "page", 200, front->begun_us, true, "-");
    http_respond(req, &(struct http_answer){.status = 200,
                                            .content_type = STR("text/html; charset=utf-8"),
                                            .fields = fields,
                                            .field_count = count,
                                            .body = {plain_page, sizeof(plain_page) - 1},
                                            .body_stays = true});
    return true;
}
