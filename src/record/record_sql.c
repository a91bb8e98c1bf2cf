#include "record/record_int.h"

#define AUDIT_COLUMNS                                                                              \
    "SELECT audit_id, at, actor, action, subject, detail, request_id, prev_hash, hash FROM audit "
#define ALERT_COLUMNS                                                                              \
    "SELECT alert_id, machine_id, code, message, severity, command_id, raised_at, last_at, "       \
    "count, acknowledged_at, "                                                                     \
    "resolved_at, acknowledged_by FROM alerts "

static const char *const sql[STMT_COUNT] = {
    [STMT_HEAD] = "SELECT entries, hash FROM audit_head WHERE only_row = 1",
    [STMT_HEAD_SET] =
        "UPDATE audit_head SET entries = ?1, hash = ?2 WHERE only_row = 1 AND entries = ?1 - 1",
    [STMT_AUDIT_ADD] = "INSERT INTO audit (audit_id, at, actor, action, subject, detail, "
                       "request_id, prev_hash, hash) "
                       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [STMT_AUDIT_LIST] = AUDIT_COLUMNS "WHERE audit_id < ?1 ORDER BY audit_id DESC LIMIT ?2",
    [STMT_AUDIT_LIST_ACTOR] =
        AUDIT_COLUMNS "WHERE audit_id < ?1 AND actor = ?3 ORDER BY audit_id DESC LIMIT ?2",
    [STMT_AUDIT_LIST_SUBJECT] =
        AUDIT_COLUMNS "WHERE audit_id < ?1 AND subject = ?4 ORDER BY audit_id DESC LIMIT ?2",
    [STMT_AUDIT_LIST_BOTH] = AUDIT_COLUMNS
    "WHERE audit_id < ?1 AND actor = ?3 AND subject = ?4 ORDER BY audit_id DESC LIMIT ?2",
    [STMT_AUDIT_WALK] = AUDIT_COLUMNS "WHERE audit_id >= ?1 ORDER BY audit_id LIMIT ?2",
    [STMT_ALERT_OPEN] = "SELECT alert_id, severity FROM alerts "
                        "WHERE machine_id = ?1 AND code = ?2 AND resolved_at IS NULL",
    [STMT_ALERT_ADD] = "INSERT INTO alerts (machine_id, code, message, severity, command_id, "
                       "raised_at, last_at, count) "
                       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 1)",
    [STMT_ALERT_AGAIN] =
        "UPDATE alerts SET count = count + 1, message = ?2, severity = ?3, command_id = ?4, "
        "last_at = ?5, acknowledged_at = NULL, acknowledged_by = NULL WHERE alert_id = ?1",
    [STMT_ALERT_ACKNOWLEDGE] = "UPDATE alerts SET acknowledged_at = ?2, acknowledged_by = ?3 "
                               "WHERE alert_id = ?1 AND acknowledged_at IS NULL",
    [STMT_ALERT_EXISTS] = "SELECT 1 FROM alerts WHERE alert_id = ?1",
    [STMT_ALERT_RESOLVE] = "UPDATE alerts SET resolved_at = ?3 "
                           "WHERE machine_id = ?1 AND code = ?2 AND resolved_at IS NULL",
    [STMT_ALERT_RESOLVE_ALL] =
        "UPDATE alerts SET resolved_at = ?3 WHERE machine_id = ?1 AND resolved_at IS NULL",
    [STMT_ALERT_SHOW] = ALERT_COLUMNS "WHERE alert_id = ?1",
    [STMT_ALERT_LIST] = ALERT_COLUMNS "WHERE alert_id < ?1 ORDER BY alert_id DESC LIMIT ?2",
    [STMT_ALERT_LIST_OPEN] =
        ALERT_COLUMNS "WHERE alert_id < ?1 AND resolved_at IS NULL ORDER BY alert_id DESC LIMIT ?2",
};

struct store_statements record_statements = {"record", sql, STMT_COUNT, 0};

uint32_t record_limit(uint32_t asked)
{
    return asked > RECORD_LIST_MAX ? RECORD_LIST_MAX : asked;
}

int64_t record_before(uint64_t before_id)
{
    return before_id == 0 || before_id > INT64_MAX ? INT64_MAX : (int64_t)before_id;
}

enum err record_text_copy(struct arena *scratch, struct store_stmt *stmt, int column,
                          struct str *ret_text)
{
    struct str text = store_col_text(stmt, column);
    *ret_text = STR_NONE;
    if (text.at == NULL)
        return ERR_OK;
    char *copy = arena_strdup(scratch, text);
    if (copy == NULL)
        return ERR_NOMEM;
    *ret_text = (struct str){copy, text.len};
    return ERR_OK;
}
