/* Stopping, in order:
 *
 *   nobody is read from any more --> what is pending is on the disk and acknowledged --> wills -->
 *   what they brought is on the disk --> connections end --> their sessions' rows are written
 *
 * Each step waits for the one before, all together for STOP_MS at most. */
#include "broker/broker_int.h"

#define STOP_MS  5000
#define CHECK_MS 50

static bool settled(const struct broker *broker)
{
    if (loop_now_ms(broker->options.loop) >= broker->stop_deadline_ms)
        return true;
    bool disk = broker->failing || (broker->open == NULL && broker->writing == NULL);
    return disk && broker->pendings == NULL && broker->loads == NULL;
}

static void publish_wills(struct broker *broker)
{
    for (struct client *client = broker->clients; client != NULL; client = client->next) {
        struct will *will = client->will;
        client->will = NULL;
        if (will != NULL && client->session != NULL)
            broker_will_publish(broker, client->session, will);
        broker_will_destroy(will);
    }
}

static void server_stopped(void *cookie)
{
    struct broker *broker = cookie;
    broker->server_stopped = true;
    broker_stop_advance(broker);
}

void broker_stop_fire(void *cookie)
{
    struct broker *broker = cookie;
    broker_batch_flush(broker);
    bool go_on = settled(broker);
    if (go_on && !broker->wills_done) {
        broker->wills_done = true;
        publish_wills(broker);
    } else if (go_on && !broker->server_stopping) {
        broker->server_stopping = true;
        mqtt_server_stop(broker->server, server_stopped, broker);
    } else if (go_on && broker->server_stopped && broker->stopped != NULL) {
        void (*stopped)(void *) = broker->stopped;
        broker->stopped = NULL;
        stopped(broker->stopped_cookie); /* may free the broker's loop, not the broker */
        return;
    }
    if (broker->stopped != NULL)
        loop_timer_set(broker->stop_timer, loop_now_ms(broker->options.loop) + CHECK_MS);
}

void broker_stop_advance(struct broker *broker)
{
    if (broker->stopping && broker->stopped != NULL)
        loop_timer_set(broker->stop_timer, loop_now_ms(broker->options.loop));
}

void broker_stop(struct broker *broker, void (*done)(void *cookie), void *cookie)
{
    ASSERT(!broker->stopping);
    broker->stopping = true;
    broker->stopped = done;
    broker->stopped_cookie = cookie;
    broker->stop_deadline_ms = loop_now_ms(broker->options.loop) + STOP_MS;
    for (struct client *client = broker->clients; client != NULL; client = client->next) {
        if (client->conn != NULL && !client->closing)
            mqtt_conn_pause(client->conn, true);
    }
    broker_stop_advance(broker);
}
