/* Recipes: the schema has the machine's limits, the check is the machine's. */
#include "barista/barista_int.h"
#include "kit/kit.h"
#include "machine/espresso/espresso.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static int64_t bound(const json_t *schema, const char *field, const char *which)
{
    const json_t *properties = json_object_get(schema, "properties");
    return json_integer_value(json_object_get(json_object_get(properties, field), which));
}

TEST(the_schema_has_the_machines_limits)
{
    static const struct {
        const char *system;
        enum espresso_limit volume;
    } systems[] = {{"original", ESPRESSO_LIMIT_VOLUME_ORIGINAL},
                   {"vertuo", ESPRESSO_LIMIT_VOLUME_VERTUO}};
    for (size_t i = 0; i < ARRAY_COUNT(systems); i++) {
        char text[2048];
        json_error_t error;
        CHECK_OK(barista_recipe_schema(str_from(systems[i].system), text, sizeof(text)));
        json_t *schema = json_loads(text, 0, &error);
        CHECK(schema != NULL);
        CHECK_EQ(bound(schema, "volume_ml", "minimum"), espresso_limits[systems[i].volume].min);
        CHECK_EQ(bound(schema, "volume_ml", "maximum"), espresso_limits[systems[i].volume].max);
        CHECK_EQ(bound(schema, "temperature_c", "minimum"),
                 espresso_limits[ESPRESSO_LIMIT_TEMPERATURE].min);
        CHECK_EQ(bound(schema, "temperature_c", "maximum"),
                 espresso_limits[ESPRESSO_LIMIT_TEMPERATURE].max);
        CHECK_EQ(bound(schema, "pre_infusion_ms", "maximum"),
                 espresso_limits[ESPRESSO_LIMIT_PRE_INFUSION].max);
        json_decref(schema);
        CHECK_ERR(barista_recipe_schema(str_from(systems[i].system), text, 100), ERR_FULL);
    }
    char text[64];
    CHECK_ERR(barista_recipe_schema(STR("lever"), text, sizeof(text)), ERR_INPUT);
}

TEST(what_is_written_can_be_read)
{
    for (size_t i = 0; i < espresso_capsule_count; i++) {
        struct espresso_recipe recipe = espresso_recipe_preset(), again;
        struct lm_fault fault = {.at_byte = 0};
        struct buf buf;
        recipe.capsule_type = espresso_capsules[i].type;
        recipe.volume_ml = espresso_capsules[i].volume_ml;
        CHECK_OK(str_copy(recipe.capsule_variant, sizeof(recipe.capsule_variant),
                          str_from(espresso_capsules[i].variant)));
        buf_init(&buf, 1024);
        CHECK_OK(barista_recipe_text(&recipe, &buf));
        enum err err = barista_recipe_parse(buf_str(&buf), &fault, &again);
        NOTE("%s", fault.why);
        CHECK_OK(err);
        CHECK_EQ(again.volume_ml, recipe.volume_ml);
        CHECK_EQ(again.temperature_mc, recipe.temperature_mc);
        CHECK_EQ(again.capsule_type, recipe.capsule_type);
        CHECK_STR(again.capsule_variant, recipe.capsule_variant);
        buf_finish(&buf);
    }
}

TEST(the_check_is_the_machines_own)
{
    static const struct {
        const char *json;
        enum err err;
        const char *why;
    } recipes[] = {
        {"{\"capsule_type\":\"original\",\"capsule_variant\":\"espresso\",\"volume_ml\":40,"
         "\"temperature_c\":92.5,\"pre_infusion_ms\":300}",
         ERR_OK, ""},
        {"{\"capsule_type\":\"original\",\"capsule_variant\":\"espresso\",\"volume_ml\":151,"
         "\"temperature_c\":92,\"pre_infusion_ms\":300}",
         ERR_REFUSED, "out_of_limits: recipe.volume_ml"},
        {"{\"capsule_type\":\"vertuo\",\"capsule_variant\":\"mug\",\"volume_ml\":230,"
         "\"temperature_c\":97,\"pre_infusion_ms\":300}",
         ERR_REFUSED, "out_of_limits: recipe.temperature_c"},
        {"{\"capsule_type\":\"original\",\"capsule_variant\":\"mug\",\"volume_ml\":110,"
         "\"temperature_c\":92,\"pre_infusion_ms\":300}",
         ERR_REFUSED, "capsule_mismatch: recipe.capsule_variant"},
        {"{\"capsule_type\":\"original\",\"capsule_variant\":\"espresso\",\"volume_ml\":\"40\","
         "\"temperature_c\":92,\"pre_infusion_ms\":300}",
         ERR_INPUT, "not a recipe"},
        {"{\"capsule_type\":\"original\",\"capsule_variant\":\"espresso\",\"volume_ml\":40,"
         "\"temperature_c\":92}",
         ERR_INPUT, "not a recipe"},
        {"{\"capsule_type\":\"original\",\"capsule_variant\":\"espresso\",\"volume_ml\":40,"
         "\"temperature_c\":92,\"pre_infusion_ms\":300,\"slot\":1}",
         ERR_INPUT, "not a recipe"},
        {"A lungo, please.", ERR_INPUT, "not a recipe"},
        {"", ERR_INPUT, "not a recipe"},
        {"{\"capsule_type\":\"original\",\"capsule_variant\":\"espresso\",\"volume_ml\":40,"
         "\"temperature_c\":1e300,\"pre_infusion_ms\":300}",
         ERR_INPUT, "not a recipe"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(recipes); i++) {
        struct lm_fault fault = {.at_byte = 0};
        NOTE("case %zu", i);
        CHECK_ERR(barista_recipe_check(str_from(recipes[i].json), &fault), recipes[i].err);
        CHECK(strncmp(fault.why, recipes[i].why, strlen(recipes[i].why)) == 0);
    }
}
