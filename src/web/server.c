/* The server about itself: kinds, its own description. */
#include "web/routes_int.h"

void web_kind_list(struct web_call *call)
{
    struct json_out *out = &call->out;
    out_open(out, NULL, '{');
    out_open(out, "items", '[');
    for (const struct kinds_kind *const *kind = kinds_all(); *kind != NULL; kind++) {
        json_t *about = kinds_describe(*kind);
        struct str text = web_json_text(call, about);
        json_decref(about);
        if (text.at == NULL) {
            web_reply_err(call, ERR_NOMEM);
            return;
        }
        out_raw(out, NULL, text, "null");
    }
    out_close(out, ']');
    out_null(out, "next");
    out_close(out, '}');
    web_reply_json(call, 200);
}

void web_openapi(struct web *web, struct http_request *req, struct web_front *front)
{
    if (web->openapi.len == 0) {
        web_problem_now(web, req, front,
                        &(struct web_problem){.status = 404,
                                              .code = "not_found",
                                              .detail = "This server was started without it."});
        return;
    }
    struct str etag = str_from(web->openapi_etag);
    bool same = http_etag_match(http_header(req, STR("If-None-Match")), etag);
    struct http_field fields[] = {{STR("X-Request-Id"), str_from(front->request_id)},
                                  {STR("ETag"), etag},
                                  {STR("Cache-Control"), STR("no-cache")},
                                  {STR("X-Content-Type-Options"), STR("nosniff")}};
    uint16_t status = same ? 304 : 200;
    web_log_request(web, front->request_id, front->match.route->pattern, status, front->begun_us,
                    true, "-");
    http_respond(req, &(struct http_answer){.status = status,
                                            .content_type = STR("application/yaml"),
                                            .fields = fields,
                                            .field_count = ARRAY_COUNT(fields),
                                            .body = same ? STR_NONE : buf_str(&web->openapi),
                                            .body_stays = true});
}
