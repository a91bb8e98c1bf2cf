-- The audit chain and the alerts.  Every *_at is server time, epoch ms.
CREATE TABLE audit (
    audit_id   INTEGER PRIMARY KEY,     -- 1, 2, 3, ... without a gap: given by audit_head, not by the database
    at         BIGINT NOT NULL,
    actor      VARCHAR(256) NOT NULL,
    action     VARCHAR(256) NOT NULL,
    subject    VARCHAR(256) NOT NULL,
    detail     JSON,
    request_id VARCHAR(256),
    prev_hash  BLOB NOT NULL,
    hash       BLOB NOT NULL
);
CREATE INDEX idx_audit_actor ON audit (actor, audit_id);
CREATE INDEX idx_audit_subject ON audit (subject, audit_id);

-- Where the chain ends.  Without it, cutting off the newest entries would leave a chain that fits.
CREATE TABLE audit_head (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    entries  BIGINT NOT NULL,
    hash     BLOB NOT NULL
);
INSERT INTO audit_head (only_row, entries, hash) VALUES (1, 0, zeroblob(32));

CREATE TABLE alerts (
    alert_id        INTEGER PRIMARY KEY AUTOINCREMENT,
    machine_id      VARCHAR(64) NOT NULL,   -- '': of no machine
    code            VARCHAR(64) NOT NULL,
    message         TEXT NOT NULL,
    severity        VARCHAR(16) NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    command_id      BIGINT,
    raised_at       BIGINT NOT NULL,
    last_at         BIGINT NOT NULL,
    count           BIGINT NOT NULL DEFAULT 1,
    acknowledged_at BIGINT,
    acknowledged_by VARCHAR(256),
    resolved_at     BIGINT
);
-- One open alert a machine and code: the next occurrence is counted, not added.
CREATE UNIQUE INDEX idx_alerts_open ON alerts (machine_id, code) WHERE resolved_at IS NULL;
