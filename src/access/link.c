/* One-time codes that sign in: for the demo's first visitor, and for people who have no password
 * yet. */
#include "access/access_int.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

struct link_making {
    struct op op;
    int64_t account_id;
    enum access_role role;
    uint8_t hash[SECRET_HASH_BYTES];
    char code[ACCESS_SECRET_BYTES];
    void (*done)(void *cookie, enum err err, const char *code);
};

static enum err making_run(struct store_job *job, struct store_db *db)
{
    struct link_making *making = (struct link_making *)(void *)job;
    char subject[ACCESS_ACTOR_BYTES];
    char detail[64];
    struct store_stmt *stmt = access_sql(db, SQL_LINK_COUNT);
    store_bind_i64(stmt, 1, making->op.now_ms);
    enum err err = store_row(stmt);
    if (err != ERR_OK)
        return err;
    if (store_col_i64(stmt, 0) >= LINKS_MAX)
        return ERR_FULL;
    stmt = access_sql(db, SQL_LINK_INSERT);
    store_bind_blob(stmt, 1, making->hash, sizeof(making->hash));
    if (making->account_id != 0)
        store_bind_i64(stmt, 2, making->account_id);
    else
        store_bind_null(stmt, 2);
    store_bind_text(stmt, 3, str_from(access_role_name(making->role)));
    store_bind_i64(stmt, 4, making->op.now_ms);
    store_bind_i64(stmt, 5, making->op.now_ms + LINK_LIFE_MS);
    err = access_sql_exec(db, stmt, NULL);
    if (err != ERR_OK)
        return err;
    (void)snprintf(detail, sizeof(detail), "{\"account_id\":%lld,\"role\":\"%s\"}",
                   (long long)making->account_id, access_role_name(making->role));
    return access_op_audit(&making->op, db, "link.create",
                           access_op_subject_id(subject, "link", store_last_id(db)),
                           str_from(detail));
}

static void making_done(struct store_job *job, enum err err)
{
    struct link_making *making = (struct link_making *)(void *)job;
    making->done(making->op.cookie, err, err == ERR_OK ? making->code : NULL);
    sodium_memzero(making->code, sizeof(making->code));
    access_op_free(&making->op);
}

enum err access_link_create(struct access *access, struct access_by by, int64_t account_id,
                            enum access_role role,
                            void (*done)(void *cookie, enum err err, const char *code),
                            void *cookie)
{
    const struct account *account = access_memory_account(access, account_id);
    if (account_id != 0 && account == NULL)
        return ERR_NOT_FOUND;
    if (account != NULL)
        role = account->shown.role;
    if ((unsigned)role >= ACCESS_ROLE_COUNT || role == ACCESS_GUEST)
        return ERR_INPUT;
    struct link_making *making = access_op_create(access, sizeof(*making), by, 0);
    if (making == NULL)
        return ERR_NOMEM;
    enum err err = access_secret_make("al_", making->code, making->hash);
    if (err != ERR_OK) {
        access_op_free(&making->op);
        return err;
    }
    making->op.job = (struct store_job){.run = making_run, .done = making_done};
    making->op.cookie = cookie;
    making->account_id = account_id;
    making->role = role;
    making->done = done;
    return access_op_submit(&making->op);
}

/* ---- using one ---- */

struct link_using {
    struct op op;
    uint8_t code_hash[SECRET_HASH_BYTES];
    int64_t link_id, account_id, session_id;
    enum access_role role;
    char token[ACCESS_SECRET_BYTES];
    access_signed_in_fn *done;
};

static enum err find_link(struct link_using *use, struct store_db *db)
{
    struct store_stmt *stmt = access_sql(db, SQL_LINK_FIND);
    store_bind_blob(stmt, 1, use->code_hash, sizeof(use->code_hash));
    store_bind_i64(stmt, 2, use->op.now_ms);
    enum err err = store_row(stmt);
    if (err != ERR_OK)
        return err == ERR_NOT_FOUND ? ERR_DENIED : err;
    use->link_id = store_col_i64(stmt, 0);
    use->account_id = store_col_null(stmt, 1) ? 0 : store_col_i64(stmt, 1);
    return access_role_parse(store_col_text(stmt, 2), &use->role) == ERR_OK ? ERR_OK : ERR_IO;
}

static enum err using_run(struct store_job *job, struct store_db *db)
{
    struct link_using *use = (struct link_using *)(void *)job;
    const struct session *session = use->op.object;
    char subject[ACCESS_ACTOR_BYTES];
    enum err err = find_link(use, db);
    if (err != ERR_OK)
        return err;
    struct store_stmt *stmt = access_sql(db, SQL_LINK_DELETE);
    store_bind_i64(stmt, 1, use->link_id);
    err = access_sql_exec(db, stmt, NULL);
    if (err != ERR_OK)
        return err;
    struct session_row row = {
        .hash = session->hash,
        .account_id = use->account_id,
        .link_id = use->link_id,
        .role = use->role,
        .now_ms = use->op.now_ms,
    };
    err = access_session_insert(db, &row, &use->session_id);
    if (err != ERR_OK)
        return err;
    /* Who asks is known only now: whoever holds the code. */
    (void)access_op_subject_id(use->op.actor, "link", use->link_id);
    return access_op_audit(&use->op, db, "session.open",
                           access_op_subject_id(subject, "session", use->session_id), STR_NONE);
}

static void using_done(struct store_job *job, enum err err)
{
    struct link_using *use = (struct link_using *)(void *)job;
    struct access *access = use->op.access;
    if (err == ERR_OK) {
        struct session *session = use->op.object;
        use->op.object = NULL;
        session->session_id = use->session_id;
        session->link_id = use->link_id;
        session->role = use->role;
        session->account =
            use->account_id != 0 ? access_memory_account(access, use->account_id) : NULL;
        session->created_at_ms = use->op.now_ms;
        access_session_opened(access, session, use->token, use->done, use->op.cookie);
    } else {
        use->done(use->op.cookie, err, NULL);
    }
    sodium_memzero(use->token, sizeof(use->token));
    access_op_free(&use->op);
}

enum err access_link_use(struct access *access, struct access_by by, struct str code,
                         access_signed_in_fn *done, void *cookie)
{
    if (access->session_count >= access->options.sessions_max)
        return ERR_FULL;
    struct link_using *use = access_op_create(access, sizeof(*use), by, sizeof(struct session));
    if (use == NULL)
        return ERR_NOMEM;
    struct session *session = use->op.object;
    enum err err = access_secret_make("as_", use->token, session->hash);
    if (err != ERR_OK) {
        access_op_free(&use->op);
        return err;
    }
    access_secret_hash(str_slice(code, 0, 256), use->code_hash);
    use->op.job = (struct store_job){.run = using_run, .done = using_done};
    use->op.cookie = cookie;
    use->done = done;
    return access_op_submit(&use->op);
}
