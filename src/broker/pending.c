/* Messages whose outcome is not known yet, and acknowledgements in the order of the messages.
 *
 *   HANDLER --verdict--> STORE --on the disk--> DONE --its turn--> acknowledged, freed
 *      |                                         ^
 *      +---- refused, or nothing to store -------+        TWIN: the same message came again before
 *                                                         the first one's outcome was known
 * A client that goes leaves its messages behind: they are finished without an answer. */
#include "broker/broker_int.h"

static void fifo_append(struct client *client, struct bus_pending *pending)
{
    if (client->fifo_last != NULL)
        client->fifo_last->fifo_next = pending;
    else
        client->fifo_first = pending;
    client->fifo_last = pending;
    client->unacked++;
}

enum err broker_pending_create(struct broker *broker, struct session *session,
                               struct client *client, const struct mqtt_publish *publish,
                               enum pending_state state, struct bus_pending **ret_pending)
{
    struct bus_pending *pending = mem_zalloc(sizeof(*pending));
    if (pending == NULL)
        return ERR_NOMEM;
    pending->broker = broker;
    pending->session = broker_session_ref(session);
    pending->packet_id = publish->packet_id;
    pending->qos = publish->qos;
    pending->state = state;
    pending->next = broker->pendings;
    if (pending->next != NULL)
        pending->next->prev = pending;
    broker->pendings = pending;
    broker->stats.pending++;
    if (client != NULL && publish->qos > 0) {
        pending->client = client;
        fifo_append(client, pending);
    }
    *ret_pending = pending;
    return ERR_OK;
}

struct bus_pending *broker_pending_find(const struct broker *broker, const struct session *session,
                                        const struct mqtt_publish *publish, uint64_t key)
{
    struct bus_pending *pending = broker->pendings;
    for (; pending != NULL; pending = pending->next) {
        if (pending->session == session && pending->qos == publish->qos &&
            pending->packet_id == publish->packet_id && pending->state != PENDING_TWIN &&
            (publish->qos == 2 || pending->key == key))
            break;
    }
    return pending;
}

void broker_pending_twin(struct bus_pending *first, struct bus_pending *twin)
{
    twin->twin_next = first->twins;
    first->twins = twin;
}

static void pending_free(struct bus_pending *pending)
{
    broker_message_unref(pending->message);
    broker_session_unref(pending->session);
    mem_free(pending);
}

void broker_client_pause(struct broker *broker, struct client *client)
{
    if (broker->stopping)
        return;
    bool pause = client->paused ? client->unacked > broker->options.receive_max / 2
                                : client->unacked >= broker->options.receive_max;
    if (pause == client->paused || client->conn == NULL || client->closing)
        return;
    client->paused = pause;
    mqtt_conn_pause(client->conn, pause);
}

static void ack_send(struct broker *broker, struct client *client, uint8_t qos, uint16_t packet_id,
                     enum mqtt_reason reason)
{
    if (client->conn == NULL || client->closing)
        return;
    enum mqtt_type type = qos == 2 ? MQTT_PUBREC : MQTT_PUBACK;
    enum err err = mqtt_conn_ack(client->conn, type, packet_id, reason);
    if (err != ERR_OK) /* it sends without reading what it gets */
        broker_client_close(broker, client, MQTT_QUOTA_EXCEEDED);
}

static void fifo_drain(struct broker *broker, struct client *client)
{
    while (client->fifo_first != NULL && client->fifo_first->state == PENDING_DONE) {
        struct bus_pending *pending = client->fifo_first;
        client->fifo_first = pending->fifo_next;
        if (client->fifo_first == NULL)
            client->fifo_last = NULL;
        client->unacked--;
        if (pending->later)
            broker_client_close(broker, client, MQTT_SERVER_BUSY);
        else
            ack_send(broker, client, pending->qos, pending->packet_id, pending->reason);
        pending_free(pending);
    }
    broker_client_pause(broker, client);
}

void broker_ack(struct broker *broker, struct client *client, const struct mqtt_publish *publish,
                enum mqtt_reason reason)
{
    if (publish->qos == 0)
        return;
    if (publish->qos == 2 && client->v5 && reason >= MQTT_UNSPECIFIED)
        (void)broker_received_end(client->session, publish->packet_id);
    if (client->fifo_first == NULL) {
        ack_send(broker, client, publish->qos, publish->packet_id, reason);
        return;
    }
    struct bus_pending *pending;
    if (broker_pending_create(broker, client->session, client, publish, PENDING_HANDLER,
                              &pending) != ERR_OK) {
        broker_client_close(broker, client, MQTT_SERVER_BUSY);
        return;
    }
    broker_pending_finish(pending, reason, false);
    broker_client_pause(broker, client);
}

static void finish_one(struct bus_pending *pending, enum mqtt_reason reason, bool later)
{
    struct broker *broker = pending->broker;
    ASSERT(pending->state != PENDING_DONE);
    if (pending->prev != NULL)
        pending->prev->next = pending->next;
    else
        broker->pendings = pending->next;
    if (pending->next != NULL)
        pending->next->prev = pending->prev;
    broker->stats.pending--;
    pending->state = PENDING_DONE;
    pending->reason = reason;
    pending->later = later;
    if (pending->client != NULL)
        fifo_drain(broker, pending->client);
    else
        pending_free(pending);
}

void broker_pending_finish(struct bus_pending *pending, enum mqtt_reason reason, bool later)
{
    struct broker *broker = pending->broker;
    struct session *session = pending->session;
    bool v5 = pending->client == NULL || pending->client->v5;
    if (later) {
        broker->stats.later++;
        /* What an older message with this id left is no proof that this one was taken. */
        if (pending->qos == 1)
            broker_receipt_forget(session, pending->packet_id);
    }
    if (pending->qos == 2 && (later || (v5 && reason >= MQTT_UNSPECIFIED)))
        (void)broker_received_end(session, pending->packet_id);
    struct bus_pending *twin = pending->twins;
    pending->twins = NULL;
    finish_one(pending, reason, later);
    while (twin != NULL) {
        struct bus_pending *next = twin->twin_next;
        finish_one(twin, reason, later);
        twin = next;
    }
    broker_stop_advance(broker);
}

/* ---- passing on ---- */

static void stored(struct waiter *waiter, bool is_stored)
{
    struct bus_pending *pending = (struct bus_pending *)waiter;
    if (is_stored && pending->number != 0)
        broker_receipt_remember(pending->session, pending->number, pending->key);
    if (!is_stored && pending->number != 0)
        broker_receipt_unsure(pending->session);
    broker_pending_finish(pending, pending->reason, !is_stored);
}

/* Which publish it was goes to the disk with what it brought. */
static void receipt_write(struct bus_pending *pending, bool *ret_op)
{
    struct session *session = pending->session;
    bool qos2 = pending->qos == 2;
    if (!session->stored || (!qos2 && (pending->number == 0 || !*ret_op)))
        return;
    struct op *op = broker_op_add(pending->broker, qos2 ? OP_RECEIVED_ADD : OP_RECEIPT,
                                  session->session_id, STR(""), STR(""), STR(""));
    if (op == NULL)
        return;
    op->packet_id = pending->packet_id;
    op->rider = (struct store_rider){
        .write = broker_receipt_write,
        .word = {(uint64_t)session->session_id, pending->number, pending->key}};
    *ret_op = true;
}

void broker_pending_pass_on(struct bus_pending *pending, const struct mqtt_publish *publish,
                            int64_t expires_at_ms, const struct target *targets, uint32_t count,
                            enum mqtt_reason reason)
{
    struct broker *broker = pending->broker;
    bool handled = pending->message != NULL;
    bool must = broker_must_store(publish, targets, count) ||
                (!handled && publish->qos == 2 && pending->session->stored);
    if (must && broker->failing) {
        if (handled)
            broker_receipt_unsure(pending->session);
        broker_pending_finish(pending, reason, true);
        return;
    }
    struct outgoing out = {.publish = publish, .expires_at_ms = expires_at_ms};
    if (pending->message != NULL)
        out.message = broker_message_ref(pending->message);
    bool op = false;
    enum err err = broker_pass_on(broker, &out, targets, count, &op);
    broker_message_unref(out.message);
    if (err == ERR_FULL)
        reason = MQTT_QUOTA_EXCEEDED;
    if (!handled && err == ERR_OK)
        receipt_write(pending, &op);
    pending->reason = reason;
    if (err != ERR_OK && err != ERR_FULL) {
        if (handled)
            broker_receipt_unsure(pending->session);
        broker_pending_finish(pending, reason, publish->qos > 0);
    } else if (must && op) {
        pending->state = PENDING_STORE;
        pending->waiter.done = stored;
        broker_batch_wait(broker, &pending->waiter);
    } else {
        broker_pending_finish(pending, reason, false);
    }
}

/* The handler took it: now it is known, and subscribers may see it. */
static void accepted(struct bus_pending *pending)
{
    struct broker *broker = pending->broker;
    if (pending->number != 0 && pending->qos == 1)
        broker_receipt_remember(pending->session, pending->number, pending->key);
    struct message *message = pending->message;
    if (message == NULL) {
        broker_pending_finish(pending, MQTT_SUCCESS, false);
        return;
    }
    struct mqtt_publish publish = {.retain = message->retain,
                                   .qos = message->qos,
                                   .packet_id = pending->packet_id,
                                   .topic = message->topic,
                                   .payload = message->payload,
                                   .properties = message->properties};
    struct targets targets;
    if (broker_route(broker, pending->session, message->topic, &targets) != ERR_OK) {
        broker_receipt_unsure(pending->session);
        broker_pending_finish(pending, MQTT_SUCCESS, true);
        return;
    }
    broker_pending_pass_on(pending, &publish, message->expires_at_ms, targets.at, targets.count,
                           MQTT_SUCCESS);
    broker_targets_finish(&targets);
}

void bus_done(struct bus_pending *pending, enum bus_verdict verdict)
{
    if (pending == NULL) /* a volatile topic: nobody waits */
        return;
    ASSERT(pending->state == PENDING_HANDLER);
    struct broker *broker = pending->broker;
    switch (verdict) {
    case BUS_OK:
        accepted(pending);
        break;
    case BUS_REFUSED:
        broker_pending_finish(pending, MQTT_NOT_AUTHORIZED, false);
        break;
    case BUS_BAD_PAYLOAD:
        broker->stats.bad_payloads++;
        broker_pending_finish(pending, MQTT_BAD_PAYLOAD, false);
        break;
    case BUS_LATER:
        broker_pending_finish(pending, MQTT_SUCCESS, true);
        break;
    }
}

void broker_fifo_abandon(struct client *client)
{
    while (client->fifo_first != NULL) {
        struct bus_pending *pending = client->fifo_first;
        client->fifo_first = pending->fifo_next;
        pending->fifo_next = NULL;
        pending->client = NULL;
        if (pending->state == PENDING_DONE)
            pending_free(pending);
    }
    client->fifo_last = NULL;
    client->unacked = 0;
}

void broker_pendings_finish(struct broker *broker)
{
    while (broker->pendings != NULL) {
        struct bus_pending *pending = broker->pendings;
        broker->pendings = pending->next;
        if (pending->next != NULL)
            pending->next->prev = NULL;
        broker->stats.pending--;
        pending_free(pending);
    }
}
