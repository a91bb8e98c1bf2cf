/* Messages whose outcome is not known yet.  Passed on, and acknowledged, in the order in which they
 * came.
 *
 *   HANDLER --taken--> READY --its turn--> STORE --on the disk--> DONE --its turn--> acknowledged
 *      |                 |                                         ^
 *      +---- refused ----+------------- nothing to store ----------+
 *   TWIN: the same message came again before the first one's outcome was known
 *
 * A client that goes leaves its messages behind: they are finished without an answer. */
#include "broker/broker_int.h"

static void fifo_append(struct client *client, struct bus_pending *pending)
{
    if (client->fifo_last != NULL)
        client->fifo_last->fifo_next = pending;
    else
        client->fifo_first = pending;
    client->fifo_last = pending;
    if (client->fifo_unpassed == NULL)
        client->fifo_unpassed = pending;
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
    else if (publish->qos == 2)
        broker_received_sure(client->session, publish->packet_id);
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

static void pass_on_now(struct bus_pending *pending);

/* Pass on what is ready, as far as nothing before it is not. */
static void fifo_advance(struct client *client)
{
    if (client->advancing)
        return;
    client->advancing = true;
    while (client->fifo_unpassed != NULL && client->fifo_unpassed->state >= PENDING_READY) {
        struct bus_pending *pending = client->fifo_unpassed;
        client->fifo_unpassed = pending->fifo_next;
        if (pending->state == PENDING_READY)
            pass_on_now(pending);
    }
    client->advancing = false;
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
    struct client *client = pending->client;
    if (client == NULL) {
        pending_free(pending);
        return;
    }
    client->later = client->later || later;
    client->refs++;
    fifo_advance(client);
    if (!client->advancing)
        fifo_drain(broker, client);
    broker_client_unref(client);
}

/* Who is told to send again sends again from the first that was not taken.  What came behind it may
 * be stored, but goes on to subscribers only then. */
static void stop_overtaking(struct bus_pending *pending)
{
    pending->broker->stats.later++;
    for (struct bus_pending *newer = pending->prev; newer != NULL; newer = newer->prev) {
        if (newer->session == pending->session && newer->qos > 0)
            newer->behind = true;
    }
}

void broker_pending_finish(struct bus_pending *pending, enum mqtt_reason reason, bool later)
{
    struct broker *broker = pending->broker;
    struct session *session = pending->session;
    bool v5 = pending->client == NULL || pending->client->v5;
    if (later)
        stop_overtaking(pending);
    /* What an older message with this id left is no proof that this one was taken. */
    if (later && !pending->taken && pending->qos == 1)
        broker_receipt_forget(session, pending->packet_id);
    if (pending->qos == 2) {
        if (later ? !pending->taken : v5 && reason >= MQTT_UNSPECIFIED)
            (void)broker_received_end(session, pending->packet_id);
        else if (!later)
            broker_received_sure(session, pending->packet_id);
    }
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
    /* Also when it could not be stored yet: its changes stay in front of all others, and until they
     * are on the disk nothing that is known is acknowledged (publish.c). */
    pending->taken = true;
    if (pending->number != 0)
        broker_receipt_remember(pending->session, pending->number, pending->key);
    if (pending->qos == 2)
        broker_received_sure(pending->session, pending->packet_id);
    broker_pending_finish(pending, pending->reason, !is_stored);
}

/* It is sent again, and then passed on, when it was taken, or taken. */
static void not_passed_on(struct bus_pending *pending)
{
    if (pending->taken)
        broker_receipt_unsure(pending->session);
    broker_pending_finish(pending, MQTT_SUCCESS, pending->qos > 0);
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
                            int64_t expires_at_ms, const struct target *targets, uint32_t count)
{
    struct broker *broker = pending->broker;
    bool qos2 = publish->qos == 2;
    bool must = broker_must_store(publish, targets, count) ||
                (qos2 && !pending->handled && pending->session->stored);
    if (must && broker->failing) {
        not_passed_on(pending);
        return;
    }
    struct outgoing out = {.publish = publish, .expires_at_ms = expires_at_ms};
    if (pending->message != NULL)
        out.message = broker_message_ref(pending->message);
    bool op = false;
    enum err err = broker_pass_on(broker, &out, targets, count, &op);
    broker_message_unref(out.message);
    if (err != ERR_OK && err != ERR_FULL) {
        not_passed_on(pending);
        return;
    }
    pending->reason = err == ERR_FULL ? MQTT_QUOTA_EXCEEDED : MQTT_SUCCESS;
    if (err == ERR_OK && (!pending->handled || (qos2 && op)))
        receipt_write(pending, &op);
    if (must && op) {
        pending->state = PENDING_STORE;
        pending->waiter.done = stored;
        broker_batch_wait(broker, &pending->waiter);
    } else {
        broker_pending_finish(pending, pending->reason, false);
    }
}

/* In its turn, from the copy. */
static void pass_on_now(struct bus_pending *pending)
{
    struct broker *broker = pending->broker;
    const struct message *message = pending->message;
    if (message == NULL) {
        broker_pending_finish(pending, MQTT_SUCCESS, false);
        return;
    }
    struct targets targets;
    if ((pending->behind && pending->session->stored) ||
        broker_route(broker, pending->session, message->topic, &targets) != ERR_OK) {
        not_passed_on(pending);
        return;
    }
    struct mqtt_publish publish = {.retain = message->retain,
                                   .qos = message->qos,
                                   .packet_id = pending->packet_id,
                                   .topic = message->topic,
                                   .payload = message->payload,
                                   .properties = message->properties};
    broker_pending_pass_on(pending, &publish, message->expires_at_ms, targets.at, targets.count);
    broker_targets_finish(&targets);
}

void broker_pending_ready(struct bus_pending *pending)
{
    struct broker *broker = pending->broker;
    struct client *client = pending->client;
    pending->state = PENDING_READY;
    if (client == NULL) {
        pass_on_now(pending);
        return;
    }
    client->refs++;
    fifo_advance(client); /* it may be gone after this */
    fifo_drain(broker, client);
    broker_client_unref(client);
}

/* The handler took it: now it is known, and subscribers may see it. */
static void accepted(struct bus_pending *pending)
{
    pending->taken = true;
    if (pending->number != 0 && pending->qos == 1)
        broker_receipt_remember(pending->session, pending->number, pending->key);
    broker_pending_ready(pending);
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
    struct bus_pending *pending = client->fifo_first;
    client->fifo_first = client->fifo_last = client->fifo_unpassed = NULL;
    client->unacked = 0;
    while (pending != NULL) {
        struct bus_pending *next = pending->fifo_next;
        pending->fifo_next = NULL;
        pending->client = NULL;
        /* Ready, but not its turn: one before it is not taken yet, and both will be sent again. */
        pending->behind = pending->behind || pending->state == PENDING_READY;
        if (pending->state == PENDING_DONE)
            pending_free(pending);
        else if (pending->state == PENDING_READY)
            pass_on_now(pending);
        pending = next;
    }
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
