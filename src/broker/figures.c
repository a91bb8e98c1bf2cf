/* What the endpoint says of itself under $SYS/broker, to staff who listen.  In memory only. */
#include "broker/broker_int.h"

#include <stdio.h>

#define EVERY_MS 10000

static void say(struct broker *broker, const char *topic, uint64_t value)
{
    char text[24];
    bool op = false;
    struct targets targets;
    int len = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    struct mqtt_publish publish = {
        .retain = true, .topic = str_from(topic), .payload = {text, (size_t)len}};
    if (broker_retain(broker, &publish, 0, true, &op) != ERR_OK)
        return; /* the next time, perhaps */
    publish.retain = false;
    if (broker_route(broker, NULL, publish.topic, &targets) != ERR_OK)
        return;
    struct outgoing out = {.publish = &publish};
    if (broker_pass_on(broker, &out, targets.at, targets.count, &op) != ERR_OK)
        broker->stats.dropped++;
    broker_targets_finish(&targets);
}

void broker_figures_tick(struct broker *broker, int64_t mono_ms)
{
    if (broker->started_mono_ms == 0)
        broker->started_mono_ms = mono_ms;
    if (broker->figures_mono_ms != 0 && mono_ms - broker->figures_mono_ms < EVERY_MS)
        return;
    broker->figures_mono_ms = mono_ms;
    const struct broker_stats *stats = &broker->stats;
    say(broker, "$SYS/broker/uptime", (uint64_t)(mono_ms - broker->started_mono_ms) / 1000);
    say(broker, "$SYS/broker/clients/connected", stats->sessions_connected);
    say(broker, "$SYS/broker/clients/total", broker->session_count);
    say(broker, "$SYS/broker/subscriptions/count", stats->subscriptions);
    say(broker, "$SYS/broker/retained messages/count", broker->retained_count);
    say(broker, "$SYS/broker/messages/received",
        stats->messages_in[0] + stats->messages_in[1] + stats->messages_in[2]);
    say(broker, "$SYS/broker/messages/sent", stats->messages_out[0] + stats->messages_out[1]);
    say(broker, "$SYS/broker/messages/dropped", stats->dropped);
}
