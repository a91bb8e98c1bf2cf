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
    if (age_ms < OUTBOX_DEGRADED_AGE_MS && stats.sink_dropped_rows == 0)
        return;
    check->health = HEALTH_DEGRADED;
    (void)snprintf(check->why, sizeof(check->why),
                   "%llu rows wait for ClickHouse, the oldest for %lld s; %llu were dropped.",
                   (unsigned long long)stats.outbox_rows, (long long)(age_ms / 1000),
                   (unsigned long long)stats.sink_dropped_rows);
}

static void check_climate(const struct web *web, struct check *check)
{
    struct climate_model_info info = climate_model_info_get(web->climate);
    if (web->options.climate_source == NULL || strcmp(web->options.climate_source, "own") == 0) {
        if (info.version == 0)
            say(check, HEALTH_DEGRADED, "No model could be read; windows are held.");
    } else {
        say(check, HEALTH_OK, "The own model is not asked (--climate).");
    }
}

static const struct {
    const char *name;
    void (*look)(const struct web *web, struct check *check);
} checks[] = {
    {"store", check_store},           {"disk", check_disk},     {"mqtt", check_mqtt},
    {"clickhouse", check_clickhouse}, {"outbox", check_outbox}, {"climate_model", check_climate},
};

static void unready(struct web *web, struct http_request *req, const struct web_front *front,
                    const char *name, const struct check *check)
{
    char detail[240];
    (void)snprintf(detail, sizeof(detail), "%s: %s", name, check->why);
    web_problem_now(
        web, req, front,
        &(struct web_problem){.status = 503,
                              .code = strcmp(name, "store") == 0 ? "store_failed" : "not_ready",
                              .detail = detail});
}

void web_readyz(struct web *web, struct http_request *req, struct web_front *front)
{
    static const char *const names[] = {"ok", "degraded", "failed"};
    struct buf items, body;
    buf_init(&items, 8 * KIB);
    buf_init(&body, 8 * KIB);
    struct json_out out = {&items, ERR_OK}, head = {&body, ERR_OK};
    struct check check;
    enum health worst = HEALTH_OK;
    size_t at = 0;
    out_open(&out, NULL, '[');
    for (; at < ARRAY_COUNT(checks); at++) {
        check = (struct check){HEALTH_OK, ""};
        checks[at].look(web, &check);
        if (check.health == HEALTH_FAILED)
            break;
        out_open(&out, NULL, '{');
        out_word(&out, "name", checks[at].name);
        out_word(&out, "status", names[check.health]);
        if (check.why[0] != 0)
            out_word(&out, "why", check.why);
        else
            out_null(&out, "why");
        out_close(&out, '}');
        worst = check.health > worst ? check.health : worst;
    }
    out_close(&out, ']');
    out_open(&head, NULL, '{');
    out_word(&head, "status", worst == HEALTH_OK ? "ready" : "degraded");
    out_raw(&head, "checks", buf_str(&items), "[]");
    out_close(&head, '}');
    if (web->stopping)
        web_problem_now(web, req, front,
                        &(struct web_problem){.status = 503,
                                              .code = "stopping",
                                              .detail = "The server is shutting down."});
    else if (at < ARRAY_COUNT(checks))
        unready(web, req, front, checks[at].name, &check);
    else
        answer_now(web, req, front, 200, buf_str(&body));
    buf_finish(&items);
    buf_finish(&body);
}
