/* Sessions: what is delivered, what stays, who takes over. */
#include "broker/broker_kit.h"

TEST(a_message_reaches_who_subscribed)
{
    struct world world;
    world_start(&world, false);
    struct peer staff, device;
    CHECK(!peer_connect(&world, &staff, "staff", "dash", true));
    CHECK_EQ(peer_subscribe(&world, &staff, "sensor/#", 0), 0);
    CHECK(!peer_connect(&world, &device, "d1", "d1", true));
    peer_publish(&device, "sensor/d1/temperature", "21.5", 0, 0);
    world_turn(&world);
    CHECK_EQ(world.handled, 1);
    CHECK_STR(world.last_topic, "sensor/d1/temperature");
    CHECK_STR(world.last_actor, "machine:d1");
    peer_expect_message(&staff, "sensor/d1/temperature", "21.5");
    CHECK_EQ(world_rows(&world, "21.5"), 1);
    CHECK_EQ(world.opened, 1);
    CHECK_EQ(world.subscribed, 1);
    peer_lose(&device);
    world_turn(&world);
    CHECK_EQ(world.closed, 1);
    peer_lose(&staff);
    world_turn(&world);
    CHECK_EQ(world_stats(&world).sessions, 0);
    CHECK_EQ(world_stats(&world).subscriptions, 0);
    world_finish(&world);
}

TEST(who_is_not_known_is_refused)
{
    struct world world;
    world_start(&world, false);
    struct peer peer;
    struct mqtt_packet packet = kit_connect("nobody", "x", true);
    CHECK_EQ(peer_connect_with(&world, &peer, &packet).reason, MQTT_BAD_CREDENTIALS);
    world_turn(&world);
    CHECK(peer.closed);
    peer_lose(&peer);
    packet = kit_connect5("nobody", "x", true, 0);
    CHECK_EQ(peer_connect_with(&world, &peer, &packet).reason, MQTT_BAD_CREDENTIALS);
    peer_lose(&peer);
    CHECK_EQ(world_stats(&world).refused_connects, 2);
    world_finish(&world);
}

TEST(a_nameless_client_gets_a_name)
{
    struct world world;
    world_start(&world, false);
    struct peer peer;
    CHECK(!peer_connect(&world, &peer, "staff", "", true));
    peer_lose(&peer);
    struct mqtt_packet packet = kit_connect5("staff", "", true, 0);
    struct mqtt_connack connack = peer_connect_with(&world, &peer, &packet);
    CHECK_EQ(connack.reason, MQTT_SUCCESS);
    CHECK(connack.properties.has & MQTT_HAS_ASSIGNED_CLIENT_ID);
    CHECK(connack.properties.assigned_client_id.len > 20);
    CHECK_EQ(connack.properties.has & MQTT_HAS_MAX_QOS, 0);
    CHECK_EQ(connack.properties.receive_max, 256);
    peer_lose(&peer);
    world_finish(&world);
}

TEST(a_second_connection_takes_the_session_over)
{
    struct world world;
    world_start(&world, false);
    struct peer first, second, other;
    CHECK(!peer_connect5(&world, &first, "staff", "dash", true, 100));
    CHECK_EQ(peer_subscribe(&world, &first, "cafe/#", 1), 1);
    CHECK(peer_connect5(&world, &second, "staff", "dash", false, 100));
    CHECK_EQ(peer_expect(&first, MQTT_DISCONNECT).disconnect.reason, MQTT_SESSION_TAKEN_OVER);
    CHECK(first.closed);
    CHECK_EQ(world_stats(&world).takeovers, 1);
    CHECK(!peer_connect(&world, &other, "admin", "dash", true)); /* somebody else's name */
    CHECK(!second.closed);
    peer_publish(&other, "cafe/light", "on", 1, 5);
    world_turn(&world);
    peer_expect_ack(&other, MQTT_PUBACK, 5, MQTT_SUCCESS);
    peer_expect_message(&second, "cafe/light", "on");
    peer_expect_nothing(&first);
    CHECK_EQ(world_stats(&world).sessions_connected, 2);
    peer_lose(&first);
    peer_lose(&second);
    peer_lose(&other);
    world_finish(&world);
}

TEST(a_clean_start_forgets)
{
    struct world world;
    world_start(&world, true);
    struct peer peer, staff;
    CHECK(!peer_connect(&world, &peer, "staff", "dash", false));
    CHECK_EQ(peer_subscribe(&world, &peer, "cafe/#", 1), 1);
    peer_lose(&peer);
    CHECK(!peer_connect(&world, &staff, "admin", "a", true));
    peer_publish(&staff, "cafe/light", "on", 1, 5);
    world_turn(&world);
    CHECK(!peer_connect(&world, &peer, "staff", "dash", true));
    peer_expect_nothing(&peer);
    CHECK_EQ(world_stats(&world).subscriptions, 0);
    peer_lose(&peer);
    peer_lose(&staff);
    world_turn(&world);
    world_restart(&world);
    CHECK_EQ(world_stats(&world).sessions, 0);
    world_finish(&world);
}

/* What waits for a client, in order, as DUP when it was sent before. */
static void expect_waiting(struct peer *peer, const char *payload, bool dup, uint16_t *ret_id)
{
    struct mqtt_packet packet = peer_expect(peer, MQTT_PUBLISH);
    CHECK_SLICE(packet.publish.payload, payload);
    CHECK_EQ(packet.publish.dup, dup);
    CHECK_EQ(packet.publish.qos, 1);
    *ret_id = packet.publish.packet_id;
}

TEST(what_waits_survives_the_process)
{
    for (int how = 0; how < 2; how++) {
        struct world world;
        world_start(&world, true);
        struct peer dash, staff;
        uint16_t id, again;
        CHECK(!peer_connect(&world, &dash, "staff", "dash", false));
        CHECK_EQ(peer_subscribe(&world, &dash, "cafe/#", 1), 1);
        CHECK(!peer_connect(&world, &staff, "admin", "a", true));
        peer_publish(&staff, "cafe/1", "one", 1, 1);
        world_turn(&world);
        peer_expect_ack(&staff, MQTT_PUBACK, 1, MQTT_SUCCESS);
        expect_waiting(&dash, "one", false, &id); /* not acknowledged */
        world_turn(&world);
        peer_lose(&dash);
        world_turn(&world);
        peer_publish(&staff, "cafe/2", "two", 1, 2);
        peer_publish(&staff, "cafe/3", "three", 0, 0); /* at most once: not for who is away */
        world_turn(&world);
        peer_expect_ack(&staff, MQTT_PUBACK, 2, MQTT_SUCCESS);
        peer_lose(&staff);
        if (how == 0)
            world_crash(&world);
        else
            world_restart(&world);
        CHECK_EQ(world_stats(&world).sessions, 1);
        CHECK(peer_connect(&world, &dash, "staff", "dash", false));
        expect_waiting(&dash, "one", true, &again);
        CHECK_EQ(again, id);
        expect_waiting(&dash, "two", false, &again);
        peer_expect_nothing(&dash);
        peer_ack(&dash, MQTT_PUBACK, id);
        peer_ack(&dash, MQTT_PUBACK, again);
        world_turn(&world);
        peer_lose(&dash);
        world_turn(&world);
        world_crash(&world);
        CHECK(peer_connect(&world, &dash, "staff", "dash", false));
        peer_expect_nothing(&dash);
        peer_unsubscribe(&world, &dash, "cafe/#");
        peer_lose(&dash);
        world_turn(&world);
        world_crash(&world);
        CHECK_EQ(world_stats(&world).sessions, 1);
        CHECK_EQ(world_stats(&world).subscriptions, 0);
        world_finish(&world);
    }
}

TEST(only_a_window_is_in_flight)
{
    struct world world;
    world_init(&world, false);
    world.options.inflight_max = 4;
    CHECK_OK(world_broker(&world));
    struct peer dash, staff;
    CHECK(!peer_connect(&world, &dash, "staff", "dash", true));
    CHECK_EQ(peer_subscribe(&world, &dash, "cafe/#", 2), 1);
    CHECK(!peer_connect(&world, &staff, "admin", "a", true));
    char text[16];
    for (uint16_t i = 1; i <= 10; i++) {
        snprintf(text, sizeof(text), "%d", i);
        peer_publish(&staff, "cafe/1", text, 1, i);
    }
    world_turn(&world);
    uint16_t id, ids[11];
    for (int i = 1; i <= 4; i++) {
        snprintf(text, sizeof(text), "%d", i);
        expect_waiting(&dash, text, false, &ids[i]);
    }
    peer_expect_nothing(&dash);
    peer_ack(&dash, MQTT_PUBACK, ids[2]);
    peer_ack(&dash, MQTT_PUBACK, ids[2]); /* twice is once */
    peer_ack(&dash, MQTT_PUBACK, 999);
    world_turn(&world);
    expect_waiting(&dash, "5", false, &ids[5]);
    peer_expect_nothing(&dash);
    peer_lose(&dash);
    world_turn(&world);
    /* A small window of the client's own. */
    struct mqtt_packet packet = kit_connect5("staff", "dash", true, 0);
    packet.connect.properties.has |= MQTT_HAS_RECEIVE_MAX;
    packet.connect.properties.receive_max = 2;
    CHECK_EQ(peer_connect_with(&world, &dash, &packet).reason, MQTT_SUCCESS);
    CHECK_EQ(peer_subscribe(&world, &dash, "cafe/#", 1), 1);
    for (uint16_t i = 1; i <= 4; i++)
        peer_publish(&staff, "cafe/1", "x", 1, i);
    world_turn(&world);
    expect_waiting(&dash, "x", false, &id);
    expect_waiting(&dash, "x", false, &id);
    peer_expect_nothing(&dash);
    peer_lose(&dash);
    peer_lose(&staff);
    world_finish(&world);
}

TEST(in_flight_comes_again_in_order_with_dup)
{
    struct world world;
    world_start(&world, false);
    struct peer dash, staff;
    CHECK(!peer_connect(&world, &dash, "staff", "dash", false));
    CHECK_EQ(peer_subscribe(&world, &dash, "cafe/#", 1), 1);
    CHECK(!peer_connect(&world, &staff, "admin", "a", true));
    uint16_t id, ids[6];
    char text[16];
    for (uint16_t i = 1; i <= 5; i++) {
        snprintf(text, sizeof(text), "%d", i);
        peer_publish(&staff, "cafe/1", text, 1, i);
    }
    world_turn(&world);
    for (int i = 1; i <= 5; i++) {
        snprintf(text, sizeof(text), "%d", i);
        expect_waiting(&dash, text, false, &ids[i]);
    }
    peer_ack(&dash, MQTT_PUBACK, ids[3]);
    peer_lose(&dash);
    CHECK(peer_connect(&world, &dash, "staff", "dash", false));
    for (int i = 1; i <= 5; i++) {
        if (i == 3)
            continue;
        snprintf(text, sizeof(text), "%d", i);
        expect_waiting(&dash, text, true, &id);
        CHECK_EQ(id, ids[i]);
    }
    peer_expect_nothing(&dash);
    peer_lose(&dash);
    peer_lose(&staff);
    world_finish(&world);
}

TEST(a_long_queue_is_on_the_disk_and_comes_whole)
{
    struct world world;
    world_start(&world, false);
    struct peer dash, staff;
    CHECK(!peer_connect(&world, &dash, "staff", "dash", false));
    CHECK_EQ(peer_subscribe(&world, &dash, "cafe/#", 1), 1);
    peer_lose(&dash);
    CHECK(!peer_connect(&world, &staff, "admin", "a", true));
    char text[16];
    for (uint16_t i = 1; i <= 300; i++) {
        snprintf(text, sizeof(text), "%d", i);
        peer_publish(&staff, "cafe/1", text, 1, i);
        if (i % 50 == 0)
            world_turn(&world);
    }
    CHECK(peer_connect(&world, &dash, "staff", "dash", false));
    uint16_t id;
    for (int i = 1; i <= 300; i++) {
        snprintf(text, sizeof(text), "%d", i);
        expect_waiting(&dash, text, false, &id);
        peer_ack(&dash, MQTT_PUBACK, id);
        if (i % 10 == 0)
            world_turn(&world);
    }
    world_turn(&world);
    peer_expect_nothing(&dash);
    peer_lose(&dash);
    peer_lose(&staff);
    world_finish(&world);
}

TEST(the_oldest_gives_way)
{
    struct world world;
    world_init(&world, false);
    world.options.queued_max = 5;
    CHECK_OK(world_broker(&world));
    struct peer dash, staff;
    CHECK(!peer_connect(&world, &dash, "staff", "dash", false));
    CHECK_EQ(peer_subscribe(&world, &dash, "cafe/#", 1), 1);
    peer_lose(&dash);
    world_turn(&world);
    CHECK(!peer_connect(&world, &staff, "admin", "a", true));
    char text[16];
    for (uint16_t i = 1; i <= 8; i++) {
        snprintf(text, sizeof(text), "%d", i);
        peer_publish(&staff, "cafe/1", text, 1, i);
    }
    world_turn(&world);
    CHECK_EQ(world_stats(&world).dropped, 3);
    CHECK(peer_connect(&world, &dash, "staff", "dash", false));
    uint16_t id;
    for (int i = 4; i <= 8; i++) {
        snprintf(text, sizeof(text), "%d", i);
        expect_waiting(&dash, text, false, &id);
    }
    peer_expect_nothing(&dash);
    peer_lose(&dash);
    peer_lose(&staff);
    world_finish(&world);
}

TEST(a_slow_reader_holds_nobody_up)
{
    struct world world;
    world_start(&world, false);
    struct peer slow, staff;
    CHECK(!peer_connect(&world, &slow, "staff", "dash", true));
    CHECK_EQ(peer_subscribe(&world, &slow, "cafe/0", 0), 0);
    CHECK_EQ(peer_subscribe(&world, &slow, "cafe/1", 1), 1);
    CHECK(!peer_connect(&world, &staff, "admin", "a", true));
    slow.room = 10;
    static char big[100001];
    memset(big, 'x', 100000);
    for (uint16_t i = 1; i <= 30; i++)
        peer_publish(&staff, "cafe/0", big, 0, 0);
    world_turn(&world);
    CHECK(world_stats(&world).dropped >= 15);
    uint64_t dropped = world_stats(&world).dropped;
    for (uint16_t i = 1; i <= 60; i++)
        peer_publish(&staff, "cafe/1", big, 1, i);
    world_turn(&world);
    for (uint16_t i = 1; i <= 60; i++)
        peer_expect_ack(&staff, MQTT_PUBACK, i, MQTT_SUCCESS);
    CHECK(world_stats(&world).dropped > dropped); /* 4 MiB wait at most */
    CHECK(world_stats(&world).dropped < dropped + 30);
    slow.room = SIZE_MAX;
    slow.user->on_room(slow.cookie);
    world_turn(&world);
    uint32_t got = 0;
    struct mqtt_packet packet;
    while (peer_next(&slow, &packet)) {
        if (packet.publish.qos == 1) {
            got++;
            peer_ack(&slow, MQTT_PUBACK, packet.publish.packet_id);
        }
        world_turn(&world);
    }
    CHECK_EQ(got + world_stats(&world).dropped - dropped, 60);
    peer_lose(&slow);
    peer_lose(&staff);
    world_finish(&world);
}

TEST(a_session_ends_when_its_time_is_over)
{
    struct world world;
    world_start(&world, true);
    struct peer peer;
    CHECK(!peer_connect5(&world, &peer, "staff", "dash", false, 100));
    CHECK_EQ(peer_subscribe(&world, &peer, "cafe/#", 1), 1);
    peer_lose(&peer);
    world_tick(&world, 99000);
    CHECK_EQ(world_stats(&world).sessions, 1);
    CHECK(peer_connect5(&world, &peer, "staff", "dash", false, 100));
    world_tick(&world, 200000); /* connected: no time runs */
    CHECK_EQ(world_stats(&world).sessions, 1);
    peer_lose(&peer);
    world_turn(&world);
    world_crash(&world);
    world_tick(&world, 101000);
    CHECK_EQ(world_stats(&world).sessions, 0);
    world_crash(&world);
    CHECK_EQ(world_stats(&world).sessions, 0);
    CHECK_EQ(world_stats(&world).subscriptions, 0);
    world_finish(&world);
}

TEST(goodbye_may_change_the_expiry)
{
    struct world world;
    world_start(&world, false);
    struct peer peer;
    CHECK(!peer_connect5(&world, &peer, "staff", "dash", false, 100));
    struct mqtt_packet packet = {.type = MQTT_DISCONNECT};
    packet.disconnect.properties.has = MQTT_HAS_SESSION_EXPIRY;
    packet.disconnect.properties.session_expiry_s = 0;
    peer_send(&peer, &packet);
    world_turn(&world);
    CHECK_EQ(world_stats(&world).sessions, 0);
    peer_lose(&peer);
    world_finish(&world);
}

TEST(an_expiry_beyond_ours_is_cut_and_said)
{
    struct world world;
    world_start(&world, false);
    struct peer peer;
    struct mqtt_packet packet = kit_connect5("staff", "dash", true, UINT32_MAX);
    struct mqtt_connack connack = peer_connect_with(&world, &peer, &packet);
    CHECK(connack.properties.has & MQTT_HAS_SESSION_EXPIRY);
    CHECK_EQ(connack.properties.session_expiry_s, 7 * 24 * 3600);
    peer_lose(&peer);
    world_finish(&world);
}

TEST(too_many_sessions_are_refused)
{
    struct world world;
    world_init(&world, false);
    world.options.sessions_max = 2;
    CHECK_OK(world_broker(&world));
    struct peer peer[4];
    CHECK(!peer_connect(&world, &peer[0], "staff", "a", false));
    CHECK(!peer_connect(&world, &peer[1], "staff", "b", false));
    struct mqtt_packet packet = kit_connect5("staff", "c", false, 10);
    CHECK_EQ(peer_connect_with(&world, &peer[2], &packet).reason, MQTT_QUOTA_EXCEEDED);
    CHECK(!peer_connect(&world, &peer[3], "staff", "c", true)); /* that one keeps nothing */
    for (int i = 0; i < 4; i++)
        peer_lose(&peer[i]);
    world_finish(&world);
}
