/* Who gets a message, and the memory of it: a device says the same few topics again and again, so
 * each connection keeps for its newest topics what it may do, which handler they go to and who
 * listens.  Whatever changes one of these counts up broker->version, and every memory is old. */
#include "broker/broker_int.h"

#include <string.h>

struct routing {
    struct broker *broker;
    const struct session *publisher;
    struct str topic;
    uint64_t stamp;
    struct targets *targets;
    enum err err;
};

#define NOT_HIM UINT32_MAX       /* it may not be handed this topic */
#define NOT_YET (UINT32_MAX - 1) /* so far only by subscriptions with an id */

static struct target *target_add(struct routing *routing, const struct subscription *from)
{
    struct targets *targets = routing->targets;
    if (targets->count == targets->cap) {
        uint32_t cap = targets->cap * 2;
        bool few = targets->at == targets->few;
        struct target *at = mem_realloc(few ? NULL : targets->at, cap * sizeof(*at));
        if (at == NULL) {
            routing->err = ERR_NOMEM;
            return NULL;
        }
        if (few)
            memcpy(at, targets->few, sizeof(targets->few));
        targets->at = at;
        targets->cap = cap;
    }
    struct target *target = &targets->at[targets->count++];
    *target = (struct target){.session = from->session,
                              .subscription_id = from->subscription_id,
                              .qos = from->qos,
                              .as_published = from->as_published};
    return target;
}

/* One copy for all subscriptions of a session that overlap, but one for each that has an id of its
 * own, so that the client can tell them apart. */
static void route_one(struct routing *routing, const struct subscription *from)
{
    struct session *session = from->session;
    if (from->no_local && session == routing->publisher)
        return;
    if (session->route_stamp != routing->stamp) {
        struct bus_from to = broker_session_from(session);
        session->route_stamp = routing->stamp;
        session->route_index =
            broker_allows(&to, BROKER_DELIVER, routing->topic) ? NOT_YET : NOT_HIM;
    }
    if (session->route_index == NOT_HIM)
        return;
    if (from->subscription_id != 0 || session->route_index == NOT_YET) {
        uint32_t index = routing->targets->count;
        if (target_add(routing, from) != NULL && from->subscription_id == 0)
            session->route_index = index;
        return;
    }
    struct target *target = &routing->targets->at[session->route_index];
    if (from->qos > target->qos)
        target->qos = from->qos;
    target->as_published = target->as_published || from->as_published;
}

static void route_node(void *cookie, struct broker_node *node)
{
    struct routing *routing = cookie;
    for (struct subscription *at = node->subscriptions; at != NULL; at = at->next_node)
        route_one(routing, at);
}

enum err broker_route(struct broker *broker, const struct session *publisher, struct str topic,
                      struct targets *ret_targets)
{
    ret_targets->at = ret_targets->few;
    ret_targets->count = 0;
    ret_targets->cap = ARRAY_COUNT(ret_targets->few);
    struct routing routing = {broker, publisher, topic, ++broker->route_stamp, ret_targets, ERR_OK};
    broker_tree_match(&broker->tree, topic, route_node, &routing);
    if (routing.err != ERR_OK)
        broker_targets_finish(ret_targets);
    return routing.err;
}

void broker_targets_finish(struct targets *targets)
{
    if (targets->at != targets->few)
        mem_free(targets->at);
    targets->at = targets->few;
    targets->count = 0;
}

/* ---- rights and handler ---- */

static bool in_list(const char *list, struct str topic)
{
    struct str rest = str_from(list);
    while (rest.len > 0) {
        size_t end = str_find(rest, ',');
        struct str filter = str_slice(rest, 0, end);
        while (filter.len > 0 && filter.at[0] == ' ')
            filter = str_slice(filter, 1, filter.len);
        while (filter.len > 0 && filter.at[filter.len - 1] == ' ')
            filter.len--;
        if (mqtt_filter_matches(filter, topic))
            return true;
        rest = str_slice(rest, end + 1, rest.len);
    }
    return false;
}

void broker_plan(struct broker *broker, const struct bus_from *from, struct str topic,
                 struct cached *ret_plan)
{
    *ret_plan = (struct cached){.version = broker->version};
    ret_plan->allowed = broker_allows(from, BROKER_PUBLISH, topic);
    ret_plan->is_volatile = in_list(broker->volatile_filters, topic);
    for (const struct bus_handler *row = broker->options.handlers;
         row != NULL && row->filter != NULL; row++) {
        if (!mqtt_filter_matches(str_from(row->filter), topic))
            continue;
        ret_plan->handler = row;
        ret_plan->is_volatile = ret_plan->is_volatile || row->is_volatile;
        break;
    }
}

static void cached_free(struct cached *cached)
{
    if (cached == NULL)
        return;
    mem_free(cached->targets);
    mem_free(cached);
}

static struct cached *cached_create(struct broker *broker, struct client *client, struct str topic)
{
    struct cached *cached = mem_alloc(sizeof(*cached) + topic.len + 1);
    struct targets targets;
    if (cached == NULL)
        return NULL;
    struct bus_from from = broker_session_from(client->session);
    broker_plan(broker, &from, topic, cached);
    memcpy(cached->topic, topic.at, topic.len);
    cached->topic_len = (uint16_t)topic.len;
    if (!cached->allowed)
        return cached;
    if (broker_route(broker, client->session, topic, &targets) != ERR_OK) {
        mem_free(cached);
        return NULL;
    }
    if (targets.count > 0) {
        cached->targets = mem_alloc(targets.count * sizeof(struct target));
        if (cached->targets == NULL) {
            broker_targets_finish(&targets);
            mem_free(cached);
            return NULL;
        }
        memcpy(cached->targets, targets.at, targets.count * sizeof(struct target));
        cached->target_count = targets.count;
    }
    broker_targets_finish(&targets);
    return cached;
}

const struct cached *broker_plan_cached(struct broker *broker, struct client *client,
                                        struct str topic)
{
    int place = -1;
    for (int i = 0; i < BROKER_CACHE_TOPICS; i++) {
        struct cached *cached = client->cache[i];
        if (cached == NULL || cached->topic_len != topic.len ||
            memcmp(cached->topic, topic.at, topic.len) != 0)
            continue;
        if (cached->version == broker->version)
            return cached;
        place = i;
        break;
    }
    if (place < 0) {
        place = client->cache_next;
        client->cache_next = (uint8_t)((client->cache_next + 1) % BROKER_CACHE_TOPICS);
    }
    cached_free(client->cache[place]);
    client->cache[place] = cached_create(broker, client, topic);
    return client->cache[place];
}

void broker_cache_finish(struct client *client)
{
    for (int i = 0; i < BROKER_CACHE_TOPICS; i++) {
        cached_free(client->cache[i]);
        client->cache[i] = NULL;
    }
}
