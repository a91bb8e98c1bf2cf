#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096

static enum err err_from_errno(void)
{
    switch (errno) {
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case ENOMEM:
        return ERR_NOMEM;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_DENIED;
    default:
        return ERR_IO;
    }
}

static enum err read_all(int fd, struct buf *buf)
{
    char chunk[16 * 1024];
    for (;;) {
        ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ERR_IO;
        if (got == 0)
            return ERR_OK;
        enum err err = buf_add(buf, chunk, (size_t)got);
        if (err != ERR_OK)
            return err;
    }
}

enum err file_read(const char *path, size_t bytes_max, struct buf *ret_buf)
{
    buf_init(ret_buf, bytes_max);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_from_errno();
    enum err err = read_all(fd, ret_buf);
    close(fd);
    if (err != ERR_OK)
        buf_finish(ret_buf);
    return err;
}

static enum err write_all(int fd, const char *at, size_t len)
{
    while (len > 0) {
        ssize_t wrote = write(fd, at, len);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return ERR_IO;
        at += wrote;
        len -= (size_t)wrote;
    }
    return ERR_OK;
}

/* The name of the folder that `path` is in. */
static enum err folder_of(const char *path, char *dst, size_t dst_bytes)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return str_copy(dst, dst_bytes, STR("."));
    size_t len = slash == path ? 1 : (size_t)(slash - path);
    return str_copy(dst, dst_bytes, (struct str){path, len});
}

static enum err folder_sync(const char *path)
{
    char folder[PATH_BYTES];
    enum err err = folder_of(path, folder, sizeof(folder));
    if (err != ERR_OK)
        return err;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_from_errno();
    err = fsync(fd) == 0 ? ERR_OK : ERR_IO;
    close(fd);
    return err;
}

enum err file_write_atomic(const char *path, const void *bytes, size_t len, uint32_t mode)
{
    static _Atomic uint32_t serial;
    char temporary[PATH_BYTES];
    int wide = snprintf(temporary, sizeof(temporary), "%s.tmp.%ld.%u", path, (long)getpid(),
                        (unsigned)atomic_fetch_add(&serial, 1));
    if (wide < 0 || (size_t)wide >= sizeof(temporary))
        return ERR_FULL;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)mode);
    if (fd < 0)
        return err_from_errno();
    enum err err = write_all(fd, bytes, len);
    if (err == ERR_OK && fsync(fd) != 0)
        err = ERR_IO;
    if (close(fd) != 0 && err == ERR_OK)
        err = ERR_IO;
    if (err == ERR_OK && rename(temporary, path) != 0)
        err = err_from_errno();
    if (err != ERR_OK) {
        unlink(temporary);
        return err;
    }
    return folder_sync(path);
}

static enum err dir_make_one(const char *path, uint32_t mode)
{
    struct stat info;
    if (mkdir(path, (mode_t)mode) == 0)
        return ERR_OK;
    if (errno != EEXIST)
        return err_from_errno();
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode) ? ERR_OK : ERR_CONFLICT;
}

enum err dir_make(const char *path, uint32_t mode)
{
    char partial[PATH_BYTES];
    enum err err = str_copy(partial, sizeof(partial), str_from(path));
    if (err != ERR_OK)
        return err;
    if (partial[0] == '\0')
        return ERR_INPUT;
    for (char *at = partial + 1; *at != '\0'; at++) {
        if (*at != '/' || at[-1] == '/')
            continue;
        *at = '\0';
        err = dir_make_one(partial, mode);
        if (err != ERR_OK)
            return err;
        *at = '/';
    }
    return dir_make_one(partial, mode);
}

bool path_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

enum err file_lock(const char *path, struct file_lock *ret_lock)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_from_errno();
    /* flock belongs to this opening of the file: a second one conflicts even inside one process,
     * and the kernel gives it back however the process ends. */
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EINTR)
            continue;
        enum err err = errno == EWOULDBLOCK ? ERR_CONFLICT : ERR_IO;
        close(fd);
        return err;
    }
    ret_lock->fd = fd;
    return ERR_OK;
}

void file_unlock(struct file_lock *lock)
{
    if (lock->fd >= 0)
        close(lock->fd); /* the file stays: removing it would let two takers lock two files of one
                            name */
    lock->fd = -1;
}
