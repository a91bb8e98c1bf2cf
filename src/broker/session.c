/* Sessions: found by who and client id, so that nobody takes over another's.
 *
 *   connected ----connection lost----> idle ----expiry, revoked----> ended
 *       |   ^                            |
 *       |   +--------connects again------+
 *       +----- lost, with expiry 0 ----------------------------------> ended
 */
#include "broker/broker_int.h"

#include <string.h>

#define BUCKETS_FIRST 64

static uint32_t code_of(const struct broker *broker, struct str actor, struct str client_id)
{
    uint64_t code = broker_hash(broker->seed, actor.at, actor.len);
    return (uint32_t)broker_hash(code, client_id.at, client_id.len);
}

struct session *broker_session_find(const struct broker *broker, struct str actor,
                                    struct str client_id)
{
    if (broker->session_bucket_count == 0)
        return NULL;
    uint32_t code = code_of(broker, actor, client_id);
    struct session *session = broker->session_bucket[code & (broker->session_bucket_count - 1)];
    for (; session != NULL; session = session->next_hash) {
        if (session->code == code && str_equal(session->actor, actor) &&
            str_equal(session->client_id, client_id))
            return session;
    }
    return NULL;
}

static enum err table_grow(struct broker *broker)
{
    uint32_t old = broker->session_bucket_count, count = old == 0 ? BUCKETS_FIRST : old * 2;
    if (broker->session_count < old)
        return ERR_OK;
    struct session **bucket = mem_zalloc(count * sizeof(struct session *));
    if (bucket == NULL)
        return old == 0 ? ERR_NOMEM : ERR_OK;
    for (uint32_t i = 0; i < old; i++) {
        while (broker->session_bucket[i] != NULL) {
            struct session *session = broker->session_bucket[i];
            broker->session_bucket[i] = session->next_hash;
            session->next_hash = bucket[session->code & (count - 1)];
            bucket[session->code & (count - 1)] = session;
        }
    }
    mem_free(broker->session_bucket);
    broker->session_bucket = bucket;
    broker->session_bucket_count = count;
    return ERR_OK;
}

static struct str put(char **at, struct str text)
{
    struct str copy = {*at, text.len};
    if (text.len > 0)
        memcpy(*at, text.at, text.len);
    *at += text.len;
    return copy;
}

enum err broker_session_create(struct broker *broker, const struct broker_identity *identity,
                               struct str client_id, struct session **ret_session)
{
    enum err err = table_grow(broker);
    if (err != ERR_OK)
        return err;
    struct str actor = str_from(identity->actor), machine_id = str_from(identity->machine_id);
    struct session *session =
        mem_zalloc(sizeof(*session) + actor.len + client_id.len + machine_id.len + 1);
    if (session == NULL)
        return ERR_NOMEM;
    char *at = session->bytes;
    session->actor = put(&at, actor);
    session->client_id = put(&at, client_id);
    session->machine_id = put(&at, machine_id);
    session->role = identity->role;
    session->waiting = identity->waiting;
    session->credential_id = identity->credential_id;
    session->session_id = ++broker->session_id;
    session->refs = 1;
    session->code = code_of(broker, actor, client_id);
    struct session **bucket =
        &broker->session_bucket[session->code & (broker->session_bucket_count - 1)];
    session->next_hash = *bucket;
    *bucket = session;
    broker->session_count++;
    *ret_session = session;
    return ERR_OK;
}

void broker_session_unref(struct session *session)
{
    ASSERT(session->refs > 0);
    if (--session->refs > 0)
        return;
    ASSERT(session->ended);
    broker_will_destroy(session->will);
    mem_free(session->receipts);
    mem_free(session->received);
    mem_free(session);
}

void broker_session_idle(struct broker *broker, struct session *session, bool idle)
{
    if (session->idle == idle)
        return;
    session->idle = idle;
    if (idle) {
        session->idle_prev = NULL;
        session->idle_next = broker->idle;
        if (session->idle_next != NULL)
            session->idle_next->idle_prev = session;
        broker->idle = session;
        return;
    }
    if (session->idle_prev != NULL)
        session->idle_prev->idle_next = session->idle_next;
    else
        broker->idle = session->idle_next;
    if (session->idle_next != NULL)
        session->idle_next->idle_prev = session->idle_prev;
}

/* Out of every table; what else holds it keeps an empty shell. */
static void session_remove(struct broker *broker, struct session *session)
{
    ASSERT(!session->ended && session->client == NULL);
    broker_subscriptions_end(broker, session);
    broker_outbox_finish(session);
    broker_session_idle(broker, session, false);
    struct session **at =
        &broker->session_bucket[session->code & (broker->session_bucket_count - 1)];
    while (*at != session)
        at = &(*at)->next_hash;
    *at = session->next_hash;
    broker->session_count--;
    broker->session_lasting -= session->stored;
    session->ended = true;
}

void broker_session_end(struct broker *broker, struct session *session)
{
    if (session->ended)
        return;
    if (session->client != NULL)
        broker_client_detach(broker, session->client);
    struct will *will = session->will;
    session->will = NULL;
    bool stored = session->stored;
    session_remove(broker, session);
    session->stored = false;
    /* Failing to note it leaves a session that nobody uses, until its expiry. */
    if (stored)
        (void)broker_op_add(broker, OP_SESSION_END, session->session_id, STR(""), STR(""), STR(""));
    if (will != NULL) {
        broker_will_publish(broker, session, will);
        broker_will_destroy(will);
    }
    broker_session_unref(session);
}

void broker_session_drop(struct broker *broker, struct session *session)
{
    session->client = NULL;
    session_remove(broker, session);
    broker_session_unref(session);
}

void broker_session_put(struct broker *broker, struct session *session)
{
    struct op *op = broker_op_add(broker, OP_SESSION_PUT, session->session_id, session->actor,
                                  session->client_id, session->machine_id);
    if (op == NULL) {
        broker->stats.dropped++;
        return;
    }
    op->qos = (uint8_t)session->role;
    op->flag = session->waiting;
    op->id = session->credential_id;
    op->expiry_s = session->expiry_s;
    op->at_ms = session->gone_at_ms;
    broker->session_lasting += !session->stored;
    session->stored = true;
}

struct bus_from broker_session_from(const struct session *session)
{
    return (struct bus_from){.role = session->role,
                             .machine_id = session->machine_id,
                             .actor = session->actor,
                             .client_id = session->client_id,
                             .waiting = session->waiting};
}

void broker_session_tick(struct broker *broker, int64_t now_ms)
{
    struct session *next;
    for (struct session *session = broker->idle; session != NULL; session = next) {
        next = session->idle_next;
        bool said = session->will != NULL;
        if (session->gone_at_ms + (int64_t)session->expiry_s * 1000 <= now_ms) {
            broker_session_end(broker, session);
            next = said ? broker->idle : next; /* a handler of the will may have ended more */
        } else if (said && session->will_at_ms <= now_ms) {
            struct will *will = session->will;
            session->will = NULL;
            broker_session_ref(session);
            broker_will_publish(broker, session, will);
            broker_will_destroy(will);
            broker_session_unref(session);
            next = broker->idle;
        }
    }
}
