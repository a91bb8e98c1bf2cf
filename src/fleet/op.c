#include "fleet/fleet_int.h"

#include <stdio.h>
#include <string.h>

static void copy_cut(char *dst, size_t dst_bytes, struct str text)
{
    size_t len = text.len < dst_bytes - 1 ? text.len : dst_bytes - 1;
    if (len > 0)
        memcpy(dst, text.at, len);
    dst[len] = '\0';
}

void *fleet_op_create(struct fleet *fleet, size_t bytes, struct fleet_by by, struct str machine_id)
{
    ASSERT(bytes >= sizeof(struct op));
    struct op *op = mem_zalloc(bytes);
    if (op == NULL)
        return NULL;
    op->fleet = fleet;
    op->now_ms = by.now_ms;
    copy_cut(op->machine_id, sizeof(op->machine_id), machine_id);
    copy_cut(op->actor, sizeof(op->actor), by.actor);
    copy_cut(op->request_id, sizeof(op->request_id), by.request_id);
    /* Kept in a list, since a store that crashes in a test never calls back. */
    op->next = fleet->ops;
    if (op->next != NULL)
        op->next->prev = op;
    fleet->ops = op;
    return op;
}

void fleet_op_free(struct op *op)
{
    if (op->prev != NULL)
        op->prev->next = op->next;
    else
        op->fleet->ops = op->next;
    if (op->next != NULL)
        op->next->prev = op->prev;
    if (op->reserved)
        op->fleet->reserved--;
    fleet_machine_free(op->machine);
    mem_free(op->owned);
    mem_free(op);
}

enum err fleet_op_submit(struct op *op)
{
    enum err err = store_write(op->fleet->store, &op->job);
    if (err != ERR_OK)
        fleet_op_free(op);
    return err;
}

enum err fleet_op_audit(const struct op *op, struct store_db *db, const char *action,
                        struct str detail)
{
    char subject[ACTOR_BYTES];
    (void)snprintf(subject, sizeof(subject), "machine:%s", op->machine_id);
    return record_audit(db, &(struct record_entry){
                                .at_ms = op->now_ms,
                                .actor = str_from(op->actor),
                                .action = str_from(action),
                                .subject = str_from(subject),
                                .detail = detail,
                                .request_id = str_from(op->request_id),
                            });
}

struct machine *fleet_op_machine(const struct op *op)
{
    return fleet_memory_find(op->fleet, str_from(op->machine_id));
}
