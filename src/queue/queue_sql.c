/* Every SQL statement of the queue.  Rows change only by compare-and-set on their status. */
#include "queue/queue_int.h"

#define COMMAND_COLUMNS                                                                            \
    "command_id, machine_id, payload, execute_allowed, status, meta, created_at, updated_at, "     \
    "uid, kind, command, "                                                                         \
    "instructions, reason, not_after_s, not_after, max_duration_s, claim_id, journal_id, "         \
    "claimed_at, finished_at, "                                                                    \
    "stop_requested, created_by, settled_by, evidence, request_id"

enum {
    STMT_COMMAND,
    STMT_INSERT,
    STMT_UPDATE,
    STMT_HISTORY_ADD,
    STMT_KEY_FIND,
    STMT_KEY_ADD,
    STMT_MACHINE,
    STMT_ACTIVE,
    STMT_HEAD,
    STMT_PENDING_COUNT,
    STMT_MACHINE_SET,
    STMT_LATE,
    STMT_EXPIRE_NEXT,
    STMT_WAITING_NAMED,
    STMT_LIST,
    STMT_LIST_MACHINE,
    STMT_HISTORY_LIST,
    STMT_NEWEST,
    STMT_MACHINES,
    STMT_COUNT,
};

#define LIST_WHERE                                                                                 \
    "(?2 = 0 OR (?2 >> (CASE status WHEN 'held' THEN 0 WHEN 'pending' THEN 1 WHEN 'running' THEN " \
    "2 "                                                                                           \
    "WHEN 'complete' THEN 3 WHEN 'failed' THEN 4 WHEN 'rejected' THEN 5 WHEN 'cancelled' THEN 6 "  \
    "WHEN 'expired' THEN 7 ELSE 8 END)) & 1) AND (?3 = 0 OR created_at >= ?3) AND (?4 = 0 OR "     \
    "created_at < ?4) "                                                                            \
    "AND (?5 IS NULL OR created_by = ?5) ORDER BY command_id DESC LIMIT ?6"

static const char *const statement_text[STMT_COUNT] = {
    [STMT_COMMAND] = "SELECT " COMMAND_COLUMNS " FROM commands WHERE command_id = ?1",
    [STMT_INSERT] =
        "INSERT INTO commands (machine_id, payload, execute_allowed, status, meta, created_at, "
        "updated_at, uid, kind, command, instructions, not_after_s, not_after, max_duration_s, "
        "created_by, request_id) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    [STMT_UPDATE] =
        "UPDATE commands SET status = ?3, execute_allowed = ?4, meta = ?5, updated_at = ?6, "
        "reason = ?7, not_after = ?8, claim_id = ?9, journal_id = ?10, claimed_at = ?11, "
        "finished_at = ?12, stop_requested = ?13, settled_by = ?14, evidence = ?15 "
        "WHERE command_id = ?1 AND status = ?2",
    [STMT_HISTORY_ADD] =
        "INSERT INTO command_history (command_id, old_status, new_status, meta_snapshot, "
        "changed_at, actor) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [STMT_KEY_FIND] =
        "SELECT body_hash, command_id FROM idempotency_keys WHERE scope = ?1 AND key = ?2",
    [STMT_KEY_ADD] =
        "INSERT INTO idempotency_keys (scope, key, body_hash, command_id) VALUES (?1, ?2, ?3, ?4)",
    [STMT_MACHINE] = "SELECT on_hold, hold_reason, hold_since, failures_in_row FROM queue_machines "
                     "WHERE machine_id = ?1",
    [STMT_ACTIVE] = "SELECT " COMMAND_COLUMNS " FROM commands "
                    "WHERE machine_id = ?1 AND status IN ('running', 'unknown') LIMIT 1",
    [STMT_HEAD] = "SELECT " COMMAND_COLUMNS " FROM commands "
                  "WHERE machine_id = ?1 AND status = 'pending' AND not_after > ?2 "
                  "ORDER BY created_at, command_id LIMIT 1",
    [STMT_PENDING_COUNT] = "SELECT IFNULL(SUM(status = 'pending'), 0), COUNT(*) FROM commands "
                           "WHERE machine_id = ?1 AND (status = 'pending' OR status = 'held')",
    [STMT_MACHINE_SET] =
        "INSERT INTO queue_machines (machine_id, on_hold, hold_reason, hold_since, "
        "failures_in_row) VALUES (?1, ?2, ?3, ?4, ?5) "
        "ON CONFLICT (machine_id) DO UPDATE SET on_hold = ?2, hold_reason = ?3, hold_since = ?4, "
        "failures_in_row = ?5",
    [STMT_LATE] =
        "SELECT " COMMAND_COLUMNS " FROM commands WHERE status = 'pending' AND not_after <= ?1 "
        "ORDER BY not_after LIMIT 1",
    [STMT_EXPIRE_NEXT] = "SELECT MIN(not_after) FROM commands WHERE status = 'pending'",
    [STMT_WAITING_NAMED] =
        "SELECT " COMMAND_COLUMNS " FROM commands "
        "WHERE machine_id = ?1 AND (status = 'pending' OR status = 'held') "
        "AND command = ?2 AND command_id <> ?3 ORDER BY created_at, command_id LIMIT 1",
    [STMT_LIST] = "SELECT " COMMAND_COLUMNS " FROM commands WHERE command_id < ?1 AND " LIST_WHERE,
    [STMT_LIST_MACHINE] =
        "SELECT " COMMAND_COLUMNS " FROM commands WHERE command_id < ?1 AND machine_id = ?7 "
        "AND " LIST_WHERE,
    [STMT_HISTORY_LIST] =
        "SELECT history_id, old_status, new_status, meta_snapshot, changed_at, actor "
        "FROM command_history WHERE command_id = ?1 ORDER BY history_id LIMIT 1000",
    [STMT_NEWEST] = "SELECT MAX((SELECT IFNULL(MAX(changed_at), 0) FROM (SELECT changed_at FROM "
                    "command_history "
                    "ORDER BY history_id DESC LIMIT 100)), 0)",
    [STMT_MACHINES] = "SELECT machine_id FROM queue_machines UNION SELECT machine_id FROM commands "
                      "WHERE status IN ('held', 'pending', 'running', 'unknown')",
};

static struct store_statements statements = {
    .room = "queue",
    .sql = statement_text,
    .count = STMT_COUNT,
};

static struct store_stmt *prepare(struct store_db *db, int index)
{
    return store_prepare(db, &statements, index);
}

static void bind_id(struct store_stmt *stmt, int position, struct id128 id)
{
    if (id128_is_zero(id))
        store_bind_null(stmt, position);
    else
        store_bind_blob(stmt, position, id.byte, sizeof(id.byte));
}

static void bind_ms(struct store_stmt *stmt, int position, int64_t ms)
{
    if (ms == 0)
        store_bind_null(stmt, position);
    else
        store_bind_i64(stmt, position, ms);
}

static struct id128 col_id(struct store_stmt *stmt, int column)
{
    struct id128 id = {{0}};
    struct str blob = store_col_blob(stmt, column);
    if (blob.len == sizeof(id.byte))
        base_copy(id.byte, blob.at, sizeof(id.byte));
    return id;
}

/* False: out of memory.  A NULL column gives STR_NONE. */
static bool col_text(struct store_stmt *stmt, int column, struct arena *arena, struct str *ret_text)
{
    struct str text = store_col_text(stmt, column);
    *ret_text = STR_NONE;
    if (text.at == NULL)
        return true;
    char *copy = arena_strdup(arena, text);
    if (copy == NULL)
        return false;
    *ret_text = (struct str){copy, text.len};
    return true;
}

static enum err command_from_row(struct store_stmt *stmt, struct arena *arena,
                                 struct queue_command *ret_command)
{
    struct queue_command row = {
        .command_id = (uint64_t)store_col_i64(stmt, 0),
        .execute_allowed = store_col_i64(stmt, 3) != 0,
        .created_at_ms = store_col_i64(stmt, 6),
        .updated_at_ms = store_col_i64(stmt, 7),
        .uid = col_id(stmt, 8),
        .not_after_s = (uint32_t)store_col_i64(stmt, 13),
        .not_after_ms = store_col_i64(stmt, 14),
        .max_duration_s = (uint32_t)store_col_i64(stmt, 15),
        .claim_id = col_id(stmt, 16),
        .journal_id = col_id(stmt, 17),
        .claimed_at_ms = store_col_i64(stmt, 18),
        .finished_at_ms = store_col_i64(stmt, 19),
        .stop_requested = store_col_i64(stmt, 20) != 0,
    };
    row.has_claim = !id128_is_zero(row.claim_id);
    if (!queue_state_parse(store_col_text(stmt, 4), &row.state))
        return ERR_IO;
    if (!col_text(stmt, 1, arena, &row.machine_id) || !col_text(stmt, 2, arena, &row.payload) ||
        !col_text(stmt, 5, arena, &row.meta) || !col_text(stmt, 9, arena, &row.kind) ||
        !col_text(stmt, 10, arena, &row.command) || !col_text(stmt, 11, arena, &row.instructions) ||
        !col_text(stmt, 12, arena, &row.reason) || !col_text(stmt, 21, arena, &row.created_by) ||
        !col_text(stmt, 22, arena, &row.settled_by) || !col_text(stmt, 23, arena, &row.evidence) ||
        !col_text(stmt, 24, arena, &row.request_id))
        return ERR_NOMEM;
    *ret_command = row;
    return ERR_OK;
}

static enum err command_one(struct store_stmt *stmt, struct arena *arena,
                            struct queue_command *ret_command)
{
    enum err err = store_row(stmt);
    if (err != ERR_OK)
        return err;
    return command_from_row(stmt, arena, ret_command);
}

enum err queue_sql_command(struct store_db *db, uint64_t command_id, struct arena *arena,
                           struct queue_command *ret_command)
{
    struct store_stmt *stmt = prepare(db, STMT_COMMAND);
    store_bind_i64(stmt, 1, (int64_t)command_id);
    return command_one(stmt, arena, ret_command);
}

enum err queue_sql_insert(struct store_db *db, struct queue_command *command)
{
    struct store_stmt *stmt = prepare(db, STMT_INSERT);
    store_bind_text(stmt, 1, command->machine_id);
    store_bind_text(stmt, 2, command->payload);
    store_bind_i64(stmt, 3, command->execute_allowed);
    store_bind_text(stmt, 4, str_from(queue_state_name(command->state)));
    store_bind_text(stmt, 5, command->meta);
    store_bind_i64(stmt, 6, command->created_at_ms);
    store_bind_blob(stmt, 7, command->uid.byte, sizeof(command->uid.byte));
    store_bind_text(stmt, 8, command->kind);
    store_bind_text(stmt, 9, command->command);
    store_bind_text(stmt, 10, command->instructions);
    store_bind_i64(stmt, 11, command->not_after_s);
    bind_ms(stmt, 12, command->not_after_ms);
    store_bind_i64(stmt, 13, command->max_duration_s);
    store_bind_text(stmt, 14, command->created_by);
    store_bind_text(stmt, 15, command->request_id);
    enum err err = store_exec(db, stmt, NULL);
    if (err != ERR_OK)
        return err;
    command->command_id = (uint64_t)store_last_id(db);
    return ERR_OK;
}

enum err queue_sql_update(struct store_db *db, const struct queue_command *command,
                          enum queue_state old_state)
{
    struct store_stmt *stmt = prepare(db, STMT_UPDATE);
    int64_t changes = 0;
    store_bind_i64(stmt, 1, (int64_t)command->command_id);
    store_bind_text(stmt, 2, str_from(queue_state_name(old_state)));
    store_bind_text(stmt, 3, str_from(queue_state_name(command->state)));
    store_bind_i64(stmt, 4, command->execute_allowed);
    store_bind_text(stmt, 5, command->meta);
    store_bind_i64(stmt, 6, command->updated_at_ms);
    store_bind_text(stmt, 7, command->reason);
    bind_ms(stmt, 8, command->not_after_ms);
    bind_id(stmt, 9, command->claim_id);
    bind_id(stmt, 10, command->journal_id);
    bind_ms(stmt, 11, command->claimed_at_ms);
    bind_ms(stmt, 12, command->finished_at_ms);
    store_bind_i64(stmt, 13, command->stop_requested);
    store_bind_text(stmt, 14, command->settled_by);
    store_bind_text(stmt, 15, command->evidence);
    enum err err = store_exec(db, stmt, &changes);
    if (err != ERR_OK)
        return err;
    return changes == 1 ? ERR_OK : ERR_CONFLICT;
}

enum err queue_sql_history_add(struct store_db *db, const struct queue_command *command,
                               bool has_old, enum queue_state old_state, struct str actor)
{
    struct store_stmt *stmt = prepare(db, STMT_HISTORY_ADD);
    store_bind_i64(stmt, 1, (int64_t)command->command_id);
    if (has_old)
        store_bind_text(stmt, 2, str_from(queue_state_name(old_state)));
    store_bind_text(stmt, 3, str_from(queue_state_name(command->state)));
    store_bind_text(stmt, 4, command->meta);
    store_bind_i64(stmt, 5, command->updated_at_ms);
    store_bind_text(stmt, 6, actor);
    return store_exec(db, stmt, NULL);
}

enum err queue_sql_key_find(struct store_db *db, struct str scope, struct str key,
                            uint8_t ret_hash[32], uint64_t *ret_command_id)
{
    struct store_stmt *stmt = prepare(db, STMT_KEY_FIND);
    store_bind_text(stmt, 1, scope);
    store_bind_text(stmt, 2, key);
    enum err err = store_row(stmt);
    if (err != ERR_OK)
        return err;
    struct str hash = store_col_blob(stmt, 0);
    if (hash.len != 32)
        return ERR_IO;
    base_copy(ret_hash, hash.at, 32);
    *ret_command_id = (uint64_t)store_col_i64(stmt, 1);
    return ERR_OK;
}

enum err queue_sql_key_add(struct store_db *db, struct str scope, struct str key,
                           const uint8_t hash[32], uint64_t command_id)
{
    struct store_stmt *stmt = prepare(db, STMT_KEY_ADD);
    store_bind_text(stmt, 1, scope);
    store_bind_text(stmt, 2, key);
    store_bind_blob(stmt, 3, hash, 32);
    store_bind_i64(stmt, 4, (int64_t)command_id);
    return store_exec(db, stmt, NULL);
}

static enum err view_machine(struct store_db *db, struct str machine_id, struct arena *arena,
                             struct view *view)
{
    struct store_stmt *stmt = prepare(db, STMT_MACHINE);
    store_bind_text(stmt, 1, machine_id);
    enum err err = store_row(stmt);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    if (err != ERR_OK)
        return err;
    view->on_hold = store_col_i64(stmt, 0) != 0;
    view->hold_since_ms = store_col_i64(stmt, 2);
    view->failures_in_row = (uint32_t)store_col_i64(stmt, 3);
    return col_text(stmt, 1, arena, &view->hold_reason) ? ERR_OK : ERR_NOMEM;
}

/* ERR_OK also when there is none; `ret_found` tells. */
static enum err view_command(struct store_stmt *stmt, struct arena *arena, bool *ret_found,
                             struct queue_command *ret_command)
{
    enum err err = command_one(stmt, arena, ret_command);
    *ret_found = err == ERR_OK;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err queue_sql_view(struct store_db *db, struct str machine_id, int64_t now_ms, bool count,
                        struct arena *arena, struct view *ret_view)
{
    struct view view = {0};
    enum err err = view_machine(db, machine_id, arena, &view);
    if (err != ERR_OK)
        return err;
    struct store_stmt *stmt = prepare(db, STMT_ACTIVE);
    store_bind_text(stmt, 1, machine_id);
    err = view_command(stmt, arena, &view.has_active, &view.active);
    if (err != ERR_OK)
        return err;
    stmt = prepare(db, STMT_HEAD);
    store_bind_text(stmt, 1, machine_id);
    store_bind_i64(stmt, 2, now_ms);
    err = view_command(stmt, arena, &view.has_head, &view.head);
    if (err != ERR_OK)
        return err;
    if (count) {
        stmt = prepare(db, STMT_PENDING_COUNT);
        store_bind_text(stmt, 1, machine_id);
        err = store_row(stmt);
        if (err != ERR_OK)
            return err;
        view.pending_count = (uint32_t)store_col_i64(stmt, 0);
        view.waiting_count = (uint32_t)store_col_i64(stmt, 1);
    }
    *ret_view = view;
    return ERR_OK;
}

enum err queue_sql_machine_set(struct store_db *db, struct str machine_id, bool on_hold,
                               struct str reason, int64_t since_ms, uint32_t failures_in_row)
{
    struct store_stmt *stmt = prepare(db, STMT_MACHINE_SET);
    store_bind_text(stmt, 1, machine_id);
    store_bind_i64(stmt, 2, on_hold);
    store_bind_text(stmt, 3, reason);
    bind_ms(stmt, 4, since_ms);
    store_bind_i64(stmt, 5, failures_in_row);
    return store_exec(db, stmt, NULL);
}

enum err queue_sql_late(struct store_db *db, int64_t now_ms, struct arena *arena,
                        struct queue_command *ret_command)
{
    struct store_stmt *stmt = prepare(db, STMT_LATE);
    store_bind_i64(stmt, 1, now_ms);
    return command_one(stmt, arena, ret_command);
}

enum err queue_sql_expire_next(struct store_db *db, int64_t *ret_ms)
{
    struct store_stmt *stmt = prepare(db, STMT_EXPIRE_NEXT);
    enum err err = store_row(stmt);
    if (err != ERR_OK)
        return err;
    *ret_ms = store_col_null(stmt, 0) ? INT64_MAX : store_col_i64(stmt, 0);
    return ERR_OK;
}

enum err queue_sql_waiting_named(struct store_db *db, struct str machine_id, struct str command,
                                 uint64_t except_id, struct arena *arena,
                                 struct queue_command *ret_command)
{
    struct store_stmt *stmt = prepare(db, STMT_WAITING_NAMED);
    store_bind_text(stmt, 1, machine_id);
    store_bind_text(stmt, 2, command);
    store_bind_i64(stmt, 3, (int64_t)except_id);
    return command_one(stmt, arena, ret_command);
}

enum err queue_sql_list(struct store_db *db, const struct queue_filter *filter, struct arena *arena,
                        struct queue_command **ret_commands, size_t *ret_count)
{
    bool one_machine = filter->machine_id.at != NULL;
    struct store_stmt *stmt = prepare(db, one_machine ? STMT_LIST_MACHINE : STMT_LIST);
    store_bind_i64(stmt, 1, filter->before_id != 0 ? (int64_t)filter->before_id : INT64_MAX);
    store_bind_i64(stmt, 2, filter->states);
    store_bind_i64(stmt, 3, filter->from_ms);
    store_bind_i64(stmt, 4, filter->to_ms);
    store_bind_text(stmt, 5, filter->created_by);
    store_bind_i64(stmt, 6,
                   (int64_t)filter->limit + 1); /* one more tells whether there is a next page */
    if (one_machine)
        store_bind_text(stmt, 7, filter->machine_id);
    struct queue_command *rows = arena_alloc(arena, ((size_t)filter->limit + 1) * sizeof(*rows));
    if (rows == NULL)
        return ERR_NOMEM;
    size_t count = 0;
    enum err err = ERR_OK;
    while (count <= filter->limit && (err = command_one(stmt, arena, &rows[count])) == ERR_OK)
        count++;
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    *ret_commands = rows;
    *ret_count = count;
    return ERR_OK;
}

enum err queue_sql_history_list(struct store_db *db, uint64_t command_id, struct arena *arena,
                                struct queue_history **ret_rows, size_t *ret_count)
{
    enum { ROWS_MAX = 1000 };
    struct store_stmt *stmt = prepare(db, STMT_HISTORY_LIST);
    store_bind_i64(stmt, 1, (int64_t)command_id);
    struct queue_history *rows = NULL;
    size_t count = 0, room = 0;
    enum err err;
    while ((err = store_row(stmt)) == ERR_OK && count < ROWS_MAX) {
        if (count == room) { /* doubling inside an arena wastes at most as much again */
            room = room == 0 ? 16 : room * 2;
            struct queue_history *larger = arena_alloc(arena, room * sizeof(*larger));
            if (larger == NULL)
                return ERR_NOMEM;
            if (count > 0)
                base_copy(larger, rows, count * sizeof(*larger));
            rows = larger;
        }
        struct queue_history *row = &rows[count];
        *row = (struct queue_history){
            .history_id = (uint64_t)store_col_i64(stmt, 0),
            .has_old = !store_col_null(stmt, 1),
            .changed_at_ms = store_col_i64(stmt, 4),
        };
        if (row->has_old && !queue_state_parse(store_col_text(stmt, 1), &row->old_state))
            return ERR_IO;
        if (!queue_state_parse(store_col_text(stmt, 2), &row->new_state))
            return ERR_IO;
        if (!col_text(stmt, 3, arena, &row->meta) || !col_text(stmt, 5, arena, &row->actor))
            return ERR_NOMEM;
        count++;
    }
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    *ret_rows = rows;
    *ret_count = count;
    return ERR_OK;
}

enum err queue_sql_newest(struct store_db *db, int64_t *ret_ms)
{
    struct store_stmt *stmt = prepare(db, STMT_NEWEST);
    enum err err = store_row(stmt);
    if (err != ERR_OK)
        return err;
    *ret_ms = store_col_i64(stmt, 0);
    return ERR_OK;
}

enum err queue_sql_machines(struct store_db *db, struct arena *arena, struct str **ret_ids,
                            size_t *ret_count)
{
    struct store_stmt *stmt = prepare(db, STMT_MACHINES);
    struct str *ids = NULL;
    size_t count = 0, room = 0;
    enum err err;
    while ((err = store_row(stmt)) == ERR_OK) {
        if (count == room) {
            room = room == 0 ? 64 : room * 2;
            struct str *larger = arena_alloc(arena, room * sizeof(*larger));
            if (larger == NULL)
                return ERR_NOMEM;
            if (count > 0)
                base_copy(larger, ids, count * sizeof(*larger));
            ids = larger;
        }
        if (!col_text(stmt, 0, arena, &ids[count++]))
            return ERR_NOMEM;
    }
    if (err != ERR_NOT_FOUND)
        return err;
    *ret_ids = ids;
    *ret_count = count;
    return ERR_OK;
}
