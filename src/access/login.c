/* Signing in with a password: back-off, argon2id on the pool, then the session in one transaction
 * with its record. Wrong, unknown and disabled take the same way as far as anybody outside can see
 * or measure. */
#include "access/access_int.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define BACKOFF_KEY_BYTES (ACCESS_NAME_BYTES + ACCESS_ADDRESS_BYTES)

struct login {
    struct hashing hashing;
    int64_t account_id; /* 0: unknown */
    int64_t old_session_id;
    char key[BACKOFF_KEY_BYTES];
    char request_id[REQUEST_ID_BYTES];
    int64_t now_ms;
    access_signed_in_fn *done;
    void *cookie;
};

/* The second half, once the password was right. */
struct opening {
    struct op op;
    int64_t account_id, old_session_id, session_id;
    char password_hash[PASSWORD_HASH_BYTES];
    char token[ACCESS_SECRET_BYTES];
    char key[BACKOFF_KEY_BYTES];
    access_signed_in_fn *done;
};

static struct str backoff_key(char dst[BACKOFF_KEY_BYTES], struct str name, struct str address)
{
    char name_key[ACCESS_NAME_BYTES];
    char address_key[ACCESS_ADDRESS_BYTES];
    access_name_key_of(name, name_key);
    access_address_key(address, address_key);
    (void)snprintf(dst, BACKOFF_KEY_BYTES, "%s|%s", address_key, name_key);
    return str_from(dst);
}

static enum err opening_run(struct store_job *job, struct store_db *db)
{
    struct opening *opening = (struct opening *)(void *)job;
    struct session *session = opening->op.object;
    char subject[ACCESS_ACTOR_BYTES];
    if (opening->old_session_id != 0) {
        struct store_stmt *stmt = access_sql(db, SQL_SESSION_DELETE);
        store_bind_i64(stmt, 1, opening->old_session_id);
        enum err err = access_sql_exec(db, stmt, NULL);
        if (err != ERR_OK)
            return err;
    }
    struct session_row row = {
        .hash = session->hash,
        .account_id = opening->account_id,
        .password_hash = opening->password_hash,
        .now_ms = opening->op.now_ms,
    };
    enum err err = access_session_insert(db, &row, &opening->session_id);
    if (err != ERR_OK)
        return err;
    return access_op_audit(&opening->op, db, "session.open",
                           access_op_subject_id(subject, "session", opening->session_id), STR_NONE);
}

static void opening_done(struct store_job *job, enum err err)
{
    struct opening *opening = (struct opening *)(void *)job;
    struct access *access = opening->op.access;
    if (err == ERR_OK) {
        struct session *session = opening->op.object;
        struct session *old = access_memory_session(access, opening->old_session_id);
        opening->op.object = NULL;
        session->session_id = opening->session_id;
        session->account = access_memory_account(access, opening->account_id);
        session->created_at_ms = opening->op.now_ms;
        access_backoff_forget(&access->backoff, str_from(opening->key));
        if (old != NULL)
            access_memory_end_session(access, old);
        access_session_opened(access, session, opening->token, opening->done, opening->op.cookie);
    } else {
        if (err != ERR_DENIED)
            access_backoff_undo(&access->backoff, str_from(opening->key));
        opening->done(opening->op.cookie, err, NULL);
    }
    sodium_memzero(opening->token, sizeof(opening->token));
    access_op_free(&opening->op);
}

static enum err opening_start(struct access *access, const struct login *login)
{
    struct account *account = access_memory_account(access, login->account_id);
    char actor[ACCESS_ACTOR_BYTES];
    struct access_by by = {
        .actor = access_op_subject(actor, "account", str_from(account->shown.name)),
        .request_id = str_from(login->request_id),
        .now_ms = login->now_ms,
    };
    struct opening *opening =
        access_op_create(access, sizeof(*opening), by, sizeof(struct session));
    if (opening == NULL)
        return ERR_NOMEM;
    struct session *session = opening->op.object;
    enum err err = access_secret_make("as_", opening->token, session->hash);
    if (err != ERR_OK) {
        access_op_free(&opening->op);
        return err;
    }
    opening->op.job = (struct store_job){.run = opening_run, .done = opening_done};
    opening->op.cookie = login->cookie;
    opening->account_id = login->account_id;
    opening->old_session_id = login->old_session_id;
    opening->done = login->done;
    memcpy(opening->password_hash, login->hashing.stored, sizeof(opening->password_hash));
    memcpy(opening->key, login->key, sizeof(opening->key));
    return access_op_submit(&opening->op);
}

/* ---- a refusal on record; nobody waits for it, so that its commit cannot be measured from outside
 * ---- */

static enum err refused_run(struct store_job *job, struct store_db *db)
{
    struct op *op = (struct op *)(void *)job;
    return access_op_audit(op, db, "session.refused", str_from(op->actor), STR_NONE);
}

static void refused_done(struct store_job *job, enum err err)
{
    (void)err; /* a record of a refusal that the disk refuses holds nobody up */
    access_op_free((struct op *)(void *)job);
}

static void refused_record(struct access *access, const struct login *login)
{
    const struct account *account = access_memory_account(access, login->account_id);
    if (account == NULL)
        return; /* what was typed as a name may well be a password */
    char actor[ACCESS_ACTOR_BYTES];
    struct access_by by = {
        .actor = access_op_subject(actor, "account", str_from(account->shown.name)),
        .request_id = str_from(login->request_id),
        .now_ms = login->now_ms,
    };
    struct op *op = access_op_create(access, sizeof(*op), by, 0);
    if (op == NULL)
        return;
    op->job = (struct store_job){.run = refused_run, .done = refused_done};
    if (access_op_submit(op) != ERR_OK)
        return; /* gone with the attempt */
}

/* ---- the first half ---- */

static void login_hashed(struct hashing *hashing)
{
    struct login *login = (struct login *)(void *)hashing;
    struct access *access = hashing->access;
    if (access == NULL) {
        access_hashing_free(hashing, sizeof(*login));
        return;
    }
    enum err err = hashing->err;
    const struct account *account = access_memory_account(access, login->account_id);
    if (err == ERR_OK && (!hashing->right || account == NULL || account->shown.disabled))
        err = ERR_DENIED;
    if (err == ERR_DENIED)
        refused_record(access, login);
    if (err == ERR_OK)
        err = opening_start(access, login);
    if (err != ERR_OK) {
        if (err != ERR_DENIED)
            access_backoff_undo(&access->backoff, str_from(login->key));
        login->done(login->cookie, err, NULL);
    }
    access_hashing_free(hashing, sizeof(*login));
}

static enum err login_prepare(struct access *access, const struct access_login *from,
                              struct login *login)
{
    const struct account *account = access_memory_account_named(access, from->name);
    /* Too long to be anybody's: checked as an empty one against nothing, which lasts as long. */
    bool possible = from->password.len <= PASSWORD_BYTES_MAX;
    login->hashing.verify = true;
    if (account != NULL && possible) {
        memcpy(login->hashing.stored, account->password_hash, sizeof(login->hashing.stored));
        login->account_id = account->shown.account_id;
    }
    login->now_ms = from->now_ms;
    char nobody[ACCESS_ACTOR_BYTES];
    access_op_copy_by((struct access_by){.request_id = from->request_id}, nobody,
                      login->request_id);
    if (from->old_session.len > 0 && from->old_session.len < ACCESS_SECRET_BYTES) {
        uint8_t hash[SECRET_HASH_BYTES];
        access_secret_hash(from->old_session, hash);
        const struct session *old = access_memory_session_hashed(access, hash);
        login->old_session_id = old != NULL ? old->session_id : 0;
    }
    return access_hashing_put(login->hashing.old_password, &login->hashing.old_len,
                              possible ? from->password : STR_NONE);
}

enum err access_login(struct access *access, const struct access_login *from, int64_t *ret_retry_ms,
                      access_signed_in_fn *done, void *cookie)
{
    if (access->session_count >= access->options.sessions_max)
        return ERR_FULL;
    struct login *login = access_hashing_create(access, sizeof(*login), login_hashed);
    if (login == NULL)
        return ERR_NOMEM;
    login->done = done;
    login->cookie = cookie;
    struct str key = backoff_key(login->key, from->name, from->address);
    enum err err = ERR_REFUSED;
    if (!access_backoff_try(&access->backoff, key, from->mono_ms, ret_retry_ms))
        goto fail;
    err = login_prepare(access, from, login);
    if (err == ERR_OK)
        err = access_hashing_start(&login->hashing);
    if (err != ERR_OK)
        goto undo_try;
    return ERR_OK;

undo_try:
    access_backoff_undo(&access->backoff, key);
fail:
    access_hashing_free(&login->hashing, sizeof(*login));
    return err;
}
