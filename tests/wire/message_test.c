/* Every message there and back, every prefix of it, every field with the wrong type. */
#include "kit/kit.h"
#include "wire/wire.h"

#include <stdio.h>
#include <string.h>

static char storage[16 * 1024];
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

/* A decoder as a plain function, so that all share the tests below. */
typedef enum err decode_fn(struct str body, struct wire_fault *ret_fault);

static enum err as_offer(struct str body, struct wire_fault *fault)
{
    struct wire_offer offer;
    return wire_offer_decode(body, &offer, fault);
}
static enum err as_report(struct str body, struct wire_fault *fault)
{
    struct wire_report report;
    return wire_report_decode(body, &report, fault);
}
static enum err as_answer(struct str body, struct wire_fault *fault)
{
    struct wire_answer answer;
    return wire_answer_decode(body, &answer, fault);
}
static enum err as_hello(struct str body, struct wire_fault *fault)
{
    struct wire_hello hello;
    return wire_hello_decode(body, &hello, fault);
}
static enum err as_welcome(struct str body, struct wire_fault *fault)
{
    struct wire_welcome welcome;
    return wire_welcome_decode(body, &welcome, fault);
}
static enum err as_progress(struct str body, struct wire_fault *fault)
{
    struct wire_progress progress;
    int32_t rows[64];
    return wire_progress_decode(body, rows, ARRAY_COUNT(rows), &progress, fault);
}
static enum err as_machine(struct str body, struct wire_fault *fault)
{
    struct wire_machine machine;
    return wire_machine_decode(body, &machine, fault);
}
static enum err as_problem(struct str body, struct wire_fault *fault)
{
    struct wire_problem problem;
    return wire_problem_decode(body, &problem, fault);
}

/* Only the whole is a message; nothing reads beyond its end. */
static void check_prefixes(decode_fn *decode)
{
    struct str body = written();
    for (size_t len = 0; len <= body.len; len++) {
        char *copy = kit_guard_page(body.at, len);
        CHECK_EQ(decode((struct str){copy, len}, NULL), len == body.len ? ERR_OK : ERR_INPUT);
        kit_free_guard(copy);
    }
}

TEST(offers)
{
    struct wire_offer offer = {.command_id = 123,
                               .uid = some_id(1),
                               .command = "brew",
                               .payload = STR("{\"volume_ml\":40}"),
                               .instructions = STR("{\"capsule_slot\":2}"),
                               .execute_allowed = true,
                               .running = true,
                               .has_claim = true,
                               .claim_id = some_id(9),
                               .max_duration_s = 180};
    struct wire_offer back;
    CHECK_OK(wire_offer_encode(&offer, fresh()));
    CHECK_OK(wire_offer_decode(written(), &back, NULL));
    CHECK_EQ(back.command_id, 123);
    CHECK(id128_equal(back.uid, offer.uid) && id128_equal(back.claim_id, offer.claim_id));
    CHECK_STR(back.command, "brew");
    CHECK_SLICE(back.payload, "{\"volume_ml\":40}");
    CHECK_SLICE(back.instructions, "{\"capsule_slot\":2}");
    CHECK(back.running && back.has_claim && back.execute_allowed);
    CHECK_EQ(back.max_duration_s, 180);
    check_prefixes(as_offer);
}

/* What is not plainly pending must never be taken for an offer. */
TEST(only_pending_is_an_offer)
{
    static const char *const states[] = {"running", "unknown", "held", "complete", "Pending", ""};
    struct wire_offer offer;
    for (size_t i = 0; i < ARRAY_COUNT(states); i++) {
        char body[256];
        (void)snprintf(body, sizeof(body),
                       "{\"command_id\":1,\"uid\":\"000102030405060708090a0b0c0d0e0f\","
                       "\"command\":\"brew\",\"payload\":{},\"state\":\"%s\"}",
                       states[i]);
        CHECK_OK(wire_offer_decode(str_from(body), &offer, NULL));
        CHECK(offer.running);
    }
}

TEST(an_offer_as_the_documents_show_it)
{
    struct wire_offer offer;
    CHECK_OK(wire_offer_decode(
        STR("{\"command_id\":123,\"uid\":\"000102030405060708090a0b0c0d0e0f\","
            "\"command\":\"brew\",\"recipe\":{\"volume_ml\":40},\"actuator_sequence\":{},"
            "\"execute_allowed\":false,\"meta\":{\"user_id\":456},\"not_after\":null,"
            "\"claim_id\":null,\"created_at\":\"2025-10-22T10:30:00Z\",\"new_field\":[1]}"),
        &offer, NULL));
    CHECK_SLICE(offer.payload, "{\"volume_ml\":40}");
    CHECK_SLICE(offer.instructions, "{}");
    CHECK(!offer.execute_allowed && !offer.running && !offer.has_claim);
}

TEST(reports)
{
    struct wire_report report = {.status = WIRE_FAILED,
                                 .has_claim = true,
                                 .claim_id = some_id(3),
                                 .journal_id = some_id(4),
                                 .uid = some_id(5),
                                 .reason = "pump_timeout",
                                 .warning = "eject_failed",
                                 .duration_ms = 31234,
                                 .number_count = 2,
                                 .number = {{"actual_volume_ml", 41200}, {"brew_ms", 30000000}},
                                 .sensors = STR("{\"home\":true}")};
    struct wire_report back;
    CHECK_OK(wire_report_encode(&report, fresh()));
    CHECK(strstr(storage, "\"actual_volume_ml\":41.2") != NULL);
    CHECK(strstr(storage, "\"error\":\"pump_timeout\"") != NULL);
    CHECK_OK(wire_report_decode(written(), &back, NULL));
    CHECK_EQ(back.status, WIRE_FAILED);
    CHECK(back.has_claim && id128_equal(back.claim_id, report.claim_id));
    CHECK(id128_equal(back.journal_id, report.journal_id));
    CHECK(id128_equal(back.uid, report.uid));
    CHECK_STR(back.reason, "pump_timeout");
    CHECK_STR(back.warning, "eject_failed");
    CHECK_EQ(back.duration_ms, 31234);
    CHECK_EQ(back.number_count, 2);
    CHECK_EQ(back.number[0].milli, 41200);
    CHECK_STR(back.number[1].name, "brew_ms");
    CHECK_SLICE(back.sensors, "{\"home\":true}");
    check_prefixes(as_report);
}

TEST(a_report_without_uid_says_none)
{
    struct wire_report report = {.status = WIRE_COMPLETE, .duration_ms = -1};
    struct wire_report back;
    CHECK_OK(wire_report_encode(&report, fresh()));
    CHECK(strstr(storage, "uid") == NULL);
    CHECK_OK(wire_report_decode(written(), &back, NULL));
    CHECK(id128_is_zero(back.uid));
}

TEST(answers)
{
    struct wire_answer answer = {.command_id = 7,
                                 .granted = true,
                                 .start_within_ms = -5,
                                 .max_duration_s = 180,
                                 .stop = true};
    struct wire_answer back;
    CHECK_OK(wire_answer_encode(&answer, fresh()));
    CHECK_OK(wire_answer_decode(written(), &back, NULL));
    CHECK(back.granted && back.stop);
    CHECK_EQ(back.start_within_ms, -5);
    CHECK_EQ(back.max_duration_s, 180);
    check_prefixes(as_answer);
    /* One deadline alone is no grant. */
    CHECK_OK(
        wire_answer_decode(STR("{\"status\":\"updated\",\"start_within_ms\":5}"), &back, NULL));
    CHECK(!back.granted);
    CHECK_OK(wire_answer_decode(STR("{\"status\":\"updated\",\"max_duration_s\":5}"), &back, NULL));
    CHECK(!back.granted);
}

TEST(hellos)
{
    struct wire_hello hello = {
        .boot_id = some_id(1),
        .journal_id = some_id(2),
        .firmware = "automat/1",
        .capabilities = STR("{\"brew\":true}"),
        .entry_count = 2,
        .entry = {{some_id(3), some_id(4), 11, false}, {some_id(5), some_id(6), 12, true}}};
    struct wire_hello back;
    CHECK_OK(wire_hello_encode(&hello, fresh()));
    CHECK_OK(wire_hello_decode(written(), &back, NULL));
    CHECK_EQ(back.entry_count, 2);
    CHECK(!back.entry[0].done && back.entry[1].done);
    CHECK_EQ(back.entry[1].command_id, 12);
    CHECK(id128_equal(back.entry[0].claim_id, hello.entry[0].claim_id));
    CHECK_SLICE(back.capabilities, "{\"brew\":true}");
    check_prefixes(as_hello);
}

TEST(welcomes)
{
    struct wire_welcome welcome = {.admission = WIRE_BLOCKED,
                                   .config = STR("{\"model\":\"both\"}"),
                                   .has_running = true,
                                   .running_command_id = 5,
                                   .running_uid = some_id(1),
                                   .running_claim_id = some_id(2)};
    struct wire_welcome back;
    CHECK_OK(wire_welcome_encode(&welcome, fresh()));
    CHECK_OK(wire_welcome_decode(written(), &back, NULL));
    CHECK_EQ(back.admission, WIRE_BLOCKED);
    CHECK(back.has_running && id128_equal(back.running_claim_id, welcome.running_claim_id));
    check_prefixes(as_welcome);
    CHECK_OK(wire_welcome_decode(STR("{\"admission\":\"waiting\"}"), &back, NULL));
    CHECK(back.admission == WIRE_WAITING && !back.has_running && back.config.at == NULL);
    CHECK_ERR(wire_welcome_decode(STR("{\"admission\":\"maybe\"}"), &back, NULL), ERR_INPUT);
}

TEST(progress_with_a_curve)
{
    const int32_t rows[] = {0, 91900, 0, 100, 92000, 9000};
    struct wire_progress progress = {.claim_id = some_id(1),
                                     .step = "brewing",
                                     .column_count = 2,
                                     .column = {"temperature_c", "pressure_bar"},
                                     .sample_count = 2,
                                     .samples = rows};
    struct wire_progress back;
    int32_t got[8];
    CHECK_OK(wire_progress_encode(&progress, fresh()));
    CHECK(strstr(storage, "[\"t_ms\",\"temperature_c\",\"pressure_bar\"]") != NULL);
    CHECK(strstr(storage, "[[0,91.9,0],[100,92,9]]") != NULL);
    CHECK_OK(wire_progress_decode(written(), got, ARRAY_COUNT(got), &back, NULL));
    CHECK_EQ(back.sample_count, 2);
    CHECK_EQ(back.column_count, 2);
    CHECK_BYTES(got, rows, sizeof(rows));
    CHECK_ERR(wire_progress_decode(written(), got, 5, &back, NULL), ERR_FULL);
    check_prefixes(as_progress);
}

TEST(machines_and_problems)
{
    struct wire_machine machine = {
        .step = "idle", .sensors = STR("{\"home\":true}"), .faults = STR("[\"water_low\"]")};
    struct wire_machine back;
    struct wire_problem problem = {.code = "claim_mismatch"};
    struct wire_problem code;
    CHECK_OK(wire_machine_encode(&machine, fresh()));
    CHECK_OK(wire_machine_decode(written(), &back, NULL));
    CHECK_STR(back.step, "idle");
    CHECK_SLICE(back.faults, "[\"water_low\"]");
    check_prefixes(as_machine);
    CHECK_OK(wire_problem_encode(&problem, 409, fresh()));
    CHECK_OK(wire_problem_decode(written(), &code, NULL));
    CHECK_STR(code.code, "claim_mismatch");
    check_prefixes(as_problem);
}

/* Swaps every value of a message, one after the other, for one of another type. */
TEST(wrong_types_are_faults_with_a_place)
{
    static const struct {
        decode_fn *decode;
        const char *body, *field;
    } bad[] = {
        {as_offer, "[]", NULL},
        {as_offer, "{}", "command_id"},
        {as_offer, "{\"command_id\":\"1\"}", "command_id"},
        {as_offer, "{\"command_id\":-1}", "command_id"},
        {as_offer, "{\"command_id\":1,\"uid\":5}", "uid"},
        {as_offer, "{\"command_id\":1,\"uid\":\"xyz\"}", "uid"},
        {as_offer,
         "{\"command_id\":1,\"uid\":\"000102030405060708090a0b0c0d0e0f\",\"command\":\"b\"}",
         "payload"},
        {as_offer,
         "{\"command_id\":1,\"uid\":\"000102030405060708090a0b0c0d0e0f\",\"command\":\"b\","
         "\"payload\":[]}",
         "payload"},
        {as_offer,
         "{\"command_id\":1,\"uid\":\"000102030405060708090a0b0c0d0e0f\",\"command\":\"b\","
         "\"payload\":{},\"execute_allowed\":\"yes\"}",
         "execute_allowed"},
        {as_offer,
         "{\"command_id\":1,\"uid\":\"000102030405060708090a0b0c0d0e0f\",\"command\":\"b\","
         "\"payload\":{},\"claim_id\":\"\"}",
         "claim_id"},
        {as_report, "{\"status\":\"done\"}", "status"},
        {as_report, "{\"status\":\"failed\",\"uid\":\"17\"}", "uid"},
        {as_report, "{\"status\":\"failed\",\"meta\":[]}", "meta"},
        {as_report, "{\"status\":\"failed\",\"meta\":{\"error\":5}}", "error"},
        {as_report, "{\"status\":\"failed\",\"meta\":{\"duration_ms\":-1}}", "duration_ms"},
        {as_report, "{\"status\":\"failed\",\"meta\":{\"v\":1e300}}", "meta"},
        {as_answer, "{\"status\":\"updated\",\"max_duration_s\":86401}", "max_duration_s"},
        {as_answer, "{\"status\":\"updated\",\"max_duration_s\":-1}", "max_duration_s"},
        {as_answer, "{\"status\":\"updated\",\"start_within_ms\":1.5}", "start_within_ms"},
        {as_answer, "{\"status\":\"updated\",\"stop\":1}", "stop"},
        {as_hello, "{\"boot_id\":1}", "boot_id"},
        {as_welcome, "{\"admission\":\"admitted\",\"running\":true}", "running"},
        {as_welcome, "{\"admission\":\"admitted\",\"config\":[]}", "config"},
        {as_progress, "{\"claim_id\":\"000102030405060708090a0b0c0d0e0f\",\"columns\":[\"x\"]}",
         "columns"},
        {as_progress,
         "{\"claim_id\":\"000102030405060708090a0b0c0d0e0f\",\"columns\":[\"t_ms\",\"x\"],"
         "\"samples\":[[1]]}",
         "samples"},
        {as_progress,
         "{\"claim_id\":\"000102030405060708090a0b0c0d0e0f\",\"columns\":[\"t_ms\"],"
         "\"samples\":[[1,2]]}",
         "samples"},
        {as_progress,
         "{\"claim_id\":\"000102030405060708090a0b0c0d0e0f\",\"columns\":[\"t_ms\"],"
         "\"samples\":[[1.5]]}",
         "samples"},
        {as_machine, "{\"step\":\"idle\",\"sensors\":7}", "sensors"},
        {as_problem, "{\"code\":404}", "code"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct wire_fault fault = {0};
        NOTE("%s", bad[i].body);
        CHECK_ERR(bad[i].decode(str_from(bad[i].body), &fault), ERR_INPUT);
        CHECK_STR(fault.field, bad[i].field);
        CHECK(fault.why != NULL);
    }
}

TEST(a_message_that_does_not_fit_says_so)
{
    struct wire_report report = {.status = WIRE_COMPLETE, .duration_ms = 1};
    char small[24];
    struct text out;
    text_init(&out, small, sizeof(small));
    CHECK_ERR(wire_report_encode(&report, &out), ERR_FULL);
}

TEST(paths)
{
    wire_path_check(fresh(), STR("m1"), 0);
    CHECK_STR(storage, "/api/commands/check/m1");
    wire_path_check(fresh(), STR("m1"), 25);
    CHECK_STR(storage, "/api/commands/check/m1?wait=25");
    wire_path_update(fresh(), 18446744073709551615u);
    CHECK_STR(storage, "/api/commands/update/18446744073709551615");
    wire_path_progress(fresh(), 4);
    CHECK_STR(storage, "/api/commands/progress/4");
    wire_path_hello(fresh(), STR("m1"));
    CHECK_STR(storage, "/api/machines/m1/hello");
    wire_path_machine(fresh(), STR("m1"));
    CHECK_STR(storage, "/api/machines/m1/progress");
}
