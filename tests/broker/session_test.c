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
    peer_lose(&staff);
    peer_lose(&device);
    world_finish(&world);
}
