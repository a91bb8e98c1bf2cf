/* What staff changes about a machine: admission, configuration, name and metadata. */
#include "fleet/fleet_int.h"

#include <stdio.h>
#include <string.h>

struct change {
    struct op op;
    enum fleet_admission admission;
    bool changed;
    int64_t version;
    bool named; /* op.owned, where there is one: the metadata */
    char name[FLEET_NAME_BYTES];
    fleet_machine_fn *done;
};

static struct change *change_create(struct fleet *fleet, struct fleet_by by, struct str machine_id,
                                    fleet_machine_fn *done, void *cookie)
{
    struct change *change = fleet_op_create(fleet, sizeof(*change), by, machine_id);
    if (change == NULL)
        return NULL;
    change->op.cookie = cookie;
    change->done = done;
    return change;
}

/* `machine` may have been removed while this was on its way. */
static void change_finish(struct change *change, enum err err, struct machine *machine)
{
    if (err == ERR_OK && machine == NULL)
        err = ERR_NOT_FOUND;
    if (err == ERR_OK && change->changed)
        fleet_memory_changed(change->op.fleet, machine, FLEET_CHANGED_RECORD);
    change->done(change->op.cookie, err, err == ERR_OK ? &machine->shown : NULL);
    fleet_op_free(&change->op);
}

/* ---- admission ---- */

static enum err admission_run(struct store_job *job, struct store_db *db)
{
    struct change *change = (struct change *)(void *)job;
    int64_t changes = 0;
    struct store_stmt *stmt = fleet_sql(db, SQL_ADMISSION_SET);
    store_bind_text(stmt, 1, str_from(change->op.machine_id));
    store_bind_text(stmt, 2, str_from(fleet_admission_name(change->admission)));
    enum err err = store_exec(db, stmt, &changes);
    if (err != ERR_OK || changes == 0)
        return err; /* so already, or gone: memory says which */
    change->changed = true;
    return fleet_op_audit(&change->op, db,
                          change->admission == FLEET_ADMITTED ? "machine.admit" : "machine.block",
                          STR_NONE);
}

static void admission_done(struct store_job *job, enum err err)
{
    struct change *change = (struct change *)(void *)job;
    struct machine *machine = fleet_op_machine(&change->op);
    if (err == ERR_OK && change->changed && machine != NULL)
        fleet_memory_set_admission(change->op.fleet, machine, change->admission);
    change_finish(change, err, machine);
}

enum err fleet_admission_set(struct fleet *fleet, struct fleet_by by, struct str machine_id,
                             enum fleet_admission admission, fleet_machine_fn *done, void *cookie)
{
    if (admission != FLEET_ADMITTED && admission != FLEET_BLOCKED)
        return ERR_INPUT;
    if (fleet_memory_find(fleet, machine_id) == NULL)
        return ERR_NOT_FOUND;
    struct change *change = change_create(fleet, by, machine_id, done, cookie);
    if (change == NULL)
        return ERR_NOMEM;
    change->op.job = (struct store_job){.run = admission_run, .done = admission_done};
    change->admission = admission;
    return fleet_op_submit(&change->op);
}

/* ---- configuration ---- */

static enum err config_run(struct store_job *job, struct store_db *db)
{
    struct change *change = (struct change *)(void *)job;
    int64_t changes = 0;
    struct store_stmt *stmt = fleet_sql(db, SQL_CONFIG_SET);
    store_bind_text(stmt, 1, str_from(change->op.machine_id));
    store_bind_text(stmt, 2, str_from(change->op.owned));
    store_bind_i64(stmt, 3, change->version);
    enum err err = store_exec(db, stmt, &changes);
    if (err != ERR_OK)
        return err;
    if (changes == 0)
        return ERR_CONFLICT;
    change->changed = true;
    return fleet_op_audit(&change->op, db, "machine.config", str_from(change->op.owned));
}

static void config_done(struct store_job *job, enum err err)
{
    struct change *change = (struct change *)(void *)job;
    struct machine *machine = fleet_op_machine(&change->op);
    if (err == ERR_OK && machine != NULL) {
        char *old = machine->config;
        machine->config = change->op.owned;
        machine->shown.config = machine->config;
        machine->shown.config_version++;
        change->op.owned = old;
    }
    change_finish(change, err, machine);
}

enum err fleet_config_set(struct fleet *fleet, struct fleet_by by, struct str machine_id,
                          struct str config, int64_t expected_version, fleet_machine_fn *done,
                          void *cookie)
{
    char *json = NULL;
    if (fleet_memory_find(fleet, machine_id) == NULL)
        return ERR_NOT_FOUND;
    enum err err = fleet_object_check(config, FLEET_CONFIG_BYTES_MAX, &json);
    if (err != ERR_OK)
        return err;
    struct change *change = change_create(fleet, by, machine_id, done, cookie);
    if (change == NULL) {
        mem_free(json);
        return ERR_NOMEM;
    }
    change->op.job = (struct store_job){.run = config_run, .done = config_done};
    change->op.owned = json;
    change->version = expected_version;
    return fleet_op_submit(&change->op);
}

/* ---- name and metadata ---- */

static enum err text_set(const struct change *change, struct store_db *db,
                         enum fleet_statement statement, const char *text, const char *action)
{
    int64_t changes = 0;
    struct store_stmt *stmt = fleet_sql(db, statement);
    store_bind_text(stmt, 1, str_from(change->op.machine_id));
    store_bind_text(stmt, 2, str_from(text));
    enum err err = store_exec(db, stmt, &changes);
    if (err == ERR_OK && changes == 0)
        err = ERR_NOT_FOUND;
    struct str detail = statement == SQL_METADATA_SET ? str_from(text) : STR_NONE;
    return err == ERR_OK ? fleet_op_audit(&change->op, db, action, detail) : err;
}

static enum err describe_run(struct store_job *job, struct store_db *db)
{
    struct change *change = (struct change *)(void *)job;
    enum err err = ERR_OK;
    change->changed = true;
    if (change->named)
        err = text_set(change, db, SQL_NAME_SET, change->name, "machine.name");
    if (err == ERR_OK && change->op.owned != NULL)
        err = text_set(change, db, SQL_METADATA_SET, change->op.owned, "machine.metadata");
    return err;
}

static void describe_done(struct store_job *job, enum err err)
{
    struct change *change = (struct change *)(void *)job;
    struct machine *machine = fleet_op_machine(&change->op);
    if (err == ERR_OK && machine != NULL && change->named)
        memcpy(machine->shown.name, change->name, sizeof(machine->shown.name));
    if (err == ERR_OK && machine != NULL && change->op.owned != NULL) {
        char *old = machine->metadata;
        machine->metadata = change->op.owned;
        machine->shown.metadata = machine->metadata;
        change->op.owned = old;
    }
    change_finish(change, err, machine);
}

enum err fleet_describe(struct fleet *fleet, struct fleet_by by, struct str machine_id,
                        struct str name, struct str metadata, fleet_machine_fn *done, void *cookie)
{
    char *json = NULL;
    if (name.at != NULL && !fleet_name_shown(name, FLEET_NAME_BYTES))
        return ERR_INPUT;
    if (fleet_memory_find(fleet, machine_id) == NULL)
        return ERR_NOT_FOUND;
    enum err err = ERR_OK;
    if (metadata.at != NULL)
        err = fleet_object_check(metadata, FLEET_BLOB_BYTES_MAX, &json);
    if (err != ERR_OK)
        return err;
    struct change *change = change_create(fleet, by, machine_id, done, cookie);
    if (change == NULL) {
        mem_free(json);
        return ERR_NOMEM;
    }
    change->op.job = (struct store_job){.run = describe_run, .done = describe_done};
    change->op.owned = json;
    change->named = name.at != NULL;
    if (change->named)
        err = str_copy(change->name, sizeof(change->name), name);
    if (err != ERR_OK) {
        fleet_op_free(&change->op);
        return err;
    }
    return fleet_op_submit(&change->op);
}

enum err fleet_name_set(struct fleet *fleet, struct fleet_by by, struct str machine_id,
                        struct str name, fleet_machine_fn *done, void *cookie)
{
    struct str given = name.at != NULL ? name : STR("");
    return fleet_describe(fleet, by, machine_id, given, STR_NONE, done, cookie);
}
