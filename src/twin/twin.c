/* Making and unmaking a twin, and the timer it lives by. */
#include "twin/twin_int.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define TOKEN_BYTES      32
#define TOKEN_TEXT_BYTES (2 * TOKEN_BYTES + 1)
#define LONG_POLL_S      25

static enum err complain(char *why, size_t why_bytes, enum err err, const char *sentence,
                         const char *what)
{
    (void)snprintf(why, why_bytes, "%s: %s", what, sentence);
    return err;
}

static void fire(void *cookie)
{
    struct twin *twin = cookie;
    twin_clock_run(twin);
    twin_clock_arm(twin);
}

/* ---- options ---- */

static const char *mqtt_of(const struct twin_options *options)
{
    return options->mqtts != NULL ? options->mqtts : options->mqtt;
}

static bool mqtt_over_tls(const struct twin_options *options)
{
    return options->mqtts != NULL ||
           (options->mqtt != NULL && str_starts(str_from(options->mqtt), STR("mqtts://")));
}

static enum err check(const struct twin_options *options, char *why, size_t why_bytes)
{
    if (twin_kind_find(options->kind) == NULL)
        return complain(why, why_bytes, ERR_INPUT, "there is no twin of this kind", options->kind);
    if (options->id == NULL || !id_valid(str_from(options->id)))
        return complain(why, why_bytes, ERR_INPUT, "a machine id has 1 to 64 of A-Z a-z 0-9 . _ -",
                        "id");
    struct str url = str_from(options->server_url);
    if (!str_starts(url, STR("http://")) && !str_starts(url, STR("https://")))
        return complain(why, why_bytes, ERR_INPUT, "an address begins with http:// or https://",
                        "server");
    if (options->speed > TWIN_SPEED_MAX)
        return complain(why, why_bytes, ERR_INPUT, "at most 200 times", "speed");
    if (options->poll_s > 3600 || options->fault_count > TWIN_FAULTS_MAX)
        return complain(why, why_bytes, ERR_INPUT, "out of range", "poll or faults");
    if (mqtt_of(options) != NULL && strrchr(mqtt_of(options), ':') == NULL)
        return complain(why, why_bytes, ERR_INPUT, "HOST:PORT",
                        options->mqtts != NULL ? "mqtts" : "mqtt");
    if (mqtt_over_tls(options) && !str_starts(url, STR("https://")))
        return complain(why, why_bytes, ERR_INPUT,
                        "with mqtts an address begins with https://: the way when MQTT is lost",
                        "server");
    return ERR_OK;
}

static enum err add_faults(struct twin *twin, const struct twin_options *options, char *why,
                           size_t why_bytes)
{
    for (size_t i = 0; i < options->fault_count; i++) {
        const char *name = options->faults[i];
        if (twin_faults_add(&twin->faults, twin->kind, str_from(name),
                            twin->kind->faults(twin->metal)) != ERR_OK)
            return complain(why, why_bytes, ERR_INPUT, "there is no such fault", name);
    }
    return ERR_OK;
}

/* ---- token ---- */

static bool is_token(struct str text)
{
    uint8_t bytes[TOKEN_BYTES];
    return hex_decode(bytes, sizeof(bytes), text) == ERR_OK;
}

static enum err make_token(char token[TOKEN_TEXT_BYTES])
{
    uint8_t bytes[TOKEN_BYTES];
    enum err err = sys_random(bytes, sizeof(bytes));
    if (err == ERR_OK)
        hex_encode(token, bytes, sizeof(bytes));
    return err;
}

/* A token of its own is part of what a board keeps: it must be the same after a restart. */
static enum err own_token(const char *journal_file, char token[TOKEN_TEXT_BYTES])
{
    char path[4096];
    struct buf kept;
    if (journal_file == NULL)
        return make_token(token);
    int len = snprintf(path, sizeof(path), "%s.token", journal_file);
    if (len < 0 || (size_t)len >= sizeof(path))
        return ERR_INPUT;
    if (!path_exists(path)) {
        enum err err = make_token(token);
        return err == ERR_OK ? file_write_atomic(path, token, strlen(token), 0600) : err;
    }
    enum err err = file_read(path, 4 * KIB, &kept);
    if (err != ERR_OK)
        return err;
    err = is_token(buf_str(&kept)) ? str_copy(token, TOKEN_TEXT_BYTES, buf_str(&kept)) : ERR_INPUT;
    buf_finish(&kept);
    return err;
}

static enum err open_link(struct twin *twin, const struct twin_options *options)
{
    char made[TOKEN_TEXT_BYTES];
    const char *token = options->token;
    if (token == NULL || strcmp(token, "auto") == 0) {
        enum err err = own_token(options->journal_file, made);
        if (err != ERR_OK)
            return err;
        token = made;
    }
    const struct twin_link_options link = {
        .loop = twin->loop,
        .machine_id = twin->id,
        .server_url = options->server_url,
        .token = token,
        .cacert = options->cacert,
        .done = twin_board_link_done,
        .cookie = twin,
        .mqtt = mqtt_of(options),
        .mqtt_tls = mqtt_over_tls(options),
    };
    return link.mqtt != NULL ? twin_roads_create(&link, twin, &twin->link)
                             : twin_http_create(&link, &twin->link);
}

/* ---- making ---- */

static enum err make_metal(struct twin *twin, uint64_t seed)
{
    enum err err = seed != 0 ? ERR_OK : sys_random(&seed, sizeof(seed));
    if (err != ERR_OK)
        return err;
    rng_init(&twin->rng, seed);
    twin->kind->init(twin->metal, twin, seed);
    return ERR_OK;
}

static enum err open_files(struct twin *twin, const struct twin_options *options, char *why,
                           size_t why_bytes)
{
    enum err err = twin_flash_open(&twin->flash, options->journal_file);
    if (err == ERR_CONFLICT)
        return complain(why, why_bytes, err, "another process is this board", "journal");
    if (err == ERR_INPUT)
        return complain(why, why_bytes, err, "this file is no journal", "journal");
    if (err != ERR_OK)
        return complain(why, why_bytes, err, "cannot be opened", "journal");
    err = twin_record_open(twin, options->actuations_file);
    if (err != ERR_OK)
        return complain(why, why_bytes, err, "cannot be opened", "actuations");
    return ERR_OK;
}

static enum err set_up(struct twin *twin, const struct twin_options *options, char *why,
                       size_t why_bytes)
{
    twin->speed = options->speed != 0 ? options->speed : 1;
    twin->sensor_s = options->sensor_s;
    twin->audio_s = options->audio_s;
    twin->options.poll_ms = options->poll_s * 1000;
    twin->options.wait_s = options->poll_s == 0 ? LONG_POLL_S : 0;
    twin->id = mem_strdup(str_from(options->id));
    twin->kind = twin_kind_find(options->kind);
    twin->metal = mem_zalloc(twin->kind->metal_bytes);
    if (twin->id == NULL || twin->metal == NULL)
        return ERR_NOMEM;
    enum err err = make_metal(twin, options->seed);
    if (err == ERR_OK)
        err = open_files(twin, options, why, why_bytes);
    if (err == ERR_OK)
        err = open_link(twin, options);
    if (err == ERR_OK)
        err = loop_timer_create(twin->loop, fire, twin, &twin->timer);
    if (err != ERR_OK)
        return err;
    twin->real_start_ms = sys_mono_ms();
    err = twin_board_init(twin);
    return err == ERR_OK ? add_faults(twin, options, why, why_bytes) : err;
}

enum err twin_create(struct loop *loop, const struct twin_options *options, char *why,
                     size_t why_bytes, struct twin **ret_twin)
{
    enum err err = check(options, why, why_bytes);
    if (err != ERR_OK)
        return err;
    struct twin *twin = mem_zalloc(sizeof(*twin));
    if (twin == NULL)
        return complain(why, why_bytes, ERR_NOMEM, "out of memory", "twin");
    twin->loop = loop;
    twin->flash.fd = twin->flash.lock.fd = twin->actuations_fd = -1;
    (void)snprintf(why, why_bytes, "cannot be started");
    err = set_up(twin, options, why, why_bytes);
    if (err != ERR_OK) {
        twin_destroy(twin);
        return err;
    }
    if (why_bytes > 0)
        why[0] = '\0';
    twin_clock_arm(twin);
    *ret_twin = twin;
    return ERR_OK;
}

void twin_destroy(struct twin *twin)
{
    if (twin == NULL)
        return;
    loop_timer_destroy(twin->timer);
    if (twin->link != NULL)
        twin->link->destroy(twin->link);
    twin_flash_close(&twin->flash);
    if (twin->actuations_fd >= 0)
        close(twin->actuations_fd);
    mem_free(twin->id);
    mem_free(twin->metal);
    mem_free(twin);
}

/* ---- the whole program ---- */

static void caught_toggle(void *cookie, int signal)
{
    (void)signal;
    twin_road_toggle(cookie);
}

static void caught(void *cookie, int signal)
{
    (void)signal;
    loop_stop(cookie);
}

enum err twin_run(struct loop *loop, const struct twin_options *options, char *why,
                  size_t why_bytes)
{
    struct twin *twin = NULL;
    enum err err = twin_create(loop, options, why, why_bytes, &twin);
    if (err != ERR_OK)
        return err;
    err = loop_signal(loop, SIGTERM, caught, loop);
    if (err == ERR_OK)
        err = loop_signal(loop, SIGINT, caught, loop);
    if (err == ERR_OK && mqtt_of(options) != NULL)
        err = loop_signal(loop, SIGUSR1, caught_toggle, twin);
    if (err == ERR_OK)
        loop_run(loop);
    else
        (void)snprintf(why, why_bytes, "signals cannot be caught");
    twin_destroy(twin);
    return err;
}

/* ---- while it lives ---- */

enum err twin_fault_set(struct twin *twin, struct str name, bool on)
{
    uint32_t bit = twin->kind->fault_from(name);
    if (bit == 0)
        return ERR_NOT_FOUND;
    twin_clock_run(twin);
    uint32_t *faults = twin->kind->faults(twin->metal);
    *faults = on ? *faults | bit : *faults & ~bit;
    twin_clock_arm(twin);
    return ERR_OK;
}

void twin_reboot(struct twin *twin)
{
    twin_clock_run(twin);
    twin_board_power_off(twin);
    twin_clock_arm(twin);
}

void twin_road_toggle(struct twin *twin)
{
    twin_clock_run(twin);
    if (twin->link->toggle != NULL)
        twin->link->toggle(twin->link);
    twin_board_step(twin);
    twin_clock_arm(twin);
}

struct twin_status twin_status_get(const struct twin *twin)
{
    return (struct twin_status){
        .phase = twin->powered ? device_phase_name(twin->device.phase) : "off",
        .step = twin->kind->step_name(twin->metal),
        .road = twin->link->name != NULL ? twin->link->name(twin->link) : "http",
        .acting = twin->device.acting,
        .boots = twin->boots,
        .starts = twin->device.stats.starts,
        .pump_starts = twin->kind->starts(twin->metal),
        .published = twin->published,
        .publish_skipped = twin->publish_skipped,
        .reports = twin->device.stats.reports,
        .link_errors = twin->device.stats.link_errors,
    };
}
