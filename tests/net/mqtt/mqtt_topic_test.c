#include "kit/kit.h"
#include "net/mqtt/mqtt_codec.h"
#include <string.h>

TEST(topics)
{
    static const char *const good[] = {"a", "/", "//", "a/b c", "$SYS/x", "caf\xC3\xA9", "a/"};
    static const char *const bad[] = {"",     "+",    "a/+",          "#",       "a#",
                                      "a+/b", "\xFF", "\xED\xA0\x80", "\xC0\x80"};
    for (size_t i = 0; i < ARRAY_COUNT(good); i++)
        CHECK(mqtt_topic_valid(str_from(good[i])));
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        NOTE("%s", bad[i]);
        CHECK(!mqtt_topic_valid(str_from(bad[i])));
    }
    CHECK(!mqtt_topic_valid(STR("a\0b")));
    CHECK(!mqtt_topic_valid(STR("abcdefgh\0b")));
}

TEST(topic_bounds)
{
    char name[MQTT_TOPIC_BYTES_MAX + 1];
    memset(name, 'a', sizeof(name));
    CHECK(mqtt_topic_valid((struct str){name, MQTT_TOPIC_BYTES_MAX}));
    CHECK(!mqtt_topic_valid((struct str){name, MQTT_TOPIC_BYTES_MAX + 1}));
    CHECK(mqtt_topic_valid(STR("1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16")));
    CHECK(!mqtt_topic_valid(STR("1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17")));
    CHECK(!mqtt_filter_valid(STR("1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/#")));
}

/* A wrong byte at each place of the fast path and of the slow one. */
TEST(bytes_are_looked_at_one_by_one)
{
    for (size_t len = 1; len < 40; len++) {
        for (size_t at = 0; at < len; at++) {
            char name[40];
            memset(name, 'a', sizeof(name));
            CHECK(mqtt_topic_valid((struct str){name, len}));
            name[at] = '\0';
            CHECK(!mqtt_topic_valid((struct str){name, len}));
            name[at] = '\x80';
            CHECK(!mqtt_topic_valid((struct str){name, len}));
            name[at] = '+';
            CHECK(!mqtt_topic_valid((struct str){name, len}));
            name[at] = '\x01'; /* a control character is discouraged, not forbidden */
            CHECK(mqtt_topic_valid((struct str){name, len}));
        }
    }
}

TEST(filters)
{
    static const char *const good[] = {"#",   "+",     "a/#",  "/#",        "+/+",
                                       "+/#", "a/+/b", "$a/#", "$share/g/a"};
    static const char *const bad[] = {"", "a#", "#/a", "a/#/b", "a+", "+a", "a/b+/c", "##", "a/##"};
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        NOTE("%s", good[i]);
        CHECK(mqtt_filter_valid(str_from(good[i])));
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        NOTE("%s", bad[i]);
        CHECK(!mqtt_filter_valid(str_from(bad[i])));
    }
}

TEST(matching)
{
    static const struct {
        const char *filter, *topic;
        bool matches;
    } rows[] = {
        {"a", "a", true},           {"a", "b", false},        {"a", "ab", false},
        {"ab", "a", false},         {"a/b", "a/b", true},     {"a/b", "a", false},
        {"a", "a/b", false},        {"#", "a", true},         {"#", "a/b/c", true},
        {"#", "/", true},           {"a/#", "a", true},       {"a/#", "a/", true},
        {"a/#", "a/b/c", true},     {"a/#", "ab", false},     {"+", "a", true},
        {"+", "a/b", false},        {"+", "/a", false},       {"/+", "/a", true},
        {"+/+", "/a", true},        {"+/+", "a/b", true},     {"a/+", "a", false},
        {"a/+", "a/", true},        {"a/+/c", "a/b/c", true}, {"a/+/c", "a//c", true},
        {"a/+/c", "a/b/d", false},  {"+/#", "a", true},       {"+/#", "a/b", true},
        {"#", "$SYS/a", false},     {"+/a", "$SYS/a", false}, {"$SYS/#", "$SYS/a", true},
        {"$SYS/+", "$SYS/a", true}, {"a/$b", "a/$b", true},   {"a/+", "a/$b", true},
        {"a/b/#", "a", false},      {"a/+/#", "a", false},    {"a/+/#", "a/b", true},
        {"", "a", false},           {"a", "", false},         {"a/", "a", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        NOTE("%s %s", rows[i].filter, rows[i].topic);
        CHECK_EQ(mqtt_filter_matches(str_from(rows[i].filter), str_from(rows[i].topic)),
                 rows[i].matches);
    }
}

TEST(levels)
{
    struct str topic = STR("sensor/42//t");
    CHECK_SLICE(mqtt_topic_level(topic, 0), "sensor");
    CHECK_SLICE(mqtt_topic_level(topic, 1), "42");
    CHECK_EQ(mqtt_topic_level(topic, 2).len, 0);
    CHECK(mqtt_topic_level(topic, 2).at != NULL);
    CHECK_SLICE(mqtt_topic_level(topic, 3), "t");
    CHECK(mqtt_topic_level(topic, 4).at == NULL);
    CHECK(mqtt_topic_level(STR_NONE, 0).at == NULL);
    CHECK_SLICE(mqtt_topic_level(STR("a/"), 0), "a");
    CHECK_EQ(mqtt_topic_level(STR("a/"), 1).len, 0);
    CHECK(mqtt_topic_level(STR("a/"), 1).at != NULL);
    CHECK(mqtt_topic_level(STR("a/"), 2).at == NULL);
}
