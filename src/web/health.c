/* Is it alive, and can it serve?  /healthz: the loop turns.  /readyz: each thing that serving
 * stands on, with the reason where one does not hold.  `failed` takes the server out of service
 * (503); `degraded` is for what it can do without for a while. */
#include "web/routes_int.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#define DISK_FAILED_BYTES      (32 * MIB)
#define DISK_DEGRADED_BYTES    (512 * MIB)
#define OUTBOX_DEGRADED_AGE_MS 60000
#define REMEMBERED_MS          (60 * 60 * 1000) /* what happened before is history */

enum health { HEALTH_OK, HEALTH_DEGRADED, HEALTH_FAILED };

struct check {
    enum health health;
    char why[200];
};

static void answer_now(struct web *web, struct http_request *req, const struct web_front *front,
                       uint16_t status, struct str body)
{
    struct http_field fields[WEB_FIELDS_MAX];
    size_t count = web_fields_common(web, front->request_id, STR_NONE, false, fields);
    web_log_request(web, front->request_id, front->match.route->pattern, status, front->begun_us,
                    true, "-");
    http_respond(req, &(struct http_answer){.status = status,
                                            .content_type = STR("application/json"),
                                            .fields = fields,
                                            .field_count = count,
                                            .body = body});
}

void web_healthz(struct web *web, struct http_request *req, struct web_front *front)
{
    answer_now(web, req, front, 200, STR("{\"status\":\"ok\"}"));
}

static void say(struct check *check, enum health health, const char *why)
{
    check->health = health;
    (void)snprintf(check->why, sizeof(check->why), "%s", why);
}

/* Counters only grow: when they did is what a check asks. */
void web_health_tick(struct web *web)
{
    struct web_health *health = &web->health;
    const struct climate_stats *climate = climate_stats_get(web->climate);
    struct telemetry_stats telemetry;
    telemetry_stats_get(web->telemetry, &telemetry);
    if (telemetry.sink_dropped_rows != health->dropped_rows)
        health->dropped_mono_ms = web_mono_ms(web);
    health->dropped_rows = telemetry.sink_dropped_rows;
    if (climate->no_answer != health->unanswered) {
        health->unanswered_mono_ms = web_mono_ms(web);
        health->unanswered_in_row += climate->no_answer - health->unanswered;
    }
    health->unanswered = climate->no_answer;
    if (climate->answers_external != health->answers)
        health->unanswered_in_row = 0;
    health->answers = climate->answers_external;
}

static bool lately(const struct web *web, int64_t mono_ms)
{
    return mono_ms != 0 && web_mono_ms(web) - mono_ms < REMEMBERED_MS;
}

static void check_store(const struct web *web, struct check *check)
{
    struct store_stats stats;
    store_stats_get(web->store, &stats);
    if (stats.failing)
        say(check, HEALTH_FAILED, "The last commit failed; is the disk full?");
}

static void check_disk(const struct web *web, struct check *check)
{
    struct statvfs disk;
    if (web->options.data_dir == NULL || statvfs(web->options.data_dir, &disk) != 0)
        return;
    uint64_t left = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (left >= DISK_DEGRADED_BYTES)
        return;
    check->health = left < DISK_FAILED_BYTES ? HEALTH_FAILED : HEALTH_DEGRADED;
    (void)snprintf(check->why, sizeof(check->why), "The disk of the data folder has %llu MiB left.",
                   (unsigned long long)(left / MIB));
}

static void check_mqtt(const struct web *web, struct check *check)
{
    if (web->mqtt_address == NULL)
        say(check, HEALTH_OK, "Not listened to on a port of its own (--mqtt off).");
}

static void check_clickhouse(const struct web *web, struct check *check)
{
    struct telemetry_stats stats;
    telemetry_stats_get(web->telemetry, &stats);
    if (!stats.sink_configured)
        say(check, HEALTH_OK, "None is configured.");
    else if (!stats.sink_up)
        say(check, HEALTH_DEGRADED,
            stats.sink_why[0] != 0 ? stats.sink_why : "It does not answer.");
}

static void check_outbox(const struct web *web, struct check *check)
{
    struct telemetry_stats stats;
    telemetry_stats_get(web->telemetry, &stats);
    int64_t age_ms =
        stats.outbox_oldest_ms != 0 ? loop_wall_ms(web->loop) - stats.outbox_oldest_ms : 0;
    if (age_ms < OUTBOX_DEGRADED_AGE_MS && !lately(web, web->health.dropped_mono_ms))
        return;
    check->health = HEALTH_DEGRADED;
    (void)snprintf(
        check->why, sizeof(check->why),
        "%llu rows wait for ClickHouse, the oldest for %lld s; %llu were dropped since the start.",
        (unsigned long long)stats.outbox_rows, (long long)(age_ms / 1000),
        (unsigned long long)stats.sink_dropped_rows);
}

static void check_climate(const struct web *web, struct check *check)
{
    const char *source = web->options.climate_source;
    if (source == NULL || strcmp(source, "own") == 0) {
        if (climate_model_info_get(web->climate).version == 0)
            say(check, HEALTH_DEGRADED, "No model could be read; windows are held.");
    } else if (strcmp(source, "external") != 0) {
        say(check, HEALTH_OK, "Nobody is asked (--climate off).");
    } else if (web->health.unanswered_in_row > 0 && lately(web, web->health.unanswered_mono_ms)) {
        check->health = HEALTH_DEGRADED;
        (void)snprintf(check->why, sizeof(check->why),
                       "The service on MQTT did not answer the last %llu questions.",
                       (unsigned long long)web->health.unanswered_in_row);
    } else {
        say(check, HEALTH_OK, "A service on MQTT answers (--climate external).");
    }
}

static const struct {
    const char *name;
    void (*look)(const struct web *web, struct check *check);
} checks[] = {
    {"store", check_store},           {"disk", check_disk},     {"mqtt", check_mqtt},
    {"clickhouse", check_clickhouse}, {"outbox", check_outbox}, {"climate_model", check_climate},
};

/* Every one of them, also behind one that failed.  The worst; of several the first. */
static enum health look_at_all(struct web *web, struct json_out *out, const char **ret_name,
                               struct check *ret_worst)
{
    static const char *const words[] = {"ok", "degraded", "failed"};
    *ret_worst = (struct check){HEALTH_OK, ""};
    *ret_name = "";
    web_health_tick(web);
    out_open(out, NULL, '[');
    for (size_t i = 0; i < ARRAY_COUNT(checks); i++) {
        struct check check = {HEALTH_OK, ""};
        checks[i].look(web, &check);
        out_open(out, NULL, '{');
        out_word(out, "name", checks[i].name);
        out_word(out, "status", words[check.health]);
        if (check.why[0] != 0)
            out_word(out, "why", check.why);
        else
            out_null(out, "why");
        out_close(out, '}');
        if (check.health > ret_worst->health) {
            *ret_worst = check;
            *ret_name = checks[i].name;
        }
    }
    out_close(out, ']');
    return ret_worst->health;
}

static void unready(struct web *web, struct http_request *req, const struct web_front *front,
                    const char *name, const struct check *check, struct str items)
{
    char detail[240];
    (void)snprintf(detail, sizeof(detail), "%s: %s", name, check->why);
    web_problem_now(
        web, req, front,
        &(struct web_problem){.status = 503,
                              .code = strcmp(name, "store") == 0 ? "store_failed" : "not_ready",
                              .detail = detail,
                              .checks = items});
}

void web_readyz(struct web *web, struct http_request *req, struct web_front *front)
{
    struct buf items, body;
    buf_init(&items, 8 * KIB);
    buf_init(&body, 8 * KIB);
    struct json_out out = {&items, ERR_OK}, head = {&body, ERR_OK};
    struct check check;
    const char *name;
    enum health worst = look_at_all(web, &out, &name, &check);
    out_open(&head, NULL, '{');
    out_word(&head, "status", worst == HEALTH_OK ? "ready" : "degraded");
    out_raw(&head, "checks", buf_str(&items), "[]");
    out_close(&head, '}');
    if (web->stopping)
        web_problem_now(web, req, front,
                        &(struct web_problem){.status = 503,
                                              .code = "stopping",
                                              .detail = "The server is shutting down."});
    else if (worst == HEALTH_FAILED)
        unready(web, req, front, name, &check, buf_str(&items));
    else
        answer_now(web, req, front, 200, buf_str(&body));
    buf_finish(&items);
    buf_finish(&body);
}
