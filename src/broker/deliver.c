/* Out to subscribers. */
#include "broker/broker_int.h"

enum err broker_send(struct broker *broker, struct client *client,
                     const struct mqtt_publish *publish, int64_t expires_at_ms)
{
    struct mqtt_packet packet = {.type = MQTT_PUBLISH, .publish = *publish};
    struct mqtt_properties *properties = &packet.publish.properties;
    if (client->v5 && expires_at_ms != 0) {
        int64_t left_ms = expires_at_ms - broker_wall_ms(broker);
        int64_t left_s = left_ms > 0 ? (left_ms + 999) / 1000 : 0;
        properties->has |= MQTT_HAS_MESSAGE_EXPIRY;
        properties->message_expiry_s = left_s > UINT32_MAX ? UINT32_MAX : (uint32_t)left_s;
    }
    enum err err = mqtt_conn_send(client->conn, &packet);
    if (err == ERR_OK)
        broker->stats.messages_out[publish->qos]++;
    return err;
}

/* At most once: who is not there, or slow, does without. */
static void send_now(struct broker *broker, const struct outgoing *out, const struct target *target)
{
    struct client *client = target->session->client;
    if (client == NULL || !client->ready || client->closing)
        return;
    struct mqtt_publish publish = *out->publish;
    publish.dup = false;
    publish.qos = 0;
    publish.packet_id = 0;
    publish.retain = publish.retain && target->as_published;
    publish.properties.has &= MQTT_HAS_PAYLOAD_FORMAT | MQTT_HAS_CONTENT_TYPE |
                              MQTT_HAS_RESPONSE_TOPIC | MQTT_HAS_CORRELATION;
    if (target->subscription_id != 0) {
        publish.properties.has |= MQTT_HAS_SUBSCRIPTION_ID;
        publish.properties.subscription_id = target->subscription_id;
    }
    if (broker_send(broker, client, &publish, out->expires_at_ms) != ERR_OK)
        broker->stats.dropped++;
    else if (out->handed != NULL)
        out->handed(out->handed_cookie, target->session->client_id, false);
}

static enum err send_kept(struct broker *broker, struct outgoing *out, const struct target *target,
                          bool *ret_op)
{
    if (out->message == NULL) {
        enum err err = broker_message_create(out->publish, out->expires_at_ms, &out->message);
        if (err != ERR_OK)
            return err;
        out->message->handed = out->handed;
        out->message->handed_cookie = out->handed_cookie;
    }
    bool retain = out->publish->retain && target->as_published;
    return broker_outbox_add(broker, target->session, out->message, target, retain, ret_op)
               ? ERR_OK
               : ERR_NOMEM;
}

enum err broker_pass_on(struct broker *broker, struct outgoing *out, const struct target *targets,
                        uint32_t count, bool *ret_op)
{
    enum err err = ERR_OK;
    if (out->publish->retain)
        err = broker_retain(broker, out->publish, out->expires_at_ms, false, ret_op);
    for (uint32_t i = 0; i < count; i++) {
        const struct target *target = &targets[i];
        if (target->session->ended) /* by who was told of another copy */
            continue;
        if (out->publish->qos == 0 || target->qos == 0) {
            send_now(broker, out, target);
            continue;
        }
        enum err kept = send_kept(broker, out, target, ret_op);
        if (err == ERR_OK)
            err = kept;
    }
    return err;
}

bool broker_must_store(const struct mqtt_publish *publish, const struct target *targets,
                       uint32_t count)
{
    if (publish->qos == 0)
        return false;
    if (publish->retain)
        return true;
    for (uint32_t i = 0; i < count; i++) {
        if (targets[i].qos > 0 && targets[i].session->stored)
            return true;
    }
    return false;
}

uint32_t broker_bus_publish(struct bus *bus, const struct bus_out *message)
{
    struct broker *broker = (struct broker *)bus;
    struct mqtt_publish publish = {.qos = message->qos > 1 ? 1 : message->qos,
                                   .retain = message->retain,
                                   .topic = message->topic,
                                   .payload = message->payload};
    if (broker->server_stopped || !mqtt_topic_valid(message->topic))
        return 0;
    struct targets targets;
    if (broker_route(broker, NULL, message->topic, &targets) != ERR_OK)
        return 0;
    struct outgoing out = {
        .publish = &publish, .handed = message->handed, .handed_cookie = message->handed_cookie};
    if (message->expiry_s > 0)
        out.expires_at_ms = broker_wall_ms(broker) + (int64_t)message->expiry_s * 1000;
    bool op = false;
    uint32_t count = 0;
    for (uint32_t i = 0; i < targets.count; i++) {
        struct session *session = broker_session_ref(targets.at[i].session);
        bool again = i > 0 && session == targets.at[i - 1].session;
        count += !again && (publish.qos > 0 || session->client != NULL);
    }
    if (broker_pass_on(broker, &out, targets.at, targets.count, &op) != ERR_OK)
        broker->stats.dropped++;
    for (uint32_t i = 0; i < targets.count; i++)
        broker_session_unref(targets.at[i].session);
    broker_targets_finish(&targets);
    broker_message_unref(out.message);
    return count;
}
