/* SUBSCRIBE and UNSUBSCRIBE.  A persistent session hears "granted" when its subscriptions are on
 * the disk. */
#include "broker/broker_int.h"

#include <string.h>

static struct subscription *find(const struct session *session, const struct broker_node *node)
{
    struct subscription *subscription = session->subscriptions;
    while (subscription != NULL && subscription->node != node)
        subscription = subscription->next_session;
    return subscription;
}

static enum err subscription_create(struct broker *broker, struct session *session,
                                    struct str filter, struct broker_node *node,
                                    struct subscription **ret_subscription)
{
    struct subscription *made = mem_zalloc(sizeof(*made) + filter.len + 1);
    if (made == NULL)
        return ERR_NOMEM;
    made->session = session;
    made->node = node;
    made->filter_len = (uint16_t)filter.len;
    memcpy(made->filter, filter.at, filter.len);
    made->next_node = node->subscriptions;
    if (made->next_node != NULL)
        made->next_node->prev_node = made;
    node->subscriptions = made;
    made->next_session = session->subscriptions;
    session->subscriptions = made;
    session->subscription_count++;
    broker->stats.subscriptions++;
    *ret_subscription = made;
    return ERR_OK;
}

enum err broker_subscription_put(struct broker *broker, struct session *session,
                                 const struct mqtt_filter *filter, uint32_t subscription_id,
                                 bool *ret_new)
{
    struct broker_node *node;
    enum err err = broker_tree_get(&broker->tree, filter->filter, &node);
    if (err != ERR_OK)
        return err;
    struct subscription *subscription = find(session, node);
    *ret_new = subscription == NULL;
    if (subscription == NULL) {
        err = subscription_create(broker, session, filter->filter, node, &subscription);
        if (err != ERR_OK) {
            broker_tree_trim(&broker->tree, node);
            return err;
        }
    }
    subscription->qos = filter->qos > 1 ? 1 : filter->qos;
    subscription->no_local = filter->no_local;
    subscription->as_published = filter->retain_as_published;
    subscription->subscription_id = subscription_id;
    broker->version++;
    return ERR_OK;
}

static void subscription_free(struct broker *broker, struct subscription *subscription)
{
    struct broker_node *node = subscription->node;
    if (subscription->prev_node != NULL)
        subscription->prev_node->next_node = subscription->next_node;
    else
        node->subscriptions = subscription->next_node;
    if (subscription->next_node != NULL)
        subscription->next_node->prev_node = subscription->prev_node;
    subscription->session->subscription_count--;
    broker->stats.subscriptions--;
    broker->version++;
    mem_free(subscription);
    broker_tree_trim(&broker->tree, node);
}

bool broker_subscription_end(struct broker *broker, struct session *session, struct str filter)
{
    struct broker_node *node = broker_tree_find(&broker->tree, filter);
    struct subscription **at = &session->subscriptions;
    while (*at != NULL && (*at)->node != node)
        at = &(*at)->next_session;
    struct subscription *subscription = *at;
    if (node == NULL || subscription == NULL)
        return false;
    *at = subscription->next_session;
    subscription_free(broker, subscription);
    return true;
}

void broker_subscriptions_end(struct broker *broker, struct session *session)
{
    while (session->subscriptions != NULL) {
        struct subscription *subscription = session->subscriptions;
        session->subscriptions = subscription->next_session;
        subscription_free(broker, subscription);
    }
}

/* ---- the answer, now or when the change is on the disk ---- */

struct answer {
    struct waiter waiter; /* first */
    struct broker *broker;
    struct client *client; /* a reference */
    struct mqtt_suback suback;
    uint8_t refused; /* the reason when the disk fails */
    bool fresh[MQTT_FILTERS_MAX], retained[MQTT_FILTERS_MAX];
    struct str filter[MQTT_FILTERS_MAX];
    char bytes[];
};

static struct answer *answer_create(struct broker *broker, struct client *client,
                                    const struct mqtt_subscribe *subscribe, enum mqtt_type type)
{
    size_t bytes = 1;
    for (uint32_t i = 0; i < subscribe->filter_count; i++)
        bytes += subscribe->filter[i].filter.len;
    struct answer *answer = mem_alloc(sizeof(*answer) + bytes);
    if (answer == NULL)
        return NULL;
    memset(answer, 0, sizeof(*answer));
    answer->broker = broker;
    answer->client = client;
    client->refs++;
    answer->suback.type = type;
    answer->suback.packet_id = subscribe->packet_id;
    answer->suback.reason_count = subscribe->filter_count;
    answer->refused = client->v5 ? MQTT_IMPLEMENTATION_ERROR : MQTT_UNSPECIFIED;
    char *at = answer->bytes;
    for (uint32_t i = 0; i < subscribe->filter_count; i++) {
        struct str filter = subscribe->filter[i].filter;
        memcpy(at, filter.at, filter.len);
        answer->filter[i] = (struct str){at, filter.len};
        at += filter.len;
    }
    return answer;
}

static void tell_subscribed(struct broker *broker, struct answer *answer, uint32_t index)
{
    struct session *session = answer->client->session;
    if (session == NULL || answer->suback.reason[index] > 2)
        return;
    struct broker_node *node = broker_tree_find(&broker->tree, answer->filter[index]);
    const struct subscription *subscription = node != NULL ? find(session, node) : NULL;
    if (subscription == NULL)
        return; /* ended meanwhile */
    if (answer->retained[index])
        broker_retained_send(broker, session, subscription);
    if (broker->options.gate.subscribed != NULL) {
        struct bus_from from = broker_session_from(session);
        broker->options.gate.subscribed(broker->options.gate.cookie, &from, answer->filter[index]);
    }
}

static void answer_send(struct waiter *waiter, bool stored)
{
    struct answer *answer = (struct answer *)waiter;
    struct broker *broker = answer->broker;
    struct client *client = answer->client;
    bool subscribes = answer->suback.type == MQTT_SUBACK;
    for (uint32_t i = 0; !stored && i < answer->suback.reason_count; i++) {
        if (answer->suback.reason[i] >= MQTT_UNSPECIFIED)
            continue;
        answer->suback.reason[i] = answer->refused;
        if (subscribes && answer->fresh[i] && client->session != NULL &&
            broker_subscription_end(broker, client->session, answer->filter[i]))
            (void)broker_op_add(broker, OP_UNSUBSCRIBE, client->session->session_id,
                                answer->filter[i], STR(""), STR(""));
    }
    if (client->conn != NULL && !client->closing) {
        struct mqtt_packet packet = {.type = answer->suback.type, .suback = answer->suback};
        enum err err = mqtt_conn_send(client->conn, &packet);
        if (err != ERR_OK)
            broker_client_close(broker, client, MQTT_QUOTA_EXCEEDED);
        for (uint32_t i = 0; subscribes && i < answer->suback.reason_count; i++)
            tell_subscribed(broker, answer, i);
    }
    broker_client_unref(client);
    mem_free(answer);
}

static uint8_t refusal(const struct client *client, enum mqtt_reason reason)
{
    return (uint8_t)(client->v5 ? reason : MQTT_UNSPECIFIED);
}

static void subscription_write(struct broker *broker, struct session *session,
                               const struct mqtt_filter *filter, uint32_t subscription_id,
                               bool *ret_op)
{
    struct op *op =
        broker_op_add(broker, OP_SUBSCRIBE, session->session_id, filter->filter, STR(""), STR(""));
    *ret_op = op != NULL;
    if (op == NULL)
        return;
    op->qos = filter->qos > 1 ? 1 : filter->qos;
    op->flag = filter->no_local;
    op->flag2 = filter->retain_as_published;
    op->expiry_s = subscription_id;
}

/* The reason code for one filter; `ret_fresh`, `ret_op` as far as it was granted. */
static uint8_t subscribe_one(struct broker *broker, struct client *client,
                             const struct mqtt_filter *filter, uint32_t subscription_id,
                             bool *ret_fresh, bool *ret_op)
{
    struct session *session = client->session;
    struct bus_from from = broker_session_from(session);
    if (str_starts(filter->filter, STR("$share/")))
        return refusal(client, MQTT_SHARED_NOT_SUPPORTED);
    if (!broker_allows(&from, BROKER_SUBSCRIBE, filter->filter)) {
        broker->stats.denied++;
        return refusal(client, MQTT_NOT_AUTHORIZED);
    }
    struct broker_node *node = broker_tree_find(&broker->tree, filter->filter);
    if (session->subscription_count >= broker->options.subscriptions_max &&
        (node == NULL || find(session, node) == NULL))
        return refusal(client, MQTT_QUOTA_EXCEEDED);
    if (broker_subscription_put(broker, session, filter, subscription_id, ret_fresh) != ERR_OK)
        return refusal(client, MQTT_QUOTA_EXCEEDED);
    bool op = false;
    if (session->stored) {
        subscription_write(broker, session, filter, subscription_id, &op);
        if (!op) { /* it could not be promised */
            broker_subscription_end(broker, session, filter->filter);
            return refusal(client, MQTT_QUOTA_EXCEEDED);
        }
        *ret_op = true;
    }
    return filter->qos > 1 ? 1 : filter->qos;
}

static void answer_later(struct broker *broker, struct answer *answer, bool op)
{
    answer->waiter.done = answer_send;
    if (op)
        broker_batch_wait(broker, &answer->waiter);
    else
        answer_send(&answer->waiter, true);
}

void broker_on_subscribe(void *cookie, struct mqtt_conn *conn,
                         const struct mqtt_subscribe *subscribe)
{
    struct broker *broker = cookie;
    struct client *client = mqtt_conn_context(conn);
    if (client == NULL || client->closing || client->session == NULL)
        return;
    broker_presence_seen(broker, client);
    struct answer *answer = answer_create(broker, client, subscribe, MQTT_SUBACK);
    if (answer == NULL) {
        broker_client_close(broker, client, MQTT_SERVER_BUSY);
        return;
    }
    bool op = false;
    uint32_t subscription_id = (subscribe->properties.has & MQTT_HAS_SUBSCRIPTION_ID) != 0
                                   ? subscribe->properties.subscription_id
                                   : 0;
    for (uint32_t i = 0; i < subscribe->filter_count; i++) {
        const struct mqtt_filter *filter = &subscribe->filter[i];
        answer->suback.reason[i] =
            subscribe_one(broker, client, filter, subscription_id, &answer->fresh[i], &op);
        answer->retained[i] =
            filter->retain_handling == 0 || (filter->retain_handling == 1 && answer->fresh[i]);
    }
    answer_later(broker, answer, op);
}

void broker_on_unsubscribe(void *cookie, struct mqtt_conn *conn,
                           const struct mqtt_subscribe *unsubscribe)
{
    struct broker *broker = cookie;
    struct client *client = mqtt_conn_context(conn);
    if (client == NULL || client->closing || client->session == NULL)
        return;
    broker_presence_seen(broker, client);
    struct answer *answer = answer_create(broker, client, unsubscribe, MQTT_UNSUBACK);
    if (answer == NULL) {
        broker_client_close(broker, client, MQTT_SERVER_BUSY);
        return;
    }
    bool op = false;
    struct session *session = client->session;
    for (uint32_t i = 0; i < unsubscribe->filter_count; i++) {
        struct str filter = unsubscribe->filter[i].filter;
        bool ended = broker_subscription_end(broker, session, filter);
        answer->suback.reason[i] = ended ? MQTT_SUCCESS : MQTT_NO_SUBSCRIPTION_EXISTED;
        if (ended && session->stored &&
            broker_op_add(broker, OP_UNSUBSCRIBE, session->session_id, filter, STR(""), STR("")) !=
                NULL)
            op = true;
    }
    answer_later(broker, answer, op);
}
