/* Server time over a restart of the program: one line in a file, "boot-id monotonic-ms server-ms".
 * While the host runs on, its monotonic clock tells how long the program was away, whatever
 * happened to the wall clock. */
#include "sys/sys.h"

#include <stdio.h>
#include <string.h>

enum { BOOT_ID_BYTES = 64 };

static enum err boot_id_read(char dst[BOOT_ID_BYTES])
{
    struct buf buf;
    enum err err = file_read("/proc/sys/kernel/random/boot_id", BOOT_ID_BYTES - 1, &buf);
    if (err != ERR_OK)
        return err;
    struct str text = buf_str(&buf);
    text = str_slice(text, 0, str_find(text, '\n'));
    err = text.len == 0 ? ERR_IO : str_copy(dst, BOOT_ID_BYTES, text);
    buf_finish(&buf);
    return err;
}

enum err sys_time_keep(const char *path, int64_t mono_ms, int64_t server_ms)
{
    char boot_id[BOOT_ID_BYTES], line[BOOT_ID_BYTES + 64];
    enum err err = boot_id_read(boot_id);
    if (err != ERR_OK)
        return err;
    int len = snprintf(line, sizeof(line), "%s %lld %lld\n", boot_id, (long long)mono_ms,
                       (long long)server_ms);
    return file_write_atomic(path, line, (size_t)len, 0600);
}

int64_t sys_time_kept(const char *path, int64_t mono_ms)
{
    char boot_id[BOOT_ID_BYTES];
    struct buf buf;
    uint64_t then_ms = 0, server_ms = 0;
    if (boot_id_read(boot_id) != ERR_OK || file_read(path, 256, &buf) != ERR_OK)
        return 0;
    struct str text = buf_str(&buf);
    struct str boot = str_slice(text, 0, str_find(text, ' '));
    struct str rest = str_slice(text, boot.len + 1, text.len);
    struct str mono = str_slice(rest, 0, str_find(rest, ' '));
    struct str server = str_slice(rest, mono.len + 1, str_find(rest, '\n'));
    bool same_boot = str_equal(boot, str_from(boot_id)) && str_to_u64(mono, &then_ms) == ERR_OK &&
                     str_to_u64(server, &server_ms) == ERR_OK && (int64_t)then_ms <= mono_ms &&
                     server_ms < ((uint64_t)1 << 60);
    buf_finish(&buf);
    return same_boot ? (int64_t)server_ms + (mono_ms - (int64_t)then_ms) : 0;
}
