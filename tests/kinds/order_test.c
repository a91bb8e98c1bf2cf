/* Every way in which an espresso order can be wrong is named with the field at fault. */
#include "kinds/kinds.h"
#include "kit/kit.h"

#include <string.h>

struct outcome {
    enum err err;
    struct kinds_accepted accepted;
    struct kinds_refusal refusal;
    struct arena scratch;
};

/* JSON's quotes are written as ' here, so that the tables can be read. */
static json_t *parse(const char *text)
{
    char buffer[2048];
    size_t len = strlen(text);
    CHECK(len < sizeof(buffer));
    for (size_t i = 0; i <= len; i++)
        buffer[i] = text[i] == '\'' ? '"' : text[i];
    json_t *value = json_loads(buffer, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    CHECK(value != NULL);
    return value;
}

static struct outcome check_with(const char *recipe, const char *instructions, const char *config)
{
    struct outcome outcome = {.refusal = {.code = "none"}};
    const struct kinds_kind *kind = kinds_find(STR("espresso"));
    CHECK(kind != NULL);
    json_t *payload = parse(recipe);
    json_t *block = instructions != NULL ? parse(instructions) : NULL;
    json_t *machine = config != NULL ? parse(config) : NULL;
    struct kinds_order order = {.command = kinds_command_find(kind, STR("brew")),
                                .payload = payload,
                                .instructions = block,
                                .config = machine,
                                .payload_name = "recipe",
                                .instructions_name = "actuator_sequence"};
    arena_init(&outcome.scratch, 64 * KIB);
    outcome.err = kind->check(&order, &outcome.scratch, &outcome.accepted, &outcome.refusal);
    json_decref(payload);
    json_decref(block);
    json_decref(machine);
    return outcome;
}

static void refused(const char *recipe, const char *instructions, enum err err, const char *code,
                    const char *field)
{
    NOTE("%s %s", recipe, instructions != NULL ? instructions : "");
    struct outcome outcome = check_with(recipe, instructions, NULL);
    CHECK_ERR(outcome.err, err);
    CHECK_STR(outcome.refusal.code, code);
    CHECK_STR(outcome.refusal.field, field);
    CHECK(outcome.refusal.sentence[0] != 0);
    arena_finish(&outcome.scratch);
}

static void accepted(const char *recipe, const char *config, const char *payload, size_t warnings)
{
    NOTE("%s", recipe);
    struct outcome outcome = check_with(recipe, NULL, config);
    CHECK_OK(outcome.err);
    CHECK_SLICE(outcome.accepted.payload, payload);
    CHECK_EQ(outcome.accepted.warning_count, warnings);
    CHECK(outcome.accepted.instructions.at == NULL);
    arena_finish(&outcome.scratch);
}

#define FULL                                                                                       \
    "'volume_ml':40,'temperature_c':92,'pre_infusion_ms':300,'capsule_type':'original',"           \
    "'capsule_variant':'espresso'"

TEST(a_recipe_is_written_out_in_full)
{
    accepted("{" FULL "}", NULL,
             "{\"volume_ml\":40,\"temperature_c\":92,\"pre_infusion_ms\":300,\"capsule_type\":"
             "\"original\",\"capsule_variant\":\"espresso\"}",
             0);
    accepted("{'volume_ml':40.0,'temperature_c':92.5}", NULL,
             "{\"volume_ml\":40,\"temperature_c\":92.5,\"pre_infusion_ms\":300,\"capsule_type\":"
             "\"original\"}",
             0);
    accepted("{'volume_ml':40,'capsule_variant':'ESPRESSO'}", NULL,
             "{\"volume_ml\":40,\"temperature_c\":92,\"pre_infusion_ms\":300,\"capsule_type\":"
             "\"original\",\"capsule_variant\":\"espresso\"}",
             0);
}

TEST(an_unusual_volume_only_warns)
{
    accepted("{'volume_ml':80,'capsule_variant':'espresso'}", NULL,
             "{\"volume_ml\":80,\"temperature_c\":92,\"pre_infusion_ms\":300,\"capsule_type\":"
             "\"original\",\"capsule_variant\":\"espresso\"}",
             1);
}

TEST(every_bound_is_kept_on_both_sides)
{
    static const struct {
        const char *inside, *outside, *field;
    } rows[] = {
        {"'volume_ml':15", "'volume_ml':14", "recipe.volume_ml"},
        {"'volume_ml':150", "'volume_ml':151", "recipe.volume_ml"},
        {"'volume_ml':40,'temperature_c':60", "'volume_ml':40,'temperature_c':59.999",
         "recipe.temperature_c"},
        {"'volume_ml':40,'temperature_c':96", "'volume_ml':40,'temperature_c':96.001",
         "recipe.temperature_c"},
        {"'volume_ml':40,'pre_infusion_ms':0", "'volume_ml':40,'pre_infusion_ms':-1",
         "recipe.pre_infusion_ms"},
        {"'volume_ml':40,'pre_infusion_ms':10000", "'volume_ml':40,'pre_infusion_ms':10001",
         "recipe.pre_infusion_ms"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char recipe[256];
        (void)snprintf(recipe, sizeof(recipe), "{%s}", rows[i].inside);
        struct outcome outcome = check_with(recipe, NULL, NULL);
        NOTE("%s", recipe);
        CHECK_OK(outcome.err);
        arena_finish(&outcome.scratch);
        (void)snprintf(recipe, sizeof(recipe), "{%s}", rows[i].outside);
        refused(recipe, NULL, ERR_REFUSED, "out_of_limits", rows[i].field);
    }
}

TEST(numbers_that_cannot_be_meant)
{
    refused("{'volume_ml':1e300}", NULL, ERR_REFUSED, "out_of_limits", "recipe.volume_ml");
    refused("{'volume_ml':-1e300}", NULL, ERR_REFUSED, "out_of_limits", "recipe.volume_ml");
    refused("{'volume_ml':9223372036854775807}", NULL, ERR_REFUSED, "out_of_limits",
            "recipe.volume_ml");
    refused("{'volume_ml':40,'temperature_c':-900}", NULL, ERR_REFUSED, "out_of_limits",
            "recipe.temperature_c");
    refused("{'volume_ml':40,'temperature_c':1e308}", NULL, ERR_REFUSED, "out_of_limits",
            "recipe.temperature_c");
    refused("{'volume_ml':40.5}", NULL, ERR_INPUT, "wrong_type", "recipe.volume_ml");
}

TEST(vertuo_has_its_own_volumes_and_machines)
{
    struct outcome outcome =
        check_with("{'volume_ml':230,'capsule_type':'vertuo'}", NULL, "{'model':'both'}");
    CHECK_OK(outcome.err);
    arena_finish(&outcome.scratch);
    outcome = check_with("{'volume_ml':39,'capsule_type':'vertuo'}", NULL, "{'model':'both'}");
    CHECK_ERR(outcome.err, ERR_REFUSED);
    CHECK_STR(outcome.refusal.code, "out_of_limits");
    arena_finish(&outcome.scratch);
    refused("{'volume_ml':230,'capsule_type':'vertuo'}", NULL, ERR_REFUSED, "capsule_mismatch",
            "recipe.capsule_type");
}

TEST(types_and_names_are_exact)
{
    refused("{'volume_ml':'lots'}", NULL, ERR_INPUT, "wrong_type", "recipe.volume_ml");
    refused("{'volume_ml':true}", NULL, ERR_INPUT, "wrong_type", "recipe.volume_ml");
    refused("{'volume_ml':[40]}", NULL, ERR_INPUT, "wrong_type", "recipe.volume_ml");
    refused("{'volume_ml':null}", NULL, ERR_INPUT, "wrong_type", "recipe.volume_ml");
    refused("{'volume_ml':40,'temperature_c':'92'}", NULL, ERR_INPUT, "wrong_type",
            "recipe.temperature_c");
    refused("{'volume_ml':40,'capsule_type':1}", NULL, ERR_INPUT, "wrong_type",
            "recipe.capsule_type");
    refused("{'volume_ml':40,'capsule_type':'Dolce'}", NULL, ERR_REFUSED, "out_of_limits",
            "recipe.capsule_type");
    refused("{'volume_ml':40,'capsule_variant':'a\\u0001b'}", NULL, ERR_REFUSED, "out_of_limits",
            "recipe.capsule_variant");
    refused("{'volume_ml':40,'capsule_variant':"
            "'abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz'}",
            NULL, ERR_INPUT, "bad_value", "recipe.capsule_variant");
    refused("{}", NULL, ERR_INPUT, "missing_field", "recipe.volume_ml");
    refused("{" FULL ",'temprature_c':92}", NULL, ERR_INPUT, "unknown_field",
            "recipe.temprature_c");
    refused("[]", NULL, ERR_INPUT, "wrong_type", "recipe");
}

TEST(a_long_foreign_name_is_cut_not_overrun)
{
    char recipe[1024] = "{'volume_ml':40,'";
    memset(recipe + strlen(recipe), 'x', 500);
    (void)snprintf(recipe + strlen(recipe), 8, "':1}");
    struct outcome outcome = check_with(recipe, NULL, NULL);
    CHECK_ERR(outcome.err, ERR_INPUT);
    CHECK_STR(outcome.refusal.code, "unknown_field");
    CHECK(strlen(outcome.refusal.field) < KINDS_FIELD_BYTES);
    arena_finish(&outcome.scratch);
}

TEST(instructions_are_named_as_the_body_named_them)
{
    static const char recipe[] = "{'volume_ml':40}";
    refused(recipe, "{'capsule_slot':0}", ERR_REFUSED, "out_of_limits",
            "actuator_sequence.capsule_slot");
    refused(recipe, "{'capsule_slot':9}", ERR_REFUSED, "out_of_limits",
            "actuator_sequence.capsule_slot");
    refused(recipe, "{'slot':2}", ERR_INPUT, "unknown_field", "actuator_sequence.slot");
    refused(recipe, "{'insert_sequence':{}}", ERR_INPUT, "wrong_type",
            "actuator_sequence.insert_sequence");
    refused(recipe, "{'insert_sequence':[]}", ERR_REFUSED, "bad_sequence",
            "actuator_sequence.insert_sequence");
    refused(recipe, "{'insert_sequence':[{'action':'dance'}]}", ERR_REFUSED, "bad_sequence",
            "actuator_sequence.insert_sequence[0].action");
    refused(recipe, "{'insert_sequence':[{}]}", ERR_INPUT, "missing_field",
            "actuator_sequence.insert_sequence[0].action");
    refused(recipe,
            "{'insert_sequence':[{'action':'pick'},{'action':'insert'},{'action':'latch'},"
            "{'action':'press_button','params':{'duration_ms':1}}]}",
            ERR_REFUSED, "out_of_limits",
            "actuator_sequence.insert_sequence[3].params.duration_ms");
    refused(recipe, "{'insert_sequence':[{'action':'latch','params':{'slot':1}}]}", ERR_INPUT,
            "unknown_field", "actuator_sequence.insert_sequence[0].params.slot");
    refused(recipe, "{'insert_sequence':[{'action':'press_button'},{'action':'pick'}]}",
            ERR_REFUSED, "bad_sequence", "actuator_sequence.insert_sequence");
}

TEST(documented_instructions_are_kept_as_they_are)
{
    static const char block[] =
        "{'capsule_slot':2,'motor_steps_per_ml':10,'insert_sequence':[{'action':'pick','params':"
        "{'slot':2}},{'action':'insert','params':{}},{'action':'latch','params':{}},{'action':"
        "'press_button','params':{'duration_ms':200}}]}";
    struct outcome outcome = check_with("{" FULL "}", block, NULL);
    CHECK_OK(outcome.err);
    char expected[sizeof(block)];
    for (size_t i = 0; i < sizeof(block); i++)
        expected[i] = block[i] == '\'' ? '"' : block[i];
    CHECK_SLICE(outcome.accepted.instructions, expected);
    arena_finish(&outcome.scratch);
}

TEST(memory_that_runs_out_is_said)
{
    for (uint32_t nth = 1; nth < 20; nth++) {
        mem_fail_at(nth);
        struct outcome outcome =
            check_with("{'volume_ml':80,'capsule_variant':'espresso'}", NULL, NULL);
        mem_fail_at(0);
        CHECK(outcome.err == ERR_OK || outcome.err == ERR_NOMEM);
        arena_finish(&outcome.scratch);
    }
}

static void config_refused(const char *text, enum err err, const char *code, const char *field)
{
    NOTE("%s", text);
    struct kinds_refusal refusal = {.code = "none"};
    json_t *config = parse(text);
    CHECK_ERR(kinds_find(STR("espresso"))->check_config(config, &refusal), err);
    json_decref(config);
    if (err == ERR_OK)
        return;
    CHECK_STR(refusal.code, code);
    CHECK_STR(refusal.field, field);
}

TEST(configurations)
{
    config_refused("{}", ERR_OK, NULL, NULL);
    config_refused("{'model':'both','calibration':{'pick_steps':400}}", ERR_OK, NULL, NULL);
    config_refused("{'model':'all'}", ERR_REFUSED, "out_of_limits", "model");
    config_refused("{'modell':'both'}", ERR_INPUT, "unknown_field", "modell");
    config_refused("{'calibration':{'pick_stps':400}}", ERR_INPUT, "unknown_field",
                   "calibration.pick_stps");
    config_refused("{'calibration':{'pick_steps':'400'}}", ERR_INPUT, "wrong_type",
                   "calibration.pick_steps");
    config_refused("{'calibration':{'pick_steps':99999999999}}", ERR_REFUSED, "out_of_limits",
                   "calibration.pick_steps");
    config_refused("{'magazine':[{'slot':1,'count':5},{'slot':9,'count':5}]}", ERR_REFUSED,
                   "out_of_limits", "magazine[1].slot");
    config_refused("{'magazine':[{'slot':1}]}", ERR_INPUT, "missing_field", "magazine[0].count");
}

TEST(words_people_know)
{
    const struct kinds_kind *kind = kinds_find(STR("espresso"));
    CHECK_STR(kinds_status_word(STR("espresso"), STR("brew"), QUEUE_RUNNING), "brewing");
    CHECK_STR(kinds_status_word(STR("espresso"), STR("brew"), QUEUE_COMPLETE), "complete");
    CHECK_STR(kinds_status_word(STR("nothing"), STR("brew"), QUEUE_RUNNING), "running");
    CHECK(kinds_word_running(kind, STR("Brewing")));
    CHECK(!kinds_word_running(kind, STR("complete")));
    CHECK(kinds_command_find(kind, STR("BREW")) != NULL);
    CHECK(kinds_command_find(kind, STR("pour")) == NULL);
    CHECK(kinds_find(STR("Espresso")) == NULL);
}

TEST(what_a_page_is_told)
{
    json_t *about = kinds_describe(kinds_find(STR("espresso")));
    CHECK(about != NULL);
    const json_t *command = json_array_get(json_object_get(about, "commands"), 0);
    CHECK_STR(json_string_value(json_object_get(command, "word")), "brewing");
    CHECK(json_array_size(json_object_get(command, "limits")) >= 8);
    CHECK(json_array_size(json_object_get(about, "refusals")) > 10);
    CHECK(json_array_size(json_object_get(about, "capsules")) > 5);
    CHECK_EQ(json_integer_value(json_object_get(about, "not_after_s")), 600);
    CHECK_EQ(json_integer_value(json_object_get(about, "max_duration_s")), 180);
    json_decref(about);
}
