/* What a board says after boot.  The journal tells boards apart: the same one again is a reboot,
 * another one is a new board, a wiped flash, or a second board with the same credentials (queue
 * rule 4). */
#include "fleet/fleet_int.h"

#include <stdio.h>
#include <string.h>

struct hello_op {
    struct op op; /* owned: the capabilities */
    struct id128 boot_id, journal_id;
    char firmware[FLEET_ID_BYTES];
    enum fleet_hello_note note;
    fleet_hello_fn *done;
};

/* What SQL knows decides, so that two hellos on their way at once are told apart too. */
static enum err take_note(struct hello_op *op, struct store_db *db, bool *ret_same)
{
    char boot[ID128_TEXT_BYTES];
    char journal[ID128_TEXT_BYTES];
    struct store_stmt *stmt = fleet_sql(db, SQL_HELLO_SHOW);
    store_bind_text(stmt, 1, str_from(op->op.machine_id));
    enum err err = store_row(stmt);
    if (err != ERR_OK)
        return err;
    id128_text(op->boot_id, boot);
    id128_text(op->journal_id, journal);
    bool same_boot = str_equal(store_col_text(stmt, 0), str_from(boot));
    bool same_journal = str_equal(store_col_text(stmt, 1), str_from(journal));
    if (store_col_null(stmt, 1))
        op->note = FLEET_HELLO_FIRST;
    else if (!same_journal)
        op->note = FLEET_HELLO_OTHER_JOURNAL;
    else
        op->note = same_boot ? FLEET_HELLO_SAME_BOOT : FLEET_HELLO_REBOOT;
    *ret_same = op->note == FLEET_HELLO_SAME_BOOT &&
                str_equal(store_col_text(stmt, 2), str_from(op->firmware)) &&
                str_equal(store_col_text(stmt, 3), str_from(op->op.owned));
    return ERR_OK;
}

static enum err write_hello(const struct hello_op *op, struct store_db *db)
{
    char boot[ID128_TEXT_BYTES];
    char journal[ID128_TEXT_BYTES];
    char detail[192];
    id128_text(op->boot_id, boot);
    id128_text(op->journal_id, journal);
    struct store_stmt *stmt = fleet_sql(db, SQL_HELLO_SET);
    store_bind_text(stmt, 1, str_from(op->op.machine_id));
    store_bind_text(stmt, 2, str_from(boot));
    store_bind_text(stmt, 3, str_from(journal));
    store_bind_text(stmt, 4, str_from(op->firmware));
    store_bind_text(stmt, 5, str_from(op->op.owned));
    store_bind_i64(stmt, 6, op->op.now_ms);
    enum err err = store_exec(db, stmt, NULL);
    if (err != ERR_OK)
        return err;
    (void)snprintf(detail, sizeof(detail), "{\"boot_id\":\"%s\",\"journal_id\":\"%s\"}", boot,
                   journal);
    return fleet_op_audit(&op->op, db, "machine.hello", str_from(detail));
}

static enum err hello_run(struct store_job *job, struct store_db *db)
{
    struct hello_op *op = (struct hello_op *)(void *)job;
    bool same = false;
    enum err err = take_note(op, db, &same);
    if (err == ERR_OK && !same)
        err = write_hello(op, db);
    if (err != ERR_OK || op->note != FLEET_HELLO_OTHER_JOURNAL)
        return err;
    return record_alert_raise(
        db,
        &(struct record_alert){
            .machine_id = str_from(op->op.machine_id),
            .code = STR("journal_changed"),
            .message = STR("This machine came back with another journal: a new board, a wiped "
                           "memory, or a second board with the same credentials."),
            .severity = RECORD_WARNING,
            .raised_at_ms = op->op.now_ms,
            .last_at_ms = op->op.now_ms,
            .count = 1,
        },
        NULL);
}

static void hello_done(struct store_job *job, enum err err)
{
    struct hello_op *op = (struct hello_op *)(void *)job;
    struct machine *machine = fleet_op_machine(&op->op);
    if (err == ERR_OK && machine == NULL)
        err = ERR_NOT_FOUND;
    if (err == ERR_OK) {
        char *old = machine->capabilities;
        machine->capabilities = op->op.owned;
        machine->shown.capabilities = machine->capabilities;
        op->op.owned = old;
        machine->shown.boot_id = op->boot_id;
        machine->shown.journal_id = op->journal_id;
        memcpy(machine->shown.firmware, op->firmware, sizeof(machine->shown.firmware));
        fleet_memory_changed(op->op.fleet, machine, FLEET_CHANGED_RECORD);
    }
    op->done(op->op.cookie, err, err == ERR_OK ? &machine->shown : NULL, op->note);
    fleet_op_free(&op->op);
}

enum err fleet_hello(struct fleet *fleet, struct fleet_by by, int64_t mono_ms,
                     struct str machine_id, const struct fleet_hello *hello, fleet_hello_fn *done,
                     void *cookie)
{
    struct machine *machine = fleet_memory_find(fleet, machine_id);
    char *capabilities = NULL;
    if (machine == NULL)
        return ERR_NOT_FOUND;
    if (id128_is_zero(hello->boot_id) || id128_is_zero(hello->journal_id) ||
        !fleet_firmware_shown(hello->firmware))
        return ERR_INPUT;
    enum err err = fleet_object_check(hello->capabilities, FLEET_BLOB_BYTES_MAX, &capabilities);
    if (err != ERR_OK)
        return err;
    struct hello_op *op = fleet_op_create(fleet, sizeof(*op), by, machine_id);
    if (op == NULL) {
        mem_free(capabilities);
        return ERR_NOMEM;
    }
    op->op.job = (struct store_job){.run = hello_run, .done = hello_done};
    op->op.cookie = cookie;
    op->op.owned = capabilities;
    op->boot_id = hello->boot_id;
    op->journal_id = hello->journal_id;
    op->done = done;
    err = str_copy(op->firmware, sizeof(op->firmware), hello->firmware);
    if (err != ERR_OK) {
        fleet_op_free(&op->op);
        return err;
    }
    fleet_machine_seen(fleet, machine, by.now_ms, mono_ms);
    return fleet_op_submit(&op->op);
}
