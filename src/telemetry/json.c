/* One flat JSON object, read in place. */
#include "telemetry/telemetry_parse_int.h"

void telemetry_json_init(struct telemetry_json *json, struct str text)
{
    *json = (struct telemetry_json){.text = text};
}

static enum telemetry_json_step broken(struct telemetry_json *json, const char *why)
{
    json->why = why;
    return TELEMETRY_JSON_BROKEN;
}

static void skip_space(struct telemetry_json *json)
{
    for (; json->at < json->text.len; json->at++) {
        char c = json->text.at[json->at];
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            return;
    }
}

/* The next byte, or NUL at the end (which is not allowed anywhere we look for something). */
static char peek(const struct telemetry_json *json)
{
    return json->at < json->text.len ? json->text.at[json->at] : '\0';
}

static bool take_byte(struct telemetry_json *json, char c)
{
    if (peek(json) != c)
        return false;
    json->at++;
    return true;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* What follows a backslash. */
static bool take_escape(struct telemetry_json *json)
{
    char c = peek(json);
    if (c == 'u') {
        for (int i = 0; i < 4; i++) {
            json->at++;
            if (!is_hex(peek(json)))
                return false;
        }
    } else if (c != '"' && c != '\\' && c != '/' && c != 'b' && c != 'f' && c != 'n' && c != 'r' &&
               c != 't') {
        return false;
    }
    json->at++;
    return true;
}

static bool take_string(struct telemetry_json *json, struct str *ret_raw)
{
    if (!take_byte(json, '"')) {
        json->why = "a string is expected";
        return false;
    }
    size_t first = json->at;
    for (;;) {
        if (json->at >= json->text.len) {
            json->why = "the string has no end";
            return false;
        }
        unsigned char c = (unsigned char)json->text.at[json->at];
        if (c < 0x20) {
            json->why = "a control character in a string";
            return false;
        }
        if (c == '"')
            break;
        json->at++;
        if (c == '\\' && !take_escape(json)) {
            json->why = "no such escape";
            return false;
        }
    }
    *ret_raw = (struct str){json->text.at + first, json->at - first};
    json->at++;
    return true;
}

static bool take_word(struct telemetry_json *json, struct str word)
{
    struct str here = str_slice(json->text, json->at, json->at + word.len);
    if (!str_equal(here, word))
        return false;
    json->at += word.len;
    return true;
}

static bool take_number(struct telemetry_json *json, struct str *ret_text)
{
    size_t first = json->at;
    for (;; json->at++) {
        char c = peek(json);
        bool of_number =
            (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
        if (!of_number)
            break;
    }
    *ret_text = (struct str){json->text.at + first, json->at - first};
    double value;
    if (telemetry_number_parse(*ret_text, &value) != TELEMETRY_NUMBER_MALFORMED)
        return true;
    json->at = first;
    return false;
}

static bool take_value(struct telemetry_json *json, struct telemetry_member *member)
{
    member->at_byte = json->at;
    member->text = STR_NONE;
    switch (peek(json)) {
    case '"':
        member->kind = TELEMETRY_JSON_STRING;
        return take_string(json, &member->text);
    case '{':
    case '[':
        json->why = "a number or a string is expected, not more JSON";
        return false;
    default:
        break;
    }
    if (take_word(json, STR("null"))) {
        member->kind = TELEMETRY_JSON_NULL;
        return true;
    }
    if (take_word(json, STR("true")) || take_word(json, STR("false"))) {
        member->kind = TELEMETRY_JSON_BOOL;
        return true;
    }
    member->kind = TELEMETRY_JSON_NUMBER;
    if (take_number(json, &member->text))
        return true;
    json->why = "a value is expected";
    return false;
}

/* After the object: nothing but space. */
static enum telemetry_json_step end(struct telemetry_json *json)
{
    json->at++;
    skip_space(json);
    if (json->at < json->text.len)
        return broken(json, "something follows the object");
    return utf8_valid(json->text) ? TELEMETRY_JSON_END : broken(json, "not UTF-8");
}

enum telemetry_json_step telemetry_json_next(struct telemetry_json *json,
                                             struct telemetry_member *ret_member)
{
    skip_space(json);
    if (json->members == 0) {
        if (!take_byte(json, '{'))
            return broken(json, "an object is expected");
        skip_space(json);
        if (peek(json) == '}')
            return end(json);
    } else {
        if (peek(json) == '}')
            return end(json);
        if (!take_byte(json, ','))
            return broken(json, "',' or '}' is expected");
        skip_space(json);
    }
    json->members++;
    if (!take_string(json, &ret_member->key))
        return TELEMETRY_JSON_BROKEN;
    skip_space(json);
    if (!take_byte(json, ':'))
        return broken(json, "':' is expected");
    skip_space(json);
    return take_value(json, ret_member) ? TELEMETRY_JSON_MEMBER : TELEMETRY_JSON_BROKEN;
}
