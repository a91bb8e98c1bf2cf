/* Records and headers as bytes.  Everything is little-endian, whatever the board is.
 *
 *   record   0 magic  4 seq  8 state  9 outcome  12 duration_ms  16 uid  32 claim_id  48 command_id
 *            56 reason  84 warning  112 numbers  160 tag  172 crc
 *   header   0 magic  4 generation  8 journal id  172 crc
 *
 * The tag is the first half of the journal's id: what is left over from another journal is not
 * taken for this one's. */
#include "device/journal_int.h"

enum {
    AT_MAGIC = 0,
    AT_SEQ = 4,
    AT_STATE = 8,
    AT_OUTCOME = 9,
    AT_DURATION = 12,
    AT_UID = 16,
    AT_CLAIM = 32,
    AT_COMMAND = 48,
    AT_REASON = 56,
    AT_WARNING = 84,
    AT_NUMBERS = 112,
    AT_TAG = 160,
    AT_CRC = 172,
    AT_GENERATION = 4,
    AT_ID = 8,
};
_Static_assert(AT_WARNING - AT_REASON == JOURNAL_REASON_BYTES, "reason");
_Static_assert(AT_NUMBERS - AT_WARNING == JOURNAL_REASON_BYTES, "warning");
_Static_assert(AT_TAG - AT_NUMBERS == 8 * JOURNAL_NUMBERS_MAX, "numbers");
_Static_assert(AT_CRC + 4 == JOURNAL_RECORD_BYTES, "crc");

#define RECORD_MAGIC UINT32_C(0x31524a41) /* "AJR1" */
#define HEADER_MAGIC UINT32_C(0x31484a41) /* "AJH1" */

static void put_le(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_le(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static void seal(uint8_t bytes[JOURNAL_RECORD_BYTES])
{
    put_le(bytes + AT_CRC, crc32c(0, bytes, AT_CRC), 4);
}

static bool sealed(const uint8_t bytes[JOURNAL_RECORD_BYTES], uint32_t magic)
{
    return get_le(bytes + AT_MAGIC, 4) == magic &&
           get_le(bytes + AT_CRC, 4) == crc32c(0, bytes, AT_CRC);
}

void journal_record_write(const struct journal_entry *entry, struct id128 journal_id,
                          uint8_t ret_bytes[JOURNAL_RECORD_BYTES])
{
    base_zero(ret_bytes, JOURNAL_RECORD_BYTES);
    put_le(ret_bytes + AT_MAGIC, RECORD_MAGIC, 4);
    put_le(ret_bytes + AT_SEQ, entry->seq, 4);
    ret_bytes[AT_STATE] = (uint8_t)entry->state;
    ret_bytes[AT_OUTCOME] = entry->outcome;
    put_le(ret_bytes + AT_DURATION, entry->duration_ms, 4);
    base_copy(ret_bytes + AT_UID, entry->uid.byte, 16);
    base_copy(ret_bytes + AT_CLAIM, entry->claim_id.byte, 16);
    put_le(ret_bytes + AT_COMMAND, entry->command_id, 8);
    base_copy(ret_bytes + AT_REASON, entry->reason, JOURNAL_REASON_BYTES);
    base_copy(ret_bytes + AT_WARNING, entry->warning, JOURNAL_REASON_BYTES);
    for (unsigned i = 0; i < JOURNAL_NUMBERS_MAX; i++)
        put_le(ret_bytes + AT_NUMBERS + (size_t)8 * i, (uint64_t)entry->number[i], 8);
    base_copy(ret_bytes + AT_TAG, journal_id.byte, 8);
    seal(ret_bytes);
}

bool journal_record_read(const uint8_t bytes[JOURNAL_RECORD_BYTES], const struct id128 *journal_id,
                         struct journal_entry *ret_entry)
{
    struct journal_entry entry = {0};
    if (!sealed(bytes, RECORD_MAGIC))
        return false;
    if (journal_id != NULL && !base_equal(bytes + AT_TAG, journal_id->byte, 8))
        return false;
    if (bytes[AT_STATE] < JOURNAL_STARTED || bytes[AT_STATE] > JOURNAL_HEARD)
        return false;
    entry.seq = (uint32_t)get_le(bytes + AT_SEQ, 4);
    entry.state = (enum journal_state)bytes[AT_STATE];
    entry.outcome = bytes[AT_OUTCOME];
    entry.duration_ms = (uint32_t)get_le(bytes + AT_DURATION, 4);
    base_copy(entry.uid.byte, bytes + AT_UID, 16);
    base_copy(entry.claim_id.byte, bytes + AT_CLAIM, 16);
    entry.command_id = get_le(bytes + AT_COMMAND, 8);
    base_copy(entry.reason, bytes + AT_REASON, JOURNAL_REASON_BYTES - 1);
    base_copy(entry.warning, bytes + AT_WARNING, JOURNAL_REASON_BYTES - 1);
    for (unsigned i = 0; i < JOURNAL_NUMBERS_MAX; i++)
        entry.number[i] = (int64_t)get_le(bytes + AT_NUMBERS + (size_t)8 * i, 8);
    *ret_entry = entry;
    return true;
}

void journal_header_write(struct id128 journal_id, uint32_t generation,
                          uint8_t ret_bytes[JOURNAL_RECORD_BYTES])
{
    base_zero(ret_bytes, JOURNAL_RECORD_BYTES);
    put_le(ret_bytes + AT_MAGIC, HEADER_MAGIC, 4);
    put_le(ret_bytes + AT_GENERATION, generation, 4);
    base_copy(ret_bytes + AT_ID, journal_id.byte, 16);
    seal(ret_bytes);
}

bool journal_header_read(const uint8_t bytes[JOURNAL_RECORD_BYTES], struct id128 *ret_journal_id,
                         uint32_t *ret_generation)
{
    if (!sealed(bytes, HEADER_MAGIC))
        return false;
    *ret_generation = (uint32_t)get_le(bytes + AT_GENERATION, 4);
    base_copy(ret_journal_id->byte, bytes + AT_ID, 16);
    return true;
}

bool journal_erased(const uint8_t bytes[JOURNAL_RECORD_BYTES])
{
    for (size_t i = 0; i < JOURNAL_RECORD_BYTES; i++) {
        if (bytes[i] != 0xff)
            return false;
    }
    return true;
}
