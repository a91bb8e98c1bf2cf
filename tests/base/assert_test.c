#include <string.h>

#include "kit/kit.h"

static jmp_buf back;
static const char *failed_fact;
static int failed_line;

static void catch (const char *file, int line, const char *fact)
{
    CHECK(strstr(file, "assert_test.c") != NULL);
    failed_fact = fact;
    failed_line = line;
    longjmp(back, 1);
}

TEST(assert_reports_the_fact_and_does_not_go_on)
{
    void (*before)(const char *file, int line, const char *fact) = base_assert_fail;
    volatile bool went_on = false;
    base_assert_fail = catch;
    if (setjmp(back) == 0) {
        ASSERT(1 + 1 == 2);
        ASSERT(went_on);
        went_on = true;
    }
    base_assert_fail = before;
    CHECK(!went_on);
    CHECK_STR(failed_fact, "went_on");
    CHECK(failed_line > 0);
}
