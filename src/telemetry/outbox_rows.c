/* Rows of the outbox as bytes: little-endian, self-delimiting (telemetry_int.h). */
#include "telemetry/telemetry_int.h"

#include <string.h>

#define TEXT_MAX 255

/* ---- writing ---- */

struct writer {
    uint8_t at[TELEMETRY_OUTBOX_ROW_BYTES];
    size_t len;
};

static void put(struct writer *writer, uint64_t bits, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        writer->at[writer->len++] = (uint8_t)(bits >> (8 * i));
}

static void put_i64(struct writer *writer, int64_t value)
{
    put(writer, (uint64_t)value, 8);
}

static void put_f64(struct writer *writer, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    put(writer, bits, 8);
}

/* Cut to what fits, never inside a character. */
static void put_text(struct writer *writer, struct str text)
{
    size_t len = text.len;
    if (len > TEXT_MAX) {
        len = TEXT_MAX;
        while (len > 0 && ((unsigned char)text.at[len] & 0xC0) == 0x80)
            len--;
    }
    put(writer, len, 1);
    if (len > 0)
        memcpy(writer->at + writer->len, text.at, len);
    writer->len += len;
}

static void put_reading(struct writer *writer, const struct telemetry_outbox_reading *row)
{
    put_i64(writer, row->at_ms);
    put_i64(writer, row->received_at_ms);
    put(writer, (uint64_t)row->provenance, 1);
    put_f64(writer, row->value);
    put_text(writer, row->machine_id);
    put_text(writer, row->type);
}

static void put_action(struct writer *writer, const struct telemetry_action *row)
{
    put_i64(writer, row->at_ms);
    put(writer, row->command_id, 8);
    put_f64(writer, row->position_pct);
    put_f64(writer, row->requested_pct);
    put_f64(writer, row->confidence);
    put_f64(writer, row->temperature_c);
    put_f64(writer, row->humidity_pct);
    put_f64(writer, row->sound_volume);
    put_text(writer, row->machine_id);
    put_text(writer, row->source);
    put_text(writer, row->state);
    put_f64(writer, row->said_pct);
    put_f64(writer, row->said_confidence);
    put_text(writer, row->said_version);
}

static void put_prediction(struct writer *writer, const struct telemetry_prediction *row)
{
    put_i64(writer, row->at_ms);
    put_f64(writer, row->temperature_c);
    put_f64(writer, row->humidity_pct);
    put_f64(writer, row->sound_volume);
    put_f64(writer, row->position_pct);
    put_f64(writer, row->confidence);
    put_f64(writer, row->latency_ms);
    put_text(writer, row->machine_id);
    put_text(writer, row->model_version);
    put_text(writer, row->decision);
    put_text(writer, row->request_id);
}

static void put_device(struct writer *writer, const struct telemetry_device *row)
{
    put_i64(writer, row->at_ms);
    put_i64(writer, row->created_at_ms);
    put_i64(writer, row->last_seen_at_ms);
    put(writer, row->online, 1);
    put_text(writer, row->machine_id);
    put_text(writer, row->kind);
    put_text(writer, row->name);
    put_text(writer, row->firmware);
    put_text(writer, row->admission);
}

enum err telemetry_outbox_encode(struct buf *dst, const struct telemetry_outbox_row *row)
{
    struct writer writer = {.len = 2};
    switch (row->table) {
    case TELEMETRY_SINK_READINGS:
        put_reading(&writer, &row->of.reading);
        break;
    case TELEMETRY_SINK_ACTIONS:
        put_action(&writer, &row->of.action);
        break;
    case TELEMETRY_SINK_PREDICTIONS:
        put_prediction(&writer, &row->of.prediction);
        break;
    case TELEMETRY_SINK_DEVICES:
        put_device(&writer, &row->of.device);
        break;
    case TELEMETRY_SINK_TABLE_COUNT:
    default:
        return ERR_INPUT;
    }
    size_t len = writer.len;
    writer.len = 0;
    put(&writer, len - 2, 2);
    return buf_add(dst, writer.at, len);
}

/* ---- reading ---- */

struct reader {
    struct str left;
    bool broken;
};

static uint64_t get(struct reader *reader, size_t bytes)
{
    uint64_t bits = 0;
    if (reader->left.len < bytes) {
        reader->broken = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++)
        bits |= (uint64_t)(uint8_t)reader->left.at[i] << (8 * i);
    reader->left.at += bytes;
    reader->left.len -= bytes;
    return bits;
}

static int64_t get_i64(struct reader *reader)
{
    return (int64_t)get(reader, 8);
}

static double get_f64(struct reader *reader)
{
    uint64_t bits = get(reader, 8);
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static struct str get_text(struct reader *reader)
{
    size_t len = get(reader, 1);
    if (reader->left.len < len) {
        reader->broken = true;
        return STR_NONE;
    }
    struct str text = {reader->left.at, len};
    reader->left.at += len;
    reader->left.len -= len;
    return text;
}

static void get_reading(struct reader *reader, struct telemetry_outbox_reading *row)
{
    row->at_ms = get_i64(reader);
    row->received_at_ms = get_i64(reader);
    uint64_t provenance = get(reader, 1);
    reader->broken = reader->broken || provenance > TELEMETRY_ESTIMATED;
    row->provenance = provenance > TELEMETRY_ESTIMATED ? TELEMETRY_MEASURED
                                                       : (enum telemetry_provenance)provenance;
    row->value = get_f64(reader);
    row->machine_id = get_text(reader);
    row->type = get_text(reader);
}

static void get_action(struct reader *reader, struct telemetry_action *row)
{
    row->at_ms = get_i64(reader);
    row->command_id = get(reader, 8);
    row->position_pct = get_f64(reader);
    row->requested_pct = get_f64(reader);
    row->confidence = get_f64(reader);
    row->temperature_c = get_f64(reader);
    row->humidity_pct = get_f64(reader);
    row->sound_volume = get_f64(reader);
    row->machine_id = get_text(reader);
    row->source = get_text(reader);
    row->state = get_text(reader);
    row->said_pct = get_f64(reader);
    row->said_confidence = get_f64(reader);
    row->said_version = get_text(reader);
}

static void get_prediction(struct reader *reader, struct telemetry_prediction *row)
{
    row->at_ms = get_i64(reader);
    row->temperature_c = get_f64(reader);
    row->humidity_pct = get_f64(reader);
    row->sound_volume = get_f64(reader);
    row->position_pct = get_f64(reader);
    row->confidence = get_f64(reader);
    row->latency_ms = get_f64(reader);
    row->machine_id = get_text(reader);
    row->model_version = get_text(reader);
    row->decision = get_text(reader);
    row->request_id = get_text(reader);
}

static void get_device(struct reader *reader, struct telemetry_device *row)
{
    row->at_ms = get_i64(reader);
    row->created_at_ms = get_i64(reader);
    row->last_seen_at_ms = get_i64(reader);
    row->online = get(reader, 1) != 0;
    row->machine_id = get_text(reader);
    row->kind = get_text(reader);
    row->name = get_text(reader);
    row->firmware = get_text(reader);
    row->admission = get_text(reader);
}

enum err telemetry_outbox_decode(struct str *bytes, enum telemetry_sink_table table,
                                 struct telemetry_outbox_row *ret_row)
{
    if (bytes->len == 0)
        return ERR_NOT_FOUND;
    struct reader outer = {.left = *bytes};
    size_t len = get(&outer, 2);
    if (outer.broken || outer.left.len < len)
        return ERR_INPUT;
    struct reader reader = {.left = {outer.left.at, len}};
    struct telemetry_outbox_row row = {.table = table};
    switch (table) {
    case TELEMETRY_SINK_READINGS:
        get_reading(&reader, &row.of.reading);
        break;
    case TELEMETRY_SINK_ACTIONS:
        get_action(&reader, &row.of.action);
        break;
    case TELEMETRY_SINK_PREDICTIONS:
        get_prediction(&reader, &row.of.prediction);
        break;
    case TELEMETRY_SINK_DEVICES:
        get_device(&reader, &row.of.device);
        break;
    case TELEMETRY_SINK_TABLE_COUNT:
    default:
        return ERR_INPUT;
    }
    if (reader.broken)
        return ERR_INPUT;
    *bytes = (struct str){outer.left.at + len, outer.left.len - len};
    *ret_row = row;
    return ERR_OK;
}
