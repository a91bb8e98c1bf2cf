/* Reading back what waits on the disk only, some rows at a time, when its turn comes. */
#include "broker/broker_int.h"

struct load_row {
    int64_t waiting_id;
    struct message *message; /* NULL: there's no such row */
};
struct load_job {
    struct store_job job;
    struct load_job *prev, *next;
    struct broker *broker;
    struct session *session; /* a reference */
    uint32_t count;
    struct load_row row[BROKER_LOAD_ROWS];
};

static enum err load_run(struct store_job *job, struct store_db *db)
{
    struct load_job *load = (struct load_job *)job;
    for (uint32_t i = 0; i < load->count; i++) {
        struct load_row *row = &load->row[i];
        struct store_stmt *stmt = store_prepare(db, &broker_statements, STMT_WAITING_READ);
        store_bind_i64(stmt, 1, row->waiting_id);
        enum err err = store_row(stmt);
        if (err == ERR_NOT_FOUND)
            continue;
        if (err == ERR_OK)
            err = broker_row_message(stmt, 0, 1, &row->message);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static void load_free(struct load_job *load)
{
    if (load->prev != NULL)
        load->prev->next = load->next;
    else
        load->broker->loads = load->next;
    if (load->next != NULL)
        load->next->prev = load->prev;
    for (uint32_t i = 0; i < load->count; i++)
        broker_message_unref(load->row[i].message);
    broker_session_unref(load->session);
    mem_free(load);
}

static void attach(struct broker *broker, struct session *session, struct load_row *row)
{
    struct outbox *outbox = session->outbox;
    struct delivery *delivery = outbox->first;
    while (delivery != NULL && delivery->waiting_id != row->waiting_id)
        delivery = delivery->next;
    if (delivery == NULL || delivery->message != NULL)
        return; /* it was dropped meanwhile */
    if (row->message == NULL) {
        broker->stats.dropped++;
        broker_delivery_drop(broker, session, delivery);
        return;
    }
    delivery->message = row->message;
    row->message = NULL;
    delivery->bytes = (uint32_t)broker_message_bytes(delivery->message);
    outbox->loaded++;
    outbox->bytes += delivery->bytes;
}

static void load_done(struct store_job *job, enum err err)
{
    struct load_job *load = (struct load_job *)job;
    struct broker *broker = load->broker;
    struct session *session = broker_session_ref(load->session);
    if (session->outbox != NULL) {
        session->outbox->loading = false;
        for (uint32_t i = 0; err == ERR_OK && i < load->count; i++)
            attach(broker, session, &load->row[i]);
    }
    load_free(load);
    if (err != ERR_OK)
        broker->stuck = true; /* the next tick tries again */
    else
        broker_outbox_pump(broker, session);
    broker_session_unref(session);
    broker_stop_advance(broker);
}

void broker_outbox_load(struct broker *broker, struct session *session)
{
    struct outbox *outbox = session->outbox;
    if (outbox->loading || broker->stopping)
        return;
    struct load_job *load = mem_zalloc(sizeof(*load));
    if (load == NULL) {
        broker->stuck = true;
        return;
    }
    load->broker = broker;
    load->session = broker_session_ref(session);
    load->next = broker->loads;
    if (load->next != NULL)
        load->next->prev = load;
    broker->loads = load;
    size_t bytes = 0;
    for (struct delivery *at = outbox->cursor;
         at != NULL && load->count < BROKER_LOAD_ROWS && bytes < MIB; at = at->next) {
        if (at->message != NULL || at->op != NULL)
            continue;
        load->row[load->count++].waiting_id = at->waiting_id;
        bytes += at->bytes;
    }
    outbox->loading = true;
    load->job = (struct store_job){.run = load_run, .done = load_done};
    if (store_read(broker->options.store, &load->job) != ERR_OK) {
        outbox->loading = false;
        broker->stuck = true;
        load_free(load);
    }
}

void broker_loads_finish(struct broker *broker)
{
    while (broker->loads != NULL)
        load_free(broker->loads);
}
