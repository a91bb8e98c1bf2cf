/* One connection: from CONNECT until it is gone. */
#include "broker/broker_int.h"

void broker_client_close(struct broker *broker, struct client *client, enum mqtt_reason reason)
{
    (void)broker;
    if (client->closing || client->conn == NULL)
        return;
    client->closing = true;
    mqtt_conn_close(client->conn, reason);
}

void broker_client_unref(struct client *client)
{
    ASSERT(client->refs > 0);
    if (--client->refs > 0)
        return;
    ASSERT(client->session == NULL && client->conn == NULL);
    mem_free(client);
}

void broker_client_detach(struct broker *broker, struct client *client)
{
    struct session *session = client->session;
    if (session == NULL)
        return;
    ASSERT(session->client == client);
    broker_fifo_abandon(client);
    broker_cache_finish(client);
    broker_presence_close(broker, client);
    session->client = NULL;
    client->session = NULL;
    broker->stats.sessions_connected--;
    broker_outbox_rewind(session);
    broker_session_unref(session);
}

void broker_client_finish(struct broker *broker, struct client *client)
{
    if (client->prev != NULL)
        client->prev->next = client->next;
    else
        broker->clients = client->next;
    if (client->next != NULL)
        client->next->prev = client->prev;
    broker_will_destroy(client->will);
    client->will = NULL;
    client->conn = NULL;
    broker_client_unref(client);
}

void broker_on_disconnect(void *cookie, struct mqtt_conn *conn,
                          const struct mqtt_disconnect *disconnect)
{
    struct broker *broker = cookie;
    struct client *client = mqtt_conn_context(conn);
    if (client == NULL || client->session == NULL || client->closing)
        return;
    struct session *session = client->session;
    if ((disconnect->properties.has & MQTT_HAS_SESSION_EXPIRY) != 0) {
        uint32_t expiry_s = disconnect->properties.session_expiry_s;
        if (session->expiry_s == 0 && expiry_s != 0) {
            broker_client_close(broker, client, MQTT_PROTOCOL_ERROR);
            return;
        }
        uint32_t max_s = broker->options.session_expiry_s_max;
        session->expiry_s = expiry_s > max_s ? max_s : expiry_s;
    }
    if (disconnect->reason == MQTT_DISCONNECT_WITH_WILL)
        return;
    broker_will_destroy(client->will);
    client->will = NULL;
}

/* The will is said now, or later, unless the client is back by then. */
static void leave_will(struct broker *broker, struct session *session, struct will *will)
{
    if (will == NULL)
        return;
    if (will->delay_s == 0 || session->expiry_s == 0 || broker->stopping) {
        broker_will_publish(broker, session, will);
        broker_will_destroy(will);
        return;
    }
    session->will = will;
    session->will_at_ms = broker_wall_ms(broker) + (int64_t)will->delay_s * 1000;
}

void broker_on_gone(void *cookie, struct mqtt_conn *conn, enum mqtt_reason reason)
{
    (void)reason;
    struct broker *broker = cookie;
    struct client *client = mqtt_conn_context(conn);
    if (client == NULL)
        return;
    mqtt_conn_set_context(conn, NULL);
    struct session *session = client->session;
    if (session != NULL) {
        struct will *will = client->will;
        client->will = NULL;
        broker_session_ref(session);
        broker_client_detach(broker, client);
        session->gone_at_ms = broker_wall_ms(broker);
        leave_will(broker, session, will);
        if (session->expiry_s == 0) {
            broker_session_end(broker, session);
        } else if (!session->ended) { /* by a handler that the will came to */
            broker_session_idle(broker, session, true);
            broker_session_put(broker, session);
        }
        broker_session_unref(session);
    }
    broker_client_finish(broker, client);
    broker_stop_advance(broker);
}
