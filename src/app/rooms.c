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
                           &(struct fleet_options){.online_s = options->online_s}, &rooms->fleet);
    if (err == ERR_OK)
        err = open_access(rooms, options);
    if (err != ERR_OK)
        (void)snprintf(why, why_bytes, "the data folder \"%s\" cannot be read (%s)", options->data,
                       err_name(err));
    return err == ERR_OK;
}

void rooms_close_store(struct rooms *rooms)
{
    store_close(rooms->store);
    rooms->store = NULL;
}

void rooms_close(struct rooms *rooms)
{
    rooms_close_store(rooms);
    access_destroy(rooms->access);
    fleet_destroy(rooms->fleet);
    queue_destroy(rooms->queue);
    loop_destroy(rooms->loop);
    *rooms = (struct rooms){0};
}
