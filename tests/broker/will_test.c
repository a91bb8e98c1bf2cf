/* Wills, revocation, the server's own messages, and the end. */
#include "broker/broker_kit.h"

static struct mqtt_packet with_will(struct mqtt_packet packet, const char *topic, bool retain,
                                    uint32_t delay_s)
{
    packet.connect.will = (struct mqtt_will){.present = true,
                                             .retain = retain,
                                             .qos = 1,
                                             .topic = str_from(topic),
                                             .payload = STR("offline")};
    if (delay_s != 0) {
        packet.connect.will.properties.has = MQTT_HAS_WILL_DELAY;
        packet.connect.will.properties.will_delay_s = delay_s;
    }
    return packet;
}

static void watch(struct world *world, struct peer *dash)
{
    CHECK(!peer_connect(world, dash, "staff", "dash", true));
    CHECK_EQ(peer_subscribe(world, dash, "machines/#", 0), 0);
}

TEST(a_lost_client_has_its_will)
{
    struct world world;
    world_start(&world, true);
    struct peer dash, device;
    watch(&world, &dash);
    struct mqtt_packet packet =
        with_will(kit_connect("d1", "d1", true), "machines/d1/state", true, 0);
    CHECK_EQ(peer_connect_with(&world, &device, &packet).reason, MQTT_SUCCESS);
    peer_disconnect(&world, &device); /* a goodbye has none */
    peer_expect_nothing(&dash);
    CHECK_EQ(peer_connect_with(&world, &device, &packet).reason, MQTT_SUCCESS);
    peer_lose(&device);
    world_turn(&world);
    peer_expect_message(&dash, "machines/d1/state", "offline");
    CHECK_EQ(world.handled, 1);
    CHECK_EQ(world_stats(&world).wills, 1);
    peer_lose(&dash);
    world_turn(&world);
    world_crash(&world);
    CHECK_EQ(world_stats(&world).retained, 1);
    world_finish(&world);
}

TEST(goodbye_with_will)
{
    struct world world;
    world_start(&world, false);
    struct peer dash, device;
    watch(&world, &dash);
    struct mqtt_packet packet =
        with_will(kit_connect5("d1", "d1", true, 0), "machines/d1/state", false, 0);
    CHECK_EQ(peer_connect_with(&world, &device, &packet).reason, MQTT_SUCCESS);
    packet = (struct mqtt_packet){.type = MQTT_DISCONNECT};
    packet.disconnect.reason = MQTT_DISCONNECT_WITH_WILL;
    peer_send(&device, &packet);
    world_turn(&world);
    peer_expect_message(&dash, "machines/d1/state", "offline");
    peer_lose(&device);
    peer_lose(&dash);
    world_finish(&world);
}

TEST(a_will_may_wait)
{
    struct world world;
    world_start(&world, false);
    struct peer dash, device;
    watch(&world, &dash);
    struct mqtt_packet packet =
        with_will(kit_connect5("d1", "d1", false, 1000), "machines/d1/state", false, 30);
    CHECK_EQ(peer_connect_with(&world, &device, &packet).reason, MQTT_SUCCESS);
    peer_lose(&device);
    world_turn(&world);
    world_tick(&world, 29000);
    peer_expect_nothing(&dash);
    CHECK(peer_connect_with(&world, &device, &packet).session_present); /* back in time */
    world_tick(&world, 100000);
    peer_expect_nothing(&dash);
    peer_lose(&device);
    world_turn(&world);
    world_tick(&world, 29000);
    peer_expect_nothing(&dash);
    world_tick(&world, 1001);
    peer_expect_message(&dash, "machines/d1/state", "offline");
    world_tick(&world, 100000);
    peer_expect_nothing(&dash); /* once */
    /* The session ends first. */
    packet.connect.properties.session_expiry_s = 10;
    CHECK_EQ(peer_connect_with(&world, &device, &packet).reason, MQTT_SUCCESS);
    peer_lose(&device);
    world_turn(&world);
    world_tick(&world, 10001);
    peer_expect_message(&dash, "machines/d1/state", "offline");
    peer_lose(&dash);
    world_finish(&world);
}

TEST(a_takeover_has_the_will_of_the_old_connection)
{
    struct world world;
    world_start(&world, false);
    struct peer dash, first, second, third;
    watch(&world, &dash);
    struct mqtt_packet packet =
        with_will(kit_connect("d1", "d1", false), "machines/d1/state", false, 0);
    CHECK_EQ(peer_connect_with(&world, &first, &packet).reason, MQTT_SUCCESS);
    packet = with_will(kit_connect5("d1", "d1", false, 1000), "machines/d1/state", false, 30);
    CHECK(peer_connect_with(&world, &second, &packet).session_present);
    peer_expect_message(&dash, "machines/d1/state", "offline");
    CHECK(peer_connect_with(&world, &third, &packet).session_present);
    world_tick(&world, 60000);
    peer_expect_nothing(&dash); /* it goes on: what waited is void */
    peer_lose(&first);
    peer_lose(&second);
    peer_lose(&third);
    peer_lose(&dash);
    world_finish(&world);
}

TEST(a_will_has_no_more_rights_than_its_client)
{
    struct world world;
    world_start(&world, false);
    struct peer device;
    struct mqtt_packet packet =
        with_will(kit_connect5("d1", "d1", true, 0), "machines/d2/state", false, 0);
    CHECK_EQ(peer_connect_with(&world, &device, &packet).reason, MQTT_NOT_AUTHORIZED);
    peer_lose(&device);
    packet = with_will(kit_connect5("new-d1", "d1", true, 0), "machines/d1/state", false, 0);
    CHECK_EQ(peer_connect_with(&world, &device, &packet).reason, MQTT_SUCCESS);
    peer_lose(&device); /* it was not let in: nobody hears of it */
    world_turn(&world);
    CHECK_EQ(world.handled, 0);
    CHECK_EQ(world_stats(&world).denied, 2);
    world_finish(&world);
}

TEST(a_revoked_machine_is_out_and_forgotten)
{
    struct world world;
    world_start(&world, true);
    struct peer device, asleep, other;
    CHECK(!peer_connect5(&world, &asleep, "d1", "second", false, 1000));
    CHECK_EQ(peer_subscribe(&world, &asleep, "machines/d1/#", 1), 1);
    peer_lose(&asleep);
    CHECK(!peer_connect5(&world, &device, "d1", "d1", false, 1000));
    CHECK_EQ(peer_subscribe(&world, &device, "machines/d1/#", 1), 1);
    CHECK(!peer_connect5(&world, &other, "d2", "d2", false, 1000));
    struct bus_out out = {.topic = STR("machines/d1/offer"), .payload = STR("x"), .qos = 1};
    CHECK_EQ(bus_publish(broker_bus(world.broker), &out), 2);
    broker_revoke(world.broker, STR("d1"), 0);
    CHECK_EQ(bus_publish(broker_bus(world.broker), &out), 0);
    world_turn(&world);
    peer_expect_message(&device, "machines/d1/offer", "x");
    CHECK_EQ(peer_expect(&device, MQTT_DISCONNECT).disconnect.reason, MQTT_NOT_AUTHORIZED);
    CHECK(device.closed);
    CHECK(!other.closed);
    peer_lose(&device);
    peer_lose(&other);
    world_turn(&world);
    CHECK_EQ(world_stats(&world).sessions, 1);
    world_crash(&world);
    CHECK_EQ(world_stats(&world).sessions, 1);
    world_finish(&world);
}

TEST(a_revoked_token_closes_what_it_opened)
{
    struct world world;
    world_start(&world, false);
    struct peer device, staff;
    CHECK(!peer_connect(&world, &device, "d1", "d1", false));
    CHECK(!peer_connect(&world, &staff, "staff", "s", false));
    broker_revoke(world.broker, STR(""), 7); /* a device's: it gets another, and goes on */
    world_turn(&world);
    CHECK(device.closed);
    CHECK(!staff.closed);
    CHECK_EQ(world_stats(&world).sessions, 2);
    broker_revoke(world.broker, STR(""), 8);
    world_turn(&world);
    CHECK(staff.closed);
    CHECK_EQ(world_stats(&world).sessions, 1);
    peer_lose(&device);
    peer_lose(&staff);
    world_finish(&world);
}

TEST(rights_are_looked_at_again_at_delivery)
{
    struct world world;
    world_start(&world, true);
    struct peer device;
    /* It may ask before it is let in, but is handed nothing but its configuration. */
    CHECK(!peer_connect(&world, &device, "new-d1", "d1", false));
    CHECK_EQ(peer_subscribe(&world, &device, "machines/d1/#", 1), 1);
    struct bus_out offer = {.topic = STR("machines/d1/offer"), .payload = STR("x"), .qos = 1};
    struct bus_out config = {.topic = STR("machines/d1/config"), .payload = STR("y"), .qos = 1};
    CHECK_EQ(bus_publish(broker_bus(world.broker), &offer), 0);
    CHECK_EQ(bus_publish(broker_bus(world.broker), &config), 1);
    world_turn(&world);
    peer_expect_message(&device, "machines/d1/config", "y");
    peer_publish(&device, "sensor/d1/a", "1", 0, 0);
    world_turn(&world);
    CHECK_EQ(world.handled, 0);
    broker_admitted(world.broker, STR("d1"));
    peer_publish(&device, "sensor/d1/a", "1", 0, 0);
    CHECK_EQ(bus_publish(broker_bus(world.broker), &offer), 1);
    world_turn(&world);
    CHECK_EQ(world.handled, 1);
    peer_expect_message(&device, "machines/d1/offer", "x"); /* not acknowledged */
    peer_lose(&device);
    /* The same session, with less: what waits for it is looked at again. */
    CHECK(peer_connect(&world, &device, "new-d1", "d1", false));
    CHECK(peer_expect(&device, MQTT_PUBLISH).publish.dup); /* its configuration */
    peer_expect_nothing(&device);
    peer_lose(&device);
    world_finish(&world);
}

TEST(the_server_hears_who_got_its_message)
{
    struct world world;
    world_start(&world, false);
    struct peer device, dash;
    watch(&world, &dash);
    CHECK(!peer_connect(&world, &device, "d1", "d1", true));
    CHECK_EQ(peer_subscribe(&world, &device, "machines/d1/#", 1), 1);
    struct bus_out offer = {.topic = STR("machines/d1/offer"),
                            .payload = STR("x"),
                            .qos = 1,
                            .handed = kit_handed,
                            .handed_cookie = &world};
    CHECK_EQ(bus_publish(broker_bus(world.broker), &offer), 2);
    world_turn(&world);
    CHECK_EQ(world.handed, 1); /* the page, at most once */
    CHECK_EQ(world.handed_acked, 0);
    struct mqtt_packet packet = peer_expect(&device, MQTT_PUBLISH);
    peer_ack(&device, MQTT_PUBACK, packet.publish.packet_id);
    world_turn(&world);
    CHECK_EQ(world.handed, 2);
    CHECK_EQ(world.handed_acked, 1);
    peer_lose(&device);
    peer_lose(&dash);
    world_finish(&world);
}

static void stopped(void *cookie)
{
    *(bool *)cookie = true;
}

TEST(a_stop_leaves_nothing_behind)
{
    struct world world;
    world_start(&world, true);
    struct peer dash, device;
    watch(&world, &dash);
    struct mqtt_packet packet =
        with_will(kit_connect5("d1", "d1", false, 1000), "machines/d1/state", true, 30);
    CHECK_EQ(peer_connect_with(&world, &device, &packet).reason, MQTT_SUCCESS);
    world.mode = KIT_STORE;
    peer_publish(&device, "sensor/d1/a", "last", 1, 3);
    bool done = false;
    broker_stop(world.broker, stopped, &done);
    for (int i = 0; i < 200 && !done; i++) {
        loop_turn_wait(world.loop);
        store_step(world.store, 0);
    }
    CHECK(done);
    peer_expect_ack(&device, MQTT_PUBACK, 3, MQTT_SUCCESS);
    CHECK_EQ(peer_expect(&device, MQTT_DISCONNECT).disconnect.reason, MQTT_SERVER_SHUTTING_DOWN);
    CHECK(device.closed);
    peer_expect_message(&dash, "machines/d1/state", "offline");
    peer_lose(&device);
    peer_lose(&dash);
    world_restart(&world);
    CHECK_EQ(world_stats(&world).retained, 1);
    CHECK_EQ(world_stats(&world).sessions, 1);
    CHECK_EQ(world_rows(&world, "last"), 1);
    world_finish(&world);
}
