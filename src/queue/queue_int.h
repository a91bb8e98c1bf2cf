/* Inside the queue room only. */
#ifndef AUTOMAT_QUEUE_INT_H
#define AUTOMAT_QUEUE_INT_H

#include "queue/queue.h"
#include "record/record.h"
#include "sys/sys.h"

#define META_BYTES_MAX     (32 * KIB) /* merged meta of one command */
#define OP_ARENA_BYTES_MAX (1 * MIB)

/* ---- memory: what can be rebuilt from SQL ---- */

struct machine_slot {
    struct machine_slot *chain;
    char machine_id[ID_BYTES_MAX + 1];
    bool on_hold;
    char *hold_reason; /* NULL: none */
    int64_t hold_since_ms;
    uint32_t failures_in_row;
    uint32_t pending_count;       /* held ones are not pending */
    uint32_t waiting_count;       /* pending and held: what pending_max limits */
    uint32_t creates_waiting;     /* submitted, not yet on disk: they count towards pending_max */
    struct queue_command *active; /* own copy; NULL: none */
    struct queue_command *head;
    int64_t start_over_mono_ms; /* no board begins the active command any more; 0: none is active */
    uint64_t active_id;  /* of the running or unknown one, also when its copy is missing; 0: none */
    uint64_t silence_id; /* the running one that is given up at: */
    int64_t silence_mono_ms; /* when the running command is given up; 0: none runs */
    struct queue_wait waits; /* list head: prev, next */
};

struct queue {
    struct queue_options options;
    struct machine_slot **slots; /* hash table, a power of two */
    uint32_t slot_count, slot_used;
    int64_t expire_next_ms; /* server time of the earliest not_after of a pending command;
                               INT64_MAX: none */
    bool expire_waiting;    /* a job that expires is under way */
    uint32_t waiting;       /* parked waits */
    uint64_t by_state[QUEUE_STATE_COUNT];
    int64_t newest_ms;
    struct op
        *ops; /* every change under way: destroyed with the queue after a crash of the store */
};

/* Forget every slot and read SQL again.  Nothing may wait. */
MUST_USE enum err queue_load(struct queue *queue);
struct machine_slot *queue_slot_find(struct queue *queue, struct str machine_id);
struct machine_slot *queue_slot_ensure(struct queue *queue,
                                       struct str machine_id); /* NULL: out of memory */
void queue_slot_wake(struct queue *queue, struct machine_slot *slot);
/* The command this slot's machine may be offered now, or NULL. */
const struct queue_command *queue_slot_offer(const struct queue *queue,
                                             const struct machine_slot *slot);

/* A copy in one block; NULL: out of memory.  free with mem_free. */
struct queue_command *queue_command_copy(const struct queue_command *command);

/* ---- a machine's queue as one transaction sees it ---- */

struct view {
    bool on_hold;
    struct str hold_reason;
    int64_t hold_since_ms;
    uint32_t failures_in_row, pending_count, waiting_count;
    bool has_active, has_head;
    struct queue_command active, head;
};

/* ---- one change: a job on the writer that carries its data ---- */

enum op_kind {
    OP_CREATE,
    OP_CLAIM,
    OP_REPORT,
    OP_CANCEL,
    OP_APPROVE,
    OP_SETTLE,
    OP_HOLD,
    OP_RELEASE,
    OP_HELLO,
    OP_SILENCE,
    OP_EXPIRE,
    OP_NOTE,
};

struct op_change { /* one transition that this op wrote, for the listener */
    struct op_change *next;
    struct queue_command command;
    enum queue_state old_state;
    bool created;
    struct view *view; /* its machine's, where an op touches several machines; else NULL */
};

struct op {
    struct store_job job;
    struct op *ops_prev, *ops_next;
    struct queue *queue;
    enum op_kind kind;
    struct arena arena;
    int64_t now_ms; /* server time at submission: never later than the truth, so deadlines only
                       shrink */
    int64_t mono_ms;
    struct str actor, request_id, machine_id;
    uint64_t command_id;
    struct queue_new create;
    bool too_early;  /* settle: a board may still begin */
    bool over_limit; /* more than pending_max would wait */
    struct id128 uid;
    struct id128 claim_id, journal_id, meant_uid;
    enum queue_state outcome;
    struct str reason, meta, note;

    /* written by run */
    enum queue_verdict verdict;
    struct queue_command command; /* as it is afterwards */
    bool has_command;
    struct op_change *changes, *last_change;
    struct view view;
    bool has_view;
    bool hold_changed;
    struct queue_grant grant;
    int64_t expire_next_ms;

    /* one of these, by kind */
    queue_create_done *create_done;
    queue_claim_done *claim_done;
    queue_done *done;
    void *cookie;
};

/* A zeroed op with its arena, and `text` copied into it; NULL: out of memory. */
struct op *queue_op_create(struct queue *queue, enum op_kind kind);
void queue_op_destroy(struct op *op);
MUST_USE bool queue_op_text(struct op *op, struct str text,
                            struct str *ret_copy); /* false: out of memory */
/* Hand to the store; destroys the op when that fails. */
MUST_USE enum err queue_op_submit(struct op *op);
/* store_job.run and .done for every op. */
enum err queue_op_run(struct store_job *job, struct store_db *db);
void queue_op_done(struct store_job *job, enum err err);

/* ---- SQL (queue_sql.c): inside run only ---- */

MUST_USE enum err queue_sql_command(struct store_db *db, uint64_t command_id, struct arena *arena,
                                    struct queue_command *ret_command);
MUST_USE enum err queue_sql_insert(struct store_db *db,
                                   struct queue_command *command); /* sets command_id */
/* Write every mutable column where the row still has `old_state`; ERR_CONFLICT when it has not. */
MUST_USE enum err queue_sql_update(struct store_db *db, const struct queue_command *command,
                                   enum queue_state old_state);
MUST_USE enum err queue_sql_history_add(struct store_db *db, const struct queue_command *command,
                                        bool has_old, enum queue_state old_state, struct str actor);
MUST_USE enum err queue_sql_key_find(struct store_db *db, struct str scope, struct str key,
                                     uint8_t ret_hash[32], uint64_t *ret_command_id);
MUST_USE enum err queue_sql_key_add(struct store_db *db, struct str scope, struct str key,
                                    const uint8_t hash[32], uint64_t command_id);
MUST_USE enum err queue_sql_view(struct store_db *db, struct str machine_id, int64_t now_ms,
                                 bool count, struct arena *arena, struct view *ret_view);
MUST_USE enum err queue_sql_machine_set(struct store_db *db, struct str machine_id, bool on_hold,
                                        struct str reason, int64_t since_ms,
                                        uint32_t failures_in_row);
/* The oldest pending command past its deadline; ERR_NOT_FOUND: none. */
MUST_USE enum err queue_sql_late(struct store_db *db, int64_t now_ms, struct arena *arena,
                                 struct queue_command *ret_command);
MUST_USE enum err queue_sql_expire_next(struct store_db *db, int64_t *ret_ms);
/* The oldest pending command of this machine and name, whoever made it (coalescing); ERR_NOT_FOUND:
 * none. */
MUST_USE enum err queue_sql_waiting_named(struct store_db *db, struct str machine_id,
                                          struct str command, uint64_t except_id,
                                          struct arena *arena, struct queue_command *ret_command);
MUST_USE enum err queue_sql_list(struct store_db *db, const struct queue_filter *filter,
                                 struct arena *arena, struct queue_command **ret_commands,
                                 size_t *ret_count);
MUST_USE enum err queue_sql_history_list(struct store_db *db, uint64_t command_id,
                                         struct arena *arena, struct queue_history **ret_rows,
                                         size_t *ret_count);
MUST_USE enum err queue_sql_newest(struct store_db *db, int64_t *ret_ms);
/* Call `each` for every machine id with a hold, a failure count, or a command that is not final. */
MUST_USE enum err queue_sql_machines(struct store_db *db, struct arena *arena, struct str **ret_ids,
                                     size_t *ret_count);

/* ---- rules (queue_rules.c): pure, over one command; tested row by row ---- */

struct rule_context { /* what else the rules look at */
    bool on_hold;
    bool other_active; /* another command of this machine runs or is unknown */
    bool is_head;      /* the oldest pending one that is not late */
    int64_t now_ms;
};
enum queue_verdict queue_rule_claim(const struct queue_command *command,
                                    const struct rule_context *context, struct str machine_id,
                                    struct id128 claim_id);
enum queue_verdict queue_rule_report(const struct queue_command *command, struct str machine_id,
                                     enum queue_state outcome, struct id128 claim_id,
                                     struct id128 journal_id, struct str reason);
enum queue_verdict queue_rule_cancel(const struct queue_command *command);
enum queue_verdict queue_rule_approve(const struct queue_command *command);
enum queue_verdict queue_rule_settle(const struct queue_command *command, enum queue_state outcome);

/* ---- writing a transition (queue_change.c): row, history, audit, kind's hook, in one transaction
 * ---- */

MUST_USE enum err queue_change_write(struct op *op, struct store_db *db,
                                     struct queue_command *command, bool created,
                                     enum queue_state old_state, struct str detail);
/* Tell the listener after the commit. */
MUST_USE enum err queue_change_remember(struct op *op, const struct queue_command *command,
                                        bool created, enum queue_state old_state);
MUST_USE enum err queue_change_audit(struct op *op, struct store_db *db, const char *action,
                                     struct str subject, struct str detail);
/* Rule 12: what a failure, a success or an unknown does to the machine. */
MUST_USE enum err queue_change_machine(struct op *op, struct store_db *db,
                                       const struct queue_command *command);
/* Put on hold, or, when it is already, keep the first reason and time; both are on record. */
MUST_USE enum err queue_change_hold(struct op *op, struct store_db *db, struct str machine_id,
                                    struct str reason, const struct view *view);
/* Merge JSON object `add` into `old`; the result in the arena.  Too big: `add` alone. */
MUST_USE enum err queue_meta_merge(struct arena *arena, struct str old, struct str add,
                                   struct str *ret_merged);
/* {"key": "value", ...} from pairs of texts, ended by NULL; values of length 0 are left out. */
struct str queue_json_pairs(struct arena *arena, ...);

#endif
