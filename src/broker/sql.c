/* The room's statements, and how each change runs. */
#include "broker/broker_int.h"

#define MESSAGE_COLUMNS                                                                            \
    "topic, payload, expires_at, payload_format, content_type, response_topic, correlation, "      \
    "user_properties"

#define ORPHAN "session_id NOT IN (SELECT session_id FROM mqtt_sessions)"

static const char *const sql[STMT_COUNT] = {
    [STMT_SESSION_PUT] =
        "INSERT INTO mqtt_sessions (session_id, actor, client_id, role, waiting, machine_id, "
        "credential_id, expiry_s, gone_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) "
        "ON CONFLICT (session_id) DO UPDATE SET role = ?4, waiting = ?5, credential_id = ?7, "
        "expiry_s = ?8, gone_at = ?9",
    [STMT_SESSION_END] = "DELETE FROM mqtt_sessions WHERE session_id = ?1",
    [STMT_SUBSCRIPTIONS_END] = "DELETE FROM mqtt_subscriptions WHERE session_id = ?1",
    [STMT_WAITINGS_END] = "DELETE FROM mqtt_waiting WHERE session_id = ?1",
    [STMT_RECEIPTS_END] = "DELETE FROM mqtt_receipts WHERE session_id = ?1",
    [STMT_RECEIVEDS_END] = "DELETE FROM mqtt_received WHERE session_id = ?1",
    [STMT_SUBSCRIBE] =
        "INSERT INTO mqtt_subscriptions (session_id, filter, qos, no_local, as_published, "
        "subscription_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (session_id, filter) "
        "DO UPDATE SET qos = ?3, no_local = ?4, as_published = ?5, subscription_id = ?6",
    [STMT_UNSUBSCRIBE] = "DELETE FROM mqtt_subscriptions WHERE session_id = ?1 AND filter = ?2",
    [STMT_WAITING_ADD] =
        "INSERT INTO mqtt_waiting (waiting_id, session_id, packet_id, retain, sent, "
        "subscription_id, "
        "" MESSAGE_COLUMNS ") VALUES (?9, ?10, ?11, ?12, ?14, ?13, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [STMT_WAITING_END] = "DELETE FROM mqtt_waiting WHERE waiting_id = ?1",
    [STMT_SENT] = "UPDATE mqtt_sessions SET sent_id = ?2 WHERE session_id = ?1",
    [STMT_RECEIPT] = "INSERT INTO mqtt_receipts (session_id, slot, number, packet_key) "
                     "VALUES (?1, ?2, ?3, ?4) ON CONFLICT (session_id, slot) "
                     "DO UPDATE SET number = ?3, packet_key = ?4",
    [STMT_RECEIVED_ADD] =
        "INSERT INTO mqtt_received (session_id, packet_id, passed_on) VALUES (?1, ?2, ?3) "
        "ON CONFLICT (session_id, packet_id) DO UPDATE SET passed_on = ?3",
    [STMT_RECEIVED_END] = "DELETE FROM mqtt_received WHERE session_id = ?1 AND packet_id = ?2",
    [STMT_RETAIN] =
        "INSERT INTO mqtt_retained (qos, " MESSAGE_COLUMNS
        ") VALUES (?9, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) "
        "ON CONFLICT (topic) DO UPDATE SET qos = ?9, payload = ?2, expires_at = ?3, "
        "payload_format = ?4, content_type = ?5, response_topic = ?6, correlation = ?7, "
        "user_properties = ?8",
    [STMT_RETAIN_END] = "DELETE FROM mqtt_retained WHERE topic = ?1",
    [STMT_WAITING_READ] = "SELECT " MESSAGE_COLUMNS " FROM mqtt_waiting WHERE waiting_id = ?1",
    [STMT_LOAD_SESSIONS] =
        "SELECT session_id, actor, client_id, role, waiting, machine_id, credential_id, expiry_s, "
        "gone_at, sent_id FROM mqtt_sessions ORDER BY session_id",
    [STMT_LOAD_SUBSCRIPTIONS] = "SELECT filter, qos, no_local, as_published, subscription_id "
                                "FROM mqtt_subscriptions WHERE session_id = ?1",
    [STMT_LOAD_WAITING] = "SELECT waiting_id, packet_id, retain, subscription_id, expires_at, "
                          "length(payload), sent FROM mqtt_waiting WHERE session_id = ?1 "
                          "ORDER BY waiting_id",
    [STMT_LOAD_RECEIPTS] = "SELECT number, packet_key FROM mqtt_receipts WHERE session_id = ?1 "
                           "ORDER BY number",
    [STMT_LOAD_RECEIVED] = "SELECT packet_id, passed_on FROM mqtt_received WHERE session_id = ?1",
    [STMT_LOAD_RETAINED] = "SELECT qos, " MESSAGE_COLUMNS " FROM mqtt_retained",
    [STMT_SWEEP_SUBSCRIPTIONS] = "DELETE FROM mqtt_subscriptions WHERE " ORPHAN,
    [STMT_SWEEP_WAITING] = "DELETE FROM mqtt_waiting WHERE " ORPHAN,
    [STMT_SWEEP_RECEIPTS] = "DELETE FROM mqtt_receipts WHERE " ORPHAN,
    [STMT_SWEEP_RECEIVED] = "DELETE FROM mqtt_received WHERE " ORPHAN,
};
struct store_statements broker_statements = {"broker", sql, STMT_COUNT, 0};

static struct store_stmt *prepare(struct store_db *db, enum broker_stmt which)
{
    return store_prepare(db, &broker_statements, (int)which);
}

static void bind_optional(struct store_stmt *stmt, int position, struct str text, bool has)
{
    if (has)
        store_bind_text(stmt, position, text);
    else
        store_bind_null(stmt, position);
}

static void bind_blob(struct store_stmt *stmt, int position, struct str bytes)
{
    store_bind_blob(stmt, position, bytes.len > 0 ? bytes.at : "", bytes.len);
}

/* ?1 to ?8: MESSAGE_COLUMNS. */
static void bind_message(struct store_stmt *stmt, const struct message *message)
{
    const struct mqtt_properties *properties = &message->properties;
    store_bind_text(stmt, 1, message->topic);
    bind_blob(stmt, 2, message->payload);
    store_bind_i64(stmt, 3, message->expires_at_ms);
    if ((properties->has & MQTT_HAS_PAYLOAD_FORMAT) != 0)
        store_bind_i64(stmt, 4, properties->payload_format);
    else
        store_bind_null(stmt, 4);
    bind_optional(stmt, 5, properties->content_type,
                  (properties->has & MQTT_HAS_CONTENT_TYPE) != 0);
    bind_optional(stmt, 6, properties->response_topic,
                  (properties->has & MQTT_HAS_RESPONSE_TOPIC) != 0);
    if ((properties->has & MQTT_HAS_CORRELATION) != 0)
        bind_blob(stmt, 7, properties->correlation);
    else
        store_bind_null(stmt, 7);
    if (properties->user.len > 0)
        bind_blob(stmt, 8, properties->user);
    else
        store_bind_null(stmt, 8);
}

enum err broker_row_message(struct store_stmt *stmt, int first, uint8_t qos,
                            struct message **ret_message)
{
    struct mqtt_publish publish = {.qos = qos,
                                   .topic = store_col_text(stmt, first),
                                   .payload = store_col_blob(stmt, first + 1)};
    struct mqtt_properties *properties = &publish.properties;
    if (!store_col_null(stmt, first + 3)) {
        properties->has |= MQTT_HAS_PAYLOAD_FORMAT;
        properties->payload_format = (uint8_t)store_col_i64(stmt, first + 3);
    }
    if (!store_col_null(stmt, first + 4)) {
        properties->has |= MQTT_HAS_CONTENT_TYPE;
        properties->content_type = store_col_text(stmt, first + 4);
    }
    if (!store_col_null(stmt, first + 5)) {
        properties->has |= MQTT_HAS_RESPONSE_TOPIC;
        properties->response_topic = store_col_text(stmt, first + 5);
    }
    if (!store_col_null(stmt, first + 6)) {
        properties->has |= MQTT_HAS_CORRELATION;
        properties->correlation = store_col_blob(stmt, first + 6);
    }
    properties->user = store_col_blob(stmt, first + 7);
    return broker_message_create(&publish, store_col_i64(stmt, first + 2), ret_message);
}

static enum err session_put(struct store_db *db, const struct op *op)
{
    struct store_stmt *stmt = prepare(db, STMT_SESSION_PUT);
    store_bind_i64(stmt, 1, op->session_id);
    store_bind_text(stmt, 2, op->text[0]);
    store_bind_text(stmt, 3, op->text[1]);
    store_bind_i64(stmt, 4, op->qos);
    store_bind_i64(stmt, 5, op->flag);
    store_bind_text(stmt, 6, op->text[2]);
    store_bind_i64(stmt, 7, op->id);
    store_bind_i64(stmt, 8, op->expiry_s);
    if (op->at_ms != 0)
        store_bind_i64(stmt, 9, op->at_ms);
    else
        store_bind_null(stmt, 9);
    return store_exec(db, stmt, NULL);
}

static enum err session_end(struct store_db *db, const struct op *op)
{
    static const enum broker_stmt all[] = {STMT_SESSION_END, STMT_SUBSCRIPTIONS_END,
                                           STMT_WAITINGS_END, STMT_RECEIPTS_END,
                                           STMT_RECEIVEDS_END};
    enum err err = ERR_OK;
    for (size_t i = 0; i < ARRAY_COUNT(all) && err == ERR_OK; i++) {
        struct store_stmt *stmt = prepare(db, all[i]);
        store_bind_i64(stmt, 1, op->session_id);
        err = store_exec(db, stmt, NULL);
    }
    return err;
}

static enum err subscribe(struct store_db *db, const struct op *op)
{
    struct store_stmt *stmt = prepare(db, STMT_SUBSCRIBE);
    store_bind_i64(stmt, 1, op->session_id);
    store_bind_text(stmt, 2, op->text[0]);
    store_bind_i64(stmt, 3, op->qos);
    store_bind_i64(stmt, 4, op->flag);
    store_bind_i64(stmt, 5, op->flag2);
    store_bind_i64(stmt, 6, op->expiry_s);
    return store_exec(db, stmt, NULL);
}

static enum err waiting_add(struct store_db *db, const struct op *op)
{
    struct store_stmt *stmt = prepare(db, STMT_WAITING_ADD);
    bind_message(stmt, op->message);
    store_bind_i64(stmt, 9, op->id);
    store_bind_i64(stmt, 10, op->session_id);
    store_bind_i64(stmt, 11, op->packet_id);
    store_bind_i64(stmt, 12, op->flag);
    store_bind_i64(stmt, 13, op->expiry_s);
    store_bind_i64(stmt, 14, op->flag2);
    return store_exec(db, stmt, NULL);
}

static enum err retain(struct store_db *db, const struct op *op)
{
    struct store_stmt *stmt = prepare(db, STMT_RETAIN);
    bind_message(stmt, op->message);
    store_bind_i64(stmt, 9, op->message->qos);
    return store_exec(db, stmt, NULL);
}

static enum err with_number(struct store_db *db, enum broker_stmt which, int64_t first,
                            int64_t second)
{
    struct store_stmt *stmt = prepare(db, which);
    store_bind_i64(stmt, 1, first);
    if (which != STMT_WAITING_END)
        store_bind_i64(stmt, 2, second);
    return store_exec(db, stmt, NULL);
}

static enum err received_add(struct store_db *db, int64_t session_id, int64_t packet_id,
                             bool passed_on)
{
    struct store_stmt *stmt = prepare(db, STMT_RECEIVED_ADD);
    store_bind_i64(stmt, 1, session_id);
    store_bind_i64(stmt, 2, packet_id);
    store_bind_i64(stmt, 3, passed_on);
    return store_exec(db, stmt, NULL);
}

static enum err with_text(struct store_db *db, const struct op *op)
{
    bool unsubscribes = op->kind == OP_UNSUBSCRIBE;
    struct store_stmt *stmt = prepare(db, unsubscribes ? STMT_UNSUBSCRIBE : STMT_RETAIN_END);
    if (unsubscribes)
        store_bind_i64(stmt, 1, op->session_id);
    store_bind_text(stmt, unsubscribes ? 2 : 1, op->text[0]);
    return store_exec(db, stmt, NULL);
}

enum err broker_op_run(struct store_db *db, const struct op *op)
{
    switch (op->kind) {
    case OP_NOTHING:
        return ERR_OK;
    case OP_SESSION_PUT:
        return session_put(db, op);
    case OP_SESSION_END:
        return session_end(db, op);
    case OP_SUBSCRIBE:
        return subscribe(db, op);
    case OP_UNSUBSCRIBE:
    case OP_RETAIN_END:
        return with_text(db, op);
    case OP_WAITING_ADD:
        return waiting_add(db, op);
    case OP_WAITING_END:
        return with_number(db, STMT_WAITING_END, op->id, 0);
    case OP_SENT:
        return with_number(db, STMT_SENT, op->session_id, op->id);
    case OP_RECEIPT:
        return store_ride(db, &op->rider);
    case OP_RECEIVED_ADD:
        return received_add(db, op->session_id, op->packet_id, true);
    case OP_RECEIVED_END:
        return with_number(db, STMT_RECEIVED_END, op->session_id, op->packet_id);
    case OP_RETAIN:
        return retain(db, op);
    }
    return ERR_OK;
}

/* ---- riders: word = {session id, number of the receipt or packet id, key} ---- */

enum err broker_receipt_write(struct store_db *db, const struct store_rider *rider)
{
    struct store_stmt *stmt = prepare(db, STMT_RECEIPT);
    store_bind_i64(stmt, 1, (int64_t)rider->word[0]);
    store_bind_i64(stmt, 2, (int64_t)(rider->word[1] % BROKER_RECEIPTS));
    store_bind_i64(stmt, 3, (int64_t)rider->word[1]);
    store_bind_i64(stmt, 4, (int64_t)rider->word[2]);
    return store_exec(db, stmt, NULL);
}

enum err broker_received_write(struct store_db *db, const struct store_rider *rider)
{
    return received_add(db, (int64_t)rider->word[0], (int64_t)rider->word[1], false);
}
