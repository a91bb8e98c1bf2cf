#include <string.h>

#include "kit/kit.h"

static const struct {
    int64_t epoch_ms;
    const char *text;
} known[] = {
    {0, "1970-01-01T00:00:00.000Z"},
    {-1, "1969-12-31T23:59:59.999Z"},
    {951782400000, "2000-02-29T00:00:00.000Z"},
    {951868800000, "2000-03-01T00:00:00.000Z"},
    {1000000000000, "2001-09-09T01:46:40.000Z"},
    {1234567890123, "2009-02-13T23:31:30.123Z"},
    {2147483648000, "2038-01-19T03:14:08.000Z"},
    {4102444800000, "2100-01-01T00:00:00.000Z"},
    {4107542400000, "2100-03-01T00:00:00.000Z"},
    {-2208988800000, "1900-01-01T00:00:00.000Z"},
    {-62167219200000, "0000-01-01T00:00:00.000Z"},
    {253402300799999, "9999-12-31T23:59:59.999Z"},
};

TEST(known_times_both_ways)
{
    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        char text[TIME_TEXT_BYTES];
        int64_t back = 1;
        time_text(known[i].epoch_ms, text);
        CHECK_STR(text, known[i].text);
        CHECK_OK(time_parse(str_from(text), &back));
        CHECK_EQ(back, known[i].epoch_ms);
    }
}

TEST(what_is_out_of_range_is_clamped)
{
    char text[TIME_TEXT_BYTES];
    time_text(INT64_MAX, text);
    CHECK_STR(text, "9999-12-31T23:59:59.999Z");
    time_text(INT64_MIN, text);
    CHECK_STR(text, "0000-01-01T00:00:00.000Z");
}

TEST(random_times_both_ways)
{
    struct rng rng;
    rng_init(&rng, 11);
    for (int i = 0; i < 200000; i++) {
        char text[TIME_TEXT_BYTES];
        int64_t back = 0;
        int64_t epoch_ms = (int64_t)(rng_next(&rng) % 315569520000000u) - 62167219200000;
        time_text(epoch_ms, text);
        CHECK_EQ(strlen(text), 24);
        CHECK_OK(time_parse(str_from(text), &back));
        CHECK_EQ(back, epoch_ms);
    }
}

TEST(every_day_follows_the_one_before)
{
    char before[TIME_TEXT_BYTES] = "";
    /* Every day of 1900 to 2500, and every thirteenth of the other years of four digits. */
    for (int64_t day = -719528; day < 2932897; day += day > -25568 && day < 193578 ? 1 : 13) {
        char text[TIME_TEXT_BYTES];
        time_text(day * 86400000, text);
        if (strcmp(before, text) >= 0) /* the text sorts as the time does */
            CHECK_STR(before, text);
        memcpy(before, text, sizeof(before));
    }
}

TEST(other_forms_of_rfc_3339)
{
    static const struct {
        const char *text;
        int64_t epoch_ms;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01t00:00:00z", 0},
        {"1970-01-01 00:00:00Z", 0},
        {"1970-01-01T00:00:00.5Z", 500},
        {"1970-01-01T00:00:00.1239999999Z", 123},
        {"1970-01-01T00:00:00.000000000000000000000001Z", 0},
        {"1970-01-01T01:00:00+01:00", 0},
        {"1970-01-01T00:00:00+00:00", 0},
        {"1970-01-01T00:00:00-00:00", 0},
        {"1969-12-31T19:30:00-04:30", 0},
        {"1970-01-01T23:59:00+23:59", 0},
        {"2016-12-31T23:59:60Z", 1483228800000}, /* a leap second is the next day's first */
        {"2017-01-01T00:59:60.250+01:00", 1483228800250},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        int64_t epoch_ms = 1;
        NOTE("%s", cases[i].text);
        CHECK_OK(time_parse(str_from(cases[i].text), &epoch_ms));
        CHECK_EQ(epoch_ms, cases[i].epoch_ms);
    }
}

TEST(bad_forms)
{
    static const char *const cases[] = {
        "",
        "Z",
        "1970",
        "1970-01-01",
        "1970-01-01T",
        "1970-01-01T00:00Z",
        "1970-01-01T00:00:00",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00,5Z",
        "1970-01-01T00:00:00+0100",
        "1970-01-01T00:00:00+01",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01T00:00:00+01:60",
        "1970-01-01T00:00:00ZZ",
        "1970-01-01T00:00:00Z ",
        " 1970-01-01T00:00:00Z",
        "1970-1-01T00:00:00Z",
        "70-01-01T00:00:00Z",
        "+1970-01-01T00:00:00Z",
        "1970-00-01T00:00:00Z",
        "1970-13-01T00:00:00Z",
        "1970-01-00T00:00:00Z",
        "1970-01-32T00:00:00Z",
        "1970-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "1970-04-31T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T00:00:61Z",
        "1970-01-01T00:00:60Z",
        "1970-01-01T23:58:60Z",
        "1970/01/01T00:00:00Z",
        "1970-01-01X00:00:00Z",
        "197a-01-01T00:00:00Z",
        "-001-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "1970-01-01T0a:00:00Z",
        "1970-01-01T00-00-00Z",
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        int64_t epoch_ms = 7;
        NOTE("%s", cases[i]);
        CHECK_ERR(time_parse(str_from(cases[i]), &epoch_ms), ERR_INPUT);
        CHECK_EQ(epoch_ms, 7);
    }
}

TEST(every_prefix_ends_at_its_end)
{
    const char *whole = "2026-11-20T23:44:46.123+01:30";
    for (size_t len = 0; len <= strlen(whole); len++) {
        int64_t epoch_ms;
        char *copy = kit_guard_page(whole, len);
        CHECK_ERR(time_parse((struct str){copy, len}, &epoch_ms),
                  len == strlen(whole) ? ERR_OK : ERR_INPUT);
        kit_free_guard(copy);
    }
}
