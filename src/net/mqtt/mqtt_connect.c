/* CONNECT (section 3.1), both ways. */
#include "net/mqtt/mqtt_codec_int.h"

enum {
    FLAG_RESERVED = 0x01,
    FLAG_CLEAN = 0x02,
    FLAG_WILL = 0x04,
    FLAG_WILL_RETAIN = 0x20,
    FLAG_PASSWORD = 0x40,
    FLAG_USER = 0x80,
};

/* ---- reading ---- */

static enum err read_protocol(struct mqtt_reader *reader, struct mqtt_connect *connect)
{
    struct str name;
    uint8_t level;
    enum err err = mqtt_read_binary(reader, &name);
    if (err == ERR_OK)
        err = mqtt_read_u8(reader, &level);
    if (err != ERR_OK)
        return err;
    bool ours = str_equal(name, STR("MQTT"));
    if (ours && (level == MQTT_V311 || level == MQTT_V5)) {
        connect->version = (enum mqtt_version)level;
        return ERR_OK;
    }
    if (!ours && !str_equal(name, STR("MQIsdp"))) /* the name before 3.1.1 */
        return mqtt_fault_at(reader, MQTT_MALFORMED, "not MQTT");
    /* The refusal is said in the dialect that comes nearest. */
    connect->version = ours && level > MQTT_V5 ? MQTT_V5 : MQTT_V311;
    return mqtt_fault_at(reader, MQTT_UNSUPPORTED_VERSION, "neither 3.1.1 nor 5.0");
}

static enum err check_flags(const struct mqtt_reader *reader, enum mqtt_version version,
                            uint8_t flags)
{
    unsigned will_qos = flags >> 3 & 3;
    if ((flags & FLAG_RESERVED) != 0)
        return mqtt_fault_at(reader, MQTT_MALFORMED, "a reserved flag");
    if (will_qos > 2)
        return mqtt_fault_at(reader, MQTT_MALFORMED, "a will of QoS 3");
    if ((flags & FLAG_WILL) == 0 && (will_qos != 0 || (flags & FLAG_WILL_RETAIN) != 0))
        return mqtt_fault_at(reader, MQTT_MALFORMED, "flags of a will without a will");
    if (version == MQTT_V311 && (flags & FLAG_PASSWORD) != 0 && (flags & FLAG_USER) == 0)
        return mqtt_fault_at(reader, MQTT_MALFORMED, "a password without a user name");
    return ERR_OK;
}

static enum err read_client_id(struct mqtt_reader *reader, struct mqtt_connect *connect)
{
    enum err err = mqtt_read_utf8(reader, &connect->client_id);
    if (err != ERR_OK)
        return err;
    if (connect->client_id.len > MQTT_CLIENT_ID_MAX)
        return mqtt_fault_at(reader, MQTT_BAD_CLIENT_ID, "the client id is too long");
    if (connect->client_id.len == 0 && connect->version == MQTT_V311 && !connect->clean_start)
        return mqtt_fault_at(reader, MQTT_BAD_CLIENT_ID, "a session of nobody");
    return ERR_OK;
}

static enum err read_will(struct mqtt_reader *reader, enum mqtt_version version, uint8_t flags,
                          struct mqtt_will *will)
{
    enum err err = ERR_OK;
    if ((flags & FLAG_WILL) == 0)
        return ERR_OK;
    will->present = true;
    will->retain = (flags & FLAG_WILL_RETAIN) != 0;
    will->qos = flags >> 3 & 3;
    if (version == MQTT_V5)
        err = mqtt_read_properties(reader, MQTT_IN_WILL, &will->properties);
    if (err == ERR_OK)
        err = mqtt_read_topic(reader, &will->topic);
    return err == ERR_OK ? mqtt_read_binary(reader, &will->payload) : err;
}

enum err mqtt_decode_connect(struct mqtt_reader *reader, struct mqtt_connect *ret_connect)
{
    *ret_connect = (struct mqtt_connect){0};
    uint8_t flags;
    enum err err = read_protocol(reader, ret_connect);
    if (err == ERR_OK)
        err = mqtt_read_u8(reader, &flags);
    if (err == ERR_OK)
        err = check_flags(reader, ret_connect->version, flags);
    if (err != ERR_OK)
        return err;
    ret_connect->clean_start = (flags & FLAG_CLEAN) != 0;
    ret_connect->has_user = (flags & FLAG_USER) != 0;
    ret_connect->has_password = (flags & FLAG_PASSWORD) != 0;
    err = mqtt_read_u16(reader, &ret_connect->keep_alive_s);
    if (err == ERR_OK && ret_connect->version == MQTT_V5)
        err = mqtt_read_properties(reader, MQTT_IN(MQTT_CONNECT), &ret_connect->properties);
    if (err == ERR_OK)
        err = read_client_id(reader, ret_connect);
    if (err == ERR_OK)
        err = read_will(reader, ret_connect->version, flags, &ret_connect->will);
    if (err == ERR_OK && ret_connect->has_user)
        err = mqtt_read_utf8(reader, &ret_connect->user);
    if (err == ERR_OK && ret_connect->has_password)
        err = mqtt_read_binary(reader, &ret_connect->password);
    return err == ERR_OK ? mqtt_read_end(reader) : err;
}

/* ---- writing ---- */

static unsigned connect_flags(const struct mqtt_connect *connect)
{
    const struct mqtt_will *will = &connect->will;
    unsigned flags = 0;
    if (connect->clean_start)
        flags |= FLAG_CLEAN;
    if (will->present)
        flags |= FLAG_WILL | (unsigned)will->qos << 3 | (will->retain ? FLAG_WILL_RETAIN : 0u);
    if (connect->has_password)
        flags |= FLAG_PASSWORD;
    if (connect->has_user)
        flags |= FLAG_USER;
    return flags;
}

static bool can_be_said(const struct mqtt_connect *connect)
{
    bool old = connect->version == MQTT_V311;
    if (!old && connect->version != MQTT_V5)
        return false;
    if (connect->will.present && (connect->will.qos > 2 || connect->will.topic.len == 0))
        return false;
    return !old || ((connect->has_user || !connect->has_password) &&
                    (connect->client_id.len != 0 || connect->clean_start));
}

void mqtt_encode_connect(struct mqtt_writer *writer, const struct mqtt_connect *connect)
{
    const struct mqtt_will *will = &connect->will;
    if (!can_be_said(connect)) {
        writer->failed = true;
        return;
    }
    mqtt_write_binary(writer, STR("MQTT"));
    mqtt_write_u8(writer, connect->version);
    mqtt_write_u8(writer, connect_flags(connect));
    mqtt_write_u16(writer, connect->keep_alive_s);
    if (connect->version == MQTT_V5)
        mqtt_write_properties(writer, MQTT_IN(MQTT_CONNECT), &connect->properties);
    mqtt_write_binary(writer, connect->client_id);
    if (will->present) {
        if (connect->version == MQTT_V5)
            mqtt_write_properties(writer, MQTT_IN_WILL, &will->properties);
        mqtt_write_binary(writer, will->topic);
        mqtt_write_binary(writer, will->payload);
    }
    if (connect->has_user)
        mqtt_write_binary(writer, connect->user);
    if (connect->has_password)
        mqtt_write_binary(writer, connect->password);
}
