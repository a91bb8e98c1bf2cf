/* A database from a backup cannot know what happened since (rule 5): nothing in it may start by
 * itself. */
#include "queue/queue_int.h"

struct restore_job {
    struct store_job job;
    struct op *op; /* for queue_change_write; never submitted */
    uint32_t held, unknown;
};

static enum err restore_machine(struct restore_job *restore, struct store_db *db,
                                struct str machine_id)
{
    struct op *op = restore->op;
    for (;;) {
        struct view view;
        enum err err = queue_sql_view(db, machine_id, 0, false, &op->arena, &view);
        if (err != ERR_OK)
            return err;
        if (view.has_active && view.active.state == QUEUE_RUNNING) {
            view.active.state = QUEUE_UNKNOWN;
            view.active.reason = STR("restored");
            err = queue_change_write(op, db, &view.active, false, QUEUE_RUNNING, STR_NONE);
            if (err == ERR_OK)
                err = queue_change_machine(op, db, &view.active);
            if (err != ERR_OK)
                return err;
            restore->unknown++;
        }
        if (!view.has_head)
            return ERR_OK;
        view.head.state = QUEUE_HELD;
        view.head.execute_allowed = false;
        view.head.not_after_ms = 0;
        err = queue_change_write(op, db, &view.head, false, QUEUE_PENDING, STR_NONE);
        if (err != ERR_OK)
            return err;
        restore->held++;
    }
}

static enum err restore_run(struct store_job *job, struct store_db *db)
{
    struct restore_job *restore = (struct restore_job *)job;
    struct str *ids = NULL;
    size_t count = 0;
    enum err err = queue_sql_machines(db, &restore->op->arena, &ids, &count);
    for (size_t i = 0; i < count && err == ERR_OK; i++)
        err = restore_machine(restore, db, ids[i]);
    return err;
}

enum err queue_restored(struct queue *queue, struct str actor, uint32_t *ret_held,
                        uint32_t *ret_unknown)
{
    struct op *op = queue_op_create(queue, OP_NOTE);
    if (op == NULL)
        return ERR_NOMEM;
    arena_finish(&op->arena);
    arena_init(&op->arena, 1024 * MIB); /* every waiting command passes through it once */
    op->actor = actor;
    struct restore_job restore = {.job.run = restore_run, .op = op};
    enum err err = store_run_now(queue->options.store, &restore.job);
    queue_op_destroy(op);
    if (err != ERR_OK)
        return err;
    *ret_held = restore.held;
    *ret_unknown = restore.unknown;
    return queue_load(queue);
}
