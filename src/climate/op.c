#include "climate/climate_int.h"

#include <stdio.h>
#include <string.h>

#define OP_ARENA_BYTES_MAX (512 * KIB)

static void copy_cut(char *dst, size_t dst_bytes, struct str text)
{
    size_t len = text.len < dst_bytes - 1 ? text.len : dst_bytes - 1;
    if (len > 0)
        memcpy(dst, text.at, len);
    dst[len] = '\0';
}

void *climate_op_create(struct climate *climate, size_t bytes, struct str machine_id,
                        struct str actor, const char *request_id)
{
    ASSERT(bytes >= sizeof(struct op));
    struct op *op = mem_zalloc(bytes);
    if (op == NULL)
        return NULL;
    op->climate = climate;
    op->now_ms = climate_now_ms(climate);
    arena_init(&op->arena, OP_ARENA_BYTES_MAX);
    copy_cut(op->machine_id, sizeof(op->machine_id), machine_id);
    copy_cut(op->actor, sizeof(op->actor), actor);
    copy_cut(op->request_id, sizeof(op->request_id), str_from(request_id));
    /* Kept in a list, since a store that crashes in a test never calls back. */
    op->next = climate->ops;
    if (op->next != NULL)
        op->next->prev = op;
    climate->ops = op;
    return op;
}

void climate_op_free(struct op *op)
{
    if (op->prev != NULL)
        op->prev->next = op->next;
    else
        op->climate->ops = op->next;
    if (op->next != NULL)
        op->next->prev = op->prev;
    climate_model_destroy(op->model);
    arena_finish(&op->arena);
    mem_free(op->owned);
    mem_free(op);
}

enum err climate_op_submit(struct op *op)
{
    enum err err = store_write(op->climate->options.store, &op->job);
    if (err != ERR_OK) {
        if (op->undo != NULL)
            op->undo(op);
        climate_op_free(op);
    }
    return err;
}

enum err climate_op_read(struct op *op)
{
    enum err err = store_read(op->climate->options.store, &op->job);
    if (err != ERR_OK)
        climate_op_free(op);
    return err;
}

enum err climate_op_audit(const struct op *op, struct store_db *db, const char *action,
                          const char *subject, const char *detail)
{
    return record_audit(db, &(struct record_entry){
                                .at_ms = op->now_ms,
                                .actor = str_from(op->actor),
                                .action = str_from(action),
                                .subject = str_from(subject),
                                .detail = detail != NULL ? str_from(detail) : STR_NONE,
                                .request_id = str_from(op->request_id),
                            });
}
