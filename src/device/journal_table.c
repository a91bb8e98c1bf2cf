#include "device/journal_int.h"

static bool same_uid(const struct journal_entry *a, const struct journal_entry *b)
{
    return id128_equal(a->uid, b->uid);
}

static void take_out(struct journal *journal, uint32_t index)
{
    journal->entry_count--;
    base_move(&journal->entry[index], &journal->entry[index + 1],
              (journal->entry_count - index) * sizeof(journal->entry[0]));
}

/* The index that may go; entry_count when the new one itself is the one to leave out. */
static uint32_t oldest_to_go(const struct journal *journal, const struct journal_entry *entry)
{
    uint32_t index = 0;
    while (index < journal->entry_count && journal->entry[index].state != JOURNAL_HEARD)
        index++;
    if (index == journal->entry_count)
        index = 0; /* nothing but open ones: only memory that somebody else wrote looks like this */
    return journal->entry[index].seq < entry->seq ? index : journal->entry_count;
}

void journal_table_add(struct journal *journal, const struct journal_entry *entry)
{
    for (uint32_t i = 0; i < journal->entry_count; i++) {
        if (!same_uid(&journal->entry[i], entry))
            continue;
        if (journal->entry[i].seq >= entry->seq)
            return;
        take_out(journal, i);
        break;
    }
    if (journal->entry_count == ARRAY_COUNT(journal->entry)) {
        uint32_t gone = oldest_to_go(journal, entry);
        if (gone == journal->entry_count)
            return;
        take_out(journal, gone);
    }
    uint32_t at = journal->entry_count;
    while (at > 0 && journal->entry[at - 1].seq > entry->seq)
        at--;
    base_move(&journal->entry[at + 1], &journal->entry[at],
              (journal->entry_count - at) * sizeof(journal->entry[0]));
    journal->entry[at] = *entry;
    journal->entry_count++;
}

uint32_t journal_open_count(const struct journal *journal)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < journal->entry_count; i++)
        count += journal->entry[i].state != JOURNAL_HEARD;
    return count;
}

const struct journal_entry *journal_find(const struct journal *journal, struct id128 uid)
{
    for (uint32_t i = journal->entry_count; i > 0; i--) {
        if (id128_equal(journal->entry[i - 1].uid, uid))
            return &journal->entry[i - 1];
    }
    return NULL;
}

const struct journal_entry *journal_unheard(const struct journal *journal)
{
    for (uint32_t i = 0; i < journal->entry_count; i++) {
        if (journal->entry[i].state != JOURNAL_HEARD)
            return &journal->entry[i];
    }
    return NULL;
}
