/* QoS 1 messages to a session, oldest first.
 *
 *   first ... | cursor ... last        before the cursor: sent on this connection, not acknowledged
 *
 * A connection that is lost sets the cursor back to the first, and what was sent before goes out
 * again with DUP, in the same order and with the same packet ids.  For a persistent session each
 * message has a row on the disk from when it is queued until it is acknowledged; of a long queue
 * only the front is in memory. */
#include "broker/broker_int.h"

static struct outbox *outbox_of(struct session *session)
{
    if (session->outbox == NULL)
        session->outbox = mem_zalloc(sizeof(*session->outbox));
    return session->outbox;
}

static void forget_message(struct outbox *outbox, struct delivery *delivery)
{
    if (delivery->message == NULL)
        return;
    outbox->bytes -= delivery->bytes;
    outbox->loaded--;
    broker_message_unref(delivery->message);
    delivery->message = NULL;
}

static void unlink_delivery(struct outbox *outbox, struct delivery *delivery)
{
    if (outbox->cursor == delivery)
        outbox->cursor = delivery->next;
    if (delivery->prev != NULL)
        delivery->prev->next = delivery->next;
    else
        outbox->first = delivery->next;
    if (delivery->next != NULL)
        delivery->next->prev = delivery->prev;
    else
        outbox->last = delivery->prev;
    outbox->count--;
    forget_message(outbox, delivery);
}

static void delivery_free(struct delivery *delivery)
{
    if (delivery->op != NULL)
        delivery->op->delivery = NULL;
    mem_free(delivery);
}

/* Off the queue, and off the disk where it is there or on its way. */
void broker_delivery_drop(struct broker *broker, struct session *session, struct delivery *delivery)
{
    unlink_delivery(session->outbox, delivery);
    if (delivery->op != NULL && !delivery->op->submitted) {
        broker_op_undo(delivery->op);
        delivery->op = NULL;
    } else if (delivery->waiting_id != 0) {
        /* Without memory for it the row stays, and the message is sent again after a restart. */
        struct op *op =
            broker_op_add(broker, OP_WAITING_END, session->session_id, STR(""), STR(""), STR(""));
        if (op != NULL)
            op->id = delivery->waiting_id;
    }
    delivery_free(delivery);
}

/* A number that is not in use; what waits has the newest ones, what is in flight may be older. */
static uint16_t packet_id_next(struct outbox *outbox)
{
    for (;;) {
        if (++outbox->packet_id == 0)
            continue;
        const struct delivery *delivery = outbox->first;
        while (delivery != outbox->cursor && delivery->packet_id != outbox->packet_id)
            delivery = delivery->next;
        if (delivery == outbox->cursor)
            return outbox->packet_id;
    }
}

static void make_room(struct broker *broker, struct session *session, size_t bytes)
{
    struct outbox *outbox = session->outbox;
    bool in_memory = !session->stored;
    while (outbox->cursor != NULL &&
           (outbox->count - outbox->inflight >= broker->options.queued_max ||
            (in_memory && outbox->bytes + bytes > BROKER_QUEUED_BYTES_MAX))) {
        broker_delivery_drop(broker, session, outbox->cursor);
        broker->stats.dropped++;
    }
}

static void append(struct outbox *outbox, struct delivery *delivery)
{
    delivery->outbox = outbox;
    delivery->prev = outbox->last;
    if (outbox->last != NULL)
        outbox->last->next = delivery;
    else
        outbox->first = delivery;
    outbox->last = delivery;
    if (outbox->cursor == NULL)
        outbox->cursor = delivery;
    outbox->count++;
    if (delivery->message != NULL) {
        outbox->loaded++;
        outbox->bytes += delivery->bytes;
    }
}

static enum err write_row(struct broker *broker, struct session *session, struct delivery *delivery,
                          struct message *message)
{
    struct op *op =
        broker_op_add(broker, OP_WAITING_ADD, session->session_id, STR(""), STR(""), STR(""));
    if (op == NULL)
        return ERR_NOMEM;
    op->id = delivery->waiting_id = ++broker->waiting_id;
    op->packet_id = delivery->packet_id;
    op->flag = delivery->retain;
    op->expiry_s = delivery->subscription_id;
    op->message = broker_message_ref(message);
    op->delivery = delivery;
    delivery->op = op;
    return ERR_OK;
}

bool broker_outbox_add(struct broker *broker, struct session *session, struct message *message,
                       const struct target *target, bool retain, bool *ret_op)
{
    struct outbox *outbox = outbox_of(session);
    struct delivery *delivery = outbox != NULL ? mem_zalloc(sizeof(*delivery)) : NULL;
    if (delivery == NULL)
        return false;
    delivery->bytes = (uint32_t)broker_message_bytes(message);
    make_room(broker, session, delivery->bytes);
    delivery->packet_id = packet_id_next(outbox);
    delivery->retain = retain;
    delivery->subscription_id = target->subscription_id;
    delivery->expires_at_ms = message->expires_at_ms;
    if (session->stored) {
        if (write_row(broker, session, delivery, message) != ERR_OK) {
            mem_free(delivery);
            return false;
        }
        delivery->shed = outbox->loaded >= BROKER_LOADED_MAX;
        *ret_op = true;
    }
    delivery->message = broker_message_ref(message);
    append(outbox, delivery);
    broker_outbox_pump(broker, session);
    return true;
}

enum err broker_outbox_restore(struct session *session, const struct delivery *row)
{
    struct outbox *outbox = outbox_of(session);
    struct delivery *delivery = outbox != NULL ? mem_alloc(sizeof(*delivery)) : NULL;
    if (delivery == NULL)
        return ERR_NOMEM;
    *delivery = *row;
    append(outbox, delivery);
    outbox->packet_id = row->packet_id;
    return ERR_OK;
}

/* The row is there (or the process ends): what is far from its turn needs no memory, unless
 * somebody wants to be told when it is handed over. */
void broker_delivery_stored(struct op *op)
{
    struct delivery *delivery = op->delivery;
    op->delivery = NULL;
    delivery->op = NULL;
    if (delivery->shed && delivery->message != NULL && delivery->message->handed == NULL)
        forget_message(delivery->outbox, delivery);
}

void broker_outbox_mark_sent(struct broker *broker, struct session *session)
{
    struct outbox *outbox = session->outbox;
    if (outbox == NULL || !outbox->sent_changed || !session->stored)
        return;
    struct op *op = broker_op_add(broker, OP_SENT, session->session_id, STR(""), STR(""), STR(""));
    if (op == NULL)
        return;
    op->id = outbox->sent_id;
    outbox->sent_changed = false;
}

/* ERR_OK: sent.  ERR_AGAIN: not now.  Anything else: it cannot be sent to this client. */
static enum err send_one(struct broker *broker, struct session *session, struct delivery *delivery)
{
    const struct message *message = delivery->message;
    struct bus_from to = broker_session_from(session);
    if (!broker_allows(&to, BROKER_DELIVER, message->topic)) {
        broker->stats.denied++;
        return ERR_DENIED;
    }
    struct mqtt_publish publish = {.dup = delivery->sent_before,
                                   .retain = delivery->retain,
                                   .qos = 1,
                                   .packet_id = delivery->packet_id,
                                   .topic = message->topic,
                                   .payload = message->payload,
                                   .properties = message->properties};
    if (delivery->subscription_id != 0) {
        publish.properties.has |= MQTT_HAS_SUBSCRIPTION_ID;
        publish.properties.subscription_id = delivery->subscription_id;
    }
    enum err err = broker_send(broker, session->client, &publish, delivery->expires_at_ms);
    if (err == ERR_FULL || err == ERR_CLOSED || err == ERR_NOMEM)
        return ERR_AGAIN;
    if (err != ERR_OK)
        broker->stats.dropped++;
    return err;
}

static bool expired(struct broker *broker, const struct delivery *delivery)
{
    return delivery->expires_at_ms != 0 && delivery->expires_at_ms <= broker_wall_ms(broker);
}

/* DUP after a restart is a hint that need not cost a write of its own while the row is still to be
 * written. */
static void note_sent(struct outbox *outbox, struct delivery *delivery)
{
    delivery->sent_before = true;
    if (delivery->op != NULL && !delivery->op->submitted) {
        delivery->op->flag2 = true;
    } else if (delivery->waiting_id > outbox->sent_id) {
        outbox->sent_id = delivery->waiting_id;
        outbox->sent_changed = true;
    }
}

void broker_outbox_pump(struct broker *broker, struct session *session)
{
    struct outbox *outbox = session->outbox;
    struct client *client = session->client;
    if (outbox == NULL || client == NULL || !client->ready || client->closing)
        return;
    while (outbox->cursor != NULL && outbox->inflight < client->window) {
        struct delivery *delivery = outbox->cursor;
        if (expired(broker, delivery)) {
            broker->stats.expired++;
            broker_delivery_drop(broker, session, delivery);
            continue;
        }
        if (delivery->message == NULL) {
            broker_outbox_load(broker, session);
            break;
        }
        enum err err = send_one(broker, session, delivery);
        if (err == ERR_AGAIN)
            break;
        if (err != ERR_OK) {
            broker_delivery_drop(broker, session, delivery);
            continue;
        }
        outbox->cursor = delivery->next;
        outbox->inflight++;
        note_sent(outbox, delivery);
    }
    broker_outbox_mark_sent(broker, session);
}

void broker_outbox_acked(struct broker *broker, struct session *session, uint16_t packet_id)
{
    struct outbox *outbox = session->outbox;
    if (outbox == NULL)
        return;
    struct delivery *delivery = outbox->first;
    while (delivery != outbox->cursor && delivery->packet_id != packet_id)
        delivery = delivery->next;
    if (delivery == outbox->cursor)
        return; /* unknown: an acknowledgement that was late */
    struct message *message = delivery->message;
    void (*handed)(void *, struct str, bool) = message != NULL ? message->handed : NULL;
    void *cookie = message != NULL ? message->handed_cookie : NULL;
    outbox->inflight--;
    broker_delivery_drop(broker, session, delivery);
    broker_session_ref(session);
    broker_outbox_pump(broker, session);
    if (handed != NULL)
        handed(cookie, session->client_id, true);
    broker_session_unref(session);
}

void broker_outbox_rewind(struct session *session)
{
    struct outbox *outbox = session->outbox;
    if (outbox == NULL)
        return;
    outbox->cursor = outbox->first;
    outbox->inflight = 0;
    uint32_t kept = 0;
    /* Nobody reads it now: what the disk has need not be in memory, but for the front. */
    for (struct delivery *at = outbox->first; at != NULL; at = at->next) {
        bool told = at->message != NULL && at->message->handed != NULL;
        if (at->waiting_id != 0 && at->op == NULL && !told && kept >= BROKER_LOADED_MAX)
            forget_message(outbox, at);
        kept += at->message != NULL;
    }
}

void broker_outbox_finish(struct session *session)
{
    struct outbox *outbox = session->outbox;
    if (outbox == NULL)
        return;
    while (outbox->first != NULL) {
        struct delivery *delivery = outbox->first;
        unlink_delivery(outbox, delivery);
        delivery_free(delivery);
    }
    mem_free(outbox);
    session->outbox = NULL;
}
