/* What the files of clickhouse/ share: the tables and their dialects (schema.c, rows.c), HTTP
 * (http.c), the batch in SQL (batch.c), and the two state machines, control (control.c: connect,
 * create, retention) and one lane a table (lane.c: take, send, look, close). */
#ifndef AUTOMAT_TELEMETRY_CLICKHOUSE_INT_H
#define AUTOMAT_TELEMETRY_CLICKHOUSE_INT_H

#include "telemetry/telemetry_int.h"

/* ======== tables ======== */

/* How a table was made.  Old: what 18.16 can do (DateTime and a column of milliseconds).  New, from
 * 22 on: DateTime64, LowCardinality, codecs, TTL, tokens against duplicates. */
enum telemetry_clickhouse_dialect { CLICKHOUSE_OLD, CLICKHOUSE_NEW };

/* "18.16.1", "26.7.2.1".  ERR_INPUT: no version. */
MUST_USE enum err telemetry_clickhouse_dialect_of(struct str version,
                                                  enum telemetry_clickhouse_dialect *ret_dialect);
const char *telemetry_clickhouse_table_name(enum telemetry_sink_table table);
/* Rows older than keep_days may go (new dialect); 0: never. */
MUST_USE enum err telemetry_clickhouse_create_sql(struct buf *dst, enum telemetry_sink_table table,
                                                  enum telemetry_clickhouse_dialect dialect,
                                                  uint32_t keep_days);
/* New dialect: the TTL of a table that is there already. */
MUST_USE enum err telemetry_clickhouse_ttl_sql(struct buf *dst, enum telemetry_sink_table table,
                                               uint32_t keep_days);
MUST_USE enum err telemetry_clickhouse_insert_sql(struct buf *dst, enum telemetry_sink_table table,
                                                  enum telemetry_clickhouse_dialect dialect);
/* Lists table, name and type of the columns of our tables. */
extern const char telemetry_clickhouse_columns_sql[];
/* Its answer: how each table was made.  ERR_INPUT with a sentence in `why`: one lacks a column. */
MUST_USE enum err telemetry_clickhouse_columns_read(
    struct str answer, enum telemetry_clickhouse_dialect ret_dialects[TELEMETRY_SINK_TABLE_COUNT],
    char why[TELEMETRY_WHY_BYTES]);
/* Finds one partition all of whose rows are older than `before_ms`. */
MUST_USE enum err telemetry_clickhouse_expired_sql(struct buf *dst, int64_t before_ms);
/* Its answer (one line at most) as a statement that drops the partition; ERR_NOT_FOUND: none.
 * ERR_INPUT: not an answer to that. */
MUST_USE enum err telemetry_clickhouse_drop_sql(struct buf *dst, struct str answer);

/* One row in RowBinary. */
MUST_USE enum err telemetry_clickhouse_row(struct buf *dst, const struct telemetry_outbox_row *row,
                                           enum telemetry_clickhouse_dialect dialect,
                                           struct id128 batch, uint32_t number);

/* ======== HTTP ======== */

struct telemetry_clickhouse_http;
#define CLICKHOUSE_CONTROL       TELEMETRY_SINK_TABLE_COUNT /* its channel; a lane's is its table */
#define CLICKHOUSE_CHANNEL_COUNT (TELEMETRY_SINK_TABLE_COUNT + 1)

struct telemetry_clickhouse_request {
    unsigned channel;
    const char *sql;
    struct str rows; /* borrowed until done: sent as the body, sql in the URL.  None: sql is it */
    const char *settings; /* "&a=b", or NULL */
    bool without_database;
};
/* err: ERR_OK an answer with this status; ERR_TIMEOUT; ERR_FULL too long an answer; ERR_IO.  `text`
 * is the answer, or says what failed. */
typedef void telemetry_clickhouse_http_done(void *cookie, unsigned channel, enum err err,
                                            uint32_t status, struct str text);
/* ERR_INPUT: an URL that is not http(s), or has credentials in it. */
MUST_USE enum err telemetry_clickhouse_http_create(const struct telemetry_sink_options *options,
                                                   telemetry_clickhouse_http_done *done,
                                                   void *cookie,
                                                   struct telemetry_clickhouse_http **ret_http);
void telemetry_clickhouse_http_destroy(struct telemetry_clickhouse_http *http);
/* One at a time a channel; done comes later than this call.  Not ERR_OK: done does not come. */
MUST_USE enum err telemetry_clickhouse_http_send(struct telemetry_clickhouse_http *http,
                                                 const struct telemetry_clickhouse_request *request,
                                                 uint32_t timeout_ms);

/* ======== a batch in SQL ======== */

struct telemetry_clickhouse_batch {
    enum telemetry_sink_table table;
    int64_t batch_id, day, first_outbox_id, last_outbox_id;
    struct id128 token;
    bool resumed;             /* it was there already: it may have been sent */
    uint32_t row_count;       /* rows that can be read: 0..row_count-1 are their numbers */
    uint32_t unreadable_rows; /* what is not ours to read */
    bool full;                /* more of its day waits, or may */
};
/* Bit `table` is set when it has rows or a batch. */
MUST_USE enum err telemetry_clickhouse_batch_look(struct store_db *db, uint32_t *ret_tables);
/* The batch that is on its way, or a new one, recorded.  ERR_NOT_FOUND: nothing waits. */
MUST_USE enum err telemetry_clickhouse_batch_open(struct store_db *db,
                                                  enum telemetry_sink_table table, int64_t now_ms,
                                                  uint32_t rows_max, size_t bytes_max,
                                                  struct telemetry_clickhouse_batch *ret_batch);
/* Fills `body` with rows from number `from` on, and batch->row_count. */
MUST_USE enum err telemetry_clickhouse_batch_load(struct store_db *db,
                                                  struct telemetry_clickhouse_batch *batch,
                                                  enum telemetry_clickhouse_dialect dialect,
                                                  uint32_t from, struct buf *body);
MUST_USE enum err telemetry_clickhouse_batch_close(struct store_db *db,
                                                   const struct telemetry_clickhouse_batch *batch);
MUST_USE enum err telemetry_clickhouse_keep_days(struct store_db *db, uint32_t *ret_days);

/* ======== the sink ======== */

/* Bounds; tests set other ones before the first tick. */
struct telemetry_clickhouse_limits {
    uint32_t timeout_ms;                       /* of one request */
    uint32_t backoff_first_ms, backoff_max_ms; /* while it cannot be reached */
    uint32_t refused_first_ms, refused_max_ms; /* while it says no */
    uint32_t batch_rows_max;
    size_t batch_bytes_max; /* in the outbox; RowBinary is at most CLICKHOUSE_GROWTH times that */
    uint32_t upkeep_ms;     /* between two rounds of retention */
};
extern const struct telemetry_clickhouse_limits telemetry_clickhouse_limits;
#define CLICKHOUSE_GROWTH 4

enum clickhouse_lane_state {
    LANE_IDLE,
    LANE_OPENING, /* a job makes or finds the batch */
    LANE_LOADING, /* a job reads its rows */
    LANE_SENDING, /* INSERT is under way */
    LANE_UNSURE,  /* it may have arrived or not; waits for its timer, then for the connection */
    LANE_LOOK_RUNNING, /* is the INSERT still being worked on? */
    LANE_LOOK_STORED,  /* which of its rows are there? */
    LANE_CLOSING,      /* a job removes it */
};
struct clickhouse_lane {
    struct telemetry_sink *sink;
    enum telemetry_sink_table table;
    enum clickhouse_lane_state state;
    struct store_job job; /* at most one, while OPENING, LOADING or CLOSING */
    struct loop_timer *timer;
    struct telemetry_clickhouse_batch batch;
    struct buf body;
    uint32_t from;  /* rows before this number have arrived */
    uint32_t tries; /* failures in a row */
    bool loaded;    /* body has the rows from `from` on */
    bool unsure;    /* look before sending */
    bool waits;     /* its timer runs */
    bool failing;   /* the last answer was a no */
};

struct clickhouse_control {
    unsigned step; /* control.c; 0: nothing under way */
    struct store_job job;
    struct loop_timer *timer;
    struct buf sql;
    uint32_t tries, drops;
    uint32_t keep_days;
    uint32_t ttl_days;               /* what the tables' TTL was set to, plus 1; 0: not yet */
    enum telemetry_sink_table table; /* of the steps that go through all of them */
    bool waits;                      /* its timer runs */
};

struct telemetry_sink {
    struct telemetry_sink_options options; /* texts belong to http */
    struct telemetry_clickhouse_limits limits;
    struct telemetry_clickhouse_http *http;
    struct rng rng;
    char database[65];
    bool connected, closing;
    enum telemetry_clickhouse_dialect dialect;
    enum telemetry_clickhouse_dialect dialects[TELEMETRY_SINK_TABLE_COUNT];
    int64_t upkeep_due_ms; /* loop clock */
    bool dirty;            /* rows were committed since the last look */
    bool looking;
    struct store_job look;
    uint32_t look_tables;
    struct clickhouse_control control;
    struct clickhouse_lane lane[TELEMETRY_SINK_TABLE_COUNT];
    struct telemetry_sink_stats stats;
};

/* control.c */
void telemetry_clickhouse_connect(struct telemetry_sink *sink); /* now, unless it is at it */
/* It cannot be reached: connect again, later. */
void telemetry_clickhouse_lost(struct telemetry_sink *sink, struct str why);
void telemetry_clickhouse_control_answer(struct telemetry_sink *sink, enum err err, uint32_t status,
                                         struct str text);
void telemetry_clickhouse_control_fire(void *cookie);

/* lane.c */
void telemetry_clickhouse_lane_start(struct clickhouse_lane *lane); /* when idle */
void telemetry_clickhouse_lane_connected(struct clickhouse_lane *lane);
void telemetry_clickhouse_lane_answer(struct clickhouse_lane *lane, enum err err, uint32_t status,
                                      struct str text);
void telemetry_clickhouse_lane_fire(void *cookie);

/* clickhouse.c */
uint32_t telemetry_clickhouse_backoff(struct telemetry_sink *sink, uint32_t tries,
                                      uint32_t first_ms, uint32_t max_ms);
void telemetry_clickhouse_why(struct telemetry_sink *sink, const char *what, struct str text);

#endif
