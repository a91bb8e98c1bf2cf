/* What the disk remembers, into memory, before the loop runs. */
#include "broker/broker_int.h"

struct load {
    struct store_job job;
    struct broker *broker;
    int64_t now_ms;
};

static struct store_stmt *prepare(struct store_db *db, enum broker_stmt which, int64_t session_id)
{
    struct store_stmt *stmt = store_prepare(db, &broker_statements, (int)which);
    if (session_id != 0)
        store_bind_i64(stmt, 1, session_id);
    return stmt;
}

static enum err ended(enum err err)
{
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err load_subscriptions(struct broker *broker, struct store_db *db,
                                   struct session *session)
{
    struct store_stmt *stmt = prepare(db, STMT_LOAD_SUBSCRIPTIONS, session->session_id);
    enum err err;
    while ((err = store_row(stmt)) == ERR_OK) {
        bool fresh;
        struct mqtt_filter filter = {.filter = store_col_text(stmt, 0),
                                     .qos = (uint8_t)store_col_i64(stmt, 1),
                                     .no_local = store_col_i64(stmt, 2) != 0,
                                     .retain_as_published = store_col_i64(stmt, 3) != 0};
        if (filter.filter.len == 0 || filter.filter.len > MQTT_TOPIC_BYTES_MAX)
            continue;
        err = broker_subscription_put(broker, session, &filter, (uint32_t)store_col_i64(stmt, 4),
                                      &fresh);
        if (err != ERR_OK)
            return err;
    }
    return ended(err);
}

static enum err load_waiting(struct broker *broker, struct store_db *db, struct session *session,
                             int64_t sent_id)
{
    struct store_stmt *stmt = prepare(db, STMT_LOAD_WAITING, session->session_id);
    enum err err;
    while ((err = store_row(stmt)) == ERR_OK) {
        struct delivery row = {.waiting_id = store_col_i64(stmt, 0),
                               .packet_id = (uint16_t)store_col_i64(stmt, 1),
                               .retain = store_col_i64(stmt, 2) != 0,
                               .subscription_id = (uint32_t)store_col_i64(stmt, 3),
                               .expires_at_ms = store_col_i64(stmt, 4),
                               .bytes = (uint32_t)store_col_i64(stmt, 5)};
        row.sent_before = row.waiting_id <= sent_id || store_col_i64(stmt, 6) != 0;
        if (row.waiting_id > broker->waiting_id)
            broker->waiting_id = row.waiting_id;
        err = broker_outbox_restore(session, &row);
        if (err != ERR_OK)
            return err;
    }
    if (session->outbox != NULL)
        session->outbox->sent_id = sent_id;
    if (sent_id > broker->waiting_id)
        broker->waiting_id = sent_id;
    return ended(err);
}

static enum err load_receipts(struct store_db *db, struct session *session)
{
    struct store_stmt *stmt = prepare(db, STMT_LOAD_RECEIPTS, session->session_id);
    enum err err;
    while ((err = store_row(stmt)) == ERR_OK) {
        err = broker_receipt_restore(session, (uint64_t)store_col_i64(stmt, 0),
                                     (uint64_t)store_col_i64(stmt, 1));
        if (err != ERR_OK)
            return err;
    }
    broker_receipt_unsure(session);
    return ended(err);
}

static enum err load_received(struct store_db *db, struct session *session)
{
    struct store_stmt *stmt = prepare(db, STMT_LOAD_RECEIVED, session->session_id);
    enum err err;
    while ((err = store_row(stmt)) == ERR_OK) {
        err = broker_received_add(session, (uint16_t)store_col_i64(stmt, 0));
        if (err != ERR_OK && err != ERR_FULL)
            return err;
        if (store_col_i64(stmt, 1) != 0)
            broker_received_sure(session, (uint16_t)store_col_i64(stmt, 0));
    }
    return ended(err);
}

static enum err load_session(struct load *load, struct store_stmt *stmt, struct session **ret_made,
                             int64_t *ret_sent_id)
{
    struct broker *broker = load->broker;
    struct broker_identity identity = {.role = (enum bus_role)store_col_i64(stmt, 3),
                                       .waiting = store_col_i64(stmt, 4) != 0,
                                       .credential_id = store_col_i64(stmt, 6)};
    struct session *session;
    int64_t session_id = store_col_i64(stmt, 0);
    if (str_copy(identity.actor, sizeof(identity.actor), store_col_text(stmt, 1)) != ERR_OK ||
        str_copy(identity.machine_id, sizeof(identity.machine_id), store_col_text(stmt, 5)) !=
            ERR_OK)
        return ERR_IO;
    broker->session_id = session_id - 1;
    enum err err = broker_session_create(broker, &identity, store_col_text(stmt, 2), &session);
    if (err != ERR_OK)
        return err;
    ASSERT(session->session_id == session_id);
    session->stored = session->durable = true;
    broker->session_lasting++;
    session->expiry_s = (uint32_t)store_col_i64(stmt, 7);
    session->gone_at_ms = store_col_null(stmt, 8) ? load->now_ms : store_col_i64(stmt, 8);
    broker_session_idle(broker, session, true);
    *ret_sent_id = store_col_i64(stmt, 9);
    *ret_made = session;
    return ERR_OK;
}

static enum err load_sessions(struct load *load, struct store_db *db)
{
    struct store_stmt *stmt = prepare(db, STMT_LOAD_SESSIONS, 0);
    enum err err;
    while ((err = store_row(stmt)) == ERR_OK) {
        struct session *session;
        int64_t sent_id;
        err = load_session(load, stmt, &session, &sent_id);
        if (err == ERR_OK)
            err = load_subscriptions(load->broker, db, session);
        if (err == ERR_OK)
            err = load_waiting(load->broker, db, session, sent_id);
        if (err == ERR_OK)
            err = load_receipts(db, session);
        if (err == ERR_OK)
            err = load_received(db, session);
        if (err != ERR_OK)
            return err;
    }
    return ended(err);
}

static enum err load_retained(struct broker *broker, struct store_db *db)
{
    struct store_stmt *stmt = prepare(db, STMT_LOAD_RETAINED, 0);
    enum err err;
    while ((err = store_row(stmt)) == ERR_OK) {
        struct message *message;
        err = broker_row_message(stmt, 1, (uint8_t)store_col_i64(stmt, 0), &message);
        if (err != ERR_OK)
            return err;
        err = broker_retain_restore(broker, message);
        broker_message_unref(message);
        if (err == ERR_FULL) /* the bound was lowered */
            broker->stats.dropped++;
        else if (err != ERR_OK)
            return err;
    }
    return ended(err);
}

/* What a session left behind that ended while a message of it was on its way: its number may be
 * given to another. */
static enum err sweep(struct store_db *db)
{
    static const enum broker_stmt all[] = {STMT_SWEEP_SUBSCRIPTIONS, STMT_SWEEP_WAITING,
                                           STMT_SWEEP_RECEIPTS, STMT_SWEEP_RECEIVED};
    enum err err = ERR_OK;
    for (size_t i = 0; i < ARRAY_COUNT(all) && err == ERR_OK; i++)
        err = store_exec(db, prepare(db, all[i], 0), NULL);
    return err;
}

static enum err load_run(struct store_job *job, struct store_db *db)
{
    struct load *load = (struct load *)job;
    enum err err = sweep(db);
    if (err == ERR_OK)
        err = load_sessions(load, db);
    if (err == ERR_OK)
        err = load_retained(load->broker, db);
    return err;
}

enum err broker_load(struct broker *broker)
{
    struct load load = {
        .job = {.run = load_run}, .broker = broker, .now_ms = broker_wall_ms(broker)};
    return store_run_now(broker->options.store, &load.job);
}
