#include "sys/sys.h"

#include <time.h>

static int64_t read_us(clockid_t which)
{
    struct timespec now;
    clock_gettime(which, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t sys_mono_us(void)
{
    return read_us(CLOCK_BOOTTIME);
}

int64_t sys_mono_ms(void)
{
    return read_us(CLOCK_BOOTTIME) / 1000;
}

int64_t sys_wall_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

#define BEHIND_MS 1000

void sys_time_init(struct sys_time *time, int64_t wall_ms, int64_t mono_ms, int64_t persisted_ms)
{
    time->last_ms = wall_ms > persisted_ms ? wall_ms : persisted_ms;
    time->last_mono_ms = mono_ms;
    time->behind = wall_ms < time->last_ms - BEHIND_MS;
}

int64_t sys_time_now(struct sys_time *time, int64_t wall_ms, int64_t mono_ms)
{
    int64_t passed_ms = mono_ms > time->last_mono_ms ? mono_ms - time->last_mono_ms : 0;
    int64_t now_ms = time->last_ms + passed_ms;
    if (wall_ms > now_ms)
        now_ms = wall_ms;
    time->last_ms = now_ms;
    if (passed_ms > 0)
        time->last_mono_ms = mono_ms;
    time->behind = wall_ms < now_ms - BEHIND_MS;
    return now_ms;
}
