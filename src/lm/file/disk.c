/* Files and folders that are whole or absent after a crash. */
#include "lm/file/file_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES_MAX (256 * MIB)

void (*lm_disk_step)(void);

static void step(void)
{
    if (lm_disk_step != NULL)
        lm_disk_step();
}

static enum err err_of(int number)
{
    switch (number) {
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

enum err lm_refuse(struct lm_fault *fault, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(fault->why, sizeof(fault->why), format, args);
    va_end(args);
    return ERR_INPUT;
}

enum err lm_blame(struct lm_fault *fault, const char *path, enum err err)
{
    if (err != ERR_OK && fault->why[0] == '\0')
        (void)snprintf(fault->why, sizeof(fault->why), "%.200s: %s", path, err_name(err));
    return err;
}

enum err lm_disk_path(char dst[LM_PATH_BYTES], const char *dir, const char *name)
{
    bool joined = name[0] == '.' || name[0] == '\0' || dir[0] == '\0';
    int wide = snprintf(dst, LM_PATH_BYTES, "%s%s%s", dir, joined ? "" : "/", name);
    return wide >= 0 && wide < LM_PATH_BYTES ? ERR_OK : ERR_FULL;
}

static enum err sync_folder_of(const char *path)
{
    char folder[LM_PATH_BYTES] = ".";
    const char *slash = strrchr(path, '/');
    if (slash != NULL) {
        size_t len = slash == path ? 1 : (size_t)(slash - path);
        enum err err = str_copy(folder, sizeof(folder), (struct str){path, len});
        if (err != ERR_OK)
            return err;
    }
    step();
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_of(errno);
    enum err err = fsync(fd) == 0 ? ERR_OK : ERR_IO;
    close(fd);
    return err;
}

enum err lm_disk_begin(struct lm_disk_out *out, const char *path)
{
    enum err err = lm_disk_path(out->path, path, "");
    out->fd = -1;
    if (err != ERR_OK)
        return err;
    int wide = snprintf(out->tmp, sizeof(out->tmp), "%s.tmp", path);
    if (wide < 0 || wide >= (int)sizeof(out->tmp))
        return ERR_FULL;
    step();
    out->fd = open(out->tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    return out->fd >= 0 ? ERR_OK : err_of(errno);
}

enum err lm_disk_add(struct lm_disk_out *out, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        size_t part = len < 8 * MIB ? len : 8 * MIB;
        step();
        ssize_t wrote = write(out->fd, at, part);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return ERR_IO;
        at += wrote;
        len -= (size_t)wrote;
    }
    return ERR_OK;
}

enum err lm_disk_again(struct lm_disk_out *out, uint64_t at, const void *bytes, size_t len)
{
    step();
    ssize_t wrote = pwrite(out->fd, bytes, len, (off_t)at);
    return wrote >= 0 && (size_t)wrote == len ? ERR_OK : ERR_IO;
}

enum err lm_disk_commit(struct lm_disk_out *out)
{
    step();
    enum err err = fsync(out->fd) == 0 ? ERR_OK : ERR_IO;
    int closed = close(out->fd);
    out->fd = -1;
    if (err == ERR_OK && closed != 0)
        err = ERR_IO;
    if (err == ERR_OK) {
        step();
        if (rename(out->tmp, out->path) != 0)
            err = err_of(errno);
    }
    if (err != ERR_OK) {
        (void)unlink(out->tmp);
        return err;
    }
    return sync_folder_of(out->path);
}

void lm_disk_abort(struct lm_disk_out *out)
{
    if (out->fd < 0)
        return;
    close(out->fd);
    out->fd = -1;
    (void)unlink(out->tmp);
}

enum err lm_disk_write(const char *path, const void *bytes, size_t len)
{
    struct lm_disk_out out;
    enum err err = lm_disk_begin(&out, path);
    if (err == ERR_OK)
        err = lm_disk_add(&out, bytes, len);
    if (err == ERR_OK)
        return lm_disk_commit(&out);
    lm_disk_abort(&out);
    return err;
}

enum err lm_disk_copy(const char *from, const char *to)
{
    struct buf buf;
    enum err err = file_read(from, COPY_BYTES_MAX, &buf);
    if (err != ERR_OK)
        return err;
    err = lm_disk_write(to, buf.at, buf.len);
    buf_finish(&buf);
    return err;
}

enum err lm_disk_make_dir(const char *dir)
{
    step();
    return dir_make(dir, 0755);
}

enum err lm_disk_rename(const char *from, const char *to)
{
    step();
    if (rename(from, to) != 0)
        return err_of(errno);
    return sync_folder_of(to);
}

enum err lm_disk_remove_dir(const char *dir)
{
    char path[LM_PATH_BYTES];
    DIR *folder = opendir(dir);
    if (folder == NULL)
        return errno == ENOENT ? ERR_OK : err_of(errno);
    enum err err = ERR_OK;
    for (struct dirent *entry; err == ERR_OK && (entry = readdir(folder)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        int wide = snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        step();
        if (wide < 0 || wide >= (int)sizeof(path))
            err = ERR_FULL;
        else if (unlink(path) != 0)
            err = err_of(errno);
    }
    closedir(folder);
    step();
    if (err == ERR_OK && rmdir(dir) != 0)
        err = err_of(errno);
    return err;
}

enum err lm_map_open(const char *path, struct lm_map *ret_map)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_of(errno);
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(fd);
        return ERR_IO;
    }
    *ret_map = (struct lm_map){NULL, (size_t)info.st_size};
    if (info.st_size > 0) {
        void *at = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        ret_map->at = at != MAP_FAILED ? at : NULL;
    }
    close(fd);
    return ret_map->at != NULL || info.st_size == 0 ? ERR_OK : ERR_NOMEM;
}

void lm_map_close(struct lm_map *map)
{
    if (map->at != NULL)
        munmap((void *)(uintptr_t)map->at, map->len);
    *map = (struct lm_map){NULL, 0};
}
