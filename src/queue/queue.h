/* queue: commands for machines, so that nothing happens twice, late, or while the server says it
 * does not. The rules are numbered in README.md (and in the design); functions below name the ones
 * they keep.
 *
 * Loop thread only.  A function with `done` changes the database: it calls done(cookie, ...)
 * exactly once, later than the call, when the result is on disk.  If the call itself returns an
 * error, done is never called and nothing changed. Strings in results live until done returns. */
#ifndef AUTOMAT_QUEUE_H
#define AUTOMAT_QUEUE_H

#include "base/base.h"
#include "store/store.h"

struct queue; /* one a process */

enum queue_state {
    QUEUE_HELD,
    QUEUE_PENDING,
    QUEUE_RUNNING,
    QUEUE_COMPLETE,
    QUEUE_FAILED,
    QUEUE_REJECTED,
    QUEUE_CANCELLED,
    QUEUE_EXPIRED,
    QUEUE_UNKNOWN,
};
#define QUEUE_STATE_COUNT 9
const char *queue_state_name(enum queue_state state); /* "held", ... as in the database */
bool queue_state_parse(struct str text, enum queue_state *ret_state);
bool queue_state_final(enum queue_state state); /* nothing in rule 2's table leaves it */

/* Why a call was not done.  Each has a stable code for people and machines. */
enum queue_verdict {
    QUEUE_DONE = 0, /* "ok" */
    QUEUE_REPEATED, /* idempotency key seen before, same body: the first answer again (rule 8) */
    QUEUE_KEY_MISMATCH, /* "idempotency_mismatch": same key, another body */
    QUEUE_TOO_MANY,     /* "queue_full" (rule 7) */
    QUEUE_BUSY,         /* "busy": this kind does not queue (rule 7) */
    QUEUE_NO_COMMAND,   /* "unknown_command" */
    QUEUE_FOREIGN,      /* "foreign_command": another machine's (rule: only its own credentials) */
    QUEUE_CLAIM_MISMATCH, /* "claim_mismatch": claimed, and not by this claim (rule 3) */
    QUEUE_NOT_CLAIMABLE,  /* "not_claimable": held, on hold, not its turn, or another runs (rules 2,
                             7, 12) */
    QUEUE_LATE,           /* "expired": past its not_after (rule 6) */
    QUEUE_SETTLED,        /* "already_settled": final */
    QUEUE_WRONG_STATE,    /* "wrong_transition": everything else that is not in the table */
    QUEUE_TOO_EARLY,      /* "too_early": settled while a board may still begin (rule 5) */
    QUEUE_WRONG_JOURNAL,  /* "wrong_journal": only the journal of the claim can say "never started"
                             (rule 4) */
};
const char *queue_verdict_code(enum queue_verdict verdict);
const char *queue_verdict_text(enum queue_verdict verdict); /* one sentence for people */

/* One command, as in the database.  JSON fields hold valid JSON text; absent ones have at == NULL.
 */
struct queue_command {
    uint64_t command_id;
    struct id128 uid;
    enum queue_state state;
    bool execute_allowed, stop_requested;
    bool has_claim; /* claim_id and journal_id are set (claimed with a claim id) */
    struct id128 claim_id, journal_id;
    uint32_t max_duration_s;
    uint32_t not_after_s;                  /* the window, which begins at create or approve */
    int64_t created_at_ms, updated_at_ms;  /* server time, epoch ms */
    int64_t not_after_ms;                  /* 0 while held */
    int64_t claimed_at_ms, finished_at_ms; /* 0: not yet */
    struct str machine_id, kind, command;
    struct str payload, instructions, meta; /* JSON */
    struct str reason;                      /* a refusal's or failure's name */
    struct str created_by, settled_by, evidence, request_id;
};

/* What a machine kind tells the queue.  `name` and everything it points to live as long as the
 * queue. */
struct queue_change;
struct queue_kind {
    const char *name;
    uint32_t not_after_s, max_duration_s; /* defaults (rule 6) */
    bool busy;                            /* refuse instead of queue (taps) */
    bool coalesce; /* a newer pending command replaces the older of the same name (window positions)
                    */
    void *context;
    /* Both pure, any thread: does this failure stop the machine at once; does this refusal need a
     * person's hands? */
    bool (*reason_mechanical)(void *context, struct str reason);
    bool (*reason_needs_hands)(void *context, struct str reason);
    /* Inside the queue's own transaction, after a transition was written: stock, bottles, slots.
     * May be NULL. Anything but ERR_OK undoes the transition.  A hook may refuse a beginning
     * (created, pending, running); what has ended has ended: refusing that is a mistake of the
     * kind, and the ending is tried again and again. */
    enum err (*on_change)(void *context, struct store_db *db, const struct queue_change *change);
};

/* A transition that is on disk (or, in on_change, being written). */
struct queue_change {
    const struct queue_command *command; /* as it is now */
    enum queue_state old_state; /* equal to command->state for a progress note or a stop request */
    bool created;               /* there was no old state */
    struct str actor;
};

/* What a machine's queue looks like now (memory, rebuilt from SQL). */
struct queue_machine {
    bool on_hold;
    struct str hold_reason;
    int64_t hold_since_ms;
    uint32_t failures_in_row, pending_count;
    const struct queue_command *active; /* running or unknown; NULL: none */
    const struct queue_command *head;   /* oldest pending; NULL: none */
};

struct queue_options {
    struct store *store;
    const struct queue_kind *const *kinds; /* NULL-terminated */
    void *clock;                           /* handed to the two below */
    int64_t (*mono_ms)(void *clock);
    int64_t (*wall_ms)(void *clock); /* server time: never goes back (sys_time) */
    void *random;
    void (*random_id)(void *random, struct id128 *ret_id);
    uint32_t start_window_s; /* a grant is good for so long after the claim; 0: 15 */
    uint32_t grace_s;        /* silence after max_duration_s before "unknown"; 0: 30 */
    uint32_t pending_max;    /* a machine; 0: 1,000 */
    uint32_t failures_max;   /* in a row, then hold; 0: 3 */
    void *listener;          /* handed to the two below; both may be NULL */
    void (*changed)(void *listener,
                    const struct queue_change *change); /* after the commit, in commit order */
    void (*machine_changed)(void *listener, struct str machine_id); /* hold, release */
};

/* Loads what memory holds with store_run_now.  Silence of running commands is counted anew from
 * here: longer is safe. */
MUST_USE enum err queue_create(const struct queue_options *options, struct queue **ret_queue);
/* After store_close, or store_crash: what that left undone is dropped without an answer.  NULL does
 * nothing. */
void queue_destroy(struct queue *queue);

const struct queue_kind *queue_kind_find(const struct queue *queue, struct str name);

/* ---- making commands ---- */

struct queue_new {
    const struct queue_kind *kind;
    struct str machine_id, command;
    struct str payload;                   /* JSON object, checked by the kind already */
    struct str instructions;              /* JSON object or none */
    struct str meta;                      /* JSON object or none */
    bool execute_allowed;                 /* false: held until approved */
    uint32_t not_after_s, max_duration_s; /* 0: the kind's own */
    struct str actor, request_id;
    struct str key_scope,
        key;               /* idempotency (rule 8): caller and endpoint; the key.  none: no key */
    uint8_t body_hash[32]; /* of the body, compared for the same key */
};
/* QUEUE_DONE, QUEUE_REPEATED (command_id of the first), QUEUE_KEY_MISMATCH, QUEUE_TOO_MANY,
 * QUEUE_BUSY. ERR_IO: not stored. */
typedef void queue_create_done(void *cookie, enum err err, enum queue_verdict verdict,
                               uint64_t command_id);
MUST_USE enum err queue_submit(struct queue *queue, const struct queue_new *command,
                               queue_create_done *done, void *cookie);

/* ---- the device's side ---- */

/* Rule 2: a look; changes nothing.  The command this machine may claim now, or the running one when
 * `journal_id` made its claim (`*ret_own` is then true), or NULL.  Valid until the next call into
 * the queue or turn of the loop. */
const struct queue_command *queue_check(struct queue *queue, struct str machine_id,
                                        struct id128 journal_id, bool *ret_own);

/* Long-poll: `wake(wait)` is called once when queue_check for this machine may have become
 * non-NULL; it is then no longer waiting.  Embedded in the caller's struct. */
struct queue_wait {
    void (*wake)(struct queue_wait *wait);
    struct queue_wait *prev, *next; /* queue's */
    void *machine;                  /* queue's; NULL: not waiting */
};
MUST_USE enum err queue_wait_add(struct queue *queue, struct str machine_id,
                                 struct queue_wait *wait);
void queue_wait_remove(struct queue_wait *wait); /* not waiting: does nothing */

struct queue_claim {
    uint64_t command_id;
    struct str machine_id;             /* whose credentials speak */
    struct id128 claim_id, journal_id; /* zero: none given */
    /* The command meant, beside its number: numbers come again with a new database.  zero: not
     * said. */
    struct id128 uid;
    struct str meta; /* JSON object merged into meta, or none */
    struct str actor, request_id;
};
struct queue_grant {
    int64_t start_within_ms; /* from the moment the device sent this claim; less each time it is
                                repeated */
    uint32_t max_duration_s; /* likewise */
    bool stop;               /* somebody asked to stop */
    bool repeated;           /* granted earlier to this same claim */
};
/* Rules 1, 3, 6.  QUEUE_DONE with a grant, or why not.  The same claim again is a progress report:
 * meta is merged. */
typedef void queue_claim_done(void *cookie, enum err err, enum queue_verdict verdict,
                              const struct queue_grant *grant);
MUST_USE enum err queue_claim(struct queue *queue, const struct queue_claim *claim,
                              queue_claim_done *done, void *cookie);

struct queue_report {
    uint64_t command_id;
    struct str machine_id;
    enum queue_state outcome; /* QUEUE_COMPLETE, QUEUE_FAILED, QUEUE_REJECTED, QUEUE_CANCELLED */
    struct id128 claim_id, journal_id; /* zero: none given */
    /* The command meant, beside its number: numbers come again with a new database.  zero: not
     * said. */
    struct id128 uid;
    struct str reason; /* none: taken as "failed" for QUEUE_FAILED, "refused" for QUEUE_REJECTED */
    struct str meta;
    struct str actor, request_id;
};
typedef void queue_done(void *cookie, enum err err, enum queue_verdict verdict,
                        const struct queue_command *command);
MUST_USE enum err queue_report(struct queue *queue, const struct queue_report *report,
                               queue_done *done, void *cookie);

/* A curve sample or step arrived for this running command: QUEUE_DONE and whether to stop, from
 * memory. */
enum queue_verdict queue_progress(struct queue *queue, uint64_t command_id, struct str machine_id,
                                  struct id128 claim_id, bool *ret_stop);

/* A board booted and said which journal it has: a running command claimed by another journal
 * becomes unknown. */
MUST_USE enum err queue_hello(struct queue *queue, struct str machine_id, struct id128 journal_id,
                              struct str actor, queue_done *done,
                              void *cookie); /* command: what runs now, or NULL */

/* ---- people ---- */

struct queue_order {          /* cancel, approve, settle, hold, release */
    uint64_t command_id;      /* the first three */
    struct str machine_id;    /* hold, release */
    enum queue_state outcome; /* settle: QUEUE_COMPLETE or QUEUE_FAILED */
    struct str note;          /* settle: the evidence; hold, release: the reason */
    struct str actor, request_id;
};
/* Settling is refused (QUEUE_TOO_EARLY) while a grant may still be on its way to a board that would
 * begin: what staff saw before is no evidence.  At most start_window_s after the claim, or after a
 * start of the server. */
/* Rule 9: command->state CANCELLED, or RUNNING with stop_requested. */
MUST_USE enum err queue_cancel(struct queue *queue, const struct queue_order *order,
                               queue_done *done, void *cookie);
MUST_USE enum err queue_approve(struct queue *queue, const struct queue_order *order,
                                queue_done *done, void *cookie);
MUST_USE enum err queue_settle(struct queue *queue, const struct queue_order *order,
                               queue_done *done, void *cookie);
/* command is NULL in done. */
MUST_USE enum err queue_hold(struct queue *queue, const struct queue_order *order, queue_done *done,
                             void *cookie);
MUST_USE enum err queue_release(struct queue *queue, const struct queue_order *order,
                                queue_done *done, void *cookie);
/* A create refused before it became a command (rule 10): an audit entry, nothing else.  Best
 * effort. */
void queue_note_refusal(struct queue *queue, struct str machine_id, struct str actor,
                        struct str code, struct str field, struct str request_id);

/* The database came from a backup (rule 5): pending becomes held, running becomes unknown.  Before
 * the loop runs. */
MUST_USE enum err queue_restored(struct queue *queue, struct str actor, uint32_t *ret_held,
                                 uint32_t *ret_unknown);

/* ---- time ---- */

/* Expire what is late, give up on what is silent.  Returns the monotonic ms when it wants to be
 * called again (INT64_MAX: not before something changes).  Calls at any other time do no harm. */
int64_t queue_tick(struct queue *queue);

/* ---- looking ---- */

/* From memory; false: never heard of.  Borrowed until the next call into the queue or turn of the
 * loop. */
bool queue_machine_get(struct queue *queue, struct str machine_id,
                       struct queue_machine *ret_machine);

struct queue_filter {
    struct str machine_id;  /* none: all */
    struct str created_by;  /* none: all */
    uint32_t states;        /* bit (1 << enum queue_state); 0: all */
    int64_t from_ms, to_ms; /* created_at, from inclusive, to exclusive; 0: open */
    uint64_t before_id;     /* page: ids below this; 0: from the newest */
    uint32_t limit;         /* 1..200 */
};
typedef void queue_list_done(void *cookie, enum err err, const struct queue_command *commands,
                             size_t command_count, bool more);
MUST_USE enum err queue_list(struct queue *queue, const struct queue_filter *filter,
                             queue_list_done *done, void *cookie);
MUST_USE enum err queue_show(struct queue *queue, uint64_t command_id, queue_done *done,
                             void *cookie);

struct queue_history {
    uint64_t history_id;
    bool has_old;
    enum queue_state old_state, new_state;
    struct str meta, actor;
    int64_t changed_at_ms;
};
typedef void queue_history_done(void *cookie, enum err err, const struct queue_history *rows,
                                size_t row_count);
MUST_USE enum err queue_history(struct queue *queue, uint64_t command_id, queue_history_done *done,
                                void *cookie);

struct queue_stats {
    uint64_t by_state[QUEUE_STATE_COUNT]; /* transitions into each since start */
    uint32_t machines, waiting;           /* in memory; parked waits */
    int64_t newest_ms;                    /* newest time in the database at start (for sys_time) */
};
void queue_stats_get(const struct queue *queue, struct queue_stats *ret_stats);

#endif
