/* Brew recipes: their schema out of the machine's own table of limits, and its own check. */
#include "barista/barista_int.h"
#include "machine/espresso/espresso.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define FIELDS 5

/* Whole degrees and tenths of a second: finer steps are noise to the tongue, and fewer to learn. */
#define PRE_INFUSION_STEP_MS 100

static void add_range(struct text *text, const char *name, const struct limit *limit, uint32_t step)
{
    text_add(text, STR(",\""));
    text_add(text, str_from(name));
    text_add(text, STR("\":{\"type\":\"integer\",\"minimum\":"));
    text_add_i64(text, limit->min);
    text_add(text, STR(",\"maximum\":"));
    text_add_i64(text, limit->max);
    if (step > 1) {
        text_add(text, STR(",\"multipleOf\":"));
        text_add_u64(text, step);
    }
    text_add(text, STR("}"));
}

static void add_variants(struct text *text, enum espresso_capsule_type type)
{
    bool first = true;
    text_add(text, STR(",\"capsule_variant\":{\"enum\":["));
    for (size_t i = 0; i < espresso_capsule_count; i++) {
        if (espresso_capsules[i].type != type)
            continue;
        text_add(text, first ? STR("\"") : STR(",\""));
        text_add(text, str_from(espresso_capsules[i].variant));
        text_add(text, STR("\""));
        first = false;
    }
    text_add(text, STR("]}"));
}

enum err barista_recipe_schema(struct str system, char *dst, size_t dst_bytes)
{
    enum espresso_capsule_type type;
    struct text text;
    enum err err = espresso_capsule_type_from(system, &type);
    if (err != ERR_OK)
        return err;
    text_init(&text, dst, dst_bytes);
    text_add(&text, STR("{\"type\":\"object\",\"properties\":{\"capsule_type\":{\"const\":\""));
    text_add(&text, str_from(espresso_capsule_type_name(type)));
    text_add(&text, STR("\"}"));
    add_variants(&text, type);
    add_range(&text, "volume_ml",
              &espresso_limits[type == ESPRESSO_VERTUO ? ESPRESSO_LIMIT_VOLUME_VERTUO
                                                       : ESPRESSO_LIMIT_VOLUME_ORIGINAL],
              1);
    add_range(&text, "temperature_c", &espresso_limits[ESPRESSO_LIMIT_TEMPERATURE], 1);
    add_range(&text, "pre_infusion_ms", &espresso_limits[ESPRESSO_LIMIT_PRE_INFUSION],
              PRE_INFUSION_STEP_MS);
    text_add(&text, STR("},\"required\":[\"capsule_type\",\"capsule_variant\",\"volume_ml\","
                        "\"temperature_c\",\"pre_infusion_ms\"],\"additionalProperties\":false}"));
    return text.overflow ? ERR_FULL : ERR_OK;
}

enum err barista_recipe_text(const struct espresso_recipe *recipe, struct buf *ret_text)
{
    return buf_printf(ret_text,
                      "{\"capsule_type\":\"%s\",\"capsule_variant\":\"%s\",\"volume_ml\":%u,"
                      "\"temperature_c\":%d,\"pre_infusion_ms\":%u}",
                      espresso_capsule_type_name(recipe->capsule_type), recipe->capsule_variant,
                      recipe->volume_ml, (int)(recipe->temperature_mc / 1000),
                      recipe->pre_infusion_ms);
}

static bool whole(const json_t *object, const char *name, uint32_t *ret_value)
{
    const json_t *value = json_object_get(object, name);
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || number > INT32_MAX)
        return false;
    *ret_value = (uint32_t)number;
    return true;
}

static bool degrees(const json_t *object, int32_t *ret_mc)
{
    const json_t *value = json_object_get(object, "temperature_c");
    double number = json_number_value(value);
    if (!json_is_number(value) || !(fabs(number) < 1000))
        return false;
    *ret_mc = (int32_t)lround(number * 1000);
    return true;
}

static bool words(const json_t *object, struct espresso_recipe *recipe)
{
    const json_t *type = json_object_get(object, "capsule_type");
    const json_t *variant = json_object_get(object, "capsule_variant");
    return json_is_string(type) && json_is_string(variant) &&
           espresso_capsule_type_from(str_from(json_string_value(type)), &recipe->capsule_type) ==
               ERR_OK &&
           json_string_length(variant) == strlen(json_string_value(variant)) &&
           str_copy(recipe->capsule_variant, sizeof(recipe->capsule_variant),
                    str_from(json_string_value(variant))) == ERR_OK;
}

static enum err refused(struct lm_fault *fault, enum err err, const char *rule, const char *field)
{
    (void)snprintf(fault->why, sizeof(fault->why), "%s%s%s", rule, field != NULL ? ": " : "",
                   field != NULL ? field : "");
    return err;
}

enum err barista_recipe_parse(struct str json, struct lm_fault *fault,
                              struct espresso_recipe *ret_recipe)
{
    struct espresso_order order = {.instructions = {0}};
    struct espresso_refusal refusal = {0};
    json_error_t error;
    json_t *object = json_loadb(json.at, json.len, JSON_REJECT_DUPLICATES, &error);
    bool shaped = json_is_object(object) && json_object_size(object) == FIELDS &&
                  words(object, &order.recipe) &&
                  whole(object, "volume_ml", &order.recipe.volume_ml) &&
                  whole(object, "pre_infusion_ms", &order.recipe.pre_infusion_ms) &&
                  degrees(object, &order.recipe.temperature_mc);
    json_decref(object);
    if (!shaped)
        return refused(fault, ERR_INPUT, "not a recipe in JSON", NULL);
    if (!espresso_check(&order, ESPRESSO_BOTH, &refusal))
        return refused(fault, ERR_REFUSED, espresso_code_name(refusal.code), refusal.field);
    *ret_recipe = order.recipe;
    return ERR_OK;
}

enum err barista_recipe_check(struct str json, struct lm_fault *fault)
{
    struct espresso_recipe recipe;
    return barista_recipe_parse(json, fault, &recipe);
}
