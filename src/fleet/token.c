/* A machine's further tokens: a new one is good beside the old ones, so that a board is moved over
 * without a pause. */
#include "fleet/fleet_int.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

struct token_op {
    struct op op;
    struct device_token token;
    char text[FLEET_TOKEN_BYTES];
    fleet_token_fn *created;
    fleet_machine_fn *revoked;
};

static struct str detail_of(const struct token_op *op, char dst[64])
{
    (void)snprintf(dst, 64, "{\"token_id\":%lld}", (long long)op->token.shown.token_id);
    return str_from(dst);
}

static enum err create_run(struct store_job *job, struct store_db *db)
{
    struct token_op *op = (struct token_op *)(void *)job;
    char detail[64];
    struct store_stmt *stmt = fleet_sql(db, SQL_MACHINE_SHOW);
    store_bind_text(stmt, 1, str_from(op->op.machine_id));
    enum err err = store_row(stmt);
    if (err != ERR_OK)
        return err;
    stmt = fleet_sql(db, SQL_TOKEN_COUNT);
    store_bind_text(stmt, 1, str_from(op->op.machine_id));
    err = store_row(stmt);
    if (err != ERR_OK)
        return err;
    if (store_col_i64(stmt, 0) >= FLEET_TOKENS_MAX)
        return ERR_CONFLICT;
    err = fleet_sql_insert_token(db, op->op.machine_id, &op->token, &op->token.shown.token_id);
    if (err != ERR_OK)
        return err;
    return fleet_op_audit(&op->op, db, "machine.token.create", detail_of(op, detail));
}

static void create_done(struct store_job *job, enum err err)
{
    struct token_op *op = (struct token_op *)(void *)job;
    struct fleet *fleet = op->op.fleet;
    struct machine *machine = fleet_op_machine(&op->op);
    if (err == ERR_OK) {
        /* Changes come back in the order they were made: the machine is there and has a place. */
        ASSERT(machine != NULL);
        fleet_memory_add_token(fleet, machine, &op->token);
        fleet_memory_changed(fleet, machine, FLEET_CHANGED_RECORD);
    }
    op->created(op->op.cookie, err, err == ERR_OK ? &machine->shown : NULL,
                op->token.shown.token_id, err == ERR_OK ? op->text : NULL);
    sodium_memzero(op->text, sizeof(op->text));
    fleet_op_free(&op->op);
}

enum err fleet_token_create(struct fleet *fleet, struct fleet_by by, struct str machine_id,
                            struct str label, fleet_token_fn *done, void *cookie)
{
    const struct machine *machine = fleet_memory_find(fleet, machine_id);
    if (machine == NULL)
        return ERR_NOT_FOUND;
    if (!fleet_name_shown(label, FLEET_ID_BYTES))
        return ERR_INPUT;
    if (machine->shown.token_count == FLEET_TOKENS_MAX)
        return ERR_CONFLICT;
    struct token_op *op = fleet_op_create(fleet, sizeof(*op), by, machine_id);
    if (op == NULL)
        return ERR_NOMEM;
    op->token.shown.created_at_ms = by.now_ms;
    enum err err = str_copy(op->token.shown.label, sizeof(op->token.shown.label), label);
    if (err == ERR_OK)
        err = fleet_token_make(op->text, op->token.hash);
    if (err != ERR_OK) {
        fleet_op_free(&op->op);
        return err;
    }
    op->op.job = (struct store_job){.run = create_run, .done = create_done};
    op->op.cookie = cookie;
    op->created = done;
    return fleet_op_submit(&op->op);
}

static enum err revoke_run(struct store_job *job, struct store_db *db)
{
    struct token_op *op = (struct token_op *)(void *)job;
    char detail[64];
    int64_t changes = 0;
    struct store_stmt *stmt = fleet_sql(db, SQL_TOKEN_REVOKE);
    store_bind_text(stmt, 1, str_from(op->op.machine_id));
    store_bind_i64(stmt, 2, op->token.shown.token_id);
    store_bind_i64(stmt, 3, op->op.now_ms);
    enum err err = store_exec(db, stmt, &changes);
    if (err != ERR_OK)
        return err;
    if (changes == 0)
        return ERR_NOT_FOUND;
    return fleet_op_audit(&op->op, db, "machine.token.revoke", detail_of(op, detail));
}

static void revoke_done(struct store_job *job, enum err err)
{
    struct token_op *op = (struct token_op *)(void *)job;
    struct fleet *fleet = op->op.fleet;
    struct machine *machine = fleet_op_machine(&op->op);
    if (err == ERR_OK) {
        ASSERT(machine != NULL);
        fleet_memory_end_token(fleet, machine, op->token.shown.token_id);
        fleet_memory_changed(fleet, machine, FLEET_CHANGED_RECORD);
    }
    op->revoked(op->op.cookie, err, err == ERR_OK ? &machine->shown : NULL);
    fleet_op_free(&op->op);
}

enum err fleet_token_revoke(struct fleet *fleet, struct fleet_by by, struct str machine_id,
                            int64_t token_id, fleet_machine_fn *done, void *cookie)
{
    struct machine *machine = fleet_memory_find(fleet, machine_id);
    if (machine == NULL || fleet_memory_token(machine, token_id) == NULL)
        return ERR_NOT_FOUND;
    struct token_op *op = fleet_op_create(fleet, sizeof(*op), by, machine_id);
    if (op == NULL)
        return ERR_NOMEM;
    op->op.job = (struct store_job){.run = revoke_run, .done = revoke_done};
    op->op.cookie = cookie;
    op->token.shown.token_id = token_id;
    op->revoked = done;
    return fleet_op_submit(&op->op);
}
