/* Devices and subscribers with persistent sessions, a network that is lost, a disk that is full now
 * and then, a process that is killed: whatever the order of events, every message that was
 * published is stored once and reaches every subscriber, in the order of its device. */
#include "broker/broker_kit.h"

#include <stdlib.h>

#define DEVICES     3
#define SUBSCRIBERS 2
#define NUMBERS     60 /* each device publishes */
#define FLIGHT      6

struct sensor {
    struct peer peer;
    bool up;
    char name[16], topic[32];
    int first, next; /* numbers not yet acknowledged: from first on, below next */
    bool acked[NUMBERS];
};

struct listener {
    struct peer peer;
    bool up;
    char name[16];
    uint16_t unacked[64];
    uint32_t unacked_count;
    int newest[DEVICES];
    bool got[DEVICES][NUMBERS];
};

struct play {
    struct world world;
    struct rng rng;
    struct sensor sensor[DEVICES];
    struct listener listener[SUBSCRIBERS];
    uint32_t crashes, fulls;
    bool full;
};

static uint8_t qos_of(int number)
{
    return number % 5 == 4 ? 2 : 1;
}

static void publish(struct sensor *sensor, int number, bool dup)
{
    char payload[32];
    snprintf(payload, sizeof(payload), "%s-%d", sensor->name, number);
    struct mqtt_packet packet =
        kit_publish(sensor->topic, payload, qos_of(number), (uint16_t)(number + 1));
    packet.publish.dup = dup;
    peer_send(&sensor->peer, &packet);
}

static void sensor_read(struct sensor *sensor)
{
    struct mqtt_packet packet;
    while (sensor->up && peer_next(&sensor->peer, &packet)) {
        int number = packet.ack.packet_id - 1;
        if (packet.type == MQTT_PUBACK || packet.type == MQTT_PUBREC)
            sensor->acked[number] = true;
        if (packet.type == MQTT_PUBREC && !sensor->peer.closed)
            peer_ack(&sensor->peer, MQTT_PUBREL, packet.ack.packet_id);
    }
    while (sensor->first < sensor->next && sensor->acked[sensor->first])
        sensor->first++;
    if (sensor->up && sensor->peer.closed) {
        sensor->up = false;
        peer_lose(&sensor->peer);
    }
}

static bool peer_up(struct play *play, struct peer *peer, const char *user, const char *name)
{
    struct mqtt_packet packet = kit_connect(user, name, false), answer;
    peer_attach(&play->world, peer);
    peer_send(peer, &packet);
    world_turn(&play->world);
    if (peer_next(peer, &answer) && answer.type == MQTT_CONNACK &&
        answer.connack.reason == MQTT_SUCCESS && !peer->closed)
        return true;
    peer_lose(peer);
    return false;
}

static void sensor_up(struct play *play, struct sensor *sensor)
{
    sensor->up = peer_up(play, &sensor->peer, sensor->name, sensor->name);
    for (int i = sensor->first; sensor->up && i < sensor->next && !sensor->peer.closed; i++) {
        if (!sensor->acked[i])
            publish(sensor, i, true);
    }
}

static void listener_read(struct play *play, struct listener *listener)
{
    struct mqtt_packet packet;
    while (listener->up && peer_next(&listener->peer, &packet)) {
        if (packet.type != MQTT_PUBLISH)
            continue;
        int device = packet.publish.payload.at[1] - '0';
        int number = atoi(packet.publish.payload.at + 3);
        CHECK(device < DEVICES && number < NUMBERS);
        if (!listener->got[device][number]) { /* the first time it comes in order */
            CHECK(number > listener->newest[device] || qos_of(number) == 2 ||
                  qos_of(listener->newest[device]) == 2);
            listener->newest[device] = number;
        }
        listener->got[device][number] = true;
        CHECK(listener->unacked_count < ARRAY_COUNT(listener->unacked));
        listener->unacked[listener->unacked_count++] = packet.publish.packet_id;
    }
    uint32_t keep = rng_below(&play->rng, 4);
    uint32_t done = 0;
    while (listener->up && !listener->peer.closed && done + keep < listener->unacked_count)
        peer_ack(&listener->peer, MQTT_PUBACK, listener->unacked[done++]);
    memmove(listener->unacked, listener->unacked + done,
            (listener->unacked_count - done) * sizeof(listener->unacked[0]));
    listener->unacked_count -= done;
}

static void listener_lose(struct listener *listener)
{
    if (listener->up)
        peer_lose(&listener->peer);
    listener->up = false;
    listener->unacked_count = 0;
}

static void everybody_reads(struct play *play)
{
    for (int i = 0; i < DEVICES; i++)
        sensor_read(&play->sensor[i]);
    for (int i = 0; i < SUBSCRIBERS; i++) {
        listener_read(play, &play->listener[i]);
        if (play->listener[i].up && play->listener[i].peer.closed)
            listener_lose(&play->listener[i]);
    }
}

static void kill_it(struct play *play)
{
    play->crashes++;
    play->full = false;
    if (rng_chance(&play->rng, 0.5)) /* what was on its way is lost */
        everybody_reads(play);
    for (int i = 0; i < DEVICES; i++) {
        if (play->sensor[i].up)
            peer_lose(&play->sensor[i].peer);
        play->sensor[i].up = false;
    }
    for (int i = 0; i < SUBSCRIBERS; i++)
        listener_lose(&play->listener[i]);
    world_crash(&play->world);
}

static void disk_turn(struct play *play)
{
    play->full = !play->full;
    play->fulls += play->full;
    store_fault_fail_after(play->world.disk, play->full,
                           play->full ? STORE_FAULT_FULL : STORE_FAULT_NONE, true);
}

static void something_happens(struct play *play)
{
    struct sensor *sensor = &play->sensor[rng_below(&play->rng, DEVICES)];
    struct listener *listener = &play->listener[rng_below(&play->rng, SUBSCRIBERS)];
    uint32_t what = rng_below(&play->rng, 100);
    if (what < 50) {
        if (sensor->up && !sensor->peer.closed && sensor->next < NUMBERS &&
            sensor->next - sensor->first < FLIGHT)
            publish(sensor, sensor->next++, false);
    } else if (what < 60) {
        if (!sensor->up)
            sensor_up(play, sensor);
    } else if (what < 66) {
        if (sensor->up)
            peer_lose(&sensor->peer);
        sensor->up = false;
    } else if (what < 76) {
        if (!listener->up)
            listener->up = peer_up(play, &listener->peer, "staff", listener->name);
    } else if (what < 80) {
        listener_lose(listener);
    } else if (what < 82) {
        disk_turn(play);
    } else if (what < 84) {
        kill_it(play);
    } else if (what < 88) {
        world_tick(&play->world, 1000);
    } else if (what < 96) {
        loop_turn(play->world.loop);
        if (rng_chance(&play->rng, 0.5))
            store_step(play->world.store, rng_below(&play->rng, 3));
    } else {
        world_turn(&play->world);
    }
    if (rng_chance(&play->rng, 0.7))
        everybody_reads(play);
}

static bool finished(const struct play *play)
{
    for (int i = 0; i < DEVICES; i++) {
        if (play->sensor[i].first < NUMBERS)
            return false;
    }
    return true;
}

/* Everything works from now on. */
static void let_it_finish(struct play *play)
{
    if (play->full)
        disk_turn(play);
    for (int round = 0; round < 200; round++) {
        world_tick(&play->world, 1000);
        for (int i = 0; i < DEVICES; i++) {
            struct sensor *sensor = &play->sensor[i];
            if (!sensor->up)
                sensor_up(play, sensor);
            while (sensor->up && !sensor->peer.closed && sensor->next < NUMBERS &&
                   sensor->next - sensor->first < FLIGHT)
                publish(sensor, sensor->next++, false);
        }
        for (int i = 0; i < SUBSCRIBERS; i++) {
            struct listener *listener = &play->listener[i];
            if (!listener->up)
                listener->up = peer_up(play, &listener->peer, "staff", listener->name);
        }
        world_turn(&play->world);
        everybody_reads(play);
    }
}

static void check(struct play *play, uint64_t seed)
{
    CHECK(finished(play));
    for (int d = 0; d < DEVICES; d++) {
        for (int n = 0; n < NUMBERS; n++) {
            char payload[32];
            snprintf(payload, sizeof(payload), "%s-%d", play->sensor[d].name, n);
            NOTE("seed %llu, %s", (unsigned long long)seed, payload);
            CHECK_EQ(world_rows(&play->world, payload), 1);
            for (int i = 0; i < SUBSCRIBERS; i++)
                CHECK(play->listener[i].got[d][n]);
        }
    }
}

static void run(uint64_t seed)
{
    static struct play play;
    memset(&play, 0, sizeof(play));
    NOTE("seed %llu", (unsigned long long)seed);
    rng_init(&play.rng, seed);
    world_start(&play.world, true);
    for (int i = 0; i < DEVICES; i++) {
        snprintf(play.sensor[i].name, sizeof(play.sensor[i].name), "d%d", i);
        snprintf(play.sensor[i].topic, sizeof(play.sensor[i].topic), "sensor/d%d/a", i);
    }
    for (int i = 0; i < SUBSCRIBERS; i++) {
        struct listener *listener = &play.listener[i];
        snprintf(listener->name, sizeof(listener->name), "s%d", i);
        for (int d = 0; d < DEVICES; d++)
            listener->newest[d] = -1;
        CHECK(!peer_connect(&play.world, &listener->peer, "staff", listener->name, false));
        CHECK_EQ(peer_subscribe(&play.world, &listener->peer, "sensor/#", 1), 1);
        listener->up = true;
    }
    for (int i = 0; i < 3000 && !finished(&play); i++)
        something_happens(&play);
    let_it_finish(&play);
    check(&play, seed);
    CHECK(play.crashes > 0);
    for (int i = 0; i < DEVICES; i++) {
        if (play.sensor[i].up)
            peer_lose(&play.sensor[i].peer);
    }
    for (int i = 0; i < SUBSCRIBERS; i++)
        listener_lose(&play.listener[i]);
    world_turn(&play.world);
    world_finish(&play.world);
}

TEST(nothing_is_lost_and_nothing_stored_twice)
{
    for (uint64_t seed = 1; seed <= 20; seed++)
        run(seed);
}
