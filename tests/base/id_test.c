#include <string.h>

#include "kit/kit.h"

TEST(hex_both_ways)
{
    uint8_t bytes[4] = {0x00, 0x7F, 0xAB, 0xFF};
    uint8_t back[4];
    char text[9];
    hex_encode(text, bytes, 4);
    CHECK_STR(text, "007fabff");
    CHECK_OK(hex_decode(back, 4, STR("007FabFf")));
    CHECK_BYTES(back, bytes, 4);
    hex_encode(text, bytes, 0);
    CHECK_STR(text, "");
    CHECK_OK(hex_decode(back, 0, STR("")));
}

TEST(hex_decode_refuses_and_leaves_dst)
{
    static const struct str bad[] = {
        STR_INIT("007fabf"), STR_INIT("007fabff0"), STR_INIT("007fabfg"),  STR_INIT("007fab f"),
        STR_INIT(""),        STR_INIT("0x7fabff"),  STR_INIT("007fab\0f"), STR_INIT("007fab@f")};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        uint8_t back[4] = {1, 2, 3, 4};
        NOTE("case %zu", i);
        CHECK_ERR(hex_decode(back, 4, bad[i]), ERR_INPUT);
        CHECK_BYTES(back, ((uint8_t[]){1, 2, 3, 4}), 4);
    }
}

TEST(id_alphabet_and_length)
{
    char longest[ID_BYTES_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    CHECK(id_valid(STR("espresso-1")));
    CHECK(id_valid(STR("A.b_C-9")));
    CHECK(id_valid(STR("-")));
    CHECK(id_valid((struct str){longest, ID_BYTES_MAX}));
    CHECK(!id_valid((struct str){longest, ID_BYTES_MAX + 1}));
    CHECK(!id_valid(STR("")));
    CHECK(!id_valid(STR_NONE));
    CHECK(!id_valid(STR(".hidden")));
    CHECK(!id_valid(STR("..")));
    for (int c = 0; c < 256; c++) {
        char text[2] = {'a', (char)c};
        bool expected = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                        (c >= 'a' && c <= 'z') || c == '.' || c == '_' || c == '-';
        NOTE("byte %d", c);
        CHECK_EQ(id_valid((struct str){text, 2}), expected);
    }
}

TEST(id128_text_and_back)
{
    struct id128 id = {{0}};
    struct id128 back;
    char text[ID128_TEXT_BYTES];
    CHECK(id128_is_zero(id));
    for (size_t i = 0; i < 16; i++)
        id.byte[i] = (uint8_t)(i * 16 + i);
    CHECK(!id128_is_zero(id));
    id128_text(id, text);
    CHECK_STR(text, "00112233445566778899aabbccddeeff");
    CHECK_OK(id128_parse(STR("00112233445566778899AABBCCDDEEFF"), &back));
    CHECK(id128_equal(id, back));
    back.byte[15] ^= 1;
    CHECK(!id128_equal(id, back));
    CHECK_ERR(id128_parse(STR("00112233445566778899aabbccddeef"), &back), ERR_INPUT);
    CHECK_ERR(id128_parse(STR("00112233-4455-6677-8899-aabbccddeeff"), &back), ERR_INPUT);
    for (size_t i = 0; i < 16; i++) {
        struct id128 one = {{0}};
        one.byte[i] = 0x80;
        CHECK(!id128_is_zero(one));
    }
}
