/* What the room remembers beside SQL.  Putting in and taking out cannot fail, so that what was
 * committed is also true. */
#include "access/access_int.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

void access_name_key_of(struct str name, char dst[ACCESS_NAME_BYTES])
{
    size_t len = name.len < ACCESS_NAME_BYTES - 1 ? name.len : ACCESS_NAME_BYTES - 1;
    for (size_t i = 0; i < len; i++) {
        char c = name.at[i];
        dst[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    dst[len] = '\0';
}

/* FNV-1a; nobody gains by colliding names, as the table of accounts is walked only as far as staff
 * made it. */
static uint64_t name_hash(const char *name_key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *name_key != '\0'; name_key++)
        hash = (hash ^ (uint8_t)*name_key) * UINT64_C(0x100000001b3);
    return hash;
}

void access_memory_add_account(struct access *access, struct account *account)
{
    access_table_put(&access->accounts_by_id, &account->by_id, (uint64_t)account->shown.account_id);
    access_table_put(&access->accounts_by_name, &account->by_name, name_hash(account->name_key));
    account->next = NULL;
    if (access->accounts_last != NULL) {
        /* Rows get their numbers in the order of the commits, and so do we. */
        ASSERT(access->accounts_last->shown.account_id < account->shown.account_id);
        access->accounts_last->next = account;
    } else {
        access->accounts = account;
    }
    access->accounts_last = account;
    access->account_count++;
}

struct account *access_memory_account(const struct access *access, int64_t account_id)
{
    struct node *node = access_table_first(&access->accounts_by_id, (uint64_t)account_id);
    return node != NULL ? CONTAINER(node, struct account, by_id) : NULL;
}

struct account *access_memory_account_named(const struct access *access, struct str name)
{
    char key[ACCESS_NAME_BYTES];
    if (name.len >= sizeof(key))
        return NULL;
    access_name_key_of(name, key);
    struct node *node = access_table_first(&access->accounts_by_name, name_hash(key));
    for (; node != NULL; node = access_table_next(node)) {
        struct account *account = CONTAINER(node, struct account, by_name);
        if (strcmp(account->name_key, key) == 0)
            return account;
    }
    return NULL;
}

void access_memory_add_session(struct access *access, struct session *session)
{
    access_table_put(&access->sessions_by_id, &session->by_id, (uint64_t)session->session_id);
    access_table_put(&access->sessions_by_hash, &session->by_hash,
                     access_secret_key(session->hash));
    session->prev = NULL;
    session->next = access->sessions;
    if (session->next != NULL)
        session->next->prev = session;
    access->sessions = session;
    access->session_count++;
    if (session->account != NULL) {
        session->account_next = session->account->sessions;
        session->account->sessions = session;
        session->account->session_count++;
    }
}

static void unlink_session(struct access *access, struct session *session)
{
    access_table_remove(&access->sessions_by_id, &session->by_id);
    access_table_remove(&access->sessions_by_hash, &session->by_hash);
    if (session->prev != NULL)
        session->prev->next = session->next;
    else
        access->sessions = session->next;
    if (session->next != NULL)
        session->next->prev = session->prev;
    access->session_count--;
    if (session->account == NULL)
        return;
    struct session **at = &session->account->sessions;
    while (*at != session)
        at = &(*at)->account_next;
    *at = session->account_next;
    session->account->session_count--;
}

static void tell_gone(struct access *access, enum access_via via, int64_t id)
{
    if (access->gone != NULL)
        access->gone(access->gone_cookie, via, id);
}

void access_memory_end_session(struct access *access, struct session *session)
{
    int64_t id = session->session_id;
    unlink_session(access, session);
    mem_free(session);
    tell_gone(access, ACCESS_VIA_SESSION, id);
}

void access_memory_end_sessions_of(struct access *access, struct account *account, int64_t keep_id)
{
    struct session *session = account->sessions;
    while (session != NULL) {
        struct session *next = session->account_next;
        if (session->session_id != keep_id)
            access_memory_end_session(access, session);
        session = next;
    }
}

struct session *access_memory_session(const struct access *access, int64_t session_id)
{
    struct node *node = access_table_first(&access->sessions_by_id, (uint64_t)session_id);
    return node != NULL ? CONTAINER(node, struct session, by_id) : NULL;
}

struct session *access_memory_session_hashed(const struct access *access,
                                             const uint8_t hash[SECRET_HASH_BYTES])
{
    struct node *node = access_table_first(&access->sessions_by_hash, access_secret_key(hash));
    for (; node != NULL; node = access_table_next(node)) {
        struct session *session = CONTAINER(node, struct session, by_hash);
        if (memcmp(session->hash, hash, SECRET_HASH_BYTES) == 0)
            return session;
    }
    return NULL;
}

bool access_session_over(const struct session *session, int64_t now_ms)
{
    return now_ms - session->last_used_at_ms >= SESSION_IDLE_MS ||
           now_ms - session->created_at_ms >= SESSION_LIFE_MS;
}

void access_session_caller(const struct session *session, struct str token,
                           struct access_caller *ret_caller)
{
    const struct account *account = session->account;
    *ret_caller = (struct access_caller){
        .via = ACCESS_VIA_SESSION,
        .role = account != NULL ? account->shown.role : session->role,
        .account_id = account != NULL ? account->shown.account_id : 0,
        .credential_id = session->session_id,
    };
    access_secret_csrf(token, ret_caller->csrf);
    if (account == NULL) {
        (void)access_op_subject_id(ret_caller->actor, "link", session->link_id);
        return;
    }
    memcpy(ret_caller->name, account->shown.name, sizeof(ret_caller->name));
    (void)access_op_subject(ret_caller->actor, "account", str_from(account->shown.name));
}

void access_memory_add_token(struct access *access, struct token *token)
{
    access_table_put(&access->tokens_by_hash, &token->by_hash, access_secret_key(token->hash));
    token->next = NULL;
    if (access->tokens_last != NULL)
        access->tokens_last->next = token;
    else
        access->tokens = token;
    access->tokens_last = token;
    access->token_count++;
}

struct token *access_memory_token(const struct access *access, int64_t token_id)
{
    struct token *token = access->tokens;
    while (token != NULL && token->shown.token_id != token_id)
        token = token->next;
    return token;
}

void access_memory_end_token(struct access *access, struct token *token)
{
    int64_t id = token->shown.token_id;
    struct token *before = NULL;
    for (struct token *at = access->tokens; at != token; at = at->next)
        before = at;
    if (before != NULL)
        before->next = token->next;
    else
        access->tokens = token->next;
    if (access->tokens_last == token)
        access->tokens_last = before;
    access_table_remove(&access->tokens_by_hash, &token->by_hash);
    access->token_count--;
    mem_free(token);
    tell_gone(access, ACCESS_VIA_TOKEN, id);
}

void access_memory_end_tokens_of(struct access *access, int64_t account_id)
{
    struct token *token = access->tokens;
    while (token != NULL) {
        struct token *next = token->next;
        if (token->shown.account_id == account_id)
            access_memory_end_token(access, token);
        token = next;
    }
}

void access_memory_free(struct access *access)
{
    while (access->sessions != NULL) {
        struct session *session = access->sessions;
        access->sessions = session->next;
        mem_free(session);
    }
    while (access->tokens != NULL) {
        struct token *token = access->tokens;
        access->tokens = token->next;
        mem_free(token);
    }
    while (access->accounts != NULL) {
        struct account *account = access->accounts;
        access->accounts = account->next;
        sodium_memzero(account->password_hash, sizeof(account->password_hash));
        mem_free(account);
    }
}
