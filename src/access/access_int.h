/* Inside of access: what its files share. */
#ifndef AUTOMAT_ACCESS_INT_H
#define AUTOMAT_ACCESS_INT_H

#include "access/access.h"
#include "record/record.h"

#include <stddef.h>

#define SECRET_HASH_BYTES    32
#define PASSWORD_HASH_BYTES  128 /* crypto_pwhash_STRBYTES */
#define PASSWORD_BYTES_MAX   256
#define PASSWORD_CHARS_MIN   10
#define SESSION_IDLE_MS      ((int64_t)12 * 3600 * 1000)
#define SESSION_LIFE_MS      ((int64_t)7 * 24 * 3600 * 1000)
#define SESSIONS_PER_ACCOUNT 16
#define LINK_LIFE_MS         ((int64_t)3600 * 1000)
#define LINKS_MAX            1000
#define HASHES_AT_ONCE       2 /* argon2id at once: each takes a core and 19 MiB */
#define SWEEP_ROWS_MAX       512
#define REQUEST_ID_BYTES     65

#define CONTAINER(pointer, type, member)                                                           \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* ---- hash tables whose entries bring their own links, so that putting one in cannot fail
 * (table.c) ---- */

#define TABLE_BUCKETS 1024
struct node {
    uint64_t key;
    struct node *next;
};
struct table {
    struct node *bucket[TABLE_BUCKETS];
};
void access_table_put(struct table *table, struct node *node, uint64_t key);
void access_table_remove(struct table *table, struct node *node);
/* The first entry with this key, then the next one with the same: keys may collide, the caller
 * compares. */
struct node *access_table_first(const struct table *table, uint64_t key);
struct node *access_table_next(const struct node *node);

/* ---- a bounded map from a key to two numbers; the least recently used gives way (lru.c) ---- */

struct lru_slot {
    uint64_t key;
    int64_t value[2]; /* zero when the slot is new */
    uint32_t chain, newer, older;
};
struct lru {
    uint32_t max, count, mask;
    uint32_t newest, oldest;
    struct lru_slot *slot;
    uint32_t *bucket;
    uint8_t secret[16]; /* so that nobody outside can choose keys that collide */
};
MUST_USE enum err access_lru_init(struct lru *lru, uint32_t max);
void access_lru_finish(struct lru *lru);
/* Never NULL; the slot is now the newest, and made if it was not there. */
struct lru_slot *access_lru_touch(struct lru *lru, struct str key);

/* ---- login back-off (backoff.c) ---- */

/* May this key try now?  True counts the try as a failure beforehand, so that tries at the same
 * time count too. */
bool access_backoff_try(struct lru *lru, struct str key, int64_t mono_ms, int64_t *ret_retry_ms);
void access_backoff_forget(struct lru *lru, struct str key); /* it was right */
void access_backoff_undo(struct lru *lru, struct str key);   /* it could not be told */

/* ---- secrets (secret.c) ---- */

/* A new secret: `prefix` of 3 bytes and 256 random bits in base64url, and what is stored of it. */
MUST_USE enum err access_secret_make(const char *prefix, char ret_text[ACCESS_SECRET_BYTES],
                                     uint8_t ret_hash[SECRET_HASH_BYTES]);
void access_secret_hash(struct str text, uint8_t ret_hash[SECRET_HASH_BYTES]);
/* Of a session's token, so that nothing more needs to be stored; from its hash it cannot be had. */
void access_secret_csrf(struct str token, char ret_csrf[ACCESS_SECRET_BYTES]);
uint64_t access_secret_key(const uint8_t hash[SECRET_HASH_BYTES]);

/* ---- what memory holds ---- */

struct session;
struct account {
    struct access_account shown;
    char name_key[ACCESS_NAME_BYTES];
    char password_hash[PASSWORD_HASH_BYTES];
    struct node by_id, by_name;
    struct account *next;     /* by account_id */
    struct session *sessions; /* newest first */
    uint32_t session_count;
};
struct session {
    int64_t session_id, link_id;
    uint8_t hash[SECRET_HASH_BYTES];
    struct account *account; /* NULL: only a role */
    enum access_role role;   /* used without account */
    int64_t created_at_ms, last_used_at_ms, saved_used_at_ms;
    struct node by_id, by_hash;
    struct session *next, *prev; /* all */
    struct session *account_next;
};
struct token {
    struct access_token shown;
    uint8_t hash[SECRET_HASH_BYTES];
    int64_t saved_used_at_ms;
    struct node by_hash;
    struct token *next; /* by token_id */
};

struct op;
struct hashing;
struct access {
    struct loop *loop;
    struct store *store;
    struct access_options options;
    uint8_t preset_hash[SECRET_HASH_BYTES];
    bool preset;

    struct table accounts_by_id, accounts_by_name, sessions_by_id, sessions_by_hash, tokens_by_hash;
    struct account *accounts, *accounts_last;
    struct session *sessions;
    struct token *tokens, *tokens_last;
    uint32_t account_count, session_count, token_count;

    struct op *ops; /* on their way through the store */
    bool sweeping;
    struct hashing *hash_waiting, *hash_waiting_last, *hash_running;
    uint32_t hash_waiting_count, hash_running_count;

    struct lru backoff;
    struct access_rate *rate[ACCESS_RATE_CLASS_COUNT];
    void (*gone)(void *cookie, enum access_via via, int64_t credential_id);
    void *gone_cookie;
};

/* memory.c: putting in and taking out; none of it fails */
void access_memory_add_account(struct access *access, struct account *account);
void access_memory_add_session(struct access *access, struct session *session);
void access_memory_add_token(struct access *access, struct token *token);
/* Takes it out, tells the watcher, frees it. */
void access_memory_end_session(struct access *access, struct session *session);
void access_memory_end_token(struct access *access, struct token *token);
/* Everything of an account but this session (0: all). */
void access_memory_end_sessions_of(struct access *access, struct account *account, int64_t keep_id);
void access_memory_end_tokens_of(struct access *access, int64_t account_id);
struct account *access_memory_account(const struct access *access, int64_t account_id);
struct account *access_memory_account_named(const struct access *access, struct str name);
struct session *access_memory_session(const struct access *access, int64_t session_id);
struct session *access_memory_session_hashed(const struct access *access,
                                             const uint8_t hash[SECRET_HASH_BYTES]);
struct token *access_memory_token(const struct access *access, int64_t token_id);
bool access_session_over(const struct session *session, int64_t now_ms);
void access_session_caller(const struct session *session, struct str token,
                           struct access_caller *ret_caller);
void access_memory_free(struct access *access);
void access_name_key_of(struct str name,
                        char dst[ACCESS_NAME_BYTES]); /* lower case; cut when too long */

/* ---- a change on its way through the store (op.c) ---- */

/* First member of every change's own struct, so a store_job is the op and the op is the change. */
struct op {
    struct store_job job;
    struct access *access;
    struct op *next, *prev;
    void *object; /* account, session or token that memory gets after the commit; freed with the op
                     otherwise */
    char actor[ACCESS_ACTOR_BYTES];
    char request_id[REQUEST_ID_BYTES];
    int64_t now_ms;
    void *cookie;
};
void *access_op_create(struct access *access, size_t bytes, struct access_by by,
                       size_t object_bytes);
/* Copies of who does it, for what happens before there is an op; cut when too long. */
void access_op_copy_by(struct access_by by, char actor[ACCESS_ACTOR_BYTES],
                       char request_id[REQUEST_ID_BYTES]);
/* Gives it to the store.  On failure the op is gone. */
MUST_USE enum err access_op_submit(struct op *op);
void access_op_free(struct op *op); /* wiped */
MUST_USE enum err access_op_audit(const struct op *op, struct store_db *db, const char *action,
                                  struct str subject, struct str detail);
/* "account:alice" */
struct str access_op_subject(char dst[ACCESS_ACTOR_BYTES], const char *kind, struct str name);
struct str access_op_subject_id(char dst[ACCESS_ACTOR_BYTES], const char *kind, int64_t id);

/* A change of an account (account.c, repassword.c). */
struct account_op {
    struct op op;
    int64_t account_id;
    enum access_role role;
    bool disabled, changed;
    int64_t keep_session_id;
    bool check_old;
    char old_hash[PASSWORD_HASH_BYTES], new_hash[PASSWORD_HASH_BYTES];
    access_account_fn *done;
};

void access_account_op_finish(struct account_op *op, enum err err); /* calls done, frees */

/* ---- passwords on the pool (password.c) ---- */

struct hashing {
    struct loop_job job;
    struct access *access; /* NULL: the room is gone */
    struct hashing *next, *prev;
    bool verify, make;
    bool right;                       /* verify: the password was this one */
    enum err err;                     /* out of memory for argon2id */
    char stored[PASSWORD_HASH_BYTES]; /* verify against; empty: unknown account, which shall last as
                                         long */
    char made[PASSWORD_HASH_BYTES];
    char old_password[PASSWORD_BYTES_MAX], new_password[PASSWORD_BYTES_MAX];
    size_t old_len, new_len;
    unsigned long long ops;
    size_t mem_bytes;
    /* On the loop; NULL access means: only free what is yours. */
    void (*then)(struct hashing *hashing);
};
void *access_hashing_create(struct access *access, size_t bytes,
                            void (*then)(struct hashing *hashing));
/* ERR_FULL: too many wait.  Then it is still the caller's. */
MUST_USE enum err access_hashing_start(struct hashing *hashing);
void access_hashing_free(struct hashing *hashing, size_t bytes); /* wiped */
void access_hashing_abandon(struct access *access);              /* at the end of the room */
MUST_USE enum err access_hashing_put(char *dst, size_t *ret_len, struct str password);

/* ---- statements (sql.c) ---- */

enum access_statement {
    SQL_ACCOUNTS_ALL,
    SQL_SESSIONS_ALL,
    SQL_TOKENS_ALL,
    SQL_SESSIONS_PURGE,
    SQL_LINKS_PURGE,
    SQL_ACCOUNT_INSERT,
    SQL_ACCOUNT_UPDATE,
    SQL_ACCOUNT_SHOW,
    SQL_ACCOUNT_OTHER_ADMINS,
    SQL_ACCOUNT_PASSWORD,
    SQL_SESSION_INSERT,
    SQL_SESSION_INSERT_ACCOUNT,
    SQL_SESSION_SURPLUS,
    SQL_SESSION_DELETE_OLD,
    SQL_SESSION_DELETE,
    SQL_SESSION_DELETE_ACCOUNT,
    SQL_SESSION_USED,
    SQL_TOKEN_INSERT,
    SQL_TOKEN_REVOKE,
    SQL_TOKEN_REVOKE_ACCOUNT,
    SQL_TOKEN_USED,
    SQL_LINK_INSERT,
    SQL_LINK_COUNT,
    SQL_LINK_FIND,
    SQL_LINK_DELETE,
    SQL_LINK_DELETE_ACCOUNT,
    SQL_COUNT
};
struct store_stmt *access_sql(struct store_db *db, enum access_statement index);
/* Run one that gives no rows. */
MUST_USE enum err access_sql_exec(struct store_db *db, struct store_stmt *stmt,
                                  int64_t *ret_changes);

/* load.c */
MUST_USE enum err access_load(struct access *access, int64_t now_ms);

/* Puts a session for `account` (or only `role`) into SQL; ret_id its number. */
struct session_row {
    const uint8_t *hash;
    int64_t account_id, link_id;
    enum access_role role;
    const char *password_hash; /* the account must still have this one, and not be disabled */
    int64_t now_ms;
};
MUST_USE enum err access_session_insert(struct store_db *db, const struct session_row *row,
                                        int64_t *ret_id);
/* After the commit: into memory, surplus out; tells the caller's callback. */
void access_session_opened(struct access *access, struct session *session,
                           const char token[ACCESS_SECRET_BYTES], access_signed_in_fn *done,
                           void *cookie);

#endif
