/* Retained messages: the last one of a topic, for whoever subscribes later. */
#include "broker/broker_int.h"

static void retained_free(struct broker *broker, struct retained *retained)
{
    if (broker->retained_sweep == retained)
        broker->retained_sweep = retained->next;
    if (retained->prev != NULL)
        retained->prev->next = retained->next;
    else
        broker->retained = retained->next;
    if (retained->next != NULL)
        retained->next->prev = retained->prev;
    struct broker_node *node = retained->node;
    node->retained = NULL;
    broker->retained_count -= !retained->memory_only;
    broker->retained_bytes -= broker_message_bytes(retained->message);
    broker_message_unref(retained->message);
    mem_free(retained);
    broker_tree_trim(&broker->tree, node);
}

static void retained_end(struct broker *broker, struct retained *retained, bool *ret_op)
{
    if (!retained->memory_only &&
        broker_op_add(broker, OP_RETAIN_END, 0, retained->message->topic, STR(""), STR("")) != NULL)
        *ret_op = true;
    retained_free(broker, retained);
}

/* Takes a reference to the message. */
static enum err retained_put(struct broker *broker, struct message *message, bool memory_only)
{
    struct broker_node *node;
    size_t bytes = broker_message_bytes(message);
    enum err err = broker_tree_get(&broker->tree, message->topic, &node);
    if (err != ERR_OK)
        return err;
    struct retained *retained = node->retained;
    size_t before = retained != NULL ? broker_message_bytes(retained->message) : 0;
    if ((retained == NULL && !memory_only &&
         broker->retained_count >= broker->options.retained_max) ||
        broker->retained_bytes - before + bytes > BROKER_RETAINED_BYTES) {
        broker_tree_trim(&broker->tree, node);
        return ERR_FULL;
    }
    if (retained == NULL) {
        retained = mem_zalloc(sizeof(*retained));
        if (retained == NULL) {
            broker_tree_trim(&broker->tree, node);
            return ERR_NOMEM;
        }
        retained->node = node;
        node->retained = retained;
        retained->next = broker->retained;
        if (retained->next != NULL)
            retained->next->prev = retained;
        broker->retained = retained;
        retained->memory_only = memory_only;
        broker->retained_count += !memory_only;
    } else {
        broker_message_unref(retained->message);
    }
    retained->message = broker_message_ref(message);
    broker->retained_bytes = broker->retained_bytes - before + bytes;
    return ERR_OK;
}

enum err broker_retain(struct broker *broker, const struct mqtt_publish *publish,
                       int64_t expires_at_ms, bool memory_only, bool *ret_op)
{
    if (publish->payload.len == 0) { /* nothing is what it says from now on */
        struct broker_node *node = broker_tree_find(&broker->tree, publish->topic);
        if (node != NULL && node->retained != NULL)
            retained_end(broker, node->retained, ret_op);
        return ERR_OK;
    }
    struct message *message;
    enum err err = broker_message_create(publish, expires_at_ms, &message);
    if (err != ERR_OK)
        return err;
    struct op *op = NULL;
    if (!memory_only) {
        op = broker_op_add(broker, OP_RETAIN, 0, STR(""), STR(""), STR(""));
        if (op != NULL)
            op->message = broker_message_ref(message);
        else
            err = ERR_FULL;
    }
    if (err == ERR_OK)
        err = retained_put(broker, message, memory_only);
    if (err != ERR_OK && op != NULL)
        broker_op_undo(op);
    *ret_op = *ret_op || (op != NULL && err == ERR_OK);
    broker_message_unref(message);
    return err;
}

enum err broker_retain_restore(struct broker *broker, struct message *message)
{
    message->retain = true;
    return retained_put(broker, message, false);
}

struct sending {
    struct broker *broker;
    struct session *session;
    const struct subscription *subscription;
    int64_t now_ms;
};

static void send_one(void *cookie, struct broker_node *node)
{
    struct sending *sending = cookie;
    struct broker *broker = sending->broker;
    struct message *message = node->retained->message;
    struct client *client = sending->session->client;
    struct bus_from to = broker_session_from(sending->session);
    if (message->expires_at_ms != 0 && message->expires_at_ms <= sending->now_ms)
        return; /* the sweep takes it away */
    if (client == NULL || !broker_allows(&to, BROKER_DELIVER, message->topic))
        return;
    uint8_t qos =
        message->qos < sending->subscription->qos ? message->qos : sending->subscription->qos;
    struct target target = {.session = sending->session,
                            .subscription_id = sending->subscription->subscription_id,
                            .qos = qos};
    if (qos > 0) {
        bool op = false;
        if (!broker_outbox_add(broker, sending->session, message, &target, true, &op))
            broker->stats.dropped++;
        return;
    }
    struct mqtt_publish publish = {.retain = true,
                                   .topic = message->topic,
                                   .payload = message->payload,
                                   .properties = message->properties};
    if (target.subscription_id != 0) {
        publish.properties.has |= MQTT_HAS_SUBSCRIPTION_ID;
        publish.properties.subscription_id = target.subscription_id;
    }
    if (broker_send(broker, client, &publish, message->expires_at_ms) != ERR_OK)
        broker->stats.dropped++;
}

void broker_retained_send(struct broker *broker, struct session *session,
                          const struct subscription *subscription)
{
    struct sending sending = {broker, session, subscription, broker_wall_ms(broker)};
    broker_tree_search(&broker->tree, broker_filter(subscription), send_one, &sending);
}

#define SWEEP_ROWS 500

void broker_retained_tick(struct broker *broker, int64_t now_ms)
{
    bool op = false;
    if (broker->retained_sweep == NULL)
        broker->retained_sweep = broker->retained;
    for (int i = 0; i < SWEEP_ROWS && broker->retained_sweep != NULL; i++) {
        struct retained *retained = broker->retained_sweep;
        broker->retained_sweep = retained->next;
        if (retained->message->expires_at_ms != 0 && retained->message->expires_at_ms <= now_ms) {
            broker->stats.expired++;
            retained_end(broker, retained, &op);
        }
    }
}

void broker_retained_finish(struct broker *broker)
{
    while (broker->retained != NULL)
        retained_free(broker, broker->retained);
}
