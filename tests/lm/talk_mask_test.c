/* Masks: whatever is drawn under one parses and obeys the schema, which a second reading of the
 * schema judges here; numbers against every number there is in a small range. */
#include "kit/kit.h"
#include "lm/talk/talk_int.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX (64 * KIB)

/* ---- a tokenizer that has learned some JSON ---- */

static bool next_text(void *cookie, struct str *ret_text)
{
    int *count = cookie;
    static const char *const texts[] = {
        "{\"volume_ml\": 40, \"temperature_c\": 92.5, \"capsule_type\": \"original\"}",
        "{\"volume_ml\":110,\"temperature_c\":88,\"ok\":true,\"no\":false,\"none\":null}",
        "[1, 2, 3, -40, 0.5], [\"a\", \"\\\"quoted\\\"\", \"caf\xC3\xA9 \xF0\x9F\x98\x80\"]",
        "{\"pre_infusion_ms\": 500, \"list\": [10, 20, 150], \"capsule_variant\": \"espresso\"}"};
    if (*count >= 40)
        return false;
    *ret_text = str_from(texts[(*count)++ % (int)ARRAY_COUNT(texts)]);
    return true;
}

static struct lm_tokenizer *tokenizer_make(void)
{
    struct lm_tokenizer *tokenizer;
    int count = 0;
    CHECK_OK(lm_tokenizer_train(next_text, &count, 500, &tokenizer));
    return tokenizer;
}

/* ---- drawing ---- */

static uint32_t draw_allowed(const uint64_t *allowed, uint32_t words, struct rng *rng)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < words; i++)
        count += (uint32_t)__builtin_popcountll(allowed[i]);
    CHECK(count > 0); /* a dead end */
    uint32_t nth = rng_below(rng, count);
    for (uint32_t i = 0; i < words; i++)
        for (uint64_t bits = allowed[i]; bits != 0; bits &= bits - 1)
            if (nth-- == 0)
                return i * 64 + (uint32_t)__builtin_ctzll(bits);
    return LM_END;
}

/* A text of at most `most` ids; NUL-terminated. */
static void draw(const struct lm_mask *mask, const struct lm_tokenizer *tokenizer, uint32_t most,
                 struct rng *rng, struct buf *text)
{
    uint64_t scratch[8];
    uint32_t state = lm_mask_start(mask);
    CHECK(lm_mask_words(mask) <= ARRAY_COUNT(scratch));
    for (uint32_t made = 0; made < most && !lm_mask_complete(mask, state); made++) {
        const uint64_t *allowed = lm_mask_allowed(mask, state, most - made, scratch);
        uint32_t id = draw_allowed(allowed, lm_mask_words(mask), rng);
        if (id == LM_END) {
            CHECK(lm_mask_accepts(mask, state));
            break;
        }
        CHECK_OK(buf_add_str(text, lm_tokenizer_bytes(tokenizer, id)));
        state = lm_mask_step(mask, state, id);
        CHECK(state != LM_NO_STATE);
    }
    CHECK(lm_mask_accepts(mask, state));
    CHECK_OK(buf_add(text, "", 1));
    text->len--;
}

/* ---- judging ---- */

static bool obeys(const json_t *schema, const json_t *value);

static bool obeys_number(const json_t *schema, const json_t *value, bool whole)
{
    const json_t *min = json_object_get(schema, "minimum");
    const json_t *max = json_object_get(schema, "maximum");
    const json_t *above = json_object_get(schema, "exclusiveMinimum");
    const json_t *below = json_object_get(schema, "exclusiveMaximum");
    const json_t *step = json_object_get(schema, "multipleOf");
    double number = json_number_value(value);
    if (!json_is_number(value) || (whole && !json_is_integer(value)))
        return false;
    if ((min != NULL && number < json_number_value(min)) ||
        (max != NULL && number > json_number_value(max)) ||
        (above != NULL && number <= json_number_value(above)) ||
        (below != NULL && number >= json_number_value(below)))
        return false;
    if (step == NULL)
        return true;
    double parts = number / json_number_value(step);
    return fabs(parts - round(parts)) < 1e-6 + fabs(parts) * 1e-14;
}

static size_t characters(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xC0) != 0x80;
    return count;
}

static bool obeys_array(const json_t *schema, const json_t *value)
{
    const json_t *items = json_object_get(schema, "items");
    const json_t *front = json_object_get(schema, "prefixItems");
    const json_t *min = json_object_get(schema, "minItems");
    const json_t *max = json_object_get(schema, "maxItems");
    size_t count = json_array_size(value);
    if (!json_is_array(value) || (min != NULL && count < (size_t)json_integer_value(min)) ||
        (max != NULL && count > (size_t)json_integer_value(max)))
        return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *one = i < json_array_size(front) ? json_array_get(front, i) : items;
        if (one == NULL || !obeys(one, json_array_get(value, i)))
            return false;
    }
    return true;
}

static bool obeys_object(const json_t *schema, const json_t *value)
{
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *required = json_object_get(schema, "required");
    if (!json_is_object(value))
        return false;
    size_t i;
    json_t *name;
    json_array_foreach((json_t *)(uintptr_t)required, i, name)
    {
        if (json_object_get(value, json_string_value(name)) == NULL)
            return false;
    }
    if (required == NULL && json_object_size(value) != json_object_size(properties))
        return false;
    const char *key;
    json_t *one;
    json_object_foreach((json_t *)(uintptr_t)value, key, one)
    {
        const json_t *sub = json_object_get(properties, key);
        if (sub == NULL || !obeys(sub, one))
            return false;
    }
    return true;
}

static bool obeys(const json_t *schema, const json_t *value)
{
    const json_t *choices = json_object_get(schema, "enum");
    const json_t *constant = json_object_get(schema, "const");
    if (constant != NULL)
        return json_equal(constant, value) != 0;
    if (choices != NULL) {
        bool found = false;
        for (size_t i = 0; i < json_array_size(choices); i++)
            found = found || json_equal(json_array_get(choices, i), value) != 0;
        return found;
    }
    const char *type = json_string_value(json_object_get(schema, "type"));
    if (strcmp(type, "object") == 0)
        return obeys_object(schema, value);
    if (strcmp(type, "array") == 0)
        return obeys_array(schema, value);
    if (strcmp(type, "boolean") == 0)
        return json_is_boolean(value);
    if (strcmp(type, "null") == 0)
        return json_is_null(value);
    if (strcmp(type, "string") != 0)
        return obeys_number(schema, value, strcmp(type, "integer") == 0);
    const json_t *min = json_object_get(schema, "minLength");
    const json_t *max = json_object_get(schema, "maxLength");
    size_t length = json_is_string(value) ? characters(json_string_value(value)) : 0;
    return json_is_string(value) && utf8_valid(str_from(json_string_value(value))) &&
           (min == NULL || length >= (size_t)json_integer_value(min)) &&
           (max == NULL || length <= (size_t)json_integer_value(max));
}

static void check_draws(struct str schema_text, const struct lm_tokenizer *tokenizer,
                        uint32_t draws, struct rng *rng)
{
    struct lm_fault fault = {.why = ""};
    struct lm_mask *mask;
    json_t *schema = json_loadb(schema_text.at, schema_text.len, 0, NULL);
    CHECK(schema != NULL);
    enum err err = lm_mask_create(schema_text, tokenizer, &fault, &mask);
    NOTE("schema %.*s: %s", STR_ARG(schema_text), fault.why);
    CHECK_OK(err);
    for (uint32_t i = 0; i < draws; i++) {
        struct buf text;
        buf_init(&text, TEXT_MAX);
        uint32_t most = lm_mask_distance(mask, lm_mask_start(mask)) + rng_below(rng, 120);
        draw(mask, tokenizer, most, rng, &text);
        NOTE("schema %.*s: drew %s", STR_ARG(schema_text), text.at);
        json_t *value =
            json_loadb(text.at, text.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
        CHECK(value != NULL);
        CHECK(obeys(schema, value));
        json_decref(value);
        buf_finish(&text);
    }
    json_decref(schema);
    lm_mask_destroy(mask);
}

/* ---- random schemas ---- */

static double short_decimal(struct rng *rng, unsigned digits, int64_t bound)
{
    double unit = pow(10, digits);
    return ((double)rng_below(rng, (uint32_t)(2 * bound)) - (double)bound) / unit;
}

static json_t *random_number(struct rng *rng)
{
    bool whole = rng_chance(rng, 0.5);
    json_t *schema = json_pack("{s:s}", "type", whole ? "integer" : "number");
    static const char *const steps[] = {"5", "0.1", "0.5", "0.25", "7", "10", "1", "500", "0.05"};
    double min = short_decimal(rng, rng_below(rng, 3), rng_chance(rng, 0.5) ? 300 : 20000);
    /* Wide enough for at least one multiple of any step above. */
    double max = min + 1000 + (double)rng_below(rng, 5000);
    if (rng_chance(rng, 0.8))
        json_object_set_new(schema, rng_chance(rng, 0.3) ? "exclusiveMinimum" : "minimum",
                            json_real(min));
    if (rng_chance(rng, 0.8))
        json_object_set_new(schema, rng_chance(rng, 0.3) ? "exclusiveMaximum" : "maximum",
                            json_real(max));
    if (rng_chance(rng, 0.6))
        json_object_set_new(
            schema, "multipleOf",
            json_loads(steps[rng_below(rng, ARRAY_COUNT(steps))], JSON_DECODE_ANY, NULL));
    return schema;
}

static json_t *random_schema(struct rng *rng, unsigned depth);

static json_t *random_object(struct rng *rng, unsigned depth)
{
    static const char *const keys[] = {"volume_ml",     "volume",      "v", "a \"b\" \\ c",
                                       "temperature_c", "caf\xC3\xA9", "x"};
    json_t *properties = json_object();
    json_t *required = json_array();
    uint32_t count = rng_below(rng, 5);
    for (uint32_t i = 0; i < count; i++) {
        const char *key = keys[rng_below(rng, ARRAY_COUNT(keys))];
        if (json_object_get(properties, key) == NULL && rng_chance(rng, 0.5))
            json_array_append_new(required, json_string(key));
        json_object_set_new(properties, key, random_schema(rng, depth + 1));
    }
    json_t *schema = json_pack("{s:s, s:o, s:b}", "type", "object", "properties", properties,
                               "additionalProperties", 0);
    if (rng_chance(rng, 0.5))
        json_object_set(schema, "required", required);
    json_decref(required);
    return schema;
}

static json_t *random_array(struct rng *rng, unsigned depth)
{
    json_t *schema = json_pack("{s:s}", "type", "array");
    uint32_t front = rng_below(rng, 3);
    bool open = front == 0 || rng_chance(rng, 0.5);
    json_t *list = json_array();
    for (uint32_t i = 0; i < front; i++)
        json_array_append_new(list, random_schema(rng, depth + 1));
    if (front > 0)
        json_object_set(schema, "prefixItems", list);
    json_decref(list);
    if (!open)
        return schema;
    json_object_set_new(schema, "items", random_schema(rng, depth + 1));
    uint32_t min = rng_below(rng, 4);
    if (rng_chance(rng, 0.5))
        json_object_set_new(schema, "minItems", json_integer(min));
    if (rng_chance(rng, 0.6))
        json_object_set_new(schema, "maxItems", json_integer(min + front + rng_below(rng, 3)));
    return schema;
}

static json_t *random_schema(struct rng *rng, unsigned depth)
{
    switch (rng_below(rng, depth > 3 ? 5 : 8)) {
    case 0:
        return json_pack("{s:s, s:i, s:i}", "type", "string", "minLength", (int)rng_below(rng, 4),
                         "maxLength", (int)(4 + rng_below(rng, 9)));
    case 1:
        return random_number(rng);
    case 2:
        return json_pack("{s:[s,s,s,s]}", "enum", "a", "ab", "abc \"\n", "\xF0\x9F\x98\x80");
    case 3:
        return json_pack("{s:[i,i,f,b,n,s]}", "enum", 1, 12, 1.25, 1, "12");
    case 4:
        return rng_chance(rng, 0.5) ? json_pack("{s:s}", "type", "boolean")
                                    : json_pack("{s:s}", "type", "string");
    case 5:
        return random_array(rng, depth);
    default:
        return random_object(rng, depth);
    }
}

TEST(ten_thousand_draws_under_random_schemas_parse_and_obey)
{
    struct lm_tokenizer *tokenizer = tokenizer_make();
    struct rng rng;
    rng_init(&rng, 2024);
    for (uint32_t i = 0; i < 500; i++) {
        json_t *schema = random_schema(&rng, 0);
        char *text = json_dumps(schema, JSON_COMPACT);
        check_draws(str_from(text), tokenizer, 20, &rng);
        free(text);
        json_decref(schema);
    }
    lm_tokenizer_destroy(tokenizer);
}

TEST(recipes_are_valid)
{
    struct lm_tokenizer *tokenizer = tokenizer_make();
    struct rng rng;
    rng_init(&rng, 5);
    check_draws(STR("{\"type\":\"object\",\"properties\":{"
                    "\"volume_ml\":{\"type\":\"integer\",\"minimum\":15,\"maximum\":150},"
                    "\"temperature_c\":{\"type\":\"number\",\"minimum\":60,\"maximum\":96,"
                    "\"multipleOf\":0.1},"
                    "\"pre_infusion_ms\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":10000,"
                    "\"multipleOf\":500},"
                    "\"capsule_type\":{\"const\":\"original\"},"
                    "\"capsule_variant\":{\"enum\":[\"espresso\",\"espresso lungo\",\"lungo\"]}},"
                    "\"required\":[\"volume_ml\",\"temperature_c\",\"pre_infusion_ms\","
                    "\"capsule_type\"]}"),
                tokenizer, 500, &rng);
    lm_tokenizer_destroy(tokenizer);
}

/* ---- numbers, all of them ---- */

static bool accepts(const struct lm_automaton *automaton, uint32_t start, const char *text)
{
    uint32_t state = start;
    for (; *text != '\0' && state != LM_NO_STATE; text++)
        state = automaton->next[state][(uint8_t)*text];
    return state != LM_NO_STATE && automaton->accepts[state];
}

/* Every text that the automaton accepts, in depth-first order: each must be a number we know. */
static uint32_t count_texts(const struct lm_automaton *automaton, uint32_t state, unsigned depth)
{
    uint32_t count = automaton->accepts[state];
    CHECK(depth < 14);
    for (unsigned byte = 0; byte < 256; byte++)
        if (automaton->next[state][byte] != LM_NO_STATE)
            count += count_texts(automaton, automaton->next[state][byte], depth + 1);
    return count;
}

static uint32_t build(struct lm_automaton *automaton, const struct lm_number *number)
{
    lm_automaton_init(automaton, NULL);
    uint32_t end = lm_automaton_add(automaton);
    CHECK(end != LM_NO_STATE);
    automaton->accepts[end] = true;
    uint32_t start = lm_automaton_number(automaton, number, end);
    lm_automaton_trim(automaton, start);
    return start;
}

/* How a value of 10^-digits units may be written: with 0..digits digits after the point. */
static uint32_t check_value(const struct lm_automaton *automaton, uint32_t start,
                            const struct lm_number *number, int64_t value)
{
    bool good = value >= number->min && value <= number->max && value % number->step == 0;
    uint32_t texts = 0;
    int64_t unit = 1;
    for (uint32_t i = 0; i < number->digits; i++)
        unit *= 10;
    int64_t part = value < 0 ? -value : value;
    for (uint32_t digits = number->digits;; digits--) {
        char text[40];
        if (digits > 0)
            (void)snprintf(text, sizeof(text), "%s%lld.%0*lld", value < 0 ? "-" : "",
                           (long long)(part / unit), (int)digits, (long long)(part % unit));
        else
            (void)snprintf(text, sizeof(text), "%s%lld", value < 0 ? "-" : "", (long long)part);
        NOTE("%s of %lld..%lld step %lld, %u digits", text, (long long)number->min,
             (long long)number->max, (long long)number->step, number->digits);
        CHECK_EQ(accepts(automaton, start, text), good);
        texts += good;
        if (digits == 0 || part % 10 != 0)
            return texts;
        part /= 10;
        unit /= 10;
    }
}

TEST(numbers_are_exactly_those_in_range)
{
    struct rng rng;
    rng_init(&rng, 11);
    for (uint32_t i = 0; i < 150; i++) {
        struct lm_number number = {.digits = rng_below(&rng, 4),
                                   .step = i % 2 == 0 ? 1 : 1 + rng_below(&rng, 30)};
        number.min = (int64_t)rng_below(&rng, 2400) - 1200;
        number.max = number.min + (int64_t)rng_below(&rng, 1500);
        struct lm_automaton automaton;
        uint32_t start = build(&automaton, &number);
        bool any = false;
        for (int64_t v = number.min; v <= number.max; v++)
            any = any || v % number.step == 0;
        CHECK_EQ(automaton.err, any ? ERR_OK : ERR_INPUT);
        if (any) {
            uint32_t texts = 0;
            for (int64_t v = number.min - 15; v <= number.max + 15; v++)
                texts += check_value(&automaton, start, &number, v);
            CHECK_EQ(count_texts(&automaton, start, 0), texts); /* and nothing else */
        }
        lm_automaton_finish(&automaton);
    }
}

TEST(large_ranges_take_few_states)
{
    static const struct lm_number numbers[] = {
        {.min = 0, .max = 10000, .step = 500},
        {.min = -99999999999, .max = 99999999999, .step = 1, .digits = 2},
        {.min = 123456789012345, .max = 987654321098765, .step = 1, .digits = 6},
        {.min = 0, .max = 1000000000000000, .step = 97}};
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        struct lm_automaton automaton;
        uint32_t start = build(&automaton, &numbers[i]);
        NOTE("case %zu: %u states", i, automaton.count);
        CHECK_EQ(automaton.err, ERR_OK);
        CHECK(automaton.count < 4000);
        CHECK(!accepts(&automaton, start, "007"));
        CHECK(!accepts(&automaton, start, "-0"));
        CHECK(!accepts(&automaton, start, "1e3"));
        lm_automaton_finish(&automaton);
    }
}

/* ---- refusals ---- */

TEST(what_is_not_supported_is_refused_by_name)
{
    static const struct {
        const char *schema, *why;
    } bad[] = {
        {"", "schema"},
        {"[", "schema"},
        {"[]", "object"},
        {"{}", "type"},
        {"{\"type\":\"thing\"}", "thing"},
        {"{\"type\":[\"integer\",\"null\"]}", "type"},
        {"{\"type\":\"string\",\"pattern\":\"a+\"}", "pattern"},
        {"{\"type\":\"string\",\"minLength\":3,\"maxLength\":2}", "minLength"},
        {"{\"type\":\"string\",\"maxLength\":-1}", "maxLength"},
        {"{\"type\":\"string\",\"maxLength\":16000}", "large"},
        {"{\"type\":\"integer\",\"minimum\":5,\"maximum\":4}", "nothing"},
        {"{\"type\":\"integer\",\"minimum\":6,\"maximum\":9,\"multipleOf\":5}", "nothing"},
        {"{\"type\":\"integer\",\"multipleOf\":0}", "multipleOf"},
        {"{\"type\":\"number\",\"multipleOf\":-2}", "multipleOf"},
        {"{\"type\":\"number\",\"multipleOf\":1e-9}", "multipleOf"},
        {"{\"type\":\"number\",\"minimum\":1e300}", "minimum"},
        {"{\"type\":\"number\",\"minimum\":\"1\"}", "minimum"},
        {"{\"type\":\"number\",\"minimum\":1,\"exclusiveMinimum\":0}", "not both"},
        {"{\"enum\":[]}", "enum"},
        {"{\"enum\":\"a\"}", "enum"},
        {"{\"enum\":[{}]}", "plain"},
        {"{\"type\":\"string\",\"enum\":[\"a\",1]}", "not of type"},
        {"{\"const\":1,\"enum\":[1]}", "not both"},
        {"{\"anyOf\":[]}", "type"},
        {"{\"type\":\"array\"}", "items"},
        {"{\"type\":\"array\",\"items\":{\"type\":\"null\"},\"minItems\":2,\"maxItems\":1}",
         "items"},
        {"{\"type\":\"array\",\"prefixItems\":[{\"type\":\"null\"}],\"minItems\":2}", "items"},
        {"{\"type\":\"object\",\"properties\":[]}", "properties"},
        {"{\"type\":\"object\",\"required\":[\"x\"]}", "required"},
        {"{\"type\":\"object\",\"properties\":{\"a\":1}}", "object"},
        {"{\"type\":\"object\",\"properties\":{},\"minProperties\":1}", "minProperties"},
    };
    struct lm_tokenizer *tokenizer = tokenizer_make();
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct lm_fault fault;
        struct lm_mask *mask;
        enum err err = lm_mask_create(str_from(bad[i].schema), tokenizer, &fault, &mask);
        NOTE("%s: %s", bad[i].schema, fault.why);
        CHECK_ERR(err, ERR_INPUT);
        CHECK(strstr(fault.why, bad[i].why) != NULL);
    }
    struct buf deep;
    buf_init(&deep, 64 * KIB);
    for (int i = 0; i < 40; i++)
        CHECK_OK(buf_add_str(&deep, STR("{\"type\":\"array\",\"items\":")));
    CHECK_OK(buf_add_str(&deep, STR("{\"type\":\"null\"}")));
    for (int i = 0; i < 40; i++)
        CHECK_OK(buf_add_str(&deep, STR("}")));
    struct lm_fault fault;
    struct lm_mask *mask;
    CHECK_ERR(lm_mask_create(buf_str(&deep), tokenizer, &fault, &mask), ERR_INPUT);
    CHECK(strstr(fault.why, "levels") != NULL);
    buf_finish(&deep);
    lm_tokenizer_destroy(tokenizer);
}

TEST(a_schema_with_anything_changed_is_an_answer)
{
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"number\",\"minimum\":-1.5,"
        "\"maximum\":96,\"multipleOf\":0.5},\"b\":{\"type\":\"array\",\"items\":{\"enum\":[1,12,"
        "\"x\"]},\"maxItems\":3},\"c\":{\"type\":\"string\",\"maxLength\":9}},"
        "\"required\":[\"a\"]}";
    struct lm_tokenizer *tokenizer = tokenizer_make();
    struct rng rng;
    rng_init(&rng, 3);
    uint32_t taken = 0;
    for (size_t i = 0; i < 1500; i++) {
        char *text = kit_guard_page(schema, i < sizeof(schema) ? i : sizeof(schema) - 1);
        struct lm_fault fault = {.why = ""};
        struct lm_mask *mask = NULL;
        size_t len = i < sizeof(schema) ? i : sizeof(schema) - 1;
        for (uint32_t changes = rng_below(&rng, 3); i >= sizeof(schema) && changes > 0; changes--)
            text[rng_below(&rng, (uint32_t)len)] = (char)(32 + rng_below(&rng, 95));
        enum err err = lm_mask_create((struct str){text, len}, tokenizer, &fault, &mask);
        NOTE("%.*s: %s", (int)len, text, fault.why);
        CHECK(err == ERR_OK || (err == ERR_INPUT && fault.why[0] != 0));
        taken += err == ERR_OK;
        if (err == ERR_OK)
            lm_mask_destroy(mask);
        kit_free_guard(text);
    }
    CHECK(taken > 100 && taken < 1400);
    lm_tokenizer_destroy(tokenizer);
}

/* A stranger may bring a schema: the work that it can ask for is bounded. */
TEST(the_largest_schema_is_made_in_one_pass)
{
    struct lm_tokenizer *tokenizer = tokenizer_make();
    struct rng rng;
    rng_init(&rng, 4);
    struct buf schema;
    buf_init(&schema, 64 * KIB);
    CHECK_OK(buf_add_str(&schema, STR("{\"type\":\"array\",\"minItems\":700,\"maxItems\":700,"
                                      "\"items\":{\"enum\":[\"eleven bytes\",12,true]}}")));
    check_draws(buf_str(&schema), tokenizer, 1, &rng);
    buf_finish(&schema);
    buf_init(&schema, 64 * KIB);
    CHECK_OK(buf_add_str(&schema, STR("{\"const\":\"")));
    for (uint32_t i = 0; i < 16000; i++)
        CHECK_OK(buf_add_str(&schema, STR("x")));
    CHECK_OK(buf_add_str(&schema, STR("\"}")));
    check_draws(buf_str(&schema), tokenizer, 1, &rng);
    buf_finish(&schema);
    lm_tokenizer_destroy(tokenizer);
}

TEST(end_is_allowed_only_where_the_text_may_end)
{
    struct lm_tokenizer *tokenizer = tokenizer_make();
    struct lm_mask *mask;
    struct lm_fault fault;
    CHECK_OK(lm_mask_create(STR("{\"type\":\"integer\",\"minimum\":10,\"maximum\":99}"), tokenizer,
                            &fault, &mask));
    uint64_t scratch[8];
    uint32_t state = lm_mask_start(mask);
    CHECK_EQ(lm_mask_allowed(mask, state, 100, scratch)[0] >> LM_END & 1, 0);
    CHECK_EQ(lm_mask_step(mask, state, LM_END), LM_NO_STATE);
    for (uint32_t id = 0; id < lm_tokenizer_vocab(tokenizer); id++) {
        struct str bytes = lm_tokenizer_bytes(tokenizer, id);
        bool digit = bytes.len == 1 && bytes.at[0] >= '1' && bytes.at[0] <= '9';
        if (digit)
            state = lm_mask_step(mask, lm_mask_start(mask), id);
    }
    CHECK_EQ(lm_mask_allowed(mask, state, 100, scratch)[0] >> LM_END & 1, 0);
    CHECK_EQ(lm_mask_distance(mask, state), 1);
    lm_mask_destroy(mask);
    lm_tokenizer_destroy(tokenizer);
}

TEST(every_failed_allocation_is_an_answer)
{
    struct lm_tokenizer *tokenizer = tokenizer_make();
    struct str schema = STR("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},"
                            "\"b\":{\"type\":\"string\",\"maxLength\":20}}}");
    for (uint32_t nth = 1;; nth++) {
        struct lm_mask *mask = NULL;
        struct lm_fault fault;
        int64_t live = mem_live();
        mem_fail_at(nth);
        enum err err = lm_mask_create(schema, tokenizer, &fault, &mask);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        if (!fired) {
            CHECK_OK(err);
            uint64_t scratch[8];
            mem_fail_at(1); /* the set is made in the caller's scratch then */
            CHECK(lm_mask_allowed(mask, lm_mask_start(mask), 1000, scratch) == scratch);
            mem_fail_at(0);
            const uint64_t *kept = lm_mask_allowed(mask, lm_mask_start(mask), 1000, NULL);
            CHECK_BYTES(kept, scratch, lm_mask_words(mask) * sizeof(*kept));
            lm_mask_destroy(mask);
            break;
        }
        CHECK_ERR(err, ERR_NOMEM);
        CHECK_EQ(mem_live(), live);
    }
    lm_tokenizer_destroy(tokenizer);
}
