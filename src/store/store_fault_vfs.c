/* The fault disk as SQLite sees it.  No shared memory: the store asks for locking_mode=EXCLUSIVE,
 * and keeps the wal-index on the heap. */
#include "store/store_fault_int.h"

#include <string.h>

struct fault_handle {
    sqlite3_file base;
    struct store_fault_disk *disk;
    struct fault_file *file;
    uint64_t power_count; /* of the disk, when it was opened */
    bool delete_on_close;
};

static bool dead(const struct fault_handle *handle)
{
    return handle->disk->dark || handle->power_count != handle->disk->power_count;
}

static int handle_close(sqlite3_file *base)
{
    struct fault_handle *handle = (struct fault_handle *)base;
    handle->file->opens--;
    if (handle->delete_on_close && !dead(handle))
        fault_file_delete(handle->file);
    return SQLITE_OK;
}

static int handle_read(sqlite3_file *base, void *dst, int len, sqlite3_int64 at)
{
    struct fault_handle *handle = (struct fault_handle *)base;
    if (dead(handle))
        return SQLITE_IOERR_READ;
    const struct fault_bytes *now = &handle->file->now;
    int64_t there = now->len > at ? now->len - at : 0;
    if (there > len)
        there = len;
    if (there > 0)
        memcpy(dst, now->at + at, (size_t)there);
    if (there == len)
        return SQLITE_OK;
    memset((char *)dst + there, 0, (size_t)(len - there));
    return SQLITE_IOERR_SHORT_READ;
}

static int handle_write(sqlite3_file *base, const void *bytes, int len, sqlite3_int64 at)
{
    struct fault_handle *handle = (struct fault_handle *)base;
    if (dead(handle))
        return SQLITE_IOERR_WRITE;
    int code = fault_op(handle->disk, FAULT_OP_WRITE);
    if (code != SQLITE_OK && !handle->disk->dark)
        return code;
    /* When the power went in the middle of this write it may be there, or torn, like all that was
     * not synced. */
    int wrote = fault_file_write(handle->file, bytes, (size_t)len, at);
    return code == SQLITE_OK ? wrote : code;
}

static int handle_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct fault_handle *handle = (struct fault_handle *)base;
    if (dead(handle))
        return SQLITE_IOERR_TRUNCATE;
    int code = fault_op(handle->disk, FAULT_OP_WRITE);
    return code == SQLITE_OK ? fault_file_truncate(handle->file, size) : code;
}

static int handle_sync(sqlite3_file *base, int flags)
{
    struct fault_handle *handle = (struct fault_handle *)base;
    (void)flags;
    if (dead(handle))
        return SQLITE_IOERR_FSYNC;
    int code = fault_op(handle->disk, FAULT_OP_SYNC);
    return code == SQLITE_OK ? fault_file_sync(handle->file) : code;
}

static int handle_size(sqlite3_file *base, sqlite3_int64 *ret_size)
{
    struct fault_handle *handle = (struct fault_handle *)base;
    if (dead(handle))
        return SQLITE_IOERR_FSTAT;
    *ret_size = handle->file->now.len;
    return SQLITE_OK;
}

/* One connection, so nobody to keep out. */
static int handle_lock(sqlite3_file *base, int level)
{
    (void)base;
    (void)level;
    return SQLITE_OK;
}

static int handle_reserved(sqlite3_file *base, int *ret_locked)
{
    (void)base;
    *ret_locked = 0;
    return SQLITE_OK;
}

static int handle_control(sqlite3_file *base, int op, void *argument)
{
    (void)base;
    (void)op;
    (void)argument;
    return SQLITE_NOTFOUND;
}

static int handle_sector(sqlite3_file *base)
{
    (void)base;
    return 512;
}

static int handle_traits(sqlite3_file *base)
{
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE; /* what disks keep, and SQLite expects of them by
                                                default */
}

static const sqlite3_io_methods handle_methods = {
    .iVersion = 1,
    .xClose = handle_close,
    .xRead = handle_read,
    .xWrite = handle_write,
    .xTruncate = handle_truncate,
    .xSync = handle_sync,
    .xFileSize = handle_size,
    .xLock = handle_lock,
    .xUnlock = handle_lock,
    .xCheckReservedLock = handle_reserved,
    .xFileControl = handle_control,
    .xSectorSize = handle_sector,
    .xDeviceCharacteristics = handle_traits,
};

/* ---- the file system ---- */

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags,
                    int *ret_flags)
{
    struct store_fault_disk *disk = vfs->pAppData;
    struct fault_handle *handle = (struct fault_handle *)base;
    base->pMethods = NULL;
    if (disk->dark)
        return SQLITE_CANTOPEN;
    struct fault_file *file = fault_file_find(disk, name == NULL ? "(temporary)" : name);
    if (file == NULL && (flags & SQLITE_OPEN_CREATE) != 0)
        file = fault_file_make(disk, name == NULL ? "(temporary)" : name);
    if (file == NULL)
        return SQLITE_CANTOPEN;
    file->opens++;
    *handle = (struct fault_handle){.base = {&handle_methods},
                                    .disk = disk,
                                    .file = file,
                                    .power_count = disk->power_count,
                                    .delete_on_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0};
    if (ret_flags != NULL)
        *ret_flags = flags;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    struct store_fault_disk *disk = vfs->pAppData;
    struct fault_file *file = fault_file_find(disk, name);
    (void)sync_folder;
    if (file == NULL)
        return SQLITE_IOERR_DELETE_NOENT;
    int code = fault_op(disk, FAULT_OP_SYNC);
    if (code == SQLITE_OK)
        fault_file_delete(file);
    return code == SQLITE_OK ? code : SQLITE_IOERR_DELETE;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret_there)
{
    (void)flags;
    struct fault_file *file = fault_file_find(vfs->pAppData, name);
    /* As the system's: an empty file is no journal. */
    *ret_there = file != NULL && (flags != SQLITE_ACCESS_EXISTS || file->now.len > 0);
    return SQLITE_OK;
}

static int vfs_full_name(sqlite3_vfs *vfs, const char *name, int bytes, char *dst)
{
    (void)vfs;
    return bytes > 0 && str_copy(dst, (size_t)bytes, str_from(name)) == ERR_OK ? SQLITE_OK
                                                                               : SQLITE_CANTOPEN;
}

/* Drawn from the seed, so that a replay is the same to the byte. */
static int vfs_random(sqlite3_vfs *vfs, int bytes, char *dst)
{
    struct store_fault_disk *disk = vfs->pAppData;
    for (int i = 0; i < bytes; i++)
        dst[i] = (char)rng_next(&disk->rng);
    return bytes;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    return us;
}

static int vfs_now(sqlite3_vfs *vfs, double *ret_days)
{
    (void)vfs;
    *ret_days = 2461365.0; /* SQL never asks: time is a parameter */
    return SQLITE_OK;
}

void fault_vfs_init(struct store_fault_disk *disk)
{
    disk->vfs = (sqlite3_vfs){
        .iVersion = 1,
        .szOsFile = (int)sizeof(struct fault_handle),
        .mxPathname = FAULT_NAME_MAX,
        .zName = disk->name,
        .pAppData = disk,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_name,
        .xRandomness = vfs_random,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_now,
    };
}
