/* A broker with a store in memory (or on a disk that can fail), a wall clock of the test's, and
 * clients that are streams in memory. */
#ifndef AUTOMAT_TESTS_BROKER_KIT_H
#define AUTOMAT_TESTS_BROKER_KIT_H

#include <stdio.h>
#include <string.h>

#include "broker/broker.h"
#include "kit/kit.h"
#include "store/store_fault.h"

#define PACKETS_MAX 512
#define HELD_MAX    64

/* ---- one client ---- */

struct peer {
    struct stream stream; /* first */
    const struct stream_user *user;
    void *cookie;
    enum mqtt_version version;
    struct buf out; /* what the server wrote and we did not read yet */
    struct arena arena;
    size_t room; /* bytes it still takes; SIZE_MAX: all */
    bool closed, paused;
};

static inline void peer_open(struct stream *stream, const struct stream_user *user, void *cookie)
{
    struct peer *peer = (struct peer *)stream;
    peer->user = user;
    peer->cookie = cookie;
}

static inline size_t peer_write(struct stream *stream, const uint8_t *bytes, size_t len)
{
    struct peer *peer = (struct peer *)stream;
    size_t take = len < peer->room ? len : peer->room;
    if (peer->room != SIZE_MAX)
        peer->room -= take;
    if (buf_add(&peer->out, bytes, take) != ERR_OK)
        return 0;
    return take;
}

static inline void peer_pause(struct stream *stream, bool paused)
{
    ((struct peer *)stream)->paused = paused;
}

static inline void peer_close(struct stream *stream)
{
    ((struct peer *)stream)->closed = true;
}

static const struct stream_ops peer_ops = {peer_open, peer_write, peer_pause, peer_close};

/* ---- the world ---- */

enum kit_mode { KIT_STORE, KIT_HOLD, KIT_OK, KIT_REFUSED, KIT_BAD, KIT_LATER };

struct world {
    struct loop *loop;
    struct store_fault_disk *disk;
    struct store *store;
    struct broker *broker;
    int64_t wall_ms, mono_ms;
    struct broker_options options;
    enum kit_mode mode;
    struct bus_pending *held[HELD_MAX];
    uint32_t held_count, handled;
    char last_topic[600], last_actor[128];
    bool last_pending;
    struct kit_insert *inserts; /* on their way */
    uint32_t opened, closed, seen, subscribed;
    uint32_t handed, handed_acked;
};

struct kit_insert {
    struct store_job job;
    struct kit_insert *prev, *next;
    struct world *world;
    struct bus_pending *pending;
    struct store_rider receipt;
    char payload[128];
};

static const char *const kit_sql[] = {"INSERT INTO kit_rows (payload) VALUES (?1)",
                                      "SELECT count(*) FROM kit_rows WHERE payload = ?1"};
static struct store_statements kit_statements = {"kit", kit_sql, 2, 0};

static inline enum err kit_insert_run(struct store_job *job, struct store_db *db)
{
    struct kit_insert *insert = (struct kit_insert *)job;
    struct store_stmt *stmt = store_prepare(db, &kit_statements, 0);
    store_bind_text(stmt, 1, str_from(insert->payload));
    enum err err = store_exec(db, stmt, NULL);
    return err == ERR_OK ? store_ride(db, &insert->receipt) : err;
}

static inline void kit_insert_free(struct kit_insert *insert)
{
    if (insert->prev != NULL)
        insert->prev->next = insert->next;
    else
        insert->world->inserts = insert->next;
    if (insert->next != NULL)
        insert->next->prev = insert->prev;
    mem_free(insert);
}

static inline void kit_insert_done(struct store_job *job, enum err err)
{
    struct kit_insert *insert = (struct kit_insert *)job;
    bus_done(insert->pending, err == ERR_OK ? BUS_OK : BUS_LATER);
    kit_insert_free(insert);
}

static inline void kit_handle(void *cookie, const struct bus_message *message,
                              struct bus_pending *pending)
{
    struct world *world = cookie;
    world->handled++;
    world->last_pending = pending != NULL;
    (void)!str_copy(world->last_topic, sizeof(world->last_topic), message->topic);
    (void)!str_copy(world->last_actor, sizeof(world->last_actor), message->from.actor);
    CHECK(message->request_id[0] == 'm');
    static const enum bus_verdict verdicts[] = {[KIT_OK] = BUS_OK,
                                                [KIT_REFUSED] = BUS_REFUSED,
                                                [KIT_BAD] = BUS_BAD_PAYLOAD,
                                                [KIT_LATER] = BUS_LATER};
    if (pending == NULL)
        return;
    if (world->mode == KIT_HOLD) {
        CHECK(world->held_count < HELD_MAX);
        world->held[world->held_count++] = pending;
    } else if (world->mode == KIT_STORE) {
        struct kit_insert *insert = mem_zalloc(sizeof(*insert));
        if (insert == NULL) {
            bus_done(pending, BUS_LATER);
            return;
        }
        insert->job = (struct store_job){kit_insert_run, kit_insert_done, .again = true};
        insert->pending = pending;
        insert->world = world;
        insert->next = world->inserts;
        if (insert->next != NULL)
            insert->next->prev = insert;
        world->inserts = insert;
        insert->receipt = message->receipt;
        (void)!str_copy(insert->payload, sizeof(insert->payload), message->payload);
        if (store_write(world->store, &insert->job) != ERR_OK)
            kit_insert_done(&insert->job, ERR_FULL);
    } else {
        bus_done(pending, verdicts[world->mode]);
    }
}

static inline void kit_handle_volatile(void *cookie, const struct bus_message *message,
                                       struct bus_pending *pending)
{
    CHECK(pending == NULL);
    kit_handle(cookie, message, NULL);
}

static const struct bus_handler kit_handlers[] = {
    {.filter = "sensor/+/+", .handle = kit_handle},
    {.filter = "machines/+/progress", .is_volatile = true, .handle = kit_handle_volatile},
    {.filter = "machines/+/state", .handle = kit_handle},
    {.filter = "machines/+/hello", .handle = kit_handle},
    {.filter = "window/+/control", .consumed = true, .handle = kit_handle},
    {.filter = NULL}};

/* Users: "staff", "admin", "open", "nobody" (refused), "new-X": device X that waits, else a device
 * of that name. */
static inline enum mqtt_reason kit_authenticate(void *cookie,
                                                const struct broker_credentials *credentials,
                                                struct broker_identity *ret_identity)
{
    (void)cookie;
    struct str user = credentials->user;
    *ret_identity = (struct broker_identity){.role = BUS_DEVICE};
    if (str_equal(user, STR("nobody")))
        return MQTT_BAD_CREDENTIALS;
    if (str_equal(user, STR("staff")))
        ret_identity->role = BUS_STAFF;
    else if (str_equal(user, STR("admin")))
        ret_identity->role = BUS_ADMIN;
    else if (str_equal(user, STR("open")))
        ret_identity->role = BUS_OPEN;
    if (ret_identity->role == BUS_DEVICE) {
        ret_identity->waiting = str_starts(user, STR("new-"));
        if (ret_identity->waiting)
            user = str_slice(user, 4, user.len);
        (void)!str_copy(ret_identity->machine_id, sizeof(ret_identity->machine_id), user);
        ret_identity->credential_id = 7;
    } else {
        ret_identity->credential_id = 8;
    }
    snprintf(ret_identity->actor, sizeof(ret_identity->actor), "%s:%.*s",
             ret_identity->role == BUS_DEVICE ? "machine" : "token", STR_ARG(user));
    return MQTT_SUCCESS;
}

static inline void kit_presence(void *cookie, struct str machine_id, bool opened, bool closed,
                                bool seen)
{
    struct world *world = cookie;
    CHECK(machine_id.len > 0);
    world->opened += opened;
    world->closed += closed;
    world->seen += seen;
}

static inline void kit_subscribed(void *cookie, const struct bus_from *from, struct str filter)
{
    struct world *world = cookie;
    CHECK(from->actor.len > 0 && filter.len > 0);
    world->subscribed++;
}

static inline void kit_handed(void *cookie, struct str client_id, bool acknowledged)
{
    struct world *world = cookie;
    CHECK(client_id.len > 0);
    world->handed++;
    world->handed_acked += acknowledged;
}

static inline int64_t kit_wall(void *clock)
{
    return ((struct world *)clock)->wall_ms;
}

static inline enum err world_broker(struct world *world)
{
    world->options.loop = world->loop;
    world->options.store = world->store;
    world->options.wall_ms = kit_wall;
    world->options.clock = world;
    world->options.gate =
        (struct broker_gate){world, kit_authenticate, kit_presence, kit_subscribed};
    world->options.handlers = kit_handlers;
    world->options.handler_cookie = world;
    return broker_create(&world->options, &world->broker);
}

static inline void world_store(struct world *world)
{
    static struct store_migration migrations[3];
    char why[512] = "";
    migrations[0] = (struct store_migration){
        1, "broker",
        kit_read_file(kit_path(AUTOMAT_SOURCE_DIR, "src/broker/migrations/0006_broker.sql"), NULL)};
    migrations[1] = (struct store_migration){
        2, "kit", "CREATE TABLE kit_rows (id INTEGER PRIMARY KEY, payload TEXT NOT NULL);"};
    migrations[2] = (struct store_migration){0, NULL, NULL};
    struct store_options options = {.migrations = migrations, .inline_jobs = true};
    if (world->disk != NULL) {
        options.path = "a.db";
        options.vfs = store_fault_vfs_name(world->disk);
    }
    enum err err = store_open(NULL, &options, why, sizeof(why), &world->store);
    NOTE("%s", why);
    CHECK_OK(err);
}

static inline void world_init(struct world *world, bool disk)
{
    *world = (struct world){.wall_ms = 1700000000000, .mono_ms = 1000};
    CHECK_OK(loop_create(&world->loop));
    if (disk)
        CHECK_OK(store_fault_disk_create(1, &world->disk));
    world_store(world);
}

static inline void world_start(struct world *world, bool disk)
{
    world_init(world, disk);
    CHECK_OK(world_broker(world));
}

/* Everything that is ready, on the loop and in the store. */
static inline void world_turn(struct world *world)
{
    for (int i = 0; i < 8; i++) {
        loop_turn(world->loop);
        if (world->store != NULL)
            store_step(world->store, 0);
    }
}

static inline void world_tick(struct world *world, int64_t ms)
{
    world->wall_ms += ms;
    world->mono_ms += ms;
    broker_tick(world->broker, world->wall_ms, world->mono_ms);
    world_turn(world);
}

static inline void world_finish(struct world *world)
{
    store_close(world->store);
    broker_destroy(world->broker);
    loop_turn(world->loop);
    loop_destroy(world->loop);
    store_fault_disk_destroy(world->disk);
}

/* The process is killed, and started anew on the same disk. */
static inline void world_crash(struct world *world)
{
    store_crash(world->store);
    while (world->inserts != NULL)
        kit_insert_free(world->inserts);
    world->store = NULL;
    broker_destroy(world->broker);
    loop_turn(world->loop);
    loop_turn(world->loop);
    store_fault_crash(world->disk);
    world_store(world);
    CHECK_OK(world_broker(world));
}

/* Stopped in order, and started anew. */
static inline void world_restart(struct world *world)
{
    store_close(world->store);
    broker_destroy(world->broker);
    loop_turn(world->loop);
    loop_turn(world->loop);
    world_store(world);
    CHECK_OK(world_broker(world));
}

struct kit_count {
    struct store_job job;
    const char *payload;
    int64_t count;
};

static inline enum err kit_count_run(struct store_job *job, struct store_db *db)
{
    struct kit_count *count = (struct kit_count *)job;
    struct store_stmt *stmt = store_prepare(db, &kit_statements, 1);
    store_bind_text(stmt, 1, str_from(count->payload));
    enum err err = store_row(stmt);
    if (err == ERR_OK)
        count->count = store_col_i64(stmt, 0);
    return err;
}

static inline int64_t world_rows(struct world *world, const char *payload)
{
    struct kit_count count = {.job = {.run = kit_count_run}, .payload = payload};
    CHECK_OK(store_run_now(world->store, &count.job));
    return count.count;
}

static inline struct broker_stats world_stats(struct world *world)
{
    struct broker_stats stats;
    broker_stats_get(world->broker, &stats);
    return stats;
}

/* ---- what a client does ---- */

static inline void peer_send(struct peer *peer, const struct mqtt_packet *packet)
{
    static uint8_t bytes[300 * 1024];
    size_t len = mqtt_encode(packet, peer->version, bytes, sizeof(bytes));
    CHECK(len > 0);
    CHECK(!peer->closed);
    peer->user->on_bytes(peer->cookie, bytes, len);
}

static inline void peer_attach(struct world *world, struct peer *peer)
{
    *peer = (struct peer){.stream = {&peer_ops}, .version = MQTT_V311, .room = SIZE_MAX};
    buf_init(&peer->out, 16 * MIB);
    arena_init(&peer->arena, 64 * MIB);
    CHECK_OK(mqtt_server_adopt(broker_server(world->broker), &peer->stream, "127.0.0.1", false));
}

/* The network is lost, without a word. */
static inline void peer_lose(struct peer *peer)
{
    if (!peer->closed && peer->user != NULL)
        peer->user->on_gone(peer->cookie, ERR_CLOSED);
    peer->closed = true;
    buf_finish(&peer->out);
    arena_finish(&peer->arena);
}

/* The next packet from the server; false: none. */
static inline bool peer_next(struct peer *peer, struct mqtt_packet *ret_packet)
{
    size_t bytes;
    struct mqtt_fault fault;
    if (mqtt_frame(buf_str(&peer->out), MIB, &bytes, &fault) != ERR_OK)
        return false;
    char *copy = arena_alloc(&peer->arena, bytes);
    CHECK(copy != NULL);
    memcpy(copy, peer->out.at, bytes);
    buf_consume(&peer->out, bytes);
    CHECK_OK(mqtt_decode((struct str){copy, bytes}, peer->version, ret_packet, &fault));
    return true;
}

static inline struct mqtt_packet peer_expect(struct peer *peer, enum mqtt_type type)
{
    struct mqtt_packet packet = {0};
    CHECK(peer_next(peer, &packet));
    NOTE("got %s", mqtt_type_name(packet.type));
    CHECK_EQ(packet.type, type);
    return packet;
}

static inline void peer_expect_nothing(struct peer *peer)
{
    struct mqtt_packet packet;
    bool more = peer_next(peer, &packet);
    if (more)
        NOTE("got %s", mqtt_type_name(packet.type));
    CHECK(!more);
}

static inline void peer_expect_message(struct peer *peer, const char *topic, const char *payload)
{
    struct mqtt_packet packet = peer_expect(peer, MQTT_PUBLISH);
    CHECK_SLICE(packet.publish.topic, topic);
    CHECK_SLICE(packet.publish.payload, payload);
}

static inline void peer_expect_ack(struct peer *peer, enum mqtt_type type, uint16_t packet_id,
                                   enum mqtt_reason reason)
{
    struct mqtt_packet packet = peer_expect(peer, type);
    CHECK_EQ(packet.ack.packet_id, packet_id);
    CHECK_EQ(packet.ack.reason, reason);
}

static inline struct mqtt_packet kit_connect(const char *user, const char *client_id,
                                             bool clean_start)
{
    return (struct mqtt_packet){.type = MQTT_CONNECT,
                                .connect = {.version = MQTT_V311,
                                            .clean_start = clean_start,
                                            .client_id = str_from(client_id),
                                            .has_user = true,
                                            .user = str_from(user),
                                            .has_password = true,
                                            .password = STR("secret")}};
}

static inline struct mqtt_packet kit_connect5(const char *user, const char *client_id,
                                              bool clean_start, uint32_t expiry_s)
{
    struct mqtt_packet packet = kit_connect(user, client_id, clean_start);
    packet.connect.version = MQTT_V5;
    packet.connect.properties.has = MQTT_HAS_SESSION_EXPIRY;
    packet.connect.properties.session_expiry_s = expiry_s;
    return packet;
}

static inline struct mqtt_connack peer_connect_with(struct world *world, struct peer *peer,
                                                    const struct mqtt_packet *packet)
{
    peer_attach(world, peer);
    peer->version = packet->connect.version;
    peer_send(peer, packet);
    world_turn(world);
    return peer_expect(peer, MQTT_CONNACK).connack;
}

/* Connected, or the test ends; whether a session was there. */
static inline bool peer_connect(struct world *world, struct peer *peer, const char *user,
                                const char *client_id, bool clean_start)
{
    struct mqtt_packet packet = kit_connect(user, client_id, clean_start);
    struct mqtt_connack connack = peer_connect_with(world, peer, &packet);
    CHECK_EQ(connack.reason, MQTT_SUCCESS);
    return connack.session_present;
}

static inline bool peer_connect5(struct world *world, struct peer *peer, const char *user,
                                 const char *client_id, bool clean_start, uint32_t expiry_s)
{
    struct mqtt_packet packet = kit_connect5(user, client_id, clean_start, expiry_s);
    struct mqtt_connack connack = peer_connect_with(world, peer, &packet);
    CHECK_EQ(connack.reason, MQTT_SUCCESS);
    return connack.session_present;
}

static inline uint8_t peer_subscribe(struct world *world, struct peer *peer, const char *filter,
                                     uint8_t qos)
{
    struct mqtt_packet packet = {.type = MQTT_SUBSCRIBE};
    packet.subscribe.packet_id = 100;
    packet.subscribe.filter_count = 1;
    packet.subscribe.filter[0] = (struct mqtt_filter){.filter = str_from(filter), .qos = qos};
    peer_send(peer, &packet);
    world_turn(world);
    struct mqtt_packet answer = peer_expect(peer, MQTT_SUBACK);
    CHECK_EQ(answer.suback.packet_id, 100);
    CHECK_EQ(answer.suback.reason_count, 1);
    return answer.suback.reason[0];
}

static inline void peer_unsubscribe(struct world *world, struct peer *peer, const char *filter)
{
    struct mqtt_packet packet = {.type = MQTT_UNSUBSCRIBE};
    packet.subscribe.packet_id = 101;
    packet.subscribe.filter_count = 1;
    packet.subscribe.filter[0] = (struct mqtt_filter){.filter = str_from(filter)};
    peer_send(peer, &packet);
    world_turn(world);
    CHECK_EQ(peer_expect(peer, MQTT_UNSUBACK).suback.packet_id, 101);
}

static inline struct mqtt_packet kit_publish(const char *topic, const char *payload, uint8_t qos,
                                             uint16_t packet_id)
{
    return (struct mqtt_packet){.type = MQTT_PUBLISH,
                                .publish = {.qos = qos,
                                            .packet_id = packet_id,
                                            .topic = str_from(topic),
                                            .payload = str_from(payload)}};
}

static inline void peer_publish(struct peer *peer, const char *topic, const char *payload,
                                uint8_t qos, uint16_t packet_id)
{
    struct mqtt_packet packet = kit_publish(topic, payload, qos, packet_id);
    peer_send(peer, &packet);
}

static inline void peer_publish_again(struct peer *peer, const char *topic, const char *payload,
                                      uint8_t qos, uint16_t packet_id)
{
    struct mqtt_packet packet = kit_publish(topic, payload, qos, packet_id);
    packet.publish.dup = true;
    peer_send(peer, &packet);
}

static inline void peer_retain(struct peer *peer, const char *topic, const char *payload,
                               uint8_t qos, uint16_t packet_id)
{
    struct mqtt_packet packet = kit_publish(topic, payload, qos, packet_id);
    packet.publish.retain = true;
    peer_send(peer, &packet);
}

static inline void peer_ack(struct peer *peer, enum mqtt_type type, uint16_t packet_id)
{
    struct mqtt_packet packet = {.type = type};
    packet.ack.type = type;
    packet.ack.packet_id = packet_id;
    peer_send(peer, &packet);
}

static inline void peer_disconnect(struct world *world, struct peer *peer)
{
    struct mqtt_packet packet = {.type = MQTT_DISCONNECT};
    peer_send(peer, &packet);
    world_turn(world);
    CHECK(peer->closed);
    peer_lose(peer);
}

#endif
