/* Writing a transition: the row, its history, the audit entry and the kind's own hook, in one
 * transaction (rule 13). */
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "queue/queue_int.h"

enum err queue_meta_merge(struct arena *arena, struct str old, struct str add,
                          struct str *ret_merged)
{
    *ret_merged = old;
    if (add.len == 0)
        return ERR_OK;
    *ret_merged = add;
    if (old.len == 0)
        return ERR_OK;
    enum err err = ERR_NOMEM;
    json_t *base = json_loadb(old.at, old.len, 0, NULL);
    json_t *more = json_loadb(add.at, add.len, 0, NULL);
    char *text = NULL;
    /* Meta that is no object (an old database, a careless hand) gives way to the newer one. */
    if (base == NULL || more == NULL || !json_is_object(base) || !json_is_object(more)) {
        err = ERR_OK;
        goto done;
    }
    if (json_object_update(base, more) != 0)
        goto done;
    text = json_dumps(base, JSON_COMPACT | JSON_REAL_PRECISION(15));
    if (text == NULL)
        goto done;
    size_t len = strlen(text);
    if (len <= META_BYTES_MAX) {
        char *copy = arena_strdup(arena, (struct str){text, len});
        if (copy == NULL)
            goto done;
        *ret_merged = (struct str){copy, len};
    }
    err = ERR_OK;
done:
    free(text);
    json_decref(base);
    json_decref(more);
    return err;
}

/* Text between JSON quotes: runs of plain bytes at once. */
static enum err add_escaped(struct buf *buf, struct str text)
{
    size_t from = 0;
    for (size_t i = 0; i <= text.len; i++) {
        unsigned char c = i < text.len ? (unsigned char)text.at[i] : '"';
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        enum err err = buf_add(buf, text.at + from, i - from);
        if (err == ERR_OK && i < text.len)
            err = c < 0x20 ? buf_printf(buf, "\\u%04x", c) : buf_printf(buf, "\\%c", c);
        if (err != ERR_OK)
            return err;
        from = i + 1;
    }
    return ERR_OK;
}

struct str queue_json_pairs(struct arena *arena, ...)
{
    struct buf buf;
    buf_init(&buf, 8 * KIB);
    bool ok = buf_reserve(&buf, 256) == ERR_OK && buf_add(&buf, "{", 1) == ERR_OK;
    bool first = true;
    va_list args;
    va_start(args, arena);
    const char *key;
    while (ok && (key = va_arg(args, const char *)) != NULL) {
        struct str value = va_arg(args, struct str);
        if (value.len == 0)
            continue;
        ok = (first || buf_add(&buf, ",", 1) == ERR_OK) && buf_add(&buf, "\"", 1) == ERR_OK &&
             buf_add_str(&buf, str_from(key)) == ERR_OK && buf_add(&buf, "\":\"", 3) == ERR_OK &&
             add_escaped(&buf, value) == ERR_OK && buf_add(&buf, "\"", 1) == ERR_OK;
        first = false;
    }
    va_end(args);
    struct str result = STR_NONE;
    if (ok && !first && buf_add(&buf, "}", 1) == ERR_OK) {
        char *copy = arena_strdup(arena, buf_str(&buf));
        if (copy != NULL)
            result = (struct str){copy, buf.len};
    }
    buf_finish(&buf);
    return result;
}

enum err queue_change_audit(struct op *op, struct store_db *db, const char *action,
                            struct str subject, struct str detail)
{
    return record_audit(db, &(struct record_entry){
                                .at_ms = op->now_ms,
                                .actor = op->actor,
                                .action = str_from(action),
                                .subject = subject,
                                .detail = detail,
                                .request_id = op->request_id,
                            });
}

static struct str subject_command(struct op *op, uint64_t command_id)
{
    return str_from(arena_printf(&op->arena, "command:%llu", (unsigned long long)command_id));
}

static const char *audit_action(bool created, enum queue_state old_state,
                                const struct queue_command *command)
{
    if (created)
        return "command.create";
    if (old_state == command->state)
        return command->stop_requested ? "command.stop" : "command.note";
    switch (command->state) {
    case QUEUE_PENDING:
        return "command.approve";
    case QUEUE_RUNNING:
        return "command.claim";
    case QUEUE_COMPLETE:
        return "command.complete";
    case QUEUE_FAILED:
        return "command.fail";
    case QUEUE_REJECTED:
        return "command.reject";
    case QUEUE_CANCELLED:
        return "command.cancel";
    case QUEUE_EXPIRED:
        return "command.expire";
    case QUEUE_UNKNOWN:
        return "command.unknown";
    case QUEUE_HELD:
        break;
    }
    return "command.hold";
}

enum err queue_change_remember(struct op *op, const struct queue_command *command, bool created,
                               enum queue_state old_state)
{
    struct op_change *change = arena_alloc(&op->arena, sizeof(*change));
    if (change == NULL)
        return ERR_NOMEM;
    change->command = *command;
    change->created = created;
    change->old_state = old_state;
    if (op->last_change != NULL)
        op->last_change->next = change;
    else
        op->changes = change;
    op->last_change = change;
    return ERR_OK;
}

enum err queue_change_write(struct op *op, struct store_db *db, struct queue_command *command,
                            bool created, enum queue_state old_state, struct str detail)
{
    command->updated_at_ms = op->now_ms;
    if (queue_state_final(command->state) && command->finished_at_ms == 0)
        command->finished_at_ms = op->now_ms;
    enum err err =
        created ? queue_sql_insert(db, command) : queue_sql_update(db, command, old_state);
    if (err != ERR_OK)
        return err;
    err = queue_sql_history_add(db, command, !created, old_state, op->actor);
    if (err != ERR_OK)
        return err;
    if (detail.at == NULL)
        detail = queue_json_pairs(&op->arena, "machine", command->machine_id, "from",
                                  created ? STR_NONE : str_from(queue_state_name(old_state)), "to",
                                  str_from(queue_state_name(command->state)), "reason",
                                  command->reason, NULL);
    struct str subject = subject_command(op, command->command_id);
    if (subject.at == NULL)
        return ERR_NOMEM;
    err = queue_change_audit(op, db, audit_action(created, old_state, command), subject, detail);
    if (err != ERR_OK)
        return err;
    const struct queue_kind *kind = queue_kind_find(op->queue, command->kind);
    if (kind != NULL && kind->on_change != NULL) {
        struct queue_change change = {
            .command = command, .old_state = old_state, .created = created, .actor = op->actor};
        err = kind->on_change(kind->context, db, &change);
        if (err != ERR_OK)
            return err;
    }
    return queue_change_remember(op, command, created, old_state);
}

enum err queue_change_hold(struct op *op, struct store_db *db, struct str machine_id,
                           struct str reason, const struct view *view)
{
    bool held = view->on_hold;
    enum err err =
        queue_sql_machine_set(db, machine_id, true, held ? view->hold_reason : reason,
                              held ? view->hold_since_ms : op->now_ms, view->failures_in_row);
    if (err != ERR_OK)
        return err;
    op->hold_changed = true;
    struct str subject = str_from(arena_printf(&op->arena, "machine:%.*s", STR_ARG(machine_id)));
    if (subject.at == NULL)
        return ERR_NOMEM;
    return queue_change_audit(op, db, "machine.hold", subject,
                              queue_json_pairs(&op->arena, "reason", reason, "first_reason",
                                               held ? view->hold_reason : STR_NONE, NULL));
}

static enum err raise_alert(struct op *op, struct store_db *db, const struct queue_command *command,
                            struct str code, enum record_severity severity, const char *message)
{
    return record_alert_raise(db,
                              &(struct record_alert){
                                  .machine_id = command->machine_id,
                                  .code = code,
                                  .message = str_from(message),
                                  .severity = severity,
                                  .command_id = command->command_id,
                                  .raised_at_ms = op->now_ms,
                                  .last_at_ms = op->now_ms,
                              },
                              NULL);
}

/* Not a reason to stop the machine, but somebody should come and look. */
static enum err ask_for_a_hand(struct op *op, struct store_db *db,
                               const struct queue_command *command, const struct queue_kind *kind,
                               const char *how)
{
    if (kind == NULL || kind->reason_needs_hands == NULL ||
        !kind->reason_needs_hands(kind->context, command->reason))
        return ERR_OK;
    const char *message =
        arena_printf(&op->arena, "Command %llu %s (%.*s). The machine needs a hand.",
                     (unsigned long long)command->command_id, how, STR_ARG(command->reason));
    if (message == NULL)
        return ERR_NOMEM;
    return raise_alert(op, db, command, command->reason, RECORD_WARNING, message);
}

static enum err after_failure(struct op *op, struct store_db *db,
                              const struct queue_command *command, const struct queue_kind *kind,
                              const struct view *view)
{
    uint32_t failures = view->failures_in_row + 1;
    bool mechanical = kind != NULL && kind->reason_mechanical != NULL &&
                      kind->reason_mechanical(kind->context, command->reason);
    bool too_many = failures >= op->queue->options.failures_max;
    if (!mechanical && !too_many) {
        enum err err = queue_sql_machine_set(db, command->machine_id, view->on_hold,
                                             view->hold_reason, view->hold_since_ms, failures);
        return err != ERR_OK ? err : ask_for_a_hand(op, db, command, kind, "failed");
    }
    const char *message =
        mechanical
            ? arena_printf(&op->arena,
                           "Command %llu failed mechanically (%.*s). Look at the machine, then "
                           "release it.",
                           (unsigned long long)command->command_id, STR_ARG(command->reason))
            : arena_printf(&op->arena,
                           "%u commands failed in a row, the last with %.*s. Look at the "
                           "machine, then release it.",
                           failures, STR_ARG(command->reason));
    if (message == NULL)
        return ERR_NOMEM;
    struct str hold_reason = mechanical ? command->reason : STR("failures_in_row");
    struct view counted = *view;
    counted.failures_in_row = failures;
    enum err err = queue_change_hold(op, db, command->machine_id, hold_reason, &counted);
    if (err != ERR_OK)
        return err;
    return raise_alert(op, db, command, hold_reason, RECORD_CRITICAL, message);
}

static enum err after_unknown(struct op *op, struct store_db *db,
                              const struct queue_command *command, const struct view *view)
{
    const char *message = arena_printf(
        &op->arena,
        "Nobody knows how command %llu ended. Look at the machine, settle the command, "
        "then release the machine.",
        (unsigned long long)command->command_id);
    if (message == NULL)
        return ERR_NOMEM;
    enum err err = queue_change_hold(op, db, command->machine_id, STR("unknown_outcome"), view);
    if (err != ERR_OK)
        return err;
    return raise_alert(op, db, command, STR("unknown_outcome"), RECORD_CRITICAL, message);
}

enum err queue_change_machine(struct op *op, struct store_db *db,
                              const struct queue_command *command)
{
    const struct queue_kind *kind = queue_kind_find(op->queue, command->kind);
    struct view view;
    enum err err = queue_sql_view(db, command->machine_id, op->now_ms, false, &op->arena, &view);
    if (err != ERR_OK)
        return err;
    switch (command->state) {
    case QUEUE_COMPLETE:
        if (view.failures_in_row == 0)
            return ERR_OK;
        return queue_sql_machine_set(db, command->machine_id, view.on_hold, view.hold_reason,
                                     view.hold_since_ms, 0);
    case QUEUE_FAILED:
        return after_failure(op, db, command, kind, &view);
    case QUEUE_UNKNOWN:
        return after_unknown(op, db, command, &view);
    case QUEUE_REJECTED:
        return ask_for_a_hand(op, db, command, kind, "was refused");
    case QUEUE_HELD:
    case QUEUE_PENDING:
    case QUEUE_RUNNING:
    case QUEUE_CANCELLED:
    case QUEUE_EXPIRED:
        break;
    }
    return ERR_OK;
}
