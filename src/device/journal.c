/* The log on its two sectors.
 *
 *   no header valid       never used, or lost: format; what records there are come along
 *   one header valid      that sector is in use; records without a header in the other one are a
 *                         copy that was never finished, and say nothing new
 *   both headers valid    the higher generation is in use; power went before or after the old one
 *                         was of any use, it does not matter which
 *
 * A slot is written once.  One that is not erased and not valid was torn: it stays spent. */
#include "device/journal_int.h"

#define SECTORS 2

static uint32_t slots(const struct journal *journal)
{
    return journal->flash.sector_bytes / JOURNAL_RECORD_BYTES;
}

static uint32_t offset_of(const struct journal *journal, uint32_t sector, uint32_t slot)
{
    return sector * journal->flash.sector_bytes + slot * JOURNAL_RECORD_BYTES;
}

static enum err slot_read(const struct journal *journal, uint32_t sector, uint32_t slot,
                          uint8_t ret_bytes[JOURNAL_RECORD_BYTES])
{
    return journal->flash.read(journal->context, offset_of(journal, sector, slot), ret_bytes,
                               JOURNAL_RECORD_BYTES) == ERR_OK
               ? ERR_OK
               : ERR_IO;
}

/* Written means: can be read back.  A memory that accepts and forgets is a memory that failed. */
static enum err slot_write(const struct journal *journal, uint32_t sector, uint32_t slot,
                           const uint8_t bytes[JOURNAL_RECORD_BYTES])
{
    uint8_t back[JOURNAL_RECORD_BYTES];
    if (journal->flash.write(journal->context, offset_of(journal, sector, slot), bytes,
                             JOURNAL_RECORD_BYTES) != ERR_OK ||
        slot_read(journal, sector, slot, back) != ERR_OK)
        return ERR_IO;
    return base_equal(back, bytes, JOURNAL_RECORD_BYTES) ? ERR_OK : ERR_IO;
}

/* Copies the table to `sector` under a new header, and uses it from then on. */
static enum err move_to(struct journal *journal, uint32_t sector)
{
    uint8_t bytes[JOURNAL_RECORD_BYTES];
    if (journal->flash.erase(journal->context, sector) != ERR_OK)
        return ERR_IO;
    for (uint32_t i = 0; i < journal->entry_count; i++) {
        journal_record_write(&journal->entry[i], journal->id, bytes);
        if (slot_write(journal, sector, 1 + i, bytes) != ERR_OK)
            return ERR_IO;
    }
    journal_header_write(journal->id, journal->generation + 1, bytes);
    if (slot_write(journal, sector, 0, bytes) != ERR_OK)
        return ERR_IO;
    journal->generation++;
    journal->sector = sector;
    journal->next = 1 + journal->entry_count;
    return ERR_OK;
}

/* ---- opening ---- */

struct found { /* what one sector holds */
    bool header;
    struct id128 id;
    uint32_t generation;
    uint32_t next;    /* behind the last slot that is not erased */
    uint32_t seq_max; /* of its valid records; 0: none */
};

static enum err scan_header(const struct journal *journal, uint32_t sector, struct found *found)
{
    uint8_t bytes[JOURNAL_RECORD_BYTES];
    enum err err = slot_read(journal, sector, 0, bytes);
    if (err == ERR_OK)
        found->header = journal_header_read(bytes, &found->id, &found->generation);
    return err;
}

/* `id` NULL: records of any journal. */
static enum err scan_records(struct journal *journal, uint32_t sector, const struct id128 *id,
                             struct found *found)
{
    uint8_t bytes[JOURNAL_RECORD_BYTES];
    struct journal_entry entry;
    found->next = 1;
    for (uint32_t slot = 1; slot < slots(journal); slot++) {
        enum err err = slot_read(journal, sector, slot, bytes);
        if (err != ERR_OK)
            return err;
        if (journal_erased(bytes))
            continue;
        found->next = slot + 1;
        if (!journal_record_read(bytes, id, &entry))
            continue;
        if (entry.seq > found->seq_max)
            found->seq_max = entry.seq;
        journal_table_add(journal, &entry);
    }
    return ERR_OK;
}

static bool newer(const struct found *a, const struct found *b)
{
    return a->header && (!b->header || (int32_t)(a->generation - b->generation) > 0);
}

/* Memory without a header.  Whatever records it has are kept, under a new id: this journal did not
 * make their claims, but it must not begin them again either. */
static enum err format(struct journal *journal, struct id128 fresh_id, const struct found *found)
{
    uint32_t target = found[0].seq_max <= found[1].seq_max ? 0 : 1;
    if (id128_is_zero(fresh_id))
        return ERR_IO; /* the host has no randomness now */
    journal->id = fresh_id;
    journal->generation = 0;
    enum err err = move_to(journal, target);
    if (err != ERR_OK)
        return err;
    return journal->flash.erase(journal->context, 1 - target) == ERR_OK ? ERR_OK : ERR_IO;
}

static enum err load(struct journal *journal, struct id128 fresh_id)
{
    struct found found[SECTORS] = {0};
    for (uint32_t i = 0; i < SECTORS; i++) {
        enum err err = scan_header(journal, i, &found[i]);
        if (err != ERR_OK)
            return err;
    }
    uint32_t used = newer(&found[1], &found[0]) ? 1 : 0;
    const struct id128 *id = found[used].header ? &found[used].id : NULL;
    for (uint32_t i = 0; i < SECTORS; i++) { /* the one in use last: the table is in order then */
        uint32_t sector = i == 0 ? 1 - used : used;
        enum err err = scan_records(journal, sector, id, &found[sector]);
        if (err != ERR_OK)
            return err;
        if (found[sector].seq_max > journal->seq)
            journal->seq = found[sector].seq_max;
    }
    if (id == NULL)
        return format(journal, fresh_id, found);
    journal->id = found[used].id;
    journal->generation = found[used].generation;
    journal->sector = used;
    journal->next = found[used].next;
    /* Records of both are in the table now, also newer ones of a sector whose header rotted away:
     * they are copied along when the one in use is full. */
    return ERR_OK;
}

enum err journal_open(struct journal *journal, const struct device_flash *flash, void *context,
                      struct id128 fresh_id)
{
    base_zero(journal, sizeof(*journal));
    journal->flash = *flash;
    journal->context = context;
    if (flash->sector_bytes < JOURNAL_SECTOR_BYTES_MIN || flash->read == NULL ||
        flash->write == NULL || flash->erase == NULL)
        return ERR_INPUT;
    enum err err = load(journal, fresh_id);
    journal->ready = err == ERR_OK;
    return err;
}

/* ---- writing ---- */

enum err journal_put(struct journal *journal, const struct journal_entry *entry)
{
    uint8_t bytes[JOURNAL_RECORD_BYTES];
    struct journal_entry stamped = *entry;
    if (!journal->ready)
        return ERR_IO;
    if (entry->state != JOURNAL_HEARD && journal_find(journal, entry->uid) == NULL &&
        journal_open_count(journal) >= JOURNAL_OPEN_MAX)
        return ERR_FULL;
    if (journal->next >= slots(journal)) {
        enum err err = move_to(journal, 1 - journal->sector);
        if (err != ERR_OK)
            return err;
    }
    /* Slot and number are spent even if the write fails: half of it may be there. */
    stamped.seq = ++journal->seq;
    journal_record_write(&stamped, journal->id, bytes);
    if (slot_write(journal, journal->sector, journal->next++, bytes) != ERR_OK)
        return ERR_IO;
    journal_table_add(journal, &stamped);
    return ERR_OK;
}

void journal_hear(struct journal *journal, struct id128 uid)
{
    for (uint32_t i = 0; i < journal->entry_count; i++) {
        struct journal_entry *known = &journal->entry[i];
        if (!id128_equal(known->uid, uid) || known->state == JOURNAL_HEARD)
            continue;
        struct journal_entry heard = *known;
        heard.state = JOURNAL_HEARD;
        if (journal_put(journal, &heard) != ERR_OK)
            known->state = JOURNAL_HEARD;
        return;
    }
}
