/* Retained messages, expiry, and what 5.0 adds to subscriptions and messages. */
#include "broker/broker_kit.h"

TEST(the_last_word_of_a_topic_is_kept)
{
    struct world world;
    world_start(&world, true);
    struct peer staff, dash;
    CHECK(!peer_connect(&world, &staff, "admin", "a", true));
    peer_retain(&staff, "cafe/1", "old", 1, 1);
    peer_retain(&staff, "cafe/1", "new", 0, 0);
    peer_retain(&staff, "cafe/2", "two", 1, 2);
    peer_retain(&staff, "cafe/3", "three", 1, 3);
    world_turn(&world);
    peer_retain(&staff, "cafe/3", "", 1, 4);
    peer_retain(&staff, "cafe/9", "", 1, 5);
    world_turn(&world);
    for (uint16_t i = 1; i <= 5; i++)
        peer_expect_ack(&staff, MQTT_PUBACK, i, MQTT_SUCCESS);
    CHECK_EQ(world_stats(&world).retained, 2);
    for (int i = 0; i < 2; i++) {
        CHECK(!peer_connect(&world, &dash, "staff", "dash", true));
        CHECK_EQ(peer_subscribe(&world, &dash, "cafe/1", 1), 1);
        struct mqtt_packet packet = peer_expect(&dash, MQTT_PUBLISH);
        CHECK_SLICE(packet.publish.payload, "new");
        CHECK(packet.publish.retain);
        CHECK_EQ(packet.publish.qos, 0); /* as it was published */
        CHECK_EQ(peer_subscribe(&world, &dash, "cafe/+", 1), 1);
        bool one = false, two = false;
        while (peer_next(&dash, &packet)) {
            one = one || str_equal(packet.publish.payload, STR("new"));
            two = two || (str_equal(packet.publish.payload, STR("two")) && packet.publish.qos == 1);
        }
        CHECK(one && two);
        peer_lose(&dash);
        world_turn(&world);
        if (i == 0) {
            peer_lose(&staff);
            world_turn(&world);
            world_crash(&world); /* the same from the disk */
            CHECK_EQ(world_stats(&world).retained, 2);
        }
    }
    world_finish(&world);
}

TEST(who_listens_already_gets_it_as_news)
{
    struct world world;
    world_start(&world, false);
    struct peer staff, plain, as_published;
    CHECK(!peer_connect(&world, &staff, "admin", "a", true));
    CHECK(!peer_connect(&world, &plain, "staff", "p", true));
    CHECK(!peer_connect5(&world, &as_published, "staff", "q", true, 0));
    CHECK_EQ(peer_subscribe(&world, &plain, "cafe/1", 0), 0);
    struct mqtt_packet packet = {.type = MQTT_SUBSCRIBE};
    packet.subscribe.packet_id = 9;
    packet.subscribe.filter_count = 1;
    packet.subscribe.filter[0] =
        (struct mqtt_filter){.filter = STR("cafe/1"), .retain_as_published = true};
    peer_send(&as_published, &packet);
    world_turn(&world);
    peer_expect(&as_published, MQTT_SUBACK);
    peer_retain(&staff, "cafe/1", "x", 0, 0);
    world_turn(&world);
    CHECK(!peer_expect(&plain, MQTT_PUBLISH).publish.retain);
    CHECK(peer_expect(&as_published, MQTT_PUBLISH).publish.retain);
    peer_lose(&staff);
    peer_lose(&plain);
    peer_lose(&as_published);
    world_finish(&world);
}

static uint32_t subscribe_handling(struct world *world, struct peer *peer, uint8_t handling)
{
    struct mqtt_packet packet = {.type = MQTT_SUBSCRIBE};
    packet.subscribe.packet_id = 9;
    packet.subscribe.filter_count = 1;
    packet.subscribe.filter[0] =
        (struct mqtt_filter){.filter = STR("cafe/1"), .retain_handling = handling};
    peer_send(peer, &packet);
    world_turn(world);
    peer_expect(peer, MQTT_SUBACK);
    uint32_t count = 0;
    while (peer_next(peer, &packet))
        count++;
    return count;
}

TEST(retain_handling_is_respected)
{
    struct world world;
    world_start(&world, false);
    struct peer staff;
    CHECK(!peer_connect5(&world, &staff, "admin", "a", true, 0));
    peer_retain(&staff, "cafe/1", "x", 0, 0);
    world_turn(&world);
    CHECK_EQ(subscribe_handling(&world, &staff, 2), 0);
    CHECK_EQ(subscribe_handling(&world, &staff, 1), 0); /* it is not new */
    CHECK_EQ(subscribe_handling(&world, &staff, 0), 1);
    peer_unsubscribe(&world, &staff, "cafe/1");
    CHECK_EQ(subscribe_handling(&world, &staff, 1), 1);
    peer_lose(&staff);
    world_finish(&world);
}

TEST(messages_expire)
{
    struct world world;
    world_start(&world, true);
    struct peer staff, dash;
    CHECK(!peer_connect5(&world, &dash, "staff", "dash", false, 10000));
    CHECK_EQ(peer_subscribe(&world, &dash, "cafe/#", 1), 1);
    peer_lose(&dash);
    CHECK(!peer_connect5(&world, &staff, "admin", "a", true, 0));
    struct mqtt_packet packet = kit_publish("cafe/1", "short", 1, 1);
    packet.publish.retain = true;
    packet.publish.properties.has = MQTT_HAS_MESSAGE_EXPIRY;
    packet.publish.properties.message_expiry_s = 10;
    peer_send(&staff, &packet);
    packet = kit_publish("cafe/2", "long", 1, 2);
    packet.publish.properties.has = MQTT_HAS_MESSAGE_EXPIRY;
    packet.publish.properties.message_expiry_s = 100;
    peer_send(&staff, &packet);
    world_turn(&world);
    peer_lose(&staff);
    world_turn(&world);
    world_crash(&world);
    CHECK_EQ(world_stats(&world).retained, 1);
    world_tick(&world, 10000);
    CHECK_EQ(world_stats(&world).retained, 0);
    CHECK(peer_connect5(&world, &dash, "staff", "dash", false, 10000));
    packet = peer_expect(&dash, MQTT_PUBLISH);
    CHECK_SLICE(packet.publish.payload, "long");
    CHECK(packet.publish.properties.has & MQTT_HAS_MESSAGE_EXPIRY);
    CHECK_EQ(packet.publish.properties.message_expiry_s, 90); /* what is left of it */
    peer_expect_nothing(&dash);
    CHECK_EQ(world_stats(&world).expired, 2);
    peer_lose(&dash);
    world_finish(&world);
}

TEST(properties_are_passed_on)
{
    static const char user[] = {0x26, 0, 1, 'a', 0, 1, 'b'};
    struct world world;
    world_start(&world, true);
    struct peer staff, dash, held;
    CHECK(!peer_connect5(&world, &dash, "staff", "dash", true, 0));
    CHECK_EQ(peer_subscribe(&world, &dash, "cafe/#", 0), 0);
    CHECK(!peer_connect5(&world, &held, "staff", "held", false, 1000));
    CHECK_EQ(peer_subscribe(&world, &held, "cafe/#", 1), 1);
    peer_lose(&held);
    CHECK(!peer_connect5(&world, &staff, "admin", "a", true, 0));
    struct mqtt_packet packet = kit_publish("cafe/1", "x", 1, 1);
    struct mqtt_properties *properties = &packet.publish.properties;
    properties->has = MQTT_HAS_PAYLOAD_FORMAT | MQTT_HAS_CONTENT_TYPE | MQTT_HAS_RESPONSE_TOPIC |
                      MQTT_HAS_CORRELATION;
    properties->payload_format = 1;
    properties->content_type = STR("text/plain");
    properties->response_topic = STR("cafe/answer");
    properties->correlation = STR("abc");
    properties->user = (struct str){user, sizeof(user)};
    peer_send(&staff, &packet);
    world_turn(&world);
    peer_lose(&staff);
    for (int i = 0; i < 2; i++) {
        packet = peer_expect(&dash, MQTT_PUBLISH);
        properties = &packet.publish.properties;
        CHECK_EQ(properties->has, MQTT_HAS_PAYLOAD_FORMAT | MQTT_HAS_CONTENT_TYPE |
                                      MQTT_HAS_RESPONSE_TOPIC | MQTT_HAS_CORRELATION);
        CHECK_EQ(properties->payload_format, 1);
        CHECK_SLICE(properties->content_type, "text/plain");
        CHECK_SLICE(properties->response_topic, "cafe/answer");
        CHECK_SLICE(properties->correlation, "abc");
        CHECK_EQ(properties->user.len, sizeof(user));
        CHECK_BYTES(properties->user.at, user, sizeof(user));
        peer_lose(&dash);
        world_turn(&world);
        if (i == 0) {
            world_crash(&world);
            CHECK(peer_connect5(&world, &dash, "staff", "held", false, 1000));
        }
    }
    world_finish(&world);
}

static void subscribe_with(struct world *world, struct peer *peer, const char *filter,
                           uint32_t subscription_id, bool no_local)
{
    struct mqtt_packet packet = {.type = MQTT_SUBSCRIBE};
    packet.subscribe.packet_id = 9;
    packet.subscribe.filter_count = 1;
    packet.subscribe.filter[0] =
        (struct mqtt_filter){.filter = str_from(filter), .qos = 1, .no_local = no_local};
    if (subscription_id != 0) {
        packet.subscribe.properties.has = MQTT_HAS_SUBSCRIPTION_ID;
        packet.subscribe.properties.subscription_id = subscription_id;
    }
    peer_send(peer, &packet);
    world_turn(world);
    peer_expect(peer, MQTT_SUBACK);
}

TEST(overlapping_subscriptions_are_one_copy_but_ids_tell_them_apart)
{
    struct world world;
    world_start(&world, false);
    struct peer staff;
    CHECK(!peer_connect5(&world, &staff, "admin", "a", true, 0));
    subscribe_with(&world, &staff, "cafe/#", 0, false);
    subscribe_with(&world, &staff, "cafe/+", 0, false);
    peer_publish(&staff, "cafe/1", "x", 0, 0);
    world_turn(&world);
    peer_expect_message(&staff, "cafe/1", "x");
    peer_expect_nothing(&staff);
    subscribe_with(&world, &staff, "cafe/+", 5, false);
    subscribe_with(&world, &staff, "+/1", 6, false);
    peer_publish(&staff, "cafe/1", "y", 0, 0);
    world_turn(&world);
    uint32_t sum = 0, copies = 0;
    struct mqtt_packet packet;
    while (peer_next(&staff, &packet)) {
        copies++;
        sum += packet.publish.properties.subscription_id;
    }
    CHECK_EQ(copies, 3);
    CHECK_EQ(sum, 11);
    peer_lose(&staff);
    world_finish(&world);
}

TEST(no_local_is_not_for_the_publisher)
{
    struct world world;
    world_start(&world, false);
    struct peer staff, other;
    CHECK(!peer_connect5(&world, &staff, "admin", "a", true, 0));
    CHECK(!peer_connect5(&world, &other, "admin", "b", true, 0));
    subscribe_with(&world, &staff, "cafe/#", 0, true);
    subscribe_with(&world, &other, "cafe/#", 0, true);
    peer_publish(&staff, "cafe/1", "x", 0, 0);
    world_turn(&world);
    peer_expect_message(&other, "cafe/1", "x");
    peer_expect_nothing(&staff);
    peer_lose(&staff);
    peer_lose(&other);
    world_finish(&world);
}

TEST(subscriptions_have_rights_and_bounds)
{
    struct world world;
    world_init(&world, false);
    world.options.subscriptions_max = 3;
    CHECK_OK(world_broker(&world));
    struct peer old, fresh;
    CHECK(!peer_connect(&world, &old, "d1", "d1", true));
    CHECK(!peer_connect5(&world, &fresh, "d2", "d2", true, 0));
    CHECK_EQ(peer_subscribe(&world, &old, "sensor/#", 1), 0x80);
    CHECK_EQ(peer_subscribe(&world, &fresh, "sensor/#", 1), MQTT_NOT_AUTHORIZED);
    CHECK_EQ(peer_subscribe(&world, &fresh, "$share/g/machines/d2/#", 1),
             MQTT_SHARED_NOT_SUPPORTED);
    CHECK_EQ(peer_subscribe(&world, &fresh, "machines/d2/#", 1), 1);
    CHECK_EQ(peer_subscribe(&world, &fresh, "machines/d2/config", 0), 0);
    CHECK_EQ(peer_subscribe(&world, &fresh, "machines/d2/offer", 1), 1);
    CHECK_EQ(peer_subscribe(&world, &fresh, "machines/d2/stop", 1), MQTT_QUOTA_EXCEEDED);
    CHECK_EQ(peer_subscribe(&world, &fresh, "machines/d2/#", 0), 0); /* again is no more */
    CHECK(broker_listens(world.broker, STR("d2"), STR("machines/d2/offer")));
    CHECK(!broker_listens(world.broker, STR("d2"), STR("window/d2/control")));
    CHECK(!broker_listens(world.broker, STR("d1"), STR("machines/d1/offer")));
    peer_lose(&old);
    peer_lose(&fresh);
    world_turn(&world);
    CHECK(!broker_listens(world.broker, STR("d2"), STR("machines/d2/offer")));
    world_finish(&world);
}

TEST(a_client_gets_no_packet_beyond_its_bound)
{
    struct world world;
    world_start(&world, false);
    struct peer staff, small;
    struct mqtt_packet packet = kit_connect5("staff", "s", true, 0);
    packet.connect.properties.has |= MQTT_HAS_MAX_PACKET;
    packet.connect.properties.max_packet_bytes = 60;
    CHECK_EQ(peer_connect_with(&world, &small, &packet).reason, MQTT_SUCCESS);
    CHECK_EQ(peer_subscribe(&world, &small, "cafe/#", 1), 1);
    CHECK(!peer_connect(&world, &staff, "admin", "a", true));
    peer_publish(&staff, "cafe/1",
                 "01234567890123456789012345678901234567890123456789012345678901234567890123456789",
                 1, 1);
    peer_publish(&staff, "cafe/1", "short", 1, 2);
    world_turn(&world);
    peer_expect_message(&small, "cafe/1", "short");
    peer_expect_nothing(&small);
    CHECK_EQ(world_stats(&world).dropped, 1);
    peer_lose(&staff);
    peer_lose(&small);
    world_finish(&world);
}

TEST(retained_messages_are_bounded)
{
    struct world world;
    world_init(&world, false);
    world.options.retained_max = 2;
    CHECK_OK(world_broker(&world));
    struct peer staff;
    CHECK(!peer_connect5(&world, &staff, "admin", "a", true, 0));
    peer_retain(&staff, "cafe/1", "x", 1, 1);
    peer_retain(&staff, "cafe/2", "x", 1, 2);
    peer_retain(&staff, "cafe/3", "x", 1, 3);
    peer_retain(&staff, "cafe/2", "y", 1, 4);
    world_turn(&world);
    peer_expect_ack(&staff, MQTT_PUBACK, 1, MQTT_SUCCESS);
    peer_expect_ack(&staff, MQTT_PUBACK, 2, MQTT_SUCCESS);
    peer_expect_ack(&staff, MQTT_PUBACK, 3, MQTT_QUOTA_EXCEEDED);
    peer_expect_ack(&staff, MQTT_PUBACK, 4, MQTT_SUCCESS);
    CHECK_EQ(world_stats(&world).retained, 2);
    peer_lose(&staff);
    world_finish(&world);
}

TEST(figures_are_for_staff)
{
    struct world world;
    world_start(&world, false);
    struct peer staff;
    CHECK(!peer_connect(&world, &staff, "staff", "s", true));
    world_tick(&world, 1000);
    CHECK_EQ(peer_subscribe(&world, &staff, "$SYS/broker/clients/#", 0), 0);
    peer_expect_message(&staff, "$SYS/broker/clients/total", "1");
    peer_expect_message(&staff, "$SYS/broker/clients/connected", "1");
    world_tick(&world, 1000);
    peer_expect_nothing(&staff);
    world_tick(&world, 10000);
    peer_expect_message(&staff, "$SYS/broker/clients/connected", "1");
    peer_lose(&staff);
    world_finish(&world);
}
