#include "kit/kit.h"

static bool valid(const char *bytes, size_t len)
{
    char *copy = kit_guard_page(bytes, len);
    bool result = utf8_valid((struct str){copy, len});
    kit_free_guard(copy);
    return result;
}

TEST(well_formed)
{
    static const struct str cases[] = {
        STR_INIT(""),
        STR_INIT("plain"),
        STR_INIT("\0"),
        STR_INIT("\x7F"),
        STR_INIT("\xC2\x80"),
        STR_INIT("\xDF\xBF"),
        STR_INIT("\xE0\xA0\x80"),
        STR_INIT("\xED\x9F\xBF"),
        STR_INIT("\xEE\x80\x80"),
        STR_INIT("\xEF\xBF\xBF"),
        STR_INIT("\xF0\x90\x80\x80"),
        STR_INIT("\xF4\x8F\xBF\xBF"),
        STR_INIT("Kaffee \xE2\x98\x95 f\xC3\xBCr zwei"),
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        NOTE("case %zu", i);
        CHECK(valid(cases[i].at, cases[i].len));
    }
}

TEST(malformed)
{
    static const struct str cases[] = {
        STR_INIT("\x80"), /* a continuation alone */
        STR_INIT("\xBF"),
        STR_INIT("\xC0\x80"), /* overlong NUL */
        STR_INIT("\xC1\xBF"),
        STR_INIT("\xC2"), /* cut off */
        STR_INIT("\xC2\x7F"),
        STR_INIT("\xC2\xC0"),
        STR_INIT("\xE0\x9F\xBF"), /* overlong */
        STR_INIT("\xE0\xA0"),
        STR_INIT("\xE0\xA0\x7F"),
        STR_INIT("\xED\xA0\x80"), /* surrogates */
        STR_INIT("\xED\xBF\xBF"),
        STR_INIT("\xF0\x8F\xBF\xBF"), /* overlong */
        STR_INIT("\xF0\x90\x80"),
        STR_INIT("\xF4\x90\x80\x80"), /* above U+10FFFF */
        STR_INIT("\xF5\x80\x80\x80"),
        STR_INIT("\xF8\x88\x80\x80\x80"),
        STR_INIT("\xFE"),
        STR_INIT("\xFF"),
        STR_INIT("ok\xE2\x98"),
        STR_INIT("\xE2\x98 x"),
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        NOTE("case %zu", i);
        CHECK(!valid(cases[i].at, cases[i].len));
    }
}

/* Every code point written by the definition, and every one- to three-byte text against counting by
 * it. */
static size_t encode(uint32_t point, char dst[4])
{
    if (point < 0x80) {
        dst[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        dst[0] = (char)(0xC0 | point >> 6);
        dst[1] = (char)(0x80 | (point & 63));
        return 2;
    }
    if (point < 0x10000) {
        dst[0] = (char)(0xE0 | point >> 12);
        dst[1] = (char)(0x80 | (point >> 6 & 63));
        dst[2] = (char)(0x80 | (point & 63));
        return 3;
    }
    dst[0] = (char)(0xF0 | point >> 18);
    dst[1] = (char)(0x80 | (point >> 12 & 63));
    dst[2] = (char)(0x80 | (point >> 6 & 63));
    dst[3] = (char)(0x80 | (point & 63));
    return 4;
}

TEST(every_code_point)
{
    char text[4];
    for (uint32_t point = 0; point < 0x120000; point++) {
        bool expected = point <= 0x10FFFF && (point < 0xD800 || point > 0xDFFF);
        size_t len = encode(point, text);
        if (utf8_valid((struct str){text, len}) != expected) {
            NOTE("U+%04X", (unsigned)point);
            CHECK(false);
        }
    }
}

TEST(no_other_short_text_is_valid)
{
    /* Of all three-byte texts, as many are valid as there are ways to write characters in three
     * bytes. */
    uint64_t one = 0x80;
    uint64_t two = 0x800 - 0x80;
    uint64_t three = 0x10000 - 0x800 - 0x800;
    uint64_t expected = one * one * one + 2 * one * two + three;
    uint64_t found = 0;
    for (uint32_t n = 0; n < 0x1000000; n++) {
        char text[3] = {(char)(n >> 16), (char)(n >> 8), (char)n};
        found += utf8_valid((struct str){text, 3});
    }
    CHECK_EQ(found, expected);
}
