/* One connection to the broker in the server.
 *
 *   down ──timer──> connecting ──CONNACK──> subscribing ──SUBACKs──> ready
 *     ^                 │                        │                     │
 *     └──── later, longer each time ─────────────┴─────────────────────┘
 *
 * The session is kept by the server (client id = machine id), so offers that came meanwhile wait
 * for us, and what we published without an acknowledgement is sent again.  A boot starts with an
 * empty memory: then the client is made anew. */
#include "twin/twin_mqtt.h"

#include "device/device_mqtt.h"
#include "net/mqtt/mqtt.h"
#include "net/tls/tls.h"

#include <string.h>

#define RETRY_MS          500 /* first pause; doubled each time ... */
#define RETRY_MS_MAX      30000
#define SESSION_EXPIRY_S  86400
#define KEEP_ALIVE_S      20
#define INFLIGHT_MAX      64
#define READINGS_WAITING  16 /* unacknowledged ones, beyond which readings are left out */
#define QUEUED_BYTES_MAX  (2 * MIB)
#define READING_BYTES_MAX (192 * KIB)

struct twin_mqtt {
    struct twin *twin;
    struct twin_mqtt_user user;
    struct mqtt_client *client;
    struct loop_timer *timer; /* the next attempt */
    struct device_mqtt board;
    struct tls_client *tls; /* NULL: plain */
    char *host, *token;
    uint16_t port;
    bool booted; /* power is on */
    bool fresh;  /* the client's memory is of the life before */
    uint32_t failures;
};

/* ---- attempts ---- */

static void try_later(struct twin_mqtt *mqtt)
{
    int64_t pause_ms = RETRY_MS;
    for (uint32_t i = 0; i < mqtt->failures && pause_ms < RETRY_MS_MAX; i++)
        pause_ms *= 2;
    if (pause_ms > RETRY_MS_MAX)
        pause_ms = RETRY_MS_MAX;
    mqtt->failures += mqtt->failures < 16;
    pause_ms += rng_below(&mqtt->twin->rng, (uint32_t)pause_ms / 2);
    loop_timer_set(mqtt->timer, loop_now_ms(mqtt->twin->loop) + pause_ms);
}

/* ---- what the connection brings ---- */

/* First all that happened before this, so that the program hears it at its time. */
static bool enter(struct twin_mqtt *mqtt)
{
    twin_clock_run(mqtt->twin);
    return mqtt->twin->powered && mqtt->booted && !mqtt->fresh;
}

static void leave(struct twin_mqtt *mqtt)
{
    twin_board_step(mqtt->twin);
    twin_clock_arm(mqtt->twin);
}

static void on_connack(void *cookie, bool session_present, enum mqtt_reason reason)
{
    struct twin_mqtt *mqtt = cookie;
    if (reason != MQTT_SUCCESS) {
        log_line(LOG_WARN, "twin", "id", "%s", mqtt->twin->id, "mqtt", "%s", "refused", "reason",
                 "%u", (unsigned)reason, NULL);
        return;
    }
    (void)session_present;
    if (!enter(mqtt))
        return;
    device_mqtt_on_connected(&mqtt->board);
    leave(mqtt);
}

static void on_subscribed(void *cookie, uint16_t packet_id, const struct mqtt_suback *suback)
{
    struct twin_mqtt *mqtt = cookie;
    (void)packet_id;
    if (!enter(mqtt))
        return;
    bool granted = suback->reason_count == 1 && suback->reason[0] < 0x80;
    if (!granted) {
        log_line(LOG_WARN, "twin", "id", "%s", mqtt->twin->id, "mqtt", "%s",
                 "a subscription was refused", NULL);
        mqtt_client_drop(mqtt->client);
    } else if (device_mqtt_on_subscribed(&mqtt->board, true)) {
        mqtt->failures = 0;
        mqtt->user.ready(mqtt->user.cookie);
    }
    leave(mqtt);
}

static void on_message(void *cookie, const struct mqtt_publish *publish)
{
    struct twin_mqtt *mqtt = cookie;
    if (!enter(mqtt))
        return;
    device_mqtt_on_message(&mqtt->board, publish->topic, publish->payload);
    leave(mqtt);
}

static void on_published(void *cookie, uint64_t handle, enum mqtt_reason reason)
{
    struct twin_mqtt *mqtt = cookie;
    if (!enter(mqtt))
        return;
    device_mqtt_on_published(&mqtt->board, handle, (uint8_t)reason);
    leave(mqtt);
}

static void on_gone(void *cookie, enum mqtt_reason reason)
{
    struct twin_mqtt *mqtt = cookie;
    bool was_ready = mqtt->board.phase == DEVICE_MQTT_READY;
    if (mqtt->tls != NULL && tls_client_why(mqtt->tls)[0] != '\0')
        log_line(LOG_WARN, "twin", "id", "%s", mqtt->twin->id, "mqtt", "%s", "TLS failed", "why",
                 "%s", tls_client_why(mqtt->tls), NULL);
    log_line(LOG_DEBUG, "twin", "id", "%s", mqtt->twin->id, "mqtt", "%s", "gone", "reason", "%u",
             (unsigned)reason, NULL);
    if (!mqtt->booted)
        return;
    try_later(mqtt);
    if (!enter(mqtt))
        return;
    device_mqtt_on_lost(&mqtt->board);
    if (was_ready)
        mqtt->user.lost(mqtt->user.cookie);
    leave(mqtt);
}

/* ---- what the board says ---- */

static enum err host_publish(void *context, struct str topic, struct str payload, uint8_t qos,
                             bool retain, uint64_t *ret_handle)
{
    struct twin_mqtt *mqtt = context;
    const struct mqtt_message message = {
        .topic = topic, .payload = payload, .qos = qos, .retain = retain};
    return mqtt_client_publish(mqtt->client, &message, ret_handle);
}

static enum err host_subscribe(void *context, struct str filter)
{
    struct twin_mqtt *mqtt = context;
    return mqtt_client_subscribe(mqtt->client, filter, 1, NULL);
}

/* ---- the client ---- */

static enum err make_client(struct twin_mqtt *mqtt)
{
    static const struct mqtt_client_user user = {on_connack, on_message, on_published,
                                                 on_subscribed, on_gone};
    char topic_text[WIRE_TOPIC_BYTES];
    char payload_text[64];
    struct text topic;
    struct text payload;
    struct str machine_id = str_from(mqtt->twin->id);
    text_init(&topic, topic_text, sizeof(topic_text));
    text_init(&payload, payload_text, sizeof(payload_text));
    device_mqtt_will(machine_id, &topic, &payload);
    const struct mqtt_client_options options = {
        .host = mqtt->host,
        .port = mqtt->port,
        .client_id = mqtt->twin->id,
        .user = mqtt->twin->id,
        .password = mqtt->token,
        .version = MQTT_V5,
        .session_expiry_s = SESSION_EXPIRY_S,
        .keep_alive_s = KEEP_ALIVE_S,
        .inflight_max = INFLIGHT_MAX,
        .queued_bytes_max = QUEUED_BYTES_MAX,
        .will = {.present = true,
                 .retain = true,
                 .qos = 1,
                 .topic = {topic.at, topic.len},
                 .payload = {payload.at, payload.len}},
        .filter = mqtt->tls != NULL ? &tls_client_filter_ops : NULL,
        .filter_context = mqtt->tls,
    };
    return mqtt_client_create(mqtt->twin->loop, &options, &user, mqtt, &mqtt->client);
}

/* Never from inside a call of the client's: by timer. */
static void attempt(void *cookie)
{
    struct twin_mqtt *mqtt = cookie;
    if (!mqtt->booted)
        return;
    if (mqtt->fresh) {
        mqtt_client_destroy(mqtt->client);
        mqtt->client = NULL;
        if (make_client(mqtt) != ERR_OK) {
            mqtt->client = NULL;
            try_later(mqtt);
            return;
        }
        mqtt->fresh = false;
    }
    enum err err = mqtt_client_connect(mqtt->client);
    if (err != ERR_OK && err != ERR_CONFLICT)
        try_later(mqtt);
}

void twin_mqtt_boot(struct twin_mqtt *mqtt)
{
    const struct device_mqtt_host host = {mqtt, host_publish, host_subscribe};
    enum err err =
        device_mqtt_init(&mqtt->board, &mqtt->twin->device, str_from(mqtt->twin->id), &host);
    ASSERT(err == ERR_OK); /* twin_create looked at the id */
    mqtt->booted = mqtt->fresh = true;
    mqtt->failures = 0;
    loop_timer_set(mqtt->timer, loop_now_ms(mqtt->twin->loop));
}

void twin_mqtt_off(struct twin_mqtt *mqtt)
{
    mqtt->booted = false;
    mqtt->board.phase = DEVICE_MQTT_OFF;
    device_mqtt_release(&mqtt->board);
    loop_timer_clear(mqtt->timer);
    if (mqtt->client != NULL)
        mqtt_client_drop(mqtt->client);
}

/* ---- making ---- */

static enum err read_address(struct twin_mqtt *mqtt, struct str address)
{
    uint64_t port;
    if (str_starts(address, STR("mqtt://")))
        address = str_slice(address, 7, address.len);
    else if (str_starts(address, STR("mqtts://")))
        address = str_slice(address, 8, address.len);
    size_t colon = address.len;
    while (colon > 0 && address.at[colon - 1] != ':')
        colon--;
    if (colon < 2 || str_to_u64(str_slice(address, colon, address.len), &port) != ERR_OK ||
        port == 0 || port > UINT16_MAX)
        return ERR_INPUT;
    struct str host = str_slice(address, 0, colon - 1);
    if (host.at[0] == '[' && host.at[host.len - 1] == ']')
        host = str_slice(host, 1, host.len - 1);
    mqtt->port = (uint16_t)port;
    mqtt->host = mem_strdup(host);
    return mqtt->host != NULL ? ERR_OK : ERR_NOMEM;
}

static enum err use_tls(struct twin_mqtt *mqtt, const char *cacert)
{
    char why[TLS_WHY_BYTES];
    const struct tls_client_options options = {
        .ca_file = cacert, .server = mqtt->host, .protocol = TLS_MQTT};
    enum err err = tls_client_create(&options, why, &mqtt->tls);
    if (err != ERR_OK)
        log_line(LOG_ERROR, "twin", "id", "%s", mqtt->twin->id, "mqtt", "%s", "no TLS", "why", "%s",
                 why, NULL);
    return err;
}

enum err twin_mqtt_create(struct twin *twin, const struct twin_link_options *link,
                          const struct twin_mqtt_user *user, struct twin_mqtt **ret_mqtt)
{
    struct twin_mqtt *mqtt = mem_zalloc(sizeof(*mqtt));
    if (mqtt == NULL)
        return ERR_NOMEM;
    mqtt->twin = twin;
    mqtt->user = *user;
    enum err err = read_address(mqtt, str_from(link->mqtt));
    if (err == ERR_OK && link->mqtt_tls)
        err = use_tls(mqtt, link->cacert);
    if (err == ERR_OK) {
        mqtt->token = mem_strdup(str_from(link->token));
        err = mqtt->token != NULL ? ERR_OK : ERR_NOMEM;
    }
    if (err == ERR_OK)
        err = loop_timer_create(twin->loop, attempt, mqtt, &mqtt->timer);
    if (err != ERR_OK) {
        twin_mqtt_destroy(mqtt);
        return err;
    }
    *ret_mqtt = mqtt;
    return ERR_OK;
}

void twin_mqtt_destroy(struct twin_mqtt *mqtt)
{
    if (mqtt == NULL)
        return;
    mqtt_client_destroy(mqtt->client);
    tls_client_destroy(mqtt->tls);
    loop_timer_destroy(mqtt->timer);
    mem_free(mqtt->host);
    mem_free(mqtt->token);
    mem_free(mqtt);
}

/* ---- the road ---- */

bool twin_mqtt_ready(const struct twin_mqtt *mqtt)
{
    return mqtt->board.phase == DEVICE_MQTT_READY;
}

enum err twin_mqtt_send(struct twin_mqtt *mqtt, const struct twin_request *request)
{
    const struct device_exchange exchange = {
        .id = request->exchange_id,
        .channel = (enum device_channel)request->channel,
        .method = request->post ? DEVICE_POST : DEVICE_GET,
        .path = request->path,
        .journal_id = request->journal_id,
        .body = request->body,
        .timeout_ms = request->timeout_ms,
    };
    enum err err = device_mqtt_send(&mqtt->board, &exchange);
    if (err == ERR_OK && request->answer_lost)
        mqtt->board.ask[exchange.channel].call = DEVICE_MQTT_NOTHING;
    return err;
}

static enum err publish_one(struct twin_mqtt *mqtt, const struct twin_reading *reading)
{
    char storage[WIRE_TOPIC_BYTES];
    struct text topic;
    struct buf body;
    text_init(&topic, storage, sizeof(storage));
    wire_topic_add(&topic, WIRE_TOPIC_SENSOR, str_from(mqtt->twin->id), str_from(reading->type));
    buf_init(&body, READING_BYTES_MAX);
    enum err err = topic.overflow ? ERR_FULL : twin_reading_body(reading, false, &body);
    if (err == ERR_OK)
        err = host_publish(mqtt, (struct str){topic.at, topic.len}, buf_str(&body), 1, false, NULL);
    buf_finish(&body);
    return err;
}

enum err twin_mqtt_publish(struct twin_mqtt *mqtt, const struct twin_reading *readings,
                           size_t count)
{
    if (!twin_mqtt_ready(mqtt) || mqtt_client_inflight(mqtt->client) > READINGS_WAITING)
        return ERR_AGAIN;
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < count; i++)
        err = publish_one(mqtt, &readings[i]);
    return err;
}

void twin_mqtt_release(struct twin_mqtt *mqtt)
{
    device_mqtt_release(&mqtt->board);
}

void twin_mqtt_step(struct twin_mqtt *mqtt)
{
    device_mqtt_step(&mqtt->board);
}

uint32_t twin_mqtt_wait(const struct twin_mqtt *mqtt)
{
    return device_mqtt_wait(&mqtt->board);
}
