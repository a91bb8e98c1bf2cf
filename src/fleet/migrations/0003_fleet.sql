-- Machines and what they prove themselves with.
CREATE TABLE machines (
    machine_id TEXT PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL DEFAULT '',
    admission TEXT NOT NULL CHECK (admission IN ('waiting', 'admitted', 'blocked')),
    demo INTEGER NOT NULL DEFAULT 0,
    config TEXT NOT NULL DEFAULT '{}', -- a JSON object
    config_version INTEGER NOT NULL DEFAULT 1,
    capabilities TEXT NOT NULL DEFAULT '{}', -- a JSON object, from the last hello
    firmware TEXT NOT NULL DEFAULT '',
    boot_id TEXT, -- 32 hex digits, NULL: never said hello
    journal_id TEXT,
    created_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL DEFAULT 0 -- about once a minute
);

CREATE TABLE machine_tokens (
    token_id INTEGER PRIMARY KEY AUTOINCREMENT,
    machine_id TEXT NOT NULL REFERENCES machines (machine_id),
    token_hash BLOB NOT NULL UNIQUE, -- BLAKE2b-256
    label TEXT NOT NULL DEFAULT '',
    created_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL DEFAULT 0,
    revoked_at INTEGER
);
CREATE INDEX machine_tokens_machine ON machine_tokens (machine_id);
