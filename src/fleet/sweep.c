/* Every second or so: who went offline, what is to be written down, who waited too long.  One write
 * at a time and a bounded number of rows; what does not fit comes with the next one. */
#include "fleet/fleet_int.h"

#include <stdio.h>
#include <string.h>

enum sweep_what { SWEEP_SEEN, SWEEP_TOKEN_USED, SWEEP_INACTIVE, SWEEP_ACTIVE, SWEEP_FORGET };
struct sweep_row {
    enum sweep_what what;
    bool gone; /* SWEEP_FORGET: it was still waiting, and is deleted */
    char machine_id[FLEET_ID_BYTES];
    int64_t token_id, at_ms;
};
struct sweep {
    struct op op;
    uint32_t count;
    struct sweep_row row[SWEEP_ROWS_MAX];
};

static enum err forget_row(struct sweep *sweep, struct store_db *db, struct sweep_row *row)
{
    int64_t changes = 0;
    enum err err = fleet_sql_for_machine(db, SQL_TOKEN_DELETE_WAITING, row->machine_id, NULL);
    if (err == ERR_OK)
        err = fleet_sql_for_machine(db, SQL_MACHINE_DELETE_WAITING, row->machine_id, &changes);
    if (err != ERR_OK || changes == 0)
        return err; /* admitted in the last moment */
    row->gone = true;
    memcpy(sweep->op.machine_id, row->machine_id, sizeof(sweep->op.machine_id));
    return fleet_op_audit(&sweep->op, db, "machine.forget", STR_NONE);
}

#define INACTIVE STR("machine_inactive")

/* With what it was last heard of before the silence, so that the figure outlives a restart. */
static enum err inactive_row(struct store_db *db, const struct sweep_row *row, int64_t now_ms)
{
    bool silent = row->what == SWEEP_INACTIVE;
    struct store_stmt *stmt = fleet_sql(db, SQL_INACTIVE_SET);
    store_bind_text(stmt, 1, str_from(row->machine_id));
    store_bind_i64(stmt, 2, silent ? now_ms : 0);
    enum err err = store_exec(db, stmt, NULL);
    if (err != ERR_OK)
        return err;
    if (!silent)
        return record_alert_resolve(db, str_from(row->machine_id), INACTIVE, now_ms);
    char at[TIME_TEXT_BYTES], message[120];
    time_text(row->at_ms, at);
    (void)snprintf(message, sizeof(message), "Nothing was heard of this machine since %s.", at);
    struct record_alert alert = {.machine_id = str_from(row->machine_id),
                                 .code = INACTIVE,
                                 .message = str_from(message),
                                 .severity = RECORD_WARNING,
                                 .raised_at_ms = now_ms,
                                 .last_at_ms = now_ms,
                                 .count = 1};
    return record_alert_raise(db, &alert, NULL);
}

static enum err sweep_run(struct store_job *job, struct store_db *db)
{
    struct sweep *sweep = (struct sweep *)(void *)job;
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < sweep->count && err == ERR_OK; i++) {
        struct sweep_row *row = &sweep->row[i];
        struct store_stmt *stmt = NULL;
        switch (row->what) {
        case SWEEP_SEEN:
            stmt = fleet_sql(db, SQL_SEEN_SET);
            store_bind_text(stmt, 1, str_from(row->machine_id));
            store_bind_i64(stmt, 2, row->at_ms);
            err = store_exec(db, stmt, NULL);
            break;
        case SWEEP_TOKEN_USED:
            stmt = fleet_sql(db, SQL_TOKEN_USED);
            store_bind_i64(stmt, 1, row->token_id);
            store_bind_i64(stmt, 2, row->at_ms);
            err = store_exec(db, stmt, NULL);
            break;
        case SWEEP_INACTIVE:
        case SWEEP_ACTIVE:
            err = inactive_row(db, row, sweep->op.now_ms);
            break;
        case SWEEP_FORGET:
            err = forget_row(sweep, db, row);
            break;
        }
    }
    return err;
}

static void sweep_done(struct store_job *job, enum err err)
{
    struct sweep *sweep = (struct sweep *)(void *)job;
    struct fleet *fleet = sweep->op.fleet;
    fleet->sweeping = false;
    for (uint32_t i = 0; i < sweep->count && err == ERR_OK; i++) {
        const struct sweep_row *row = &sweep->row[i];
        struct machine *machine = fleet_memory_find(fleet, str_from(row->machine_id));
        if (machine == NULL)
            continue;
        struct device_token *token = fleet_memory_token(machine, row->token_id);
        if (row->what == SWEEP_SEEN)
            machine->saved_seen_at_ms = row->at_ms;
        else if (row->what == SWEEP_TOKEN_USED && token != NULL)
            token->saved_used_at_ms = row->at_ms;
        else if (row->what == SWEEP_FORGET && row->gone)
            fleet_memory_remove(fleet, machine);
        else if (row->what == SWEEP_INACTIVE || row->what == SWEEP_ACTIVE) {
            machine->inactive_at_ms = row->what == SWEEP_INACTIVE ? sweep->op.now_ms : 0;
            fleet_memory_changed(fleet, machine, FLEET_CHANGED_RECORD); /* an alert, too */
        }
    }
    fleet_op_free(&sweep->op);
}

static void add_row(struct sweep *sweep, enum sweep_what what, const struct machine *machine,
                    int64_t token_id, int64_t at_ms)
{
    if (sweep->count == SWEEP_ROWS_MAX)
        return;
    struct sweep_row *row = &sweep->row[sweep->count++];
    row->what = what;
    row->token_id = token_id;
    row->at_ms = at_ms;
    memcpy(row->machine_id, machine->shown.machine_id, sizeof(row->machine_id));
}

static bool waited_too_long(const struct fleet *fleet, const struct machine *machine,
                            int64_t now_ms)
{
    int64_t heard_ms = machine->shown.last_seen_at_ms > machine->shown.created_at_ms
                           ? machine->shown.last_seen_at_ms
                           : machine->shown.created_at_ms;
    return machine->shown.admission == FLEET_WAITING &&
           now_ms - heard_ms > (int64_t)fleet->options.waiting_hours * 3600 * 1000;
}

static void collect(struct fleet *fleet, struct sweep *sweep, int64_t now_ms)
{
    for (uint32_t i = 0; i < fleet->count && sweep->count < SWEEP_ROWS_MAX; i++) {
        const struct machine *machine = fleet->machine[i];
        int64_t unsaved_ms = machine->shown.last_seen_at_ms - machine->saved_seen_at_ms;
        if (unsaved_ms >= SAVE_EVERY_MS || (unsaved_ms > 0 && !machine->shown.online))
            add_row(sweep, SWEEP_SEEN, machine, 0, machine->shown.last_seen_at_ms);
        for (uint32_t t = 0; t < machine->shown.token_count; t++) {
            const struct device_token *token = &machine->token[t];
            if (token->shown.last_used_at_ms - token->saved_used_at_ms >= SAVE_EVERY_MS)
                add_row(sweep, SWEEP_TOKEN_USED, machine, token->shown.token_id,
                        token->shown.last_used_at_ms);
        }
        if (machine->shown.active && machine->inactive_at_ms != 0)
            add_row(sweep, SWEEP_ACTIVE, machine, 0, machine->shown.last_seen_at_ms);
        else if (!machine->shown.active && machine->inactive_at_ms == 0 &&
                 machine->shown.last_seen_at_ms != 0 && machine->shown.admission == FLEET_ADMITTED)
            add_row(sweep, SWEEP_INACTIVE, machine, 0, machine->shown.last_seen_at_ms);
        if (waited_too_long(fleet, machine, now_ms))
            add_row(sweep, SWEEP_FORGET, machine, 0, 0);
    }
}

static void notice_offline(struct fleet *fleet, int64_t mono_ms)
{
    for (uint32_t i = 0; i < fleet->count; i++) {
        struct machine *machine = fleet->machine[i];
        if (!machine->shown.online || machine->shown.parked > 0 ||
            mono_ms - machine->seen_mono_ms < (int64_t)fleet->options.online_s * 1000)
            continue;
        machine->shown.online = false;
        fleet_memory_changed(fleet, machine, FLEET_CHANGED_PRESENCE);
    }
}

static void notice_silent(struct fleet *fleet, int64_t mono_ms)
{
    for (uint32_t i = 0; i < fleet->count; i++) {
        struct machine *machine = fleet->machine[i];
        int64_t since_ms = machine->seen_mono_ms > fleet->listening_mono_ms
                               ? machine->seen_mono_ms
                               : fleet->listening_mono_ms;
        if (!machine->shown.active || machine->shown.parked > 0 ||
            mono_ms - since_ms < (int64_t)fleet->options.inactive_s * 1000)
            continue;
        machine->shown.active = false;
        fleet_memory_changed(fleet, machine, FLEET_CHANGED_PRESENCE);
    }
}

void fleet_sweep(struct fleet *fleet, int64_t now_ms, int64_t mono_ms)
{
    if (!fleet->swept)
        fleet->listening_mono_ms = mono_ms;
    fleet->swept = true;
    notice_offline(fleet, mono_ms);
    notice_silent(fleet, mono_ms);
    if (fleet->sweeping)
        return;
    struct fleet_by by = {.actor = STR("system"), .now_ms = now_ms};
    struct sweep *sweep = fleet_op_create(fleet, sizeof(*sweep), by, STR("-"));
    if (sweep == NULL)
        return; /* nothing is lost: the next one finds the same */
    collect(fleet, sweep, now_ms);
    if (sweep->count == 0) {
        fleet_op_free(&sweep->op);
        return;
    }
    sweep->op.job = (struct store_job){.run = sweep_run, .done = sweep_done};
    fleet->sweeping = fleet_op_submit(&sweep->op) == ERR_OK;
}
