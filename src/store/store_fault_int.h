/* Inside the two files of the fault disk. */
#ifndef AUTOMAT_STORE_FAULT_INT_H
#define AUTOMAT_STORE_FAULT_INT_H

#include <sqlite3.h>

#include "store/store_fault.h"
#include "sys/sys.h"

#define FAULT_FILES_MAX 32
#define FAULT_NAME_MAX  256

/* Not yet synced, in the order it was asked for. */
struct fault_change {
    struct fault_change *next;
    bool truncates; /* else: a write */
    int64_t at;     /* where it writes, or the new size */
    size_t len;
    uint8_t bytes[];
};

struct fault_bytes {
    uint8_t *at;
    int64_t len, cap;
};

struct fault_file {
    char name[FAULT_NAME_MAX];
    bool exists;        /* by name, now */
    bool durable_entry; /* the name itself outlives a power cut */
    int opens;
    struct fault_bytes now;     /* what a read sees */
    struct fault_bytes durable; /* what a power cut leaves at least */
    struct fault_change *first, *last;
};

struct store_fault_disk {
    sqlite3_vfs vfs;
    char name[32];
    struct rng rng;
    struct fault_file files[FAULT_FILES_MAX];
    uint64_t power_count; /* handles from before a power cut are dead */
    bool dark;
    enum store_fault kind;
    uint64_t countdown;
    bool stays, fired;
    uint64_t op_count;
};

/* ---- store_fault.c: the disk ---- */
enum fault_op { FAULT_OP_WRITE, FAULT_OP_SYNC };
/* Counts the operation; SQLITE_OK, or what it has to fail with. */
int fault_op(struct store_fault_disk *disk, enum fault_op op);
struct fault_file *fault_file_find(struct store_fault_disk *disk, const char *name);
struct fault_file *fault_file_make(struct store_fault_disk *disk, const char *name);
int fault_file_write(struct fault_file *file, const void *bytes, size_t len, int64_t at);
int fault_file_truncate(struct fault_file *file, int64_t size);
int fault_file_sync(struct fault_file *file);
void fault_file_delete(struct fault_file *file);

/* ---- store_fault_vfs.c: what SQLite sees of it ---- */
void fault_vfs_init(struct store_fault_disk *disk);

#endif
