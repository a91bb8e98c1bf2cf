/* The server about itself: kinds, health, metrics, its own description. */
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

static void answer_now(struct web *web, struct http_request *req, const struct web_front *front,
                       struct str content_type, struct str body)
{
    struct http_field fields[WEB_FIELDS_MAX];
    size_t count = web_fields_common(web, front->request_id, STR_NONE, false, fields);
    web_log_request(web, front->request_id, front->match.route->pattern, 200, front->begun_us, true,
                    "-");
    http_respond(req, &(struct http_answer){.status = 200,
                                            .content_type = content_type,
                                            .fields = fields,
                                            .field_count = count,
                                            .body = body});
}

void web_healthz(struct web *web, struct http_request *req, struct web_front *front)
{
    answer_now(web, req, front, STR("application/json"), STR("{\"status\":\"ok\"}"));
}

void web_readyz(struct web *web, struct http_request *req, struct web_front *front)
{
    struct store_stats stats;
    store_stats_get(web->store, &stats);
    if (web->stopping)
        web_problem_now(web, req, front,
                        &(struct web_problem){.status = 503,
                                              .code = "stopping",
                                              .detail = "The server is shutting down."});
    else if (stats.failing)
        web_problem_now(web, req, front,
                        &(struct web_problem){.status = 503,
                                              .code = "store_failed",
                                              .detail = "The last commit failed; is the disk "
                                                        "full?"});
    else
        answer_now(web, req, front, STR("application/json"), STR("{\"status\":\"ready\"}"));
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

/* ---- metrics ---- */

static void number(struct buf *buf, enum err *err, const char *name, const char *type,
                   const char *help, uint64_t value)
{
    if (*err == ERR_OK)
        *err = buf_printf(buf, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", name, help, name, type,
                          name, (unsigned long long)value);
}

static void transitions(struct buf *buf, enum err *err, const struct queue_stats *stats)
{
    if (*err == ERR_OK)
        *err = buf_printf(buf, "# HELP automat_commands_total Commands that came into a state.\n"
                               "# TYPE automat_commands_total counter\n");
    for (int state = 0; *err == ERR_OK && state < QUEUE_STATE_COUNT; state++)
        *err = buf_printf(buf, "automat_commands_total{state=\"%s\"} %llu\n",
                          queue_state_name((enum queue_state)state),
                          (unsigned long long)stats->by_state[state]);
}

static void answers(struct buf *buf, enum err *err, const struct web_metrics *metrics)
{
    if (*err == ERR_OK)
        *err = buf_printf(buf, "# HELP automat_http_answers_total Answers by class of status.\n"
                               "# TYPE automat_http_answers_total counter\n");
    for (int class = 1; *err == ERR_OK && class < 6; class ++)
        *err = buf_printf(buf, "automat_http_answers_total{class=\"%dxx\"} %llu\n", class,
                          (unsigned long long)metrics->by_class[class]);
}

static uint32_t online_count(const struct web *web)
{
    uint32_t count = 0;
    const struct fleet_machine *machine = fleet_next(web->fleet, STR(""));
    for (; machine != NULL; machine = fleet_next(web->fleet, str_from(machine->machine_id)))
        count += machine->online ? 1 : 0;
    return count;
}

void web_metrics_show(struct web_call *call)
{
    struct web *web = call->web;
    struct buf *buf = &call->answer;
    enum err err = ERR_OK;
    struct http_stats http;
    struct store_stats store;
    struct queue_stats queue;
    http_server_stats(web->server, &http);
    store_stats_get(web->store, &store);
    queue_stats_get(web->queue, &queue);
    answers(buf, &err, &web->metrics);
    number(buf, &err, "automat_http_connections", "gauge", "Connections now.", http.connections);
    number(buf, &err, "automat_http_malformed_total", "counter", "Requests that were none.",
           http.malformed);
    number(buf, &err, "automat_polls_parked", "gauge", "Long polls now.", web->parking.count);
    number(buf, &err, "automat_polls_empty_total", "counter", "Polls that found nothing.",
           web->metrics.polls_empty);
    number(buf, &err, "automat_polls_offered_total", "counter", "Polls that found a command.",
           web->metrics.polls_full);
    number(buf, &err, "automat_rate_limited_total", "counter", "Answers of 429.",
           web->metrics.problems_rate);
    number(buf, &err, "automat_unknown_tokens_total", "counter", "Tokens that nobody knows.",
           web->metrics.problems_auth);
    number(buf, &err, "automat_sockets", "gauge", "Browsers that watch.", web_hub_count(web->hub));
    number(buf, &err, "automat_machines", "gauge", "Machines registered.", fleet_count(web->fleet));
    number(buf, &err, "automat_machines_online", "gauge", "Machines heard of lately.",
           online_count(web));
    number(buf, &err, "automat_store_jobs_total", "counter", "Changes handed to the database.",
           store.jobs);
    number(buf, &err, "automat_store_commits_total", "counter", "Transactions.", store.commits);
    number(buf, &err, "automat_store_commit_failures_total", "counter", "Transactions that failed.",
           store.commit_failures);
    number(buf, &err, "automat_store_commit_microseconds_total", "counter", "Time in commits.",
           store.commit_us_total);
    number(buf, &err, "automat_store_waiting", "gauge", "Changes that wait.", store.waiting);
    number(buf, &err, "automat_store_failing", "gauge", "1 after a commit that failed.",
           store.failing ? 1 : 0);
    number(buf, &err, "automat_log_warnings_total", "counter", "Warnings logged.",
           log_count(LOG_WARN));
    number(buf, &err, "automat_log_errors_total", "counter", "Errors logged.",
           log_count(LOG_ERROR));
    transitions(buf, &err, &queue);
    if (err != ERR_OK) {
        web_reply_err(call, err);
        return;
    }
    call->quiet = true;
    web_reply(call, &(struct web_reply){200, STR("text/plain; version=0.0.4; charset=utf-8"),
                                        buf_str(buf), STR_NONE});
}
