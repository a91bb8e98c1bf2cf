/* Bodies in, strictly; bodies out, escaped. */
#include "kit/kit.h"
#include "web/json_in.h"
#include "web/json_out.h"

#include <stdio.h>
#include <string.h>

static void refuses(struct str text, unsigned line, const char *why)
{
    NOTE("%.*s", (int)(text.len > 80 ? 80 : text.len), text.at);
    struct json_fault fault = {0};
    json_t *value = NULL;
    CHECK_ERR(json_in(text, &value, &fault), ERR_INPUT);
    CHECK(value == NULL);
    CHECK_EQ(fault.line, line);
    CHECK(strstr(fault.why, why) != NULL);
}

static void takes(struct str text)
{
    struct json_fault fault;
    json_t *value = NULL;
    NOTE("%.*s", STR_ARG(text));
    CHECK_OK(json_in(text, &value, &fault));
    CHECK(json_is_object(value));
    json_decref(value);
}

TEST(bodies_that_are_none)
{
    refuses(STR(""), 0, "empty");
    refuses(STR("   "), 1, "");
    refuses(STR("{"), 1, "");
    refuses(STR("{}x"), 1, "");
    refuses(STR("{}{}"), 1, "");
    refuses(STR("{\"a\":1,}"), 1, "");
    refuses(STR("{'a':1}"), 1, "");
    refuses(STR("{\"a\":01}"), 1, "");
    refuses(STR("{\"a\":+1}"), 1, "");
    refuses(STR("{\"a\":NaN}"), 1, "");
    refuses(STR("{\"a\":1e999}"), 1, "");
    refuses(STR("{\"a\":99999999999999999999}"), 1, "");
    refuses(STR("{\n\"a\":1,\n\"a\":2}"), 3, "duplicate");
    refuses(STR("{\"a\":\"\\u0000\"}"), 1, "");
    refuses(STR("{\"a\":\"\\ud800\"}"), 1, "");
    refuses(STR("{\"a\":\"\x01\"}"), 1, "");
    refuses(STR("{\"a\":\"\xff\"}"), 0, "UTF-8");
    refuses(STR("{\"a\":\"\xc0\x80\"}"), 0, "UTF-8");
    refuses(STR("\xef\xbb\xbf{}"), 1, "");
    refuses(STR("[]"), 1, "object");
    refuses(STR("\"text\""), 1, "");
    refuses(STR("null"), 1, "");
    refuses(((struct str){"{\0}", 3}), 1, "");
}

TEST(depth_is_looked_at_before_the_parser)
{
    static char text[100001];
    memset(text, '[', 100000);
    refuses((struct str){text, 100000}, 1, "32 levels");
    /* 32 are fine, 33 are not; brackets in a text do not count. */
    char nested[256];
    for (unsigned depth = 31; depth <= 32; depth++) {
        int len = snprintf(nested, sizeof(nested), "{\"a\":%.*s1%.*s}", (int)depth,
                           "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", (int)depth,
                           "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
        struct str body = {nested, (size_t)len};
        if (depth == 31)
            takes(body);
        else
            refuses(body, 1, "32 levels");
    }
    takes(STR("{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}"));
    takes(STR("{\"a\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\\\"}"));
}

/* No prefix of a good body is one, and none is read beyond its end. */
TEST(every_prefix_against_a_guard_page)
{
    static const char body[] =
        "{\"machine_id\":\"m-1\",\"recipe\":{\"volume_ml\":40,\"x\":\"\\u00e9"
        "\xc3\xa9\"},\"meta\":{\"a\":[1,2.5,true,null]}}";
    for (size_t len = 0; len < sizeof(body) - 1; len++) {
        char *copy = kit_guard_page(body, len);
        struct json_fault fault;
        json_t *value = NULL;
        NOTE("%zu bytes", len);
        CHECK_ERR(json_in((struct str){copy, len}, &value, &fault), ERR_INPUT);
        kit_free_guard(copy);
    }
    takes((struct str){body, sizeof(body) - 1});
}

TEST(what_is_written_can_be_read)
{
    struct buf buf;
    buf_init(&buf, 4 * KIB);
    struct json_out out = {&buf, ERR_OK};
    out_open(&out, NULL, '{');
    out_text(&out, "text", STR("a\"b\\c\n\t\x01\x7f\xc3\xa9/"));
    out_text(&out, "empty", STR(""));
    out_text(&out, "none", STR_NONE);
    out_open(&out, "list", '[');
    out_i64(&out, NULL, INT64_MIN);
    out_u64(&out, NULL, 7);
    out_bool(&out, NULL, true);
    out_open(&out, NULL, '{');
    out_close(&out, '}');
    out_close(&out, ']');
    out_f64(&out, "half", 0.5);
    out_f64(&out, "endless", 1.0 / 0.0);
    out_time(&out, "never", 0);
    out_time(&out, "epoch", 1);
    out_raw(&out, "raw", STR("{\"a\":1}"), "null");
    out_raw(&out, "no_raw", STR_NONE, "[]");
    out_close(&out, '}');
    CHECK_OK(out.err);
    CHECK_SLICE(
        buf_str(&buf),
        "{\"text\":\"a\\\"b\\\\c\\u000a\\u0009\\u0001\x7f\xc3\xa9/\",\"empty\":\"\",\"none\":"
        "null,\"list\":[-9223372036854775808,7,true,{}],\"half\":0.5,\"endless\":null,"
        "\"never\":null,\"epoch\":\"1970-01-01T00:00:00.001Z\",\"raw\":{\"a\":1},\"no_raw\":"
        "[]}");
    takes(buf_str(&buf));
    buf_finish(&buf);
}

TEST(a_full_buffer_is_remembered)
{
    struct buf buf;
    buf_init(&buf, 16);
    struct json_out out = {&buf, ERR_OK};
    out_open(&out, NULL, '{');
    out_text(&out, "long", STR("does not fit into sixteen bytes"));
    out_close(&out, '}');
    CHECK_ERR(out.err, ERR_FULL);
    buf_finish(&buf);
}
