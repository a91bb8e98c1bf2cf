/* Inside room record only. */
#ifndef AUTOMAT_RECORD_INT_H
#define AUTOMAT_RECORD_INT_H

#include "record/record.h"

enum {
    STMT_HEAD,
    STMT_HEAD_SET,
    STMT_AUDIT_ADD,
    STMT_AUDIT_LIST,
    STMT_AUDIT_LIST_ACTOR,
    STMT_AUDIT_LIST_SUBJECT,
    STMT_AUDIT_LIST_BOTH,
    STMT_AUDIT_WALK,
    STMT_ALERT_OPEN,
    STMT_ALERT_ADD,
    STMT_ALERT_AGAIN,
    STMT_ALERT_ACKNOWLEDGE,
    STMT_ALERT_EXISTS,
    STMT_ALERT_RESOLVE,
    STMT_ALERT_RESOLVE_ALL,
    STMT_ALERT_SHOW,
    STMT_ALERT_LIST,
    STMT_ALERT_LIST_OPEN,
    STMT_COUNT
};
extern struct store_statements record_statements;

/* What a list asks the store for, so that 0 and the absurd both mean something. */
uint32_t record_limit(uint32_t asked);
/* "Below this id", for 0 too. */
int64_t record_before(uint64_t before_id);
MUST_USE enum err record_text_copy(struct arena *scratch, struct store_stmt *stmt, int column,
                                   struct str *ret_text);

/* Hash of an entry: SHA-256 over everything in it, each text with its length before it, and the
 * hash of the one before. */
void record_hash(uint64_t audit_id, const struct record_entry *entry,
                 const uint8_t prev[RECORD_HASH_BYTES], uint8_t ret_hash[RECORD_HASH_BYTES]);

#endif
