#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kit/kit.h"

static int kept_stderr;
static const char *caught;

static void catch_begin(bool json)
{
    caught = kit_path(kit_tempdir(), "log");
    kept_stderr = dup(STDERR_FILENO);
    int fd = open(caught, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(fd, STDERR_FILENO);
    close(fd);
    log_init(LOG_DEBUG, json);
}

static char *catch_end(void)
{
    dup2(kept_stderr, STDERR_FILENO);
    close(kept_stderr);
    log_init(LOG_INFO, true);
    return kit_read_file(caught, NULL);
}

/* After the time, which is the only thing that changes. */
static const char *after_time(const char *line)
{
    const char *at = strchr(line, 'Z');
    CHECK(at != NULL);
    return at + 1;
}

TEST(a_json_line_of_every_format)
{
    catch_begin(true);
    log_line(LOG_INFO, "request", "s", "%s", "text", "d", "%d", -5, "u", "%u", 7u, "ld", "%ld", -9L,
             "lu", "%lu", 9UL, "lld", "%lld", (long long)INT64_MIN, "llu", "%llu",
             (unsigned long long)UINT64_MAX, "zu", "%zu", (size_t)3, "f", "%.3f", 1.5, "none", "%s",
             (const char *)NULL, NULL);
    const char *line = catch_end();
    CHECK(strncmp(line, "{\"at\":\"2", 8) == 0);
    CHECK_STR(after_time(line), "\",\"level\":\"info\",\"what\":\"request\",\"s\":\"text\",\"d\":-"
                                "5,\"u\":7,\"ld\":-9,\"lu\":9,"
                                "\"lld\":-9223372036854775808,\"llu\":18446744073709551615,\"zu\":"
                                "3,\"f\":1.500,\"none\":null}\n");
}

TEST(whatever_is_in_a_value_the_line_stays_one_line)
{
    catch_begin(true);
    log_line(LOG_WARN, "x", "v", "%s", "a\"b\\c\nd\re\x01\x1b[2J\x7f\xff\xC3\xA9\xC2\x9B", NULL);
    CHECK_STR(after_time(catch_end()), "\",\"level\":\"warn\",\"what\":\"x\",\"v\":"
                                       "\"a\\\"b\\\\c\\nd\\u000de\\u0001\\u001b[2J\\u007f\\ufffd"
                                       "\xC3\xA9\\u009b\"}\n");
}

TEST(not_a_number_is_null)
{
    double zero = 0;
    catch_begin(true);
    log_line(LOG_INFO, "x", "inf", "%.3f", 1e308 * 10, "nan", "%.3f", zero * 1e308 * 10 * 0, NULL);
    const char *line = catch_end();
    CHECK(strstr(line, "\"inf\":null") != NULL);
}

TEST(plain_words_for_people)
{
    catch_begin(false);
    log_line(LOG_ERROR, "command", "id", "%d", 5, "why", "%s", "no glass", "state", "%s", "failed",
             "none", "%s", (const char *)NULL, "empty", "%s", "", NULL);
    CHECK_STR(after_time(catch_end()),
              " error command id=5 why=\"no glass\" state=failed none=- empty=\"\"\n");
}

TEST(long_values_and_long_lines_are_cut)
{
    static char value[5000];
    memset(value, 'x', sizeof(value) - 1);
    catch_begin(true);
    log_line(LOG_INFO, "x", "v", "%s", value, NULL);
    log_line(LOG_INFO, "x", "a", "%s", value, "b", "%s", value, "c", "%s", value, "d", "%s", value,
             "e", "%d", 1, NULL);
    char *text = catch_end();
    char *second = strchr(text, '\n') + 1;
    CHECK_EQ(strspn(strstr(text, "xxx"), "x"), 1024);
    CHECK(strstr(text, "x...\"}\n") != NULL);
    CHECK(strlen(second) <= 4096);
    CHECK(strstr(second, "\"c\":") != NULL);
    CHECK(strstr(second, "\"d\":") == NULL);
    CHECK(strstr(second, ",\"cut\":true}\n") != NULL);
}

TEST(levels_filter_and_count)
{
    uint64_t debug = log_count(LOG_DEBUG);
    uint64_t error = log_count(LOG_ERROR);
    catch_begin(true);
    log_init(LOG_WARN, true);
    log_line(LOG_DEBUG, "hidden", NULL);
    log_line(LOG_INFO, "hidden", NULL);
    log_line(LOG_WARN, "seen", NULL);
    log_line(LOG_ERROR, "seen", NULL);
    char *text = catch_end();
    CHECK(strstr(text, "hidden") == NULL);
    CHECK_EQ(log_count(LOG_DEBUG), debug + 1);
    CHECK_EQ(log_count(LOG_ERROR), error + 1);
    int lines = 0;
    for (; *text != '\0'; text++)
        lines += *text == '\n';
    CHECK_EQ(lines, 2);
}

TEST(level_names)
{
    enum log_level level = LOG_DEBUG;
    CHECK_OK(log_level_parse(STR("error"), &level));
    CHECK_EQ(level, LOG_ERROR);
    CHECK_OK(log_level_parse(STR("Warn"), &level));
    CHECK_EQ(level, LOG_WARN);
    CHECK_ERR(log_level_parse(STR("loud"), &level), ERR_INPUT);
    CHECK_ERR(log_level_parse(STR(""), &level), ERR_INPUT);
    CHECK_EQ(level, LOG_WARN);
}
