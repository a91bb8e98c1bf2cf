/* Two roads to one server, and which of them the program uses.
 *
 *   MQTT ──not ready for PATIENCE_MS, lost, or nobody answers there──> HTTP
 *   HTTP ──ready, and no claim is waiting for its answer──> MQTT
 *
 * MQTT is preferred.  It is tried again all the time while HTTP carries on; a road on which nobody
 * answers is left for REST_MS.  A person or a test may turn it round (twin_road_toggle): then HTTP
 * stays until it is turned again. */
#include "twin/twin_mqtt.h"

#define PATIENCE_MS  5000
#define REST_MS      60000
#define FAILURES_MAX 4 /* questions in a row to which nobody said anything */

struct twin_roads {
    struct twin_link link;
    struct twin *twin;
    struct twin_link *http;
    struct twin_mqtt *mqtt;
    struct loop_timer *patience;
    bool on_mqtt;
    bool http_wanted; /* somebody turned it round */
    int64_t rest_until_ms;
};

static struct twin_roads *roads_of(struct twin_link *link)
{
    return (struct twin_roads *)(void *)link;
}

/* ---- changing ---- */

static void change(struct twin_roads *roads, bool to_mqtt)
{
    struct twin *twin = roads->twin;
    if (roads->on_mqtt == to_mqtt)
        return;
    roads->on_mqtt = to_mqtt;
    roads->http->cancel(roads->http);
    twin_mqtt_release(roads->mqtt);
    for (unsigned i = 0; i < DEVICE_CHANNEL_COUNT; i++)
        twin->exchange[i] = 0;
    log_line(LOG_INFO, "twin", "id", "%s", twin->id, "road", "%s", to_mqtt ? "mqtt" : "http", NULL);
    device_road_switch(&twin->device);
}

/* A claim that is being asked stays where it is: its answer is on the way. */
static void consider(struct twin_roads *roads)
{
    const struct device *device = &roads->twin->device;
    int64_t now_ms = loop_now_ms(roads->twin->loop);
    if (roads->on_mqtt && device->failures >= FAILURES_MAX) {
        roads->rest_until_ms = now_ms + REST_MS;
        change(roads, false);
        return;
    }
    if (device->phase == DEVICE_CLAIM)
        return;
    if (roads->http_wanted)
        change(roads, false);
    else if (!roads->on_mqtt && twin_mqtt_ready(roads->mqtt) && now_ms >= roads->rest_until_ms)
        change(roads, true);
}

static void mqtt_ready(void *cookie)
{
    struct twin_roads *roads = cookie;
    loop_timer_clear(roads->patience);
    roads->rest_until_ms = 0;
    if (roads->on_mqtt)
        device_road_switch(&roads->twin->device); /* what it asked so far went nowhere */
    else
        consider(roads);
}

static void mqtt_lost(void *cookie)
{
    change(cookie, false);
}

static void patience_over(void *cookie)
{
    struct twin_roads *roads = cookie;
    twin_clock_run(roads->twin);
    if (roads->twin->powered && !twin_mqtt_ready(roads->mqtt))
        change(roads, false);
    twin_board_step(roads->twin);
    twin_clock_arm(roads->twin);
}

/* ---- the link ---- */

static enum err roads_send(struct twin_link *link, const struct twin_request *request)
{
    struct twin_roads *roads = roads_of(link);
    return roads->on_mqtt ? twin_mqtt_send(roads->mqtt, request)
                          : roads->http->send(roads->http, request);
}

static enum err roads_publish(struct twin_link *link, const struct twin_reading *readings,
                              size_t count)
{
    struct twin_roads *roads = roads_of(link);
    return roads->on_mqtt ? twin_mqtt_publish(roads->mqtt, readings, count)
                          : roads->http->publish(roads->http, readings, count);
}

static void roads_boot(struct twin_link *link)
{
    struct twin_roads *roads = roads_of(link);
    roads->on_mqtt = !roads->http_wanted;
    roads->rest_until_ms = 0;
    twin_mqtt_boot(roads->mqtt);
    loop_timer_set(roads->patience, loop_now_ms(roads->twin->loop) + PATIENCE_MS);
}

static void roads_cancel(struct twin_link *link)
{
    struct twin_roads *roads = roads_of(link);
    loop_timer_clear(roads->patience);
    roads->http->cancel(roads->http);
    twin_mqtt_off(roads->mqtt);
}

static void roads_step(struct twin_link *link)
{
    struct twin_roads *roads = roads_of(link);
    twin_mqtt_step(roads->mqtt);
    consider(roads);
}

static uint32_t roads_wait(struct twin_link *link)
{
    return twin_mqtt_wait(roads_of(link)->mqtt);
}

static void roads_toggle(struct twin_link *link)
{
    struct twin_roads *roads = roads_of(link);
    roads->http_wanted = !roads->http_wanted;
}

static const char *roads_name(struct twin_link *link)
{
    return roads_of(link)->on_mqtt ? "mqtt" : "http";
}

static void roads_destroy(struct twin_link *link)
{
    struct twin_roads *roads = roads_of(link);
    twin_mqtt_destroy(roads->mqtt);
    if (roads->http != NULL)
        roads->http->destroy(roads->http);
    loop_timer_destroy(roads->patience);
    mem_free(roads);
}

enum err twin_roads_create(const struct twin_link_options *options, struct twin *twin,
                           struct twin_link **ret_link)
{
    struct twin_roads *roads = mem_zalloc(sizeof(*roads));
    if (roads == NULL)
        return ERR_NOMEM;
    roads->twin = twin;
    roads->link = (struct twin_link){.send = roads_send,
                                     .publish = roads_publish,
                                     .cancel = roads_cancel,
                                     .destroy = roads_destroy,
                                     .boot = roads_boot,
                                     .step = roads_step,
                                     .wait = roads_wait,
                                     .toggle = roads_toggle,
                                     .name = roads_name};
    const struct twin_mqtt_user user = {mqtt_ready, mqtt_lost, roads};
    enum err err = twin_http_create(options, &roads->http);
    if (err == ERR_OK)
        err = twin_mqtt_create(twin, options, &user, &roads->mqtt);
    if (err == ERR_OK)
        err = loop_timer_create(options->loop, patience_over, roads, &roads->patience);
    if (err != ERR_OK) {
        roads_destroy(&roads->link);
        return err;
    }
    *ret_link = &roads->link;
    return ERR_OK;
}
