/* base: what every room, and a board's firmware, may use.  Freestanding C11: no heap, no I/O, no
 * clock. */
#ifndef AUTOMAT_BASE_H
#define AUTOMAT_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_USE          __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define ARRAY_COUNT(a)    (sizeof(a) / sizeof((a)[0]))
#define KIB               ((size_t)1024)
#define MIB               ((size_t)1024 * 1024)

/* Kinds of failure for the whole program.  A room whose callers need reasons has its own enum
 * beside this one. */
enum err {
    ERR_OK = 0,
    ERR_AGAIN,     /* not a failure: come back with more bytes, or later */
    ERR_INPUT,     /* what came from outside is malformed */
    ERR_REFUSED,   /* well-formed, but a named rule forbids it */
    ERR_FULL,      /* a bound given at birth is reached */
    ERR_NOMEM,     /* an allocation failed */
    ERR_IO,        /* disk, socket or database failed; nothing was changed */
    ERR_NOT_FOUND, /* no such thing */
    ERR_CONFLICT,  /* it exists, but its state does not allow this */
    ERR_DENIED,    /* who you are does not allow this */
    ERR_TIMEOUT,   /* its deadline passed */
    ERR_CLOSED,    /* the other end, or the room itself, is shutting down */
    ERR_VERSION,   /* made by a newer program than this one */
};

/* A short lower-case word for a log line, never NULL: "ok", "input", ... */
const char *err_name(enum err err);

/* ---- assertions: our own mistakes only, never input from outside ---- */

/* Called by ASSERT; prints on a host (sys installs it), resets on a board.  Does not return. */
extern void (*base_assert_fail)(const char *file, int line, const char *fact);

#define ASSERT(fact)                                                                               \
    do {                                                                                           \
        if (!(fact)) {                                                                             \
            base_assert_fail(__FILE__, __LINE__, #fact);                                           \
            __builtin_trap();                                                                      \
        }                                                                                          \
    } while (0)

/* ---- bytes: a borrowed slice; never owns, need not end in NUL ---- */

struct str {
    const char *at;
    size_t len;
};

/* clang-format off */
#define STR(literal)      ((struct str){(literal), sizeof(literal) - 1})
#define STR_INIT(literal) {(literal), sizeof(literal) - 1} /* the same in a static table */
#define STR_NONE          ((struct str){NULL, 0})
#define STR_ARG(slice)    (int)(slice).len, (slice).at /* for "%.*s" */
/* clang-format on */

struct str str_from(const char *text); /* NULL gives the empty slice */
bool str_equal(struct str a, struct str b);
bool str_equal_nocase(struct str a, struct str b); /* ASCII only */
bool str_starts(struct str text, struct str prefix);
/* Position of `byte`, or text.len. */
size_t str_find(struct str text, char byte);
/* The slice between two byte positions, both clamped. */
struct str str_slice(struct str text, size_t from, size_t to);

/* Decimal digits only, no sign, no space, no overflow: ERR_INPUT otherwise. */
MUST_USE enum err str_to_u64(struct str text, uint64_t *ret_value);

/* Copy into a NUL-terminated array; an empty string and ERR_FULL when it does not fit, ERR_INPUT
 * when it has a NUL inside (the copy would be another, shorter name than the one that was checked).
 */
MUST_USE enum err str_copy(char *dst, size_t dst_bytes, struct str text);

/* True when the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool utf8_valid(struct str text);

/* Lower-case hex.  `dst` has room for 2 * len + 1 bytes. */
void hex_encode(char *dst, const uint8_t *bytes, size_t len);
/* Either case; ERR_INPUT, with `dst` untouched, unless the text is exactly 2 * dst_bytes hex
 * digits. */
MUST_USE enum err hex_decode(uint8_t *dst, size_t dst_bytes, struct str text);

/* ---- identifiers ---- */

/* Machine, device and person ids: 1..64 of A-Z a-z 0-9 . _ - , not starting with a dot. */
#define ID_BYTES_MAX 64
bool id_valid(struct str text);

/* 128 random bits, as made by a device or a server: claim ids, uids, journal ids, boot ids.  Text:
 * 32 hex digits. */
struct id128 {
    uint8_t byte[16];
};
#define ID128_TEXT_BYTES 33 /* with NUL */
bool id128_equal(struct id128 a, struct id128 b);
bool id128_is_zero(struct id128 id);
void id128_text(struct id128 id, char dst[ID128_TEXT_BYTES]);
MUST_USE enum err id128_parse(struct str text, struct id128 *ret_id);

/* ---- rng: xoshiro256**, for physics, jitter and tests; never for secrets (use sys_random) ---- */

struct rng {
    uint64_t state[4];
};
void rng_init(struct rng *rng, uint64_t seed);
uint64_t rng_next(struct rng *rng);
uint32_t rng_below(struct rng *rng, uint32_t bound); /* 0..bound-1, unbiased; bound > 0 */
double rng_unit(struct rng *rng);                    /* [0, 1) */
bool rng_chance(struct rng *rng, double probability);

/* ---- limits: one row a field, shown to people and checked by server and board alike ---- */

struct limit {
    const char *field; /* as in the JSON message */
    const char *unit;  /* "ml", "C", "ms", ... */
    int32_t min, max;  /* inclusive */
    int32_t preset;    /* what a form shows first */
    bool integer;      /* fractions refused */
};

/* ---- CRC-32C (Castagnoli), for journal records ---- */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t len); /* start with 0 */

/* A fixed-capacity text writer: appends or, when full, remembers that it overflowed.  A piece that
 * does not fit is left out whole, and nothing follows it.  `at` always ends in NUL. */
struct text {
    char *at;
    size_t len, cap; /* cap counts the NUL */
    bool overflow;
};
void text_init(struct text *text, char *storage, size_t bytes);
void text_add(struct text *text, struct str add);
void text_add_char(struct text *text, char c);
void text_add_u64(struct text *text, uint64_t value);
void text_add_i64(struct text *text, int64_t value);
/* Fixed point: value / 10^digits, e.g. (92345, 3) is "92.345"; digits 0..19. */
void text_add_fixed(struct text *text, int64_t value, unsigned digits);

/* memcpy/memset/memcmp/memmove/strlen without <string.h>, which a freestanding compiler may lack.
 */
void *base_copy(void *dst, const void *src, size_t len);
void *base_move(void *dst, const void *src, size_t len);
void *base_zero(void *dst, size_t len);
bool base_equal(const void *a, const void *b, size_t len);

#endif
