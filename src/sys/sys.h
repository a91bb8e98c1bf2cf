/* sys: memory, log, clocks and files of a hosted program.  Everything here is used from any thread
 * unless it says so. */
#ifndef AUTOMAT_SYS_H
#define AUTOMAT_SYS_H

#include "base/base.h"
#include <stdarg.h>

/* ---- memory
 * -------------------------------------------------------------------------------------------------
 */

/* malloc and friends, counted, and able to fail on purpose in tests.  NULL when out of memory;
 * sizes are not zero. */
void *mem_alloc(size_t bytes);
void *mem_zalloc(size_t bytes);
void *mem_realloc(void *old, size_t bytes);
char *mem_strdup(struct str text);
void mem_free(void *block); /* NULL does nothing */

/* Tests: make the nth allocation from now on (1 is the next) fail, once; 0 switches it off.  Counts
 * this thread only. */
void mem_fail_at(uint32_t nth);
bool mem_fail_fired(void);
int64_t mem_live(void); /* blocks alive, all threads */

/* An arena: many small allocations, one release.  One owner, no locking.  Grows by blocks; what it
 * hands out, each piece rounded up to 16, stays within `bytes_max`. */
struct arena_block;
struct arena {
    struct arena_block *head;
    size_t used, bytes_max;
};
void arena_init(struct arena *arena, size_t bytes_max);
void arena_finish(struct arena *arena); /* everything from it is gone */
void arena_reset(struct arena *arena);  /* same, but may keep the first block */
void *arena_alloc(struct arena *arena,
                  size_t bytes); /* aligned to 16, zeroed; NULL: out of memory or at the bound */
char *arena_strdup(struct arena *arena, struct str text);
char *arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);

/* A growing byte buffer with a ceiling given at birth. */
struct buf {
    char *at;
    size_t len, cap, bytes_max;
};
void buf_init(struct buf *buf, size_t bytes_max);
void buf_finish(struct buf *buf);
MUST_USE enum err buf_add(struct buf *buf, const void *bytes,
                          size_t len); /* ERR_FULL, ERR_NOMEM: unchanged */
MUST_USE enum err buf_add_str(struct buf *buf, struct str text);
MUST_USE enum err buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
MUST_USE enum err buf_reserve(struct buf *buf, size_t more); /* room for `more` bytes after len */
void buf_consume(struct buf *buf, size_t front);             /* drop bytes at the front */
struct str buf_str(const struct buf *buf);

/* ---- clocks
 * -------------------------------------------------------------------------------------------------
 */

/* Raw readings.  Monotonic: CLOCK_BOOTTIME (goes on while suspended).  Wall: Unix epoch, may jump.
 */
int64_t sys_mono_ms(void);
int64_t sys_mono_us(void);
int64_t sys_wall_ms(void);

/* Server time: Unix epoch ms that never goes back and never runs slower than the monotonic clock.
 * When the wall clock is set back, server time goes on from where it was; when it is set forward,
 * server time follows. So "not after" can only ever be kept, never widened (queue rule 6).  Loop
 * thread only; pure, so tests replay it. */
struct sys_time {
    int64_t last_ms;      /* last value given */
    int64_t last_mono_ms; /* when that was */
    bool behind;          /* the wall clock is behind server time by more than a second */
};
/* `persisted_ms`: the newest time found in the database, or 0. */
void sys_time_init(struct sys_time *time, int64_t wall_ms, int64_t mono_ms, int64_t persisted_ms);
int64_t sys_time_now(struct sys_time *time, int64_t wall_ms, int64_t mono_ms);

/* Keep server time over a restart of the program: write the pair now (at start, when server time followed the wall
 * clock forward, and now and then), and read at the next start the least that server time can be: what was kept plus
 * what the monotonic clock counted since.  0: nothing kept, or the host was started anew since. */
MUST_USE enum err sys_time_keep(const char *path, int64_t mono_ms, int64_t server_ms);
int64_t sys_time_kept(const char *path, int64_t mono_ms);

/* "2026-11-20T23:44:46.123Z" (24 characters and NUL) and back.  Parse accepts RFC 3339 with Z or an
 * offset. */
#define TIME_TEXT_BYTES 25
void time_text(int64_t epoch_ms, char dst[TIME_TEXT_BYTES]);
MUST_USE enum err time_parse(struct str text, int64_t *ret_epoch_ms);

/* ---- randomness for secrets and ids
 * -------------------------------------------------------------------------- */
MUST_USE enum err sys_random(void *dst, size_t len);
MUST_USE enum err sys_random_id(struct id128 *ret_id);

/* ---- log
 * -----------------------------------------------------------------------------------------------------
 */

/* One line a call on stderr: JSON, or plain words on a terminal.  Rooms return errors; web and app
 * log them, once. */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
void log_init(enum log_level least, bool json);
MUST_USE enum err log_level_parse(struct str text, enum log_level *ret_level);
/* `what` is a short constant ("request", "command"); then pairs: key, format, value(s)..., ended by
 * NULL: log_line(LOG_INFO, "command", "id", "%lld", id, "state", "%s", "running", NULL).  Each
 * format takes ONE value. Values are escaped (quotes, control characters, bytes that are not UTF-8)
 * and cut after 1,024 bytes; a line is at most 4,096 and says when it was cut.  A format is one of
 * %s %d %u %ld %lu %lld %llu %zu %.3f; %s of NULL is null. */
void log_line(enum log_level level, const char *what, ...);
/* Total lines by level so far (for /metrics and for tests that want a quiet log). */
uint64_t log_count(enum log_level level);

/* ---- files: ERR_NOT_FOUND, ERR_DENIED (permissions, read-only), ERR_NOMEM, ERR_IO for the rest
 * ------------------ */

/* ERR_FULL beyond bytes_max.  `ret_buf` is initialised here, and empty on failure. */
MUST_USE enum err file_read(const char *path, size_t bytes_max, struct buf *ret_buf);
/* Temporary file beside it, fsync, rename, fsync of the folder: the old or the new content, never
 * half.  A failure of the last fsync leaves the new content in place, but perhaps not yet durable.
 */
MUST_USE enum err file_write_atomic(const char *path, const void *bytes, size_t len, uint32_t mode);
/* With parents; there already is fine, a file in its place is ERR_CONFLICT. */
MUST_USE enum err dir_make(const char *path, uint32_t mode);
bool path_exists(const char *path);

/* An advisory lock on `path` held until file_unlock or the end of the process: the second taker
 * gets ERR_CONFLICT. */
struct file_lock {
    int fd;
};
MUST_USE enum err file_lock(const char *path, struct file_lock *ret_lock);
void file_unlock(struct file_lock *lock);

#endif
