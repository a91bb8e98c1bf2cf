/* A row in RowBinary: the columns in the order of schema.c, little-endian, texts after their length
 * as a varint, what may be missing after a byte that says so. */
#include "telemetry/clickhouse/clickhouse_int.h"

#include <math.h>
#include <string.h>

struct writer {
    uint8_t at[TELEMETRY_OUTBOX_ROW_BYTES + 256];
    size_t len;
};

static void put(struct writer *writer, const void *bytes, size_t len)
{
    ASSERT(len <= sizeof(writer->at) - writer->len);
    memcpy(writer->at + writer->len, bytes, len);
    writer->len += len;
}

static void put_u(struct writer *writer, uint64_t value, unsigned bytes)
{
    uint8_t out[8];
    for (unsigned i = 0; i < bytes; i++)
        out[i] = (uint8_t)(value >> (8 * i));
    put(writer, out, bytes);
}

static void put_f64(struct writer *writer, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    put_u(writer, bits, 8);
}

static void put_maybe(struct writer *writer, double value)
{
    bool none = !isfinite(value);
    put_u(writer, none ? 1 : 0, 1);
    if (!none)
        put_f64(writer, value);
}

static void put_text(struct writer *writer, struct str text)
{
    size_t left = text.len;
    for (; left >= 0x80; left >>= 7)
        put_u(writer, (left & 0x7f) | 0x80, 1);
    put_u(writer, left, 1);
    if (text.len > 0)
        put(writer, text.at, text.len);
}

static void put_time(struct writer *writer, int64_t at_ms,
                     enum telemetry_clickhouse_dialect dialect)
{
    int64_t last_ms = (int64_t)UINT32_MAX * 1000 + 999;
    int64_t at = at_ms < 0 ? 0 : at_ms > last_ms ? last_ms : at_ms;
    if (dialect == CLICKHOUSE_NEW)
        put_u(writer, (uint64_t)at, 8);
    else
        put_u(writer, (uint64_t)at / 1000, 4);
}

static void put_at(struct writer *writer, int64_t at_ms, enum telemetry_clickhouse_dialect dialect)
{
    put_time(writer, at_ms, dialect);
    if (dialect == CLICKHOUSE_OLD)
        put_u(writer, at_ms < 0 ? 0 : (uint64_t)at_ms % 1000, 2);
}

static void put_reading(struct writer *writer, const struct telemetry_outbox_reading *row,
                        enum telemetry_clickhouse_dialect dialect)
{
    put_at(writer, row->at_ms, dialect);
    put_time(writer, row->received_at_ms, dialect);
    put_text(writer, row->machine_id);
    put_text(writer, row->type);
    put_f64(writer, row->value);
    put_text(writer, str_from(telemetry_provenance_name(row->provenance)));
}

static void put_action(struct writer *writer, const struct telemetry_action *row,
                       enum telemetry_clickhouse_dialect dialect)
{
    put_at(writer, row->at_ms, dialect);
    put_text(writer, row->machine_id);
    put_text(writer, row->source);
    put_u(writer, row->command_id, 8);
    put_maybe(writer, row->position_pct);
    put_maybe(writer, row->requested_pct);
    put_maybe(writer, row->confidence);
    put_maybe(writer, row->temperature_c);
    put_maybe(writer, row->humidity_pct);
    put_maybe(writer, row->sound_volume);
    put_text(writer, row->state);
    put_maybe(writer, row->said_pct);
    put_maybe(writer, row->said_confidence);
    put_text(writer, row->said_version);
}

static void put_prediction(struct writer *writer, const struct telemetry_prediction *row,
                           enum telemetry_clickhouse_dialect dialect)
{
    put_at(writer, row->at_ms, dialect);
    put_text(writer, row->machine_id);
    put_text(writer, row->model_version);
    put_text(writer, row->decision);
    put_text(writer, row->request_id);
    put_maybe(writer, row->temperature_c);
    put_maybe(writer, row->humidity_pct);
    put_maybe(writer, row->sound_volume);
    put_maybe(writer, row->position_pct);
    put_maybe(writer, row->confidence);
    put_maybe(writer, row->latency_ms);
}

static void put_device(struct writer *writer, const struct telemetry_device *row,
                       enum telemetry_clickhouse_dialect dialect)
{
    put_at(writer, row->at_ms, dialect);
    put_text(writer, row->machine_id);
    put_text(writer, row->kind);
    put_text(writer, row->name);
    put_text(writer, row->firmware);
    put_text(writer, row->admission);
    put_time(writer, row->created_at_ms, dialect);
    put_time(writer, row->last_seen_at_ms, dialect);
    put_u(writer, row->online ? 1 : 0, 1);
}

/* A UUID is two little-endian numbers, the first half of the text first. */
static void put_uuid(struct writer *writer, struct id128 id)
{
    for (unsigned half = 0; half < 2; half++) {
        for (unsigned i = 0; i < 8; i++)
            put_u(writer, id.byte[half * 8 + 7 - i], 1);
    }
}

enum err telemetry_clickhouse_row(struct buf *dst, const struct telemetry_outbox_row *row,
                                  enum telemetry_clickhouse_dialect dialect, struct id128 batch,
                                  uint32_t number)
{
    struct writer writer;
    writer.len = 0;
    switch (row->table) {
    case TELEMETRY_SINK_READINGS:
        put_reading(&writer, &row->of.reading, dialect);
        break;
    case TELEMETRY_SINK_ACTIONS:
        put_action(&writer, &row->of.action, dialect);
        break;
    case TELEMETRY_SINK_PREDICTIONS:
        put_prediction(&writer, &row->of.prediction, dialect);
        break;
    case TELEMETRY_SINK_DEVICES:
        put_device(&writer, &row->of.device, dialect);
        break;
    case TELEMETRY_SINK_TABLE_COUNT:
        return ERR_INPUT;
    }
    put_uuid(&writer, batch);
    put_u(&writer, number, 4);
    return buf_add(dst, writer.at, writer.len);
}
