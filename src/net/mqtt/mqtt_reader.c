/* Reading: the fixed header and the data types of section 1.5. */
#include "net/mqtt/mqtt_codec_int.h"
#include <string.h>

enum err mqtt_fault_at(const struct mqtt_reader *reader, enum mqtt_reason reason, const char *why)
{
    if (reader->fault != NULL)
        *reader->fault = (struct mqtt_fault){(size_t)(reader->at - reader->begin), why, reason};
    return ERR_INPUT;
}

static enum err frame_fault(struct mqtt_fault *fault, size_t at_byte, enum mqtt_reason reason,
                            const char *why)
{
    if (fault != NULL)
        *fault = (struct mqtt_fault){at_byte, why, reason};
    return reason == MQTT_PACKET_TOO_LARGE ? ERR_FULL : ERR_INPUT;
}

/* The low four bits of the first byte (section 2.1.3); PUBLISH's mean something. */
static bool flags_valid(uint8_t first)
{
    unsigned type = first >> 4, flags = first & 0x0F;
    if (type == MQTT_PUBLISH)
        return true;
    if (type == MQTT_PUBREL || type == MQTT_SUBSCRIBE || type == MQTT_UNSUBSCRIBE)
        return flags == 2;
    return type != 0 && flags == 0;
}

enum err mqtt_frame(struct str bytes, size_t packet_bytes_max, size_t *ret_bytes,
                    struct mqtt_fault *ret_fault)
{
    const uint8_t *at = (const uint8_t *)bytes.at;
    *ret_bytes = 0;
    if (bytes.len == 0)
        return ERR_AGAIN;
    if (!flags_valid(at[0]))
        return frame_fault(ret_fault, 0, MQTT_MALFORMED, "no packet begins so");
    size_t remaining = 0;
    for (size_t i = 1;; i++) {
        if (i >= bytes.len)
            return ERR_AGAIN;
        remaining |= (size_t)(at[i] & 0x7F) << (7 * (i - 1));
        if ((at[i] & 0x80) == 0) {
            size_t whole = 1 + i + remaining;
            if (whole > packet_bytes_max)
                return frame_fault(ret_fault, 1, MQTT_PACKET_TOO_LARGE, "the packet is too large");
            *ret_bytes = whole;
            return whole > bytes.len ? ERR_AGAIN : ERR_OK;
        }
        if (i == 4)
            return frame_fault(ret_fault, i, MQTT_MALFORMED, "the length has more than four bytes");
    }
}

size_t mqtt_varint_bytes(uint32_t value)
{
    return value < 128 ? 1 : value < 16384 ? 2 : value < 2097152 ? 3 : 4;
}

enum err mqtt_reader_open(struct str packet, enum mqtt_version version, struct mqtt_fault *fault,
                          struct mqtt_reader *ret_reader)
{
    size_t whole;
    enum err err = mqtt_frame(packet, SIZE_MAX, &whole, fault);
    if (err == ERR_OK && whole == packet.len) {
        const uint8_t *begin = (const uint8_t *)packet.at;
        size_t head = 2;
        while ((begin[head - 1] & 0x80) != 0)
            head++;
        *ret_reader = (struct mqtt_reader){begin + head, begin + whole, begin, fault};
        /* 5.0 wants the shortest form; 3.1.1 does not say, and small clients write a fixed size. */
        if (version == MQTT_V5 && head > 2 && begin[head - 1] == 0)
            return mqtt_fault_at(ret_reader, MQTT_MALFORMED, "the length is longer than need be");
        return ERR_OK;
    }
    if (err == ERR_INPUT)
        return err;
    return frame_fault(fault, 0, MQTT_MALFORMED, "not one whole packet");
}

static enum err truncated(const struct mqtt_reader *reader)
{
    return mqtt_fault_at(reader, MQTT_MALFORMED, "the packet ends too early");
}

enum err mqtt_read_u8(struct mqtt_reader *reader, uint8_t *ret_value)
{
    if (mqtt_left(reader) < 1)
        return truncated(reader);
    *ret_value = *reader->at++;
    return ERR_OK;
}

enum err mqtt_read_u16(struct mqtt_reader *reader, uint16_t *ret_value)
{
    if (mqtt_left(reader) < 2)
        return truncated(reader);
    *ret_value = (uint16_t)(reader->at[0] << 8 | reader->at[1]);
    reader->at += 2;
    return ERR_OK;
}

enum err mqtt_read_u32(struct mqtt_reader *reader, uint32_t *ret_value)
{
    if (mqtt_left(reader) < 4)
        return truncated(reader);
    *ret_value = (uint32_t)reader->at[0] << 24 | (uint32_t)reader->at[1] << 16 |
                 (uint32_t)reader->at[2] << 8 | reader->at[3];
    reader->at += 4;
    return ERR_OK;
}

enum err mqtt_read_varint(struct mqtt_reader *reader, uint32_t *ret_value)
{
    uint32_t value = 0;
    for (size_t i = 0; i < 4; i++) {
        if (mqtt_left(reader) <= i)
            return truncated(reader);
        uint8_t byte = reader->at[i];
        value |= (uint32_t)(byte & 0x7F) << (7 * i);
        if ((byte & 0x80) != 0)
            continue;
        if (i > 0 && byte == 0)
            return mqtt_fault_at(reader, MQTT_MALFORMED, "the number is longer than need be");
        reader->at += i + 1;
        *ret_value = value;
        return ERR_OK;
    }
    return mqtt_fault_at(reader, MQTT_MALFORMED, "the number has more than four bytes");
}

enum err mqtt_read_binary(struct mqtt_reader *reader, struct str *ret_bytes)
{
    uint16_t len;
    enum err err = mqtt_read_u16(reader, &len);
    if (err != ERR_OK)
        return err;
    if (mqtt_left(reader) < len)
        return truncated(reader);
    *ret_bytes = (struct str){(const char *)reader->at, len};
    reader->at += len;
    return ERR_OK;
}

#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

bool mqtt_text_valid(struct str text)
{
    size_t i = 0;
    /* Eight ASCII bytes at a time: no high bit, and none of them zero. */
    for (; i + 8 <= text.len; i += 8) {
        uint64_t word;
        memcpy(&word, text.at + i, 8);
        if (((word | (word - ONES)) & HIGHS) != 0)
            break;
    }
    for (; i < text.len; i++) {
        if (text.at[i] == 0)
            return false;
        if ((text.at[i] & 0x80) != 0)
            break;
    }
    if (i == text.len)
        return true;
    struct str rest = str_slice(text, i, text.len);
    return str_find(rest, 0) == rest.len && utf8_valid(rest);
}

enum err mqtt_read_utf8(struct mqtt_reader *reader, struct str *ret_text)
{
    struct str text;
    enum err err = mqtt_read_binary(reader, &text);
    if (err != ERR_OK)
        return err;
    if (!mqtt_text_valid(text)) {
        reader->at -= text.len;
        return mqtt_fault_at(reader, MQTT_MALFORMED, "the text is not UTF-8, or has a NUL");
    }
    *ret_text = text;
    return ERR_OK;
}

enum err mqtt_read_topic(struct mqtt_reader *reader, struct str *ret_topic)
{
    enum err err = mqtt_read_utf8(reader, ret_topic);
    if (err == ERR_OK && !mqtt_topic_valid(*ret_topic))
        return mqtt_fault_at(reader, MQTT_BAD_TOPIC, "no topic is named so");
    return err;
}

enum err mqtt_read_packet_id(struct mqtt_reader *reader, uint16_t *ret_id)
{
    enum err err = mqtt_read_u16(reader, ret_id);
    if (err == ERR_OK && *ret_id == 0)
        return mqtt_fault_at(reader, MQTT_PROTOCOL_ERROR, "the packet id is zero");
    return err;
}

enum err mqtt_read_end(struct mqtt_reader *reader)
{
    if (mqtt_left(reader) == 0)
        return ERR_OK;
    return mqtt_fault_at(reader, MQTT_MALFORMED, "bytes are left behind the end");
}
