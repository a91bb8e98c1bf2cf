#include "fleet/fleet_int.h"

#include <string.h>

struct machine *fleet_machine_create(struct str machine_id, struct str kind)
{
    struct machine *machine = mem_zalloc(sizeof(*machine));
    if (machine == NULL)
        return NULL;
    machine->config = mem_strdup(STR("{}"));
    machine->capabilities = mem_strdup(STR("{}"));
    machine->metadata = mem_strdup(STR("{}"));
    if (machine->config == NULL || machine->capabilities == NULL || machine->metadata == NULL ||
        str_copy(machine->shown.machine_id, FLEET_ID_BYTES, machine_id) != ERR_OK ||
        str_copy(machine->shown.kind, FLEET_ID_BYTES, kind) != ERR_OK) {
        fleet_machine_free(machine);
        return NULL;
    }
    machine->shown.config = machine->config;
    machine->shown.capabilities = machine->capabilities;
    machine->shown.metadata = machine->metadata;
    machine->shown.config_version = 1;
    return machine;
}

void fleet_machine_free(struct machine *machine)
{
    if (machine == NULL)
        return;
    mem_free(machine->config);
    mem_free(machine->capabilities);
    mem_free(machine->sensors);
    mem_free(machine->metadata);
    mem_free(machine);
}

static int compare(struct str a, struct str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.at, b.at, len) : 0;
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

/* How many machines come before this id. */
static uint32_t position(const struct fleet *fleet, struct str machine_id)
{
    uint32_t from = 0;
    uint32_t to = fleet->count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (compare(str_from(fleet->machine[middle]->shown.machine_id), machine_id) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

struct machine *fleet_memory_find(const struct fleet *fleet, struct str machine_id)
{
    uint32_t at = position(fleet, machine_id);
    if (at == fleet->count ||
        !str_equal(str_from(fleet->machine[at]->shown.machine_id), machine_id))
        return NULL;
    return fleet->machine[at];
}

const struct fleet_machine *fleet_find(const struct fleet *fleet, struct str machine_id)
{
    const struct machine *machine = fleet_memory_find(fleet, machine_id);
    return machine != NULL ? &machine->shown : NULL;
}

const struct fleet_machine *fleet_next(const struct fleet *fleet, struct str machine_id)
{
    uint32_t at = position(fleet, machine_id);
    if (at < fleet->count && str_equal(str_from(fleet->machine[at]->shown.machine_id), machine_id))
        at++;
    return at < fleet->count ? &fleet->machine[at]->shown : NULL;
}

uint32_t fleet_count(const struct fleet *fleet)
{
    return fleet->count;
}

uint32_t fleet_waiting_count(const struct fleet *fleet)
{
    return fleet->waiting_count;
}

enum err fleet_memory_reserve(struct fleet *fleet)
{
    uint32_t needed = fleet->count + fleet->reserved + 1;
    if (needed > fleet->options.machines_max)
        return ERR_FULL;
    if (needed > fleet->cap) {
        uint32_t cap = fleet->cap == 0 ? 64 : fleet->cap * 2;
        struct machine **grown = mem_realloc(fleet->machine, cap * sizeof(struct machine *));
        if (grown == NULL)
            return ERR_NOMEM;
        fleet->machine = grown;
        fleet->cap = cap;
    }
    fleet->reserved++;
    return ERR_OK;
}

void fleet_memory_add(struct fleet *fleet, struct machine *machine)
{
    uint32_t at = position(fleet, str_from(machine->shown.machine_id));
    ASSERT(fleet->reserved > 0 && fleet->count < fleet->cap);
    memmove(&fleet->machine[at + 1], &fleet->machine[at],
            (fleet->count - at) * sizeof(struct machine *));
    fleet->machine[at] = machine;
    fleet->count++;
    fleet->reserved--;
    fleet->waiting_count += machine->shown.admission == FLEET_WAITING;
}

static struct device_token **bucket_of(struct fleet *fleet, const uint8_t hash[TOKEN_HASH_BYTES])
{
    uint32_t first;
    memcpy(&first, hash, sizeof(first));
    return &fleet->bucket[first % TOKEN_BUCKETS];
}

static void unbucket(struct fleet *fleet, struct device_token *token)
{
    struct device_token **at = bucket_of(fleet, token->hash);
    while (*at != token)
        at = &(*at)->next;
    *at = token->next;
}

static void rebucket(struct fleet *fleet, struct device_token *token)
{
    struct device_token **bucket = bucket_of(fleet, token->hash);
    token->next = *bucket;
    *bucket = token;
}

void fleet_memory_add_token(struct fleet *fleet, struct machine *machine,
                            const struct device_token *token)
{
    ASSERT(machine->shown.token_count < FLEET_TOKENS_MAX);
    struct device_token *own = &machine->token[machine->shown.token_count++];
    *own = *token;
    own->machine = machine;
    rebucket(fleet, own);
}

struct device_token *fleet_memory_token(struct machine *machine, int64_t token_id)
{
    for (uint32_t i = 0; i < machine->shown.token_count; i++)
        if (machine->token[i].shown.token_id == token_id)
            return &machine->token[i];
    return NULL;
}

static void tell_gone(struct fleet *fleet, const struct machine *machine, int64_t token_id)
{
    if (fleet->gone != NULL)
        fleet->gone(fleet->gone_cookie, machine->shown.machine_id, token_id);
}

void fleet_memory_end_token(struct fleet *fleet, struct machine *machine, int64_t token_id)
{
    struct device_token *token = fleet_memory_token(machine, token_id);
    if (token == NULL)
        return;
    /* They move up, so they leave their buckets and come back at their new place. */
    uint32_t at = (uint32_t)(token - machine->token);
    for (uint32_t i = at; i < machine->shown.token_count; i++)
        unbucket(fleet, &machine->token[i]);
    machine->shown.token_count--;
    for (uint32_t i = at; i < machine->shown.token_count; i++) {
        machine->token[i] = machine->token[i + 1];
        rebucket(fleet, &machine->token[i]);
    }
    machine->token[machine->shown.token_count] = (struct device_token){0};
    tell_gone(fleet, machine, token_id);
}

struct device_token *fleet_memory_token_hashed(const struct fleet *fleet,
                                               const uint8_t hash[TOKEN_HASH_BYTES])
{
    uint32_t first;
    memcpy(&first, hash, sizeof(first));
    struct device_token *token = fleet->bucket[first % TOKEN_BUCKETS];
    while (token != NULL && memcmp(token->hash, hash, TOKEN_HASH_BYTES) != 0)
        token = token->next;
    return token;
}

void fleet_memory_set_admission(struct fleet *fleet, struct machine *machine,
                                enum fleet_admission admission)
{
    fleet->waiting_count -= machine->shown.admission == FLEET_WAITING;
    fleet->waiting_count += admission == FLEET_WAITING;
    machine->shown.admission = admission;
    for (uint32_t i = 0; i < machine->shown.token_count && admission == FLEET_BLOCKED; i++)
        tell_gone(fleet, machine, machine->token[i].shown.token_id);
}

void fleet_memory_remove(struct fleet *fleet, struct machine *machine)
{
    while (machine->shown.token_count > 0)
        fleet_memory_end_token(fleet, machine, machine->token[0].shown.token_id);
    uint32_t at = position(fleet, str_from(machine->shown.machine_id));
    fleet->count--;
    fleet->waiting_count -= machine->shown.admission == FLEET_WAITING;
    memmove(&fleet->machine[at], &fleet->machine[at + 1],
            (fleet->count - at) * sizeof(struct machine *));
    fleet_memory_changed(fleet, machine, FLEET_CHANGED_REMOVED);
    fleet_machine_free(machine);
}

void fleet_memory_changed(struct fleet *fleet, struct machine *machine, enum fleet_change change)
{
    if (fleet->changed != NULL)
        fleet->changed(fleet->changed_cookie, &machine->shown, change);
}

void fleet_memory_free(struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->count; i++)
        fleet_machine_free(fleet->machine[i]);
    mem_free(fleet->machine);
}
