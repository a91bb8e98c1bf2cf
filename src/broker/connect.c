/* CONNECT: who is it, and which session is it for? */
#include "broker/broker_int.h"

#include <stdio.h>
#include <string.h>

#define MACHINE_SESSIONS_MAX 8 /* that wait for one machine */

static void refuse(struct broker *broker, struct mqtt_conn *conn, enum mqtt_reason reason)
{
    broker->stats.refused_connects++;
    mqtt_conn_refuse(conn, reason);
}

static enum mqtt_reason identify(struct broker *broker, struct mqtt_conn *conn,
                                 const struct mqtt_connect *connect,
                                 struct broker_identity *identity)
{
    struct broker_credentials credentials = {.user = connect->user,
                                             .password = connect->password,
                                             .client_id = connect->client_id,
                                             .has_user = connect->has_user,
                                             .has_password = connect->has_password,
                                             .tls = mqtt_conn_tls(conn),
                                             .peer = mqtt_conn_peer(conn)};
    if (broker->stopping)
        return MQTT_SERVER_SHUTTING_DOWN;
    if ((connect->properties.has & MQTT_HAS_AUTH_METHOD) != 0)
        return MQTT_BAD_AUTH_METHOD;
    if (connect->client_id.len > MQTT_CLIENT_ID_MAX)
        return MQTT_BAD_CLIENT_ID;
    if (connect->client_id.len == 0 && connect->version == MQTT_V311 && !connect->clean_start)
        return MQTT_BAD_CLIENT_ID;
    memset(identity, 0, sizeof(*identity));
    enum mqtt_reason reason =
        broker->options.gate.authenticate(broker->options.gate.cookie, &credentials, identity);
    if (reason == MQTT_SUCCESS && identity->role == BUS_NOBODY)
        return MQTT_NOT_AUTHORIZED;
    return reason;
}

/* A will is as good as a publish of the client's; that it is not let in yet is looked at when its
 * time comes. */
static bool will_allowed(const struct broker_identity *identity, const struct mqtt_will *will)
{
    struct bus_from from = {.role = identity->role,
                            .machine_id = str_from(identity->machine_id),
                            .actor = str_from(identity->actor)};
    return !will->present || broker_allows(&from, BROKER_PUBLISH, will->topic);
}

static uint32_t expiry_asked(const struct broker *broker, const struct mqtt_connect *connect)
{
    uint32_t max_s = broker->options.session_expiry_s_max;
    if (connect->version == MQTT_V311)
        return connect->clean_start ? 0 : max_s;
    if ((connect->properties.has & MQTT_HAS_SESSION_EXPIRY) == 0)
        return 0;
    uint32_t asked_s = connect->properties.session_expiry_s;
    return asked_s > max_s ? max_s : asked_s;
}

/* The same session, another connection. */
static void take_over(struct broker *broker, struct session *session, bool clean_start)
{
    struct client *old = session->client;
    if (old == NULL)
        return;
    broker->stats.takeovers++;
    struct will *will = old->will;
    old->will = NULL;
    broker_client_close(broker, old, MQTT_SESSION_TAKEN_OVER);
    broker_client_detach(broker, old);
    /* The old connection did not say goodbye; but a delayed will waits to see whether the client
     * comes back, and here it is. */
    if (will != NULL && (will->delay_s == 0 || clean_start || session->expiry_s == 0))
        broker_will_publish(broker, session, will);
    broker_will_destroy(will);
}

static bool same_machine(const struct session *session, const struct broker_identity *identity)
{
    return str_equal(session->machine_id, str_from(identity->machine_id));
}

/* A board that makes up a new client id at each start leaves a session behind each time.  Of those
 * that nobody came back for, the one gone longest gives way, so that no machine has the places of
 * all others. */
static void crowd_out(struct broker *broker, const struct broker_identity *identity)
{
    struct session *oldest = NULL;
    uint32_t count = 0;
    if (identity->machine_id[0] == '\0')
        return;
    for (struct session *session = broker->idle; session != NULL; session = session->idle_next) {
        if (!same_machine(session, identity))
            continue;
        count++;
        if (oldest == NULL || session->gone_at_ms <= oldest->gone_at_ms)
            oldest = session;
    }
    if (count < MACHINE_SESSIONS_MAX)
        return;
    broker->stats.dropped++;
    broker_session_end(broker, oldest);
}

/* The session of this client, found or made; `ret_wiped`: an older one is to be forgotten on the
 * disk first. */
static enum mqtt_reason session_for(struct broker *broker, const struct mqtt_connect *connect,
                                    const struct broker_identity *identity, struct str client_id,
                                    struct session **ret_session, bool *ret_present,
                                    bool *ret_wiped)
{
    uint32_t expiry_s = expiry_asked(broker, connect);
    struct session *session = broker_session_find(broker, str_from(identity->actor), client_id);
    *ret_present = *ret_wiped = false;
    if (session != NULL) {
        broker_session_ref(session);
        take_over(broker, session, connect->clean_start);
        if (connect->clean_start || session->expiry_s == 0 || session->ended ||
            !same_machine(session, identity)) {
            *ret_wiped = session->stored;
            broker_session_end(broker, session);
            broker_session_unref(session);
            session = NULL;
        } else {
            broker_session_unref(session); /* the table's reference stays */
            *ret_present = true;
        }
    }
    if (session == NULL) {
        if (expiry_s > 0 && !*ret_wiped)
            crowd_out(broker, identity);
        if (expiry_s > 0 && broker->session_lasting >= broker->options.sessions_max)
            return MQTT_QUOTA_EXCEEDED;
        if (broker_session_create(broker, identity, client_id, &session) != ERR_OK)
            return MQTT_SERVER_BUSY;
    }
    if (session->role != identity->role || session->waiting != identity->waiting)
        broker->version++;
    session->role = identity->role;
    session->waiting = identity->waiting;
    session->credential_id = identity->credential_id;
    session->expiry_s = expiry_s;
    session->gone_at_ms = 0;
    broker_will_destroy(session->will); /* it is back in time */
    session->will = NULL;
    broker_session_idle(broker, session, false);
    *ret_session = session;
    return MQTT_SUCCESS;
}

static struct client *client_create(struct broker *broker, struct mqtt_conn *conn,
                                    const struct mqtt_connect *connect)
{
    struct client *client = mem_zalloc(sizeof(*client));
    if (client == NULL)
        return NULL;
    client->refs = 1;
    client->conn = conn;
    client->v5 = connect->version == MQTT_V5;
    client->window = broker->options.inflight_max;
    if (client->v5 && (connect->properties.has & MQTT_HAS_RECEIVE_MAX) != 0 &&
        connect->properties.receive_max < client->window)
        client->window = connect->properties.receive_max;
    if (connect->will.present && broker_will_create(&connect->will, &client->will) != ERR_OK) {
        mem_free(client);
        return NULL;
    }
    client->next = broker->clients;
    if (client->next != NULL)
        client->next->prev = client;
    broker->clients = client;
    return client;
}

/* ---- the answer, now or when the new session is on the disk and an old one is gone ---- */

struct welcome {
    struct waiter waiter; /* first */
    struct broker *broker;
    struct client *client; /* a reference */
    bool present, assigned, expiry_said;
    uint16_t keep_alive_s;
};

static void welcome_send(struct broker *broker, const struct welcome *welcome)
{
    struct client *client = welcome->client;
    const struct session *session = client->session;
    struct mqtt_properties properties = {
        .has = MQTT_HAS_RECEIVE_MAX | MQTT_HAS_MAX_PACKET | MQTT_HAS_SHARED_AVAILABLE,
        .receive_max = (uint16_t)broker->options.receive_max,
        .max_packet_bytes = (uint32_t)broker->options.packet_bytes_max,
        .shared_available = false};
    if (welcome->assigned) {
        properties.has |= MQTT_HAS_ASSIGNED_CLIENT_ID;
        properties.assigned_client_id = session->client_id;
    }
    if (welcome->expiry_said) {
        properties.has |= MQTT_HAS_SESSION_EXPIRY;
        properties.session_expiry_s = session->expiry_s;
    }
    client->ready = true;
    mqtt_conn_accept(client->conn, welcome->present, welcome->keep_alive_s,
                     client->v5 ? &properties : NULL);
    broker_outbox_pump(broker, client->session);
}

static void welcome_later(struct waiter *waiter, bool stored)
{
    struct welcome *welcome = (struct welcome *)waiter;
    struct client *client = welcome->client;
    if (client->conn != NULL && client->session != NULL && !client->closing) {
        if (stored) {
            client->session->durable = client->session->stored;
            welcome_send(welcome->broker, welcome);
        } else {
            client->closing = true;
            refuse(welcome->broker, client->conn, MQTT_SERVER_UNAVAILABLE);
        }
    }
    broker_client_unref(client);
    mem_free(welcome);
}

static void welcome(struct broker *broker, struct client *client,
                    const struct mqtt_connect *connect, bool present, bool promises)
{
    const struct session *session = client->session;
    uint32_t asked_s = connect->properties.session_expiry_s;
    struct welcome now = {.waiter = {.done = welcome_later},
                          .broker = broker,
                          .client = client,
                          .present = present,
                          .assigned = connect->client_id.len == 0,
                          .expiry_said = (connect->properties.has & MQTT_HAS_SESSION_EXPIRY) != 0 &&
                                         asked_s != session->expiry_s,
                          .keep_alive_s = connect->keep_alive_s};
    struct welcome *later = promises && broker->open != NULL ? mem_alloc(sizeof(*later)) : NULL;
    if (later == NULL) {
        welcome_send(broker, &now);
        return;
    }
    *later = now;
    client->refs++;
    broker_batch_wait(broker, &later->waiter);
}

static enum err client_id_for(const struct mqtt_connect *connect, char *storage, size_t bytes,
                              struct str *ret_client_id)
{
    struct id128 id;
    char text[ID128_TEXT_BYTES];
    if (connect->client_id.len > 0) {
        *ret_client_id = connect->client_id;
        return ERR_OK;
    }
    enum err err = sys_random_id(&id);
    if (err != ERR_OK)
        return err;
    id128_text(id, text);
    snprintf(storage, bytes, "auto-%s", text);
    *ret_client_id = str_from(storage);
    return ERR_OK;
}

void broker_on_connect(void *cookie, struct mqtt_conn *conn, const struct mqtt_connect *connect)
{
    struct broker *broker = cookie;
    struct broker_identity identity;
    enum mqtt_reason reason = identify(broker, conn, connect, &identity);
    if (reason == MQTT_SUCCESS && !will_allowed(&identity, &connect->will)) {
        broker->stats.denied++;
        reason = MQTT_NOT_AUTHORIZED;
    }
    char assigned[64];
    struct str client_id = STR_NONE;
    if (reason == MQTT_SUCCESS &&
        client_id_for(connect, assigned, sizeof(assigned), &client_id) != ERR_OK)
        reason = MQTT_SERVER_UNAVAILABLE;
    struct client *client = NULL;
    if (reason == MQTT_SUCCESS && (client = client_create(broker, conn, connect)) == NULL)
        reason = MQTT_SERVER_BUSY;
    struct session *session;
    bool present, wiped;
    if (reason == MQTT_SUCCESS)
        reason = session_for(broker, connect, &identity, client_id, &session, &present, &wiped);
    if (reason != MQTT_SUCCESS) {
        if (client != NULL)
            broker_client_finish(broker, client);
        refuse(broker, conn, reason);
        return;
    }
    client->session = broker_session_ref(session);
    session->client = client;
    broker->stats.sessions_connected++;
    mqtt_conn_set_context(conn, client);
    /* What it will be promised within this session must not outlive the session. */
    if (session->stored || session->expiry_s > 0)
        broker_session_put(broker, session);
    bool promises = wiped || (session->stored && !session->durable);
    if (broker_presence_open(broker, client) != ERR_OK) {
        client->closing = true;
        refuse(broker, conn, MQTT_SERVER_BUSY);
        return; /* on_gone does the rest */
    }
    welcome(broker, client, connect, present, promises);
}
