/* /metrics: every figure of the server for Prometheus.  Names are a contract with the dashboards
 * and alert rules in deploy/; add to them, do not change them. */
#include "web/routes_int.h"

#include <math.h>
#include <string.h>
#include <sys/resource.h>

#define MACHINES_SHOWN_MAX 1000 /* with a line of their own */

struct showing {
    struct web_call *call;
    struct store_job job;
    uint32_t alerts_open;
    struct metrics_out out;
};

/* ---- short words for a long table ---- */

static void one(struct showing *showing, const char *name, enum metrics_type type, const char *help,
                double value)
{
    metrics_family(&showing->out, name, type, help);
    metrics_sample(&showing->out, name, NULL, 0, value);
}

static void labelled(struct showing *showing, const char *name, const char *label,
                     const char *value, double number)
{
    struct metrics_label pair = {label, str_from(value)};
    metrics_sample(&showing->out, name, &pair, 1, number);
}

static void histogram(struct showing *showing, const char *name, const char *help,
                      const struct metrics_histogram *kept)
{
    metrics_family(&showing->out, name, METRICS_HISTOGRAM, help);
    metrics_histogram_out(&showing->out, name, NULL, 0, kept);
}

/* ---- the doors ---- */

static void show_http(struct showing *showing)
{
    static const char *const classes[] = {"0xx", "1xx", "2xx", "3xx", "4xx", "5xx"};
    const struct web *web = showing->call->web;
    const struct web_metrics *kept = &web->metrics;
    struct http_stats http;
    http_server_stats(web->server, &http);
    metrics_family(&showing->out, "automat_http_answers_total", METRICS_COUNTER,
                   "Answers by class of status.");
    for (size_t class = 1; class < ARRAY_COUNT(classes); class ++)
        labelled(showing, "automat_http_answers_total", "class", classes[class],
                 (double)kept->by_class[class]);
    metrics_family(&showing->out, "automat_http_errors_total", METRICS_COUNTER,
                   "Answers that were refusals (4xx) or failures (5xx).");
    labelled(showing, "automat_http_errors_total", "class", "4xx", (double)kept->by_class[4]);
    labelled(showing, "automat_http_errors_total", "class", "5xx", (double)kept->by_class[5]);
    histogram(showing, "automat_http_request_seconds",
              "Time from a request's head to its answer; waiting polls count from their wake.",
              &kept->request_s);
    one(showing, "automat_http_connections", METRICS_GAUGE, "Connections now.", http.connections);
    one(showing, "automat_http_malformed_total", METRICS_COUNTER, "Requests that were none.",
        (double)http.malformed);
    one(showing, "automat_polls_parked", METRICS_GAUGE, "Long polls now.", web->parking.count);
    one(showing, "automat_polls_empty_total", METRICS_COUNTER, "Polls that found nothing.",
        (double)kept->polls_empty);
    one(showing, "automat_polls_offered_total", METRICS_COUNTER, "Polls that found a command.",
        (double)kept->polls_full);
    one(showing, "automat_rate_limited_total", METRICS_COUNTER, "Answers of 429.",
        (double)kept->problems_rate);
    one(showing, "automat_unknown_tokens_total", METRICS_COUNTER, "Tokens that nobody knows.",
        (double)kept->problems_auth);
    one(showing, "automat_sockets", METRICS_GAUGE, "Browsers that watch.", web_hub_count(web->hub));
}

static void show_mqtt(struct showing *showing)
{
    static const char *const qos[] = {"0", "1", "2"};
    const char *const name = "automat_mqtt_messages_total";
    struct broker_stats broker;
    struct mqtt_server_stats server;
    broker_stats_get(showing->call->web->broker, &broker);
    mqtt_server_stats(broker_server(showing->call->web->broker), &server);
    metrics_family(&showing->out, name, METRICS_COUNTER, "MQTT messages by direction and QoS.");
    for (size_t i = 0; i < ARRAY_COUNT(qos); i++) {
        struct metrics_label in[] = {{"direction", STR_INIT("in")}, {"qos", str_from(qos[i])}};
        struct metrics_label out[] = {{"direction", STR_INIT("out")}, {"qos", str_from(qos[i])}};
        metrics_sample(&showing->out, name, in, 2, (double)broker.messages_in[i]);
        metrics_sample(&showing->out, name, out, 2, (double)broker.messages_out[i]);
    }
    metrics_family(&showing->out, "automat_mqtt_bytes_total", METRICS_COUNTER,
                   "Bytes of MQTT connections by direction.");
    labelled(showing, "automat_mqtt_bytes_total", "direction", "in", (double)server.bytes_in);
    labelled(showing, "automat_mqtt_bytes_total", "direction", "out", (double)server.bytes_out);
    one(showing, "automat_mqtt_connections", METRICS_GAUGE, "MQTT connections now.",
        server.connections);
    one(showing, "automat_mqtt_sessions", METRICS_GAUGE, "MQTT sessions, connected or not.",
        broker.sessions);
    one(showing, "automat_mqtt_subscriptions", METRICS_GAUGE, "Subscriptions of all sessions.",
        broker.subscriptions);
    one(showing, "automat_mqtt_retained", METRICS_GAUGE, "Retained messages.", broker.retained);
    one(showing, "automat_mqtt_pending", METRICS_GAUGE, "Messages handled and not yet stored.",
        broker.pending);
    one(showing, "automat_mqtt_denied_total", METRICS_COUNTER,
        "Publishes, subscriptions and deliveries that rights forbid.", (double)broker.denied);
    one(showing, "automat_mqtt_dropped_total", METRICS_COUNTER,
        "Messages dropped since a queue was full.", (double)broker.dropped);
    one(showing, "automat_mqtt_expired_total", METRICS_COUNTER,
        "Messages that nobody fetched in time.", (double)broker.expired);
    one(showing, "automat_mqtt_duplicates_total", METRICS_COUNTER,
        "Redeliveries that were stored already.", (double)broker.duplicates);
    one(showing, "automat_mqtt_malformed_total", METRICS_COUNTER, "MQTT packets that were none.",
        (double)server.malformed);
    one(showing, "automat_mqtt_bad_payloads_total", METRICS_COUNTER,
        "Messages that are not what their topic carries.", (double)broker.bad_payloads);
    one(showing, "automat_mqtt_refused_connects_total", METRICS_COUNTER,
        "Connections that were not let in.", (double)broker.refused_connects);
    one(showing, "automat_mqtt_unacknowledged_total", METRICS_COUNTER,
        "Messages that could not be stored and were not acknowledged.", (double)broker.later);
}

/* ---- readings ---- */

static void show_telemetry(struct showing *showing, const struct telemetry_stats *stats)
{
    one(showing, "automat_telemetry_messages_total", METRICS_COUNTER, "Messages with readings.",
        (double)stats->messages);
    one(showing, "automat_telemetry_readings_total", METRICS_COUNTER, "Readings stored.",
        (double)stats->readings);
    metrics_family(&showing->out, "automat_telemetry_refused_total", METRICS_COUNTER,
                   "Readings refused, by reason.");
    for (int i = TELEMETRY_ACCEPTED + 1; i < TELEMETRY_REFUSAL_COUNT; i++)
        labelled(showing, "automat_telemetry_refused_total", "reason",
                 telemetry_refusal_code((enum telemetry_refusal)i), (double)stats->refused[i]);
    one(showing, "automat_telemetry_series", METRICS_GAUGE, "Series: a machine and a type.",
        stats->series);
    one(showing, "automat_telemetry_pending", METRICS_GAUGE, "Readings not yet stored.",
        stats->pending);
}

static void show_clickhouse(struct showing *showing, const struct telemetry_stats *stats)
{
    int64_t now_ms = web_now_ms(showing->call->web);
    double age_s =
        stats->outbox_oldest_ms != 0 ? (double)(now_ms - stats->outbox_oldest_ms) / 1000 : 0;
    one(showing, "automat_clickhouse_up", METRICS_GAUGE,
        "1 while ClickHouse takes rows; 0 also when none is configured.", stats->sink_up ? 1 : 0);
    one(showing, "automat_clickhouse_configured", METRICS_GAUGE, "1 when there shall be one.",
        stats->sink_configured ? 1 : 0);
    one(showing, "automat_clickhouse_rows_total", METRICS_COUNTER, "Rows that ClickHouse took.",
        (double)stats->sink_rows);
    one(showing, "automat_clickhouse_batches_total", METRICS_COUNTER, "Batches that it took.",
        (double)stats->sink_batches);
    one(showing, "automat_clickhouse_retries_total", METRICS_COUNTER, "Batches sent again.",
        (double)stats->sink_retries);
    one(showing, "automat_clickhouse_dropped_rows_total", METRICS_COUNTER,
        "Rows that gave way since the outbox was full.", (double)stats->sink_dropped_rows);
    one(showing, "automat_clickhouse_outbox_rows", METRICS_GAUGE, "Rows that wait.",
        (double)stats->outbox_rows);
    one(showing, "automat_clickhouse_outbox_bytes", METRICS_GAUGE, "Bytes that wait.",
        (double)stats->outbox_bytes);
    one(showing, "automat_clickhouse_outbox_age_seconds", METRICS_GAUGE, "Age of the oldest row.",
        age_s > 0 ? age_s : 0);
}

/* ---- rooms ---- */

static void show_climate(struct showing *showing)
{
    const struct web *web = showing->call->web;
    const struct climate_stats *stats = climate_stats_get(web->climate);
    struct climate_model_info info = climate_model_info_get(web->climate);
    const struct {
        const char *decision;
        uint64_t count;
    } decisions[] = {
        {"commanded", stats->commands},      {"held_low_confidence", stats->held_low_confidence},
        {"held_manual", stats->held_manual}, {"no_change", stats->no_change},
        {"no_answer", stats->no_answer},     {"missing_values", stats->missing_values},
        {"refused", stats->refused}};
    one(showing, "automat_climate_requests_total", METRICS_COUNTER, "Questions to a model.",
        (double)stats->requests);
    metrics_family(&showing->out, "automat_climate_answers_total", METRICS_COUNTER,
                   "Answers by who gave them.");
    labelled(showing, "automat_climate_answers_total", "source", "own",
             (double)(stats->answers - stats->answers_external));
    labelled(showing, "automat_climate_answers_total", "source", "external",
             (double)stats->answers_external);
    metrics_family(&showing->out, "automat_climate_decisions_total", METRICS_COUNTER,
                   "What became of questions.");
    for (size_t i = 0; i < ARRAY_COUNT(decisions); i++)
        labelled(showing, "automat_climate_decisions_total", "decision", decisions[i].decision,
                 (double)decisions[i].count);
    histogram(showing, "automat_climate_latency_seconds", "From a question to its answer.",
              &stats->latency_s);
    histogram(showing, "automat_climate_confidence", "Confidence of answers, 0 to 1.",
              &stats->confidence);
    histogram(showing, "automat_sensor_to_command_seconds",
              "From the reading that made a question due to the command on disk.",
              &stats->sensor_to_command_s);
    one(showing, "automat_climate_samples_people_total", METRICS_COUNTER,
        "Settings by hand that were learned from, since the start.", (double)stats->samples_people);
    one(showing, "automat_climate_model_version", METRICS_GAUGE, "0: there is none.",
        (double)info.version);
    metrics_family(&showing->out, "automat_climate_model_error_percent", METRICS_GAUGE,
                   "Mean distance to the last 50 settings by hand.  NaN: none yet.");
    metrics_sample(&showing->out, "automat_climate_model_error_percent", NULL, 0, info.error_pct);
}

/* ---- the assistant ---- */

static void show_assistant(struct showing *showing)
{
    const struct web *web = showing->call->web;
    if (web->barista == NULL)
        return;
    struct barista_stats stats = barista_stats_get(web->barista);
    one(showing, "automat_lm_requests_total", METRICS_COUNTER, "Questions to a language model.",
        (double)stats.load.requests);
    one(showing, "automat_lm_refused_total", METRICS_COUNTER,
        "Questions that found the queue full.", (double)stats.refused);
    one(showing, "automat_lm_cancelled_total", METRICS_COUNTER,
        "Questions whose client left before the end.", (double)stats.cancelled);
    metrics_family(&showing->out, "automat_lm_tokens_total", METRICS_COUNTER,
                   "Tokens read from prompts, found in the prompt cache, and made.");
    labelled(showing, "automat_lm_tokens_total", "kind", "read", (double)stats.load.ids_read);
    labelled(showing, "automat_lm_tokens_total", "kind", "cached", (double)stats.load.ids_cached);
    labelled(showing, "automat_lm_tokens_total", "kind", "made", (double)stats.load.ids_made);
    one(showing, "automat_lm_waiting", METRICS_GAUGE, "Questions in the queue.",
        stats.load.waiting);
    one(showing, "automat_lm_running", METRICS_GAUGE, "Questions being answered.",
        stats.load.running);
    one(showing, "automat_lm_models", METRICS_GAUGE, "Models that are trained and loaded.",
        stats.models);
    one(showing, "automat_lm_training", METRICS_GAUGE, "1 while a training job runs.",
        stats.training ? 1 : 0);
    histogram(showing, "automat_lm_first_seconds", "From a question to its first word.",
              &web->metrics.lm_first_s);
    histogram(showing, "automat_lm_answer_seconds", "From a question to the end of its answer.",
              &web->metrics.lm_answer_s);
}

/* ---- machines ---- */

static void show_machines(struct showing *showing)
{
    enum { ONLINE, OFFLINE, INACTIVE, WAITING, BLOCKED, STATES };
    static const char *const names[STATES] = {"online", "offline", "inactive", "waiting",
                                              "blocked"};
    const struct web *web = showing->call->web;
    uint32_t count[STATES] = {0};
    const struct fleet_machine *machine = fleet_next(web->fleet, STR(""));
    for (; machine != NULL; machine = fleet_next(web->fleet, str_from(machine->machine_id))) {
        bool heard = machine->last_seen_at_ms != 0;
        if (machine->admission != FLEET_ADMITTED)
            count[machine->admission == FLEET_WAITING ? WAITING : BLOCKED]++;
        else
            count[machine->online ? ONLINE : heard && !machine->active ? INACTIVE : OFFLINE]++;
    }
    metrics_family(&showing->out, "automat_machines", METRICS_GAUGE,
                   "Machines by state; each is in one.");
    for (int i = 0; i < STATES; i++)
        labelled(showing, "automat_machines", "state", names[i], count[i]);
    one(showing, "automat_machines_online", METRICS_GAUGE, "Machines heard of lately.",
        count[ONLINE]);
}

static void show_last_seen(struct showing *showing)
{
    const char *const name = "automat_machine_last_seen_seconds";
    const struct web *web = showing->call->web;
    int64_t now_ms = web_now_ms(web);
    uint32_t shown = 0;
    metrics_family(&showing->out, name, METRICS_GAUGE,
                   "Seconds since a machine was last heard of; none for who never was.");
    const struct fleet_machine *machine = fleet_next(web->fleet, STR(""));
    for (; machine != NULL && shown < MACHINES_SHOWN_MAX;
         machine = fleet_next(web->fleet, str_from(machine->machine_id))) {
        if (machine->last_seen_at_ms == 0)
            continue;
        int64_t age_ms = machine->parked > 0 ? 0 : now_ms - machine->last_seen_at_ms;
        labelled(showing, name, "machine", machine->machine_id, (double)age_ms / 1000);
        shown++;
    }
}

static void show_commands(struct showing *showing)
{
    struct queue_stats queue;
    queue_stats_get(showing->call->web->queue, &queue);
    metrics_family(&showing->out, "automat_commands_total", METRICS_COUNTER,
                   "Commands that came into a state.");
    for (int state = 0; state < QUEUE_STATE_COUNT; state++)
        labelled(showing, "automat_commands_total", "state",
                 queue_state_name((enum queue_state)state), (double)queue.by_state[state]);
}

/* ---- the ground ---- */

static void show_store(struct showing *showing)
{
    struct store_stats store;
    store_stats_get(showing->call->web->store, &store);
    one(showing, "automat_store_jobs_total", METRICS_COUNTER, "Changes handed to the database.",
        (double)store.jobs);
    one(showing, "automat_store_commits_total", METRICS_COUNTER, "Transactions.",
        (double)store.commits);
    one(showing, "automat_store_commit_failures_total", METRICS_COUNTER,
        "Transactions that failed.", (double)store.commit_failures);
    one(showing, "automat_store_commit_seconds_total", METRICS_COUNTER, "Time in commits.",
        (double)store.commit_us_total / 1e6);
    one(showing, "automat_store_waiting", METRICS_GAUGE, "Changes that wait.", store.waiting);
    one(showing, "automat_store_failing", METRICS_GAUGE, "1 after a commit that failed.",
        store.failing ? 1 : 0);
}

/* Under the names every program uses, so that ready-made panels find them. */
static void show_process(struct showing *showing)
{
    struct rusage used;
    if (getrusage(RUSAGE_SELF, &used) != 0)
        return;
    one(showing, "process_cpu_seconds_total", METRICS_COUNTER, "Processor time, user and system.",
        (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
            (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
}

static void show_records(struct showing *showing)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    metrics_family(&showing->out, "automat_log_lines_total", METRICS_COUNTER,
                   "Lines logged, by level.");
    for (int level = LOG_DEBUG; level <= LOG_ERROR; level++)
        labelled(showing, "automat_log_lines_total", "level", levels[level],
                 (double)log_count((enum log_level)level));
    one(showing, "automat_log_warnings_total", METRICS_COUNTER, "Warnings logged.",
        (double)log_count(LOG_WARN));
    one(showing, "automat_log_errors_total", METRICS_COUNTER, "Errors logged.",
        (double)log_count(LOG_ERROR));
    one(showing, "automat_alerts_open", METRICS_GAUGE,
        "Alerts that nobody resolved (1,000 at most).", showing->alerts_open);
    one(showing, "automat_uptime_seconds", METRICS_GAUGE, "Since the server listens.",
        (double)(web_mono_ms(showing->call->web) - showing->call->web->started_mono_ms) / 1000);
}

static enum err alerts_run(struct store_job *job, struct store_db *db)
{
    struct showing *showing =
        (struct showing *)(void *)((char *)job - offsetof(struct showing, job));
    struct record_alert *alerts = NULL;
    size_t count = 0;
    struct arena scratch;
    arena_init(&scratch, 4 * MIB);
    enum err err = record_alert_list(db, true, 0, RECORD_LIST_MAX, &scratch, &alerts, &count);
    arena_finish(&scratch);
    showing->alerts_open = (uint32_t)count;
    return err;
}

static void alerts_done(struct store_job *job, enum err err)
{
    struct showing *showing =
        (struct showing *)(void *)((char *)job - offsetof(struct showing, job));
    struct web_call *call = showing->call;
    struct telemetry_stats telemetry;
    if (err != ERR_OK)
        showing->alerts_open = 0; /* a store in trouble says so in its own figures */
    telemetry_stats_get(call->web->telemetry, &telemetry);
    show_process(showing);
    show_http(showing);
    show_mqtt(showing);
    show_telemetry(showing, &telemetry);
    show_clickhouse(showing, &telemetry);
    show_climate(showing);
    show_assistant(showing);
    show_machines(showing);
    show_last_seen(showing);
    show_commands(showing);
    show_store(showing);
    show_records(showing);
    if (showing->out.err != ERR_OK) {
        web_reply_err(call, showing->out.err);
        return;
    }
    call->quiet = true;
    web_reply(call, &(struct web_reply){200, STR("text/plain; version=0.0.4; charset=utf-8"),
                                        buf_str(&call->answer), STR_NONE});
}

void web_metrics_show(struct web_call *call)
{
    struct showing *showing = arena_alloc(&call->scratch, sizeof(*showing));
    if (showing == NULL) {
        web_reply_err(call, ERR_NOMEM);
        return;
    }
    showing->call = call;
    showing->out = (struct metrics_out){&call->answer, ERR_OK};
    showing->job = (struct store_job){.run = alerts_run, .done = alerts_done};
    if (store_read(call->web->store, &showing->job) != ERR_OK)
        alerts_done(&showing->job, ERR_IO);
}
