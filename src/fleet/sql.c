/* Every statement of this room. */
#include "fleet/fleet_int.h"

static const char *const statements[SQL_COUNT] = {
    [SQL_MACHINES_ALL] =
        "SELECT machine_id, kind, name, admission, demo, config, config_version, capabilities, "
        "firmware, boot_id, journal_id, created_at, last_seen_at, metadata, inactive_at "
        "FROM machines",
    [SQL_TOKENS_ALL] = "SELECT token_id, machine_id, token_hash, label, created_at, last_used_at "
                       "FROM machine_tokens WHERE revoked_at IS NULL ORDER BY token_id",
    [SQL_MACHINE_SHOW] = "SELECT admission FROM machines WHERE machine_id = ?1",
    [SQL_MACHINE_INSERT] = "INSERT INTO machines (machine_id, kind, name, admission, demo, config, "
                           "created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [SQL_WAITING_COUNT] = "SELECT COUNT(*) FROM machines WHERE admission = 'waiting'",
    [SQL_ADMISSION_SET] =
        "UPDATE machines SET admission = ?2 WHERE machine_id = ?1 AND admission <> ?2",
    [SQL_CONFIG_SET] = "UPDATE machines SET config = ?2, config_version = config_version + 1 "
                       "WHERE machine_id = ?1 AND (?3 = 0 OR config_version = ?3)",
    [SQL_NAME_SET] = "UPDATE machines SET name = ?2 WHERE machine_id = ?1",
    [SQL_METADATA_SET] = "UPDATE machines SET metadata = ?2 WHERE machine_id = ?1",
    [SQL_HELLO_SHOW] = "SELECT boot_id, journal_id, firmware, capabilities FROM machines "
                       "WHERE machine_id = ?1",
    [SQL_HELLO_SET] = "UPDATE machines SET boot_id = ?2, journal_id = ?3, firmware = ?4, "
                      "capabilities = ?5, last_seen_at = ?6 WHERE machine_id = ?1",
    [SQL_SEEN_SET] = "UPDATE machines SET last_seen_at = ?2 WHERE machine_id = ?1",
    [SQL_INACTIVE_SET] = "UPDATE machines SET inactive_at = ?2 WHERE machine_id = ?1",
    [SQL_MACHINE_DELETE] = "DELETE FROM machines WHERE machine_id = ?1",
    [SQL_MACHINE_DELETE_WAITING] =
        "DELETE FROM machines WHERE machine_id = ?1 AND admission = 'waiting'",
    [SQL_TOKEN_INSERT] = "INSERT INTO machine_tokens (machine_id, token_hash, label, created_at) "
                         "VALUES (?1, ?2, ?3, ?4)",
    [SQL_TOKEN_COUNT] =
        "SELECT COUNT(*) FROM machine_tokens WHERE machine_id = ?1 AND revoked_at IS NULL",
    [SQL_TOKEN_HELD] = "SELECT token_id FROM machine_tokens "
                       "WHERE machine_id = ?1 AND token_hash = ?2 AND revoked_at IS NULL",
    [SQL_TOKEN_USED] = "UPDATE machine_tokens SET last_used_at = ?2 WHERE token_id = ?1",
    [SQL_TOKEN_REVOKE] = "UPDATE machine_tokens SET revoked_at = ?3 "
                         "WHERE machine_id = ?1 AND token_id = ?2 AND revoked_at IS NULL",
    [SQL_TOKEN_REVOKE_ALL] = "UPDATE machine_tokens SET revoked_at = ?2 "
                             "WHERE machine_id = ?1 AND revoked_at IS NULL",
    [SQL_TOKEN_DELETE_ALL] = "DELETE FROM machine_tokens WHERE machine_id = ?1",
    [SQL_TOKEN_DELETE_WAITING] =
        "DELETE FROM machine_tokens WHERE machine_id = ?1 AND EXISTS "
        "(SELECT 1 FROM machines WHERE machine_id = ?1 AND admission = 'waiting')",
};

static struct store_statements fleet_statements = {
    .room = "fleet",
    .sql = statements,
    .count = SQL_COUNT,
};

struct store_stmt *fleet_sql(struct store_db *db, enum fleet_statement index)
{
    return store_prepare(db, &fleet_statements, (int)index);
}

enum err fleet_sql_insert_machine(struct store_db *db, const struct machine *machine)
{
    struct store_stmt *stmt = fleet_sql(db, SQL_MACHINE_INSERT);
    store_bind_text(stmt, 1, str_from(machine->shown.machine_id));
    store_bind_text(stmt, 2, str_from(machine->shown.kind));
    store_bind_text(stmt, 3, str_from(machine->shown.name));
    store_bind_text(stmt, 4, str_from(fleet_admission_name(machine->shown.admission)));
    store_bind_i64(stmt, 5, machine->shown.demo);
    store_bind_text(stmt, 6, str_from(machine->config));
    store_bind_i64(stmt, 7, machine->shown.created_at_ms);
    return store_exec(db, stmt, NULL);
}

enum err fleet_sql_insert_token(struct store_db *db, const char *machine_id,
                                const struct device_token *token, int64_t *ret_token_id)
{
    struct store_stmt *stmt = fleet_sql(db, SQL_TOKEN_INSERT);
    store_bind_text(stmt, 1, str_from(machine_id));
    store_bind_blob(stmt, 2, token->hash, sizeof(token->hash));
    store_bind_text(stmt, 3, str_from(token->shown.label));
    store_bind_i64(stmt, 4, token->shown.created_at_ms);
    enum err err = store_exec(db, stmt, NULL);
    if (err == ERR_OK)
        *ret_token_id = store_last_id(db);
    return err;
}

enum err fleet_sql_for_machine(struct store_db *db, enum fleet_statement index,
                               const char *machine_id, int64_t *ret_changes)
{
    struct store_stmt *stmt = fleet_sql(db, index);
    store_bind_text(stmt, 1, str_from(machine_id));
    return store_exec(db, stmt, ret_changes);
}
