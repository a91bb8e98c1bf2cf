#include <string.h>

#include "kit/kit.h"

TEST(a_slice_of_null_is_empty)
{
    CHECK_EQ(str_from(NULL).len, 0);
    CHECK_EQ(str_from("").len, 0);
    CHECK(str_from("").at != NULL);
    CHECK_SLICE(str_from("abc"), "abc");
    CHECK(str_equal(STR_NONE, STR("")));
}

TEST(equality)
{
    CHECK(str_equal(STR("abc"), STR("abc")));
    CHECK(!str_equal(STR("abc"), STR("abd")));
    CHECK(!str_equal(STR("abc"), STR("ab")));
    CHECK(str_equal(STR("a\0b"), STR("a\0b")));
    CHECK(!str_equal(STR("a\0b"), STR("a\0c")));
    CHECK(str_equal_nocase(STR("Content-Length"), STR("content-LENGTH")));
    CHECK(!str_equal_nocase(STR("a"), STR("ab")));
    CHECK(!str_equal_nocase(STR("@"), STR("`")));
    CHECK(!str_equal_nocase(STR("["), STR("{")));
    CHECK(!str_equal_nocase(STR("\xC3\x84"), STR("\xC3\xA4"))); /* ASCII only */
}

TEST(starts_and_find)
{
    CHECK(str_starts(STR("abc"), STR("ab")));
    CHECK(str_starts(STR("abc"), STR("")));
    CHECK(str_starts(STR("abc"), STR("abc")));
    CHECK(!str_starts(STR("abc"), STR("abcd")));
    CHECK(!str_starts(STR("abc"), STR("b")));
    CHECK_EQ(str_find(STR("abc"), 'c'), 2);
    CHECK_EQ(str_find(STR("abc"), 'x'), 3);
    CHECK_EQ(str_find(STR("abca"), 'a'), 0);
    CHECK_EQ(str_find(STR_NONE, 'a'), 0);
    CHECK_EQ(str_find(STR("a\0b"), '\0'), 1);
}

TEST(slice_clamps_both_ends)
{
    CHECK_SLICE(str_slice(STR("hello"), 1, 3), "el");
    CHECK_SLICE(str_slice(STR("hello"), 0, SIZE_MAX), "hello");
    CHECK_SLICE(str_slice(STR("hello"), 9, 12), "");
    CHECK_SLICE(str_slice(STR("hello"), 4, 2), "");
    CHECK(str_slice(STR_NONE, 0, 5).at == NULL);
}

TEST(to_u64_takes_digits_only)
{
    static const struct {
        const char *text;
        enum err err;
        uint64_t value;
    } cases[] = {
        {"0", ERR_OK, 0},
        {"00", ERR_OK, 0},
        {"007", ERR_OK, 7},
        {"42", ERR_OK, 42},
        {"18446744073709551615", ERR_OK, UINT64_MAX},
        {"018446744073709551615", ERR_OK, UINT64_MAX},
        {"18446744073709551614", ERR_OK, UINT64_MAX - 1},
        {"18446744073709551616", ERR_INPUT, 0},
        {"18446744073709551620", ERR_INPUT, 0},
        {"28446744073709551615", ERR_INPUT, 0},
        {"99999999999999999999", ERR_INPUT, 0},
        {"184467440737095516150", ERR_INPUT, 0},
        {"", ERR_INPUT, 0},
        {" 1", ERR_INPUT, 0},
        {"1 ", ERR_INPUT, 0},
        {"+1", ERR_INPUT, 0},
        {"-1", ERR_INPUT, 0},
        {"0x10", ERR_INPUT, 0},
        {"1.0", ERR_INPUT, 0},
        {"1e3", ERR_INPUT, 0},
        {"12a", ERR_INPUT, 0},
        {"/", ERR_INPUT, 0},
        {":", ERR_INPUT, 0},
        {"\xD9\xA1", ERR_INPUT, 0}, /* an Arabic digit */
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        uint64_t value = 77;
        NOTE("%s", cases[i].text);
        CHECK_ERR(str_to_u64(str_from(cases[i].text), &value), cases[i].err);
        CHECK(value ==
              (cases[i].err == ERR_OK ? cases[i].value : 77)); /* written only on success */
    }
    uint64_t value = 0;
    CHECK_ERR(str_to_u64(STR("1\0"), &value), ERR_INPUT);
    CHECK_ERR(str_to_u64(STR_NONE, &value), ERR_INPUT);
}

TEST(to_u64_reads_no_further_than_the_slice)
{
    char *copy = kit_guard_page("123456", 6);
    uint64_t value = 0;
    CHECK_OK(str_to_u64((struct str){copy, 6}, &value));
    CHECK_EQ(value, 123456);
    CHECK_OK(str_to_u64((struct str){copy, 2}, &value));
    CHECK_EQ(value, 12);
}

TEST(copy_fits_or_is_empty)
{
    char dst[4] = "zzz";
    CHECK_OK(str_copy(dst, sizeof(dst), STR("abc")));
    CHECK_STR(dst, "abc");
    CHECK_ERR(str_copy(dst, sizeof(dst), STR("abcd")), ERR_FULL);
    CHECK_STR(dst, "");
    CHECK_OK(str_copy(dst, sizeof(dst), STR_NONE));
    CHECK_STR(dst, "");
    CHECK_OK(str_copy(dst, sizeof(dst), STR("x")));
    CHECK_ERR(str_copy(dst, sizeof(dst), STR("a\0b")), ERR_INPUT);
    CHECK_STR(dst, "");
    CHECK_OK(str_copy(dst, 1, STR("")));
    CHECK_ERR(str_copy(dst, 1, STR("a")), ERR_FULL);
}

TEST(bytes_helpers)
{
    uint8_t bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    base_move(bytes + 2, bytes, 6);
    CHECK_BYTES(bytes, ((uint8_t[]){1, 2, 1, 2, 3, 4, 5, 6}), 8);
    base_move(bytes, bytes + 2, 6);
    CHECK_BYTES(bytes, ((uint8_t[]){1, 2, 3, 4, 5, 6, 5, 6}), 8);
    base_zero(bytes + 1, 2);
    CHECK_BYTES(bytes, ((uint8_t[]){1, 0, 0, 4, 5, 6, 5, 6}), 8);
    base_copy(bytes, "ab", 2);
    CHECK(base_equal(bytes, "ab", 2));
    CHECK(!base_equal(bytes, "ac", 2));
    CHECK(base_equal("x", "y", 0));
}

TEST(every_error_has_a_name_of_its_own)
{
    for (int a = ERR_OK; a <= ERR_VERSION; a++) {
        CHECK(strlen(err_name((enum err)a)) > 0);
        for (int b = ERR_OK; b < a; b++)
            CHECK(strcmp(err_name((enum err)a), err_name((enum err)b)) != 0);
    }
    CHECK_STR(err_name(ERR_OK), "ok");
    CHECK_STR(err_name(ERR_NOT_FOUND), "not_found");
    CHECK_STR(err_name((enum err)999), "unnamed");
}
