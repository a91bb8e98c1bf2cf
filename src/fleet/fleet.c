#include "fleet/fleet_int.h"

#include <sodium.h>

enum err fleet_create(struct loop *loop, struct store *store, const struct fleet_options *options,
                      struct fleet **ret_fleet)
{
    if (sodium_init() < 0)
        return ERR_IO;
    struct fleet *fleet = mem_zalloc(sizeof(*fleet));
    if (fleet == NULL)
        return ERR_NOMEM;
    fleet->loop = loop;
    fleet->store = store;
    fleet->options = *options;
    if (fleet->options.machines_max == 0)
        fleet->options.machines_max = 20000;
    if (fleet->options.online_s == 0)
        fleet->options.online_s = 30;
    if (fleet->options.inactive_s == 0)
        fleet->options.inactive_s = 300;
    if (fleet->options.waiting_hours == 0)
        fleet->options.waiting_hours = 24;
    enum err err = fleet_load(fleet);
    if (err != ERR_OK) {
        fleet_destroy(fleet);
        return err;
    }
    *ret_fleet = fleet;
    return ERR_OK;
}

void fleet_destroy(struct fleet *fleet)
{
    if (fleet == NULL)
        return;
    while (fleet->ops != NULL)
        fleet_op_free(fleet->ops);
    fleet_memory_free(fleet);
    mem_free(fleet);
}

void fleet_watch(struct fleet *fleet,
                 void (*changed)(void *cookie, const struct fleet_machine *machine,
                                 enum fleet_change change),
                 void *cookie)
{
    fleet->changed = changed;
    fleet->changed_cookie = cookie;
}

void fleet_watch_tokens(struct fleet *fleet,
                        void (*gone)(void *cookie, const char *machine_id, int64_t token_id),
                        void *cookie)
{
    fleet->gone = gone;
    fleet->gone_cookie = cookie;
}

enum err fleet_authenticate(struct fleet *fleet, struct str text, int64_t now_ms,
                            const struct fleet_machine **ret_machine, int64_t *ret_token_id)
{
    uint8_t hash[TOKEN_HASH_BYTES];
    if (text.len == 0 || text.len > TOKEN_LEN_MAX)
        return ERR_DENIED;
    fleet_token_hash(text, hash);
    struct device_token *token = fleet_memory_token_hashed(fleet, hash);
    if (token == NULL)
        return ERR_DENIED;
    token->shown.last_used_at_ms = now_ms;
    *ret_machine = &token->machine->shown;
    *ret_token_id = token->shown.token_id;
    switch (token->machine->shown.admission) {
    case FLEET_ADMITTED:
        return ERR_OK;
    case FLEET_WAITING:
        return ERR_AGAIN;
    case FLEET_BLOCKED:
        break;
    }
    return ERR_REFUSED;
}

size_t fleet_token_list(const struct fleet *fleet, const struct fleet_machine *shown,
                        struct fleet_token ret_tokens[FLEET_TOKENS_MAX])
{
    const struct machine *machine = fleet_memory_find(fleet, str_from(shown->machine_id));
    if (machine == NULL)
        return 0;
    for (uint32_t i = 0; i < machine->shown.token_count; i++)
        ret_tokens[i] = machine->token[i].shown;
    return machine->shown.token_count;
}
