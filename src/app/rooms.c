#include "app/rooms.h"
#include "kinds/kinds.h"

#include <string.h>

static int64_t clock_mono_ms(void *clock)
{
    return loop_now_ms(clock);
}

static int64_t clock_wall_ms(void *clock)
{
    return loop_wall_ms(clock);
}

static int64_t clock_mono_us(void *clock)
{
    (void)clock;
    return sys_mono_us();
}

static void random_id(void *random, struct id128 *ret_id)
{
    (void)random;
    /* Without randomness two commands could be one: better none at all. */
    enum err err = sys_random_id(ret_id);
    ASSERT(err == ERR_OK);
}

bool rooms_database(const char *data, char *path, size_t path_bytes)
{
    int len = snprintf(path, path_bytes, "%s/automat.db", data);
    return len > 0 && (size_t)len < path_bytes;
}

static enum err open_store(struct rooms *rooms, const struct options *options, char *why,
                           size_t why_bytes)
{
    char path[512];
    int len = snprintf(rooms->time_path, sizeof(rooms->time_path), "%s/time", options->data);
    if (!rooms_database(options->data, path, sizeof(path)) || len < 0 ||
        (size_t)len >= sizeof(rooms->time_path)) {
        (void)snprintf(why, why_bytes, "--data (AUTOMAT_DATA): this path is too long");
        return ERR_INPUT;
    }
    enum err err = dir_make(options->data, 0700);
    if (err != ERR_OK) {
        (void)snprintf(why, why_bytes, "--data (AUTOMAT_DATA): the folder \"%s\" cannot be made",
                       options->data);
        return err;
    }
    char reason[300] = "";
    err = store_open(rooms->loop,
                     &(struct store_options){.path = path,
                                             .migrations = store_migrations_all,
                                             .group_max = options->group_max},
                     reason, sizeof(reason), &rooms->store);
    if (err != ERR_OK)
        (void)snprintf(why, why_bytes, "the data folder \"%s\" cannot be used: %s", options->data,
                       reason);
    return err;
}

static enum err open_queue(struct rooms *rooms, const struct options *options,
                           const struct rooms_listener *listener)
{
    struct queue_options queue = {.store = rooms->store,
                                  .kinds = kinds_queue_table(),
                                  .clock = rooms->loop,
                                  .mono_ms = clock_mono_ms,
                                  .wall_ms = clock_wall_ms,
                                  .random_id = random_id,
                                  .grace_s = options->grace_s,
                                  .pending_max = options->pending_max,
                                  .listener = listener->cookie,
                                  .changed = listener->changed,
                                  .machine_changed = listener->machine_changed};
    enum err err = queue_create(&queue, &rooms->queue);
    if (err != ERR_OK)
        return err;
    struct queue_stats stats;
    queue_stats_get(rooms->queue, &stats);
    int64_t kept_ms = sys_time_kept(rooms->time_path, sys_mono_ms());
    loop_time_persisted(rooms->loop, stats.newest_ms > kept_ms ? stats.newest_ms : kept_ms);
    return ERR_OK;
}

static void rate_set(struct access_options *access, enum access_rate_class class, const char *text,
                     bool open)
{
    uint32_t burst = 0, per_minute = 0;
    if (text != NULL && options_rate(text, &burst, &per_minute))
        access->rate[class] = (struct access_rate_limit){burst, per_minute};
    else if (open) /* who trusts every caller of this computer need not slow them down */
        access->rate[class] = (struct access_rate_limit){1000000, 100000000};
}

static enum err open_access(struct rooms *rooms, const struct options *options)
{
    struct access_options access = {.preset_admin_token = str_from(options->admin_token)};
    rate_set(&access, ACCESS_RATE_READ, options->rate_read, options->open);
    rate_set(&access, ACCESS_RATE_WRITE, options->rate_write, options->open);
    rate_set(&access, ACCESS_RATE_LOGIN, options->rate_login, false);
    rate_set(&access, ACCESS_RATE_HELLO, options->rate_hello, false);
    rate_set(&access, ACCESS_RATE_ASK, options->rate_ask, options->open);
    return access_create(rooms->loop, rooms->store, &access, loop_wall_ms(rooms->loop),
                         &rooms->access);
}

bool rooms_open(struct rooms *rooms, const struct options *options,
                const struct rooms_listener *listener, char *why, size_t why_bytes)
{
    *rooms = (struct rooms){0};
    (void)snprintf(why, why_bytes, "out of memory");
    enum err err = loop_create(&rooms->loop);
    if (err == ERR_OK)
        err = open_store(rooms, options, why, why_bytes);
    if (err != ERR_OK)
        return false;
    err = open_queue(rooms, options, listener);
    if (err == ERR_OK)
        err = fleet_create(rooms->loop, rooms->store,
                           &(struct fleet_options){.online_s = options->online_s,
                                                   .inactive_s = options->inactive_s},
                           &rooms->fleet);
    if (err == ERR_OK)
        err = open_access(rooms, options);
    if (err != ERR_OK)
        (void)snprintf(why, why_bytes, "the data folder \"%s\" cannot be read (%s)", options->data,
                       err_name(err));
    return err == ERR_OK;
}

static enum err open_broker(struct rooms *rooms, const struct options *options,
                            struct web_door *door)
{
    struct broker_options broker = {.loop = rooms->loop,
                                    .store = rooms->store,
                                    .wall_ms = clock_wall_ms,
                                    .clock = rooms->loop,
                                    .gate = web_mqtt_gate(door),
                                    .handlers = web_mqtt_handlers,
                                    .handler_cookie = door,
                                    .volatile_filters = options->mqtt_volatile,
                                    .connections_max = options->connections_max};
    return broker_create(&broker, &rooms->broker);
}

static enum err open_telemetry(struct rooms *rooms, const struct options *options)
{
    struct telemetry_options telemetry = {.loop = rooms->loop,
                                          .store = rooms->store,
                                          .wall_ms = clock_wall_ms,
                                          .clock = rooms->loop,
                                          .clickhouse_url = options->clickhouse_url,
                                          .clickhouse_user = options->clickhouse_user,
                                          .clickhouse_password = options->clickhouse_password,
                                          .clickhouse_database = options->clickhouse_database};
    return telemetry_create(&telemetry, &rooms->telemetry);
}

static enum climate_source source_of(const char *word)
{
    if (strcmp(word, "external") == 0)
        return CLIMATE_EXTERNAL;
    return strcmp(word, "off") == 0 ? CLIMATE_OFF : CLIMATE_OWN;
}

static enum err open_climate(struct rooms *rooms, const struct options *options, const char *model)
{
    char why[300] = "";
    double confidence = 0;
    if (!options_fraction(options->climate_confidence, &confidence))
        return ERR_INPUT;
    struct climate_options climate = {.loop = rooms->loop,
                                      .store = rooms->store,
                                      .queue = rooms->queue,
                                      .telemetry = rooms->telemetry,
                                      .bus = broker_bus(rooms->broker),
                                      .wall_ms = clock_wall_ms,
                                      .mono_us = clock_mono_us,
                                      .clock = rooms->loop,
                                      .random_id = random_id,
                                      .model_folder = rooms->model_folder,
                                      .model_preset = model,
                                      .source = source_of(options->climate),
                                      .confidence_min = confidence};
    enum err err = climate_create(&climate, why, sizeof(why), &rooms->climate);
    if (why[0] != 0)
        log_line(err == ERR_OK ? LOG_INFO : LOG_ERROR, "climate_model", "why", "%s", why, NULL);
    return err;
}

bool rooms_open_air(struct rooms *rooms, const struct options *options, struct web_door *door,
                    const char *model, char *why, size_t why_bytes)
{
    int len =
        snprintf(rooms->model_folder, sizeof(rooms->model_folder), "%s/climate", options->data);
    enum err err = len > 0 && (size_t)len < sizeof(rooms->model_folder)
                       ? dir_make(rooms->model_folder, 0700)
                       : ERR_INPUT;
    const char *what = "the folder of the window's models";
    if (err == ERR_OK) {
        what = "--mqtt-volatile (AUTOMAT_MQTT_VOLATILE), or the MQTT sessions";
        err = open_broker(rooms, options, door);
    }
    if (err == ERR_OK) {
        what = "--clickhouse-* (AUTOMAT_CLICKHOUSE_*), or the readings";
        err = open_telemetry(rooms, options);
    }
    if (err == ERR_OK) {
        what = "--climate-model (AUTOMAT_CLIMATE_MODEL), or the windows";
        err = open_climate(rooms, options, model);
    }
    if (err != ERR_OK)
        (void)snprintf(why, why_bytes, "the data folder \"%s\": %s cannot be used (%s)",
                       options->data, what, err_name(err));
    return err == ERR_OK;
}

void rooms_close_store(struct rooms *rooms)
{
    if (rooms->telemetry != NULL && rooms->store != NULL)
        telemetry_flush(rooms->telemetry);
    store_close(rooms->store);
    rooms->store = NULL;
}

void rooms_close(struct rooms *rooms)
{
    rooms_close_store(rooms);
    climate_destroy(rooms->climate);
    telemetry_destroy(rooms->telemetry);
    broker_destroy(rooms->broker);
    access_destroy(rooms->access);
    fleet_destroy(rooms->fleet);
    queue_destroy(rooms->queue);
    loop_destroy(rooms->loop);
    *rooms = (struct rooms){0};
}
