/* Memory from SQL, once, before the loop runs. */
#include "access/access_int.h"

#include <string.h>

struct load {
    struct store_job job;
    struct access *access;
    int64_t now_ms;
};

static enum err load_account(struct access *access, struct store_stmt *stmt)
{
    struct account *account = mem_zalloc(sizeof(*account));
    if (account == NULL)
        return ERR_NOMEM;
    account->shown.account_id = store_col_i64(stmt, 0);
    account->shown.disabled = store_col_i64(stmt, 4) != 0;
    account->shown.created_at_ms = store_col_i64(stmt, 5);
    struct str name = store_col_text(stmt, 1);
    if (str_copy(account->shown.name, sizeof(account->shown.name), name) != ERR_OK ||
        access_role_parse(store_col_text(stmt, 2), &account->shown.role) != ERR_OK ||
        str_copy(account->password_hash, sizeof(account->password_hash), store_col_text(stmt, 3)) !=
            ERR_OK) {
        mem_free(account);
        return ERR_IO; /* not ours: somebody else wrote into the database */
    }
    access_name_key_of(name, account->name_key);
    access_memory_add_account(access, account);
    return ERR_OK;
}

static enum err load_session(struct access *access, struct store_stmt *stmt)
{
    struct session *session = mem_zalloc(sizeof(*session));
    if (session == NULL)
        return ERR_NOMEM;
    session->session_id = store_col_i64(stmt, 0);
    session->link_id = store_col_i64(stmt, 4);
    session->created_at_ms = store_col_i64(stmt, 5);
    session->last_used_at_ms = store_col_i64(stmt, 6);
    session->saved_used_at_ms = session->last_used_at_ms;
    struct str hash = store_col_blob(stmt, 1);
    enum err err = access_role_parse(store_col_text(stmt, 3), &session->role);
    if (!store_col_null(stmt, 2))
        session->account = access_memory_account(access, store_col_i64(stmt, 2));
    if (err != ERR_OK || hash.len != sizeof(session->hash) ||
        (session->account == NULL && !store_col_null(stmt, 2))) {
        mem_free(session);
        return ERR_IO;
    }
    memcpy(session->hash, hash.at, hash.len);
    access_memory_add_session(access, session);
    return ERR_OK;
}

static enum err load_token(struct access *access, struct store_stmt *stmt)
{
    struct token *token = mem_zalloc(sizeof(*token));
    if (token == NULL)
        return ERR_NOMEM;
    token->shown.token_id = store_col_i64(stmt, 0);
    token->shown.account_id = store_col_i64(stmt, 4);
    token->shown.created_at_ms = store_col_i64(stmt, 5);
    token->shown.last_used_at_ms = store_col_i64(stmt, 6);
    token->saved_used_at_ms = token->shown.last_used_at_ms;
    struct str hash = store_col_blob(stmt, 1);
    if (hash.len != sizeof(token->hash) ||
        str_copy(token->shown.name, sizeof(token->shown.name), store_col_text(stmt, 2)) != ERR_OK ||
        access_role_parse(store_col_text(stmt, 3), &token->shown.role) != ERR_OK) {
        mem_free(token);
        return ERR_IO;
    }
    memcpy(token->hash, hash.at, hash.len);
    access_memory_add_token(access, token);
    return ERR_OK;
}

static enum err each_row(struct access *access, struct store_stmt *stmt,
                         enum err (*load)(struct access *access, struct store_stmt *stmt))
{
    for (;;) {
        enum err err = store_row(stmt);
        if (err == ERR_NOT_FOUND)
            return ERR_OK;
        if (err == ERR_OK)
            err = load(access, stmt);
        if (err != ERR_OK)
            return err;
    }
}

static enum err load_run(struct store_job *job, struct store_db *db)
{
    struct load *load = CONTAINER(job, struct load, job);
    struct access *access = load->access;

    struct store_stmt *stmt = access_sql(db, SQL_SESSIONS_PURGE);
    store_bind_i64(stmt, 1, load->now_ms - SESSION_LIFE_MS);
    store_bind_i64(stmt, 2, load->now_ms - SESSION_IDLE_MS);
    enum err err = access_sql_exec(db, stmt, NULL);
    if (err == ERR_OK)
        err = each_row(access, access_sql(db, SQL_ACCOUNTS_ALL), load_account);
    if (err == ERR_OK)
        err = each_row(access, access_sql(db, SQL_SESSIONS_ALL), load_session);
    if (err == ERR_OK)
        err = each_row(access, access_sql(db, SQL_TOKENS_ALL), load_token);
    return err;
}

enum err access_load(struct access *access, int64_t now_ms)
{
    struct load load = {.job = {.run = load_run}, .access = access, .now_ms = now_ms};
    return store_run_now(access->store, &load.job);
}
