-- Commands: the seed's columns (recipe as payload), and what the queue rules need.
CREATE TABLE commands (
    command_id      INTEGER PRIMARY KEY AUTOINCREMENT,
    machine_id      VARCHAR(255) NOT NULL,
    payload         JSON NOT NULL,
    execute_allowed BOOLEAN NOT NULL DEFAULT 1,
    -- Not IN (...): SQLite would build a table of the nine words for every row it writes.
    status          VARCHAR(50) NOT NULL CHECK (status = 'pending' OR status = 'held' OR status = 'running'
                        OR status = 'complete' OR status = 'failed' OR status = 'rejected' OR status = 'cancelled'
                        OR status = 'expired' OR status = 'unknown'),
    meta            JSON,
    created_at      BIGINT NOT NULL,    -- server time, epoch ms, as every *_at
    updated_at      BIGINT NOT NULL,
    uid             BLOB NOT NULL,      -- 128 random bits; nothing looks it up here, so no index is kept
    kind            VARCHAR(64) NOT NULL,
    command         VARCHAR(64) NOT NULL,
    instructions    JSON,               -- what the seed calls accessory_instructions
    reason          VARCHAR(64),
    not_after_s     INTEGER NOT NULL,
    not_after       BIGINT,             -- NULL while held: the deadline begins at the approval
    max_duration_s  INTEGER NOT NULL,
    claim_id        BLOB,
    journal_id      BLOB,
    claimed_at      BIGINT,
    finished_at     BIGINT,
    stop_requested  BOOLEAN NOT NULL DEFAULT 0,
    created_by      VARCHAR(128) NOT NULL,
    settled_by      VARCHAR(128),
    evidence        TEXT,
    request_id      VARCHAR(64)
);
CREATE INDEX idx_machine_status ON commands (machine_id, status, created_at);
CREATE INDEX idx_status_created ON commands (status, created_at);
CREATE INDEX idx_pending_not_after ON commands (not_after) WHERE status = 'pending';
-- One running or unknown command a machine, whatever the program does (rule 7).
CREATE UNIQUE INDEX idx_one_active ON commands (machine_id) WHERE status = 'running' OR status = 'unknown';

CREATE TABLE command_history (
    history_id    INTEGER PRIMARY KEY AUTOINCREMENT,
    command_id    INTEGER NOT NULL REFERENCES commands (command_id),
    old_status    VARCHAR(50),
    new_status    VARCHAR(50) NOT NULL,
    meta_snapshot JSON,
    changed_at    BIGINT NOT NULL,
    actor         VARCHAR(128) NOT NULL
);
CREATE INDEX idx_history_command ON command_history (command_id);

-- A machine's hold is the queue's: it decides what is offered (rule 12).
CREATE TABLE queue_machines (
    machine_id      VARCHAR(255) PRIMARY KEY,
    on_hold         BOOLEAN NOT NULL DEFAULT 0,
    hold_reason     TEXT,
    hold_since      BIGINT,
    failures_in_row INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- Asked twice is ordered once (rule 8).  A key lives as long as the command it made.
CREATE TABLE idempotency_keys (
    scope      VARCHAR(128) NOT NULL,
    key        VARCHAR(255) NOT NULL,
    body_hash  BLOB NOT NULL,
    command_id INTEGER NOT NULL REFERENCES commands (command_id) ON DELETE CASCADE,
    PRIMARY KEY (scope, key)
) WITHOUT ROWID;
