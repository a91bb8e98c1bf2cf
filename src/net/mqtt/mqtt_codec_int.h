/* What the files of the codec share: a reader that cannot leave its bytes, a writer that only
 * counts when it has nowhere to write, and the table of properties. */
#ifndef AUTOMAT_MQTT_CODEC_INT_H
#define AUTOMAT_MQTT_CODEC_INT_H

#include "net/mqtt/mqtt_codec.h"

#define MQTT_REMAINING_MAX 268435455u /* section 2.1.4 */

/* ---- reading ---- */

struct mqtt_reader {
    const uint8_t *at, *end;
    const uint8_t *begin; /* of the packet: faults count from here */
    struct mqtt_fault *fault;
};

/* Note what is wrong, here, and say ERR_INPUT. */
enum err mqtt_fault_at(const struct mqtt_reader *reader, enum mqtt_reason reason, const char *why);

static inline size_t mqtt_left(const struct mqtt_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* The rest of the packet behind its fixed header, which has been measured to be whole. */
MUST_USE enum err mqtt_reader_open(struct str packet, enum mqtt_version version,
                                   struct mqtt_fault *fault, struct mqtt_reader *ret_reader);
MUST_USE enum err mqtt_read_u8(struct mqtt_reader *reader, uint8_t *ret_value);
MUST_USE enum err mqtt_read_u16(struct mqtt_reader *reader, uint16_t *ret_value);
MUST_USE enum err mqtt_read_u32(struct mqtt_reader *reader, uint32_t *ret_value);
MUST_USE enum err mqtt_read_varint(struct mqtt_reader *reader, uint32_t *ret_value);
MUST_USE enum err mqtt_read_binary(struct mqtt_reader *reader, struct str *ret_bytes);
MUST_USE enum err mqtt_read_utf8(struct mqtt_reader *reader, struct str *ret_text);
MUST_USE enum err mqtt_read_topic(struct mqtt_reader *reader, struct str *ret_topic);
MUST_USE enum err mqtt_read_packet_id(struct mqtt_reader *reader, uint16_t *ret_id);
MUST_USE enum err mqtt_read_end(struct mqtt_reader *reader);

/* UTF-8 without NUL (section 1.5.4). */
bool mqtt_text_valid(struct str text);
bool mqtt_reason_fits(enum mqtt_reason reason, enum mqtt_type type);

/* ---- writing ---- */

struct mqtt_writer {
    uint8_t *at; /* NULL: only count */
    size_t len;
    bool failed; /* a value that cannot be said */
};

void mqtt_write_u8(struct mqtt_writer *writer, unsigned value);
void mqtt_write_u16(struct mqtt_writer *writer, unsigned value);
void mqtt_write_u32(struct mqtt_writer *writer, uint32_t value);
void mqtt_write_varint(struct mqtt_writer *writer, uint32_t value);
void mqtt_write_bytes(struct mqtt_writer *writer, struct str bytes);
void mqtt_write_binary(struct mqtt_writer *writer, struct str bytes); /* length first */
size_t mqtt_varint_bytes(uint32_t value);

/* ---- properties ---- */

/* Where a property may stand: bit of the packet type; the will's are in CONNECT's payload. */
#define MQTT_IN(type)  (1u << (type))
#define MQTT_IN_WILL   1u
#define MQTT_PROP_USER 0x26

/* Length and properties of packet `place` (one MQTT_IN bit); all zero when there are none. */
MUST_USE enum err mqtt_read_properties(struct mqtt_reader *reader, uint32_t place,
                                       struct mqtt_properties *ret_properties);
/* Those of `properties` that may stand in `place`; the others are left out. */
void mqtt_write_properties(struct mqtt_writer *writer, uint32_t place,
                           const struct mqtt_properties *properties);

/* ---- packets, by file ---- */
MUST_USE enum err mqtt_decode_connect(struct mqtt_reader *reader, struct mqtt_connect *ret_connect);
void mqtt_encode_connect(struct mqtt_writer *writer, const struct mqtt_connect *connect);
MUST_USE enum err mqtt_decode_subscribe(struct mqtt_reader *reader, enum mqtt_type type,
                                        enum mqtt_version version,
                                        struct mqtt_subscribe *ret_subscribe);
MUST_USE enum err mqtt_decode_suback(struct mqtt_reader *reader, enum mqtt_type type,
                                     enum mqtt_version version, struct mqtt_suback *ret_suback);

#endif
