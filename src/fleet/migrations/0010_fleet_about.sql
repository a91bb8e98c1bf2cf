-- What people note about a machine, and since when it has been silent.
ALTER TABLE machines ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}'; -- a JSON object
ALTER TABLE machines ADD COLUMN inactive_at INTEGER NOT NULL DEFAULT 0; -- 0: it is not
