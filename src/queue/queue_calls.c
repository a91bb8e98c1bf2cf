/* The calls that change something: each copies what it needs into an op and hands it to the writer.
 */
#include "queue/queue_int.h"

/* What every op carries; false: out of memory (the op is destroyed). */
static bool op_common(struct op *op, struct str machine_id, struct str actor, struct str request_id)
{
    if (op == NULL)
        return false;
    if (queue_op_text(op, machine_id, &op->machine_id) && queue_op_text(op, actor, &op->actor) &&
        queue_op_text(op, request_id, &op->request_id))
        return true;
    queue_op_destroy(op);
    return false;
}

static bool create_texts(struct op *op, const struct queue_new *command)
{
    struct queue_new *create = &op->create;
    *create = *command;
    create->machine_id = op->machine_id;
    return queue_op_text(op, command->command, &create->command) &&
           queue_op_text(op, command->payload, &create->payload) &&
           queue_op_text(op, command->instructions, &create->instructions) &&
           queue_op_text(op, command->meta, &create->meta) &&
           queue_op_text(op, command->key_scope, &create->key_scope) &&
           queue_op_text(op, command->key, &create->key);
}

enum err queue_submit(struct queue *queue, const struct queue_new *command, queue_create_done *done,
                      void *cookie)
{
    struct machine_slot *slot = queue_slot_ensure(queue, command->machine_id);
    if (slot == NULL)
        return ERR_NOMEM;
    struct op *op = queue_op_create(queue, OP_CREATE);
    if (!op_common(op, command->machine_id, command->actor, command->request_id))
        return ERR_NOMEM;
    if (!create_texts(op, command)) {
        queue_op_destroy(op);
        return ERR_NOMEM;
    }
    /* A full queue is told by the writer too, so that a repeated key still gets its first answer.
     */
    op->over_limit = slot->waiting_count + slot->creates_waiting >= queue->options.pending_max;
    queue->options.random_id(queue->options.random, &op->uid);
    op->create_done = done;
    op->cookie = cookie;
    enum err err = queue_op_submit(op);
    if (err == ERR_OK)
        slot->creates_waiting++;
    return err;
}

enum err queue_claim(struct queue *queue, const struct queue_claim *claim, queue_claim_done *done,
                     void *cookie)
{
    struct op *op = queue_op_create(queue, OP_CLAIM);
    if (!op_common(op, claim->machine_id, claim->actor, claim->request_id))
        return ERR_NOMEM;
    if (!queue_op_text(op, claim->meta, &op->meta)) {
        queue_op_destroy(op);
        return ERR_NOMEM;
    }
    op->command_id = claim->command_id;
    op->claim_id = claim->claim_id;
    op->journal_id = claim->journal_id;
    op->meant_uid = claim->uid;
    op->claim_done = done;
    op->cookie = cookie;
    return queue_op_submit(op);
}

enum err queue_report(struct queue *queue, const struct queue_report *report, queue_done *done,
                      void *cookie)
{
    struct str reason = report->reason;
    if (reason.len == 0 && report->outcome == QUEUE_FAILED)
        reason = STR("failed");
    if (reason.len == 0 && report->outcome == QUEUE_REJECTED)
        reason = STR("refused");
    struct op *op = queue_op_create(queue, OP_REPORT);
    if (!op_common(op, report->machine_id, report->actor, report->request_id))
        return ERR_NOMEM;
    if (!queue_op_text(op, report->meta, &op->meta) || !queue_op_text(op, reason, &op->reason)) {
        queue_op_destroy(op);
        return ERR_NOMEM;
    }
    op->command_id = report->command_id;
    op->outcome = report->outcome;
    op->claim_id = report->claim_id;
    op->journal_id = report->journal_id;
    op->meant_uid = report->uid;
    op->done = done;
    op->cookie = cookie;
    return queue_op_submit(op);
}

enum err queue_hello(struct queue *queue, struct str machine_id, struct id128 journal_id,
                     struct str actor, queue_done *done, void *cookie)
{
    struct op *op = queue_op_create(queue, OP_HELLO);
    if (!op_common(op, machine_id, actor, STR_NONE))
        return ERR_NOMEM;
    op->journal_id = journal_id;
    op->done = done;
    op->cookie = cookie;
    return queue_op_submit(op);
}

/* May a board that was granted this command still begin?  Only memory knows: it is a question of
 * the monotonic clock. */
static bool may_begin(const struct queue *queue, uint64_t command_id, int64_t mono_ms)
{
    for (uint32_t i = 0; i < queue->slot_count; i++)
        for (const struct machine_slot *slot = queue->slots[i]; slot != NULL; slot = slot->chain)
            if (slot->active_id == command_id)
                return mono_ms < slot->start_over_mono_ms;
    return true; /* its claim may be in the same transaction as this order */
}

static enum err submit_order(struct queue *queue, enum op_kind kind,
                             const struct queue_order *order, queue_done *done, void *cookie)
{
    /* Orders about a command learn its machine from the row; those about a machine name it. */
    struct str machine_id = kind == OP_HOLD || kind == OP_RELEASE ? order->machine_id : STR_NONE;
    struct op *op = queue_op_create(queue, kind);
    if (!op_common(op, machine_id, order->actor, order->request_id))
        return ERR_NOMEM;
    if (!queue_op_text(op, order->note, &op->note)) {
        queue_op_destroy(op);
        return ERR_NOMEM;
    }
    op->command_id = order->command_id;
    op->outcome = order->outcome;
    op->too_early = kind == OP_SETTLE && may_begin(queue, order->command_id, op->mono_ms);
    op->done = done;
    op->cookie = cookie;
    return queue_op_submit(op);
}

enum err queue_cancel(struct queue *queue, const struct queue_order *order, queue_done *done,
                      void *cookie)
{
    return submit_order(queue, OP_CANCEL, order, done, cookie);
}

enum err queue_approve(struct queue *queue, const struct queue_order *order, queue_done *done,
                       void *cookie)
{
    return submit_order(queue, OP_APPROVE, order, done, cookie);
}

enum err queue_settle(struct queue *queue, const struct queue_order *order, queue_done *done,
                      void *cookie)
{
    return submit_order(queue, OP_SETTLE, order, done, cookie);
}

enum err queue_hold(struct queue *queue, const struct queue_order *order, queue_done *done,
                    void *cookie)
{
    return submit_order(queue, OP_HOLD, order, done, cookie);
}

enum err queue_release(struct queue *queue, const struct queue_order *order, queue_done *done,
                       void *cookie)
{
    return submit_order(queue, OP_RELEASE, order, done, cookie);
}

void queue_note_refusal(struct queue *queue, struct str machine_id, struct str actor,
                        struct str code, struct str field, struct str request_id)
{
    struct op *op = queue_op_create(queue, OP_NOTE);
    if (!op_common(op, STR_NONE, actor, request_id))
        return;
    op->note = str_from(arena_printf(&op->arena, "machine:%.*s", STR_ARG(machine_id)));
    op->meta = queue_json_pairs(&op->arena, "code", code, "field", field, NULL);
    if (op->note.at == NULL) {
        queue_op_destroy(op);
        return;
    }
    enum err err = queue_op_submit(op);
    (void)err; /* best effort: the caller answers its refusal either way */
}

/* ---- time ---- */

static void submit_silence(struct queue *queue, struct machine_slot *slot, int64_t mono_ms)
{
    slot->silence_mono_ms = mono_ms + 1000; /* should the job fail, it is tried again then */
    struct op *op = queue_op_create(queue, OP_SILENCE);
    if (!op_common(op, str_from(slot->machine_id), STR("server"), STR_NONE))
        return;
    op->command_id = slot->silence_id;
    enum err err = queue_op_submit(op);
    (void)err;
}

int64_t queue_tick(struct queue *queue)
{
    int64_t mono_ms = queue->options.mono_ms(queue->options.clock);
    int64_t now_ms = queue->options.wall_ms(queue->options.clock);
    int64_t next_ms = INT64_MAX;
    for (uint32_t i = 0; i < queue->slot_count; i++) {
        for (struct machine_slot *slot = queue->slots[i]; slot != NULL; slot = slot->chain) {
            if (slot->silence_mono_ms == 0)
                continue;
            if (slot->silence_mono_ms <= mono_ms)
                submit_silence(queue, slot, mono_ms);
            if (slot->silence_mono_ms < next_ms)
                next_ms = slot->silence_mono_ms;
        }
    }
    if (!queue->expire_waiting && queue->expire_next_ms <= now_ms) {
        struct op *op = queue_op_create(queue, OP_EXPIRE);
        if (op_common(op, STR_NONE, STR("server"), STR_NONE) && queue_op_submit(op) == ERR_OK)
            queue->expire_waiting = true;
    }
    if (queue->expire_waiting || queue->expire_next_ms <= now_ms) {
        if (mono_ms + 1000 < next_ms)
            next_ms = mono_ms + 1000;
    } else if (queue->expire_next_ms != INT64_MAX) {
        /* The wall clock may be set forward meanwhile: look at least every second. */
        int64_t in_ms = queue->expire_next_ms - now_ms;
        int64_t due_ms = mono_ms + (in_ms < 1000 ? in_ms : 1000);
        if (due_ms < next_ms)
            next_ms = due_ms;
    }
    return next_ms;
}
