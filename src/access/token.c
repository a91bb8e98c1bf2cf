/* API tokens: for programs that act with a role. */
#include "access/access_int.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

const struct access_token *access_token_next(const struct access *access, int64_t token_id)
{
    for (const struct token *token = access->tokens; token != NULL; token = token->next)
        if (token->shown.token_id > token_id)
            return &token->shown;
    return NULL;
}

struct token_op {
    struct op op;
    int64_t token_id;
    char text[ACCESS_SECRET_BYTES];
    access_token_fn *created;
    void (*revoked)(void *cookie, enum err err);
};

static enum err create_run(struct store_job *job, struct store_db *db)
{
    struct token_op *op = (struct token_op *)(void *)job;
    const struct token *token = op->op.object;
    char subject[ACCESS_ACTOR_BYTES];
    char detail[64];
    if (token->shown.account_id != 0) {
        /* Between the question and now the account may have lost what it wants to hand on. */
        enum access_role role = ACCESS_GUEST;
        struct store_stmt *show = access_sql(db, SQL_ACCOUNT_SHOW);
        store_bind_i64(show, 1, token->shown.account_id);
        enum err shown = store_row(show);
        if (shown != ERR_OK)
            return shown;
        if (access_role_parse(store_col_text(show, 0), &role) != ERR_OK)
            return ERR_IO;
        if (store_col_i64(show, 1) != 0 || token->shown.role > role)
            return ERR_DENIED;
    }
    struct store_stmt *stmt = access_sql(db, SQL_TOKEN_INSERT);
    store_bind_blob(stmt, 1, token->hash, sizeof(token->hash));
    store_bind_text(stmt, 2, str_from(token->shown.name));
    store_bind_text(stmt, 3, str_from(access_role_name(token->shown.role)));
    if (token->shown.account_id != 0)
        store_bind_i64(stmt, 4, token->shown.account_id);
    else
        store_bind_null(stmt, 4);
    store_bind_i64(stmt, 5, op->op.now_ms);
    enum err err = access_sql_exec(db, stmt, NULL);
    if (err != ERR_OK)
        return err;
    op->token_id = store_last_id(db);
    (void)snprintf(detail, sizeof(detail), "{\"role\":\"%s\"}",
                   access_role_name(token->shown.role));
    return access_op_audit(&op->op, db, "token.create",
                           access_op_subject_id(subject, "token", op->token_id), str_from(detail));
}

static void create_done(struct store_job *job, enum err err)
{
    struct token_op *op = (struct token_op *)(void *)job;
    struct token *token = NULL;
    if (err == ERR_OK) {
        token = op->op.object;
        op->op.object = NULL;
        token->shown.token_id = op->token_id;
        token->shown.created_at_ms = op->op.now_ms;
        access_memory_add_token(op->op.access, token);
    }
    op->created(op->op.cookie, err, token != NULL ? &token->shown : NULL,
                token != NULL ? op->text : NULL);
    sodium_memzero(op->text, sizeof(op->text));
    access_op_free(&op->op);
}

/* For people: anything but control characters. */
static bool name_shown(struct str name)
{
    if (name.len == 0 || name.len >= ACCESS_NAME_BYTES || !utf8_valid(name))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if ((uint8_t)name.at[i] < 0x20 || name.at[i] == 0x7f)
            return false;
    return true;
}

enum err access_token_create(struct access *access, struct access_by by, struct str name,
                             enum access_role role, int64_t account_id, access_token_fn *done,
                             void *cookie)
{
    const struct account *account = access_memory_account(access, account_id);
    if (!name_shown(name) || (unsigned)role >= ACCESS_ROLE_COUNT || role == ACCESS_GUEST)
        return ERR_INPUT;
    if (account_id != 0 &&
        (account == NULL || account->shown.disabled || role > account->shown.role))
        return ERR_DENIED;
    if (access->token_count >= access->options.tokens_max)
        return ERR_FULL;
    struct token_op *op = access_op_create(access, sizeof(*op), by, sizeof(struct token));
    if (op == NULL)
        return ERR_NOMEM;
    struct token *token = op->op.object;
    token->shown.role = role;
    token->shown.account_id = account_id;
    enum err err = str_copy(token->shown.name, sizeof(token->shown.name), name);
    if (err == ERR_OK)
        err = access_secret_make("at_", op->text, token->hash);
    if (err != ERR_OK) {
        access_op_free(&op->op);
        return err;
    }
    op->op.job = (struct store_job){.run = create_run, .done = create_done};
    op->op.cookie = cookie;
    op->created = done;
    return access_op_submit(&op->op);
}

static enum err revoke_run(struct store_job *job, struct store_db *db)
{
    struct token_op *op = (struct token_op *)(void *)job;
    char subject[ACCESS_ACTOR_BYTES];
    int64_t changes = 0;
    struct store_stmt *stmt = access_sql(db, SQL_TOKEN_REVOKE);
    store_bind_i64(stmt, 1, op->token_id);
    store_bind_i64(stmt, 2, op->op.now_ms);
    enum err err = access_sql_exec(db, stmt, &changes);
    if (err != ERR_OK)
        return err;
    if (changes == 0)
        return ERR_NOT_FOUND;
    return access_op_audit(&op->op, db, "token.revoke",
                           access_op_subject_id(subject, "token", op->token_id), STR_NONE);
}

static void revoke_done(struct store_job *job, enum err err)
{
    struct token_op *op = (struct token_op *)(void *)job;
    struct token *token = access_memory_token(op->op.access, op->token_id);
    if (err == ERR_OK && token != NULL)
        access_memory_end_token(op->op.access, token);
    op->revoked(op->op.cookie, err);
    access_op_free(&op->op);
}

enum err access_token_revoke(struct access *access, struct access_by by, int64_t token_id,
                             void (*done)(void *cookie, enum err err), void *cookie)
{
    if (access_memory_token(access, token_id) == NULL)
        return ERR_NOT_FOUND;
    struct token_op *op = access_op_create(access, sizeof(*op), by, 0);
    if (op == NULL)
        return ERR_NOMEM;
    op->op.job = (struct store_job){.run = revoke_run, .done = revoke_done};
    op->op.cookie = cookie;
    op->token_id = token_id;
    op->revoked = done;
    return access_op_submit(&op->op);
}
