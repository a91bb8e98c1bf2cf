/* automat serve: options, then the rooms from low to high, then the loop, then down again. */
#include "app/app.h"
#include "app/demo.h"
#include "app/places.h"
#include "app/rooms.h"
#include "net/tls/tls.h"
#include "web/web.h"

#include <signal.h>
#include <string.h>

#define BEAT_MS      1000 /* time passes at least so often: deadlines, presence, the demo's twins */
#define TIME_STEP_MS 250  /* the wall clock was set forward by more */
#define SLOW_BEAT_MS 60000 /* sessions that ran out, links, the kept time */

struct serve {
    const struct options *options;
    struct rooms rooms;
    struct tls_context *tls, *mqtt_tls; /* one certificate, two protocols */
    struct barista *barista;
    struct web *web;
    struct web_door door;
    struct demo *demo;
    struct loop_timer *beat;
    int64_t slow_due_ms;
    int64_t kept_ahead_ms; /* server time less monotonic time, as kept last */
    char host[256];
    char origin[32][128]; /* --cors-origin, taken apart */
    const char *origins[33];
    char ui[512], openapi[512], model[512], models[512], corpus[512];
    char mqtt[280]; /* where it is served, "": nowhere */
    bool stopping, stopped, web_stopped, broker_stopped;
};

/* ---- what the queue tells ---- */

static void beat_soon(struct serve *serve)
{
    /* A change may bring a deadline nearer than the next beat. */
    if (serve->beat != NULL && !serve->stopped)
        loop_timer_set(serve->beat, loop_now_ms(serve->rooms.loop) + 100);
}

static void command_changed(void *cookie, const struct queue_change *change)
{
    struct serve *serve = cookie;
    char machine_id[ID_BYTES_MAX + 1], request_id[80];
    bool news = change->created || change->old_state != change->command->state;
    if (str_copy(request_id, sizeof(request_id), change->command->request_id) != ERR_OK)
        request_id[0] = 0;
    if (str_copy(machine_id, sizeof(machine_id), change->command->machine_id) == ERR_OK)
        log_line(news ? LOG_INFO : LOG_DEBUG, "command", "command_id", "%llu",
                 (unsigned long long)change->command->command_id, "machine_id", "%s", machine_id,
                 "state", "%s", queue_state_name(change->command->state), "request_id", "%s",
                 request_id, NULL);
    if (serve->rooms.climate != NULL)
        climate_command_changed(serve->rooms.climate, change);
    if (serve->web != NULL)
        web_command_changed(serve->web, change);
    beat_soon(serve);
}

static void machine_changed(void *cookie, struct str machine_id)
{
    struct serve *serve = cookie;
    if (serve->web != NULL)
        web_machine_changed(serve->web, machine_id);
}

/* ---- time ---- */

static void beat(void *cookie)
{
    struct serve *serve = cookie;
    struct rooms *rooms = &serve->rooms;
    int64_t now_ms = loop_now_ms(rooms->loop), wall_ms = loop_wall_ms(rooms->loop);
    int64_t next_ms = queue_tick(rooms->queue);
    fleet_sweep(rooms->fleet, wall_ms, now_ms);
    broker_tick(rooms->broker, wall_ms, now_ms);
    telemetry_tick(rooms->telemetry, now_ms);
    int64_t climate_ms = climate_tick(rooms->climate, now_ms);
    next_ms = climate_ms < next_ms ? climate_ms : next_ms;
    web_tick(serve->web);
    demo_beat(serve->demo, now_ms);
    /* Server time that followed the wall clock forward must survive a crash: a deadline was
     * measured by it. */
    int64_t mono_ms = sys_mono_ms(), ahead_ms = wall_ms - mono_ms;
    if (now_ms >= serve->slow_due_ms || ahead_ms > serve->kept_ahead_ms + TIME_STEP_MS) {
        enum err err = sys_time_keep(rooms->time_path, mono_ms, wall_ms);
        if (err != ERR_OK)
            log_line(LOG_WARN, "time_not_kept", "err", "%s", err_name(err), NULL);
        serve->kept_ahead_ms = ahead_ms;
    }
    if (now_ms >= serve->slow_due_ms) {
        serve->slow_due_ms = now_ms + SLOW_BEAT_MS;
        access_sweep(rooms->access, wall_ms);
    }
    if (next_ms > now_ms + BEAT_MS)
        next_ms = now_ms + BEAT_MS;
    if (next_ms <= now_ms)
        next_ms = now_ms + 10; /* what is due is on its way to the disk */
    loop_timer_set(serve->beat, next_ms);
}

/* ---- signals ---- */

static void both_stopped(struct serve *serve)
{
    if (!serve->web_stopped || !serve->broker_stopped)
        return;
    serve->stopped = true;
    loop_timer_clear(serve->beat);
    loop_stop(serve->rooms.loop);
}

static void web_stopped(void *cookie)
{
    struct serve *serve = cookie;
    serve->web_stopped = true;
    both_stopped(serve);
}

static void broker_stopped(void *cookie)
{
    struct serve *serve = cookie;
    serve->broker_stopped = true;
    both_stopped(serve);
}

static void stop(void *cookie, int number)
{
    struct serve *serve = cookie;
    if (serve->stopping)
        return;
    serve->stopping = true;
    log_line(LOG_INFO, "stopping", "signal", "%d", number, NULL);
    demo_stop(serve->demo);
    telemetry_flush(serve->rooms.telemetry);
    broker_stop(serve->rooms.broker, broker_stopped, serve);
    web_stop(serve->web, web_stopped, serve);
}

static void reload_one(const struct options *options, struct tls_context *context,
                       enum tls_protocol protocol)
{
    char why[TLS_WHY_BYTES];
    struct tls_options files = {options->tls_cert, options->tls_key, protocol};
    if (context == NULL)
        return;
    if (tls_context_reload(context, &files, why) == ERR_OK)
        log_line(LOG_INFO, "certificate_read", "file", "%s", files.cert_file, NULL);
    else
        log_line(LOG_ERROR, "certificate_kept", "why", "%s", why, NULL);
}

static void reload(void *cookie, int number)
{
    struct serve *serve = cookie;
    (void)number;
    reload_one(serve->options, serve->tls, TLS_HTTP);
    reload_one(serve->options, serve->mqtt_tls, TLS_MQTT);
}

/* ---- options ---- */

static bool split_origins(struct serve *serve)
{
    struct str rest = str_from(serve->options->cors_origin);
    size_t count = 0;
    while (rest.len > 0) {
        size_t comma = str_find(rest, ',');
        struct str one = str_slice(rest, 0, comma);
        bool good = str_starts(one, STR("http://")) || str_starts(one, STR("https://"));
        if (!good || count == ARRAY_COUNT(serve->origin) ||
            str_copy(serve->origin[count], sizeof(serve->origin[count]), one) != ERR_OK) {
            app_complain("--cors-origin (AUTOMAT_CORS_ORIGIN): \"%.*s\" is not http(s)://host",
                         STR_ARG(one));
            return false;
        }
        serve->origins[count] = serve->origin[count];
        count++;
        rest = str_slice(rest, comma + 1, rest.len);
    }
    return true;
}

/* "off", or an address; with --open a loopback one, since it lets everybody in. */
static bool check_mqtt(const struct options *options, const char *flag, const char *variable,
                       const char *value)
{
    char host[256];
    uint16_t port;
    if (strcmp(value, "off") == 0)
        return true;
    if (!options_address(value, host, sizeof(host), &port))
        app_complain("--%s (%s): this is neither HOST:PORT nor off", flag, variable);
    else if (options->open && !options_loopback(host))
        app_complain("--open (AUTOMAT_OPEN): only with a loopback address in --%s, not %s", flag,
                     host);
    else
        return true;
    return false;
}

static bool check_air(const struct options *options)
{
    double confidence;
    const char *climate = options->climate;
    if (!check_mqtt(options, "mqtt", "AUTOMAT_MQTT", options->mqtt) ||
        !check_mqtt(options, "mqtt-tls", "AUTOMAT_MQTT_TLS", options->mqtt_tls))
        return false;
    if (strcmp(options->mqtt_tls, "off") != 0 && options->tls_cert == NULL)
        app_complain("--mqtt-tls (AUTOMAT_MQTT_TLS): only with --tls-cert and --tls-key");
    else if (strcmp(climate, "own") != 0 && strcmp(climate, "external") != 0 &&
             strcmp(climate, "off") != 0)
        app_complain("--climate (AUTOMAT_CLIMATE): own, external or off, not \"%.40s\"", climate);
    else if (!options_fraction(options->climate_confidence, &confidence))
        app_complain("--climate-confidence (AUTOMAT_CLIMATE_CONFIDENCE): a number from 0 to 1, not "
                     "\"%.40s\"",
                     options->climate_confidence);
    else
        return true;
    return false;
}

static bool check_options(struct serve *serve)
{
    const struct options *options = serve->options;
    uint16_t port;
    if (!check_air(options))
        return false;
    size_t token_len = options->admin_token != NULL ? strlen(options->admin_token) : 0;
    if (options->word_count > 0)
        app_complain("\"%.60s\": one word too many", options->words[0]);
    else if (!options_address(options->listen, serve->host, sizeof(serve->host), &port))
        app_complain("--listen (AUTOMAT_LISTEN): this is not HOST:PORT");
    else if (options->open && !options_loopback(serve->host))
        app_complain("--open (AUTOMAT_OPEN): only with a loopback address in --listen, not %s",
                     serve->host);
    else if ((options->tls_cert == NULL) != (options->tls_key == NULL))
        app_complain("--tls-cert and --tls-key (AUTOMAT_TLS_*): one does not go without the other");
    else if (options->admin_token != NULL && (token_len < 16 || token_len > 256))
        app_complain("AUTOMAT_ADMIN_TOKEN: an admin token has 16 to 256 characters");
    else
        return split_origins(serve);
    return false;
}

static bool open_tls(struct serve *serve)
{
    char why[TLS_WHY_BYTES] = "";
    if (serve->options->tls_cert == NULL)
        return true;
    struct tls_options files = {.cert_file = serve->options->tls_cert,
                                .key_file = serve->options->tls_key};
    enum err err = tls_context_create(&files, why, &serve->tls);
    files.protocol = TLS_MQTT;
    if (err == ERR_OK && strcmp(serve->options->mqtt_tls, "off") != 0)
        err = tls_context_create(&files, why, &serve->mqtt_tls);
    if (err == ERR_OK)
        return true;
    app_complain("--tls-cert, --tls-key (AUTOMAT_TLS_*): %s", why);
    return false;
}

static double confidence_of(const struct options *options)
{
    double confidence = 0;
    return options_fraction(options->climate_confidence, &confidence) ? confidence : 0;
}

static bool open_web(struct serve *serve)
{
    const struct options *options = serve->options;
    struct web_options web = {
        .loop = serve->rooms.loop,
        .store = serve->rooms.store,
        .access = serve->rooms.access,
        .fleet = serve->rooms.fleet,
        .queue = serve->rooms.queue,
        .broker = serve->rooms.broker,
        .telemetry = serve->rooms.telemetry,
        .climate = serve->rooms.climate,
        .barista = serve->barista,
        .door = &serve->door,
        .data_dir = options->data,
        .climate_source = options->climate,
        .climate_confidence = confidence_of(options),
        .inactive_s = options->inactive_s,
        .listen = options->listen,
        .open = options->open,
        .ui_dir = places_ui(options->ui, serve->ui, sizeof(serve->ui)),
        .openapi_path = places_openapi(options->docs, serve->openapi, sizeof(serve->openapi)),
        .cors_origins = serve->origins[0] != NULL ? serve->origins : NULL,
        .connections_max = options->connections_max,
        /* One address must not take them all; who comes over loopback is a proxy or ourselves. */
        .per_address_max = options_loopback(serve->host) ? 0 : (options->connections_max + 3) / 4,
        .parked_max = options->parked_max,
        .filter = serve->tls != NULL ? &tls_filter_ops : NULL,
        .filter_context = serve->tls,
    };
    enum err err = web_create(&web, &serve->web);
    if (err == ERR_OK)
        return true;
    if (err == ERR_NOT_FOUND || err == ERR_FULL)
        app_complain("--ui (AUTOMAT_UI): the folder \"%s\" cannot be served (%s)", web.ui_dir,
                     err_name(err));
    else
        app_complain("--listen (AUTOMAT_LISTEN): %s %s", options->listen,
                     err == ERR_CONFLICT ? "is in use by another program"
                     : err == ERR_DENIED ? "may not be opened by this user"
                                         : "cannot be opened");
    return false;
}

static bool open_rooms(struct serve *serve)
{
    char why[512];
    struct rooms_listener listener = {serve, command_changed, machine_changed};
    if (rooms_open(&serve->rooms, serve->options, &listener, why, sizeof(why)) &&
        rooms_open_air(
            &serve->rooms, serve->options, &serve->door,
            places_model(serve->options->climate_model, serve->model, sizeof(serve->model)), why,
            sizeof(why)))
        return true;
    app_complain("%s", why);
    return false;
}

/* Where there is no folder of models yet, what is trained here founds one. */
static const char *models_folder(struct serve *serve)
{
    const struct options *options = serve->options;
    const char *found = places_models(options->models, serve->models, sizeof(serve->models));
    if (found != NULL)
        return found;
    int len = snprintf(serve->models, sizeof(serve->models), "%s/models", options->data);
    return len > 0 && (size_t)len < sizeof(serve->models) ? serve->models : NULL;
}

static bool open_barista(struct serve *serve)
{
    const struct options *options = serve->options;
    struct barista_options barista = {
        .loop = serve->rooms.loop,
        .models_dir = models_folder(serve),
        .corpus_dir = places_corpus(options->lm.corpus, serve->corpus, sizeof(serve->corpus)),
        .data_dir = options->data,
        .threads = options->lm_threads,
        .queue_max = options->lm_queue,
    };
    enum err err = barista_create(&barista, &serve->barista);
    if (err != ERR_OK)
        app_complain("--models, --corpus (AUTOMAT_MODELS, AUTOMAT_CORPUS): the assistant cannot be "
                     "set up (%s)",
                     err_name(err));
    return err == ERR_OK;
}

static bool listen_mqtt(struct serve *serve, const char *flag, const char *variable,
                        const char *value, bool tls, char *address, size_t address_bytes)
{
    char host[256];
    uint16_t port = 0;
    if (strcmp(value, "off") == 0 || !options_address(value, host, sizeof(host), &port))
        return true;
    enum err err =
        mqtt_server_listen(broker_server(serve->rooms.broker), value, tls ? &tls_filter_ops : NULL,
                           tls ? serve->mqtt_tls : NULL, &port);
    bool six = strchr(host, ':') != NULL;
    (void)snprintf(address, address_bytes, "%s%s%s:%u", six ? "[" : "", host, six ? "]" : "",
                   (unsigned)port);
    if (err == ERR_OK)
        return true;
    app_complain("--%s (%s): %s %s", flag, variable, value,
                 err == ERR_CONFLICT ? "is in use by another program (another MQTT server?)"
                 : err == ERR_DENIED ? "may not be opened by this user"
                                     : "cannot be opened");
    return false;
}

static bool open_mqtt(struct serve *serve)
{
    char secure[280] = "";
    const struct options *options = serve->options;
    if (!listen_mqtt(serve, "mqtt", "AUTOMAT_MQTT", options->mqtt, false, serve->mqtt,
                     sizeof(serve->mqtt)) ||
        !listen_mqtt(serve, "mqtt-tls", "AUTOMAT_MQTT_TLS", options->mqtt_tls, true, secure,
                     sizeof(secure)))
        return false;
    if (secure[0] != 0)
        log_line(LOG_INFO, "mqtt_tls", "address", "%s", secure, NULL);
    if (serve->mqtt[0] != 0)
        web_mqtt_listening(serve->web, serve->mqtt);
    return true;
}

static bool start(struct serve *serve)
{
    struct loop *loop = serve->rooms.loop;
    if (loop_timer_create(loop, beat, serve, &serve->beat) != ERR_OK ||
        loop_signal(loop, SIGTERM, stop, serve) != ERR_OK ||
        loop_signal(loop, SIGINT, stop, serve) != ERR_OK ||
        loop_signal(loop, SIGHUP, reload, serve) != ERR_OK) {
        app_complain("out of memory");
        return false;
    }
    loop_timer_set(serve->beat, loop_now_ms(loop) + 1);
    return true;
}

/* The one line on stdout: whoever started us waits for it. */
static void say_ready(const struct serve *serve, char *url, size_t url_bytes)
{
    bool six = strchr(serve->host, ':') != NULL;
    (void)snprintf(url, url_bytes, "%s://%s%s%s:%u", serve->tls != NULL ? "https" : "http",
                   six ? "[" : "", serve->host, six ? "]" : "", (unsigned)web_port(serve->web));
    bool mqtt = serve->mqtt[0] != 0;
    (void)printf("{\"event\":\"ready\",\"http\":\"%s\",\"mqtt\":%s%s%s}\n", url, mqtt ? "\"" : "",
                 mqtt ? serve->mqtt : "null", mqtt ? "\"" : "");
    (void)fflush(stdout);
}

static void close_all(struct serve *serve)
{
    demo_stop(serve->demo);
    rooms_close_store(
        &serve->rooms); /* commits what waits and answers it, the demo's seeding too */
    demo_destroy(serve->demo);
    web_destroy(serve->web);
    barista_destroy(serve->barista);
    loop_timer_destroy(serve->beat);
    rooms_close(&serve->rooms);
    tls_context_destroy(serve->tls);
    tls_context_destroy(serve->mqtt_tls);
}

int app_serve(const struct options *options)
{
    static struct serve serve; /* large, and one a process */
    char url[320];
    int status = 1;
    serve = (struct serve){.options = options};
    if (!app_log_start(options) || !check_options(&serve))
        return 2;
    if (open_tls(&serve) && open_rooms(&serve) && open_barista(&serve) && open_web(&serve) &&
        open_mqtt(&serve) && start(&serve)) {
        say_ready(&serve, url, sizeof(url));
        log_line(LOG_INFO, "ready", "http", "%s", url, "mqtt", "%s",
                 serve.mqtt[0] != 0 ? serve.mqtt : "off", "data", "%s", options->data, "ui", "%s",
                 serve.ui[0] != 0 ? serve.ui : "plain", NULL);
        if (options->demo)
            serve.demo = demo_start(&serve.rooms, options, url, serve.mqtt);
        loop_run(serve.rooms.loop);
        status = serve.stopped ? 0 : 1;
    }
    close_all(&serve);
    return status;
}
