/* The disk: what is durable, what is not yet, and what a power cut makes of the difference. */
#include "store/store_fault_int.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define SECTOR ((int64_t)512)

/* ---- faults ---- */

void store_fault_fail_after(struct store_fault_disk *disk, uint64_t nth, enum store_fault kind,
                            bool stays)
{
    ASSERT(nth > 0 || kind == STORE_FAULT_NONE);
    disk->kind = kind;
    disk->countdown = nth;
    disk->stays = stays;
    disk->fired = false;
}

bool store_fault_fired(const struct store_fault_disk *disk)
{
    return disk->fired;
}

uint64_t store_fault_op_count(const struct store_fault_disk *disk)
{
    return disk->op_count;
}

static bool concerns(enum store_fault kind, enum fault_op op)
{
    switch (kind) {
    case STORE_FAULT_FULL:
    case STORE_FAULT_WRITE:
        return op == FAULT_OP_WRITE;
    case STORE_FAULT_SYNC:
        return op == FAULT_OP_SYNC;
    case STORE_FAULT_POWER:
        return true;
    case STORE_FAULT_NONE:
        break;
    }
    return false;
}

int fault_op(struct store_fault_disk *disk, enum fault_op op)
{
    static const int codes[] = {
        [STORE_FAULT_NONE] = SQLITE_OK,           [STORE_FAULT_FULL] = SQLITE_FULL,
        [STORE_FAULT_WRITE] = SQLITE_IOERR_WRITE, [STORE_FAULT_SYNC] = SQLITE_IOERR_FSYNC,
        [STORE_FAULT_POWER] = SQLITE_IOERR,
    };
    disk->op_count++;
    if (disk->dark)
        return SQLITE_IOERR;
    if (!concerns(disk->kind, op))
        return SQLITE_OK;
    if (disk->countdown > 1) {
        disk->countdown--;
        return SQLITE_OK;
    }
    if (disk->fired && !disk->stays)
        return SQLITE_OK;
    disk->fired = true;
    disk->dark = disk->kind == STORE_FAULT_POWER;
    return codes[disk->kind];
}

/* ---- content ---- */

static int bytes_size(struct fault_bytes *bytes, int64_t len)
{
    if (len > bytes->cap) {
        int64_t cap = bytes->cap < 4096 ? 4096 : bytes->cap;
        while (cap < len)
            cap *= 2;
        uint8_t *at = mem_realloc(bytes->at, (size_t)cap);
        if (at == NULL)
            return SQLITE_IOERR_NOMEM;
        bytes->at = at;
        bytes->cap = cap;
    }
    if (len > bytes->len)
        memset(bytes->at + bytes->len, 0, (size_t)(len - bytes->len));
    bytes->len = len;
    return SQLITE_OK;
}

static int bytes_write(struct fault_bytes *bytes, const void *from, size_t len, int64_t at)
{
    int64_t end = at + (int64_t)len;
    int code = end > bytes->len ? bytes_size(bytes, end) : SQLITE_OK;
    if (code == SQLITE_OK && len > 0)
        memcpy(bytes->at + at, from, len);
    return code;
}

static void bytes_finish(struct fault_bytes *bytes)
{
    mem_free(bytes->at);
    *bytes = (struct fault_bytes){0};
}

static int bytes_copy(struct fault_bytes *dst, const struct fault_bytes *src)
{
    dst->len = 0;
    int code = bytes_size(dst, src->len);
    if (code == SQLITE_OK && src->len > 0)
        memcpy(dst->at, src->at, (size_t)src->len);
    return code;
}

/* ---- files ---- */

struct fault_file *fault_file_find(struct store_fault_disk *disk, const char *name)
{
    for (size_t i = 0; i < FAULT_FILES_MAX; i++) {
        if (disk->files[i].exists && strcmp(disk->files[i].name, name) == 0)
            return &disk->files[i];
    }
    return NULL;
}

struct fault_file *fault_file_make(struct store_fault_disk *disk, const char *name)
{
    for (size_t i = 0; i < FAULT_FILES_MAX; i++) {
        struct fault_file *file = &disk->files[i];
        if (file->exists || file->opens > 0 || file->durable_entry)
            continue;
        if (str_copy(file->name, sizeof(file->name), str_from(name)) != ERR_OK)
            return NULL;
        file->exists = true;
        return file;
    }
    return NULL;
}

static int change_add(struct fault_file *file, bool truncates, const void *bytes, size_t len,
                      int64_t at)
{
    struct fault_change *change = mem_alloc(sizeof(*change) + len + 1);
    if (change == NULL)
        return SQLITE_IOERR_NOMEM;
    *change = (struct fault_change){.truncates = truncates, .at = at, .len = len};
    if (len > 0)
        memcpy(change->bytes, bytes, len);
    if (file->last == NULL)
        file->first = change;
    else
        file->last->next = change;
    file->last = change;
    return SQLITE_OK;
}

static void changes_drop(struct fault_file *file)
{
    while (file->first != NULL) {
        struct fault_change *change = file->first;
        file->first = change->next;
        mem_free(change);
    }
    file->last = NULL;
}

int fault_file_write(struct fault_file *file, const void *bytes, size_t len, int64_t at)
{
    int code = change_add(file, false, bytes, len, at);
    return code == SQLITE_OK ? bytes_write(&file->now, bytes, len, at) : code;
}

int fault_file_truncate(struct fault_file *file, int64_t size)
{
    int code = change_add(file, true, NULL, 0, size);
    return code == SQLITE_OK ? bytes_size(&file->now, size) : code;
}

int fault_file_sync(struct fault_file *file)
{
    for (struct fault_change *change = file->first; change != NULL; change = change->next) {
        int code = change->truncates
                       ? bytes_size(&file->durable, change->at)
                       : bytes_write(&file->durable, change->bytes, change->len, change->at);
        if (code != SQLITE_OK)
            return code;
    }
    changes_drop(file);
    file->durable_entry = true;
    return SQLITE_OK;
}

static void file_forget(struct fault_file *file)
{
    changes_drop(file);
    bytes_finish(&file->now);
    bytes_finish(&file->durable);
    file->exists = false;
    file->durable_entry = false;
}

/* At once and for good: SQLite deletes only what it no longer needs. */
void fault_file_delete(struct fault_file *file)
{
    file_forget(file);
}

/* ---- the power cut ---- */

/* How much of the unsynced work a cut leaves: all, none, what came first, or any of it. */
enum fate { FATE_ALL, FATE_NONE, FATE_PREFIX, FATE_ANY, FATE_COUNT };

static void sector_garble(struct store_fault_disk *disk, struct fault_file *file, int64_t at,
                          size_t len)
{
    for (size_t i = 0; i < len; i++)
        file->durable.at[at + (int64_t)i] = (uint8_t)rng_next(&disk->rng);
}

/* A write's sectors, one by one.  Only bytes it wrote change: a sector's neighbours are safe. */
static int write_survives(struct store_fault_disk *disk, struct fault_file *file,
                          const struct fault_change *change)
{
    for (size_t done = 0; done < change->len;) {
        int64_t at = change->at + (int64_t)done;
        size_t part = (size_t)(SECTOR - at % SECTOR);
        if (part > change->len - done)
            part = change->len - done;
        bool kept = rng_chance(&disk->rng, 0.6);
        bool garbled = !kept && rng_chance(&disk->rng, 0.2);
        if (kept || garbled) {
            int code = bytes_write(&file->durable, change->bytes + done, part, at);
            if (code != SQLITE_OK)
                return code;
        }
        if (garbled)
            sector_garble(disk, file, at, part);
        done += part;
    }
    return SQLITE_OK;
}

static int change_survives(struct store_fault_disk *disk, struct fault_file *file,
                           const struct fault_change *change, enum fate fate)
{
    if (change->truncates)
        return fate == FATE_ALL || rng_chance(&disk->rng, 0.5)
                   ? bytes_size(&file->durable, change->at)
                   : SQLITE_OK;
    if (fate == FATE_ANY)
        return write_survives(disk, file, change);
    return bytes_write(&file->durable, change->bytes, change->len, change->at);
}

static int file_survives(struct store_fault_disk *disk, struct fault_file *file, enum fate fate)
{
    int code = SQLITE_OK;
    if (!file->durable_entry && (fate == FATE_NONE || rng_chance(&disk->rng, 0.5))) {
        file_forget(file);
        return SQLITE_OK;
    }
    for (struct fault_change *change = file->first; code == SQLITE_OK && change != NULL;
         change = change->next) {
        if (fate == FATE_NONE || (fate == FATE_PREFIX && rng_chance(&disk->rng, 0.3)))
            break;
        code = change_survives(disk, file, change, fate);
    }
    changes_drop(file);
    file->durable_entry = true;
    return code == SQLITE_OK ? bytes_copy(&file->now, &file->durable) : code;
}

void store_fault_crash(struct store_fault_disk *disk)
{
    enum fate fate = (enum fate)rng_below(&disk->rng, FATE_COUNT);
    for (size_t i = 0; i < FAULT_FILES_MAX; i++) {
        if (!disk->files[i].exists)
            continue;
        int code = file_survives(disk, &disk->files[i], fate);
        ASSERT(code == SQLITE_OK); /* a test's disk needs its memory */
    }
    disk->power_count++;
    disk->dark = false;
    store_fault_fail_after(disk, 0, STORE_FAULT_NONE, false);
}

/* ---- life ---- */

enum err store_fault_disk_create(uint64_t seed, struct store_fault_disk **ret_disk)
{
    static _Atomic uint32_t serial;
    struct store_fault_disk *disk = mem_zalloc(sizeof(*disk));
    if (disk == NULL)
        return ERR_NOMEM;
    rng_init(&disk->rng, seed);
    snprintf(disk->name, sizeof(disk->name), "automat-fault-%u",
             (unsigned)atomic_fetch_add(&serial, 1));
    fault_vfs_init(disk);
    if (sqlite3_vfs_register(&disk->vfs, 0) != SQLITE_OK) {
        mem_free(disk);
        return ERR_NOMEM;
    }
    *ret_disk = disk;
    return ERR_OK;
}

void store_fault_disk_destroy(struct store_fault_disk *disk)
{
    if (disk == NULL)
        return;
    sqlite3_vfs_unregister(&disk->vfs);
    for (size_t i = 0; i < FAULT_FILES_MAX; i++) {
        ASSERT(disk->files[i].opens == 0); /* a store is still open on it */
        file_forget(&disk->files[i]);
    }
    mem_free(disk);
}

const char *store_fault_vfs_name(const struct store_fault_disk *disk)
{
    return disk->name;
}
