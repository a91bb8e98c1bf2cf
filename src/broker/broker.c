/* The endpoint as a whole: made, asked, stopped. */
#include "broker/broker_int.h"

#include <string.h>

static const struct bus_ops bus_ops = {.publish = broker_bus_publish};

static void on_batch_end(void *cookie, struct mqtt_conn *conn)
{
    (void)cookie; /* what it brought is submitted at the end of the turn, with the others' */
    (void)conn;
}

static void on_room(void *cookie, struct mqtt_conn *conn)
{
    struct broker *broker = cookie;
    struct client *client = mqtt_conn_context(conn);
    if (client != NULL && client->session != NULL)
        broker_outbox_pump(broker, client->session);
}

static const struct mqtt_server_user server_user = {.on_connect = broker_on_connect,
                                                    .on_publish = broker_on_publish,
                                                    .on_ack = broker_on_ack,
                                                    .on_subscribe = broker_on_subscribe,
                                                    .on_unsubscribe = broker_on_unsubscribe,
                                                    .on_disconnect = broker_on_disconnect,
                                                    .on_batch_end = on_batch_end,
                                                    .on_room = on_room,
                                                    .on_gone = broker_on_gone};

static void flush_fire(void *cookie)
{
    struct broker *broker = cookie;
    broker->flush_set = false;
    broker_batch_flush(broker);
}

static void set_u32(uint32_t *value, uint32_t preset)
{
    if (*value == 0)
        *value = preset;
}

static void set_presets(struct broker_options *options)
{
    set_u32(&options->connections_max, 20000);
    set_u32(&options->sessions_max, 20000);
    set_u32(&options->session_expiry_s_max, 7 * 24 * 3600);
    set_u32(&options->subscriptions_max, 64);
    set_u32(&options->inflight_max, 32);
    set_u32(&options->receive_max, 256);
    set_u32(&options->queued_max, 1000);
    set_u32(&options->retained_max, 20000);
    if (options->receive_max > UINT16_MAX)
        options->receive_max = UINT16_MAX;
    if (options->inflight_max > 1000)
        options->inflight_max = 1000;
    if (options->queued_max > 30000) /* packet ids of what waits must differ */
        options->queued_max = 30000;
    if (options->packet_bytes_max == 0 || options->packet_bytes_max > MQTT_PACKET_BYTES_MAX)
        options->packet_bytes_max = MQTT_PACKET_BYTES_MAX;
}

static enum err make_parts(struct broker *broker)
{
    struct loop *loop = broker->options.loop;
    uint8_t random[4];
    enum err err = sys_random(&broker->seed, sizeof(broker->seed));
    if (err == ERR_OK)
        err = sys_random(random, sizeof(random));
    if (err != ERR_OK)
        return err;
    /* Two runs of the program never name two messages alike. */
    memcpy(broker->request_prefix, "m-", 2);
    hex_encode(broker->request_prefix + 2, random, sizeof(random));
    broker->request_prefix[10] = '-';
    err = broker_tree_init(&broker->tree, broker->seed);
    if (err != ERR_OK)
        return err;
    broker->machine_bucket = mem_zalloc(BROKER_MACHINE_BUCKETS * sizeof(struct machine *));
    if (broker->machine_bucket == NULL)
        return ERR_NOMEM;
    if (broker->options.volatile_filters != NULL) {
        broker->volatile_filters = mem_strdup(str_from(broker->options.volatile_filters));
        if (broker->volatile_filters == NULL)
            return ERR_NOMEM;
    }
    err = loop_timer_create(loop, flush_fire, broker, &broker->flush_timer);
    if (err == ERR_OK)
        err = loop_timer_create(loop, broker_stop_fire, broker, &broker->stop_timer);
    if (err != ERR_OK)
        return err;
    struct mqtt_server_options server = {.connections_max = broker->options.connections_max,
                                         .packet_bytes_max = broker->options.packet_bytes_max};
    return mqtt_server_create(loop, &server, &server_user, broker, &broker->server);
}

enum err broker_create(const struct broker_options *options, struct broker **ret_broker)
{
    ASSERT(options->gate.authenticate != NULL && options->wall_ms != NULL);
    struct broker *broker = mem_zalloc(sizeof(*broker));
    if (broker == NULL)
        return ERR_NOMEM;
    broker->bus.ops = &bus_ops;
    broker->options = *options;
    broker->version = 1;
    set_presets(&broker->options);
    enum err err = make_parts(broker);
    if (err == ERR_OK)
        err = broker_load(broker);
    if (err != ERR_OK) {
        broker_destroy(broker);
        return err;
    }
    *ret_broker = broker;
    return ERR_OK;
}

static void drop_clients(struct broker *broker)
{
    while (broker->clients != NULL) {
        struct client *client = broker->clients;
        if (client->conn != NULL)
            mqtt_conn_set_context(client->conn, NULL);
        broker_client_detach(broker, client);
        broker_client_finish(broker, client);
    }
}

void broker_destroy(struct broker *broker)
{
    if (broker == NULL)
        return;
    broker->options.gate.presence = NULL;
    broker->stopping = broker->server_stopped = true;
    drop_clients(broker);
    mqtt_server_destroy(broker->server);
    broker_batch_finish(broker);
    broker_loads_finish(broker);
    broker_pendings_finish(broker);
    for (uint32_t i = 0; i < broker->session_bucket_count; i++) {
        while (broker->session_bucket[i] != NULL)
            broker_session_drop(broker, broker->session_bucket[i]);
    }
    broker_retained_finish(broker);
    if (broker->tree.root != NULL)
        broker_tree_finish(&broker->tree);
    loop_timer_destroy(broker->flush_timer);
    loop_timer_destroy(broker->stop_timer);
    mem_free(broker->session_bucket);
    mem_free(broker->machine_bucket);
    mem_free(broker->volatile_filters);
    mem_free(broker);
}

struct mqtt_server *broker_server(struct broker *broker)
{
    return broker->server;
}

struct bus *broker_bus(struct broker *broker)
{
    return &broker->bus;
}

void broker_stats_get(const struct broker *broker, struct broker_stats *ret_stats)
{
    *ret_stats = broker->stats;
    ret_stats->sessions = broker->session_count;
    ret_stats->retained = broker->retained_count;
}

static bool session_listens(const struct session *session, struct str topic)
{
    const struct subscription *at = session != NULL ? session->subscriptions : NULL;
    for (; at != NULL; at = at->next_session) {
        if (mqtt_filter_matches(broker_filter(at), topic))
            return true;
    }
    return false;
}

bool broker_listens(const struct broker *broker, struct str machine_id, struct str topic)
{
    const struct machine *machine = broker_presence_find(broker, machine_id);
    const struct client *client = machine != NULL ? machine->clients : NULL;
    for (; client != NULL; client = client->machine_next) {
        if (session_listens(client->session, topic))
            return true;
    }
    return false;
}

bool broker_client_listens(const struct broker *broker, struct str actor, struct str client_id,
                           struct str topic)
{
    const struct session *session = broker_session_find(broker, actor, client_id);
    return session != NULL && session->client != NULL && session_listens(session, topic);
}

void broker_tick(struct broker *broker, int64_t now_ms, int64_t mono_ms)
{
    broker_batch_flush(broker); /* what the disk did not take last time */
    broker_session_tick(broker, now_ms);
    broker_retained_tick(broker, now_ms);
    if (broker->stuck) {
        broker->stuck = false;
        for (struct client *at = broker->clients; at != NULL; at = at->next) {
            if (at->session != NULL)
                broker_outbox_pump(broker, at->session);
        }
    }
    broker_figures_tick(broker, mono_ms);
}
