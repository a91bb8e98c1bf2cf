/* Sessions: opened by a password (login.c) or a link (link.c), ended here. */
#include "access/access_int.h"

#include <string.h>

enum err access_session_insert(struct store_db *db, const struct session_row *row, int64_t *ret_id)
{
    int64_t changes = 0;
    struct store_stmt *stmt = NULL;
    if (row->account_id == 0) {
        stmt = access_sql(db, SQL_SESSION_INSERT);
        store_bind_text(stmt, 2, str_from(access_role_name(row->role)));
        store_bind_i64(stmt, 3, row->link_id);
        store_bind_i64(stmt, 4, row->now_ms);
    } else {
        stmt = access_sql(db, SQL_SESSION_INSERT_ACCOUNT);
        store_bind_i64(stmt, 2, row->link_id);
        store_bind_i64(stmt, 3, row->now_ms);
        store_bind_i64(stmt, 4, row->account_id);
        store_bind_text(stmt, 5,
                        row->password_hash != NULL ? str_from(row->password_hash) : STR_NONE);
    }
    store_bind_blob(stmt, 1, row->hash, SECRET_HASH_BYTES);
    enum err err = access_sql_exec(db, stmt, &changes);
    if (err != ERR_OK)
        return err;
    if (changes == 0)
        return ERR_DENIED; /* disabled, or another password since */
    *ret_id = store_last_id(db);
    if (row->account_id == 0)
        return ERR_OK;

    stmt = access_sql(db, SQL_SESSION_SURPLUS);
    store_bind_i64(stmt, 1, row->account_id);
    store_bind_i64(stmt, 2, SESSIONS_PER_ACCOUNT);
    err = store_row(stmt);
    if (err != ERR_OK)
        return err == ERR_NOT_FOUND ? ERR_OK : err;
    int64_t surplus_id = store_col_i64(stmt, 0);
    stmt = access_sql(db, SQL_SESSION_DELETE_OLD);
    store_bind_i64(stmt, 1, row->account_id);
    store_bind_i64(stmt, 2, surplus_id);
    return access_sql_exec(db, stmt, NULL);
}

static void end_surplus(struct access *access, struct account *account)
{
    while (account->session_count > SESSIONS_PER_ACCOUNT) {
        struct session *oldest = account->sessions;
        for (struct session *at = oldest; at != NULL; at = at->account_next)
            if (at->session_id < oldest->session_id)
                oldest = at;
        access_memory_end_session(access, oldest);
    }
}

void access_session_opened(struct access *access, struct session *session,
                           const char token[ACCESS_SECRET_BYTES], access_signed_in_fn *done,
                           void *cookie)
{
    struct access_signed_in in = {.expires_at_ms = session->created_at_ms + SESSION_LIFE_MS};
    session->last_used_at_ms = session->created_at_ms;
    session->saved_used_at_ms = session->created_at_ms;
    access_memory_add_session(access, session);
    if (session->account != NULL)
        end_surplus(access, session->account);
    memcpy(in.token, token, sizeof(in.token));
    access_session_caller(session, str_from(token), &in.caller);
    done(cookie, ERR_OK, &in);
}

/* ---- signing out ---- */

struct logout {
    struct op op;
    int64_t session_id;
    void (*done)(void *cookie, enum err err);
};

static enum err logout_run(struct store_job *job, struct store_db *db)
{
    struct logout *logout = (struct logout *)(void *)job;
    char subject[ACCESS_ACTOR_BYTES];
    int64_t changes = 0;
    struct store_stmt *stmt = access_sql(db, SQL_SESSION_DELETE);
    store_bind_i64(stmt, 1, logout->session_id);
    enum err err = access_sql_exec(db, stmt, &changes);
    if (err != ERR_OK || changes == 0)
        return err; /* over already is what was asked for */
    return access_op_audit(&logout->op, db, "session.close",
                           access_op_subject_id(subject, "session", logout->session_id), STR_NONE);
}

static void logout_done(struct store_job *job, enum err err)
{
    struct logout *logout = (struct logout *)(void *)job;
    struct session *session = access_memory_session(logout->op.access, logout->session_id);
    if (err == ERR_OK && session != NULL)
        access_memory_end_session(logout->op.access, session);
    logout->done(logout->op.cookie, err);
    access_op_free(&logout->op);
}

enum err access_logout(struct access *access, struct access_by by, int64_t session_id,
                       void (*done)(void *cookie, enum err err), void *cookie)
{
    if (access_memory_session(access, session_id) == NULL)
        return ERR_NOT_FOUND;
    struct logout *logout = access_op_create(access, sizeof(*logout), by, 0);
    if (logout == NULL)
        return ERR_NOMEM;
    logout->op.job = (struct store_job){.run = logout_run, .done = logout_done};
    logout->op.cookie = cookie;
    logout->session_id = session_id;
    logout->done = done;
    return access_op_submit(&logout->op);
}
