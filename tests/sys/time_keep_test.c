/* Server time survives a restart of the program, whatever the wall clock did meanwhile. */
#include "kit/kit.h"

#include <stdio.h>
#include <string.h>

static const char *file_in_tempdir(char *path, size_t bytes)
{
    snprintf(path, bytes, "%s/clock", kit_tempdir());
    return path;
}

TEST(a_restart_goes_on_with_the_monotonic_clock)
{
    char path[512];
    file_in_tempdir(path, sizeof(path));
    CHECK_EQ(sys_time_kept(path, 1000), 0);
    CHECK_OK(sys_time_keep(path, 1000, 1700000000000));
    CHECK_EQ(sys_time_kept(path, 1000), 1700000000000);
    CHECK_EQ(sys_time_kept(path, 61000), 1700000060000);
    /* The wall clock was set back an hour while the program was away: server time is not. */
    struct sys_time time;
    sys_time_init(&time, 1700000060000 - 3600000, 61000, sys_time_kept(path, 61000));
    CHECK_EQ(sys_time_now(&time, 1700000060000 - 3600000, 61000), 1700000060000);
}

TEST(what_another_boot_or_a_careless_hand_wrote_is_no_time)
{
    char path[512];
    file_in_tempdir(path, sizeof(path));
    static const char *const lines[] = {
        "",          "x",
        "0-0 5 5\n", "00000000-0000-0000-0000-000000000000 1000 1700000000000\n",
        " 1 2\n",    "\n\n\n",
    };
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        CHECK_OK(file_write_atomic(path, lines[i], strlen(lines[i]), 0600));
        CHECK_EQ(sys_time_kept(path, 2000), 0);
    }
    CHECK_OK(sys_time_keep(path, 5000, 1700000000000));
    CHECK_EQ(sys_time_kept(path, 4999), 0); /* a monotonic clock that went back is another boot */
}
