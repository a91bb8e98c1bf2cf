/* The room: made, stopped, destroyed; what the rooms below tell it. */
#include "web/front_int.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static void on_stop(void *cookie)
{
    struct web *web = cookie;
    web->stopping = true;
    web_parking_answer_all(web);
    web_asks_stop(web);
    web_hub_stop(web->hub);
}

static void session_gone(void *cookie, enum access_via via, int64_t credential_id)
{
    struct web *web = cookie;
    web_hub_session_gone(web->hub, via, credential_id);
    if (via == ACCESS_VIA_TOKEN)
        broker_revoke(web->broker, STR_NONE, web_credential_of_token(credential_id));
}

/* Climate asks for those that are windows, are let in, and are here. */
static void window_follow(struct web *web, const struct fleet_machine *machine,
                          enum fleet_change change)
{
    struct climate_window window;
    struct str machine_id = str_from(machine->machine_id);
    bool wanted = change != FLEET_CHANGED_REMOVED && machine->admission == FLEET_ADMITTED &&
                  strcmp(machine->kind, "window") == 0;
    bool there = climate_window_get(web->climate, machine_id, &window);
    if (there && !wanted) {
        climate_window_remove(web->climate, machine_id);
    } else if (wanted && !there) {
        enum err err = climate_window_add(web->climate, machine_id);
        if (err != ERR_OK)
            log_line(LOG_WARN, "window_not_followed", "machine_id", "%s", machine->machine_id,
                     "err", "%s", err_name(err), NULL);
    }
}

static void windows_follow(struct web *web)
{
    const struct fleet_machine *machine = fleet_next(web->fleet, STR(""));
    for (; machine != NULL; machine = fleet_next(web->fleet, str_from(machine->machine_id)))
        window_follow(web, machine, FLEET_CHANGED_RECORD);
}

static void fleet_changed(void *cookie, const struct fleet_machine *machine,
                          enum fleet_change change)
{
    struct web *web = cookie;
    if (change != FLEET_CHANGED_REMOVED)
        web_hub_machine(web->hub, str_from(machine->machine_id));
    if (change == FLEET_CHANGED_RECORD)
        web_hub_records(web->hub);
    if (change == FLEET_CHANGED_PROGRESS) {
        if (strcmp(machine->kind, "window") == 0)
            web_air_climate(web->air, str_from(machine->machine_id)); /* where it stands */
        return;
    }
    web_registry_changed(web->registry, machine);
    window_follow(web, machine, change);
    if (change != FLEET_CHANGED_RECORD)
        return;
    web_announced_decided(web, machine);
    web_road_changed(web, machine);
}

static void device_token_gone(void *cookie, const char *machine_id, int64_t token_id)
{
    struct web *web = cookie;
    web_parking_answer_machine(web, str_from(machine_id)); /* who has a good one asks again */
    broker_revoke(web->broker, STR_NONE, token_id);
}

void web_command_changed(void *cookie, const struct queue_change *change)
{
    struct web *web = cookie;
    web_hub_command(web->hub, change->command);
    web_hub_machine(web->hub, change->command->machine_id);
    web_hub_records(web->hub);
    web_road_command(web, change);
    if (str_equal(change->command->command, STR("set_position")))
        web_air_climate(web->air, change->command->machine_id); /* its target, its position */
}

void web_machine_changed(void *cookie, struct str machine_id)
{
    struct web *web = cookie;
    web_hub_machine(web->hub, machine_id);
    web_hub_records(web->hub);
    web_road_look(web, machine_id);
}

/* ---- readings and windows ---- */

/* Climate heard of the reading before us, in this same turn of the loop. */
static bool led_to_question(struct web *web, struct str machine_id)
{
    struct climate_window window;
    return climate_window_get(web->climate, machine_id, &window) &&
           window.asked_at_ms == web_now_ms(web);
}

static void reading_stored(void *cookie, struct str machine_id,
                           const struct telemetry_reading *readings, uint32_t count,
                           const char *request_id)
{
    struct web *web = cookie;
    (void)readings;
    web_air_reading(web->air, machine_id);
    char id[FLEET_ID_BYTES];
    if (request_id != NULL && str_copy(id, sizeof(id), machine_id) == ERR_OK)
        log_line(led_to_question(web, machine_id) ? LOG_INFO : LOG_DEBUG, "reading", "request_id",
                 "%s", request_id, "machine_id", "%s", id, "count", "%u", count, NULL);
}

static void window_changed(void *cookie, struct str machine_id)
{
    struct web *web = cookie;
    web_air_climate(web->air, machine_id);
}

void web_mqtt_listening(struct web *web, const char *address)
{
    web->mqtt_address = address;
}

void web_tick(struct web *web)
{
    web_announced_tick(web);
    web_roads_tick(web);
    web_controls_tick(web);
    web_registry_tick(web->registry);
    web_health_tick(web);
    if (web->barista != NULL)
        barista_tick(web->barista, web_now_ms(web));
}

/* ---- made, stopped, destroyed ---- */

static enum err openapi_load(struct web *web, const char *path)
{
    if (path == NULL || !path_exists(path))
        return ERR_OK;
    enum err err = file_read(path, 2 * MIB, &web->openapi);
    if (err != ERR_OK)
        return err;
    uint8_t hash[crypto_generichash_BYTES_MIN];
    char hex[2 * sizeof(hash) + 1];
    (void)crypto_generichash(hash, sizeof(hash), (const uint8_t *)web->openapi.at, web->openapi.len,
                             NULL, 0);
    hex_encode(hex, hash, sizeof(hash));
    (void)snprintf(web->openapi_etag, sizeof(web->openapi_etag), "\"%s\"", hex);
    return ERR_OK;
}

static enum err listen_start(struct web *web)
{
    struct http_options options = {
        .listen = web->options.listen,
        .handler = {.on_head = web_on_head, .on_request = web_on_request, .on_stop = on_stop},
        .cookie = web,
        .connections_max = web->options.connections_max,
        .per_address_max = web->options.per_address_max,
        .body_bytes_max = WEB_BODY_BYTES_MAX,
        .filter = web->options.filter,
        .filter_context = web->options.filter_context,
    };
    return http_server_create(web->loop, &options, &web->server);
}

static enum err web_init(struct web *web)
{
    uint8_t salt[8];
    enum err err = sys_random_id(&web->server_id);
    if (err == ERR_OK)
        err = sys_random(salt, sizeof(salt));
    if (err != ERR_OK)
        return err;
    memcpy(&web->request_salt, salt, sizeof(salt));
    buf_init(&web->openapi, 2 * MIB);
    web->empty = json_object();
    if (web->empty == NULL)
        return ERR_NOMEM;
    metrics_histogram_init(&web->metrics.request_s, metrics_latency_s, metrics_latency_s_count);
    metrics_histogram_init(&web->metrics.lm_first_s, metrics_latency_s, metrics_latency_s_count);
    metrics_histogram_init(&web->metrics.lm_answer_s, metrics_latency_s, metrics_latency_s_count);
    err = web_parking_init(web);
    if (err == ERR_OK)
        err = web_hub_create(web, &web->hub);
    if (err == ERR_OK)
        err = web_air_create(web, &web->air);
    if (err == ERR_OK)
        err = web_roads_init(web);
    if (err == ERR_OK)
        err = web_registry_create(web, &web->registry);
    if (err == ERR_OK)
        err = telemetry_watch(web->telemetry, reading_stored, web);
    if (err == ERR_OK)
        err = openapi_load(web, web->options.openapi_path);
    if (err == ERR_OK && web->options.ui_dir != NULL)
        err = http_static_load(web->options.ui_dir, NULL, &web->files);
    if (err != ERR_OK)
        return err;
    access_watch(web->access, session_gone, web);
    fleet_watch(web->fleet, fleet_changed, web);
    fleet_watch_tokens(web->fleet, device_token_gone, web);
    climate_watch(web->climate, window_changed, web);
    windows_follow(web);
    err = listen_start(web);
    if (err == ERR_OK && web->options.door != NULL)
        web->options.door->web = web;
    return err;
}

enum err web_create(const struct web_options *options, struct web **ret_web)
{
    struct web *web = mem_zalloc(sizeof(*web));
    if (web == NULL)
        return ERR_NOMEM;
    web->options = *options;
    web->loop = options->loop;
    web->store = options->store;
    web->access = options->access;
    web->fleet = options->fleet;
    web->queue = options->queue;
    web->broker = options->broker;
    web->telemetry = options->telemetry;
    web->climate = options->climate;
    web->barista = options->barista;
    web->started_mono_ms = loop_now_ms(options->loop);
    enum err err = web_init(web);
    if (err != ERR_OK) {
        web_destroy(web);
        return err;
    }
    *ret_web = web;
    return ERR_OK;
}

uint16_t web_port(const struct web *web)
{
    return http_server_port(web->server);
}

/* Calls whose client left are still on their way through the rooms below: wait for them, too. */
void web_stop_check(struct web *web)
{
    void (*done)(void *cookie) = web->stop_done;
    if (done == NULL || !web->server_stopped || web->calls != NULL)
        return;
    web->stop_done = NULL;
    done(web->stop_cookie);
}

static void server_stopped(void *cookie)
{
    struct web *web = cookie;
    web->server_stopped = true;
    web_stop_check(web);
}

void web_stop(struct web *web, void (*done)(void *cookie), void *cookie)
{
    web->stop_done = done;
    web->stop_cookie = cookie;
    http_server_stop(web->server, server_stopped, web);
}

void web_destroy(struct web *web)
{
    if (web == NULL)
        return;
    http_server_destroy(web->server); /* parked requests are told that nobody is there any more */
    access_watch(web->access, NULL, NULL);
    fleet_watch(web->fleet, NULL, NULL);
    fleet_watch_tokens(web->fleet, NULL, NULL);
    climate_watch(web->climate, NULL, NULL);
    if (web->options.door != NULL)
        web->options.door->web = NULL;
    web_mqtt_ws_finish(web);
    web->stop_done = NULL;
    web_asks_drop(web);
    web_calls_drop(web);
    web_air_destroy(web->air);
    web_hub_destroy(web->hub);
    web_registry_destroy(web->registry);
    web_controls_finish(web);
    web_roads_finish(web);
    web_parking_finish(web);
    http_static_destroy(web->files);
    buf_finish(&web->openapi);
    json_decref(web->empty);
    mem_free(web);
}
