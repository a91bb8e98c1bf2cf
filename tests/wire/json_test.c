/* The JSON reader: what it takes, what it refuses and where, never a byte beyond the end. */
#include "kit/kit.h"
#include "wire/wire.h"

#include <string.h>

static enum err check_text(const char *text, struct wire_fault *ret_fault)
{
    struct wire_value root;
    char *copy = kit_guard_page(text, strlen(text));
    struct wire_fault fault = {0};
    enum err err = wire_open((struct str){copy, strlen(text)}, &root, &fault);
    if (ret_fault != NULL)
        *ret_fault = fault;
    kit_free_guard(copy);
    return err;
}

TEST(well_formed_documents_are_taken)
{
    static const char *const good[] = {
        "{}",
        "[]",
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1e5",
        "1E+05",
        "0.5e-3",
        "\"\"",
        " { \"a\" : [ 1 , 2 , { } ] , \"b\" : null } \r\n\t",
        "\"\\u00e9\\ud83d\\ude00\\n\\/\"",
        "\"caf\xc3\xa9\"",
        "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]",
        "[1,[2,[3]],{\"x\":{}}]",
        "{\"a\":1,\"A\":2,\"\":3,\"a\\u0062\":4}",
    };
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        NOTE("%s", good[i]);
        CHECK_OK(check_text(good[i], NULL));
    }
}

TEST(everything_else_is_refused_with_a_place_and_a_reason)
{
    static const struct {
        const char *text, *why;
        size_t at_byte;
    } bad[] = {
        {"", "unfinished", 0},
        {"   ", "unfinished", 3},
        {"{", "unfinished", 1},
        {"[1", "unfinished", 2},
        {"[1,", "unfinished", 3},
        {"[1,]", "number", 3},
        {"[,1]", "number", 1},
        {"{\"a\"}", "syntax", 4},
        {"{\"a\":}", "number", 5},
        {"{\"a\":1,}", "syntax", 7},
        {"{a:1}", "syntax", 1},
        {"{'a':1}", "syntax", 1},
        {"{} {}", "text after the end", 3},
        {"tru", "syntax", 0},
        {"True", "number", 0},
        {"nan", "syntax", 0},
        {"01", "text after the end", 1},
        {"-", "number", 1},
        {"+1", "number", 0},
        {"1.", "number", 2},
        {".5", "number", 0},
        {"1e", "number", 2},
        {"0x10", "text after the end", 1},
        {"\"abc", "unfinished", 4},
        {"\"a\nb\"", "string", 2},
        {"\"\\x\"", "string", 1},
        {"\"\\u12g4\"", "string", 1},
        {"\"\\ud800\"", "string", 1},
        {"\"\\udc00\"", "string", 1},
        {"\"\\ud800\\u0041\"", "string", 1},
        {"\"\xff\"", "utf8", 1},
        {"\"\xc0\xaf\"", "utf8", 1},
        {"\"\xed\xa0\x80\"", "utf8", 1},
        {"\xef\xbb\xbf{}", "number", 0},
        {"[1 2]", "syntax", 3},
        {"[1}", "syntax", 2},
        {"/**/1", "number", 0},
        {"{\"a\":1,\"a\":2}", "duplicate key", 7},
        {"{\"a\":1,\"\\u0061\":2}", "duplicate key", 7},
        {"[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]", "depth", 16},
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct wire_fault fault;
        NOTE("%s", bad[i].text);
        CHECK_ERR(check_text(bad[i].text, &fault), ERR_INPUT);
        CHECK_STR(fault.why, bad[i].why);
        CHECK_EQ(fault.at_byte, bad[i].at_byte);
    }
}

TEST(the_width_of_an_object_is_bounded)
{
    char storage[4096];
    for (unsigned count = WIRE_MEMBERS_MAX; count <= WIRE_MEMBERS_MAX + 1; count++) {
        struct text text;
        struct wire_writer w;
        text_init(&text, storage, sizeof(storage));
        wire_begin(&w, &text);
        wire_object(&w);
        for (unsigned i = 0; i < count; i++) {
            char name[8] = {(char)('a' + i / 16), (char)('a' + i % 16), '\0'};
            wire_key(&w, name);
            wire_put_u64(&w, i);
        }
        wire_object_end(&w);
        CHECK(!text.overflow);
        CHECK_EQ(check_text(storage, NULL), count == WIRE_MEMBERS_MAX ? ERR_OK : ERR_INPUT);
    }
}

/* Every prefix ends at an unreadable page; only the whole is a document. */
TEST(no_prefix_reads_beyond_its_end)
{
    static const char text[] = "{\"a\":[1,-2.5e3,true,false,null,\"x\\n\\ud83d\\ude00\xc3\xa9\"],"
                               "\"b\":{\"c\":{}},\"d\":\"\"}";
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        struct wire_value root;
        char *copy = kit_guard_page(text, len);
        CHECK_ERR(wire_open((struct str){copy, len}, &root, NULL), ERR_INPUT);
        kit_free_guard(copy);
    }
    CHECK_OK(check_text(text, NULL));
}

static struct wire_value open_text(const char *text)
{
    struct wire_value root;
    CHECK_OK(wire_open(str_from(text), &root, NULL));
    return root;
}

TEST(members_are_found_by_their_real_name)
{
    struct wire_value root =
        open_text("{ \"x\" : {\"y\":\"}],\\\"\"} , \"a\\u0062\":[1,[2],3] ,\"n\":null}");
    struct wire_value value;
    CHECK(wire_find(root, "ab", &value));
    CHECK_SLICE(value.raw, "[1,[2],3]");
    CHECK(wire_find(root, "x", &value));
    CHECK_EQ(value.type, WIRE_OBJECT);
    CHECK(wire_find(value, "y", &value));
    CHECK(wire_is(value, STR("}],\"")));
    CHECK(wire_find(root, "n", &value));
    CHECK_EQ(value.type, WIRE_NULL);
    CHECK(!wire_find(root, "y", &value));
    CHECK(!wire_find(value, "y", &value));
}

TEST(an_array_is_walked_in_order)
{
    struct wire_walk walk = wire_walk(open_text("[ 1 , \"two\" , [3] , {\"four\":4} ,null]"));
    struct wire_value key;
    struct wire_value value;
    static const char *const raw[] = {"1", "\"two\"", "[3]", "{\"four\":4}", "null"};
    for (size_t i = 0; i < ARRAY_COUNT(raw); i++) {
        CHECK(wire_walk_next(&walk, &key, &value));
        CHECK_SLICE(value.raw, raw[i]);
    }
    CHECK(!wire_walk_next(&walk, &key, &value));
    CHECK(!wire_walk_next(&walk, &key, &value));
}

TEST(whole_numbers)
{
    int64_t i;
    uint64_t u;
    uint32_t small;
    CHECK_OK(wire_get_i64(open_text("-9223372036854775808"), &i));
    CHECK_EQ(i, INT64_MIN);
    CHECK_OK(wire_get_i64(open_text("9223372036854775807"), &i));
    CHECK_EQ(i, INT64_MAX);
    CHECK_OK(wire_get_i64(open_text("-0"), &i));
    CHECK_EQ(i, 0);
    CHECK_ERR(wire_get_i64(open_text("9223372036854775808"), &i), ERR_INPUT);
    CHECK_ERR(wire_get_i64(open_text("-9223372036854775809"), &i), ERR_INPUT);
    CHECK_ERR(wire_get_i64(open_text("1.0"), &i), ERR_INPUT);
    CHECK_ERR(wire_get_i64(open_text("1e3"), &i), ERR_INPUT);
    CHECK_ERR(wire_get_i64(open_text("\"1\""), &i), ERR_INPUT);
    CHECK_OK(wire_get_u64(open_text("18446744073709551615"), &u));
    CHECK(u == UINT64_MAX);
    CHECK_ERR(wire_get_u64(open_text("18446744073709551616"), &u), ERR_INPUT);
    CHECK_ERR(wire_get_u64(open_text("-1"), &u), ERR_INPUT);
    CHECK_OK(wire_get_u32(open_text("4294967295"), &small));
    CHECK_ERR(wire_get_u32(open_text("4294967296"), &small), ERR_INPUT);
}

TEST(fractions_become_thousandths)
{
    static const struct {
        const char *text;
        int64_t milli;
    } good[] = {
        {"0", 0},
        {"-0.0", 0},
        {"92", 92000},
        {"92.5", 92500},
        {"-0.001", -1},
        {"0.0004", 0},
        {"0.0005", 1},
        {"-0.0005", -1},
        {"0.00149999", 1},
        {"1e3", 1000000},
        {"1E-3", 1},
        {"12345e-2", 123450},
        {"0.000000000000000000000001e24", 1000},
        {"1e-400", 0},
        {"0e999999999", 0},
        {"9000000000000", 9000000000000000},
        {"3.14159265358979323846264338327950288", 3142},
        {"1.9999", 2000},
        {"123456789012.3456", 123456789012346},
    };
    int64_t milli;
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        NOTE("%s", good[i].text);
        CHECK_OK(wire_get_milli(open_text(good[i].text), &milli));
        CHECK_EQ(milli, good[i].milli);
    }
    CHECK_ERR(wire_get_milli(open_text("9000000000000.001"), &milli), ERR_INPUT);
    CHECK_ERR(wire_get_milli(open_text("1e13"), &milli), ERR_INPUT);
    CHECK_ERR(wire_get_milli(open_text("1e999999999999"), &milli), ERR_INPUT);
    CHECK_ERR(wire_get_milli(open_text("99999999999999999999999"), &milli), ERR_INPUT);
    CHECK_ERR(wire_get_milli(open_text("\"1\""), &milli), ERR_INPUT);
}

TEST(strings_are_read_whole_or_not_at_all)
{
    char dst[8] = "before";
    CHECK_OK(wire_get_text(open_text("\"a\\u00e9\\\"\""), dst, sizeof(dst)));
    CHECK_STR(dst, "a\xc3\xa9\"");
    CHECK_ERR(wire_get_text(open_text("\"12345678\""), dst, sizeof(dst)), ERR_FULL);
    CHECK_STR(dst, "a\xc3\xa9\"");
    CHECK_OK(wire_get_text(open_text("\"1234567\""), dst, sizeof(dst)));
    CHECK_ERR(wire_get_text(open_text("\"a\\u0000b\""), dst, sizeof(dst)), ERR_INPUT);
    CHECK_ERR(wire_get_text(open_text("12"), dst, sizeof(dst)), ERR_INPUT);
}

TEST(ids_and_bools)
{
    struct id128 id;
    bool flag = false;
    CHECK_OK(wire_get_id(open_text("\"000102030405060708090a0b0c0d0e0F\""), &id));
    CHECK_EQ(id.byte[15], 15);
    CHECK_ERR(wire_get_id(open_text("\"00010203\""), &id), ERR_INPUT);
    CHECK_ERR(wire_get_id(open_text("\"zz0102030405060708090a0b0c0d0e0f\""), &id), ERR_INPUT);
    CHECK_OK(wire_get_bool(open_text("true"), &flag));
    CHECK(flag);
    CHECK_ERR(wire_get_bool(open_text("1"), &flag), ERR_INPUT);
}

TEST(what_is_written_can_be_read)
{
    char storage[512];
    struct text text;
    struct wire_writer w;
    struct wire_value root;
    struct wire_value value;
    char back[64];
    int64_t milli;
    text_init(&text, storage, sizeof(storage));
    wire_begin(&w, &text);
    wire_object(&w);
    wire_key(&w, "s");
    wire_put_str(&w, STR("\x01 \"q\\ \xc3\xa9 \xff \n"));
    wire_key(&w, "list");
    wire_array(&w);
    wire_put_milli(&w, -92500);
    wire_put_i64(&w, INT64_MIN);
    wire_put_bool(&w, true);
    wire_put_null(&w);
    wire_object(&w);
    wire_object_end(&w);
    wire_array_end(&w);
    wire_key(&w, "raw");
    wire_put_raw(&w, STR("{\"x\":1}"));
    wire_object_end(&w);
    CHECK(!text.overflow);
    CHECK_STR(storage, "{\"s\":\"\\u0001 \\\"q\\\\ \xc3\xa9 \xef\xbf\xbd \\u000a\","
                       "\"list\":[-92.5,-9223372036854775808,true,null,{}],\"raw\":{\"x\":1}}");
    CHECK_OK(wire_open((struct str){text.at, text.len}, &root, NULL));
    CHECK(wire_find(root, "s", &value));
    CHECK_OK(wire_get_text(value, back, sizeof(back)));
    CHECK_STR(back, "\x01 \"q\\ \xc3\xa9 \xef\xbf\xbd \n");
    CHECK(wire_find(root, "list", &value));
    struct wire_walk walk = wire_walk(value);
    CHECK(wire_walk_next(&walk, &root, &value));
    CHECK_OK(wire_get_milli(value, &milli));
    CHECK_EQ(milli, -92500);
}

/* Random thousandths survive the way there and back. */
TEST(thousandths_survive_writing_and_reading)
{
    struct rng rng;
    rng_init(&rng, 1);
    for (int i = 0; i < 20000; i++) {
        char storage[40];
        struct text text;
        struct wire_writer w;
        int64_t milli = (int64_t)(rng_next(&rng) % 9000000000000000u) >> rng_below(&rng, 50);
        int64_t back;
        if (rng_chance(&rng, 0.5))
            milli = -milli;
        text_init(&text, storage, sizeof(storage));
        wire_begin(&w, &text);
        wire_put_milli(&w, milli);
        NOTE("%s", storage);
        CHECK_OK(wire_get_milli(open_text(storage), &back));
        CHECK_EQ(back, milli);
    }
}
