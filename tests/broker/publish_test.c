/* What clients publish: acknowledged when it is stored, in order, once. */
#include "broker/broker_kit.h"

static void hold(struct world *world, enum bus_verdict verdict, uint32_t index)
{
    bus_done(world->held[index], verdict);
}

TEST(an_acknowledgement_means_stored)
{
    struct world world;
    world_start(&world, false);
    struct peer device;
    CHECK(!peer_connect(&world, &device, "d1", "d1", false));
    peer_publish(&device, "sensor/d1/temperature", "21.5", 1, 7);
    for (int i = 0; i < 4; i++)
        loop_turn(world.loop);
    peer_expect_nothing(&device); /* not before the commit */
    CHECK_EQ(world_stats(&world).pending, 1);
    world_turn(&world);
    peer_expect_ack(&device, MQTT_PUBACK, 7, MQTT_SUCCESS);
    CHECK_EQ(world_rows(&world, "21.5"), 1);
    CHECK_EQ(world_stats(&world).pending, 0);
    peer_lose(&device);
    world_finish(&world);
}

TEST(acknowledgements_keep_the_order)
{
    struct world world;
    world_start(&world, false);
    struct peer device;
    CHECK(!peer_connect(&world, &device, "d1", "d1", true));
    world.mode = KIT_HOLD;
    peer_publish(&device, "sensor/d1/a", "1", 1, 1);
    peer_publish(&device, "machines/d1/progress", "2", 1, 2); /* volatile, but behind */
    peer_publish(&device, "sensor/d1/a", "3", 1, 3);
    peer_publish(&device, "sensor/d1/b", "4", 2, 4);
    peer_publish(&device, "machines/d2/hello", "5", 1, 5); /* not allowed, but behind */
    world_turn(&world);
    peer_expect_nothing(&device);
    hold(&world, BUS_OK, 1);
    world_turn(&world);
    peer_expect_nothing(&device);
    hold(&world, BUS_OK, 0);
    world_turn(&world);
    peer_expect_ack(&device, MQTT_PUBACK, 1, MQTT_SUCCESS);
    peer_expect_ack(&device, MQTT_PUBACK, 2, MQTT_SUCCESS);
    peer_expect_ack(&device, MQTT_PUBACK, 3, MQTT_SUCCESS);
    peer_expect_nothing(&device);
    hold(&world, BUS_OK, 2);
    world_turn(&world);
    peer_expect_ack(&device, MQTT_PUBREC, 4, MQTT_SUCCESS);
    peer_expect_ack(&device, MQTT_PUBACK, 5, MQTT_SUCCESS); /* 3.1.1 knows no reason */
    CHECK_EQ(world_stats(&world).denied, 1);
    peer_lose(&device);
    world_finish(&world);
}

TEST(reasons_are_for_5_0)
{
    static const struct {
        enum kit_mode mode;
        enum mqtt_reason reason;
    } rows[] = {
        {KIT_OK, MQTT_SUCCESS}, {KIT_REFUSED, MQTT_NOT_AUTHORIZED}, {KIT_BAD, MQTT_BAD_PAYLOAD}};
    struct world world;
    world_start(&world, false);
    struct peer old, fresh;
    CHECK(!peer_connect(&world, &old, "d1", "d1", true));
    CHECK(!peer_connect5(&world, &fresh, "d2", "d2", true, 0));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        world.mode = rows[i].mode;
        peer_publish(&old, "sensor/d1/a", "1", 1, 1);
        peer_publish(&fresh, "sensor/d2/a", "1", 1, 1);
        peer_publish(&fresh, "sensor/d2/a", "1", 2, 2);
        world_turn(&world);
        peer_expect_ack(&old, MQTT_PUBACK, 1, MQTT_SUCCESS);
        peer_expect_ack(&fresh, MQTT_PUBACK, 1, rows[i].reason);
        peer_expect_ack(&fresh, MQTT_PUBREC, 2, rows[i].reason);
        if (rows[i].reason != MQTT_SUCCESS)
            continue;
        peer_ack(&fresh, MQTT_PUBREL, 2);
        world_turn(&world);
        peer_expect_ack(&fresh, MQTT_PUBCOMP, 2, MQTT_SUCCESS);
    }
    CHECK_EQ(world_stats(&world).bad_payloads, 3);
    peer_publish(&fresh, "sensor/d1/a", "1", 1, 1);
    peer_publish(&fresh, "$SYS/x", "1", 1, 2);
    world_turn(&world);
    peer_expect_ack(&fresh, MQTT_PUBACK, 1, MQTT_NOT_AUTHORIZED);
    peer_expect_ack(&fresh, MQTT_PUBACK, 2, MQTT_NOT_AUTHORIZED);
    peer_lose(&old);
    peer_lose(&fresh);
    CHECK(!peer_connect5(&world, &fresh, "staff", "s", true, 0));
    peer_publish(&fresh, "cafe/light", "1", 1, 1);
    world_turn(&world);
    peer_expect_ack(&fresh, MQTT_PUBACK, 1, MQTT_NO_MATCHING_SUBSCRIBERS);
    peer_lose(&fresh);
    world_finish(&world);
}

TEST(what_cannot_be_stored_is_not_acknowledged)
{
    struct world world;
    world_start(&world, false);
    struct peer old, fresh;
    CHECK(!peer_connect(&world, &old, "d1", "d1", true));
    CHECK(!peer_connect5(&world, &fresh, "d2", "d2", true, 0));
    world.mode = KIT_LATER;
    peer_publish(&old, "sensor/d1/a", "1", 1, 1);
    peer_publish(&fresh, "sensor/d2/a", "1", 1, 1);
    world_turn(&world);
    peer_expect_nothing(&old);
    CHECK(old.closed);
    CHECK_EQ(peer_expect(&fresh, MQTT_DISCONNECT).disconnect.reason, MQTT_SERVER_BUSY);
    CHECK(fresh.closed);
    CHECK_EQ(world_stats(&world).later, 2);
    peer_lose(&old);
    peer_lose(&fresh);
    world_finish(&world);
}

TEST(a_lost_acknowledgement_stores_nothing_twice)
{
    for (int crash = 0; crash < 2; crash++) {
        struct world world;
        world_start(&world, true);
        struct peer device;
        CHECK(!peer_connect(&world, &device, "d1", "d1", false));
        peer_publish(&device, "sensor/d1/a", "one", 1, 7);
        peer_publish(&device, "sensor/d1/a", "two", 1, 8);
        world_turn(&world);
        peer_lose(&device); /* and with it the acknowledgements */
        world_turn(&world);
        if (crash == 1)
            world_crash(&world);
        CHECK(peer_connect(&world, &device, "d1", "d1", false));
        peer_publish_again(&device, "sensor/d1/a", "one", 1, 7);
        peer_publish_again(&device, "sensor/d1/a", "two", 1, 8);
        peer_publish_again(&device, "sensor/d1/a", "three", 1, 9);
        world_turn(&world);
        for (uint16_t i = 7; i <= 9; i++)
            peer_expect_ack(&device, MQTT_PUBACK, i, MQTT_SUCCESS);
        CHECK_EQ(world_rows(&world, "one"), 1);
        CHECK_EQ(world_rows(&world, "two"), 1);
        CHECK_EQ(world_rows(&world, "three"), 1);
        CHECK_EQ(world_stats(&world).duplicates, 2);
        /* The same words under the same id, but a new message. */
        peer_publish(&device, "sensor/d1/a", "one", 1, 7);
        world_turn(&world);
        peer_expect_ack(&device, MQTT_PUBACK, 7, MQTT_SUCCESS);
        CHECK_EQ(world_rows(&world, "one"), 2);
        peer_publish_again(&device, "sensor/d1/a", "other", 1, 7);
        world_turn(&world);
        peer_expect_ack(&device, MQTT_PUBACK, 7, MQTT_SUCCESS);
        CHECK_EQ(world_rows(&world, "other"), 1);
        peer_lose(&device);
        world_finish(&world);
    }
}

TEST(without_a_session_nothing_is_remembered)
{
    struct world world;
    world_start(&world, false);
    struct peer device;
    CHECK(!peer_connect(&world, &device, "d1", "d1", true));
    peer_publish(&device, "sensor/d1/a", "one", 1, 7);
    world_turn(&world);
    peer_lose(&device);
    CHECK(!peer_connect(&world, &device, "d1", "d1", true));
    peer_publish_again(&device, "sensor/d1/a", "one", 1, 7);
    world_turn(&world);
    CHECK_EQ(world_rows(&world, "one"), 2);
    peer_lose(&device);
    world_finish(&world);
}

TEST(sent_again_while_it_is_pending_is_handled_once)
{
    struct world world;
    world_start(&world, false);
    struct peer device;
    world.mode = KIT_HOLD;
    CHECK(!peer_connect(&world, &device, "d1", "d1", false));
    peer_publish(&device, "sensor/d1/a", "one", 1, 7);
    peer_publish(&device, "sensor/d1/a", "two", 2, 8);
    world_turn(&world);
    peer_lose(&device);
    CHECK(peer_connect(&world, &device, "d1", "d1", false));
    peer_publish_again(&device, "sensor/d1/a", "one", 1, 7);
    peer_publish_again(&device, "sensor/d1/a", "two", 2, 8);
    world_turn(&world);
    peer_expect_nothing(&device);
    CHECK_EQ(world.handled, 2);
    hold(&world, BUS_OK, 0);
    hold(&world, BUS_OK, 1);
    world_turn(&world);
    peer_expect_ack(&device, MQTT_PUBACK, 7, MQTT_SUCCESS);
    peer_expect_ack(&device, MQTT_PUBREC, 8, MQTT_SUCCESS);
    CHECK_EQ(world_stats(&world).duplicates, 2);
    peer_lose(&device);
    world_finish(&world);
}

TEST(qos_2_is_accepted_exactly_once)
{
    for (int lasting = 0; lasting < 2; lasting++) {
        struct world world;
        world_start(&world, true);
        struct peer device;
        CHECK(!peer_connect(&world, &device, "d1", "d1", lasting == 0));
        peer_publish(&device, "sensor/d1/a", "one", 2, 7);
        world_turn(&world);
        peer_expect_ack(&device, MQTT_PUBREC, 7, MQTT_SUCCESS);
        peer_publish_again(&device, "sensor/d1/a", "one", 2, 7);
        peer_publish(&device, "sensor/d1/a", "one", 2, 7); /* whatever DUP says */
        world_turn(&world);
        peer_expect_ack(&device, MQTT_PUBREC, 7, MQTT_SUCCESS);
        peer_expect_ack(&device, MQTT_PUBREC, 7, MQTT_SUCCESS);
        CHECK_EQ(world_rows(&world, "one"), 1);
        if (lasting == 1) {
            peer_lose(&device);
            world_turn(&world);
            world_crash(&world);
            CHECK(peer_connect(&world, &device, "d1", "d1", false));
            peer_publish_again(&device, "sensor/d1/a", "one", 2, 7);
            world_turn(&world);
            peer_expect_ack(&device, MQTT_PUBREC, 7, MQTT_SUCCESS);
            CHECK_EQ(world_rows(&world, "one"), 1);
        }
        peer_ack(&device, MQTT_PUBREL, 7);
        world_turn(&world);
        peer_expect_ack(&device, MQTT_PUBCOMP, 7, MQTT_SUCCESS);
        peer_ack(&device, MQTT_PUBREL, 7); /* our answer was lost */
        world_turn(&world);
        peer_expect_ack(&device, MQTT_PUBCOMP, 7, MQTT_SUCCESS);
        peer_publish(&device, "sensor/d1/a", "one", 2, 7); /* a new one */
        world_turn(&world);
        peer_expect_ack(&device, MQTT_PUBREC, 7, MQTT_SUCCESS);
        CHECK_EQ(world_rows(&world, "one"), 2);
        peer_lose(&device);
        world_finish(&world);
    }
}

TEST(qos_2_is_handed_on_as_qos_1)
{
    struct world world;
    world_start(&world, true);
    struct peer dash, staff;
    CHECK(!peer_connect(&world, &dash, "staff", "dash", false));
    CHECK_EQ(peer_subscribe(&world, &dash, "cafe/#", 2), 1);
    CHECK(!peer_connect(&world, &staff, "admin", "a", false));
    peer_publish(&staff, "cafe/1", "one", 2, 7);
    world_turn(&world);
    peer_expect_ack(&staff, MQTT_PUBREC, 7, MQTT_SUCCESS);
    struct mqtt_packet packet = peer_expect(&dash, MQTT_PUBLISH);
    CHECK_EQ(packet.publish.qos, 1);
    peer_publish_again(&staff, "cafe/1", "one", 2, 7);
    world_turn(&world);
    peer_expect_ack(&staff, MQTT_PUBREC, 7, MQTT_SUCCESS);
    peer_expect_nothing(&dash);
    peer_lose(&dash);
    peer_lose(&staff);
    world_turn(&world);
    world_crash(&world);
    CHECK(peer_connect(&world, &staff, "admin", "a", false));
    peer_publish_again(&staff, "cafe/1", "one", 2, 7);
    world_turn(&world);
    peer_expect_ack(&staff, MQTT_PUBREC, 7, MQTT_SUCCESS);
    CHECK(peer_connect(&world, &dash, "staff", "dash", false));
    CHECK(peer_expect(&dash, MQTT_PUBLISH).publish.dup);
    peer_expect_nothing(&dash);
    peer_lose(&dash);
    peer_lose(&staff);
    world_finish(&world);
}

TEST(a_volatile_topic_waits_for_nothing)
{
    struct world world;
    world_init(&world, false);
    world.options.volatile_filters = "cafe/x, sensor/+/fast";
    CHECK_OK(world_broker(&world));
    struct peer device;
    CHECK(!peer_connect(&world, &device, "d1", "d1", false));
    peer_publish(&device, "machines/d1/progress", "{}", 1, 1);
    peer_publish(&device, "sensor/d1/fast", "1", 1, 2);
    for (int i = 0; i < 3; i++)
        loop_turn(world.loop); /* no store */
    peer_expect_ack(&device, MQTT_PUBACK, 1, MQTT_SUCCESS);
    peer_expect_ack(&device, MQTT_PUBACK, 2, MQTT_SUCCESS);
    CHECK_EQ(world.handled, 2);
    CHECK(!world.last_pending);
    peer_publish(&device, "sensor/d1/slow", "1", 0, 0);
    world_turn(&world);
    CHECK_EQ(world.handled, 3);
    CHECK(world.last_pending);
    peer_lose(&device);
    world_finish(&world);
}

TEST(what_is_eaten_or_refused_is_not_passed_on)
{
    struct world world;
    world_start(&world, false);
    struct peer staff;
    CHECK(!peer_connect(&world, &staff, "admin", "a", true));
    CHECK_EQ(peer_subscribe(&world, &staff, "#", 1), 1);
    peer_publish(&staff, "window/d1/control", "{}", 1, 1);
    world_turn(&world);
    peer_expect_ack(&staff, MQTT_PUBACK, 1, MQTT_SUCCESS);
    peer_expect_nothing(&staff);
    CHECK_EQ(world.handled, 1);
    world.mode = KIT_REFUSED;
    peer_publish(&staff, "sensor/d1/a", "1", 1, 2);
    world_turn(&world);
    peer_expect_ack(&staff, MQTT_PUBACK, 2, MQTT_SUCCESS);
    peer_expect_nothing(&staff);
    world.mode = KIT_STORE;
    peer_publish(&staff, "sensor/d1/a", "1", 1, 3);
    peer_publish(&staff, "sensor/d1/a", "2", 0, 0);
    world_turn(&world);
    peer_expect_message(&staff, "sensor/d1/a", "1");
    peer_expect_ack(&staff, MQTT_PUBACK, 3, MQTT_SUCCESS);
    peer_expect_message(&staff, "sensor/d1/a", "2");
    peer_lose(&staff);
    world_finish(&world);
}

TEST(messages_are_passed_on_in_their_order)
{
    struct world world;
    world_start(&world, false);
    world.mode = KIT_HOLD;
    struct peer dash, device;
    CHECK(!peer_connect(&world, &dash, "staff", "dash", true));
    CHECK_EQ(peer_subscribe(&world, &dash, "#", 1), 1);
    CHECK(!peer_connect(&world, &device, "open", "o", false));
    peer_publish(&device, "sensor/d1/a", "1", 1, 1);
    peer_publish(&device, "machines/d1/hello", "2", 1, 2);
    peer_publish(&device, "cafe/x", "3", 1, 3);
    peer_publish(&device, "sensor/d1/a", "4", 1, 4);
    world_turn(&world);
    hold(&world, BUS_OK, 2);
    hold(&world, BUS_OK, 1);
    world_turn(&world);
    peer_expect_nothing(&dash);
    hold(&world, BUS_OK, 0);
    world_turn(&world);
    peer_expect_message(&dash, "sensor/d1/a", "1");
    peer_expect_message(&dash, "machines/d1/hello", "2");
    peer_expect_message(&dash, "cafe/x", "3");
    peer_expect_message(&dash, "sensor/d1/a", "4");
    for (uint16_t i = 1; i <= 4; i++)
        peer_expect_ack(&device, MQTT_PUBACK, i, MQTT_SUCCESS);
    /* What failed is not overtaken: the one behind it is stored, and seen when both come again. */
    peer_publish(&device, "sensor/d1/a", "5", 1, 5);
    peer_publish(&device, "sensor/d1/a", "6", 1, 6);
    world_turn(&world);
    hold(&world, BUS_LATER, 3);
    peer_publish(&device, "sensor/d1/a", "7", 1, 7); /* too late to be heard */
    hold(&world, BUS_OK, 4);
    world_turn(&world);
    peer_expect_nothing(&dash);
    CHECK(device.closed);
    peer_lose(&device);
    world.mode = KIT_OK;
    CHECK(peer_connect(&world, &device, "open", "o", false));
    uint32_t handled = world.handled;
    for (uint16_t i = 5; i <= 7; i++)
        peer_publish_again(&device, "sensor/d1/a", i == 5 ? "5" : i == 6 ? "6" : "7", 1, i);
    world_turn(&world);
    CHECK_EQ(world.handled, handled + 2);
    peer_expect_message(&dash, "sensor/d1/a", "5");
    peer_expect_message(&dash, "sensor/d1/a", "6");
    peer_expect_message(&dash, "sensor/d1/a", "7");
    peer_lose(&dash);
    peer_lose(&device);
    world_finish(&world);
}

TEST(a_handled_message_waits_for_persistent_subscribers_too)
{
    struct world world;
    world_start(&world, true);
    struct peer dash, device;
    CHECK(!peer_connect(&world, &dash, "staff", "dash", false));
    CHECK_EQ(peer_subscribe(&world, &dash, "sensor/#", 1), 1);
    peer_lose(&dash);
    CHECK(!peer_connect(&world, &device, "d1", "d1", false));
    peer_publish(&device, "sensor/d1/a", "one", 1, 7);
    loop_turn(world.loop);
    store_step(world.store, 0); /* the reading is stored; now it is for the subscriber */
    CHECK_EQ(world_rows(&world, "one"), 1);
    loop_turn(world.loop);
    peer_expect_nothing(&device);
    /* Killed in between: the device sends again, the reading is known, the subscriber gets it. */
    peer_lose(&device);
    world_crash(&world);
    CHECK(peer_connect(&world, &device, "d1", "d1", false));
    peer_publish_again(&device, "sensor/d1/a", "one", 1, 7);
    world_turn(&world);
    peer_expect_ack(&device, MQTT_PUBACK, 7, MQTT_SUCCESS);
    CHECK_EQ(world_rows(&world, "one"), 1);
    CHECK(peer_connect(&world, &dash, "staff", "dash", false));
    peer_expect_message(&dash, "sensor/d1/a", "one");
    peer_expect_nothing(&dash);
    peer_lose(&dash);
    peer_lose(&device);
    world_finish(&world);
}

TEST(reading_pauses_while_too_much_is_pending)
{
    struct world world;
    world_init(&world, false);
    world.options.receive_max = 8;
    CHECK_OK(world_broker(&world));
    world.mode = KIT_HOLD;
    struct peer device;
    CHECK(!peer_connect(&world, &device, "d1", "d1", true));
    for (uint16_t i = 1; i <= 8; i++)
        peer_publish(&device, "sensor/d1/a", "1", 1, i);
    world_turn(&world);
    CHECK(device.paused);
    for (uint32_t i = 0; i < 4; i++)
        hold(&world, BUS_OK, i);
    world_turn(&world);
    CHECK(!device.paused);
    peer_lose(&device);
    for (uint32_t i = 4; i < 8; i++)
        hold(&world, BUS_OK, i); /* the publisher is gone */
    world_turn(&world);
    CHECK_EQ(world_stats(&world).pending, 0);
    world_finish(&world);
}

TEST(a_disk_that_is_full_takes_no_promise)
{
    struct world world;
    world_start(&world, true);
    struct peer dash, staff;
    CHECK(!peer_connect(&world, &dash, "staff", "dash", false));
    CHECK_EQ(peer_subscribe(&world, &dash, "cafe/#", 1), 1);
    CHECK(!peer_connect(&world, &staff, "admin", "a", true));
    store_fault_fail_after(world.disk, 1, STORE_FAULT_FULL, true);
    peer_publish(&staff, "cafe/1", "one", 1, 1);
    world_turn(&world);
    peer_expect_nothing(&staff);
    CHECK(staff.closed);
    peer_expect_message(&dash, "cafe/1", "one"); /* at least once: it may come again */
    peer_lose(&staff);
    CHECK(!peer_connect(&world, &staff, "admin", "a", true));
    peer_publish(&staff, "cafe/1", "two", 1, 1); /* known to fail: refused at once */
    world_turn(&world);
    CHECK(staff.closed);
    peer_expect_nothing(&dash);
    peer_lose(&staff);
    CHECK(!peer_connect(&world, &staff, "admin", "a", true));
    CHECK_EQ(peer_subscribe(&world, &staff, "cafe/#", 0), 0);
    peer_publish(&staff, "cafe/1", "three", 0, 0);
    world_turn(&world);
    peer_expect_message(&dash, "cafe/1", "three");
    peer_expect_message(&staff, "cafe/1", "three");
    store_fault_fail_after(world.disk, 0, STORE_FAULT_NONE, false);
    world_tick(&world, 1000);
    peer_publish(&staff, "cafe/1", "four", 1, 1);
    world_turn(&world);
    peer_expect_message(&staff, "cafe/1", "four");
    peer_expect_ack(&staff, MQTT_PUBACK, 1, MQTT_SUCCESS);
    peer_lose(&staff);
    peer_lose(&dash);
    world_turn(&world);
    world_crash(&world);
    CHECK(peer_connect(&world, &dash, "staff", "dash", false));
    peer_expect_message(&dash, "cafe/1", "one");
    peer_expect_message(&dash, "cafe/1", "four");
    peer_expect_nothing(&dash);
    peer_lose(&dash);
    world_finish(&world);
}
