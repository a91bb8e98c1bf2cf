/* telemetry: readings in, kept as series with rollups, asked for again, and handed on to a column
 * store.
 *
 * The embedded sink (SQLite) is the truth: a reading is acknowledged when it is committed there.
 * ClickHouse is fed from an outbox written in the same transaction, so it may be away.
 *
 * Loop thread only, but for what says otherwise.  Times are server time, epoch ms. */
#ifndef AUTOMAT_TELEMETRY_H
#define AUTOMAT_TELEMETRY_H

#include "base/base.h"
#include "loop/loop.h"
#include "store/store.h"
#include "sys/sys.h"

struct telemetry;

/* ---- reading a payload: pure, any thread ---- */

#define TELEMETRY_TYPE_BYTES   33 /* with NUL: 1..32 of a-z 0-9 _ */
#define TELEMETRY_READINGS_MAX 16 /* of one message */

enum telemetry_provenance {
    TELEMETRY_MEASURED,
    TELEMETRY_SIMULATED, /* a twin says so */
    TELEMETRY_ESTIMATED,
};
const char *telemetry_provenance_name(enum telemetry_provenance provenance);

struct telemetry_reading {
    double value;
    int64_t at_ms;
    enum telemetry_provenance provenance;
    char type[TELEMETRY_TYPE_BYTES];
};

enum telemetry_refusal {
    TELEMETRY_ACCEPTED = 0,
    TELEMETRY_BAD_TYPE,     /* "bad_type": the name of the type */
    TELEMETRY_BAD_NUMBER,   /* "bad_number": not a number, NaN, infinite */
    TELEMETRY_BAD_JSON,     /* "bad_json" */
    TELEMETRY_OUT_OF_RANGE, /* "out_of_range": outside what this type can be */
    TELEMETRY_FUTURE,       /* "from_the_future": more than 5 min ahead of the server */
    TELEMETRY_TOO_OLD,      /* "too_old": older than raw readings are kept */
    TELEMETRY_BAD_AUDIO, /* "bad_audio": not base64 of whole 16-bit samples, or of the wrong length
                          */
    TELEMETRY_TOO_MANY,  /* "too_many_series": a machine has no room for another type */
    TELEMETRY_REFUSAL_COUNT
};
const char *telemetry_refusal_code(enum telemetry_refusal refusal);

/* `type` is the topic's last level.  Payload: a number ("21.5"); a JSON object {"value": 21.5,
 * "at": "2026-11-20T10:00:00Z" or epoch s or ms, "provenance": "simulated"} or one with several
 * numbers by name when type is "readings"; for "audio" base64 of 16-bit little-endian PCM (2 s,
 * 16 kHz unless "rate" says otherwise), alone or as {"pcm": "...", "rate": 16000}: it becomes
 * sound_volume (RMS, 0..1 of full scale) and sound_dbfs.  On refusal `why` (TELEMETRY_WHY_BYTES)
 * has a sentence with the place. */
#define TELEMETRY_WHY_BYTES 160
enum telemetry_refusal
telemetry_parse(struct str type, struct str payload, int64_t now_ms,
                struct telemetry_reading ret_readings[TELEMETRY_READINGS_MAX], uint32_t *ret_count,
                char why[TELEMETRY_WHY_BYTES]);

/* Types we know: unit and range; others may be any number up to 1e18 either way (so that sums of
 * them stay finite).  NULL: not one of them. */
struct telemetry_type {
    const char *name, *unit; /* "temperature", "C" */
    double min, max;
    unsigned digits; /* shown after the point */
};
const struct telemetry_type *telemetry_type_find(struct str name);
const struct telemetry_type *telemetry_type_at(size_t index); /* NULL after the last */

/* ---- the room ---- */

struct telemetry_options {
    struct loop *loop; /* NULL (a store with inline_jobs, no url): every message is a job at once */
    struct store *store;
    int64_t (*wall_ms)(void *clock);
    void *clock;
    /* 0 means the value in brackets */
    uint32_t series_max;             /* [100,000] */
    uint32_t series_per_machine_max; /* [64] */
    uint32_t pending_max;            /* [50,000] readings not yet stored; then ERR_FULL */
    /* ClickHouse; url NULL: none */
    const char *clickhouse_url, *clickhouse_user, *clickhouse_password, *clickhouse_database;
    uint64_t
        outbox_bytes_max; /* [256 MiB] then the oldest batch gives way, counted, with an alert */
};
MUST_USE enum err telemetry_create(const struct telemetry_options *options,
                                   struct telemetry **ret_telemetry);
void telemetry_destroy(struct telemetry *telemetry); /* after store_close; NULL does nothing */
/* Hand what was taken in this turn to the store now: before store_close, so that it is stored too.
 */
void telemetry_flush(struct telemetry *telemetry);
/* Every second or so: retention, the sink. */
void telemetry_tick(struct telemetry *telemetry, int64_t mono_ms);

struct telemetry_input {
    struct str machine_id, type, payload;
    /* Written with the readings; zero: nothing.  When it answers ERR_CONFLICT it is there already:
     * the message came again, is not stored a second time, and done says ERR_OK. */
    struct store_rider receipt;
    const char *request_id; /* or NULL */
    struct str actor;
};
/* Parse and store.  Everything of one turn of the loop becomes one job.
 * ERR_OK: done(cookie, ERR_OK) when it is on disk, or done(cookie, ERR_IO/ERR_FULL): not stored.
 * ERR_INPUT: refused, counted, done is not called; `ret_refusal` and `why` say it.
 * ERR_FULL: too much waits.  ERR_NOMEM, ERR_CLOSED: not taken either.  `done` may be NULL. */
MUST_USE enum err telemetry_ingest(struct telemetry *telemetry, const struct telemetry_input *input,
                                   void (*done)(void *cookie, enum err err), void *cookie,
                                   enum telemetry_refusal *ret_refusal,
                                   char why[TELEMETRY_WHY_BYTES]);
/* The same for readings the server has already read out of something else; 1..16 of them, at_ms 0:
 * now.  One that is refused refuses all. */
MUST_USE enum err telemetry_ingest_readings(struct telemetry *telemetry, struct str machine_id,
                                            const struct telemetry_reading *readings,
                                            uint32_t count, const char *request_id,
                                            void (*done)(void *cookie, enum err err), void *cookie);

/* After a commit, for each stored message; at most 4 watchers. */
typedef void telemetry_watch_fn(void *cookie, struct str machine_id,
                                const struct telemetry_reading *readings, uint32_t count,
                                const char *request_id);
MUST_USE enum err telemetry_watch(struct telemetry *telemetry, telemetry_watch_fn *stored,
                                  void *cookie);

/* ---- looking ---- */

struct telemetry_latest {
    const char *machine_id, *type;
    double value;
    int64_t at_ms, received_at_ms;
    enum telemetry_provenance provenance;
};
/* From memory (rebuilt from SQL at start), in order of machine and type; calls `each` until it says
 * false.  machine_id none: all. */
void telemetry_latest_each(const struct telemetry *telemetry, struct str machine_id,
                           bool (*each)(void *cookie, const struct telemetry_latest *latest),
                           void *cookie);
bool telemetry_latest_get(const struct telemetry *telemetry, struct str machine_id, struct str type,
                          struct telemetry_latest *ret_latest);

enum telemetry_resolution {
    TELEMETRY_AUTO, /* the finest that gives at most `points_max` */
    TELEMETRY_RAW,
    TELEMETRY_5MIN,
    TELEMETRY_HOUR,
    TELEMETRY_DAY,
};
const char *
telemetry_resolution_name(enum telemetry_resolution resolution); /* "raw", "5m", "1h", "1d" */
bool telemetry_resolution_parse(struct str text, enum telemetry_resolution *ret_resolution);

struct telemetry_range {
    struct str machine_id, type;
    int64_t from_ms, to_ms; /* points with from_ms <= at_ms < to_ms; from_ms not negative */
    enum telemetry_resolution resolution;
    uint32_t points_max; /* 1..5,000; 0: 500 */
};
struct telemetry_point {
    /* Of a rollup: when its bucket begins (UTC).  Raw readings of one millisecond are one point, so
     * no two points of an answer have the same. */
    int64_t at_ms;
    double avg, min, max;
    uint32_t count;
};
/* `more`: there are later points than points_max; ask again from the last one's at_ms + 1.  Where
 * nothing was measured there is no point. */
typedef void telemetry_range_done(void *cookie, enum err err, enum telemetry_resolution resolution,
                                  const struct telemetry_point *points, size_t count, bool more);
/* ERR_NOT_FOUND through done: no such series.  AUTO leaves out a resolution whose retention has
 * cleared away what the range begins with, when a coarser one still has it. */
MUST_USE enum err telemetry_range_read(struct telemetry *telemetry,
                                       const struct telemetry_range *range,
                                       telemetry_range_done *done, void *cookie);

/* What was refused since the start: a counter for each machine and reason, and the last example. */
struct telemetry_refused {
    const char *machine_id, *code, *why;
    uint64_t count;
    int64_t last_at_ms;
};
void telemetry_refused_each(const struct telemetry *telemetry,
                            bool (*each)(void *cookie, const struct telemetry_refused *refused),
                            void *cookie);

/* Retention in days: raw [14], 5 min [90], hour [730], day [3,650]; 0: keep for ever.  The newest
 * reading of a series stays.  ERR_INPUT: more than 36,500, or a finer one kept longer than a
 * coarser.
 */
struct telemetry_policy {
    uint32_t raw_days, minutes5_days, hour_days, day_days;
};
struct telemetry_policy telemetry_policy_get(const struct telemetry *telemetry);
MUST_USE enum err telemetry_policy_set(struct telemetry *telemetry,
                                       const struct telemetry_policy *policy, struct str actor,
                                       const char *request_id,
                                       void (*done)(void *cookie, enum err err), void *cookie);

/* ---- rows for the column store beside readings: inside another room's job, in its transaction.
 * Nothing is written when no column store is configured. ---- */

struct telemetry_action {          /* a window moved, or was told to */
    struct str machine_id, source; /* "model", "person", "external", "rule" */
    uint64_t command_id;
    int64_t at_ms;
    double position_pct, requested_pct, confidence; /* NAN: none */
    double temperature_c, humidity_pct, sound_volume;
    struct str state; /* of the command */
    /* Of a person's: what the model had said at last before it, no longer ago than it counts as an
     * answer to that.  NAN and none: nothing. */
    double said_pct, said_confidence;
    struct str said_version;
};
struct telemetry_prediction {
    struct str machine_id, model_version, decision, request_id;
    int64_t at_ms;
    double temperature_c, humidity_pct, sound_volume, position_pct, confidence;
    double latency_ms; /* request to answer */
};
struct telemetry_device { /* a line of the registry, when it changes */
    struct str machine_id, kind, name, firmware, admission;
    int64_t at_ms, created_at_ms, last_seen_at_ms;
    bool online;
};
MUST_USE enum err telemetry_write_action(struct store_db *db, const struct telemetry_action *row);
MUST_USE enum err telemetry_write_prediction(struct store_db *db,
                                             const struct telemetry_prediction *row);
MUST_USE enum err telemetry_write_device(struct store_db *db, const struct telemetry_device *row);

struct telemetry_stats {
    uint64_t messages, readings, refused[TELEMETRY_REFUSAL_COUNT], duplicates;
    uint32_t series, pending;
    /* the column store */
    bool sink_configured, sink_up;
    char sink_version[32], sink_why[TELEMETRY_WHY_BYTES];
    uint64_t sink_rows, sink_batches, sink_retries, sink_dropped_rows;
    uint64_t outbox_rows, outbox_bytes;
    int64_t outbox_oldest_ms; /* 0: empty */
};
void telemetry_stats_get(const struct telemetry *telemetry, struct telemetry_stats *ret_stats);

#endif
