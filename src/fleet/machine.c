/* How a machine comes to be: added by staff, mentioned with --open, or announced by itself. */
#include "fleet/fleet_int.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

struct joining {
    struct op op;
    struct device_token token; /* the machine's first one */
    char text[FLEET_TOKEN_BYTES];
    enum err verdict;    /* announce: what is found, while what it writes must stay written */
    bool existed, alert; /* alert: it is time to count a second device again */
    fleet_token_fn *added;
    fleet_machine_fn *joined;
};

static enum err joining_create(struct fleet *fleet, struct fleet_by by, struct str machine_id,
                               struct str kind, enum fleet_admission admission,
                               struct joining **ret_joining)
{
    if (!id_valid(machine_id) || !id_valid(kind))
        return ERR_INPUT;
    struct joining *joining = fleet_op_create(fleet, sizeof(*joining), by, machine_id);
    if (joining == NULL)
        return ERR_NOMEM;
    enum err err = fleet_memory_reserve(fleet);
    if (err != ERR_OK)
        goto fail;
    joining->op.reserved = true;
    joining->op.machine = fleet_machine_create(machine_id, kind);
    if (joining->op.machine == NULL) {
        err = ERR_NOMEM;
        goto fail;
    }
    joining->op.machine->shown.admission = admission;
    joining->op.machine->shown.created_at_ms = by.now_ms;
    joining->token.shown.created_at_ms = by.now_ms;
    *ret_joining = joining;
    return ERR_OK;

fail:
    fleet_op_free(&joining->op);
    return err;
}

/* The row, its token if it has one, and the record of it. */
static enum err insert(struct joining *joining, struct store_db *db, const char *action,
                       bool with_token)
{
    char detail[2 * FLEET_ID_BYTES];
    enum err err = fleet_sql_insert_machine(db, joining->op.machine);
    if (err == ERR_OK && with_token)
        err = fleet_sql_insert_token(db, joining->op.machine_id, &joining->token,
                                     &joining->token.shown.token_id);
    if (err != ERR_OK)
        return err;
    (void)snprintf(detail, sizeof(detail), "{\"kind\":\"%s\"}", joining->op.machine->shown.kind);
    return fleet_op_audit(&joining->op, db, action, str_from(detail));
}

/* After the commit. */
static struct machine *remember(struct joining *joining, bool with_token)
{
    struct fleet *fleet = joining->op.fleet;
    struct machine *machine = joining->op.machine;
    joining->op.machine = NULL;
    joining->op.reserved = false;
    fleet_memory_add(fleet, machine);
    if (with_token)
        fleet_memory_add_token(fleet, machine, &joining->token);
    fleet_memory_changed(fleet, machine, FLEET_CHANGED_RECORD);
    return machine;
}

static void joining_free(struct joining *joining)
{
    sodium_memzero(joining->text, sizeof(joining->text));
    fleet_op_free(&joining->op);
}

/* ---- added by staff ---- */

static enum err add_run(struct store_job *job, struct store_db *db)
{
    return insert((struct joining *)(void *)job, db, "machine.add", true);
}

static void add_done(struct store_job *job, enum err err)
{
    struct joining *joining = (struct joining *)(void *)job;
    const struct machine *machine = err == ERR_OK ? remember(joining, true) : NULL;
    joining->added(joining->op.cookie, err, machine != NULL ? &machine->shown : NULL,
                   joining->token.shown.token_id, machine != NULL ? joining->text : NULL);
    joining_free(joining);
}

static enum err take_add(struct joining *joining, const struct fleet_add *add)
{
    struct machine *machine = joining->op.machine;
    char *config = NULL;
    if (!fleet_name_shown(add->name, FLEET_NAME_BYTES) ||
        !fleet_name_shown(add->token_label, FLEET_ID_BYTES))
        return ERR_INPUT;
    enum err err = fleet_object_check(add->config, FLEET_CONFIG_BYTES_MAX, &config);
    if (err != ERR_OK)
        return err;
    mem_free(machine->config);
    machine->config = config;
    machine->shown.config = config;
    machine->shown.demo = add->demo;
    err = str_copy(machine->shown.name, sizeof(machine->shown.name), add->name);
    if (err == ERR_OK)
        err = str_copy(joining->token.shown.label, FLEET_ID_BYTES, add->token_label);
    if (err == ERR_OK)
        err = fleet_token_make(joining->text, joining->token.hash);
    return err;
}

enum err fleet_machine_add(struct fleet *fleet, struct fleet_by by, const struct fleet_add *add,
                           fleet_token_fn *done, void *cookie)
{
    struct joining *joining = NULL;
    if (fleet_memory_find(fleet, add->machine_id) != NULL)
        return ERR_CONFLICT;
    enum err err = joining_create(fleet, by, add->machine_id, add->kind, FLEET_ADMITTED, &joining);
    if (err != ERR_OK)
        return err;
    err = take_add(joining, add);
    if (err != ERR_OK) {
        joining_free(joining);
        return err;
    }
    joining->op.job = (struct store_job){.run = add_run, .done = add_done};
    joining->op.cookie = cookie;
    joining->added = done;
    return fleet_op_submit(&joining->op);
}

/* ---- mentioned, with --open ---- */

static enum err ensure_run(struct store_job *job, struct store_db *db)
{
    struct joining *joining = (struct joining *)(void *)job;
    struct store_stmt *stmt = fleet_sql(db, SQL_MACHINE_SHOW);
    store_bind_text(stmt, 1, str_from(joining->op.machine_id));
    enum err err = store_row(stmt);
    joining->existed = err == ERR_OK;
    return err == ERR_NOT_FOUND ? insert(joining, db, "machine.add", false) : err;
}

static void ensure_done(struct store_job *job, enum err err)
{
    struct joining *joining = (struct joining *)(void *)job;
    const struct machine *machine = NULL;
    if (err == ERR_OK)
        machine = joining->existed ? fleet_op_machine(&joining->op) : remember(joining, false);
    joining->joined(joining->op.cookie, err, machine != NULL ? &machine->shown : NULL);
    joining_free(joining);
}

enum err fleet_machine_ensure(struct fleet *fleet, struct fleet_by by, struct str machine_id,
                              struct str kind, fleet_machine_fn *done, void *cookie)
{
    struct joining *joining = NULL;
    enum err err = joining_create(fleet, by, machine_id, kind, FLEET_ADMITTED, &joining);
    if (err != ERR_OK)
        return err;
    joining->op.job = (struct store_job){.run = ensure_run, .done = ensure_done};
    joining->op.cookie = cookie;
    joining->joined = done;
    return fleet_op_submit(&joining->op);
}

/* ---- announced by a device that nobody knows ---- */

static enum err announce_new(struct joining *joining, struct store_db *db)
{
    struct store_stmt *stmt = fleet_sql(db, SQL_WAITING_COUNT);
    enum err err = store_row(stmt);
    if (err != ERR_OK)
        return err;
    if (store_col_i64(stmt, 0) >= FLEET_WAITING_MAX)
        return ERR_FULL;
    return insert(joining, db, "machine.announce", true); /* ERR_CONFLICT: another's token */
}

/* The name is taken.  Its own token again is a repeat; any other is somebody else, who gets
 * nothing. */
static enum err announce_again(struct joining *joining, struct store_db *db)
{
    struct store_stmt *stmt = fleet_sql(db, SQL_TOKEN_HELD);
    store_bind_text(stmt, 1, str_from(joining->op.machine_id));
    store_bind_blob(stmt, 2, joining->token.hash, sizeof(joining->token.hash));
    joining->existed = true;
    enum err err = store_row(stmt);
    if (err != ERR_NOT_FOUND)
        return err;
    joining->verdict = ERR_CONFLICT;
    if (!joining->alert)
        return ERR_OK;
    return record_alert_raise(
        db,
        &(struct record_alert){
            .machine_id = str_from(joining->op.machine_id),
            .code = STR("second_device"),
            .message = STR("A second device announced itself under this machine's name; it was "
                           "turned away."),
            .severity = RECORD_WARNING,
            .raised_at_ms = joining->op.now_ms,
            .last_at_ms = joining->op.now_ms,
            .count = 1,
        },
        NULL);
}

static enum err announce_run(struct store_job *job, struct store_db *db)
{
    struct joining *joining = (struct joining *)(void *)job;
    struct store_stmt *stmt = fleet_sql(db, SQL_MACHINE_SHOW);
    store_bind_text(stmt, 1, str_from(joining->op.machine_id));
    enum err err = store_row(stmt);
    if (err == ERR_NOT_FOUND)
        return announce_new(joining, db);
    return err == ERR_OK ? announce_again(joining, db) : err;
}

static void announce_done(struct store_job *job, enum err err)
{
    struct joining *joining = (struct joining *)(void *)job;
    const struct machine *machine = NULL;
    if (err == ERR_OK && joining->existed) {
        machine = fleet_op_machine(&joining->op);
        err = joining->verdict;
    } else if (err == ERR_OK) {
        machine = remember(joining, true);
    }
    joining->joined(joining->op.cookie, err, err == ERR_OK ? &machine->shown : NULL);
    joining_free(joining);
}

enum err fleet_announce(struct fleet *fleet, struct fleet_by by, struct str machine_id,
                        struct str kind, struct str token, fleet_machine_fn *done, void *cookie)
{
    struct joining *joining = NULL;
    if (!fleet_token_presentable(token))
        return ERR_INPUT;
    struct machine *machine = fleet_memory_find(fleet, machine_id);
    if (machine == NULL && fleet->waiting_count >= FLEET_WAITING_MAX)
        return ERR_FULL;
    enum err err = joining_create(fleet, by, machine_id, kind, FLEET_WAITING, &joining);
    if (err != ERR_OK)
        return err;
    fleet_token_hash(token, joining->token.hash);
    if (machine == NULL || machine->second_device_at_ms == 0 ||
        by.now_ms - machine->second_device_at_ms >= ALERT_EVERY_MS) {
        joining->alert = true;
        if (machine != NULL)
            machine->second_device_at_ms = by.now_ms;
    }
    joining->op.job = (struct store_job){.run = announce_run, .done = announce_done};
    joining->op.cookie = cookie;
    joining->joined = done;
    return fleet_op_submit(&joining->op);
}
