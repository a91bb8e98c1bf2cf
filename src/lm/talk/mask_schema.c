/* A JSON schema, piece by piece from its end, into an automaton.  What this subset does not know is
 * refused by name: a keyword that was passed over would be a promise not kept.  Text is written
 * without spaces but for one blank, if the model likes it, after ':' and ','. */
#include "lm/talk/talk_int.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX      16
#define PROPERTIES_MAX 64
#define CHOICES_MAX    512
#define ITEMS_MAX      1024
#define SCHEMA_BYTES   (64 * KIB)
#define NUMBER_MAX     999999999LL /* where a schema gives no bound */
#define MAGNITUDE_MAX  1000000000000000LL
#define DIGITS_MAX     6

static uint32_t value_of(struct lm_automaton *automaton, const json_t *schema, unsigned depth,
                         uint32_t after);

/* ---- keywords ---- */

static const char *const comments[] = {"$schema", "$id",      "$comment",   "title",
                                       "default", "examples", "description"};

static bool listed(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

/* Every keyword is one of `words` (NULL ends them) or says nothing about the text. */
static bool only(struct lm_automaton *automaton, const json_t *schema, const char *const *words)
{
    size_t count = 0;
    while (words[count] != NULL)
        count++;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)schema, key, value)
    {
        if (listed(key, words, count) || listed(key, comments, ARRAY_COUNT(comments)))
            continue;
        (void)lm_automaton_fail(automaton, ERR_INPUT, "schema: '%.64s' is not supported here", key);
        return false;
    }
    return true;
}

/* A count such as maxLength; `absent` where it is not given. */
static uint32_t count_of(struct lm_automaton *automaton, const json_t *schema, const char *key,
                         uint32_t absent)
{
    const json_t *value = json_object_get(schema, key);
    if (value == NULL)
        return absent;
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > (json_int_t)LM_STATES_MAX) {
        (void)lm_automaton_fail(automaton, ERR_INPUT, "schema: %s is a count of at most %u", key,
                                LM_STATES_MAX);
        return absent;
    }
    return (uint32_t)json_integer_value(value);
}

/* ---- fixed texts ---- */

static uint32_t text_of(struct lm_automaton *automaton, const json_t *value, uint32_t root,
                        uint32_t after)
{
    if (json_is_object(value) || json_is_array(value))
        return lm_automaton_fail(automaton, ERR_INPUT, "schema: enum and const take plain values");
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    if (text == NULL)
        return lm_automaton_fail(automaton, ERR_NOMEM, "no memory for the schema");
    lm_automaton_text(automaton, root, str_from(text), after);
    free(text);
    return root;
}

static uint32_t choice_of(struct lm_automaton *automaton, const json_t *choices, uint32_t after)
{
    size_t count = json_array_size(choices);
    if (count == 0 || count > CHOICES_MAX)
        return lm_automaton_fail(automaton, ERR_INPUT, "schema: enum is a list of 1 to %d",
                                 CHOICES_MAX);
    uint32_t root = lm_automaton_add(automaton);
    for (size_t i = 0; i < count; i++)
        (void)text_of(automaton, json_array_get(choices, i), root, after);
    return root;
}

/* ---- numbers: from what a person wrote, exactly ---- */

struct decimal {
    int64_t digits;
    int32_t power; /* value = digits * 10^power */
};

static bool decimal_of(const json_t *value, struct decimal *ret_decimal)
{
    char text[40];
    if (json_is_integer(value)) {
        *ret_decimal = (struct decimal){json_integer_value(value), 0};
        return ret_decimal->digits >= -MAGNITUDE_MAX && ret_decimal->digits <= MAGNITUDE_MAX;
    }
    double number = json_real_value(value);
    if (!json_is_real(value) || fabs(number) > (double)MAGNITUDE_MAX)
        return false;
    int precision = 0; /* the shortest text that reads as this number is the one that was written */
    do {
        (void)snprintf(text, sizeof(text), "%.*e", precision, number);
    } while (strtod(text, NULL) != number && ++precision < 17);
    int64_t digits = 0;
    const char *at = text + (text[0] == '-');
    for (; *at != 'e' && *at != '\0'; at++)
        if (*at >= '0' && *at <= '9')
            digits = digits * 10 + (*at - '0');
    long power = *at == 'e' ? strtol(at + 1, NULL, 10) : 0;
    *ret_decimal =
        (struct decimal){text[0] == '-' ? -digits : digits, (int32_t)power - (int32_t)precision};
    while (ret_decimal->power < 0 && ret_decimal->digits % 10 == 0) {
        ret_decimal->digits /= 10;
        ret_decimal->power = ret_decimal->digits == 0 ? 0 : ret_decimal->power + 1;
    }
    return true;
}

/* In units of 10^-digits, rounded towards `up` or down; false when it is too large for us. */
static bool scaled(struct decimal decimal, uint32_t digits, bool up, int64_t *ret_value)
{
    int64_t value = decimal.digits;
    int32_t power = decimal.power + (int32_t)digits;
    for (; power > 0 && value != 0; power--) {
        if (value > MAGNITUDE_MAX || value < -MAGNITUDE_MAX)
            return false;
        value *= 10;
    }
    bool lost = false;
    for (; power < 0; power++) {
        lost = lost || value % 10 != 0;
        int64_t floor = value / 10;
        if (value % 10 < 0)
            floor--;
        value = floor;
    }
    *ret_value = value + (lost && up ? 1 : 0);
    return value >= -MAGNITUDE_MAX && value <= MAGNITUDE_MAX;
}

static uint32_t digits_after(struct decimal decimal)
{
    return decimal.power < 0 ? (uint32_t)-decimal.power : 0;
}

/* One bound; `ret_strict`: the number itself is not allowed. */
static bool bound_of(struct lm_automaton *automaton, const json_t *schema, const char *key,
                     const char *strict_key, int64_t absent, struct decimal *ret_bound,
                     bool *ret_strict)
{
    const json_t *value = json_object_get(schema, key);
    const json_t *strict = json_object_get(schema, strict_key);
    *ret_bound = (struct decimal){absent, 0};
    *ret_strict = strict != NULL;
    if (value != NULL && strict != NULL) {
        (void)lm_automaton_fail(automaton, ERR_INPUT, "schema: %s or %s, not both", key,
                                strict_key);
        return false;
    }
    if (value == NULL && strict == NULL)
        return true;
    if (decimal_of(value != NULL ? value : strict, ret_bound))
        return true;
    (void)lm_automaton_fail(automaton, ERR_INPUT, "schema: %s is a number of at most 10^15",
                            value != NULL ? key : strict_key);
    return false;
}

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b != 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Step and digits after the point.  Whole numbers take none, whatever the step's. */
static bool step_of(struct lm_automaton *automaton, const json_t *schema, bool whole,
                    uint32_t digits, struct lm_number *number)
{
    const json_t *value = json_object_get(schema, "multipleOf");
    *number = (struct lm_number){.step = 1, .digits = whole ? 0 : digits};
    if (value == NULL)
        return true;
    struct decimal step;
    int64_t units = 0;
    if (decimal_of(value, &step) && step.digits > 0 && digits_after(step) <= DIGITS_MAX) {
        number->digits = digits_after(step);
        if (!scaled(step, number->digits, false, &units))
            units = 0;
    }
    if (units <= 0) {
        (void)lm_automaton_fail(automaton, ERR_INPUT,
                                "schema: multipleOf is positive, with at most %d decimals",
                                DIGITS_MAX);
        return false;
    }
    number->step = units;
    for (; whole && number->digits > 0; number->digits--)
        number->step /= common_divisor(number->step, 10);
    return true;
}

static uint32_t number_of(struct lm_automaton *automaton, const json_t *schema, bool whole,
                          uint32_t after)
{
    static const char *const words[] = {
        "type", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", NULL};
    struct decimal min;
    struct decimal max;
    bool min_strict;
    bool max_strict;
    struct lm_number number;
    if (!only(automaton, schema, words) ||
        !bound_of(automaton, schema, "minimum", "exclusiveMinimum", -NUMBER_MAX, &min,
                  &min_strict) ||
        !bound_of(automaton, schema, "maximum", "exclusiveMaximum", NUMBER_MAX, &max, &max_strict))
        return LM_NO_STATE;
    uint32_t digits = digits_after(min) > digits_after(max) ? digits_after(min) : digits_after(max);
    digits = digits < 2 ? 2 : digits > DIGITS_MAX ? DIGITS_MAX : digits;
    if (!step_of(automaton, schema, whole, digits, &number))
        return LM_NO_STATE;
    if (!scaled(min, number.digits, true, &number.min) ||
        !scaled(max, number.digits, false, &number.max))
        return lm_automaton_fail(automaton, ERR_INPUT, "schema: a bound is too large");
    /* A bound between two units was rounded inwards and is not itself such a number. */
    number.min += min_strict && digits_after(min) <= number.digits ? 1 : 0;
    number.max -= max_strict && digits_after(max) <= number.digits ? 1 : 0;
    return lm_automaton_number(automaton, &number, after);
}

/* ---- strings ---- */

static uint32_t string_of(struct lm_automaton *automaton, const json_t *schema, uint32_t after)
{
    static const char *const words[] = {"type", "minLength", "maxLength", NULL};
    if (!only(automaton, schema, words))
        return LM_NO_STATE;
    uint32_t min = count_of(automaton, schema, "minLength", 0);
    uint32_t max = count_of(automaton, schema, "maxLength", UINT32_MAX);
    if (min > max)
        return lm_automaton_fail(automaton, ERR_INPUT, "schema: minLength is above maxLength");
    return lm_automaton_string(automaton, min, max, after);
}

/* ---- arrays ---- */

/* `,` and one more item, or the end. */
static uint32_t item_end(struct lm_automaton *automaton, uint32_t next_item, bool may_end,
                         uint32_t after)
{
    uint32_t state = lm_automaton_add(automaton);
    if (next_item != LM_NO_STATE)
        lm_automaton_link(automaton, state, ',', lm_automaton_blank(automaton, next_item));
    if (may_end)
        lm_automaton_link(automaton, state, ']', after);
    return state;
}

/* Without end: the comma leads back to the first item. */
static uint32_t items_loop(struct lm_automaton *automaton, const json_t *item, unsigned depth,
                           uint32_t after)
{
    uint32_t comma = lm_automaton_add(automaton);
    uint32_t end = lm_automaton_add(automaton);
    lm_automaton_link(automaton, end, ']', after);
    lm_automaton_link(automaton, end, ',', comma);
    uint32_t first = value_of(automaton, item, depth, end);
    lm_automaton_merge(automaton, comma, first);
    lm_automaton_link(automaton, comma, ' ', first);
    return first;
}

static uint32_t array_of(struct lm_automaton *automaton, const json_t *schema, unsigned depth,
                         uint32_t after)
{
    static const char *const words[] = {"type",     "items",    "prefixItems",
                                        "minItems", "maxItems", NULL};
    if (!only(automaton, schema, words))
        return LM_NO_STATE;
    const json_t *items = json_object_get(schema, "items");
    const json_t *fixed = json_object_get(schema, "prefixItems");
    if (fixed == NULL && json_is_array(items)) { /* as older drafts write it */
        fixed = items;
        items = NULL;
    }
    uint32_t front = (uint32_t)json_array_size(fixed);
    bool open = json_is_object(items);
    uint32_t min = count_of(automaton, schema, "minItems", fixed != NULL ? front : 0);
    uint32_t max = count_of(automaton, schema, "maxItems", open ? UINT32_MAX : front);
    if ((!open && fixed == NULL) || min > max || front > ITEMS_MAX ||
        (!open && (max > front || min > front)))
        return lm_automaton_fail(automaton, ERR_INPUT,
                                 "schema: an array needs items and counts that agree with them");
    /* From the back: what may stand at index i, if i < max. */
    uint32_t length = max == UINT32_MAX ? (min > front ? min : front) : max;
    uint32_t next_item = LM_NO_STATE;
    if (max == UINT32_MAX)
        next_item = items_loop(automaton, items, depth, after);
    for (uint32_t i = length; i-- > 0 && automaton->err == ERR_OK;) {
        uint32_t end = item_end(automaton, next_item, i + 1 >= min, after);
        next_item = value_of(automaton, i < front ? json_array_get(fixed, i) : items, depth, end);
    }
    uint32_t state = lm_automaton_add(automaton);
    if (min == 0)
        lm_automaton_link(automaton, state, ']', after);
    lm_automaton_merge(automaton, state, next_item);
    uint32_t open_state = lm_automaton_add(automaton);
    lm_automaton_link(automaton, open_state, '[', state);
    return open_state;
}

/* ---- objects: properties in the order given; what is not required may be left out ---- */

struct property {
    const char *key;
    const json_t *schema;
    bool required;
    uint32_t value; /* state before its value */
};

static bool is_required(const json_t *required, const char *key)
{
    size_t i;
    json_t *name;
    json_array_foreach((json_t *)(uintptr_t)required, i, name)
    {
        if (json_is_string(name) && strcmp(json_string_value(name), key) == 0)
            return true;
    }
    return false;
}

/* Adds to `root` the keys that may come at index `from` and after. */
static void add_keys(struct lm_automaton *automaton, const struct property *property,
                     uint32_t count, uint32_t from, uint32_t root)
{
    for (uint32_t i = from; i < count; i++) {
        json_t *key = json_string(property[i].key);
        char *text = key == NULL ? NULL : json_dumps(key, JSON_ENCODE_ANY | JSON_COMPACT);
        json_decref(key);
        if (text == NULL) {
            (void)lm_automaton_fail(automaton, ERR_NOMEM, "no memory for the schema");
            return;
        }
        uint32_t colon = lm_automaton_add(automaton);
        lm_automaton_link(automaton, colon, ':', property[i].value);
        lm_automaton_text(automaton, root, str_from(text), colon);
        free(text);
        if (property[i].required)
            return;
    }
}

static bool may_end(const struct property *property, uint32_t count, uint32_t from)
{
    for (uint32_t i = from; i < count; i++)
        if (property[i].required)
            return false;
    return true;
}

static uint32_t properties_of(struct lm_automaton *automaton, struct property *property,
                              uint32_t count, unsigned depth, uint32_t after)
{
    /* `end`: a property has been written and number `i` may come next. */
    uint32_t end = lm_automaton_add(automaton);
    lm_automaton_link(automaton, end, '}', after);
    for (uint32_t i = count; i-- > 0;) {
        uint32_t value = value_of(automaton, property[i].schema, depth, end);
        property[i].value = lm_automaton_blank(automaton, value);
        uint32_t keys = lm_automaton_add(automaton);
        add_keys(automaton, property, count, i, keys);
        end = lm_automaton_add(automaton);
        lm_automaton_link(automaton, end, ',', lm_automaton_blank(automaton, keys));
        if (may_end(property, count, i))
            lm_automaton_link(automaton, end, '}', after);
    }
    uint32_t first = lm_automaton_add(automaton);
    add_keys(automaton, property, count, 0, first);
    if (may_end(property, count, 0))
        lm_automaton_link(automaton, first, '}', after);
    uint32_t open = lm_automaton_add(automaton);
    lm_automaton_link(automaton, open, '{', first);
    return open;
}

static uint32_t object_of(struct lm_automaton *automaton, const json_t *schema, unsigned depth,
                          uint32_t after)
{
    static const char *const words[] = {"type", "properties", "required", "additionalProperties",
                                        NULL};
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *required = json_object_get(schema, "required");
    if (!only(automaton, schema, words))
        return LM_NO_STATE;
    if ((properties != NULL && !json_is_object(properties)) ||
        json_object_size(properties) > PROPERTIES_MAX ||
        (required != NULL && !json_is_array(required)))
        return lm_automaton_fail(automaton, ERR_INPUT,
                                 "schema: at most %d properties, and a list "
                                 "of those required",
                                 PROPERTIES_MAX);
    struct property property[PROPERTIES_MAX];
    uint32_t count = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)properties, key, value)
    {
        bool must = required == NULL || is_required(required, key);
        property[count++] = (struct property){.key = key, .schema = value, .required = must};
    }
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)required, i, value)
    {
        if (!json_is_string(value) || json_object_get(properties, json_string_value(value)) == NULL)
            return lm_automaton_fail(automaton, ERR_INPUT,
                                     "schema: a required property is not "
                                     "among the properties");
    }
    return properties_of(automaton, property, count, depth, after);
}

/* ---- any value ---- */

static uint32_t typed(struct lm_automaton *automaton, const json_t *schema, const char *type,
                      unsigned depth, uint32_t after)
{
    static const char *const plain[] = {"type", NULL};
    if (strcmp(type, "object") == 0)
        return object_of(automaton, schema, depth, after);
    if (strcmp(type, "array") == 0)
        return array_of(automaton, schema, depth, after);
    if (strcmp(type, "string") == 0)
        return string_of(automaton, schema, after);
    if (strcmp(type, "integer") == 0 || strcmp(type, "number") == 0)
        return number_of(automaton, schema, strcmp(type, "integer") == 0, after);
    bool truth = strcmp(type, "boolean") == 0;
    if (!truth && strcmp(type, "null") != 0)
        return lm_automaton_fail(automaton, ERR_INPUT, "schema: unknown type '%.64s'", type);
    if (!only(automaton, schema, plain))
        return LM_NO_STATE;
    uint32_t root = lm_automaton_add(automaton);
    lm_automaton_text(automaton, root, truth ? STR("true") : STR("null"), after);
    if (truth)
        lm_automaton_text(automaton, root, STR("false"), after);
    return root;
}

/* enum or const, with or without a type that each of them must then have. */
static uint32_t fixed_of(struct lm_automaton *automaton, const json_t *schema, uint32_t after)
{
    static const char *const words[] = {"type", "enum", "const", NULL};
    const json_t *choices = json_object_get(schema, "enum");
    const json_t *value = json_object_get(schema, "const");
    const char *type = json_string_value(json_object_get(schema, "type"));
    if (!only(automaton, schema, words))
        return LM_NO_STATE;
    if (choices != NULL && value != NULL)
        return lm_automaton_fail(automaton, ERR_INPUT, "schema: enum or const, not both");
    size_t count = value != NULL ? 1 : json_array_size(choices);
    for (size_t i = 0; type != NULL && i < count; i++) {
        const json_t *one = value != NULL ? value : json_array_get(choices, i);
        bool fits = (json_is_string(one) && strcmp(type, "string") == 0) ||
                    (json_is_integer(one) && strcmp(type, "integer") == 0) ||
                    (json_is_number(one) && strcmp(type, "number") == 0) ||
                    (json_is_boolean(one) && strcmp(type, "boolean") == 0) ||
                    (json_is_null(one) && strcmp(type, "null") == 0);
        if (!fits)
            return lm_automaton_fail(automaton, ERR_INPUT,
                                     "schema: a value of enum or const is not of type '%.64s'",
                                     type);
    }
    if (value == NULL)
        return choice_of(automaton, choices, after);
    return text_of(automaton, value, lm_automaton_add(automaton), after);
}

static uint32_t value_of(struct lm_automaton *automaton, const json_t *schema, unsigned depth,
                         uint32_t after)
{
    if (automaton->err != ERR_OK)
        return LM_NO_STATE;
    if (depth >= DEPTH_MAX)
        return lm_automaton_fail(automaton, ERR_INPUT, "schema: more than %d levels", DEPTH_MAX);
    if (!json_is_object(schema))
        return lm_automaton_fail(automaton, ERR_INPUT, "schema: an object is expected");
    if (json_object_get(schema, "enum") != NULL || json_object_get(schema, "const") != NULL)
        return fixed_of(automaton, schema, after);
    const char *type = json_string_value(json_object_get(schema, "type"));
    if (type == NULL)
        return lm_automaton_fail(automaton, ERR_INPUT, "schema: one type is expected");
    return typed(automaton, schema, type, depth + 1, after);
}

uint32_t lm_automaton_schema(struct lm_automaton *automaton, struct str schema_json, uint32_t after)
{
    json_error_t error;
    if (schema_json.len > SCHEMA_BYTES)
        return lm_automaton_fail(automaton, ERR_INPUT, "the schema is too long");
    json_t *schema = json_loadb(schema_json.at, schema_json.len, JSON_REJECT_DUPLICATES, &error);
    if (schema == NULL) {
        (void)lm_automaton_fail(automaton, ERR_INPUT, "schema: %s", error.text);
        if (automaton->fault != NULL)
            automaton->fault->at_byte = error.position > 0 ? (size_t)error.position : 0;
        return LM_NO_STATE;
    }
    uint32_t start = value_of(automaton, schema, 0, after);
    json_decref(schema);
    return start;
}
