/* Credentials that stopped being good, and machines that were let in. */
#include "broker/broker_int.h"

static bool is_machine(const struct session *session, struct str machine_id)
{
    return machine_id.len > 0 && session->role == BUS_DEVICE &&
           str_equal(session->machine_id, machine_id);
}

/* A machine keeps its session when only its token was changed; a person's goes with the token. */
static bool forget(const struct session *session, struct str machine_id, int64_t credential_id)
{
    return is_machine(session, machine_id) ||
           (credential_id != 0 && session->credential_id == credential_id &&
            session->role != BUS_DEVICE);
}

static void revoke_one(struct broker *broker, struct session *session)
{
    struct client *client = session->client;
    struct will *will = NULL;
    if (client != NULL) {
        will = client->will;
        client->will = NULL;
        broker_client_close(broker, client, MQTT_NOT_AUTHORIZED);
    }
    broker_session_ref(session);
    broker_session_end(broker, session);
    if (will != NULL) /* what it left to be said is still true: it is gone */
        broker_will_publish(broker, session, will);
    broker_will_destroy(will);
    broker_session_unref(session);
}

void broker_revoke(struct broker *broker, struct str machine_id, int64_t credential_id)
{
    for (struct client *client = broker->clients; client != NULL; client = client->next) {
        if (client->session != NULL && credential_id != 0 &&
            client->session->credential_id == credential_id)
            broker_client_close(broker, client, MQTT_NOT_AUTHORIZED);
    }
    for (uint32_t i = 0; i < broker->session_bucket_count; i++) {
        struct session *session = broker->session_bucket[i];
        while (session != NULL) {
            if (forget(session, machine_id, credential_id)) {
                revoke_one(broker, session);
                session = broker->session_bucket[i]; /* from the front: a will may change more */
            } else {
                session = session->next_hash;
            }
        }
    }
}

void broker_admitted(struct broker *broker, struct str machine_id)
{
    broker->version++;
    for (uint32_t i = 0; i < broker->session_bucket_count; i++) {
        struct session *session = broker->session_bucket[i];
        for (; session != NULL; session = session->next_hash) {
            if (!is_machine(session, machine_id) || !session->waiting)
                continue;
            session->waiting = false;
            if (session->stored)
                broker_session_put(broker, session);
            broker_outbox_pump(broker, session);
        }
    }
}
