/* device/journal: what a board remembers without power: which commands it began, which it finished
 * and what was measured, and which outcomes the server has heard.  An append log of fixed records
 * with checksums over two sectors of flash-like memory.
 *
 * A record that was torn while it was written is as if it had never been written; everything
 * written before it stays.  When a sector is full, the newest JOURNAL_KEEP entries and every open
 * one are copied to the other sector, whose header is written last: until then the old one counts.
 */
#ifndef AUTOMAT_DEVICE_JOURNAL_H
#define AUTOMAT_DEVICE_JOURNAL_H

#include "base/base.h"

#define JOURNAL_RECORD_BYTES 176
#define JOURNAL_KEEP         64 /* uids remembered, so that a replay is recognised */
#define JOURNAL_OPEN_MAX     8  /* entries not yet heard by the server */
#define JOURNAL_NUMBERS_MAX  6
#define JOURNAL_REASON_BYTES 28
#define JOURNAL_NO_NUMBER    INT64_MIN
/* A smaller sector cannot hold what must be kept and still take new records. */
#define JOURNAL_SECTOR_BYTES_MIN (JOURNAL_RECORD_BYTES * (JOURNAL_KEEP + JOURNAL_OPEN_MAX + 24))

/* Memory like NOR flash: two sectors, one after the other.  Erased bytes read 0xff, and a byte is
 * written once between two erasures.  A write that is cut short may leave any part of itself. */
struct device_flash {
    uint32_t sector_bytes; /* each; at least JOURNAL_SECTOR_BYTES_MIN */
    /* `context` is device_hal's.  Not ERR_OK: the memory failed, and may hold anything there. */
    enum err (*read)(void *context, uint32_t offset, void *dst, size_t len);
    /* Durable when it returns. */
    enum err (*write)(void *context, uint32_t offset, const void *src, size_t len);
    enum err (*erase)(void *context, uint32_t sector); /* 0 or 1 */
};

enum journal_state {
    JOURNAL_STARTED = 1, /* may have moved something */
    JOURNAL_DONE = 2,    /* ended; outcome and figures are known */
    JOURNAL_HEARD = 3,   /* the server gave its final answer to the report */
};

struct journal_entry {
    enum journal_state state;
    uint8_t outcome; /* enum wire_status; from DONE on */
    uint32_t seq;    /* of the record it was read from or written as */
    uint64_t command_id;
    struct id128 uid, claim_id;
    uint32_t duration_ms;
    char reason[JOURNAL_REASON_BYTES], warning[JOURNAL_REASON_BYTES];
    int64_t number[JOURNAL_NUMBERS_MAX]; /* thousandths, or JOURNAL_NO_NUMBER */
};

struct journal {
    bool ready; /* read or formatted, and may be written */
    struct id128 id;
    struct device_flash flash;
    void *context;
    uint32_t sector; /* the one in use */
    uint32_t generation;
    uint32_t next; /* first record slot that is still erased */
    uint32_t seq;  /* of the newest record */
    uint32_t entry_count;
    struct journal_entry entry[JOURNAL_KEEP + JOURNAL_OPEN_MAX]; /* oldest first */
};

/* Reads what is there.  Memory that holds no journal is formatted under the id `fresh_id`; valid
 * records found in it are kept all the same, so that nothing they name is begun again.
 * ERR_IO: the memory cannot be read, or not written when it had to be; not ready, try later.
 * ERR_INPUT: the geometry is unusable. */
MUST_USE enum err journal_open(struct journal *journal, const struct device_flash *flash,
                               void *context, struct id128 fresh_id);

/* Append this entry; it replaces the one with its uid.  When it returns ERR_OK the record can be
 * read back.  ERR_IO, ERR_FULL: it must be taken as not written, though it may be there after a
 * reboot; the table is unchanged. */
MUST_USE enum err journal_put(struct journal *journal, const struct journal_entry *entry);

/* The server gave its final answer to the report of `uid`.  When that cannot be written it holds
 * until the next boot, and is then reported once more. */
void journal_hear(struct journal *journal, struct id128 uid);

/* NULL: not one of ours.  Valid until the next journal_put. */
const struct journal_entry *journal_find(const struct journal *journal, struct id128 uid);
/* The oldest entry that the server has not heard of to the end, or NULL. */
const struct journal_entry *journal_unheard(const struct journal *journal);

#endif
