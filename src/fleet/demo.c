/* Taking away exactly what --demo seeded. */
#include "fleet/fleet_int.h"

#include <string.h>

struct demo_row {
    char machine_id[FLEET_ID_BYTES];
    bool gone, kept;
};
struct demo_op {
    struct op op; /* owned: the rows */
    struct demo_row *row;
    uint32_t count;
    fleet_in_use_fn *in_use;
    void *in_use_cookie;
    void (*done)(void *cookie, enum err err, uint32_t removed, uint32_t kept);
};

/* What happened must keep its machine, so it stays, but nothing can speak for it any more. */
static enum err keep(struct demo_op *op, struct store_db *db, struct demo_row *row)
{
    struct store_stmt *stmt = fleet_sql(db, SQL_TOKEN_REVOKE_ALL);
    store_bind_text(stmt, 1, str_from(row->machine_id));
    store_bind_i64(stmt, 2, op->op.now_ms);
    enum err err = store_exec(db, stmt, NULL);
    if (err != ERR_OK)
        return err;
    stmt = fleet_sql(db, SQL_ADMISSION_SET);
    store_bind_text(stmt, 1, str_from(row->machine_id));
    store_bind_text(stmt, 2, str_from(fleet_admission_name(FLEET_BLOCKED)));
    row->kept = true;
    return store_exec(db, stmt, NULL);
}

static enum err handle(struct demo_op *op, struct store_db *db, struct demo_row *row)
{
    bool in_use = false;
    enum err err = ERR_OK;
    if (op->in_use != NULL)
        err = op->in_use(op->in_use_cookie, db, str_from(row->machine_id), &in_use);
    if (err != ERR_OK)
        return err;
    memcpy(op->op.machine_id, row->machine_id, sizeof(op->op.machine_id));
    if (in_use) {
        err = keep(op, db, row);
        return err == ERR_OK ? fleet_op_audit(&op->op, db, "machine.block", STR_NONE) : err;
    }
    err = fleet_sql_for_machine(db, SQL_TOKEN_DELETE_ALL, row->machine_id, NULL);
    if (err == ERR_OK)
        err = fleet_sql_for_machine(db, SQL_MACHINE_DELETE, row->machine_id, NULL);
    if (err != ERR_OK)
        return err;
    row->gone = true;
    return fleet_op_audit(&op->op, db, "machine.remove", STR_NONE);
}

static enum err demo_run(struct store_job *job, struct store_db *db)
{
    struct demo_op *op = (struct demo_op *)(void *)job;
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < op->count && err == ERR_OK; i++)
        err = handle(op, db, &op->row[i]);
    return err;
}

static void demo_done(struct store_job *job, enum err err)
{
    struct demo_op *op = (struct demo_op *)(void *)job;
    struct fleet *fleet = op->op.fleet;
    uint32_t removed = 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < op->count && err == ERR_OK; i++) {
        struct machine *machine = fleet_memory_find(fleet, str_from(op->row[i].machine_id));
        if (machine == NULL)
            continue;
        if (op->row[i].gone) {
            fleet_memory_remove(fleet, machine);
            removed++;
            continue;
        }
        while (machine->shown.token_count > 0)
            fleet_memory_end_token(fleet, machine, machine->token[0].shown.token_id);
        fleet_memory_set_admission(fleet, machine, FLEET_BLOCKED);
        fleet_memory_changed(fleet, machine, FLEET_CHANGED_RECORD);
        kept++;
    }
    op->done(op->op.cookie, err, removed, kept);
    fleet_op_free(&op->op);
}

enum err fleet_demo_remove(
    struct fleet *fleet, struct fleet_by by, fleet_in_use_fn *in_use, void *in_use_cookie,
    void (*done)(void *cookie, enum err err, uint32_t removed, uint32_t kept), void *cookie)
{
    struct demo_op *op = fleet_op_create(fleet, sizeof(*op), by, STR("-"));
    if (op == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < fleet->count; i++)
        op->count += fleet->machine[i]->shown.demo;
    if (op->count > 0 && (op->op.owned = mem_zalloc(op->count * sizeof(op->row[0]))) == NULL) {
        fleet_op_free(&op->op);
        return ERR_NOMEM;
    }
    op->row = op->op.owned;
    uint32_t next = 0;
    for (uint32_t i = 0; i < fleet->count; i++)
        if (fleet->machine[i]->shown.demo)
            memcpy(op->row[next++].machine_id, fleet->machine[i]->shown.machine_id, FLEET_ID_BYTES);
    op->op.job = (struct store_job){.run = demo_run, .done = demo_done};
    op->op.cookie = cookie;
    op->in_use = in_use;
    op->in_use_cookie = in_use_cookie;
    op->done = done;
    return fleet_op_submit(&op->op);
}
