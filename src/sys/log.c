#include "sys/sys.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES  4096 /* PIPE_BUF: lines of several threads do not mix, not even in a pipe */
#define TAIL_BYTES  32   /* kept free for the end of a cut line */
#define VALUE_BYTES 1024

static _Atomic int level_least = LOG_INFO;
static _Atomic bool as_json = true;
static _Atomic uint64_t counts[LOG_ERROR + 1];

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

/* A program of ours that meets its own mistake says where, and stops: it must not go on acting. */
__attribute__((noreturn)) static void assert_fail_host(const char *file, int line, const char *fact)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, fact);
    abort();
}

__attribute__((constructor)) static void assert_install(void)
{
    base_assert_fail = assert_fail_host;
}

void log_init(enum log_level least, bool json)
{
    atomic_store(&level_least, (int)least);
    atomic_store(&as_json, json);
}

enum err log_level_parse(struct str text, enum log_level *ret_level)
{
    for (size_t i = 0; i < ARRAY_COUNT(level_names); i++) {
        if (str_equal_nocase(text, str_from(level_names[i]))) {
            *ret_level = (enum log_level)i;
            return ERR_OK;
        }
    }
    return ERR_INPUT;
}

uint64_t log_count(enum log_level level)
{
    return atomic_load(&counts[level]);
}

/* Bytes of the well-formed character at `at`, 0 when there is none. */
static size_t char_bytes(struct str text, size_t at)
{
    for (size_t len = 1; len <= 4 && len <= text.len - at; len++) {
        if (utf8_valid((struct str){text.at + at, len}))
            return len;
    }
    return 0;
}

/* Whatever was put into a name or a header, a line stays one line, well-formed, and moves no
 * cursor: control characters (C1 too) and what is not UTF-8 are escaped. */
static void add_escaped(struct text *line, struct str value)
{
    char escape[8];
    for (size_t at = 0; at < value.len;) {
        size_t len = char_bytes(value, at);
        unsigned char c = (unsigned char)value.at[at];
        bool c1 = len == 2 && c == 0xC2 && (unsigned char)value.at[at + 1] < 0xA0;
        if (len == 0) {
            text_add(line, STR("\\ufffd"));
            len = 1;
        } else if (c == '"' || c == '\\') {
            text_add_char(line, '\\');
            text_add_char(line, (char)c);
        } else if (c == '\n') {
            text_add(line, STR("\\n"));
        } else if (c < 0x20 || c == 0x7F || c1) {
            unsigned code = c1 ? (unsigned char)value.at[at + 1] : c;
            snprintf(escape, sizeof(escape), "\\u%04x", code & 0xFFu);
            text_add(line, str_from(escape));
        } else {
            text_add(line, (struct str){value.at + at, len});
        }
        at += len;
    }
}

static void add_text_value(struct text *line, const char *value, bool json)
{
    if (value == NULL) {
        text_add(line, json ? STR("null") : STR("-"));
        return;
    }
    struct str whole = {value, strnlen(value, VALUE_BYTES + 1)};
    bool quoted = json || str_find(whole, ' ') < whole.len || str_find(whole, '"') < whole.len ||
                  whole.len == 0;
    if (quoted)
        text_add_char(line, '"');
    add_escaped(line, str_slice(whole, 0, VALUE_BYTES));
    if (whole.len > VALUE_BYTES)
        text_add(line, STR("..."));
    if (quoted)
        text_add_char(line, '"');
}

static void add_fraction(struct text *line, double value)
{
    char digits[400]; /* the longest double has 309 digits before the point */
    int len = snprintf(digits, sizeof(digits), "%.3f", value);
    bool finite = value - value == 0.0;
    text_add(line, finite ? (struct str){digits, (size_t)len} : STR("null")); /* JSON has no NaN */
}

/* NOLINTBEGIN(bugprone-branch-clone): the branches differ in the type they take from the list. */
static void add_value(struct text *line, const char *format, va_list *args, bool json)
{
    if (strcmp(format, "%s") == 0)
        add_text_value(line, va_arg(*args, const char *), json);
    else if (strcmp(format, "%d") == 0)
        text_add_i64(line, va_arg(*args, int));
    else if (strcmp(format, "%u") == 0)
        text_add_u64(line, va_arg(*args, unsigned));
    else if (strcmp(format, "%ld") == 0)
        text_add_i64(line, va_arg(*args, long));
    else if (strcmp(format, "%lu") == 0)
        text_add_u64(line, va_arg(*args, unsigned long));
    else if (strcmp(format, "%lld") == 0)
        text_add_i64(line, va_arg(*args, long long));
    else if (strcmp(format, "%llu") == 0)
        text_add_u64(line, va_arg(*args, unsigned long long));
    else if (strcmp(format, "%zu") == 0)
        text_add_u64(line, va_arg(*args, size_t));
    else {
        ASSERT(strcmp(format, "%.3f") == 0); /* the list in sys.h */
        add_fraction(line, va_arg(*args, double));
    }
}
/* NOLINTEND(bugprone-branch-clone) */

static void add_head(struct text *line, enum log_level level, const char *what, bool json)
{
    char now[TIME_TEXT_BYTES];
    time_text(sys_wall_ms(), now);
    if (json)
        text_add(line, STR("{\"at\":\""));
    text_add(line, str_from(now));
    text_add(line, json ? STR("\",\"level\":\"") : STR(" "));
    text_add(line, str_from(level_names[level]));
    text_add(line, json ? STR("\",\"what\":\"") : STR(" "));
    add_escaped(line, str_slice(str_from(what), 0, VALUE_BYTES));
    if (json)
        text_add_char(line, '"');
}

/* Pairs until NULL; false when one did not fit, which is then left out with all that follow. */
static bool add_pairs(struct text *line, va_list *args, bool json)
{
    for (const char *key = va_arg(*args, const char *); key != NULL;
         key = va_arg(*args, const char *)) {
        const char *format = va_arg(*args, const char *);
        size_t before = line->len;
        text_add(line, json ? STR(",\"") : STR(" "));
        text_add(line, str_from(key));
        text_add(line, json ? STR("\":") : STR("="));
        add_value(line, format, args, json);
        if (line->overflow) {
            line->len = before;
            return false;
        }
    }
    return true;
}

static void write_all(const char *at, size_t len)
{
    while (len > 0) {
        ssize_t wrote = write(STDERR_FILENO, at, len);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return; /* nowhere left to complain */
        at += wrote;
        len -= (size_t)wrote;
    }
}

void log_line(enum log_level level, const char *what, ...)
{
    char storage[LINE_BYTES];
    struct text line;
    bool json = atomic_load(&as_json);
    atomic_fetch_add(&counts[level], 1);
    if ((int)level < atomic_load(&level_least))
        return;
    text_init(&line, storage, sizeof(storage) - TAIL_BYTES);
    add_head(&line, level, what, json);
    va_list args;
    va_start(args, what);
    bool whole = add_pairs(&line, &args, json);
    va_end(args);
    line.cap = sizeof(storage);
    line.overflow = false;
    if (!whole)
        text_add(&line, json ? STR(",\"cut\":true") : STR(" (cut)"));
    text_add(&line, json ? STR("}\n") : STR("\n"));
    write_all(line.at, line.len);
}
