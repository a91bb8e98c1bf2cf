#include "access/access_int.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static void copy_cut(char *dst, size_t dst_bytes, struct str text)
{
    size_t len = text.len < dst_bytes - 1 ? text.len : dst_bytes - 1;
    if (len > 0)
        memcpy(dst, text.at, len);
    dst[len] = '\0';
}

void access_op_copy_by(struct access_by by, char actor[ACCESS_ACTOR_BYTES],
                       char request_id[REQUEST_ID_BYTES])
{
    copy_cut(actor, ACCESS_ACTOR_BYTES, by.actor);
    copy_cut(request_id, REQUEST_ID_BYTES, by.request_id);
}

void *access_op_create(struct access *access, size_t bytes, struct access_by by,
                       size_t object_bytes)
{
    ASSERT(bytes >= sizeof(struct op));
    struct op *op = mem_zalloc(bytes);
    if (op == NULL)
        return NULL;
    if (object_bytes != 0 && (op->object = mem_zalloc(object_bytes)) == NULL) {
        mem_free(op);
        return NULL;
    }
    op->access = access;
    op->now_ms = by.now_ms;
    access_op_copy_by(by, op->actor, op->request_id);
    /* Kept in a list, since a store that crashes in a test never calls back. */
    op->next = access->ops;
    if (op->next != NULL)
        op->next->prev = op;
    access->ops = op;
    return op;
}

void access_op_free(struct op *op)
{
    if (op->prev != NULL)
        op->prev->next = op->next;
    else
        op->access->ops = op->next;
    if (op->next != NULL)
        op->next->prev = op->prev;
    mem_free(op->object);
    mem_free(op);
}

enum err access_op_submit(struct op *op)
{
    enum err err = store_write(op->access->store, &op->job);
    if (err != ERR_OK)
        access_op_free(op);
    return err;
}

enum err access_op_audit(const struct op *op, struct store_db *db, const char *action,
                         struct str subject, struct str detail)
{
    return record_audit(db, &(struct record_entry){
                                .at_ms = op->now_ms,
                                .actor = str_from(op->actor),
                                .action = str_from(action),
                                .subject = subject,
                                .detail = detail,
                                .request_id = str_from(op->request_id),
                            });
}

struct str access_op_subject(char dst[ACCESS_ACTOR_BYTES], const char *kind, struct str name)
{
    (void)snprintf(dst, ACCESS_ACTOR_BYTES, "%s:%.*s", kind, STR_ARG(name));
    return str_from(dst);
}

struct str access_op_subject_id(char dst[ACCESS_ACTOR_BYTES], const char *kind, int64_t id)
{
    (void)snprintf(dst, ACCESS_ACTOR_BYTES, "%s:%lld", kind, (long long)id);
    return str_from(dst);
}
