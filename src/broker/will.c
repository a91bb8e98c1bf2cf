/* What a client wants said when it is lost. */
#include "broker/broker_int.h"

enum err broker_will_create(const struct mqtt_will *from, struct will **ret_will)
{
    struct mqtt_publish publish = {.retain = from->retain,
                                   .qos = from->qos > 1 ? 1 : from->qos,
                                   .topic = from->topic,
                                   .payload = from->payload,
                                   .properties = from->properties};
    struct will *will = mem_zalloc(sizeof(*will));
    if (will == NULL)
        return ERR_NOMEM;
    enum err err = broker_message_create(&publish, 0, &will->message);
    if (err != ERR_OK) {
        mem_free(will);
        return err;
    }
    if ((from->properties.has & MQTT_HAS_WILL_DELAY) != 0)
        will->delay_s = from->properties.will_delay_s;
    if ((from->properties.has & MQTT_HAS_MESSAGE_EXPIRY) != 0) {
        will->expires = true;
        will->expiry_s = from->properties.message_expiry_s;
    }
    *ret_will = will;
    return ERR_OK;
}

void broker_will_destroy(struct will *will)
{
    if (will == NULL)
        return;
    broker_message_unref(will->message);
    mem_free(will);
}

void broker_will_publish(struct broker *broker, struct session *session, struct will *will)
{
    const struct message *message = will->message;
    struct mqtt_publish publish = {.retain = message->retain,
                                   .qos = message->qos,
                                   .topic = message->topic,
                                   .payload = message->payload,
                                   .properties = message->properties};
    if (will->expires) {
        publish.properties.has |= MQTT_HAS_MESSAGE_EXPIRY;
        publish.properties.message_expiry_s = will->expiry_s;
    }
    broker->stats.wills++;
    broker_publish_unasked(broker, session, &publish);
}
