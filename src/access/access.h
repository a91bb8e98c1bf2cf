/* access: who a person is and what a role may do: accounts, sessions, API tokens, sign-in links,
 * the table of rights, login back-off and rate limits.  Devices are fleet's.
 *
 * Promises: no password, token or code is ever written down, only its hash; a change of role and a
 * revocation end what hangs on it at once; there is always an admin left; every table in memory has
 * a bound.
 *
 * Loop thread only.  Look-ups answer from memory, which is rebuilt from SQL at start.  A function
 * that ends in (done, cookie) and returns ERR_OK calls `done` on the loop exactly once, later than
 * the call, when its result is durable and in memory; if it returns anything else it did nothing
 * and `done` is not called.  Besides what each one names, all of them may give ERR_NOMEM, ERR_FULL
 * (too much waits), ERR_CLOSED, and through `done` ERR_IO. Destroy it after the store is closed, so
 * that nothing is on its way any more. `now_ms` is server time (loop_wall_ms) unless it is called
 * mono_ms (loop_now_ms). */
#ifndef AUTOMAT_ACCESS_H
#define AUTOMAT_ACCESS_H

#include "base/base.h"
#include "loop/loop.h"
#include "store/store.h"
#include "sys/sys.h"

/* ---- the table of rights ---- */

enum access_role { ACCESS_GUEST, ACCESS_CUSTOMER, ACCESS_STAFF, ACCESS_ADMIN, ACCESS_ROLE_COUNT };

/* One for each thing a route asks for.  OWN: only what the caller made itself; the route compares
 * created_by. */
enum access_permission {
    ACCESS_SESSION_USE,    /* sign in, ask who I am, sign out */
    ACCESS_KINDS_READ,     /* kinds and their limits, openapi.yaml, healthz, readyz */
    ACCESS_PASSWORD_OWN,   /* change one's own password */
    ACCESS_MACHINE_READ,   /* machines: list, show */
    ACCESS_MACHINE_MANAGE, /* machines: add, hold, release, admit, block, configure, name */
    ACCESS_MACHINE_TOKEN,  /* a machine's tokens: list, make, revoke */
    ACCESS_DEVICE_SPEAK,   /* check, claim, report, hello: no role, only the device itself */
    ACCESS_COMMAND_CREATE,
    ACCESS_COMMAND_READ_OWN, /* show, history, curve, list of what I ordered */
    ACCESS_COMMAND_READ,     /* the same of everybody */
    ACCESS_COMMAND_CANCEL_OWN,
    ACCESS_COMMAND_CANCEL,
    ACCESS_COMMAND_APPROVE,
    ACCESS_COMMAND_SETTLE,
    ACCESS_EVENTS_WATCH,     /* the WebSocket: machines, own commands */
    ACCESS_EVENTS_WATCH_ALL, /* everybody's commands, alerts, audit */
    ACCESS_ALERT_READ,
    ACCESS_ALERT_ACKNOWLEDGE,
    ACCESS_AUDIT_READ, /* list and verify */
    ACCESS_METRICS_READ,
    ACCESS_ACCOUNT_MANAGE,   /* accounts: list, add, change, sign-in links */
    ACCESS_TOKEN_MANAGE,     /* API tokens: list, make, revoke */
    ACCESS_TELEMETRY_READ,   /* readings of the rooms: latest, series, export */
    ACCESS_TELEMETRY_MANAGE, /* what was refused, how long readings are kept */
    ACCESS_CLIMATE_READ,     /* windows, predictions, the model */
    ACCESS_CLIMATE_MANAGE,   /* a window's mode, the model's rollback */
    ACCESS_ASSISTANT_ASK,    /* the language models: generate, chat, summarize, classify, /v1 */
    ACCESS_MODEL_TRAIN,      /* training jobs, what they learned into the models' folder */
    ACCESS_PERMISSION_COUNT
};

bool access_allows(enum access_role role, enum access_permission permission);
const char *access_permission_name(enum access_permission permission); /* "command_create" */
const char *access_role_name(enum access_role role); /* "guest", "customer", "staff", "admin" */
MUST_USE enum err access_role_parse(struct str text, enum access_role *ret_role);

/* ---- the room ---- */

struct access;

/* What every change is recorded with. */
struct access_by {
    struct str actor;      /* struct access_caller's; "system" when nobody asked */
    struct str request_id; /* may be empty */
    int64_t now_ms;
};

/* Token buckets: `burst` at once, then `per_minute`. */
struct access_rate_limit {
    uint32_t burst, per_minute;
};
enum access_rate_class {
    ACCESS_RATE_READ,  /* default 1,000 at once, then 200/s */
    ACCESS_RATE_WRITE, /* default 300 at once, then 50/s */
    ACCESS_RATE_LOGIN, /* default 10 at once, then 10/min: everything that tries a secret */
    ACCESS_RATE_HELLO, /* default 6 at once, then 6/min: unknown devices that announce themselves,
                          by address */
    ACCESS_RATE_ASK,   /* default 20 at once, then 1/s: questions to a language model */
    ACCESS_RATE_CLASS_COUNT
};

struct access_options {
    struct str preset_admin_token; /* an admin API token that lives in memory only; 16..256 bytes,
                                      or empty: none */
    uint32_t accounts_max;         /* 0: 100,000 */
    uint32_t sessions_max;         /* 0: 10,000; at most 16 an account, the oldest gives way */
    uint32_t tokens_max;           /* 0: 1,000 not revoked */
    uint32_t login_waiting_max;    /* 0: 32 passwords waiting to be hashed, then ERR_FULL */
    uint32_t password_ops;         /* argon2id passes; 0: 2 */
    size_t password_mem_bytes;     /* argon2id memory; 0: 19 MiB */
    uint32_t
        rate_keys_max; /* keys remembered in each rate table and in the back-off table; 0: 8,192 */
    struct access_rate_limit rate[ACCESS_RATE_CLASS_COUNT]; /* zero: the default */
};

/* ERR_INPUT: the preset token or the argon2id limits are not acceptable.  Reads everything with
 * store_run_now. */
MUST_USE enum err access_create(struct loop *loop, struct store *store,
                                const struct access_options *options, int64_t now_ms,
                                struct access **ret_access);
void access_destroy(struct access *access); /* NULL does nothing */

/* To be called about once a minute: ends sessions that ran out, forgets used and old links, writes
 * down last_used. */
void access_sweep(struct access *access, int64_t now_ms);

/* ---- callers: from what a request carries to who it is ---- */

enum access_via { ACCESS_VIA_NOTHING, ACCESS_VIA_SESSION, ACCESS_VIA_TOKEN, ACCESS_VIA_PRESET };

#define ACCESS_NAME_BYTES   (ID_BYTES_MAX + 1)
#define ACCESS_ACTOR_BYTES  (ID_BYTES_MAX + 16)
#define ACCESS_SECRET_BYTES 48 /* "as_" and 43 characters, and NUL */

struct access_caller {
    enum access_via via;
    enum access_role role;
    int64_t account_id;    /* 0: none (preset token, session from a link that names only a role) */
    int64_t credential_id; /* session_id or token_id, as access_watch reports it; 0 for the preset
                              token */
    char name[ACCESS_NAME_BYTES];   /* the account's, or the token's; "" when there is none */
    char actor[ACCESS_ACTOR_BYTES]; /* "account:alice", "token:7", "token:preset", "link:3": for
                                       created_by and audit */
    char csrf[ACCESS_SECRET_BYTES]; /* sessions only: what X-CSRF-Token must carry */
};

/* The token after "Authorization: Bearer ".  ERR_DENIED: unknown or revoked. */
MUST_USE enum err access_token_find(struct access *access, struct str token, int64_t now_ms,
                                    struct access_caller *ret_caller);
/* The token from the session cookie.  ERR_DENIED: unknown, ended, idle for 12 h or older than 7
 * days.  Counts as use. */
MUST_USE enum err access_session_find(struct access *access, struct str token, int64_t now_ms,
                                      struct access_caller *ret_caller);
/* True unless the caller is a session and `header` (X-CSRF-Token) is not its csrf: a header token
 * cannot be sent by another site's page, a cookie can.  Takes the same time wherever they differ.
 */
bool access_csrf_ok(const struct access_caller *caller, struct str header);
/* True when there is no Origin, or it names the same host and port as Host.  For the WebSocket and
 * for signing in, which has no session yet whose csrf it could ask for (another site must not sign
 * people in as somebody else). */
bool access_origin_ok(struct str origin, struct str host);

#define ACCESS_COOKIE_NAME "automat_session"
/* The value of our cookie in a Cookie header; STR_NONE when absent or given twice. */
struct str access_cookie_find(struct str header);
/* The value of Set-Cookie.  `secure`: over TLS.  An empty token removes the cookie. */
void access_cookie_set(struct text *text, struct str token, bool secure);

/* Called when a session or token is gone (signed out, revoked, ran out, role changed): close its
 * sockets.  One watcher. */
void access_watch(struct access *access,
                  void (*gone)(void *cookie, enum access_via via, int64_t credential_id),
                  void *cookie);

/* ---- signing in and out ---- */

struct access_login {
    struct str name, password;
    struct str address; /* of the peer; an IPv6 address counts by its /64 */
    struct str request_id;
    int64_t now_ms, mono_ms;
    struct str old_session; /* the cookie the request came with, if any: that session ends */
};
/* `ret` lives until the callback returns and is NULL unless err is ERR_OK.  Its token is nowhere
 * else. */
struct access_signed_in {
    struct access_caller caller;
    char token[ACCESS_SECRET_BYTES]; /* for access_cookie_set */
    int64_t expires_at_ms;
};
typedef void access_signed_in_fn(void *cookie, enum err err,
                                 const struct access_signed_in *signed_in);

/* ERR_REFUSED at once: too many failures of this name from this address, `ret_retry_ms` to wait (1
 * s, 2 s, ... 15 min; other addresses are not kept out).  ERR_FULL: too many sign-ins wait. Through
 * done ERR_DENIED: wrong, unknown or disabled, which look and last the same. */
MUST_USE enum err access_login(struct access *access, const struct access_login *login,
                               int64_t *ret_retry_ms, access_signed_in_fn *done, void *cookie);

/* A code that signs in once within an hour: as the account, or as nobody in particular with `role`
 * if account_id is 0. done: `code` lives until it returns. */
MUST_USE enum err access_link_create(struct access *access, struct access_by by, int64_t account_id,
                                     enum access_role role,
                                     void (*done)(void *cookie, enum err err, const char *code),
                                     void *cookie);
/* Through done ERR_DENIED: unknown, used or too old. */
MUST_USE enum err access_link_use(struct access *access, struct access_by by, struct str code,
                                  access_signed_in_fn *done, void *cookie);

/* Ends the session.  ERR_NOT_FOUND at once: no such session. */
MUST_USE enum err access_logout(struct access *access, struct access_by by, int64_t session_id,
                                void (*done)(void *cookie, enum err err), void *cookie);

/* ---- accounts ---- */

struct access_account {
    int64_t account_id;
    char name[ACCESS_NAME_BYTES]; /* an id (id_valid); unique without regard to case */
    enum access_role role;        /* customer, staff or admin */
    bool disabled;
    int64_t created_at_ms;
};

/* NULL, or why this password is not good enough, as a stable code: "password_too_short" (under 10
 * characters), "password_too_long" (over 256 bytes), "password_not_utf8", "password_is_name". */
const char *access_password_fault(struct str name, struct str password);

/* NULL when there is none.  Valid until the loop's next turn. */
const struct access_account *access_account_find(const struct access *access, int64_t account_id);
const struct access_account *access_account_named(const struct access *access, struct str name);
/* In the order of their numbers: the first one after `account_id`, NULL at the end.  Start with 0.
 */
const struct access_account *access_account_next(const struct access *access, int64_t account_id);

/* `account` lives until the callback returns, NULL unless ERR_OK. */
typedef void access_account_fn(void *cookie, enum err err, const struct access_account *account);

/* ERR_INPUT: name, role (guest is nobody's) or password.  ERR_CONFLICT, at once or through done:
 * the name is taken. */
MUST_USE enum err access_account_create(struct access *access, struct access_by by, struct str name,
                                        enum access_role role, struct str password,
                                        access_account_fn *done, void *cookie);
/* Role and disabled as they shall be.  A change ends every session and API token of the account.
 * ERR_NOT_FOUND, ERR_INPUT (guest); through done ERR_REFUSED: nobody would be left who is admin and
 * not disabled. */
MUST_USE enum err access_account_change(struct access *access, struct access_by by,
                                        int64_t account_id, enum access_role role, bool disabled,
                                        access_account_fn *done, void *cookie);
/* `old_password` is checked unless its `at` is NULL (an admin does it for somebody).  Ends all
 * sessions of the account but `keep_session_id`; API tokens stay.  ERR_INPUT:
 * access_password_fault.  ERR_NOT_FOUND.  ERR_REFUSED: too many wrong old passwords, try later.
 * Through done ERR_DENIED: wrong. */
struct access_password_change {
    int64_t account_id, keep_session_id;
    struct str old_password, new_password;
    int64_t mono_ms;
};
MUST_USE enum err access_password_set(struct access *access, struct access_by by,
                                      const struct access_password_change *change,
                                      int64_t *ret_retry_ms, access_account_fn *done, void *cookie);

/* ---- API tokens ---- */

struct access_token {
    int64_t token_id;
    char name[ACCESS_NAME_BYTES]; /* 1..64 bytes of printable UTF-8, for people */
    enum access_role role;
    int64_t
        account_id; /* who made it, 0: preset token or --open; it ends with that account's rights */
    int64_t created_at_ms,
        last_used_at_ms; /* last use: 0 never; written down about once a minute */
};

/* In the order of their numbers; only those not revoked.  Start with 0. */
const struct access_token *access_token_next(const struct access *access, int64_t token_id);

/* `text` is shown once and is nowhere else; both live until the callback returns, NULL unless
 * ERR_OK. */
typedef void access_token_fn(void *cookie, enum err err, const struct access_token *token,
                             const char *text);

/* ERR_INPUT: name or role.  ERR_DENIED: the role is above that of the account. */
MUST_USE enum err access_token_create(struct access *access, struct access_by by, struct str name,
                                      enum access_role role, int64_t account_id,
                                      access_token_fn *done, void *cookie);
/* ERR_NOT_FOUND at once, or through done when somebody else was faster. */
MUST_USE enum err access_token_revoke(struct access *access, struct access_by by, int64_t token_id,
                                      void (*done)(void *cookie, enum err err), void *cookie);

/* ---- rate limits ---- */

/* A table of token buckets; the key least recently asked about gives way when it is full. */
struct access_rate;
MUST_USE enum err access_rate_create(struct access_rate_limit limit, uint32_t keys_max,
                                     struct access_rate **ret_rate);
void access_rate_destroy(struct access_rate *rate);
/* Take one: true, or false and how long until there is one again (at least 1).  The key is copied
 * as a hash. */
bool access_rate_take(struct access_rate *rate, struct str key, int64_t mono_ms,
                      int64_t *ret_retry_ms);
uint32_t access_rate_keys(const struct access_rate *rate);

/* The room's own table of a class, never NULL. */
struct access_rate *access_rate_table(struct access *access, enum access_rate_class class);
/* What an address counts as: itself, or for IPv6 its /64; "-" when it is none.  `dst` of 64 bytes.
 */
#define ACCESS_ADDRESS_BYTES 64
void access_address_key(struct str address, char dst[ACCESS_ADDRESS_BYTES]);

#endif
