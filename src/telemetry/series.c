/* Machines and their series in memory: two sorted levels, found by halving. */
#include "telemetry/telemetry_room_int.h"

#include <string.h>

static int compare(struct str a, struct str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.at, b.at, len) : 0;
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

/* How many machines come before this id. */
static uint32_t machine_position(const struct telemetry_registry *registry, struct str machine_id)
{
    uint32_t from = 0;
    uint32_t to = registry->machine_count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (compare(telemetry_machine_id(registry->machine[middle]), machine_id) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static uint32_t series_position(const struct telemetry_machine *machine, struct str type)
{
    uint32_t from = 0;
    uint32_t to = machine->count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (compare(telemetry_series_type(machine->series[middle]), type) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static struct telemetry_machine *machine_find(const struct telemetry_registry *registry,
                                              struct str machine_id)
{
    uint32_t at = machine_position(registry, machine_id);
    if (at == registry->machine_count ||
        !str_equal(telemetry_machine_id(registry->machine[at]), machine_id))
        return NULL;
    return registry->machine[at];
}

static struct telemetry_series *series_of(const struct telemetry_machine *machine, struct str type)
{
    uint32_t at = series_position(machine, type);
    if (at == machine->count || !str_equal(telemetry_series_type(machine->series[at]), type))
        return NULL;
    return machine->series[at];
}

struct telemetry_series *telemetry_series_find(const struct telemetry_registry *registry,
                                               struct str machine_id, struct str type)
{
    const struct telemetry_machine *machine = machine_find(registry, machine_id);
    return machine != NULL ? series_of(machine, type) : NULL;
}

/* Room for one more pointer in the array that `array` points to. */
static enum err reserve(void *array, uint32_t count, uint32_t *cap)
{
    void *at;
    if (count < *cap)
        return ERR_OK;
    uint32_t grown_cap = *cap == 0 ? 8 : *cap * 2;
    memcpy(&at, array, sizeof(at));
    at = mem_realloc(at, grown_cap * sizeof(void *));
    if (at == NULL)
        return ERR_NOMEM;
    memcpy(array, &at, sizeof(at));
    *cap = grown_cap;
    return ERR_OK;
}

static enum err machine_add(struct telemetry_registry *registry, struct str machine_id,
                            struct telemetry_machine **ret_machine)
{
    enum err err = reserve(&registry->machine, registry->machine_count, &registry->machine_cap);
    if (err != ERR_OK)
        return err;
    struct telemetry_machine *machine = mem_zalloc(sizeof(*machine));
    if (machine == NULL)
        return ERR_NOMEM;
    err = str_copy(machine->machine_id, sizeof(machine->machine_id), machine_id);
    if (err != ERR_OK) {
        mem_free(machine);
        return err;
    }
    machine->machine_id_len = (uint8_t)machine_id.len;
    uint32_t at = machine_position(registry, machine_id);
    memmove(&registry->machine[at + 1], &registry->machine[at],
            (registry->machine_count - at) * sizeof(struct telemetry_machine *));
    registry->machine[at] = machine;
    registry->machine_count++;
    *ret_machine = machine;
    return ERR_OK;
}

/* Every allocation comes first, so that a failure leaves nothing half known. */
static enum err series_add(struct telemetry_registry *registry, struct telemetry_machine *machine,
                           int64_t series_id, struct str type, struct telemetry_series **ret_series)
{
    enum err err = reserve(&machine->series, machine->count, &machine->cap);
    if (err == ERR_OK)
        err = reserve(&registry->series, registry->series_count, &registry->series_cap);
    struct telemetry_series *series = err == ERR_OK ? mem_zalloc(sizeof(*series)) : NULL;
    if (series == NULL)
        return ERR_NOMEM;
    err = str_copy(series->type, sizeof(series->type), type);
    if (err != ERR_OK) {
        mem_free(series);
        return err;
    }
    series->machine = machine;
    series->type_len = (uint8_t)type.len;
    series->series_id = series_id != 0 ? series_id : registry->newest_series_id + 1;
    if (series->series_id > registry->newest_series_id)
        registry->newest_series_id = series->series_id;
    uint32_t at = series_position(machine, type);
    memmove(&machine->series[at + 1], &machine->series[at],
            (machine->count - at) * sizeof(struct telemetry_series *));
    machine->series[at] = series;
    machine->count++;
    registry->series[registry->series_count++] = series;
    *ret_series = series;
    return ERR_OK;
}

enum err telemetry_series_add(struct telemetry_registry *registry,
                              const struct telemetry_options *bounds, int64_t series_id,
                              struct str machine_id, struct str type,
                              struct telemetry_series **ret_series)
{
    struct telemetry_machine *machine = machine_find(registry, machine_id);
    bool full = registry->series_count >= bounds->series_max ||
                (machine != NULL && machine->count >= bounds->series_per_machine_max);
    /* What is on disk is loaded whatever the bounds are today. */
    if (full && series_id == 0)
        return ERR_FULL;
    if (machine == NULL) {
        enum err err = machine_add(registry, machine_id, &machine);
        if (err != ERR_OK)
            return err;
    }
    return series_add(registry, machine, series_id, type, ret_series);
}

void telemetry_registry_finish(struct telemetry_registry *registry)
{
    for (uint32_t i = 0; i < registry->series_count; i++)
        mem_free(registry->series[i]);
    for (uint32_t i = 0; i < registry->machine_count; i++) {
        mem_free(registry->machine[i]->series);
        mem_free(registry->machine[i]);
    }
    mem_free(registry->series);
    mem_free(registry->machine);
}

/* ---- looking ---- */

static bool shown(const struct telemetry_series *series, struct telemetry_latest *ret_latest)
{
    if (!series->has_latest)
        return false;
    *ret_latest = (struct telemetry_latest){
        .machine_id = series->machine->machine_id,
        .type = series->type,
        .value = series->value,
        .at_ms = series->at_ms,
        .received_at_ms = series->received_at_ms,
        .provenance = series->provenance,
    };
    return true;
}

bool telemetry_latest_get(const struct telemetry *telemetry, struct str machine_id, struct str type,
                          struct telemetry_latest *ret_latest)
{
    const struct telemetry_series *series =
        telemetry_series_find(&telemetry->registry, machine_id, type);
    return series != NULL && shown(series, ret_latest);
}

static bool each_of(const struct telemetry_machine *machine,
                    bool (*each)(void *cookie, const struct telemetry_latest *latest), void *cookie)
{
    struct telemetry_latest latest;
    for (uint32_t i = 0; i < machine->count; i++)
        if (shown(machine->series[i], &latest) && !each(cookie, &latest))
            return false;
    return true;
}

void telemetry_latest_each(const struct telemetry *telemetry, struct str machine_id,
                           bool (*each)(void *cookie, const struct telemetry_latest *latest),
                           void *cookie)
{
    const struct telemetry_registry *registry = &telemetry->registry;
    if (machine_id.len > 0) {
        const struct telemetry_machine *machine = machine_find(registry, machine_id);
        if (machine != NULL)
            (void)each_of(machine, each, cookie);
        return;
    }
    for (uint32_t i = 0; i < registry->machine_count; i++)
        if (!each_of(registry->machine[i], each, cookie))
            return;
}
