/* fleet: which machines there are, how they prove who they are, whether they are there, and what
 * they are told to be. Holds are the queue's; what a kind can do is machine's.
 *
 * Promises: a credential is stored as a hash and shown once; a new one works before the old one
 * ends; nobody takes over a machine by announcing its name; a board with another journal is
 * noticed; every table in memory has a bound.
 *
 * Loop thread only.  Look-ups answer from memory, which is rebuilt from SQL at start.  A function
 * that ends in (done, cookie) and returns ERR_OK calls `done` on the loop exactly once, later than
 * the call, when its result is durable and in memory; if it returns anything else it did nothing
 * and `done` is not called.  Besides what each one names, all of them may give ERR_NOMEM, ERR_FULL,
 * ERR_CLOSED, and through `done` ERR_IO. Destroy it after the store is closed, so that nothing is
 * on its way any more. `now_ms` is server time (loop_wall_ms), `mono_ms` is loop_now_ms. */
#ifndef AUTOMAT_FLEET_H
#define AUTOMAT_FLEET_H

#include "base/base.h"
#include "loop/loop.h"
#include "store/store.h"
#include "sys/sys.h"

struct fleet;

enum fleet_admission { FLEET_WAITING, FLEET_ADMITTED, FLEET_BLOCKED };
const char *
fleet_admission_name(enum fleet_admission admission); /* "waiting", "admitted", "blocked" */

#define FLEET_ID_BYTES         (ID_BYTES_MAX + 1)
#define FLEET_NAME_BYTES       129 /* with NUL; UTF-8 */
#define FLEET_STEP_BYTES       33
#define FLEET_CONFIG_BYTES_MAX (16 * KIB)
#define FLEET_BLOB_BYTES_MAX   (4 * KIB) /* capabilities, sensors, metadata */
#define FLEET_TOKENS_MAX       4         /* active ones of one machine */
#define FLEET_WAITING_MAX      100
#define FLEET_TOKEN_BYTES      48  /* "ad_" and 43 characters, and NUL */
#define FLEET_TOKEN_LEN_MAX    128 /* of one that a device made up */

/* A machine as it is now.  Pointers to it are good until the loop's next turn; nobody outside
 * writes to it. */
struct fleet_machine {
    char machine_id[FLEET_ID_BYTES];
    char kind[FLEET_ID_BYTES];
    char name[FLEET_NAME_BYTES]; /* "" : none given */
    enum fleet_admission admission;
    bool demo; /* seeded by --demo */
    int64_t created_at_ms;
    const char *metadata; /* what people noted about it: a JSON object, never NULL */

    const char *config;     /* a JSON object, never NULL */
    int64_t config_version; /* 1, 2, 3, ... */

    /* From its last hello; empty and zero before the first. */
    const char *capabilities; /* a JSON object, never NULL */
    char firmware[FLEET_ID_BYTES];
    struct id128 boot_id, journal_id;

    /* Presence.  In memory; last_seen_at_ms is also written down about once a minute. */
    bool online;                 /* as of the last call about this machine or the last sweep */
    bool active;                 /* heard of within options.inactive_s; false: never, or silent */
    uint32_t parked;             /* long polls and sockets open now */
    uint32_t mqtt;               /* MQTT connections of it open now; counted in parked, too */
    int64_t last_seen_at_ms;     /* server time; 0: never */
    char step[FLEET_STEP_BYTES]; /* "" : not known (since this server started) */
    int64_t step_since_ms;       /* server time */
    const char *sensors;         /* a JSON object, or NULL: not known */
    int64_t sensors_at_ms;       /* server time */

    uint32_t token_count;
};

/* What every change is recorded with. */
struct fleet_by {
    struct str actor;      /* "account:alice", "machine:espresso-1", "system" */
    struct str request_id; /* may be empty */
    int64_t now_ms;
};

struct fleet_options {
    uint32_t machines_max;  /* 0: 20,000; then ERR_FULL */
    uint32_t online_s;      /* seen within: 0: 30 */
    uint32_t inactive_s;    /* silent for so long: the alert `machine_inactive`; 0: 300 */
    uint32_t waiting_hours; /* a machine that waits and was not heard of for so long is forgotten;
                               0: 24 */
};
MUST_USE enum err fleet_create(struct loop *loop, struct store *store,
                               const struct fleet_options *options, struct fleet **ret_fleet);
void fleet_destroy(struct fleet *fleet); /* NULL does nothing */

/* To be called every second or so: notices who went offline, writes down who was seen, raises and
 * resolves `machine_inactive` for admitted machines that had been heard of, forgets who waited too
 * long.  Silence is counted from the first call on: a server that was down heard nobody. */
void fleet_sweep(struct fleet *fleet, int64_t now_ms, int64_t mono_ms);

/* Called after a machine changed in memory (and on disk, where it is a thing of the disk).
 * `removed`: it is the last time this machine is seen.  One watcher. */
enum fleet_change {
    FLEET_CHANGED_RECORD,   /* added, admitted, blocked, configured, named, tokens, hello */
    FLEET_CHANGED_PRESENCE, /* online or offline */
    FLEET_CHANGED_PROGRESS, /* step, sensors */
    FLEET_CHANGED_REMOVED,
};
void fleet_watch(struct fleet *fleet,
                 void (*changed)(void *cookie, const struct fleet_machine *machine,
                                 enum fleet_change change),
                 void *cookie);
/* Called when a token stopped being good (revoked, machine blocked or removed): close its
 * connections.  One watcher. */
void fleet_watch_tokens(struct fleet *fleet,
                        void (*gone)(void *cookie, const char *machine_id, int64_t token_id),
                        void *cookie);

/* ---- look-ups ---- */

const struct fleet_machine *fleet_find(const struct fleet *fleet,
                                       struct str machine_id); /* NULL: none */
/* In the order of their ids (bytewise): the first after `machine_id`, NULL at the end.  Start with
 * an empty one. */
const struct fleet_machine *fleet_next(const struct fleet *fleet, struct str machine_id);
uint32_t fleet_count(const struct fleet *fleet);
uint32_t fleet_waiting_count(const struct fleet *fleet);

/* Who holds this token (`Authorization: Bearer` or `X-Device-Token`)?
 * ERR_OK: an admitted machine.  ERR_DENIED: unknown or revoked; nothing is returned.
 * ERR_AGAIN: it still waits for staff.  ERR_REFUSED: it is blocked.  In these two the machine is
 * returned as well. */
MUST_USE enum err fleet_authenticate(struct fleet *fleet, struct str token, int64_t now_ms,
                                     const struct fleet_machine **ret_machine,
                                     int64_t *ret_token_id);

struct fleet_token {
    int64_t token_id;
    char label[FLEET_ID_BYTES]; /* for people; may be empty */
    int64_t created_at_ms,
        last_used_at_ms; /* last use: 0 never; written down about once a minute */
};
/* The active tokens of a machine, oldest first; how many were written to `ret_tokens`. */
size_t fleet_token_list(const struct fleet *fleet, const struct fleet_machine *machine,
                        struct fleet_token ret_tokens[FLEET_TOKENS_MAX]);

/* ---- presence: memory only, never fails ---- */

/* Something came from the machine. */
void fleet_presence_seen(struct fleet *fleet, struct str machine_id, int64_t now_ms,
                         int64_t mono_ms);
/* A long poll or socket of it opens / closes.  Every park has one unpark, also when the machine is
 * gone by then. */
void fleet_presence_park(struct fleet *fleet, struct str machine_id, int64_t now_ms,
                         int64_t mono_ms);
void fleet_presence_unpark(struct fleet *fleet, struct str machine_id, int64_t now_ms,
                           int64_t mono_ms);
/* The same for an MQTT connection. */
void fleet_presence_connect(struct fleet *fleet, struct str machine_id, int64_t now_ms,
                            int64_t mono_ms);
void fleet_presence_disconnect(struct fleet *fleet, struct str machine_id, int64_t now_ms,
                               int64_t mono_ms);
/* What it is doing.  `step`: 1..32 bytes a-z 0-9 _, or empty: as before.  `sensors`: a JSON object
 * of at most 4 KiB, or empty: as before.  Counts as seen.  ERR_INPUT: which of them is wrong stays
 * as it was, and so does the other. ERR_NOT_FOUND. */
MUST_USE enum err fleet_progress(struct fleet *fleet, struct str machine_id, struct str step,
                                 struct str sensors, int64_t now_ms, int64_t mono_ms);

/* ---- changes ---- */

/* `machine` lives until the callback returns, NULL unless ERR_OK. */
typedef void fleet_machine_fn(void *cookie, enum err err, const struct fleet_machine *machine);
/* `token` as text is shown once and is nowhere else; lives until the callback returns, NULL unless
 * ERR_OK. */
typedef void fleet_token_fn(void *cookie, enum err err, const struct fleet_machine *machine,
                            int64_t token_id, const char *token);

struct fleet_add {
    struct str machine_id; /* id_valid */
    struct str kind;       /* id_valid; whether there is such a kind is the caller's question */
    struct str name;       /* may be empty */
    struct str config;     /* JSON object, or empty: {} */
    struct str token_label;
    bool demo;
};
/* A machine that staff adds is admitted, with one token.  ERR_INPUT, ERR_CONFLICT (now or through
 * done): it exists. */
MUST_USE enum err fleet_machine_add(struct fleet *fleet, struct fleet_by by,
                                    const struct fleet_add *add, fleet_token_fn *done,
                                    void *cookie);
/* --open: registered and admitted at first mention, without a token.  If it exists, ERR_OK and the
 * machine as it is. */
MUST_USE enum err fleet_machine_ensure(struct fleet *fleet, struct fleet_by by,
                                       struct str machine_id, struct str kind,
                                       fleet_machine_fn *done, void *cookie);

/* A device whose token nobody knows says its name.  The caller limits how often an address may ask.
 * Through done ERR_OK: it waits; its token is good once staff admits it (same token again: the same
 * answer). ERR_INPUT: id, kind, or a token that is not 32..128 printable characters without space.
 * ERR_CONFLICT: a machine of this name exists and this is not its token: nothing changes, an alert
 * `second_device` is raised.  ERR_FULL: 100 wait already. */
MUST_USE enum err fleet_announce(struct fleet *fleet, struct fleet_by by, struct str machine_id,
                                 struct str kind, struct str token, fleet_machine_fn *done,
                                 void *cookie);

/* Admit one that waits or is blocked; block one.  A blocked machine keeps its tokens, but they open
 * nothing. ERR_NOT_FOUND.  Already so: ERR_OK. */
MUST_USE enum err fleet_admission_set(struct fleet *fleet, struct fleet_by by,
                                      struct str machine_id, enum fleet_admission admission,
                                      fleet_machine_fn *done, void *cookie);
/* ERR_INPUT: not a JSON object, too deep or over 16 KiB.  Through done ERR_CONFLICT:
 * `expected_version` (0: any) is not the present one. */
MUST_USE enum err fleet_config_set(struct fleet *fleet, struct fleet_by by, struct str machine_id,
                                   struct str config, int64_t expected_version,
                                   fleet_machine_fn *done, void *cookie);
MUST_USE enum err fleet_name_set(struct fleet *fleet, struct fleet_by by, struct str machine_id,
                                 struct str name, fleet_machine_fn *done, void *cookie);

/* What people say about it: `name` and `metadata` (a JSON object of at most 4 KiB, empty: {}); one
 * whose `at` is NULL stays as it is.  One transaction.  ERR_INPUT, ERR_NOT_FOUND. */
MUST_USE enum err fleet_describe(struct fleet *fleet, struct fleet_by by, struct str machine_id,
                                 struct str name, struct str metadata, fleet_machine_fn *done,
                                 void *cookie);

/* A further token, good at once beside the others; ERR_CONFLICT: there are four. */
MUST_USE enum err fleet_token_create(struct fleet *fleet, struct fleet_by by, struct str machine_id,
                                     struct str label, fleet_token_fn *done, void *cookie);
/* ERR_NOT_FOUND: no such active token of this machine. */
MUST_USE enum err fleet_token_revoke(struct fleet *fleet, struct fleet_by by, struct str machine_id,
                                     int64_t token_id, fleet_machine_fn *done, void *cookie);

/* What a board says after boot. */
struct fleet_hello {
    struct id128 boot_id, journal_id; /* not zero */
    struct str firmware;              /* at most 64 bytes of printable ASCII, may be empty */
    struct str capabilities;          /* JSON object of at most 4 KiB, or empty: {} */
};
enum fleet_hello_note {
    FLEET_HELLO_FIRST,         /* never heard of before */
    FLEET_HELLO_SAME_BOOT,     /* it said so already */
    FLEET_HELLO_REBOOT,        /* the same journal, started again */
    FLEET_HELLO_OTHER_JOURNAL, /* new board, wiped flash, or a second board with the same
                                * credentials: the alert `journal_changed` is raised */
};
typedef void fleet_hello_fn(void *cookie, enum err err, const struct fleet_machine *machine,
                            enum fleet_hello_note note);
/* ERR_INPUT, ERR_NOT_FOUND.  Counts as seen. */
MUST_USE enum err fleet_hello(struct fleet *fleet, struct fleet_by by, int64_t mono_ms,
                              struct str machine_id, const struct fleet_hello *hello,
                              fleet_hello_fn *done, void *cookie);

/* Remove what --demo seeded.  `in_use` (may be NULL: nothing is) runs on the store's writer thread
 * inside the transaction and says whether something still refers to the machine; such a machine
 * stays, blocked and without tokens, as history needs it.  done: how many are gone and how many
 * stay. */
typedef enum err fleet_in_use_fn(void *in_use_cookie, struct store_db *db, struct str machine_id,
                                 bool *ret_in_use);
MUST_USE enum err fleet_demo_remove(
    struct fleet *fleet, struct fleet_by by, fleet_in_use_fn *in_use, void *in_use_cookie,
    void (*done)(void *cookie, enum err err, uint32_t removed, uint32_t kept), void *cookie);

#endif
