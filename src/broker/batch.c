/* Changes for the disk.  What one turn of the loop brings is one job, and the next job is submitted
 * when the one before is on the disk, so that they happen in order, also when one has to be tried
 * again:
 *
 *   open ---flush---> writing ---ok---> told, freed
 *     ^                  |
 *     +---- failed ------+   whoever waits is told "not stored"; the changes stay in front, and are
 *                            tried again at the next tick: memory is right, the disk catches up
 */
#include "broker/broker_int.h"

#include <string.h>

static struct batch *batch_open(struct broker *broker)
{
    if (broker->open == NULL) {
        broker->open = mem_zalloc(sizeof(*broker->open));
        if (broker->open != NULL)
            broker->open->broker = broker;
    }
    return broker->open;
}

static void flush_later(struct broker *broker)
{
    if (broker->flush_set || broker->failing)
        return;
    broker->flush_set = true;
    loop_timer_set(broker->flush_timer, loop_now_ms(broker->options.loop));
}

struct op *broker_op_add(struct broker *broker, enum op_kind kind, int64_t session_id,
                         struct str text0, struct str text1, struct str text2)
{
    if (broker->op_count >= BROKER_OPS_MAX)
        return NULL;
    struct batch *batch = batch_open(broker);
    if (batch == NULL)
        return NULL;
    struct op *op = mem_alloc(sizeof(*op) + text0.len + text1.len + text2.len + 1);
    if (op == NULL)
        return NULL;
    memset(op, 0, sizeof(*op));
    op->kind = kind;
    op->session_id = session_id;
    const struct str text[3] = {text0, text1, text2};
    char *at = op->bytes;
    for (int i = 0; i < 3; i++) {
        op->text[i] = (struct str){at, text[i].len};
        if (text[i].len > 0)
            memcpy(at, text[i].at, text[i].len);
        at += text[i].len;
    }
    if (batch->last != NULL)
        batch->last->next = op;
    else
        batch->first = op;
    batch->last = op;
    broker->op_count++;
    flush_later(broker);
    return op;
}

void broker_op_undo(struct op *op)
{
    ASSERT(!op->submitted);
    op->kind = OP_NOTHING;
    broker_message_unref(op->message);
    op->message = NULL;
    op->delivery = NULL;
}

void broker_batch_wait(struct broker *broker, struct waiter *waiter)
{
    struct batch *batch = broker->open; /* something was added to it before */
    ASSERT(batch != NULL);
    waiter->next = NULL;
    if (batch->waiters_last != NULL)
        batch->waiters_last->next = waiter;
    else
        batch->waiters = waiter;
    batch->waiters_last = waiter;
}

static void op_free(struct broker *broker, struct op *op)
{
    if (op->delivery != NULL)
        broker_delivery_stored(op);
    broker_message_unref(op->message);
    mem_free(op);
    broker->op_count--;
}

static enum err batch_run(struct store_job *job, struct store_db *db)
{
    const struct batch *batch = (const struct batch *)job;
    enum err err = ERR_OK;
    for (const struct op *op = batch->first; op != NULL && err == ERR_OK; op = op->next)
        err = broker_op_run(db, op);
    return err;
}

static void tell(struct batch *batch, bool stored)
{
    while (batch->waiters != NULL) {
        struct waiter *waiter = batch->waiters;
        batch->waiters = waiter->next;
        waiter->done(waiter, stored);
    }
    batch->waiters_last = NULL;
}

/* Back in front of what came since. */
static void batch_return(struct broker *broker, struct batch *batch)
{
    struct batch *open = broker->open;
    for (struct op *op = batch->first; op != NULL; op = op->next)
        op->submitted = false;
    if (open != NULL) {
        if (batch->last != NULL)
            batch->last->next = open->first;
        else
            batch->first = open->first;
        if (open->last != NULL)
            batch->last = open->last;
        ASSERT(batch->waiters == NULL);
        batch->waiters = open->waiters;
        batch->waiters_last = open->waiters_last;
        mem_free(open);
    }
    broker->open = batch;
}

static void batch_done(struct store_job *job, enum err err)
{
    struct batch *batch = (struct batch *)job;
    struct broker *broker = batch->broker;
    broker->writing = NULL;
    broker->failing = err != ERR_OK;
    if (err == ERR_OK) {
        while (batch->first != NULL) {
            struct op *op = batch->first;
            batch->first = op->next;
            op_free(broker, op);
        }
        tell(batch, true);
        mem_free(batch);
        broker_batch_flush(broker);
    } else {
        log_line(LOG_ERROR, "broker", "store", "%s", err_name(err), NULL);
        struct batch told = {.waiters = batch->waiters};
        batch->waiters = batch->waiters_last = NULL;
        batch_return(broker, batch);
        tell(&told, false);
    }
    broker_stop_advance(broker);
}

void broker_batch_flush(struct broker *broker)
{
    struct batch *batch = broker->open;
    if (batch == NULL || broker->writing != NULL)
        return;
    batch->job = (struct store_job){.run = batch_run, .done = batch_done, .again = true};
    for (struct op *op = batch->first; op != NULL; op = op->next)
        op->submitted = true;
    broker->open = NULL;
    broker->writing = batch;
    enum err err = store_write(broker->options.store, &batch->job);
    if (err != ERR_OK)
        batch_done(&batch->job, err);
}

static void batch_finish(struct broker *broker, struct batch *batch)
{
    if (batch == NULL)
        return;
    tell(batch, false);
    while (batch->first != NULL) {
        struct op *op = batch->first;
        batch->first = op->next;
        op_free(broker, op);
    }
    mem_free(batch);
}

void broker_batch_finish(struct broker *broker)
{
    struct batch *writing = broker->writing, *open = broker->open;
    broker->writing = broker->open = NULL;
    batch_finish(broker, writing);
    batch_finish(broker, open);
    /* Those who were told may have had more to write; there's nobody to write it any more. */
    open = broker->open;
    broker->open = NULL;
    batch_finish(broker, open);
}
