-- What of MQTT outlives the process: persistent sessions, what they listen to, what waits for them, what was already
-- taken from them, and retained messages.
CREATE TABLE mqtt_sessions (
    session_id    INTEGER PRIMARY KEY,
    actor         VARCHAR(96) NOT NULL,     -- who: another identity never finds this session
    client_id     VARCHAR(128) NOT NULL,
    role          INTEGER NOT NULL,         -- enum bus_role
    waiting       BOOLEAN NOT NULL,
    machine_id    VARCHAR(64) NOT NULL,     -- '': not a device
    credential_id BIGINT NOT NULL,
    expiry_s      BIGINT NOT NULL,
    gone_at       BIGINT,                   -- server time, epoch ms, as every *_at; NULL: connected
    sent_id       BIGINT NOT NULL DEFAULT 0 -- newest waiting_id that may have been sent
);
CREATE UNIQUE INDEX idx_mqtt_sessions ON mqtt_sessions (actor, client_id);

CREATE TABLE mqtt_subscriptions (
    session_id      INTEGER NOT NULL,
    filter          VARCHAR(512) NOT NULL,
    qos             INTEGER NOT NULL,
    no_local        BOOLEAN NOT NULL,
    as_published    BOOLEAN NOT NULL,
    subscription_id INTEGER NOT NULL,       -- 0: none
    PRIMARY KEY (session_id, filter)
) WITHOUT ROWID;

CREATE TABLE mqtt_waiting (
    waiting_id      INTEGER PRIMARY KEY,    -- grows: the order of delivery
    session_id      INTEGER NOT NULL,
    packet_id       INTEGER NOT NULL,
    retain          BOOLEAN NOT NULL,
    sent            BOOLEAN NOT NULL,       -- when it was written; later, mqtt_sessions.sent_id says so
    subscription_id INTEGER NOT NULL,
    expires_at      BIGINT NOT NULL,        -- 0: never
    topic           VARCHAR(512) NOT NULL,
    payload         BLOB NOT NULL,
    payload_format  INTEGER,
    content_type    TEXT,
    response_topic  TEXT,
    correlation     BLOB,
    user_properties BLOB                    -- as they came
);
CREATE INDEX idx_mqtt_waiting ON mqtt_waiting (session_id);

-- QoS 1 messages already taken from a session: a ring of slots, written with what the message brought.
CREATE TABLE mqtt_receipts (
    session_id INTEGER NOT NULL,
    slot       INTEGER NOT NULL,
    number     BIGINT NOT NULL,             -- counts the session's receipts; slot is its remainder
    packet_key BIGINT NOT NULL,             -- packet id and a hash of topic and payload
    PRIMARY KEY (session_id, slot)
) WITHOUT ROWID;

-- QoS 2 packet ids between PUBLISH and PUBREL.
CREATE TABLE mqtt_received (
    session_id INTEGER NOT NULL,
    packet_id  INTEGER NOT NULL,
    passed_on  BOOLEAN NOT NULL,            -- to the sessions that wait for it
    PRIMARY KEY (session_id, packet_id)
) WITHOUT ROWID;

CREATE TABLE mqtt_retained (
    topic           VARCHAR(512) PRIMARY KEY,
    qos             INTEGER NOT NULL,
    expires_at      BIGINT NOT NULL,
    payload         BLOB NOT NULL,
    payload_format  INTEGER,
    content_type    TEXT,
    response_topic  TEXT,
    correlation     BLOB,
    user_properties BLOB
);
