/* twin_mqtt: the MQTT road of a twin: a connection that is made again when it breaks, and the
 * board's end of the road (device_mqtt.h) on it.  Inside twin. */
#ifndef AUTOMAT_TWIN_MQTT_H
#define AUTOMAT_TWIN_MQTT_H

#include "twin/twin_int.h"

struct twin_mqtt;

/* Called on the loop while the program may be told of it.  Neither destroys the road. */
struct twin_mqtt_user {
    void (*ready)(void *cookie); /* subscribed: it can be used */
    void (*lost)(void *cookie);  /* it was ready, and is no longer */
    void *cookie;
};
/* `link->mqtt`: "HOST:PORT", also "mqtt://HOST:PORT" or "mqtts://HOST:PORT".  ERR_INPUT,
 * ERR_NOT_FOUND: it is none, or `cacert` cannot be used (said in the log). */
MUST_USE enum err twin_mqtt_create(struct twin *twin, const struct twin_link_options *link,
                                   const struct twin_mqtt_user *user, struct twin_mqtt **ret_mqtt);
void twin_mqtt_destroy(struct twin_mqtt *mqtt); /* breaks the connection: the will is published */

void twin_mqtt_boot(struct twin_mqtt *mqtt); /* a fresh program: connects, with an empty memory */
void twin_mqtt_off(struct twin_mqtt *mqtt);  /* power went */

bool twin_mqtt_ready(const struct twin_mqtt *mqtt);
MUST_USE enum err twin_mqtt_send(struct twin_mqtt *mqtt, const struct twin_request *request);
/* QoS 1, one topic a sensor.  ERR_AGAIN: those before are not all acknowledged yet. */
MUST_USE enum err twin_mqtt_publish(struct twin_mqtt *mqtt, const struct twin_reading *readings,
                                    size_t count);
void twin_mqtt_release(struct twin_mqtt *mqtt); /* the program goes on by another road */
void twin_mqtt_step(struct twin_mqtt *mqtt);    /* before device_step */
uint32_t twin_mqtt_wait(const struct twin_mqtt *mqtt);

#endif
