/* A file that behaves like a board's flash.  It is kept in memory too, so that reading never waits;
 * a write is on disk when it returns, or this process would forget what a killed board remembers.
 */
#include "twin/twin_int.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err write_all(int fd, const uint8_t *bytes, size_t len, off_t offset)
{
    while (len > 0) {
        ssize_t wrote = pwrite(fd, bytes, len, offset);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return ERR_IO;
        bytes += wrote;
        len -= (size_t)wrote;
        offset += wrote;
    }
    return fdatasync(fd) == 0 ? ERR_OK : ERR_IO;
}

static enum err read_all(int fd, uint8_t *bytes, size_t len)
{
    size_t at = 0;
    while (at < len) {
        ssize_t got = pread(fd, bytes + at, len - at, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return ERR_IO;
        at += (size_t)got;
    }
    return ERR_OK;
}

/* A file of another size is not ours: formatting it would destroy somebody's data. */
static enum err load(struct twin_flash *flash, const char *path)
{
    struct stat status;
    flash->fd = open(path, O_RDWR | O_CLOEXEC);
    if (flash->fd < 0)
        return ERR_IO;
    if (fstat(flash->fd, &status) != 0)
        return ERR_IO;
    if (!S_ISREG(status.st_mode) || status.st_size != (off_t)sizeof(flash->bytes))
        return ERR_INPUT;
    return read_all(flash->fd, flash->bytes, sizeof(flash->bytes));
}

static enum err lock(struct twin_flash *flash, const char *path)
{
    char name[4096];
    int len = snprintf(name, sizeof(name), "%s.lock", path);
    if (len < 0 || (size_t)len >= sizeof(name))
        return ERR_INPUT;
    return file_lock(name, &flash->lock);
}

enum err twin_flash_open(struct twin_flash *flash, const char *path)
{
    memset(flash->bytes, 0xff, sizeof(flash->bytes));
    flash->fd = -1;
    flash->lock.fd = -1;
    if (path == NULL)
        return ERR_OK;
    enum err err = lock(flash, path);
    if (err != ERR_OK) {
        flash->lock.fd = -1;
        return err;
    }
    if (!path_exists(path))
        err = file_write_atomic(path, flash->bytes, sizeof(flash->bytes), 0600);
    if (err == ERR_OK)
        err = load(flash, path);
    if (err != ERR_OK)
        twin_flash_close(flash);
    return err;
}

void twin_flash_close(struct twin_flash *flash)
{
    if (flash->fd >= 0)
        close(flash->fd);
    flash->fd = -1;
    if (flash->lock.fd >= 0)
        file_unlock(&flash->lock);
    flash->lock.fd = -1;
}

enum err twin_flash_read(struct twin_flash *flash, uint32_t offset, void *dst, size_t len)
{
    ASSERT(offset <= sizeof(flash->bytes) && len <= sizeof(flash->bytes) - offset);
    memcpy(dst, flash->bytes + offset, len);
    return ERR_OK;
}

enum err twin_flash_write(struct twin_flash *flash, uint32_t offset, const void *src, size_t len)
{
    ASSERT(offset <= sizeof(flash->bytes) && len <= sizeof(flash->bytes) - offset);
    if (flash->fd >= 0) {
        enum err err = write_all(flash->fd, src, len, (off_t)offset);
        if (err != ERR_OK)
            return err;
    }
    memcpy(flash->bytes + offset, src, len);
    return ERR_OK;
}

enum err twin_flash_erase(struct twin_flash *flash, uint32_t sector)
{
    static uint8_t erased[TWIN_SECTOR_BYTES];
    ASSERT(sector < 2);
    memset(erased, 0xff, sizeof(erased));
    return twin_flash_write(flash, sector * TWIN_SECTOR_BYTES, erased, sizeof(erased));
}
