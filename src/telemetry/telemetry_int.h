/* Inside of telemetry: what its files share, and the table of functions of a sink (column store).
 */
#ifndef AUTOMAT_TELEMETRY_INT_H
#define AUTOMAT_TELEMETRY_INT_H

#include "record/record.h"
#include "telemetry/telemetry.h"

/* ======== the sink: who takes rows out of the outbox (null sink, clickhouse/) ========
 *
 * A batch job writes outbox rows in the transaction of what they tell.  The sink makes a batch of
 * them (telemetry_batch), sends it, and removes both in one transaction when they have arrived.
 * Everything here is called on the loop. */

struct telemetry_sink; /* the implementation's own */

struct telemetry_sink_options {
    struct loop *loop;   /* NULL with the null sink only */
    struct store *store; /* outlives it but for destroy */
    int64_t (*wall_ms)(void *clock);
    void *clock;
    const char *url, *user, *password, *database; /* copied by create; user.. may be NULL */
};

struct telemetry_sink_stats {
    bool up;
    char version[32];              /* of the server; "" not known */
    char why[TELEMETRY_WHY_BYTES]; /* why it is not up; "" */
    uint64_t rows, batches, retries;
    uint64_t dropped_rows; /* refused for good by the column store, not what gave way here */
};

struct telemetry_sink_ops {
    MUST_USE enum err (*create)(const struct telemetry_sink_options *options,
                                struct telemetry_sink **ret_sink);
    /* Outbox rows were committed.  Cheap: called after every batch of readings. */
    void (*kick)(struct telemetry_sink *sink);
    /* Every second or so. */
    void (*tick)(struct telemetry_sink *sink, int64_t mono_ms);
    void (*stats)(const struct telemetry_sink *sink, struct telemetry_sink_stats *ret_stats);
    void (*destroy)(struct telemetry_sink *sink); /* after store_close; NULL does nothing */
};
extern const struct telemetry_sink_ops telemetry_sink_null;       /* sink_null.c */
extern const struct telemetry_sink_ops telemetry_sink_clickhouse; /* clickhouse/clickhouse.c */

/* ---- rows in the outbox (outbox_rows.c): our own encoding, whatever the column store's version
 *
 * telemetry_outbox.bytes is a run of rows of one table and one UTC day.  A row: u16 length of what
 * follows, then its fields in the order of the structs below, little-endian; f64 are IEEE 754 bits,
 * NaN: none; texts are u8 length and UTF-8, cut to 255 bytes.  New fields are added at the end of a
 * row: a reader skips what it does not know. ---- */

enum telemetry_sink_table {
    TELEMETRY_SINK_READINGS,
    TELEMETRY_SINK_ACTIONS,
    TELEMETRY_SINK_PREDICTIONS,
    TELEMETRY_SINK_DEVICES,
    TELEMETRY_SINK_TABLE_COUNT
};
#define TELEMETRY_DAY_MS           ((int64_t)86400000)
#define TELEMETRY_OUTBOX_ROW_BYTES 2048                 /* of one encoded row at most */
#define TELEMETRY_OUTBOX_BYTES_MAX ((size_t)256 * 1024) /* of one telemetry_outbox.bytes */

struct telemetry_outbox_reading {
    int64_t at_ms, received_at_ms;
    enum telemetry_provenance provenance; /* u8 */
    double value;
    struct str machine_id, type;
};
/* Field order of the others on disk:
 * action:     i64 at, u64 command_id, f64 position, requested, confidence, temperature, humidity,
 *             sound; text machine_id, source, state; f64 said, said confidence; text said version
 * prediction: i64 at, f64 temperature, humidity, sound, position, confidence, latency;
 *             text machine_id, model_version, decision, request_id
 * device:     i64 at, created_at, last_seen_at, u8 online; text machine_id, kind, name, firmware,
 *             admission
 * reading:    i64 at, received_at, u8 provenance, f64 value, text machine_id, type */
struct telemetry_outbox_row {
    enum telemetry_sink_table table; /* which of them it is */
    union {
        struct telemetry_outbox_reading reading;
        struct telemetry_action action;
        struct telemetry_prediction prediction;
        struct telemetry_device device;
    } of;
};
/* Appends.  ERR_FULL (the buffer's bound), ERR_NOMEM: unchanged. */
MUST_USE enum err telemetry_outbox_encode(struct buf *dst, const struct telemetry_outbox_row *row);
/* Takes the first row off `bytes` (its texts point into it).  ERR_NOT_FOUND: none left.  ERR_INPUT:
 * not what we wrote. */
MUST_USE enum err telemetry_outbox_decode(struct str *bytes, enum telemetry_sink_table table,
                                          struct telemetry_outbox_row *ret_row);

/* ---- the outbox in SQL (outbox.c), inside a job ---- */

/* One row of telemetry_outbox, whether a column store is configured or not; the oldest that are not
 * part of a batch give way when bytes_max is passed, with an alert.  Never touches the series. */
MUST_USE enum err telemetry_outbox_add(struct store_db *db, enum telemetry_sink_table table,
                                       int64_t day, uint32_t row_count, struct str bytes,
                                       int64_t at_ms);
/* For the sink: the rows of a batch have arrived.  Removes them and keeps the sums right; removing
 * telemetry_batch's row is the sink's. */
MUST_USE enum err telemetry_outbox_remove(struct store_db *db, enum telemetry_sink_table table,
                                          int64_t day, int64_t first_outbox_id,
                                          int64_t last_outbox_id);
MUST_USE enum err telemetry_outbox_configured(struct store_db *db, bool *ret_configured);

#endif
