/* Inside device: the journal's own files. */
#ifndef AUTOMAT_DEVICE_JOURNAL_INT_H
#define AUTOMAT_DEVICE_JOURNAL_INT_H

#include "device/journal.h"

void journal_record_write(const struct journal_entry *entry, struct id128 journal_id,
                          uint8_t ret_bytes[JOURNAL_RECORD_BYTES]);
/* False: torn, erased, rotten, or of another journal (`journal_id` NULL: any will do). */
bool journal_record_read(const uint8_t bytes[JOURNAL_RECORD_BYTES], const struct id128 *journal_id,
                         struct journal_entry *ret_entry);
void journal_header_write(struct id128 journal_id, uint32_t generation,
                          uint8_t ret_bytes[JOURNAL_RECORD_BYTES]);
bool journal_header_read(const uint8_t bytes[JOURNAL_RECORD_BYTES], struct id128 *ret_journal_id,
                         uint32_t *ret_generation);
bool journal_erased(const uint8_t bytes[JOURNAL_RECORD_BYTES]);

/* ---- journal_table.c: the newest record of each uid, oldest first ---- */

/* Takes the record in unless a newer one of the same uid is known.  When the table is full, the
 * oldest that the server has heard of makes room. */
void journal_table_add(struct journal *journal, const struct journal_entry *entry);
uint32_t journal_open_count(const struct journal *journal);

#endif
