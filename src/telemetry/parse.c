/* One message of sensor/{machine}/{type}. */
#include "telemetry/telemetry_parse_int.h"

#include <stdio.h>
#include <string.h>

#define SECONDS_MAX                                                                                \
    1e11 /* at: a number below is seconds (until the year 5138), else ms (from 1973) */
#define AT_MS_MAX    1e15
#define SHOWN_LENGTH 40 /* bytes of outside text in a sentence */

struct parse {
    struct str type; /* of the topic */
    struct telemetry_reading *readings;
    uint32_t count;
    bool at_given, provenance_given;
    int64_t at_ms;
    enum telemetry_provenance provenance;
    char *why;
};

static int shown(struct str text)
{
    return (int)(text.len < SHOWN_LENGTH ? text.len : SHOWN_LENGTH);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* A line from a shell has its newline, a number from a small board its padding. */
static struct str trim(struct str text)
{
    while (text.len > 0 && is_space(text.at[0]))
        text = (struct str){text.at + 1, text.len - 1};
    while (text.len > 0 && is_space(text.at[text.len - 1]))
        text.len--;
    return text;
}

static enum telemetry_refusal bad_json(struct parse *parse, const char *why, size_t at_byte)
{
    telemetry_why(parse->why, "Byte %zu: %s.", at_byte, why);
    return TELEMETRY_BAD_JSON;
}

static enum telemetry_refusal number(struct parse *parse, struct str text, size_t at_byte,
                                     double *ret_value)
{
    switch (telemetry_number_parse(text, ret_value)) {
    case TELEMETRY_NUMBER_OK:
        return TELEMETRY_ACCEPTED;
    case TELEMETRY_NUMBER_TOO_LARGE:
        telemetry_why(parse->why, "Byte %zu: '%.*s' is too large for a number.", at_byte,
                      shown(text), text.at);
        return TELEMETRY_BAD_NUMBER;
    case TELEMETRY_NUMBER_MALFORMED:
    default:
        telemetry_why(parse->why, "Byte %zu: '%.*s' is not a decimal number.", at_byte, shown(text),
                      text.len > 0 ? text.at : "");
        return TELEMETRY_BAD_NUMBER;
    }
}

static enum telemetry_refusal add(struct parse *parse, struct str type, double value)
{
    if (parse->count == TELEMETRY_READINGS_MAX) {
        telemetry_why(parse->why, "More than %d readings in one message.", TELEMETRY_READINGS_MAX);
        return TELEMETRY_BAD_JSON;
    }
    struct telemetry_reading *reading = &parse->readings[parse->count];
    *reading = (struct telemetry_reading){.value = value};
    memcpy(reading->type, type.at, type.len); /* its length was checked */
    parse->count++;
    return TELEMETRY_ACCEPTED;
}

/* ---- members that say something about the reading ---- */

static enum telemetry_refusal take_at(struct parse *parse, const struct telemetry_member *member)
{
    double number_of;
    if (parse->at_given)
        return bad_json(parse, "at stands twice", member->at_byte);
    parse->at_given = true;
    if (member->kind == TELEMETRY_JSON_NULL)
        return TELEMETRY_ACCEPTED; /* the device has no clock: server time */
    if (member->kind == TELEMETRY_JSON_STRING) {
        if (time_parse(member->text, &parse->at_ms) == ERR_OK)
            return TELEMETRY_ACCEPTED;
        return bad_json(parse, "at is no time as in RFC 3339", member->at_byte);
    }
    if (member->kind != TELEMETRY_JSON_NUMBER ||
        telemetry_number_parse(member->text, &number_of) != TELEMETRY_NUMBER_OK)
        return bad_json(parse, "at is no time", member->at_byte);
    if (number_of < SECONDS_MAX)
        number_of *= 1000;
    if (number_of < 0 || number_of > AT_MS_MAX)
        return bad_json(parse, "at is no time in s or ms since 1970", member->at_byte);
    parse->at_ms = (int64_t)(number_of + 0.5);
    return TELEMETRY_ACCEPTED;
}

static enum telemetry_refusal take_provenance(struct parse *parse,
                                              const struct telemetry_member *member)
{
    if (parse->provenance_given)
        return bad_json(parse, "provenance stands twice", member->at_byte);
    parse->provenance_given = true;
    for (int i = TELEMETRY_MEASURED; i <= TELEMETRY_ESTIMATED; i++) {
        enum telemetry_provenance provenance = (enum telemetry_provenance)i;
        if (member->kind == TELEMETRY_JSON_STRING &&
            str_equal(member->text, str_from(telemetry_provenance_name(provenance)))) {
            parse->provenance = provenance;
            return TELEMETRY_ACCEPTED;
        }
    }
    return bad_json(parse, "provenance must be measured, simulated or estimated", member->at_byte);
}

/* "unit": it must be the one we know, or we would store degrees of another scale. */
static enum telemetry_refusal take_unit(struct parse *parse, const struct telemetry_member *member)
{
    const struct telemetry_type *type = telemetry_type_find(parse->type);
    if (type == NULL ||
        (member->kind == TELEMETRY_JSON_STRING && str_equal(member->text, str_from(type->unit))))
        return TELEMETRY_ACCEPTED;
    telemetry_why(parse->why, "Byte %zu: the unit of %s is '%s'.", member->at_byte, type->name,
                  type->unit);
    return TELEMETRY_BAD_JSON;
}

/* True: it was one of the two that every object may have. */
static bool take_common(struct parse *parse, const struct telemetry_member *member,
                        enum telemetry_refusal *ret_refusal)
{
    if (str_equal(member->key, STR("at")))
        *ret_refusal = take_at(parse, member);
    else if (str_equal(member->key, STR("provenance")))
        *ret_refusal = take_provenance(parse, member);
    else
        return false;
    return true;
}

static enum telemetry_refusal unknown(struct parse *parse, const struct telemetry_member *member)
{
    telemetry_why(parse->why, "Byte %zu: no member '%.*s' is known here.", member->at_byte,
                  shown(member->key), member->key.at);
    return TELEMETRY_BAD_JSON;
}

/* ---- the three shapes of an object ---- */

/* {"value": 21.5, ...} */
static enum telemetry_refusal take_value(struct parse *parse, const struct telemetry_member *member)
{
    double value;
    if (str_equal(member->key, STR("unit")))
        return take_unit(parse, member);
    if (!str_equal(member->key, STR("value")))
        return unknown(parse, member);
    if (parse->count > 0)
        return bad_json(parse, "value stands twice", member->at_byte);
    if (member->kind != TELEMETRY_JSON_NUMBER) {
        telemetry_why(parse->why, "Byte %zu: value is not a number.", member->at_byte);
        return TELEMETRY_BAD_NUMBER;
    }
    enum telemetry_refusal refusal = number(parse, member->text, member->at_byte, &value);
    return refusal == TELEMETRY_ACCEPTED ? add(parse, parse->type, value) : refusal;
}

/* {"temperature": 21.5, "humidity": 40, ...}; null: this sensor has nothing to say. */
static enum telemetry_refusal take_named(struct parse *parse, const struct telemetry_member *member)
{
    double value;
    enum telemetry_refusal refusal = telemetry_type_check(member->key, parse->why);
    if (refusal != TELEMETRY_ACCEPTED)
        return refusal;
    for (uint32_t i = 0; i < parse->count; i++)
        if (str_equal(str_from(parse->readings[i].type), member->key))
            return bad_json(parse, "a reading stands twice", member->at_byte);
    if (member->kind == TELEMETRY_JSON_NULL)
        return TELEMETRY_ACCEPTED;
    if (member->kind != TELEMETRY_JSON_NUMBER) {
        telemetry_why(parse->why, "Byte %zu: %.*s is not a number.", member->at_byte,
                      shown(member->key), member->key.at);
        return TELEMETRY_BAD_NUMBER;
    }
    refusal = number(parse, member->text, member->at_byte, &value);
    return refusal == TELEMETRY_ACCEPTED ? add(parse, member->key, value) : refusal;
}

static enum telemetry_refusal each_member(
    struct parse *parse, struct str payload,
    enum telemetry_refusal (*take)(struct parse *parse, const struct telemetry_member *member))
{
    struct telemetry_json json;
    struct telemetry_member member;
    telemetry_json_init(&json, payload);
    for (;;) {
        enum telemetry_json_step step = telemetry_json_next(&json, &member);
        if (step == TELEMETRY_JSON_BROKEN)
            return bad_json(parse, json.why, json.at);
        if (step == TELEMETRY_JSON_END)
            break;
        enum telemetry_refusal refusal;
        if (!take_common(parse, &member, &refusal))
            refusal = take(parse, &member);
        if (refusal != TELEMETRY_ACCEPTED)
            return refusal;
    }
    if (parse->count > 0)
        return TELEMETRY_ACCEPTED;
    telemetry_why(parse->why, "The object has no reading.");
    return TELEMETRY_BAD_JSON;
}

/* {"pcm": "...", "rate": 16000, ...} */
static enum telemetry_refusal find_audio(struct parse *parse, struct str payload,
                                         struct str *ret_pcm, uint32_t *ret_rate_hz)
{
    struct telemetry_json json;
    struct telemetry_member member;
    enum telemetry_refusal refusal = TELEMETRY_ACCEPTED;
    enum telemetry_json_step step;
    double rate = TELEMETRY_AUDIO_RATE;
    bool rate_given = false;
    telemetry_json_init(&json, payload);
    while ((step = telemetry_json_next(&json, &member)) == TELEMETRY_JSON_MEMBER) {
        if (str_equal(member.key, STR("pcm")) && member.kind == TELEMETRY_JSON_STRING &&
            ret_pcm->at == NULL) {
            *ret_pcm = member.text;
        } else if (str_equal(member.key, STR("rate")) && member.kind == TELEMETRY_JSON_NUMBER &&
                   !rate_given) {
            rate_given = true;
            refusal = number(parse, member.text, member.at_byte, &rate);
        } else if (!take_common(parse, &member, &refusal)) {
            refusal = unknown(parse, &member);
        }
        if (refusal != TELEMETRY_ACCEPTED)
            return refusal;
    }
    if (step == TELEMETRY_JSON_BROKEN)
        return bad_json(parse, json.why, json.at);
    if (ret_pcm->at == NULL)
        return bad_json(parse, "pcm is missing", payload.len);
    if (!(rate >= 1 && rate <= 1e6) || rate != (double)(uint32_t)rate) {
        telemetry_why(parse->why, "The rate is no whole number of Hz.");
        return TELEMETRY_BAD_AUDIO;
    }
    *ret_rate_hz = (uint32_t)rate;
    return TELEMETRY_ACCEPTED;
}

static enum telemetry_refusal parse_audio(struct parse *parse, struct str payload)
{
    double volume;
    double dbfs;
    uint32_t rate_hz = TELEMETRY_AUDIO_RATE;
    struct str pcm = payload;
    bool object = payload.len > 0 && payload.at[0] == '{';
    enum telemetry_refusal refusal = TELEMETRY_ACCEPTED;
    if (object) {
        pcm = STR_NONE;
        refusal = find_audio(parse, payload, &pcm, &rate_hz);
    }
    if (refusal == TELEMETRY_ACCEPTED)
        refusal = telemetry_audio_measure(pcm, object, rate_hz, &volume, &dbfs, parse->why);
    if (refusal == TELEMETRY_ACCEPTED)
        refusal = add(parse, STR("sound_volume"), volume);
    if (refusal == TELEMETRY_ACCEPTED)
        refusal = add(parse, STR("sound_dbfs"), dbfs);
    return refusal;
}

static enum telemetry_refusal parse_shape(struct parse *parse, struct str payload)
{
    double value;
    if (str_equal(parse->type, STR("audio")))
        return parse_audio(parse, payload);
    if (str_equal(parse->type, STR("readings")))
        return each_member(parse, payload, take_named);
    if (payload.len > 0 && payload.at[0] == '{')
        return each_member(parse, payload, take_value);
    enum telemetry_refusal refusal = number(parse, payload, 0, &value);
    return refusal == TELEMETRY_ACCEPTED ? add(parse, parse->type, value) : refusal;
}

enum telemetry_refusal
telemetry_parse(struct str type, struct str payload, int64_t now_ms,
                struct telemetry_reading ret_readings[TELEMETRY_READINGS_MAX], uint32_t *ret_count,
                char why[TELEMETRY_WHY_BYTES])
{
    struct parse parse = {.type = type, .readings = ret_readings, .why = why};
    why[0] = '\0';
    enum telemetry_refusal refusal = telemetry_type_check(type, why);
    if (refusal == TELEMETRY_ACCEPTED)
        refusal = parse_shape(&parse, trim(payload));
    for (uint32_t i = 0; refusal == TELEMETRY_ACCEPTED && i < parse.count; i++) {
        ret_readings[i].at_ms = parse.at_ms != 0 ? parse.at_ms : now_ms;
        ret_readings[i].provenance = parse.provenance;
        refusal = telemetry_value_check(&ret_readings[i], now_ms, why);
    }
    if (refusal == TELEMETRY_ACCEPTED)
        *ret_count = parse.count;
    return refusal;
}
