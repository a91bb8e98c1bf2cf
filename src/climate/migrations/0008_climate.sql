-- What a window is doing, what was said about it, what people set instead, and which model spoke.
CREATE TABLE climate_window (
    machine_id TEXT PRIMARY KEY NOT NULL,
    mode TEXT NOT NULL DEFAULT 'auto' CHECK (mode = 'auto' OR mode = 'manual'),
    position REAL, -- as last confirmed; NULL: not known
    position_at INTEGER NOT NULL DEFAULT 0,
    hold_until INTEGER NOT NULL DEFAULT 0 -- a person set it: proposals wait until then
);

CREATE TABLE climate_prediction (
    prediction_id INTEGER PRIMARY KEY AUTOINCREMENT,
    machine_id TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    temperature REAL, -- the three as they were asked about; NULL: not known
    humidity REAL,
    sound_volume REAL,
    position REAL, -- NULL: no answer
    spread REAL,
    confidence REAL,
    decision TEXT NOT NULL,
    asked_because TEXT NOT NULL,
    source TEXT NOT NULL,
    model_version TEXT NOT NULL,
    latency_ms REAL NOT NULL,
    command_id INTEGER NOT NULL DEFAULT 0,
    request_id TEXT NOT NULL,
    actual REAL -- what a person set within half an hour after it
);
CREATE INDEX climate_prediction_machine ON climate_prediction (machine_id, prediction_id);
CREATE INDEX climate_prediction_at ON climate_prediction (at_ms);

CREATE TABLE climate_sample (
    sample_id INTEGER PRIMARY KEY AUTOINCREMENT,
    machine_id TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    temperature REAL NOT NULL,
    humidity REAL NOT NULL,
    sound_volume REAL NOT NULL,
    position REAL NOT NULL, -- what a person set
    said REAL, -- what the model said to the same features before it learned this; NULL: no model
    version INTEGER NOT NULL, -- the model that said it
    command_uid TEXT NOT NULL UNIQUE, -- a setting is a sample once
    learned_in INTEGER NOT NULL DEFAULT 0, -- the first version that learned it
    retired INTEGER NOT NULL DEFAULT 0 -- that version was rolled back
);
CREATE INDEX climate_sample_at ON climate_sample (at_ms);

CREATE TABLE climate_model (
    version INTEGER PRIMARY KEY NOT NULL,
    parent INTEGER NOT NULL,
    adopted_at INTEGER NOT NULL,
    standing TEXT NOT NULL
        CHECK (standing = 'current' OR standing = 'kept' OR standing = 'rolled_back')
);
