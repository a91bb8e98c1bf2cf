/* Once a minute: what ran out ends, what was used is written down.  One sweep at a time, a bounded
 * number of rows; what does not fit comes with the next one. */
#include "access/access_int.h"

enum sweep_what { SWEEP_SESSION_OVER, SWEEP_SESSION_USED, SWEEP_TOKEN_USED };
struct sweep_row {
    enum sweep_what what;
    int64_t id, at_ms;
};
struct sweep {
    struct op op;
    uint32_t count;
    struct sweep_row row[SWEEP_ROWS_MAX];
};

static enum err sweep_run(struct store_job *job, struct store_db *db)
{
    static const enum access_statement statement[] = {
        [SWEEP_SESSION_OVER] = SQL_SESSION_DELETE,
        [SWEEP_SESSION_USED] = SQL_SESSION_USED,
        [SWEEP_TOKEN_USED] = SQL_TOKEN_USED,
    };
    struct sweep *sweep = (struct sweep *)(void *)job;
    struct store_stmt *stmt = access_sql(db, SQL_LINKS_PURGE);
    store_bind_i64(stmt, 1, sweep->op.now_ms);
    enum err err = access_sql_exec(db, stmt, NULL);
    for (uint32_t i = 0; i < sweep->count && err == ERR_OK; i++) {
        const struct sweep_row *row = &sweep->row[i];
        stmt = access_sql(db, statement[row->what]);
        store_bind_i64(stmt, 1, row->id);
        if (row->what != SWEEP_SESSION_OVER)
            store_bind_i64(stmt, 2, row->at_ms);
        err = access_sql_exec(db, stmt, NULL);
    }
    return err;
}

static void sweep_done(struct store_job *job, enum err err)
{
    struct sweep *sweep = (struct sweep *)(void *)job;
    struct access *access = sweep->op.access;
    access->sweeping = false;
    for (uint32_t i = 0; i < sweep->count && err == ERR_OK; i++) {
        const struct sweep_row *row = &sweep->row[i];
        struct session *session = NULL;
        struct token *token = NULL;
        if (row->what == SWEEP_SESSION_USED &&
            (session = access_memory_session(access, row->id)) != NULL)
            session->saved_used_at_ms = row->at_ms;
        if (row->what == SWEEP_TOKEN_USED && (token = access_memory_token(access, row->id)) != NULL)
            token->saved_used_at_ms = row->at_ms;
    }
    access_op_free(&sweep->op);
}

static bool add_row(struct sweep *sweep, enum sweep_what what, int64_t id, int64_t at_ms)
{
    if (sweep->count == SWEEP_ROWS_MAX)
        return false;
    sweep->row[sweep->count++] = (struct sweep_row){what, id, at_ms};
    return true;
}

void access_sweep(struct access *access, int64_t now_ms)
{
    if (access->sweeping)
        return;
    struct access_by by = {.actor = STR("system"), .now_ms = now_ms};
    struct sweep *sweep = access_op_create(access, sizeof(*sweep), by, 0);
    if (sweep == NULL)
        return; /* nothing is lost: the next one finds the same */
    sweep->op.job = (struct store_job){.run = sweep_run, .done = sweep_done};

    struct session *next = NULL;
    for (struct session *session = access->sessions; session != NULL; session = next) {
        next = session->next;
        if (access_session_over(session, now_ms)) {
            if (add_row(sweep, SWEEP_SESSION_OVER, session->session_id, 0))
                access_memory_end_session(access, session);
        } else if (session->saved_used_at_ms != session->last_used_at_ms) {
            (void)add_row(sweep, SWEEP_SESSION_USED, session->session_id, session->last_used_at_ms);
        }
    }
    for (struct token *token = access->tokens; token != NULL; token = token->next) {
        if (token->saved_used_at_ms != token->shown.last_used_at_ms)
            (void)add_row(sweep, SWEEP_TOKEN_USED, token->shown.token_id,
                          token->shown.last_used_at_ms);
    }
    access->sweeping = access_op_submit(&sweep->op) == ERR_OK;
}
