#include "app/tool.h"
#include "app/app.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- latencies ---- */

/* Eight buckets for each doubling: no value is shown more than an eighth too high. */
static unsigned bucket_of(int64_t us)
{
    if (us < 8)
        return us < 0 ? 0 : (unsigned)us;
    unsigned bits = 63 - (unsigned)__builtin_clzll((unsigned long long)us);
    unsigned index = (bits - 2) * 8 + (unsigned)((us >> (bits - 3)) & 7);
    return index < TOOL_BUCKETS ? index : TOOL_BUCKETS - 1;
}

static int64_t top_of(unsigned bucket)
{
    if (bucket < 8)
        return bucket;
    unsigned bits = bucket / 8 + 2;
    return (((int64_t)(bucket % 8) + 9) << (bits - 3)) - 1;
}

void tool_latency_add(struct tool_latency *latency, int64_t us)
{
    latency->count++;
    latency->bucket[bucket_of(us)]++;
    if (us > latency->max_us)
        latency->max_us = us;
}

int64_t tool_latency_at(const struct tool_latency *latency, double part)
{
    uint64_t wanted = (uint64_t)ceil((double)latency->count * part);
    uint64_t seen = 0;
    if (latency->count == 0)
        return 0;
    for (unsigned i = 0; i < TOOL_BUCKETS; i++) {
        seen += latency->bucket[i];
        if (seen >= wanted && seen > 0)
            return top_of(i) < latency->max_us ? top_of(i) : latency->max_us;
    }
    return latency->max_us;
}

const char *tool_time(int64_t us, char dst[TOOL_TIME_BYTES])
{
    if (us < 1000)
        (void)snprintf(dst, TOOL_TIME_BYTES, "%d us", (int)us);
    else if (us < 1000000)
        (void)snprintf(dst, TOOL_TIME_BYTES, "%.2f ms", (double)us / 1e3);
    else
        (void)snprintf(dst, TOOL_TIME_BYTES, "%.2f s", (double)us / 1e6);
    return dst;
}

const char *tool_token(const struct options *options)
{
    return options->token != NULL ? options->token : options->admin_token;
}

/* ---- the terminal ---- */

unsigned tool_width(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20)
        return 80;
    return size.ws_col > 200 ? 200 : size.ws_col;
}

void tool_bar_init(struct tool_bar *bar)
{
    *bar = (struct tool_bar){.is_terminal = isatty(STDERR_FILENO) != 0};
}

void tool_bar_show(struct tool_bar *bar, int64_t done_ms, int64_t total_ms, const char *what)
{
    static const char full[] = "####################", empty[] = "....................";
    int64_t pause_ms = bar->is_terminal ? 200 : 5000;
    int64_t now_ms = sys_mono_ms();
    if (bar->last_ms != 0 && now_ms - bar->last_ms < pause_ms)
        return;
    bar->last_ms = now_ms;
    if (done_ms > total_ms)
        done_ms = total_ms;
    int part = total_ms > 0 ? (int)(done_ms * 20 / total_ms) : 20;
    int percent = total_ms > 0 ? (int)(done_ms * 100 / total_ms) : 100;
    int left_s = (int)((total_ms - done_ms + 999) / 1000);
    (void)fprintf(stderr, "%s[%.*s%.*s] %3d%% %.40s, %d s left%s", bar->is_terminal ? "\r" : "",
                  part, full, 20 - part, empty, percent, what, left_s,
                  bar->is_terminal ? "\033[K" : "\n");
    (void)fflush(stderr);
    bar->drawn = true;
}

void tool_bar_end(struct tool_bar *bar)
{
    if (bar->drawn && bar->is_terminal)
        (void)fputs("\r\033[K", stderr);
    bar->drawn = false;
}
