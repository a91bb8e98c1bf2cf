/* Payloads: what is taken, what is refused and why, and that no byte beyond the end is read. */
#include "kit/kit.h"
#include "telemetry/telemetry_parse_int.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW ((int64_t)1800000000000) /* 2027-01-15T08:00:00Z */

struct outcome {
    enum telemetry_refusal refusal;
    struct telemetry_reading reading[TELEMETRY_READINGS_MAX];
    uint32_t count;
    char why[TELEMETRY_WHY_BYTES];
};

static struct outcome parse_bytes(const char *type, const void *bytes, size_t len)
{
    struct outcome out = {0};
    char *copy = kit_guard_page(bytes, len);
    out.refusal = telemetry_parse(str_from(type), (struct str){copy, len}, NOW, out.reading,
                                  &out.count, out.why);
    kit_free_guard(copy);
    CHECK((out.refusal == TELEMETRY_ACCEPTED) == (out.count > 0));
    CHECK((out.refusal == TELEMETRY_ACCEPTED) == (out.why[0] == '\0'));
    return out;
}

static struct outcome parse(const char *type, const char *payload)
{
    return parse_bytes(type, payload, strlen(payload));
}

TEST(plain_numbers)
{
    static const struct {
        const char *payload;
        double value;
    } good[] = {
        {"21.5", 21.5},
        {"0", 0},
        {"-0", 0},
        {"-3.25", -3.25},
        {"1e1", 10},
        {"2.5E+1", 25},
        {"250e-1", 25},
        {" 21.5\n", 21.5},
        {"\t 22 \r\n", 22},
        {"0.1", 0.1},
        {"21.4999999999999999999", 21.5},
        {"0.000000000000000000000000000000000000000001e42", 1},
    };
    static const char *const bad[] = {
        "",
        " ",
        "nan",
        "NaN",
        "inf",
        "-inf",
        "Infinity",
        "0x10",
        "1,5",
        "+1",
        "1.",
        ".5",
        "01",
        "1e",
        "1e+",
        "--1",
        "-",
        "21.5C",
        "2 1",
        "\"21\"",
        "true",
        "null",
        "[21]",
        "1_000",
        "1e5e5",
        "21.5.",
        "\xD9\xA1",
        "1e400",
        "99999999999999999999999999999e999999999999",
    };
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        struct outcome out = parse("temperature", good[i].payload);
        NOTE("'%s': %s", good[i].payload, out.why);
        CHECK_EQ(out.refusal, TELEMETRY_ACCEPTED);
        CHECK_EQ(out.count, 1);
        CHECK(out.reading[0].value == good[i].value);
        CHECK(!signbit(out.reading[0].value) || good[i].value < 0);
        CHECK_STR(out.reading[0].type, "temperature");
        CHECK_EQ(out.reading[0].at_ms, NOW);
        CHECK_EQ(out.reading[0].provenance, TELEMETRY_MEASURED);
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct outcome out = parse("temperature", bad[i]);
        NOTE("'%s': %s", bad[i], out.why);
        CHECK_EQ(out.refusal, TELEMETRY_BAD_NUMBER);
    }
    CHECK_EQ(parse_bytes("temperature", "21.5\0", 5).refusal, TELEMETRY_BAD_NUMBER);
    CHECK_EQ(parse_bytes("temperature", "21.5\0 9", 7).refusal, TELEMETRY_BAD_NUMBER);
}

TEST(numbers_are_those_of_strtod)
{
    struct rng rng;
    rng_init(&rng, 7);
    for (int i = 0; i < 20000; i++) {
        char text[64];
        double value;
        double wide = (rng_unit(&rng) - 0.5) * pow(10, (double)rng_below(&rng, 600) - 300);
        double sensor = (double)((int64_t)rng_below(&rng, 2000000) - 1000000) / 100.0;
        bool exact = i % 2 == 0;
        if (exact)
            snprintf(text, sizeof(text), "%.2f", sensor);
        else
            snprintf(text, sizeof(text), "%.*g", (int)rng_below(&rng, 17) + 1, wide);
        NOTE("%s", text);
        double expected = strtod(text, NULL);
        if (telemetry_number_parse(str_from(text), &value) != TELEMETRY_NUMBER_OK)
            kit_not_true("a number", __FILE__, __LINE__);
        if (exact)
            CHECK(value == expected);
        else
            CHECK(fabs(value - expected) <= fabs(expected) * 2.3e-16);
    }
    double value;
    CHECK_EQ(telemetry_number_parse(STR("1.7976931348623157e308"), &value), TELEMETRY_NUMBER_OK);
    CHECK_EQ(telemetry_number_parse(STR("1.8e308"), &value), TELEMETRY_NUMBER_TOO_LARGE);
    CHECK_EQ(telemetry_number_parse(STR("1e-999"), &value), TELEMETRY_NUMBER_OK);
    CHECK(value == 0);
}

TEST(ranges_of_known_types)
{
    static const struct {
        const char *type, *payload;
        enum telemetry_refusal refusal;
    } rows[] = {
        {"temperature", "-40", TELEMETRY_ACCEPTED},
        {"temperature", "85", TELEMETRY_ACCEPTED},
        {"temperature", "-40.1", TELEMETRY_OUT_OF_RANGE},
        {"temperature", "85.1", TELEMETRY_OUT_OF_RANGE},
        {"temperature", "1e30", TELEMETRY_OUT_OF_RANGE},
        {"humidity", "100.5", TELEMETRY_OUT_OF_RANGE},
        {"humidity", "-1", TELEMETRY_OUT_OF_RANGE},
        {"sound_volume", "1.01", TELEMETRY_OUT_OF_RANGE},
        {"position", "100", TELEMETRY_ACCEPTED},
        {"custom_thing", "-1e17", TELEMETRY_ACCEPTED},
        {"custom_thing", "1e19", TELEMETRY_OUT_OF_RANGE},
        {"custom_thing", "1e308", TELEMETRY_OUT_OF_RANGE},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        NOTE("%s %s", rows[i].type, rows[i].payload);
        CHECK_EQ(parse(rows[i].type, rows[i].payload).refusal, rows[i].refusal);
    }
    for (size_t i = 0; telemetry_type_at(i) != NULL; i++) {
        const struct telemetry_type *type = telemetry_type_at(i);
        char why[TELEMETRY_WHY_BYTES];
        CHECK(telemetry_type_find(str_from(type->name)) == type);
        CHECK_EQ(telemetry_type_check(str_from(type->name), why), TELEMETRY_ACCEPTED);
        CHECK(type->min < type->max);
    }
}

TEST(names_of_types)
{
    static const char *const bad[] = {"",
                                      "Temperature",
                                      "temp-1",
                                      "a b",
                                      "\xC3\xA4",
                                      "a/b",
                                      "a234567890123456789012345678901234"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        CHECK_EQ(parse(bad[i], "1").refusal, TELEMETRY_BAD_TYPE);
    CHECK_EQ(parse("a2345678901234567890123456789012", "1").refusal, TELEMETRY_ACCEPTED);
    CHECK_EQ(parse("_9", "1").refusal, TELEMETRY_ACCEPTED);
}

TEST(objects_with_a_value)
{
    struct outcome out = parse("temperature", "{\"value\": 21.5}");
    CHECK_EQ(out.refusal, TELEMETRY_ACCEPTED);
    CHECK(out.reading[0].value == 21.5);
    out = parse("temperature", " { \"at\" : \"2027-01-15T07:59:00.250Z\" , \"value\":-1e1,"
                               "\"provenance\":\"simulated\", \"unit\": \"C\" } ");
    CHECK_EQ(out.refusal, TELEMETRY_ACCEPTED);
    CHECK_EQ(out.reading[0].at_ms, NOW - 60000 + 250);
    CHECK_EQ(out.reading[0].provenance, TELEMETRY_SIMULATED);
    CHECK(out.reading[0].value == -10);
    CHECK_EQ(parse("co2", "{\"value\":1,\"at\":1799999990}").reading[0].at_ms, NOW - 10000);
    CHECK_EQ(parse("co2", "{\"value\":1,\"at\":1799999990.5}").reading[0].at_ms, NOW - 9500);
    CHECK_EQ(parse("co2", "{\"value\":1,\"at\":1799999990123}").reading[0].at_ms, NOW - 9877);
    CHECK_EQ(parse("co2", "{\"value\":1,\"at\":null}").reading[0].at_ms, NOW);
    CHECK_EQ(parse("co2", "{\"value\":1,\"at\":0}").reading[0].at_ms, NOW);
}

TEST(objects_that_are_refused)
{
    static const struct {
        const char *payload;
        enum telemetry_refusal refusal;
    } rows[] = {
        {"{}", TELEMETRY_BAD_JSON},
        {"{", TELEMETRY_BAD_JSON},
        {"{\"value\":}", TELEMETRY_BAD_JSON},
        {"{\"value\":1,}", TELEMETRY_BAD_JSON},
        {"{\"value\":1}}", TELEMETRY_BAD_JSON},
        {"{\"value\":1} x", TELEMETRY_BAD_JSON},
        {"{\"value\":1 \"at\":1}", TELEMETRY_BAD_JSON},
        {"{value:1}", TELEMETRY_BAD_JSON},
        {"{'value':1}", TELEMETRY_BAD_JSON},
        {"{\"value\":NaN}", TELEMETRY_BAD_JSON},
        {"{\"value\":nan}", TELEMETRY_BAD_JSON},
        {"{\"value\":Infinity}", TELEMETRY_BAD_JSON},
        {"{\"value\":01}", TELEMETRY_BAD_JSON},
        {"{\"value\":1e999}", TELEMETRY_BAD_NUMBER},
        {"{\"value\":\"21\"}", TELEMETRY_BAD_NUMBER},
        {"{\"value\":null}", TELEMETRY_BAD_NUMBER},
        {"{\"value\":true}", TELEMETRY_BAD_NUMBER},
        {"{\"value\":[1]}", TELEMETRY_BAD_JSON},
        {"{\"value\":{}}", TELEMETRY_BAD_JSON},
        {"{\"value\":1,\"value\":2}", TELEMETRY_BAD_JSON},
        {"{\"value\":1,\"at\":1799999990,\"at\":1799999991}", TELEMETRY_BAD_JSON},
        {"{\"value\":1,\"provenence\":\"simulated\"}", TELEMETRY_BAD_JSON},
        {"{\"value\":1,\"provenance\":\"guessed\"}", TELEMETRY_BAD_JSON},
        {"{\"value\":1,\"provenance\":1}", TELEMETRY_BAD_JSON},
        {"{\"value\":1,\"unit\":\"F\"}", TELEMETRY_BAD_JSON},
        {"{\"value\":1,\"at\":\"yesterday\"}", TELEMETRY_BAD_JSON},
        {"{\"value\":1,\"at\":-5}", TELEMETRY_BAD_JSON},
        {"{\"value\":1,\"at\":1e300}", TELEMETRY_BAD_JSON},
        {"{\"value\":1,\"at\":true}", TELEMETRY_BAD_JSON},
        {"{\"value\":1,\"at\":1800000301}", TELEMETRY_FUTURE},
        {"{\"value\":1,\"at\":\"2027-01-15T08:05:00.001Z\"}", TELEMETRY_FUTURE},
        {"{\"value\":1,\"at\":\"2027-01-15T08:05:00Z\"}", TELEMETRY_ACCEPTED},
        {"{\"value\":1,\"at\":\"1969-12-31T23:59:59Z\"}", TELEMETRY_TOO_OLD},
        {"{\"value\":86}", TELEMETRY_OUT_OF_RANGE},
        {"{\"temperature\":21}", TELEMETRY_BAD_JSON},
        {"{\"x\xFF\":1}", TELEMETRY_BAD_JSON},
        {"{\"x\ny\":1}", TELEMETRY_BAD_JSON},
        {"{\"x\\q\":1}", TELEMETRY_BAD_JSON},
        {"{\"x\\u12\":1}", TELEMETRY_BAD_JSON},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct outcome out = parse("temperature", rows[i].payload);
        NOTE("%s: %s", rows[i].payload, out.why);
        CHECK_EQ(out.refusal, rows[i].refusal);
        CHECK(utf8_valid(str_from(out.why)));
    }
}

TEST(readings_of_several_sensors)
{
    struct outcome out =
        parse("readings",
              "{\"temperature\":21.5,\"humidity\":40,\"co2\":null,\"provenance\":\"simulated\"}");
    CHECK_EQ(out.refusal, TELEMETRY_ACCEPTED);
    CHECK_EQ(out.count, 2);
    CHECK_STR(out.reading[0].type, "temperature");
    CHECK_STR(out.reading[1].type, "humidity");
    CHECK_EQ(out.reading[1].provenance, TELEMETRY_SIMULATED);
    CHECK_EQ(parse("readings", "{\"co2\":null}").refusal, TELEMETRY_BAD_JSON);
    CHECK_EQ(parse("readings", "{\"at\":1799999990}").refusal, TELEMETRY_BAD_JSON);
    CHECK_EQ(parse("readings", "21").refusal, TELEMETRY_BAD_JSON);
    CHECK_EQ(parse("readings", "{\"a\":1,\"a\":2}").refusal, TELEMETRY_BAD_JSON);
    CHECK_EQ(parse("readings", "{\"A\":1}").refusal, TELEMETRY_BAD_TYPE);
    CHECK_EQ(parse("readings", "{\"audio\":1}").refusal, TELEMETRY_BAD_TYPE);
    CHECK_EQ(parse("readings", "{\"readings\":1}").refusal, TELEMETRY_BAD_TYPE);
    CHECK_EQ(parse("readings", "{\"a\":\"1\"}").refusal, TELEMETRY_BAD_NUMBER);
    CHECK_EQ(parse("readings", "{\"temperature\":21,\"humidity\":140}").refusal,
             TELEMETRY_OUT_OF_RANGE);
    char many[512] = "{";
    for (int i = 0; i < TELEMETRY_READINGS_MAX; i++)
        snprintf(many + strlen(many), 32, "%s\"r%d\":%d", i > 0 ? "," : "", i, i);
    size_t len = strlen(many);
    many[len] = '}';
    CHECK_EQ(parse("readings", many).count, TELEMETRY_READINGS_MAX);
    snprintf(many + len, sizeof(many) - len, ",\"r16\":1}");
    CHECK_EQ(parse("readings", many).refusal, TELEMETRY_BAD_JSON);
}

/* No prefix of a good message is another good object, and none makes us read on. */
TEST(every_prefix)
{
    static const char *const whole[] = {
        "{\"value\": 21.5, \"at\": \"2027-01-15T08:00:00Z\", \"provenance\": \"measured\"}",
        "{\"value\":1,\"unit\":\"C\",\"at\":1799999990}",
    };
    for (size_t i = 0; i < ARRAY_COUNT(whole); i++) {
        CHECK_EQ(parse("temperature", whole[i]).refusal, TELEMETRY_ACCEPTED);
        for (size_t len = 1; len < strlen(whole[i]); len++)
            CHECK_EQ(parse_bytes("temperature", whole[i], len).refusal, TELEMETRY_BAD_JSON);
    }
    static const char several[] = "{\"a\":1,\"b\\u00e4\":2,\"provenance\":\"estimated\"}";
    for (size_t len = 0; len < sizeof(several); len++)
        (void)parse_bytes("readings", several, len);
}

/* A sentence is shown to people, so a hostile payload cannot write it. */
TEST(sentences_are_printable)
{
    struct outcome out = parse("readings", "{\"\xC3\xA4\x1b[31m\":1}");
    CHECK(out.refusal != TELEMETRY_ACCEPTED);
    for (const char *c = out.why; *c != '\0'; c++)
        CHECK(*c >= 0x20 && *c <= 0x7E);
    out = parse("temperature", "\x01\x02\xFF");
    for (const char *c = out.why; *c != '\0'; c++)
        CHECK(*c >= 0x20 && *c <= 0x7E);
}

TEST(names_of_resolutions_and_codes)
{
    enum telemetry_resolution resolution;
    for (int i = TELEMETRY_AUTO; i <= TELEMETRY_DAY; i++) {
        enum telemetry_resolution of = (enum telemetry_resolution)i;
        CHECK(telemetry_resolution_parse(str_from(telemetry_resolution_name(of)), &resolution));
        CHECK_EQ(resolution, of);
    }
    CHECK(!telemetry_resolution_parse(STR("2h"), &resolution));
    CHECK_STR(telemetry_refusal_code(TELEMETRY_FUTURE), "from_the_future");
    CHECK_STR(telemetry_refusal_code(TELEMETRY_TOO_MANY), "too_many_series");
    CHECK_STR(telemetry_provenance_name(TELEMETRY_ESTIMATED), "estimated");
}
