/* Every statement of this room. */
#include "access/access_int.h"

static const char *const statements[SQL_COUNT] = {
    [SQL_ACCOUNTS_ALL] = "SELECT account_id, name, role, password_hash, disabled, created_at "
                         "FROM accounts ORDER BY account_id",
    [SQL_SESSIONS_ALL] = "SELECT session_id, token_hash, account_id, role, link_id, created_at, "
                         "last_used_at FROM sessions ORDER BY session_id",
    [SQL_TOKENS_ALL] = "SELECT token_id, token_hash, name, role, account_id, created_at, "
                       "last_used_at FROM api_tokens WHERE revoked_at IS NULL ORDER BY token_id",
    [SQL_SESSIONS_PURGE] = "DELETE FROM sessions WHERE created_at <= ?1 OR last_used_at <= ?2",
    [SQL_LINKS_PURGE] = "DELETE FROM signin_links WHERE expires_at <= ?1",

    [SQL_ACCOUNT_INSERT] =
        "INSERT INTO accounts (name, name_key, role, password_hash, disabled, created_at) "
        "VALUES (?1, ?2, ?3, ?4, 0, ?5)",
    [SQL_ACCOUNT_UPDATE] = "UPDATE accounts SET role = ?2, disabled = ?3 WHERE account_id = ?1",
    [SQL_ACCOUNT_SHOW] = "SELECT role, disabled FROM accounts WHERE account_id = ?1",
    [SQL_ACCOUNT_OTHER_ADMINS] = "SELECT COUNT(*) FROM accounts "
                                 "WHERE role = 'admin' AND disabled = 0 AND account_id <> ?1",
    [SQL_ACCOUNT_PASSWORD] = "UPDATE accounts SET password_hash = ?2 "
                             "WHERE account_id = ?1 AND (?3 IS NULL OR password_hash = ?3)",

    [SQL_SESSION_INSERT] =
        "INSERT INTO sessions (token_hash, account_id, role, link_id, created_at, last_used_at) "
        "VALUES (?1, NULL, ?2, ?3, ?4, ?4)",
    [SQL_SESSION_INSERT_ACCOUNT] =
        "INSERT INTO sessions (token_hash, account_id, role, link_id, created_at, last_used_at) "
        "SELECT ?1, account_id, role, ?2, ?3, ?3 FROM accounts "
        "WHERE account_id = ?4 AND disabled = 0 AND (?5 IS NULL OR password_hash = ?5)",
    [SQL_SESSION_SURPLUS] = "SELECT session_id FROM sessions WHERE account_id = ?1 "
                            "ORDER BY session_id DESC LIMIT 1 OFFSET ?2",
    [SQL_SESSION_DELETE_OLD] = "DELETE FROM sessions WHERE account_id = ?1 AND session_id <= ?2",
    [SQL_SESSION_DELETE] = "DELETE FROM sessions WHERE session_id = ?1",
    [SQL_SESSION_DELETE_ACCOUNT] =
        "DELETE FROM sessions WHERE account_id = ?1 AND session_id <> ?2",
    [SQL_SESSION_USED] = "UPDATE sessions SET last_used_at = ?2 WHERE session_id = ?1",

    [SQL_TOKEN_INSERT] = "INSERT INTO api_tokens (token_hash, name, role, account_id, created_at) "
                         "VALUES (?1, ?2, ?3, ?4, ?5)",
    [SQL_TOKEN_REVOKE] =
        "UPDATE api_tokens SET revoked_at = ?2 WHERE token_id = ?1 AND revoked_at IS NULL",
    [SQL_TOKEN_REVOKE_ACCOUNT] =
        "UPDATE api_tokens SET revoked_at = ?2 WHERE account_id = ?1 AND revoked_at IS NULL",
    [SQL_TOKEN_USED] = "UPDATE api_tokens SET last_used_at = ?2 WHERE token_id = ?1",

    [SQL_LINK_INSERT] =
        "INSERT INTO signin_links (code_hash, account_id, role, created_at, expires_at) "
        "VALUES (?1, ?2, ?3, ?4, ?5)",
    [SQL_LINK_COUNT] = "SELECT COUNT(*) FROM signin_links WHERE expires_at > ?1",
    [SQL_LINK_FIND] = "SELECT link_id, account_id, role FROM signin_links "
                      "WHERE code_hash = ?1 AND expires_at > ?2",
    [SQL_LINK_DELETE] = "DELETE FROM signin_links WHERE link_id = ?1",
    [SQL_LINK_DELETE_ACCOUNT] = "DELETE FROM signin_links WHERE account_id = ?1",
};

static struct store_statements access_statements = {
    .room = "access",
    .sql = statements,
    .count = SQL_COUNT,
};

struct store_stmt *access_sql(struct store_db *db, enum access_statement index)
{
    return store_prepare(db, &access_statements, (int)index);
}

enum err access_sql_exec(struct store_db *db, struct store_stmt *stmt, int64_t *ret_changes)
{
    return store_exec(db, stmt, ret_changes);
}
