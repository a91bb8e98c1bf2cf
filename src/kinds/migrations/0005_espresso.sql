-- The live curve of a brew, in the batches in which the board sent it.
CREATE TABLE espresso_curves (
    command_id   INTEGER NOT NULL REFERENCES commands (command_id) ON DELETE CASCADE,
    chunk        INTEGER NOT NULL,
    step         VARCHAR(32),
    sample_total INTEGER NOT NULL,   -- up to and with this batch
    last_t_ms    BIGINT NOT NULL,    -- -1: no sample yet; a batch sent twice is recognised by it
    samples      JSON NOT NULL,
    received_at  BIGINT NOT NULL,
    PRIMARY KEY (command_id, chunk)
) WITHOUT ROWID;
