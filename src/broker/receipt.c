/* What was already taken from a session.
 *
 * QoS 1: a ring of the newest BROKER_RECEIPTS receipts, packet id and a hash of topic and payload
 * in one word.  A client sends again, with DUP, only what it did not see acknowledged, which is
 * among its newest.  A longer memory would do harm: packet ids come round again, and a sensor that
 * says the same number all day would find its new message taken for an old one.
 *
 * QoS 2: the ids between PUBLISH and PUBREL. */
#include "broker/broker_int.h"

#include <string.h>

#define RING_FIRST     64
#define RECEIVED_FIRST 8

static uint16_t id_of(uint64_t key)
{
    return (uint16_t)(key & 0xFFFF);
}

uint64_t broker_receipt_key(const struct mqtt_publish *publish)
{
    /* The same in every process: it is compared with what is on the disk. */
    uint64_t hash = broker_hash(1, publish->topic.at, publish->topic.len);
    hash = broker_hash(hash, publish->payload.at, publish->payload.len);
    return hash << 16 | publish->packet_id;
}

static uint64_t oldest_of(const struct receipts *receipts)
{
    uint64_t count = receipts->number - receipts->base;
    return count > receipts->cap ? receipts->number - receipts->cap : receipts->base;
}

enum receipt_found broker_receipt_find(const struct session *session, uint64_t key)
{
    const struct receipts *receipts = session->receipts;
    if (receipts == NULL)
        return RECEIPT_NEW;
    uint64_t oldest = oldest_of(receipts);
    for (uint64_t number = receipts->number; number-- > oldest;) {
        uint64_t known = receipts->key[number & (receipts->cap - 1)];
        if (known == 0 || id_of(known) != id_of(key))
            continue;
        if (known != key)
            return RECEIPT_NEW; /* the id's newest use was another message */
        return number < receipts->unsure_to ? RECEIPT_UNSURE : RECEIPT_KNOWN;
    }
    return RECEIPT_NEW;
}

static enum err grow(struct session *session, uint32_t cap, uint64_t base)
{
    struct receipts *old = session->receipts;
    struct receipts *receipts = mem_zalloc(sizeof(*receipts) + cap * sizeof(receipts->key[0]));
    if (receipts == NULL)
        return ERR_NOMEM;
    receipts->cap = cap;
    receipts->base = receipts->number = base;
    if (old != NULL) {
        receipts->base = oldest_of(old);
        receipts->number = old->number;
        receipts->unsure_to = old->unsure_to;
        for (uint64_t number = receipts->base; number < old->number; number++)
            receipts->key[number & (cap - 1)] = old->key[number & (old->cap - 1)];
    }
    mem_free(old);
    session->receipts = receipts;
    return ERR_OK;
}

/* So that number `last` has a place without pushing another out, as far as the ring may grow. */
static enum err make_room(struct session *session, uint64_t base, uint64_t last)
{
    enum err err = ERR_OK;
    if (session->receipts == NULL)
        err = grow(session, RING_FIRST, base);
    while (err == ERR_OK && last - session->receipts->base >= session->receipts->cap &&
           session->receipts->cap < BROKER_RECEIPTS)
        err = grow(session, session->receipts->cap * 2, 0);
    return err;
}

enum err broker_receipt_next(struct session *session, uint64_t *ret_number)
{
    uint64_t number = session->receipts != NULL ? session->receipts->number : 1;
    enum err err = make_room(session, 1, number);
    if (err != ERR_OK)
        return err;
    struct receipts *receipts = session->receipts;
    *ret_number = receipts->number++;
    receipts->key[*ret_number & (receipts->cap - 1)] = 0;
    return ERR_OK;
}

void broker_receipt_remember(struct session *session, uint64_t number, uint64_t key)
{
    struct receipts *receipts = session->receipts;
    if (receipts != NULL && number + receipts->cap >= receipts->number)
        receipts->key[number & (receipts->cap - 1)] = key;
}

void broker_receipt_forget(struct session *session, uint16_t packet_id)
{
    struct receipts *receipts = session->receipts;
    for (uint32_t i = 0; receipts != NULL && i < receipts->cap; i++) {
        if (id_of(receipts->key[i]) == packet_id)
            receipts->key[i] = 0;
    }
}

void broker_receipt_unsure(struct session *session)
{
    if (session->receipts != NULL)
        session->receipts->unsure_to = session->receipts->number;
}

/* In the order of their numbers; those in between were given to messages that were not taken. */
enum err broker_receipt_restore(struct session *session, uint64_t number, uint64_t key)
{
    enum err err = make_room(session, number, number);
    struct receipts *receipts = session->receipts;
    if (err != ERR_OK || number < receipts->number)
        return err;
    for (uint32_t i = 0; i < receipts->cap && receipts->number < number; i++)
        receipts->key[receipts->number++ & (receipts->cap - 1)] = 0;
    receipts->number = number + 1;
    receipts->key[number & (receipts->cap - 1)] = key;
    return ERR_OK;
}

/* ---- QoS 2 ---- */

#define RECEIVED_UNSURE ((uint32_t)1 << 16)

static uint32_t *received_at(const struct session *session, uint16_t packet_id)
{
    struct received *received = session->received;
    for (uint16_t i = 0; received != NULL && i < received->count; i++) {
        if ((uint16_t)received->id[i] == packet_id)
            return &received->id[i];
    }
    return NULL;
}

enum receipt_found broker_received_find(const struct session *session, uint16_t packet_id)
{
    const uint32_t *at = received_at(session, packet_id);
    if (at == NULL)
        return RECEIPT_NEW;
    return (*at & RECEIVED_UNSURE) != 0 ? RECEIPT_UNSURE : RECEIPT_KNOWN;
}

void broker_received_sure(struct session *session, uint16_t packet_id)
{
    uint32_t *at = received_at(session, packet_id);
    if (at != NULL)
        *at &= ~RECEIVED_UNSURE;
}

enum err broker_received_add(struct session *session, uint16_t packet_id)
{
    struct received *received = session->received;
    if (received == NULL || received->count == received->cap) {
        uint16_t cap = received == NULL ? RECEIVED_FIRST : (uint16_t)(received->cap * 2);
        if (cap > BROKER_RECEIVED_MAX)
            return ERR_FULL;
        received = mem_realloc(received, sizeof(*received) + cap * sizeof(received->id[0]));
        if (received == NULL)
            return ERR_NOMEM;
        if (session->received == NULL)
            received->count = 0;
        received->cap = cap;
        session->received = received;
    }
    received->id[received->count++] = packet_id | RECEIVED_UNSURE;
    return ERR_OK;
}

bool broker_received_end(struct session *session, uint16_t packet_id)
{
    uint32_t *at = received_at(session, packet_id);
    if (at == NULL)
        return false;
    *at = session->received->id[--session->received->count];
    return true;
}
