/* automat validate: readings with a mark, followed from the publish to the window.
 *
 *   connect ──> publish ──> every PUBACK ──> every one in the store ──> a prediction made of them
 *     ──> its command, complete ──> report
 *
 * A step that is not there in time is over, and the report says what it missed. */
#include "app/validate.h"
#include "app/app.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICK_MS  20
#define LOOK_MS  200
#define READINGS 10
#define FILTERS  2u

/* ---- the marks ---- */

/* Believable numbers whose last digits are this run's; seven digits are what answers show. */
static void make_readings(struct validate *validate)
{
    static const char *const types[] = {"temperature", "humidity", "sound_volume"};
    static const double base[] = {24.0, 52.0, 0.08}, step[] = {0.25, 0.5, 0.005},
                        unit[] = {1e-5, 1e-5, 1e-7};
    uint32_t count = validate->options->count != 0 ? validate->options->count : READINGS;
    double mark = (double)(sys_mono_us() % 20000 + 1000);
    validate->reading_count = count < 3 ? 3 : count; /* a window is asked for with all three */
    for (uint32_t i = 0; i < validate->reading_count; i++) {
        unsigned sort = i % 3;
        validate->reading[i] = (struct validate_reading){
            .type = types[sort],
            .value = base[sort] + step[sort] * (double)(i / 3 % 40) + mark * unit[sort]};
    }
}

static void publish_next(struct validate *validate)
{
    char topic[WIRE_TOPIC_BYTES], payload[96];
    struct text name;
    struct validate_reading *reading = &validate->reading[validate->next];
    text_init(&name, topic, sizeof(topic));
    wire_topic_add(&name, WIRE_TOPIC_SENSOR, str_from(validate->id), str_from(reading->type));
    int len = snprintf(payload, sizeof(payload), "{\"value\":%.7f,\"provenance\":\"simulated\"}",
                       reading->value);
    reading->value = strtod(payload + strlen("{\"value\":"), NULL);
    const struct mqtt_message message = {
        .topic = {name.at, name.len}, .payload = {payload, (size_t)len}, .qos = 1};
    if (mqtt_client_publish(validate->client, &message, &reading->handle) != ERR_OK)
        return; /* no room at the moment: at the next turn */
    reading->published = true;
    reading->sent_us = sys_mono_us();
    validate->next++;
}

/* ---- the connection ---- */

static void stop(struct validate *validate, const char *format, ...) PRINTF_LIKE(2, 3);

static void stop(struct validate *validate, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    if (validate->why[0] == '\0')
        (void)vsnprintf(validate->why, sizeof(validate->why), format, values);
    va_end(values);
    loop_stop(validate->loop);
}

static void on_connack(void *cookie, bool session_present, enum mqtt_reason reason)
{
    struct validate *validate = cookie;
    char topic[WIRE_TOPIC_BYTES];
    static const enum wire_topic filters[FILTERS] = {WIRE_TOPIC_INFERENCE, WIRE_TOPIC_CONTROL};
    (void)session_present;
    if (reason != MQTT_SUCCESS) {
        stop(validate, "the connection is refused (reason 0x%02x)", (unsigned)reason);
        return;
    }
    validate->subscribed = 0;
    for (size_t i = 0; i < FILTERS; i++) {
        struct text name;
        text_init(&name, topic, sizeof(topic));
        wire_topic_add(&name, filters[i], str_from(validate->id), STR_NONE);
        if (mqtt_client_subscribe(validate->client, (struct str){name.at, name.len}, 1, NULL) !=
            ERR_OK)
            mqtt_client_drop(validate->client);
    }
}

static void stage_set(struct validate *validate, enum validate_stage stage)
{
    validate->stage = stage;
    validate->stage_until_ms =
        loop_now_ms(validate->loop) + (int64_t)validate->options->seconds * 1000;
}

static void on_subscribed(void *cookie, uint16_t packet_id, const struct mqtt_suback *suback)
{
    struct validate *validate = cookie;
    (void)packet_id;
    if (suback->reason_count != 1 || suback->reason[0] >= 0x80)
        stop(validate, "the topics of this machine may not be heard");
    else if (++validate->subscribed == FILTERS && validate->stage == VALIDATE_CONNECT)
        stage_set(validate, VALIDATE_PUBLISH);
}

static void on_message(void *cookie, const struct mqtt_publish *publish)
{
    struct validate *validate = cookie;
    enum wire_topic topic;
    struct str id;
    struct wire_control control;
    if (!wire_topic_read(publish->topic, &topic, &id, NULL) ||
        !str_equal(id, str_from(validate->id)))
        return;
    if (topic == WIRE_TOPIC_INFERENCE) {
        validate->requests++;
        if (validate->request_us == 0)
            validate->request_us = sys_mono_us();
    } else if (topic == WIRE_TOPIC_CONTROL && validate->control_count < VALIDATE_CONTROLS_MAX &&
               wire_control_decode(publish->payload, &control, NULL) == ERR_OK) {
        validate->control[validate->control_count++] =
            (struct validate_control){control.command_id, control.position_milli};
    }
}

static void on_published(void *cookie, uint64_t handle, enum mqtt_reason reason)
{
    struct validate *validate = cookie;
    for (uint32_t i = 0; i < validate->next; i++) {
        if (validate->reading[i].handle != handle)
            continue;
        validate->reading[i].acked_us = sys_mono_us();
        validate->reading[i].refused = reason >= MQTT_UNSPECIFIED;
    }
}

static void on_gone(void *cookie, enum mqtt_reason reason)
{
    struct validate *validate = cookie;
    if (validate->stage == VALIDATE_CONNECT)
        stop(validate, "%s does not answer, or not as MQTT (reason 0x%02x%s%s)",
             tool_mqtt_address(validate->options), (unsigned)reason,
             tool_mqtt_why(&validate->mqtt)[0] != '\0' ? ", " : "", tool_mqtt_why(&validate->mqtt));
    else if (mqtt_client_connect(validate->client) != ERR_OK)
        stop(validate, "the connection is lost");
}

/* ---- one stage after the other ---- */

static bool all_acked(const struct validate *validate)
{
    for (uint32_t i = 0; i < validate->reading_count; i++) {
        if (validate->reading[i].acked_us == 0)
            return false;
    }
    return true;
}

static bool all_seen(const struct validate *validate)
{
    for (uint32_t i = 0; i < validate->reading_count; i++) {
        if (validate->reading[i].seen_us == 0 && !validate->reading[i].refused)
            return false;
    }
    return true;
}

static bool stage_done(struct validate *validate)
{
    switch (validate->stage) {
    case VALIDATE_PUBLISH:
        publish_next(validate);
        return validate->next == validate->reading_count;
    case VALIDATE_ACKS:
        return all_acked(validate);
    case VALIDATE_STORE:
        validate_look_store(validate);
        return all_seen(validate);
    case VALIDATE_PREDICTION:
        validate_look_prediction(validate);
        return validate->has_prediction;
    case VALIDATE_COMMAND:
        validate_look_command(validate);
        return !validate_command_due(validate) ||
               (strcmp(validate->command_state, "complete") == 0 && validate->control_count > 0);
    case VALIDATE_CONNECT:
    case VALIDATE_OVER:
        break;
    }
    return false;
}

static void tick(void *cookie)
{
    struct validate *validate = cookie;
    int64_t now_ms = loop_now_ms(validate->loop);
    bool late = now_ms >= validate->stage_until_ms;
    if (validate->stage == VALIDATE_CONNECT && late) {
        stop(validate, "%s does not answer", tool_mqtt_address(validate->options));
        return;
    }
    if (validate->stage != VALIDATE_CONNECT && (stage_done(validate) || late))
        stage_set(validate, validate->stage + 1);
    if (validate->stage == VALIDATE_OVER) {
        loop_stop(validate->loop);
        return;
    }
    int64_t wait_ms = validate->stage >= VALIDATE_STORE ? LOOK_MS : TICK_MS;
    loop_timer_set(validate->timer, loop_now_ms(validate->loop) + wait_ms);
}

static void interrupted(void *cookie, int signal)
{
    (void)signal;
    stop(cookie, "interrupted");
}

/* ---- the program ---- */

static bool open_all(struct validate *validate)
{
    static const struct mqtt_client_user user = {.on_connack = on_connack,
                                                 .on_message = on_message,
                                                 .on_published = on_published,
                                                 .on_subscribed = on_subscribed,
                                                 .on_gone = on_gone};
    struct mqtt_client_options options = {.client_id = validate->client_id,
                                          .user = validate->id,
                                          .version = MQTT_V5,
                                          .clean_start = true,
                                          .session_expiry_s = 120};
    if (!tool_mqtt_open(&validate->mqtt, validate->options))
        return false;
    tool_mqtt_use(&validate->mqtt, &options);
    /* Not the machine's own: its board keeps its session. */
    (void)snprintf(validate->client_id, sizeof(validate->client_id), "validate-%ld",
                   (long)getpid());
    if (validate->token[0] != '\0')
        options.password = validate->token;
    return loop_create(&validate->loop) == ERR_OK &&
           loop_timer_create(validate->loop, tick, validate, &validate->timer) == ERR_OK &&
           loop_signal(validate->loop, SIGINT, interrupted, validate) == ERR_OK &&
           mqtt_client_create(validate->loop, &options, &user, validate, &validate->client) ==
               ERR_OK &&
           mqtt_client_connect(validate->client) == ERR_OK;
}

/* A token of the machine's is shown over MQTT; what HTTP is asked takes staff or admin. */
static bool find_tokens(struct validate *validate)
{
    const struct options *options = validate->options;
    const char *id = options->id != NULL ? options->id : "validate";
    if (str_copy(validate->id, sizeof(validate->id), str_from(id)) != ERR_OK ||
        !id_valid(str_from(id))) {
        app_complain("--id: 1 to 64 of A-Z a-z 0-9 . _ -");
        return false;
    }
    if (options->admin_token != NULL)
        validate->http.token = options->admin_token;
    if (options->token != NULL)
        return str_copy(validate->token, sizeof(validate->token), str_from(options->token)) ==
               ERR_OK;
    return options->admin_token == NULL ||
           tool_register(&validate->http, validate->id, validate->token);
}

static bool check(const struct options *options)
{
    if (options->word_count > 0)
        app_complain("\"%.60s\": one word too many", options->words[0]);
    else if (tool_mqtt_address(options) == NULL || strrchr(tool_mqtt_address(options), ':') == NULL)
        app_complain("--mqtt or --mqtts: HOST:PORT is needed");
    else
        return true;
    return false;
}

int app_validate(const struct options *options)
{
    if (!check(options))
        return 2;
    struct validate *validate = mem_zalloc(sizeof(*validate));
    if (validate == NULL || !app_log_start(options))
        return 1;
    validate->options = options;
    uint32_t missing = 1;
    bool good = tool_http_open(&validate->http, options) && find_tokens(validate);
    if (good) {
        make_readings(validate);
        good = open_all(validate);
        if (!good)
            app_complain("%s cannot be used", tool_mqtt_address(options));
    }
    if (good) {
        validate->begin_wall_ms = sys_wall_ms();
        stage_set(validate, VALIDATE_CONNECT);
        loop_timer_set(validate->timer, 0);
        loop_run(validate->loop);
        missing = validate_report(validate);
    }
    mqtt_client_destroy(validate->client);
    loop_timer_destroy(validate->timer);
    loop_destroy(validate->loop);
    tool_mqtt_close(&validate->mqtt);
    if (validate->http.curl != NULL)
        tool_http_close(&validate->http);
    mem_free(validate);
    return missing == 0 ? 0 : 1;
}
