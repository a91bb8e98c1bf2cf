/* Failing allocations, and the power going at every write. */
#include "broker/broker_kit.h"

/* ---- one scenario that touches everything, and does not mind being refused ---- */

static void try_send(struct peer *peer, const struct mqtt_packet *packet)
{
    if (peer->user != NULL && !peer->closed)
        peer_send(peer, packet);
}

static void try_open(struct world *world, struct peer *peer, const struct mqtt_packet *packet)
{
    *peer =
        (struct peer){.stream = {&peer_ops}, .version = packet->connect.version, .room = SIZE_MAX};
    buf_init(&peer->out, 16 * MIB);
    arena_init(&peer->arena, 64 * MIB);
    if (mqtt_server_adopt(broker_server(world->broker), &peer->stream, "127.0.0.1", false) !=
        ERR_OK) {
        peer->user = NULL;
        return;
    }
    try_send(peer, packet);
    world_turn(world);
}

static void try_subscribe(struct world *world, struct peer *peer, const char *filter)
{
    struct mqtt_packet packet = {.type = MQTT_SUBSCRIBE};
    packet.subscribe.packet_id = 100;
    packet.subscribe.filter_count = 1;
    packet.subscribe.filter[0] = (struct mqtt_filter){.filter = str_from(filter), .qos = 1};
    try_send(peer, &packet);
    world_turn(world);
}

static void try_publish(struct peer *peer, const char *topic, uint8_t qos, uint16_t id, bool retain)
{
    struct mqtt_packet packet = kit_publish(topic, "1", qos, id);
    packet.publish.retain = retain;
    try_send(peer, &packet);
}

static void scenario(struct world *world)
{
    struct peer dash, device, staff;
    struct mqtt_packet packet = kit_connect5("staff", "dash", false, 1000);
    try_open(world, &dash, &packet);
    try_subscribe(world, &dash, "#");
    try_subscribe(world, &dash, "sensor/+/a");
    packet = kit_connect("d1", "d1", false);
    packet.connect.will = (struct mqtt_will){.present = true,
                                             .qos = 1,
                                             .retain = true,
                                             .topic = STR("machines/d1/state"),
                                             .payload = STR("x")};
    try_open(world, &device, &packet);
    try_subscribe(world, &device, "machines/d1/#");
    for (uint16_t i = 1; i <= 3; i++)
        try_publish(&device, "sensor/d1/a", (uint8_t)(i % 3), i, i == 2);
    world_turn(world);
    packet = (struct mqtt_packet){.type = MQTT_PUBREL};
    packet.ack = (struct mqtt_ack){.type = MQTT_PUBREL, .packet_id = 2};
    try_send(&device, &packet);
    packet = kit_connect5("admin", "", true, 0);
    try_open(world, &staff, &packet);
    for (uint16_t i = 1; i <= 3; i++)
        try_publish(&staff, "cafe/1", (uint8_t)(i % 3), i, true);
    struct bus_out out = {.topic = STR("machines/d1/offer"), .payload = STR("x"), .qos = 1};
    bus_publish(broker_bus(world->broker), &out);
    world_turn(world);
    world_tick(world, 1000);
    packet = kit_connect("d1", "d1", true);
    struct peer again;
    try_open(world, &again, &packet); /* takes over, and wipes */
    peer_lose(&dash);
    world_turn(world);
    broker_revoke(world->broker, STR("d1"), 0);
    peer_lose(&device);
    peer_lose(&again);
    peer_lose(&staff);
    world_turn(world);
}

TEST(a_failed_allocation_breaks_nothing)
{
    uint32_t nth = 1;
    for (;; nth++) {
        struct world world;
        NOTE("allocation %u", nth);
        world_start(&world, false);
        mem_fail_at(nth);
        scenario(&world);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        /* It goes on working. */
        struct peer peer;
        world_tick(&world, 1000);
        CHECK(!peer_connect(&world, &peer, "d7", "d7", true));
        world.mode = KIT_STORE;
        peer_publish(&peer, "sensor/d7/a", "after", 1, 9);
        world_turn(&world);
        peer_expect_ack(&peer, MQTT_PUBACK, 9, MQTT_SUCCESS);
        peer_lose(&peer);
        world_turn(&world);
        CHECK_EQ(world_stats(&world).pending, 0);
        CHECK_EQ(world_stats(&world).sessions_connected, 0);
        world_finish(&world);
        if (!fired)
            break;
    }
    CHECK(nth > 100);
}

TEST(creation_survives_failed_allocations)
{
    for (uint32_t nth = 1;; nth++) {
        struct world world;
        world_start(&world, true);
        struct peer peer;
        CHECK(!peer_connect(&world, &peer, "admin", "a", false));
        CHECK_EQ(peer_subscribe(&world, &peer, "cafe/+", 1), 1);
        peer_lose(&peer);
        CHECK(!peer_connect(&world, &peer, "admin", "b", false));
        peer_retain(&peer, "cafe/1", "x", 1, 1);
        peer_publish(&peer, "sensor/d1/a", "x", 1, 2);
        peer_publish(&peer, "sensor/d1/a", "x", 2, 3);
        world_turn(&world);
        peer_lose(&peer);
        world_turn(&world);
        store_close(world.store);
        broker_destroy(world.broker);
        world.broker = NULL;
        loop_turn(world.loop);
        loop_turn(world.loop);
        world_store(&world);
        mem_fail_at(nth);
        enum err err = world_broker(&world);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        NOTE("allocation %u: %s", nth, err_name(err));
        if (err == ERR_OK) {
            CHECK_EQ(world_stats(&world).sessions, 2);
            CHECK_EQ(world_stats(&world).retained, 1);
            CHECK_EQ(world_stats(&world).subscriptions, 1);
        } else {
            CHECK(fired);
            CHECK(world.broker == NULL);
        }
        world_finish(&world);
        if (!fired)
            break;
    }
}

/* ---- the power goes ---- */

#define MESSAGES 6

struct sent {
    bool acked[MESSAGES + 1];
};

static void collect(struct peer *peer, struct sent *sent)
{
    struct mqtt_packet packet;
    while (!peer->closed && peer_next(peer, &packet)) {
        if (packet.type == MQTT_PUBACK && packet.ack.packet_id <= MESSAGES)
            sent->acked[packet.ack.packet_id] = true;
    }
}

/* A device with a persistent session sends readings; a persistent subscriber is away.  Whenever the
 * power goes: what was acknowledged is stored, and with the rest sent again everything is stored
 * once, and the subscriber gets everything. */
static bool power_goes_at(uint64_t nth)
{
    struct world world;
    struct sent sent = {{false}};
    char text[16];
    world_start(&world, true);
    struct peer dash, device;
    CHECK(!peer_connect(&world, &dash, "staff", "dash", false));
    CHECK_EQ(peer_subscribe(&world, &dash, "sensor/#", 1), 1);
    peer_lose(&dash);
    CHECK(!peer_connect(&world, &device, "d1", "d1", false));
    world_turn(&world);
    store_fault_fail_after(world.disk, nth, STORE_FAULT_POWER, true);
    for (uint16_t i = 1; i <= MESSAGES && !device.closed; i++) {
        snprintf(text, sizeof(text), "n%d", i);
        peer_publish(&device, "sensor/d1/a", text, 1, i);
        world_turn(&world);
        collect(&device, &sent);
    }
    bool fired = store_fault_fired(world.disk);
    peer_lose(&device);
    world_crash(&world);
    for (uint16_t i = 1; i <= MESSAGES; i++) {
        snprintf(text, sizeof(text), "n%d", i);
        int64_t rows = world_rows(&world, text);
        NOTE("power at %llu, message %d", (unsigned long long)nth, i);
        CHECK(rows <= 1);
        CHECK(rows == 1 || !sent.acked[i]);
    }
    CHECK(peer_connect(&world, &device, "d1", "d1", false));
    for (uint16_t i = 1; i <= MESSAGES; i++) {
        snprintf(text, sizeof(text), "n%d", i);
        if (!sent.acked[i])
            peer_publish_again(&device, "sensor/d1/a", text, 1, i);
        world_turn(&world);
    }
    collect(&device, &sent);
    bool got[MESSAGES + 1] = {false};
    CHECK(peer_connect(&world, &dash, "staff", "dash", false));
    world_turn(&world);
    struct mqtt_packet packet;
    while (peer_next(&dash, &packet))
        got[packet.publish.payload.at[1] - '0'] = true;
    for (uint16_t i = 1; i <= MESSAGES; i++) {
        snprintf(text, sizeof(text), "n%d", i);
        NOTE("power at %llu, message %d", (unsigned long long)nth, i);
        CHECK(sent.acked[i]);
        CHECK_EQ(world_rows(&world, text), 1);
        CHECK(got[i]);
    }
    peer_lose(&device);
    peer_lose(&dash);
    world_finish(&world);
    return fired;
}

TEST(power_may_go_at_any_write)
{
    uint64_t nth = 1;
    while (power_goes_at(nth))
        nth++;
    CHECK(nth > 20);
}
