/* PUBLISH from clients, and what they acknowledge. */
#include "broker/broker_int.h"

#include <string.h>

static void request_id(struct broker *broker, char dst[40])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t number = ++broker->request_number;
    size_t at = 0;
    for (; broker->request_prefix[at] != '\0'; at++)
        dst[at] = broker->request_prefix[at];
    for (int shift = 36; shift >= 0; shift -= 4)
        dst[at++] = digits[number >> shift & 0xF];
    dst[at] = '\0';
}

static void handle(struct broker *broker, const struct bus_handler *handler,
                   struct session *session, const struct mqtt_publish *publish,
                   struct store_rider receipt, struct bus_pending *pending)
{
    char id[40];
    request_id(broker, id);
    struct bus_message message = {.topic = publish->topic,
                                  .payload = publish->payload,
                                  .from = broker_session_from(session),
                                  .qos = publish->qos,
                                  .retain = publish->retain,
                                  .dup = publish->dup,
                                  .response_topic = publish->properties.response_topic,
                                  .correlation = publish->properties.correlation,
                                  .receipt = receipt,
                                  .request_id = id};
    handler->handle(broker->options.handler_cookie, &message, pending);
}

static int64_t expires_at(const struct broker *broker, const struct mqtt_publish *publish)
{
    if ((publish->properties.has & MQTT_HAS_MESSAGE_EXPIRY) == 0)
        return 0;
    return broker_wall_ms(broker) + (int64_t)publish->properties.message_expiry_s * 1000;
}

/* On to subscribers without anybody waiting for the disk.  ERR_FULL: it could not be retained. */
static enum err pass_on_now(struct broker *broker, const struct mqtt_publish *publish,
                            const struct target *targets, uint32_t count)
{
    if (count == 0 && !publish->retain)
        return ERR_OK;
    struct outgoing out = {.publish = publish, .expires_at_ms = expires_at(broker, publish)};
    bool op = false;
    enum err err = broker_pass_on(broker, &out, targets, count, &op);
    broker_message_unref(out.message);
    return err;
}

/* ---- with a handler that says when it is done ---- */

static struct store_rider rider(struct session *session, const struct bus_pending *pending)
{
    if (!session->stored || pending->qos == 0 || (pending->qos == 1 && pending->number == 0))
        return (struct store_rider){0};
    bool qos2 = pending->qos == 2;
    return (struct store_rider){.write = qos2 ? broker_received_write : broker_receipt_write,
                                .word = {(uint64_t)session->session_id,
                                         qos2 ? pending->packet_id : pending->number,
                                         pending->key}};
}

static enum err handle_pending(struct broker *broker, struct session *session,
                               struct client *client, const struct mqtt_publish *publish,
                               const struct cached *plan, uint64_t key)
{
    struct bus_pending *pending;
    struct message *message = NULL;
    uint64_t number = 0;
    enum err err = ERR_OK;
    bool passes = !plan->handler->consumed && (publish->retain || plan->target_count > 0);
    if (passes)
        err = broker_message_create(publish, expires_at(broker, publish), &message);
    if (err == ERR_OK && key != 0 && session->stored)
        err = broker_receipt_next(session, &number);
    if (err == ERR_OK)
        err = broker_pending_create(broker, session, client, publish, PENDING_HANDLER, &pending);
    if (err != ERR_OK) {
        broker_message_unref(message);
        return err;
    }
    pending->message = message;
    pending->key = key;
    pending->number = number;
    pending->handled = true;
    handle(broker, plan->handler, session, publish, rider(session, pending), pending);
    return ERR_OK;
}

/* ---- without one, but with something for the disk ---- */

/* `again`: what it brought was stored before. */
static enum err store_pending(struct broker *broker, struct client *client,
                              const struct mqtt_publish *publish, const struct cached *plan,
                              uint64_t key, bool again)
{
    struct session *session = client->session;
    struct bus_pending *pending;
    struct message *message = NULL;
    uint64_t number = 0;
    enum err err = ERR_OK;
    bool its_turn = client->fifo_unpassed == NULL;
    if (!its_turn)
        err = broker_message_create(publish, expires_at(broker, publish), &message);
    if (err == ERR_OK && key != 0 && session->stored)
        err = broker_receipt_next(session, &number);
    if (err == ERR_OK)
        err = broker_pending_create(broker, session, client, publish, PENDING_READY, &pending);
    if (err != ERR_OK) {
        broker_message_unref(message);
        return err;
    }
    pending->message = message;
    pending->key = key;
    pending->number = number;
    pending->taken = again;
    if (its_turn) {
        client->fifo_unpassed = NULL;
        broker_pending_pass_on(pending, publish, expires_at(broker, publish), plan->targets,
                               plan->target_count);
    }
    return ERR_OK;
}

/* ---- sent again? ---- */

static void answer_twin(struct broker *broker, struct client *client,
                        const struct mqtt_publish *publish, struct bus_pending *first)
{
    struct bus_pending *twin;
    if (broker_pending_create(broker, client->session, client, publish, PENDING_TWIN, &twin) ==
        ERR_OK)
        broker_pending_twin(first, twin);
    else
        broker_client_close(broker, client, MQTT_SERVER_BUSY);
}

/* True: it is known, and answered. */
static bool answer_repeated(struct broker *broker, struct client *client,
                            const struct mqtt_publish *publish, uint64_t key,
                            enum receipt_found found)
{
    struct bus_pending *first = broker_pending_find(broker, client->session, publish, key);
    if (first == NULL && found == RECEIPT_NEW)
        return false;
    broker->stats.duplicates++;
    if (first != NULL) {
        answer_twin(broker, client, publish, first);
        return true;
    }
    if (found == RECEIPT_UNSURE)
        return false;
    if (broker->failing) { /* it may be known in memory only */
        broker->stats.later++;
        broker_client_close(broker, client, MQTT_SERVER_BUSY);
    } else {
        broker_ack(broker, client, publish, MQTT_SUCCESS);
    }
    return true;
}

/* Handled before the process was last started (or the disk failed in between): its subscribers may
 * have missed it, so they get it perhaps once more. */
static void pass_on_again(struct broker *broker, struct client *client,
                          const struct mqtt_publish *publish, const struct cached *plan,
                          uint64_t key)
{
    bool passes = plan->handler == NULL || !plan->handler->consumed;
    if (!passes || (plan->target_count == 0 && !publish->retain)) {
        broker_ack(broker, client, publish, MQTT_SUCCESS);
        return;
    }
    if (store_pending(broker, client, publish, plan, key, true) != ERR_OK)
        broker_client_close(broker, client, MQTT_SERVER_BUSY);
}

/* ---- the way of one message ---- */

/* Nothing of it is promised to the disk. */
static void take_now(struct broker *broker, struct client *client,
                     const struct mqtt_publish *publish, const struct cached *plan)
{
    const struct bus_handler *handler = plan->handler;
    enum mqtt_reason reason = MQTT_SUCCESS;
    if (handler != NULL) {
        handle(broker, handler, client->session, publish, (struct store_rider){0}, NULL);
        if (client->session == NULL || client->closing)
            return;
        if (plan->version != broker->version) /* the handler changed who listens */
            plan = broker_plan_cached(broker, client, publish->topic);
    } else if (plan->target_count == 0 && !publish->retain) {
        reason = MQTT_NO_MATCHING_SUBSCRIBERS;
    }
    if (plan != NULL && (handler == NULL || !handler->consumed) &&
        pass_on_now(broker, publish, plan->targets, plan->target_count) == ERR_FULL)
        reason = MQTT_QUOTA_EXCEEDED;
    broker_ack(broker, client, publish, reason);
}

static enum err take_new(struct broker *broker, struct client *client,
                         const struct mqtt_publish *publish, const struct cached *plan,
                         uint64_t key)
{
    bool stores = broker_must_store(publish, plan->targets, plan->target_count) ||
                  (publish->qos == 2 && client->session->stored);
    if (publish->qos == 2) { /* from here to its PUBREL the packet id means this message */
        enum err err = broker_received_add(client->session, publish->packet_id);
        if (err != ERR_OK)
            return err;
    }
    bool waits = publish->qos > 0 && client->fifo_unpassed != NULL; /* for its turn */
    if (plan->is_volatile || (plan->handler == NULL && !stores && !waits)) {
        take_now(broker, client, publish, plan);
        return ERR_OK;
    }
    if (plan->handler != NULL)
        return handle_pending(broker, client->session, client, publish, plan, key);
    return store_pending(broker, client, publish, plan, key, false);
}

static void take(struct broker *broker, struct client *client, const struct mqtt_publish *publish,
                 const struct cached *plan)
{
    struct session *session = client->session;
    uint64_t key = 0;
    enum receipt_found found = RECEIPT_NEW;
    if (publish->qos == 1 && !plan->is_volatile && (session->stored || plan->handler != NULL))
        key = broker_receipt_key(publish);
    if (publish->qos == 2)
        found = broker_received_find(session, publish->packet_id);
    else if (publish->dup && key != 0)
        found = broker_receipt_find(session, key);
    bool repeated = publish->qos == 2 ? found != RECEIPT_NEW : publish->dup && key != 0;
    if (repeated && answer_repeated(broker, client, publish, key, found))
        return;
    if (found == RECEIPT_UNSURE) {
        pass_on_again(broker, client, publish, plan, key);
        return;
    }
    enum err err = take_new(broker, client, publish, plan, key);
    if (err != ERR_OK)
        broker_client_close(broker, client,
                            err == ERR_FULL ? MQTT_QUOTA_EXCEEDED : MQTT_SERVER_BUSY);
}

void broker_on_publish(void *cookie, struct mqtt_conn *conn, const struct mqtt_publish *publish)
{
    struct broker *broker = cookie;
    struct client *client = mqtt_conn_context(conn);
    if (client == NULL || client->closing || client->later || client->session == NULL)
        return; /* what comes behind what was not taken must not overtake it */
    broker->stats.messages_in[publish->qos]++;
    broker_presence_seen(broker, client);
    const struct cached *plan = broker_plan_cached(broker, client, publish->topic);
    if (plan == NULL) {
        broker_client_close(broker, client, MQTT_SERVER_BUSY);
        return;
    }
    if (!plan->allowed) {
        broker->stats.denied++;
        broker_ack(broker, client, publish, MQTT_NOT_AUTHORIZED);
        return;
    }
    take(broker, client, publish, plan);
    if (client->unacked >= broker->options.receive_max)
        broker_client_pause(broker, client);
}

void broker_publish_unasked(struct broker *broker, struct session *session,
                            const struct mqtt_publish *publish)
{
    struct bus_from from = broker_session_from(session);
    struct cached plan;
    struct targets targets;
    broker_plan(broker, &from, publish->topic, &plan);
    if (!plan.allowed) {
        broker->stats.denied++;
        return;
    }
    if (broker_route(broker, session, publish->topic, &targets) != ERR_OK)
        return;
    plan.targets = targets.at;
    plan.target_count = targets.count;
    enum err err = ERR_OK;
    if (plan.handler != NULL && !plan.is_volatile) {
        err = handle_pending(broker, session, NULL, publish, &plan, 0);
    } else {
        if (plan.handler != NULL)
            handle(broker, plan.handler, session, publish, (struct store_rider){0}, NULL);
        if (plan.handler == NULL || !plan.handler->consumed)
            err = pass_on_now(broker, publish, targets.at, targets.count);
    }
    if (err != ERR_OK)
        broker->stats.dropped++;
    broker_targets_finish(&targets);
}

/* ---- PUBREL: the id is free again, first on the disk ---- */

struct release {
    struct waiter waiter; /* first */
    struct broker *broker;
    struct client *client;   /* a reference */
    struct session *session; /* a reference */
    uint16_t packet_id;
};

static void complete(struct broker *broker, struct client *client, uint16_t packet_id,
                     enum mqtt_reason reason)
{
    if (client->conn == NULL || client->closing)
        return;
    if (mqtt_conn_ack(client->conn, MQTT_PUBCOMP, packet_id, reason) != ERR_OK)
        broker_client_close(broker, client, MQTT_QUOTA_EXCEEDED);
}

static void released(struct waiter *waiter, bool stored)
{
    struct release *release = (struct release *)waiter;
    if (stored) {
        complete(release->broker, release->client, release->packet_id, MQTT_SUCCESS);
    } else { /* it stays taken until the disk knows better */
        if (broker_received_add(release->session, release->packet_id) == ERR_OK)
            broker_received_sure(release->session, release->packet_id);
        broker_client_close(release->broker, release->client, MQTT_SERVER_BUSY);
    }
    broker_session_unref(release->session);
    broker_client_unref(release->client);
    mem_free(release);
}

static void on_release(struct broker *broker, struct client *client, uint16_t packet_id)
{
    struct session *session = client->session;
    if (!broker_received_end(session, packet_id)) {
        complete(broker, client, packet_id, MQTT_PACKET_ID_NOT_FOUND);
        return;
    }
    if (!session->stored) {
        complete(broker, client, packet_id, MQTT_SUCCESS);
        return;
    }
    struct release *release = mem_zalloc(sizeof(*release));
    struct op *op = release == NULL ? NULL
                                    : broker_op_add(broker, OP_RECEIVED_END, session->session_id,
                                                    STR(""), STR(""), STR(""));
    if (op == NULL) {
        mem_free(release);
        broker_client_close(broker, client, MQTT_SERVER_BUSY);
        if (broker_received_add(session, packet_id) == ERR_OK) /* its place is still free */
            broker_received_sure(session, packet_id);
        return;
    }
    op->packet_id = release->packet_id = packet_id;
    release->waiter.done = released;
    release->broker = broker;
    release->client = client;
    client->refs++;
    release->session = broker_session_ref(session);
    broker_batch_wait(broker, &release->waiter);
}

void broker_on_ack(void *cookie, struct mqtt_conn *conn, const struct mqtt_ack *ack)
{
    struct broker *broker = cookie;
    struct client *client = mqtt_conn_context(conn);
    if (client == NULL || client->closing || client->session == NULL)
        return;
    broker_presence_seen(broker, client);
    if (ack->type == MQTT_PUBACK)
        broker_outbox_acked(broker, client->session, ack->packet_id);
    else if (ack->type == MQTT_PUBREL)
        on_release(broker, client, ack->packet_id);
    /* PUBREC and PUBCOMP answer QoS 2, which nothing is sent with. */
}
