#include "telemetry/telemetry_room_int.h"

void *telemetry_op_create(struct telemetry *telemetry, size_t bytes)
{
    ASSERT(bytes >= sizeof(struct telemetry_op));
    struct telemetry_op *op = mem_zalloc(bytes);
    if (op == NULL)
        return NULL;
    op->telemetry = telemetry;
    op->next = telemetry->ops;
    if (op->next != NULL)
        op->next->prev = op;
    telemetry->ops = op;
    return op;
}

void telemetry_op_free(struct telemetry_op *op)
{
    if (op->prev != NULL)
        op->prev->next = op->next;
    else
        op->telemetry->ops = op->next;
    if (op->next != NULL)
        op->next->prev = op->prev;
    mem_free(op);
}

void telemetry_ops_finish(struct telemetry *telemetry)
{
    while (telemetry->ops != NULL)
        telemetry_op_free(telemetry->ops);
}
