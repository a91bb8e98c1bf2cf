/* kit: what every test program shares, thin over cmocka.
 *
 *     #include "kit/kit.h"
 *
 *     TEST(cart_total_counts_every_line)
 *     {
 *         CHECK_EQ(cart_total(&cart), 450);
 *         CHECK_STR(err_name(ERR_FULL), "full");
 *     }
 *
 * That is a whole program: TEST registers itself, and main is in the kit.  `./test_shop_cart
 * 'cart_*'` runs the tests that match a pattern.  Each test has:
 *   - folders of its own (kit_tempdir), removed afterwards, also when it failed;
 *   - a leak check: when the body returns, mem_live() must be what it was before (TEST_KEEPS: not
 * checked, for a test that fills something the process keeps);
 *   - mem_fail_at switched off at its start.
 * A failed CHECK leaves the test at once (longjmp), so checks belong on the thread that runs the
 * test; on another thread note the finding and check it after the join.  In a forked child use
 * _exit with a status that the parent checks.  Tests never sleep and never look at the wall clock.
 */
#ifndef AUTOMAT_TESTS_KIT_H
#define AUTOMAT_TESTS_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"
#include "sys/sys.h"

struct kit_test {
    const char *name;
    void (*body)(void);
    bool keeps;
};
void kit_register(const struct kit_test *test);

#define KIT_TEST(test, keeps_)                                                                     \
    static void test(void);                                                                        \
    __attribute__((constructor)) static void kit_register_##test(void)                             \
    {                                                                                              \
        static const struct kit_test self = {#test, test, keeps_};                                 \
        kit_register(&self);                                                                       \
    }                                                                                              \
    static void test(void)
#define TEST(test)       KIT_TEST(test, false)
#define TEST_KEEPS(test) KIT_TEST(test, true)

/* True, or the test ends here. */
#define CHECK(fact) ((fact) ? (void)0 : kit_not_true(#fact, __FILE__, __LINE__))
/* Whole numbers, enums and bools of at most 64 bits; shows both values.  Not for fractions:
 * CHECK_NEAR. */
#define CHECK_EQ(a, b) kit_check_eq((intmax_t)(a), (intmax_t)(b), #a " == " #b, __FILE__, __LINE__)
#define CHECK_OK(err_) kit_check_err((err_), ERR_OK, #err_, __FILE__, __LINE__)
/* The same, with the names of both errors shown. */
#define CHECK_ERR(err_, expected) kit_check_err((err_), (expected), #err_, __FILE__, __LINE__)
/* C strings; NULL equals only NULL. */
#define CHECK_STR(a, b) kit_check_str((a), (b), #a " == " #b, __FILE__, __LINE__)
/* A slice against a C string. */
#define CHECK_SLICE(a, b) kit_check_slice((a), str_from(b), #a " == " #b, __FILE__, __LINE__)
#define CHECK_BYTES(a, b, len)                                                                     \
    kit_check_bytes((a), (b), (len), #a " == " #b " (" #len ")", __FILE__, __LINE__)
#define CHECK_NEAR(a, b, tolerance)                                                                \
    kit_check_near((a), (b), (tolerance), #a " ~ " #b, __FILE__, __LINE__)
/* What to print beside a failed check: the seed, the step number.  The newest note counts.  printf
 * format. */
#define NOTE(...) kit_note(__VA_ARGS__)

__attribute__((noreturn)) void kit_not_true(const char *what, const char *file, int line);
void kit_check_eq(intmax_t a, intmax_t b, const char *what, const char *file, int line);
void kit_check_err(enum err got, enum err expected, const char *what, const char *file, int line);
void kit_check_str(const char *a, const char *b, const char *what, const char *file, int line);
void kit_check_slice(struct str a, struct str b, const char *what, const char *file, int line);
void kit_check_bytes(const void *a, const void *b, size_t len, const char *what, const char *file,
                     int line);
void kit_check_near(double a, double b, double tolerance, const char *what, const char *file,
                    int line);
/* The last note of a test is printed when a check of it fails, so that a random run can be
 * repeated. */
void kit_note(const char *format, ...) PRINTF_LIKE(1, 2);

/* A new empty folder, removed with everything in it when the test ends.  The path lives until then.
 */
const char *kit_tempdir(void);
/* "<dir>/<name>", with the life of the test; a new string every call. */
const char *kit_path(const char *dir, const char *name);

/* A copy of `bytes` that ends exactly where an unreadable page begins: reading one byte too far is
 * a crash, not luck. len may be 0.  Freed by kit_free_guard, or when the test ends. */
char *kit_guard_page(const void *bytes, size_t len);
void kit_free_guard(char *copy);

/* The whole file at `path`, NUL-terminated, with the life of the test; fails the test when it
 * cannot be read. */
char *kit_read_file(const char *path, size_t *ret_len);

/* For kit_main.c. */
int kit_run_all(const char *pattern);

#endif
