/* Memory from SQL, once, before the loop runs. */
#include "fleet/fleet_int.h"

#include <string.h>

struct load {
    struct store_job job;
    struct fleet *fleet;
};

static enum err id_from(struct store_stmt *stmt, int column, struct id128 *ret_id)
{
    if (store_col_null(stmt, column))
        return ERR_OK;
    return id128_parse(store_col_text(stmt, column), ret_id) == ERR_OK ? ERR_OK : ERR_IO;
}

/* A row that we did not write this way is ERR_IO. */
static enum err fill_machine(struct machine *machine, struct store_stmt *stmt)
{
    struct fleet_machine *shown = &machine->shown;
    shown->demo = store_col_i64(stmt, 4) != 0;
    shown->config_version = store_col_i64(stmt, 6);
    shown->created_at_ms = store_col_i64(stmt, 11);
    shown->last_seen_at_ms = store_col_i64(stmt, 12);
    machine->saved_seen_at_ms = shown->last_seen_at_ms;
    machine->inactive_at_ms = store_col_i64(stmt, 14);
    shown->active = shown->last_seen_at_ms != 0 && machine->inactive_at_ms == 0;
    if (str_copy(shown->name, sizeof(shown->name), store_col_text(stmt, 2)) != ERR_OK ||
        fleet_admission_parse(store_col_text(stmt, 3), &shown->admission) != ERR_OK ||
        str_copy(shown->firmware, sizeof(shown->firmware), store_col_text(stmt, 8)) != ERR_OK ||
        id_from(stmt, 9, &shown->boot_id) != ERR_OK ||
        id_from(stmt, 10, &shown->journal_id) != ERR_OK)
        return ERR_IO;
    char *config = mem_strdup(store_col_text(stmt, 5));
    char *capabilities = mem_strdup(store_col_text(stmt, 7));
    char *metadata = mem_strdup(store_col_text(stmt, 13));
    if (config == NULL || capabilities == NULL || metadata == NULL) {
        mem_free(config);
        mem_free(capabilities);
        mem_free(metadata);
        return ERR_NOMEM;
    }
    mem_free(machine->config);
    mem_free(machine->capabilities);
    mem_free(machine->metadata);
    machine->config = config;
    machine->capabilities = capabilities;
    shown->config = config;
    shown->capabilities = capabilities;
    machine->metadata = metadata;
    shown->metadata = metadata;
    return ERR_OK;
}

static enum err load_machine(struct fleet *fleet, struct store_stmt *stmt)
{
    struct str machine_id = store_col_text(stmt, 0);
    struct str kind = store_col_text(stmt, 1);
    if (!id_valid(machine_id) || !id_valid(kind))
        return ERR_IO;
    struct machine *machine = fleet_machine_create(machine_id, kind);
    if (machine == NULL)
        return ERR_NOMEM;
    enum err err = fill_machine(machine, stmt);
    if (err == ERR_OK)
        err = fleet_memory_reserve(fleet);
    if (err != ERR_OK) {
        fleet_machine_free(machine);
        return err;
    }
    fleet_memory_add(fleet, machine);
    return ERR_OK;
}

static enum err load_token(struct fleet *fleet, struct store_stmt *stmt)
{
    struct device_token token = {
        .shown = {.token_id = store_col_i64(stmt, 0),
                  .created_at_ms = store_col_i64(stmt, 4),
                  .last_used_at_ms = store_col_i64(stmt, 5)},
        .saved_used_at_ms = store_col_i64(stmt, 5),
    };
    struct machine *machine = fleet_memory_find(fleet, store_col_text(stmt, 1));
    struct str hash = store_col_blob(stmt, 2);
    if (machine == NULL || machine->shown.token_count == FLEET_TOKENS_MAX ||
        hash.len != sizeof(token.hash) ||
        str_copy(token.shown.label, sizeof(token.shown.label), store_col_text(stmt, 3)) != ERR_OK)
        return ERR_IO;
    memcpy(token.hash, hash.at, hash.len);
    fleet_memory_add_token(fleet, machine, &token);
    return ERR_OK;
}

static enum err each_row(struct fleet *fleet, struct store_stmt *stmt,
                         enum err (*load)(struct fleet *fleet, struct store_stmt *stmt))
{
    for (;;) {
        enum err err = store_row(stmt);
        if (err == ERR_NOT_FOUND)
            return ERR_OK;
        if (err == ERR_OK)
            err = load(fleet, stmt);
        if (err != ERR_OK)
            return err;
    }
}

static enum err load_run(struct store_job *job, struct store_db *db)
{
    struct load *load = (struct load *)(void *)job;
    enum err err = each_row(load->fleet, fleet_sql(db, SQL_MACHINES_ALL), load_machine);
    if (err == ERR_OK)
        err = each_row(load->fleet, fleet_sql(db, SQL_TOKENS_ALL), load_token);
    return err;
}

enum err fleet_load(struct fleet *fleet)
{
    struct load load = {.job = {.run = load_run}, .fleet = fleet};
    return store_run_now(fleet->store, &load.job);
}
