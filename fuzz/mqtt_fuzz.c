/* rooms: net/mqtt */
/* MQTT packets, one behind the other.  The first byte says the version.  What is read must be
 * written again, and then be read as the same. */
#include "net/mqtt/mqtt_codec.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool fact)
{
    if (!fact)
        abort();
}

/* A slice must lie inside the packet. */
static void inside(struct str slice, struct str packet)
{
    if (slice.len == 0)
        return;
    must(slice.at >= packet.at && slice.at + slice.len <= packet.at + packet.len);
}

static void look(const struct mqtt_packet *packet, struct str bytes)
{
    if (packet->type == MQTT_PUBLISH) {
        const struct mqtt_publish *publish = &packet->publish;
        inside(publish->topic, bytes);
        inside(publish->payload, bytes);
        inside(publish->properties.user, bytes);
        must(publish->topic.len == 0 || mqtt_topic_valid(publish->topic));
        must((publish->packet_id != 0) == (publish->qos != 0) && publish->qos <= 2);
        must(publish->topic.len == 0 || mqtt_filter_matches(publish->topic, publish->topic));
        for (uint32_t i = 0; i < MQTT_TOPIC_LEVELS_MAX + 2; i++)
            inside(mqtt_topic_level(publish->topic, i), bytes);
    } else if (packet->type == MQTT_CONNECT) {
        inside(packet->connect.client_id, bytes);
        inside(packet->connect.password, bytes);
        inside(packet->connect.will.payload, bytes);
        inside(packet->connect.will.properties.user, bytes);
        must(packet->connect.client_id.len <= MQTT_CLIENT_ID_MAX);
    } else if (packet->type == MQTT_SUBSCRIBE || packet->type == MQTT_UNSUBSCRIBE) {
        must(packet->subscribe.filter_count - 1 < MQTT_FILTERS_MAX);
        for (uint32_t i = 0; i < packet->subscribe.filter_count; i++) {
            inside(packet->subscribe.filter[i].filter, bytes);
            must(mqtt_filter_valid(packet->subscribe.filter[i].filter));
            (void)mqtt_filter_matches(packet->subscribe.filter[i].filter, STR("a/b"));
        }
    }
}

static void round_trip(const struct mqtt_packet *packet, enum mqtt_version version)
{
    static struct mqtt_packet back;
    size_t len = mqtt_encoded_bytes(packet, version);
    must(len != 0);
    uint8_t *wire = malloc(len);
    uint8_t *again = malloc(len);
    if (wire == NULL || again == NULL)
        abort();
    must(mqtt_encode(packet, version, wire, len) == len);
    must(mqtt_encode(packet, version, again, len - 1) == 0);
    must(mqtt_decode((struct str){(const char *)wire, len}, version, &back, NULL) == ERR_OK);
    must(back.type == packet->type);
    must(mqtt_encode(&back, version, again, len) == len);
    must(memcmp(wire, again, len) == 0);
    free(wire);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mqtt_packet packet;
    if (size < 1)
        return 0;
    enum mqtt_version version = (data[0] & 1) != 0 ? MQTT_V5 : MQTT_V311;
    size_t at = 1;
    while (at < size) {
        struct str rest = {(const char *)data + at, size - at};
        struct mqtt_fault fault = {SIZE_MAX, NULL, MQTT_SUCCESS};
        size_t whole;
        enum err err = mqtt_frame(rest, MQTT_PACKET_BYTES_MAX, &whole, &fault);
        if (err != ERR_OK) {
            must(err == ERR_AGAIN || fault.why != NULL);
            return 0;
        }
        must(whole >= 2 && whole <= rest.len);
        rest.len = whole;
        err = mqtt_decode(rest, version, &packet, &fault);
        if (err != ERR_OK) {
            must(err == ERR_INPUT && fault.why != NULL && fault.at_byte <= whole);
            must(fault.reason >= MQTT_UNSPECIFIED);
            return 0;
        }
        if (packet.type == MQTT_PUBLISH) {
            struct mqtt_publish publish;
            must(mqtt_decode_publish(rest, version, &publish, NULL) == ERR_OK);
            must(str_equal(publish.topic, packet.publish.topic));
        }
        look(&packet, rest);
        if (packet.type == MQTT_CONNECT)
            version = packet.connect.version;
        round_trip(&packet, version);
        at += whole;
    }
    return 0;
}
