/* Machines that are connected now, by how many connections. */
#include "broker/broker_int.h"

#define SEEN_EVERY_MS 1000

static struct machine **bucket_of(const struct broker *broker, struct str machine_id)
{
    uint64_t code = broker_hash(broker->seed, machine_id.at, machine_id.len);
    return &broker->machine_bucket[code & (BROKER_MACHINE_BUCKETS - 1)];
}

struct machine *broker_presence_find(const struct broker *broker, struct str machine_id)
{
    struct machine *machine = *bucket_of(broker, machine_id);
    while (machine != NULL && !str_equal(str_from(machine->machine_id), machine_id))
        machine = machine->next_hash;
    return machine;
}

static void tell(struct broker *broker, struct str machine_id, bool opened, bool closed, bool seen)
{
    if (broker->options.gate.presence != NULL)
        broker->options.gate.presence(broker->options.gate.cookie, machine_id, opened, closed,
                                      seen);
}

enum err broker_presence_open(struct broker *broker, struct client *client)
{
    struct str machine_id = client->session->machine_id;
    if (client->session->role != BUS_DEVICE)
        return ERR_OK;
    struct machine *machine = broker_presence_find(broker, machine_id);
    bool first = machine == NULL;
    if (first) {
        machine = mem_zalloc(sizeof(*machine));
        if (machine == NULL)
            return ERR_NOMEM;
        enum err err = str_copy(machine->machine_id, sizeof(machine->machine_id), machine_id);
        if (err != ERR_OK) {
            mem_free(machine);
            return err;
        }
        struct machine **bucket = bucket_of(broker, machine_id);
        machine->next_hash = *bucket;
        *bucket = machine;
    }
    client->machine = machine;
    client->machine_next = machine->clients;
    machine->clients = client;
    client->seen_ms = loop_now_ms(broker->options.loop);
    if (first)
        tell(broker, machine_id, true, false, true);
    return ERR_OK;
}

void broker_presence_close(struct broker *broker, struct client *client)
{
    struct machine *machine = client->machine;
    if (machine == NULL)
        return;
    client->machine = NULL;
    struct client **at = &machine->clients;
    while (*at != client)
        at = &(*at)->machine_next;
    *at = client->machine_next;
    if (machine->clients != NULL)
        return;
    struct machine **bucket = bucket_of(broker, str_from(machine->machine_id));
    while (*bucket != machine)
        bucket = &(*bucket)->next_hash;
    *bucket = machine->next_hash;
    tell(broker, str_from(machine->machine_id), false, true, false);
    mem_free(machine);
}

void broker_presence_seen(struct broker *broker, struct client *client)
{
    if (client->machine == NULL)
        return;
    int64_t now_ms = loop_now_ms(broker->options.loop);
    if (now_ms - client->seen_ms < SEEN_EVERY_MS)
        return;
    client->seen_ms = now_ms;
    tell(broker, str_from(client->machine->machine_id), false, false, true);
}
