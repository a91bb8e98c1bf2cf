/* Every way in which an order to a window can be wrong is named with the field at fault. */
#include "kinds/kinds.h"
#include "kit/kit.h"
#include "machine/window/window.h"

#include <string.h>

static const struct kinds_kind *kind(void)
{
    const struct kinds_kind *found = kinds_find(STR("window"));
    CHECK(found != NULL);
    return found;
}

/* JSON's quotes are written as ' here, so that the tables can be read. */
static json_t *parse(const char *text)
{
    char buffer[1024];
    size_t len = strlen(text);
    CHECK(len < sizeof(buffer));
    for (size_t i = 0; i <= len; i++)
        buffer[i] = text[i] == '\'' ? '"' : text[i];
    json_t *value = json_loads(buffer, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    CHECK(value != NULL);
    return value;
}

static enum err check_with(const char *text, const char *block, struct arena *scratch,
                           struct kinds_accepted *accepted, struct kinds_refusal *refusal)
{
    json_t *payload = parse(text);
    json_t *instructions = block != NULL ? parse(block) : NULL;
    struct kinds_order order = {.command = kinds_command_find(kind(), STR("set_position")),
                                .payload = payload,
                                .instructions = instructions,
                                .payload_name = "payload",
                                .instructions_name = "accessory_instructions"};
    arena_init(scratch, 64 * KIB);
    enum err err = kind()->check(&order, scratch, accepted, refusal);
    json_decref(payload);
    json_decref(instructions);
    return err;
}

static void accepted(const char *text, const char *payload)
{
    struct arena scratch;
    struct kinds_accepted said = {.payload = STR_NONE};
    struct kinds_refusal refusal = {.code = "none"};
    NOTE("%s", text);
    CHECK_OK(check_with(text, NULL, &scratch, &said, &refusal));
    CHECK_SLICE(said.payload, payload);
    CHECK(said.instructions.at == NULL);
    arena_finish(&scratch);
}

static void refused(const char *text, enum err err, const char *code, const char *field)
{
    struct arena scratch;
    struct kinds_accepted said;
    struct kinds_refusal refusal = {.code = "none"};
    NOTE("%s", text);
    CHECK_ERR(check_with(text, NULL, &scratch, &said, &refusal), err);
    CHECK_STR(refusal.code, code);
    CHECK_STR(refusal.field, field);
    CHECK(refusal.sentence[0] != 0);
    arena_finish(&scratch);
}

TEST(positions_are_written_out_as_people_write_them)
{
    accepted("{'position':0}", "{\"position\":0}");
    accepted("{'position':40}", "{\"position\":40}");
    accepted("{'position':40.0}", "{\"position\":40}");
    accepted("{'position':100}", "{\"position\":100}");
    accepted("{'position':10.5}", "{\"position\":10.5}");
    accepted("{'position':33.33333}", "{\"position\":33.333}");
    accepted("{'position':0.0004}", "{\"position\":0}");
    accepted("{'position':-0.0}", "{\"position\":0}");
}

TEST(what_is_no_position_is_named)
{
    refused("{}", ERR_INPUT, "missing_field", "payload.position");
    refused("{'position':null}", ERR_INPUT, "wrong_type", "payload.position");
    refused("{'position':'40'}", ERR_INPUT, "wrong_type", "payload.position");
    refused("{'position':true}", ERR_INPUT, "wrong_type", "payload.position");
    refused("{'position':101}", ERR_REFUSED, "out_of_limits", "payload.position");
    refused("{'position':100.001}", ERR_REFUSED, "out_of_limits", "payload.position");
    refused("{'position':-1}", ERR_REFUSED, "out_of_limits", "payload.position");
    refused("{'position':1e300}", ERR_REFUSED, "out_of_limits", "payload.position");
    refused("{'position':40,'speed':2}", ERR_INPUT, "unknown_field", "payload.speed");
    refused("[40]", ERR_INPUT, "wrong_type", "payload");
}

TEST(a_window_takes_no_instructions)
{
    struct arena scratch;
    struct kinds_accepted said;
    struct kinds_refusal refusal = {.code = "none"};
    CHECK_ERR(check_with("{'position':40}", "{}", &scratch, &said, &refusal), ERR_INPUT);
    CHECK_STR(refusal.code, "unknown_field");
    CHECK_STR(refusal.field, "accessory_instructions");
    arena_finish(&scratch);
}

static void config(const char *text, enum err err, const char *code, const char *field)
{
    struct kinds_refusal refusal = {.code = "none"};
    json_t *value = parse(text);
    NOTE("%s", text);
    CHECK_ERR(kind()->check_config(value, &refusal), err);
    json_decref(value);
    CHECK_STR(refusal.code, code);
    if (err != ERR_OK)
        CHECK_STR(refusal.field, field);
}

TEST(configurations)
{
    config("{}", ERR_OK, "none", NULL);
    config("{'sensors':{'interval_s':10,'audio_s':0},'calibration':{'travel_mm':350,'invert':1}}",
           ERR_OK, "none", NULL);
    config("{'sensors':{'interval_s':0}}", ERR_REFUSED, "out_of_limits", "sensors.interval_s");
    config("{'sensors':{'audio_s':3601}}", ERR_REFUSED, "out_of_limits", "sensors.audio_s");
    config("{'sensors':{'colour':1}}", ERR_INPUT, "unknown_field", "sensors.colour");
    config("{'sensors':[]}", ERR_INPUT, "wrong_type", "sensors");
    config("{'calibration':{'pinch_ma':100}}", ERR_REFUSED, "out_of_limits",
           "calibration.pinch_ma");
    config("{'calibration':{'pinch':100}}", ERR_INPUT, "unknown_field", "calibration.pinch");
    config("{'calibration':{'invert':2}}", ERR_REFUSED, "out_of_limits", "calibration.invert");
    /* Each in its range, and together a window that finds no ends within its time. */
    config("{'calibration':{'travel_mm':1000,'home_mm_s':10}}", ERR_REFUSED, "out_of_limits",
           "calibration.travel_mm");
    config("{'model':'both'}", ERR_INPUT, "unknown_field", "model");
}

TEST(the_queue_is_told_what_a_window_is)
{
    const struct queue_kind *queue = &kind()->queue;
    CHECK_EQ(queue->not_after_s, 60);
    CHECK_EQ(queue->max_duration_s, 30);
    CHECK(queue->coalesce && !queue->busy);
    CHECK(queue->reason_mechanical(NULL, STR("motor_dead")));
    CHECK(queue->reason_mechanical(NULL, STR("endstop_stuck")));
    /* It did what it is for; somebody should look all the same. */
    CHECK(!queue->reason_mechanical(NULL, STR("pinched")));
    CHECK(queue->reason_needs_hands(NULL, STR("pinched")));
    CHECK(!queue->reason_needs_hands(NULL, STR("stopped")));
    CHECK(!queue->reason_mechanical(NULL, STR("no_such_reason")));
    CHECK_STR(kinds_status_word(STR("window"), STR("set_position"), QUEUE_RUNNING), "moving");
    CHECK(kinds_word_running(kind(), STR("Moving")));
    CHECK(kinds_command_find(kind(), STR("SET_POSITION")) != NULL);
    const struct queue_kind *const *at = kinds_queue_table();
    while (*at != NULL && strcmp((*at)->name, "window") != 0)
        at++;
    CHECK(*at == queue);
}

TEST(what_a_page_is_told)
{
    json_t *about = kinds_describe(kind());
    CHECK(about != NULL);
    const json_t *command = json_array_get(json_object_get(about, "commands"), 0);
    const json_t *limit = json_array_get(json_object_get(command, "limits"), 0);
    CHECK_STR(json_string_value(json_object_get(limit, "field")), "position");
    CHECK_EQ(json_integer_value(json_object_get(limit, "max")), 100);
    CHECK_EQ(json_array_size(json_object_get(about, "refusals")), WINDOW_CODE_COUNT - 1);
    CHECK_EQ(json_array_size(json_object_get(about, "steps")), WINDOW_STATE_COUNT);
    const json_t *config_limits = json_object_get(about, "config");
    CHECK_EQ(json_array_size(json_object_get(config_limits, "calibration")),
             window_calibration_limit_count);
    json_decref(about);
}

/* The steps shown are the state machine's own names. */
TEST(steps_are_the_machines)
{
    for (int i = 0; i < WINDOW_STATE_COUNT; i++)
        CHECK_STR(kind()->steps[i], window_state_name((enum window_state)i));
    CHECK(kind()->steps[WINDOW_STATE_COUNT] == NULL);
}

TEST(memory_that_runs_out_is_said)
{
    json_t *payload = parse("{'position':40}");
    struct kinds_order order = {.command = kinds_command_find(kind(), STR("set_position")),
                                .payload = payload,
                                .payload_name = "payload",
                                .instructions_name = "accessory_instructions"};
    for (uint32_t nth = 1; nth < 5; nth++) {
        struct arena scratch;
        struct kinds_accepted said;
        struct kinds_refusal refusal;
        arena_init(&scratch, 64 * KIB);
        mem_fail_at(nth);
        enum err err = kind()->check(&order, &scratch, &said, &refusal);
        mem_fail_at(0);
        CHECK(err == ERR_OK || err == ERR_NOMEM);
        arena_finish(&scratch);
    }
    json_decref(payload);
}
