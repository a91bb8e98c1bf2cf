-- Readings as series.  Every at is server time, epoch ms, UTC; a bucket's at is when it begins.
CREATE TABLE telemetry_series (
    series_id  INTEGER PRIMARY KEY,
    machine_id VARCHAR(64) NOT NULL,
    type       VARCHAR(32) NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (machine_id, type)
);

-- n counts readings of one series in the same millisecond: each is kept.  lag_ms is when it was received, less at.
-- provenance: 0 measured, 1 simulated, 2 estimated.
CREATE TABLE telemetry_readings (
    series_id  BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    n          INTEGER NOT NULL,
    value      DOUBLE PRECISION NOT NULL,
    provenance INTEGER NOT NULL,
    lag_ms     BIGINT NOT NULL,
    PRIMARY KEY (series_id, at, n)
) WITHOUT ROWID;

CREATE TABLE telemetry_minutes5 (
    series_id BIGINT NOT NULL,
    at        BIGINT NOT NULL,
    count     BIGINT NOT NULL,
    sum       DOUBLE PRECISION NOT NULL,
    min       DOUBLE PRECISION NOT NULL,
    max       DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (series_id, at)
) WITHOUT ROWID;
CREATE TABLE telemetry_hours (
    series_id BIGINT NOT NULL,
    at        BIGINT NOT NULL,
    count     BIGINT NOT NULL,
    sum       DOUBLE PRECISION NOT NULL,
    min       DOUBLE PRECISION NOT NULL,
    max       DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (series_id, at)
) WITHOUT ROWID;
CREATE TABLE telemetry_days (
    series_id BIGINT NOT NULL,
    at        BIGINT NOT NULL,
    count     BIGINT NOT NULL,
    sum       DOUBLE PRECISION NOT NULL,
    min       DOUBLE PRECISION NOT NULL,
    max       DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (series_id, at)
) WITHOUT ROWID;

-- How many days of each are kept; 0: for ever.
CREATE TABLE telemetry_policy (
    only_row      INTEGER PRIMARY KEY CHECK (only_row = 1),
    raw_days      INTEGER NOT NULL,
    minutes5_days INTEGER NOT NULL,
    hour_days     INTEGER NOT NULL,
    day_days      INTEGER NOT NULL
);
INSERT INTO telemetry_policy (only_row, raw_days, minutes5_days, hour_days, day_days) VALUES (1, 14, 90, 730, 3650);

-- What the column store has not got yet.  sink_table: 0 readings, 1 actions, 2 predictions, 3 devices.
-- day: UTC day number of every row in bytes, since a batch must stay within one partition.
CREATE TABLE telemetry_outbox (
    outbox_id  INTEGER PRIMARY KEY AUTOINCREMENT,
    sink_table INTEGER NOT NULL,
    day        INTEGER NOT NULL,
    row_count  INTEGER NOT NULL,
    bytes      BLOB NOT NULL,
    at         BIGINT NOT NULL
);
-- A batch is looked for by table and day, also when a million rows of another table wait.
CREATE INDEX telemetry_outbox_by_day ON telemetry_outbox (sink_table, day, outbox_id);

-- configured: a column store is named, so rooms write their rows.  The sums are of telemetry_outbox.
CREATE TABLE telemetry_outbox_state (
    only_row     INTEGER PRIMARY KEY CHECK (only_row = 1),
    configured   INTEGER NOT NULL,
    bytes_max    BIGINT NOT NULL,
    row_count    BIGINT NOT NULL,
    byte_count   BIGINT NOT NULL,
    dropped_rows BIGINT NOT NULL,
    alerted_at   BIGINT NOT NULL   -- when people were last told that rows gave way; 0: all is well
);
INSERT INTO telemetry_outbox_state (only_row, configured, bytes_max, row_count, byte_count, dropped_rows, alerted_at)
VALUES (1, 0, 0, 0, 0, 0, 0);

-- What is on its way to the column store: every outbox row of this sink_table and day from first to last.  It is written
-- before it is sent, so that what is sent again after a crash is the same batch under the same token.
CREATE TABLE telemetry_batch (
    batch_id        INTEGER PRIMARY KEY AUTOINCREMENT,
    token           VARCHAR(64) NOT NULL,
    sink_table      INTEGER NOT NULL,
    day             INTEGER NOT NULL,
    first_outbox_id BIGINT NOT NULL,
    last_outbox_id  BIGINT NOT NULL,
    row_count       BIGINT NOT NULL,
    state           INTEGER NOT NULL,  -- the sink's own
    at              BIGINT NOT NULL
);
