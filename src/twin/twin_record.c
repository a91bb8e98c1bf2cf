/* What the metal really did, for those who count: one line each, on disk before it happens (motion)
 * or as soon as it is seen (pump).  Independent of what the program says and of its journal. */
#include "twin/twin_int.h"

#include <fcntl.h>
#include <unistd.h>

enum err twin_record_open(struct twin *twin, const char *path)
{
    twin->actuations_fd = -1;
    if (path == NULL)
        return ERR_OK;
    twin->actuations_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    return twin->actuations_fd >= 0 ? ERR_OK : ERR_IO;
}

static void record(const struct twin *twin, const char *what)
{
    char line[320];
    char uid[ID128_TEXT_BYTES];
    if (twin->actuations_fd < 0)
        return;
    id128_text(twin->moved_uid, uid);
    int len = snprintf(line, sizeof(line),
                       "{\"uid\":\"%s\",\"what\":\"%s\",\"machine_id\":\"%s\",\"boot\":%u,"
                       "\"t_ms\":%lld}\n",
                       uid, what, twin->id, twin->boots, (long long)twin->clock_ms);
    /* One write of one line: lines of two processes do not mix. */
    if (len <= 0 || (size_t)len >= sizeof(line) ||
        write(twin->actuations_fd, line, (size_t)len) != len || fdatasync(twin->actuations_fd) != 0)
        log_line(LOG_ERROR, "twin", "id", "%s", twin->id, "lost", "%s", "actuation record", NULL);
}

void twin_record_motion(struct twin *twin)
{
    if (!twin->device.acting || id128_equal(twin->moved_uid, twin->device.uid))
        return;
    twin->moved_uid = twin->device.uid;
    record(twin, "motion");
}

void twin_record_starts(struct twin *twin)
{
    uint32_t starts = twin->kind->starts(twin->metal);
    if (starts == twin->starts)
        return;
    twin->starts = starts;
    record(twin, twin->kind->start_word);
}
