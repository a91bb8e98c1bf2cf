/* What each kind of change does on the writer thread, inside its transaction.  The rules decide,
 * the row is written by compare-and-set, and a verdict other than QUEUE_DONE has changed nothing.
 */
#include "queue/queue_int.h"

/* Load the command; QUEUE_NO_COMMAND as a verdict, not an error. */
static enum err load(struct op *op, struct store_db *db)
{
    enum err err = queue_sql_command(db, op->command_id, &op->arena, &op->command);
    if (err == ERR_NOT_FOUND) {
        op->verdict = QUEUE_NO_COMMAND;
        return ERR_OK;
    }
    if (err != ERR_OK)
        return err;
    if (!id128_is_zero(op->meant_uid) && !id128_equal(op->meant_uid, op->command.uid)) {
        op->verdict = QUEUE_NO_COMMAND; /* another database's command of the same number */
        return ERR_OK;
    }
    op->has_command = true;
    op->machine_id = op->machine_id.at != NULL ? op->machine_id : op->command.machine_id;
    op->verdict = QUEUE_DONE;
    return ERR_OK;
}

static enum err reload_view(struct op *op, struct store_db *db)
{
    enum err err = queue_sql_view(db, op->machine_id, op->now_ms, true, &op->arena, &op->view);
    op->has_view = err == ERR_OK;
    return err;
}

/* ---- create ---- */

static enum err create_key_known(struct op *op, struct store_db *db, bool *ret_known)
{
    uint8_t hash[32];
    *ret_known = false;
    if (op->create.key.at == NULL)
        return ERR_OK;
    enum err err =
        queue_sql_key_find(db, op->create.key_scope, op->create.key, hash, &op->command_id);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    if (err != ERR_OK)
        return err;
    *ret_known = true;
    op->verdict =
        base_equal(hash, op->create.body_hash, sizeof(hash)) ? QUEUE_REPEATED : QUEUE_KEY_MISMATCH;
    return ERR_OK;
}

/* Newer position, older one cancelled (windows). */
static enum err coalesce(struct op *op, struct store_db *db, struct str command, uint64_t except_id)
{
    for (;;) {
        struct queue_command old;
        enum err err =
            queue_sql_waiting_named(db, op->machine_id, command, except_id, &op->arena, &old);
        if (err == ERR_NOT_FOUND)
            return ERR_OK;
        if (err != ERR_OK)
            return err;
        enum queue_state old_state = old.state;
        old.state = QUEUE_CANCELLED;
        old.reason = STR("superseded");
        old.settled_by = op->actor;
        err = queue_change_write(op, db, &old, false, old_state, STR_NONE);
        if (err != ERR_OK)
            return err;
    }
}

static enum err create_prepare(struct op *op, struct store_db *db)
{
    const struct queue_kind *kind = op->create.kind;
    if (kind->busy) {
        struct view view;
        enum err err = queue_sql_view(db, op->machine_id, op->now_ms, false, &op->arena, &view);
        if (err != ERR_OK)
            return err;
        if (view.has_active || view.has_head)
            op->verdict = QUEUE_BUSY;
        return ERR_OK;
    }
    /* A held newcomer replaces nothing: nobody knows whether it will be allowed. */
    bool replaces = kind->coalesce && op->create.execute_allowed;
    return replaces ? coalesce(op, db, op->create.command, 0) : ERR_OK;
}

static enum err run_create(struct op *op, struct store_db *db)
{
    const struct queue_new *new = &op->create;
    bool known;
    enum err err = create_key_known(op, db, &known);
    if (err != ERR_OK || known)
        return err;
    if (op->over_limit) {
        op->verdict = QUEUE_TOO_MANY;
        return ERR_OK;
    }
    err = create_prepare(op, db);
    if (err != ERR_OK || op->verdict != QUEUE_DONE)
        return err;
    uint32_t not_after_s = new->not_after_s != 0 ? new->not_after_s : new->kind->not_after_s;
    op->command = (struct queue_command){
        .uid = op->uid,
        .state = new->execute_allowed ? QUEUE_PENDING : QUEUE_HELD,
        .execute_allowed = new->execute_allowed,
        .max_duration_s =
            new->max_duration_s != 0 ? new->max_duration_s : new->kind->max_duration_s,
        .not_after_s = not_after_s,
        .created_at_ms = op->now_ms,
        .not_after_ms = new->execute_allowed ? op->now_ms + (int64_t)not_after_s * 1000 : 0,
        .machine_id = new->machine_id,
        .kind = str_from(new->kind->name),
        .command = new->command,
        .payload = new->payload,
        .instructions = new->instructions,
        .meta = new->meta,
        .created_by = op->actor,
        .request_id = op->request_id,
    };
    op->has_command = true;
    err = queue_change_write(op, db, &op->command, true, QUEUE_PENDING, STR_NONE);
    if (err != ERR_OK)
        return err;
    op->command_id = op->command.command_id;
    if (new->kind->coalesce) {
        err = reload_view(op, db);
        if (err != ERR_OK)
            return err;
    }
    if (new->key.at == NULL)
        return ERR_OK;
    return queue_sql_key_add(db, new->key_scope, new->key, new->body_hash, op->command_id);
}

/* ---- claim ---- */

/* A grant is good for start_window_s after the claim, and never past not_after. */
static int64_t start_within(const struct op *op, const struct queue_command *command)
{
    int64_t window_ms =
        (int64_t)op->queue->options.start_window_s * 1000 - (op->now_ms - command->claimed_at_ms);
    int64_t left_ms = command->not_after_ms - op->now_ms;
    if (window_ms < left_ms)
        left_ms = window_ms;
    return left_ms > 0 ? left_ms : 0;
}

static enum err claim_first(struct op *op, struct store_db *db)
{
    struct queue_command *command = &op->command;
    command->state = QUEUE_RUNNING;
    command->claim_id = op->claim_id;
    command->journal_id = op->journal_id;
    command->has_claim = !id128_is_zero(op->claim_id);
    command->claimed_at_ms = op->now_ms;
    enum err err = queue_meta_merge(&op->arena, command->meta, op->meta, &command->meta);
    if (err != ERR_OK)
        return err;
    op->grant.start_within_ms = start_within(op, command);
    op->grant.max_duration_s = command->max_duration_s;
    return queue_change_write(op, db, command, false, QUEUE_PENDING, STR_NONE);
}

/* Granted before to this same claim: the same answer, with what is left of both deadlines, for the
 * device counts them from the moment it sent this repetition. */
static enum err claim_again(struct op *op, struct store_db *db)
{
    struct queue_command *command = &op->command;
    int64_t gone_ms = op->now_ms - command->claimed_at_ms;
    int64_t left_s = (int64_t)command->max_duration_s - (gone_ms + 999) / 1000;
    op->grant = (struct queue_grant){
        .start_within_ms = start_within(op, command),
        .max_duration_s = left_s > 0 ? (uint32_t)left_s : 0,
        .stop = command->stop_requested,
        .repeated = true,
    };
    if (op->meta.len == 0)
        return ERR_OK;
    enum err err = queue_meta_merge(&op->arena, command->meta, op->meta, &command->meta);
    if (err != ERR_OK)
        return err;
    command->updated_at_ms = op->now_ms;
    err = queue_sql_update(
        db, command, QUEUE_RUNNING); /* a progress report is no transition: no history, no audit */
    if (err != ERR_OK)
        return err;
    return queue_change_remember(op, command, false, QUEUE_RUNNING);
}

static enum err run_claim(struct op *op, struct store_db *db)
{
    enum err err = load(op, db);
    if (err != ERR_OK || op->verdict != QUEUE_DONE)
        return err;
    struct view view;
    err = queue_sql_view(db, op->command.machine_id, op->now_ms, false, &op->arena, &view);
    if (err != ERR_OK)
        return err;
    struct rule_context context = {
        .on_hold = view.on_hold,
        .other_active = view.has_active && view.active.command_id != op->command_id,
        .is_head = view.has_head && view.head.command_id == op->command_id,
        .now_ms = op->now_ms,
    };
    op->verdict = queue_rule_claim(&op->command, &context, op->machine_id, op->claim_id);
    if (op->verdict == QUEUE_NOT_CLAIMABLE)
        return reload_view(op, db); /* the board was offered it: memory may be behind */
    if (op->verdict != QUEUE_DONE)
        return ERR_OK;
    err = op->command.state == QUEUE_PENDING ? claim_first(op, db) : claim_again(op, db);
    return err != ERR_OK ? err : reload_view(op, db);
}

/* ---- report ---- */

/* The claim speaks after somebody else settled the command otherwise: nothing changes, but it is on
 * record. */
static enum err note_late_report(struct op *op, struct store_db *db)
{
    const struct queue_command *command = &op->command;
    bool own = command->has_claim && id128_equal(command->claim_id, op->claim_id);
    if (!own || command->state == op->outcome)
        return ERR_OK;
    struct str subject =
        str_from(arena_printf(&op->arena, "command:%llu", (unsigned long long)command->command_id));
    if (subject.at == NULL)
        return ERR_NOMEM;
    return queue_change_audit(
        op, db, "command.late_report", subject,
        queue_json_pairs(&op->arena, "said", str_from(queue_state_name(op->outcome)), "reason",
                         op->reason, "stands", str_from(queue_state_name(command->state)), NULL));
}

static enum err run_report(struct op *op, struct store_db *db)
{
    enum err err = load(op, db);
    if (err != ERR_OK || op->verdict != QUEUE_DONE)
        return err;
    struct queue_command *command = &op->command;
    op->verdict = queue_rule_report(command, op->machine_id, op->outcome, op->claim_id,
                                    op->journal_id, op->reason);
    if (op->verdict == QUEUE_SETTLED)
        return note_late_report(op, db);
    if (op->verdict != QUEUE_DONE)
        return ERR_OK;
    enum queue_state old_state = command->state;
    command->state = op->outcome;
    command->reason = op->outcome == QUEUE_COMPLETE ? STR_NONE : op->reason;
    command->settled_by = op->actor;
    err = queue_meta_merge(&op->arena, command->meta, op->meta, &command->meta);
    if (err != ERR_OK)
        return err;
    err = queue_change_write(op, db, command, false, old_state, STR_NONE);
    if (err != ERR_OK)
        return err;
    err = queue_change_machine(op, db, command);
    if (err == ERR_OK && old_state == QUEUE_UNKNOWN)
        err = record_alert_resolve(db, command->machine_id, STR("unknown_outcome"), op->now_ms);
    return err != ERR_OK ? err : reload_view(op, db);
}

/* ---- people ---- */

static enum err run_cancel(struct op *op, struct store_db *db)
{
    enum err err = load(op, db);
    if (err != ERR_OK || op->verdict != QUEUE_DONE)
        return err;
    struct queue_command *command = &op->command;
    op->verdict = queue_rule_cancel(command);
    if (op->verdict != QUEUE_DONE)
        return ERR_OK;
    enum queue_state old_state = command->state;
    if (old_state == QUEUE_RUNNING) {
        if (command->stop_requested)
            return ERR_OK; /* asked before: the same answer */
        command->stop_requested = true;
    } else {
        command->state = QUEUE_CANCELLED;
        command->settled_by = op->actor;
    }
    err = queue_change_write(op, db, command, false, old_state, STR_NONE);
    return err != ERR_OK ? err : reload_view(op, db);
}

static enum err run_approve(struct op *op, struct store_db *db)
{
    enum err err = load(op, db);
    if (err != ERR_OK || op->verdict != QUEUE_DONE)
        return err;
    struct queue_command *command = &op->command;
    op->verdict = queue_rule_approve(command);
    if (op->verdict != QUEUE_DONE)
        return ERR_OK;
    const struct queue_kind *kind = queue_kind_find(op->queue, command->kind);
    struct view view;
    err = queue_sql_view(db, command->machine_id, op->now_ms, true, &op->arena, &view);
    if (err != ERR_OK)
        return err;
    if (kind != NULL && kind->busy && (view.has_active || view.has_head))
        op->verdict = QUEUE_BUSY;
    if (view.pending_count >= op->queue->options.pending_max)
        op->verdict = QUEUE_TOO_MANY;
    if (op->verdict != QUEUE_DONE)
        return ERR_OK;
    if (kind != NULL && kind->coalesce) {
        err = coalesce(op, db, command->command, command->command_id);
        if (err != ERR_OK)
            return err;
    }
    command->state = QUEUE_PENDING;
    command->execute_allowed = true;
    command->not_after_ms = op->now_ms + (int64_t)command->not_after_s * 1000;
    err = queue_change_write(op, db, command, false, QUEUE_HELD, STR_NONE);
    return err != ERR_OK ? err : reload_view(op, db);
}

static enum err run_settle(struct op *op, struct store_db *db)
{
    enum err err = load(op, db);
    if (err != ERR_OK || op->verdict != QUEUE_DONE)
        return err;
    struct queue_command *command = &op->command;
    op->verdict = queue_rule_settle(command, op->outcome);
    if (op->verdict == QUEUE_DONE && op->too_early)
        op->verdict = QUEUE_TOO_EARLY;
    if (op->verdict != QUEUE_DONE)
        return ERR_OK;
    command->state = op->outcome;
    command->reason = op->outcome == QUEUE_FAILED ? STR("settled_by_staff") : STR_NONE;
    command->settled_by = op->actor;
    command->evidence = op->note;
    err = queue_change_write(
        op, db, command, false, QUEUE_UNKNOWN,
        queue_json_pairs(&op->arena, "machine", command->machine_id, "from", STR("unknown"), "to",
                         str_from(queue_state_name(command->state)), "evidence", op->note, NULL));
    if (err != ERR_OK)
        return err;
    err = record_alert_resolve(db, command->machine_id, STR("unknown_outcome"), op->now_ms);
    return err != ERR_OK ? err : reload_view(op, db);
}

static enum err run_hold(struct op *op, struct store_db *db)
{
    struct view view;
    enum err err = queue_sql_view(db, op->machine_id, op->now_ms, false, &op->arena, &view);
    if (err != ERR_OK)
        return err;
    err = queue_change_hold(op, db, op->machine_id, op->note, &view);
    if (err != ERR_OK)
        return err;
    return reload_view(op, db);
}

/* Releasing answers every alert that asked for it: the critical ones, but for an unknown outcome,
 * which stays open until it is settled.  (The reason of a hold is a person's text as often as an
 * alert's code.) */
static enum err answer_alerts(struct op *op, struct store_db *db)
{
    struct record_alert *alerts = NULL;
    size_t count = 0;
    enum err err = record_alert_list(db, true, 0, 200, &op->arena, &alerts, &count);
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        bool asked = str_equal(alerts[i].machine_id, op->machine_id) &&
                     alerts[i].severity == RECORD_CRITICAL &&
                     !str_equal(alerts[i].code, STR("unknown_outcome"));
        if (asked)
            err = record_alert_resolve(db, op->machine_id, alerts[i].code, op->now_ms);
    }
    return err;
}

static enum err run_release(struct op *op, struct store_db *db)
{
    struct view view;
    enum err err = queue_sql_view(db, op->machine_id, op->now_ms, false, &op->arena, &view);
    if (err != ERR_OK)
        return err;
    if (view.on_hold) {
        err = queue_sql_machine_set(db, op->machine_id, false, STR_NONE, 0, 0);
        if (err != ERR_OK)
            return err;
        struct str subject =
            str_from(arena_printf(&op->arena, "machine:%.*s", STR_ARG(op->machine_id)));
        if (subject.at == NULL)
            return ERR_NOMEM;
        err = queue_change_audit(
            op, db, "machine.release", subject,
            queue_json_pairs(&op->arena, "held_for", view.hold_reason, "note", op->note, NULL));
        if (err != ERR_OK)
            return err;
        err = answer_alerts(op, db);
        if (err != ERR_OK)
            return err;
        op->hold_changed = true;
    }
    return reload_view(op, db);
}

/* ---- boots, silence, lateness ---- */

static enum err give_up(struct op *op, struct store_db *db, struct queue_command *command,
                        struct str reason)
{
    command->state = QUEUE_UNKNOWN;
    command->reason = reason;
    enum err err = queue_change_write(op, db, command, false, QUEUE_RUNNING, STR_NONE);
    return err != ERR_OK ? err : queue_change_machine(op, db, command);
}

static enum err run_hello(struct op *op, struct store_db *db)
{
    struct view view;
    enum err err = queue_sql_view(db, op->machine_id, op->now_ms, false, &op->arena, &view);
    if (err != ERR_OK)
        return err;
    if (view.has_active) {
        op->command = view.active;
        op->has_command = true;
    }
    /* The claim's own journal will account for it; any other board cannot (rules 4 and 5). */
    bool foreign_boot =
        view.has_active && view.active.state == QUEUE_RUNNING &&
        (id128_is_zero(op->journal_id) || !id128_equal(view.active.journal_id, op->journal_id));
    if (!foreign_boot)
        return ERR_OK;
    err = give_up(op, db, &op->command, STR("other_journal"));
    return err != ERR_OK ? err : reload_view(op, db);
}

static enum err run_silence(struct op *op, struct store_db *db)
{
    enum err err = load(op, db);
    if (err != ERR_OK || op->verdict != QUEUE_DONE)
        return err;
    if (op->command.state != QUEUE_RUNNING) { /* it was settled while this job waited */
        op->verdict = QUEUE_SETTLED;
        return ERR_OK;
    }
    err = give_up(op, db, &op->command, STR("silence"));
    return err != ERR_OK ? err : reload_view(op, db);
}

static enum err run_expire(struct op *op, struct store_db *db)
{
    enum {
        AT_ONCE_MAX = 64
    }; /* one job does not hold the writer for long; the next tick takes the rest */
    /* Rows may be big: what does not fit into this op's memory is the next tick's. */
    for (int i = 0; i < AT_ONCE_MAX && op->arena.used < OP_ARENA_BYTES_MAX / 2; i++) {
        struct queue_command late;
        enum err err = queue_sql_late(db, op->now_ms, &op->arena, &late);
        if (err == ERR_NOT_FOUND)
            break;
        if (err != ERR_OK)
            return err;
        late.state = QUEUE_EXPIRED;
        late.reason = STR("not_after");
        err = queue_change_write(op, db, &late, false, QUEUE_PENDING, STR_NONE);
        if (err != ERR_OK)
            return err;
        struct view *view = arena_alloc(&op->arena, sizeof(*view));
        if (view == NULL)
            return ERR_NOMEM;
        err = queue_sql_view(db, late.machine_id, op->now_ms, true, &op->arena, view);
        if (err != ERR_OK)
            return err;
        op->last_change->view = view;
    }
    return queue_sql_expire_next(db, &op->expire_next_ms);
}

/* What an earlier, undone run left behind; the arena may keep its crumbs. */
static void clean_slate(struct op *op)
{
    op->verdict = QUEUE_DONE;
    op->command = (struct queue_command){0};
    op->has_command = op->has_view = op->hold_changed = false;
    op->changes = op->last_change = NULL;
    op->grant = (struct queue_grant){0};
}

enum err queue_op_run(struct store_job *job, struct store_db *db)
{
    struct op *op = (struct op *)job;
    clean_slate(op);
    switch (op->kind) {
    case OP_CREATE:
        return run_create(op, db);
    case OP_CLAIM:
        return run_claim(op, db);
    case OP_REPORT:
        return run_report(op, db);
    case OP_CANCEL:
        return run_cancel(op, db);
    case OP_APPROVE:
        return run_approve(op, db);
    case OP_SETTLE:
        return run_settle(op, db);
    case OP_HOLD:
        return run_hold(op, db);
    case OP_RELEASE:
        return run_release(op, db);
    case OP_HELLO:
        return run_hello(op, db);
    case OP_SILENCE:
        return run_silence(op, db);
    case OP_EXPIRE:
        return run_expire(op, db);
    case OP_NOTE:
        return queue_change_audit(op, db, "command.refuse", op->note, op->meta);
    }
    return ERR_INPUT;
}
