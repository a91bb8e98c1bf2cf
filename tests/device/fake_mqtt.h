/* The MQTT road of the made-up world: a connection that breaks, a client that repeats what was not
 * acknowledged while the session lasts, and a server that keeps the queue's rules behind topics.
 * The network may do worse than MQTT allows: repeat, delay, reorder and lose single packets. */
#ifndef AUTOMAT_TESTS_DEVICE_FAKE_MQTT_H
#define AUTOMAT_TESTS_DEVICE_FAKE_MQTT_H

#include "device/device_mqtt.h"
#include "device/fake.h"

#include <stdio.h>

#define HOP_PACKETS_MAX 256
#define HOP_FLIGHT_MAX  64
#define HOP_BODY_BYTES  4096

struct hop_message {
    bool used;
    uint64_t id; /* handle of the client; number of the server */
    uint8_t qos;
    char topic[WIRE_TOPIC_BYTES];
    char body[HOP_BODY_BYTES];
    size_t body_len;
};

enum hop_kind { HOP_UP, HOP_DOWN, HOP_UP_ACK, HOP_DOWN_ACK, HOP_CONNACK, HOP_SUBACK };

struct hop_packet {
    bool used;
    enum hop_kind kind;
    uint32_t connection; /* it travels on; the packet dies with it */
    int64_t due_ms;
    uint64_t order;
    uint8_t reason;
    bool session;
    struct hop_message message;
};

struct hop {
    struct fake fake; /* first: the host's context */
    struct device_mqtt mqtt;
    bool http;       /* the road in use */
    uint8_t refusal; /* 0: 0x80 */
    bool v311;       /* a PUBACK says nothing */
    struct hop_packet packet[HOP_PACKETS_MAX];
    uint64_t order, handle;

    /* the client */
    bool linked; /* CONNACK was good */
    uint32_t connection;
    int64_t connect_ms; /* when to try again */
    struct hop_message flight[HOP_FLIGHT_MAX];

    /* the server */
    bool session;
    uint32_t subscribed;
    struct hop_message out[HOP_FLIGHT_MAX];
    struct id128 journal_id; /* of the last hello */
    uint64_t head_shown;
    int64_t show_ms;
    uint32_t offers, controls, retained;
    char state[256]; /* the retained one */

    /* faults, as probabilities of a packet or a turn */
    double lose, repeat, delay, part, forget, handle_unacked, reboot, change_road;
    bool doomed;
    bool down; /* nobody listens */
};

static inline struct hop *hop_of(void *context)
{
    return context;
}

/* ---- packets ---- */

static inline void hop_put(struct hop *hop, const struct hop_packet *packet)
{
    struct rng *rng = &hop->fake.rng;
    for (int copies = rng_chance(rng, hop->repeat) ? 2 : 1; copies > 0; copies--) {
        size_t i = 0;
        while (i < HOP_PACKETS_MAX && hop->packet[i].used)
            i++;
        if (i == HOP_PACKETS_MAX || rng_chance(rng, hop->lose)) {
            hop->doomed = true; /* keep-alive will find out */
            continue;
        }
        hop->packet[i] = *packet;
        hop->packet[i].used = true;
        hop->packet[i].connection = hop->connection;
        hop->packet[i].order = hop->order++;
        hop->packet[i].due_ms = hop->fake.now_ms + 5;
        if (rng_chance(rng, hop->delay))
            hop->packet[i].due_ms += rng_below(rng, 6000);
    }
}

static inline void hop_part(struct hop *hop)
{
    if (hop->linked)
        device_mqtt_on_lost(&hop->mqtt);
    hop->linked = hop->doomed = false;
    hop->connection++; /* what is on its way dies */
    hop->connect_ms = hop->fake.now_ms + 200 + rng_below(&hop->fake.rng, 2000);
    (void)snprintf(hop->state, sizeof(hop->state), "{\"state\":\"offline\"}"); /* the will */
}

/* ---- the client ---- */

static inline enum err hop_publish(void *context, struct str topic, struct str payload, uint8_t qos,
                                   bool retain, uint64_t *ret_handle)
{
    struct hop *hop = hop_of(context);
    struct hop_packet packet = {.kind = HOP_UP};
    CHECK(hop->linked);
    CHECK(payload.len <= HOP_BODY_BYTES);
    CHECK_EQ(retain, topic.len > 6 && memcmp(topic.at + topic.len - 6, "/state", 6) == 0);
    packet.message = (struct hop_message){.used = true, .id = ++hop->handle, .qos = qos};
    CHECK_OK(str_copy(packet.message.topic, sizeof(packet.message.topic), topic));
    memcpy(packet.message.body, payload.at, payload.len);
    packet.message.body_len = payload.len;
    if (qos > 0) {
        size_t i = 0;
        while (i < HOP_FLIGHT_MAX && hop->flight[i].used)
            i++;
        if (i == HOP_FLIGHT_MAX)
            return ERR_FULL;
        hop->flight[i] = packet.message;
        *ret_handle = hop->handle;
    }
    hop_put(hop, &packet);
    return ERR_OK;
}

static inline enum err hop_subscribe(void *context, struct str filter)
{
    struct hop *hop = hop_of(context);
    struct hop_packet packet = {.kind = HOP_SUBACK};
    CHECK(hop->linked);
    CHECK(str_starts(filter, STR("machines/m1/")));
    hop_put(hop, &packet);
    return ERR_OK;
}

static inline void hop_resend(struct hop *hop)
{
    for (size_t i = 0; i < HOP_FLIGHT_MAX; i++) {
        struct hop_packet packet = {.kind = HOP_UP, .message = hop->flight[i]};
        if (hop->flight[i].used)
            hop_put(hop, &packet);
    }
}

static inline void hop_on_connack(struct hop *hop, bool session)
{
    hop->linked = true;
    if (!session)
        memset(hop->flight, 0, sizeof(hop->flight)); /* nobody remembers: never told */
    device_mqtt_on_connected(&hop->mqtt);
    hop_resend(hop);
}

/* ---- the server ---- */

static inline void hop_send_down(struct hop *hop, enum wire_topic topic, const struct text *body)
{
    char name[WIRE_TOPIC_BYTES];
    struct text text;
    size_t i = 0;
    if (!hop->session)
        return;
    while (i < HOP_FLIGHT_MAX && hop->out[i].used)
        i++;
    if (i == HOP_FLIGHT_MAX) {
        memmove(&hop->out[0], &hop->out[1], sizeof(hop->out[0]) * (HOP_FLIGHT_MAX - 1));
        i = HOP_FLIGHT_MAX - 1; /* the oldest gives way */
    }
    CHECK(!body->overflow && body->len <= HOP_BODY_BYTES);
    text_init(&text, name, sizeof(name));
    wire_topic_add(&text, topic, STR("m1"), STR_NONE);
    struct hop_message *message = &hop->out[i];
    *message = (struct hop_message){.used = true, .id = ++hop->handle, .qos = 1};
    CHECK_OK(str_copy(message->topic, sizeof(message->topic), (struct str){text.at, text.len}));
    memcpy(message->body, body->at, body->len);
    message->body_len = body->len;
    struct hop_packet packet = {.kind = HOP_DOWN, .message = *message};
    hop_put(hop, &packet);
}

static inline void hop_show_head(struct hop *hop)
{
    char storage[2048];
    struct text text;
    struct fake *fake = &hop->fake;
    struct fake_command *command = fake_head(fake, hop->journal_id);
    hop->show_ms = fake->now_ms + 30000;
    hop->head_shown = command != NULL ? command->command_id : 0;
    if (command == NULL || id128_is_zero(hop->journal_id))
        return;
    bool running = command->state == FAKE_RUNNING;
    struct wire_offer offer = {.command_id = command->command_id,
                               .uid = command->uid,
                               .payload = str_from(fake->payload),
                               .execute_allowed = true,
                               .running = running,
                               .has_claim = running,
                               .claim_id = command->claim_id};
    if (running)
        offer.journal_id = command->journal_id;
    CHECK_OK(str_copy(offer.command, sizeof(offer.command), str_from(fake->command_name)));
    text_init(&text, storage, sizeof(storage));
    CHECK_OK(wire_offer_encode(&offer, &text));
    hop->offers++;
    hop_send_down(hop, WIRE_TOPIC_OFFER, &text);
}

static inline void hop_hello(struct hop *hop, struct fake_exchange *exchange)
{
    char storage[2048];
    struct text text;
    struct wire_hello hello;
    struct wire_welcome welcome;
    text_init(&text, exchange->answer, sizeof(exchange->answer));
    (void)fake_on_hello(&hop->fake, exchange, &text);
    CHECK_OK(wire_hello_decode((struct str){exchange->body, exchange->body_len}, &hello, NULL));
    CHECK_OK(wire_welcome_decode((struct str){text.at, text.len}, &welcome, NULL));
    hop->journal_id = hello.journal_id;
    welcome.boot_id = hello.boot_id;
    text_init(&text, storage, sizeof(storage));
    CHECK_OK(wire_welcome_encode(&welcome, &text));
    hop_send_down(hop, WIRE_TOPIC_CONFIG, &text);
    if (!hop->fake.waiting)
        hop_show_head(hop);
}

static inline void hop_claim(struct hop *hop, const struct fake_exchange *exchange)
{
    char storage[1024];
    struct text text;
    struct wire_claim claim;
    struct wire_answer answer = {.command_id = 0};
    struct wire_problem problem;
    CHECK_OK(wire_claim_decode((struct str){exchange->body, exchange->body_len}, &claim, NULL));
    CHECK(claim.command_id > 0 && claim.command_id <= hop->fake.command_count);
    struct wire_report report = {
        .has_claim = true, .claim_id = claim.claim_id, .journal_id = claim.journal_id};
    struct wire_claim_result result = {
        .command_id = claim.command_id, .uid = claim.uid, .claim_id = claim.claim_id};
    text_init(&text, storage, sizeof(storage));
    uint32_t status =
        fake_on_claim(&hop->fake, &hop->fake.command[claim.command_id - 1], &report, &text);
    if (status == 200) {
        CHECK_OK(wire_answer_decode((struct str){text.at, text.len}, &answer, NULL));
        result.granted = true;
        result.start_within_ms = answer.start_within_ms;
        result.max_duration_s = answer.max_duration_s;
        result.stop = answer.stop;
    } else {
        CHECK_OK(wire_problem_decode((struct str){text.at, text.len}, &problem, NULL));
        memcpy(result.code, problem.code, sizeof(result.code));
    }
    text_init(&text, storage, sizeof(storage));
    CHECK_OK(wire_claim_result_encode(&result, &text));
    hop_send_down(hop, WIRE_TOPIC_CLAIM_RESULT, &text);
}

static inline uint8_t hop_report(struct hop *hop, struct fake_exchange *exchange)
{
    struct text text;
    struct wire_report report;
    struct str body = {exchange->body, exchange->body_len};
    CHECK_OK(wire_report_decode(body, &report, NULL));
    CHECK(report.command_id > 0 && report.status != WIRE_CLAIM);
    text_init(&text, exchange->answer, sizeof(exchange->answer));
    uint32_t status = fake_on_update(&hop->fake, exchange, report.command_id, &text);
    hop->head_shown = UINT64_MAX; /* something changed: show what is next */
    if (status == 200 || hop->v311)
        return 0;
    return hop->refusal != 0 ? hop->refusal : DEVICE_MQTT_REFUSED;
}

static inline void hop_progress(struct hop *hop, struct fake_exchange *exchange)
{
    char storage[512];
    struct text text;
    struct wire_value root, number;
    uint64_t command_id = 0;
    CHECK_OK(wire_open((struct str){exchange->body, exchange->body_len}, &root, NULL));
    if (!wire_find(root, "command_id", &number)) {
        hop->fake.machine_progresses++;
        return;
    }
    CHECK_OK(wire_get_u64(number, &command_id));
    text_init(&text, storage, sizeof(storage));
    (void)fake_on_progress(&hop->fake, exchange, command_id, &text);
    const struct fake_command *command = &hop->fake.command[command_id - 1];
    if (!command->stop && command->state == FAKE_RUNNING)
        return;
    const struct wire_stop stop = {command_id, command->uid, command->claim_id};
    text_init(&text, storage, sizeof(storage));
    CHECK_OK(wire_stop_encode(&stop, &text));
    hop_send_down(hop, WIRE_TOPIC_STOP, &text);
}

static inline void hop_on_up(struct hop *hop, const struct hop_message *message)
{
    struct fake_exchange exchange = {.method = DEVICE_POST};
    struct hop_packet ack = {.kind = HOP_UP_ACK, .message = {.id = message->id}};
    enum wire_topic topic;
    struct str machine_id;
    CHECK(wire_topic_read(str_from(message->topic), &topic, &machine_id, NULL));
    CHECK_SLICE(machine_id, "m1");
    memcpy(exchange.body, message->body, message->body_len);
    exchange.body_len = message->body_len;
    if (topic == WIRE_TOPIC_HELLO) {
        hop_hello(hop, &exchange);
    } else if (topic == WIRE_TOPIC_STATE) {
        hop->retained++;
        (void)snprintf(hop->state, sizeof(hop->state), "%.*s", (int)message->body_len,
                       message->body);
    } else if (hop->fake.waiting) {
        return; /* only hello is listened to */
    } else if (topic == WIRE_TOPIC_CLAIM) {
        hop_claim(hop, &exchange);
    } else if (topic == WIRE_TOPIC_REPORT) {
        ack.reason = hop_report(hop, &exchange);
    } else {
        CHECK_EQ(topic, WIRE_TOPIC_PROGRESS);
        CHECK_EQ(message->qos, 0);
        hop_progress(hop, &exchange);
    }
    if (message->qos == 0)
        return;
    if (rng_chance(&hop->fake.rng, hop->handle_unacked)) {
        hop_part(hop); /* done, and it broke before anybody heard */
        return;
    }
    hop_put(hop, &ack);
}

/* ---- one turn ---- */

static inline void hop_arrive(struct hop *hop, struct hop_packet *packet)
{
    struct hop_packet now = *packet;
    packet->used = false;
    if (now.connection != hop->connection)
        return;
    switch (now.kind) {
    case HOP_CONNACK:
        hop_on_connack(hop, now.session);
        break;
    case HOP_SUBACK:
        if (device_mqtt_on_subscribed(&hop->mqtt, true) && !hop->http)
            device_road_switch(&hop->fake.device);
        if (++hop->subscribed % DEVICE_MQTT_FILTERS == 0) {
            for (size_t i = 0; i < HOP_FLIGHT_MAX; i++) {
                struct hop_packet again = {.kind = HOP_DOWN, .message = hop->out[i]};
                if (hop->out[i].used)
                    hop_put(hop, &again);
            }
            hop->head_shown = UINT64_MAX;
        }
        break;
    case HOP_UP:
        hop_on_up(hop, &now.message);
        break;
    case HOP_UP_ACK:
        for (size_t i = 0; i < HOP_FLIGHT_MAX; i++) {
            if (hop->flight[i].used && hop->flight[i].id == now.message.id) {
                hop->flight[i].used = false;
                device_mqtt_on_published(&hop->mqtt, now.message.id, now.reason);
            }
        }
        break;
    case HOP_DOWN:
        device_mqtt_on_message(&hop->mqtt, str_from(now.message.topic),
                               (struct str){now.message.body, now.message.body_len});
        now.kind = HOP_DOWN_ACK;
        hop_put(hop, &now);
        break;
    case HOP_DOWN_ACK:
        for (size_t i = 0; i < HOP_FLIGHT_MAX; i++) {
            if (hop->out[i].used && hop->out[i].id == now.message.id)
                hop->out[i].used = false;
        }
        break;
    }
}

static inline struct hop_packet *hop_first(struct hop *hop)
{
    struct hop_packet *first = NULL;
    for (size_t i = 0; i < HOP_PACKETS_MAX; i++) {
        struct hop_packet *packet = &hop->packet[i];
        if (packet->used && (first == NULL || packet->due_ms < first->due_ms ||
                             (packet->due_ms == first->due_ms && packet->order < first->order)))
            first = packet;
    }
    return first;
}

static inline void hop_connect(struct hop *hop)
{
    struct hop_packet packet = {.kind = HOP_CONNACK};
    if (hop->down)
        return;
    if (rng_chance(&hop->fake.rng, hop->forget)) {
        hop->session = false;
        memset(hop->out, 0, sizeof(hop->out));
    }
    packet.session = hop->session;
    hop->session = true;
    hop->subscribed = 0;
    hop->connection++;
    hop->connect_ms = hop->fake.now_ms + 5000; /* if no CONNACK comes */
    hop_put(hop, &packet);
}

static inline enum err hop_road_send(void *context, const struct device_exchange *exchange)
{
    struct hop *hop = hop_of(context);
    if (hop->http)
        return fake_send(context, exchange);
    hop->fake.sent++;
    return device_mqtt_send(&hop->mqtt, exchange);
}

static inline void hop_boot(struct hop *hop)
{
    struct fake *fake = &hop->fake;
    const struct device_hal hal = {
        .context = hop,
        .mono_ms = fake_mono,
        .random = fake_random,
        .send = hop_road_send,
        .flash = {.sector_bytes = FAKE_SECTOR_BYTES,
                  .read = fake_read,
                  .write = fake_write,
                  .erase = fake_erase},
    };
    const struct device_mqtt_host host = {hop, hop_publish, hop_subscribe};
    struct device_options options = fake_options(fake);
    memset(&fake->device, 0xA5, sizeof(fake->device));
    fake->boot++;
    fake->powered = true;
    hop->linked = false;
    hop->connection++;
    hop->connect_ms = fake->now_ms;
    memset(hop->flight, 0, sizeof(hop->flight));
    CHECK_OK(device_mqtt_init(&hop->mqtt, &fake->device, STR("m1"), &host));
    if (setjmp(fake->power_gone) == 0) {
        fake->running_code = true;
        CHECK_OK(device_init(&fake->device, &options, &hal));
    }
    fake->running_code = false;
}

static inline void hop_change_road(struct hop *hop)
{
    hop->http = !hop->http;
    device_mqtt_release(&hop->mqtt);
    for (unsigned i = 0; i < FAKE_EXCHANGES_MAX; i++) {
        if (!hop->fake.exchange[i].handled) /* curl gives up; it may arrive all the same */
            hop->fake.exchange[i].error = true;
    }
    device_road_switch(&hop->fake.device);
}

static inline void hop_program(struct hop *hop)
{
    struct fake *fake = &hop->fake;
    struct hop_packet *packet;
    while ((packet = hop_first(hop)) != NULL && packet->due_ms <= fake->now_ms)
        hop_arrive(hop, packet);
    if (!hop->linked && fake->now_ms >= hop->connect_ms)
        hop_connect(hop);
    if (hop->linked &&
        (rng_chance(&fake->rng, hop->part) || (hop->doomed && rng_chance(&fake->rng, 0.01))))
        hop_part(hop);
    if (rng_chance(&fake->rng, hop->change_road))
        hop_change_road(hop);
    device_mqtt_step(&hop->mqtt);
    fake->wait_ms = device_step(&fake->device);
    uint32_t wait = device_mqtt_wait(&hop->mqtt);
    if (wait < fake->wait_ms)
        fake->wait_ms = wait;
}

static inline void hop_server(struct hop *hop)
{
    struct fake *fake = &hop->fake;
    fake_silence(fake);
    const struct fake_command *head = fake_head(fake, hop->journal_id);
    if ((head != NULL && head->command_id != hop->head_shown) || fake->now_ms >= hop->show_ms)
        hop_show_head(hop);
}

static inline void hop_turn(struct hop *hop)
{
    struct fake *fake = &hop->fake;
    fake->wait_ms = 200;
    if (setjmp(fake->power_gone) == 0) {
        fake->running_code = true;
        fake_network(fake);
        hop_program(hop);
        if (rng_chance(&fake->rng, hop->reboot))
            fake_power_off(fake);
    }
    fake->running_code = false;
    hop_server(hop);
    fake_check_rules(fake);
    int64_t next = fake->now_ms + fake->wait_ms / fake->speed;
    const struct hop_packet *packet = hop_first(hop);
    if (packet != NULL && packet->due_ms < next)
        next = packet->due_ms;
    if (fake_network_due(fake) < next)
        next = fake_network_due(fake);
    if (next > fake->now_ms + 500)
        next = fake->now_ms + 500;
    fake->now_ms = next > fake->now_ms ? next : fake->now_ms + 1;
}

static inline void hop_run(struct hop *hop, int64_t ms)
{
    int64_t until = hop->fake.now_ms + ms;
    while (hop->fake.now_ms < until) {
        if (!hop->fake.powered) {
            hop_part(hop);
            hop->fake.now_ms += 500;
            hop_boot(hop);
        }
        hop_turn(hop);
    }
}

static inline bool hop_settle(struct hop *hop, int64_t ms)
{
    int64_t until = hop->fake.now_ms + ms;
    while (hop->fake.now_ms < until) {
        bool open = false;
        for (uint32_t i = 0; i < hop->fake.command_count; i++)
            open = open || hop->fake.command[i].state == FAKE_PENDING ||
                   hop->fake.command[i].state == FAKE_RUNNING;
        if (!open)
            return true;
        hop_run(hop, 100);
    }
    return false;
}

static inline void hop_init(struct hop *hop, uint64_t seed)
{
    memset(hop, 0, sizeof(*hop));
    fake_init(&hop->fake, seed);
    hop->fake.wait_s = 10;
    hop->fake.timeout_ms = 4000;
}

#endif
