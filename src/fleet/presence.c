/* Who is there.  Online while something of it is parked, or was heard of within options.online_s.
 */
#include "fleet/fleet_int.h"

#include <string.h>

static void set_online(struct fleet *fleet, struct machine *machine, bool online)
{
    if (machine->shown.online == online)
        return;
    machine->shown.online = online;
    fleet_memory_changed(fleet, machine, FLEET_CHANGED_PRESENCE);
}

void fleet_machine_seen(struct fleet *fleet, struct machine *machine, int64_t now_ms,
                        int64_t mono_ms)
{
    machine->seen_mono_ms = mono_ms;
    machine->shown.last_seen_at_ms = now_ms;
    bool was_active = machine->shown.active;
    machine->shown.active = true;
    if (!was_active && machine->shown.online)
        fleet_memory_changed(fleet, machine, FLEET_CHANGED_PRESENCE);
    set_online(fleet, machine, true);
}

void fleet_presence_seen(struct fleet *fleet, struct str machine_id, int64_t now_ms,
                         int64_t mono_ms)
{
    struct machine *machine = fleet_memory_find(fleet, machine_id);
    if (machine != NULL)
        fleet_machine_seen(fleet, machine, now_ms, mono_ms);
}

void fleet_presence_park(struct fleet *fleet, struct str machine_id, int64_t now_ms,
                         int64_t mono_ms)
{
    struct machine *machine = fleet_memory_find(fleet, machine_id);
    if (machine == NULL)
        return;
    machine->shown.parked++;
    fleet_machine_seen(fleet, machine, now_ms, mono_ms);
}

void fleet_presence_unpark(struct fleet *fleet, struct str machine_id, int64_t now_ms,
                           int64_t mono_ms)
{
    struct machine *machine = fleet_memory_find(fleet, machine_id);
    if (machine == NULL || machine->shown.parked == 0)
        return; /* parked before the machine was removed and added again */
    machine->shown.parked--;
    fleet_machine_seen(fleet, machine, now_ms, mono_ms);
}

void fleet_presence_connect(struct fleet *fleet, struct str machine_id, int64_t now_ms,
                            int64_t mono_ms)
{
    struct machine *machine = fleet_memory_find(fleet, machine_id);
    if (machine == NULL)
        return;
    machine->shown.mqtt++;
    machine->shown.parked++;
    fleet_machine_seen(fleet, machine, now_ms, mono_ms);
}

void fleet_presence_disconnect(struct fleet *fleet, struct str machine_id, int64_t now_ms,
                               int64_t mono_ms)
{
    struct machine *machine = fleet_memory_find(fleet, machine_id);
    if (machine == NULL || machine->shown.mqtt == 0)
        return; /* connected before it was registered, or as an earlier machine of this name */
    machine->shown.mqtt--;
    machine->shown.parked--;
    fleet_machine_seen(fleet, machine, now_ms, mono_ms);
    fleet_memory_changed(fleet, machine, FLEET_CHANGED_PRESENCE);
}

enum err fleet_progress(struct fleet *fleet, struct str machine_id, struct str step,
                        struct str sensors, int64_t now_ms, int64_t mono_ms)
{
    struct machine *machine = fleet_memory_find(fleet, machine_id);
    char *json = NULL;
    if (machine == NULL)
        return ERR_NOT_FOUND;
    if (step.len != 0 && !fleet_step_named(step))
        return ERR_INPUT;
    if (sensors.len != 0) {
        enum err err = fleet_object_check(sensors, FLEET_BLOB_BYTES_MAX, &json);
        if (err != ERR_OK)
            return err;
    }
    fleet_machine_seen(fleet, machine, now_ms, mono_ms);
    bool changed = false;
    if (step.len != 0 && !str_equal(step, str_from(machine->shown.step))) {
        memcpy(machine->shown.step, step.at, step.len);
        machine->shown.step[step.len] = '\0';
        machine->shown.step_since_ms = now_ms;
        changed = true;
    }
    if (json != NULL) {
        mem_free(machine->sensors);
        machine->sensors = json;
        machine->shown.sensors = json;
        machine->shown.sensors_at_ms = now_ms;
        changed = true;
    }
    if (changed)
        fleet_memory_changed(fleet, machine, FLEET_CHANGED_PROGRESS);
    return ERR_OK;
}
