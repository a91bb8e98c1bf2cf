#include "kit/kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kit/kit_int.h"

#define TESTS_MAX 512

static struct CMUnitTest tests[TESTS_MAX];
static size_t test_count;
static char note[512];

static void run_one(void **state)
{
    const struct kit_test *test = *state;
    note[0] = '\0';
    mem_fail_at(0);
    int64_t before = mem_live();
    test->body();
    mem_fail_at(0);
    if (!test->keeps)
        kit_check_eq(mem_live(), before, "mem_live() after the test", test->name, 0);
}

static int clean_up(void **state)
{
    (void)state;
    mem_fail_at(0);
    kit_files_clean();
    kit_guard_clean();
    return 0;
}

void kit_register(const struct kit_test *test)
{
    if (test_count == TESTS_MAX) {
        fprintf(stderr, "kit: more than %d tests in one program\n", TESTS_MAX);
        abort();
    }
    tests[test_count++] = (struct CMUnitTest){
        .name = test->name,
        .test_func = run_one,
        .teardown_func = clean_up,
        .initial_state = (void *)(uintptr_t)test,
    };
}

int kit_run_all(const char *pattern)
{
    if (pattern != NULL)
        cmocka_set_test_filter(pattern);
    return _cmocka_run_group_tests("tests", tests, test_count, NULL, NULL);
}

static void give_up(const char *file, int line)
{
    if (note[0] != '\0')
        print_error("note: %s\n", note);
    _fail(file, line);
}

void kit_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(note, sizeof(note), format, args);
    va_end(args);
}

void kit_not_true(const char *what, const char *file, int line)
{
    print_error("not true: %s\n", what);
    give_up(file, line);
    abort(); /* cmocka has jumped away */
}

void kit_check_eq(intmax_t a, intmax_t b, const char *what, const char *file, int line)
{
    if (a == b)
        return;
    print_error("%s: %jd (0x%jx) != %jd (0x%jx)\n", what, a, (uintmax_t)a, b, (uintmax_t)b);
    give_up(file, line);
}

void kit_check_err(enum err got, enum err expected, const char *what, const char *file, int line)
{
    if (got == expected)
        return;
    print_error("%s: %s, expected %s\n", what, err_name(got), err_name(expected));
    give_up(file, line);
}

void kit_check_str(const char *a, const char *b, const char *what, const char *file, int line)
{
    if (a == b || (a != NULL && b != NULL && strcmp(a, b) == 0))
        return;
    print_error("%s:\n  \"%s\"\n  \"%s\"\n", what, a == NULL ? "(NULL)" : a,
                b == NULL ? "(NULL)" : b);
    give_up(file, line);
}

void kit_check_slice(struct str a, struct str b, const char *what, const char *file, int line)
{
    if (str_equal(a, b))
        return;
    print_error("%s:\n  \"%.*s\" (%zu)\n  \"%.*s\" (%zu)\n", what, STR_ARG(a), a.len, STR_ARG(b),
                b.len);
    give_up(file, line);
}

void kit_check_bytes(const void *a, const void *b, size_t len, const char *what, const char *file,
                     int line)
{
    const unsigned char *left = a;
    const unsigned char *right = b;
    for (size_t i = 0; i < len; i++) {
        if (left[i] != right[i]) {
            print_error("%s: byte %zu is %02x != %02x\n", what, i, left[i], right[i]);
            give_up(file, line);
        }
    }
}

void kit_check_near(double a, double b, double tolerance, const char *what, const char *file,
                    int line)
{
    double apart = a < b ? b - a : a - b;
    if (apart <= tolerance) /* false for NaN */
        return;
    print_error("%s: %.9g and %.9g are more than %.3g apart\n", what, a, b, tolerance);
    give_up(file, line);
}
