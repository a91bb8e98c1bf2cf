/* The messages and topics of the MQTT road: there and back, every prefix before an unreadable page,
 * and what must never be taken for a grant. */
#include "kit/kit.h"
#include "wire/wire.h"

#include <stdio.h>
#include <string.h>

static char storage[8 * 1024];
static struct text text;

static struct text *fresh(void)
{
    text_init(&text, storage, sizeof(storage));
    return &text;
}

static struct str written(void)
{
    return (struct str){text.at, text.len};
}

static struct id128 some_id(uint8_t first)
{
    struct id128 id;
    for (unsigned i = 0; i < 16; i++)
        id.byte[i] = (uint8_t)(first + i);
    return id;
}

typedef enum err decode_fn(struct str body, struct wire_fault *ret_fault);

static enum err as_claim(struct str body, struct wire_fault *fault)
{
    struct wire_claim claim;
    return wire_claim_decode(body, &claim, fault);
}
static enum err as_result(struct str body, struct wire_fault *fault)
{
    struct wire_claim_result result;
    return wire_claim_result_decode(body, &result, fault);
}
static enum err as_stop(struct str body, struct wire_fault *fault)
{
    struct wire_stop stop;
    return wire_stop_decode(body, &stop, fault);
}
static enum err as_state(struct str body, struct wire_fault *fault)
{
    struct wire_state state;
    return wire_state_decode(body, &state, fault);
}
static enum err as_control(struct str body, struct wire_fault *fault)
{
    struct wire_control control;
    return wire_control_decode(body, &control, fault);
}
static enum err as_inference(struct str body, struct wire_fault *fault)
{
    struct wire_inference inference;
    return wire_inference_decode(body, &inference, fault);
}

static void check_prefixes(decode_fn *decode)
{
    struct str body = written();
    for (size_t len = 0; len <= body.len; len++) {
        char *copy = kit_guard_page(body.at, len);
        CHECK_EQ(decode((struct str){copy, len}, NULL), len == body.len ? ERR_OK : ERR_INPUT);
        kit_free_guard(copy);
    }
}

/* An encoder says that its message did not fit; it never writes a part of it and says it did. */
static void check_no_room(enum err (*encode)(struct text *into))
{
    char small[8 * 1024];
    struct text into;
    CHECK_OK(encode(fresh()));
    size_t len = written().len;
    for (size_t room = 1; room <= len; room++) {
        text_init(&into, small, room);
        CHECK_EQ(encode(&into), ERR_FULL);
    }
    text_init(&into, small, len + 1);
    CHECK_OK(encode(&into));
}

static const struct wire_claim a_claim = {.command_id = 7,
                                          .uid = {{1}},
                                          .claim_id = {{2}},
                                          .journal_id = {{3}},
                                          .sensors = STR_INIT("{\"water_ml\":500}")};

static enum err encode_claim(struct text *into)
{
    return wire_claim_encode(&a_claim, into);
}

TEST(claims)
{
    struct wire_claim back;
    check_no_room(encode_claim);
    CHECK_OK(encode_claim(fresh()));
    CHECK_OK(wire_claim_decode(written(), &back, NULL));
    CHECK_EQ(back.command_id, 7);
    CHECK(id128_equal(back.uid, a_claim.uid) && id128_equal(back.claim_id, a_claim.claim_id) &&
          id128_equal(back.journal_id, a_claim.journal_id));
    CHECK_SLICE(back.sensors, "{\"water_ml\":500}");
    check_prefixes(as_claim);
}

TEST(a_claim_needs_every_id)
{
    static const char *const bad[] = {
        "{}",
        "{\"command_id\":1}",
        "{\"command_id\":-1,\"uid\":\"01000000000000000000000000000000\","
        "\"claim_id\":\"01000000000000000000000000000000\","
        "\"journal_id\":\"01000000000000000000000000000000\"}",
        "{\"command_id\":1,\"uid\":\"01\",\"claim_id\":\"01000000000000000000000000000000\","
        "\"journal_id\":\"01000000000000000000000000000000\"}",
        "{\"command_id\":1,\"uid\":\"01000000000000000000000000000000\","
        "\"claim_id\":\"01000000000000000000000000000000\"}",
        "[1]",
    };
    struct wire_claim claim = {.command_id = 99};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        CHECK_EQ(wire_claim_decode(str_from(bad[i]), &claim, NULL), ERR_INPUT);
    CHECK_EQ(claim.command_id, 99); /* untouched */
}

static const struct wire_claim_result a_grant = {.command_id = 7,
                                                 .uid = {{1}},
                                                 .claim_id = {{2}},
                                                 .granted = true,
                                                 .start_within_ms = 15000,
                                                 .max_duration_s = 180,
                                                 .stop = true};

static enum err encode_grant(struct text *into)
{
    return wire_claim_result_encode(&a_grant, into);
}

TEST(grants)
{
    struct wire_claim_result back;
    check_no_room(encode_grant);
    CHECK_OK(encode_grant(fresh()));
    CHECK_OK(wire_claim_result_decode(written(), &back, NULL));
    CHECK(back.granted && back.stop);
    CHECK_EQ(back.start_within_ms, 15000);
    CHECK_EQ(back.max_duration_s, 180);
    CHECK(id128_equal(back.uid, a_grant.uid) && id128_equal(back.claim_id, a_grant.claim_id));
    check_prefixes(as_result);
}

TEST(refusals)
{
    struct wire_claim_result refusal = {.command_id = 7, .code = "claim_mismatch"}, back;
    CHECK_OK(wire_claim_result_encode(&refusal, fresh()));
    CHECK_OK(wire_claim_result_decode(written(), &back, NULL));
    CHECK(!back.granted);
    CHECK_STR(back.code, "claim_mismatch");
    check_prefixes(as_result);
}

/* Wire rule 5. */
TEST(only_a_grant_with_both_deadlines_is_one)
{
    static const char *const parts[] = {
        "\"granted\":true",
        "\"granted\":true,\"start_within_ms\":15000",
        "\"granted\":true,\"max_duration_s\":30",
        "\"granted\":true,\"start_within_ms\":null,\"max_duration_s\":30",
        "\"granted\":true,\"start_within_ms\":1.5,\"max_duration_s\":30",
        "\"granted\":true,\"start_within_ms\":15000,\"max_duration_s\":-30",
        "\"granted\":true,\"start_within_ms\":15000,\"max_duration_s\":86401",
        "\"granted\":\"true\",\"start_within_ms\":15000,\"max_duration_s\":30",
        "\"granted\":1,\"start_within_ms\":15000,\"max_duration_s\":30",
        "\"start_within_ms\":15000,\"max_duration_s\":30",
        "\"granted\":false,\"start_within_ms\":15000,\"max_duration_s\":30",
    };
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        char body[400];
        struct wire_claim_result back = {.granted = false};
        (void)snprintf(body, sizeof(body),
                       "{\"command_id\":1,\"uid\":\"000102030405060708090a0b0c0d0e0f\","
                       "\"claim_id\":\"000102030405060708090a0b0c0d0e0f\",%s}",
                       parts[i]);
        (void)!wire_claim_result_decode(str_from(body), &back, NULL);
        NOTE("%s", parts[i]);
        CHECK(!back.granted);
    }
}

TEST(stops)
{
    struct wire_stop stop = {.command_id = 9, .uid = some_id(1), .claim_id = some_id(2)}, back;
    CHECK_OK(wire_stop_encode(&stop, fresh()));
    CHECK_OK(wire_stop_decode(written(), &back, NULL));
    CHECK_EQ(back.command_id, 9);
    CHECK(id128_equal(back.claim_id, stop.claim_id));
    check_prefixes(as_stop);
    stop.claim_id = (struct id128){{0}};
    CHECK_OK(wire_stop_encode(&stop, fresh()));
    CHECK_OK(wire_stop_decode(written(), &back, NULL));
    CHECK(id128_is_zero(back.claim_id));
}

TEST(states)
{
    struct wire_state state = {.online = true, .step = "idle", .sensors = STR("{}")}, back;
    CHECK_OK(wire_state_encode(&state, fresh()));
    CHECK_OK(wire_state_decode(written(), &back, NULL));
    CHECK(back.online);
    CHECK_STR(back.step, "idle");
    check_prefixes(as_state);
    CHECK_OK(wire_state_encode(&(struct wire_state){.online = false}, fresh()));
    CHECK_SLICE(written(), "{\"state\":\"offline\"}");
    CHECK_OK(wire_state_decode(written(), &back, NULL));
    CHECK(!back.online);
    CHECK_EQ(wire_state_decode(STR("{\"state\":\"perhaps\"}"), &back, NULL), ERR_INPUT);
}

TEST(controls)
{
    struct wire_control control = {.position_milli = 42500,
                                   .has_confidence = true,
                                   .confidence_milli = 870,
                                   .command_id = 12},
                        back;
    CHECK_OK(wire_control_encode(&control, fresh()));
    CHECK_SLICE(written(), "{\"position\":42.5,\"confidence\":0.87,\"command_id\":12}");
    CHECK_OK(wire_control_decode(written(), &back, NULL));
    CHECK_EQ(back.position_milli, 42500);
    CHECK_EQ(back.confidence_milli, 870);
    CHECK_EQ(back.command_id, 12);
    check_prefixes(as_control);
    /* As an older service writes it. */
    CHECK_OK(wire_control_decode(STR("{\"position\": 1e1, \"confidence\": 1}"), &back, NULL));
    CHECK_EQ(back.position_milli, 10000);
    CHECK_EQ(back.command_id, 0);
    CHECK_STR(back.request_id, "");
    control = (struct wire_control){.position_milli = 1000, .request_id = "r-1"};
    CHECK_OK(wire_control_encode(&control, fresh()));
    CHECK_SLICE(written(), "{\"position\":1,\"request_id\":\"r-1\"}");
    CHECK_OK(wire_control_decode(written(), &back, NULL));
    CHECK_STR(back.request_id, "r-1");
    check_prefixes(as_control);
    static const char *const bad[] = {"{\"position\":100.001}",
                                      "{\"position\":-1}",
                                      "{\"position\":\"10\"}",
                                      "{\"confidence\":0.5}",
                                      "{\"position\":NaN}",
                                      "{\"position\":1e400}",
                                      "{\"position\":5,\"request_id\":7}",
                                      "{\"position\":5,\"confidence\":1.5}"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        CHECK_EQ(wire_control_decode(str_from(bad[i]), &back, NULL), ERR_INPUT);
}

TEST(inferences)
{
    struct wire_inference asked = {.device_id = "window-1",
                                   .temperature_micro = 21500000,
                                   .humidity_micro = 40250000,
                                   .sound_micro = 12345,
                                   .at_ms = 1700000000250,
                                   .request_id = "r-1"},
                          back;
    CHECK_OK(wire_inference_encode(&asked, fresh()));
    CHECK_SLICE(written(), "{\"device_id\":\"window-1\",\"temp\":21.5,\"humidity\":40.25,"
                           "\"sound_volume\":0.012345,\"volume\":0.012345,"
                           "\"ts\":1700000000.25,\"request_id\":\"r-1\"}");
    CHECK_OK(wire_inference_decode(written(), &back, NULL));
    CHECK_EQ(back.sound_micro, 12345);
    CHECK_EQ(back.at_ms, 1700000000250);
    CHECK_STR(back.request_id, "r-1");
    check_prefixes(as_inference);
    CHECK_OK(wire_inference_decode(
        STR("{\"device_id\":\"w\",\"temp\":-3,\"humidity\":0,\"volume\":0.5}"), &back, NULL));
    CHECK_EQ(back.sound_micro, 500000);
}

/* What a path says over HTTP is a field over MQTT. */
TEST(numbers_of_commands_as_fields)
{
    struct wire_report report = {.status = WIRE_COMPLETE, .command_id = 5, .duration_ms = 10}, back;
    CHECK_OK(wire_report_encode(&report, fresh()));
    CHECK_OK(wire_report_decode(written(), &back, NULL));
    CHECK_EQ(back.command_id, 5);
    CHECK_SLICE(back.meta, "{\"duration_ms\":10}");

    report.command_id = 0;
    char plain[512];
    struct text body;
    text_init(&body, plain, sizeof(plain));
    CHECK_OK(wire_report_encode(&report, &body));
    CHECK_OK(wire_add_command_id((struct str){body.at, body.len}, 6, fresh()));
    CHECK_OK(wire_report_decode(written(), &back, NULL));
    CHECK_EQ(back.command_id, 6);
    CHECK_OK(wire_add_command_id(STR("{}"), 6, fresh()));
    CHECK_SLICE(written(), "{\"command_id\":6}");

    struct wire_offer offer = {.command_id = 1,
                               .uid = some_id(1),
                               .command = "brew",
                               .running = true,
                               .journal_id = some_id(4)},
                      offer_back;
    CHECK_OK(wire_offer_encode(&offer, fresh()));
    CHECK_OK(wire_offer_decode(written(), &offer_back, NULL));
    CHECK(id128_equal(offer_back.journal_id, offer.journal_id));

    struct wire_welcome welcome = {.admission = WIRE_WAITING, .boot_id = some_id(5)}, welcome_back;
    CHECK_OK(wire_welcome_encode(&welcome, fresh()));
    CHECK_OK(wire_welcome_decode(written(), &welcome_back, NULL));
    CHECK(id128_equal(welcome_back.boot_id, welcome.boot_id));
}

TEST(every_topic_there_and_back)
{
    for (unsigned i = 0; i < WIRE_TOPIC_COUNT; i++) {
        enum wire_topic topic = WIRE_TOPIC_COUNT;
        struct str machine_id, type;
        wire_topic_add(fresh(), (enum wire_topic)i, STR("espresso-1"), STR("temperature"));
        CHECK(!text.overflow && text.len < WIRE_TOPIC_BYTES);
        char *copy = kit_guard_page(text.at, text.len);
        CHECK(wire_topic_read((struct str){copy, text.len}, &topic, &machine_id, &type));
        CHECK_EQ(topic, i);
        CHECK_SLICE(machine_id, "espresso-1");
        if (topic == WIRE_TOPIC_SENSOR)
            CHECK_SLICE(type, "temperature");
        kit_free_guard(copy);
    }
}

TEST(topics_of_others)
{
    static const char *const others[] = {
        "",
        "machines",
        "machines/",
        "machines//offer",
        "machines/a",
        "machines/a/",
        "machines/a/offers",
        "machines/a/offer/",
        "machines/a/claim/results",
        "machines/../hello",
        "machines/a b/hello",
        "Machines/a/hello",
        "sensor/a",
        "sensor/a/",
        "sensor/a/b/c",
        "window/a/position",
        "ml/inference/request/",
        "ml/inference/request/a/b",
        "$SYS/broker",
    };
    enum wire_topic topic = WIRE_TOPIC_COUNT;
    struct str machine_id;
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        char *copy = kit_guard_page(others[i], strlen(others[i]));
        NOTE("%s", others[i]);
        CHECK(!wire_topic_read((struct str){copy, strlen(others[i])}, &topic, &machine_id, NULL));
        kit_free_guard(copy);
    }
    CHECK_EQ(topic, WIRE_TOPIC_COUNT);
}
