#include "record/record_int.h"

static const char *const severity_names[] = {
    [RECORD_INFO] = "info", [RECORD_WARNING] = "warning", [RECORD_CRITICAL] = "critical"};

const char *record_severity_name(enum record_severity severity)
{
    return severity_names[severity];
}

static enum record_severity severity_from(struct str name)
{
    for (size_t i = 0; i < ARRAY_COUNT(severity_names); i++) {
        if (str_equal(name, str_from(severity_names[i])))
            return (enum record_severity)i;
    }
    return RECORD_CRITICAL; /* the table's CHECK excludes it; if it happens, it's worth a look */
}

static struct str or_empty(struct str text)
{
    return text.at == NULL ? STR("") : text;
}

static void bind_command(struct store_stmt *stmt, int position, uint64_t command_id)
{
    if (command_id != 0)
        store_bind_i64(stmt, position, (int64_t)command_id);
}

static enum err alert_add(struct store_db *db, const struct record_alert *alert, int64_t *ret_id)
{
    struct store_stmt *stmt = store_prepare(db, &record_statements, STMT_ALERT_ADD);
    store_bind_text(stmt, 1, or_empty(alert->machine_id));
    store_bind_text(stmt, 2, or_empty(alert->code));
    store_bind_text(stmt, 3, or_empty(alert->message));
    store_bind_text(stmt, 4, str_from(record_severity_name(alert->severity)));
    bind_command(stmt, 5, alert->command_id);
    store_bind_i64(stmt, 6, alert->raised_at_ms);
    enum err err = store_exec(db, stmt, NULL);
    if (err == ERR_OK)
        *ret_id = store_last_id(db);
    return err;
}

static enum err alert_again(struct store_db *db, int64_t alert_id, enum record_severity severity,
                            const struct record_alert *alert)
{
    struct store_stmt *stmt = store_prepare(db, &record_statements, STMT_ALERT_AGAIN);
    store_bind_i64(stmt, 1, alert_id);
    store_bind_text(stmt, 2, or_empty(alert->message));
    store_bind_text(stmt, 3, str_from(record_severity_name(severity)));
    bind_command(stmt, 4, alert->command_id);
    store_bind_i64(stmt, 5, alert->raised_at_ms);
    return store_exec(db, stmt, NULL);
}

enum err record_alert_raise(struct store_db *db, const struct record_alert *alert,
                            uint64_t *ret_alert_id)
{
    int64_t alert_id = 0;
    struct store_stmt *stmt = store_prepare(db, &record_statements, STMT_ALERT_OPEN);
    store_bind_text(stmt, 1, or_empty(alert->machine_id));
    store_bind_text(stmt, 2, or_empty(alert->code));
    enum err err = store_row(stmt);
    if (err == ERR_OK) {
        alert_id = store_col_i64(stmt, 0);
        enum record_severity severity = severity_from(store_col_text(stmt, 1));
        if (alert->severity > severity)
            severity = alert->severity;
        err = alert_again(db, alert_id, severity, alert);
    } else if (err == ERR_NOT_FOUND) {
        err = alert_add(db, alert, &alert_id);
    }
    if (err == ERR_OK && ret_alert_id != NULL)
        *ret_alert_id = (uint64_t)alert_id;
    return err;
}

enum err record_alert_acknowledge(struct store_db *db, uint64_t alert_id, struct str actor,
                                  int64_t at_ms)
{
    int64_t changes = 0;
    struct store_stmt *stmt = store_prepare(db, &record_statements, STMT_ALERT_ACKNOWLEDGE);
    store_bind_i64(stmt, 1, (int64_t)alert_id);
    store_bind_i64(stmt, 2, at_ms);
    store_bind_text(stmt, 3, or_empty(actor));
    enum err err = store_exec(db, stmt, &changes);
    if (err != ERR_OK || changes > 0)
        return err;
    stmt = store_prepare(db, &record_statements, STMT_ALERT_EXISTS);
    store_bind_i64(stmt, 1, (int64_t)alert_id);
    return store_row(stmt);
}

enum err record_alert_resolve(struct store_db *db, struct str machine_id, struct str code,
                              int64_t at_ms)
{
    int which = code.len > 0 ? STMT_ALERT_RESOLVE : STMT_ALERT_RESOLVE_ALL;
    struct store_stmt *stmt = store_prepare(db, &record_statements, which);
    store_bind_text(stmt, 1, or_empty(machine_id));
    if (code.len > 0)
        store_bind_text(stmt, 2, code);
    store_bind_i64(stmt, 3, at_ms);
    return store_exec(db, stmt, NULL);
}

/* ---- reading ---- */

static enum err alert_copy(struct store_stmt *stmt, struct arena *scratch,
                           struct record_alert *alert)
{
    *alert = (struct record_alert){
        .alert_id = (uint64_t)store_col_i64(stmt, 0),
        .severity = severity_from(store_col_text(stmt, 4)),
        .command_id = (uint64_t)store_col_i64(stmt, 5),
        .raised_at_ms = store_col_i64(stmt, 6),
        .last_at_ms = store_col_i64(stmt, 7),
        .count = (uint32_t)store_col_i64(stmt, 8),
        .acknowledged_at_ms = store_col_i64(stmt, 9),
        .resolved_at_ms = store_col_i64(stmt, 10),
    };
    enum err err = record_text_copy(scratch, stmt, 1, &alert->machine_id);
    if (err == ERR_OK)
        err = record_text_copy(scratch, stmt, 2, &alert->code);
    if (err == ERR_OK)
        err = record_text_copy(scratch, stmt, 3, &alert->message);
    if (err == ERR_OK)
        err = record_text_copy(scratch, stmt, 11, &alert->acknowledged_by);
    return err;
}

enum err record_alert_show(struct store_db *db, uint64_t alert_id, struct arena *scratch,
                           struct record_alert *ret_alert)
{
    struct record_alert alert;
    struct store_stmt *stmt = store_prepare(db, &record_statements, STMT_ALERT_SHOW);
    store_bind_i64(stmt, 1, (int64_t)alert_id);
    enum err err = store_row(stmt);
    if (err == ERR_OK)
        err = alert_copy(stmt, scratch, &alert);
    if (err == ERR_OK)
        *ret_alert = alert;
    return err;
}

enum err record_alert_list(struct store_db *db, bool open_only, uint64_t before_id, uint32_t limit,
                           struct arena *scratch, struct record_alert **ret_alerts,
                           size_t *ret_count)
{
    limit = record_limit(limit);
    struct record_alert *alerts = arena_alloc(scratch, limit * sizeof(*alerts));
    if (alerts == NULL)
        return ERR_NOMEM;
    struct store_stmt *stmt =
        store_prepare(db, &record_statements, open_only ? STMT_ALERT_LIST_OPEN : STMT_ALERT_LIST);
    store_bind_i64(stmt, 1, record_before(before_id));
    store_bind_i64(stmt, 2, limit);
    size_t count = 0;
    enum err err = ERR_OK;
    while (count < limit && (err = store_row(stmt)) == ERR_OK) {
        err = alert_copy(stmt, scratch, &alerts[count++]);
        if (err != ERR_OK)
            return err;
    }
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    *ret_alerts = alerts;
    *ret_count = count;
    return ERR_OK;
}
