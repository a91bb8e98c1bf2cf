/* Another password: the old one checked and the new one hashed in one go on the pool, then the row.
 */
#include "access/access_int.h"

#include <stdio.h>
#include <string.h>

struct repassword {
    struct hashing hashing;
    int64_t account_id, keep_session_id;
    char actor[ACCESS_ACTOR_BYTES];
    char request_id[REQUEST_ID_BYTES];
    char key[32];
    int64_t now_ms;
    access_account_fn *done;
    void *cookie;
};

static enum err password_run(struct store_job *job, struct store_db *db)
{
    struct account_op *op = (struct account_op *)(void *)job;
    char subject[ACCESS_ACTOR_BYTES];
    int64_t changes = 0;
    struct store_stmt *stmt = access_sql(db, SQL_ACCOUNT_PASSWORD);
    store_bind_i64(stmt, 1, op->account_id);
    store_bind_text(stmt, 2, str_from(op->new_hash));
    store_bind_text(stmt, 3, op->check_old ? str_from(op->old_hash) : STR_NONE);
    enum err err = access_sql_exec(db, stmt, &changes);
    if (err != ERR_OK)
        return err;
    if (changes == 0)
        return ERR_DENIED; /* the old one was right when it was checked, and is another by now */
    stmt = access_sql(db, SQL_SESSION_DELETE_ACCOUNT);
    store_bind_i64(stmt, 1, op->account_id);
    store_bind_i64(stmt, 2, op->keep_session_id);
    err = access_sql_exec(db, stmt, NULL);
    if (err != ERR_OK)
        return err;
    stmt = access_sql(db, SQL_LINK_DELETE_ACCOUNT);
    store_bind_i64(stmt, 1, op->account_id);
    err = access_sql_exec(db, stmt, NULL);
    if (err != ERR_OK)
        return err;
    return access_op_audit(&op->op, db, "account.password",
                           access_op_subject_id(subject, "account", op->account_id), STR_NONE);
}

static void password_done(struct store_job *job, enum err err)
{
    struct account_op *op = (struct account_op *)(void *)job;
    struct account *account = access_memory_account(op->op.access, op->account_id);
    if (err == ERR_OK) {
        memcpy(account->password_hash, op->new_hash, sizeof(account->password_hash));
        access_memory_end_sessions_of(op->op.access, account, op->keep_session_id);
    }
    access_account_op_finish(op, err);
}

static enum err password_submit(struct access *access, const struct repassword *from)
{
    struct access_by by = {
        .actor = str_from(from->actor),
        .request_id = str_from(from->request_id),
        .now_ms = from->now_ms,
    };
    struct account_op *op = access_op_create(access, sizeof(*op), by, 0);
    if (op == NULL)
        return ERR_NOMEM;
    op->op.job = (struct store_job){.run = password_run, .done = password_done};
    op->op.cookie = from->cookie;
    op->account_id = from->account_id;
    op->keep_session_id = from->keep_session_id;
    op->check_old = from->hashing.verify;
    memcpy(op->old_hash, from->hashing.stored, sizeof(op->old_hash));
    memcpy(op->new_hash, from->hashing.made, sizeof(op->new_hash));
    op->done = from->done;
    return access_op_submit(&op->op);
}

static void password_hashed(struct hashing *hashing)
{
    struct repassword *from = (struct repassword *)(void *)hashing;
    struct access *access = hashing->access;
    if (access != NULL) {
        enum err err = hashing->err;
        if (err == ERR_OK && hashing->verify && !hashing->right)
            err = ERR_DENIED;
        if (hashing->verify && err == ERR_OK)
            access_backoff_forget(&access->backoff, str_from(from->key));
        else if (hashing->verify && err != ERR_DENIED)
            access_backoff_undo(&access->backoff, str_from(from->key));
        if (err == ERR_OK)
            err = password_submit(access, from);
        if (err != ERR_OK)
            from->done(from->cookie, err, NULL);
    }
    access_hashing_free(hashing, sizeof(*from));
}

static enum err repassword_prepare(struct repassword *from, const struct account *account,
                                   const struct access_password_change *change)
{
    from->hashing.make = true;
    from->hashing.verify = change->old_password.at != NULL;
    if (from->hashing.verify)
        memcpy(from->hashing.stored, account->password_hash, sizeof(from->hashing.stored));
    from->account_id = change->account_id;
    from->keep_session_id = change->keep_session_id;
    enum err err = access_hashing_put(from->hashing.old_password, &from->hashing.old_len,
                                      change->old_password);
    if (err != ERR_OK)
        return err;
    return access_hashing_put(from->hashing.new_password, &from->hashing.new_len,
                              change->new_password);
}

enum err access_password_set(struct access *access, struct access_by by,
                             const struct access_password_change *change, int64_t *ret_retry_ms,
                             access_account_fn *done, void *cookie)
{
    const struct account *account = access_memory_account(access, change->account_id);
    if (account == NULL)
        return ERR_NOT_FOUND;
    if (access_password_fault(str_from(account->shown.name), change->new_password) != NULL)
        return ERR_INPUT;
    struct repassword *from = access_hashing_create(access, sizeof(*from), password_hashed);
    if (from == NULL)
        return ERR_NOMEM;
    from->now_ms = by.now_ms;
    from->done = done;
    from->cookie = cookie;
    access_op_copy_by(by, from->actor, from->request_id);
    (void)snprintf(from->key, sizeof(from->key), "old|%lld", (long long)change->account_id);
    struct str key = str_from(from->key);
    enum err err = repassword_prepare(from, account, change);
    if (err != ERR_OK)
        goto fail;
    /* A session left open must not become a place to guess the password that opened it. */
    if (from->hashing.verify &&
        !access_backoff_try(&access->backoff, key, change->mono_ms, ret_retry_ms)) {
        err = ERR_REFUSED;
        goto fail;
    }
    err = access_hashing_start(&from->hashing);
    if (err == ERR_OK)
        return ERR_OK;
    if (from->hashing.verify)
        access_backoff_undo(&access->backoff, key);
fail:
    access_hashing_free(&from->hashing, sizeof(*from));
    return err;
}
