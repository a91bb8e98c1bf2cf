#include "access/access_int.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* ---- look-ups ---- */

const struct access_account *access_account_find(const struct access *access, int64_t account_id)
{
    const struct account *account = access_memory_account(access, account_id);
    return account != NULL ? &account->shown : NULL;
}

const struct access_account *access_account_named(const struct access *access, struct str name)
{
    const struct account *account = access_memory_account_named(access, name);
    return account != NULL ? &account->shown : NULL;
}

const struct access_account *access_account_next(const struct access *access, int64_t account_id)
{
    const struct account *account = access_memory_account(access, account_id);
    if (account != NULL)
        return account->next != NULL ? &account->next->shown : NULL;
    for (account = access->accounts; account != NULL; account = account->next)
        if (account->shown.account_id > account_id)
            return &account->shown;
    return NULL;
}

/* ---- a new one: the password's hash first, then the row ---- */

struct creation {
    struct hashing hashing;
    char name[ACCESS_NAME_BYTES];
    enum access_role role;
    char actor[ACCESS_ACTOR_BYTES];
    char request_id[REQUEST_ID_BYTES];
    int64_t now_ms;
    access_account_fn *done;
    void *cookie;
};

void access_account_op_finish(struct account_op *op, enum err err)
{
    const struct account *account = access_memory_account(op->op.access, op->account_id);
    op->done(op->op.cookie, err, err == ERR_OK ? &account->shown : NULL);
    sodium_memzero(op->old_hash, sizeof(op->old_hash));
    sodium_memzero(op->new_hash, sizeof(op->new_hash));
    access_op_free(&op->op);
}

static enum err create_run(struct store_job *job, struct store_db *db)
{
    struct account_op *op = (struct account_op *)(void *)job;
    struct account *account = op->op.object;
    char subject[ACCESS_ACTOR_BYTES];
    char detail[64];
    struct store_stmt *stmt = access_sql(db, SQL_ACCOUNT_INSERT);
    store_bind_text(stmt, 1, str_from(account->shown.name));
    store_bind_text(stmt, 2, str_from(account->name_key));
    store_bind_text(stmt, 3, str_from(access_role_name(account->shown.role)));
    store_bind_text(stmt, 4, str_from(account->password_hash));
    store_bind_i64(stmt, 5, op->op.now_ms);
    enum err err = access_sql_exec(db, stmt, NULL);
    if (err != ERR_OK)
        return err;
    op->account_id = store_last_id(db);
    (void)snprintf(detail, sizeof(detail), "{\"role\":\"%s\"}",
                   access_role_name(account->shown.role));
    return access_op_audit(&op->op, db, "account.create",
                           access_op_subject(subject, "account", str_from(account->shown.name)),
                           str_from(detail));
}

static void create_done(struct store_job *job, enum err err)
{
    struct account_op *op = (struct account_op *)(void *)job;
    if (err == ERR_OK) {
        struct account *account = op->op.object;
        op->op.object = NULL;
        account->shown.account_id = op->account_id;
        account->shown.created_at_ms = op->op.now_ms;
        access_memory_add_account(op->op.access, account);
    }
    access_account_op_finish(op, err);
}

static enum err create_submit(struct access *access, const struct creation *creation)
{
    struct access_by by = {
        .actor = str_from(creation->actor),
        .request_id = str_from(creation->request_id),
        .now_ms = creation->now_ms,
    };
    struct account_op *op = access_op_create(access, sizeof(*op), by, sizeof(struct account));
    if (op == NULL)
        return ERR_NOMEM;
    struct account *account = op->op.object;
    memcpy(account->shown.name, creation->name, sizeof(account->shown.name));
    access_name_key_of(str_from(creation->name), account->name_key);
    account->shown.role = creation->role;
    memcpy(account->password_hash, creation->hashing.made, sizeof(account->password_hash));
    op->op.job = (struct store_job){.run = create_run, .done = create_done};
    op->op.cookie = creation->cookie;
    op->done = creation->done;
    return access_op_submit(&op->op);
}

static void create_hashed(struct hashing *hashing)
{
    struct creation *creation = (struct creation *)(void *)hashing;
    if (hashing->access != NULL) {
        enum err err = hashing->err;
        if (err == ERR_OK)
            err = create_submit(hashing->access, creation);
        if (err != ERR_OK)
            creation->done(creation->cookie, err, NULL);
    }
    access_hashing_free(hashing, sizeof(*creation));
}

enum err access_account_create(struct access *access, struct access_by by, struct str name,
                               enum access_role role, struct str password, access_account_fn *done,
                               void *cookie)
{
    if (!id_valid(name) || (unsigned)role >= ACCESS_ROLE_COUNT || role == ACCESS_GUEST ||
        access_password_fault(name, password) != NULL)
        return ERR_INPUT;
    if (access_memory_account_named(access, name) != NULL)
        return ERR_CONFLICT;
    if (access->account_count >= access->options.accounts_max)
        return ERR_FULL;
    struct creation *creation = access_hashing_create(access, sizeof(*creation), create_hashed);
    if (creation == NULL)
        return ERR_NOMEM;
    creation->hashing.make = true;
    creation->role = role;
    creation->now_ms = by.now_ms;
    creation->done = done;
    creation->cookie = cookie;
    enum err err = str_copy(creation->name, sizeof(creation->name), name);
    if (err == ERR_OK)
        err = access_hashing_put(creation->hashing.new_password, &creation->hashing.new_len,
                                 password);
    access_op_copy_by(by, creation->actor, creation->request_id);
    if (err == ERR_OK)
        err = access_hashing_start(&creation->hashing);
    if (err != ERR_OK)
        access_hashing_free(&creation->hashing, sizeof(*creation));
    return err;
}

/* ---- another role, disabled or not ---- */

static enum err refuse_last_admin(struct store_db *db, const struct account_op *op, bool was_admin)
{
    if (!was_admin || (op->role == ACCESS_ADMIN && !op->disabled))
        return ERR_OK;
    struct store_stmt *stmt = access_sql(db, SQL_ACCOUNT_OTHER_ADMINS);
    store_bind_i64(stmt, 1, op->account_id);
    enum err err = store_row(stmt);
    if (err != ERR_OK)
        return err;
    return store_col_i64(stmt, 0) == 0 ? ERR_REFUSED : ERR_OK;
}

/* Everything that was handed out while the account could do something else. */
static enum err end_all_of(struct store_db *db, const struct account_op *op)
{
    struct store_stmt *stmt = access_sql(db, SQL_SESSION_DELETE_ACCOUNT);
    store_bind_i64(stmt, 1, op->account_id);
    store_bind_i64(stmt, 2, 0);
    enum err err = access_sql_exec(db, stmt, NULL);
    if (err != ERR_OK)
        return err;
    stmt = access_sql(db, SQL_LINK_DELETE_ACCOUNT);
    store_bind_i64(stmt, 1, op->account_id);
    err = access_sql_exec(db, stmt, NULL);
    if (err != ERR_OK)
        return err;
    stmt = access_sql(db, SQL_TOKEN_REVOKE_ACCOUNT);
    store_bind_i64(stmt, 1, op->account_id);
    store_bind_i64(stmt, 2, op->op.now_ms);
    return access_sql_exec(db, stmt, NULL);
}

static enum err change_run(struct store_job *job, struct store_db *db)
{
    struct account_op *op = (struct account_op *)(void *)job;
    char subject[ACCESS_ACTOR_BYTES];
    char detail[128];
    enum access_role old_role = ACCESS_GUEST;
    struct store_stmt *stmt = access_sql(db, SQL_ACCOUNT_SHOW);
    store_bind_i64(stmt, 1, op->account_id);
    enum err err = store_row(stmt);
    if (err != ERR_OK)
        return err;
    bool old_disabled = store_col_i64(stmt, 1) != 0;
    if (access_role_parse(store_col_text(stmt, 0), &old_role) != ERR_OK)
        return ERR_IO;
    if (old_role == op->role && old_disabled == op->disabled)
        return ERR_OK;
    op->changed = true;
    err = refuse_last_admin(db, op, old_role == ACCESS_ADMIN && !old_disabled);
    if (err != ERR_OK)
        return err;
    stmt = access_sql(db, SQL_ACCOUNT_UPDATE);
    store_bind_i64(stmt, 1, op->account_id);
    store_bind_text(stmt, 2, str_from(access_role_name(op->role)));
    store_bind_i64(stmt, 3, op->disabled);
    err = access_sql_exec(db, stmt, NULL);
    if (err == ERR_OK)
        err = end_all_of(db, op);
    if (err != ERR_OK)
        return err;
    (void)snprintf(detail, sizeof(detail),
                   "{\"role\":\"%s\",\"disabled\":%s,\"was_role\":\"%s\",\"was_disabled\":%s}",
                   access_role_name(op->role), op->disabled ? "true" : "false",
                   access_role_name(old_role), old_disabled ? "true" : "false");
    return access_op_audit(&op->op, db, "account.change",
                           access_op_subject_id(subject, "account", op->account_id),
                           str_from(detail));
}

static void change_done(struct store_job *job, enum err err)
{
    struct account_op *op = (struct account_op *)(void *)job;
    struct account *account = access_memory_account(op->op.access, op->account_id);
    if (err == ERR_OK && op->changed) {
        account->shown.role = op->role;
        account->shown.disabled = op->disabled;
        access_memory_end_sessions_of(op->op.access, account, 0);
        access_memory_end_tokens_of(op->op.access, op->account_id);
    }
    access_account_op_finish(op, err);
}

enum err access_account_change(struct access *access, struct access_by by, int64_t account_id,
                               enum access_role role, bool disabled, access_account_fn *done,
                               void *cookie)
{
    if ((unsigned)role >= ACCESS_ROLE_COUNT || role == ACCESS_GUEST)
        return ERR_INPUT;
    if (access_memory_account(access, account_id) == NULL)
        return ERR_NOT_FOUND;
    struct account_op *op = access_op_create(access, sizeof(*op), by, 0);
    if (op == NULL)
        return ERR_NOMEM;
    op->op.job = (struct store_job){.run = change_run, .done = change_done};
    op->op.cookie = cookie;
    op->account_id = account_id;
    op->role = role;
    op->disabled = disabled;
    op->done = done;
    return access_op_submit(&op->op);
}
