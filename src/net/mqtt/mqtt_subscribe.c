/* Reading SUBSCRIBE, UNSUBSCRIBE and their answers (sections 3.8 to 3.11). */
#include "net/mqtt/mqtt_codec_int.h"

static bool shared(struct str filter)
{
    return str_starts(filter, STR("$share/"));
}

/* "$share/NAME/FILTER" (section 4.8.2) */
static bool shared_valid(struct str filter)
{
    struct str rest = str_slice(filter, STR("$share/").len, filter.len);
    size_t slash = str_find(rest, '/');
    struct str name = str_slice(rest, 0, slash);
    return slash != 0 && slash + 1 < rest.len && str_find(name, '+') == name.len &&
           str_find(name, '#') == name.len;
}

static enum err read_options(struct mqtt_reader *reader, enum mqtt_version version,
                             struct mqtt_filter *filter)
{
    uint8_t options;
    enum err err = mqtt_read_u8(reader, &options);
    if (err != ERR_OK)
        return err;
    uint8_t known = version == MQTT_V5 ? 0x3F : 0x03;
    filter->qos = options & 3;
    filter->no_local = (options & 4) != 0;
    filter->retain_as_published = (options & 8) != 0;
    filter->retain_handling = options >> 4 & 3;
    if ((options & ~known) != 0)
        return mqtt_fault_at(reader, MQTT_MALFORMED, "reserved bits of a subscription");
    if (filter->qos == 3)
        return mqtt_fault_at(reader, MQTT_MALFORMED, "a subscription of QoS 3");
    if (filter->retain_handling == 3)
        return mqtt_fault_at(reader, MQTT_PROTOCOL_ERROR, "retain handling 3");
    if (version == MQTT_V5 && filter->no_local && shared(filter->filter))
        return mqtt_fault_at(reader, MQTT_PROTOCOL_ERROR, "a shared subscription without itself");
    return ERR_OK;
}

static enum err read_filter(struct mqtt_reader *reader, enum mqtt_type type,
                            enum mqtt_version version, struct mqtt_filter *filter)
{
    *filter = (struct mqtt_filter){0};
    enum err err = mqtt_read_utf8(reader, &filter->filter);
    if (err != ERR_OK)
        return err;
    if (!mqtt_filter_valid(filter->filter) ||
        (version == MQTT_V5 && shared(filter->filter) && !shared_valid(filter->filter)))
        return mqtt_fault_at(reader, MQTT_BAD_FILTER, "no filter is written so");
    return type == MQTT_SUBSCRIBE ? read_options(reader, version, filter) : ERR_OK;
}

enum err mqtt_decode_subscribe(struct mqtt_reader *reader, enum mqtt_type type,
                               enum mqtt_version version, struct mqtt_subscribe *ret_subscribe)
{
    ret_subscribe->filter_count = 0;
    ret_subscribe->properties = (struct mqtt_properties){0};
    enum err err = mqtt_read_packet_id(reader, &ret_subscribe->packet_id);
    if (err == ERR_OK && version == MQTT_V5)
        err = mqtt_read_properties(reader, MQTT_IN(type), &ret_subscribe->properties);
    if (err != ERR_OK)
        return err;
    if (mqtt_left(reader) == 0)
        return mqtt_fault_at(reader, MQTT_PROTOCOL_ERROR, "no filter at all");
    while (mqtt_left(reader) != 0) {
        if (ret_subscribe->filter_count == MQTT_FILTERS_MAX)
            return mqtt_fault_at(reader, MQTT_QUOTA_EXCEEDED, "too many filters in one packet");
        err =
            read_filter(reader, type, version, &ret_subscribe->filter[ret_subscribe->filter_count]);
        if (err != ERR_OK)
            return err;
        ret_subscribe->filter_count++;
    }
    return ERR_OK;
}

static bool granted_valid(uint8_t code, enum mqtt_type type, enum mqtt_version version)
{
    if (version == MQTT_V5)
        return mqtt_reason_fits((enum mqtt_reason)code, type);
    return code <= 2 || code == 0x80;
}

enum err mqtt_decode_suback(struct mqtt_reader *reader, enum mqtt_type type,
                            enum mqtt_version version, struct mqtt_suback *ret_suback)
{
    struct mqtt_properties ignored;
    *ret_suback = (struct mqtt_suback){.type = type};
    enum err err = mqtt_read_packet_id(reader, &ret_suback->packet_id);
    if (err == ERR_OK && version == MQTT_V5)
        err = mqtt_read_properties(reader, MQTT_IN(type), &ignored);
    if (err != ERR_OK)
        return err;
    if (type == MQTT_UNSUBACK && version == MQTT_V311)
        return mqtt_read_end(reader);
    if (mqtt_left(reader) == 0)
        return mqtt_fault_at(reader, MQTT_PROTOCOL_ERROR, "no answer at all");
    while (mqtt_left(reader) != 0) {
        uint8_t code = *reader->at;
        if (ret_suback->reason_count == MQTT_FILTERS_MAX)
            return mqtt_fault_at(reader, MQTT_QUOTA_EXCEEDED, "too many answers in one packet");
        if (!granted_valid(code, type, version))
            return mqtt_fault_at(reader, MQTT_PROTOCOL_ERROR, "an unknown answer");
        ret_suback->reason[ret_suback->reason_count++] = code;
        reader->at++;
    }
    return ERR_OK;
}
