/* Writing: the data types of section 1.5. */
#include "net/mqtt/mqtt_codec_int.h"
#include <string.h>

void mqtt_write_u8(struct mqtt_writer *writer, unsigned value)
{
    if (writer->at != NULL)
        writer->at[writer->len] = (uint8_t)value;
    writer->len++;
}

void mqtt_write_u16(struct mqtt_writer *writer, unsigned value)
{
    mqtt_write_u8(writer, value >> 8 & 0xFF);
    mqtt_write_u8(writer, value & 0xFF);
}

void mqtt_write_u32(struct mqtt_writer *writer, uint32_t value)
{
    mqtt_write_u16(writer, value >> 16);
    mqtt_write_u16(writer, value & 0xFFFF);
}

void mqtt_write_varint(struct mqtt_writer *writer, uint32_t value)
{
    if (value > MQTT_REMAINING_MAX)
        writer->failed = true;
    do {
        mqtt_write_u8(writer, (value & 0x7F) | (value > 0x7F ? 0x80 : 0));
        value >>= 7;
    } while (value != 0);
}

void mqtt_write_bytes(struct mqtt_writer *writer, struct str bytes)
{
    if (writer->at != NULL && bytes.len != 0)
        memcpy(writer->at + writer->len, bytes.at, bytes.len);
    writer->len += bytes.len;
}

void mqtt_write_binary(struct mqtt_writer *writer, struct str bytes)
{
    if (bytes.len > UINT16_MAX) {
        writer->failed = true;
        return;
    }
    mqtt_write_u16(writer, (unsigned)bytes.len);
    mqtt_write_bytes(writer, bytes);
}
