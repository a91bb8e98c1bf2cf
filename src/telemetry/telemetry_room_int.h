/* Inside of telemetry: the room's memory and what its files do with it. */
#ifndef AUTOMAT_TELEMETRY_ROOM_INT_H
#define AUTOMAT_TELEMETRY_ROOM_INT_H

#include "telemetry/telemetry_int.h"
#include "telemetry/telemetry_parse_int.h"

#define WATCHERS_MAX     4
#define REQUEST_ID_BYTES 65
#define BATCH_ROWS_MAX   4096 /* then it is full: no job holds the writer for long */
#define FLIGHT_MAX       2    /* batches at the store; later messages gather into the next one */

/* ---- series.c: who sends what; a series never goes away while the program runs ---- */

struct telemetry_machine;
struct telemetry_series {
    /* These three never change: a job on the store's thread may read them. */
    int64_t series_id;
    const struct telemetry_machine *machine;
    char type[TELEMETRY_TYPE_BYTES];
    uint8_t type_len;
    /* The loop's. */
    bool stored; /* its row is on disk */
    bool has_latest;
    enum telemetry_provenance provenance;
    double value;
    int64_t at_ms, received_at_ms;
};
struct telemetry_machine {
    char machine_id[ID_BYTES_MAX + 1];
    uint8_t machine_id_len;
    struct telemetry_series **series; /* sorted by type */
    uint32_t count, cap;
};

struct telemetry_registry {
    struct telemetry_machine **machine; /* sorted by id */
    uint32_t machine_count, machine_cap;
    struct telemetry_series **series; /* in the order they came */
    uint32_t series_count, series_cap;
    int64_t newest_series_id;
};
struct telemetry_series *telemetry_series_find(const struct telemetry_registry *registry,
                                               struct str machine_id, struct str type);
static inline struct str telemetry_series_type(const struct telemetry_series *series)
{
    return (struct str){series->type, series->type_len};
}
static inline struct str telemetry_machine_id(const struct telemetry_machine *machine)
{
    return (struct str){machine->machine_id, machine->machine_id_len};
}
/* series_id 0: the next free one.  ERR_FULL: the machine, or the room, has no place for it. */
MUST_USE enum err telemetry_series_add(struct telemetry_registry *registry,
                                       const struct telemetry_options *bounds, int64_t series_id,
                                       struct str machine_id, struct str type,
                                       struct telemetry_series **ret_series);
void telemetry_registry_finish(struct telemetry_registry *registry);

/* ---- refuse.c: what was refused, by machine and reason ---- */

#define REFUSED_MAX     1024u /* machines and reasons; what does not fit is counted without a name */
#define REFUSED_BUCKETS 2048u

struct telemetry_refused_row {
    char machine_id[ID_BYTES_MAX + 1];
    enum telemetry_refusal refusal;
    uint64_t count;
    int64_t last_at_ms;
    int64_t window_from_ms; /* how many since: when it is many, people are told */
    uint32_t window_count;
    bool alerted;
    char why[TELEMETRY_WHY_BYTES];
};
struct telemetry_refused_table {
    struct telemetry_refused_row *row[REFUSED_MAX];
    uint16_t bucket[REFUSED_BUCKETS]; /* row index + 1; 0: free */
    uint32_t count;
    uint64_t by_reason[TELEMETRY_REFUSAL_COUNT];
    uint32_t sweep; /* the next row that is looked at for a resolved alert */
};
void telemetry_refuse(struct telemetry *telemetry, struct str machine_id,
                      enum telemetry_refusal refusal, const char *why);
void telemetry_refused_tick(struct telemetry *telemetry);
void telemetry_refused_finish(struct telemetry_refused_table *table);

/* ---- batch.c: the messages of one turn of the loop, one job ---- */

struct telemetry_row {
    struct telemetry_series *series; /* the job reads only what never changes */
    int64_t at_ms;
    double value;
    uint32_t message;
    uint8_t provenance;
    bool series_new; /* its series may not be on disk yet */
};
struct telemetry_message {
    struct store_rider receipt;
    void (*done)(void *cookie, enum err err);
    void *cookie;
    int64_t received_at_ms;
    uint32_t first_row, row_count;
    bool duplicate; /* the job's finding: the receipt was there already */
    char request_id[REQUEST_ID_BYTES];
};
struct telemetry_batch {
    struct store_job job; /* first */
    struct telemetry *telemetry;
    struct telemetry_batch *next, *prev; /* in telemetry->batches */
    struct telemetry_batch *next_ready;
    struct telemetry_row *rows;
    const struct telemetry_row **order; /* the job's: by series and time */
    struct telemetry_message *messages;
    uint32_t row_count, row_cap, message_count, message_cap;
    bool outbox;          /* a column store is configured */
    struct buf encoded;   /* the job's */
    int64_t submitted_ms; /* server time */
};
/* batch_run.c */
enum err telemetry_batch_run(struct store_job *job, struct store_db *db);
/* batch.c */
MUST_USE enum err telemetry_batch_add(struct telemetry *telemetry, struct str machine_id,
                                      const struct telemetry_reading *readings, uint32_t count,
                                      const struct telemetry_message *message,
                                      enum telemetry_refusal *ret_refusal);
void telemetry_batch_fire(void *telemetry); /* the turn is over */
void telemetry_batches_finish(struct telemetry *telemetry);

/* ---- small jobs (op.c): kept in a list, since a store that crashes in a test never calls back
 * ---- */

struct telemetry_op {
    struct store_job job; /* first */
    struct telemetry *telemetry;
    struct telemetry_op *next, *prev;
};
void *telemetry_op_create(struct telemetry *telemetry, size_t bytes); /* NULL: no memory */
void telemetry_op_free(struct telemetry_op *op);
void telemetry_ops_finish(struct telemetry *telemetry);

/* ---- retention.c ---- */

#define RETENTION_LEVELS 4 /* raw, 5 min, hour, day */
struct telemetry_retention {
    bool running;
    bool again;           /* the policy changed: no rest after this pass */
    uint32_t jobs_left;   /* of this tick */
    uint32_t series_next; /* index into registry.series */
    int64_t pass_due_ms;  /* mono; when the next pass begins */
    int64_t clock_ms;     /* server time as retention sees it: follows, but does not jump */
    int64_t clock_mono_ms;
};
void telemetry_retention_tick(struct telemetry *telemetry, int64_t mono_ms);

/* ---- load.c, policy.c ---- */
MUST_USE enum err telemetry_load(struct telemetry *telemetry);
bool telemetry_policy_good(const struct telemetry_policy *policy);

struct telemetry {
    struct telemetry_options options; /* with the presets filled in; its texts are not kept */
    struct telemetry_registry registry;
    struct telemetry_policy policy;
    struct telemetry_refused_table refused;

    struct loop_timer *turn; /* NULL without a loop */
    bool turn_set;
    struct telemetry_batch *batches;                 /* all of them */
    struct telemetry_batch *open;                    /* takes messages; NULL: none */
    struct telemetry_batch *ready_head, *ready_tail; /* full, wait for their place */
    struct telemetry_batch *spare;
    uint32_t in_flight, pending;

    struct telemetry_op *ops;
    struct telemetry_retention retention;
    struct {
        telemetry_watch_fn *stored;
        void *cookie;
    } watcher[WATCHERS_MAX];
    uint32_t watcher_count;

    const struct telemetry_sink_ops *sink_ops;
    struct telemetry_sink *sink;
    bool outbox_on, outbox_asking;
    int64_t outbox_due_ms; /* mono */
    uint64_t outbox_rows, outbox_bytes, outbox_dropped;
    int64_t outbox_oldest_ms;

    uint64_t messages, readings, duplicates;
};
static inline int64_t telemetry_now_ms(const struct telemetry *telemetry)
{
    return telemetry->options.wall_ms(telemetry->options.clock);
}

/* telemetry.c; tests bring a sink of their own. */
MUST_USE enum err telemetry_create_with(const struct telemetry_options *options,
                                        const struct telemetry_sink_ops *sink_ops,
                                        struct telemetry **ret_telemetry);
void telemetry_outbox_tick(struct telemetry *telemetry, int64_t mono_ms); /* outbox_tick.c */

/* ---- statements (sql.c) ---- */

enum telemetry_statement {
    SQL_SERIES_ALL,
    SQL_SERIES_ADD,
    SQL_SERIES_FIND,
    SQL_LATEST,
    SQL_READING_ADD,
    SQL_READING_NEXT,
    SQL_MINUTES5_ADD, /* these three in this order */
    SQL_HOURS_ADD,
    SQL_DAYS_ADD,
    SQL_RAW_COUNT, /* from here on four each: raw, 5 min, hour, day */
    SQL_MINUTES5_COUNT,
    SQL_HOURS_COUNT,
    SQL_DAYS_COUNT,
    SQL_RAW_RANGE,
    SQL_MINUTES5_RANGE,
    SQL_HOURS_RANGE,
    SQL_DAYS_RANGE,
    SQL_RAW_OLD,
    SQL_MINUTES5_OLD,
    SQL_HOURS_OLD,
    SQL_DAYS_OLD,
    SQL_RAW_DELETE,
    SQL_MINUTES5_DELETE,
    SQL_HOURS_DELETE,
    SQL_DAYS_DELETE,
    SQL_POLICY_SHOW,
    SQL_POLICY_SET,
    SQL_OUTBOX_CONFIGURE,
    SQL_OUTBOX_STATE,
    SQL_OUTBOX_STATE_ADD,
    SQL_OUTBOX_ALERTED,
    SQL_OUTBOX_ADD,
    SQL_OUTBOX_OLDEST,
    SQL_OUTBOX_OLDEST_FREE,
    SQL_OUTBOX_DELETE,
    SQL_OUTBOX_SUM,
    SQL_OUTBOX_DELETE_SPAN,
    SQL_COUNT
};
struct store_stmt *telemetry_sql(struct store_db *db, enum telemetry_statement index);
/* The statement of a level (0 raw, 1..3 rollups). */
static inline enum telemetry_statement telemetry_sql_level(enum telemetry_statement first,
                                                           unsigned level)
{
    return (enum telemetry_statement)((unsigned)first + level);
}

#endif
