/* record: what must be remembered by everybody: the audit chain and the alerts.
 *
 * Every function here that takes a `struct store_db *` is called inside a job of another room and
 * becomes part of that room's transaction: the change and its record are on disk together or not at
 * all (queue rule 13). */
#ifndef AUTOMAT_RECORD_H
#define AUTOMAT_RECORD_H

#include "base/base.h"
#include "store/store.h"
#include "sys/sys.h"

/* ---- audit: append only, each entry chained by SHA-256 to the one before ---- */

#define RECORD_HASH_BYTES 32

#define RECORD_NAME_BYTES_MAX   256 /* actor, action, subject, request_id */
#define RECORD_DETAIL_BYTES_MAX ((size_t)64 * 1024)

struct record_entry {
    int64_t at_ms;         /* server time, epoch ms */
    struct str actor;      /* "account:alice", "machine:espresso-1", "token:ci", "server" */
    struct str action;     /* "command.create", "machine.hold", "session.open", ... */
    struct str subject;    /* "command:123", "machine:espresso-1", ... */
    struct str detail;     /* JSON object, or none */
    struct str request_id; /* or none */
};
/* ERR_INPUT: a text is too long, or not UTF-8 without NUL; ERR_IO from the store. */
MUST_USE enum err record_audit(struct store_db *db, const struct record_entry *entry);

struct record_row {
    uint64_t audit_id;
    struct record_entry entry;
    uint8_t hash[RECORD_HASH_BYTES];
};
/* Newest first, ids below `before_id` (0: from the newest); empty filters match all.  At most
 * `limit` rows, and never more than RECORD_LIST_MAX.  Rows and texts in `scratch`; ERR_NOMEM when
 * it is full. */
#define RECORD_LIST_MAX 1000
MUST_USE enum err record_audit_list(struct store_db *db, uint64_t before_id, uint32_t limit,
                                    struct str actor, struct str subject, struct arena *scratch,
                                    struct record_row **ret_rows, size_t *ret_count);

/* Walk the chain from its beginning, `rows_max` entries a call, so that no reader is held for long:
 * call until finished. The end of the chain is compared with audit_head, so a tail that was cut off
 * is found too.  Whoever can write the whole database can also compute a new chain; against that,
 * keep its newest hash somewhere else now and then. */
struct record_walk {
    uint64_t next_id;                /* 0 at birth */
    uint8_t hash[RECORD_HASH_BYTES]; /* of the last entry seen */
    uint64_t entries;
    bool finished;
    uint64_t broken_id; /* first entry that does not fit or is missing; 0: none so far */
    const char *why;    /* constant text */
};
MUST_USE enum err record_audit_verify(struct store_db *db, uint32_t rows_max,
                                      struct record_walk *walk);

/* ---- alerts: what a person should look at ---- */

enum record_severity { RECORD_INFO, RECORD_WARNING, RECORD_CRITICAL };
const char *record_severity_name(enum record_severity severity);

struct record_alert {
    uint64_t alert_id;
    struct str machine_id; /* or none */
    struct str code;       /* stable name: "pick_failed", "unknown_outcome", ... */
    struct str message;    /* one sentence for people */
    enum record_severity severity;
    uint64_t command_id; /* 0: none */
    int64_t raised_at_ms, last_at_ms;
    uint32_t count;                             /* how often since it was raised */
    int64_t acknowledged_at_ms, resolved_at_ms; /* 0: not */
    struct str acknowledged_by;
};
/* Raise, or count up the open one of the same machine and code: it takes the new message, time and
 * command and the higher severity, and has to be acknowledged again.  Only machine_id, code,
 * message, severity, command_id and raised_at_ms are read.  `ret_alert_id` may be NULL. */
MUST_USE enum err record_alert_raise(struct store_db *db, const struct record_alert *alert,
                                     uint64_t *ret_alert_id);
/* ERR_NOT_FOUND.  Acknowledged already: the first name stays. */
MUST_USE enum err record_alert_acknowledge(struct store_db *db, uint64_t alert_id, struct str actor,
                                           int64_t at_ms);
/* Every open alert of this machine and code (none: of this machine).  Nothing open is fine. */
MUST_USE enum err record_alert_resolve(struct store_db *db, struct str machine_id, struct str code,
                                       int64_t at_ms);
MUST_USE enum err record_alert_show(struct store_db *db, uint64_t alert_id, struct arena *scratch,
                                    struct record_alert *ret_alert);
MUST_USE enum err record_alert_list(struct store_db *db, bool open_only, uint64_t before_id,
                                    uint32_t limit, struct arena *scratch,
                                    struct record_alert **ret_alerts, size_t *ret_count);

#endif
