/* Messages and subscriptions on their way to the server. */
#include "net/mqtt/mqtt_client_int.h"
#include <string.h>

static bool id_used(const struct mqtt_client *client, uint16_t packet_id)
{
    for (const struct mqtt_pending *at = client->pending; at != NULL; at = at->next) {
        if (at->packet_id == packet_id)
            return true;
    }
    for (size_t i = 0; i < MQTT_CLIENT_SUBSCRIBE_MAX; i++) {
        if (client->subscribing[i] == packet_id)
            return true;
    }
    return false;
}

uint16_t mqtt_client_packet_id(struct mqtt_client *client)
{
    do {
        if (++client->packet_id == 0)
            client->packet_id = 1;
    } while (id_used(client, client->packet_id)); /* there are far fewer than ids */
    return client->packet_id;
}

static void unlink_pending(struct mqtt_client *client, struct mqtt_pending **at)
{
    struct mqtt_pending *pending = *at;
    *at = pending->next;
    if (client->pending_tail == &pending->next)
        client->pending_tail = at;
    client->pending_count--;
    client->pending_bytes -= pending->len;
    mem_free(pending);
}

void mqtt_client_forget(struct mqtt_client *client)
{
    while (client->pending != NULL)
        unlink_pending(client, &client->pending);
}

static enum err refuses(const struct mqtt_client *client, const struct mqtt_packet *packet,
                        size_t bytes)
{
    const struct mqtt_publish *publish = &packet->publish;
    if (bytes == 0 || bytes > client->server_packet_max || publish->qos > client->server_qos_max ||
        (publish->retain && !client->server_retains))
        return ERR_REFUSED;
    if (client->out.len + client->pending_bytes + bytes > client->options.queued_bytes_max)
        return ERR_FULL;
    return publish->qos != 0 && (client->pending_count >= client->options.inflight_max ||
                                 client->pending_count >= client->server_receive_max)
               ? ERR_FULL
               : ERR_OK;
}

static enum err remember(struct mqtt_client *client, const struct mqtt_packet *packet, size_t bytes)
{
    struct mqtt_pending *pending = mem_alloc(sizeof(*pending) + bytes);
    if (pending == NULL)
        return ERR_NOMEM;
    *pending = (struct mqtt_pending){.handle = client->handle + 1,
                                     .packet_id = packet->publish.packet_id,
                                     .len = (uint32_t)bytes};
    (void)mqtt_encode(packet, client->options.version, pending->packet, bytes);
    *client->pending_tail = pending;
    client->pending_tail = &pending->next;
    client->pending_count++;
    client->pending_bytes += bytes;
    return ERR_OK;
}

enum err mqtt_client_publish(struct mqtt_client *client, const struct mqtt_message *message,
                             uint64_t *ret_handle)
{
    if (client->state != CLIENT_OPEN)
        return ERR_CLOSED;
    struct mqtt_packet packet = {.type = MQTT_PUBLISH};
    packet.publish = (struct mqtt_publish){.retain = message->retain,
                                           .qos = message->qos,
                                           .topic = message->topic,
                                           .payload = message->payload};
    if (message->qos > 2 || !mqtt_topic_valid(message->topic))
        return ERR_INPUT;
    if (message->qos != 0)
        packet.publish.packet_id = mqtt_client_packet_id(client);
    if (message->expiry_s != 0) {
        packet.publish.properties.has = MQTT_HAS_MESSAGE_EXPIRY;
        packet.publish.properties.message_expiry_s = message->expiry_s;
    }
    size_t bytes = mqtt_encoded_bytes(&packet, client->options.version);
    enum err err = refuses(client, &packet, bytes);
    if (err == ERR_OK)
        err = buf_reserve(&client->out, bytes);
    if (err == ERR_OK && message->qos != 0)
        err = remember(client, &packet, bytes);
    if (err == ERR_OK)
        err = mqtt_line_send(client, &packet);
    if (err != ERR_OK)
        return err;
    client->handle++;
    if (ret_handle != NULL)
        *ret_handle = client->handle;
    return ERR_OK;
}

/* ---- acknowledgements ---- */

static void settled(struct mqtt_client *client, struct mqtt_pending **at, enum mqtt_reason reason)
{
    uint64_t handle = (*at)->handle;
    unlink_pending(client, at);
    if (client->user.on_published != NULL)
        client->user.on_published(client->cookie, handle, reason);
}

static enum err release(struct mqtt_client *client, uint16_t packet_id, enum mqtt_reason reason)
{
    struct mqtt_packet packet = {.type = MQTT_PUBREL};
    packet.ack = (struct mqtt_ack){.type = MQTT_PUBREL, .packet_id = packet_id, .reason = reason};
    return mqtt_line_send(client, &packet);
}

static unsigned qos_of(const struct mqtt_pending *pending)
{
    return pending->packet[0] >> 1 & 3;
}

void mqtt_client_acked(struct mqtt_client *client, const struct mqtt_ack *ack)
{
    struct mqtt_pending **at = &client->pending;
    while (*at != NULL && (*at)->packet_id != ack->packet_id)
        at = &(*at)->next;
    struct mqtt_pending *pending = *at;
    enum err err = ERR_OK;
    if (pending == NULL) { /* acknowledged before, or of a session long gone */
        if (ack->type == MQTT_PUBREC)
            err = release(client, ack->packet_id, MQTT_PACKET_ID_NOT_FOUND);
    } else if (ack->type == MQTT_PUBREC && qos_of(pending) == 2) {
        if (ack->reason >= MQTT_UNSPECIFIED) {
            settled(client, at, ack->reason);
            return;
        }
        pending->released = true;
        err = release(client, ack->packet_id, MQTT_SUCCESS);
    } else if (qos_of(pending) == (ack->type == MQTT_PUBACK ? 1 : 2) &&
               (ack->type == MQTT_PUBACK || pending->released)) {
        settled(client, at, ack->reason);
        return;
    } else {
        err = ERR_INPUT;
    }
    if (err != ERR_OK)
        mqtt_client_over(client, err == ERR_INPUT ? MQTT_PROTOCOL_ERROR : MQTT_QUOTA_EXCEEDED);
}

/* A new connection: what is not settled goes out again, in its order (section 4.4). */
void mqtt_client_resume(struct mqtt_client *client, bool session_present)
{
    if (!session_present) {
        mqtt_client_forget(client);
        mem_free(client->received);
        client->received = NULL;
        return;
    }
    for (struct mqtt_pending *at = client->pending; at != NULL; at = at->next) {
        enum err err;
        at->packet[0] |= 8; /* DUP */
        if (at->released)
            err = release(client, at->packet_id, MQTT_SUCCESS);
        else
            err = buf_add(&client->out, at->packet, at->len);
        if (err != ERR_OK) {
            mqtt_client_over(client, MQTT_QUOTA_EXCEEDED);
            return;
        }
    }
    client->flush_due = true; /* this is inside a read: it is flushed at its end */
}

/* ---- subscriptions ---- */

static enum err ask(struct mqtt_client *client, enum mqtt_type type, struct str filter, uint8_t qos,
                    uint16_t *ret_packet_id)
{
    size_t slot = 0;
    if (client->state != CLIENT_OPEN)
        return ERR_CLOSED;
    if (qos > 2 || !mqtt_filter_valid(filter))
        return ERR_INPUT;
    while (slot < MQTT_CLIENT_SUBSCRIBE_MAX && client->subscribing[slot] != 0)
        slot++;
    if (slot == MQTT_CLIENT_SUBSCRIBE_MAX)
        return ERR_FULL;
    struct mqtt_packet packet = {.type = type};
    packet.subscribe.packet_id = mqtt_client_packet_id(client);
    packet.subscribe.filter_count = 1;
    packet.subscribe.filter[0] = (struct mqtt_filter){.filter = filter, .qos = qos};
    enum err err = mqtt_line_send(client, &packet);
    if (err != ERR_OK)
        return err;
    client->subscribing[slot] = packet.subscribe.packet_id;
    if (ret_packet_id != NULL)
        *ret_packet_id = packet.subscribe.packet_id;
    return ERR_OK;
}

enum err mqtt_client_subscribe(struct mqtt_client *client, struct str filter, uint8_t qos,
                               uint16_t *ret_packet_id)
{
    return ask(client, MQTT_SUBSCRIBE, filter, qos, ret_packet_id);
}

enum err mqtt_client_unsubscribe(struct mqtt_client *client, struct str filter,
                                 uint16_t *ret_packet_id)
{
    return ask(client, MQTT_UNSUBSCRIBE, filter, 0, ret_packet_id);
}
