/* store_fault: a disk in memory that can be full, fail, or lose its power in the middle of
 * anything.  For tests, and tests/world: it is an SQLite VFS of its own name, for a store with
 * inline_jobs.
 *
 * What is written is read back at once, but counts as durable only after a sync of its file.  When
 * the power goes, each 512-byte sector of what was not synced is kept, lost, or (rarely) garbled,
 * as drawn from the disk's seed; a file that was created and never synced may be gone.  The disk
 * outlives the store: crash, power on, open again.
 *
 *     store_fault_disk_create(seed, &disk);
 *     store_open(NULL, &(struct store_options){.path = "a.db", .vfs = store_fault_vfs_name(disk),
 *                                              .inline_jobs = true, ...}, ...);
 *     store_fault_fail_after(disk, 7, STORE_FAULT_POWER, false);
 *     ... jobs and store_step: from the 7th write or sync on, the disk does nothing and says so ...
 *     store_crash(store);
 *     store_fault_crash(disk);       the sectors' fate is drawn, the power is back
 *     store_open(...);
 *
 * One thread at a time. */
#ifndef AUTOMAT_STORE_FAULT_H
#define AUTOMAT_STORE_FAULT_H

#include "base/base.h"

struct store_fault_disk; /* owned by its creator; destroyed after every store on it */

MUST_USE enum err store_fault_disk_create(uint64_t seed, struct store_fault_disk **ret_disk);
void store_fault_disk_destroy(struct store_fault_disk *disk); /* NULL does nothing */
const char *store_fault_vfs_name(const struct store_fault_disk *disk);

enum store_fault {
    STORE_FAULT_NONE,
    STORE_FAULT_FULL,  /* a write says: no space; syncs work */
    STORE_FAULT_WRITE, /* a write fails */
    STORE_FAULT_SYNC,  /* a sync fails, and leaves what it should have made durable as it was */
    STORE_FAULT_POWER, /* this write or sync and everything after it: nothing happens, all fails */
};
/* The nth (1: the next) operation of its kind from now on (a write, for FULL and WRITE; a sync;
 * either, for POWER) fails; with `stays` all after it too, until set anew.  STORE_FAULT_NONE: the
 * disk is well again. */
void store_fault_fail_after(struct store_fault_disk *disk, uint64_t nth, enum store_fault kind,
                            bool stays);
bool store_fault_fired(const struct store_fault_disk *disk); /* since it was set */

/* Writes and syncs so far: run once to learn how many there are, then fail at each. */
uint64_t store_fault_op_count(const struct store_fault_disk *disk);

/* The power goes, if it has not gone yet, and comes back: what was not synced meets its fate; no
 * fault is set.  A store that is still open keeps failing until store_crash. */
void store_fault_crash(struct store_fault_disk *disk);

#endif
