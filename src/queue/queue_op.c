/* The life of one change: made on the loop, run on the writer, and, when it is on disk, taken into
 * memory and told. */
#include "queue/queue_int.h"

struct op *queue_op_create(struct queue *queue, enum op_kind kind)
{
    struct op *op = mem_zalloc(sizeof(*op));
    if (op == NULL)
        return NULL;
    arena_init(&op->arena, OP_ARENA_BYTES_MAX);
    op->job.run = queue_op_run;
    op->job.done = queue_op_done;
    op->job.again = true; /* queue_op_run begins with a clean slate */
    op->queue = queue;
    op->kind = kind;
    op->now_ms = queue->options.wall_ms(queue->options.clock);
    op->mono_ms = queue->options.mono_ms(queue->options.clock);
    op->ops_next = queue->ops;
    if (queue->ops != NULL)
        queue->ops->ops_prev = op;
    queue->ops = op;
    return op;
}

void queue_op_destroy(struct op *op)
{
    if (op == NULL)
        return;
    if (op->ops_prev != NULL)
        op->ops_prev->ops_next = op->ops_next;
    else
        op->queue->ops = op->ops_next;
    if (op->ops_next != NULL)
        op->ops_next->ops_prev = op->ops_prev;
    arena_finish(&op->arena);
    mem_free(op);
}

bool queue_op_text(struct op *op, struct str text, struct str *ret_copy)
{
    *ret_copy = STR_NONE;
    if (text.at == NULL)
        return true;
    char *copy = arena_strdup(&op->arena, text);
    if (copy == NULL)
        return false;
    *ret_copy = (struct str){copy, text.len};
    return true;
}

enum err queue_op_submit(struct op *op)
{
    enum err err = store_write(op->queue->options.store, &op->job);
    if (err != ERR_OK)
        queue_op_destroy(op);
    return err;
}

/* ---- into memory ---- */

/* Out of memory leaves the old copy away: the machine is offered nothing until the next change,
 * which is safe. */
static void replace_command(struct queue_command **at, bool present,
                            const struct queue_command *command)
{
    mem_free(*at);
    *at = present ? queue_command_copy(command) : NULL;
}

static void install_view(struct queue *queue, struct machine_slot *slot, const struct view *view)
{
    slot->on_hold = view->on_hold;
    slot->hold_since_ms = view->hold_since_ms;
    slot->failures_in_row = view->failures_in_row;
    slot->pending_count = view->pending_count;
    slot->waiting_count = view->waiting_count;
    mem_free(slot->hold_reason);
    slot->hold_reason = view->hold_reason.at != NULL ? mem_strdup(view->hold_reason) : NULL;
    replace_command(&slot->active, view->has_active, &view->active);
    replace_command(&slot->head, view->has_head, &view->head);
    slot->active_id = view->has_active ? view->active.command_id : 0;
    if (!view->has_active)
        slot->start_over_mono_ms = 0;
    if (!view->has_active || view->active.state != QUEUE_RUNNING) {
        slot->silence_mono_ms = 0;
    } else if (slot->silence_mono_ms == 0 || slot->silence_id != view->active.command_id) {
        slot->silence_id = view->active.command_id;
        /* Counted from here, which is later than the claim: the device gives up first (rule 6). */
        slot->start_over_mono_ms = queue->options.mono_ms(queue->options.clock) +
                                   (int64_t)queue->options.start_window_s * 1000;
        slot->silence_mono_ms =
            queue->options.mono_ms(queue->options.clock) +
            ((int64_t)view->active.max_duration_s + queue->options.grace_s) * 1000;
    }
}

static void note_deadline(struct queue *queue, const struct queue_command *command)
{
    if (command->state == QUEUE_PENDING && command->not_after_ms < queue->expire_next_ms)
        queue->expire_next_ms = command->not_after_ms;
}

/* A new command needs no view: it is behind everything that waits already. */
static void install_created(struct queue *queue, struct machine_slot *slot,
                            const struct queue_command *command)
{
    note_deadline(queue, command);
    slot->waiting_count++;
    if (command->state != QUEUE_PENDING)
        return;
    slot->pending_count++;
    /* Not when an older one waits whose copy got lost: that one comes first. */
    if (slot->head == NULL && slot->pending_count == 1)
        slot->head = queue_command_copy(command);
}

static void install(struct op *op)
{
    struct queue *queue = op->queue;
    for (struct op_change *change = op->changes; change != NULL; change = change->next) {
        if (change->created || change->old_state != change->command.state)
            queue->by_state[change->command.state]++;
        note_deadline(queue, &change->command);
        if (change->view == NULL)
            continue;
        struct machine_slot *slot = queue_slot_ensure(queue, change->command.machine_id);
        if (slot == NULL)
            continue;
        install_view(queue, slot, change->view);
        queue_slot_wake(queue, slot);
    }
    if (op->kind == OP_EXPIRE)
        queue->expire_next_ms = op->expire_next_ms;
    struct machine_slot *slot =
        op->machine_id.at != NULL ? queue_slot_ensure(queue, op->machine_id) : NULL;
    if (slot == NULL)
        return;
    if (op->has_view)
        install_view(queue, slot, &op->view);
    else if (op->kind == OP_CREATE && op->verdict == QUEUE_DONE)
        install_created(queue, slot, &op->command);
    queue_slot_wake(queue, slot);
}

/* ---- telling ---- */

static void tell_listener(struct op *op)
{
    const struct queue_options *options = &op->queue->options;
    if (options->changed != NULL) {
        for (struct op_change *change = op->changes; change != NULL; change = change->next) {
            struct queue_change told = {
                .command = &change->command,
                .old_state = change->old_state,
                .created = change->created,
                .actor = op->actor,
            };
            options->changed(options->listener, &told);
        }
    }
    if (op->hold_changed && options->machine_changed != NULL)
        options->machine_changed(options->listener, op->machine_id);
}

static void tell_caller(struct op *op, enum err err)
{
    if (op->kind == OP_CREATE)
        op->create_done(op->cookie, err, op->verdict, op->command_id);
    else if (op->kind == OP_CLAIM)
        op->claim_done(op->cookie, err, op->verdict, &op->grant);
    else if (op->done != NULL)
        op->done(op->cookie, err, op->verdict, op->has_command ? &op->command : NULL);
}

void queue_op_done(struct store_job *job, enum err err)
{
    struct op *op = (struct op *)job;
    struct queue *queue = op->queue;
    if (op->kind == OP_CREATE) {
        struct machine_slot *slot = queue_slot_find(queue, op->machine_id);
        if (slot != NULL)
            slot->creates_waiting--;
    }
    if (op->kind == OP_EXPIRE) {
        queue->expire_waiting = false;
        if (err != ERR_OK) /* try again in a second, not in a circle */
            queue->expire_next_ms = queue->options.wall_ms(queue->options.clock) + 1000;
    }
    if (err == ERR_OK) {
        install(op);
        tell_listener(op);
    }
    tell_caller(op, err);
    queue_op_destroy(op);
}
